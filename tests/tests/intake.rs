//! An alert that was acknowledged is judged, whatever happens to the news of it.

use std::sync::atomic::Ordering;

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::signal::SignalStatus;
use ripcord_core::time::Millis;
use ripcord_ports::Store;
use ripcord_ports::store::SignalFilter;
use ripcord_tests::people::alert;
use ripcord_tests::states::count;
use ripcord_tests::store::Writes;
use ripcord_tests::{Lab, Spec, check, lab};

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_which_no_word_came_is_found_in_the_intake() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    // The look that each start makes is over.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    // Behind the host's back: whatever wakes it is lost.
    host.store.accept(vec![alert(&lab, &service, "a", "harm", SignalStatus::Firing)]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(host.state(&service).incidents, 0, "nobody told it");
    lab.clock.advance(Millis::seconds(15));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_that_cannot_be_read_is_looked_at_again_and_seen_in_status_until_it_can() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.deaf.store(4, Ordering::SeqCst);
    host.alert(&lab, &service, "a").await.unwrap();
    let why = host.until_stuck(&service).await;
    assert!(why.contains("the intake cannot be read") && why.contains("fake store"), "{why}");
    // Counted once it is settled when the next look is. A slow machine may have let the next pause pass meanwhile.
    let failures = || {
        let counters = host.engine.counters();
        let failed = counters.iter().find(|one| one.name == "ripcord_intake_failures_total");
        failed.map_or(0, |one| one.value)
    };
    let looked = |times: u64| failures() >= times;
    lab::eventually("looked", || looked(1)).await;
    for (pause, times) in [(1, 2), (2, 3), (4, 4)] {
        lab.clock.advance(Millis::seconds(pause));
        lab::eventually("looked again", || looked(times)).await;
    }
    assert_eq!((failures(), host.state(&service).incidents), (4, 0));
    lab.clock.advance(Millis::seconds(8));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert!(host.engine.health().iter().all(|health| health.stuck.is_none()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_holds_up_no_other_and_people_are_told() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    let bad = alert(&lab, &service, "bad", "harm", SignalStatus::Firing);
    lab.garbled.lock().unwrap().insert(bad.signal.id.clone());
    host.engine.take_signals(vec![bad]).await.unwrap();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    lab::eventually("told", || lab.world.told_of(&service, "signals-unreadable") == 1).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let told = lab.world.texts_of("signals-unreadable");
    assert!(told[0].contains("fraud-api-bad"), "{told:?}");
    let folded = check::journal(&host, &service).await;
    assert_eq!(check::count(&folded, Topic::SignalsUnreadable), 1);
    let aside = |event: &Event| matches!(event, Event::SignalsSetAside(aside) if aside.signals.len() == 1);
    assert_eq!(count(&folded, aside), 1, "once, and not at every look");
    assert_eq!(host.store.signals(SignalFilter::Waiting(&service), 9).await.unwrap(), []);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_whose_signals_the_journal_refuses_is_seen_in_status() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.disk.send_replace(Writes::Refuse("signals-taken".to_owned()));
    host.alert(&lab, &service, "a").await.unwrap();
    let why = host.until_stuck(&service).await;
    assert!(why.contains("were not taken into the journal"), "{why}");
    lab.disk.send_replace(Writes::Succeed);
    lab.clock.advance(Millis::seconds(30));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert!(host.engine.health().iter().all(|health| health.stuck.is_none()));
    host.stop().await;
}
