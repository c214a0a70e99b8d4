//! Azurite, Microsoft's emulator of Blob Storage: filled by Microsoft's own client, read by the address that a registry gives.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_adapters::registry_azureml::AzureMlRegistryConfig;
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::{ErrorKind, Registry};
use serde::Deserialize;
use serde_json::json;

use super::{of, of_registry, python, run, seeded};
use crate::adapters::support::{empty_dir, target, version};

const START_MAX: Duration = Duration::from_secs(60);
const CONTAINER: &str = "models";

/// A running emulator. It ends when it is dropped.
struct Azurite {
    url: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Azurite {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(python().with_file_name("node"));
        command.arg(python().with_file_name("azurite-blob")).current_dir(folder.path());
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--skipApiVersionCheck"]);
        command.args(["--silent", "--location", folder.path().to_str().unwrap()]).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let azurite = Self { url: format!("http://127.0.0.1:{port}"), child, _folder: folder };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START_MAX, "Azurite did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        azurite
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // What is started is a wrapper, and the emulator its child.
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// What `azurite.py` says.
#[derive(Debug, Deserialize)]
struct Filled {
    sas: String,
    md5: bool,
}

#[tokio::test]
#[ignore = "needs Azurite: see the head of this suite"]
async fn files_come_from_azurite() {
    let azurite = Azurite::start().await;
    let weights = vec![7; 300_000];
    let files: [(&str, &[u8]); 4] = [
        ("a & b/é 100%.txt", b"x"),
        ("model.txt", b"1\n"),
        ("weights/0.bin", &weights),
        ("weights/empty", b""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec![format!("{}/devstoreaccount1", azurite.url), CONTAINER.to_owned()];
    let alone: [(&str, &[u8]); 2] = [("fraud/10/model.txt", b"10\n"), ("fraud/alone.pkl", b"alone")];
    let all = files.iter().map(|(path, bytes)| (format!("fraud/1/{path}"), *bytes));
    let all = all.chain(alone.map(|(path, bytes)| (path.to_owned(), bytes)));
    for (number, (path, bytes)) in all.enumerate() {
        let file = folder.path().join(number.to_string());
        std::fs::write(&file, bytes).unwrap();
        arguments.extend([path, file.display().to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Filled { sas, md5 } = run("azurite.py", &arguments).await;
    assert!(md5, "there is a digest to hold them against");

    let (fake, _) = seeded().await;
    // An account's name in the cloud has 24 letters at most, and so has the emulator's.
    let at = |path: &str| format!("https://devstoreaccount1.blob.core.windows.net/{CONTAINER}/{path}");
    for (index, path) in ["fraud/1", "fraud/alone.pkl", "fraud/nothing"].into_iter().enumerate() {
        fake.world().versions[index].insert("modelUri".into(), at(path).into());
    }
    let gives = |sas: &str| {
        let uri = format!("{}/devstoreaccount1/{CONTAINER}?{sas}", azurite.url);
        let credential = json!({ "credentialType": "SAS", "sasUri": uri });
        let answer = json!({ "blobReferenceForConsumption": { "blobUri": uri, "credential": credential } });
        fake.instead("/datareferences/", 200, answer.to_string());
    };
    gives(&sas);
    let config = AzureMlRegistryConfig {
        storage_endpoint: Some(format!("{}/{{account}}", azurite.url)),
        patience_ms: 0,
        ..of_registry(&fake)
    };
    let adapter = of(config.clone());
    assert_eq!(adapter.version(&version("1")).await.unwrap().broken, None);
    let (_folder, dir) = empty_dir();
    let staged = adapter.fetch(&target("1", None), dir).await.unwrap();
    let wanted = files.map(|(path, bytes)| ArtefactFile {
        path: path.into(),
        sha256: Digest::of(bytes),
        bytes: bytes.len() as u64,
    });
    assert_eq!((&staged.files[..], staged.digest), (&wanted[..], artefact_digest(&wanted)));
    let (_folder, dir) = empty_dir();
    let staged = adapter.fetch(&target("2", None), dir).await.unwrap();
    assert_eq!(staged.files[0].path, "alone.pkl");
    let broken = adapter.version(&version("3")).await.unwrap().broken.unwrap();
    assert!(broken.contains("has no file below `devstoreaccount1/models/fraud/nothing`"), "{broken}");

    gives(&sas.replace("sig=", "sig=AAAA"));
    let error = of(config).fetch(&target("1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("does not take what the registry gives"), "{error}");
}
