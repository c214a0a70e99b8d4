//! Pretend systems. Each call takes its time, and may fail, hang, come late, or be the last thing that the host does.

mod deployer;
mod people;
mod producer;
mod registry;
mod restorer;
mod service;

pub use deployer::PretendDeployer;
pub use people::{PretendNotifier, PretendObjects};
pub use producer::PretendProducer;
pub use registry::PretendRegistry;
pub use restorer::PretendRestorer;
pub use service::{PretendEndpoint, PretendGolden, PretendLog, PretendMetrics};

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ripcord_core::name::ServiceName;
use ripcord_core::terms::Terms;
use ripcord_ports::waiting::for_system;
use ripcord_ports::{ErrorKind, PortError};

use crate::check::Checker;
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::life::Life;
use crate::weather::Weather;
use crate::world::World;

/// What every pretend system of a service holds.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Whose.
    pub service: ServiceName,
    /// As the running host has been configured.
    pub terms: Arc<Terms>,
    /// The world.
    pub world: Arc<World>,
    /// Of this host.
    pub life: Arc<Life>,
    /// What may go wrong.
    pub weather: Arc<Weather>,
    /// Chance.
    pub dice: Dice,
    /// Of the machine.
    pub clock: Arc<SimClock>,
    /// Who sees every call.
    pub checker: Arc<Checker>,
}

impl Wire {
    /// A call on its way to a system: whether it gets there.
    pub async fn reach(&self, system: &'static str) -> Result<(), PortError> {
        self.life.may_end().await;
        let sky = self.weather.now();
        for_system(system, self.travel()).await;
        self.life.alive().await;
        if self.dice.chance(sky.hangs) {
            self.checker.note(|| format!("{} {system} hangs", self.service));
            for_system(system, pending::<()>()).await;
        }
        let away = match system {
            REGISTRY => sky.registry_away,
            DEPLOYER | ENDPOINT => sky.deployer_away,
            RESTORER => sky.restorers_away,
            PRODUCER => sky.producers_away,
            _ => false,
        };
        if away {
            return Err(PortError::not_applied(ErrorKind::Unreachable, format!("{system} does not answer")));
        }
        if self.dice.chance(sky.fails) {
            let kind = self.dice.pick(&[ErrorKind::Unreachable, ErrorKind::Failed, ErrorKind::TimedOut]);
            return Err(PortError::not_applied(kind, format!("{system} failed")));
        }
        Ok(())
    }

    /// The answer on its way back.
    pub async fn comes_back(&self, system: &'static str) {
        for_system(system, self.travel()).await;
        self.life.may_end().await;
    }

    async fn travel(&self) {
        let most = if self.dice.chance(self.weather.now().late) { 8_000 } else { 25 };
        tokio::time::sleep(Duration::from_millis(self.dice.below(most))).await;
    }
}

/// The names of the systems.
pub const REGISTRY: &str = "the registry";
/// What serves.
pub const DEPLOYER: &str = "the deployer";
/// What puts a facet beside the model back.
pub const RESTORER: &str = "the restorer";
/// What makes versions.
pub const PRODUCER: &str = "the producer";
/// Where it answers.
pub const ENDPOINT: &str = "the service";
/// What is measured.
pub const METRICS: &str = "the metrics";
/// How people are told.
pub const NOTIFIER: &str = "the notifier";
/// Where evidence goes.
pub const OBJECTS: &str = "the evidence";
