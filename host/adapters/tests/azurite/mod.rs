//! A registry in Blob Storage as Azurite has it, Microsoft's own emulator, which Azure's own client fills. Not run unless asked for:
//!
//!     RIPCORD_TEST_AZURITE=$(.ci/azurite) cargo test --workspace --test suite -- --ignored azurite::

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registering::{self, Naming, Registering};
use ripcord_adapters::conformance::registry;
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::registry_objects::{AzureStoreConfig, ObjectsRegistry, StoreConfig};
use ripcord_core::digest::Digest;
use ripcord_ports::{Applied, ErrorKind, Registry};

use crate::adapters::registry_objects::{config, expected, two_versions};
use crate::adapters::support::{Folders, shared, version};

const START_MAX: Duration = Duration::from_secs(120);
/// The account and the key that every Azurite has, as its documentation says.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Azurite {
    url: String,
    folder: PathBuf,
    child: Child,
}

impl Azurite {
    async fn start() -> Self {
        let folder = std::env::var("RIPCORD_TEST_AZURITE").unwrap_or_else(|_| {
            panic!("`RIPCORD_TEST_AZURITE` is not set: set it to what `.ci/azurite` prints")
        });
        let folder = PathBuf::from(folder);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(folder.join("node"))
            .arg(folder.join("node_modules/azurite/dist/src/blob/main.js"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let azurite = Self { url: format!("http://127.0.0.1:{port}/{ACCOUNT}"), folder, child };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START_MAX, "Azurite did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        azurite
    }

    /// What Azure's own client prints.
    fn client(&self, what: &str, arguments: &[&str]) -> Vec<u8> {
        let connection = format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={};",
            self.url
        );
        let ran = Command::new(self.folder.join("node"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/azurite/client.cjs"))
            .args([what, &connection, "models"])
            .args(arguments)
            .env("RIPCORD_TEST_AZURITE", &self.folder)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    }

    /// Two versions, and a SAS for the container.
    fn fill(&self) -> (Vec<Digest>, String) {
        let (root, digests) = two_versions();
        let sas = self.client("fill", &[root.path().to_str().unwrap(), "registry/"]);
        (digests, String::from_utf8(sas).unwrap())
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of(url: String, container: &str, secret: &str) -> ObjectsRegistry {
    let store = StoreConfig::Azure(AzureStoreConfig {
        account: ACCOUNT.into(),
        container: container.into(),
        prefix: "registry".into(),
        endpoint: Some(url),
    });
    ObjectsRegistry::new(config(store), Some(Secret::new(secret)), &shared()).unwrap()
}

#[tokio::test]
#[ignore = "needs Azurite: see the head of this suite"]
async fn a_container_conforms_and_takes_versions_in() {
    let azurite = Azurite::start().await;
    let (digests, sas) = azurite.fill();
    let folders = Folders::default();
    let empty_dir = || folders.next();
    let adapter = of(azurite.url.clone(), "models", KEY);
    registry::conforms(&adapter, &expected(&digests), &empty_dir).await;
    registering::conforms(Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir })
        .await;
    assert_eq!(azurite.client("read", &["registry/fraud/.names/production"]), b"1.1\n");

    let with_sas = of(azurite.url.clone(), "models", &sas);
    assert_eq!(with_sas.promoted().await.unwrap(), Some(version("1.1")));
    with_sas.promote(&version("1.0"), Some(&version("1.1"))).await.unwrap();
    assert_eq!(azurite.client("read", &["registry/fraud/.names/production"]), b"1.0\n");
}

#[tokio::test]
#[ignore = "needs Azurite: see the head of this suite"]
async fn a_container_conforms_while_the_network_fails() {
    let azurite = Azurite::start().await;
    let (digests, _) = azurite.fill();
    let host = azurite.url.trim_end_matches(&format!("/{ACCOUNT}"));
    let proxy = FaultProxy::start(host).await.unwrap();
    let folders = Folders::default();
    let empty_dir = || folders.next();
    let adapter = of(format!("{}/{ACCOUNT}", proxy.url()), "models", KEY);
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&adapter, &proxy, &expected, Steadiness::Retries, &empty_dir).await;
    let registering = Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir };
    registering::conforms_in_faults(registering, &proxy, &[Which::Changes, Which::With("manifest.toml")])
        .await;
}

#[tokio::test]
#[ignore = "needs Azurite: see the head of this suite"]
async fn what_is_denied_or_not_there_is_told_and_shows_no_secret() {
    let azurite = Azurite::start().await;
    let (_, sas) = azurite.fill();
    let other_key = KEY.replace("Eby8", "Aby8");
    let spoilt_sas = sas.replace("sig=", "sig=A");
    for (container, secret, kind, expected) in [
        ("models", &other_key, ErrorKind::Denied, "check the account's key, its SAS"),
        ("models", &spoilt_sas, ErrorKind::Denied, "check the account's key, its SAS"),
        ("others", &KEY.to_owned(), ErrorKind::Configuration, "check `container`"),
    ] {
        let adapter = of(azurite.url.clone(), container, secret);
        for error in [adapter.versions(9).await.unwrap_err(), adapter.promoted().await.unwrap_err()] {
            assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
            let text = format!("{error} {error:?} {adapter:?}");
            assert!(text.contains(expected) && !text.contains(secret.as_str()), "{text}");
        }
    }
}
