//! What others do to production: what is live and what the registry's production name points at are watched. A version that they put live is on
//! probation until the verification policies have found it well for long enough; a held version that they bring back breaks its hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::verifying::Heard;
use super::{Hold, HoldState, Illegal, Incident, Opener, Phase, Service, TrialDone};
use crate::blob::BlobRef;
use crate::effect::{Effect, Topic};
use crate::event::{
    InProduction, Observed, ObservedFacet, ProductionPart, ProductionWatched, Reason, TrialPhase,
    VerificationsAsked,
};
use crate::facet::{Facet, Revision};
use crate::name::{IncidentId, PolicyName, VersionName};
use crate::policy::Role;
use crate::production::{Production, Vector};
use crate::role::Urgency;
use crate::signal::{Severity, SignalStatus};
use crate::standing::Standing;
use crate::target::{Strategy, Target, VersionTarget};
use crate::time::{Millis, UnixMillis};

/// Before a version on probation is examined again after a policy faulted.
const EXAMINE_AGAIN: Millis = Millis::minutes(1);
/// Between two looks that signals ask for: a flood of them must not become a flood of reads.
const LOOKS_APART: Millis = Millis::seconds(1);
/// So long the policies have to answer their last question, which is asked when the time is up.
const LAST_ANSWER: Millis = Millis::seconds(30);

/// What someone else put live, until it is known whether it is well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probation {
    /// The version that has all the traffic.
    pub version: VersionTarget,
    /// What others put live and nobody has verified yet: the version, revisions of other facets. What moved last is first. Never empty.
    pub unproven: Vec<Revision>,
    /// What was live before, where it was one version.
    pub before: Option<VersionTarget>,
    /// When it was seen alone for the first time.
    pub since: UnixMillis,
    /// Of the verification, from one.
    pub round: u32,
    /// When the policies are due again; none is now.
    pub due_at: Option<UnixMillis>,
    /// Since when the policies have been due.
    pub asked_since: UnixMillis,
    /// Trials run so far.
    pub trials: Vec<TrialDone>,
    /// What each verification policy found last (JSON of [`crate::role::Finding`]s).
    pub findings: BTreeMap<PolicyName, BlobRef>,
}

/// How a held version came back.
enum Back {
    Live,
    Named,
}

impl Service {
    pub(super) fn production_watched(&mut self, watched: &ProductionWatched) -> Result<(), Illegal> {
        if !self.watches_production() || watched.after != self.ended_last() {
            return Err(Illegal::Stale);
        }
        self.see(&watched.live, &watched.facets, &watched.in_production);
        if let Some(not_before) = watched.not_before {
            self.production.note_not_before(not_before, self.at);
        }
        self.note_unread(watched);
        Ok(())
    }

    /// An incident may wait for people for days, and a held version can come back meanwhile. Once it acts its own steps read live, and what
    /// it shifts is nobody else's doing. A part that waits for the others of its set has been read back: what moves then, others move.
    pub(super) fn watches_production(&self) -> bool {
        let acts = |incident: &Incident| match incident.phase {
            Phase::Acting(_) => true,
            Phase::Enlisted => false,
            _ => incident.is_past_pivot(),
        };
        !self.incident.as_ref().is_some_and(acts)
    }

    /// The incident that has ended last.
    pub fn ended_last(&self) -> Option<IncidentId> {
        self.last_settled.as_ref().map(|incident| incident.id.clone())
    }

    /// The shell tells what cannot be read only when that has lasted. People are told once, and again when it is back.
    fn note_unread(&mut self, watched: &ProductionWatched) {
        // A look that was under way when the configuration changed may miss what is configured no more.
        let facets: BTreeSet<Facet> = self.other_facets().cloned().collect();
        let is_watched = |part: &&ProductionPart| match part {
            ProductionPart::Facet(facet) => facets.contains(facet),
            ProductionPart::Live | ProductionPart::Name => true,
        };
        let mut now = Vec::new();
        for part in watched.unread.iter().filter(is_watched) {
            if self.production.unread.insert(part.clone()) {
                now.push(part.to_string());
            }
        }
        if now.is_empty() {
            return;
        }
        let holds = self.holds.values().any(|hold| hold.state != HoldState::Lifted);
        let (severity, what) = if holds {
            (Severity::Critical, "a held version that comes back, and whatever else others put live,")
        } else {
            (Severity::Warning, "what others put live")
        };
        let text = format!(
            "{} of `{}` cannot be read, for {} by now: {what} goes unnoticed; mend the service, its deployer or its registry, `ripcord check` tries them",
            now.join(" and "),
            self.name,
            self.deadlines().no_data
        );
        self.tell_about(None, Topic::ProductionUnread, severity, text);
    }

