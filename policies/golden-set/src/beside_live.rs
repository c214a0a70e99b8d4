//! What was made (of a checkpoint, by a training) against what is live: the whole set, and slice by slice.

use std::collections::BTreeMap;

use ripcord_sdk::contract::facts::{Slice, Trial};
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::readable;

use crate::checks::{DETAIL, Report, measured, run_before, whole_of, without};
use crate::settings::{BesideLive, Settings};

/// The host's plan tells of a version that was made by one of these, in the steps that put it in place, and of no other version.
const TELLS: [&str; 2] = ["beside-live", "worse-than-live"];
/// Slices of one column that a finding names.
const NAMED_MAX: usize = 4;

/// The run of what is judged, and that of what is or was live where it is to be compared with that; why there is none.
pub(crate) type Runs<'f> = (Fact<'f, Trial>, Option<Result<&'f Trial, String>>);

/// Asks for the runs, both at once where evidence has none of what is live.
pub(crate) fn runs<'f>(case: &'f VerificationCase, facts: &'f Facts, settings: &Settings) -> Step<Runs<'f>> {
    let own = case.golden(facts, settings.dataset.as_str(), DETAIL)?;
    if !was_made(case) {
        return Ok((own.get()?, None));
    }
    if let Some(before) = run_before(case, &settings.dataset) {
        return Ok((own.get()?, Some(Ok(before))));
    }
    if case.candidate()?.is_none() {
        let why = "the golden set was not run on the version before".to_owned();
        return Ok((own.get()?, Some(Err(why))));
    }
    let (own, live) = facts.all((own, facts.golden(settings.dataset.as_str(), None, DETAIL)))?;
    Ok((own, Some(live.map_err(ToString::to_string))))
}

/// Whether what is judged was made by a run that an incident ordered. An earlier version may be worse at something than what is live, and is still what was
/// well.
fn was_made(case: &VerificationCase) -> bool {
    let (plan, rung) = match &case.subject {
        Subject::Rollback(rollback) => (&rollback.plan, rollback.rung),
        Subject::Preflight(preflight) => (&preflight.plan, preflight.rung),
        Subject::Wave(_) | Subject::Promotion(_) | Subject::Other(_) => return false,
    };
    let rungs = plan.parts.iter().filter_map(|part| part.rungs.get(rung as usize));
    let mut arguments = rungs.flat_map(|rung| &rung.steps).flat_map(|step| &step.arguments);
    arguments.any(|argument| TELLS.contains(&argument.name.as_str()))
}

/// A slice of both runs.
struct Compared<'t> {
    slice: &'t Slice,
    own: f64,
    live: f64,
}

impl Compared<'_> {
    /// By how much it is worse than what is live; below zero where it is better.
    fn fall(&self) -> f64 {
        self.live - self.own
    }

    fn values(&self) -> String {
        format!("{} against {}", readable(self.own), readable(self.live))
    }
}

impl Report {
    /// One finding for the whole set, and one for each column of slices. That nothing could be compared keeps a candidate from being called healthy; after
    /// the shift it is a remark, since nobody can ask what was live before it any more.
    pub(crate) fn beside_live(
        &mut self,
        own: &Trial,
        live: &Result<&Trial, String>,
        limits: &BesideLive,
        is_preflight: bool,
    ) {
        let live = match live {
            Ok(live) => live,
            Err(why) if is_preflight => {
                return self.missing.push(format!("it is not compared with what is live: {why}"));
            }
            Err(why) => return self.remarks.push(format!("it is not compared with what was live: {why}")),
        };
        if whole_of(live).is_none_or(|whole| whole.errors >= whole.rows) {
            let text = "what is live answers no row of the golden set, so nothing is worse than it";
            return self.remarks.push(text.to_owned());
        }
        let mut columns: BTreeMap<&str, Vec<Compared<'_>>> = BTreeMap::new();
        for slice in &own.slices {
            let column = slice.name.split_once('=').map(|(column, _)| column);
            let is_wanted = limits.columns.is_empty()
                || column.is_none_or(|column| limits.columns.iter().any(|wanted| wanted == column));
            let is_large = slice.rows >= limits.minimum_rows || slice.name.is_empty();
            if !is_wanted || !is_large {
                continue;
            }
            match both(slice, live, &limits.measure) {
                Ok(Some(compared)) => columns.entry(column.unwrap_or_default()).or_default().push(compared),
                Ok(None) => {}
                Err(missing) if self.missing.contains(&missing) => {}
                Err(missing) => self.missing.push(missing),
            }
        }
        for (column, slices) in columns {
            self.fall(column, &slices, limits);
        }
    }

    fn fall(&mut self, column: &str, slices: &[Compared<'_>], limits: &BesideLive) {
        let mut by_fall: Vec<_> = slices.iter().collect();
        by_fall.sort_by(|a, b| b.fall().total_cmp(&a.fall()));
        let Some(worst) = by_fall.first() else { return };
        // 0.92 - 0.87 is a little above 0.05 in binary.
        let is_worse = |compared: &&&Compared<'_>| compared.fall() > limits.at_most + 1e-9;
        let worse: Vec<_> = by_fall.iter().filter(is_worse).collect();
        let (check, observed) = if column.is_empty() {
            (format!("{} beside what is live", limits.measure), worst.values())
        } else if worse.is_empty() {
            let text = format!("{} for `{}`, the worst", worst.values(), worst.slice.name);
            (format!("{} beside what is live by {column}", limits.measure), text)
        } else {
            let named = worse.iter().take(NAMED_MAX).map(|one| {
                format!("{} worse for `{}` ({})", readable(one.fall()), one.slice.name, one.values())
            });
            let more = worse.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let text = format!("{}{more}", named.collect::<Vec<_>>().join(", "));
            (format!("{} beside what is live by {column}", limits.measure), text)
        };
        let expected = format!("at most {} worse", readable(limits.at_most));
        self.find(worse.is_empty(), check, observed, expected);
    }
}

/// None where what is live answers no row of the slice: then nothing is worse than it.
fn both<'t>(slice: &'t Slice, live: &Trial, measure: &str) -> Result<Option<Compared<'t>>, String> {
    let of_live = live.slices.iter().find(|of_live| of_live.name == slice.name);
    let Some(of_live) = of_live else {
        return Err(format!(
            "the run of what is live has no slice `{}`: the golden set was changed",
            slice.name
        ));
    };
    let own = measured(slice, measure).ok_or_else(|| without(slice, measure))?;
    match measured(of_live, measure) {
        Some(live) => Ok(Some(Compared { slice, own, live })),
        None if of_live.errors >= of_live.rows => Ok(None),
        None => Err(format!("{}, where it went through what is live", without(of_live, measure))),
    }
}
