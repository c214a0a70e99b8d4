//! Services with several facets: what may be read of them, what may be planned, and what must hold.

use std::collections::BTreeSet;

use ripcord_core::blob::BlobRef;
use ripcord_core::event::*;
use ripcord_core::facet::{FALLBACK_OFF, Facet, FacetRead, FacetState, InForce, Revision, read_of};
use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::name::{ConfigurationName, VersionName};
use ripcord_core::service::{Phase, Service, StepState};
use ripcord_core::standing::Standing;
use ripcord_core::target::{ConfigurationTarget, FallbackTarget, Target, VersionTarget};
use ripcord_core::terms::{EffectClass, FacetTerms};

use crate::dice::Dice;
use crate::outcomes::{blob, version};
use crate::{Seen, Walk};

fn configuration(name: &str) -> Facet {
    Facet::Configuration(ConfigurationName::new(name).unwrap())
}

/// None, some or all of them.
pub(crate) fn terms(dice: &mut Dice) -> Vec<FacetTerms> {
    let all = [configuration("thresholds"), configuration("prompt"), Facet::Fallback];
    let classes =
        [EffectClass::Idempotent, EffectClass::Conditional, EffectClass::Observable, EffectClass::Blind];
    let of = |(facet, class, proof_min)| FacetTerms { facet, class, proof_min };
    let kept = dice.pick(&[0, 1, 2, 3, 3, 3]);
    let each = all.into_iter().take(kept).map(|facet| (facet, dice.pick(&classes), weakest(dice)));
    each.map(of).collect()
}

fn weakest(dice: &mut Dice) -> Proof {
    dice.pick(&[Proof::ControlPlane, Proof::Answer])
}

fn configured(service: &Service) -> Vec<Facet> {
    let terms = service.terms.iter().flat_map(|terms| &terms.facets);
    terms.map(|terms| terms.facet.clone()).collect()
}

fn name_of(dice: &mut Dice, facet: &Facet) -> VersionName {
    match facet {
        Facet::Model => version(dice),
        Facet::Configuration(_) => VersionName::new(dice.pick(&["c1", "c2", "c3"])).unwrap(),
        Facet::Fallback => {
            VersionName::new(dice.pick(&[FALLBACK_OFF, FALLBACK_OFF, "rules", "constant"])).unwrap()
        }
    }
}

fn in_force(revision: VersionName, proof: Proof) -> FacetState<BlobRef> {
    FacetState::InForce(InForce { revision, digest: None, proof })
}

/// A look: mostly what was seen last.
pub(crate) fn seen(dice: &mut Dice, service: &Service) -> Vec<ObservedFacet> {
    let mut looks = Vec::new();
    for facet in configured(service) {
        let last = service.production.facets.get(&facet).cloned();
        let state = match (dice.below(12), last) {
            (0, _) => FacetState::Unknown(blob()),
            (2.., Some(last)) => FacetState::InForce(last),
            (4.., None) if facet == Facet::Fallback => {
                in_force(VersionName::new(FALLBACK_OFF).unwrap(), Proof::Answer)
            }
            _ => in_force(name_of(dice, &facet), Proof::Answer),
        };
        looks.push(FacetRead { facet, state });
    }
    looks
}

/// What a plan has seen: mostly what evidence has.
pub(crate) fn planned(dice: &mut Dice, service: &Service) -> Vec<ObservedFacet> {
    match &service.incident {
        Some(incident) if !dice.one_in(6) && incident.plans.is_empty() => incident.facets.clone(),
        _ => seen(dice, service),
    }
}

/// A look before a shift: mostly what the plan has seen.
pub(crate) fn guarded(dice: &mut Dice, service: &Service) -> Vec<ObservedFacet> {
    let mut looks = match service.incident.as_ref().and_then(|incident| incident.plan()) {
        Some(plan) => plan.facets.clone(),
        None => return seen(dice, service),
    };
    if dice.one_in(6) {
        return overlaid(dice, service, looks);
    }
    for look in &mut looks {
        match dice.below(24) {
            0 => look.state = FacetState::Unknown(blob()),
            1 => look.state = in_force(name_of(dice, &look.facet), Proof::Answer),
            _ => {}
        }
    }
    looks
}

/// A look after a shift: mostly what the plan has seen, with the target in force.
pub(crate) fn read_back(dice: &mut Dice, service: &Service) -> Vec<ObservedFacet> {
    let looks = guarded(dice, service);
    if dice.one_in(4) { looks } else { overlaid(dice, service, looks) }
}

