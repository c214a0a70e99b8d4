//! One task a service: it owns the state, starts what is owed, appends what came of it.

use std::collections::HashMap;
use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::effect::{Effect, Slot};
use ripcord_core::event::{Event, SignalTaken};
use ripcord_core::fact::{Outcome, PastIncident};
use ripcord_core::journal::{Record, Tip};
use ripcord_core::service::{Illegal, Incident, Phase, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Append, IncidentLine, SignalFilter, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::batch::Batch;
use crate::engine::Host;
use crate::fold::fold;
use crate::pace::Look;
use crate::perform::{self, Context};
use crate::setup::ServiceSetup;

/// Signals that enter a journal in one append.
const SIGNALS_AT_ONCE: u32 = 256;
/// Before an effect that came to nothing is tried again.
const COOL_DOWN: Millis = Millis(200);
/// After a start in the middle of a step that looks at the world: so long it may look before its deadline, which may have passed while no
/// host ran, is judged.
const FIRST_LOOK: Millis = Millis::seconds(30);
/// Before a store that cannot be written is tried again.
const STORE_AGAIN: Millis = Millis::seconds(1);

pub(crate) type AppendReply = Result<Arc<Service>, AppendError>;

/// Why an append was not made. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the host is stopping")]
    Stopping,
}

/// What a driver is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The intake has something for this service.
    Signals,
    /// A person or a running effect wants to append.
    Append(Batch, oneshot::Sender<AppendReply>),
    /// Finish shifts in flight, then end.
    Stop,
}

/// Where messages to a driver go.
pub(crate) type Mailbox = mpsc::Sender<Message>;

/// Appends through the driver.
pub(crate) async fn append(mailbox: &Mailbox, batch: Batch) -> AppendReply {
    let (reply, answer) = oneshot::channel();
    mailbox.send(Message::Append(batch, reply)).await.map_err(|_| AppendError::Stopping)?;
    answer.await.map_err(|_| AppendError::Stopping)?
}

struct Running {
    effect: Effect,
    abort: AbortHandle,
}

pub(crate) struct Driver {
    host: Arc<Host>,
    setup: Arc<ServiceSetup>,
    service: Arc<Service>,
    tip: Tip,
    publish: watch::Sender<Arc<Service>>,
    mailbox: Mailbox,
    tasks: JoinSet<Batch>,
    running: HashMap<Slot, Running>,
    cooling: HashMap<Slot, UnixMillis>,
    /// Not before a moment after this one is it woken again.
    woke_at: UnixMillis,
    /// At both clocks, when there was no jump.
    looked: Look,
}

