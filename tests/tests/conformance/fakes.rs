//! The fakes behind the other suites behave as their ports demand.

use std::sync::Arc;

use ripcord_adapters::conformance::Scratch;
use ripcord_adapters::conformance::deployer::conforms as deployer_conforms;
use ripcord_adapters::conformance::deployer_waves::conforms_in_waves;
use ripcord_adapters::conformance::registry::{Expected, conforms as registry_conforms};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_ports::deployer::{EffectClass, Moves};
use ripcord_tests::clock::TestClock;
use ripcord_tests::fakes::{FakeDeployer, FakeRegistry, Wire, artefact};
use ripcord_tests::fuse::Fuse;
use ripcord_tests::world::World;

use crate::conformance::{deployer::CLASSES, of};

fn wire() -> Wire {
    let service = ServiceName::new("fraud-api").unwrap();
    let world = World::new();
    world.add(&service, &["1.0", "1.1", "1.2"]);
    Wire { service, world, fuse: Fuse::safe(), clock: Arc::new(TestClock::new(1)) }
}

fn target(name: &str) -> VersionTarget {
    VersionTarget { version: VersionName::new(name).unwrap(), digest: Some(artefact(name).1) }
}

#[tokio::test]
async fn the_fake_registry_conforms() {
    for no_digests in [false, true] {
        let wire = wire();
        wire.world.at(&wire.service, |outside| outside.no_digests = no_digests);
        let newest_first = ["1.2", "1.1", "1.0"].map(target).into();
        let expected = Expected { newest_first, marks: true, promotes: true };
        let scratch = Scratch::new();
        registry_conforms(&FakeRegistry { wire }, &expected, &|| scratch.empty_dir()).await;
    }
}

#[tokio::test]
async fn the_fake_deployer_conforms() {
    for class in CLASSES {
        let wire = wire();
        let registry = FakeRegistry { wire: wire.clone() };
        let (one, two) = (of(&registry, target("1.0")).await, of(&registry, target("1.1")).await);
        deployer_conforms(&FakeDeployer { wire, class }, &one, &two).await;
    }
}

#[tokio::test]
async fn the_fake_deployer_moves_in_waves() {
    let share = |of: f64| Moves::Share(Ratio::new(of).unwrap());
    for class in CLASSES.into_iter().filter(|class| *class != EffectClass::Blind) {
        for (places, parts) in
            [(&["eu", "us"][..], vec![Moves::Place("eu".into())]), (&[][..], vec![share(0.25), share(0.5)])]
        {
            let wire = wire();
            wire.world.at(&wire.service, |outside| {
                outside.places = places.iter().map(|place| ((*place).into(), "1.2".into())).collect();
            });
            let registry = FakeRegistry { wire: wire.clone() };
            let (one, two) = (of(&registry, target("1.0")).await, of(&registry, target("1.1")).await);
            conforms_in_waves(&FakeDeployer { wire, class }, &parts, &one, &two).await;
        }
    }
}
