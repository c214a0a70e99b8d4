//! The single checks. Each is a finding, or a remark on why it could not be made.

use std::collections::BTreeMap;

use ripcord_sdk::contract::facts::{Detail, GoldenQuery, Request, Slice, Trial, Value};
use ripcord_sdk::contract::types::VersionTarget;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::readable;

use crate::settings::{Gap, Latency, Settings};

/// The measure that says how many answers cannot be compared with what is expected.
const INCOMPARABLE: &str = "incomparable";

/// What came out of the checks.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Checks that could not be made, each with its reason. The service is not known to be well while there is one.
    pub(crate) missing: Vec<String>,
    /// What was left out without harm.
    pub(crate) remarks: Vec<String>,
}

impl Report {
    pub(crate) fn find(
        &mut self,
        passed: bool,
        check: impl Into<String>,
        observed: String,
        expected: String,
    ) {
        self.findings.push(Finding { check: check.into(), passed, observed, expected });
    }

    fn at_least(&mut self, whole: &Slice, measure: &str, limit: Option<f64>) {
        let Some(limit) = limit else { return };
        match measured(whole, measure) {
            Some(value) => {
                self.find(value >= limit, measure, readable(value), format!("at least {}", readable(limit)))
            }
            None => self.missing.push(without(whole, measure)),
        }
    }

    pub(crate) fn answers(&mut self, trial: &Trial, target: Option<&VersionTarget>) {
        let Some(target) = target else { return };
        if trial.answered_by.is_empty() {
            self.remarks.push(format!(
                "the answers do not name the version that gave them, expected `{}`",
                target.version
            ));
            return;
        }
        let other_digest = |given: &VersionTarget| {
            given.digest.as_ref().zip(target.digest.as_ref()).is_some_and(|(given, wanted)| given != wanted)
        };
        let is_target = |given: &VersionTarget| given.version == target.version && !other_digest(given);
        let passed = trial.answered_by.iter().all(|share| is_target(&share.version));
        let named: Vec<String> = trial
            .answered_by
            .iter()
            .map(|share| {
                let with = if other_digest(&share.version) { " with another digest" } else { "" };
                format!("`{}`{with} ({} %)", share.version.version, readable(share.weight * 100.0))
            })
            .collect();
        self.find(passed, "answered by", named.join(", "), format!("`{}` alone", target.version));
    }

    pub(crate) fn quality(&mut self, whole: &Slice, settings: &Settings) {
        let errors = whole.errors as f64 / whole.rows as f64;
        let observed = format!("{} ({} of {} rows)", readable(errors), whole.errors, whole.rows);
        let expected = format!("at most {}", readable(settings.error_rate));
        self.find(errors <= settings.error_rate, "error rate", observed, expected);
        self.at_least(whole, "accuracy", settings.accuracy);
        for (class, limits) in &settings.classes {
            self.at_least(whole, &format!("recall:{class}"), limits.recall);
            self.at_least(whole, &format!("precision:{class}"), limits.precision);
        }
    }

