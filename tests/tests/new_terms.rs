//! What is owed after a restart is done under the configuration that the operator has put in force, and not before it is on record.

use std::time::Duration;

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;
use ripcord_core::terms::{EffectClass, Mode};
use ripcord_core::time::Millis;
use ripcord_tests::store::Writes;
use ripcord_tests::{Fault, Fuse, Lab, Point, Running, Spec, Step, check};

/// A service that does harm, whose host dies at `point`, the first time that it gets there.
async fn dies_at(point: &str, spec: Spec, setting: impl Fn(&Lab, &ServiceName)) -> (Lab, ServiceName) {
    let (lab, host) = Lab::harmed(spec).await;
    host.stop().await;
    let service = lab.service();
    setting(&lab, &service);
    let fuse = Fuse::armed(Some(Point { name: point.into(), nth: 0 }));
    let host = lab.start_with(fuse.clone()).await.expect("it starts");
    host.alert(&lab, &service, "a").await.unwrap();
    tokio::time::timeout(ripcord_tests::lab::PATIENCE, fuse.died()).await.expect("it dies");
    host.die().await;
    (lab, service)
}

fn calls(lab: &Lab, service: &ServiceName) -> usize {
    lab.world.of(service).steps.iter().filter(|step| matches!(step, Step::Called { .. })).count()
}

fn spec(class: EffectClass) -> Spec {
    Spec::new("fraud-api").scripted().terms(|terms| terms.deployer = class)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_shift_is_settled_by_the_deployer_in_force_and_never_repeated_on_the_word_of_one() {
    let promises = [EffectClass::Idempotent, EffectClass::Observable];
    for (before, after) in [(0, 1), (1, 0)].map(|(before, after)| (promises[before], promises[after])) {
        let (mut lab, service) = dies_at("after shift", spec(before), |_, _| {}).await;
        lab.specs[0].terms.deployer = after;
        let host = lab.start().await;
        host.settled(&service).await;
        check::journal(&host, &service).await;
        let steps = lab.world.of(&service).steps;
        assert_eq!(calls(&lab, &service), 1, "{before:?}, then {after:?}: {steps:#?}");
        assert!(steps.contains(&Step::Probed { known: true }), "{before:?}, then {after:?}: {steps:#?}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_in_mode_act_is_not_done_in_mode_observe() {
    // A shift that is about to begin, a candidate that is about to be placed.
    for point in ["before append shift-began", "before beside"] {
        let candidates = |lab: &Lab, service: &ServiceName| {
            lab.world.at(service, |outside| outside.holds_candidates = point == "before beside");
        };
        let (mut lab, service) = dies_at(point, spec(EffectClass::Idempotent), candidates).await;
        lab.specs[0].terms.mode = Mode::Observe;
        let host = lab.start().await;
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::Observed).await;
        let outside = lab.world.of(&service);
        assert!(outside.steps.is_empty() && outside.live == "1.2", "{point}: {outside:#?}");
        let placed = outside.candidate_calls.iter().filter(|call| call.starts_with("beside")).count();
        assert_eq!(placed, 0, "{point}: {outside:#?}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_name_is_not_moved_in_mode_observe() {
    let (mut lab, service) = dies_at("before promote", spec(EffectClass::Idempotent), |_, _| {}).await;
    lab.specs[0].terms.mode = Mode::Observe;
    let host = lab.start().await;
    let observes = |state: &Service| state.terms.as_ref().is_some_and(|terms| terms.mode == Mode::Observe);
    host.until("configured", &service, observes).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.in_production.as_deref(), outside.promotions.len()), (Some("1.2"), 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_while_the_configuration_cannot_be_recorded() {
    let (mut lab, service) = dies_at("after shift", spec(EffectClass::Idempotent), |lab, service| {
        lab.world.at(service, |outside| outside.faults.push_back(Fault::LostAndBroken));
    })
    .await;
    lab.specs[0].terms.deployer = EffectClass::Observable;
    lab.disk.send_replace(Writes::Fail);
    let outside = |lab: &Lab| {
        let rung = lab.world.change(|all| all.rung.clone());
        (lab.world.of(&service), rung)
    };
    let (before, rung_before) = outside(&lab);
    let host = lab.start().await;
    assert!(host.until_stuck(&service).await.contains("free space"));
    lab.clock.advance(Millis::seconds(3));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (now, rung_now) = outside(&lab);
    assert_eq!(
        (now.steps, now.fetched, rung_now),
        (before.steps, before.fetched, rung_before),
        "nothing was started"
    );
    lab.disk.send_replace(Writes::Succeed);
    lab.clock.advance(Millis::seconds(2));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    first_after_the_restart_is_the_configuration(&host, &service).await;
    host.stop().await;
}

/// Of the journal's configurations the last comes right after what the killed host wrote.
async fn first_after_the_restart_is_the_configuration(host: &Running, service: &ServiceName) {
    let folded = check::journal(host, service).await;
    let at = |wanted: fn(&Event) -> bool| folded.events.iter().rposition(|(_, event)| wanted(event)).unwrap();
    let configured = at(|event| matches!(event, Event::Configured(_)));
    let began = at(|event| matches!(event, Event::ShiftBegan(_)));
    let probed = folded.events.iter().position(|(_, event)| matches!(event, Event::ShiftProbed(_))).unwrap();
    assert!(configured < probed && configured < began, "{:#?}", folded.events);
}
