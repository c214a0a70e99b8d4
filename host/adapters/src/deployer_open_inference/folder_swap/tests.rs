//! A crash at each moment of a swap, and what the next call makes of what it finds.

use std::path::Path;

use ripcord_core::digest::Digest;
use ripcord_ports::registry::Staged;
use tempfile::TempDir;

use super::*;

const CONTENT: [&str; 3] = ["old", "new", "other"];

/// In what `old`, `new` and `other` differ.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Artefact,
    /// In the artefact and in a file of ours beside it.
    ArtefactAndSettings,
    /// In a file of ours alone: one artefact under several versions.
    Settings,
}

const KINDS: [Kind; 3] = [Kind::Artefact, Kind::ArtefactAndSettings, Kind::Settings];

struct Rig {
    kind: Kind,
    outer: TempDir,
    folder: ModelFolder,
    contents: Vec<Content>,
}

impl Rig {
    /// The folder `m` holds `old`, which the server has loaded; `new` and `other` are staged.
    fn new(kind: Kind) -> Self {
        let outer = tempfile::tempdir().unwrap();
        let contents =
            CONTENT.map(|content| stage(&outer.path().join(format!("staged-{content}")), kind, content));
        std::fs::create_dir(outer.path().join("models")).unwrap();
        let folder = ModelFolder::new(&outer.path().join("models/m")).unwrap();
        let rig = Self { kind, folder, outer, contents: contents.into() };
        rig.put("m", "old");
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outer.path().join("models").join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fill(&self.path(name), model(self.kind, content));
        if self.kind != Kind::Artefact {
            std::fs::create_dir_all(self.path(name).join("conf")).unwrap();
            std::fs::write(self.path(name).join("conf/settings"), content).unwrap();
        }
    }

    fn note(&self, phase: Phase, before: Before) {
        let new = &self.contents[1];
        let note = Note {
            phase,
            before,
            version: new.version.clone(),
            files: new.staged.files.clone(),
            written: new.listed(),
        };
        std::fs::write(self.path(".m.ripcord.json"), serde_json::to_vec(&note).unwrap()).unwrap();
    }

    fn swap<T>(&self, work: impl FnOnce(&Swap<'_>) -> Result<T, PortError>) -> T {
        let dir = folder::open(&self.folder.paths.parent).unwrap();
        work(&Swap { dir, paths: &self.folder.paths, given_up: &GivenUp::default() }).unwrap()
    }

    fn place(&self, content: &str) {
        let content = &self.contents[CONTENT.iter().position(|c| *c == content).unwrap()];
        self.swap(|swap| swap.place(content));
    }

    fn digest(&self, version: &str) -> Option<Digest> {
        let version = VersionName::new(version).unwrap();
        self.swap(|swap| Ok(swap.digest_of(&version)))
    }

    /// Which content is whole in the folder.
    fn holds(&self, name: &str) -> Option<String> {
        let read = |path: &str| std::fs::read_to_string(self.path(name).join(path)).ok();
        let artefact = read("sub/model")?;
        if self.kind == Kind::Artefact {
            return Some(artefact);
        }
        let settings = read("conf/settings")?;
        assert_eq!(artefact, model(self.kind, &settings), "artefact and settings are of one version");
        Some(settings)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn model(kind: Kind, content: &str) -> &str {
    if kind == Kind::Settings { "same" } else { content }
}

fn fill(path: &Path, content: &str) {
    std::fs::create_dir_all(path.join("sub")).unwrap();
    std::fs::write(path.join("sub/model"), content).unwrap();
}

fn stage(path: &Path, kind: Kind, content: &str) -> Content {
    fill(path, model(kind, content));
    let dir = folder::open(path).unwrap();
    let files = artefact::hash(&dir, "").unwrap();
    let digest: Digest = artefact_digest(&files);
    let written = Written { path: "conf/settings".into(), text: content.into() };
    Content {
        version: VersionName::new(content).unwrap(),
        staged: Staged { dir: Arc::new(dir), files, digest },
        written: if kind == Kind::Artefact { Vec::new() } else { vec![written] },
    }
}

/// At each moment of a swap of each kind.
fn at_each(check: impl Fn(&Rig, &str)) {
    for kind in KINDS {
        for (moment, crash) in crashes() {
            let rig = Rig::new(kind);
            crash(&rig);
            check(&rig, &format!("{kind:?}, {moment}"));
        }
    }
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
        ("before the exchange, after a power cut that tore the note", |rig| {
            rig.put(".m.ripcord-next", "new");
            std::fs::write(rig.path(".m.ripcord.json"), "").unwrap();
        }),
        ("in place, after a power cut that took the swap and left the note", |rig| {
            rig.put(".m.ripcord-next", "new");
            rig.note(Phase::Placed, Folder);
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
    at_each(|rig, moment| {
        rig.place("new");
        assert_eq!(rig.holds("m").as_deref(), Some("new"), "{moment}");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}");
        rig.place("new");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}, twice");
        assert_eq!(rig.digest("new"), Some(rig.contents[1].staged.digest), "{moment}");
        rig.swap(|swap| swap.settle());
        assert_eq!(rig.names(), [".m.ripcord.json", "m"], "{moment}");
    });
}

#[test]
fn a_swap_waits_for_the_disk_twice_however_many_files_there_are() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        let before = crate::file_work::flushes();
        rig.place("new");
        assert_eq!(crate::file_work::flushes() - before, 1, "{kind:?}: what is swapped in is whole");
        rig.swap(|swap| swap.settle());
        assert_eq!(crate::file_work::flushes() - before, 2, "{kind:?}: what is in place stays");
    }
}

#[test]
fn after_a_crash_putting_back_ends_with_the_old_folder() {
    at_each(|rig, moment| {
        rig.swap(|swap| swap.put_back());
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("old"), "{moment}");
        assert_eq!(rig.names(), ["m"], "{moment}");
    });
}

