//! What every registry must do.

use std::sync::Arc;

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::{VersionTarget, artefact_digest};
use ripcord_ports::registry::{Mark, Staged};
use ripcord_ports::{Applied, ErrorKind, PortError, Registry};

use super::request;
use super::rule::holds;
use crate::artefact;

/// What the registry under test holds.
#[derive(Debug, Clone)]
pub struct Expected {
    /// All versions, newest first, with the digests of their artefacts. Two at least, all of which can be fetched.
    pub newest_first: Vec<VersionTarget>,
    /// Whether the registry has a place for marks.
    pub marks: bool,
    /// Whether the registry has a name for the version in production.
    pub promotes: bool,
}

/// Checks the registry. `empty_dir` gives a new empty folder at each call; its folder must be writable as long as the handle lives.
pub async fn conforms(
    registry: &dyn Registry,
    expected: &Expected,
    empty_dir: &(dyn Fn() -> Arc<Dir> + Sync),
) {
    assert!(expected.newest_first.len() >= 2, "the suite needs two versions at least");
    holds("lists-newest-first", lists(registry, expected)).await;
    holds("describes-as-listed", describes(registry, expected)).await;
    holds("fetches-what-is-pinned", fetches(registry, expected, empty_dir)).await;
    holds("unknown-is-not-found", refuses_unknown_versions(registry, empty_dir)).await;
    holds("marks-repeat", marks(registry, expected)).await;
    holds("says-what-moves-the-name", async {
        let [one, two, ..] = expected.newest_first.as_slice() else { return };
        if expected.promotes {
            let of = || registry.request_to_promote(&one.version);
            request::says(&of, registry.request_to_promote(&two.version), None);
        } else {
            assert!(registry.request_to_promote(&one.version).is_none(), "there is no name to be moved");
        }
        assert_eq!(registry.production_name().is_some(), expected.promotes, "what is moved has a name");
    })
    .await;
    holds("promotes-from-what-is-expected", promotes(registry, expected)).await;
    holds("tells-its-other-names", names(registry, expected)).await;
}

async fn lists(registry: &dyn Registry, expected: &Expected) {
    let listed = registry.versions(u32::MAX).await.unwrap_or_else(|error| panic!("versions: {error}"));
    let names: Vec<_> = listed.iter().map(|listed| &listed.version.version).collect();
    let wanted: Vec<_> = expected.newest_first.iter().map(|target| &target.version).collect();
    assert_eq!(names, wanted, "versions are listed newest first");
    for pair in listed.windows(2) {
        assert!(pair[0].created_at >= pair[1].created_at, "`created_at` agrees with the order");
    }
    for (listed, wanted) in listed.iter().zip(&expected.newest_first) {
        assert_eq!(listed.broken, None, "`{}` can be fetched", wanted.version);
        assert!(listed.tags.is_sorted(), "tags are sorted by name");
        if listed.version.digest.is_some() {
            assert_eq!(listed.version.digest, wanted.digest, "a digest that is listed is the artefact's");
        }
    }
    let one = registry.versions(1).await.unwrap_or_else(|error| panic!("versions: {error}"));
    assert_eq!(one, listed[..1], "a limit keeps the newest");
}

async fn describes(registry: &dyn Registry, expected: &Expected) {
    let listed = registry.versions(u32::MAX).await.unwrap_or_else(|error| panic!("versions: {error}"));
    for (target, listed) in expected.newest_first.iter().zip(&listed) {
        let name = &target.version;
        let described =
            registry.version(name).await.unwrap_or_else(|error| panic!("version `{name}`: {error}"));
        assert_eq!(described, *listed, "a version is described as it is listed");
        match registry.lineage(name).await {
            Ok(lineage) => {
                let first = lineage.datasets.first();
                assert_eq!(
                    first.map(|set| &set.name),
                    lineage.dataset.as_ref(),
                    "the training data set of `{name}` is the first of its data sets"
                );
            }
            Err(error) => assert_eq!(
                error.kind,
                ErrorKind::Unsupported,
                "the lineage of `{name}` is told, or the registry says that it knows none: {error}"
            ),
        }
        let manifest = || async {
            registry.manifest(name).await.unwrap_or_else(|error| panic!("manifest of `{name}`: {error}"))
        };
        let bytes = manifest().await;
        assert!(!bytes.is_empty(), "a manifest is evidence and says something");
        assert_eq!(bytes, manifest().await, "a manifest is the same each time");
    }
}

async fn fetches(registry: &dyn Registry, expected: &Expected, empty_dir: &(dyn Fn() -> Arc<Dir> + Sync)) {
    for target in &expected.newest_first {
        let pinned = fetch(registry, target, empty_dir()).await;
        let loose = VersionTarget { version: target.version.clone(), digest: None };
        let unpinned = fetch(registry, &loose, empty_dir()).await;
        assert_eq!(pinned.digest, unpinned.digest, "the same version is the same artefact");
        assert_eq!(target.digest.unwrap_or(pinned.digest), pinned.digest, "the artefact is the expected one");

        let other =
            VersionTarget { version: target.version.clone(), digest: Some(Digest::of("another artefact")) };
        let error = refused(registry.fetch(&other, empty_dir()).await, "a fetch with another digest");
        assert_eq!(error.kind, ErrorKind::WrongDigest, "another digest is refused as such: {error}");
    }
}

