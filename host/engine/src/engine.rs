//! A running host: one driver a service, and the doors through which signals and people come in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::event::{Configured, Event};
use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::service::{Illegal, Service};
use ripcord_core::set::Set;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::Millis;
use ripcord_ports::Store;
use ripcord_ports::store::{Accepted, NewSignal, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::ahead::Ahead;
use crate::alert_contents::AlertContents;
use crate::arrivals::Arrivals;
use crate::batch::Batch;
use crate::bounded;
use crate::brought_back::BroughtBack;
use crate::budget::Budget;
use crate::command::{Ask, Command, CommandError, Obeyed};
use crate::counters::{Cells, Counters};
use crate::door::{Door, Doors};
use crate::driver::{Driver, SNAPSHOT_EVERY, Unrecorded};
use crate::fact_values::FactValues;
use crate::fleet::Fleet;
use crate::fold::{Recovered, recover, recover_set};
use crate::fold_error::FoldError;
use crate::health::{DriverHealth, Health, Trouble};
use crate::held_up::{HeldUp, Watches};
use crate::host::Host;
use crate::looks::Looks;
use crate::mailbox::{Inbox, Message};
use crate::obey;
use crate::pace::Onward;
use crate::readiness::{self, LastReadiness, Readiness};
use crate::retention::{self, PruneReport};
use crate::sets::{self, Members, SetCommand, SetDoor, SetDriver, SetInbox, SetMessage, SetObeyed};
use crate::setup::{HostSetup, ServiceSetup, SetSetup};
use crate::staged::StagedArtefacts;
use crate::staging::Staging;
use crate::unread::UnreadSince;

/// Messages that may wait for one driver.
const MAILBOX: usize = 1024;

/// How often a command is tried where another writer appends to the journal at the same time.
const OBEY_TRIES: u32 = 3;

/// A service whose journal cannot be read.
struct SetAside {
    setup: Arc<ServiceSetup>,
    why: String,
}

/// A running host. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    host: Arc<Host>,
    doors: Doors,
    set_aside: Arc<BTreeMap<ServiceName, SetAside>>,
    /// Sets whose journal cannot be read, and why.
    sets_aside: Arc<BTreeMap<SetName, String>>,
    pruning: AbortHandle,
    drivers: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("services", &self.doors.services.keys()).finish_non_exhaustive()
    }
}

/// Why a host did not start. Nothing was lost.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A journal cannot be recovered.
    #[error("`{service}` cannot be recovered")]
    Fold {
        /// Which service.
        service: ServiceName,
        /// Why.
        source: FoldError,
    },
    /// The configuration has no canonical form.
    #[error("the configuration of `{service}` cannot be recorded")]
    Configuration {
        /// Which service.
        service: ServiceName,
        /// Why.
        source: canonical::EncodeError,
    },
    /// The folder for artefacts cannot be emptied.
    #[error("the staging folder cannot be emptied; check its rights")]
    Staging(#[source] std::io::Error),
}

