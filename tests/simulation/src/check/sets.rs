//! Services that move together: all or none are begun with, one after the other, as people have agreed, and each run ends.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::event::{Event, PartOrder, Way};
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{PersonName, RoleName, ServiceName, SetId};
use ripcord_core::plan::Quorum;
use ripcord_core::service::Service;
use ripcord_core::set::{Set, SetEvent, SetPhase};
use ripcord_core::terms::RequesterVote;

use super::{Broken, Step};
use crate::trace::Trace;

/// All that is known of a set.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(super) set: Set,
    pub(super) tip: Tip,
    /// Of the plan at hand: each person's last word.
    votes: BTreeMap<PersonName, bool>,
    /// Members that a run has enlisted, as their journals say.
    enlisted: BTreeMap<SetId, BTreeSet<ServiceName>>,
    /// Parts that members were given, as their journals say.
    given: BTreeSet<(SetId, ServiceName, u32, Way)>,
    /// Runs that ended, by how.
    pub(super) ended: BTreeMap<String, u64>,
}

impl Watched {
    pub(super) fn new(set: Set) -> Self {
        Self {
            set,
            tip: Tip::START,
            votes: BTreeMap::new(),
            enlisted: BTreeMap::new(),
            given: BTreeSet::new(),
            ended: BTreeMap::new(),
        }
    }

    /// A record of the set's own journal.
    pub(super) fn appended(&mut self, record: &Record, trace: &Trace, broken: &mut Vec<Broken>) {
        let service = record.service.clone();
        let mut broke = |rule, what: String| broken.push(Broken { rule, service: service.clone(), what });
        let envelope = match record.read::<SetEvent>(self.tip) {
            Ok(envelope) => envelope,
            Err(error) => return broke("journal-is-a-chain", error.to_string()),
        };
        let after = match self.set.apply(envelope.at, &envelope.event) {
            Ok(after) => after,
            Err(illegal) => {
                return broke("state-is-the-fold", format!("{illegal}: {:?}", envelope.event));
            }
        };
        trace.set_event(&after.name, envelope.at, &envelope.event, &after);
        if envelope.at < self.set.at {
            broke("time-goes-on", format!("{:?} after {:?}", envelope.at, self.set.at));
        }
        match &envelope.event {
            SetEvent::Drafted(_) => self.votes.clear(),
            SetEvent::Voted(voted) => {
                self.votes.insert(voted.vote.person.clone(), voted.vote.granted);
            }
            SetEvent::PartBegan(of) => {
                let members: BTreeSet<_> = after
                    .run
                    .iter()
                    .flat_map(|run| &run.members)
                    .map(|member| member.service.clone())
                    .collect();
                let enlisted = self.enlisted.get(&of.run).cloned().unwrap_or_default();
                if enlisted != members {
                    broke("a-set-begins-with-all", format!("{enlisted:?} of {members:?} were ever enlisted"));
                }
            }
            _ => {}
        }
        let phase = |set: &Set| set.run.as_ref().map(|run| run.phase.clone());
        if let (Some(SetPhase::Authorising { .. }), Some(SetPhase::Acting(_))) =
            (phase(&self.set), phase(&after))
            && let Some(why) = missing(&after, &self.votes)
        {
            broke("granted-by-people", why);
        }
        let under_way: Vec<_> = after
            .run
            .iter()
            .flat_map(|run| &run.members)
            .filter(|member| member.is_under_way())
            .map(|member| &member.service)
            .collect();
        if under_way.len() > 1 {
            broke("one-part-at-a-time", format!("{under_way:?} are under way"));
        }
        if let (Some(_), None, Some(last)) = (&self.set.run, &after.run, &after.last)
            && let SetPhase::Ended(outcome) = last.phase
        {
            *self.ended.entry(outcome.to_string()).or_default() += 1;
        }
        (self.set, self.tip) = (after, record.tip());
    }

