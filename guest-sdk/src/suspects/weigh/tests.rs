use super::super::{Coverage, Ranking, rank};
use super::*;
use proptest::prelude::*;

const HARM: Instant = 1_700_000_000_000;

fn change(facet: Facet, to: &str, before: Duration) -> Change {
    Change {
        facet,
        place: String::new(),
        services: vec!["api".into()],
        from: None,
        to: Some(to.into()),
        at: Moment::exact(HARM - before),
        by: None,
        noticed_by: NoticedBy::Watch,
        verified: Verified::Unknown,
    }
}

fn configuration(to: &str, before: Duration) -> Change {
    change(Facet::Configuration("limits".into()), to, before)
}

fn harm() -> Harm {
    Harm::of("api", HARM)
}

fn order(ranking: &Ranking) -> Vec<&str> {
    ranking.suspects.iter().map(|suspect| suspect.change.to.as_deref().unwrap_or_default()).collect()
}

fn score(ranking: &Ranking, to: &str) -> f64 {
    let found = ranking.suspects.iter().find(|suspect| suspect.change.to.as_deref() == Some(to));
    found.map_or(f64::NAN, |suspect| suspect.score)
}

fn reasons(ranking: &Ranking, to: &str) -> String {
    let found = ranking.suspects.iter().find(|suspect| suspect.change.to.as_deref() == Some(to));
    found.map(|suspect| suspect.reasons.join("; ")).unwrap_or_default()
}

#[test]
fn scores_add_up_with_what_is_not_explained_and_nothing_is_explained_by_nothing() {
    let ranking = rank(&[configuration("a", minutes(5)), change(Facet::Model, "b", hours(2))], &harm(), &[]);
    let sum: f64 = ranking.suspects.iter().map(|suspect| suspect.score).sum();
    assert!((sum + ranking.unexplained - 1.0).abs() < 1e-12);
    let nothing = rank(&[], &harm(), &[]);
    assert_eq!((nothing.best(), nothing.unexplained), (None, 1.0));
}

#[test]
fn the_nearer_is_the_likelier_but_data_show_later() {
    let ranking =
        rank(&[change(Facet::Model, "far", hours(9)), configuration("near", minutes(5))], &harm(), &[]);
    assert_eq!(order(&ranking), ["near", "far"]);
    let data = |before| change(Facet::Data("rows".into()), "data", before);
    let ranking = rank(&[change(Facet::Model, "model", hours(9)), data(hours(9))], &harm(), &[]);
    assert_eq!(order(&ranking), ["data", "model"]);
}

#[test]
fn what_came_after_is_no_cause_unless_a_clock_may_be_wrong() {
    let after = Change { at: Moment::exact(HARM + minutes(20)), ..configuration("after", Duration::ZERO) };
    let ranking = rank(&[after], &harm(), &[]);
    assert_eq!(ranking.suspects[0].score, 0.0);
    assert!(reasons(&ranking, "after").contains("20m after the harm began"));
    // The same by the clock of another system, found when the incident was opened.
    let at = Moment { stated: Some(HARM + minutes(20)), not_before: None, noticed_at: HARM + minutes(30) };
    let foreign = Change { at, noticed_by: NoticedBy::Registry, ..configuration("foreign", Duration::ZERO) };
    assert!(rank(&[foreign], &harm(), &[]).suspects[0].score > 0.0);
}

#[test]
fn where_a_clock_contradicts_what_the_host_saw_the_host_is_believed() {
    // It says that it was made two hours after the harm; the host saw it ten minutes before it.
    let seen = Moment {
        stated: Some(HARM + hours(2)),
        not_before: Some(HARM - minutes(11)),
        noticed_at: HARM - minutes(10),
    };
    let ranking = rank(&[Change { at: seen, ..configuration("seen", Duration::ZERO) }], &harm(), &[]);
    assert!(ranking.best().is_some());
    assert!(reasons(&ranking, "seen").contains("its clock is wrong"), "{}", reasons(&ranking, "seen"));
    assert!(
        reasons(&ranking, "seen").starts_with("10m before the harm began"),
        "{}",
        reasons(&ranking, "seen")
    );
}

#[test]
fn what_may_have_come_before_or_after_counts_by_the_part_that_came_before() {
    let about = |spread: Duration| Moment {
        stated: None,
        not_before: Some(HARM - spread),
        noticed_at: HARM + minutes(5),
    };
    let unsure = Change { at: about(minutes(5)), ..configuration("unsure", Duration::ZERO) };
    let ranking = rank(&[unsure, change(Facet::Model, "sure", minutes(1))], &harm(), &[]);
    assert_eq!(order(&ranking), ["sure", "unsure"]);
    assert!(reasons(&ranking, "unsure").contains("before or after"));
}

#[test]
fn what_changes_all_the_time_is_less_suspect() {
    let mut changes: Vec<Change> =
        (0..9).map(|n| configuration(&format!("c{n}"), minutes(10 + 60 * n))).collect();
    changes.push(change(Facet::Model, "model", minutes(20)));
    let ranking = rank(&changes, &harm(), &[]);
    assert_eq!(order(&ranking)[0], "model");
    assert!(reasons(&ranking, "c0").contains("changed 9 times"), "{}", reasons(&ranking, "c0"));
}

