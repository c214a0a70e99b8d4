//! One task a set: it owns the state, does the next step of what is owed, and looks again whenever a member's journal has moved on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Announced, Event};
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::ServiceName;
use ripcord_core::set::{Set, SetConfigured, SetEffect, SetEvent, SetIllegal, Step};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use ripcord_ports::notifier::Announcement;
use ripcord_ports::store::{Append, KeptSnapshot, StoreError};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::door::{SetAppendError, SetBatch, SetInbox, SetMessage, SetReply};
use super::{draft, tell};
use crate::door::Door;
use crate::driver::SNAPSHOT_EVERY;
use crate::fold::recover_set;
use crate::health::Trouble;
use crate::host::Host;
use crate::journaled::Journaled;
use crate::pace::{Look, Onward};
use crate::perform::people::deliver_to_all;
use crate::read_model::Derived;
use crate::setup::SetSetup;

/// Before what came to nothing is tried again; twice as long each time.
const COOL_DOWN: Millis = Millis(200);
/// The longest pause between two tries.
const PAUSE_MAX: Millis = Millis::seconds(30);
/// So many failures in a row, about six seconds of them, are seen in status.
const STUCK_AFTER: u32 = 5;
/// Not sooner is it woken again.
const WAKE_PAUSE: Millis = Millis(20);

/// What one task works on: at most one of each goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Errand {
    /// Writing the configuration in force.
    Configure,
    /// One append after the other for this member.
    Member(ServiceName),
    Draft,
    Announce(String),
}

impl Errand {
    fn of(effect: &SetEffect) -> Option<Self> {
        Some(match effect {
            SetEffect::Draft { .. } => Self::Draft,
            SetEffect::Announce(outgoing) => Self::Announce(outgoing.id.clone()),
            SetEffect::WakeAt(_) => return None,
            effect => Self::Member(effect.member()?.clone()),
        })
    }
}

/// What a task came to.
enum Done {
    /// The member has been told, or says no; or why that is not known.
    Told(Result<(), String>),
    /// This is to be appended; none if it is no longer wanted.
    Found(Option<SetBatch>),
}

struct Running {
    effect: SetEffect,
    abort: AbortHandle,
}

pub(crate) struct SetDriver {
    host: Arc<Host>,
    setup: Arc<SetSetup>,
    doors: Arc<BTreeMap<ServiceName, Door>>,
    set: Arc<Set>,
    tip: Tip,
    publish: watch::Sender<Arc<Set>>,
    /// Goes on from the journal's last instant, whatever the host's clock says.
    clock: Arc<Onward>,
    /// At both clocks, when there was no jump.
    looked: Look,
    woke_at: UnixMillis,
    /// The configuration in force, where it is not the one on record: nothing is begun before it is.
    unrecorded: Option<Digest>,
    tasks: JoinSet<Done>,
    running: BTreeMap<Errand, Running>,
    cooling: BTreeMap<Errand, UnixMillis>,
    failures: BTreeMap<Errand, u32>,
    /// They ring where a member's journal moves on.
    listening: JoinSet<()>,
}

impl SetDriver {
    pub(crate) fn new(
        host: Arc<Host>,
        setup: Arc<SetSetup>,
        doors: Arc<BTreeMap<ServiceName, Door>>,
        (set, tip): (Arc<Set>, Tip),
        publish: watch::Sender<Arc<Set>>,
    ) -> Self {
        let clock = Arc::new(Onward::from_last(host.wall.clone(), set.at));
        let looked = Look::new(clock.as_ref(), set.at);
        Self {
            host,
            setup,
            doors,
            set,
            tip,
            publish,
            clock,
            looked,
            woke_at: UnixMillis(0),
            unrecorded: None,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            cooling: BTreeMap::new(),
            failures: BTreeMap::new(),
            listening: JoinSet::new(),
        }
    }

