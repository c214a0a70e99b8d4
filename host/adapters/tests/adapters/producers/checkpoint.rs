//! Versions of checkpoints.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_adapters::checkpoints_folder::FolderCheckpointsConfig;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms, order};
use ripcord_adapters::producer_checkpoint::{CheckpointProducer, CheckpointProducerConfig, CheckpointSource};
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, CheckpointTarget, Target, artefact_digest};
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::{Applied, ErrorKind, Producer, Registry};

use super::{checkpoint, configuration, ended, failed, registry, surroundings};
use crate::adapters::checkpoints::{plain, write};
use crate::adapters::support::{empty_dir, version};

fn producer(root: &Path, files: &[&str]) -> CheckpointProducer {
    let folder = FolderCheckpointsConfig {
        root: root.join("checkpoints"),
        run: None,
        files: files.iter().map(|&name| name.to_owned()).collect(),
    };
    let config =
        CheckpointProducerConfig { from: CheckpointSource::Folder(folder), name: "{run}-step-{step}".into() };
    CheckpointProducer::new(config, None, surroundings(root)).unwrap()
}

fn file(path: &str, content: &str) -> ArtefactFile {
    ArtefactFile { path: path.into(), sha256: Digest::of(content), bytes: content.len() as u64 }
}

/// As an online learner writes them: some files make the version, and the checkpoint says which.
fn learner(root: &Path, step: u64, metrics: &str) {
    let folder = format!("checkpoints/online-7/checkpoint-{step}");
    let model = format!("weights of {step}");
    let files = serde_json::to_string(&[file("model.json", &model)]).unwrap();
    let about = format!(
        r#"{{"step": {step}, "time": "2026-11-27T12:00:00Z", "metrics": {metrics}, "version": "fraud-7.{step}",
            "data": {{"dataset": "stream", "rows": {step}, "sha256": "{}"}}, "files": {files}}}"#,
        Digest::of("rows")
    );
    write(root, &format!("{folder}/checkpoint.json"), about);
    write(root, &format!("{folder}/model.json"), model);
    write(root, &format!("{folder}/optimizer.json"), "{}");
}

struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        learner(root.path(), 300, r#"{"eval_loss": 0.25}"#);
        learner(root.path(), 400, r#"{"eval_loss": 0.5}"#);
        write(root.path(), "checkpoints/online-7/checkpoint-400/model.json", "damaged of 4");
        Self(root)
    }
}

#[async_trait]
impl Pipeline for Folders {
    async fn begun(&self, key: &str) -> usize {
        let mut begun = 0;
        for entry in std::fs::read_dir(self.0.path().join("registry/fraud")).unwrap() {
            let manifest =
                std::fs::read_to_string(entry.unwrap().path().join("manifest.toml")).unwrap_or_default();
            begun += usize::from(manifest.contains(key));
        }
        // The same files are one version, whoever made it first.
        let made = self.0.path().join("registry/fraud/fraud-7.300/manifest.toml").exists();
        let began = std::fs::read_to_string(self.0.path().join(format!("data/runs/{key}.json")));
        begun.max(usize::from(made && began.is_ok_and(|kept| kept.contains("made"))))
    }

    async fn let_succeed(&self, _key: &str) {}

    async fn let_fail(&self, _key: &str) {}

    async fn goes_on(&self, _key: &str) -> bool {
        false
    }

    async fn lose(&self, _key: &str) -> bool {
        false
    }

    fn restarted(&self) -> Arc<dyn Producer> {
        Arc::new(producer(self.0.path(), &[]))
    }

    fn registry(&self) -> Arc<dyn Registry> {
        registry(self.0.path())
    }
}

#[tokio::test]
async fn it_conforms() {
    let pipeline = Folders::new();
    let expected = Expected {
        makes: checkpoint("online-7", 300),
        fails: checkpoint("online-7", 400),
        says: "is not as the checkpoint lists it: it was changed or damaged".into(),
        refuses: configuration(),
    };
    conforms(&producer(pipeline.0.path(), &[]), &pipeline, &expected).await;
}

