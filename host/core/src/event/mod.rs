//! What happened to a service. Stored, never changed. Free content stands behind [`BlobRef`]s.

mod acting;
mod afterwards;
mod aliases;
mod authority;
mod data;
mod decision;
mod identity;
mod measured;
mod membership;
mod outputs;
mod planning;
mod preflight;
mod producing;
mod promotion;
mod readiness;
mod verifying;
mod watching;

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::facet::Revision;
use crate::name::{IncidentId, PersonName};
use crate::retention::Class;
use crate::terms::Terms;
use crate::time::{Millis, UnixMillis};

pub(crate) use acting::shows;
pub use acting::{
    FaultPlace, GuardRead, Happened, ProbeWord, ReadBack, ShiftAnswered, ShiftBegan, ShiftOutcome,
    ShiftProbed, ShiftReturned, StageFailed, Staged, WaveLost,
};
pub use afterwards::{Announced, HoldMarked};
pub use aliases::{Alias, AliasesSeen};
pub use authority::{ApprovalAsked, ApprovalWord, ApprovalsAsked, Signed, Voted};
pub use data::{DataCondemned, DataLifted, LiveData, LiveDataSeen};
pub use decision::{DataState, Decision, FaultNature, MemoRef, Said};
pub use identity::{FingerprintTaken, FingerprintWord, Fingerprinted, KnownFingerprint, PinWord, Pinned};
pub use measured::{Measured, Portion, Seen};
pub use membership::{Enlisted, PartEnd, PartGiven, PartOrder, Release, Released, Way};
pub use outputs::{OutputsListed, OutputsWord};
pub use planning::{
    EvidenceGap, EvidenceItem, EvidencePreserved, Observed, ObservedFacet, PlanDrafted, PlanLoss, PlanLost,
    PlanWord, Planned, RequestChanged,
};
pub use preflight::{CandidateCleared, PreflightBegan, PreflightWord, Preflighted};
pub use producing::{
    LookWord, MadeOf, RunBegan, RunFailed, RunLookedAt, RunLost, RunMade, RunReturned, RunStopped, StartWord,
};
pub use promotion::{InProduction, ProductionPart, ProductionWatched, Promoted, PromotionWord};
pub use readiness::ReadinessSeen;
pub use verifying::{
    PlannedRung, PlannedWave, TrialPhase, TrialRan, VerificationAsked, VerificationWord, VerificationsAsked,
};
pub use watching::{
    LatchLifted, PendingPlan, PullRequested, Reason, SignalsSetAside, SignalsTaken, TriggerAsked,
    TriggerWord, TriggersAsked,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The effective configuration, at start and at every change.
    Configured(Configured),
    /// A group of signals left the intake and entered the journal.
    SignalsTaken(SignalsTaken),
    /// Signals in the intake cannot be read, and are kept there.
    SignalsSetAside(SignalsSetAside),
    /// The trigger policies were asked.
    TriggersAsked(TriggersAsked),
    /// A person asked for a rollback.
    PullRequested(PullRequested),
    /// Evidence was preserved, as far as it could be.
    EvidencePreserved(EvidencePreserved),
    /// The planner was asked, or a person's target was taken; the result.
    Planned(Planned),
    /// The plan at hand cannot be read as it was made.
    PlanLost(PlanLost),
    /// What would be sent for a step is not what was approved.
    RequestChanged(RequestChanged),
    /// The approval policies were asked.
    ApprovalsAsked(ApprovalsAsked),
    /// A person's word on the plan.
    Voted(Voted),
    /// A rung's artefact is at hand.
    Staged(Staged),
    /// A rung's artefact is not at hand.
    StageFailed(StageFailed),
    /// A candidate is about to be held beside what is live.
    PreflightBegan(PreflightBegan),
    /// A rung's target was tried beside what is live, or could not be.
    Preflighted(Preflighted),
    /// The candidate was taken away, or could not be.
    CandidateCleared(CandidateCleared),
    /// Live was read immediately before the shift.
    GuardRead(GuardRead),
    /// The shift is about to be made.
    ShiftBegan(ShiftBegan),
    /// The shift call came back.
    ShiftReturned(ShiftReturned),
    /// The world was asked what became of the shift.
    ShiftProbed(ShiftProbed),
    /// A person said what became of the shift.
    ShiftAnswered(ShiftAnswered),
    /// Live was read after the shift.
    ReadBack(ReadBack),
    /// What a job without an endpoint had made by the versions that were left.
    OutputsListed(OutputsListed),
    /// What a wave has moved is no longer there.
    WaveLost(WaveLost),
    /// A trial was run.
    TrialRan(TrialRan),
    /// The verification policies were asked.
    VerificationsAsked(VerificationsAsked),
    /// Something else is live than was seen last, or in production as the registry says.
    ProductionWatched(ProductionWatched),
    /// The registry's other names point elsewhere than at the last look.
    AliasesSeen(AliasesSeen),
    /// Other parts of a rollback are ready than at the last look.
    ReadinessSeen(ReadinessSeen),
    /// A hold was written to the registry, lifted there, or could not be.
    HoldMarked(HoldMarked),
    /// The registry's production name was moved after a rollback, or could not be.
    Promoted(Promoted),
    /// A version's artefact was fetched for its digest, or could not be.
    Pinned(Pinned),
    /// The fingerprint of a good version was taken, or could not be.
    Fingerprinted(Fingerprinted),
    /// A run that makes a version is about to be started.
    RunBegan(RunBegan),
    /// The call that starts it came back.
    RunReturned(RunReturned),
    /// It was looked how far it is.
    RunLookedAt(RunLookedAt),
    /// It has ended with a version.
    RunMade(RunMade),
    /// It has ended without one.
    RunFailed(RunFailed),
    /// Nobody can tell what became of it.
    RunLost(RunLost),
    /// A person wants it stopped.
    RunStopAsked(AboutIncident),
    /// It was stopped, or could not be.
    RunStopped(RunStopped),
    /// A set enlisted the service: from here on it alone moves it.
    Enlisted(Enlisted),
    /// The service's part of its set's plan is to be carried out.
    PartGiven(PartGiven),
    /// The set needs the service no more.
    Released(Released),
    /// Where the time to the restored answer went.
    Measured(Measured),
    /// People were told, or a notifier was given up.
    Announced(Announced),
    /// A person stopped the incident before the pivot.
    Aborted(AboutIncident),
    /// A person said that it is no incident, or that it is settled.
    Dismissed(AboutIncident),
    /// A person stopped all acting on this service.
    Paused(PersonSaid),
    /// A person let it go on.
    Resumed(PersonSaid),
    /// A person lifted a hold.
    HoldLifted(AboutHold),
    /// A person looked at what was done by breaking the glass, and closed it.
    ReviewClosed(AboutIncident),
    /// A person condemned a data revision.
    DataCondemned(DataCondemned),
    /// A person took that back.
    DataLifted(DataLifted),
    /// Something is live that was trained on condemned data, or may have been.
    LiveDataSeen(LiveDataSeen),
    /// A person let a trigger open incidents again.
    LatchLifted(LatchLifted),
    /// A person vouched for a revision.
    Adopted(Adopted),
    /// An instant that was waited for has come.
    Woke,
    /// A person wants an incident's content kept, however old it becomes.
    IncidentKept(AboutIncident),
    /// A person wants it kept no longer.
    IncidentReleased(AboutIncident),
    /// Content was erased because of its age. Its commitments stay.
    Pruned(Pruned),
    /// The host's clock jumped forward; every deadline moves with it.
    ClockJumped {
        /// How far.
        by: Millis,
    },
    /// The host's clock is behind what the journal has already; time goes on at half its speed until it has caught up.
    ClockBehind {
        /// How far.
        by: Millis,
    },
}

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// What transitions depend on.
    pub terms: Terms,
    /// All of it: people, keys, adapters, settings.
    pub configuration: BlobRef,
    /// Of the configuration's canonical JSON: tells whether it changed.
    pub digest: Digest,
    /// The host's release.
    pub host_version: String,
}

/// A person's command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonSaid {
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// What one look for old content erased, all of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// What it was kept for.
    pub class: Class,
    /// All of it is from records before this instant.
    pub before: UnixMillis,
    /// Number of the first record whose content went.
    #[serde(with = "crate::time::text_u64")]
    pub first: u64,
    /// Number of the last.
    #[serde(with = "crate::time::text_u64")]
    pub last: u64,
    /// How many pieces of content are of no more use to these records.
    pub pieces: u32,
}

/// A person's command about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AboutIncident {
    /// Which.
    pub incident: IncidentId,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// A person's command about a hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AboutHold {
    /// On what.
    pub revision: Revision,
    /// The incident that condemned it: a later one is another reason.
    pub incident: IncidentId,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// A person vouched for a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// For what.
    pub revision: Revision,
    /// Of its artefact or content, as it was pinned.
    pub digest: Option<Digest>,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}
