//! Names that the registry points at versions, besides the one for production.

use super::about::condemned;
use super::stage::{Stage, blob, person};
use crate::effect::Topic;
use crate::event::{AboutHold, Alias, AliasesSeen, Event};
use crate::facet::Revision;
use crate::name::VersionName;
use crate::service::Illegal;
use crate::signal::Severity;
use crate::time::Millis;

fn seen(aliases: &[(&str, &[&str])]) -> Event {
    let alias = |(name, versions): &(&str, &[&str])| Alias {
        name: (*name).to_owned(),
        versions: versions.iter().map(|version| VersionName::new(*version).unwrap()).collect(),
    };
    Event::AliasesSeen(AliasesSeen { aliases: aliases.iter().map(alias).collect() })
}

/// A minute after the look before.
fn look(stage: &mut Stage, aliases: &[(&str, &[&str])]) {
    stage.try_at(stage.0.at + Millis::minutes(1), &seen(aliases)).unwrap();
}

fn told_of_it(stage: &Stage) -> Vec<(Severity, String)> {
    let of = stage.0.outbox.iter().filter(|out| out.topic == Topic::HeldMovesUp);
    of.map(|out| (out.severity.clone(), out.text.clone())).collect()
}

#[test]
fn a_held_version_that_is_named_by_a_stage_is_told_once_each_time() {
    // `4` is held.
    let mut stage = condemned();
    look(&mut stage, &[("staging", &["4"]), ("dev", &["5"])]);
    assert_eq!(told_of_it(&stage), [], "the first look only shows where they point");
    look(&mut stage, &[("staging", &["3", "4"]), ("dev", &["5"])]);
    assert_eq!(told_of_it(&stage), [], "it was there before");
    look(&mut stage, &[("staging", &["3", "4"]), ("canary", &["4"]), ("dev", &["4"])]);
    let told = told_of_it(&stage);
    let [(Severity::Warning, text)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        text,
        "the registry has `canary` and `dev` point at `4` now, which `fraud-api:1` condemned: it is on its way up to `fraud-api` again; take the name away from it, or `ripcord hold lift fraud-api VERSION --reason TEXT` if it is well"
    );
    look(&mut stage, &[("staging", &["3"])]);
    assert_eq!(told_of_it(&stage).len(), 1, "it goes down again");
    look(&mut stage, &[("staging", &["4"])]);
    assert_eq!(told_of_it(&stage).len(), 2, "and comes back");
    assert_eq!(stage.0.incidents, 1, "production is as it was: nothing is to be shifted");
}

#[test]
fn what_people_lifted_may_move_up() {
    let mut stage = condemned();
    look(&mut stage, &[("dev", &["5"])]);
    let revision = Revision::of_model(&VersionName::new("4").unwrap());
    let incident = stage.0.holds[&revision].incident.clone();
    stage.tell(&Event::HoldLifted(AboutHold { revision, incident, person: person("ada"), reason: blob() }));
    look(&mut stage, &[("dev", &["4"])]);
    assert_eq!(told_of_it(&stage), []);
}

#[test]
fn only_news_is_recorded_and_no_more_than_once_a_minute() {
    let mut stage = condemned();
    look(&mut stage, &[("staging", &["3"]), ("dev", &["5"])]);
    let later = |stage: &Stage, seconds| stage.0.at + Millis::seconds(seconds);
    let again = seen(&[("dev", &["5", "5"]), ("staging", &["3"])]);
    assert_eq!(stage.0.apply(later(&stage, 60), &again), Err(Illegal::Stale));
    let other = seen(&[("dev", &["5"])]);
    assert_eq!(stage.0.apply(later(&stage, 59), &other), Err(Illegal::Stale), "it may go back and forth");
    assert!(stage.0.apply(later(&stage, 60), &other).is_ok());
}

#[test]
fn a_flood_of_names_is_one_message_of_bounded_length() {
    let mut stage = condemned();
    look(&mut stage, &[("dev", &["5"])]);
    let names: Vec<_> = (0..64).map(|number| format!("{number:03}{}", "x".repeat(120))).collect();
    let all: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), ["4"].as_slice())).collect();
    look(&mut stage, &all);
    let told = told_of_it(&stage);
    let [(_, text)] = told.as_slice() else { panic!("{told:?}") };
    assert!(text.contains("and 60 more point at `4` now") && text.len() < 1_000, "{text}");
}
