//! One task a service: it owns the state, starts what is owed, appends what came of it.

mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::effect::{Effect, Slot};
use ripcord_core::event::{Event, SignalTaken};
use ripcord_core::journal::Tip;
use ripcord_core::service::{PendingPart, Phase, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use ripcord_ports::store::SignalFilter;
use ripcord_ports::waiting::{Watch, watched};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::batch::Batch;
use crate::engine::Host;
use crate::mailbox::{Mailbox, Message};
use crate::meter::Meter;
use crate::pace::{JUMP_MIN, Look, Onward};
use crate::perform::{self, Context};
use crate::setup::ServiceSetup;
use writing::{Backlog, Whose};

/// Signals that enter a journal in one append.
const SIGNALS_AT_ONCE: u32 = 256;
/// Before an effect that came to nothing is tried again.
const COOL_DOWN: Millis = Millis(200);
/// After a start in the middle of a step that looks at the world: so long it may look before its deadline, which may have passed while no
/// host ran, is judged.
const FIRST_LOOK: Millis = Millis::seconds(30);

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
    running: BTreeMap<Slot, Running>,
    cooling: BTreeMap<Slot, UnixMillis>,
    /// Not before a moment after this one is it woken again.
    woke_at: UnixMillis,
    /// At both clocks, when there was no jump.
    looked: Look,
    /// What happened and is not written yet.
    backlog: Option<Backlog>,
    meter: Meter,
    /// Goes on from the journal's last instant, whatever the host's clock says.
    clock: Arc<Onward>,
    /// Of the registry's production name.
    promotion_watch: Arc<Watch>,
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
        let clock = Arc::new(Onward::from_last(host.setup.clock.clone(), service.at));
        let looked = Look::new(clock.as_ref(), service.at);
        let meter = Meter::new(host.setup.clock.clone(), &service);
        let promotion_watch = Arc::new(Watch::new(host.setup.clock.clone()));
        host.watches.put(&setup.name, PendingPart::Incident, meter.watch.clone());
        host.watches.put(&setup.name, PendingPart::Promotion, promotion_watch.clone());
        let woke_at = if looks_at_the_world(&service) { looked.wall + FIRST_LOOK } else { UnixMillis(0) };
        Self {
            host,
            setup,
            service,
            tip,
            publish,
            mailbox,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            cooling: BTreeMap::new(),
            woke_at,
            looked,
            backlog: None,
            meter,
            clock,
            promotion_watch,
        }
    }

    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        self.take_signals().await;
        loop {
            self.note_jump().await;
            self.note_behind().await;
            // What comes next follows from what happened, so that comes first.
            if self.backlog.is_none() {
                self.start_owed();
                self.measure().await;
            }
            let next = self.next_instant();
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(Message::Stop) | None => break,
                    Some(message) => self.heed(message).await,
                },
                Some(done) = self.tasks.join_next_with_id(), if self.backlog.is_none() => {
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
            .filter(|running| running.effect.is_made_good())
            .for_each(|running| running.abort.abort());
        while !self.tasks.is_empty() || self.backlog.is_some() {
            let again = self.backlog.as_ref().map(|backlog| backlog.again);
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                Some(done) = self.tasks.join_next_with_id(), if again.is_none() => self.finish(done).await,
                Some(message) = inbox.recv() => self.heed(message).await,
                () = clock.sleep_until(again.unwrap_or_default()), if again.is_some() => self.write_backlog().await,
            }
        }
    }

    async fn heed(&mut self, message: Message) {
        match message {
            // Whoever has given up believes that nothing was done.
            Message::Append(_, reply) if reply.is_closed() => {}
            Message::Append(batch, reply) => {
                let answer = self.append(batch).await;
                drop(reply.send(answer));
            }
            Message::Record(batch, reply) => drop(self.record(batch, Whose::Effect(reply)).await),
            Message::Signals => self.take_signals().await,
            Message::Stop => {}
        }
    }

    /// Notes what is waited for, and records where the time went once there is an answer again: after what is owed was started, since nothing waits
    /// for it.
    async fn measure(&mut self) {
        // First, since an incident may have ended with its answer.
        if let Some(measured) = self.meter.news(&self.service) {
            self.record(Batch::of(Event::Measured(measured)), Whose::Driver).await;
        }
        let works = self.running.keys().any(on_the_way);
        self.meter.look(&self.service, works);
    }

    fn now(&self) -> UnixMillis {
        self.clock.now().max(self.service.at)
    }

    fn look(&self) -> Look {
        Look::new(self.clock.as_ref(), self.service.at)
    }

    /// People hear of a clock that is behind, whether it was set back or had been ahead before a restart.
    async fn note_behind(&mut self) {
        let by = self.clock.behind();
        if by >= JUMP_MIN && self.backlog.is_none() && self.service.is_behind_news(self.now()) {
            self.record(Batch::of(Event::ClockBehind { by }), Whose::Driver).await;
        }
    }

    async fn note_jump(&mut self) {
        let look = self.look();
        if look.jumped_since(&self.looked).is_some() {
            // Whatever is written first notes it before itself.
            if self.backlog.is_none() {
                self.record(Batch::default(), Whose::Driver).await;
            }
        } else {
            self.looked = look;
        }
    }

    /// When the service is woken next.
    fn deadline(&self) -> Option<UnixMillis> {
        self.service.wakes_at().map(|at| at.max(self.woke_at + Millis(20)))
    }

    /// The next wake-up: a deadline of the service, or the end of a cool-down. While there is a backlog only that counts.
    fn next_instant(&self) -> Option<UnixMillis> {
        if let Some(backlog) = &self.backlog {
            return Some(backlog.again);
        }
        self.deadline().into_iter().chain(self.cooling.values().copied()).min()
    }

    async fn instant_came(&mut self) {
        if self.backlog.is_some() {
            return self.write_backlog().await;
        }
        let now = self.now();
        self.cooling.retain(|_, until| *until > now);
        if self.deadline().is_some_and(|at| at <= now) {
            self.woke_at = now;
            self.record(Batch::of(Event::Woke), Whose::Driver).await;
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
                clock: self.clock.clone(),
                latest: self.publish.subscribe(),
            };
            self.host.counters.add("ripcord_effects_total", Some(("effect", perform::name(&effect))), 1);
            let performing = perform::perform(effect.clone(), context);
            let abort = if on_the_way(&slot) {
                self.tasks.spawn(watched(self.meter.watch.clone(), performing))
            } else if slot == Slot::Promotion {
                self.promotion_watch.clear();
                self.tasks.spawn(watched(self.promotion_watch.clone(), performing))
            } else {
                self.tasks.spawn(performing)
            };
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
            Ok((_, batch)) => drop(self.record(batch, Whose::Slot(slot)).await),
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

    /// Takes all waiting signals into the journal; while there is a backlog they wait in the intake.
    async fn take_signals(&mut self) {
        while self.backlog.is_none() {
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
                return;
            }
        }
    }
}

impl Drop for Driver {
    /// What was begun ahead holds what holds it.
    fn drop(&mut self) {
        self.host.ahead.clear(&self.setup.name);
    }
}

/// Whether the restored answer waits for effects of this slot.
fn on_the_way(slot: &Slot) -> bool {
    matches!(slot, Slot::Triggers | Slot::Incident)
}

/// Whether the next step is to look at the world before a deadline.
fn looks_at_the_world(service: &Service) -> bool {
    if service.probation.as_ref().is_some_and(|probation| probation.due_at.is_none()) {
        return true;
    }
    let Some(Phase::Acting(acting)) = service.incident.as_ref().map(|incident| &incident.phase) else {
        return false;
    };
    matches!(
        acting.step,
        StepState::Preflighting { .. } | StepState::ReadingBack { .. } | StepState::Verifying { .. }
    )
}
