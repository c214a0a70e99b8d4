//! Services of which something beside the model is put back: the decision configuration, by a file that the server is told to read; the server's safe
//! mode, by a value behind HTTP. Whatever is done to the server passes something that is slow and keeps a diary.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::diary::{self, Line};
use crate::support::fraud::{configuration, connected_by};
use crate::support::host::{free_address, script};
use crate::support::run::{self, ModelServer, Ran};

const MODEL: &str = r#"golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
deployer = { kind = "open-inference", url = "http://{MODEL}", model-directory = "models/fraud" }
endpoint = { output = "decision" }
"#;

const DECISION: &str = r#"
[services.fraud-api.configurations.decision]
kind = "file"
file = "decision.json"
history = "decision-revisions"
format = "json"
reload = { command = ["./reload.sh", "{key}"] }
read-back = { urls = ["http://{MODEL}/config"], pointer = "/sha256", tells = "digest" }
"#;

const SAFE_MODE: &str = r#"
[services.fraud-api.fallback]
kind = "http"
url = "http://{SLOW}/mode"
pointer = "/mode"
revisions = { off = "model", rules = "rules" }
holder = "service"
etag = "required"
"#;

/// Bash, for its way to open a connection.
const RELOAD: &str = r#"#!/usr/bin/env bash
set -eu
note() { printf '%s %s %s\n' "$$" "$1" "$2" >> diary; }
note begins "$1"
sleep 0.2
exec 3<>"/dev/tcp/SERVER_HOST/SERVER_PORT"
printf 'POST /reload HTTP/1.1\r\nhost: model\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' >&3
cat <&3 > /dev/null
note applied "$1"
sleep 0.2
note ends "$1"
"#;

/// What is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// The decision configuration: from 42, which was never vouched for, to 41.
    Decision,
    /// The safe mode, which is entered.
    SafeMode,
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    model: ModelServer,
    restored: Restored,
}

impl World {
    /// No host runs.
    pub(crate) async fn new(restored: Restored) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        crate::support::compiled::lend(path);
        std::fs::create_dir(path.join("decision-revisions")).expect("a folder");
        for (file, revision) in
            [("decision-revisions/41", "41"), ("decision-revisions/42", "42"), ("decision.json", "42")]
        {
            let preset = if revision == "41" { "steady" } else { "new-account-limit" };
            let arguments =
                ["example-fraud", "configure", "--file", file, "--preset", preset, "--revision", revision];
            let wrote = run::run(path, &arguments);
            assert_eq!(wrote.code, 0, "{}", wrote.stderr);
        }
        let more = match restored {
            Restored::Decision => ["--decision-config", "decision.json"],
            Restored::SafeMode => ["--mode-file", "mode.json"],
        };
        let model = ModelServer::start_with(path, "1.3.2", &more);
        let slow = slow_way(&model.address, &path.join("diary")).await;
        let text = match restored {
            Restored::Decision => configuration(&format!("{MODEL}{DECISION}")),
            Restored::SafeMode => connected_by(&format!("{MODEL}{SAFE_MODE}")),
        };
        // Rules grant it: nobody could be asked while the host dies again and again.
        let text = text.replace(
            "urgency-at-most = \"emergency\"",
            "urgency-at-most = \"emergency\", strategies = [\"configuration\", \"fallback\"]",
        );
        let text = text.replace("{HOST}", &free_address()).replace("{MODEL}", &model.address);
        std::fs::write(path.join("ripcord.toml"), text.replace("{SLOW}", &slow)).expect("writes");
        let (host, port) = model.address.split_once(':').expect("host and port");
        let text = RELOAD.replace("SERVER_HOST", host).replace("SERVER_PORT", port);
        script(path, "reload.sh", &text);
        let world = Self { folder, model, restored };
        if restored == Restored::Decision {
            let adopted =
                world.olga(&["adopt", "fraud-api", "decision=41", "--reason", "it decided for weeks"]);
            assert_eq!(adopted.code, 0, "{}", adopted.stderr);
        }
        crate::support::compiled::keep(world.path());
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program, as Olga.
    pub(crate) fn olga(&self, arguments: &[&str]) -> Ran {
        run::as_olga(self.path(), arguments)
    }

