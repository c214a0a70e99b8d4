//! Signals out of the intake and into the journal, in groups: one event for many, their content one blob. Triggers are asked between two groups,
//! so however many wait, the first decision comes after the first of them. A driver looks when its bell is rung and every so often besides: a
//! wake-up may be lost, a signal may not.

use ripcord_core::alert::AlertWord;
use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Event, SignalsSetAside, SignalsTaken};
use ripcord_core::service::GROUP_ALERTS_MAX;
use ripcord_core::signal::Signal;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{SignalFilter, StoreError};

use super::writing::Whose;
use super::{Driver, PAUSE_MAX};
use crate::batch::Batch;
use crate::health::Trouble;

/// Between two looks that nobody asked for.
const LOOK_EVERY: Millis = Millis::seconds(15);
/// After a look that failed; twice as long after each further one.
const LOOK_AGAIN: Millis = Millis::seconds(1);

/// Whether there is something to take, and when the intake is looked at although no bell was rung.
#[derive(Debug, Default)]
pub(super) struct NextLook {
    pub(super) at: UnixMillis,
    /// Whether there may be signals in the intake.
    may_hold: bool,
    /// Looks in a row that failed.
    failures: u32,
}

/// What one look found.
enum Found {
    Nothing,
    Group,
}

impl Driver {
    /// There may be signals: they are taken as soon as there is room. Whatever comes of it, there is a next look.
    pub(super) fn look_at_intake(&mut self) {
        self.intake.may_hold = true;
        self.intake.at = self.now() + LOOK_EVERY;
    }

    /// Whether the next group can be taken: there may be one, what is taken can be written, and what was taken before is judged as far as it must
    /// be, so that nothing is pushed out unjudged. What waits is durable in the intake.
    pub(super) fn takes_group(&self) -> bool {
        self.intake.may_hold && self.backlog.is_none() && self.service.watching.alerts.has_room()
    }

    /// Takes one group of waiting signals into the journal, and sets aside what cannot be read once nothing else waits.
    pub(super) async fn take_group(&mut self) {
        let service = self.setup.name.clone();
        let taken = match self.take_readable().await {
            Ok(Found::Nothing) => self.set_aside_unreadable().await.map(|()| Found::Nothing),
            other => other,
        };
        match taken {
            Ok(found) => {
                self.intake.failures = 0;
                self.host.health.is_well(&service, Trouble::Intake);
                self.intake.may_hold &= matches!(found, Found::Group);
            }
            Err(error) => {
                self.intake.may_hold = false;
                self.intake.failures += 1;
                let pause = Millis(LOOK_AGAIN.0 << (self.intake.failures - 1).min(10)).min(PAUSE_MAX);
                self.intake.at = self.now() + pause;
                tracing::error!(%service, %error, failures = self.intake.failures, "the intake could not be read or emptied; what waits there is kept, and it is looked at again");
                let why = format!(
                    "signals that were taken in wait, since the intake cannot be read or emptied: {error}"
                );
                self.host.health.is_stuck(&service, Trouble::Intake, why);
                self.host.counters.add("ripcord_intake_failures_total", None, 1);
            }
        }
    }

    async fn take_readable(&mut self) -> Result<Found, StoreError> {
        let filter = SignalFilter::Waiting(&self.setup.name);
        let at_once = u32::try_from(GROUP_ALERTS_MAX).unwrap_or(u32::MAX);
        let waiting = self.patiently("a read", self.host.setup.store.signals(filter, at_once)).await?;
        if waiting.is_empty() {
            return Ok(Found::Nothing);
        }
        // The intake has flushed it.
        self.meter.begin(self.host.arrivals.take(&self.setup.name), 1);
        let signals: Vec<Signal> = waiting.into_iter().map(|stored| stored.signal).collect();
        let batch = group(&self.host.installation, &signals);
        // What was refused is not tried again at once: it would be refused again. A backlog is written first, and then there is a look.
        if !self.record(batch, Whose::Driver).await && self.backlog.is_none() {
            let why =
                format!("{} of them were not taken into the journal, and the log says why", signals.len());
            return Err(StoreError::Refused(why));
        }
        Ok(Found::Group)
    }

    /// A row that cannot be read holds up nothing: it leaves the queue, stays in the store, and people are told.
    async fn set_aside_unreadable(&mut self) -> Result<(), StoreError> {
        let at_once = u32::try_from(GROUP_ALERTS_MAX).unwrap_or(u32::MAX);
        let unreadable = self.host.setup.store.unreadable_signals(&self.setup.name, at_once);
        let unreadable = self.patiently("a read", unreadable).await?;
        let Some(first) = unreadable.first() else { return Ok(()) };
        tracing::error!(service = %self.setup.name, count = unreadable.len(), id = %first.id, why = first.why, "alerts in the intake cannot be read: they are set aside and are not judged");
        let mut batch = Batch::default();
        let why =
            unreadable.iter().map(|one| format!("{}: {}", one.id, one.why)).collect::<Vec<_>>().join("\n");
        let why = batch.text(why);
        batch.consumed = unreadable.into_iter().map(|one| one.id).collect();
        let signals = batch.consumed.clone();
        self.record(batch.with(Event::SignalsSetAside(SignalsSetAside { signals, why })), Whose::Driver)
            .await;
        Ok(())
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
