//! MLflow's registry, against what real servers of release 2 and 3 answered.

mod artefacts;
mod changes;
mod replay;
mod taken_in;

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use ripcord_adapters::conformance::registering::{Naming, Registering};
use ripcord_adapters::conformance::registry_faults::Steadiness;
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use ripcord_adapters::{Secret, conformance};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Lineage;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_core::time::Millis;
use ripcord_ports::registry::{NewVersion, RegistryVersion, Staged};
use ripcord_ports::{Applied, ErrorKind, Registry, Retry};
use serde_json::{Value, json};

use self::replay::{Replay, config, registry, replayed};
use crate::adapters::support::{
    Folders, Server, StandingClock, empty_dir, shared, shared_at, target, version,
};

#[tokio::test]
async fn release_2_conforms_also_while_the_network_fails() {
    conforms(2).await;
}

#[tokio::test]
async fn release_3_conforms_also_while_the_network_fails() {
    conforms(3).await;
}

async fn conforms(release: u32) {
    let server = Replay::living(release).start().await;
    let direct = registry(server.url(""));
    let mut newest_first = Vec::new();
    for name in ["2", "1"] {
        let staged = direct.fetch(&target(name, None), empty_dir().1).await.unwrap();
        newest_first.push(target(name, Some(staged.digest)));
    }
    let expected = conformance::registry::Expected { newest_first, marks: true, promotes: true };
    let folders = Folders::default();
    let empty = || folders.next();
    conformance::registry::conforms(&direct, &expected, &empty).await;

    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    let behind = MlflowRegistryConfig { patience_ms: 300, ..config(proxy.url()) };
    let behind = MlflowRegistry::new(behind, None, &shared()).unwrap();
    let steady = Steadiness::Retries;
    conformance::registry_faults::conforms_in_faults(&behind, &proxy, &expected, steady, &empty).await;
}

#[tokio::test]
async fn versions_are_taken_in_once_also_while_the_network_fails() {
    for release in [2, 3] {
        let server = Replay::living(release).start().await;
        let direct = registry(server.url(""));
        let folders = Folders::default();
        let empty_dir = || folders.next();
        let registering = Registering { registry: &direct, naming: Naming::Counted, empty_dir: &empty_dir };
        conformance::registering::conforms(registering).await;

        let proxy = FaultProxy::start(&server.url("")).await.unwrap();
        let behind = MlflowRegistryConfig { patience_ms: 300, ..config(proxy.url()) };
        let behind = MlflowRegistry::new(behind, None, &shared()).unwrap();
        let requests =
            [Which::With("model-versions/create"), Which::With("mlflow-artifacts/artifacts/0/ripcord")];
        let registering = Registering { registry: &behind, ..registering };
        conformance::registering::conforms_in_faults(registering, &proxy, &requests).await;
    }
}

#[tokio::test]
async fn what_a_version_was_made_of_may_be_long_and_not_endless() {
    let server = Replay::living(3).start().await;
    let registry = registry(server.url(""));
    let folders = Folders::default();
    let dir = folders.next();
    dir.write("model.bin", "x").unwrap();
    let files = vec![ArtefactFile { path: "model.bin".into(), sha256: Digest::of("x"), bytes: 1 }];
    let new = |key: &str, length: usize| NewVersion {
        key: key.into(),
        name: None,
        artefact: Staged { dir: dir.clone(), digest: artefact_digest(&files), files: files.clone() },
        signature: None,
        lineage: Lineage { parameters: vec![Label::new("note", "é".repeat(length))], ..Lineage::default() },
        measures: Vec::new(),
    };
    let long = registry.register(&new("key-1", 20_000)).await.unwrap();
    let lineage = registry.lineage(&long.version).await.unwrap();
    assert_eq!(lineage.parameters[0].value.chars().count(), 20_000);
    let tags = registry.version(&long.version).await.unwrap().tags;
    let names: Vec<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["ripcord.digest", "ripcord.key"], "the parts are no tags for people");
    let error = registry.register(&new("key-2", 80_000)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TooLarge, Applied::No), "{error}");
    assert!(error.to_string().contains("log less of it"), "{error}");
    let error = registry.register(&new("it's", 1)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Configuration, Applied::No), "{error}");
}

