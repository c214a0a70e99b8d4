//! Fetching: whole, pinned, and nothing that the server has no business to write.

use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::{ErrorKind, Registry};
use serde_json::json;

use super::replay::{Replay, config, replayed};
use crate::adapters::support::{empty_dir, shared, target};

#[tokio::test]
async fn an_artefact_is_fetched_whole_and_pinned() {
    for (release, files) in [(2, 6), (3, 6)] {
        let (_replay, _server, registry) = replayed(release).await;
        let (folder, dir) = empty_dir();
        let staged = registry.fetch(&target("1", None), dir).await.unwrap();
        assert_eq!(staged.files.len(), files);
        for file in &staged.files {
            let bytes = std::fs::read(folder.path().join(&file.path)).unwrap();
            let expected = ArtefactFile {
                path: file.path.clone(),
                sha256: Digest::of(&bytes),
                bytes: bytes.len() as u64,
            };
            assert_eq!(*file, expected);
        }
        assert!(staged.files.iter().any(|file| file.path == "code/code-1.0/my helpers/é 100%.py"));
        assert_eq!(staged.digest, artefact_digest(&staged.files));
        registry.fetch(&target("1", Some(staged.digest)), empty_dir().1).await.unwrap();
        let error = registry.fetch(&target("2", Some(staged.digest)), empty_dir().1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::WrongDigest);
        let message = error.to_string();
        assert!(message.contains("`fraud`") && message.contains("pinned"), "{message}");
    }
}

