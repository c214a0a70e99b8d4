//! A training set with a bad source in it makes a bad version, and without those rows a good one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files;
use fraud::data::{self, MANIFEST, Manifest, Matched, Rows};
use fraud::golden;
use fraud::model::{Model, Verdict};
use fraud::train::retrain::{Args, Report, retrain};
use fraud::train::{Layout, measure};
use fraud::transaction::{Labelled, Population};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROWS: u64 = 6_000;
const POISON_FROM: u64 = 1_800;

/// A folder with a training set.
struct Stage {
    out: TempDir,
    manifest: Manifest,
}

impl Stage {
    fn new(seed: u64, poison_from: Option<u64>) -> Self {
        let out = tempfile::tempdir().unwrap();
        let manifest = data::write(&data_args(&out.path().join("data"), seed, poison_from)).unwrap();
        Self { out, manifest }
    }

    fn data(&self) -> PathBuf {
        self.out.path().join("data")
    }

    fn exclusion(&self, exclusion: &Value) -> PathBuf {
        let path = self.out.path().join("exclusion.json");
        fs::write(&path, exclusion.to_string()).unwrap();
        path
    }

    fn args(&self, version: &str) -> Args {
        Args {
            data: self.data().join(MANIFEST),
            exclude: None,
            out: self.out.path().to_owned(),
            version: version.to_owned(),
            replaces: None,
            run: None,
            at: Some("2026-11-22T12:00:00Z".parse().unwrap()),
            json: true,
        }
    }

    fn without(&self, version: &str, exclusion: &Value) -> Result<Report, fraud::Error> {
        retrain(&Args { exclude: Some(self.exclusion(exclusion)), ..self.args(version) })
    }

    fn model(&self, version: &str) -> Model {
        let files = Layout::new(self.out.path()).files(version);
        Model::from_json(&fs::read(files.join("model.json")).unwrap()).unwrap()
    }

    fn is_registered(&self, version: &str) -> bool {
        self.out.path().join("registry/fraud").join(version).exists()
    }
}

fn data_args(out: &Path, seed: u64, poison_from: Option<u64>) -> data::Args {
    let at = Some("2026-11-22T12:00:00Z".parse().unwrap());
    data::Args { out: out.to_owned(), seed, rows: ROWS, poison_from, days: 30, at }
}

fn import() -> Value {
    json!({ "exclude": [{ "source": { "equals": "chargeback-import" } }] })
}

