//! Files that a deployer writes beside an artefact's own.

use std::collections::BTreeMap;

use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_core::target::Target;
use ripcord_ports::{Applied, Deployer, ErrorKind};

use super::rig::{Mood, Rig};
use crate::adapters::support::{shared, target};

const SETTINGS: &str = r#"{"name": "{model}", "parameters": {"version": "{version}", "extra": {}}}"#;

pub(super) fn settings(config: &mut OpenInferenceDeployerConfig) {
    config.write = BTreeMap::from([("model-settings.json".to_owned(), SETTINGS.to_owned())]);
}

/// The artefact of `of` under a version that it does not know of.
fn numbered(number: &str, of: &Settable) -> Settable {
    let digest = of.staged.as_ref().map(|staged| staged.digest);
    Settable { target: Target::Version(target(number, digest)), staged: of.staged.clone() }
}

#[tokio::test]
async fn versions_that_their_artefacts_do_not_name_are_served() {
    let rig = Rig::with(settings).await;
    let (one, two) = (numbered("41", &rig.one), numbered("42", &rig.two));
    deployer::conforms(&rig.deployer, &one, &two).await;
    let written = std::fs::read_to_string(rig.models().join("fraud/model-settings.json")).unwrap();
    assert_eq!(written, r#"{"name": "fraud", "parameters": {"version": "42", "extra": {}}}"#);
    let digest = two.staged.as_ref().unwrap().digest;
    assert_eq!(
        rig.live().await.sole_version().unwrap().digest,
        Some(digest),
        "the artefact's, without our files"
    );
    std::fs::write(rig.models().join("fraud/model-settings.json"), written.replace("{}", "1")).unwrap();
    assert!(!rig.live().await.serves(&two.target), "once changed, they may have something else loaded");
}

#[tokio::test]
async fn one_artefact_under_two_versions_is_two_versions() {
    let rig = Rig::with(settings).await;
    let (one, two) = (numbered("41", &rig.one), numbered("42", &rig.one));
    deployer::conforms(&rig.deployer, &one, &two).await;
}

#[tokio::test]
async fn a_refused_load_brings_the_old_settings_back() {
    let rig = Rig::with(settings).await;
    let (one, two) = (numbered("41", &rig.one), numbered("42", &rig.one));
    rig.deployer.shift(&order("k1", &one, rig.live().await)).await.unwrap();
    rig.model.set(Mood::LoadFails);
    let error = rig.deployer.shift(&order("k2", &two, rig.live().await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    let written = std::fs::read_to_string(rig.models().join("fraud/model-settings.json")).unwrap();
    assert!(written.contains("\"41\""), "{written}");
    assert!(rig.live().await.serves(&one.target));
}

#[tokio::test]
async fn an_artefact_is_not_written_over() {
    let rig =
        Rig::with(|config| config.write = [("model.txt".to_owned(), "{version}".to_owned())].into()).await;
    let error = rig.deployer.shift(&order("k1", &rig.one, rig.live().await)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Configuration, Applied::No), "{error}");
    assert!(error.to_string().contains("version `1.0` has `model.txt` of its own"), "{error}");
    assert!(rig.beside().is_empty(), "nothing was begun");
}

#[tokio::test]
async fn mistakes_are_found_when_the_configuration_is_read() {
    let rig = Rig::new().await;
    for (path, content, expected) in
        [("a", "{versoin}", "`{versoin}`"), ("../a", "", "`../a`"), ("/a", "", "`/a`")]
    {
        let write = BTreeMap::from([(path.to_owned(), content.to_owned())]);
        let config = OpenInferenceDeployerConfig { write, ..rig.config.clone() };
        let error = OpenInferenceDeployer::new(config, None, &shared()).unwrap_err();
        assert!(error.kind == ErrorKind::Configuration && error.to_string().contains(expected), "{error}");
    }
}

/// What the page tells people to write.
#[test]
fn the_example_of_the_page_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/deployer_open_inference/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let lines = page.lines().skip_while(|line| !line.contains("[services.iris-api.deployer]"));
    let example: String = lines
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)))
        .collect();
    let mut read: toml::Table = example.parse().unwrap();
    let deployer = &mut read["services"]["iris-api"]["deployer"].as_table_mut().unwrap();
    assert_eq!(deployer.remove("kind").unwrap().as_str(), Some("open-inference"));
    deployer.remove("probe-input-file");
    let config: OpenInferenceDeployerConfig = deployer.clone().try_into().unwrap();
    assert!(config.write["model-settings.json"].contains("\"{version}\""));
    OpenInferenceDeployer::new(config, None, &shared()).unwrap();
}
