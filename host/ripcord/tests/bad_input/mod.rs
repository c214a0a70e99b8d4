//! Everything that may be wrong around the real program, as one table. A row says how the world is made, what the user does, and what
//! is on disk afterwards; the snapshot of its name holds what the user reads. After each row the host is killed, not stopped: what
//! counts as kept is on disk.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod configuration;
mod data_folder;
#[cfg(target_os = "linux")]
mod disk;
mod doors;
pub(crate) mod policies;
mod storms;
mod surfaces;
mod systems;
pub(crate) mod world;

use crate::support::kept::Kept;
use world::{Shown, World};

/// Nothing was taken, opened or shifted.
const NOTHING: Option<Kept> = Some(Kept { signals: 0, incidents: 0, shifts: 0 });
/// Not even a store was made.
const NO_STORE: Option<Kept> = None;

/// Rows of the table, each a test of its own.
macro_rules! table {
    ($($(#[$doc:meta])* $name:ident { world: $world:expr, does: $does:expr, kept: $kept:expr $(,)? })*) => {
        $(
            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::bad_input::row(stringify!($name), $world, $does, $kept).await;
            }
        )*
    };
}
pub(crate) use table;

async fn row(name: &str, world: World, does: impl AsyncFnOnce(&mut World) -> Shown, kept: Option<Kept>) {
    let mut world = world;
    let shown = does(&mut world).await;
    insta::assert_snapshot!(name, world.scrubbed(&shown.0));
    world.host.take().into_iter().for_each(crate::support::host::Host::kill);
    crate::support::compiled::keep(world.path());
    assert_eq!(crate::support::kept::kept(world.path()).await, kept, "{name}: what is on disk");
}
