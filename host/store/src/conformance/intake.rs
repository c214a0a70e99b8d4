//! Signals.

use ripcord_core::alert::AlertWord;
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_core::signal::SignalStatus;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Accepted, Append, SignalFilter, StoreError, Turn};
use tokio::task::JoinSet;

use super::{Fresh, append, ids, service, signal, waiting};
use ripcord_core::journal::Tip;

fn id(text: &str) -> SignalId {
    SignalId::new(text).expect("a valid id")
}

/// What was accepted is there, whole, oldest first, by service, at most as many as asked for.
pub async fn accepted_signals_wait_in_order(store: Fresh) {
    let (fraud, spam) = (service("fraud-api"), service("spam"));
    assert_eq!(store.accept(vec![]).await.expect("accepts"), []);
    let first = signal("s-2", Some(&fraud), "a", 5);
    let accepted =
        store.accept(vec![first.clone(), signal("s-1", Some(&fraud), "b", 4)]).await.expect("accepts");
    assert_eq!(accepted, [Accepted::Stored(id("s-2")), Accepted::Stored(id("s-1"))]);
    store.accept(vec![signal("s-3", Some(&spam), "c", 1)]).await.expect("accepts");

    let stored = waiting(&*store, &fraud).await;
    assert_eq!(ids(&stored), ["s-2", "s-1"]);
    assert_eq!(stored[0].signal, first.signal);
    assert_eq!((&stored[0].source, &stored[0].service), (&first.source, &first.service));
    assert_eq!((stored[0].times, stored[0].consumed), (1, false));
    assert_eq!(ids(&store.signals(SignalFilter::Waiting(&fraud), 1).await.expect("lists")), ["s-2"]);
    assert_eq!(store.services_with_signals().await.expect("lists"), [fraud, spam]);
}

/// The second one is not stored; the first one counts it, also within one call.
pub async fn a_repeat_within_the_window_is_counted(store: Fresh) {
    let fraud = service("fraud-api");
    store.accept(vec![signal("s-1", Some(&fraud), "a", 1_000)]).await.expect("accepts");
    let again = vec![signal("s-2", Some(&fraud), "a", 1_000), signal("s-3", Some(&fraud), "a", 60_999)];
    let accepted = store.accept(again).await.expect("accepts");
    assert_eq!(accepted, [Accepted::Repeated(id("s-1")), Accepted::Repeated(id("s-1"))]);
    let stored = waiting(&*store, &fraud).await;
    assert_eq!(ids(&stored), ["s-1"]);
    assert_eq!(stored[0].times, 3);
}

