//! The versions of a service: how each stands, and why it is not gone back to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use ripcord_core::facet::Revision;
use ripcord_core::name::VersionName;
use ripcord_core::service::Service;
use ripcord_core::standing::Standing;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{Descent, LISTED_MAX, Listed, by_standing, unfetchable, without_content};
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{PortError, Registry};

use super::App;
use super::problem::Problem;
use super::read::service_name;
use super::wire::{VersionDetail, VersionLine, VersionsView};
use crate::output::natural;

/// Reading the registry must not hold up a page.
const REGISTRY_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn versions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<VersionsView>, Problem> {
    app.people.authenticate(&headers)?;
    let state = app.state_of(&service_name(name)?)?;
    let asked = match app.engine.setup(&state.name) {
        None => Err("the service is not configured".to_owned()),
        Some(setup) => {
            let asked = listed(setup.ports.registry.as_ref(), &state);
            match tokio::time::timeout(REGISTRY_WAIT, asked).await {
                Ok(listed) => listed.map_err(|error| Problem::from(error).detail),
                Err(_) => Err("the registry did not answer in time".to_owned()),
            }
        }
    };
    Ok(Json(view(&state, asked, app.engine_clock.now())))
}

/// What the registry has, and what it says of their data.
async fn listed(registry: &dyn Registry, service: &Service) -> Result<FromRegistry, PortError> {
    let versions = registry.versions(LISTED_MAX).await?;
    let names = versions.iter().map(|one| one.version.version.clone()).collect();
    let descent = Descent::of(registry, service, names).await;
    Ok(FromRegistry { versions, descent })
}

/// What a registry says of a service's versions.
pub(crate) struct FromRegistry {
    versions: Vec<RegistryVersion>,
    descent: Descent,
}

/// Versions that the host knows, and those of the registry where it could be asked.
pub(crate) fn view(
    service: &Service,
    registry: Result<FromRegistry, String>,
    now: UnixMillis,
) -> VersionsView {
    let known = VersionLine::all(service, now).into_iter().map(|line| (line.version.clone(), line));
    let mut known: BTreeMap<VersionName, VersionLine> = known.collect();
    let (listed, descent, not_listed) = match registry {
        Ok(FromRegistry { versions, descent }) => (Some(versions), descent, None),
        Err(why) => (None, Descent::default(), Some(why)),
    };
    let mut versions = Vec::new();
    for one in listed.iter().flatten() {
        let mut line = known.remove(&one.version.version).unwrap_or_else(|| VersionLine {
            version: one.version.version.clone(),
            digest: one.version.digest,
            standing: service.standing_of(&one.version.version, now),
            since: one.created_at,
            expires_at: None,
            condemned_by: Vec::new(),
        });
        if descent.is_condemned(&Revision::of_model(&line.version)) {
            line.standing = Standing::Condemned;
        }
        let why_not = why_not(service, &descent, &line, Some(one), now);
        versions.push(VersionDetail { line, created_at: Some(one.created_at), why_not });
    }
    for line in known.into_values() {
        let why_not = match &listed {
            Some(_) => Some(format!("the registry does not have it among its newest {LISTED_MAX}")),
            None => why_not(service, &descent, &line, None, now),
        };
        versions.push(VersionDetail { line, created_at: None, why_not });
    }
    let newest_first = |one: &VersionDetail, other: &VersionDetail| {
        let by_name = natural::compare(other.line.version.as_str(), one.line.version.as_str());
        other.created_at.cmp(&one.created_at).then(by_name)
    };
    versions.sort_by(newest_first);
    VersionsView { service: service.name.clone(), versions, not_listed }
}

/// Why no rollback goes to it by itself; none if one may. A planner's own settings may object to more.
fn why_not(
    service: &Service,
    descent: &Descent,
    line: &VersionLine,
    listed: Option<&RegistryVersion>,
    now: UnixMillis,
) -> Option<String> {
    let revision = Revision::of_model(&line.version);
    listed
        .and_then(|listed| without_content(service, &revision, &Listed::from(listed)))
        .or_else(|| descent.condemned(service, &revision))
        .or_else(|| unfetchable(service, &revision))
        .or_else(|| {
            let live = service.production.sole() == Some(&line.version);
            live.then(|| "it is what is live".to_owned())
        })
        .or_else(|| by_standing(service, &revision, now))
        .or_else(|| descent.not_known(service, &revision))
}
