//! A purge that dies: what it has left is taken for no result, and the next one is whole.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ripcord_data::{ManifestAt, PurgeOrder, purge};

use crate::support::{NOW, Set, said, source};

const ORDER: &str = "RIPCORD_TEST_PURGE";

fn file(from: usize) -> Vec<u8> {
    let mut text = "id,at,source,amount,good\n".to_owned();
    for row in from..from + 60_000 {
        let source = if row % 3 == 0 { "bad" } else { "good" };
        text.push_str(&format!("r{row},2026-11-01T00:00:00Z,{source},{row},1\n"));
    }
    text.into_bytes()
}

fn set() -> Set {
    Set::new(&[("one.csv", &file(0), 60_000), ("two.csv", &file(60_000), 60_000)])
}

/// Not a test by itself: the process that dies. It aborts when it is told of progress for the so-many-th time.
#[test]
#[ignore = "run by the test below"]
fn purge_that_dies() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let mut order = order.split('\n');
    let manifest = ManifestAt::read(&PathBuf::from(order.next().unwrap())).unwrap();
    let out = PathBuf::from(order.next().unwrap());
    let dies_at: usize = order.next().unwrap().parse().unwrap();
    let (exclude, mut told) = ([source("bad")], 0);
    purge(&PurgeOrder { manifest: &manifest, exclude: &exclude, out: &out, key: None, at: NOW }, &mut |_| {
        told += 1;
        if told == dies_at {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn wherever_a_purge_dies_there_is_no_result_and_the_next_one_is_whole() {
    let set = set();
    let whole = set.purge_with(&[source("bad")], None, &set.folder.path().join("whole")).unwrap();
    let mut deaths = 0;
    for dies_at in 1..20 {
        let order = format!("{}\n{}\n{dies_at}", set.path().display(), set.out().display());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "unfinished::purge_that_dies", "--ignored"])
            .env(ORDER, order)
            .output()
            .unwrap();
        if child.status.success() {
            break;
        }
        deaths += 1;
        assert!(!set.out().exists(), "killed at {dies_at}");
    }
    // Counted and written, two files of two parts each.
    assert!(deaths >= 5, "{deaths}");
    let after = set.purge(&[source("bad")]).unwrap();
    assert_eq!(after.after, whole.after);
    let names = |folder: PathBuf| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names(set.folder.path().to_owned()),
        ["data", "purged", "whole"],
        "nothing is left lying about"
    );
    for name in ["one.csv", "two.csv"] {
        let [one, other] =
            [set.out(), set.folder.path().join("whole")].map(|folder| fs::read(folder.join(name)).unwrap());
        assert!(one == other);
    }
}

#[test]
fn two_at_once_do_not_write_into_one_folder() {
    let set = set();
    let manifest = set.manifest();
    let (out, exclude) = (set.out(), [source("bad")]);
    let order = PurgeOrder { manifest: &manifest, exclude: &exclude, out: &out, key: None, at: NOW };
    let mut beside = None;
    purge(&order, &mut |progress| {
        if progress.step == ripcord_data::Step::Write && beside.is_none() {
            beside = Some(said(set.purge(&exclude)));
        }
    })
    .unwrap();
    let beside = beside.unwrap();
    assert!(beside.contains("is being written by somebody else: wait for that"), "{beside}");
    assert!(set.purge(&exclude).unwrap().was_there);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let set = set();
    fs::create_dir(set.out()).unwrap();
    set.purge(&[source("bad")]).unwrap();
    let other = set.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine.txt"), "mine").unwrap();
    let said = said(set.purge_with(&[source("bad")], None, &other));
    assert!(said.contains("holds something else: name a new folder"), "{said}");
    assert_eq!(fs::read(other.join("mine.txt")).unwrap(), b"mine");
}
