//! Running a team's own program: an argument vector and no shell, a deadline, bounded output, JSON.

mod arguments;
mod mark;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ripcord_core::foreign::Foreign;
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry, waiting};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::http::{excerpt, on_one_line};
use crate::secret::Secret;

use arguments::{Piece, pieces};
use process::{Bounded, Group, wait};

pub(crate) use arguments::path_of;
pub(crate) use mark::{Mark, Marks};

/// The most that a program may print.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How much of the end of its standard error is kept.
const ERROR_BYTES_KEPT: usize = 2 << 10;
/// Exit code of a program that says: it is under way, or try again later (`EX_TEMPFAIL`).
pub(crate) const UNDERWAY: i32 = 75;
/// Exit codes of a program that says: refused, and nothing was done.
pub(crate) const REFUSED: std::ops::RangeInclusive<i32> = 64..=69;
/// The one of them that says: because live is not what was expected.
pub(crate) const CONFLICT: i32 = 69;

/// In what surroundings the programs of an adapter run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandSurroundings {
    /// The working directory. Default: that of the host.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Names of environment variables that programs get from the host's. Default: none but `PATH`.
    #[serde(default)]
    pub pass_environment: Vec<String>,
    /// For one run, in milliseconds. Default: 60000. After it the program and its children are ended.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn deadline_default() -> u64 {
    60_000
}

impl Default for CommandSurroundings {
    fn default() -> Self {
        Self { folder: None, pass_environment: Vec::new(), deadline_ms: deadline_default() }
    }
}

/// A checked argument vector.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: String,
    arguments: Vec<Vec<Piece>>,
    surroundings: CommandSurroundings,
    environment: Vec<(String, Secret)>,
}

/// What a program that ended by itself has left.
#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    pub(crate) code: i32,
    pub(crate) output: Vec<u8>,
    errors: Vec<u8>,
}

/// Why a program was not run to its end.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It was not started.
    NotStarted(PortError),
    /// It was started and did not end by itself.
    Ended(PortError),
}

impl From<NotRun> for PortError {
    fn from(not_run: NotRun) -> Self {
        match not_run {
            NotRun::NotStarted(error) | NotRun::Ended(error) => error,
        }
    }
}