async fn fetch(registry: &dyn Registry, target: &VersionTarget, into: Arc<Dir>) -> Staged {
    let staged =
        registry.fetch(target, into).await.unwrap_or_else(|error| panic!("fetch of {target}: {error}"));
    let found = artefact::hash(&staged.dir, "the staged artefact").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        staged.files, found,
        "what is staged is listed, sorted, with its digests, and nothing else lies there"
    );
    assert_eq!(staged.digest, artefact_digest(&found), "the digest is the one of the files");
    staged
}

async fn refuses_unknown_versions(registry: &dyn Registry, empty_dir: &(dyn Fn() -> Arc<Dir> + Sync)) {
    let Ok(name) = VersionName::new("no-such-version-0.0.0") else { panic!("the suite's own name is valid") };
    let target = VersionTarget { version: name.clone(), digest: None };
    let errors = [
        refused(registry.version(&name).await, "an unknown version"),
        refused(registry.manifest(&name).await, "the manifest of an unknown version"),
        refused(registry.fetch(&target, empty_dir()).await, "a fetch of an unknown version"),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::NotFound, "an unknown version is not found: {error}");
        assert!(error.to_string().contains(name.as_str()), "the error names it: {error}");
    }
    let error = refused(registry.lineage(&name).await, "the lineage of an unknown version");
    assert!(
        matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unsupported),
        "the lineage of an unknown version is not found: {error}"
    );
}

async fn marks(registry: &dyn Registry, expected: &Expected) {
    let name = &expected.newest_first[0].version;
    let held = Mark::Held { incident: "conformance:1" };
    if !expected.marks {
        let error = refused(registry.mark(name, held).await, "a mark");
        assert_eq!(error.kind, ErrorKind::Unsupported, "a registry without marks says so: {error}");
        return;
    }
    let aliases = async || {
        let told = registry.version(name).await.unwrap_or_else(|error| panic!("version `{name}`: {error}"));
        told.aliases
    };
    let before = aliases().await;
    for mark in [held, held, Mark::Lifted, Mark::Lifted] {
        registry
            .mark(name, mark)
            .await
            .unwrap_or_else(|error| panic!("mark of `{name}`, repeats included: {error}"));
        assert_eq!(aliases().await, before, "a mark is no name that somebody gave the version");
    }
    let listed = registry.version(name).await.unwrap_or_else(|error| panic!("version `{name}`: {error}"));
    assert_eq!(listed.broken, None, "a mark does not break a version");
}

/// After a promotion, so that the production name points somewhere.
async fn names(registry: &dyn Registry, expected: &Expected) {
    let told = match registry.aliases().await {
        Err(error) if error.kind == ErrorKind::Unsupported => return,
        told => told.unwrap_or_else(|error| panic!("aliases: {error}")),
    };
    for alias in told {
        assert_ne!(Some(alias.name.as_str()), registry.production_name(), "the production name is no other");
        for version in &alias.versions {
            let known = expected.newest_first.iter().any(|target| target.version == *version);
            assert!(known, "`{}` points at `{version}`, which is a version of the registry", alias.name);
        }
    }
}

async fn promotes(registry: &dyn Registry, expected: &Expected) {
    let (new, old) = (&expected.newest_first[0].version, &expected.newest_first[1].version);
    if !expected.promotes {
        let errors = [
            refused(registry.promoted().await, "a question"),
            refused(registry.promote(new, None).await, "a promotion"),
        ];
        for error in errors {
            assert_eq!(error.kind, ErrorKind::Unsupported, "a registry that cannot promote says so: {error}");
        }
        return;
    }
    let now = async || registry.promoted().await.unwrap_or_else(|error| panic!("promoted: {error}"));
    let promote = async |version, expecting| {
        let expecting: Option<VersionName> = expecting;
        registry
            .promote(version, expecting.as_ref())
            .await
            .unwrap_or_else(|error| panic!("promote `{version}`: {error}"));
        assert_eq!(now().await.as_ref(), Some(version), "what was promoted is promoted");
    };
    promote(new, now().await).await;
    promote(old, Some(new.clone())).await;
    promote(old, Some(new.clone())).await;
    let error = refused(registry.promote(new, Some(new)).await, "a promotion that expects another");
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    let error = refused(registry.promote(new, None).await, "a promotion that expects none");
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    let Ok(unknown) = VersionName::new("no-such-version-0.0.0") else {
        panic!("the suite's own name is valid")
    };
    let error = refused(registry.promote(&unknown, Some(old)).await, "a promotion of an unknown version");
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    assert_eq!(now().await.as_ref(), Some(old), "a refusal changes nothing");
    promote(new, Some(old.clone())).await;
}

pub(super) fn refused<T>(result: Result<T, PortError>, what: &str) -> PortError {
    match result {
        Ok(_) => panic!("{what} must be refused"),
        Err(error) => error,
    }
}
