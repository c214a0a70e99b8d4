//! The whole story, with real processes.

use crate::cli::run::run;

#[test]
fn the_demo_ends_with_the_good_version_back_and_proved() {
    let folder = tempfile::tempdir().expect("folder");
    let ran = run(folder.path(), &["--json", "demo", "--yes", "--dir", "demo"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["outcome"], "rolled-back");
    let served: Vec<_> =
        ["before", "during", "after"].iter().map(|when| report["served"][when]["version"].clone()).collect();
    assert_eq!(served, ["1.3.2", "1.4.0", "1.3.2"]);
    let votes = report["incident"]["votes"].as_array().expect("votes");
    assert!(votes.len() == 2 && votes.iter().all(|vote| vote["kind"] == "signature"), "{votes:?}");
    for part in ["detect", "decide", "wait_for_people", "act", "verify", "total"] {
        assert!(report["split"][part].is_string(), "{part}: {}", report["split"]);
    }
    nothing_is_left_running(&folder.path().join("demo/ripcord.toml"));
    it_replays(&folder.path().join("demo"));
    every_decision_becomes_a_fixture_that_its_policy_answers_the_same(&folder.path().join("demo"));
    a_trigger_is_tried_over_what_was_recorded(&folder.path().join("demo"));
}

#[test]
fn a_configuration_goes_back_and_the_model_stays() {
    let folder = tempfile::tempdir().expect("folder");
    let arguments = ["--json", "demo", "--strategy", "configuration", "--yes", "--dir", "demo"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["outcome"], "rolled-back");
    let of = |when: &str| {
        let live = &report["served"][when];
        let decision = &live["facets"][0]["state"]["in-force"];
        [&live["version"], &decision["revision"], &decision["proof"]]
            .map(|value| value.as_str().map(str::to_owned))
    };
    let with = |revision: &str| ["1.3.2", revision, "digest"].map(|text| Some(text.to_owned()));
    assert_eq!(of("before"), with("41"));
    assert_eq!(of("during"), with("42"));
    assert_eq!(of("after"), with("41"));
    let incident = &report["incident"];
    assert_eq!(incident["before"], "1.3.2 with configuration decision 42");
    assert_eq!(incident["after"], "1.3.2 with configuration decision 41");
    assert_eq!(incident["proof"], "digest");
    assert_eq!(incident["votes"].as_array().map(Vec::len), Some(2));
    // What was left is condemned, and not the model that stayed.
    assert!(["attested", "known-good"].iter().any(|good| report["standing"] == *good), "{report}");
    let holds: Vec<_> = report["holds"].as_array().expect("holds").iter().collect();
    assert!(holds.len() == 1 && holds[0]["revision"] == "decision=42", "{holds:?}");
    let pulled = report["pulled_by"].as_str().expect("a command");
    assert!(pulled.starts_with("ripcord pull fraud-api --configuration decision=41 --reason"), "{pulled}");
    let file = std::fs::read_to_string(folder.path().join("demo/decision.json")).expect("the file");
    assert!(file.contains("\"41\""), "{file}");
    it_replays(&folder.path().join("demo"));
    nothing_is_left_running(&folder.path().join("demo/ripcord.toml"));
}

#[test]
fn rules_answer_where_no_version_is_good() {
    let folder = tempfile::tempdir().expect("folder");
    let ran = run(folder.path(), &["demo", "--strategy", "fallback", "--yes", "--dir", "demo"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for line in [
        "fraud-api:1  fell back",
        "served before  1.4.0 with fallback off",
        "served after   1.4.0 with fallback rules, proved by the service's own answer",
        "ripcord pull fraud-api --fallback rules --reason",
        "approved by    ada (signature)",
        "`ripcord pull fraud-api --fallback off --no-hold --reason",
    ] {
        assert!(ran.stdout.contains(line), "`{line}`: {}", ran.stdout);
    }
    it_replays(&folder.path().join("demo"));
    nothing_is_left_running(&folder.path().join("demo/ripcord.toml"));
}

/// What the demo came to where the planner itself had to find out.
fn found_out(seed: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("folder");
    let arguments = ["--json", "demo", "--strategy", "auto", "--seed", seed, "--yes", "--dir", "demo"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["outcome"], "rolled-back");
    assert_eq!(report["pulled_by"], serde_json::Value::Null, "nobody said what to put back");
    let first = &report["suspects"][0];
    assert_eq!(first["what"], report["guilty"]);
    let score = |suspect: &serde_json::Value| suspect["score"].as_f64().expect("a score");
    assert!(score(first) > score(innocent(&report)), "{report}");
    it_replays(&folder.path().join("demo"));
    nothing_is_left_running(&folder.path().join("demo/ripcord.toml"));
    report
}

/// What the planner said of the change that did nothing. Data or a history may be among the suspects, too.
fn innocent(report: &serde_json::Value) -> &serde_json::Value {
    let other = if report["guilty"] == "model" { "configuration decision" } else { "model" };
    let suspects = report["suspects"].as_array().expect("suspects");
    suspects.iter().find(|suspect| suspect["what"] == other).expect("the innocent change")
}

#[test]
fn the_planner_finds_that_the_model_did_it_and_not_the_configuration_that_changed_before() {
    let report = found_out("0");
    assert_eq!(report["guilty"], "model");
    assert_eq!(report["incident"]["after"], "1.3.2 with configuration decision 42");
    assert_eq!(report["holds"][0]["revision"], "1.4.0");
    let reasons = innocent(&report)["reasons"].to_string();
    assert!(reasons.contains("it was verified at"), "{reasons}");
}

#[test]
fn the_planner_finds_that_the_configuration_did_it_and_not_the_model_that_changed_before() {
    let report = found_out("1");
    assert_eq!(report["guilty"], "configuration decision");
    assert_eq!(report["incident"]["after"], "1.3.2 with configuration decision 41");
    assert_eq!(report["holds"][0]["revision"], "decision=42");
}

#[test]
fn the_planner_finds_that_the_configuration_did_it_and_not_the_model_that_changed_after() {
    let report = found_out("3");
    assert_eq!(report["guilty"], "configuration decision");
    assert_eq!(report["incident"]["after"], "1.3.2 with configuration decision 41");
    let reasons = innocent(&report)["reasons"].to_string();
    assert!(reasons.contains("after the harm began"), "{reasons}");
}

pub(super) fn it_replays(demo: &std::path::Path) {
    let replayed = run(demo, &["--json", "replay", "--all"]);
    assert_eq!(replayed.code, 0, "{}", replayed.stdout);
    let replayed = replayed.json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed}");
    assert!(replayed["same"].as_u64() > Some(3), "{replayed}");
}

fn every_decision_becomes_a_fixture_that_its_policy_answers_the_same(demo: &std::path::Path) {
    let mut recorded = 0;
    for policy in ["threshold-trigger", "last-known-good", "two-key", "golden-set", "healthy-metrics"] {
        let out = format!("of-{policy}");
        let made =
            run(demo, &["--json", "policy", "record", "fraud-api:1", "--policy", policy, "--out", &out]);
        assert_eq!(made.code, 0, "{policy}: {}", made.stdout);
        let made = made.json();
        assert_eq!(made["left_out"], serde_json::json!([]), "{policy}");
        recorded += made["written"].as_array().map_or(0, Vec::len);
        let tested =
            run(demo, &["--json", "policy", "test", &format!("starter:{policy}"), "--fixtures", &out]);
        assert_eq!(tested.code, 0, "{policy}: {}", tested.stdout);
    }
    assert!(recorded > 5, "{recorded}");
    let nothing = run(demo, &["policy", "record", "fraud-api:1", "--policy", "burn-rate-trigger"]);
    assert_eq!(nothing.code, 2, "{}", nothing.stderr);
}

fn a_trigger_is_tried_over_what_was_recorded(demo: &std::path::Path) {
    let arguments = ["--json", "backtest", "threshold-trigger", "--service", "fraud-api", "--recorded"];
    let tried = run(demo, &arguments);
    assert_eq!(tried.code, 3, "{}\n{}", tried.stdout, tried.stderr);
    let tried = tried.json();
    assert!(tried["verdicts"]["roll-back"].as_u64() > Some(0), "{tried}");
    assert_eq!((&tried["verdicts"]["fault"], &tried["without-value"]), (&0.into(), &serde_json::json!([])));
}

/// Neither host nor model server listen any more.
pub(super) fn nothing_is_left_running(configuration: &std::path::Path) {
    let text = std::fs::read_to_string(configuration).expect("the demo's configuration");
    let addresses: Vec<_> = text
        .split(['"', '/'])
        .filter(|part| part.starts_with("127.0.0.1:"))
        .map(|part| part.parse::<std::net::SocketAddr>().expect("an address"))
        .collect();
    assert!(addresses.len() > 1, "{text}");
    for address in addresses {
        assert!(std::net::TcpStream::connect(address).is_err(), "{address} still answers");
    }
}
