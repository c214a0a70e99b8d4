//! Compiled policies, lent from world to world: compiling them takes longer than most tests. The host checks each entry before it trusts it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

fn shared() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

fn of(folder: &Path) -> PathBuf {
    folder.join("ripcord-data/cache")
}

/// Gives the host below `folder` what others have compiled.
pub(crate) fn lend(folder: &Path) {
    for below in [folder.join("ripcord-data"), of(folder)] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(below).expect("a folder");
    }
    copy(&shared(), &of(folder));
}

/// Takes over what the host below `folder` has compiled.
pub(crate) fn keep(folder: &Path) {
    fs::create_dir_all(shared()).expect("a folder");
    copy(&of(folder), &shared());
}

/// What is not there yet, each file whole or not at all.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (name, whole) = (entry.file_name(), to.join(entry.file_name()));
        if !name.to_string_lossy().ends_with(".code") || whole.exists() {
            continue;
        }
        let part = tempfile::NamedTempFile::new_in(to).expect("a file");
        fs::copy(entry.path(), part.path()).expect("copies");
        part.persist(whole).expect("renames");
    }
}
