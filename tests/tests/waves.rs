//! A version is shifted in waves: by place or by share, with a pause and a look between.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::{Event, TrialPhase};
use ripcord_core::fact::Outcome;
use ripcord_core::plan::StepKind;
use ripcord_core::policy::Role;
use ripcord_core::ratio::Ratio;
use ripcord_core::service::{Service, StepState};
use ripcord_core::time::Millis;
use ripcord_core::wave::{Moves, Wave};
use ripcord_tests::people::version;
use ripcord_tests::states::{acting, count, plans, shifts};
use ripcord_tests::world::Fault;
use ripcord_tests::{Lab, Running, Spec, check};
use serde_json::json;

fn wave(moves: Moves) -> Wave {
    Wave { moves, pause: Millis(50) }
}

fn place(name: &str) -> Wave {
    wave(Moves::Place(name.into()))
}

fn share(of: f64) -> Wave {
    wave(Moves::Share(Ratio::new(of).unwrap()))
}

/// A harmed service that is shifted in these waves, at these places.
async fn harmed(waves: Vec<Wave>, places: &[&str], spec: Spec) -> (Lab, Running) {
    let (lab, host) = Lab::harmed(spec.terms(|terms| terms.waves = waves)).await;
    lab.world.at(&lab.service(), |outside| {
        outside.places = places.iter().map(|place| ((*place).to_owned(), "1.2".to_owned())).collect();
    });
    (lab, host)
}

fn looks(service: &Service) -> bool {
    acting(service, |step| matches!(step, StepState::Looking { .. }))
}

/// Whether what was sent is what was approved, wave by wave.
async fn each_wave_sent_its_own(host: &Running, lab: &Lab, waves: u32) {
    let folded = check::journal(host, &lab.service()).await;
    let plan = folded.service.last_settled.as_ref().unwrap().plan().unwrap().clone();
    let mut approved: Vec<_> =
        (0..waves).map(|wave| plan.request(0, wave, StepKind::Shift).unwrap()).collect();
    for (_, event) in &folded.events {
        if let Event::ShiftBegan(began) = event {
            assert_eq!(Some(began.request.approved), plan.request(0, began.wave, StepKind::Shift));
        }
    }
    approved.dedup();
    assert_eq!(approved.len(), waves as usize, "each wave has a request of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_place_by_place_and_is_verified_in_the_end() {
    let (lab, host) =
        harmed(vec![place("eu"), place("us")], &["ap", "eu", "us"], Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), check::applied(&outside.steps)), ("1.1", 3));
    assert!(state.is_held(&version("1.2")) && !state.is_held(&version("1.1")));
    let folded = check::journal(&host, &service).await;
    assert_eq!((plans(&folded), shifts(&folded)), (1, 3));
    let of_waves = |event: &Event| matches!(event, Event::VerificationsAsked(asked) if matches!(asked.phase, TrialPhase::Wave(_)));
    assert_eq!(count(&folded, of_waves), 2);
    let in_waves =
        |event: &Event| matches!(event, Event::TrialRan(ran) if matches!(ran.phase, TrialPhase::Wave(_)));
    assert_eq!(count(&folded, in_waves), 0, "nobody knows which version would answer");
    each_wave_sent_its_own(&host, &lab, 3).await;
    let id = state.last_settled.as_ref().unwrap().id.clone();
    let view = ripcord_engine::view::incident(host.store.as_ref(), &id).await.unwrap();
    assert_eq!(view.waves.as_deref(), Some("all 3"));
    let told = view.timeline.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
    for line in [
        "shift begun (rung 1, attempt 2, wave 2 of 3: place us)",
        "read back, wave 1 of 3: place eu: live is 1.2 33 % in ap, 1.1 33 % in eu, 1.2 33 % in us",
        "look after wave 1 of 3: place eu: ",
        "guard, wave 3 of 3: everything that is left: live is",
    ] {
        assert!(told.contains(line), "`{line}`:\n{told}");
    }
    let waves: Vec<_> =
        view.requests.iter().filter(|sent| sent.step == StepKind::Shift).map(|sent| sent.wave).collect();
    assert_eq!(waves, [Some(0), Some(1), Some(2)]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_share_by_share() {
    let (lab, host) = harmed(vec![share(0.25), share(0.5)], &[], Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), &outside.canary, check::applied(&outside.steps)), ("1.1", &None, 3));
    each_wave_sent_its_own(&host, &lab, 3).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_that_is_under_way_is_waited_for() {
    let (lab, host) = harmed(vec![place("eu")], &["eu", "us"], Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.extend([Fault::Underway(2), Fault::Underway(1)]));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_serves_nothing_has_no_wave() {
    let (lab, host) =
        harmed(vec![place("eu"), place("nowhere")], &["eu", "us"], Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    each_wave_sent_its_own(&host, &lab, 2).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_takes_back_between_two_waves_is_planned_anew() {
    let long = Wave { pause: Millis::seconds(2), ..place("eu") };
    let (lab, host) = harmed(vec![long], &["eu", "us"], Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("between two waves", &service, looks).await;
    lab.world.at(&service, |outside| outside.places.insert("eu".into(), "1.2".into()));
    let again = |state: &Service| state.incident.as_ref().is_some_and(|open| open.plans.len() == 2);
    host.until("planned again", &service, again).await;
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!(count(&folded, |event| matches!(event, Event::WaveLost(_))), 1);
    // The scripted planner goes nowhere twice in one incident.
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_that_nobody_can_judge_goes_on_after_the_deadline_and_people_are_told() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Verification, json!({ "verification": "never" }));
    let spec = spec.terms(|terms| terms.deadlines.verification = Millis(400));
    let (lab, host) = harmed(vec![place("eu")], &["eu", "us"], spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let asks =
        |state: &Service| ripcord_tests::states::needs(ripcord_core::service::NeedKind::WhatNow)(state);
    host.until("a question about the whole", &service, asks).await;
    let outside = lab.world.of(&service);
    assert_eq!(outside.live, "1.1", "the rest has followed");
    assert_eq!(lab.world.told_of(&service, "wave-not-judged"), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_between_two_waves_goes_elsewhere_from_there() {
    let long = Wave { pause: Millis::hours(1), ..place("eu") };
    let (lab, host) = harmed(vec![long], &["eu", "us"], Spec::new("fraud-api")).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.unwrap();
    let approving = async {
        loop {
            if looks(&host.state(&service)) {
                return;
            }
            if ripcord_tests::people::wants_people(&host.state(&service)) {
                let plan = host.waiting_plan(&service).await;
                let _ = host.vote_on(ripcord_tests::people::bob(), &service, plan, true).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), approving).await.expect("between two waves");
    assert_eq!(lab.world.of(&service).places["eu"], "1.1");
    host.pull(&service, Some("1.0")).await.unwrap();
    let next = |state: &Service| state.incident.as_ref().is_some_and(|open| open.plans.len() == 2);
    let state = host.until("planned anew", &service, next).await;
    let plan = state.incident.as_ref().unwrap().plan().unwrap().clone();
    assert_eq!(plan.live.state().to_string(), "1.1 50 % in eu, 1.2 50 % in us");
    host.stop().await;
}
