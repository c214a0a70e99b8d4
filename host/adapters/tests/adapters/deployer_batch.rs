//! A job without an endpoint: `examples/batch/score.sh` runs beside the adapter, as a scheduler starts it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ripcord_adapters::conformance::deployer;
use ripcord_adapters::deployer_batch::{BatchDeployer, BatchDeployerConfig, StampConfig};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::target::Target;
use ripcord_ports::Deployer;
use ripcord_ports::deployer::{Outputs, Probe, ShiftOrder, Shifted};
use serde_json::json;

use super::support::{shared, target, version};

const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/batch/score.sh");

fn stamp(kind: &str) -> StampConfig {
    let stamp = match kind {
        "name" => json!({"name": "scores-{version}-*.csv"}),
        "sidecar" => json!({"field": "/model/version", "sidecar": ".meta.json"}),
        _ => json!({"field": "/version"}),
    };
    serde_json::from_value(stamp).unwrap()
}

fn config(root: &Path, kind: &str) -> BatchDeployerConfig {
    BatchDeployerConfig {
        pointer: root.join("version"),
        outputs: root.join("out"),
        pattern: "*".into(),
        stamp: stamp(kind),
    }
}

fn batch(root: &Path, kind: &str) -> BatchDeployer {
    BatchDeployer::new(config(root, kind), &shared()).unwrap()
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("out")).unwrap();
    std::fs::write(root.path().join("version"), "1.0\n").unwrap();
    root
}

fn run_job(root: &Path, kind: &str, run: &str) {
    let ended = Command::new("sh").arg(JOB).arg(root).args([kind, run]).status().unwrap();
    assert!(ended.success());
}

