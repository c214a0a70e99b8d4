//! A rollback moves one facet: it condemns, proves and repeats by that one, and goes on only while all others are as planned.

use super::facet_stage::*;
use super::stage::{Stage, blob, serving, version};
use crate::digest::Digest;
use crate::effect::Effect;
use crate::event::*;
use crate::facet::FacetState;
use crate::fact::Outcome;
use crate::live::Proof;
use crate::service::{Illegal, NeedKind, Phase};
use crate::standing::Standing;
use crate::terms::EffectClass;

const AFTER: Revisions = &[("thresholds", "c1"), ("prompt", "p1"), ("fallback", "off")];

fn to_c1() -> crate::target::Target {
    target("thresholds", "c1")
}

#[test]
fn a_configuration_rollback_condemns_the_configuration_that_was_left_and_never_the_model() {
    let mut stage = service(BEFORE);
    stage.rolled_back(to_c1(), BEFORE, AFTER);
    assert_eq!(stage.outcome(), Outcome::RolledBack);
    assert_eq!(stage.standing("thresholds", "c2"), Standing::Held);
    assert_eq!(stage.0.holds.keys().collect::<Vec<_>>(), [&revision("thresholds", "c2")]);
    // It is well with what stayed, so that is good.
    for (of, name) in [("model", "4"), ("prompt", "p1"), ("thresholds", "c1")] {
        assert_eq!(stage.standing(of, name), Standing::KnownGood, "{of} {name}");
    }
    let owed = stage.0.owed();
    assert!(!owed.iter().any(|effect| matches!(effect, Effect::MarkHold { .. })), "no registry has it");
    assert_eq!(stage.0.hold_on(revision("thresholds", "c2")).unwrap().mark_at, None);
}

#[test]
fn a_version_rollback_condemns_the_version_that_was_left_and_never_the_configurations() {
    let mut stage = service(BEFORE);
    stage.rolled_back(version("1"), BEFORE, BEFORE);
    assert_eq!(stage.0.holds.keys().collect::<Vec<_>>(), [&revision("model", "4")]);
    assert_eq!(stage.standing("thresholds", "c2"), Standing::KnownGood);
}

/// While people are asked, somebody else puts another one in force, and the plan is made anew.
#[test]
fn what_others_put_in_force_before_the_plan_was_made_is_left_and_condemned_with_what_was_found_first() {
    let found: Revisions = &[("thresholds", "c3"), ("prompt", "p1"), ("fallback", "off")];
    let mut stage = service(BEFORE);
    stage.pull_to(to_c1());
    stage.plan_to(&[to_c1()], &in_force(BEFORE));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("4", in_force(found));
    assert_eq!(stage.phase(), "planning", "it is no longer what the plan has seen");
    stage.plan_to(&[to_c1()], &in_force(found));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("4", in_force(found));
    stage.shift_done();
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RolledBack);
    let held: Vec<_> = stage.0.holds.keys().cloned().collect();
    assert_eq!(held, [revision("thresholds", "c2"), revision("thresholds", "c3")]);
}

/// What the incident itself has put there is nobody's release, whatever the plan after it has seen.
#[test]
fn what_a_plan_of_the_incident_has_tried_is_not_condemned_by_the_next() {
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Unhealthy);
    let to_c0 = target("thresholds", "c0");
    stage.pull_to(to_c0.clone());
    stage.plan_to(&[to_c0], &in_force(AFTER));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("4", in_force(AFTER));
    stage.shift_done();
    stage.read_back("4", in_force(&[("thresholds", "c0"), ("prompt", "p1"), ("fallback", "off")]));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RolledBack);
    assert_eq!(stage.0.holds.keys().collect::<Vec<_>>(), [&revision("thresholds", "c2")]);
}

#[test]
fn a_failed_target_is_not_good_and_condemns_nothing_that_it_left() {
    let mut stage = service(BEFORE);
    stage.adopts("thresholds", "c1", None);
    stage.at_the_guard(&[to_c1(), target("thresholds", "c0")], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Unhealthy);
    assert_eq!((stage.phase(), stage.rung()), ("staging", 1));
    assert_eq!(
        stage.standing("thresholds", "c1"),
        Standing::Unproven,
        "it was vouched for, and found unwell"
    );
    assert!(stage.0.holds.is_empty());
    // The next one goes on from what this plan has put there.
    let plan = stage.plan();
    stage.tell(&Event::Staged(Staged { plan, rung: 1, digest: None }));
    stage.guarded("4", in_force(AFTER));
    assert_eq!(stage.phase(), "shifting");
}