    pub(super) fn tell_read_again(&mut self, before: &BTreeSet<ProductionPart>) {
        let back = before.difference(&self.production.unread);
        let back: Vec<_> = back.map(ToString::to_string).collect();
        if !back.is_empty() {
            let text = format!("{} of `{}` can be read again: it is watched", back.join(" and "), self.name);
            self.tell_about(None, Topic::ProductionReadAgain, Severity::Info, text);
        }
    }

    /// Takes in what production looks like, whoever looked.
    pub(super) fn see(&mut self, live: &Observed, facets: &[ObservedFacet], name: &InProduction) {
        let before = self.production.clone();
        self.production = before.after(live, &self.of_configured_facets(facets), name, self.at);
        self.tell_read_again(&before.unread);
        self.judge_holds(&before);
        if self.production.vector() != before.vector() {
            self.latches_see();
        }
    }

    /// Of what was read: a look that was under way when the configuration changed may tell of facets that nothing is configured for any more.
    pub(super) fn of_configured_facets(&self, facets: &[ObservedFacet]) -> Vec<ObservedFacet> {
        let is_configured = |facet: &Facet| self.other_facets().any(|configured| configured == facet);
        facets.iter().filter(|read| is_configured(&read.facet)).cloned().collect()
    }

    /// What others did to production, as it was seen last. While an incident is open it is not asked.
    pub(super) fn judge_production(&mut self) {
        self.reopen_broken();
        if self.incident.is_none() {
            self.judge_live();
        }
    }

    /// The same where only the registry was read, or written to.
    pub(super) fn see_name(&mut self, name: InProduction, moved_by: Option<IncidentId>) {
        let before = self.production.clone();
        self.production.note_name(name, self.at, moved_by);
        self.judge_holds(&before);
    }

    /// A held version that is live again, or that the registry's production name was moved back to, reopens the matter, and people are told, once
    /// each time. A name that has never left the version tells nothing.
    pub(super) fn judge_holds(&mut self, before: &Production) {
        let now = self.production.clone();
        let moving_from = self.moving_from();
        let mut broken: Vec<(Revision, IncidentId, Back)> = Vec::new();
        for (revision, hold) in self.holds.iter_mut().filter(|(_, hold)| hold.state != HoldState::Lifted) {
            // A name that could not be read before the shift may be where it was then, and is about to be moved away.
            let moves = revision.version().is_some_and(|version| moving_from.contains(version));
            let moved_here =
                now.names(revision) && before.name.is_some() && !before.names(revision) && !moves;
            hold.named = now.names(revision) && (hold.named || moved_here);
            let live = now.serves(revision);
            match (live || hold.named, hold.state) {
                (true, HoldState::Stands) => {
                    hold.state = HoldState::Broken;
                    hold.reopened = false;
                    let back = if live { Back::Live } else { Back::Named };
                    broken.push((revision.clone(), hold.incident.clone(), back));
                }
                (false, HoldState::Broken) => hold.state = HoldState::Stands,
                _ => {}
            }
        }
        for (revision, incident, back) in broken {
            let what = match back {
                Back::Live if revision.version().is_none() => {
                    "it is in force again: someone else restored it"
                }
                Back::Live => "it is live again: someone else promoted it",
                Back::Named => {
                    "the registry's production name was moved back to it: whoever follows that name loads it"
                }
            };
            let text = format!("`{revision}` of `{}` was condemned by `{incident}`, and {what}", self.name);
            self.tell(Topic::HoldBroken, Severity::Critical, text);
        }
    }

