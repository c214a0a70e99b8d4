//! How a command reaches what it is about: the store for reading, a host for acting.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ripcord_adapters::Secret;
use ripcord_core::digest::Digest;
use ripcord_core::name::ServiceName;
use ripcord_core::service::{Phase, Service};
use ripcord_ports::Store as _;
use ripcord_store::SqliteStore;

use super::serve::{Running, ServeError};
use crate::cli::Global;
use crate::client::{Client, ClientError, is_this_machine};
use crate::config::{Config, LoadError};
use crate::output::style::{WARN, paint};
use crate::output::{Color, Exit, Failure, Form, Progress, tell, text};
use crate::wiring::{STORE_FILE, WireError, check_data};

/// A configuration, and the ways to what it describes.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) config: Config,
    token: Option<String>,
    pub(crate) progress: Progress,
    form: Form,
    color: Color,
    warned: AtomicBool,
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
        let config = Config::load(&global.config).map_err(configuration_failure)?;
        let token = match &global.token_file {
            Some(path) => Some(Secret::from_file(path)),
            None => std::env::var_os("RIPCORD_TOKEN").map(|_| Secret::from_env("RIPCORD_TOKEN")),
        };
        let token = token.transpose().map_err(|error| Failure::of(Exit::Usage, error))?;
        let token = token.map(|token| token.expose().to_owned());
        let (form, color) = (global.form(), global.color);
        Ok(Self {
            config,
            token,
            progress: Progress::new(form, color),
            form,
            color,
            warned: AtomicBool::new(false),
        })
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
        check_data(&self.config.host.data).map_err(|open| Failure::of(Exit::Usage, open))?;
        SqliteStore::open_read_only(&path).map_err(|error| Failure::of(Exit::Failed, error))
    }

    /// The store, if there is one.
    pub(crate) fn store_if_any(&self) -> Result<Option<SqliteStore>, Failure> {
        if self.store_path().exists() { self.store().map(Some) } else { Ok(None) }
    }

    /// Which installation the store on this machine is of, if there is one.
    pub(crate) async fn installation(&self) -> Result<Option<Digest>, Failure> {
        let Some(store) = self.store_if_any()? else { return Ok(None) };
        let installation = store.installation().await.map_err(|error| Failure::of(Exit::Failed, error))?;
        Ok(Some(installation))
    }

    /// Who may answer at the host's address. Told once where the token can be read on the way.
    fn remote(&self) -> Result<Client, Failure> {
        let url = &self.config.host.public_url;
        let client = Client::remote(url, self.token.clone())?;
        if client.token_is_exposed() && self.form == Form::Text && !self.warned.swap(true, Ordering::Relaxed)
        {
            tell(
                self.color,
                &text!(
                    "{} your token goes to `{}` unencrypted: put TLS before the host and write `public-url = \"https://…\"`",
                    paint(WARN, "warning:"),
                    url
                ),
            );
        }
        Ok(client)
    }

    /// The running host, if the person has a token and one answers.
    pub(crate) async fn running(&self) -> Option<Client> {
        self.token.as_ref()?;
        let client = self.remote().ok()?;
        client.greet().await.is_ok().then_some(client)
    }

    /// The running host, where the store is not on this machine.
    pub(crate) async fn elsewhere(&self) -> Option<Client> {
        if self.store_path().exists() { None } else { self.running().await }
    }

    /// The running host; if there is none and this is its machine, the engine in this process.
    pub(crate) async fn host(&self) -> Result<Host, Failure> {
        let url = &self.config.host.public_url;
        let client = self.remote()?;
        match client.greet().await {
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
        let url = reqwest::Url::parse(&self.config.host.public_url);
        url.is_ok_and(|url| is_this_machine(&url)) || self.store_path().exists()
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
    match error {
        ServeError::Load(error) => configuration_failure(error),
        ServeError::Wire(WireError::Mistakes(mistakes)) => {
            configuration_failure(LoadError::Mistakes(mistakes))
        }
        error => Failure::of(Exit::Failed, error),
    }
}

fn configuration_failure(error: LoadError) -> Failure {
    let layout = match &error {
        LoadError::Mistakes(mistakes) => Some(mistakes.text()),
        _ => None,
    };
    let failure = Failure::of(Exit::Usage, error);
    match layout {
        Some(text) => failure.laid_out(text),
        None => failure,
    }
}