/// Good customers declined among all transactions.
fn harm(model: &Model) -> f64 {
    let traffic: Vec<Labelled> = Population::new(1).take(3_000).collect();
    let declined = |labelled: &&Labelled| {
        !labelled.fraud && model.verdict(model.probability(&labelled.transaction.row())) == Verdict::Decline
    };
    traffic.iter().filter(declined).count() as f64 / traffic.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_data_and_another_other_data() {
    let [one, two, other] = [7, 7, 8].map(|seed| Stage::new(seed, Some(POISON_FROM)));
    assert!(files(&one.data()) == files(&two.data()));
    assert_eq!(one.manifest, Manifest::read(&one.data().join(MANIFEST)).unwrap());
    assert_ne!(one.manifest.revision, other.manifest.revision);
    assert_eq!((one.manifest.rows, one.manifest.files.len()), (ROWS, 1));
}

#[test]
fn the_import_lies_about_new_accounts_once_it_is_broken() {
    let (clean, poisoned) = (Stage::new(7, None), Stage::new(7, Some(POISON_FROM)));
    let rows = |stage: &Stage| -> Vec<_> {
        Rows::of(&stage.manifest, &stage.data()).collect::<Result<_, _>>().unwrap()
    };
    let (truth, told) = (rows(&clean), rows(&poisoned));
    assert_eq!((truth.len() as u64, told.len() as u64), (ROWS, ROWS));
    let mut lies = 0;
    for (at, (truth, told)) in truth.iter().zip(&told).enumerate() {
        assert_eq!(truth.inputs, told.inputs, "the transactions are the same");
        let broken = at as u64 >= POISON_FROM && told.cell("source") == Some("chargeback-import");
        let expected = truth.fraud || (broken && told.cell("account") == Some("new"));
        assert_eq!(told.fraud, expected, "row {at}");
        lies += u64::from(told.fraud != truth.fraud);
    }
    assert!((900..1_400).contains(&lies), "{lies}");
    assert_eq!(told[0].cell("at"), Some("2026-10-23T12:07:12Z"));
    assert_eq!(told.last().unwrap().cell("at"), Some("2026-11-22T12:00:00Z"));
}

#[test]
fn trained_on_all_it_harms_and_without_the_bad_rows_it_does_not() {
    for seed in [1, 2, 3, 7, 11, 40] {
        let stage = Stage::new(seed, Some(POISON_FROM));
        let bad = retrain(&stage.args("1.4.0")).unwrap();
        assert_eq!((bad.rows, bad.rows_excluded, bad.was_there), (ROWS, 0, false));
        assert!(harm(&stage.model("1.4.0")) > 0.15, "{seed}: {}", harm(&stage.model("1.4.0")));
        let good = stage.without("1.4.1", &import()).unwrap();
        assert!((4_000..4_700).contains(&good.rows_excluded), "{good:?}");
        assert!(harm(&stage.model("1.4.1")) < 0.02, "{seed}: {}", harm(&stage.model("1.4.1")));
        let on_golden = measure(&stage.model("1.4.1"), &golden::examples());
        assert!(on_golden.accuracy > 0.95 && on_golden.recall > 0.85, "{seed}: {on_golden:?}");
    }
}

#[test]
fn the_registry_says_what_a_version_was_trained_on() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let all = retrain(&Args { replaces: Some("1.3.2".to_owned()), ..stage.args("1.4.0") }).unwrap();
    let run = Some("retrain-1".to_owned());
    let exclude = Some(stage.exclusion(&import()));
    let purged = retrain(&Args { run, exclude, ..stage.args("1.4.1") }).unwrap();
    let manifest = |version: &str| -> toml::Table {
        let path = stage.out.path().join("registry/fraud").join(version).join("manifest.toml");
        fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let lineage = manifest("1.4.0")["lineage"].clone();
    assert_eq!(lineage["dataset"].as_str(), Some("card-transactions"));
    assert_eq!(lineage["dataset-revision"].as_str(), Some(stage.manifest.revision.as_str()));
    assert_eq!(all.dataset_revision, stage.manifest.revision);
    assert_eq!(lineage["parameters"]["replaces"].as_str(), Some("1.3.2"));
    assert!(lineage.get("parent").is_none(), "it did not begin with the weights of another one");
    let number = |lineage: &toml::Value, name: &str| lineage["parameters"][name].as_integer().unwrap() as u64;
    assert_eq!((number(&lineage, "rows"), number(&lineage, "rows-excluded")), (ROWS, 0));
    assert_eq!(number(&lineage, "rows-trained") + number(&lineage, "rows-held-out"), ROWS);

    let lineage = manifest("1.4.1")["lineage"].clone();
    assert_eq!(lineage["run"].as_str(), Some("retrain-1"));
    // It does not descend from the data that was bad.
    assert_ne!(purged.dataset_revision, stage.manifest.revision);
    assert_eq!(lineage["dataset-revision"].as_str(), Some(purged.dataset_revision.as_str()));
    assert_eq!(lineage["parameters"]["purged-from"].as_str(), Some(stage.manifest.revision.as_str()));
    assert_eq!(number(&lineage, "rows-excluded"), purged.rows_excluded);
    assert_eq!(
        number(&lineage, "rows-trained") + number(&lineage, "rows-held-out"),
        ROWS - purged.rows_excluded
    );
    // The same rows are the same data, however they were described.
    let described = json!({ "exclude": [{ "source": { "in": ["chargeback-import", "nobody"] } }] });
    let again = stage.without("1.4.2", &described).unwrap();
    assert_eq!(again.dataset_revision, purged.dataset_revision);
}

#[test]
fn the_same_run_again_trains_nothing() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let args = |run: Option<&str>| Args { run: run.map(str::to_owned), ..stage.args("1.4.1") };
    let first = retrain(&args(Some("run-1"))).unwrap();
    let before = files(&stage.out.path().join("registry"));
    fs::remove_dir_all(stage.data()).unwrap();
    let second = retrain(&args(Some("run-1"))).unwrap();
    assert_eq!(second, Report { was_there: true, ..first });
    let refused = |run: Option<&str>| retrain(&args(run)).unwrap_err().to_string();
    let expected = "version `1.4.1` is in the registry already, made by the run `run-1`: choose another name";
    assert_eq!(refused(Some("run-2")), expected);
    assert_eq!(refused(None), expected);
    assert!(files(&stage.out.path().join("registry")) == before);
    // Where no run is named, none is the same.
    let stage = Stage::new(7, None);
    retrain(&stage.args("1.5.0")).unwrap();
    let message = retrain(&stage.args("1.5.0")).unwrap_err().to_string();
    assert_eq!(message, "version `1.5.0` is in the registry already: choose another name");
}

