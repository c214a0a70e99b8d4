//! What moved before a harm, and what the planner suspects of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Event;
use ripcord_core::fact::{Change, Noticed};
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::service::{Phase, Service};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{changes_known, changes_of, suspects_if};
use ripcord_ports::Clock as _;
use ripcord_tests::states::two_keys;
use ripcord_tests::{Lab, Running, Spec, check};
use serde_json::json;

const MINUTE: Millis = Millis::seconds(61);

/// A host that looks every minute, and has looked.
async fn seen(settings: serde_json::Value) -> (Lab, Running, ServiceName) {
    let spec = two_keys(Spec::new("fraud-api").scripted())
        .with(Role::Planner, settings)
        .facet("limits", &["l1", "l2", "l3"])
        .terms(|terms| terms.deadlines.elsewhere_watch = Millis::minutes(1));
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    until(&lab, &host, "the first look", |state| state.production.live.is_some()).await;
    (lab, host, service)
}

/// Lets minutes pass until the service is `wanted`.
async fn until(lab: &Lab, host: &Running, what: &str, wanted: impl Fn(&Service) -> bool) {
    for _ in 0..60 {
        for _ in 0..50 {
            if wanted(&host.state(&lab.service())) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        lab.clock.advance(MINUTE);
    }
    panic!("waited in vain for: {what}; it is {:#?}", host.state(&lab.service()).production);
}

/// All that has ever moved, newest first: `what from to noticed`.
async fn told(lab: &Lab, host: &Running) -> (Vec<String>, Vec<String>) {
    let service = lab.service();
    let window = Window { start: UnixMillis(0), end: lab.clock.now() };
    let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
    let seen = changes_of(setup, &state, host.engine.fleet(), window).await;
    (seen.changes.iter().map(words).collect(), seen.gaps)
}

fn words(change: &Change) -> String {
    let first =
        |names: &[ripcord_core::name::VersionName]| names.first().map_or("?".to_owned(), ToString::to_string);
    format!("{} {} {} {}", change.what, first(&change.was), first(&change.became), change.noticed.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_tells_is_a_change_of_its_own_where_nothing_came_live() {
    let (lab, host, service) = seen(json!({})).await;
    lab.world.at(&service, |outside| {
        outside.versions.push("1.3".into());
        outside.in_production = Some("1.3".into());
    });
    let moved = |state: &Service| !state.production.name_moves.is_empty();
    until(&lab, &host, "the name has moved", moved).await;
    let (all, gaps) = told(&lab, &host).await;
    assert_eq!(all[0], "model 1.2 1.3 registry", "{all:?}");
    assert!(all.contains(&"model ? 1.1 registered".to_owned()), "{all:?}");
    assert!(!all.contains(&"model ? 1.3 registered".to_owned()), "told once: {all:?}");
    assert_eq!(gaps, [""; 0]);
    // It comes live: that is what happened, and the rest is told no more.
    lab.world.at(&service, |outside| outside.live = "1.3".into());
    let live = |state: &Service| !state.production.moves.is_empty();
    until(&lab, &host, "1.3 is live", live).await;
    let (all, _) = told(&lab, &host).await;
    assert_eq!(
        all.iter().filter(|change| change.contains("1.3")).collect::<Vec<_>>(),
        ["model 1.2 1.3 production"]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_data_behind_the_version_that_came_is_a_change() {
    let (lab, host, service) = seen(json!({})).await;
    lab.world.at(&service, |outside| {
        outside.versions.push("1.3".into());
        outside.live = "1.3".into();
        outside.made_from = [("1.2", "october"), ("1.3", "november")]
            .map(|(version, data)| (version.into(), data.into()))
            .into();
    });
    let live = |state: &Service| !state.production.moves.is_empty();
    until(&lab, &host, "1.3 is live", live).await;
    let (all, _) = told(&lab, &host).await;
    assert!(all.contains(&"data rows october november lineage".to_owned()), "{all:?}");
    lab.world.at(&service, |outside| outside.made_from.insert("1.3".into(), "october".into()));
    let (all, _) = told(&lab, &host).await;
    assert!(!all.iter().any(|change| change.contains("lineage")), "the same data: {all:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_into_is_a_gap_and_hides_no_other_change() {
    let (lab, host, service) = seen(json!({})).await;
    lab.world.at(&service, |outside| {
        outside.live = "1.1".into();
        outside.facet(&"limits".parse().unwrap()).down = true;
        outside.registry_down = true;
    });
    let live = |state: &Service| !state.production.moves.is_empty();
    until(&lab, &host, "1.1 is live", live).await;
    let (all, gaps) = told(&lab, &host).await;
    assert_eq!(all, ["model 1.2 1.1 production"]);
    let gaps = gaps.join("\n");
    assert!(
        gaps.contains("the history of configuration limits") && gaps.contains("the registry's list"),
        "{gaps}"
    );
    let window = Window { start: UnixMillis(0), end: lab.clock.now() };
    let known = changes_known(&host.state(&service), window, "nobody was asked".into());
    assert_eq!((known.changes.len(), known.changes[0].noticed), (1, Noticed::Production));
    assert_eq!(known.gaps, ["nobody was asked"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_planner_suspects_is_on_the_incidents_page() {
    let (lab, host, service) = seen(json!({ "suspects": true })).await;
    lab.world.at(&service, |outside| {
        outside.facet(&"limits".parse().unwrap()).in_force = "l1".into();
    });
    let moved = |state: &Service| !state.production.moves.is_empty();
    until(&lab, &host, "the limits have moved", moved).await;

    let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
    let (store, fleet) = (host.store.as_ref(), host.engine.fleet());
    let asked = suspects_if(setup, &state, store, fleet, state.at, lab.clock.now()).await.unwrap();
    assert!(
        !asked.recorded && asked.suspects.iter().any(|one| one.what.to_string() == "configuration limits"),
        "{asked:#?}"
    );
    let folded = check::journal(&host, &service).await;
    assert!(
        !folded.events.iter().any(|(_, event)| matches!(event, Event::Planned(_))),
        "nothing is recorded"
    );
    assert_eq!(folded.service.incidents, 0);

    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    let planned = |state: &Service| {
        matches!(state.incident.as_ref().map(|open| &open.phase), Some(Phase::Authorising(_)))
    };
    host.until("planned", &service, planned).await;
    let ranking = host.view(&service).await.ranking.expect("a ranking");
    let limits = ranking.suspects.iter().find(|one| one.what.to_string() == "configuration limits").unwrap();
    assert_eq!((limits.was[0].as_str(), limits.became[0].as_str()), ("l3", "l1"));
    assert!(ranking.recorded && !ranking.erased && limits.reasons == ["it moved"], "{ranking:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_ranks_nothing_is_told_from_none_that_was_asked() {
    let (lab, host, service) = seen(json!({})).await;
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    host.pull(&service, Some("1.0")).await.unwrap();
    let planned = |state: &Service| {
        matches!(state.incident.as_ref().map(|open| &open.phase), Some(Phase::Authorising(_)))
    };
    host.until("planned", &service, planned).await;
    assert_eq!(host.view(&service).await.ranking, None, "a person named the target");
    host.pull(&service, None).await.unwrap();
    let again = |state: &Service| state.incident.as_ref().is_some_and(|open| open.plans.len() == 2);
    host.until("planned again", &service, again).await;
    let ranking = host.view(&service).await.ranking.expect("its planner was asked");
    assert!(ranking.suspects.is_empty() && ranking.by.starts_with("scripted"), "{ranking:#?}");
    host.stop().await;
}
