//! The facets beside the model: what is in force of each, and what can be restored.

use std::sync::Arc;

use futures_util::future::join_all;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetRead, FacetState, Revision};
use ripcord_core::fact::Configuration;
use ripcord_core::service::Service;
use ripcord_core::target::{ConfigurationTarget, Target};
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError, Restorer};

use crate::restorable::{self, Listed};
use crate::setup::ServicePorts;

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
            let listed = Listed::from(&entry);
            all.push(Configuration {
                target: ConfigurationTarget {
                    name: name.clone(),
                    revision: entry.revision,
                    digest: restorable::pin(service, &revision).or(entry.digest),
                },
                at: entry.made_at,
                author: entry.made_by,
                summary: entry.summary,
                standing: service.standing_of(&revision, now),
                verified_at: known.filter(|known| known.standing.is_good()).map(|known| known.since),
                condemned_by: known.map(|known| known.condemned_by.clone()).unwrap_or_default(),
                restorable: restorable::has_content(service, &revision, &listed),
            });
        }
    }
    Ok(all)
}
