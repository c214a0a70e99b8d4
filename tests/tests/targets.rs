//! What could be restored now: the list says what a pull and a plan say, revision by revision.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use ripcord_core::event::{Event, PendingPlan, PlanWord};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::name::ServiceName;
use ripcord_core::plan::Leaving;
use ripcord_core::policy::Role;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Phase, Service};
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, FacetTargets, PullTo, RestoredBy, TargetLine, facets_of, targets_of};
use ripcord_ports::Clock as _;
use ripcord_tests::people::ada;
use ripcord_tests::states::two_keys;
use ripcord_tests::world::OutsideFacet;
use ripcord_tests::{Lab, Running, Spec, check};
use serde_json::json;

/// Two keys, so that what is pulled waits; nothing is ever shifted here.
fn spec() -> Spec {
    two_keys(Spec::new("fraud-api").scripted())
        .facet("limits", &["l1", "l2", "l3", "l4", "l5", "l6"])
        .facet("fallback", &["rules", "off"])
}

fn of(text: &str) -> Revision {
    text.parse().unwrap()
}

async fn listed(lab: &Lab, host: &Running) -> Vec<FacetTargets> {
    let service = lab.service();
    let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
    let mut all = Vec::new();
    for facet in facets_of(&state) {
        all.push(targets_of(setup, &state, &facet, lab.clock.now()).await);
    }
    all
}

fn by_revision(listed: &[FacetTargets]) -> BTreeMap<String, TargetLine> {
    let lines = listed.iter().flat_map(|facet| &facet.targets);
    lines.map(|line| (line.revision.as_text(), line.clone())).collect()
}

async fn adopt(host: &Running, service: &ServiceName, revision: &str) {
    host.ask(ada(), service, Ask::Adopt(Some(of(revision)))).await.unwrap();
}

/// Whether a pull to it comes to a plan, and why not.
async fn pulled(host: &Running, service: &ServiceName, to: &str) -> Result<(), String> {
    let pull = Ask::Pull {
        to: Some(PullTo::Revision(of(to))),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    };
    let obeyed = host.ask(ada(), service, pull).await.map_err(|error| error.to_string())?;
    if host.state(service).incident.is_none() {
        return Err(obeyed.text);
    }
    let state = host
        .until("planned", service, |state| {
            let phase = state.incident.as_ref().map(|open| &open.phase);
            matches!(phase, Some(Phase::Authorising(_) | Phase::NeedsPerson(_)))
        })
        .await;
    let planned = matches!(&state.incident.as_ref().unwrap().phase, Phase::Authorising(_));
    host.ask(ada(), service, Ask::Abort)
        .await
        .map(drop)
        .or(host.ask(ada(), service, Ask::Dismiss).await.map(drop))
        .unwrap();
    host.until("over", service, |state| state.incident.is_none()).await;
    planned.then_some(()).ok_or_else(|| "no plan was made".to_owned())
}

