//! How a service is told to take over what was stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::{Method, Url};
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::Shifted;
use ripcord_ports::{ErrorKind, PortError};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::wrong;
use crate::command::{CommandSurroundings, Program, UNDERWAY};
use crate::http::{self, Patience, patiently};
use crate::secret::Secret;
use crate::{Http, folder};

const PLACEHOLDERS: [&str; 4] = ["revision", "digest", "key", "incident"];
const PID_BYTES_MAX: u64 = 100;
/// The kernel keeps so much of a program's name.
const PROCESS_NAME_BYTES: usize = 15;
const REPLICAS_MAX: usize = 100;

/// How the service is told, by one of `post`, `signal` and `command`. With none of them it looks by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReloadConfig {
    /// Addresses that are asked by POST, with an empty body: one for each replica. They have no query: a plan says them whole.
    #[serde(default)]
    pub post: Vec<String>,
    /// The signal that the process is sent: `hup`, `usr1`, `usr2` or `term`. Wants `pid-file` and `process`.
    #[serde(default)]
    pub signal: Option<ReloadSignal>,
    /// The file that holds the number of the process.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// The name of the process, as `ps -o comm` shows it. Another one is not sent the signal: a number may be given away again.
    #[serde(default)]
    pub process: Option<String>,
    /// A program and its arguments, which may hold `{revision}`, `{digest}`, `{incident}` and `{key}`.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// In what surroundings the program runs.
    #[serde(default)]
    pub surroundings: CommandSurroundings,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
}

/// A signal that programs take for *read your configuration anew*, or after which they are started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadSignal {
    /// `SIGHUP`.
    Hup,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGUSR2`.
    Usr2,
    /// `SIGTERM`: something else has to start it anew.
    Term,
}

/// How the service is told.
#[derive(Debug)]
pub(crate) struct Reload {
    how: How,
    deadline: Millis,
    token: Option<Secret>,
    http: Http,
}

#[derive(Debug)]
enum How {
    Watched,
    Post(Vec<Url>),
    Signal { signal: ReloadSignal, pid_file: PathBuf, process: String },
    Command(Box<Program>),
}

/// What the service is told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReloadFor<'a> {
    pub(crate) revision: &'a VersionName,
    pub(crate) digest: Digest,
    pub(crate) key: &'a str,
    pub(crate) incident: &'a IncidentId,
    pub(crate) deadline: Millis,
}

impl Reload {
    pub(crate) fn new(config: ReloadConfig, token: Option<Secret>, http: &Http) -> Result<Self, PortError> {
        let ways = [!config.post.is_empty(), config.signal.is_some(), config.command.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(wrong("`reload` has more than one of `post`, `signal` and `command`: keep one"));
        }
        if config.signal.is_none() && (config.pid_file.is_some() || config.process.is_some()) {
            return Err(wrong(
                "`reload` has `pid-file` or `process` without `signal`: add it, as in `signal = \"hup\"`",
            ));
        }
        let deadline = Millis(config.deadline_ms.unwrap_or(http::DEADLINE_DEFAULT.0));
        if deadline.0 == 0 || config.post.len() > REPLICAS_MAX {
            return Err(wrong(format!(
                "`reload` wants a `deadline-ms` of 1 or more, and at most {REPLICAS_MAX} addresses in `post`"
            )));
        }
        let how = match (config.signal, config.command) {
            (Some(signal), _) => {
                let (Some(pid_file), Some(process)) = (config.pid_file, config.process) else {
                    return Err(wrong(
                        "`reload.signal` wants `pid-file`, which holds the number of the process, and `process`, its name",
                    ));
                };
                How::Signal { signal, pid_file, process }
            }
            (None, Some(command)) => {
                let program = Program::new("reload.command", &command, &PLACEHOLDERS, &config.surroundings)?;
                How::Command(Box::new(program))
            }
            (None, None) if config.post.is_empty() => How::Watched,
            (None, None) => {
                let address = |url: &String| {
                    let url = http::page(url)?;
                    http::is_shown_whole("reload.post", &url)?;
                    Ok(url)
                };
                How::Post(config.post.iter().map(address).collect::<Result<_, PortError>>()?)
            }
        };
        Ok(Self { how, deadline, token, http: http.clone() })
    }

    /// Whether the service looks by itself.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.how, How::Watched)
    }

    /// How far it is where the service looks by itself.
    pub(crate) fn under_way(&self, revision: &VersionName) -> String {
        format!("`{revision}` is stored, and the service has not taken it over yet")
    }

    /// What a plan says of it.
    pub(crate) fn argument(&self) -> Label {
        let value = match &self.how {
            How::Watched => "the service looks by itself".to_owned(),
            How::Post(urls) => {
                format!("POST {}", urls.iter().map(http::shown).collect::<Vec<_>>().join(", "))
            }
            How::Signal { signal, pid_file, process } => {
                format!("{signal:?} to `{process}` of `{}`", pid_file.display()).to_lowercase()
            }
            How::Command(program) => format!("the program `{}`", program.name()),
        };
        Label { name: "reload".to_owned(), value }
    }

    /// What follows *and* in the words of a request.
    pub(crate) fn words(&self) -> String {
        match &self.how {
            How::Watched => "leave it to the service to look".to_owned(),
            How::Post(_) | How::Signal { .. } => {
                format!("have the service reload by {}", self.argument().value)
            }
            How::Command(program) => format!("have the service reload by the program `{}`", program.name()),
        }
    }

    /// The request with what the service is told.
    pub(crate) fn in_request(&self, request: Request) -> Request {
        let request = request.with("reload", self.argument().value);
        match &self.how {
            How::Watched | How::Signal { .. } => request,
            How::Post(_) => request.hole(Hole::Credentials),
            How::Command(program) => program.in_request(request),
        }
    }

    /// Tells the service. Asking twice is harmless; whether what is stored is in force then is for a read-back to show.
    pub(crate) async fn run(&self, about: ReloadFor<'_>) -> Result<Shifted, PortError> {
        let deadline = self.deadline.min(about.deadline);
        match &self.how {
            How::Watched => Ok(Shifted::Underway(self.under_way(about.revision))),
            How::Post(urls) => {
                for url in urls {
                    patiently(Patience(deadline), || {
                        let call = self.http.call(Method::POST, url).deadline(deadline).has_effect();
                        call.bearer(self.token.as_ref()).send()
                    })
                    .await?;
                }
                Ok(Shifted::Done)
            }
            How::Signal { signal, pid_file, process } => {
                send_signal(*signal, pid_file, process)?;
                Ok(Shifted::Done)
            }
            How::Command(program) => {
                let values = BTreeMap::from([
                    ("revision", about.revision.to_string()),
                    ("digest", about.digest.to_string()),
                    ("key", about.key.to_owned()),
                    ("incident", about.incident.to_string()),
                ]);
                let ran = program.run(&values, Some(about.deadline)).await?;
                match ran.code {
                    0 => Ok(Shifted::Done),
                    UNDERWAY => Ok(Shifted::Underway(ran.last_line())),
                    _ => Err(ran.error()),
                }
            }
        }
    }
}

