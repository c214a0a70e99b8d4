//! What goes between the set's journal and those of its members: one append at a time, each decided from both journals as they stand.
//!
//! Whoever dies between two appends finds the same two journals and comes to the same next append; whoever asks twice is told to wait, or that it is done.

use super::event::{MemberEnlisted, MemberHindered, OfMember, OfPart, PartEnded};
use super::{MemberState, Progress, RunMember, Set, SetEffect, SetEvent, SetPhase, SetRun};
use crate::event::{
    Enlisted, Event, Observed, PartEnd, PartGiven, PartOrder, PlanDrafted, Release, Released, Way,
};
use crate::facet::{FacetRead, Revision};
use crate::live::served;
use crate::service::{Hindrance, Membership, PartState, Phase, Service};

/// The next thing to do for an effect that is about a member.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Append this to the set's journal.
    Note(SetEvent),
    /// Append this to the member's journal. Content that it refers to lies in the set's journal: it is stored again, and referred to there.
    Tell(Event),
    /// Nothing now: the member is at work, or nothing has happened. Look again when its journal has moved on.
    Wait,
}

impl Set {
    /// The next step of `effect`, given its member as its journal says; none is one that cannot be read or does not exist.
    pub fn step(&self, effect: &SetEffect, member: Option<&Service>) -> Step {
        let Some(run) = &self.run else { return Step::Wait };
        let Some(of) = effect.member().and_then(|service| run.member(service)) else { return Step::Wait };
        match effect {
            SetEffect::Enlist { .. } => run.enlist(of, member),
            SetEffect::Part { way, .. } => self.part(run, of, *way, member),
            SetEffect::Watch { .. } => run.watch(of, member),
            SetEffect::Release { why, .. } => run.release(of, *why, member),
            SetEffect::Draft { .. } | SetEffect::Announce(_) | SetEffect::WakeAt(_) => Step::Wait,
        }
    }

    fn part(&self, run: &SetRun, of: &RunMember, way: Way, member: Option<&Service>) -> Step {
        let Some(plan) = &run.plan else { return Step::Wait };
        let part = OfPart { run: run.id.clone(), member: of.service.clone(), number: plan.number, way };
        let ended =
            |end, hindered| Step::Note(SetEvent::PartEnded(PartEnded { part: part.clone(), end, hindered }));
        let not_begun = |why| ended(PartEnd::Failed { shifted: false }, Some(why));
        if of.part(way) == Progress::Waiting {
            return Step::Note(SetEvent::PartBegan(part));
        }
        // One that cannot be read now may be again; until then nobody knows what it has done.
        let Some(member) = member else { return Step::Wait };
        let Some(known) = member.membership_of(&run.id) else {
            let other = member.membership.as_ref().map(|other| Hindrance::Outdated(other.run.clone()));
            return not_begun(other.unwrap_or(Hindrance::Unknown));
        };
        let has_it = known.number == plan.number && known.part(way) != PartState::NotGiven;
        if has_it && matches!(of.part(way), Progress::Began { .. }) {
            return Step::Note(SetEvent::PartGiven(part));
        }
        match (has_it, known.part(way), known.left) {
            (true, PartState::Ended(end), left) => ended(end, left.map(Hindrance::Left)),
            (true, _, Some(left)) => ended(PartEnd::Failed { shifted: true }, Some(Hindrance::Left(left))),
            (true, _, None) => Step::Wait,
            (false, _, Some(left)) => not_begun(Hindrance::Left(left)),
            (false, _, None) => {
                let hindered = member.hindered(&run.id, of.target.as_ref()).filter(|_| way == Way::There);
                match hindered {
                    Some(why) => not_begun(why),
                    None if is_waiting(member) => self.give(run, of, way),
                    None => Step::Wait,
                }
            }
        }
    }

    fn give(&self, run: &SetRun, of: &RunMember, way: Way) -> Step {
        let Some(plan) = &run.plan else { return Step::Wait };
        let order = match way {
            Way::There => {
                let Some(part) = plan.parts.iter().find(|part| part.member == of.service) else {
                    return Step::Wait;
                };
                PartOrder::There {
                    // A clock that jumped has moved it.
                    part: Box::new(PlanDrafted { expires_at: plan.expires_at, ..part.part.clone() }),
                    votes: self.votes_in_force(),
                    requesters: run.requesters.clone(),
                }
            }
            Way::Back => PartOrder::Back,
        };
        Step::Tell(Event::PartGiven(PartGiven {
            run: run.id.clone(),
            number: plan.number,
            plan: plan.digest,
            consent: self.consent(),
            order,
        }))
    }
}