    /// Olga pulls.
    pub(crate) fn pull(&self) {
        let target = match self.restored {
            Restored::Decision => ["--configuration", "decision=41"],
            Restored::SafeMode => ["--fallback", "rules"],
        };
        let why = "good customers are declined";
        let words = ["pull", "fraud-api", target[0], target[1], "--no-wait", "--reason", why];
        let pulled = self.olga(&words);
        assert_eq!(pulled.code, 0, "Olga is not heard: {}{}", pulled.stdout, pulled.stderr);
    }

    /// How the incident is to end.
    pub(crate) fn ending(&self) -> &'static str {
        match self.restored {
            Restored::Decision => "rolled-back",
            Restored::SafeMode => "fell-back",
        }
    }

    /// Whether the server works with what was to be put back.
    pub(crate) async fn is_back(&self) -> bool {
        match self.restored {
            Restored::Decision => {
                let file = std::fs::read(self.path().join("decision-revisions/41")).expect("reads");
                let digest = ripcord_core::digest::Digest::of(&file).to_string();
                self.model.says("config", "/sha256").await == digest
            }
            Restored::SafeMode => self.model.says("mode", "/mode").await == "rules",
        }
    }

    /// The version that answers, which nobody moves.
    pub(crate) async fn live(&self) -> String {
        self.model.live().await
    }

    pub(crate) fn diary(&self) -> Vec<Line> {
        diary::read(&std::fs::read_to_string(self.path().join("diary")).unwrap_or_default())
    }
}

/// An address at which the server is reached slowly: a change waits before it is passed on, and its answer before it is given back.
async fn slow_way(server: &str, diary: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (server, diary) = (server.to_owned(), diary.to_owned());
    tokio::spawn(async move {
        let mut run = 0;
        while let Ok((connection, _)) = listener.accept().await {
            run += 1;
            tokio::spawn(pass(connection, server.clone(), diary.clone(), run));
        }
    });
    address
}

/// One request on a connection of its own. It is made whole, whoever waits for its answer.
async fn pass(mut connection: TcpStream, server: String, diary: std::path::PathBuf, run: u32) {
    let request = request(&mut connection).await;
    let changes = request.starts_with(b"PUT");
    let note = |word: &str| {
        if changes {
            use std::io::Write as _;
            let mut file = std::fs::File::options().create(true).append(true).open(&diary).expect("opens");
            writeln!(file, "{run} {word} mode").expect("writes");
        }
    };
    note("begins");
    if changes {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut to = TcpStream::connect(server).await.expect("connects");
    to.write_all(&request).await.expect("writes");
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).await.expect("reads");
    if answer.starts_with(b"HTTP/1.1 2") {
        note("applied");
    }
    if changes {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    note("ends");
    // Whoever asked may be dead.
    let _ = connection.write_all(&answer).await;
}

/// The whole of it, as the last one of its connection.
async fn request(connection: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let head = loop {
        let mut some = [0; 4096];
        let count = connection.read(&mut some).await.unwrap_or_default();
        read.extend_from_slice(&some[..count]);
        let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None if count == 0 => return read,
            None => {}
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while read.len() < head + length.unwrap_or(0) {
        let mut some = [0; 4096];
        let count = connection.read(&mut some).await.unwrap_or_default();
        if count == 0 {
            break;
        }
        read.extend_from_slice(&some[..count]);
    }
    let kept = text.lines().find(|line| line.starts_with("connection:")).is_some();
    if !kept {
        read.splice(head - 2..head - 2, b"connection: close\r\n".iter().copied());
    }
    read
}
