//! How a registry lies in a place of objects.
//!
//! ```text
//! MODEL/VERSION/manifest.toml       as a folder's registry has it; it makes the prefix a version
//! MODEL/VERSION/files/…             the artefact
//! MODEL/VERSION/marks.toml          a hold
//! MODEL/VERSION/.ripcord-registering  which run registers it
//! MODEL/.names/NAME                 a version's name, as text
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::name::VersionName;
use ripcord_core::time::UnixMillis;

use super::store::{Listed, Object};
use crate::artefact;
use crate::registry_directory::{FILES, MANIFEST, MARKS};

/// The folder of names, below the model's.
pub(super) const NAMES: &str = ".names";
/// The object that says which run registers a version.
pub(super) const CLAIM: &str = ".ripcord-registering";

/// What lies below a version's prefix.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lying {
    /// Names below the prefix, sorted.
    pub(super) objects: Vec<Object>,
    /// One of the names that no file can have.
    pub(super) odd: Option<String>,
}

impl Lying {
    pub(super) fn of(listed: Listed) -> Self {
        debug_assert!(listed.objects.is_sorted_by(|a, b| a.name <= b.name), "lists are sorted");
        Self { objects: listed.objects, odd: listed.odd.into_iter().next() }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Object> {
        let at = self.objects.binary_search_by(|object| object.name.as_str().cmp(name)).ok()?;
        self.objects.get(at)
    }

    pub(super) fn manifest(&self) -> Option<&Object> {
        self.find(MANIFEST)
    }

    pub(super) fn is_marked(&self) -> bool {
        self.find(MARKS).is_some()
    }

    /// The artefact's files of a version that has no manifest.
    pub(super) fn bare_files(&self) -> Vec<&Object> {
        self.objects.iter().filter(|object| !matches!(object.name.as_str(), MARKS | CLAIM)).collect()
    }

    /// Whether it is a version, where those without a manifest are or are not.
    pub(super) fn is_version(&self, without_manifest: bool) -> bool {
        self.manifest().is_some() || (without_manifest && !self.bare_files().is_empty())
    }

    /// When it came, as the store has it: its manifest, else the oldest of its files, since one that is overwritten makes no new version.
    pub(super) fn came_at(&self) -> UnixMillis {
        let oldest = || self.bare_files().iter().map(|object| object.changed).min();
        self.manifest().map(|object| object.changed).or_else(oldest).unwrap_or(UnixMillis(0))
    }

    /// Why a file of the artefact cannot be fetched, as far as names and sizes tell.
    pub(super) fn missing(&self, path: &str, bytes: u64) -> Option<String> {
        match self.find(&format!("{FILES}/{path}")) {
            None => Some(format!("its file `{path}` is not there")),
            Some(found) if found.bytes != bytes => {
                Some(format!("its file `{path}` has {} bytes where the manifest says {bytes}", found.bytes))
            }
            Some(_) => None,
        }
    }

    /// The files of a version without a manifest; else why it has no artefact.
    pub(super) fn bare_artefact(&self) -> Result<Vec<&Object>, String> {
        if let Some(odd) = &self.odd {
            return Err(format!(
                "it holds an object with a name that no file can have: `{}`",
                odd.escape_debug()
            ));
        }
        let files = self.bare_files();
        if files.is_empty() {
            return Err("it has no file".to_owned());
        }
        if files.len() > artefact::FILES_MAX {
            return Err(format!("it has more than {} files", artefact::FILES_MAX));
        }
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let mut above =
            files.iter().flat_map(|file| file.name.match_indices('/').map(|(at, _)| &file.name[..at]));
        if let Some(both) = above.find(|folder| names.contains(folder)) {
            return Err(format!("it holds both a file `{both}` and files below it, which no folder can"));
        }
        for file in &files {
            artefact::check_path(&file.name)?;
        }
        Ok(files)
    }
}

/// A model's folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) versions: BTreeMap<VersionName, Lying>,
    /// The objects of [`NAMES`], whose names are the last parts.
    pub(super) names: Vec<Object>,
}

