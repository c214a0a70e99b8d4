//! A candidate beside what is live.

use ripcord_adapters::conformance::deployer_beside::{self, Tried, candidate};
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_adapters::fault_proxy::{Fault, FaultProxy, Which};
use ripcord_ports::deployer::EffectClass;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Applied, Deployer, ErrorKind};

use super::rig::{Mood, Rig};
use super::written::settings;
use crate::adapters::support::shared;

fn preflight(config: &mut OpenInferenceDeployerConfig) {
    config.preflight_model = Some("fraud-preflight".into());
}

fn endpoint(rig: &Rig) -> OpenInferenceEndpoint {
    let config = OpenInferenceEndpointConfig {
        url: rig.config.url.clone(),
        model: "fraud".into(),
        output: None,
        deadline_ms: 1_000,
    };
    OpenInferenceEndpoint::new(config, None, &shared()).unwrap()
}

fn input() -> TrialInput {
    let body = r#"[{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}]"#;
    TrialInput { id: "row-1".into(), body: body.into() }
}

#[tokio::test]
async fn it_conforms_with_and_without_what_is_optional() {
    for with_settings in [true, false] {
        for with_input in [true, false] {
            let rig = Rig::with(|config| {
                preflight(config);
                if with_settings {
                    settings(config);
                }
                if !with_input {
                    config.probe_input = None;
                }
            })
            .await;
            let tried = Tried { endpoint: &endpoint(&rig), input: &input() };
            deployer_beside::conforms_beside(&rig.deployer, tried, &rig.one, &rig.two).await;
            assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"], "{with_settings} {with_input}");
        }
    }
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let rig = Rig::with(preflight).await;
    let proxy = FaultProxy::start(&rig.config.url).await.unwrap();
    let behind = rig.deployer(|config| config.url = proxy.url());
    let tried = Tried { endpoint: &endpoint(&rig), input: &input() };
    deployer_beside::conforms_beside_in_faults(&behind, &proxy, tried, &rig.one, &rig.two).await;
}

#[tokio::test]
async fn without_a_place_for_it_nothing_is_preflighted() {
    let rig = Rig::new().await;
    let tried = Tried { endpoint: &endpoint(&rig), input: &input() };
    deployer_beside::conforms_beside(&rig.deployer, tried, &rig.one, &rig.two).await;
    let rig = Rig::with(preflight).await;
    assert_eq!(rig.deployer.beside_class(), Some(EffectClass::Idempotent));
}

#[tokio::test]
async fn a_candidate_that_does_not_load_is_taken_away_at_once() {
    let rig = Rig::with(preflight).await.serving_one().await;
    rig.model.set(Mood::LoadFails);
    let error = rig.deployer.beside(&candidate(&rig.two)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::No), "{error}");
    assert!(error.to_string().contains("/models/fraud-preflight/load answered 500"), "{error}");
    // A server that starts with a folder that it cannot load does not start at all.
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
    assert!(rig.live().await.serves(&rig.one.target));
}

#[tokio::test]
async fn a_candidate_that_answers_as_another_version_is_none() {
    let rig = Rig::with(|config| {
        preflight(config);
        let text = r#"{"name": "{model}", "parameters": {"version": "0.7"}}"#;
        config.write = [("model-settings.json".to_owned(), text.to_owned())].into();
    })
    .await;
    let error = rig.deployer.beside(&candidate(&rig.two)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::BadAnswer, Applied::No), "{error}");
    assert!(error.to_string().contains("answers as the version `0.7` and not as `1.1`"), "{error}");
    assert!(rig.beside().is_empty());
}

/// A server looks for settings in every folder: such a candidate would be loaded with the live model and take its traffic.
#[tokio::test]
async fn settings_that_name_the_live_model_are_never_put_beside_it() {
    for (path, text, why) in [
        (
            "model-settings.json",
            r#"{"name": "fraud", "parameters": {"version": "{version}"}}"#,
            "names the model `fraud`",
        ),
        ("sub/model-settings.json", r#"{"name": "fraud"}"#, "names the model `fraud`"),
        ("sub/model-settings.json", "{}", "names the model ``"),
        ("model-settings.json", "not JSON", "does not read"),
    ] {
        let rig = Rig::new().await.serving_one().await;
        let named = rig.deployer(|config| {
            preflight(config);
            config.write = [(path.to_owned(), text.to_owned())].into();
        });
        assert!(named.beside_obstacle().unwrap().contains(why), "it is seen beforehand");
        let error = named.beside(&candidate(&rig.two)).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
        assert!(error.to_string().contains(why) && error.to_string().contains(path), "{error}");
        assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
    }
    let rig = Rig::with(|config| {
        preflight(config);
        config.write = [("model-settings.json".to_owned(), "{}".to_owned())].into();
    })
    .await
    .serving_one()
    .await;
    assert_eq!(rig.deployer.beside_obstacle(), None);
    rig.deployer.beside(&candidate(&rig.two)).await.unwrap();
    assert_eq!(
        rig.model.loaded("fraud-preflight").as_deref(),
        Some("1.1"),
        "without a name the folder's counts"
    );
}

#[tokio::test]
async fn a_model_of_someone_else_under_that_name_is_left_alone() {
    let rig = Rig::with(preflight).await.serving_one().await;
    let folder = rig.models().join("fraud-preflight");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model.txt"), "theirs").unwrap();
    rig.model.load("fraud-preflight");
    let error = rig.deployer.beside(&candidate(&rig.two)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    rig.deployer.clear().await.unwrap();
    assert_eq!(rig.model.loaded("fraud-preflight").as_deref(), Some("theirs"));
    assert!(folder.join("model.txt").exists());
}

#[tokio::test]
async fn what_an_ended_host_left_is_cleared_by_the_next_one() {
    let rig = Rig::with(preflight).await.serving_one().await;
    rig.deployer.beside(&candidate(&rig.two)).await.unwrap();
    let next = rig.deployer(|_| {});
    next.clear().await.unwrap();
    assert_eq!((rig.model.loaded("fraud-preflight"), rig.beside().len()), (None, 2));

    // The server is away when the candidate is cleared: the folder goes, and the rest is asked for again.
    rig.deployer.beside(&candidate(&rig.two)).await.unwrap();
    let proxy = FaultProxy::start(&rig.config.url).await.unwrap();
    let behind = rig.deployer(|config| config.url = proxy.url());
    proxy.order(Which::Any, Fault::Unsent, usize::MAX);
    behind.clear().await.unwrap_err();
    assert!(!rig.models().join("fraud-preflight").exists(), "a server that starts now does not load it");
    assert!(rig.model.loaded("fraud-preflight").is_some());
    proxy.calm();
    behind.clear().await.unwrap();
    assert_eq!((rig.model.loaded("fraud-preflight"), rig.beside().len()), (None, 2));
}

#[tokio::test]
async fn names_that_cannot_be_a_candidates_are_refused() {
    let rig = Rig::new().await;
    for name in ["fraud", "", ".", "..", "a/b", ".hidden", "a\nb"] {
        let config = OpenInferenceDeployerConfig { preflight_model: Some(name.into()), ..rig.config.clone() };
        let error = OpenInferenceDeployer::new(config, None, &shared()).unwrap_err();
        assert!(
            error.kind == ErrorKind::Configuration && error.to_string().contains("`preflight-model`"),
            "{error}"
        );
    }
}
