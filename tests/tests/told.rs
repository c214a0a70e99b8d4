//! What people and auditors read of an incident: where it began, and what cannot be made again.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use ripcord_core::role::{Context, Criticality, Question, ServiceFacts, TriggerInput};
use ripcord_engine::view;
use ripcord_ports::Clock;
use ripcord_sandbox::{Limits, Replayed};
use ripcord_tests::{Lab, Spec, policies};

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_begins_with_the_first_signal() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    // The trigger watches for a while before it opens the incident.
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("watched", &service, |state| !state.watching.watches.is_empty()).await;
    host.alert(&lab, &service, "b").await.unwrap();
    host.until("both", &service, |state| state.watching.alerts.len() == 2).await;
    lab.world.at(&service, |outside| outside.harm = None);
    lab.clock.advance(ripcord_core::time::Millis::seconds(2));
    let state = host.settled(&service).await;
    let settled = state.last_settled.as_ref().unwrap();
    let view = view::incident(host.store.as_ref(), &settled.id).await.unwrap();
    let first = &view.timeline[0];
    assert_eq!(
        first.text,
        "signal from webhook alertmanager: firing, critical; one more until the incident opened"
    );
    assert_eq!((Some(first.at), first.since_start.0), (settled.marks.signalled_at, 0));
    assert!(view.timeline[1].text.starts_with("triggers asked"), "{:?}", view.timeline);
    assert!(view.timeline.is_sorted_by_key(|line| line.at));
    host.stop().await;
}

/// A decision of which the host lost the call is recorded as one that was given up: replay says so instead of stumbling over it.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_was_given_up_is_not_reproducible() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let policy = policies::policy("scripted").policy;
    let context = Context {
        service: ServiceFacts {
            name: lab.service(),
            environment: "test".into(),
            criticality: Criticality::High,
            model: "fraud".into(),
            labels: Vec::new(),
        },
        incident: None,
        now: lab.clock.now(),
        settings: "{}".into(),
        drill: false,
        live_since: None,
        memo: None,
    };
    let question = Question::Trigger(TriggerInput { context, signals: Vec::new(), facts: Vec::new() });
    let recording = policy.begin(&question, &[], &Limits::default()).finish().unwrap();
    let replayed = ripcord_sandbox::replay(&policy, &recording, &BTreeMap::new()).unwrap();
    let Replayed::NotReproducible { reason } = replayed else { panic!("{replayed:?}") };
    assert!(reason.contains("gave the decision up"), "{reason}");
}
