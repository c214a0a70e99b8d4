//! What every adapter of a port must do. Run these against an adapter of your own, from a test.
//!
//! An adapter needs the crates `ripcord-core` and `ripcord-ports`, and for its tests this one with the feature `testing`:
//!
//! ```no_run
//! use ripcord_adapters::conformance::registry::{Expected, conforms};
//! use ripcord_adapters::conformance::Scratch;
//! # use ripcord_core::target::VersionTarget;
//! # use ripcord_ports::Registry;
//! # fn my_registry() -> Box<dyn Registry> { unimplemented!() }
//! # fn version(name: &str) -> VersionTarget { unimplemented!() }
//!
//! # #[allow(clippy::needless_doctest_main)]
//! #[tokio::main]
//! async fn main() {
//!     let registry = my_registry();
//!     let expected = Expected { newest_first: vec![version("2"), version("1")], marks: true, promotes: true };
//!     let scratch = Scratch::new();
//!     conforms(registry.as_ref(), &expected, &|| scratch.empty_dir()).await;
//! }
//! ```
//!
//! A suite panics at the first thing that is wrong, and names the rule: *the rule `fetches-what-is-pinned` is broken: …*. What an adapter cannot do it
//! refuses as [`ErrorKind::Unsupported`](ripcord_ports::ErrorKind::Unsupported), with no effect, and the suites hold it to that.
//!
//! | suite | rule | what it asks |
//! |---|---|---|
//! | [`registry::conforms`] | `lists-newest-first` | all versions, newest first, sorted tags; a limit keeps the newest |
//! | | `describes-as-listed` | one version as in the list; a manifest that is the same each time |
//! | | `fetches-what-is-pinned` | the artefact's files and nothing else, with their digests; another digest than pinned is `WrongDigest` |
//! | | `unknown-is-not-found` | an unknown version is `NotFound`, and the error names it |
//! | | `marks-repeat` | a mark can be set and lifted twice, and breaks no version |
//! | | `says-what-moves-the-name` | where there is such a name: the same each time, another for another version |
//! | | `promotes-from-what-is-expected` | the name moves from what was expected and from nothing else, and is read back |
//! | [`registry_faults::conforms_in_faults`] | `reads-tell-the-truth-in-faults` | the same facts or an error, never others |
//! | | `a-page-is-no-fact` | a page with a status of success is `BadAnswer`, and no part of an artefact |
//! | | `a-promotion-is-sent-once` | what may have happened is not sent again; an error says whether it happened |
//! | | `marks-repeat-in-faults` | a mark that failed can be set again |
//! | [`registering::conforms`] | `registers-once-by-key` | the same key gives the version that is there, with the files that it has |
//! | | `registers-whole` | with its files, digest, lineage and finite measures; no alias, nothing put in production |
//! | | `a-taken-name-is-a-conflict` | with no effect, where names can be chosen |
//! | | `registers-nothing-damaged` | a file that is not as it was hashed is `WrongDigest` |
//! | [`registering::conforms_in_faults`] | `registers-once-in-faults` | what is said of it is so, and repeating it makes no second version |
//! | [`deployer::conforms`] | `says-what-a-shift-sends` | the same each time, another for another target; nothing for what it cannot set |
//! | | `says-what-it-cannot-move-at-once` | a request for a wave exactly where it can make it |
//! | | `reads-back-what-was-shifted` | live becomes what was ordered |
//! | | `a-probe-tells-what-happened` | and changes nothing |
//! | | `a-shift-repeats` | the same order again has the effect of once |
//! | | `refuses-what-it-cannot-set` | with no effect |
//! | | `expects-what-is-live` | only of a conditional one: another live is `Conflict`, with no effect |
//! | | `a-blind-deployer-says-so` | only of a blind one: a probe cannot tell |
//! | [`deployer_faults::conforms_in_faults`] | `live-is-told-truly-in-faults` | what is live, unknown with a reason, or an error |
//! | | `a-shift-is-asked-for-once` | where it may have happened; what is said of it is so |
//! | | `unknown-when-nothing-answers` | a shift whose outcome nobody can read is unknown, to the probe too |
//! | | `not-reached-is-not-done` | an error, and live is what it was |
//! | [`deployer_waves::conforms_in_waves`] | `says-what-a-wave-sends` | the same each time, another for another wave |
//! | | `a-wave-moves-its-part` | and leaves the rest as it is; a probe tells, and the same order again has the effect of once |
//! | [`deployer_beside::conforms_beside`] | `a-candidate-moves-nothing` | it answers beside what is live, one at a time, and goes when it is cleared |
//! | [`deployer_beside::conforms_beside_in_faults`] | `a-candidate-moves-nothing-in-faults` | the same |
//! | [`pipeline::conforms`] | `a-run-is-begun-once` | whoever orders it, how often and when |
//! | | `a-green-run-proves-nothing` | live alone tells what became of it |
//! | | `a-red-run-may-have-deployed` | live alone tells that, too |
//! | | `a-red-run-says-why` | in one harmless line; that live is as before says nothing of what it left behind; once more is another run |
//! | | `a-red-run-may-go-on` | what it has begun is waited for |
//! | | `a-restarted-host-follows-a-pipeline` | the run is found by its mark, and not begun again |
//! | | `one-order-at-a-time` | while a run of another order goes on, none is begun |
//! | | `a-run-that-nobody-finds-is-no-absence` | what was begun and is gone is for people to tell |
//! | [`pipeline::conforms_in_faults`] | `a-pipeline-is-begun-once-in-faults` | what is said of a start is so; a start that may have happened and is not found is *cannot tell*, unless its mark is the system's key |
//! | | `a-pipeline-is-followed-in-faults` | each look goes wrong once, and what is said is so |
//! | | `one-order-at-a-time-in-faults` | where it cannot be seen whether a run of another order goes on, none is begun |
//! | [`restorer::conforms`] | `says-what-it-will-do` | arguments for a plan, the same each time |
//! | | `says-what-a-restore-sends` | the same each time, another for another revision and for another digest |
//! | | `lists-history-newest-first` | all revisions, newest first, each once, in one harmless line each; a limit keeps the newest |
//! | | `describes-revisions-as-listed` | one revision as in the list; its content, with the digest that it is pinned with; no two with the same content |
//! | | `puts-in-force-and-not-only-in-store` | in force becomes what was ordered, and the service itself works with it |
//! | | `a-probe-tells-what-happened-to-a-restore` | and changes nothing |
//! | | `a-restore-repeats` | the same order again has the effect of once |
//! | | `an-unknown-revision-is-not-found` | with no effect, and the error names it |
//! | | `another-digest-is-refused` | before anything is changed |
//! | | `expects-what-is-in-force` | another one in force is `Conflict`, with no effect |
//! | | `what-is-foreign-is-no-revision` | it is unknown with a reason, or becomes a revision of its own |
//! | [`restorer_faults::conforms_in_faults`] | `in-force-is-told-truly-in-faults` | what is in force, unknown with a reason, or an error |
//! | | `a-restore-is-asked-for-once` | where it may have happened; what is said of it is so |
//! | | `a-restore-is-unknown-when-nothing-answers` | to the probe too |
//! | | `a-restore-that-was-not-begun-changes-nothing` | an error, and the service works with what it did |
//! | [`alert_source::conforms`] | `reads-what-its-system-sends` | every alert once, none taken for another one |
//! | | `a-repeat-is-known-as-one` | the same webhook reads the same, keys included |
//! | | `what-is-no-webhook-is-refused` | with one harmless sentence, and never as a webhook without alerts |
//! | | `a-cut-webhook-is-refused` | wherever it was cut |
//! | [`notifier::conforms`] | `delivers-what-was-announced` | service, incident and text come in |
//! | | `a-repeat-keeps-its-id` | so that the receiver can tell |
//! | | `text-of-others-obeys-nobody` | no character of it reaches a terminal |
//! | [`notifier::conforms_in_faults`] | `undelivered-is-an-error` | which says whether trying again helps |
//! | | `what-was-not-delivered-can-be-sent-again` | and comes in |
//! | [`producer::conforms`] | `says-what-a-run-will-be` | arguments for a plan, the same each time |
//! | | `says-what-a-start-sends` | the same each time, another for another target; nothing for what it makes nothing of |
//! | | `pins-what-is-made` | the same each time |
//! | | `makes-nothing-of-other-targets` | with no effect |
//! | | `an-unknown-run-is-not-started` | and neither looking nor stopping begins one |
//! | | `one-key-is-one-run` | whoever starts it, how often and when |
//! | | `a-restarted-host-follows-the-run` | and is told the same |
//! | | `a-failed-run-says-why` | and is not begun again by itself |
//! | | `a-stopped-run-ends` | stopping repeats; what it has registered stays |
//! | | `a-lost-run-is-no-absence` | a run that was begun and is not to be found is *lost* |
//! | [`producer_faults::conforms_in_faults`] | `a-run-is-begun-once-in-faults` | what is said of a start is so, and an interrupted one can be settled |
//! | | `a-run-is-told-truly-in-faults` | it goes on, or an error; stopping repeats |
//! | | `a-run-that-was-not-begun-is-none` | and can be begun |
//! | [`metrics::conforms`] | `tells-what-the-system-has` | each series once, labels sorted; the same each time |
//! | | `a-window-is-in-order-of-time` | points of the window, oldest first, one at an instant |
//! | | `nothing-there-is-no-data` | never an empty list, and never a failure |
//! | | `a-wrong-query-is-told-as-one` | a window that ends before it begins, too |
//! | [`metrics_faults::conforms_in_faults`] | `values-are-told-truly-in-faults` | the same values, or *failed* or *timed out* |
//! | | `a-cut-answer-is-no-value` | wherever it was cut |
//! | | `no-answer-is-no-value` | what was known before is not told of now; nor is it *no data* |
//! | | `a-late-answer-is-no-value` | and holds up nobody, nor does a system that asks for an hour |
//! | | `a-lie-is-no-value` | [`metrics::Lie`]: two values of one series, other times, a part, more than the bound |
//! | | `what-is-odd-and-true-is-told` | a series twice, NaN and infinities, an answer without a series |
//! | | `nothing-wrong-is-remembered` | after all that the true values |
//! | [`request_log::conforms`] | `nothing-asked-is-an-empty-piece` | and no error |
//! | | `keeps-what-lies-in-the-window` | both ends included, each once, in the log's order; the same each time |
//! | | `a-bound-keeps-the-newest-and-says-so` | what was left out is said, what fits is not left out |
//! | | `exchanges-come-newest-first` | each line one; a limit keeps the newest |
//! | | `what-is-no-record-is-no-exchange` | and nothing is made up where a piece is cut |
//! | | `what-is-no-record-hides-none` | [`request_log::Odd`]: other text, half a record, one that is too long |
//! | | `a-wrong-clock-hides-none` | a time far before or after the window is that of one request |
//! | | `a-log-that-is-turned-over-is-read-once` | also while it is read: none twice, none lost between two others |
//! | | `a-log-that-is-gone-is-an-error` | and no empty piece |
//! | [`checkpoints::conforms`] | `lists-checkpoints-newest-first` | a limit keeps the newest |
//! | | `lists-one-run` | and nothing for a run that is not there |
//! | | `says-what-cannot-be-used` | with the reason, whatever the limit |
//! | [`checkpoints::conforms_in_faults`] | `checkpoints-are-told-truly-in-faults` | none is left out in silence |
//!
//! The suites with faults want an adapter that speaks HTTP and reaches its system through a [`FaultProxy`](crate::fault_proxy::FaultProxy):
//! `FaultProxy::start("http://127.0.0.1:5000")`, and then the adapter's address is that of the proxy. `tests/tests/conformance` in the
//! repository is a whole example, with adapters that break a rule on purpose.

#![allow(clippy::panic, reason = "a failed expectation ends the test that called")]

pub mod alert_source;
pub mod checkpoints;
pub mod deployer;
pub mod deployer_beside;
pub mod deployer_faults;
pub mod deployer_waves;
pub mod metrics;
pub mod metrics_faults;
pub mod notifier;
pub mod pipeline;
pub mod producer;
pub mod producer_faults;
pub mod registering;
pub mod registry;
pub mod registry_faults;
mod request;
pub mod request_log;
pub mod restorer;
pub mod restorer_faults;
mod rule;
mod scratch;

pub use scratch::Scratch;
