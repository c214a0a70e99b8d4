//! The bodies of the API, as host and clients exchange them.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::event::{DataState, Happened, PendingPlan};
use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::name::{IncidentId, PersonName, PolicyName, RoleName, ServiceName, VersionName};
use ripcord_core::plan::{Leaving, Plan, Quorum};
use ripcord_core::role::Urgency;
use ripcord_core::service::{HoldState, Latch, Service, Tally};
use ripcord_core::signal::{Label, Signal};
use ripcord_core::standing::Standing;
use ripcord_core::target::{Strategy, Target};
use ripcord_core::terms::Mode;
use ripcord_core::time::UnixMillis;
use ripcord_engine::HeldUp;
use ripcord_engine::view::IncidentView;
use ripcord_ports::store::{IncidentLine, StoredSignal};
use serde::{Deserialize, Serialize};

use super::unroutable;
use crate::output::natural;

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

/// A hold on a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldLine {
    /// The version.
    pub version: VersionName,
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
    /// The open incident.
    pub incident: Option<IncidentState>,
    /// The last one that ended.
    pub last_settled: Option<IncidentState>,
    /// What someone else put live, until it is known whether it is well.
    pub probation: Option<ProbationLine>,
    /// By name.
    pub versions: Vec<VersionLine>,
    /// Holds, lifted ones left out.
    pub holds: Vec<HoldLine>,
    /// Announcements that are still to be delivered.
    pub announcements_waiting: usize,
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
    /// Which version.
    pub version: VersionName,
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

/// `POST services/{service}/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// None leaves it to the planner.
    #[serde(default)]
    pub to: Option<VersionName>,
    /// Why.
    pub reason: String,
    /// How fast; routine if not given.
    #[serde(default)]
    pub urgency: Option<Urgency>,
    /// The open incident that it is to join; none joins whichever is open, or opens one.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// What becomes of the versions that are left; condemned if not given.
    #[serde(default)]
    pub leaving: Leaving,
    /// What becomes of a plan that waits already; it stays, and the pull is refused, if not given.
    #[serde(default)]
    pub pending: PendingPlan,
}

/// `POST incidents/{id}/approve` and `…/refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    /// The plan's digest: a vote for another plan than the one at hand does not count.
    pub plan: Digest,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Ed25519 over [`ripcord_core::plan::VoteStatement::signed_bytes`], in hexadecimal; none is a vote by token.
    #[serde(default)]
    pub signature: Option<String>,
    /// The key, in hexadecimal; it must be the person's configured one.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Who signed, where the request carries no token: the signature says it.
    #[serde(default)]
    pub person: Option<PersonName>,
}

/// Any command that needs only a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// Why.
    pub reason: String,
}

/// `POST incidents/{id}/answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    /// Whether the interrupted shift happened.
    pub happened: Happened,
    /// Which of the incident's questions it answers, counted from one; the first if not given.
    #[serde(default = "first")]
    pub question: u32,
    /// How the person knows.
    pub reason: String,
}

const fn first() -> u32 {
    1
}

/// `POST services/{service}/holds/{version}/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftBody {
    /// The incident that condemned it; none is whichever did. With it, a hold of another incident is not lifted.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// Why.
    pub reason: String,
}

/// `POST services/{service}/adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptBody {
    /// None is the one that is live.
    #[serde(default)]
    pub version: Option<VersionName>,
    /// Why the person vouches.
    pub reason: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The open incident, or the one that the command ended.
    pub incident: Option<IncidentId>,
    /// One sentence.
    pub text: String,
}

/// What became of a command to one of all services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneOne {
    /// Which service.
    pub service: ServiceName,
    /// Whether the service is now as asked.
    pub done: bool,
    /// One sentence.
    pub text: String,
}