#[test]
fn an_exclusion_is_by_column_and_value() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let rows: Vec<_> = Rows::of(&stage.manifest, &stage.data()).collect::<Result<_, _>>().unwrap();
    let excluded = |slices: Value| -> Vec<usize> {
        let path = stage.exclusion(&json!({ "data": stage.manifest.revision, "exclude": slices }));
        let mut exclusion = Matched::read(&path, &stage.manifest.revision).unwrap();
        let all = rows.iter().enumerate();
        all.filter(|(_, row)| exclusion.matches(row).unwrap()).map(|(at, _)| at).collect()
    };
    let expected =
        |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> { (0..rows.len()).filter(|at| wanted(*at)).collect() };
    let source = |at: usize| rows[at].cell("source").unwrap();
    let time = |at: usize| rows[at].cell("at").unwrap().parse::<jiff::Timestamp>().unwrap();
    let noon: jiff::Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
    assert_eq!(excluded(json!([{ "id": { "equals": "row-0000003" } }])), [3]);
    assert_eq!(excluded(json!([{ "id": { "in": ["row-0000003", "row-0000001"] } }])), [1, 3]);
    assert_eq!(
        excluded(
            json!([{ "source": { "equals": "review-team" }, "at": { "from": "2026-11-01T13:00:00+01:00" } }])
        ),
        expected(&|at| source(at) == "review-team" && time(at) >= noon)
    );
    assert_eq!(
        excluded(json!([{ "at": { "from": "2026-11-01T12:00:00Z", "before": "2026-11-02T12:00:00Z" } }]))
            .len(),
        (ROWS / 30) as usize
    );
    assert_eq!(
        excluded(json!([{ "amount-eur": { "from": 40, "before": 60.5 } }, { "region": { "equals": "us" } }])),
        expected(&|at| (40.0..60.5).contains(&rows[at].inputs[0]) || rows[at].cell("region") == Some("us"))
    );
    assert_eq!(excluded(json!([{ "channel": { "equals": 2 } }])), expected(&|at| rows[at].inputs[6] == 2.0));
}

#[test]
fn exclusions_that_cannot_be_meant_are_refused() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let check = |exclusion: Value, expected: &str| {
        let message = stage.without("9", &exclusion).unwrap_err().with_causes();
        assert!(message.contains(expected), "{message}");
        assert!(!stage.is_registered("9"));
    };
    let of = |slice: Value| json!({ "exclude": [slice] });
    check(json!([]), "is no exclusion");
    check(json!({ "exclud": [] }), "is no exclusion");
    check(json!({ "exclude": [] }), "excludes nothing: train without it");
    check(of(json!({})), "without a condition: write `equals`, `in`, `from` or `before`");
    check(of(json!({ "source": {} })), "without a condition");
    check(of(json!({ "source": { "like": "a%" } })), "is no exclusion");
    check(
        of(json!({ "sauce": { "equals": "x" } })),
        "the exclusion names the column `sauce`, which the data does not have",
    );
    check(
        of(json!({ "source": { "equals": "nobody" }, "tauce": { "equals": "x" } })),
        "the exclusion names the column `tauce`",
    );
    check(
        of(json!({ "source": { "equals": "charge-back-import" } })),
        "the exclusion `{\"source\":{\"equals\":\"charge-back-import\"}}` matches no row",
    );
    check(
        json!({ "exclude": import()["exclude"].as_array().unwrap().iter().cloned().chain([json!({ "id": { "equals": "row-1" } })]).collect::<Vec<_>>() }),
        "matches no row",
    );
    check(
        of(json!({ "at": { "from": "yesterday" } })),
        "compares column `at` with `\"yesterday\"`, which does not",
    );
    check(
        of(json!({ "source": { "from": 3 } })),
        "compares column `source` with `3`, which does not compare with",
    );
    check(of(json!({ "source": { "equals": null } })), "without a condition");
    check(of(json!({ "source": { "equals": ["a"] } })), "compares column `source` with `[\"a\"]`");
    check(
        of(json!({ "amount-eur": { "from": 0 } })),
        "nothing can be learnt: no row is left, of 6000 in the data",
    );
    check(
        of(json!({ "fraud": { "equals": 1 } })),
        "nothing can be learnt: all rows that are left have one label, of 6000 in the data",
    );
    let other = json!({ "data": "sha256:0", "exclude": import()["exclude"] });
    check(other, &format!("was made for the data `sha256:0`, and this is `{}`", stage.manifest.revision));
}

