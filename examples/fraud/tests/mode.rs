//! The safe mode: entered and left by request, told in every answer, and kept over a restart only where a file is there for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;

use crate::support::{Setup, decisions, question};
use fraud::serve::{self, Server};
use fraud::traffic;
use serde_json::json;

const RULES: &str = r#"{"mode": "rules"}"#;
const MODEL: &str = r#"{"mode":"model"}"#;

#[tokio::test]
async fn the_rules_answer_say_so_and_are_left_again() {
    let mut setup = Setup::new(Some("1.4.0")).await;
    let (said, answer) = setup.infer("a", 10.0).await;
    assert_eq!((said["x-answered-by"].as_str(), decisions(&answer)), ("model", vec!["decline".to_owned()]));
    assert_eq!(setup.mode().await.0, "model");

    assert_eq!(setup.put_mode(RULES, None).await, (200, json!({ "mode": "rules" })));
    let (said, answer) = setup.infer("b", 10.0).await;
    assert_eq!((said["x-answered-by"].as_str(), decisions(&answer)), ("rules", vec!["approve".to_owned()]));
    assert_eq!(setup.said_by("/v2/models/fraud").await, said, "as a prediction says it");
    // What is deployed is not hidden by it, and what decided is.
    assert_eq!(
        (&answer["model_version"], &answer["parameters"]),
        (&json!("1.4.0"), &json!({ "answered_by": "rules" }))
    );
    assert_eq!(setup.get("/v2/models/fraud").await.1["versions"], json!(["1.4.0"]));
    // A version that is asked for by name answers by itself: it can be tried before the safe mode is left.
    let (_, tried) = setup.trial("/v2/models/fraud/versions/1.4.0/infer", question("t", 10.0)).await;
    assert_eq!(decisions(&tried), ["decline"]);

    assert_eq!(setup.put_mode(MODEL, None).await, (200, json!({ "mode": "model" })));
    let (said, answer) = setup.infer("c", 10.0).await;
    assert_eq!((said["x-answered-by"].as_str(), decisions(&answer)), ("model", vec!["decline".to_owned()]));

    // What the rules decided is the rules' doing in every book.
    let decided = async |decision: &str, version: &str| {
        setup.metric(&format!("fraud_decisions_total{{decision=\"{decision}\",version=\"{version}\"}}")).await
    };
    assert_eq!((decided("decline", "1.4.0").await, decided("approve", "rules").await), (2.0, 1.0));
    assert_eq!(decided("decline", "rules").await, 0.0);
    let learnt = setup.post("/feedback", json!({ "id": "b", "fraud": false })).await.1;
    assert_eq!(learnt, json!({ "result": "true_negative", "version": "rules" }));
    setup.stop().await;
    let by: Vec<_> = setup.logged().iter().map(|line| line["answered_by"].clone()).collect();
    assert_eq!(by, [json!(null), json!("rules"), json!(null)]);
}

