//! `ripcord demo`: a bad version goes live, the alert fires, two people agree, the good version is back and proved. All of it is real:
//! this program runs itself as model server, traffic, alert rule and host.

mod auto;
mod children;
mod report;
mod stage;
mod strategy;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fraud::decision::Preset;
use ripcord_core::name::{IncidentId, ServiceName};

use crate::cli::{Command, DemoArgs, DemoStrategy, Global};
use crate::client::{Client, Live};
use crate::commands::approval::{SignedVote, ask};
use crate::commands::pull::{self, Until, follow};
use crate::http::wire::{AdoptBody, IncidentState, PlanView};
use crate::key::Key;
use crate::output::style::{STRONG, paint};
use crate::output::{Color, Exit, Failure, Form, Page, Paragraph, Progress, Text, plan, text};
use auto::{Fault, Named};
use children::Parts;
use report::Seen;
use stage::{BAD, GOOD, KEYHOLDERS, SERVICE, Stage};
use strategy::{BAD_DECISION, GOOD_DECISION};

/// Until a server answers.
const START: Duration = Duration::from_secs(30);
/// Until the alarm has opened an incident.
const ALARM: Duration = Duration::from_secs(60);
/// Good traffic before the bad version, so that the difference shows.
const CALM: Duration = Duration::from_secs(3);
/// Until the rollback is settled, people's time not counted.
const ROLLBACK: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn demo(global: &Global, args: &DemoArgs) -> Result<Page, Failure> {
    if !args.yes && (global.json || !person_is_there()) {
        return Err(Failure::usage("nobody is there to answer for the two keys").help("give `--yes`"));
    }
    if args.seed.is_some() && args.strategy != DemoStrategy::Auto {
        return Err(Failure::usage(
            "`--seed` says what goes wrong with `--strategy auto`, and with no other",
        ));
    }
    let temporary = match args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("ripcord-demo-").tempdir().map_err(|cause| {
            Failure::failed("the system gives no temporary folder")
                .because(cause)
                .help("give one with `--dir`")
        })?),
    };
    let folder = match (&args.dir, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().join("demo"),
        (None, None) => PathBuf::new(),
    };
    let mut demo = Demo {
        progress: Progress::new(global.form(), global.color),
        form: global.form(),
        color: global.color,
        strategy: args.strategy,
        fault: (args.strategy == DemoStrategy::Auto).then(|| Fault::of(args.seed.unwrap_or_default())),
        answers: if args.yes { Answers::Given } else { Answers::Asked },
        parts: Parts::new(folder.join("logs")),
    };
    let outcome = tokio::select! {
        outcome = demo.play(&folder) => outcome,
        () = told_to_end() => Err(Failure::failed("interrupted")),
    };
    let outcome = match outcome {
        Ok(page) if args.keep => {
            demo.stay(&page, &folder).await;
            Ok(Page { text: Text::default(), ..page })
        }
        other => other,
    };
    demo.parts.stop().await;
    outcome.map_err(|failure| {
        // What went wrong can only be found where the logs are still there.
        let kept = temporary.map_or(folder, |temporary| temporary.keep().join("demo"));
        failure.and_help(format!("the demo's folder with all logs is {}", kept.display()))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// People are asked at the terminal.
    Asked,
    /// `--yes`.
    Given,
}

#[derive(Debug)]
struct Demo {
    progress: Progress,
    form: Form,
    color: Color,
    strategy: DemoStrategy,
    /// Of `--strategy auto`.
    fault: Option<Fault>,
    answers: Answers,
    parts: Parts,
}

impl Demo {
    async fn play(&mut self, folder: &Path) -> Result<Page, Failure> {
        self.progress.say("training three versions of a fraud model");
        let stage = blocking({
            let (folder, deployed) = (folder.to_owned(), self.fault.map_or(GOOD, Fault::deployed));
            move || Stage::new(&folder, deployed)
        })
        .await?;
        let server = self.start_service(&stage).await?;
        let client = self.start_host(&stage, &server).await?;

        for revision in self.strategy.vouched_for() {
            let body =
                AdoptBody { revision: revision.parse().ok(), reason: "served well for two weeks".to_owned() };
            let adopted = client.order_of_service(&service()?, "adopt", &body).await?;
            self.progress.say(format!("olga vouches for {revision}: {}", adopted.text));
        }
        tokio::time::sleep(CALM).await;
        let before = self.seen(&client).await?;
        match self.fault {
            Some(fault) => self.two_changes(fault, &stage, &server, &client).await?,
            None => self.go_bad(&stage, &server).await?,
        }
        let during = self.seen(&client).await?;

        let incident = self.alarm(&client).await?;
        let state = self.until_people(&client, &incident).await?;
        let state = match self.pull(&client, &state).await? {
            true => self.until_people(&client, &incident).await?,
            false => state,
        };
        let state = match state.phase.as_str() {
            "waiting for approval" => {
                self.two_keys(&stage, &client, &incident).await?;
                self.until_settled(&client, &incident).await?
            }
            _ => state,
        };
        if state.outcome != self.strategy.ending() {
            let why = state.needs.unwrap_or_else(|| format!("the incident ended as `{}`", state.outcome));
            return Err(Failure::failed(format!("the demo did not end as it should: {why}")));
        }
        let after = self.seen(&client).await?;
        let view = client.incident(&incident).await?;
        let named = match self.fault {
            Some(fault) => Some((fault, self.suspected(fault, &client, &incident).await?)),
            None => None,
        };
        let found = named.as_ref().map(|(fault, named)| (*fault, named.as_slice()));
        Ok(report::page(self.strategy, &view, [&before, &during, &after], found))
    }

    /// The model server, its traffic.
    async fn start_service(&mut self, stage: &Stage) -> Result<String, Failure> {
        let (models, log) = (stage.path("models"), stage.path("requests.jsonl"));
        let mut arguments =
            vec!["example-fraud", "serve", "--models", &models, "--listen", "127.0.0.1:0", "--log", &log];
        let decision = stage.path(fraud::decision::FILE);
        if matches!(self.strategy, DemoStrategy::Configuration | DemoStrategy::Auto) {
            stage.keep_decision(GOOD_DECISION, Preset::Steady, "new accounts may pay up to 2000 euros")?;
            stage.decide_by(GOOD_DECISION, Preset::Steady)?;
            arguments.extend(["--decision-config", &decision]);
        }
        let server = self.parts.start_server("model-server", &arguments, START).await?;
        let serves = self.fault.map_or(GOOD, Fault::deployed);
        self.progress.say(format!("the model server serves {serves} at http://{server}"));
        let url = format!("http://{server}");
        let arguments = ["example-fraud", "traffic", "--url", &url, "--rate", "200", "--seconds", "86400"];
        self.parts.start("traffic", &arguments)?;
        Ok(server)
    }

    /// The host, and the team's alert rule that posts to it.
    async fn start_host(&mut self, stage: &Stage, server: &str) -> Result<Client, Failure> {
        let address = stage::free_address()?;
        stage.configure(self.strategy, server, address)?;
        let configuration = stage.path("ripcord.toml");
        self.parts.start("host", &["--config", &configuration, "serve"])?;
        let client = Client::remote(&format!("http://{address}"), Some(stage.token("olga")?))?;
        let since = Instant::now();
        while client.greet().await.is_err() {
            self.still_well(since, START, "the host does not answer")?;
            tokio::time::sleep(POLL).await;
        }
        self.progress.say(format!("the host protects {SERVICE}, at http://{address}"));
        let (metrics, webhook) =
            (format!("http://{server}/metrics"), format!("http://{address}/hooks/alertmanager"));
        let token = stage.path("secrets/alertmanager.token");
        let arguments = [
            "example-fraud",
            "watch",
            "--metrics",
            &metrics,
            "--webhook",
            &webhook,
            "--bearer-file",
            &token,
            "--every-ms",
            "500",
            "--window-ms",
            "3000",
            "--for-ms",
            "1000",
            "--seconds",
            "86400",
        ];
        self.parts.start("alert-rule", &arguments)?;
        Ok(client)
    }

    /// What goes wrong, as the team's own pipeline brings it about: Ripcord is not asked.
    async fn go_bad(&self, stage: &Stage, server: &str) -> Result<(), Failure> {
        if self.strategy == DemoStrategy::Configuration {
            self.progress.say(text!(
                "the team puts decision {} in force, which limits new accounts to 2 euros: thousands were meant",
                paint(STRONG, BAD_DECISION)
            ));
            let preset = Preset::NewAccountLimit;
            stage.keep_decision(BAD_DECISION, preset, "new accounts may pay up to 2 thousand euros")?;
            stage.decide_by(BAD_DECISION, preset)?;
            return told(&format!("http://{server}/reload"), "take up the decision configuration").await;
        }
        self.progress.say(text!("the team deploys {}, which passed its own validation", paint(STRONG, BAD)));
        stage.swap(BAD)?;
        told(&format!("http://{server}/v2/repository/models/fraud/load"), &format!("load {BAD}")).await
    }

    /// What the host says of the service, with what is in force now.
    async fn seen(&self, client: &Client) -> Result<Seen, Failure> {
        Seen::of(client.service(&service()?, Live::Read).await?)
    }

    /// Olga asks for what the planner did not find; whether there is such a thing.
    async fn pull(&self, client: &Client, state: &IncidentState) -> Result<bool, Failure> {
        let (Some(words), Some(line)) = (self.strategy.pull(), self.strategy.pull_line()) else {
            return Ok(false);
        };
        if let Some(needs) = &state.needs {
            self.progress.say(text!("{}", Paragraph(needs)));
        }
        self.progress.say(text!("olga types {}", paint(STRONG, &line)));
        let parsed = crate::cli::parse(words.into_iter().map(std::ffi::OsString::from))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let Command::Pull(arguments) = parsed.command else {
            return Err(Failure::failed(format!("`{line}` is no pull")));
        };
        let done = client.order_of_service(&arguments.service, "pull", &pull::body(&arguments)?).await?;
        self.progress.say(&done.text);
        Ok(true)
    }

    /// What the planner said that led to the plan. It must have blamed what did the harm.
    async fn suspected(
        &self,
        fault: Fault,
        client: &Client,
        incident: &IncidentId,
    ) -> Result<Vec<Named>, Failure> {
        let page = client.decisions_of_incident(incident, 100).await?;
        let planner = page.decisions.iter().find(|one| one.role == "planner");
        let answer = planner.and_then(|decision| decision.answer.as_ref());
        let named = answer.map(Named::all).unwrap_or_default();
        auto::judged(fault, &named)?;
        Ok(named)
    }

    async fn alarm(&mut self, client: &Client) -> Result<IncidentId, Failure> {
        self.progress.say("good customers are being declined; the alert rule watches the metrics");
        let since = Instant::now();
        loop {
            let view = client.service(&service()?, Live::Skipped).await?;
            if let Some(incident) = view.incident.or(view.last_settled) {
                self.progress.say(text!(
                    "the alert came in and the trigger confirmed it: {}",
                    paint(STRONG, &incident.id)
                ));
                return Ok(incident.id);
            }
            self.still_well(since, ALARM, "no incident was opened")?;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn until_people(&mut self, client: &Client, id: &IncidentId) -> Result<IncidentState, Failure> {
        self.within(follow(client, id, Until::PeopleAreAsked, &self.progress), "no plan was made").await
    }

    async fn until_settled(&mut self, client: &Client, id: &IncidentId) -> Result<IncidentState, Failure> {
        self.within(follow(client, id, Until::Settled, &self.progress), "the rollback was not settled").await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
        late: &str,
    ) -> Result<T, Failure> {
        tokio::time::timeout(ROLLBACK, work)
            .await
            .unwrap_or_else(|_| Err(Failure::failed(format!("{late} within {} s", ROLLBACK.as_secs()))))
    }

    /// Both people read the plan and sign its digest.
    async fn two_keys(&mut self, stage: &Stage, client: &Client, id: &IncidentId) -> Result<(), Failure> {
        let view = client.plan(id).await?;
        if self.answers == Answers::Asked {
            let text = plan::text(&view);
            for (index, person) in KEYHOLDERS.iter().enumerate() {
                let text = if index == 0 { text.clone() } else { Text::default() };
                if !ask(self.color, &text, &text!("{}, do you approve this plan?", person)).await? {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("{person} did not approve: nothing was shifted"),
                    ));
                }
                self.sign(stage, client, &view, person).await?;
            }
            return Ok(());
        }
        for person in KEYHOLDERS {
            self.sign(stage, client, &view, person).await?;
        }
        Ok(())
    }

    async fn sign(
        &self,
        stage: &Stage,
        client: &Client,
        view: &PlanView,
        person: &str,
    ) -> Result<(), Failure> {
        let key = Key::read(&stage.key(person))?;
        let vote = SignedVote { plan: view, person, key: &key, reason: "the demo's plan is as expected" };
        vote.cast(&client.without_token()).await?;
        self.progress.say(format!("{person} signed plan {}", view.digest.short()));
        Ok(())
    }

    fn still_well(&mut self, since: Instant, limit: Duration, late: &str) -> Result<(), Failure> {
        if let Some(failure) = self.parts.fallen() {
            return Err(failure);
        }
        if since.elapsed() > limit {
            return Err(Failure::failed(format!("{late} within {} s", limit.as_secs())));
        }
        Ok(())
    }

    /// `--keep`: everything goes on until ctrl-c.
    async fn stay(&self, page: &Page, folder: &Path) {
        crate::output::print(self.form, self.color, Ok(page.clone()));
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        crate::output::tell(self.color, &report::next(self.strategy, &folder, self.parts.logs()));
        told_to_end().await;
    }
}

/// Ctrl-c, or a request to end: the parts must not outlive the demo. What cannot be listened for ends the demo at once.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

fn service() -> Result<ServiceName, Failure> {
    ServiceName::new(SERVICE).map_err(|error| Failure::of(Exit::Failed, error))
}

/// A POST to the model server, which is to do something.
async fn told(url: &str, what: &str) -> Result<(), Failure> {
    let answer = match reqwest::Client::builder().no_proxy().build() {
        Ok(http) => http.post(url).send().await.and_then(reqwest::Response::error_for_status),
        Err(error) => Err(error),
    };
    answer
        .map(drop)
        .map_err(|error| Failure::failed(format!("the model server did not {what}")).because(error))
}

fn person_is_there() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::failed("the training ended early").because(error)))
}
