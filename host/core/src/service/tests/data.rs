//! Condemned data: what was trained on it is not gone back to, and only what was trained on it.

use super::producing::{began, made, planned_for, pulled, returned, service};
use super::stage::{Stage, blob, person, policy, version};
use crate::data::{DataRevision, PURGED_FROM};
use crate::effect::Topic;
use crate::event::*;
use crate::fact::{Dataset, Lineage};
use crate::name::VersionName;
use crate::plan::Leaving;
use crate::policy::Role;
use crate::service::{CONDEMNED_DATA_MAX, CondemnedBy, Illegal, TrainedOn, began_with};
use crate::signal::Label;
use crate::target::{Exclusion, RetrainTarget, Target};

fn data(text: &str) -> DataRevision {
    text.parse().unwrap()
}

fn named(version: &str) -> VersionName {
    VersionName::new(version).unwrap()
}

fn condemned(text: &str) -> Event {
    Event::DataCondemned(DataCondemned { data: data(text), person: person("ada"), reason: blob() })
}

fn lifted(stage: &Stage, text: &str) -> Event {
    let since = stage.0.condemned_data[&data(text)].since;
    Event::DataLifted(DataLifted { data: data(text), since, person: person("ada"), reason: blob() })
}

fn set(name: &str, revision: Option<&str>, context: Option<&str>) -> Dataset {
    Dataset {
        name: name.to_owned(),
        revision: revision.map(str::to_owned),
        context: context.map(str::to_owned),
    }
}

fn of(sets: &[Dataset]) -> Lineage {
    Lineage::default().with_datasets(sets.to_vec())
}

fn without_bots(revision: &str) -> Target {
    let exclude = vec![Exclusion::Source("bots".into())];
    Target::Retrain(RetrainTarget { dataset: "clicks".into(), revision: revision.into(), exclude })
}

/// Ada had it trained again without some rows, as version `5`, and nobody has put it in place yet.
fn retrained(leaving: Leaving) -> Stage {
    let mut stage = service(|terms| terms.policies = vec![policy(Role::Verification)]);
    let pull = PullRequested {
        incident: None,
        person: person("ada"),
        roles: Vec::new(),
        target: Some(without_bots("3")),
        reason: blob(),
        urgency: crate::role::Urgency::Urgent,
        leaving,
        pending: PendingPlan::Replace,
        break_glass: false,
    };
    stage.tell(&Event::PullRequested(pull));
    ordered(&mut stage, "3");
    made(&mut stage, "5");
    stage
}

fn ordered(stage: &mut Stage, revision: &str) {
    stage.tell_with(|stage| stage.preserved("4"));
    let draft = draft(stage, vec![without_bots(revision)]);
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    began(stage);
    returned(stage, StartWord::Started);
}

/// As the shell drafts it: with what the core says that it condemns.
fn draft(stage: &Stage, targets: Vec<Target>) -> PlanDrafted {
    let condemns_data = stage.0.data_left_by(&targets);
    PlanDrafted { strategy: targets[0].strategy(), targets, condemns_data, ..stage.draft(&[]) }
}

fn put_in_place(stage: &mut Stage, target: &str, word: VerificationWord) {
    if stage.incident().phase == crate::service::Phase::Preserving {
        stage.tell_with(|stage| stage.preserved("4"));
    }
    let draft = draft(stage, vec![version(target)]);
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    stage.shift_done();
    stage.read_back(target, Vec::new());
    stage.judged(word);
}

#[test]
fn what_was_trained_on_a_condemned_revision_is_found_by_its_lineage_whenever_it_was_registered() {
    let mut stage = Stage::new(|_| ());
    let on = |stage: &Stage, lineage: &Lineage| stage.0.trained_on(&[named("1.4")], lineage);
    let trained = of(&[set("clicks", Some("3"), Some("training")), set("probe", Some("1"), Some("eval"))]);
    assert_eq!(on(&stage, &trained), TrainedOn::Uncondemned, "nothing is condemned");
    stage.tell(&condemned("clicks@3"));
    assert_eq!(on(&stage, &trained), TrainedOn::Condemned(data("clicks@3")));
    // A purged revision descends from it and has none of its bad rows; a later one is another one.
    for other in ["4", "3-purged"] {
        assert_eq!(on(&stage, &of(&[set("clicks", Some(other), None)])), TrainedOn::Uncondemned, "{other}");
    }
    assert_eq!(on(&stage, &of(&[set("views", Some("3"), None)])), TrainedOn::Uncondemned);
    // What it was only measured with is not in it; what it was trained on beside another set is.
    let measured = of(&[set("clicks", Some("4"), None), set("clicks", Some("3"), Some("Validation"))]);
    assert_eq!(on(&stage, &measured), TrainedOn::Uncondemned);
    let second = of(&[set("views", Some("9"), None), set("clicks", Some("3"), Some("replay"))]);
    assert_eq!(on(&stage, &second), TrainedOn::Condemned(data("clicks@3")));
    // A registry that lists no sets names the one.
    let single =
        Lineage { dataset: Some("clicks".into()), dataset_revision: Some("3".into()), ..Lineage::default() };
    assert_eq!(on(&stage, &single), TrainedOn::Condemned(data("clicks@3")));
}

