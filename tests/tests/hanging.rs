//! Calls that never come back: every step ends, with another target or with a person, and what goes on says so.

use ripcord_core::event::{DataState, Event, InProduction, PendingPlan};
use ripcord_core::fact::Outcome;
use ripcord_core::name::{RoleName, ServiceName};
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Intent, NeedKind, Phase, Service, StepState};
use ripcord_core::terms::{EffectClass, EvidenceRule, Terms};
use ripcord_core::time::Millis;
use ripcord_engine::Ask;
use ripcord_tests::people::{ada, bob, cleo, revision};
use ripcord_tests::states::{acting, needs, phase, two_keys};
use ripcord_tests::{Fault, Lab, Running, Spec, check, lab};

fn hangs(lab: &Lab, calls: &[&str]) {
    lab.world
        .at(&lab.service(), |outside| outside.hangs = calls.iter().map(|call| (*call).to_owned()).collect());
}

/// A service that does harm, whose plan waits for two people.
async fn planned() -> (Lab, Running, ServiceName) {
    planned_while(&[]).await
}

/// The same where these calls never come back from the beginning: what can be done ahead is, and may be done before there is a plan.
async fn planned_while(hanging: &[&str]) -> (Lab, Running, ServiceName) {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    hangs(&lab, hanging);
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    (lab, host, service)
}

async fn granted(host: &Running, service: &ServiceName) {
    host.approve(bob(), service).await.expect("voted");
    host.approve(cleo(), service).await.expect("voted");
}

