//! One task a service: it owns the state, starts what is owed, appends what came of it.

mod durability;
mod intake;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use ripcord_core::effect::{Effect, Slot};
use ripcord_core::event::Event;
use ripcord_core::journal::Tip;
use ripcord_core::service::{PendingPart, Phase, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use ripcord_ports::waiting::{Watch, watched};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::batch::Batch;
use crate::context::Context;
use crate::health::Trouble;
use crate::host::Host;
use crate::mailbox::{Inbox, Mailbox, Message};
use crate::meter::Meter;
use crate::pace::{JUMP_MIN, Look, Onward};
use crate::perform;
use crate::setup::ServiceSetup;
use intake::NextLook;
pub(crate) use writing::SNAPSHOT_EVERY;
use writing::{Backlog, Whose};

/// Before an effect that came to nothing is tried again.
const COOL_DOWN: Millis = Millis(200);
/// The longest pause between two tries of anything.
const PAUSE_MAX: Millis = Millis::seconds(30);
/// So many failures in a row, about six seconds of them, are seen in status.
const STUCK_AFTER: u32 = 5;
/// After a start in the middle of a step: so long it may try before its deadline, which may have passed while no host ran, is judged.
const FIRST_LOOK: Millis = Millis::seconds(30);

struct Running {
    effect: Effect,
    abort: AbortHandle,
}

/// A configuration that is to be recorded before anything is done under it.
pub(crate) struct Unrecorded {
    /// The one event.
    pub(crate) configured: Batch,
    /// Dropped when it was written, or could not be written for a first time.
    pub(crate) first_tried: oneshot::Sender<Infallible>,
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
    /// How often in a row effects came to nothing, of slots that are owed.
    failures: BTreeMap<Slot, u32>,
    intake: NextLook,
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
    /// Whether a power cut may take the end of the journal.
    has_tail: bool,
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
        let clock = Arc::new(Onward::from_last(host.wall.clone(), service.at));
        let looked = Look::new(clock.as_ref(), service.at);
        let meter = Meter::new(host.setup.clock.clone(), &service);
        let promotion_watch = Arc::new(Watch::new(host.setup.clock.clone()));
        host.watches.put(&setup.name, PendingPart::Incident, meter.watch.clone());
        host.watches.put(&setup.name, PendingPart::Promotion, promotion_watch.clone());
        let woke_at = if tries_before_its_end(&service, looked.wall) {
            looked.wall + FIRST_LOOK
        } else {
            UnixMillis(0)
        };
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
            failures: BTreeMap::new(),
            intake: NextLook::default(),
            woke_at,
            looked,
            backlog: None,
            meter,
            clock,
            promotion_watch,
            // The host before may have been killed after its last append and before its last flush.
            has_tail: true,
        }
    }

    /// Runs until it is told to stop. `unrecorded` is the configuration in force, where it is not the one on record.
    pub(crate) async fn run(mut self, unrecorded: Option<Unrecorded>, mut inbox: Inbox) {
        // Effects run under the terms on record. While these cannot be written they are the backlog, and then nothing is started.
        if let Some(Unrecorded { configured, first_tried }) = unrecorded {
            self.record(configured, Whose::Configuration).await;
            drop(first_tried);
        }
        self.look_at_intake();
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
                message = inbox.messages.recv() => match message {
                    Some(Message::Stop) | None => break,
                    Some(message) => self.heed(message).await,
                },
                () = inbox.bell.notified() => self.look_at_intake(),
                Some(done) = self.tasks.join_next_with_id(), if self.backlog.is_none() => {
                    self.note_jump().await;
                    self.finish(done).await;
                }
                () = std::future::ready(()), if self.takes_group() => self.take_group().await,
                () = clock.sleep_until(next.unwrap_or_default()), if next.is_some() => self.instant_came().await,
            }
        }
        self.stop(&mut inbox).await;
    }

    /// A shift in flight may end and be recorded; everything else is taken up again after the next start.
    async fn stop(&mut self, inbox: &mut Inbox) {
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
                Some(message) = inbox.messages.recv() => self.heed(message).await,
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

    /// The next wake-up: a deadline of the service, the end of a cool-down, or a look at the intake. While there is a backlog only that counts.
    fn next_instant(&self) -> Option<UnixMillis> {
        if let Some(backlog) = &self.backlog {
            return Some(backlog.again);
        }
        self.deadline().into_iter().chain(self.cooling.values().copied()).chain([self.intake.at]).min()
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
        if self.intake.at <= now {
            self.look_at_intake();
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
        let slots: BTreeSet<Slot> = owed.iter().map(Effect::slot).collect();
        let unowed: Vec<_> = self.failures.keys().filter(|slot| !slots.contains(*slot)).cloned().collect();
        unowed.iter().for_each(|slot| self.got_somewhere(slot));
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
                watch: self.meter.watch.clone(),
                has_tail: self.has_tail,
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

    /// Tries again what came to nothing: after a while, and after twice as long each time.
    fn cool(&mut self, slot: Slot) {
        let failures = self.failures.entry(slot.clone()).or_default();
        *failures += 1;
        let pause = Millis(COOL_DOWN.0 << (*failures - 1).min(16)).min(PAUSE_MAX);
        if *failures >= STUCK_AFTER {
            let why = format!(
                "an effect ({slot:?}) has come to nothing {failures} times; it is tried again every {pause}, and the log says why"
            );
            self.host.health.is_stuck(&self.setup.name, Trouble::Effects, why);
        }
        self.cooling.insert(slot, self.now() + pause);
    }

    /// An effect of this slot has come to something, or is no longer owed.
    fn got_somewhere(&mut self, slot: &Slot) {
        self.failures.remove(slot);
        if self.failures.values().all(|failures| *failures < STUCK_AFTER) {
            self.host.health.is_well(&self.setup.name, Trouble::Effects);
        }
    }
}

impl Drop for Driver {
    /// What was begun ahead holds what holds it; what was stored is of no use to who takes over.
    fn drop(&mut self) {
        self.host.ahead.clear(&self.setup.name);
        self.host.fact_values.clear(&self.setup.name);
    }
}

/// Whether the restored answer waits for effects of this slot.
fn on_the_way(slot: &Slot) -> bool {
    matches!(slot, Slot::Triggers | Slot::Incident)
}

/// Whether the step at hand is to try what it is there for before its end is judged: it looks at the world, or its end has passed while no host
/// ran.
fn tries_before_its_end(service: &Service, now: UnixMillis) -> bool {
    if service.probation.as_ref().is_some_and(|probation| probation.due_at.is_none()) {
        return true;
    }
    match service.incident.as_ref().map(|incident| &incident.phase) {
        Some(Phase::Acting(acting)) => {
            matches!(
                acting.step,
                StepState::Preflighting { .. }
                    | StepState::ReadingBack { .. }
                    | StepState::Looking { due_at: None, .. }
                    | StepState::Verifying { .. }
            ) || service.step_ends_at().is_some_and(|end| end <= now)
        }
        Some(Phase::Preserving | Phase::Planning(_)) => {
            service.step_ends_at().is_some_and(|end| end <= now + FIRST_LOOK)
        }
        _ => false,
    }
}
