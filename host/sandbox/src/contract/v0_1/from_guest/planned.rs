//! What planners of this version answer, checked.

use ripcord_core::facet::Facet;
use ripcord_core::name::ConfigurationName;
use ripcord_core::ratio::Ratio;
use ripcord_core::role::{Choice, NoHelp, PlannerVerdict, RefusedTarget, SUSPECTS_MAX, Suspect, Suspected};
use ripcord_core::target::{Strategy, Target};
use ripcord_core::time::UnixMillis;

use super::super::bindings::exports::ripcord::policy::planner;
use super::super::bindings::ripcord::policy::types;
use super::{Bad, FromGuest, Rules, checked};

impl FromGuest<planner::Refusal> for RefusedTarget {
    fn from_guest(guest: planner::Refusal, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            target: Target::from_guest(guest.target, rules)?,
            reason: String::from_guest(guest.reason, rules)?,
        })
    }
}

impl FromGuest<planner::Verdict> for PlannerVerdict {
    fn from_guest(guest: planner::Verdict, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            planner::Verdict::Choose(choice) if choice.ladder.is_empty() => {
                return Err(Bad(
                    "it chose a ladder without a target; the verdict for that is nothing-suitable".into(),
                ));
            }
            planner::Verdict::Choose(choice) => Self::Choose(Choice {
                strategy: Strategy::from_guest(choice.strategy, rules)?,
                ladder: Vec::from_guest(choice.ladder, rules)?,
                refused: Vec::from_guest(choice.refused, rules)?,
                confidence: choice.confidence.map(|sure| ratio("how sure it is", sure)).transpose()?,
            }),
            planner::Verdict::NothingSuitable(refused) => {
                Self::NothingSuitable(Vec::from_guest(refused, rules)?)
            }
            planner::Verdict::WillNotHelp(no_help) => Self::WillNotHelp(NoHelp {
                reason: String::from_guest(no_help.reason, rules)?,
                hand_over_to: Option::from_guest(no_help.hand_over_to, rules)?,
            }),
        })
    }
}

/// A number from 0 to 1; `of` says what of.
fn ratio(of: &str, number: f64) -> Result<Ratio, Bad> {
    Ratio::new(number).map_err(|error| Bad(format!("{of}: {error}")))
}

impl FromGuest<types::Facet> for Suspected {
    fn from_guest(guest: types::Facet, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            types::Facet::Model => Self::Facet(Facet::Model),
            types::Facet::Configuration(name) => {
                Self::Facet(Facet::Configuration(checked("configuration", ConfigurationName::new(name))?))
            }
            types::Facet::Fallback => Self::Facet(Facet::Fallback),
            types::Facet::Other(name) => Self::Other(String::from_guest(name, rules)?),
        })
    }
}

impl FromGuest<planner::Suspect> for Suspect {
    fn from_guest(guest: planner::Suspect, rules: &Rules) -> Result<Self, Bad> {
        let change = guest.change;
        Ok(Self {
            what: Suspected::from_guest(change.facet, rules)?,
            was: Vec::from_guest(change.was, rules)?,
            became: Vec::from_guest(change.became, rules)?,
            at: UnixMillis(change.at),
            not_before: Option::from_guest(change.not_before, rules)?,
            by: Option::from_guest(change.by, rules)?,
            noticed: String::from_guest(change.noticed, rules)?,
            verified_at: Option::from_guest(change.verified_at, rules)?,
            score: ratio("the score of a suspect", guest.score)?,
            reasons: Vec::from_guest(guest.reasons, rules)?,
        })
    }
}

/// More of them would be read by nobody; what a policy leaves out itself it can say in a note.
pub(super) fn suspects(guest: Vec<planner::Suspect>, rules: &Rules) -> Result<Vec<Suspect>, Bad> {
    if guest.len() > SUSPECTS_MAX {
        return Err(Bad(format!(
            "it names {} suspects, and a planner names {SUSPECTS_MAX} at most: leave out the least likely",
            guest.len()
        )));
    }
    Vec::from_guest(guest, rules)
}
