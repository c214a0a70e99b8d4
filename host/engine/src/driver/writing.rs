//! Writing the journal: what someone wants is written at once or refused, what happened is kept until it can be written.

use std::collections::VecDeque;
use std::sync::Arc;

use ripcord_core::blob::BlobRef;
use ripcord_core::effect::Slot;
use ripcord_core::event::Event;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::IncidentId;
use ripcord_core::service::{Illegal, Incident, Service};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Append, Durability, KeptSnapshot, StoreError};
use ripcord_ports::waiting::What;
use tokio::sync::oneshot;

use super::Driver;
use super::durability::durability;
use crate::batch::Batch;
use crate::fold::recover;
use crate::health::Trouble;
use crate::mailbox::{AppendError, AppendReply};
use crate::pace::Look;
use crate::read_model::{Derived, Moment};

/// Records after which a snapshot is kept: what is read at a start, by `status` and by a command.
pub(crate) const SNAPSHOT_EVERY: u64 = 1_000;
/// Before a store that cannot be written is tried again.
const STORE_AGAIN: Millis = Millis::seconds(1);
/// How often what happened is written over others who append to the same journal, before it waits.
const OVERTAKEN_MAX: u32 = 3;

/// What happened and could not be written. While there is one, nothing new is started and commands are refused.
pub(super) struct Backlog {
    /// In the order in which it happened; never empty.
    results: VecDeque<Unwritten>,
    /// Why the first of them could not be written.
    why: StoreError,
    /// When it is tried again.
    pub(super) again: UnixMillis,
}

struct Unwritten {
    batch: Batch,
    whose: Whose,
}

/// Who hears what became of it.
pub(super) enum Whose {
    /// The effect of this slot has ended with it.
    Slot(Slot),
    /// A running effect waits.
    Effect(oneshot::Sender<AppendReply>),
    /// The configuration in force: never given up, since nothing is started before it is written.
    Configuration,
    /// Nobody.
    Driver,
}

impl Driver {
    /// Appends what someone wants, or says why not: then nothing of it is done, not even later. If someone else wrote to the
    /// journal, the state is theirs too then.
    pub(super) async fn append(&mut self, batch: Batch) -> AppendReply {
        // Whoever asks learns first that the store takes writes again, and what happened before comes before.
        self.write_backlog().await;
        if let Some(backlog) = &self.backlog {
            return Err(backlog.why.clone().into());
        }
        if batch.events.iter().any(|event| matches!(event, Event::PullRequested(_))) {
            self.meter.begin(self.host.arrivals.take(&self.setup.name), 0);
        }
        let appended = self.try_append(batch).await;
        if let Err((AppendError::Store(StoreError::Moved { .. }), _)) = &appended {
            self.recover().await;
        }
        appended.map_err(|(error, _)| error)
    }

    /// Appends what has already happened, after what happened before it. A store that cannot be written is tried until it can.
    /// True if it is in the journal by now.
    pub(super) async fn record(&mut self, batch: Batch, whose: Whose) -> bool {
        let unwritten = Unwritten { batch, whose };
        match &mut self.backlog {
            Some(backlog) => {
                backlog.results.push_back(unwritten);
                false
            }
            None => self.write(unwritten).await,
        }
    }

    /// Tries again what could not be written.
    pub(super) async fn write_backlog(&mut self) {
        // The journal is read again only where an append finds that it moved on: this is tried every second, for as long as a disk is full.
        let Some(Backlog { mut results, .. }) = self.backlog.take() else { return };
        while let Some(first) = results.pop_front() {
            self.write(first).await;
            if let Some(backlog) = &mut self.backlog {
                backlog.results.append(&mut results);
                return;
            }
        }
        self.host.health.is_well(&self.setup.name, Trouble::Journal);
        self.look_at_intake();
    }

