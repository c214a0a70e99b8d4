//! A rule over the past of a real Prometheus, by the real program. Not run unless asked for; then a missing `prometheus` or `promtool` fails the suite:
//!
//!     PATH=$(.ci/monitoring):$PATH cargo test --workspace --test suite -- --ignored monitoring::
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../../../adapters/tests/monitoring/server.rs"]
#[allow(dead_code, reason = "the suite of the adapters uses all of it")]
mod server;

use std::path::Path;

use serde_json::json;

use crate::support::run::{Ran, run};
use server::{Prometheus, Setup};

const MINUTE: u64 = 60;

/// Six hours of three days ago, in seconds since 1970.
fn begin() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    now / 7_200 * 7_200 - 3 * 24 * 3_600
}

/// What a model server counts, read once a minute: a thousand requests, of which one in a hundred fails; within the third hour one in five.
fn history() -> String {
    let (begin, mut requests, mut errors) = (begin(), 0_u64, 0_u64);
    let (mut of_requests, mut of_errors) = (String::new(), String::new());
    for minute in 0..6 * 60 {
        let at = begin + minute * MINUTE;
        requests += 1_000;
        errors += if (120..180).contains(&minute) { 200 } else { 10 };
        of_requests += &format!("requests_total{{model=\"fraud\"}} {requests} {at}\n");
        of_errors += &format!("errors_total{{model=\"fraud\"}} {errors} {at}\n");
    }
    format!("# TYPE requests counter\n{of_requests}# TYPE errors counter\n{of_errors}# EOF\n")
}

fn configure(folder: &Path, url: &str, errors: &str) {
    let text = format!(
        r#"
[host]
listen = "127.0.0.1:9"
[metrics.prometheus]
kind = "prometheus"
url = "{url}"
[services.fraud-api]
model = "fraud"
registry = {{ kind = "directory", root = "registry" }}
deployer = {{ kind = "open-inference", url = "http://127.0.0.1:9", model-directory = "models/fraud" }}
metrics = ["prometheus"]
[[services.fraud-api.triggers]]
policy = "threshold-trigger"
settings = {{ metric = {{ query = "sum(rate({errors}{{model=\"fraud\"}}[5m]))" }}, per = {{ query = "sum(rate(requests_total{{model=\"fraud\"}}[5m]))" }}, when = "over", limit = {{ absolute = 0.05 }}, for = "5m", sampling = {{ step = "1m", lookback = "5m" }} }}
[services.fraud-api.planner]
policy = "last-known-good"
"#
    );
    std::fs::create_dir_all(folder.join("registry")).unwrap();
    std::fs::write(folder.join("ripcord.toml"), text).unwrap();
}

fn backtest(folder: &Path, from: u64, until: u64, more: &[&str]) -> Ran {
    let at = |minutes: u64| {
        jiff::Timestamp::from_second((begin() + minutes * MINUTE).try_into().unwrap()).unwrap().to_string()
    };
    let (since, until) = (at(from), at(until));
    let window = ["--since", &since, "--until", &until, "--step", "5m"];
    run(
        folder,
        &[&["--json", "backtest", "threshold-trigger", "--service", "fraud-api"], &window[..], more].concat(),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants prometheus and promtool"]
async fn a_rule_over_what_prometheus_has_kept_finds_the_harm_where_it_was() {
    let server = Prometheus::start(Setup { past: Some(history()), ..Setup::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, &server.url(), "errors_total");

    let ran = backtest(folder, 30, 330, &["--plot", "out.svg"]);
    assert_eq!(ran.code, 3, "it would have rolled back: {}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["asked"], 61);
    let changes: Vec<(u64, String)> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let at: jiff::Timestamp = change["at"].as_str().unwrap().parse().unwrap();
            let minutes = (u64::try_from(at.as_second()).unwrap() - begin()) / MINUTE;
            (minutes, change["to"].as_str().unwrap().to_owned())
        })
        .collect();
    println!("{changes:?}");
    let words: Vec<&str> = changes.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(words, ["ignore", "watch", "roll-back", "stand-down", "ignore"], "{changes:?}");
    let at = |word: &str| changes.iter().find(|(_, to)| to == word).unwrap().0;
    // A rate over five minutes tells of harm a little after its beginning, and a little after its end.
    assert!((120..=135).contains(&at("roll-back")), "{changes:?}");
    assert!((180..=195).contains(&at("stand-down")), "{changes:?}");
    assert!(std::fs::read_to_string(folder.join("out.svg")).unwrap().contains("<polyline"));

    // A time without harm, a limit above it, and a metric that is misspelt: each its own answer.
    let quiet = backtest(folder, 30, 115, &[]);
    assert_eq!((quiet.code, &quiet.json()["verdicts"]["roll-back"]), (0, &json!(0)), "{}", quiet.stdout);
    configure(folder, &server.url(), "errros_total");
    let blind = backtest(folder, 30, 330, &[]);
    assert_eq!(blind.code, 1, "{}", blind.stdout);
    let without = blind.json()["without-value"].to_string();
    assert!(without.contains("errros_total"), "{without}");
}
