//! Nothing that people or a start wait for grows with the age of a journal; one journal that is damaged harms no other; old content goes, and what is
//! still needed stays.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, PersonSaid};
use ripcord_core::fact::Outcome;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::retention::Class;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, CommandError, PruneReport, fold, recover, replay, view};
use ripcord_ports::Store;
use ripcord_ports::store::{Append, Content};
use ripcord_store::SqliteStore;
use ripcord_tests::people::{ada, cleo};
use ripcord_tests::{Fuse, Lab, Running, Spec, check, policies};

/// So many ordinary records, as if no host of this release had written them: without any snapshot.
async fn age(store: &SqliteStore, service: &ServiceName, records: usize) {
    let folded = fold(store, service).await.unwrap();
    let (mut tip, mut left) = (folded.tip, records);
    while left > 0 {
        let more: Vec<_> = (0..left.min(500))
            .map(|_| {
                let record = Record::write(service, tip, folded.service.at, &Event::Woke).unwrap();
                tip = record.tip();
                record
            })
            .collect();
        left -= more.len();
        store.append(Append { records: more, ..Append::default() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_a_look_and_a_page_read_no_more_after_thousands_of_records() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    let young = host.view(&service).await;
    let incident = young.id.clone();
    host.stop().await;

    let store = lab.open();
    age(&store, &service, 3_300).await;
    store.close().await.unwrap();
    // Whoever starts makes up for the snapshots that were not kept.
    let host = lab.start().await;
    let mortal = lab.mortal(&host.store, &Fuse::safe());
    mortal.read.store(0, Ordering::Relaxed);
    let recovered = recover(&mortal, &service).await.unwrap();
    assert_eq!(recovered.state, host.state(&service));
    assert!(recovered.tip.length > 3_300);
    // The record that the snapshot names, and those after it.
    assert!(
        mortal.read.load(Ordering::Relaxed) <= 20,
        "{} records were read",
        mortal.read.load(Ordering::Relaxed)
    );

    mortal.read.store(0, Ordering::Relaxed);
    let old = view::incident(&mortal, &incident).await.unwrap();
    assert_eq!(serde_json::to_value(&old).unwrap(), serde_json::to_value(&young).unwrap());
    // One page of the journal at most, and single records after the end.
    assert!(
        mortal.read.load(Ordering::Relaxed) <= 600,
        "{} records were read",
        mortal.read.load(Ordering::Relaxed)
    );

    mortal.read.store(0, Ordering::Relaxed);
    let report = replay::replay(&mortal, policies::sandbox(), Some(&incident)).await.unwrap();
    assert_eq!((report.same(), report.decisions.len()), (4, 4));
    assert!(
        mortal.read.load(Ordering::Relaxed) <= 600,
        "{} records were read",
        mortal.read.load(Ordering::Relaxed)
    );
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_keeps_a_snapshot_every_thousand_records_and_at_every_end() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    let read = async || {
        let recovered = recover(host.store.as_ref(), &service).await.unwrap();
        assert!(!recovered.dropped);
        recovered.read
    };
    let since_the_end = read().await;
    assert!(since_the_end < 20, "{since_the_end} records after the end of the incident");
    for _ in 0..560 {
        // Within an hour a service is let go on a few times only.
        lab.clock.advance(Millis::minutes(4));
        host.ask(ada(), &service, Ask::Pause).await.unwrap();
        host.ask(ada(), &service, Ask::Resume).await.unwrap();
    }
    assert!(host.state(&service).length > 1_100);
    assert!(read().await < 1_000);
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_does_not_fit_is_dropped_and_made_anew() {
    let lab = Lab::new(vec![Spec::new("fraud-api")]);
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0"]).await;
    let (state, tip) = {
        let folded = fold(host.store.as_ref(), &service).await.unwrap();
        (folded.service, folded.tip)
    };
    host.stop().await;
    let whole = Snapshot::of(&state, tip).unwrap();
    let mut undecodable = whole.clone();
    undecodable.state.truncate(10);
    let mut condemned = state.clone();
    condemned.revisions.clear();
    let other_journal = Snapshot::of(&condemned, Tip { hash: Digest::of(b"another"), ..tip }).unwrap();
    let of_a_newer_release = Snapshot { format: whole.format + 1, ..whole.clone() };
    for wrong in [undecodable, other_journal, of_a_newer_release] {
        let store = lab.open();
        store.keep_snapshot(wrong).await.unwrap();
        let recovered = recover(store.as_ref(), &service).await.unwrap();
        assert!(recovered.dropped);
        assert_eq!(*recovered.state, *state, "the journal is what counts");
        store.close().await.unwrap();
        let host = lab.start().await;
        let again = recover(host.store.as_ref(), &service).await.unwrap();
        assert!(!again.dropped && again.read < again.tip.length, "it was made anew");
        host.stop().await;
    }
}

/// What cannot have happened: the service was never paused.
async fn damage(store: &SqliteStore, service: &ServiceName) {
    let folded = fold(store, service).await.unwrap();
    let reason = ripcord_core::blob::commit(
        ripcord_core::blob::BlobKind::Text,
        &ripcord_core::blob::Salt([0; 32]),
        b"never",
    );
    let event = Event::Resumed(PersonSaid { person: ada().name, reason });
    let record = Record::write(service, folded.tip, folded.service.at, &event).unwrap();
    store.append(Append { records: vec![record], ..Append::default() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_set_aside_and_the_others_are_protected() {
    let lab = Lab::new(vec![Spec::new("damaged"), Spec::new("whole")]);
    let (damaged, whole) = (lab.specs[0].name.clone(), lab.specs[1].name.clone());
    let host = lab.start().await;
    for service in [&damaged, &whole] {
        host.adopt(service, &["1.0", "1.1"]).await;
    }
    host.stop().await;
    let store = lab.open();
    damage(&store, &damaged).await;
    store.close().await.unwrap();

    lab.world.at(&whole, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    let stuck: Vec<_> = host.engine.health().into_iter().filter(|health| health.stuck.is_some()).collect();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].service, damaged);
    assert!(stuck[0].stuck.as_ref().unwrap().contains("set aside"), "{stuck:?}");
    let error = host.pull(&damaged, Some("1.1")).await.expect_err("is set aside");
    assert!(matches!(error, CommandError::SetAside(..)), "{error}");
    // What comes in for it is kept until it is mended.
    host.alert(&lab, &damaged, "a").await.unwrap();
    host.pull(&whole, Some("1.1")).await.expect("pulled");
    host.settled(&whole).await;
    check::all(&lab, &host, &whole, Outcome::RolledBack).await;
    let verified = ripcord_engine::verify(host.store.as_ref(), &damaged).await.unwrap();
    assert!(verified.broken.as_ref().unwrap().contains("does not follow"), "{:?}", verified.broken);
    assert_eq!(host.store.services_with_signals().await.unwrap(), [damaged]);
    host.stop().await;
}

/// So long that content of that class may go.
fn past(class: Class) -> Millis {
    Millis(class.age_default().0 + Millis::hours(1).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_by_its_class_and_what_is_needed_stays() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    // An alert that changes nothing.
    lab.world.at(&service, |outside| outside.bad.clear());
    host.alert(&lab, &service, "quiet").await.unwrap();
    host.until("asked", &service, |state| {
        state.watching.alerts.is_empty() && state.watching.alerts.words() > 0
    })
    .await;
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    host.alert(&lab, &service, "loud").await.unwrap();
    host.settled(&service).await;
    let incident = IncidentId::numbered(&service, 1);
    let replayed = async || {
        let report = replay::replay(host.store.as_ref(), policies::sandbox(), None).await.unwrap();
        let pruned = report.decisions.iter().filter_map(|decision| match &decision.result {
            replay::Result::RecordingPruned(class) => Some((decision.incident.clone(), *class)),
            _ => None,
        });
        (report.same(), pruned.collect::<Vec<_>>())
    };
    let (all, _) = replayed().await;
    let view = host.view(&service).await;

    // Within its age nothing goes, but for a component that nobody needs.
    let of_another_time = host.store.keep_component(b"of another time").await.unwrap();
    let report = host.engine.prune().await;
    assert_eq!((report.pieces.values().sum::<u64>(), report.failed.len(), report.components), (0, 0, 1));
    assert_eq!(host.store.component(&of_another_time).await.unwrap(), None);
    let report = replay::replay(host.store.as_ref(), policies::sandbox(), None).await.unwrap();
    let components: BTreeSet<_> = report.decisions.iter().map(|decision| decision.policy.digest).collect();
    let needed = async || {
        let mut uses = 0;
        for component in &components {
            uses += host.store.uses(Content::Component(*component)).await.unwrap();
        }
        uses
    };
    assert!(needed().await >= components.len() as u64, "recordings need what made them");

    lab.clock.advance(past(Class::Decisions));
    let report = host.engine.prune().await;
    assert!(report.pieces[&Class::Decisions] >= 1, "{report:?}");
    assert_eq!(report.pieces[&Class::Incidents], 0, "{report:?}");
    let (same, pruned) = replayed().await;
    assert!(!pruned.is_empty(), "the decision that changed nothing is told as pruned");
    assert!(pruned.iter().all(|one| *one == (None, Class::Decisions)), "{pruned:?}");
    assert_eq!(same + pruned.len(), all);
    let again = host.view(&service).await;
    assert_eq!(again.cause, view.cause, "the incident is told as before");
    assert_eq!(host.engine.prune().await.pieces.values().sum::<u64>(), 0, "nothing goes twice");

    // Kept for the law.
    host.ask(cleo(), &service, Ask::Keep(incident.clone())).await.unwrap();
    lab.clock.advance(past(Class::Incidents));
    let report = host.engine.prune().await;
    assert_eq!(report.pieces[&Class::Evidence], 0, "{report:?}");
    let kept = host.view(&service).await;
    assert_eq!((&kept.cause, &kept.plan), (&view.cause, &view.plan));

    host.ask(cleo(), &service, Ask::Release(incident.clone())).await.unwrap();
    lab.clock.advance(past(Class::Incidents));
    let report = host.engine.prune().await;
    assert!(report.pieces[&Class::Incidents] > 0 && report.pieces[&Class::Evidence] > 0, "{report:?}");
    let (same, pruned) = replayed().await;
    assert_eq!((same, pruned.len()), (0, all));
    assert_eq!(
        needed().await,
        0,
        "a component that is not configured any more may go with the last recording"
    );
    assert!(pruned.contains(&(Some(incident), Class::Incidents)), "{pruned:?}");
    let bare = host.view(&service).await;
    assert_eq!((&bare.plan, &bare.outcome), (&None, &Outcome::RolledBack));
    // Its hold stands, and says why for as long.
    assert_eq!(bare.cause, view.cause);
    assert!(lab.world.change(|all| all.objects.is_empty()), "evidence is gone too");
    let pruned = fold(host.store.as_ref(), &service).await.unwrap();
    let events = pruned.events.iter().filter(|(_, event)| matches!(event, Event::Pruned(_))).count();
    assert!(events >= 3, "each look that erased is on record, and not each piece: {events}");
    check::journal(&host, &service).await;
    host.stop().await;
}

/// A host with a decision that changed nothing and an incident that was rolled back.
async fn with_history(name: &str) -> (Lab, Running, ServiceName) {
    let (lab, host) = Lab::harmed(Spec::new(name).scripted()).await;
    let service = lab.service();
    host.alert(&lab, &service, "loud").await.unwrap();
    host.settled(&service).await;
    (lab, host, service)
}

fn pieces(report: &PruneReport) -> u64 {
    report.pieces.values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_years_ahead_erases_nothing_until_it_has_been_steady_for_a_day() {
    let (lab, host, service) = with_history("fraud-api").await;
    assert_eq!(host.engine.prune().await.failed, [] as [&str; 0]);
    lab.clock.jump(past(Class::Incidents));
    let ahead = host.engine.prune().await;
    assert_eq!((pieces(&ahead), ahead.failed.len()), (0, 1), "{ahead:?}");
    assert!(ahead.failed[0].contains("the clock has jumped"), "{ahead:?}");
    let health = host.engine.health();
    assert!(health.iter().all(|one| one.not_erased.is_some() && one.stuck.is_none()), "{health:?}");
    // Nor after a restart in between.
    host.stop().await;
    let host = lab.start().await;
    let again = host.engine.prune().await;
    assert_eq!((pieces(&again), again.failed.len()), (0, 1), "{again:?}");
    assert!(host.view(&service).await.plan.is_some());
    lab.clock.advance(Millis::hours(25));
    let steady = host.engine.prune().await;
    assert!(pieces(&steady) > 0 && steady.failed.is_empty(), "{steady:?}");
    assert!(host.engine.health().iter().all(|one| one.not_erased.is_none()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_removed_stays_and_is_told_and_the_others_go() {
    let (lab, host, _) = with_history("fraud-api").await;
    let objects = lab.world.change(|all| all.objects.keys().cloned().collect::<Vec<_>>());
    assert!(objects.len() > 1, "{objects:?}");
    let stays = objects[0].clone();
    lab.world.change(|all| {
        all.objects_stay.insert(stays.clone());
    });
    lab.clock.advance(past(Class::Incidents));
    let report = host.engine.prune().await;
    assert!(report.failed.len() == 1 && report.failed[0].contains("read-only"), "{report:?}");
    assert_eq!(lab.world.change(|all| all.objects.keys().cloned().collect::<Vec<_>>()), [stays]);
    assert!(host.engine.health().iter().all(|one| one.not_erased.is_some()));
    lab.world.change(|all| all.objects_stay.clear());
    let report = host.engine.prune().await;
    assert!(report.pieces[&Class::Evidence] > 0 && report.failed.is_empty(), "{report:?}");
    assert!(lab.world.change(|all| all.objects.is_empty()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_service_that_is_no_longer_configured_goes_too() {
    let (lab, host, service) = with_history("retired").await;
    host.stop().await;
    let mut lab = lab;
    let other = Spec::new("other");
    lab.world.add(&other.name, &["1.0"]);
    lab.specs = vec![other];
    let host = lab.start().await;
    lab.clock.advance(past(Class::Incidents));
    let report = host.engine.prune().await;
    assert!(report.pieces[&Class::Evidence] > 0 && report.pieces[&Class::Incidents] > 0, "{report:?}");
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(lab.world.change(|all| all.objects.is_empty()));
    let verified = ripcord_engine::verify(host.store.as_ref(), &service).await.unwrap();
    assert!(verified.is_well(), "{verified:?}");
    assert_eq!(pieces(&host.engine.prune().await), 0, "nothing goes twice");
    host.stop().await;
}

/// Ticks of the schedule that are counted.
const TICKS: u64 = 600;
const YEAR_BYTES_MAX: u64 = 300_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_a_schedule_of_a_minute_fits() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.schedule = Some(Millis::minutes(1)));
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    let host = lab.start().await;
    host.adopt(&service, &["1.0"]).await;
    let tick = async || {
        let planned = host.state(&service).watching.scheduled_at;
        lab.clock.advance(Millis::minutes(1));
        host.until("asked", &service, |state| state.watching.scheduled_at != planned).await;
    };
    let used = async || {
        let sizes = host.store.sizes(Default::default()).await.unwrap();
        sizes.file_bytes - sizes.free_bytes
    };
    for _ in 0..10 {
        tick().await;
    }
    let at_first = used().await;
    for _ in 0..TICKS {
        tick().await;
    }
    let whole = (used().await - at_first) / TICKS;
    lab.clock.advance(past(Class::Decisions));
    let report = host.engine.prune().await;
    assert!(report.pieces[&Class::Decisions] >= TICKS, "{report:?}");
    let kept = used().await.saturating_sub(at_first) / TICKS;
    let (year, young) = (365 * 24 * 60, Class::Decisions.age_default().0 / 60_000);
    let bytes = kept * year + whole.saturating_sub(kept) * young;
    println!("{whole} bytes a tick, {kept} of them for good: {bytes} a year");
    assert!(bytes < YEAR_BYTES_MAX, "{whole} bytes a tick, {kept} of them for good: {bytes} bytes a year");
    check::journal(&host, &service).await;
    host.stop().await;
}
