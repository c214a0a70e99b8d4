//! What a verification judges, and what follows from it for the facts that it asks for.

use crate::contract::facts::Detail;
use crate::contract::types::{Instant, Plan, Target, VersionTarget};
use crate::contract::verification::{Subject, Wave};
use crate::facts::{Facts, Handle, Step, Stop};
use crate::kind;
use crate::policy::VerificationCase;

impl VerificationCase {
    /// What is judged: the rung's target that was shifted to, wholly or by a wave, or is tried before the shift, or the version that someone else put live.
    ///
    /// # Errors
    /// [`Stop::Fail`]: the plan has no part for the service, or no such rung.
    pub fn target(&self) -> Step<Target> {
        match &self.subject {
            Subject::Rollback(rollback) => self.rung(&rollback.plan, rollback.rung),
            Subject::Preflight(preflight) => self.rung(&preflight.plan, preflight.rung),
            Subject::Wave(wave) => self.rung(&wave.plan, wave.rung),
            Subject::Promotion(promotion) => Ok(Target::Version(promotion.version.clone())),
            Subject::Other(name) => {
                Err(Stop::fail(format!("the subject `{name}` is not known, so its target is not either")))
            }
        }
    }

    fn rung(&self, plan: &Plan, rung: u32) -> Step<Target> {
        let service = &self.context.service;
        let part = plan
            .parts
            .iter()
            .find(|part| part.service == service.name && part.environment == service.environment);
        part.and_then(|part| part.rungs.get(rung as usize)).map(|rung| rung.target.clone()).ok_or_else(|| {
            Stop::fail(format!(
                "the plan has no rung {rung} for `{}` in `{}`",
                service.name, service.environment
            ))
        })
    }

    /// Since when what is judged is live, Unix milliseconds: since the shift or its wave, or since the host noticed a version that someone else put live.
    /// None in a preflight: nothing was shifted, and metrics tell of another version.
    pub fn served_since(&self) -> Option<Instant> {
        match &self.subject {
            Subject::Rollback(rollback) => Some(rollback.shifted_at),
            Subject::Wave(wave) => Some(wave.shifted_at),
            Subject::Promotion(promotion) => Some(promotion.noticed_at),
            Subject::Preflight(_) | Subject::Other(_) => None,
        }
    }

    /// For people: what [`VerificationCase::served_since`] is counted from, after a word such as *before* or *since*.
    pub fn beginning(&self) -> &'static str {
        match &self.subject {
            Subject::Rollback(_) => "the shift",
            Subject::Wave(_) => "this wave",
            Subject::Promotion(_) => "it was noticed",
            Subject::Preflight(_) | Subject::Other(_) => "it was live",
        }
    }

    /// The wave whose part is judged, while the rest still serves what the rollback takes away: what is read of the whole service tells of both, and trials
    /// are denied. None where what is judged is all that is served, or a candidate.
    pub fn wave(&self) -> Option<&Wave> {
        match &self.subject {
            Subject::Wave(wave) => Some(wave),
            Subject::Rollback(_) | Subject::Preflight(_) | Subject::Promotion(_) | Subject::Other(_) => None,
        }
    }

    /// The version that answers beside what is live, and that trials must name to reach it; none where what is judged is live itself.
    ///
    /// # Errors
    /// [`Stop::Fail`]: the plan has no such rung, or its target is not a version.
    pub fn candidate(&self) -> Step<Option<VersionTarget>> {
        if !matches!(self.subject, Subject::Preflight(_)) {
            return Ok(None);
        }
        match self.target()? {
            Target::Version(version) => Ok(Some(version)),
            other => {
                Err(Stop::fail(format!("{other:?} is not a version, so it cannot be tried before the shift")))
            }
        }
    }

    /// A golden data set through what is judged: through the candidate in a preflight, otherwise through what is live.
    ///
    /// # Errors
    /// As [`VerificationCase::candidate`].
    pub fn golden<'f>(
        &self,
        facts: &'f Facts,
        dataset: impl Into<String>,
        detail: Detail,
    ) -> Step<Handle<'f, kind::Golden>> {
        Ok(facts.golden(dataset, self.candidate()?, detail))
    }

    /// The captured inputs sent again, through what is judged: through the candidate in a preflight, otherwise through what is live.
    ///
    /// # Errors
    /// As [`VerificationCase::candidate`].
    pub fn recheck<'f>(
        &self,
        facts: &'f Facts,
        limit: u32,
        detail: Detail,
    ) -> Step<Handle<'f, kind::Recheck>> {
        Ok(facts.recheck(self.candidate()?, limit, detail))
    }
}
