//! Which manifests are taken.

use ripcord_data::ManifestAt;
use serde_json::{Value, json};

use crate::support::{Set, said};

const FILE: &[u8] = b"id,at,source,amount,good\na,2026-11-01T00:00:00Z,import,1,1\n";

#[test]
fn a_manifest_that_contradicts_itself_or_cannot_be_meant_is_refused() {
    let set = Set::new(&[("f.csv", FILE, 1)]);
    let good: Value = serde_json::from_slice(&std::fs::read(set.path()).unwrap()).unwrap();
    let check = |at: &str, value: Value, expected: &str| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(at).unwrap() = value;
        set.write(&manifest);
        let said = said(ManifestAt::read(&set.path()));
        assert!(said.contains(expected), "`{said}` instead of `{expected}`");
    };
    check("/format", json!(2), "has format 2, and this build reads format 1");
    check("/dataset", json!(""), "gives the data set no name");
    check("/rows", json!(2), "says 2 rows, and its files have 1");
    check("/files", json!([]), "says 1 rows, and its files have 0");
    check("/revision", json!("sha256:0"), "says revision `sha256:0`, and its files make `sha256:");
    check("/columns/label", json!(""), "names a column with an empty name");
    check("/columns/label", json!("amount"), "has the label `amount` among the inputs");
    check("/columns/inputs", json!(["x", "x"]), "lists the input `x` twice");
    check("/columns/inputs", json!("x"), "is no data manifest");
    check("/files/0/sha256", json!("AB"), "is no data manifest");
    check("/files/0/path", json!("/etc/f.csv"), "write a path relative to the manifest");
    check("/files/0/path", json!("a\\f.csv"), "write a path relative to the manifest");
    check("/files/0/path", json!(""), "write a path relative to the manifest");
    check("/files/0/path", json!("f.json"), "lists `f.json`: data files end in .csv or .parquet");
    // One that is empty from the beginning: without files, and with a file that has a header alone.
    let empty = "lists no rows, so there is nothing to train on and nothing to leave out: name a revision";
    for (at, none) in [("/files", json!([])), ("/files/0/rows", json!(0))] {
        let mut manifest = good.clone();
        manifest["rows"] = json!(0);
        *manifest.pointer_mut(at).unwrap() = none;
        set.write(&manifest);
        let said = said(ManifestAt::read(&set.path()));
        assert!(said.contains(empty), "`{said}` instead of `{empty}`");
    }
    set.write(&json!({ "format": 1, "more": true }));
    assert!(said(ManifestAt::read(&set.path())).contains("is no data manifest: unknown field `more`"));
    assert!(
        said(ManifestAt::read(set.folder.path())).contains("is no file: name the data set's manifest.json")
    );
}

#[test]
fn what_is_the_source_is_said_or_is_the_slice_of_that_name() {
    let set = Set::new(&[("f.csv", FILE, 1)]);
    assert_eq!(set.manifest().manifest.columns.source(), Some("source"));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(set.path()).unwrap()).unwrap();
    manifest["columns"]["source"] = json!("origin");
    set.write(&manifest);
    assert_eq!(set.manifest().manifest.columns.source(), Some("origin"));
}
