//! Traffic: customers who pay, and the review team that learns which transactions were fraud.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::command::{say, warn};
use crate::model::Verdict;
use crate::protocol::{DECISION, InferResponse, transaction_tensor};
use crate::transaction::{Labelled, Population};
use crate::{Error, MODEL, client, decision, rules};

/// A request that takes longer counts as an error.
const DEADLINE: Duration = Duration::from_secs(5);
/// Requests that may be in flight; beyond it the rate drops.
const IN_FLIGHT_MAX: usize = 128;

/// `fraud traffic`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The server, for instance `http://127.0.0.1:8080`
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Transactions a second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// For so many seconds; ctrl-c ends it earlier
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// The seed of the transactions
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// What came of the traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Transactions sent.
    pub requests: u64,
    /// Transactions that were not answered with a decision.
    pub errors: u64,
    /// Decisions of which the server did not take the truth.
    pub feedback_errors: u64,
    /// Transactions declined.
    pub declined: u64,
    /// Declined among the answered, 0 to 1.
    pub decline_share: f64,
    /// Declined, and no fraud.
    pub false_positives: u64,
    /// Approved, and fraud.
    pub false_negatives: u64,
    /// False positives among the answered, 0 to 1.
    pub false_positive_share: f64,
    /// Answers by the version that gave them.
    pub versions: BTreeMap<String, u64>,
    /// The same by all that decides: version, decision configuration, and whether the model was asked at all.
    pub by: Vec<Share>,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}

/// What came of the decisions that one version made under one configuration, or the rules in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Share {
    /// The version that was served.
    pub version: String,
    /// The sha-256 of the decision configuration; none where the server names none.
    pub decision_config: Option<String>,
    /// `model` or `rules`; none where the server does not say.
    pub answered_by: Option<String>,
    /// Decisions.
    pub answers: u64,
    /// Declined among them.
    pub declined: u64,
    /// Declined, and no fraud.
    pub false_positives: u64,
}

/// Sends the traffic and prints the summary.
///
/// # Errors
/// A URL that is none, or a server that answered nothing at all.
pub async fn run(args: Args) -> Result<(), Error> {
    let summary = send(&args).await?;
    if args.json {
        say(&serde_json::to_string(&summary).map_err(Error::encode("the summary"))?);
    } else {
        say(&summary.to_string());
    }
    if summary.requests > 0 && summary.errors == summary.requests {
        if let Some(error) = &summary.last_error {
            warn(&format!("the last request failed: {error}"));
        }
        return Err(Error::NoAnswer { requests: summary.requests, url: args.url });
    }
    Ok(())
}

/// Sends the traffic.
///
/// # Errors
/// A URL that is none.
pub async fn send(args: &Args) -> Result<Summary, Error> {
    let base = client::url("--url", &args.url)?;
    let endpoints = Arc::new(Endpoints::new(base, client::client(DEADLINE)?)?);
    let total = u64::from(args.rate) * u64::from(args.seconds);
    let end = Instant::now() + Duration::from_secs(u64::from(args.seconds));
    let mut tick = interval(Duration::from_secs(1) / args.rate);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);

    let mut population = Population::new(args.seed);
    let mut in_flight = JoinSet::new();
    let mut summary = Summary::default();
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    while summary.requests < total {
        tokio::select! {
            _ = &mut stop => break,
            _ = tick.tick() => {}
        }
        if Instant::now() >= end {
            break;
        }
        while in_flight.len() >= IN_FLIGHT_MAX {
            summary.add(in_flight.join_next().await);
        }
        while let Some(done) = in_flight.try_join_next() {
            summary.add(Some(done));
        }
        summary.requests += 1;
        let id = format!("t{}-{}-{}", std::process::id(), args.seed, summary.requests);
        let (endpoints, labelled) = (Arc::clone(&endpoints), population.draw());
        in_flight.spawn(async move { endpoints.play(&id, &labelled).await });
    }
    while let Some(done) = in_flight.join_next().await {
        summary.add(Some(done));
    }
    summary.shares();
    Ok(summary)
}

