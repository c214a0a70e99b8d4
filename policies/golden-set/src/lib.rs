//! Verifies the service with a golden data set: right answers, errors, classes, slices, latency, and who answered. After a shift and after
//! a promotion the set goes through what is live, in a preflight through the candidate beside it; the limits are the same. What was made is held against what is
//! live as well. After a wave of a shift that is not the last, two versions answer: the set is not sent, and there is nothing to object to.
//!
//! Every check is a finding. A check that cannot be made keeps the service from being called healthy.

mod beside_live;
mod checks;
mod settings;

pub use settings::{BesideLive, ClassLimits, Gap, Latency, Settings};

use checks::{Report, run_before, whole_of};
use ripcord_sdk::contract::facts::Trial;
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct GoldenSet;

ripcord_sdk::export!(GoldenSet: verification);

impl Policy for GoldenSet {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Verification for GoldenSet {
    const FACTS: &'static [FactKind] = &[FactKind::Golden];

    fn verify(case: &VerificationCase, facts: &Facts, settings: &Settings) -> Step<VerificationAnswer> {
        let target = case.target()?;
        if case.wave().is_some() {
            let expected = "after the last wave".to_owned();
            let finding =
                Finding::passed("golden set", "not sent: the rest serves another version", expected);
            return Ok(VerificationAnswer::healthy(vec![finding]));
        }
        let (trial, live) = beside_live::runs(case, facts, settings)?;
        let recheck = case.now() + settings.recheck;
        let report = match trial
            .map_err(ToString::to_string)
            .and_then(|trial| judge(case, (trial, live.as_ref()), &target, settings))
        {
            Ok(report) => report,
            Err(why) => {
                let note =
                    Note::warning(format!("the golden set `{}` says nothing: {why}", settings.dataset));
                return Ok(VerificationAnswer::inconclusive(recheck, Vec::new()).note(note));
            }
        };
        let failed = report.findings.iter().filter(|finding| !finding.passed).count();
        // A candidate beside what is live is not in a hurry to be warm: it is tried when it is ready.
        let grace_ends = case.served_since().map(|since| since + settings.grace);
        let answer = if failed > 0 && grace_ends.is_some_and(|ends| case.now() < ends) {
            let (grace, from) = (settings.grace, case.beginning());
            let text = format!("{failed} checks failed, which counts only {grace} after {from}");
            VerificationAnswer::inconclusive(recheck, report.findings).note(Note::info(text))
        } else if failed > 0 {
            VerificationAnswer::unhealthy(report.findings)
        } else if report.missing.is_empty() {
            VerificationAnswer::healthy(report.findings)
        } else {
            VerificationAnswer::inconclusive(recheck, report.findings)
        };
        Ok(answer
            .notes(report.missing.into_iter().map(Note::warning))
            .notes(report.remarks.into_iter().map(Note::info)))
    }
}

/// Every check of one run, or why the run says nothing at all.
fn judge(
    case: &VerificationCase,
    (trial, live): (&Trial, Option<&Result<&Trial, String>>),
    target: &Target,
    settings: &Settings,
) -> Result<Report, String> {
    if case.served_since().is_some_and(|since| trial.started_at < since) {
        return Err(format!("it was run before {}", case.beginning()));
    }
    let whole = whole_of(trial).ok_or("it has no slice of all rows")?;
    if whole.rows < settings.minimum_rows {
        return Err(format!("it has {} rows, and at least {} are wanted", whole.rows, settings.minimum_rows));
    }
    let mut report = Report::default();
    let version = if let Target::Version(version) = target { Some(version) } else { None };
    report.answers(trial, version);
    report.quality(whole, settings);
    if let Some(gap) = &settings.gap {
        report.gap(trial, gap);
    }
    if let Some(live) = live {
        report.beside_live(trial, live, &settings.beside_live, case.served_since().is_none());
    }
    if let Some(latency) = &settings.latency {
        report.latency(whole, run_before(case, &settings.dataset), latency);
    }
    Ok(report)
}
