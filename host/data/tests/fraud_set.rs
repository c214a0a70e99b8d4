//! The example's training set with a bad source in it: the good version tells which source it is, and without it the next version does no harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fraud::data::{self, MANIFEST};
use fraud::model::{Model, Verdict};
use fraud::serve::{self, Server};
use fraud::train::Layout;
use fraud::train::retrain::{Args, Report as Trained, retrain};
use fraud::transaction::{Labelled, Population};
use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_adapters::{Http, Shared};
use ripcord_core::fact::Payload;
use ripcord_core::name::VersionName;
use ripcord_core::target::{Exclusion, VersionTarget};
use ripcord_data::suspects::{InputForm, Judge, Kind, Limits, Report, SuspectsOrder, suspects};
use ripcord_data::{DataError, ManifestAt, PurgeOrder, purge};
use ripcord_ports::deployer::Beside;
use ripcord_ports::endpoint::Reply;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, PortError};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{NOW, said, source};

const ROWS: u64 = 6_000;
const POISON_FROM: u64 = 1_800;

/// A folder with a training set, and a version that was trained before the import broke.
struct Stage {
    out: TempDir,
    good: Model,
}

impl Stage {
    fn new(seed: u64, poison_from: Option<u64>) -> Self {
        let out = tempfile::tempdir().unwrap();
        let at = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let args = |name: &str, seed, poison_from| data::Args {
            out: out.path().join(name),
            seed,
            rows: ROWS,
            poison_from,
            days: 28,
            at,
        };
        data::write(&args("data", seed, poison_from)).unwrap();
        data::write(&args("earlier", seed + 1_000, None)).unwrap();
        train(out.path(), &out.path().join("earlier").join(MANIFEST), "1.3.2");
        let good = model(out.path(), "1.3.2");
        Self { out, good }
    }

    fn path(&self) -> PathBuf {
        self.out.path().join("data").join(MANIFEST)
    }

    fn manifest(&self) -> ManifestAt {
        ManifestAt::read(&self.path()).unwrap()
    }
}

fn train(out: &Path, data: &Path, version: &str) -> Trained {
    retrain(&Args {
        data: data.to_owned(),
        exclude: None,
        out: out.to_owned(),
        version: version.to_owned(),
        replaces: None,
        run: None,
        at: None,
        json: true,
    })
    .unwrap()
}

fn model(out: &Path, version: &str) -> Model {
    Model::from_json(&fs::read(Layout::new(out).files(version).join("model.json")).unwrap()).unwrap()
}

/// Good customers declined among all transactions.
fn harm(model: &Model) -> f64 {
    let traffic: Vec<Labelled> = Population::new(1).take(3_000).collect();
    let declined = |labelled: &&Labelled| {
        !labelled.fraud && model.verdict(model.probability(&labelled.transaction.row())) == Verdict::Decline
    };
    traffic.iter().filter(declined).count() as f64 / traffic.len() as f64
}

/// The version itself, without a server.
struct Answers<'a> {
    model: &'a Model,
    version: &'a str,
    requests: AtomicUsize,
    rows_in_largest: AtomicUsize,
}

