//! Component files: how they are read, and who examines them.

use std::io::Read;
use std::path::Path;

use ripcord_sandbox::{COMPONENT_BYTES_MAX, Examiner};

/// This program in another process, which examines one component: see [`crate::cli::Command::ExaminePolicy`].
#[cfg(not(test))]
pub(crate) fn examiner() -> Examiner {
    // Where it cannot be found it cannot be started either, and the refusal names it.
    let program = std::env::current_exe().unwrap_or_else(|_| "ripcord".into());
    Examiner::Program { program, arguments: vec!["examine-policy".into()] }
}

/// This program is a test harness, which examines nothing.
#[cfg(test)]
pub(crate) fn examiner() -> Examiner {
    Examiner::ThisProcess
}

/// A component file, up to one byte more than what is accepted.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