impl Program {
    /// Checks `vector`; `known` are the placeholders that it may use. `{{` and `}}` stand for braces.
    pub(crate) fn new(
        key: &str,
        vector: &[String],
        known: &[&str],
        surroundings: &CommandSurroundings,
    ) -> Result<Self, PortError> {
        let wrong = |why: String| PortError::not_applied(ErrorKind::Configuration, format!("`{key}` {why}"));
        let [name, arguments @ ..] = vector else {
            return Err(wrong("is empty: write the program and its arguments as a list".to_owned()));
        };
        if surroundings.deadline_ms == 0 {
            return Err(wrong("has a deadline of zero: set `deadline-ms`".to_owned()));
        }
        let arguments = arguments
            .iter()
            .map(|argument| pieces(argument, known).map_err(wrong))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.clone(),
            arguments,
            surroundings: surroundings.clone(),
            environment: Vec::new(),
        })
    }

    /// A program with arguments that hold no placeholders.
    pub(crate) fn exactly(name: &str, arguments: &[&str], surroundings: CommandSurroundings) -> Self {
        let arguments = arguments.iter().map(|text| vec![Piece::Text((*text).to_owned())]).collect();
        Self { name: name.to_owned(), arguments, surroundings, environment: Vec::new() }
    }

    /// What is run, without its arguments.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether one of its arguments has this placeholder.
    pub(crate) fn names(&self, placeholder: &str) -> bool {
        self.arguments.iter().flatten().any(|piece| piece.is_placeholder(placeholder))
    }

    /// The program with its arguments as they are configured, and where it runs: what a plan's request says of it. Variables of its environment are secrets.
    pub(crate) fn in_request(&self, request: Request) -> Request {
        let shown = |pieces: &Vec<Piece>| pieces.iter().map(Piece::as_configured).collect::<String>();
        let arguments: Vec<String> = self.arguments.iter().map(shown).collect();
        let folder = self.surroundings.folder.as_ref().map(|folder| folder.display().to_string());
        let holes = self.arguments.iter().flatten().filter_map(Piece::hole);
        holes
            .fold(request, Request::hole)
            .with("program", self.name.clone())
            .with("arguments", format!("{arguments:?}"))
            .with("working directory", folder.unwrap_or_default())
            .with("environment", self.surroundings.pass_environment.join(" "))
    }

    /// The same with these variables in its environment.
    pub(crate) fn with_environment(mut self, environment: Vec<(String, Secret)>) -> Self {
        self.environment = environment;
        self
    }

    /// Runs it, with nothing to read. A placeholder without a value is empty.
    pub(crate) async fn run(
        &self,
        values: &BTreeMap<&str, String>,
        deadline: Option<Millis>,
    ) -> Result<Ran, NotRun> {
        self.run_with(values, deadline, Stdio::null()).await
    }

    /// The same with this standard input.
    pub(crate) async fn run_with(
        &self,
        values: &BTreeMap<&str, String>,
        deadline: Option<Millis>,
        stdin: Stdio,
    ) -> Result<Ran, NotRun> {
        let what = format!("the program `{}`", self.name);
        let configured = Millis(self.surroundings.deadline_ms);
        let deadline = deadline.map_or(configured, |deadline| deadline.min(configured));
        let mut group = self.start(values, stdin).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Configuration,
            };
            NotRun::NotStarted(PortError::not_applied(
                kind,
                format!(
                    "{what} cannot be started: {error}; check its path, its rights and the working directory"
                ),
            ))
        })?;
        let mut output = Bounded::first(OUTPUT_BYTES_MAX);
        let mut errors = Bounded::last(ERROR_BYTES_KEPT);
        let ended = tokio::time::timeout(
            Duration::from_millis(deadline.0),
            waiting::for_system(&what, wait(&mut group.child, &mut output, &mut errors)),
        )
        .await;
        let errors = errors.bytes;
        let said = || if errors.is_empty() { String::new() } else { format!("; it said {}", tail(&errors)) };
        let status = match ended {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                group.end().await;
                return Err(NotRun::Ended(PortError::unknown(
                    ErrorKind::Local,
                    format!("{what} cannot be waited for: {error}{}", said()),
                )));
            }
            Err(_) => {
                group.end().await;
                return Err(NotRun::Ended(PortError::unknown(
                    ErrorKind::TimedOut,
                    format!("{what} did not end within {deadline} and was ended{}", said()),
                )));
            }
        };
        group.ended = true;
        let Some(code) = status.code() else {
            return Err(NotRun::Ended(PortError::unknown(
                ErrorKind::Failed,
                format!("{what} was ended by {status}{}", said()),
            )));
        };
        if output.overflowed {
            return Err(NotRun::Ended(PortError::unknown(
                ErrorKind::TooLarge,
                format!("{what} printed more than {OUTPUT_BYTES_MAX} bytes: have it print less"),
            )));
        }
        Ok(Ran { what, code, output: output.bytes, errors })
    }

    fn start(&self, values: &BTreeMap<&str, String>, stdin: Stdio) -> std::io::Result<Group> {
        let mut command = Command::new(&self.name);
        command.args(self.expanded(values).into_iter().skip(1));
        self.surround(&mut command);
        Group::start(&mut command, stdin)
    }

    /// The program and its arguments as they are run.
    pub(crate) fn expanded(&self, values: &BTreeMap<&str, String>) -> Vec<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Placeholder(name) => values.get(name.as_str()).cloned().unwrap_or_default(),
        };
        let arguments = self.arguments.iter().map(|argument| argument.iter().map(text).collect());
        std::iter::once(self.name.clone()).chain(arguments).collect()
    }

    /// Gives the command the program's environment and working directory.
    pub(crate) fn surround(&self, command: &mut Command) {
        command.env_clear();
        for name in self.surroundings.pass_environment.iter().map(String::as_str).chain(["PATH"]) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &self.environment {
            command.env(name, value.expose());
        }
        if let Some(folder) = &self.surroundings.folder {
            command.current_dir(folder);
        }
    }
}

impl Ran {
    /// The error that its exit code stands for, where it is not zero.
    pub(crate) fn successful(self) -> Result<Self, PortError> {
        if self.code == 0 { Ok(self) } else { Err(self.error()) }
    }

