//! A value behind HTTP: a feature flag, a threshold, the safe mode of a service.
//!
//! A document is read, and the value at a JSON pointer is the state. Revisions are configured, each a name and its value. A change names the state that
//! it was made for (`If-Match`, or a `test` of JSON Patch) where the system can, and whatever is refused is read again before it is believed.
//! `README.md` beside this module says what to configure and what was tried.

mod value;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::ETAG;
use reqwest::{Method, StatusCode, Url};
use ripcord_core::digest::Digest;
use ripcord_core::facet::{FacetState, InForce};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{Applied, ErrorKind, PortError, Restorer};
use serde::Deserialize;
use serde_json::Value;

use crate::Shared;
use crate::adapter::{Adapter, RestorerSays, SecretKey};
use crate::http::{self, Credentials};
use crate::restoring::{
    self, ReadBack, ReadBackConfig, Reload, ReloadConfig, ReloadFor, RestorerSecrets, Seen, Told,
    check_pointer, no_revision, wrong,
};

pub use value::{Etag, Holder, WriteWith};
use value::{content_of, same, shown};

/// Where the value is and what it may be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpRestorerConfig {
    /// The document, read by GET, such as `http://127.0.0.1:8080/flags/fraud`.
    pub url: String,
    /// Where in it the value stands, as in `/mode`. Default: the document is the value.
    #[serde(default)]
    pub pointer: String,
    /// The revisions: names and values, as in `{ off = false, rules = "rules" }`. Two at least, each another value.
    pub revisions: BTreeMap<VersionName, Value>,
    /// How the value is written: `put-document`, `merge-patch`, `json-patch`, `put-value` or `post-value`. Default: `put-document`.
    #[serde(default)]
    pub write: WriteWith,
    /// Where it is written, without a query. Default: `url`.
    #[serde(default)]
    pub write_url: Option<String>,
    /// Whether a change says by `If-Match` which state it was made for: `where-offered`, `required` or `ignored`. Default: `where-offered`.
    #[serde(default)]
    pub etag: Etag,
    /// Who answers at `url`: the `service` itself, or a `store` that the service reads. Default: `store`, which is *control plane only*.
    #[serde(default)]
    pub holder: Holder,
    /// The account's name, where the system wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// How the service is told. Wants `read-back`. Default: it looks by itself.
    #[serde(default)]
    pub reload: ReloadConfig,
    /// Where the service says what it works with. Default: what stands at `url` is believed.
    #[serde(default)]
    pub read_back: Option<ReadBackConfig>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// For the catalogue.
pub const ADAPTER: Adapter<HttpRestorerConfig, dyn Restorer> = Adapter {
    kind: "http",
    system: "a value behind HTTP: a flag, a safe mode",
    summary: "a value in a document behind HTTP, with its revisions in the configuration",
    page: "restorer_http/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:8080/flag\", revisions = { off = false, on = true }",
    start: |config, start| start.reload(&mut config.reload),
    says: |config| RestorerSays {
        proof: match (&config.read_back, config.holder) {
            (None, Holder::Service) => Proof::Answer,
            (read_back, _) => restoring::proof_of(read_back.as_ref()),
        },
        own_places: Vec::new(),
        revisions: Some(config.revisions.keys().cloned().collect()),
    },
    make: |config, with| Ok(Arc::new(HttpRestorer::new(config, RestorerSecrets::of(&with), with.shared)?)),
};

/// A longer value is shown by its digest.
const SHOWN_BYTES_MAX: usize = 80;

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// A value and its revisions.
#[derive(Debug)]
pub struct HttpRestorer {
    url: Url,
    pointer: String,
    revisions: BTreeMap<VersionName, Value>,
    write: WriteWith,
    write_url: Url,
    etag: Etag,
    holder: Holder,
    credentials: Credentials,
    reload: Reload,
    read_back: Option<ReadBack>,
    deadline: Millis,
    shared: Shared,
}

/// A document as it was read.
#[derive(Debug, Clone)]
struct Document {
    value: Value,
    etag: Option<String>,
}

