//! What others do to the facets of a service: noticed, verified, and opened against where it is unwell or was condemned.

use super::facet_stage::*;
use super::facet_standing::trigger_says;
use super::stage::{Stage, policy, serving};
use crate::effect::Topic;
use crate::event::*;
use crate::facet::FacetState;
use crate::fact::Outcome;
use crate::live::Proof;
use crate::name::VersionName;
use crate::policy::Role;
use crate::production::Moved;
use crate::service::{HoldState, Opener};
use crate::standing::Standing;
use crate::target::Strategy;
use crate::time::{Millis, UnixMillis};

const C1: Revisions = &[("thresholds", "c1"), ("prompt", "p1"), ("fallback", "off")];
const C3: Revisions = &[("thresholds", "c3"), ("prompt", "p1"), ("fallback", "off")];

fn soaked(stage: &mut Stage) {
    let probation = stage.0.probation.as_ref().unwrap();
    let end = probation.since + stage.0.terms.as_ref().unwrap().deadlines.soak;
    stage.judged(VerificationWord::Healthy);
    stage.try_at(end, &Event::Woke).unwrap();
    stage.judged(VerificationWord::Healthy);
}

fn unread(of: &str) -> ProductionPart {
    ProductionPart::Facet(facet(of))
}

#[test]
fn a_configuration_that_others_put_in_force_is_put_on_probation_and_earns_known_good() {
    let mut stage = service(BEFORE);
    assert_eq!(stage.0.probation, None, "what was there at the first look is nobody's news");
    stage.watched("4", in_force(C3));
    let probation = stage.0.probation.clone().unwrap();
    assert_eq!(probation.unproven, [revision("thresholds", "c3")], "the version has not moved");
    assert_eq!((probation.version.version.as_str(), &probation.before), ("4", &None));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.standing("thresholds", "c3"), Standing::Unproven, "not before it has soaked");
    let end = probation.since + Millis::minutes(10);
    stage.try_at(end, &Event::Woke).unwrap();
    stage.judged(VerificationWord::Healthy);
    for (of, name) in [("thresholds", "c3"), ("model", "4"), ("prompt", "p1")] {
        assert_eq!(stage.standing(of, name), Standing::KnownGood, "{of} {name}");
    }
    assert_eq!(stage.0.combinations.len(), 1);
    assert!(stage.told().last().unwrap().contains("`configuration thresholds c3` of `fraud-api`"));
    // Back to what is good: nothing to find out.
    stage.adopts("thresholds", "c2", None);
    stage.watched("4", in_force(BEFORE));
    assert_eq!(stage.0.probation, None);
}

#[test]
fn a_configuration_that_is_found_unwell_opens_an_incident_against_the_configuration() {
    // Nobody has ever verified the version either, but it has not moved.
    let mut stage = service(BEFORE);
    stage.watched("4", in_force(C3));
    stage.judged(VerificationWord::Unhealthy);
    let incident = stage.incident();
    assert_eq!(incident.opened_by, Opener::FailedProbation(revision("thresholds", "c3")));
    assert_eq!(incident.reason.strategy, Strategy::Configuration);
}

#[test]
fn a_second_change_does_not_end_the_first_probation_in_silence() {
    let mut stage = service(BEFORE);
    stage.watched("5", in_force(BEFORE));
    stage.watched("5", in_force(C3));
    let unproven = &stage.0.probation.as_ref().unwrap().unproven;
    assert_eq!(unproven, &[revision("thresholds", "c3"), revision("model", "5")], "what moved last is first");
    soaked(&mut stage);
    assert_eq!(stage.standing("model", "5"), Standing::KnownGood);
}

#[test]
fn a_probation_that_runs_out_says_how_to_vouch_for_a_configuration() {
    let mut stage = service(BEFORE);
    stage.watched("4", in_force(C3));
    let end = stage.0.wakes_at().unwrap().max(stage.0.at + Millis::hours(2));
    stage.try_at(end, &Event::Woke).unwrap();
    assert_eq!(stage.0.probation, None);
    let told = stage.told().join("\n");
    assert!(told.contains("ripcord adopt fraud-api thresholds=c3"), "{told}");
}

