//! A rung's target is tried beside what is live before any traffic moves.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::{Event, PreflightWord, TrialPhase};
use ripcord_core::fact::Outcome;
use ripcord_core::plan::StepKind;
use ripcord_core::service::{NeedKind, Service};
use ripcord_core::terms::PreflightRule;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, Folded};
use ripcord_tests::people::ada;
use ripcord_tests::{CandidateFault, Lab, Running, Spec, check, lab, states};

fn spec() -> Spec {
    Spec::new("fraud-api").scripted()
}

async fn harmed(spec: Spec) -> (Lab, Running) {
    let (lab, host) = Lab::harmed(spec).await;
    lab.world.at(&lab.service(), |outside| outside.holds_candidates = true);
    (lab, host)
}

async fn rolled_back(lab: &Lab, host: &Running) -> Folded {
    let service = lab.service();
    host.alert(lab, &service, "a").await.unwrap();
    host.attend(lab, &service).await;
    check::all(lab, host, &service, Outcome::RolledBack).await;
    check::journal(host, &service).await
}

fn words(folded: &Folded) -> Vec<PreflightWord> {
    let word =
        |event: &Event| if let Event::Preflighted(tried) = event { Some(tried.word.clone()) } else { None };
    folded.events.iter().filter_map(|(_, event)| word(event)).collect()
}

fn preflighting(state: &Service) -> bool {
    state.incident.as_ref().is_some_and(|incident| incident.phase_name() == "preflighting")
}

