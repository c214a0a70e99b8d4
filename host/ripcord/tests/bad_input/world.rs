//! The world of a row: a folder with a configuration, a model server, a host; and the ways to act in it.

use std::path::Path;

use serde_json::Value;

use crate::support::fraud::configuration;
use crate::support::host::{Answer, Host, free_address};
use crate::support::run::{self, ModelServer, Ran};

/// Makes the fraud example a configuration without mistakes. Rows break it.
const CONNECTED: &str = r#"golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
deployer = { kind = "open-inference", url = "http://{MODEL}", model-directory = "models/fraud" }
endpoint = { output = "decision" }
"#;

/// What the user reads.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) String);

/// Where a row happens.
pub(crate) struct World {
    folder: tempfile::TempDir,
    text: String,
    pub(crate) model: Option<ModelServer>,
    pub(crate) host: Option<Host>,
    scrubs: Vec<(String, &'static str)>,
}

impl World {
    /// The good configuration, and nothing that runs.
    pub(crate) fn new() -> Self {
        Self::of(&configuration(CONNECTED))
    }

    /// Another configuration; `{HOST}` is where the host is to listen.
    pub(crate) fn of(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let host = free_address();
        let text = text.replace("{HOST}", &host);
        let scrubs = vec![(folder.path().display().to_string(), "DIR"), (host, "HOST")];
        crate::support::compiled::lend(folder.path());
        let world = Self { folder, text, model: None, host: None, scrubs };
        world.write("ripcord.toml", &world.text);
        world
    }

    /// The same with one piece of the configuration replaced.
    pub(crate) fn with(mut self, piece: &str, by: &str) -> Self {
        assert_eq!(self.text.matches(piece).count(), 1, "`{piece}` must be there once");
        self.text = self.text.replace(piece, by);
        self.write("ripcord.toml", &self.text);
        self
    }

    /// The same with a model server of its own process, which serves the bad version 1.4.0.
    pub(crate) fn with_model(self) -> Self {
        self.with_model_and(&[])
    }

    /// The same with more arguments for the server.
    pub(crate) fn with_model_and(mut self, more: &[&str]) -> Self {
        let model = ModelServer::start_with(self.path(), "1.4.0", more);
        self.scrubs.push((model.address.clone(), "MODEL"));
        self.text = self.text.replace("{MODEL}", &model.address);
        self.write("ripcord.toml", &self.text);
        let mut world = self;
        world.model = Some(model);
        world
    }

    /// The same after a person vouched for the good version 1.3.2.
    pub(crate) fn with_good_version(self) -> Self {
        let adopted = self.olga(&["adopt", "fraud-api", "1.3.2", "--reason", "it was live for weeks"]);
        assert_eq!(adopted.code, 0, "{}", adopted.stderr);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// For its owner alone: it may be a secret.
    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    }

    /// Starts the host.
    pub(crate) async fn serve(&mut self) {
        self.host = Some(Host::start(self.path()).await);
    }

    pub(crate) fn host(&self) -> &Host {
        self.host.as_ref().expect("the host runs")
    }

    /// The program, as Olga.
    pub(crate) fn olga(&self, arguments: &[&str]) -> Ran {
        run::as_olga(self.path(), arguments)
    }

    /// What Olga reads when she runs the program.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Shown {
        let ran = self.olga(arguments);
        let mut text = format!("$ ripcord {}\nexit code {}\n", arguments.join(" "), ran.code);
        for part in [&ran.stdout, &ran.stderr] {
            if !part.trim().is_empty() {
                text.push_str(&format!("{}\n", part.trim_end()));
            }
        }
        Shown(text)
    }

    /// The version that is served.
    pub(crate) async fn live(&self) -> String {
        self.model.as_ref().expect("a model server").live().await
    }

    /// The text without what differs from run to run: places, digests, instants and durations.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        let text = self.scrubs.iter().fold(text.to_owned(), |text, (real, name)| text.replace(real, name));
        text.lines().map(|line| scrubbed_line(line).trim_end().to_owned() + "\n").collect()
    }
}

fn scrubbed_line(line: &str) -> String {
    let mut before = "";
    let mut words = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let hex = bare.len() >= 12 && bare.bytes().all(|byte| byte.is_ascii_hexdigit())
            || bare
                .strip_prefix("0x")
                .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let date = bare.len() == 10 && bare.bytes().filter(u8::is_ascii_digit).count() == 8;
        let time = bare.len() == 9 && bare.ends_with('Z');
        let name = match bare {
            _ if hex => "HEX",
            _ if date => "DATE",
            _ if time => "TIME",
            _ if before == "for" && bare.ends_with('d') && bare.as_bytes()[0].is_ascii_digit() => "DAYS",
            _ => bare,
        };
        words.push(word.replacen(bare, name, 1));
        before = word;
    }
    words.join(" ")
}

impl Shown {
    /// An answer of the host. What is refused must be a problem of RFC 9457.
    pub(crate) fn of(request: &str, answer: &Answer) -> Self {
        if answer.status >= 400 {
            assert_eq!(answer.kind, "application/problem+json", "{answer:?}");
            assert_eq!(answer.body["status"], answer.status, "{answer:?}");
        }
        let retry =
            answer.retry_after.as_ref().map(|after| format!(", Retry-After: {after}")).unwrap_or_default();
        let body = match &answer.body {
            Value::String(text) => text.clone(),
            body => format!("{body:#}"),
        };
        Self(format!("{request}\n{} {}{retry}\n{body}\n", answer.status, answer.kind))
    }

    /// One after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(format!("{}\n{}", self.0, other.0))
    }

    /// The same with a line of the row's own.
    pub(crate) fn line(self, line: &str) -> Self {
        Self(format!("{}{line}\n", self.0))
    }
}

/// What an incident says of itself, without instants.
pub(crate) fn told(incident: &Value) -> Shown {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut shown = format!(
        "incident {}: {}, {}\n",
        text(&incident["id"]),
        text(&incident["outcome"]),
        text(&incident["phase"])
    );
    for line in incident["timeline"].as_array().expect("a timeline") {
        shown.push_str(&format!("- {}\n", text(&line["text"])));
    }
    if let Some(needs) = incident["needs"].as_str() {
        shown.push_str(&format!("needs a person: {needs}\n"));
    }
    Shown(shown)
}
