//! How people are told.

use async_trait::async_trait;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::signal::Severity;
use ripcord_core::time::UnixMillis;

use crate::error::PortError;

/// One message. Sent at least once; the id is the same each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Stable: receivers drop repeats by it.
    pub id: String,
    /// About which service.
    pub service: ServiceName,
    /// About which incident, if any.
    pub incident: Option<IncidentId>,
    /// How urgent it is to read.
    pub severity: Severity,
    /// What kind of news, such as `approval-wanted`.
    pub topic: String,
    /// One or two sentences.
    pub text: String,
    /// When it happened.
    pub at: UnixMillis,
}

/// Tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// Delivers the announcement; repeats are harmless.
    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError>;
}
