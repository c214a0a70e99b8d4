//! From Azure Machine Learning's words to the port's.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize as _;
use serde_json::Value;

use super::api::{self, Api};
use super::place::without_secrets;
use super::storage;
use super::wire::{Container, Dictionary, Version, VersionProperties};
use crate::{http, text_time};

/// What Azure itself calls the version that was registered last.
const LATEST: &str = "latest";
/// Names of Azure's own fields among tags.
const OWN: &str = "azureml:";

/// Addresses of artefacts that were seen to hold one, each with its version, so that each is listed once.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashSet<(String, String)>>);

/// Beyond so many everything is forgotten and looked at again.
const REMEMBERED_MAX: usize = 10_000;

impl Remembered {
    fn has(&self, of: &(String, String)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(of)
    }

    fn put(&self, of: (String, String)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(of);
    }
}

/// Names that the model itself gives to versions: the tag that says which is in production, and Azure's own for the newest.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    pub(super) fn of(container: &Container, production_tag: Option<&str>) -> Self {
        let of_tag =
            production_tag.and_then(|tag| Some((tag, container.properties.tags.get(tag)?.as_deref()?)));
        let latest = Some((LATEST, container.properties.latest_version.as_str()));
        let all = of_tag.into_iter().chain(latest);
        Self(all.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
    }

    fn of_version(&self, version: &VersionName) -> impl Iterator<Item = String> {
        let own = self.0.iter().filter(|(_, of)| of == version.as_str());
        own.map(|(name, _)| name.clone()).collect::<Vec<_>>().into_iter()
    }
}

/// An entry of the list of versions.
pub(super) struct Entry {
    pub(super) name: VersionName,
    pub(super) created_at: UnixMillis,
    /// None where all but its name cannot be read.
    version: Option<Version>,
    odd: Option<String>,
}

/// Reads an entry; none where it does not even say which version it is.
pub(super) fn entry(value: &Value) -> Option<Entry> {
    let name = value.get("name")?.as_str().filter(|name| api::is_name(name))?;
    let name = VersionName::new(name.to_owned()).ok()?;
    let version = Version::deserialize(value);
    let mut odd = version.as_ref().err().map(|error| {
        format!(
            "Azure ML describes it in a way that cannot be read: {}",
            http::excerpt(error.to_string().as_bytes())
        )
    });
    let version = version.ok();
    let created_at = version.as_ref().map_or(Ok(UnixMillis(0)), created_at).unwrap_or_else(|why| {
        odd = Some(why);
        UnixMillis(0)
    });
    Some(Entry { name, created_at, version, odd })
}

impl Entry {
    /// A version that was asked for by its name.
    pub(super) fn of(name: &VersionName, version: Version) -> Self {
        let (created_at, odd) = match created_at(&version) {
            Ok(at) => (at, None),
            Err(why) => (UnixMillis(0), Some(why)),
        };
        Self { name: name.clone(), created_at, version: Some(version), odd }
    }
}

fn created_at(version: &Version) -> Result<UnixMillis, String> {
    let text = &version.system_data.created_at;
    text_time::parse(text).map_err(|_| {
        format!("Azure ML says that it was made at {}, which is no instant", http::excerpt(text.as_bytes()))
    })
}

/// One version with what hangs on it. What hinders a later fetch makes it broken; what hinders knowing is an error.
pub(super) async fn version(
    api: &Api,
    remembered: &Remembered,
    names: &Names,
    entry: Entry,
) -> Result<RegistryVersion, PortError> {
    let Entry { name, created_at, version, odd } = entry;
    let broken = match (&version, odd) {
        (_, Some(why)) => Some(why),
        (Some(version), None) => hindered(api, remembered, version).await?,
        (None, None) => None,
    };
    let properties = version.map(|version| version.properties).unwrap_or_default();
    let stage = Some(properties.stage.clone()).filter(|stage| !stage.is_empty());
    let mut aliases: Vec<String> = stage.into_iter().chain(names.of_version(&name)).collect();
    aliases.sort();
    aliases.dedup();
    Ok(RegistryVersion {
        version: VersionTarget { version: name, digest: None },
        created_at,
        aliases,
        tags: tags(&properties),
        measures: Vec::new(),
        signature: None,
        runtime: None,
        broken,
    })
}

fn labels(of: &Dictionary) -> impl Iterator<Item = Label> {
    of.iter()
        .map(|(name, value)| Label::new(name.clone(), without_secrets(value.as_deref().unwrap_or_default())))
}

fn tags(properties: &VersionProperties) -> Vec<Label> {
    let archived = properties.is_archived.then(|| Label::new(format!("{OWN}archived"), "true"));
    let mut tags: Vec<Label> = labels(&properties.tags).chain(archived).collect();
    // A tag counts before a property of the same name.
    let more: Vec<Label> =
        labels(&properties.properties).filter(|one| !properties.tags.contains_key(&one.name)).collect();
    tags.extend(more);
    tags.sort();
    tags
}

async fn hindered(
    api: &Api,
    remembered: &Remembered,
    version: &Version,
) -> Result<Option<String>, PortError> {
    let state = version.properties.provisioning_state.as_str();
    if matches!(state, "Failed" | "Canceled" | "Creating" | "Deleting") {
        return Ok(Some(format!("Azure ML calls it `{state}`")));
    }
    let of = (version.name.clone(), version.properties.model_uri.clone());
    if remembered.has(&of) {
        return Ok(None);
    }
    let what = format!("version `{}` of `{}`", version.name.escape_debug(), api.what());
    let listed = async {
        match storage::way(api, version).await? {
            Ok(way) => Ok(storage::list(api, &way, &what).await?.map(|_| ())),
            Err(why) => Ok(Err(why)),
        }
    };
    match listed.await {
        Ok(Ok(())) => {
            remembered.put(of);
            Ok(None)
        }
        Ok(Err(why)) => Ok(Some(format!("it {why}"))),
        // A property of this version, which hides no other. It may be another the next time.
        Err::<_, PortError>(error)
            if matches!(
                error.kind,
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::TooLarge | ErrorKind::BadAnswer
            ) =>
        {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
