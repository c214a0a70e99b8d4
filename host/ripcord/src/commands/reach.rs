//! How a command reaches what it is about: the store for reading, a host for acting.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::name::{PersonName, ServiceName, SetName};
use ripcord_core::service::{Phase, Service};
use ripcord_core::set::{SetPhase, SetRun};
use ripcord_engine::Engine;
use ripcord_ports::Store as _;
use ripcord_store::SqliteStore;

use super::serve::{Running, ServeError};
use crate::cli::Global;
use crate::client::contexts::{Context, Contexts};
use crate::client::{Client, ClientError, is_this_machine};
use crate::config::{Config, LoadError};
use crate::http::wire::sets::{Members, needs_of_part};
use crate::output::style::{WARN, paint};
use crate::output::{Color, Exit, Failure, Form, Progress, tell, text};
use crate::wiring::{STORE_FILE, WireError, check_data};

/// Between two looks at the members of a set.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The ways to what a command is about.
#[derive(Debug)]
pub(crate) struct Reach {
    place: Place,
    token: Option<String>,
    pub(crate) progress: Progress,
    form: Form,
    color: Color,
    warned: AtomicBool,
}

/// Where what a command is about lies.
#[derive(Debug)]
enum Place {
    /// A configuration here describes it.
    Here(Box<Config>),
    /// A host that is known by its address alone.
    Far(Far),
}

/// A host elsewhere.
#[derive(Debug)]
struct Far {
    url: String,
    /// Who the person is there, and which installation it was when they logged in.
    login: Option<(PersonName, Digest)>,
}

impl Far {
    fn of(context: &Context) -> Self {
        Self { url: context.host.clone(), login: Some((context.person.clone(), context.installation)) }
    }
}

impl Place {
    /// What was named: an address, a context, a configuration. Else the configuration in this folder, else the current context.
    fn find(global: &Global) -> Result<(Self, Option<String>), Failure> {
        let far = |context: &Context| (Self::Far(Far::of(context)), Some(context.token().to_owned()));
        if let Some(url) = &global.host {
            let contexts = Contexts::load()?;
            return Ok(match contexts.at(url) {
                Some(context) => far(context),
                None => (Self::Far(Far { url: url.clone(), login: None }), None),
            });
        }
        if let Some(name) = &global.context {
            return Contexts::load()?.named(name).map(far);
        }
        if global.config.is_none()
            && !global.config_file().exists()
            && let Some(context) = Contexts::load()?.current()?
        {
            return Ok(far(context));
        }
        let config = Config::load(global.config_file()).map_err(configuration_failure)?;
        Ok((Self::Here(Box::new(config)), None))
    }
}

/// A host that takes orders.
#[derive(Debug)]
pub(crate) struct Host {
    client: Client,
    /// The engine in this process, for one command.
    local: Option<Running>,
}

