//! What producers share: what they are told of an order, what they keep of their runs, and how a result becomes a candidate.

mod asked;
mod kept;
mod result;
mod settled;

use std::path::PathBuf;
use std::sync::Arc;

use ripcord_core::target::{Exclusion, Strategy, Target};
use ripcord_ports::{ErrorKind, PortError, Producer, Registry};

use crate::Shared;
use crate::adapter::Making;

pub use asked::ExclusionColumns;
pub(crate) use asked::{check_key, document, exclusion, request};
pub(crate) use kept::{KeptRun, KeptRuns};
pub(crate) use result::{Told, line, line_and_digest};
pub(crate) use settled::{Registered, registered};

/// In what surroundings a producer works.
#[derive(Clone)]
pub struct ProducerSurroundings {
    /// Takes in what is made, or has it already where the pipeline registers by itself.
    pub registry: Arc<dyn Registry>,
    /// A folder of the host's own for this service: what is kept of runs, so that a restart finds them.
    pub data: PathBuf,
    /// The client and the clock.
    pub shared: Shared,
}

impl std::fmt::Debug for ProducerSurroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerSurroundings")
            .field("registry", &self.registry.name())
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl ProducerSurroundings {
    pub(crate) fn of(making: &Making<'_, dyn Producer>) -> Self {
        Self {
            registry: making.with.clone(),
            data: making.data.join("producing").join(&making.place),
            shared: making.shared.clone(),
        }
    }
}

/// A target that the producer makes nothing of.
pub(crate) fn not_made_here(name: &str, target: &Target) -> PortError {
    let text = format!("`{name}` makes nothing of the target `{target}`");
    PortError::not_applied(ErrorKind::Unsupported, text)
}

/// What a producer can be configured to make.
pub(crate) fn makes_produced(makes: &[Strategy]) -> Result<(), PortError> {
    let produced = |strategy: &Strategy| matches!(strategy, Strategy::Retrain | Strategy::Checkpoint);
    if !makes.is_empty() && makes.iter().all(produced) {
        return Ok(());
    }
    let text = "`makes` names what is made: `retrain`, `checkpoint`, or both";
    Err(PortError::not_applied(ErrorKind::Configuration, text))
}

/// What a retraining is without: data that nobody has named, or an exclusion that excludes nothing. Data of another revision may be trained on as they are.
pub(crate) fn names_its_data(target: &Target) -> Result<(), PortError> {
    let why = match target {
        Target::Retrain(retrain) if retrain.revision.is_empty() => format!(
            "which revision of `{}` is trained on is not said, so nobody would know what they agree to: name it, as in `--retrain {}@REVISION`",
            retrain.dataset, retrain.dataset
        ),
        Target::Retrain(retrain) if retrain.dataset.starts_with('-') || retrain.revision.starts_with('-') => {
            "a data set and its revision do not begin with `-`: the program that trains would take it for an option".to_owned()
        }
        Target::Retrain(retrain) => match retrain.exclude.iter().find_map(Exclusion::problem) {
            Some(problem) => problem,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(PortError::not_applied(ErrorKind::Configuration, why))
}
