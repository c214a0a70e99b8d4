//! A small Open Inference Protocol server, which behaves as MLServer does where both answer.
//!
//! Invariants: a request is answered by one version under one decision configuration from start to end; a load or reload that fails changes
//! nothing that is served; a request that carries `ripcord-trial` leaves no trace in metrics, request log or memory.

mod control;
mod decisions;
mod folder;
mod infer;
mod memory;
mod metrics;
mod mode;
mod refusal;
mod repository;
mod request_log;
mod routes;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Error;
use crate::command::{say, warn};
use crate::error::with_causes;
use decisions::Decisions;
use memory::Memory;
use metrics::Metrics;
use mode::ModeSwitch;
use repository::Repository;
use request_log::RequestLog;

/// A request with this header is a trial: it is answered and not counted, logged or remembered.
pub const TRIAL_HEADER: &str = "ripcord-trial";

/// How long requests in flight may take once the server was told to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// `fraud serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The model repository: a folder that holds a folder a model
    #[arg(long, value_name = "DIR")]
    pub models: PathBuf,
    /// The address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// The request log, JSON lines, appended to
    #[arg(long, value_name = "FILE")]
    pub log: PathBuf,
    /// The decision configuration, JSON, read at the start and at `POST /reload`; without one the model's own threshold decides
    #[arg(long, value_name = "FILE")]
    pub decision_config: Option<PathBuf>,
    /// Where `PUT /mode` keeps the mode for the next start; without it every start is in mode `model`
    #[arg(long, value_name = "FILE")]
    pub mode_file: Option<PathBuf>,
    /// Make every inference take this much longer, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub latency_ms: u64,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), Error>>,
}

/// What every handler needs.
#[derive(Debug)]
struct State {
    repository: Repository,
    decisions: Decisions,
    mode: ModeSwitch,
    metrics: Metrics,
    log: RequestLog,
    memory: Memory,
    latency: Duration,
}

/// Serves until SIGTERM or ctrl-c. Prints `listening on http://ADDRESS` once it answers.
///
/// # Errors
/// An address, folder or log that cannot be used.
pub async fn run(args: Args) -> Result<(), Error> {
    let mut server = Server::start(args).await?;
    say(&format!("listening on {}", server.url()));
    tokio::select! {
        () = stop_signal() => server.stop().await,
        ended = &mut server.serving => ended.unwrap_or_else(|panicked| Err(Error::Serve(std::io::Error::other(panicked)))),
    }
}

impl Server {
    /// Loads every model and listens. A model that cannot be loaded is told on standard error and keeps `/v2/health/ready` at 503.
    ///
    /// # Errors
    /// An address, folder, log or decision configuration that cannot be used.
    pub async fn start(args: Args) -> Result<Self, Error> {
        let metrics = Metrics::new().map_err(Error::Metrics)?;
        let decisions =
            Decisions::open(args.decision_config).map_err(|error| Error::Setting(with_causes(&error)))?;
        if let Some(in_force) = decisions.in_force() {
            metrics.configured(&in_force);
        }
        let mode = ModeSwitch::open(args.mode_file)?;
        metrics.decides(mode.mode());
        let (log, log_writer) = RequestLog::open(&args.log).await?;
        let repository = Repository::new(args.models.clone());
        for (model, problem) in repository.load_all().map_err(Error::read(&args.models))? {
            warn(&format!("model `{model}` is not served: {problem}"));
        }
        metrics.serves(|| repository.default_versions());

        let unable = |source| Error::Listen { address: args.listen.clone(), source };
        let listener = TcpListener::bind(&args.listen).await.map_err(unable)?;
        let address = listener.local_addr().map_err(Error::Serve)?;
        let latency = Duration::from_millis(args.latency_ms);
        let state =
            Arc::new(State { repository, decisions, mode, metrics, log, memory: Memory::new(), latency });
        let router = routes::router(Arc::clone(&state));

        let (stop, stopped) = oneshot::channel::<()>();
        let (draining, drained) = oneshot::channel::<()>();
        let stopping = async move {
            // A dropped `Server` stops like one that was told to.
            let _ = stopped.await;
            let _ = draining.send(());
        };
        let serving = tokio::spawn(async move {
            let server = axum::serve(listener, router).with_graceful_shutdown(stopping).into_future();
            let served = tokio::select! {
                served = server => served.map_err(Error::Serve),
                () = after(drained, DRAIN) => Ok(()),
            };
            state.log.close().await;
            let _ = log_writer.await;
            served
        });
        Ok(Self { address, stop: Some(stop), serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections, lets requests in flight end, flushes the request log.
    ///
    /// # Errors
    /// That of a server which had stopped by itself.
    pub async fn stop(mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.serving.await.unwrap_or_else(|panicked| Err(Error::Serve(std::io::Error::other(panicked))))
    }
}

async fn after(event: oneshot::Receiver<()>, pause: Duration) {
    match event.await {
        Ok(()) => tokio::time::sleep(pause).await,
        Err(_) => std::future::pending().await,
    }
}

/// Resolves at SIGTERM or ctrl-c.
fn stop_signal() -> impl Future<Output = ()> {
    async fn ctrl_c() {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    #[cfg(unix)]
    async fn terminate() {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    }
    #[cfg(not(unix))]
    async fn terminate() {
        std::future::pending().await
    }
    async {
        tokio::select! {
            () = ctrl_c() => {}
            () = terminate() => {}
        }
    }
}
