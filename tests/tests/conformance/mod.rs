//! Adapters of a third party, held to the conformance suites: they use the crates of the core and of the ports, and the suites, and nothing else of the host.
//! Each suite passes a sound adapter, and names the rule that a flawed one breaks. The fakes of these tests are held to them, too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod deployer;
mod fakes;
mod registry;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use ripcord_adapters::conformance::Scratch;
use ripcord_adapters::conformance::deployer::{self as of_deployers, Settable};
use ripcord_adapters::conformance::deployer_beside::{Tried, conforms_beside};
use ripcord_adapters::conformance::deployer_waves::conforms_in_waves;
use ripcord_adapters::conformance::registry::{self as of_registries, Expected};
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::Registry;
use ripcord_ports::deployer::{EffectClass, Moves};

use deployer::{InMemoryDeployer, Unsound};
use registry::{Flaw, InMemoryRegistry, target};

#[tokio::test]
async fn a_registry_conforms() {
    let registry = InMemoryRegistry::sound();
    let expected = Expected { newest_first: vec![target("2"), target("1")], marks: true, promotes: true };
    let scratch = Scratch::new();
    of_registries::conforms(&registry, &expected, &|| scratch.empty_dir()).await;
}

#[tokio::test]
async fn a_registry_that_can_do_less_says_so_and_conforms() {
    let registry = InMemoryRegistry::read_only();
    let expected = Expected { newest_first: vec![target("2"), target("1")], marks: false, promotes: false };
    let scratch = Scratch::new();
    of_registries::conforms(&registry, &expected, &|| scratch.empty_dir()).await;
}

#[tokio::test]
async fn a_deployer_conforms() {
    let (one, two) = (settable("1").await, settable("2").await);
    for class in deployer::CLASSES {
        of_deployers::conforms(&InMemoryDeployer::of(class), &one, &two).await;
    }
    let deployer = InMemoryDeployer::of(deployer::CLASSES[0]);
    let (endpoint, input) = (deployer::NoEndpoint, deployer::input());
    conforms_beside(&deployer, Tried { endpoint: &endpoint, input: &input }, &one, &two).await;
}

#[tokio::test]
async fn a_deployer_that_moves_in_waves_conforms() {
    let (one, two) = (settable("1").await, settable("2").await);
    let parts = [Moves::Place("a".into())];
    for class in deployer::CLASSES.into_iter().filter(|class| *class != EffectClass::Blind) {
        conforms_in_waves(&InMemoryDeployer::of(class), &parts, &one, &two).await;
    }
    for (flaw, rule, said) in [
        (Unsound::TellsOfNoWave, "says-what-a-wave-sends", "another target is another request"),
        (Unsound::MovesAllInAWave, "a-wave-moves-its-part", "moved everything"),
        (Unsound::ProbesGuess, "a-wave-moves-its-part", "was not begun"),
        (Unsound::NothingIsDone, "a-wave-moves-its-part", "was ordered and live is"),
    ] {
        let (one, two, parts) = (one.clone(), two.clone(), parts.clone());
        let message = broken_rule(async move {
            conforms_in_waves(&InMemoryDeployer::with(flaw), &parts, &one, &two).await;
        })
        .await;
        assert!(message.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {message}");
        assert!(message.contains(said), "{flaw:?}: {message}");
    }
}

/// A version with its artefact.
async fn settable(name: &str) -> Settable {
    of(&InMemoryRegistry::sound(), target(name)).await
}

/// A version of the registry with its artefact.
async fn of(registry: &dyn Registry, version: VersionTarget) -> Settable {
    let scratch = Scratch::new();
    let staged = registry.fetch(&version, scratch.empty_dir()).await.unwrap();
    Settable { target: Target::Version(version), staged: Some(staged) }
}

/// What a suite says that ends in a panic.
async fn broken_rule(suite: impl Future<Output = ()>) -> String {
    let ended = AssertUnwindSafe(suite).catch_unwind().await;
    let panic = ended.expect_err("the suite passes a flawed adapter");
    panic.downcast_ref::<String>().cloned().expect("a sentence")
}

#[tokio::test]
async fn a_registry_is_told_which_rule_it_breaks() {
    for (flaw, rule, said) in [
        (Flaw::OldestFirst, "lists-newest-first", "versions are listed newest first"),
        (Flaw::TooMany, "lists-newest-first", "a limit keeps the newest"),
        (Flaw::ManifestOfTheMoment, "describes-as-listed", "a manifest is the same each time"),
        (Flaw::OneFileMore, "fetches-what-is-pinned", "nothing else lies there"),
        (Flaw::AnyDigest, "fetches-what-is-pinned", "another digest"),
        (Flaw::UnknownHasFailed, "unknown-is-not-found", "an unknown version is not found"),
        (Flaw::MarksOnce, "marks-repeat", "repeats included"),
        (Flaw::MarksByName, "marks-repeat", "no name that somebody gave"),
        (Flaw::NoProductionName, "says-what-moves-the-name", "what is moved has a name"),
        (Flaw::NamesProductionTwice, "tells-its-other-names", "the production name is no other"),
        (Flaw::MovesAnything, "says-what-moves-the-name", "another target is another request"),
        (Flaw::PromotesFromAnywhere, "promotes-from-what-is-expected", "expects another"),
    ] {
        let message = broken_rule(async move {
            let registry = InMemoryRegistry::with(flaw);
            let expected =
                Expected { newest_first: vec![target("2"), target("1")], marks: true, promotes: true };
            let scratch = Scratch::new();
            of_registries::conforms(&registry, &expected, &|| scratch.empty_dir()).await;
        })
        .await;
        assert!(message.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {message}");
        assert!(message.contains(said), "{flaw:?}: {message}");
    }
}

#[tokio::test]
async fn a_deployer_is_told_which_rule_it_breaks() {
    for (flaw, rule, said) in [
        (Unsound::NothingIsDone, "reads-back-what-was-shifted", "was ordered and live is"),
        (Unsound::ProbesGuess, "a-probe-tells-what-happened", "a shift that was not begun is not applied"),
        (Unsound::ProbesShift, "a-probe-tells-what-happened", "a probe changes nothing"),
        (Unsound::RepeatsFail, "a-shift-repeats", "done already"),
        (Unsound::TakesAnything, "refuses-what-it-cannot-set", "a target of an unknown kind was accepted"),
        (Unsound::SendsAnything, "says-what-a-shift-sends", "another target is another request"),
        (Unsound::ExpectsNothing, "expects-what-is-live", "went on although live was another"),
    ] {
        let (one, two) = (settable("1").await, settable("2").await);
        let message = broken_rule(async move {
            let deployer = InMemoryDeployer::with(flaw);
            of_deployers::conforms(&deployer, &one, &two).await;
        })
        .await;
        assert!(message.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {message}");
        assert!(message.contains(said), "{flaw:?}: {message}");
    }
}
