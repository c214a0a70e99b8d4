//! What people do, and the alerts that reach the host.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Happened, PendingPlan};
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PersonName, RoleName, ServiceName, SignalId, SourceName, VersionName};
use ripcord_core::plan::{Leaving, VoteKind};
use ripcord_core::role::Urgency;
use ripcord_core::service::{NeedKind, Phase, Service};
use ripcord_core::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::target::{Exclusion, RetrainTarget, Target};
use ripcord_core::terms::KnownPerson;
use ripcord_core::time::Millis;
use ripcord_core::wave::Moves;
use ripcord_engine::{Ask, Ballot, Command, CommandError, Obeyed, Person, PullTo};
use ripcord_ports::Clock;
use ripcord_ports::store::{Accepted, NewSignal, StoreError};

use crate::fakes::FakeDeployer;
use crate::lab::{Lab, Running};
use crate::world::Step;

/// A person with roles.
pub fn person(name: &str, roles: &[&str]) -> Person {
    Person {
        name: PersonName::new(name).expect("a name"),
        roles: roles.iter().map(|role| RoleName::new(*role).expect("a role")).collect(),
    }
}

/// Dan looks.
pub fn dan() -> Person {
    person("dan", &["viewer"])
}

/// Everyone who may act in a lab.
pub fn everyone() -> Vec<KnownPerson> {
    let known = |Person { name, roles }| KnownPerson { name, roles, keys: Vec::new() };
    [ada(), bob(), cleo(), dan()].map(known).into()
}

/// Ada pulls and approves.
pub fn ada() -> Person {
    person("ada", &["operator", "approver"])
}

/// Bob approves.
pub fn bob() -> Person {
    person("bob", &["approver"])
}

/// Cleo approves.
pub fn cleo() -> Person {
    person("cleo", &["approver"])
}

/// A version's name.
pub fn version(name: &str) -> VersionName {
    VersionName::new(name).expect("a version")
}

/// The same as a revision of the model.
pub fn revision(name: &str) -> Revision {
    Revision::of_model(&version(name))
}

impl Running {
    /// `who` asks for something.
    pub async fn ask(&self, who: Person, service: &ServiceName, ask: Ask) -> Result<Obeyed, CommandError> {
        let command = Command { person: who, ask, reason: "a test".into(), incident: None };
        self.engine.command(service, command).await
    }

    /// The same about one incident.
    pub async fn ask_about(
        &self,
        who: Person,
        service: &ServiceName,
        incident: &IncidentId,
        ask: Ask,
    ) -> Result<Obeyed, CommandError> {
        let incident = Some(incident.clone());
        self.engine.command(service, Command { person: who, ask, reason: "a test".into(), incident }).await
    }

    /// Ada pulls, to a revision as it is written.
    pub async fn pull(&self, service: &ServiceName, to: Option<&str>) -> Result<Obeyed, CommandError> {
        self.ask(
            ada(),
            service,
            Ask::Pull {
                to: to.map(|text| text.parse::<Revision>().expect("a revision").into()),
                urgency: Urgency::Urgent,
                leaving: Leaving::Condemn,
                pending: PendingPlan::Replace,
                break_glass: false,
            },
        )
        .await
    }

    /// Ada has the model trained again.
    pub async fn pull_retraining(
        &self,
        service: &ServiceName,
        dataset: &str,
    ) -> Result<Obeyed, CommandError> {
        let (dataset, revision) = (dataset.to_owned(), String::new());
        let exclude = vec![Exclusion::Source("bot-farm".into())];
        self.ask(
            ada(),
            service,
            Ask::Pull {
                to: Some(PullTo::Made(Target::Retrain(RetrainTarget { dataset, revision, exclude }))),
                urgency: Urgency::Urgent,
                leaving: Leaving::Condemn,
                pending: PendingPlan::Replace,
                break_glass: false,
            },
        )
        .await
    }

    /// `who` votes on `plan`.
    pub async fn vote_on(
        &self,
        who: Person,
        service: &ServiceName,
        plan: Digest,
        granted: bool,
    ) -> Result<Obeyed, CommandError> {
        let ballot = Ballot { plan, granted, kind: VoteKind::Session, signed: None };
        self.ask(who, service, Ask::Vote(ballot)).await
    }

    /// `who` approves the plan at hand, once it waits for approval.
    pub async fn approve(&self, who: Person, service: &ServiceName) -> Result<Obeyed, CommandError> {
        let plan = self.waiting_plan(service).await;
        self.vote_on(who, service, plan, true).await
    }

    /// The digest of the plan at hand, once it waits for approval.
    pub async fn waiting_plan(&self, service: &ServiceName) -> Digest {
        let waits = |service: &Service| {
            matches!(service.incident.as_ref().map(|open| &open.phase), Some(Phase::Authorising(_)))
                && wants_people(service)
        };
        let state = self.until("waiting for approval", service, waits).await;
        state.incident.as_ref().and_then(|open| open.plan()).expect("a plan").digest
    }

