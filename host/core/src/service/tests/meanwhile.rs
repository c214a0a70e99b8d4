//! What others do to production while an incident is open, which may wait for people for days.

use super::about::condemned;
use super::stage::{Stage, serving};
use crate::effect::Effect;
use crate::event::{Event, InProduction, ProductionWatched};
use crate::policy::Role;
use crate::service::{Illegal, Opener};

fn seen(stage: &Stage, live: &str) -> Event {
    Event::ProductionWatched(ProductionWatched {
        not_before: None,
        after: stage.0.ended_last(),
        live: serving(live),
        facets: Vec::new(),
        in_production: InProduction::Unsupported,
        unread: Vec::new(),
    })
}

fn is_watched(stage: &Stage) -> bool {
    stage.0.owed().iter().any(|effect| matches!(effect, Effect::WatchProduction { .. }))
}

/// `4` is held, `1` is live, and an incident about something else waits.
fn waiting() -> Stage {
    let mut stage = condemned();
    stage.pull("ada", "2");
    let preserved = stage.preserved("1");
    stage.tell(&preserved);
    assert!(is_watched(&stage));
    stage
}

#[test]
fn a_held_version_that_comes_back_while_an_incident_waits_is_told_at_once_and_reopens_after_it() {
    let mut stage = waiting();
    let back = seen(&stage, "4");
    stage.tell(&back);
    assert!(stage.told().last().unwrap().contains("it is live again"), "{:?}", stage.told());
    assert_eq!(stage.id().as_str(), "fraud-api:2");
    stage.tell_with(|stage| Event::Aborted(stage.about("ada")));
    assert_eq!(stage.id().as_str(), "fraud-api:3", "nothing was done about it");
    assert!(matches!(&stage.incident().opened_by, Opener::BrokenHold(by) if by.as_str() == "fraud-api:1"));
    // People said no to that, too: it is not asked again.
    stage.tell_with(|stage| Event::Aborted(stage.about("ada")));
    let again = seen(&stage, "4");
    stage.tell(&again);
    assert_eq!((stage.0.incident.as_ref(), stage.0.incidents), (None, 3));
}

#[test]
fn one_that_has_gone_again_by_then_reopens_nothing() {
    let mut stage = waiting();
    for live in ["4", "1"] {
        let look = seen(&stage, live);
        stage.tell(&look);
    }
    stage.tell_with(|stage| Event::Aborted(stage.about("ada")));
    assert_eq!((stage.0.incident.as_ref(), stage.0.incidents), (None, 2));
}

#[test]
fn what_someone_put_live_meanwhile_is_on_probation_once_the_incident_has_ended() {
    let mut stage = condemned();
    stage.reconfigure(|terms| terms.policies = vec![super::stage::policy(Role::Verification)]);
    let first = seen(&stage, "1");
    stage.tell(&first);
    stage.pull("ada", "2");
    let preserved = stage.preserved("1");
    stage.tell(&preserved);
    let other = seen(&stage, "3");
    stage.tell(&other);
    assert_eq!(stage.0.probation, None, "an incident is open");
    stage.tell_with(|stage| Event::Aborted(stage.about("ada")));
    assert_eq!(stage.0.probation.as_ref().unwrap().version.version.as_str(), "3");
}

#[test]
fn an_incident_that_acts_reads_live_itself() {
    let mut stage = Stage::at_the_shift();
    assert!(!is_watched(&stage));
    let look = seen(&stage, "4");
    assert_eq!(stage.try_it(&look), Err(Illegal::Stale));
}