/// A file whose time is so many seconds after the beginning of this test's day.
fn made(path: &Path, content: &str, second: u64) {
    std::fs::write(path, content).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

/// A schedule without pauses.
struct Schedule(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Schedule {
    fn start(root: &Path, kind: &'static str) -> Self {
        let (ended, root) = (Arc::new(AtomicBool::new(false)), root.to_owned());
        let ends = Arc::clone(&ended);
        let runs = std::thread::spawn(move || {
            for number in 0.. {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                run_job(&root, kind, &number.to_string());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self(ended, Some(runs))
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.take().unwrap().join();
    }
}

fn settable(name: &str) -> deployer::Settable {
    deployer::Settable { target: Target::Version(target(name, None)), staged: None }
}

#[tokio::test]
async fn a_job_conforms_by_each_kind_of_stamp() {
    for kind in ["name", "sidecar", "field"] {
        let root = root();
        let _schedule = Schedule::start(root.path(), kind);
        deployer::conforms(&batch(root.path(), kind), &settable("1.0"), &settable("1.1")).await;
        let left: Vec<_> =
            std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "nothing is left beside the pointer: {left:?}");
    }
}

async fn unknown(deployer: &BatchDeployer) -> String {
    match deployer.live().await.unwrap().state {
        LiveState::Unknown(why) => why,
        known => panic!("{known} is known"),
    }
}

async fn live(deployer: &BatchDeployer) -> String {
    let state = deployer.live().await.unwrap().state;
    assert_eq!(state.weakest_proof(), Some(Proof::Answer), "{state}");
    state.sole_version().unwrap().version.to_string()
}

async fn shift(deployer: &BatchDeployer, name: &str) -> ShiftOrder {
    let order = deployer::order("key", &settable(name), deployer.live().await.unwrap().state);
    let Shifted::Underway(text) = deployer.shift(&order).await.unwrap() else { panic!("it is done at once") };
    assert_eq!(text, format!("the job is set to `{name}`: its next output shows"));
    order
}

#[tokio::test]
async fn nothing_is_known_from_the_shift_to_the_next_output() {
    let root = root();
    let (out, deployer) = (root.path().join("out"), batch(root.path(), "name"));
    assert!(unknown(&deployer).await.contains("there is no output with a stamp"));
    made(&root.path().join("version"), "1.1\n", 0);
    made(&out.join("scores-1.1-1.csv"), "", 60);
    assert_eq!(live(&deployer).await, "1.1");

    let order = shift(&deployer, "1.0").await;
    let why = unknown(&deployer).await;
    assert!(why.contains("the job is set to `1.0` since "), "{why}");
    assert!(
        why.contains("`scores-1.1-1.csv` of 2023-11-14T22:14:20.000Z is by `1.1`: its next output shows"),
        "{why}"
    );
    assert_eq!(deployer.probe(&order).await.unwrap(), Probe::Applied);

    // The run that was under way ends as it was begun; then one begins with the version that was set.
    let later = |second: u64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        now - 1_700_000_000 + second
    };
    made(&out.join("scores-1.1-2.csv"), "", later(60));
    assert_eq!(live(&deployer).await, "1.1");
    made(&out.join("scores-1.0-3.csv"), "", later(120));
    assert_eq!(live(&deployer).await, "1.0");
}

#[tokio::test]
async fn an_output_that_is_being_made_is_passed_over_and_those_that_stay_without_a_stamp_are_told() {
    let root = root();
    let (out, deployer) = (root.path().join("out"), batch(root.path(), "sidecar"));
    let meta = |text: &str| format!("{{\"model\": {{\"version\": {text}}}}}");
    made(&root.path().join("version"), "1.0\n", 0);
    made(&out.join("a.csv"), "", 10);
    made(&out.join("a.csv.meta.json"), &meta("\"1.0\""), 11);
    made(&out.join("_SUCCESS"), "", 12);
    made(&out.join("b.csv"), "", 20);
    assert_eq!(live(&deployer).await, "1.0");
    made(&out.join("b.csv.meta.json"), "{\"model\"", 21);
    assert_eq!(live(&deployer).await, "1.0", "a stamp that is cut is being written");
    made(&out.join("c.csv"), "", 30);
    assert!(unknown(&deployer).await.contains("the newest outputs have no stamp, `c.csv` among them"));
    made(&out.join("c.csv.meta.json"), &meta("null"), 31);
    assert!(unknown(&deployer).await.contains("`c.csv` has neither a text nor a number at `/model/version`"));
    made(&out.join("c.csv.meta.json"), &meta("\"1.1\""), 32);
    assert_eq!(live(&deployer).await, "1.1", "whoever set it so");

    std::fs::remove_file(root.path().join("version")).unwrap();
    assert!(unknown(&deployer).await.contains("is not there"));
    std::fs::write(root.path().join("version"), "a\u{1b}[2J\nb\n").unwrap();
    let why = unknown(&deployer).await;
    assert!(why.contains("names no version: `a\\u{1b}[2J b`") && !why.contains('\u{1b}'), "{why}");
}

#[tokio::test]
async fn files_beside_folders_with_a_stamp_in_them_are_no_outputs() {
    let root = root();
    let out = root.path().join("out");
    let stamp = serde_json::from_value(json!({"field": "/version", "sidecar": "/_meta.json"})).unwrap();
    let config = BatchDeployerConfig { stamp, ..config(root.path(), "field") };
    let deployer = BatchDeployer::new(config, &shared()).unwrap();
    made(&root.path().join("version"), "1.0\n", 0);
    std::fs::create_dir(out.join("monday")).unwrap();
    made(&out.join("monday/_meta.json"), r#"{"version": "1.0"}"#, 10);
    for (name, second) in [("README", 20), ("log.txt", 30), ("scores.csv", 40)] {
        made(&out.join(name), "", second);
    }
    assert_eq!(live(&deployer).await, "1.0");
}

/// An output by 1.0, the same for each kind of stamp.
fn made_by_1_0(out: &Path, kind: &str, run: &str, second: u64) {
    let name = format!("scores-1.0-{run}.csv");
    made(&out.join(&name), r#"{"version": "1.0"}"#, second);
    if kind == "sidecar" {
        let meta = out.join(format!("{name}.meta.json"));
        made(&meta, r#"{"model": {"version": "1.0"}}"#, second);
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_no_output_and_hinders_no_other() {
    for (kind, unreadable) in [("name", 2), ("sidecar", 3), ("field", 2)] {
        let root = root();
        let (out, deployer) = (root.path().join("out"), batch(root.path(), kind));
        made(&root.path().join("version"), "1.0\n", 0);
        made_by_1_0(&out, kind, "monday", 10);
        std::os::unix::fs::symlink("../version", out.join("scores-1.1-out.csv")).unwrap();
        std::os::unix::fs::symlink("nowhere", out.join("scores-1.1-nowhere.csv")).unwrap();
        let pipe = out.join("scores-1.1-pipe.csv");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        // Beside a folder a stamp may come yet.
        std::fs::create_dir(out.join("archive")).unwrap();
        assert_eq!(live(&deployer).await, "1.0", "{kind}");
        let told = deployer.outputs(&[version("1.0")]).await.unwrap().unwrap();
        assert_eq!((told.number, told.unreadable), (1, unreadable), "{kind}");

        std::fs::remove_dir_all(&out).unwrap();
        let error = deployer.live().await.unwrap_err();
        assert!(error.to_string().contains("cannot open the folder"), "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_stamp_that_cannot_be_read_is_one_that_is_not_there_yet_and_one_that_is_too_large_is_none() {
    let root = root();
    let (out, deployer) = (root.path().join("out"), batch(root.path(), "sidecar"));
    made(&root.path().join("version"), "1.0\n", 0);
    made_by_1_0(&out, "sidecar", "monday", 10);
    for (run, second) in [("tuesday", 20), ("wednesday", 30)] {
        assert_eq!(live(&deployer).await, "1.0");
        let name = out.join(format!("scores-1.1-{run}.csv"));
        made(&name, "", second);
        std::os::unix::fs::symlink("/etc/hostname", format!("{}.meta.json", name.display())).unwrap();
    }
    let why = unknown(&deployer).await;
    assert!(why.contains("`scores-1.1-wednesday.csv` among them (cannot read"), "{why}");
    assert!(why.contains("links may not lead out of the folder"), "{why}");

    made(&out.join("scores-1.1-thursday.csv"), "", 40);
    made(&out.join("scores-1.1-thursday.csv.meta.json"), &" ".repeat((1 << 20) + 1), 40);
    let why = unknown(&deployer).await;
    assert!(
        why.contains("`scores-1.1-thursday.csv` has more than 1048576 bytes where its stamp should be"),
        "{why}"
    );
    made_by_1_0(&out, "sidecar", "friday", 50);
    assert_eq!(live(&deployer).await, "1.0");
}

#[tokio::test]
async fn what_was_left_has_made_is_listed_with_what_came_then_and_what_is_cut_is_said() {
    let root = root();
    let (out, deployer) = (root.path().join("out"), batch(root.path(), "name"));
    for (name, second) in [("1.0-1", 10), ("1.1-2", 20), ("1.1-3", 30), ("1.0-4", 40), ("1.0-5", 50)] {
        made(&out.join(format!("scores-{name}.csv")), "", second);
    }
    let outputs = async |versions: &[&str]| -> Outputs {
        let versions: Vec<_> = versions.iter().map(|name| version(name)).collect();
        deployer.outputs(&versions).await.unwrap().unwrap()
    };
    let told = outputs(&["1.1"]).await;
    let names: Vec<_> = told.made.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["scores-1.1-2.csv", "scores-1.1-3.csv"]);
    let second = |at: Option<ripcord_core::time::UnixMillis>| at.map(|at| at.0 / 1_000 - 1_700_000_000);
    assert_eq!(
        (told.number, second(told.first_at), second(told.last_at), second(told.next_at)),
        (2, Some(20), Some(30), Some(40))
    );
    assert_eq!(outputs(&["2.0"]).await, Outputs::default());

    for number in 0..5_000 {
        std::fs::write(out.join(format!("scores-1.2-{number}.csv")), "").unwrap();
    }
    let told = outputs(&["1.2", "1.1"]).await;
    assert_eq!((told.number, told.made.len(), told.not_looked_at), (5_000, 1_000, 5));
}

#[tokio::test]
async fn of_very_many_outputs_the_newest_are_looked_at_and_whoever_checks_is_told() {
    let root = root();
    let (out, deployer) = (root.path().join("out"), batch(root.path(), "name"));
    made(&root.path().join("version"), "1.0\n", 0);
    for number in 0..39_999 {
        std::fs::File::create(out.join(format!("scores-1.1-{number}.csv"))).unwrap();
    }
    // What has another name is no output.
    for number in 0..10_100 {
        std::fs::File::create(out.join(format!("log-{number}.txt"))).unwrap();
    }
    assert_eq!(deployer.warning().await, None);
    let later = SystemTime::now() + Duration::from_secs(60);
    let newest = std::fs::File::create(out.join("scores-1.0-newest.csv")).unwrap();
    newest.set_modified(later).unwrap();
    assert_eq!(live(&deployer).await, "1.0");
    let told = deployer.outputs(&[version("1.1"), version("1.0")]).await.unwrap().unwrap();
    assert_eq!((told.number, told.made.len(), told.not_looked_at), (5_000, 1_000, 35_000));
    assert_eq!((told.unreadable, told.next_at), (0, None));
    let warning = deployer.warning().await.unwrap();
    assert!(warning.contains("holds 40000 outputs") && warning.contains("move old ones away"), "{warning}");
    assert_eq!(deployer.obstacle().await, None, "it hinders no shift");
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let refused = |change: &dyn Fn(&mut BatchDeployerConfig), expected: &str| {
        let mut config = config(Path::new("/srv/scoring"), "name");
        change(&mut config);
        let error = BatchDeployer::new(config, &shared()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|config| config.pointer = "/".into(), "`pointer` is");
    refused(&|config| config.pointer = "/srv/scoring/out/version".into(), "lies among the outputs");
    refused(&|config| config.pattern = "*/*".into(), "`pattern`");
    refused(&|config| config.stamp.name = Some("scores.csv".into()), "`{version}` once");
    refused(&|config| config.stamp.field = Some("/version".into()), "write one of both");
}

#[tokio::test]
async fn a_pointer_that_cannot_be_replaced_is_an_obstacle() {
    let root = root();
    let deployer = batch(root.path(), "name");
    assert_eq!(deployer.obstacle().await, None);
    std::fs::remove_file(root.path().join("version")).unwrap();
    std::os::unix::fs::symlink("elsewhere", root.path().join("version")).unwrap();
    assert!(deployer.obstacle().await.unwrap().contains("is a symbolic link"));
}