/// What lies in a model's folder, by version.
pub(super) fn of(listed: Listed) -> Layout {
    debug_assert!(listed.objects.is_sorted_by(|a, b| a.name <= b.name), "lists are sorted");
    let mut layout = Layout::default();
    for mut object in listed.objects {
        let Some((first, rest)) = object.name.split_once('/') else { continue };
        if first == NAMES {
            object.name = rest.to_owned();
            layout.names.push(object);
        } else if let Ok(version) = VersionName::new(first) {
            object.name = rest.to_owned();
            layout.versions.entry(version).or_default().objects.push(object);
        }
    }
    for odd in listed.odd {
        let Some((first, _)) = odd.split_once('/') else { continue };
        let Ok(version) = VersionName::new(first) else { continue };
        if let Some(lying) = layout.versions.get_mut(&version) {
            lying.odd.get_or_insert(odd);
        }
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_objects::store::Stamp;

    fn object(name: &str, bytes: u64, at: u64) -> Object {
        Object { name: name.into(), bytes, changed: UnixMillis(at), stamp: Stamp::default() }
    }

    fn lying(names: &[(&str, u64, u64)]) -> Lying {
        let mut objects: Vec<Object> =
            names.iter().map(|(name, bytes, at)| object(name, *bytes, *at)).collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Lying { objects, odd: None }
    }

    #[test]
    fn objects_are_of_versions_of_names_or_of_nobody() {
        let names =
            [".names/champion", ".trash/x", "1.0/files/a", "1.0/manifest.toml", "notes.txt", "2/a//b"];
        let listed = Listed {
            objects: names[..5].iter().map(|name| object(name, 1, 1)).collect(),
            odd: vec!["1.0//x".into(), "nobody/a//b".into()],
        };
        let layout = of(listed);
        let version = VersionName::new("1.0").unwrap();
        assert_eq!(layout.versions.keys().collect::<Vec<_>>(), [&version]);
        assert_eq!(layout.names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>(), ["champion"]);
        assert_eq!(layout.versions[&version].odd.as_deref(), Some("1.0//x"));
    }

    #[test]
    fn what_is_being_registered_is_no_version_yet() {
        let begun = lying(&[(CLAIM, 5, 1), ("files/a", 1, 1)]);
        assert!(!begun.is_version(false));
        assert!(!lying(&[(CLAIM, 5, 1), (MARKS, 5, 1)]).is_version(true), "that is no file of an artefact");
        assert!(lying(&[(MANIFEST, 5, 1)]).is_version(false));
    }

    #[test]
    fn a_version_without_a_manifest_is_as_old_as_its_oldest_file() {
        assert_eq!(lying(&[("a", 1, 9), ("b", 1, 5), (MARKS, 1, 1)]).came_at(), UnixMillis(5));
        assert_eq!(lying(&[("files/a", 1, 9), (MANIFEST, 1, 7)]).came_at(), UnixMillis(7));
    }

    #[test]
    fn a_hundred_thousand_files_are_looked_for_in_seconds() {
        let names: Vec<String> = (0..100_000).map(|n| format!("{n:06}.bin")).collect();
        let objects = names.iter().map(|name| object(&format!("{FILES}/{name}"), 1, 1)).collect();
        let lying = Lying::of(Listed { objects, odd: Vec::new() });
        let begun = std::time::Instant::now();
        assert!(names.iter().all(|name| lying.missing(name, 1).is_none()));
        assert!(lying.missing("100000.bin", 1).is_some_and(|why| why.contains("is not there")));
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_no_folder_can_hold_is_no_artefact() {
        let why = lying(&[("a", 1, 1), ("a-b", 1, 1), ("a/b", 1, 1)]).bare_artefact().unwrap_err();
        assert!(why.contains("both a file `a` and files below it"), "{why}");
        let odd = Lying { odd: Some("1.0/a//b".into()), ..lying(&[("a", 1, 1)]) };
        assert!(odd.bare_artefact().unwrap_err().contains("`1.0/a//b`"));
        assert!(lying(&[]).bare_artefact().unwrap_err().contains("no file"));
        assert_eq!(lying(&[("a", 1, 1), (CLAIM, 1, 1)]).bare_artefact().unwrap().len(), 1);
    }
}
