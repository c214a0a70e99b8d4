//! What is known of a configuration's revisions: earned together, pinned, vouched for, given back, and bounded.

use super::facet_stage::*;
use super::stage::{Stage, blob, person, policy};
use crate::digest::Digest;
use crate::effect::Effect;
use crate::event::*;
use crate::facet::FacetState;
use crate::fact::Outcome;
use crate::policy::Role;
use crate::role::Urgency;
use crate::service::{Illegal, Phase};
use crate::standing::Standing;
use crate::target::{Strategy, Target};
use crate::terms::Mode;
use crate::time::Millis;

const AFTER: Revisions = &[("thresholds", "c1"), ("prompt", "p1"), ("fallback", "off")];

fn to_c1() -> Target {
    target("thresholds", "c1")
}

#[test]
fn what_was_verified_is_good_together_and_what_could_not_be_read_is_not() {
    let mut stage = service(BEFORE);
    stage.rolled_back(to_c1(), BEFORE, AFTER);
    let [combination] = stage.0.combinations.as_slice() else { panic!("{:#?}", stage.0.combinations) };
    let all = [("model", "4"), ("thresholds", "c1"), ("prompt", "p1"), ("fallback", "off")];
    assert_eq!(combination.revisions, all.iter().map(|(of, name)| revision(of, name)).collect());
    assert_eq!(stage.0.verified_together(&combination.revisions), Some(stage.0.at));

    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("4", unreadable(in_force(AFTER), "prompt"));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.standing("prompt", "p1"), Standing::Unproven, "nobody knows whether it was in force");
    assert_eq!(stage.standing("thresholds", "c1"), Standing::KnownGood);
    assert!(stage.0.combinations.is_empty());

    // The same of the model: a configuration that is well says nothing of a version that nobody has read.
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    let (plan, rung, fingerprint) = (stage.plan(), stage.rung(), FingerprintWord::NotCompared);
    let (live, facets) = (Observed::Unknown(blob()), in_force(AFTER));
    stage.tell(&Event::ReadBack(ReadBack { plan, rung, wave: 0, live, facets, fingerprint }));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.standing("model", "4"), Standing::Unproven);
    assert_eq!(stage.standing("thresholds", "c1"), Standing::KnownGood);
    assert!(stage.0.combinations.is_empty());
}

#[test]
fn a_revision_whose_content_is_not_what_was_pinned_earns_nothing() {
    let mut stage = service(BEFORE);
    stage.adopts("prompt", "p1", Some("then"));
    let since = stage.0.known_of(revision("prompt", "p1")).unwrap().since;
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    let mut facets = in_force(AFTER);
    let FacetState::InForce(known) = &mut facets[1].state else { panic!() };
    known.digest = Some(Digest::of("now"));
    stage.read_back("4", facets);
    stage.judged(VerificationWord::Healthy);
    let known = stage.0.known_of(revision("prompt", "p1")).unwrap();
    assert_eq!((&known.standing, known.since), (&Standing::Attested, since));
    assert!(stage.0.combinations.is_empty());
}

#[test]
fn lifting_the_hold_on_a_configuration_gives_its_standing_back_at_once() {
    let mut stage = service(BEFORE);
    stage.adopts("thresholds", "c2", Some("content"));
    stage.rolled_back(to_c1(), BEFORE, AFTER);
    let adopt = |digest| Adopted {
        revision: revision("thresholds", "c2"),
        digest,
        person: person("ada"),
        reason: blob(),
    };
    let refused = stage.try_it(&Event::Adopted(adopt(None))).unwrap_err().to_string();
    assert!(refused.contains("ripcord hold lift fraud-api thresholds=c2"), "{refused}");
    stage.lifts("thresholds", "c2");
    assert_eq!(stage.standing("thresholds", "c2"), Standing::Attested);
    assert!(stage.0.holds.is_empty(), "no registry is to be told");
    let other = Event::Adopted(adopt(Some(Digest::of("another content"))));
    assert!(matches!(stage.try_it(&other), Err(Illegal::OtherDigest { .. })));
}

