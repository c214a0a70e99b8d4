//! Standing of revisions, and holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Illegal, Incident, Service};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::{AboutHold, Adopted, HoldMarked, KnownFingerprint, Observed, Reason};
use crate::facet::{Facet, FacetRead, FacetState, Revision, read_of};
use crate::name::{IncidentId, VersionName};
use crate::plan::{Leaving, StepKind};
use crate::signal::Severity;
use crate::standing::Standing;
use crate::target::Target;
use crate::time::{Millis, UnixMillis};

/// Between two tries of writing a mark to the registry.
const MARK_AGAIN: Millis = Millis::seconds(30);

/// A revision that was attested is not attested again before so long: that would change nothing but its age by as much.
const VOUCH_AGAIN: Millis = Millis::hours(1);

/// Incidents that condemned a revision, as far as they are kept.
const CONDEMNED_BY_MAX: usize = 16;

/// Combinations of revisions that were verified together, the last ones.
pub(super) const COMBINATIONS_MAX: usize = 32;

/// Revisions of one facet that something is known of. Beyond them the one whose standing is oldest is forgotten: nobody goes back that far, and it is as
/// one that was never seen.
pub(super) const REVISIONS_MAX: usize = 256;

/// What is known of a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownRevision {
    /// Pinned when it was adopted, staged or verified.
    pub digest: Option<Digest>,
    /// What a version answers to the golden data, where that was seen while it was good and live.
    pub fingerprint: Option<KnownFingerprint>,
    /// What was in force of the other facets then: under another configuration the same version may answer otherwise.
    pub fingerprint_beside: BTreeMap<Facet, VersionName>,
    /// Unproven, attested, known good or condemned; age and holds come on top.
    pub standing: Standing,
    /// Since when it has that standing.
    pub since: UnixMillis,
    /// The last incidents that condemned it, oldest first, while that counts: whoever lifts its hold, vouches for it or verifies it takes all of it
    /// back.
    pub condemned_by: Vec<IncidentId>,
    /// When a rollback last left it.
    pub left_at: Option<UnixMillis>,
}

/// Revisions that were in force together when they were verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combination {
    /// One of each facet.
    pub revisions: BTreeSet<Revision>,
    /// When they were verified last.
    pub verified_at: UnixMillis,
}

/// A mark that keeps a condemned revision from coming back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Which incident condemned it.
    pub incident: IncidentId,
    /// Why that incident was.
    pub reason: Reason,
    /// Since when.
    pub since: UnixMillis,
    /// Whether it stands.
    pub state: HoldState,
    /// What was thought of the revision before, and since when: whoever lifts the hold gives that back.
    pub before: (Standing, UnixMillis),
    /// Whether the registry's production name was moved to it since.
    pub named: bool,
    /// Whether an incident was opened because it is broken.
    pub reopened: bool,
    /// When the registry is to be told, if it is still to be.
    pub mark_at: Option<UnixMillis>,
}

/// Whether a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldState {
    /// The revision must not come back.
    Stands,
    /// It came back, and people were told.
    Broken,
    /// A person lifted it; the registry is still to be told.
    Lifted,
}

impl Hold {
    /// What the registry is to say: held by which incident; none is lifted.
    pub fn to_be_marked(&self) -> Option<IncidentId> {
        (self.state != HoldState::Lifted).then(|| self.incident.clone())
    }
}

impl Service {
    /// The standing of a revision at `now`.
    pub fn standing_of(&self, revision: impl Into<Revision>, now: UnixMillis) -> Standing {
        let revision = revision.into();
        if self.is_held(&revision) {
            return Standing::Held;
        }
        let Some(known) = self.revisions.get(&revision) else { return Standing::Unproven };
        match (&known.standing, self.expires_at(&revision)) {
            (Standing::KnownGood | Standing::Attested, Some(expires)) if expires <= now => Standing::Expired,
            (standing, _) => standing.clone(),
        }
    }

    /// When the standing of a good revision ends by age.
    pub fn expires_at(&self, revision: impl Into<Revision>) -> Option<UnixMillis> {
        let known = self.known_of(revision).filter(|known| known.standing.is_good())?;
        Some(known.since + self.terms.as_ref()?.deadlines.known_good)
    }

    /// Whether a hold stands on it.
    pub fn is_held(&self, revision: impl Into<Revision>) -> bool {
        self.hold_on(revision).is_some_and(|hold| hold.state != HoldState::Lifted)
    }

