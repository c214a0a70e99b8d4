//! The host's side: starts an examiner for one component, takes its answer, and says what an examiner without an answer died of.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ripcord_core::digest::Digest;
use rustix::process::Signal;

use super::answer::{CODE, REFUSED, Refused};
use super::budget::{EXAMINE_CPU_SECONDS, EXAMINE_MEMORY_BYTES, EXAMINE_THREADS, EXAMINE_WALL_CLOCK_SECONDS};
use super::shape::TooMuch;
use crate::cache::{self, CHECK_BYTES, CODE_BYTES_MAX};
use crate::text::cut;

const ERROR_TEXT_BYTES_MAX: u64 = 4 << 10;
/// Kind, check and code.
const ANSWER_BYTES_MAX: u64 = 1 + CHECK_BYTES as u64 + CODE_BYTES_MAX;
const MIB: u64 = 1 << 20;

/// A component that was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum ExaminationError {
    /// Broken, or uses a proposal that is off.
    #[error(
        "the component is broken or uses a WebAssembly feature that policies may not: {message}; build it again with `ripcord policy build`"
    )]
    Invalid {
        /// What the validator said.
        message: String,
    },
    /// Of a shape that no compiler is given.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// The processor time was used up.
    #[error(
        "validating and compiling the component takes more than {EXAMINE_CPU_SECONDS} s of processor time: a function is too large or too tangled, or there are too many; split it, build with `opt-level = \"s\"`, and leave out what is not used"
    )]
    TooLong,
    /// The memory was used up.
    #[error(
        "validating and compiling the component takes more than {} MiB of memory: a function is too large or too tangled, or its types or components nest too much; split it, build with `opt-level = \"s\"`, and leave out what is not used",
        EXAMINE_MEMORY_BYTES / MIB
    )]
    TooMuchMemory,
    /// The code is too large.
    #[error(
        "the component compiles to more than {} MiB; build it with `opt-level = \"s\"` and leave out what it does not use",
        CODE_BYTES_MAX / MIB
    )]
    TooMuchCode,
    /// It ran into a mistake of the compiler's.
    #[error(
        "the component broke the compiler ({how}): it is malformed in a way that the compiler does not withstand; build it again with `ripcord policy build`"
    )]
    BrokeCompiler {
        /// How the examiner ended.
        how: String,
    },
    /// The machine is too busy.
    #[error(
        "the component was not compiled within {EXAMINE_WALL_CLOCK_SECONDS} s, although it used little processor time: this machine is overloaded; try again when it is not"
    )]
    Overloaded,
    /// Someone ended it.
    #[error(
        "the component was not compiled: the process that did it was ended from outside, as a system does that is out of memory; try again when there is more"
    )]
    Ended,
    /// No examiner.
    #[error(
        "the component cannot be examined: `{program}` does not do it ({reason}); it must be the `ripcord` that this is, so start it again if it was replaced"
    )]
    NoExaminer {
        /// Which program.
        program: String,
        /// What went wrong.
        reason: String,
    },
}

impl From<Refused> for ExaminationError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(message) => Self::Invalid { message },
            Refused::TooMuch(too_much) => Self::TooMuch(too_much),
            Refused::OutOfMemory => Self::TooMuchMemory,
        }
    }
}

/// The compiled code of `component`, as an examiner that `program` starts made it for `engine`.
pub(crate) fn ask(
    program: &Path,
    arguments: &[OsString],
    component: &[u8],
    engine: &Digest,
) -> Result<Vec<u8>, ExaminationError> {
    let unusable =
        |reason: String| ExaminationError::NoExaminer { program: program.display().to_string(), reason };
    let (ours, theirs) = UnixStream::pair().map_err(|error| unusable(error.to_string()))?;
    let mut child = start(program, arguments, theirs).map_err(|error| unusable(error.to_string()))?;
    let answer = exchange(&ours, component);
    if answer.is_err() {
        // One that has ended already does not mind.
        let _ = child.kill();
    }
    // What it has to say is read before it is waited for, or it could wait for its reader.
    let said = said(&mut child);
    let status = child.wait().map_err(|error| unusable(error.to_string()))?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if is_timeout(&error) => return Err(ExaminationError::Overloaded),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => return Err(ExaminationError::TooMuchCode),
        // It ended in the middle: how, its status says.
        Err(_) => Vec::new(),
    };
    let no_answer = |reason: String| ended(status, &said).unwrap_or_else(|| unusable(reason));
    match answer.split_first() {
        Some((&CODE, rest)) if rest.len() >= CHECK_BYTES => {
            let (check, code) = rest.split_at(CHECK_BYTES);
            if check == cache::check(&Digest::of(component), engine, code).as_bytes() {
                return Ok(code.to_vec());
            }
            // Cut short by its end, or of another build.
            Err(no_answer("its answer fails its check".into()))
        }
        Some((&REFUSED, rest)) => match serde_json::from_slice::<Refused>(rest) {
            Ok(refused) => Err(refused.into()),
            Err(error) => Err(no_answer(error.to_string())),
        },
        _ => Err(no_answer(format!("it gave no answer; {status}; {said}"))),
    }
}

fn start(program: &Path, arguments: &[OsString], socket: UnixStream) -> std::io::Result<Child> {
    Command::new(program)
        .args(arguments)
        // Tokens and passwords of the host are none of its business.
        .env_clear()
        .env("RAYON_NUM_THREADS", EXAMINE_THREADS)
        // Each arena of the allocator keeps what its thread freed: with one, the same component takes the same memory each time.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-c reaches the host alone.
        .process_group(0)
        .spawn()
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Sends the component, and takes the answer up to its end.
fn exchange(mut socket: &UnixStream, component: &[u8]) -> std::io::Result<Vec<u8>> {
    let end = Instant::now() + Duration::from_secs(EXAMINE_WALL_CLOCK_SECONDS);
    // Zero would mean no limit.
    let left = || Some(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    for piece in component.chunks(1 << 20) {
        socket.set_write_timeout(left())?;
        socket.write_all(piece)?;
    }
    socket.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        socket.set_read_timeout(left())?;
        match socket.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(&piece[..length]),
        }
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
    }
}

fn said(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read is missing from a message, no more.
        let _ = stderr.take(ERROR_TEXT_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// What an examiner that a signal ended died of.
fn ended(status: ExitStatus, said: &str) -> Option<ExaminationError> {
    let signal = status.signal()?;
    if signal == Signal::XCPU.as_raw() {
        return Some(ExaminationError::TooLong);
    }
    if signal == Signal::KILL.as_raw() {
        return Some(ExaminationError::Ended);
    }
    if said.contains("memory allocation of") || said.contains("Cannot allocate memory") {
        return Some(ExaminationError::TooMuchMemory);
    }
    let mut how = match said.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("signal {signal}: {}", line.trim()),
        None => format!("signal {signal}"),
    };
    cut(&mut how, 200);
    Some(ExaminationError::BrokeCompiler { how })
}