/// It may have been moved on by now.
#[test]
fn what_cannot_be_read_any_more_does_not_pass_its_probation() {
    let mut stage = service(BEFORE);
    stage.watched("4", in_force(C3));
    let (after, in_production) = (stage.0.ended_last(), InProduction::Unsupported);
    stage.tell(&Event::ProductionWatched(ProductionWatched {
        not_before: None,
        after,
        live: serving("4"),
        facets: unreadable(in_force(C3), "thresholds"),
        in_production,
        unread: vec![unread("thresholds")],
    }));
    let soak = stage.0.at + Millis::minutes(11);
    stage.judged_beside(VerificationWord::Healthy, Vec::new());
    stage.try_at(soak, &Event::Woke).unwrap();
    stage.judged_beside(VerificationWord::Healthy, Vec::new());
    assert_eq!(stage.standing("thresholds", "c3"), Standing::Unproven);
    assert!(stage.0.probation.is_some() && stage.0.wakes_at() > Some(stage.0.at), "it is asked again later");
    stage.watched("4", in_force(C3));
    let told =
        |stage: &Stage| stage.0.outbox.iter().filter(|out| out.topic == Topic::ProductionReadAgain).count();
    assert_eq!(told(&stage), 1);
    stage.try_at(soak + Millis::minutes(2), &Event::Woke).unwrap();
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.standing("thresholds", "c3"), Standing::KnownGood);
}

/// Somebody may have moved it since, and a host that began anew has not missed it for long enough to tell.
#[test]
fn a_probation_of_the_model_proves_no_facet_that_could_not_be_read_meanwhile() {
    let mut stage = service(BEFORE);
    stage.watched("5", in_force(BEFORE));
    stage.judged(VerificationWord::Healthy);
    let soak = stage.0.at + Millis::minutes(11);
    stage.try_at(soak, &Event::Woke).unwrap();
    stage.judged_beside(
        VerificationWord::Healthy,
        vec![revision("prompt", "p1"), revision("fallback", "off")],
    );
    let standing = [("thresholds", "c2"), ("prompt", "p1")].map(|(of, name)| stage.standing(of, name));
    assert_eq!(standing, [Standing::Unproven, Standing::KnownGood]);
    assert_eq!(stage.0.standing_of(&VersionName::new("5").unwrap(), stage.0.at), Standing::KnownGood);
    assert!(stage.0.combinations.is_empty(), "they were not verified together");
}

#[test]
fn a_version_does_not_pass_its_probation_while_nobody_knows_whether_a_safe_mode_answers() {
    let mut stage = service(BEFORE);
    stage.watched("5", in_force(BEFORE));
    let seen = || vec![revision("thresholds", "c2"), revision("prompt", "p1")];
    stage.judged_beside(VerificationWord::Healthy, seen());
    let soak = stage.0.at + Millis::minutes(11);
    stage.try_at(soak, &Event::Woke).unwrap();
    stage.judged_beside(VerificationWord::Healthy, seen());
    assert_eq!(stage.0.standing_of(&VersionName::new("5").unwrap(), stage.0.at), Standing::Unproven);
    assert!(stage.0.probation.is_some(), "it is asked again later");
    stage.try_at(soak + Millis::minutes(2), &Event::Woke).unwrap();
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.0.standing_of(&VersionName::new("5").unwrap(), stage.0.at), Standing::KnownGood);
}

#[test]
fn a_held_configuration_that_is_in_force_again_breaks_its_hold_and_opens_one_incident() {
    let mut stage = service(BEFORE);
    stage.rolled_back(target("thresholds", "c1"), BEFORE, C1);
    stage.watched("4", in_force(BEFORE));
    let incident = stage.incident();
    assert_eq!(incident.id.as_str(), "fraud-api:2");
    assert!(matches!(&incident.opened_by, Opener::BrokenHold(by) if by.as_str() == "fraud-api:1"));
    assert_eq!(incident.reason.strategy, Strategy::Configuration);
    assert!(stage.told().iter().any(|text| text.contains("it is in force again")), "{:?}", stage.told());
    // A person leaves it so: that is one incident, and not the first of many.
    let dismissed = stage.about("ada");
    stage.tell(&Event::Dismissed(dismissed));
    for _ in 0..3 {
        stage.watched("4", in_force(BEFORE));
        assert_eq!((stage.phase(), stage.0.incidents), ("none", 2));
    }
    // Once it was away, it is news again.
    stage.watched("4", in_force(C1));
    assert_eq!(stage.0.hold_on(revision("thresholds", "c2")).unwrap().state, HoldState::Stands);
    stage.watched("4", in_force(BEFORE));
    assert_eq!(stage.0.incidents, 3);
}

