//! Signals out of the intake and into the journal, in groups: one event for many, their content one blob. Triggers are asked between two groups,
//! so however many wait, the first decision comes after the first of them.

use ripcord_core::alert::AlertWord;
use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Event, SignalsTaken};
use ripcord_core::service::GROUP_ALERTS_MAX;
use ripcord_core::signal::Signal;
use ripcord_ports::store::SignalFilter;

use super::Driver;
use super::writing::Whose;
use crate::batch::Batch;

impl Driver {
    /// Whether the next group can be taken: there may be one, what is taken can be written, and what was taken before is judged as far as it must
    /// be, so that nothing is pushed out unjudged. What waits is durable in the intake.
    pub(super) fn takes_group(&self) -> bool {
        self.intake_may_hold && self.backlog.is_none() && self.service.watching.alerts.has_room()
    }

    /// Takes one group of waiting signals into the journal.
    pub(super) async fn take_group(&mut self) {
        let filter = SignalFilter::Waiting(&self.setup.name);
        let at_once = u32::try_from(GROUP_ALERTS_MAX).unwrap_or(u32::MAX);
        let waiting = match self.host.setup.store.signals(filter, at_once).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(service = %self.setup.name, %error, "waiting signals could not be read; they are kept");
                self.intake_may_hold = false;
                return;
            }
        };
        if waiting.is_empty() {
            self.intake_may_hold = false;
            return;
        }
        self.meter.begin(self.host.arrivals.take(&self.setup.name));
        let signals: Vec<Signal> = waiting.into_iter().map(|stored| stored.signal).collect();
        let batch = group(&self.host.installation, &signals);
        // What was refused is not tried again at once: it would be refused again.
        if !self.record(batch, Whose::Driver).await {
            self.intake_may_hold = self.backlog.is_some();
        }
    }
}

/// The event for these signals, which it consumes.
fn group(installation: &ripcord_core::digest::Digest, signals: &[Signal]) -> Batch {
    let mut batch = Batch::default();
    let content = batch.json(BlobKind::Signals, &signals);
    let words = (0_u32..).zip(signals).map(|(index, signal)| AlertWord::new(installation, index, signal));
    let alerts = AlertWord::newest_of_each(words);
    batch.consumed = signals.iter().map(|signal| signal.id.clone()).collect();
    let signals = u32::try_from(signals.len()).unwrap_or(u32::MAX);
    batch.with(Event::SignalsTaken(SignalsTaken { signals, content, alerts }))
}
