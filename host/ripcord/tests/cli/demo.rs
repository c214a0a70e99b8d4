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
    let replayed = run(&folder.path().join("demo"), &["--json", "replay", "--all"]);
    assert_eq!(replayed.code, 0, "{}", replayed.stdout);
    let replayed = replayed.json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed}");
    assert!(replayed["same"].as_u64() > Some(3), "{replayed}");
    every_decision_becomes_a_fixture_that_its_policy_answers_the_same(&folder.path().join("demo"));
    a_trigger_is_tried_over_what_was_recorded(&folder.path().join("demo"));
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
fn nothing_is_left_running(configuration: &std::path::Path) {
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
