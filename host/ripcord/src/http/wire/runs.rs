//! Runs that make versions, as the API tells of them.

use ripcord_core::name::{IncidentId, ServiceName, VersionName};
use ripcord_core::service::{PastRun, Run, RunEnd, RunState, Service, StopReason};
use ripcord_core::target::Target;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use serde::{Deserialize, Serialize};

use crate::output::time::instant;

/// A run that goes on, or has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLine {
    /// The incident that ordered it.
    pub incident: IncidentId,
    /// What a version is made of.
    pub target: Target,
    /// When it was granted.
    pub since: UnixMillis,
    /// `due`, `begun`, `goes-on`, `stopping`, `made`, `failed`, `lost`, `stopped`, `late` or `not-begun`.
    pub state: String,
    /// When it is stopped at the latest, while it has not ended.
    pub ends_at: Option<UnixMillis>,
    /// The last look on record that showed it going on.
    pub looked_at: Option<UnixMillis>,
    /// How far it was then, in its producer's words.
    pub text: Option<String>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// What it made.
    pub version: Option<VersionName>,
}

/// A run and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOf {
    /// Of which service.
    pub service: ServiceName,
    /// The run.
    #[serde(flatten)]
    pub run: RunLine,
}

impl RunLine {
    /// The one that goes on, and the last ones that ended, newest first.
    pub(crate) fn all(service: &Service) -> Vec<Self> {
        let ended = service.producing.past.iter().rev().map(Self::ended);
        service.producing.run.iter().map(Self::going_on).chain(ended).collect()
    }

    fn going_on(run: &Run) -> Self {
        let state = match &run.state {
            RunState::Due(_) => "due",
            RunState::Began { .. } => "begun",
            RunState::GoesOn => "goes-on",
            RunState::Stopping { .. } => "stopping",
        };
        Self {
            incident: run.ordered.incident.clone(),
            target: run.ordered.target.clone(),
            since: run.since,
            state: state.to_owned(),
            ends_at: Some(run.ends_at),
            looked_at: run.shown.as_ref().map(|shown| shown.at),
            text: None,
            ended_at: None,
            version: None,
        }
    }

    fn ended(past: &PastRun) -> Self {
        let (state, version) = match &past.end {
            RunEnd::Made { version, .. } => ("made", Some(version.version.clone())),
            RunEnd::Failed(_) => ("failed", None),
            RunEnd::Lost(_) => ("lost", None),
            RunEnd::Stopped(StopReason::Person(_)) => ("stopped", None),
            RunEnd::Stopped(StopReason::Late) => ("late", None),
            RunEnd::NotBegun => ("not-begun", None),
        };
        Self {
            incident: past.ordered.incident.clone(),
            target: past.ordered.target.clone(),
            since: past.since,
            state: state.to_owned(),
            ends_at: None,
            looked_at: None,
            text: None,
            ended_at: Some(past.ended_at),
            version,
        }
    }

    /// Adds what the producer said of the one that goes on, where that can be read.
    pub(crate) async fn tell(lines: &mut [Self], service: &Service, store: &dyn Store) {
        let Some(run) = &service.producing.run else { return };
        let (Some(shown), Some(line)) = (&run.shown, lines.first_mut()) else { return };
        if let Ok(Some(text)) = store.blob(&shown.text).await {
            line.text = Some(String::from_utf8_lossy(&text).into_owned());
        }
    }

    /// How far it is, for people.
    pub fn sentence(&self) -> String {
        let looked = |what: &str| match (self.looked_at, &self.text) {
            (Some(at), Some(text)) => format!("{what}: {text} (at {})", instant(at)),
            (Some(at), None) => format!("{what}, last seen {}", instant(at)),
            (None, _) => what.to_owned(),
        };
        let until = self.ends_at.map(|at| format!(", until {} at most", instant(at))).unwrap_or_default();
        let ended = self.ended_at.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
        match self.state.as_str() {
            "due" => "granted, not begun".to_owned(),
            "begun" => format!("begun{until}"),
            "goes-on" => format!("{}{until}", looked("goes on")),
            "stopping" => looked("is being stopped"),
            "made" => {
                let version = self.version.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("made version {version}{ended}")
            }
            "failed" => format!("failed{ended}: `ripcord incidents show {}` says why", self.incident),
            "lost" => format!("lost{ended}: look where it ran"),
            "stopped" => format!("stopped by a person{ended}"),
            "late" => format!("stopped{ended}: it took too long"),
            "not-begun" => format!("never begun, given up{ended}"),
            other => other.to_owned(),
        }
    }
}
