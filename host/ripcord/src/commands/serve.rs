//! `ripcord serve`: starts the host and runs it until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ripcord_adapters::metrics_scrape::Scraping;
use ripcord_core::time::Millis;
use ripcord_engine::{Engine, StartError};
use ripcord_ports::store::StoreError;
use ripcord_store::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::check::{CheckOptions, Scope, check};
use crate::config::{Config, ConfigError, LoadError, Mistakes};
use crate::descriptors::Descriptors;
use crate::http::{self, App, Bounds, Deadlines, Doors, Reload};
use crate::output::{Color, text};
use crate::telemetry;
use crate::wiring::{self, WireError};

/// Requests in flight have so long to finish.
const REQUESTS_PATIENCE: Duration = Duration::from_secs(10);
/// Shifts in flight have so long to be recorded; one that is cut off is probed at the next start.
const ENGINE_PATIENCE: Millis = Millis::seconds(30);

/// Where a host listens.
#[derive(Debug)]
struct Listener {
    /// As the configuration says it: a port that the system chose is none.
    configured: SocketAddr,
    socket: std::net::TcpListener,
}

impl Listener {
    fn bind(configured: SocketAddr) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::bind(configured)?;
        socket.set_nonblocking(true)?;
        Ok(Self { configured, socket })
    }

    fn again(&self) -> Option<Self> {
        Some(Self { configured: self.configured, socket: self.socket.try_clone().ok()? })
    }
}

/// What `serve` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// The configuration file.
    pub config: PathBuf,
}

/// Why the host did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What it names.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The journals.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address.
    #[error(
        "cannot listen on `{address}`: {source}; stop what listens there, or choose another `listen` below `[host]`"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals of the system.
    #[error("the system's signals cannot be received: {0}")]
    Signals(std::io::Error),
    /// The store did not close.
    #[error("the store did not close well: {0}; it is checked at the next start")]
    Close(StoreError),
}

/// A host that runs.
#[derive(Debug)]
pub struct Running {
    router: Router,
    address: Option<SocketAddr>,
    engine: Engine,
    store: Arc<SqliteStore>,
    stop: watch::Sender<bool>,
    doors: Arc<Doors>,
    /// Stays open while a host makes room for the next: who connects meanwhile waits.
    listener: Option<Listener>,
    serving: JoinSet<()>,
    _scraping: Vec<Scraping>,
}

/// What the doors of a host bear; derived from what the system allows unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bearing {
    /// How many connections there may be.
    pub bounds: Option<Bounds>,
    /// How long peers may take.
    pub deadlines: Deadlines,
}