impl<'a> Answers<'a> {
    fn of(model: &'a Model, version: &'a str) -> Self {
        Self { model, version, requests: AtomicUsize::new(0), rows_in_largest: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Endpoint for Answers<'_> {
    fn name(&self) -> &str {
        "the_model_itself"
    }

    async fn infer(&self, input: &TrialInput, _: Option<&Beside>, trial: &str) -> Result<Reply, PortError> {
        assert_eq!(trial, "suspects-1");
        let tensors: Value = serde_json::from_str(&input.body).unwrap();
        let numbers: Vec<f64> = serde_json::from_value(tensors[0]["data"].clone()).unwrap();
        assert_eq!(tensors[0]["shape"], json!([numbers.len() / 7, 7]));
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.rows_in_largest.fetch_max(numbers.len() / 7, Ordering::Relaxed);
        let decide = |row: &[f64]| {
            let verdict = self.model.verdict(self.model.probability(row.try_into().unwrap()));
            if verdict == Verdict::Decline { "decline".to_owned() } else { "approve".to_owned() }
        };
        let output = Payload::Classes(numbers.chunks(7).map(decide).collect());
        let version = VersionName::new(self.version).unwrap();
        Ok(Reply { output, answered_by: Some(VersionTarget { version, digest: None }), latency_us: 1 })
    }
}

fn decisions() -> Judge {
    Judge::Class(
        [("1", "decline"), ("0", "approve")].map(|(label, answer)| (label.into(), answer.into())).into(),
    )
}

fn order<'a>(manifest: &'a ManifestAt, endpoint: &'a dyn Endpoint) -> SuspectsOrder<'a> {
    SuspectsOrder {
        manifest,
        endpoint,
        candidate: None,
        version: None,
        trial: "suspects-1",
        form: InputForm::Matrix { name: "transaction".to_owned(), datatype: "FP64".to_owned() },
        judge: decisions(),
        limits: Limits::default(),
        rows_max: ROWS,
        batch_rows: 256,
    }
}

async fn asked(order: &SuspectsOrder<'_>) -> Result<Report, DataError> {
    suspects(order, &mut |_| {}).await
}

#[tokio::test]
async fn the_import_is_the_suspect_and_without_it_the_next_version_does_no_harm() {
    for seed in [1, 2, 3, 7, 11, 40] {
        let stage = Stage::new(seed, Some(POISON_FROM));
        let manifest = stage.manifest();
        let answers = Answers::of(&stage.good, "1.3.2");
        let report = asked(&order(&manifest, &answers)).await.unwrap();
        let [suspect] = report.suspects.as_slice() else { panic!("seed {seed}: {:?}", report.suspects) };
        assert_eq!(suspect.what.kind, Kind::Source);
        assert_eq!(suspect.exclusion, Some(source("chargeback-import")), "seed {seed}");
        assert_eq!(report.asked.rows, ROWS);
        assert_eq!((answers.requests.into_inner(), answers.rows_in_largest.into_inner()), (24, 256));

        // All of it harms; the purged set does not.
        train(stage.out.path(), &stage.path(), "1.4.0");
        let bad = harm(&model(stage.out.path(), "1.4.0"));
        assert!(bad > 0.15, "seed {seed}: {bad}");
        let exclude: Vec<Exclusion> = suspect.exclusion.clone().into_iter().collect();
        let out = stage.out.path().join("purged");
        let purged = purge(
            &PurgeOrder { manifest: &manifest, exclude: &exclude, out: &out, key: None, at: NOW },
            &mut |_| {},
        )
        .unwrap();
        let trained = train(stage.out.path(), &out.join(MANIFEST), "1.4.1");
        assert_eq!((trained.rows, trained.rows_excluded), (purged.after.rows, 0));
        assert_eq!(trained.dataset_revision, purged.after.revision);
        let good = harm(&model(stage.out.path(), "1.4.1"));
        assert!(good < 0.02, "seed {seed}: {good}");
        println!(
            "seed {seed}: {} of {} rows left out, harm {bad:.3} and {good:.3}",
            purged.rows_left_out, purged.before.rows
        );
    }
}

#[tokio::test]
async fn a_set_in_which_nothing_is_wrong_accuses_nobody() {
    for seed in 1..=20 {
        let stage = Stage::new(seed, None);
        let report = asked(&order(&stage.manifest(), &Answers::of(&stage.good, "1.3.2"))).await.unwrap();
        assert_eq!(report.suspects, [], "seed {seed}");
    }
}

#[tokio::test]
async fn a_part_of_the_rows_is_enough_and_a_column_with_scores_changes_nothing() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let all = stage.manifest();
    let answers = Answers::of(&stage.good, "1.3.2");
    let some = SuspectsOrder { rows_max: 1_500, ..order(&all, &answers) };
    let report = asked(&some).await.unwrap();
    assert_eq!((report.asked.rows, report.rows), (1_500, ROWS));
    assert_eq!(report.suspects.len(), 1);
    assert_eq!(report.suspects[0].exclusion, Some(source("chargeback-import")));

    // A column that says that the version agrees with everything.
    let file = stage.out.path().join("data/part-0001.csv");
    let text = fs::read_to_string(&file).unwrap();
    let scored: String = text
        .lines()
        .enumerate()
        .map(|(at, line)| format!("{line},{}\n", if at == 0 { "score" } else { "1.0" }))
        .collect();
    fs::write(&file, &scored).unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(stage.path()).unwrap()).unwrap();
    let sha256 = ripcord_core::digest::Digest::of(&scored).to_string();
    let revision = ripcord_core::digest::Digest::of(format!("{sha256}  part-0001.csv\n"));
    manifest["files"][0]["sha256"] = json!(sha256);
    manifest["files"][0]["bytes"] = json!(scored.len());
    manifest["revision"] = json!(format!("sha256:{revision}"));
    fs::write(stage.path(), manifest.to_string()).unwrap();
    let with_scores = stage.manifest();
    let again = asked(&SuspectsOrder { rows_max: 1_500, ..order(&with_scores, &answers) }).await.unwrap();
    assert_eq!(again.suspects, report.suspects);
}

