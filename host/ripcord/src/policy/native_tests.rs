//! A crate's own tests, run by cargo: built without haste, run within a time.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ripcord_pack::Group;

use super::build;
use crate::output::Failure;

/// So long the tests may run: the SDK's harness gives up each call long before.
const RUN_MAX: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the tests came to.
#[derive(Debug)]
pub(super) struct NativeTests {
    pub(super) passed: bool,
    /// All that cargo and the tests wrote.
    pub(super) said: String,
}

/// Builds and runs the tests of the crate in `folder`.
pub(super) fn run(folder: &Path) -> Result<NativeTests, Failure> {
    let built = finish(cargo(folder, &["test", "--quiet", "--no-run"])?, None)?;
    if !built.passed {
        return Ok(built);
    }
    finish(cargo(folder, &["test", "--quiet"])?, Some(RUN_MAX))
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<Group, Failure> {
    let target = folder.canonicalize().map(|folder| build::target_dir(&folder));
    let mut command = Command::new("cargo");
    command
        .args(arguments)
        .arg("--target-dir")
        .arg(target.unwrap_or_else(|_| folder.join("target")))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Group::spawn(&mut command).map_err(|cause| {
        Failure::failed("cannot run `cargo`")
            .because(cause)
            .help("install Rust with rustup, or put it on the path")
    })
}

/// Waits for the end, or makes one.
fn finish(mut group: Group, limit: Option<Duration>) -> Result<NativeTests, Failure> {
    let lost = |cause| Failure::failed("`cargo` was lost").because(cause);
    let pipes = (drain(group.child.stdout.take()), drain(group.child.stderr.take()));
    let began = Instant::now();
    let passed = loop {
        if let Some(status) = group.try_wait().map_err(lost)? {
            break Some(status.success());
        }
        if limit.is_some_and(|limit| began.elapsed() > limit) {
            group.kill().map_err(lost)?;
            break None;
        }
        thread::sleep(LOOK_EVERY);
    };
    let mut said = pipes.0.join().unwrap_or_default() + &pipes.1.join().unwrap_or_default();
    if let (None, Some(limit)) = (passed, limit) {
        said.push_str(&format!(
            "\nthe tests did not end within {} seconds and were stopped\n",
            limit.as_secs()
        ));
    }
    Ok(NativeTests { passed: passed == Some(true), said })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What the harness said of one fixture: its line without its name, and the lines below that are set in.
pub(super) fn told_of(said: &str, name: &str) -> Option<String> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with(&format!("{name} (")));
    let first = lines.next()?;
    let first = first.split_once("): ").map_or(first, |(_, how)| how);
    let below = lines.take_while(|line| line.starts_with("  "));
    Some(std::iter::once(first).chain(below).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_fixture_is_not_said_of_another() {
        let said = "2 of 3 fixtures failed:\none (a case): the answer differs\n  verdict: expected 1, got 2\nother (b): it panicked: x\nnote: run\n";
        assert_eq!(told_of(said, "one").as_deref(), Some("the answer differs\n  verdict: expected 1, got 2"));
        assert_eq!(told_of(said, "other").as_deref(), Some("it panicked: x"));
        assert_eq!(told_of(said, "third"), None);
    }

    #[test]
    fn tests_that_do_not_end_are_ended_with_what_they_started() {
        let mut sleeping = Command::new("sh");
        sleeping.args(["-c", "echo began; sleep 600 & wait"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let group = Group::spawn(&mut sleeping).expect("starts");
        let ended = finish(group, Some(Duration::from_millis(300))).expect("ended");
        assert!(!ended.passed && ended.said.starts_with("began"), "{}", ended.said);
        assert!(ended.said.contains("were stopped"), "{}", ended.said);
    }
}
