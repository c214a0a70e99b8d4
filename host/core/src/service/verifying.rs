//! After the shift: read back, trials, verification, and the good end.

use super::{Illegal, NeedKind, Phase, Service, StepState, TrialDone};
use crate::event::{FaultNature, ReadBack, Said, TrialRan, VerificationWord, VerificationsAsked};
use crate::fact::Outcome;
use crate::policy::Role;
use crate::target::Target;
use crate::time::{Millis, UnixMillis};

/// Between two tries of a verification that faulted for reasons outside it.
const VERIFY_AGAIN: Millis = Millis::seconds(5);

/// How a settled rollback was found well.
const VERIFIED: &str = "verified";
const NOT_VERIFIED: &str = "no verification policy is configured, so it was not verified";

impl Service {
    pub(super) fn read_back(&mut self, read: &ReadBack) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().read_back);
        let proof_min = self.terms.as_ref().map(|terms| terms.proof_min);
        let acting = self.acting(read.rung)?;
        let StepState::ReadingBack { since } = acting.step else { return Err(Illegal::Stale) };
        let incident = self.open_incident()?;
        let target = incident.target(read.rung).ok_or(Illegal::Stale)?;
        let live = read.live.state();
        let served =
            live.serves(target) || matches!(target, Target::Fallback(_)) && live.sole_version().is_some();
        let proved = live.weakest_proof() >= proof_min;
        if served && proved {
            self.served(read.rung)?;
        } else if at >= since + limit {
            self.read_back_failed(served);
        }
        Ok(())
    }

    pub(super) fn read_back_failed(&mut self, served: bool) {
        if served {
            self.need_person(NeedKind::WhatNow, "the target seems to be served, but it is proved less strongly than `proof-min` asks: check it, then `ripcord dismiss` settles it");
        } else {
            self.next_rung("it was not served in time after the shift");
        }
    }

    fn served(&mut self, rung: u32) -> Result<(), Illegal> {
        let at = self.at;
        let verifiers =
            self.terms.as_ref().is_some_and(|terms| terms.policies(Role::Verification).next().is_some());
        self.acting(rung)?.step = StepState::Verifying { since: at, round: 1, due_at: None };
        let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
        incident.marks.read_back_at = Some(at);
        if let Some(target) = incident.target(rung).cloned() {
            self.follow(&target);
        }
        if !self.take_next_wish() && !verifiers {
            self.well(rung, NOT_VERIFIED);
        }
        Ok(())
    }

    pub(super) fn trial_ran(&mut self, ran: &TrialRan) -> Result<(), Illegal> {
        let acting = self.acting(ran.rung)?;
        if !matches!(acting.step, StepState::Verifying { round, .. } if round == ran.round) {
            return Err(Illegal::Stale);
        }
        let incident = self.incident.as_mut().ok_or(Illegal::Stale)?;
        incident.trials.push(TrialDone {
            rung: ran.rung,
            round: ran.round,
            request: ran.request,
            result: ran.result,
        });
        Ok(())
    }

    /// Unhealthy > fault > inconclusive > healthy.
    pub(super) fn verifications_asked(&mut self, asked: &VerificationsAsked) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().verification);
        let StepState::Verifying { since, round, .. } = self.acting(asked.rung)?.step else {
            return Err(Illegal::Stale);
        };
        if round != asked.round || asked.asked.len() != self.voices(Role::Verification) {
            return Err(Illegal::Stale);
        }
        let (mut unhealthy, mut fault, mut again): (bool, Option<FaultNature>, Option<UnixMillis>) =
            (false, None, None);
        for verification in &asked.asked {
            if let (Some(findings), Some(incident)) = (verification.findings, &mut self.incident) {
                incident.findings.insert(verification.decision.policy.name.clone(), findings);
            }
            let key = (Role::Verification, verification.decision.policy.name.clone());
            match &verification.said {
                Said::Verdict(word) => {
                    match &verification.memo {
                        Some(memo) => drop(self.memos.insert(key, memo.clone())),
                        None => drop(self.memos.remove(&key)),
                    }
                    match word {
                        VerificationWord::Healthy => {}
                        VerificationWord::Unhealthy => unhealthy = true,
                        VerificationWord::Inconclusive(due) => {
                            let due = (*due).max(at + Millis(100));
                            again = Some(again.map_or(due, |soonest| soonest.min(due)));
                        }
                    }
                }
                Said::Fault(nature) => {
                    let worst = fault == Some(FaultNature::Deterministic);
                    fault = Some(if worst { FaultNature::Deterministic } else { *nature });
                }
            }
        }
        if unhealthy {
            self.next_rung("verification found it unhealthy");
        } else if fault == Some(FaultNature::Deterministic) {
            self.need_person(NeedKind::WhatNow, "a verification policy faulted, so nobody knows whether the service is well: check it, then `ripcord dismiss` or `ripcord pull`");
        } else if fault.is_none() && again.is_none() {
            let how = if asked.asked.is_empty() { NOT_VERIFIED } else { VERIFIED };
            self.well(asked.rung, how);
        } else if at >= since + limit {
            self.verification_timed_out();
        } else {
            let due = again.unwrap_or(at + VERIFY_AGAIN).min(since + limit);
            self.acting(asked.rung)?.step =
                StepState::Verifying { since, round: round + 1, due_at: Some(due) };
        }
        Ok(())
    }

    pub(super) fn verification_timed_out(&mut self) {
        self.need_person(NeedKind::WhatNow, "verification stayed inconclusive until its deadline: check the service, then `ripcord dismiss` or `ripcord pull`");
    }

    /// The service is well: the incident is settled.
    fn well(&mut self, rung: u32, how: &str) {
        let Some(incident) = &self.incident else { return };
        let (Phase::Acting(acting), Some(target)) = (&incident.phase, incident.target(rung).cloned()) else {
            return;
        };
        let outcome = match (&target, acting.shifted.is_empty()) {
            (Target::Fallback(_), _) => Outcome::FellBack,
            (_, true) => Outcome::RestoredElsewhere,
            (_, false) => Outcome::RolledBack,
        };
        let earned = how == VERIFIED;
        self.condemn_what_was_left(&target);
        if let (true, Target::Version(version)) = (earned, &target) {
            self.earn_known_good(version);
        }
        self.settle(outcome, &format!("{target} is served; {how}"));
    }
}