/// A signal that has entered the journal still counts its repeats, and does not wait again.
pub async fn a_repeat_of_a_consumed_signal_is_counted(store: Fresh) {
    let fraud = service("fraud-api");
    store.accept(vec![signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    let consuming = Append { consumed: vec![id("s-1")], ..append(&fraud, Tip::START, 1) };
    store.append(consuming).await.expect("appends");
    let accepted = store.accept(vec![signal("s-2", Some(&fraud), "a", 1)]).await.expect("accepts");
    assert_eq!(accepted, [Accepted::Repeated(id("s-1"))]);
    assert_eq!(waiting(&*store, &fraud).await, []);
    assert_eq!(store.services_with_signals().await.expect("lists"), []);
}

/// Repeats do not prolong the window: an alert that goes on for days is heard again.
pub async fn the_window_starts_at_the_first_and_ends(store: Fresh) {
    let fraud = service("fraud-api");
    let mut accepted = Vec::new();
    for (name, at_ms) in [("s-1", 0), ("s-2", 59_999), ("s-3", 60_000), ("s-4", 119_999)] {
        accepted.extend(store.accept(vec![signal(name, Some(&fraud), "a", at_ms)]).await.expect("accepts"));
    }
    let first_two = [Accepted::Stored(id("s-1")), Accepted::Repeated(id("s-1"))];
    let last_two = [Accepted::Stored(id("s-3")), Accepted::Repeated(id("s-3"))];
    assert_eq!(accepted, [first_two, last_two].concat());

    let mut none = signal("s-5", Some(&fraud), "a", 119_999);
    none.dedupe_window = Millis(0);
    assert_eq!(store.accept(vec![none]).await.expect("accepts"), [Accepted::Stored(id("s-5"))]);
}

/// A signal that came in "the future" is no reason to ignore those of now.
pub async fn a_clock_that_was_ahead_swallows_nothing(store: Fresh) {
    let fraud = service("fraud-api");
    store.accept(vec![signal("s-1", Some(&fraud), "a", u64::MAX)]).await.expect("accepts");
    let accepted = store.accept(vec![signal("s-2", Some(&fraud), "a", 1_000)]).await.expect("accepts");
    assert_eq!(accepted, [Accepted::Stored(id("s-2"))]);
}

/// Only the key decides.
pub async fn other_keys_are_other_signals(store: Fresh) {
    let fraud = service("fraud-api");
    let both = vec![signal("s-1", Some(&fraud), "a", 0), signal("s-2", Some(&fraud), "b", 0)];
    let accepted = store.accept(both).await.expect("accepts");
    assert_eq!(accepted, [Accepted::Stored(id("s-1")), Accepted::Stored(id("s-2"))]);
}

/// Nobody's signals: the newest first, and no service's.
pub async fn unrouted_signals_are_kept_and_listed(store: Fresh) {
    for number in 0..3_u64 {
        let name = format!("s-{number}");
        store.accept(vec![signal(&name, None, &name, number)]).await.expect("accepts");
    }
    store.accept(vec![signal("routed", Some(&service("s")), "r", 0)]).await.expect("accepts");
    let unrouted = store.signals(SignalFilter::Unrouted, 2).await.expect("lists");
    assert_eq!(ids(&unrouted), ["s-2", "s-1"]);
    assert_eq!(unrouted[0].service, None);
    assert_eq!(store.services_with_signals().await.expect("lists"), [service("s")]);
}

/// All signals of a call or none.
pub async fn a_taken_id_refuses_the_whole_call(store: Fresh) {
    let fraud = service("fraud-api");
    store.accept(vec![signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    let call = vec![signal("s-2", Some(&fraud), "b", 0), signal("s-1", Some(&fraud), "c", 7)];
    let error = store.accept(call).await.expect_err("the id is taken");
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("`s-1`")), "{error}");
    assert_eq!(ids(&waiting(&*store, &fraud).await), ["s-1"]);
}

/// A caller that does not know what became of its call may repeat it, whatever the window.
pub async fn a_second_try_of_the_same_signal_is_a_repeat(store: Fresh) {
    let mut new = signal("s-1", Some(&service("s")), "a", 0);
    new.dedupe_window = Millis(0);
    assert_eq!(store.accept(vec![new.clone()]).await.expect("accepts"), [Accepted::Stored(id("s-1"))]);
    assert_eq!(store.accept(vec![new]).await.expect("accepts"), [Accepted::Repeated(id("s-1"))]);
}

/// Words about one alert, of which each has one of a few keys.
struct Alert {
    /// Of the alert, before its keys and ids.
    name: String,
    service: ServiceName,
    words: u32,
}

impl Alert {
    fn new() -> Self {
        Self::named("alert")
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), service: service(&format!("s-{name}")), words: 0 }
    }

    /// It fires, says `sender` at `at_ms`, or has ended then. Gives whether that was taken for news.
    async fn says(&mut self, store: &Fresh, sender: &str, status: SignalStatus, at_ms: u64) -> bool {
        let (key, others) = match status {
            SignalStatus::Firing => ("fires", ["ended", "fires without data"]),
            SignalStatus::Resolved => ("ended", ["fires", "fires without data"]),
        };
        self.word(store, key, others, (sender, status, at_ms)).await
    }

    /// It fires because its data are missing.
    async fn lacks_data(&mut self, store: &Fresh, sender: &str, at_ms: u64) -> bool {
        let firing = (sender, SignalStatus::Firing, at_ms);
        self.word(store, "fires without data", ["ended", "fires"], firing).await
    }

    async fn word(
        &mut self,
        store: &Fresh,
        key: &str,
        others: [&str; 2],
        (sender, status, at_ms): (&str, SignalStatus, u64),
    ) -> bool {
        self.words += 1;
        let keyed = |key: &str| format!("{} {key}", self.name);
        let id = format!("{}-{}", self.name, self.words);
        let mut new = signal(&id, Some(&self.service), &keyed(key), at_ms);
        new.signal.status = status;
        // Its end is known a second later.
        new.signal.ended_at = (status == SignalStatus::Resolved).then(|| UnixMillis(at_ms - 1_000));
        new.dedupe_window = Millis::hours(4);
        new.turn = Some(Turn {
            other_keys: others.map(|other| Digest::of(keyed(other))),
            sender: Digest::of(sender),
        });
        matches!(store.accept(vec![new]).await.expect("accepts")[..], [Accepted::Stored(_)])
    }
}

const MINUTE: u64 = 60_000;

/// Senders lose sight of an alert, say that it ended, and then send the very same firing again. Another sender's first firing that arrives within two
/// minutes of the end was overtaken by it, however often it is sent.
pub async fn the_same_firing_after_its_end_is_news_and_a_late_one_is_not(store: Fresh) {
    use SignalStatus::{Firing, Resolved};
    let mut alert = Alert::new();
    let mut told = Vec::new();
    for (sender, status, at_ms) in [
        ("a", Firing, 10 * MINUTE),
        ("a", Firing, 11 * MINUTE),
        ("b", Firing, 11 * MINUTE),
        ("a", Resolved, 20 * MINUTE),
        ("a", Resolved, 20 * MINUTE),
        // Late, and sent twice.
        ("c", Firing, 20 * MINUTE + 15_000),
        ("c", Firing, 20 * MINUTE + 16_000),
        // Again from one who had said it, even if only as a repeat.
        ("b", Firing, 21 * MINUTE),
        ("a", Firing, 21 * MINUTE + 1),
        ("a", Resolved, 30 * MINUTE),
        // Nobody is late for so long.
        ("d", Firing, 32 * MINUTE),
    ] {
        told.push(alert.says(&store, sender, status, at_ms).await);
    }
    let expected = [true, false, false, true, false, false, false, true, false, true, true];
    assert_eq!(told, expected);
}

