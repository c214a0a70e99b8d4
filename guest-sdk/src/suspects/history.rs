use super::labels::hinting_rule;
use super::{Change, Facet, Harm};
use crate::calendar;
use crate::contract::types::Instant;
use crate::{Duration, days};

/// How far back the history of a kind of facet is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Of which.
    pub of: Kind,
    /// Since when, Unix milliseconds; none if it cannot be read at all.
    pub complete_since: Option<Instant>,
}

impl Coverage {
    /// Of the model's versions.
    pub fn model(complete_since: Option<Instant>) -> Self {
        Self { of: Kind::Model, complete_since }
    }

    /// Of all configurations.
    pub fn configuration(complete_since: Option<Instant>) -> Self {
        Self { of: Kind::Configuration, complete_since }
    }

    /// Of data.
    pub fn data(complete_since: Option<Instant>) -> Self {
        Self { of: Kind::Data, complete_since }
    }
}

/// What has a history. The world has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Versions.
    Model,
    /// Configurations.
    Configuration,
    /// Data.
    Data,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Model, Self::Configuration, Self::Data];
}

/// What came so long before a harm should be known.
const WANTED: Duration = days(1);
/// The weight of causes that no history shows: faults of machines, load, what a provider did. As much as a change that is the only one of its kind some forty
/// times as long ago as it usually takes to show.
const NEVER_RECORDED: f64 = 0.004;
/// The weight of what each history that is missing may hold.
const MISSING: f64 = 0.012;

/// The weight of a change of the world that nobody noted, where a rule that fires is about such things.
const UNNOTED_WORLD: f64 = 0.02;

/// What is not known.
pub(super) struct Gaps {
    /// For people.
    pub(super) gaps: Vec<String>,
    /// The weight of a cause among it.
    pub(super) weight: f64,
    /// The part of it that is a change of the world.
    pub(super) of_the_world: f64,
}

/// What is not known, and the weight of a cause among it.
pub(super) fn gaps(changes: &[Change], known: &[Coverage], harm: &Harm) -> Gaps {
    let wanted = harm.began_earliest - WANTED;
    let mut gaps: Vec<String> = Kind::ALL.into_iter().filter_map(|kind| gap(kind, known, wanted)).collect();
    let mut of_the_world = 0.0;
    let weight = NEVER_RECORDED + MISSING * gaps.len() as f64;
    let is_noted = changes.iter().any(|change| change.facet == Facet::World);
    if let Some(rule) = hinting_rule(&Facet::World, harm)
        && !is_noted
    {
        of_the_world = UNNOTED_WORLD;
        gaps.push(format!("the rule `{}` is about the world, and nobody noted a change of it", rule.value));
    }
    Gaps { gaps, weight: weight + of_the_world, of_the_world }
}

fn gap(kind: Kind, known: &[Coverage], wanted: Instant) -> Option<String> {
    let history = match kind {
        Kind::Model => "the history of the model",
        Kind::Configuration => "the history of the configuration",
        Kind::Data => "the history of the data",
    };
    match known.iter().find(|coverage| coverage.of == kind).map(|coverage| coverage.complete_since) {
        None => Some(format!("{history} is not known")),
        Some(None) => Some(format!("{history} could not be read")),
        Some(Some(since)) if since > wanted => {
            Some(format!("{history} is known since {} only", calendar::minute(since)))
        }
        Some(Some(_)) => None,
    }
}
