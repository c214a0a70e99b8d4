//! What stands beside the journals: snapshots, timelines, changes, and what content is for.

use ripcord_core::digest::Digest;
use ripcord_core::journal::Tip;
use ripcord_core::name::{IncidentId, ServiceName, SignalId};
use ripcord_core::retention::Class;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, ChangeLine, Content, Expired, KeptSnapshot, Span, TimelineEntry, Use};

use super::{Fresh, append, ids, service, signal, text, waiting};

/// Any bytes: the store does not read them.
fn snapshot(service: &ServiceName, tip: Tip) -> Snapshot {
    let state = format!("the state of {service} at {}", tip.length).repeat(9).into_bytes();
    Snapshot { service: service.clone(), tip, format: 1, check: Digest::of(&state), state }
}

fn kept(service: &ServiceName, tip: Tip, opens: Option<u32>) -> KeptSnapshot {
    let opens = opens.map(|number| IncidentId::numbered(service, number));
    KeptSnapshot { snapshot: snapshot(service, tip), opens }
}

/// As it was written.
pub async fn the_longest_snapshot_that_is_short_enough_is_found(store: Fresh) {
    let fraud = service("fraud-api");
    assert_eq!(store.snapshot(&fraud, u64::MAX).await.expect("reads"), None);
    let two = store.append(append(&fraud, Tip::START, 2)).await.expect("appends");
    let page = Append { snapshots: vec![kept(&fraud, two, Some(1))], ..append(&fraud, two, 3) };
    let five = store.append(page).await.expect("appends");
    let last = append(&fraud, five, 1);
    let six = last.records[0].tip();
    store.append(Append { snapshots: vec![kept(&fraud, six, None)], ..last }).await.expect("appends");
    for (length_max, found) in
        [(u64::MAX, Some(six)), (6, Some(six)), (5, Some(two)), (2, Some(two)), (1, None)]
    {
        let read = store.snapshot(&fraud, length_max).await.expect("reads");
        assert_eq!(read, found.map(|tip| snapshot(&fraud, tip)), "at most {length_max}");
    }
    assert_eq!(store.snapshot(&service("spam"), u64::MAX).await.expect("reads"), None);
}

/// One of each service, and one an incident, however long the journal.
pub async fn a_snapshot_takes_the_place_of_the_last_and_not_of_a_page_s(store: Fresh) {
    let fraud = service("fraud-api");
    let mut tip = store.append(append(&fraud, Tip::START, 1)).await.expect("appends");
    let first = tip;
    for _ in 0..4 {
        let next = append(&fraud, tip, 1);
        let after = next.records[0].tip();
        let opens = (tip == first).then(|| kept(&fraud, tip, Some(1)));
        let snapshots = opens.into_iter().chain([kept(&fraud, after, None)]).collect();
        tip = store.append(Append { snapshots, ..next }).await.expect("appends");
    }
    assert_eq!(store.snapshot(&fraud, u64::MAX).await.expect("reads").expect("kept").tip, tip);
    assert_eq!(store.snapshot(&fraud, tip.length - 1).await.expect("reads").expect("kept").tip, first);
    // Made anew, and the same length is of use twice.
    store.keep_snapshot(snapshot(&fraud, first)).await.expect("keeps");
    assert_eq!(store.snapshot(&fraud, u64::MAX).await.expect("reads").expect("kept").tip, first);
    store.keep_snapshot(snapshot(&fraud, tip)).await.expect("keeps");
    assert_eq!(store.snapshot(&fraud, first.length).await.expect("reads").expect("the page's").tip, first);
}

/// Anything else would be a state that nobody has seen.
pub async fn a_snapshot_must_be_of_an_end_of_what_is_appended(store: Fresh) {
    let (fraud, spam) = (service("fraud-api"), service("spam"));
    let three = append(&fraud, Tip::START, 3);
    let middle = three.records[1].tip();
    for wrong in [kept(&fraud, middle, None), kept(&spam, Tip::START, None)] {
        store.append(Append { snapshots: vec![wrong], ..three.clone() }).await.expect_err("refused");
    }
    assert_eq!(store.journal(&fraud, 0, 9).await.expect("reads"), []);
}

/// Records that follow each other are one run, whichever appends they came with.
pub async fn a_timeline_is_kept_in_runs(store: Fresh) {
    let fraud = service("fraud-api");
    let incident = IncidentId::numbered(&fraud, 1);
    let entry = |number| TimelineEntry { incident: incident.clone(), number };
    let with = |tip, numbers: &[u64]| Append {
        timeline: numbers.iter().copied().map(entry).collect(),
        ..append(&fraud, tip, 5)
    };
    let tip = store.append(with(Tip::START, &[2, 3, 4])).await.expect("appends");
    let tip = store.append(with(tip, &[5, 6, 9])).await.expect("appends");
    store.append(with(tip, &[12])).await.expect("appends");
    let runs = [(2, 6), (9, 9), (12, 12)].map(|(first, last)| Span { first, last });
    assert_eq!(store.timeline(&incident).await.expect("reads"), runs);
    assert_eq!(store.timeline(&IncidentId::numbered(&fraud, 2)).await.expect("reads"), []);
}