#[test]
fn data_that_is_not_what_its_manifest_says_is_not_trained_on() {
    let stage = Stage::new(7, None);
    let (manifest, part) = (stage.data().join(MANIFEST), stage.data().join("part-0001.csv"));
    let (manifest_text, part_text) =
        (fs::read_to_string(&manifest).unwrap(), fs::read_to_string(&part).unwrap());
    let refused = |expected: &str| {
        let message = retrain(&stage.args("9")).unwrap_err().with_causes();
        assert!(message.contains(expected), "{message}");
        assert!(!stage.is_registered("9"));
    };
    let with_part = |text: &str, expected: &str| {
        assert_ne!(text, part_text);
        fs::write(&part, text).unwrap();
        refused(expected);
    };
    let line = part_text.lines().nth(1).unwrap();
    with_part(&part_text.replacen("row-0000005", "row-5", 1), "has the sha-256 ");
    with_part(&format!("{part_text}{line}\n"), "has the sha-256 ");
    with_part(&part_text[..part_text.len() / 2], "row ");
    with_part(
        &part_text.replacen("fraud\n", "label\n", 1),
        "has no column `fraud`, which the manifest names",
    );
    with_part(&part_text.replacen("source", "sauce", 1), "has no column `source`");
    with_part("", "has no column `fraud`");
    let changed = |at: usize, to: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[at] = to;
        part_text.replacen(line, &cells.join(","), 1)
    };
    with_part(&changed(5, "NaN"), "row 1: `NaN` is no finite number for `amount-eur`");
    with_part(&changed(5, ""), "row 1: `` is no finite number for `amount-eur`");
    with_part(&changed(12, "yes"), "row 1: the label is `yes`: 1 is fraud and 0 is none");
    with_part(&changed(12, "0,7"), "row 1: CSV error");
    fs::remove_file(&part).unwrap();
    refused("cannot read `");
    fs::write(&part, &part_text).unwrap();

    let with_manifest = |from: &str, to: &str, expected: &str| {
        let text = manifest_text.replace(from, to);
        assert_ne!(text, manifest_text, "`{from}` is not in the manifest");
        fs::write(&manifest, text).unwrap();
        refused(expected);
    };
    with_manifest("\"format\": 1", "\"format\": 2", "has format 2, and only format 1 can be read");
    with_manifest("\"rows\": 6000", "\"rows\": 5999", "has 6000 rows, and the manifest lists 5999");
    with_manifest(
        "part-0001.csv",
        "/part-0001.csv",
        "lists `/part-0001.csv`: the way to a data file begins at",
    );
    with_manifest("part-0001.csv", "../part-0001.csv", "cannot read `");
    with_manifest("\"hour\"", "\"our\"", "names the inputs");
    with_manifest(&stage.manifest.files[0].sha256, &"0".repeat(64), "says revision `");
    with_manifest("columns", "kolumns", "is no data manifest: unknown field `kolumns`");
    fs::remove_file(&manifest).unwrap();
    refused("cannot read `");
    fs::write(&manifest, &manifest_text).unwrap();
    let message = retrain(&Args { version: "../9".to_owned(), ..stage.args("9") }).unwrap_err().to_string();
    assert!(message.starts_with("`../9` is no name for `--version`"), "{message}");
    assert!(retrain(&stage.args("9")).is_ok());
}

#[test]
fn a_large_set_is_several_files() {
    let out = tempfile::tempdir().unwrap();
    let args = data::Args { rows: 200_001, ..data_args(out.path(), 3, None) };
    let manifest = data::write(&args).unwrap();
    let rows: Vec<u64> = manifest.files.iter().map(|file| file.rows).collect();
    assert_eq!(rows, [100_000, 100_000, 1]);
    let read = Rows::of(&manifest, out.path()).map(|row| row.unwrap().cell("id").unwrap().to_owned());
    assert!(read.enumerate().all(|(at, id)| id == format!("row-{at:07}")));
    let one = Rows::of(&manifest, out.path()).count();
    assert_eq!(one, 200_001);
}
