//! What people are to be told: kept until it is delivered or no longer matters. Where nobody can be told for long, it is bounded, and what made room is
//! counted and told.

use super::{Illegal, Service};
use crate::effect::{Outgoing, Topic};
use crate::name::IncidentId;
use crate::signal::Severity;

/// More announcements do not wait: each one matters for a day, and people read the first ones. The least severe make room, of them the oldest.
pub(super) const OUTBOX_MAX: usize = 500;

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
        if self.outbox.iter().any(|outgoing| outgoing.id == id) {
            return;
        }
        self.outbox.push(Outgoing {
            id,
            incident,
            topic,
            severity,
            text: text.into(),
            at: self.at,
            waits_since: self.at,
        });
        while self.outbox.len() > OUTBOX_MAX {
            let each = self.outbox.iter().enumerate();
            let Some((least, _)) = each.min_by_key(|(_, outgoing)| rank(&outgoing.severity)) else { return };
            self.outbox.remove(least);
            self.left_out_of_outbox += 1;
        }
    }

    /// One was delivered or given up. Once all are, people hear of those that made room.
    pub(super) fn announced(&mut self, id: &str) -> Result<(), Illegal> {
        let before = self.outbox.len();
        self.outbox.retain(|outgoing| outgoing.id != id);
        if self.outbox.len() == before {
            return Err(Illegal::Stale);
        }
        if self.outbox.is_empty() && self.left_out_of_outbox > 0 {
            let text = format!(
                "{} announcements of `{}` were left out, because more than {OUTBOX_MAX} waited: nobody could be told; `ripcord incidents list` shows what happened",
                std::mem::take(&mut self.left_out_of_outbox),
                self.name
            );
            self.tell_about(None, Topic::AnnouncementsLeftOut, Severity::Warning, text);
        }
        Ok(())
    }
}

/// What makes room last is highest.
const fn rank(severity: &Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Warning | Severity::Other(_) => 1,
        Severity::Critical => 2,
    }
}
