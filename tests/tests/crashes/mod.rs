//! The same incident, with a host that dies at every moment in turn: at every append and at every effect, before and after. And with every call
//! and every append that fails in turn, before it was made or after.
//! The moments are those that a clean run passes; none is written down here.

#![allow(clippy::unwrap_used, clippy::panic)]

mod story;

use std::collections::BTreeSet;

use ripcord_core::terms::EffectClass;
use ripcord_tests::Point;

use story::{AT_ONCE, Consent, Restores, Shifts, Story, Takes, Tried};

fn every_point(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let points = story.clean_points().await;
        let names: BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
        for needed in [
            "before accept",
            "after append signals-taken",
            "before append triggers-asked",
            "before put",
            "before append shift-began",
            "after append shift-began",
            "before shift",
            "at shift",
            "after shift",
            "before append shift-returned",
            "before live",
            "after trial",
            "before append verifications-asked",
            "before promoted",
            "after announce settled",
        ]
        .iter()
        .chain(story.restores.moments())
        {
            assert!(names.contains(*needed), "a clean run does not pass `{needed}`: {names:#?}");
        }
        let beside = [
            "before beside",
            "after beside",
            "after append preflight-began",
            "after clear",
            "after candidate trial",
        ];
        for needed in beside {
            assert_eq!(names.contains(needed), story.tried == Tried::Beside, "`{needed}` in {names:#?}");
        }
        let count = points.len();
        let died = story.die_at_each(points).await;
        println!("{story:?}: {count} points, died at {}, a person was asked after {:?}", died.at, died.asked);
        assert!(died.at * 10 >= count * 9, "only {} of {count} points were reached", died.at);
        if story.class == EffectClass::Blind {
            let asked: BTreeSet<&str> = died.asked.iter().map(|point| point.name.as_str()).collect();
            assert!(asked.contains("at shift") && asked.contains("after shift"), "{asked:?}");
        }
    });
}

/// Dying while it recovers: every moment around the shift with every other, and the first of each kind.
fn every_two_points(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let points = story.clean_points().await;
        let risky = |point: &&Point| point.name.contains("shift") && !point.name.contains("announce");
        let firsts: Vec<_> = points.iter().filter(risky).cloned().collect();
        assert!(firsts.len() >= 7, "{firsts:?}");
        let mut seconds = firsts.clone();
        // What a host does that finds a shift begun.
        for name in ["before probe", "after probe", "before append shift-probed", "after append shift-probed"]
        {
            seconds.push(Point { name: name.into(), nth: 0 });
        }
        let pairs = firsts.iter().flat_map(|first| seconds.iter().map(move |second| (first, second)));
        let pairs: Vec<_> = pairs.collect();
        for pairs in pairs.chunks(AT_ONCE) {
            let runs =
                pairs.iter().map(|(first, second)| story.die_twice((*first).clone(), (*second).clone()));
            futures_util::future::join_all(runs).await;
        }
    });
}

/// Every call and every append fails in turn: it is not made, or it is and its answer is lost.
fn every_failure(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fails = |point: &Point| {
            let lost = ["after shift", "after promote", "after announce", "after append"];
            let ours = point.name.starts_with("before") && point.name != "before accept";
            ours || lost.iter().any(|prefix| point.name.starts_with(prefix))
        };
        let points = story.clean_points().await;
        let points: Vec<_> = points.into_iter().filter(fails).collect();
        let mut reached = 0;
        for some in points.chunks(AT_ONCE) {
            let runs = some.iter().map(|point| story.fails_at(point.clone()));
            reached += futures_util::future::join_all(runs).await.into_iter().filter(|there| *there).count();
        }
        let count = points.len();
        println!("{story:?}: {reached} of {count} failed");
        assert!(reached * 10 >= count * 9, "only {reached} of {count} points were reached");
    });
}

/// A story in which policies agree, nothing is tried before the shift, and a death takes nothing along.
const fn plain(restores: Restores, class: EffectClass) -> Story {
    let (consent, shifts) = (Consent::Policies, Shifts::AtOnce);
    Story { restores, class, consent, shifts, tried: Tried::Not, takes: Takes::Nothing }
}

/// The same with a version that is shifted place by place.
const fn in_waves(class: EffectClass) -> Story {
    Story { shifts: Shifts::InWaves, ..plain(Restores::Version, class) }
}

#[test]
fn an_idempotent_deployer_in_waves() {
    every_point(in_waves(EffectClass::Idempotent));
}

#[test]
fn a_conditional_deployer_in_waves() {
    every_point(in_waves(EffectClass::Conditional));
}

#[test]
fn an_observable_deployer_in_waves() {
    every_point(in_waves(EffectClass::Observable));
}

#[test]
fn a_blind_deployer_in_waves() {
    every_point(in_waves(EffectClass::Blind));
}

#[test]
fn waves_and_two_deaths() {
    every_two_points(in_waves(EffectClass::Observable));
}

