//! A registry behind a team's own programs.
//!
//! `list` prints a JSON array, in any order: `[{"version": "1.3.2", "created-at": "2026-11-22T18:53:29Z", "digest": null, "aliases": [], "tags": {},
//! "measures": {}, "signature": null, "runtime": null, "broken": null, "lineage": {"code": null, "run": null,
//! "source": null, "dataset": null, "dataset-revision": null, "datasets": [{"name": "cards", "revision": null, "context": "eval"}], "parent": null,
//! "parameters": {}}}]`; all but the first two may be left out, and `datasets` lists those besides the training one. `fetch` puts the artefact's files into the folder `{into}`, and nothing
//! else. `manifest` prints what is kept as evidence; without it the line of `list` is. `mark` is told the state, `held` or `lifted`.
//! Any exit code but zero is a failure; 75 means that trying again later may help.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{Adapter, SecretKey};
use crate::command::{self, CommandSurroundings, Program};
use crate::file_work::{FileWork, GivenUp};
use crate::{artefact, text_time};

const VERSIONS_MAX: usize = 10_000;

/// For the catalogue.
pub const ADAPTER: Adapter<CommandRegistryConfig, dyn Registry> = Adapter {
    kind: "command",
    system: "a program of your own, in any language",
    summary: "programs that list, fetch, describe and mark versions",
    page: "command/README.md",
    secret: SecretKey::None,
    example: "list = [\"./registry\", \"list\"], fetch = [\"./registry\", \"fetch\", \"{version}\", \"{into}\"]",
    start: |config, start| {
        let CommandRegistryConfig { list, fetch, manifest, mark, surroundings } = config;
        start.programs([Some(list), Some(fetch), manifest.as_mut(), mark.as_mut()], surroundings);
    },
    says: |_| Vec::new(),
    make: |config, _| Ok(Arc::new(CommandRegistry::new(config)?)),
};

/// The programs of a registry, each a list of program and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandRegistryConfig {
    /// Prints the versions.
    pub list: Vec<String>,
    /// Fetches `{version}`, whose pinned digest is `{digest}` or empty, into the folder `{into}`.
    pub fetch: Vec<String>,
    /// Prints the description of `{version}`. Default: its line of `list`.
    #[serde(default)]
    pub manifest: Option<Vec<String>>,
    /// Marks `{version}` as `{state}`, which is `held` or `lifted`, by `{incident}`. Default: the registry has no place for marks.
    #[serde(default)]
    pub mark: Option<Vec<String>>,
    /// In what surroundings they run.
    #[serde(default)]
    pub surroundings: CommandSurroundings,
}

