//! What others do to production: noticed, put on probation, verified or taken back; and a hold that the registry's production name breaks.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use ripcord_core::event::{Event, TrialPhase};
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::service::{HoldState, Service};
use ripcord_core::signal::{Severity, SignalStatus};
use ripcord_core::standing::Standing;
use ripcord_core::time::Millis;
use ripcord_tests::people::{alert, revision, version};
use ripcord_tests::states::count;
use ripcord_tests::{Lab, Running, Spec, check};
use serde_json::json;

/// Looks every minute; ten minutes of soak, an hour of probation.
fn spec() -> Spec {
    Spec::new("fraud-api").scripted().terms(|terms| {
        terms.deadlines.elsewhere_watch = Millis::minutes(1);
        terms.deadlines.hold_watch = Millis::seconds(30);
    })
}

/// Lets time go on by `step` until the service is `wanted`.
async fn after(
    lab: &Lab,
    host: &Running,
    step: Millis,
    what: &str,
    wanted: impl Fn(&Service) -> bool,
) -> Arc<Service> {
    let service = lab.service();
    for _ in 0..60 {
        lab.clock.advance(step);
        for _ in 0..50 {
            let state = host.state(&service);
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("waited in vain for: {what}; it is {:#?}", host.state(&service))
}

const MINUTE: Millis = Millis::seconds(61);

/// A host that has seen what is live.
async fn seen(spec: Spec) -> (Lab, Running, ServiceName) {
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    after(&lab, &host, MINUTE, "the first look", |state| state.production.live.is_some()).await;
    (lab, host, service)
}

/// Someone else registers `name` and puts it live, and the registry's production name with it.
fn promote(lab: &Lab, name: &str) {
    lab.world.at(&lab.service(), |outside| {
        if !outside.versions.iter().any(|version| version == name) {
            outside.versions.push(name.into());
        }
        outside.live = name.into();
        outside.in_production = Some(name.into());
    });
}

fn on_probation(name: &'static str) -> impl Fn(&Service) -> bool {
    move |state| state.probation.as_ref().is_some_and(|probation| probation.version.version == version(name))
}

fn standing(state: &Service, name: &str) -> Standing {
    state.standing_of(&version(name), state.at)
}

async fn told(lab: &Lab, topic: &str) -> String {
    let all = || lab.world.told().into_iter().filter(|told| told.topic == topic).collect::<Vec<_>>();
    ripcord_tests::lab::eventually(topic, || !all().is_empty()).await;
    let ids: std::collections::BTreeSet<_> = all().into_iter().map(|told| told.id).collect();
    assert_eq!(ids.len(), 1, "told once of {topic}");
    all().remove(0).text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_put_live_and_is_well_for_long_enough_is_known_good() {
    let (lab, host, service) = seen(spec()).await;
    assert_eq!(host.state(&service).probation, None, "the first look only shows where things stand");
    promote(&lab, "1.3");
    let state = after(&lab, &host, MINUTE, "a probation", on_probation("1.3")).await;
    let probation = state.probation.clone().unwrap();
    assert_eq!(probation.before.unwrap().version, version("1.2"));
    let judged = |state: &Service| state.probation.as_ref().is_some_and(|it| it.round == 2);
    let state = host.until("healthy for the first time", &service, judged).await;
    assert_eq!(standing(&state, "1.3"), Standing::Unproven, "it must soak");
    let state = after(&lab, &host, Millis::minutes(10), "known good", |state| {
        standing(state, "1.3") == Standing::KnownGood
    })
    .await;
    assert!(state.at >= probation.since + Millis::minutes(10), "{:?}", state.at);
    assert_eq!((state.incidents, state.probation.as_ref()), (0, None));
    assert!(told(&lab, "known-good").await.contains("`1.3`"));
    host.until("pinned", &service, |state| state.revisions[&revision("1.3")].digest.is_some()).await;

    // Nobody asks again about what is known good, or vouched for.
    for name in ["1.1", "1.3"] {
        promote(&lab, name);
        let live = Some(vec![version(name)]);
        let state = after(&lab, &host, MINUTE, "noted", |state| state.production.live == live).await;
        assert_eq!((state.probation.as_ref(), state.incidents), (None, 0), "{name}");
    }
    let folded = check::journal(&host, &service).await;
    let asked = count(
        &folded,
        |event| matches!(event, Event::VerificationsAsked(asked) if asked.phase == TrialPhase::Probation(probation.since)),
    );
    assert_eq!(asked, 2);
    check::replays(&host).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_put_live_and_is_unwell_opens_an_incident() {
    let (lab, host, service) = seen(spec()).await;
    lab.world.at(&service, |outside| {
        outside.bad.insert("1.3".into());
        // No trigger says so.
        outside.harm = Some(0.0);
    });
    promote(&lab, "1.3");
    after(&lab, &host, MINUTE, "an incident", |state| state.incidents == 1).await;
    let state = host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), outside.in_production.as_deref()), ("1.1", Some("1.1")));
    assert_eq!(state.holds[&revision("1.3")].state, HoldState::Stands);
    assert_eq!(state.probation, None);
    let id = state.last_settled.as_ref().unwrap().id.clone();
    let view = ripcord_engine::view::incident(host.store.as_ref(), &id).await.unwrap();
    let cause = "`1.3`, which someone else put live, is unhealthy: accuracy is ";
    assert!(view.cause.starts_with(cause) && view.cause.ends_with("expected 0.9 (`scripted`)"), "{view:#?}");
    assert!(view.requested_by.iter().any(|by| by.contains("probation of 1.3")), "{:?}", view.requested_by);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_stays_unproven_and_people_are_told_once() {
    for check in ["never", "fault"] {
        let spec = spec().with(Role::Verification, json!({ "verification": check, "recheck": "20m" }));
        let (lab, host, service) = seen(spec).await;
        promote(&lab, "1.3");
        after(&lab, &host, MINUTE, "a probation", on_probation("1.3")).await;
        let state =
            after(&lab, &host, Millis::minutes(20), "given up", |state| state.probation.is_none()).await;
        assert_eq!((standing(&state, "1.3"), state.incidents), (Standing::Unproven, 0));
        let text = told(&lab, "not-proven").await;
        assert!(text.contains("`1.3`") && text.contains("ripcord adopt fraud-api 1.3"), "{text}");
        // It is not taken up again while nothing changes.
        let length = host.until("told", &service, |state| state.outbox.is_empty()).await.length;
        for _ in 0..3 {
            lab.clock.advance(MINUTE);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!((host.state(&service).length, host.state(&service).probation.as_ref()), (length, None));
        told(&lab, "not-proven").await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_production_name_back_on_a_condemned_version_reopens_and_what_is_live_stays() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let applied = check::applied(&lab.world.of(&service).steps);

    lab.world.at(&service, |outside| outside.in_production = Some("1.2".into()));
    after(&lab, &host, Millis::seconds(31), "reopened", |state| state.incidents == 2).await;
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RestoredElsewhere).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), outside.in_production.as_deref()), ("1.1", Some("1.1")));
    assert_eq!(check::applied(&outside.steps), applied, "what is live was well, so nothing was shifted");
    let text = told(&lab, "hold-broken").await;
    assert!(text.contains("`1.2`") && text.contains("production name was moved back to it"), "{text}");

    // The next look shows that the name has left it; when it comes back, people are told again.
    let stands = |state: &Service| state.holds[&revision("1.2")].state == HoldState::Stands;
    after(&lab, &host, Millis::seconds(31), "the hold stands again", stands).await;
    lab.world.at(&service, |outside| outside.in_production = Some("1.2".into()));
    after(&lab, &host, Millis::seconds(31), "reopened", |state| state.incidents == 3).await;
    host.attend(&lab, &service).await;
    ripcord_tests::lab::eventually("told again", || lab.world.told_of(&service, "hold-broken") == 2).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condemned_version_that_moves_up_to_a_stage_is_told_and_moves_nothing() {
    let (lab, host) = Lab::harmed(spec()).await;
    let service = lab.service();
    let staging = |version: &str| {
        let alias = ("staging".to_owned(), version.to_owned());
        lab.world.at(&service, |outside| outside.aliases = [alias].into());
    };
    staging("1.3");
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let seen = |state: &Service| {
        state.aliases.as_ref().is_some_and(|known| known.seen[0].versions[0].as_str() == "1.3")
    };
    after(&lab, &host, MINUTE, "the names are known", seen).await;
    assert_eq!(lab.world.told_of(&service, "held-moves-up"), 0);

    staging("1.2");
    let state = after(&lab, &host, MINUTE, "it is seen", |state| !seen(state)).await;
    let text = told(&lab, "held-moves-up").await;
    assert!(text.contains("has `staging` point at `1.2` now, which `fraud-api:1` condemned"), "{text}");
    assert_eq!(state.incidents, 1, "production is as it was");
    // Nothing new: neither recorded nor told again, by this host or the next.
    let length = host.until("told", &service, |state| state.outbox.is_empty()).await.length;
    host.stop().await;
    let host = lab.start().await;
    lab.clock.advance(MINUTE);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((host.state(&service).length, lab.world.told_of(&service, "held-moves-up")), (length, 1));
    let changes = ripcord_ports::Store::changes(host.store.as_ref(), &service, 50).await.unwrap();
    let line = changes.iter().find(|line| line.facet == "registry-names").expect("it is among the changes");
    assert_eq!((line.from.as_deref(), line.to.as_str()), (Some("staging: 1.3"), "staging: 1.2"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_the_probation_and_judges_nothing_else_in_its_name() {
    let (lab, host, service) = seen(spec()).await;
    promote(&lab, "1.3");
    let state = after(&lab, &host, MINUTE, "a probation", on_probation("1.3")).await;
    let since = state.probation.as_ref().unwrap().since;
    host.until("healthy", &service, |state| state.probation.as_ref().is_some_and(|it| it.round == 2)).await;
    host.stop().await;

    let host = lab.start().await;
    assert_eq!(host.state(&service).probation.as_ref().map(|it| it.since), Some(since));
    host.stop().await;

    // While no host runs, somebody puts a bad one live, and the soak of the first ends: what is examined is live no longer.
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    lab.world.at(&service, |outside| outside.bad.insert("1.4".into()));
    promote(&lab, "1.4");
    lab.clock.advance(Millis::minutes(11));
    let host = lab.start().await;
    let state = host.until("an incident", &service, |state| state.incidents == 1).await;
    assert_eq!(standing(&state, "1.3"), Standing::Unproven);
    let id = state.incident.as_ref().unwrap().id.clone();
    let view = ripcord_engine::view::incident(host.store.as_ref(), &id).await.unwrap();
    assert!(view.cause.starts_with("`1.4`"), "{}", view.cause);
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_ends_the_probation() {
    let (lab, host, service) = seen(spec()).await;
    promote(&lab, "1.3");
    after(&lab, &host, MINUTE, "a probation", on_probation("1.3")).await;
    host.pull(&service, Some("1.1")).await.expect("pulled");
    let state = host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!((state.probation.as_ref(), standing(&state, "1.3")), (None, Standing::Held));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_tells_no_harm_is_a_reason_to_look_at_once() {
    let (lab, host, service) = seen(spec()).await;
    promote(&lab, "1.3");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(host.state(&service).probation, None, "the minute is not over");
    let mut signal = alert(&lab, &service, "moved", "model_version_alias.created", SignalStatus::Firing);
    signal.signal.severity = Severity::Info;
    lab.world.at(&service, |outside| outside.harm = Some(0.0));
    host.engine.take_signals(vec![signal]).await.unwrap();
    host.until("a probation", &service, on_probation("1.3")).await;
    host.stop().await;
}
