//! Places of checkpoints: each kind as its trainer writes it, and each way in which one cannot be used.

use std::path::Path;

use ripcord_adapters::checkpoints_folder::{FolderCheckpoints, FolderCheckpointsConfig};
use ripcord_adapters::conformance::checkpoints::{Expected, conforms};
use ripcord_core::fact::Checkpoint;
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{Applied, Checkpoints, ErrorKind};

pub(crate) fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A file that was last changed so many seconds after 1970.
fn write_at(root: &Path, path: &str, content: &str, seconds: u64) {
    write(root, path, content);
    let file = std::fs::File::options().write(true).open(root.join(path)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
}

pub(crate) fn plain(step: u64, minute: u64, metrics: &str) -> String {
    format!(r#"{{"step": {step}, "time": "2026-11-27T12:{minute:02}:00Z", "metrics": {metrics}}}"#)
}

pub(crate) fn place(root: &Path) -> FolderCheckpoints {
    FolderCheckpoints::new(FolderCheckpointsConfig { root: root.to_owned(), run: None, files: Vec::new() })
        .unwrap()
}

/// One of each kind, and one of each that cannot be used.
pub(crate) fn all_kinds(root: &Path) -> Expected {
    write(root, "online-7/checkpoint-100/checkpoint.json", plain(100, 1, r#"{"eval_loss": 0.5}"#));
    write(root, "online-7/checkpoint-100/model.json", "{}");
    write(
        root,
        "online-7/named-as-one-likes/checkpoint.json",
        plain(200, 2, r#"{"eval_loss": NaN, "other": Infinity}"#),
    );
    write(root, "online-7/named-as-one-likes/model.json", "{}");
    write(root, "online-7/logs/of-no-checkpoint", "x");
    write(root, "online-7/.checkpoint-300.new/model.json", "{}");
    let state = r#"{"global_step": 300, "log_history": [{"loss": 0.5, "step": 300}]}"#;
    write_at(root, "hugging/checkpoint-300/trainer_state.json", state, 30);
    write(root, "hugging/checkpoint-300/model.safetensors", "weights");
    write(root, "hugging/checkpoint-400/model.safetensors", "weights");
    write_at(root, "hugging/checkpoint-500/trainer_state.json", &state[..40], 50);
    write(root, "hugging/checkpoint-500/model.safetensors", "weights");
    write_at(root, "hugging/checkpoint-600/trainer_state.json", state, 60);
    write(root, "hugging/checkpoint-600/model.safetensors", "weights");
    write(root, "hugging/tmp-checkpoint-700/trainer_state.json", state);
    write_at(root, "hugging/checkpoint-800/trainer_state.json", &state.replace("300", "800"), 60);
    write_at(root, "version_3/checkpoints/epoch=1-step=10-val_loss=0.25.ckpt", "weights", 10);
    write_at(root, "version_3/checkpoints/epoch=2-step=20.ckpt", "weights", 20);
    write_at(root, "version_3/checkpoints/epoch=2-step=20-v1.ckpt", "weights", 21);
    write_at(root, "version_3/checkpoints/last.ckpt", "weights", 22);
    write_at(root, "version_3/checkpoints/epoch=3-step=30.ckpt", "", 30);
    std::os::unix::fs::symlink("/etc/hostname", root.join("version_3/checkpoints/step=40.ckpt")).unwrap();
    write(root, "linked/checkpoint-5/model.json", "{}");
    std::os::unix::fs::symlink("/etc/hostname", root.join("linked/checkpoint-5/checkpoint.json")).unwrap();
    write(root, "checkpoint-9/checkpoint.json", plain(9, 9, "{}"));
    write(root, "online-7/checkpoint-600/checkpoint.json", plain(600, 6, r#"{"eval_loss": "low"}"#));
    write(root, "online-7/checkpoint-600/model.json", "{}");
    Expected {
        newest_first: [("online-7", 200), ("online-7", 100), ("hugging", 300), ("version_3", 10)]
            .map(|(run, step)| (run.to_owned(), step))
            .to_vec(),
        unreadable: [
            "checkpoint-9",
            "hugging/checkpoint-400",
            "hugging/checkpoint-500",
            "hugging/checkpoint-600",
            "hugging/checkpoint-800",
            "hugging/tmp-checkpoint-700",
            "linked/checkpoint-5",
            "online-7/checkpoint-600",
            "version_3/checkpoints/epoch=2-step=20-v1.ckpt",
            "version_3/checkpoints/epoch=2-step=20.ckpt",
            "version_3/checkpoints/epoch=3-step=30.ckpt",
            "version_3/checkpoints/last.ckpt",
            "version_3/checkpoints/step=40.ckpt",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

async fn list(place: &dyn Checkpoints) -> CheckpointList {
    place.checkpoints(None, u32::MAX).await.unwrap()
}

#[tokio::test]
async fn a_folder_of_every_kind_conforms() {
    let root = tempfile::tempdir().unwrap();
    let expected = all_kinds(root.path());
    conforms(&place(root.path()), &expected).await;
}

#[tokio::test]
async fn what_cannot_be_used_is_told_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    all_kinds(root.path());
    let listed = list(&place(root.path())).await;
    let why = |name: &str| {
        let found = listed.unreadable.iter().find(|label| label.name == name);
        found.map(|label| label.value.clone()).unwrap_or_else(|| panic!("{name}"))
    };
    for (name, expected) in [
        ("checkpoint-9", "put it into a folder named as its run, or set `run`"),
        (
            "hugging/checkpoint-400",
            "has neither `checkpoint.json` nor `trainer_state.json`: it is half-written",
        ),
        ("hugging/checkpoint-500", "does not read, as one that is cut or half-written"),
        ("hugging/checkpoint-600", "is named for step 600 and says that it is of step 300"),
        ("hugging/checkpoint-800", "holds nothing but its `trainer_state.json`"),
        ("hugging/tmp-checkpoint-700", "is half-written: its trainer renames it"),
        ("linked/checkpoint-5", "`checkpoint.json` that is no ordinary file: put a copy in its place"),
        (
            "version_3/checkpoints/epoch=2-step=20.ckpt",
            "is step 20 of `version_3`, as is `version_3/checkpoints/epoch=2-step=20-v1.ckpt`",
        ),
        ("version_3/checkpoints/epoch=3-step=30.ckpt", "is empty"),
        (
            "online-7/checkpoint-600",
            "the metric `eval_loss` that is no number: have its trainer write numbers",
        ),
        ("version_3/checkpoints/last.ckpt", "names no step"),
        ("version_3/checkpoints/step=40.ckpt", "is a link, or neither a file nor a folder"),
    ] {
        assert!(why(name).contains(expected), "{name}: {}", why(name));
    }
}

#[tokio::test]
async fn metrics_come_as_they_were_logged_also_those_that_were_lost() {
    let root = tempfile::tempdir().unwrap();
    all_kinds(root.path());
    let listed = list(&place(root.path())).await;
    let told =
        |one: &Checkpoint| -> Vec<_> { one.measures.iter().map(|of| (of.name.clone(), of.value)).collect() };
    let of = |step: u64| told(listed.checkpoints.iter().find(|one| one.step == step).unwrap());
    assert_eq!(of(100), [("eval_loss".to_owned(), 0.5)]);
    assert_eq!(of(300), [("loss".to_owned(), 0.5)]);
    assert_eq!(of(10), [("epoch".to_owned(), 1.0), ("val_loss".to_owned(), 0.25)]);
    let lost = of(200);
    assert!(lost[0].1.is_nan() && lost[1].1 == f64::INFINITY, "{lost:?}");
}

#[tokio::test]
async fn of_thousands_the_newest_are_told_and_the_rest_is_counted() {
    let root = tempfile::tempdir().unwrap();
    for step in 0..5_003 {
        let folder = root.path().join(format!("run/checkpoint-{step}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("checkpoint.json"),
            format!(r#"{{"step": {step}, "time": {}}}"#, 1_000 + step),
        )
        .unwrap();
        std::fs::write(folder.join("model"), "").unwrap();
    }
    for number in 0..150 {
        write(root.path(), &format!("broken/checkpoint-9{number:04}/model"), "");
    }
    let listed = place(root.path()).checkpoints(None, 3).await.unwrap();
    let steps: Vec<_> = listed.checkpoints.iter().map(|one| one.step).collect();
    assert_eq!(steps, [5_002, 5_001, 5_000]);
    assert_eq!(listed.unreadable.len(), 102);
    assert_eq!(listed.unreadable[100].value, "holds 50 more that cannot be used");
    assert!(
        listed.unreadable[101].value.starts_with("holds 153 more, with the fewest steps"),
        "{:?}",
        listed.unreadable[101]
    );
}

#[tokio::test]
async fn a_place_that_is_one_run_is_named() {
    let root = tempfile::tempdir().unwrap();
    all_kinds(root.path());
    let config = FolderCheckpointsConfig {
        root: root.path().join("online-7"),
        run: Some("mine".into()),
        files: Vec::new(),
    };
    let place = FolderCheckpoints::new(config).unwrap();
    let steps = |list: CheckpointList| -> Vec<_> {
        list.checkpoints.into_iter().map(|one| (one.run, one.step)).collect()
    };
    let both = [("mine".to_owned(), 200), ("mine".to_owned(), 100)];
    assert_eq!(steps(list(&place).await), both);
    assert_eq!(steps(place.checkpoints(Some("mine"), 9).await.unwrap()), both);
    assert_eq!(steps(place.checkpoints(Some("other"), 9).await.unwrap()), []);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_waited_for_and_an_empty_one_is_empty() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(list(&place(root.path())).await, CheckpointList::default());
    let error = place(&root.path().join("away")).checkpoints(None, 9).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "{error}");
    let none = FolderCheckpointsConfig { root: "".into(), run: None, files: Vec::new() };
    assert!(FolderCheckpoints::new(none).unwrap_err().to_string().contains("`root` is empty"));
    let bad = FolderCheckpointsConfig { root: "a".into(), run: None, files: vec!["/etc/*".into()] };
    assert!(FolderCheckpoints::new(bad).unwrap_err().to_string().contains("bad pattern"));
}