    /// What it means that it did not end with zero. Only a program that says that it refused has done nothing.
    pub(crate) fn error(&self) -> PortError {
        let said = if self.errors.is_empty() {
            "and said nothing".to_owned()
        } else {
            format!("and said {}", tail(&self.errors))
        };
        let text = format!("{} ended with exit code {} {said}", self.what, self.code);
        if REFUSED.contains(&self.code) {
            return PortError::not_applied(ErrorKind::Failed, text).retry(Retry::No);
        }
        PortError::unknown(ErrorKind::Failed, text)
    }

    /// What it printed, as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, PortError> {
        serde_json::from_slice(&self.output).map_err(|error| {
            PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "{} printed what is not the JSON expected here: {}; {error}",
                    self.what,
                    excerpt(&self.output)
                ),
            )
        })
    }

    /// The last line that it printed, for people.
    pub(crate) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(if self.output.is_empty() { &self.errors } else { &self.output });
        text.trim().lines().last().unwrap_or("under way").chars().take(200).collect()
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The end of what it said on its standard error.
    pub(crate) fn said(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.errors)
    }
}

/// The end of what a program said, on one line.
fn tail(errors: &[u8]) -> String {
    format!("`{}`", Foreign::new(&on_one_line(&String::from_utf8_lossy(errors))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str, deadline_ms: u64) -> Program {
        let vector =
            ["sh", "-c", script, "sh", "{version}", "x={version}y", "{{version}}"].map(str::to_owned);
        let surroundings = CommandSurroundings { deadline_ms, ..CommandSurroundings::default() };
        // The script itself holds braces of the shell's.
        let vector: Vec<_> = vector
            .iter()
            .map(|a| if a == script { a.replace('{', "{{").replace('}', "}}") } else { a.clone() })
            .collect();
        Program::new("shift", &vector, &["version"], &surroundings).unwrap()
    }

    async fn run(script: &str, deadline_ms: u64) -> Result<Ran, NotRun> {
        program(script, deadline_ms).run(&BTreeMap::from([("version", "1.0 $(id)".to_owned())]), None).await
    }

    #[tokio::test]
    async fn placeholders_stay_within_their_argument_and_no_shell_sees_them() {
        let ran = run("printf '%s|' \"$@\"", 5_000).await.unwrap();
        assert_eq!(String::from_utf8(ran.output).unwrap(), "1.0 $(id)|x=1.0 $(id)y|{version}|");
    }

    #[tokio::test]
    async fn the_environment_is_empty_but_for_what_is_named() {
        let mut program = program("env", 5_000);
        program.surroundings.pass_environment = vec!["CARGO_MANIFEST_DIR".into(), "NO_SUCH_VARIABLE".into()];
        let ran = program.run(&BTreeMap::new(), None).await.unwrap();
        let text = String::from_utf8(ran.output).unwrap();
        let mut names: Vec<_> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["CARGO_MANIFEST_DIR", "PATH"]);
    }

    #[tokio::test]
    async fn the_end_of_what_a_failing_program_says_is_in_the_error() {
        let error = run("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3", 20_000)
            .await
            .unwrap()
            .successful()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit code 3") && error.contains("line 2999") && !error.contains("line 1000"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("children");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let Err(NotRun::Ended(error)) = run(&script, 700).await else { panic!("it ended by itself") };
        assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, ripcord_ports::Applied::Unknown));
        let child: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        for _ in 0..100 {
            if state().is_empty() || state().contains(") Z") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the child still runs: {}", state());
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_is_not_waited_for() {
        let started = std::time::Instant::now();
        let ran = run("sleep 5 & echo done", 60_000).await.unwrap();
        assert_eq!(ran.output, b"done\n");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn too_much_output_is_refused_and_does_not_block() {
        let Err(NotRun::Ended(error)) = run("head -c 3000000 /dev/zero", 20_000).await else {
            panic!("taken")
        };
        assert_eq!(error.kind, ErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_was_not_started() {
        let vector = ["/no/such/program".to_owned()];
        let program = Program::new("live", &vector, &[], &CommandSurroundings::default()).unwrap();
        let Err(NotRun::NotStarted(error)) = program.run(&BTreeMap::new(), None).await else {
            panic!("started")
        };
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }

    #[test]
    fn an_empty_vector_is_refused() {
        assert!(Program::new("list", &[], &[], &CommandSurroundings::default()).is_err());
    }
}