    /// Each hold that was broken opens one incident: the first at once, one that was broken while an incident is open after it, if the version is
    /// still there.
    fn reopen_broken(&mut self) {
        let waits = |(revision, hold): (&Revision, &Hold)| {
            let reopens = hold.state == HoldState::Broken && !hold.reopened;
            let back = reopens.then(|| self.is_back(revision, hold))??;
            Some((revision.clone(), back))
        };
        if self.incident.is_some() {
            return;
        }
        let Some((revision, back)) = self.holds.iter().find_map(waits) else { return };
        let Some(hold) = self.holds.get_mut(&revision) else { return };
        hold.reopened = true;
        let hold = hold.clone();
        self.reopen(&revision.facet, hold, &back);
    }

    /// How a held version is back now: what was shifted away from since, or what its name is about to be moved from, is not.
    fn is_back(&self, revision: &Revision, hold: &Hold) -> Option<Back> {
        if self.production.serves(revision) {
            return Some(Back::Live);
        }
        let moves = revision.version().is_some_and(|version| self.moving_from().contains(version));
        (hold.named && !moves).then_some(Back::Named)
    }

    /// Versions that the registry's production name is about to be moved away from.
    fn moving_from(&self) -> BTreeSet<VersionName> {
        self.promotion.iter().flat_map(|pending| &pending.expecting).flatten().cloned().collect()
    }

    /// Where only the name came back, what is live is well: the plan is to stay there, and the name follows it. Where nobody knows what that is,
    /// people were told, and nothing is planned that could take a good version away.
    fn reopen(&mut self, facet: &Facet, hold: Hold, back: &Back) {
        let stay = self.production.sole().filter(|version| !self.is_held(*version)).cloned();
        let wanted = match (back, stay) {
            (Back::Live, _) => None,
            (Back::Named, Some(version)) => Some(Target::Version(self.target_of(version))),
            (Back::Named, None) if self.production.sole().is_some() => None,
            (Back::Named, None) => return,
        };
        let reason = Reason { strategy: strategy(facet), urgency: Urgency::Urgent, ..hold.reason };
        self.open(reason, Opener::BrokenHold(hold.incident), wanted);
    }

    fn target_of(&self, version: VersionName) -> VersionTarget {
        let digest = self.known_of(&version).and_then(|known| known.digest);
        VersionTarget { version, digest }
    }

    /// Another live than before ends a probation, and may begin one: where one version has all the traffic, and it or a revision of another facet is
    /// one that no rollback brought, and that nobody vouches for. The first look of all only shows where things stand.
    fn judge_live(&mut self) {
        let now = self.production.vector();
        if now == self.production.judged {
            return;
        }
        let were = std::mem::replace(&mut self.production.judged, now.clone());
        // The first look at a fallback may show that a safe mode answers.
        let answers = !self.production.falls_back();
        if let (Some(now), Some(were), true) = (&now, &were, answers)
            && !now.is_other_than(were)
        {
            return;
        }
        let waited = self.probation.take().map(|probation| probation.unproven).unwrap_or_default();
        let (Some(were), Some(now)) = (were, now) else { return };
        let Some(version) = self.production.sole().cloned() else { return };
        let unproven = self.unproven(&now, &were, &waited);
        // While a safe mode answers, nothing shows how the model does.
        if self.production.falls_back() || unproven.is_empty() || self.voices(Role::Verification) == 0 {
            return;
        }
        let mut others = were.versions.iter().filter(|other| **other != version);
        let before = others.next().filter(|_| others.next().is_none()).cloned();
        self.probation = Some(Probation {
            before: before.map(|version| self.target_of(version)),
            version: self.target_of(version),
            unproven,
            since: self.at,
            round: 1,
            due_at: None,
            asked_since: self.at,
            trials: Vec::new(),
            findings: BTreeMap::new(),
        });
    }

    /// What others put live that nobody has verified, or too long ago; what moved last is first, and what waited for its verification already is after
    /// it. A safe mode that people entered is no promotion. What a safe mode stood in for, or other versions shared the traffic with, answers anew.
    fn unproven(&self, now: &Vector, were: &Vector, waited: &[Revision]) -> Vec<Revision> {
        let anew = now.has_moved(&Facet::Fallback, were) || were.versions.len() != 1;
        let has_moved = |revision: &Revision| now.has_moved(&revision.facet, were);
        let in_force = self.production.combination().unwrap_or_default().into_iter();
        let unproven = in_force.filter(|revision| {
            revision.facet != Facet::Fallback
                && (anew || has_moved(revision) || waited.contains(revision))
                && matches!(self.standing_of(revision, self.at), Standing::Unproven | Standing::Expired)
                && !self.brought(revision)
        });
        let (mut unproven, waited): (Vec<_>, Vec<_>) = unproven.partition(has_moved);
        unproven.extend(waited);
        unproven
    }

