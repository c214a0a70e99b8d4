//! Training with a program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_adapters::ExclusionColumns;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms, order};
use ripcord_adapters::producer_command::{CommandProducer, CommandProducerConfig};
use ripcord_core::data::PURGED_FROM;
use ripcord_core::signal::Label;
use ripcord_core::target::{Exclusion, RetrainTarget, Strategy, Target, Window};
use ripcord_core::time::UnixMillis;
use ripcord_ports::producer::Progress;
use ripcord_ports::{Applied, ErrorKind, Producer, Registry};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{checkpoint, configuration, ended, failed, registry, retrain, surroundings, without_import};
use crate::adapters::support::{empty_dir, publish, version};

fn config(train: &[&str]) -> CommandProducerConfig {
    CommandProducerConfig {
        train: train.iter().map(|&argument| argument.to_owned()).collect(),
        makes: vec![Strategy::Retrain],
        columns: ExclusionColumns::default(),
        folder: None,
        pass_environment: Vec::new(),
    }
}

fn producer(root: &Path, train: &[&str]) -> CommandProducer {
    CommandProducer::new(config(train), surroundings(root)).unwrap()
}

/// A shell program; braces are the shell's own.
fn shell(root: &Path, script: &str) -> CommandProducer {
    producer(root, &["sh", "-c", &script.replace('{', "{{").replace('}', "}}")])
}

struct Programs(tempfile::TempDir);

impl Programs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn train(&self) -> CommandProducer {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/commands/train.sh");
        producer(self.0.path(), &[program, self.0.path().to_str().unwrap(), "{key}"])
    }

    fn leader(&self, key: &str) -> Option<i32> {
        let text = std::fs::read_to_string(self.0.path().join(format!("data/programs/{key}/pid"))).ok()?;
        text.split(' ').next().unwrap().parse().ok()
    }
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

#[async_trait]
impl Pipeline for Programs {
    async fn begun(&self, key: &str) -> usize {
        let begun = std::fs::read_to_string(self.0.path().join("begun")).unwrap_or_default();
        begun.lines().filter(|line| *line == key).count()
    }

    async fn let_succeed(&self, key: &str) {
        std::fs::write(self.0.path().join(format!("{key}.go")), "").unwrap();
    }

    async fn let_fail(&self, key: &str) {
        std::fs::write(self.0.path().join(format!("{key}.fail")), "").unwrap();
    }

    async fn goes_on(&self, key: &str) -> bool {
        self.leader(key).is_some_and(runs)
    }

    async fn lose(&self, key: &str) -> bool {
        while self.begun(key).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill_process_group(Pid::from_raw(self.leader(key).unwrap()).unwrap(), Signal::KILL).unwrap();
        true
    }

    fn restarted(&self) -> Arc<dyn Producer> {
        Arc::new(self.train())
    }

    fn registry(&self) -> Arc<dyn Registry> {
        registry(self.0.path())
    }
}

#[tokio::test]
async fn it_conforms() {
    let programs = Programs::new();
    let expected = Expected {
        makes: without_import(),
        fails: without_import(),
        says: "ended with exit code 3 and said `no rows are left`".into(),
        refuses: configuration(),
    };
    conforms(&programs.train(), &programs, &expected).await;
}