    /// Runs until it is told to stop. What is cut off then is come to again from the journals.
    pub(crate) async fn run(mut self, mut inbox: SetInbox) {
        self.listen(&inbox.bell);
        self.unrecorded = self.configured();
        loop {
            self.go_on().await;
            let next = self.next_instant();
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                message = inbox.messages.recv() => match message {
                    Some(SetMessage::Stop) | None => break,
                    // Whoever has given up believes that nothing was done.
                    Some(SetMessage::Append(_, reply)) if reply.is_closed() => {}
                    Some(SetMessage::Append(batch, reply)) => {
                        let answer = self.append_for(batch).await;
                        drop(reply.send(answer));
                    }
                },
                Some(done) = self.tasks.join_next_with_id() => self.finish(done).await,
                () = inbox.bell.notified() => {}
                () = clock.sleep_until(next.unwrap_or_default()), if next.is_some() => self.instant_came().await,
            }
        }
        self.host.health.is_well(&self.key(), Trouble::Effects);
    }

    fn key(&self) -> ServiceName {
        self.setup.name.journal()
    }

    fn now(&self) -> UnixMillis {
        self.clock.now().max(self.set.at)
    }

    /// Members as they are configured, and those of a run that began before.
    fn listen(&mut self, bell: &Arc<Notify>) {
        let of_run = self.set.run.iter().flat_map(|run| &run.members).map(|member| &member.service);
        let members: BTreeSet<_> = self.setup.terms.members.iter().chain(of_run).cloned().collect();
        for door in members.iter().filter_map(|member| self.doors.get(member)) {
            let (mut state, bell) = (door.state.clone(), bell.clone());
            self.listening.spawn(async move {
                while state.changed().await.is_ok() {
                    bell.notify_one();
                }
            });
        }
    }

    /// The digest of the configuration in force, if it differs from the one on record.
    fn configured(&self) -> Option<Digest> {
        let everything = (&self.setup.configuration, &self.setup.terms, &self.host.setup.host_version);
        let digest = canonical::json_digest("ripcord set configuration 1", &everything);
        let digest = digest.inspect_err(|error| tracing::error!(set = %self.setup.name, %error, "the configuration of a set has no digest")).ok()?;
        (self.set.configuration != Some(digest)).then_some(digest)
    }

    /// Writes the configuration in force; whether it is on record by now.
    async fn is_configured(&mut self) -> bool {
        let Some(digest) = self.unrecorded else { return true };
        if self.cooling.contains_key(&Errand::Configure) {
            return false;
        }
        let content = self.setup.configuration.clone().into_bytes();
        let (terms, host_version) = (self.setup.terms.clone(), self.host.setup.host_version.clone());
        let batch = SetBatch::about(BlobKind::Configuration, content, |configuration| {
            SetEvent::Configured(SetConfigured { terms, configuration, digest, host_version })
        });
        match self.append(batch).await {
            Ok(_) => {
                self.got_somewhere(&Errand::Configure);
                self.unrecorded = None;
                true
            }
            Err(error) => {
                self.cool(Errand::Configure, &error.to_string());
                false
            }
        }
    }

    /// A jump of the clock is on record before anything is judged by the time after it.
    async fn note_jump(&mut self) -> Result<Option<Millis>, SetAppendError> {
        let look = Look::new(self.clock.as_ref(), self.set.at);
        let waits = self.set.run.is_some() || !self.set.outbox.is_empty();
        match look.jumped_since(&self.looked).filter(|_| waits) {
            Some(by) => {
                self.append_at(look, SetBatch::of(SetEvent::ClockJumped { by })).await?;
                Ok(Some(by))
            }
            None => {
                self.looked = look;
                Ok(None)
            }
        }
    }

    /// Does all that can be done now.
    async fn go_on(&mut self) {
        if let Err(error) = self.note_jump().await {
            tracing::warn!(set = %self.setup.name, %error, "the clock has jumped, and that could not be noted yet");
        }
        if !self.is_configured().await {
            return;
        }
        // Each append may lead to others: as many as there are steps between two waits.
        while self.take_step().await {}
        self.stop_unowed();
    }

    /// Starts what is owed and is not under way, and appends the first note that is due; whether one was appended, so that all is to be judged anew.
    async fn take_step(&mut self) -> bool {
        for effect in self.set.owed() {
            let Some(errand) = Errand::of(&effect) else { continue };
            if self.running.contains_key(&errand) || self.cooling.contains_key(&errand) {
                continue;
            }
            match &effect {
                SetEffect::Draft { .. } => self.start_draft(errand, effect),
                SetEffect::Announce(_) => self.start_announcing(errand, effect),
                _ => {
                    let door = effect.member().and_then(|member| self.doors.get(member));
                    let member = door.map(|door| door.state.borrow().clone());
                    match self.set.step(&effect, member.as_deref()) {
                        Step::Note(event) => match self.append(SetBatch::of(event)).await {
                            Ok(_) => {
                                self.got_somewhere(&errand);
                                return true;
                            }
                            Err(error) => self.cool(errand, &error.to_string()),
                        },
                        Step::Tell(event) => self.start_telling(errand, effect, event),
                        Step::Wait => self.got_somewhere(&errand),
                    }
                }
            }
        }
        false
    }

    /// What is no longer owed is stopped, but not an order on its way: whether it came is for the journals to say.
    fn stop_unowed(&mut self) {
        let owed = self.set.owed();
        self.running.retain(|errand, running| {
            let stays = matches!(errand, Errand::Member(_)) || owed.contains(&running.effect);
            if !stays {
                running.abort.abort();
            }
            stays
        });
        let errands: BTreeSet<_> = owed.iter().filter_map(Errand::of).chain([Errand::Configure]).collect();
        let unowed: Vec<_> =
            self.failures.keys().filter(|errand| !errands.contains(*errand)).cloned().collect();
        unowed.iter().for_each(|errand| self.got_somewhere(errand));
    }

    fn start(
        &mut self,
        errand: Errand,
        effect: SetEffect,
        work: impl Future<Output = Done> + Send + 'static,
    ) {
        let abort = self.tasks.spawn(work);
        self.running.insert(errand, Running { effect, abort });
    }

    fn start_telling(&mut self, errand: Errand, effect: SetEffect, event: Event) {
        let (host, doors, member) = (self.host.clone(), self.doors.clone(), effect.member().cloned());
        self.start(errand, effect, async move {
            match member.and_then(|member| doors.get(&member)) {
                Some(door) => Done::Told(tell::tell(&host, door, event).await),
                None => Done::Told(Err("its member is not there".to_owned())),
            }
        });
    }

    fn start_draft(&mut self, errand: Errand, effect: SetEffect) {
        let (host, doors, set, now) = (self.host.clone(), self.doors.clone(), self.set.clone(), self.now());
        self.start(errand, effect, async move {
            Done::Found(draft::draft(&host, &set, |member| doors.get(&member.service), now).await)
        });
    }

    fn start_announcing(&mut self, errand: Errand, effect: SetEffect) {
        let SetEffect::Announce(outgoing) = effect.clone() else { return };
        let (host, key, now) = (self.host.clone(), self.key(), self.now());
        self.start(errand, effect, async move {
            let announcement = Announcement {
                id: outgoing.id.clone(),
                service: key,
                incident: outgoing.incident,
                severity: outgoing.severity,
                topic: outgoing.topic.as_str().to_owned(),
                text: outgoing.text,
                at: outgoing.at,
            };
            let failures = deliver_to_all(&host, &announcement, outgoing.waits_since, now).await;
            let announced = |failed| SetEvent::Announced(Announced { id: outgoing.id.clone(), failed });
            Done::Found(Some(if failures.is_empty() {
                SetBatch::of(announced(None))
            } else {
                SetBatch::about(BlobKind::Text, failures.join("\n").into_bytes(), |text| {
                    announced(Some(text))
                })
            }))
        });
    }

    async fn finish(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        // A task that was stopped has left its place already, perhaps to another one.
        let of_this = |(_, running): &(&Errand, &Running)| running.abort.id() == id;
        let Some(errand) = self.running.iter().find(of_this).map(|(errand, _)| errand.clone()) else {
            return;
        };
        self.running.remove(&errand);
        let came_to_nothing = match done {
            Ok((_, Done::Told(Ok(())))) => None,
            Ok((_, Done::Told(Err(why)))) => Some(why),
            Ok((_, Done::Found(None))) => Some("it is no longer wanted".to_owned()),
            Ok((_, Done::Found(Some(batch)))) => {
                self.append(batch).await.err().map(|error| error.to_string())
            }
            Err(error) => {
                tracing::error!(set = %self.setup.name, ?errand, %error, "an effect failed in an unforeseen way; it is tried again");
                Some("it failed in an unforeseen way, and the log says more".to_owned())
            }
        };
        match came_to_nothing {
            None => self.got_somewhere(&errand),
            Some(why) => self.cool(errand, &why),
        }
    }

    fn cool(&mut self, errand: Errand, why: &str) {
        let failures = self.failures.entry(errand.clone()).or_default();
        *failures += 1;
        let pause = Millis(COOL_DOWN.0 << (*failures - 1).min(16)).min(PAUSE_MAX);
        tracing::debug!(set = %self.setup.name, ?errand, why, "this came to nothing; it is tried again");
        if *failures >= STUCK_AFTER {
            let text = format!(
                "{errand:?} has come to nothing {failures} times; it is tried again every {pause}: {why}"
            );
            self.host.health.is_stuck(&self.key(), Trouble::Effects, text);
        }
        self.cooling.insert(errand, self.now() + pause);
    }

    fn got_somewhere(&mut self, errand: &Errand) {
        if self.failures.remove(errand).is_some()
            && self.failures.values().all(|failures| *failures < STUCK_AFTER)
        {
            self.host.health.is_well(&self.key(), Trouble::Effects);
        }
    }

    fn deadline(&self) -> Option<UnixMillis> {
        self.set.wakes_at().map(|at| at.max(self.woke_at + WAKE_PAUSE))
    }

    /// Nothing is judged by the time before the configuration in force is on record: until then no deadline is waited for, which may have passed.
    fn next_instant(&self) -> Option<UnixMillis> {
        let deadline = self.deadline().filter(|_| self.unrecorded.is_none());
        deadline.into_iter().chain(self.cooling.values().copied()).min()
    }

    async fn instant_came(&mut self) {
        let now = self.now();
        self.cooling.retain(|_, until| *until > now);
        if self.unrecorded.is_none() && self.deadline().is_some_and(|at| at <= now) {
            self.woke_at = now;
            if let Err(error) = self.append(SetBatch::of(SetEvent::Woke)).await {
                tracing::warn!(set = %self.setup.name, %error, "an instant that was waited for could not be noted; tried again");
                self.woke_at = now + COOL_DOWN;
            }
        }
    }

    /// For someone who waits: nothing is done before the configuration in force is on record.
    async fn append_for(&mut self, batch: SetBatch) -> SetReply {
        if !self.is_configured().await {
            let why =
                "its configuration could not be written yet: free the store's disk, or look into the log";
            return Err(StoreError::Failed(why.to_owned()).into());
        }
        self.append(batch).await
    }

    /// Appends, or says why not: then nothing of it is done. If someone else wrote to the journal, the state is theirs too then.
    async fn append(&mut self, batch: SetBatch) -> SetReply {
        if self.note_jump().await?.is_some() && Self::is_judged_by_the_clock(&batch.event) {
            return Err(SetIllegal::Stale.into());
        }
        let look = Look::new(self.clock.as_ref(), self.set.at);
        let appended = self.append_at(look, batch).await;
        if let Err(SetAppendError::Store(StoreError::Moved { .. })) = &appended {
            self.recover().await;
        }
        appended
    }

    /// A plan that was drafted before a jump would have expired by as much, and a message that is given up would have waited by as much longer than it has.
    fn is_judged_by_the_clock(event: &SetEvent) -> bool {
        match event {
            SetEvent::Drafted(_) | SetEvent::Woke => true,
            SetEvent::Announced(announced) => announced.failed.is_some(),
            _ => false,
        }
    }

    async fn append_at(&mut self, look: Look, batch: SetBatch) -> SetReply {
        let (key, at) = (self.key(), look.wall);
        let next = self.set.apply(at, &batch.event)?;
        let record = Record::write(&key, self.tip, at, &batch.event)
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let tip = record.tip();
        let mut derived = Derived::default();
        self.set.derive(&batch.event, &next, &[], &mut derived);
        let mut append = Append {
            records: vec![record],
            blobs: batch.blobs,
            over: batch.over,
            snapshots: self.snapshots(&next, tip),
            ..Append::default()
        };
        derived.put_into(&mut append);
        let written = self.host.patiently(&key, "a write", self.host.setup.store.append(append)).await;
        if let Err(error) = written
            && !self.host.was_written(&key, tip).await
        {
            if !matches!(error, StoreError::Moved { .. }) {
                self.host.counters.add("ripcord_store_failures_total", None, 1);
                self.host.health.is_stuck(&key, Trouble::Journal, error.to_string());
            }
            return Err(error.into());
        }
        self.host.health.is_well(&key, Trouble::Journal);
        self.tip = tip;
        self.looked = look;
        self.set = Arc::new(next);
        self.publish.send_replace(self.set.clone());
        Ok(self.set.clone())
    }

    /// One from which a run's page is read, one after its end, and one every thousand records.
    fn snapshots(&self, next: &Set, tip: Tip) -> Vec<KeptSnapshot> {
        let id = |set: &Set| set.run.as_ref().map(|run| run.id.as_incident());
        let opened = id(next).filter(|opened| id(&self.set).as_ref() != Some(opened));
        let before = opened.map(|opened| (self.set.as_ref(), self.tip, Some(opened)));
        let ended = self.set.run.is_some() && next.run.is_none();
        let due = self.tip.length / SNAPSHOT_EVERY != tip.length / SNAPSHOT_EVERY;
        let after = (ended || due).then_some((next, tip, None));
        let keep = |(set, tip, opens): (&Set, Tip, _)| match Snapshot::of_set(set, tip) {
            Ok(snapshot) => Some(KeptSnapshot { snapshot, opens }),
            Err(error) => {
                tracing::error!(set = %set.name, %error, "no snapshot: the next start reads more of the journal");
                None
            }
        };
        before.into_iter().chain(after).filter_map(keep).collect()
    }

    /// Reads the journal again: someone else may have written to it.
    async fn recover(&mut self) {
        match recover_set(self.host.setup.store.as_ref(), &self.setup.name).await {
            Ok(recovered) if recovered.tip != self.tip => {
                self.tip = recovered.tip;
                self.set = recovered.state;
                self.clock.not_before(self.set.at);
                self.publish.send_replace(self.set.clone());
                tracing::warn!(set = %self.setup.name, "someone else wrote to the journal: it was read again");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(set = %self.setup.name, %error, "the journal could not be read again")
            }
        }
    }
}
