//! One call of each policy in its place, on a made-up incident: settings that fit the schema and still make the policy fault are found
//! before an incident finds them. Nothing is fetched: most policies answer with the facts that they would ask for.

use ripcord_core::alert::StandingAlert;
use ripcord_core::digest::Digest;
use ripcord_core::live::LiveState;
use ripcord_core::name::{IncidentId, InvalidName, VersionName};
use ripcord_core::plan::{PLAN_FORMAT, Part, Plan, PlannedStep, Rung, StepKind};
use ripcord_core::policy::Role;
use ripcord_core::role::{
    ApprovalInput, Context, PlannerInput, Proposal, Question, RollbackSubject, Subject, TriggerInput,
    Urgency, VerificationInput,
};
use ripcord_core::signal::{Origin, Severity, Signal, SignalStatus};
use ripcord_core::target::{Strategy, Target, VersionTarget};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{PlacedPolicy, ServiceSetup};
use ripcord_sandbox::{Fault, Limits};

/// Calls the policy once; the fault, if it faults.
pub(super) fn rehearse(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis) -> Option<Fault> {
    // Names that are made up here are good names.
    let question = question(setup, placed, now).ok()?;
    placed.policy.call(&question, &placed.grant, &Limits::default()).outcome.err()
}

fn question(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis) -> Result<Question, InvalidName> {
    let began = now - Millis::minutes(10);
    let incident = IncidentId::numbered(&setup.name, 1);
    let context = Context {
        service: setup.facts.clone(),
        incident: (placed.role != Role::Trigger).then(|| incident.clone()),
        now,
        settings: placed.settings.clone(),
        drill: true,
        live_since: None,
        memo: None,
    };
    let signals = vec![StandingAlert::from(Signal {
        id: ripcord_core::name::SignalId::new("check")?,
        origin: Origin::Webhook("check".to_owned()),
        rule: "Check".to_owned(),
        status: SignalStatus::Firing,
        severity: Severity::Info,
        labels: Vec::new(),
        annotations: Vec::new(),
        started_at: began,
        ended_at: None,
        received_at: began,
    })];
    let proposal = Proposal {
        cause: "a check of the configuration".to_owned(),
        strategy: Strategy::Version,
        urgency: Urgency::Routine,
        harm_began_at: Some(began),
    };
    let facts = Vec::new();
    Ok(match placed.role {
        Role::Trigger => Question::Trigger(TriggerInput { context, signals, facts }),
        Role::Planner => {
            Question::Planner(PlannerInput { context, signals, proposal, tried: Vec::new(), facts })
        }
        Role::Approval => Question::Approval(ApprovalInput {
            context,
            signals,
            proposal,
            plan: plan(setup, incident, now)?,
            plan_digest: Digest::of("check"),
            opened_at: now,
            clock_jumped: Millis(0),
            facts,
        }),
        Role::Verification => Question::Verification(VerificationInput {
            context,
            subject: Subject::Rollback(RollbackSubject {
                proposal,
                plan: plan(setup, incident, now)?,
                plan_digest: Digest::of("check"),
                rung: 0,
                shifted_at: now,
            }),
            signals,
            before: Vec::new(),
            previous: Vec::new(),
            facts,
        }),
    })
}

fn plan(setup: &ServiceSetup, incident: IncidentId, now: UnixMillis) -> Result<Plan, InvalidName> {
    let target = Target::Version(VersionTarget { version: VersionName::new("check")?, digest: None });
    let steps = vec![PlannedStep { kind: StepKind::Shift, arguments: Vec::new() }];
    Ok(Plan {
        format: PLAN_FORMAT,
        installation: Digest::of("check"),
        incident,
        number: 1,
        strategy: Strategy::Version,
        parts: vec![Part {
            service: setup.name.clone(),
            environment: setup.facts.environment.clone(),
            live: LiveState::Unknown("a check".to_owned()),
            rungs: vec![Rung { target, steps }],
        }],
        policies: setup.terms.policies.iter().map(|used| used.policy.clone()).collect(),
        requested_by: vec![Origin::Schedule],
        preflighted: false,
        drill: true,
        created_at: now,
        expires_at: now + setup.terms.deadlines.approval,
    })
}