impl HttpRestorer {
    /// Checks the configuration; the system is not asked.
    pub fn new(
        config: HttpRestorerConfig,
        secrets: RestorerSecrets,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        check_pointer("pointer", &config.pointer)?;
        if config.revisions.len() < 2 {
            return Err(wrong(
                "`revisions` wants two at least: what is in force now, and what is to be gone back to",
            ));
        }
        for (index, (name, value)) in config.revisions.iter().enumerate() {
            if let Some((other, _)) =
                config.revisions.iter().take(index).find(|(_, other)| same(other, value))
            {
                return Err(wrong(format!(
                    "`revisions` has the same value for `{other}` and `{name}`: nobody could tell which is in force"
                )));
            }
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        if config.pointer.is_empty() && matches!(config.write, WriteWith::MergePatch) {
            return Err(wrong(
                "`write` is `merge-patch`, which wants a `pointer` to a member of the document",
            ));
        }
        let url = http::page(&config.url)?;
        let write_url = config.write_url.as_deref().map_or_else(|| Ok(url.clone()), http::page)?;
        for url in [&url, &write_url] {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong(
                    "`url` holds a user or a password: write `user`, and the password into a file",
                ));
            }
        }
        if write_url.origin() != url.origin() {
            return Err(wrong(
                "`write-url` leads to another host than `url`: credentials are for one of them",
            ));
        }
        let written_at = if config.write_url.is_some() { "write-url" } else { "url` without `write-url" };
        http::is_shown_whole(written_at, &write_url)?;
        let credentials = Credentials::of(config.user, secrets.store)?;
        let reload = Reload::new(config.reload, secrets.service.clone(), &shared.http)?;
        if config.read_back.is_none() && !reload.is_watched() {
            return Err(wrong(
                "`reload` wants `read-back`: a service that has to be told may not have been, and nothing else would show it",
            ));
        }
        if config.read_back.is_some() && config.holder == Holder::Service {
            return Err(wrong("`holder` is `service` and there is a `read-back`: keep one of them"));
        }
        let read_back = config.read_back.map(|of| ReadBack::new(of, secrets.service, shared)).transpose()?;
        Ok(Self {
            url,
            pointer: config.pointer,
            revisions: config.revisions,
            write: config.write,
            write_url,
            etag: config.etag,
            holder: config.holder,
            credentials,
            reload,
            read_back,
            deadline: Millis(config.deadline_ms),
            shared: shared.clone(),
        })
    }

    fn entry(&self, revision: &VersionName) -> Result<(HistoryEntry, &Value), PortError> {
        let value = self.revisions.get(revision);
        let value = value.ok_or_else(|| no_revision(revision, "the configured `revisions`"))?;
        let entry = HistoryEntry {
            revision: revision.clone(),
            digest: Some(Digest::of(content_of(value))),
            made_at: None,
            made_by: None,
            summary: restoring::summary(&value.to_string()),
            broken: None,
        };
        Ok((entry, value))
    }

    async fn read(&self) -> Result<Document, PortError> {
        let call = self.shared.http.call_anew(Method::GET, &self.url).deadline(self.deadline);
        let answer = call.credentials(&self.credentials).send().await?;
        let etag = answer.header(&ETAG).map(str::to_owned);
        Ok(Document { value: answer.json()?, etag })
    }

    /// Which revision a value is.
    fn named(&self, value: Option<&Value>, proof: Proof, place: &str) -> FacetState<String> {
        let Some(value) = value else {
            return FacetState::Unknown(format!("{place} has nothing at `{}`", self.pointer));
        };
        match self.revisions.iter().find(|(_, of)| same(of, value)) {
            Some((revision, of)) => FacetState::InForce(InForce {
                revision: revision.clone(),
                digest: Some(Digest::of(content_of(of))),
                proof,
            }),
            None => FacetState::Unknown(format!(
                "{place} holds {}, which is none of the configured `revisions`",
                shown(value)
            )),
        }
    }

    fn stored(&self, document: &Document) -> FacetState<String> {
        let proof = match self.holder {
            Holder::Service => Proof::Answer,
            Holder::Store => Proof::ControlPlane,
        };
        let place = format!("the document at {}", http::shown(&self.url));
        self.named(document.value.pointer(&self.pointer), proof, &place)
    }

    async fn told(&self, read_back: &ReadBack) -> Result<FacetState<String>, PortError> {
        Ok(match read_back.ask().await? {
            Told::Nothing(why) => FacetState::Unknown(why),
            Told::Value(value) => self.named(Some(&value), Proof::Answer, "the service"),
            Told::Revision(text) => {
                match VersionName::new(text.as_str()).ok().filter(|name| self.revisions.contains_key(name)) {
                    Some(revision) => {
                        let digest = self.entry(&revision)?.0.digest;
                        FacetState::InForce(InForce { revision, digest, proof: Proof::Answer })
                    }
                    None => FacetState::Unknown(format!(
                        "the service works with {}, which is none of the configured `revisions`",
                        Told::Revision(text)
                    )),
                }
            }
            Told::Digest(digest) => {
                let found = self.revisions.iter().find(|(_, value)| Digest::of(content_of(value)) == digest);
                match found {
                    Some((revision, _)) => FacetState::InForce(InForce {
                        revision: revision.clone(),
                        digest: Some(digest),
                        proof: Proof::Digest,
                    }),
                    None => FacetState::Unknown(format!(
                        "the service works with a value of the sha-256 {}, which is none of the configured `revisions`",
                        digest.short()
                    )),
                }
            }
        })
    }

    async fn seen(&self) -> Result<(Seen, Document), PortError> {
        let document = self.read().await?;
        let stored = self.stored(&document);
        let kept = stored.known().map(|known| known.revision.clone());
        let in_force = match &self.read_back {
            Some(read_back) => self.told(read_back).await?,
            None => stored,
        };
        Ok((Seen { in_force, stored: kept, owed: None }, document))
    }

    async fn put(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let (entry, value) = self.entry(&order.revision)?;
        restoring::restorable(&entry, &content_of(value), order.digest)?;
        let (seen, document) = self.seen().await?;
        seen.expected_by(order)?;
        let is_there = |document: &Document| {
            document.value.pointer(&self.pointer).is_some_and(|there| same(there, value))
        };
        if !is_there(&document) {
            let answer = self.written(&document, value, order)?.exchange().await?;
            if !answer.status.is_success() {
                let error = answer.error();
                if error.applied == Applied::Unknown {
                    return Err(error);
                }
                // A network that repeats has the second of two refused, and the first had its effect.
                let there = self.read().await.map_err(PortError::outcome_unknown)?;
                if !is_there(&there) {
                    return Err(refused(answer.status, error));
                }
            }
        }
        if self.reload.is_watched() {
            // What holds the value is what works with it, or it looks by itself: read-back shows when.
            return Ok(Shifted::Done);
        }
        let about = ReloadFor {
            revision: &order.revision,
            digest: Digest::of(content_of(value)),
            key: &order.key,
            incident: &order.incident,
            deadline: order.deadline,
        };
        let told = self.reload.run(about).await;
        told.map_err(|error| restoring::not_taken_over(&order.revision, &error))
    }
}

