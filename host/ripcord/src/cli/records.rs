//! What is typed to read what was done: incidents, decisions, signals, the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ripcord_core::name::{IncidentId, ServiceName};

use super::AboutIncident;
use crate::commands::Ago;
use crate::output::document::DocumentForm;

/// What recorded decisions are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A service.
    Service(ServiceName),
    /// An incident.
    Incident(IncidentId),
}

impl std::str::FromStr for About {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            return text.parse().map(Self::Incident).map_err(|error| format!("{error}"));
        }
        text.parse().map(Self::Service).map_err(|error| format!("{error}"))
    }
}

/// `ripcord decisions`.
#[derive(Debug, Clone, Args)]
pub struct DecisionsArgs {
    /// A service, or an incident such as `fraud-api:3`; every service if left out
    #[arg(value_name = "SERVICE|INCIDENT")]
    pub about: Option<About>,
    /// Only those of the last so long, such as `30m`, `12h` or `7d`; an incident's are all shown
    #[arg(long, value_name = "TIME")]
    pub since: Option<Ago>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
}

/// `ripcord incidents`.
#[derive(Debug, Subcommand)]
pub enum IncidentsCommand {
    /// List them, newest first
    List {
        /// Only this service's
        #[arg(long, value_name = "SERVICE")]
        service: Option<ServiceName>,
        /// Only those that have not ended
        #[arg(long)]
        open: bool,
        /// Only those that were opened within the last so long, such as `12h` or `7d`
        #[arg(long, value_name = "TIME")]
        since: Option<Ago>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Follow one until it has ended, or needs a person
    Watch {
        /// Which, such as `fraud-api:3`
        incident: IncidentId,
    },
    /// Show one on a page
    Show {
        /// Which, such as `fraud-api:3`
        incident: IncidentId,
    },
    /// Write a draft of the report on one, from its record: what happened, on which numbers, who agreed, where the time went, what to ask next
    Report {
        /// Which, such as `fraud-api:3`
        incident: IncidentId,
        /// How it is written
        #[arg(long, value_enum, value_name = "FORM", default_value_t)]
        form: DocumentForm,
    },
    /// Keep an incident's content, however old it becomes
    Keep(AboutIncident),
    /// Let its content go by its age again
    Release(AboutIncident),
}

/// `ripcord store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show how much there is of what, and what may go
    Show,
    /// Erase what is older than it is kept for; a running host does so every hour by itself
    Prune,
    /// Copy the store and its evidence into a new folder, also while a host runs
    Backup {
        /// The folder; it must not exist
        folder: PathBuf,
    },
    /// Read everything again: are the journals whole, is all that is derived from them right?
    Verify {
        /// Only this service
        service: Option<ServiceName>,
        /// Make what is derived anew where it is wrong; no host may run
        #[arg(long)]
        rebuild: bool,
    },
    /// Begin another store where the one that was here is lost: without its holds, standings and history
    New {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say that the store that is here is the right one, although it is another or an older one
    Accept {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// `ripcord replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The decisions of this incident
    #[arg(required_unless_present = "all")]
    pub incident: Option<IncidentId>,
    /// Every decision on record
    #[arg(long, conflicts_with = "incident")]
    pub all: bool,
}

/// `ripcord signals`.
#[derive(Debug, Subcommand)]
pub enum SignalsCommand {
    /// Alerts that no route took
    Unrouted {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Alerts that a trigger faults on, or that are too large for any: the triggers judge the others
    SetAside {
        /// Only this service's
        service: Option<ServiceName>,
    },
}
