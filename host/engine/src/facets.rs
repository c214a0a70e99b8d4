//! The facets beside the model: what is in force of each, what can be restored, and what moved.

use std::sync::Arc;

use futures_util::future::join_all;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetRead, FacetState, Revision};
use ripcord_core::fact::{Change, Configuration, Noticed};
use ripcord_core::name::VersionName;
use ripcord_core::production::Moved;
use ripcord_core::service::Service;
use ripcord_core::target::{ConfigurationTarget, Target, Window};
use ripcord_core::time::UnixMillis;
use ripcord_ports::restorer::HistoryEntry;
use ripcord_ports::{ErrorKind, PortError, Restorer};

use crate::setup::ServicePorts;

/// Revisions of one facet that are looked through for what changed.
const HISTORY_MAX: u32 = 100;

/// What is in force of every facet beside the model, read side by side. What cannot be read is *unknown*, with the reason.
pub(crate) async fn read(ports: &ServicePorts) -> Vec<FacetRead<String>> {
    let reads = ports.restorers.iter().map(|(facet, restorer)| async move {
        let state = match restorer.in_force().await {
            Ok(live) => live.state,
            Err(error) => FacetState::Unknown(error.to_string()),
        };
        FacetRead { facet: facet.clone(), state }
    });
    join_all(reads).await
}

/// What puts the facet back, or that nothing does.
pub(crate) fn restorer<'a>(
    ports: &'a ServicePorts,
    facet: &Facet,
) -> Result<&'a Arc<dyn Restorer>, PortError> {
    ports.restorers.get(facet).ok_or_else(|| {
        let text = format!("nothing is configured that puts `{facet}` back");
        PortError::not_applied(ErrorKind::Unsupported, text)
    })
}

/// Whether something configured can read back that such a target is in force.
pub(crate) fn shows(ports: &ServicePorts, target: &Target) -> bool {
    match target.facet() {
        Some(Facet::Model) => ports.deployer.shows(target),
        Some(facet) => ports.restorers.contains_key(&facet),
        None => false,
    }
}

/// The content of a revision, checked against the digest that is known of it; what it comes to.
pub(crate) async fn digest(
    ports: &ServicePorts,
    revision: &Revision,
    expecting: Option<Digest>,
) -> Result<Digest, PortError> {
    let content = restorer(ports, &revision.facet)?.content(&revision.name, expecting).await?;
    let digest = Digest::of(&content);
    match expecting {
        Some(pinned) if pinned != digest => Err(PortError::not_applied(
            ErrorKind::WrongDigest,
            format!(
                "`{revision}` has digest `{digest}`, but `{pinned}` was pinned: it was changed; restore it where it is kept"
            ),
        )),
        _ => Ok(digest),
    }
}

/// Revisions of every configuration, with what the service knows of them.
pub(crate) async fn configurations(
    ports: &ServicePorts,
    service: &Service,
    limit: u32,
    now: UnixMillis,
) -> Result<Vec<Configuration>, PortError> {
    let mut all = Vec::new();
    for (facet, restorer) in &ports.restorers {
        let Facet::Configuration(name) = facet else { continue };
        for entry in restorer.history(limit).await? {
            let revision = Revision { facet: facet.clone(), name: entry.revision.clone() };
            let known = service.known_of(&revision);
            let pinned = known.and_then(|known| known.digest);
            let changed = pinned.is_some() && entry.digest.is_some() && pinned != entry.digest;
            all.push(Configuration {
                target: ConfigurationTarget {
                    name: name.clone(),
                    revision: entry.revision,
                    digest: pinned.or(entry.digest),
                },
                at: entry.made_at,
                author: entry.made_by,
                summary: entry.summary,
                standing: service.standing_of(&revision, now),
                verified_at: known.filter(|known| known.standing.is_good()).map(|known| known.since),
                condemned_by: known.map(|known| known.condemned_by.clone()).unwrap_or_default(),
                restorable: entry.broken.is_none() && !changed,
            });
        }
    }
    Ok(all)
}

/// What moved within the window, of every facet, newest first: as production was watched, and as the histories of what
/// puts its facets back have it.
pub(crate) async fn changes(
    ports: &ServicePorts,
    service: &Service,
    window: Window,
) -> Result<Vec<Change>, PortError> {
    let within = |at: UnixMillis| window.start <= at && at <= window.end;
    let verified_at = |facet: &Facet, became: &[VersionName]| {
        let revision = Revision { facet: facet.clone(), name: became.first()?.clone() };
        service.known_of(&revision).filter(|known| known.standing.is_good()).map(|known| known.since)
    };
    let seen = service.production.moves.iter().filter(|moved| within(moved.at)).map(|moved| {
        let Moved { facet, from, to, at, not_before, by } = moved.clone();
        Change {
            verified_at: verified_at(&facet, &to),
            facet,
            was: from,
            became: to,
            at,
            not_before,
            by: by.as_ref().map(ToString::to_string),
            noticed: if by.is_some() { Noticed::Ripcord } else { Noticed::Production },
        }
    });
    let mut changes: Vec<Change> = seen.collect();
    for (facet, restorer) in &ports.restorers {
        let history = restorer.history(HISTORY_MAX).await?;
        let known = |entry: &HistoryEntry| {
            let same = |moved: &Moved| moved.facet == *facet && moved.to == [entry.revision.clone()];
            service.production.moves.iter().any(same)
        };
        for (index, entry) in history.iter().enumerate() {
            let Some(at) = entry.made_at.filter(|at| within(*at)) else { continue };
            // What was seen to come into force is told once, with who made it.
            if known(entry) {
                credit(&mut changes, facet, entry);
                continue;
            }
            let became = vec![entry.revision.clone()];
            changes.push(Change {
                verified_at: verified_at(facet, &became),
                facet: facet.clone(),
                was: history.get(index + 1).map(|before| before.revision.clone()).into_iter().collect(),
                became,
                at,
                not_before: None,
                by: entry.made_by.clone(),
                noticed: Noticed::History,
            });
        }
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    Ok(changes)
}

/// Says who made what was seen to come into force. Equal content has one name, that of its author: who put it back later is somebody else. The changes
/// of a facet are oldest first.
fn credit(changes: &mut [Change], facet: &Facet, entry: &HistoryEntry) {
    let mut same = changes
        .iter_mut()
        .filter(|change| change.facet == *facet && change.became == [entry.revision.clone()]);
    if let Some(first) = same.next().filter(|first| first.by.is_none()) {
        first.by.clone_from(&entry.made_by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_a_revision_is_not_who_put_it_back() {
        let name = |text: &str| text.parse::<VersionName>().expect("a name");
        let facet = Facet::Configuration("limits".parse().expect("a name"));
        let moved = |was: &str, became: &str, at| Change {
            facet: facet.clone(),
            was: vec![name(was)],
            became: vec![name(became)],
            at: UnixMillis(at),
            not_before: None,
            by: None,
            noticed: Noticed::Production,
            verified_at: None,
        };
        let mut changes = [moved("z", "a", 1), moved("a", "b", 2), moved("b", "a", 3)];
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
}
