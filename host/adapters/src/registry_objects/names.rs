//! Names that point at versions: one small object each, whose content is the name of a version.

use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError};

use super::layout::NAMES;
use super::store::{Expecting, Object};
use super::{AT_ONCE, ObjectsRegistry, is_of_one};
use crate::checkpoints::shown;

/// Names that are read at most, besides that of production.
const NAMES_MAX: usize = 64;
const CONTENT_BYTES_MAX: u64 = 1 << 10;

/// A name, and what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    /// None where it points at nothing, or at what is no version's name.
    pub(super) version: Option<VersionName>,
}

/// Whether an object of this name is one that points.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.')
}

/// The object of a name, below the model's folder.
pub(super) fn object(name: &str) -> String {
    format!("{NAMES}/{name}")
}

impl ObjectsRegistry {
    /// All names, as they are now.
    pub(super) async fn all_named(&self) -> Result<Vec<Named>, PortError> {
        self.named(self.store.list(&self.at(NAMES)).await?.objects).await
    }

    /// What the listed names point at. One that says nothing sensible hides no other.
    pub(super) async fn named(&self, listed: Vec<Object>) -> Result<Vec<Named>, PortError> {
        let mut names: Vec<String> =
            listed.into_iter().map(|object| object.name).filter(|name| is_name(name)).collect();
        // That of production first, so that it is among those that are read.
        names.sort_by_key(|name| (Some(name.as_str()) != self.alias.as_deref(), name.clone()));
        if names.len() > NAMES_MAX + 1 {
            tracing::warn!(
                names = names.len(),
                read = NAMES_MAX,
                "there are more names than are read: the others are not watched"
            );
            names.truncate(NAMES_MAX + 1);
        }
        let named = stream::iter(names).map(|name| async move {
            let version = match self.pointed_at(&name).await {
                Ok((version, _)) => version,
                Err(error) if is_of_one(&error) => {
                    tracing::warn!(%error, "a name is left out");
                    None
                }
                Err(error) => return Err(error),
            };
            Ok::<_, PortError>(Named { name, version })
        });
        let mut named: Vec<Named> = named.buffered(AT_ONCE).try_collect().await?;
        named.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(named)
    }

    /// What a name points at, and what its object must still be for it to be moved.
    pub(super) async fn pointed_at(&self, name: &str) -> Result<(Option<VersionName>, Expecting), PortError> {
        let Some(read) = self.store.read(&self.at(&object(name)), CONTENT_BYTES_MAX).await? else {
            return Ok((None, Expecting::Nothing));
        };
        let as_read = Expecting::Content(read.stamp);
        let text = String::from_utf8_lossy(&read.bytes);
        let text = text.trim();
        if text.is_empty() {
            return Ok((None, as_read));
        }
        let version = VersionName::new(text).map_err(|_| {
            let text = format!(
                "the name `{name}` of `{}` in `{}` says `{}`, which is no version's name: write one into it, or delete it",
                self.model,
                self.store.shown(),
                shown(text)
            );
            PortError::not_applied(ErrorKind::BadAnswer, text)
        })?;
        Ok((Some(version), as_read))
    }

    pub(super) fn moved_by_others(
        &self,
        alias: &str,
        now: Option<&VersionName>,
        expecting: Option<&VersionName>,
    ) -> PortError {
        let shown =
            |at: Option<&VersionName>| at.map_or("nothing".to_owned(), |at| format!("version `{at}`"));
        let text = format!(
            "the name `{alias}` of `{}` points at {} where {} was expected: someone else moved it, and it was left there",
            self.model,
            shown(now),
            shown(expecting)
        );
        PortError::not_applied(ErrorKind::Conflict, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_name_of_one_object() {
        for name in ["production", "v1.2_a-B"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".hidden", "a/b", "a b", "a\u{1b}", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
