//! What each role is asked and what it answers. Mirrors the newest contract; older ones are converted at the sandbox.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::StandingAlert;
use crate::digest::Digest;
use crate::facet::Facet;
use crate::fact::{Fact, Request};
use crate::name::{IncidentId, ServiceName, VersionName};
use crate::plan::{Plan, Quorum};
use crate::policy::Role;
use crate::ratio::Ratio;
use crate::signal::{Label, Severity};
use crate::target::{Strategy, Target, VersionTarget};
use crate::time::{Millis, UnixMillis};
use crate::wave::WaveOf;

/// How much harm a wrong answer of the service does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Criticality {
    Low,
    Medium,
    High,
    Other(String),
}

/// The service as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Its name.
    pub name: ServiceName,
    /// Such as `production`.
    pub environment: String,
    /// As configured.
    pub criticality: Criticality,
    /// The model's name in its registry.
    pub model: String,
    /// As configured.
    pub labels: Vec<Label>,
}

/// What a policy remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// Version of the policy that wrote it.
    pub written_by: String,
    /// As the policy wrote them.
    pub bytes: Vec<u8>,
}

/// What every policy is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The protected service.
    pub service: ServiceFacts,
    /// None while there is none.
    pub incident: Option<IncidentId>,
    /// Frozen for the decision.
    pub now: UnixMillis,
    /// JSON that fits the manifest's schema.
    pub settings: String,
    /// A practice run.
    pub drill: bool,
    /// Since when what is live is live, where the host has seen it begin.
    #[serde(default)]
    pub live_since: Option<UnixMillis>,
    /// What the policy wrote last.
    pub memo: Option<Memo>,
}

/// How fast people and rules must be. Later ones compare greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Urgency {
    Other(String),
    Routine,
    Urgent,
    Emergency,
}

/// A reason to roll back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// For people: what is wrong, with the numbers.
    pub cause: String,
    /// What the trigger thinks would help.
    pub strategy: Strategy,
    /// How fast.
    pub urgency: Urgency,
    /// When it began, where known.
    pub harm_began_at: Option<UnixMillis>,
}

/// One check of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// Whether it is well.
    pub passed: bool,
    /// For people.
    pub observed: String,
    /// For people.
    pub expected: String,
}

/// A remark kept with the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How bad.
    pub severity: Severity,
    /// For people.
    pub text: String,
}

/// Asked of a trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerInput {
    /// What every policy is told.
    pub context: Context,
    /// Those that are judged now, oldest first.
    pub signals: Vec<StandingAlert>,
    /// All so far.
    pub facts: Vec<Fact>,
}

/// A trigger's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerVerdict {
    /// No reason.
    Ignore,
    /// Perhaps: ask again at this instant.
    Watch(UnixMillis),
    /// A reason.
    RollBack(Proposal),
    /// The reason is gone, and why.
    StandDown(String),
}

/// Asked of a planner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannerInput {
    /// What every policy is told.
    pub context: Context,
    /// The incident's.
    pub signals: Vec<StandingAlert>,
    /// Why.
    pub proposal: Proposal,
    /// Targets that this incident has tried.
    pub tried: Vec<Target>,
    /// All so far.
    pub facts: Vec<Fact>,
}

/// A target that was not chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedTarget {
    /// Which.
    pub target: Target,
    /// For people.
    pub reason: String,
}

/// A planner's choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// How.
    pub strategy: Strategy,
    /// Where to, best first.
    pub ladder: Vec<Target>,
    /// Why the others were not chosen.
    pub refused: Vec<RefusedTarget>,
    /// How sure the planner is that the first target takes the cause away; none if it does not say.
    pub confidence: Option<Ratio>,
}

/// A planner names at most so many suspects: people read the first few.
pub const SUSPECTS_MAX: usize = 64;

