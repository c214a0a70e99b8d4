//! What a seed plays: services, their terms, their people; and how an operator changes them.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::live::Proof;
use ripcord_core::name::{PersonName, RoleName, ServiceName, SetName};
use ripcord_core::plan::{IfPartFails, Quorum};
use ripcord_core::policy::Role;
use ripcord_core::ratio::Ratio;
use ripcord_core::set::{SetDeadlines, SetTerms};
use ripcord_core::target::Strategy;
use ripcord_core::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, FacetTerms, KnownPerson, Mode, PolicyUse, PreflightRule,
    ProducerTerms, RequesterVote, Terms,
};
use ripcord_core::time::Millis;
use ripcord_core::wave::{Moves, Wave};
use ripcord_engine::Person;
use serde_json::{Value, json};

use crate::check::{Candidates, Moment};
use crate::dice::Dice;
use crate::facet::{OutsideFacet, Tells};
use crate::policies::{Approval, LooksFirst, Settings, policy};

/// How long hosts of a simulation try to tell people.
pub const MATTERS_FOR: Millis = Millis::hours(6);

/// One service as its operator has configured it.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Its name.
    pub name: ServiceName,
    /// Its terms; policies and people are filled in.
    pub terms: Terms,
    /// The roles that a policy fills, each with its settings.
    pub policies: Vec<(Role, Settings)>,
    /// Whether its server has room for two.
    pub candidates: Candidates,
    /// On so many replicas.
    pub replicas: usize,
    /// The facets that the service has beside the model.
    pub facets: Vec<FacetPlan>,
    /// Whoever may do something.
    pub people: BTreeMap<PersonName, Vec<RoleName>>,
}

/// A facet beside the model, as its operator has configured it.
#[derive(Debug, Clone)]
pub struct FacetPlan {
    /// What puts it back.
    pub terms: FacetTerms,
    /// What the service tells of it.
    pub tells: Tells,
    /// Whether anything is configured for it now.
    pub is_configured: bool,
}

/// Services that move together, as their operator has configured them.
#[derive(Debug, Clone)]
pub struct SetPlan {
    /// Its name.
    pub name: SetName,
    /// Its terms.
    pub terms: SetTerms,
}

/// What a seed plays.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// All services of the host.
    pub services: Vec<ServicePlan>,
    /// All of them, where there are several and they move together.
    pub set: Option<SetPlan>,
}

/// One host has one limit.
fn with_limit(breaker: Breaker, host_shifts_per_hour: u32) -> Breaker {
    Breaker { host_shifts_per_hour, ..breaker }
}

/// A person of this name with these roles.
pub fn person(name: &str, roles: &[&str]) -> Person {
    Person {
        name: PersonName::new(name).expect("a name"),
        roles: roles.iter().map(|role| RoleName::new(*role).expect("a role")).collect(),
    }
}

/// Everyone who may be configured.
fn everyone() -> BTreeMap<PersonName, Vec<RoleName>> {
    let all = [
        person("ada", &["operator", "approver"]),
        person("bob", &["approver"]),
        person("cleo", &["operator", "approver"]),
        person("dan", &["operator"]),
        person("eve", &["approver"]),
    ];
    all.into_iter().map(|person| (person.name, person.roles)).collect()
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(dice: &Dice) -> Self {
        let count = dice.pick(&[1, 1, 1, 2, 3]);
        let limit = dice.between(1, 30) as u32;
        let mut services: Vec<_> = (1..=count).map(|number| ServicePlan::of(dice, number)).collect();
        services.iter_mut().for_each(|plan| plan.terms.breaker = with_limit(plan.terms.breaker, limit));
        let set = (count > 1).then(|| SetPlan::of(dice, &services));
        Self { services, set }
    }
}