#[test]
fn a_lineage_that_does_not_say_is_not_known_and_not_fine() {
    let mut stage = Stage::new(|_| ());
    let on = |stage: &Stage, lineage: &Lineage| stage.0.trained_on(&[named("1.4")], lineage);
    assert_eq!(on(&stage, &Lineage::default()), TrainedOn::Uncondemned, "nothing is condemned");
    stage.tell(&condemned("clicks@3"));
    assert_eq!(on(&stage, &Lineage::default()), TrainedOn::NotKnown);
    assert_eq!(on(&stage, &of(&[set("clicks", None, None)])), TrainedOn::NotKnown);
    assert_eq!(on(&stage, &of(&[set("views", None, None)])), TrainedOn::Uncondemned);
    assert_eq!(
        on(&stage, &of(&[set("clicks", Some("4"), Some("eval"))])),
        TrainedOn::NotKnown,
        "it says what it was measured with and not what it was trained on"
    );
    // Rows of just that revision were left out: which revision that made, only the pipeline can name.
    let purged = |from: &str| {
        let parameters = vec![Label::new(PURGED_FROM, from)];
        Lineage { parameters, ..of(&[set("clicks", None, None)]) }
    };
    assert_eq!(on(&stage, &purged("3")), TrainedOn::Uncondemned);
    assert_eq!(on(&stage, &purged("2")), TrainedOn::NotKnown);
}

#[test]
fn lifting_gives_back_and_only_what_is_condemned_can_be_lifted() {
    let mut stage = Stage::new(|_| ());
    stage.tell(&condemned("clicks@3"));
    assert!(matches!(stage.try_it(&condemned("clicks@3")), Err(Illegal::Unchanged(_))));
    assert_eq!(stage.0.condemned_data[&data("clicks@3")].by, CondemnedBy::Person(person("ada")));
    let lift = lifted(&stage, "clicks@3");
    stage.tell(&lift);
    let trained = of(&[set("clicks", Some("3"), None)]);
    assert_eq!(stage.0.trained_on(&[named("1.4")], &trained), TrainedOn::Uncondemned);
    assert!(matches!(stage.try_it(&lift), Err(Illegal::DataNotCondemned(..))));
    // Who lifts means the condemnation that they have read.
    stage.tell(&condemned("clicks@3"));
    assert!(matches!(stage.try_it(&lift), Err(Illegal::OtherCondemnation(_))));
}

#[test]
fn no_more_are_condemned_than_are_kept_and_nobody_forgets_one() {
    let mut stage = Stage::new(|_| ());
    for number in 0..CONDEMNED_DATA_MAX {
        stage.tell(&condemned(&format!("clicks@{number}")));
    }
    let refused = stage.try_it(&condemned("clicks@one-more")).unwrap_err().to_string();
    assert!(refused.contains("hold list"), "{refused}");
    assert_eq!(stage.0.condemned_data.len(), CONDEMNED_DATA_MAX);
    let lift = lifted(&stage, "clicks@7");
    stage.tell(&lift);
    stage.tell(&condemned("clicks@one-more"));
}

#[test]
fn a_training_without_some_rows_condemns_the_revision_once_its_version_is_verified() {
    let mut stage = retrained(Leaving::Condemn);
    assert!(stage.0.condemned_data.is_empty(), "nobody has found the version well yet");
    put_in_place(&mut stage, "5", VerificationWord::Healthy);
    let known = &stage.0.condemned_data[&data("clicks@3")];
    assert!(matches!(&known.by, CondemnedBy::Incident(id) if id.as_str() == "fraud-api:2"), "{known:?}");
    assert!(stage.told().last().unwrap().contains("`clicks@3` is condemned"), "{:?}", stage.told());
    // A pipeline may log the revision that it was given; the version was made without its bad rows all the same.
    let logged = of(&[set("clicks", Some("3"), None)]);
    assert_eq!(stage.0.trained_on(&[named("5")], &logged), TrainedOn::Uncondemned);
    assert_eq!(stage.0.trained_on(&[named("4")], &logged), TrainedOn::Condemned(data("clicks@3")));
}

