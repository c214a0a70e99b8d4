//! The bodies of the API, as host and clients exchange them.

mod from_state;
mod orders;
mod runs;
pub(crate) mod sets;

use std::collections::BTreeMap;

use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::facet::{FacetRead, Revision};
use ripcord_core::fact::{Change, Outcome};
use ripcord_core::live::Proof;
use ripcord_core::name::{IncidentId, PersonName, PolicyName, RoleName, ServiceName, SetId, VersionName};
use ripcord_core::plan::{Plan, Quorum};
use ripcord_core::service::{Review, Tally};
use ripcord_core::signal::{Label, Signal};
use ripcord_core::standing::Standing;
use ripcord_core::target::{Strategy, Target};
use ripcord_core::terms::Mode;
use ripcord_core::time::UnixMillis;
use ripcord_engine::view::{IncidentView, Ranking};
use ripcord_engine::{FacetTargets, HeldUp, Makeable, PartReadiness};
use serde::{Deserialize, Serialize};

pub use orders::{
    AdoptBody, AnswerBody, CheckpointBody, DataBody, Done, DoneOne, LiftBody, PullBody, ReasonBody,
    RetrainBody, VoteBody,
};
pub use runs::{RunLine, RunOf};
pub use sets::{ConsistentLine, SetMemberLine, SetPartLine, SetPullBody, SetRunLine, SetRunView, SetView};

/// Whom a token stands for, and who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The person's name in the host's configuration.
    pub person: PersonName,
    /// What they may do.
    pub roles: Vec<RoleName>,
    /// Of the host's store: each plan names it.
    pub installation: Digest,
    /// Of the host's program.
    pub release: String,
}

/// Something of several services. Of those that are damaged nothing is known, so they are told beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfEach<T> {
    /// Of all services that could be read.
    pub lines: Vec<T>,
    /// Services whose journals cannot be read, and why.
    pub damaged: BTreeMap<ServiceName, String>,
}

/// A hold and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldOf {
    /// Of which service.
    pub service: ServiceName,
    /// The hold.
    #[serde(flatten)]
    pub hold: HoldLine,
}

/// A condemned data revision of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondemnedDataOf {
    /// Of which service.
    pub service: ServiceName,
    /// Which: `DATASET@REVISION`.
    pub data: DataRevision,
    /// Which incident condemned it, where one did.
    pub incident: Option<IncidentId>,
    /// Who condemned it, where a person did.
    pub person: Option<PersonName>,
    /// Since when.
    pub since: UnixMillis,
}

/// An alert that is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideAlert {
    /// Of which service.
    pub service: ServiceName,
    /// Triggers that fault on it; none where it is too large for any.
    pub by: Vec<PolicyName>,
    /// When it came first.
    pub first_seen_at: UnixMillis,
    /// How often it came.
    pub count: u64,
    /// Its rule, or what is shown where its content is gone.
    pub rule: String,
    /// Its labels, each cut.
    pub labels: Vec<Label>,
}

/// How far an incident is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentState {
    /// Its id.
    pub id: IncidentId,
    /// In words: `waiting for approval`, `shifting`, `settled` …
    pub phase: String,
    /// How it ended; `open` while it has not.
    pub outcome: Outcome,
    /// When it opened.
    pub opened_at: UnixMillis,
    /// Whether a shift was begun: from here on nothing can be undone.
    pub past_pivot: bool,
    /// What approvals are given to, if there is a plan.
    pub plan: Option<Digest>,
    /// Who must agree while it waits for approval.
    pub wanted: Vec<Quorum>,
    /// The same with who has agreed and who may.
    #[serde(default)]
    pub tally: Vec<Tally>,
    /// Since when it waits for people, while it does.
    #[serde(default)]
    pub waits_since: Option<UnixMillis>,
    /// When the plan at hand expires.
    #[serde(default)]
    pub expires_at: Option<UnixMillis>,
    /// Why people must agree although policies may have granted it, such as the breaker.
    #[serde(default)]
    pub because: Option<String>,
    /// What a person is asked, if one is.
    pub needs: Option<String>,
    /// Events of the service so far: grows with every change.
    pub length: u64,
}

/// A hold on a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldLine {
    /// On what: a version, or `NAME=REVISION` of a configuration.
    pub revision: Revision,
    /// Which incident condemned it.
    pub incident: IncidentId,
    /// Since when.
    pub since: UnixMillis,
    /// `stands`, `broken` or `lifted`.
    pub state: String,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionLine {
    /// The version.
    pub version: VersionName,
    /// The digest that is pinned.
    pub digest: Option<Digest>,
    /// Now.
    pub standing: Standing,
    /// Since when.
    pub since: UnixMillis,
    /// When it ends by age.
    pub expires_at: Option<UnixMillis>,
    /// Incidents that condemned it.
    pub condemned_by: Vec<IncidentId>,
}