/// Nothing is held, and everything that was held was taken away by the last call.
fn nothing_beside(lab: &Lab) -> bool {
    let outside = lab.world.of(&lab.service());
    outside.candidate.is_none() && outside.candidate_calls.last().is_none_or(|call| call == "clear")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_answers_beside_what_is_live_before_traffic_moves() {
    let (lab, host) = harmed(spec()).await;
    let folded = rolled_back(&lab, &host).await;
    let outside = lab.world.of(&lab.service());
    assert_eq!(outside.live, "1.1");
    assert_eq!(outside.candidate_calls, ["clear", "beside 1.1", "clear"]);
    // Three golden rows, which host and policy share, and four captured ones.
    assert_eq!(outside.candidate_answered, 7);
    assert_eq!(words(&folded), [PreflightWord::Fits]);
    let at = |wanted: fn(&Event) -> bool| folded.events.iter().position(|(_, event)| wanted(event)).unwrap();
    let judged = at(
        |event| matches!(event, Event::VerificationsAsked(asked) if matches!(asked.phase, TrialPhase::Preflight(of) if of.rung == 0)),
    );
    let order = [
        at(|event| matches!(event, Event::Staged(_))),
        at(|event| matches!(event, Event::PreflightBegan(_))),
        at(|event| matches!(event, Event::TrialRan(_))),
        judged,
        at(|event| matches!(event, Event::CandidateCleared(_))),
        at(|event| matches!(event, Event::GuardRead(_))),
        at(|event| matches!(event, Event::ShiftBegan(_))),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let view = host.view(&lab.service()).await;
    let plan = view.plan.unwrap();
    let kinds: Vec<_> = plan.parts[0].rungs[0].steps.iter().map(|step| step.kind).take(4).collect();
    assert_eq!(kinds, [StepKind::Stage, StepKind::Preflight, StepKind::ClearCandidate, StepKind::Guard]);
    assert!(plan.preflighted);
    let said = view.preflight.unwrap();
    for part in ["it fits", "input signature: the same", "3 of 3 rows answered", "agreement 0.250"] {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_held_the_plan_says_not_preflighted_and_why() {
    for (holds, rule, why) in [
        (false, PreflightRule::BestEffort, "the deployer cannot hold a candidate beside what is live"),
        (false, PreflightRule::Required, "the deployer cannot hold a candidate beside what is live"),
        (true, PreflightRule::Off, "switched off by the configuration"),
    ] {
        let (lab, host) = harmed(spec().terms(|terms| terms.preflight = rule)).await;
        lab.world.at(&lab.service(), |outside| outside.holds_candidates = holds);
        rolled_back(&lab, &host).await;
        assert!(lab.world.of(&lab.service()).candidate_calls.is_empty());
        let view = host.view(&lab.service()).await;
        assert!(!view.plan.unwrap().preflighted);
        assert_eq!(view.preflight.unwrap(), format!("not preflighted: {why}"));
        host.stop().await;
    }
}

/// The first rung does not come through its preflight: nothing of it is shifted, and the next one is taken.
async fn goes_to_the_next_rung(lab: &Lab, host: &Running, why: &str) {
    let folded = rolled_back(lab, host).await;
    let outside = lab.world.of(&lab.service());
    assert_eq!((outside.live.as_str(), check::applied(&outside.steps)), ("1.0", 1), "{:#?}", outside.steps);
    assert_eq!(outside.candidate_calls, ["clear", "beside 1.1", "clear", "clear", "beside 1.0", "clear"]);
    assert!(nothing_beside(lab));
    assert_eq!(words(&folded).len(), 2);
    let lines = host.view(&lab.service()).await.timeline;
    assert!(lines.iter().any(|line| line.text.contains(why)), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_answers_wrongly_is_not_shifted_to() {
    let (lab, host) = harmed(spec()).await;
    lab.world.at(&lab.service(), |outside| outside.bad.insert("1.1".into()));
    goes_to_the_next_rung(&lab, &host, "verification of the candidate asked: scripted: unhealthy").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_takes_other_inputs_is_not_shifted_to() {
    let (lab, host) = harmed(spec()).await;
    lab.world.at(&lab.service(), |outside| outside.other_inputs.insert("1.1".into()));
    goes_to_the_next_rung(&lab, &host, "it takes five numbers and not four").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_rung_is_unfit_a_person_is_asked_with_what_was_found() {
    let (lab, host) = harmed(spec()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.candidate_fault = Some(CandidateFault::Mistaken));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("a person is asked", &service, states::needs(NeedKind::WhatNow)).await;
    let view = host.view(&lab.service()).await;
    let needs = view.needs.unwrap();
    assert!(needs.contains("its preflight found it unfit"), "{needs}");
    let said = view.preflight.unwrap();
    assert!(said.contains("`1.2` answered where `1.0` was asked"), "{said}");
    assert_eq!(lab.world.of(&service).live, "1.2", "nothing was shifted");
    lab::eventually("nothing beside", || nothing_beside(&lab)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_is_shifted_to_and_people_are_told() {
    for fault in [CandidateFault::Refused, CandidateFault::Busy, CandidateFault::Unreachable] {
        let (lab, host) = harmed(spec()).await;
        let service = lab.service();
        lab.world.at(&service, |outside| outside.candidate_fault = Some(fault));
        host.alert(&lab, &service, "a").await.unwrap();
        if fault != CandidateFault::Refused {
            let again = |state: &Service| {
                preflighting(state)
                    && state.owed().iter().all(|effect| effect.slot() == ripcord_core::effect::Slot::Timer)
            };
            host.until("tried again later", &service, again).await;
            assert_eq!(lab.world.of(&service).live, "1.2");
            lab.clock.advance(Millis::minutes(3));
        }
        host.attend(&lab, &service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        assert_eq!(lab.world.of(&service).live, "1.1");
        let told = lab.world.texts_of("not-preflighted");
        assert!(told.len() == 1 && told[0].contains("version 1.1"), "{fault:?}: {told:?}");
        assert!(nothing_beside(&lab), "{:?}", lab.world.of(&service).candidate_calls);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_tried_and_cannot_be_goes_to_a_person() {
    let (lab, host) = harmed(spec().terms(|terms| terms.preflight = PreflightRule::Required)).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.candidate_fault = Some(CandidateFault::Refused));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("a person is asked", &service, states::needs(NeedKind::WhatNow)).await;
    let needs = host.view(&lab.service()).await.needs.unwrap();
    assert!(needs.contains("was not preflighted") && needs.contains("that is required"), "{needs}");
    // It is mended, and the person goes on.
    lab.world.at(&service, |outside| outside.candidate_fault = None);
    host.pull(&service, None).await.unwrap();
    host.until("settled", &service, |state| state.incident.is_none()).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pauses_or_aborts_has_the_candidate_taken_away() {
    for ask in [Ask::Pause, Ask::Abort] {
        // It is looked at again and again for as long as it may.
        let (lab, host) = harmed(spec()).await;
        let service = lab.service();
        lab.world.at(&service, |outside| outside.slow_trials = true);
        host.alert(&lab, &service, "a").await.unwrap();
        lab::eventually("held", || lab.world.of(&service).candidate.is_some()).await;
        host.ask(ada(), &service, ask.clone()).await.unwrap();
        lab::eventually("nothing beside", || nothing_beside(&lab)).await;
        host.until("known", &service, |state| state.candidate.is_none()).await;
        assert_eq!(lab.world.of(&service).live, "1.2");
        if ask == Ask::Pause {
            lab.world.at(&service, |outside| outside.slow_trials = false);
            host.ask(ada(), &service, Ask::Resume).await.unwrap();
            host.attend(&lab, &service).await;
            check::all(&lab, &host, &service, Outcome::RolledBack).await;
        }
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_stays_holds_nothing_up_and_is_tried_again() {
    let (lab, host) = harmed(spec()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.slow_trials = true);
    host.alert(&lab, &service, "a").await.unwrap();
    lab::eventually("held", || lab.world.of(&service).candidate.is_some()).await;
    lab.world.at(&service, |outside| {
        outside.candidate_fault = Some(CandidateFault::Stays);
        outside.slow_trials = false;
    });
    let state = host.until("rolled back", &service, |state| state.last_settled.is_some()).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    assert!(state.candidate.is_some() && lab.world.of(&service).candidate.is_some());
    lab.world.at(&service, |outside| outside.candidate_fault = None);
    lab.clock.advance(Millis::minutes(2));
    host.until("taken away", &service, |state| state.candidate.is_none()).await;
    assert!(lab.world.of(&service).candidate.is_none());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_hangs_has_its_time_and_no_more() {
    let (lab, host) = harmed(spec().terms(|terms| terms.deadlines.preflight = Millis::seconds(1))).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.candidate_fault = Some(CandidateFault::Hangs));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("rolled back", &service, |state| state.last_settled.is_some()).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    lab::eventually("nothing beside", || nothing_beside(&lab)).await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}
