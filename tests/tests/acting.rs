//! The rules of acting: one incident, one shift, in the order that was granted, and never behind people's backs.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::name::RoleName;
use ripcord_core::plan::Quorum;
use ripcord_core::policy::Role;
use ripcord_core::service::{HoldState, NeedKind, Phase, Service, StepState};
use ripcord_core::signal::SignalStatus;
use ripcord_core::standing::Standing;
use ripcord_core::terms::{EffectClass, Mode, RequesterVote};
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, CommandError, Folded};
use ripcord_tests::people::{ada, alert, bob, cleo, person, version};
use ripcord_tests::{Fault, Lab, Running, Spec, check};
use serde_json::json;

/// A service that does harm, with two good versions below.
async fn harmed(spec: Spec) -> (Lab, Running) {
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    (lab, host)
}

fn phase(service: &Service) -> Option<&Phase> {
    service.incident.as_ref().map(|incident| &incident.phase)
}

fn needs(kind: NeedKind) -> impl Fn(&Service) -> bool {
    move |service| matches!(phase(service), Some(Phase::NeedsPerson(need)) if need.question == kind)
}

fn acting(service: &Service, step: impl Fn(&StepState) -> bool) -> bool {
    matches!(phase(service), Some(Phase::Acting(acting)) if step(&acting.step))
}

fn authorising(service: &Service) -> bool {
    matches!(phase(service), Some(Phase::Authorising(_)))
}

fn plans(folded: &Folded) -> usize {
    folded.events.iter().filter(|(_, event)| matches!(event, Event::Planned(_))).count()
}

fn shifts(folded: &Folded) -> usize {
    folded.events.iter().filter(|(_, event)| matches!(event, Event::ShiftBegan(_))).count()
}

