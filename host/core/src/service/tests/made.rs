//! What a run has made gets an incident of its own: who puts it in place, and what becomes of what was live.

use super::producing::*;
use super::stage::{Stage, approvers, blob, person, serving};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::*;
use crate::facet::Revision;
use crate::fact::Outcome;
use crate::name::{IncidentId, VersionName};
use crate::plan::Leaving;
use crate::service::Opener;
use crate::signal::Origin;
use crate::standing::Standing;
use crate::target::{Strategy, Target};
use crate::terms::Mode;

#[test]
fn another_incident_opens_and_shifts_while_a_run_goes_on_and_the_version_waits_for_its_end() {
    let mut stage = goes_on(|_| ());
    stage.pull("ada", "1");
    assert!(stage.told().last().unwrap().contains("goes on beside it"), "{:?}", stage.told());
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    made(&mut stage, "5");
    assert_eq!(stage.phase(), "shifting", "it goes on");
    assert!(stage.0.producing.made.is_some());
    let (plan, rung, attempt) = (stage.plan(), 0, 1);
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung,
        wave: 0,
        attempt,
        request: super::stage::sent(),
    }));
    stage.tell(&Event::ShiftReturned(ShiftReturned {
        plan,
        rung,
        wave: 0,
        attempt,
        outcome: ShiftOutcome::Done,
    }));
    let (live, facets) = (serving("1"), Vec::new());
    let fingerprint = FingerprintWord::NotCompared;
    stage.tell(&Event::ReadBack(ReadBack { plan, rung, wave: 0, live, facets, fingerprint }));
    assert_eq!(outcome(&stage), Outcome::RolledBack);
    // Now its own incident, with a plan and votes of its own.
    let opened = stage.incident().clone();
    assert_eq!(opened.opened_by, Opener::Produced(IncidentId::new("fraud-api:1").unwrap()));
    assert_eq!(opened.requested_by, [Origin::Person("ada".into())]);
    let Some(Target::Version(wanted)) = &opened.wanted else { panic!() };
    assert_eq!((wanted.version.as_str(), wanted.digest), ("5", Some(Digest::of("5"))));
    assert!(opened.votes.is_empty() && opened.plans.is_empty());
    assert_eq!(stage.0.standing_of(&wanted.version, stage.0.at), Standing::Unproven);
    // What the rollback has put there meanwhile did no harm.
    stage.tell_with(|stage| stage.preserved("1"));
    assert_eq!(stage.incident().leaving, Leaving::Keep);
}

#[test]
fn what_is_good_and_was_live_when_a_person_ordered_the_run_keeps_its_standing() {
    for (live, leaving) in [("1", Leaving::Keep), ("4", Leaving::Condemn)] {
        let mut stage = service(|_| ());
        vouched_for(&mut stage, "1", "1");
        pulled(&mut stage, "ada", retrain("r1"));
        stage.tell_with(|stage| stage.preserved(live));
        let targets = vec![retrain("r1")];
        let draft =
            PlanDrafted { strategy: Strategy::Retrain, targets, live: serving(live), ..stage.draft(&[]) };
        let planned = stage.planned(PlanWord::Drafted(draft));
        stage.tell(&Event::Planned(planned));
        stage.approve("bob");
        stage.approve("cleo");
        began(&mut stage);
        returned(&mut stage, StartWord::Started);
        made(&mut stage, "5");
        stage.tell_with(|stage| stage.preserved(live));
        assert_eq!(stage.incident().leaving, leaving, "{live}");
    }
}

#[test]
fn what_was_made_condemns_what_did_the_harm() {
    let mut stage = goes_on(|_| ());
    made(&mut stage, "5");
    stage.tell_with(|stage| stage.preserved("4"));
    assert_eq!(stage.incident().leaving, Leaving::Condemn);
    stage.plan_for(&["5"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    let (plan, rung, attempt) = (stage.plan(), 0, 1);
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung,
        wave: 0,
        attempt,
        request: super::stage::sent(),
    }));
    stage.tell(&Event::ShiftReturned(ShiftReturned {
        plan,
        rung,
        wave: 0,
        attempt,
        outcome: ShiftOutcome::Done,
    }));
    let (live, facets, fingerprint) = (serving("5"), Vec::new(), FingerprintWord::NotCompared);
    stage.tell(&Event::ReadBack(ReadBack { plan, rung, wave: 0, live, facets, fingerprint }));
    assert_eq!(outcome(&stage), Outcome::RolledBack);
    assert_eq!(
        stage.0.holds.keys().collect::<Vec<_>>(),
        [&Revision::of_model(&VersionName::new("4").unwrap())]
    );
}

