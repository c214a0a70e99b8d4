//! Moto's server, with a bucket and two users.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use serde::Deserialize;

const START_MAX: Duration = Duration::from_secs(120);

/// What makes the server what a test needs, and prints the keys of two users.
pub(super) struct Seed {
    /// Beside this file.
    pub(super) script: &'static str,
    /// After the server's address.
    pub(super) argument: String,
    /// What it asks for before there are users.
    pub(super) calls: u32,
}

pub(super) enum Checks {
    SignaturesAndRights,
    Nothing,
}

/// Which server.
#[derive(Clone, Copy)]
pub(super) enum Serves {
    /// Moto's own.
    Moto,
    /// The same with a part of ours, `with_update_endpoint.py`.
    WithUpdateEndpoint,
}

#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

#[derive(Deserialize)]
struct Keys {
    fills: Key,
    reads: Key,
}

pub(super) struct Moto {
    pub(super) url: String,
    python: String,
    child: Child,
    keys: Option<Keys>,
}

impl Moto {
    pub(super) async fn start(checks: Checks) -> Self {
        Self::seeded(checks, Seed { script: "seed.py", argument: String::new(), calls: 7 }).await
    }

    pub(super) async fn seeded(checks: Checks, seed: Seed) -> Self {
        Self::serving(Serves::Moto, checks, seed).await
    }

    pub(super) async fn serving(serves: Serves, checks: Checks, seed: Seed) -> Self {
        let python = std::env::var("RIPCORD_TEST_MOTO")
            .unwrap_or_else(|_| panic!("`RIPCORD_TEST_MOTO` is not set: set it to what `.ci/moto` prints"));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&python);
        match serves {
            Serves::Moto => command.args(["-m", "moto.server"]),
            Serves::WithUpdateEndpoint => command.arg(script("with_update_endpoint.py")),
        };
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).process_group(0);
        if matches!(checks, Checks::SignaturesAndRights) {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", seed.calls.to_string());
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut moto = Self { url: format!("http://127.0.0.1:{port}"), python, child, keys: None };
        let begun = Instant::now();
        // A connection is no call.
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START_MAX, "moto did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        moto.keys = Some(moto.seed(&seed));
        moto
    }

    fn seed(&self, seed: &Seed) -> Keys {
        let printed = self.run(seed.script, &[&seed.argument]);
        serde_json::from_slice(&printed).unwrap()
    }

    /// What a script beside this file prints that speaks to the server as AWS's own client does.
    pub(super) fn run(&self, script: &str, arguments: &[&str]) -> Vec<u8> {
        let ran = Command::new(&self.python)
            .arg(self::script(script))
            .arg(&self.url)
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{errors}");
        ran.stdout
    }

    pub(super) fn fills(&self) -> &Key {
        &self.keys.as_ref().unwrap().fills
    }

    pub(super) fn reads(&self) -> &Key {
        &self.keys.as_ref().unwrap().reads
    }

    /// As the trainer speaks to it.
    pub(super) fn store(&self) -> AmazonS3 {
        self.store_of("training")
    }

    pub(super) fn store_of(&self, bucket: &str) -> AmazonS3 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region("us-east-1")
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_access_key_id(&self.fills().id)
            .with_secret_access_key(&self.fills().secret)
            .build()
            .unwrap()
    }

    /// Puts every file below the folder into the bucket.
    pub(super) async fn upload(&self, root: &Path, folder: &str) {
        let store = self.store();
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_type().unwrap().is_file() {
                    let key = format!("fraud/{}", entry.path().strip_prefix(root).unwrap().display());
                    let content = std::fs::read(entry.path()).unwrap();
                    store.put(&object_store::path::Path::parse(key).unwrap(), content.into()).await.unwrap();
                }
            }
        }
    }

    /// An empty object of a key that is the path of no file, as consoles and old programs make them.
    pub(super) async fn put_raw(&self, key: &str) {
        let put = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id=sys.argv[2], \
                   aws_secret_access_key=sys.argv[3]).put_object(Bucket='training', Key=sys.argv[4], Body=b'')";
        let fills = self.fills();
        let ran = Command::new(&self.python)
            .args(["-c", put, &self.url, &fills.id, &fills.secret, key])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto").join(name)
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
