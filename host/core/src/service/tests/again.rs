//! What was condemned and is good again, what is only tried, a second pull, and where the time goes.

use super::about::restored;
use super::stage::*;
use crate::event::*;
use crate::facet::Revision;
use crate::name::{IncidentId, PolicyName, VersionName};
use crate::plan::Leaving;
use crate::role::Urgency;
use crate::service::{Hold, Illegal, KnownRevision, Opener};
use crate::standing::Standing;
use crate::target::{Strategy, Target};
use crate::time::Millis;

fn name(of: &str) -> VersionName {
    VersionName::new(of).unwrap()
}

fn adopt(of: &str) -> Event {
    let Target::Version(version) = version(of) else { panic!() };
    let revision = Revision::of_model(&version.version);
    Event::Adopted(Adopted { revision, digest: version.digest, person: person("ada"), reason: blob() })
}

fn lift(stage: &Stage, of: &str) -> Event {
    let revision = Revision::of_model(&name(of));
    let incident = stage.0.hold_on(&revision).unwrap().incident.clone();
    Event::HoldLifted(AboutHold { revision, incident, person: person("ada"), reason: blob() })
}

fn standing(stage: &Stage, of: &str) -> Standing {
    stage.0.standing_of(&name(of), stage.0.at)
}

/// From a pull to `1` to its read-back, with `4` live.
fn rolled_back(mut stage: Stage) -> Stage {
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    restored(stage)
}

/// `4` was vouched for, and then rolled back from.
fn once_good() -> Stage {
    let mut stage = Stage::new(|_| ());
    stage.tell(&adopt("4"));
    rolled_back(stage)
}

#[test]
fn a_version_whose_hold_is_lifted_is_again_what_it_was() {
    let mut stage = once_good();
    assert_eq!(standing(&stage, "4"), Standing::Held);
    let lifted = lift(&stage, "4");
    stage.tell(&lifted);
    assert_eq!(standing(&stage, "4"), Standing::Attested);
    assert_eq!(stage.0.known_of(&name("4")).unwrap().condemned_by, [], "nothing counts against it any more");
    let mut never = rolled_back(Stage::new(|_| ()));
    let lifted = lift(&never, "4");
    never.tell(&lifted);
    assert_eq!(standing(&never, "4"), Standing::Unproven, "nobody ever said that it is good");
}

#[test]
fn one_that_was_condemned_twice_is_again_what_it_was_before_the_first_time() {
    let mut stage = once_good();
    // It came back, and the incident that this opened rolls it back again.
    stage.tell(&Event::ProductionWatched(ProductionWatched {
        not_before: None,
        after: stage.0.ended_last(),
        live: serving("4"),
        facets: Vec::new(),
        in_production: InProduction::Unsupported,
        unread: Vec::new(),
    }));
    let stage = rolled_back(stage);
    assert_eq!(stage.0.known_of(&name("4")).unwrap().condemned_by.len(), 2);
    let mut stage = stage;
    let lifted = lift(&stage, "4");
    stage.tell(&lifted);
    assert_eq!(standing(&stage, "4"), Standing::Attested);
}

