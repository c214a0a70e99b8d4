//! A registry in a bucket of moto's S3, with its signatures and rights checked, and with faults between.

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registering::{self, Naming, Registering};
use ripcord_adapters::conformance::registry;
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::registry_objects::{
    ObjectsRegistry, ObjectsRegistryConfig, S3StoreConfig, StoreConfig,
};
use ripcord_core::digest::Digest;
use ripcord_ports::{Applied, ErrorKind, Registry};

use super::server::{Checks, Key, Moto, Seed};
use crate::adapters::registry_objects::{config, expected, files_below, two_versions};
use crate::adapters::support::{Folders, shared, version};

const PAGE: &str = include_str!("../../src/registry_objects/README.md");

/// The policy of the page, for this bucket.
fn policy() -> String {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    text.replace("acme-models", "models")
}

async fn started(checks: Checks) -> Moto {
    Moto::seeded(checks, Seed { script: "objects_seed.py", argument: policy(), calls: 7 }).await
}

fn of(url: &str, key: &Key) -> ObjectsRegistry {
    let store = StoreConfig::S3(S3StoreConfig {
        bucket: "models".into(),
        prefix: "registry".into(),
        endpoint: Some(url.to_owned()),
        region: "us-east-1".into(),
        access_key_id: Some(key.id.clone()),
        profile: None,
    });
    let secret = Some(Secret::new(key.secret.clone()));
    ObjectsRegistry::new(ObjectsRegistryConfig { patience_ms: 3_000, ..config(store) }, secret, &shared())
        .unwrap()
}

/// As a training job writes it, with a client of its own.
async fn filled(moto: &Moto) -> Vec<Digest> {
    let (root, digests) = two_versions();
    let store = moto.store_of("models");
    for (name, bytes) in files_below(root.path()) {
        store.put(&Path::parse(format!("registry/{name}")).unwrap(), bytes.into()).await.unwrap();
    }
    digests
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_registry_in_a_bucket_conforms_with_the_least_rights_of_the_page_and_takes_versions_in() {
    let moto = started(Checks::SignaturesAndRights).await;
    let digests = filled(&moto).await;
    let folders = Folders::default();
    let empty_dir = || folders.next();
    let adapter = of(&moto.url, moto.reads());
    registry::conforms(&adapter, &expected(&digests), &empty_dir).await;
    registering::conforms(Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir })
        .await;
    // As others read it.
    let name = Path::parse("registry/fraud/.names/production").unwrap();
    let text = moto.store_of("models").get(&name).await.unwrap().bytes().await.unwrap();
    assert_eq!(text.as_ref(), b"1.1\n");
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_registry_in_a_bucket_conforms_while_the_network_fails() {
    // The signature names the server that it is sent to, which is the proxy: this server is told not to check.
    let moto = started(Checks::Nothing).await;
    let digests = filled(&moto).await;
    let proxy = FaultProxy::start(&moto.url).await.unwrap();
    let folders = Folders::default();
    let empty_dir = || folders.next();
    let adapter = of(&proxy.url(), moto.reads());
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&adapter, &proxy, &expected, Steadiness::Retries, &empty_dir).await;
    let registering = Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir };
    registering::conforms_in_faults(registering, &proxy, &[Which::Changes, Which::With("manifest.toml")])
        .await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_key_that_may_not_is_told_what_it_lacks() {
    let moto = started(Checks::SignaturesAndRights).await;
    filled(&moto).await;
    let wrong = Key { id: moto.reads().id.clone(), secret: "of-another-key".into() };
    let error = of(&moto.url, &wrong).versions(9).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(error.to_string().contains("check the key and its secret"), "{error}");
    let one = version("1.0");
    of(&moto.url, moto.reads()).promote(&one, None).await.unwrap();
    let error = of(&moto.url, &wrong).promote(&one, None).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
}