impl SetPlan {
    fn of(dice: &Dice, services: &[ServicePlan]) -> Self {
        let within = |most: u64| Millis::seconds(dice.between(most / 4, most));
        let known = |(name, roles)| KnownPerson { name, roles, keys: Vec::new() };
        let terms = SetTerms {
            members: services.iter().map(|plan| plan.name.clone()).collect(),
            if_part_fails: dice.pick(&[IfPartFails::Back, IfPartFails::Back, IfPartFails::Forward]),
            people: everyone().into_iter().map(known).collect(),
            floor: floor(dice),
            requester_vote: dice.pick(&[RequesterVote::AloneOnly, RequesterVote::Counts]),
            deadlines: SetDeadlines {
                enlisting: within(120),
                planning: within(90),
                approval: within(600),
                part: within(900),
                run: within(3_600),
            },
        };
        Self { name: SetName::new("together").expect("a name"), terms }
    }

    /// The operator changes something; it holds from the next start on.
    pub fn change(&mut self, dice: &Dice) {
        match dice.below(3) {
            0 => self.terms.floor = floor(dice),
            1 => self.terms.if_part_fails = dice.pick(&[IfPartFails::Back, IfPartFails::Forward]),
            _ => self.terms.members.reverse(),
        }
    }
}

fn floor(dice: &Dice) -> Vec<Quorum> {
    match dice.below(5) {
        0 => vec![Quorum { role: RoleName::approver(), people: 1 }],
        1 => vec![Quorum { role: RoleName::approver(), people: 2 }],
        _ => Vec::new(),
    }
}

const CLASSES: [EffectClass; 4] =
    [EffectClass::Idempotent, EffectClass::Conditional, EffectClass::Observable, EffectClass::Blind];

fn class(dice: &Dice) -> EffectClass {
    dice.pick(&CLASSES)
}

fn another_class(dice: &Dice, than: EffectClass) -> EffectClass {
    let mut others = CLASSES.to_vec();
    others.retain(|class| *class != than);
    dice.pick(&others)
}

/// A named configuration.
fn configuration(name: &str) -> Facet {
    Facet::Configuration(name.parse().expect("a name"))
}

impl FacetPlan {
    fn of(dice: &Dice, facet: Facet) -> Self {
        let tells = if dice.one_in(5) { Tells::Nothing } else { Tells::InForce };
        let proof_min = match tells {
            Tells::Nothing if !dice.one_in(6) => Proof::ControlPlane,
            _ => dice.pick(&[Proof::Answer, Proof::Answer, Proof::ControlPlane]),
        };
        Self { terms: FacetTerms { facet, class: class(dice), proof_min }, tells, is_configured: true }
    }

    fn all(dice: &Dice) -> Vec<Self> {
        let likely = [(configuration("limits"), 3), (configuration("prompt"), 1), (Facet::Fallback, 3)];
        let there = likely.into_iter().filter(|(_, of_four)| dice.below(4) < *of_four);
        there.map(|(facet, _)| Self::of(dice, facet)).collect()
    }

    /// As it is when a seed begins: of two revisions the later is in force, and no safe mode answers.
    pub fn outside(&self) -> OutsideFacet {
        match &self.terms.facet {
            Facet::Fallback => OutsideFacet::new(&["off", "rules", "constant"], 0, self.tells),
            _ => OutsideFacet::new(&["a1", "a2"], 1, self.tells),
        }
    }

    /// The operator takes what puts it back away, adds it again, or has another one.
    fn change(&mut self, dice: &Dice) {
        if dice.one_in(2) {
            self.is_configured = !self.is_configured;
        } else {
            self.terms.class = another_class(dice, self.terms.class);
        }
    }
}

/// Waves by share; none where it moves at once.
fn waves(dice: &Dice) -> Vec<Wave> {
    let shares = dice.pick(&[&[][..], &[], &[0.3], &[0.5], &[0.3, 0.6], &[0.5, 1.0]]);
    let wave = |share: &f64| Wave {
        moves: Moves::Share(Ratio::new(*share).expect("a share")),
        pause: Millis::seconds(dice.below(60)),
    };
    shares.iter().map(wave).collect()
}

fn producer(dice: &Dice) -> ProducerTerms {
    ProducerTerms {
        makes: vec![Strategy::Retrain, Strategy::Checkpoint],
        class: class(dice),
        equipment: Digest::of("the pretend producer"),
        deadline: Millis::seconds(dice.between(60, 900)),
        every: Millis::seconds(dice.between(1, 20)),
    }
}