    /// How long ago a rollback left it, where that is so short that rules alone do not go back to it.
    pub fn left_lately(&self, revision: &Revision, now: UnixMillis) -> Option<Millis> {
        let left = self.known_of(revision)?.left_at?;
        let no_return = self.terms.as_ref()?.breaker.no_return;
        (now < left + no_return).then(|| now.since(left))
    }

    /// What is known of a revision, if anything is.
    pub fn known_of(&self, revision: impl Into<Revision>) -> Option<&KnownRevision> {
        self.revisions.get(&revision.into())
    }

    /// The hold on a revision, lifted ones that the registry has not heard of included.
    pub fn hold_on(&self, revision: impl Into<Revision>) -> Option<&Hold> {
        self.holds.get(&revision.into())
    }

    /// The versions that something is known of.
    pub fn versions(&self) -> impl Iterator<Item = (&VersionName, &KnownRevision)> {
        self.revisions.iter().filter_map(|(revision, known)| Some((revision.version()?, known)))
    }

    /// When these revisions were last verified while they were in force together.
    pub fn verified_together(&self, revisions: &BTreeSet<Revision>) -> Option<UnixMillis> {
        let same = self.combinations.iter().find(|known| known.revisions == *revisions);
        same.map(|known| known.verified_at)
    }

    /// Forgets what is beyond [`REVISIONS_MAX`] of a facet; but nothing that a hold is on, that is in force, or that the open incident or the breaker may
    /// ask for.
    pub(super) fn forget_old_revisions(&mut self) {
        if self.revisions.len() <= REVISIONS_MAX {
            return;
        }
        let facets: BTreeSet<Facet> = self.revisions.keys().map(|revision| revision.facet.clone()).collect();
        for facet in facets {
            let of_it = self.revisions.iter().filter(|(revision, _)| revision.facet == facet);
            let too_many = of_it.clone().count().saturating_sub(REVISIONS_MAX);
            let mut old: Vec<_> = of_it
                .filter(|(revision, known)| !self.is_needed(revision, known))
                .map(|(revision, known)| (known.standing.is_good(), known.since, revision.clone()))
                .collect();
            old.sort();
            for (_, _, revision) in old.into_iter().take(too_many) {
                self.forget_identity(&revision);
                self.revisions.remove(&revision);
            }
        }
    }

    fn is_needed(&self, revision: &Revision, known: &KnownRevision) -> bool {
        let no_return = self.terms.as_ref().map_or(Millis(0), |terms| terms.breaker.no_return);
        let targets = self.incident.iter().filter_map(Incident::plan).flat_map(|plan| &plan.targets);
        self.holds.contains_key(revision)
            || self.production.serves(revision)
            || known.left_at.is_some_and(|left| self.at < left + no_return)
            || targets.filter_map(Target::revision).any(|target| target == *revision)
    }

    pub(super) fn known(&mut self, revision: impl Into<Revision>) -> &mut KnownRevision {
        let at = self.at;
        self.revisions.entry(revision.into()).or_insert_with(|| KnownRevision {
            digest: None,
            fingerprint: None,
            fingerprint_beside: BTreeMap::new(),
            standing: Standing::Unproven,
            since: at,
            condemned_by: Vec::new(),
            left_at: None,
        })
    }

    pub(super) fn pin(&mut self, revision: impl Into<Revision>, digest: Digest) {
        let revision = revision.into();
        self.known(&revision).digest.get_or_insert(digest);
        if let Some(version) = revision.version() {
            self.pins.remove(version);
        }
    }

    pub(super) fn leave(&mut self, revision: impl Into<Revision>) {
        let at = self.at;
        self.known(revision).left_at = Some(at);
    }

    pub(super) fn lose_standing(&mut self, revision: &Revision) {
        let at = self.at;
        let known = self.known(revision);
        known.standing = Standing::Unproven;
        known.since = at;
        self.forget_identity(revision);
    }

    pub(super) fn earn_known_good(&mut self, revision: &Revision, digest: Option<Digest>) {
        let at = self.at;
        let known = self.known(revision);
        known.standing = Standing::KnownGood;
        known.since = at;
        known.digest = known.digest.or(digest);
        known.condemned_by.clear();
        self.want_identity(revision);
    }

