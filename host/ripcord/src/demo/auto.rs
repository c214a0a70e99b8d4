//! `--strategy auto`: two things move, one does the harm, and the planner itself must tell which. The seed says which it is, and whether the innocent one
//! moved before it or after.

use std::time::{Duration, Instant};

use fraud::decision::Preset;
use serde_json::{Value, json};

use super::stage::{BAD, GOOD, OLDER, Stage};
use super::strategy::{BAD_DECISION, GOOD_DECISION};
use super::{Demo, POLL, service, told};
use crate::client::{Client, Live};
use crate::http::wire::ServiceView;
use crate::output::style::{STRONG, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Failure, Text, text};

/// Until the host has seen a change, and verified it where there is nothing against it.
const SEEN: Duration = Duration::from_secs(60);
/// More than two of the host's looks: it has looked between two changes that are so far apart.
const APART: Duration = Duration::from_secs(3);

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guilty {
    Model,
    Decision,
}

/// When the innocent change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Innocent {
    Before,
    After,
}

/// What goes wrong, as the seed has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) guilty: Guilty,
    pub(super) innocent: Innocent,
}

impl Fault {
    /// Four seeds in a row give every case.
    pub(super) fn of(seed: u64) -> Self {
        Self {
            guilty: if seed.is_multiple_of(2) { Guilty::Model } else { Guilty::Decision },
            innocent: if (seed / 2).is_multiple_of(2) { Innocent::Before } else { Innocent::After },
        }
    }

    /// What is deployed at first: where a new version is the innocent change, the one before it.
    pub(super) fn deployed(self) -> &'static str {
        match self.guilty {
            Guilty::Model => GOOD,
            Guilty::Decision => OLDER,
        }
    }

    /// What it is for people, and in a report.
    pub(super) fn name(self) -> &'static str {
        match self.guilty {
            Guilty::Model => "model",
            Guilty::Decision => "configuration decision",
        }
    }

    fn steps(self) -> [Step; 2] {
        let (guilty, innocent) = match self.guilty {
            Guilty::Model => (
                Step::Deploy(BAD),
                Step::Decide(Preset::MoreReviews, "more decisions are looked at by people later"),
            ),
            Guilty::Decision => (
                Step::Decide(Preset::NewAccountLimit, "new accounts may pay up to 2 thousand euros"),
                Step::Deploy(GOOD),
            ),
        };
        match self.innocent {
            Innocent::Before => [innocent, guilty],
            Innocent::After => [guilty, innocent],
        }
    }
}

/// What a team's pipeline does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deploy(&'static str),
    Decide(Preset, &'static str),
}

impl Step {
    /// Whether the host's own watch has seen it, and no longer wonders whether it is well.
    fn is_seen(self, view: &ServiceView) -> bool {
        match self {
            Self::Deploy(version) => view.seen.as_ref().is_some_and(|seen| seen.state.contains(version)),
            Self::Decide(..) => view.facets.iter().any(|facet| facet.revision.name.as_str() == BAD_DECISION),
        }
    }
}

impl Demo {
    /// Both changes, one after the other, neither of them by Ripcord.
    pub(super) async fn two_changes(
        &mut self,
        fault: Fault,
        stage: &Stage,
        server: &str,
        client: &Client,
    ) -> Result<(), Failure> {
        let [first, second] = fault.steps();
        self.make(first, stage, server).await?;
        match fault.innocent {
            Innocent::Before => {
                self.progress.say("the host sees it, and verifies it while it is in force");
                let verified = |view: &ServiceView| first.is_seen(view) && view.probation.is_none();
                self.until(client, verified, "the host did not see the first change, or not that it is well")
                    .await?;
            }
            Innocent::After => {
                self.progress.say("good customers are being declined, and the alert rings");
                let rings = |view: &ServiceView| first.is_seen(view) && view.alerts.kept > 0;
                self.until(client, rings, "no alert came").await?;
            }
        }
        tokio::time::sleep(APART).await;
        self.make(second, stage, server).await
    }

    async fn make(&self, step: Step, stage: &Stage, server: &str) -> Result<(), Failure> {
        match step {
            Step::Deploy(version) => {
                self.progress.say(text!("the team deploys {}", paint(STRONG, version)));
                stage.swap(version)?;
                told(&format!("http://{server}/v2/repository/models/fraud/load"), &format!("load {version}"))
                    .await
            }
            Step::Decide(preset, summary) => {
                self.progress.say(text!(
                    "the team puts decision {} in force: {}",
                    paint(STRONG, BAD_DECISION),
                    summary
                ));
                stage.keep_decision(BAD_DECISION, preset, summary)?;
                stage.decide_by(BAD_DECISION, preset)?;
                told(&format!("http://{server}/reload"), "take up the decision configuration").await
            }
        }
    }

