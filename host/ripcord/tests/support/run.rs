//! Runs the program in a folder of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::alerts::ALERTS_TOKEN;

/// Nothing that a suite waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as the one JSON document that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// The program with arguments, in `folder`, with nothing of this process's own settings.
pub(crate) fn ripcord(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripcord"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for variable in
        ["RIPCORD_TOKEN", "RIPCORD_CONFIG", "RIPCORD_HOST", "RIPCORD_CONTEXT", "NO_COLOR", "CLICOLOR_FORCE"]
    {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", folder.join("config-of-the-person"));
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ran {
    finish(&mut ripcord(folder, arguments))
}

pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran {
        code: output.status.code().expect("it ended by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A model server of the fraud example, ended when dropped.
#[derive(Debug)]
pub(crate) struct ModelServer {
    child: Child,
    pub(crate) address: String,
}

impl ModelServer {
    /// Trains every version into `folder` and serves one of them.
    pub(crate) fn start(folder: &Path, version: &str) -> Self {
        Self::start_with(folder, version, &[])
    }

    /// The same with more arguments for the server.
    pub(crate) fn start_with(folder: &Path, version: &str, more: &[&str]) -> Self {
        let out = folder.display().to_string();
        let trained = run(folder, &["example-fraud", "train", "--out", &out, "--deploy", version]);
        assert_eq!(trained.code, 0, "{}", trained.stderr);
        let arguments = [
            "example-fraud",
            "serve",
            "--models",
            "models",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "requests.jsonl",
        ];
        let mut child =
            ripcord(folder, &arguments).args(more).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").expect("its address").to_owned();
        Self { child, address }
    }

    /// The version that answers now.
    pub(crate) async fn live(&self) -> String {
        self.says("v2/models/fraud", "/versions/0").await
    }

    /// What stands at this place of its answer.
    pub(crate) async fn says(&self, path: &str, pointer: &str) -> String {
        let url = format!("http://{}/{path}", self.address);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer: Value = client.get(url).send().await.expect("answers").json().await.expect("JSON");
        answer.pointer(pointer).and_then(Value::as_str).expect("it is there").to_owned()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a configuration; the host's address is one that nobody listens on.
pub(crate) fn configured(server: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    configure(folder.path(), server);
    folder
}

pub(crate) fn configure(folder: &Path, server: &str) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let host = listener.local_addr().expect("address");
    let text = format!(
        r#"
[host]
listen = "{host}"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[services.fraud-api]
mode = "act"
model = "fraud"
registry = {{ kind = "directory", root = "registry" }}
deployer = {{ kind = "open-inference", url = "http://{server}", model-directory = "models/fraud" }}
"#
    );
    std::fs::write(folder.join("ripcord.toml"), text).expect("writes");
}

/// Olga's token, for the host and for her.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The same, as Olga, with every secret that a configuration names.
pub(crate) fn as_olga(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = ripcord(folder, arguments);
    command.env("OLGAS_TOKEN", TOKEN).env("RIPCORD_TOKEN", TOKEN).env("ALERTS_TOKEN", ALERTS_TOKEN);
    finish(&mut command)
}

/// A command that goes on: what it says is taken as it comes. Killed when dropped.
pub(crate) struct Going {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    seen: usize,
}

impl Going {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for pipe in pipes {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    said.lock().expect("no panic").push(line);
                }
            });
        }
        Self { child, said, seen: 0 }
    }

    /// Everything that it has said.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no panic").join("\n")
    }

    /// The next line with this in it; lines before it do not come again.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        let since = Instant::now();
        loop {
            let lines = self.said.lock().expect("no panic").clone();
            if let Some(found) = lines[self.seen..].iter().position(|line| line.contains(wanted)) {
                self.seen += found + 1;
                return lines[self.seen - 1].clone();
            }
            let ended = self.child.try_wait().expect("its child");
            assert!(
                ended.is_none() && since.elapsed() < PATIENCE,
                "it does not say `{wanted}` ({ended:?}):\n{}",
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("its child").is_none()
    }

    /// How it ended by itself.
    pub(crate) async fn ended(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its child") {
                return status.code().expect("it ended by itself");
            }
            assert!(since.elapsed() < PATIENCE, "it does not end:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
