//! What is live, and what the registry calls so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::{InProduction, Observed, ObservedFacet, ProductionPart};
use crate::facet::{Facet, FacetRead, InForce, Revision};
use crate::fact::Live;
use crate::live::{LiveState, Share, served};
use crate::name::{IncidentId, VersionName};
use crate::time::{Millis, UnixMillis};

/// What changes more often than so within [`LATELY`] goes back and forth: two replicas of which one is behind, or a server that says so. Since when it is
/// live is then no reason to leave out what was before.
const CHANGES_MAX: usize = 4;
const CHANGES_KEPT: usize = CHANGES_MAX + 1;
const LATELY: Millis = Millis::hours(1);

/// What moved is remembered so often, the last times: who asks what changed before a harm asks about hours or days.
const MOVES_KEPT: usize = 64;

/// Places of one service that are told apart.
const PLACES_KEPT: usize = 64;

/// A facet that was seen to have moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which.
    pub facet: Facet,
    /// What was in force before: versions that shared the traffic, or one revision.
    pub from: Vec<VersionName>,
    /// What is in force since.
    pub to: Vec<VersionName>,
    /// When it was seen.
    pub at: UnixMillis,
    /// When all was read last and this was not seen yet, where the host that saw it had looked before.
    #[serde(default)]
    pub not_before: Option<UnixMillis>,
    /// The incident that moved it, if one did.
    pub by: Option<IncidentId>,
    /// The one place of several where it was seen to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// That the registry's production name was seen to have moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameMoved {
    /// What it pointed at before; none is nothing.
    pub from: Option<VersionName>,
    /// What it points at since; none is nothing.
    pub to: Option<VersionName>,
    /// When it was seen.
    pub at: UnixMillis,
    /// The incident that moved it, if one did.
    pub by: Option<IncidentId>,
}

/// What is live, of every facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// Versions with a share of the traffic, sorted.
    pub versions: Vec<VersionName>,
    /// What is in force of the other facets, as far as it was ever read.
    pub facets: BTreeMap<Facet, VersionName>,
}

impl Vector {
    /// Whether something else is live. What was read of only one of them says nothing.
    pub fn is_other_than(&self, other: &Self) -> bool {
        self.has_moved(&Facet::Model, other) || self.facets.keys().any(|facet| self.has_moved(facet, other))
    }

    /// Whether something else is in force of `facet` than in `other`.
    pub fn has_moved(&self, facet: &Facet, other: &Self) -> bool {
        match facet {
            Facet::Model => self.versions != other.versions,
            facet => match (self.facets.get(facet), other.facets.get(facet)) {
                (Some(now), Some(before)) => now != before,
                _ => false,
            },
        }
    }
}

/// What was seen of production last. What could not be read leaves what was seen before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Production {
    /// Versions with a share of the traffic, sorted; none if live was never read.
    pub live: Option<Vec<VersionName>>,
    /// What was served last, which a moment without any does not change: a version that begins anew is still the same one.
    #[serde(default)]
    pub served: Option<Vec<VersionName>>,
    /// The same by place, where there are several; at most [`PLACES_KEPT`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub served_at: BTreeMap<String, Vec<VersionName>>,
    /// Since when, as far as was seen: the first look shows what is live and not since when.
    pub since: Option<UnixMillis>,
    /// When it changed lately, oldest first; at most [`CHANGES_KEPT`].
    #[serde(default)]
    pub changes: Vec<UnixMillis>,
    /// What is in force of the other facets, as it was read last.
    #[serde(default)]
    pub facets: BTreeMap<Facet, InForce>,
    /// What moved lately, oldest first; at most [`MOVES_KEPT`].
    #[serde(default)]
    pub moves: Vec<Moved>,
    /// The incident whose rollback brought it, if one did.
    pub brought_by: Option<IncidentId>,
    /// What was live when it was last asked whether someone else put it there: not during an incident.
    pub judged: Option<Vector>,
    /// What the registry's production name points at, never [`InProduction::Unknown`]; none if it was never read.
    pub name: Option<InProduction>,
    /// Where that name moved lately, oldest first; at most [`MOVES_KEPT`].
    #[serde(default)]
    pub name_moves: Vec<NameMoved>,
    /// What can no longer be read: people were told.
    pub unread: BTreeSet<ProductionPart>,
}

