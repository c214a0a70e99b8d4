//! A service that is led from event to event.

use crate::blob::{BlobKind, BlobRef};
use crate::digest::Digest;
use crate::event::*;
use crate::live::{Proof, Share};
use crate::name::{IncidentId, PersonName, PolicyName, RoleName, ServiceName, VersionName};
use crate::plan::{ApprovedStep, Leaving, Quorum, RUNGS_MAX, StepKind, Vote, VoteKind};
use crate::policy::{PolicyRef, Role};
use crate::ratio::Ratio;
use crate::request::Sent;
use crate::role::Urgency;
use crate::service::{Illegal, Incident, Phase, Service};
use crate::target::{Strategy, Target, VersionTarget};
use crate::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, KnownPerson, Mode, PolicyUse, PreflightRule,
    RequesterVote, Terms,
};
use crate::time::{Millis, UnixMillis};

pub(super) struct Stage(pub(super) Service);

pub(super) fn blob() -> BlobRef {
    BlobRef { commitment: Digest::of("blob"), kind: BlobKind::Text, bytes: 1 }
}

pub(super) fn person(name: &str) -> PersonName {
    PersonName::new(name).unwrap()
}

pub(super) fn known(name: &str, roles: &[&str]) -> KnownPerson {
    let roles = roles.iter().map(|role| RoleName::new(*role).unwrap()).collect();
    KnownPerson { name: person(name), roles, keys: Vec::new() }
}

pub(super) fn approvers(people: u32) -> Vec<Quorum> {
    vec![Quorum { role: RoleName::approver(), people }]
}

pub(super) fn version(name: &str) -> Target {
    Target::Version(VersionTarget { version: VersionName::new(name).unwrap(), digest: None })
}

pub(super) fn serving(name: &str) -> Observed {
    let Target::Version(version) = version(name) else { panic!() };
    let (place, weight) = (String::new(), Ratio::ONE);
    Observed::Serving(vec![Share { version, place, weight, proof: Proof::Answer }])
}

pub(super) fn policy(role: Role) -> PolicyUse {
    let name = format!("{role}-policy");
    let policy = PolicyRef {
        name: PolicyName::new(name.clone()).unwrap(),
        version: "1.0.0".into(),
        digest: Digest::of(name),
    };
    PolicyUse { role, policy, settings: Digest::of("settings") }
}

/// Ada pulls and approves; bob, cleo and dan approve. Policies decide nothing, one person is enough.
pub(super) fn terms() -> Terms {
    Terms {
        mode: Mode::Ask,
        environment: "test".into(),
        deployer: EffectClass::Observable,
        equipment: Digest::of("deployer"),
        facets: Vec::new(),
        waves: Vec::new(),
        producer: None,
        proof_min: Proof::Answer,
        people: vec![
            known("ada", &["operator", "approver"]),
            known("bob", &["approver"]),
            known("cleo", &["approver"]),
            known("dan", &["approver"]),
        ],
        floor: Vec::new(),
        requester_vote: RequesterVote::AloneOnly,
        veto: Vec::new(),
        authors: Vec::new(),
        break_glass: vec![RoleName::new("chief").unwrap()],
        evidence: EvidenceRule::BestEffort,
        preflight: PreflightRule::Off,
        fingerprint: None,
        breaker: Breaker::default(),
        deadlines: Deadlines::default(),
        trials_max: 10,
        schedule: None,
        policies: Vec::new(),
    }
}

impl Stage {
    /// A service in mode `ask` where two approvers must agree, changed as the test wants.
    pub(super) fn new(change: impl FnOnce(&mut Terms)) -> Self {
        let mut stage = Self(Service::new(ServiceName::new("fraud-api").unwrap()));
        let mut terms = Terms { floor: approvers(2), ..terms() };
        change(&mut terms);
        stage.configure(terms);
        stage
    }

    pub(super) fn try_at(&mut self, at: UnixMillis, event: &Event) -> Result<(), Illegal> {
        self.0 = self.0.apply(at, event)?;
        Ok(())
    }

    /// A moment later.
    pub(super) fn try_it(&mut self, event: &Event) -> Result<(), Illegal> {
        self.try_at(self.0.at + Millis(1), event)
    }

    pub(super) fn tell(&mut self, event: &Event) {
        self.try_it(event).unwrap_or_else(|illegal| panic!("{illegal}: {event:#?} in {:#?}", self.0));
    }

    pub(super) fn tell_with(&mut self, event: impl FnOnce(&Self) -> Event) {
        let event = event(self);
        self.tell(&event);
    }

    pub(super) fn configure(&mut self, terms: Terms) {
        let digest = Digest::of(format!("{terms:?}"));
        let host_version = "0.1.0".into();
        self.tell(&Event::Configured(Configured { terms, configuration: blob(), digest, host_version }));
    }

    /// The same terms, changed.
    pub(super) fn reconfigure(&mut self, change: impl FnOnce(&mut Terms)) {
        let mut terms = self.0.terms.clone().unwrap();
        change(&mut terms);
        self.configure(terms);
    }

    pub(super) fn incident(&self) -> &Incident {
        self.0.incident.as_ref().unwrap()
    }

    pub(super) fn id(&self) -> IncidentId {
        self.incident().id.clone()
    }

