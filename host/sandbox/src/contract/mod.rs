//! The versions of the policy contract. A policy's version is chosen once, when it is loaded.

use std::sync::Arc;

use wasmtime::component::Component;

use crate::shared::Shared;

mod interface;
mod v0_1;

pub(crate) use interface::{Case, Contract, Export};

/// The versions that this release runs, oldest first.
pub const CONTRACT_VERSIONS: &[&str] = &[v0_1::VERSION];

/// Links a component to its version of the contract.
pub(crate) fn link(
    shared: &Arc<Shared>,
    component: &Component,
    export: &Export,
) -> Result<Arc<dyn Contract>, String> {
    match export.version {
        v0_1::VERSION => Ok(Arc::new(v0_1::V0_1::link(shared, component, &export.roles)?)),
        other => Err(format!("version {other} is not known")),
    }
}
