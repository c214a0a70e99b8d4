//! A million rows in bounded memory.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use ripcord_core::digest::Digest;
use ripcord_data::{ManifestAt, PurgeOrder, purge};

use crate::support::{NOW, manifest, source};

const ROWS: u64 = 1_000_000;
/// In MiB: less than the bytes of the rows.
const PEAK_MIB_MAX: u64 = 64;
const ORDER: &str = "RIPCORD_TEST_PURGE";

fn csv(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(b"id,at,source,amount,good,more\n").unwrap();
    let padding = "x".repeat(100);
    for row in 0..ROWS {
        let source = if row.is_multiple_of(10) { "bad" } else { "good" };
        writeln!(file, "row-{row:07},2026-11-01T00:00:00Z,{source},{row}.5,{},{padding}", row % 2).unwrap();
    }
    file.flush().unwrap();
}

/// Not a test by itself: the process whose memory is measured.
#[test]
#[ignore = "run by the tests below"]
fn purge_that_is_measured() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (path, out) = order.split_once('\n').unwrap();
    let manifest = ManifestAt::read(Path::new(path)).unwrap();
    let (out, exclude) = (PathBuf::from(out), [source("bad")]);
    let order = PurgeOrder { manifest: &manifest, exclude: &exclude, out: &out, key: None, at: NOW };
    let purged = purge(&order, &mut |_| {}).unwrap();
    assert_eq!((purged.before.rows, purged.after.rows), (ROWS, ROWS / 10 * 9));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak KiB {}", peak.trim().trim_end_matches(" kB"));
}

fn measure(name: &str, write: fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    write(&file);
    let bytes = fs::read(&file).unwrap();
    let listed = manifest(&[(name, Digest::of(&bytes), bytes.len() as u64, ROWS)]);
    let size = bytes.len() >> 20;
    drop(bytes);
    let path = folder.path().join("manifest.json");
    fs::write(&path, listed.to_string()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::purge_that_is_measured", "--ignored", "--nocapture"])
        .env(ORDER, format!("{}\n{}", path.display(), folder.path().join("purged").display()))
        .output()
        .unwrap();
    let told = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{told}{}", String::from_utf8_lossy(&child.stderr));
    let peak = told.lines().find_map(|line| line.split_once("peak KiB ")).unwrap().1;
    let peak: u64 = peak.trim().parse::<u64>().unwrap() / 1_024;
    println!("{name}: {ROWS} rows, {size} MiB, purged with a peak of {peak} MiB");
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}

#[test]
fn a_million_rows_of_csv_are_purged_in_bounded_memory() {
    measure("million.csv", csv);
}

#[cfg(feature = "parquet")]
#[test]
fn a_million_rows_of_parquet_are_purged_in_bounded_memory() {
    measure("million.parquet", |path| {
        let row = |row: u64| (format!("row-{row:07}"), if row.is_multiple_of(10) { "bad" } else { "good" });
        crate::parquet_files::write(path, ROWS, 250_000, row);
    });
}