fn overlaid(dice: &mut Dice, service: &Service, mut looks: Vec<ObservedFacet>) -> Vec<ObservedFacet> {
    let incident = service.incident.as_ref();
    let target = incident.and_then(|incident| match &incident.phase {
        Phase::Acting(acting) => incident.target(acting.rung)?.revision(),
        _ => None,
    });
    if let Some(target) = target {
        let proof = dice.pick(&[Proof::ControlPlane, Proof::Answer, Proof::Digest]);
        for look in looks.iter_mut().filter(|look| look.facet == target.facet) {
            look.state = in_force(target.name.clone(), proof);
        }
    }
    looks
}

fn facet(dice: &mut Dice, service: &Service) -> Facet {
    let others = configured(service);
    if others.is_empty() || dice.one_in(2) { Facet::Model } else { dice.pick(&others) }
}

pub(crate) fn revision(dice: &mut Dice, service: &Service) -> Revision {
    let held: Vec<_> = service.holds.keys().cloned().collect();
    if !held.is_empty() && dice.one_in(3) {
        return dice.pick(&held);
    }
    let facet = facet(dice, service);
    Revision { name: name_of(dice, &facet), facet }
}

fn target_of(dice: &mut Dice, facet: &Facet) -> Target {
    let name = name_of(dice, facet);
    match facet {
        Facet::Model => Target::Version(VersionTarget { version: name, digest: None }),
        Facet::Fallback => Target::Fallback(FallbackTarget { mode: name, digest: None }),
        Facet::Configuration(of) => {
            Target::Configuration(ConfigurationTarget { name: of.clone(), revision: name, digest: None })
        }
    }
}

pub(crate) fn target(dice: &mut Dice, service: &Service) -> Target {
    let facet = facet(dice, service);
    target_of(dice, &facet)
}

/// A ladder of one facet; one in eight is of several, as no plan may be.
pub(crate) fn targets(dice: &mut Dice, service: &Service) -> Vec<Target> {
    let (facet, rungs) = (facet(dice, service), dice.below(3));
    let mixed = dice.one_in(8);
    let each = (0..=rungs).map(|_| if mixed { target(dice, service) } else { target_of(dice, &facet) });
    each.collect()
}

/// Whether it is a plan for the open incident whose targets are of several facets.
pub(crate) fn is_mixed(service: &Service, event: &Event) -> bool {
    let Event::Planned(Planned { word: PlanWord::Drafted(plan), incident, .. }) = event else { return false };
    let facets: BTreeSet<_> = plan.targets.iter().map(Target::facet).collect();
    service.incident.as_ref().is_some_and(|open| open.id == *incident) && facets.len() > 1
}

/// Whether what was read is what the plan has seen.
fn is_as_planned(now: Option<&FacetState<BlobRef>>, then: Option<&FacetState<BlobRef>>) -> bool {
    match (now, then) {
        (Some(FacetState::InForce(now)), Some(FacetState::InForce(then))) => now.revision == then.revision,
        (Some(FacetState::Unknown(_)), Some(FacetState::Unknown(_))) => true,
        _ => false,
    }
}

impl Walk {
    pub(crate) fn check_facets(&self, before: &Service, event: &Event, seen: &mut Seen) {
        self.check_kept();
        self.check_guard(before, event, seen);
        self.check_read_back(before, event, seen);
        self.check_condemned(before, seen);
        self.check_earned(before, event, seen);
    }

    /// Everything has a bound, and nothing is made of what nothing is configured for.
    fn check_kept(&self) {
        let service = &self.service;
        let configured: BTreeSet<_> = configured(service).into_iter().collect();
        if service.production.facets.keys().any(|facet| !configured.contains(facet)) {
            self.fail("a facet is taken to be in force that is not configured");
        }
        if service.combinations.len() > 32 || service.production.moves.len() > 64 {
            self.fail("more combinations or moves are kept than there is room for");
        }
    }

