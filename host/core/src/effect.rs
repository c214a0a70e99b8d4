//! What the shell still has to do. Derived from state, never stored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::{IncidentId, VersionName};
use crate::production::Production;
use crate::readiness::ReadyPart;
use crate::signal::{Origin, Severity};
use crate::target::Target;
use crate::time::{Millis, UnixMillis};

/// One thing the host must still do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the trigger policies about the alerts as they stand ([`crate::service::Alerts::question`]); none is the schedule or a watch.
    AskTriggers {
        /// About which words, at least.
        up_to: u64,
    },
    /// Preserve evidence and read live.
    Preserve {
        /// For which incident.
        incident: IncidentId,
        /// Somebody broke the glass: what is not there at once is missing.
        hurried: bool,
    },
    /// Ask the planner, or take a person's target; draft a plan.
    Plan {
        /// For which incident.
        incident: IncidentId,
        /// The number it will have.
        number: u32,
        /// What a person asked for.
        wanted: Option<Target>,
        /// Who asked so far: the plan names them.
        requested_by: Vec<Origin>,
        /// What this incident has shifted to already.
        tried: Vec<Target>,
    },
    /// Ask the approval policies.
    AskApprovals {
        /// About which plan.
        plan: Digest,
        /// What is asked: see [`Service::ballot`](crate::service::Service::ballot).
        ballot: Digest,
    },
    /// Fetch the artefact of a rung and check it.
    Stage {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
    },
    /// Append the intent, then try the rung's target beside what is live, and take it away again.
    Preflight {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// From one.
        round: u32,
    },
    /// Take away what a preflight left beside what is live.
    ClearCandidate,
    /// Read live.
    Guard {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero; zero where the rung moves at once.
        wave: u32,
        /// The attempt that is to follow, counted from one.
        attempt: u32,
    },
    /// Append the intent, then shift.
    Shift {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero; zero where the rung moves at once.
        wave: u32,
        /// Counted from one.
        attempt: u32,
        /// Of the request that was approved: another one is not sent.
        request: Digest,
    },
    /// Ask the world what became of a shift that was begun.
    Probe {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero; zero where the rung moves at once.
        wave: u32,
        /// Counted from one.
        attempt: u32,
    },
    /// Make the same shift again with the same key: the deployer promised that this is harmless.
    Repeat {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero; zero where the rung moves at once.
        wave: u32,
        /// Counted from one.
        attempt: u32,
        /// Of the request that was approved: another one is not sent.
        request: Digest,
    },
    /// Read live until it is the rung's target.
    ReadBack {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero; zero where the rung moves at once.
        wave: u32,
    },
    /// Look whether what a wave has moved is still there, and ask the verification policies how it does.
    Look {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// Counted from zero.
        wave: u32,
        /// From one.
        round: u32,
    },
    /// Run the trials that are asked for, ask the verification policies.
    Verify {
        /// Of which plan.
        plan: Digest,
        /// Counted from zero.
        rung: u32,
        /// From one.
        round: u32,
    },
    /// Read live and the registry's production name every so often until something else is there than was seen last.
    WatchProduction {
        /// What was seen last.
        seen: Production,
        /// Between two looks.
        every: Millis,
        /// The incident that has ended last.
        after: Option<IncidentId>,
        /// Whether a hold stands: the first look is not waited for.
        holds: bool,
        /// When a signal asked for a look at once, if one did.
        asked_at: Option<UnixMillis>,
    },
    /// Look every so often whether a rollback could be made, until other parts are ready than at the last look.
    WatchReadiness {
        /// What was not ready then.
        seen: BTreeSet<ReadyPart>,
        /// Between two looks.
        every: Millis,
    },
    /// Ask the verification policies about what someone else put live.
    Examine {
        /// Since when it is on probation.
        since: UnixMillis,
        /// From one.
        round: u32,
    },
    /// Write the hold to the registry, or lift it there.
    MarkHold {
        /// Of which version.
        version: VersionName,
        /// By which incident; none lifts it.
        incident: Option<IncidentId>,
    },
    /// Move the registry's production name to what was brought back.
    Promote {
        /// By which incident.
        incident: IncidentId,
        /// To which version.
        version: VersionName,
        /// If it points at one of these; none is nothing.
        expecting: Vec<Option<VersionName>>,
        /// Of the request that was approved: another one is not sent.
        request: Digest,
    },
    /// Fetch the artefact of a version for its digest, and pin that.
    Pin {
        /// Which.
        version: VersionName,
    },
    /// Take the fingerprint of a version, if it is live.
    Fingerprint {
        /// Which.
        version: VersionName,
    },
    /// Append the intent, then have the producer start the run; or start it once more with the same key, where its intent is on disk and the producer
    /// promised that this is harmless.
    StartRun {
        /// Its key.
        run: Digest,
        /// Counted from one.
        attempt: u32,
        /// Of the request that was approved: another one is not sent.
        request: Digest,
    },
    /// Look every so often how far the run is, until there is news.
    LookAtRun {
        /// Its key.
        run: Digest,
        /// Not before.
        from: UnixMillis,
        /// Between two looks.
        every: Millis,
        /// From when on that it only goes on is news.
        news_from: UnixMillis,
    },
    /// End the run.
    StopRun {
        /// Its key.
        run: Digest,
    },
    /// Tell people.
    Announce(Outgoing),
    /// Append [`crate::event::Event::Woke`] when this instant has come.
    WakeAt(UnixMillis),
}