#[tokio::test]
async fn answers_that_do_not_fit_are_refused() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let manifest = stage.manifest();
    let answers = Answers::of(&stage.good, "1.3.2");
    let order = || order(&manifest, &answers);
    let other = VersionName::new("1.4.0").unwrap();
    let refused = [
        (
            SuspectsOrder { version: Some(&other), ..order() },
            "version `1.3.2` answers where `1.4.0` was to be asked",
        ),
        (
            SuspectsOrder { judge: Judge::Class([].into()), ..order() },
            "no answer agrees with any label: `0`, `1` is expected, and `approve`, `decline` is answered",
        ),
        (
            SuspectsOrder { judge: Judge::Class([("1".into(), "decline".into())].into()), ..order() },
            "nobody said what the version answers where the label is `0`",
        ),
        (
            SuspectsOrder { judge: Judge::Within(0.1), ..order() },
            "the answers are names, and numbers are to be compared",
        ),
        (SuspectsOrder { rows_max: 0, ..order() }, "a version is asked about 1 to 1000000 rows"),
        (SuspectsOrder { batch_rows: 0, ..order() }, "a request has 1 to 4096 rows"),
    ];
    for (order, expected) in refused {
        let said = said(asked(&order).await);
        assert!(said.contains(expected), "`{said}` instead of `{expected}`");
    }
}

/// Over HTTP, at a server that serves the bad version and holds the good one beside it; trials leave no trace there.
#[tokio::test]
async fn a_version_is_asked_by_its_name_while_another_one_is_live() {
    let stage = Stage::new(7, Some(POISON_FROM));
    train(stage.out.path(), &stage.path(), "1.4.0");
    let live = stage.out.path().join("models/fraud");
    let beside = live.join("1.3.2");
    fs::create_dir_all(&beside).unwrap();
    for (version, to) in [("1.4.0", &live), ("1.3.2", &beside)] {
        for entry in fs::read_dir(Layout::new(stage.out.path()).files(version)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    let log = stage.out.path().join("requests.jsonl");
    let server = Server::start(serve::Args {
        models: stage.out.path().join("models"),
        listen: "127.0.0.1:0".to_owned(),
        log: log.clone(),
        decision_config: None,
        mode_file: None,
        latency_ms: 0,
    })
    .await
    .unwrap();
    let shared = Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) };
    let endpoint = || {
        let config: OpenInferenceEndpointConfig =
            serde_json::from_value(json!({ "url": server.url(), "model": "fraud", "output": "decision" }))
                .unwrap();
        OpenInferenceEndpoint::new(config, None, &shared).unwrap()
    };
    let manifest = stage.manifest();
    let version = VersionName::new("1.3.2").unwrap();
    let live = endpoint();
    let said = said(asked(&SuspectsOrder { version: Some(&version), ..order(&manifest, &live) }).await);
    assert!(said.contains("version `1.4.0` answers where `1.3.2` was to be asked"), "{said}");

    let named = endpoint().of_version(&version).unwrap();
    let report =
        asked(&SuspectsOrder { version: Some(&version), ..order(&manifest, &*named) }).await.unwrap();
    assert_eq!(report.answered_by, Some(version));
    assert_eq!(report.suspects.len(), 1);
    assert_eq!(report.suspects[0].exclusion, Some(source("chargeback-import")));
    server.stop().await.unwrap();
    assert_eq!(fs::read(&log).unwrap(), b"", "trials leave no trace");
}

