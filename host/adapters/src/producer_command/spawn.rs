//! Starting a program that outlives this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ripcord_core::target::Target;
use ripcord_ports::producer::ProduceOrder;
use ripcord_ports::{ErrorKind, PortError};
use rustix::process::Pid;
use tokio::process::Command;

use crate::command::Program;

/// Runs beside the program: writes down who it is before the program begins, and how it ended after. Of what the program prints the first MiB is kept, of
/// what it says the last 64 KiB, however much it is; what is kept is whole before the exit code can be seen.
const SCRIPT: &str = r#"
run=$1; shift
printf '%s %s\n' "$$" "$(cut -d' ' -f22 "/proc/$$/stat" 2>/dev/null)" > "$run/pid.new" && mv "$run/pid.new" "$run/pid" || exit 70
{ { "$@" 2>&3 3>&-; printf '%s\n' "$?" > "$run/exit.tmp"; mv "$run/exit.tmp" "$run/exit.new"; } | { head -c 1048577 > "$run/stdout"; cat > /dev/null; }; } 3>&1 | tail -c 65536 > "$run/log"
mv "$run/exit.new" "$run/exit"
"#;

/// What the program is told.
pub(super) struct Values<'a> {
    pub(super) order: &'a ProduceOrder,
    pub(super) run: &'a Path,
    pub(super) exclude: PathBuf,
    pub(super) order_file: PathBuf,
}

impl Values<'_> {
    fn placeholders(&self) -> BTreeMap<&'static str, String> {
        let path = |path: &Path| path.display().to_string();
        let mut values = BTreeMap::from([
            ("key", self.order.key.clone()),
            ("service", self.order.service.to_string()),
            ("incident", self.order.incident.to_string()),
            ("plan", self.order.plan.to_string()),
            ("order", path(&self.order_file)),
            ("exclude", path(&self.exclude)),
            ("output", path(&self.run.join("out"))),
        ]);
        match &self.order.target {
            Target::Retrain(retrain) => {
                values.extend([("dataset", retrain.dataset.clone()), ("revision", retrain.revision.clone())]);
            }
            Target::Checkpoint(checkpoint) => {
                values.extend([("run", checkpoint.run.clone()), ("step", checkpoint.step.to_string())]);
                values.extend(checkpoint.digest.map(|digest| ("digest", digest.to_string())));
            }
            _ => {}
        }
        values
    }
}

/// Nothing waits for it: it is found again by what it writes and holds.
pub(super) fn spawn(program: &Program, values: &Values<'_>, stdin: Stdio) -> Result<(), PortError> {
    let placeholders = values.placeholders();
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "ripcord-run"]).arg(values.run).args(program.expanded(&placeholders));
    program.surround(&mut command);
    for name in ["key", "order", "exclude", "output"] {
        let value = placeholders.get(name).map_or("", String::as_str);
        command.env(format!("RIPCORD_{}", name.to_uppercase()), value);
    }
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(false);
    // A child that is dropped is waited for by the runtime when it ends.
    command.spawn().map(drop).map_err(|error| {
        let text = format!("the program `{}` cannot be started: {error}; check the working directory, and that there is a shell", program.name());
        PortError::not_applied(ErrorKind::Configuration, text)
    })
}

/// Why the program cannot be started, as far as can be seen.
pub(super) fn missing(name: &str, folder: Option<&Path>) -> Option<PortError> {
    let runs = |path: &Path| {
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
            && rustix::fs::stat(path)
                .is_ok_and(|about| rustix::fs::FileType::from_raw_mode(about.st_mode).is_file())
    };
    let found = if name.contains('/') {
        runs(&folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name)))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| runs(&folder.join(name)))
    };
    let place =
        if name.contains('/') { "there is no such file that may be run" } else { "it is not on `PATH`" };
    (!found).then(|| {
        let text = format!("the program `{name}` cannot be started: {place}; check its path, its rights and the working directory");
        PortError::not_applied(ErrorKind::NotFound, text)
    })
}

/// When the process began, as the kernel counts: its number may have gone to another.
#[cfg(target_os = "linux")]
pub(super) fn start_of(pid: Pid) -> Option<String> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = crate::folder::read_ambient(Path::new(&path), 4 << 10).ok()?;
    let text = String::from_utf8_lossy(&stat).into_owned();
    // The name, in brackets, may hold anything.
    text.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Not told here.
#[cfg(not(target_os = "linux"))]
pub(super) fn start_of(_pid: Pid) -> Option<String> {
    None
}
