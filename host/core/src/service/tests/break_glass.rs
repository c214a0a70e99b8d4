//! One person's word past floor and policies, and the look at it afterwards.

use super::consent::asked;
use super::stage::{Stage, approvers, blob, person, policy, serving};
use crate::effect::{Effect, Topic};
use crate::event::{AboutIncident, ApprovalWord, Event, EvidenceGap, GuardRead, Voted};
use crate::name::{IncidentId, RoleName};
use crate::plan::{Quorum, Vote, VoteKind};
use crate::policy::Role;
use crate::service::{Authority, Illegal, Phase, REVIEWS_MAX, Service};
use crate::terms::{EvidenceRule, KnownPerson, Mode, Terms};
use crate::time::Millis;

/// `ada` alone is a chief, which it takes to break the glass.
fn chief(terms: &mut Terms) {
    terms.people[0].roles.push(RoleName::new("chief").unwrap());
}

fn breaks(stage: &Stage, who: &str) -> Event {
    let voted = stage.vote(who);
    Event::Voted(Voted {
        vote: Vote { kind: VoteKind::BreakGlass, ..voted.vote },
        reason: Some(blob()),
        ..voted
    })
}

fn close(stage: &mut Stage, who: &str, incident: &IncidentId) -> Result<(), Illegal> {
    let about = AboutIncident { incident: incident.clone(), person: person(who), reason: blob() };
    stage.try_it(&Event::ReviewClosed(about))
}

fn authority(stage: &Stage) -> Option<Authority> {
    match &stage.incident().phase {
        Phase::Acting(acting) => Some(acting.grant.authority),
        _ => None,
    }
}

/// A plan under a floor of two and a policy that has not spoken.
fn planned(change: impl FnOnce(&mut Terms)) -> Stage {
    let mut stage = Stage::new(|terms| {
        chief(terms);
        terms.policies.push(policy(Role::Approval));
        change(terms);
    });
    stage.pull("bob", "1");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "waiting for approval");
    stage
}

/// The end of an incident for which the glass was broken.
fn broken(change: impl FnOnce(&mut Terms)) -> (Stage, IncidentId) {
    let mut stage = planned(change);
    let glass = breaks(&stage, "ada");
    stage.tell(&glass);
    let id = stage.id();
    let about = AboutIncident { incident: id.clone(), person: person("ada"), reason: blob() };
    stage.tell(&Event::Aborted(about));
    assert_eq!(stage.phase(), "none");
    (stage, id)
}

#[test]
fn one_person_grants_past_floor_and_policies_and_no_further() {
    let mut stage = planned(|_| ());
    let glass = breaks(&stage, "ada");
    stage.tell(&glass);
    assert_eq!(authority(&stage), Some(Authority::BreakGlass));
    let told = stage.told();
    let told = told.iter().find(|text| text.contains("broke the glass")).unwrap();
    assert!(told.contains("`ripcord review close fraud-api:1 --reason TEXT`"), "{told}");
    assert_eq!(stage.0.reviews.len(), 1);
    // The guard stands: what is live by now is not what the plan observed.
    stage.staged();
    assert_eq!(stage.phase(), "guarding");
    let read = GuardRead { live: serving("7"), ..stage.guard_read() };
    stage.tell(&Event::GuardRead(read));
    assert_ne!(stage.phase(), "shifting");
}

#[test]
fn who_may_not_break_the_glass_is_told_who_may() {
    let mut stage = planned(|_| ());
    let glass = breaks(&stage, "bob");
    let said = stage.try_it(&glass).unwrap_err().to_string();
    assert_eq!(
        said,
        "`bob` may not break the glass: it takes the role `chief` (`break-glass` of the service)"
    );
    stage.reconfigure(|terms| terms.break_glass.clear());
    let glass = breaks(&stage, "ada");
    let said = stage.try_it(&glass).unwrap_err().to_string();
    assert!(said.contains("it takes the role nobody"), "{said}");
    assert_eq!((stage.phase(), stage.0.reviews.len()), ("waiting for approval", 0));
}