/// At most as many as asked for.
pub async fn what_moved_is_listed_newest_first(store: Fresh) {
    let fraud = service("fraud-api");
    let change = |number: u64| ChangeLine {
        service: fraud.clone(),
        number,
        at: UnixMillis(number),
        facet: "live".into(),
        from: None,
        to: format!("1.{number}"),
        by: "ada".into(),
    };
    let changes = vec![change(0), change(2)];
    store.append(Append { changes, ..append(&fraud, Tip::START, 3) }).await.expect("appends");
    assert_eq!(store.changes(&fraud, 9).await.expect("lists"), [change(2), change(0)]);
    assert_eq!(store.changes(&fraud, 1).await.expect("lists"), [change(2)]);
    assert_eq!(store.changes(&service("spam"), 9).await.expect("lists"), []);
    let wrong = ChangeLine { service: service("spam"), ..change(0) };
    let tip = store.journal(&fraud, 2, 1).await.expect("reads")[0].tip();
    store.append(Append { changes: vec![wrong], ..append(&fraud, tip, 1) }).await.expect_err("another's");
}

fn uses(class: Class, incident: Option<IncidentId>, number: u64, content: Content) -> Use {
    Use { class, incident, number, at: UnixMillis(number), content }
}

/// One content may be needed by several records, for several reasons.
pub async fn content_goes_with_its_last_use(store: Fresh) {
    let fraud = service("fraud-api");
    let (shared, alone, object) = (text(1, "shared"), text(2, "alone"), Content::Object(Digest::of("o")));
    let blob = |blob: &ripcord_ports::store::NewBlob| Content::Blob(blob.reference.commitment);
    let incident = Some(IncidentId::numbered(&fraud, 1));
    let all = vec![
        uses(Class::Decisions, None, 0, blob(&shared)),
        uses(Class::Decisions, None, 1, blob(&alone)),
        uses(Class::Incidents, incident, 1, blob(&shared)),
        uses(Class::Evidence, None, 1, object),
    ];
    let blobs = vec![shared.clone(), alone.clone()];
    let first = Append { blobs: blobs.clone(), uses: all.clone(), ..append(&fraud, Tip::START, 2) };
    let tip = store.append(first).await.expect("appends");
    assert_eq!(
        (store.uses(blob(&shared)).await.expect("counts"), store.uses(object).await.expect("counts")),
        (2, 1)
    );

    let tip =
        store.append(Append { over: all[..2].to_vec(), ..append(&fraud, tip, 1) }).await.expect("appends");
    assert_eq!(store.blob(&alone.reference).await.expect("reads"), None, "erased, and not lost");
    assert!(store.blob(&shared.reference).await.expect("reads").is_some(), "the incident still needs it");
    // What was erased does not come back.
    let tip = store.append(Append { blobs, ..append(&fraud, tip, 1) }).await.expect("appends");
    assert_eq!(store.blob(&alone.reference).await.expect("reads"), None);

    store.append(Append { over: all[2..].to_vec(), ..append(&fraud, tip, 1) }).await.expect("appends");
    assert_eq!(store.blob(&shared.reference).await.expect("reads"), None);
    assert_eq!(store.uses(object).await.expect("counts"), 0);
}

/// Oldest first, at most as many as asked for.
pub async fn spared_incidents_and_younger_uses_are_not_over(store: Fresh) {
    let fraud = service("fraud-api");
    let content = Content::Object(Digest::of("o"));
    let incident = |number| Some(IncidentId::numbered(&fraud, number));
    let all = vec![
        uses(Class::Incidents, incident(1), 0, content),
        uses(Class::Incidents, incident(2), 1, content),
        uses(Class::Incidents, None, 2, content),
        uses(Class::Incidents, incident(1), 3, content),
        uses(Class::Signals, None, 0, content),
    ];
    store.append(Append { uses: all.clone(), ..append(&fraud, Tip::START, 4) }).await.expect("appends");
    let spared = [IncidentId::numbered(&fraud, 2)];
    let expired = |before, spared| Expired {
        service: &fraud,
        class: Class::Incidents,
        before: UnixMillis(before),
        spared,
    };
    let none: &[IncidentId] = &[];
    for (before, spared, limit, expected) in [
        (3, none, 9, &[0, 1, 2][..]),
        (4, &spared[..], 9, &[0, 2, 3]),
        (4, &spared[..], 2, &[0, 2]),
        (0, none, 9, &[]),
    ] {
        let found = store.expired(expired(before, spared), limit).await.expect("lists");
        let expected: Vec<_> = expected.iter().map(|index: &usize| all[*index].clone()).collect();
        assert_eq!(found, expected, "before {before}");
    }
}

/// Whatever waits stays, however old it is; what has no route goes as well.
pub async fn forgotten_signals_are_those_that_nobody_waits_for(store: Fresh) {
    let fraud = service("fraud-api");
    for (number, of) in [Some(&fraud), Some(&fraud), None, Some(&fraud)].into_iter().enumerate() {
        let at = number as u64;
        let new = signal(&format!("s-{number}"), of, &format!("{number}"), at);
        store.accept(vec![new]).await.expect("accepts");
    }
    let consumed = ["s-0", "s-3"].map(|id| SignalId::new(id).expect("an id")).to_vec();
    store.append(Append { consumed, ..append(&fraud, Tip::START, 1) }).await.expect("appends");
    assert_eq!(store.forget_signals(UnixMillis(3), 1).await.expect("forgets"), 1);
    assert_eq!(store.forget_signals(UnixMillis(3), 9).await.expect("forgets"), 1);
    assert_eq!(store.forget_signals(UnixMillis(3), 9).await.expect("forgets"), 0);
    assert_eq!(ids(&waiting(&*store, &fraud).await), ["s-1"]);
    let unrouted = store.signals(ripcord_ports::store::SignalFilter::Unrouted, 9).await.expect("lists");
    assert_eq!(unrouted, []);
}
