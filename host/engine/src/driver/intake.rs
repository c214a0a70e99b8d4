//! Taking signals out of the intake. A driver looks when its bell is rung and every so often besides: a wake-up may be lost, a signal may not.

use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Event, SignalTaken, SignalsSetAside};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{SignalFilter, StoreError};

use super::writing::Whose;
use super::{Driver, PAUSE_MAX};
use crate::batch::Batch;
use crate::health::Trouble;

/// Signals that enter a journal in one append.
const SIGNALS_AT_ONCE: u32 = 256;
/// Between two looks that nobody asked for.
const LOOK_EVERY: Millis = Millis::seconds(15);
/// After a look that failed; twice as long after each further one.
const LOOK_AGAIN: Millis = Millis::seconds(1);

/// When the intake is looked at although no bell was rung.
#[derive(Debug, Default)]
pub(super) struct NextLook {
    pub(super) at: UnixMillis,
    /// Looks in a row that failed.
    failures: u32,
}

impl Driver {
    /// Takes in what waits. Whatever comes of it, there is a next look. While there is a backlog, signals wait in the intake until it is written.
    pub(super) async fn look_at_intake(&mut self) {
        let service = self.setup.name.clone();
        let looked = match self.take_signals().await {
            Ok(()) => self.set_aside_unreadable().await,
            Err(error) => Err(error),
        };
        let pause = match looked {
            Ok(()) => {
                self.intake.failures = 0;
                self.host.health.is_well(&service, Trouble::Intake);
                LOOK_EVERY
            }
            Err(error) => {
                self.intake.failures += 1;
                tracing::error!(%service, %error, failures = self.intake.failures, "the intake could not be read; what waits there is kept, and it is looked at again");
                let why =
                    format!("signals that were taken in wait, since the intake cannot be read: {error}");
                self.host.health.is_stuck(&service, Trouble::Intake, why);
                self.host.counters.add("ripcord_intake_failures_total", None, 1);
                Millis(LOOK_AGAIN.0 << (self.intake.failures - 1).min(10)).min(PAUSE_MAX)
            }
        };
        self.intake.at = self.now() + pause;
    }

    /// Takes all waiting signals into the journal.
    async fn take_signals(&mut self) -> Result<(), StoreError> {
        while self.backlog.is_none() {
            let filter = SignalFilter::Waiting(&self.setup.name);
            let waiting = self.host.setup.store.signals(filter, SIGNALS_AT_ONCE).await?;
            if waiting.is_empty() {
                break;
            }
            self.meter.begin(self.host.arrivals.take(&self.setup.name));
            let mut batch = Batch::default();
            for stored in waiting {
                let content = batch.json(BlobKind::Signal, &stored.signal);
                let signal = stored.signal;
                batch.consumed.push(signal.id.clone());
                batch.events.push(Event::SignalTaken(SignalTaken {
                    signal: signal.id,
                    origin: signal.origin,
                    status: signal.status,
                    severity: signal.severity,
                    started_at: signal.started_at,
                    received_at: signal.received_at,
                    content,
                }));
            }
            if !self.record(batch, Whose::Driver).await {
                break;
            }
        }
        Ok(())
    }

    /// A row that cannot be read holds up nothing: it leaves the queue, stays in the store, and people are told.
    async fn set_aside_unreadable(&mut self) -> Result<(), StoreError> {
        if self.backlog.is_some() {
            return Ok(());
        }
        let unreadable = self.host.setup.store.unreadable_signals(&self.setup.name, SIGNALS_AT_ONCE).await?;
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
