//! What every producer must do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::target::{CheckpointTarget, RetrainTarget, Target};
use ripcord_core::time::Millis;
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::{Applied, ErrorKind, Producer, Registry};

use super::registry::refused;
use super::request;
use super::rule::holds;

/// Two minutes: systems that schedule take their time.
const POLLS_MAX: u32 = 4_800;
const BETWEEN_POLLS: Duration = Duration::from_millis(25);
/// Text of others is shown to people: more than this of it is no line.
const TEXT_CHARS_MAX: usize = 2_000;

/// The system that the producer under test has its runs in, asked by the test itself and not through the producer.
///
/// A run of a target that can succeed goes on until it is told to end. Where runs end by themselves, the methods that end them do nothing.
#[async_trait]
pub trait Pipeline: Send + Sync {
    /// How many runs were ever begun under this key. For what has no runs but versions: how many of those there are.
    async fn begun(&self, key: &str) -> usize;

    /// Lets the run end with a version that the registry has.
    async fn let_succeed(&self, key: &str);

    /// Lets the run end without one.
    async fn let_fail(&self, key: &str);

    /// Whether something of the run still works.
    async fn goes_on(&self, key: &str) -> bool;

    /// Has the system know nothing of the run any more, without any word of how it ended. False where that cannot happen.
    async fn lose(&self, key: &str) -> bool;

    /// The producer as a host has it that was started anew.
    fn restarted(&self) -> Arc<dyn Producer>;

    /// Where versions are.
    fn registry(&self) -> Arc<dyn Registry>;
}

/// What the producer under test can make.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Something that it can make a version of.
    pub makes: Target,
    /// Something whose run ends without a version, by [`Pipeline::let_fail`] or by itself.
    pub fails: Target,
    /// What people are told then: text that stands in it.
    pub says: String,
    /// Something of a kind that it makes nothing of.
    pub refuses: Target,
}

/// Checks the producer.
pub async fn conforms(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    holds("says-what-a-run-will-be", says(producer)).await;
    holds("says-what-a-start-sends", async {
        let (makes, refuses) = (&expected.makes, producer.request(&expected.refuses));
        request::says(&|| producer.request(makes), producer.request(&another(makes)), refuses.as_ref());
    })
    .await;
    holds("pins-what-is-made", pins(producer, expected)).await;
    holds("makes-nothing-of-other-targets", refuses(producer, pipeline, expected)).await;
    holds("an-unknown-run-is-not-started", unknown(producer, pipeline, expected)).await;
    holds("one-key-is-one-run", once(producer, pipeline, expected)).await;
    holds("a-restarted-host-follows-the-run", follows(producer, pipeline, expected)).await;
    holds("a-failed-run-says-why", fails(producer, pipeline, expected)).await;
    holds("a-stopped-run-ends", stops(producer, pipeline, expected)).await;
    holds("a-lost-run-is-no-absence", loses(producer, pipeline, expected)).await;
}

/// A target of the same kind.
fn another(target: &Target) -> Target {
    match target.clone() {
        Target::Checkpoint(checkpoint) => {
            Target::Checkpoint(CheckpointTarget { step: checkpoint.step + 1, ..checkpoint })
        }
        Target::Retrain(retrain) => {
            Target::Retrain(RetrainTarget { revision: format!("{}-2", retrain.revision), ..retrain })
        }
        other => other,
    }
}

/// An order with a key of its own.
///
/// # Panics
/// Never: the suite's own names are valid.
pub fn order(what: &str, target: &Target) -> ProduceOrder {
    // Systems of tests outlive a suite: no key comes twice in one process, and not in two that run at once.
    static ORDERS: AtomicUsize = AtomicUsize::new(0);
    let number = ORDERS.fetch_add(1, Ordering::Relaxed);
    let plan =
        Digest::tagged("ripcord conformance plan", &[what.as_bytes(), &std::process::id().to_be_bytes()]);
    let (Ok(service), Ok(incident)) = (ServiceName::new("fraud-api"), IncidentId::new("fraud-api:7")) else {
        panic!("the suite's own names are valid")
    };
    let key = format!("conformance-{}-{number}", plan.short());
    ProduceOrder { key, service, target: target.clone(), incident, plan, deadline: Millis::seconds(20) }
}

