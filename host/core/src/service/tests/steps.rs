//! What is approved is what runs: the plan's steps and no others, each with the request that people have agreed to.

use super::facet_stage::in_force;
use super::stage::{Stage, every_step, policy, sent};
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::*;
use crate::name::VersionName;
use crate::plan::StepKind;
use crate::policy::Role;
use crate::request::Sent;
use crate::service::{Illegal, NeedKind, Phase};

/// What is done for a version that is not tried beside what is live, in order.
const DONE: [StepKind; 7] = [
    StepKind::Stage,
    StepKind::Guard,
    StepKind::Shift,
    StepKind::ReadBack,
    StepKind::MoveName,
    StepKind::Verify,
    StepKind::MarkHolds,
];

fn of_plan(effect: &Effect) -> Option<StepKind> {
    match effect {
        Effect::Stage { .. } => Some(StepKind::Stage),
        Effect::Preflight { .. } => Some(StepKind::Preflight),
        Effect::Guard { .. } => Some(StepKind::Guard),
        Effect::Shift { .. } | Effect::Repeat { .. } => Some(StepKind::Shift),
        Effect::ReadBack { .. } => Some(StepKind::ReadBack),
        Effect::Promote { .. } => Some(StepKind::MoveName),
        Effect::Look { .. } => Some(StepKind::Look),
        Effect::Verify { .. } => Some(StepKind::Verify),
        Effect::MarkHold { .. } => Some(StepKind::MarkHolds),
        Effect::StartRun { .. } => Some(StepKind::Produce),
        Effect::ClearCandidate => Some(StepKind::ClearCandidate),
        Effect::AskTriggers { .. }
        | Effect::Preserve { .. }
        | Effect::Plan { .. }
        | Effect::AskApprovals { .. }
        | Effect::Probe { .. }
        | Effect::WatchProduction { .. }
        | Effect::WatchReadiness { .. }
        | Effect::Examine { .. }
        | Effect::Pin { .. }
        | Effect::Fingerprint { .. }
        | Effect::LookAtRun { .. }
        | Effect::StopRun { .. }
        | Effect::Announce(_)
        | Effect::WakeAt(_) => None,
    }
}

fn name(version: &str) -> VersionName {
    VersionName::new(version).unwrap()
}

