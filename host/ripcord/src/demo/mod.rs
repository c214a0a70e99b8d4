//! `ripcord demo`: a bad version goes live, the alert fires, two people agree, the good version is back and proved. All of it is real:
//! this program runs itself as model server, traffic, alert rule and host.

mod children;
mod report;
mod stage;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ripcord_core::fact::Outcome as Ending;
use ripcord_core::name::{IncidentId, ServiceName};

use crate::cli::{DemoArgs, Global};
use crate::client::{Client, Live};
use crate::commands::approval::{SignedVote, ask};
use crate::commands::pull::{Until, follow};
use crate::http::wire::{AdoptBody, IncidentState, LiveLine, PlanView};
use crate::key::Key;
use crate::output::style::{STRONG, paint};
use crate::output::{Color, Exit, Failure, Form, Page, Progress, Text, plan, text};
use children::Parts;
use stage::{BAD, GOOD, KEYHOLDERS, SERVICE, Stage};

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
    answers: Answers,
    parts: Parts,
}

impl Demo {
    async fn play(&mut self, folder: &Path) -> Result<Page, Failure> {
        self.progress.say("training three versions of a fraud model");
        let stage = blocking({
            let folder = folder.to_owned();
            move || Stage::new(&folder)
        })
        .await?;
        let server = self.start_service(&stage).await?;
        let client = self.start_host(&stage, &server).await?;

        let body = AdoptBody { revision: GOOD.parse().ok(), reason: "served well for two weeks".to_owned() };
        let adopted = client.order_of_service(&service()?, "adopt", &body).await?;
        self.progress.say(format!("olga vouches for {GOOD}: {}", adopted.text));
        tokio::time::sleep(CALM).await;
        let before = self.live(&client).await?;
        self.progress.say(text!("the team deploys {}, which passed its own validation", paint(STRONG, BAD)));
        self.deploy(&stage, &server, BAD).await?;
        let during = self.live(&client).await?;

        let incident = self.alarm(&client).await?;
        let state = self.until_people(&client, &incident).await?;
        let state = match state.phase.as_str() {
            "waiting for approval" => {
                self.two_keys(&stage, &client, &incident).await?;
                self.until_settled(&client, &incident).await?
            }
            _ => state,
        };
        let after = self.live(&client).await?;
        let view = client.incident(&incident).await?;
        if state.outcome != Ending::RolledBack {
            let why = state.needs.unwrap_or_else(|| format!("the incident ended as `{}`", state.outcome));
            return Err(Failure::failed(format!("the demo did not end as it should: {why}")));
        }
        Ok(report::page(&view, [&before, &during, &after]))
    }

    /// The model server, its traffic.
    async fn start_service(&mut self, stage: &Stage) -> Result<String, Failure> {
        let (models, log) = (stage.path("models"), stage.path("requests.jsonl"));
        let arguments =
            ["example-fraud", "serve", "--models", &models, "--listen", "127.0.0.1:0", "--log", &log];
        let server = self.parts.start_server("model-server", &arguments, START).await?;
        self.progress.say(format!("the model server serves {GOOD} at http://{server}"));
        let url = format!("http://{server}");
        let arguments = ["example-fraud", "traffic", "--url", &url, "--rate", "200", "--seconds", "86400"];
        self.parts.start("traffic", &arguments)?;
        Ok(server)
    }

    /// The host, and the team's alert rule that posts to it.
    async fn start_host(&mut self, stage: &Stage, server: &str) -> Result<Client, Failure> {
        let address = stage::free_address()?;
        stage.configure(server, address)?;
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

    /// A deployment as the team's own pipeline makes it: Ripcord is not asked.
    async fn deploy(&self, stage: &Stage, server: &str, version: &str) -> Result<(), Failure> {
        stage.swap(version)?;
        let url = format!("http://{server}/v2/repository/models/fraud/load");
        let loaded = reqwest::Client::builder().no_proxy().build();
        let loaded = match loaded {
            Ok(http) => http.post(&url).send().await.and_then(reqwest::Response::error_for_status),
            Err(error) => Err(error),
        };
        loaded.map(drop).map_err(|error| {
            Failure::failed(format!("the model server did not load {version}")).because(error)
        })
    }

    async fn live(&self, client: &Client) -> Result<LiveLine, Failure> {
        let view = client.service(&service()?, Live::Read).await?;
        view.live.ok_or_else(|| Failure::failed("the host does not say what is live"))
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
        crate::output::tell(self.color, &report::next(&folder, self.parts.logs()));
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