#[tokio::test]
async fn counters_of_the_rules_begin_at_zero_when_they_are_entered() {
    let setup = Setup::new(Some("1.3.2")).await;
    assert_eq!(setup.metric("fraud_mode_info{mode=\"model\"}").await, 1.0);
    assert!(!setup.get("/metrics").await.1.as_str().unwrap().contains("version=\"rules\""));
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    let (_, text) = setup.get("/metrics").await;
    for line in [
        "fraud_mode_info{mode=\"model\"} 0",
        "fraud_mode_info{mode=\"rules\"} 1",
        "fraud_feedback_total{result=\"false_positive\",version=\"rules\"} 0",
        "fraud_decisions_total{decision=\"decline\",version=\"rules\"} 0",
    ] {
        assert!(text.as_str().unwrap().lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_change_is_made_only_to_what_was_expected() {
    let setup = Setup::new(Some("1.3.2")).await;
    let (_, first) = setup.mode().await;
    let (status, body) = setup.put_mode(RULES, Some("\"else\"")).await;
    assert_eq!(status, 412);
    let told = format!("the mode is `model` with the tag {first} and not as expected: read `/mode` again");
    assert_eq!(body["error"], json!(told));
    assert_eq!(setup.mode().await, ("model".to_owned(), first.clone()));

    assert_eq!(setup.put_mode(RULES, Some(&first)).await.0, 200);
    let (mode, second) = setup.mode().await;
    assert!(mode == "rules" && second != first);
    assert_eq!(setup.put_mode(MODEL, Some(&first)).await.0, 412, "the old tag is no longer good");
    assert_eq!(setup.put_mode(RULES, Some(&second)).await.0, 200);
    assert_eq!(setup.mode().await.1, second, "nothing changed, so the tag did not");
    assert_eq!(setup.put_mode(MODEL, Some("*")).await.0, 200);
    let (mode, third) = setup.mode().await;
    assert!(mode == "model" && third != first, "the same mode again is another state");
    assert_eq!(setup.put_mode(RULES, Some(&format!("\"x\", {third}"))).await.0, 200);
}

#[tokio::test]
async fn what_is_no_mode_is_refused() {
    let setup = Setup::new(Some("1.3.2")).await;
    for bad in [
        "",
        "{}",
        "[]",
        "\"rules\"",
        r#"{"mode":"off"}"#,
        r#"{"mode":null}"#,
        r#"{"mode":"rules","for":"1h"}"#,
    ] {
        let (status, body) = setup.put_mode(bad, None).await;
        assert_eq!(status, 422, "{bad}");
        let error = body["error"].as_str().unwrap();
        assert!(
            error.starts_with("the body is not a mode: ")
                && error.ends_with(r#"send `{"mode": "model"}` or `{"mode": "rules"}`"#),
            "{error}"
        );
    }
    assert_eq!(setup.mode().await.0, "model");
}

#[tokio::test]
async fn a_restart_forgets_it_unless_there_is_a_file() {
    let mut setup = Setup::new(Some("1.3.2")).await;
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    let (_, before) = setup.mode().await;
    setup.restart().await;
    assert_eq!(setup.mode().await.0, "model");
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    assert_ne!(setup.mode().await.1, before, "a tag of one process is no tag of the next");

    let mut setup =
        Setup::with(Some("1.3.2"), |folder, args| args.mode_file = Some(folder.join("mode.json"))).await;
    assert_eq!(setup.mode().await.0, "model");
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    assert_eq!(fs::read_to_string(setup.path("mode.json")).unwrap(), r#"{"mode":"rules"}"#);
    setup.restart().await;
    assert_eq!(setup.mode().await.0, "rules");
    assert_eq!(setup.infer("a", 900.0).await.0["x-answered-by"], "rules");
    assert_eq!(setup.metric("fraud_mode_info{mode=\"rules\"}").await, 1.0);
    assert_eq!(setup.put_mode(MODEL, None).await.0, 200);
    setup.restart().await;
    assert_eq!(setup.mode().await.0, "model");
}

#[tokio::test]
async fn a_mode_that_cannot_be_kept_is_not_entered() {
    let setup = Setup::with(Some("1.4.0"), |folder, args| {
        fs::create_dir(folder.join("state")).unwrap();
        args.mode_file = Some(folder.join("state/mode.json"));
    })
    .await;
    let (_, tag) = setup.mode().await;
    fs::remove_dir(setup.path("state")).unwrap();
    let (status, body) = setup.put_mode(RULES, None).await;
    assert_eq!(status, 500);
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("the mode stays `model`: cannot write `"), "{error}");
    assert_eq!(setup.mode().await, ("model".to_owned(), tag));
    assert_eq!(setup.infer("a", 10.0).await.0["x-answered-by"], "model");
}

#[tokio::test]
async fn a_file_that_says_no_mode_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mode.json");
    fs::write(&file, "rules").unwrap();
    let args = serve::Args {
        models: folder.path().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        log: folder.path().join("log"),
        decision_config: None,
        mode_file: Some(file),
        latency_ms: 0,
    };
    let message = Server::start(args).await.unwrap_err().with_causes();
    assert!(message.contains("mode.json` says no mode: write `{\"mode\": \"model\"}`"), "{message}");
}

#[tokio::test]
async fn the_rules_answer_where_no_model_can() {
    let setup = Setup::new(None).await;
    assert_eq!(setup.post("/v2/models/fraud/infer", question("a", 900.0)).await.0, 404);
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    let (said, answer) = setup.infer("b", 900.0).await;
    assert_eq!((said["x-answered-by"].as_str(), decisions(&answer)), ("rules", vec!["approve".to_owned()]));
    assert_eq!(answer["model_version"], "none");
    assert_eq!(setup.post("/v2/models/other/infer", question("c", 900.0)).await.0, 404);
    assert_eq!(setup.post("/v2/models/fraud/versions/1.3.2/infer", question("d", 900.0)).await.0, 404);
    assert_eq!(setup.post("/v2/models/fraud/infer", json!({ "inputs": [] })).await.0, 400);
}

#[tokio::test]
async fn the_rules_end_the_harm_of_a_bad_model() {
    let setup = Setup::new(Some("1.4.0")).await;
    let args = traffic::Args { url: setup.url().to_owned(), rate: 300, seconds: 1, seed: 7, json: true };
    let harmful = traffic::send(&args).await.unwrap();
    assert!(harmful.false_positive_share > 0.15, "{harmful:?}");
    assert_eq!(setup.put_mode(RULES, None).await.0, 200);
    let safe = traffic::send(&args).await.unwrap();
    assert!(safe.false_positive_share < 0.08 && safe.declined > 0, "{safe:?}");
    let [share] = &safe.by[..] else { panic!("{safe:?}") };
    assert_eq!((share.version.as_str(), share.answered_by.as_deref()), ("1.4.0", Some("rules")));
    assert!(safe.to_string().contains("decided by       the rules, with 1.4.0 served: "), "{safe}");
}
