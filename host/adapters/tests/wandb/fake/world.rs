//! What the fake keeps: runs, artifacts, collections with their versions, aliases and tags, and the bytes of files.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Entity, project and name of a collection or a run.
pub(crate) type Key = (String, String, String);

pub(crate) fn key(entity: &str, project: &str, name: &str) -> Key {
    (entity.to_owned(), project.to_owned(), name.to_owned())
}

#[derive(Debug, Clone)]
pub(crate) struct Collection {
    /// Whether artifacts are linked into it: a portfolio, and no sequence.
    pub(crate) linked: bool,
    pub(crate) kind: String,
    pub(crate) created_at: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Artifact {
    pub(crate) sequence: Key,
    pub(crate) kind: String,
    pub(crate) digest: String,
    pub(crate) metadata: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) state: String,
    pub(crate) tags: Vec<String>,
    pub(crate) created_at: String,
    pub(crate) run: Option<Key>,
    pub(crate) client: String,
    /// Aliases that it is given when it is committed.
    wanted: Vec<String>,
    /// Of the manifest, among the blobs.
    pub(crate) manifest: Option<String>,
    /// Path to blob, size and MD5 in base 64.
    pub(crate) files: BTreeMap<String, (String, u64, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) at: Key,
    pub(crate) index: u64,
    pub(crate) artifact: usize,
    pub(crate) created_at: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) config: String,
    pub(crate) commit: Option<String>,
    pub(crate) summary: String,
    pub(crate) display: String,
    pub(crate) state: String,
    pub(crate) used: Vec<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    /// The fake's own address, without a slash at its end.
    pub(crate) url: String,
    pub(crate) collections: BTreeMap<Key, Collection>,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) members: Vec<Member>,
    pub(crate) aliases: BTreeMap<(Key, String), usize>,
    pub(crate) runs: BTreeMap<Key, Run>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) protected: BTreeSet<String>,
    made: u64,
}

pub(crate) fn id_of(artifact: usize) -> String {
    STANDARD.encode(format!("Artifact:{artifact}"))
}

fn number_of(id: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(id).ok()?).ok()?;
    text.strip_prefix("Artifact:")?.parse().ok()
}

