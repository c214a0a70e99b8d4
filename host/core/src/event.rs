//! What happened to a service. Stored, never changed. Free content stands behind [`BlobRef`]s.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::live::{LiveState, Share};
use crate::name::{PersonName, RoleName, SignalId, VersionName};
use crate::plan::{Quorum, Vote};
use crate::policy::PolicyRef;
use crate::policy::Role;
use crate::role::Urgency;
use crate::signal::{Origin, Severity, SignalStatus};
use crate::target::{Strategy, Target, VersionTarget};
use crate::terms::Terms;
use crate::time::{Millis, UnixMillis};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The effective configuration, at start and at every change.
    Configured(Configured),
    /// A signal left the intake and entered the journal.
    SignalTaken(SignalTaken),
    /// The trigger policies were asked.
    TriggersAsked(TriggersAsked),
    /// A person asked for a rollback.
    PullRequested(PullRequested),
    /// Evidence was preserved, as far as it could be.
    EvidencePreserved(EvidencePreserved),
    /// The planner was asked, or a person's target was taken; the result.
    Planned(Planned),
    /// The approval policies were asked.
    ApprovalsAsked(ApprovalsAsked),
    /// A person's word on the plan.
    Voted(Voted),
    /// A rung's artefact is at hand.
    Staged(Staged),
    /// A rung's artefact is not at hand.
    StageFailed(StageFailed),
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
    /// A trial was run.
    TrialRan(TrialRan),
    /// The verification policies were asked.
    VerificationsAsked(VerificationsAsked),
    /// Live was read while a hold stands.
    LiveWatched(LiveWatched),
    /// A hold was written to the registry, lifted there, or could not be.
    HoldMarked(HoldMarked),
    /// People were told, or all attempts failed.
    Announced(Announced),
    /// A person stopped the incident before the pivot.
    Aborted(PersonSaid),
    /// A person said that it is no incident, or that it is settled.
    Dismissed(PersonSaid),
    /// A person stopped all acting on this service.
    Paused(PersonSaid),
    /// A person let it go on.
    Resumed(PersonSaid),
    /// A person lifted a hold.
    HoldLifted(AboutVersion),
    /// A person vouched for a version.
    Adopted(Adopted),
    /// An instant that was waited for has come.
    Woke,
    /// The host's clock jumped forward; deadlines that wait for people move with it.
    ClockJumped {
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

/// A signal in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalTaken {
    /// Which.
    pub signal: SignalId,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the alert holds.
    pub status: SignalStatus,
    /// How bad it is.
    pub severity: Severity,
    /// When the alert began.
    pub started_at: UnixMillis,
    /// When it was taken in.
    pub received_at: UnixMillis,
    /// All of it.
    pub content: BlobRef,
}

/// Whether the same call would fault again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultNature {
    /// It would.
    Deterministic,
    /// It may not: wall clock, pool exhausted.
    Environmental,
}

/// One policy call, from the first round to the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Who was asked.
    pub policy: PolicyRef,
    /// What.
    pub role: Role,
    /// Everything that the call was given and gave: enough to run it again.
    pub recording: BlobRef,
    /// Over all rounds.
    #[serde(with = "crate::time::text_u64")]
    pub fuel: u64,
    /// Calls.
    pub rounds: u32,
    /// Whether a fact that it was given had no value.
    pub data: DataState,
}

/// Whether a decision had all it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataState {
    /// It had.
    Complete,
    /// Something was missing.
    Missing,
}

/// What a policy said, or that it faulted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said<V> {
    /// Its verdict.
    Verdict(V),
    /// Not a verdict.
    Fault(FaultNature),
}

/// A trigger's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerWord {
    /// No reason.
    Ignore,
    /// Ask again at this instant.
    Watch(UnixMillis),
    /// A reason.
    RollBack(Reason),
    /// The reason is gone.
    StandDown(BlobRef),
}

