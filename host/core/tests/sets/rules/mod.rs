//! The rules, one scenario each.

mod agreeing;
mod enlisting;
mod moving;

use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::{
    AboutIncident, ApprovalAsked, ApprovalWord, ApprovalsAsked, DataState, Decision, Event, PendingPlan,
    PersonSaid, PullRequested, Said,
};
use ripcord_core::facet::Revision;
use ripcord_core::fact::Outcome;
use ripcord_core::name::{PolicyName, VersionName};
use ripcord_core::plan::Leaving;
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::role::Urgency;
use ripcord_core::service::Phase;
use ripcord_core::set::{AboutRun, IfPartFails};
use ripcord_core::terms::PolicyUse;

use crate::world::{World, approvers, blob, person, version};

const PAIR: [&str; 2] = ["features", "model"];

/// What is done to it, and how it is called.
type Done<T> = (&'static str, fn(&mut T));

fn revision(text: &str) -> Revision {
    Revision::of_model(&VersionName::new(text).unwrap())
}

/// A run to `1` of both members whose plan waits for people.
fn asked(world: &mut World) {
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    world.settle();
}

/// The same, where two keys are asked for by the model's floor.
fn two_keys(if_part_fails: IfPartFails) -> World {
    let mut world = World::new(&PAIR, if_part_fails);
    world.configure("model", |terms| terms.floor = approvers(2));
    asked(&mut world);
    assert!(world.is_authorising(), "{}", world.phase());
    world
}

fn agreed(if_part_fails: IfPartFails, change: impl FnOnce(&mut World)) -> World {
    let mut world = two_keys(if_part_fails);
    change(&mut world);
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    world
}

fn incident(world: &World, member: &str) -> AboutIncident {
    let incident = world.service(member).incident.as_ref().unwrap().id.clone();
    AboutIncident { incident, person: person("ada"), reason: blob() }
}

fn run(world: &World) -> AboutRun {
    AboutRun { run: world.set.run.as_ref().unwrap().id.clone(), person: person("ada"), reason: blob() }
}

fn paused() -> Event {
    Event::Paused(PersonSaid { person: person("dan"), reason: blob() })
}

fn pull(world: &World, member: &str, to: &str) -> Event {
    Event::PullRequested(PullRequested {
        incident: world.service(member).incident.as_ref().map(|open| open.id.clone()),
        person: person("ada"),
        roles: Vec::new(),
        target: Some(version(to)),
        reason: blob(),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    })
}

fn ended(world: &World, member: &str) -> Outcome {
    match &world.service(member).last_settled.as_ref().unwrap().phase {
        Phase::Settled(outcome) => outcome.clone(),
        other => panic!("{other:?}"),
    }
}

/// All that people were told of the set, in one text.
fn told(world: &World) -> String {
    world.set.outbox.iter().map(|outgoing| outgoing.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn approval(world: &World, member: &str, word: ApprovalWord) -> Event {
    let service = world.service(member);
    let policy = PolicyRef {
        name: PolicyName::new("approval").unwrap(),
        version: "1.0.0".into(),
        digest: Digest::of("approval"),
    };
    let decision = Decision {
        policy,
        role: Role::Approval,
        recording: blob(),
        fuel: 1,
        rounds: 1,
        data: DataState::Complete,
    };
    Event::ApprovalsAsked(ApprovalsAsked {
        plan: service.incident.as_ref().unwrap().plan().unwrap().digest,
        ballot: service.ballot(),
        asked: vec![ApprovalAsked { decision, said: Said::Verdict(word) }],
    })
}

/// The model's part waits for its approval policy, which knows of the votes of the set.
fn with_a_policy() -> World {
    let world = agreed(IfPartFails::Back, |world| {
        let policy = PolicyUse {
            role: Role::Approval,
            policy: PolicyRef {
                name: PolicyName::new("approval").unwrap(),
                version: "1.0.0".into(),
                digest: Digest::of("approval"),
            },
            settings: Digest::of("settings"),
        };
        world.configure("model", |terms| terms.policies = vec![policy]);
    });
    assert_eq!(world.live("features"), "1");
    let owed = world.service("model").owed();
    assert!(owed.iter().any(|effect| matches!(effect, Effect::AskApprovals { .. })), "{owed:?}");
    assert_eq!(world.service("model").votes_in_force().len(), 2);
    world
}
