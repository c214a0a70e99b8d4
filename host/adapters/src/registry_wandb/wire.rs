//! What W&B answers, as far as it is read. Whatever the account may not see is `null`.

use serde::{Deserialize, Deserializer};

/// Every answer of the GraphQL interface.
#[derive(Debug, Deserialize)]
pub(super) struct Answered<T> {
    #[serde(default = "none")]
    pub(super) data: Option<T>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) errors: Vec<Refusal>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) message: String,
}

/// Errors alone, whatever else stands beside them. An interface before GraphQL may say only `error`.
#[derive(Debug, Deserialize)]
pub(super) struct Refusals {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) errors: Vec<Refusal>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) error: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<E> {
    #[serde(default)]
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<E>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
    #[serde(default)]
    pub(super) has_next_page: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Edge<N> {
    #[serde(default = "none")]
    pub(super) node: Option<N>,
}

/// A name, of whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) entity: Named,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Collection {
    #[serde(default, rename = "__typename")]
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) project: Option<Project>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Artifact {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) artifact_sequence: Option<Collection>,
    #[serde(default)]
    pub(super) version_index: Option<u64>,
    #[serde(default)]
    pub(super) artifact_type: Option<Named>,
    /// JSON as a text.
    #[serde(default)]
    pub(super) metadata: Option<String>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) tags: Vec<Named>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) state: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) created_at: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) aliases: Vec<Alias>,
}

/// An alias; the collection in which it holds where that is not clear.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alias {
    pub(super) alias: String,
    #[serde(default)]
    pub(super) artifact_collection: Option<Collection>,
}

/// An artifact as a version of a collection.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Membership {
    #[serde(default)]
    pub(super) version_index: Option<u64>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) created_at: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) aliases: Vec<Alias>,
    #[serde(default)]
    pub(super) artifact_collection: Option<Collection>,
    #[serde(default)]
    pub(super) artifact: Option<Artifact>,
}

/// `ProjectArtifacts`, and `ProjectArtifactCollection`.
#[derive(Debug, Deserialize)]
pub(super) struct TypedAnswer<C> {
    #[serde(default = "none")]
    pub(super) project: Option<TypedProject<C>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TypedProject<C> {
    #[serde(default = "none")]
    pub(super) artifact_type: Option<Typed<C>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Typed<C> {
    #[serde(default = "none")]
    pub(super) artifact_collection: Option<C>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionsOf {
    #[serde(default, rename = "__typename")]
    pub(super) kind: String,
    pub(super) artifacts: Option<Connection<VersionEdge>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionEdge {
    /// Such as `v3`.
    pub(super) version: String,
    #[serde(default)]
    pub(super) node: Option<Artifact>,
}

/// `ArtifactMembershipByName`.
#[derive(Debug, Deserialize)]
pub(super) struct MembershipAnswer {
    pub(super) project: Option<MembershipProject>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MembershipProject {
    pub(super) artifact_collection_membership: Option<Membership>,
}

/// `FetchArtifactManifest`.
#[derive(Debug, Deserialize)]
pub(super) struct ManifestAnswer {
    pub(super) artifact: Option<Manifested>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifested {
    pub(super) current_manifest: Option<ManifestFile>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ManifestFile {
    pub(super) file: Option<Direct>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Direct {
    pub(super) direct_url: String,
}

/// `GetArtifactMembershipFileUrls`.
#[derive(Debug, Deserialize)]
pub(super) struct FilesAnswer {
    pub(super) project: Option<FilesProject>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilesProject {
    pub(super) artifact_collection: Option<FilesCollection>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilesCollection {
    pub(super) artifact_membership: Option<FilesMembership>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FilesMembership {
    pub(super) files: Option<Connection<Edge<FileUrl>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileUrl {
    pub(super) name: String,
    pub(super) direct_url: String,
}

/// `ArtifactCreatedBy`.
#[derive(Debug, Deserialize)]
pub(super) struct CreatedByAnswer {
    pub(super) artifact: Option<Created>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) created_by: Option<Creator>,
}

/// A run, or somebody without one: then there is no name.
#[derive(Debug, Deserialize)]
pub(super) struct Creator {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) project: Option<Project>,
}

/// `Run`, and `RunInputArtifacts`.
#[derive(Debug, Deserialize)]
pub(super) struct RunAnswer<R> {
    #[serde(default = "none")]
    pub(super) project: Option<RunProject<R>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunProject<R> {
    #[serde(default = "none")]
    pub(super) run: Option<R>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Run {
    /// JSON as a text.
    #[serde(default)]
    pub(super) config: Option<String>,
    #[serde(default)]
    pub(super) commit: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Used {
    pub(super) artifacts: Option<Connection<Edge<Artifact>>>,
}

/// `AddAliases`.
#[derive(Debug, Deserialize)]
pub(super) struct AliasesAnswer {
    pub(super) result: Option<Success>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Success {
    #[serde(default)]
    pub(super) success: bool,
}

/// `UpdateArtifact`.
#[derive(Debug, Deserialize)]
pub(super) struct UpdateAnswer {
    pub(super) result: Option<serde_json::Value>,
}

/// `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