    async fn until(
        &mut self,
        client: &Client,
        is_so: impl Fn(&ServiceView) -> bool,
        late: &str,
    ) -> Result<(), Failure> {
        let since = Instant::now();
        while !is_so(&client.service(&service()?, Live::Skipped).await?) {
            self.still_well(since, SEEN, late)?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// One suspect of the planner's, as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    what: String,
    was: String,
    became: String,
    score: f64,
    reasons: Vec<String>,
}

impl Named {
    /// Those of a planner's answer in the words of its contract, most likely first.
    pub(super) fn all(answer: &Value) -> Vec<Self> {
        let suspects = answer["suspects"].as_array().map(Vec::as_slice).unwrap_or_default();
        suspects.iter().map(Self::of).collect()
    }

    fn of(suspect: &Value) -> Self {
        let change = &suspect["change"];
        let what = match &change["facet"] {
            Value::String(name) => name.to_lowercase(),
            facet => match (facet["Configuration"].as_str(), facet["Other"].as_str()) {
                (Some(name), _) => format!("configuration {name}"),
                (None, Some(other)) => other.to_owned(),
                (None, None) => facet.to_string(),
            },
        };
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            what,
            was: texts(&change["was"]).join(" and "),
            became: texts(&change["became"]).join(" and "),
            score: suspect["score"].as_f64().unwrap_or_default(),
            reasons: texts(&suspect["reasons"]),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what, "was": self.was, "became": self.became, "score": self.score, "reasons": self.reasons,
        })
    }
}

/// What the planner said of each.
pub(super) fn table(fault: Fault, named: &[Named]) -> Text {
    let mut table = Table::bare(2);
    for one in named {
        let change = format!("{} from {} to {}", one.what, one.was, one.became);
        let sure = format!("{:.0} %", one.score * 100.0);
        table.row([Cell::new(STRONG, change), sure.into(), one.reasons.join("; ").into()]);
    }
    let guilty = match fault.guilty {
        Guilty::Model => format!("version {BAD}, trained on poisoned labels"),
        Guilty::Decision => {
            format!("decision {BAD_DECISION}, which limits new accounts to 2 euros; {GOOD_DECISION} does not")
        }
    };
    text!("{}\n{}What did the harm: {}.\n\n", paint(STRONG, "what the planner suspected"), table, guilty)
}

/// Refuses an end in which the planner blamed what had done nothing.
pub(super) fn judged(fault: Fault, named: &[Named]) -> Result<(), Failure> {
    match named.first() {
        Some(first) if first.what == fault.name() => Ok(()),
        Some(first) => Err(Failure::failed(format!(
            "the planner blamed the innocent change of the {} instead of the {}",
            first.what,
            fault.name()
        ))),
        None => Err(Failure::failed("the planner suspected nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seeds_give_every_case() {
        let cases: Vec<_> = (0..4).map(Fault::of).collect();
        let of = |guilty, innocent| Fault { guilty, innocent };
        assert_eq!(
            cases,
            [
                of(Guilty::Model, Innocent::Before),
                of(Guilty::Decision, Innocent::Before),
                of(Guilty::Model, Innocent::After),
                of(Guilty::Decision, Innocent::After),
            ]
        );
        assert_eq!(Fault::of(4), Fault::of(0));
    }

    #[test]
    fn a_planner_that_blames_the_innocent_ends_the_demo() {
        let answer = json!({ "suspects": [
            { "change": { "facet": { "Configuration": "decision" }, "was": ["41"], "became": ["42"] }, "score": 0.8, "reasons": ["3s before"] },
            { "change": { "facet": "Model", "was": ["1.2.0"], "became": ["1.3.2"] }, "score": 0.1, "reasons": [] },
        ] });
        let named = Named::all(&answer);
        assert_eq!(named[1].what, "model");
        judged(Fault::of(1), &named).expect("the decision did it");
        let wrong = judged(Fault::of(0), &named).expect_err("it did not");
        assert!(wrong.to_string().contains("innocent change of the configuration decision"), "{wrong}");
        judged(Fault::of(0), &[]).expect_err("nothing is suspected");
    }
}
