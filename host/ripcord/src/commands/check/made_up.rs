//! A made-up incident of a service, for asking its policies when there is none.

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
use ripcord_core::signal::{Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::target::{Strategy, Target, VersionTarget};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{PlacedPolicy, ServiceSetup};

/// What the policy is told of the service, outside of any incident.
pub(in crate::commands) fn context(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis) -> Context {
    Context {
        service: setup.facts.clone(),
        incident: None,
        now,
        settings: placed.settings.clone(),
        drill: false,
        live_since: None,
        memo: None,
    }
}

/// A question of the policy's role about an incident that was made up, without any fact.
pub(super) fn question(
    setup: &ServiceSetup,
    placed: &PlacedPolicy,
    now: UnixMillis,
) -> Result<Question, InvalidName> {
    let began = now - Millis::minutes(10);
    let incident = IncidentId::numbered(&setup.name, 1);
    let context = Context {
        incident: (placed.role != Role::Trigger).then(|| incident.clone()),
        drill: true,
        ..context(setup, placed, now)
    };
    let signals = vec![StandingAlert::from(Signal {
        id: ripcord_core::name::SignalId::new("check")?,
        origin: Origin::Webhook("check".to_owned()),
        rule: "Check".to_owned(),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
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
            plan: plan(setup, incident, vec![target()?], now),
            plan_digest: Digest::of("check"),
            opened_at: now,
            clock_jumped: Millis(0),
            facts,
        }),
        Role::Verification => Question::Verification(VerificationInput {
            context,
            subject: Subject::Rollback(RollbackSubject {
                proposal,
                plan: plan(setup, incident, vec![target()?], now),
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

/// A version that there is none of.
fn target() -> Result<Target, InvalidName> {
    Ok(Target::Version(VersionTarget { version: VersionName::new("check")?, digest: None }))
}

/// A plan that nobody carries out.
pub(in crate::commands) fn plan(
    setup: &ServiceSetup,
    incident: IncidentId,
    targets: Vec<Target>,
    now: UnixMillis,
) -> Plan {
    let rung = |target| Rung {
        target,
        steps: vec![PlannedStep { kind: StepKind::Shift, arguments: Vec::new(), request: None, wave: None }],
    };
    Plan {
        format: PLAN_FORMAT,
        installation: Digest::of("check"),
        incident,
        number: 1,
        strategy: Strategy::Version,
        parts: vec![Part {
            service: setup.name.clone(),
            environment: setup.facts.environment.clone(),
            live: LiveState::Unknown("a check".to_owned()),
            facets: Vec::new(),
            waves: Vec::new(),
            rungs: targets.into_iter().map(rung).collect(),
        }],
        policies: setup.terms.policies.iter().map(|used| used.policy.clone()).collect(),
        requested_by: vec![Origin::Schedule],
        preflighted: false,
        drill: true,
        leaving: ripcord_core::plan::Leaving::Condemn,
        condemns_data: Vec::new(),
        set: None,
        created_at: now,
        expires_at: now + setup.terms.deadlines.approval,
    }
}
