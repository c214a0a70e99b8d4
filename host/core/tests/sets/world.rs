//! A host, its journals and the world around it, all in one place: it acts one append or one effect at a time, and can die before and after each.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::{
    Configured, DataState, Decision, Event, EvidencePreserved, FaultNature, FaultPlace, FingerprintWord,
    GuardRead, InProduction, Observed, PlannedRung, ProbeWord, ReadBack, Said, ShiftBegan, ShiftOutcome,
    ShiftProbed, ShiftReturned, Staged, TrialPhase, VerificationAsked, VerificationWord, VerificationsAsked,
    Voted, Way,
};
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::{PersonName, PolicyName, RoleName, ServiceName, SetName, VersionName};
use ripcord_core::plan::{Part, PlannedStep, Quorum, Rung, StepKind, Vote, VoteKind};
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::ratio::Ratio;
use ripcord_core::request::{PlannedRequest, Sent};
use ripcord_core::service::{Illegal, Service};
use ripcord_core::set::{
    IfPartFails, PartDraft, RunMember, Set, SetAsked, SetConfigured, SetDeadlines, SetEffect, SetEvent,
    SetIllegal, SetPhase, SetPlan, SetTerms, Step,
};
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, KnownPerson, Mode, PolicyUse, PreflightRule,
    RequesterVote, Terms,
};
use ripcord_core::time::{Millis, UnixMillis};

/// The host died: what it held in memory is gone.
#[derive(Debug)]
pub struct Death;

/// A journal.
type Journal<E> = Vec<(UnixMillis, E)>;

/// One member, its journal, and what is live of it.
#[derive(Debug, Clone)]
pub struct Member {
    pub service: Service,
    pub journal: Journal<Event>,
    /// What the world serves.
    pub live: String,
    /// What is live cannot be read when its evidence is preserved.
    pub unread: bool,
    /// Versions that its deployer refuses.
    pub refuses: BTreeSet<String>,
    /// Versions that its deployer says it has brought, and has not.
    pub vanishes: BTreeSet<String>,
    /// Versions that verification finds unhealthy.
    pub unwell: BTreeSet<String>,
}

/// Everything.
#[derive(Debug, Clone)]
pub struct World {
    pub now: UnixMillis,
    pub set: Set,
    pub journal: Journal<SetEvent>,
    pub members: BTreeMap<ServiceName, Member>,
    /// Every shift that was made: of which member, to what.
    pub shifts: Vec<(String, String)>,
    /// Every order that went from the set to a member.
    pub told: Vec<(ServiceName, Event)>,
    /// Every result that went from a member to the set.
    pub noted: Vec<SetEvent>,
    /// Points passed so far: one before and one after each append and each effect.
    pub points: usize,
    /// Points at which the host dies.
    pub deaths: Vec<usize>,
}

pub fn blob() -> BlobRef {
    BlobRef { commitment: Digest::of("blob"), kind: BlobKind::Text, bytes: 1 }
}

pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

pub fn person(text: &str) -> PersonName {
    PersonName::new(text).unwrap()
}

pub fn version(text: &str) -> Target {
    Target::Version(VersionTarget { version: VersionName::new(text).unwrap(), digest: None })
}

pub fn approvers(people: u32) -> Vec<Quorum> {
    vec![Quorum { role: RoleName::approver(), people }]
}

fn serving(text: &str) -> Observed {
    let version = VersionTarget { version: VersionName::new(text).unwrap(), digest: None };
    Observed::Serving(vec![Share { version, place: String::new(), weight: Ratio::ONE, proof: Proof::Answer }])
}

/// Ada pulls and approves; bob, cleo and dan approve.
pub fn people() -> Vec<KnownPerson> {
    let known = |name: &str, roles: &[&str]| KnownPerson {
        name: person(name),
        roles: roles.iter().map(|role| RoleName::new(*role).unwrap()).collect(),
        keys: Vec::new(),
    };
    vec![
        known("ada", &["operator", "approver"]),
        known("bob", &["approver"]),
        known("cleo", &["approver"]),
        known("dan", &["approver"]),
    ]
}

pub fn terms() -> Terms {
    Terms {
        mode: Mode::Ask,
        environment: "test".into(),
        deployer: EffectClass::Observable,
        equipment: Digest::of("deployer"),
        facets: Vec::new(),
        producer: None,
        proof_min: Proof::Answer,
        people: people(),
        floor: approvers(1),
        requester_vote: RequesterVote::AloneOnly,
        veto: Vec::new(),
        authors: Vec::new(),
        break_glass: Vec::new(),
        evidence: EvidenceRule::BestEffort,
        waves: Vec::new(),
        preflight: PreflightRule::Off,
        fingerprint: None,
        breaker: Breaker::default(),
        deadlines: Deadlines::default(),
        trials_max: 10,
        schedule: None,
        policies: Vec::new(),
    }
}

