//! The folder of a run, and what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::target::{Target, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::producer::ProduceOrder;
use ripcord_ports::registry::Staged;
use ripcord_ports::{ErrorKind, PortError};
use rustix::process::{Pid, Signal, kill_process_group};

use super::spawn::{self, Values};
use crate::command::{Marks, Program};
use crate::file_work::FileWork;
use crate::producing::{ExclusionColumns, document, exclusion, line};
use crate::{artefact, folder};

/// Folders of runs that are kept. What came of a run is kept longer.
const FOLDERS_MAX: usize = 30;
const RESULT_BYTES_MAX: u64 = 1 << 20;
const SHORT_BYTES_MAX: u64 = 4 << 10;
/// Of the end of what the program said.
const LOG_BYTES_SHOWN: usize = 2 << 10;
const POLL: Duration = Duration::from_millis(20);
/// For a program that was begun to say so; for one that was asked to end; for the rest of what it said.
const BEGIN_POLLS: u32 = 500;
const TERM_POLLS: u32 = 250;
const KILL_POLLS: u32 = 250;
const LAST_OUTPUT_POLLS: u32 = 100;

pub(super) const PID: &str = "pid";
pub(super) const EXIT: &str = "exit";
const EXIT_NEW: &str = "exit.new";
const STOPPED: &str = "stopped";
const OUT: &str = "out";
const FILES: &str = "files";
const RESULT: &str = "result.json";
const PROGRESS: &str = "progress";

#[derive(Debug)]
pub(super) struct Runs {
    folder: PathBuf,
    marks: Marks,
    files: FileWork,
}

/// What can be seen of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    NotBegun,
    Running {
        text: String,
        since: Option<UnixMillis>,
    },
    Ended(i32),
    /// It does not run, it was asked to end, and it left no word.
    Stopped,
    /// The same, and nobody asked it to.
    Vanished,
}

/// What a program that has ended left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) result: Option<Vec<u8>>,
    pub(super) printed: String,
    pub(super) log_end: String,
    pub(super) artefact: Option<Staged>,
}

impl Runs {
    pub(super) fn new(data: &Path) -> Self {
        let folder = data.join("programs");
        let files = FileWork::new(format!("the folder of programs that train `{}`", folder.display()));
        Self { folder, marks: Marks::new(data.join("at-work")), files }
    }

