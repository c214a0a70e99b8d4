//! What can be gone back to has a pinned digest, also where the registry gives none.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::fact::Outcome;
use ripcord_core::time::Millis;
use ripcord_tests::fakes::artefact;
use ripcord_tests::people::{revision, version};
use ripcord_tests::{Fuse, Lab, Point, Spec, check};

fn lab() -> Lab {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    lab.world.at(&lab.service(), |outside| {
        outside.no_digests = true;
        outside.bad.insert("1.2".into());
    });
    lab
}

/// Folders that are in use or were forgotten.
fn staged(lab: &Lab) -> usize {
    std::fs::read_dir(lab.folder.join("staging")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_adopted_is_pinned_and_nothing_of_it_is_left_on_disk() {
    let lab = lab();
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    let state =
        host.until("pinned", &service, |state| state.revisions.len() == 2 && state.pins.is_empty()).await;
    for name in ["1.0", "1.1"] {
        assert_eq!(state.revisions[&revision(name)].digest, Some(artefact(name).1), "{name}");
    }
    assert_eq!((lab.world.of(&service).fetched, staged(&lab)), (2, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_that_was_changed_after_it_was_vouched_for_is_not_brought_back() {
    let lab = lab();
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.until("pinned", &service, |state| state.revisions.len() == 2 && state.pins.is_empty()).await;
    lab.world.at(&service, |outside| outside.rewritten.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_asked_again_and_people_are_told_once() {
    let lab = lab();
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.1"]).await;
    host.until("pinned", &service, |state| state.pins.is_empty()).await;
    lab.world.at(&service, |outside| outside.artefacts_away = true);
    host.adopt(&service, &["1.0"]).await;
    for failures in 1..=5 {
        let failed = |state: &ripcord_core::service::Service| {
            state.pins.get(&version("1.0")).is_some_and(|wanted| wanted.waiting.failures == failures)
        };
        host.until("failed again", &service, failed).await;
        lab.clock.advance(Millis::minutes(2));
    }
    let told = host.until("told", &service, |state| state.pins[&version("1.0")].told).await;
    assert!(told.pins[&version("1.0")].waiting.due_at.is_some());
    lab.world.at(&service, |outside| outside.artefacts_away = false);
    lab.clock.advance(Millis::hours(1));
    let state = host.until("pinned", &service, |state| state.pins.is_empty()).await;
    assert_eq!(state.revisions[&revision("1.0")].digest, Some(artefact("1.0").1));
    let folded = check::journal(&host, &service).await;
    assert_eq!((check::count(&folded, Topic::NotPinned), staged(&lab)), (1, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_while_it_fetches_pins_after_the_next_start() {
    let lab = lab();
    let service = lab.service();
    let host =
        lab.start_with(Fuse::armed(Some(Point { name: "before fetch".into(), nth: 0 }))).await.unwrap();
    host.adopt(&service, &["1.1"]).await;
    host.fuse.died().await;
    host.die().await;
    let host = lab.start().await;
    let state = host.until("pinned", &service, |state| state.pins.is_empty()).await;
    assert_eq!(state.revisions[&revision("1.1")].digest, Some(artefact("1.1").1));
    assert_eq!(staged(&lab), 0);
    host.stop().await;
}
