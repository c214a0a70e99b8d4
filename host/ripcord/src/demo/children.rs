//! The processes of the demo: this program again, in other parts. Each is ended by its own id.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::output::Failure;

/// A process that was asked to end is killed after so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running part of the demo.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// All running parts, in the order they were started. Dropping them kills them.
#[derive(Debug)]
pub(super) struct Parts {
    logs: PathBuf,
    running: Vec<Part>,
}

impl Parts {
    /// Logs go into this folder.
    pub(super) fn new(logs: PathBuf) -> Self {
        Self { logs, running: Vec::new() }
    }

    /// Where the logs are.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Result<(Command, PathBuf), Failure> {
        let program = std::env::current_exe()
            .map_err(|cause| Failure::failed("this program cannot find itself").because(cause))?;
        let log = self.logs.join(format!("{name}.log"));
        let file = std::fs::File::create(&log)
            .map_err(|cause| Failure::failed(format!("cannot write `{}`", log.display())).because(cause))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        // Ctrl-c reaches the demo alone, which then ends its parts in order.
        #[cfg(unix)]
        command.process_group(0);
        Ok((command, log))
    }

    fn spawn(name: &str, command: &mut Command) -> Result<Child, Failure> {
        command.spawn().map_err(|cause| Failure::failed(format!("cannot start the {name}")).because(cause))
    }

    /// Starts a part.
    pub(super) fn start(&mut self, name: &'static str, arguments: &[&str]) -> Result<(), Failure> {
        let (mut command, log) = self.command(name, arguments)?;
        let child = Self::spawn(name, &mut command)?;
        self.running.push(Part { name, child, log });
        Ok(())
    }

    /// Starts a part and waits for the line in which it says where it listens.
    pub(super) async fn start_server(
        &mut self,
        name: &'static str,
        arguments: &[&str],
        patience: Duration,
    ) -> Result<String, Failure> {
        let (mut command, log) = self.command(name, arguments)?;
        let mut child = Self::spawn(name, command.stdout(Stdio::piped()))?;
        let stdout = child.stdout.take();
        self.running.push(Part { name, child, log });
        let address = async {
            let mut lines = BufReader::new(stdout?).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return Some(address.trim().to_owned());
                }
            }
            None
        };
        match tokio::time::timeout(patience, address).await {
            Ok(Some(address)) => Ok(address),
            _ => Err(self.troubled(name)),
        }
    }

    /// A part that ended although nobody asked it to.
    pub(super) fn fallen(&mut self) -> Option<Failure> {
        let name = self.running.iter_mut().find_map(|part| match part.child.try_wait() {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(part.name),
        })?;
        Some(self.troubled(name))
    }

    fn troubled(&self, name: &str) -> Failure {
        let log = self.running.iter().find(|part| part.name == name).map(|part| &part.log);
        let last = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let last =
            last.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing").to_owned();
        let log = log.map(|log| log.display().to_string()).unwrap_or_default();
        Failure::failed(format!("the {name} ended: {}", anstream::adapter::strip_str(&last)))
            .help(format!("its log is {log}"))
    }

    /// Ends a part, or all of them: asks first, then kills. The last that was started ends first.
    pub(super) async fn stop(&mut self) {
        while let Some(mut part) = self.running.pop() {
            ask_to_end(&part.child);
            if tokio::time::timeout(PATIENCE, part.child.wait()).await.is_err() {
                // It may have ended meanwhile.
                let _ = part.child.kill().await;
            }
        }
    }
}

/// SIGTERM to the process of this id; it is our own child and not waited for yet, so the id is still its own.
fn ask_to_end(child: &Child) {
    #[cfg(unix)]
    if let Some(pid) =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = child;
}
