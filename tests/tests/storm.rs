//! Storms: however many alerts come, the first decision waits for one group of them, what is kept and stored is bounded, and one that a policy faults
//! on takes none of the others with it. Everything is counted, nothing is timed.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Event, TrialPhase};
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::service::Service;
use ripcord_core::signal::{Label, SignalStatus};
use ripcord_core::terms::Mode;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::Folded;
use ripcord_ports::Store;
use ripcord_ports::store::{NewSignal, SignalFilter};
use ripcord_tests::lab::Running;
use ripcord_tests::people::alert;
use ripcord_tests::{Lab, Spec, check};
use serde_json::json;

const GROUP: usize = 256;

fn alerts(lab: &Lab, service: &ServiceName, count: usize) -> Vec<NewSignal> {
    let firing = |index| alert(lab, service, &format!("storm-{index}"), "storm", SignalStatus::Firing);
    (0..count).map(firing).collect()
}

/// Hands the alerts in, in payloads of fifty.
async fn pour(host: &Running, alerts: Vec<NewSignal>) {
    for payload in alerts.chunks(50) {
        host.engine.take_signals(payload.to_vec()).await.unwrap();
    }
}

async fn consumed(host: &Running, service: &ServiceName) {
    let judged = async {
        loop {
            let waiting = host.store.signals(SignalFilter::Waiting(service), 1).await.unwrap();
            if waiting.is_empty() && !host.state(service).watching.is_due() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), judged).await.expect("all are judged");
}

fn count(folded: &Folded, wanted: impl Fn(&Event) -> bool) -> usize {
    folded.events.iter().filter(|(_, event)| wanted(event)).count()
}

fn taken(folded: &Folded) -> Vec<usize> {
    let signals = |event: &Event| match event {
        Event::SignalsTaken(taken) => Some(taken.signals as usize),
        _ => None,
    };
    folded.events.iter().filter_map(|(_, event)| signals(event)).collect()
}

fn is_asked(event: &Event) -> bool {
    matches!(event, Event::TriggersAsked(_))
}

/// Bytes of what the events since number `from` refer to, of this kind.
fn bytes_of(folded: &Folded, from: usize, kind: BlobKind) -> u64 {
    let mut bytes = 0;
    for (_, event) in &folded.events[from..] {
        let text = serde_json::to_value(event).unwrap();
        sum(&text, kind.as_str(), &mut bytes);
    }
    bytes
}

