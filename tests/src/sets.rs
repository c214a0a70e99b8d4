//! Services that move together, and what people ask of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::facet::Revision;
use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::plan::{IfPartFails, Quorum, VoteKind};
use ripcord_core::set::{Set, SetDeadlines, SetOutcome, SetPhase, SetTerms};
use ripcord_core::terms::RequesterVote;
use ripcord_engine::{
    Ballot, CommandError, Person, SetAsk, SetCommand, SetObeyed, SetSetup, recover_set, verify,
};

use crate::check;
use crate::lab::{Lab, PATIENCE, Running};
use crate::people::{ada, bob, cleo, everyone};

/// The name of the set of a lab.
pub fn pair() -> SetName {
    SetName::new("pair").expect("a name")
}

impl Lab {
    /// The same with all its services in one set, in their order.
    #[must_use]
    pub fn with_set(mut self, if_part_fails: IfPartFails, floor: Vec<Quorum>) -> Self {
        let terms = SetTerms {
            members: self.specs.iter().map(|spec| spec.name.clone()).collect(),
            if_part_fails,
            people: everyone(),
            floor,
            requester_vote: RequesterVote::AloneOnly,
            deadlines: SetDeadlines::default(),
        };
        self.sets = vec![SetSetup { name: pair(), terms, configuration: "{}".into() }];
        self
    }
}

impl Running {
    /// The set now.
    pub fn set(&self) -> Arc<Set> {
        self.engine.watch_set(&pair()).expect("a known set").borrow().clone()
    }

    /// The set as soon as it is `wanted`.
    pub async fn until_set(&self, what: &str, wanted: impl Fn(&Set) -> bool) -> Arc<Set> {
        let mut watch = self.engine.watch_set(&pair()).expect("a known set");
        let found = tokio::time::timeout(PATIENCE, watch.wait_for(|set| wanted(set))).await;
        match found {
            Ok(found) => found.expect("the host runs").clone(),
            Err(_) => panic!("waited in vain for the set to be: {what}; it is {:#?}", self.set()),
        }
    }

    /// Asks something of the run that goes on.
    pub async fn ask_set(&self, person: Person, ask: SetAsk) -> Result<SetObeyed, CommandError> {
        let command = SetCommand { person, ask, reason: "a test".into(), run: None };
        self.engine.command_set(&pair(), command).await
    }

    /// Ada wants these members at these revisions.
    pub async fn move_set(&self, to: &[(&str, &str)]) -> Result<SetObeyed, CommandError> {
        let one = |(member, to): &(&str, &str)| {
            let revision: Revision = to.parse().expect("a revision");
            (ServiceName::new(*member).expect("a name"), revision)
        };
        let to: BTreeMap<_, _> = to.iter().map(one).collect();
        self.ask_set(ada(), SetAsk::Move { to }).await
    }

    /// `who` votes on the plan of the run that goes on.
    pub async fn vote_on_set(&self, who: Person, granted: bool) -> Result<SetObeyed, CommandError> {
        let waits = |set: &Set| is_authorising(set);
        let set = self.until_set("waiting for approval", waits).await;
        let plan = set.run.as_ref().and_then(|run| run.plan.as_ref()).expect("a plan").digest;
        let ballot = Ballot { plan, granted, kind: VoteKind::Session, signed: None };
        self.ask_set(who, SetAsk::Vote(ballot)).await
    }

    /// Plays all people until the run is over and its members are quiet: approves what waits, and says what happened when asked.
    pub async fn attend_set(&self, lab: &Lab) -> Arc<Set> {
        let members: Vec<ServiceName> = lab.specs.iter().map(|spec| spec.name.clone()).collect();
        for _ in 0..200 {
            let set = self.set();
            let over = |set: &Set| set.run.is_none() && set.last.is_some() && set.outbox.is_empty();
            if over(&set) && members.iter().all(|member| self.state(member).incident.is_none()) {
                return set;
            }
            if is_authorising(&set) {
                let run = set.run.as_ref().expect("a run");
                let voted = |who: &Person| run.votes.iter().any(|vote| vote.person == who.name);
                if let Some(who) = [bob(), cleo()].into_iter().find(|who| !voted(who)) {
                    late(self.vote_on_set(who, true).await);
                }
            }
            for member in &members {
                let state = self.state(member);
                if crate::people::wants_people(&state) && state.enlisted_by().is_some() {
                    self.help(lab, member, &state).await;
                }
            }
            let changed = |now: &Set| now.length != set.length || over(now);
            let mut watch = self.engine.watch_set(&pair()).expect("a known set");
            drop(
                tokio::time::timeout(
                    std::time::Duration::from_millis(100),
                    watch.wait_for(|now| changed(now)),
                )
                .await,
            );
        }
        panic!("the run is not over: {:#?}", self.set());
    }

    /// Every journal is whole, says what the host says, and so does all that is derived from it.
    pub async fn check_set(&self, lab: &Lab) {
        let set = self.set();
        let recovered = recover_set(self.store.as_ref(), &pair()).await.expect("the journal folds");
        assert_eq!(recovered.state, set, "the state is not that of the journal");
        let verified = verify(self.store.as_ref(), &pair().journal()).await.expect("verifies");
        assert!(verified.is_well(), "{verified:#?}");
        for spec in &lab.specs {
            check::journal(self, &spec.name).await;
            check::no_blind_repeat(&lab.world.of(&spec.name).steps, &spec.terms);
        }
    }
}

/// The state may have moved on meanwhile, or the store may have failed; whoever voted looks again.
fn late<T>(done: Result<T, CommandError>) {
    if let Err(error) = done {
        assert!(matches!(error, CommandError::Set(_) | CommandError::Store(_)), "{error}");
    }
}

/// Whether the run that goes on waits for votes.
pub fn is_authorising(set: &Set) -> bool {
    matches!(set.run.as_ref().map(|run| &run.phase), Some(SetPhase::Authorising { .. }))
}

/// How the last run ended.
pub fn outcome_of_set(set: &Set) -> Option<SetOutcome> {
    match set.last.as_ref()?.phase {
        SetPhase::Ended(outcome) => Some(outcome),
        _ => None,
    }
}