#[test]
fn who_asked_for_the_run_has_not_agreed_to_what_came_of_it() {
    let mut stage = service(|terms| terms.floor = approvers(1));
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    assert_eq!(outcome(&stage), Outcome::Producing, "one is enough, and she asked");
    began(&mut stage);
    returned(&mut stage, StartWord::Started);
    made(&mut stage, "5");
    stage.plan_for(&["5"]);
    assert_eq!(stage.phase(), "waiting for approval");
    // Nor is she one of two.
    stage.reconfigure(|terms| terms.floor = approvers(2));
    stage.approve("ada");
    stage.approve("bob");
    assert_eq!(stage.phase(), "waiting for approval");
    stage.approve("cleo");
    assert_eq!(stage.phase(), "staging");
}

fn vouched_for(stage: &mut Stage, name: &str, content: &str) {
    let revision = Revision::of_model(&VersionName::new(name).unwrap());
    let digest = Some(Digest::of(content));
    stage.tell(&Event::Adopted(Adopted { revision, digest, person: person("ada"), reason: blob() }));
}

#[test]
fn what_nobody_has_found_well_is_put_in_place_by_people() {
    let mut stage = goes_on_for_a_trigger();
    made(&mut stage, "5");
    stage.plan_for(&["5"]);
    granted_by_policy(&mut stage);
    assert_eq!(stage.phase(), "waiting for approval", "whatever policies say");
    stage.approve("bob");
    granted_by_policy(&mut stage);
    assert_eq!(stage.phase(), "staging");
}

/// Else what is good of one content would be shifted to with another.
#[test]
fn a_version_that_was_known_with_other_content_is_not_put_in_place() {
    let mut stage = goes_on_for_a_trigger();
    vouched_for(&mut stage, "5", "other");
    made(&mut stage, "5");
    assert_eq!(stage.phase(), "none");
    let told = stage.told().join("\n");
    assert!(told.contains("was pinned here"), "{told}");
}

#[test]
fn where_the_harm_is_over_people_say_whether_what_was_made_is_put_in_place() {
    let planned = |stage: &mut Stage| {
        made(stage, "5");
        stage.plan_for(&["5"]);
        granted_by_policy(stage);
        stage.phase()
    };
    // A version that people know already: the pipeline has made nothing new.
    let known = || {
        let mut stage = goes_on_for_a_trigger();
        vouched_for(&mut stage, "5", "5");
        stage
    };
    assert_eq!(planned(&mut known()), "staging", "policies decide while it lasts");
    let mut stage = known();
    stage.tell_with(|stage| trigger_says(stage, TriggerWord::Ignore));
    assert_eq!(planned(&mut stage), "waiting for approval");
    stage.approve("bob");
    granted_by_policy(&mut stage);
    assert_eq!(stage.phase(), "staging");
    // The same where it ends while the plan waits, and is no reason to withdraw it.
    let mut stage = goes_on_for_a_trigger();
    made(&mut stage, "5");
    stage.plan_for(&["5"]);
    stage.tell_with(|stage| trigger_says(stage, TriggerWord::StandDown(blob())));
    granted_by_policy(&mut stage);
    assert_eq!(stage.phase(), "waiting for approval");
    let told = |stage: &Stage| topics(stage).iter().filter(|topic| **topic == Topic::StandDown).count();
    stage.tell_with(|stage| trigger_says(stage, TriggerWord::StandDown(blob())));
    assert_eq!(told(&stage), 1);
}

#[test]
fn nothing_opens_for_a_version_that_must_not_or_need_not_be_put_in_place() {
    // In mode observe people are told.
    let mut stage = goes_on(|_| ());
    stage.reconfigure(|terms| terms.mode = Mode::Observe);
    made(&mut stage, "5");
    assert_eq!(stage.phase(), "none");
    assert!(
        stage.told().iter().any(|text| text.contains("mode is observe, so it is not put")),
        "{:?}",
        stage.told()
    );
    // What is live already.
    let mut stage = goes_on(|_| ());
    made(&mut stage, "4");
    assert_eq!(
        (stage.phase(), stage.0.producing.made.as_ref()),
        ("none", None),
        "it was seen when the plan was made"
    );
}
