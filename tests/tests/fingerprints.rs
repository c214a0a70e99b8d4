//! Versions are known by what they answer to the golden data, where that is configured.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::service::Service;
use ripcord_core::time::Millis;
use ripcord_tests::people::revision;
use ripcord_tests::{Lab, Running, Spec, check};

/// A server that names no version in its answers, on which every version was live once and vouched for then.
async fn lived_through(fingerprint: Option<&str>) -> (Lab, Running) {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| {
        terms.fingerprint = fingerprint.map(str::to_owned);
        terms.proof_min = Proof::Fingerprint;
        terms.deadlines.read_back = Millis::seconds(3);
    });
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.nameless = true);
    let host = lab.start().await;
    for name in ["1.0", "1.1"] {
        lab.world.at(&service, |outside| outside.live = name.into());
        host.adopt(&service, &[name]).await;
        host.until("looked at", &service, |state| state.fingerprints.is_empty()).await;
    }
    lab.world.at(&service, |outside| {
        outside.live = "1.2".into();
        outside.bad.insert("1.2".into());
    });
    (lab, host)
}

fn known(state: &Service, name: &str) -> bool {
    state.revisions[&revision(name)].fingerprint.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_no_version_settles_by_fingerprint_and_says_so() {
    let (lab, host) = lived_through(Some("golden")).await;
    let service = lab.service();
    assert!(known(&host.state(&service), "1.0") && known(&host.state(&service), "1.1"));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    let view = host.view(&lab.service()).await;
    assert_eq!((view.proof, view.same_fingerprint), (Some(Proof::Fingerprint), true));
    let settled = lab.world.texts_of("settled");
    assert!(settled[0].contains("is served, proved by golden fingerprint; verified"), "{settled:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_version_in_an_answer_it_is_a_second_proof() {
    let (lab, host) = lived_through(Some("golden")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.nameless = false);
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    let view = host.view(&lab.service()).await;
    assert_eq!((view.proof, view.same_fingerprint), (Some(Proof::Answer), true));
    let settled = lab.world.texts_of("settled");
    assert!(settled[0].contains("proved by version in an answer, and by golden fingerprint"), "{settled:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_otherwise_does_not_settle_whatever_it_calls_itself() {
    let (lab, host) = lived_through(Some("golden")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| {
        outside.nameless = false;
        // It answers as well as the good one, only not the same.
        outside.impostors.insert("1.1".into(), "another good one".into());
    });
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("differs", &service, |state| {
        state.incident.as_ref().is_some_and(|incident| incident.ladder.fingerprint.is_some())
    })
    .await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    lab.clock.advance(Millis::seconds(4));
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "the next rung is taken");
    let folded = check::journal(&host, &service).await;
    assert_eq!(check::count(&folded, Topic::FingerprintDiffers), 1, "people are told once");
    let text = &lab.world.texts_of("fingerprint-differs")[0];
    assert!(text.contains("version 1.1") && text.contains("otherwise than when it was good"), "{text}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fingerprint_there_is_no_proof() {
    let (lab, host) = lived_through(None).await;
    let service = lab.service();
    assert!(!known(&host.state(&service), "1.1"));
    host.alert(&lab, &service, "a").await.unwrap();
    // Nothing is news after this look: the deadline comes by itself.
    host.until("looked at", &service, ripcord_tests::states::seems_served).await;
    lab.clock.advance(Millis::seconds(4));
    let wants = ripcord_tests::states::needs(ripcord_core::service::NeedKind::WhatNow);
    host.until("a person is asked", &service, wants).await;
    let needs = host.view(&lab.service()).await.needs.unwrap();
    assert!(needs.contains("proved less strongly than `proof-min`"), "{needs}");
    assert_eq!(lab.world.of(&service).live, "1.1", "what may be good is not taken away");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_earns_known_good_is_known_again() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.fingerprint = Some("golden".into()));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    // Neither was live when it was adopted.
    let state = host.until("looked at", &service, |state| state.fingerprints.is_empty()).await;
    assert!(!known(&state, "1.0") && !known(&state, "1.1"));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    let state = host.until("taken", &service, |state| state.fingerprints.is_empty()).await;
    assert!(known(&state, "1.1") && !known(&state, "1.0"));
    let folded = check::journal(&host, &service).await;
    let settled = |event: &Event| matches!(event, Event::VerificationsAsked(_));
    let last = folded.events.iter().rposition(|(_, event)| settled(event)).unwrap();
    let taken =
        folded.events.iter().rposition(|(_, event)| matches!(event, Event::Fingerprinted(_))).unwrap();
    assert!(last < taken);
    host.stop().await;
}