/// A configuration that a person vouched for can be gone back to, as a version can.
#[test]
fn a_configuration_is_vouched_for_as_a_version_is() {
    let mut stage = service(BEFORE);
    stage.adopts("thresholds", "c1", Some("content"));
    assert_eq!(stage.standing("thresholds", "c1"), Standing::Attested);
    assert_eq!(stage.standing("prompt", "c1"), Standing::Unproven, "of another facet it says nothing");
    assert!(!stage.0.owed().iter().any(|owed| matches!(owed, Effect::Pin { .. })), "it is no artefact");
}

fn decision(role: Role) -> Decision {
    let (policy, data) = (policy(role).policy, DataState::Complete);
    Decision { policy, role, recording: blob(), fuel: 1, rounds: 1, data }
}

/// Its plan is granted by rules alone.
fn rules_grant(stage: &mut Stage) {
    let owed = stage.0.owed();
    let ballot = owed.iter().find_map(|owed| match owed {
        Effect::AskApprovals { plan, ballot } => Some((*plan, *ballot)),
        _ => None,
    });
    let (plan, ballot) = ballot.unwrap();
    let said = Said::Verdict(ApprovalWord::Granted);
    let asked = vec![ApprovalAsked { decision: decision(Role::Approval), said }];
    stage.tell(&Event::ApprovalsAsked(ApprovalsAsked { plan, ballot, asked }));
}

/// It finds a reason.
pub(super) fn trigger_says(stage: &mut Stage) {
    let decision = decision(Role::Trigger);
    let said = Said::Verdict(TriggerWord::RollBack(Reason {
        cause: blob(),
        strategy: Strategy::Configuration,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    }));
    let (set_aside, searched) = (Vec::new(), Vec::new());
    let asked = vec![TriggerAsked { decision, said, memo: None, set_aside, left: 0, searched }];
    stage.tell(&Event::TriggersAsked(TriggersAsked { up_to: 0, seen: 0, incident: None, asked }));
}

#[test]
fn rules_alone_do_not_go_back_to_a_configuration_that_was_left_lately() {
    let mut stage = Stage::new(|terms| {
        facets(terms);
        terms.policies.extend([Role::Trigger, Role::Approval].map(policy));
        (terms.mode, terms.floor) = (Mode::Act, Vec::new());
    });
    stage.watched("4", in_force(BEFORE));
    trigger_says(&mut stage);
    stage.plan_to(&[to_c1()], &in_force(BEFORE));
    rules_grant(&mut stage);
    stage.staged();
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RolledBack, "rules alone may shift");
    stage.lifts("thresholds", "c2");
    stage.try_at(stage.0.at + Millis::hours(2), &Event::Woke).unwrap();
    trigger_says(&mut stage);
    stage.plan_to(&[target("thresholds", "c2")], &in_force(AFTER));
    rules_grant(&mut stage);
    stage.staged();
    stage.guarded("4", in_force(AFTER));
    let Phase::Authorising(waiting) = &stage.incident().phase else { panic!("{}", stage.phase()) };
    let why = waiting.people_because.as_deref().unwrap();
    assert!(why.contains("`configuration thresholds c2` was left only 2 h ago"), "{why}");
}

#[test]
fn what_is_known_of_revisions_is_bounded_and_forgets_what_nobody_goes_back_to_first() {
    let mut stage = service(BEFORE);
    stage.rolled_back(to_c1(), BEFORE, AFTER);
    for number in 0..2_000 {
        stage.adopts("prompt", &format!("q{number}"), None);
    }
    let known = |of: &str| stage.0.revisions.keys().filter(|known| known.facet == facet(of)).count();
    assert_eq!(known("prompt"), 256);
    assert_eq!(stage.standing("prompt", "p1"), Standing::KnownGood, "it is in force");
    assert_eq!(stage.standing("prompt", "q0"), Standing::Unproven, "as one that was never seen");
    assert_eq!(stage.standing("prompt", "q1999"), Standing::Attested);
    assert_eq!(stage.standing("thresholds", "c2"), Standing::Held, "another facet pushes nothing out");
    assert_eq!(stage.standing("model", "4"), Standing::KnownGood);
}