async fn says(producer: &dyn Producer) {
    assert!(!producer.name().is_empty(), "it has a name");
    let arguments = producer.arguments();
    assert!(!arguments.is_empty(), "a plan's step says what it will do");
    let names: BTreeSet<_> = arguments.iter().map(|argument| &argument.name).collect();
    assert_eq!(names.len(), arguments.len(), "each argument is said once: {arguments:?}");
    assert_eq!(arguments, producer.arguments(), "what a plan pins is the same each time");
}

async fn pins(producer: &dyn Producer, expected: &Expected) {
    let pin = |target: Target| async move {
        producer.pinned(&target).await.unwrap_or_else(|error| panic!("pinning `{target}`: {error}"))
    };
    let pinned = pin(expected.makes.clone()).await;
    assert_eq!(pinned.strategy(), expected.makes.strategy(), "it is the same target");
    assert_eq!(pin(expected.makes.clone()).await, pinned, "it is pinned the same each time");
    assert_eq!(pin(pinned.clone()).await, pinned, "what is pinned already stays as it is");
}

async fn refuses(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    assert!(producer.makes(&expected.makes) && producer.makes(&expected.fails), "it makes what it is for");
    assert!(!producer.makes(&expected.refuses), "it says what it makes nothing of");
    let error = refused(producer.pinned(&expected.refuses).await, "pinning another kind of target");
    assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
    let other = order("another kind", &expected.refuses);
    let error = refused(producer.start(&other).await, "a run for another kind of target");
    assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
    assert_eq!(pipeline.begun(&other.key).await, 0, "nothing was begun");
}

async fn unknown(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("unknown", &expected.makes);
    for _ in 0..2 {
        assert_eq!(progress(producer, &order).await, Progress::NotStarted, "nobody started it");
        stop(producer, &order).await;
    }
    assert_eq!(pipeline.begun(&order.key).await, 0, "neither looking nor stopping begins a run");
}

async fn once(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("once", &expected.makes);
    start(producer, &order).await;
    start(producer, &order).await;
    if let Progress::Running { text, .. } = progress(producer, &order).await {
        one_line(&text, "how far it is");
    }
    let restarted = pipeline.restarted();
    start(restarted.as_ref(), &order).await;
    pipeline.let_succeed(&order.key).await;
    let made = made(producer, pipeline, &order).await;
    start(producer, &order).await;
    assert_eq!(progress(producer, &order).await, Progress::Made(made), "what has ended is not begun again");
    stop(producer, &order).await;
    assert!(matches!(progress(producer, &order).await, Progress::Made(_)), "what it has registered stays");
    assert_eq!(pipeline.begun(&order.key).await, 1, "one key is one run");
}

async fn follows(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("restart", &expected.makes);
    start(producer, &order).await;
    let restarted = pipeline.restarted();
    let found = progress(restarted.as_ref(), &order).await;
    assert!(matches!(found, Progress::Running { .. } | Progress::Made(_)), "it is found: {found:?}");
    pipeline.let_succeed(&order.key).await;
    let made = made(restarted.as_ref(), pipeline, &order).await;
    let later = progress(pipeline.restarted().as_ref(), &order).await;
    assert_eq!(later, Progress::Made(made), "whoever asks is told the same");
    assert_eq!(pipeline.begun(&order.key).await, 1, "a restart begins no second run");
}

async fn fails(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("failure", &expected.fails);
    start(producer, &order).await;
    pipeline.let_fail(&order.key).await;
    for producer in [producer, pipeline.restarted().as_ref()] {
        match ended(producer, &order).await {
            Progress::Failed(why) => {
                one_line(&why, "why it failed");
                assert!(why.contains(&expected.says), "it says why: {why}");
            }
            other => panic!("a run that failed is told as {other:?}"),
        }
    }
    assert!(pipeline.begun(&order.key).await <= 1, "a run that failed is not begun again by itself");
}

