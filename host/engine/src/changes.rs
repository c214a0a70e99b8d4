//! What moved before a harm: of every facet as production was watched and as its history has it, what the registry tells, and the data behind the versions.

use futures_util::future::join_all;
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::fact::{Change, Changed, Lineage, Noticed};
use ripcord_core::name::VersionName;
use ripcord_core::production::{Moved, NameMoved};
use ripcord_core::service::Service;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_ports::restorer::HistoryEntry;
use ripcord_ports::{ErrorKind, PortError};

use crate::fleet::Fleet;
use crate::restorable::told;
use crate::setup::{ServicePorts, ServiceSetup};

/// Revisions of one facet, and versions of the registry, that are looked through for what changed.
const HISTORY_MAX: u32 = 100;
/// Moves of the model, the newest, whose versions are asked for the data that they were made from.
const LINEAGES_MAX: usize = 8;
/// Data sets of one version that are compared.
const DATASETS_MAX: usize = 16;

/// What moved, newest first, and what could not be looked into.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) changes: Vec<Change>,
    /// Of which part, and why.
    pub(crate) gaps: Vec<(Part, PortError)>,
}

/// A part of what is looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    History(Facet),
    Registry,
    Lineage(VersionName),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::History(facet) => write!(f, "the history of {facet}"),
            Self::Registry => f.write_str("the registry's list"),
            Self::Lineage(version) => write!(f, "the lineage of `{version}`"),
        }
    }
}

impl Gathered {
    /// For policies: a history that cannot be read may hide the change that did it. That the registry tells nothing hides only what is not in force.
    pub(crate) fn for_policies(self) -> Result<Vec<Change>, PortError> {
        let hides = |(part, _): &(Part, PortError)| matches!(part, Part::History(_));
        match self.gaps.into_iter().find(hides) {
            Some((_, error)) => Err(error),
            None => Ok(self.changes),
        }
    }
}

/// What moved within the window.
pub(crate) async fn changes(
    ports: &ServicePorts,
    service: &Service,
    fleet: Option<&Fleet>,
    window: Window,
) -> Gathered {
    let view = View { service, window };
    let mut gathered = Gathered { changes: view.seen(), gaps: Vec::new() };
    let (histories, versions, lineages) = tokio::join!(
        join_all(
            ports
                .restorers
                .iter()
                .map(|(facet, port)| async move { (facet, port.history(HISTORY_MAX).await) })
        ),
        ports.registry.versions(HISTORY_MAX),
        lineages(ports, &gathered.changes),
    );
    for (facet, history) in histories {
        match history {
            Ok(history) => view.add_history(&mut gathered.changes, facet, &history),
            Err(error) => gathered.gaps.push((Part::History(facet.clone()), error)),
        }
    }
    let names = view.names(&gathered.changes);
    gathered.changes.extend(names);
    match versions {
        Ok(versions) => {
            let made = versions.iter().map(|one| (&one.version.version, one.created_at));
            let registered = view.registered(&gathered.changes, made);
            gathered.changes.extend(registered);
        }
        Err(error) => gathered.gaps.push((Part::Registry, error)),
    }
    for lineage in lineages {
        match lineage {
            Ok(changes) => gathered.changes.extend(changes),
            // A registry that keeps none hides nothing that it knows.
            Err((_, error)) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound) => {}
            Err((version, error)) => gathered.gaps.push((Part::Lineage(version), error)),
        }
    }
    gathered.changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    if let Some(fleet) = fleet {
        fleet.tell_touched(&service.name, ports, &mut gathered.changes).await;
    }
    gathered
}

/// What moved, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesSeen {
    /// Newest first.
    pub changes: Vec<Change>,
    /// What could not be looked into, and why.
    pub gaps: Vec<String>,
}

