//! What every registry must do while the network or its system fails: tell no untruth, and make no change twice.

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, RegistryVersion};
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};

use super::registry::{Expected, refused};
use super::rule::holds;
use crate::fault_proxy::{Canned, Fault, FaultProxy, Which};

/// How an adapter takes a fault that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steadiness {
    /// It tries again by itself, and the call succeeds.
    Retries,
    /// It may leave trying again to whoever called.
    MayReport,
}

/// All that the registry tells without changing anything.
#[derive(Debug, PartialEq)]
struct Facts {
    versions: Vec<RegistryVersion>,
    version: RegistryVersion,
    lineage: Option<Lineage>,
    manifest: Vec<u8>,
    staged: Vec<ripcord_core::target::ArtefactFile>,
    promoted: Option<VersionName>,
}

/// Checks the registry, which must reach its system through `proxy`. Its marks and what is promoted are changed.
pub async fn conforms_in_faults(
    registry: &dyn Registry,
    proxy: &FaultProxy,
    expected: &Expected,
    steadiness: Steadiness,
    empty_dir: &(dyn Fn() -> Arc<Dir> + Sync),
) {
    proxy.calm();
    let truth =
        facts(registry, expected, empty_dir).await.unwrap_or_else(|error| panic!("without faults: {error}"));
    holds("reads-tell-the-truth-in-faults", async {
        for (name, fault) in passing() {
            proxy.calm();
            proxy.order(Which::Reads, fault, 1);
            match facts(registry, expected, empty_dir).await {
                Ok(told) => assert_eq!(told, truth, "after {name} other facts are told"),
                Err(error) => {
                    assert_eq!(error.applied, Applied::No, "{name}: reading changes nothing: {error}");
                    assert_eq!(steadiness, Steadiness::MayReport, "{name} was not tried again: {error}");
                    assert_ne!(
                        error.retry,
                        Retry::No,
                        "{name} passes, and the error says it does not: {error}"
                    );
                }
            }
        }
    })
    .await;
    holds("a-page-is-no-fact", wrong_content(registry, proxy, expected, &truth, empty_dir)).await;
    if expected.promotes {
        holds("a-promotion-is-sent-once", promotes(registry, proxy, expected)).await;
    }
    if expected.marks {
        holds("marks-repeat-in-faults", marks(registry, proxy, expected)).await;
    }
    proxy.calm();
}

fn passing() -> Vec<(&'static str, Fault)> {
    vec![
        ("a delay", Fault::Delay(Duration::from_millis(50))),
        ("a connection that broke before the question", Fault::Unsent),
        ("a lost answer", Fault::AnswerLost),
        ("an answer that was cut at its beginning", Fault::AnswerCut(0)),
        ("an answer that was cut half-way", Fault::AnswerCut(40)),
        ("a 429", Fault::Instead(Canned::later(429, 0))),
        ("a 503", Fault::Instead(Canned::later(503, 0))),
        ("a 500", Fault::Instead(Canned::failure(500))),
        ("a 502 after the answer", Fault::InPlaceOf(Canned::failure(502))),
        ("a repeated question", Fault::Twice),
    ]
}

async fn facts(
    registry: &dyn Registry,
    expected: &Expected,
    empty_dir: &(dyn Fn() -> Arc<Dir> + Sync),
) -> Result<Facts, PortError> {
    let newest = &expected.newest_first[0];
    let promoted = if expected.promotes { registry.promoted().await? } else { None };
    Ok(Facts {
        versions: registry.versions(u32::MAX).await?,
        version: registry.version(&newest.version).await?,
        lineage: match registry.lineage(&newest.version).await {
            Ok(lineage) => Some(lineage),
            Err(error) if error.kind == ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        },
        manifest: registry.manifest(&newest.version).await?,
        staged: registry.fetch(newest, empty_dir()).await?.files,
        promoted,
    })
}

/// A page with a status that means success is put in place of each answer in turn: no call may take it for a fact.
async fn wrong_content(
    registry: &dyn Registry,
    proxy: &FaultProxy,
    expected: &Expected,
    truth: &Facts,
    empty_dir: &(dyn Fn() -> Arc<Dir> + Sync),
) {
    let newest = &expected.newest_first[0];
    let always = || {
        proxy.calm();
        proxy.order(Which::Any, Fault::Instead(Canned::page()), usize::MAX);
    };
    always();
    let nonsense = |error: PortError, what: &str| {
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{what} from a page: {error}");
    };
    nonsense(refused(registry.versions(10).await, "a page as a list"), "a list");
    nonsense(refused(registry.version(&newest.version).await, "a page as a version"), "a version");
    if truth.lineage.is_some() {
        nonsense(refused(registry.lineage(&newest.version).await, "a page as lineage"), "lineage");
    }
    let loose = VersionTarget { version: newest.version.clone(), digest: None };
    refused(registry.fetch(&loose, empty_dir()).await, "a page as an artefact");

    // One answer in the midst of many, whichever it is: an artefact of other bytes may not come of it.
    proxy.calm();
    let whole = registry.fetch(&loose, empty_dir()).await.unwrap_or_else(|error| panic!("fetch: {error}"));
    for before in 0..proxy.seen().len() {
        proxy.calm();
        proxy.order(Which::Any, Fault::Delay(Duration::ZERO), before);
        proxy.order(Which::Any, Fault::Instead(Canned::page()), usize::MAX);
        match registry.fetch(&loose, empty_dir()).await {
            Ok(staged) => assert_eq!(staged.digest, whole.digest, "a page became part of the artefact"),
            Err(error) => assert_eq!(error.applied, Applied::No, "{error}"),
        }
    }
    proxy.calm();
    assert_eq!(
        registry.version(&newest.version).await.ok().as_ref(),
        Some(&truth.version),
        "nothing wrong is remembered"
    );
}

