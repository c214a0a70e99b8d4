use std::sync::{Mutex, PoisonError};

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::memory::Decided;
use super::mode::Mode;
use crate::decision::InForce;
use crate::model::Verdict;
use crate::rules;

/// What `/metrics` tells.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    feedback: IntCounterVec,
    errors: IntCounter,
    seconds: Histogram,
    info: IntGaugeVec,
    reviews: IntCounterVec,
    config: IntGaugeVec,
    mode: IntGaugeVec,
    /// The versions that `info` shows.
    shown: Mutex<Vec<String>>,
    /// Revision and digest that `config` shows.
    shown_config: Mutex<Option<[String; 2]>>,
}

/// A decision compared with the truth; positive means declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    TruePositive,
    FalsePositive,
    FalseNegative,
    TrueNegative,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::TruePositive, Self::FalsePositive, Self::FalseNegative, Self::TrueNegative];

    pub(super) fn of(verdict: Verdict, fraud: bool) -> Self {
        match (verdict, fraud) {
            (Verdict::Decline, true) => Self::TruePositive,
            (Verdict::Decline, false) => Self::FalsePositive,
            (Verdict::Approve, true) => Self::FalseNegative,
            (Verdict::Approve, false) => Self::TrueNegative,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::FalsePositive => "false_positive",
            Self::FalseNegative => "false_negative",
            Self::TrueNegative => "true_negative",
        }
    }
}

impl Metrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let buckets = vec![
            0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
            1.0, 2.5,
        ];
        let metrics = Self {
            registry: Registry::new(),
            decisions: IntCounterVec::new(
                Opts::new("fraud_decisions_total", "Decisions by answer and version"),
                &["decision", "version"],
            )?,
            feedback: IntCounterVec::new(
                Opts::new(
                    "fraud_feedback_total",
                    "Decisions of which the truth is known, by outcome and version",
                ),
                &["result", "version"],
            )?,
            errors: IntCounter::new(
                "fraud_request_errors_total",
                "Inference requests that were answered with an error",
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new("inference_seconds", "Time from request to answer").buckets(buckets),
            )?,
            info: IntGaugeVec::new(
                Opts::new("fraud_model_info", "1 for the version that answers by default"),
                &["version"],
            )?,
            reviews: IntCounterVec::new(
                Opts::new(
                    "fraud_reviews_total",
                    "Approved decisions that a person is to look at, by version",
                ),
                &["version"],
            )?,
            config: IntGaugeVec::new(
                Opts::new("fraud_decision_config_info", "1 for the decision configuration in force"),
                &["revision", "sha256"],
            )?,
            mode: IntGaugeVec::new(
                Opts::new("fraud_mode_info", "1 for what decides by default, `model` or `rules`"),
                &["mode"],
            )?,
            shown: Mutex::default(),
            shown_config: Mutex::default(),
        };
        metrics.registry.register(Box::new(metrics.decisions.clone()))?;
        metrics.registry.register(Box::new(metrics.feedback.clone()))?;
        metrics.registry.register(Box::new(metrics.errors.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.info.clone()))?;
        metrics.registry.register(Box::new(metrics.reviews.clone()))?;
        metrics.registry.register(Box::new(metrics.config.clone()))?;
        metrics.registry.register(Box::new(metrics.mode.clone()))?;
        Ok(metrics)
    }

    /// Names the versions that answer by default, and starts their counters at zero so that rates are right from the first request.
    /// Asks for them under a lock, so that of two loads at once the later one is shown.
    pub(super) fn serves(&self, versions: impl FnOnce() -> Vec<String>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = versions();
        for version in &versions {
            self.start_counting(version);
            self.info.with_label_values(&[version.as_str()]).set(1);
        }
        for gone in shown.iter().filter(|old| !versions.contains(old)) {
            let _ = self.info.remove_label_values(&[gone.as_str()]);
        }
        *shown = versions;
    }

    fn start_counting(&self, version: &str) {
        for verdict in [Verdict::Approve, Verdict::Decline] {
            self.decisions.with_label_values(&[verdict.name(), version]);
        }
        for outcome in Outcome::ALL {
            self.feedback.with_label_values(&[outcome.name(), version]);
        }
    }

    /// Names the decision configuration in force, and no other.
    pub(super) fn configured(&self, in_force: &InForce) {
        let labels = [in_force.revision().to_owned(), in_force.sha256.clone()];
        let mut shown = self.shown_config.lock().unwrap_or_else(PoisonError::into_inner);
        self.config.with_label_values(&labels).set(1);
        if let Some(gone) = shown.replace(labels.clone()).filter(|gone| *gone != labels) {
            let _ = self.config.remove_label_values(&gone);
        }
    }

    /// Names what decides by default. What the rules decide is counted as version `rules`: it is no model's doing.
    pub(super) fn decides(&self, mode: Mode) {
        if mode == Mode::Rules {
            self.start_counting(rules::NAME);
        }
        for other in Mode::ALL {
            self.mode.with_label_values(&[other.name()]).set(i64::from(other == mode));
        }
    }

    pub(super) fn decided(&self, decided: &Decided) {
        self.decisions.with_label_values(&[decided.verdict.name(), decided.version.as_str()]).inc();
    }

    /// A person is to look at an approved decision.
    pub(super) fn to_review(&self, version: &str) {
        self.reviews.with_label_values(&[version]).inc();
    }

    pub(super) fn learnt(&self, decided: &Decided, fraud: bool) -> Outcome {
        let outcome = Outcome::of(decided.verdict, fraud);
        self.feedback.with_label_values(&[outcome.name(), decided.version.as_str()]).inc();
        outcome
    }

    pub(super) fn failed(&self) {
        self.errors.inc();
    }

    pub(super) fn took(&self, seconds: f64) {
        self.seconds.observe(seconds);
    }

    /// The Prometheus text format, version 0.0.4.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
