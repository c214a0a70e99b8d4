//! Making a version: a granted producing plan becomes a run beside whatever incident is open.

use super::stage::{Stage, approvers, blob, person, policy, version};
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::*;
use crate::fact::Outcome;
use crate::name::{IncidentId, VersionName};
use crate::plan::Leaving;
use crate::policy::Role;
use crate::role::Urgency;
use crate::service::{Illegal, PAST_RUNS_MAX, Phase, Run, RunEnd, RunState};
use crate::target::{RetrainTarget, Strategy, Target, VersionTarget};
use crate::terms::{EffectClass, Mode, ProducerTerms, Terms};
use crate::time::Millis;

pub(super) fn retrain(revision: &str) -> Target {
    Target::Retrain(RetrainTarget {
        dataset: "clicks".into(),
        revision: revision.into(),
        exclude: Vec::new(),
    })
}

fn producer() -> ProducerTerms {
    ProducerTerms {
        makes: vec![Strategy::Retrain],
        class: EffectClass::Observable,
        equipment: Digest::of("pipeline"),
        deadline: Millis::hours(8),
        every: Millis::seconds(30),
    }
}

pub(super) fn service(change: impl FnOnce(&mut Terms)) -> Stage {
    Stage::new(|terms| {
        terms.producer = Some(producer());
        change(terms);
    })
}

pub(super) fn pulled(stage: &mut Stage, who: &str, target: Target) {
    stage.tell(&Event::PullRequested(PullRequested {
        incident: stage.0.incident.as_ref().map(|open| open.id.clone()),
        person: person(who),
        roles: Vec::new(),
        target: Some(target),
        reason: blob(),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    }));
}

