//! How a command reaches what it is about: the store for reading, a host for acting.

use std::path::PathBuf;

use ripcord_adapters::Secret;
use ripcord_core::name::ServiceName;
use ripcord_core::service::{Phase, Service};
use ripcord_store::SqliteStore;
use serde_json::Value;

use super::serve::{Running, ServeError};
use crate::cli::Global;
use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::output::{Exit, Failure, Progress};
use crate::wiring::{STORE_FILE, WireError};

/// A configuration, and the ways to what it describes.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) config: Config,
    token: Option<String>,
    pub(crate) progress: Progress,
}

/// A host that takes orders.
#[derive(Debug)]
pub(crate) struct Host {
    client: Client,
    /// The engine in this process, for one command.
    local: Option<Running>,
}

impl Reach {
    /// Reads the configuration and the person's token.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let config = Config::load(&global.config).map_err(|error| Failure::of(Exit::Usage, error))?;
        let token = match &global.token_file {
            Some(path) => Some(Secret::from_file(path)),
            None => std::env::var_os("RIPCORD_TOKEN").map(|_| Secret::from_env("RIPCORD_TOKEN")),
        };
        let token = token.transpose().map_err(|error| Failure::of(Exit::Usage, error))?;
        let token = token.map(|token| token.expose().to_owned());
        Ok(Self { config, token, progress: Progress::new(global.form(), global.color) })
    }

    fn store_path(&self) -> PathBuf {
        self.config.host.data.join(STORE_FILE)
    }

    /// The store, for reading beside a host that may run.
    pub(crate) fn store(&self) -> Result<SqliteStore, Failure> {
        let path = self.store_path();
        if !path.exists() {
            return Err(Failure::usage(format!("there is no store at `{}`", path.display()))
                .help("`ripcord serve` or `ripcord pull` makes one; check `data` below `[host]`"));
        }
        SqliteStore::open_read_only(&path).map_err(|error| Failure::of(Exit::Failed, error))
    }

    /// The running host, if the person has a token and one answers.
    pub(crate) async fn running(&self) -> Option<Client> {
        let client = Client::remote(&self.config.host.public_url, Some(self.token.clone()?)).ok()?;
        client.get::<Value>("services").await.is_ok().then_some(client)
    }

    /// The running host, where the store is not on this machine.
    pub(crate) async fn elsewhere(&self) -> Option<Client> {
        if self.store_path().exists() { None } else { self.running().await }
    }

    /// The running host; if there is none and this is its machine, the engine in this process.
    pub(crate) async fn host(&self) -> Result<Host, Failure> {
        let url = &self.config.host.public_url;
        let client = Client::remote(url, self.token.clone())?;
        match client.get::<Value>("services").await {
            Err(error @ ClientError::Unreachable { .. }) if !self.is_its_machine() => Err(error.into()),
            Err(ClientError::Unreachable { .. }) => {
                self.progress
                    .say(format!("no host answers at {url}; running the engine here for this command"));
                self.local().await
            }
            // Whether the person may do what they ask is told by what they ask.
            _ => Ok(Host { client, local: None }),
        }
    }

    /// A store here, or an address here, means that no other machine's host is meant.
    fn is_its_machine(&self) -> bool {
        let loopback =
            reqwest::Url::parse(&self.config.host.public_url).is_ok_and(|url| match url.host_str() {
                Some("localhost") => true,
                Some(host) => {
                    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                    address.is_ok_and(|address| address.is_loopback())
                }
                None => false,
            });
        loopback || self.store_path().exists()
    }

    async fn local(&self) -> Result<Host, Failure> {
        let running = Running::unheard(&self.config).await.map_err(host_failure)?;
        let client = Client::local(running.router().clone(), self.token.clone());
        Ok(Host { client, local: Some(running) })
    }
}

impl Host {
    /// To ask it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the engine of this process, if there is one, once it has done what it can for the service that the command was about.
    pub(crate) async fn leave(self, about: Option<&ServiceName>, progress: &Progress) -> Result<(), Failure> {
        let Some(running) = self.local else { return Ok(()) };
        if let Some(mut watch) = about.and_then(|service| running.engine().watch(service)) {
            let mut told = "";
            loop {
                let state = watch.borrow_and_update().clone();
                let Some(phase) = state.incident.as_ref().filter(|_| can_go_on(&state)) else { break };
                if phase.phase_name() != told {
                    told = phase.phase_name();
                    progress.say(told);
                }
                if watch.changed().await.is_err() {
                    break;
                }
            }
        }
        running.stop().await.map_err(host_failure)
    }
}

/// Whether the open incident has a next step that waits for nobody.
fn can_go_on(service: &Service) -> bool {
    let Some(incident) = &service.incident else { return false };
    match &incident.phase {
        _ if service.paused_by.is_some() => false,
        Phase::NeedsPerson(_) | Phase::Settled(_) => false,
        // Policies that have not seen the last vote are about to be asked.
        Phase::Authorising(_) => service.unseen_ballot().is_some(),
        Phase::Preserving | Phase::Planning(_) | Phase::Acting(_) => true,
    }
}

/// A host that did not start; mistakes of the configuration are the reader's to mend.
pub(super) fn host_failure(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::Load(_) | ServeError::Wire(WireError::Mistakes(_)) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::of(exit, error)
}