    /// Whether the last incident shifted to it: then it was not somebody else.
    fn brought(&self, revision: &Revision) -> bool {
        let tried = self.last_settled.iter().flat_map(|incident| &incident.ladder.tried);
        tried.filter_map(Target::revision).any(|target| target == *revision)
    }

    /// Healthy for long enough: known good. Unhealthy: an incident. Neither until the deadline: people are told.
    pub(super) fn probation_judged(
        &mut self,
        heard: Heard,
        asked: &VerificationsAsked,
    ) -> Result<(), Illegal> {
        let (at, soak) = (self.at, self.deadlines().soak);
        let ends_at = self.probation_ends_at().ok_or(Illegal::Stale)?;
        if heard == Heard::Healthy {
            // What counts is that it is well at the end, so all are asked once more.
            self.healthy.clear();
        }
        let may_fall_back = self.other_facets().any(|facet| *facet == Facet::Fallback)
            && !asked.beside.iter().any(Revision::is_fallback_off);
        let probation = self.probation.as_mut().ok_or(Illegal::Stale)?;
        // What cannot be read is not found well: it may have been moved on by now, or a safe mode may have answered.
        let is_unseen =
            |revision: &Revision| revision.facet != Facet::Model && !asked.beside.contains(revision);
        let unseen = may_fall_back || probation.unproven.iter().any(is_unseen);
        let (cause, own_from) = (asked.cause, asked.own_from);
        let again = match heard {
            Heard::Healthy if unseen => at + EXAMINE_AGAIN,
            // It is asked about again once the values tell only of this version's time.
            Heard::Unhealthy if own_from.is_some_and(|own_from| at < own_from) => own_from.unwrap_or(at),
            Heard::Unhealthy => return self.probation_failed(cause.ok_or(Illegal::Stale)?),
            Heard::Healthy if at >= probation.since + soak => {
                self.probation_passed(&asked.beside);
                return Ok(());
            }
            Heard::Healthy => probation.since + soak,
            Heard::Inconclusive(due) => due,
            Heard::Fault(_) => at + EXAMINE_AGAIN,
        };
        if at >= ends_at {
            self.probation_ran_out();
        } else {
            probation.round += 1;
            probation.due_at = Some(again.min(ends_at));
            self.age_healthy(again.min(ends_at));
        }
        Ok(())
    }

    /// When a probation is given up at the latest; none without one.
    pub fn probation_ends_at(&self) -> Option<UnixMillis> {
        let deadlines = self.deadlines();
        Some(self.probation.as_ref()?.since + deadlines.probation.max(deadlines.soak))
    }

    /// What was read of a facet earlier is not what was found well: only what was in force while the policies were asked is.
    fn probation_passed(&mut self, beside: &[Revision]) {
        let Some(Probation { unproven, since, .. }) = self.probation.take() else { return };
        let in_force = self.production.combination().unwrap_or_default();
        let is_seen = |facet: &Facet| {
            in_force.iter().any(|revision| revision.facet == *facet && beside.contains(revision))
        };
        let unread = self.other_facets().filter(|facet| !is_seen(facet)).cloned().collect();
        self.verified_as_a_whole(&unread);
        let text = format!(
            "{} of `{}`, which someone else put live, was verified and has been well for {}: it is known good",
            names(&unproven),
            self.name,
            self.at.since(since)
        );
        self.tell(Topic::KnownGood, Severity::Info, text);
    }

    fn probation_failed(&mut self, cause: BlobRef) -> Result<(), Illegal> {
        let Probation { version, unproven, since, findings, .. } =
            self.probation.take().ok_or(Illegal::Stale)?;
        // What was moved is what is looked at first; several at once are for whoever plans to tell apart.
        let moved = unproven.into_iter().next().unwrap_or_else(|| Revision::of_model(&version.version));
        let reason = Reason {
            cause,
            strategy: strategy(&moved.facet),
            urgency: Urgency::Urgent,
            harm_began_at: Some(since),
            facts: None,
        };
        self.open(reason, Opener::FailedProbation(moved), None);
        if let Some(incident) = &mut self.incident {
            let found = |findings| super::Found { phase: TrialPhase::Probation(since), findings };
            incident.ladder.findings =
                findings.into_iter().map(|(name, findings)| (name, found(findings))).collect();
        }
        Ok(())
    }

