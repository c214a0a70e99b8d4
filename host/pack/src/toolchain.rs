use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PackError;
use crate::children::Group;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Where a tool chain lies that builds `std` for wasm itself.
const OWN_TOOLCHAIN: &str = "RIPCORD_WASM_TOOLCHAIN";

/// A tool chain that can build for wasm.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// A folder with `bin/rustc` and the sources of `std`, if the usual tool chain is not used.
    own: Option<PathBuf>,
    /// What `rustc --print sysroot` says.
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    /// The tool chain for a package; its wasm target is added if it is missing.
    pub(crate) fn find(manifest_dir: &Path) -> Result<Self, PackError> {
        let own = env::var_os(OWN_TOOLCHAIN).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let rustc =
            own.as_ref().map_or_else(|| "rustc".into(), |folder| folder.join("bin/rustc").into_os_string());
        let sysroot = print(&rustc, &["--print", "sysroot"], manifest_dir)?;
        let toolchain = Self { own, sysroot: PathBuf::from(sysroot) };
        if toolchain.own.is_none() && !toolchain.has_target() {
            add_target(manifest_dir)?;
            if !toolchain.has_target() {
                let reason = format!("`{}` still has no such target", toolchain.sysroot.display());
                return Err(PackError::NoTarget { reason });
            }
        }
        Ok(toolchain)
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// Cargo, in the folder of a package.
    pub(crate) fn cargo(&self, manifest_dir: &Path) -> Command {
        let mut cargo = command("cargo".as_ref(), manifest_dir);
        if let Some(folder) = &self.own {
            cargo.env("RUSTC", folder.join("bin/rustc")).env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
    }

    /// What cargo needs besides, if `std` has to be built.
    pub(crate) fn build_arguments(&self) -> &'static [&'static str] {
        if self.own.is_some() { &["-Zbuild-std=std,panic_abort"] } else { &[] }
    }
}

fn add_target(manifest_dir: &Path) -> Result<(), PackError> {
    let refused = |reason| PackError::NoTarget { reason };
    let output = Group::output(command("rustup".as_ref(), manifest_dir).args(["target", "add", TARGET]))
        .map_err(|cause| refused(format!("rustup does not start: {cause}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("rustup failed");
    if output.status.success() { Ok(()) } else { Err(refused(last.trim().to_owned())) }
}

fn print(program: &OsStr, arguments: &[&str], folder: &Path) -> Result<String, PackError> {
    let start = |cause| PackError::Start { program: program.to_string_lossy().into_owned(), cause };
    let output = Group::output(command(program, folder).args(arguments)).map_err(start)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A program that knows nothing of a cargo that may have started this process: its flags, wrappers, target folder and
/// job server would leak into the build of the policy.
fn command(program: &OsStr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in env::vars_os().filter(|(name, _)| leaks(name)) {
        command.env_remove(name);
    }
    command
}

fn leaks(name: &OsString) -> bool {
    const KEPT: [&str; 7] = ["HOME", "BUILD_JOBS", "HTTP_", "NET_", "REGISTR", "SOURCE_", "TERM_"];
    const LEAKING: [&str; 14] = [
        "DEBUG",
        "HOST",
        "MAKEFLAGS",
        "MFLAGS",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "TARGET",
    ];
    let name = name.to_string_lossy();
    match name.strip_prefix("CARGO_") {
        Some(rest) => !KEPT.iter().any(|kept| rest.starts_with(kept)),
        None => LEAKING.contains(&name.as_ref()) || name == "CARGO",
    }
}