    /// A rollback to `target` was verified. While a safe mode answers, that says nothing of anything but the safe mode.
    pub(super) fn verified_with(&mut self, target: &Target) {
        let Some(revision) = target.revision() else { return };
        let read = |facet: &Facet| match &self.incident {
            Some(incident) => {
                read_of(&incident.ladder.facets_read_back, facet).and_then(FacetState::known).is_some()
            }
            None => false,
        };
        let mut unread: BTreeSet<Facet> = self.other_facets().filter(|facet| !read(facet)).cloned().collect();
        if !self.model_was_read_back() {
            unread.insert(Facet::Model);
        }
        if revision.facet == Facet::Fallback || !self.may_fall_back(&unread) {
            self.earn_known_good(&revision, target.digest());
        }
        self.verified_as_a_whole(&unread);
    }

    /// Whether the read-back showed one version alone, and not other content than was pinned under its name.
    fn model_was_read_back(&self) -> bool {
        let live = self.incident.as_ref().and_then(|incident| incident.ladder.live_read_back.as_ref());
        let Some(sole) = live.and_then(|live| live.state().sole_version().cloned()) else { return false };
        let pinned = self.known_of(&sole.version).and_then(|known| known.digest);
        pinned.zip(sole.digest).is_none_or(|(pinned, now)| pinned == now)
    }

    /// The facets beside the model that something is configured for.
    pub(super) fn other_facets(&self) -> impl Iterator<Item = &Facet> {
        self.terms.iter().flat_map(|terms| &terms.facets).map(|terms| &terms.facet)
    }

    /// Whether a safe mode may have answered in place of the model: one did when the fallback was read last, or it could not be read.
    fn may_fall_back(&self, unread: &BTreeSet<Facet>) -> bool {
        self.production.falls_back() || unread.contains(&Facet::Fallback)
    }

    /// What is in force was verified as a whole, so each of its revisions was that no hold stands on; and that they go together is known, unless what
    /// is in force of one is not known. While a safe mode answers, or may, that says nothing of them.
    pub(super) fn verified_as_a_whole(&mut self, unread: &BTreeSet<Facet>) {
        let at = self.at;
        if self.may_fall_back(unread) {
            return;
        }
        let Some(revisions) = self.production.combination() else { return };
        let mut all = unread.is_empty();
        for revision in &revisions {
            let digest = self.production.facets.get(&revision.facet).and_then(|known| known.digest);
            let pinned = self.known_of(revision).and_then(|known| known.digest);
            // What stands under its name now is not what was pinned.
            let changed = digest.zip(pinned).is_some_and(|(now, pinned)| now != pinned);
            if changed || self.is_held(revision) {
                all = false;
            } else if !unread.contains(&revision.facet) {
                self.earn_known_good(revision, digest);
            }
        }
        if !all {
            return;
        }
        self.combinations.retain(|known| known.revisions != revisions);
        self.combinations.push(Combination { revisions, verified_at: at });
        let too_many = self.combinations.len().saturating_sub(COMBINATIONS_MAX);
        self.combinations.drain(..too_many);
    }

    /// What the incident found of the target's facet, and what its plan left of it that somebody else had put there meanwhile: every revision that is
    /// not the target, unless leaving it says nothing against it. What the incident itself tried before is not blamed.
    fn left_for(&self, incident: &Incident, target: &Target) -> Vec<Revision> {
        let mut left = match target.facet() {
            Some(Facet::Model) => match &incident.live {
                Some(Observed::Serving(shares)) => {
                    let others = shares.iter().filter(|share| !share.is(target));
                    others.map(|share| Revision::of_model(&share.version.version)).collect()
                }
                _ => Vec::new(),
            },
            Some(facet) => {
                let found = incident.facets.iter().filter(|read| read.facet == facet);
                found
                    .filter_map(FacetRead::revision)
                    .filter(|found| Some(found) != target.revision().as_ref())
                    .collect()
            }
            None => Vec::new(),
        };
        let planned = incident.plan().map(|plan| plan.serves_of(target)).unwrap_or_default();
        let Some(target) = target.revision() else { return Vec::new() };
        let tried: BTreeSet<Revision> = incident.ladder.tried.iter().filter_map(Target::revision).collect();
        let found_later = planned.into_iter().filter(|found| *found != target && !tried.contains(found));
        for found in found_later {
            if !left.contains(&found) {
                left.push(found);
            }
        }
        left.into_iter().filter(|left| left.is_condemned_for(&target)).collect()
    }