/// What moved of a service within the window, and which others of the host use it.
pub async fn changes_of(
    setup: &ServiceSetup,
    service: &Service,
    fleet: &Fleet,
    window: Window,
) -> ChangesSeen {
    let Gathered { changes, gaps } = changes(&setup.ports, service, Some(fleet), window).await;
    let gaps = gaps.into_iter().map(|(part, error)| format!("{part} cannot be read: {}", told(&error)));
    ChangesSeen { changes, gaps: gaps.collect() }
}

/// What the journal alone tells of it, where `why` nobody else was asked.
pub fn changes_known(service: &Service, window: Window, why: String) -> ChangesSeen {
    let view = View { service, window };
    let mut changes = view.seen();
    let names = view.names(&changes);
    changes.extend(names);
    changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    ChangesSeen { changes, gaps: vec![why] }
}

struct View<'a> {
    service: &'a Service,
    window: Window,
}

impl View<'_> {
    fn has(&self, at: UnixMillis) -> bool {
        self.window.start <= at && at <= self.window.end
    }

    fn verified_at(&self, facet: &Facet, became: &[VersionName]) -> Option<UnixMillis> {
        let known = self.service.known_of(Revision::of(facet, became.first()?));
        known.filter(|known| known.standing.is_good()).map(|known| known.since)
    }

    /// As production was watched, oldest first.
    fn seen(&self) -> Vec<Change> {
        let moves = self.service.production.moves.iter().filter(|moved| self.has(moved.at));
        moves
            .map(|moved| {
                let Moved { facet, from, to, at, not_before, by, place } = moved.clone();
                Change {
                    verified_at: self.verified_at(&facet, &to),
                    what: Changed::Facet(facet),
                    was: from,
                    became: to,
                    at,
                    not_before,
                    by: by.as_ref().map(ToString::to_string),
                    noticed: if by.is_some() { Noticed::Ripcord } else { Noticed::Production },
                    place,
                    touches: Vec::new(),
                }
            })
            .collect()
    }

    /// What a facet's own history has that was not seen to come into force. What was is told once, with who made it.
    fn add_history(&self, changes: &mut Vec<Change>, facet: &Facet, history: &[HistoryEntry]) {
        let is_known = |entry: &HistoryEntry| {
            let same = |moved: &Moved| moved.facet == *facet && moved.to == [entry.revision.clone()];
            self.service.production.moves.iter().any(same)
        };
        for (index, entry) in history.iter().enumerate() {
            let Some(at) = entry.made_at.filter(|at| self.has(*at)) else { continue };
            if is_known(entry) {
                credit(changes, facet, entry);
                continue;
            }
            let became = vec![entry.revision.clone()];
            changes.push(Change {
                verified_at: self.verified_at(facet, &became),
                what: Changed::Facet(facet.clone()),
                was: history.get(index + 1).map(|before| before.revision.clone()).into_iter().collect(),
                became,
                at,
                not_before: None,
                by: entry.made_by.clone(),
                noticed: Noticed::History,
                place: None,
                touches: Vec::new(),
            });
        }
    }

    /// Where the registry's production name was seen to move, but for versions that were seen to come live: those are told once.
    fn names(&self, seen: &[Change]) -> Vec<Change> {
        let moves = self.service.production.name_moves.iter();
        let told = |moved: &&NameMoved| {
            self.has(moved.at) && !moved.to.as_ref().is_some_and(|version| is_told(seen, version))
        };
        moves
            .filter(told)
            .map(|moved| {
                let became: Vec<_> = moved.to.clone().into_iter().collect();
                Change {
                    verified_at: self.verified_at(&Facet::Model, &became),
                    what: Changed::MODEL,
                    was: moved.from.clone().into_iter().collect(),
                    became,
                    at: moved.at,
                    not_before: None,
                    by: moved.by.as_ref().map(ToString::to_string),
                    noticed: Noticed::Registry,
                    place: None,
                    touches: Vec::new(),
                }
            })
            .collect()
    }

    /// Versions that were registered, but for those that are told already.
    fn registered<'v>(
        &self,
        told: &[Change],
        made: impl Iterator<Item = (&'v VersionName, UnixMillis)>,
    ) -> Vec<Change> {
        made.filter(|(version, at)| self.has(*at) && !is_told(told, version))
            .map(|(version, at)| Change {
                verified_at: self.verified_at(&Facet::Model, std::slice::from_ref(version)),
                what: Changed::MODEL,
                was: Vec::new(),
                became: vec![version.clone()],
                at,
                not_before: None,
                by: None,
                noticed: Noticed::Registered,
                place: None,
                touches: Vec::new(),
            })
            .collect()
    }
}

