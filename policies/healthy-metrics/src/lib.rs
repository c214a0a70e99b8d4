//! Verifies that the alert's own metric is well again, for long enough.
//!
//! Only what tells of the time after the shift counts, or after a version that someone else put live was noticed: ranges in the query are shortened to
//! it, and what cannot be shortened is waited for. In a preflight, metrics tell
//! of what is live and not of the candidate: there is nothing to object to. After a wave of a shift that is not the last, the rest still serves what does
//! the harm: a metric beyond its limit that is no worse than before the wave is no objection. Missing data and too few events never verify: the service stays
//! unverified, and the notes say what is missing.

mod evidence;
mod settings;

pub use settings::Settings;

use evidence::{Evidence, State};
use ripcord_sdk::millis;
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct HealthyMetrics;

ripcord_sdk::export!(HealthyMetrics: verification);

impl Policy for HealthyMetrics {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Verification for HealthyMetrics {
    const FACTS: &'static [FactKind] = &[FactKind::MetricRange];

    fn verify(case: &VerificationCase, facts: &Facts, settings: &Settings) -> Step<VerificationAnswer> {
        let (now, recheck) = (case.now(), case.now() + settings.recheck);
        let Some(live_since) = case.served_since() else {
            let note =
                format!("{} tells of what is live, nothing of the candidate beside it", settings.title());
            return Ok(VerificationAnswer::healthy(Vec::new()).note(Note::info(note)));
        };
        let answer = match Evidence::gather(case, live_since, facts, settings)?.judge() {
            State::Missing(why) => {
                VerificationAnswer::inconclusive(recheck, Vec::new()).note(Note::warning(why))
            }
            State::Early(until, why) => {
                VerificationAnswer::inconclusive(until, Vec::new()).note(Note::info(why))
            }
            State::NoWorse(finding) => VerificationAnswer::healthy(vec![finding]),
            State::Beyond(finding) => {
                let fails_at = live_since + settings.fail_after();
                if now >= fails_at {
                    VerificationAnswer::unhealthy(vec![finding])
                } else {
                    let left = millis(fails_at - now);
                    let note =
                        format!("{} may come back for another {left} before it counts", settings.title());
                    VerificationAnswer::inconclusive(recheck.min(fails_at), vec![finding])
                        .note(Note::info(note))
                }
            }
            State::Well { since, finding, too_few } => {
                let (done_at, soak) = (since + settings.soak, settings.soak);
                let so_far = millis(now.saturating_sub(since));
                if now < done_at {
                    let note = format!("{} is well for {so_far} of the {soak} wanted", settings.title());
                    VerificationAnswer::inconclusive(done_at, vec![finding]).note(Note::info(note))
                } else if let Some(why) = too_few {
                    VerificationAnswer::inconclusive(recheck, vec![finding]).note(Note::info(why))
                } else {
                    let soaked =
                        Finding::passed("soak", format!("well for {so_far}"), format!("at least {soak}"));
                    VerificationAnswer::healthy(vec![finding, soaked])
                }
            }
        };
        Ok(answer)
    }
}
