//! A source that breaks one rule.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::fact::{Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Metrics;

/// A way to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    LabelsUnsorted,
    SeriesTwice,
    NewestFirst,
    NothingIsAnEmptyList,
    WrongQueriesHaveFailed,
    FailuresAreNoData,
    OtherValuesAfterFailures,
    KeepsWhatItKnew,
    BelievesWhatWasCut,
    WaitsForAnswers,
    LateIsFailed,
    BelievesTheFirst,
    DropsWhatIsNoNumber,
    BelievesInNothing,
}

/// A sound source with a flaw.
pub(super) struct Flawed<S> {
    sound: S,
    flaw: Flaw,
    known: Mutex<(Vec<Sample>, Vec<Series>)>,
    /// How often something had failed.
    failures: AtomicU32,
    /// How often there was nothing.
    absences: AtomicU32,
}

impl<S> Flawed<S> {
    pub(super) fn new(sound: S, flaw: Flaw) -> Self {
        Self {
            sound,
            flaw,
            known: Mutex::default(),
            failures: AtomicU32::new(0),
            absences: AtomicU32::new(0),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// What is said in place of a value: nothing, where one is told instead.
    async fn why(&self, mut why: Unavailable) -> Option<Unavailable> {
        let failed = why.reason == UnavailableReason::Failed;
        if self.has(Flaw::WaitsForAnswers) && why.reason == UnavailableReason::TimedOut {
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        let told_instead = match self.flaw {
            Flaw::KeepsWhatItKnew => failed && why.message.contains("answered"),
            Flaw::BelievesWhatWasCut => why.message.contains("broke off"),
            Flaw::BelievesTheFirst => why.message.contains("twice"),
            _ => false,
        };
        match why.reason {
            UnavailableReason::Failed => self.failures.fetch_add(1, Ordering::SeqCst),
            UnavailableReason::NoData => self.absences.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
        why.reason = match (self.flaw, why.reason) {
            (Flaw::WrongQueriesHaveFailed, UnavailableReason::BadQuery)
            | (Flaw::LateIsFailed, UnavailableReason::TimedOut) => UnavailableReason::Failed,
            (Flaw::FailuresAreNoData, UnavailableReason::Failed) => UnavailableReason::NoData,
            (_, reason) => reason,
        };
        (!told_instead).then_some(why)
    }

    fn believes_in_nothing(&self) -> Option<Unavailable> {
        let all = self.absences.load(Ordering::SeqCst) == ABSENCES_OF_THE_SUITES;
        let why = || Unavailable::new(UnavailableReason::NoData, "there was nothing before");
        (self.has(Flaw::BelievesInNothing) && all).then(why)
    }

    fn strays(&self) -> bool {
        self.has(Flaw::OtherValuesAfterFailures) && self.failures.load(Ordering::SeqCst) > 0
    }
}

/// So often both suites ask for what is not there, before their last rule.
const ABSENCES_OF_THE_SUITES: u32 = 4;

#[async_trait]
impl<S: Metrics> Metrics for Flawed<S> {
    fn name(&self) -> &str {
        "metrics_flawed"
    }

    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        if let Some(why) = self.believes_in_nothing() {
            return Err(why);
        }
        let mut samples = match self.sound.instant(query, at).await {
            Ok(samples) => samples,
            Err(why) if self.has(Flaw::NothingIsAnEmptyList) && why.reason == UnavailableReason::NoData => {
                return Ok(Vec::new());
            }
            Err(why) => match self.why(why).await {
                Some(why) => return Err(why),
                None => return Ok(self.known.lock().unwrap().0.clone()),
            },
        };
        self.known.lock().unwrap().0 = samples.clone();
        match self.flaw {
            Flaw::LabelsUnsorted => samples.iter_mut().for_each(|sample| sample.labels.reverse()),
            Flaw::SeriesTwice => samples.extend(samples.clone()),
            Flaw::DropsWhatIsNoNumber => samples.retain(|sample| !sample.value.is_nan()),
            _ if self.strays() => samples.iter_mut().for_each(|sample| sample.value += 1.0),
            _ => {}
        }
        Ok(samples)
    }

    async fn range(&self, query: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        if let Some(why) = self.believes_in_nothing() {
            return Err(why);
        }
        let mut series = match self.sound.range(query, window, step).await {
            Ok(series) => series,
            Err(why) => match self.why(why).await {
                Some(why) => return Err(why),
                None => return Ok(self.known.lock().unwrap().1.clone()),
            },
        };
        self.known.lock().unwrap().1 = series.clone();
        if self.has(Flaw::NewestFirst) {
            series.iter_mut().for_each(|one| one.points.reverse());
        }
        Ok(series)
    }
}
