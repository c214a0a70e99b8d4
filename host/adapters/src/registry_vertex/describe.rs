//! From Vertex AI's words to the port's.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{ErrorKind, PortError};

use super::api::Api;
use super::storage::Place;
use super::wire::Model;
use super::{holds, storage};
use crate::{http, text_time};

/// Places of artefacts that were seen to hold one, so that each is listed once.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashSet<Place>>);

/// Beyond so many everything is forgotten and looked at again.
const REMEMBERED_MAX: usize = 10_000;

impl Remembered {
    fn has(&self, place: &Place) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(place)
    }

    fn put(&self, place: Place) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(place);
    }
}

/// When the version was made; the model itself may be older.
pub(super) fn created_at(api: &Api, model: &Model) -> Result<UnixMillis, PortError> {
    let times = [&model.version_create_time, &model.create_time];
    let text = times.into_iter().find(|text| !text.is_empty()).map_or("", String::as_str);
    text_time::parse(text).map_err(|_| {
        let text = format!(
            "Vertex AI says of version `{}` of `{}` that it was made at {}, which is no instant",
            model.version_id.escape_debug(),
            api.model,
            http::excerpt(text.as_bytes())
        );
        PortError::not_applied(ErrorKind::BadAnswer, text)
    })
}

/// Where the version's files are; else the end of a sentence that begins with the version.
pub(super) fn place(model: &Model) -> Result<Place, String> {
    if !model.artifact_uri.is_empty() {
        return Place::of(&model.artifact_uri);
    }
    if let Some(container) = &model.container_spec {
        return Err(format!(
            "has no `artifactUri`: it is the container image {} alone, and there is no file to fetch; upload it with the folder of its files",
            http::excerpt(container.image_uri.as_bytes())
        ));
    }
    let source = model.model_source_info.as_ref().map_or("", |info| info.source_type.as_str());
    Err(format!(
        "has no `artifactUri` (source type {}): its files are kept by Google, which gives none; export it and upload what was exported as a version",
        http::excerpt(source.as_bytes())
    ))
}

/// One version with what hangs on it. What hinders a later fetch makes it broken; what hinders knowing is an error.
pub(super) async fn version(
    api: &Api,
    remembered: &Remembered,
    name: VersionName,
    model: Model,
) -> Result<RegistryVersion, PortError> {
    let created_at = created_at(api, &model)?;
    let broken = hindered(api, remembered, &name, &model).await?;
    let own = model.version_aliases.iter().filter_map(|alias| holds::label(alias));
    let of_others = model.labels.iter().map(|(name, value)| Label::new(name.clone(), value.clone()));
    let mut tags: Vec<Label> = own.chain(of_others).collect();
    tags.sort();
    let aliases = model.version_aliases.iter().filter(|alias| holds::label(alias).is_none());
    let mut aliases: Vec<String> = aliases.cloned().collect();
    aliases.sort();
    let runtime = model.container_spec.map(|container| container.image_uri);
    Ok(RegistryVersion {
        version: VersionTarget { version: name, digest: None },
        created_at,
        aliases,
        tags,
        measures: Vec::new(),
        signature: None,
        runtime: runtime.filter(|image| !image.is_empty()),
        broken,
    })
}

async fn hindered(
    api: &Api,
    remembered: &Remembered,
    name: &VersionName,
    model: &Model,
) -> Result<Option<String>, PortError> {
    let place = match place(model) {
        Ok(place) if remembered.has(&place) => return Ok(None),
        Ok(place) => place,
        Err(why) => return Ok(Some(format!("it {why}"))),
    };
    let what = format!("version `{name}` of `{}`", api.model);
    match storage::list(api, &place, &what).await {
        Ok(Ok(_)) => {
            remembered.put(place);
            Ok(None)
        }
        Ok(Err(why)) => Ok(Some(format!("it {why}"))),
        // A property of this version, which hides no other. It may be another the next time.
        Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::TooLarge) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
