//! Who agreed: nothing is shifted that those who must agree, by the configuration in force, have not agreed to.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::event::{ApprovalWord, Event, PartGiven, PartOrder, PlanWord, Said};
use ripcord_core::name::{PersonName, RoleName};
use ripcord_core::plan::{Quorum, VoteKind};
use ripcord_core::policy::Role;
use ripcord_core::service::{Authority, Phase, Service};
use ripcord_core::target::Target;
use ripcord_core::terms::{Mode, RequesterVote, Terms};
use serde::Deserialize;

use super::Step;

/// The part of a configuration that says who people are.
#[derive(Debug, Default, Deserialize)]
struct Configuration {
    #[serde(default)]
    people: BTreeMap<PersonName, Vec<RoleName>>,
    /// How long the approval policy lets people take, where it says.
    #[serde(default)]
    people_have_ms: Option<u64>,
}

/// Who said what about the plan at hand.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// People and their roles, in force.
    people: BTreeMap<PersonName, Vec<RoleName>>,
    people_have_ms: Option<u64>,
    /// Of the plan at hand: each person's last word.
    votes: BTreeMap<PersonName, bool>,
    /// Of those who granted, who broke the glass.
    broke: BTreeSet<PersonName>,
    /// Who pulled in the open incident, and where to.
    pulls: Vec<(PersonName, Option<Target>)>,
    /// Whether all approval policies granted when they were last asked about the plan at hand.
    policies_granted: bool,
    /// Whether the policies have been asked about the votes as they are.
    asked_since_vote: bool,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        match step.event {
            Event::Configured(configured) => {
                let content = step.blob(&configured.configuration).unwrap_or_default();
                let read: Configuration = serde_json::from_slice(&content).unwrap_or_default();
                self.people = read.people;
                self.people_have_ms = read.people_have_ms;
            }
            Event::PullRequested(pull) => self.pulls.push((pull.person.clone(), pull.target.clone())),
            Event::Planned(planned) if matches!(planned.word, PlanWord::Drafted(_)) => {
                self.votes.clear();
                self.broke.clear();
                self.policies_granted = false;
                self.asked_since_vote = true;
            }
            // Whoever agreed to the set's plan agreed to this part of it; the service counts them by its own terms.
            Event::PartGiven(PartGiven { order: PartOrder::There { part, votes, requesters }, .. }) => {
                self.votes = votes.iter().map(|vote| (vote.person.clone(), vote.granted)).collect();
                self.broke.clear();
                let target = part.targets.first().cloned();
                self.pulls = requesters.iter().map(|person| (person.clone(), target.clone())).collect();
                self.policies_granted = false;
                self.asked_since_vote = true;
            }
            Event::Voted(voted) => {
                let at_hand = step.before.incident.as_ref().and_then(|incident| incident.plan());
                if at_hand.is_none_or(|plan| plan.digest != voted.plan) {
                    step.broke(
                        "votes-are-for-the-plan-at-hand",
                        format!("{} voted on another plan", voted.vote.person),
                    );
                }
                self.votes.insert(voted.vote.person.clone(), voted.vote.granted);
                self.broke.remove(&voted.vote.person);
                if voted.vote.granted && voted.vote.kind == VoteKind::BreakGlass {
                    self.broke.insert(voted.vote.person.clone());
                }
                self.asked_since_vote = false;
                self.voter_is_known(step, &voted.vote.person);
            }
            Event::ApprovalsAsked(asked) => {
                let granted =
                    |said: &Said<ApprovalWord>| matches!(said, Said::Verdict(ApprovalWord::Granted));
                self.policies_granted = asked.asked.iter().all(|one| granted(&one.said));
                self.asked_since_vote = true;
            }
            _ => {}
        }
        self.run_ordered_by_those_who_must(step);
        // What a run has made opens an incident with the very event that ends the one before.
        let ids = [step.before, step.after].map(|state| state.incident.as_ref().map(|open| &open.id));
        if ids[0] != ids[1] && !matches!(step.event, Event::PullRequested(_)) || ids[1].is_none() {
            self.pulls.clear();
        }
        self.granted_by_those_who_must(step);
    }

    fn voter_is_known(&self, step: &mut Step<'_>, person: &PersonName) {
        if !self.people.is_empty() && !self.people.contains_key(person) {
            step.broke("voters-are-known", format!("{person} voted and is nobody of this configuration"));
        }
    }

    /// The moment at which a plan becomes one that is carried out.
    fn granted_by_those_who_must(&self, step: &mut Step<'_>) {
        let Some(Phase::Authorising(waiting)) = step.before.incident.as_ref().map(|open| &open.phase) else {
            return;
        };
        let Some(open) = step.after.incident.as_ref() else { return };
        let (Phase::Acting(acting), Some(terms)) = (&open.phase, &step.after.terms) else { return };
        if acting.grant.authority == Authority::BreakGlass {
            if !self.breaks_glass(terms) {
                step.broke("glass-is-broken-by-those-who-may", "nobody who may has broken the glass");
            } else if step.after.reviews.iter().all(|review| review.incident != open.id) {
                step.broke("a-broken-glass-is-looked-at", "the glass was broken and no review is open");
            }
            return;
        }
        if terms.policies(Role::Approval).next().is_some() && !self.policies_granted {
            step.broke("granted-by-policies", "a plan went on that an approval policy has not granted");
        }
        if let Some(why) = self.missing(step.after, terms, waiting.people_because.is_some()) {
            step.broke("granted-by-people", why);
        }
    }

    /// The moment at which a plan becomes a run: its incident ends with it.
    fn run_ordered_by_those_who_must(&self, step: &mut Step<'_>) {
        if step.before.producing.run.is_some() || step.after.producing.run.is_none() {
            return;
        }
        let (Some(open), Some(terms)) = (&step.before.incident, &step.after.terms) else {
            return step.broke("granted-by-people", "a run was ordered without an incident");
        };
        if self.breaks_glass(terms) && step.after.reviews.iter().any(|review| review.incident == open.id) {
            return;
        }
        if terms.policies(Role::Approval).next().is_some() && !self.policies_granted {
            step.broke("granted-by-policies", "a run was ordered that an approval policy has not granted");
        }
        let people_because =
            matches!(&open.phase, Phase::Authorising(waiting) if waiting.people_because.is_some());
        if let Some(why) = self.missing(step.before, terms, people_because) {
            step.broke("granted-by-people", why);
        }
    }

    /// Whether somebody broke the glass for the plan at hand who may, by the people and terms in force.
    pub(crate) fn breaks_glass(&self, terms: &Terms) -> bool {
        let may = |person: &PersonName| {
            self.people.get(person).is_some_and(|own| own.iter().any(|role| terms.break_glass.contains(role)))
        };
        self.broke.iter().any(may)
    }

    /// Who is missing for the plan at hand, by the terms and people in force.
    pub(crate) fn missing(&self, service: &Service, terms: &Terms, people_because: bool) -> Option<String> {
        let mut wanted = terms.floor.clone();
        let no_floor = wanted.iter().all(|quorum| quorum.people == 0);
        let asks = terms.policies(Role::Approval).next().is_some();
        if (terms.mode == Mode::Ask || people_because || !asks) && no_floor {
            wanted.push(Quorum { role: RoleName::approver(), people: 1 });
        }
        // While something that was done by breaking the glass is still to be looked at, nobody's word is enough alone, and no policy's.
        if !service.reviews.is_empty() && wanted.iter().all(|quorum| quorum.people < 2) {
            match wanted.iter_mut().find(|quorum| quorum.people > 0) {
                Some(quorum) => quorum.people = 2,
                None => wanted.push(Quorum { role: RoleName::approver(), people: 2 }),
            }
        }
        let requesters = self.requesters(service);
        // Whoever asked is enough only where one click is all that is asked for, in whatever roles they are.
        let asked: Vec<_> = wanted.iter().filter(|quorum| quorum.people > 0).collect();
        let for_one = asked.iter().all(|quorum| quorum.people == 1 && quorum.role == asked[0].role);
        for quorum in &wanted {
            let agreed = self.agreed(quorum, &requesters, terms, for_one);
            if agreed.len() < quorum.people as usize {
                return Some(format!(
                    "{} with role {} must agree, and those who do are {agreed:?} (requested by {requesters:?})",
                    quorum.people, quorum.role
                ));
            }
        }
        None
    }

    /// Whoever pulled for the target that the plan at hand is made for.
    pub(crate) fn requesters(&self, service: &Service) -> BTreeSet<PersonName> {
        let Some(incident) = service.incident.as_ref() else { return BTreeSet::new() };
        let Some(last) = &incident.requester else { return BTreeSet::new() };
        let same = self.pulls.iter().filter(|(person, target)| *target == incident.wanted || person == last);
        same.map(|(person, _)| person.clone()).collect()
    }

    fn agreed(
        &self,
        quorum: &Quorum,
        requesters: &BTreeSet<PersonName>,
        terms: &Terms,
        for_one: bool,
    ) -> BTreeSet<PersonName> {
        let roles = |person: &PersonName| self.people.get(person).cloned().unwrap_or_default();
        let voted = self.votes.iter().filter(|(_, granted)| **granted).map(|(person, _)| person.clone());
        let mut agreed: BTreeSet<_> = voted
            .filter(|person| roles(person).contains(&quorum.role) && !requesters.contains(person))
            .collect();
        let counts = for_one || terms.requester_vote == RequesterVote::Counts;
        let one_click = for_one && quorum.role == RoleName::approver();
        for person in requesters.iter().filter(|_| counts) {
            let own = roles(person);
            if own.contains(&quorum.role) || one_click && own.contains(&RoleName::operator()) {
                agreed.insert(person.clone());
            }
        }
        agreed.retain(|person| !terms.authors.contains(person));
        agreed
    }

    /// Whether rules alone let the plan at hand go on.
    pub(crate) fn is_automatic(&self, service: &Service) -> bool {
        !self.votes.iter().any(|(person, granted)| *granted && self.people.contains_key(person))
            && self.requesters(service).is_empty()
    }

    /// How long the approval policy lets people take, where it says.
    pub(crate) fn people_have_ms(&self) -> Option<u64> {
        self.people_have_ms
    }

    /// Whether the approval policies know the votes.
    pub(crate) fn policies_know_votes(&self) -> bool {
        self.asked_since_vote
    }
}
