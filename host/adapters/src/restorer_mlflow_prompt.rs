//! A prompt in MLflow's prompt registry, releases 2.21 and later: an alias says which version is in use.
//!
//! A prompt is a registered model whose versions carry their text in a tag. A version is put back by moving the alias, which is read back. `README.md`
//! beside this module says what to configure and what was tried.

use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{FacetState, InForce};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{ErrorKind, PortError, Restorer};
use serde::Deserialize;

use crate::Shared;
use crate::adapter::{Adapter, RestorerSays, SecretKey};
use crate::http;
use crate::registry_mlflow::{Api, Place, Registered, Version};
use crate::restoring::{
    self, ReadBack, ReadBackConfig, Reload, ReloadConfig, ReloadFor, RestorerSecrets, Seen, Tells, Told,
    no_revision, wrong,
};

/// The tag that holds the text of a version.
const TEXT: &str = "mlflow.prompt.text";
/// So many versions are looked at, the newest.
const VERSIONS_MAX: u32 = 300;
/// So many are named where one is missing.
const SHOWN_MAX: usize = 5;

/// Where the prompt is registered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MlflowPromptRestorerConfig {
    /// The tracking server's address, such as `http://127.0.0.1:5000`.
    pub url: String,
    /// The prompt's name.
    pub prompt: String,
    /// The alias by which the service loads it, such as `production`.
    pub alias: String,
    /// The account's name, where the server wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// How the service is told. Wants `read-back`. Default: it looks by itself.
    #[serde(default)]
    pub reload: ReloadConfig,
    /// Where the service says what it works with. Default: the alias is believed, which is *control plane only*.
    #[serde(default)]
    pub read_back: Option<ReadBackConfig>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 5000.
    #[serde(default = "patience_default")]
    pub patience_ms: u64,
}

/// For the catalogue.
pub const ADAPTER: Adapter<MlflowPromptRestorerConfig, dyn Restorer> = Adapter {
    kind: "mlflow-prompt",
    system: "MLflow 2 and 3, prompts",
    summary: "a prompt in MLflow's prompt registry; an alias says which version is in use",
    page: "restorer_mlflow_prompt/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:5000\", prompt = \"fraud\", alias = \"production\"",
    start: |config, start| start.reload(&mut config.reload),
    says: |config| RestorerSays {
        proof: restoring::proof_of(config.read_back.as_ref()),
        own_places: Vec::new(),
        revisions: None,
    },
    make: |config, with| {
        Ok(Arc::new(MlflowPromptRestorer::new(config, RestorerSecrets::of(&with), with.shared)?))
    },
};

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

fn patience_default() -> u64 {
    5_000
}

/// A prompt and its versions.
#[derive(Debug)]
pub struct MlflowPromptRestorer {
    api: Api,
    alias: String,
    reload: Reload,
    read_back: Option<ReadBack>,
    shared: Shared,
}

/// The versions of the prompt.
struct Versions(Vec<(HistoryEntry, Option<String>)>);

impl Versions {
    fn find(&self, name: &str) -> Option<&(HistoryEntry, Option<String>)> {
        self.0.iter().find(|(entry, _)| entry.revision.as_str() == name)
    }

    /// The oldest with this text: it names the content.
    fn oldest_with(&self, digest: Digest) -> Option<&HistoryEntry> {
        self.0.iter().rev().map(|(entry, _)| entry).find(|entry| entry.digest == Some(digest))
    }

    /// Why a version is not among these, and what to do about it.
    fn missing(&self) -> String {
        if self.0.len() >= VERSIONS_MAX as usize {
            return format!("none of the newest {VERSIONS_MAX} versions: take one of those");
        }
        let there = self.0.iter().map(|(entry, _)| format!("`{}`", entry.revision));
        let there: Vec<_> = there.take(SHOWN_MAX).collect();
        let more = if self.0.len() > SHOWN_MAX { " and older ones" } else { "" };
        match there.is_empty() {
            true => "no version that mlflow has: all were deleted; register one, and point the alias at it"
                .to_owned(),
            false => format!(
                "no version that mlflow has: it was deleted; have the service work with one that is there, which are {}{more}",
                there.join(", ")
            ),
        }
    }

