//! A training and what comes of it, with a host that dies at every moment in turn: at every append and at every effect, before and after. The moments
//! are those that a clean run passes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::terms::{EffectClass, Mode};
use ripcord_core::time::Millis;
use ripcord_tests::states::{run_ended, run_goes_on};
use ripcord_tests::{Fuse, Lab, Point, RunStage, Running, Spec, check};
use serde_json::json;

/// Hosts at once: most of a run is waiting.
const AT_ONCE: usize = 6;

async fn lab(class: EffectClass) -> Lab {
    let votes = json!({ "approval": "votes", "people": 2 });
    let spec = Spec::new("fraud-api").scripted().with(Role::Approval, votes);
    let spec = spec.producing(class).terms(|terms| {
        terms.mode = Mode::Ask;
        terms.producer.as_mut().unwrap().every = Millis::seconds(1);
        terms.deadlines.hold_watch = Millis::hours(24);
    });
    let lab = Lab::at_speed(vec![spec], 20);
    lab.world.at(&lab.service(), |outside| outside.bad.insert("1.2".into()));
    lab
}

/// From wherever the journal is to the end: ada asks for it, bob and cleo agree to each plan, and the training ends when it goes on.
async fn play(lab: &Lab, host: &Running) {
    let service = lab.service();
    if host.state(&service).incidents == 0 {
        host.pull_retraining(&service, "clicks").await.expect("pulled");
    }
    if host.state(&service).incidents == 1 && !run_ended(&host.state(&service)) {
        host.attend(lab, &service).await;
        host.until("training", &service, |state| run_goes_on(state) || run_ended(state)).await;
        lab.world.at(&service, |outside| {
            if outside.runs.values().any(|run| run.stage == RunStage::GoesOn) {
                outside.end_runs(&RunStage::Made("1.3".into()));
            }
        });
    }
    host.until("its own incident", &service, |state| state.incidents == 2).await;
    host.attend(lab, &service).await;
}

/// One host from its start to the quiet end; none if it died before.
async fn live_through(lab: &Lab, fuse: Arc<Fuse>) -> Option<Running> {
    let host = lab.start_with(fuse).await?;
    let fuse = host.fuse.clone();
    let lived = tokio::select! {
        () = play(lab, &host) => true,
        () = fuse.died() => false,
    };
    if lived {
        return Some(host);
    }
    host.die().await;
    None
}

async fn judge(lab: &Lab, host: &Running, class: EffectClass, point: &str) {
    let service = lab.service();
    check::all(lab, host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), outside.runs.len()), ("1.3", 1), "{point}: {:?}", outside.runs);
    assert_eq!(check::applied(&outside.steps), 1, "{point}: {:#?}", outside.steps);
    let calls = outside.runs.values().next().unwrap().calls;
    if class == EffectClass::Observable {
        assert_eq!(calls, 1, "{point}: the training was started twice");
    }
    assert_eq!(host.state(&service).incidents, 2, "{point}");
}

async fn die_at(class: EffectClass, point: Point) -> bool {
    let lab = lab(class).await;
    let reached = match live_through(&lab, Fuse::armed(Some(point.clone()))).await {
        Some(host) => {
            host.stop().await;
            false
        }
        None => true,
    };
    let host = live_through(&lab, Fuse::safe()).await.expect("it does not die");
    judge(&lab, &host, class, &point.to_string()).await;
    host.stop().await;
    reached
}

fn every_point(class: EffectClass) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clean = lab(class).await;
        let host = live_through(&clean, Fuse::safe()).await.expect("it does not die");
        judge(&clean, &host, class, "never").await;
        let points = host.fuse.passed();
        host.stop().await;
        let names: BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
        for needed in [
            "before append run-began",
            "after append run-began",
            "before start-run",
            "after start-run",
            "before append run-returned",
            "after append run-returned",
            "before append run-made",
            "after append run-made",
            "before append shift-began",
        ] {
            assert!(names.contains(needed), "{needed}: {names:#?}");
        }
        let mut died = 0;
        for some in points.chunks(AT_ONCE) {
            let runs = some.iter().map(|point| die_at(class, point.clone()));
            died += futures_util::future::join_all(runs).await.into_iter().filter(|reached| *reached).count();
        }
        println!("{class:?}: {} moments, died at {died}", points.len());
        assert!(died * 10 >= points.len() * 8, "died at {died} of {}", points.len());
    });
}

#[test]
fn a_training_that_can_be_looked_for_is_started_once_wherever_the_host_dies() {
    every_point(EffectClass::Observable);
}

#[test]
fn a_training_with_a_key_is_one_run_wherever_the_host_dies() {
    every_point(EffectClass::Idempotent);
}