impl Running {
    /// Starts a host: listens, makes everything that the configuration names, recovers the journals.
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        Self::start_with(config, Bearing::default()).await
    }

    /// The same with doors that bear more or less.
    pub async fn start_with(config: &Config, bearing: Bearing) -> Result<Self, ServeError> {
        Self::start_on(config, bearing, None, None, None).await
    }

    /// The same on a listener that a host before it has left.
    async fn start_on(
        config: &Config,
        bearing: Bearing,
        left: Option<Listener>,
        reload: Option<Reload>,
        trouble: Option<String>,
    ) -> Result<Self, ServeError> {
        let exposed = exposed_without_people(config);
        if let Some(error) = ConfigError::new(config.file.clone(), exposed) {
            return Err(LoadError::Mistakes(Box::new(error)).into());
        }
        let address = config.host.listen;
        // First, so that a second host on the same address ends before it touches anything.
        let listen = |source| ServeError::Listen { address, source };
        let left = match left.filter(|left| left.configured == address) {
            Some(left) => left,
            None => Listener::bind(address).map_err(listen)?,
        };
        let listener = left.socket.try_clone().and_then(TcpListener::from_std).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut running = Self::made(config, bearing, reload, trouble).await?;
        running.listener = Some(left);
        let mut told = running.stop.subscribe();
        let until = async move { drop(told.wait_for(|stop| *stop).await) };
        running.address = Some(address);
        running.serving.spawn(http::server::serve(
            listener,
            running.router.clone(),
            running.doors.clone(),
            until,
            REQUESTS_PATIENCE,
        ));
        Ok(running)
    }

    /// The same without listening: only this process can ask it, through [`Running::router`].
    pub async fn unheard(config: &Config) -> Result<Self, ServeError> {
        Self::made(config, Bearing::default(), None, None).await
    }

    async fn made(
        config: &Config,
        bearing: Bearing,
        reload: Option<Reload>,
        trouble: Option<String>,
    ) -> Result<Self, ServeError> {
        // Before anything is opened.
        let (descriptors, services) = (Descriptors::raise(), config.services.len());
        if let Some((warning, help)) = descriptors.too_few(services) {
            tracing::warn!(help, "{warning}");
        }
        let bounds = bearing.bounds.unwrap_or_else(|| descriptors.bounds(services));
        let wired = wiring::wire(config).await?;
        for warning in &wired.warnings.0 {
            let place = config.file.position(warning.span.start);
            tracing::warn!(line = place.line, help = warning.help, "{}", warning.message);
        }
        let clock = wired.setup.clock.clone();
        let engine = Engine::start(wired.setup).await?;
        let (stop, stopping) = watch::channel(false);
        let doors = Arc::new(Doors::new(bounds, bearing.deadlines, descriptors, wired.sources.keys()));
        let app = App {
            engine: engine.clone(),
            store: wired.store.clone(),
            engine_clock: clock,
            people: wired.people,
            sources: wired.sources,
            rights: wired.rights,
            may_pull_set: wired.may_pull_set,
            stopping,
            doors: doors.clone(),
            reload,
            trouble,
        };
        Ok(Self {
            router: http::router(Arc::new(app)),
            address: None,
            engine,
            store: wired.store,
            stop,
            doors,
            listener: None,
            serving: JoinSet::new(),
            _scraping: wired.scraping,
        })
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// All pages.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The engine inside.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Stops: no new connections, requests in flight finish, then the engine, then the store.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        // Unless it was handed on, nobody listens there any more.
        drop(self.listener.take());
        self.stop.send_replace(true);
        while self.serving.join_next().await.is_some() {}
        self.engine.stop(ENGINE_PATIENCE).await;
        self.store.close().await.map_err(ServeError::Close)
    }
}

/// A host that others can reach, with nobody configured who could stop it.
fn exposed_without_people(config: &Config) -> Mistakes {
    let mut mistakes = Mistakes::default();
    let anyone = config.people.iter().any(|person| person.token.is_some());
    if !config.host.listen.ip().is_loopback() && !anyone {
        mistakes.add(
            config.host.listen_span.clone(),
            format!("`{}` can be reached from outside, and no person has a token", config.host.listen),
            "add `[people.NAME]` with `roles` and `token-file`, or listen on 127.0.0.1",
        );
    }
    mistakes
}

/// Between two tries to start again.
const START_PAUSE_MIN: Duration = Duration::from_secs(1);
const START_PAUSE_MAX: Duration = Duration::from_secs(30);
/// People who wait to be told what a reload came to.
const RELOADS_WAITING: usize = 8;

/// Runs a host until the process is told to stop. Told to read its configuration again, it looks at it first, and goes on as it is where that is wrong.
pub async fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let mut config = Config::load(&options.config)?;
    // Before anything starts, so that a signal during the start is not lost.
    let mut told = Told::new().map_err(ServeError::Signals)?;
    let (reload, mut asked) = mpsc::channel(RELOADS_WAITING);
    let start = async |config: &Config, left, trouble| {
        Running::start_on(config, Bearing::default(), left, Some(reload.clone()), trouble).await
    };
    let mut running = start(&config, None, None).await?;
    let mut counting = JoinSet::new();
    counting.spawn(telemetry::summarise_for_ever());
    say_what_is_protected(&running);
    let why = loop {
        let people = match told.wait(&mut asked).await {
            Wanted::Stop(why) => break why,
            Wanted::Reload(None) => Vec::new(),
            Wanted::Reload(Some(person)) => waiting(person, &mut asked),
        };
        let next = tokio::select! {
            next = read_again(options, &config) => next,
            why = told.stop() => break why,
        };
        let verdict = next.as_ref().map(|_| {
            let file = options.config.display();
            format!("`ripcord check` finds nothing wrong with `{file}`: the host begins anew with it; `ripcord status` shows whether it did")
        });
        match &verdict {
            Ok(_) => tracing::info!("the configuration is read again"),
            Err(why) => tracing::error!(why, "the configuration was not taken up: the host goes on as it is"),
        }
        for person in people {
            // Who went away is told nothing.
            drop(person.send(verdict.clone().map_err(Clone::clone)));
        }
        let Ok((next, place)) = next else { continue };
        let before = running.listener.as_ref().and_then(Listener::again);
        let left = place.or_else(|| running.listener.take());
        running.stop().await?;
        running = match start(&next, left, None).await {
            Ok(running) => {
                config = next;
                running
            }
            // What was checked may be wrong all the same, in what only a start finds.
            Err(error) => {
                tracing::error!(%error, "the host does not start with the new configuration: it goes on with the one before");
                let trouble = format!("the last reload was not taken up: {error}");
                let again = async |pause| {
                    tokio::time::sleep(pause).await;
                    start(&config, before.as_ref().and_then(Listener::again), Some(trouble.clone())).await
                };
                tokio::select! {
                    running = until_it_starts(again) => running,
                    why = told.stop() => {
                        tracing::info!(why, "stopping");
                        return Ok(());
                    }
                }
            }
        };
        say_what_is_protected(&running);
    };
    tracing::info!(why, "stopping");
    running.stop().await?;
    telemetry::summarise();
    tracing::info!("stopped");
    Ok(())
}

