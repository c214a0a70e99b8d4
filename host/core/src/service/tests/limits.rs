//! What nothing and nobody brings about: neither a restart under other terms, nor a planner, nor one person in two roles, nor a clock.

use super::stage::{Stage, approvers, blob, known, person, policy, serving};
use crate::alert::{AlertKey, AlertWord, Given};
use crate::digest::Digest;
use crate::effect::Effect;
use crate::event::*;
use crate::name::{IncidentId, RoleName, VersionName};
use crate::plan::Quorum;
use crate::policy::Role;
use crate::role::Urgency;
use crate::service::{Illegal, NeedKind, Opener, Phase};
use crate::signal::{Origin, Severity, SignalKind, SignalStatus};
use crate::target::Strategy;
use crate::terms::{EffectClass, Mode};
use crate::time::{Millis, UnixMillis};

fn began(stage: &mut Stage, attempt: u32) {
    let (plan, rung) = (stage.plan(), rung(stage));
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung,
        wave: 0,
        attempt,
        request: super::stage::sent(),
    }));
}

fn returned(stage: &mut Stage, attempt: u32, outcome: ShiftOutcome) {
    let (plan, rung) = (stage.plan(), rung(stage));
    stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung, wave: 0, attempt, outcome }));
}

fn rung(stage: &Stage) -> u32 {
    match &stage.incident().phase {
        Phase::Acting(acting) => acting.rung,
        other => panic!("{other:?}"),
    }
}

/// An idempotent shift that was begun, and of which nobody knows what became, at the moment when it is due again.
fn interrupted() -> Stage {
    let mut stage = Stage::at_the_shift();
    stage.reconfigure(|terms| terms.deployer = EffectClass::Idempotent);
    if stage.phase() == "guarding" {
        stage.guard();
    }
    began(&mut stage, 1);
    returned(&mut stage, 1, ShiftOutcome::Unknown(blob()));
    stage.try_at(stage.0.at + Millis::seconds(2), &Event::Woke).unwrap();
    stage
}

fn owes_repeat(stage: &Stage) -> bool {
    let owed = stage.0.owed();
    let probes = owed.iter().any(|effect| matches!(effect, Effect::Probe { .. }));
    let repeats = owed.iter().any(|effect| matches!(effect, Effect::Repeat { .. }));
    assert!(probes != repeats, "one of both: {owed:?}");
    repeats
}

#[test]
fn an_interrupted_shift_is_not_repeated_while_nothing_may_be_shifted() {
    let mut stage = interrupted();
    assert!(owes_repeat(&stage));
    stage.tell(&Event::Paused(PersonSaid { person: person("ada"), reason: blob() }));
    assert!(!owes_repeat(&stage), "someone stopped all acting");
    let mut stage = interrupted();
    stage.reconfigure(|terms| terms.mode = Mode::Observe);
    assert!(!owes_repeat(&stage), "the mode is observe");
}

#[test]
fn a_shift_that_was_begun_is_not_looked_for_with_other_equipment() {
    let mut stage = interrupted();
    stage.reconfigure(|terms| terms.equipment = Digest::of("another deployer"));
    let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!("{:?}", stage.incident().phase) };
    assert_eq!(need.question, NeedKind::DidTheShiftHappen);
}

#[test]
fn a_plan_is_not_carried_out_with_other_equipment_than_it_was_approved_for() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.reconfigure(|terms| terms.equipment = Digest::of("another deployer"));
    stage.guard();
    assert_eq!(stage.phase(), "planning", "it is planned, and agreed to, anew");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "waiting for approval");
}

