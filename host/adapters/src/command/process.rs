//! A running program with its children and its output.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Between asking a program to end and ending it.
const GRACE: Duration = Duration::from_secs(2);
/// For output that is still on its way when the program has ended. A grandchild may hold the pipe for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A program and its children. They end with this, unless the program ended by itself.
pub(super) struct Group {
    pub(super) child: Child,
    leader: Option<Pid>,
    pub(super) ended: bool,
}

impl Group {
    /// Starts `command` as the leader of a group of its own.
    pub(super) fn start(command: &mut Command, stdin: Stdio) -> std::io::Result<Self> {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, leader, ended: false })
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // That there is nobody left to get it is fine.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Asks the group to end, then ends it.
    pub(super) async fn end(&mut self) {
        self.signal(Signal::TERM);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.signal(Signal::KILL);
        let _ = self.child.start_kill();
        // A process that the kernel does not let go, as one that waits for a dead disk, must not hold us up.
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.ended = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
        }
    }
}

/// Waits for the program and takes what it prints.
pub(super) async fn wait(
    child: &mut Child,
    output: &mut Bounded,
    errors: &mut Bounded,
) -> std::io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(output.drain(stdout), errors.drain(stderr)) };
    tokio::pin!(reading);
    tokio::select! {
        status = child.wait() => {
            let _ = tokio::time::timeout(LAST_OUTPUT, &mut reading).await;
            status
        }
        _ = &mut reading => child.wait().await,
    }
}

/// Output of which only a part is kept; the rest is read and dropped, so that the program can go on.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    max: usize,
    keep_last: bool,
    pub(super) overflowed: bool,
}

impl Bounded {
    pub(super) fn first(max: usize) -> Self {
        Self { bytes: Vec::new(), max, keep_last: false, overflowed: false }
    }

    pub(super) fn last(max: usize) -> Self {
        Self { keep_last: true, ..Self::first(max) }
    }

    async fn drain(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 << 10];
        // A pipe that breaks has no more to say.
        while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
            self.push(&buffer[..read]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.keep_last {
            self.bytes.extend_from_slice(bytes);
            let surplus = self.bytes.len().saturating_sub(self.max);
            self.bytes.drain(..surplus);
        } else {
            let room = self.max - self.bytes.len();
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.overflowed |= bytes.len() > room;
        }
    }
}
