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
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError, LoadError, Mistakes};
use crate::descriptors::Descriptors;
use crate::http::{self, App, Bounds, Deadlines, Doors};
use crate::output::{Color, text};
use crate::telemetry;
use crate::wiring::{self, WireError};

/// Requests in flight have so long to finish.
const REQUESTS_PATIENCE: Duration = Duration::from_secs(10);
/// Shifts in flight have so long to be recorded; one that is cut off is probed at the next start.
const ENGINE_PATIENCE: Millis = Millis::seconds(30);

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
        let exposed = exposed_without_people(config);
        if let Some(error) = ConfigError::new(config.file.clone(), exposed) {
            return Err(LoadError::Mistakes(Box::new(error)).into());
        }
        let address = config.host.listen;
        // First, so that a second host on the same address ends before it touches anything.
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut running = Self::made(config, bearing).await?;
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
        Self::made(config, Bearing::default()).await
    }

    async fn made(config: &Config, bearing: Bearing) -> Result<Self, ServeError> {
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
            may_pull: wired.may_pull,
            stopping,
            doors: doors.clone(),
        };
        Ok(Self {
            router: http::router(Arc::new(app)),
            address: None,
            engine,
            store: wired.store,
            stop,
            doors,
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

/// Runs a host until the process is told to stop.
pub async fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let config = Config::load(&options.config)?;
    // Before anything starts, so that a signal during the start is not lost.
    let told = Told::new().map_err(ServeError::Signals)?;
    let running = Running::start(&config).await?;
    let mut counting = JoinSet::new();
    counting.spawn(telemetry::summarise_for_ever());
    if let Some(address) = running.address() {
        crate::output::tell(Color::Never, &text!("ripcord listens on http://{}", address));
    }
    for service in running.engine().services() {
        let mode = service.terms.as_ref().map(|terms| terms.mode).unwrap_or_default();
        tracing::info!(service = %service.name, %mode, "protecting");
    }
    let why = told.wait().await;
    tracing::info!(why, "stopping");
    running.stop().await?;
    telemetry::summarise();
    tracing::info!("stopped");
    Ok(())
}

struct Told {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Told {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "terminated",
            _ = self.interrupt.recv() => "interrupted",
        }
    }
}
