//! Contents of the store that cannot be read: for good, and then nothing waits for them; for a while, and then nothing is decided without them.

use std::time::Duration;

use ripcord_core::blob::BlobKind;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::service::Phase;
use ripcord_core::time::Millis;
use ripcord_ports::store::StoreError;
use ripcord_tests::people::{bob, cleo};
use ripcord_tests::states::{count, phase, two_keys};
use ripcord_tests::{Lab, Running, Spec, check, lab};

fn say(lab: &Lab, kind: BlobKind, said: Result<Option<Vec<u8>>, StoreError>) {
    lab.contents.lock().unwrap().insert(kind, said);
}

fn away() -> Result<Option<Vec<u8>>, StoreError> {
    Err(StoreError::Failed("a reader is busy".into()))
}

/// Lets time pass until an effect has come to nothing a few times.
async fn until_stuck(lab: &Lab, host: &Running, service: &ServiceName) -> String {
    let stuck = async {
        loop {
            lab.clock.advance(Millis(200));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        why = host.until_stuck(service) => why,
        () = stuck => unreachable!("it goes on"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_whose_content_is_gone_for_good_is_set_aside_and_the_others_are_judged() {
    let damaged = Err(StoreError::Damaged("a page is bad".into()));
    for gone in [damaged, Ok(None), Ok(Some(b"no list".to_vec())), Ok(Some(b"[]".to_vec()))] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        lab.world.at(&service, |outside| outside.harm = Some(0.0));
        say(&lab, BlobKind::Signals, gone);
        host.alert(&lab, &service, "a").await.unwrap();
        host.until("set aside", &service, |state| {
            state.watching.alerts.set_aside_of().len() == 1 && !state.watching.is_due()
        })
        .await;
        lab::eventually("told", || lab.world.told_of(&service, "alert-set-aside") == 1).await;
        lab.contents.lock().unwrap().clear();
        lab.world.at(&service, |outside| outside.harm = None);
        host.alert(&lab, &service, "b").await.unwrap();
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_approval_policy_is_asked_while_the_alerts_or_the_cause_cannot_be_read() {
    for kind in [BlobKind::Signals, BlobKind::Text] {
        let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
        let service = lab.service();
        host.alert(&lab, &service, "a").await.unwrap();
        host.waiting_plan(&service).await;
        host.until("told", &service, |state| state.outbox.is_empty()).await;
        // What was read before is at hand no more.
        host.stop().await;
        let host = lab.start().await;
        host.until(
            "asked",
            &service,
            |state| matches!(phase(state), Some(Phase::Authorising(waiting)) if waiting.seen.is_some()),
        )
        .await;
        say(&lab, kind, away());
        let asked = |event: &Event| matches!(event, Event::ApprovalsAsked(_));
        let before = count(&check::journal(&host, &service).await, asked);
        host.approve(bob(), &service).await.expect("voted");
        let why = until_stuck(&lab, &host, &service).await;
        assert!(why.contains("come to nothing"), "{why}");
        assert_eq!(count(&check::journal(&host, &service).await, asked), before, "{kind:?}");
        lab.contents.lock().unwrap().clear();
        host.approve(cleo(), &service).await.expect("voted");
        host.attend(&lab, &service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trigger_is_asked_while_its_memo_cannot_be_read() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.harm = Some(0.5));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("watching, with a memo", &service, |state| {
        !state.watching.watches.is_empty() && !state.memos.is_empty()
    })
    .await;
    say(&lab, BlobKind::Memo, away());
    let asked = |event: &Event| matches!(event, Event::TriggersAsked(_));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = count(&check::journal(&host, &service).await, asked);
    until_stuck(&lab, &host, &service).await;
    assert_eq!(count(&check::journal(&host, &service).await, asked), before);
    lab.contents.lock().unwrap().clear();
    lab.world.at(&service, |outside| outside.harm = None);
    lab.clock.advance(Millis::seconds(30));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verification_policy_is_asked_while_what_was_before_cannot_be_read() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    say(&lab, BlobKind::Evidence, away());
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    until_stuck(&lab, &host, &service).await;
    let asked = |event: &Event| matches!(event, Event::VerificationsAsked(_));
    let folded = check::journal(&host, &service).await;
    assert_eq!(count(&folded, asked), 0);
    assert_eq!(count(&folded, |event| matches!(event, Event::ShiftBegan(_))), 1, "it has shifted");
    lab.contents.lock().unwrap().clear();
    lab.clock.advance(Millis::seconds(30));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}
