//! From bytes to a policy, or to a sentence that says what to do.

use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_core::policy::{PolicyRef, Role};
use wasmparser::Parser;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::contract::{self, CONTRACT_VERSIONS, Export};
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::manifest;
use crate::policy::Policy;
use crate::run::message;
use crate::sandbox::Shared;

/// Compiling takes time and memory in proportion to this, and is not metered.
const COMPONENT_BYTES_MAX: usize = 32 << 20;
const LOG: &str = "log";

/// A component that cannot be a policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Too large to compile.
    #[error(
        "the component has {bytes} bytes, and {COMPONENT_BYTES_MAX} is the most; build it with `opt-level = \"s\"` and without debug information"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not the component that was asked for.
    #[error(
        "the component's sha-256 is {given}, and {pinned} is pinned; give the pinned component, or pin this one if you trust it"
    )]
    WrongDigest {
        /// Of the bytes.
        given: Digest,
        /// As configured or recorded.
        pinned: Digest,
    },
    /// Something else entirely.
    #[error("these bytes are not WebAssembly; give a component, as `ripcord policy build` writes it")]
    NotWasm,
    /// A core module.
    #[error(
        "this is a core module, not a component; build the policy with `ripcord policy build`, which wraps it"
    )]
    CoreModule,
    /// Broken, or uses a proposal that is off.
    #[error(
        "the component is broken or uses a WebAssembly feature that policies may not: {message}; build it again with `ripcord policy build`"
    )]
    Invalid {
        /// What the validator said.
        message: String,
    },
    /// Imports functions.
    #[error(
        "the component imports {what}; policies get everything as arguments and may import nothing but `ripcord:policy/log`. {advice}"
    )]
    ForeignImport {
        /// Which.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// Exports nothing of the contract.
    #[error("the component does not export `ripcord:policy/describe`, so it is no policy; implement it with the guest SDK, for a contract version of {supported}", supported = CONTRACT_VERSIONS.join(", "))]
    MissingDescribe,
    /// Of another contract version.
    #[error("the component speaks version {version} of the policy contract in `{name}`, and this release knows {supported}; build it against one of these, or use another release of ripcord", supported = CONTRACT_VERSIONS.join(", "))]
    UnknownContract {
        /// The version that it names; `none` without one.
        version: String,
        /// The import or export.
        name: String,
    },
    /// Fills no role.
    #[error(
        "the component fills no role; export at least one of trigger, planner, approval, verification in contract version {version}"
    )]
    NoRole {
        /// Of the contract.
        version: &'static str,
    },
    /// The names are right, the types are not.
    #[error(
        "the component does not fit contract version {version}: {message}; build it against the released `policy.wit`"
    )]
    ContractMismatch {
        /// Of the contract.
        version: &'static str,
        /// What differs.
        message: String,
    },
    /// `describe` did not return.
    #[error("the policy cannot describe itself: {0}")]
    Describe(#[source] Fault),
    /// `describe` returned nonsense.
    #[error("the policy's manifest is wrong: {message}")]
    Manifest {
        /// Which field, and what it must be.
        message: String,
    },
}

pub(crate) fn load(shared: &Arc<Shared>, bytes: &[u8]) -> Result<Policy, LoadError> {
    check_header(bytes)?;
    let digest = Digest::of(bytes);
    let component = compile(shared, bytes, &digest)?;
    check_imports(shared, &component)?;
    let export = find_contract(shared, &component)?;
    let roles = export.roles.clone();
    let linked = contract::link(shared, &component, &export)
        .map_err(|message| LoadError::ContractMismatch { version: export.version, message })?;
    let raw = linked.describe(&Limits::default()).outcome.map_err(LoadError::Describe)?;
    // The names of a draft stay while its records grow: what was built against an older one is refused here, not in its first decision.
    linked.compare_types(&Limits::default()).outcome.map_err(|fault| match fault.kind {
        FaultKind::BadOutput { reason } => {
            LoadError::ContractMismatch { version: export.version, message: reason }
        }
        _ => LoadError::Describe(fault),
    })?;
    let (manifest, schema) =
        manifest::check(raw, &roles).map_err(|message| LoadError::Manifest { message })?;
    let reference = PolicyRef { name: manifest.name.clone(), version: manifest.version.clone(), digest };
    Ok(Policy::new(reference, manifest, roles, schema, linked, shared.id.clone()))
}

fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { bytes: bytes.len() });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(LoadError::NotWasm);
    }
    Ok(())
}

fn compile(shared: &Shared, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
    if let Some(component) = shared.cache.as_ref().and_then(|cache| {
        let code = cache.read(digest)?;
        deserialize(shared, &code)
    }) {
        return Ok(component);
    }
    let component = Component::from_binary(&shared.engine, bytes)
        .map_err(|error| LoadError::Invalid { message: message(&error) })?;
    if let Some(cache) = &shared.cache {
        match component.serialize() {
            Ok(code) => cache.write(digest, &code),
            Err(error) => tracing::warn!(%error, "compiled code cannot be written out"),
        }
    }
    Ok(component)
}

/// The one place where the host runs code that it did not just compile itself.
#[allow(unsafe_code)]
fn deserialize(shared: &Shared, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes must be what `Component::serialize` of this engine wrote. `Cache::read` gives them only if they carry the digest, bound
    // to this component, engine release, settings and processor, that `Cache::write` put before them; it reads only from a directory and a
    // file that no other user may write, and the bytes are a private copy that cannot change any more. The engine itself checks its version
    // and settings in their header once more.
    let component = unsafe { Component::deserialize(&shared.engine, code) };
    component
        .inspect_err(|error| tracing::warn!(%error, "compiled code is of another engine: compiling again"))
        .ok()
}

/// Splits `ripcord:policy/trigger@0.1.0` into `trigger` and `0.1.0`; none for another package.
fn contract_name(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("ripcord:policy/")?;
    Some(rest.split_once('@').unwrap_or((rest, "none")))
}

fn unknown(name: &str, version: &str) -> LoadError {
    LoadError::UnknownContract { version: version.to_owned(), name: name.to_owned() }
}

/// Interfaces without functions carry only types and may be imported.
fn check_imports(shared: &Shared, component: &Component) -> Result<(), LoadError> {
    for (name, import) in component.component_type().imports(&shared.engine) {
        let foreign = |what: String| Err(LoadError::ForeignImport { what, advice: advice(name) });
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            match import.ty {
                ComponentItem::Type(_) => continue,
                _ => return foreign(format!("`{name}`")),
            }
        };
        if let Some((_, version)) = contract_name(name)
            && !CONTRACT_VERSIONS.contains(&version)
        {
            return Err(unknown(name, version));
        }
        if contract_name(name).is_some_and(|(interface, _)| interface == LOG) {
            continue;
        }
        let item =
            interface.exports(&shared.engine).find(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)));
        if let Some((item, _)) = item {
            return foreign(format!("`{item}` of `{name}`"));
        }
    }
    Ok(())
}

fn advice(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        "Build for `wasm32-unknown-unknown` with `ripcord policy build`: a target with WASI brings such imports by itself"
    } else {
        "Remove the import; what the policy needs to know, it asks for as a fact"
    }
}

/// The contract version is that of `describe`, and the roles must be of the same.
fn find_contract(shared: &Shared, component: &Component) -> Result<Export, LoadError> {
    let ty = component.component_type();
    let names: Vec<String> = ty.exports(&shared.engine).map(|(name, _)| name.to_owned()).collect();
    let exported: Vec<_> = names.iter().filter_map(|name| Some((name, contract_name(name)?))).collect();
    for (name, (_, version)) in &exported {
        if !CONTRACT_VERSIONS.contains(version) {
            return Err(unknown(name, version));
        }
    }
    let find =
        |interface: &str| exported.iter().find(|(_, (name, _))| *name == interface).map(|(_, (_, v))| *v);
    let described = find("describe").ok_or(LoadError::MissingDescribe)?;
    let version = CONTRACT_VERSIONS
        .iter()
        .find(|version| **version == described)
        .copied()
        .ok_or(LoadError::MissingDescribe)?;
    let roles: Vec<Role> =
        Role::ALL.into_iter().filter(|role| find(role.as_str()) == Some(version)).collect();
    if roles.is_empty() {
        return Err(LoadError::NoRole { version });
    }
    Ok(Export { version, roles })
}
