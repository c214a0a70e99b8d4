//! From MLflow's words to the port's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{ErrorKind, PortError};

use super::api::Api;
use super::artefacts::{self, Found, Root};
use super::mlmodel::About;
use super::register::{self, Made};
use super::wire::{DatasetInput, Pair, Run, Version};
use crate::registry_directory::HOLD_TAG;

const READY: &str = "READY";
const CONTEXT: &str = "mlflow.data.context";
const COMMIT: &str = "mlflow.source.git.commit";

/// What cannot change for a version once it is registered, so that it is read once: where its artefact lies, and what its `MLmodel`
/// of that size says. A file that is replaced nevertheless shows when the artefact is fetched against its pinned digest.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    lasting: Mutex<HashMap<Key, Arc<Lasting>>>,
    described: Mutex<HashMap<Key, Arc<Described>>>,
}

/// Numbers are counted anew in a model that was deleted and registered again: the instant of creation tells its versions apart.
type Key = (VersionName, UnixMillis);

#[derive(Debug, Clone)]
struct Lasting {
    root: Root,
    about: Option<(Option<u64>, About)>,
}

/// What hangs on a version and seldom changes once it is registered: the last metrics of its run, and that its artefact is there. A list asks for
/// it again only after a while, or an incident would wait for two calls a version. What stands in the registry itself (versions, their
/// status, tags, aliases) is asked each time, and an artefact that has gone meanwhile shows when it is fetched.
#[derive(Debug, Clone)]
struct Described {
    /// By the steady clock.
    at: Millis,
    run_id: String,
    measures: Vec<Measure>,
    about: About,
}

/// Beyond so many everything is forgotten and read again.
const REMEMBERED_MAX: usize = 10_000;
/// A little less than the age at which a list that is kept at hand is made anew: that renews all descriptions, and what comes after finds them.
const DESCRIBED_AGE_MAX: Millis = Millis::minutes(9);

impl Remembered {
    fn get(&self, key: &Key) -> Option<Arc<Lasting>> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Where the version's artefact lay when it was described last: a guess, to be compared with what MLflow says now.
    pub(super) fn root(&self, version: &VersionName) -> Option<Root> {
        let all = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|((name, _), _)| name == version).map(|(_, lasting)| lasting.root.clone())
    }

    fn put(&self, key: Key, lasting: Lasting) {
        put(&self.lasting, key, lasting);
    }

    /// The version's description, if it is young.
    fn described(&self, key: &Key, version: &Version, now: Millis) -> Option<Arc<Described>> {
        let all = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        let described = all.get(key).filter(|described| {
            described.run_id == version.run_id && now.0.saturating_sub(described.at.0) < DESCRIBED_AGE_MAX.0
        });
        described.cloned()
    }
}

fn put<T>(all: &Mutex<HashMap<Key, Arc<T>>>, key: Key, value: T) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= REMEMBERED_MAX {
        all.clear();
    }
    all.insert(key, Arc::new(value));
}

/// Whether a description that was read before will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// One of a few minutes ago will.
    Lately(Millis),
    /// At this instant of the steady clock.
    Now(Millis),
}

/// One version with everything that hangs on it. What hinders a later fetch makes it broken; what hinders knowing is an error.
pub(super) async fn version(
    api: &Api,
    remembered: &Remembered,
    version: Version,
    mut aliases: Vec<String>,
    read: Read,
) -> Result<RegistryVersion, PortError> {
    let name = VersionName::new(version.version.as_str()).map_err(|error| {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("mlflow lists a version with a name of another kind: {error}"),
        )
    })?;
    aliases.sort();
    let created_at = UnixMillis(version.creation_timestamp);
    let key = (name.clone(), created_at);
    let lately = match read {
        Read::Lately(now) => remembered.described(&key, &version, now),
        Read::Now(_) => None,
    };
    let (mut measures, mut about, hindered) = match lately {
        Some(lately) => (lately.measures.clone(), lately.about.clone(), None),
        None => describe(api, remembered, (key, &version), read).await?,
    };
    let not_ready = (version.status != READY && !version.status.is_empty()).then(|| {
        let said = if version.status_message.is_empty() {
            String::new()
        } else {
            format!(": {}", version.status_message)
        };
        format!("mlflow calls it `{}`{said}", version.status)
    });
    if let Some(Made { measures: made, signature, .. }) = register::made(&version.tags) {
        if measures.is_empty() {
            measures = made;
        }
        about.signature = about.signature.or(signature);
    }
    let shown = |tag: &Pair| !is_lifted_hold(tag) && !register::is_part(tag);
    Ok(RegistryVersion {
        version: VersionTarget { version: name, digest: None },
        created_at,
        aliases,
        tags: labels(version.tags.into_iter().filter(shown).collect()),
        measures,
        signature: about.signature,
        runtime: about.runtime,
        broken: not_ready.or(hindered),
    })
}