/// A change that may have done the harm, as a planner ranks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// What moved.
    pub what: Suspected,
    /// What was in force before; empty if unknown.
    pub was: Vec<VersionName>,
    /// What is in force since; empty if unknown.
    pub became: Vec<VersionName>,
    /// When, as the policy was told.
    pub at: UnixMillis,
    /// When the host looked last and did not see it yet.
    pub not_before: Option<UnixMillis>,
    /// Who moved it, where known.
    pub by: Option<String>,
    /// How it was noticed, in the contract's words.
    pub noticed: String,
    /// When what it became was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// How likely it did the harm.
    pub score: Ratio,
    /// For people: what counts for it and against it.
    pub reasons: Vec<String>,
}

/// What a suspect is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suspected {
    /// A facet of the service.
    Facet(Facet),
    /// What is no facet: data, the world. In the policy's words.
    Other(String),
}

impl fmt::Display for Suspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facet(facet) => facet.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// That going back does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoHelp {
    /// For people: what the cause is instead.
    pub reason: String,
    /// For people: who can help, where the planner knows.
    pub hand_over_to: Option<String>,
}

/// A planner's verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannerVerdict {
    /// This ladder.
    Choose(Choice),
    /// There is nothing to go back to; why each was refused.
    NothingSuitable(Vec<RefusedTarget>),
    /// Going back does not take the cause away.
    WillNotHelp(NoHelp),
}

/// Asked of an approval policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalInput {
    /// What every policy is told.
    pub context: Context,
    /// The incident's.
    pub signals: Vec<StandingAlert>,
    /// Why.
    pub proposal: Proposal,
    /// What will be done.
    pub plan: Plan,
    /// See [`Plan::digest`].
    pub plan_digest: Digest,
    /// When approval was first asked for; a clock that jumps moves it.
    pub opened_at: UnixMillis,
    /// How far the clock has jumped forward since the plan was made: added to its expiry, and no part of its age.
    pub clock_jumped: Millis,
    /// All so far.
    pub facts: Vec<Fact>,
}

/// What an approval policy waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// All of these.
    pub quorums: Vec<Quorum>,
    /// Then the plan expires.
    pub expires_at: UnixMillis,
    /// Whom to call if nobody answers.
    pub escalate_to: Option<String>,
    /// When.
    pub escalate_at: Option<UnixMillis>,
}

/// An approval policy's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalVerdict {
    /// Enough people agree.
    Granted,
    /// Not yet.
    Waiting(Requirement),
    /// It must not be done, and why.
    Refused(String),
}

/// What a verification policy judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// What a rollback brought back.
    Rollback(RollbackSubject),
    /// What a rollback is about to bring back: it answers beside what is live.
    Preflight(PreflightSubject),
    /// What a wave of a rollback has moved, while the rest serves what it served.
    Wave(WaveSubject),
    /// What someone else put live.
    Promotion(PromotionSubject),
}

/// A rung that was shifted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackSubject {
    /// Why.
    pub proposal: Proposal,
    /// What is being done.
    pub plan: Plan,
    /// See [`Plan::digest`].
    pub plan_digest: Digest,
    /// Which target is served now, counted from zero.
    pub rung: u32,
    /// When it was shifted to.
    pub shifted_at: UnixMillis,
}

/// A rung whose target is tried before anything is shifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreflightSubject {
    /// Why.
    pub proposal: Proposal,
    /// What is to be done.
    pub plan: Plan,
    /// See [`Plan::digest`].
    pub plan_digest: Digest,
    /// Which target is tried, counted from zero.
    pub rung: u32,
}

/// A wave of a rung, of which more are to come: what answers is the target in a part of the service alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveSubject {
    /// Why.
    pub proposal: Proposal,
    /// What is being done.
    pub plan: Plan,
    /// See [`Plan::digest`].
    pub plan_digest: Digest,
    /// Which target is shifted to, counted from zero.
    pub rung: u32,
    /// What was moved.
    pub wave: WaveOf,
    /// When the read-back showed it.
    pub shifted_at: UnixMillis,
}

