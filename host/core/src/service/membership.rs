//! A service as a member of a set: it is enlisted, carries out its part, and is released. One incident spans all of it, so nothing else moves the
//! service meanwhile.
//!
//! Everything is fenced: a run enlists a service once, a part is accepted only for the enlistment that is in force, and the service leaves by itself
//! when the time is up that it was enlisted for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Acting, Illegal, Incident, NeedKind, Opener, Phase, Service};
use crate::effect::Topic;
use crate::event::{Enlisted, PartEnd, PartGiven, PartOrder, PlanDrafted, Reason, Release, Released, Way};
use crate::facet::Revision;
use crate::fact::Outcome;
use crate::name::{IncidentId, PersonName, ServiceName, SetId};
use crate::role::Urgency;
use crate::signal::{Origin, Severity};
use crate::target::{Strategy, Target};
use crate::terms::Mode;
use crate::time::UnixMillis;

/// What a service knows of the run of a set that enlisted it last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// Which run.
    pub run: SetId,
    /// The incident that stands for it.
    pub incident: IncidentId,
    /// At most so long.
    pub until: UnixMillis,
    /// The set's plan that the service had a part of last, from one; 0 before the first.
    pub number: u32,
    /// The part to the target.
    pub there: PartState,
    /// The part back.
    pub back: PartState,
    /// Why the last part failed, for people.
    pub why: Option<String>,
    /// What its ladder had come to when the part ended: the way back goes on from there.
    pub acting: Option<Acting>,
    /// None while the service is enlisted.
    pub left: Option<Left>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartState {
    /// The service knows of none.
    NotGiven,
    /// It is being carried out.
    Given,
    /// So.
    Ended(PartEnd),
}

/// Why a service is no longer enlisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// The set released it.
    Released,
    /// The set did not come for it in time.
    Expired,
    /// A person ended its incident.
    ByPerson,
    /// Its evidence could not be preserved, and it is required.
    WithoutEvidence,
}

/// Why a service cannot be enlisted, or does not carry out its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// There is no service of that name, or its journal cannot be read.
    Unknown,
    /// Another incident is open.
    Taken(IncidentId),
    /// A person stopped all acting on it.
    Paused(PersonName),
    /// Its mode is `observe`.
    Observes,
    /// What it is to move to is held.
    Held(Revision),
    /// It knows this run already, or a later one of the same set.
    Outdated(SetId),
    /// It left.
    Left(Left),
    /// It did not answer in time.
    TooSlow,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Released => "it was released",
            Self::Expired => "its set did not come for it in time",
            Self::ByPerson => "a person ended its incident",
            Self::WithoutEvidence => "its evidence could not be preserved, and it is required",
        })
    }
}

impl Hindrance {
    /// For people, after the name of the service that it hinders: what happened, and what they can do.
    pub fn of(&self, service: &ServiceName) -> String {
        match self {
            Self::Unknown => {
                "there is no such service, or its journal cannot be read: `ripcord status` says which"
                    .to_owned()
            }
            Self::Taken(incident) => format!(
                "incident `{incident}` is open: settle that first; `ripcord incidents show {incident}` says what it waits for"
            ),
            Self::Paused(person) => {
                format!("`{person}` paused it: `ripcord resume {service}` lets it go on")
            }
            Self::Observes => {
                "its mode is observe, so nothing of it is shifted: set another mode in the configuration"
                    .to_owned()
            }
            Self::Held(revision) => format!(
                "`{}` is held: lift the hold first with `ripcord hold lift {service} {} --reason TEXT`, or name another target",
                revision.as_text(),
                revision.as_text()
            ),
            Self::Outdated(run) => format!("it knows `{run}` already: ask for a new run"),
            Self::Left(left) => left.to_string(),
            Self::TooSlow => {
                format!("it could not be enlisted in time: `ripcord status {service}` says what it waits for")
            }
        }
    }
}

impl Membership {
    /// The part that goes this way.
    pub const fn part(&self, way: Way) -> PartState {
        match way {
            Way::There => self.there,
            Way::Back => self.back,
        }
    }

    fn part_mut(&mut self, way: Way) -> &mut PartState {
        match way {
            Way::There => &mut self.there,
            Way::Back => &mut self.back,
        }
    }

    /// The part that is being carried out.
    fn under_way(&self) -> Option<Way> {
        [Way::There, Way::Back].into_iter().find(|way| self.part(*way) == PartState::Given)
    }
}

impl Service {
    /// What it knows of this run; none if the run never enlisted it.
    pub fn membership_of(&self, run: &SetId) -> Option<&Membership> {
        self.membership.as_ref().filter(|membership| membership.run == *run)
    }

