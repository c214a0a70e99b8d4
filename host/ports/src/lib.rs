//! The traits that adapters and stores implement, and their errors.
//!
//! Invariants: every trait is object-safe; every error says whether the effect was applied and whether trying again makes sense.

pub mod alert_source;
pub mod clock;
pub mod deployer;
pub mod endpoint;
pub mod error;
pub mod metrics;
pub mod notifier;
pub mod objects;
pub mod producer;
pub mod registry;
pub mod requests;
pub mod restorer;
pub mod store;
pub mod waiting;

pub use alert_source::AlertSource;
pub use clock::Clock;
pub use deployer::Deployer;
pub use endpoint::Endpoint;
pub use error::{Applied, ErrorKind, PortError, Retry};
pub use metrics::Metrics;
pub use notifier::Notifier;
pub use objects::Objects;
pub use producer::{Checkpoints, Producer};
pub use registry::Registry;
pub use requests::{GoldenData, RequestLog};
pub use restorer::Restorer;
pub use store::Store;