    fn probation_ran_out(&mut self) {
        let Some(Probation { unproven, since, .. }) = self.probation.take() else { return };
        let vouch = unproven.first().map(Revision::as_text).unwrap_or_default();
        let text = format!(
            "{} of `{}`, which someone else put live, could not be verified within {}: it stays unproven, so no rollback goes to it; `ripcord adopt {} {vouch} --reason TEXT` vouches for it",
            names(&unproven),
            self.name,
            self.at.since(since),
            self.name
        );
        self.tell(Topic::NotProven, Severity::Warning, text);
    }

    pub(super) fn probation_woke(&mut self) {
        let at = self.at;
        if let Some(probation) = &mut self.probation
            && probation.due_at.is_some_and(|due| due <= at)
        {
            probation.due_at = None;
            probation.asked_since = at;
        }
        if self.probation_runs_out_at().is_some_and(|end| end <= at) {
            self.probation_ran_out();
        }
    }

    /// Its end, and time for the last answer.
    fn probation_runs_out_at(&self) -> Option<UnixMillis> {
        Some(self.probation_ends_at()?.max(self.probation.as_ref()?.asked_since + LAST_ANSWER))
    }

    /// Without policies to ask, nobody can find a version well; and a registry that had no production name may be another one now.
    pub(super) fn production_configured(&mut self) {
        self.production.name.take_if(|name| *name == InProduction::Unsupported);
        let facets: BTreeSet<Facet> = self.other_facets().cloned().collect();
        let fallback = self.production.facets.get(&Facet::Fallback).cloned();
        let fell_back = self.production.falls_back();
        self.production.forget_facets(|facet| facets.contains(facet));
        if let (Some(mode), true, false) = (fallback, fell_back, self.production.falls_back()) {
            let text = format!(
                "the fallback of `{}` is no longer configured, and `{}` was in force when it was last read: nothing shows any more whether the model answers; configure it again, or look whether it was left",
                self.name, mode.revision
            );
            self.tell_about(None, Topic::ProductionUnread, Severity::Warning, text);
        }
        if self.voices(Role::Verification) == 0 {
            self.probation = None;
        }
    }

    /// A signal that tells no harm, such as a registry's webhook, tells that something may have changed: production is looked at at once.
    pub(super) fn look_because_of(&mut self, severity: &Severity, status: SignalStatus) {
        let news = *severity == Severity::Info && status == SignalStatus::Firing;
        if news && self.look_at.is_none_or(|last| self.at >= last + LOOKS_APART) {
            self.look_at = Some(self.at);
        }
    }

    pub(super) fn owed_to_production(&self, owed: &mut Vec<Effect>) {
        if !self.watches_production() {
            return;
        }
        let deadlines = self.deadlines();
        let holds = self.holds.values().any(|hold| hold.state != HoldState::Lifted);
        let every = if holds {
            deadlines.hold_watch.min(deadlines.elsewhere_watch)
        } else {
            deadlines.elsewhere_watch
        };
        let seen = self.production.clone();
        owed.push(Effect::WatchProduction {
            seen,
            every,
            after: self.ended_last(),
            holds,
            asked_at: self.look_at,
        });
        if let (Some(probation), Some(runs_out_at)) = (&self.probation, self.probation_runs_out_at()) {
            let examine = Effect::Examine { since: probation.since, round: probation.round };
            owed.push(probation.due_at.map_or(examine, Effect::WakeAt));
            owed.push(Effect::WakeAt(runs_out_at));
        }
    }
}

/// What undoes a change of this facet.
const fn strategy(facet: &Facet) -> Strategy {
    match facet {
        Facet::Model => Strategy::Version,
        Facet::Configuration(_) => Strategy::Configuration,
        Facet::Fallback => Strategy::Fallback,
    }
}

/// Of several revisions, for people.
fn names(revisions: &[Revision]) -> String {
    let names: Vec<_> = revisions.iter().map(|revision| format!("`{revision}`")).collect();
    names.join(" and ")
}
