//! People are told at least once, under one id, however their line is, and nothing waits for it.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::time::Millis;
use ripcord_engine::Counters;
use ripcord_tests::lab::eventually;
use ripcord_tests::world::Line;
use ripcord_tests::{Lab, Running, Spec, check};

fn counted(host: &Running, name: &str) -> u64 {
    let counters: Counters = host.engine.counters();
    counters.iter().filter(|counter| counter.name == name).map(|counter| counter.value).sum()
}

/// A harmed service whose people can be reached as `line` says, with a host that waits `call_max` for a call.
async fn lab(speed: u64, call_max: Millis) -> (Lab, Running) {
    let mut lab = Lab::at_speed(vec![Spec::new("fraud-api").scripted()], speed);
    lab.announcing.call_max = call_max;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    (lab, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_is_cut_off_and_made_again_while_the_rollback_goes_on() {
    let (lab, host) = lab(20, Millis(100)).await;
    let service = lab.service();
    lab.world.change(|all| all.line = Line::Hangs);
    host.alert(&lab, &service, "a").await.unwrap();
    let state =
        host.until("rolled back", &service, |state| check::outcome(state) == Some(Outcome::RolledBack)).await;
    assert!(lab.world.told().is_empty());
    let settled = state.last_settled.as_ref().unwrap();
    let took = settled.marks.settled_at.unwrap().since(settled.marks.opened_at);
    assert!(took < Millis::minutes(2), "it took {took}: nobody may wait for a notifier");
    let first = state.outbox.first().expect("something is still to be told").id.clone();
    eventually("the call to be made again", || {
        lab.world.change(|all| all.rung.iter().filter(|id| **id == first).count() >= 3)
    })
    .await;
    lab.world.change(|all| all.line = Line::Open);
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_that_fails_ten_times_delivers_under_the_same_id() {
    let (lab, host) = lab(2_000, Millis::seconds(30)).await;
    let service = lab.service();
    host.stop().await;
    lab.world.change(|all| all.rung.clear());
    lab.world.change(|all| all.line = Line::Broken);
    let host = lab.start().await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("rolled back", &service, |state| check::outcome(state) == Some(Outcome::RolledBack)).await;
    let ids = host.state(&service).outbox.iter().map(|outgoing| outgoing.id.clone()).collect::<Vec<_>>();
    let tries = |id: &str| lab.world.change(|all| all.rung.iter().filter(|rung| *rung == id).count());
    eventually("ten calls", || ids.iter().all(|id| tries(id) >= 10)).await;
    assert!(lab.world.told().is_empty());
    lab.world.change(|all| all.line = Line::Open);
    host.settled(&service).await;
    // The ids that people see are those that failed before, and all that was owed.
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert!(ids.iter().all(|id| lab.world.told().iter().any(|told| told.id == *id)));
    assert_eq!(counted(&host, "ripcord_announcements_given_up_total"), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_within_its_time_is_given_up_and_recorded() {
    let (mut lab, host) = lab(20, Millis::seconds(30)).await;
    let service = lab.service();
    host.stop().await;
    lab.announcing.matters_for = Millis::hours(1);
    lab.world.change(|all| all.line = Line::Broken);
    let host = lab.start().await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("rolled back", &service, |state| check::outcome(state) == Some(Outcome::RolledBack)).await;
    let owed = host.state(&service).outbox.len();
    assert!(owed > 0);
    // A life that begins after that time tries once more before it gives up.
    host.stop().await;
    lab.clock.advance(Millis::hours(2));
    lab.world.change(|all| all.rung.clear());
    let host = lab.start().await;
    host.settled(&service).await;
    assert_eq!(lab.world.change(|all| all.rung.len()), owed);
    let folded = check::journal(&host, &service).await;
    let mut given_up = 0;
    for (_, event) in &folded.events {
        let Event::Announced(announced) = event else { continue };
        let Some(why) = announced.failed else { continue };
        given_up += 1;
        let why = ripcord_ports::Store::blob(host.store.as_ref(), &why).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(why).unwrap(), "notifier_fake: the fake line is broken");
    }
    assert_eq!(given_up, owed);
    assert_eq!(counted(&host, "ripcord_announcements_given_up_total"), owed as u64);
    host.stop().await;
}
