//! What people can ask of a set.

use std::collections::BTreeMap;

use ripcord_core::facet::Revision;
use ripcord_core::name::{ServiceName, SetId};

use crate::command::{Ballot, Person};

/// What a person asks of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAsk {
    /// Move it.
    Move {
        /// Where to; a member that is not named is enlisted and stays as it is. None at all is the last consistent set that is not what is live.
        to: BTreeMap<ServiceName, Revision>,
    },
    /// Approve or refuse the plan at hand.
    Vote(Ballot),
    /// Stop the run before its first part.
    Abort,
    /// End the run as it is, where a person was asked.
    Dismiss,
}

/// A command to one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCommand {
    /// Who.
    pub person: Person,
    /// What.
    pub ask: SetAsk,
    /// Why.
    pub reason: String,
    /// The run that it is about; none is the one that goes on. A word on another run is refused.
    pub run: Option<SetId>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetObeyed {
    /// The run that goes on, or the one that the command ended.
    pub run: Option<SetId>,
    /// One sentence for the person.
    pub text: String,
}
