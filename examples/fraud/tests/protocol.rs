//! The server answers as the Open Inference Protocol, and MLServer where that says more, would have it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;

use crate::support::{Setup, decisions, question};
use serde_json::{Value, json};

#[tokio::test]
async fn answers_by_path() {
    let setup = Setup::new(Some("1.3.2")).await;
    let get = async |path: &str, status: u16, body: Value| {
        assert_eq!(setup.get(path).await, (status, body), "{path}")
    };
    get("/v2", 200, json!({ "name": "fraud", "version": env!("CARGO_PKG_VERSION"), "extensions": [] })).await;
    get("/v2/health/live", 200, json!("")).await;
    get("/v2/health/ready", 200, json!("")).await;
    get("/v2/models/fraud/ready", 200, json!("")).await;
    get("/v2/models/fraud/versions/1.3.2/ready", 200, json!("")).await;
    get("/v2/models/nope", 404, json!({ "error": "Model nope not found" })).await;
    get("/v2/models/nope/ready", 404, json!({ "error": "Model nope not found" })).await;
    get(
        "/v2/models/fraud/versions/1.2.0",
        404,
        json!({ "error": "Model fraud with version 1.2.0 not found" }),
    )
    .await;
    get(
        "/v2/models/fraud/versions/1.2.0/ready",
        404,
        json!({ "error": "Model fraud with version 1.2.0 not found" }),
    )
    .await;
    let metadata = json!({
        "name": "fraud",
        "versions": ["1.3.2"],
        "platform": "fraud.LogisticRegression",
        "inputs": [{ "name": "transaction", "datatype": "FP64", "shape": [-1, 7] }],
        "outputs": [
            { "name": "probability", "datatype": "FP64", "shape": [-1, 1] },
            { "name": "decision", "datatype": "BYTES", "shape": [-1, 1] },
        ],
        "parameters": {},
    });
    get("/v2/models/fraud", 200, metadata.clone()).await;
    get("/v2/models/fraud/versions/1.3.2", 200, metadata).await;

    let post = async |path: &str, body: Value, status: u16, wanted: Value| {
        assert_eq!(setup.post(path, body).await, (status, wanted), "{path}");
    };
    let row = json!([{ "name": "fraud", "version": "1.3.2", "state": "READY", "reason": "" }]);
    post("/v2/repository/index", json!({}), 200, row.clone()).await;
    post("/v2/repository/index", json!({ "ready": true }), 200, row).await;
    post("/v2/repository/models/fraud/load", json!({}), 200, json!("")).await;
    post("/v2/repository/models/nope/load", json!({}), 404, json!({ "error": "Model nope not found" })).await;
    post(
        "/v2/repository/models/..%2F..%2Fregistry/load",
        json!({}),
        404,
        json!({ "error": "Model ../../registry not found" }),
    )
    .await;
    post("/v2/repository/models/nope/unload", json!({}), 404, json!({ "error": "Model nope not found" }))
        .await;
    post("/v2/models/nope/infer", question("a", 900.0), 404, json!({ "error": "Model nope not found" }))
        .await;
    post(
        "/v2/models/fraud/versions/9/infer",
        question("a", 900.0),
        404,
        json!({ "error": "Model fraud with version 9 not found" }),
    )
    .await;

    // Without a body, as MLServer's own client asks.
    assert_eq!(setup.post_raw("/v2/repository/index", Vec::new()).await.0, 200);
    assert_eq!(setup.post_raw("/v2/repository/models/fraud/load", Vec::new()).await.0, 200);
    assert_eq!(setup.post_raw("/v2/repository/index", b"[".to_vec()).await.0, 400);
}

#[tokio::test]
async fn infers_one_row_and_several() {
    let setup = Setup::new(Some("1.3.2")).await;
    let (status, answer) = setup.post("/v2/models/fraud/infer", question("order-1", 900.0)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["model_name"], "fraud");
    assert_eq!(answer["model_version"], "1.3.2");
    assert_eq!(answer["id"], "order-1");
    assert_eq!(answer["outputs"][0]["name"], "probability");
    assert_eq!(answer["outputs"][0]["datatype"], "FP64");
    assert_eq!(answer["outputs"][0]["shape"], json!([1, 1]));
    assert!(answer["outputs"][0]["data"][0].as_f64().is_some_and(|value| value < 0.1));
    assert_eq!(answer["outputs"][1]["datatype"], "BYTES");
    assert_eq!(decisions(&answer), ["approve"]);

    let two = json!({
        "inputs": [{
            "name": "transaction",
            "shape": [2, 7],
            "datatype": "FP64",
            "data": [29.9, 13.5, 0.1, 900, 0.2, 0, 0, 4800, 3.1, 0.8, 2, 0.9, 9, 1],
        }],
        "outputs": [{ "name": "decision" }],
    });
    let (status, answer) = setup.post("/v2/models/fraud/versions/1.3.2/infer", two).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(decisions(&answer), ["approve", "decline"]);
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(answer["outputs"][0]["shape"], json!([2, 1]));
    assert!(answer["id"].as_str().is_some_and(|id| id.starts_with("fraud-")));
}