fn send_signal(signal: ReloadSignal, pid_file: &Path, process: &str) -> Result<(), PortError> {
    let text = folder::read_ambient(pid_file, PID_BYTES_MAX)?;
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<i32>().ok());
    // The first process and whole groups are nobody's scorer.
    let Some(pid) = number.filter(|number| *number > 1).and_then(Pid::from_raw) else {
        return Err(PortError::not_applied(
            ErrorKind::Local,
            format!("`{}` holds no number of a process", pid_file.display()),
        ));
    };
    let name =
        folder::read_ambient(Path::new(&format!("/proc/{pid}/comm", pid = pid.as_raw_nonzero())), 1_000)
            .map_err(|error| match error.kind {
                ErrorKind::NotFound => PortError::not_applied(
                    ErrorKind::NotFound,
                    format!("the process of `{}` does not run: start the service", pid_file.display()),
                ),
                _ => error,
            })?;
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    let wanted = &process.as_bytes()[..process.len().min(PROCESS_NAME_BYTES)];
    if name.as_bytes() != wanted {
        return Err(PortError::not_applied(
            ErrorKind::Local,
            format!(
                "`{}` is out of date: the process with its number is `{}` and not `{process}`, and was not sent a signal",
                pid_file.display(),
                ripcord_core::foreign::Foreign::new(&name)
            ),
        ));
    }
    let signal = match signal {
        ReloadSignal::Hup => Signal::HUP,
        ReloadSignal::Usr1 => Signal::USR1,
        ReloadSignal::Usr2 => Signal::USR2,
        ReloadSignal::Term => Signal::TERM,
    };
    kill_process(pid, signal)
        .map_err(|error| folder::local(error.into(), format_args!("cannot send a signal to `{process}`")))
}