/// Whether one of these changes brought the version.
fn is_told(changes: &[Change], version: &VersionName) -> bool {
    changes.iter().any(|change| change.what == Changed::MODEL && change.became.contains(version))
}

/// Says who made what was seen to come into force. Equal content has one name, that of its author: who put it back later is somebody else. The changes
/// of a facet are oldest first.
fn credit(changes: &mut [Change], facet: &Facet, entry: &HistoryEntry) {
    let mut same = changes
        .iter_mut()
        .filter(|change| change.what.facet() == Some(facet) && change.became == [entry.revision.clone()]);
    if let Some(first) = same.next().filter(|first| first.by.is_none()) {
        first.by.clone_from(&entry.made_by);
    }
}

type OfLineage = Result<Vec<Change>, (VersionName, PortError)>;

/// Other data behind the version that came than behind the one that went, for the newest moves of the model.
async fn lineages(ports: &ServicePorts, seen: &[Change]) -> Vec<OfLineage> {
    let of_model = seen.iter().rev().filter(|change| change.what == Changed::MODEL);
    let pairs = of_model.filter_map(|change| match (change.was.as_slice(), change.became.as_slice()) {
        ([was], [became]) => Some((change, was, became)),
        _ => None,
    });
    let compared = pairs.take(LINEAGES_MAX).map(|(change, was, became)| async move {
        let (before, since) = tokio::join!(lineage(ports, was), lineage(ports, became));
        Ok(other_data(&before?, &since?, change))
    });
    join_all(compared).await
}

async fn lineage(ports: &ServicePorts, version: &VersionName) -> Result<Lineage, (VersionName, PortError)> {
    ports.registry.lineage(version).await.map_err(|error| (version.clone(), error))
}

/// Data sets that both were trained on, at another revision. What they were only measured with may move as it likes.
fn other_data(before: &Lineage, since: &Lineage, moved: &Change) -> Vec<Change> {
    let before: Vec<_> = before.trained_on().take(DATASETS_MAX).collect();
    let since: Vec<_> = since.trained_on().take(DATASETS_MAX).collect();
    let mut all = Vec::new();
    for (name, became) in since.iter().filter(|set| !before.contains(set)) {
        // A version may be trained on several revisions of one set: only those that went can have become others.
        let mut went = before.iter().filter(|set| set.0 == *name && !since.contains(set));
        let Some((was, became)) = went.find_map(|set| set.1).zip(*became) else { continue };
        all.push(Change {
            what: Changed::Data((*name).to_owned()),
            was: as_name(was).into_iter().collect(),
            became: as_name(became).into_iter().collect(),
            at: moved.at,
            not_before: moved.not_before,
            by: None,
            noticed: Noticed::Lineage,
            verified_at: None,
            place: moved.place.clone(),
            touches: Vec::new(),
        });
    }
    all
}

