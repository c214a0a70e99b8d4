//! `ripcord demo`: a bad version goes live, the alert fires, two people agree, the good version is back and proved. All of it is real:
//! this program runs itself as model server, trainer, traffic, alert rule and host.

mod auto;
mod children;
mod learning;
mod people;
mod report;
mod retraining;
mod stage;
mod starting;
mod strategy;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fraud::decision::Preset;
use ripcord_core::fact::Outcome;
use ripcord_core::name::{IncidentId, ServiceName};

use crate::cli::{DemoArgs, DemoStrategy, Global};
use crate::client::{Client, Live};
use crate::http::wire::AdoptBody;
use crate::output::style::{STRONG, paint};
use crate::output::{Color, Exit, Failure, Form, Page, Paragraph, Progress, Text, text};
use auto::{Fault, Named};
use children::Parts;
use report::Seen;
use stage::{SERVICE, Stage, Trained};
use strategy::{BAD_DECISION, Scene, typed};

/// Good traffic before the bad version, so that the difference shows.
const CALM: Duration = Duration::from_secs(3);
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
        scene: Scene { strategy: args.strategy, seed: args.seed },
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
    scene: Scene,
    answers: Answers,
    parts: Parts,
}

impl Demo {
    async fn play(&mut self, folder: &Path) -> Result<Page, Failure> {
        self.progress.say("training three versions of a fraud model");
        let scene = self.scene;
        let mut stage = blocking({
            let folder = folder.to_owned();
            move || Stage::new(&folder, scene)
        })
        .await?;
        for Trained { version, accuracy, decline_share } in &stage.trained {
            let (accuracy, declines) = (100.0 * accuracy, 100.0 * decline_share);
            self.progress.say(format!(
                "{version}: right in {accuracy:.1} % by its own labels, declines {declines:.1} %"
            ));
        }
        let server = self.start_service(&stage).await?;
        let client = self.start_host(&stage, &server).await?;

        for revision in scene.strategy.vouched_for() {
            let body =
                AdoptBody { revision: revision.parse().ok(), reason: "served well for two weeks".to_owned() };
            let adopted = client.order_of_service(&service()?, "adopt", &body).await?;
            self.progress.say(format!("olga vouches for {revision}: {}", adopted.text));
        }
        tokio::time::sleep(CALM).await;
        let before = self.seen(&client).await?;
        match scene.fault() {
            Some(fault) => self.two_changes(fault, &stage, &server, &client).await?,
            None => stage = self.go_bad(stage, &server).await?,
        }
        let during = self.seen(&client).await?;

        let first = self.alarm(&client).await?;
        let mut pulled = None;
        if let Some(words) = scene.pull() {
            if let Some(needs) = self.until_people(&client, &first).await?.needs {
                self.progress.say(text!("{}", Paragraph(&needs)));
            }
            self.pull(&client, &words).await?;
            pulled = Some(typed(&words));
        }
        self.agreed(&stage, &client, &first, &scene.strategy.first_ending()).await?;
        let mut incidents = vec![first.clone()];
        let (mut meanwhile, mut bad_rows) = (None, None);
        match scene.strategy {
            DemoStrategy::Checkpoint => {
                incidents.push(self.put_in_place(&stage, &client, &first).await?);
            }
            DemoStrategy::Retrain => {
                meanwhile = Some(self.seen(&client).await?);
                let found = self.bad_rows(&stage).await?;
                let ordered = self.pull(&client, &found.pull).await?;
                pulled = Some(typed(&found.pull));
                bad_rows = Some(found);
                self.agreed(&stage, &client, &ordered, &Outcome::Producing).await?;
                let placed = self.put_in_place(&stage, &client, &ordered).await?;
                stage.trained.push(stage.retrained()?);
                incidents.extend([ordered, placed]);
            }
            DemoStrategy::Version
            | DemoStrategy::Configuration
            | DemoStrategy::Fallback
            | DemoStrategy::Auto => {}
        }
        let after = self.seen(&client).await?;
        let mut views = Vec::new();
        for incident in &incidents {
            views.push(client.incident(incident).await?);
        }
        let found = match scene.fault() {
            Some(fault) => Some((fault, self.suspected(fault, &client, &first).await?)),
            None => None,
        };
        let seen = report::Looks { before, during, meanwhile, after };
        report::page(&report::Played {
            scene,
            trained: stage.trained,
            incidents: views,
            seen,
            found,
            pulled,
            bad_rows,
        })
    }

    /// What goes wrong, as the team's own pipeline brings it about: Ripcord is not asked.
    async fn go_bad(&self, mut stage: Stage, server: &str) -> Result<Stage, Failure> {
        if self.scene.strategy == DemoStrategy::Configuration {
            self.progress.say(text!(
                "the team puts decision {} in force, which limits new accounts to 2 euros: thousands were meant",
                paint(STRONG, BAD_DECISION)
            ));
            let preset = Preset::NewAccountLimit;
            stage.keep_decision(BAD_DECISION, preset, "new accounts may pay up to 2 thousand euros")?;
            stage.decide_by(BAD_DECISION, preset)?;
            told(&format!("http://{server}/reload"), "take up the decision configuration").await?;
            return Ok(stage);
        }
        let bad = self.scene.bad();
        if self.scene.strategy == DemoStrategy::Checkpoint {
            self.progress.say(text!(
                "the model learns on; from step {} its labels take new accounts' payments for chargebacks; its pipeline deploys {}",
                learning::LAST_GOOD + 1,
                paint(STRONG, &bad)
            ));
            stage = blocking(move || stage.learn_poison().map(|()| stage)).await?;
        } else {
            self.progress
                .say(text!("the team deploys {}, which passed its own validation", paint(STRONG, &bad)));
            stage.swap(&bad)?;
        }
        told(&format!("http://{server}/v2/repository/models/fraud/load"), &format!("load {bad}")).await?;
        Ok(stage)
    }

    /// What the host says of the service, with what is in force now.
    async fn seen(&self, client: &Client) -> Result<Seen, Failure> {
        Seen::of(client.service(&service()?, Live::Read).await?)
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
        crate::output::tell(self.color, &report::next(self.scene.strategy, &folder, self.parts.logs()));
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