#[test]
fn a_right_that_was_taken_away_breaks_no_glass_at_the_guard() {
    let mut stage = planned(|_| ());
    let glass = breaks(&stage, "ada");
    stage.tell(&glass);
    stage.staged();
    stage.reconfigure(|terms| terms.break_glass = vec![RoleName::new("director").unwrap()]);
    stage.guard();
    assert_eq!(stage.phase(), "waiting for approval");
    // Nor does it count as one for a policy.
    assert_eq!(stage.0.votes_in_force()[0].kind, VoteKind::Session);
}

#[test]
fn a_plan_that_waited_for_nothing_but_a_review_goes_on_when_it_is_closed() {
    let (mut stage, id) = broken(|terms| terms.floor.clear());
    stage.reconfigure(|terms| terms.policies.clear());
    stage.pull("ada", "2");
    stage.plan_for(&["2"]);
    assert_eq!(stage.phase(), "waiting for approval");
    close(&mut stage, "bob", &id).unwrap();
    assert_eq!(authority(&stage), Some(Authority::People));
}

#[test]
fn whoever_agrees_to_plans_closes_reviews_and_nobody_else() {
    let security = || vec![RoleName::new("security").unwrap()];
    let (mut stage, id) = broken(|terms| {
        terms.people.iter_mut().for_each(|known| known.roles.retain(|role| *role != RoleName::approver()));
        terms.people[2].roles = security();
        terms.floor = vec![Quorum { role: RoleName::new("security").unwrap(), people: 1 }];
    });
    let said = close(&mut stage, "bob", &id).unwrap_err().to_string();
    assert_eq!(said, "`bob` may not close a review: it takes the role `approver` or `security`");
    // Nobody is an approver, and two of those who agree are asked.
    stage.reconfigure(|terms| {
        terms.policies.clear();
        terms.people[3].roles = security();
    });
    stage.pull("ada", "2");
    stage.plan_for(&["2"]);
    assert!(stage.told().last().unwrap().contains("2 with role security"), "{:?}", stage.told());
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval");
    stage.approve("dan");
    assert_eq!(authority(&stage), Some(Authority::People));
    close(&mut stage, "cleo", &id).unwrap();
}

#[test]
fn a_glass_that_one_person_breaks_for_two_plans_is_told_twice() {
    let mut stage = planned(|terms| terms.policies.clear());
    for to in ["2", "3"] {
        let glass = breaks(&stage, "ada");
        stage.tell(&glass);
        stage.pull("cleo", to);
        stage.plan_for(&[to]);
        // The review is of this incident: it cannot be closed yet, and nobody is told to.
        let told = stage.told();
        assert!(!told.last().unwrap().contains("review close"), "{told:?}");
    }
    assert_eq!(stage.0.outbox.iter().filter(|out| out.topic == Topic::BrokeGlass).count(), 2);
}

#[test]
fn an_expired_plan_and_another_plan_are_not_carried_out_for_a_broken_glass() {
    let mut stage = planned(|_| ());
    let glass = breaks(&stage, "ada");
    let Event::Voted(voted) = &glass else { unreachable!() };
    let other = Voted { plan: crate::digest::Digest::of("another"), ..voted.clone() };
    assert!(matches!(stage.try_it(&Event::Voted(other)), Err(Illegal::OtherPlan { .. })));
    let late = stage.0.at + Millis::hours(2);
    assert_eq!(stage.try_at(late, &glass), Err(Illegal::Expired));
}