/// A facet beside the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetLine {
    /// What is in force: `NAME=REVISION` of a configuration, or `fallback=MODE`.
    pub revision: Revision,
    /// Of its content, where known.
    pub digest: Option<Digest>,
    /// How that was proved.
    pub proof: Proof,
    /// Now.
    pub standing: Standing,
    /// Whether it can still be read: if not, people were told.
    pub can_be_read: bool,
}

/// A version, and whether a rollback may go to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionDetail {
    /// What is known of it.
    #[serde(flatten)]
    pub line: VersionLine,
    /// When it was made, where the registry says so.
    pub created_at: Option<UnixMillis>,
    /// Why no rollback goes to it by itself; none if one may.
    pub why_not: Option<String>,
}

/// The versions of a service, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionsView {
    /// Which.
    pub service: ServiceName,
    /// One by one.
    pub versions: Vec<VersionDetail>,
    /// Why the registry's list is missing, where it is.
    pub not_listed: Option<String>,
}

/// What of a service could be restored now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsView {
    /// Which.
    pub service: ServiceName,
    /// How far policies may go; none where the service was never configured.
    pub mode: Option<Mode>,
    /// Who stopped all acting, if someone did.
    pub paused_by: Option<PersonName>,
    /// One by one: the model, the configurations, the fallback.
    pub facets: Vec<FacetTargets>,
    /// What versions could be made of; none where nothing makes any, where another facet is asked for, or nobody could be asked.
    #[serde(default)]
    pub makes: Option<Makeable>,
}

/// Whether a service could be rolled back right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessView {
    /// Which.
    pub service: ServiceName,
    /// When it was looked at.
    pub at: UnixMillis,
    /// Whether every part that is wanted is ready.
    pub is_ready: bool,
    /// How many parts are.
    pub ready: usize,
    /// How many are wanted.
    pub wanted: usize,
    /// Part by part.
    pub parts: Vec<PartReadiness>,
}

/// What moved of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangesView {
    /// Of which service.
    pub service: ServiceName,
    /// From when on.
    pub since: UnixMillis,
    /// The open incident, else the last one.
    pub incident: Option<IncidentId>,
    /// When its harm began, as far as is known; else when it opened.
    pub harm_began_at: Option<UnixMillis>,
    /// Newest first.
    pub changes: Vec<Change>,
    /// What could not be looked into, and why.
    pub gaps: Vec<String>,
    /// What a planner suspects: that of the incident, or one that was asked for this answer; none where none was asked.
    #[serde(default)]
    pub ranking: Option<Ranking>,
    /// Why a planner that was to be asked for this answer did not rank them.
    #[serde(default)]
    pub not_ranked: Option<String>,
}

/// What is live, as read for this answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveLine {
    /// In words: `1.4.0`, `1.4.0 90 %, 1.5.0 10 %`, `unknown: …`.
    pub state: String,
    /// The version, if one takes all traffic.
    pub version: Option<VersionName>,
    /// How it was proved.
    pub proof: Option<Proof>,
    /// When it was observed.
    pub observed_at: Option<UnixMillis>,
    /// What is in force beside the model, read for this answer too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<FacetNow>,
}

/// A facet beside the model, as read for this answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetNow {
    /// What is in force, or why that is not known.
    #[serde(flatten)]
    pub read: FacetRead<String>,
    /// Of what is in force, now; none where that is not known.
    pub standing: Option<Standing>,
    /// When it was read, as whoever read it says; none where it did not answer.
    pub observed_at: Option<UnixMillis>,
}