impl Driver {
    pub(crate) fn new(
        host: Arc<Host>,
        setup: Arc<ServiceSetup>,
        service: Arc<Service>,
        tip: Tip,
        publish: watch::Sender<Arc<Service>>,
        mailbox: Mailbox,
    ) -> Self {
        let looked = Look::new(host.setup.clock.as_ref(), service.at);
        let woke_at = if looks_at_the_world(&service) { looked.wall + FIRST_LOOK } else { UnixMillis(0) };
        Self {
            host,
            setup,
            service,
            tip,
            publish,
            mailbox,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            cooling: HashMap::new(),
            woke_at,
            looked,
        }
    }

    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        self.take_signals().await;
        loop {
            self.note_jump().await;
            self.start_owed();
            let next = self.next_instant();
            let clock = self.host.setup.clock.clone();
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(Message::Append(batch, reply)) => {
                        let answer = self.append(batch).await;
                        drop(reply.send(answer));
                    }
                    Some(Message::Signals) => self.take_signals().await,
                    Some(Message::Stop) | None => break,
                },
                Some(done) = self.tasks.join_next_with_id() => {
                    self.note_jump().await;
                    self.finish(done).await;
                }
                () = clock.sleep_until(next.unwrap_or_default()), if next.is_some() => self.instant_came().await,
            }
        }
        self.stop(&mut inbox).await;
    }

    /// A shift in flight may end and be recorded; everything else is taken up again after the next start.
    async fn stop(&mut self, inbox: &mut mpsc::Receiver<Message>) {
        self.running
            .values()
            .filter(|running| running.effect.is_harmless())
            .for_each(|running| running.abort.abort());
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(done) = self.tasks.join_next_with_id() => self.finish(done).await,
                Some(message) = inbox.recv() => if let Message::Append(batch, reply) = message {
                    let answer = self.append(batch).await;
                    drop(reply.send(answer));
                },
            }
        }
    }

    fn now(&self) -> UnixMillis {
        self.host.setup.clock.now().max(self.service.at)
    }

    fn look(&self) -> Look {
        Look::new(self.host.setup.clock.as_ref(), self.service.at)
    }

    async fn note_jump(&mut self) {
        let look = self.look();
        if look.jumped_since(&self.looked).is_some() {
            self.append_surely(Batch::default()).await;
        } else {
            self.looked = look;
        }
    }

    /// What approval policies were asked before a jump counts from another time: they are asked again.
    fn ask_approvals_again(&mut self) {
        if let Some(running) = self.running.get(&Slot::Incident)
            && matches!(running.effect, Effect::AskApprovals { .. })
        {
            running.abort.abort();
            self.running.remove(&Slot::Incident);
        }
    }

    /// When the service is woken next.
    fn deadline(&self) -> Option<UnixMillis> {
        self.service.wakes_at().map(|at| at.max(self.woke_at + Millis(20)))
    }

    /// The next wake-up: a deadline of the service, or the end of a cool-down.
    fn next_instant(&self) -> Option<UnixMillis> {
        self.deadline().into_iter().chain(self.cooling.values().copied()).min()
    }

    async fn instant_came(&mut self) {
        let now = self.now();
        self.cooling.retain(|_, until| *until > now);
        if self.deadline().is_some_and(|at| at <= now) {
            self.woke_at = now;
            self.append_surely(Batch::of(Event::Woke)).await;
        }
    }

    /// Starts what is owed and is not under way; stops what is no longer owed.
    fn start_owed(&mut self) {
        let owed = self.service.owed();
        self.running.retain(|slot, running| {
            let wanted =
                owed.contains(&running.effect) || *slot == Slot::Triggers || !running.effect.is_harmless();
            if !wanted {
                running.abort.abort();
            }
            wanted
        });
        for effect in owed {
            let slot = effect.slot();
            if slot == Slot::Timer || self.running.contains_key(&slot) || self.cooling.contains_key(&slot) {
                continue;
            }
            let context = Context {
                host: self.host.clone(),
                setup: self.setup.clone(),
                service: self.service.clone(),
                mailbox: self.mailbox.clone(),
            };
            self.host.counters.add("ripcord_effects_total", Some(("effect", perform::name(&effect))), 1);
            let abort = self.tasks.spawn(perform::perform(effect.clone(), context));
            self.running.insert(slot, Running { effect, abort });
        }
    }

    async fn finish(&mut self, done: Result<(Id, Batch), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        // A task that was stopped has left its slot already.
        let Some(slot) =
            self.running.iter().find(|(_, running)| running.abort.id() == id).map(|(slot, _)| slot.clone())
        else {
            return;
        };
        self.running.remove(&slot);
        match done {
            Ok((_, batch)) if batch.events.is_empty() => self.cool(slot),
            Ok((_, batch)) => {
                if !self.append_surely(batch).await {
                    self.cool(slot);
                }
            }
            Err(error) if error.is_cancelled() => self.cool(slot),
            Err(error) => {
                tracing::error!(service = %self.service.name, slot = ?slot, %error, "an effect failed in an unforeseen way; it is tried again");
                self.cool(slot);
            }
        }
    }

    fn cool(&mut self, slot: Slot) {
        let until = self.now() + COOL_DOWN;
        self.cooling.insert(slot, until);
    }

    async fn take_signals(&mut self) {
        loop {
            let filter = SignalFilter::Waiting(&self.setup.name);
            let waiting = match self.host.setup.store.signals(filter, SIGNALS_AT_ONCE).await {
                Ok(waiting) => waiting,
                Err(error) => {
                    tracing::error!(service = %self.setup.name, %error, "waiting signals could not be read; they are kept");
                    return;
                }
            };
            if waiting.is_empty() {
                return;
            }
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
            if !self.append_surely(batch).await {
                return;
            }
        }
    }

    /// Appends what has already happened: a store that cannot be written is tried until it can. False if it is no longer wanted.
    async fn append_surely(&mut self, batch: Batch) -> bool {
        let mut batch = batch;
        loop {
            match self.try_append(batch).await {
                Ok(_) => return true,
                Err((AppendError::Store(error @ StoreError::Refused(_)), _)) => {
                    tracing::error!(service = %self.service.name, %error, "a result could not be recorded; the effect is owed again");
                    return false;
                }
                Err((AppendError::Store(error), back)) => {
                    tracing::error!(service = %self.service.name, %error, "the journal could not be written; tried again");
                    self.host.counters.add("ripcord_store_failures_total", None, 1);
                    self.host.health(&self.setup.name, Some(error.to_string()));
                    batch = back;
                    let again = self.host.setup.clock.now() + STORE_AGAIN;
                    self.host.setup.clock.sleep_until(again).await;
                    self.recover().await;
                }
                Err((error, _)) => {
                    tracing::debug!(service = %self.service.name, %error, "a result came too late and was dropped");
                    return false;
                }
            }
        }
    }

    /// Appends for someone who can be told that it was not possible. If someone else wrote to the journal, the state is theirs too then.
    async fn append(&mut self, batch: Batch) -> AppendReply {
        let appended = self.try_append(batch).await;
        if let Err((AppendError::Store(StoreError::Moved { .. }), _)) = &appended {
            self.recover().await;
        }
        appended.map_err(|(error, _)| error)
    }

    async fn try_append(&mut self, batch: Batch) -> Result<Arc<Service>, (AppendError, Batch)> {
        // Before anything is judged by a clock that jumped, the jump is on record.
        let look = self.look();
        let (at, jumped) = (look.wall, look.jumped_since(&self.looked));
        let noted = jumped.map(|by| Event::ClockJumped { by });
        let events: Vec<Event> = noted.into_iter().chain(batch.events.iter().cloned()).collect();
        let next = match self.service.apply_all(at, &events) {
            Ok(next) => next,
            Err(illegal) => return Err((illegal.into(), batch)),
        };
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
        let append = Append {
            records,
            blobs: batch.blobs.clone(),
            consumed: batch.consumed.clone(),
            incidents: incident_lines(&next),
        };
        if let Err(error) = self.host.setup.store.append(append).await
            && !self.was_written(tip).await
        {
            return Err((error.into(), batch));
        }
        self.tip = tip;
        self.looked = look;
        self.host.count(&events, &self.service, &next);
        self.host.health(&self.setup.name, None);
        self.service = Arc::new(next);
        self.host.budget.settle(&self.service);
        if self.service.incident.is_none() {
            self.host.staged.clear(&self.setup.name, &self.host.setup.staging);
        }
        if jumped.is_some() {
            self.ask_approvals_again();
        }
        self.publish.send_replace(self.service.clone());
        Ok(self.service.clone())
    }

    /// After an append whose outcome is not known: whether it is in the journal.
    async fn was_written(&self, tip: Tip) -> bool {
        let last = self.host.setup.store.journal(&self.setup.name, tip.length - 1).await;
        last.is_ok_and(|records| records.first().is_some_and(|record| record.tip() == tip))
    }

    /// Reads the journal again: someone else may have written to it.
    async fn recover(&mut self) {
        match fold(self.host.setup.store.as_ref(), &self.setup.name).await {
            Ok(folded) if folded.tip != self.tip => {
                self.tip = folded.tip;
                self.service = Arc::new(folded.service);
                self.looked = self.look();
                self.host.budget.settle(&self.service);
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

/// Whether the incident's next step is to look at the world before a deadline.
fn looks_at_the_world(service: &Service) -> bool {
    let Some(Phase::Acting(acting)) = service.incident.as_ref().map(|incident| &incident.phase) else {
        return false;
    };
    matches!(acting.step, StepState::ReadingBack { .. } | StepState::Verifying { .. })
}

/// The lines of the incident list that the state speaks of.
pub(crate) fn incident_lines(service: &Service) -> Vec<IncidentLine> {
    let line = |incident: &Incident| {
        let outcome = match &incident.phase {
            Phase::Settled(outcome) => outcome.clone(),
            _ => Outcome::Open,
        };
        let target = incident.plan().and_then(|plan| match &incident.phase {
            Phase::Settled(Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere) => {
                incident.tried.last().or(plan.targets.first()).cloned()
            }
            _ => None,
        });
        IncidentLine {
            service: service.name.clone(),
            summary: incident.phase_name().to_owned(),
            incident: PastIncident {
                id: incident.id.clone(),
                opened_at: incident.marks.opened_at,
                settled_at: incident.marks.settled_at,
                strategy: incident.plan().map(|plan| plan.strategy.clone()),
                outcome,
                target,
            },
        }
    };
    service.last_settled.iter().chain(&service.incident).map(line).collect()
}
