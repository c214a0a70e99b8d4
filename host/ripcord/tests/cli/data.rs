//! `ripcord data`: a training set with a bad source in it, from the suspicion to the set without it.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::cli::run::{ModelServer, Ran, configure, configured, run};

const NOWHERE: &str = "127.0.0.1:9";
const LEFT_OUT: &str = "source=chargeback-import";

/// A training set of which the import lies about new accounts since some row.
fn with_data(folder: &Path) {
    let arguments =
        ["example-fraud", "data", "--out", "data", "--poison-from", "1800", "--at", "2026-11-22T12:00:00Z"];
    let made = run(folder, &arguments);
    assert_eq!(made.code, 0, "{}", made.stderr);
}

fn data(folder: &Path, arguments: &[&str]) -> Ran {
    run(folder, &[&["data"], arguments].concat())
}

/// What is printed where no terminal is: nothing beside it, and no colours.
fn assert_plain(ran: &Ran) {
    assert_eq!(ran.stderr, "");
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_source_is_suspected_by_what_a_good_version_answers_and_a_person_is_told_how_to_leave_it_out() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.3.2");
    configure(folder, &server.address);
    let mut configuration = fs::read_to_string(folder.join("ripcord.toml")).expect("a configuration");
    configuration.push_str("[services.fraud-api.endpoint]\noutput = \"decision\"\n");
    fs::write(folder.join("ripcord.toml"), configuration).expect("writes");
    with_data(folder);
    let asked = [
        "suspects",
        "fraud-api",
        "data/manifest.json",
        "--answer",
        "1=decline",
        "--answer",
        "0=approve",
        "--tensor",
        "transaction",
    ];
    let url = format!("http://{}", server.address);
    let there = ["--url", &url, "--output", "decision"];
    let by_name = data(folder, &[&asked[..], &["--version", "1.3.2"]].concat());
    assert_eq!(by_name.code, 3, "{}{}", by_name.stdout, by_name.stderr);
    assert_plain(&by_name);
    let command = "ripcord pull fraud-api --retrain card-transactions@sha256:";
    let command = by_name.stdout.lines().find(|line| line.contains(command)).expect("a command");
    assert!(command.ends_with(" --exclude source=chargeback-import"), "{command}");
    assert!(by_name.stdout.contains("1.3.2 contradicts "), "{}", by_name.stdout);

    let report =
        data(folder, &[&asked[..], &there, &["--version", "1.3.2", "--rows", "2000", "--json"]].concat());
    assert_eq!(report.code, 3, "{}", report.stderr);
    let report = report.json();
    assert_eq!(report["asked"]["rows"], 2_000);
    assert_eq!(report["answered-by"], "1.3.2");
    assert_eq!(report["suspects"].as_array().expect("a list").len(), 1);
    assert_eq!(report["suspects"][0]["exclusion"], json!({ "source": "chargeback-import" }));

    let other = data(folder, &[&asked[..], &there, &["--version", "1.4.0"]].concat());
    assert_eq!(other.code, 1);
    assert!(
        other.stderr.contains("version `1.3.2` answers where `1.4.0` was to be asked"),
        "{}",
        other.stderr
    );
    let missing = data(folder, &[&asked[..], &["--version", "9.9.9"]].concat());
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("the version could not be asked"), "{}", missing.stderr);
}

#[test]
fn a_purge_says_what_went_and_what_is_left_and_the_same_again_does_nothing() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    with_data(folder);
    let purge = ["purge", "data/manifest.json", "--exclude", LEFT_OUT, "--out", "purged"];
    let made = data(folder, &purge);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_plain(&made);
    assert!(made.stdout.starts_with("made purged/manifest.json\n"), "{}", made.stdout);
    assert!(made.stdout.contains(" of 6000 rows are left; "), "{}", made.stdout);
    let again = data(folder, &[&purge[..], &["--json"]].concat());
    let report = again.json();
    assert_eq!((again.code, &report["was-there"]), (0, &json!(true)));
    let receipt: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("purged/purge.json")).expect("a receipt"))
            .expect("JSON");
    assert_eq!(report["after"], receipt["after"]);
    // What was made is what the example trains on.
    let trained = run(
        folder,
        &["example-fraud", "retrain", "--data", "purged/manifest.json", "--out", ".", "--version", "1.5.1"],
    );
    assert_eq!(trained.code, 0, "{}", trained.stderr);
}

#[test]
fn a_predicate_is_printed_or_written_and_never_changed_on_its_way() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    with_data(folder);
    let predicate = ["predicate", "data/manifest.json", "--exclude"];
    let sql = data(folder, &[&predicate[..], &[LEFT_OUT, "--sql"]].concat());
    let condition = "(\"source\" IS NOT NULL AND \"source\" = 'chargeback-import')\n";
    assert_eq!((sql.code, sql.stdout.as_str()), (0, condition), "{}", sql.stderr);
    let json = data(folder, &[&predicate[..], &[LEFT_OUT, "--json"]].concat()).json();
    assert_eq!(json["exclude"], json!([{ "source": { "equals": "chargeback-import" } }]));

    let hostile = "source=a\u{1b}[2J'b";
    let printed = data(folder, &[&predicate[..], &[hostile, "--sql", "spark"]].concat());
    assert_eq!(printed.code, 2, "{}", printed.stdout);
    assert!(printed.stderr.contains("write it into a file: `--out FILE`"), "{}", printed.stderr);
    let written = data(folder, &[&predicate[..], &[hostile, "--sql", "spark", "--out", "out.sql"]].concat());
    assert_eq!(written.code, 0, "{}", written.stderr);
    let file = fs::read_to_string(folder.join("out.sql")).expect("a file");
    assert_eq!(file, "(`source` IS NOT NULL AND `source` = 'a\u{1b}[2J\\'b')\n");
}

#[test]
fn what_cannot_be_done_with_data_is_said_with_its_exit_code() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    with_data(folder);
    let check = |arguments: &[&str], code, expected: &str| {
        let ran = data(folder, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert!(!folder.join("purged").exists());
    };
    let purge =
        |exclude: &'static str| ["purge", "data/manifest.json", "--out", "purged", "--exclude", exclude];
    check(&purge("import"), 2, "`import` says not what is left out: write source=NAME");
    check(&purge("source=imprt"), 2, "there are `chargeback-import`, `review-team`");
    check(&purge("window=1970-01-01T00:00:00Z..1970-01-01T00:00:01Z"), 2, "no row lies in the window");
    check(
        &["purge", "data", "--out", "purged", "--exclude", LEFT_OUT],
        1,
        "is no file: name the data set's manifest.json",
    );
    check(&["purge", "data/manifest.json", "--out", "purged"], 2, "--exclude");
    let all = purge("window=2000-01-01T00:00:00Z..2100-01-01T00:00:00Z");
    check(&all, 2, "nothing is left of the 6000 rows: exclude less, or train on other data");
    let far = [
        "purge",
        "data/manifest.json",
        "--out",
        "purged",
        "--exclude",
        LEFT_OUT,
        "--host",
        "http://127.0.0.1:9",
    ];
    check(&far, 2, "the command `data` is about the files of this machine");
    let part = folder.join("data/part-0001.csv");
    let spoilt = fs::read_to_string(&part).expect("a file").replace("row-0000001,", "row-0000009,");
    fs::write(&part, spoilt).expect("writes");
    check(&purge(LEFT_OUT), 1, "is not the file that the manifest lists: its sha-256 is");
}
