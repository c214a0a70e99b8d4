//! A purge of CSV files: what is left, what it says, what it refuses.

use std::fs;

use ripcord_core::digest::Digest;
use ripcord_core::target::Exclusion;
use ripcord_data::{Counted, ManifestAt};
use serde_json::Value;

use crate::support::{Set, rows, said, source, value, whole, window};

const ONE: &[u8] = b"id,at,source,amount,good\r\n\
    a1,2026-11-01T00:00:00Z,branch,10,1\r\n\
    a2,2026-11-01T06:00:00.250Z,import,20,0\r\n\
    a3,2026-11-02T00:00:00+02:00,branch,30,1\r\n";
/// Quotes, line ends and the order of columns as this file has them.
const TWO: &[u8] = b"source,id,at,note,amount,good\n\
    branch,b1,2026-11-03T00:00:00Z,\"said \"\"yes\"\",\nthen no\",1,1\n\
    import,b2,2026-11-03T00:00:01Z,\"import\",2,0\n\
    \"branch\",b3,,plain,3,1";
const THREE: &[u8] = b"id,at,source,amount,good\nc1,2026-11-04T00:00:00Z,branch,1,1\n";

fn set() -> Set {
    Set::new(&[("one.csv", ONE, 3), ("two.csv", TWO, 3), ("three.csv", THREE, 1)])
}

fn content(set: &Set, name: &str) -> Vec<u8> {
    fs::read(set.out().join(name)).unwrap()
}

#[test]
fn rows_that_stay_are_the_bytes_that_they_were_and_files_without_a_bad_row_stay_where_they_are() {
    let set = set();
    let before: Vec<_> = ["one.csv", "two.csv", "three.csv", "manifest.json"]
        .map(|name| fs::read(set.folder.path().join("data").join(name)).unwrap())
        .into();
    let purged = set.purge(&[source("import")]).unwrap();
    assert_eq!(
        content(&set, "one.csv"),
        b"id,at,source,amount,good\r\n\
          a1,2026-11-01T00:00:00Z,branch,10,1\r\n\
          a3,2026-11-02T00:00:00+02:00,branch,30,1\r\n"
    );
    assert_eq!(
        content(&set, "two.csv"),
        b"source,id,at,note,amount,good\n\
          branch,b1,2026-11-03T00:00:00Z,\"said \"\"yes\"\",\nthen no\",1,1\n\
          \"branch\",b3,,plain,3,1"
    );
    assert!(!set.out().join("three.csv").exists(), "it is referred to");
    let manifest = ManifestAt::read(&set.out().join("manifest.json")).unwrap();
    let paths: Vec<_> = manifest.manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["one.csv", "two.csv", "../data/three.csv"]);
    for file in &manifest.manifest.files {
        let bytes = fs::read(manifest.path_of(file)).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (file.sha256, file.bytes));
    }
    assert_eq!((purged.before.rows, purged.after.rows, purged.rows_left_out), (7, 5, 2));
    assert_eq!((purged.files_written, purged.files_referred_to, purged.files_left_out), (2, 1, 0));
    assert_eq!(purged.excluded, [Counted { exclusion: source("import"), rows: 2 }]);
    assert_eq!(purged.rows_without_time, None);
    assert_eq!(manifest.manifest.parent.as_ref(), Some(&set.manifest().manifest.revision));
    assert_eq!(purged.after.revision, manifest.manifest.revision);
    assert_ne!(purged.after.revision, purged.before.revision);
    assert_eq!(manifest.manifest.created_at, "2026-11-18T11:06:40.000Z");
    let after: Vec<_> = ["one.csv", "two.csv", "three.csv", "manifest.json"]
        .map(|name| fs::read(set.folder.path().join("data").join(name)).unwrap())
        .into();
    assert!(before == after, "nothing of the data is touched");
}

#[test]
fn several_exclusions_add_up_and_a_row_that_two_match_counts_for_both() {
    let set = set();
    let exclude =
        [source("import"), window("2026-11-01T06:00:00.250Z", "2026-11-01T22:00:00Z"), rows(&["c1", "b2"])];
    let purged = set.purge(&exclude).unwrap();
    let counts: Vec<_> = purged.excluded.iter().map(|counted| counted.rows).collect();
    assert_eq!(counts, [2, 2, 2], "both ends of the window belong to it");
    assert_eq!((purged.after.rows, purged.rows_left_out), (3, 4));
    assert_eq!(purged.rows_without_time, Some(1));
    assert_eq!(purged.files_left_out, 1, "no row of three.csv is left");
    assert_eq!(
        content(&set, "one.csv"),
        b"id,at,source,amount,good\r\na1,2026-11-01T00:00:00Z,branch,10,1\r\n"
    );
}

#[test]
fn a_last_row_without_a_line_end_may_go_and_line_ends_stay_whole() {
    let file =
        b"id,at,source,amount,good\r\na,2026-11-01T00:00:00Z,good,1,1\r\nb,2026-11-01T00:00:00Z,bad,1,1";
    let set = Set::new(&[("f.csv", file, 2)]);
    set.purge(&[source("bad")]).unwrap();
    assert_eq!(content(&set, "f.csv"), b"id,at,source,amount,good\r\na,2026-11-01T00:00:00Z,good,1,1\r\n");
}