pub fn set_terms(members: &[&str], if_part_fails: IfPartFails) -> SetTerms {
    SetTerms {
        members: members.iter().map(|member| name(member)).collect(),
        if_part_fails,
        people: people(),
        floor: Vec::new(),
        requester_vote: RequesterVote::AloneOnly,
        deadlines: SetDeadlines::default(),
    }
}

fn sent() -> Sent {
    Sent { approved: Digest::of("request"), executed: Digest::of("executed") }
}

impl World {
    /// Members that all serve `4`, and a set of them.
    pub fn new(members: &[&str], if_part_fails: IfPartFails) -> Self {
        let mut world = Self {
            now: UnixMillis(1_000_000),
            set: Set::new(SetName::new("pair").unwrap()),
            journal: Vec::new(),
            members: BTreeMap::new(),
            shifts: Vec::new(),
            told: Vec::new(),
            noted: Vec::new(),
            points: 0,
            deaths: Vec::new(),
        };
        for member in members {
            let member = Member {
                service: Service::new(name(member)),
                journal: Vec::new(),
                live: "4".into(),
                unread: false,
                refuses: BTreeSet::new(),
                vanishes: BTreeSet::new(),
                unwell: BTreeSet::new(),
            };
            world.members.insert(member.service.name.clone(), member);
        }
        for member in members {
            world.configure(member, |_| ());
        }
        world.configure_set(set_terms(members, if_part_fails));
        world.points = 0;
        world
    }

    pub fn configure(&mut self, member: &str, change: impl FnOnce(&mut Terms)) {
        let mut terms = self.service(member).terms.clone().unwrap_or_else(terms);
        change(&mut terms);
        let digest = Digest::of(format!("{terms:?}"));
        let configured = Configured { terms, configuration: blob(), digest, host_version: "0.1.0".into() };
        self.tell(member, Event::Configured(configured)).unwrap();
    }

    pub fn configure_set(&mut self, terms: SetTerms) {
        let digest = Digest::of(format!("{terms:?}"));
        let configured = SetConfigured { terms, configuration: blob(), digest, host_version: "0.1.0".into() };
        self.note(SetEvent::Configured(configured)).unwrap();
    }

    pub fn service(&self, member: &str) -> &Service {
        &self.members[&name(member)].service
    }

    pub fn member(&mut self, member: &str) -> &mut Member {
        self.members.get_mut(&name(member)).unwrap()
    }

    /// A person asks for a run.
    pub fn ask(&mut self, who: &str, targets: &[(&str, &str)]) -> Result<(), SetIllegal> {
        let run = self.set.run.as_ref().map(|run| run.id.clone());
        let targets = targets.iter().map(|(member, to)| (name(member), version(to))).collect();
        self.note(SetEvent::Asked(SetAsked { run, person: person(who), reason: blob(), targets }))
    }

    /// A person votes on the plan at hand.
    pub fn vote(&mut self, who: &str, granted: bool) -> Result<(), SetIllegal> {
        let run = self.set.run.as_ref().unwrap();
        let plan = run.plan.as_ref().unwrap().digest;
        let vote = Vote {
            person: person(who),
            roles: vec![RoleName::approver()],
            granted,
            at: self.set.at,
            kind: VoteKind::Session,
            key: None,
        };
        let incident = run.id.as_incident();
        self.note(SetEvent::Voted(Voted { incident, plan, vote, signed: None, reason: None }))
    }

    /// Appends to the set's journal, without dying.
    pub fn note(&mut self, event: SetEvent) -> Result<(), SetIllegal> {
        self.now = self.now + Millis(1);
        self.set = self.set.apply(self.now, &event)?;
        self.journal.push((self.now, event));
        Ok(())
    }

    /// Appends to a member's journal, without dying.
    pub fn tell(&mut self, member: &str, event: Event) -> Result<(), Illegal> {
        self.now = self.now + Millis(1);
        let now = self.now;
        let member = self.member(member);
        member.service = member.service.apply(now, &event)?;
        member.journal.push((now, event));
        Ok(())
    }

    fn point(&mut self) -> Result<(), Death> {
        self.points += 1;
        if self.deaths.contains(&self.points) { Err(Death) } else { Ok(()) }
    }

