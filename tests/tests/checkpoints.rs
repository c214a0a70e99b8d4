//! Checkpoints of training runs: as policies are told of them, and as people are.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ripcord_core::fact::{Checkpoint, CheckpointsQuery, Fact, Measure, Request, UnavailableReason, Value};
use ripcord_core::signal::Label;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{FactSource as _, FactsNow, RestoredBy, ServiceSetup, makeable_of};
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{Checkpoints, Clock as _, ErrorKind, PortError};
use ripcord_tests::{Lab, Running, Spec};

/// A place that answers as it is told to, and remembers what it was asked.
#[derive(Debug)]
struct Place {
    answer: Result<CheckpointList, PortError>,
    asked: Mutex<Vec<(Option<String>, u32)>>,
}

#[async_trait]
impl Checkpoints for Place {
    fn name(&self) -> &str {
        "checkpoints_fake"
    }

    async fn checkpoints(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError> {
        self.asked.lock().unwrap().push((run.map(str::to_owned), limit));
        match &self.answer {
            Ok(list) => Ok(list.clone()),
            Err(error) => Err(PortError::not_applied(error.kind, error.to_string())),
        }
    }
}

fn checkpoint(step: u64, loss: f64) -> Checkpoint {
    let measures = vec![Measure { name: "loss".into(), value: loss }];
    Checkpoint { run: "online-7".into(), step, at: UnixMillis(step), digest: None, measures }
}

fn unreadable(count: usize) -> Vec<Label> {
    (1..=count).map(|nth| Label::new(format!("online-7/checkpoint-{nth}"), "is half-written")).collect()
}

struct Stage {
    lab: Lab,
    host: Running,
    setup: ServiceSetup,
    place: Arc<Place>,
}

async fn stage(answer: Result<CheckpointList, PortError>) -> Stage {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let host = lab.start().await;
    let place = Arc::new(Place { answer, asked: Mutex::default() });
    let mut setup: ServiceSetup = host.engine.setup(&lab.service()).unwrap().clone();
    setup.ports.checkpoints = Some(place.clone());
    Stage { lab, host, setup, place }
}

impl Stage {
    async fn fact(&self) -> Fact {
        let query = CheckpointsQuery { run: Some("online-7".into()), limit: 5 };
        let state = self.host.state(&self.lab.service());
        let sources = FactsNow::new(&self.setup, &state, None);
        sources.fact("fact-1".into(), Request::Checkpoints(query), self.lab.clock.now()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_given_the_checkpoints_of_the_run_that_it_asks_for_with_their_metrics_as_they_were_logged()
 {
    let checkpoints = vec![checkpoint(300, f64::NAN), checkpoint(240, 0.03)];
    let stage = stage(Ok(CheckpointList { checkpoints, unreadable: Vec::new() })).await;
    let fact = stage.fact().await;
    assert_eq!((fact.source.as_str(), fact.as_of), ("checkpoints_fake", stage.lab.clock.now()));
    let Ok(Value::Checkpoints(given)) = fact.value else { panic!("{fact:?}") };
    let steps: Vec<_> = given.iter().map(|one| (one.step, one.measures[0].value.is_nan())).collect();
    assert_eq!(steps, [(300, true), (240, false)], "a loss that was lost is not left out");
    assert_eq!(*stage.place.asked.lock().unwrap(), [(Some("online-7".to_owned()), 5)]);
    stage.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_named_beside_the_rest_and_is_never_an_empty_list() {
    let some = CheckpointList { checkpoints: vec![checkpoint(240, 0.03)], unreadable: unreadable(7) };
    let some_usable = stage(Ok(some)).await;
    let fact = some_usable.fact().await;
    assert!(fact.source.contains("; left out: online-7/checkpoint-1 (is half-written)"), "{}", fact.source);
    assert!(fact.source.ends_with("and 2 more"), "{}", fact.source);
    assert!(matches!(&fact.value, Ok(Value::Checkpoints(given)) if given.len() == 1), "{fact:?}");
    some_usable.host.stop().await;

    let none_usable = stage(Ok(CheckpointList { checkpoints: Vec::new(), unreadable: unreadable(1) })).await;
    let why = none_usable.fact().await.value.unwrap_err();
    assert_eq!(why.reason, UnavailableReason::NoData);
    assert!(why.message.contains("no checkpoint can be used: online-7/checkpoint-1"), "{why:?}");
    none_usable.host.stop().await;

    let empty = stage(Ok(CheckpointList::default())).await;
    assert!(matches!(empty.fact().await.value, Ok(Value::Checkpoints(given)) if given.is_empty()));
    empty.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_does_not_answer_and_one_that_is_not_configured_are_no_empty_lists_either() {
    let away = stage(Err(PortError::not_applied(ErrorKind::Unreachable, "no route"))).await;
    let why = away.fact().await.value.unwrap_err();
    assert_eq!(why.reason, UnavailableReason::Failed);
    assert!(why.message.contains("no route"), "{why:?}");
    let mut without = away;
    without.setup.ports.checkpoints = None;
    let why = without.fact().await.value.unwrap_err();
    assert_eq!(why.reason, UnavailableReason::Unsupported);
    without.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_of_each_checkpoint_who_may_have_a_version_made_of_it() {
    let checkpoints = vec![checkpoint(300, f64::NAN), checkpoint(240, 0.03)];
    let stage = stage(Ok(CheckpointList { checkpoints, unreadable: unreadable(1) })).await;
    let (state, store) = (stage.host.state(&stage.lab.service()), stage.host.store.as_ref());
    let now = stage.lab.clock.now();
    let listed =
        async |setup: &ServiceSetup| makeable_of(setup, &state, store, stage.host.engine.fleet(), now).await;
    let makes = listed(&stage.setup).await.unwrap();
    assert_eq!(makes.producer, None);
    assert_eq!(makes.judged_by, None, "the planner here knows versions alone");
    assert_eq!(makes.unusable, unreadable(1));
    let lost = &makes.checkpoints[0];
    assert_eq!((lost.step, lost.metrics[0].value), (300, None), "a number that JSON cannot hold");
    for line in &makes.checkpoints {
        assert_eq!(line.by, RestoredBy::Nobody);
        assert!(
            line.why_not.as_ref().unwrap().contains("nothing is configured that makes a version"),
            "{line:?}"
        );
    }
    let mut without = stage.setup.clone();
    without.ports.checkpoints = None;
    assert_eq!(listed(&without).await, None, "nothing makes and nothing is kept");
    stage.host.stop().await;
}