#[tokio::test]
async fn no_version_is_made_of_files_that_did_not_all_arrive() {
    let replay = Replay::living(3);
    let server = replay.start().await;
    let registry = registry(server.url(""));
    let folders = Folders::default();
    let dir = folders.next();
    dir.write("model.bin", "x").unwrap();
    let files = vec![ArtefactFile { path: "model.bin".into(), sha256: Digest::of("x"), bytes: 1 }];
    let new = NewVersion {
        key: "key-1".into(),
        name: None,
        artefact: Staged { dir, digest: artefact_digest(&files), files },
        signature: None,
        lineage: Lineage::default(),
        measures: Vec::new(),
    };
    // A store that takes an upload and keeps nothing, a right that is missing, a model that is not there.
    for (part, status, body, kind, expected) in [
        ("PUT ", 200, json!({}), ErrorKind::NotFound, "no file"),
        ("PUT ", 403, json!("Permission denied"), ErrorKind::Denied, "EDIT on the experiment"),
        (
            "model-versions/create",
            404,
            json!({"error_code": "RESOURCE_DOES_NOT_EXIST"}),
            ErrorKind::NotFound,
            "no registered model `fraud`",
        ),
    ] {
        replay.script(part, status, body);
        let error = registry.register(&new).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(registry.versions(10).await.unwrap().len(), 2, "{expected}");
    }
    registry.register(&new).await.unwrap();
}

#[tokio::test]
async fn versions_are_listed_with_aliases_measures_and_signature() {
    for release in [2, 3] {
        let (replay, _server, registry) = replayed(release).await;
        let versions = registry.versions(10).await.unwrap();
        let names: Vec<_> = versions.iter().map(|listed| listed.version.version.as_str()).collect();
        assert_eq!(names, ["2", "1"]);
        let [new, old] = &versions[..] else { panic!("two versions") };
        assert_eq!((&new.aliases[..], &old.aliases[..]), (&["champion".to_owned()][..], &[][..]));
        assert_eq!(old.tags[0].name, "team");
        assert_eq!(old.broken, None, "release {release}");
        // A loss of NaN was logged as well: it is no measure.
        let measures: Vec<_> = new.measures.iter().map(|m| (m.name.as_str(), m.value)).collect();
        assert_eq!(measures, [("accuracy", 0.8733333333333333)]);
        assert!(new.signature.as_deref().unwrap().contains("float64"), "{:?}", new.signature);
        assert!(
            new.runtime.as_deref().unwrap().starts_with("mlflow.sklearn, python 3.11"),
            "{:?}",
            new.runtime
        );
        assert_eq!(registry.version(&version("2")).await.unwrap(), *new);

        let before = replay.seen("");
        assert_eq!(registry.versions(10).await.unwrap(), versions);
        assert_eq!(replay.seen("") - before, 2, "what has been described lately is not read again");
        assert_eq!(registry.versions(1).await.unwrap(), versions[..1]);
        assert_eq!(replay.seen("max_results=1&"), 1);
    }
}

