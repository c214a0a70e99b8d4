//! Who lets a plan happen and who stops it: votes, modes, pulls, pause, abort, expiry, stand-down.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::event::Happened;
use ripcord_core::fact::Outcome;
use ripcord_core::name::{PolicyName, RoleName};
use ripcord_core::plan::Quorum;
use ripcord_core::policy::Role;
use ripcord_core::service::{NeedKind, Phase, Service, StepState};
use ripcord_core::terms::{Mode, RequesterVote};
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, CommandError};
use ripcord_tests::people::{ada, bob, cleo, dan};
use ripcord_tests::states::{acting, authorising, needs, phase, reads_back, two_keys};
use ripcord_tests::{Fault, Lab, Spec, check};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn pause_stops_before_the_shift_and_resume_goes_on() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    host.until("shifted", &service, reads_back).await;
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Dismissed).await;

    // The answer holds until there is news, or a person says otherwise.
    let scripted = PolicyName::new("scripted").unwrap();
    host.ask(ada(), &service, Ask::LiftLatch(scripted)).await.expect("lifted");
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
async fn a_pull_during_the_shift_waits_for_the_read_back_and_then_replaces_the_target() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(1_000)));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("reading back", &service, reads_back).await;
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
    let (lab, host) = Lab::harmed(spec).await;
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
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
async fn who_asked_counts_as_one_key_but_never_towards_two() {
    let quorum = |people| vec![Quorum { role: RoleName::approver(), people }];
    // One key: the pull itself.
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").terms(|terms| terms.floor = quorum(1))).await;
    host.pull(&lab.service(), Some("1.1")).await.expect("pulled");
    host.settled(&lab.service()).await;
    check::all(&lab, &host, &lab.service(), Outcome::RolledBack).await;
    host.stop().await;
    // Two keys: neither the pull nor the requester's own vote.
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").terms(|terms| terms.floor = quorum(2))).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.approve(ada(), &service).await.expect("voted");
    host.approve(bob(), &service).await.expect("voted");
    assert!(authorising(&host.state(&service)), "one distinct person is not two");
    host.approve(bob(), &service).await.expect("says it twice");
    host.approve(dan(), &service).await.expect("votes without the role");
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
    let (lab, host) = Lab::harmed(spec).await;
    host.pull(&lab.service(), Some("1.1")).await.expect("pulled");
    host.approve(bob(), &lab.service()).await.expect("voted");
    host.settled(&lab.service()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_never_shifts() {
    let (lab, host) =
        Lab::harmed(Spec::new("fraud-api").scripted().terms(|terms| terms.mode = Mode::Observe)).await;
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
    let (mut lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    let (mut lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
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
async fn a_word_on_an_incident_that_has_ended_does_not_hit_the_next() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    let first = host.state(&service).incident.as_ref().unwrap().id.clone();
    host.ask_about(ada(), &service, &first, Ask::Abort).await.expect("aborted");
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.waiting_plan(&service).await;
    let applied = Happened::NotApplied;
    for ask in [Ask::Abort, Ask::Dismiss, Ask::Answer { applied, question: 1 }] {
        let refused = host.ask_about(ada(), &service, &first, ask).await.unwrap_err().to_string();
        assert!(refused.contains("`fraud-api:1` is not open: `fraud-api:2` is"), "{refused}");
    }
    assert!(authorising(&host.state(&service)), "the second goes on");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_do_not_outlive_their_voters_across_a_restart() {
    let (mut lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    host.ask(ada(), &service, Ask::Pause).await.expect("paused");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("granted", &service, |state| acting(state, |_| true)).await;
    host.stop().await;
    lab.specs[0].terms.people.retain(|known| known.name != cleo().name);
    let host = lab.start().await;
    host.ask(ada(), &service, Ask::Resume).await.expect("goes on");
    host.waiting_plan(&service).await;
    assert!(lab.world.of(&service).steps.is_empty(), "one of the two may not act any more");
    let gone = host.approve(cleo(), &service).await.expect_err("removed").to_string();
    assert!(gone.contains("`cleo` is not among those who may act now"), "{gone}");
    host.approve(ada(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_vote_again_is_answered_and_not_recorded() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    host.waiting_plan(&service).await;
    let before = host.state(&service).length;
    for _ in 0..20 {
        let again = host.approve(bob(), &service).await.expect("answered");
        assert_eq!(again.text, "`bob` has said so already: nothing has changed");
    }
    assert_eq!(host.state(&service).length, before);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_read_back_is_left_out_of_the_plan_and_people_see_why() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Planner, json!({ "fallback": "rules" }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let view = host.view(&service).await;
    let planned = view.timeline.iter().find(|line| line.text.starts_with("plan 1 made")).unwrap();
    assert!(
        planned.text.contains("left out: fallback rules: nothing is configured that puts `fallback` back"),
        "{}",
        planned.text
    );
    assert!(view.plan.unwrap().parts[0].rungs.iter().all(|rung| rung.target.version().is_some()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_of_nothing_that_can_be_read_back_is_no_plan() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Planner, json!({ "fallback": "rules" }));
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let failed = host.view(&service).await.failed.unwrap();
    assert!(failed.contains("nothing is configured that puts `fallback` back"), "{failed}");
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}