    /// A record of a member's journal that is about a run.
    pub(super) fn of_member(&mut self, step: &mut Step<'_>) {
        let member = step.before.name.clone();
        match step.event {
            Event::Enlisted(enlisted) => {
                let is_first = self.enlisted.entry(enlisted.run.clone()).or_default().insert(member);
                if !is_first {
                    step.broke("enlisted-once", format!("`{}` enlists it twice", enlisted.run));
                }
            }
            Event::PartGiven(given) => {
                let way = given.order.way();
                if !self.given.insert((given.run.clone(), member.clone(), given.number, way)) {
                    step.broke("a-part-is-given-once", format!("`{}` gives it twice", given.run));
                }
                let run = self.set.run.as_ref().filter(|run| run.id == given.run);
                let plan = run.and_then(|run| run.plan.as_ref());
                let Some((run, plan)) = run.zip(plan) else {
                    return step.broke("a-part-is-of-a-run", format!("`{}` does not go on", given.run));
                };
                let began = run.members.iter().any(|of| of.service == member && of.part(way).is_under_way());
                if !began {
                    step.broke(
                        "a-part-is-of-a-run",
                        "there is no intent for it in the set's journal".to_owned(),
                    );
                }
                if plan.digest != given.plan {
                    step.broke(
                        "plan-is-what-was-approved",
                        "the part is of another plan than the set's".to_owned(),
                    );
                }
                if let PartOrder::There { votes, .. } = &given.order {
                    for vote in votes.iter().filter(|vote| vote.granted) {
                        if self.votes.get(&vote.person) != Some(&true) {
                            step.broke("granted-by-people", format!("{} did not agree", vote.person));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Who is missing for the plan at hand, by the set's floor and those of the members that move, as they were enlisted.
fn missing(set: &Set, votes: &BTreeMap<PersonName, bool>) -> Option<String> {
    let (run, terms) = (set.run.as_ref()?, set.terms.as_ref()?);
    let moving = run.members.iter().filter(|member| member.target.is_some());
    let floors = moving.filter_map(|member| member.enlisted()).flat_map(|enlisted| &enlisted.floor);
    let mut wanted: BTreeMap<&RoleName, u32> = BTreeMap::new();
    for Quorum { role, people } in terms.floor.iter().chain(floors) {
        let most = wanted.entry(role).or_default();
        *most = (*most).max(*people);
    }
    let for_one = wanted.values().all(|people| *people <= 1);
    for (role, people) in wanted {
        let may = |person: &PersonName| {
            let known = terms.people.iter().find(|known| known.name == *person);
            known.is_some_and(|known| known.roles.contains(role))
        };
        let asked = |person: &PersonName| run.requesters.contains(person);
        let counts = for_one || terms.requester_vote == RequesterVote::Counts;
        let agreed = votes.iter().filter(|(person, granted)| **granted && may(person) && !asked(person));
        // Whoever asked agrees, where that counts.
        let asking = run.requesters.iter().filter(|_| counts);
        let most = agreed.count() + asking.count();
        if most < people as usize {
            return Some(format!("{people} with role {role} must agree, and at most {most} have"));
        }
    }
    None
}

/// Whether what a set waits for ends: people know what is wanted of them, or it is over.
pub(super) fn check<'a>(
    watched: &Watched,
    member: impl Fn(&ServiceName) -> Option<&'a Service>,
) -> Result<(), String> {
    let set = &watched.set;
    if let Some(out) = set.outbox.first() {
        return Err(format!("{} waits to be told", out.id));
    }
    let Some(run) = &set.run else { return Ok(()) };
    match run.phase {
        SetPhase::Authorising { .. } | SetPhase::NeedsPerson { .. } => Ok(()),
        _ => {
            // A member that waits for people, or that people have paused, holds it up.
            let waits = |service: &Service| {
                use ripcord_core::service::Phase;
                let phase = service.incident.as_ref().map(|open| &open.phase);
                service.paused_by.is_some()
                    || matches!(phase, Some(Phase::Authorising(_) | Phase::NeedsPerson(_)))
            };
            if run.members.iter().filter_map(|of| member(&of.service)).any(waits) {
                return Ok(());
            }
            Err(format!("`{}` is still {}", run.id, run.phase.name()))
        }
    }
}