#[tokio::test]
async fn what_hangs_on_a_version_is_listed_from_memory_for_nine_minutes_and_no_longer() {
    let replay = Replay::release(3);
    let server = replay.start().await;
    let clock = StandingClock::at(1_000_000);
    let registry = MlflowRegistry::new(config(server.url("")), None, &shared_at(clock.clone())).unwrap();
    let listed = registry.versions(10).await.unwrap();
    let requests = async || {
        let before = replay.seen("");
        assert_eq!(registry.versions(10).await.unwrap(), listed);
        replay.seen("") - before
    };
    assert_eq!(requests().await, 2, "the versions with their tags, and the aliases");
    clock.set(1_000_000 + 9 * 60_000);
    assert_eq!(requests().await, 6, "and the run and the files of both");
    assert_eq!(requests().await, 2);
    // Whoever asks for one version wants it as it is now.
    let before = replay.seen("");
    registry.version(&version("2")).await.unwrap();
    assert_eq!(replay.seen("") - before, 3);
    // What cannot be had is not remembered, so that it is seen as soon as it can.
    clock.set(1_000_000 + 18 * 60_000);
    let artefacts = "GET /api/2.0/mlflow-artifacts/artifacts?";
    replay.script(artefacts, 200, json!({}));
    let broken = |listed: &[RegistryVersion]| listed.iter().filter(|one| one.broken.is_some()).count();
    assert_eq!(broken(&registry.versions(10).await.unwrap()), 1);
    assert_eq!(broken(&registry.versions(10).await.unwrap()), 0);
}

#[tokio::test]
async fn lineage_names_code_parameters_and_data_sets() {
    for (release, source) in [(2, "mlflow-artifacts:/1/"), (3, "models:/m-")] {
        let (_replay, _server, registry) = replayed(release).await;
        let lineage = registry.lineage(&version("2")).await.unwrap();
        assert_eq!(lineage.code.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
        assert_eq!(lineage.dataset.as_deref(), Some("iris"));
        assert_eq!(lineage.dataset_revision.as_ref().unwrap().len(), 8);
        let value = |name: &str| {
            let found = lineage.parameters.iter().find(|label| label.name == name);
            found.map(|label| label.value.as_str()).unwrap_or_else(|| panic!("{name} of release {release}"))
        };
        assert_eq!(value("C"), "0.01");
        assert_eq!(value("mlflow:source.name"), "seed.py");
        assert_eq!(lineage.run.map(|run| run.len()), Some(32));
        assert!(lineage.source.unwrap().starts_with(source));
        let sets: Vec<_> =
            lineage.datasets.iter().map(|set| (set.name.as_str(), set.context.as_deref())).collect();
        assert_eq!(sets, [("iris", Some("training")), ("iris-rest", Some("eval"))]);
        assert_eq!(lineage.datasets[0].revision, lineage.dataset_revision);
        assert_eq!(lineage.datasets[1].revision.as_ref().unwrap().len(), 8);
    }
}

#[tokio::test]
async fn what_hinders_a_fetch_shows_in_the_list() {
    let artefacts = "GET /api/2.0/mlflow-artifacts/artifacts?";
    let one = json!({"model_version": {"version": "1", "creation_timestamp": "7", "status": "PENDING_REGISTRATION"}});
    let cases: [(&str, u16, Value, &str); 6] = [
        ("model-versions/get?", 200, one, "PENDING_REGISTRATION"),
        (artefacts, 200, json!({}), "has no file in mlflow"),
        (artefacts, 403, json!("Permission denied"), "READ on the experiments"),
        ("artifacts/MLmodel", 200, json!("flavors: ["), "another size than listed"),
        ("runs/get", 403, json!("Permission denied"), "READ on the experiments"),
        ("get-download-uri", 404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST"}), "no version `1`"),
    ];
    for (part, status, body, expected) in cases {
        let (replay, _server, registry) = replayed(3).await;
        replay.script(part, status, body);
        let broken = registry.version(&version("1")).await.unwrap().broken;
        let why = broken.unwrap_or_else(|| panic!("{part}: not broken"));
        assert!(why.contains(expected), "{part}: {why}");
    }
    let (replay, _server, registry) = replayed(3).await;
    replay.script("runs/get", 404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}));
    let listed = registry.version(&version("1")).await.unwrap();
    assert_eq!((listed.broken, listed.measures.len()), (None, 0), "a deleted run takes the measures with it");
}

