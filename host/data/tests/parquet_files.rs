//! Parquet files are purged as CSV files are, and keep all that their schema says.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{Row, RowAccessor as _};
use parquet::schema::parser::parse_message_type;
use ripcord_core::digest::Digest;
use ripcord_core::target::Exclusion;
use ripcord_data::ManifestAt;

use crate::support::{Set, manifest, rows, said, source, whole, window};

const SCHEMA: &str = "message data {
    required binary id (UTF8);
    optional int64 at (TIMESTAMP(MICROS, true));
    optional binary source (UTF8);
    required double amount;
    required int32 good;
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
}";

/// Midnight of the first of November 2026, in microseconds.
const START: i64 = 1_793_491_200_000_000;

/// A file with row groups of so many rows. Row *n* is *n* seconds after the start; each seventh has no time, each fifth no source, and *n* modulo 4 tags,
/// of which the second is none.
pub(crate) fn write(path: &Path, rows: u64, group: u64, row: impl Fn(u64) -> (String, &'static str)) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new("team".to_owned(), "payments".to_owned())]))
        .build();
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut from = 0;
    while from < rows {
        let of_group: Vec<u64> = (from..rows.min(from + group)).collect();
        from += group;
        let mut out = writer.next_row_group().unwrap();
        macro_rules! column {
            ($type:ty, $values:expr, $levels:expr, $repetitions:expr) => {{
                let mut column = out.next_column().unwrap().unwrap();
                let (levels, repetitions): (Option<Vec<i16>>, Option<Vec<i16>>) = ($levels, $repetitions);
                column
                    .typed::<$type>()
                    .write_batch(&$values, levels.as_deref(), repetitions.as_deref())
                    .unwrap();
                column.close().unwrap();
            }};
        }
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        column!(ByteArrayType, of_group.iter().map(|at| text(&row(*at).0)).collect::<Vec<_>>(), None, None);
        let with = |every: u64| {
            Some(of_group.iter().map(|at| i16::from(at % every != every - 1)).collect::<Vec<i16>>())
        };
        let there = |every: u64| of_group.iter().copied().filter(move |at| at % every != every - 1);
        column!(
            Int64Type,
            there(7).map(|at| START + at as i64 * 1_000_000).collect::<Vec<_>>(),
            with(7),
            None
        );
        column!(ByteArrayType, there(5).map(|at| text(row(at).1)).collect::<Vec<_>>(), with(5), None);
        column!(DoubleType, of_group.iter().map(|at| *at as f64).collect::<Vec<_>>(), None, None);
        column!(Int32Type, of_group.iter().map(|at| (at % 2) as i32).collect::<Vec<_>>(), None, None);
        let (mut values, mut levels, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
        for at in &of_group {
            let tags = at % 4;
            if tags == 0 {
                levels.push(if at % 8 == 0 { 0 } else { 1 });
                repetitions.push(0);
            }
            for tag in 0..tags {
                levels.push(if tag == 1 { 2 } else { 3 });
                repetitions.push(i16::from(tag > 0));
                if tag != 1 {
                    values.push(text(&format!("tag {tag} of {at}")));
                }
            }
        }
        column!(ByteArrayType, values, Some(levels), Some(repetitions));
        out.close().unwrap();
    }
    writer.close().unwrap();
}

fn set(rows: u64, group: u64) -> Set {
    let set = Set::new(&[]);
    let path = set.folder.path().join("data/part.parquet");
    write(&path, rows, group, |row| (format!("r{row}"), if row % 3 == 0 { "bad" } else { "good" }));
    let bytes = fs::read(&path).unwrap();
    set.write(&manifest(&[("part.parquet", Digest::of(&bytes), bytes.len() as u64, rows)]));
    set
}

fn read(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

/// The rows that are left are those of the file for which `stays` holds, whole and in order.
fn check(exclude: &[Exclusion], stays: impl Fn(u64) -> bool) {
    let set = set(5_000, 1_700);
    let before = read(&set.folder.path().join("data/part.parquet"));
    let purged = set.purge(exclude).unwrap();
    let after = read(&set.out().join("part.parquet"));
    let expected: Vec<_> =
        before.iter().zip(0..).filter(|(_, at)| stays(*at)).map(|(row, _)| row.clone()).collect();
    assert!(after == expected, "{} rows instead of {}", after.len(), expected.len());
    assert_eq!((purged.before.rows, purged.after.rows), (5_000, expected.len() as u64));
}

fn has_time(at: u64) -> bool {
    at % 7 != 6
}

fn is_bad(at: u64) -> bool {
    at % 5 != 4 && at.is_multiple_of(3)
}

#[test]
fn rows_go_by_source_time_and_id_and_all_others_stay_whole() {
    check(&[source("bad")], |at| !is_bad(at));
    let second = |at: u64| format!("2026-11-01T{:02}:{:02}:{:02}Z", at / 3_600, at / 60 % 60, at % 60);
    check(&[window(&second(100), &second(1_900))], |at| !(has_time(at) && (100..=1_900).contains(&at)));
    check(&[rows(&["r0", "r4999", "r1700"])], |at| ![0, 4_999, 1_700].contains(&at));
    check(&[source("bad"), window(&second(0), &second(4_000)), rows(&["r4100"])], |at| {
        !(is_bad(at) || has_time(at) && at <= 4_000 || at == 4_100)
    });
}

#[test]
fn a_row_without_a_time_is_in_no_window_and_is_counted() {
    let set = set(700, 700);
    let purged = set.purge(&[whole(0, START as u64 / 1_000 + 100_000)]).unwrap();
    assert_eq!(purged.rows_without_time, Some(100));
}

#[test]
fn schema_metadata_and_compression_are_kept_and_a_row_group_without_rows_goes() {
    let set = set(3_000, 1_000);
    let ids: Vec<String> = (1_000..2_000).map(|row| format!("r{row}")).collect();
    set.purge(&[Exclusion::Rows(ids)]).unwrap();
    let open = |path: &Path| SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let [before, after] =
        [set.folder.path().join("data/part.parquet"), set.out().join("part.parquet")].map(|path| open(&path));
    let [old, new] = [&before, &after].map(|reader| reader.metadata().file_metadata());
    assert_eq!(old.schema(), new.schema());
    assert_eq!(old.key_value_metadata(), new.key_value_metadata());
    assert_eq!((before.num_row_groups(), after.num_row_groups()), (3, 2));
    assert_eq!(after.metadata().row_group(0).column(0).compression(), Compression::SNAPPY);
    let first = read(&set.out().join("part.parquet"))[1_000].get_string(0).unwrap().clone();
    assert_eq!(first, "r2000");
}

#[test]
fn csv_and_parquet_are_parts_of_one_set() {
    let set = set(100, 100);
    let csv =
        b"id,at,source,amount,good\nc1,2026-11-01T00:00:00Z,bad,1,1\nc2,2026-11-01T00:00:00Z,good,1,1\n";
    fs::write(set.folder.path().join("data/more.csv"), csv).unwrap();
    let parquet = fs::read(set.folder.path().join("data/part.parquet")).unwrap();
    set.write(&manifest(&[
        ("part.parquet", Digest::of(&parquet), parquet.len() as u64, 100),
        ("more.csv", Digest::of(csv), csv.len() as u64, 2),
    ]));
    let purged = set.purge(&[source("bad")]).unwrap();
    let bad = (0..100).filter(|at| is_bad(*at)).count() as u64;
    assert_eq!(purged.rows_left_out, bad + 1);
    assert_eq!(ManifestAt::read(&set.out().join("manifest.json")).unwrap().manifest.rows, 101 - bad);
}

#[test]
fn what_is_no_parquet_file_or_has_other_columns_is_refused() {
    let check = |content: &[u8], expected: &str| {
        let set = Set::new(&[("f.parquet", content, 10)]);
        let said = said(set.purge(&[source("bad")]));
        assert!(said.contains(expected), "`{said}` instead of `{expected}`");
        assert!(!set.out().exists());
    };
    check(b"PAR1 or not", "cannot be read as Parquet");
    check(b"", "cannot be read as Parquet");
    let whole = fs::read(set(10, 10).folder.path().join("data/part.parquet")).unwrap();
    check(&whole[..whole.len() - 9], "cannot be read as Parquet");
    // Pages that are nonsense, of which the digest is right.
    let mut spoilt = whole.clone();
    spoilt[4..200].fill(0xff);
    check(&spoilt, "cannot be");
}
