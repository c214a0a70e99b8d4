//! The policies: native ones, each as simple as can be, told by its settings how to behave.

use std::sync::{Arc, OnceLock};

use ripcord_core::fact::{
    Detail, Fact, FactKind, GoldenQuery, Live, MetricQuery, Request, Trial, Unavailable, Value,
};
use ripcord_core::live::LiveState;
use ripcord_core::name::{PolicyName, RoleName, VersionName};
use ripcord_core::plan::Quorum;
use ripcord_core::policy::{Grant, Role};
use ripcord_core::role::{
    Answer, ApprovalInput, ApprovalVerdict, Choice, Context, Finding, PlannerInput, PlannerVerdict, Proposal,
    Question, RefusedTarget, Requirement, Step, Subject, TriggerInput, TriggerVerdict, Urgency, Verdict,
    VerificationInput, VerificationVerdict,
};
use ripcord_core::signal::SignalStatus;
use ripcord_core::target::{FallbackTarget, Strategy, Target};
use ripcord_core::time::Millis;
use ripcord_sandbox::{FaultKind, NativePolicy, Policy};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// An alert of this rule makes the trigger fault.
pub const POISON: &str = "poison";

/// How a policy behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Before it wants to be asked again, in milliseconds.
    pub recheck_ms: u64,
    /// What it says to a plan.
    pub approval: Approval,
    /// The ladder ends in the safe mode.
    pub fallback: bool,
    /// What a planner tries first.
    pub looks_first: LooksFirst,
    /// It faults in one second of so many, by chance and at no beat that whoever asks could keep; 0 is never.
    pub faults_one_in: u64,
}

/// What a planner tries first. What it tries after that is of another facet, and so for the plan after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LooksFirst {
    /// Earlier versions.
    AtVersions,
    /// Earlier revisions of the configurations.
    AtConfigurations,
    /// The one or the other, by the second in which it is asked.
    ByChance,
}

/// What an approval policy says to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approval {
    /// Granted.
    Grants,
    /// Granted once so many people agree; until then it waits as long as the plan lives.
    Votes {
        /// How many.
        people: u32,
        /// It is asked for more people after so long, in milliseconds.
        escalate_ms: Option<u64>,
    },
    /// The same, and it waits for so long.
    VotesWithin {
        /// How many.
        people: u32,
        /// For so long, in milliseconds.
        within_ms: u64,
    },
    /// Refused.
    Refuses,
}

#[derive(Debug)]
struct Scripted;

/// The policy, for all roles.
pub fn policy() -> Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let make = || {
        let grant = |role, may_request: &[FactKind]| Grant { role, may_request: may_request.to_vec() };
        let grants = vec![
            grant(Role::Trigger, &[FactKind::Metric]),
            grant(Role::Planner, &[FactKind::Versions, FactKind::Configurations, FactKind::Live]),
            grant(Role::Approval, &[FactKind::Votes]),
            grant(Role::Verification, &[FactKind::Golden]),
        ];
        let name = PolicyName::new("scripted").expect("a name");
        Policy::native(name, grants, Arc::new(Scripted)).expect("a policy")
    };
    POLICY.get_or_init(make).clone()
}

/// The value of the fact that answers `request`, or a step that asks for it.
fn fact<'a>(facts: &'a [Fact], request: &Request) -> Result<&'a Result<Value, Unavailable>, Step> {
    let found = facts.iter().find(|fact| fact.request == *request);
    found.map(|fact| &fact.value).ok_or_else(|| Step::Need(vec![request.clone()]))
}

fn done(verdict: Verdict) -> Step {
    Step::Done(Answer { verdict, notes: Vec::new(), memo: Vec::new() })
}

impl NativePolicy for Scripted {
    fn ask(&self, question: &Question) -> Result<Step, FaultKind> {
        let context = question.context();
        let settings: Settings = serde_json::from_str(&context.settings)
            .map_err(|error| FaultKind::GuestError { message: error.to_string() })?;
        let second = context.now.0 / 1_000;
        if settings.faults_one_in > 0 && Dice::new(second).one_in(settings.faults_one_in) {
            return Err(FaultKind::GuestError { message: "this is one of its seconds".to_owned() });
        }
        let step = match question {
            Question::Trigger(input) => assess(input, &settings)?,
            Question::Planner(input) => propose(input, &settings),
            Question::Approval(input) => authorise(input, &settings),
            Question::Verification(input) => verify(input, &settings),
        };
        Ok(step)
    }
}

