//! A plan that cannot be read as it was made, and an artefact that is gone before the shift: nothing is done, nothing is recorded
//! as begun, and a person hears of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::{Event, PlanDrafted, PlanLoss};
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::service::{NeedKind, Phase, Service, StepState};
use ripcord_engine::Ask;
use ripcord_ports::Store;
use ripcord_tests::people::{ada, bob};
use ripcord_tests::states::{count, reads_back, shifts};
use ripcord_tests::world::Fault;
use ripcord_tests::{Fuse, Lab, Point, Running, Spec, check};
use serde_json::json;

const LOSSES: [PlanLoss; 2] = [PlanLoss::Erased, PlanLoss::Changed];

fn need(state: &Service) -> Option<&str> {
    match state.incident.as_ref().map(|open| &open.phase) {
        Some(Phase::NeedsPerson(need)) if need.question == NeedKind::WhatNow => Some(&need.text),
        _ => None,
    }
}

/// The plan's content goes, or the store gives another one in its place.
async fn lose(lab: &Lab, host: &Running, service: &ServiceName, loss: PlanLoss) -> PlanDrafted {
    let plan = host.state(service).incident.as_ref().unwrap().plan().unwrap().clone();
    match loss {
        PlanLoss::Erased => assert!(host.store.erase(&plan.content).await.unwrap()),
        PlanLoss::Changed => {
            let content = String::from_utf8(host.store.blob(&plan.content).await.unwrap().unwrap()).unwrap();
            let changed = content.replace("\"environment\":\"test\"", "\"environment\":\"prod\"");
            assert_ne!(changed, content);
            lab.forged.lock().unwrap().insert(plan.content.commitment, changed.into_bytes());
        }
    }
    plan
}

/// A person is asked in one sentence, and the policies are not asked over and over meanwhile.
async fn asks(host: &Running, service: &ServiceName, loss: PlanLoss, rest: &str) {
    let state = host.until("a question", service, |state| need(state).is_some()).await;
    let expected = format!("the plan's content {}, so {rest}", loss.as_str());
    assert!(need(&state).unwrap().starts_with(&expected), "{:?}", need(&state));
    assert!(need(&state).unwrap().contains("`ripcord pull "));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let folded = check::journal(host, service).await;
    assert_eq!(count(&folded, |event| matches!(event, Event::PlanLost(_))), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_approval_policies_cannot_read_ends_with_a_person() {
    for loss in LOSSES {
        let votes = json!({ "approval": "votes", "people": 1 });
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted().with(Role::Approval, votes)).await;
        let service = lab.service();
        host.alert(&lab, &service, "a").await.unwrap();
        host.waiting_plan(&service).await;
        let plan = lose(&lab, &host, &service, loss).await;
        host.vote_on(bob(), &service, plan.digest, true).await.expect("voted");
        asks(&host, &service, loss, "nothing of it is shifted: ").await;
        assert!(lab.world.of(&service).steps.is_empty());
        // A new plan has a content of its own; the vote was for the old one.
        host.pull(&service, None).await.expect("pulled");
        host.attend(&lab, &service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_verification_policies_cannot_read_ends_with_a_person() {
    for loss in LOSSES {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(5)));
        host.alert(&lab, &service, "a").await.unwrap();
        host.until("reading back", &service, reads_back).await;
        lose(&lab, &host, &service, loss).await;
        asks(&host, &service, loss, "it cannot be verified: check the service").await;
        let folded = check::journal(&host, &service).await;
        assert_eq!(count(&folded, |event| matches!(event, Event::VerificationsAsked(_))), 0);
        assert_eq!((shifts(&folded), lab.world.of(&service).live.as_str()), (1, "1.1"), "no further rung");
        host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::SettledByPerson).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_lost_before_its_shift_is_not_recorded_as_shifts() {
    for loss in LOSSES {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        host.ask(ada(), &service, Ask::Pause).await.expect("paused");
        host.alert(&lab, &service, "a").await.unwrap();
        let granted = |state: &Service| {
            matches!(state.incident.as_ref().map(|open| &open.phase), Some(Phase::Acting(_)))
        };
        host.until("granted", &service, granted).await;
        lose(&lab, &host, &service, loss).await;
        host.ask(ada(), &service, Ask::Resume).await.expect("resumed");
        asks(&host, &service, loss, "nothing of it is shifted: ").await;
        let folded = check::journal(&host, &service).await;
        assert_eq!(shifts(&folded), 0);
        assert!(folded.service.automatic_shifts.is_empty());
        assert!(folded.service.incident.unwrap().ladder.tried.is_empty());
        assert!(lab.world.of(&service).steps.is_empty());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_that_cannot_be_fetched_again_after_a_restart_is_not_recorded_as_shifts() {
    let lab = Lab::at_speed(vec![Spec::new("fraud-api").scripted()], 20);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let fuse = Fuse::armed(Some(Point { name: "before append shift-began".into(), nth: 0 }));
    let host = lab.start_with(fuse.clone()).await.unwrap();
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.alert(&lab, &service, "a").await.unwrap();
    fuse.died().await;
    host.die().await;
    // What was staged is gone with the host, and the registry does not answer.
    lab.world.at(&service, |outside| outside.registry_down = true);
    let host = lab.start().await;
    let waits = |state: &Service| match state.incident.as_ref().map(|open| &open.phase) {
        Some(Phase::Acting(acting)) => {
            matches!(acting.step, StepState::Staging(waiting) if waiting.failures > 0)
        }
        _ => false,
    };
    let state = host.until("staging again", &service, waits).await;
    assert!(state.automatic_shifts.is_empty(), "nothing was sent");
    assert_eq!(shifts(&check::journal(&host, &service).await), 0);
    assert!(lab.world.of(&service).steps.is_empty());
    lab.world.at(&service, |outside| outside.registry_down = false);
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!((shifts(&folded), folded.service.automatic_shifts.len()), (1, 1));
    assert_eq!(lab.world.of(&service).live, "1.1", "the first rung still");
    host.stop().await;
}