/// Who lifts a hold names a version: what else was condemned, by the same incident or by another one, stays condemned.
#[test]
fn one_lift_takes_back_what_was_thought_of_one_version() {
    let mut stage = once_good();
    let by = stage.0.ended_last().unwrap();
    let other = IncidentId::new("fraud-api:7").unwrap();
    // The same incident left another version that shared the traffic, and an earlier one a third.
    let four = Revision::of_model(&name("4"));
    for (of, by) in [("3", &by), ("2", &other)] {
        let known = KnownRevision { condemned_by: vec![by.clone()], ..stage.0.revisions[&four].clone() };
        stage.0.revisions.insert(Revision::of_model(&name(of)), known);
        let before = (Standing::Unproven, stage.0.at);
        let hold = Hold { incident: by.clone(), before, ..stage.0.holds[&four].clone() };
        stage.0.holds.insert(Revision::of_model(&name(of)), hold);
    }
    for of in ["2", "3", "4"] {
        assert_eq!(standing(&stage, of), Standing::Held, "{of}");
    }

    let lifted = lift(&stage, "4");
    stage.tell(&lifted);
    assert_eq!(standing(&stage, "4"), Standing::Attested);
    for (of, by) in [("2", &other), ("3", &by)] {
        assert_eq!(standing(&stage, of), Standing::Held, "{of}");
        assert_eq!(
            stage.0.revisions[&Revision::of_model(&name(of))].condemned_by,
            std::slice::from_ref(by),
            "{of}"
        );
        assert!(
            stage.try_it(&adopt(of)).is_err(),
            "{of}: nobody vouches for it before its own hold is lifted"
        );
    }
    let lifted = lift(&stage, "2");
    stage.tell(&lifted);
    assert_eq!(standing(&stage, "2"), Standing::Unproven);
    assert_eq!(standing(&stage, "3"), Standing::Held);
}

#[test]
fn a_version_that_was_lifted_and_adopted_is_good_and_nothing_counts_against_it() {
    let mut stage = rolled_back(Stage::new(|_| ()));
    let refused = stage.try_it(&adopt("4")).unwrap_err().to_string();
    assert_eq!(
        refused,
        "`4` is condemned; `ripcord hold lift fraud-api 4 --reason TEXT` comes before you vouch for it"
    );
    let lifted = lift(&stage, "4");
    stage.tell(&lifted);
    stage.tell(&adopt("4"));
    assert_eq!(standing(&stage, "4"), Standing::Attested);
    assert_eq!(stage.0.known_of(&name("4")).unwrap().condemned_by, Vec::<IncidentId>::new());
}

#[test]
fn a_version_that_is_verified_again_is_good_whatever_condemned_it() {
    let mut stage = rolled_back(Stage::new(|_| ()));
    let lifted = lift(&stage, "4");
    stage.tell(&lifted);
    let by = stage.0.ended_last().unwrap();
    stage.0.known(&name("4")).condemned_by.push(by);
    stage.0.earn_known_good(&Revision::of_model(&name("4")), None);
    assert_eq!(standing(&stage, "4"), Standing::KnownGood);
    assert_eq!(stage.0.known_of(&name("4")).unwrap().condemned_by, []);
}

fn pull(stage: &Stage, who: &str, to: &str) -> PullRequested {
    PullRequested {
        incident: stage.0.incident.as_ref().map(|open| open.id.clone()),
        person: person(who),
        roles: Vec::new(),
        target: Some(version(to)),
        reason: blob(),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Keep,
        break_glass: false,
    }
}

#[test]
fn a_pull_that_only_tries_condemns_and_holds_nothing() {
    let mut stage = Stage::new(|_| ());
    stage.tell(&adopt("4"));
    let tries = PullRequested { leaving: Leaving::Keep, ..pull(&stage, "ada", "1") };
    stage.tell(&Event::PullRequested(tries));
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    let plan = stage.plan();
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    }));
    let outcome = ShiftOutcome::Done;
    stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung: 0, wave: 0, attempt: 1, outcome }));
    let fingerprint = FingerprintWord::NotCompared;
    stage.tell(&Event::ReadBack(ReadBack {
        plan,
        rung: 0,
        wave: 0,
        live: serving("1"),
        facets: Vec::new(),
        fingerprint,
    }));
    assert_eq!(stage.phase(), "none", "it is settled");
    assert!(stage.0.holds.is_empty());
    assert_eq!(standing(&stage, "4"), Standing::Attested);
}

#[test]
fn a_plan_that_says_otherwise_of_what_is_left_than_who_pulled_is_not_taken() {
    let mut stage = Stage::new(|_| ());
    let tries = PullRequested { leaving: Leaving::Keep, ..pull(&stage, "ada", "1") };
    stage.tell(&Event::PullRequested(tries));
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    let earlier = PlanDrafted { leaving: Leaving::Condemn, ..stage.draft(&["1"]) };
    let planned = stage.planned(PlanWord::Drafted(earlier));
    assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale));
}

