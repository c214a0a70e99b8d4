//! Standing of versions, and holds.

use serde::{Deserialize, Serialize};

use super::{Illegal, Service};
use crate::digest::Digest;
use crate::event::{AboutHold, Adopted, HoldMarked, KnownFingerprint, Observed, Reason};
use crate::name::{IncidentId, VersionName};
use crate::plan::Leaving;
use crate::standing::Standing;
use crate::target::{Target, VersionTarget};
use crate::time::{Millis, UnixMillis};

/// Between two tries of writing a mark to the registry.
const MARK_AGAIN: Millis = Millis::seconds(30);

/// A version that was attested is not attested again before so long: that would change nothing but its age by as much.
const VOUCH_AGAIN: Millis = Millis::hours(1);

/// Incidents that condemned a version, as far as they are kept.
const CONDEMNED_BY_MAX: usize = 16;

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownVersion {
    /// Pinned when it was adopted, staged or verified.
    pub digest: Option<Digest>,
    /// What it answers to the golden data, where that was seen while it was good and live.
    pub fingerprint: Option<KnownFingerprint>,
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

/// A mark that keeps a condemned version from being promoted again.
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
    /// What was thought of the version before, and since when: whoever lifts the hold gives that back.
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
    /// The version must not come back.
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
    /// The standing of `version` at `now`.
    pub fn standing_of(&self, version: &VersionName, now: UnixMillis) -> Standing {
        if self.is_held(version) {
            return Standing::Held;
        }
        let Some(known) = self.versions.get(version) else { return Standing::Unproven };
        match (&known.standing, self.expires_at(version)) {
            (Standing::KnownGood | Standing::Attested, Some(expires)) if expires <= now => Standing::Expired,
            (standing, _) => standing.clone(),
        }
    }

    /// When the standing of a good version ends by age.
    pub fn expires_at(&self, version: &VersionName) -> Option<UnixMillis> {
        let known = self.versions.get(version).filter(|known| known.standing.is_good())?;
        Some(known.since + self.terms.as_ref()?.deadlines.known_good)
    }

    /// Whether a hold stands on `version`.
    pub fn is_held(&self, version: &VersionName) -> bool {
        self.holds.get(version).is_some_and(|hold| hold.state != HoldState::Lifted)
    }

    pub(super) fn known(&mut self, version: &VersionName) -> &mut KnownVersion {
        let at = self.at;
        self.versions.entry(version.clone()).or_insert_with(|| KnownVersion {
            digest: None,
            fingerprint: None,
            standing: Standing::Unproven,
            since: at,
            condemned_by: Vec::new(),
            left_at: None,
        })
    }

    pub(super) fn pin(&mut self, version: &VersionName, digest: Digest) {
        self.known(version).digest.get_or_insert(digest);
        self.pins.remove(version);
    }

    pub(super) fn leave(&mut self, version: &VersionName) {
        let at = self.at;
        self.known(version).left_at = Some(at);
    }

    pub(super) fn lose_standing(&mut self, version: &VersionName) {
        let at = self.at;
        let known = self.known(version);
        known.standing = Standing::Unproven;
        known.since = at;
        self.forget_identity(version);
    }

    pub(super) fn earn_known_good(&mut self, version: &VersionTarget) {
        let at = self.at;
        let known = self.known(&version.version);
        known.standing = Standing::KnownGood;
        known.since = at;
        known.digest = known.digest.or(version.digest);
        known.condemned_by.clear();
        self.want_identity(&version.version);
    }

    /// Condemns and holds every version that was live when the incident began and is not the target, unless the plan leaves them as they were.
    pub(super) fn condemn_what_was_left(&mut self, target: &Target) {
        let at = self.at;
        let Some(incident) = &self.incident else { return };
        if incident.plan().is_some_and(|plan| plan.leaving == Leaving::Keep) {
            return;
        }
        let Some(Observed::Serving(shares)) = incident.live.clone() else { return };
        let (id, reason) = (incident.id.clone(), incident.reason.clone());
        for share in shares.iter().filter(|share| !share.is(target)) {
            let version = &share.version.version;
            let held = self.holds.get(version).filter(|hold| hold.state != HoldState::Lifted);
            let held = held.map(|hold| hold.before.clone());
            let known = self.known(version);
            let before = held.unwrap_or((known.standing.clone(), known.since));
            known.standing = Standing::Condemned;
            known.since = at;
            known.condemned_by.push(id.clone());
            let more = known.condemned_by.len().saturating_sub(CONDEMNED_BY_MAX);
            known.condemned_by.drain(..more);
            self.forget_identity(version);
            self.holds.insert(
                version.clone(),
                Hold {
                    incident: id.clone(),
                    reason: reason.clone(),
                    since: at,
                    state: HoldState::Stands,
                    named: false,
                    reopened: false,
                    mark_at: Some(at),
                    before,
                },
            );
        }
    }

    pub(super) fn adopted(&mut self, adopted: &Adopted) -> Result<(), Illegal> {
        let at = self.at;
        if self.is_held(&adopted.version.version) {
            let (service, version) = (self.name.clone(), adopted.version.version.clone());
            return Err(Illegal::Condemned { service, version });
        }
        let known = self.known(&adopted.version.version);
        let digest = adopted.version.digest.or(known.digest);
        if let (Some(pinned), Some(now)) = (known.digest, digest)
            && pinned != now
        {
            return Err(Illegal::OtherDigest { version: adopted.version.version.clone(), pinned, now });
        }
        let vouched = known.standing == Standing::Attested && known.digest == digest;
        if vouched && at < known.since + VOUCH_AGAIN {
            let (version, since) = (&adopted.version.version, at.since(known.since));
            return Err(Illegal::Unchanged(format!("`{version}` was attested {since} ago")));
        }
        known.standing = Standing::Attested;
        known.since = at;
        known.digest = digest;
        known.condemned_by.clear();
        self.want_identity(&adopted.version.version);
        Ok(())
    }

    pub(super) fn hold_lifted(&mut self, lifted: &AboutHold) -> Result<(), Illegal> {
        let (at, version) = (self.at, &lifted.version);
        let hold = self
            .holds
            .get_mut(version)
            .filter(|hold| hold.state != HoldState::Lifted)
            .ok_or_else(|| Illegal::NoHold(self.name.clone()))?;
        if hold.incident != lifted.incident {
            let (version, by) = (version.clone(), hold.incident.clone());
            return Err(Illegal::OtherHold { version, by, meant: lifted.incident.clone() });
        }
        hold.state = HoldState::Lifted;
        hold.mark_at = Some(at);
        let (standing, since) = hold.before.clone();
        let is_good = standing.is_good();
        let known = self.known(version);
        known.standing = standing;
        known.since = since;
        known.condemned_by.clear();
        if is_good {
            self.want_identity(version);
        }
        Ok(())
    }

    pub(super) fn hold_marked(&mut self, marked: &HoldMarked) -> Result<(), Illegal> {
        let at = self.at;
        let hold = self.holds.get_mut(&marked.version).ok_or(Illegal::Stale)?;
        if marked.incident != hold.to_be_marked() {
            return Err(Illegal::Stale);
        }
        match (&marked.failed, hold.state) {
            (Some(_), _) => hold.mark_at = Some(at + MARK_AGAIN),
            (None, HoldState::Lifted) => drop(self.holds.remove(&marked.version)),
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
