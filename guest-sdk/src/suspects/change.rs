use std::fmt;

use crate::contract::types::{Instant, Label};

/// What moved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// The version that is served.
    Model,
    /// A configuration, by name.
    Configuration(String),
    /// Whether the model itself answers, or a safe mode in its place.
    Fallback,
    /// A data set or a feed that models are made from or decide by, by name.
    Data(String),
    /// What nobody of the team moved: the people who use the service, a provider, a season.
    World,
}

impl Facet {
    /// What it is one of, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Model => "the model",
            Self::Configuration(_) => "configuration",
            Self::Fallback => "the safe mode",
            Self::Data(_) => "data",
            Self::World => "the world",
        }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("the model"),
            Self::Configuration(name) => write!(f, "configuration `{name}`"),
            Self::Fallback => f.write_str("the safe mode"),
            Self::Data(name) => write!(f, "data `{name}`"),
            Self::World => f.write_str("the world"),
        }
    }
}

/// When something changed, as far as it is known. Instants are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the clock of the system that tells of it, which may be wrong.
    pub stated: Option<Instant>,
    /// By the host's clock: the last look that did not show it.
    pub not_before: Option<Instant>,
    /// By the host's clock: the first look that showed it.
    pub noticed_at: Instant,
}

impl Moment {
    /// The host did it or saw it happen.
    pub fn exact(at: Instant) -> Self {
        Self { stated: None, not_before: Some(at), noticed_at: at }
    }
}

/// How a change was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticedBy {
    /// The registry's list.
    Registry,
    /// The history of a configuration.
    ConfigurationHistory,
    /// The lineage of data.
    DataLineage,
    /// The host looked at what is served.
    Watch,
    /// The host's own journal.
    Journal,
    /// Another way, by name.
    Other(String),
}

/// Whether what came was tried and found well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Nobody knows.
    Unknown,
    /// It was not.
    No,
    /// It was, at this instant, while it was in force.
    At(Instant),
}

/// Something that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What.
    pub facet: Facet,
    /// Region, cluster or replica group; empty for everywhere.
    pub place: String,
    /// The services that it touches; empty if that is not known.
    pub services: Vec<String>,
    /// The revision before; none if unknown.
    pub from: Option<String>,
    /// The revision since; none if unknown.
    pub to: Option<String>,
    /// When.
    pub at: Moment,
    /// Who did it; none if unknown.
    pub by: Option<String>,
    /// How it was noticed.
    pub noticed_by: NoticedBy,
    /// Whether it was verified.
    pub verified: Verified,
}

/// What is to be explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Harm {
    /// The service.
    pub service: String,
    /// It did not begin before, Unix milliseconds.
    pub began_earliest: Instant,
    /// It had begun by then, Unix milliseconds.
    pub began_latest: Instant,
    /// Where; empty for everywhere, or if that is not known.
    pub place: String,
    /// Other services that are harmed at the same time.
    pub also_harmed: Vec<String>,
    /// Services that are known to be well.
    pub well: Vec<String>,
    /// Labels of the alerts that tell of it, and their rules as the label `alertname`.
    pub labels: Vec<Label>,
}

impl Harm {
    /// Of a service, since an instant, with nothing else known.
    pub fn of(service: impl Into<String>, began: Instant) -> Self {
        Self {
            service: service.into(),
            began_earliest: began,
            began_latest: began,
            place: String::new(),
            also_harmed: Vec::new(),
            well: Vec::new(),
            labels: Vec::new(),
        }
    }
}
