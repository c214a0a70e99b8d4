//! Rolls back when a metric is over or under a limit for long enough.
//!
//! The limit is absolute, or relative to the metric's own value at an earlier time. Missing data and too few events
//! never trigger: the policy watches, and its notes say what is missing. What a value tells of the time before what is live became so is not held
//! against it.

mod evidence;
mod own;
mod settings;
mod subject;

pub use settings::Settings;

use evidence::{Evidence, State};
use own::{Before, Whose};
use ripcord_sdk::contract::types::Instant;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::{Hysteresis, readable};
use subject::Subject;

/// The policy.
#[derive(Debug)]
pub struct ThresholdTrigger;

ripcord_sdk::export!(ThresholdTrigger: trigger);

/// What is remembered between decisions: that a rollback was proposed and not withdrawn yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    raised: bool,
}

impl Policy for ThresholdTrigger {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Trigger for ThresholdTrigger {
    const FACTS: &'static [FactKind] = &[FactKind::MetricRange, FactKind::Live];

    fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
        let memo: Raised = case.memo();
        let recheck = case.now() + settings.recheck;
        let subject = match Subject::of(case, facts, settings)? {
            Subject::Judge(subject) => subject,
            Subject::Unknown(why) => {
                return Ok(Assessment::watch(recheck).note(Note::warning(why)).remember(&memo));
            }
            Subject::Younger(text) if memo.raised => return Ok(Assessment::stand_down(text)),
            Subject::Younger(text) => return Ok(Assessment::ignore().note(Note::info(text))),
        };
        let (asked, settings) = (settings, subject.as_ref());
        let now = case.now() - settings.as_of.unwrap_or_default();
        let assessment = match Evidence::gather(now, Instant::MIN, facts, settings)?.judge() {
            State::Missing(why) => Assessment::watch(recheck).note(Note::warning(why)).remember(&memo),
            State::TooFew(why) => Assessment::watch(recheck).note(Note::info(why)).remember(&memo),
            // Time without values does not count: `held` ends at the last value, not now.
            State::Beyond { since, held, text } if held >= settings.for_at_least => {
                match own::judge(case, facts, asked, (since, &text))? {
                    Whose::Live(since) => {
                        let proposal =
                            Proposal::new(text).by(settings.strategy).with(settings.urgency).since(since);
                        Assessment::roll_back(proposal).remember(&Raised { raised: true })
                    }
                    // Something else is live than what this was raised about, or nothing fires any more.
                    Whose::Before(Before { text, is_well, .. })
                        if memo.raised && case.context.incident.is_some()
                            || is_well && case.all_resolved() =>
                    {
                        Assessment::stand_down(text)
                    }
                    Whose::Before(Before { text, until, .. }) => {
                        Assessment::watch(until).note(Note::info(text)).remember(&memo)
                    }
                }
            }
            State::Beyond { since, text, .. } => {
                let now_enough = since + settings.as_of.unwrap_or_default() + settings.for_at_least;
                let until = now_enough.max(case.now() + settings.sampling.step);
                Assessment::watch(until).note(Note::info(text)).remember(&memo)
            }
            State::Well(text) if memo.raised || case.all_resolved() => Assessment::stand_down(text),
            State::Well(text) => Assessment::ignore().note(Note::info(text)),
        };
        Ok(assessment)
    }
}

impl Settings {
    /// What the metric is called in texts.
    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.metric.query)
    }

    /// One sentence with the value and the limit.
    fn sentence(&self, value: f64, condition: &Hysteresis, held: Option<Duration>, origin: &str) -> String {
        let (side, limit) = (self.when, readable(condition.enter()));
        let relation = match held {
            None => format!("not {side} the limit {limit}"),
            Some(held) if side.is_beyond(value, condition.enter()) => {
                format!("{side} the limit {limit} for {held}")
            }
            Some(held) => {
                format!(
                    "not yet back at {}, {held} after it went {side} the limit {limit}",
                    readable(condition.leave())
                )
            }
        };
        format!("{} is {}, {relation}{origin}", self.title(), readable(value))
    }
}