#[test]
fn a_held_target_is_passed_over_whatever_the_plan_says() {
    let mut stage = Stage::at_the_shift();
    began(&mut stage, 1);
    returned(&mut stage, 1, ShiftOutcome::Done);
    let (plan, fingerprint) = (stage.plan(), FingerprintWord::NotCompared);
    stage.tell(&Event::ReadBack(ReadBack {
        plan,
        rung: 0,
        wave: 0,
        live: serving("1"),
        facets: Vec::new(),
        fingerprint,
    }));
    let held = VersionName::new("4").unwrap();
    assert!(stage.0.is_held(&held));
    stage.pull("ada", "2");
    // As a planner of a team's own might choose it.
    let mut draft = stage.draft(&["4", "2"]);
    draft.live = serving("1");
    stage.tell_with(|stage| stage.preserved("1"));
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    // Even where it is what is served already.
    let read = GuardRead { live: serving("4"), ..stage.guard_read() };
    stage.tell(&Event::GuardRead(read));
    assert_eq!((stage.phase(), rung(&stage)), ("staging", 1));
}

#[test]
fn what_is_refused_for_now_again_and_again_goes_down_the_ladder_in_time() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1", "2"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    let begun_at = stage.0.at;
    let read_back = stage.0.terms.as_ref().unwrap().deadlines.read_back;
    for attempt in 1.. {
        stage.guard();
        began(&mut stage, attempt);
        let nature = FaultNature::Environmental;
        returned(
            &mut stage,
            attempt,
            ShiftOutcome::NotApplied { reason: blob(), nature, lies_in: FaultPlace::Target },
        );
        if rung(&stage) == 1 {
            break;
        }
        assert!(stage.0.at < begun_at + read_back + Millis::minutes(2), "attempt {attempt}");
        stage.try_at(stage.0.at + Millis::minutes(1), &Event::Woke).unwrap();
    }
    assert!(stage.0.at >= begun_at + read_back, "it was given its time");
}

#[test]
fn one_person_in_two_roles_does_not_agree_alone_where_two_are_asked_for() {
    let one = |role: &str| Quorum { role: RoleName::new(role).unwrap(), people: 1 };
    let mut stage = Stage::new(|terms| {
        terms.floor = vec![one("approver"), one("security")];
        terms.people[0] = known("ada", &["operator", "approver", "security"]);
        terms.people[1] = known("bob", &["approver", "security"]);
    });
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "waiting for approval", "ada asked, and nobody agreed");
    stage.approve("ada");
    assert_eq!(stage.phase(), "waiting for approval", "it is still ada alone");
    stage.approve("bob");
    assert_eq!(stage.phase(), "staging");
    // The same role twice, of the floor and of a policy, is one.
    let mut stage = Stage::new(|terms| terms.floor = [approvers(1), approvers(1)].concat());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "staging");
}

#[test]
fn a_plan_names_everyone_who_asked_before_it_was_made() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.tell_with(|stage| stage.preserved("4"));
    let made_for_ada = stage.planned(PlanWord::Drafted(stage.draft(&["1"])));
    stage.pull("bob", "1");
    assert_eq!(stage.try_it(&Event::Planned(made_for_ada)), Err(Illegal::Stale));
    let asked = stage.0.owed().into_iter().find_map(|effect| match effect {
        Effect::Plan { requested_by, .. } => Some(requested_by),
        _ => None,
    });
    assert_eq!(asked, Some(vec![Origin::Person("ada".into()), Origin::Person("bob".into())]));
}

fn triggers(stage: &Stage, word: TriggerWord) -> TriggersAsked {
    let (policy, data) = (policy(Role::Trigger).policy, DataState::Complete);
    let decision = Decision { policy, role: Role::Trigger, recording: blob(), fuel: 1, rounds: 1, data };
    let (said, set_aside, searched) = (Said::Verdict(word), Vec::new(), Vec::new());
    let alerts = &stage.0.watching.alerts;
    TriggersAsked {
        up_to: alerts.asks_up_to().unwrap_or_default(),
        seen: alerts.words(),
        incident: stage.0.incident.as_ref().map(|open| open.id.clone()),
        asked: vec![TriggerAsked { decision, said, memo: None, set_aside, left: 0, searched }],
    }
}

fn with_trigger() -> Stage {
    Stage::new(|terms| terms.policies.push(policy(Role::Trigger)))
}

fn roll_back() -> TriggerWord {
    TriggerWord::RollBack(Reason {
        cause: blob(),
        strategy: Strategy::Version,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    })
}

