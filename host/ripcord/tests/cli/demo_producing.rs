//! The demos in which a version is made first, with real processes: of a checkpoint, and by training again.

use serde_json::Value;

use crate::cli::demo::{it_replays, nothing_is_left_running};
use crate::cli::run::run;

fn played(strategy: &str, seed: &str) -> (Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let arguments = ["--json", "demo", "--strategy", strategy, "--seed", seed, "--yes", "--dir", "demo"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let demo = folder.path().join("demo");
    it_replays(&demo);
    nothing_is_left_running(&demo.join("ripcord.toml"));
    (ran.json(), folder)
}

/// The versions that were served, in this order.
fn served(report: &Value, when: &[&str]) -> Vec<String> {
    when.iter().map(|when| report["served"][when]["version"].as_str().unwrap_or("none").to_owned()).collect()
}

/// How the incidents before the last one ended.
fn before(report: &Value) -> Vec<&str> {
    let incidents = report["incidents_before"].as_array().expect("incidents");
    incidents.iter().filter_map(|incident| incident["outcome"].as_str()).collect()
}

fn votes(incident: &Value) -> usize {
    incident["votes"]
        .as_array()
        .map_or(0, |votes| votes.iter().filter(|vote| vote["kind"] == "signature").count())
}

#[test]
fn a_version_is_made_of_the_newest_checkpoint_from_before_the_bad_labels_and_put_in_place() {
    let (report, _folder) = played("checkpoint", "3");
    assert_eq!(report["outcome"], "rolled-back");
    let versions = served(&report, &["before", "during", "after"]);
    assert_eq!(versions, ["online-3-step-240", "online-3-step-600", "online-3-step-300"]);
    assert_eq!(before(&report), ["producing"]);
    assert_eq!(
        (votes(&report["incidents_before"][0]), votes(&report["incident"])),
        (2, 2),
        "each plan has its own"
    );
    assert_eq!(report["pulled_by"], Value::Null, "the planner itself has found it");
    let ordered = &report["incidents_before"][0];
    let target = &ordered["plan"]["parts"][0]["rungs"][0]["target"]["checkpoint"];
    assert_eq!((&target["run"], &target["step"]), (&"online-3".into(), &"300".into()), "{target}");
    assert_eq!(ordered["ranking"]["suspects"][0]["became"][0], "online-3-step-600", "{ordered:#}");
    assert_eq!(report["standing"], "known-good", "the golden data and the metric have verified it");
    assert_eq!(report["holds"][0]["revision"], "online-3-step-600");
    assert_eq!(report["holds"].as_array().map(Vec::len), Some(1));
    let part = |part: &str| report["split"][part].is_string();
    assert!(
        ["detect", "decide", "wait_for_people", "act", "verify", "total"].into_iter().all(part),
        "{report:#}"
    );
}

#[test]
fn a_version_is_trained_without_the_rows_that_the_version_before_contradicts() {
    let (report, _folder) = played("retrain", "4");
    assert_eq!(report["outcome"], "rolled-back");
    let versions = served(&report, &["before", "during", "meanwhile", "after"]);
    assert_eq!(versions, ["1.3.2", "1.5.1", "1.3.2", "1.5.2"], "the quick way back comes first");
    assert_eq!(before(&report), ["rolled-back", "producing"]);
    let incidents = report["incidents_before"].as_array().expect("incidents");
    assert!(incidents.iter().chain([&report["incident"]]).all(|incident| votes(incident) == 2), "{report:#}");
    let suspect = &report["bad_rows"]["suspects"][0];
    assert_eq!(suspect["exclusion"]["source"], "chargeback-import", "{suspect:#}");
    assert_eq!(report["bad_rows"]["answered-by"], "1.3.2", "that version was asked, no column believed");
    let pulled = report["pulled_by"].as_str().expect("a command");
    assert!(pulled.contains("--exclude source=chargeback-import"), "{pulled}");
    let held: Vec<_> =
        report["holds"].as_array().expect("holds").iter().map(|hold| &hold["revision"]).collect();
    assert_eq!(held, ["1.5.1"], "what was good and is left stays good");
    let declines = |version: &str| {
        let trained = report["trained"].as_array().expect("models").iter();
        let of = trained.filter(|one| one["version"] == version).map(|one| one["decline_share"].as_f64());
        of.flatten().next().unwrap_or_else(|| panic!("{version}: {report:#}"))
    };
    for bad in ["1.5.0", "1.5.1"] {
        assert!(
            declines(bad) > 3.0 * declines("1.5.2"),
            "both that were trained on them are bad: {report:#}"
        );
    }
}
