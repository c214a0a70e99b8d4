//! Scripts of the suites that ask a system's own client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(300);

/// The Python that `variable` names.
pub(crate) fn python(variable: &str, installed_by: &str) -> PathBuf {
    let path = std::env::var(variable).unwrap_or_else(|_| {
        panic!("`{variable}` is not set: set it to the path of the Python that `{installed_by}` prints")
    });
    path.into()
}

/// Runs the script at a path below `tests/`, with what `prepare` adds to an empty environment, and reads the last line that it prints.
pub(crate) async fn run<T: DeserializeOwned>(
    python: &Path,
    script: &str,
    arguments: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> T {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let mut command = Command::new(python);
    command.arg(&script).args(arguments).env_clear().env("PYTHONUTF8", "1").kill_on_drop(true);
    prepare(&mut command);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{} does not end", script.display())).unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{} failed: {said}", script.display());
    let printed = String::from_utf8(ended.stdout).unwrap();
    let last = printed.lines().last().unwrap_or_else(|| panic!("{} says nothing: {said}", script.display()));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{}: {error}: {printed}", script.display()))
}
