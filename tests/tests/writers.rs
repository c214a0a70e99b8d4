//! Someone else writes to the journal of a service that a host drives.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::event::{AboutIncident, Event, PersonSaid};
use ripcord_core::fact::Outcome;
use ripcord_engine::Ask;
use ripcord_tests::people::{ada, bob};
use ripcord_tests::store::intrude;
use ripcord_tests::{Lab, Spec, check};

fn paused() -> Event {
    let reason = BlobRef { commitment: Digest::of("nothing"), kind: BlobKind::Text, bytes: 0 };
    Event::Paused(PersonSaid { person: bob().name, reason })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_judged_by_the_journal_as_it_is() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    intrude(&host.store, &service, &paused()).await;
    let refused = host.ask(ada(), &service, Ask::Pause).await.expect_err("it is paused").to_string();
    assert!(refused.contains("is paused already"), "{refused}");
    assert_eq!(host.state(&service).paused_by, Some(bob().name));
    intrude(&host.store, &service, &Event::Woke).await;
    host.ask(ada(), &service, Ask::Resume).await.expect("it was paused by someone else");
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_is_overtaken_is_owed_again_by_the_new_state() {
    // Each of these is appended by a running effect that waits for the answer.
    for overtaken in ["shift-began", "read-back", "trial-ran", "guard-read"] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        *lab.intruder.lock().unwrap() = Some(overtaken.to_owned());
        host.alert(&lab, &service, "a").await.unwrap();
        host.settled(&service).await;
        assert_eq!(*lab.intruder.lock().unwrap(), None, "{overtaken}: nobody came in between");
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        assert_eq!(check::applied(&lab.world.of(&service).steps), 1, "{overtaken}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_that_someone_else_stopped_is_not_made() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.ask(ada(), &service, Ask::Pause).await.expect("paused");
    host.alert(&lab, &service, "a").await.unwrap();
    let acts = |state: &ripcord_core::service::Service| {
        state.incident.as_ref().is_some_and(|open| open.phase_name() == "staging")
    };
    host.until("granted", &service, acts).await;
    let reason = BlobRef { commitment: Digest::of("nothing"), kind: BlobKind::Text, bytes: 0 };
    let incident = host.state(&service).incident.as_ref().expect("open").id.clone();
    intrude(&host.store, &service, &Event::Aborted(AboutIncident { incident, person: bob().name, reason }))
        .await;
    host.ask(ada(), &service, Ask::Resume).await.expect("resumed");
    host.until("aborted", &service, |state| check::outcome(state) == Some(Outcome::Aborted)).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}