#[test]
fn a_held_configuration_that_comes_back_while_another_facet_is_rolled_back_is_noticed_afterwards() {
    let mut stage = service(BEFORE);
    stage.rolled_back(target("thresholds", "c1"), BEFORE, C1);
    stage.at_the_guard(&[super::stage::version("1")], C1);
    stage.guarded("4", in_force(C1));
    stage.shift_done();
    stage.read_back("1", in_force(BEFORE));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::RolledBack);
    assert_eq!(stage.standing("thresholds", "c2"), Standing::Held, "it does not become good beside the rest");
    assert!(
        stage.0.combinations.iter().all(|known| !known.revisions.contains(&revision("thresholds", "c2")))
    );
    assert!(matches!(&stage.incident().opened_by, Opener::BrokenHold(_)), "{:#?}", stage.0.holds);
    // The looks after the incident would have shown nothing new.
    let move_of = |of: &str| stage.0.production.moves.iter().rfind(|moved| moved.facet == facet(of)).cloned();
    assert_eq!(move_of("model").unwrap().by.unwrap().as_str(), "fraud-api:2");
    assert_eq!(move_of("thresholds").unwrap().by, None, "somebody else did that");
}

#[test]
fn since_when_something_is_live_counts_from_what_moved_last_of_any_facet() {
    let mut stage = service(BEFORE);
    assert_eq!(stage.0.production.since, None);
    stage.watched("4", in_force(C3));
    let noticed = stage.0.at;
    assert_eq!(stage.0.production.since, Some(noticed));
    let [Moved { facet: of, from, to, at, not_before: None, by, .. }] = stage.0.production.moves.as_slice()
    else {
        panic!()
    };
    assert_eq!((of, *at, by), (&facet("thresholds"), noticed, &None));
    assert_eq!((from[0].as_str(), to[0].as_str()), ("c2", "c3"));
    stage.watched("4", in_force(C3));
    assert_eq!(stage.0.production.since, Some(noticed));
    // A clock that jumped has taken no time.
    let by = Millis::hours(48);
    stage.try_at(stage.0.at + by, &Event::ClockJumped { by }).unwrap();
    assert_eq!(stage.0.production.since, Some(noticed + by));
}

#[test]
fn a_shift_that_is_seen_in_parts_is_the_incidents_doing() {
    let mut stage = service(BEFORE);
    stage.at_the_guard(&[target("thresholds", "c1")], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    let mut weak = in_force(C1);
    let FacetState::InForce(known) = &mut weak[0].state else { panic!() };
    known.proof = Proof::ControlPlane;
    stage.read_back("4", weak);
    assert_eq!(stage.phase(), "reading back");
    stage.read_back("4", in_force(C1));
    stage.judged(VerificationWord::Healthy);
    let [moved] = stage.0.production.moves.as_slice() else { panic!("{:?}", stage.0.production.moves) };
    assert_eq!(moved.by, stage.0.ended_last());
    assert_eq!(stage.0.production.brought_by, stage.0.ended_last());
}

#[test]
fn the_first_look_at_a_facet_is_no_change() {
    let mut stage = Stage::new(facets);
    stage.watched("4", Vec::new());
    stage.watched("4", unreadable(in_force(BEFORE), "thresholds"));
    assert_eq!((stage.0.production.since, &stage.0.probation), (None, &None));
    stage.watched("4", in_force(BEFORE));
    assert_eq!((stage.0.production.since, &stage.0.probation), (None, &None));
    assert!(stage.0.production.moves.is_empty());
    // Configured no more, and again: nobody has seen what it was in between.
    stage.reconfigure(|terms| terms.facets.retain(|of| of.facet != facet("thresholds")));
    stage.reconfigure(facets);
    stage.watched("4", in_force(C3));
    assert!(stage.0.production.moves.is_empty() && stage.0.probation.is_none());
}

/// Only news enters the journal: a proof that comes and goes would be news at every look.
#[test]
fn a_proof_that_comes_and_goes_is_no_news() {
    let stage = service(BEFORE);
    let seen = &stage.0.production;
    let look = |proof: Proof| {
        let mut facets = in_force(BEFORE);
        let FacetState::InForce(known) = &mut facets[0].state else { panic!() };
        known.proof = proof;
        seen.after(&serving("4"), &facets, &InProduction::Unsupported, UnixMillis(u64::MAX / 2))
    };
    assert_eq!(&look(Proof::ControlPlane), seen);
    assert_ne!(&look(Proof::Digest), seen, "a stronger one is, once");
}

#[test]
fn people_hear_once_that_a_facet_cannot_be_read_and_once_that_it_can() {
    let mut stage = service(BEFORE);
    let watched = |stage: &mut Stage, facets: Vec<ObservedFacet>, unread: Vec<ProductionPart>| {
        let (after, live) = (stage.0.ended_last(), serving("4"));
        let in_production = InProduction::Unsupported;
        stage.tell(&Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            live,
            facets,
            in_production,
            unread,
        }));
    };
    let told = |stage: &Stage, topic: Topic| stage.0.outbox.iter().filter(|out| out.topic == topic).count();
    let both =
        |stage: &Stage| (told(stage, Topic::ProductionUnread), told(stage, Topic::ProductionReadAgain));
    for _ in 0..3 {
        let facets = unreadable(in_force(BEFORE), "prompt");
        watched(&mut stage, facets, vec![unread("prompt")]);
    }
    assert_eq!(both(&stage), (1, 0));
    // A look that read no facet tells nothing.
    watched(&mut stage, Vec::new(), Vec::new());
    assert_eq!(both(&stage), (1, 0));
    watched(&mut stage, in_force(BEFORE), Vec::new());
    assert_eq!(both(&stage), (1, 1));
    // The looks of an incident tell it, too.
    let facets = unreadable(in_force(BEFORE), "prompt");
    watched(&mut stage, facets.clone(), vec![unread("prompt")]);
    stage.at_the_guard(&[target("thresholds", "c1")], BEFORE);
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    assert_eq!(both(&stage), (2, 2));
    stage.0.production.unread.insert(unread("prompt"));
    stage.read_back("4", in_force(C1));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(both(&stage), (2, 3));
    // Nor can what is configured no more stay unread.
    watched(&mut stage, facets.clone(), vec![unread("prompt")]);
    stage.reconfigure(|terms| terms.facets.clear());
    assert!(stage.0.production.unread.is_empty());
    // Nor can a look that began before that.
    watched(&mut stage, facets, vec![unread("prompt")]);
    assert!(stage.0.production.unread.is_empty());
}

