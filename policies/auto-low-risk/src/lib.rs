//! Grants what is of low risk without people, and waits for people otherwise.
//!
//! Every reason why people are needed is said. What this policy does not know is never of low risk.

mod risk;
mod settings;

pub use settings::{Criticality, Settings};

use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct AutoLowRisk;

ripcord_sdk::export!(AutoLowRisk: approval);

impl Policy for AutoLowRisk {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Approval for AutoLowRisk {
    const FACTS: &'static [FactKind] = &[FactKind::Votes];

    fn authorize(case: &ApprovalCase, facts: &Facts, settings: &Settings) -> Step<ApprovalAnswer> {
        let reasons = risk::reasons_for_people(case, settings);
        if reasons.is_empty() {
            return Ok(ApprovalAnswer::granted().note(Note::info(risk::why_granted(case))));
        }
        let answer = settings.otherwise.judge(case, facts.votes().get()?);
        let text = format!("people must agree: {}", reasons.join("; "));
        Ok(answer.note(Note::info(text)))
    }
}