    /// The membership that the open incident stands for, while it lasts.
    pub fn enlisted_by(&self) -> Option<&Membership> {
        let (membership, open) = (self.membership.as_ref()?, self.incident.as_ref()?);
        (membership.left.is_none() && membership.incident == open.id).then_some(membership)
    }

    /// Why this run cannot enlist it, or, where it has, why nothing more of it may begin; none if nothing hinders it.
    pub fn hindered(&self, run: &SetId, target: Option<&Target>) -> Option<Hindrance> {
        let known = self.membership_of(run);
        if let Some(left) = known.and_then(|membership| membership.left) {
            return Some(Hindrance::Left(left));
        }
        let later = self.membership.as_ref().filter(|last| {
            last.run != *run && last.run.set() == run.set() && last.run.number() > run.number()
        });
        if let Some(later) = later {
            return Some(Hindrance::Outdated(later.run.clone()));
        }
        if let (None, Some(open)) = (known, &self.incident) {
            return Some(Hindrance::Taken(open.id.clone()));
        }
        if self.terms.as_ref().is_none_or(|terms| terms.mode == Mode::Observe) {
            return Some(Hindrance::Observes);
        }
        if let Some(person) = &self.paused_by {
            return Some(Hindrance::Paused(person.clone()));
        }
        let held = target.and_then(Target::revision).filter(|revision| self.is_held(revision));
        held.map(Hindrance::Held)
    }

    /// The run has the right to shift from here on.
    pub(super) fn enlisted(&mut self, enlisted: &Enlisted) -> Result<(), Illegal> {
        let known = self.membership_of(&enlisted.run).is_some();
        if known
            || enlisted.until <= self.at
            || self.hindered(&enlisted.run, enlisted.target.as_ref()).is_some()
        {
            return Err(Illegal::Stale);
        }
        let strategy = enlisted.target.as_ref().map_or(Strategy::Version, Target::strategy);
        let reason = Reason {
            cause: enlisted.reason,
            strategy,
            urgency: Urgency::Urgent,
            harm_began_at: None,
            facts: None,
        };
        self.open(reason, Opener::Set(enlisted.run.clone()), enlisted.target.clone());
        let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
        incident.add_requester(&enlisted.person);
        self.membership = Some(Membership {
            run: enlisted.run.clone(),
            incident: incident.id.clone(),
            until: enlisted.until,
            number: 0,
            there: PartState::NotGiven,
            back: PartState::NotGiven,
            why: None,
            acting: None,
            left: None,
        });
        Ok(())
    }

    /// The part is carried out as any other plan: staged, guarded, shifted, read back, verified.
    pub(super) fn part_given(&mut self, given: &PartGiven) -> Result<(), Illegal> {
        let at = self.at;
        let membership = self.enlisted_by().ok_or(Illegal::Stale)?;
        let waits = matches!(self.open_incident()?.phase, Phase::Enlisted);
        if membership.run != given.run || at >= membership.until || !waits {
            return Err(Illegal::Stale);
        }
        match &given.order {
            PartOrder::There { part, votes, requesters } => {
                let again = matches!(
                    membership.there,
                    PartState::NotGiven | PartState::Ended(PartEnd::Failed { .. })
                );
                if !again || given.number <= membership.number || membership.back != PartState::NotGiven {
                    return Err(Illegal::Stale);
                }
                self.takes_part(given, part)?;
                let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
                requesters.iter().for_each(|person| incident.add_requester(person));
                incident.votes.hand_on(votes);
                self.membership_mut(|membership| {
                    membership.number = given.number;
                    membership.there = PartState::Given;
                    (membership.why, membership.acting) = (None, None);
                });
                self.authorise(Some(format!("`{}` moves by the word of people", given.run)), None, None);
                self.part_is_agreed_to_by(at + self.deadlines().approval);
            }
            PartOrder::Back => {
                let ended = matches!(membership.there, PartState::Ended(end) if end.has_moved());
                let acting = membership.acting.clone();
                let first = membership.back == PartState::NotGiven && given.number == membership.number;
                let listed = self.open_incident()?.target(Way::Back.rung()).is_some();
                let (true, true, true, Some(acting)) = (ended, first, listed, acting) else {
                    return Err(Illegal::Stale);
                };
                self.is_at_hand(given.plan)?;
                self.membership_mut(|membership| {
                    membership.back = PartState::Given;
                    membership.why = None;
                });
                let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
                incident.phase = Phase::Acting(acting.at_rung(Way::Back.rung(), at));
            }
        }
        Ok(())
    }

