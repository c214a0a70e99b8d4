//! What is approved is what runs: a plan says what each step will send, and another request than that is not sent.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::{PlannedStep, StepKind};
use ripcord_core::service::{NeedKind, Phase, RunEnd};
use ripcord_core::terms::EffectClass;
use ripcord_tests::lab::eventually;
use ripcord_tests::people::{bob, cleo};
use ripcord_tests::states::{count, needs, reads_back, run_ended, shifts, two_keys};
use ripcord_tests::{Fault, Lab, Running, Spec, check};

fn spec() -> Spec {
    two_keys(Spec::new("fraud-api").scripted()).facet("limits", &["l1", "l2"])
}

/// Adapters are configured otherwise, with what nothing else tells apart.
fn configured_otherwise(lab: &Lab, settings: &str) {
    lab.world.at(&lab.service(), |outside| outside.settings = settings.to_owned());
}

async fn agreed(host: &Running, service: &ServiceName) {
    host.approve(bob(), service).await.expect("voted");
    host.approve(cleo(), service).await.expect("voted");
}

async fn steps(host: &Running, service: &ServiceName) -> Vec<PlannedStep> {
    let plan = host.view(service).await.plan.expect("a plan");
    plan.parts[0].rungs[0].steps.clone()
}

fn changed(event: &Event) -> bool {
    matches!(event, Event::RequestChanged(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_each_step_sends_and_the_record_says_what_was_sent() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.waiting_plan(&service).await;
    let planned = steps(&host, &service).await;
    let kinds: Vec<_> = planned.iter().map(|step| step.kind).collect();
    let expected = [
        StepKind::Stage,
        StepKind::Guard,
        StepKind::Shift,
        StepKind::ReadBack,
        StepKind::MoveName,
        StepKind::Verify,
        StepKind::MarkHolds,
    ];
    assert_eq!(kinds, expected, "what follows the plan is a part of it");
    let of =
        |kind| planned.iter().find(|step| step.kind == kind).unwrap().request.clone().expect("a request");
    let (shift, name) = (of(StepKind::Shift), of(StepKind::MoveName));
    assert!(shift.words.contains("have the fake service serve"), "{}", shift.words);
    assert!(name.words.contains("move the production name to `1.1`"), "{}", name.words);
    agreed(&host, &service).await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.until("followed", &service, |state| state.promotion.is_none()).await;
    let sent = host.view(&service).await.requests;
    let approved: Vec<_> = sent.iter().map(|line| (line.step, line.approved)).collect();
    assert_eq!(approved, [(StepKind::Shift, shift.digest), (StepKind::MoveName, name.digest)]);
    let executed: BTreeSet<_> = sent.iter().map(|line| line.executed).collect();
    assert_eq!(executed.len(), 2, "{sent:?}");
    assert!(!executed.contains(&shift.digest), "holes are filled in what is executed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_than_the_approved_one_is_not_sent() {
    for to in ["1.1", "limits=l1"] {
        let (lab, host) = Lab::harmed(spec()).await;
        let service = lab.service();
        host.pull(&service, Some(to)).await.expect("pulled");
        host.waiting_plan(&service).await;
        configured_otherwise(&lab, "another");
        agreed(&host, &service).await;
        let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
        let Some(Phase::NeedsPerson(need)) = state.incident.as_ref().map(|open| &open.phase) else {
            panic!()
        };
        assert!(
            need.text.contains("no longer what was approved, so nothing was sent"),
            "{to}: {}",
            need.text
        );
        let folded = check::journal(&host, &service).await;
        assert_eq!((count(&folded, changed), shifts(&folded)), (1, 0), "{to}");
        assert!(lab.world.of(&service).steps.is_empty(), "{to}");
        let page = host.view(&service).await;
        assert!(page.timeline.iter().any(|line| line.text.contains("is not what was approved")), "{to}");
        assert!(page.requests.is_empty(), "{to}");
        // What would be sent now is agreed to by itself.
        host.pull(&service, Some(to)).await.expect("pulled");
        agreed(&host, &service).await;
        eventually("it is sent", || !lab.world.of(&service).steps.is_empty()).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_production_name_is_not_moved_by_another_request() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.waiting_plan(&service).await;
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(5)));
    agreed(&host, &service).await;
    host.until("reading back", &service, reads_back).await;
    configured_otherwise(&lab, "another");
    eventually("not promoted", || !lab.world.texts_of("not-promoted").is_empty()).await;
    assert!(lab.world.of(&service).promotions.is_empty(), "nothing was sent");
    host.settled(&service).await;
    let page = host.view(&service).await;
    let said = |text: &str| page.timeline.iter().any(|line| line.text.contains(text));
    assert!(said("no longer what was approved, so nothing was sent"), "{:#?}", page.timeline);
    // As it was approved it is sent.
    configured_otherwise(&lab, "");
    host.until("followed", &service, |state| state.promotion.is_none()).await;
    assert_eq!(lab.world.of(&service).promotions, ["1.1"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_not_begun_by_another_request() {
    let (lab, host) = Lab::harmed(spec().producing(EffectClass::Observable)).await;
    let service = lab.service();
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    host.waiting_plan(&service).await;
    let [produce] = steps(&host, &service).await.try_into().unwrap();
    let request = produce.request.expect("a request");
    assert!(request.words.contains("begin a run of"), "{}", request.words);
    configured_otherwise(&lab, "another");
    agreed(&host, &service).await;
    let state = host.until("ended", &service, run_ended).await;
    assert_eq!(state.producing.past.last().map(|past| &past.end), Some(&RunEnd::NotBegun));
    assert!(lab.world.of(&service).run_starts.is_empty(), "nothing was sent");
    assert_eq!(count(&check::journal(&host, &service).await, changed), 1);
    // The same order under today's settings is another plan.
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    agreed(&host, &service).await;
    host.until("begun", &service, |state| state.producing.run.as_ref().is_some_and(|run| run.attempts > 0))
        .await;
    let second = ripcord_engine::view::incident(host.store.as_ref(), &"fraud-api:2".parse().unwrap()).await;
    let sent = second.unwrap().requests;
    assert_eq!(sent.iter().map(|line| line.step).collect::<Vec<_>>(), [StepKind::Produce]);
    assert_ne!(sent[0].approved, request.digest);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_read_back_is_not_planned_whoever_names_it() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.unshown.insert("1.1".into()));
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let page = host.view(&service).await;
    let said = |text: &str| page.timeline.iter().any(|line| line.text.contains(text));
    assert!(page.plan.is_none() && said("cannot show whether it is served"), "{:#?}", page.timeline);
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.waiting_plan(&service).await;
    host.stop().await;
}
