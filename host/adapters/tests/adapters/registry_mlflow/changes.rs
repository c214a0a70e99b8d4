//! The alias and the marks.

use ripcord_adapters::registry_mlflow::{CONDEMNED_TAG, MlflowRegistry, MlflowRegistryConfig};
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, Registry};
use serde_json::{Value, json};

use super::replay::{config, replayed};
use crate::adapters::support::{shared, version};

fn pointing_at(name: &str) -> Value {
    json!({"model_version": {"version": name, "creation_timestamp": 1, "aliases": ["champion"]}})
}

#[tokio::test]
async fn the_alias_is_moved_once_and_believed_when_it_is_read() {
    const SET: &str = "POST /api/2.0/mlflow/registered-models/alias";
    const GET: &str = "GET /api/2.0/mlflow/registered-models/alias";
    let (replay, _server, registry) = replayed(3).await;
    replay.script(SET, 200, json!({}));
    replay.script(GET, 200, pointing_at("2"));
    replay.script(GET, 200, pointing_at("1"));
    registry.promote(&version("1"), Some(&version("2"))).await.unwrap();
    assert_eq!(replay.seen(SET), 1);
    let sent = replay.seen.lock().unwrap().iter().find(|seen| seen.0.starts_with("POST")).unwrap().1.clone();
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent, json!({"name": "fraud", "alias": "champion", "version": "1"}));

    // It is there already: nothing is sent, whatever was expected.
    registry.promote(&version("2"), None).await.unwrap();
    let error = registry.promote(&version("1"), Some(&version("7"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert!(error.to_string().contains("points at version `2` where version `7` was expected"), "{error}");
    assert_eq!(replay.seen(SET), 1);

    // What a success and what a failure are worth is what is read afterwards.
    replay.script(SET, 200, json!({}));
    let error = registry.promote(&version("1"), Some(&version("2"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::Unknown), "{error}");
    assert!(error.to_string().contains("reads as before"), "{error}");
    replay.script(SET, 500, json!("trouble"));
    replay.script(GET, 200, pointing_at("2"));
    replay.script(GET, 200, pointing_at("1"));
    registry.promote(&version("1"), Some(&version("2"))).await.unwrap();
    replay.script(SET, 403, json!("Permission denied"));
    let error = registry.promote(&version("1"), Some(&version("2"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No));
    assert!(error.to_string().contains("EDIT on the registered model `fraud`"), "{error}");
    assert_eq!(replay.seen(SET), 4);
}

#[tokio::test]
async fn without_an_alias_nothing_is_promoted() {
    let (replay, server, _) = replayed(3).await;
    let config = MlflowRegistryConfig { alias: None, ..config(server.url("")) };
    let registry = MlflowRegistry::new(config, None, &shared()).unwrap();
    for error in
        [registry.promoted().await.unwrap_err(), registry.promote(&version("1"), None).await.unwrap_err()]
    {
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.to_string().contains("configure `alias`"), "{error}");
    }
    assert_eq!(replay.seen(""), 0);
}

fn tagged(tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"model_version": {"version": "1", "creation_timestamp": 1, "status": "READY", "tags": tags}})
}

#[tokio::test]
async fn holds_are_tags_that_are_read_back() {
    const SET: &str = "POST /api/2.0/mlflow/model-versions/set-tag";
    const GET: &str = "GET /api/2.0/mlflow/model-versions/get?";
    let held = [(CONDEMNED_TAG, "fraud-api:7"), ("ripcord.hold", "fraud-api:7")];
    let mark = Mark::Held { incident: "fraud-api:7" };
    let (replay, _server, registry) = replayed(3).await;
    replay.script(SET, 200, json!({}));
    replay.script(SET, 200, json!({}));
    replay.script(GET, 200, tagged(&[]));
    replay.script(GET, 200, tagged(&held[..1]));
    replay.script(GET, 200, tagged(&held));
    registry.mark(&version("1"), mark).await.unwrap();
    replay.script(GET, 200, tagged(&held));
    registry.mark(&version("1"), mark).await.unwrap();
    assert_eq!(replay.seen(SET), 2, "a mark that is there is not written again");

    replay.script(GET, 200, tagged(&held));
    let listed = registry.version(&version("1")).await.unwrap();
    assert!(listed.tags.iter().any(|tag| tag.name == "ripcord.hold" && tag.value == "fraud-api:7"));

    let lifted = [held[0], ("ripcord.hold", "lifted")];
    replay.script(SET, 200, json!({}));
    replay.script(GET, 200, tagged(&held));
    replay.script(GET, 200, tagged(&lifted));
    registry.mark(&version("1"), Mark::Lifted).await.unwrap();
    replay.script(GET, 200, tagged(&lifted));
    let listed = registry.version(&version("1")).await.unwrap();
    let tags: Vec<_> = listed.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(tags, [CONDEMNED_TAG], "a hold is listed while it stands");
    replay.script(GET, 200, tagged(&lifted));
    registry.mark(&version("1"), Mark::Lifted).await.unwrap();
    registry.mark(&version("1"), Mark::Lifted).await.unwrap();
    assert_eq!(replay.seen(SET), 3, "what was never held needs no lifting");

    replay.script(SET, 200, json!({}));
    let error = registry.mark(&version("1"), mark).await.unwrap_err();
    assert!(error.to_string().contains("reads as before"), "{error}");
    let error = registry.mark(&version("99"), mark).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}
