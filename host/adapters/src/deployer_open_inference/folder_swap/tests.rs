//! A crash at each moment of a swap, and what the next call makes of what it finds.

use std::path::Path;

use ripcord_core::digest::Digest;
use tempfile::TempDir;

use super::*;

const CONTENT: [&str; 3] = ["old", "new", "other"];

struct Rig {
    outer: TempDir,
    folder: ModelFolder,
    staged: Vec<Staged>,
}

impl Rig {
    /// The folder `m` holds `old`, which the server has loaded; `new` and `other` are staged.
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let staged =
            CONTENT.iter().map(|content| stage(&outer.path().join(format!("staged-{content}")), content));
        let staged = staged.collect();
        std::fs::create_dir(outer.path().join("models")).unwrap();
        let rig = Self { folder: ModelFolder::new(&outer.path().join("models/m")).unwrap(), outer, staged };
        rig.put("m", "old");
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outer.path().join("models").join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fill(&self.path(name), content);
    }

    fn note(&self, phase: Phase, before: Before) {
        let note = Note {
            phase,
            before,
            version: VersionName::new("new").unwrap(),
            files: self.staged[1].files.clone(),
        };
        std::fs::write(self.path(".m.ripcord.json"), serde_json::to_vec(&note).unwrap()).unwrap();
    }

    fn swap<T>(&self, work: impl FnOnce(&Swap<'_>) -> Result<T, PortError>) -> T {
        let dir = folder::open(&self.folder.paths.parent).unwrap();
        work(&Swap { dir, paths: &self.folder.paths }).unwrap()
    }

    fn place(&self, content: &str) {
        let staged = &self.staged[CONTENT.iter().position(|c| *c == content).unwrap()];
        self.swap(|swap| swap.place(&VersionName::new(content).unwrap(), staged));
    }

    fn holds(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name).join("sub/model")).ok()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn fill(path: &Path, content: &str) {
    std::fs::create_dir_all(path.join("sub")).unwrap();
    std::fs::write(path.join("sub/model"), content).unwrap();
}

fn stage(path: &Path, content: &str) -> Staged {
    fill(path, content);
    let dir = folder::open(path).unwrap();
    let files = artefact::hash(&dir, "").unwrap();
    let digest: Digest = artefact_digest(&files);
    Staged { dir: Arc::new(dir), files, digest }
}

/// A moment, and what a crash leaves at it.
type Crash = (&'static str, fn(&Rig));

/// What a crash leaves, moment by moment, of placing `new` over `old` and of putting `old` back.
fn crashes() -> Vec<Crash> {
    use Before::Folder;
    vec![
        ("before anything", |_| {}),
        ("while the next folder is filled", |rig| {
            std::fs::create_dir_all(rig.path(".m.ripcord-next/sub")).unwrap()
        }),
        ("when it is filled", |rig| rig.put(".m.ripcord-next", "new")),
        ("before the exchange", |rig| {
            rig.put(".m.ripcord-next", "new");
            rig.note(Phase::Placing, Folder);
        }),
        ("after the exchange", |rig| {
            rig.put("m", "new");
            rig.put(".m.ripcord-next", "old");
            rig.note(Phase::Placing, Folder);
        }),
        ("between the two renames of a file system without exchange", |rig| {
            std::fs::rename(rig.path("m"), rig.path(".m.ripcord-previous")).unwrap();
            rig.put(".m.ripcord-next", "new");
            rig.note(Phase::Placing, Folder);
        }),
        ("after the swap", |rig| {
            rig.put("m", "new");
            rig.put(".m.ripcord-previous", "old");
            rig.note(Phase::Placing, Folder);
        }),
        ("in place", |rig| {
            rig.put("m", "new");
            rig.put(".m.ripcord-previous", "old");
            rig.note(Phase::Placed, Folder);
        }),
        ("before putting back", |rig| {
            rig.put("m", "new");
            rig.put(".m.ripcord-previous", "old");
            rig.note(Phase::Restoring, Folder);
        }),
        ("after the exchange back", |rig| {
            rig.put(".m.ripcord-previous", "new");
            rig.note(Phase::Restoring, Folder);
        }),
        ("between the two renames back", |rig| {
            std::fs::rename(rig.path("m"), rig.path(".m.ripcord-previous")).unwrap();
            rig.put(".m.ripcord-next", "new");
            rig.note(Phase::Restoring, Folder);
        }),
        ("when it is back, with leftovers", |rig| rig.note(Phase::Restoring, Folder)),
    ]
}

#[test]
fn after_a_crash_the_same_order_ends_with_the_new_folder_and_the_old_one_kept() {
    for (moment, crash) in crashes() {
        let rig = Rig::new();
        crash(&rig);
        rig.place("new");
        assert_eq!(rig.holds("m").as_deref(), Some("new"), "{moment}");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}");
        rig.place("new");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}, twice");
        rig.swap(|swap| swap.settle());
        assert_eq!(rig.names(), [".m.ripcord.json", "m"], "{moment}");
    }
}

#[test]
fn after_a_crash_putting_back_ends_with_the_old_folder() {
    for (moment, crash) in crashes() {
        let rig = Rig::new();
        crash(&rig);
        rig.swap(|swap| swap.put_back());
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("old"), "{moment}");
        assert_eq!(rig.names(), ["m"], "{moment}");
    }
}

#[test]
fn after_a_crash_another_order_keeps_what_was_loaded_and_not_what_never_was() {
    for (moment, crash) in crashes() {
        let rig = Rig::new();
        crash(&rig);
        rig.place("other");
        assert_eq!(rig.holds("m").as_deref(), Some("other"), "{moment}");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}");
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("old"), "{moment}");
    }
}

#[test]
fn a_crash_after_settling_leaves_what_was_loaded() {
    let rig = Rig::new();
    rig.put("m", "new");
    rig.put(".m.ripcord-previous", "old");
    rig.note(Phase::Loaded, Before::Folder);
    rig.swap(|swap| swap.put_back());
    assert_eq!(rig.holds("m").as_deref(), Some("new"));
    rig.place("old");
    assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("new"));
}

#[test]
fn where_nothing_was_nothing_is_put_back() {
    let rig = Rig::new();
    std::fs::remove_dir_all(rig.path("m")).unwrap();
    rig.place("new");
    assert_eq!(rig.holds("m").as_deref(), Some("new"));
    rig.swap(|swap| swap.put_back());
    assert_eq!(rig.names(), [""; 0]);
}

#[test]
fn the_same_artefact_is_not_swapped_and_not_taken_away() {
    let rig = Rig::new();
    rig.place("old");
    assert_eq!(rig.names(), [".m.ripcord.json", "m"]);
    rig.swap(|swap| swap.put_back());
    assert_eq!(rig.holds("m").as_deref(), Some("old"));
}

#[test]
fn a_digest_is_told_only_of_what_a_swap_put_there() {
    let rig = Rig::new();
    let digest = |name: &str| {
        let version = VersionName::new(name).unwrap();
        rig.swap(|swap| Ok(swap.digest_of(&version)))
    };
    assert_eq!(digest("old"), None);
    rig.place("new");
    assert_eq!(digest("new"), Some(rig.staged[1].digest));
    assert_eq!(digest("old"), None, "the server may still answer with the version before");
    rig.swap(|swap| swap.settle());
    std::fs::write(rig.path("m/sub/model"), "NEW").unwrap();
    assert_ne!(digest("new"), Some(rig.staged[1].digest));
    assert!(digest("new").is_some(), "a changed artefact has another digest");
}
