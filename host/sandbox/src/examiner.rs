//! The examiner's side: a process that limits itself, reads one component, and answers with compiled code or a refusal.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use ripcord_core::digest::Digest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cache;
use crate::examine::{
    CODE, EXAMINE_CPU_SECONDS, EXAMINE_MEMORY_BYTES, Examiner, REFUSED, Refused, compile, count, refused,
};
use crate::load::{COMPONENT_BYTES_MAX, link_unasked};
use crate::sandbox::{Sandbox, SandboxConfig, SandboxError};

/// An examiner that cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The system refuses a limit: without limits nothing is examined.
    #[error("the system refuses to limit this process")]
    Limits(#[source] rustix::io::Errno),
    /// Standard input is no socket of a parent.
    #[error("standard input is not the socket of a `ripcord` that wants a policy examined")]
    Parent(#[source] std::io::Error),
    /// No engine.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Reads a component from standard input, which must be a socket, and answers there. Call it first in a process that does nothing else.
pub fn examine_for_parent() -> Result<(), ExamineError> {
    limit_this_process().map_err(ExamineError::Limits)?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(ExamineError::Parent)?;
    let kind = rustix::fs::fstat(&socket).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    if kind.ok() != Some(rustix::fs::FileType::Socket) {
        return Err(ExamineError::Parent(std::io::ErrorKind::InvalidInput.into()));
    }
    let mut socket = UnixStream::from(socket);
    let mut bytes = Vec::new();
    (&mut socket).take(COMPONENT_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(ExamineError::Parent)?;
    let config = SandboxConfig { slots: 1, ..SandboxConfig::new(Examiner::ThisProcess) };
    let sandbox = Sandbox::new(config)?;
    answer(&mut socket, &sandbox, &bytes).map_err(ExamineError::Parent)
}

fn limit_this_process() -> rustix::io::Result<()> {
    // Not the address space: an engine reserves gigabytes of it that it never uses.
    limit(Resource::Data, EXAMINE_MEMORY_BYTES, 0)?;
    // The signal at the first limit names the cause; a second later there is no way to withstand it.
    limit(Resource::Cpu, EXAMINE_CPU_SECONDS, 1)?;
    // Ending for want of memory is ordinary here, and leaves no picture of it on disk.
    limit(Resource::Core, 0, 0)
}

fn limit(resource: Resource, current: u64, spare: u64) -> rustix::io::Result<()> {
    // A user's own limit may be lower, and cannot be raised.
    let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let maximum = current.saturating_add(spare).min(hard);
    setrlimit(resource, Rlimit { current: Some(current.min(hard)), maximum: Some(maximum) })
}

fn answer(socket: &mut UnixStream, sandbox: &Sandbox, bytes: &[u8]) -> std::io::Result<()> {
    let shared = sandbox.shared();
    let code = count(bytes).and_then(|()| {
        let component = compile(&shared.engine, bytes)?;
        // The parent links it again. Done here first, what that takes is within the budget too.
        link_unasked(shared, &component);
        component.serialize().map_err(|error| refused(&error))
    });
    match code {
        Ok(code) => {
            let check = cache::check(&Digest::of(bytes), &shared.code, &code);
            socket.write_all(&[CODE])?;
            socket.write_all(check.as_bytes())?;
            socket.write_all(&code)
        }
        Err(refusal) => answer_refused(socket, &refusal),
    }
}

fn answer_refused(socket: &mut UnixStream, refusal: &Refused) -> std::io::Result<()> {
    let text = serde_json::to_vec(refusal).map_err(std::io::Error::other)?;
    socket.write_all(&[REFUSED])?;
    socket.write_all(&text)
}