/// The pipeline takes the exclusion as the predicate has it.
#[test]
fn the_example_retrains_with_the_predicate_that_is_written_for_it() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let manifest = stage.manifest();
    let exclude = [source("chargeback-import")];
    let json = ripcord_data::Predicate::new(&manifest.manifest, &exclude).unwrap().json().unwrap();
    let path = stage.out.path().join("exclusion.json");
    fs::write(&path, json).unwrap();
    let args = Args {
        data: stage.path(),
        exclude: Some(path),
        out: stage.out.path().to_owned(),
        version: "1.4.1".to_owned(),
        replaces: None,
        run: None,
        at: None,
        json: true,
    };
    let trained = retrain(&args).unwrap();
    let out = stage.out.path().join("purged");
    let purged = purge(
        &PurgeOrder { manifest: &manifest, exclude: &exclude, out: &out, key: None, at: NOW },
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(trained.rows_excluded, purged.rows_left_out);
    assert!(harm(&model(stage.out.path(), "1.4.1")) < 0.02);
}

/// A set of several files, one of which has no bad row: the manifest refers to it, and the example follows.
#[test]
fn the_example_trains_on_files_that_a_purged_manifest_refers_to() {
    let stage = Stage::new(7, Some(POISON_FROM));
    let folder = stage.out.path().join("data");
    let text = fs::read_to_string(folder.join("part-0001.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let of = |import: bool| -> String {
        let rows = rows.lines().filter(|row| row.contains("chargeback-import") == import);
        std::iter::once(header).chain(rows).flat_map(|line| [line, "\n"]).collect()
    };
    let mut manifest: Value = serde_json::from_slice(&fs::read(stage.path()).unwrap()).unwrap();
    let mut lines = String::new();
    let mut files = Vec::new();
    for (name, text) in [("bad.csv", of(true)), ("good.csv", of(false))] {
        let sha256 = ripcord_core::digest::Digest::of(&text).to_string();
        lines += &format!("{sha256}  {name}\n");
        files.push(
            json!({ "path": name, "sha256": sha256, "bytes": text.len(), "rows": text.lines().count() - 1 }),
        );
        fs::write(folder.join(name), text).unwrap();
    }
    manifest["files"] = json!(files);
    manifest["revision"] = json!(format!("sha256:{}", ripcord_core::digest::Digest::of(lines)));
    fs::write(stage.path(), manifest.to_string()).unwrap();
    let out = stage.out.path().join("purged");
    let exclude = [source("chargeback-import")];
    let order = PurgeOrder { manifest: &stage.manifest(), exclude: &exclude, out: &out, key: None, at: NOW };
    let purged = purge(&order, &mut |_| {}).unwrap();
    assert_eq!((purged.files_written, purged.files_referred_to, purged.files_left_out), (0, 1, 1));
    let trained = train(stage.out.path(), &out.join(MANIFEST), "1.4.1");
    assert_eq!(trained.rows, purged.after.rows);
    assert!(harm(&model(stage.out.path(), "1.4.1")) < 0.02);
}
