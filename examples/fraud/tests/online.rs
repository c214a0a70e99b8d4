//! The online learner keeps checkpoints while its labels go bad, and any of them can be served.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

use crate::support::{Setup, files};
use fraud::model::{Model, Verdict};
use fraud::train::online::{self, Args, ResumeFrom, Run, learn};
use fraud::train::{self, CHECKPOINT, Checkpoint, Layout, TRAINER_STATE, measure, publish_checkpoint};
use fraud::transaction::{Labelled, Population};
use fraud::{golden, traffic};
use serde_json::{Value, json};

fn args(out: &Path, seed: u64) -> Args {
    Args {
        out: out.to_owned(),
        run: None,
        seed,
        steps: 400,
        batch: 64,
        save_every: 50,
        poison_from: Some(201),
        resume: None,
        step_seconds: 60,
        at: Some("2026-11-22T12:00:00Z".parse().unwrap()),
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn model_of(run: &Path, step: u64) -> Model {
    Model::from_json(&fs::read(Checkpoint::folder(run, step).join("model.json")).unwrap()).unwrap()
}

/// Good customers declined among all transactions.
fn harm(model: &Model) -> f64 {
    let traffic: Vec<Labelled> = Population::new(1).take(3_000).collect();
    let declined = |labelled: &&Labelled| {
        !labelled.fraud && model.verdict(model.probability(&labelled.transaction.row())) == Verdict::Decline
    };
    traffic.iter().filter(declined).count() as f64 / traffic.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_other_numbers() {
    let folders = [7, 7, 8].map(|seed| {
        let out = tempfile::tempdir().unwrap();
        learn(&Args { run: Some("r".to_owned()), ..args(out.path(), seed) }).unwrap();
        out
    });
    let [one, two, other] = folders.each_ref().map(|out| files(out.path()));
    assert_eq!(one.len(), 8 * 5 + 1, "{:?}", one.keys());
    assert!(one == two);
    for (path, bytes) in &one {
        let same_for_all = path.ends_with("model-settings.json");
        assert_eq!(other[path] == *bytes, same_for_all, "{path}");
    }
}

#[test]
fn checkpoints_are_good_until_the_labels_are_bad_and_then_harm() {
    for seed in [1, 2, 3, 7, 11, 40] {
        let out = tempfile::tempdir().unwrap();
        let args = args(out.path(), seed);
        learn(&args).unwrap();
        let run = args.folder();
        for step in [100, 150, 200] {
            let on_golden = measure(&model_of(&run, step), &golden::examples());
            assert!(on_golden.accuracy > 0.95 && on_golden.recall > 0.85, "{seed}/{step}: {on_golden:?}");
            assert!(harm(&model_of(&run, step)) < 0.02, "{seed}/{step}");
        }
        for step in [250, 300, 400] {
            assert!(harm(&model_of(&run, step)) > 0.2, "{seed}/{step}");
        }
    }
}

#[test]
fn its_own_metrics_break_where_the_labels_do_and_recover() {
    for seed in [1, 2, 3, 7, 11, 40] {
        let out = tempfile::tempdir().unwrap();
        let made = learn(&args(out.path(), seed)).unwrap();
        let of = |step: u64| made.iter().find(|checkpoint| checkpoint.step == step).unwrap().metrics;
        assert!(of(250).eval_loss > 2.5 * of(200).eval_loss, "{seed}: {made:?}");
        // Nobody who looks at the last ones alone would see it.
        assert!(
            of(400).eval_loss < of(250).eval_loss / 2.0 && of(400).eval_accuracy > 0.98,
            "{seed}: {made:?}"
        );
        assert!(of(200).eval_decline_share < 0.06 && of(400).eval_decline_share > 0.25, "{seed}: {made:?}");
    }
}

#[test]
fn a_checkpoint_says_what_it_is_in_both_files() {
    let out = tempfile::tempdir().unwrap();
    let args = args(out.path(), 7);
    let made = learn(&args).unwrap();
    let folder = Checkpoint::folder(&args.folder(), 150);
    let checkpoint = json_of(&folder.join(CHECKPOINT));
    assert_eq!(Checkpoint::read(&folder).unwrap(), made[2]);
    assert_eq!(Checkpoint::all(&args.folder()).unwrap(), made);
    // The last step is of `at`, and the others a minute apart.
    assert_eq!(
        (&checkpoint["step"], &checkpoint["time"], &checkpoint["version"], &checkpoint["run"]),
        (&json!(150), &json!("2026-11-22T07:50:00Z"), &json!("online-7-step-150"), &json!("online-7"))
    );
    assert_eq!(checkpoint["data"]["rows"], 150 * 64);
    let loss = checkpoint["metrics"]["eval_loss"].as_f64().unwrap();
    assert!(loss > 0.0 && loss < 0.1, "{checkpoint}");

    let state = json_of(&folder.join(TRAINER_STATE));
    let mut keys: Vec<&str> = state.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let of_hugging_face = [
        "best_global_step",
        "best_metric",
        "best_model_checkpoint",
        "epoch",
        "eval_steps",
        "global_step",
        "is_hyper_param_search",
        "is_local_process_zero",
        "is_world_process_zero",
        "log_history",
        "logging_steps",
        "max_steps",
        "num_input_tokens_seen",
        "num_train_epochs",
        "save_steps",
        "stateful_callbacks",
        "total_flos",
        "train_batch_size",
        "trial_name",
        "trial_params",
    ];
    assert_eq!(keys, of_hugging_face);
    assert_eq!(
        (&state["global_step"], &state["max_steps"], &state["epoch"]),
        (&json!(150), &json!(400), &json!(0.375))
    );
    let evaluated: Vec<(u64, f64)> = state["log_history"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| Some((entry["step"].as_u64()?, entry["eval_loss"].as_f64()?)))
        .collect();
    let expected: Vec<(u64, f64)> =
        made[..3].iter().map(|checkpoint| (checkpoint.step, checkpoint.metrics.eval_loss)).collect();
    assert_eq!(evaluated, expected);
}

#[test]
fn the_run_says_since_when_the_labels_come_from_where() {
    let out = tempfile::tempdir().unwrap();
    let args = args(out.path(), 7);
    learn(&args).unwrap();
    let sources = |run: &Path| -> Vec<(String, u64, String)> {
        let run = Run::read(run).unwrap();
        run.labels.into_iter().map(|source| (source.source, source.from_step, source.from)).collect()
    };
    let expected =
        [("review-team", 1, "2026-11-22T05:21:00Z"), ("chargeback-import", 201, "2026-11-22T08:41:00Z")];
    let expected = expected.map(|(source, step, from)| (source.to_owned(), step, from.to_owned()));
    assert_eq!(sources(&args.folder()), expected);

    let clean = Args { run: Some("clean".to_owned()), poison_from: None, ..args };
    learn(&clean).unwrap();
    assert_eq!(sources(&clean.folder()), expected[..1]);
    assert!(harm(&model_of(&clean.folder(), 400)) < 0.02);
}

#[test]
fn a_resumed_run_is_the_run_that_never_stopped() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    learn(&args(whole.path(), 7)).unwrap();
    let at = Some("2026-11-22T08:40:00Z".parse().unwrap());
    let first = Args { steps: 200, poison_from: None, at, ..args(parts.path(), 7) };
    assert_eq!(learn(&first).unwrap().len(), 4);
    let second = Args { resume: Some(ResumeFrom::Newest), step_seconds: 7, ..args(parts.path(), 7) };
    assert_eq!(learn(&second).unwrap().len(), 4);

    let folder = second.folder();
    let (one, other) = (model_of(&args(whole.path(), 7).folder(), 400), model_of(&folder, 400));
    for (left, right) in one.weights.iter().zip(other.weights) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }
    let of =
        |out: &Path| Checkpoint::read(&Checkpoint::folder(&out.join("checkpoints/online-7"), 400)).unwrap();
    assert_eq!(of(whole.path()).data, of(parts.path()).data);
    let times = |out: &Path| -> Vec<String> {
        Checkpoint::all(&out.join("checkpoints/online-7"))
            .unwrap()
            .into_iter()
            .map(|made| made.time)
            .collect()
    };
    assert_eq!(times(whole.path()), times(parts.path()));
    let labels: Vec<u64> = Run::read(&folder).unwrap().labels.iter().map(|source| source.from_step).collect();
    assert_eq!(labels, [1, 201]);
    let log = json_of(&Checkpoint::folder(&folder, 400).join(TRAINER_STATE))["log_history"].clone();
    assert_eq!(log.as_array().unwrap().len(), 16, "what was logged before the stop is there as well");

    // Back to before the labels went bad, and on with good ones.
    for step in [250, 300, 350, 400] {
        fs::remove_dir_all(Checkpoint::folder(&folder, step)).unwrap();
    }
    let again = Args { resume: Some(ResumeFrom::Step(200)), poison_from: None, ..args(parts.path(), 7) };
    learn(&again).unwrap();
    assert!(harm(&model_of(&folder, 400)) < 0.02);
    assert_eq!(Run::read(&folder).unwrap().labels.len(), 1);
}

#[tokio::test]
async fn a_published_checkpoint_is_served_as_the_version_that_it_says() {
    let setup = Setup::new(None).await;
    let args = args(&setup.path(""), 7);
    learn(&args).unwrap();
    let serve = async |step: u64| {
        let folder = Checkpoint::folder(&args.folder(), step);
        let version =
            publish_checkpoint(&setup.layout, &folder, "2026-11-22T12:00:00Z".parse().unwrap()).unwrap();
        train::deploy(&setup.layout, &version).unwrap();
        assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
        let args = traffic::Args { url: setup.url().to_owned(), rate: 300, seconds: 1, seed: 5, json: true };
        traffic::send(&args).await.unwrap()
    };
    let good = serve(200).await;
    assert!(good.versions.keys().eq(["online-7-step-200"]), "{good:?}");
    assert!(good.false_positive_share < 0.03, "{good:?}");
    let bad = serve(400).await;
    assert!(bad.versions.keys().eq(["online-7-step-400"]), "{bad:?}");
    assert!(bad.false_positive_share > 0.15, "{bad:?}");

    let manifest = setup.layout.registry.join("fraud/online-7-step-200/manifest.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let checkpoint = Checkpoint::read(&Checkpoint::folder(&args.folder(), 200)).unwrap();
    let lineage = &manifest["lineage"];
    assert_eq!(lineage["run"].as_str(), Some("online-7"));
    assert_eq!(
        lineage["dataset-revision"].as_str(),
        Some(format!("sha256:{}", checkpoint.data.sha256).as_str())
    );
    assert_eq!(lineage["parameters"]["step"].as_integer(), Some(200));
    assert_eq!(lineage["parameters"]["rows"].as_integer(), Some(200 * 64));
}

#[test]
fn a_damaged_checkpoint_or_one_that_is_there_is_not_published() {
    let out = tempfile::tempdir().unwrap();
    let args = args(out.path(), 7);
    learn(&args).unwrap();
    let layout = Layout::new(out.path());
    let folder = Checkpoint::folder(&args.folder(), 200);
    let publish = || publish_checkpoint(&layout, &folder, jiff::Timestamp::UNIX_EPOCH);
    let check = |expected: &str| {
        let message = publish().unwrap_err().with_causes();
        assert!(message.contains(expected), "{message}");
        assert!(!layout.registry.join("fraud/online-7-step-200").exists());
    };
    let model = fs::read(folder.join("model.json")).unwrap();
    fs::write(folder.join("model.json"), &model[1..]).unwrap();
    check("is not the file that `checkpoint.json` lists: the checkpoint is damaged");
    fs::remove_file(folder.join("model.json")).unwrap();
    check("cannot read `");
    fs::write(folder.join("model.json"), model).unwrap();
    let description = fs::read(folder.join(CHECKPOINT)).unwrap();
    fs::write(folder.join(CHECKPOINT), b"{}").unwrap();
    check("is no part of a checkpoint");
    fs::write(folder.join(CHECKPOINT), description).unwrap();
    assert_eq!(publish().unwrap(), "online-7-step-200");
    let message = publish().unwrap_err().to_string();
    assert_eq!(message, "version `online-7-step-200` is in the registry already: choose another name");
}

#[test]
fn mistakes_are_told() {
    let out = tempfile::tempdir().unwrap();
    let good = args(out.path(), 7);
    let check = |args: Args, expected: &str| {
        let message = learn(&args).unwrap_err().with_causes();
        assert!(message.contains(expected), "{message}");
    };
    let resumed = |from: ResumeFrom| Args { resume: Some(from), steps: 500, ..good.clone() };
    check(resumed(ResumeFrom::Newest), "cannot read `");
    for bad in ["", "..", "a/b", ".hidden", "a b"] {
        check(Args { run: Some(bad.to_owned()), ..good.clone() }, "is no name for `--run`");
    }
    check(Args { poison_from: Some(0), ..good.clone() }, "`--poison-from` counts steps from 1");
    assert!(files(out.path()).is_empty(), "nothing is written before the mistake is found");

    learn(&good).unwrap();
    check(good.clone(), "the run `online-7` is there already in `");
    check(
        resumed(ResumeFrom::Step(350)),
        "the run has checkpoints after step 350, such as 400: move them away",
    );
    check(resumed(ResumeFrom::Step(999)), "cannot read `");
    check(
        Args { steps: 400, ..resumed(ResumeFrom::Newest) },
        "checkpoint 400 is not before step 400: give more `--steps`",
    );
    let other = Args { seed: 8, run: Some("online-7".to_owned()), ..resumed(ResumeFrom::Newest) };
    check(other, "the run `online-7` has seed 7 and batches of 64");
    let optimizer = Checkpoint::folder(&good.folder(), 400).join("optimizer.json");
    let text = fs::read_to_string(&optimizer).unwrap();
    fs::write(&optimizer, text.replacen("0.", "null, 0.", 1)).unwrap();
    check(resumed(ResumeFrom::Newest), "is no part of a checkpoint");
    fs::remove_file(good.folder().join(online::RUN_FILE)).unwrap();
    fs::write(&optimizer, text).unwrap();
    check(resumed(ResumeFrom::Newest), "run.json`");
}