/// One that has been away for long says nothing of the next.
#[test]
fn people_hear_of_each_facet_that_cannot_be_read() {
    let mut stage = service(BEFORE);
    let watched = |stage: &mut Stage, facets: Vec<ObservedFacet>, parts: &[&str]| {
        let (after, live) = (stage.0.ended_last(), serving("4"));
        let (in_production, parts) = (InProduction::Unsupported, parts.iter().map(|of| unread(of)).collect());
        let unread = parts;
        stage.tell(&Event::ProductionWatched(ProductionWatched {
            after,
            live,
            facets,
            in_production,
            unread,
            not_before: None,
        }));
    };
    let told = |stage: &Stage, topic: Topic| -> Vec<String> {
        let outbox = stage.0.outbox.iter().filter(|out| out.topic == topic);
        outbox.map(|out| out.text.split(" of `fraud-api`").next().unwrap().to_owned()).collect()
    };
    let prompt = unreadable(in_force(BEFORE), "prompt");
    let both = unreadable(prompt.clone(), "thresholds");
    watched(&mut stage, prompt.clone(), &["prompt"]);
    watched(&mut stage, both.clone(), &["prompt", "thresholds"]);
    watched(&mut stage, both, &["prompt", "thresholds"]);
    assert_eq!(
        told(&stage, Topic::ProductionUnread),
        ["what is in force of `configuration prompt`", "what is in force of `configuration thresholds`"]
    );
    watched(&mut stage, prompt, &["prompt"]);
    assert_eq!(told(&stage, Topic::ProductionReadAgain), ["what is in force of `configuration thresholds`"]);
    watched(&mut stage, in_force(BEFORE), &[]);
    assert_eq!(told(&stage, Topic::ProductionReadAgain).len(), 2);
}

#[test]
fn a_latched_trigger_is_asked_again_when_only_a_configuration_has_moved() {
    let mut stage = Stage::new(|terms| {
        facets(terms);
        terms.policies = vec![policy(Role::Trigger)];
    });
    stage.watched("4", in_force(BEFORE));
    trigger_says(&mut stage);
    let dismissed = stage.about("ada");
    stage.tell(&Event::Dismissed(dismissed));
    stage.watched("4", in_force(BEFORE));
    trigger_says(&mut stage);
    assert_eq!((stage.0.incidents, stage.0.watching.is_due()), (1, false), "nothing has changed");
    stage.watched("4", in_force(C3));
    assert!(stage.0.watching.is_due());
    trigger_says(&mut stage);
    assert_eq!(stage.0.incidents, 2);
}
