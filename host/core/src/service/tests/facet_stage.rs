//! What the scenarios of several facets need: a service with two configurations and a fallback, and steps that say what is in force of each.

use super::stage::{Stage, blob, person, policy, serving};
use crate::digest::Digest;
use crate::event::*;
use crate::facet::{Facet, FacetRead, FacetState, InForce, Revision};
use crate::live::Proof;
use crate::name::{ConfigurationName, VersionName};
use crate::plan::Leaving;
use crate::policy::Role;
use crate::role::Urgency;
use crate::service::{Phase, StepState};
use crate::standing::Standing;
use crate::target::{ConfigurationTarget, FallbackTarget, Target};
use crate::terms::{EffectClass, FacetTerms, Terms};

/// Revisions by the name of their facet: `fallback`, or a configuration's.
pub(super) type Revisions<'a> = &'a [(&'a str, &'a str)];

/// What is in force when nothing has happened.
pub(super) const BEFORE: Revisions = &[("thresholds", "c2"), ("prompt", "p1"), ("fallback", "off")];

pub(super) fn facet(name: &str) -> Facet {
    match name {
        "model" => Facet::Model,
        "fallback" => Facet::Fallback,
        name => Facet::Configuration(ConfigurationName::new(name).unwrap()),
    }
}

pub(super) fn revision(of: &str, name: &str) -> Revision {
    Revision { facet: facet(of), name: VersionName::new(name).unwrap() }
}

pub(super) fn target(of: &str, name: &str) -> Target {
    let revision = revision(of, name);
    match revision.facet {
        Facet::Model => super::stage::version(name),
        Facet::Fallback => Target::Fallback(FallbackTarget { mode: revision.name, digest: None }),
        Facet::Configuration(name) => {
            Target::Configuration(ConfigurationTarget { name, revision: revision.name, digest: None })
        }
    }
}

pub(super) fn in_force(revisions: Revisions) -> Vec<ObservedFacet> {
    let read = |(of, name): &(&str, &str)| {
        let (revision, digest, proof) = (VersionName::new(*name).unwrap(), None, Proof::Answer);
        let state = FacetState::InForce(InForce { revision, digest, proof });
        FacetRead { facet: facet(of), state }
    };
    revisions.iter().map(read).collect()
}

/// The same, but for this one, which could not be read.
pub(super) fn unreadable(mut facets: Vec<ObservedFacet>, of: &str) -> Vec<ObservedFacet> {
    let facet = facet(of);
    facets.iter_mut().filter(|read| read.facet == facet).for_each(|read| {
        read.state = FacetState::Unknown(blob());
    });
    facets
}

/// With what puts two configurations and a fallback back, and a policy that verifies.
pub(super) fn facets(terms: &mut Terms) {
    let of = |name, class| FacetTerms { facet: facet(name), class, proof_min: Proof::Answer };
    terms.facets = vec![
        of("thresholds", EffectClass::Idempotent),
        of("prompt", EffectClass::Observable),
        of("fallback", EffectClass::Observable),
    ];
    terms.policies = vec![policy(Role::Verification)];
}

/// Such a service, once `4` was seen live with this beside it.
pub(super) fn service(beside: Revisions) -> Stage {
    let mut stage = Stage::new(facets);
    stage.watched("4", in_force(beside));
    stage
}