    async fn on<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&At) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let at = At { root: self.folder.clone(), key: key.to_owned(), marks: self.marks.clone() };
        self.files.run(move |_| work(&at)).await
    }

    /// Begins the run, unless there is one.
    pub(super) async fn begin(
        &self,
        order: &ProduceOrder,
        (program, working): (&Program, Option<&Path>),
        columns: &ExclusionColumns,
    ) -> Result<(), PortError> {
        if let Some(error) = spawn::missing(program.name(), working) {
            return Err(error);
        }
        let document = document(order, columns).to_string();
        let excluded = match &order.target {
            Target::Retrain(retrain) => exclusion(retrain, columns).to_string(),
            _ => "{\"exclude\": []}".to_owned(),
        };
        let prepared = self.on(&order.key, move |at| at.prepare(&document, &excluded)).await?;
        let Some((mark, run)) = prepared else { return Ok(()) };
        let stdin = mark.stdin().map_err(|error| folder::local(error, "cannot give the program its lock"))?;
        let values = Values {
            order,
            run: &run,
            exclude: run.join("exclude.json"),
            order_file: run.join("order.json"),
        };
        spawn::spawn(program, &values, stdin)?;
        // From here on the program holds the lock, and this host does not.
        drop(mark);
        for _ in 0..BEGIN_POLLS {
            if self.on(&order.key, |at| Ok(at.has(PID))).await.map_err(PortError::outcome_unknown)? {
                return self.on(&order.key, |at| at.flush()).await.map_err(PortError::outcome_unknown);
            }
            tokio::time::sleep(POLL).await;
        }
        let text =
            format!("the program `{}` was started and does not say so: ask how far it is", program.name());
        Err(PortError::unknown(ErrorKind::TimedOut, text))
    }

    pub(super) async fn state(&self, key: &str) -> Result<State, PortError> {
        for _ in 0..LAST_OUTPUT_POLLS {
            let state = self.on(key, |at| at.state()).await?;
            // The program has ended, and what it said is still on its way. A child of it may keep that open for ever.
            let on_its_way = matches!(state, State::Ended(_)) && !self.on(key, |at| Ok(at.has(EXIT))).await?;
            if !on_its_way {
                return Ok(state);
            }
            tokio::time::sleep(POLL).await;
        }
        self.on(key, |at| at.state()).await
    }

    pub(super) async fn left(&self, key: &str) -> Result<Left, PortError> {
        self.on(key, |at| at.left()).await
    }

    /// Asks all of the run to end, then ends it.
    pub(super) async fn stop(&self, key: &str) -> Result<(), PortError> {
        if !matches!(self.on(key, |at| at.state()).await?, State::Running { .. }) {
            return Ok(());
        }
        self.on(key, |at| at.write(STOPPED, "")).await?;
        for (signal, polls) in [(Signal::TERM, TERM_POLLS), (Signal::KILL, KILL_POLLS)] {
            let signalled = self.on(key, move |at| at.signal(signal)).await;
            signalled.map_err(PortError::outcome_unknown)?;
            for _ in 0..polls {
                let goes_on = self.on(key, |at| at.is_held()).await.map_err(PortError::outcome_unknown)?;
                if !goes_on {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Err(PortError::unknown(
            ErrorKind::TimedOut,
            format!("the program of the run `{key}` was asked to end and does not"),
        ))
    }

    /// Its files are in the registry, or of no use.
    pub(super) async fn settled(&self, key: &str) {
        let removed = self.on(key, |at| {
            let failed = |error| folder::local(error, "cannot remove the files of a run");
            folder::remove(&at.open()?, &format!("{OUT}/{FILES}")).map_err(failed)
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, run = key, "the files of a run that has ended stay in its folder");
        }
    }
}

/// One run's folder, from a thread that may block.
struct At {
    root: PathBuf,
    key: String,
    marks: Marks,
}

impl At {
    fn open(&self) -> Result<Dir, PortError> {
        folder::open(&self.root.join(&self.key))
    }

    fn has(&self, name: &str) -> bool {
        self.open().is_ok_and(|dir| dir.exists(name))
    }

    fn short(&self, name: &str) -> Result<Option<String>, PortError> {
        match self.open().and_then(|dir| folder::read(&dir, name, SHORT_BYTES_MAX)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PortError> {
        folder::write_beside(&self.open()?, name, text.as_bytes()).map_err(|error| {
            folder::local(error, format_args!("cannot write `{name}` of the run `{}`", self.key))
        })
    }

    fn flush(&self) -> Result<(), PortError> {
        let failed =
            |error| folder::local(error, format_args!("cannot flush the folder of the run `{}`", self.key));
        folder::flush(&self.open()?, &[PID.to_owned()]).map_err(failed)?;
        folder::sync(&self.open()?).map_err(failed)?;
        folder::sync(&folder::open(&self.root)?).map_err(failed)
    }

    fn is_held(&self) -> Result<bool, PortError> {
        self.marks.is_held(&self.key).map_err(|error| {
            folder::local(error, format_args!("cannot look at the mark of the run `{}`", self.key))
        })
    }

    /// The folder, empty but for what the program is told; none where there is a run.
    fn prepare(
        &self,
        document: &str,
        excluded: &str,
    ) -> Result<Option<(crate::command::Mark, PathBuf)>, PortError> {
        let failed =
            |error| folder::local(error, format_args!("cannot make the folder of the run `{}`", self.key));
        if self.state()? != State::NotBegun {
            return Ok(None);
        }
        let Some(mark) = self.marks.begin(&self.key).map_err(failed)? else { return Ok(None) };
        // Whoever was at it has ended between the look and the mark.
        if self.has(PID) {
            mark.ended();
            return Ok(None);
        }
        Dir::create_ambient_dir_all(&self.root, ambient_authority()).map_err(failed)?;
        let root = folder::open(&self.root)?;
        self.forget_oldest(&root).map_err(failed)?;
        folder::remove(&root, &self.key).map_err(failed)?;
        root.create_dir(&self.key)
            .and_then(|()| root.create_dir(format!("{}/{OUT}", self.key)))
            .map_err(failed)?;
        self.write("order.json", document)?;
        self.write("exclude.json", excluded)?;
        let path = self.root.join(&self.key);
        let path =
            if path.is_absolute() { path } else { PathBuf::from(crate::command::path_of(&self.open()?)?) };
        Ok(Some((mark, path)))
    }

    fn forget_oldest(&self, root: &Dir) -> std::io::Result<()> {
        let mut runs = Vec::new();
        for entry in root.entries()? {
            let entry = entry?;
            runs.push((entry.metadata()?.modified()?, entry.file_name().to_string_lossy().into_owned()));
        }
        runs.sort();
        let surplus = (runs.len() + 1).saturating_sub(FOLDERS_MAX);
        for (_, key) in runs.iter().take(surplus) {
            if !self.marks.is_held(key)? {
                folder::remove(root, key)?;
            }
        }
        Ok(())
    }

    fn code(&self, name: &str) -> Result<Option<i32>, PortError> {
        Ok(self.short(name)?.and_then(|text| text.parse().ok()))
    }

    fn state(&self) -> Result<State, PortError> {
        let held = self.is_held()?;
        // Read after the lock: whoever lets it go has written before.
        let code = match self.code(EXIT)? {
            Some(code) => Some(code),
            None => self.code(EXIT_NEW)?,
        };
        let stopped = self.has(STOPPED);
        Ok(match code {
            Some(code) if stopped && code != 0 => State::Stopped,
            Some(code) => State::Ended(code),
            None if held => self.running()?,
            None if !self.has(PID) => State::NotBegun,
            None if stopped => State::Stopped,
            None => State::Vanished,
        })
    }

    fn running(&self) -> Result<State, PortError> {
        let said = match self.open() {
            Ok(dir) => folder::read(&dir, &format!("{OUT}/{PROGRESS}"), SHORT_BYTES_MAX).ok(),
            Err(_) => None,
        };
        let said = said
            .map(|bytes| String::from_utf8_lossy(&bytes).trim().lines().last().map(line).unwrap_or_default());
        let text = said.filter(|text| !text.is_empty()).unwrap_or_else(|| "its program runs".to_owned());
        let since = self.open().and_then(|dir| {
            dir.metadata(PID).map_err(|error| folder::local(error, "cannot look at the run"))
        });
        let since = since.ok().and_then(|about| about.modified().ok()).and_then(|at| {
            let since_1970 = at.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
            u64::try_from(since_1970.as_millis()).ok().map(UnixMillis)
        });
        Ok(State::Running { text, since })
    }

    /// To the whole group, if its leader is the process that wrote its number.
    fn signal(&self, signal: Signal) -> Result<(), PortError> {
        let Some(written) = self.short(PID)? else { return Ok(()) };
        let mut parts = written.split(' ');
        let pid = parts.next().and_then(|text| text.parse::<i32>().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        if spawn::start_of(pid)
            .is_some_and(|start| parts.next().is_some_and(|of| !of.is_empty() && of != start))
        {
            let text = format!(
                "the leader of the run `{}` is gone, and others of it go on: end them by hand",
                self.key
            );
            return Err(PortError::unknown(ErrorKind::Failed, text));
        }
        // That there is nobody left to get it is fine.
        let _ = kill_process_group(pid, signal);
        Ok(())
    }

    fn left(&self) -> Result<Left, PortError> {
        let dir = self.open()?;
        let there = |read: Result<Vec<u8>, PortError>| match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            // What is too large, or a link that leads elsewhere, is what the program left: it is said below.
            Err(error) => Err(error),
        };
        let log = there(folder::read(&dir, "log", 1 << 20))?.unwrap_or_default();
        let log_end = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_BYTES_SHOWN)..]).into_owned();
        let printed =
            there(folder::read(&dir, "stdout", RESULT_BYTES_MAX)).unwrap_or_default().unwrap_or_default();
        let files = match dir.open_dir(format!("{OUT}/{FILES}")) {
            Ok(files) => Some(files),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(folder::local(error, format_args!("cannot open `{FILES}`"))),
        };
        let artefact = files.map(|files| -> Result<Option<Staged>, PortError> {
            let listed = artefact::hash(&files, "what the program made")?;
            let digest = artefact_digest(&listed);
            Ok((!listed.is_empty()).then(|| Staged { dir: Arc::new(files), files: listed, digest }))
        });
        Ok(Left {
            result: there(folder::read(&dir, &format!("{OUT}/{RESULT}"), RESULT_BYTES_MAX))?,
            printed: String::from_utf8_lossy(&printed).into_owned(),
            log_end,
            artefact: artefact.transpose()?.flatten(),
        })
    }
}
