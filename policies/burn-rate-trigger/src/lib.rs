//! Rolls back when the error budget of an objective burns too fast in a long and a short window, by the method of
//! Google's "The Site Reliability Workbook", chapter 5.
//!
//! Missing data and too few events never trigger: the policy watches, and its notes say what is missing. The budget must burn too fast over the time
//! since what is live became so as well: what burned before is not held against it.

mod burn;
mod settings;

pub use settings::{Settings, Then, Windows};

use burn::State;
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct BurnRateTrigger;

ripcord_sdk::export!(BurnRateTrigger: trigger);

/// What is remembered between decisions: that a rollback was proposed and not withdrawn yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    raised: bool,
}

impl Policy for BurnRateTrigger {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Trigger for BurnRateTrigger {
    const FACTS: &'static [FactKind] = &[FactKind::MetricRange, FactKind::Metric];

    fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
        let memo: Raised = case.memo();
        let ends = memo.raised || case.all_resolved();
        let (mut notes, mut proposals) = (Vec::new(), Vec::new());
        let (mut unknown, mut burning, mut well, mut before) = (false, false, Vec::new(), Vec::new());
        for (windows, state) in burn::states(case, facts, settings)? {
            match state {
                State::Both(text) if windows.then == Then::RollBack => proposals.push((windows, text)),
                State::Both(text) => {
                    burning = true;
                    notes.push(Note::warning(text));
                }
                State::Before(text) => before.push(text),
                State::One(text) => {
                    burning |= ends && windows.then == Then::RollBack;
                    notes.push(Note::info(text));
                }
                State::Neither(text) => well.push(text),
                State::Missing(why) => {
                    unknown = true;
                    notes.push(Note::warning(why));
                }
                State::TooFew(why) => {
                    unknown = true;
                    notes.push(Note::info(why));
                }
            }
        }
        // `max_by_key` takes the last of equals, so the order is turned round.
        let worst = proposals.into_iter().rev().max_by_key(|(windows, _)| windows.urgency);
        let assessment = match worst {
            Some((windows, text)) => {
                let proposal = Proposal::new(text).by(settings.strategy).with(windows.urgency);
                Assessment::roll_back(proposal).remember(&Raised { raised: true })
            }
            // Something else is live than what this was raised about.
            None if !before.is_empty() && memo.raised && case.context.incident.is_some() => {
                Assessment::stand_down(before.join("; "))
            }
            None if !before.is_empty() => Assessment::watch(case.now() + settings.recheck)
                .notes(before.into_iter().map(Note::info))
                .remember(&memo),
            None if unknown || burning => Assessment::watch(case.now() + settings.recheck).remember(&memo),
            None if ends => Assessment::stand_down(well.join("; ")),
            None => Assessment::ignore().notes(well.into_iter().map(Note::info)),
        };
        Ok(assessment.notes(notes))
    }
}
