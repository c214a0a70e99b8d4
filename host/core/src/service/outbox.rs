//! What people are to be told of a service.

use super::{Illegal, Service};
use crate::effect::{Outgoing, Topic};
use crate::name::IncidentId;
use crate::outbox;
use crate::signal::Severity;

impl Service {
    /// Puts a message into the outbox.
    pub(crate) fn tell(&mut self, topic: Topic, severity: Severity, text: impl Into<String>) {
        let incident = self.incident.as_ref().map(|incident| incident.id.clone());
        self.tell_about(incident, topic, severity, text);
    }

    /// The same about an incident that need not be open.
    pub(crate) fn tell_about(
        &mut self,
        incident: Option<IncidentId>,
        topic: Topic,
        severity: Severity,
        text: impl Into<String>,
    ) {
        let id = format!("{}/{}/{}", self.name, self.length - 1, topic.as_str());
        let (at, text) = (self.at, text.into());
        let outgoing = Outgoing { id, incident, topic, severity, text, at, waits_since: at };
        self.left_out_of_outbox += outbox::put(&mut self.outbox, outgoing);
    }

    /// One was delivered or given up. Once all are, people hear of those that made room.
    pub(super) fn announced(&mut self, id: &str) -> Result<(), Illegal> {
        if !outbox::take(&mut self.outbox, id) {
            return Err(Illegal::Stale);
        }
        let (name, left_out) = (self.name.as_str(), &mut self.left_out_of_outbox);
        if let Some(text) = outbox::left_out(&self.outbox, left_out, name, "ripcord incidents list") {
            self.tell_about(None, Topic::AnnouncementsLeftOut, Severity::Warning, text);
        }
        Ok(())
    }
}
