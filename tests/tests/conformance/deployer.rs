//! A deployer in memory, sound unless it is given a flaw.

use std::sync::Mutex;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{Beside, EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::endpoint::Reply;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Deployer, Endpoint, ErrorKind, PortError};

use crate::conformance::registry::target;

/// The classes that it can be of; the first has the most rules.
pub(crate) const CLASSES: [EffectClass; 4] =
    [EffectClass::Conditional, EffectClass::Idempotent, EffectClass::Observable, EffectClass::Blind];

/// A way to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsound {
    NothingIsDone,
    ProbesGuess,
    ProbesShift,
    RepeatsFail,
    TakesAnything,
    ExpectsNothing,
    SendsAnything,
    MovesAllInAWave,
    TellsOfNoWave,
}

pub(crate) struct InMemoryDeployer {
    flaw: Option<Unsound>,
    class: EffectClass,
    live: Mutex<VersionTarget>,
    /// At the place `b`; the rest is at `a`.
    live_b: Mutex<VersionTarget>,
}

impl InMemoryDeployer {
    pub(crate) fn of(class: EffectClass) -> Self {
        Self { flaw: None, class, live: Mutex::new(target("0")), live_b: Mutex::new(target("0")) }
    }

    pub(crate) fn with(flaw: Unsound) -> Self {
        Self { flaw: Some(flaw), ..Self::of(CLASSES[0]) }
    }

    fn has(&self, flaw: Unsound) -> bool {
        self.flaw == Some(flaw)
    }

    fn state(&self) -> LiveState {
        if self.class == EffectClass::Blind {
            return LiveState::Unknown("nobody can ask it".into());
        }
        let at = |place: &str, version: &Mutex<VersionTarget>| Share {
            place: place.into(),
            ..share(version.lock().unwrap().clone())
        };
        LiveState::Serving(vec![at("a", &self.live), at("b", &self.live_b)])
    }
}

#[async_trait]
impl Deployer for InMemoryDeployer {
    fn name(&self) -> &str {
        "deployer_in_memory"
    }

    fn class(&self) -> EffectClass {
        self.class
    }

    async fn live(&self) -> Result<Live, PortError> {
        Ok(Live { state: self.state(), facets: Vec::new(), since: None, observed_at: UnixMillis(1) })
    }

    fn waves(&self, moves: &Moves) -> bool {
        !matches!(moves, Moves::Share(_))
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<ripcord_core::request::Request> {
        let known = format!("{target:?}");
        target.version()?;
        let part = wave.map(ToString::to_string).unwrap_or_default();
        if wave.is_some_and(|wave| !self.waves(&wave.moves)) {
            return None;
        }
        let known = if self.has(Unsound::TellsOfNoWave) { known } else { known + &part };
        let request = ripcord_core::request::Request::new(self.name(), "put it into memory");
        Some(if self.has(Unsound::SendsAnything) { request } else { request.with("target", known) })
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let Target::Version(version) = &order.target else {
            if self.has(Unsound::TakesAnything) {
                return Ok(Shifted::Done);
            }
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                format!("{} cannot be set here", order.target),
            ));
        };
        let state = self.state();
        let moves = order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves);
        let is_conditional = self.class == EffectClass::Conditional && !self.has(Unsound::ExpectsNothing);
        if is_conditional && !state.same_identity(&order.expecting) && !state.serves(&order.target) {
            return Err(PortError::not_applied(ErrorKind::Conflict, format!("live is {state}")));
        }
        if self.has(Unsound::RepeatsFail) && state.serves(&order.target) {
            return Err(PortError::not_applied(ErrorKind::Failed, "that was done already"));
        }
        if !self.has(Unsound::NothingIsDone) {
            let all = *moves == Moves::Rest || self.has(Unsound::MovesAllInAWave);
            if all || *moves == Moves::Place("a".into()) {
                *self.live.lock().unwrap() = version.clone();
            }
            if all || *moves == Moves::Place("b".into()) {
                *self.live_b.lock().unwrap() = version.clone();
            }
        }
        Ok(Shifted::Done)
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        if self.class == EffectClass::Blind {
            return Ok(Probe::CannotTell("nobody can ask it".into()));
        }
        if self.has(Unsound::ProbesGuess) {
            return Ok(Probe::Applied);
        }
        let moves = order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves);
        let is_there = self.state().shows(&order.target, moves);
        if self.has(Unsound::ProbesShift) {
            *self.live.lock().unwrap() = order.target.version().unwrap().clone();
            *self.live_b.lock().unwrap() = order.target.version().unwrap().clone();
        }
        Ok(if is_there { Probe::Applied } else { Probe::NotApplied })
    }
}

/// Of a deployer that holds no candidates nothing is asked.
pub(crate) struct NoEndpoint;

#[async_trait]
impl Endpoint for NoEndpoint {
    fn name(&self) -> &str {
        "endpoint_of_nothing"
    }

    async fn infer(&self, _: &TrialInput, _: Option<&Beside>, _: &str) -> Result<Reply, PortError> {
        Err(PortError::not_applied(ErrorKind::Unsupported, "nothing answers here"))
    }
}

pub(crate) fn input() -> TrialInput {
    TrialInput { id: "1".into(), body: "[]".into() }
}

fn share(version: VersionTarget) -> Share {
    Share { version, place: String::new(), weight: Ratio::ONE, proof: Proof::ControlPlane }
}