fn assess(input: &TriggerInput, settings: &Settings) -> Result<Step, FaultKind> {
    if input.signals.iter().any(|alert| alert.signal.rule == POISON) {
        return Err(FaultKind::Trap { code: "a signal that it cannot bear".to_owned() });
    }
    let request = Request::Metric(MetricQuery { source: None, query: "harm".to_owned(), at: None });
    let harm = match fact(&input.facts, &request) {
        Ok(Ok(Value::Metric(samples))) => samples.first().map(|sample| sample.value),
        Ok(_) => None,
        Err(need) => return Ok(need),
    };
    let Context { now, memo, .. } = &input.context;
    let raised = memo.as_ref().is_some_and(|memo| memo.bytes == b"raised");
    let resolved = !input.signals.is_empty()
        && input.signals.iter().all(|alert| alert.signal.status == SignalStatus::Resolved);
    let (verdict, memo) = match harm {
        None => (TriggerVerdict::Watch(*now + Millis(settings.recheck_ms)), raised),
        Some(harm) if harm > 0.5 => {
            let proposal = Proposal {
                cause: format!("harm is {harm}"),
                strategy: Strategy::Version,
                urgency: Urgency::Urgent,
                harm_began_at: Some(*now),
            };
            (TriggerVerdict::RollBack(proposal), true)
        }
        Some(harm) if harm > 0.0 => (TriggerVerdict::Watch(*now + Millis(settings.recheck_ms)), raised),
        Some(_) if raised || resolved => (TriggerVerdict::StandDown("harm is gone".to_owned()), false),
        Some(_) => (TriggerVerdict::Ignore, false),
    };
    let memo = if memo { b"raised".to_vec() } else { Vec::new() };
    Ok(Step::Done(Answer { verdict: Verdict::Trigger(verdict), notes: Vec::new(), memo }))
}

fn propose(input: &PlannerInput, settings: &Settings) -> Step {
    let missing: Vec<_> = [Request::Versions(50), Request::Configurations(50), Request::Live]
        .into_iter()
        .filter(|request| fact(&input.facts, request).is_err())
        .collect();
    if !missing.is_empty() {
        return Step::Need(missing);
    }
    let value = |request: &Request| fact(&input.facts, request).ok().and_then(|value| value.as_ref().ok());
    let is_live = |target: &Target| match value(&Request::Live) {
        Some(Value::Live(live)) => is_in_force(live, target),
        _ => false,
    };
    let mut versions = Vec::new();
    if let Some(Value::Versions(known)) = value(&Request::Versions(50)) {
        versions
            .extend(known.iter().map(|one| (Target::Version(one.version.clone()), one.standing.is_good())));
    }
    let mut configurations = Vec::new();
    if let Some(Value::Configurations(known)) = value(&Request::Configurations(50)) {
        configurations.extend(known.iter().map(|one| {
            let is_good = one.standing.is_good() && one.restorable;
            (Target::Configuration(one.target.clone()), is_good)
        }));
    }
    let second = input.context.now.0 / 1_000;
    let all: Vec<_> = match settings.looks_first {
        LooksFirst::AtConfigurations => configurations.into_iter().chain(versions).collect(),
        LooksFirst::ByChance if Dice::new(second).one_in(2) => {
            configurations.into_iter().chain(versions).collect()
        }
        _ => versions.into_iter().chain(configurations).collect(),
    };
    let (mut ladder, mut refused) = (Vec::new(), Vec::new());
    for (target, is_good) in all {
        let was_tried = input.tried.iter().any(|tried| tried.revision() == target.revision());
        if is_good && !was_tried && !is_live(&target) {
            ladder.push(target);
        } else {
            let reason = "it is live, was tried or is not good".to_owned();
            refused.push(RefusedTarget { target, reason });
        }
    }
    let safe_mode =
        Target::Fallback(FallbackTarget { mode: VersionName::new("rules").expect("a name"), digest: None });
    let was_tried = input.tried.iter().any(|tried| tried.revision() == safe_mode.revision());
    if settings.fallback && !was_tried && !is_live(&safe_mode) {
        ladder.push(safe_mode);
    }
    let verdict = match ladder.first().map(Target::strategy) {
        None => PlannerVerdict::NothingSuitable(refused),
        Some(strategy) => PlannerVerdict::Choose(Choice { strategy, ladder, refused, confidence: None }),
    };
    done(Verdict::Planner(verdict, Vec::new()))
}