    pub(crate) fn gap(&mut self, trial: &Trial, gap: &Gap) {
        let mut columns: BTreeMap<&str, Vec<(&Slice, f64)>> =
            gap.columns.iter().map(|column| (column.as_str(), Vec::new())).collect();
        for slice in &trial.slices {
            let Some((column, _)) = slice.name.split_once('=') else { continue };
            if !gap.columns.is_empty() && !gap.columns.iter().any(|wanted| wanted == column) {
                continue;
            }
            let of_column = columns.entry(column).or_default();
            if slice.rows < gap.minimum_rows {
                self.remarks.push(format!("`{}` has {} rows, too few to compare", slice.name, slice.rows));
                continue;
            }
            match measured(slice, &gap.measure) {
                Some(value) => of_column.push((slice, value)),
                None => self.missing.push(without(slice, &gap.measure)),
            }
        }
        if columns.is_empty() {
            self.missing.push("the golden run has no slices to compare".to_owned());
        }
        for (column, slices) in columns {
            let by_value = |a: &&(&Slice, f64), b: &&(&Slice, f64)| a.1.total_cmp(&b.1);
            let (Some(worst), Some(best)) = (slices.iter().min_by(by_value), slices.iter().max_by(by_value))
            else {
                self.missing.push(format!("the column `{column}` has no slice to compare"));
                continue;
            };
            let difference = best.1 - worst.1;
            let observed = format!(
                "{} ({} for `{}`, {} for `{}`)",
                readable(difference),
                readable(worst.1),
                worst.0.name,
                readable(best.1),
                best.0.name
            );
            let expected = format!("at most {}", readable(gap.at_most));
            let check = format!("gap in {} by {column}", gap.measure);
            // 0.97 - 0.87 is a little above 0.1 in binary.
            self.find(difference <= gap.at_most + 1e-9, check, observed, expected);
        }
    }

    pub(crate) fn latency(&mut self, whole: &Slice, before: Option<&Trial>, latency: &Latency) {
        let p99 = whole.latency_ms.p99;
        if whole.errors >= whole.rows || !p99.is_finite() {
            self.missing.push("the golden run has no latency, because no row was answered".to_owned());
            return;
        }
        let shown = |ms: f64| format!("{} ms", readable(ms));
        if let Some(at_most) = latency.at_most {
            let limit = at_most.as_millis() as f64;
            self.find(p99 <= limit, "latency p99", shown(p99), format!("at most {}", shown(limit)));
        }
        let Some(factor) = latency.factor else { return };
        let earlier = before.and_then(whole_of).map(|slice| slice.latency_ms.p99).filter(|p99| *p99 > 0.0);
        match earlier.filter(|p99| p99.is_finite()) {
            Some(earlier) => {
                let expected = format!(
                    "at most {} ({} times the version before)",
                    shown(earlier * factor),
                    readable(factor)
                );
                self.find(p99 <= earlier * factor, "latency p99 against before", shown(p99), expected);
            }
            None => self
                .remarks
                .push("latency is not compared: the golden set was not run on the version before".to_owned()),
        }
    }
}

/// The slice of all rows.
pub(crate) fn whole_of(trial: &Trial) -> Option<&Slice> {
    trial.slices.iter().find(|slice| slice.name.is_empty())
}

/// Why the slice has no such measure.
pub(crate) fn without(slice: &Slice, measure: &str) -> String {
    let what = if slice.name.is_empty() {
        "the golden run".to_owned()
    } else {
        format!("the slice `{}`", slice.name)
    };
    match measured(slice, INCOMPARABLE) {
        Some(number) => format!(
            "{what} has no `{measure}`: {} of {} answers are of another kind than what is expected, so none can be called right or wrong; `ripcord check` says which",
            readable(number),
            slice.rows
        ),
        None => format!("{what} has no `{measure}`"),
    }
}

/// The slice's measure, if it is a number.
pub(crate) fn measured(slice: &Slice, name: &str) -> Option<f64> {
    slice
        .measures
        .iter()
        .find(|measure| measure.name == name)
        .map(|measure| measure.value)
        .filter(|v| v.is_finite())
}

/// The last run of the set through what was live before what is judged.
pub(crate) fn run_before<'c>(case: &'c VerificationCase, dataset: &str) -> Option<&'c Trial> {
    let runs = case.before.iter().filter_map(|fact| match (&fact.request, &fact.value) {
        (Request::Golden(GoldenQuery { dataset: name, candidate: None, .. }), Ok(Value::Golden(trial))) => {
            (name == dataset && case.served_since().is_none_or(|since| trial.started_at < since))
                .then_some(trial)
        }
        _ => None,
    });
    runs.max_by_key(|trial| trial.started_at)
}

/// Summary is enough for every check.
pub(crate) const DETAIL: Detail = Detail::Summary;