    /// A guard lets pass only where all other facets are as the plan has seen them, whether or not the target is in force already.
    fn check_guard(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let Event::GuardRead(read) = event else { return };
        let step = |service: &Service| match service.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Acting(acting)) => Some(acting.step.clone()),
            _ => None,
        };
        let incident = before.incident.as_ref().unwrap();
        let (plan, target) = (incident.plan().unwrap(), incident.target(read.rung).unwrap());
        let moved = target.facet().unwrap();
        let all = plan.facets.iter().chain(&read.facets).map(|read| &read.facet);
        let others = all
            .filter(|facet| **facet != moved)
            .all(|facet| is_as_planned(read_of(&read.facets, facet), read_of(&plan.facets, facet)));
        let unknown = |live: &Observed| matches!(live, Observed::Unknown(_));
        let model = moved == Facet::Model
            || read.live.state().same_identity(&plan.live.state())
            || unknown(&read.live) && unknown(&plan.live);
        let passed = match step(&self.service) {
            Some(StepState::Shifting(_)) => true,
            Some(StepState::ReadingBack { .. }) => {
                let shown = match &moved {
                    Facet::Model => {
                        let live = read.live.state();
                        live.serves(target) || live.shows(target, plan.moves(read.wave))
                    }
                    facet => read_of(&read.facets, facet).and_then(FacetState::known).is_some_and(|known| {
                        Some(&known.revision) == target.revision().map(|to| to.name).as_ref()
                    }),
                };
                if !shown {
                    self.fail("read back without a shift, and the target is not in force");
                }
                true
            }
            _ => false,
        };
        if passed && !(others && model) {
            self.fail("a guard let pass although another facet is not as planned");
        }
        seen.others_moved += usize::from(!(passed || others && model));
        seen.facet_shifts += usize::from(passed && moved != Facet::Model);
    }

    /// What is taken for the target is in force, proved as strongly as its own facet asks for.
    fn check_read_back(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let Event::ReadBack(read) = event else { return };
        let waited = before.incident.as_ref().unwrap();
        let both = [self.service.incident.as_ref(), self.service.last_settled.as_ref()];
        let Some(now) = both.into_iter().flatten().find(|incident| incident.id == waited.id) else { return };
        let wanted = waited.target(read.rung).and_then(Target::revision).unwrap();
        let verifies =
            matches!(&now.phase, Phase::Acting(acting) if matches!(acting.step, StepState::Verifying { .. }));
        let well = matches!(
            &now.phase,
            Phase::Settled(Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere)
        );
        if !(verifies || well) || wanted.facet == Facet::Model {
            return;
        }
        let known = read_of(&read.facets, &wanted.facet).and_then(FacetState::known);
        let least = before.terms.as_ref().unwrap().proof_min(&wanted.facet);
        if !known.is_some_and(|known| known.revision == wanted.name && known.proof >= least) {
            self.fail("taken for the target, and it is not in force, or proved too weakly");
        }
        if now.ladder.proof != known.map(|known| known.proof) {
            self.fail("the incident names another proof");
        }
        seen.facet_rollbacks += 1;
    }

    /// Only what was left is condemned: of the facet that was moved, never the target, never the state in which the model answers, and never a safe mode
    /// that was left for that.
    fn check_condemned(&self, before: &Service, seen: &mut Seen) {
        let is = |service: &Service, revision: &Revision| {
            service.known_of(revision).is_some_and(|known| known.standing == Standing::Condemned)
        };
        for revision in self.service.revisions.keys() {
            if !is(&self.service, revision) {
                continue;
            }
            if !self.service.is_held(revision) {
                self.fail("condemned, and no hold keeps it out");
            }
            if is(before, revision) {
                continue;
            }
            let settled = self.service.last_settled.as_ref().unwrap();
            let rung = settled.ladder.tried.last().and_then(Target::revision);
            let targets: Vec<_> =
                settled.plan().unwrap().targets.iter().filter_map(Target::revision).collect();
            let moved = &targets[0].facet;
            if revision.facet != *moved || settled.marks.settled_at != Some(self.service.at) {
                self.fail(&format!("{revision} was condemned by a rollback of another facet, or by none"));
            }
            let off = |revision: &Revision| {
                revision.facet == Facet::Fallback && revision.name.as_str() == FALLBACK_OFF
            };
            if off(revision) || self.service.production.serves(revision) {
                self.fail("what is in force was condemned, or that the model answers");
            }
            if targets.len() == 1 && off(&targets[0]) || rung.as_ref() == Some(revision) && targets.len() == 1
            {
                self.fail("the target was condemned, or a safe mode that was left");
            }
            seen.facet_holds += usize::from(revision.facet != Facet::Model);
        }
    }

    /// Known good is earned by verification, of what is in force; while a safe mode answers of nothing else.
    fn check_earned(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let Event::VerificationsAsked(_) = event else { return };
        for (revision, known) in &self.service.revisions {
            let earned = known.standing == Standing::KnownGood && known.since == self.service.at;
            if !earned || before.known_of(revision) == Some(known) {
                continue;
            }
            if self.service.production.falls_back() && revision.facet != Facet::Fallback {
                self.fail("known good while a safe mode answers");
            }
            // A target was read back, also where nothing is configured for its facet by now, and where somebody else had restored it.
            // A part that was verified leaves its incident open until its set has moved.
            let incidents = [&self.service.last_settled, &self.service.incident];
            let mut plans = incidents.into_iter().flatten().filter_map(|incident| incident.plan());
            let target = plans
                .any(|plan| plan.targets.iter().any(|target| target.revision().as_ref() == Some(revision)));
            if !target && !self.service.production.serves(revision) {
                self.fail("known good, and not in force");
            }
            if self.service.is_held(revision) {
                self.fail("known good beneath a hold");
            }
        }
        let well = before.incident.is_some() && self.service.incident.is_none();
        seen.under_a_fallback += usize::from(well && self.service.production.falls_back());
    }
}