/// Whether some of it is in force.
fn is_in_force(live: &Live, target: &Target) -> bool {
    let beside = live.facets.iter().any(|read| read.revision() == target.revision());
    beside
        || match &live.state {
            LiveState::Serving(shares) => shares
                .iter()
                .any(|share| target.version().is_some_and(|wanted| share.version.version == wanted.version)),
            LiveState::Unknown(_) => false,
        }
}

fn authorise(input: &ApprovalInput, settings: &Settings) -> Step {
    let (people, expires_at, escalate_ms) = match settings.approval {
        Approval::Grants => return done(Verdict::Approval(ApprovalVerdict::Granted)),
        Approval::Refuses => {
            return done(Verdict::Approval(ApprovalVerdict::Refused("its settings say so".to_owned())));
        }
        Approval::Votes { people, escalate_ms } => {
            (people, input.plan.expires_at + input.clock_jumped, escalate_ms)
        }
        Approval::VotesWithin { people, within_ms } => (people, input.opened_at + Millis(within_ms), None),
    };
    let votes = match fact(&input.facts, &Request::Votes) {
        Ok(Ok(Value::Votes(votes))) => votes.iter().filter(|vote| vote.granted).count(),
        Ok(_) => 0,
        Err(need) => return need,
    };
    done(Verdict::Approval(if votes >= people as usize {
        ApprovalVerdict::Granted
    } else {
        ApprovalVerdict::Waiting(Requirement {
            quorums: vec![Quorum { role: RoleName::approver(), people }],
            expires_at,
            escalate_to: escalate_ms.map(|_| "the manager".to_owned()),
            escalate_at: escalate_ms.map(|after| input.opened_at + Millis(after)),
        })
    }))
}

/// The share of the whole that was answered right.
fn accuracy(trial: &Trial) -> Option<f64> {
    let whole = trial.slices.first()?;
    whole.measures.iter().find(|measure| measure.name == "accuracy").map(|measure| measure.value)
}

/// After a wave two versions answer, and nothing is asked: now and then it is not well, or nobody knows.
fn verify_wave(input: &VerificationInput, settings: &Settings) -> Step {
    let now = input.context.now;
    done(Verdict::Verification(
        match now.0 % 11 {
            0 => VerificationVerdict::Unhealthy,
            1 | 2 => VerificationVerdict::Inconclusive(now + Millis(settings.recheck_ms)),
            _ => VerificationVerdict::Healthy,
        },
        Vec::new(),
    ))
}

fn verify(input: &VerificationInput, settings: &Settings) -> Step {
    if let Subject::Wave(_) = input.subject {
        return verify_wave(input, settings);
    }
    let candidate = input.subject.candidate().cloned();
    let query = GoldenQuery { dataset: "golden".to_owned(), candidate, detail: Detail::Summary };
    let accuracy = match fact(&input.facts, &Request::Golden(query)) {
        Ok(Ok(Value::Golden(trial))) => accuracy(trial),
        Ok(_) => None,
        Err(need) => return need,
    };
    let finding = |passed, observed: String| {
        vec![Finding { check: "accuracy".to_owned(), passed, observed, expected: "0.9".to_owned() }]
    };
    let (verdict, findings) = match accuracy {
        None => {
            let again = input.context.now + Millis(settings.recheck_ms);
            (VerificationVerdict::Inconclusive(again), Vec::new())
        }
        Some(share) if share >= 0.9 => (VerificationVerdict::Healthy, finding(true, share.to_string())),
        Some(share) => (VerificationVerdict::Unhealthy, finding(false, share.to_string())),
    };
    done(Verdict::Verification(verdict, findings))
}