async fn stops(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("stop", &expected.makes);
    start(producer, &order).await;
    stop(pipeline.restarted().as_ref(), &order).await;
    stop(producer, &order).await;
    match ended(producer, &order).await {
        Progress::Failed(why) => one_line(&why, "that it was stopped"),
        // Too late: it had ended.
        Progress::Made(_) => {}
        other => panic!("a run that was stopped is told as {other:?}"),
    }
    for poll in 0.. {
        if !pipeline.goes_on(&order.key).await {
            break;
        }
        assert!(poll < POLLS_MAX, "what was stopped goes on");
        tokio::time::sleep(BETWEEN_POLLS).await;
    }
    start(producer, &order).await;
    assert!(pipeline.begun(&order.key).await <= 1, "what was stopped is not begun again");
}

async fn loses(producer: &dyn Producer, pipeline: &dyn Pipeline, expected: &Expected) {
    let order = order("loss", &expected.makes);
    start(producer, &order).await;
    if !pipeline.lose(&order.key).await {
        return;
    }
    for producer in [producer, pipeline.restarted().as_ref()] {
        match ended(producer, &order).await {
            Progress::Lost(why) => one_line(&why, "that it was lost"),
            other => panic!("a run that the system knows nothing of any more is told as {other:?}"),
        }
    }
    // A person decides whether it is begun again, under another key.
    let _ = producer.start(&order).await;
    assert_eq!(pipeline.begun(&order.key).await, 1, "a run that was lost is not begun again by itself");
}

fn one_line(text: &str, what: &str) {
    assert!(!text.is_empty(), "{what} is said");
    assert!(!text.contains(['\n', '\r', '\u{1b}']), "{what} is one line and harmless: {text:?}");
    assert!(text.chars().count() <= TEXT_CHARS_MAX, "{what} is bounded");
}

pub(super) async fn start(producer: &dyn Producer, order: &ProduceOrder) {
    producer.start(order).await.unwrap_or_else(|error| panic!("start `{}`: {error}", order.key));
}

pub(super) async fn stop(producer: &dyn Producer, order: &ProduceOrder) {
    producer.stop(order).await.unwrap_or_else(|error| panic!("stop `{}`: {error}", order.key));
}

pub(super) async fn progress(producer: &dyn Producer, order: &ProduceOrder) -> Progress {
    producer.progress(order).await.unwrap_or_else(|error| panic!("progress of `{}`: {error}", order.key))
}

/// Looks until the run has ended.
pub(super) async fn ended(producer: &dyn Producer, order: &ProduceOrder) -> Progress {
    for _ in 0..POLLS_MAX {
        match progress(producer, order).await {
            Progress::Running { .. } => tokio::time::sleep(BETWEEN_POLLS).await,
            ended => return ended,
        }
    }
    panic!("the run `{}` never ends", order.key);
}

/// The candidate that the run ends with; the registry has it.
pub(super) async fn made(
    producer: &dyn Producer,
    pipeline: &dyn Pipeline,
    order: &ProduceOrder,
) -> Candidate {
    let candidate = match ended(producer, order).await {
        Progress::Made(candidate) => candidate,
        other => panic!("the run ends with {other:?}"),
    };
    let name = &candidate.version.version;
    let listed = pipeline.registry().version(name).await;
    let listed = listed.unwrap_or_else(|error| panic!("the candidate `{name}` in the registry: {error}"));
    assert_eq!(listed.broken, None, "the candidate can be used");
    if let (Some(told), Some(listed)) = (candidate.version.digest, listed.version.digest) {
        assert_eq!(told, listed, "the candidate's digest is that of the registry");
    }
    assert!(candidate.made_of.is_sorted(), "what it was made of is sorted by name");
    assert!(candidate.measures.iter().all(|measure| measure.value.is_finite()), "measures are numbers");
    candidate
}
