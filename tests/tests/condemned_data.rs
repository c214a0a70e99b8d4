//! Condemned data: what was trained on it is not gone back to, whoever asks, whenever it was registered.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::data::DataRevision;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::{CondemnedBy, Phase, Service};
use ripcord_core::standing::Standing;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, RestoredBy, TargetLine, makeable_of, targets_of};
use ripcord_ports::Clock as _;
use ripcord_tests::people::{ada, bob, cleo, revision};
use ripcord_tests::states::{authorising, needs, phase, run_goes_on, two_keys};
use ripcord_tests::{Lab, RunStage, Running, Spec, check, lab};

fn spec() -> Spec {
    two_keys(Spec::new("fraud-api").scripted())
        .terms(|terms| terms.deadlines.hold_watch = Millis::seconds(30))
}

fn data(text: &str) -> DataRevision {
    text.parse().unwrap()
}

/// `1.0` was trained in september, `1.1` in october, `1.2`, which is live, in november.
async fn trained(spec: Spec) -> (Lab, Running) {
    let (lab, host) = Lab::harmed(spec).await;
    lab.world.at(&lab.service(), |outside| {
        for (version, month) in [("1.0", "september"), ("1.1", "october"), ("1.2", "november")] {
            outside.made_from.insert(version.into(), month.into());
        }
    });
    (lab, host)
}

async fn condemn(lab: &Lab, host: &Running, of: &str) {
    host.ask(ada(), &lab.service(), Ask::CondemnData(data(of))).await.expect("condemned");
}

