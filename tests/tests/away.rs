//! Systems that are away: the incident goes on when they are back, and a person is asked when their time is up.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Observed;
use ripcord_core::fact::Outcome;
use ripcord_core::service::{NeedKind, PendingPart, Phase, Service};
use ripcord_core::time::Millis;
use ripcord_tests::states::{needs, phase};
use ripcord_tests::{Lab, Running, Spec, check};

/// A service that does harm, whose registry or deployer does not answer.
async fn away(registry: bool, deployer: bool) -> (Lab, Running) {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| {
        outside.registry_down = registry;
        outside.deployer_down = deployer;
    });
    host.alert(&lab, &service, "a").await.unwrap();
    (lab, host)
}

fn plans_again(state: &Service) -> bool {
    matches!(phase(state), Some(Phase::Planning(waiting)) if waiting.failures > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_without_people_when_the_system_is_back() {
    for (registry, deployer) in [(true, false), (false, true)] {
        let (lab, host) = away(registry, deployer).await;
        let service = lab.service();
        let state = host.until("planned again", &service, plans_again).await;
        let pending = state.pending();
        let [plan] = &pending[..] else { panic!("{pending:?}") };
        assert_eq!((plan.doing.as_str(), plan.part), ("making a plan", PendingPart::Incident));
        let deadline = state.terms.as_ref().unwrap().deadlines.planning;
        assert_eq!(plan.until.map(|(at, _)| at), Some(plan.since + deadline));
        lab.world.at(&service, |outside| {
            outside.registry_down = false;
            outside.deployer_down = false;
        });
        host.settled(&service).await;
        host.until("followed", &service, |state| state.promotion.is_none()).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        // Also where what was live was not known yet when evidence was preserved.
        assert_eq!(lab.world.of(&service).in_production.as_deref(), Some("1.1"), "deployer down: {deployer}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stays_unreadable_gets_a_plan_that_says_so_before_the_time_is_up() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.planning = Millis::seconds(3));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.deployer_down = true);
    host.alert(&lab, &service, "a").await.unwrap();
    let decided =
        |state: &Service| matches!(phase(state), Some(Phase::Authorising(_) | Phase::NeedsPerson(_)));
    let state = host.until("planned, or a question", &service, decided).await;
    let plan = state.incident.as_ref().unwrap().plan().expect("a plan for people");
    assert!(matches!(plan.live, Observed::Unknown(_)), "{plan:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_when_its_time_is_up() {
    let (lab, host) = away(true, false).await;
    let service = lab.service();
    host.until("planned again", &service, plans_again).await;
    lab.clock.advance(Millis::minutes(6));
    let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!("{state:#?}") };
    assert!(need.text.starts_with("no plan could be made"), "{}", need.text);
    assert!(state.pending().is_empty());
    let id = state.incident.as_ref().unwrap().id.clone();
    let view = ripcord_engine::view::incident(host.store.as_ref(), &id).await.unwrap();
    assert!(view.failed.as_ref().is_some_and(|failed| failed.contains("registry")), "{:?}", view.failed);
    host.stop().await;
}