#[tokio::test]
async fn files_that_it_leaves_become_a_version_with_what_was_left_out() {
    let programs = Programs::new();
    let producer = programs.train();
    let order = order("files", &without_import());
    producer.start(&order).await.unwrap();
    let Progress::Running { text, since } = producer.progress(&order).await.unwrap() else {
        panic!("it runs")
    };
    assert!(["step 1 of 2", "its program runs"].contains(&text.as_str()) && since.is_some(), "{text}");
    programs.let_succeed(&order.key).await;
    let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
    assert_eq!(made.version.version, version(&format!("v-{}", order.key)));
    let told: Vec<_> = made.made_of.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
    assert_eq!(told, [("measure loss", "\"NaN\""), ("rows-excluded", "12")]);
    let (folder, dir) = empty_dir();
    registry(programs.0.path()).fetch(&made.version, dir).await.unwrap();
    let model = std::fs::read_to_string(folder.path().join("model.txt")).unwrap();
    assert!(
        model.contains(r#"{"data":"sha256:7","exclude":[{"source":{"equals":"chargeback-import"}}]}"#),
        "{model}"
    );
    let lineage = registry(programs.0.path()).lineage(&made.version.version).await.unwrap();
    assert_eq!((lineage.dataset.as_deref(), lineage.run), (Some("transactions"), Some(order.key.clone())));
    assert!(
        !programs.0.path().join(format!("data/programs/{}/out/files", order.key)).exists(),
        "nothing is kept twice"
    );
}

#[tokio::test]
async fn what_is_trained_on_all_rows_is_of_the_ordered_revision_and_without_some_of_none_that_is_known() {
    let root = tempfile::tempdir().unwrap();
    let trained = async |what: &str, target: &Target, result: &str| {
        let script = r#"mkdir "$RIPCORD_OUTPUT/files"; echo "$RIPCORD_KEY" > "$RIPCORD_OUTPUT/files/model"; echo 'RESULT' > "$RIPCORD_OUTPUT/result.json""#;
        let producer = shell(root.path(), &script.replace("RESULT", result));
        let order = order(what, target);
        producer.start(&order).await.unwrap();
        let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
        let lineage = registry(root.path()).lineage(&made.version.version).await.unwrap();
        let is_from = |label: &&Label| label.name == PURGED_FROM;
        let from = lineage.parameters.iter().find(is_from).map(|label| label.value.clone());
        (lineage.dataset, lineage.dataset_revision, from)
    };
    let text = |text: &str| Some(text.to_owned());
    let named_all = r#"{"version": "named-all", "dataset-revision": "sha256:8"}"#;
    let named_part = r#"{"version": "named-part", "dataset-revision": "sha256:8"}"#;
    for (what, target, result, revision, from) in [
        ("all", retrain(Vec::new()), r#"{"version": "all"}"#, text("sha256:7"), None),
        ("named", retrain(Vec::new()), named_all, text("sha256:8"), None),
        ("part", without_import(), r#"{"version": "part"}"#, None, text("sha256:7")),
        ("named part", without_import(), named_part, text("sha256:8"), text("sha256:7")),
    ] {
        let told = trained(what, &target, result).await;
        assert_eq!(told, (text("transactions"), revision, from), "{what}");
    }
}

#[tokio::test]
async fn a_program_is_told_everything_and_sees_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let script = r#"mkdir "$RIPCORD_OUTPUT/files"; { cat; env | cut -d= -f1 | sort; cat "$RIPCORD_ORDER"; printf '%s' "$@"; } > "$RIPCORD_OUTPUT/files/told""#;
    let script = script.replace('{', "{{").replace('}', "}}");
    let producer = producer(
        root.path(),
        &["sh", "-c", &script, "sh", "{dataset}|{revision}|{service}|{incident} $(id)"],
    );
    let order = order("told", &without_import());
    producer.start(&order).await.unwrap();
    let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
    let (folder, dir) = empty_dir();
    registry(root.path()).fetch(&made.version, dir).await.unwrap();
    let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
    let names: Vec<_> = told
        .lines()
        .take_while(|line| !line.starts_with('{'))
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(names, ["PATH", "RIPCORD_EXCLUDE", "RIPCORD_KEY", "RIPCORD_ORDER", "RIPCORD_OUTPUT"]);
    assert!(told.contains(&order.key) && told.contains("\"kind\":\"retrain\""), "{told}");
    assert!(told.ends_with("transactions|sha256:7|fraud-api|fraud-api:7 $(id)"), "{told}");
}

#[tokio::test]
async fn what_a_program_registers_by_itself_must_be_in_the_registry() {
    let root = tempfile::tempdir().unwrap();
    let why = failed(&shell(root.path(), r#"echo '{"version": "9.9"}'"#), &without_import()).await;
    assert!(
        why.contains("has registered the version `9.9`, and `registry_directory` has none of that name"),
        "{why}"
    );
    let digest = publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
    let order = order("by itself", &without_import());
    let producer =
        shell(root.path(), r#"echo '{"version": "1.0"}' > "$RIPCORD_OUTPUT/result.json"; echo done"#);
    producer.start(&order).await.unwrap();
    let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
    assert_eq!(made.version.digest, Some(digest));
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    for (script, expected) in [
        ("exit 1", "ended with exit code 1 and said nothing"),
        (
            "echo first >&2; printf 'disk\\033[31m\\nfull' >&2; exit 7",
            "ended with exit code 7 and said `first disk",
        ),
        ("kill -9 $$", "was ended by signal 9"),
        ("true", "the run has ended and left no result: have it put files into `files`"),
        ("echo done", "left no result"),
        ("mkdir $RIPCORD_OUTPUT/files", "left no result"),
        ("echo '{' > $RIPCORD_OUTPUT/result.json", "is not JSON"),
        ("echo '[1]' > $RIPCORD_OUTPUT/result.json", "which is neither an object nor the name of a version"),
        ("echo '{\"version\": \"a b\"}'", "names no version"),
        ("echo '{}'", "names no version: have its result name"),
        ("head -c 3000000 /dev/zero > $RIPCORD_OUTPUT/result.json", "what the run has left cannot be used"),
        (
            "mkdir $RIPCORD_OUTPUT/files; ln -s /etc/hostname $RIPCORD_OUTPUT/files/a",
            "neither a file nor a folder",
        ),
        ("./no-such-program", "cannot be started (exit code 127)"),
    ] {
        let why = failed(&shell(root.path(), script), &without_import()).await;
        assert!(why.contains(expected), "{script}: {why}");
        assert!(!why.contains(['\n', '\u{1b}']) && why.chars().count() < 2_000, "{script}: {why:?}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_of_words_leave_their_end() {
    let root = tempfile::tempdir().unwrap();
    let script = "head -c 100000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2; echo the last word >&2; exit 1";
    let producer = shell(root.path(), script);
    let why = failed(&producer, &without_import()).await;
    assert!(why.contains("ended with exit code 1") && why.chars().count() < 1_000, "{}", why.len());
    let folder =
        std::fs::read_dir(root.path().join("data/programs")).unwrap().next().unwrap().unwrap().path();
    let bytes = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    assert_eq!((bytes("log"), bytes("stdout")), (65_536, 1_048_577));
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.ends_with("y\nthe last word\n") || log.ends_with("the last word\n"), "the end is kept");
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_does_not_hold_up_what_its_program_made() {
    let root = tempfile::tempdir().unwrap();
    registry(root.path());
    publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
    let producer = shell(
        root.path(),
        r#"echo '{"version": "1.0"}' > "$RIPCORD_OUTPUT/result.json"; sleep 600 & exit 0"#,
    );
    let order = order("child", &without_import());
    producer.start(&order).await.unwrap();
    let made = ended(&producer, &order).await;
    assert!(matches!(made, Progress::Made(_)), "{made:?}");
    let text = std::fs::read_to_string(root.path().join(format!("data/programs/{}/pid", order.key))).unwrap();
    let leader: i32 = text.split(' ').next().unwrap().parse().unwrap();
    kill_process_group(Pid::from_raw(leader).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_and_was_not_begun() {
    let root = tempfile::tempdir().unwrap();
    let text = root.path().join("text").display().to_string();
    std::fs::write(&text, "no program").unwrap();
    for (program, place) in [
        ("no-such-program-anywhere", "not on `PATH`"),
        ("/no/such/program", "no such file"),
        (text.as_str(), "no such file that may be run"),
    ] {
        let producer = producer(root.path(), &[program]);
        let order = order("missing", &without_import());
        let error = producer.start(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
        assert!(error.to_string().contains(program) && error.to_string().contains(place), "{error}");
        assert_eq!(producer.progress(&order).await.unwrap(), Progress::NotStarted);
        assert!(producer.obstacle().await.unwrap().contains(program));
    }
    let producer = producer(root.path(), &["true"]);
    assert_eq!(producer.obstacle().await, None);
    let backwards = Window { start: UnixMillis(2), end: UnixMillis(1) };
    let endless = Window { start: UnixMillis(2), end: UnixMillis(u64::MAX) };
    let open = Target::Retrain(RetrainTarget {
        dataset: "clicks".into(),
        revision: String::new(),
        exclude: vec![Exclusion::Source("bots".into())],
    });
    for (target, says) in [
        (open, "name it, as in `--retrain clicks@REVISION`"),
        (retrain(vec![Exclusion::Rows(vec![])]), "names no id"),
        (retrain(vec![Exclusion::Source(String::new())]), "an exclusion by source names none"),
        (retrain(vec![Exclusion::Window(backwards)]), "a window ends before it starts"),
        (retrain(vec![Exclusion::Window(endless)]), "beyond the calendar"),
    ] {
        for error in
            [producer.pinned(&target).await.err(), producer.start(&order("empty", &target)).await.err()]
        {
            let error = error.unwrap();
            assert_eq!((error.kind, error.applied), (ErrorKind::Configuration, Applied::No), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    let purged = retrain(vec![]);
    assert_eq!(
        producer.pinned(&purged).await.unwrap(),
        purged,
        "another revision may be trained on as it is"
    );
    assert_eq!(producer.pinned(&checkpoint("run", 1)).await.unwrap_err().kind, ErrorKind::Unsupported);
    for makes in [vec![], vec![Strategy::Version]] {
        let error = CommandProducer::new(
            CommandProducerConfig { makes, ..config(&["true"]) },
            surroundings(root.path()),
        )
        .unwrap_err();
        assert!(error.to_string().contains("`makes`"), "{error}");
    }
    assert!(CommandProducer::new(config(&["train", "{nope}"]), surroundings(root.path())).is_err());
}

/// The program is begun by a host that is killed; the next one finds it.
#[tokio::test]
async fn a_start_that_was_interrupted_before_the_program_wrote_anything_is_no_run() {
    let root = tempfile::tempdir().unwrap();
    let producer = producer(root.path(), &["true"]);
    let order = order("interrupted", &without_import());
    let folder = root.path().join(format!("data/programs/{}/out", order.key));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("left over"), "x").unwrap();
    assert_eq!(producer.progress(&order).await.unwrap(), Progress::NotStarted);
    producer.start(&order).await.unwrap();
    assert!(!folder.join("left over").exists(), "it is begun anew");
}