async fn made(producer: &dyn Producer, target: &Target) -> (ProduceOrder, Candidate) {
    let order = order("made", &producer.pinned(target).await.unwrap());
    producer.start(&order).await.unwrap();
    match ended(producer, &order).await {
        Progress::Made(candidate) => (order, candidate),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_version_holds_what_is_served_and_says_what_it_was_made_of() {
    let root = tempfile::tempdir().unwrap();
    learner(root.path(), 300, r#"{"eval_loss": 0.25}"#);
    let (order, candidate) = made(&producer(root.path(), &[]), &checkpoint("online-7", 300)).await;
    let digest = artefact_digest(&[file("model.json", "weights of 300")]);
    assert_eq!((candidate.version.version.as_str(), candidate.version.digest), ("fraud-7.300", Some(digest)));
    assert_eq!((candidate.measures[0].name.as_str(), candidate.measures[0].value), ("eval_loss", 0.25));
    let told: Vec<_> =
        candidate.made_of.iter().map(|label| format!("{} {}", label.name, label.value)).collect();
    assert!(
        told.contains(&"checkpoint online-7/checkpoint-300".to_owned())
            && told.contains(&"rows 300".to_owned()),
        "{told:?}"
    );
    let registry = registry(root.path());
    let fetched = registry.fetch(&candidate.version, empty_dir().1).await.unwrap();
    assert_eq!(fetched.files, [file("model.json", "weights of 300")]);
    let lineage = registry.lineage(&candidate.version.version).await.unwrap();
    assert_eq!((lineage.run.as_deref(), lineage.dataset.as_deref()), (Some("online-7"), Some("stream")));
    assert_eq!(lineage.dataset_revision.unwrap(), format!("sha256:{}", Digest::of("rows")));
    let incident = lineage.parameters.iter().find(|label| label.name == "ripcord:incident").unwrap();
    assert_eq!(incident.value, order.incident.to_string());
    assert_eq!(std::fs::read_dir(root.path().join("data/staging")).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn what_was_pinned_is_what_is_registered() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "checkpoints/run/checkpoint-1/checkpoint.json", plain(1, 1, "{}"));
    write(root.path(), "checkpoints/run/checkpoint-1/model.json", "as it was");
    let producer = producer(root.path(), &[]);
    let pinned = producer.pinned(&checkpoint("run", 1)).await.unwrap();
    write(root.path(), "checkpoints/run/checkpoint-1/model.json", "as it is now");
    let error = producer.pinned(&pinned).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
    let why = failed(&producer, &pinned).await;
    assert!(why.contains("another artefact under the same name"), "{why}");
    assert_eq!(registry(root.path()).versions(9).await.unwrap().len(), 0);
}

#[tokio::test]
async fn files_can_be_chosen_and_a_name_that_is_taken_is_no_other_version() {
    let root = tempfile::tempdir().unwrap();
    for (run, content) in [("a", "one"), ("b", "two")] {
        write(
            root.path(),
            &format!("checkpoints/{run}/checkpoint-1/checkpoint.json"),
            plain(1, 1, "{}").replace("\"step\"", "\"version\": \"same\", \"step\""),
        );
        write(root.path(), &format!("checkpoints/{run}/checkpoint-1/weights/0.bin"), content);
        write(root.path(), &format!("checkpoints/{run}/checkpoint-1/optimizer.pt"), "large");
    }
    let producer = producer(root.path(), &["weights"]);
    let (_, first) = made(&producer, &checkpoint("a", 1)).await;
    assert_eq!(first.version.digest, Some(artefact_digest(&[file("weights/0.bin", "one")])));
    let metrics = first.made_of.iter().find(|label| label.name == "metrics").unwrap();
    assert_eq!(metrics.value, "none were logged");
    // Another plan for the same checkpoint comes to the same version.
    let (_, again) = made(&producer, &checkpoint("a", 1)).await;
    assert_eq!(again.version, first.version);
    let why = failed(&producer, &checkpoint("b", 1)).await;
    assert!(why.contains("the version `same` is there already with other files"), "{why}");
}

#[tokio::test]
async fn a_host_that_was_killed_half_way_goes_on_with_the_run() {
    let root = tempfile::tempdir().unwrap();
    learner(root.path(), 300, "{}");
    let order = order("killed", &checkpoint("online-7", 300));
    // All that a host leaves that was killed after it had begun.
    write(root.path(), &format!("data/runs/{}.json", order.key), r#"{"begun":{"run":null}}"#);
    write(root.path(), &format!("data/staging/{}/model.json", order.key), "half of the wei");
    write(root.path(), &format!("data/staging/{}/more", order.key), "x");
    let producer = producer(root.path(), &[]);
    match ended(&producer, &order).await {
        Progress::Made(made) => assert_eq!(made.version.version, version("fraud-7.300")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_tried_again_and_a_stop_ends_that() {
    let root = tempfile::tempdir().unwrap();
    learner(root.path(), 300, "{}");
    let producer = producer(root.path(), &[]);
    let registry = root.path().join("registry/fraud");
    std::fs::remove_dir_all(&registry).unwrap();
    let order = order("away", &checkpoint("online-7", 300));
    producer.start(&order).await.unwrap();
    let mut told = String::new();
    for _ in 0..400 {
        match producer.progress(&order).await.unwrap() {
            Progress::Running { text, .. } if text.contains("tried again") => told = text,
            Progress::Running { .. } => {}
            other => panic!("{other:?}"),
        }
        if !told.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(
        told.contains("the last attempt failed, and it is tried again") && told.contains("is mounted"),
        "{told}"
    );
    producer.stop(&order).await.unwrap();
    std::fs::create_dir_all(&registry).unwrap();
    assert_eq!(
        producer.progress(&order).await.unwrap(),
        Progress::Failed("it was stopped before it was registered".into())
    );
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_anything_is_begun() {
    let root = tempfile::tempdir().unwrap();
    let at = |step: u64, name: &str| format!("checkpoints/run/checkpoint-{step}/{name}");
    for (step, metrics) in
        [(1, r#"{"eval_loss": NaN}"#), (2, r#"{"eval_loss": -Infinity}"#), (3, r#"{"eval_loss": null}"#)]
    {
        write(root.path(), &at(step, "checkpoint.json"), plain(step, 1, metrics));
        write(root.path(), &at(step, "model.json"), "{}");
    }
    write(root.path(), &at(4, "checkpoint.json"), plain(4, 1, "{}"));
    write(root.path(), &at(5, "model.json"), "{}");
    write(root.path(), &at(6, "checkpoint.json"), plain(6, 1, "{}"));
    write(root.path(), &at(6, "model.json"), "{}");
    std::os::unix::fs::symlink("/etc/hostname", root.path().join(at(6, "link"))).unwrap();
    let missing = serde_json::to_string(&[file("model.bin", "x")]).unwrap();
    write(
        root.path(),
        &at(7, "checkpoint.json"),
        plain(7, 1, "{}").replace("\"step\"", &format!("\"files\": {missing}, \"step\"")),
    );
    write(root.path(), &at(7, "other"), "x");
    let producer = producer(root.path(), &[]);
    for (step, why) in [
        (
            1,
            "the metric `eval_loss` of checkpoint `run` step 1 is NaN: its training broke at this step or before; choose an earlier one",
        ),
        (2, "the metric `eval_loss` of checkpoint `run` step 2 is -inf"),
        (3, "the metric `eval_loss` of checkpoint `run` step 3 is NaN"),
        (
            4,
            "checkpoint `run` step 4 cannot be used: `run/checkpoint-4` holds nothing but its `checkpoint.json`",
        ),
        (5, "checkpoint `run` step 5 cannot be used: `run/checkpoint-5` has neither"),
        (6, "holds `link`, which is neither a file nor a folder"),
        (7, "lists the file `model.bin` and does not have it: it is half-written"),
        (8, "there is no checkpoint `run` step 8 in "),
    ] {
        let error = producer.pinned(&checkpoint("run", step)).await.unwrap_err();
        assert_eq!(error.applied, Applied::No);
        assert!(error.to_string().contains(why), "{step}: {error}");
        if !matches!(step, 6 | 7) {
            let order = order("unusable", &checkpoint("run", step));
            let error = producer.start(&order).await.unwrap_err();
            assert_eq!(error.applied, Applied::No, "{error}");
            assert_eq!(producer.progress(&order).await.unwrap(), Progress::NotStarted);
        }
    }
    let open = Target::Checkpoint(CheckpointTarget { run: "..".into(), step: 1, digest: None });
    assert_eq!(producer.pinned(&open).await.unwrap_err().kind, ErrorKind::NotFound);
}