#[test]
fn while_a_review_is_open_no_policy_is_enough() {
    let (mut stage, id) = broken(|terms| {
        terms.mode = Mode::Act;
        terms.floor.clear();
    });
    let told = |stage: &Stage| stage.told().last().unwrap().to_string();
    stage.pull("bob", "2");
    stage.plan_for(&["2"]);
    let granted = asked(&stage, stage.0.ballot(), ApprovalWord::Granted);
    stage.tell(&granted);
    assert_eq!(stage.phase(), "waiting for approval");
    assert!(told(&stage).contains(&format!("review of `{id}`")), "{}", told(&stage));
    for who in ["cleo", "dan"] {
        stage.approve(who);
        assert_eq!(stage.phase(), "waiting for approval", "the policy has not heard of {who}");
    }
    let granted = asked(&stage, stage.0.ballot(), ApprovalWord::Granted);
    stage.tell(&granted);
    assert_eq!(authority(&stage), Some(Authority::People));
    // And where no review is open, the policy alone is.
    let mut stage = Stage::new(|terms| {
        (terms.mode, terms.floor) = (Mode::Act, Vec::new());
        terms.policies.push(policy(Role::Approval));
    });
    stage.pull("bob", "2");
    stage.plan_for(&["2"]);
    let granted = asked(&stage, stage.0.ballot(), ApprovalWord::Granted);
    stage.tell(&granted);
    assert!(authority(&stage).is_some());
}

#[test]
fn while_a_review_is_open_nothing_is_done_on_one_word() {
    for (mode, ask) in [(Mode::Ask, "one click"), (Mode::Act, "no policy at all")] {
        let (mut stage, id) = broken(|terms| {
            terms.mode = mode;
            terms.floor.clear();
        });
        stage.reconfigure(|terms| terms.policies.clear());
        stage.pull("ada", "2");
        stage.plan_for(&["2"]);
        assert_eq!(stage.phase(), "waiting for approval", "{ask}");
        let told = stage.told();
        let told = told.last().unwrap();
        assert!(!told.contains("1 with role"), "{told}");
        assert!(
            told.contains("2 with role approver") && told.contains(&format!("review of `{id}`")),
            "{told}"
        );
        stage.approve("bob");
        assert_eq!(stage.phase(), "waiting for approval", "{ask}");
        stage.approve("cleo");
        assert_eq!(authority(&stage), Some(Authority::People), "{ask}");
    }
}

#[test]
fn a_floor_above_is_not_lowered_by_an_open_review() {
    let (mut stage, _) = broken(|terms| terms.floor = approvers(3));
    stage.reconfigure(|terms| terms.policies.clear());
    stage.pull("bob", "2");
    stage.plan_for(&["2"]);
    for who in ["ada", "cleo"] {
        stage.approve(who);
        assert_eq!(stage.phase(), "waiting for approval");
    }
    stage.approve("dan");
    assert_eq!(authority(&stage), Some(Authority::People));
}

#[test]
fn a_review_is_closed_by_somebody_else_after_the_end() {
    let mut stage = planned(|_| ());
    let glass = breaks(&stage, "ada");
    stage.tell(&glass);
    let id = stage.id();
    assert_eq!(close(&mut stage, "bob", &id), Err(Illegal::ReviewedTooSoon(id.clone())));
    let about = AboutIncident { incident: id.clone(), person: person("ada"), reason: blob() };
    stage.tell(&Event::Aborted(about));
    let other = IncidentId::new("fraud-api:9").unwrap();
    assert_eq!(close(&mut stage, "bob", &other), Err(Illegal::NoReview(other)));
    assert_eq!(close(&mut stage, "ada", &id), Err(Illegal::OwnReview(id.clone())));
    assert!(matches!(close(&mut stage, "eve", &id), Err(Illegal::UnknownPerson(_))));
    close(&mut stage, "bob", &id).unwrap();
    assert_eq!(close(&mut stage, "bob", &id), Err(Illegal::NoReview(id)));
}

#[test]
fn where_nobody_else_may_agree_who_broke_the_glass_closes_its_review() {
    let (mut stage, id) = broken(|terms| {
        let alone = |known: &KnownPerson| known.name.as_str() == "ada" || known.name.as_str() == "bob";
        terms.people.retain(alone);
        terms.people[1].roles = vec![RoleName::operator()];
    });
    close(&mut stage, "ada", &id).unwrap();
}