fn mode(dice: &Dice) -> Mode {
    dice.pick(&[Mode::Act, Mode::Act, Mode::Act, Mode::Ask, Mode::Observe])
}

fn approval(dice: &Dice) -> Approval {
    let people = dice.between(1, 2) as u32;
    match dice.below(8) {
        0..=3 => Approval::Grants,
        4 => Approval::Votes { people, escalate_ms: None },
        5 => Approval::Votes { people, escalate_ms: Some(dice.between(5_000, 200_000)) },
        6 => Approval::VotesWithin { people, within_ms: dice.between(60_000, 400_000) },
        _ => Approval::Refuses,
    }
}

fn breaker(dice: &Dice) -> Breaker {
    if dice.one_in(3) {
        return Breaker::default();
    }
    Breaker {
        service_shifts_per_hour: dice.between(1, 20) as u32,
        host_shifts_per_hour: dice.between(1, 30) as u32,
        cool_down: Millis::seconds(dice.below(120)),
        no_return: Millis::seconds(dice.below(600)),
    }
}

fn deadlines(dice: &Dice) -> Deadlines {
    let within = |most: u64| Millis::seconds(dice.between(most / 4, most));
    Deadlines {
        // Longer than any call that comes back.
        call: Millis::seconds(dice.between(20, 90)),
        evidence: within(20),
        planning: within(90),
        approval: within(600),
        reminder: Millis::seconds(dice.pick(&[0, 150, 300, 900])),
        stage: within(90),
        preflight: within(60),
        shift: within(60),
        read_back: within(120),
        verification: within(180),
        no_data: within(120),
        hold_watch: within(40),
        elsewhere_watch: within(60),
        soak: within(120),
        probation: within(400),
        known_good: Millis::hours(24),
        watch_floor: Millis(dice.pick(&[100, 1_000, 5_000])),
        healthy: within(120),
        reopen_after: dice.pick(&[Millis(0), Millis::minutes(5), Millis::hours(4)]),
        readiness: Millis::minutes(dice.pick(&[1, 5, 60])),
    }
}

impl ServicePlan {
    fn of(dice: &Dice, number: u32) -> Self {
        let settings = Settings {
            recheck_ms: dice.pick(&[500, 2_000, 10_000]),
            approval: Approval::Grants,
            fallback: dice.one_in(2),
            looks_first: dice.pick(&[
                LooksFirst::AtVersions,
                LooksFirst::AtConfigurations,
                LooksFirst::ByChance,
            ]),
            faults_one_in: if dice.one_in(5) { dice.between(5, 30) } else { 0 },
        };
        let mut policies = vec![(Role::Trigger, settings.clone()), (Role::Planner, settings.clone())];
        if !dice.one_in(5) {
            policies.push((Role::Approval, Settings { approval: approval(dice), ..settings.clone() }));
        }
        if !dice.one_in(5) {
            policies.push((Role::Verification, settings));
        }
        let terms = Terms {
            mode: mode(dice),
            environment: "simulated".to_owned(),
            deployer: class(dice),
            equipment: Digest::of("simulated"),
            facets: Vec::new(),
            waves: waves(dice),
            producer: dice.one_in(2).then(|| producer(dice)),
            proof_min: dice.pick(&[Proof::Answer, Proof::Answer, Proof::ControlPlane]),
            people: Vec::new(),
            floor: floor(dice),
            requester_vote: dice.pick(&[RequesterVote::AloneOnly, RequesterVote::Counts]),
            veto: dice.pick(&[Vec::new(), Vec::new(), vec![RoleName::admin()]]),
            authors: dice.one_in(6).then(|| PersonName::new("bob").expect("a name")).into_iter().collect(),
            break_glass: dice.pick(&[Vec::new(), vec![RoleName::approver()]]),
            evidence: dice.pick(&[
                EvidenceRule::BestEffort,
                EvidenceRule::BestEffort,
                EvidenceRule::Required,
            ]),
            preflight: dice.pick(&[PreflightRule::BestEffort, PreflightRule::Required, PreflightRule::Off]),
            fingerprint: dice.one_in(3).then(|| "golden".to_owned()),
            breaker: breaker(dice),
            deadlines: deadlines(dice),
            trials_max: 50,
            schedule: dice.one_in(4).then(|| Millis::seconds(dice.between(20, 90))),
            policies: Vec::new(),
        };
        Self {
            name: ServiceName::new(format!("service-{number}")).expect("a name"),
            terms,
            policies,
            candidates: if dice.one_in(3) { Candidates::Held } else { Candidates::NotHeld },
            replicas: dice.between(1, 3) as usize,
            facets: FacetPlan::all(dice),
            people: everyone(),
        }
    }