/// What it means that a change was refused.
fn refused(status: StatusCode, error: PortError) -> PortError {
    match status.as_u16() {
        409 | 412 => PortError::not_applied(
            ErrorKind::Conflict,
            format!("somebody else has changed the value since it was read: {error}"),
        ),
        428 => wrong(format!(
            "the system wants to be told which state a change is for: set `etag = \"required\"`; {error}"
        )),
        404 | 405 => PortError::not_applied(
            error.kind,
            format!(
                "{error}; nothing takes a value there: check `write-url`, or `url` without one, and `write`"
            ),
        )
        .retry(error.retry),
        _ => error,
    }
}

impl HttpRestorer {
    /// What each revision stands for: who agrees to a name agrees to its value, and another value is another plan.
    fn meanings(&self) -> String {
        let meaning = |(name, value): (&VersionName, &Value)| {
            let content = content_of(value);
            match std::str::from_utf8(&content) {
                Ok(text) if text.len() <= SHOWN_BYTES_MAX => format!("{name} = {text}"),
                _ => format!("{name} = sha256 {}", Digest::of(&content)),
            }
        };
        self.revisions.iter().map(meaning).collect::<Vec<_>>().join(", ")
    }
}

#[async_trait]
impl Restorer for HttpRestorer {
    fn name(&self) -> &str {
        "restorer_http"
    }

    fn class(&self) -> EffectClass {
        if self.etag == Etag::Required || self.write == WriteWith::JsonPatch {
            EffectClass::Conditional
        } else {
            EffectClass::Observable
        }
    }

    fn arguments(&self) -> Vec<Label> {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let proved = match (&self.read_back, self.holder) {
            (Some(read_back), _) => read_back.argument(),
            (None, Holder::Service) => label("read back", "the service's own answer".to_owned()),
            (None, Holder::Store) => label("read back", "the store, which is control plane only".to_owned()),
        };
        vec![
            label("value", format!("`{}` of {}", self.pointer, http::shown(&self.url))),
            label("written", format!("{} to {}", self.write, http::shown(&self.write_url))),
            label("revisions", self.meanings()),
            self.reload.argument(),
            proved,
        ]
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of {}", self.pointer, http::compared(&self.url)))
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        let names = self.revisions.keys().take(limit as usize);
        names.map(|revision| Ok(self.entry(revision)?.0)).collect()
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        Ok(self.entry(revision)?.0)
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let content = content_of(self.entry(revision)?.1);
        restoring::of_digest(revision, &content, expecting)?;
        Ok(content)
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        let state = match &self.read_back {
            Some(read_back) => self.told(read_back).await?,
            None => self.stored(&self.read().await?),
        };
        Ok(FacetLive { state, observed_at: self.shared.clock.now() })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let value = self.revisions.get(revision)?;
        let (method, content_type) = self.write.method();
        let to = http::shown(&self.write_url);
        let words = format!(
            "set {} to `{revision}`, which is {}, by {} to {to}, and {}",
            if self.pointer.is_empty() { "the document".to_owned() } else { format!("`{}`", self.pointer) },
            shown(value),
            self.write,
            self.reload.words()
        );
        let request = restoring::request(self.name(), &words, (revision, digest), &self.reload)
            .with("method", method.as_str())
            .with("content type", content_type)
            .with("written", self.write.to_string())
            .with("to", to)
            .with("document", http::compared(&self.url))
            .with("pointer", self.pointer.clone())
            .with("value", value.to_string())
            .with("etag", format!("{:?}", self.etag));
        Some([Hole::Key, Hole::Expected, Hole::Credentials].into_iter().fold(request, Request::hole))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        restoring::within(order.deadline, "the restoring of the value", self.put(order)).await
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        Ok(self.seen().await?.0.of_interrupted(order, &self.reload))
    }
}