/// The end of the second firing has the key of the first one's end. What another sender says of the first one's end, late, ends nothing.
pub async fn an_end_after_a_second_firing_is_news(store: Fresh) {
    use SignalStatus::{Firing, Resolved};
    let mut alert = Alert::new();
    let mut told = Vec::new();
    for (sender, status, at_ms) in [
        ("a", Firing, 10 * MINUTE),
        ("a", Resolved, 20 * MINUTE),
        ("a", Firing, 22 * MINUTE),
        // It ended before the alert fired again.
        ("b", Resolved, 22 * MINUTE + 500),
        // It ended after that.
        ("b", Resolved, 23 * MINUTE),
        ("a", Resolved, 23 * MINUTE),
    ] {
        told.push(alert.says(&store, sender, status, at_ms).await);
    }
    assert_eq!(told, [true, true, true, false, true, false]);
}

/// However the words of two members of a cluster interleave, each of which says that the alert fires and then that it has ended, and however often each
/// word comes, the alert has ended when all have spoken.
pub async fn in_every_order_of_two_members_the_alert_ends(store: Fresh) {
    use SignalStatus::{Firing, Resolved};
    // Which member speaks next.
    let orders = ["aabb", "abab", "abba", "baab", "baba", "bbaa"];
    for (number, order) in orders.into_iter().enumerate() {
        for often in 1..=3 {
            let mut alert = Alert::named(&format!("case-{number}-{often}"));
            let (mut at_ms, mut said) = (10 * MINUTE, std::collections::BTreeMap::new());
            for member in order.chars() {
                let words: &mut u32 = said.entry(member).or_default();
                *words += 1;
                let status = if *words == 1 { Firing } else { Resolved };
                for _ in 0..often {
                    at_ms += 5_000;
                    alert.says(&store, &member.to_string(), status, at_ms).await;
                }
            }
            let taken = waiting(&*store, &alert.service).await;
            let words = (0_u32..).zip(&taken).map(|(index, stored)| {
                let mut signal = stored.signal.clone();
                signal.started_at = UnixMillis(1);
                AlertWord::new(&Digest::of("installation"), index, &signal)
            });
            let stands = words.reduce(|mut stands, word| {
                stands.absorb(&word);
                stands
            });
            assert_eq!(stands.map(|word| word.status), Some(Resolved), "{order}, {often} times each");
        }
    }
}

/// A firing says that its data are missing, and then again what it said before: neither is a repeat of the other.
pub async fn a_firing_that_changes_its_meaning_is_news(store: Fresh) {
    use SignalStatus::Firing;
    let mut alert = Alert::new();
    let told = [
        alert.says(&store, "a", Firing, 10 * MINUTE).await,
        alert.lacks_data(&store, "a", 11 * MINUTE).await,
        alert.lacks_data(&store, "a", 12 * MINUTE).await,
        alert.says(&store, "a", Firing, 13 * MINUTE).await,
        alert.says(&store, "a", Firing, 14 * MINUTE).await,
    ];
    assert_eq!(told, [true, true, false, true, false]);
}

/// However they interleave.
pub async fn equal_signals_at_once_are_stored_once(store: Fresh) {
    let fraud = service("fraud-api");
    let mut calls = JoinSet::new();
    for number in 0..32_u64 {
        let (store, new) = (store.clone(), signal(&format!("s-{number}"), Some(&fraud), "same", number));
        calls.spawn(async move { store.accept(vec![new]).await.expect("accepts") });
    }
    let accepted = calls.join_all().await.concat();
    assert_eq!(accepted.iter().filter(|one| matches!(one, Accepted::Stored(_))).count(), 1);
    let stored = waiting(&*store, &fraud).await;
    assert_eq!((stored.len(), stored[0].times), (1, 32));
}

/// More callers than the queue has places, several signals each.
pub async fn bursts_lose_nothing(store: Fresh) {
    let fraud = service("fraud-api");
    let mut calls = JoinSet::new();
    for call in 0..200_u64 {
        let (store, fraud) = (store.clone(), fraud.clone());
        calls.spawn(async move {
            let names: Vec<_> = (0..3).map(|number| format!("s-{call}-{number}")).collect();
            let news = names.iter().map(|name| signal(name, Some(&fraud), name, call)).collect();
            let accepted = store.accept(news).await.expect("accepts");
            let stored: Vec<_> = names.iter().map(|name| Accepted::Stored(id(name))).collect();
            assert_eq!(accepted, stored);
        });
    }
    calls.join_all().await;
    assert_eq!(waiting(&*store, &fraud).await.len(), 600);
}