    /// The operator changes something; it holds from the next start on.
    pub fn change(&mut self, dice: &Dice) {
        match dice.below(12) {
            11 => self.terms.waves = waves(dice),
            10 => self.terms.producer = dice.one_in(2).then(|| producer(dice)),
            8 | 9 if !self.facets.is_empty() => {
                let which = dice.below(self.facets.len() as u64) as usize;
                self.facets[which].change(dice);
            }
            0 | 1 => self.terms.mode = mode(dice),
            2 => self.terms.floor = floor(dice),
            3 => self.terms.deployer = class(dice),
            4 => {
                for (_, settings) in self.policies.iter_mut().filter(|(role, _)| *role == Role::Approval) {
                    settings.approval = approval(dice);
                }
            }
            5 => self.terms.breaker = with_limit(breaker(dice), self.terms.breaker.host_shifts_per_hour),
            6 => {
                // Someone leaves, or everyone is back.
                self.people = everyone();
                let leaves: Vec<_> = self.people.keys().cloned().collect();
                let leaves = dice.pick(&leaves);
                if !dice.one_in(3) {
                    self.people.remove(&leaves);
                }
            }
            _ => self.terms.schedule = dice.one_in(2).then(|| Millis::seconds(dice.between(20, 90))),
        }
    }

    /// The operator changes what matters at this moment.
    pub fn change_at(&mut self, dice: &Dice, moment: &Moment) {
        match moment {
            Moment::Shifting(_) if dice.one_in(4) => self.terms.mode = Mode::Observe,
            Moment::Shifting(facet) => match self.facets.iter_mut().find(|plan| plan.terms.facet == *facet) {
                Some(plan) => plan.change(dice),
                None => self.terms.deployer = another_class(dice, self.terms.deployer),
            },
            Moment::Promoting => self.terms.mode = Mode::Observe,
            Moment::Agreed(_) if dice.one_in(4) => {
                self.terms.floor = vec![Quorum { role: RoleName::approver(), people: 2 }];
            }
            Moment::Agreed(voters) => {
                self.people = everyone();
                self.people.remove(&dice.pick(voters));
            }
        }
    }

    /// The terms with policies and people filled in.
    pub fn whole_terms(&self) -> Terms {
        let reference = policy().reference().clone();
        let used = |(role, settings): &(Role, Settings)| PolicyUse {
            role: *role,
            policy: reference.clone(),
            settings: Digest::of(json!(settings).to_string()),
        };
        let known = |(name, roles): (&PersonName, &Vec<RoleName>)| KnownPerson {
            name: name.clone(),
            roles: roles.clone(),
            keys: Vec::new(),
        };
        let configured = self.facets.iter().filter(|facet| facet.is_configured);
        let facets: Vec<_> = configured.map(|facet| facet.terms.clone()).collect();
        let mut places: Vec<_> = facets.iter().map(|terms| terms.facet.to_string()).collect();
        places.extend(self.terms.producer.as_ref().map(|producer| format!("{:?}", producer.class)));
        Terms {
            facets,
            equipment: Digest::of(format!("simulated {places:?}")),
            policies: self.policies.iter().map(used).collect(),
            people: self.people.iter().map(known).collect(),
            ..self.terms.clone()
        }
    }

    /// The whole configuration, for the record.
    pub fn configuration(&self) -> Value {
        let people_have_ms = self.policies.iter().find_map(|(_, settings)| match settings.approval {
            Approval::VotesWithin { within_ms, .. } => Some(within_ms),
            _ => None,
        });
        json!({ "service": self.name, "people": self.people, "people_have_ms": people_have_ms })
    }
}