    /// Where the service's own rules ask for more, the other members do not wait for it until the run is over.
    fn part_is_agreed_to_by(&mut self, end: UnixMillis) {
        if let Some(Phase::Authorising(authorising)) =
            self.incident.as_mut().map(|incident| &mut incident.phase)
        {
            authorising.expires_at = authorising.expires_at.min(end);
        }
    }

    /// The part is the plan at hand: its target, and after that at most the way back, both of one facet.
    fn takes_part(&mut self, given: &PartGiven, part: &PlanDrafted) -> Result<(), Illegal> {
        let at = self.at;
        let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
        let facet = part.targets.first().and_then(Target::facet);
        let moves_one = facet.is_some() && part.targets.iter().all(|target| target.facet() == facet);
        let number = incident.plan_number() + 1;
        if !moves_one || !(1..=2).contains(&part.targets.len()) || part.digest != given.plan {
            return Err(Illegal::Stale);
        }
        incident.plans.push(PlanDrafted { number, ..part.clone() });
        incident.leaving = part.leaving;
        incident.extension = crate::time::Millis(0);
        incident.marks.planned_at = Some(at);
        Ok(())
    }

    /// The service is free again.
    pub(super) fn released(&mut self, released: &Released) -> Result<(), Illegal> {
        let membership = self.enlisted_by().ok_or(Illegal::Stale)?;
        if membership.run != released.run {
            return Err(Illegal::Stale);
        }
        match self.open_incident()?.phase {
            Phase::Preserving | Phase::Enlisted => {
                self.leave_set(Left::Released, released.why);
                Ok(())
            }
            _ => Err(Illegal::Stale),
        }
    }

    /// Nobody came for it: whatever the set is doing, it does not do it here any more.
    pub(super) fn membership_expired(&mut self) {
        self.leave_set(Left::Expired, Release::Unfinished);
    }

    /// Ends the incident as its parts have left the service.
    fn leave_set(&mut self, left: Left, why: Release) {
        let Some(membership) = self.enlisted_by().cloned() else { return };
        self.membership_mut(|membership| {
            membership.left = Some(left);
            membership.acting = None;
        });
        let run = &membership.run;
        let nothing = || (Outcome::Other("released by its set".into()), "nothing was shifted");
        let (outcome, text) = match (membership.there, membership.back) {
            (_, PartState::Ended(PartEnd::Moved | PartEnd::AlreadyThere)) => {
                (Outcome::Other("went back with its set".into()), "what was live before is live again")
            }
            (PartState::Ended(PartEnd::Failed { shifted: true }), _) | (_, PartState::Ended(_)) => {
                if left == Left::Released {
                    (Outcome::SettledByPerson, "a person ended the run and left the service as it is")
                } else {
                    let (id, name) = (&membership.incident, &self.name);
                    let why = membership.why.as_deref().unwrap_or("its part failed");
                    let text = format!(
                        "`{run}` is over and has left it half done ({why}): look at the service, then `ripcord pull {name} --to VERSION` names a version, `ripcord dismiss {id}` ends it"
                    );
                    self.need_person(NeedKind::WhatNow, text);
                    return;
                }
            }
            (PartState::Ended(PartEnd::Moved), _) => (self.moved_to(), "its part is in place"),
            (PartState::Ended(PartEnd::AlreadyThere), _) => {
                (Outcome::RestoredElsewhere, "its part was in place already")
            }
            _ => nothing(),
        };
        // Whatever the set says: only what its own part has left.
        let in_place = matches!(membership.there, PartState::Ended(PartEnd::Moved | PartEnd::AlreadyThere))
            && membership.back == PartState::NotGiven;
        if in_place && why == Release::AllWell {
            self.condemn_what_the_part_left();
        }
        let text = format!("`{run}` is over; {text}");
        self.settle(outcome, &text);
    }

    /// What someone else has put back since is not condemned in their face: whether it does harm is judged as of anything that others put live.
    fn condemn_what_the_part_left(&mut self) {
        let rung = Way::There.rung();
        let target = self.incident.as_ref().and_then(|incident| incident.target(rung)).cloned();
        let Some(target) = target else { return };
        if target.revision().is_some_and(|revision| self.production.serves(&revision)) {
            self.condemn_what_was_left(rung, &target);
        } else {
            let text = format!(
                "someone else has moved `{}` from {target} while its set was moving, so nothing of it is condemned: look at what is live",
                self.name
            );
            self.tell(Topic::PartFailed, Severity::Warning, text);
        }
    }

