//! One normalised alert, and the words that describe where it came from and how bad it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::SignalId;
use crate::time::UnixMillis;

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Label {
    /// A label from its parts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// How bad a signal or a remark is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Needs action now.
    Critical,
    /// A name that the source uses.
    Other(String),
}

/// Where a signal or a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The configured name of the alert source.
    Webhook(String),
    /// A configured schedule.
    Schedule,
    /// The person's name.
    Person(String),
    /// A policy's name.
    Policy(String),
    /// Something that a newer release knows.
    Other(String),
}

/// Whether the alert holds or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalStatus {
    /// The alert holds.
    Firing,
    /// The alert has ended.
    Resolved,
}

/// What an alert tells of. Only a condition tells of the service; the others tell that nobody looked, or could look, at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalKind {
    /// That the condition of its rule holds.
    #[default]
    Condition,
    /// That data for its rule are missing.
    MissingData,
    /// That its rule cannot be evaluated.
    BrokenRule,
    /// That alerts arrive at all: it always fires.
    Heartbeat,
    /// That its sender lost sight of it: the series or the rule is gone. It counts as ended, but whether its condition ended is not known.
    LostSight,
}

impl SignalKind {
    /// Whether it tells that the service is not watched, so that people must know.
    pub const fn is_blindness(self) -> bool {
        matches!(self, Self::MissingData | Self::BrokenRule)
    }
}

/// One normalised alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Identifies this signal within the installation.
    pub id: SignalId,
    /// Where it came from.
    pub origin: Origin,
    /// The alert's rule, as its source names it.
    pub rule: String,
    /// Whether it holds.
    pub status: SignalStatus,
    /// What it tells of.
    #[serde(default)]
    pub kind: SignalKind,
    /// How bad it is.
    pub severity: Severity,
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// Sorted by name.
    pub annotations: Vec<Label>,
    /// When the alert began, as its source says.
    pub started_at: UnixMillis,
    /// When the alert ended, as its source says.
    pub ended_at: Option<UnixMillis>,
    /// When this host took it in.
    pub received_at: UnixMillis,
}

impl Signal {
    /// The value of the label `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Other(name) => name,
        })
    }
}

impl From<&str> for Severity {
    /// The words that alert sources use, in any case; `page` and `error` mean critical.
    fn from(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "info" | "informational" | "none" => Self::Info,
            "warning" | "warn" => Self::Warning,
            "critical" | "page" | "error" => Self::Critical,
            _ => Self::Other(text.to_owned()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(source) => write!(f, "webhook {source}"),
            Self::Schedule => f.write_str("schedule"),
            Self::Person(name) => f.write_str(name),
            Self::Policy(name) => write!(f, "policy {name}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
