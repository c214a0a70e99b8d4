//! Running `git`: without any configuration but ours, without asking anybody, and with names for what goes wrong.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::GitRestorerConfig;
use crate::command::{CommandSurroundings, NotRun, Program, Ran};
use crate::http;
use crate::restoring::{summary, wrong};
use crate::secret::Secret;

/// Where the branch lies in the copy.
const TIP: &str = "refs/ripcord/tip";

/// The repository, and our copy of it.
#[derive(Debug)]
pub(super) struct Git {
    repository: String,
    /// For people: without what may be secret.
    shown: String,
    branch: String,
    copy: PathBuf,
    pub(super) is_local: bool,
    environment: Vec<(String, Secret)>,
    deadline: Millis,
    /// The newest commit as it was fetched last.
    last_tip: Mutex<Option<String>>,
}

impl Git {
    pub(super) fn new(config: &GitRestorerConfig, secret: Option<Secret>) -> Result<Self, PortError> {
        let text = config.repository.as_str();
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        let shown = if is_http {
            let url = http::page(text)?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong(
                    "`repository` holds a user or a password: write `user`, and the password into a file",
                ));
            }
            http::shown(&url)
        } else {
            text.to_owned()
        };
        let is_other =
            text.contains("://") || text.split('/').next().is_some_and(|first| first.contains(':'));
        if text.is_empty() || text.starts_with('-') || !is_http && is_other {
            return Err(wrong(format!(
                "`repository` is `{text}`: write a folder of this machine, or an address of `http` or `https`; git over ssh is not spoken"
            )));
        }
        if !is_http && (config.user.is_some() || secret.is_some()) {
            return Err(wrong("`repository` is a folder of this machine, which wants no user and no token"));
        }
        let branch = config.branch.as_str();
        let odd = [" ", "..", "~", "^", ":", "?", "*", "[", "\\", "@{", "//"];
        if branch.is_empty()
            || branch.starts_with(['-', '/'])
            || branch.ends_with(['/', '.'])
            || branch.ends_with(".lock")
            || branch.chars().any(char::is_control)
            || odd.iter().any(|part| branch.contains(part))
        {
            return Err(wrong(format!("`branch` is `{branch}`, which cannot be the name of a branch")));
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let authorization = match (&config.user, secret) {
            (Some(user), Some(password)) => {
                use base64::Engine as _;
                let pair = format!("{user}:{}", password.expose());
                Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
            }
            (Some(user), None) => {
                return Err(wrong(format!(
                    "`user` is `{user}` and its password is missing: add `password-file` or `password-env`"
                )));
            }
            (None, Some(token)) => Some(format!("Bearer {}", token.expose())),
            (None, None) => None,
        };
        Ok(Self {
            repository: text.to_owned(),
            shown,
            branch: branch.to_owned(),
            copy: config.data.join("copy.git"),
            is_local: !is_http,
            environment: environment(authorization),
            deadline: Millis(config.deadline_ms),
            last_tip: Mutex::default(),
        })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn branch_name(&self) -> &str {
        &self.branch
    }

    /// For people.
    pub(super) fn branch(&self) -> String {
        format!("the branch `{}` of {}", self.branch, self.shown)
    }

    pub(super) fn remote(&self) -> &str {
        &self.repository
    }

    /// Runs `git` with these arguments, in a folder or nowhere.
    async fn run_in(&self, folder: Option<PathBuf>, arguments: &[&str]) -> Result<Ran, NotRun> {
        let surroundings =
            CommandSurroundings { folder, deadline_ms: self.deadline.0, ..CommandSurroundings::default() };
        let program =
            Program::exactly("git", arguments, surroundings).with_environment(self.environment.clone());
        program.run(&std::collections::BTreeMap::new(), None).await
    }

    /// Runs `git` on the copy.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Ran, NotRun> {
        let copy = format!("--git-dir={}", self.copy.display());
        self.run_in(None, &[&[copy.as_str()], arguments].concat()).await
    }

    /// The same, and its answer is one word.
    pub(super) async fn word(&self, arguments: &[&str]) -> Result<String, PortError> {
        let ran = self.run(arguments).await?;
        if ran.code != 0 {
            return Err(self.failed(&ran));
        }
        Ok(String::from_utf8_lossy(&ran.output).trim().to_owned())
    }

    /// Runs `git` in the working tree of a local repository.
    pub(super) async fn run_there(&self, arguments: &[&str]) -> Result<Ran, NotRun> {
        self.run_in(Some(PathBuf::from(&self.repository)), arguments).await
    }

    /// Takes over what is new, and gives the newest commit of the branch. A copy that is not there, or that a killed host has left half-made or locked,
    /// is made anew.
    pub(super) async fn fetch(&self) -> Result<String, PortError> {
        match self.fetch_once().await {
            Err(error) if error.kind == ErrorKind::Local => {}
            ended => return ended,
        }
        self.forget_copy().await?;
        let copy = self.copy.display().to_string();
        let made = self.run_in(None, &["init", "--quiet", "--bare", "--template=", &copy]).await?;
        made.successful()?;
        self.fetch_once().await
    }

    async fn forget_copy(&self) -> Result<(), PortError> {
        *self.last_tip.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let copy = self.copy.clone();
        let gone = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(copy)).await;
        match gone {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::folder::local(error, format_args!("cannot remove `{}`", self.copy.display())))
            }
            _ => Ok(()),
        }
    }

    async fn fetch_once(&self) -> Result<String, PortError> {
        let known = self.last_tip.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = match known {
            Some(tip) => Some(tip),
            None => {
                let ran = self.run(&["rev-parse", "--verify", "--quiet", TIP]).await?;
                (ran.code == 0).then(|| String::from_utf8_lossy(&ran.output).trim().to_owned())
            }
        };
        let refspec = format!("+refs/heads/{}:{TIP}", self.branch);
        let ran = self
            .run(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &self.repository, &refspec])
            .await?;
        // What a shallow clone offers is refused with a warning alone, and the copy would stay as it was.
        if ran.code != 0 || ran.said().contains("warning: rejected") {
            return Err(self.failed(&ran));
        }
        let tip = self.word(&["rev-parse", "--verify", TIP]).await?;
        if let Some(before) = before.filter(|before| *before != tip)
            && !self.is_within(&before, &tip).await?
        {
            tracing::warn!(repository = %self.shown, branch = %self.branch, %before, %tip, "the history of a branch was rewritten: revisions that are gone from it cannot be restored");
        }
        *self.last_tip.lock().unwrap_or_else(PoisonError::into_inner) = Some(tip.clone());
        Ok(tip)
    }

    /// Whether a commit is part of the history of another.
    pub(super) async fn is_within(&self, commit: &str, of: &str) -> Result<bool, PortError> {
        let ran = self.run(&["merge-base", "--is-ancestor", commit, of]).await?;
        match ran.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(self.failed(&ran)),
        }
    }

    /// What it means that `git` failed.
    pub(super) fn failed(&self, ran: &Ran) -> PortError {
        let said = ran.said();
        let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        let Self { shown, branch, .. } = self;
        let (kind, text, retry) = if has(&["couldn't find remote ref"]) {
            (
                ErrorKind::NotFound,
                format!(
                    "{shown} has no branch `{branch}`: push it again where somebody has deleted it, make its first commit, or correct `branch`"
                ),
                Retry::No,
            )
        } else if has(&["dubious ownership"]) {
            (
                ErrorKind::Denied,
                format!(
                    "{shown} belongs to another user, and git does not trust it: give it to the user of this host"
                ),
                Retry::No,
            )
        } else if has(&[
            "Authentication failed",
            "could not read Username",
            "returned error: 403",
            "returned error: 401",
        ]) {
            (
                ErrorKind::Denied,
                format!("{shown} wants other credentials, or more rights for them"),
                Retry::No,
            )
        } else if has(&["shallow"]) {
            (
                ErrorKind::Unsupported,
                format!(
                    "{shown} is a shallow clone, whose history is cut off: run `git fetch --unshallow` there, or configure the repository that it was cloned from"
                ),
                Retry::No,
            )
        } else if has(&[
            "does not appear to be a git repository",
            "does not exist",
            "not found",
            "returned error: 404",
        ]) {
            (
                ErrorKind::NotFound,
                format!(
                    "{shown} is no git repository, or there is none: put it back where it was moved or deleted, or correct `repository`"
                ),
                Retry::No,
            )
        } else if has(&[
            ".lock': File exists",
            "not a git repository",
            "is corrupt",
            "bad object",
            "loose object",
        ]) {
            (ErrorKind::Local, format!("the copy of {shown} is of no use"), Retry::Later)
        } else if has(&["unable to access", "Could not resolve", "Connection refused"]) {
            (
                ErrorKind::Unreachable,
                format!("{shown} cannot be reached: check that it runs, and the way to it"),
                Retry::Later,
            )
        } else {
            (ErrorKind::Failed, format!("git failed with {shown} (exit code {})", ran.code), Retry::Later)
        };
        PortError::not_applied(kind, format!("{text}; git says `{}`", summary(&said))).retry(retry)
    }
}

