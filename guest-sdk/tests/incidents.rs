//! Injected cause, found cause: made-up histories with a cause that is known, and how often the first suspect is it.

mod generator;

use std::collections::{BTreeMap, BTreeSet};

use ripcord_sdk::suspects::{Change, Choice, Facet, Lever, Restorable, choose, rank};

use generator::{Cause, Chance, DATA, Incident, incident};

impl Incident {
    fn is_guilty(&self, change: Option<&Change>) -> bool {
        match change.and_then(|change| change.to.as_ref()) {
            Some(revision) => self.guilty.contains(revision),
            // Where no history shows the cause, to name none is right.
            None => self.guilty.is_empty(),
        }
    }

    fn by_rank(&self) -> bool {
        let ranking = rank(&self.changes, &self.harm, &self.known);
        self.is_guilty(ranking.best().map(|suspect| &suspect.change))
    }

    fn by_rank_if_it_must_name_one(&self) -> bool {
        let ranking = rank(&self.changes, &self.harm, &self.known);
        self.is_guilty(ranking.suspects.first().map(|suspect| &suspect.change))
    }

    /// A version or a configuration did it, or data that an older version was not made from: one lever takes it back.
    fn can_be_undone(&self) -> bool {
        matches!(self.cause, Cause::Version | Cause::Configuration | Cause::Data)
    }

    /// Whether one of the plan's rungs takes the cause back, or the newest known-good version that is tried last.
    fn is_restored(&self) -> bool {
        let configurations: BTreeSet<&String> = self
            .changes
            .iter()
            .filter_map(|change| match &change.facet {
                Facet::Configuration(name) => Some(name),
                _ => None,
            })
            .collect();
        let before = || "before".to_owned();
        let model = Lever::Model {
            version: before(),
            made_from: DATA.iter().map(|data| ((*data).to_owned(), before())).collect(),
        };
        let levers = configurations
            .into_iter()
            .map(|name| Lever::Configuration { name: name.clone(), revision: before() });
        let levers: Vec<Restorable> = levers.chain([model]).map(Restorable::usable).collect();
        let by_a_version = matches!(self.cause, Cause::Version | Cause::Data);
        match choose(&rank(&self.changes, &self.harm, &self.known), &levers) {
            Choice::WillNotHelp { .. } => false,
            Choice::LastKnownGood { .. } => by_a_version,
            Choice::Restore { rungs, .. } => {
                by_a_version
                    || rungs.iter().any(|rung| match &rung.lever {
                        Lever::Configuration { name, .. } => {
                            self.cause_facets.contains(&Facet::Configuration(name.clone()))
                        }
                        _ => false,
                    })
            }
        }
    }

    /// The newest change before the harm, by what its source says.
    fn by_newest(&self) -> bool {
        let at = |change: &Change| change.at.stated.unwrap_or(change.at.noticed_at);
        let before = self.changes.iter().filter(|change| at(change) <= self.harm.began_latest);
        self.is_guilty(before.max_by_key(|change| at(change)))
    }
}

#[derive(Default)]
struct Tally {
    all: u32,
    ranked: u32,
    must_name: u32,
    newest: u32,
    restored: u32,
}

impl Tally {
    fn add(&mut self, incident: &Incident) {
        self.all += 1;
        self.ranked += u32::from(incident.by_rank());
        self.must_name += u32::from(incident.by_rank_if_it_must_name_one());
        self.newest += u32::from(incident.by_newest());
        self.restored += u32::from(incident.is_restored());
    }

    fn share(&self, found: u32) -> f64 {
        f64::from(found) / f64::from(self.all.max(1))
    }
}

/// Chosen after the ranking was finished: none of them was looked at while it was made.
const SEEDS: [u64; 5] = [3, 11, 77, 1_234, 55_555];
const INCIDENTS: usize = 600;

#[test]
fn the_first_suspect_is_the_cause_more_often_than_the_newest_change() {
    for seed in SEEDS {
        let mut chance = Chance::new(seed);
        let (mut single, mut by_cause) = (Tally::default(), BTreeMap::<Cause, Tally>::new());
        for _ in 0..INCIDENTS {
            let incident = incident(&mut chance);
            by_cause.entry(incident.cause).or_default().add(&incident);
            if incident.cause.is_single() {
                single.add(&incident);
            }
        }
        for (cause, Tally { all, ranked, must_name, newest, .. }) in &by_cause {
            println!(
                "seed {seed}: {cause:?}: {ranked} of {all} ({must_name} if it must name one), newest first {newest}"
            );
        }
        let (ranked, newest) = (single.share(single.ranked), single.share(single.newest));
        println!("seed {seed}: single causes {ranked:.3} of {}, newest first {newest:.3}", single.all);
        assert!(by_cause.len() == 6 && single.all >= 200, "every kind is played");
        assert!(ranked >= 0.8, "seed {seed}: {ranked}");
        assert!(ranked > newest + 0.1, "seed {seed}: {ranked} and {newest}");
    }
}

#[test]
fn the_plan_restores_something_good() {
    for seed in SEEDS {
        let mut chance = Chance::new(seed);
        let mut undoable = Tally::default();
        let played = (0..INCIDENTS).map(|_| incident(&mut chance));
        played.filter(Incident::can_be_undone).for_each(|incident| undoable.add(&incident));
        let restored = undoable.share(undoable.restored);
        println!("seed {seed}: restored {restored:.3} of {}", undoable.all);
        assert!(restored >= 0.95, "seed {seed}: {restored}");
    }
}

#[test]
fn how_sure_it_is_is_how_often_it_is_right() {
    let mut chance = Chance::new(SEEDS[0]);
    let mut by_score = BTreeMap::<u32, (u32, u32, f64)>::new();
    for _ in 0..5 * INCIDENTS {
        let incident = incident(&mut chance);
        let ranking = rank(&incident.changes, &incident.harm, &incident.known);
        let Some(best) = ranking.best() else { continue };
        let (all, right, scores) = by_score.entry((best.score * 5.0) as u32).or_default();
        *all += 1;
        *right += u32::from(incident.is_guilty(Some(&best.change)));
        *scores += best.score;
    }
    for (all, right, scores) in by_score.into_values().filter(|(all, ..)| *all >= 100) {
        let (stated, found) = (scores / f64::from(all), f64::from(right) / f64::from(all));
        println!("said {stated:.2}, was {found:.2}, of {all}");
        assert!((stated - found).abs() < 0.2, "said {stated}, was {found}");
    }
}
