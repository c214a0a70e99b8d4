//! What every registry that takes versions in must do.

use std::sync::Arc;

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, VersionTarget, artefact_digest};
use ripcord_ports::registry::{NewVersion, RegistryVersion, Staged};
use ripcord_ports::{Applied, ErrorKind, PortError, Registry};

use super::deployer_faults::{faults, happens};
use super::registry::refused;
use super::rule::holds;
use crate::artefact;
use crate::fault_proxy::{Fault, FaultProxy, Which};

/// Who chooses what a version is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Whoever registers it.
    Chosen,
    /// The registry, which counts.
    Counted,
}

/// The registry under test. It holds at least one version with a lineage; versions are added to it.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "references to traits without it")]
pub struct Registering<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// Who names versions.
    pub naming: Naming,
    /// Gives a new empty folder at each call.
    pub empty_dir: &'a (dyn Fn() -> Arc<Dir> + Sync),
}

/// Checks that versions can be registered.
pub async fn conforms(registering: Registering<'_>) {
    holds("registers-once-by-key", registering.once()).await;
    holds("registers-whole", registering.whole()).await;
    holds("a-taken-name-is-a-conflict", registering.taken_name()).await;
    holds("registers-nothing-damaged", registering.damaged()).await;
}

/// Checks the same while the requests of each kind in `requests` fail, the one that makes the version among them. The registry reaches its system through `proxy`.
pub async fn conforms_in_faults(registering: Registering<'_>, proxy: &FaultProxy, requests: &[Which]) {
    holds("registers-once-in-faults", async {
        for (number, which) in requests.iter().enumerate() {
            for (name, fault) in faults() {
                registering.in_fault(proxy, which, &fault, &format!("{number}-{name}")).await;
            }
        }
    })
    .await;
    proxy.calm();
}

/// A name that holds only what a key may.
fn key_of(what: &str) -> String {
    let digest = Digest::tagged("ripcord conformance key", &[what.as_bytes()]);
    format!("conformance-{}", digest.short())
}

