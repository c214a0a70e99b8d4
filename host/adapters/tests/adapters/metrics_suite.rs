//! The metrics sources, held to their conformance suite: sound ones, and ones that break a rule on purpose.

mod flawed;
pub(crate) mod systems;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use ripcord_adapters::conformance::metrics::conforms;
use ripcord_adapters::conformance::metrics_faults::conforms_in_faults;

use flawed::{Flaw, Flawed};
use systems::{Prometheus, Scraped};

#[tokio::test]
async fn prometheus_conforms() {
    let rig = Prometheus::start().await;
    conforms(&rig.source, &rig, &rig.expected).await;
    conforms_in_faults(&rig.source, &rig, &rig.proxy, &rig.expected).await;
}

#[tokio::test]
async fn a_scraped_page_conforms() {
    let rig = Scraped::start().await;
    conforms(&rig.source, &rig, &rig.expected).await;
    conforms_in_faults(&rig.source, &rig, &rig.proxy, &rig.expected).await;
}

/// What the suite says of a source with this flaw.
async fn broken_rule(flaw: Flaw) -> String {
    let suite = async move {
        let Prometheus { proxy, source, expected, _server } = Prometheus::start().await;
        let source = Flawed::new(source, flaw);
        conforms(&source, &systems::Forger, &expected).await;
        conforms_in_faults(&source, &systems::Forger, &proxy, &expected).await;
    };
    let ended = AssertUnwindSafe(suite).catch_unwind().await;
    let panic = ended.expect_err("the suite passes a flawed source");
    panic.downcast_ref::<String>().cloned().expect("a sentence")
}

#[tokio::test]
async fn a_source_is_told_which_rule_it_breaks() {
    for (flaw, rule, said) in [
        (Flaw::LabelsUnsorted, "tells-what-the-system-has", "labels are sorted by name"),
        (Flaw::SeriesTwice, "tells-what-the-system-has", "a series is told once"),
        (Flaw::NewestFirst, "a-window-is-in-order-of-time", "points are in order of time"),
        (Flaw::NothingIsAnEmptyList, "nothing-there-is-no-data", "is *no data* and no empty list"),
        (Flaw::WrongQueriesHaveFailed, "a-wrong-query-is-told-as-one", "is [BadQuery] and not Failed"),
        (Flaw::FailuresAreNoData, "values-are-told-truly-in-faults", "it is told as NoData"),
        (Flaw::OtherValuesAfterFailures, "values-are-told-truly-in-faults", "the system has"),
        (Flaw::BelievesWhatWasCut, "a-cut-answer-is-no-value", "that was cut after"),
        (Flaw::KeepsWhatItKnew, "no-answer-is-no-value", "is told as"),
        (Flaw::WaitsForAnswers, "a-late-answer-is-no-value", "is waited for during"),
        (Flaw::LateIsFailed, "a-late-answer-is-no-value", "and not Failed"),
        (Flaw::BelievesTheFirst, "a-lie-is-no-value", "TwoValues (Instant) is told as"),
        (Flaw::DropsWhatIsNoNumber, "what-is-odd-and-true-is-told", "is told as the system has it"),
        (Flaw::BelievesInNothing, "nothing-wrong-is-remembered", "after all that"),
    ] {
        let message = broken_rule(flaw).await;
        assert!(message.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {message}");
        assert!(message.contains(said), "{flaw:?}: {message}");
    }
}