impl Engine {
    /// Recovers every journal, records the configuration where it changed, and starts one driver a service.
    pub async fn start(mut setup: HostSetup) -> Result<Self, StartError> {
        let wall = setup.clock;
        setup.clock = Arc::new(Onward::new(wall.clone()));
        bounded::host_ports(&mut setup);
        for service in &mut setup.services {
            service.ports =
                bounded::service_ports(service.ports.clone(), &setup.clock, service.terms.deadlines);
        }
        let staging = Staging::new(setup.staging.clone(), setup.blocking);
        // What was staged before a restart is fetched and checked again.
        staging.empty().await.map_err(StartError::Staging)?;
        let installation = setup.store.installation().await?;
        let services: Vec<_> = std::mem::take(&mut setup.services).into_iter().map(Arc::new).collect();
        let sets = std::mem::take(&mut setup.sets);
        let placed = services.iter().flat_map(|service| &service.policies);
        let components = placed.map(|placed| placed.policy.reference().digest).collect();
        let host = Arc::new(Host {
            setup,
            components,
            wall,
            installation,
            budget: Budget::default(),
            counters: Cells::default(),
            staged: StagedArtefacts::default(),
            staging,
            arrivals: Arrivals::default(),
            ahead: Ahead::default(),
            alert_contents: AlertContents::default(),
            fact_values: FactValues::default(),
            watches: Watches::default(),
            health: Health::default(),
            unread: UnreadSince::default(),
            looks: Looks::default(),
            readiness: LastReadiness::default(),
            readiness_looks: Looks::default(),
            brought_back: BroughtBack::default(),
            fleet: Fleet::default(),
            clock_trust: Mutex::default(),
        });
        let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
        let mut doors = BTreeMap::new();
        let mut drivers = JoinSet::new();
        let mut inboxes = Vec::new();
        let mut set_aside = BTreeMap::new();
        let recovered = recovered_all(&host, &names).await;
        let last = recovered.iter().flatten().filter(|one| one.tip.length > 0).map(|one| one.state.at).max();
        retention::hold_clock_against(&host, last).await;
        for (service, recovered) in services.into_iter().zip(recovered) {
            let recovered = match recovered {
                Ok(recovered) => recovered,
                Err(error) if error.is_of_this_journal() => {
                    // One journal that cannot be read must not leave all others unprotected.
                    let why = format!("its journal is set aside, so it is not protected: {error}");
                    tracing::error!(service = %service.name, %error, "its journal is set aside: the service is not protected, the others are");
                    host.health.is_stuck(&service.name, Trouble::Journal, why.clone());
                    set_aside.insert(service.name.clone(), SetAside { setup: service, why });
                    continue;
                }
                Err(source) => return Err(StartError::Fold { service: service.name.clone(), source }),
            };
            keep_snapshot(&host, &recovered).await;
            let state = recovered.state.clone();
            host.settle(&state);
            let configured = configured(&host, &service, &state)?;
            let (publish, watcher) = watch::channel(state.clone());
            let (mailbox, inbox) = mpsc::channel(MAILBOX);
            let bell = Arc::new(Notify::new());
            let driver =
                Driver::new(host.clone(), service.clone(), state, recovered.tip, publish, mailbox.clone());
            inboxes.push((driver, Inbox { messages: inbox, bell: bell.clone() }, configured));
            doors.insert(service.name.clone(), Door { setup: service, mailbox, bell, state: watcher });
        }
        let protected = doors.values().map(|door: &Door| (door.setup.clone(), Some(door.state.clone())));
        let unprotected = set_aside.values().map(|aside: &SetAside| (aside.setup.clone(), None));
        host.fleet.assemble(protected.chain(unprotected), host.setup.clock.clone());
        // All journals are recovered before any driver acts: the host's budget must be whole.
        let mut first_tries = Vec::new();
        for (driver, inbox, configured) in inboxes {
            let unrecorded = configured.map(|configured| {
                let (first_tried, tried) = oneshot::channel();
                first_tries.push(tried);
                Unrecorded { configured, first_tried }
            });
            drivers.spawn(driver.run(unrecorded, inbox));
        }
        // A store that takes no writes is a state and no end: then the drivers are stuck, say so, and start nothing until it does. All try side by
        // side, so they share a few flushes.
        for tried in first_tries {
            drop(tried.await);
        }
        let services = Arc::new(doors);
        let (sets, sets_aside) = start_sets(&host, sets, &services, &mut drivers).await?;
        let doors = Doors { services, sets: Arc::new(sets) };
        let unreadable = unreadable(&set_aside, &sets_aside);
        let pruning = drivers.spawn(retention::prune_now_and_then(host.clone(), doors.clone(), unreadable));
        Ok(Self {
            host,
            doors,
            set_aside: Arc::new(set_aside),
            sets_aside: Arc::new(sets_aside),
            pruning,
            drivers: Arc::new(tokio::sync::Mutex::new(drivers)),
        })
    }