#[test]
fn the_revision_is_condemned_by_the_plan_that_said_so_and_for_its_own_version_alone() {
    // One that keeps what is left says nothing against its data.
    let mut stage = retrained(Leaving::Keep);
    put_in_place(&mut stage, "5", VerificationWord::Healthy);
    assert!(stage.0.condemned_data.is_empty());
    // Somebody goes elsewhere instead.
    let mut stage = retrained(Leaving::Condemn);
    stage.pull("dan", "1");
    put_in_place(&mut stage, "1", VerificationWord::Healthy);
    assert!(stage.0.condemned_data.is_empty(), "nothing shows that the mended data are better");
    // A plan that does not say it, or says more, is none.
    let mut stage = retrained(Leaving::Condemn);
    stage.tell_with(|stage| stage.preserved("4"));
    for condemns_data in [Vec::new(), vec![data("clicks@9")], vec![data("clicks@3"), data("clicks@9")]] {
        let draft = PlanDrafted { condemns_data, ..draft(&stage, vec![version("5")]) };
        let planned = stage.planned(PlanWord::Drafted(draft));
        assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale));
    }
    // Training again on all rows leaves nothing.
    let mut stage = service(|_| ());
    let all = Target::Retrain(RetrainTarget {
        dataset: "clicks".into(),
        revision: "3".into(),
        exclude: Vec::new(),
    });
    pulled(&mut stage, "ada", all.clone());
    planned_for(&mut stage, vec![all]);
    assert!(stage.incident().plan().unwrap().condemns_data.is_empty());
}

#[test]
fn a_version_that_is_not_found_well_condemns_no_data() {
    let mut stage = retrained(Leaving::Condemn);
    put_in_place(&mut stage, "5", VerificationWord::Unhealthy);
    assert!(stage.0.condemned_data.is_empty());
}

#[test]
fn where_there_is_no_room_people_are_told_that_the_data_are_not_condemned() {
    let mut stage = retrained(Leaving::Condemn);
    for number in 10..10 + CONDEMNED_DATA_MAX {
        stage.tell(&condemned(&format!("clicks@{number}")));
    }
    put_in_place(&mut stage, "5", VerificationWord::Healthy);
    assert!(!stage.0.condemned_data.contains_key(&data("clicks@3")));
    assert!(stage.0.outbox.iter().any(|out| out.topic == Topic::DataNotCondemned), "{:?}", stage.told());
}

#[test]
fn what_is_made_without_the_rows_after_the_data_were_condemned_is_known_to_be_clean() {
    let mut stage = service(|_| ());
    stage.tell(&condemned("clicks@3"));
    pulled(&mut stage, "ada", without_bots("3"));
    ordered(&mut stage, "3");
    made(&mut stage, "5");
    let logged = of(&[set("clicks", Some("3"), None)]);
    assert_eq!(stage.0.trained_on(&[named("5")], &logged), TrainedOn::Uncondemned);
}

#[test]
fn what_a_version_was_made_without_does_not_count_behind_it_either() {
    let mut stage = service(|_| ());
    stage.tell(&condemned("clicks@3"));
    stage.tell(&condemned("views@1"));
    pulled(&mut stage, "ada", without_bots("3"));
    ordered(&mut stage, "3");
    made(&mut stage, "5");
    let clicks = of(&[set("clicks", Some("3"), None)]);
    let behind = |chain: &[&str], lineage: &Lineage| {
        let chain: Vec<_> = chain.iter().map(|version| named(version)).collect();
        stage.0.trained_on(&chain, lineage)
    };
    assert_eq!(behind(&["6", "4"], &clicks), TrainedOn::Condemned(data("clicks@3")));
    // `5` was made without the bad rows: its pipeline may call what it replaced its parent.
    assert_eq!(behind(&["5", "4"], &clicks), TrainedOn::Uncondemned);
    assert_eq!(behind(&["6", "5", "4"], &clicks), TrainedOn::Uncondemned);
    // Of other data nobody left anything out.
    let views = of(&[set("views", Some("1"), None)]);
    assert_eq!(behind(&["5", "4"], &views), TrainedOn::Condemned(data("views@1")));
}

#[test]
fn a_chain_is_told_version_by_version() {
    let through = |names: &[&str]| began_with(&names.iter().map(|name| named(name)).collect::<Vec<_>>());
    assert_eq!(through(&["1.3"]), "began with the weights of `1.3`");
    assert_eq!(through(&["1.3", "1.2"]), "began with the weights of `1.3`, that one with those of `1.2`");
}

