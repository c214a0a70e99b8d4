//! What an engine of the team's own leaves out is what a purge leaves out.

use std::collections::BTreeSet;

use ripcord_core::target::Exclusion;
use ripcord_data::{Dialect, ManifestAt, Predicate};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Set, rows, said, source, value, whole, window};

/// The values that an injection would be made of.
const HOSTILE: [&str; 9] = [
    "import",
    "'; DROP TABLE data; --",
    "' OR '1'='1",
    "\\' OR 1=1 --",
    "\" OR \"\"=\"",
    "`x` OR TRUE",
    "a%b_c",
    "line\nbreak\u{1b}[2J",
    "{\"$ne\":null}",
];

fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A row for each hostile value and some others, in a column of that name; the id is hostile, too.
fn set(column: &str) -> Set {
    let mut text = format!("id,at,{},amount,good\n", cell(column));
    let sources = HOSTILE.iter().copied().chain(["", "branch", "IMPORT"]);
    for (at, value) in sources.enumerate() {
        let time =
            ["2026-11-01T00:00:00Z", "2026-11-01T02:00:00.500+02:00", "", "2026-11-02T00:00:00.001Z"][at % 4];
        text.push_str(&format!("{},{time},{},1,1\n", cell(&format!("id {value}")), cell(value)));
    }
    let set = Set::new(&[("f.csv", text.as_bytes(), 12)]);
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(set.path()).unwrap()).unwrap();
    manifest["columns"]["source"] = json!(column);
    manifest["columns"]["slices"] = json!([column]);
    set.write(&manifest);
    set
}

/// All rows of the files of a manifest, as `SQLite` has them. An empty time is none.
fn loaded(manifest: &ManifestAt, column: &str) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let name = column.replace('`', "``");
    database.execute_batch(&format!("CREATE TABLE data (id TEXT, at TEXT, `{name}` TEXT)")).unwrap();
    for file in &manifest.manifest.files {
        let mut reader = csv::Reader::from_path(manifest.path_of(file)).unwrap();
        for row in reader.records() {
            let row = row.unwrap();
            let time = Some(&row[1]).filter(|time| !time.is_empty());
            database.execute("INSERT INTO data VALUES (?1, ?2, ?3)", (&row[0], time, &row[2])).unwrap();
        }
    }
    database
}

fn ids(database: &Connection, condition: &str) -> BTreeSet<String> {
    let mut statement = database.prepare(&format!("SELECT id FROM data WHERE {condition}")).unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}

fn check(column: &str, exclude: &[Exclusion]) {
    let set = set(column);
    let manifest = set.manifest();
    let purged = set.purge(exclude).unwrap();
    let after = ManifestAt::read(&set.out().join("manifest.json")).unwrap();
    let left = ids(&loaded(&after, column), "TRUE");
    assert_eq!(left.len() as u64, purged.after.rows);

    let predicate = Predicate::new(&manifest.manifest, exclude).unwrap();
    let sql = predicate.sql(Dialect::Sqlite);
    let database = loaded(&manifest, column);
    assert_eq!(ids(&database, &format!("NOT ({sql})")), left, "{sql}");
    assert_eq!(ids(&database, &sql).len() as u64, purged.rows_left_out, "never unknown: {sql}");
    assert_eq!(ids(&database, "TRUE").len(), 12, "the table is still there");
}

#[test]
fn sql_leaves_out_what_the_purge_leaves_out() {
    for hostile in HOSTILE {
        check("source", &[source(hostile)]);
        check("origin", &[value("origin", hostile)]);
        check("source", &[rows(&[&format!("id {hostile}")])]);
    }
    check("source", &[window("2026-11-01T00:00:00Z", "2026-11-01T00:00:00.499Z")]);
    check("source", &[window("2026-11-01T00:00:00.500Z", "2026-11-02T00:00:00Z")]);
    check("source", &[window("2026-11-01T00:00:00Z", "2026-11-02T00:00:00.001Z")]);
    let all: Vec<_> = HOSTILE.into_iter().map(source).chain([whole(0, 1_793_491_200_000)]).collect();
    check("source", &all);
}

#[test]
fn a_hostile_column_is_a_name_and_nothing_else() {
    for column in ["`; DROP TABLE data; --", "\"x\"", "so'urce", "select", "a b.c"] {
        check(column, &[source("import"), source("' OR '1'='1")]);
        check(column, &[value(column, "import"), value(column, "' OR '1'='1"), value(column, "")]);
    }
}

#[test]
fn each_dialect_quotes_as_its_engines_read() {
    let set = set("so\"u`rce");
    let manifest = set.manifest();
    let exclude = [source("a'b\\"), rows(&["x", "y'"]), whole(0, 999)];
    let predicate = Predicate::new(&manifest.manifest, &exclude).unwrap();
    assert_eq!(
        predicate.sql(Dialect::Standard),
        "(\"so\"\"u`rce\" IS NOT NULL AND \"so\"\"u`rce\" = 'a''b\\')\n\
         OR (\"id\" IS NOT NULL AND \"id\" IN ('x', 'y'''))\n\
         OR (\"at\" IS NOT NULL AND CAST(\"at\" AS TIMESTAMP WITH TIME ZONE) IS NOT NULL \
         AND CAST(\"at\" AS TIMESTAMP WITH TIME ZONE) >= TIMESTAMP WITH TIME ZONE '1970-01-01 00:00:00.000+00:00' \
         AND CAST(\"at\" AS TIMESTAMP WITH TIME ZONE) < TIMESTAMP WITH TIME ZONE '1970-01-01 00:00:01.000+00:00')"
    );
    assert_eq!(
        predicate.sql(Dialect::Spark),
        "(`so\"u``rce` IS NOT NULL AND `so\"u``rce` = 'a\\'b\\\\')\n\
         OR (`id` IS NOT NULL AND `id` IN ('x', 'y\\''))\n\
         OR (`at` IS NOT NULL AND CAST(`at` AS TIMESTAMP) IS NOT NULL \
         AND CAST(`at` AS TIMESTAMP) >= TIMESTAMP '1970-01-01T00:00:00.000Z' \
         AND CAST(`at` AS TIMESTAMP) < TIMESTAMP '1970-01-01T00:00:01.000Z')"
    );
}

#[test]
fn json_is_what_pipelines_read() {
    let set = set("source");
    let manifest = set.manifest();
    let exclude = [source("import"), rows(&["x"]), whole(0, 999), value("good", "it's")];
    let json = Predicate::new(&manifest.manifest, &exclude).unwrap().json().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        json!({
            "data": manifest.manifest.revision,
            "exclude": [
                { "source": { "equals": "import" } },
                { "id": { "in": ["x"] } },
                { "at": { "from": "1970-01-01T00:00:00.000Z", "before": "1970-01-01T00:00:01.000Z" } },
                { "good": { "equals": "it's" } },
            ],
        })
    );
}

#[test]
fn what_has_no_form_is_refused() {
    let set = set("source");
    let manifest = set.manifest();
    let refused = |exclude: &[Exclusion]| said(Predicate::new(&manifest.manifest, exclude));
    assert!(refused(&[source("a\0b")]).contains("a zero byte in a name or value has no form in SQL"));
    assert!(refused(&[whole(0, u64::MAX)]).contains("a window reaches beyond the calendar"));
    assert!(refused(&[]).contains("nothing is to be left out"));
}