impl SetRun {
    fn enlist(&self, of: &RunMember, member: Option<&Service>) -> Step {
        let of_member = OfMember { run: self.id.clone(), member: of.service.clone() };
        let not = |why| {
            let OfMember { run, member } = of_member.clone();
            Step::Note(SetEvent::NotEnlisted(MemberHindered { run, member, why }))
        };
        if of.state == MemberState::Waiting {
            return Step::Note(SetEvent::EnlistBegan(of_member));
        }
        let Some(member) = member else { return not(Hindrance::Unknown) };
        if let Some(known) = member.membership_of(&self.id) {
            return match known.left {
                Some(left) => not(Hindrance::Left(left)),
                None if is_waiting(member) => self.noted(member, known),
                None => Step::Wait,
            };
        }
        match member.hindered(&self.id, of.target.as_ref()) {
            Some(why) => not(why),
            None => Step::Tell(Event::Enlisted(Enlisted {
                run: self.id.clone(),
                target: of.target.clone(),
                person: self.requesters[0].clone(),
                reason: self.reason,
                until: self.until,
            })),
        }
    }

    fn noted(&self, member: &Service, known: &Membership) -> Step {
        let terms = member.terms.as_ref();
        Step::Note(SetEvent::Enlisted(MemberEnlisted {
            run: self.id.clone(),
            member: member.name.clone(),
            incident: known.incident.clone(),
            serving: serving(member),
            equipment: terms.map(|terms| terms.equipment).unwrap_or_else(|| crate::digest::Digest::of("")),
            floor: member.floor_now(),
        }))
    }

    fn watch(&self, of: &RunMember, member: Option<&Service>) -> Step {
        let (Some(member), Some(_)) = (member, of.enlisted()) else { return Step::Wait };
        let left = member.membership_of(&self.id).and_then(|known| known.left).map(Hindrance::Left);
        let may_still_move = !self.has_begun() || of.target.is_some() && of.there == Progress::Waiting;
        let hindered = member.hindered(&self.id, of.target.as_ref()).filter(|_| may_still_move);
        let over = matches!(self.phase, SetPhase::Releasing(_) | SetPhase::Ended(_));
        match left.or(hindered).filter(|_| !over && !of.is_under_way()) {
            Some(why) => Step::Note(SetEvent::MemberLost(MemberHindered {
                run: self.id.clone(),
                member: of.service.clone(),
                why,
            })),
            None => Step::Wait,
        }
    }

    fn release(&self, of: &RunMember, why: Release, member: Option<&Service>) -> Step {
        let Some(member) = member else { return Step::Wait };
        let known = member.membership_of(&self.id).filter(|known| known.left.is_none());
        match (known, member.incident.as_ref().map(|incident| &incident.phase)) {
            (None, _) => {
                let (run, member) = (self.id.clone(), of.service.clone());
                Step::Note(SetEvent::MemberReleased(OfMember { run, member }))
            }
            (Some(_), Some(Phase::Preserving | Phase::Enlisted)) => {
                Step::Tell(Event::Released(Released { run: self.id.clone(), why }))
            }
            (Some(_), _) => Step::Wait,
        }
    }
}

/// Whether the member is enlisted and nothing of it is under way.
fn is_waiting(member: &Service) -> bool {
    let phase = member.incident.as_ref().map(|incident| &incident.phase);
    member.enlisted_by().is_some() && matches!(phase, Some(Phase::Enlisted))
}

/// What was live and in force when its evidence was preserved.
fn serving(member: &Service) -> Vec<Revision> {
    let Some(incident) = &member.incident else { return Vec::new() };
    let mut serving: Vec<Revision> = match &incident.live {
        Some(Observed::Serving(shares)) => served(shares).iter().map(Revision::of_model).collect(),
        _ => Vec::new(),
    };
    serving.extend(incident.facets.iter().filter_map(FacetRead::revision));
    serving
}