/// No configuration but ours, no questions, English. Secrets are in no argument, which others could list.
fn environment(authorization: Option<String>) -> Vec<(String, Secret)> {
    let mut settings = vec![
        ("http.followRedirects", "false".to_owned()),
        // A kept connection that ends has curl send a push again by itself.
        ("http.extraHeader", "Connection: close".to_owned()),
        ("protocol.allow", "never".to_owned()),
        ("protocol.http.allow", "always".to_owned()),
        ("protocol.https.allow", "always".to_owned()),
        ("protocol.file.allow", "always".to_owned()),
        ("core.fsmonitor", "false".to_owned()),
        ("core.hooksPath", "/dev/null".to_owned()),
        ("core.pager", "cat".to_owned()),
        ("credential.helper", String::new()),
        ("gc.autoDetach", "false".to_owned()),
        ("maintenance.autoDetach", "false".to_owned()),
    ];
    if let Some(authorization) = authorization {
        settings.push(("http.extraHeader", format!("Authorization: {authorization}")));
    }
    let mut variables = vec![
        ("GIT_TERMINAL_PROMPT".to_owned(), Secret::new("0")),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), Secret::new("1")),
        ("GIT_CONFIG_GLOBAL".to_owned(), Secret::new("/dev/null")),
        ("GIT_LITERAL_PATHSPECS".to_owned(), Secret::new("1")),
        ("GIT_OPTIONAL_LOCKS".to_owned(), Secret::new("0")),
        ("LC_ALL".to_owned(), Secret::new("C")),
        ("GIT_CONFIG_COUNT".to_owned(), Secret::new(settings.len().to_string())),
    ];
    for (index, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), Secret::new(key)));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), Secret::new(value)));
    }
    variables
}