struct Endpoints {
    client: Client,
    infer: Url,
    feedback: Url,
}

/// One transaction, decided and reviewed.
struct Played {
    version: String,
    decision_config: Option<String>,
    answered_by: Option<String>,
    verdict: Verdict,
    fraud: bool,
    feedback: Result<(), String>,
}

impl Endpoints {
    fn new(base: Url, client: Client) -> Result<Self, Error> {
        let text = base.as_str().trim_end_matches('/');
        let infer = client::url("--url", &format!("{text}/v2/models/{MODEL}/infer"))?;
        let feedback = client::url("--url", &format!("{text}/feedback"))?;
        Ok(Self { client, infer, feedback })
    }

    async fn play(&self, id: &str, labelled: &Labelled) -> Result<Played, String> {
        let question = json!({ "id": id, "inputs": [transaction_tensor(&labelled.transaction)] });
        let answer =
            self.client.post(self.infer.clone()).json(&question).send().await.map_err(client::reason)?;
        let status = answer.status();
        let header =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (decision_config, answered_by) = (header(decision::HEADER), header(rules::HEADER));
        let body = answer.bytes().await.map_err(client::reason)?;
        if !status.is_success() {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)])));
        }
        let response: InferResponse =
            serde_json::from_slice(&body).map_err(|error| format!("the answer is not one: {error}"))?;
        let decision = response
            .outputs
            .iter()
            .find(|output| output.name == DECISION)
            .and_then(|output| output.data.first());
        let verdict: Verdict = decision
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .ok_or_else(|| format!("the answer has no `{DECISION}`"))?;

        let truth = json!({ "id": id, "fraud": labelled.fraud });
        let feedback = match self.client.post(self.feedback.clone()).json(&truth).send().await {
            Ok(answer) => {
                let status = answer.status();
                // The connection is used again only after the body was read.
                let body = answer.bytes().await.map_err(client::reason);
                if status.is_success() { body.map(drop) } else { Err(format!("feedback: {status}")) }
            }
            Err(error) => Err(client::reason(error)),
        };
        Ok(Played {
            version: response.model_version,
            decision_config,
            answered_by,
            verdict,
            fraud: labelled.fraud,
            feedback,
        })
    }
}

impl Share {
    fn count(&mut self, played: &Played) {
        self.answers += 1;
        if played.verdict == Verdict::Decline {
            self.declined += 1;
            self.false_positives += u64::from(!played.fraud);
        }
    }

    /// False positives among the answers, 0 to 1.
    #[must_use]
    pub fn false_positive_share(&self) -> f64 {
        self.false_positives as f64 / self.answers.max(1) as f64
    }
}

impl Summary {
    fn add(&mut self, done: Option<Result<Result<Played, String>, tokio::task::JoinError>>) {
        match done {
            None => {}
            Some(Ok(Ok(played))) => {
                *self.versions.entry(played.version.clone()).or_default() += 1;
                self.share_of(&played).count(&played);
                match (played.verdict, played.fraud) {
                    (Verdict::Decline, fraud) => {
                        self.declined += 1;
                        self.false_positives += u64::from(!fraud);
                    }
                    (Verdict::Approve, fraud) => self.false_negatives += u64::from(fraud),
                }
                if let Err(error) = played.feedback {
                    self.feedback_errors += 1;
                    self.last_error = Some(error);
                }
            }
            Some(Ok(Err(error))) => {
                self.errors += 1;
                self.last_error = Some(error);
            }
            Some(Err(error)) => {
                self.errors += 1;
                self.last_error = Some(error.to_string());
            }
        }
    }

