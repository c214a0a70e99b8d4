//! Builds policy crates into components.
//!
//! A policy is an ordinary library crate (`crate-type = ["cdylib", "rlib"]`) for `wasm32-unknown-unknown`. This crate
//! runs cargo for it and wraps the module into a component, which imports exactly what the contract lists.
//!
//! Invariants: the same sources and tool chain give the same bytes, whatever the folder; no path of the machine is in
//! them; what is started ends with this program; the build never waits for a cargo that is already running, because it has a target folder of its own.

mod cargo;
mod children;
mod error;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, DecodedWasm};

pub use children::{Group, end_all, is_over};
pub use error::PackError;

/// What to build.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Folders that each hold the `Cargo.toml` of a policy, all of one workspace.
    pub manifest_dirs: Vec<PathBuf>,
    /// Where cargo puts what it builds. Not the target folder of a cargo that is running.
    pub target_dir: PathBuf,
    /// What cargo may do to the lock file and the network.
    pub resolution: Resolution,
}

/// What cargo may do to resolve dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Update the lock file and use the network, as cargo usually does.
    #[default]
    Free,
    /// Refuse if the lock file is missing or does not fit.
    Locked,
    /// As locked, and use no network.
    Frozen,
}

/// A policy as a component.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Name of the Cargo package, which is also that of the policy.
    pub name: String,
    /// Version of the Cargo package.
    pub version: String,
    /// The component.
    pub component: Vec<u8>,
    /// The file that holds the component, in the target folder.
    pub wasm_path: PathBuf,
}

/// Builds one policy.
///
/// # Errors
/// The wasm target is missing and cannot be added, the crate does not build, or what it builds is not a policy.
pub fn build(manifest_dir: &Path, target_dir: &Path) -> Result<Packed, PackError> {
    let options = PackOptions {
        manifest_dirs: vec![manifest_dir.to_owned()],
        target_dir: target_dir.to_owned(),
        resolution: Resolution::default(),
    };
    let built = build_all(&options)?.pop();
    built.ok_or_else(|| PackError::NotALibrary { manifest_dir: manifest_dir.to_owned() })
}

/// Builds several policies of one workspace in one run of cargo, in the order of `manifest_dirs`.
///
/// # Errors
/// As [`build`], for the first policy that fails.
pub fn build_all(options: &PackOptions) -> Result<Vec<Packed>, PackError> {
    let Some(first) = options.manifest_dirs.first() else { return Ok(Vec::new()) };
    let toolchain = toolchain::Toolchain::find(first)?;
    let modules = cargo::build(&toolchain, options)?;
    modules.into_iter().map(|module| wrap(module, &options.target_dir)).collect()
}

fn wrap(module: cargo::Module, target_dir: &Path) -> Result<Packed, PackError> {
    let cargo::Module { name, version, path } = module;
    let core = fs::read(&path).map_err(|cause| PackError::File { path, cause })?;
    let component =
        componentize(&core).map_err(|reason| PackError::NotAPolicy { name: name.clone(), reason })?;
    let folder = target_dir.join("policies");
    let wasm_path = folder.join(format!("{name}.wasm"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&wasm_path, &component))
        .map_err(|cause| PackError::File { path: wasm_path.clone(), cause })?;
    Ok(Packed { name, version, component, wasm_path })
}

/// Wraps a core module, built with the SDK, into a component.
///
/// # Errors
/// What is wrong with the module.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, String> {
    let encode = || ComponentEncoder::default().validate(true).module(core)?.encode();
    let component = encode().map_err(|error| format!("{error:#}"))?;
    // A module without any description of its world becomes an empty component.
    match wit_component::decode(&component) {
        Ok(DecodedWasm::Component(resolve, world)) if !resolve.worlds[world].exports.is_empty() => {
            Ok(component)
        }
        Ok(_) => Err("it exports no role".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}