/// A version that someone else put live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionSubject {
    /// What is live now.
    pub version: VersionTarget,
    /// What was live before, where that is known.
    pub before: Option<VersionTarget>,
    /// When it was seen live first.
    pub noticed_at: UnixMillis,
}

/// Asked of a verification policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationInput {
    /// What every policy is told.
    pub context: Context,
    /// What is judged.
    pub subject: Subject,
    /// The incident's; none for a promotion.
    pub signals: Vec<StandingAlert>,
    /// What was known before the shift; empty for a promotion.
    pub before: Vec<Fact>,
    /// What this policy found last time on the same subject.
    pub previous: Vec<Finding>,
    /// All so far.
    pub facts: Vec<Fact>,
}

/// A verification policy's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationVerdict {
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
    /// Ask again at this instant.
    Inconclusive(UnixMillis),
}

/// A question to a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Is this a reason to roll back?
    Trigger(TriggerInput),
    /// With what strategy, to which targets?
    Planner(PlannerInput),
    /// Who must agree, and is it enough now?
    Approval(ApprovalInput),
    /// Is the service well again?
    Verification(VerificationInput),
}

/// A policy's last word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A trigger's.
    Trigger(TriggerVerdict),
    /// A planner's, with what it suspects, most likely first.
    Planner(PlannerVerdict, Vec<Suspect>),
    /// An approval policy's.
    Approval(ApprovalVerdict),
    /// A verification policy's, with what it found.
    Verification(VerificationVerdict, Vec<Finding>),
}

/// A policy's whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What it decided.
    pub verdict: Verdict,
    /// What it remarked.
    pub notes: Vec<Note>,
    /// What it wants to remember; roles without memory leave it empty.
    pub memo: Vec<u8>,
}

/// What one call of a policy gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Fetch these and call again.
    Need(Vec<Request>),
    /// The end of the decision.
    Done(Answer),
}

impl Subject {
    /// The only version that a trial may name as its candidate: the one that answers beside what is live. None where trials go to what is live
    /// and to nothing else.
    pub fn candidate(&self) -> Option<&VersionTarget> {
        match self {
            Self::Preflight(PreflightSubject { plan, rung, .. }) => {
                plan.parts.first()?.rungs.get(*rung as usize)?.target.version()
            }
            Self::Rollback(_) | Self::Wave(_) | Self::Promotion(_) => None,
        }
    }
}

impl Question {
    /// The alerts that it is about.
    pub fn alerts(&self) -> &[StandingAlert] {
        match self {
            Self::Trigger(input) => &input.signals,
            Self::Planner(input) => &input.signals,
            Self::Approval(input) => &input.signals,
            Self::Verification(input) => &input.signals,
        }
    }

    /// Who is asked.
    pub const fn role(&self) -> Role {
        match self {
            Self::Trigger(_) => Role::Trigger,
            Self::Planner(_) => Role::Planner,
            Self::Approval(_) => Role::Approval,
            Self::Verification(_) => Role::Verification,
        }
    }

    /// What every policy is told.
    pub const fn context(&self) -> &Context {
        match self {
            Self::Trigger(input) => &input.context,
            Self::Planner(input) => &input.context,
            Self::Approval(input) => &input.context,
            Self::Verification(input) => &input.context,
        }
    }

    /// All facts so far.
    pub const fn facts(&self) -> &Vec<Fact> {
        match self {
            Self::Trigger(input) => &input.facts,
            Self::Planner(input) => &input.facts,
            Self::Approval(input) => &input.facts,
            Self::Verification(input) => &input.facts,
        }
    }

    /// All facts so far, to add to them.
    pub const fn facts_mut(&mut self) -> &mut Vec<Fact> {
        match self {
            Self::Trigger(input) => &mut input.facts,
            Self::Planner(input) => &mut input.facts,
            Self::Approval(input) => &mut input.facts,
            Self::Verification(input) => &mut input.facts,
        }
    }
}
