//! Programs that are started for an author. They are children in groups of their own, so that what they start ends with them; whoever ends this
//! program ends them first.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// The groups that run, or that nothing is to be started any more.
#[derive(Debug)]
enum Running {
    Groups(Vec<Pid>),
    Ended,
}

static RUNNING: Mutex<Running> = Mutex::new(Running::Groups(Vec::new()));

/// Ends everything that was started, with what that has started. Nothing is started after it: this program is about to end.
pub fn end_all() {
    let before = std::mem::replace(&mut *running(), Running::Ended);
    if let Running::Groups(groups) = before {
        groups.into_iter().for_each(kill);
    }
}

/// Whether everything was ended.
pub fn is_over() -> bool {
    matches!(*running(), Running::Ended)
}

/// A program that runs, with what it starts. Dropped before its end, all of it is killed.
#[derive(Debug)]
pub struct Group {
    /// The program, whose pipes are the caller's.
    pub child: Child,
    id: Option<Pid>,
}

impl Group {
    /// Starts a program in a group of its own: ctrl-c at a terminal reaches this program alone.
    ///
    /// # Errors
    /// It does not start, or everything was ended.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        // Held until the group is known: none may slip through while all are ended.
        let mut running = running();
        let Running::Groups(groups) = &mut *running else {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "this program is about to end"));
        };
        let child = command.process_group(0).spawn()?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        groups.extend(id);
        Ok(Self { child, id })
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// The system does not say.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.forget();
        }
        Ok(status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system does not say.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.forget();
        Ok(status)
    }

    /// Kills it and all that it has started, and waits for its end.
    ///
    /// # Errors
    /// The system does not say.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.id.into_iter().for_each(kill);
        self.wait()
    }

    /// Runs a program to its end and takes what it wrote.
    ///
    /// # Errors
    /// It does not start, or is lost.
    pub fn output(command: &mut Command) -> io::Result<Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Self::spawn(command)?;
        // Both pipes are drained at once: the program would wait for a reader of the one that is full.
        let stderr = group.child.stderr.take();
        let told = std::thread::spawn(move || read(stderr));
        let stdout = read(group.child.stdout.take());
        let stderr = told.join().unwrap_or_default();
        Ok(Output { status: group.wait()?, stdout, stderr })
    }

    /// Its id is another program's from now on.
    fn forget(&mut self) {
        if let (Running::Groups(groups), Some(id)) = (&mut *running(), self.id.take()) {
            groups.retain(|other| *other != id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.id.is_some() {
            // Nobody is left to be told.
            let _ = self.kill();
        }
    }
}

fn running() -> std::sync::MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that has just ended needs none.
fn kill(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}

fn read(pipe: Option<impl io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was written before it broke is all that there is.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}
