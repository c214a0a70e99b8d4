//! What an author looks for first: what would my rule say now, and what would it have said?

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::run::{Ran, run};
use crate::support::prometheus;

/// 2026-11-01T00:00:00Z.
const BEGIN: f64 = 1_793_491_200.0;
const HOUR: f64 = 3_600.0;

/// Harm from the second hour to the third; no other metric than this one.
fn error_ratio(query: &str, at: f64) -> Option<f64> {
    let harm = (BEGIN + 2.0 * HOUR..BEGIN + 3.0 * HOUR).contains(&at);
    (query == "error_ratio").then_some(if harm { 0.2 } else { 0.01 })
}

const RULE: &str = r#"
name = "error ratio"
metric = { query = "QUERY" }
when = "over"
limit = { absolute = 0.05 }
for = "5m"
sampling = { step = "1m", lookback = "5m" }
"#;

fn configure(folder: &Path, query: &str) {
    let metrics = prometheus::start(error_ratio);
    let settings: toml::Table = RULE.replace("QUERY", query).parse().expect("TOML");
    let settings = toml::Value::Table(settings);
    let text = format!(
        r#"
[host]
listen = "127.0.0.1:9"
[metrics.prometheus]
kind = "prometheus"
url = "http://{metrics}"
[services.fraud-api]
model = "fraud"
registry = {{ kind = "directory", root = "registry" }}
deployer = {{ kind = "open-inference", url = "http://127.0.0.1:9", model-directory = "models/fraud" }}
metrics = ["prometheus"]
[[services.fraud-api.triggers]]
policy = "threshold-trigger"
settings = {settings}
[services.fraud-api.planner]
policy = "last-known-good"
"#
    );
    std::fs::create_dir_all(folder.join("registry")).expect("made");
    std::fs::write(folder.join("ripcord.toml"), text).expect("writes");
}

fn backtest(folder: &Path, more: &[&str]) -> Ran {
    let window = ["--since", "2026-11-01T00:00:00Z", "--until", "2026-11-01T06:00:00Z"];
    let mut arguments = vec!["--json", "backtest", "threshold-trigger", "--service", "fraud-api"];
    arguments.extend(window.iter().chain(more));
    run(folder, &arguments)
}

#[test]
fn a_rule_that_was_asked_about_a_month_ago_says_what_it_would_have_said_then() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "error_ratio");
    let ran = backtest(folder.path(), &["--step", "10m", "--plot", "out.svg"]);
    assert_eq!(ran.code, 3, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["asked"], 37);
    let changes: Vec<(u64, &str)> = report["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| (minutes(&change["at"]), change["to"].as_str().expect("a word")))
        .collect();
    // What it remembers of one step is what it is told at the next: so it stands down once, and no more.
    let expected = [(0, "ignore"), (120, "watch"), (130, "roll-back"), (180, "stand-down"), (190, "ignore")];
    assert_eq!(changes, expected);
    let svg = std::fs::read_to_string(folder.path().join("out.svg")).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{svg}");
    assert!(!folder.path().join("data").exists(), "nothing is left behind");
}

fn minutes(at: &Value) -> u64 {
    let at: jiff::Timestamp = at.as_str().and_then(|at| at.parse().ok()).expect("an instant");
    u64::try_from(at.as_millisecond() - 1_793_491_200_000).expect("not before") / 60_000
}

#[test]
fn a_rule_without_data_over_the_whole_time_is_a_failure_and_says_of_what() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "errror_ratio");
    let ran = backtest(folder.path(), &["--step", "30m"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let report = ran.json();
    assert_eq!(report["verdicts"]["watch"], 13);
    assert_eq!(report["without-value"][0]["times"], 13);
    assert!(report["without-value"][0]["fact"].as_str().is_some_and(|fact| fact.contains("errror_ratio")));
}

#[test]
fn other_settings_and_other_times_are_given_and_bounded() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "error_ratio");
    let relaxed = RULE.replace("QUERY", "error_ratio").replace("0.05", "0.5");
    std::fs::write(folder.path().join("relaxed.toml"), relaxed).expect("writes");
    let ran = backtest(folder.path(), &["--step", "10m", "--settings", "relaxed.toml"]);
    assert_eq!((ran.code, &ran.json()["verdicts"]["roll-back"]), (0, &json!(0)), "{}", ran.stdout);

    let often = backtest(folder.path(), &["--step", "1s"]);
    assert_eq!(often.code, 2, "{}", often.stdout);
    assert!(
        often.json()["error"]["message"].as_str().is_some_and(|said| said.contains("21600 times")),
        "{}",
        often.stdout
    );
    let nobody = run(folder.path(), &["backtest", "two-key", "--service", "fraud-api"]);
    assert_eq!(nobody.code, 2, "{}", nobody.stdout);
    assert!(nobody.stderr.contains("is no trigger"), "{}", nobody.stderr);
}

#[test]
fn a_metrics_server_that_is_away_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "error_ratio");
    let path = folder.path().join("ripcord.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let away = text
        .lines()
        .map(|line| if line.starts_with("url = ") { "url = \"http://127.0.0.1:9\"" } else { line });
    std::fs::write(&path, away.collect::<Vec<_>>().join("\n")).expect("writes");
    let ran = backtest(folder.path(), &["--step", "1m"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("no system answers"), "{}", ran.stdout);
}

#[test]
fn every_policy_is_asked_about_now_with_the_facts_that_it_saw() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "error_ratio");
    let ran = run(folder.path(), &["policy", "try", "fraud-api"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("trigger threshold-trigger@"), "{}", ran.stdout);
    assert!(ran.stdout.contains("range error_ratio over"), "{}", ran.stdout);
    assert!(ran.stdout.contains("metrics_prometheus, as of"), "{}", ran.stdout);
    let unknown = run(folder.path(), &["policy", "try", "fraud-api", "golden-set"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(!folder.path().join("data").exists(), "nothing is left behind");
}

#[test]
fn a_misspelt_metric_is_green_in_no_check_that_asks() {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), "errror_ratio");
    let asked = |arguments: &[&str]| -> Vec<Value> {
        let report = run(folder.path(), arguments).json();
        let findings = report["findings"].as_array().expect("findings").iter();
        findings
            .filter(|finding| finding["subject"].as_str().is_some_and(|one| one.ends_with(" now")))
            .cloned()
            .collect()
    };
    assert_eq!(asked(&["--json", "check"]), Vec::<Value>::new());
    let found = asked(&["--json", "check", "--now"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["level"], "error");
    assert!(found[0]["text"].as_str().is_some_and(|text| text.contains("errror_ratio")), "{found:?}");

    configure(folder.path(), "error_ratio");
    assert_eq!(asked(&["--json", "check", "--now"])[0]["level"], "ok");
    let blind = run(folder.path(), &["policy", "try", "fraud-api"]);
    assert_eq!(blind.code, 0, "{}", blind.stdout);
}