#[test]
fn the_same_content_is_condemned_under_all_its_names_and_made_without_its_rows_under_all() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let copy = format!("copy@{digest}");
    let mut stage = service(|_| ());
    stage.tell(&condemned(&copy));
    assert_eq!(stage.0.condemned("clicks", &digest), Some(&data(&copy)));
    assert_eq!(stage.0.condemned("clicks", "3"), None);
    pulled(&mut stage, "ada", without_bots(&digest));
    assert_eq!(stage.0.data_left_by(&[without_bots("3")]), [data("clicks@3")]);
    assert!(stage.0.data_left_by(&[without_bots(&digest)]).is_empty(), "it is condemned already");
    ordered(&mut stage, &digest);
    made(&mut stage, "5");
    let logged = of(&[set("clicks", Some(&digest), None)]);
    assert_eq!(stage.0.trained_on(&[named("4")], &logged), TrainedOn::Condemned(data(&copy)));
    assert_eq!(stage.0.trained_on(&[named("5")], &logged), TrainedOn::Uncondemned);
    // Whoever condemns it anew does not forget what was made without its rows.
    let lift = lifted(&stage, &copy);
    stage.tell(&lift);
    stage.tell(&condemned(&copy));
    assert_eq!(stage.0.trained_on(&[named("5")], &logged), TrainedOn::Uncondemned);
}

#[test]
fn a_plan_that_was_made_before_is_made_again_and_one_under_way_is_not_taken() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.tell(&condemned("clicks@3"));
    stage.staged();
    stage.guard();
    assert_eq!(stage.phase(), "planning", "`1` may be trained on it");
    // The shell drafted another before it heard of the second one.
    let before = stage.draft(&["1"]);
    stage.tell(&condemned("clicks@4"));
    let planned = stage.planned(PlanWord::Drafted(before));
    assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale));
    // What is lifted makes no plan worse.
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    let lift = lifted(&stage, "clicks@4");
    stage.tell(&lift);
    stage.staged();
    stage.guard();
    assert_eq!(stage.phase(), "shifting");
}

#[test]
fn people_are_told_whose_weights_what_is_live_began_with() {
    let mut stage = Stage::new(|_| ());
    stage.tell(&Event::ProductionWatched(ProductionWatched {
        after: None,
        live: super::stage::serving("4"),
        facets: Vec::new(),
        in_production: InProduction::Unsupported,
        unread: Vec::new(),
        not_before: None,
    }));
    stage.tell(&condemned("clicks@3"));
    let seen = LiveData {
        version: named("4"),
        trained_on: Some(data("clicks@3")),
        through: vec![named("2"), named("1")],
    };
    stage.tell(&Event::LiveDataSeen(LiveDataSeen { after: None, seen: vec![seen] }));
    let told = stage.told().last().unwrap().to_string();
    let chain = "`4`, which is live on `fraud-api`, began with the weights of `2`, that one with those of `1`, which was trained on `clicks@3`, which is condemned";
    assert!(told.contains(chain), "{told}");
}

#[test]
fn people_are_told_once_of_what_is_live_and_descends_and_anew_when_it_comes_back() {
    let mut stage = Stage::new(|_| ());
    let look = |stage: &mut Stage, live: &str| {
        stage.tell(&Event::ProductionWatched(ProductionWatched {
            after: None,
            live: super::stage::serving(live),
            facets: Vec::new(),
            in_production: InProduction::Unsupported,
            unread: Vec::new(),
            not_before: None,
        }));
    };
    let seen = |version: &str, trained_on: Option<&str>| {
        let seen =
            vec![LiveData { version: named(version), trained_on: trained_on.map(data), through: Vec::new() }];
        Event::LiveDataSeen(LiveDataSeen { after: None, seen })
    };
    let count = |stage: &Stage, topic| stage.0.outbox.iter().filter(|out| out.topic == topic).count();
    look(&mut stage, "4");
    assert_eq!(stage.try_it(&seen("4", Some("clicks@3"))), Err(Illegal::Stale), "it is not condemned");
    stage.tell(&condemned("clicks@3"));
    assert_eq!(stage.try_it(&seen("5", Some("clicks@3"))), Err(Illegal::Stale), "it is not live");
    stage.tell(&seen("4", Some("clicks@3")));
    assert_eq!(stage.try_it(&seen("4", Some("clicks@3"))), Err(Illegal::Stale), "it was told");
    let told = stage.told().last().unwrap().to_string();
    for word in ["`4`", "`clicks@3`", "ripcord pull fraud-api", "hold lift fraud-api --data clicks@3"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    look(&mut stage, "5");
    stage.tell(&seen("5", None));
    look(&mut stage, "4");
    stage.tell(&seen("4", Some("clicks@3")));
    assert_eq!((count(&stage, Topic::CondemnedDataLive), count(&stage, Topic::DataOfLiveUnknown)), (2, 1));
    let lift = lifted(&stage, "clicks@3");
    stage.tell(&lift);
    assert!(stage.0.live_data_told.is_empty(), "nothing is kept of what is so no more");
}
