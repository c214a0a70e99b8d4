//! Working on policies: a new one, building, testing, signing and looking into it.

mod build;
mod inspect;
mod new;
mod schema;
pub(crate) mod signature;
mod test;
mod toolbox;

pub use build::{Built, build};
pub use inspect::{Inspection, inspect};
pub use new::{NewPolicy, Place, new};
pub use signature::{Signed, sign};
pub use test::{Tested, test};