    /// There are as many as there were changes while the traffic ran: few.
    fn share_of(&mut self, played: &Played) -> &mut Share {
        let same = |share: &Share| {
            share.version == played.version
                && share.decision_config == played.decision_config
                && share.answered_by == played.answered_by
        };
        let at = self.by.iter().position(same).unwrap_or_else(|| {
            self.by.push(Share {
                version: played.version.clone(),
                decision_config: played.decision_config.clone(),
                answered_by: played.answered_by.clone(),
                answers: 0,
                declined: 0,
                false_positives: 0,
            });
            self.by.len() - 1
        });
        &mut self.by[at]
    }

    fn shares(&mut self) {
        self.by.sort();
        let answered = self.versions.values().sum::<u64>().max(1) as f64;
        self.decline_share = self.declined as f64 / answered;
        self.false_positive_share = self.false_positives as f64 / answered;
    }
}

impl Share {
    /// Something beside the version decided.
    fn is_worth_telling(&self) -> bool {
        self.decision_config.is_some() || self.answered_by.as_deref() == Some(rules::NAME)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "decided by       ")?;
        match (self.answered_by.as_deref(), &self.decision_config) {
            (Some(rules::NAME), _) => write!(f, "the rules, with {} served", self.version)?,
            (_, Some(config)) => write!(f, "{} under {}", self.version, decision::fingerprint(config))?,
            (_, None) => write!(f, "{}", self.version)?,
        }
        write!(f, ": {} answers, {:.1} % false positives", self.answers, self.false_positive_share() * 100.0)
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "requests         {}", self.requests)?;
        writeln!(f, "errors           {}", self.errors)?;
        writeln!(f, "declined         {} ({:.1} %)", self.declined, self.decline_share * 100.0)?;
        writeln!(
            f,
            "false positives  {} ({:.1} %)",
            self.false_positives,
            self.false_positive_share * 100.0
        )?;
        writeln!(f, "false negatives  {}", self.false_negatives)?;
        let versions: Vec<String> =
            self.versions.iter().map(|(version, count)| format!("{version}: {count}")).collect();
        write!(
            f,
            "answered by      {}",
            if versions.is_empty() { "nobody".to_owned() } else { versions.join(", ") }
        )?;
        for share in self.by.iter().filter(|share| share.is_worth_telling()) {
            write!(f, "\n{share}")?;
        }
        if self.feedback_errors > 0 {
            write!(f, "\nfeedback refused {}", self.feedback_errors)?;
        }
        if let Some(error) = &self.last_error {
            write!(f, "\nlast error       {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn decisions_are_summed_up_by_all_that_decides() {
        let mut summary = Summary::default();
        let mut play = |version: &str, config: Option<&str>, by: &str, verdict: Verdict, fraud: bool| {
            summary.add(Some(Ok(Ok(Played {
                version: version.to_owned(),
                decision_config: config.map(str::to_owned),
                answered_by: Some(by.to_owned()),
                verdict,
                fraud,
                feedback: Ok(()),
            }))));
        };
        play("1", Some("a"), "model", Verdict::Decline, false);
        play("1", Some("a"), "model", Verdict::Decline, true);
        play("1", Some("b"), "model", Verdict::Approve, false);
        play("2", Some("a"), "model", Verdict::Approve, false);
        play("2", None, "rules", Verdict::Decline, false);
        play("2", None, "model", Verdict::Approve, true);
        summary.shares();
        let by: Vec<_> = summary
            .by
            .iter()
            .map(|share| {
                let config = share.decision_config.as_deref().unwrap_or("-");
                let by = share.answered_by.as_deref().unwrap();
                (share.version.as_str(), config, by, share.answers, share.declined, share.false_positives)
            })
            .collect();
        let expected = [
            ("1", "a", "model", 2, 2, 1),
            ("1", "b", "model", 1, 0, 0),
            ("2", "-", "model", 1, 0, 0),
            ("2", "-", "rules", 1, 1, 1),
            ("2", "a", "model", 1, 0, 0),
        ];
        assert_eq!(by, expected);
    }
}
