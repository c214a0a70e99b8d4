//! From bytes to a policy, or to a sentence that says what to do.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use ripcord_core::digest::Digest;
use ripcord_core::policy::{PolicyRef, Role};
use wasmparser::Parser;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::contract::{self, CONTRACT_VERSIONS, Contract, Export};
use crate::examine::{self, ExaminationError, Examiner};
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::manifest;
use crate::policy::Policy;
use crate::shared::Shared;
use crate::text::cut;

/// More is not even read. What compiling takes is not in proportion to this: see [`crate::examine`].
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;
const LOG: &str = "log";
const NAME_BYTES_SHOWN: usize = 150;

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
    /// Refused by the examiner, or by the compiler.
    #[error(transparent)]
    Examination(#[from] ExaminationError),
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

/// Where a component is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Anywhere.
    Unapproved,
    /// This program.
    Embedded,
}

pub(crate) fn load(shared: &Arc<Shared>, bytes: &[u8], origin: Origin) -> Result<Policy, LoadError> {
    check_header(bytes)?;
    let digest = Digest::of(bytes);
    let (component, new_code) = component(shared, bytes, &digest, origin)?;
    let (export, linked) = link(shared, &component)?;
    let roles = export.roles;
    let limits = Limits::for_describing();
    let raw = linked.describe(&limits).outcome.map_err(LoadError::Describe)?;
    // The names of a draft stay while its records grow: what was built against an older one is refused here, not in its first decision.
    linked.compare_types(&limits).outcome.map_err(|fault| match fault.kind {
        FaultKind::BadOutput { reason } => {
            LoadError::ContractMismatch { version: export.version, message: reason }
        }
        _ => LoadError::Describe(fault),
    })?;
    let (manifest, schema) =
        manifest::check(raw, &roles).map_err(|message| LoadError::Manifest { message })?;
    // Only now: what is kept has passed everything.
    if let (Some(cache), Some(code)) = (&shared.cache, new_code) {
        cache.write(&digest, &code);
    }
    let reference = PolicyRef { name: manifest.name.clone(), version: manifest.version.clone(), digest };
    Ok(Policy::new(reference, manifest, roles, schema, linked, shared.id.clone()))
}

/// Checks imports and exports and links; nothing of the component runs.
fn link(shared: &Arc<Shared>, component: &Component) -> Result<(Export, Arc<dyn Contract>), LoadError> {
    check_imports(shared, component)?;
    let export = find_contract(shared, component)?;
    let linked = contract::link(shared, component, &export)
        .map_err(|message| LoadError::ContractMismatch { version: export.version, message })?;
    Ok((export, linked))
}

/// Does what [`load`] does before it asks the component anything, for what it costs.
pub(crate) fn link_unasked(shared: &Arc<Shared>, component: &Component) {
    // The parent says the same, and to someone.
    let _ = link(shared, component);
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

/// The compiled component, and its code if that is not in the cache yet.
fn component(
    shared: &Shared,
    bytes: &[u8],
    digest: &Digest,
    origin: Origin,
) -> Result<(Component, Option<Vec<u8>>), LoadError> {
    let cached = shared.cache.as_ref().and_then(|cache| cache.read(digest));
    if let Some(component) = cached.and_then(|code| deserialize(shared, &code)) {
        return Ok((component, None));
    }
    if let Examiner::Program { program, arguments } = &shared.examiner {
        let _one_at_a_time = match origin {
            Origin::Unapproved => Some(shared.examining.lock().unwrap_or_else(PoisonError::into_inner)),
            Origin::Embedded => None,
        };
        match (examined(shared, bytes, program, arguments), origin) {
            (Ok((component, code)), _) => return Ok((component, Some(code))),
            (Err(error), Origin::Unapproved) => return Err(error.into()),
            // It is as trusted as the program itself. The child only keeps the compiler's memory away from a host that runs for months.
            (Err(error), Origin::Embedded) => {
                tracing::warn!(%error, "a policy of this program is compiled without an examiner");
            }
        }
    }
    examine::count(bytes).map_err(ExaminationError::from)?;
    let component = examine::compile(&shared.engine, bytes).map_err(ExaminationError::from)?;
    let code = shared.cache.is_some().then(|| component.serialize()).transpose();
    let code = code.inspect_err(|error| tracing::warn!(%error, "compiled code cannot be written out"));
    Ok((component, code.ok().flatten()))
}

/// As a child process compiled it, and its code.
fn examined(
    shared: &Shared,
    bytes: &[u8],
    program: &Path,
    arguments: &[OsString],
) -> Result<(Component, Vec<u8>), ExaminationError> {
    let code = examine::ask(program, arguments, bytes, &shared.code)?;
    let component = deserialize(shared, &code).ok_or_else(|| ExaminationError::NoExaminer {
        program: program.display().to_string(),
        reason: "its code is of another engine".into(),
    })?;
    Ok((component, code))
}

/// The one place where the host runs code that it did not just compile itself.
#[allow(unsafe_code)]
fn deserialize(shared: &Shared, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes must be what `Component::serialize` of this engine wrote. Both sources of them, `Cache::read` and `examine::ask`, give
    // them only with a digest that binds them to this component, engine release, settings and processor. The cache reads only from a directory
    // and a file that no other user may write. The examiner is a child of this process, reached by a socket that nobody else holds, and runs no
    // code of the component. The bytes are a private copy that cannot change any more, and the engine itself checks its version and settings in
    // their header once more.
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
    LoadError::UnknownContract { version: shown(version), name: shown(name) }
}

/// A component's names may be as long as it is.
fn shown(name: &str) -> String {
    let mut name = name.to_owned();
    cut(&mut name, NAME_BYTES_SHOWN);
    name
}

/// Interfaces without functions carry only types and may be imported.
fn check_imports(shared: &Shared, component: &Component) -> Result<(), LoadError> {
    for (name, import) in component.component_type().imports(&shared.engine) {
        let foreign = |what: String| Err(LoadError::ForeignImport { what, advice: advice(name) });
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            match import.ty {
                ComponentItem::Type(_) => continue,
                _ => return foreign(format!("`{}`", shown(name))),
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
            return foreign(format!("`{}` of `{}`", shown(item), shown(name)));
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