/// A reason to roll back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// For people.
    pub cause: BlobRef,
    /// What would help.
    pub strategy: Strategy,
    /// How fast.
    pub urgency: Urgency,
    /// When it began, where known.
    pub harm_began_at: Option<UnixMillis>,
    /// What the trigger knew (CBOR of the [`crate::fact::Fact`]s); none for a person.
    pub facts: Option<BlobRef>,
}

/// What a policy wrote to remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoRef {
    /// Version of the policy that wrote it.
    pub written_by: String,
    /// The memo.
    pub content: BlobRef,
}

/// One trigger that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<TriggerWord>,
    /// What it remembers now; none leaves nothing. A fault keeps the old.
    pub memo: Option<MemoRef>,
}

/// All triggers, asked about the same signals at the same instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggersAsked {
    /// The signals they were given.
    pub signals: Vec<SignalId>,
    /// In the order of the configuration.
    pub asked: Vec<TriggerAsked>,
}

/// A person's wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullRequested {
    /// Who.
    pub person: PersonName,
    /// Their roles at the time.
    pub roles: Vec<RoleName>,
    /// Where to; none leaves it to the planner.
    pub target: Option<Target>,
    /// Why.
    pub reason: BlobRef,
    /// How fast.
    pub urgency: Urgency,
}

/// What is live, without free text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// All that is served.
    Serving(Vec<Share>),
    /// It could not be read; why.
    Unknown(BlobRef),
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// Such as `request-log`.
    pub name: String,
    /// Of the content, which names its file in the evidence folder.
    pub digest: Digest,
    /// Its size.
    #[serde(with = "crate::time::text_u64")]
    pub bytes: u64,
}

/// One piece that could not be preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceGap {
    /// Such as `request-log`.
    pub name: String,
    /// Why.
    pub reason: BlobRef,
}

/// What was preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidencePreserved {
    /// What there is.
    pub items: Vec<EvidenceItem>,
    /// What there is not.
    pub missing: Vec<EvidenceGap>,
    /// What was live.
    pub live: Observed,
    /// What is known of the service before the shift (CBOR of the [`crate::fact::Fact`]s): the golden data through what is live.
    pub facts: Option<BlobRef>,
}

/// A plan in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDrafted {
    /// All of it.
    pub content: BlobRef,
    /// What approvals are given to.
    pub digest: Digest,
    /// Within the incident, from one.
    pub number: u32,
    /// How.
    pub strategy: Strategy,
    /// The ladder.
    pub targets: Vec<Target>,
    /// As observed when it was made.
    pub live: Observed,
    /// When it expires.
    pub expires_at: UnixMillis,
}

/// What planning gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanWord {
    /// A plan.
    Drafted(PlanDrafted),
    /// There is nothing to go back to; why each was refused.
    NothingSuitable(BlobRef),
    /// The model is not the cause.
    WillNotHelp(BlobRef),
    /// The planner faulted, or the registry did not answer; why.
    Failed {
        /// For people.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
}

/// The planner was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// None where a person named the target.
    pub decision: Option<Decision>,
    /// The result.
    pub word: PlanWord,
}

/// An approval policy's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalWord {
    /// Enough people agree.
    Granted,
    /// Not yet.
    Waiting {
        /// All of these.
        quorums: Vec<Quorum>,
        /// Then the plan expires.
        expires_at: UnixMillis,
        /// When to call for more people.
        escalate_at: Option<UnixMillis>,
        /// Whom.
        escalate_to: Option<BlobRef>,
    },
    /// It must not be done.
    Refused(BlobRef),
}

/// One approval policy that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<ApprovalWord>,
}

/// All approval policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalsAsked {
    /// About which plan.
    pub plan: Digest,
    /// How many votes they were shown.
    pub votes: u32,
    /// In the order of the configuration.
    pub asked: Vec<ApprovalAsked>,
}

/// A person's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voted {
    /// On which plan.
    pub plan: Digest,
    /// Who and what.
    pub vote: Vote,
    /// The signature (64 bytes) with the public key (32 bytes), hexadecimal, where it was signed.
    pub signature: Option<BlobRef>,
    /// What they wrote.
    pub reason: Option<BlobRef>,
}

