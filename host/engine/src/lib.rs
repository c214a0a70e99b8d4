//! The shell: it performs what the core owes, appends what happened, and asks again what is owed.
//!
//! Invariants of this crate:
//! - nothing is believed before it is durable: the state moves only after the append;
//! - a risky effect is preceded by its intent; after an interruption the world is probed, the effect is not repeated blindly;
//! - starting and restarting are one path: fold the journal, ask what is owed;
//! - time comes from [`ripcord_ports::Clock`] alone.

mod ahead;
mod alert_contents;
mod arrivals;
mod asking;
mod batch;
mod blocking;
mod bounded;
mod brought_back;
mod budget;
mod captured;
mod changes;
mod clock_trust;
mod command;
mod context;
mod counters;
mod deadline;
mod decide;
mod decided;
mod decisions;
mod descent;
mod door;
mod driver;
mod engine;
mod facets;
mod fact_values;
mod facts;
mod fleet;
mod fold;
mod fold_error;
mod health;
mod held_up;
mod history;
mod host;
mod journaled;
mod kept_facts;
mod list;
mod looks;
mod mailbox;
mod makeable;
mod meter;
mod nature;
mod obey;
mod pace;
mod past;
mod perform;
mod reaches_back;
mod read_model;
mod readiness;
pub mod replay;
mod requests;
mod restorable;
mod retention;
mod role_input;
mod rounds;
mod salt;
mod sets;
mod setup;
mod staged;
mod staging;
mod targets;
mod trials;
mod unread;
mod verify;
pub mod view;

pub use asking::{
    Asked, FactSource, FactsNow, ask, memo, scheduled, standing_alerts, suspects_if, with_deadlines,
};
pub use blocking::Blocking;
pub use changes::{ChangesSeen, changes_known, changes_of};
pub use command::{Ask, Ballot, Command, CommandError, Obeyed, Person, PullTo, SignedBallot};
pub use counters::{Counter, Counters};
pub use decisions::{DecisionPage, DecisionView, FactLine, decisions, decisions_of_incident};
pub use descent::Descent;
pub use engine::{Engine, StartError};
pub use fleet::Fleet;
pub use fold::{Folded, ReadError, Recovered, fold, recover, recover_set};
pub use fold_error::FoldError;
pub use health::DriverHealth;
pub use held_up::HeldUp;
pub use list::incidents;
pub use makeable::{CheckpointLine, DataLine, Makeable, MetricLine, makeable_of};
pub use past::FactsThen;
pub use readiness::{PartReadiness, Readiness, ReadyWord};
pub use restorable::{IN_THE_LOG, Listed, by_standing, unfetchable, without_content};
pub use retention::PruneReport;
pub use sets::{RunEntry, RunPage, SetAsk, SetCommand, SetObeyed, run_page};
pub use setup::{
    Announcing, EvidenceSetup, GoldenBefore, HostSetup, PlacedPolicy, Retention, ServicePorts, ServiceSetup,
    SetSetup,
};
pub use targets::{FacetTargets, LISTED_MAX, RestoredBy, TargetLine, facets_of, targets_known, targets_of};
pub use verify::{Findings, ReadModel, Verified, verify};
