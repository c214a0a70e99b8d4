//! Services that move together: enlisted, planned as one, agreed to once, moved one after the other, and taken back where one fails.

#![allow(clippy::unwrap_used, clippy::panic)]

mod deaths;

use ripcord_core::event::{Event, PartEnd};
use ripcord_core::fact::Outcome;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::{IfPartFails, Plan, Quorum, StepKind};
use ripcord_core::set::{Set, SetEvent, SetIllegal, SetOutcome, SetPhase};
use ripcord_engine::{Ask, CommandError, SetAsk, run_page};
use ripcord_ports::Store;
use ripcord_tests::people::{ada, bob, cleo, version};
use ripcord_tests::sets::{is_authorising, outcome_of_set};
use ripcord_tests::{Fault, Lab, Running, Spec, check};

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn two_keys() -> Vec<Quorum> {
    vec![Quorum { role: ripcord_core::name::RoleName::approver(), people: 2 }]
}

/// Two services that serve `1.2` and are to move together; people vouched for `1.1` of both.
async fn lab(if_part_fails: IfPartFails) -> (Lab, Running) {
    let lab = Lab::new(vec![Spec::new("features"), Spec::new("fraud-api")]);
    let lab = lab.with_set(if_part_fails, two_keys());
    let host = lab.start().await;
    for member in ["features", "fraud-api"] {
        host.adopt(&name(member), &["1.1"]).await;
    }
    (lab, host)
}

fn live(lab: &Lab) -> [String; 2] {
    ["features", "fraud-api"].map(|member| lab.world.of(&name(member)).live)
}

async fn first(host: &Running, service: &str, of: impl Fn(&Event) -> bool) -> ripcord_core::time::UnixMillis {
    let folded = check::journal(host, &name(service)).await;
    folded.events.iter().find(|(_, event)| of(event)).expect("it happened").0
}