#[tokio::test]
async fn bad_requests_are_refused_and_counted() {
    let setup = Setup::new(Some("1.3.2")).await;
    let infer = "/v2/models/fraud/infer";
    let wrong_shape =
        json!({ "inputs": [{ "name": "transaction", "shape": [1, 2], "datatype": "FP64", "data": [1, 2] }] });
    let (status, body) = setup.post(infer, wrong_shape.clone()).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"],
        "input `transaction` cannot be of shape [1, 2]: send [rows, 7], 1 to 1024 rows"
    );
    assert_eq!(setup.post_raw(infer, b"{".to_vec()).await.0, 400);
    assert_eq!(setup.post_raw(infer, vec![0xff; 100]).await.0, 400);
    let (status, body) = setup.post_raw(infer, vec![b' '; 5 * 1024 * 1024]).await;
    assert_eq!(status, 413);
    assert!(body["error"].as_str().unwrap().starts_with("the body cannot be taken"), "{body}");
    assert_eq!(setup.get(infer).await.0, 405);
    assert_eq!(setup.metric("fraud_request_errors_total").await, 4.0);

    assert_eq!(setup.trial(infer, wrong_shape).await.0, 400);
    assert_eq!(setup.metric("fraud_request_errors_total").await, 4.0, "a trial is not counted");

    assert_eq!(setup.post("/feedback", json!({ "id": "nobody", "fraud": true })).await.0, 404);
    assert_eq!(setup.post("/feedback", json!({ "id": 1 })).await.0, 400);
    assert_eq!(setup.post(infer, question("still-there", 900.0)).await.0, 200);
}

#[tokio::test]
async fn a_swap_changes_the_version_and_back() {
    let setup = Setup::new(Some("1.4.0")).await;
    let ask = async || setup.post("/v2/models/fraud/infer", question("a", 10.0)).await.1;
    let answer = ask().await;
    assert_eq!(
        (answer["model_version"].as_str(), decisions(&answer)),
        (Some("1.4.0"), vec!["decline".to_owned()])
    );

    fraud::train::deploy(&setup.layout, "1.3.2").unwrap();
    assert_eq!(ask().await["model_version"], "1.4.0", "nothing changes before the load");
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    let answer = ask().await;
    assert_eq!(
        (answer["model_version"].as_str(), decisions(&answer)),
        (Some("1.3.2"), vec!["approve".to_owned()])
    );
    assert_eq!(setup.post("/v2/models/fraud/versions/1.4.0/infer", question("a", 10.0)).await.0, 404);
    assert_eq!(setup.metric("fraud_model_info{version=\"1.3.2\"}").await, 1.0);
    assert_eq!(setup.metric("fraud_model_info{version=\"1.4.0\"}").await, 0.0);
}

#[tokio::test]
async fn a_broken_artefact_leaves_the_old_model_serving() {
    let setup = Setup::new(Some("1.3.2")).await;
    let file = setup.layout.models.join("fraud").join("model.json");
    let settings = setup.layout.models.join("fraud").join("model-settings.json");
    let good = fs::read(&file).unwrap();
    let load = async || setup.post("/v2/repository/models/fraud/load", json!({})).await;
    let still = async || {
        let (status, answer) = setup.post("/v2/models/fraud/infer", question("a", 900.0)).await;
        assert_eq!((status, answer["model_version"].as_str()), (200, Some("1.3.2")));
        assert_eq!(setup.get("/v2/health/ready").await.0, 200);
    };
    let check = async |problem: &str| {
        let (status, body) = load().await;
        assert_eq!(status, 500, "{body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(problem), "`{error}` does not tell `{problem}`");
        still().await;
    };

    fs::write(&file, &good[..good.len() / 2]).unwrap();
    check("the artefact is not a model").await;
    // The index reads the settings only, as MLServer's does.
    let row = json!([{ "name": "fraud", "version": "1.3.2", "state": "READY", "reason": "" }]);
    assert_eq!(setup.post("/v2/repository/index", json!({})).await.1, row);
    fs::remove_file(&file).unwrap();
    check("cannot be read").await;

    fs::write(&file, &good).unwrap();
    let whole = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "{").unwrap();
    check("are no model settings").await;
    let (_, index) = setup.post("/v2/repository/index", json!({})).await;
    assert_eq!((&index[0]["name"], &index[0]["state"]), (&json!("fraud"), &json!("UNAVAILABLE")));
    for uri in ["../../registry/fraud/1.4.0/files/model.json", "/etc/passwd", "..", ""] {
        fs::write(&settings, whole.replace("./model.json", uri)).unwrap();
        check("must be a file beside the settings").await;
    }

    fs::write(&settings, whole).unwrap();
    assert_eq!(load().await.0, 200);
    still().await;
}