impl Registering<'_> {
    async fn listed(&self) -> Vec<RegistryVersion> {
        self.registry.versions(u32::MAX).await.unwrap_or_else(|error| panic!("versions: {error}"))
    }

    fn staged(&self, content: &str) -> Staged {
        let dir = (self.empty_dir)();
        let written = dir
            .write("model.bin", content)
            .and_then(|()| dir.create_dir_all("more files/of it"))
            .and_then(|()| dir.write("more files/of it/0.bin", vec![7; 300_000]))
            .and_then(|()| dir.write("empty", ""));
        written.unwrap_or_else(|error| panic!("the suite cannot write: {error}"));
        let files = artefact::hash(&dir, "the suite's artefact").unwrap_or_else(|error| panic!("{error}"));
        let digest = artefact_digest(&files);
        Staged { dir, files, digest }
    }

    fn new_version(&self, what: &str, content: &str) -> NewVersion {
        let parameters = [("note", "a \"b\"\n\\ c é"), ("rows-excluded", "12")];
        NewVersion {
            key: key_of(what),
            name: VersionName::new(key_of(what)).ok(),
            artefact: self.staged(content),
            signature: Some("[]".to_owned()),
            lineage: Lineage {
                run: Some("run-18".to_owned()),
                parameters: parameters.map(|(name, value)| Label::new(name, value)).to_vec(),
                dataset: Some("transactions".to_owned()),
                dataset_revision: Some("8".to_owned()),
                datasets: vec![Dataset {
                    name: "transactions".to_owned(),
                    revision: Some("8".to_owned()),
                    context: Some("training".to_owned()),
                }],
                ..Lineage::default()
            },
            measures: vec![
                Measure { name: "accuracy".to_owned(), value: 0.97 },
                Measure { name: "loss".to_owned(), value: f64::NAN },
            ],
        }
    }

    async fn register(&self, new: &NewVersion) -> VersionTarget {
        let registered = self.registry.register(new).await;
        registered.unwrap_or_else(|error| panic!("register `{}`: {error}", new.key))
    }

    async fn once(&self) {
        let before = self.listed().await.len();
        let new = self.new_version("once", "a");
        let registered = self.register(&new).await;
        assert_eq!(self.register(&new).await, registered, "the same key is the same version");
        // A run that was made again has other bytes.
        let other = NewVersion { artefact: self.staged("b"), ..new };
        let again = self.register(&other).await;
        assert_eq!(again, registered, "the version that is there keeps its files");
        assert_eq!(self.listed().await.len(), before + 1, "one key is one version");
    }

    async fn whole(&self) {
        let production = self.registry.promoted().await.ok();
        let new = self.new_version("whole", "whole");
        let registered = self.register(&new).await;
        if self.naming == Naming::Chosen {
            assert_eq!(Some(&registered.version), new.name.as_ref(), "it is called as it was asked for");
        }
        assert_eq!(registered.digest, Some(new.artefact.digest), "it is told with the digest of its files");
        let name = &registered.version;
        let told = self.registry.version(name).await.unwrap_or_else(|error| panic!("`{name}`: {error}"));
        assert_eq!((&told.broken, told.aliases.len()), (&None, 0), "it can be fetched, and has no alias");
        assert!(self.listed().await.contains(&told), "it is listed as it is described");
        let measures: Vec<_> = told.measures.iter().map(|told| (told.name.as_str(), told.value)).collect();
        assert_eq!(measures, [("accuracy", 0.97)], "measures that are numbers are kept");
        let fetched = self.registry.fetch(&registered, (self.empty_dir)()).await;
        let fetched = fetched.unwrap_or_else(|error| panic!("fetch of `{name}`: {error}"));
        assert_eq!(sorted(fetched.files), sorted(new.artefact.files), "it has the files that it was made of");
        let lineage = self.registry.lineage(name).await;
        let lineage = lineage.unwrap_or_else(|error| panic!("lineage of `{name}`: {error}"));
        let wanted = Lineage { source: lineage.source.clone(), ..new.lineage };
        assert_eq!(lineage, wanted, "what it was made of is kept");
        assert_eq!(self.registry.promoted().await.ok(), production, "nothing was put in production");
    }

    async fn taken_name(&self) {
        let first = self.register(&self.new_version("first of a name", "1")).await;
        let other =
            NewVersion { name: Some(first.version.clone()), ..self.new_version("second of a name", "2") };
        let before = self.listed().await;
        match self.naming {
            Naming::Counted => assert_ne!(self.register(&other).await.version, first.version),
            Naming::Chosen => {
                let error = refused(self.registry.register(&other).await, "a name that is taken");
                assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
                assert!(error.to_string().contains(first.version.as_str()), "it is named: {error}");
                assert_eq!(self.listed().await, before, "nothing was changed");
            }
        }
    }

    async fn damaged(&self) {
        let before = self.listed().await;
        let mut new = self.new_version("damaged", "damaged");
        if let Some(file) = new.artefact.files.iter_mut().find(|file| file.path == "model.bin") {
            file.sha256 = Digest::of("another content");
        }
        new.artefact.digest = artefact_digest(&new.artefact.files);
        let error = refused(self.registry.register(&new).await, "a file that is not as it was hashed");
        assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
        assert_eq!(self.listed().await, before, "a damaged version was registered");
    }

    async fn in_fault(&self, proxy: &FaultProxy, which: &Which, fault: &Fault, name: &str) {
        proxy.calm();
        let new = self.new_version(name, name);
        let before = self.listed().await.len();
        proxy.calm();
        proxy.order(which.clone(), fault.clone(), 1);
        let result = self.registry.register(&new).await;
        assert!(proxy.count(which) > 0, "{name}: the suite was told of requests that are not made");
        proxy.calm();
        let made = self.listed().await.len() - before;
        // A network that asks twice makes two where the registry counts, and neither of them is wrong.
        let most = if matches!(fault, Fault::Twice) && happens(fault) { 2 } else { 1 };
        match &result {
            Ok(_) => assert!((1..=most).contains(&made), "{name}: {made} versions were made"),
            Err(PortError { applied: Applied::No, .. }) => {
                assert_eq!(made, 0, "{name}: it is said to be as before")
            }
            Err(_) => assert!(made <= most, "{name}: {made} versions were made"),
        }
        let registered = self.register(&new).await;
        if let Ok(told) = result {
            assert_eq!(registered, told, "{name}: the same key is the same version");
        }
        let made = self.listed().await.len() - before;
        assert!((1..=most).contains(&made), "{name}: {made} versions of one key");
        let fetched = self.registry.fetch(&registered, (self.empty_dir)()).await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{name}: fetch: {error}"));
        assert_eq!(fetched.digest, new.artefact.digest, "{name}: it has other files");
    }
}

fn sorted(mut files: Vec<ArtefactFile>) -> Vec<ArtefactFile> {
    files.sort();
    files
}