    /// Writes it now, or makes it the backlog.
    async fn write(&mut self, unwritten: Unwritten) -> bool {
        let Unwritten { batch, whose } = unwritten;
        let written = match (self.append_over_others(batch).await, &whose) {
            (Err((AppendError::Illegal(illegal), batch)), Whose::Configuration) => {
                Err((StoreError::Refused(illegal.to_string()).into(), batch))
            }
            (written, _) => written,
        };
        match written {
            Ok(service) => {
                match whose {
                    Whose::Effect(reply) => drop(reply.send(Ok(service))),
                    Whose::Slot(slot) => self.got_somewhere(&slot),
                    Whose::Configuration | Whose::Driver => {}
                }
                return true;
            }
            Err((AppendError::Store(error @ StoreError::Refused(_)), _))
                if !matches!(whose, Whose::Configuration) =>
            {
                tracing::error!(service = %self.service.name, %error, "a result could not be recorded; the effect is owed again");
                self.give_up(whose, error.into());
            }
            Err((AppendError::Store(why), batch)) => {
                tracing::error!(service = %self.service.name, error = %why, "the journal could not be written; tried again");
                self.host.counters.add("ripcord_store_failures_total", None, 1);
                self.host.health.is_stuck(&self.setup.name, Trouble::Journal, why.to_string());
                let again = self.now() + STORE_AGAIN;
                let results = VecDeque::from([Unwritten { batch, whose }]);
                self.backlog = Some(Backlog { results, why, again });
            }
            Err((error, _)) => {
                tracing::debug!(service = %self.service.name, %error, "a result came too late and was dropped");
                self.give_up(whose, error);
            }
        }
        false
    }

    /// It is no longer wanted, or never was.
    fn give_up(&mut self, whose: Whose, error: AppendError) {
        match whose {
            Whose::Slot(slot) => self.cool(slot),
            Whose::Effect(reply) => drop(reply.send(Err(error))),
            Whose::Configuration | Whose::Driver => {}
        }
    }

    /// Judges it anew by what someone else wrote meanwhile.
    async fn append_over_others(&mut self, batch: Batch) -> Result<Arc<Service>, (AppendError, Batch)> {
        let mut batch = batch;
        for _ in 1..OVERTAKEN_MAX {
            match self.try_append(batch).await {
                Err((AppendError::Store(StoreError::Moved { .. }), back)) => batch = back,
                other => return other,
            }
            self.recover().await;
        }
        self.try_append(batch).await
    }

    async fn try_append(&mut self, batch: Batch) -> Result<Arc<Service>, (AppendError, Batch)> {
        let look = self.look();
        let jumped = look.jumped_since(&self.looked);
        // A plan that was drafted before the jump would have expired by as much, and a message that is given up would have waited by as much longer than it has:
        // the one is drafted again, the other tried again.
        let is_judged_by_the_clock = |event: &Event| match event {
            Event::Planned(_) => true,
            Event::Announced(announced) => announced.failed.is_some(),
            _ => false,
        };
        if jumped.is_some() && batch.events.iter().any(is_judged_by_the_clock) {
            let jump = self.append_at(look, jumped, Batch::default()).await;
            let why = jump.map_or_else(|(error, _)| error, |_| Illegal::Stale.into());
            return Err((why, batch));
        }
        self.append_at(look, jumped, batch).await
    }

    /// Before anything is judged by a clock that jumped, the jump is on record.
    async fn append_at(
        &mut self,
        look: Look,
        jumped: Option<Millis>,
        batch: Batch,
    ) -> Result<Arc<Service>, (AppendError, Batch)> {
        let at = look.wall;
        let noted = jumped.map(|by| Event::ClockJumped { by });
        let events: Vec<Event> = noted.into_iter().chain(batch.events.iter().cloned()).collect();
        let (next, derived) = match self.derive(at, &events, &batch.referred()) {
            Ok(derived) => derived,
            Err(illegal) => return Err((illegal.into(), batch)),
        };
        if events.is_empty() {
            // The clock was set back before its jump could be written.
            return Ok(self.service.clone());
        }
        let mut tip = self.tip;
        let mut records = Vec::with_capacity(events.len());
        for event in &events {
            match Record::write(&self.setup.name, tip, at, event) {
                Ok(record) => {
                    tip = record.tip();
                    records.push(record);
                }
                Err(error) => return Err((StoreError::Failed(error.to_string()).into(), batch)),
            }
        }
        let durability = durability(&events, &self.service, &next);
        let mut append = Append {
            durability,
            records,
            blobs: batch.blobs.clone(),
            consumed: batch.consumed.clone(),
            over: batch.over.clone(),
            snapshots: self.snapshots(&next, tip),
            ..Append::default()
        };
        derived.put_into(&mut append);
        let since = self.host.setup.clock.steady_us();
        if let Err(error) = self.patiently("a write", self.host.setup.store.append(append)).await
            && !self.host.was_written(&self.setup.name, tip).await
        {
            return Err((error.into(), batch));
        }
        self.host.fact_values.written(&self.setup.name, at, &batch.values);
        self.meter.watch.note(What::Own("journal"), since);
        self.has_tail = durability != Durability::Flushed;
        if !self.has_tail {
            self.meter.watch.flushed(1);
        }
        self.tip = tip;
        self.looked = look;
        self.host.count(&events, &self.service, &next);
        self.host.health.is_well(&self.setup.name, Trouble::Journal);
        self.service = Arc::new(next);
        self.host.settle(&self.service);
        if self.service.incident.is_none() {
            self.host.staged.clear(&self.setup.name, &self.host.staging);
            self.host.ahead.clear(&self.setup.name);
        }
        self.publish.send_replace(self.service.clone());
        Ok(self.service.clone())
    }