    fn is_named(&self, entry: &HistoryEntry) -> bool {
        entry.digest.is_none_or(|digest| {
            self.oldest_with(digest).is_some_and(|first| first.revision == entry.revision)
        })
    }

    /// The version that a name of one stands for.
    fn in_force(&self, name: &str, proof: Proof, says: &str) -> FacetState<String> {
        let Some((entry, _)) = self.find(name) else {
            return FacetState::Unknown(format!("{says} `{name}`, which is {}", self.missing()));
        };
        match entry.digest.and_then(|digest| self.oldest_with(digest)) {
            Some(first) => {
                FacetState::InForce(InForce { revision: first.revision.clone(), digest: first.digest, proof })
            }
            None => FacetState::Unknown(format!(
                "{says} `{name}`, which cannot be used: {}",
                entry.broken.as_deref().unwrap_or("the text is unknown")
            )),
        }
    }
}

impl MlflowPromptRestorer {
    /// Checks the configuration; the server is not asked.
    pub fn new(
        config: MlflowPromptRestorerConfig,
        secrets: RestorerSecrets,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if config.alias.is_empty() || config.alias.eq_ignore_ascii_case("latest") {
            return Err(wrong(format!(
                "`{}` cannot be an alias: mlflow keeps the name to itself",
                config.alias
            )));
        }
        let place = Place {
            url: config.url,
            name: config.prompt,
            user: config.user,
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
        };
        let api = Api::new(place, Registered::Prompt, secrets.store, shared)?;
        let reload = Reload::new(config.reload, secrets.service.clone(), &shared.http)?;
        if config.read_back.is_none() && !reload.is_watched() {
            return Err(wrong(
                "`reload` wants `read-back`: a service that has to be told may not have been, and nothing else would show it",
            ));
        }
        let read_back = config.read_back.map(|of| ReadBack::new(of, secrets.service, shared)).transpose()?;
        if read_back.as_ref().is_some_and(|read_back| read_back.tells() == Tells::Value) {
            return Err(wrong(
                "`read-back.tells` is `value`, and a prompt has versions: write `revision` or `digest`",
            ));
        }
        Ok(Self { api, alias: config.alias, reload, read_back, shared: shared.clone() })
    }

    async fn versions(&self) -> Result<Versions, PortError> {
        let found = self.api.search(VERSIONS_MAX).await?;
        Ok(Versions(found.into_iter().map(|version| self.entry(version)).collect::<Result<_, _>>()?))
    }

    fn entry(&self, version: Version) -> Result<(HistoryEntry, Option<String>), PortError> {
        let revision = VersionName::new(version.version.as_str()).map_err(|error| {
            PortError::not_applied(
                ErrorKind::BadAnswer,
                format!("mlflow lists a version of `{}`: {error}", self.api.model),
            )
        })?;
        let text = version.tags.into_iter().find(|tag| tag.key == TEXT).map(|tag| tag.value);
        let entry = HistoryEntry {
            revision,
            digest: text.as_ref().map(Digest::of),
            made_at: Some(UnixMillis(version.creation_timestamp)),
            made_by: None,
            summary: restoring::summary(&version.description),
            broken: text.is_none().then(|| format!("it has no tag `{TEXT}`, which holds a prompt's text: register it again with mlflow's own client")),
        };
        Ok((entry, text))
    }

    fn one(&self, versions: &Versions, revision: &VersionName) -> Result<(HistoryEntry, Vec<u8>), PortError> {
        let place = format!("the prompt `{}` of mlflow", self.api.model);
        let (entry, text) = versions.find(revision.as_str()).ok_or_else(|| no_revision(revision, &place))?;
        let mut entry = entry.clone();
        if !versions.is_named(&entry) {
            let first = entry.digest.and_then(|digest| versions.oldest_with(digest));
            let first = first.map_or_else(String::new, |first| format!(" `{}`", first.revision));
            entry.broken = Some(format!("its text is that of the older version{first}: restore that one"));
        }
        Ok((entry, text.clone().unwrap_or_default().into_bytes()))
    }

