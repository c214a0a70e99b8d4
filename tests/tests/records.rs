//! What is recorded is what counts: replay, and plans whose content is gone or was changed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use ripcord_core::event::Event;
use ripcord_core::name::RoleName;
use ripcord_core::plan::Quorum;
use ripcord_core::service::{Phase, Service};
use ripcord_core::time::UnixMillis;
use ripcord_engine::{Ask, DecisionView, decisions, decisions_of_incident, replay};
use ripcord_ports::Store;
use ripcord_sandbox::Replayed;
use ripcord_tests::people::{ada, bob, cleo};
use ripcord_tests::{Fuse, Lab, Spec, check, policies};

fn needs_person(state: &Service) -> bool {
    matches!(state.incident.as_ref().map(|open| &open.phase), Some(Phase::NeedsPerson(_)))
}

/// `bytes` with the number `from` replaced by `to`, in whatever width it was encoded. How often.
fn doctored(bytes: &[u8], from: f32, to: f32) -> (Vec<u8>, usize) {
    let wide = |number: f32| [&[0xfb][..], &f64::from(number).to_be_bytes()].concat();
    let narrow = |number: f32| [&[0xfa][..], &number.to_be_bytes()].concat();
    let mut bytes = bytes.to_vec();
    let mut count = 0;
    for (from, to) in [(wide(from), wide(to)), (narrow(from), narrow(to))] {
        let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
            .filter(|at| bytes[*at..].starts_with(&from))
            .collect();
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(&to);
            count += 1;
        }
    }
    (bytes, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_replays_and_one_doctored_fact_is_found() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(1234.5));
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    assert_eq!(check::replays(&host).await, 4);
    let folded = check::journal(&host, &service).await;
    host.stop().await;

    // With nothing but the store.
    let store = lab.open();
    let recordings = folded.events.iter().find_map(|(_, event)| match event {
        Event::TriggersAsked(asked) => Some(asked.asked[0].decision.recording),
        _ => None,
    });
    let recording = recordings.expect("the trigger was asked");
    let bytes = store.blob(&recording).await.unwrap().expect("it is kept");
    let (bytes, count) = doctored(&bytes, 1234.5, 0.25);
    assert!(count >= 1, "the fact is in the recording");
    lab.forged.lock().unwrap().insert(recording.commitment, bytes);
    let lying = lab.mortal(&store, &Fuse::safe());
    let report = replay::replay(&lying, policies::sandbox(), None).await.unwrap();
    assert_eq!((report.differs(), report.same(), report.open()), (1, 3, 0), "{report:#?}");
    let differs =
        |result: &replay::Result| matches!(result, replay::Result::Replayed(Replayed::Differs { .. }));
    let found = report.decisions.iter().find(|decision| differs(&decision.result)).unwrap();
    assert_eq!(found.role, ripcord_core::policy::Role::Trigger);
    // The store itself does not give what does not fit its commitment, and erased is not the same as different.
    store.erase(&recording).await.unwrap();
    let report = replay::replay(store.as_ref(), policies::sandbox(), None).await.unwrap();
    assert_eq!((report.differs(), report.same(), report.open()), (0, 3, 1));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_content_was_erased_or_changed_is_never_carried_out() {
    for erased in [true, false] {
        let quorum = vec![Quorum { role: RoleName::approver(), people: 2 }];
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").terms(|terms| terms.floor = quorum)).await;
        let service = lab.service();
        host.pull(&service, Some("1.1")).await.expect("pulled");
        host.approve(bob(), &service).await.expect("voted");
        let plan = host.state(&service).incident.as_ref().unwrap().plan().unwrap().clone();
        if erased {
            assert!(host.store.erase(&plan.content).await.unwrap());
        } else {
            let content = host.store.blob(&plan.content).await.unwrap().unwrap();
            let changed = String::from_utf8(content)
                .unwrap()
                .replace("\"environment\":\"test\"", "\"environment\":\"prod\"");
            assert!(changed.contains("\"prod\""));
            lab.forged.lock().unwrap().insert(plan.content.commitment, changed.into_bytes());
        }
        host.approve(cleo(), &service).await.expect("voted");
        let state = host.until("a question", &service, needs_person).await;
        assert!(lab.world.of(&service).steps.is_empty(), "erased: {erased}");
        assert_eq!(lab.world.of(&service).live, "1.2");
        assert!(state.automatic_shifts.is_empty());
        host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
        host.settled(&service).await;
        check::journal(&host, &service).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_says_what_it_was_given_and_what_it_answered() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let settled = host.settled(&service).await;
    host.stop().await;
    let store = lab.open();
    let all = decisions(store.as_ref(), &service, UnixMillis(0), 50).await.unwrap();
    assert!(!all.more && all.decisions.len() >= 4, "{all:#?}");
    let roles: BTreeSet<_> = all.decisions.iter().map(|one| one.role.as_str()).collect();
    assert_eq!(roles.len(), 4, "{roles:?}");
    assert!(all.decisions.is_sorted_by_key(|one| std::cmp::Reverse(one.at)), "newest first");
    let verdict = |one: &DecisionView| one.answer.as_ref().is_some_and(|answer| !answer["verdict"].is_null());
    assert!(all.decisions.iter().all(|one| verdict(one) && one.gone.is_none()), "{all:#?}");
    let facts: Vec<_> = all.decisions.iter().flat_map(|one| &one.facts).collect();
    assert!(facts.iter().any(|fact| fact.value.is_some()), "{facts:#?}");
    let one = decisions(store.as_ref(), &service, UnixMillis(0), 1).await.unwrap();
    assert_eq!((one.decisions.as_slice(), one.more), (&all.decisions[..1], true), "what is cut is said");
    let none = decisions(store.as_ref(), &service, UnixMillis(u64::MAX), 9).await.unwrap();
    assert_eq!((none.decisions.len(), none.more), (0, false));
    let id = settled.last_settled.as_ref().unwrap().id.clone();
    let own = decisions_of_incident(store.as_ref(), &id, 50).await.unwrap();
    assert!(own.decisions.len() >= 4 && own.decisions.iter().any(|one| one.role == "trigger"), "{own:#?}");
    let unknown = ripcord_core::name::IncidentId::new("fraud-api:9").unwrap();
    assert!(decisions_of_incident(store.as_ref(), &unknown, 5).await.is_err());
}
