//! Working on policies: a new one, building, testing, signing and looking into it.

mod build;
mod inspect;
mod native_tests;
mod new;
mod record;
mod schema;
mod sdk;
pub(crate) mod signature;
mod test;
mod toolbox;

use std::path::Path;

use ripcord_sandbox::{Policy, Sandbox};

use crate::output::Failure;

pub use build::{Built, build};
pub use inspect::{Inspection, inspect};
pub use new::{NewPolicy, Place, SdkOf, Template, new};
pub use record::{RecordedFixture, RecordedFixtures};
pub use sdk::{SdkWritten, update as update_sdk};
pub use signature::{Signed, sign};
pub use test::{Bless, Tested, test};

pub(crate) use record::to_run;
pub(crate) use test::kinds_as_in_fixtures;

/// The policy of a crate's folder, which is built, of a component file, or the starter policy of that name.
pub(crate) fn load(sandbox: &Sandbox, what: &str) -> Result<Policy, Failure> {
    let path = Path::new(what);
    if path.is_dir() {
        let packed = build::pack(path)?;
        return Ok(toolbox::load_bytes(sandbox, &packed.name, packed.component)?.policy);
    }
    Ok(toolbox::load(sandbox, what)?.policy)
}

/// A policy that speaks the newest contract, for reading recordings in it.
pub(crate) fn any_starter(sandbox: &Sandbox) -> Result<Policy, Failure> {
    let name = crate::starters::names().first().copied().unwrap_or_default();
    Ok(toolbox::load(sandbox, &format!("starter:{name}"))?.policy)
}