#[tokio::test]
async fn a_place_that_is_remembered_is_a_guess_only() {
    const OTHER: &str = "mlflow-artifacts:/1/models/m-other/artifacts";
    let (replay, _server, registry) = replayed(3).await;
    let old = target("1", None);
    let first = registry.fetch(&old, empty_dir().1).await.unwrap();
    registry.version(&old.version).await.unwrap();
    let before = replay.seen("mlflow-artifacts/artifacts?");
    let again = registry.fetch(&old, empty_dir().1).await.unwrap();
    assert_eq!(again.digest, first.digest);
    assert_eq!(replay.seen("mlflow-artifacts/artifacts?") - before, 4, "each folder is listed once");

    // The model was deleted and registered anew meanwhile: what lies at the old place is not the version.
    replay.script("get-download-uri", 200, json!({ "artifact_uri": OTHER }));
    replay.script("m-other", 200, json!({ "files": [{"path": "model.bin", "file_size": 3}] }));
    replay.script("m-other/artifacts/model.bin", 200, json!("new"));
    let moved = registry.fetch(&old, empty_dir().1).await.unwrap();
    assert_eq!((moved.files.len(), moved.files[0].sha256), (1, Digest::of("new")));
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_and_nothing_is_written() {
    let file = |path: &str| json!({"path": path, "is_dir": false, "file_size": 1});
    let folder = |path: &str| json!({"path": path, "is_dir": true});
    for entries in [
        vec![file("../evil")],
        vec![file("..")],
        vec![file("/etc/passwd")],
        vec![file("a/b")],
        vec![file("a\\b")],
        vec![file("")],
        vec![folder("..")],
        vec![folder(".")],
        vec![file("MLmodel"), file("MLmodel")],
        vec![file("code"), folder("code")],
    ] {
        let (replay, _server, registry) = replayed(3).await;
        replay.script("GET /api/2.0/mlflow-artifacts/artifacts?", 200, json!({ "files": entries }));
        let (folder, dir) = empty_dir();
        let error = registry.fetch(&target("1", None), dir).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{entries:?}: {error}");
        assert!(error.to_string().contains("nothing of it was written"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(replay.seen("mlflow-artifacts/artifacts/"), 0, "no file is asked for");
    }
}

#[tokio::test]
async fn a_file_that_stands_where_a_folder_must_is_refused() {
    let (replay, _server, registry) = replayed(3).await;
    // A server that calls a file's name a folder's name as well can only do so across two answers.
    let deep = json!({ "files": [{"path": "code", "is_dir": true}, {"path": "MLmodel", "file_size": 959}] });
    replay.script("GET /api/2.0/mlflow-artifacts/artifacts?", 200, deep);
    replay.script("artifacts%2Fcode", 200, json!({ "files": [{"path": "..", "file_size": 3}] }));
    let error = registry.fetch(&target("2", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
}

#[tokio::test]
async fn artefacts_that_the_server_does_not_hand_out_are_broken_and_unsupported() {
    for (uri, expected) in [
        ("s3://bucket/models/m-1", "`--serve-artifacts`"),
        ("/srv/artifacts/1", "`--serve-artifacts`"),
        ("file:///etc", "`--serve-artifacts`"),
        ("mlflow-artifacts://evil.example/1/models", "no credentials are sent there"),
        ("mlflow-artifacts:/../../etc", "no usable place"),
        ("mlflow-artifacts:/", "no usable place"),
        ("", "`--serve-artifacts`"),
    ] {
        let (replay, _server, registry) = replayed(3).await;
        for _ in 0..2 {
            replay.script("get-download-uri?name=fraud&version=1", 200, json!({ "artifact_uri": uri }));
        }
        let versions = registry.versions(10).await.unwrap();
        assert_eq!(versions[0].broken, None, "it hides no other");
        let why = versions[1].broken.as_deref().unwrap();
        assert!(why.contains(expected), "{why}");
        let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_another_size_than_listed_is_no_part_of_an_artefact() {
    for (body, expected) in [("short", "fewer than the"), (&"long".repeat(500), "more than the")] {
        let (replay, _server, registry) = replayed(3).await;
        for _ in 0..10 {
            replay.script("artifacts/MLmodel", 200, json!(body));
        }
        let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.to_string().contains(expected) && error.to_string().contains("`MLmodel`"), "{error}");
        assert!(replay.seen("artifacts/MLmodel") > 1, "it may have been changed meanwhile");
    }
    let (replay, _server, registry) = replayed(3).await;
    replay.script("artifacts/MLmodel", 200, json!("short"));
    registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
}

#[tokio::test]
async fn an_artefact_beyond_the_limit_is_not_fetched() {
    let replay = Replay::release(3);
    let server = replay.start().await;
    let small = MlflowRegistryConfig { artefact_bytes_max: 9_000, ..config(server.url("")) };
    let registry = MlflowRegistry::new(small, None, &shared()).unwrap();
    let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert_eq!(replay.seen("mlflow-artifacts/artifacts/"), 0, "sizes are judged before anything is fetched");
    // A store that announces no sizes is judged by what comes.
    let unsized_ = json!({ "files": [{"path": "model.skops"}] });
    replay.script("GET /api/2.0/mlflow-artifacts/artifacts?", 200, unsized_);
    let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn marks_of_folders_in_an_object_store_are_passed_over() {
    let file = |path: &str, bytes: u64| json!({"path": path, "is_dir": false, "file_size": bytes});
    let folder = json!({"path": "code", "is_dir": true});
    let root =
        [file("model.bin", 3), file("artifacts", 0), file("code", 0), folder, file("", 0), file("code/", 0)];
    let code = [file("code", 0), file("a.py", 1), file("empty", 0)];
    for (status, body) in [(404, json!({"detail": "Artifact not found"})), (500, json!("<html>no</html>"))] {
        let (replay, _server, registry) = replayed(3).await;
        replay.script("artifacts%2Fcode", 200, json!({ "files": code }));
        replay.script("GET /api/2.0/mlflow-artifacts/artifacts?", 200, json!({ "files": root }));
        replay.script("/artifacts/artifacts", status, body.clone());
        replay.script("/artifacts/code/code", status, body);
        replay.script("/artifacts/model.bin", 200, json!("new"));
        replay.script("/artifacts/code/a.py", 200, json!("x"));
        replay.script("/artifacts/code/empty", 200, json!(""));
        let staged = registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
        let paths: Vec<_> = staged.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["code/a.py", "code/empty", "model.bin"]);
        assert_eq!(replay.seen("/artifacts/code/code"), 1, "it is asked for once");
    }
    // One that is there is a file like any other; one that is not empty is missed.
    let (replay, _server, registry) = replayed(3).await;
    replay.script(
        "GET /api/2.0/mlflow-artifacts/artifacts?",
        200,
        json!({ "files": [file("artifacts", 0), file("m", 1)] }),
    );
    replay.script("/artifacts/artifacts", 200, json!(""));
    replay.script("/artifacts/m", 200, json!("x"));
    let staged = registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
    assert_eq!(staged.files.len(), 2);
    let (replay, _server, registry) = replayed(3).await;
    replay.script(
        "GET /api/2.0/mlflow-artifacts/artifacts?",
        200,
        json!({ "files": [file("artifacts", 7), file("m", 1)] }),
    );
    replay.script("/artifacts/m", 200, json!("x"));
    for _ in 0..3 {
        replay.script("/artifacts/artifacts", 404, json!({"detail": "Artifact not found"}));
    }
    assert!(registry.fetch(&target("1", None), empty_dir().1).await.is_err());
    // An artefact of marks alone is none.
    let (replay, _server, registry) = replayed(3).await;
    replay.script(
        "GET /api/2.0/mlflow-artifacts/artifacts?",
        200,
        json!({ "files": [file("artifacts", 0)] }),
    );
    let error = registry.fetch(&target("1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_model_of_another_spelling_is_told_with_both() {
    for name in ["Fraud", "fraud ", "FRAUD", "fra\u{fc}d"] {
        let (replay, _server, registry) = replayed(3).await;
        replay.script(
            "registered-models/get",
            200,
            json!({"registered_model": {"name": name, "aliases": []}}),
        );
        replay.script("model-versions/search", 200, json!({}));
        let error = registry.versions(10).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind, ErrorKind::Configuration, "{text}");
        assert!(
            text.contains(&format!("`{}`", name.escape_debug())) && text.contains("`model` is `fraud`"),
            "{text}"
        );
        let version = json!({"name": name, "version": "1", "creation_timestamp": 1});
        // A database that takes the two for one name gives the other model's versions.
        replay.script("model-versions/search", 200, json!({ "model_versions": [version.clone()] }));
        let error = registry.versions(10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        replay.script("model-versions/get?", 200, json!({ "model_version": version }));
        let error = registry.version(&target("1", None).version).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    }
}
