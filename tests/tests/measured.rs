//! Where the time from an alert to the restored answer goes: measured, whole or not, and kept apart from the rest.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use ripcord_core::event::{Event, Measured, Seen};
use ripcord_core::name::RoleName;
use ripcord_core::plan::Quorum;
use ripcord_core::service::Service;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Micros;
use ripcord_tests::fuse::Fuse;
use ripcord_tests::people::{bob, cleo};
use ripcord_tests::{Lab, Running, Spec, check};

/// Longer than any pause of the host's own.
const WAIT: Duration = Duration::from_millis(400);

async fn measured(lab: &Lab, host: &Running) -> Vec<Measured> {
    let folded = check::journal(host, &lab.service()).await;
    let of =
        |event: &Event| if let Event::Measured(measured) = event { Some(measured.clone()) } else { None };
    folded.events.iter().filter_map(|(_, event)| of(event)).collect()
}

fn adds_up(measured: &Measured) {
    let Measured { systems, people, data, pauses, own, .. } = measured;
    assert_eq!(measured.total.0, systems.0 + people.0 + data.0 + pauses.0 + own.0, "{measured:#?}");
    let parts: u64 = measured.own_parts.iter().map(|part| part.took.0).sum();
    assert!(parts <= own.0 && own.0 > 0, "{measured:#?}");
}

fn is_answered(state: &Service) -> bool {
    state
        .incident
        .as_ref()
        .or(state.last_settled.as_ref())
        .is_some_and(|one| one.marks.read_back_at.is_some())
}

fn micros(duration: Duration) -> Micros {
    Micros(u64::try_from(duration.as_micros()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn systems_are_told_from_the_host() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    // Every call lingers before and after what it does.
    let pace = Duration::from_millis(40);
    let host = lab.start_with(Fuse::slow(pace)).await.unwrap();
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    let all = measured(&lab, &host).await;
    let [measured] = &all[..] else { panic!("{all:#?}") };
    adds_up(measured);
    assert_eq!((measured.seen, measured.people), (Seen::Whole, Micros(0)), "{measured:#?}");
    // Evidence, plan, guard, shift and read-back, one after the other.
    let deployer = measured.each_system.iter().find(|one| one.name == "the fake deployer").unwrap();
    assert!(deployer.took >= micros(pace * 8), "{measured:#?}");
    let policies = measured.own_parts.iter().any(|part| part.name == "policies");
    let journal = measured.own_parts.iter().any(|part| part.name == "journal");
    assert!(policies && journal, "{measured:#?}");
    let view = ripcord_engine::view::incident(host.store.as_ref(), &measured.incident).await.unwrap();
    assert_eq!(view.measured.as_ref(), Some(measured));
    host.stop().await;
}

/// What DESIGN.md asks for, over the whole way: the store's, and those of evidence and of the deployer, which adapters count.
const FLUSHES_MAX: u64 = 6;
/// One for all pieces of evidence, two for a model's folder: see the tests of these adapters.
const FLUSHES_OF_ADAPTERS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn few_flushes_lie_between_an_alert_and_the_read_back() {
    for class in [EffectClass::Idempotent, EffectClass::Conditional, EffectClass::Observable] {
        let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deployer = class);
        let (lab, host) = Lab::harmed(spec).await;
        let service = lab.service();
        host.until("ready", &service, |state| state.pins.is_empty() && state.outbox.is_empty()).await;
        let before = lab.power.flushes();
        host.alert(&lab, &service, "a").await.unwrap();
        host.settled(&service).await;
        let all = measured(&lab, &host).await;
        let [measured] = &all[..] else { panic!("{all:#?}") };
        // The alert itself, what people are told of, and the intent.
        assert_eq!(measured.flushes, 3, "{class:?}");
        assert!(measured.flushes + FLUSHES_OF_ADAPTERS <= FLUSHES_MAX);
        let whole = lab.power.flushes() - before;
        assert!(measured.flushes <= whole, "{class:?}: {whole} in all");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_from_the_host_and_a_restart_is_said() {
    for restarts in [false, true] {
        let floor = vec![Quorum { role: RoleName::new("approver").unwrap(), people: 2 }];
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").terms(|terms| terms.floor = floor)).await;
        let service = lab.service();
        host.pull(&service, Some("1.1")).await.unwrap();
        host.waiting_plan(&service).await;
        let host = if restarts {
            host.stop().await;
            lab.start().await
        } else {
            host
        };
        tokio::time::sleep(WAIT).await;
        host.approve(bob(), &service).await.unwrap();
        host.approve(cleo(), &service).await.unwrap();
        host.until("answered", &service, is_answered).await;
        host.settled(&service).await;
        let all = measured(&lab, &host).await;
        let [measured] = &all[..] else { panic!("{all:#?}") };
        adds_up(measured);
        assert_eq!(measured.seen, if restarts { Seen::Part } else { Seen::Whole });
        assert!(measured.people >= micros(WAIT), "{measured:#?}");
        assert!(measured.own < measured.people, "{measured:#?}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_data_is_told_from_the_host() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    lab.world.at(&service, |outside| {
        outside.bad.insert("1.2".into());
        outside.harm = Some(0.5);
    });
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.alert(&lab, &service, "a").await.unwrap();
    tokio::time::sleep(WAIT).await;
    lab.world.at(&service, |outside| outside.harm = None);
    host.until("answered", &service, is_answered).await;
    host.settled(&service).await;
    let all = measured(&lab, &host).await;
    let [measured] = &all[..] else { panic!("{all:#?}") };
    adds_up(measured);
    assert_eq!(measured.seen, Seen::Whole);
    assert!(measured.data >= micros(WAIT / 2), "{measured:#?}");
    host.stop().await;
}