impl IncidentState {
    /// The open incident, or the last settled one, of a service.
    pub(crate) fn of(service: &Service, incident: &ripcord_core::service::Incident) -> Self {
        use ripcord_core::service::Phase;
        let (outcome, wanted, needs) = match &incident.phase {
            Phase::Settled(outcome) => (outcome.clone(), Vec::new(), None),
            Phase::Authorising(authorising) => (Outcome::Open, service.wanted(authorising), None),
            Phase::NeedsPerson(need) => (Outcome::Open, Vec::new(), Some(need.text.clone())),
            _ => (Outcome::Open, Vec::new(), None),
        };
        let is_open = service.incident.as_ref().is_some_and(|open| open.id == incident.id);
        let because = match &incident.phase {
            Phase::Authorising(authorising) => authorising.people_because.clone(),
            _ => None,
        };
        Self {
            id: incident.id.clone(),
            phase: incident.phase_name().to_owned(),
            outcome,
            opened_at: incident.marks.opened_at,
            past_pivot: incident.is_past_pivot(),
            plan: incident.plan().map(|plan| plan.digest),
            wanted,
            tally: if is_open { service.tally() } else { Vec::new() },
            waits_since: incident.waits_since(),
            expires_at: incident.plan_expires_at().filter(|_| is_open),
            because,
            needs,
            length: service.length,
        }
    }
}

impl ProbationLine {
    /// Of a service, if it has one.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let probation = service.probation.as_ref()?;
        Some(Self {
            version: probation.version.version.clone(),
            since: probation.since,
            asked: probation.round - 1,
            ends_at: service.probation_ends_at()?,
        })
    }
}

impl LatchLine {
    /// All of a service.
    pub(crate) fn all(service: &Service) -> Vec<Self> {
        let line = |(trigger, latch): (&PolicyName, &Latch)| Self {
            trigger: trigger.clone(),
            incident: latch.incident.clone(),
            outcome: latch.outcome.clone(),
            since: latch.since,
            until: service.unlatched_at(latch),
            held_back: latch.held_back,
        };
        service.watching.latches.iter().map(line).collect()
    }
}

impl NoDataLine {
    /// Of a service.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let watching = &service.watching;
        let with = |wanted: DataState| {
            let all = watching.no_data_of.iter();
            all.filter(|(_, data)| **data == wanted).map(|(name, _)| name.clone()).collect()
        };
        Some(Self {
            since: watching.no_data_since?,
            cannot_judge: with(DataState::Missing),
            take_it_for_a_value: with(DataState::NothingSelected),
        })
    }
}

impl AlertsLine {
    /// Of a service.
    pub(crate) fn of(service: &Service) -> Self {
        let alerts = &service.watching.alerts;
        Self {
            kept: alerts.len(),
            waiting: alerts.waiting(),
            left_out: alerts.left_out(),
            set_aside: alerts.set_aside_of().len(),
            without_data: alerts.blind(),
        }
    }
}

impl HoldLine {
    /// All holds of a service, lifted ones left out.
    pub(crate) fn all(service: &Service) -> Vec<Self> {
        let standing = service.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        standing
            .map(|(version, hold)| Self {
                version: version.clone(),
                incident: hold.incident.clone(),
                since: hold.since,
                state: match hold.state {
                    HoldState::Stands => "stands",
                    HoldState::Broken => "broken",
                    HoldState::Lifted => "lifted",
                }
                .to_owned(),
            })
            .collect()
    }
}

impl VersionLine {
    /// All that is known of a service's versions.
    pub(crate) fn all(service: &Service, now: UnixMillis) -> Vec<Self> {
        let mut all: Vec<_> = service
            .versions
            .iter()
            .map(|(version, known)| Self {
                version: version.clone(),
                digest: known.digest,
                standing: service.standing_of(version, now),
                since: known.since,
                expires_at: service.expires_at(version),
                condemned_by: known.condemned_by.clone(),
            })
            .collect();
        all.sort_by(|one, other| natural::compare(one.version.as_str(), other.version.as_str()));
        all
    }
}

impl From<IncidentLine> for IncidentListLine {
    fn from(line: IncidentLine) -> Self {
        let incident = line.incident;
        Self {
            id: incident.id,
            service: line.service,
            opened_at: incident.opened_at,
            settled_at: incident.settled_at,
            strategy: incident.strategy,
            outcome: incident.outcome,
            target: incident.target,
            summary: line.summary,
        }
    }
}

impl From<StoredSignal> for UnroutedSignal {
    fn from(stored: StoredSignal) -> Self {
        Self {
            source: stored.source.map(|name| name.to_string()),
            times: stored.times,
            why: unroutable::why(&stored.signal).unwrap_or("no route takes it").to_owned(),
            signal: stored.signal,
        }
    }
}
