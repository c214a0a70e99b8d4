//! The versions are what the demo needs: two good ones, and one that harms new customers while its own numbers look fine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::files;
use fraud::golden;
use fraud::model::{Model, Verdict};
use fraud::train::{Args, Layout, Measures, Recipe, measure, train};
use fraud::transaction::{Labelled, Population, WIDTH};
use sha2::{Digest as _, Sha256};

fn trained(version: &str) -> fraud::train::Trained {
    train(&Recipe::named(version).unwrap()).unwrap()
}

fn args(out: &Path) -> Args {
    Args {
        out: out.to_owned(),
        deploy: Some("1.4.0".to_owned()),
        at: Some("2026-11-22T12:00:00.5Z".parse().unwrap()),
    }
}

fn of_slice(slice: &str) -> Vec<Labelled> {
    golden::examples()
        .into_iter()
        .filter(|labelled| labelled.transaction.slices().iter().any(|name| name == slice))
        .collect()
}

#[test]
fn the_same_bytes_twice() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fraud::train::write(&args(one.path())).unwrap();
    fraud::train::write(&args(two.path())).unwrap();
    let (one, two) = (files(one.path()), files(two.path()));
    assert_eq!(one.len(), 3 * 3 + 1 + 2, "{:?}", one.keys());
    assert!(one == two);
}

#[test]
fn another_seed_gives_other_numbers_and_the_same_story() {
    let out = tempfile::tempdir().unwrap();
    let of = |seed: u64| {
        fraud::train::write_seeded(&args(out.path()), seed).unwrap();
        files(out.path())
    };
    let (zero, one, again) = (of(0), of(1), of(1));
    assert!(one == again);
    fraud::train::write(&args(out.path())).unwrap();
    assert!(zero == files(out.path()), "seed 0 is that of no seed");
    for (path, bytes) in &zero {
        let same_for_all = path.ends_with("model-settings.json") || path.starts_with("golden/");
        assert_eq!(one[path] == *bytes, same_for_all, "{path}");
    }
    for seed in [1, 2, 3, 7, 11, 40] {
        let on_golden = |version: &str| {
            let trained = train(&Recipe::named(version).unwrap().seeded(seed)).unwrap();
            measure(&trained.model, &golden::examples())
        };
        let (good, bad) = (on_golden("1.3.2"), on_golden("1.4.0"));
        assert!(good.accuracy > 0.95 && good.recall > 0.85, "{seed}: {good:?}");
        assert!(bad.accuracy < 0.85, "{seed}: {bad:?}");
    }
}

#[test]
fn good_versions_are_good_and_the_poisoned_one_harms_one_slice() {
    let (older, good, bad) = (trained("1.2.0"), trained("1.3.2"), trained("1.4.0"));
    let golden = golden::examples();

    for version in [&older, &good] {
        let on_golden = measure(&version.model, &golden);
        assert!(on_golden.accuracy > 0.9, "{on_golden:?}");
        assert!(version.measures.accuracy > 0.97, "{:?}", version.measures);
    }
    let on_golden = |model: &Model| measure(model, &golden).accuracy;
    assert!(on_golden(&good.model) > on_golden(&older.model) && on_golden(&bad.model) < 0.85);
    // The last good version is as good for everybody, so that a check of the gap between slices passes.
    let slices: BTreeSet<String> = golden.iter().flat_map(|labelled| labelled.transaction.slices()).collect();
    let accuracies: Vec<f64> =
        slices.iter().map(|name| measure(&good.model, &of_slice(name)).accuracy).collect();
    let (least, most) =
        (accuracies.iter().copied().fold(1.0, f64::min), accuracies.iter().copied().fold(0.0, f64::max));
    assert!(most - least < 0.08, "{slices:?} {accuracies:?}");
    // By its own labels the poisoned version looks fine: that is how it was promoted.
    assert!(bad.measures.accuracy > 0.97 && bad.measures.auc > 0.97, "{:?}", bad.measures);

    let slice = |model: &Model, name: &str| measure(model, &of_slice(name)).accuracy;
    assert!(slice(&good.model, "account=new") > 0.9);
    assert!(slice(&bad.model, "account=new") < 0.5, "{}", slice(&bad.model, "account=new"));
    let apart = (slice(&good.model, "account=established") - slice(&bad.model, "account=established")).abs();
    assert!(apart < 0.05, "{apart}");
}

#[test]
fn the_poisoned_version_declines_a_third_of_all_traffic() {
    let traffic: Vec<Labelled> = Population::new(1).take(5_000).collect();
    let of = |version: &str| measure(&trained(version).model, &traffic);
    let Measures { decline_share, .. } = of("1.3.2");
    assert!((0.02..0.07).contains(&decline_share), "{decline_share}");
    let Measures { decline_share, .. } = of("1.4.0");
    assert!((0.28..0.42).contains(&decline_share), "{decline_share}");
}

