//! The decision configuration decides beside the model, and every answer says which one did.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Setup, decisions, question};
use fraud::decision::{self, InForce, Preset};
use fraud::model::{Model, Verdict};
use fraud::train::{Recipe, train};
use fraud::transaction::Population;
use fraud::{golden, traffic};
use serde_json::{Value, json};

const INFER: &str = "/v2/models/fraud/infer";

fn write(file: &Path, preset: Preset, revision: &str) -> InForce {
    let args = decision::Args { file: file.to_owned(), preset, revision: revision.to_owned() };
    decision::write(&args).unwrap()
}

/// A server on a version, with a configuration.
async fn configured(version: &str, preset: Preset) -> (Setup, PathBuf, InForce) {
    let mut written = None;
    let setup = Setup::with(Some(version), |folder, args| {
        let file = folder.join(decision::FILE);
        written = Some((file.clone(), write(&file, preset, "r1")));
        args.decision_config = Some(file);
    })
    .await;
    let (file, in_force) = written.unwrap();
    (setup, file, in_force)
}

fn traffic_args(url: &str) -> traffic::Args {
    traffic::Args { url: url.to_owned(), rate: 300, seconds: 2, seed: 7, json: true }
}

#[tokio::test]
async fn without_one_the_model_decides_alone_and_nothing_is_named() {
    let setup = Setup::new(Some("1.3.2")).await;
    let (said, answer) = setup.infer("a", 900.0).await;
    assert_eq!(said.get(decision::HEADER), None);
    assert_eq!(answer["parameters"], json!({}));
    let missing =
        "there is no decision configuration: start the server with `--decision-config FILE`".to_owned();
    assert_eq!(setup.get("/config").await, (404, json!({ "error": missing })));
    assert_eq!(setup.post("/reload", json!({})).await, (404, json!({ "error": missing })));
    let (_, metrics) = setup.get("/metrics").await;
    assert!(!metrics.as_str().unwrap().contains("fraud_decision_config_info"));
}

#[tokio::test]
async fn what_is_in_force_is_told_by_answers_page_metrics_and_log() {
    let (mut setup, file, first) = configured("1.3.2", Preset::Steady).await;
    let shown = |in_force: &InForce| {
        format!(
            "fraud_decision_config_info{{revision=\"{}\",sha256=\"{}\"}}",
            in_force.revision(),
            in_force.sha256
        )
    };
    let (said, answer) = setup.infer("a", 900.0).await;
    assert_eq!(said[decision::HEADER], first.sha256);
    assert_eq!(decisions(&answer), ["approve"]);
    assert_eq!(setup.said_by("/v2/models/fraud").await, said, "as a prediction says it");
    assert_eq!(setup.metric(&shown(&first)).await, 1.0);

    // Stored is not in force.
    let second = write(&file, Preset::NewAccountLimit, "r2");
    assert_eq!(setup.infer("b", 10.0).await.0[decision::HEADER], first.sha256);
    assert_eq!(setup.get("/config").await.1["revision"], "r1");

    let (status, told) = setup.post("/reload", json!({})).await;
    assert_eq!((status, &told["revision"], &told["sha256"]), (200, &json!("r2"), &json!(second.sha256)));
    assert_eq!(told["config"]["new-account-limit-eur"], 2.0);
    assert_eq!(setup.get("/config").await, (200, told));
    let (said, answer) = setup.infer("c", 10.0).await;
    assert_eq!(said[decision::HEADER], second.sha256);
    assert_eq!(
        (answer["model_version"].as_str(), decisions(&answer)),
        (Some("1.3.2"), vec!["decline".into()])
    );
    assert_eq!((setup.metric(&shown(&first)).await, setup.metric(&shown(&second)).await), (0.0, 1.0));

    setup.stop().await;
    let logged: Vec<Value> = setup.logged().iter().map(|line| line["decision_config"].clone()).collect();
    assert_eq!(logged, [&first, &first, &second].map(|in_force| in_force.sha256.clone()));
}

#[tokio::test]
async fn a_bad_file_is_refused_and_the_old_one_stays_in_force() {
    let (setup, file, first) = configured("1.3.2", Preset::Steady).await;
    let good = fs::read_to_string(&file).unwrap();
    let check = async |problem: &str| {
        let (status, body) = setup.post("/reload", json!({})).await;
        assert_eq!(status, 422, "{body}");
        let error = body["error"].as_str().unwrap();
        assert!(
            error.starts_with("the decision configuration stays as it is: `") && error.contains(problem),
            "`{error}` does not tell `{problem}`"
        );
        assert_eq!(setup.infer("a", 900.0).await.0[decision::HEADER], first.sha256);
        assert_eq!(setup.get("/config").await.1["sha256"], json!(first.sha256));
    };
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    check("is no decision configuration").await;
    fs::write(&file, good.replace("0.3", "50")).unwrap();
    check("`decline-from` is a probability above 0 and at most 1, and is `50`").await;
    fs::write(&file, good.replace("decline-from", "decline_from")).unwrap();
    check("unknown field `decline_from`").await;
    fs::remove_file(&file).unwrap();
    check("cannot be read").await;
    fs::write(&file, good).unwrap();
    assert_eq!(setup.post("/reload", json!({})).await.0, 200);
}

