//! A test that is run again whenever a file changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Outcome;
use crate::cli::Global;
use crate::output::style::{DIM, paint};
use crate::output::{self, Page, tell};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// More files than a crate has.
const FILES_MAX: usize = 20_000;

/// Runs `test` and prints what came of it, again after each change, until ctrl-c.
pub(super) async fn run(
    global: &Global,
    what: &str,
    fixtures: Option<&Path>,
    test: impl AsyncFn() -> Outcome,
) -> Outcome {
    // A component's fixtures lie beside it.
    let beside =
        Path::new(what).parent().filter(|_| Path::new(what).is_file()).map(|parent| parent.join("fixtures"));
    let roots: Vec<PathBuf> =
        [Some(what.into()), fixtures.map(Path::to_owned), beside].into_iter().flatten().collect();
    loop {
        // What changes while the tests run is a change, too.
        let seen = state(&roots);
        let tested = test().await;
        let is_over = ripcord_pack::is_over();
        output::print(global.form(), global.color, tested);
        if is_over {
            return Ok(Page::done("", &serde_json::Value::Null));
        }
        tell(global.color, &paint(DIM, "waiting for a change; ctrl-c ends it"));
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(Page::done("", &serde_json::Value::Null)),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if state(&roots) != seen {
                break;
            }
        }
    }
}

/// Names, sizes and times of all files that are written by people: what is built is left out.
fn state(roots: &[PathBuf]) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut left = roots.to_vec();
    let mut state = Vec::new();
    while let Some(path) = left.pop() {
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            state.push((path, metadata.len(), metadata.modified().ok()));
        } else if let Ok(entries) = std::fs::read_dir(&path) {
            let built = |path: &PathBuf| {
                path.file_name()
                    .is_some_and(|name| name == "target" || name == ".git" || name == "Cargo.lock")
                    || path.extension().is_some_and(|extension| extension == "wasm")
            };
            left.extend(entries.flatten().map(|entry| entry.path()).filter(|path| !built(path)));
        }
        if state.len() > FILES_MAX {
            break;
        }
    }
    state.sort();
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_a_change_and_what_is_built_is_none() {
        let folder = tempfile::tempdir().expect("folder");
        let roots = [folder.path().to_owned()];
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, name).expect("writes");
            state(&roots)
        };
        let first = write("src/lib.rs");
        assert_eq!(write("target/debug/x"), first);
        assert_eq!(write("mine.wasm"), first);
        assert_ne!(write("fixtures/one.json"), first);
    }
}
