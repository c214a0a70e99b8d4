//! After the shift: read back, trials, verification, and the good end.

use std::fmt::Write as _;

use super::{Found, Illegal, NeedKind, Phase, Service, StepState, TrialDone};
use crate::blob::BlobRef;
use crate::event::{
    FaultNature, FingerprintWord, OutputsListed, ReadBack, Said, TrialPhase, TrialRan, VerificationWord,
    VerificationsAsked,
};
use crate::fact::Outcome;
use crate::live::proved_by;
use crate::name::PolicyName;
use crate::policy::Role;
use crate::time::{Millis, UnixMillis};
use crate::wave::Moves;

/// Between two tries of a verification that faulted for reasons outside it.
pub(super) const VERIFY_AGAIN: Millis = Millis::seconds(5);

/// So many targets of one incident are found unhealthy before people are asked instead of taking the next good version away.
const UNHEALTHY_MAX: u32 = 2;

/// How a settled rollback was found well.
const VERIFIED: &str = "verified";
const NOT_VERIFIED: &str = "no verification policy is configured, so it was not verified";

/// A verification policy found it well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HealthyWord {
    /// About what: number of the incident, of its plan, and the phase.
    about: (u32, u32, TrialPhase),
    /// When.
    since: UnixMillis,
}

/// What all verification policies say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Healthy,
    /// The soonest instant at which one of them wants to be asked again.
    Inconclusive(UnixMillis),
    /// The worst nature of their faults.
    Fault(FaultNature),
    Unhealthy,
}

impl Heard {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unhealthy, _) | (_, Self::Unhealthy) => Self::Unhealthy,
            (Self::Fault(FaultNature::Deterministic), _) | (_, Self::Fault(FaultNature::Deterministic)) => {
                Self::Fault(FaultNature::Deterministic)
            }
            (Self::Fault(nature), _) | (_, Self::Fault(nature)) => Self::Fault(nature),
            (Self::Inconclusive(one), Self::Inconclusive(two)) => Self::Inconclusive(one.min(two)),
            (Self::Inconclusive(due), Self::Healthy) | (Self::Healthy, Self::Inconclusive(due)) => {
                Self::Inconclusive(due)
            }
            (Self::Healthy, Self::Healthy) => Self::Healthy,
        }
    }
}

