//! Names that the registry points at versions, besides the one for production.

use super::about::condemned;
use super::stage::{Stage, blob, person};
use crate::effect::Topic;
use crate::event::{AboutHold, Alias, AliasesSeen, Event};
use crate::facet::Revision;
use crate::name::VersionName;
use crate::service::Illegal;
use crate::signal::Severity;

fn seen(aliases: &[(&str, &[&str])]) -> Event {
    let alias = |(name, versions): &(&str, &[&str])| Alias {
        name: (*name).to_owned(),
        versions: versions.iter().map(|version| VersionName::new(*version).unwrap()).collect(),
    };
    Event::AliasesSeen(AliasesSeen { aliases: aliases.iter().map(alias).collect() })
}

fn told_of_it(stage: &Stage) -> Vec<(Severity, String)> {
    let of = stage.0.outbox.iter().filter(|out| out.topic == Topic::HeldMovesUp);
    of.map(|out| (out.severity.clone(), out.text.clone())).collect()
}

#[test]
fn a_held_version_that_is_named_by_a_stage_is_told_once_each_time() {
    // `4` is held.
    let mut stage = condemned();
    stage.tell(&seen(&[("staging", &["4"]), ("dev", &["5"])]));
    assert_eq!(told_of_it(&stage), [], "the first look only shows where they point");
    stage.tell(&seen(&[("staging", &["3", "4"]), ("dev", &["5"])]));
    assert_eq!(told_of_it(&stage), [], "it was there before");
    stage.tell(&seen(&[("staging", &["3", "4"]), ("canary", &["4"]), ("dev", &["4"])]));
    let told = told_of_it(&stage);
    let [(Severity::Warning, text)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        text,
        "the registry has `canary` and `dev` point at `4` now, which `fraud-api:1` condemned: it is on its way up to `fraud-api` again; take the name away from it, or `ripcord hold lift fraud-api VERSION --reason TEXT` if it is well"
    );
    stage.tell(&seen(&[("staging", &["3"])]));
    assert_eq!(told_of_it(&stage).len(), 1, "it goes down again");
    stage.tell(&seen(&[("staging", &["4"])]));
    assert_eq!(told_of_it(&stage).len(), 2, "and comes back");
    assert_eq!(stage.0.incidents, 1, "production is as it was: nothing is to be shifted");
}

#[test]
fn what_people_lifted_may_move_up() {
    let mut stage = condemned();
    stage.tell(&seen(&[("dev", &["5"])]));
    let revision = Revision::of_model(&VersionName::new("4").unwrap());
    let incident = stage.0.holds[&revision].incident.clone();
    stage.tell(&Event::HoldLifted(AboutHold { revision, incident, person: person("ada"), reason: blob() }));
    stage.tell(&seen(&[("dev", &["4"])]));
    assert_eq!(told_of_it(&stage), []);
}

#[test]
fn only_news_is_recorded() {
    let mut stage = condemned();
    stage.tell(&seen(&[("staging", &["3"]), ("dev", &["5"])]));
    let again = seen(&[("dev", &["5", "5"]), ("staging", &["3"])]);
    assert_eq!(stage.0.apply(stage.0.at, &again), Err(Illegal::Stale));
}