#[test]
fn what_touches_the_harmed_services_and_no_others_is_more_suspect() {
    let touching = |to: &str, services: &[&str]| Change {
        services: services.iter().map(|service| (*service).to_owned()).collect(),
        ..change(Facet::Configuration(to.into()), to, minutes(10))
    };
    let changes =
        [touching("own", &["api"]), touching("shared", &["api", "web"]), touching("other", &["web"])];
    let both = Harm { also_harmed: vec!["web".into()], ..harm() };
    assert_eq!(order(&rank(&changes, &both, &[])), ["shared", "own", "other"]);
    let one = Harm { well: vec!["web".into()], ..harm() };
    let ranking = rank(&changes, &one, &[]);
    assert_eq!(order(&ranking), ["own", "shared", "other"]);
    assert!(score(&ranking, "own") > 1.5 * score(&ranking, "shared"), "what is well speaks for it");
    assert!(reasons(&ranking, "other").contains("does not touch `api`"));
}

#[test]
fn place_verification_and_labels_count() {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let named = |name: &str| change(Facet::Configuration(name.into()), name, minutes(10));
    let changes = [named("plain"), Change { verified: Verified::At(HARM - minutes(5)), ..named("verified") }];
    assert_eq!(order(&rank(&changes, &harm(), &[])), ["plain", "verified"]);
    // A verification after the harm began says nothing.
    let late = [Change { verified: Verified::At(HARM + minutes(5)), ..named("verified") }];
    let alone = rank(&late, &harm(), &[]).unexplained;
    assert!((alone - rank(&[named("plain")], &harm(), &[]).unexplained).abs() < 1e-12);

    let changes = [
        Change { place: "east".into(), ..named("east") },
        Change { place: "west".into(), ..named("west") },
        named("all"),
    ];
    let west = Harm { place: "west".into(), ..harm() };
    assert_eq!(order(&rank(&changes, &west, &[])), ["west", "all", "east"]);

    let changes = [named("plain"), named("thresholds"), change(Facet::Data("rows".into()), "d", minutes(10))];
    let points = |labels: Vec<Label>| Harm { labels, ..harm() };
    let ranking = rank(&changes, &points(vec![label("flag", "thresholds/eu")]), &[]);
    assert_eq!(order(&ranking)[0], "thresholds");
    assert!(reasons(&ranking, "thresholds").contains("label `flag` names it"));
    let (before, after) = (
        rank(&changes, &harm(), &[]),
        rank(&changes, &points(vec![label("alertname", "FeatureDriftHigh")]), &[]),
    );
    assert!(score(&after, "d") > 1.5 * score(&before, "d"));
}

#[test]
fn where_history_is_missing_one_is_less_sure_and_says_so() {
    let changes = [change(Facet::Model, "model", hours(9))];
    let whole = Some(HARM - days(9));
    let known = rank(
        &changes,
        &harm(),
        &[Coverage::model(whole), Coverage::configuration(whole), Coverage::data(whole)],
    );
    let missing = rank(
        &changes,
        &harm(),
        &[Coverage::model(whole), Coverage::configuration(None), Coverage::data(Some(HARM - hours(1)))],
    );
    assert!(known.gaps.is_empty() && known.best().is_some());
    assert_eq!(missing.gaps.len(), 2);
    assert!(
        missing.gaps[0].contains("configuration could not be read")
            && missing.gaps[1].contains("data is known since")
    );
    assert!(missing.unexplained > known.unexplained && missing.best().is_none());
    let labels = vec![Label { name: "alertname".into(), value: "InputDriftHigh".into() }];
    let drift = rank(&changes, &Harm { labels, ..harm() }, &[]);
    assert!(drift.unexplained > known.unexplained, "the world may have moved");
    assert!(drift.gaps[3].contains("nobody noted a change of it"), "{:?}", drift.gaps);
}

fn any_instant() -> impl Strategy<Value = Instant> {
    prop_oneof![Just(0), Just(u64::MAX), HARM - 90_000_000..HARM + 90_000_000]
}

fn any_change() -> impl Strategy<Value = Change> {
    let facet = prop_oneof![
        Just(Facet::Model),
        Just(Facet::World),
        "[ab]".prop_map(Facet::Configuration),
        "[ab]".prop_map(Facet::Data)
    ];
    let moment = (prop::option::of(any_instant()), prop::option::of(any_instant()), any_instant());
    (facet, moment, "[xy]?", any_instant()).prop_map(
        |(facet, (stated, not_before, noticed_at), place, verified)| Change {
            at: Moment { stated, not_before, noticed_at },
            place,
            verified: Verified::At(verified),
            ..change(facet, "r", Duration::ZERO)
        },
    )
}

proptest! {
    #[test]
    fn whatever_the_clocks_say_the_scores_are_shares_of_one_in_falling_order(
        changes in prop::collection::vec(any_change(), 0..12), began in any_instant(), latest in any_instant(),
    ) {
        let harm = Harm { began_earliest: began, began_latest: latest, ..harm() };
        let ranking = rank(&changes, &harm, &[]);
        let scores: Vec<f64> = ranking.suspects.iter().map(|suspect| suspect.score).collect();
        prop_assert_eq!(scores.len(), changes.len());
        prop_assert!((scores.iter().sum::<f64>() + ranking.unexplained - 1.0).abs() < 1e-9);
        prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)) && scores.is_sorted_by(|one, other| one >= other));
        let backwards: Vec<Change> = changes.into_iter().rev().collect();
        let again = rank(&backwards, &harm, &[]);
        let same = again.suspects.iter().zip(&scores).all(|(suspect, score)| (suspect.score - score).abs() < 1e-12);
        prop_assert!(same, "the order in which they are told means nothing");
    }
}
