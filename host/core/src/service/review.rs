//! Breaking the glass: one person's word in place of floor and policies, and the look at it afterwards.

use serde::{Deserialize, Serialize};

use super::{Illegal, Service};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::AboutIncident;
use crate::name::{IncidentId, PersonName, RoleName};
use crate::plan::{Quorum, VoteKind};
use crate::signal::Severity;
use crate::terms::KnownPerson;
use crate::time::UnixMillis;

/// Open reviews of one service. People are told of each that makes room for another.
pub const REVIEWS_MAX: usize = 32;

/// People who must agree while a review is open, where nothing else asks for more than one.
const PEOPLE_MEANWHILE: u32 = 2;

/// Something that was done by breaking the glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// In which incident.
    pub incident: IncidentId,
    /// Who did it, the last one where several did.
    pub person: PersonName,
    /// Who else did, in this incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<PersonName>,
    /// For which plan last.
    pub plan: Digest,
    /// When.
    pub since: UnixMillis,
}

impl Review {
    fn is_of(&self, person: &PersonName) -> bool {
        self.person == *person || self.others.contains(person)
    }
}

impl Service {
    /// Who broke the glass for the plan at hand, and may do so now.
    pub(super) fn breaks_glass(&self) -> Option<PersonName> {
        // Who may not do so any more counts as anyone there.
        let votes = self.votes_in_force();
        votes
            .into_iter()
            .rfind(|vote| vote.granted && vote.kind == VoteKind::BreakGlass)
            .map(|vote| vote.person)
    }

    /// Refuses who may not.
    pub(super) fn must_break_glass(&self, person: &PersonName) -> Result<(), Illegal> {
        let Some(terms) = &self.terms else { return Err(Illegal::UnknownPerson(person.clone())) };
        if terms.person(person).is_none() {
            return Err(Illegal::UnknownPerson(person.clone()));
        }
        if terms.may_break_glass(person) {
            return Ok(());
        }
        let roles: Vec<_> = terms.break_glass.iter().map(|role| format!("`{role}`")).collect();
        let roles = if roles.is_empty() { "nobody".to_owned() } else { roles.join(" or ") };
        Err(Illegal::NoBreakGlass { person: person.clone(), roles })
    }

    /// It must be looked at afterwards.
    pub(super) fn must_review(&mut self, person: PersonName) {
        let Some(incident) = &self.incident else { return };
        let (id, target) = (incident.id.clone(), incident.target(0).map(ToString::to_string));
        let Some(plan) = incident.plan().map(|plan| plan.digest) else { return };
        if let Some(known) = self.reviews.iter_mut().find(|review| review.incident == id) {
            // The same word, granted again under other terms.
            if known.person == person && known.plan == plan {
                return;
            }
            known.plan = plan;
            let before = std::mem::replace(&mut known.person, person.clone());
            if before != person && !known.others.contains(&before) {
                known.others.push(before);
            }
            known.others.retain(|other| *other != person);
        } else {
            let (incident, person, since) = (id.clone(), person.clone(), self.at);
            self.reviews.push(Review { incident, person, others: Vec::new(), plan, since });
        }
        let text = format!(
            "{person} broke the glass for `{id}`{}: one person alone, past floor and policies; when it has ended somebody else looks at it and says so by `ripcord review close {id} --reason TEXT`; until then no plan of `{}` is carried out on one person's word or a policy's",
            target.map(|target| format!(" ({target})")).unwrap_or_default(),
            self.name
        );
        self.tell(Topic::BrokeGlass, Severity::Critical, text);
        if self.reviews.len() > REVIEWS_MAX {
            let forgotten = self.reviews.remove(0);
            let text = format!(
                "{REVIEWS_MAX} reviews of `{}` are open: that of `{}`, where {} broke the glass, makes room and was never closed; `ripcord incidents show {}` says what was done",
                self.name, forgotten.incident, forgotten.person, forgotten.incident
            );
            self.tell(Topic::ReviewForgotten, Severity::Warning, text);
        }
    }

    /// Whoever may agree to plans may close one of somebody else's; where nobody else may, one's own.
    pub(super) fn review_closed(&mut self, about: &AboutIncident) -> Result<(), Illegal> {
        let Some(terms) = &self.terms else { return Err(Illegal::NoReview(about.incident.clone())) };
        let person = terms.person(&about.person);
        let person = person.ok_or_else(|| Illegal::UnknownPerson(about.person.clone()))?;
        let Some(place) = self.reviews.iter().position(|review| review.incident == about.incident) else {
            return Err(Illegal::NoReview(about.incident.clone()));
        };
        let review = &self.reviews[place];
        let closers = self.review_closers();
        let may = |known: &KnownPerson| known.roles.iter().any(|role| closers.contains(role));
        if !may(person) {
            let roles: Vec<_> = closers.iter().map(|role| format!("`{role}`")).collect();
            let (person, roles) = (about.person.clone(), roles.join(" or "));
            return Err(Illegal::MayNotReview { person, roles });
        }
        if review.is_of(&about.person)
            && terms.people.iter().any(|known| !review.is_of(&known.name) && may(known))
        {
            return Err(Illegal::OwnReview(about.incident.clone()));
        }
        if self.incident.as_ref().is_some_and(|open| open.id == about.incident) {
            return Err(Illegal::ReviewedTooSoon(about.incident.clone()));
        }
        self.reviews.remove(place);
        // A plan that waits was asked more people than there have to be now.
        self.grant_if_enough();
        Ok(())
    }

    /// Roles whose people close reviews: those who agree to plans.
    pub fn review_closers(&self) -> Vec<RoleName> {
        let floor = self.terms.iter().flat_map(|terms| &terms.floor).filter(|quorum| quorum.people > 0);
        let mut roles: Vec<_> = floor.map(|quorum| quorum.role.clone()).collect();
        roles.push(RoleName::approver());
        roles.sort();
        roles.dedup();
        roles
    }

    /// The floor as an open review raises it: what a set must reckon with.
    pub(crate) fn floor_now(&self) -> Vec<Quorum> {
        let mut floor = self.terms.as_ref().map(|terms| terms.floor.clone()).unwrap_or_default();
        self.want_meanwhile(&mut floor);
        floor
    }

    /// While a review is open, no plan is carried out on one person's word, and none on a policy's.
    pub(super) fn want_meanwhile(&self, wanted: &mut Vec<Quorum>) {
        if self.reviews.is_empty() || wanted.iter().any(|quorum| quorum.people >= PEOPLE_MEANWHILE) {
            return;
        }
        // Of those who agree anyway, where anybody does.
        match wanted.iter_mut().find(|quorum| quorum.people > 0) {
            Some(known) => known.people = PEOPLE_MEANWHILE,
            None => wanted.push(Quorum { role: RoleName::approver(), people: PEOPLE_MEANWHILE }),
        }
    }

    /// For people: which reviews are open.
    pub(super) fn reviews_open(&self) -> Option<String> {
        let [first, others @ ..] = self.reviews.as_slice() else { return None };
        if self.incident.as_ref().is_some_and(|open| open.id == first.incident) {
            return Some(format!(
                "{} broke the glass in this incident: until its review is closed, which takes its end, two people agree, or the glass is broken again",
                first.person
            ));
        }
        let more = match others.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(format!(
            "the review of `{0}`, where {1} broke the glass, is open{more}: `ripcord review close {0} --reason TEXT`",
            first.incident, first.person
        ))
    }
}