/// A registry behind programs.
#[derive(Debug)]
pub struct CommandRegistry {
    list: Program,
    fetch: Program,
    manifest: Option<Program>,
    mark: Option<Program>,
    files: FileWork,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    version: VersionName,
    created_at: String,
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    measures: BTreeMap<String, f64>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    runtime: Option<String>,
    #[serde(default)]
    broken: Option<String>,
    #[serde(default)]
    lineage: LineageLine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct LineageLine {
    code: Option<String>,
    run: Option<String>,
    source: Option<String>,
    dataset: Option<String>,
    dataset_revision: Option<String>,
    datasets: Vec<DatasetLine>,
    parent: Option<VersionName>,
    parameters: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DatasetLine {
    name: String,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    context: Option<String>,
}

/// A line of the list: as it was printed, and as it was read.
struct Listed {
    printed: Value,
    described: RegistryVersion,
    lineage: Lineage,
}

impl CommandRegistry {
    /// Checks the configuration; no program is run.
    pub fn new(config: CommandRegistryConfig) -> Result<Self, PortError> {
        let surroundings = &config.surroundings;
        let optional = |key, vector: &Option<Vec<String>>, known: &[&str]| {
            vector.as_ref().map(|vector| Program::new(key, vector, known, surroundings)).transpose()
        };
        Ok(Self {
            list: Program::new("list", &config.list, &[], surroundings)?,
            fetch: Program::new("fetch", &config.fetch, &["version", "digest", "into"], surroundings)?,
            manifest: optional("manifest", &config.manifest, &["version"])?,
            mark: optional("mark", &config.mark, &["version", "state", "incident"])?,
            files: FileWork::new("the staging folder"),
        })
    }

    async fn listed(&self) -> Result<Vec<Listed>, PortError> {
        let ran = self.list.run(&BTreeMap::new(), None).await?.successful()?;
        let lines: Vec<Value> = ran.json()?;
        if lines.len() > VERSIONS_MAX {
            return Err(PortError::not_applied(
                ErrorKind::TooLarge,
                format!("{} printed more than {VERSIONS_MAX} versions: have it print the newest", ran.what()),
            ));
        }
        let mut listed = Vec::new();
        for (index, printed) in lines.into_iter().enumerate() {
            let read = read(printed).map_err(|why| {
                PortError::not_applied(
                    ErrorKind::BadAnswer,
                    format!("version {} that {} printed {why}", index + 1, ran.what()),
                )
            })?;
            listed.push(read);
        }
        listed.sort_by(|a, b| {
            let key =
                |listed: &Listed| (listed.described.created_at, listed.described.version.version.clone());
            key(b).cmp(&key(a))
        });
        Ok(listed)
    }

    async fn find(&self, version: &VersionName) -> Result<Listed, PortError> {
        self.listed()
            .await?
            .into_iter()
            .find(|listed| listed.described.version.version == *version)
            .ok_or_else(|| {
                PortError::not_applied(
                    ErrorKind::NotFound,
                    format!("the registry has no version `{version}`: list its versions"),
                )
            })
    }
}

fn read(printed: Value) -> Result<Listed, String> {
    let line: Line =
        serde_json::from_value(printed.clone()).map_err(|error| format!("does not read: {error}"))?;
    let created_at =
        text_time::parse(&line.created_at).map_err(|why| format!("has a bad `created-at`: {why}"))?;
    let labels =
        |map: BTreeMap<String, String>| map.into_iter().map(|(name, value)| Label { name, value }).collect();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let datasets = datasets(&line.lineage);
    let parameters = line.lineage.parameters.into_iter().map(|(name, value)| (name, text(value))).collect();
    Ok(Listed {
        printed,
        described: RegistryVersion {
            version: VersionTarget { version: line.version, digest: line.digest },
            created_at,
            aliases: line.aliases,
            tags: labels(line.tags),
            measures: line.measures.into_iter().map(|(name, value)| Measure { name, value }).collect(),
            signature: line.signature,
            runtime: line.runtime,
            broken: line.broken,
        },
        lineage: Lineage {
            datasets,
            code: line.lineage.code,
            run: line.lineage.run,
            source: line.lineage.source,
            parameters: labels(parameters),
            dataset: line.lineage.dataset,
            dataset_revision: line.lineage.dataset_revision,
            parent: line.lineage.parent.map(|version| VersionTarget { version, digest: None }),
        },
    })
}

/// The training data set first.
fn datasets(line: &LineageLine) -> Vec<Dataset> {
    let trained_on = line.dataset.clone().map(|name| Dataset {
        name,
        revision: line.dataset_revision.clone(),
        context: Some("training".to_owned()),
    });
    let further = line.datasets.iter().map(|set| Dataset {
        name: set.name.clone(),
        revision: set.revision.clone(),
        context: set.context.clone(),
    });
    trained_on.into_iter().chain(further).collect()
}

#[async_trait]
impl Registry for CommandRegistry {
    fn name(&self) -> &str {
        "registry_command"
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let listed = self.listed().await?.into_iter().take(limit as usize);
        Ok(listed.map(|listed| listed.described).collect())
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        Ok(self.find(version).await?.described)
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        Ok(self.find(version).await?.lineage)
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let listed = self.find(version).await?;
        match &self.manifest {
            Some(program) => {
                let values = BTreeMap::from([("version", version.to_string())]);
                Ok(program.run(&values, None).await?.successful()?.output)
            }
            None => Ok(listed.printed.to_string().into_bytes()),
        }
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let listed = self.find(&version.version).await?;
        let what = format!("version `{}`", version.version);
        if let (Some(wanted), Some(has)) = (version.digest, listed.described.version.digest)
            && wanted != has
        {
            return Err(PortError::not_applied(
                ErrorKind::WrongDigest,
                format!("{what} has the digest {has} in the registry where {wanted} is pinned"),
            ));
        }
        let values = BTreeMap::from([
            ("version", version.version.to_string()),
            ("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default()),
            ("into", command::path_of(&into)?),
        ]);
        self.fetch.run(&values, None).await?.successful()?;
        let wanted = version.digest.or(listed.described.version.digest);
        let checked = move |_: &GivenUp| {
            let files = artefact::hash(&into, &what)?;
            if files.is_empty() {
                return Err(PortError::not_applied(
                    ErrorKind::BadAnswer,
                    format!("the program that fetches {what} left nothing in the folder `{{into}}`"),
                ));
            }
            let digest = artefact::pinned(&files, wanted.as_ref(), &what)?;
            Ok(Staged { dir: into, files, digest })
        };
        self.files.run(checked).await
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn production_name(&self) -> Option<&str> {
        None
    }

    fn request_to_promote(&self, _: &VersionName) -> Option<Request> {
        None
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let program = self.mark.as_ref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "the registry has no place for marks: configure `mark`",
            )
        })?;
        let (state, incident) = match mark {
            Mark::Held { incident } => ("held", incident),
            Mark::Lifted => ("lifted", ""),
        };
        let values = BTreeMap::from([
            ("version", version.to_string()),
            ("state", state.to_owned()),
            ("incident", incident.to_owned()),
        ]);
        program.run(&values, None).await?.successful()?;
        Ok(())
    }
}