fn text(from: &Value, name: &str) -> String {
    from.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn optional(from: &Value, name: &str) -> Option<String> {
    from.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn list<'a>(from: &'a Value, name: &str) -> &'a [Value] {
    from.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl World {
    /// Each thing is a minute younger than the one before.
    fn now(&mut self) -> String {
        self.made += 1;
        format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + self.made / 1440, self.made / 60 % 24, self.made % 60)
    }

    pub(crate) fn artifact(&self, id: &str) -> Option<usize> {
        number_of(id).filter(|number| *number < self.artifacts.len())
    }

    pub(crate) fn has_project(&self, entity: &str, project: &str) -> bool {
        let is = |key: &Key| key.0 == entity && key.1 == project;
        self.collections.keys().any(is) || self.runs.keys().any(is)
    }

    pub(crate) fn members_of(&self, at: &Key) -> Vec<Member> {
        let shown = |member: &&Member| member.at == *at && self.artifacts[member.artifact].state != "DELETED";
        self.members.iter().filter(shown).cloned().collect()
    }

    /// By `vN` or an alias.
    pub(crate) fn member(&self, at: &Key, name: &str) -> Option<Member> {
        let members = self.members_of(at);
        let index: Option<u64> = name.strip_prefix('v').and_then(|digits| digits.parse().ok());
        if let Some(index) = index {
            return members.into_iter().find(|member| member.index == index);
        }
        let artifact = *self.aliases.get(&(at.clone(), name.to_owned()))?;
        members.into_iter().find(|member| member.artifact == artifact)
    }

    pub(crate) fn aliases_of(&self, at: &Key, artifact: usize) -> Vec<String> {
        let of = self.aliases.iter().filter(|((of, _), pointed)| of == at && **pointed == artifact);
        of.map(|((_, alias), _)| alias.clone()).collect()
    }

    pub(crate) fn index_in_sequence(&self, artifact: usize) -> Option<u64> {
        let at = &self.artifacts[artifact].sequence;
        self.members.iter().find(|one| one.artifact == artifact && one.at == *at).map(|one| one.index)
    }

    fn join(&mut self, at: &Key, artifact: usize) -> u64 {
        if let Some(member) = self.members.iter().find(|one| one.at == *at && one.artifact == artifact) {
            return member.index;
        }
        let index = self.members.iter().filter(|member| member.at == *at).count() as u64;
        let created_at = self.now();
        self.members.push(Member { at: at.clone(), index, artifact, created_at });
        self.aliases.insert((at.clone(), "latest".into()), artifact);
        index
    }

    pub(crate) fn upsert_run(&mut self, input: &Value) -> Key {
        let of = |name: &str, otherwise: &str| {
            Some(text(input, name)).filter(|text| !text.is_empty()).unwrap_or(otherwise.into())
        };
        let at =
            key(&of("entityName", super::ENTITY), &of("modelName", "uncategorized"), &of("name", "run-1"));
        let run = self.runs.entry(at.clone()).or_default();
        if let Some(config) = optional(input, "config") {
            run.config = config;
        }
        if let Some(summary) = optional(input, "summaryMetrics") {
            run.summary = summary;
        }
        if let Some(display) = optional(input, "displayName") {
            run.display = display;
        }
        run.commit = optional(input, "commit").or(run.commit.take());
        run.state = of("state", "finished");
        at
    }

    pub(crate) fn create_artifact(&mut self, input: &Value) -> usize {
        let at = key(
            &text(input, "entityName"),
            &text(input, "projectName"),
            &text(input, "artifactCollectionName"),
        );
        let created_at = self.now();
        let kind = text(input, "artifactTypeName");
        let made = Collection { linked: false, kind: kind.clone(), created_at: created_at.clone() };
        self.collections.entry(at.clone()).or_insert(made);
        let (digest, client) = (text(input, "digest"), text(input, "clientID"));
        let latest = self.members_of(&at).last().map(|member| member.artifact);
        // What was logged already is no new version.
        if let Some(latest) = latest.filter(|latest| self.artifacts[*latest].digest == digest) {
            self.artifacts[latest].client = client;
            return latest;
        }
        let run = optional(input, "runName").filter(|run| !run.is_empty());
        self.artifacts.push(Artifact {
            run: run.map(|run| key(&at.0, &at.1, &run)),
            sequence: at,
            kind,
            digest,
            metadata: optional(input, "metadata"),
            description: optional(input, "description"),
            state: "PENDING".into(),
            tags: list(input, "tags").iter().map(|tag| text(tag, "tagName")).collect(),
            created_at,
            client,
            wanted: list(input, "aliases").iter().map(|alias| text(alias, "alias")).collect(),
            ..Artifact::default()
        });
        self.artifacts.len() - 1
    }

    /// Reads the manifest that was uploaded, and gives the version its number and its aliases.
    pub(crate) fn commit(&mut self, artifact: usize) -> Result<(), String> {
        let manifest = self.artifacts[artifact]
            .manifest
            .clone()
            .and_then(|at| self.blobs.get(&at))
            .ok_or("no manifest was uploaded")?;
        let read: Value =
            serde_json::from_slice(manifest).map_err(|error| format!("the manifest: {error}"))?;
        let contents: Map<String, Value> =
            read["contents"].as_object().cloned().ok_or("the manifest has no contents")?;
        let mut files = BTreeMap::new();
        for (path, entry) in contents.iter().filter(|(_, entry)| entry.get("ref").is_none()) {
            let md5 = text(entry, "digest");
            let blob = blob_of(&md5)?;
            let size = entry["size"].as_u64().unwrap_or(0);
            if self.blobs.get(&blob).map(|bytes| bytes.len() as u64) != Some(size) {
                return Err(format!("`{path}` was not uploaded"));
            }
            files.insert(path.clone(), (blob, size, md5));
        }
        self.artifacts[artifact].files = files;
        self.artifacts[artifact].state = "COMMITTED".into();
        let at = self.artifacts[artifact].sequence.clone();
        self.join(&at, artifact);
        for alias in std::mem::take(&mut self.artifacts[artifact].wanted) {
            self.aliases.insert((at.clone(), alias), artifact);
        }
        Ok(())
    }

    /// An alias is of one version of a collection: it leaves the one that had it.
    pub(crate) fn add_aliases(&mut self, artifact: usize, aliases: &[Value]) -> Result<(), String> {
        for input in aliases {
            let at = key(
                &text(input, "entityName"),
                &text(input, "projectName"),
                &text(input, "artifactCollectionName"),
            );
            let alias = text(input, "alias");
            if self.protected.contains(&alias) {
                return Err(format!("permission denied: `{alias}` is a protected alias"));
            }
            if !self.members_of(&at).iter().any(|member| member.artifact == artifact) {
                return Err("the artifact is no member of the collection".into());
            }
            self.aliases.insert((at, alias), artifact);
        }
        Ok(())
    }

    pub(crate) fn delete_aliases(&mut self, artifact: usize, aliases: &[Value]) -> Result<(), String> {
        for input in aliases {
            let at = key(
                &text(input, "entityName"),
                &text(input, "projectName"),
                &text(input, "artifactCollectionName"),
            );
            let alias = text(input, "alias");
            if self.protected.contains(&alias) {
                return Err(format!("permission denied: `{alias}` is a protected alias"));
            }
            if self.aliases.get(&(at.clone(), alias.clone())) == Some(&artifact) {
                self.aliases.remove(&(at, alias));
            }
        }
        Ok(())
    }

    pub(crate) fn update(&mut self, artifact: usize, input: &Value) {
        let of = &mut self.artifacts[artifact];
        // What is left out stays.
        if let Some(metadata) = optional(input, "metadata") {
            of.metadata = Some(metadata);
        }
        if let Some(description) = optional(input, "description") {
            of.description = Some(description);
        }
        let names =
            |key: &str| -> Vec<String> { list(input, key).iter().map(|tag| text(tag, "tagName")).collect() };
        let (add, take) = (names("tagsToAdd"), names("tagsToDelete"));
        of.tags.retain(|tag| !take.contains(tag) && !add.contains(tag));
        of.tags.extend(add);
    }

    pub(crate) fn link(&mut self, input: &Value) -> Result<(Key, u64, usize), String> {
        let by_client = || {
            let client = text(input, "clientID");
            self.artifacts.iter().position(|one| one.client == client && !client.is_empty())
        };
        let artifact =
            self.artifact(&text(input, "artifactID")).or_else(by_client).ok_or("unknown artifact")?;
        let at = key(
            &text(input, "entityName"),
            &text(input, "projectName"),
            &text(input, "artifactPortfolioName"),
        );
        let kind = self.artifacts[artifact].kind.clone();
        let created_at = self.now();
        self.collections.entry(at.clone()).or_insert(Collection { linked: true, kind, created_at });
        let index = self.join(&at, artifact);
        for alias in list(input, "aliases") {
            self.aliases.insert((at.clone(), text(alias, "alias")), artifact);
        }
        Ok((at, index, artifact))
    }

    /// What was deleted keeps its number.
    pub(crate) fn delete(&mut self, artifact: usize) {
        self.artifacts[artifact].state = "DELETED".into();
        self.aliases.retain(|_, pointed| *pointed != artifact);
    }

    /// Logs an artifact with these files, as a run would.
    pub(crate) fn log(
        &mut self,
        run: &Key,
        at: &Key,
        kind: &str,
        files: &[(&str, &[u8])],
        more: Value,
    ) -> usize {
        let mut contents = Map::new();
        for (path, bytes) in files {
            let md5 = STANDARD.encode(md5_of(bytes));
            self.blobs.insert(blob_of(&md5).unwrap(), bytes.to_vec());
            contents.insert((*path).to_owned(), json!({ "digest": md5, "size": bytes.len() }));
        }
        let manifest = json!({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": { "storageLayout": "V2" },
            "contents": contents,
        });
        let mut input = json!({
            "entityName": at.0, "projectName": at.1, "artifactCollectionName": at.2, "artifactTypeName": kind,
            "runName": run.2, "digest": format!("digest-{}", self.made),
        });
        input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let artifact = self.create_artifact(&input);
        let place = format!("manifest/{artifact}");
        self.blobs.insert(place.clone(), manifest.to_string().into_bytes());
        self.artifacts[artifact].manifest = Some(place);
        self.commit(artifact).unwrap();
        artifact
    }

    /// An address that is signed, as that of an object store.
    pub(crate) fn signed(&self, blob: &str) -> String {
        format!("{}/storage/{blob}?signature={}", self.url, super::SIGNATURE)
    }
}

pub(crate) fn md5_of(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest as _;
    md5::Md5::digest(bytes).into()
}

/// Where a file lies, by its MD5 in base 64.
pub(crate) fn blob_of(md5: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(md5).map_err(|error| format!("`{md5}` is no digest: {error}"))?;
    Ok(format!("file/{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
