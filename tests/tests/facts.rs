//! Large facts: a value is stored once, however often policies are given it, and for as long as any record needs it. Everything is counted, nothing is
//! timed.

use std::collections::BTreeSet;

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::canonical;
use ripcord_core::event::Event;
use ripcord_core::fact::{Fact, Outcome, STORED_ALONE_BYTES_MIN, Value};
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::retention::Class;
use ripcord_core::service::Service;
use ripcord_core::terms::Mode;
use ripcord_core::time::Millis;
use ripcord_engine::replay::{self, ReplayReport};
use ripcord_ports::Store;
use ripcord_ports::store::Content;
use ripcord_sandbox::Replayed;
use ripcord_tests::people::{bob, cleo};
use ripcord_tests::states::{count, two_keys};
use ripcord_tests::store::Writes;
use ripcord_tests::{Lab, Running, Spec, check, lab, policies};
use serde_json::json;

/// Series of a metric whose value has some twenty kilobytes.
const SERIES: u32 = 500;

/// When the samples of the value were taken; another instant is another value.
const SAMPLED_AT: u64 = 1_700_000_000_000;

fn gives_value(lab: &Lab, service: &ServiceName, sampled_at: u64) {
    lab.world.at(service, |outside| outside.wide_metric = Some((SERIES, sampled_at)));
}

/// A service whose trigger is given a large value and watches, asked again every second.
async fn watched() -> (Lab, Running, ServiceName) {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    gives_value(&lab, &service, SAMPLED_AT);
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("watching", &service, |state| !state.watching.watches.is_empty()).await;
    (lab, host, service)
}

/// Lets time pass until the triggers were asked once more.
async fn asked_again(lab: &Lab, host: &Running, service: &ServiceName, after: Millis) {
    let next = |state: &Service| (state.watching.watches.clone(), state.watching.scheduled_at);
    let before = next(&host.state(service));
    lab.clock.advance(after);
    host.until("asked again", service, |state| next(state) != before && !state.watching.is_due()).await;
}

fn is_asked(event: &Event) -> bool {
    matches!(event, Event::TriggersAsked(_))
}

async fn replayed(store: &dyn Store) -> ReplayReport {
    replay::replay(store, policies::sandbox(), None).await.unwrap()
}

