//! What people do in the demo: olga pulls, ada and bob read each plan and sign it.

use std::future::Future;
use std::time::{Duration, Instant};

use ripcord_core::fact::Outcome;
use ripcord_core::name::IncidentId;

use super::stage::{KEYHOLDERS, Stage};
use super::strategy::typed;
use super::{Answers, Demo, POLL, service};
use crate::cli::Command;
use crate::client::{Client, Live};
use crate::commands::approval::{SignedVote, ask};
use crate::commands::pull::{self, Until, follow};
use crate::http::wire::{IncidentState, PlanView};
use crate::key::Key;
use crate::output::style::{STRONG, paint};
use crate::output::{Exit, Failure, Text, plan, text};

/// Until the alarm has opened an incident.
const ALARM: Duration = Duration::from_secs(60);
/// Until the rollback is settled, people's time not counted.
const ROLLBACK: Duration = Duration::from_secs(120);
/// Until a version was made, and has an incident of its own.
const MADE: Duration = Duration::from_secs(60);

impl Demo {
    /// Olga asks for what the planner did not find; the incident that it is for.
    pub(super) async fn pull(&self, client: &Client, words: &[String]) -> Result<IncidentId, Failure> {
        let line = typed(words);
        self.progress.say(text!("olga types {}", paint(STRONG, &line)));
        let parsed = crate::cli::parse(words.iter().map(std::ffi::OsString::from))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let Command::Pull(arguments) = parsed.command else {
            return Err(Failure::failed(format!("`{line}` is no pull")));
        };
        let Some(service) = &arguments.service else {
            return Err(Failure::failed(format!("`{line}` names no service")));
        };
        let done = client.order_of_service(service, "pull", &pull::body(&arguments)?).await?;
        self.progress.say(&done.text);
        done.incident.ok_or_else(|| Failure::failed(format!("`{line}` opened no incident: {}", done.text)))
    }

    /// Both agree to the plan of this incident, which then ends as it should.
    pub(super) async fn agreed(
        &mut self,
        stage: &Stage,
        client: &Client,
        id: &IncidentId,
        ending: &Outcome,
    ) -> Result<(), Failure> {
        let state = self.until_people(client, id).await?;
        let state = match state.phase.as_str() {
            "waiting for approval" => {
                self.two_keys(stage, client, id).await?;
                self.until_settled(client, id).await?
            }
            _ => state,
        };
        if state.outcome == *ending {
            return Ok(());
        }
        let why = state.needs.unwrap_or_else(|| format!("the incident ended as `{}`", state.outcome));
        Err(Failure::failed(format!("the demo did not end as it should: {why}")))
    }

    /// What the run of this incident makes gets an incident of its own, which puts it in place.
    pub(super) async fn put_in_place(
        &mut self,
        stage: &Stage,
        client: &Client,
        ordered_by: &IncidentId,
    ) -> Result<IncidentId, Failure> {
        let id = self.made(client, ordered_by).await?;
        self.agreed(stage, client, &id, &Outcome::RolledBack).await?;
        Ok(id)
    }

    async fn made(&mut self, client: &Client, ordered_by: &IncidentId) -> Result<IncidentId, Failure> {
        self.progress.say("a version is being made; nothing is shifted for that");
        let since = Instant::now();
        loop {
            let view = client.service(&service()?, Live::Skipped).await?;
            let run = view.runs.iter().find(|run| run.incident == *ordered_by);
            let made = run.and_then(|run| run.version.as_ref());
            match (run, made, view.incident) {
                (_, Some(version), Some(incident)) if incident.id != *ordered_by => {
                    self.progress.say(text!(
                        "{} was made and is a candidate: {}",
                        paint(STRONG, version),
                        paint(STRONG, &incident.id)
                    ));
                    return Ok(incident.id);
                }
                (Some(run), None, _) if run.ended_at.is_some() => {
                    return Err(Failure::failed(format!("no version was made: {}", run.sentence())));
                }
                _ => {}
            }
            self.still_well(since, MADE, "nothing was made")?;
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn alarm(&mut self, client: &Client) -> Result<IncidentId, Failure> {
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

    pub(super) async fn until_people(
        &mut self,
        client: &Client,
        id: &IncidentId,
    ) -> Result<IncidentState, Failure> {
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
}
