//! What every restorer must do.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::FacetState;
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::Probe;
use ripcord_ports::restorer::{HistoryEntry, RestoreOrder};
use ripcord_ports::{Applied, ErrorKind, Restorer};

use super::registry::refused;
use super::request;
use super::rule::holds;

pub(super) const POLLS_MAX: u32 = 200;
pub(super) const BETWEEN_POLLS: Duration = Duration::from_millis(50);
/// Text of others is shown to people: more than this of one of them is no line.
const TEXT_CHARS_MAX: usize = 1_000;

/// The service that the restorer under test is for, asked by the test itself and not through the restorer.
#[async_trait]
pub trait RestoredService: Send + Sync {
    /// The content that it works with now: what it loaded, not what is stored for it.
    async fn works_with(&self) -> Vec<u8>;

    /// Has it work with something that nobody restored and that was no revision before.
    async fn go_astray(&self);
}

/// What the restorer under test has to offer.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its history, newest first. Two at least, all of which can be restored.
    pub newest_first: Vec<VersionName>,
}

/// Checks the restorer. Whatever was in force before is replaced; the second revision of the history is in force afterwards.
pub async fn conforms(restorer: &dyn Restorer, service: &dyn RestoredService, expected: &Expected) {
    let [two, one, ..] = expected.newest_first.as_slice() else {
        panic!("the suite needs two revisions at least")
    };
    holds("says-what-it-will-do", says(restorer)).await;
    holds("says-what-a-restore-sends", async {
        let (a, b) = (Some(Digest::of("a")), Some(Digest::of("b")));
        request::says(&|| restorer.request(one, a), restorer.request(two, a), None);
        request::says(&|| restorer.request(one, a), restorer.request(one, b), None);
    })
    .await;
    holds("lists-history-newest-first", lists(restorer, expected)).await;
    holds("describes-revisions-as-listed", describes(restorer, expected)).await;
    holds("puts-in-force-and-not-only-in-store", async {
        settle_at(restorer, service, one).await;
        settle_at(restorer, service, two).await;
        settle_at(restorer, service, one).await;
    })
    .await;
    let to_two = order(restorer, "conformance-1", two, in_force(restorer).await).await;
    holds("a-probe-tells-what-happened-to-a-restore", probes(restorer, service, one, &to_two)).await;
    holds("a-restore-repeats", repeats(restorer, service, &to_two)).await;
    holds("an-unknown-revision-is-not-found", refuses_unknown(restorer, service, two)).await;
    holds("another-digest-is-refused", refuses_another_digest(restorer, service, one, two)).await;
    holds("expects-what-is-in-force", refuses_when_another_is_in_force(restorer, service, one, two)).await;
    holds("what-is-foreign-is-no-revision", tells_what_is_foreign(restorer, service, expected)).await;
    holds("puts-in-force-and-not-only-in-store", settle_at(restorer, service, one)).await;
}

async fn says(restorer: &dyn Restorer) {
    assert!(!restorer.name().is_empty(), "it has a name");
    let arguments = restorer.arguments();
    assert!(!arguments.is_empty(), "a plan's step says what it will do");
    let names: BTreeSet<_> = arguments.iter().map(|argument| &argument.name).collect();
    assert_eq!(names.len(), arguments.len(), "each argument is said once: {arguments:?}");
    let again = restorer.arguments();
    assert_eq!(arguments, again, "what a plan pins is the same each time");
}

pub(super) fn one_line(text: &str, what: &str) {
    assert!(!text.contains(['\n', '\r', '\u{1b}']), "{what} is one line and harmless: {text:?}");
    assert!(text.chars().count() <= TEXT_CHARS_MAX, "{what} is bounded");
}

async fn lists(restorer: &dyn Restorer, expected: &Expected) {
    let listed = history(restorer, u32::MAX).await;
    let restorable = listed.iter().filter(|entry| entry.broken.is_none());
    let names: Vec<_> = restorable.map(|entry| &entry.revision).collect();
    assert_eq!(names, expected.newest_first.iter().collect::<Vec<_>>(), "revisions are listed newest first");
    for pair in listed.windows(2) {
        if let [Some(newer), Some(older)] = [pair[0].made_at, pair[1].made_at] {
            assert!(newer >= older, "`made_at` agrees with the order");
        }
    }
    for entry in &listed {
        one_line(&entry.summary, "a summary");
        one_line(entry.made_by.as_deref().unwrap_or_default(), "who made it");
        one_line(entry.broken.as_deref().unwrap_or_default(), "why it is broken");
    }
    let unique: BTreeSet<_> = listed.iter().map(|entry| &entry.revision).collect();
    assert_eq!(unique.len(), listed.len(), "each revision is listed once");
    assert_eq!(history(restorer, 1).await, listed[..1], "a limit keeps the newest");
}