impl Stage {
    /// Production was looked at.
    pub(super) fn watched(&mut self, live: &str, facets: Vec<ObservedFacet>) {
        let (after, live) = (self.0.ended_last(), serving(live));
        let (in_production, unread) = (InProduction::Unsupported, Vec::new());
        self.tell(&Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            live,
            facets,
            in_production,
            unread,
        }));
    }

    pub(super) fn pull_to(&mut self, target: Target) {
        let pull = PullRequested {
            incident: self.0.incident.as_ref().map(|open| open.id.clone()),
            person: person("ada"),
            roles: Vec::new(),
            target: Some(target),
            reason: blob(),
            urgency: Urgency::Urgent,
            leaving: Leaving::Condemn,
            pending: PendingPlan::Replace,
            break_glass: false,
        };
        self.tell(&Event::PullRequested(pull));
    }

    /// From the evidence to the plan, with `4` live and this beside it.
    pub(super) fn plan_to(&mut self, targets: &[Target], facets: &[ObservedFacet]) {
        if self.incident().phase == Phase::Preserving {
            let Event::EvidencePreserved(preserved) = self.preserved("4") else { panic!() };
            self.tell(&Event::EvidencePreserved(EvidencePreserved { facets: facets.to_vec(), ..preserved }));
        }
        let drafted = self.draft_to(targets, facets);
        let planned = self.planned(PlanWord::Drafted(drafted));
        self.tell(&Event::Planned(planned));
    }

    pub(super) fn draft_to(&self, targets: &[Target], facets: &[ObservedFacet]) -> PlanDrafted {
        let strategy = targets[0].strategy();
        PlanDrafted { targets: targets.to_vec(), facets: facets.to_vec(), strategy, ..self.draft(&[]) }
    }

    /// Ada wants it, bob and cleo agree, and it is about to be guarded.
    pub(super) fn at_the_guard(&mut self, targets: &[Target], beside: Revisions) {
        self.pull_to(targets[0].clone());
        self.plan_to(targets, &in_force(beside));
        self.approve("bob");
        self.approve("cleo");
        self.staged();
    }

    pub(super) fn guarded(&mut self, live: &str, facets: Vec<ObservedFacet>) {
        let read = GuardRead { live: serving(live), facets, ..self.guard_read() };
        self.tell(&Event::GuardRead(read));
    }

    pub(super) fn rung(&self) -> u32 {
        match &self.incident().phase {
            Phase::Acting(acting) => acting.rung,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn shift_began(&mut self) {
        let (plan, rung) = (self.plan(), self.rung());
        self.tell(&Event::ShiftBegan(ShiftBegan {
            plan,
            rung,
            wave: 0,
            attempt: 1,
            request: super::stage::sent(),
        }));
    }

    pub(super) fn shift_done(&mut self) {
        self.shift_began();
        let (plan, rung, outcome) = (self.plan(), self.rung(), ShiftOutcome::Done);
        self.tell(&Event::ShiftReturned(ShiftReturned { plan, rung, wave: 0, attempt: 1, outcome }));
    }

    pub(super) fn read_back(&mut self, live: &str, facets: Vec<ObservedFacet>) {
        let (plan, rung, fingerprint) = (self.plan(), self.rung(), FingerprintWord::NotCompared);
        let live = serving(live);
        self.tell(&Event::ReadBack(ReadBack { plan, rung, wave: 0, live, facets, fingerprint }));
    }

    pub(super) fn judged(&mut self, word: VerificationWord) {
        let beside = self.0.production.combination().unwrap_or_default();
        self.judged_beside(
            word,
            beside.into_iter().filter(|revision| revision.facet != Facet::Model).collect(),
        );
    }

    /// While this was in force beside the model, as far as it could be read.
    pub(super) fn judged_beside(&mut self, word: VerificationWord, beside: Vec<Revision>) {
        let (phase, round) = match (&self.0.incident, &self.0.probation) {
            (Some(incident), _) => {
                let Phase::Acting(acting) = &incident.phase else { panic!("{:?}", incident.phase) };
                let StepState::Verifying { round, .. } = acting.step else { panic!("{:?}", acting.step) };
                (TrialPhase::Rung(PlannedRung { plan: self.plan(), rung: acting.rung }), round)
            }
            (None, Some(probation)) => (TrialPhase::Probation(probation.since), probation.round),
            (None, None) => panic!("nothing is judged"),
        };
        let (policy, data) = (policy(Role::Verification).policy, DataState::Complete);
        let role = Role::Verification;
        let decision = Decision { policy, role, recording: blob(), fuel: 1, rounds: 1, data };
        let said = Said::Verdict(word);
        let asked = vec![VerificationAsked { decision, said, findings: None, memo: None }];
        let (cause, own_from) = (Some(blob()), None);
        self.tell(&Event::VerificationsAsked(VerificationsAsked {
            phase,
            round,
            asked,
            cause,
            own_from,
            beside,
        }));
    }

    /// From a pull to a verified end: `4` is live, and this is beside it before and after.
    pub(super) fn rolled_back(&mut self, to: Target, before: Revisions, after: Revisions) {
        let live = to.version().map_or("4".to_owned(), |version| version.version.to_string());
        self.at_the_guard(&[to], before);
        self.guarded("4", in_force(before));
        self.shift_done();
        self.read_back(&live, in_force(after));
        self.judged(VerificationWord::Healthy);
        assert_eq!(self.phase(), "none", "{:#?}", self.0.incident);
    }

    pub(super) fn standing(&self, of: &str, name: &str) -> Standing {
        self.0.standing_of(revision(of, name), self.0.at)
    }

    pub(super) fn adopts(&mut self, of: &str, name: &str, content: Option<&str>) {
        let (revision, digest) = (revision(of, name), content.map(Digest::of));
        self.tell(&Event::Adopted(Adopted { revision, digest, person: person("ada"), reason: blob() }));
    }

    pub(super) fn lifts(&mut self, of: &str, name: &str) {
        let revision = revision(of, name);
        let incident = self.0.hold_on(&revision).unwrap().incident.clone();
        self.tell(&Event::HoldLifted(AboutHold {
            revision,
            incident,
            person: person("ada"),
            reason: blob(),
        }));
    }

    /// How the last incident ended.
    pub(super) fn outcome(&self) -> crate::fact::Outcome {
        match self.0.last_settled.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Settled(outcome)) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }
}