impl Reach {
    /// Reads the configuration or the context, and the person's token.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let (place, own) = Place::find(global)?;
        // The variable may be for another host than the one that the person logged in at; a file that is named is meant.
        let token = match own {
            Some(own) if global.token_file.is_none() => Some(own),
            _ => global.token()?.map(|token| token.expose().to_owned()),
        };
        let (form, color) = (global.form(), global.color);
        Ok(Self {
            place,
            token,
            progress: Progress::new(form, color),
            form,
            color,
            warned: AtomicBool::new(false),
        })
    }

    /// The configuration.
    ///
    /// # Errors
    /// The command is about a host elsewhere, and needs what lies beside that host.
    pub(crate) fn here(&self) -> Result<&Config, Failure> {
        match &self.place {
            Place::Here(config) => Ok(config),
            Place::Far(far) => {
                let what =
                    format!("this reads files of the host at `{}`, which are not on this machine", far.url);
                Err(Failure::usage(what).help("run it on the host's machine, with its configuration"))
            }
        }
    }

    /// Who the person is at a host elsewhere, as they logged in.
    pub(crate) fn logged_in_as(&self) -> Option<&PersonName> {
        match &self.place {
            Place::Here(_) => None,
            Place::Far(far) => far.login.as_ref().map(|(person, _)| person),
        }
    }

    pub(crate) fn store_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.here()?.host.data.join(STORE_FILE))
    }

    /// The store; none where no host was ever started here. One that was here and is gone is a failure.
    pub(crate) fn store_if_any(&self) -> Result<Option<SqliteStore>, Failure> {
        let path = self.store_path()?;
        if !path.exists() && !ripcord_store::was_here(&path) {
            return Ok(None);
        }
        self.store().map(Some)
    }

    /// The store, for reading beside a host that may run.
    pub(crate) fn store(&self) -> Result<SqliteStore, Failure> {
        let path = self.store_path()?;
        if !path.exists() && !ripcord_store::was_here(&path) {
            return Err(Failure::usage(format!("there is no store at `{}`", path.display()))
                .help("`ripcord serve` makes one; check `data` below `[host]`"));
        }
        check_data(&self.here()?.host.data).map_err(|open| Failure::of(Exit::Usage, open))?;
        SqliteStore::open_read_only(&path).map_err(|error| Failure::of(Exit::Failed, error))
    }

    /// Which installation is meant: that of the store on this machine, or the one that the person logged in at.
    pub(crate) async fn installation(&self) -> Result<Option<Digest>, Failure> {
        if let Place::Far(far) = &self.place {
            return Ok(far.login.as_ref().map(|(_, installation)| *installation));
        }
        let Some(store) = self.store_if_any()? else { return Ok(None) };
        let installation = store.installation().await.map_err(|error| Failure::of(Exit::Failed, error))?;
        Ok(Some(installation))
    }

    /// Who may answer at the host's address. Told once where the token can be read on the way.
    fn remote(&self) -> Result<Client, Failure> {
        let url = self.url();
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

    /// The host's address.
    fn url(&self) -> &str {
        match &self.place {
            Place::Here(config) => &config.host.public_url,
            Place::Far(far) => &far.url,
        }
    }

    /// The host, where it is known by its address alone.
    pub(crate) fn far(&self) -> Result<Option<Client>, Failure> {
        match &self.place {
            Place::Here(_) => Ok(None),
            Place::Far(_) => self.remote().map(Some),
        }
    }

    /// The host to read from, where the store is not on this machine.
    pub(crate) async fn elsewhere(&self) -> Result<Option<Client>, Failure> {
        match &self.place {
            Place::Far(_) => self.far(),
            Place::Here(_) if self.store_path()?.exists() => Ok(None),
            Place::Here(_) => Ok(self.running().await),
        }
    }

    /// The running host; else why nobody knows whether the services are protected, for people.
    pub(crate) async fn answering(&self) -> Result<Client, String> {
        let url = self.url();
        let seen = "what follows is what the store on this machine says";
        let client = self.remote().map_err(|failure| failure.to_string())?;
        match client.greet().await {
            Ok(()) => Ok(client),
            Err(ClientError::Unreachable { .. }) => Err(format!(
                "no host answers at {url}, so nothing is protected: `ripcord serve` starts one; {seen}"
            )),
            Err(ClientError::Refused(problem)) if problem.status == 401 && !client.has_token() => {
                Err(format!(
                    "a host answers at {url}, and whether it is well is told only to people with a token: set RIPCORD_TOKEN or give --token-file; {seen}"
                ))
            }
            Err(ClientError::Refused(problem)) if problem.status == 401 => Err(format!(
                "the host at {url} does not know your token, so whether it is well is not known; {seen}"
            )),
            Err(error) => Err(format!("whether anything is protected is not known: {error}; {seen}")),
        }
    }

    /// The running host; if there is none and this is its machine, the engine in this process.
    pub(crate) async fn host(&self) -> Result<Host, Failure> {
        let client = self.remote()?;
        match (client.greet().await, &self.place) {
            (Err(ClientError::Unreachable { .. }), Place::Here(config)) if is_its_machine(config) => {
                let url = &config.host.public_url;
                self.progress
                    .say(format!("no host answers at {url}; running the engine here for this command"));
                self.local(config).await
            }
            (Err(error @ ClientError::Unreachable { .. }), _) => Err(error.into()),
            // Whether the person may do what they ask is told by what they ask.
            _ => Ok(Host { client, local: None }),
        }
    }

    async fn local(&self, config: &Config) -> Result<Host, Failure> {
        let running = Running::unheard(config).await.map_err(host_failure)?;
        let client = Client::local(running.router().clone(), self.token.clone());
        Ok(Host { client, local: Some(running) })
    }
}

/// A store here, or an address here, means that no other machine's host is meant.
fn is_its_machine(config: &Config) -> bool {
    let url = reqwest::Url::parse(&config.host.public_url);
    url.is_ok_and(|url| is_this_machine(&url)) || config.host.data.join(STORE_FILE).exists()
}

impl Host {
    /// To ask it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the engine of this process, if there is one, once it has done what it can for the service that the command was about.
    pub(crate) async fn leave(self, about: Option<&ServiceName>, progress: &Progress) -> Result<(), Failure> {
        let Some(running) = self.local else { return Ok(()) };
        if let Some(set) = about.and_then(|service| set_of(running.engine(), service)) {
            follow_set(running.engine(), &set, progress).await;
        } else if let Some(mut watch) = about.and_then(|service| running.engine().watch(service)) {
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

/// The set that a service is the journal of, or that has enlisted it.
fn set_of(engine: &Engine, service: &ServiceName) -> Option<SetName> {
    let by = || engine.watch(service)?.borrow().enlisted_by()?.run.set();
    service.as_set().or_else(by)
}

/// Lets a run go on until it has ended or waits for people.
async fn follow_set(engine: &Engine, set: &SetName, progress: &Progress) {
    let Some(mut watch) = engine.watch_set(set) else { return };
    let members: &Members<'_> = &|service| engine.watch(service).map(|state| state.borrow().clone());
    let goes_on = |run: &&SetRun| match run.phase {
        SetPhase::Authorising { .. } | SetPhase::NeedsPerson { .. } | SetPhase::Ended(_) => false,
        SetPhase::Acting(_) => needs_of_part(run, members).is_none(),
        SetPhase::Enlisting { .. } | SetPhase::Drafting(_) | SetPhase::Releasing(_) => true,
    };
    let mut told = "";
    loop {
        let state = watch.borrow_and_update().clone();
        let Some(run) = state.run.as_ref().filter(goes_on) else { return };
        if run.phase.name() != told {
            told = run.phase.name();
            progress.say(told);
        }
        // The journals of members go on without a change of the set's.
        if matches!(tokio::time::timeout(LOOK_EVERY, watch.changed()).await, Ok(Err(_))) {
            return;
        }
    }
}

/// Whether the open incident has a next step that waits for nobody.
fn can_go_on(service: &Service) -> bool {
    let Some(incident) = &service.incident else { return false };
    match &incident.phase {
        _ if service.paused_by.is_some() => false,
        Phase::Enlisted | Phase::NeedsPerson(_) | Phase::Settled(_) => false,
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
