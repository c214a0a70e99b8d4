//! What a set does with the service, at any time, and what must hold while it is enlisted.

use ripcord_core::digest::Digest;
use ripcord_core::event::{
    Enlisted, Event, PartEnd, PartGiven, PartOrder, PlanDrafted, Release, Released, Way,
};
use ripcord_core::facet::Revision;
use ripcord_core::name::{PersonName, RoleName, SetId, SetName};
use ripcord_core::plan::{Leaving, Vote, VoteKind};
use ripcord_core::service::{Left, Membership, NeedKind, PartState, Phase, Service};
use ripcord_core::time::Millis;

use crate::dice::Dice;
use crate::outcomes::{blob, live, steps, waves};
use crate::{Seen, Walk, facets};

/// Mostly what its set would do next; else something that comes too late, or for another run.
pub(crate) fn set_says(dice: &mut Dice, service: &Service) -> Event {
    let set = SetName::new("pair").unwrap();
    let last = service.membership.as_ref().and_then(|known| known.run.number()).unwrap_or(0);
    let number = if dice.one_in(6) { last.saturating_sub(dice.below(2) as u32) } else { last };
    match service.enlisted_by() {
        None => {
            let new = last + u32::from(!dice.one_in(5));
            let target = (!dice.one_in(4)).then(|| facets::target(dice, service));
            Event::Enlisted(Enlisted {
                run: SetId::numbered(&set, new),
                target,
                person: PersonName::new(dice.pick(&["ada", "bob", "cleo"])).unwrap(),
                reason: blob(),
                until: service.at + Millis(dice.below(2 * 3_600_000)),
            })
        }
        Some(membership) => {
            let run = SetId::numbered(&set, number);
            match dice.below(8) {
                0 => {
                    let why = dice.pick(&[Release::AllWell, Release::AsBefore, Release::Unfinished]);
                    Event::Released(Released { run, why })
                }
                1 | 2 => given(dice, service, membership, run, PartOrder::Back),
                _ => {
                    let order = there(dice, service, membership);
                    given(dice, service, membership, run, order)
                }
            }
        }
    }
}

fn given(dice: &mut Dice, service: &Service, of: &Membership, run: SetId, order: PartOrder) -> Event {
    let at_hand = service.incident.as_ref().and_then(|open| open.plan()).map(|plan| plan.digest);
    let (number, plan) = match &order {
        PartOrder::There { part, .. } => (part.number, part.digest),
        PartOrder::Back => (of.number, at_hand.unwrap_or(Digest::of("none"))),
    };
    let number = if dice.one_in(10) { number.saturating_sub(1) } else { number };
    Event::PartGiven(PartGiven { run, number, plan, consent: Digest::of("consent"), order })
}

fn there(dice: &mut Dice, service: &Service, of: &Membership) -> PartOrder {
    let mut targets = facets::targets(dice, service);
    targets.truncate(2);
    let number = of.number + 1;
    let live = match service.incident.as_ref().and_then(|open| open.live.clone()) {
        Some(live) => live,
        None => live(dice, service),
    };
    let waves = waves(dice, &targets);
    let part = PlanDrafted {
        content: blob(),
        digest: Digest::of(format!("part {number} {} {}", of.run, service.incidents)),
        number,
        strategy: targets[0].strategy(),
        steps: steps(dice, targets.len(), waves.len()),
        waves,
        targets,
        live,
        facets: facets::planned(dice, service),
        leaving: if dice.one_in(8) { Leaving::Keep } else { Leaving::Condemn },
        condemns_data: Vec::new(),
        condemnations_known: service.condemnations,
        equipment: service.terms.as_ref().map_or(Digest::of(""), |terms| terms.equipment),
        preflighted: dice.one_in(3),
        expires_at: service.at + Millis(1 + dice.below(3_600_000)),
    };
    let person = |name: &str| {
        let person = PersonName::new(name).unwrap();
        let known = service.terms.as_ref().and_then(|terms| terms.person(&person));
        Vote {
            key: known.and_then(|known| Some(known.keys.first()?.key)),
            person,
            roles: vec![RoleName::approver()],
            granted: true,
            at: service.at,
            kind: VoteKind::Session,
        }
    };
    let votes = ["ada", "bob", "cleo"].into_iter().filter(|_| !dice.one_in(4)).map(person).collect();
    PartOrder::There { part: Box::new(part), votes, requesters: vec![PersonName::new("ada").unwrap()] }
}

