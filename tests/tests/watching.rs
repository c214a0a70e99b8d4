//! The rules of watching: what opens an incident and what never does, the breaker, and people who must be told.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::name::PolicyName;
use ripcord_core::policy::Role;
use ripcord_core::service::{NeedKind, Phase, Service};
use ripcord_core::signal::SignalStatus;
use ripcord_core::terms::EvidenceRule;
use ripcord_core::time::Millis;
use ripcord_engine::Ask;
use ripcord_store::Options;
use ripcord_tests::people::{ada, alert, bob, revision};
use ripcord_tests::states::phase;
use ripcord_tests::world::Line;
use ripcord_tests::{Lab, Spec, check};
use serde_json::json;

fn waits_for(service: &Service, why: &str) -> bool {
    matches!(phase(service), Some(Phase::Authorising(waiting))
        if waiting.people_because.as_ref().is_some_and(|because| because.contains(why)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_forty_services_shifts_as_many_as_the_budget_allows() {
    let specs = (0..40).map(|index| {
        Spec::new(&format!("service-{index:02}"))
            .scripted()
            .terms(|terms| terms.breaker.host_shifts_per_hour = 3)
    });
    let lab = Lab::new(specs.collect());
    let host = lab.start().await;
    for spec in &lab.specs {
        lab.world.at(&spec.name, |outside| outside.bad.insert("1.2".into()));
        host.adopt(&spec.name, &["1.0", "1.1"]).await;
    }
    let storm = lab.specs.iter().map(|spec| alert(&lab, &spec.name, "a", "harm", SignalStatus::Firing));
    host.engine.take_signals(storm.collect()).await.unwrap();
    let ended = |state: &Service| {
        ripcord_tests::lab::is_quiet(state) || waits_for(state, "of this host within an hour")
    };
    for spec in &lab.specs {
        host.until("rolled back or waiting for people", &spec.name, ended).await;
    }
    let shifted: Vec<_> =
        lab.specs.iter().filter(|spec| !lab.world.of(&spec.name).steps.is_empty()).collect();
    assert_eq!(shifted.len(), 3);
    // People read of shifts that are made, and apart from them of those that have a place; never of those that wait for people too.
    for spec in lab.specs.iter().filter(|spec| lab.world.of(&spec.name).steps.is_empty()) {
        let state = host.state(&spec.name);
        let Some(Phase::Authorising(waiting)) = phase(&state) else { panic!("{state:#?}") };
        let why = waiting.people_because.as_deref().unwrap();
        let numbers = why.split(' ').filter_map(|word| word.parse::<u32>().ok());
        assert_eq!(numbers.sum::<u32>(), 3, "{why}");
    }
    for spec in &shifted {
        check::all(&lab, &host, &spec.name, Outcome::RolledBack).await;
    }
    // The budget outlives the host.
    host.stop().await;
    let host = lab.start().await;
    let waiting: Vec<_> = lab.specs.iter().filter(|spec| lab.world.of(&spec.name).steps.is_empty()).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(waiting.iter().all(|spec| lab.world.of(&spec.name).steps.is_empty()));
    // People are not limited by it.
    for spec in waiting.iter().take(2) {
        host.approve(bob(), &spec.name).await.expect("voted");
        host.settled(&spec.name).await;
        check::all(&lab, &host, &spec.name, Outcome::RolledBack).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_automatic_shift_comes_a_cool_down() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "b").await.unwrap();
    host.until("waiting for people", &service, |state| waits_for(state, "the last automatic shift")).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
    lab.clock.advance(Millis::minutes(11));
    // Dismissed, so it is not asked again, until someone lifts that.
    host.alert(&lab, &service, "c").await.unwrap();
    host.until("held back", &service, |state| {
        state.watching.latches.values().any(|latch| latch.held_back > 0)
    })
    .await;
    assert_eq!(host.state(&service).incidents, 2);
    let scripted = PolicyName::new("scripted").unwrap();
    host.ask(ada(), &service, Ask::LiftLatch(scripted)).await.expect("lifted");
    // What is live was brought by a rollback: whether it does harm itself, or the harm of before is seen again, people tell apart.
    host.until("waiting for people", &service, |state| waits_for(state, "was brought by the rollback")).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.approve(bob(), &service).await.expect("voted");
    host.until("rolled back", &service, |state| {
        check::outcome(state) == Some(Outcome::RolledBack) && state.incidents == 3
    })
    .await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_automatic_return_to_a_version_that_was_left_today() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.breaker.cool_down = Millis(0));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    host.ask(ada(), &service, Ask::LiftHold(revision("1.2"))).await.expect("lifted");
    host.until("lifted", &service, |state| state.holds.is_empty()).await;
    host.adopt(&service, &["1.2"]).await;
    lab.world.at(&service, |outside| outside.bad = ["1.1".into()].into());
    host.alert(&lab, &service, "b").await.unwrap();
    host.until("waiting for people", &service, |state| waits_for(state, "was left only")).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.approve(bob(), &service).await.expect("voted");
    host.settled(&service).await;
    assert_eq!(lab.world.of(&service).live, "1.2");
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_faults_tells_people_and_opens_nothing() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Trigger, json!({ "broken": true }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("told", &service, |_| lab.world.told_of(&service, "policy-faulted") == 1).await;
    assert_eq!(host.state(&service).incidents, 0);
    // It is told once, however often it goes on; and no alert is held against it, since it faults without any, too.
    host.alert(&lab, &service, "b").await.unwrap();
    let judged = |state: &Service| state.watching.alerts.len() == 2 && !state.watching.is_due();
    let state = host.until("asked again", &service, judged).await;
    assert!(state.watching.alerts.set_aside_of().is_empty());
    host.until("quiet", &service, |state| state.outbox.is_empty()).await;
    assert_eq!(lab.world.told_of(&service, "policy-faulted"), 1);
    // It does not occupy the incident's place.
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_data_never_triggers_and_never_stays_silent() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.no_metrics = true);
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("watching", &service, |state| state.watching.no_data_since.is_some()).await;
    lab.clock.advance(Millis::minutes(9));
    let before = host.state(&service).length;
    host.until("asked again", &service, |state| state.length > before + 1).await;
    assert_eq!(lab.world.told_of(&service, "no-data"), 0);
    lab.clock.advance(Millis::minutes(2));
    host.until("told", &service, |_| lab.world.told_of(&service, "no-data") == 1).await;
    assert_eq!(host.state(&service).incidents, 0);
    // It is told once, and again after the data was back.
    lab.clock.advance(Millis::minutes(20));
    let before = host.state(&service).length;
    host.until("asked again", &service, |state| state.length > before + 1).await;
    assert_eq!(lab.world.told_of(&service, "no-data"), 1);
    lab.world.at(&service, |outside| outside.no_metrics = false);
    lab.clock.advance(Millis::seconds(2));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_the_host_and_ends_in_a_rollback() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("watching", &service, |state| !state.watching.watches.is_empty()).await;
    host.stop().await;
    lab.world.at(&service, |outside| outside.harm = None);
    let host = lab.start().await;
    lab.clock.advance(Millis::seconds(2));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_asks_without_any_alert() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.schedule = Some(Millis::minutes(1)));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.clock.advance(Millis::seconds(61));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert!(!folded.events.iter().any(|(_, event)| matches!(event, Event::SignalsTaken(_))));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_policy_that_faults_grants_nothing_and_tells() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Approval, json!({ "approval": "fault" }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("told", &service, |_| lab.world.told_of(&service, "policy-faulted") == 1).await;
    let plan = host.state(&service).incident.as_ref().unwrap().plan().unwrap().digest;
    host.vote_on(bob(), &service, plan, true).await.expect("voted");
    let length = host.state(&service).length;
    lab.clock.advance(Millis::seconds(31));
    host.until("asked again", &service, |state| state.length >= length + 2).await;
    assert_eq!(lab.world.told_of(&service, "policy-faulted"), 1, "once, however often it is tried again");
    assert!(lab.world.of(&service).steps.is_empty());
    lab.clock.advance(Millis::minutes(61));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Expired).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_policy_that_refuses_ends_it() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Approval, json!({ "approval": "refuse" }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Refused).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_faults_or_never_knows_asks_a_person() {
    for (word, advance) in [("fault", 0), ("never", 31)] {
        let spec =
            Spec::new("fraud-api").scripted().with(Role::Verification, json!({ "verification": word }));
        let (lab, host) = Lab::harmed(spec).await;
        let service = lab.service();
        host.alert(&lab, &service, "a").await.unwrap();
        host.until("shifted", &service, |_| lab.world.of(&service).live == "1.1").await;
        host.until("verifying", &service, |state| {
            state.incident.as_ref().is_some_and(|open| open.marks.read_back_at.is_some())
        })
        .await;
        lab.clock.advance(Millis::minutes(advance));
        host.until("a question", &service, |state| {
            matches!(phase(state), Some(Phase::NeedsPerson(need)) if need.question == NeedKind::WhatNow)
        })
        .await;
        host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::SettledByPerson).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_never_hold_up_a_rollback() {
    for line in [Line::Hangs, Line::Broken] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        lab.world.change(|all| all.line = line);
        host.alert(&lab, &service, "a").await.unwrap();
        host.until("rolled back", &service, |state| check::outcome(state) == Some(Outcome::RolledBack)).await;
        assert_eq!(lab.world.of(&service).live, "1.1");
        assert!(lab.world.told().is_empty());
        // What was not delivered is delivered after a restart, with the same ids.
        host.stop().await;
        lab.world.change(|all| all.line = Line::Open);
        let host = lab.start().await;
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_required_and_missing_asks_a_person() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.evidence = EvidenceRule::Required);
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.deployer_down = true);
    host.alert(&lab, &service, "a").await.unwrap();
    let state =
        host.until("a question", &service, |state| matches!(phase(state), Some(Phase::NeedsPerson(_)))).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
    assert!(need.text.contains("evidence is required and `live`"), "{}", need.text);
    lab.world.at(&service, |outside| outside.deployer_down = false);
    host.pull(&service, None).await.expect("goes on");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_waited_for() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.registry_down = true);
    let refused = host.pull(&service, Some("1.1")).await.expect_err("down").to_string();
    assert!(refused.contains("does not answer"), "{refused}");
    lab.world.at(&service, |outside| outside.registry_down = false);
    let unknown = host.pull(&service, Some("9.9")).await.expect_err("unknown").to_string();
    assert!(unknown.contains("no version `9.9`"), "{unknown}");
    assert_eq!(host.state(&service).incidents, 0);
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.settled(&service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_is_waited_for() {
    let (mut lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.stop().await;
    let file = lab.folder.join("ripcord.db");
    let used = std::fs::metadata(&file).unwrap().len();
    // Room for the alert, and not for its whole incident, although records and content are compressed.
    lab.options = Options { bytes_max: used + (12 << 10), ..Options::default() };
    let host = lab.start().await;
    let taken = host.alert(&lab, &service, "a").await;
    host.until_stuck(&service).await;
    // The disk is still full: the host dies and comes back with room.
    host.die().await;
    lab.options = Options::default();
    let host = lab.start().await;
    if taken.is_err() {
        host.alert(&lab, &service, "a").await.expect("there is room");
    }
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(check::applied(&lab.world.of(&service).steps), 1);
    host.stop().await;
}
