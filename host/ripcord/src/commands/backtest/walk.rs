//! Step by step through a window, with memos chained.

use std::collections::BTreeMap;

use ripcord_core::alert::StandingAlert;
use ripcord_core::fact::{Fact, Request, UnavailableReason, Value};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::policy::PolicyRef;
use ripcord_core::role::{Answer, Memo, Question, TriggerInput, TriggerVerdict, Verdict};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{Asked, FactsThen, PlacedPolicy, ask, scheduled};
use serde::Serialize;

use crate::commands::asking::Bench;
use crate::commands::check::made_up;
use crate::output::asked::{self, selects_nothing};
use crate::output::time::instant;
use crate::output::{Failure, Progress};

/// Queries whose values are kept for the plot.
const PLOTTED_MAX: usize = 4;
/// So many steps in a row without an answer of any system end it.
const SILENT_MAX: u32 = 3;
/// News for a person who waits, so many times in all.
const NEWS: usize = 20;

/// What a trigger says, without its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    Ignore,
    StandDown,
    Watch,
    RollBack,
    Fault,
}

impl Word {
    pub(super) const ALL: [Self; 5] =
        [Self::Ignore, Self::StandDown, Self::Watch, Self::RollBack, Self::Fault];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::StandDown => "stand down",
            Self::Watch => "watch",
            Self::RollBack => "roll back",
            Self::Fault => "fault",
        }
    }

    pub(super) const fn of(verdict: &TriggerVerdict) -> Self {
        match verdict {
            TriggerVerdict::Ignore => Self::Ignore,
            TriggerVerdict::StandDown(_) => Self::StandDown,
            TriggerVerdict::Watch(_) => Self::Watch,
            TriggerVerdict::RollBack(_) => Self::RollBack,
        }
    }
}

/// What it said at one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: UnixMillis,
    pub(super) word: Word,
    /// Whether a fact had no value.
    pub(super) blind: bool,
    /// By the place of the query in [`Tried::queries`].
    pub(super) values: [Option<f64>; PLOTTED_MAX],
}

/// A step at which it said something else than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Change {
    pub(super) at: UnixMillis,
    pub(super) to: Word,
    /// What it said, and its notes.
    pub(super) text: String,
}

/// An incident that there was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Was {
    pub(super) id: IncidentId,
    pub(super) opened_at: UnixMillis,
    pub(super) settled_at: Option<UnixMillis>,
    pub(super) outcome: String,
}

/// All that came of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tried {
    pub(super) service: ServiceName,
    pub(super) policy: PolicyRef,
    pub(super) window: Window,
    /// None over recorded decisions.
    pub(super) step: Option<Millis>,
    pub(super) steps: Vec<Step>,
    pub(super) changes: Vec<Change>,
    /// What has no value how often, and why at first.
    pub(super) missing: BTreeMap<String, (u64, String)>,
    /// Whose values are kept, at most as many as are plotted.
    pub(super) queries: Vec<String>,
    pub(super) incidents: Vec<Was>,
}

impl Tried {
    pub(super) fn new(bench: &Bench, policy: &PlacedPolicy, window: Window, step: Option<Millis>) -> Self {
        Self {
            service: bench.setup.name.clone(),
            policy: policy.policy.reference().clone(),
            window,
            step,
            steps: Vec::new(),
            changes: Vec::new(),
            missing: BTreeMap::new(),
            queries: Vec::new(),
            incidents: Vec::new(),
        }
    }

    pub(super) fn count(&self, word: Word) -> usize {
        self.steps.iter().filter(|step| step.word == word).count()
    }

    /// Takes in what it said at one step, and what it saw.
    pub(super) fn add(&mut self, at: UnixMillis, word: Word, text: String, seen: Seen) {
        let mut values = [None; PLOTTED_MAX];
        let blind = !seen.missing.is_empty();
        for (what, why) in seen.missing {
            self.missing.entry(what).or_insert((0, why)).0 += 1;
        }
        for (query, value) in seen.values {
            let known = self.queries.iter().position(|known| *known == query);
            let place = known.or_else(|| {
                (self.queries.len() < PLOTTED_MAX).then(|| {
                    self.queries.push(query);
                    self.queries.len() - 1
                })
            });
            if let Some(place) = place {
                values[place] = value;
            }
        }
        if self.steps.last().is_none_or(|last| last.word != word) {
            self.changes.push(Change { at, to: word, text });
        }
        self.steps.push(Step { at, word, blind, values });
    }
}

/// What it saw at one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    /// What had no value, named the same at every step, and why.
    pub(super) missing: Vec<(String, String)>,
    /// Queries with the sum of the newest values of all their series: enough to see when something moved.
    pub(super) values: Vec<(String, Option<f64>)>,
}