fn values(lab: &Lab) -> Vec<BlobRef> {
    lab.appended(BlobKind::Fact)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_value_asked_for_a_hundred_times_is_stored_once() {
    let (lab, host, service) = watched().await;
    for _ in 0..100 {
        asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    }
    // Nothing is asked any more.
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    host.until("at rest", &service, |state| state.watching.watches.is_empty()).await;
    let folded = check::journal(&host, &service).await;
    let asked = count(&folded, is_asked);
    assert!(asked >= 100, "{asked}");
    // The last one has another value: another harm.
    let [value, other] = values(&lab)[..] else { panic!("{:?}", values(&lab)) };
    assert!(value.bytes as usize > 4 * STORED_ALONE_BYTES_MIN, "{value:?}");
    let recordings = lab.appended(BlobKind::Decision);
    let bytes: u64 = recordings.iter().map(|recording| u64::from(recording.bytes)).sum();
    assert!(bytes < 3_000 * recordings.len() as u64, "{bytes} bytes for {} recordings", recordings.len());
    // Each record that refers to it needs it, as long as it is kept itself.
    let uses = async |value: &BlobRef| host.store.uses(Content::Blob(value.commitment)).await.unwrap();
    assert_eq!((uses(&value).await, uses(&other).await), (asked as u64 - 1, 1));
    assert_eq!(check::replays(&host).await, asked, "and each can be made again");
    // What a decision rested on is listed without the value.
    let report = replayed(host.store.as_ref()).await;
    let rested_on = &report.decisions[0].facts[0];
    assert_eq!((rested_on.source.as_str(), &rested_on.missing), ("metrics_fake", &None));
    // It is content of the class of its recordings, and counted once.
    let sizes = host.store.sizes(Default::default()).await.unwrap();
    let decisions = sizes.classes[&Class::Decisions];
    assert!(decisions.count < 3 * asked as u64 + 20, "{decisions:?} for {asked} questions");
    let verified = ripcord_engine::verify(host.store.as_ref(), &service).await.unwrap();
    assert!(verified.is_well(), "{verified:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_value_is_stored_anew_and_a_start_stores_once_more() {
    let (lab, host, service) = watched().await;
    asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    assert_eq!(values(&lab).len(), 1);
    gives_value(&lab, &service, SAMPLED_AT + 1);
    // A question may have been asked meanwhile.
    for _ in 0..2 {
        asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    }
    assert_eq!(values(&lab).len(), 2);
    gives_value(&lab, &service, SAMPLED_AT);
    for _ in 0..2 {
        asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    }
    assert_eq!(values(&lab).len(), 2, "the first is known still");
    host.stop().await;
    let host = lab.start().await;
    for _ in 0..2 {
        asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    }
    assert_eq!(values(&lab).len(), 3);
    check::replays(&host).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_append_failed_is_never_referred_to() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    gives_value(&lab, &service, SAMPLED_AT);
    // What was asked is dropped, and asked again.
    lab.disk.send_replace(Writes::Refuse("triggers-asked".to_owned()));
    host.alert(&lab, &service, "a").await.unwrap();
    let mut stuck = Box::pin(host.until_stuck(&service));
    loop {
        lab.clock.advance(Millis::seconds(1));
        let waits = std::time::Duration::from_millis(20);
        if tokio::time::timeout(waits, &mut stuck).await.is_ok() {
            break;
        }
    }
    drop(stuck);
    assert_eq!(values(&lab), []);
    lab.disk.send_replace(Writes::Succeed);
    lab.clock.advance(Millis::seconds(30));
    host.until("watching", &service, |state| !state.watching.watches.is_empty()).await;
    asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    assert_eq!(values(&lab).len(), 1);
    // What could not be written is written later, with what it refers to.
    gives_value(&lab, &service, SAMPLED_AT + 1);
    lab.disk.send_replace(Writes::FailFrom("triggers-asked".to_owned()));
    lab.clock.advance(Millis::seconds(2));
    host.until_stuck(&service).await;
    lab.disk.send_replace(Writes::Succeed);
    for _ in 0..3 {
        asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    }
    assert_eq!(values(&lab).len(), 2);
    check::replays(&host).await;
    let verified = ripcord_engine::verify(host.store.as_ref(), &service).await.unwrap();
    assert!(verified.is_well(), "{verified:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_gone_is_pruned_and_one_that_is_damaged_says_so() {
    let (lab, host, service) = watched().await;
    asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    host.stop().await;
    let store = lab.open();
    let asked = replayed(store.as_ref()).await.same();
    assert!(asked >= 2);
    let value = values(&lab)[0];
    // Not what a value is encoded in.
    lab.forged.lock().unwrap().insert(value.commitment, b"\xff".to_vec());
    let lying = lab.mortal(&store, &ripcord_tests::Fuse::safe());
    for decision in replayed(&lying).await.decisions {
        let replay::Result::Unreadable(why) = &decision.result else { panic!("{decision:#?}") };
        assert!(why.contains("`1.0`") && why.contains(&value.commitment.to_string()), "{why}");
    }
    // What the store finds out itself.
    let damaged = ripcord_ports::store::StoreError::Damaged("a page is bad".into());
    lab.contents.lock().unwrap().insert(BlobKind::Fact, Err(damaged));
    for decision in replayed(&lying).await.decisions {
        let replay::Result::Unreadable(why) = &decision.result else { panic!("{decision:#?}") };
        assert!(why.contains("a page is bad"), "{why}");
    }
    let verified = ripcord_engine::verify(&lying, &service).await.unwrap();
    assert_eq!(verified.damaged.count, 1, "{verified:?}");
    lab.contents.lock().unwrap().clear();
    lab.forged.lock().unwrap().clear();
    // Erased.
    assert!(store.erase(&value).await.unwrap());
    let report = replayed(store.as_ref()).await;
    assert_eq!(report.decisions.len(), asked);
    for decision in report.decisions {
        let replay::Result::Replayed(Replayed::FactsPruned(which)) = &decision.result else {
            panic!("{decision:#?}")
        };
        assert_eq!(which, &["1.0"]);
        assert_eq!(decision.facts[0].source, "metrics_fake", "what it rested on is still listed");
    }
    assert_eq!(ripcord_engine::verify(store.as_ref(), &service).await.unwrap().erased, 1);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_stays_for_the_youngest_recording_that_needs_it_and_comes_back_anew() {
    let (lab, host, service) = watched().await;
    // Twice as long is less than what is remembered.
    let step = Millis::hours(2);
    let decisions = Class::Decisions.age_default();
    // Never unheard of for long, until the first recordings are old.
    for _ in 0..decisions.0 / step.0 + 2 {
        asked_again(&lab, &host, &service, step).await;
    }
    let [value] = values(&lab)[..] else { panic!("{:?}", values(&lab)) };
    assert!(host.engine.prune().await.pieces[&Class::Decisions] > 0);
    let report = replayed(host.store.as_ref()).await;
    let pruned = |decision: &&replay::ReplayedDecision| {
        decision.result == replay::Result::RecordingPruned(Class::Decisions)
    };
    let gone = report.decisions.iter().filter(pruned).count();
    assert!(gone >= 1 && report.same() >= 10, "{gone} pruned, {} same", report.same());
    assert_eq!(gone + report.same(), report.decisions.len());
    // Nobody asks any more, and so the last recording is old at last.
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    asked_again(&lab, &host, &service, Millis::seconds(2)).await;
    host.until("at rest", &service, |state| state.watching.watches.is_empty()).await;
    lab.clock.advance(Millis(decisions.0 + Millis::hours(1).0));
    host.engine.prune().await;
    assert_eq!(host.store.blob(&value).await.unwrap(), None, "it went with the last");
    // The same value, much later: what is gone is not referred to.
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    host.alert(&lab, &service, "b").await.unwrap();
    host.until("watching", &service, |state| !state.watching.watches.is_empty()).await;
    let report = replayed(host.store.as_ref()).await;
    let last = report.decisions.last().unwrap();
    assert!(matches!(last.result, replay::Result::Replayed(Replayed::Same { .. })), "{last:#?}");
    let verified = ripcord_engine::verify(host.store.as_ref(), &service).await.unwrap();
    assert!(verified.is_well(), "{verified:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_one_moment_share_what_they_are_given() {
    let mut spec = two_keys(Spec::new("fraud-api").scripted());
    spec.policies.push((
        Role::Verification,
        "golden-set",
        json!({ "dataset": "golden", "accuracy": 0.9, "minimum-rows": 1 }),
    ));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    gives_value(&lab, &service, SAMPLED_AT);
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    // The trigger's recording in the words of its contract, and the reason for the incident in the host's.
    assert_eq!(values(&lab).len(), 2, "{:?}", values(&lab));
    // What was kept as evidence outside has the value in it.
    let is_wide =
        |fact: &Fact| matches!(&fact.value, Ok(Value::Metric(samples)) if samples.len() == SERIES as usize);
    let kept = lab.world.change(|all| {
        let facts = all.objects.values().filter_map(|object| canonical::from_cbor::<Vec<Fact>>(object).ok());
        facts.flatten().filter(is_wide).count()
    });
    assert_eq!(kept, 1);
    // Nothing is remembered.
    host.stop().await;
    let host = lab.start().await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    // Both verification policies were told what was known before.
    let asked: Vec<_> = check::journal(&host, &service)
        .await
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::VerificationsAsked(asked) => Some(asked.asked.len()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [2]);
    let all = values(&lab);
    let mut contents = BTreeSet::new();
    for value in &all[2..] {
        assert!(
            contents.insert(host.store.blob(value).await.unwrap()),
            "stored twice since the start: {all:?}"
        );
    }
    assert_eq!(contents.len(), 1, "{all:?}");
    // Whatever the incident needs is kept with it.
    lab.clock.advance(Millis(Class::Decisions.age_default().0 + Millis::hours(1).0));
    host.engine.prune().await;
    for value in &all {
        assert!(host.store.blob(value).await.unwrap().is_some(), "{value:?}");
    }
    // What was known before is told from what a policy asked for.
    assert!(host.store.erase(&all[2]).await.unwrap());
    let mut decisions = replayed(host.store.as_ref()).await.decisions;
    decisions.retain(|decision| decision.role == Role::Verification);
    for decision in &decisions {
        let replay::Result::Replayed(Replayed::FactsPruned(which)) = &decision.result else {
            panic!("{decision:#?}")
        };
        assert_eq!(which, &["1.0 of before"]);
    }
    assert_eq!(decisions.len(), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_is_latched_stores_its_facts_once() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| {
        terms.mode = Mode::Observe;
        terms.schedule = Some(Millis::seconds(5));
    });
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    gives_value(&lab, &service, SAMPLED_AT);
    for _ in 0..10 {
        asked_again(&lab, &host, &service, Millis::seconds(6)).await;
        host.until("at rest", &service, |state| state.incident.is_none()).await;
    }
    lab::eventually("held back", || {
        host.state(&service).watching.latches.values().any(|latch| latch.held_back >= 5)
    })
    .await;
    let all = values(&lab);
    let large: Vec<_> = all.iter().filter(|value| value.bytes > 10_000).collect();
    assert_eq!(large.len(), 2, "in the words of the contract, and in the host's: {all:?}");
    check::replays(&host).await;
    host.stop().await;
}