fn say_what_is_protected(running: &Running) {
    if let Some(address) = running.address() {
        crate::output::tell(Color::Never, &text!("ripcord listens on http://{}", address));
    }
    for service in running.engine().services() {
        let mode = service.terms.as_ref().map(|terms| terms.mode).unwrap_or_default();
        tracing::info!(service = %service.name, %mode, "protecting");
    }
}

/// The configuration as it is now, if `ripcord check` finds nothing wrong with it and with the files that it names, and the place where it listens if
/// that is another one: it must be free before the old host is stopped.
async fn read_again(options: &ServeOptions, before: &Config) -> Result<(Config, Option<Listener>), String> {
    let looked = CheckOptions { config: options.config.clone(), alert: None, scope: Scope::Files };
    let report = check(&looked).await;
    if report.exit_code() != 0 {
        return Err(format!(
            "the configuration was not taken up, and the host goes on as it is:\n{}",
            report.text().plain()
        ));
    }
    let config = Config::load(&options.config).map_err(|error| error.to_string())?;
    if let Some(error) = ConfigError::new(config.file.clone(), exposed_without_people(&config)) {
        return Err(error.to_string());
    }
    let address = config.host.listen;
    if address == before.host.listen {
        return Ok((config, None));
    }
    let listener =
        Listener::bind(address).map_err(|source| ServeError::Listen { address, source }.to_string())?;
    Ok((config, Some(listener)))
}

type Person = oneshot::Sender<Result<String, String>>;

/// Everyone who waits for a reload now: one is enough for all, and none is made for who has given up.
fn waiting(first: Person, asked: &mut mpsc::Receiver<Person>) -> Vec<Person> {
    let mut people = vec![first];
    while let Ok(person) = asked.try_recv() {
        people.push(person);
    }
    people
}

/// Someone who asks for a reload and still waits for it: a command is obeyed while its caller waits, or never.
async fn still_there(asked: &mut mpsc::Receiver<Person>) -> Option<Person> {
    loop {
        let person = asked.recv().await?;
        if !person.is_closed() {
            return Some(person);
        }
    }
}

/// A host protects nothing while it does not run, so it is tried again and again: what was in its way may go.
async fn until_it_starts(start: impl AsyncFn(Duration) -> Result<Running, ServeError>) -> Running {
    let mut pause = Duration::ZERO;
    loop {
        match start(pause).await {
            Ok(running) => return running,
            Err(error) => {
                pause = (pause * 2).clamp(START_PAUSE_MIN, START_PAUSE_MAX);
                tracing::error!(%error, again_in_s = pause.as_secs(), "nothing is protected: the host does not start");
            }
        }
    }
}

/// What the process is told.
enum Wanted {
    Stop(&'static str),
    /// By a person who waits, or by a signal.
    Reload(Option<Person>),
}

struct Told {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Told {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "terminated",
            _ = self.interrupt.recv() => "interrupted",
        }
    }

    async fn wait(&mut self, asked: &mut mpsc::Receiver<Person>) -> Wanted {
        tokio::select! {
            _ = self.terminate.recv() => Wanted::Stop("terminated"),
            _ = self.interrupt.recv() => Wanted::Stop("interrupted"),
            _ = self.hang_up.recv() => Wanted::Reload(None),
            Some(person) = still_there(asked) => Wanted::Reload(Some(person)),
        }
    }
}