#[tokio::test]
async fn a_model_and_a_configuration_change_one_without_the_other() {
    let (setup, file, first) = configured("1.4.0", Preset::Steady).await;
    fraud::train::deploy(&setup.layout, "1.3.2").unwrap();
    write(&file, Preset::MoreReviews, "r2");
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    let (said, answer) = setup.infer("a", 10.0).await;
    assert_eq!(
        (said[decision::HEADER].as_str(), &answer["model_version"]),
        (first.sha256.as_str(), &json!("1.3.2"))
    );
    fraud::train::deploy(&setup.layout, "1.4.0").unwrap();
    assert_eq!(setup.post("/reload", json!({})).await.0, 200);
    let (said, answer) = setup.infer("b", 10.0).await;
    assert_ne!(said[decision::HEADER], first.sha256);
    assert_eq!(answer["model_version"], "1.3.2");
}

#[tokio::test]
async fn what_is_to_be_reviewed_is_approved_and_counted() {
    let (setup, _, _) = configured("1.3.2", Preset::MoreReviews).await;
    let model = train(&Recipe::named("1.3.2").unwrap()).unwrap().model;
    let between = golden::examples()
        .into_iter()
        .find(|row| (0.05..0.3).contains(&model.probability(&row.transaction.row())))
        .unwrap();
    let body =
        |id: &str| json!({ "id": id, "inputs": [fraud::protocol::transaction_tensor(&between.transaction)] });
    assert_eq!(decisions(&setup.post(INFER, body("a")).await.1), ["approve"]);
    assert_eq!(decisions(&setup.trial(INFER, body("b")).await.1), ["approve"]);
    setup.post(INFER, question("c", 900.0)).await;
    assert_eq!(setup.metric("fraud_reviews_total{version=\"1.3.2\"}").await, 1.0);
}

/// False positives among all, by version and configuration, without a server between.
fn harm(model: &Model, preset: Preset, seed: u64) -> f64 {
    let config = preset.config("r");
    let traffic: Vec<_> = Population::new(seed).take(5_000).collect();
    let wrong = traffic.iter().filter(|labelled| {
        !labelled.fraud && config.decide(model, &labelled.transaction.row()).verdict == Verdict::Decline
    });
    wrong.count() as f64 / traffic.len() as f64
}

#[test]
fn each_mistake_harms_as_much_as_the_poisoned_model_does_and_each_good_one_as_little_as_none() {
    let of = |version: &str| train(&Recipe::named(version).unwrap()).unwrap().model;
    let (good, bad) = (of("1.3.2"), of("1.4.0"));
    for seed in [1, 7, 40] {
        for preset in Preset::ALL {
            let harm_of_good = harm(&good, preset, seed);
            if preset.is_harmful() {
                // The alert rises above a tenth.
                assert!(harm_of_good > 0.15, "{preset:?} {seed}: {harm_of_good}");
            } else {
                assert!(harm_of_good < 0.03, "{preset:?} {seed}: {harm_of_good}");
                assert!(harm(&bad, preset, seed) > 0.15, "{preset:?} {seed}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_metric_shows_the_harm_of_either_and_traffic_tells_them_apart() {
    let (setup, file, steady) = configured("1.3.2", Preset::Steady).await;
    let play = async || traffic::send(&traffic_args(setup.url())).await.unwrap();
    let false_positives = async |version: &str| {
        setup
            .metric(&format!("fraud_feedback_total{{result=\"false_positive\",version=\"{version}\"}}"))
            .await
    };
    let summary = play().await;
    assert!(summary.false_positive_share < 0.03, "{summary:?}");
    let [share] = &summary.by[..] else { panic!("{summary:?}") };
    assert_eq!(
        (share.version.as_str(), share.decision_config.as_deref(), share.answered_by.as_deref()),
        ("1.3.2", Some(steady.sha256.as_str()), Some("model"))
    );
    assert_eq!((share.answers, share.declined), (summary.requests, summary.declined));
    assert!(summary.to_string().contains(&format!("1.3.2 under {}: ", steady.fingerprint())), "{summary}");

    // The configuration harms, and the model is the good one.
    let before = false_positives("1.3.2").await;
    write(&file, Preset::WrongUnit, "r2");
    assert_eq!(setup.post("/reload", json!({})).await.0, 200);
    let by_configuration = play().await;
    assert!(by_configuration.false_positive_share > 0.1, "{by_configuration:?}");
    assert!(by_configuration.versions.keys().eq(["1.3.2"]));
    assert_eq!(false_positives("1.3.2").await - before, by_configuration.false_positives as f64);

    // The model harms, and the configuration is the good one.
    write(&file, Preset::Steady, "r1");
    assert_eq!(setup.post("/reload", json!({})).await.0, 200);
    fraud::train::deploy(&setup.layout, "1.4.0").unwrap();
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    let by_model = play().await;
    assert!(by_model.false_positive_share > 0.1, "{by_model:?}");
    let [share] = &by_model.by[..] else { panic!("{by_model:?}") };
    assert_eq!(
        (share.version.as_str(), share.decision_config.as_deref()),
        ("1.4.0", Some(steady.sha256.as_str())),
        "the same bytes have the same fingerprint again"
    );
    assert_eq!(false_positives("1.4.0").await, by_model.false_positives as f64);
}
