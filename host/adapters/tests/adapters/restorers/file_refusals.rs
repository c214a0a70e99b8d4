//! What a file cannot be, and what people are told.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use ripcord_adapters::RestorerSecrets;
use ripcord_adapters::restorer_file::FileRestorer;
use ripcord_ports::{Applied, Restorer};

use super::file::{config, restorer};
use super::{FileService, order, told, with_revisions};
use crate::adapters::support::shared;

#[tokio::test]
async fn configurations_that_cannot_be_meant_are_refused() {
    for (more, expected) in [
        ("keep = 0", "`keep` is 0: what is overwritten has to be kept"),
        (
            "[reload]\npost = [\"http://a/\"]\ncommand = [\"true\"]",
            "more than one of `post`, `signal` and `command`",
        ),
        ("[reload]\nsignal = \"hup\"", "`reload.signal` wants `pid-file`"),
        ("[reload]\npid-file = \"a\"", "without `signal`"),
        ("[reload]\npost = [\"scorer:8080\"]", "which is not `http` or `https`"),
        ("[reload]\ncommand = []", "`reload.command` is empty"),
        ("[reload]\ncommand = [\"a\", \"{version}\"]", "unknown placeholder: it may use `{revision}`"),
        (
            "[read-back]\nurls = [\"http://a/\"]",
            "`read-back` wants one of `pointer`, `header`, or `metric` with `label`",
        ),
        ("[read-back]\nurls = [\"http://a/\"]\nmetric = \"m\"", "`read-back` wants one of"),
        ("[read-back]\nurls = []\npointer = \"/a\"", "`read-back.urls` wants 1 to 100 addresses"),
        ("[read-back]\nurls = [\"http://a/\"]\npointer = \"a\"", "`a`, which is no JSON pointer"),
        ("[read-back]\nurls = [\"http://a/\"]\nheader = \"a b\"", "`a b` is no name of a header"),
        ("[read-back]\nurls = [\"http://a/\"]\npointer = \"/a\"\nanswers = 0", "`answers` from 1 to 100"),
        ("[read-back]\nurls = [\"http://a/\"]\npointer = \"/a\"\ntells = \"value\"", "a file is no value"),
        ("[read-back]\nurls = [\"http://a/\"]\nheader = \"a\"\ntells = \"value\"", "stands at a `pointer`"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let made = FileRestorer::new(config(root.path(), more), RestorerSecrets::default(), &shared());
        let message = made.unwrap_err().to_string();
        assert!(message.contains(expected), "{more}: {message}");
    }
    let root = tempfile::tempdir().unwrap();
    let mut own = config(root.path(), "");
    own.history = root.path().join("live");
    let made = FileRestorer::new(own, RestorerSecrets::default(), &shared());
    assert!(made.unwrap_err().to_string().contains("`history` is the folder of the file itself"));
}

#[tokio::test]
async fn places_where_nothing_can_be_replaced_are_found_beforehand() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let plain = restorer(root.path(), "");
    assert_eq!(plain.obstacle().await, None);
    let real = root.path().join("real.toml");
    std::fs::rename(&file, &real).unwrap();
    symlink(&real, &file).unwrap();
    let why = plain.obstacle().await.unwrap();
    assert!(why.contains("is a symbolic link, to `") && why.contains("real.toml`"), "{why}");
    let error = plain.shift(&order("7", None)).await.unwrap_err();
    assert!(error.applied == Applied::No && error.to_string().contains("is a symbolic link"), "{error}");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let why = plain.obstacle().await.unwrap();
    assert!(why.contains("is a folder"), "{why}");
    std::fs::remove_dir_all(root.path().join("live")).unwrap();
    let why = plain.obstacle().await.unwrap();
    assert!(why.contains("cannot open the folder"), "{why}");
}

