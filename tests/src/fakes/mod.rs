//! The adapters of the fake world. Each passes the fuse before and after it does anything.

mod deployer;
mod people;
mod producer;
mod registry;
mod restorer;
mod service;

pub use deployer::FakeDeployer;
pub use people::{FakeNotifier, MemoryObjects};
pub use producer::FakeProducer;
pub use registry::{FakeRegistry, artefact};
pub use restorer::FakeRestorer;
pub use service::{FakeEndpoint, FakeGolden, FakeLog, FakeMetrics};

use std::sync::Arc;

use ripcord_core::name::ServiceName;

use crate::clock::TestClock;
use crate::fuse::Fuse;
use crate::world::World;

impl Wire {
    /// Returns unless `call` hangs now.
    async fn answers(&self, call: &str) {
        if self.world.of(&self.service).hangs.contains(call) {
            std::future::pending::<()>().await;
        }
    }
}

/// What every fake of a service holds.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Whose.
    pub service: ServiceName,
    /// The world.
    pub world: Arc<World>,
    /// Of this host.
    pub fuse: Arc<Fuse>,
    /// Of this host.
    pub clock: Arc<TestClock>,
}