#[test]
fn the_same_order_again_makes_nothing_and_another_one_does_not_touch_what_is_there() {
    let set = set();
    let first = set.purge_with(&[source("import")], Some("order-1"), &set.out()).unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(set.out()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let there = names();
    let stamp = fs::metadata(set.out().join("one.csv")).unwrap().modified().unwrap();
    let again = set.purge_with(&[source("import")], Some("order-1"), &set.out()).unwrap();
    assert!(!first.was_there && again.was_there);
    assert_eq!(again.after, first.after);
    assert_eq!(fs::metadata(set.out().join("one.csv")).unwrap().modified().unwrap(), stamp);

    let refused = "holds the purge `order-1`, and this is another one: name a new folder";
    for (key, exclude) in [("order-2", source("import")), ("order-1", source("branch"))] {
        let said = said(set.purge_with(&[exclude], Some(key), &set.out()));
        assert!(said.contains(refused), "{said}");
    }
    assert_eq!(names(), there);
    fs::write(set.out().join("manifest.json"), "{}").unwrap();
    let said = said(set.purge_with(&[source("import")], Some("order-1"), &set.out()));
    assert!(said.contains("was changed after the purge: name a new folder"), "{said}");
}

#[test]
fn the_same_purge_in_another_folder_is_the_same_revision() {
    let set = set();
    let one = set.purge(&[source("import")]).unwrap();
    let other = set.purge_with(&[source("import")], None, &set.folder.path().join("deep/er/other")).unwrap();
    assert_eq!(one.after.revision, other.after.revision);
    let manifest = ManifestAt::read(&set.folder.path().join("deep/er/other/manifest.json")).unwrap();
    assert_eq!(manifest.manifest.files[2].path, "../../../data/three.csv");
}

#[test]
fn what_was_purged_can_be_purged_again() {
    let set = set();
    set.purge(&[source("import")]).unwrap();
    let first = ManifestAt::read(&set.out().join("manifest.json")).unwrap();
    let again = set.folder.path().join("again");
    let exclude = [rows(&["c1", "a1"])];
    let order = ripcord_data::PurgeOrder {
        manifest: &first,
        exclude: &exclude,
        out: &again,
        key: None,
        at: crate::support::NOW,
    };
    let purged = ripcord_data::purge(&order, &mut |_| {}).unwrap();
    assert_eq!((purged.before.rows, purged.after.rows), (5, 3));
    let second = ManifestAt::read(&again.join("manifest.json")).unwrap();
    let paths: Vec<_> = second.manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["one.csv", "../purged/two.csv"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence_and_nothing_is_written() {
    let set = set();
    let check = |exclude: &[Exclusion], expected: &str| {
        let said = said(set.purge(exclude));
        assert!(said.contains(expected), "`{said}` instead of `{expected}`");
        let left: Vec<_> =
            fs::read_dir(set.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["data"], "nothing is written");
    };
    check(&[], "nothing is to be left out: say what, such as --exclude source=NAME");
    check(&[source("imprt")], "no row is of the source `imprt`: there are `branch`, `import`");
    check(&[source("import"), source("\u{1b}[2J")], "no row is of the source `\\u{1b}[2J`");
    check(&[whole(0, 1)], "no row lies in the window 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.001Z");
    check(&[whole(2, 1)], "a window ends before it starts");
    check(&[whole(1, u64::MAX)], "a window reaches beyond the calendar, which ends with the year 9999");
    check(
        &[value("country", "x")],
        "the manifest names no column `country`: there are `amount`, `at`, `good`, `id`, `source`",
    );
    check(&[value("good", "7")], "no row has `7` in the column `good`: there are ");
    check(&[value("", "7")], "an exclusion by value names no column");
    check(&[value("source", "import"), source("import")], "`import` is excluded twice: name it once");
    check(&[rows(&["a1", "zz", "yy"])], "2 of 3 ids are of no row, such as `yy`: check them");
    check(&[rows(&["zz"])], "no row has one of the 1 ids: check them");
    check(&[rows(&[])], "an exclusion of rows names no id");
    check(&[source("import"), source("import")], "`import` is excluded twice: name it once");
    check(
        &[source("import"), source("branch")],
        "nothing is left of the 7 rows: exclude less, or train on other data",
    );
    check(
        &[rows(&["a1", "a2", "a3", "b1", "b2", "b3", "c1"])],
        "nothing is left of the 7 rows: exclude less, or train on other data",
    );
    // One is kept for want of a time, which is said where something is left.
    check(
        &[window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"), rows(&["b3"])],
        "nothing is left of the 7 rows: exclude less, or train on other data",
    );
}

#[test]
fn rows_are_left_out_by_what_is_in_any_column_that_the_manifest_names() {
    let set = set();
    let by_source = set.purge_with(&[source("import")], None, &set.folder.path().join("by-source")).unwrap();
    let by_value =
        set.purge_with(&[value("source", "import")], None, &set.folder.path().join("by-value")).unwrap();
    assert_eq!(by_value.after, by_source.after, "a source is a value of its column");
    assert_eq!(by_value.excluded, [Counted { exclusion: value("source", "import"), rows: 2 }]);
    let texts = "id,at,source,amount,good\na,,x,1.0,1\nb,,x,1,1\nc,,x,,1\nd,,x,2,0\n";
    let other = Set::new(&[("f.csv", texts.as_bytes(), 4)]);
    let purged = other.purge(&[value("amount", "1"), value("amount", "")]).unwrap();
    assert_eq!(purged.rows_left_out, 2, "`1.0` is written otherwise, and an empty value is one");
}

#[test]
fn a_column_that_the_manifest_or_a_file_does_not_have_is_refused() {
    let set = set();
    let mut manifest: Value = serde_json::from_slice(&fs::read(set.path()).unwrap()).unwrap();
    manifest["columns"]["slices"] = serde_json::json!([]);
    manifest["columns"].as_object_mut().unwrap().remove("time");
    manifest["columns"].as_object_mut().unwrap().remove("id");
    set.write(&manifest);
    for (exclude, what) in [(source("import"), "source"), (whole(0, 1), "time"), (rows(&["a1"]), "id")] {
        let said = said(set.purge(&[exclude]));
        assert!(said.contains(&format!("names no column with the {what} of a row")), "{said}");
    }
    manifest["columns"]["source"] = "origin".into();
    set.write(&manifest);
    let said = said(set.purge(&[source("import")]));
    assert!(said.contains("one.csv` has no column `origin`, which the manifest names"), "{said}");
}

#[test]
fn data_that_is_not_what_its_manifest_says_is_refused_and_nothing_is_written() {
    let header = "id,at,source,amount,good\n";
    let row = "a,2026-11-01T00:00:00Z,bad,1,1\nb,2026-11-01T00:00:00Z,good,1,1\n";
    let check = |content: &[u8], rows: u64, spoil: &dyn Fn(&Set), expected: &str| {
        let set = Set::new(&[("f.csv", content, rows)]);
        spoil(&set);
        let said = said(set.purge(&[source("bad"), window("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z")]));
        assert!(said.contains(expected), "`{said}` instead of `{expected}`");
        assert!(!set.out().exists());
    };
    let file = |set: &Set| set.folder.path().join("data/f.csv");
    let good = format!("{header}{row}");
    check(good.as_bytes(), 3, &|_| {}, "it has 2 rows, and 3 are listed");
    check(
        good.as_bytes(),
        2,
        &|set| fs::write(file(set), good.replace("bad,1", "bad,2")).unwrap(),
        "its sha-256 is",
    );
    check(good.as_bytes(), 2, &|set| fs::remove_file(file(set)).unwrap(), "cannot be read: No such file");
    let folder_instead = |set: &Set| {
        fs::remove_file(file(set)).unwrap();
        fs::create_dir(file(set)).unwrap();
    };
    check(good.as_bytes(), 2, &folder_instead, "is no file: the manifest lists files");
    check(b"", 1, &|_| {}, "has no header");
    check(format!("{header}a,b\n").as_bytes(), 1, &|_| {}, "row 1: it has 2 values, and the header has 5");
    check(format!("{header}a,yesterday,bad,1,1\n").as_bytes(), 1, &|_| {}, "row 1: `yesterday` is no time");
    check(b"id,at,source,source,good\n", 1, &|_| {}, "has several columns `source`");
    check(b"id,at,source,amount,good\na,2026-11-01T00:00:00Z,\xff,1,1\n", 1, &|_| {}, "a text is not UTF-8");
    let unclosed = format!("{header}\"{}", "x,1\n".repeat(5 << 20));
    check(unclosed.as_bytes(), 1, &|_| {}, "is a quote not closed?");
}

#[test]
fn people_write_what_is_left_out_as_they_say_it() {
    let spelt = |text: &str| ripcord_data::exclusion(text);
    assert_eq!(spelt("source=a=b"), Ok(source("a=b")));
    assert_eq!(spelt("rows=a, b"), Ok(rows(&["a", "b"])));
    assert_eq!(spelt("window=1970-01-01T00:00:01Z..1970-01-01T01:00:02+01:00"), Ok(whole(1_000, 2_000)));
    for (text, expected) in [
        ("import", "`import` says not what is left out: write source=NAME"),
        ("source=", "names no source"),
        ("column=x", "nothing is left out by `column`"),
        ("window=2026-11-01", "is no window: write window=START..END"),
        ("window=2026-11-01..2026-11-02", "`2026-11-01` is no time: write RFC 3339 with a zone"),
        ("window=1970-01-01T00:00:02Z..1970-01-01T00:00:01Z", "ends before it starts"),
        ("rows=a,,b", "has an empty id"),
    ] {
        let said = spelt(text).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
}