fn sum(value: &serde_json::Value, kind: &str, bytes: &mut u64) {
    match value {
        serde_json::Value::Object(fields) => {
            if fields.get("kind").and_then(|found| found.as_str()) == Some(kind) {
                *bytes += fields.get("bytes").and_then(|found| found.as_u64()).unwrap_or_default();
            }
            fields.values().for_each(|value| sum(value, kind, bytes));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| sum(item, kind, bytes)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_waits_enters_in_groups_and_triggers_are_asked_between_them() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    host.stop().await;
    // They are durable and nobody has looked at them.
    let store = lab.open();
    for payload in alerts(&lab, &service, 3_000).chunks(500) {
        store.accept(payload.to_vec()).await.unwrap();
    }
    store.close().await.unwrap();
    let host = lab.start().await;
    consumed(&host, &service).await;
    let folded = check::journal(&host, &service).await;
    let groups = taken(&folded);
    assert_eq!(groups.iter().sum::<usize>(), 3_000, "each once");
    assert!(groups.len() <= 3_000_usize.div_ceil(GROUP) && groups.iter().all(|signals| *signals <= GROUP));
    // The first question comes when two groups are in at the latest, and then one for at most two groups each.
    let first = folded.events.iter().position(|(_, event)| is_asked(event)).unwrap();
    let before = folded.events[..first].iter().filter(|(_, event)| matches!(event, Event::SignalsTaken(_)));
    assert!(before.count() <= 2);
    let asked = count(&folded, is_asked);
    assert!(asked >= groups.len() / 2 && asked <= 2 * groups.len() + 2, "{asked}");
    // What is kept is bounded, and what is left out is counted.
    let kept = &host.state(&service).watching.alerts;
    assert_eq!((kept.len(), kept.left_out()), (512, 3_000 - 512));
    // The content is stored once, and recordings refer to it.
    let (content, recordings) =
        (bytes_of(&folded, 0, BlobKind::Signals), bytes_of(&folded, 0, BlobKind::Decision));
    assert!(recordings < content * 2, "{recordings} bytes of recordings for {content} bytes of signals");
    host.stop().await;
    // A start reads the same state.
    let host = lab.start().await;
    assert_eq!(host.state(&service).watching.alerts.left_out(), 3_000 - 512);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_tells_of_harm_is_rolled_back_before_it_is_over() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    pour(&host, alerts(&lab, &service, 2_000)).await;
    consumed(&host, &service).await;
    host.settled(&service).await;
    let folded = check::journal(&host, &service).await;
    let (mut state, mut before) = (Service::new(service.clone()), 0);
    for (at, event) in &folded.events {
        state = state.apply(*at, event).unwrap();
        if state.incidents > 0 {
            break;
        }
        if let Event::SignalsTaken(taken) = event {
            before += taken.signals as usize;
        }
    }
    assert!(before <= 3 * GROUP, "{before} of 2,000 alerts were in the journal before the incident opened");
    let last = host.state(&service).last_settled.clone().unwrap();
    assert!(last.signals <= 2_000);
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_alert_ten_thousand_times_is_one_alert_with_a_count() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    let flapping = (0..10_000_u64).map(|index| {
        let status = if index % 2 == 0 { SignalStatus::Firing } else { SignalStatus::Resolved };
        let mut new = alert(&lab, &service, &format!("flap-{index}"), "flapping", status);
        new.signal.labels = vec![Label::new("instance", "a")];
        new.signal.started_at = UnixMillis(1_000_000 + index / 2);
        new.signal.ended_at = (status == SignalStatus::Resolved).then_some(UnixMillis(1_000_000 + index / 2));
        new
    });
    pour(&host, flapping.collect()).await;
    consumed(&host, &service).await;
    let state = host.state(&service);
    let all = state.watching.alerts.all();
    let [only] = all.as_slice() else { panic!("{} alerts", all.len()) };
    assert_eq!((only.word.count, only.word.status), (10_000, SignalStatus::Resolved));
    let folded = check::journal(&host, &service).await;
    let words: usize = folded
        .events
        .iter()
        .map(|(_, event)| if let Event::SignalsTaken(taken) = event { taken.alerts.len() } else { 0 })
        .sum();
    assert!(words <= taken(&folded).len(), "one word for each group, not {words}");
    host.stop().await;
}

fn heavy(lab: &Lab, service: &ServiceName, count: usize) -> Vec<NewSignal> {
    let large = |index| {
        let mut new = alert(lab, service, &format!("heavy-{index}"), "heavy", SignalStatus::Firing);
        new.signal.annotations = vec![Label::new("description", "x".repeat(1 << 20))];
        new
    };
    (0..count).map(large).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_five_alerts_of_a_megabyte_are_judged_and_a_trigger_that_watches_them_stores_little() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.no_metrics = true);
    for payload in heavy(&lab, &service, 75).chunks(5) {
        host.engine.take_signals(payload.to_vec()).await.unwrap();
    }
    consumed(&host, &service).await;
    let state = host.state(&service);
    assert_eq!(state.watching.alerts.len(), 75);
    assert!(state.watching.faulted.is_empty() && state.watching.alerts.set_aside_of().is_empty());
    // It goes on watching.
    let before = check::journal(&host, &service).await.events.len();
    for _ in 0..10 {
        let length = host.state(&service).length;
        lab.clock.advance(Millis::seconds(2));
        host.until("asked again", &service, |state| state.length > length + 1).await;
    }
    let folded = check::journal(&host, &service).await;
    assert!(folded.events[before..].iter().filter(|(_, event)| is_asked(event)).count() >= 9);
    let bytes = bytes_of(&folded, before, BlobKind::Decision);
    assert!(bytes < 200 << 10, "{bytes} bytes for ten more questions about 75 MB of alerts");
    assert!(check::replays(&host).await > 10, "and each can be made again");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_says_which_signals_are_gone() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    host.alert(&lab, &service, "a").await.unwrap();
    consumed(&host, &service).await;
    let folded = check::journal(&host, &service).await;
    let content = folded.events.iter().find_map(|(_, event)| match event {
        Event::SignalsTaken(taken) => Some(taken.content),
        _ => None,
    });
    host.store.erase(&content.unwrap(), UnixMillis(1)).await.unwrap();
    let report =
        ripcord_engine::replay::replay(host.store.as_ref(), ripcord_tests::policies::sandbox(), None)
            .await
            .unwrap();
    let ripcord_engine::replay::Result::Replayed(ripcord_sandbox::Replayed::FactsPruned(which)) =
        &report.decisions[0].result
    else {
        panic!("{report:#?}")
    };
    assert_eq!(which, &[format!("signals {}", content.unwrap().commitment.short())]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_a_trigger_traps_on_is_found_and_the_others_are_judged_without_it() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    let mut all = alerts(&lab, &service, 200);
    all.insert(120, alert(&lab, &service, "poison", "panic", SignalStatus::Firing));
    host.engine.take_signals(all).await.unwrap();
    consumed(&host, &service).await;
    let set_aside = |state: &Service| state.watching.alerts.set_aside_of().len();
    assert_eq!(set_aside(&host.state(&service)), 1);
    host.until("told", &service, |_| lab.world.told_of(&service, "alert-set-aside") == 1).await;
    let folded = check::journal(&host, &service).await;
    let searched: usize = folded
        .events
        .iter()
        .filter_map(|(_, event)| if let Event::TriggersAsked(asked) = event { Some(asked) } else { None })
        .flat_map(|asked| asked.asked.iter().map(|one| one.searched.len()))
        .sum();
    assert!((1..=34).contains(&searched), "{searched} calls to find one among 201");
    // Restarts included: what comes later is judged, and harm is found.
    host.stop().await;
    let host = lab.start().await;
    assert_eq!(set_aside(&host.state(&service)), 1);
    lab.world.at(&service, |outside| outside.harm = None);
    host.alert(&lab, &service, "later").await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.told_of(&service, "alert-set-aside"), 1);
    assert_eq!(lab.world.told_of(&service, "policy-faulted"), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_that_lasts_in_mode_observe_is_one_incident_until_someone_lifts_the_latch() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| {
        terms.mode = Mode::Observe;
        terms.schedule = Some(Millis::seconds(5));
    });
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    for _ in 0..10 {
        let length = host.state(&service).length;
        lab.clock.advance(Millis::seconds(6));
        host.until("asked", &service, |state| state.length > length && !state.watching.is_due()).await;
        host.until("at rest", &service, |state| state.incident.is_none()).await;
    }
    let state = host.state(&service);
    assert_eq!((state.incidents, lab.world.told_of(&service, "incident-opened")), (1, 1));
    assert!(state.watching.latches.values().all(|latch| latch.held_back >= 5));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_found_it_well_is_not_asked_again_while_another_does_not_know() {
    let spec =
        Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.verification = Millis::hours(1));
    let mut spec = spec;
    spec.policies.push((Role::Verification, "healthy-metrics", never_enough()));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let rounds = |folded: &Folded| count(folded, |event| matches!(event, Event::VerificationsAsked(_)));
    let mut folded = check::journal(&host, &service).await;
    for _ in 0..2_000 {
        lab.clock.advance(Millis::seconds(1));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        if host.state(&service).length > folded.service.length {
            folded = check::journal(&host, &service).await;
        }
        if rounds(&folded) >= 9 {
            break;
        }
    }
    let of_rung =
        |event: &Event| matches!(event, Event::TrialRan(ran) if matches!(ran.phase, TrialPhase::Rung(_)));
    assert!(rounds(&folded) >= 9, "{} rounds", rounds(&folded));
    assert_eq!(count(&folded, of_rung), 1, "the golden data were sent once in {} rounds", rounds(&folded));
    host.stop().await;
}

/// Settings of a policy that waits for its metric to come back, and looks every ten seconds.
fn never_enough() -> serde_json::Value {
    json!({
        "metric": { "query": "low" },
        "when": "under",
        "limit": { "absolute": 0.5 },
        "soak": "50m",
        "recheck": "10s"
    })
}
