//! Files as pyarrow writes them are purged, and what is written is what pyarrow reads. `.ci/pyarrow` installs it; without it these are not run.

use std::path::Path;
use std::process::Command;

use ripcord_core::target::Exclusion;
use ripcord_data::{Dialect, ManifestAt, Predicate};

use crate::support::{Set, rows, source, window};

/// Writes one file for each way in which pyarrow writes, and the manifest.
const WRITE: &str = r#"
import hashlib, json, os, sys
from datetime import datetime, timedelta, timezone
import pyarrow as pa, pyarrow.parquet as pq

folder = sys.argv[1]
start = datetime(2026, 11, 1, tzinfo=timezone.utc)

def table(first, rows, unit):
    at = range(first, first + rows)
    return pa.table({
        "id": pa.array([f"r{n}" for n in at]),
        "at": pa.array([None if n % 7 == 6 else start + timedelta(seconds=n) for n in at], pa.timestamp(unit, tz="UTC")),
        "source": pa.array([None if n % 5 == 4 else "bad" if n % 3 == 0 else "gut\u00e4" for n in at]).dictionary_encode(),
        "amount": pa.array([n / 2 for n in at]),
        "good": pa.array([n % 2 for n in at], pa.int32()),
        "money": pa.array([n for n in at], pa.int64()).cast(pa.decimal128(21, 2)),
        "tags": pa.array([None if n % 8 == 0 else [f"t{k}" if k != 1 else None for k in range(n % 4)] for n in at]),
        "inner": pa.array([{"a": n, "b": None if n % 2 else f"b{n}", "c": [n] * (n % 3)} for n in at]),
        "flag": pa.array([n % 2 == 0 for n in at]),
        "small": pa.array([n / 3 for n in at], pa.float32()),
        "raw": pa.array([bytes([n % 256, 0]) for n in at], pa.binary(2)),
        "day": pa.array([(start + timedelta(days=n % 100)).date() for n in at]),
    })

ways = [
    ("snappy", dict(compression="snappy"), "us"),
    ("zstd", dict(compression="zstd", data_page_version="2.0"), "us"),
    ("gzip", dict(compression="gzip", use_dictionary=False), "ns"),
    ("lz4", dict(compression="lz4", data_page_size=512), "ms"),
    ("none", dict(compression="none", use_deprecated_int96_timestamps=True), "ns"),
    ("split", dict(column_encoding={"amount": "BYTE_STREAM_SPLIT", "good": "DELTA_BINARY_PACKED", "id": "DELTA_BYTE_ARRAY"}, use_dictionary=False), "us"),
]
files, first, rows = [], 0, 900
for name, way, unit in ways:
    path = os.path.join(folder, name + ".parquet")
    pq.write_table(table(first, rows, unit), path, row_group_size=400, **way)
    data = open(path, "rb").read()
    files.append({"path": name + ".parquet", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": rows})
    first += rows
lines = "".join(f"{file['sha256']}  {file['path']}\n" for file in files)
json.dump({
    "format": 1, "dataset": "pyarrow", "revision": "sha256:" + hashlib.sha256(lines.encode()).hexdigest(),
    "created-at": "2026-11-20T00:00:00Z",
    "columns": {"id": "id", "time": "at", "source": "source", "inputs": ["amount", "inner.a"], "label": "good"},
    "rows": first, "files": files,
}, open(os.path.join(folder, "manifest.json"), "w"))
"#;

/// Holds each purged file against the same rows of the one that it was made of: values, nulls, types, metadata.
const CHECK: &str = r#"
import json, os, sys
from datetime import datetime, timedelta, timezone
import pyarrow as pa, pyarrow.parquet as pq

before, after, which = sys.argv[1:4]
start = datetime(2026, 11, 1, tzinfo=timezone.utc)
ids = set(json.loads(sys.argv[4]))
manifest = json.load(open(os.path.join(after, "manifest.json")))
left = 0
for file in manifest["files"]:
    new = pq.read_table(os.path.join(after, file["path"]))
    path = os.path.join(before, os.path.basename(file["path"]))
    old = pq.read_table(path)
    numbers = [int(id[1:]) for id in old["id"].to_pylist()]
    if which == "source":
        keep = [not (n % 5 != 4 and n % 3 == 0) for n in numbers]
    elif which == "window":
        keep = [n % 7 == 6 or not 100 <= n <= 3000 for n in numbers]
    else:
        keep = [f"r{n}" not in ids for n in numbers]
    expected = old.filter(pa.array(keep))
    assert new.schema.equals(expected.schema, check_metadata=True), (file, new.schema, expected.schema)
    for name in new.column_names:
        assert new[name].to_pylist() == expected[name].to_pylist(), (file, name)
    new.validate(full=True)
    assert new.num_rows == file["rows"]
    of = lambda path: pq.ParquetFile(path).metadata.row_group(0).column(3).compression
    assert of(os.path.join(after, file["path"])) == of(path)
    left += new.num_rows
assert left == manifest["rows"]
print("left", left)
"#;

/// The rows that an engine keeps by the predicate.
const DUCKDB: &str = r#"
import json, os, sys
import duckdb
before, after, predicate = sys.argv[1:4]
duckdb.sql("SET TimeZone = 'Pacific/Auckland'")
files = [os.path.join(before, file["path"]) for file in json.load(open(os.path.join(before, "manifest.json")))["files"]]
purged = [os.path.join(after, file["path"]) for file in json.load(open(os.path.join(after, "manifest.json")))["files"]]
ids = lambda files, where: sorted(id for file in files for (id,) in duckdb.sql(f"SELECT id FROM '{file}' WHERE {where}").fetchall())
kept = ids(files, f"NOT ({predicate})")
assert kept == ids(purged, "TRUE"), len(kept)
print("left", len(kept))
"#;

fn python(code: &str, arguments: &[&str]) -> String {
    let python = std::env::var("RIPCORD_TEST_PYARROW")
        .expect("RIPCORD_TEST_PYARROW names the Python that `.ci/pyarrow` prints");
    let output = Command::new(python).arg("-c").arg(code).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "needs pyarrow: see .ci/pyarrow"]
fn pyarrow_reads_what_is_left_as_it_was() {
    let set = Set::new(&[]);
    let data = set.folder.path().join("data");
    python(WRITE, &[text(&data)]);
    let ids: Vec<String> = (0..5_400).step_by(311).map(|row| format!("r{row}")).collect();
    let all_ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cases: [(&str, Exclusion); 3] = [
        ("source", source("bad")),
        ("window", window("2026-11-01T00:01:40Z", "2026-11-01T00:50:00Z")),
        ("ids", rows(&all_ids)),
    ];
    for (which, exclude) in cases {
        let out = set.folder.path().join(which);
        let purged = set.purge_with(std::slice::from_ref(&exclude), None, &out).unwrap();
        let left = format!("left {}\n", purged.after.rows);
        let json = serde_json::to_string(&ids).unwrap();
        assert_eq!(python(CHECK, &[text(&data), text(&out), which, &json]), left);
        let manifest = ManifestAt::read(&set.path()).unwrap();
        let predicate = Predicate::new(&manifest.manifest, std::slice::from_ref(&exclude))
            .unwrap()
            .sql(Dialect::Standard);
        assert_eq!(python(DUCKDB, &[text(&data), text(&out), &predicate]), left, "{predicate}");
    }
}
