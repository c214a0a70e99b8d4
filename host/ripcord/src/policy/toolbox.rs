//! What the commands on policies share: the sandbox, the checkout, loading.

use std::fs;
use std::path::{Path, PathBuf};

use ripcord_sandbox::{LoadError, Policy, Sandbox, SandboxConfig};

use crate::component;
use crate::output::{Exit, Failure};
use crate::starters;

/// The version of the SDK that fits this program.
pub(super) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A component and where it is from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) source: String,
    pub(super) bytes: Vec<u8>,
    pub(super) policy: Policy,
}

/// `guest-sdk` of the checkout that `folder` lies in.
pub(super) fn sdk_of_a_checkout(folder: &Path) -> Option<PathBuf> {
    let here = folder.canonicalize().ok()?;
    here.ancestors().map(|folder| folder.join("guest-sdk")).find(|sdk| {
        let manifest = fs::read_to_string(sdk.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("name = \"ripcord-sdk\"")
    })
}

/// Whether crates in `folder` are members of a checkout's workspace by its `policies/*`.
pub(super) fn is_member_folder(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    folder.file_name().is_some_and(|name| name == "policies")
        && folder.parent().is_some_and(|root| root.join("guest-sdk/Cargo.toml").is_file())
}

/// A sandbox without a cache: what is built and tested here changes all the time.
pub(super) fn sandbox() -> Result<Sandbox, Failure> {
    Sandbox::new(SandboxConfig::new(component::examiner())).map_err(|error| Failure::of(Exit::Failed, error))
}

/// Loads a component file, or else the starter policy of that name; `starter:NAME` is never a file.
pub(super) fn load(sandbox: &Sandbox, what: &str) -> Result<Loaded, Failure> {
    let path = Path::new(what);
    let (what, is_starter) = what.strip_prefix("starter:").map_or((what, false), |name| (name, true));
    if path.is_file() && !is_starter {
        let bytes = component::read(path)
            .map_err(|cause| Failure::failed(format!("cannot read `{what}`")).because(cause))?;
        return load_bytes(sandbox, what, bytes);
    }
    let Some(starter) = starters::named(what) else {
        let names: Vec<&str> = starters::all().iter().map(|starter| starter.name).collect();
        return Err(Failure::usage(format!("`{what}` is neither a file nor a starter policy"))
            .help(format!("give a component, or one of: {}", names.join(", "))));
    };
    let source = format!("starter {what}");
    let policy = sandbox.load_embedded(starter.bytes).map_err(|error| unusable(&source, error))?;
    Ok(Loaded { source, bytes: starter.bytes.to_vec(), policy })
}

/// Loads a component.
pub(super) fn load_bytes(sandbox: &Sandbox, source: &str, bytes: Vec<u8>) -> Result<Loaded, Failure> {
    let policy = sandbox.load(&bytes).map_err(|error| unusable(source, error))?;
    Ok(Loaded { source: source.to_owned(), bytes, policy })
}

fn unusable(source: &str, error: LoadError) -> Failure {
    Failure::failed(format!("`{source}` cannot be used as a policy")).because(error)
}

impl Loaded {
    /// The names of the interfaces that the component imports.
    pub(super) fn imports(&self) -> Vec<String> {
        imports(&self.bytes)
    }
}

/// Imports of the outermost component; what is nested in it is its own affair. A component was loaded before, so it parses.
fn imports(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(wasmparser::Payload::ModuleSection { .. } | wasmparser::Payload::ComponentSection { .. }) => {
                depth += 1;
            }
            Ok(wasmparser::Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(wasmparser::Payload::ComponentImportSection(section)) if depth == 0 => {
                names.extend(section.into_iter().flatten().map(|import| import.name.name.to_owned()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    names
}

/// `138 KB`.
pub(super) fn kilobytes(bytes: usize) -> String {
    format!("{} KB", bytes.div_ceil(1_000))
}