/// A granted plan from `4` to `1` that lacks these steps, for a registry whose production name is at `4`.
fn granted_without(lacks: &[StepKind]) -> Stage {
    let mut stage = Stage::new(|terms| terms.policies = vec![policy(Role::Verification)]);
    stage.pull("ada", "1");
    let Event::EvidencePreserved(preserved) = stage.preserved("4") else { panic!() };
    let in_production = InProduction::Version(name("4"));
    stage.tell(&Event::EvidencePreserved(EvidencePreserved { in_production, ..preserved }));
    let mut steps = every_step();
    steps.iter_mut().for_each(|rung| rung.retain(|step| !lacks.contains(&step.kind)));
    let preflighted = lacks.iter().any(|kind| matches!(kind, StepKind::Preflight | StepKind::ClearCandidate));
    let draft = PlanDrafted { steps, preflighted, ..stage.draft(&["1"]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage
}

/// Does what is owed of the plan until nothing of it is; what was done, in order.
fn carry_out(stage: &mut Stage) -> Vec<StepKind> {
    let mut done = Vec::new();
    loop {
        let owed = stage.0.owed();
        // Slots of their own go on side by side: here they are done in the order of the plan.
        let of_plan = owed.into_iter().filter_map(|effect| Some((of_plan(&effect)?, effect)));
        let place = |kind: StepKind| StepKind::ALL.iter().position(|listed| *listed == kind);
        let Some((kind, effect)) = of_plan.min_by_key(|(kind, _)| place(*kind)) else { return done };
        done.push(kind);
        match effect {
            Effect::Stage { .. } => stage.staged(),
            Effect::Guard { .. } => stage.guard(),
            Effect::Shift { request, .. } => {
                assert_eq!(request, sent().approved, "what was approved is what is to be sent");
                stage.shift_done();
            }
            Effect::ReadBack { .. } => stage.read_back("1", in_force(&[])),
            Effect::Verify { .. } => stage.judged(VerificationWord::Healthy),
            Effect::Promote { incident, version, request, .. } => {
                assert_eq!(request, sent().approved);
                let word = PromotionWord::Moved { from: Some(name("4")), request: sent() };
                stage.tell(&Event::Promoted(Promoted { incident, version, word }));
            }
            Effect::MarkHold { version, incident } => {
                stage.tell(&Event::HoldMarked(HoldMarked { version, incident, failed: None }));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_steps_of_a_plan_are_what_is_done_for_it() {
    let mut stage = granted_without(&[]);
    assert_eq!(carry_out(&mut stage), DONE);
    assert_eq!(stage.phase(), "none", "it is settled");
    assert!(!stage.0.outbox.iter().any(|told| told.topic == Topic::NotListed));
}

#[test]
fn a_step_that_the_plan_does_not_list_is_not_owed_and_people_are_told() {
    for kind in DONE.into_iter().chain([StepKind::Preflight, StepKind::ClearCandidate]) {
        let mut stage = granted_without(&[kind]);
        let done = carry_out(&mut stage);
        assert!(!done.contains(&kind), "{kind:?}: {done:?}");
        let told = |topic: Topic| {
            let about = stage.0.outbox.iter().filter(|told| told.topic == topic);
            about.filter(|told| told.text.contains(&format!("`{}`", kind.as_str()))).count()
        };
        let (ends, left_out) = (told(Topic::NeedsPerson), told(Topic::NotListed));
        let follows = matches!(kind, StepKind::MoveName | StepKind::MarkHolds);
        assert_eq!((ends, left_out), if follows { (0, 1) } else { (1, 0) }, "{kind:?}: {:#?}", stage.told());
        // What follows the plan is left out of it, and the rest is done; any other step is one that the next ones rest on.
        let before = DONE.iter().take_while(|listed| **listed != kind);
        let expected: Vec<_> = match kind {
            StepKind::MoveName | StepKind::MarkHolds => {
                DONE.into_iter().filter(|listed| *listed != kind).collect()
            }
            StepKind::Preflight | StepKind::ClearCandidate => vec![StepKind::Stage],
            _ => before.copied().collect(),
        };
        assert_eq!(done, expected, "{kind:?}");
    }
}

#[test]
fn a_step_that_sends_something_is_none_without_its_digest() {
    for kind in [StepKind::Shift, StepKind::MoveName] {
        let mut stage = granted_without(&[]);
        let mut plan = stage.incident().plan().unwrap().clone();
        assert!(plan.lists(0, 0, kind) && plan.request(0, 0, kind).is_some());
        plan.steps[0].iter_mut().filter(|step| step.kind == kind).for_each(|step| step.request = None);
        assert!(!plan.lists(0, 0, kind));
        stage.0.incident.as_mut().unwrap().plans = vec![plan];
        assert!(!carry_out(&mut stage).contains(&kind), "{kind:?}");
    }
}

#[test]
fn a_shift_is_begun_with_the_approved_request_alone() {
    let mut stage = Stage::at_the_shift();
    let (plan, attempt) = (stage.plan(), 1);
    let other = Sent { approved: Digest::of("another request"), ..sent() };
    let began = |request| Event::ShiftBegan(ShiftBegan { plan, rung: 0, wave: 0, attempt, request });
    assert_eq!(stage.try_it(&began(other)), Err(Illegal::Stale));
    stage.tell(&began(sent()));
}

#[test]
fn the_production_name_is_moved_with_the_approved_request_alone() {
    let mut stage = granted_without(&[]);
    stage.staged();
    stage.guard();
    stage.shift_done();
    stage.read_back("1", in_force(&[]));
    let moved = |request| {
        let word = PromotionWord::Moved { from: Some(name("4")), request };
        Event::Promoted(Promoted { incident: stage.id(), version: name("1"), word })
    };
    let other = moved(Sent { approved: Digest::of("another request"), ..sent() });
    let approved = moved(sent());
    assert_eq!(stage.try_it(&other), Err(Illegal::Stale));
    stage.tell(&approved);
}

fn changed(stage: &Stage) -> Event {
    Event::RequestChanged(RequestChanged {
        plan: stage.plan(),
        rung: 0,
        step: StepKind::Shift,
        approved: sent().approved,
        now: Some(Digest::of("another request")),
    })
}

#[test]
fn a_request_that_is_no_longer_the_approved_one_goes_to_a_person_who_plans_again() {
    let mut stage = Stage::at_the_shift();
    let event = changed(&stage);
    stage.tell(&event);
    let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!("{:?}", stage.incident().phase) };
    assert_eq!(need.question, NeedKind::WhatNow);
    for part in ["no longer what was approved", "nothing was sent", "`ripcord pull fraud-api` plans again"] {
        assert!(need.text.contains(part), "{part}: {}", need.text);
    }
    assert!(!stage.0.owed().iter().any(|owed| of_plan(owed).is_some()), "nothing is sent");
    assert!(stage.incident().ladder.tried.is_empty());
    assert_eq!(stage.try_it(&event), Err(Illegal::Stale), "it is said once");
    stage.pull("bob", "1");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "waiting for approval", "what would be sent now is agreed to by itself");
}

#[test]
fn an_order_that_was_begun_is_not_given_again_with_another_request() {
    let mut stage = Stage::at_the_shift();
    stage.shift_began();
    let event = changed(&stage);
    stage.tell(&event);
    let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!("{:?}", stage.incident().phase) };
    assert_eq!(need.question, NeedKind::DidTheShiftHappen, "{}", need.text);
}

#[test]
fn a_request_of_another_plan_or_rung_changes_nothing() {
    let mut stage = Stage::at_the_shift();
    let Event::RequestChanged(changed) = changed(&stage) else { panic!() };
    let others = [
        RequestChanged { plan: Digest::of("another plan"), ..changed.clone() },
        RequestChanged { rung: 1, ..changed },
    ];
    for other in others {
        assert_eq!(stage.try_it(&Event::RequestChanged(other)), Err(Illegal::Stale));
    }
}