#[tokio::test]
async fn revisions_that_cannot_be_restored_say_why_and_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (file, history) = with_revisions(root.path());
    std::fs::write(history.join("half"), "limit = ").unwrap();
    std::fs::write(history.join("late"), "limit = 1").unwrap();
    std::fs::write(history.join("late.about.toml"), "made-at = \"soon\"").unwrap();
    std::fs::write(history.join("odd"), "limit = 2").unwrap();
    std::fs::write(history.join("odd.about.toml"), "author = \"ada\"").unwrap();
    std::fs::write(history.join("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
    std::fs::write(history.join("a name"), "limit = 3").unwrap();
    std::fs::create_dir(history.join("folder")).unwrap();
    let restorer = restorer(root.path(), "format = \"toml\"");
    for (name, expected) in [
        ("half", "`half` cannot be restored: its content is no TOML"),
        ("late", "bad `made-at`: `soon` is not an instant"),
        ("odd", "`odd.about.toml` does not read: unknown field `author`"),
        ("large", "has more than 1048576 bytes"),
        ("folder", "is not an ordinary file"),
        ("8.about.toml", "there is no revision `8.about.toml`"),
    ] {
        let error = restorer.shift(&order(name, None)).await.unwrap_err();
        assert_eq!(error.applied, Applied::No, "{error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), super::content_of("8"));
    let listed = restorer.history(20).await.unwrap();
    let broken: Vec<_> = listed.iter().filter(|entry| entry.broken.is_some()).collect();
    assert_eq!(broken.len(), 5, "{broken:?}");
}

#[tokio::test]
async fn what_a_service_says_that_is_no_revision_is_unknown_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let service = FileService::of(file.clone()).await;
    for (place, expected) in [
        ("/status\"]\npointer = \"/limits\"", "has nothing at `/limits`"),
        ("/status\"]\npointer = \"/thresholds/all\"", "stands `[1,2]`, which is no name"),
        ("/status\"]\npointer = \"/thresholds/revision\"\ntells = \"digest\"", "tells `8` and no sha-256"),
        ("/status\"]\nheader = \"x-other\"", "has no header `x-other`"),
        ("/status\"]\nheader = \"x-thresholds\"", "which is no revision of `"),
        ("/metrics\"]\nmetric = \"others_info\"\nlabel = \"revision\"", "has no series of `others_info`"),
        ("/metrics\"]\nmetric = \"thresholds_info\"\nlabel = \"name\"", "has no label `name`"),
    ] {
        let more = format!("[read-back]\nurls = [\"{}{place}", service.server.url(""));
        let why = told(&restorer(root.path(), &more)).await;
        assert!(why.contains(expected), "{place}: {why}");
    }
    let more = format!("[read-back]\nurls = [\"{}\"]\npointer = \"/a\"", service.server.url("/metrics"));
    let error = restorer(root.path(), &more).in_force().await.unwrap_err().to_string();
    assert!(error.contains("that is not the JSON expected here"), "{error}");
    std::fs::remove_file(&file).unwrap();
    let why = told(&restorer(root.path(), "")).await;
    assert!(why.contains("is not there"), "{why}");
    std::fs::write(&file, vec![b'x'; 2 << 20]).unwrap();
    let why = told(&restorer(root.path(), "")).await;
    assert!(why.contains("more than 1048576 bytes"), "{why}");
}

#[tokio::test]
async fn a_file_that_could_not_be_replaced_leaves_in_force_what_was() {
    let root = tempfile::tempdir().unwrap();
    with_revisions(root.path());
    // Long enough that no name beside it fits, which is so for root as well.
    let mut config = config(root.path(), "[reload]\ncommand = [\"true\"]");
    config.file = root.path().join("live").join("x".repeat(250));
    std::fs::write(&config.file, super::content_of("8")).unwrap();
    let restorer = FileRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap();
    assert!(restorer.obstacle().await.unwrap().contains("cannot write beside"));
    let error = restorer.shift(&order("7", Some("8"))).await.unwrap_err();
    assert!(error.applied == Applied::No && error.to_string().contains("cannot replace"), "{error}");
    assert_eq!(told(&restorer).await, "8 (control plane only)");
}

#[tokio::test]
async fn what_cannot_be_written_changes_nothing() {
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere; a history that is a file cannot be a folder for anybody.
        let root = tempfile::tempdir().unwrap();
        let (file, history) = with_revisions(root.path());
        std::fs::remove_dir_all(&history).unwrap();
        std::fs::write(&history, "").unwrap();
        let error = restorer(root.path(), "").in_force().await.unwrap_err().to_string();
        assert!(error.contains("cannot open the folder"), "{error}");
        assert!(file.exists());
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let live = root.path().join("live");
    std::fs::set_permissions(&live, std::fs::Permissions::from_mode(0o555)).unwrap();
    let restorer = restorer(root.path(), "");
    assert!(restorer.obstacle().await.unwrap().contains("give this host the right"));
    assert_eq!(restorer.shift(&order("7", None)).await.unwrap_err().applied, Applied::No);
    std::fs::set_permissions(&live, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), super::content_of("8"));
}
