//! A service whose deployer is a team's own program: it swaps the model on the server's disk, tells the server, and keeps a diary.

use std::path::Path;
use std::time::Duration;

use crate::killed::diary::{self, Line};
use crate::support::fraud::configuration;
use crate::support::host::{free_address, script};
use crate::support::run::{self, ModelServer, Ran};

const CONNECTED: &str = r#"proof-min = "answer"
golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
endpoint = { kind = "open-inference", url = "http://{MODEL}", model = "fraud", output = "decision" }

[services.fraud-api.deployer]
kind = "command"
shift = ["./deploy.sh", "shift", "{version}", "{expecting}", "{key}"]
live = ["./deploy.sh", "live"]
effect = "{CLASS}"
proof = "answer"
"#;

/// `CLASS` is what it was declared as; it keeps that promise and no other. Bash, for its way to open a connection.
const DEPLOY: &str = r#"#!/usr/bin/env bash
set -eu
ask() {
    exec 3<>"/dev/tcp/SERVER_HOST/SERVER_PORT"
    printf '%s %s HTTP/1.1\r\nhost: model\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' "$1" "$2" >&3
    cat <&3
    exec 3>&-
}
live() { ask GET /v2/models/fraud | sed -n 's/.*"versions":\["\([^"]*\)".*/\1/p'; }
note() { printf '%s %s %s\n' "$$" "$1" "$key" >> diary; }
held() { while [ -e "held-$1" ]; do sleep 0.02; done; }

if [ "$1" = live ]; then
    printf '{"shares": [{"version": "%s"}]}' "$(live)"
    exit 0
fi
version=$2 expecting=$3 key=$4
note begins
sleep 0.2
held begins
if [ CLASS = idempotent ] && ! mkdir "done-$key" 2>/dev/null; then
    note repeated
elif [ CLASS = conditional ] && [ "$(live)" != "$expecting" ]; then
    note refused
    note ends
    exit 69
else
    mkdir "new-$$"
    cp "registry/fraud/$version/files/"* "new-$$/"
    mv models/fraud "old-$$"
    mv "new-$$" models/fraud
    ask POST /v2/repository/models/fraud/load > /dev/null
    note applied
fi
sleep 0.2
held applied
note ends
"#;

pub(crate) struct World {
    folder: tempfile::TempDir,
    model: ModelServer,
}

impl World {
    /// The bad version 1.4.0 is live, and a person vouched for 1.3.2. No host runs.
    pub(crate) fn new(class: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        crate::support::compiled::lend(folder.path());
        let model = ModelServer::start(folder.path(), "1.4.0");
        let text = configuration(CONNECTED).replace("{HOST}", &free_address());
        let text = text.replace("{MODEL}", &model.address).replace("{CLASS}", class);
        std::fs::write(folder.path().join("ripcord.toml"), text).expect("writes");
        let (host, port) = model.address.split_once(':').expect("host and port");
        let text = DEPLOY.replace("SERVER_HOST", host).replace("SERVER_PORT", port).replace("CLASS", class);
        script(folder.path(), "deploy.sh", &text);
        let world = Self { folder, model };
        let adopted = world.olga(&["adopt", "fraud-api", "1.3.2", "--reason", "it was live for weeks"]);
        assert_eq!(adopted.code, 0, "{}", adopted.stderr);
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

    /// The version that answers now.
    pub(crate) async fn live(&self) -> String {
        self.model.live().await
    }

    /// What the deployer's program has written so far.
    pub(crate) fn diary(&self) -> Vec<Line> {
        diary::read(&std::fs::read_to_string(self.path().join("diary")).unwrap_or_default())
    }

    /// The program waits behind this word of its diary until it is let go on.
    pub(crate) fn hold_at(&self, word: &str) {
        std::fs::write(self.path().join(format!("held-{word}")), "").expect("writes");
    }

    pub(crate) fn let_go_on(&self, word: &str) {
        std::fs::remove_file(self.path().join(format!("held-{word}"))).expect("removes");
    }

    /// The same once no run of it is under way.
    pub(crate) async fn quiet(&self) -> Vec<Line> {
        for _ in 0..500 {
            let diary = self.diary();
            if !diary::is_under_way(&diary) {
                return diary;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a run does not end: {:#?}", self.diary());
    }

    /// A person looks at the service and says what they see; the host goes on by that.
    pub(crate) async fn answer(&self) {
        self.quiet().await;
        let word = if self.live().await == "1.3.2" { "applied" } else { "not-applied" };
        let answered = self.olga(&["answer", "fraud-api:1", word]);
        assert_eq!(answered.code, 0, "{}\n{}", answered.stdout, answered.stderr);
    }
}
