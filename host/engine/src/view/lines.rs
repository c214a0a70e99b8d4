//! What the page of an incident shows.

use ripcord_core::digest::Digest;
use ripcord_core::event::{EvidenceItem, Measured};
use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::name::{IncidentId, ServiceName, SetId};
use ripcord_core::outputs::Outputs;
use ripcord_core::plan::{Plan, StepKind, Vote};
use ripcord_core::role::Finding;
use ripcord_core::service::{Incident, Tally};
use ripcord_core::time::{Millis, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Ranking;
use crate::held_up::HeldUp;

/// Where the time went, all plans and rungs of the incident together. A part that was not begun is none, and of the one that goes on only what had
/// ended before counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Split {
    /// From the harm (or, where that is not known, the first signal) to the incident.
    pub detect: Option<Millis>,
    /// Making plans: evidence, planner, pins.
    pub decide: Option<Millis>,
    /// Waiting for people: for their votes, or for what one of them was asked.
    pub wait_for_people: Option<Millis>,
    /// From a grant to the read-back that shows the target.
    pub act: Option<Millis>,
    /// Verifying.
    pub verify: Option<Millis>,
    /// All of them.
    pub total: Option<Millis>,
}

/// One line of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// When.
    pub at: UnixMillis,
    /// Since the first line.
    pub since_start: Millis,
    /// What.
    pub text: String,
}

/// One policy call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// When.
    pub at: UnixMillis,
    /// `trigger`, `planner`, `approval` or `verification`.
    pub role: String,
    /// `name@version`.
    pub policy: String,
    /// Of the component.
    pub digest: Digest,
    /// What it said, in a few words.
    pub said: String,
    /// Over all rounds.
    pub fuel: u64,
    /// Calls.
    pub rounds: u32,
}

/// A request that was sent: the digest that was approved, and the one that was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// When.
    pub at: UnixMillis,
    /// Which step of the plan.
    pub step: StepKind,
    /// Of which target, counted from zero; none where it is about what was read back.
    pub rung: Option<u32>,
    /// Of which wave, counted from zero; none where the plan moves at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// Counted from one.
    pub attempt: u32,
    /// Of the template that people have agreed to, see [`Request::digest`](ripcord_core::request::Request::digest).
    pub approved: Digest,
    /// Of the same template with its holes filled, see [`Request::executed`](ripcord_core::request::Request::executed).
    pub executed: Digest,
}

/// A vote, and why it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteLine {
    /// The vote.
    #[serde(flatten)]
    pub vote: Vote,
    /// As its person said; none if nothing was said.
    #[serde(default)]
    pub reason: Option<String>,
    /// What was signed, and the signature with its key, one after the other: enough for anybody to check it. None where it was not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
}

/// A piece of evidence that could not be preserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLine {
    /// Such as `request-log`.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// That going back would not help, as the planner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoHelpLine {
    /// What the cause is instead.
    pub reason: String,
    /// Who can help, where the planner knows.
    pub hand_over_to: Option<String>,
    /// The command that enters a safe mode meanwhile, where one is configured and none answers.
    pub meanwhile: Option<String>,
}

/// What a job without an endpoint has made by the versions that were left: it is to be scored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreAgain {
    /// What there was when the target was read back.
    #[serde(flatten)]
    pub outputs: Outputs,
    /// Why it could not be listed, where it could not.
    #[serde(default)]
    pub failed: Option<String>,
    /// When the harm began, where known: what was made before that may be well.
    #[serde(default)]
    pub harm_began_at: Option<UnixMillis>,
}

/// One incident, for people and scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Its id.
    pub id: IncidentId,
    /// Of which service.
    pub service: ServiceName,
    /// How it ended; `open` while it has not.
    pub outcome: Outcome,
    /// Where it is.
    pub phase: String,
    /// When it opened.
    pub opened_at: UnixMillis,
    /// When it ended.
    pub settled_at: Option<UnixMillis>,
    /// Why it was opened.
    pub cause: String,
    /// Who asked.
    pub requested_by: Vec<String>,
    /// The run of a set that opened it, where one did: the service moves with its set, or waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_run: Option<SetId>,
    /// How far its shift in waves is; none where the plan at hand moves at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waves: Option<String>,
    /// What was served when it opened.
    pub before: Option<String>,
    /// What the last read-back showed.
    pub after: Option<String>,
    /// How that was proved.
    pub proof: Option<Proof>,
    /// Whether it was seen to answer the golden data as the target did when it was good.
    #[serde(default)]
    pub same_fingerprint: bool,
    /// Where the time went.
    pub split: Split,
    /// What the host measured of the way from the alert to the last restored answer.
    #[serde(default)]
    pub measured: Option<Measured>,
    /// The plan at hand.
    pub plan: Option<Plan>,
    /// What approvals are given to.
    pub plan_digest: Option<Digest>,
    /// When the plan at hand expires: later than it says where the host's clock has jumped forward since.
    #[serde(default)]
    pub plan_expires_at: Option<UnixMillis>,
    /// How the last preflight went, or why there is none; none before either is known.
    #[serde(default)]
    pub preflight: Option<String>,
    /// Votes for it.
    pub votes: Vec<VoteLine>,
    /// Whose word it waits for, while it does.
    #[serde(default)]
    pub tally: Vec<Tally>,
    /// Since when it waits for people, while it does.
    #[serde(default)]
    pub waits_since: Option<UnixMillis>,
    /// What is wanted of a person.
    pub needs: Option<String>,
    /// What failed last on the way, while it has not succeeded since.
    #[serde(default)]
    pub failed: Option<String>,
    /// Steps that wait for a system that does not answer; only where a running host was asked.
    #[serde(default)]
    pub held_up: Vec<HeldUp>,
    /// What was preserved.
    pub evidence: Vec<EvidenceItem>,
    /// What could not be.
    pub missing: Vec<MissingLine>,
    /// Why going back would not help; none unless it ended so.
    #[serde(default)]
    pub no_help: Option<NoHelpLine>,
    /// Of a job without an endpoint: what was made by the versions that were left.
    #[serde(default)]
    pub score_again: Option<ScoreAgain>,
    /// What the verification policies found last.
    pub findings: Vec<Finding>,
    /// What the planner suspects; none where no planner was asked.
    #[serde(default)]
    pub ranking: Option<Ranking>,
    /// What was sent for the plans' steps, beside what was approved.
    #[serde(default)]
    pub requests: Vec<RequestLine>,
    /// Every policy call.
    pub decisions: Vec<DecisionLine>,
    /// What happened, in order.
    pub timeline: Vec<TimelineLine>,
}

impl Split {
    pub(super) fn of(incident: &Incident) -> Self {
        let (marks, spent) = (&incident.marks, &incident.spent);
        let start = marks.harm_began_at.or(marks.signalled_at);
        let detect = marks.opened_at.since(start.unwrap_or(marks.opened_at));
        let total = Millis(detect.0.saturating_add(spent.total().0));
        Self {
            detect: Some(detect),
            decide: spent.decide,
            wait_for_people: spent.people,
            act: spent.act,
            verify: spent.verify,
            total: marks.settled_at.map(|_| total),
        }
    }
}