    /// Takes signals in: they are on disk when this returns. Then the services look at them.
    pub async fn take_signals(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError> {
        let mut services: Vec<_> = signals.iter().filter_map(|signal| signal.service.clone()).collect();
        let arrived_us = self.host.setup.clock.steady_us();
        let accepted = self.host.setup.store.accept(signals).await?;
        let new = accepted.iter().filter(|accepted| matches!(accepted, Accepted::Stored(_))).count();
        self.host.counters.add("ripcord_signals_accepted_total", None, new as u64);
        self.host.counters.add("ripcord_signals_repeated_total", None, (accepted.len() - new) as u64);
        services.sort();
        services.dedup();
        for service in services.iter().filter(|service| self.doors.services.contains_key(*service)) {
            self.host.arrivals.note(service, arrived_us);
        }
        for door in services.iter().filter_map(|service| self.doors.services.get(service)) {
            door.bell.notify_one();
        }
        Ok(accepted)
    }

    /// Does what a person asks, or says why not.
    pub async fn command(&self, service: &ServiceName, command: Command) -> Result<Obeyed, CommandError> {
        let door = self.door(service)?;
        if matches!(command.ask, Ask::Pull { .. }) {
            self.host.arrivals.note(service, self.host.setup.clock.steady_us());
        }
        for _ in 1..OBEY_TRIES {
            let state = door.state.borrow().clone();
            match obey::obey(&door.setup, &state, &door.mailbox, &door.state, command.clone()).await {
                // The driver knows the journal as it is by now: what was asked is judged anew.
                Err(CommandError::Store(StoreError::Moved { .. })) => {}
                // A pull that names no incident joins the one that has opened meanwhile.
                Err(CommandError::Illegal(Illegal::OtherIncident { .. } | Illegal::NotOpen(_)))
                    if command.incident.is_none() && matches!(command.ask, Ask::Pull { .. }) => {}
                answer => return answer,
            }
        }
        let state = door.state.borrow().clone();
        obey::obey(&door.setup, &state, &door.mailbox, &door.state, command).await
    }

    /// The same of a set.
    pub async fn command_set(&self, set: &SetName, command: SetCommand) -> Result<SetObeyed, CommandError> {
        let unknown = || match self.sets_aside.get(set) {
            Some(why) => CommandError::SetAside(set.journal(), why.clone()),
            None => CommandError::UnknownSet(set.to_string()),
        };
        let door = self.doors.sets.get(set).ok_or_else(unknown)?;
        for _ in 1..OBEY_TRIES {
            match sets::obey(door, self, command.clone()).await {
                // The driver knows the journal as it is by now: what was asked is judged anew.
                Err(CommandError::Store(StoreError::Moved { .. })) => {}
                answer => return answer,
            }
        }
        sets::obey(door, self, command).await
    }

    /// All sets' states, by name.
    pub fn sets(&self) -> Vec<Arc<Set>> {
        self.doors.sets.values().map(|door| door.state.borrow().clone()).collect()
    }

    /// A set's state, and its changes.
    pub fn watch_set(&self, set: &SetName) -> Option<watch::Receiver<Arc<Set>>> {
        self.doors.sets.get(set).map(|door| door.state.clone())
    }

    /// What a set is made of.
    pub fn set_setup(&self, set: &SetName) -> Option<&SetSetup> {
        self.doors.sets.get(set).map(|door| door.setup.as_ref())
    }

    /// Sets whose journal cannot be read, and why: nothing moves them until it can.
    pub fn sets_aside(&self) -> impl Iterator<Item = (&SetName, &str)> {
        self.sets_aside.iter().map(|(set, why)| (set, why.as_str()))
    }

    /// The service's state, and its changes.
    pub fn watch(&self, service: &ServiceName) -> Option<watch::Receiver<Arc<Service>>> {
        self.doors.services.get(service).map(|door| door.state.clone())
    }

    /// All states, by name.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.doors.services.values().map(|door| door.state.borrow().clone()).collect()
    }