    pub(super) async fn patiently<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        self.host.patiently(&self.setup.name, what, work).await
    }

    /// The state after `events`, and what is derived from them.
    fn derive(
        &self,
        at: UnixMillis,
        events: &[Event],
        referred: &[BlobRef],
    ) -> Result<(Service, Derived), Illegal> {
        let (mut state, mut derived) = ((*self.service).clone(), Derived::default());
        for event in events {
            let after = state.apply(at, event)?;
            derived.add(Moment { before: &state, number: state.length, at, event, after: &after, referred });
            state = after;
        }
        Ok((state, derived))
    }

    /// The states that are kept with an append that leads to `next`: the one that a new incident's page is read from, the one after an incident's end,
    /// and one every thousand records, so that nobody reads more than that.
    fn snapshots(&self, next: &Service, tip: Tip) -> Vec<KeptSnapshot> {
        let id = |incident: &Option<Incident>| incident.as_ref().map(|incident| incident.id.clone());
        let opened = id(&next.incident).filter(|opened| id(&self.service.incident).as_ref() != Some(opened));
        let settled = id(&next.last_settled) != id(&self.service.last_settled);
        // One that opened and ended in the same append has its page as well.
        let opened = opened.or_else(|| {
            let last = id(&next.last_settled).filter(|_| next.incidents > self.service.incidents);
            last.filter(|last| id(&self.service.incident).as_ref() != Some(last))
        });
        let due = self.tip.length / SNAPSHOT_EVERY != tip.length / SNAPSHOT_EVERY;
        let before = opened.map(|opened| (self.service.as_ref(), self.tip, Some(opened)));
        let after = (settled || due).then_some((next, tip, None));
        let keep = |(state, tip, opens): (&Service, Tip, Option<IncidentId>)| match Snapshot::of(state, tip) {
            Ok(snapshot) => Some(KeptSnapshot { snapshot, opens }),
            Err(error) => {
                tracing::error!(service = %state.name, %error, "no snapshot: the next start reads more of the journal");
                None
            }
        };
        before.into_iter().chain(after).filter_map(keep).collect()
    }

    /// Reads the journal again: someone else may have written to it.
    async fn recover(&mut self) {
        match recover(self.host.setup.store.as_ref(), &self.setup.name).await {
            Ok(recovered) if recovered.tip != self.tip => {
                self.tip = recovered.tip;
                self.service = recovered.state;
                // A jump that nobody has written down must not be forgotten with the look that would show it.
                let jumped = Look::new(self.clock.as_ref(), UnixMillis(0)).jumped_since(&self.looked);
                let is_unwritten = jumped.is_some_and(|by| self.service.at < self.looked.wall + by);
                self.clock.not_before(self.service.at);
                if !is_unwritten {
                    self.looked = self.look();
                }
                self.host.settle(&self.service);
                self.publish.send_replace(self.service.clone());
                tracing::warn!(service = %self.setup.name, "someone else wrote to the journal: it was read again");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(service = %self.setup.name, %error, "the journal could not be read again")
            }
        }
    }
}