impl Seen {
    pub(super) fn of(facts: &[Fact]) -> Self {
        let mut seen = Self::default();
        for fact in facts {
            if selects_nothing(fact) {
                let why =
                    fact.value.as_ref().err().map_or("it selects nothing".to_owned(), ToString::to_string);
                seen.missing.push((without_times(&fact.request), why));
            }
            let query = match &fact.request {
                Request::Metric(query) => &query.query,
                Request::MetricRange(query) => &query.query,
                _ => continue,
            };
            let newest: Vec<f64> = match &fact.value {
                Ok(Value::Metric(samples)) => samples.iter().map(|sample| sample.value).collect(),
                Ok(Value::MetricRange(series)) => {
                    series.iter().filter_map(|one| one.points.last().map(|point| point.value)).collect()
                }
                _ => Vec::new(),
            };
            seen.values.push((query.clone(), sum(newest)));
        }
        seen
    }
}

pub(super) fn sum(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    (!finite.is_empty()).then(|| finite.iter().sum())
}

/// A request that is the same at every step.
fn without_times(request: &Request) -> String {
    match request {
        Request::Metric(query) => format!("metric {}", query.query),
        Request::MetricRange(query) => format!("range {}", query.query),
        other => other.kind().to_string(),
    }
}

pub(super) async fn walk(
    bench: &Bench,
    rule: &PlacedPolicy,
    facts: &FactsThen<'_>,
    window: Window,
    step: Millis,
    progress: &Progress,
) -> Result<Tried, Failure> {
    let mut tried = Tried::new(bench, rule, window, Some(step));
    tried.incidents = facts
        .incidents_within(window)
        .into_iter()
        .map(|past| Was {
            id: past.id.clone(),
            opened_at: past.opened_at,
            settled_at: past.settled_at,
            outcome: past.outcome.to_string(),
        })
        .collect();
    let steps = usize::try_from((window.end.0 - window.start.0) / step.0).unwrap_or(usize::MAX);
    let news_every = (steps / NEWS).max(1);
    let (mut at, mut memo, mut silent) = (window.start, None::<Memo>, 0);
    while at <= window.end {
        if tried.steps.len().is_multiple_of(news_every) {
            progress.say(format!("{} of {} steps, at {}", tried.steps.len(), steps + 1, instant(at)));
        }
        let mut context = made_up::context(&bench.setup, rule, at);
        context.live_since = facts.live_since(at);
        context.memo.clone_from(&memo);
        let signals = scheduled(at).map(StandingAlert::from).into_iter().collect();
        let question = Question::Trigger(TriggerInput { context, signals, facts: Vec::new() });
        let asked = ask(rule, &question, facts).await;
        silent = if is_silent(&asked) { silent + 1 } else { 0 };
        if silent >= SILENT_MAX {
            let why = asked.missing().next().map(|(_, why)| why.to_string()).unwrap_or_default();
            return Err(Failure::failed(format!("no system answers at {}: {why}", instant(at)))
                .help("look whether the metrics source runs; `ripcord check` asks it"));
        }
        let (word, text) = said(&asked.end);
        tried.add(at, word, text, Seen::of(&asked.facts));
        if let Ok(answer) = &asked.end {
            let written_by = rule.policy.reference().version.clone();
            memo = (!answer.memo.is_empty()).then(|| Memo { written_by, bytes: answer.memo.clone() });
        }
        at = at + step;
    }
    Ok(tried)
}

/// The word, and all that was said.
fn said(end: &Result<Answer, ripcord_sandbox::Fault>) -> (Word, String) {
    match end {
        Ok(answer) => {
            let word = match &answer.verdict {
                Verdict::Trigger(verdict) => Word::of(verdict),
                _ => Word::Fault,
            };
            let notes = answer.notes.iter().map(|note| note.text.as_str());
            let said = asked::verdict(&answer.verdict);
            let reason = said.split_once(": ").filter(|_| word != Word::Watch).map(|(_, reason)| reason);
            (word, reason.into_iter().chain(notes).collect::<Vec<_>>().join("; "))
        }
        Err(fault) => (Word::Fault, fault.to_string()),
    }
}

/// Whether every system that was asked failed to answer.
fn is_silent(asked: &Asked) -> bool {
    let failed = |reason: &UnavailableReason| {
        matches!(reason, UnavailableReason::Failed | UnavailableReason::TimedOut)
    };
    !asked.facts.is_empty()
        && asked.missing().filter(|(_, why)| failed(&why.reason)).count() == asked.facts.len()
}
