//! Ten thousand incidents, and what makes them worth something: the same seed plays the same, and the store keeps the store's rules.

use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_simulation::check::Checker;
use ripcord_simulation::dice::Dice;
use ripcord_simulation::life::Life;
use ripcord_simulation::play::{Options, play};
use ripcord_simulation::run::{Enough, again, run};
use ripcord_simulation::store::{Disk, HostStore};
use ripcord_simulation::trace::{Trace, Tracing};
use ripcord_simulation::weather::Weather;
use ripcord_simulation::world::World;

#[test]
fn every_rule_holds_in_ten_thousand_incidents() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let report = run(0, Enough::Incidents(10_000), jobs, &Options::default(), &|outcome| {
        if !outcome.broken.is_empty() {
            eprintln!("{}", again(outcome));
        }
    });
    println!("{} seeds: {:?}", report.seeds, report.counts);
    let failed: Vec<_> = report.failed.iter().map(again).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Incidents must end in every way, or the seeds prove nothing.
    for outcome in [
        "rolled back",
        "fell back",
        "restored elsewhere",
        "stood down",
        "dismissed",
        "refused",
        "expired",
        "aborted",
        "observed",
        "settled by a person",
        "producing",
    ] {
        assert!(
            report.counts.ended.contains_key(outcome),
            "no incident ended in `{outcome}`: {:?}",
            report.counts
        );
    }
    let counts = &report.counts;
    // A safe mode is entered where nothing else is good, which is rare.
    for (strategy, least) in [("version", 100), ("configuration", 100), ("fallback", 5)] {
        for class in ["idempotent", "conditional", "observable", "blind"] {
            let shifts = counts.shifts.get(&format!("{strategy} {class}")).copied().unwrap_or_default();
            assert!(shifts > least, "{shifts} shifts of a {class} {strategy}: {:?}", counts.shifts);
        }
    }
    // Who is asked refuses seldom.
    for (how, least) in
        [("moved", 5), ("went back", 5), ("nothing moved", 5), ("ended by a person", 5), ("refused", 0)]
    {
        let ended = counts.sets.get(how).copied().unwrap_or_default();
        assert!(ended > least, "{ended} runs of sets {how}: {:?}", counts.sets);
    }
    let waves = counts.shifts.get("version in a later wave").copied().unwrap_or_default();
    assert!(waves > 20, "{waves} later waves: {:?}", counts.shifts);
    for made_of in ["retrain", "checkpoint"] {
        let begun = counts.runs.get(&format!("begun for {made_of}")).copied().unwrap_or_default();
        assert!(begun > 20, "{begun} runs for a {made_of}: {:?}", counts.runs);
    }
    for class in ["idempotent", "conditional", "observable", "blind"] {
        let begun = counts.runs.get(&format!("begun {class}")).copied().unwrap_or_default();
        assert!(begun > 20, "{begun} runs of a producer that is {class}: {:?}", counts.runs);
    }
    for what in ["made", "failed", "lost", "stopped", "not begun", "beside", "put in place"] {
        assert!(counts.runs.contains_key(what), "no run was `{what}`: {:?}", counts.runs);
    }
    assert!(counts.deaths > 1_000 && counts.replayed > 1_000, "{counts:?}");
    assert!(counts.snapshots > 1_000, "{counts:?}");
    assert!(counts.held_back > 1_000 && counts.unlatched > 100, "{counts:?}");
}

#[test]
fn the_same_seed_plays_the_same() {
    let options = Options { incidents: 5, tracing: Tracing::Digest, ..Options::default() };
    for seed in 0..10 {
        let (one, two) = (play(seed, &options), play(seed, &options));
        assert!(one.digest.is_some());
        assert_eq!((one.digest, one.counts, one.took), (two.digest, two.counts, two.took), "seed {seed}");
    }
}

/// The disk in fair weather.
fn fresh() -> (Arc<dyn ripcord_ports::Store>, ()) {
    let (dice, weather) = (Dice::new(1), Arc::new(Weather::default()));
    let world = Arc::new(World::default());
    let store = HostStore {
        disk: Arc::new(Disk::new(Digest::of("installation"), None)),
        life: Life::new(dice.clone(), weather.clone()),
        weather,
        dice,
        checker: Arc::new(Checker::new(world, Default::default(), Trace::default())),
    };
    (Arc::new(store), ())
}

mod store {
    ripcord_store::store_conformance!(super::fresh());
}
