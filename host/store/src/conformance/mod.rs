//! The rules of [`Store`] as tests, for every implementation: see [`store_conformance`](crate::store_conformance).
//!
//! Each rule is an async function that takes a fresh store and panics where the store breaks the rule.

use std::sync::Arc;

use ripcord_core::blob::{BlobKind, Salt};
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Outcome, PastIncident};
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Append, IncidentLine, NewBlob, NewSignal, SignalFilter, Store, StoredSignal};

pub mod content;
pub mod derived;
pub mod intake;
pub mod journal;
pub mod model;

/// Makes a test of every rule. The argument is an expression, evaluated in each test, of a fresh `Arc<dyn Store>` and a guard that lives
/// as long as the test.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::store_conformance! { @rules $fresh;
            intake::accepted_signals_wait_in_order
            intake::a_repeat_within_the_window_is_counted
            intake::a_repeat_of_a_consumed_signal_is_counted
            intake::the_window_starts_at_the_first_and_ends
            intake::a_clock_that_was_ahead_swallows_nothing
            intake::other_keys_are_other_signals
            intake::unrouted_signals_are_kept_and_listed
            intake::a_taken_id_refuses_the_whole_call
            intake::a_second_try_of_the_same_signal_is_a_repeat
            intake::the_same_firing_after_its_end_is_news_and_a_late_one_is_not
            intake::an_end_after_a_second_firing_is_news
            intake::a_firing_that_changes_its_meaning_is_news
            intake::in_every_order_of_two_members_the_alert_ends
            intake::equal_signals_at_once_are_stored_once
            intake::bursts_lose_nothing
            journal::records_are_read_as_they_were_written
            journal::only_the_tip_can_be_continued
            journal::of_writers_at_once_one_wins
            journal::an_append_that_fails_leaves_nothing
            journal::a_signal_is_consumed_once_and_by_its_service
            journal::records_that_do_not_chain_are_refused
            journal::an_append_that_fails_does_not_harm_others
            derived::the_longest_snapshot_that_is_short_enough_is_found
            derived::a_snapshot_takes_the_place_of_the_last_and_not_of_a_page_s
            derived::a_snapshot_must_be_of_an_end_of_what_is_appended
            derived::a_timeline_is_kept_in_runs
            derived::what_moved_is_listed_newest_first
            derived::content_goes_with_its_last_use
            derived::spared_incidents_and_younger_uses_are_not_over
            derived::forgotten_signals_are_those_that_nobody_waits_for
            content::blobs_come_back_and_may_come_twice
            content::a_blob_that_was_never_kept_is_damage
            content::a_blob_must_be_what_its_reference_says
            content::incidents_are_listed_newest_first
            content::an_incident_belongs_to_the_service_that_appends
            content::components_are_kept_by_digest
            content::components_go_with_their_last_use
            content::notes_are_set_and_replaced
            content::the_installation_stays_the_same
        }
    };
    (@rules $fresh:expr; $($module:ident :: $rule:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let (store, _guard) = $fresh;
            $crate::conformance::$module::$rule(store).await;
        }
    )*};
}

/// What a rule gets.
pub type Fresh = Arc<dyn Store>;

/// A service's name.
pub fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a valid name")
}

/// A signal for `service` that came at `at_ms`; its dedupe key is of `key`, its window a minute.
pub fn signal(id: &str, service: Option<&ServiceName>, key: &str, at_ms: u64) -> NewSignal {
    NewSignal {
        signal: Signal {
            id: SignalId::new(id).expect("a valid id"),
            origin: Origin::Webhook("alerts".into()),
            rule: "TooManyFalsePositives".into(),
            status: SignalStatus::Firing,
            kind: SignalKind::Condition,
            severity: Severity::Other("größer".into()),
            labels: vec![Label::new("service", "fraud-api")],
            annotations: vec![Label::new("summary", "quote \" and \u{0} nul")],
            started_at: UnixMillis(u64::MAX),
            ended_at: None,
            received_at: UnixMillis(at_ms),
        },
        source: Some(SourceName::new("alerts").expect("a valid name")),
        service: service.cloned(),
        dedupe_key: Digest::of(key),
        dedupe_window: Millis::minutes(1),
        turn: None,
    }
}

/// So many records after `tip`, all chained.
pub fn records(service: &ServiceName, mut tip: Tip, count: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for _ in 0..count {
        let event = format!("event {} of {service}", tip.length);
        let record = Record::write(service, tip, UnixMillis(tip.length), &event).expect("encodes");
        tip = record.tip();
        records.push(record);
    }
    records
}

/// An append of so many records after `tip` and nothing else.
pub fn append(service: &ServiceName, tip: Tip, count: u64) -> Append {
    Append { records: records(service, tip, count), ..Append::default() }
}

/// A text, with a salt made of `salt`.
pub fn text(salt: u8, content: &str) -> NewBlob {
    NewBlob::new(BlobKind::Text, Salt([salt; 32]), content.as_bytes().to_vec())
}

/// An open incident.
pub fn incident(service: &ServiceName, number: u32, at_ms: u64) -> IncidentLine {
    IncidentLine {
        service: service.clone(),
        incident: PastIncident {
            id: IncidentId::numbered(service, number),
            opened_at: UnixMillis(at_ms),
            settled_at: None,
            strategy: None,
            outcome: Outcome::Open,
            target: None,
        },
        summary: format!("incident {number}"),
    }
}

/// The signals that wait for `service`.
pub async fn waiting(store: &dyn Store, service: &ServiceName) -> Vec<StoredSignal> {
    store.signals(SignalFilter::Waiting(service), u32::MAX).await.expect("lists")
}

/// Their ids.
pub fn ids(signals: &[StoredSignal]) -> Vec<&str> {
    signals.iter().map(|stored| stored.signal.id.as_str()).collect()
}
