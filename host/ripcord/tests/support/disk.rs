//! A host whose disk can be full: a limit on the size of its files.

use std::path::Path;
use std::process::{Command, Stdio};

use super::host::Host;
use super::run::ripcord;

/// The host in a process that gets an error, not a signal, when a file may not grow.
pub(crate) async fn on_a_small_disk(folder: &Path) -> Host {
    let program = ripcord(folder, &["serve", "--log", "json"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(folder).stdin(Stdio::null());
    Host::start_with(shell, folder).await
}

/// From now on no write of the host succeeds.
pub(crate) fn fill(host: &Host) {
    limit(host, "--fsize=0:");
}

/// There is space again.
pub(crate) fn free(host: &Host) {
    limit(host, "--fsize=unlimited:");
}

fn limit(host: &Host, limit: &str) {
    let pid = host.pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, limit]).status().expect("prlimit of util-linux");
    assert!(set.success());
}