async fn describes(restorer: &dyn Restorer, expected: &Expected) {
    let listed = history(restorer, u32::MAX).await;
    let mut contents = BTreeSet::new();
    for name in &expected.newest_first {
        let described = restorer.revision(name).await.unwrap_or_else(|error| panic!("`{name}`: {error}"));
        assert!(listed.contains(&described), "a revision is described as it is listed: {described:?}");
        let bytes = content(restorer, name).await;
        assert_eq!(bytes, content(restorer, name).await, "the content is the same each time");
        let digest = Digest::of(&bytes);
        assert_eq!(described.digest.unwrap_or(digest), digest, "a digest that is listed is the content's");
        let pinned = restorer.content(name, Some(digest)).await;
        assert_eq!(pinned.ok().as_ref(), Some(&bytes), "pinning the digest that it has changes nothing");
        let other = Some(Digest::of("another content"));
        let error = refused(restorer.content(name, other).await, "content with another digest");
        assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
        assert!(contents.insert(digest), "two revisions differ: what has the same content is one revision");
    }
}

async fn probes(
    restorer: &dyn Restorer,
    service: &dyn RestoredService,
    one: &VersionName,
    to_two: &RestoreOrder,
) {
    let probed = probe(restorer, to_two).await;
    assert_eq!(probed, Probe::NotApplied, "a restore that was not begun is not applied");
    unchanged(restorer, service, one, "a probe changes nothing").await;
    shift(restorer, to_two).await;
    reach(restorer, service, &to_two.revision).await;
    assert_eq!(probe(restorer, to_two).await, Probe::Applied, "a restore that is done is applied");
}

async fn repeats(restorer: &dyn Restorer, service: &dyn RestoredService, to_two: &RestoreOrder) {
    let again = RestoreOrder { expecting: in_force(restorer).await, ..to_two.clone() };
    shift(restorer, &again).await;
    reach(restorer, service, &to_two.revision).await;
    // Word for word, as after a crash: what it expected is not in force any more, because it was done.
    if let Err(error) = restorer.shift(to_two).await {
        assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    }
    reach(restorer, service, &to_two.revision).await;
}

async fn refuses_unknown(restorer: &dyn Restorer, service: &dyn RestoredService, two: &VersionName) {
    let Ok(name) = VersionName::new("no-such-revision-0.0.0") else {
        panic!("the suite's own name is valid")
    };
    let errors = [
        refused(restorer.revision(&name).await, "an unknown revision"),
        refused(restorer.content(&name, None).await, "the content of an unknown revision"),
        refused(
            restorer.shift(&order_of("conformance-2", &name, None, in_force(restorer).await)).await,
            "a restore of an unknown revision",
        ),
    ];
    for error in errors {
        assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
        assert!(error.to_string().contains(name.as_str()), "the error names it: {error}");
    }
    unchanged(restorer, service, two, "a refusal changes nothing").await;
}

async fn refuses_another_digest(
    restorer: &dyn Restorer,
    service: &dyn RestoredService,
    one: &VersionName,
    two: &VersionName,
) {
    let other = Some(Digest::of("another content"));
    let wrong = order_of("conformance-3", one, other, in_force(restorer).await);
    let error = refused(restorer.shift(&wrong).await, "a restore with another digest than ordered");
    assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
    unchanged(restorer, service, two, "a refusal changes nothing").await;
}

async fn refuses_when_another_is_in_force(
    restorer: &dyn Restorer,
    service: &dyn RestoredService,
    one: &VersionName,
    two: &VersionName,
) {
    let Ok(elsewhere) = VersionName::new("another-revision") else { panic!("the suite's own name is valid") };
    let order = order(restorer, "conformance-4", one, Some(elsewhere)).await;
    let error = refused(restorer.shift(&order).await, "a restore that expects another revision in force");
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    unchanged(restorer, service, two, "a conflict changes nothing").await;
}

