//! What serves: it takes orders, and does with them what deployers do.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::request::Request;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::deployer::{
    Beside, CandidateOrder, EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf,
};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{Clock, Deployer, ErrorKind, PortError};

use super::{DEPLOYER, Wire};
use crate::check::Candidates;
use crate::world::Outside;

/// See [`crate::world::Outside`].
#[derive(Debug)]
pub struct PretendDeployer {
    /// Where it is.
    pub wire: Wire,
    /// Whether it holds a candidate beside what is live.
    pub candidates: Candidates,
}

/// What becomes of an order.
enum Fate {
    Answers(Result<Shifted, PortError>),
    NeverAnswers,
}

/// On how many replicas the target is to be.
fn wanted(outside: &Outside, order: &ShiftOrder) -> usize {
    match order.wave.as_ref().map(|wave| &wave.moves) {
        Some(Moves::Share(share)) => outside.replicas_of(share.get()),
        _ => outside.replicas.len(),
    }
}

fn broken() -> PortError {
    PortError::unknown(ErrorKind::Unreachable, "the connection to the deployer broke")
}

impl PretendDeployer {
    fn carry_out(&self, order: &ShiftOrder) -> Fate {
        let wire = &self.wire;
        let live = wire.world.at(&wire.service, |outside| outside.live());
        if self.class() == EffectClass::Conditional && !live.same_identity(&order.expecting) {
            let text = "what is live is not what the order expects";
            return Fate::Answers(Err(PortError::not_applied(ErrorKind::Conflict, text)));
        }
        let known_key = wire.world.at(&wire.service, |outside| outside.keys.contains(&order.key));
        if self.class() == EffectClass::Idempotent && known_key {
            let at_rest = wire.world.at(&wire.service, |outside| outside.is_at_rest(&order.target));
            let far = || Shifted::Underway("some replicas".to_owned());
            return Fate::Answers(Ok(if at_rest { Shifted::Done } else { far() }));
        }
        let dice = &wire.dice;
        if !dice.chance(wire.weather.now().shift_fails) {
            self.apply(order, Duration::ZERO, usize::MAX);
            return Fate::Answers(Ok(Shifted::Done));
        }
        let delay = Duration::from_millis(dice.between(10, 20_000));
        match dice.below(9) {
            0 => Fate::Answers(Err(PortError::not_applied(ErrorKind::Failed, "the deployer is busy"))),
            1 => Fate::Answers(Err(PortError::not_applied(ErrorKind::Denied, "the deployer says no"))),
            2 => {
                self.apply(order, Duration::ZERO, usize::MAX);
                Fate::Answers(Err(broken()))
            }
            3 => Fate::Answers(Err(broken())),
            4 => {
                self.apply(order, delay, usize::MAX);
                Fate::Answers(Ok(Shifted::Underway("no replica yet".to_owned())))
            }
            // Some of the replicas, and no more.
            5 => {
                self.apply(order, delay, dice.below(3) as usize);
                Fate::Answers(Ok(Shifted::Underway("some replicas".to_owned())))
            }
            6 => {
                if dice.one_in(2) {
                    self.apply(order, delay, usize::MAX);
                }
                Fate::NeverAnswers
            }
            // It says that it is done, and it is not.
            7 => Fate::Answers(Ok(Shifted::Done)),
            _ => {
                self.apply(order, delay, usize::MAX);
                Fate::Answers(Err(broken()))
            }
        }
    }

    fn apply(&self, order: &ShiftOrder, delay: Duration, replicas: usize) {
        let wire = &self.wire;
        wire.world.at(&wire.service, |outside| outside.keys.insert(order.key.clone()));
        let Target::Version(version) = &order.target else { return };
        let (wanted, name) =
            (wire.world.at(&wire.service, |outside| wanted(outside, order)), &version.version);
        if delay.is_zero() {
            wire.world.at(&wire.service, |outside| outside.put_on(wanted, name.as_str()));
        } else {
            wire.world.start_move_of(&wire.service, name.as_str(), delay, (replicas, wanted));
        }
    }
}

#[async_trait]
impl Deployer for PretendDeployer {
    fn name(&self) -> &str {
        "deployer_pretend"
    }

    fn class(&self) -> EffectClass {
        self.wire.terms.deployer
    }

    async fn live(&self) -> Result<Live, PortError> {
        self.wire.reach(DEPLOYER).await?;
        let state = self.wire.world.at(&self.wire.service, |outside| outside.live());
        let observed_at = self.wire.clock.now();
        self.wire.comes_back(DEPLOYER).await;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at })
    }

    fn waves(&self, moves: &Moves) -> bool {
        !matches!(moves, Moves::Place(_))
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        target.version()?;
        let words = format!("have the service serve {target}");
        let request = Request::new(self.name(), &words).with("target", format!("{target:?}"));
        Some(match wave {
            Some(wave) => request.with("wave", wave.to_string()),
            None => request,
        })
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let wire = &self.wire;
        wire.life.may_end().await;
        wire.checker.shift_called(&wire.service, order, &wire.terms);
        if order.target.version().is_none() {
            let text = format!("the deployer cannot set {}", order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        }
        wire.reach(DEPLOYER).await?;
        let fate = self.carry_out(order);
        wire.checker.note(|| format!("{} shift to {} arrived", wire.service, order.target));
        wire.life.may_end_at_a_moment().await;
        wire.comes_back(DEPLOYER).await;
        match fate {
            Fate::Answers(answer) => answer,
            Fate::NeverAnswers => for_system(DEPLOYER, pending()).await,
        }
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        self.wire.reach(DEPLOYER).await?;
        let moves = order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves);
        let probe = self.wire.world.at(&self.wire.service, |outside| match self.class() {
            EffectClass::Blind => Probe::CannotTell("it keeps no record".to_owned()),
            _ if !outside.moves.is_empty() => Probe::Underway("some replicas".to_owned()),
            _ if outside.live().shows(&order.target, moves) => Probe::Applied,
            _ => Probe::NotApplied,
        });
        self.wire.comes_back(DEPLOYER).await;
        Ok(probe)
    }

    fn beside_class(&self) -> Option<EffectClass> {
        (self.candidates == Candidates::Held).then_some(EffectClass::Idempotent)
    }

    async fn beside(&self, order: &CandidateOrder) -> Result<Beside, PortError> {
        self.wire.reach(DEPLOYER).await?;
        let version = order.version.version.to_string();
        self.wire.world.at(&self.wire.service, |outside| outside.candidate = Some(version));
        self.wire.comes_back(DEPLOYER).await;
        let version = VersionTarget { digest: Some(order.staged.digest), ..order.version.clone() };
        Ok(Beside { version, address: "candidate".to_owned() })
    }

    async fn clear(&self) -> Result<(), PortError> {
        self.wire.reach(DEPLOYER).await?;
        self.wire.world.at(&self.wire.service, |outside| outside.candidate = None);
        self.wire.comes_back(DEPLOYER).await;
        Ok(())
    }
}