    fn append_note(&mut self, event: SetEvent) -> Result<(), Death> {
        self.point()?;
        if let Err(illegal) = self.note(event.clone()) {
            panic!("{illegal}: {event:#?} in {:#?}", self.set);
        }
        self.noted.push(event);
        self.point()
    }

    fn append_tell(&mut self, member: &ServiceName, event: Event) -> Result<(), Death> {
        self.point()?;
        if let Err(illegal) = self.tell(member.as_str(), event.clone()) {
            panic!("{illegal}: {event:#?} in {:#?}", self.members[member].service);
        }
        self.point()
    }

    /// All that is in memory is made anew from the journals.
    pub fn start_again(&mut self) {
        let name = self.set.name.clone();
        let fold = |set: Set, (at, event): &(UnixMillis, SetEvent)| set.applied(*at, event).unwrap();
        self.set = self.journal.iter().fold(Set::new(name), fold);
        for (name, member) in &mut self.members {
            let fold =
                |service: Service, (at, event): &(UnixMillis, Event)| service.applied(*at, event).unwrap();
            member.service = member.journal.iter().fold(Service::new(name.clone()), fold);
        }
    }

    /// Does the next thing that is owed; false if nothing is.
    pub fn act(&mut self) -> Result<bool, Death> {
        if self.act_of_set()? {
            return Ok(true);
        }
        let names: Vec<ServiceName> = self.members.keys().cloned().collect();
        for name in names {
            if self.act_of(&name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same of the set alone.
    pub fn act_of_set(&mut self) -> Result<bool, Death> {
        for effect in self.set.owed() {
            let member = effect.member().cloned();
            let state =
                member.as_ref().and_then(|member| self.members.get(member)).map(|member| &member.service);
            match (self.set.step(&effect, state), &effect, member) {
                (Step::Note(event), ..) => return self.append_note(event).map(|()| true),
                (Step::Tell(event), _, Some(member)) => {
                    self.told.push((member.clone(), event.clone()));
                    return self.append_tell(&member, event).map(|()| true);
                }
                (_, SetEffect::Draft { number }, _) => {
                    let drafted = self.draft().drafted(blob());
                    assert_eq!(drafted.number, *number);
                    let event = SetEvent::Drafted(drafted);
                    return self.append_note(event).map(|()| true);
                }
                (_, SetEffect::WakeAt(at), _) if *at <= self.now => {
                    return self.append_note(SetEvent::Woke).map(|()| true);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// The same of one member.
    pub fn act_of(&mut self, name: &ServiceName) -> Result<bool, Death> {
        for effect in self.members[name].service.owed() {
            let member = &self.members[name];
            let live = || serving(&member.live);
            let event = match effect {
                Effect::Preserve { incident, .. } => Event::EvidencePreserved(EvidencePreserved {
                    incident,
                    items: Vec::new(),
                    missing: Vec::new(),
                    live: if member.unread { Observed::Unknown(blob()) } else { live() },
                    facets: Vec::new(),
                    in_production: InProduction::Unsupported,
                    facts: None,
                }),
                Effect::Stage { plan, rung } => Event::Staged(Staged { plan, rung, digest: None }),
                Effect::Guard { plan, rung, wave, attempt } => Event::GuardRead(GuardRead {
                    plan,
                    rung,
                    wave,
                    attempt,
                    live: live(),
                    facets: Vec::new(),
                    host_shifts: 0,
                    host_reserved: 0,
                }),
                Effect::Shift { plan, rung, wave, attempt, .. } => {
                    let began = ShiftBegan { plan, rung, wave, attempt, request: sent() };
                    self.append_tell(name, Event::ShiftBegan(began))?;
                    let outcome = self.shift(name, rung)?;
                    Event::ShiftReturned(ShiftReturned { plan, rung, wave, attempt, outcome })
                }
                Effect::Repeat { plan, rung, wave, attempt, .. } => {
                    let outcome = self.shift(name, rung)?;
                    Event::ShiftReturned(ShiftReturned { plan, rung, wave, attempt, outcome })
                }
                Effect::Probe { plan, rung, wave, attempt } => {
                    let to = self.aim(name, rung);
                    let ordered = (name.to_string(), to.clone());
                    let word = if member.live == to || self.shifts.contains(&ordered) {
                        ProbeWord::Applied
                    } else {
                        ProbeWord::NotApplied
                    };
                    Event::ShiftProbed(ShiftProbed { plan, rung, wave, attempt, word })
                }
                Effect::ReadBack { plan, rung, wave } if member.live != self.aim(name, rung) => {
                    // It is looked at until it shows the target: only the deadline ends that.
                    let ends = member.service.step_ends_at().unwrap();
                    if self.now < ends {
                        continue;
                    }
                    Event::ReadBack(read_back((plan, rung, wave), live()))
                }
                Effect::ReadBack { plan, rung, wave } => {
                    Event::ReadBack(read_back((plan, rung, wave), live()))
                }
                Effect::Verify { plan, rung, round } => {
                    let well = !member.unwell.contains(&member.live);
                    Event::VerificationsAsked(verified(plan, rung, round, well))
                }
                Effect::WakeAt(at) if at <= self.now => Event::Woke,
                _ => continue,
            };
            self.append_tell(name, event)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// What the rung at hand leads to.
    fn aim(&self, name: &ServiceName, rung: u32) -> String {
        let incident = self.members[name].service.incident.as_ref().unwrap();
        let target = incident.target(rung).and_then(Target::version).unwrap();
        target.version.to_string()
    }

    /// The world moves.
    fn shift(&mut self, name: &ServiceName, rung: u32) -> Result<ShiftOutcome, Death> {
        let to = self.aim(name, rung);
        self.check_shift(name, rung);
        self.point()?;
        let member = self.members.get_mut(name).unwrap();
        if member.refuses.contains(&to) {
            let (nature, lies_in) = (FaultNature::Deterministic, FaultPlace::Target);
            return Ok(ShiftOutcome::NotApplied { reason: blob(), nature, lies_in });
        }
        if !member.vanishes.contains(&to) {
            member.live.clone_from(&to);
        }
        self.shifts.push((name.to_string(), to));
        self.point()?;
        Ok(ShiftOutcome::Done)
    }

    /// Nothing is shifted for a set before all of it was enlisted, planned and agreed to, and its intent is on record.
    fn check_shift(&self, name: &ServiceName, rung: u32) {
        let Some(membership) = self.members[name].service.enlisted_by() else { return };
        let way = if rung == 0 { Way::There } else { Way::Back };
        let of_run = |event: &SetEvent| match event {
            SetEvent::PartBegan(of) => {
                of.run == membership.run
                    && of.member == *name
                    && of.number == membership.number
                    && of.way == way
            }
            _ => false,
        };
        let began =
            self.journal.iter().position(|(_, event)| of_run(event)).expect("the intent is on record");
        let before = &self.journal[..began];
        let enlisted = before.iter().filter(
            |(_, event)| matches!(event, SetEvent::Enlisted(enlisted) if enlisted.run == membership.run),
        );
        assert_eq!(enlisted.count(), self.members.len(), "all are enlisted before the first part");
        let planned = before.iter().any(|(_, event)| {
            matches!(event, SetEvent::Drafted(drafted) if drafted.run == membership.run && drafted.number == membership.number)
        });
        assert!(planned, "there is a plan before its first part");
    }

    /// The plan that the run asks for.
    pub fn draft(&self) -> SetPlan {
        let run = self.set.run.as_ref().unwrap();
        let steps = StepKind::ALL.map(|kind| PlannedStep {
            kind,
            arguments: Vec::new(),
            request: kind
                .sends()
                .then(|| PlannedRequest { words: "load it".into(), digest: sent().approved }),
            wave: None,
        });
        let draft = |member: &RunMember| {
            let service = &self.members[&member.service].service;
            let known = member.enlisted().unwrap().serving.first().map(|known| known.name.to_string());
            let back = known.unwrap_or_else(|| self.members[&member.service].live.clone());
            let mut targets = vec![member.target.clone().unwrap()];
            if run.if_part_fails == IfPartFails::Back {
                targets.push(version(&back));
            }
            let live = serving(&self.members[&member.service].live);
            PartDraft {
                part: Part {
                    service: member.service.clone(),
                    environment: "test".into(),
                    live: live.state(),
                    facets: Vec::new(),
                    waves: Vec::new(),
                    rungs: targets.into_iter().map(|target| Rung { target, steps: steps.to_vec() }).collect(),
                },
                live,
                facets: Vec::new(),
                policies: service
                    .terms
                    .as_ref()
                    .unwrap()
                    .policies
                    .iter()
                    .map(|used| used.policy.clone())
                    .collect(),
                condemnations_known: service.condemnations,
                equipment: service.terms.as_ref().unwrap().equipment,
                preflighted: false,
            }
        };
        let drafts = run.to_move().map(draft).collect();
        self.set.draft(Digest::of("installation"), drafts, self.now).unwrap().unwrap()
    }

    /// Acts until nothing is owed now, starting again after every death.
    pub fn settle(&mut self) {
        for _ in 0..5_000 {
            match self.act() {
                Ok(true) => {}
                Ok(false) => return,
                Err(Death) => self.start_again(),
            }
        }
        panic!("it does not come to rest: {:#?}", self.set);
    }

    /// Acts until `is_so`, without dying.
    pub fn settle_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..1_000 {
            if is_so(self) {
                return;
            }
            assert!(self.act().unwrap(), "it came to rest before: {:#?}", self.set);
        }
        panic!("it was never so: {:#?}", self.set);
    }

    /// Plays until this point is passed; people do as the course says.
    pub fn stop_at(&mut self, point: usize, people: fn(&mut Self) -> bool) {
        for _ in 0..5_000 {
            if self.points >= point || self.set.run.is_none() {
                return;
            }
            if !self.act().unwrap() && !people(self) {
                let of_members = self.members.values().filter_map(|member| member.service.wakes_at());
                self.now = of_members.chain(self.set.wakes_at()).filter(|at| *at > self.now).min().unwrap();
            }
        }
        panic!("it does not come so far: {:#?}", self.set);
    }

    /// Writes the intent of the shift that is owed, and does no more.
    pub fn begin_shift(&mut self, member: &str) {
        let owed = self.service(member).owed().into_iter();
        let mut began = owed.filter_map(|effect| match effect {
            Effect::Shift { plan, rung, wave, attempt, .. } => {
                Some(ShiftBegan { plan, rung, wave, attempt, request: sent() })
            }
            _ => None,
        });
        let began = began.next_back().unwrap();
        self.tell(member, Event::ShiftBegan(began)).unwrap();
    }

    /// The world cannot tell what became of it.
    pub fn tell_probe_lost(&mut self, member: &str) {
        let owed = self.service(member).owed().into_iter();
        let mut probed = owed.filter_map(|effect| match effect {
            Effect::Probe { plan, rung, wave, attempt } => {
                Some(ShiftProbed { plan, rung, wave, attempt, word: ProbeWord::CannotTell(blob()) })
            }
            _ => None,
        });
        let probed = probed.next_back().unwrap();
        self.tell(member, Event::ShiftProbed(probed)).unwrap();
    }

    /// The same, until some instant that is waited for has come and nothing is owed then.
    pub fn wait(&mut self) {
        let of_members = self.members.values().filter_map(|member| member.service.wakes_at());
        let next = of_members.chain(self.set.wakes_at()).filter(|at| *at > self.now).min();
        self.now = next.expect("something is waited for");
        self.settle();
    }

    pub fn phase(&self) -> &'static str {
        self.set.run.as_ref().map_or("none", |run| run.phase.name())
    }

    pub fn is_authorising(&self) -> bool {
        self.set.run.as_ref().is_some_and(|run| matches!(run.phase, SetPhase::Authorising { .. }))
    }

    pub fn live(&self, member: &str) -> &str {
        &self.members[&name(member)].live
    }

    /// How the last run ended, in words.
    pub fn outcome(&self) -> String {
        match self.set.last.as_ref().map(|run| &run.phase) {
            Some(SetPhase::Ended(outcome)) => outcome.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn read_back((plan, rung, wave): (Digest, u32, u32), live: Observed) -> ReadBack {
    ReadBack { plan, rung, wave, live, facets: Vec::new(), fingerprint: FingerprintWord::NotCompared }
}

fn verified(plan: Digest, rung: u32, round: u32, well: bool) -> VerificationsAsked {
    let policy = verifier().policy;
    let decision = Decision {
        policy,
        role: Role::Verification,
        recording: blob(),
        fuel: 1,
        rounds: 1,
        data: DataState::Complete,
    };
    let word = if well { VerificationWord::Healthy } else { VerificationWord::Unhealthy };
    VerificationsAsked {
        phase: TrialPhase::Rung(PlannedRung { plan, rung }),
        round,
        asked: vec![VerificationAsked { decision, said: Said::Verdict(word), memo: None, findings: None }],
        cause: None,
        own_from: None,
        beside: Vec::new(),
    }
}

/// The one verification policy that members may have.
pub fn verifier() -> PolicyUse {
    let policy = PolicyRef {
        name: PolicyName::new("verifier").unwrap(),
        version: "1.0.0".into(),
        digest: Digest::of("verifier"),
    };
    PolicyUse { role: Role::Verification, policy, settings: Digest::of("settings") }
}