async fn tells_what_is_foreign(restorer: &dyn Restorer, service: &dyn RestoredService, expected: &Expected) {
    service.go_astray().await;
    let works_with = service.works_with().await;
    match state(restorer).await {
        FacetState::Unknown(why) => {
            assert!(!why.is_empty(), "why it is unknown is said");
            one_line(&why, "why it is unknown");
        }
        FacetState::InForce(found) => {
            assert!(
                !expected.newest_first.contains(&found.revision),
                "the service works with what is no revision, and `{}` is told",
                found.revision
            );
            // What is found may become a revision: then it is listed, and can be put back.
            let kept = content(restorer, &found.revision).await;
            assert_eq!(kept, works_with, "what becomes a revision is what the service works with");
            let listed = history(restorer, u32::MAX).await;
            assert!(listed.iter().any(|entry| entry.revision == found.revision), "it is listed");
        }
    }
}

/// An order for a revision, with the digest that it has.
pub(super) async fn order(
    restorer: &dyn Restorer,
    key: &str,
    revision: &VersionName,
    expecting: Option<VersionName>,
) -> RestoreOrder {
    let digest = Digest::of(content(restorer, revision).await);
    order_of(key, revision, Some(digest), expecting)
}

/// An order for a revision.
pub fn order_of(
    key: &str,
    revision: &VersionName,
    digest: Option<Digest>,
    expecting: Option<VersionName>,
) -> RestoreOrder {
    let Ok(incident) = IncidentId::new("conformance:1") else { panic!("the suite's own name is valid") };
    RestoreOrder {
        key: key.to_owned(),
        revision: revision.clone(),
        digest,
        expecting,
        incident,
        plan: Digest::of("the suite's plan"),
        deadline: Millis::seconds(30),
    }
}

async fn history(restorer: &dyn Restorer, limit: u32) -> Vec<HistoryEntry> {
    restorer.history(limit).await.unwrap_or_else(|error| panic!("history: {error}"))
}

pub(super) async fn content(restorer: &dyn Restorer, revision: &VersionName) -> Vec<u8> {
    restorer.content(revision, None).await.unwrap_or_else(|error| panic!("content of `{revision}`: {error}"))
}

pub(super) async fn state(restorer: &dyn Restorer) -> FacetState<String> {
    restorer.in_force().await.unwrap_or_else(|error| panic!("in force: {error}")).state
}

pub(super) async fn in_force(restorer: &dyn Restorer) -> Option<VersionName> {
    state(restorer).await.known().map(|known| known.revision.clone())
}

pub(super) async fn shift(restorer: &dyn Restorer, order: &RestoreOrder) {
    restorer.shift(order).await.unwrap_or_else(|error| panic!("restore of `{}`: {error}", order.revision));
}

async fn probe(restorer: &dyn Restorer, order: &RestoreOrder) -> Probe {
    restorer.probe(order).await.unwrap_or_else(|error| panic!("probe of `{}`: {error}", order.revision))
}

/// Restores the revision from whatever is in force.
pub(super) async fn settle_at(
    restorer: &dyn Restorer,
    service: &dyn RestoredService,
    revision: &VersionName,
) {
    let order = order(restorer, "conformance: settle", revision, in_force(restorer).await).await;
    shift(restorer, &order).await;
    reach(restorer, service, revision).await;
}

/// Reads what is in force until it is the revision; then the service itself works with it.
pub(super) async fn reach(restorer: &dyn Restorer, service: &dyn RestoredService, revision: &VersionName) {
    let wanted = content(restorer, revision).await;
    let mut seen = state(restorer).await;
    for _ in 0..POLLS_MAX {
        if seen.known().is_some_and(|known| known.is(revision, Some(Digest::of(&wanted)))) {
            assert!(
                service.works_with().await == wanted,
                "`{revision}` is told to be in force, and the service works with something else: it was stored and not taken over"
            );
            return;
        }
        tokio::time::sleep(BETWEEN_POLLS).await;
        seen = state(restorer).await;
    }
    panic!("`{revision}` was restored and in force is {seen:?}");
}

async fn unchanged(
    restorer: &dyn Restorer,
    service: &dyn RestoredService,
    revision: &VersionName,
    why: &str,
) {
    assert_eq!(in_force(restorer).await.as_ref(), Some(revision), "{why}");
    assert!(
        service.works_with().await == content(restorer, revision).await,
        "{why}, and the service was changed"
    );
}
