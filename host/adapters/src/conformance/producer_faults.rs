//! What every producer must do while the network or its pipeline fails: tell no untruth about a run, and never begin two.

use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{Applied, Producer};

use super::deployer_faults::{faults, happens};
use super::producer::{Expected, Pipeline, made, order, progress, start, stop};
use super::rule::holds;
use crate::fault_proxy::{Fault, FaultProxy, Which};

/// The producer under test and how it reaches its pipeline.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "references to traits without it")]
pub struct Faulty<'a> {
    /// It reaches its pipeline through `proxy`.
    pub producer: &'a dyn Producer,
    /// Asked by the test itself, not through `proxy`.
    pub pipeline: &'a dyn Pipeline,
    /// Between them.
    pub proxy: &'a FaultProxy,
    /// The requests that begin a run.
    pub starts: &'a Which,
    /// What it can make.
    pub expected: &'a Expected,
}

/// Checks the producer.
pub async fn conforms_in_faults(faulty: Faulty<'_>) {
    assert_ne!(
        faulty.producer.class(),
        EffectClass::Blind,
        "what is blind sees no fault: test its conformance alone"
    );
    holds("a-run-is-begun-once-in-faults", faulty.each_start()).await;
    holds("a-run-is-told-truly-in-faults", faulty.each_look()).await;
    holds("a-run-that-was-not-begun-is-none", faulty.nothing_can_be_reached()).await;
    faulty.proxy.calm();
}

impl Faulty<'_> {
    /// Every start goes wrong once, is settled, and the run ends with a candidate.
    async fn each_start(&self) {
        for (name, fault) in faults() {
            self.proxy.calm();
            let order = order(name, &self.expected.makes);
            self.proxy.order(self.starts.clone(), fault.clone(), 1);
            let result = self.producer.start(&order).await;
            let asked = self.proxy.count(self.starts);
            assert!(asked > 0, "{name}: the suite was told of other requests than those that begin a run");
            let idempotent = self.producer.class() == EffectClass::Idempotent;
            assert!(
                asked == 1 || idempotent || !happens(&fault),
                "{name}: a run that may have begun was begun again"
            );
            self.proxy.calm();
            let begun = self.pipeline.begun(&order.key).await;
            match &result {
                Ok(()) => assert_eq!(begun, 1, "{name}: it is said to be begun"),
                Err(error) if error.applied == Applied::No => {
                    assert_eq!(begun, 0, "{name}: it is said not to be begun: {error}");
                }
                Err(_) => {}
            }
            self.settle(&order, begun, name).await;
            self.pipeline.let_succeed(&order.key).await;
            made(self.producer, self.pipeline, &order).await;
            assert_eq!(self.pipeline.begun(&order.key).await, 1, "{name}: one key is one run");
        }
    }

    /// As a host does after an interruption: it looks, and begins what was not begun.
    async fn settle(&self, order: &ProduceOrder, begun: usize, name: &str) {
        match progress(self.producer, order).await {
            Progress::NotStarted => {
                let idempotent = self.producer.class() == EffectClass::Idempotent;
                assert!(begun == 0 || idempotent, "{name}: there is a run, and it is told as not started");
                start(self.producer, order).await;
            }
            Progress::Running { .. } | Progress::Made(_) => assert_eq!(begun, 1, "{name}: there is no run"),
            // That it cannot tell is no untruth where there is one; where there is none, it would never end.
            other => panic!("{name}: an interrupted start is told as {other:?}"),
        }
    }

    /// A run goes on, and looking at it goes wrong: once, and each time.
    async fn each_look(&self) {
        self.proxy.calm();
        let order = order("looks", &self.expected.makes);
        start(self.producer, &order).await;
        for (name, fault) in faults() {
            // What answers in place of the system with a success and nothing in it says nothing of a run.
            for times in [1, usize::MAX] {
                self.proxy.calm();
                self.proxy.order(Which::Any, fault.clone(), times);
                match self.producer.progress(&order).await {
                    Ok(Progress::Running { .. }) => {}
                    Ok(Progress::Lost(_)) if is_an_answer_of_absence(&fault) => {}
                    Ok(other) => panic!("{name}: a run that goes on is told as {other:?}"),
                    Err(error) => {
                        assert_eq!(error.applied, Applied::No, "{name}: looking changes nothing: {error}")
                    }
                }
            }
        }
        self.proxy.calm();
        let after = progress(self.producer, &order).await;
        assert!(matches!(after, Progress::Running { .. }), "nothing wrong is remembered: {after:?}");
        for (name, fault) in faults() {
            self.proxy.calm();
            self.proxy.order(Which::Any, fault, 1);
            let _ = self.producer.stop(&order).await;
            self.proxy.calm();
            stop(self.producer, &order).await;
            assert!(!self.pipeline.goes_on(&order.key).await, "{name}: a stop can be repeated");
        }
        assert_eq!(self.pipeline.begun(&order.key).await, 1, "looking and stopping begin no run");
    }

    async fn nothing_can_be_reached(&self) {
        self.proxy.calm();
        let order = order("unreachable", &self.expected.makes);
        self.proxy.order(Which::Any, Fault::Unsent, usize::MAX);
        let Err(error) = self.producer.start(&order).await else {
            panic!("a run is said to be begun, and the pipeline was not reached")
        };
        self.proxy.calm();
        assert_eq!(self.pipeline.begun(&order.key).await, 0, "nothing could be reached: {error}");
        self.settle(&order, 0, "nothing could be reached").await;
        self.pipeline.let_succeed(&order.key).await;
        made(self.producer, self.pipeline, &order).await;
    }
}

/// A 404 may come from something before the system, and says the same as the system itself would.
fn is_an_answer_of_absence(fault: &Fault) -> bool {
    matches!(fault, Fault::Instead(answer) if answer.status == 404)
}
