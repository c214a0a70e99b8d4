//! The whole story, with real processes.

use crate::run::run;

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
    let replayed = run(&folder.path().join("demo"), &["--json", "replay", "--all"]);
    assert_eq!(replayed.code, 0, "{}", replayed.stdout);
    let replayed = replayed.json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed}");
    assert!(replayed["same"].as_u64() > Some(3), "{replayed}");
}
