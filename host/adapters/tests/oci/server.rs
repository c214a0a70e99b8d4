//! A real `docker-registry`, and `skopeo`, which pushes to it and reads from it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_core::digest::Digest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use super::fake::{PASSWORD, REPOSITORY, USER};
use super::layout::Layout;

const START_MAX: Duration = Duration::from_secs(60);
/// Of `PASSWORD`, by bcrypt.
const HASHED: &str = "$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.";

pub(super) enum Checks {
    Nobody,
    Passwords,
}

/// The server. It ends when it is dropped.
pub(super) struct DockerRegistry {
    pub(super) url: String,
    programs: PathBuf,
    folder: TempDir,
    child: Child,
    has_passwords: bool,
}

impl DockerRegistry {
    pub(super) async fn start(checks: Checks) -> Self {
        let programs = std::env::var("RIPCORD_TEST_OCI").unwrap_or_else(|_| {
            panic!("`RIPCORD_TEST_OCI` is not set: set it to the folder that `.ci/oci` prints")
        });
        let programs = PathBuf::from(programs);
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let has_passwords = matches!(checks, Checks::Passwords);
        let at = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}', relativeurls: true}}\n"
        );
        if has_passwords {
            std::fs::write(folder.path().join("htpasswd"), format!("{USER}:{HASHED}\n")).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: models, path: {at}/htpasswd}}}}\n"));
        }
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(programs.join("docker-registry"));
        let child = command.arg("serve").arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let child = child.stderr(Stdio::null()).spawn().unwrap();
        let server = Self { url: format!("http://127.0.0.1:{port}"), programs, folder, child, has_passwords };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START_MAX, "docker-registry did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    fn at(&self, tag: &str) -> String {
        format!("docker://{}/{REPOSITORY}:{tag}", self.url.trim_start_matches("http://"))
    }

    async fn skopeo(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = tokio::process::Command::new(self.programs.join("skopeo"));
        command.arg("--insecure-policy").args(arguments).env("HOME", self.folder.path()).kill_on_drop(true);
        let ended = tokio::time::timeout(START_MAX, command.output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        ended.stdout
    }

    /// Who skopeo is at the one side or the other of a copy.
    fn account(&self, side: &str) -> Vec<String> {
        let mut options = vec![format!("--{side}tls-verify=false")];
        if self.has_passwords {
            options.push(format!("--{side}creds={USER}:{PASSWORD}"));
        }
        options
    }

    async fn copy(&self, options: &[Vec<String>], from: &str, to: &str) {
        let options = options.concat();
        let mut arguments = vec!["copy", "--preserve-digests"];
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend([from, to]);
        self.skopeo(&arguments).await;
    }

    /// Pushes what has the name `from` in the layout.
    pub(super) async fn push(&self, layout: &Layout, from: &str, tag: &str) {
        let from = format!("oci:{}:{from}", layout.path().display());
        self.copy(&[self.account("dest-")], &from, &self.at(tag)).await;
    }

    pub(super) async fn retag(&self, from: &str, to: &str) {
        self.copy(&[self.account("src-"), self.account("dest-")], &self.at(from), &self.at(to)).await;
    }

    /// Pulls all that a tag points at.
    pub(super) async fn pull(&self, tag: &str) {
        let to = format!("dir:{}/pulled", self.folder.path().display());
        self.copy(&[self.account("src-")], &self.at(tag), &to).await;
    }

    /// The manifest under a tag, verbatim.
    pub(super) async fn raw(&self, tag: &str) -> Vec<u8> {
        self.skopeo(&["inspect", "--raw", "--tls-verify=false", &self.at(tag)]).await
    }

    /// Runs one of the scripts of this suite, which is told where the repository is, and reads what it prints.
    pub(super) async fn python<T: DeserializeOwned>(&self, script: &str) -> T {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oci").join(script);
        let mut command = tokio::process::Command::new(self.programs.join("python"));
        let host = self.url.trim_start_matches("http://");
        command.arg(&script).args([host, REPOSITORY]).env("HOME", self.folder.path());
        command.env("TMPDIR", self.folder.path()).kill_on_drop(true);
        let ended = tokio::time::timeout(START_MAX, command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {said}", script.display());
        let printed = String::from_utf8(ended.stdout).unwrap();
        let last = printed.lines().last().unwrap_or_else(|| panic!("it says nothing: {said}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Sorted.
    pub(super) async fn tags(&self) -> Vec<String> {
        let at = format!("docker://{}/{REPOSITORY}", self.url.trim_start_matches("http://"));
        let listed = self.skopeo(&["list-tags", "--tls-verify=false", &at]).await;
        let listed: Value = serde_json::from_slice(&listed).unwrap();
        let mut tags: Vec<String> = serde_json::from_value(listed["Tags"].clone()).unwrap();
        tags.sort();
        tags
    }

    /// Writes other bytes where the registry keeps a blob.
    pub(super) fn damage(&self, digest: &Digest, bytes: &[u8]) {
        let name = digest.to_string();
        let below = format!("data/docker/registry/v2/blobs/sha256/{}/{name}/data", &name[..2]);
        let path = self.folder.path().join(below);
        assert!(path.exists(), "{}", path.display());
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