    /// What the alias points at.
    async fn stored(&self, versions: &Versions) -> Result<FacetState<String>, PortError> {
        let says = format!("the alias `{}` of `{}` points at", self.alias, self.api.model);
        Ok(match self.api.alias(&self.alias).await? {
            Some(version) => versions.in_force(&version, Proof::ControlPlane, &says),
            None => FacetState::Unknown(format!(
                "the prompt `{}` has no alias `{}`: it was deleted, or never set; point it at the version that the service is to work with",
                self.api.model, self.alias
            )),
        })
    }

    async fn seen(&self, versions: &Versions) -> Result<Seen, PortError> {
        let stored = self.stored(versions).await?;
        let kept = stored.known().map(|known| known.revision.clone());
        let says = "the service works with";
        let in_force = match &self.read_back {
            None => stored,
            Some(read_back) => match read_back.ask().await? {
                Told::Revision(name) => versions.in_force(&restoring::summary(&name), Proof::Answer, says),
                Told::Digest(digest) => match versions.oldest_with(digest) {
                    Some(first) => versions.in_force(first.revision.as_str(), Proof::Digest, says),
                    None => FacetState::Unknown(format!(
                        "{says} a text of the sha-256 {}, which no version has",
                        digest.short()
                    )),
                },
                Told::Nothing(why) => FacetState::Unknown(why),
                told @ Told::Value(_) => {
                    FacetState::Unknown(format!("the service tells {told}, which is no version"))
                }
            },
        };
        Ok(Seen { in_force, stored: kept, owed: None })
    }

    async fn put(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let versions = self.versions().await?;
        let (entry, text) = self.one(&versions, &order.revision)?;
        restoring::restorable(&entry, &text, order.digest)?;
        let seen = self.seen(&versions).await?;
        seen.expected_by(order)?;
        if seen.stored.as_ref() != Some(&order.revision) {
            self.api.set_alias(&self.alias, &order.revision).await?;
        }
        if self.reload.is_watched() {
            return Ok(Shifted::Done);
        }
        let about = ReloadFor {
            revision: &order.revision,
            digest: Digest::of(&text),
            key: &order.key,
            incident: &order.incident,
            deadline: order.deadline,
        };
        let told = self.reload.run(about).await;
        told.map_err(|error| restoring::not_taken_over(&order.revision, &error))
    }
}

#[async_trait]
impl Restorer for MlflowPromptRestorer {
    fn name(&self) -> &str {
        "restorer_mlflow_prompt"
    }

    /// Others may move the alias between the look and the change.
    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    fn arguments(&self) -> Vec<Label> {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let proved = ReadBack::argument_or(self.read_back.as_ref(), "the alias");
        vec![
            label("prompt", format!("`{}` of {}", self.api.model, http::shown(&self.api.url))),
            label("alias", self.alias.clone()),
            self.reload.argument(),
            proved,
        ]
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of prompt `{}` of {}", self.alias, self.api.model, http::compared(&self.api.url)))
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        let versions = self.versions().await?;
        let named = versions.0.iter().map(|(entry, _)| entry).filter(|entry| versions.is_named(entry));
        Ok(named.take(limit as usize).cloned().collect())
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        Ok(self.one(&self.versions().await?, revision)?.0)
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let (_, text) = self.one(&self.versions().await?, revision)?;
        restoring::of_digest(revision, &text, expecting)?;
        Ok(text)
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        let state = self.seen(&self.versions().await?).await?.in_force;
        Ok(FacetLive { state, observed_at: self.shared.clock.now() })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let words = format!("{}, and {}", self.api.alias_words(&self.alias, revision), self.reload.words());
        let request = restoring::request(self.name(), &words, (revision, digest), &self.reload);
        Some(self.api.alias_request(&self.alias, revision, request))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        restoring::within(order.deadline, "the restoring of the prompt", self.put(order)).await
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        Ok(self.seen(&self.versions().await?).await?.of_interrupted(order, &self.reload))
    }
}