impl Walk {
    /// What a set has enlisted it alone moves, one part after the other, and condemns nothing before it is released.
    pub(crate) fn check_membership(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let known = |service: &Service| service.membership.clone();
        let (was, now) = (known(before), known(&self.service));
        let Some(now) = now else { return };
        seen.enlisted += usize::from(matches!(event, Event::Enlisted(_)));
        if let Some(was) = was.filter(|was| was.run == now.run) {
            self.check_parts(&was, &now, before, event, seen);
        }
        let Some(membership) = self.service.enlisted_by() else {
            if now.left.is_none() {
                self.fail("its incident is over, and it is still taken for enlisted");
            }
            return;
        };
        let incident = self.service.incident.as_ref().unwrap();
        let given = |way: Way| membership.part(way) == PartState::Given;
        match &incident.phase {
            Phase::Preserving | Phase::Enlisted => {
                if given(Way::There) || given(Way::Back) {
                    self.fail("a part is under way, and nothing is done for it");
                }
            }
            Phase::Acting(acting) => {
                let way = if given(Way::Back) { Way::Back } else { Way::There };
                if !given(way) || acting.rung != way.rung() {
                    self.fail("it acts on another rung than that of its part");
                }
            }
            Phase::Authorising(_) => {}
            Phase::NeedsPerson(need) if need.question == NeedKind::DidTheShiftHappen => {}
            other => self.fail(&format!("what its set decides is decided otherwise: {other:?}")),
        }
        let condemned = |(revision, hold): (&Revision, &ripcord_core::service::Hold)| {
            (hold.incident == incident.id).then(|| revision.clone())
        };
        if let Some(revision) = self.service.holds.iter().find_map(condemned) {
            self.fail(&format!("{revision:?} is condemned before all of the set is well"));
        }
    }

    fn check_parts(
        &self,
        was: &Membership,
        now: &Membership,
        before: &Service,
        event: &Event,
        seen: &mut Seen,
    ) {
        for way in [Way::There, Way::Back] {
            let (PartState::Given, PartState::Ended(end)) = (was.part(way), now.part(way)) else { continue };
            let well = !end.is_failure();
            let looked = matches!(event, Event::ReadBack(_) | Event::VerificationsAsked(_));
            if well && !looked {
                self.fail("a part is in place by something else than a read-back or a verification");
            }
            match (way, end) {
                (Way::There, PartEnd::Failed { .. }) => seen.parts_failed += 1,
                (Way::There, _) => seen.parts_moved += 1,
                (Way::Back, _) => seen.parts_back += 1,
            }
        }
        if let (None, Some(left)) = (was.left, now.left) {
            match left {
                Left::Released => seen.released += 1,
                Left::Expired => seen.membership_expired += 1,
                Left::ByPerson | Left::WithoutEvidence => seen.left_otherwise += 1,
            }
            let holds = |service: &Service| {
                service.holds.values().filter(|hold| hold.incident == was.incident).count()
            };
            let well = matches!(event, Event::Released(Released { why: Release::AllWell, .. }));
            if holds(&self.service) > holds(before) && !well {
                self.fail("what was left is condemned although not all of the set is well");
            }
            seen.condemned_after_all += usize::from(holds(&self.service) > 0);
        }
    }
}

#[test]
fn whatever_happens_the_rules_hold_for_members_of_sets() {
    let mut seen = Seen::default();
    for seed in 0..2_000 {
        let mut walk = Walk { sets: true, ..Walk::new(seed) };
        for _ in 0..crate::STEPS {
            walk.step(&mut seen);
        }
    }
    let enough = seen.enlisted > 1_000
        && seen.parts_moved > 100
        && seen.parts_failed > 300
        && seen.parts_back > 20
        && seen.released > 300
        && seen.membership_expired > 50
        && seen.left_otherwise > 50
        && seen.condemned_after_all > 10;
    assert!(enough, "{seen:?}");
}
