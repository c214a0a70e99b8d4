//! `[services.NAME.producer]`: what makes new versions of checkpoints, or of data without some of its rows.

use std::path::Path;

use ripcord_core::time::Millis;
use ripcord_ports::Producer;

use super::adapters::AdapterConfig;
use super::place::Mistakes;
use super::table::Node;
use super::units::{Hours, Seconds};

/// A training that takes longer is looked for by people.
const RUN_MAX: Millis = Millis::hours(24);
/// Trainings take minutes to hours.
const LOOK_EVERY: Millis = Millis::seconds(30);

/// What makes versions for a service.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// By what.
    pub adapter: AdapterConfig<dyn Producer>,
    /// A whole run, from the grant on: then it is stopped, and people are told.
    pub run_max: Millis,
    /// Between two looks at a run.
    pub look_every: Millis,
}

impl ProducerConfig {
    pub(super) fn take(service: &mut Node<'_>, base: &Path, mistakes: &mut Mistakes) -> Option<Self> {
        let mut node = service.take_table("producer", mistakes)?;
        let run_max = node.take_value::<Hours>("run-hours", mistakes);
        let look_every = node.take_value::<Seconds>("look-seconds", mistakes);
        Some(Self {
            adapter: AdapterConfig::read(node, &[], base, mistakes)?,
            run_max: run_max.map_or(RUN_MAX, |hours| hours.get_ref().0),
            look_every: look_every.map_or(LOOK_EVERY, |seconds| seconds.get_ref().0),
        })
    }
}
