//! Random walks: members, people, other people's deployments, deaths and late messages in any order. A walk is reproduced by its seed.

use std::collections::BTreeSet;

use ripcord_core::event::{
    AboutIncident, Event, Happened, PendingPlan, PersonSaid, PullRequested, ShiftAnswered,
};
use ripcord_core::name::{ServiceName, SetId};
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use ripcord_core::service::{NeedKind, Phase};
use ripcord_core::set::{AboutRun, IfPartFails, SetEvent};
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;

use crate::dice::Dice;
use crate::world::{Death, World, approvers, blob, name, person, verifier, version};

const WALKS: u64 = 1_000;
const STEPS: usize = 250;
const MEMBERS: [&str; 3] = ["features", "model", "rules"];
const VERSIONS: [&str; 4] = ["1", "2", "3", "4"];
const PEOPLE: [&str; 4] = ["ada", "bob", "cleo", "dan"];

#[derive(Debug, Default)]
struct Seen {
    ends: BTreeSet<String>,
    deaths: usize,
    late: usize,
    shifts: usize,
    pulls_refused: usize,
    left: usize,
}

struct Walk {
    seed: u64,
    dice: Dice,
    world: World,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let goes = if dice.below(100) < 60 { IfPartFails::Back } else { IfPartFails::Forward };
        let mut world = World::new(&MEMBERS, goes);
        for member in MEMBERS {
            let (two, verified, blind) = (dice.below(100) < 30, dice.below(100) < 40, dice.below(100) < 10);
            world.configure(member, |terms| {
                if two {
                    terms.floor = approvers(2);
                }
                if verified {
                    terms.policies = vec![verifier()];
                }
                if blind {
                    terms.deployer = EffectClass::Idempotent;
                }
            });
            for text in VERSIONS {
                let (refuses, vanishes, unwell) =
                    (dice.below(100) < 10, dice.below(100) < 5, dice.below(100) < 10);
                let member = world.member(member);
                let of = [
                    (refuses, &mut member.refuses),
                    (vanishes, &mut member.vanishes),
                    (unwell, &mut member.unwell),
                ];
                of.into_iter().filter(|(is_so, _)| *is_so).for_each(|(_, of)| of.extend([text.to_owned()]));
            }
        }
        Self { seed, dice, world }
    }

    fn member(&mut self) -> &'static str {
        self.dice.pick(&MEMBERS)
    }

    /// Whatever may happen next; what cannot happen is refused.
    fn step(&mut self, seen: &mut Seen) {
        match self.dice.below(100) {
            0..82 => self.act(),
            82..84 => {
                seen.deaths += 1;
                let ahead = usize::try_from(self.dice.below(6)).unwrap();
                self.world.deaths.push(self.world.points + 1 + ahead);
            }
            84..86 => self.world.start_again(),
            86..88 => self.late(seen),
            88..90 => self.time(),
            90 if self.dice.below(3) == 0 => {
                let (member, to) = (self.member(), self.dice.pick(&VERSIONS));
                self.world.member(member).live = to.into();
            }
            _ => self.person(seen),
        }
        if self.world.set.last.is_some() {
            seen.ends.insert(self.world.outcome());
        }
    }

    /// The set or one of its members does what is owed.
    fn act(&mut self) {
        let done = if self.dice.below(100) < 40 {
            self.world.act_of_set()
        } else {
            let member = self.member();
            self.world.act_of(&name(member))
        };
        if let Err(Death) = done {
            self.world.start_again();
        }
    }

    /// An order that a host had decided on arrives once more, or for the first time after all.
    fn late(&mut self, seen: &mut Seen) {
        if self.world.told.is_empty() {
            return;
        }
        let index = usize::try_from(self.dice.below(self.world.told.len() as u64)).unwrap();
        let (member, event) = self.world.told[index].clone();
        let known = self.world.members[&member].journal.iter().any(|(_, known)| *known == event);
        let taken = self.world.tell(member.as_str(), event.clone()).is_ok();
        seen.late += 1;
        assert!(!(known && taken), "seed {}: {event:?} was taken twice by {member}", self.seed);
    }

    fn time(&mut self) {
        let by = match self.dice.below(8) {
            0 => Millis::hours(1),
            1 => Millis::minutes(10),
            _ => Millis::minutes(1),
        };
        self.world.now = self.world.now + by;
    }

    fn person(&mut self, seen: &mut Seen) {
        let (who, member) = (self.dice.pick(&PEOPLE), self.member());
        let said = PersonSaid { person: person(who), reason: blob() };
        let incident = self.world.service(member).incident.as_ref().map(|open| open.id.clone());
        let about = |incident| AboutIncident { incident, person: person(who), reason: blob() };
        let run = self.world.set.run.as_ref().map(|run| run.id.clone());
        let about_run = |run| AboutRun { run, person: person(who), reason: blob() };
        match (self.dice.below(24), incident, run) {
            (0, ..) => drop(self.world.tell(member, Event::Paused(said))),
            (1 | 2, ..) => drop(self.world.tell(member, Event::Resumed(said))),
            (3, Some(incident), _) => drop(self.world.tell(member, Event::Aborted(about(incident)))),
            (4, Some(incident), _) => drop(self.world.tell(member, Event::Dismissed(about(incident)))),
            (5, incident, _) => {
                let enlisted = self.world.service(member).enlisted_by().is_some();
                let pull = PullRequested {
                    incident,
                    person: person(who),
                    roles: Vec::new(),
                    target: Some(version(self.dice.pick(&VERSIONS))),
                    reason: blob(),
                    urgency: Urgency::Urgent,
                    leaving: Leaving::Condemn,
                    pending: PendingPlan::Replace,
                    break_glass: false,
                };
                let taken = self.world.tell(member, Event::PullRequested(pull)).is_ok();
                assert!(!(enlisted && taken), "seed {}: a pull joined an enlisted member", self.seed);
                seen.pulls_refused += usize::from(enlisted);
            }
            (6, _, Some(run)) => drop(self.world.note(SetEvent::Aborted(about_run(run)))),
            (7, _, Some(run)) => drop(self.world.note(SetEvent::Dismissed(about_run(run)))),
            (8, _, Some(_)) if self.world.is_authorising() => drop(self.world.vote(who, false)),
            (9..19, _, Some(_)) if self.world.is_authorising() => drop(self.world.vote(who, true)),
            _ => {
                let mut targets = Vec::new();
                for member in MEMBERS {
                    if self.dice.below(100) < 60 {
                        targets.push((member, self.dice.pick(&VERSIONS)));
                    }
                }
                drop(self.world.ask(who, &targets));
            }
        }
    }

    /// What must hold in every state.
    fn check(&self) {
        let world = &self.world;
        let acting = world.members.values().filter(|member| {
            let enlisted = member.service.enlisted_by().is_some();
            let phase = member.service.incident.as_ref().map(|open| open.phase_name());
            enlisted && !matches!(phase, Some("preserving evidence" | "waiting for its set"))
        });
        let acting: Vec<_> = acting.map(|member| &member.service.name).collect();
        assert!(acting.len() <= 1, "seed {}: parts of {acting:?} go on at once", self.seed);
    }

    /// A state is what its journal says.
    fn check_fold(&self) {
        let mut again = self.world.clone();
        again.start_again();
        assert_eq!(again.set, self.world.set, "seed {}", self.seed);
        for (name, member) in &self.world.members {
            assert_eq!(again.members[name].service, member.service, "seed {}", self.seed);
        }
    }

    /// Nobody disturbs it any more: everything comes to its end.
    fn finish(&mut self, seen: &mut Seen) {
        for member in MEMBERS {
            let said = PersonSaid { person: person("dan"), reason: blob() };
            // One that is not paused stays so.
            drop(self.world.tell(member, Event::Resumed(said)));
        }
        for _ in 0..60 {
            for _ in 0..400 {
                match self.world.act() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(Death) => self.world.start_again(),
                }
            }
            self.check();
            self.answer();
            self.world.now = self.world.now + Millis::minutes(10);
        }
        self.check_fold();
        assert!(self.world.set.run.is_none(), "seed {}: {:#?}", self.seed, self.world.set);
        for (member, of) in &self.world.members {
            assert!(of.service.enlisted_by().is_none(), "seed {}: {member} {:#?}", self.seed, of.service);
            self.check_journal(member);
            seen.left += usize::from(of.service.membership.is_some());
        }
        seen.ends.extend(self.world.set.last.iter().map(|_| self.world.outcome()));
        seen.shifts += self.world.shifts.len();
    }

    /// Whether a shift happened, the people of its service say.
    fn answer(&mut self) {
        for member in MEMBERS {
            let service = self.world.service(member);
            let Some(incident) = &service.incident else { continue };
            let asked = matches!(&incident.phase, Phase::NeedsPerson(need) if need.question == NeedKind::DidTheShiftHappen);
            if asked && service.enlisted_by().is_some() {
                let answered = ShiftAnswered {
                    incident: incident.id.clone(),
                    question: incident.questions,
                    person: person("dan"),
                    applied: Happened::NotApplied,
                    reason: blob(),
                };
                self.world.tell(member, Event::ShiftAnswered(answered)).unwrap();
            }
        }
    }

    /// A run enlists a member once, and gives it each part once.
    fn check_journal(&self, member: &ServiceName) {
        let (mut enlisted, mut given) = (BTreeSet::<&SetId>::new(), BTreeSet::new());
        for (_, event) in &self.world.members[member].journal {
            let new = match event {
                Event::Enlisted(of) => enlisted.insert(&of.run),
                Event::PartGiven(of) => given.insert((&of.run, of.number, of.order.way())),
                _ => true,
            };
            assert!(new, "seed {}: {event:?} stands twice in the journal of {member}", self.seed);
        }
    }
}

#[test]
fn whatever_happens_a_set_comes_to_an_end_and_nothing_is_done_twice() {
    let mut seen = Seen::default();
    for seed in 0..WALKS {
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.step(&mut seen);
            walk.check();
        }
        walk.finish(&mut seen);
    }
    // A walk that meets nothing proves nothing.
    for end in
        ["moved", "went back", "nothing moved", "not all members could be enlisted", "refused", "aborted"]
    {
        assert!(seen.ends.contains(end), "{end}: {seen:?}");
    }
    for end in ["ended by a person", "expired"] {
        assert!(seen.ends.contains(end), "{end}: {seen:?}");
    }
    assert!(
        seen.deaths > 1_000 && seen.late > 500 && seen.shifts > 500 && seen.pulls_refused > 50,
        "{seen:?}"
    );
    assert!(seen.left > 500, "{seen:?}");
}