pub(super) fn planned_for(stage: &mut Stage, targets: Vec<Target>) {
    if stage.incident().phase == Phase::Preserving {
        stage.tell_with(|stage| stage.preserved("4"));
    }
    let draft = PlanDrafted { strategy: Strategy::Retrain, targets, ..stage.draft(&[]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
}

/// Ada asked for it, bob and cleo agreed.
fn granted(stage: &mut Stage) {
    pulled(stage, "ada", retrain("r1"));
    planned_for(stage, vec![retrain("r1")]);
    stage.approve("bob");
    stage.approve("cleo");
}

pub(super) fn goes_on(change: impl FnOnce(&mut Terms)) -> Stage {
    let mut stage = service(change);
    granted(&mut stage);
    began(&mut stage);
    returned(&mut stage, StartWord::Started);
    stage
}

fn run(stage: &Stage) -> &Run {
    stage.0.producing.run.as_ref().unwrap_or_else(|| panic!("no run: {:#?}", stage.0.producing))
}

pub(super) fn began(stage: &mut Stage) {
    let (run, attempt) = (run(stage).key, run(stage).attempts + 1);
    stage.tell(&Event::RunBegan(RunBegan { run, attempt, request: super::stage::sent() }));
}

pub(super) fn returned(stage: &mut Stage, word: StartWord) {
    let (run, attempt) = (run(stage).key, run(stage).attempts);
    stage.tell(&Event::RunReturned(RunReturned { run, attempt, word }));
}

fn looked(stage: &mut Stage, word: LookWord) {
    let run = run(stage).key;
    stage.tell(&Event::RunLookedAt(RunLookedAt { run, word }));
}

pub(super) fn made(stage: &mut Stage, name: &str) {
    let version = VersionTarget { version: VersionName::new(name).unwrap(), digest: Some(Digest::of(name)) };
    let run = run(stage).key;
    stage.tell(&Event::RunMade(RunMade { run, version, made_of: blob() }));
}

fn failed(stage: &mut Stage) {
    let run = run(stage).key;
    stage.tell(&Event::RunFailed(RunFailed { run, reason: blob() }));
}

fn stopped(stage: &mut Stage, failed: Option<crate::blob::BlobRef>) {
    let run = run(stage).key;
    stage.tell(&Event::RunStopped(RunStopped { run, failed }));
}

fn stop_asked(stage: &mut Stage, incident: &str) -> Result<(), Illegal> {
    let incident = IncidentId::new(incident).unwrap();
    let said = AboutIncident { incident, person: person("bob"), reason: blob() };
    stage.try_it(&Event::RunStopAsked(said))
}

fn owed_to_run(stage: &Stage) -> Option<Effect> {
    let of_run = |effect: &Effect| effect.slot() == crate::effect::Slot::Run;
    stage.0.owed().into_iter().find(of_run)
}

fn ended(stage: &Stage) -> Option<&RunEnd> {
    stage.0.producing.past.last().map(|past| &past.end)
}

pub(super) fn outcome(stage: &Stage) -> Outcome {
    let Some(Phase::Settled(outcome)) = stage.0.last_settled.as_ref().map(|last| &last.phase) else {
        panic!()
    };
    outcome.clone()
}

pub(super) fn topics(stage: &Stage) -> Vec<Topic> {
    stage.0.outbox.iter().map(|outgoing| outgoing.topic).collect()
}

pub(super) fn trigger_says(stage: &Stage, word: TriggerWord) -> Event {
    let (policy, data) = (policy(Role::Trigger).policy, DataState::Complete);
    let decision = Decision { policy, role: Role::Trigger, recording: blob(), fuel: 1, rounds: 1, data };
    let (set_aside, searched) = (Vec::new(), Vec::new());
    let said = Said::Verdict(word);
    let asked = vec![TriggerAsked { decision, said, memo: None, set_aside, left: 0, searched }];
    let incident = stage.0.incident.as_ref().map(|open| open.id.clone());
    Event::TriggersAsked(TriggersAsked { up_to: 0, seen: 0, incident, asked })
}

fn harm() -> TriggerWord {
    TriggerWord::RollBack(Reason {
        cause: blob(),
        strategy: Strategy::Retrain,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    })
}

/// A trigger found the harm, and the retraining that its planner chose goes on, agreed to by policies alone.
pub(super) fn goes_on_for_a_trigger() -> Stage {
    let mut stage = service(acts);
    stage.tell_with(|stage| trigger_says(stage, harm()));
    planned_for(&mut stage, vec![retrain("r1")]);
    granted_by_policy(&mut stage);
    began(&mut stage);
    returned(&mut stage, StartWord::Started);
    stage
}

fn acts(terms: &mut Terms) {
    terms.mode = Mode::Act;
    terms.floor = Vec::new();
    terms.policies = vec![policy(Role::Trigger), policy(Role::Approval)];
}

pub(super) fn granted_by_policy(stage: &mut Stage) {
    let (policy, data) = (policy(Role::Approval).policy, DataState::Complete);
    let decision = Decision { policy, role: Role::Approval, recording: blob(), fuel: 1, rounds: 1, data };
    let asked = vec![ApprovalAsked { decision, said: Said::Verdict(ApprovalWord::Granted) }];
    let (plan, ballot) = (stage.plan(), stage.0.ballot());
    stage.tell(&Event::ApprovalsAsked(ApprovalsAsked { plan, ballot, asked }));
}

#[test]
fn a_granted_producing_plan_becomes_a_run_and_the_place_is_free() {
    let mut stage = service(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    let plan = stage.plan();
    stage.approve("bob");
    assert_eq!(owed_to_run(&stage), None, "one of two has agreed");
    stage.approve("cleo");
    assert_eq!((stage.phase(), outcome(&stage)), ("none", Outcome::Producing));
    assert_eq!(run(&stage).key, Run::key_of(plan));
    assert_eq!(
        owed_to_run(&stage),
        Some(Effect::StartRun { run: Run::key_of(plan), attempt: 1, request: super::stage::sent().approved })
    );
    assert!(
        stage.0.automatic_shifts.is_empty() && stage.0.holds.is_empty(),
        "nothing was shifted or condemned"
    );
    began(&mut stage);
    returned(&mut stage, StartWord::Started);
    assert!(matches!(owed_to_run(&stage), Some(Effect::LookAtRun { .. })));
}

#[test]
fn a_refused_or_withdrawn_producing_plan_starts_nothing() {
    let mut stage = service(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    let mut voted = stage.vote("bob");
    voted.vote.granted = false;
    stage.tell(&Event::Voted(voted));
    assert_eq!((outcome(&stage), owed_to_run(&stage)), (Outcome::Refused, None));
    // In mode observe the plan is made, and that is all.
    let mut stage = service(|terms| terms.mode = Mode::Observe);
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    assert_eq!((outcome(&stage), owed_to_run(&stage)), (Outcome::Observed, None));
}

#[test]
fn a_plan_makes_one_version_and_of_what_its_producer_can() {
    let checkpoint =
        Target::Checkpoint(crate::target::CheckpointTarget { run: "r".into(), step: 1, digest: None });
    for targets in [
        vec![checkpoint],
        vec![retrain("r1"), retrain("r2")],
        vec![retrain("r1"), version("1")],
        vec![version("1"), retrain("r1")],
    ] {
        let mut stage = service(|_| ());
        pulled(&mut stage, "ada", targets[0].clone());
        stage.tell_with(|stage| stage.preserved("4"));
        let draft = PlanDrafted { targets: targets.clone(), ..stage.draft(&[]) };
        let planned = stage.planned(PlanWord::Drafted(draft));
        assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale), "{targets:?}");
    }
    let mut stage = Stage::new(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    stage.tell_with(|stage| stage.preserved("4"));
    let draft = PlanDrafted { targets: vec![retrain("r1")], ..stage.draft(&[]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale), "no producer at all");
}

#[test]
fn an_interrupted_start_is_settled_as_its_producer_promised() {
    let begun = |class: EffectClass| {
        let mut stage = service(|terms| terms.producer.as_mut().unwrap().class = class);
        granted(&mut stage);
        began(&mut stage);
        stage
    };
    let stage = begun(EffectClass::Idempotent);
    let (key, attempt) = (run(&stage).key, 1);
    assert_eq!(
        owed_to_run(&stage),
        Some(Effect::StartRun { run: key, attempt, request: super::stage::sent().approved }),
        "with the same key"
    );
    for class in [EffectClass::Conditional, EffectClass::Observable, EffectClass::Blind] {
        let stage = begun(class);
        assert!(
            matches!(owed_to_run(&stage), Some(Effect::LookAtRun { .. })),
            "{class:?}: never once more unseen"
        );
    }
    // Found not to be there: then it may be begun again, with its intent.
    let mut stage = begun(EffectClass::Observable);
    looked(&mut stage, LookWord::NotStarted);
    assert_eq!(owed_to_run(&stage), None, "after a moment");
    stage.try_at(stage.0.at + Millis::seconds(2), &Event::Woke).unwrap();
    assert_eq!(
        owed_to_run(&stage),
        Some(Effect::StartRun { run: key, attempt: 2, request: super::stage::sent().approved })
    );
    // Where nothing can tell, nobody believes that it is not there.
    let mut stage = begun(EffectClass::Blind);
    looked(&mut stage, LookWord::NotStarted);
    assert!(matches!(ended(&stage), Some(RunEnd::Lost(_))));
    // One that was seen and is gone is lost.
    let mut stage = begun(EffectClass::Observable);
    looked(&mut stage, LookWord::Running { text: blob(), since: None });
    looked(&mut stage, LookWord::NotStarted);
    assert!(matches!(ended(&stage), Some(RunEnd::Lost(_))));
    assert!(topics(&stage).contains(&Topic::RunLost));
}

#[test]
fn a_start_that_fails_is_tried_again_as_long_as_another_step_would_be() {
    let reason = || blob();
    let mut stage = service(|_| ());
    granted(&mut stage);
    for _ in 0..200 {
        if stage.0.producing.run.is_none() {
            break;
        }
        if matches!(owed_to_run(&stage), Some(Effect::StartRun { .. })) {
            began(&mut stage);
            returned(
                &mut stage,
                StartWord::NotStarted { reason: reason(), nature: FaultNature::Environmental },
            );
        } else {
            let due = stage.0.wakes_at().unwrap();
            stage.try_at(due.max(stage.0.at), &Event::Woke).unwrap();
        }
    }
    assert_eq!(ended(&stage), Some(&RunEnd::NotBegun));
    assert_eq!(
        topics(&stage).iter().filter(|topic| **topic == Topic::RunUnread).count(),
        1,
        "told once meanwhile"
    );
    // One that can never come to anything is not tried again.
    let mut stage = service(|_| ());
    granted(&mut stage);
    began(&mut stage);
    returned(&mut stage, StartWord::NotStarted { reason: reason(), nature: FaultNature::Deterministic });
    assert!(matches!(ended(&stage), Some(RunEnd::Failed(_))));
    assert!(topics(&stage).contains(&Topic::RunFailed));
}

#[test]
fn the_trigger_that_still_finds_the_reason_orders_no_second_run_while_one_goes_on() {
    let mut stage = goes_on_for_a_trigger();
    let reopens = stage.0.at + stage.0.terms.as_ref().unwrap().deadlines.reopen_after;
    stage.tell_with(|stage| trigger_says(stage, harm()));
    assert_eq!((stage.phase(), stage.0.incidents), ("none", 1));
    stage.try_at(reopens + Millis::minutes(1), &Event::Woke).unwrap();
    stage.tell_with(|stage| trigger_says(stage, harm()));
    assert_eq!(stage.0.incidents, 1, "the run takes longer than a latch holds by itself");
    // What is more urgent is news.
    let more = match harm() {
        TriggerWord::RollBack(reason) => {
            TriggerWord::RollBack(Reason { urgency: Urgency::Emergency, ..reason })
        }
        other => other,
    };
    stage.tell_with(|stage| trigger_says(stage, more));
    assert_eq!(stage.0.incidents, 2);
}

#[test]
fn a_run_that_comes_to_nothing_gives_its_reason_back_to_the_triggers() {
    let mut stage = goes_on_for_a_trigger();
    failed(&mut stage);
    assert!(stage.0.watching.latches.is_empty() && stage.0.watching.is_due(), "it is asked again");
    assert!(topics(&stage).contains(&Topic::RunFailed));
    stage.tell_with(|stage| trigger_says(stage, harm()));
    assert_eq!(stage.0.incidents, 2);
    // Who stopped it has answered.
    let mut stage = goes_on_for_a_trigger();
    stop_asked(&mut stage, "fraud-api:1").unwrap();
    stopped(&mut stage, None);
    stage.tell_with(|stage| trigger_says(stage, harm()));
    assert_eq!(stage.0.incidents, 1);
}

#[test]
fn a_run_ends_when_a_person_wants_it_or_its_time_is_up() {
    let mut stage = goes_on(|_| ());
    assert!(matches!(stop_asked(&mut stage, "fraud-api:7"), Err(Illegal::NoRun(_))));
    stop_asked(&mut stage, "fraud-api:1").unwrap();
    let key = run(&stage).key;
    assert_eq!(owed_to_run(&stage), Some(Effect::StopRun { run: key }));
    assert!(matches!(stop_asked(&mut stage, "fraud-api:1"), Err(Illegal::Unchanged(_))));
    let late = RunFailed { run: key, reason: blob() };
    assert_eq!(stage.try_it(&Event::RunFailed(late)), Err(Illegal::Stale), "it is being stopped");
    stopped(&mut stage, Some(blob()));
    assert_eq!(owed_to_run(&stage), None, "tried again after a moment");
    stage.try_at(stage.0.at + Millis::seconds(2), &Event::Woke).unwrap();
    stopped(&mut stage, None);
    assert!(matches!(ended(&stage), Some(RunEnd::Stopped(_))));
    // One that was not begun is not told anything.
    let mut stage = service(|_| ());
    granted(&mut stage);
    stop_asked(&mut stage, "fraud-api:1").unwrap();
    assert_eq!((owed_to_run(&stage), stage.0.producing.run.is_none()), (None, true));

    let mut stage = goes_on(|_| ());
    let end = run(&stage).ends_at;
    assert_eq!(end, run(&stage).since + Millis::hours(8));
    stage.try_at(end, &Event::Woke).unwrap();
    assert_eq!(owed_to_run(&stage), Some(Effect::StopRun { run: key }));
    // A producer that cannot be told for an hour is given up, and people hear of it.
    let given_up = stage.0.at + Millis::hours(1);
    stage.try_at(given_up, &Event::Woke).unwrap();
    assert_eq!(ended(&stage), Some(&RunEnd::Lost(None)));
    assert!(topics(&stage).contains(&Topic::RunLost));
}

#[test]
fn nothing_is_begun_while_paused_or_after_the_plan_has_expired_or_under_other_terms() {
    let mut stage = service(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    stage.tell(&Event::Paused(PersonSaid { person: person("bob"), reason: blob() }));
    stage.approve("bob");
    stage.approve("cleo");
    assert_eq!(owed_to_run(&stage), None);
    let began = RunBegan { run: run(&stage).key, attempt: 1, request: super::stage::sent() };
    assert_eq!(stage.try_it(&Event::RunBegan(began)), Err(Illegal::Stale));
    let expires = run(&stage).begin_by;
    stage.try_at(expires, &Event::Woke).unwrap();
    assert_eq!(ended(&stage), Some(&RunEnd::NotBegun));

    let mut stage = service(|_| ());
    granted(&mut stage);
    stage.reconfigure(|terms| terms.floor = approvers(3));
    assert_eq!(ended(&stage), Some(&RunEnd::NotBegun), "who would have had to agree is another question now");

    // Another producer than was approved makes another plan.
    let mut stage = service(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    planned_for(&mut stage, vec![retrain("r1")]);
    stage.approve("bob");
    stage.reconfigure(|terms| terms.equipment = Digest::of("another pipeline"));
    stage.approve("cleo");
    assert_eq!((stage.phase(), stage.0.producing.run.is_none()), ("planning", true));
}

#[test]
fn a_run_whose_producer_is_configured_no_more_is_not_asked_of_another_and_people_hear_of_it() {
    let mut stage = goes_on(|_| ());
    stage.reconfigure(|terms| terms.producer.as_mut().unwrap().equipment = Digest::of("another pipeline"));
    assert_eq!(owed_to_run(&stage), None);
    assert!(topics(&stage).contains(&Topic::RunUnread));
    stage.reconfigure(|terms| terms.producer = Some(producer()));
    assert!(matches!(owed_to_run(&stage), Some(Effect::LookAtRun { .. })), "it is followed again");
    stage.reconfigure(|terms| terms.producer = None);
    stage.try_at(run(&stage).ends_at, &Event::Woke).unwrap();
    assert_eq!(ended(&stage), Some(&RunEnd::Lost(None)));
}

#[test]
fn looks_that_show_nothing_new_are_news_so_often_at_most_whatever_the_run_takes() {
    let mut stage = goes_on(|_| ());
    let mut recorded = 0;
    while let Some(Effect::LookAtRun { news_from, .. }) = owed_to_run(&stage) {
        let end = run(&stage).ends_at;
        if news_from >= end {
            break;
        }
        let (run, word) = (run(&stage).key, LookWord::Running { text: blob(), since: None });
        stage.try_at(news_from.max(stage.0.at), &Event::RunLookedAt(RunLookedAt { run, word })).unwrap();
        recorded += 1;
        assert!(recorded < 1_000);
    }
    assert!((60..=65).contains(&recorded), "{recorded}");
    // That it cannot be read is told once, until it is read again.
    looked(&mut stage, LookWord::Unread(blob()));
    let again = RunLookedAt { run: run(&stage).key, word: LookWord::Unread(blob()) };
    assert_eq!(stage.try_it(&Event::RunLookedAt(again)), Err(Illegal::Stale));
}

#[test]
fn rules_alone_order_two_runs_a_day_and_the_last_few_are_kept() {
    let mut stage = goes_on_for_a_trigger();
    failed(&mut stage);
    for run in 2..=12 {
        stage.tell_with(|stage| trigger_says(stage, harm()));
        planned_for(&mut stage, vec![retrain("r1")]);
        granted_by_policy(&mut stage);
        if run > 2 {
            assert_eq!(stage.phase(), "waiting for approval", "run {run}");
            stage.approve("bob");
            granted_by_policy(&mut stage);
        }
        assert_eq!(stage.phase(), "none", "run {run}");
        began(&mut stage);
        returned(&mut stage, StartWord::Started);
        failed(&mut stage);
    }
    assert_eq!(stage.0.producing.past.len(), PAST_RUNS_MAX);
    assert_eq!(stage.0.producing.automatic.len(), 2);
}

#[test]
fn a_clock_that_jumps_ends_no_run_and_what_is_said_of_another_run_is_not_believed() {
    let mut stage = goes_on(|_| ());
    let end = run(&stage).ends_at;
    stage.tell(&Event::ClockJumped { by: Millis::hours(20) });
    assert_eq!(run(&stage).ends_at, end + Millis::hours(20));
    stage.try_at(end, &Event::Woke).unwrap();
    assert!(matches!(run(&stage).state, RunState::GoesOn));
    let (run, reason) = (Digest::of("another"), blob());
    assert_eq!(stage.try_it(&Event::RunFailed(RunFailed { run, reason })), Err(Illegal::Stale));
    assert_eq!(stage.try_it(&Event::RunLost(RunLost { run, reason })), Err(Illegal::Stale));
}

#[test]
fn a_run_that_the_plan_does_not_list_is_not_begun() {
    let mut stage = service(|_| ());
    pulled(&mut stage, "ada", retrain("r1"));
    stage.tell_with(|stage| stage.preserved("4"));
    let draft = PlanDrafted { targets: vec![retrain("r1")], steps: vec![Vec::new()], ..stage.draft(&[]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    assert!(stage.0.producing.run.is_none() && owed_to_run(&stage).is_none());
    let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!("{:?}", stage.incident().phase) };
    assert!(need.text.contains("does not list the step `produce`"), "{}", need.text);
}

#[test]
fn a_run_is_begun_with_the_approved_request_alone() {
    let mut stage = service(|_| ());
    granted(&mut stage);
    let (plan, request) = (run(&stage).ordered.plan, super::stage::sent());
    let other = crate::request::Sent { approved: Digest::of("another request"), ..request };
    let began = RunBegan { run: run(&stage).key, attempt: 1, request: other };
    assert_eq!(stage.try_it(&Event::RunBegan(began)), Err(Illegal::Stale));
    let now = Some(other.approved);
    let (step, approved) = (crate::plan::StepKind::Produce, request.approved);
    let changed = RequestChanged { plan, rung: 0, step, approved, now };
    let of_another = RequestChanged { plan: Digest::of("another plan"), ..changed.clone() };
    assert_eq!(stage.try_it(&Event::RequestChanged(of_another)), Err(Illegal::Stale));
    stage.tell(&Event::RequestChanged(changed));
    assert_eq!(ended(&stage), Some(&RunEnd::NotBegun));
    assert!(
        stage.told().iter().any(|text| text.contains("no longer what was approved")),
        "{:#?}",
        stage.told()
    );
}