#[test]
fn a_second_pull_does_not_throw_a_plan_away_unasked() {
    for granted in [false, true] {
        let mut stage = Stage::new(|_| ());
        stage.pull("ada", "1");
        stage.plan_for(&["1"]);
        stage.approve("bob");
        if granted {
            stage.approve("cleo");
        }
        let digest = stage.plan();
        let second = pull(&stage, "dan", "2");
        let refused = stage.try_it(&Event::PullRequested(second.clone())).unwrap_err().to_string();
        assert!(refused.contains("`ripcord plan show fraud-api:1`"), "{refused}");
        assert!(refused.contains("--replace"), "{refused}");
        assert_eq!(stage.plan(), digest);
        assert_eq!(stage.incident().votes.len(), 1 + usize::from(granted), "the votes stand");
        let replaces = PullRequested { pending: PendingPlan::Replace, ..second };
        stage.tell(&Event::PullRequested(replaces));
        assert_eq!(stage.phase(), "planning");
    }
}

#[test]
fn who_voted_who_may_and_how_many_are_missing_is_told() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    assert_eq!(stage.0.tally(), []);
    stage.plan_for(&["1"]);
    let told = |stage: &Stage| stage.0.still_wanted().unwrap();
    assert_eq!(told(&stage), "2 more of 2 with role `approver` (nobody has agreed; bob, cleo, dan may)");
    stage.approve("cleo");
    assert_eq!(told(&stage), "1 more of 2 with role `approver` (cleo agreed; bob, dan may)");
    let since = stage.incident().waits_since().unwrap();
    assert!(since < stage.0.at, "since the plan was made, not since the last vote");
}

#[test]
fn the_time_of_several_plans_is_added_up() {
    let mut stage = Stage::new(|_| ());
    let later = |stage: &mut Stage, ms: u64| stage.0.at = stage.0.at + Millis(ms - 1);
    stage.pull("ada", "1");
    later(&mut stage, 100);
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    stage.plan_for(&["1"]);
    later(&mut stage, 5_000);
    // A person wants another target: the first plan and its votes are gone, the time that people took is not.
    stage.pull("ada", "2");
    later(&mut stage, 200);
    stage.plan_for(&["2"]);
    later(&mut stage, 7_000);
    stage.approve("bob");
    stage.approve("cleo");
    let spent = stage.incident().spent;
    assert_eq!(spent.decide, Some(Millis(301)), "{spent:?}");
    assert_eq!(spent.people, Some(Millis(12_001)), "{spent:?}");
    assert_eq!(spent.act, None, "it goes on");
    assert_eq!(spent.total(), stage.0.at.since(stage.incident().marks.opened_at), "nothing is left out");
}

/// Rules found that what is live does harm: it is not left a candidate on one person's word.
#[test]
fn a_pull_that_only_tries_joins_no_incident_that_rules_opened() {
    let mut stage = Stage::new(|_| ());
    let reason = Reason {
        cause: blob(),
        strategy: Strategy::Version,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    };
    for opener in [
        Opener::Trigger(PolicyName::new("threshold").unwrap()),
        Opener::BrokenHold(IncidentId::new("fraud-api:7").unwrap()),
        Opener::FailedProbation(Revision::of_model(&name("4"))),
    ] {
        stage.0.incident = None;
        stage.0.open(reason.clone(), opener, None);
        let tries = PullRequested { leaving: Leaving::Keep, ..pull(&stage, "ada", "1") };
        let refused = stage.try_it(&Event::PullRequested(tries)).unwrap_err();
        assert!(matches!(refused, Illegal::DoesHarm(_)), "{refused}");
        let joins = pull(&stage, "ada", "1");
        stage.tell(&Event::PullRequested(joins));
    }
}
