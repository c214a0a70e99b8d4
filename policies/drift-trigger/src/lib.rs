//! Rolls back when counts by class, of one feature or of many, have moved away from those of the last good period: farther than a limit, and
//! farther than chance would.
//!
//! Missing data, too few events and distributions that cannot be compared never trigger: the policy says which and why. What has moved must have moved over
//! the time since what is live became so as well.

mod features;
mod settings;

pub use settings::{Baseline, Measure, Settings};

use features::State;
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct DriftTrigger;

ripcord_sdk::export!(DriftTrigger: trigger);

/// What is remembered between decisions: that a rollback was proposed and not withdrawn yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    raised: bool,
}

impl Policy for DriftTrigger {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Trigger for DriftTrigger {
    const FACTS: &'static [FactKind] = &[FactKind::History, FactKind::Metric, FactKind::MetricRange];

    fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
        let memo: Raised = case.memo();
        let recheck = case.now() + settings.recheck;
        let again = |note: Note| Assessment::watch(recheck).note(note).remember(&memo);
        let assessment = match features::judge(case, facts, settings)? {
            State::Missing(why) => again(Note::warning(why)),
            State::TooFew(why) => again(Note::info(why)),
            State::Moved { text, open } => {
                // When harm began is not known: the window only says that it shows by now.
                let proposal = Proposal::new(text).by(settings.strategy).with(settings.urgency);
                Assessment::roll_back(proposal).notes(open).remember(&Raised { raised: true })
            }
            // Something else is live than what this was raised about.
            State::Before(text) if memo.raised && case.context.incident.is_some() => {
                Assessment::stand_down(text)
            }
            State::Before(text) => again(Note::info(text)),
            State::Steady { text, open: Some(open) } => {
                // What is not judged may be what was raised about, so nothing is taken back.
                let assessment = if memo.raised || case.all_resolved() {
                    Assessment::watch(recheck)
                } else {
                    Assessment::ignore()
                };
                assessment.note(Note::info(text)).note(open).remember(&memo)
            }
            State::Steady { text, open: None } if memo.raised || case.all_resolved() => {
                Assessment::stand_down(text)
            }
            State::Steady { text, open: None } => Assessment::ignore().note(Note::info(text)),
        };
        Ok(assessment)
    }
}