/// A rung's artefact is at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Staged {
    /// Counted from zero.
    pub rung: u32,
    /// Of the whole artefact; none for targets without one.
    pub digest: Option<Digest>,
}

/// A rung's artefact is not at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageFailed {
    /// Counted from zero.
    pub rung: u32,
    /// Why.
    pub reason: BlobRef,
    /// Whether trying again makes sense.
    pub nature: FaultNature,
}

/// Live, immediately before the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardRead {
    /// Counted from zero.
    pub rung: u32,
    /// As observed.
    pub live: Observed,
    /// Automatic shifts of all services of this host within the last hour.
    pub host_shifts: u32,
}

/// The intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftBegan {
    /// Counted from zero.
    pub rung: u32,
    /// Counted from one.
    pub attempt: u32,
}

/// What a shift call came back with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShiftOutcome {
    /// The system says that it is done.
    Done,
    /// The system works on it.
    Underway,
    /// Nothing changed; why.
    NotApplied {
        /// For people.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
    /// It may have happened; why that is not known.
    Unknown(BlobRef),
}

/// The shift call came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftReturned {
    /// Counted from zero.
    pub rung: u32,
    /// Counted from one.
    pub attempt: u32,
    /// With what.
    pub outcome: ShiftOutcome,
}

/// What a probe has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeWord {
    /// It happened.
    Applied,
    /// It did not, and is not under way.
    NotApplied,
    /// It is under way.
    Underway,
    /// The system cannot tell.
    CannotTell(BlobRef),
    /// The system did not answer: ask again.
    NoAnswer(BlobRef),
}

/// The world was asked what became of the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftProbed {
    /// Counted from zero.
    pub rung: u32,
    /// Counted from one.
    pub attempt: u32,
    /// What it showed.
    pub word: ProbeWord,
}

/// A person said what became of the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftAnswered {
    /// Who.
    pub person: PersonName,
    /// Whether it happened.
    pub applied: Happened,
    /// What they wrote.
    pub reason: BlobRef,
}

/// Whether an effect happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// It did.
    Applied,
    /// It did not.
    NotApplied,
}

/// Live after the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Counted from zero.
    pub rung: u32,
    /// As observed.
    pub live: Observed,
}

/// A trial was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRan {
    /// Counted from zero.
    pub rung: u32,
    /// Round of the verification, from one.
    pub round: u32,
    /// Of the request's CBOR.
    pub request: Digest,
    /// The fact (CBOR of [`crate::fact::Fact`]).
    pub result: BlobRef,
}

/// A verification policy's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationWord {
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
    /// Ask again at this instant.
    Inconclusive(UnixMillis),
}

/// One verification policy that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<VerificationWord>,
    /// What it found (JSON).
    pub findings: Option<BlobRef>,
    /// What it remembers now.
    pub memo: Option<MemoRef>,
}

/// All verification policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationsAsked {
    /// Counted from zero.
    pub rung: u32,
    /// From one.
    pub round: u32,
    /// In the order of the configuration.
    pub asked: Vec<VerificationAsked>,
}

/// Live while a hold stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveWatched {
    /// As observed.
    pub live: Observed,
}

/// A hold and the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldMarked {
    /// Of which version.
    pub version: VersionName,
    /// None if it was written, else why not.
    pub failed: Option<BlobRef>,
}

/// People were told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// The announcement's id.
    pub id: String,
    /// None if someone was reached, else why nobody was.
    pub failed: Option<BlobRef>,
}

/// A person's command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonSaid {
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// A person's command about a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AboutVersion {
    /// Which.
    pub version: VersionName,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// A person vouched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// Which, with the digest that was pinned.
    pub version: VersionTarget,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

impl Observed {
    /// The same as a live state; the reason of an unknown one is not repeated.
    pub fn state(&self) -> LiveState {
        match self {
            Self::Serving(shares) => LiveState::Serving(shares.clone()),
            Self::Unknown(_) => LiveState::Unknown("it could not be read".into()),
        }
    }
}
