//! What makes a plan more than low risk.

use ripcord_sdk::contract::types::{self, LiveState};
use ripcord_sdk::keys::unknown_in;
use ripcord_sdk::millis;
use ripcord_sdk::prelude::*;
use ripcord_sdk::settings;

use crate::settings::{Criticality, Settings};

/// Every reason why people must agree; none for a plan of low risk.
pub(crate) fn reasons_for_people(case: &ApprovalCase, settings: &Settings) -> Vec<String> {
    let mut reasons = unknown_in(case);
    reasons.extend(by_criticality(case, settings));
    reasons.extend(by_plan(case, settings));
    reasons.extend(by_urgency(case, settings));
    reasons.extend(by_age(case, settings));
    reasons
}

/// What was looked at, for the record.
pub(crate) fn why_granted(case: &ApprovalCase) -> String {
    format!(
        "granted without people: criticality {}, strategy {}, urgency {}, planned {} ago",
        criticality(&case.context.service.criticality),
        strategy(&case.plan.strategy),
        urgency(&case.proposal.urgency),
        age(case, case.plan.created_at)
    )
}

fn by_criticality(case: &ApprovalCase, settings: &Settings) -> Option<String> {
    let known = match &case.context.service.criticality {
        types::Criticality::Low => Some(Criticality::Low),
        types::Criticality::Medium => Some(Criticality::Medium),
        types::Criticality::High => Some(Criticality::High),
        types::Criticality::Other(_) => None,
    };
    let listed = known.is_some_and(|known| settings.criticality.contains(&known));
    let name = criticality(&case.context.service.criticality);
    (!listed).then(|| format!("the service's criticality is {name}, which `criticality` does not list"))
}

/// Strategy, targets, and that the plan is about this service alone, whose state is known.
fn by_plan(case: &ApprovalCase, settings: &Settings) -> Vec<String> {
    let allowed = |wanted: &types::Strategy| {
        settings.strategies.iter().any(|one| types::Strategy::from(*one) == *wanted)
    };
    let mut reasons = Vec::new();
    let mut refuse = |what: String| {
        let reason = format!("{what}, which `strategies` does not list");
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    };
    if !allowed(&case.plan.strategy) {
        refuse(format!("the plan's strategy is {}", strategy(&case.plan.strategy)));
    }
    for rung in case.plan.parts.iter().flat_map(|part| &part.rungs) {
        let of_target = match &rung.target {
            Target::Version(_) => types::Strategy::Version,
            Target::Checkpoint(_) => types::Strategy::Checkpoint,
            Target::Configuration(_) => types::Strategy::Configuration,
            Target::Retrain(_) => types::Strategy::Retrain,
            Target::Fallback(_) => types::Strategy::Fallback,
            Target::Other(name) => types::Strategy::Other(name.clone()),
        };
        if of_target != case.plan.strategy && !allowed(&of_target) {
            refuse(format!("a rung is a {}", strategy(&of_target)));
        }
    }
    let service = &case.context.service;
    let is_own = |part: &types::Part| part.service == service.name && part.environment == service.environment;
    match case.plan.parts.as_slice() {
        [part] if is_own(part) => {
            if let LiveState::Unknown(why) = &part.live {
                reasons.push(format!("what is live is not known: {why}"));
            }
            if part.rungs.is_empty() {
                reasons.push("the plan has no target".to_owned());
            }
        }
        parts => reasons.push(format!("the plan is about {} services, or about another one", parts.len())),
    }
    reasons
}

fn by_urgency(case: &ApprovalCase, settings: &Settings) -> Option<String> {
    let known = match &case.proposal.urgency {
        types::Urgency::Routine => Some(settings::Urgency::Routine),
        types::Urgency::Urgent => Some(settings::Urgency::Urgent),
        types::Urgency::Emergency => Some(settings::Urgency::Emergency),
        types::Urgency::Other(_) => None,
    };
    let most = settings.urgency_at_most;
    let within = known.is_some_and(|known| known <= most);
    let (name, most) = (urgency(&case.proposal.urgency), urgency(&most.into()).to_owned());
    (!within).then(|| format!("the urgency is {name}, and at most {most} is granted"))
}

fn by_age(case: &ApprovalCase, settings: &Settings) -> Vec<String> {
    let mut reasons = Vec::new();
    if settings.plan_age_at_most < case.plan_age() {
        let (age, most) = (case.plan_age().rough(), settings.plan_age_at_most);
        reasons.push(format!("the plan is {age} old, and at most {most} is granted"));
    }
    if case.now() >= case.expires_at() {
        reasons.push("the plan has expired".to_owned());
    }
    if let Some(most) = settings.harm_age_at_most {
        match case.proposal.harm_began_at {
            Some(began) if began + most < case.now() => {
                reasons.push(format!("harm began {} ago, and at most {most} is granted", age(case, began)));
            }
            Some(_) => {}
            None => reasons.push("it is not known when harm began".to_owned()),
        }
    }
    reasons
}

fn age(case: &ApprovalCase, instant: types::Instant) -> Duration {
    millis(case.now().saturating_sub(instant)).rough()
}

fn criticality(criticality: &types::Criticality) -> &str {
    match criticality {
        types::Criticality::Low => "low",
        types::Criticality::Medium => "medium",
        types::Criticality::High => "high",
        types::Criticality::Other(name) => name,
    }
}

fn strategy(strategy: &types::Strategy) -> &str {
    match strategy {
        types::Strategy::Version => "version",
        types::Strategy::Checkpoint => "checkpoint",
        types::Strategy::Configuration => "configuration",
        types::Strategy::Retrain => "retrain",
        types::Strategy::Fallback => "fallback",
        types::Strategy::Other(name) => name,
    }
}

fn urgency(urgency: &types::Urgency) -> &str {
    match urgency {
        types::Urgency::Routine => "routine",
        types::Urgency::Urgent => "urgent",
        types::Urgency::Emergency => "emergency",
        types::Urgency::Other(name) => name,
    }
}
