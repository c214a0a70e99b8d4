//! A job without an endpoint: a whole incident, read back by the job's next output, and what is to be scored again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::pages::blocks::root;
use crate::support::run::as_olga;

const CONFIGURATION: &str = r#"
[host]
listen = "127.0.0.1:9"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[services.churn-nightly]
mode = "act"

[services.churn-nightly.registry]
kind = "command"
list = ["./registry.sh", "list", "versions"]
fetch = ["./registry.sh", "fetch", "versions", "{version}", "{into}"]
mark = ["./registry.sh", "mark", "versions", "{version}", "{state}", "{incident}"]

[services.churn-nightly.deployer]
kind = "batch"
pointer = "scoring/version"
outputs = "scoring/out"
stamp = { name = "scores-{version}-*.csv" }
"#;

fn succeeds(folder: &Path, program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).current_dir(folder).status().unwrap();
    assert!(ended.success(), "{program} {arguments:?}");
}

/// As the scheduler starts it.
fn run_job(folder: &Path, run: &str) {
    succeeds(folder, "sh", &["score.sh", "scoring", "name", run]);
}

fn set_to(folder: &Path, version: &str) {
    std::fs::write(folder.join("scoring/version"), format!("{version}\n")).unwrap();
}

/// Two versions, a job that has run with both, the later one last.
fn world(folder: &Path) {
    std::fs::write(folder.join("ripcord.toml"), CONFIGURATION).unwrap();
    for (from, name) in [("examples/command", "registry.sh"), ("examples/batch", "score.sh")] {
        std::fs::copy(root().join(from).join(name), folder.join(name)).unwrap();
    }
    for made in ["versions", "made", "scoring/out"] {
        std::fs::create_dir_all(folder.join(made)).unwrap();
    }
    for version in ["1.3.2", "1.4.0"] {
        std::fs::write(folder.join("made/model.txt"), version).unwrap();
        succeeds(folder, "tar", &["-czf", &format!("versions/{version}.tar.gz"), "-C", "made", "."]);
    }
    for (version, run) in [("1.3.2", "monday"), ("1.4.0", "tuesday"), ("1.4.0", "wednesday")] {
        set_to(folder, version);
        run_job(folder, run);
    }
}

#[test]
fn a_job_is_rolled_back_by_its_next_output_and_what_the_bad_version_made_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    world(folder.path());
    let set = folder.path().join("scoring/version");
    let pulled = std::thread::scope(|scope| {
        scope.spawn(|| {
            // The night comes once the job is set.
            while std::fs::read_to_string(&set).unwrap() != "1.3.2\n" {
                std::thread::sleep(Duration::from_millis(20));
            }
            run_job(folder.path(), "thursday");
        });
        as_olga(folder.path(), &["--json", "pull", "churn-nightly", "--to", "1.3.2"])
    });
    assert_eq!(pulled.code, 0, "{}\n{}", pulled.stdout, pulled.stderr);
    let view = pulled.json();
    assert_eq!((&view["before"], &view["after"]), (&"1.4.0".into(), &"1.3.2".into()));
    assert_eq!(view["proof"], "answer");
    let again = &view["score_again"];
    assert_eq!(again["number"], 2, "{again}");
    let names: Vec<_> =
        again["made"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["scores-1.4.0-tuesday.csv", "scores-1.4.0-wednesday.csv"]);
    assert!(
        again["next_at"].as_u64().is_some() || again["next_at"].is_string(),
        "thursday's came then: {again}"
    );

    let shown = as_olga(folder.path(), &["incidents", "show", view["id"].as_str().unwrap()]);
    for line in ["score again", "2 outputs by `1.4.0`, made from ", "scores-1.4.0-wednesday.csv"] {
        assert!(shown.stdout.contains(line), "`{line}`: {}", shown.stdout);
    }
    let timeline = "2 outputs were made by what was left: score them again";
    assert!(shown.stdout.contains(timeline), "{}", shown.stdout);
}

#[test]
fn a_job_that_leaves_very_many_outputs_is_told_of_by_check() {
    let folder = tempfile::tempdir().unwrap();
    world(folder.path());
    let told = || as_olga(folder.path(), &["check", "--json"]).stdout;
    assert!(!told().contains("move old ones away"), "{}", told());
    for number in 0..40_000 {
        std::fs::File::create(folder.path().join(format!("scoring/out/scores-1.4.0-{number}.csv"))).unwrap();
    }
    let told = told();
    assert!(told.contains("holds 40003 outputs") && told.contains("move old ones away"), "{told}");
}
