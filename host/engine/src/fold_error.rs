//! Why a journal does not come to a state.

use ripcord_core::journal::BrokenChain;
use ripcord_core::name::ServiceName;
use ripcord_ports::store::StoreError;

/// A journal that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record was changed, removed, moved, or is of a newer release.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A record does not follow from the ones before it.
    #[error(
        "record {number} of `{service}` does not follow from the ones before it: {source}; use the release that wrote it or a newer one"
    )]
    Illegal {
        /// Whose journal.
        service: ServiceName,
        /// Which record.
        number: u64,
        /// What the core said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FoldError {
    /// Whether this journal is at fault, and not the store as a whole: others can be read.
    pub fn is_of_this_journal(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Damaged(_)),
            Self::Chain(_) | Self::Illegal { .. } => true,
        }
    }
}
