//! Announcements in the host's own log.

use async_trait::async_trait;
use ripcord_core::signal::Severity;
use ripcord_ports::notifier::Announcement;
use ripcord_ports::{Notifier, PortError};

/// Writes announcements to the log: critical ones as errors, warnings as warnings, others as information.
#[derive(Debug, Clone)]
pub struct LogNotifier {
    name: String,
}

impl LogNotifier {
    /// `name` is the configured name of this notifier.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

macro_rules! announce {
    ($level:ident, $a:expr) => {
        tracing::$level!(
            announcement = %$a.id,
            service = %$a.service,
            incident = $a.incident.as_ref().map_or("", |incident| incident.as_str()),
            topic = %$a.topic,
            at_ms = $a.at.0,
            "{}",
            $a.text
        )
    };
}

#[async_trait]
impl Notifier for LogNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
        match announcement.severity {
            Severity::Critical => announce!(error, announcement),
            Severity::Warning => announce!(warn, announcement),
            Severity::Info | Severity::Other(_) => announce!(info, announcement),
        }
        Ok(())
    }
}