#[tokio::test(flavor = "multi_thread")]
async fn both_move_in_their_order_by_one_consent() {
    let (lab, host) = lab(IfPartFails::Back).await;
    let obeyed = host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    assert_eq!(obeyed.text, "`set:pair:1` is enlisting its members");
    let said = host.vote_on_set(bob(), true).await.unwrap();
    assert!(
        said.text.ends_with("all in all 2 with role approver must agree, and not all have"),
        "{}",
        said.text
    );
    assert_eq!(live(&lab), ["1.2", "1.2"], "nothing is shifted before all have agreed");
    host.vote_on_set(cleo(), true).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::Moved));
    assert_eq!(live(&lab), ["1.1", "1.1"]);
    host.check_set(&lab).await;
    let ended = first(&host, "features", |event| matches!(event, Event::ReadBack(_))).await;
    let began = first(&host, "fraud-api", |event| matches!(event, Event::ShiftBegan(_))).await;
    assert!(ended <= began, "one after the other");
    for member in ["features", "fraud-api"] {
        let state = host.state(&name(member));
        assert_eq!(check::outcome(&state), Some(Outcome::RolledBack));
        assert!(state.is_held(&version("1.2")), "what was left is condemned once all are in place");
        assert!(lab.world.of(&name(member)).promotions == ["1.1"], "the production name follows");
    }
    assert_eq!(set.consistent.len(), 1);
    // What people agreed to is one plan in two parts, each with its way back, and each member has it in its own journal.
    let page = run_page(host.store.as_ref(), &set.last.as_ref().unwrap().id).await.unwrap();
    assert_eq!(page.run, *set.last.as_ref().unwrap());
    assert_eq!(page.entries[0].words.as_deref(), Some("a test"));
    let drafted = page.run.plan.as_ref().unwrap();
    let content = host.store.blob(&drafted.content).await.unwrap().unwrap();
    let plan: Plan = serde_json::from_slice(&content).unwrap();
    assert_eq!(plan.digest().unwrap(), drafted.digest);
    assert_eq!(
        plan.parts.iter().map(|part| part.service.as_str()).collect::<Vec<_>>(),
        ["features", "fraud-api"]
    );
    for part in &plan.parts {
        let targets: Vec<_> = part.rungs.iter().map(|rung| rung.target.to_string()).collect();
        let to = |text: &String, version: &str| text.starts_with(&format!("version {version} (sha256 "));
        assert!(targets.len() == 2 && to(&targets[0], "1.1") && to(&targets[1], "1.2"), "{targets:?}");
        let steps: Vec<_> = part.rungs[1].steps.iter().map(|step| step.kind).collect();
        use StepKind::{Guard, MoveName, ReadBack, Shift, Stage};
        assert_eq!(
            steps,
            [Stage, Guard, Shift, ReadBack, MoveName],
            "the way back is neither tried nor verified"
        );
        let folded = check::journal(&host, &part.service).await;
        let given = folded.events.iter().find_map(|(_, event)| match event {
            Event::PartGiven(given) => Some(given.clone()),
            _ => None,
        });
        let given = given.unwrap();
        assert_eq!(given.plan, drafted.digest);
        let own = folded.service.last_settled.as_ref().unwrap().plan().unwrap().content;
        assert_ne!(own.commitment, drafted.content.commitment, "each journal keeps its own content");
        assert_eq!(host.store.blob(&own).await.unwrap(), Some(content.clone()));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_second_part_fails_the_first_goes_back() {
    let (lab, host) = lab(IfPartFails::Back).await;
    lab.world.at(&name("fraud-api"), |outside| outside.faults.push_back(Fault::Refused));
    host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::WentBack));
    assert_eq!(live(&lab), ["1.2", "1.2"]);
    host.check_set(&lab).await;
    let run = set.last.as_ref().unwrap();
    assert_eq!(run.members[0].back.end(), Some(PartEnd::Moved));
    assert_eq!(run.members[1].there.end(), Some(PartEnd::Failed { shifted: false }));
    for member in ["features", "fraud-api"] {
        assert!(!host.state(&name(member)).is_held(&version("1.2")), "nothing is condemned");
    }
    assert_eq!(
        lab.world.of(&name("features")).in_production.as_deref(),
        Some("1.2"),
        "the name went back, too"
    );
    assert!(set.consistent.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_goes_forward_people_name_another_target() {
    let (lab, host) = lab(IfPartFails::Forward).await;
    host.adopt(&name("fraud-api"), &["1.0"]).await;
    lab.world.at(&name("fraud-api"), |outside| outside.faults.push_back(Fault::Refused));
    host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    host.vote_on_set(bob(), true).await.unwrap();
    host.vote_on_set(cleo(), true).await.unwrap();
    let asked =
        |set: &Set| matches!(set.run.as_ref().map(|run| &run.phase), Some(SetPhase::NeedsPerson { .. }));
    host.until_set("in need of a person", asked).await;
    assert_eq!(live(&lab), ["1.1", "1.2"], "what has moved stays");
    host.move_set(&[("fraud-api", "1.0")]).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::Moved));
    assert_eq!(live(&lab), ["1.1", "1.0"]);
    host.check_set(&lab).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hinders_a_member_is_told_at_once() {
    let (lab, host) = lab(IfPartFails::Back).await;
    host.ask(ada(), &name("fraud-api"), Ask::Pause).await.unwrap();
    host.move_set(&[("features", "1.1")]).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::NotEnlisted));
    let told = lab.world.told();
    let told: Vec<_> = told.iter().filter(|told| told.service == "set:pair").map(|told| &told.text).collect();
    assert!(
        told.iter().any(|text| text.contains("`fraud-api` could not be enlisted: `ada` paused it")),
        "{told:?}"
    );
    host.ask(ada(), &name("fraud-api"), Ask::Resume).await.unwrap();
    // Also where it comes between, before people have agreed.
    host.move_set(&[("features", "1.1")]).await.unwrap();
    host.until_set("waiting for approval", is_authorising).await;
    host.ask(ada(), &name("features"), Ask::Pause).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::NotEnlisted));
    host.ask(ada(), &name("features"), Ask::Resume).await.unwrap();
    // And one that an incident has taken, which goes no further while it is paused.
    host.ask(ada(), &name("features"), Ask::Pause).await.unwrap();
    host.pull(&name("features"), Some("1.1")).await.unwrap();
    host.move_set(&[("fraud-api", "1.1")]).await.unwrap();
    let set = host.until_set("over", |set| set.run.is_none() && set.runs == 3).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::NotEnlisted));
    assert!(lab.world.told().iter().any(|told| told.text.contains("incident `features:3` is open")));
    assert_eq!(live(&lab), ["1.2", "1.2"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_it_before_the_first_part_and_another_refuses() {
    let (lab, host) = lab(IfPartFails::Back).await;
    host.move_set(&[("features", "1.1")]).await.unwrap();
    host.until_set("waiting for approval", is_authorising).await;
    host.ask_set(ada(), SetAsk::Abort).await.unwrap();
    assert_eq!(outcome_of_set(&*host.attend_set(&lab).await), Some(SetOutcome::Aborted));
    host.move_set(&[("features", "1.1")]).await.unwrap();
    host.vote_on_set(bob(), false).await.unwrap();
    assert_eq!(outcome_of_set(&*host.attend_set(&lab).await), Some(SetOutcome::Refused));
    assert_eq!(live(&lab), ["1.2", "1.2"]);
    host.check_set(&lab).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_after_a_restart() {
    let (lab, host) = lab(IfPartFails::Back).await;
    host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    host.vote_on_set(bob(), true).await.unwrap();
    host.stop().await;
    let host = lab.start().await;
    host.vote_on_set(cleo(), true).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::Moved));
    host.check_set(&lab).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_targets_it_goes_to_the_last_consistent_set_that_is_not_live() {
    let (lab, host) = lab(IfPartFails::Back).await;
    let nothing = host.move_set(&[]).await.unwrap_err();
    assert!(matches!(nothing, CommandError::Set(SetIllegal::NothingConsistent(_))), "{nothing}");
    host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    host.attend_set(&lab).await;
    // Live already: there is nothing to agree to.
    let there = host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.unwrap();
    assert_eq!((there.run, host.set().runs), (None, 1), "{}", there.text);
    // Somebody deploys by hand, and then the set is to be as it was.
    lab.world.at(&name("fraud-api"), |outside| outside.live = "1.0".into());
    host.move_set(&[]).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::Moved));
    assert_eq!(live(&lab), ["1.1", "1.1"]);
    let moved: Vec<_> =
        set.last.as_ref().unwrap().members.iter().map(|member| member.target.is_some()).collect();
    assert_eq!(moved, [false, true], "what is as it was stays");
    host.check_set(&lab).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_planned_says_why() {
    let (lab, host) = lab(IfPartFails::Back).await;
    // Two versions are live: there is no one revision to go back to.
    lab.world.at(&name("features"), |outside| outside.canary = Some(("1.0".into(), 0.5)));
    host.move_set(&[("features", "1.1")]).await.unwrap();
    let set = host.attend_set(&lab).await;
    assert_eq!(outcome_of_set(&set), Some(SetOutcome::NotPlanned));
    let run = set.last.as_ref().unwrap();
    let why = host.store.blob(&run.unplanned.unwrap()).await.unwrap().unwrap();
    let why = String::from_utf8(why).unwrap();
    assert!(
        why.starts_with("`features`: what is live of it is not one known revision of its model"),
        "{why}"
    );
    let page = run_page(host.store.as_ref(), &run.id).await.unwrap();
    assert!(page.entries.iter().any(|entry| matches!(entry.event, SetEvent::NotDrafted(_)) && entry.words.as_ref() == Some(&why)));
    for (to, says) in [(("nobody", "1.1"), "`nobody` is no member of `pair`"), (("features", "9.9"), "9.9")] {
        let refused = host.move_set(&[to]).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    host.stop().await;
}