async fn line(lab: &Lab, host: &Running, wanted: &str) -> TargetLine {
    let service = lab.service();
    let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
    let model = ripcord_core::facet::Facet::Model;
    let listed = targets_of(setup, &state, &model, lab.clock.now()).await;
    listed.targets.into_iter().find(|line| line.revision.as_text() == wanted).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_back_to_what_was_trained_on_it_until_that_is_lifted() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    condemn(&lab, &host, "rows@october").await;
    let seen = line(&lab, &host, "1.1").await;
    assert_eq!((seen.by, seen.standing), (RestoredBy::Nobody, Standing::Condemned));
    let why = seen.why_not.unwrap();
    assert!(why.contains("condemned: trained on `rows@october`") && why.contains("hold lift"), "{why}");
    assert_eq!(line(&lab, &host, "1.0").await.by, RestoredBy::Rules);
    for refused in [
        host.pull(&service, Some("1.1")).await.map(drop),
        host.ask(ada(), &service, Ask::Adopt(Some(revision("1.1")))).await.map(drop),
    ] {
        let refused = refused.expect_err("condemned").to_string();
        assert!(refused.contains("trained on `rows@october`"), "{refused}");
    }
    // Rules pass it over as well.
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.ask(ada(), &service, Ask::LiftData(data("rows@october"))).await.expect("lifted");
    let seen = line(&lab, &host, "1.1").await;
    assert_eq!((seen.by, seen.standing), (RestoredBy::Rules, Standing::Attested), "{:?}", seen.why_not);
    let refused = host.ask(ada(), &service, Ask::LiftData(data("rows@october"))).await.expect_err("lifted");
    assert!(refused.to_string().contains("is not condemned"), "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_registered_later_is_condemned_as_well() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    condemn(&lab, &host, "rows@december").await;
    lab.world.at(&service, |outside| {
        outside.versions.push("1.3".into());
        outside.made_from.insert("1.3".into(), "december".into());
    });
    assert_eq!(line(&lab, &host, "1.3").await.by, RestoredBy::Nobody);
    let refused = host.pull(&service, Some("1.3")).await.expect_err("condemned").to_string();
    assert!(refused.contains("trained on `rows@december`"), "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_with_the_weights_of_what_was_trained_on_it_is_condemned_and_says_by_which_way() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    // `1.1` has data of its own, and began with the weights of `1.0`.
    lab.world.at(&service, |outside| drop(outside.parents.insert("1.1".into(), "1.0".into())));
    assert_eq!(line(&lab, &host, "1.1").await.by, RestoredBy::Rules, "nothing is condemned");
    condemn(&lab, &host, "rows@september").await;
    let chain = "condemned: `1.1` began with the weights of `1.0`, which was trained on `rows@september`, which is condemned; `ripcord hold lift fraud-api --data rows@september";
    let seen = line(&lab, &host, "1.1").await;
    assert_eq!((seen.by, seen.standing), (RestoredBy::Nobody, Standing::Condemned));
    assert!(seen.why_not.as_deref().unwrap().contains(chain), "{:?}", seen.why_not);
    for refused in [
        host.pull(&service, Some("1.1")).await.map(drop),
        host.ask(ada(), &service, Ask::Adopt(Some(revision("1.1")))).await.map(drop),
    ] {
        let refused = refused.expect_err("condemned").to_string();
        assert!(refused.contains(chain), "{refused}");
    }
    // Rules have nothing left to go back to.
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("a question", &service, needs(ripcord_core::service::NeedKind::WhatNow)).await;
    assert_eq!(lab.world.of(&service).live, "1.2");
    host.ask(ada(), &service, Ask::Dismiss).await.expect("dismissed");
    // Where the parent is not there, nobody knows: people may.
    host.ask(ada(), &service, Ask::LiftData(data("rows@september"))).await.expect("lifted");
    lab.world.at(&service, |outside| drop(outside.parents.insert("1.1".into(), "0.9".into())));
    condemn(&lab, &host, "rows@august").await;
    let seen = line(&lab, &host, "1.1").await;
    assert_eq!(seen.by, RestoredBy::People);
    let why = seen.why_not.unwrap();
    assert!(why.contains("not known (it began with the weights of `0.9`, and of that one: "), "{why}");
    assert_eq!(line(&lab, &host, "1.0").await.by, RestoredBy::Rules);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_that_what_is_live_began_with_the_weights_of_what_was_trained_on_it() {
    let (lab, host) = trained(spec()).await;
    lab.world.at(&lab.service(), |outside| {
        outside.parents.insert("1.2".into(), "1.1".into());
        outside.parents.insert("1.1".into(), "1.0".into());
    });
    condemn(&lab, &host, "rows@september").await;
    until_told(&lab, "condemned-data-live").await;
    let told = lab.world.texts_of("condemned-data-live");
    let chain = "`1.2`, which is live on `fraud-api`, began with the weights of `1.1`, that one with those of `1.0`, which was trained on `rows@september`, which is condemned";
    assert!(told[0].contains(chain), "{told:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_lineage_is_not_known_people_may_and_rules_do_not() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| drop(outside.made_from.remove("1.1")));
    condemn(&lab, &host, "rows@december").await;
    let seen = line(&lab, &host, "1.1").await;
    assert_eq!(seen.by, RestoredBy::People);
    assert!(seen.why_not.as_deref().unwrap().contains("not known"), "{:?}", seen.why_not);
    host.pull(&service, Some("1.1")).await.expect("people may");
    host.waiting_plan(&service).await;
    let plan = host.view(&service).await.plan.expect("a plan");
    let arguments = plan.parts[0].rungs[0].steps.iter().flat_map(|step| &step.arguments);
    let said = arguments.clone().any(|label| label.name == "data" && label.value.contains("not known"));
    assert!(said, "whoever agrees knows: {:?}", arguments.collect::<Vec<_>>());
    host.ask(ada(), &service, Ask::Abort).await.expect("aborted");
    host.settled(&service).await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("an incident of its own", &service, |state| state.incidents == 2).await;
    host.attend(&lab, &service).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_planner_said_before_the_data_were_condemned_is_not_planned() {
    let spec = spec().terms(|terms| terms.deadlines.call = Millis::seconds(30));
    let (lab, host) = trained(spec).await;
    let service = lab.service();
    lab.world.change(|all| all.objects_hang = true);
    let before = lab.world.of(&service).fetched;
    host.alert(&lab, &service, "a").await.unwrap();
    let is_thought = || lab.world.of(&service).fetched > before;
    lab::eventually("asked while evidence is preserved, and its target fetched", is_thought).await;
    condemn(&lab, &host, "rows@october").await;
    for _ in 0..2_000 {
        if authorising(&host.state(&service)) {
            break;
        }
        lab.clock.advance(Millis::seconds(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let plan = host.view(&service).await.plan.expect("a plan");
    assert_eq!(plan.parts[0].rungs[0].target.version().unwrap().version.as_str(), "1.0");
    let folded = check::journal(&host, &service).await;
    let planned = folded.events.iter().filter_map(|(_, event)| match event {
        Event::Planned(planned) => Some(planned.left_out.is_some()),
        _ => None,
    });
    // It was asked again: of what it said before, `1.1` would have to be left out.
    assert_eq!(planned.collect::<Vec<_>>(), [false]);
    lab.world.change(|all| all.objects_hang = false);
    host.stop().await;
}

/// Lets hours pass until people are told of this. The first look shows what is live, the next ones what it was trained on.
async fn until_told(lab: &Lab, topic: &str) {
    for _ in 0..200 {
        lab.clock.advance(Millis::hours(3));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if lab.world.told_of(&lab.service(), topic) > 0 {
            return;
        }
    }
    panic!("nobody was told of `{topic}`: {:#?}", lab.world.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_tells_no_lineage_for_a_while_is_waited_for_and_no_person_is_asked() {
    // The one looks at the lineages itself, with the other one the plan does.
    for planner in ["last-known-good", "scripted"] {
        let mut spec = spec();
        for (role, policy, _) in &mut spec.policies {
            if *role == Role::Planner {
                *policy = planner;
            }
        }
        let (lab, host) = trained(spec).await;
        let service = lab.service();
        condemn(&lab, &host, "rows@october").await;
        lab.world.at(&service, |outside| outside.lineages_down = true);
        host.alert(&lab, &service, "a").await.unwrap();
        let plans_again =
            |state: &Service| matches!(phase(state), Some(Phase::Planning(waiting)) if waiting.failures > 1);
        host.until("planning again", &service, plans_again).await;
        lab.world.at(&service, |outside| outside.lineages_down = false);
        host.attend(&lab, &service).await;
        check::all(&lab, &host, &service, Outcome::RolledBack).await;
        assert_eq!(lab.world.of(&service).live, "1.0", "{planner}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_that_what_is_live_was_trained_on_it() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    condemn(&lab, &host, "rows@november").await;
    until_told(&lab, "condemned-data-live").await;
    lab.clock.advance(Millis::hours(3));
    host.until("told", &service, |state| !state.live_data_told.is_empty()).await;
    assert_eq!(lab.world.told_of(&service, "condemned-data-live"), 1);
    assert_eq!(host.state(&service).incidents, 0, "whether that does harm, triggers and people say");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_which_nobody_knew_is_told_of_again_when_its_registry_names_condemned_data() {
    let (lab, host) = trained(spec()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| drop(outside.made_from.insert("1.2".into(), String::new())));
    condemn(&lab, &host, "rows@november").await;
    until_told(&lab, "data-of-live-unknown").await;
    assert_eq!(lab.world.told_of(&service, "condemned-data-live"), 0);
    // The same is not said again with every look.
    for _ in 0..5 {
        lab.clock.advance(Millis::hours(25));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(lab.world.told_of(&service, "data-of-live-unknown"), 1);
    lab.world.at(&service, |outside| drop(outside.made_from.insert("1.2".into(), "november".into())));
    until_told(&lab, "condemned-data-live").await;
    let told = lab.world.texts_of("condemned-data-live");
    assert!(told[0].contains("was trained on `rows@november`"), "{told:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_without_bad_rows_condemns_the_data_when_what_it_made_is_verified() {
    let (lab, host) = trained(spec().producing(EffectClass::Observable)).await;
    let service = lab.service();
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("training", &service, run_goes_on).await;
    let plan = host.view(&service).await.plan.expect("a plan");
    assert_eq!(plan.condemns_data, [data("clicks@r7")], "it is said beforehand");
    assert!(host.state(&service).condemned_data.is_empty());
    lab.world.at(&service, |outside| outside.end_runs(&RunStage::Made("1.3".into())));
    host.waiting_plan(&service).await;
    let plan = host.view(&service).await.plan.expect("a plan");
    assert_eq!(plan.condemns_data, [data("clicks@r7")], "and again where it comes to that");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let state = host.state(&service);
    let by = &state.condemned_data[&data("clicks@r7")].by;
    assert_eq!(*by, CondemnedBy::Incident("fraud-api:2".parse().unwrap()));
    // Its own registry says nothing of its data: the journal knows.
    assert_eq!(line(&lab, &host, "1.3").await.standing, Standing::KnownGood);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_trained_on_all_of_what_is_condemned_nor_put_in_place_that_was() {
    let (lab, host) = trained(spec().producing(EffectClass::Observable)).await;
    let service = lab.service();
    // The pipeline registers what it made of the revision as it is.
    host.pull_retraining(&service, "clicks").await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("voted");
    host.until("training", &service, run_goes_on).await;
    condemn(&lab, &host, "rows@january").await;
    lab.world.at(&service, |outside| {
        outside.made_from.insert("1.3".into(), "january".into());
        outside.end_runs(&RunStage::Made("1.3".into()));
    });
    host.until("a question", &service, needs(ripcord_core::service::NeedKind::WhatNow)).await;
    let failed = host.view(&service).await.failed.expect("why");
    assert!(failed.contains("trained on `rows@january`"), "{failed}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_are_condemned_are_listed_with_what_is_to_be_done_before_they_are_trained_on() {
    let (lab, host) = trained(spec().producing(EffectClass::Observable)).await;
    let service = lab.service();
    condemn(&lab, &host, "rows@october").await;
    let (setup, state) = (host.engine.setup(&service).unwrap(), host.state(&service));
    let (store, fleet) = (host.store.as_ref(), host.engine.fleet());
    let listed = makeable_of(setup, &state, store, fleet, lab.clock.now()).await.expect("a producer");
    let why = |revision: &str| {
        let line = listed.data.iter().find(|line| line.revision == revision).expect("listed");
        assert_eq!(line.by, RestoredBy::People);
        line.why_not.clone()
    };
    let said = why("october").expect("nobody pulls it as it is");
    assert!(said.contains("`rows@october` is condemned") && said.contains("--exclude"), "{said}");
    assert_eq!(why("september"), None);
    host.stop().await;
}