async fn promoted(registry: &dyn Registry) -> Option<VersionName> {
    registry.promoted().await.unwrap_or_else(|error| panic!("promoted: {error}"))
}

async fn promotes(registry: &dyn Registry, proxy: &FaultProxy, expected: &Expected) {
    let (new, old) = (&expected.newest_first[0].version, &expected.newest_first[1].version);
    for (name, fault) in passing() {
        proxy.calm();
        settle_at(registry, new).await;
        proxy.calm();
        proxy.order(Which::Changes, fault.clone(), 1);
        let result = registry.promote(old, Some(new)).await;
        let sent = proxy.count(&Which::Changes);
        let happens = matches!(
            fault,
            Fault::AnswerLost | Fault::AnswerCut(_) | Fault::InPlaceOf(_) | Fault::Twice | Fault::Delay(_)
        );
        if happens {
            assert_eq!(sent, 1, "{name}: a change that may have happened was sent again");
        }
        proxy.calm();
        let now = promoted(registry).await;
        match result {
            Ok(()) => assert_eq!(now.as_ref(), Some(old), "{name}: it is said to be changed"),
            Err(error) if error.applied == Applied::No => {
                assert_eq!(now.as_ref(), Some(new), "{name}: it is said to be as before: {error}");
            }
            Err(_) => {}
        }
        settle_at(registry, old).await;
    }
    settle_at(registry, new).await;
    proxy.calm();
    proxy.order(Which::Changes, Fault::Instead(Canned::empty_success()), 1);
    let error = refused(registry.promote(old, Some(new)).await, "a success that changed nothing");
    assert_eq!(error.applied, Applied::Unknown, "an answer and what is read contradict each other: {error}");
    assert_eq!(promoted(registry).await.as_ref(), Some(new), "nothing was changed");

    // The change is made, and everything after it fails: that it is unknown is the truth.
    proxy.calm();
    proxy.order(Which::Changes, Fault::AnswerLost, 1);
    let result = tokio::join!(registry.promote(old, Some(new)), async {
        while proxy.count(&Which::Changes) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.order(Which::Any, Fault::Instead(Canned::failure(500)), usize::MAX);
    });
    if let (Err(error), ()) = result {
        assert_eq!(error.applied, Applied::Unknown, "{error}");
    }
    proxy.calm();
    assert_eq!(promoted(registry).await.as_ref(), Some(old), "it was changed");
}

async fn settle_at(registry: &dyn Registry, version: &VersionName) {
    let now = promoted(registry).await;
    registry
        .promote(version, now.as_ref())
        .await
        .unwrap_or_else(|error| panic!("promote `{version}`: {error}"));
    assert_eq!(promoted(registry).await.as_ref(), Some(version));
}

async fn marks(registry: &dyn Registry, proxy: &FaultProxy, expected: &Expected) {
    let name = &expected.newest_first[0].version;
    let lift = async || {
        proxy.calm();
        registry.mark(name, Mark::Lifted).await.unwrap_or_else(|error| panic!("lift: {error}"));
    };
    for (number, (fault_name, fault)) in passing().into_iter().enumerate() {
        lift().await;
        let incident = format!("conformance:{number}");
        let held = Mark::Held { incident: &incident };
        proxy.calm();
        proxy.order(Which::Changes, fault, 1);
        if let Err(error) = registry.mark(name, held).await {
            assert_ne!(
                error.retry,
                Retry::No,
                "{fault_name} passes, and the error says it does not: {error}"
            );
        }
        proxy.calm();
        registry.mark(name, held).await.unwrap_or_else(|error| panic!("after {fault_name}: {error}"));
    }
    lift().await;
    proxy.order(Which::Changes, Fault::Instead(Canned::empty_success()), 1);
    refused(
        registry.mark(name, Mark::Held { incident: "conformance:nothing" }).await,
        "a success that marked nothing",
    );
    lift().await;
}