/// What is live, as the host's own watch saw it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenLine {
    /// The versions that have a share of the traffic, in words.
    pub state: String,
    /// Whether it can still be read: if not, people were told.
    pub can_be_read: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// How far policies may go.
    pub mode: Mode,
    /// Such as `production`.
    pub environment: String,
    /// The model's name in its registry.
    pub model: String,
    /// Who stopped all acting, if someone did.
    pub paused_by: Option<PersonName>,
    /// What was done by breaking the glass and nobody has looked at since.
    #[serde(default)]
    pub reviews: Vec<Review>,
    /// What holds its driver up, if something does.
    pub stuck: Option<String>,
    /// Why old content is not erased, where it should be.
    #[serde(default)]
    pub not_erased: Option<String>,
    /// Steps that wait for a system that does not answer.
    #[serde(default)]
    pub held_up: Vec<HeldUp>,
    /// Only where it was asked for: `?live=true`.
    pub live: Option<LiveLine>,
    /// What the host's own watch saw last; none before its first look.
    #[serde(default)]
    pub seen: Option<SeenLine>,
    /// The open incident.
    pub incident: Option<IncidentState>,
    /// The last one that ended.
    pub last_settled: Option<IncidentState>,
    /// What someone else put live, until it is known whether it is well.
    pub probation: Option<ProbationLine>,
    /// By name.
    pub versions: Vec<VersionLine>,
    /// What is in force of the facets beside the model, as it was seen last.
    #[serde(default)]
    pub facets: Vec<FacetLine>,
    /// What the registry's other names point at, as the host's own watch saw it last: aliases, stages.
    #[serde(default)]
    pub aliases: Vec<Alias>,
    /// Holds, lifted ones left out.
    pub holds: Vec<HoldLine>,
    /// Announcements that are still to be delivered.
    pub announcements_waiting: usize,
    /// Runs that make versions: the one that goes on, and the last ones that ended, newest first.
    #[serde(default)]
    pub runs: Vec<RunLine>,
    /// The run of a set that has enlisted it, while it has.
    #[serde(default)]
    pub enlisted_by: Option<SetId>,
    /// Triggers that open no incident now.
    #[serde(default)]
    pub latches: Vec<LatchLine>,
    /// What is known of alerts.
    #[serde(default)]
    pub alerts: AlertsLine,
    /// That triggers lack data.
    #[serde(default)]
    pub no_data: Option<NoDataLine>,
    /// Why it is not protected, where it is not.
    #[serde(default)]
    pub unprotected: Vec<String>,
    /// What will keep it from being protected if nobody does anything.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Since when triggers lack data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoDataLine {
    /// Since when.
    pub since: UnixMillis,
    /// Those that cannot judge, by name.
    pub cannot_judge: Vec<PolicyName>,
    /// Those that judge although a query selects nothing, by name.
    pub take_it_for_a_value: Vec<PolicyName>,
}

/// A trigger that opens no incident, since the last one ended without a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatchLine {
    /// Which trigger.
    pub trigger: PolicyName,
    /// Which incident ended.
    pub incident: IncidentId,
    /// How.
    pub outcome: Outcome,
    /// Since when.
    pub since: UnixMillis,
    /// Until when, if there is no news.
    pub until: UnixMillis,
    /// How often it has found a reason since.
    pub held_back: u64,
}

/// The alerts that the triggers judge, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertsLine {
    /// Kept as they stand.
    pub kept: usize,
    /// Of these, not judged yet.
    pub waiting: usize,
    /// Had to make room for others after they were judged.
    pub left_out: u64,
    /// A trigger faults on them, or they are too large for any.
    pub set_aside: usize,
    /// Fire, and say that data are missing or a rule is broken.
    #[serde(default)]
    pub without_data: usize,
}

/// What someone else put live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbationLine {
    /// What of it nobody has verified: versions, or `NAME=REVISION` of configurations.
    pub unproven: Vec<Revision>,
    /// When it was noticed.
    pub since: UnixMillis,
    /// How often the verification policies were asked.
    pub asked: u32,
    /// When it is given up to verify it, at the latest.
    pub ends_at: UnixMillis,
}

/// A line of the incident list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentListLine {
    /// Its id.
    pub id: IncidentId,
    /// Of which service.
    pub service: ServiceName,
    /// When it opened.
    pub opened_at: UnixMillis,
    /// When it ended.
    pub settled_at: Option<UnixMillis>,
    /// Of its last plan.
    pub strategy: Option<Strategy>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was served in the end.
    pub target: Option<Target>,
    /// One sentence.
    pub summary: String,
}

/// A plan and what approvals are given to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// See [`Plan::digest`].
    pub digest: Digest,
    /// The plan.
    pub plan: Plan,
    /// When it expires: later than it says where the host's clock has jumped forward since. The host's word, and no part of what is signed.
    pub expires_at: Option<UnixMillis>,
    /// Why the incident was opened, or pulled. The host's word, and no part of what is signed.
    #[serde(default)]
    pub cause: String,
    /// Whose word it waits for, while it does.
    #[serde(default)]
    pub tally: Vec<Tally>,
    /// Since when it waits for people, while it does.
    #[serde(default)]
    pub waits_since: Option<UnixMillis>,
    /// What the planner suspects; none where no planner was asked. The host's word, and no part of what is signed.
    #[serde(default)]
    pub ranking: Option<Ranking>,
}

impl PlanView {
    /// The plan at hand of an incident; none if it has none.
    pub(crate) fn of(view: IncidentView) -> Option<Self> {
        Some(Self {
            digest: view.plan_digest?,
            plan: view.plan?,
            expires_at: view.plan_expires_at,
            cause: view.cause,
            tally: view.tally,
            waits_since: view.waits_since,
            ranking: view.ranking,
        })
    }
}

/// A signal that no service judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnroutedSignal {
    /// From which source.
    pub source: Option<String>,
    /// How often it came.
    pub times: u32,
    /// Why no service has it.
    pub why: String,
    /// The signal.
    pub signal: Signal,
}
