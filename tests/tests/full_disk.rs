//! A store that takes no writes: commands are refused at once and never done, what happened is kept and written later.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use ripcord_core::effect::Topic;
use ripcord_core::event::{Event, PendingPlan};
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Phase, Service};
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, Ballot, CommandError};
use ripcord_ports::store::StoreError;
use ripcord_tests::people::{ada, bob, revision};
use ripcord_tests::states::{count, phase, two_keys};
use ripcord_tests::store::Writes;
use ripcord_tests::{Lab, Running, Spec, check};
use tokio::time::timeout;

/// Longer than any answer takes, and shorter than the store's next try.
const AT_ONCE: Duration = Duration::from_millis(700);

async fn refused_at_once(host: &Running, service: &ServiceName, ask: Ask) {
    let answer = timeout(AT_ONCE, host.ask(bob(), service, ask.clone())).await;
    let answer = answer.unwrap_or_else(|_| panic!("{ask:?} got no answer"));
    assert!(matches!(answer, Err(CommandError::Store(StoreError::Full))), "{ask:?}: {answer:?}");
}

fn said(event: &Event) -> bool {
    matches!(event, Event::Paused(_) | Event::Voted(_) | Event::Dismissed(_) | Event::PullRequested(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_refused_at_once_and_not_done_later() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let plan = host.waiting_plan(&service).await;
    host.until("asked", &service, |state| state.outbox.is_empty()).await;
    let length = usize::try_from(host.state(&service).length).unwrap();
    lab.disk.send_replace(Writes::Fail);
    lab.clock.advance(Millis::minutes(5));
    let stuck = host.until_stuck(&service).await;
    assert!(stuck.contains("free space"), "{stuck}");
    let vote = |granted| {
        Ask::Vote(Ballot { plan, granted, kind: ripcord_core::plan::VoteKind::Session, signed: None })
    };
    let pull = Ask::Pull {
        to: Some(revision("1.0").into()),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    };
    for ask in [Ask::Pause, vote(true), vote(false), Ask::Dismiss, pull] {
        refused_at_once(&host, &service, ask).await;
    }
    lab.disk.send_replace(Writes::Succeed);
    // The next one need not wait until the host tries again by itself; what happened meanwhile comes before it.
    host.vote_on(bob(), &service, plan, true).await.expect("there is space");
    host.until("escalated", &service, |state| {
        matches!(phase(state), Some(Phase::Authorising(waiting)) if waiting.escalate_at.is_none() && waiting.seen.is_some())
    })
    .await;
    assert!(host.engine.health().iter().all(|health| health.stuck.is_none()));
    let folded = check::journal(&host, &service).await;
    let since: Vec<_> = folded.events[length..].iter().map(|(_, event)| event).collect();
    assert!(matches!(since[0], Event::Woke), "{since:#?}");
    let said: Vec<_> = since.iter().filter(|event| said(event)).collect();
    assert!(matches!(said[..], [Event::Voted(_)]), "nothing that was refused: {said:#?}");
    assert_eq!(check::count(&folded, Topic::Escalated), 1);
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_caller_gave_up_is_not_done() {
    let lab = Lab::new(vec![Spec::new("fraud-api")]);
    let service = lab.service();
    let host = lab.start().await;
    let adopt = |name| host.ask(ada(), &service, Ask::Adopt(Some(revision(name))));
    lab.disk.send_replace(Writes::Wait);
    // The driver waits for the store with the first, and never looks at the second before its caller is gone.
    let (first, second) = tokio::join!(adopt("1.0"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let second = timeout(Duration::from_millis(300), host.ask(bob(), &service, Ask::Pause)).await;
        lab.disk.send_replace(Writes::Succeed);
        second
    });
    first.expect("adopted");
    second.expect_err("the store waits");
    // Everything before this has been looked at.
    adopt("1.1").await.expect("adopted");
    assert_eq!(host.state(&service).paused_by, None);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_kept_until_they_can_be_written() {
    let results = ["evidence-preserved", "planned", "approvals-asked", "staged", "guard-read", "shift-began"];
    let later = ["shift-returned", "read-back", "trial-ran", "verifications-asked", "announced"];
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    let trials = trials(&host, &service).await;
    assert!(trials > 0);
    host.stop().await;
    for full_from in results.into_iter().chain(later) {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        lab.disk.send_replace(Writes::FailFrom(full_from.to_owned()));
        host.alert(&lab, &service, "a").await.unwrap();
        let mut disk = lab.disk.subscribe();
        timeout(ripcord_tests::lab::PATIENCE, disk.wait_for(|writes| *writes == Writes::Fail))
            .await
            .unwrap_or_else(|_| panic!("{full_from} was never appended"))
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let settled = |state: &Service| state.last_settled.is_some();
        assert!(full_from == "announced" || !settled(&host.state(&service)), "{full_from}");
        lab.disk.send_replace(Writes::Succeed);
        lab.clock.advance(Millis::seconds(1));
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        assert_eq!(check::applied(&lab.world.of(&service).steps), 1, "{full_from}");
        assert_eq!(
            self::trials(&host, &service).await,
            trials,
            "{full_from}: every trial is on record, once"
        );
        host.stop().await;
    }
}

async fn trials(host: &Running, service: &ServiceName) -> usize {
    count(&check::journal(host, service).await, |event| matches!(event, Event::TrialRan(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_writes_what_it_has_if_it_can() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.disk.send_replace(Writes::FailFrom("shift-returned".to_owned()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until_stuck(&service).await;
    let freed = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        lab.disk.send_replace(Writes::Succeed);
    };
    tokio::join!(host.stop(), freed);
    let host = lab.start().await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert!(!folded.events.iter().any(|(_, event)| matches!(event, Event::ShiftProbed(_))), "it was known");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_tried_again_without_reading_the_journal_again() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.disk.send_replace(Writes::FailFrom("evidence-preserved".to_owned()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until_stuck(&service).await;
    let (read, failures) = (lab.read.load(Ordering::SeqCst), failures(&host));
    while self::failures(&host) < failures + 5 {
        lab.clock.advance(Millis::seconds(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lab.read.load(Ordering::SeqCst), read);
    lab.disk.send_replace(Writes::Succeed);
    lab.clock.advance(Millis::seconds(1));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

fn failures(host: &Running) -> u64 {
    let failed = |counter: &&ripcord_engine::Counter| counter.name == "ripcord_store_failures_total";
    host.engine.counters().iter().filter(failed).map(|counter| counter.value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_come_back_is_seen_in_status_until_it_does() {
    let lab = Lab::new(vec![Spec::new("fraud-api")]);
    let service = lab.service();
    let host = lab.start().await;
    lab.disk.send_replace(Writes::Wait);
    let passes = async {
        loop {
            lab.clock.advance(Millis::seconds(5));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = async {
        tokio::select! {
            why = host.until_stuck(&service) => assert!(why.contains("has not come back from a write"), "{why}"),
            () = passes => unreachable!("it goes on"),
        }
        lab.disk.send_replace(Writes::Succeed);
    };
    let (paused, ()) = tokio::join!(host.ask(bob(), &service, Ask::Pause), seen);
    paused.expect("it was written in the end");
    assert!(host.engine.health().iter().all(|health| health.stuck.is_none()));
    host.stop().await;
}
