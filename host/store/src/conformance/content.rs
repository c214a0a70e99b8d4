//! Blobs, incidents, components, notes, identity.

use ripcord_core::digest::Digest;
use ripcord_core::fact::Outcome;
use ripcord_core::journal::Tip;
use ripcord_core::retention::Class;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, Content, Expired, StoreError, Use};

use super::{Fresh, append, incident, service, text};

/// Content as it was, empty or large; the same blob again is no failure.
pub async fn blobs_come_back_and_may_come_twice(store: Fresh) {
    let fraud = service("fraud-api");
    let blobs = vec![text(1, ""), text(2, "reason"), text(3, &"x".repeat(300_000)), text(2, "reason")];
    let first = Append { blobs: blobs.clone(), ..append(&fraud, Tip::START, 1) };
    let tip = store.append(first).await.expect("appends");
    store.append(Append { blobs: blobs.clone(), ..append(&fraud, tip, 1) }).await.expect("appends");
    for blob in blobs {
        assert_eq!(store.blob(&blob.reference).await.expect("reads"), Some(blob.content));
    }
}

/// Missing is not the same as erased.
pub async fn a_blob_that_was_never_kept_is_damage(store: Fresh) {
    let error = store.blob(&text(1, "never").reference).await.expect_err("missing");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

/// When it is written and when it is read.
pub async fn a_blob_must_be_what_its_reference_says(store: Fresh) {
    let fraud = service("fraud-api");
    let mut wrong = text(1, "reason");
    wrong.content.push(b'!');
    let outcome = store.append(Append { blobs: vec![wrong], ..append(&fraud, Tip::START, 1) }).await;
    outcome.expect_err("refused");
    assert_eq!(store.services().await.expect("lists"), []);

    let blob = text(1, "reason");
    let first = Append { blobs: vec![blob.clone()], ..append(&fraud, Tip::START, 1) };
    store.append(first).await.expect("appends");
    let mut reference = blob.reference;
    reference.bytes += 1;
    let error = store.blob(&reference).await.expect_err("another size");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

/// By service or all; a line is replaced by its newer form.
pub async fn incidents_are_listed_newest_first(store: Fresh) {
    let (fraud, spam) = (service("fraud-api"), service("spam"));
    let lines = vec![incident(&fraud, 1, 10), incident(&fraud, 2, 30)];
    let tip =
        store.append(Append { incidents: lines, ..append(&fraud, Tip::START, 1) }).await.expect("appends");
    let line = vec![incident(&spam, 1, 20)];
    store.append(Append { incidents: line, ..append(&spam, Tip::START, 1) }).await.expect("appends");
    let mut settled = incident(&fraud, 1, 10);
    settled.incident.settled_at = Some(UnixMillis(99));
    settled.incident.outcome = Outcome::RolledBack;
    settled.summary = "settled".into();
    let newer = Append { incidents: vec![settled.clone()], ..append(&fraud, tip, 1) };
    store.append(newer).await.expect("appends");

    let all = store.incidents(None, 9).await.expect("lists");
    assert_eq!(all, [incident(&fraud, 2, 30), incident(&spam, 1, 20), settled.clone()]);
    assert_eq!(
        store.incidents(Some(&fraud), 9).await.expect("lists"),
        [incident(&fraud, 2, 30), settled.clone()]
    );
    assert_eq!(store.incidents(None, 1).await.expect("lists"), [incident(&fraud, 2, 30)]);
    assert_eq!(store.incident(&settled.incident.id).await.expect("reads"), Some(settled));
    let unknown = incident(&fraud, 7, 0).incident.id;
    assert_eq!(store.incident(&unknown).await.expect("reads"), None);
}

/// No service writes another one's line.
pub async fn an_incident_belongs_to_the_service_that_appends(store: Fresh) {
    let line = incident(&service("spam"), 1, 0);
    let wrong = Append { incidents: vec![line], ..append(&service("fraud-api"), Tip::START, 1) };
    store.append(wrong).await.expect_err("refused");
    assert_eq!(store.incidents(None, 9).await.expect("lists"), []);
}

/// Keeping the same bytes twice is keeping them once.
pub async fn components_are_kept_by_digest(store: Fresh) {
    let digest = store.keep_component(b"\0asm").await.expect("keeps");
    assert_eq!(digest, Digest::of(b"\0asm"));
    assert_eq!(store.keep_component(b"\0asm").await.expect("keeps"), digest);
    assert_eq!(store.component(&digest).await.expect("reads").as_deref(), Some(b"\0asm".as_slice()));
    assert_eq!(store.component(&Digest::of("other")).await.expect("reads"), None);
}

/// One that is configured, or made a decision whose recording is kept, stays.
pub async fn components_go_with_their_last_use(store: Fresh) {
    let fraud = service("fraud-api");
    let mut digests = Vec::new();
    for bytes in [b"used".as_slice(), b"configured", b"neither"] {
        digests.push(store.keep_component(bytes).await.expect("keeps"));
    }
    let used = Use {
        class: Class::Decisions,
        incident: None,
        number: 0,
        at: UnixMillis(5),
        content: Content::Component(digests[0]),
    };
    let uses = vec![used.clone()];
    let tip = store.append(Append { uses, ..append(&fraud, Tip::START, 1) }).await.expect("appends");
    let expired = Expired { service: &fraud, class: Class::Decisions, before: UnixMillis(9), spared: &[] };
    assert_eq!(store.expired(expired, 9).await.expect("lists"), std::slice::from_ref(&used));
    assert_eq!(store.forget_components(&digests[1..2]).await.expect("forgets"), 1);
    assert_eq!(store.component(&digests[2]).await.expect("reads"), None);
    store.append(Append { over: vec![used], ..append(&fraud, tip, 1) }).await.expect("appends");
    assert_eq!(store.forget_components(&digests[1..2]).await.expect("forgets"), 1);
    assert_eq!(store.component(&digests[0]).await.expect("reads"), None);
    assert_eq!(store.component(&digests[1]).await.expect("reads").as_deref(), Some(b"configured".as_slice()));
}

/// Small values under a name.
pub async fn notes_are_set_and_replaced(store: Fresh) {
    assert_eq!(store.note("cursor").await.expect("reads"), None);
    for value in [b"1".as_slice(), b"", b"two"] {
        store.set_note("cursor", value).await.expect("sets");
        assert_eq!(store.note("cursor").await.expect("reads").as_deref(), Some(value));
    }
    store.set_note("", b"1").await.expect_err("no name");
    store.set_note("large", &vec![0; 1 << 20]).await.expect_err("not small");
    assert_eq!(store.note("large").await.expect("reads"), None);
}

/// Drawn once, at random.
pub async fn the_installation_stays_the_same(store: Fresh) {
    let installation = store.installation().await.expect("reads");
    assert_eq!(store.installation().await.expect("reads"), installation);
    assert_ne!(installation, Tip::START.hash);
}