    /// The names of all services, those that are set aside included.
    pub fn all(&self) -> impl Iterator<Item = &ServiceName> {
        let mut names: Vec<_> = self.doors.services.keys().chain(self.set_aside.keys()).collect();
        names.sort();
        names.into_iter()
    }

    /// Services whose journal cannot be read, and why: they are not protected until it can. What comes in for them is kept.
    pub fn set_aside(&self) -> impl Iterator<Item = (&ServiceName, &str)> {
        self.set_aside.iter().map(|(service, aside)| (service, aside.why.as_str()))
    }

    /// The services as they see each other.
    pub fn fleet(&self) -> &Fleet {
        &self.host.fleet
    }

    /// What outlives the process.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.host.setup.store
    }

    /// What a service is made of.
    pub fn setup(&self, service: &ServiceName) -> Option<&ServiceSetup> {
        let aside = || self.set_aside.get(service).map(|aside| aside.setup.as_ref());
        self.doors.services.get(service).map(|door| door.setup.as_ref()).or_else(aside)
    }

    /// How each driver of a service fares.
    pub fn health(&self) -> Vec<DriverHealth> {
        self.host.health.of(self.all())
    }

    /// How each driver of a set fares, under the key of its journal.
    pub fn health_of_sets(&self) -> Vec<DriverHealth> {
        let keys: Vec<_> =
            self.doors.sets.keys().chain(self.sets_aside.keys()).map(SetName::journal).collect();
        self.host.health.of(keys.iter())
    }

    /// Looks whether a rollback of the service could be made right now; none for one that is not here, or whose journal is set aside.
    pub async fn readiness(&self, service: &ServiceName) -> Option<Readiness> {
        let door = self.doors.services.get(service)?;
        let state = door.state.borrow().clone();
        Some(readiness::look(&self.host, &door.setup, &state).await.readiness)
    }

    /// What the last look came to, whoever looked.
    pub fn last_readiness(&self, service: &ServiceName) -> Option<Readiness> {
        self.host.readiness.of(service)
    }

    /// Erases what is older than it is kept for, now.
    pub async fn prune(&self) -> PruneReport {
        let unreadable = unreadable(&self.set_aside, &self.sets_aside);
        let mut report = retention::prune_all(&self.host, &self.doors, &unreadable).await;
        report.failed.extend(self.set_aside().map(|(name, why)| format!("all of `{name}`: {why}")));
        let sets = self.sets_aside().map(|(name, why)| format!("all of `{}`: {why}", name.journal()));
        report.failed.extend(sets);
        report
    }

    /// What a service waits for that does not answer.
    pub fn held_up(&self, service: &Service) -> Vec<HeldUp> {
        self.host.watches.held_up(service)
    }

    /// For the metrics page.
    pub fn counters(&self) -> Counters {
        self.host.counters.read()
    }

    /// Lets shifts in flight end and be recorded, at most for `patience`, then stops. Nothing acknowledged is lost:
    /// what is cut off is taken up at the next start.
    pub async fn stop(&self, patience: Millis) {
        self.pruning.abort();
        for door in self.doors.sets.values() {
            drop(door.mailbox.send(SetMessage::Stop).await);
        }
        for door in self.doors.services.values() {
            drop(door.mailbox.send(Message::Stop).await);
        }
        let mut drivers = self.drivers.lock().await;
        let all = async { while drivers.join_next().await.is_some() {} };
        if tokio::time::timeout(std::time::Duration::from_millis(patience.0), all).await.is_err() {
            tracing::warn!("stopped while a shift was in flight; it is probed at the next start");
        }
        drivers.shutdown().await;
    }
}

impl Members for Engine {
    fn door(&self, service: &ServiceName) -> Result<&Door, CommandError> {
        let unknown = || match self.set_aside.get(service) {
            Some(aside) => CommandError::SetAside(service.clone(), aside.why.clone()),
            None => CommandError::UnknownService(service.to_string()),
        };
        self.doors.services.get(service).ok_or_else(unknown)
    }
}

