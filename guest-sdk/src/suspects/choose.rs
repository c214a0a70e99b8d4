use super::{Change, Facet, Ranking, Suspect};
use crate::stats::readable;

/// One thing that can be put back.
#[derive(Clone, Debug, PartialEq)]
pub enum Lever {
    /// A revision of a configuration; the model stays.
    Configuration {
        /// Which configuration.
        name: String,
        /// To which revision.
        revision: String,
    },
    /// A configured safe mode. It undoes nothing and keeps harm away.
    Fallback {
        /// Which.
        name: String,
    },
    /// A version of the model.
    Model {
        /// Which.
        version: String,
        /// Revisions of data that it was made from, with the name of the data.
        made_from: Vec<(String, String)>,
    },
    /// A new training without a revision of data; takes hours.
    Retrain {
        /// Which data.
        data: String,
        /// The revision that is left out.
        without: String,
    },
}

impl Lever {
    /// How much it moves: the smallest first.
    fn size(&self) -> u8 {
        match self {
            Self::Configuration { .. } => 0,
            Self::Fallback { .. } => 1,
            Self::Model { .. } => 2,
            Self::Retrain { .. } => 3,
        }
    }

    /// Whether it takes this change back.
    pub fn undoes(&self, change: &Change) -> bool {
        let leaves = |revision: &String| change.to.as_ref() != Some(revision);
        match (self, &change.facet) {
            (Self::Configuration { name, revision }, Facet::Configuration(changed)) => {
                name == changed && leaves(revision)
            }
            (Self::Model { version, .. }, Facet::Model) => leaves(version),
            (Self::Model { made_from, .. }, Facet::Data(changed)) => {
                // Of what a version was made from nothing may be known: then it takes nothing back.
                let of_it = |(data, _): &&(String, String)| data == changed;
                let mut revisions = made_from.iter().filter(of_it).peekable();
                revisions.peek().is_some() && revisions.all(|(_, revision)| leaves(revision))
            }
            (Self::Fallback { name }, Facet::Fallback) => leaves(name),
            (Self::Retrain { data, without }, Facet::Data(changed)) => {
                data == changed && change.to.as_ref() == Some(without)
            }
            _ => false,
        }
    }
}

/// A lever, and whether it can be used now.
#[derive(Clone, Debug, PartialEq)]
pub struct Restorable {
    /// Which.
    pub lever: Lever,
    /// Why not: condemned, held, not known to be good, not to be read back.
    pub unusable: Option<String>,
}

impl Restorable {
    /// It can be used.
    pub fn usable(lever: Lever) -> Self {
        Self { lever, unusable: None }
    }
}

/// A lever that was not chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Which.
    pub lever: Lever,
    /// For people.
    pub reason: String,
}

/// One step of the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// What is put back.
    pub lever: Lever,
    /// How sure it is that the suspect it undoes did the harm, 0..=1.
    pub sure: f64,
    /// For people: the suspect, with its reasons.
    pub because: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// First the smallest lever that undoes the best suspect.
    Restore {
        /// First that one; if the harm goes on, the smallest that undoes the next suspect, and so on.
        rungs: Vec<Rung>,
        /// Why not the others, in the order that they were given in.
        refused: Vec<Refused>,
    },
    /// Nothing points anywhere, or what does cannot be undone: as if nothing were known of changes, the newest version that is known to be good.
    LastKnownGood {
        /// For people.
        because: String,
    },
    /// No version would do better: the world has changed.
    WillNotHelp {
        /// For people.
        because: String,
        /// A safe mode that keeps harm away meanwhile; none if none is configured and usable.
        meanwhile: Option<Lever>,
    },
}

/// A ladder has at most so many suspects: each rung costs a shift and a verification.
const RUNGS_MAX: usize = 3;

