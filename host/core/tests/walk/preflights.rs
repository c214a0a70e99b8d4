//! What may come of a preflight, and of taking its candidate away.

use ripcord_core::digest::Digest;
use ripcord_core::event::*;
use ripcord_core::policy::Role;
use ripcord_core::service::Service;

use crate::dice::Dice;
use crate::outcomes::{blob, nature, place, verifications};

pub(crate) fn cleared(dice: &mut Dice) -> Event {
    Event::CandidateCleared(CandidateCleared { failed: dice.one_in(4).then(blob) })
}

pub(crate) fn preflighted(dice: &mut Dice, plan: Digest, rung: u32, round: u32) -> Event {
    let word = match dice.below(10) {
        0 => PreflightWord::Unfit(blob()),
        1 => PreflightWord::NotDone { reason: blob(), nature: nature(dice) },
        _ => PreflightWord::Fits,
    };
    Event::Preflighted(Preflighted { plan, rung, round, word, findings: None })
}

pub(crate) fn preflight(
    dice: &mut Dice,
    service: &Service,
    plan: Digest,
    rung: u32,
    round: u32,
) -> Vec<Event> {
    if dice.one_in(12) {
        return vec![Event::StageFailed(StageFailed {
            plan,
            rung,
            reason: blob(),
            nature: nature(dice),
            lies_in: place(dice),
        })];
    }
    let mut events = vec![Event::PreflightBegan(PreflightBegan { plan, rung, round })];
    // One in four dies in between.
    if dice.one_in(4) {
        return events;
    }
    let tried = preflighted(dice, plan, rung, round);
    let fits = matches!(&tried, Event::Preflighted(tried) if tried.word == PreflightWord::Fits);
    events.push(tried);
    if fits && service.terms.as_ref().unwrap().policies(Role::Verification).next().is_some() {
        events.push(verifications(dice, service, TrialPhase::Preflight(PlannedRung { plan, rung }), round));
    }
    events.push(cleared(dice));
    events
}