#[test]
fn after_a_crash_another_order_keeps_what_was_loaded_and_not_what_never_was() {
    at_each(|rig, moment| {
        rig.place("other");
        assert_eq!(rig.holds("m").as_deref(), Some("other"), "{moment}");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("old"), "{moment}");
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("old"), "{moment}");
    });
}

#[test]
fn after_a_crash_taking_away_leaves_nothing_that_a_server_could_load() {
    for kind in KINDS {
        // What a candidate's folder goes through: before it there is nothing.
        let crashes: [Crash; 5] = [
            ("while the next folder is filled", |rig| {
                std::fs::create_dir_all(rig.path(".m.ripcord-next/sub")).unwrap()
            }),
            ("before it is in place", |rig| {
                rig.put(".m.ripcord-next", "new");
                rig.note(Phase::Placing, Before::Nothing);
            }),
            ("in place", |rig| {
                rig.put("m", "new");
                rig.note(Phase::Placed, Before::Nothing);
            }),
            ("loaded, and the server added files", |rig| {
                rig.put("m", "new");
                std::fs::write(rig.path("m/added"), "x").unwrap();
                rig.note(Phase::Loaded, Before::Nothing);
            }),
            ("half taken away", |rig| {
                std::fs::create_dir_all(rig.path(".m.ripcord-next/sub")).unwrap();
                rig.note(Phase::Restoring, Before::Nothing);
            }),
        ];
        for (moment, crash) in crashes {
            let rig = Rig::new(kind);
            std::fs::remove_dir_all(rig.path("m")).unwrap();
            crash(&rig);
            let noted = rig.path(".m.ripcord.json").exists();
            assert_eq!(rig.swap(|swap| swap.take_away()), noted, "{kind:?}, {moment}");
            assert_eq!(rig.swap(|swap| swap.take_away()), noted, "{kind:?}, {moment}: it can be done again");
            rig.swap(|swap| swap.forget());
            assert_eq!(rig.names(), [""; 0], "{kind:?}, {moment}");
            rig.place("other");
            assert_eq!(rig.holds("m").as_deref(), Some("other"), "{kind:?}, {moment}");
        }
        let foreign = Rig::new(kind);
        assert!(!foreign.swap(|swap| swap.take_away()), "someone else's folder is left alone");
        assert_eq!(foreign.holds("m").as_deref(), Some("old"));
    }
}

#[test]
fn whose_the_folder_is_is_known() {
    let rig = Rig::new(Kind::ArtefactAndSettings);
    let whose = || rig.swap(|swap| swap.whose());
    assert_eq!(whose(), Whose::SomeoneElses, "however it looks");
    std::fs::remove_dir_all(rig.path("m")).unwrap();
    assert_eq!(whose(), Whose::Nobodys);
    rig.place("new");
    assert_eq!(whose(), Whose::Ours);
}

#[test]
fn a_crash_after_settling_leaves_what_was_loaded() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        std::fs::remove_dir_all(rig.path("m")).unwrap();
        rig.put("m", "new");
        rig.put(".m.ripcord-previous", "old");
        rig.note(Phase::Loaded, Before::Folder);
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("new"));
        rig.place("old");
        assert_eq!(rig.holds(".m.ripcord-previous").as_deref(), Some("new"));
    }
}