/// The smallest lever that undoes the best suspect, and what follows if it was not that. Of several levers of one size, the first that is given: give the
/// best first.
pub fn choose(ranking: &Ranking, levers: &[Restorable]) -> Choice {
    let meanwhile = || {
        let is_safe_mode =
            |one: &&Restorable| matches!(one.lever, Lever::Fallback { .. }) && one.unusable.is_none();
        levers.iter().find(is_safe_mode).map(|one| one.lever.clone())
    };
    let Some(best) = ranking.best() else {
        let because = nothing_points_anywhere(ranking);
        // More than half of what is not on record is the world.
        if ranking.unnoted_world * 2.0 > ranking.unexplained {
            return Choice::WillNotHelp { because, meanwhile: meanwhile() };
        }
        return Choice::LastKnownGood { because };
    };
    let mut best = best;
    if best.change.facet == Facet::World {
        let undone = || ranking.suspects.iter().filter(|suspect| smallest(suspect, levers).is_some());
        let helps: f64 = undone().map(|suspect| suspect.score).sum();
        match undone().next() {
            // Together they are likelier than the world, so that going back is likelier to help than not.
            Some(other) if helps > best.score => best = other,
            _ => return Choice::WillNotHelp { because: told(best), meanwhile: meanwhile() },
        }
    }
    let Some(first) = smallest(best, levers) else {
        return Choice::LastKnownGood {
            because: format!("{}; but nothing that can be restored undoes it", told(best)),
        };
    };
    let mut rungs = vec![rung(best, first)];
    for suspect in ranking.suspects.iter().filter(|suspect| suspect.score > 0.0) {
        if let Some(lever) = smallest(suspect, levers)
            && rungs.len() < RUNGS_MAX
            && rungs.iter().all(|rung| rung.lever != *lever)
        {
            rungs.push(rung(suspect, lever));
        }
    }
    let is_chosen =
        |one: &Restorable| one.unusable.is_none() && rungs.iter().any(|rung| rung.lever == one.lever);
    let refused =
        levers.iter().filter(|one| !is_chosen(one)).map(|other| refuse(other, first, best)).collect();
    Choice::Restore { rungs, refused }
}

fn smallest<'l>(suspect: &Suspect, levers: &'l [Restorable]) -> Option<&'l Lever> {
    let undoing = levers.iter().filter(|one| one.unusable.is_none() && one.lever.undoes(&suspect.change));
    undoing.map(|one| &one.lever).min_by_key(|lever| lever.size())
}

fn rung(suspect: &Suspect, lever: &Lever) -> Rung {
    Rung { lever: lever.clone(), sure: suspect.score, because: told(suspect) }
}

fn refuse(other: &Restorable, chosen: &Lever, best: &Suspect) -> Refused {
    let reason = match &other.unusable {
        Some(why) => why.clone(),
        None if !other.lever.undoes(&best.change) => {
            format!("it does not undo the change of {}", best.change.facet)
        }
        None if other.lever.size() > chosen.size() => "it moves more than is needed".to_owned(),
        None => "one that is better comes before it".to_owned(),
    };
    Refused { lever: other.lever.clone(), reason }
}

fn told(best: &Suspect) -> String {
    let Change { facet, from, to, by, .. } = &best.change;
    let revision = |revision: &Option<String>| {
        revision.as_ref().map_or_else(|| "an unknown one".to_owned(), |one| format!("`{one}`"))
    };
    let by = by.as_ref().map_or_else(String::new, |who| format!(" by `{who}`"));
    format!(
        "a likely cause ({} of 1) is that {facet} went from {} to {}{by}: {}",
        readable(best.score),
        revision(from),
        revision(to),
        best.reasons.join("; ")
    )
}