    fn moved_to(&self) -> Outcome {
        let target = self.incident.as_ref().and_then(|incident| incident.target(Way::There.rung()));
        let falls_back = target.and_then(Target::revision).is_some_and(|revision| revision.is_safe_mode());
        if falls_back { Outcome::FellBack } else { Outcome::RolledBack }
    }

    fn membership_mut(&mut self, change: impl FnOnce(&mut Membership)) {
        if let Some(membership) = &mut self.membership {
            change(membership);
        }
    }

    /// Whether what ends the incident otherwise ends only the part at hand: the set says what comes next.
    pub(super) fn ends_part(&mut self, outcome: &Outcome, text: &str) -> bool {
        let end = match outcome {
            Outcome::RolledBack | Outcome::FellBack => PartEnd::Moved,
            Outcome::RestoredElsewhere => PartEnd::AlreadyThere,
            _ => PartEnd::Failed { shifted: self.may_have_shifted() },
        };
        self.end_part(end, text)
    }

    /// The part at hand failed; false if none is at hand.
    pub(super) fn part_failed(&mut self, why: &str) -> bool {
        self.end_part(PartEnd::Failed { shifted: self.may_have_shifted() }, why)
    }

    /// Whether the parts of the open incident may have changed what is live. A step ends before that is known only where people are asked.
    fn may_have_shifted(&self) -> bool {
        match self.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Acting(acting)) => !acting.shifted.is_empty(),
            Some(Phase::NeedsPerson(need)) => need.resume.as_ref().is_some_and(Acting::is_past_pivot),
            Some(Phase::Authorising(authorising)) => {
                authorising.resume.as_ref().is_some_and(|acting| !acting.shifted.is_empty())
            }
            _ => false,
        }
    }

    fn end_part(&mut self, end: PartEnd, text: &str) -> bool {
        let Some(way) = self.enlisted_by().and_then(Membership::under_way) else { return false };
        let Some(incident) = &mut self.incident else { return false };
        let before = std::mem::replace(&mut incident.phase, Phase::Enlisted);
        let id = incident.id.clone();
        let acting = match before {
            Phase::Acting(acting) => Some(acting),
            Phase::Authorising(authorising) => authorising.resume,
            Phase::NeedsPerson(need) => need.resume,
            _ => None,
        };
        let (at, mut over) = (self.at, false);
        self.membership_mut(|membership| {
            *membership.part_mut(way) = PartState::Ended(end);
            membership.acting = acting.or(membership.acting.take());
            if end.is_failure() {
                membership.why = Some(text.to_owned());
            }
            over = at >= membership.until;
        });
        if end.is_failure() {
            let text = format!("the part of `{}` in its set failed (`{id}`): {text}", self.name);
            self.tell(Topic::PartFailed, Severity::Warning, text);
        }
        if over {
            self.membership_expired();
        }
        true
    }

    /// A person has ended the incident, or its evidence did: the set is told when it looks.
    pub(super) fn leaves_set(&mut self, left: Left) {
        let of_this = |membership: &Membership| membership.left.is_none();
        if self.enlisted_by().is_some_and(of_this) {
            self.membership_mut(|membership| {
                membership.left = Some(left);
                membership.acting = None;
            });
        }
    }

    /// Whether what would be asked of a person is for the set to decide.
    pub(super) fn hands_to_set(&mut self, why: &str) -> bool {
        if self.part_failed(why) {
            return true;
        }
        let phase = self.incident.as_ref().map(|incident| &incident.phase);
        let waits = matches!(phase, Some(Phase::Preserving | Phase::Enlisted));
        if !waits || self.enlisted_by().is_none() {
            return false;
        }
        self.leaves_set(Left::WithoutEvidence);
        self.settle(Outcome::Other("released by its set".into()), why);
        true
    }

    /// Whether the way back is at hand: it leads to what was live before, which need not be well.
    pub(super) fn goes_back(&self) -> bool {
        self.enlisted_by().is_some_and(|membership| membership.back == PartState::Given)
    }

    /// Why a pull cannot join: the set has the right to shift.
    pub(super) fn held_by_set(&self) -> Option<Illegal> {
        let membership = self.enlisted_by()?;
        Some(Illegal::MovesWithSet { incident: membership.incident.clone(), run: membership.run.clone() })
    }
}

impl Incident {
    fn add_requester(&mut self, person: &PersonName) {
        let origin = Origin::Person(person.to_string());
        if !self.requested_by.contains(&origin) {
            self.requested_by.push(origin);
        }
        if !self.requesters.contains(person) {
            self.requesters.push(person.clone());
        }
        self.requester.get_or_insert_with(|| person.clone());
    }
}