#[test]
fn where_nothing_was_nothing_is_put_back() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        std::fs::remove_dir_all(rig.path("m")).unwrap();
        rig.place("new");
        assert_eq!(rig.holds("m").as_deref(), Some("new"));
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.names(), [""; 0]);
    }
}

#[test]
fn the_same_artefact_is_not_swapped_and_not_taken_away() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        rig.place("old");
        assert_eq!(rig.names(), [".m.ripcord.json", "m"]);
        rig.swap(|swap| swap.put_back());
        assert_eq!(rig.holds("m").as_deref(), Some("old"));
    }
}

#[test]
fn the_same_artefact_under_another_version_is_swapped() {
    let rig = Rig::new(Kind::Settings);
    let digest = rig.contents[0].staged.digest;
    for (version, before) in [("new", "old"), ("old", "new"), ("other", "old")] {
        rig.place(version);
        rig.swap(|swap| swap.settle());
        assert_eq!(rig.holds("m").as_deref(), Some(version));
        assert_eq!((rig.digest(version), rig.digest(before)), (Some(digest), None));
    }
}

#[test]
fn a_digest_is_told_only_of_what_a_swap_put_there() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        let placed = Some(rig.contents[1].staged.digest);
        assert_eq!(rig.digest("old"), None);
        rig.place("new");
        assert_eq!(rig.digest("new"), placed);
        assert_eq!(rig.digest("old"), None, "the server may still answer with the version before");
        rig.swap(|swap| swap.settle());
        std::fs::write(rig.path("m/added"), "by the server").unwrap();
        assert_eq!(rig.digest("new"), placed);
        std::fs::write(rig.path("m/sub/model"), "NEW").unwrap();
        assert_ne!(rig.digest("new"), placed);
        assert!(rig.digest("new").is_some(), "a changed artefact has another digest");
    }
}

#[test]
fn a_changed_file_of_ours_is_a_changed_artefact() {
    for change in ["other", ""] {
        let rig = Rig::new(Kind::ArtefactAndSettings);
        let placed = Some(rig.contents[1].staged.digest);
        rig.place("new");
        assert_eq!(rig.digest("new"), placed);
        let settings = rig.path("m/conf/settings");
        match change {
            "" => std::fs::remove_file(settings).unwrap(),
            text => std::fs::write(settings, text).unwrap(),
        }
        assert!(rig.digest("new").is_some_and(|digest| Some(digest) != placed), "{change:?}");
    }
}

#[test]
fn a_note_of_a_release_that_wrote_no_files_is_read() {
    let rig = Rig::new(Kind::Artefact);
    rig.place("new");
    let note = std::fs::read_to_string(rig.path(".m.ripcord.json")).unwrap();
    assert!(!note.contains("written"), "{note}");
    assert_eq!(rig.digest("new"), Some(rig.contents[1].staged.digest));
}

/// A copy that takes far longer than everything else here is given up in the middle; what comes in its place stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_given_up_never_takes_the_place_of_what_came_after_it() {
    let rig = Rig::new(Kind::Artefact);
    let large = rig.outer.path().join("staged-large");
    std::fs::create_dir_all(large.join("sub")).unwrap();
    std::fs::File::create(large.join("sub/a")).unwrap().set_len(96 << 20).unwrap();
    let large = stage(&large, Kind::Artefact, "large");
    let beside = rig.path(".m.ripcord-next/sub/a");
    let begun = async {
        while !beside.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        placed = rig.folder.place(large) => panic!("it is placed already: {placed:?}"),
        () = begun => {}
    }
    rig.folder.place(rig.contents[2].clone()).await.unwrap();
    rig.folder.settle().await.unwrap();
    // Whatever still runs ends now, or has ended.
    rig.folder.is_unsettled().await.unwrap();
    assert_eq!(rig.holds("m").as_deref(), Some("other"));
    assert_eq!(rig.names(), [".m.ripcord.json", "m"]);
}

#[test]
fn a_link_away_is_told_before_a_swap_meets_it() {
    use std::os::unix::fs::symlink;
    let rig = Rig::new(Kind::Artefact);
    std::fs::rename(rig.path("m"), rig.outer.path().join("real")).unwrap();
    let real = rig.outer.path().join("real");
    let swap = |folder: &ModelFolder| {
        let dir = folder::open(&folder.paths.parent).unwrap();
        Swap { dir, paths: &folder.paths, given_up: &GivenUp::default() }.place(&rig.contents[1])
    };
    for target in [real.as_path(), Path::new("../real"), Path::new("gone"), Path::new("file")] {
        std::fs::write(rig.path("file"), "x").unwrap();
        symlink(target, rig.path("m")).unwrap();
        let why = rig.folder.swap_obstacle().expect("an obstacle");
        assert!(why.contains("is a link to no folder beside it"), "{target:?}: {why}");
        std::fs::remove_file(rig.path("m")).unwrap();
        std::fs::remove_file(rig.path("file")).unwrap();
    }
    // Nothing is there yet, or a link to a folder beside it, which a swap replaces.
    assert_eq!(rig.folder.swap_obstacle(), None);
    std::fs::rename(&real, rig.path("m-1.4.0")).unwrap();
    symlink("m-1.4.0", rig.path("m")).unwrap();
    assert_eq!(rig.folder.swap_obstacle(), None);
    swap(&rig.folder).unwrap();
    assert_eq!(rig.holds("m").as_deref(), Some("new"));
}