    pub(super) fn plan(&self) -> Digest {
        self.incident().plan().unwrap().digest
    }

    pub(super) fn phase(&self) -> &'static str {
        self.0.incident.as_ref().map_or("none", Incident::phase_name)
    }

    /// The texts that people are to be told, oldest first.
    pub(super) fn told(&self) -> Vec<&str> {
        self.0.outbox.iter().map(|outgoing| outgoing.text.as_str()).collect()
    }

    pub(super) fn pull(&mut self, who: &str, to: &str) {
        let pull = self.pull_of(who, to);
        self.tell(&Event::PullRequested(pull));
    }

    pub(super) fn pull_of(&self, who: &str, to: &str) -> PullRequested {
        PullRequested {
            incident: self.0.incident.as_ref().map(|open| open.id.clone()),
            person: person(who),
            roles: Vec::new(),
            target: Some(version(to)),
            reason: blob(),
            urgency: Urgency::Urgent,
            leaving: Leaving::Condemn,
            pending: PendingPlan::Replace,
            break_glass: false,
        }
    }

    /// Evidence without any piece, with this version live.
    pub(super) fn preserved(&self, live: &str) -> Event {
        Event::EvidencePreserved(EvidencePreserved {
            incident: self.id(),
            items: Vec::new(),
            missing: Vec::new(),
            live: serving(live),
            facets: Vec::new(),
            in_production: InProduction::Unsupported,
            facts: None,
        })
    }

    /// From the evidence to the plan, with `4` live.
    pub(super) fn plan_for(&mut self, targets: &[&str]) {
        if self.incident().phase == Phase::Preserving {
            let preserved = self.preserved("4");
            self.tell(&preserved);
        }
        let word = PlanWord::Drafted(self.draft(targets));
        let planned = self.planned(word);
        self.tell(&Event::Planned(planned));
    }

    /// What comes of planning for what is wanted now.
    pub(super) fn planned(&self, word: PlanWord) -> Planned {
        let incident = self.incident();
        let (number, wanted) = (incident.plan_number() + 1, incident.wanted.clone());
        let requested_by = incident.requested_by.clone();
        Planned {
            incident: self.id(),
            number,
            wanted,
            requested_by,
            decision: None,
            left_out: None,
            suspects: None,
            confidence: None,
            word,
        }
    }

    pub(super) fn draft(&self, targets: &[&str]) -> PlanDrafted {
        let number = self.incident().plan_number() + 1;
        PlanDrafted {
            content: blob(),
            digest: Digest::of(format!("{} {number}", self.id())),
            number,
            strategy: Strategy::Version,
            targets: targets.iter().map(|name| version(name)).collect(),
            steps: every_step(),
            waves: Vec::new(),
            live: serving("4"),
            facets: Vec::new(),
            leaving: self.incident().leaving,
            condemns_data: Vec::new(),
            condemnations_known: self.0.condemnations,
            equipment: self.0.terms.as_ref().unwrap().equipment,
            preflighted: false,
            expires_at: self.0.at + Millis::hours(1),
        }
    }

    pub(super) fn vote(&self, who: &str) -> Voted {
        let vote = Vote {
            person: person(who),
            roles: vec![RoleName::approver()],
            granted: true,
            at: self.0.at,
            kind: VoteKind::Session,
            key: None,
        };
        Voted { incident: self.id(), plan: self.plan(), vote, signed: None, reason: None }
    }

    pub(super) fn approve(&mut self, who: &str) {
        let voted = self.vote(who);
        self.tell(&Event::Voted(voted));
    }

    pub(super) fn staged(&mut self) {
        self.tell(&Event::Staged(Staged { plan: self.plan(), rung: 0, digest: None }));
    }

    pub(super) fn guard(&mut self) {
        let read = self.guard_read();
        self.tell(&Event::GuardRead(read));
    }

    pub(super) fn guard_read(&self) -> GuardRead {
        let Phase::Acting(acting) = &self.incident().phase else { panic!("{:#?}", self.0.incident) };
        let (plan, rung, attempt, live) = (self.plan(), acting.rung, acting.attempts + 1, serving("4"));
        let wave = acting.wave;
        GuardRead { plan, rung, wave, attempt, live, facets: Vec::new(), host_shifts: 0, host_reserved: 0 }
    }

    /// What is said of the open incident.
    pub(super) fn about(&self, who: &str) -> AboutIncident {
        AboutIncident { incident: self.id(), person: person(who), reason: blob() }
    }

    /// A granted plan to `1` that has passed the guard: ada pulled, bob and cleo agreed.
    pub(super) fn at_the_shift() -> Self {
        let mut stage = Self::new(|_| ());
        stage.pull("ada", "1");
        stage.plan_for(&["1"]);
        stage.approve("bob");
        stage.approve("cleo");
        stage.staged();
        stage.guard();
        stage
    }
}

/// A request that was approved and is sent.
pub(super) fn sent() -> Sent {
    Sent { approved: Digest::of("request"), executed: Digest::of("executed") }
}

/// Every step of each target that a plan may have.
pub(super) fn every_step() -> Vec<Vec<ApprovedStep>> {
    let all = StepKind::ALL.map(|kind| ApprovedStep {
        kind,
        request: kind.sends().then(|| sent().approved),
        wave: None,
    });
    vec![all.to_vec(); RUNGS_MAX]
}