/// The keys of journals that cannot be read.
fn unreadable(
    services: &BTreeMap<ServiceName, SetAside>,
    sets: &BTreeMap<SetName, String>,
) -> BTreeSet<ServiceName> {
    services.keys().cloned().chain(sets.keys().map(SetName::journal)).collect()
}

type SetsStarted = (BTreeMap<SetName, SetDoor>, BTreeMap<SetName, String>);

/// Recovers every set's journal and starts one driver a set.
async fn start_sets(
    host: &Arc<Host>,
    sets: Vec<SetSetup>,
    doors: &Arc<BTreeMap<ServiceName, Door>>,
    drivers: &mut JoinSet<()>,
) -> Result<SetsStarted, StartError> {
    let (mut started, mut aside) = SetsStarted::default();
    for setup in sets.into_iter().map(Arc::new) {
        let Recovered { state, tip, .. } = match recover_set(host.setup.store.as_ref(), &setup.name).await {
            Ok(recovered) => recovered,
            Err(error) if error.is_of_this_journal() => {
                // One journal that cannot be read must not leave all services unprotected.
                let why = format!("its journal is set aside, so nothing moves it: {error}");
                tracing::error!(set = %setup.name, %error, "its journal is set aside: the set cannot be moved, its members can");
                host.health.is_stuck(&setup.name.journal(), Trouble::Journal, why.clone());
                aside.insert(setup.name.clone(), why);
                continue;
            }
            Err(source) => return Err(StartError::Fold { service: setup.name.journal(), source }),
        };
        let (publish, watcher) = watch::channel(state.clone());
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        let driver = SetDriver::new(host.clone(), setup.clone(), doors.clone(), (state, tip), publish);
        drivers.spawn(driver.run(SetInbox { messages, bell: Arc::new(Notify::new()) }));
        started.insert(setup.name.clone(), SetDoor { setup, mailbox, state: watcher });
    }
    Ok((started, aside))
}

/// Journals that are read at a time: the store has a few readers, and each waits for the disk.
const RECOVERED_AT_ONCE: usize = 8;

/// The state of each service, in the order of `names`.
async fn recovered_all(host: &Host, names: &[ServiceName]) -> Vec<Result<Recovered, FoldError>> {
    let store = host.setup.store.as_ref();
    let each = names.iter().map(|name| recover(store, name));
    futures_util::stream::iter(each).buffered(RECOVERED_AT_ONCE).collect().await
}

/// Makes the snapshot anew where the last one did not fit, or was long ago.
async fn keep_snapshot(host: &Host, recovered: &Recovered) {
    if !recovered.dropped && recovered.read < SNAPSHOT_EVERY {
        return;
    }
    let (service, tip) = (&recovered.state, recovered.tip);
    let kept = match Snapshot::of(service, tip) {
        Ok(snapshot) => host.setup.store.keep_snapshot(snapshot).await,
        Err(error) => Err(StoreError::Failed(error.to_string())),
    };
    if let Err(error) = kept {
        tracing::warn!(service = %service.name, %error, "no snapshot could be kept: the next start reads as much again");
    }
}

/// The event that records the configuration, if it differs from the one on record.
fn configured(host: &Host, setup: &ServiceSetup, state: &Service) -> Result<Option<Batch>, StartError> {
    let failed = |source| StartError::Configuration { service: setup.name.clone(), source };
    let everything = (&setup.configuration, &setup.terms, &host.setup.host_version);
    let digest = canonical::json_digest("ripcord configuration 1", &everything).map_err(failed)?;
    if state.configuration == Some(digest) {
        return Ok(None);
    }
    let mut batch = Batch::default();
    let configuration = batch.blob(BlobKind::Configuration, setup.configuration.clone().into_bytes());
    let event = Configured {
        terms: setup.terms.clone(),
        configuration,
        digest,
        host_version: host.setup.host_version.clone(),
    };
    Ok(Some(batch.with(Event::Configured(event))))
}