/// A host of which one revision of each kind is known.
async fn every_kind() -> (Lab, Running, ServiceName) {
    let lab = Lab::new(vec![spec()]);
    let service = lab.service();
    let host = lab.start().await;
    for revision in ["1.0", "1.1", "limits=l1", "limits=l3", "limits=l4"] {
        adopt(&host, &service, revision).await;
    }
    lab.world.at(&service, |outside| {
        outside.versions.push("1.3".into());
        outside.broken.insert("1.3".into());
        let limits = outside.facet(&"limits".parse().unwrap());
        limits.broken.insert("l2".into());
        limits.lost.insert("l3".into());
        limits.rewritten.insert("l4".into());
    });
    (lab, host, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_what_a_pull_comes_to() {
    let (lab, host, service) = every_kind().await;
    let listed = by_revision(&listed(&lab, &host).await);
    let expected = [
        ("1.0", RestoredBy::Rules, ""),
        ("1.1", RestoredBy::Rules, ""),
        ("1.2", RestoredBy::Nobody, "in force already"),
        ("1.3", RestoredBy::Nobody, "its files are gone"),
        ("limits=l1", RestoredBy::Rules, ""),
        ("limits=l2", RestoredBy::Nobody, "it is no JSON"),
        ("limits=l3", RestoredBy::Nobody, "its content cannot be pinned"),
        ("limits=l4", RestoredBy::Nobody, "its content was changed"),
        ("limits=l5", RestoredBy::People, "never verified here"),
        ("limits=l6", RestoredBy::Nobody, "in force already"),
        ("fallback=rules", RestoredBy::Rules, ""),
        ("fallback=off", RestoredBy::Nobody, "in force already"),
    ];
    assert_eq!(listed.len(), expected.len(), "{listed:#?}");
    for (revision, by, why) in expected {
        let line = &listed[revision];
        assert_eq!(line.by, by, "{revision}: {:?}", line.why_not);
        assert!(line.why_not.as_deref().unwrap_or_default().contains(why), "{revision}: {:?}", line.why_not);
        let pulled = pulled(&host, &service, revision).await;
        assert_eq!(pulled.is_ok(), by != RestoredBy::Nobody, "{revision}: {pulled:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_come_first_and_what_the_list_does_not_have_is_said() {
    let (lab, host, service) = every_kind().await;
    let names = |facet: &FacetTargets| {
        facet.targets.iter().map(|line| line.revision.name.to_string()).collect::<Vec<_>>()
    };
    let all = listed(&lab, &host).await;
    assert_eq!(names(&all[0]), ["1.1", "1.0", "1.3", "1.2"], "the newest good one first");
    assert_eq!(names(&all[1]), ["l1", "l5", "l6", "l4", "l3", "l2"], "then what people may pull to");
    lab.world.at(&service, |outside| outside.versions.retain(|version| version != "1.1"));
    let all = by_revision(&listed(&lab, &host).await);
    assert_eq!(all["1.1"].by, RestoredBy::Nobody);
    assert!(all["1.1"].why_not.as_ref().unwrap().contains("not among the newest"), "{:?}", all["1.1"]);

    lab.world.at(&service, |outside| {
        outside.registry_down = true;
        outside.deployer_down = true;
    });
    let model = listed(&lab, &host).await.remove(0);
    assert!(model.not_listed.unwrap().contains("does not answer"));
    assert!(model.not_read.is_some(), "what is in force is as it was seen last");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_revision_is_nobodys_until_its_hold_is_lifted() {
    let (lab, host, service) = every_kind().await;
    let pull = Ask::Pull {
        to: Some(PullTo::Revision(of("limits=l1"))),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    };
    host.ask(ada(), &service, pull).await.unwrap();
    host.attend(&lab, &service).await;
    let line = |all: &[FacetTargets]| by_revision(all)["limits=l6"].clone();
    let held = line(&listed(&lab, &host).await);
    assert_eq!(held.by, RestoredBy::Nobody);
    assert!(held.why_not.as_ref().unwrap().contains("ripcord hold lift fraud-api limits=l6"), "{held:?}");
    assert!(pulled(&host, &service, "limits=l6").await.unwrap_err().contains("is held"));
    host.ask(ada(), &service, Ask::LiftHold(of("limits=l6"))).await.unwrap();
    adopt(&host, &service, "limits=l6").await;
    let lifted = line(&listed(&lab, &host).await);
    assert_eq!(lifted.by, RestoredBy::People);
    assert!(lifted.why_not.as_ref().unwrap().contains("a rollback left it only"), "{lifted:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_or_told_is_said_in_the_list_and_to_who_pulls() {
    type Spoil = fn(&mut OutsideFacet);
    let away: Spoil = |facet| facet.down = true;
    let odd: Spoil = |facet| facet.in_force = "nonsense".into();
    for facet in ["limits", "fallback"] {
        for (spoil, not_listed, not_read, refusal) in [
            (
                away,
                "the fake restorer does not answer",
                "the fake restorer does not answer",
                "does not answer",
            ),
            // What is in force is agreed to as unknown: that is how it is left.
            (odd, "", "`nonsense` is no revision", ""),
        ] {
            let (lab, host, service) = every_kind().await;
            lab.world.at(&service, |outside| spoil(outside.facet(&facet.parse().unwrap())));
            let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
            let listed = targets_of(setup, &state, &facet.parse().unwrap(), lab.clock.now()).await;
            let said = |why: &Option<String>| why.clone().unwrap_or_default();
            assert!(said(&listed.not_listed).contains(not_listed), "{facet}: {listed:?}");
            assert_eq!(said(&listed.not_listed).is_empty(), not_listed.is_empty(), "{facet}: {listed:?}");
            assert!(said(&listed.not_read).contains(not_read), "{facet}: {listed:?}");
            assert_eq!(listed.is_restorable(), refusal.is_empty(), "{facet}: {listed:?}");
            let to = if facet == "limits" { "limits=l1" } else { "fallback=rules" };
            match pulled(&host, &service, to).await {
                Ok(()) => assert!(refusal.is_empty(), "{facet}: planned"),
                Err(why) => assert!(!refusal.is_empty() && why.contains(refusal), "{facet}: {why}"),
            }
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_for_people_and_nothing_is_where_nothing_shows_it() {
    let (lab, host, service) = every_kind().await;
    lab.clock.advance(Millis::hours(24 * 365));
    let state = host.state(&service);
    let setup = host.engine.setup(&service).unwrap();
    let model = targets_of(setup, &state, &Facet::Model, lab.clock.now()).await;
    let line = model.targets.iter().find(|line| line.revision == of("1.1")).unwrap();
    assert_eq!(line.by, RestoredBy::People);
    assert!(line.why_not.as_ref().unwrap().contains("its standing expired"), "{line:?}");
    let mut setup = setup.clone();
    setup.ports.restorers.clear();
    let limits = targets_of(&setup, &state, &"limits".parse().unwrap(), lab.clock.now()).await;
    assert!(limits.not_listed.as_ref().unwrap().contains("nothing is configured that puts"), "{limits:?}");
    host.stop().await;
}

/// The targets of the plan, or that there is none, and why others were left out.
async fn planned(host: &Running, lab: &Lab) -> (Vec<Target>, String) {
    let service = lab.service();
    host.alert(lab, &service, "a").await.unwrap();
    let done = |state: &Service| {
        let phase = state.incident.as_ref().map(|open| &open.phase);
        matches!(phase, Some(Phase::Authorising(_) | Phase::NeedsPerson(_)))
    };
    host.until("planned", &service, done).await;
    let folded = check::journal(host, &service).await;
    let planned = folded.events.iter().rev().find_map(|(_, event)| match event {
        Event::Planned(planned) => Some(planned.clone()),
        _ => None,
    });
    let planned = planned.unwrap();
    let (targets, why) = match planned.word {
        PlanWord::Drafted(plan) => (plan.targets, planned.left_out),
        PlanWord::NothingSuitable(why) | PlanWord::Failed { reason: why, .. } => (Vec::new(), Some(why)),
        other => panic!("{other:?}"),
    };
    let why = match why {
        Some(why) => ripcord_ports::Store::blob(host.store.as_ref(), &why).await.unwrap().unwrap(),
        None => Vec::new(),
    };
    (targets, String::from_utf8(why).unwrap())
}

/// A host whose planner goes back to good configurations, of which there are two whose content is there when people vouch for them.
async fn restores_configurations(lost: &[&str]) -> (Lab, Running) {
    let spec = spec().with(Role::Planner, json!({ "configurations": true }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    for revision in ["limits=l1", "limits=l3"] {
        adopt(&host, &service, revision).await;
    }
    let lost = lost.iter().map(|revision| (*revision).to_owned());
    lab.world.at(&service, |outside| outside.facet(&"limits".parse().unwrap()).lost.extend(lost));
    (lab, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_content_cannot_be_pinned_is_left_out_and_the_plan_goes_on_with_the_rest() {
    let (lab, host) = restores_configurations(&["l3"]).await;
    let (targets, left_out) = planned(&host, &lab).await;
    let targets: Vec<_> = targets.iter().filter_map(Target::revision).collect();
    assert_eq!(targets, [of("limits=l1")]);
    assert!(left_out.contains("limits l3") && left_out.contains("cannot be pinned"), "{left_out}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_target_can_be_pinned_people_are_told_why_of_each() {
    let (lab, host) = restores_configurations(&["l1", "l3"]).await;
    let (targets, why) = planned(&host, &lab).await;
    assert!(targets.is_empty() && why.contains("limits l1") && why.contains("limits l3"), "{why}");
    host.stop().await;
}