/// The versions with a share of the traffic, by place.
fn served_at(shares: &[Share]) -> BTreeMap<String, Vec<VersionName>> {
    let mut places = BTreeMap::<String, Vec<Share>>::new();
    for share in shares {
        if places.len() == PLACES_KEPT && !places.contains_key(&share.place) {
            continue;
        }
        places.entry(share.place.clone()).or_default().push(share.clone());
    }
    let served = places.into_iter().map(|(place, shares)| (place, served(&shares)));
    served.filter(|(_, versions)| !versions.is_empty()).collect()
}

/// The place that differs, if it is one of several, and all others are as they were.
fn only_moved(
    before: &BTreeMap<String, Vec<VersionName>>,
    now: &BTreeMap<String, Vec<VersionName>>,
) -> Option<String> {
    if before.len() < 2 || !before.keys().eq(now.keys()) {
        return None;
    }
    let mut moved = now.iter().filter(|(place, versions)| before.get(*place) != Some(versions));
    let (place, _) = moved.next()?;
    moved.next().is_none().then(|| place.clone())
}

impl Production {
    /// What is known after this look.
    #[must_use]
    pub fn after(
        &self,
        live: &Observed,
        facets: &[ObservedFacet],
        name: &InProduction,
        at: UnixMillis,
    ) -> Self {
        let mut after = self.after_live(live, facets, at);
        if !matches!(name, InProduction::Unknown(_)) {
            after.note_name(name.clone(), at, None);
            after.unread.remove(&ProductionPart::Name);
        }
        after
    }

