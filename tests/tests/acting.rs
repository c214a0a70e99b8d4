//! The rules of acting: one incident, one shift, in the order that was granted, whatever the deployer does.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::service::{NeedKind, Phase};
use ripcord_core::signal::SignalStatus;
use ripcord_core::standing::Standing;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_engine::Ask;
use ripcord_tests::people::{ada, alert, bob, cleo, version};
use ripcord_tests::states::{needs, phase, plans, reads_back, shifts, two_keys};
use ripcord_tests::{Fault, Lab, Spec, check};

#[tokio::test(flavor = "multi_thread")]
async fn two_alerts_at_once_are_one_incident() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    let (one, two) = tokio::join!(host.alert(&lab, &service, "a"), host.alert(&lab, &service, "b"));
    one.unwrap();
    two.unwrap();
    host.waiting_plan(&service).await;
    let both = host.until("attached", &service, |state| {
        state.incident.as_ref().is_some_and(|incident| incident.signals == 2)
    });
    assert_eq!(both.await.incidents, 1);
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(host.state(&service).incidents, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_rung_runs_under_the_same_approval() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
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
    let (lab, host) = Lab::harmed(spec).await;
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
    let staged = folded.events.iter().filter(|(_, event)| matches!(event, Event::Staged(_)));
    assert_eq!(staged.count(), 2, "each rung once: people were asked at the guard, and it goes on there");
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
            let (lab, host) = Lab::harmed(spec).await;
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
        let (lab, host) = Lab::harmed(spec).await;
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
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
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
async fn what_lies_in_the_place_is_met_once_and_asked_of_a_person() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::NoPlace));
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
    assert!(need.text.contains("lies in the place"), "{}", need.text);
    assert_eq!(state.incident.as_ref().unwrap().ladder.tried.len(), 1, "no other target was tried");
    // It was mended.
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_lies_is_caught_by_the_read_back() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Lies));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("reading back", &service, reads_back).await;
    lab.clock.advance(Millis::minutes(11));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "the next rung");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_restored_is_not_shifted_again() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
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
async fn an_artefact_that_was_changed_is_not_shifted_to() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
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
