//! Rolls back when one class of outcomes spikes: its share of all outcomes is beyond a limit, or beyond a multiple of
//! its own earlier share.
//!
//! Missing data and too few outcomes never trigger: the policy watches, and its notes say what is missing. The share must be beyond its limits over the
//! time since what is live became so as well: the outcomes of before are not held against it.

mod settings;
mod shares;

pub use settings::{Baseline, Exceeds, Settings};

use ripcord_sdk::prelude::*;
use shares::State;

/// The policy.
#[derive(Debug)]
pub struct ErrorClassTrigger;

ripcord_sdk::export!(ErrorClassTrigger: trigger);

/// What is remembered between decisions: that a rollback was proposed and not withdrawn yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    raised: bool,
}

impl Policy for ErrorClassTrigger {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Trigger for ErrorClassTrigger {
    const FACTS: &'static [FactKind] = &[FactKind::MetricRange, FactKind::Metric];

    fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
        let memo: Raised = case.memo();
        let recheck = case.now() + settings.recheck;
        let assessment = match shares::judge(case, facts, settings)? {
            State::Missing(why) => Assessment::watch(recheck).note(Note::warning(why)).remember(&memo),
            State::TooFew(why) => Assessment::watch(recheck).note(Note::info(why)).remember(&memo),
            State::Beyond(text) => {
                // When harm began is not known: the window only says that it shows by now.
                let proposal = Proposal::new(text).by(settings.strategy).with(settings.urgency);
                Assessment::roll_back(proposal).remember(&Raised { raised: true })
            }
            // Something else is live than what this was raised about.
            State::Before(text) if memo.raised && case.context.incident.is_some() => {
                Assessment::stand_down(text)
            }
            State::Before(text) => Assessment::watch(recheck).note(Note::info(text)).remember(&memo),
            State::Well(text) if memo.raised || case.all_resolved() => Assessment::stand_down(text),
            State::Well(text) => Assessment::ignore().note(Note::info(text)),
        };
        Ok(assessment)
    }
}