fn nothing_points_anywhere(ranking: &Ranking) -> String {
    let gaps = if ranking.gaps.is_empty() { String::new() } else { format!(": {}", ranking.gaps.join("; ")) };
    match ranking.suspects.first() {
        None => format!("no change is known before the harm{gaps}"),
        Some(first) => format!(
            "no change is likely enough to be the cause (the first with {} of 1){gaps}",
            readable(first.score)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Coverage, Harm, Moment, NoticedBy, Verified, rank};
    use super::*;
    use crate::contract::types::Instant;
    use crate::{Duration, days, hours, minutes};

    const HARM: Instant = 1_700_000_000_000;

    fn change(facet: Facet, to: &str, before: Duration) -> Change {
        Change {
            facet,
            place: String::new(),
            services: vec!["api".into()],
            from: Some("before".into()),
            to: Some(to.into()),
            at: Moment::exact(HARM - before),
            by: Some("ana".into()),
            noticed_by: NoticedBy::Journal,
            verified: Verified::Unknown,
        }
    }

    fn configuration(revision: &str) -> Restorable {
        Restorable::usable(Lever::Configuration { name: "limits".into(), revision: revision.into() })
    }

    fn model(version: &str, rows: &str) -> Restorable {
        let made_from = vec![("rows".to_owned(), rows.to_owned())];
        Restorable::usable(Lever::Model { version: version.into(), made_from })
    }

    fn retrain() -> Restorable {
        Restorable::usable(Lever::Retrain { data: "rows".into(), without: "r9".into() })
    }

    fn safe_mode() -> Restorable {
        Restorable::usable(Lever::Fallback { name: "rules".into() })
    }

    fn after(changes: &[Change], levers: &[Restorable]) -> Choice {
        let whole = Some(HARM - days(100));
        let known = [Coverage::model(whole), Coverage::configuration(whole), Coverage::data(whole)];
        choose(&rank(changes, &Harm::of("api", HARM), &known), levers)
    }

    fn all() -> Vec<Restorable> {
        vec![
            model("6", "r9"),
            model("5", "r8"),
            configuration("c41"),
            configuration("c40"),
            retrain(),
            safe_mode(),
        ]
    }

    /// The levers of the ladder, and the rest of the choice.
    fn restored(choice: Choice) -> (Vec<Lever>, Vec<Rung>, Vec<Refused>) {
        let Choice::Restore { rungs, refused } = choice else { unreachable!("a lever: {choice:?}") };
        (rungs.iter().map(|rung| rung.lever.clone()).collect(), rungs, refused)
    }

    #[test]
    fn a_configuration_goes_back_and_the_model_stays() {
        let changes = [
            change(Facet::Configuration("limits".into()), "c41", minutes(9)),
            change(Facet::Model, "7", days(6)),
        ];
        let (levers, rungs, refused) = restored(after(&changes, &all()));
        assert_eq!(
            levers,
            [configuration("c40").lever, model("6", "r9").lever],
            "the model if it was not that"
        );
        assert!(rungs[0].sure > 0.9 && rungs[1].sure < 0.1, "{rungs:?}");
        let because = &rungs[0].because;
        assert!(
            because.contains("configuration `limits` went from `before` to `c41` by `ana`: 9m before"),
            "{because}"
        );
        let reasons: Vec<&str> = refused.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(
            reasons,
            vec!["it does not undo the change of configuration `limits`"; 4],
            "c41 is what is left"
        );
    }

    #[test]
    fn a_model_goes_back_and_the_configuration_stays() {
        let changes = [
            change(Facet::Model, "7", minutes(9)),
            change(Facet::Configuration("limits".into()), "c41", days(6)),
        ];
        let (levers, _, refused) = restored(after(&changes, &all()));
        assert_eq!(levers, [model("6", "r9").lever, configuration("c40").lever], "the first of its size");
        assert_eq!(refused[0].reason, "one that is better comes before it");
    }

    #[test]
    fn bad_data_go_with_a_version_that_was_not_made_from_them_before_a_new_training() {
        let changes = [change(Facet::Data("rows".into()), "r9", minutes(90))];
        let (levers, _, refused) = restored(after(&changes, &all()));
        assert_eq!(levers, [model("5", "r8").lever]);
        let of_training =
            refused.iter().find(|one| one.lever == retrain().lever).map(|one| one.reason.as_str());
        assert_eq!(of_training, Some("it moves more than is needed"));
        assert_eq!(restored(after(&changes, &[model("6", "r9"), retrain()])).0, [retrain().lever]);
        let unknown = [Restorable::usable(Lever::Model { version: "4".into(), made_from: Vec::new() })];
        assert!(
            matches!(after(&changes, &unknown), Choice::LastKnownGood { .. }),
            "of which nothing is known"
        );
    }

    #[test]
    fn what_cannot_be_used_is_passed_over_with_its_reason() {
        let changes = [change(Facet::Model, "7", minutes(9))];
        let held = Restorable { unusable: Some("it is held by fraud-api:3".into()), ..model("6", "r9") };
        let (levers, _, refused) = restored(after(&changes, &[held, model("5", "r8")]));
        assert_eq!(levers, [model("5", "r8").lever]);
        assert_eq!(refused[0].reason, "it is held by fraud-api:3");
    }

    #[test]
    fn a_ladder_is_short() {
        let named = |n: u64| change(Facet::Configuration(format!("n{n}")), "new", minutes(5 + n));
        let lever = |n: u64| {
            Restorable::usable(Lever::Configuration { name: format!("n{n}"), revision: "old".into() })
        };
        let (changes, levers): (Vec<Change>, Vec<Restorable>) = (0..9).map(|n| (named(n), lever(n))).unzip();
        assert_eq!(restored(after(&changes, &levers)).0, [lever(0).lever, lever(1).lever, lever(2).lever]);
    }

    #[test]
    fn the_world_is_not_rolled_back_and_a_safe_mode_is_offered() {
        let changes = [change(Facet::World, "a holiday", minutes(20))];
        let Choice::WillNotHelp { because, meanwhile } = after(&changes, &all()) else {
            unreachable!("it will not help")
        };
        assert!(because.contains("the world"), "{because}");
        assert_eq!(meanwhile, Some(safe_mode().lever));
        let broken = Restorable { unusable: Some("it does not answer".into()), ..safe_mode() };
        assert!(matches!(after(&changes, &[broken]), Choice::WillNotHelp { meanwhile: None, .. }));
    }

    #[test]
    fn a_doubtful_world_does_not_keep_what_is_likelier_from_being_put_back() {
        let world = change(Facet::World, "a holiday", hours(9));
        let limits = |before| change(Facet::Configuration("limits".into()), "c41", before);
        let alone = after(&[world.clone(), limits(hours(20))], &all());
        assert!(
            matches!(alone, Choice::WillNotHelp { .. }),
            "the world is likelier than all else: {alone:?}"
        );
        let (near, model) = (limits(hours(7)), change(Facet::Model, "7", hours(7)));
        let one = after(&[world.clone(), near.clone()], &all());
        assert!(matches!(one, Choice::WillNotHelp { .. }), "{one:?}");
        let (levers, ..) = restored(after(&[world, near, model], &all()));
        assert_eq!(levers, [configuration("c40").lever, model_before()], "together they are likelier");
    }

    fn model_before() -> Lever {
        model("6", "r9").lever
    }

    #[test]
    fn a_safe_mode_that_was_left_is_entered_again() {
        let changes = [change(Facet::Fallback, "off", minutes(5))];
        assert_eq!(restored(after(&changes, &all())).0, [safe_mode().lever]);
    }

    #[test]
    fn where_a_rule_is_about_the_world_and_nothing_else_moved_going_back_does_not_help() {
        let labels =
            vec![crate::contract::types::Label { name: "alertname".into(), value: "InputDrift".into() }];
        let harm = Harm { labels, ..Harm::of("api", HARM) };
        let whole = Some(HARM - days(100));
        let known = [Coverage::model(whole), Coverage::configuration(whole), Coverage::data(whole)];
        let Choice::WillNotHelp { because, meanwhile } = choose(&rank(&[], &harm, &known), &all()) else {
            unreachable!("it will not help")
        };
        assert!(because.contains("`InputDrift` is about the world"), "{because}");
        assert_eq!(meanwhile, Some(safe_mode().lever));
        let near = [change(Facet::Model, "7", minutes(9))];
        assert_eq!(restored(choose(&rank(&near, &harm, &known), &all())).0, [model("6", "r9").lever]);
    }

    #[test]
    fn what_was_taken_back_and_did_not_help_is_no_suspect_any_more() {
        let changes = [
            change(Facet::Configuration("limits".into()), "c41", minutes(9)),
            change(Facet::Model, "7", hours(3)),
        ];
        let before = rank(&changes, &Harm::of("api", HARM), &[]);
        let (unexplained, of_model) = (before.unexplained, before.suspects[1].score);
        let after = before.after(&[configuration("c40").lever]);
        assert_eq!(after.suspects[0].change.facet, Facet::Model);
        assert!(after.suspects[1].reasons[0].contains("it was taken back in this incident"));
        let whole: f64 = after.suspects.iter().map(|suspect| suspect.score).sum();
        assert!((whole + after.unexplained - 1.0).abs() < 1e-12, "doubt grows with it");
        assert!((after.unexplained / after.suspects[0].score - unexplained / of_model).abs() < 1e-9);
        let other = rank(&changes, &Harm::of("api", HARM), &[]).after(&[configuration("c41").lever]);
        assert_eq!(other.suspects[0].change.to.as_deref(), Some("c41"), "that took nothing back");
    }

    #[test]
    fn where_nothing_points_anywhere_or_nothing_undoes_it_the_last_known_good_version_is_taken() {
        let Choice::LastKnownGood { because } = after(&[], &all()) else {
            unreachable!("the last known good")
        };
        assert_eq!(because, "no change is known before the harm");
        let unknown = choose(&rank(&[], &Harm::of("api", HARM), &[]), &all());
        let Choice::LastKnownGood { because } = unknown else { unreachable!("the last known good") };
        assert!(
            because.ends_with(
                "the history of the configuration is not known; the history of the data is not known"
            ),
            "{because}"
        );
        let old = [change(Facet::Model, "7", days(90))];
        let Choice::LastKnownGood { because } = after(&old, &all()) else {
            unreachable!("the last known good")
        };
        assert!(because.contains("no change is likely enough"), "{because}");
        let other = [change(Facet::Configuration("prompts".into()), "p2", minutes(9))];
        let Choice::LastKnownGood { because } = after(&other, &all()) else {
            unreachable!("the last known good")
        };
        assert!(because.contains("nothing that can be restored undoes it"), "{because}");
    }
}