/// Effects of one slot are done one after the other; different slots go on side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Triggers.
    Triggers,
    /// The incident's next step.
    Incident,
    /// What is held beside what is live.
    Candidate,
    /// Watching production.
    Watch,
    /// Watching whether a rollback could be made.
    Readiness,
    /// What someone else put live.
    Probation,
    /// One hold.
    Hold(VersionName),
    /// The registry's production name.
    Promotion,
    /// The digest of one version.
    Pin(VersionName),
    /// A fingerprint of what is live.
    Fingerprint,
    /// The run that makes a version.
    Run,
    /// One announcement.
    Announcement(String),
    /// Timers.
    Timer,
}

/// A message to people that is still to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Stable across restarts: service, number of the event that caused it, topic.
    pub id: String,
    /// About which incident.
    pub incident: Option<IncidentId>,
    /// What kind of news.
    pub topic: Topic,
    /// How urgent it is to read.
    pub severity: Severity,
    /// One or two sentences.
    pub text: String,
    /// When it happened.
    pub at: UnixMillis,
    /// From when it is counted how long it has waited: a clock that jumps moves it.
    pub waits_since: UnixMillis,
}

/// Kinds of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Topic {
    IncidentOpened,
    PlanReady,
    ApprovalWanted,
    Escalated,
    ShiftBegan,
    Settled,
    NeedsPerson,
    PolicyFaulted,
    AlertSetAside,
    AlertWithoutData,
    Latched,
    AsksTooOften,
    NoData,
    StandDown,
    HoldBroken,
    HeldMovesUp,
    KnownGood,
    NotProven,
    Promoted,
    NotPromoted,
    NotPreflighted,
    CandidateLeft,
    NotPinned,
    NotFingerprinted,
    FingerprintDiffers,
    ClockJumped,
    SignalsUnreadable,
    ClockBehind,
    ProductionUnread,
    ProductionReadAgain,
    AnnouncementsLeftOut,
    RunMade,
    MadeIsLeft,
    RunFailed,
    RunLost,
    RunStopped,
    RunUnread,
    CondemnedDataLive,
    DataOfLiveUnknown,
    DataNotCondemned,
    NotListed,
    WaveNotJudged,
    PartFailed,
    BrokeGlass,
    ReviewForgotten,
    NotReady,
    ReadyAgain,
}

