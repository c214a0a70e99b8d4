//! `[policies]` and the places where a service uses policies.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use ripcord_core::fact::FactKind;
use ripcord_core::name::PersonName;
use ripcord_core::policy::Role;
use serde::Deserialize;
use toml::Spanned;

use super::place::Mistakes;
use super::table::Node;

/// A team's own component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// The name that services use.
    pub name: String,
    /// Of the name.
    pub span: Range<usize>,
    /// The component.
    pub file: PathBuf,
    /// Of the file's path.
    pub file_span: Range<usize>,
    /// What its bytes must be.
    pub sha256: Option<Spanned<Digest>>,
    /// People who must all have signed its bytes, into the file of that name with `.sig` behind it.
    pub signed_by: Vec<Spanned<PersonName>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PolicyKeys {
    file: Spanned<PathBuf>,
    sha256: Option<Spanned<Digest>>,
    #[serde(default)]
    signed_by: Vec<Spanned<PersonName>>,
}

impl PolicyFile {
    pub(crate) fn read(
        name: Spanned<String>,
        node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let keys: PolicyKeys = node.read(mistakes)?;
        Some(Self {
            span: name.span(),
            name: name.into_inner(),
            file_span: keys.file.span(),
            file: base.join(keys.file.into_inner()),
            sha256: keys.sha256,
            signed_by: keys.signed_by,
        })
    }
}

/// A policy in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedConfig {
    /// What it is asked.
    pub role: Role,
    /// A name below `[policies]`, or of a starter policy.
    pub policy: Spanned<String>,
    /// Settings.
    pub settings: serde_json::Value,
    /// The place of each setting, by its JSON pointer.
    pub settings_places: Vec<(String, Range<usize>)>,
    /// What the operator lets it see; none is what its manifest declares.
    pub facts: Option<Vec<Spanned<FactKind>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PlacedKeys {
    policy: Spanned<String>,
    facts: Option<Vec<Spanned<FactKind>>>,
}

impl PlacedConfig {
    /// Takes the policies of all roles out of a service.
    pub(crate) fn take_all(node: &mut Node<'_>, mistakes: &mut Mistakes) -> Vec<Self> {
        let mut placed = Vec::new();
        for role in Role::ALL {
            let nodes = match role {
                Role::Planner => node.take_table("planner", mistakes).into_iter().collect(),
                Role::Trigger => node.take_tables("triggers", mistakes),
                Role::Approval => node.take_tables("approvals", mistakes),
                Role::Verification => node.take_tables("verifications", mistakes),
            };
            placed.extend(nodes.into_iter().filter_map(|node| Self::read(role, node, mistakes)));
        }
        placed
    }

    fn read(role: Role, mut node: Node<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let settings = node.take_table("settings", mistakes);
        let span = node.span.clone();
        let keys: PlacedKeys = node.read(mistakes)?;
        let (settings, settings_places) =
            settings.map_or_else(|| (serde_json::json!({}), vec![(String::new(), span)]), Node::into_json);
        Some(Self { role, policy: keys.policy, settings, settings_places, facts: keys.facts })
    }

    /// Where a setting stands, or the nearest table around it.
    pub fn place_of(&self, pointer: &str) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some((_, span)) = self.settings_places.iter().find(|(known, _)| known == pointer) {
                return span.clone();
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return self.policy.span(),
            }
        }
    }
}