impl Service {
    pub(super) fn read_back(&mut self, read: &ReadBack) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().read_back);
        self.is_at_hand(read.plan)?;
        self.compared(read.rung, &read.fingerprint);
        let acting = self.acting_in(read.rung, read.wave)?;
        let StepState::ReadingBack { since } = acting.step else { return Err(Illegal::Stale) };
        let has_shifted = acting.shifted.contains(&read.rung);
        let unread = self.production.unread.clone();
        self.production =
            self.production.after_live(&read.live, &self.of_configured_facets(&read.facets), at);
        self.tell_read_again(&unread);
        let incident = self.open_incident()?;
        let target = incident.target(read.rung).ok_or(Illegal::Stale)?.clone();
        let moves = incident.plan().map_or(Moves::Rest, |plan| plan.moves(read.wave).clone());
        let id = incident.id.clone();
        // A shift may be seen half done before it is seen whole: all of that is its doing.
        if let (true, Some(facet)) = (has_shifted, target.facet()) {
            self.production.note_moved_by(&facet, &id, at);
        }
        let last = self.is_last_wave(read.wave);
        let proof_min = self.terms.as_ref().zip(target.facet()).map(|(terms, facet)| terms.proof_min(&facet));
        let served = read.shows_wave(&target, &moves);
        let proved = !last || read.proof(&target) >= proof_min;
        self.acting(read.rung)?.seems_served = served && !proved;
        if served && !last {
            self.wave_served(read)?;
        } else if served && proved {
            self.served(read)?;
        } else if at >= since + limit {
            self.read_back_failed(served, read.rung);
        }
        Ok(())
    }

    /// Changes nothing: it is for people. It comes with the read-back that shows the target, just before it.
    pub(super) fn outputs_listed(&mut self, listed: &OutputsListed) -> Result<(), Illegal> {
        self.is_at_hand(listed.plan)?;
        match self.acting(listed.rung)?.step {
            StepState::ReadingBack { .. } => Ok(()),
            _ => Err(Illegal::Stale),
        }
    }

    pub(super) fn read_back_failed(&mut self, served: bool, rung: u32) {
        let last = self.incident.as_ref().and_then(|incident| incident.ladder.fingerprint.clone());
        if last == Some((rung, FingerprintWord::Differs)) {
            self.next_rung("what was served after the shift answered the golden data otherwise than the target did when it was good");
        } else if served {
            let id = self.incident.as_ref().map(|open| open.id.to_string()).unwrap_or_default();
            let text = format!(
                "the target seems to be served, but it is proved less strongly than `proof-min` asks: check it, then `ripcord dismiss {id}` settles it"
            );
            self.need_person(NeedKind::WhatNow, text);
        } else {
            self.next_rung("it was not served in time after the shift");
        }
    }

    fn served(&mut self, read: &ReadBack) -> Result<(), Illegal> {
        let (at, rung) = (self.at, read.rung);
        let verifiers =
            self.terms.as_ref().is_some_and(|terms| terms.policies(Role::Verification).next().is_some());
        self.acting(rung)?.step = StepState::Verifying { since: at, round: 1, due_at: None };
        let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
        if let Phase::Acting(acting) = &incident.phase
            && acting.shifted.contains(&rung)
        {
            self.production.note_brought_by(&incident.id);
        }
        incident.ladder.live_read_back = Some(read.live.clone());
        incident.ladder.facets_read_back.clone_from(&read.facets);
        incident.marks.read_back_at = Some(at);
        incident.ladder.proof = incident.target(rung).and_then(|target| read.proof(target));
        if let Some(target) = incident.target(rung).cloned() {
            self.follow(rung, &target);
        }
        if !self.take_next_wish() && (!verifiers || self.goes_back()) {
            self.well(rung, NOT_VERIFIED);
        }
        Ok(())
    }

    pub(super) fn trial_ran(&mut self, ran: &TrialRan) -> Result<(), Illegal> {
        if self.asks_about(ran.phase) != Some(ran.round) {
            return Err(Illegal::Stale);
        }
        let budget = self.terms.as_ref().map_or(0, |terms| terms.trials_max as usize);
        let done = TrialDone { phase: ran.phase, round: ran.round, request: ran.request, result: ran.result };
        let trials = match (&mut self.incident, &mut self.probation) {
            (Some(incident), _) => &mut incident.ladder.trials,
            (None, Some(probation)) => &mut probation.trials,
            (None, None) => return Err(Illegal::Stale),
        };
        // Whoever runs them keeps to the budget; what comes on top is not remembered.
        if trials.len() < budget {
            trials.push(done);
        }
        Ok(())
    }

    /// The round of verification that is under way about `phase`; none if nobody is asked about it now.
    pub(crate) fn asks_about(&self, phase: TrialPhase) -> Option<u32> {
        if let TrialPhase::Probation(since) = phase {
            let probation = self.probation.as_ref().filter(|probation| probation.since == since);
            return probation.map(|probation| probation.round);
        }
        let Phase::Acting(acting) = &self.incident.as_ref()?.phase else { return None };
        match (phase, &acting.step) {
            (TrialPhase::Rung(of), StepState::Verifying { round, .. })
            | (TrialPhase::Preflight(of), StepState::Preflighting { round, .. })
                if of.rung == acting.rung && self.is_at_hand(of.plan).is_ok() =>
            {
                Some(*round)
            }
            (TrialPhase::Wave(of), StepState::Looking { round, due_at: None, .. })
                if (of.rung, of.wave) == (acting.rung, acting.wave) && self.is_at_hand(of.plan).is_ok() =>
            {
                Some(*round)
            }
            _ => None,
        }
    }

    /// Trials that were run for `phase` so far.
    pub fn trials(&self, phase: TrialPhase) -> impl Iterator<Item = &TrialDone> {
        let of_incident = self.incident.iter().flat_map(|incident| &incident.ladder.trials);
        let of_probation = self.probation.iter().flat_map(|probation| &probation.trials);
        of_incident.chain(of_probation).filter(move |done| done.phase == phase)
    }

    /// How many trials were run of the budget that `phase` shares: those of its incident, or of the probation.
    pub fn trials_spent(&self, phase: TrialPhase) -> usize {
        match phase {
            TrialPhase::Preflight(_) | TrialPhase::Rung(_) | TrialPhase::Wave(_) => {
                self.incident.as_ref().map_or(0, |incident| incident.ladder.trials.len())
            }
            TrialPhase::Probation(_) => self.probation.as_ref().map_or(0, |probation| probation.trials.len()),
        }
    }

    /// What the policy found last about `phase`.
    pub fn found(&self, phase: TrialPhase, policy: &PolicyName) -> Option<&BlobRef> {
        if let TrialPhase::Probation(since) = phase {
            let probation = self.probation.as_ref().filter(|probation| probation.since == since)?;
            return probation.findings.get(policy);
        }
        let incident = self.incident.as_ref()?;
        let found = incident.ladder.findings.get(policy)?;
        (found.phase == phase).then_some(&found.findings)
    }

    pub(super) fn verifications_asked(&mut self, asked: &VerificationsAsked) -> Result<(), Illegal> {
        if self.asks_about(asked.phase) != Some(asked.round) {
            return Err(Illegal::Stale);
        }
        let heard = self.hear(asked)?;
        match asked.phase {
            TrialPhase::Rung(of) => self.rung_judged(of.rung, heard, asked.own_from),
            TrialPhase::Preflight(of) => self.preflight_judged(of.rung, asked.round, heard),
            TrialPhase::Wave(of) => self.wave_judged(of.rung, heard, asked.own_from),
            TrialPhase::Probation(_) => self.probation_judged(heard, asked),
        }
    }

    /// Whether the policy has found it well in an earlier round, and that still counts: it is not asked again while others make up their minds.
    pub fn is_still_healthy(&self, phase: TrialPhase, policy: &PolicyName) -> bool {
        self.healthy.get(policy).is_some_and(|word| word.about == self.about(phase))
    }

    fn about(&self, phase: TrialPhase) -> (u32, u32, TrialPhase) {
        let plan = self.incident.as_ref().map_or(0, |incident| incident.plan_number());
        (self.incidents, plan, phase)
    }

    /// The next round is at `due`: a *healthy* that is too old then is asked for again.
    pub(super) fn age_healthy(&mut self, due: UnixMillis) {
        let valid = self.deadlines().healthy;
        self.healthy.retain(|_, word| due < word.since + valid);
    }

    /// Keeps what the policies found and remember, and adds their words up: unhealthy > fault > inconclusive > healthy. Stale if one that is
    /// configured neither was asked nor still counts as healthy, or another one was asked.
    pub(super) fn hear(&mut self, asked: &VerificationsAsked) -> Result<Heard, Illegal> {
        let terms = self.terms.as_ref().ok_or(Illegal::Stale)?;
        let was_asked = |name: &PolicyName| asked.asked.iter().any(|one| one.decision.policy.name == *name);
        let mut configured = terms.policies(Role::Verification).map(|used| &used.policy.name);
        if !configured.all(|name| was_asked(name) || self.is_still_healthy(asked.phase, name))
            || asked.asked.len() > self.voices(Role::Verification)
        {
            return Err(Illegal::Stale);
        }
        let (about, floor) = (self.about(asked.phase), self.watch_floor());
        let at = self.at;
        let mut heard = Heard::Healthy;
        for verification in &asked.asked {
            let name = verification.decision.policy.name.clone();
            match (verification.findings, &mut self.incident, &mut self.probation) {
                (Some(findings), Some(incident), _) => {
                    incident.ladder.findings.insert(name.clone(), Found { phase: asked.phase, findings });
                }
                (Some(findings), None, Some(probation)) => {
                    probation.findings.insert(name.clone(), findings);
                }
                _ => {}
            }
            let key = (Role::Verification, name);
            let word = match &verification.said {
                Said::Fault(nature) => {
                    self.healthy.remove(&key.1);
                    Heard::Fault(*nature)
                }
                Said::Verdict(word) => {
                    match &verification.memo {
                        Some(memo) => drop(self.memos.insert(key.clone(), memo.clone())),
                        None => drop(self.memos.remove(&key)),
                    }
                    self.healthy.remove(&key.1);
                    match word {
                        VerificationWord::Healthy => {
                            self.healthy.insert(key.1, HealthyWord { about, since: at });
                            Heard::Healthy
                        }
                        VerificationWord::Unhealthy => Heard::Unhealthy,
                        VerificationWord::Inconclusive(due) => Heard::Inconclusive((*due).max(at + floor)),
                    }
                }
            };
            heard = heard.and(word);
        }
        Ok(heard)
    }

    fn rung_judged(&mut self, rung: u32, heard: Heard, own_from: Option<UnixMillis>) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().verification);
        let verified = self.voices(Role::Verification) > 0;
        let StepState::Verifying { since, round, .. } = self.acting(rung)?.step else {
            return Err(Illegal::Stale);
        };
        let again = match heard {
            // The harm of before is not held against it: it is asked about again once the values tell only of its own time, and people are asked if
            // that is too late.
            Heard::Unhealthy if own_from.is_some_and(|own_from| at < own_from) => {
                let own_from = own_from.unwrap_or(at);
                if own_from >= since + limit {
                    self.harm_of_before(rung);
                    return Ok(());
                }
                own_from
            }
            Heard::Unhealthy => {
                self.found_unhealthy(rung);
                return Ok(());
            }
            Heard::Fault(FaultNature::Deterministic) => {
                self.ask_after_verification(
                    "a verification policy faulted, so nobody knows whether the service is well: check it",
                );
                return Ok(());
            }
            Heard::Healthy => {
                self.well(rung, if verified { VERIFIED } else { NOT_VERIFIED });
                return Ok(());
            }
            Heard::Fault(FaultNature::Environmental) => at + VERIFY_AGAIN,
            Heard::Inconclusive(again) => again,
        };
        if at >= since + limit {
            self.verification_timed_out();
        } else {
            let due_at = again.min(since + limit);
            self.age_healthy(due_at);
            self.acting(rung)?.step = StepState::Verifying { since, round: round + 1, due_at: Some(due_at) };
        }
        Ok(())
    }

    /// The breaker between the rungs of one incident: what finds a second good version unhealthy would find the next one so, and taking every good
    /// version away in turn helps nobody.
    pub(super) fn found_unhealthy(&mut self, rung: u32) {
        let Some(incident) = &mut self.incident else { return };
        incident.ladder.unhealthy += 1;
        let others = incident.target(rung + 1).is_some();
        if incident.ladder.unhealthy < UNHEALTHY_MAX || incident.next_wish.is_some() || !others {
            self.next_rung("verification found it unhealthy");
            return;
        }
        let (id, number, service) = (incident.id.clone(), incident.ladder.unhealthy, self.name.clone());
        let target = incident.target(rung).map(ToString::to_string).unwrap_or_default();
        self.need_person(
            NeedKind::WhatNow,
            format!("the breaker: {number} targets in a row were found unhealthy, {target} the last of them, so the cause may be another than the model, and no further version is taken away: look at what verification found, then `ripcord pull {service}` with a target goes on, `ripcord dismiss {id}` leaves it as it is"),
        );
    }

    fn harm_of_before(&mut self, rung: u32) {
        let Some(incident) = &self.incident else { return };
        let (id, service) = (incident.id.clone(), self.name.clone());
        let target = incident.target(rung).map(ToString::to_string).unwrap_or_default();
        self.need_person(
            NeedKind::WhatNow,
            format!("verification calls {target} unhealthy by values that reach back beyond the shift, and so may tell of the harm of before; they tell of {target} alone only after the deadline of verification: look at the service, then `ripcord dismiss {id}` leaves it as it is, `ripcord pull {service}` names another"),
        );
    }

    pub(super) fn verification_timed_out(&mut self) {
        self.ask_after_verification("verification stayed inconclusive until its deadline (`ripcord decisions` shows why): check the service");
    }

    fn ask_after_verification(&mut self, what: &str) {
        let id = self.incident.as_ref().map(|open| open.id.to_string()).unwrap_or_default();
        let text = format!(
            "{what}; then `ripcord dismiss {id}` settles it, or `ripcord pull {} --to VERSION` goes on to another version",
            self.name
        );
        self.need_person(NeedKind::WhatNow, text);
    }

    /// The service is well: the incident is settled.
    fn well(&mut self, rung: u32, how: &str) {
        let Some(incident) = &self.incident else { return };
        let (Phase::Acting(acting), Some(target)) = (&incident.phase, incident.target(rung).cloned()) else {
            return;
        };
        let falls_back = target.revision().is_some_and(|revision| revision.is_safe_mode());
        let outcome = match (falls_back, acting.shifted.is_empty()) {
            (true, _) => Outcome::FellBack,
            (_, true) => Outcome::RestoredElsewhere,
            (_, false) => Outcome::RolledBack,
        };
        let earned = how == VERIFIED;
        // A part condemns nothing: its set may yet go back. What was left is condemned once all of it is well.
        if self.enlisted_by().is_none() {
            self.condemn_what_was_left(rung, &target);
        }
        let mut condemned = String::new();
        if earned {
            self.verified_with(&target);
            for data in self.condemn_data_left(&target) {
                let _ = write!(
                    condemned,
                    "; `{data}` is condemned, and what was trained on it is not gone back to"
                );
            }
        }
        let proof = self.proof(rung).map(|proof| format!(", proved by {proof}")).unwrap_or_default();
        self.settle(outcome, &format!("{target} is served{proof}; {how}{condemned}"));
    }

    /// How the identity of the rung that was read back was proved, in words.
    fn proof(&self, rung: u32) -> Option<String> {
        let incident = self.incident.as_ref()?;
        let same = incident.ladder.fingerprint == Some((rung, FingerprintWord::Same));
        Some(proved_by(incident.ladder.proof?, same))
    }
}