#[test]
fn a_target_that_is_in_force_already_passes_no_guard_where_another_facet_has_moved() {
    let moved: [(&str, &str, Revisions); 3] = [
        ("the model", "5", AFTER),
        ("another configuration", "4", &[("thresholds", "c1"), ("prompt", "p2"), ("fallback", "off")]),
        ("the fallback", "4", &[("thresholds", "c1"), ("prompt", "p1"), ("fallback", "rules")]),
    ];
    for (what, live, beside) in moved {
        let mut stage = service(BEFORE);
        stage.at_the_guard(&[to_c1()], BEFORE);
        stage.guarded(live, in_force(beside));
        assert_eq!(stage.phase(), "planning", "{what}");
    }
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(AFTER));
    assert_eq!(stage.phase(), "reading back", "all else is as planned");
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RestoredElsewhere);

    // The same where a version is the target.
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[version("1")], BEFORE);
    stage.guarded("1", in_force(AFTER));
    assert_eq!(stage.phase(), "planning", "the thresholds have moved");
}

#[test]
fn the_guard_lets_pass_what_the_plan_has_seen_and_nothing_else() {
    let with = |of: &str, name: &str| {
        let mut facets = in_force(BEFORE);
        facets.iter_mut().filter(|read| read.facet == facet(of)).for_each(|read| {
            *read = in_force(&[(of, name)]).remove(0);
        });
        facets
    };
    let without = |of: &str| in_force(BEFORE).into_iter().filter(|read| read.facet != facet(of)).collect();
    let cases: [(&str, &str, Vec<ObservedFacet>, &str); 7] = [
        ("as planned", "4", in_force(BEFORE), "shifting"),
        ("another version", "5", in_force(BEFORE), "planning"),
        ("the target's facet has moved elsewhere", "4", with("thresholds", "c3"), "planning"),
        ("another facet has moved", "4", with("prompt", "p2"), "planning"),
        ("a safe mode was entered", "4", with("fallback", "rules"), "planning"),
        ("a facet is configured no more", "4", without("prompt"), "planning"),
        ("the target's facet is configured no more", "4", without("thresholds"), "planning"),
    ];
    for (what, live, facets, phase) in cases {
        let mut stage = service(BEFORE);
        stage.at_the_guard(&[to_c1()], BEFORE);
        stage.guarded(live, facets);
        assert_eq!(stage.phase(), phase, "{what}");
    }
    // Neither the plan nor the guard has seen the facet that is to be moved: all that was seen is as planned, and says nothing of it.
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], &BEFORE[1..]);
    stage.guarded("4", in_force(&BEFORE[1..]));
    assert_eq!(stage.phase(), "planning");
    // One more than the plan has seen.
    let mut stage = service(&BEFORE[..2]);
    stage.at_the_guard(&[to_c1()], &BEFORE[..2]);
    stage.guarded("4", in_force(BEFORE));
    assert_eq!(stage.phase(), "planning");
}

#[test]
fn another_content_under_the_same_name_is_another_revision_to_the_guard() {
    let content = |content: &str| {
        let mut facets = in_force(BEFORE);
        let FacetState::InForce(known) = &mut facets[1].state else { panic!() };
        known.digest = Some(Digest::of(content));
        facets
    };
    for (now, phase) in [("then", "shifting"), ("now", "planning")] {
        let mut stage = service(BEFORE);
        stage.pull_to(to_c1());
        stage.plan_to(&[to_c1()], &content("then"));
        stage.approve("bob");
        stage.approve("cleo");
        stage.staged();
        stage.guarded("4", content(now));
        assert_eq!(stage.phase(), phase, "{now}");
    }
}

#[test]
fn a_facet_that_cannot_be_read_is_waited_for_and_then_a_person_is_asked() {
    for of in ["thresholds", "prompt"] {
        let mut stage = service(BEFORE);
        stage.at_the_guard(&[to_c1()], BEFORE);
        stage.guarded("4", unreadable(in_force(BEFORE), of));
        assert_eq!(stage.phase(), "guarding", "{of}");
        let end = stage.0.step_ends_at().unwrap();
        stage.try_at(end, &Event::Woke).unwrap();
        let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!("{of}") };
        assert_eq!(need.question, NeedKind::WhatNow);
        assert!(need.text.contains("nothing is shifted"), "{}", need.text);
    }
}

/// What is stored and was not taken over is no revision in force: the order that stored it goes on, and only that one.
#[test]
fn an_order_that_did_not_come_through_goes_on_under_what_it_has_left() {
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_began();
    let (plan, rung) = (stage.plan(), stage.rung());
    let failed = ShiftOutcome::NotApplied {
        reason: blob(),
        nature: FaultNature::Environmental,
        lies_in: FaultPlace::Target,
    };
    stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung, wave: 0, attempt: 1, outcome: failed }));
    assert_eq!(stage.phase(), "guarding");
    let read = |of| GuardRead {
        live: serving("4"),
        facets: unreadable(in_force(BEFORE), of),
        attempt: 2,
        ..stage.guard_read()
    };
    let (moved, other) = (read("thresholds"), read("prompt"));
    let mut elsewhere = Stage(stage.0.clone());
    elsewhere.tell(&Event::GuardRead(other));
    assert_eq!(elsewhere.phase(), "guarding", "another facet is waited for as ever");
    stage.tell(&Event::GuardRead(moved));
    assert_eq!(stage.phase(), "shifting");
}

