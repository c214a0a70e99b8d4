//! What every metrics source must do while the network fails, or its system is broken, slow or lies: a value that it tells is the system's, and what is
//! not known is neither made up nor *no data*.

use std::time::{Duration, Instant};

use UnavailableReason::{Failed, NoData, TimedOut, TooLarge};
use ripcord_core::fact::{Unavailable, UnavailableReason};
use ripcord_ports::Metrics;

use super::deployer_faults::{faults, happens};
use super::metrics::{Asked, Expected, LIES, Lie, System, Told, is_true, refused, told};
use super::rule::holds;
use crate::fault_proxy::{Canned, Fault, FaultProxy, Which};

/// So much longer than its deadline may a call take: the same question by another way, and what a machine under load needs.
const BESIDE_DEADLINE: Duration = Duration::from_secs(3);

/// Checks the source, which must reach its system through `proxy`.
pub async fn conforms_in_faults(
    source: &dyn Metrics,
    system: &dyn System,
    proxy: &FaultProxy,
    expected: &Expected,
) {
    let case = Case { source, system, proxy, expected };
    holds("values-are-told-truly-in-faults", case.faults()).await;
    holds("a-cut-answer-is-no-value", case.cut()).await;
    holds("no-answer-is-no-value", case.no_answer()).await;
    holds("a-late-answer-is-no-value", case.late()).await;
    holds("a-lie-is-no-value", case.lies()).await;
    holds("what-is-odd-and-true-is-told", case.odd()).await;
    holds("nothing-wrong-is-remembered", case.remembers_nothing()).await;
    proxy.calm();
}

struct Case<'a> {
    source: &'a dyn Metrics,
    system: &'a dyn System,
    proxy: &'a FaultProxy,
    expected: &'a Expected,
}

impl Case<'_> {
    async fn ask(&self, asked: Asked, fault: Fault, times: usize) -> Result<Told, Unavailable> {
        let at = self.system.now().await;
        self.proxy.calm();
        self.proxy.order(Which::Any, fault, times);
        told(self.source, &self.expected.known, asked, at, self.expected).await
    }

    async fn faults(&self) {
        for (name, fault) in faults() {
            for asked in [Asked::Instant, Asked::Range] {
                match self.ask(asked, fault.clone(), 1).await {
                    Ok(told) => is_true(&told, &self.expected.values),
                    Err(why) => assert!(
                        matches!(why.reason, Failed | TimedOut),
                        "after {name} it is not known, and it is told as {:?}: {why}",
                        why.reason
                    ),
                }
            }
        }
    }

    /// The system is not asked at all, however often one tries: what was known before says nothing of now.
    async fn no_answer(&self) {
        let refusals = [401, 403, 405].map(|status| ("a refusal", Fault::Instead(Canned::failure(status))));
        for (name, fault) in faults().into_iter().chain(refusals) {
            if happens(&fault) {
                continue;
            }
            for asked in [Asked::Instant, Asked::Range] {
                let told = self.ask(asked, fault.clone(), usize::MAX).await;
                refused(told, &[Failed, TimedOut], &format!("{name} ({asked:?})"));
            }
        }
    }

    async fn cut(&self) {
        for after in [0, 1, 20, 60, 120, usize::MAX] {
            for asked in [Asked::Instant, Asked::Range] {
                let told = self.ask(asked, Fault::AnswerCut(after), usize::MAX).await;
                refused(
                    told,
                    &[Failed, TimedOut],
                    &format!("an answer that was cut after {after} bytes ({asked:?})"),
                );
            }
        }
    }

    async fn late(&self) {
        let deadline = Duration::from_millis(self.expected.deadline.0);
        for (name, fault, reasons) in [
            ("an answer that comes too late", Fault::Delay(deadline * 20), [TimedOut, TimedOut]),
            ("a 429 that asks for an hour", Fault::Instead(Canned::later(429, 3_600)), [Failed, TimedOut]),
        ] {
            for asked in [Asked::Instant, Asked::Range] {
                let begun = Instant::now();
                let told = self.ask(asked, fault.clone(), usize::MAX).await;
                let took = begun.elapsed();
                refused(told, &reasons, &format!("{name} ({asked:?})"));
                assert!(took < deadline * 2 + BESIDE_DEADLINE, "{name} is waited for during {took:?}");
            }
        }
    }

    async fn forged(&self, lie: Lie, asked: Asked) -> Option<Result<Told, Unavailable>> {
        let at = self.system.now().await;
        let answer = self.system.forged(lie, asked, at).await?;
        self.proxy.calm();
        self.proxy.order(Which::Any, Fault::Instead(answer), usize::MAX);
        Some(told(self.source, &self.expected.known, asked, at, self.expected).await)
    }

    async fn lies(&self) {
        let mut tried = 0;
        for lie in LIES {
            let reason = match lie {
                Lie::Doubled | Lie::NotFinite | Lie::Nothing => continue,
                Lie::TooMuch => TooLarge,
                _ => Failed,
            };
            for asked in [Asked::Instant, Asked::Range] {
                let Some(told) = self.forged(lie, asked).await else { continue };
                tried += 1;
                refused(told, std::slice::from_ref(&reason), &format!("{lie:?} ({asked:?})"));
            }
        }
        assert!(tried > 0, "the suite needs a system that can be wrong");
    }

    async fn odd(&self) {
        for asked in [Asked::Instant, Asked::Range] {
            if let Some(told) = self.forged(Lie::Doubled, asked).await {
                let told =
                    told.unwrap_or_else(|why| panic!("a series that is there twice ({asked:?}): {why}"));
                is_true(&told, &self.expected.values);
            }
            if let Some(told) = self.forged(Lie::NotFinite, asked).await {
                let told = told.unwrap_or_else(|why| panic!("NaN and infinities ({asked:?}): {why}"));
                for (what, is) in [
                    ("NaN", (|value: f64| value.is_nan()) as fn(f64) -> bool),
                    ("plus infinity", |value| value == f64::INFINITY),
                    ("minus infinity", |value| value == f64::NEG_INFINITY),
                ] {
                    let found = told.iter().filter(|(_, value)| is(*value)).count();
                    assert_eq!(found, 1, "{what} is told as the system has it ({asked:?}): {told:?}");
                }
            }
            if let Some(told) = self.forged(Lie::Nothing, asked).await {
                refused(told, &[NoData], &format!("an answer without a series ({asked:?})"));
            }
        }
    }

    async fn remembers_nothing(&self) {
        self.proxy.calm();
        for asked in [Asked::Instant, Asked::Range] {
            let at = self.system.now().await;
            let told = told(self.source, &self.expected.known, asked, at, self.expected).await;
            is_true(
                &told.unwrap_or_else(|why| panic!("after all that ({asked:?}): {why}")),
                &self.expected.values,
            );
        }
    }
}