    /// The registry's production name was read, or was moved by this incident.
    pub(crate) fn note_name(&mut self, name: InProduction, at: UnixMillis, by: Option<IncidentId>) {
        let points_at = |name: &InProduction| match name {
            InProduction::Version(version) => Some(Some(version.clone())),
            InProduction::Nothing => Some(None),
            InProduction::Unsupported | InProduction::Unknown(_) => None,
        };
        let (from, to) = (self.name.as_ref().and_then(points_at), points_at(&name));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            self.name_moves.push(NameMoved { from, to, at, by });
            let too_many = self.name_moves.len().saturating_sub(MOVES_KEPT);
            self.name_moves.drain(..too_many);
        }
        self.name = Some(name);
    }

    /// What is known after live was read, and the registry was not.
    #[must_use]
    pub fn after_live(&self, live: &Observed, facets: &[ObservedFacet], at: UnixMillis) -> Self {
        let mut after = self.clone();
        let mut moves = Vec::new();
        if let Observed::Serving(shares) = live {
            let versions = served(shares);
            let by_place = served_at(shares);
            match &self.served {
                _ if versions.is_empty() => {}
                None => {
                    after.since = None;
                    after.brought_by = None;
                    after.served = Some(versions.clone());
                }
                Some(before) if *before == versions => {}
                Some(before) => {
                    let (from, to) = (before.clone(), versions.clone());
                    let place = only_moved(&self.served_at, &by_place);
                    moves.push(Moved {
                        facet: Facet::Model,
                        from,
                        to,
                        at,
                        not_before: None,
                        by: None,
                        place,
                    });
                    after.served = Some(versions.clone());
                }
            }
            after.live = Some(versions);
            if !by_place.is_empty() {
                after.served_at = by_place;
            }
            after.unread.remove(&ProductionPart::Live);
        }
        for read in facets {
            let Some(now) = read.state.known() else { continue };
            let before = after.facets.get(&read.facet);
            if let Some(before) = before.filter(|before| before.revision != now.revision) {
                let (from, to) = (vec![before.revision.clone()], vec![now.revision.clone()]);
                let facet = read.facet.clone();
                moves.push(Moved { facet, from, to, at, not_before: None, by: None, place: None });
            }
            let now = before.map_or_else(|| now.clone(), |before| before.seen_again(now));
            after.facets.insert(read.facet.clone(), now);
            after.unread.remove(&ProductionPart::Facet(read.facet.clone()));
        }
        after.note_moves(moves, at);
        after
    }

    fn note_moves(&mut self, moves: Vec<Moved>, at: UnixMillis) {
        if moves.is_empty() {
            return;
        }
        self.changes.push(at);
        let too_many = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..too_many);
        self.since = (!self.goes_back_and_forth(at)).then_some(at);
        self.brought_by = None;
        self.moves.extend(moves);
        let too_many = self.moves.len().saturating_sub(MOVES_KEPT);
        self.moves.drain(..too_many);
    }

    /// What is live now was brought by this incident.
    pub(crate) fn note_brought_by(&mut self, incident: &IncidentId) {
        self.brought_by = Some(incident.clone());
    }

    /// What was just seen to have moved of `facet` is this incident's doing. What moved of another one meanwhile is not.
    pub(crate) fn note_moved_by(&mut self, facet: &Facet, incident: &IncidentId, at: UnixMillis) {
        for moved in self.moves.iter_mut().filter(|moved| moved.at == at && moved.facet == *facet) {
            moved.by = Some(incident.clone());
        }
    }

    /// What was just seen to have moved was not there yet when all was read at `not_before`.
    pub(crate) fn note_not_before(&mut self, not_before: UnixMillis, at: UnixMillis) {
        for moved in self.moves.iter_mut().filter(|moved| moved.at == at) {
            moved.not_before = Some(not_before);
        }
    }

    /// Of a facet that nothing is configured for any more nobody knows what is in force: nothing is made of what was read of it before.
    pub(crate) fn forget_facets(&mut self, is_configured: impl Fn(&Facet) -> bool) {
        self.facets.retain(|facet, _| is_configured(facet));
        self.unread.retain(|part| match part {
            ProductionPart::Facet(facet) => is_configured(facet),
            ProductionPart::Live | ProductionPart::Name => true,
        });
    }

    /// No time has passed, so what is live is live no longer than before.
    pub(crate) fn clock_jumped(&mut self, by: Millis) {
        self.since.iter_mut().chain(&mut self.changes).for_each(|instant| *instant = *instant + by);
    }

    /// What is live, of every facet; none if it was never read.
    pub fn vector(&self) -> Option<Vector> {
        Some(Vector { versions: self.live.clone()?, facets: self.beside() })
    }

    /// What is in force of the facets beside the model.
    pub fn beside(&self) -> BTreeMap<Facet, VersionName> {
        self.facets.iter().map(|(facet, known)| (facet.clone(), known.revision.clone())).collect()
    }

    /// What is in force, where one version has all the traffic.
    pub fn combination(&self) -> Option<BTreeSet<Revision>> {
        let facets = self.beside().into_iter().map(|(facet, name)| Revision { facet, name });
        Some(facets.chain([Revision::of_model(self.sole()?)]).collect())
    }

    /// Since when what this look shows is live: what was not seen before is live since the look, as far as anyone knows.
    pub fn since(&self, look: &Live) -> Option<UnixMillis> {
        let LiveState::Serving(shares) = &look.state else { return None };
        let now = served(shares);
        let seen = self.served.as_ref()?;
        if (*seen == now || now.is_empty()) && look.facets.iter().all(|read| self.has_seen(read)) {
            return self.since;
        }
        (!self.goes_back_and_forth(look.observed_at)).then_some(look.observed_at)
    }

    /// Whether this is what was in force of the facet before, or nothing was known of it.
    fn has_seen<Why>(&self, read: &FacetRead<Why>) -> bool {
        match (read.state.known(), self.facets.get(&read.facet)) {
            (Some(now), Some(before)) => now.revision == before.revision,
            _ => true,
        }
    }

    /// Whether it changes so often that nothing is live for long.
    pub fn goes_back_and_forth(&self, at: UnixMillis) -> bool {
        self.changes.iter().filter(|change| **change + LATELY > at).count() > CHANGES_MAX
    }

    /// The version that has all the traffic.
    pub fn sole(&self) -> Option<&VersionName> {
        match self.live.as_deref() {
            Some([version]) => Some(version),
            _ => None,
        }
    }

    /// Whether a safe mode answers in place of the model.
    pub fn falls_back(&self) -> bool {
        let known = self.facets.get(&Facet::Fallback);
        known.is_some_and(|known| Revision::of(&Facet::Fallback, &known.revision).is_safe_mode())
    }

    /// Whether it has not been readable for long what is in force of the facet.
    pub fn is_unread(&self, facet: &Facet) -> bool {
        self.unread.contains(&match facet {
            Facet::Model => ProductionPart::Live,
            facet => ProductionPart::Facet(facet.clone()),
        })
    }

    /// Whether it is in force, or has a share of the traffic.
    pub fn serves(&self, revision: &Revision) -> bool {
        match revision.version() {
            Some(version) => self.live.as_ref().is_some_and(|live| live.contains(version)),
            None => self.facets.get(&revision.facet).is_some_and(|known| known.revision == revision.name),
        }
    }

    /// Whether the registry calls it that of production.
    pub(crate) fn names(&self, revision: &Revision) -> bool {
        matches!(&self.name, Some(InProduction::Version(named)) if Some(named) == revision.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::live::Proof;
    use crate::ratio::Ratio;
    use crate::target::VersionTarget;

    fn serving(shares: &[(&str, &str)]) -> Observed {
        let share = |(place, version): &(&str, &str)| Share {
            version: VersionTarget {
                version: version.parse().expect("a name"),
                digest: Some(Digest::of(version)),
            },
            place: (*place).to_owned(),
            weight: Ratio::new(0.5).expect("a ratio"),
            proof: Proof::Answer,
        };
        Observed::Serving(shares.iter().map(share).collect())
    }

    fn places(looks: &[&[(&str, &str)]]) -> Vec<Option<String>> {
        let mut seen = Production::default();
        for (at, look) in (1..).zip(looks) {
            seen = seen.after_live(&serving(look), &[], UnixMillis(at));
        }
        seen.moves.into_iter().map(|moved| moved.place).collect()
    }

    #[test]
    fn a_version_has_moved_at_a_place_where_it_moved_there_alone() {
        let both = |eu, us| [("eu", eu), ("us", us)];
        let (old, eu, us) = (both("7", "7"), both("8", "7"), both("7", "8"));
        assert_eq!(places(&[&old, &eu]), [Some("eu".to_owned())]);
        assert_eq!(places(&[&old, &both("8", "8")]), [None], "it moved everywhere");
        assert_eq!(
            places(&[&old, &eu, &us]),
            [Some("eu".to_owned())],
            "the same versions as before, elsewhere: not seen to move"
        );
        assert_eq!(places(&[&[("", "7")], &[("", "8")]]), [None], "there is one place");
        assert_eq!(places(&[&old, &[("eu", "8")]]), [None], "a place went away");
        let lost_sight = [&old[..], &[], &eu];
        assert_eq!(
            places(&lost_sight),
            [Some("eu".to_owned())],
            "a moment without any share changes nothing"
        );
    }

    #[test]
    fn places_beyond_the_bound_are_not_told_apart() {
        let names: Vec<String> = (0..PLACES_KEPT + 5).map(|index| format!("p{index:03}")).collect();
        let all =
            |version: &str| serving(&names.iter().map(|name| (name.as_str(), version)).collect::<Vec<_>>());
        let seen = Production::default().after_live(&all("7"), &[], UnixMillis(1));
        assert_eq!(seen.served_at.len(), PLACES_KEPT);
    }
}
