//! Training again: a plan of its own makes a version beside whatever else happens, and another plan puts it in place.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::{NeedKind, Opener, RunEnd, RunState};
use ripcord_core::signal::Origin;
use ripcord_core::standing::Standing;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_engine::Ask;
use ripcord_tests::lab::eventually;
use ripcord_tests::people::{ada, bob, cleo, version};
use ripcord_tests::states::{count, needs, run_ended, run_goes_on, shifts, two_keys};
use ripcord_tests::{Fault, Lab, RunStage, Running, Spec, check};
use serde_json::json;

fn spec() -> Spec {
    two_keys(Spec::new("fraud-api").scripted()).producing(EffectClass::Observable)
}

/// Ada asked for it, bob and cleo agreed, and it goes on.
async fn trains(lab: &Lab, host: &Running) {
    let service = lab.service();
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("training", &service, run_goes_on).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_put_in_place_by_a_second_plan_with_votes_of_its_own() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    trains(&lab, &host).await;
    let state = host.state(&service);
    assert_eq!(check::outcome(&state), Some(Outcome::Producing));
    assert_eq!(lab.world.of(&service).live, "1.2", "nothing was shifted");
    let plan = host.view(&service).await.plan.expect("a plan");
    assert_eq!(
        plan.parts[0].rungs[0].target.to_string(),
        "retrain on clicks r7 with 1 exclusion",
        "what was open is pinned"
    );
    let arguments = &plan.parts[0].rungs[0].steps[0].arguments;
    assert!(arguments.iter().any(|label| label.name == "address"), "{arguments:?}");

    lab.world.at(&service, |outside| outside.end_runs(&RunStage::Made("1.3".into())));
    let plan = host.waiting_plan(&service).await;
    let open = host.state(&service).incident.clone().unwrap();
    assert_eq!(open.opened_by, Opener::Produced("fraud-api:1".parse().unwrap()));
    assert_eq!(open.requested_by, [Origin::Person("ada".into())]);
    assert!(open.votes.is_empty(), "who agreed to the training has not seen what came of it");
    assert_eq!(open.plan().unwrap().digest, plan);
    assert_eq!(lab.world.of(&service).live, "1.2");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let state = host.state(&service);
    assert_eq!(lab.world.of(&service).live, "1.3");
    assert_eq!(state.standing_of(&version("1.3"), state.at), Standing::KnownGood, "it was verified");
    assert_eq!(state.standing_of(&version("1.2"), state.at), Standing::Held);
    // The page of the incident that ordered it tells what became of it.
    let page =
        ripcord_engine::view::incident(host.store.as_ref(), &"fraud-api:1".parse().unwrap()).await.unwrap();
    let lines: Vec<_> = page.timeline.iter().map(|line| line.text.as_str()).collect();
    for wanted in ["run begun", "run started", "rows-left-out 17", "loss NaN"] {
        assert!(lines.iter().any(|line| line.contains(wanted)), "{wanted}: {lines:#?}");
    }
    assert_eq!(lab.world.of(&service).run_starts.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_plan_starts_nothing_and_one_that_cannot_be_pinned_is_not_put_before_people() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    let plan = host.waiting_plan(&service).await;
    host.vote_on(bob(), &service, plan, false).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Refused).await;
    assert!(lab.world.of(&service).run_starts.is_empty());
    host.pull_retraining(&service, "nothing").await.expect("pulled");
    host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let failed = host.view(&service).await.failed.expect("why");
    assert!(failed.contains("there is no data set `nothing`"), "{failed}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_producer_a_person_is_told_at_once() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let refused =
        host.pull_retraining(&lab.service(), "clicks").await.expect_err("nothing trains").to_string();
    assert!(refused.contains("nothing is configured for `fraud-api` that makes a version"), "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_opens_and_shifts_while_it_trains_and_what_is_made_waits_for_its_end() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    trains(&lab, &host).await;
    let refused = host.pull_retraining(&service, "clicks").await.expect_err("one at a time").to_string();
    assert!(refused.contains("one goes on at a time"), "{refused}");
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.waiting_plan(&service).await;
    lab.world.at(&service, |outside| outside.end_runs(&RunStage::Made("1.3".into())));
    host.until("made", &service, |state| state.producing.made.is_some()).await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    let state = host.until("its own incident", &service, |state| state.incidents == 3).await;
    assert_eq!(check::outcome(&state), Some(Outcome::RolledBack));
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.waiting_plan(&service).await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let state = host.state(&service);
    assert_eq!(lab.world.of(&service).live, "1.3");
    assert_ne!(state.standing_of(&version("1.1"), state.at), Standing::Held, "it did no harm");
    assert_eq!(shifts(&check::journal(&host, &service).await), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_fails_or_is_lost_is_told_and_leaves_all_as_it_was() {
    let nothing_left = "nothing is left of the 6000 rows: exclude less, or train on other data";
    let looked_for = "it may still go on; look where it runs";
    for (stage, topic, says) in [
        (RunStage::Failed("out of memory".into()), "run-failed", "made no version: it failed"),
        (RunStage::Failed(nothing_left.into()), "run-failed", "made no version: it failed"),
        (RunStage::Lost("the pipeline knows no such run any more".into()), "run-lost", looked_for),
    ] {
        let (lab, host) = Lab::harmed(spec()).await;
        let service = lab.service();
        trains(&lab, &host).await;
        lab.world.at(&service, |outside| outside.end_runs(&stage));
        host.until("ended", &service, run_ended).await;
        host.settled(&service).await;
        check::all(&lab, &host, &service, Outcome::Producing).await;
        assert_eq!(lab.world.told_of(&service, topic), 1, "{stage:?}");
        let told = lab.world.texts_of(topic);
        assert!(told[0].contains("the run that `fraud-api:1` ordered (retrain on clicks r7"), "{told:?}");
        assert!(
            told[0].contains(says) && told[0].contains("`ripcord incidents show fraud-api:1` says more"),
            "{told:?}"
        );
        assert_eq!(lab.world.of(&service).live, "1.2");
        let page = host.view(&service).await;
        let (RunStage::Failed(why) | RunStage::Lost(why)) = &stage else { panic!() };
        assert!(page.timeline.iter().any(|line| line.text.contains(why.as_str())), "{:#?}", page.timeline);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_is_worse_than_what_is_live_does_not_come_through_its_preflight() {
    let mut spec = spec();
    for (role, policy, settings) in &mut spec.policies {
        if *role == Role::Verification {
            *policy = "golden-set";
            // Any answer is right enough: what is left to object to is that what is live answers better.
            *settings = json!({ "dataset": "golden", "accuracy": 0.0, "minimum-rows": 1 });
        }
    }
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    trains(&lab, &host).await;
    lab.world.at(&service, |outside| {
        outside.holds_candidates = true;
        outside.bad = ["1.3".to_owned()].into();
        outside.end_runs(&RunStage::Made("1.3".into()));
    });
    host.waiting_plan(&service).await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let page = host.view(&service).await;
    let failed = page.findings.iter().filter(|finding| !finding.passed);
    let failed: Vec<_> = failed.map(|finding| format!("{}: {}", finding.check, finding.observed)).collect();
    assert_eq!(failed, ["accuracy beside what is live: 0 against 1"], "{:#?}", page.timeline);
    assert_eq!(lab.world.of(&service).live, "1.2", "nothing was shifted");
    host.stop().await;
}

/// What the plan that puts `1.3` in place says of it beside `1.2`, which is live.
async fn said_beside_live(made: &[(&str, f64)], live: &[(&str, f64)]) -> String {
    let of = |all: &[(&str, f64)]| all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    trains(&lab, &host).await;
    lab.world.at(&service, |outside| {
        outside.measures = [("1.3".to_owned(), of(made)), ("1.2".to_owned(), of(live))].into();
        outside.end_runs(&RunStage::Made("1.3".into()));
    });
    host.waiting_plan(&service).await;
    let plan = host.view(&service).await.plan.expect("a plan");
    let arguments = plan.parts[0].rungs[0].steps.iter().flat_map(|step| &step.arguments);
    let said = arguments.filter(|label| label.name.ends_with("-live"));
    let said: Vec<_> = said.map(|label| format!("{}: {}", label.name, label.value)).collect();
    host.stop().await;
    said.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_before_they_agree_that_what_was_made_is_worse_than_what_is_live() {
    let live = [("accuracy", 0.94), ("loss", 0.2)];
    for (made, expected) in [
        (
            &[("accuracy", 0.91), ("loss", 0.3)][..],
            "worse-than-live: accuracy 0.91 against 0.94, loss 0.3 against 0.2",
        ),
        (
            &[("accuracy", 0.95), ("loss", 0.2)],
            "beside-live: accuracy 0.95 against 0.94, loss 0.2 against 0.2",
        ),
        (&[("auc", 0.95)], "beside-live: not compared: the registry has no measure that both have"),
        (&[], "beside-live: not compared: the registry has no measure that both have"),
    ] {
        assert_eq!(said_beside_live(made, &live).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_breaks_is_settled_without_a_second_run() {
    for class in [EffectClass::Idempotent, EffectClass::Observable] {
        for fault in [Fault::DoneAndBroken, Fault::LostAndBroken, Fault::RefusedForNow] {
            let (lab, host) = Lab::harmed(spec().producing(class)).await;
            let service = lab.service();
            lab.world.at(&service, |outside| outside.run_faults.push_back(fault));
            trains(&lab, &host).await;
            let outside = lab.world.of(&service);
            assert_eq!(outside.runs.len(), 1, "{class:?} {fault:?}");
            if class == EffectClass::Observable {
                assert!(outside.runs.values().all(|run| run.calls == 1), "{fault:?}: {:?}", outside.runs);
            }
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_it_and_so_does_its_deadline() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    trains(&lab, &host).await;
    host.ask(ada(), &service, Ask::StopRun).await.expect("stopped");
    let state = host.until("ended", &service, run_ended).await;
    assert!(matches!(&state.producing.past[0].end, RunEnd::Stopped(_)));
    assert!(lab.world.of(&service).runs.values().all(|run| run.stopped));
    trains(&lab, &host).await;
    lab.clock.advance(Millis::hours(8));
    host.until("ended", &service, run_ended).await;
    assert!(lab.world.of(&service).runs.values().all(|run| run.stopped));
    eventually("told", || lab.world.told_of(&service, "run-failed") == 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_hangs_is_told_of_and_given_up_at_last() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    trains(&lab, &host).await;
    lab.world.at(&service, |outside| outside.hangs.extend(["progress".to_owned(), "stop".to_owned()]));
    // Each look takes as long as a call may; what cannot be read for as long as any data may be missing is told.
    for _ in 0..60 {
        if lab.world.told_of(&service, "run-unread") > 0 {
            break;
        }
        lab.clock.advance(Millis::minutes(1));
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert_eq!(lab.world.told_of(&service, "run-unread"), 1);
    lab.clock.advance(Millis::hours(8));
    host.until("to be stopped", &service, |state| {
        state.producing.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Stopping { .. }))
    })
    .await;
    lab.clock.advance(Millis::hours(1));
    let state = host.until("given up", &service, run_ended).await;
    assert!(matches!(state.producing.past[0].end, RunEnd::Lost(_)));
    eventually("told", || lab.world.told_of(&service, "run-lost") == 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_of_looks_leave_a_bounded_journal_and_a_restart_follows_the_same_run() {
    let spec = spec().terms(|terms| terms.producer.as_mut().unwrap().every = Millis::seconds(30));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    trains(&lab, &host).await;
    host.stop().await;
    let host = lab.start().await;
    // A look that is on record puts the next one off by what passed meanwhile, so not every step of the clock brings one.
    for _ in 0..140 {
        let before = lab.world.of(&service).run_looks;
        lab.clock.advance(Millis::minutes(3));
        let looked = eventually("a look", || lab.world.of(&service).run_looks > before);
        drop(tokio::time::timeout(std::time::Duration::from_millis(500), looked).await);
    }
    let looks = lab.world.of(&service).run_looks;
    let folded = check::journal(&host, &service).await;
    let recorded = count(&folded, |event| matches!(event, Event::RunLookedAt(_)));
    println!("{looks} looks in 7 hours, {recorded} recorded");
    assert!((20..=66).contains(&recorded) && looks >= 80, "{recorded} of {looks}");
    lab.world.at(&service, |outside| outside.end_runs(&RunStage::Made("1.3".into())));
    lab.clock.advance(Millis::minutes(1));
    host.until("its own incident", &service, |state| state.incidents == 2).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.run_starts.len(), outside.runs.len()), (1, 1), "{:?}", outside.runs);
    host.stop().await;
}