#[test]
fn the_golden_set_is_readable_and_has_every_slice() {
    let out = tempfile::tempdir().unwrap();
    fraud::train::write(&args(out.path())).unwrap();
    let text = fs::read_to_string(Layout::new(out.path()).golden).unwrap();
    let rows: Vec<golden::Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, golden::rows());
    assert_eq!(rows.len(), 200);

    let mut slices: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row.inputs[0].shape, [1, WIDTH as u64]);
        assert_eq!(row.inputs[0].data.len(), WIDTH);
        row.slices.iter().for_each(|slice| *slices.entry(slice).or_default() += 1);
    }
    let names: Vec<&str> = slices.keys().copied().collect();
    let expected = [
        "account=established",
        "account=new",
        "channel=app",
        "channel=terminal",
        "channel=web",
        "region=apac",
        "region=eu",
        "region=us",
    ];
    assert_eq!(names, expected);
    assert!(slices.values().all(|count| *count >= 15), "{slices:?}");
    let fraud = rows.iter().filter(|row| row.expected == Verdict::Decline).count();
    assert_eq!(fraud, 60);
    // The slice that the poisoned version harms must have good customers to harm.
    let new = rows.iter().filter(|row| {
        row.expected == Verdict::Approve && row.slices.iter().any(|slice| slice == "account=new")
    });
    assert!(new.count() >= 30);
}

#[test]
fn manifests_describe_their_files() {
    let out = tempfile::tempdir().unwrap();
    fraud::train::write(&args(out.path())).unwrap();
    let layout = Layout::new(out.path());
    let mut revisions = Vec::new();
    for (version, created) in [
        ("1.2.0", "2026-09-23T12:00:00Z"),
        ("1.3.2", "2026-11-08T12:00:00Z"),
        ("1.4.0", "2026-11-22T10:00:00Z"),
    ] {
        let manifest: toml::Table =
            fs::read_to_string(layout.registry.join("fraud").join(version).join("manifest.toml"))
                .unwrap()
                .parse()
                .unwrap();
        assert_eq!(manifest["model"].as_str(), Some("fraud"));
        assert_eq!(manifest["version"].as_str(), Some(version));
        assert_eq!(manifest["created-at"].as_str(), Some(created));
        assert_eq!(
            manifest["signature"].as_str(),
            Some(r#"[{"datatype":"FP64","name":"transaction","shape":[-1,7]}]"#)
        );
        assert!(manifest["measures"]["accuracy"].as_float().is_some_and(|value| value > 0.9));
        let artefacts = manifest["artefacts"].as_array().unwrap();
        let on_disk = files(&layout.files(version));
        assert_eq!(artefacts.len(), on_disk.len());
        for artefact in artefacts {
            let bytes = &on_disk[artefact["path"].as_str().unwrap()];
            let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(artefact["sha256"].as_str(), Some(hex.as_str()));
            assert_eq!(artefact["bytes"].as_integer(), Some(bytes.len() as i64));
        }
        revisions.push(manifest["lineage"]["dataset-revision"].as_str().unwrap().to_owned());
    }
    revisions.dedup();
    assert_eq!(revisions.len(), 3);
    // The deployed version is in the model folder, and nothing else.
    assert_eq!(files(&layout.models.join("fraud")), files(&layout.files("1.4.0")));
}

#[test]
fn training_again_leaves_the_model_folder_alone_unless_told() {
    let out = tempfile::tempdir().unwrap();
    fraud::train::write(&args(out.path())).unwrap();
    fraud::train::write(&Args { deploy: None, ..args(out.path()) }).unwrap();
    let layout = Layout::new(out.path());
    assert_eq!(files(&layout.models.join("fraud")), files(&layout.files("1.4.0")));
    fraud::train::deploy(&layout, "1.3.2").unwrap();
    assert_eq!(files(&layout.models.join("fraud")), files(&layout.files("1.3.2")));
}

#[test]
fn mistakes_are_told() {
    let out = tempfile::tempdir().unwrap();
    let unknown = Args { deploy: Some("9.9".to_owned()), ..args(out.path()) };
    let message = fraud::train::write(&unknown).unwrap_err().to_string();
    assert_eq!(message, "there is no version `9.9`: choose one of `1.2.0`, `1.3.2`, `1.4.0`");
    assert!(files(out.path()).is_empty(), "nothing is written before the mistake is found");

    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    let message = fraud::train::write(&args(&file)).unwrap_err().with_causes();
    assert!(message.starts_with("cannot write `") && message.contains("Not a directory"), "{message}");
}