#[test]
fn a_trigger_withdraws_what_a_trigger_opened_and_nothing_else() {
    let mut stage = with_trigger();
    let asked = triggers(&stage, roll_back());
    stage.tell(&Event::TriggersAsked(asked));
    assert!(matches!(stage.incident().opened_by, Opener::Trigger(_)));
    let asked = triggers(&stage, TriggerWord::StandDown(blob()));
    stage.tell(&Event::TriggersAsked(asked));
    assert!(stage.0.incident.is_none(), "the reason is gone");

    let mut stage = with_trigger();
    let reason = Reason {
        cause: blob(),
        strategy: Strategy::Version,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    };
    stage.0.open(reason, Opener::BrokenHold(IncidentId::new("fraud-api:7").unwrap()), None);
    let asked = triggers(&stage, TriggerWord::StandDown(blob()));
    stage.tell(&Event::TriggersAsked(asked));
    assert!(stage.0.incident.is_some(), "a condemned version is live, whatever triggers see");
}

#[test]
fn what_a_trigger_said_while_another_incident_was_open_is_no_word_about_this_one() {
    let mut stage = with_trigger();
    let asked = triggers(&stage, roll_back());
    stage.tell(&Event::TriggersAsked(asked));
    let late = triggers(&stage, TriggerWord::StandDown(blob()));
    let about = stage.about("ada");
    stage.tell(&Event::Aborted(about));
    assert_eq!(stage.try_it(&Event::TriggersAsked(late.clone())), Err(Illegal::Stale), "none is open");
    stage.pull("ada", "1");
    assert_eq!(stage.try_it(&Event::TriggersAsked(late)), Err(Illegal::Stale), "another one is");
}

#[test]
fn a_latch_is_lifted_for_the_reason_that_was_looked_at() {
    let mut stage = with_trigger();
    let asked = triggers(&stage, roll_back());
    stage.tell(&Event::TriggersAsked(asked));
    let about = stage.about("ada");
    stage.tell(&Event::Dismissed(about.clone()));
    let lift = |incident: &str| {
        Event::LatchLifted(LatchLifted {
            trigger: policy(Role::Trigger).policy.name,
            incident: IncidentId::new(incident).unwrap(),
            person: person("ada"),
            reason: blob(),
        })
    };
    assert!(matches!(stage.try_it(&lift("fraud-api:7")), Err(Illegal::OtherLatch(_))));
    assert_eq!(stage.try_it(&lift(about.incident.as_str())), Ok(()));
}

/// An alert whose sender's and receiver's clocks are those of the wall.
fn alert() -> SignalsTaken {
    let at = UnixMillis(1);
    let word = AlertWord {
        alert: AlertKey(Digest::of("alert")),
        index: 0,
        origin: Origin::Webhook("alertmanager".into()),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Critical,
        started_at: at,
        ended_at: None,
        given: Given::Whole,
        bytes: 100,
        fired: true,
        first_seen_at: at,
        last_seen_at: at,
        count: 1,
    };
    SignalsTaken { signals: 1, content: blob(), alerts: vec![word] }
}

#[test]
fn an_alert_is_kept_as_long_by_the_services_time_however_far_the_wall_is_from_it() {
    let asked_again = |stage: &mut Stage| {
        let asked = triggers(stage, TriggerWord::Watch(stage.0.at));
        stage.tell(&Event::TriggersAsked(asked));
        stage.0.watching.alerts.len()
    };
    // The journal is two days ahead of the wall.
    let mut stage = with_trigger();
    stage.try_at(UnixMillis(0) + Millis::hours(48), &Event::Woke).unwrap();
    stage.tell(&Event::SignalsTaken(alert()));
    assert_eq!(asked_again(&mut stage), 1);
    assert_eq!(asked_again(&mut stage), 1, "its trigger watches it");
    // The clock jumps by two days.
    let by = Millis::hours(48);
    stage.try_at(stage.0.at + by, &Event::ClockJumped { by }).unwrap();
    assert_eq!(asked_again(&mut stage), 1, "no time has passed");
    // A day goes by.
    stage.try_at(stage.0.at + Millis::hours(25), &Event::Woke).unwrap();
    assert_eq!(asked_again(&mut stage), 0);
}