#[tokio::test]
async fn what_is_unknown_is_said_to_be() {
    for release in [2, 3] {
        let (replay, server, registry) = replayed(release).await;
        for name in ["99", "no-such", "007"] {
            let error = registry.version(&version(name)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains(&format!("no version `{name}` of `fraud`")), "{error}");
        }
        assert_eq!(replay.seen("version=no-such"), 0, "a version is a number to mlflow");

        let elsewhere = |model: &str, alias: &str| {
            let config = MlflowRegistryConfig {
                model: model.into(),
                alias: Some(alias.into()),
                ..config(server.url(""))
            };
            MlflowRegistry::new(config, None, &shared()).unwrap()
        };
        assert_eq!(registry.promoted().await.unwrap(), Some(version("2")));
        assert_eq!(elsewhere("fraud", "nobody").promoted().await.unwrap(), None);
        // Release 2 gives the same 400 for an alias of a model that does not exist.
        for error in [
            elsewhere("no-model", "champion").promoted().await.unwrap_err(),
            elsewhere("no-model", "champion").versions(10).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::NotFound, "release {release}: {error}");
            assert!(error.to_string().contains("`no-model`"), "{error}");
        }
        let error = registry.promote(&version("99"), Some(&version("2"))).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    }
}

#[tokio::test]
async fn an_alias_that_is_not_found_is_told_from_a_model_that_is_not() {
    let (replay, _server, registry) = replayed(3).await;
    let gone = json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"});
    for status in [400, 404] {
        replay.script("registered-models/alias", status, gone.clone());
        replay.script("registered-models/get", 200, json!({"registered_model": {"name": "fraud"}}));
        assert_eq!(registry.promoted().await.unwrap(), None, "{status}");
    }
    for alike in ["Champion", "champion ", "CHAMPION"] {
        replay.script("registered-models/alias", 400, gone.clone());
        let aliases = json!([{"alias": "other", "version": "1"}, {"alias": alike, "version": "2"}]);
        replay.script(
            "registered-models/get",
            200,
            json!({"registered_model": {"name": "fraud", "aliases": aliases}}),
        );
        let error = registry.promoted().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(
            error.to_string().contains(&format!("the alias `{alike}` of `fraud`, and `alias` is `champion`")),
            "{error}"
        );
    }
    replay.script("registered-models/alias", 404, gone.clone());
    replay.script("registered-models/get", 404, gone);
    assert_eq!(registry.promoted().await.unwrap_err().kind, ErrorKind::NotFound);
    replay.script("registered-models/alias", 403, json!("Permission denied"));
    assert_eq!(registry.promoted().await.unwrap_err().kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_server_below_a_path_is_found_there() {
    let server = Replay::release(3).start_below("/ml/flow").await;
    for path in ["/ml/flow", "/ml/flow/"] {
        let registry = registry(server.url(path));
        assert_eq!(registry.versions(10).await.unwrap().len(), 2);
        registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
    }
    let error = registry(server.url("")).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    assert!(error.to_string().contains("check the address"), "{error}");
}

#[tokio::test]
async fn errors_of_every_form_become_one_clear_sentence() {
    const LOGIN: &str = "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow on how to authenticate.";
    const PAGE: &str = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n";
    let json_error = |code: &str| json!({"error_code": code, "message": "said mlflow"});
    let cases = [
        (401, json!(LOGIN), ErrorKind::Denied, "check `user` and password"),
        (403, json!("Permission denied"), ErrorKind::Denied, "READ on the registered model `fraud`"),
        (403, json_error("PERMISSION_DENIED"), ErrorKind::Denied, "said mlflow"),
        (404, json!(PAGE), ErrorKind::BadAnswer, "2.3 or later"),
        (400, json_error("INVALID_PARAMETER_VALUE"), ErrorKind::Failed, "said mlflow"),
        (302, json!(""), ErrorKind::Failed, "redirect"),
        (200, json!("<html>Sign in</html>"), ErrorKind::BadAnswer, "not the JSON expected"),
        (200, json!({"model_version": {}}), ErrorKind::BadAnswer, "not the JSON expected"),
        (
            200,
            json!({"model_version": {"version": "3", "creation_timestamp": 1}}),
            ErrorKind::BadAnswer,
            "answered with version `3`",
        ),
        (501, json!("not here"), ErrorKind::Failed, "501"),
    ];
    for (status, body, kind, expected) in cases {
        let (replay, _server, registry) = replayed(3).await;
        for _ in 0..10 {
            replay.script("model-versions/get?", status, body.clone());
        }
        let error = registry.version(&version("2")).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{status}: {error}");
        assert!(error.to_string().contains(expected), "{status}: {error}");
        if status != 501 {
            assert_eq!(
                (error.retry, replay.seen("model-versions/get?")),
                (Retry::No, 1),
                "{status}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_wants_and_no_sooner() {
    let (_replay, server, _) = replayed(3).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    let registry = registry(proxy.url());
    proxy.order(Which::Any, Fault::Instead(Canned::later(429, 1)), 1);
    let begun = Instant::now();
    registry.manifest(&version("1")).await.unwrap();
    assert!(begun.elapsed().as_millis() >= 1_000);
    // Beyond patience it is not waited: whoever called is told when to come back.
    proxy.order(Which::Any, Fault::Instead(Canned::later(503, 60)), 1);
    let error = registry.manifest(&version("1")).await.unwrap_err();
    assert_eq!(error.retry, Retry::After(Millis::seconds(60)), "{error}");
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_or_is_down_ends_in_one_sentence() {
    let (_replay, server, _) = replayed(3).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    let quick = MlflowRegistryConfig { deadline_ms: 100, patience_ms: 0, ..config(proxy.url()) };
    let registry = MlflowRegistry::new(quick, None, &shared()).unwrap();
    proxy.order(Which::Any, Fault::Delay(Duration::from_secs(5)), 1);
    let error = registry.manifest(&version("1")).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::TimedOut, Retry::Later), "{error}");
    let address = proxy.url();
    drop(proxy);
    let error = registry.manifest(&version("1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(&address) && error.to_string().contains("check that the system runs"));
}

#[tokio::test]
async fn credentials_are_sent_to_the_server_and_to_nobody_else() {
    for (user, expected) in [(Some("ripcord"), "Basic cmlwY29yZDpzM2NyZXQ="), (None, "Bearer s3cret")] {
        let (replay, server, _) = replayed(3).await;
        let config = MlflowRegistryConfig { user: user.map(str::to_owned), ..config(server.url("")) };
        let registry = MlflowRegistry::new(config, Some(Secret::new("s3cret")), &shared()).unwrap();
        registry.versions(10).await.unwrap();
        registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
        let seen = replay.seen.lock().unwrap().clone();
        assert!(seen.iter().all(|(_, _, authorization)| authorization.as_deref() == Some(expected)));
        assert!(!format!("{registry:?}").contains("s3cret"));
    }
    let elsewhere = Replay::release(3);
    let other = elsewhere.start().await;
    let place = other.url("/api/2.0/mlflow/model-versions/get?name=fraud&version=1");
    let redirecting =
        Router::new().fallback(move || async move { (StatusCode::FOUND, [("location", place)]) });
    let server = Server::start(redirecting).await;
    let registry =
        MlflowRegistry::new(config(server.url("")), Some(Secret::new("s3cret")), &shared()).unwrap();
    let error = registry.manifest(&version("1")).await.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert_eq!(elsewhere.seen(""), 0);
}

#[test]
fn wrong_configurations_are_refused_with_what_to_do() {
    let check = |change: fn(&mut MlflowRegistryConfig), secret: Option<Secret>, expected: &str| {
        let mut config = config("http://127.0.0.1:5000".into());
        change(&mut config);
        let error = MlflowRegistry::new(config, secret, &shared()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    };
    check(|config| config.url = "127.0.0.1:5000".into(), None, "http");
    check(|config| config.url = "http://me:hunter2@127.0.0.1".into(), None, "`user`");
    check(|config| config.model = "a/b".into(), None, "`a/b`");
    check(|config| config.model = "it's \"it\"".into(), None, "search");
    check(|config| config.alias = Some("Latest".into()), None, "`Latest`");
    check(|config| config.user = Some("me".into()), None, "`password-file`");
}