/// A data revision is whatever a registry calls it. What a name cannot hold of it becomes `-`.
pub(crate) fn as_name(revision: &str) -> Option<VersionName> {
    const LENGTH_MAX: usize = 100;
    let held = |c: char| if c.is_ascii_alphanumeric() || "_-+:@".contains(c) { c } else { '-' };
    let text: String = revision.chars().take(LENGTH_MAX).map(held).collect();
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    VersionName::new(revision).or_else(|_| VersionName::new(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::fact::Dataset;

    fn name(text: &str) -> VersionName {
        text.parse().expect("a name")
    }

    fn moved(what: Changed, was: &str, became: &str, at: u64) -> Change {
        Change {
            what,
            was: vec![name(was)],
            became: vec![name(became)],
            at: UnixMillis(at),
            not_before: None,
            by: None,
            noticed: Noticed::Production,
            verified_at: None,
            place: None,
            touches: Vec::new(),
        }
    }

    #[test]
    fn who_wrote_a_revision_is_not_who_put_it_back() {
        let facet: Facet = "limits".parse().expect("a facet");
        let limits = |was, became, at| moved(Changed::Facet(facet.clone()), was, became, at);
        let mut changes = [limits("z", "a", 1), limits("a", "b", 2), limits("b", "a", 3)];
        let entry = HistoryEntry {
            revision: name("a"),
            digest: None,
            made_at: Some(UnixMillis(1)),
            made_by: Some("ada".into()),
            summary: String::new(),
            broken: None,
        };
        credit(&mut changes, &facet, &entry);
        assert_eq!(changes.map(|change| change.by), [Some("ada".into()), None, None]);
    }

    #[test]
    fn data_has_moved_where_both_versions_know_the_set_and_name_other_revisions() {
        let lineage = |sets: &[(&str, Option<&str>)]| Lineage {
            datasets: sets
                .iter()
                .map(|(name, revision)| Dataset {
                    name: (*name).to_owned(),
                    revision: revision.map(str::to_owned),
                    context: None,
                })
                .collect(),
            ..Lineage::default()
        };
        let before = lineage(&[
            ("loans", Some("r1")),
            ("shops", Some("s3://b/1")),
            ("kept", Some("k")),
            ("dark", None),
        ]);
        let since = lineage(&[
            ("loans", Some("r2")),
            ("shops", Some("s3://b/2")),
            ("kept", Some("k")),
            ("dark", Some("d")),
            ("new", Some("n")),
        ]);
        let at = moved(Changed::MODEL, "4", "5", 7);
        let told: Vec<_> = other_data(&before, &since, &at)
            .into_iter()
            .map(|change| {
                (
                    change.what.to_string(),
                    change.was[0].to_string(),
                    change.became[0].to_string(),
                    change.at.0,
                )
            })
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(what, was, became, at)| (what.as_str(), was.as_str(), became.as_str(), *at))
            .collect();
        assert_eq!(told, [("data loans", "r1", "r2", 7), ("data shops", "s3:--b-1", "s3:--b-2", 7)]);
    }

    #[test]
    fn what_versions_were_only_measured_with_is_no_change_of_what_they_were_made_from() {
        let lineage = |sets: &[(&str, &str, &str)]| Lineage {
            datasets: sets
                .iter()
                .map(|(name, revision, context)| Dataset {
                    name: (*name).to_owned(),
                    revision: Some((*revision).to_owned()),
                    context: Some((*context).to_owned()),
                })
                .collect(),
            ..Lineage::default()
        };
        let before = lineage(&[
            ("loans", "r1", "training"),
            ("loans", "h1", "Eval"),
            ("golden", "g1", "test"),
            ("shops", "s1", "train"),
            ("shops", "s2", "replay"),
        ]);
        let since = lineage(&[
            ("loans", "r2", "train"),
            ("loans", "h2", "eval"),
            ("golden", "g2", "test"),
            ("shops", "s2", "training"),
            ("shops", "s3", "replay"),
        ]);
        let at = moved(Changed::MODEL, "4", "5", 7);
        let told = other_data(&before, &since, &at);
        let told = told.iter().map(|one| format!("{} {} {}", one.what, one.was[0], one.became[0]));
        assert_eq!(told.collect::<Vec<_>>(), ["data loans r1 r2", "data shops s1 s3"]);
    }
}