#[tokio::test]
async fn versions_side_by_side() {
    let setup = Setup::new(Some("1.3.2")).await;
    let folder = setup.layout.models.join("fraud");
    let place = |version: &str, name: &str| {
        fs::create_dir_all(folder.join(name)).unwrap();
        for file in ["model.json", "model-settings.json"] {
            fs::copy(setup.layout.files(version).join(file), folder.join(name).join(file)).unwrap();
        }
    };
    let load = async || setup.post("/v2/repository/models/fraud/load", json!({})).await;
    let version = async |path: &str| setup.post(path, question("a", 10.0)).await.1["model_version"].clone();

    place("1.4.0", "candidate");
    assert_eq!(load().await.0, 200);
    assert_eq!(
        version("/v2/models/fraud/infer").await,
        "1.3.2",
        "what lies on top stays the default, with a newer one beside it"
    );
    assert_eq!(version("/v2/models/fraud/versions/1.4.0/infer").await, "1.4.0");
    assert_eq!(version("/v2/models/fraud/versions/1.3.2/infer").await, "1.3.2");
    let (_, index) = setup.post("/v2/repository/index", json!({})).await;
    assert_eq!(index.as_array().unwrap().len(), 2);
    assert_eq!(setup.get("/v2/models/fraud/versions/1.4.0").await.1["versions"], json!(["1.4.0", "1.3.2"]));

    place("1.4.0", "again");
    let (status, body) = load().await;
    assert_eq!(
        (status, body["error"].as_str()),
        (500, Some("version `1.4.0` is there twice: keep one folder of it"))
    );
    fs::remove_dir_all(folder.join("again")).unwrap();

    // One broken version keeps the whole load back.
    fs::write(folder.join("candidate").join("model.json"), "{}").unwrap();
    assert_eq!(load().await.0, 500);
    assert_eq!(version("/v2/models/fraud/versions/1.4.0/infer").await, "1.4.0");

    // Without one on top, the newest is the default.
    place("1.4.0", "candidate");
    place("1.2.0", "old");
    fs::remove_file(folder.join("model-settings.json")).unwrap();
    assert_eq!(load().await.0, 200);
    assert_eq!(version("/v2/models/fraud/infer").await, "1.4.0");
}

#[tokio::test]
async fn unload_and_load_again() {
    let setup = Setup::new(Some("1.3.2")).await;
    assert_eq!(setup.post("/v2/repository/models/fraud/unload", json!({})).await.0, 200);
    assert_eq!(setup.get("/v2/models/fraud/ready").await.0, 404);
    assert_eq!(setup.post("/v2/models/fraud/infer", question("a", 900.0)).await.0, 404);
    let (_, index) = setup.post("/v2/repository/index", json!({})).await;
    assert_eq!(index[0]["state"], "UNAVAILABLE");
    assert_eq!(setup.post("/v2/repository/index", json!({ "ready": true })).await.1, json!([]));
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    assert_eq!(setup.post("/v2/models/fraud/infer", question("a", 900.0)).await.0, 200);
}

#[tokio::test]
async fn an_empty_folder_is_served_and_a_broken_one_is_not_ready() {
    let setup = Setup::new(None).await;
    assert_eq!(setup.get("/v2/health/ready").await.0, 200);
    assert_eq!(setup.post("/v2/models/fraud/infer", question("a", 900.0)).await.0, 404);
    fs::write(setup.layout.models.join("fraud").join("model-settings.json"), "{}").unwrap();
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 500);
    assert_eq!(setup.get("/v2/health/ready").await.0, 503);
    assert_eq!(setup.get("/v2/health/live").await.0, 200);
    fraud::train::deploy(&setup.layout, "1.3.2").unwrap();
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    assert_eq!(setup.get("/v2/health/ready").await.0, 200);
}