/// Lets time pass, in steps that are shorter than any deadline, until it is `wanted`.
async fn in_time(what: &str, lab: &Lab, host: &Running, wanted: impl Fn(&Service) -> bool) {
    let service = lab.service();
    for _ in 0..2_000 {
        if wanted(&host.state(&service)) {
            return;
        }
        lab.clock.advance(Millis::seconds(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain for: {what}; it is {:#?}", host.state(&service));
}

fn told(state: &Service) -> String {
    let Some(Phase::NeedsPerson(need)) = phase(state) else { panic!("{state:#?}") };
    need.text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_gets_no_answer_looks_again_and_goes_on_when_there_is_one() {
    let (lab, host, service) = planned().await;
    hangs(&lab, &["live"]);
    granted(&host, &service).await;
    let again = |state: &Service| {
        acting(state, |step| matches!(step, StepState::Guarding(waiting) if waiting.failures > 0))
    };
    in_time("looked again", &lab, &host, again).await;
    hangs(&lab, &[]);
    in_time("settled", &lab, &host, |state| state.incident.is_none()).await;
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_never_gets_an_answer_asks_a_person() {
    let (lab, host, service) = planned().await;
    hangs(&lab, &["live"]);
    granted(&host, &service).await;
    in_time("a question", &lab, &host, needs(NeedKind::WhatNow)).await;
    let text = told(&host.state(&service));
    assert!(text.starts_with("what is live cannot be read"), "{text}");
    assert!(lab.world.of(&service).steps.is_empty(), "nothing was shifted");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_never_comes_back_asks_a_person_whether_the_shift_happened() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deployer = EffectClass::Observable);
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    hangs(&lab, &["probe"]);
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::LostAndBroken));
    host.alert(&lab, &service, "a").await.unwrap();
    let unknown = |state: &Service| {
        acting(
            state,
            |step| matches!(step, StepState::Shifting(shifting) if shifting.intent != Intent::NotBegun),
        )
    };
    host.until("begun", &service, unknown).await;
    in_time("a question", &lab, &host, needs(NeedKind::DidTheShiftHappen)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_never_comes_back_asks_a_person() {
    for call in ["versions", "live"] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
        let service = lab.service();
        hangs(&lab, &[call]);
        host.alert(&lab, &service, "a").await.unwrap();
        in_time("a question", &lab, &host, needs(NeedKind::WhatNow)).await;
        let text = told(&host.state(&service));
        assert!(text.starts_with("no plan could be made"), "{call}: {text}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_that_never_arrives_leads_down_the_ladder_and_then_to_a_person() {
    let (lab, host, service) = planned_while(&["fetch"]).await;
    granted(&host, &service).await;
    let second = |state: &Service| matches!(phase(state), Some(Phase::Acting(acting)) if acting.rung == 1);
    in_time("the next rung", &lab, &host, second).await;
    in_time("a question", &lab, &host, needs(NeedKind::WhatNow)).await;
    assert!(lab.world.of(&service).steps.is_empty(), "nothing was shifted");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metrics_source_that_never_answers_is_missing_data_and_people_are_told() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    hangs(&lab, &["metric"]);
    host.alert(&lab, &service, "a").await.unwrap();
    in_time("told", &lab, &host, |_| lab.world.told_of(&service, "no-data") == 1).await;
    let folded = check::journal(&host, &service).await;
    let missing = |event: &Event| matches!(event, Event::TriggersAsked(asked) if asked.asked.iter().any(|one| one.decision.data == DataState::Missing));
    assert!(folded.events.iter().any(|(_, event)| missing(event)));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_never_comes_back_holds_nothing_up_for_longer_than_its_time() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    hangs(&lab, &["request log", "promoted"]);
    host.alert(&lab, &service, "a").await.unwrap();
    in_time("settled", &lab, &host, |state| state.last_settled.is_some()).await;
    let state = host.state(&service);
    let incident = state.last_settled.as_ref().unwrap();
    assert!(incident.missing.iter().any(|gap| gap.name == "request-log"), "{:#?}", incident.missing);
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_hangs_does_not_use_up_the_time_for_evidence() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.evidence = Millis::hours(1));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    hangs(&lab, &["promoted"]);
    host.alert(&lab, &service, "a").await.unwrap();
    let preserved = |state: &Service| {
        let incident = state.incident.as_ref().or(state.last_settled.as_ref());
        incident.is_some_and(|incident| incident.marks.preserved_at.is_some())
    };
    let state = host.until("preserved", &service, preserved).await;
    let incident = state.incident.as_ref().or(state.last_settled.as_ref()).unwrap();
    assert!(matches!(incident.in_production, InProduction::Unknown(_)), "{:?}", incident.in_production);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_comes_too_late_is_a_gap_whatever_it_is() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.evidence = EvidenceRule::Required);
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    hangs(&lab, &["manifest", "evidence trial"]);
    host.alert(&lab, &service, "a").await.unwrap();
    in_time("a question", &lab, &host, needs(NeedKind::WhatNow)).await;
    let text = told(&host.state(&service));
    assert!(text.contains("`manifest-1.2`") && text.contains("`golden-data`"), "{text}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_the_glass_does_not_wait_for_evidence() {
    let hour = |terms: &mut Terms| {
        (terms.evidence, terms.deadlines.evidence) = (EvidenceRule::Required, Millis::hours(1));
        terms.break_glass.push(RoleName::operator());
    };
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted()).terms(hour)).await;
    let service = lab.service();
    hangs(&lab, &["request log", "manifest"]);
    host.alert(&lab, &service, "a").await.unwrap();
    lab::eventually("evidence", || matches!(phase(&host.state(&service)), Some(Phase::Preserving))).await;
    let pull = |break_glass| Ask::Pull {
        to: Some(revision("1.1").into()),
        urgency: Urgency::Emergency,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Keep,
        break_glass,
    };
    host.ask(ada(), &service, pull(false)).await.expect("on record");
    let preserving = || matches!(phase(&host.state(&service)), Some(Phase::Preserving));
    // More than whoever breaks the glass waits, and less than evidence may take.
    for _ in 0..5 {
        lab.clock.advance(Millis::seconds(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        assert!(preserving());
    }
    host.ask(ada(), &service, pull(true)).await.expect("on record");
    for _ in 0..200 {
        lab.clock.advance(Millis(100));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let state = host.state(&service);
    let incident = state.incident.as_ref().expect("open");
    assert!(matches!(incident.phase, Phase::Authorising(_)), "{:#?}", incident.phase);
    assert!(incident.missing.iter().any(|gap| gap.name == "request-log"), "{:#?}", incident.missing);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evidence_folder_that_hangs_is_a_gap_and_the_way_back_goes_on() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.call = Millis::seconds(30));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.change(|all| all.objects_hang = true);
    host.alert(&lab, &service, "a").await.unwrap();
    in_time("settled", &lab, &host, |state| state.last_settled.is_some()).await;
    let state = host.state(&service);
    let incident = state.last_settled.as_ref().unwrap();
    assert!(incident.evidence.is_empty(), "{:#?}", incident.evidence);
    let gaps: Vec<_> = incident.missing.iter().map(|gap| gap.name.as_str()).collect();
    assert!(gaps.contains(&"live") && gaps.contains(&"manifest-1.2"), "{gaps:?}");
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_never_comes_back_is_written_again() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    hangs(&lab, &["mark"]);
    host.alert(&lab, &service, "a").await.unwrap();
    in_time("settled", &lab, &host, |state| state.last_settled.is_some()).await;
    let failed =
        |state: &Service| state.holds.values().any(|hold| hold.mark_at.is_some_and(|at| at > state.at));
    in_time("given up", &lab, &host, failed).await;
    hangs(&lab, &[]);
    in_time("marked", &lab, &host, |_| !lab.world.of(&service).marks.is_empty()).await;
    lab::eventually("known", || host.state(&service).holds.values().all(|hold| hold.mark_at.is_none())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn production_that_cannot_be_read_for_long_is_told_once_and_again_when_it_is_back() {
    let spec = Spec::new("fraud-api").terms(|terms| {
        terms.deadlines.elsewhere_watch = Millis::minutes(1);
        terms.deadlines.hold_watch = Millis::seconds(30);
    });
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    let host = lab.start().await;
    in_time("seen", &lab, &host, |state| state.production.live.is_some()).await;
    // For a moment: no news.
    hangs(&lab, &["live"]);
    for _ in 0..30 {
        lab.clock.advance(Millis::seconds(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    hangs(&lab, &[]);
    let length = host.state(&service).length;
    for _ in 0..30 {
        lab.clock.advance(Millis::seconds(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(host.state(&service).length, length, "nothing was written");
    for calls in [["live"], ["promoted"]] {
        hangs(&lab, &calls);
        in_time("told", &lab, &host, |state| !state.production.unread.is_empty()).await;
        lab::eventually("told", || !lab.world.texts_of("production-unread").is_empty()).await;
        for _ in 0..100 {
            lab.clock.advance(Millis::seconds(10));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(lab.world.texts_of("production-read-again"), [] as [&str; 0]);
        hangs(&lab, &[]);
        in_time("read again", &lab, &host, |state| state.production.unread.is_empty()).await;
        lab::eventually("told", || !lab.world.texts_of("production-read-again").is_empty()).await;
        let told = lab.world.texts_of("production-unread");
        assert_eq!((told.len(), lab.world.texts_of("production-read-again").len()), (1, 1), "{told:?}");
        lab.world.change(|all| all.told.clear());
    }
    host.stop().await;
}