/// A program that puts a revision in force may outlive the host that began it, and come through after a probe was told that nothing has happened.
#[test]
fn an_order_that_comes_through_late_is_the_incidents_own_doing() {
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_began();
    let (plan, rung) = (stage.plan(), stage.rung());
    stage.tell(&Event::ShiftProbed(ShiftProbed {
        plan,
        rung,
        wave: 0,
        attempt: 1,
        word: ProbeWord::NotApplied,
    }));
    assert_eq!(stage.phase(), "guarding");
    let late = GuardRead { live: serving("4"), facets: in_force(AFTER), attempt: 2, ..stage.guard_read() };
    stage.tell(&Event::GuardRead(late));
    assert_eq!(stage.phase(), "reading back");
    stage.read_back("4", in_force(AFTER));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RolledBack, "and nobody else's");
}

#[test]
fn a_facet_that_the_plan_could_not_read_either_is_as_planned() {
    for of in ["thresholds", "prompt"] {
        let unknown = unreadable(in_force(BEFORE), of);
        let mut stage = service(BEFORE);
        stage.pull_to(to_c1());
        stage.plan_to(&[to_c1()], &unknown);
        stage.approve("bob");
        stage.approve("cleo");
        stage.staged();
        stage.guarded("4", unknown);
        assert_eq!(stage.phase(), "shifting", "{of}");
    }
    // One that can be read by now is news to whoever agreed.
    let mut stage = service(BEFORE);
    stage.pull_to(to_c1());
    stage.plan_to(&[to_c1()], &unreadable(in_force(BEFORE), "prompt"));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("4", in_force(BEFORE));
    assert_eq!(stage.phase(), "planning");
}

#[test]
fn a_plan_that_mixes_facets_is_refused() {
    let mixed = [
        vec![to_c1(), version("1")],
        vec![version("1"), target("fallback", "rules")],
        vec![to_c1(), target("prompt", "p0")],
        vec![crate::target::Target::Other("a newer one".into())],
        Vec::new(),
    ];
    for targets in mixed {
        let mut stage = service(BEFORE);
        stage.pull("ada", "1");
        let preserved = stage.preserved("4");
        stage.tell(&preserved);
        let drafted = PlanDrafted { targets, ..stage.draft(&[]) };
        let planned = stage.planned(PlanWord::Drafted(drafted.clone()));
        assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale), "{:?}", drafted.targets);
    }
}

#[test]
fn an_interrupted_shift_is_settled_as_what_moves_its_facet_has_promised() {
    let after = |of: &str, name: &str| {
        let mut stage = service(BEFORE);
        stage.at_the_guard(&[target(of, name)], BEFORE);
        stage.guarded("4", in_force(BEFORE));
        stage.shift_began();
        stage
    };
    let repeats = |stage: &Stage| stage.0.owed().iter().any(|owed| matches!(owed, Effect::Repeat { .. }));
    let probes = |stage: &Stage| stage.0.owed().iter().any(|owed| matches!(owed, Effect::Probe { .. }));
    // The deployer is observable, and so is the prompt; the thresholds are idempotent.
    for (of, name, idempotent) in [("thresholds", "c1", true), ("prompt", "p0", false), ("model", "1", false)]
    {
        let stage = after(of, name);
        assert_eq!((repeats(&stage), probes(&stage)), (idempotent, !idempotent), "{of}");
    }
    let mut stage = after("thresholds", "c1");
    stage.reconfigure(|terms| terms.deployer = EffectClass::Idempotent);
    stage.reconfigure(|terms| terms.facets.retain(|of| of.facet != facet("thresholds")));
    assert_eq!((repeats(&stage), probes(&stage)), (false, true), "nothing promises anything any more");
}

#[test]
fn each_facet_has_a_weakest_proof_of_its_own() {
    let seen = |proof: Proof| {
        let mut facets = in_force(AFTER);
        let FacetState::InForce(known) = &mut facets[0].state else { panic!() };
        known.proof = proof;
        facets
    };
    for (proof, phase) in [(Proof::ControlPlane, "reading back"), (Proof::Fingerprint, "verifying")] {
        let mut stage = Stage::new(|terms| {
            facets(terms);
            terms.proof_min = Proof::Digest;
            terms.facets[0].proof_min = Proof::Fingerprint;
        });
        stage.at_the_guard(&[to_c1()], BEFORE);
        stage.guarded("4", in_force(BEFORE));
        stage.shift_done();
        stage.read_back("4", seen(proof));
        assert_eq!(stage.phase(), phase, "{proof}");
    }
    // What is served is no proof of what is in force of another facet.
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[to_c1()], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("4", in_force(BEFORE));
    assert_eq!(stage.phase(), "reading back");
}