    /// Condemns and holds what was in force of the target's facet when the incident began or its plan was made, and is not the target, unless the plan
    /// leaves it as it was.
    /// The facets that stayed are not blamed.
    pub(super) fn condemn_what_was_left(&mut self, rung: u32, target: &Target) {
        let at = self.at;
        let Some(incident) = &self.incident else { return };
        if incident.plan().is_some_and(|plan| plan.leaving == Leaving::Keep) {
            return;
        }
        let (id, reason) = (incident.id.clone(), incident.reason.clone());
        let marks = incident.plan().is_some_and(|plan| plan.lists(rung, 0, StepKind::MarkHolds));
        let left = self.left_for(incident, target);
        if !marks && left.iter().any(|revision| revision.version().is_some()) {
            let text = format!(
                "the plan of `{id}` does not list `{}`, so the registry is not told of the holds on what was left: they stand here alone",
                StepKind::MarkHolds.as_str()
            );
            self.tell(Topic::NotListed, Severity::Warning, text);
        }
        for revision in left {
            let held = self.holds.get(&revision).filter(|hold| hold.state != HoldState::Lifted);
            let held = held.map(|hold| hold.before.clone());
            let known = self.known(&revision);
            let before = held.unwrap_or((known.standing.clone(), known.since));
            known.standing = Standing::Condemned;
            known.since = at;
            known.condemned_by.push(id.clone());
            let more = known.condemned_by.len().saturating_sub(CONDEMNED_BY_MAX);
            known.condemned_by.drain(..more);
            self.forget_identity(&revision);
            // A registry has a place for marks on versions.
            let mark_at = revision.version().filter(|_| marks).map(|_| at);
            self.holds.insert(
                revision,
                Hold {
                    incident: id.clone(),
                    reason: reason.clone(),
                    since: at,
                    state: HoldState::Stands,
                    named: false,
                    reopened: false,
                    mark_at,
                    before,
                },
            );
        }
    }

    pub(super) fn adopted(&mut self, adopted: &Adopted) -> Result<(), Illegal> {
        let at = self.at;
        let revision = &adopted.revision;
        if self.is_held(revision) {
            return Err(Illegal::Condemned { service: self.name.clone(), revision: revision.clone() });
        }
        let known = self.known(revision);
        let digest = adopted.digest.or(known.digest);
        if let (Some(pinned), Some(now)) = (known.digest, digest)
            && pinned != now
        {
            return Err(Illegal::OtherDigest { revision: revision.clone(), pinned, now });
        }
        let vouched = known.standing == Standing::Attested && known.digest == digest;
        if vouched && at < known.since + VOUCH_AGAIN {
            let since = at.since(known.since);
            return Err(Illegal::Unchanged(format!("`{revision}` was attested {since} ago")));
        }
        known.standing = Standing::Attested;
        known.since = at;
        known.digest = digest;
        known.condemned_by.clear();
        self.want_identity(revision);
        Ok(())
    }

    pub(super) fn hold_lifted(&mut self, lifted: &AboutHold) -> Result<(), Illegal> {
        let (at, revision) = (self.at, &lifted.revision);
        let hold = self
            .holds
            .get_mut(revision)
            .filter(|hold| hold.state != HoldState::Lifted)
            .ok_or_else(|| Illegal::NoHold(self.name.clone()))?;
        if hold.incident != lifted.incident {
            let (revision, by) = (revision.clone(), hold.incident.clone());
            return Err(Illegal::OtherHold { revision, by, meant: lifted.incident.clone() });
        }
        let (standing, since) = hold.before.clone();
        if revision.version().is_some() {
            hold.state = HoldState::Lifted;
            hold.mark_at = Some(at);
        } else {
            self.holds.remove(revision);
        }
        let is_good = standing.is_good();
        let known = self.known(revision);
        known.standing = standing;
        known.since = since;
        known.condemned_by.clear();
        if is_good {
            self.want_identity(revision);
        }
        Ok(())
    }

    pub(super) fn hold_marked(&mut self, marked: &HoldMarked) -> Result<(), Illegal> {
        let at = self.at;
        let revision = Revision::of_model(&marked.version);
        let hold = self.holds.get_mut(&revision).ok_or(Illegal::Stale)?;
        if marked.incident != hold.to_be_marked() {
            return Err(Illegal::Stale);
        }
        match (&marked.failed, hold.state) {
            (Some(_), _) => hold.mark_at = Some(at + MARK_AGAIN),
            (None, HoldState::Lifted) => drop(self.holds.remove(&revision)),
            (None, _) => hold.mark_at = None,
        }
        Ok(())
    }

    pub(super) fn versions_woke(&mut self) {
        let at = self.at;
        for hold in self.holds.values_mut() {
            if hold.mark_at.is_some_and(|due| due <= at) {
                hold.mark_at = Some(at);
            }
        }
    }
}