#[test]
fn a_glass_that_was_broken_twice_in_one_incident_is_one_review() {
    let mut stage = planned(|terms| terms.break_glass.push(RoleName::approver()));
    for who in ["ada", "bob"] {
        let glass = breaks(&stage, who);
        stage.tell(&glass);
        stage.pull("cleo", "2");
        stage.plan_for(&["2"]);
        assert_eq!(stage.phase(), "waiting for approval", "a new plan is another question");
    }
    let review = stage.0.reviews.as_slice();
    assert_eq!((review.len(), review[0].person.as_str()), (1, "bob"));
    let told = stage.0.outbox.iter().filter(|out| out.topic == Topic::BrokeGlass).count();
    assert_eq!(told, 2);
    // Neither washes the other's.
    let about = AboutIncident { incident: stage.id(), person: person("ada"), reason: blob() };
    let id = stage.id();
    stage.tell(&Event::Aborted(about));
    for who in ["ada", "bob"] {
        assert_eq!(close(&mut stage, who, &id), Err(Illegal::OwnReview(id.clone())), "{who}");
    }
    close(&mut stage, "cleo", &id).unwrap();
}

#[test]
fn reviews_are_bounded_and_people_are_told_of_one_that_goes() {
    let mut stage = planned(|_| ());
    for number in 0..=REVIEWS_MAX {
        let glass = breaks(&stage, "ada");
        stage.tell(&glass);
        let about = AboutIncident { incident: stage.id(), person: person("ada"), reason: blob() };
        stage.tell(&Event::Aborted(about));
        stage.0.outbox.retain(|out| out.topic == Topic::ReviewForgotten);
        stage.pull("bob", &format!("{}", number + 1));
        stage.plan_for(&["1"]);
    }
    assert_eq!(stage.0.reviews.len(), REVIEWS_MAX);
    let told = stage.told().into_iter().find(|text| text.contains("makes room")).unwrap();
    assert!(told.contains("`fraud-api:1`"), "{told}");
}

fn hurried(service: &Service) -> Option<bool> {
    service.owed().into_iter().find_map(|effect| match effect {
        Effect::Preserve { hurried, .. } => Some(hurried),
        _ => None,
    })
}

#[test]
fn a_pull_that_breaks_the_glass_does_not_wait_for_evidence() {
    let evidence_missing = |stage: &mut Stage| {
        let Event::EvidencePreserved(mut preserved) = stage.preserved("4") else { unreachable!() };
        preserved.missing = vec![EvidenceGap { name: "request-log".into(), reason: blob() }];
        stage.tell(&Event::EvidencePreserved(preserved));
    };
    let required = |terms: &mut Terms| {
        chief(terms);
        terms.evidence = EvidenceRule::Required;
    };
    let mut stage = Stage::new(required);
    stage.pull("ada", "1");
    assert_eq!(hurried(&stage.0), Some(false));
    let again = stage.pull_of("ada", "1");
    assert!(matches!(stage.try_it(&Event::PullRequested(again.clone())), Err(Illegal::Unchanged(_))));
    let glass = crate::event::PullRequested { break_glass: true, ..again };
    stage.tell(&Event::PullRequested(glass.clone()));
    assert_eq!(hurried(&stage.0), Some(true));
    assert!(matches!(stage.try_it(&Event::PullRequested(glass)), Err(Illegal::Unchanged(_))));
    evidence_missing(&mut stage);
    assert_eq!(stage.phase(), "planning");
    assert!(stage.told().iter().any(|text| text.contains("without evidence that is required")));
    // Without it, people are asked.
    let mut stage = Stage::new(required);
    stage.pull("ada", "1");
    evidence_missing(&mut stage);
    assert_eq!(stage.phase(), "needs a person");
    // And bob may not.
    let mut stage = Stage::new(required);
    let glass = crate::event::PullRequested { break_glass: true, ..stage.pull_of("bob", "1") };
    assert!(matches!(stage.try_it(&Event::PullRequested(glass)), Err(Illegal::NoBreakGlass { .. })));
}

#[test]
fn what_enough_people_agree_to_breaks_no_glass() {
    let mut stage = Stage::new(chief);
    stage.pull("bob", "1");
    stage.plan_for(&["1"]);
    stage.approve("cleo");
    let glass = breaks(&stage, "ada");
    stage.tell(&glass);
    assert_eq!(authority(&stage), Some(Authority::People));
    assert!(stage.0.reviews.is_empty());
}