/// What hangs on a version, and what hinders a later fetch. It is remembered where nothing hinders.
async fn describe(
    api: &Api,
    remembered: &Remembered,
    (key, version): (Key, &Version),
    read: Read,
) -> Result<(Vec<Measure>, About, Option<String>), PortError> {
    let run = async {
        match version.run_id.as_str() {
            "" => Ok(None),
            run_id => api.run(run_id).await,
        }
    };
    let (run, artefact) = tokio::join!(run, artefact(api, remembered, key.clone()));
    let (run, unseen) = or_hindered(run)?;
    let (about, hindered) = or_hindered(artefact)?;
    let about = about.unwrap_or(Ok(About::default()));
    let hindered = hindered.or(about.as_ref().err().cloned()).or(unseen);
    let (about, measures) = (about.unwrap_or_default(), measures(run.flatten().as_ref()));
    if hindered.is_none() {
        let (Read::Lately(at) | Read::Now(at)) = read;
        let described = Described {
            at,
            run_id: version.run_id.clone(),
            measures: measures.clone(),
            about: about.clone(),
        };
        put(&remembered.described, key, described);
    }
    Ok((measures, about, hindered))
}

/// An error that says that this version's artefact cannot be had is a property of the version, and hides no other.
fn or_hindered<T>(result: Result<T, PortError>) -> Result<(Option<T>, Option<String>), PortError> {
    match result {
        Ok(value) => Ok((Some(value), None)),
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::BadAnswer
            ) =>
        {
            Ok((None, Some(error.to_string())))
        }
        Err(error) => Err(error),
    }
}

async fn artefact(api: &Api, remembered: &Remembered, key: Key) -> Result<Result<About, String>, PortError> {
    let what = format!("version `{}`", key.0);
    let known = remembered.get(&key);
    let root = match &known {
        Some(known) => known.root.clone(),
        None => root(api, &key.0).await?,
    };
    let listed = artefacts::list(api, &root, "", &what).await?;
    if listed.is_empty() {
        return Ok(Err("its artefact has no file in mlflow: it was deleted, or never uploaded".to_owned()));
    }
    let size =
        listed.iter().find(|found| found.path == super::mlmodel::NAME).map(|found: &Found| found.bytes);
    let about = match known.as_ref().and_then(|known| known.about.clone()) {
        Some((seen, about)) if Some(seen) == size => return Ok(Ok(about)),
        _ => artefacts::about(api, &root, &listed, &what).await?,
    };
    let lasting = about.as_ref().ok().zip(size).map(|(about, size)| (size, about.clone()));
    remembered.put(key, Lasting { root, about: lasting });
    Ok(about)
}

/// Where a version's artefact lies.
pub(super) async fn root(api: &Api, version: &VersionName) -> Result<Root, PortError> {
    let uri = api.download_uri(version).await?;
    Root::parse(&uri, &api.url).map_err(|why| {
        PortError::not_applied(
            ErrorKind::Unsupported,
            format!("the artefact of version `{version}` of `{}` {why}", api.model),
        )
    })
}

/// The port's tag of a hold is there only while the hold stands.
fn is_lifted_hold(tag: &Pair) -> bool {
    tag.key == HOLD_TAG && tag.value == super::LIFTED
}

fn labels(pairs: Vec<Pair>) -> Vec<Label> {
    let mut labels: Vec<Label> =
        pairs.into_iter().map(|pair| Label { name: pair.key, value: pair.value }).collect();
    labels.sort();
    labels
}

fn measures(run: Option<&Run>) -> Vec<Measure> {
    let mut measures: Vec<Measure> = run
        .iter()
        .flat_map(|run| &run.data.metrics)
        // A measure that is no number says nothing, and compares with nothing, not even itself.
        .filter(|metric| metric.value.is_finite())
        .map(|metric| Measure { name: metric.key.clone(), value: metric.value })
        .collect();
    measures.sort_by(|a, b| a.name.cmp(&b.name));
    measures
}

/// What the run and the version say of the origin. Of several data sets the one that was logged for training counts as the training data, or the
/// first. What else MLflow knows of the run stands among the parameters, under names that no parameter of MLflow's has.
pub(super) fn lineage(version: &Version, run: Option<Run>) -> Lineage {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(Made { lineage, .. }) = register::made(&version.tags) {
        return Lineage { source: lineage.source.or(text(&version.source)), ..lineage };
    }
    let own = Lineage { run: text(&version.run_id), source: text(&version.source), ..Lineage::default() };
    let Some(run) = run else { return own };
    let tag = |key: &str| run.data.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str());
    let known = ["mlflow.source.name", "mlflow.source.type", "mlflow.user"].into_iter().filter_map(|key| {
        let value = tag(key).filter(|value| !value.is_empty())?;
        Some(Label::new(key.replacen("mlflow.", "mlflow:", 1), value))
    });
    let mut parameters: Vec<Label> = known.collect();
    let code = tag(COMMIT).map(str::to_owned);
    let mut inputs: Vec<&DatasetInput> =
        run.inputs.dataset_inputs.iter().filter(|input| !input.dataset.name.is_empty()).collect();
    inputs.sort_by_key(|input| !matches!(context(input), "training" | "train"));
    let datasets = inputs.into_iter().map(|input| Dataset {
        name: input.dataset.name.clone(),
        revision: text(&input.dataset.digest),
        context: text(context(input)),
    });
    let datasets = datasets.collect();
    parameters.extend(run.data.params.into_iter().map(|pair| Label { name: pair.key, value: pair.value }));
    parameters.sort();
    Lineage { code, parameters, ..own }.with_datasets(datasets)
}

fn context(input: &DatasetInput) -> &str {
    input.tags.iter().find(|tag| tag.key == CONTEXT).map_or("", |tag| tag.value.as_str())
}
