//! A deployer of any effect class, which writes down every call.

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::request::Request;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::deployer::{
    Beside, CandidateOrder, EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf,
};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{Deployer, ErrorKind, PortError, Retry};

use super::{Wire, artefact};
use crate::world::{CandidateFault, Fault, Outside, Step};

/// As people call what it stands for.
const SYSTEM: &str = "the fake deployer";

/// See [`Outside`].
#[derive(Debug)]
pub struct FakeDeployer {
    /// Where it is.
    pub wire: Wire,
    /// What it promises.
    pub class: EffectClass,
}

fn wanted(order: &ShiftOrder) -> String {
    match &order.target {
        Target::Version(version) => version.version.to_string(),
        other => other.to_string(),
    }
}

fn broken() -> PortError {
    PortError::unknown(ErrorKind::Unreachable, "the connection to the fake deployer broke")
}

impl FakeDeployer {
    /// What an honest look shows.
    pub fn state(outside: &Outside) -> LiveState {
        if !outside.places.is_empty() {
            let weight = Ratio::new(1.0 / outside.places.len() as f64).expect("a ratio");
            let share = |(place, name): (&String, &String)| Share {
                version: VersionTarget {
                    digest: (!outside.no_digests).then(|| artefact(name).1),
                    version: VersionName::new(name.clone()).expect("a version"),
                },
                place: place.clone(),
                weight,
                proof: if outside.nameless { Proof::ControlPlane } else { Proof::Answer },
            };
            return LiveState::Serving(outside.places.iter().map(share).collect());
        }
        let canary = outside.canary.iter().map(|(version, weight)| (version, *weight));
        let rest = 1.0 - canary.clone().map(|(_, weight)| weight).sum::<f64>();
        let share = |(name, weight): (&String, f64)| Share {
            version: VersionTarget {
                digest: (!outside.no_digests).then(|| artefact(name).1),
                version: VersionName::new(name.clone()).expect("a version"),
            },
            place: String::new(),
            weight: Ratio::new(weight).expect("a ratio"),
            proof: if outside.nameless { Proof::ControlPlane } else { Proof::Answer },
        };
        LiveState::Serving([(&outside.live, rest)].into_iter().chain(canary).map(share).collect())
    }

    fn apply(outside: &mut Outside, order: &ShiftOrder) {
        Self::put(outside, &wanted(order), order.wave.as_ref().map(|wave| &wave.moves));
        outside.coming = None;
        outside.keys.insert(order.key.clone());
        outside.steps.push(Step::Applied { key: order.key.clone(), version: wanted(order) });
    }

    /// What answers is the version that has everything; while it has a part, what was there before answers.
    fn put(outside: &mut Outside, version: &str, moves: Option<&Moves>) {
        match moves {
            Some(Moves::Place(place)) => {
                if let Some(there) = outside.places.get_mut(place) {
                    version.clone_into(there);
                }
            }
            Some(Moves::Share(share)) if *share < Ratio::ONE && outside.live != version => {
                outside.canary = Some((version.to_owned(), share.get()));
            }
            Some(Moves::Share(_) | Moves::Rest) | None => {
                outside.places.values_mut().for_each(|there| version.clone_into(there));
                version.clone_into(&mut outside.live);
                outside.canary = None;
            }
        }
        if !outside.places.is_empty() && outside.places.values().all(|there| there == version) {
            version.clone_into(&mut outside.live);
        }
    }

    fn step(&self, step: Step) {
        self.wire.world.at(&self.wire.service, |outside| outside.steps.push(step));
    }

    /// What becomes of the order; the text of an error says why.
    fn carry_out(&self, order: &ShiftOrder) -> Result<Shifted, Option<PortError>> {
        self.wire.world.at(&self.wire.service, |outside| {
            let live = Self::state(outside);
            if self.class == EffectClass::Conditional && !live.same_identity(&order.expecting) {
                let text = "live is not what the order expected";
                return Err(Some(PortError::not_applied(ErrorKind::Conflict, text)));
            }
            if self.class == EffectClass::Idempotent && outside.keys.contains(&order.key) {
                return Ok(Shifted::Done);
            }
            match outside.faults.pop_front() {
                None => {}
                Some(Fault::RefusedForNow) => {
                    return Err(Some(PortError::not_applied(ErrorKind::Failed, "the fake deployer is busy")));
                }
                Some(Fault::Refused) => {
                    let error = PortError::not_applied(ErrorKind::Failed, "the fake deployer says no");
                    return Err(Some(error.retry(Retry::No)));
                }
                Some(Fault::NoPlace) => {
                    let error = PortError::not_applied(ErrorKind::Place, "it is a mount point");
                    return Err(Some(error));
                }
                Some(Fault::DoneAndBroken) => {
                    Self::apply(outside, order);
                    return Err(Some(broken()));
                }
                Some(Fault::LostAndBroken) => return Err(Some(broken())),
                Some(Fault::Underway(looks)) => {
                    outside.coming = Some((looks, wanted(order)));
                    outside.coming_wave = order.wave.as_ref().map(|wave| wave.moves.clone());
                    outside.keys.insert(order.key.clone());
                    return Ok(Shifted::Underway("0 of 1 replicas".into()));
                }
                Some(Fault::Hangs) => return Err(None),
                Some(Fault::Lies) => return Ok(Shifted::Done),
            }
            Self::apply(outside, order);
            Ok(Shifted::Done)
        })
    }
}