impl Topic {
    /// The word that receivers see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IncidentOpened => "incident-opened",
            Self::PlanReady => "plan-ready",
            Self::ApprovalWanted => "approval-wanted",
            Self::Escalated => "escalated",
            Self::ShiftBegan => "shift-began",
            Self::Settled => "settled",
            Self::NeedsPerson => "needs-person",
            Self::PolicyFaulted => "policy-faulted",
            Self::AlertSetAside => "alert-set-aside",
            Self::AlertWithoutData => "alert-without-data",
            Self::Latched => "latched",
            Self::AsksTooOften => "asks-too-often",
            Self::NoData => "no-data",
            Self::StandDown => "stand-down",
            Self::HoldBroken => "hold-broken",
            Self::HeldMovesUp => "held-moves-up",
            Self::KnownGood => "known-good",
            Self::NotProven => "not-proven",
            Self::Promoted => "promoted",
            Self::NotPromoted => "not-promoted",
            Self::NotPreflighted => "not-preflighted",
            Self::CandidateLeft => "candidate-left",
            Self::NotPinned => "not-pinned",
            Self::NotFingerprinted => "not-fingerprinted",
            Self::FingerprintDiffers => "fingerprint-differs",
            Self::ClockJumped => "clock-jumped",
            Self::SignalsUnreadable => "signals-unreadable",
            Self::ClockBehind => "clock-behind",
            Self::ProductionUnread => "production-unread",
            Self::ProductionReadAgain => "production-read-again",
            Self::AnnouncementsLeftOut => "announcements-left-out",
            Self::RunMade => "run-made",
            Self::MadeIsLeft => "made-is-left",
            Self::RunFailed => "run-failed",
            Self::RunLost => "run-lost",
            Self::RunStopped => "run-stopped",
            Self::RunUnread => "run-unread",
            Self::CondemnedDataLive => "condemned-data-live",
            Self::DataOfLiveUnknown => "data-of-live-unknown",
            Self::DataNotCondemned => "data-not-condemned",
            Self::NotListed => "not-listed",
            Self::WaveNotJudged => "wave-not-judged",
            Self::PartFailed => "part-failed",
            Self::BrokeGlass => "broke-glass",
            Self::ReviewForgotten => "review-forgotten",
            Self::NotReady => "not-ready",
            Self::ReadyAgain => "ready-again",
        }
    }
}

impl Effect {
    /// Which slot it occupies.
    pub fn slot(&self) -> Slot {
        match self {
            Self::AskTriggers { .. } => Slot::Triggers,
            Self::Preflight { .. } | Self::ClearCandidate => Slot::Candidate,
            Self::WatchProduction { .. } => Slot::Watch,
            Self::WatchReadiness { .. } => Slot::Readiness,
            Self::Examine { .. } => Slot::Probation,
            Self::MarkHold { version, .. } => Slot::Hold(version.clone()),
            Self::Promote { .. } => Slot::Promotion,
            Self::Pin { version } => Slot::Pin(version.clone()),
            Self::Fingerprint { .. } => Slot::Fingerprint,
            Self::StartRun { .. } | Self::LookAtRun { .. } | Self::StopRun { .. } => Slot::Run,
            Self::Announce(outgoing) => Slot::Announcement(outgoing.id.clone()),
            Self::WakeAt(_) => Slot::Timer,
            _ => Slot::Incident,
        }
    }

    /// Whether it may be stopped half-way. A shift needs its intent first. A promotion or a mark that was stopped could still arrive, after the
    /// one that came in its place, and so could a candidate, after it was taken away, and a run, after it was found not to be there.
    pub const fn is_harmless(&self) -> bool {
        !matches!(
            self,
            Self::Shift { .. }
                | Self::Repeat { .. }
                | Self::Promote { .. }
                | Self::MarkHold { .. }
                | Self::Preflight { .. }
                | Self::ClearCandidate
                | Self::StartRun { .. }
        )
    }

    /// Whether what a host that ends leaves of it half done is put in order by the next start: nobody waits for it to end.
    pub const fn is_made_good(&self) -> bool {
        self.is_harmless()
            || matches!(self, Self::Preflight { .. } | Self::ClearCandidate | Self::MarkHold { .. })
    }
}