/// Runs the test again with the model's folder mounted, in a namespace of its own, where this machine lets it.
#[test]
fn a_folder_that_is_a_mount_is_told_of_and_left_as_it_is() {
    if let Some(outer) = std::env::var_os("RIPCORD_TEST_MOUNTED_IN") {
        return in_a_mount(Path::new(&outer));
    }
    let proc = ModelFolder::new(Path::new("/proc")).unwrap();
    assert!(proc.swap_obstacle().unwrap().contains("`/proc` is a mount point"), "it is one everywhere");
    let rig = Rig::new(Kind::Artefact);
    assert_eq!(rig.folder.swap_obstacle(), None);
    assert_eq!(rig.names(), ["m"], "looking leaves nothing");

    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(outer.path().join("models/m")).unwrap();
    fill(&outer.path().join("volume"), "old");
    let script = "mount --bind \"$RIPCORD_TEST_MOUNTED_IN/volume\" \"$RIPCORD_TEST_MOUNTED_IN/models/m\" || exit 77\nexec \"$0\" --exact \"$1\" --nocapture";
    let name = concat!(module_path!(), "::a_folder_that_is_a_mount_is_told_of_and_left_as_it_is");
    let (_, name) = name.split_once("::").unwrap();
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env("RIPCORD_TEST_MOUNTED_IN", outer.path())
        .output();
    match ran {
        Ok(ran) if ran.status.success() => {
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(ran) if ran.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&ran.stderr)),
        _ => eprintln!("no mount can be made here"),
    }
}

fn in_a_mount(outer: &Path) {
    let folder = ModelFolder::new(&outer.join("models/m")).unwrap();
    assert!(folder.swap_obstacle().unwrap().contains("is a mount point"));
    let around = ModelFolder::new(&outer.join("models")).unwrap();
    let why = around.swap_obstacle().unwrap();
    assert!(why.contains("`m` in the model's folder") && why.contains("is a mount point"), "{why}");
    let content = stage(&outer.join("staged"), Kind::Artefact, "new");
    for _ in 0..2 {
        let dir = folder::open(&folder.paths.parent).unwrap();
        let swap = Swap { dir, paths: &folder.paths, given_up: &GivenUp::default() };
        let error = swap.place(&content).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Place, "{error}");
        assert!(error.to_string().contains("mount the folder around it instead"), "{error}");
        let names: Vec<_> =
            std::fs::read_dir(outer.join("models")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["m"], "no copy and no note stays");
        let live = std::fs::read_to_string(outer.join("models/m/sub/model")).unwrap();
        assert_eq!(live, "old");
    }
}

impl ModelFolder {
    fn swap_obstacle(&self) -> Option<String> {
        let dir = folder::open(&self.paths.parent).unwrap();
        Swap { dir, paths: &self.paths, given_up: &GivenUp::default() }.obstacle()
    }
}

/// Who is told that nothing was done may do it again, or go on to something else.
#[test]
fn a_swap_that_failed_half_way_promises_nothing() {
    let rig = Rig::new(Kind::Artefact);
    rig.put(".m.ripcord-next", "new");
    rig.note(Phase::Placing, Before::Folder);
    // What was there before finds its place taken.
    std::fs::write(rig.path(".m.ripcord-previous"), "a file").unwrap();
    let error = rig.swap(|swap| Ok(swap.swap_or_recover().unwrap_err()));
    assert_eq!(rig.holds("m").as_deref(), Some("new"), "the names were exchanged already");
    assert_eq!(error.applied, ripcord_ports::Applied::Unknown, "{error}");

    let rig = Rig::new(Kind::Artefact);
    rig.note(Phase::Placing, Before::Folder);
    let error = rig.swap(|swap| Ok(swap.swap_or_recover().unwrap_err()));
    assert_eq!(rig.holds("m").as_deref(), Some("old"), "there was nothing to swap in");
    assert_eq!(error.applied, ripcord_ports::Applied::No, "{error}");
}
