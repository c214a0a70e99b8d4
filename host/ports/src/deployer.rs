//! What serves the model: reads and sets what is live.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::Live;
use ripcord_core::live::LiveState;
use ripcord_core::name::{IncidentId, VersionName};
pub use ripcord_core::outputs::{Output, Outputs};
use ripcord_core::request::Request;
use ripcord_core::target::{Target, VersionTarget};
pub use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
pub use ripcord_core::wave::{Moves, WaveOf};

use crate::error::{ErrorKind, PortError};
use crate::registry::Staged;

/// What is to be made live.
#[derive(Debug, Clone)]
pub struct ShiftOrder {
    /// Unique for plan digest, rung, wave and step, and attempt-independent: passed on to systems that know idempotency keys.
    pub key: String,
    /// What is to be served.
    pub target: Target,
    /// What is served now, as read just before.
    pub expecting: LiveState,
    /// The artefact, for targets that have one.
    pub staged: Option<Staged>,
    /// What of it is made now, where the plan shifts in waves; none where everything is.
    pub wave: Option<WaveOf>,
    /// Of which incident: told to systems that keep who asked.
    pub incident: IncidentId,
    /// Which plan was approved: the same.
    pub plan: Digest,
    /// After this the call must have returned.
    pub deadline: Millis,
}

/// What a shift has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shifted {
    /// The system says that it is done. Read-back still has to show it.
    Done,
    /// The system works on it: read live until it is there. The text says how far it is.
    Underway(String),
}

/// What a probe has shown of an interrupted shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It happened.
    Applied,
    /// It did not happen and is not under way: a new attempt is safe.
    NotApplied,
    /// It is under way. The text says how far.
    Underway(String),
    /// The system cannot tell, and why: a person must.
    CannotTell(String),
}

/// What is to be held beside what is live, for a preflight.
#[derive(Debug, Clone)]
pub struct CandidateOrder {
    /// What it is.
    pub version: VersionTarget,
    /// Its artefact.
    pub staged: Staged,
    /// After this the call must have returned.
    pub deadline: Millis,
}

/// A candidate that answers beside what is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// What answers there, with the digest of what was placed.
    pub version: VersionTarget,
    /// Its address, as an endpoint of the same protocol understands it: for the Open Inference Protocol the name under which the server has it as
    /// a model of its own.
    pub address: String,
}

/// What serves one service.
#[async_trait]
pub trait Deployer: Send + Sync {
    /// The adapter's name, such as `deployer_open_inference`.
    fn name(&self) -> &str;

    /// How an interrupted shift can be settled.
    fn class(&self) -> EffectClass;

    /// Whether [`Self::live`] can show such a target, so that a read-back can tell that it is served. What it cannot show is not put into a plan.
    fn shows(&self, target: &Target) -> bool {
        matches!(target, Target::Version(_))
    }

    /// Reads what is live, at every place, from the system itself. A system that answers but cannot tell gives
    /// [`LiveState::Unknown`]; one that does not answer is an error.
    async fn live(&self) -> Result<Live, PortError>;

    /// Whether [`Self::shift`] can move this much at once, and leave the rest as it is. What it cannot is not configured for its service.
    fn waves(&self, _moves: &Moves) -> bool {
        false
    }

    /// What [`Self::shift`] sends for the target, or for this wave of it, as it is known when a plan is made: pure, and from where `shift` has it. None for
    /// a target that it cannot set, and for a wave that it cannot make.
    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request>;

    /// Makes the target live, or as much of it as the wave moves: all at the place, at least this share of the traffic, or everything that is left and away with
    /// what served it. An error with [`crate::Applied::No`] promises that nothing changed.
    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError>;

    /// Tells what became of an interrupted shift with this order's key.
    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError>;

    /// What these versions have made that stays where others read it, as far as it lies there: once they are left, it is to be scored again. None for what
    /// answers requests: nothing of it stays.
    async fn outputs(&self, _by: &[VersionName]) -> Result<Option<Outputs>, PortError> {
        Ok(None)
    }

    /// What makes every shift impossible, whatever the target, where that can be seen beforehand: it is looked for by `ripcord check`, and before people
    /// are asked to agree to a plan.
    async fn obstacle(&self) -> Option<String> {
        None
    }

    /// What hinders no shift and gets worse until somebody acts, such as a folder that fills up: it is told by `ripcord check`.
    async fn warning(&self) -> Option<String> {
        None
    }

    /// What keeps every candidate from being held beside what is live, although [`Self::beside_class`] says that one can be, where the configuration
    /// shows it.
    fn beside_obstacle(&self) -> Option<String> {
        None
    }

    /// Whether a candidate can be held beside what is live, and then how an interrupted [`Self::beside`] is settled. Where it cannot, a plan says *not
    /// preflighted*.
    fn beside_class(&self) -> Option<EffectClass> {
        None
    }

    /// Holds the candidate beside what is live, and takes no traffic from it. There is one candidate at a time: another one takes its place. After an
    /// error with [`crate::Applied::No`] there is none.
    async fn beside(&self, order: &CandidateOrder) -> Result<Beside, PortError> {
        let text = format!("`{}` cannot hold `{}` beside what is live", self.name(), order.version.version);
        Err(PortError::not_applied(ErrorKind::Unsupported, text))
    }

    /// Takes the candidate away, if there is one. It may be asked at any time, and as often as one likes: after a preflight, after an interruption, and
    /// before anything else when a host starts.
    async fn clear(&self) -> Result<(), PortError> {
        Ok(())
    }
}