fn two_keys(spec: Spec) -> Spec {
    spec.with(Role::Approval, json!({ "approval": "votes", "people": 2, "expires": "10m", "escalate": "5m" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_alerts_at_once_are_one_incident() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    let (one, two) = tokio::join!(host.alert(&lab, &service, "a"), host.alert(&lab, &service, "b"));
    one.unwrap();
    two.unwrap();
    host.waiting_plan(&service).await;
    let both = host.until("attached", &service, |state| {
        state.incident.as_ref().is_some_and(|incident| incident.signals.len() == 2)
    });
    assert_eq!(both.await.incidents, 1);
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(host.state(&service).incidents, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_stops_before_the_shift_and_resume_goes_on() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.ask(bob(), &service, Ask::Pause).await.expect("paused");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("granted", &service, |state| acting(state, |_| true)).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(lab.world.of(&service).steps.is_empty(), "it shifted while paused");
    assert!(matches!(host.ask(bob(), &service, Ask::Pause).await, Err(CommandError::Illegal(_))));
    // A pause outlives the host.
    host.stop().await;
    let host = lab.start().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(lab.world.of(&service).steps.is_empty(), "it shifted while paused, after a restart");
    host.ask(bob(), &service, Ask::Resume).await.expect("goes on");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_works_until_the_shift_is_begun() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.ask(ada(), &service, Ask::Abort).await.expect("aborted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Aborted).await;
    assert!(lab.world.of(&service).steps.is_empty());

    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(1_000)));
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("shifted", &service, |state| {
        acting(state, |step| matches!(step, StepState::ReadingBack { .. }))
    })
    .await;
    let refused = host.ask(ada(), &service, Ask::Abort).await.expect_err("past the pivot").to_string();
    assert!(refused.contains("the shift was begun and cannot be undone"), "{refused}");
    assert!(refused.contains("pull with another target"), "{refused}");
    let refused = host.ask(ada(), &service, Ask::Dismiss).await.expect_err("past the pivot").to_string();
    assert!(refused.contains("the shift was begun"), "{refused}");
    lab.world.at(&service, |outside| outside.coming = Some((0, "1.1".into())));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dismiss_and_refuse_end_an_incident_without_a_shift() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Dismissed).await;

    host.alert(&lab, &service, "b").await.unwrap();
    let plan = host.waiting_plan(&service).await;
    host.vote_on(bob(), &service, plan, false).await.expect("refused");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Refused).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_called_again_and_then_the_plan_expires() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let plan = host.waiting_plan(&service).await;
    host.until("asked", &service, |state| state.outbox.is_empty()).await;
    lab.clock.advance(Millis::minutes(5));
    host.until("escalated", &service, |state| {
        matches!(phase(state), Some(Phase::Authorising(waiting)) if waiting.escalate_at.is_none() && waiting.seen.is_some())
    })
    .await;
    lab.clock.advance(Millis::minutes(6));
    host.settled(&service).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!(check::count(&folded, Topic::Escalated), 1);
    check::all(&lab, &host, &service, Outcome::Expired).await;
    let late = host.vote_on(bob(), &service, plan, true).await.expect_err("too late").to_string();
    assert!(late.contains("has no open incident"), "{late}");
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ends_withdraws_a_plan_that_nobody_approved() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    host.resolved(&lab, &service, "a-end").await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::StoodDown).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ends_is_only_shown_where_a_person_pulled() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.pull(&service, Some("1.0")).await.expect("joins");
    host.until("planned again", &service, |state| {
        authorising(state) && state.incident.as_ref().is_some_and(|open| open.plans.len() == 2)
    })
    .await;
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    host.resolved(&lab, &service, "a-end").await;
    host.until("told", &service, |state| lab.world.told_of(&state.name, "stand-down") == 1).await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "the person's target replaces the planner's");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_rung_runs_under_the_same_approval() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    let state = host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!((plans(&folded), shifts(&folded)), (1, 2), "one plan, two rungs");
    assert_eq!(lab.world.of(&service).live, "1.0");
    assert_eq!(state.standing_of(&version("1.1"), state.at), Standing::Unproven, "it lost its standing");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_rung_needs_no_people_where_policies_granted() {
    let (lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_in_the_middle_of_a_ladder_asks_people_and_goes_on_where_it_was() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.breaker.service_shifts_per_hour = 1);
    let (lab, host) = harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    let refused = host.ask(ada(), &service, Ask::Abort).await.expect_err("it has shifted").to_string();
    assert!(refused.contains("the shift was begun"), "{refused}");
    host.approve(bob(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), check::applied(&outside.steps)), ("1.0", 2), "{:#?}", outside.steps);
    let folded = check::journal(&host, &service).await;
    let verified = folded.events.iter().filter(|(_, event)| matches!(event, Event::VerificationsAsked(_)));
    assert_eq!(verified.count(), 2, "each rung once");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_refused_for_now_is_made_again_without_people() {
    for fault in [Fault::RefusedForNow, Fault::LostAndBroken, Fault::DoneAndBroken, Fault::Underway(3)] {
        for class in [EffectClass::Idempotent, EffectClass::Conditional, EffectClass::Observable] {
            let spec = Spec::new("fraud-api").scripted().terms(|terms| {
                terms.deployer = class;
                terms.breaker.service_shifts_per_hour = 1;
            });
            let (lab, host) = harmed(spec).await;
            let service = lab.service();
            lab.world.at(&service, |outside| outside.faults.push_back(fault));
            host.alert(&lab, &service, "a").await.unwrap();
            host.settled(&service).await;
            check::all(&lab, &host, &service, Outcome::RolledBack).await;
            let outside = lab.world.of(&service);
            assert_eq!(check::applied(&outside.steps), 1, "{fault:?} {class:?}: {:#?}", outside.steps);
            let folded = check::journal(&host, &service).await;
            let voted = folded.events.iter().any(|(_, event)| matches!(event, Event::Voted(_)));
            assert!(!voted);
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_deployer_that_breaks_asks_a_person() {
    for (fault, applied) in [(Fault::DoneAndBroken, 1), (Fault::LostAndBroken, 1)] {
        let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deployer = EffectClass::Blind);
        let (lab, host) = harmed(spec).await;
        let service = lab.service();
        lab.world.at(&service, |outside| outside.faults.push_back(fault));
        host.alert(&lab, &service, "a").await.unwrap();
        let state = host.until("a question", &service, needs(NeedKind::DidTheShiftHappen)).await;
        let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
        assert!(need.text.contains("ripcord answer fraud-api:1 applied"), "{}", need.text);
        let refused = host.ask(ada(), &service, Ask::Abort).await.expect_err("begun").to_string();
        assert!(refused.contains("the shift was begun"), "{refused}");
        host.attend(&lab, &service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        assert_eq!(check::applied(&lab.world.of(&service).steps), applied);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_refuses_leads_down_the_ladder_and_then_to_a_person() {
    let (lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.extend([Fault::Refused, Fault::Refused]));
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
    assert!(need.text.contains("no other target") && need.text.contains("ripcord pull"), "{}", need.text);
    assert_eq!(lab.world.of(&service).live, "1.2");
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_lies_is_caught_by_the_read_back() {
    let (lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Lies));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("reading back", &service, |state| {
        acting(state, |step| matches!(step, StepState::ReadingBack { .. }))
    })
    .await;
    lab.clock.advance(Millis::minutes(11));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "the next rung");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_during_the_shift_waits_for_the_read_back_and_then_replaces_the_target() {
    let (lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(1_000)));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("reading back", &service, |state| {
        acting(state, |step| matches!(step, StepState::ReadingBack { .. }))
    })
    .await;
    let obeyed = host.pull(&service, Some("1.0")).await.expect("joins");
    assert!(obeyed.text.contains("after its read-back"), "{}", obeyed.text);
    lab.world.at(&service, |outside| outside.coming = Some((0, "1.1".into())));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    assert_eq!(host.state(&service).incidents, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_during_verification_is_taken_at_once() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Verification, json!({ "verification": "never" }));
    let (lab, host) = harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let verifying = |state: &Service| acting(state, |step| matches!(step, StepState::Verifying { .. }));
    host.until("verifying", &service, verifying).await;
    host.pull(&service, Some("1.0")).await.expect("joins");
    host.until("at the person's target", &service, |state| {
        verifying(state) && lab.world.of(&state.name).live == "1.0"
    })
    .await;
    lab.clock.advance(Millis::minutes(31));
    host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    host.ask(ada(), &service, Ask::Dismiss).await.expect("settled by hand");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::SettledByPerson).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_live_than_the_plan_saw_voids_it_and_its_votes() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    lab.world.at(&service, |outside| {
        outside.versions.push("1.3".into());
        outside.bad.insert("1.3".into());
    });
    host.alert(&lab, &service, "a").await.unwrap();
    let first = host.waiting_plan(&service).await;
    host.vote_on(bob(), &service, first, true).await.expect("voted");
    lab.world.at(&service, |outside| outside.live = "1.3".into());
    host.vote_on(cleo(), &service, first, true).await.expect("voted");
    host.until("planned again", &service, |state| {
        authorising(state) && state.incident.as_ref().is_some_and(|open| open.plans.len() == 2)
    })
    .await;
    let state = host.state(&service);
    assert!(state.incident.as_ref().unwrap().votes.is_empty(), "the old votes are void");
    let other = host.vote_on(bob(), &service, first, true).await.expect_err("another plan").to_string();
    assert!(other.contains("the plan changed") && other.contains("read it and vote again"), "{other}");
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_restored_is_not_shifted_again() {
    let (lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    lab.world.at(&service, |outside| outside.live = "1.1".into());
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RestoredElsewhere).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_counts_as_one_key_but_never_towards_two() {
    let quorum = |people| vec![Quorum { role: RoleName::approver(), people }];
    // One key: the pull itself.
    let (lab, host) = harmed(Spec::new("fraud-api").terms(|terms| terms.floor = quorum(1))).await;
    host.pull(&lab.service(), Some("1.1")).await.expect("pulled");
    host.settled(&lab.service()).await;
    check::all(&lab, &host, &lab.service(), Outcome::RolledBack).await;
    host.stop().await;
    // Two keys: neither the pull nor the requester's own vote.
    let (lab, host) = harmed(Spec::new("fraud-api").terms(|terms| terms.floor = quorum(2))).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.approve(ada(), &service).await.expect("voted");
    host.approve(bob(), &service).await.expect("voted");
    assert!(authorising(&host.state(&service)), "one distinct person is not two");
    host.approve(bob(), &service).await.expect("voted twice");
    host.approve(person("dan", &["viewer"]), &service).await.expect("votes without the role");
    assert!(authorising(&host.state(&service)), "neither the same person twice nor another role counts");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
    // Unless it is configured.
    let spec = Spec::new("fraud-api").terms(|terms| {
        terms.floor = quorum(2);
        terms.requester_vote = RequesterVote::Counts;
    });
    let (lab, host) = harmed(spec).await;
    host.pull(&lab.service(), Some("1.1")).await.expect("pulled");
    host.approve(bob(), &lab.service()).await.expect("voted");
    host.settled(&lab.service()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_never_shifts() {
    let (lab, host) =
        harmed(Spec::new("fraud-api").scripted().terms(|terms| terms.mode = Mode::Observe)).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Observed).await;
    let outside = lab.world.of(&service);
    assert!(outside.steps.is_empty() && outside.live == "1.2" && outside.marks.is_empty());
    assert_eq!(lab.world.told_of(&service, "plan-ready"), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_set_to_observe_shifts_no_more_whoever_agreed() {
    let (mut lab, host) = harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.stop().await;
    lab.specs[0].terms.mode = Mode::Observe;
    let host = lab.start().await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Observed).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policies_granted_is_asked_of_people_after_the_mode_wants_them() {
    let (mut lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.ask(ada(), &service, Ask::Pause).await.expect("paused");
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("granted", &service, |state| acting(state, |_| true)).await;
    host.stop().await;
    lab.specs[0].terms.mode = Mode::Ask;
    let host = lab.start().await;
    host.ask(ada(), &service, Ask::Resume).await.expect("goes on");
    host.waiting_plan(&service).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.approve(bob(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_someone_else_breaks_reopens_and_tells() {
    let spec = two_keys(Spec::new("fraud-api").scripted())
        .terms(|terms| terms.deadlines.hold_watch = Millis::seconds(30));
    let (lab, host) = harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    lab.world.at(&service, |outside| outside.live = "1.2".into());
    lab.clock.advance(Millis::seconds(31));
    host.until("reopened", &service, |state| state.incidents == 2).await;
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.told_of(&service, "hold-broken"), 1);
    assert_eq!(lab.world.of(&service).live, "1.1");
    // A held version is not pulled to, until its hold is lifted.
    let held = host.pull(&service, Some("1.2")).await.expect_err("held").to_string();
    assert!(held.contains("is held") && held.contains("hold lift"), "{held}");
    let condemned = host.ask(ada(), &service, Ask::Adopt(Some(version("1.2")))).await;
    assert!(condemned.expect_err("held").to_string().contains("condemned"));
    host.ask(ada(), &service, Ask::LiftHold(version("1.2"))).await.expect("lifted");
    host.until("unmarked", &service, |state| state.holds.is_empty()).await;
    assert!(lab.world.of(&service).marks.is_empty());
    let again = host.ask(ada(), &service, Ask::LiftHold(version("1.2"))).await;
    assert!(matches!(again, Err(CommandError::Illegal(_))));
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stands_while_the_version_stays_away() {
    let spec = Spec::new("fraud-api").terms(|terms| terms.deadlines.hold_watch = Millis::seconds(30));
    let (lab, host) = harmed(spec).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.settled(&service).await;
    let looks = || host.fuse.passed().iter().filter(|point| point.name == "after live").count();
    let length = host.state(&service).length;
    for _ in 0..3 {
        let before = looks();
        lab.clock.advance(Millis::seconds(31));
        while looks() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    assert_eq!(host.state(&service).length, length, "only news enters the journal");
    assert_eq!(host.state(&service).holds[&version("1.2")].state, HoldState::Stands);
    assert_eq!((host.state(&service).incidents, lab.world.told_of(&service, "hold-broken")), (1, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_go_back_to_until_someone_vouches() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
    assert!(
        need.text.contains("nothing to go back to") && need.text.contains("ripcord adopt"),
        "{}",
        need.text
    );
    host.adopt(&service, &["1.0"]).await;
    let state = host.state(&service);
    assert_eq!(state.standing_of(&version("1.0"), state.at), Standing::Attested);
    host.pull(&service, None).await.expect("pulled");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_that_was_changed_is_not_shifted_to() {
    let (lab, host) = harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.changed.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "the next rung");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_alert_on_a_well_service_opens_nothing() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    let host = lab.start().await;
    let signal = alert(&lab, &service, "a", "harm", SignalStatus::Resolved);
    host.engine.take_signals(vec![signal]).await.unwrap();
    host.until("asked", &service, |state| state.memos.is_empty() && state.length >= 3).await;
    assert_eq!(host.state(&service).incidents, 0);
    check::journal(&host, &service).await;
    host.stop().await;
}
