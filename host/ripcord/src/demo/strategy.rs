//! What the demos differ in: what goes bad, what olga asks for, how it ends.

use ripcord_core::fact::Outcome;

use super::auto::Fault;
use super::stage::{BAD, CONFIGURATION, GOOD, OLDER, SERVICE};
use super::{learning, retraining};
use crate::cli::DemoStrategy;

/// The revision of the decision configuration that has served well, and the one in which euros were written for thousands of them.
pub(super) const GOOD_DECISION: &str = "41";
pub(super) const BAD_DECISION: &str = "42";
/// The safe mode.
pub(super) const RULES: &str = "rules";

/// What is added to the configuration of the first.
const WITH_DECISION: &str = include_str!("../../../../examples/fraud/with-decision.toml");
const WITH_CHECKPOINTS: &str = include_str!("../../../../examples/fraud/with-checkpoints.toml");
const WITH_RETRAINING: &str = include_str!("../../../../examples/fraud/with-retraining.toml");
const WITH_SAFE_MODE: &str = include_str!("../../../../examples/fraud/with-safe-mode.toml");
/// The planner that finds out.
const WHERE_TO: &str = "# Where to? Whatever undoes what changed, the smallest of it.";
const FINDS_OUT: &str = r#"policy = "proportionate"
[services.fraud-api.planner.settings]
window = "1h"
harm-uncertainty = "2s"
hand-over-to = "the fraud team's analysts"
"#;
/// Which policies say whether it is well: first one that rules cannot satisfy.
const VERIFICATION: &str = "[[services.fraud-api.verifications]]\n";
const WHO_SAYS: &str = "# Is it well again? The golden set says so, and then the alert's own metric.";
const METRIC_SAYS: &str = "# Is it well again? The alert's own metric says so: rules catch half the fraud, which no golden set lets pass.";
const GOLDEN_SET: &str = "policy = \"golden-set\"\n";

/// What is played, and what everything random of it is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    pub(super) strategy: DemoStrategy,
    pub(super) seed: u64,
}

impl Scene {
    /// What goes wrong, where the planner itself must find out.
    pub(super) fn fault(self) -> Option<Fault> {
        (self.strategy == DemoStrategy::Auto).then(|| Fault::of(self.seed))
    }

    /// The version that is served at first.
    pub(super) fn served(self) -> String {
        match (self.fault(), self.strategy) {
            (Some(fault), _) => fault.deployed().to_owned(),
            (None, DemoStrategy::Checkpoint) => learning::version(self.seed, learning::SERVED),
            (None, _) => GOOD.to_owned(),
        }
    }

    /// The version that goes bad, where it is one.
    pub(super) fn bad(self) -> String {
        match self.strategy {
            DemoStrategy::Checkpoint => learning::version(self.seed, learning::POISONED),
            DemoStrategy::Retrain => retraining::BAD.to_owned(),
            DemoStrategy::Version
            | DemoStrategy::Configuration
            | DemoStrategy::Fallback
            | DemoStrategy::Auto => BAD.to_owned(),
        }
    }

    /// The words with which olga pulls, where the planner has nothing to go back to.
    pub(super) fn pull(self) -> Option<Vec<String>> {
        let (target, why) = match self.strategy {
            DemoStrategy::Version | DemoStrategy::Checkpoint | DemoStrategy::Retrain | DemoStrategy::Auto => {
                return None;
            }
            DemoStrategy::Configuration => (
                ["--configuration".to_owned(), format!("decision={GOOD_DECISION}")],
                format!("decision {BAD_DECISION} limits new accounts; the model was not changed"),
            ),
            DemoStrategy::Fallback => (
                ["--fallback".to_owned(), RULES.to_owned()],
                format!("{BAD} declines good customers, and nobody vouches for another version"),
            ),
        };
        let words = ["ripcord", "pull", SERVICE].map(str::to_owned).into_iter().chain(target);
        Some(words.chain(["--reason".to_owned(), why]).collect())
    }
}

/// A command as a person types it.
pub(super) fn typed(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("\"{word}\"") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

impl DemoStrategy {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] =
        [Self::Version, Self::Checkpoint, Self::Configuration, Self::Retrain, Self::Fallback, Self::Auto];

    /// What the team has written.
    pub(super) fn configuration(self) -> String {
        match self {
            Self::Version => CONFIGURATION.to_owned(),
            Self::Checkpoint => format!("{}{WITH_CHECKPOINTS}", planned(CONFIGURATION)),
            Self::Configuration => format!("{CONFIGURATION}{WITH_DECISION}"),
            Self::Retrain => format!("{CONFIGURATION}{WITH_RETRAINING}"),
            Self::Fallback => format!("{}{WITH_SAFE_MODE}", by_metrics_alone()),
            Self::Auto => format!("{}{WITH_DECISION}", finding_out()),
        }
    }

    /// What olga vouches for before anything happens.
    pub(super) fn vouched_for(self) -> Vec<String> {
        match self {
            Self::Version | Self::Retrain => vec![GOOD.to_owned()],
            Self::Configuration => vec![GOOD.to_owned(), format!("decision={GOOD_DECISION}")],
            Self::Auto => vec![OLDER.to_owned(), GOOD.to_owned(), format!("decision={GOOD_DECISION}")],
            Self::Checkpoint | Self::Fallback => Vec::new(),
        }
    }

    /// How the incident that the alert opens is to end.
    pub(super) fn first_ending(self) -> Outcome {
        match self {
            Self::Version | Self::Configuration | Self::Retrain | Self::Auto => Outcome::RolledBack,
            Self::Checkpoint => Outcome::Producing,
            Self::Fallback => Outcome::FellBack,
        }
    }
}

/// With a planner that finds out what changed. The host looks every second, so that it sees what moved first; and neither the trigger nor the verification
/// is quick, so that what comes a few seconds after the harm is there before anything is done.
fn finding_out() -> String {
    [
        (
            "watch-floor-seconds = 0.5\n",
            "watch-floor-seconds = 0.5\nelsewhere-watch-seconds = 1\nsoak-seconds = 5\n",
        ),
        ("for = \"2s\"\n", "for = \"15s\"\n"),
        ("fail-after = \"15s\"\n", "fail-after = \"40s\"\n"),
    ]
    .into_iter()
    .fold(planned(&by_metrics_alone()), |text, (from, to)| text.replace(from, to))
}

/// With the planner that finds out.
fn planned(configuration: &str) -> String {
    let last_known_good = "# Where to? The newest version that is known good, or that a person vouched for.";
    configuration.replace("policy = \"last-known-good\"\n", FINDS_OUT).replace(last_known_good, WHERE_TO)
}

/// The configuration without the verification by the golden set.
fn by_metrics_alone() -> String {
    let golden_set = format!("{VERIFICATION}{GOLDEN_SET}");
    let Some((before, golden_set)) = CONFIGURATION.split_once(&golden_set) else {
        return CONFIGURATION.to_owned();
    };
    let after = golden_set.split_once(VERIFICATION).map(|(_, after)| after).unwrap_or_default();
    format!("{}{VERIFICATION}{after}", before.replace(WHO_SAYS, METRIC_SAYS))
}