#[async_trait]
impl Deployer for FakeDeployer {
    fn name(&self) -> &str {
        "deployer_fake"
    }

    fn class(&self) -> EffectClass {
        self.class
    }

    fn shows(&self, target: &Target) -> bool {
        let outside = self.wire.world.of(&self.wire.service);
        target.version().is_some_and(|target| !outside.unshown.contains(target.version.as_str()))
    }

    async fn live(&self) -> Result<Live, PortError> {
        for_system(SYSTEM, self.wire.fuse.call("live")).await?;
        for_system(SYSTEM, self.wire.answers("live")).await;
        let state = self.wire.world.at(&self.wire.service, |outside| {
            if outside.deployer_down {
                return None;
            }
            match outside.coming.take() {
                Some((0, version)) => {
                    outside.steps.push(Step::Applied { key: String::new(), version: version.clone() });
                    let moves = outside.coming_wave.take();
                    Self::put(outside, &version, moves.as_ref());
                }
                Some((looks, version)) => outside.coming = Some((looks - 1, version)),
                None => {}
            }
            Some(Self::state(outside))
        });
        for_system(SYSTEM, self.wire.fuse.point("after live")).await;
        let observed_at = ripcord_ports::Clock::now(self.wire.clock.as_ref());
        let down = || PortError::not_applied(ErrorKind::Unreachable, "the fake service does not answer");
        state.map(|state| Live { state, facets: Vec::new(), since: None, observed_at }).ok_or_else(down)
    }

    fn waves(&self, _: &Moves) -> bool {
        true
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        target.version()?;
        let settings = self.wire.world.of(&self.wire.service).settings;
        let words = format!("have the fake service serve {target}");
        let request = Request::new(self.name(), &words)
            .with("target", format!("{target:?}"))
            .with("settings", settings);
        Some(match wave {
            Some(wave) => request.with("wave", wave.to_string()),
            None => request,
        })
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        if order.target.version().is_none() {
            let text = format!("the fake deployer cannot set {}", order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        }
        for_system(SYSTEM, self.wire.fuse.call("shift")).await?;
        self.step(Step::Called { key: order.key.clone(), version: wanted(order) });
        self.wire.fuse.point("at shift").await;
        let result = self.carry_out(order);
        let broke = for_system(SYSTEM, self.wire.fuse.answer("shift")).await;
        let result = match result {
            Ok(shifted) => broke.map(|()| shifted),
            Err(Some(error)) => Err(error),
            Err(None) => std::future::pending().await,
        };
        let known = result.as_ref().err().is_none_or(|error| error.applied == ripcord_ports::Applied::No);
        self.step(Step::Returned { known });
        result
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        self.wire.fuse.call("probe").await?;
        self.wire.answers("probe").await;
        let moves = order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves);
        let probe = self.wire.world.at(&self.wire.service, |outside| match self.class {
            EffectClass::Blind => Probe::CannotTell("it keeps no record".into()),
            _ if outside.coming.is_some() => Probe::Underway("0 of 1 replicas".into()),
            _ if Self::state(outside).shows(&order.target, moves) => Probe::Applied,
            _ => Probe::NotApplied,
        });
        self.wire.fuse.point("after probe").await;
        self.step(Step::Probed { known: !matches!(probe, Probe::CannotTell(_)) });
        Ok(probe)
    }

    fn beside_class(&self) -> Option<EffectClass> {
        self.wire.world.of(&self.wire.service).holds_candidates.then_some(EffectClass::Idempotent)
    }

    async fn beside(&self, order: &CandidateOrder) -> Result<Beside, PortError> {
        self.wire.fuse.call("beside").await?;
        let version = order.version.version.to_string();
        let result = self.wire.world.at(&self.wire.service, |outside| {
            outside.candidate_calls.push(format!("beside {version}"));
            match outside.candidate_fault {
                Some(CandidateFault::Busy) => {
                    Err(Some(PortError::not_applied(ErrorKind::Failed, "the fake server has no room now")))
                }
                Some(CandidateFault::Refused) => Err(Some(PortError::not_applied(
                    ErrorKind::Unsupported,
                    "the fake server holds no such candidate",
                ))),
                Some(CandidateFault::Hangs) => {
                    outside.candidate = Some(version.clone());
                    Err(None)
                }
                _ => {
                    outside.candidate = Some(version.clone());
                    let version =
                        VersionTarget { digest: Some(order.staged.digest), ..order.version.clone() };
                    Ok(Beside { version, address: "candidate".into() })
                }
            }
        });
        self.wire.fuse.point("after beside").await;
        match result {
            Ok(held) => Ok(held),
            Err(Some(error)) => Err(error),
            Err(None) => std::future::pending().await,
        }
    }

    async fn clear(&self) -> Result<(), PortError> {
        self.wire.fuse.call("clear").await?;
        let stays = self.wire.world.at(&self.wire.service, |outside| {
            outside.candidate_calls.push("clear".into());
            let stays = outside.candidate_fault == Some(CandidateFault::Stays);
            if !stays {
                outside.candidate = None;
            }
            stays && outside.candidate.is_some()
        });
        self.wire.fuse.point("after clear").await;
        if stays {
            Err(PortError::not_applied(ErrorKind::Failed, "the fake server keeps its candidate"))
        } else {
            Ok(())
        }
    }
}