#[test]
fn waves_and_each_failure() {
    for class in [EffectClass::Idempotent, EffectClass::Blind] {
        every_failure(in_waves(class));
    }
}

#[test]
fn waves_with_two_keys_and_a_power_cut() {
    let story = in_waves(EffectClass::Observable);
    every_point(Story { consent: Consent::People, takes: Takes::Unflushed, ..story });
}

#[test]
fn an_idempotent_deployer_and_two_deaths() {
    every_two_points(plain(Restores::Version, EffectClass::Idempotent));
}

#[test]
fn an_observable_deployer_and_two_deaths() {
    every_two_points(plain(Restores::Version, EffectClass::Observable));
}

#[test]
fn a_blind_deployer_and_two_deaths() {
    every_two_points(plain(Restores::Version, EffectClass::Blind));
}

#[test]
fn an_idempotent_configuration_and_two_deaths() {
    every_two_points(plain(Restores::Configuration, EffectClass::Idempotent));
}

#[test]
fn a_conditional_safe_mode_and_two_deaths() {
    every_two_points(plain(Restores::Fallback, EffectClass::Conditional));
}

#[test]
fn an_observable_configuration_and_two_deaths() {
    every_two_points(plain(Restores::Configuration, EffectClass::Observable));
}

#[test]
fn a_blind_safe_mode_and_two_deaths() {
    every_two_points(plain(Restores::Fallback, EffectClass::Blind));
}

#[test]
fn an_idempotent_deployer() {
    every_point(plain(Restores::Version, EffectClass::Idempotent));
}

#[test]
fn a_conditional_deployer() {
    every_point(plain(Restores::Version, EffectClass::Conditional));
}

#[test]
fn an_observable_deployer() {
    every_point(plain(Restores::Version, EffectClass::Observable));
}

#[test]
fn a_blind_deployer() {
    every_point(plain(Restores::Version, EffectClass::Blind));
}

#[test]
fn an_idempotent_configuration() {
    every_point(plain(Restores::Configuration, EffectClass::Idempotent));
}

#[test]
fn a_conditional_configuration() {
    every_point(plain(Restores::Configuration, EffectClass::Conditional));
}

#[test]
fn an_observable_configuration() {
    every_point(plain(Restores::Configuration, EffectClass::Observable));
}

#[test]
fn a_blind_configuration() {
    every_point(plain(Restores::Configuration, EffectClass::Blind));
}

#[test]
fn an_idempotent_safe_mode() {
    every_point(plain(Restores::Fallback, EffectClass::Idempotent));
}

#[test]
fn a_conditional_safe_mode() {
    every_point(plain(Restores::Fallback, EffectClass::Conditional));
}

#[test]
fn an_observable_safe_mode() {
    every_point(plain(Restores::Fallback, EffectClass::Observable));
}

#[test]
fn a_blind_safe_mode() {
    every_point(plain(Restores::Fallback, EffectClass::Blind));
}

#[test]
fn a_version_and_each_failure() {
    for class in [EffectClass::Idempotent, EffectClass::Blind] {
        every_failure(plain(Restores::Version, class));
    }
}

#[test]
fn a_configuration_and_each_failure() {
    for class in [EffectClass::Conditional, EffectClass::Blind] {
        every_failure(plain(Restores::Configuration, class));
    }
}

#[test]
fn a_safe_mode_and_each_failure() {
    for class in [EffectClass::Idempotent, EffectClass::Observable] {
        every_failure(plain(Restores::Fallback, class));
    }
}

#[test]
fn with_two_keys() {
    every_point(Story { consent: Consent::People, ..plain(Restores::Version, EffectClass::Observable) });
}

#[test]
fn a_configuration_with_two_keys() {
    every_point(Story {
        consent: Consent::People,
        ..plain(Restores::Configuration, EffectClass::Observable)
    });
}

#[test]
fn a_target_that_is_tried_before_the_shift() {
    every_point(Story { tried: Tried::Beside, ..plain(Restores::Version, EffectClass::Observable) });
}

#[test]
fn a_power_cut_with_an_idempotent_deployer() {
    every_point(Story { takes: Takes::Unflushed, ..plain(Restores::Version, EffectClass::Idempotent) });
}

#[test]
fn a_power_cut_with_an_observable_deployer_and_two_keys() {
    let story = plain(Restores::Version, EffectClass::Observable);
    every_point(Story { consent: Consent::People, takes: Takes::Unflushed, ..story });
}

#[test]
fn a_power_cut_with_a_blind_deployer_and_a_target_that_is_tried_before() {
    let story = plain(Restores::Version, EffectClass::Blind);
    every_point(Story { tried: Tried::Beside, takes: Takes::Unflushed, ..story });
}

#[test]
fn a_power_cut_with_a_blind_configuration() {
    every_point(Story { takes: Takes::Unflushed, ..plain(Restores::Configuration, EffectClass::Blind) });
}

#[test]
fn two_power_cuts() {
    every_two_points(Story { takes: Takes::Unflushed, ..plain(Restores::Version, EffectClass::Observable) });
}