    /// Vouches for revisions.
    pub async fn adopt(&self, service: &ServiceName, revisions: &[&str]) {
        for text in revisions {
            let revision: Revision = text.parse().expect("a revision");
            self.ask(ada(), service, Ask::Adopt(Some(revision))).await.expect("adopted");
        }
    }

    /// An alert comes in.
    pub async fn alert(
        &self,
        lab: &Lab,
        service: &ServiceName,
        id: &str,
    ) -> Result<Vec<Accepted>, StoreError> {
        self.engine.take_signals(vec![alert(lab, service, id, "harm", SignalStatus::Firing)]).await
    }

    /// The end of an alert comes in.
    pub async fn resolved(&self, lab: &Lab, service: &ServiceName, id: &str) {
        let signal = alert(lab, service, id, "harm", SignalStatus::Resolved);
        self.engine.take_signals(vec![signal]).await.expect("taken");
    }

    /// Plays all people until an incident is settled and quiet: approves what waits, and says what happened when asked.
    pub async fn attend(&self, lab: &Lab, service: &ServiceName) -> std::sync::Arc<Service> {
        let mut asked = 0;
        loop {
            let state = self
                .until("settled, or in need of people", service, |state| {
                    crate::lab::is_quiet(state) || wants_people(state)
                })
                .await;
            if !wants_people(&state) {
                return state;
            }
            asked += 1;
            assert!(asked < 20, "people are asked again and again: {state:#?}");
            self.help(lab, service, &state).await;
        }
    }

    pub(crate) async fn help(&self, lab: &Lab, service: &ServiceName, state: &Service) {
        let Some(open) = &state.incident else { return };
        let done = match &open.phase {
            Phase::Authorising(_) => {
                let plan = open.plan().expect("a plan").digest;
                let voted = |who: &Person| open.votes.iter().any(|vote| vote.person == who.name);
                let Some(who) = [bob(), cleo()].into_iter().find(|who| !voted(who)) else { return };
                self.vote_on(who, service, plan, true).await
            }
            Phase::NeedsPerson(need) if need.question == NeedKind::DidTheShiftHappen => {
                let rung = need.resume.as_ref().map_or(0, |acting| acting.rung);
                let Some(target) = open.target(rung).and_then(Target::revision) else { panic!("no target") };
                let outside = lab.world.of(service);
                let wave = need.resume.as_ref().map_or(0, |acting| acting.wave);
                let moves = open.plan().map_or(Moves::Rest, |plan| plan.moves(wave).clone());
                let happened = match open.target(rung) {
                    Some(version @ Target::Version(_)) if moves != Moves::Rest => {
                        FakeDeployer::state(&outside).shows(version, &moves)
                    }
                    _ => outside.in_force(&target.facet) == target.name.as_str(),
                };
                let answer = if happened { Happened::Applied } else { Happened::NotApplied };
                lab.world.at(service, |outside| outside.steps.push(Step::Answered));
                let question = open.questions;
                self.ask(ada(), service, Ask::Answer { applied: answer, question }).await
            }
            other => panic!("nobody knows what to do: {other:#?}"),
        };
        if let Err(error) = done {
            // The state may have moved on meanwhile.
            assert!(matches!(error, CommandError::Illegal(_)), "{error}");
        }
    }
}

/// Whether the open incident waits for people.
pub fn wants_people(state: &Service) -> bool {
    match state.incident.as_ref().map(|open| &open.phase) {
        Some(Phase::NeedsPerson(_)) => true,
        Some(Phase::Authorising(_)) => state.unseen_ballot().is_none(),
        _ => false,
    }
}

/// One alert of `rule`. The same id is the same alert.
pub fn alert(lab: &Lab, service: &ServiceName, id: &str, rule: &str, status: SignalStatus) -> NewSignal {
    let now = lab.clock.now();
    let signal = Signal {
        id: SignalId::new(format!("{service}-{id}")).expect("an id"),
        origin: Origin::Webhook("alertmanager".into()),
        rule: rule.into(),
        status,
        kind: SignalKind::Condition,
        severity: Severity::Critical,
        labels: vec![Label::new("id", id)],
        annotations: Vec::new(),
        started_at: now - Millis::minutes(1),
        ended_at: (status == SignalStatus::Resolved).then_some(now),
        received_at: now,
    };
    NewSignal {
        source: Some(SourceName::new("alertmanager").expect("a name")),
        service: Some(service.clone()),
        dedupe_key: Digest::of(format!("{service} {id}")),
        dedupe_window: Millis::hours(24),
        turn: None,
        signal,
    }
}
