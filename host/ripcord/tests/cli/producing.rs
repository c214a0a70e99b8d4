//! A version made of a checkpoint, and one that is trained again, by the real program and the example's own trainer.

use std::path::Path;

use serde_json::Value;

use crate::support::fraud::configuration;
use crate::support::host::{Host, free_address};
use crate::support::run::{ModelServer, as_olga, run};

const MODEL: &str = r#"golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
deployer = { kind = "open-inference", url = "http://{MODEL}", model-directory = "models/fraud" }
endpoint = { output = "decision" }

[services.fraud-api.checkpoints]
kind = "folder"
root = "checkpoints"

[services.fraud-api.producer]
look-seconds = 0.2
"#;

const OF_CHECKPOINTS: &str = r#"kind = "checkpoint"
from = { folder = { root = "checkpoints" } }
"#;

/// A bad version is served, and rules agree to all that a person asks for.
async fn served(folder: &Path, producer: &str) -> (ModelServer, Host) {
    served_by(folder, producer, "last-known-good").await
}

/// The same with this planner.
async fn served_by(folder: &Path, producer: &str, planner: &str) -> (ModelServer, Host) {
    served_where(folder, producer, planner, "1.4.0", "accuracy = 0.95").await
}

/// The same where this version is served, and this is asked of the golden set.
async fn served_where(
    folder: &Path,
    producer: &str,
    planner: &str,
    version: &str,
    golden: &str,
) -> (ModelServer, Host) {
    std::fs::create_dir_all(folder.join("checkpoints")).expect("a folder");
    let server = ModelServer::start(folder, version);
    let strategies = r#"urgency-at-most = "emergency", strategies = ["version", "checkpoint", "retrain"]"#;
    let text = configuration(&format!("{MODEL}{producer}"))
        .replace(r#"urgency-at-most = "emergency""#, strategies)
        .replace("last-known-good", planner)
        .replace("accuracy = 0.95", golden)
        .replace("{HOST}", &free_address())
        .replace("{MODEL}", &server.address);
    std::fs::write(folder.join("ripcord.toml"), text).expect("writes");
    let host = Host::start(folder).await;
    (server, host)
}

/// The incident that puts in place what was made, once it has ended.
async fn put_in_place(folder: &Path, host: &Host) -> Value {
    let second = |state: &Value| {
        let open = &state["incident"];
        if state["runs"][0]["state"] == "failed" {
            panic!("{}", as_olga(folder, &["incidents", "show", "fraud-api:1"]).stdout);
        }
        if open["id"] == "fraud-api:2" && open["phase"] == "waiting for approval" {
            let agreed = as_olga(folder, &["approve", "fraud-api:2", "--yes", "--reason", "it is well"]);
            assert_eq!(agreed.code, 0, "{}{}", agreed.stdout, agreed.stderr);
        }
        state["last_settled"]["id"] == "fraud-api:2"
    };
    host.until("fraud-api", second).await["last_settled"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_before_the_bad_labels_becomes_a_version_and_a_second_plan_puts_it_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let learnt = run(path, &["example-fraud", "online", "--out", ".", "--seed", "7", "--poison-from", "301"]);
    assert_eq!(learnt.code, 0, "{}", learnt.stderr);
    let (server, host) = served(path, OF_CHECKPOINTS).await;
    let checked = as_olga(path, &["check"]);
    assert!(
        checked.stdout.contains("checkpoints: 10 found; the newest is online-7@600"),
        "{}",
        checked.stdout
    );
    let pulled = as_olga(
        path,
        &["pull", "fraud-api", "--checkpoint", "online-7@300", "--no-wait", "--reason", "poisoned labels"],
    );
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let ended = put_in_place(path, &host).await;
    assert_eq!(ended["outcome"], "rolled-back", "{ended:#}");
    assert_eq!(server.live().await, "online-7-step-300");
}

/// Changes what a checkpoint of the run says of itself.
fn damage(folder: &Path, step: u64, change: impl Fn(&str) -> String) {
    let file = folder.join(format!("checkpoints/online-7/checkpoint-{step}/checkpoint.json"));
    let text = std::fs::read_to_string(&file).expect("a checkpoint");
    std::fs::write(&file, change(&text)).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_checkpoint_people_are_told_whether_a_version_is_made_of_it_and_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let learnt = run(path, &["example-fraud", "online", "--out", ".", "--seed", "7", "--poison-from", "301"]);
    assert_eq!(learnt.code, 0, "{}", learnt.stderr);
    let metric = |to: &'static str| {
        move |text: &str| {
            let (before, rest) = text.split_once("\"eval_loss\": ").expect("a loss");
            let end = rest.find(['\n', ',', '}']).expect("its end");
            format!("{before}\"eval_loss\": {to}{}", &rest[end..])
        }
    };
    damage(path, 540, metric("NaN"));
    damage(path, 420, |text| text[..text.len() / 2].to_owned());
    damage(path, 120, metric("\"low\""));
    damage(path, 240, |text| {
        let (before, rest) = text.split_once("\"metrics\": {").expect("metrics");
        format!("{before}\"metrics\": {{{}", &rest[rest.find('}').expect("their end")..])
    });
    let (_server, host) = served_by(path, OF_CHECKPOINTS, "proportionate").await;
    let ready = as_olga(path, &["--json", "ready"]);
    let said: serde_json::Value = serde_json::from_str(&ready.stdout).expect("an answer");
    assert_eq!(said["services"][0]["service"], "fraud-api", "{said:#}");
    assert_eq!(said["is_ready"] == true, ready.code == 0, "{said:#}");
    assert!(as_olga(path, &["ready", "fraud-api"]).stdout.contains("parts"), "for people");
    let listed = as_olga(path, &["targets", "fraud-api", "--facet", "model"]);
    let line = |step: &str| {
        let of = listed.stdout.lines().find(|line| line.contains(&format!("online-7@{step} ")));
        of.unwrap_or_else(|| panic!("no {step}: {}{}", listed.stdout, listed.stderr)).to_owned()
    };
    for (step, told) in [
        ("300", "may be made"),
        (
            "360",
            "only if people pull: it is not from before the run's own metric broke: `eval_loss` went from",
        ),
        ("540", "is not made: the metric `eval_loss` of checkpoint `online-7` step 540 is NaN"),
        ("540", "eval_loss is no number"),
        ("240", "only if people pull: it has no metrics"),
        ("180", "one that is newer comes before it"),
    ] {
        assert!(line(step).contains(told), "{told}: {}", line(step));
    }
    for told in [
        "checkpoint-420` cannot be used: ",
        "half-written",
        "checkpoint-120` cannot be used: ",
        "the metric `eval_loss` that is no number: have its trainer write numbers",
        "proportionate@0.1.0 says which of them are sound",
    ] {
        assert!(listed.stdout.contains(told), "{told}: {}", listed.stdout);
    }
    let best = listed.stdout.lines().position(|line| line.contains("online-7@300 "));
    assert!(
        best < listed.stdout.lines().position(|line| line.contains("online-7@600 ")),
        "the best comes first"
    );

    // What is listed is what a pull comes to.
    for (step, told) in [("540", "its training broke at this step or before"), ("420", "half-written")] {
        let checkpoint = format!("online-7@{step}");
        let words =
            ["pull", "fraud-api", "--checkpoint", &checkpoint, "--replace", "--reason", "poisoned labels"];
        let pulled = as_olga(path, &words);
        assert_eq!(pulled.code, 3, "{}{}", pulled.stdout, pulled.stderr);
        assert!(pulled.stdout.contains(told), "{step}: {}", pulled.stdout);
    }
    let words = [
        "pull",
        "fraud-api",
        "--checkpoint",
        "online-7@240",
        "--no-wait",
        "--replace",
        "--reason",
        "it is old",
    ];
    let pulled = as_olga(path, &words);
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let ended = put_in_place(path, &host).await;
    assert_eq!(ended["outcome"], "rolled-back", "{ended:#}");
    let page = as_olga(path, &["incidents", "show", "fraud-api:1"]).stdout;
    assert!(page.contains("metrics none were logged"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_of_a_bad_source_trains_again_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let made = run(path, &["example-fraud", "data", "--out", "data", "--poison-from", "1800"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let program = env!("CARGO_BIN_EXE_ripcord");
    let train = format!(
        r#"kind = "command"
folder = "."
train = ["{program}", "example-fraud", "retrain", "--data", "data/manifest.json", "--exclude", "{{exclude}}", "--out", ".", "--version", "1.5.1", "--run", "{{key}}", "--json"]
"#
    );
    let (server, host) = served(path, &train).await;
    // The good version answers elsewhere.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let good = ModelServer::start(elsewhere.path(), "1.3.2");
    let url = format!("http://{}", good.address);
    let asked = ["data", "suspects", "fraud-api", "data/manifest.json", "--version", "1.3.2", "--url", &url];
    let answers = ["--output", "decision", "--answer", "1=decline", "--answer", "0=approve"];
    let suspects = as_olga(path, &[&asked[..], &answers, &["--tensor", "transaction"]].concat());
    assert_eq!(suspects.code, 3, "{}{}", suspects.stdout, suspects.stderr);
    let command =
        suspects.stdout.lines().find_map(|line| line.split_once("ripcord pull ")).expect("a command").1;
    let typed: Vec<&str> = command.split_whitespace().collect();
    let pulled = as_olga(path, &[&["pull"], &typed[..], &["--no-wait", "--reason", "a bad import"]].concat());
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let ended = put_in_place(path, &host).await;
    assert_eq!(ended["outcome"], "rolled-back", "{ended:#}");
    assert_eq!(server.live().await, "1.5.1");
    // Both plans said so, and what came of it was verified.
    for incident in ["fraud-api:1", "fraud-api:2"] {
        let plan = as_olga(path, &["plan", "show", incident]);
        let said =
            plan.stdout.contains("`card-transactions@sha256:") && plan.stdout.contains("are condemned");
        assert!(said, "{}{}", plan.stdout, plan.stderr);
    }
    let listed = as_olga(path, &["--json", "hold", "list"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed["data"][0]["incident"], "fraud-api:2", "{listed:#}");
    let data = listed["data"][0]["data"].as_str().expect("data").to_owned();
    let lifted = as_olga(path, &["hold", "lift", "fraud-api", "--data", &data, "--reason", "it was right"]);
    assert_eq!(lifted.code, 0, "{}{}", lifted.stdout, lifted.stderr);
    let listed = as_olga(path, &["hold", "list"]);
    assert!(!listed.stdout.contains("card-transactions"), "{}", listed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_is_worse_for_some_than_what_was_live_is_not_called_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let made = run(path, &["example-fraud", "data", "--out", "data", "--poison-from", "1800"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    // A pipeline that leaves nothing out, whatever it was told: what it makes keeps every limit that is set, and declines good new accounts.
    let program = env!("CARGO_BIN_EXE_ripcord");
    let train = format!(
        r#"kind = "command"
folder = "."
train = ["{program}", "example-fraud", "retrain", "--data", "data/manifest.json", "--out", ".", "--version", "1.5.1", "--run", "{{key}}", "--json"]
"#
    );
    let (server, host) = served_where(path, &train, "last-known-good", "1.3.2", "accuracy = 0.5").await;
    let words = ["pull", "fraud-api", "--retrain", "card-transactions@r1", "--exclude", "source=review-team"];
    let pulled = as_olga(path, &[&words[..], &["--no-wait", "--reason", "a bad team"]].concat());
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let asks = |state: &Value| {
        let open = &state["incident"];
        if open["id"] == "fraud-api:2" && open["phase"] == "waiting for approval" {
            let agreed = as_olga(path, &["approve", "fraud-api:2", "--yes", "--reason", "it is well"]);
            assert_eq!(agreed.code, 0, "{}{}", agreed.stdout, agreed.stderr);
        }
        assert_ne!(state["last_settled"]["id"], "fraud-api:2", "{state:#}");
        open["id"] == "fraud-api:2" && open["needs"].is_string()
    };
    host.until("fraud-api", asks).await;
    let page = as_olga(path, &["incidents", "show", "fraud-api:2"]).stdout;
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let check = "accuracy beside what is live by account";
    assert!(page.contains(check) && page.contains(" worse for `account=new` ("), "{page}");
    // This server holds one version at a time, so nothing was tried before the shift: a person says where to go from here.
    assert_eq!(server.live().await, "1.5.1");
}

/// What the registry's folder says of a version.
fn lineage(folder: &Path, version: &str, key: &str) -> String {
    let models = std::fs::read_dir(folder.join("registry")).expect("a registry");
    let manifests = models.map(|model| model.expect("a model").path().join(version).join("manifest.toml"));
    let text = manifests.filter_map(|path| std::fs::read_to_string(path).ok()).next().expect("a manifest");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
    line.expect("the key").trim_end_matches('"').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trained_on_condemned_data_is_shown_and_not_gone_back_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let (_server, _host) = served(path, OF_CHECKPOINTS).await;
    let data =
        format!("{}@{}", lineage(path, "1.3.2", "dataset"), lineage(path, "1.3.2", "dataset-revision"));
    let wrong =
        as_olga(path, &["hold", "put", "fraud-api", "--data", "transactions", "--reason", "bad labels"]);
    assert_eq!(wrong.code, 2, "{}{}", wrong.stdout, wrong.stderr);
    assert!(wrong.stderr.contains("write DATASET@REVISION"), "{}", wrong.stderr);
    let put = as_olga(path, &["hold", "put", "fraud-api", "--data", &data, "--reason", "bad labels"]);
    assert_eq!(put.code, 0, "{}{}", put.stdout, put.stderr);
    let why = format!("condemned: trained on `{data}`");
    for command in ["targets", "versions"] {
        // A table breaks long lines.
        let shown = as_olga(path, &["--json", command, "fraud-api"]);
        let line = shown.stdout.contains(&why) && shown.stdout.contains("\"condemned\"");
        assert!(line, "{command}: {}{}", shown.stdout, shown.stderr);
    }
    let to = ["pull", "fraud-api", "--to", "1.3.2", "--reason", "go back"];
    let refused = as_olga(path, &to);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    assert!(refused.stderr.contains("trained on"), "{}", refused.stderr);
    let lifted =
        as_olga(path, &["hold", "lift", "fraud-api", "--data", &data, "--reason", "they were right"]);
    assert_eq!(lifted.code, 0, "{}{}", lifted.stdout, lifted.stderr);
    let shown = as_olga(path, &["--json", "targets", "fraud-api"]);
    assert!(!shown.stdout.contains("trained on"), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_goes_on_is_listed_and_ended_by_a_person() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let sleeps = "kind = \"command\"\nfolder = \".\"\ntrain = [\"sh\", \"-c\", \"sleep 600\"]\n";
    let (_server, host) = served(path, sleeps).await;
    let pulled = as_olga(
        path,
        &[
            "pull",
            "fraud-api",
            "--retrain",
            "clicks@r7",
            "--exclude",
            "source=bots",
            "--no-wait",
            "--reason",
            "bots",
        ],
    );
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    host.until("fraud-api", |state| state["last_settled"]["outcome"] == "producing").await;
    let listed = as_olga(path, &["runs", "list"]);
    assert!(listed.stdout.contains("fraud-api:1"), "{}", listed.stdout);
    let stopped = as_olga(path, &["runs", "stop", "fraud-api:1", "--reason", "not that one"]);
    assert_eq!(stopped.code, 0, "{}{}", stopped.stdout, stopped.stderr);
    host.until("fraud-api", |state| state["runs"][0]["state"] == "stopped").await;
    let again = as_olga(path, &["runs", "stop", "fraud-api:1", "--reason", "not that one"]);
    assert_ne!(again.code, 0, "{}", again.stdout);
}
