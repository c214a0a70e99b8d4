//! What others write reaches no terminal and no log raw: a real host that hostile systems, senders and people talk to, every command, both forms.

use std::path::Path;

use reqwest::Method;
use ripcord_core::foreign::is_harmful;
use serde_json::{Value, json};

use super::run::{Ran, TOKEN, as_olga, finish, ripcord};
use crate::support::alerts::ALERTS_TOKEN;
use crate::support::host::{Host, free_address, script};

/// Everything at once: controls of both kinds, forged lines, turned direction, what cannot be seen, marks without end.
fn hostile() -> String {
    let marks = "\u{301}".repeat(30);
    format!(
        "x\u{1b}[2J\u{1b}[H\u{1b}]0;t\u{7}\u{9b}2J\u{85}\nFORGED approved by ada\r\nFORGED\rFORGED\u{8}\u{7f}\u{202e}4.1\u{2067}\u{2028}FORGED\u{200b}\u{feff}\u{e0041}a{marks}"
    )
}

fn configure(folder: &Path) {
    let text = format!(
        r#"
[host]
listen = "{}"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[sources.alerts]
kind = "alertmanager"
auth = {{ bearer-env = "ALERTS_TOKEN" }}

[[sources.alerts.routes]]
match = {{ model = "fraud" }}
service = "fraud-api"

[services.fraud-api]
mode = "act"
registry = {{ kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{{into}}"] }}
deployer = {{ kind = "command", shift = ["./shift.sh"], live = ["./live.sh"], effect = "observable" }}

[[services.fraud-api.triggers]]
policy = "security-alert-trigger"
settings = {{ alerts = [{{ labels = {{ severity = "page" }} }}] }}

[services.fraud-api.planner]
policy = "last-known-good"
"#,
        free_address()
    );
    std::fs::write(folder.join("ripcord.toml"), text).expect("writes");
    std::fs::write(folder.join("said"), hostile()).expect("writes");
    for name in ["list.sh", "fetch.sh", "shift.sh", "live.sh"] {
        script(folder, name, "#!/bin/sh\ncat said >&2\ncat said\nexit 1\n");
    }
}

/// Our own styles and line breaks are all that a terminal obeys in it.
fn assert_harmless(text: &str, of: &str) {
    let ours = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];
    let left = ours.iter().fold(text.to_owned(), |text, style| text.replace(style, ""));
    if let Some(c) = left.chars().find(|c| *c != '\n' && is_harmful(*c)) {
        panic!("{of}: U+{:04X} gets through: {left:?}", u32::from(c));
    }
    for line in left.lines() {
        assert!(!line.trim_start().starts_with("FORGED"), "{of}: a line was forged: {left}");
    }
    assert!(!left.contains(&"\u{301}".repeat(5)), "{of}: marks flood the lines around");
}

fn both_forms(folder: &Path, arguments: &[&str]) -> Ran {
    let json = as_olga(folder, &[arguments, &["--json"]].concat());
    assert_harmless(&json.stdout, &format!("{arguments:?} --json"));
    serde_json::from_str::<Value>(&json.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let ran = as_olga(folder, &[arguments, &["--color", "always"]].concat());
    for text in [&ran.stdout, &ran.stderr] {
        assert_harmless(text, &format!("{arguments:?}"));
    }
    ran
}

async fn bring_it_in(folder: &Path, host: &Host) {
    let text = hostile();
    let labels = |labels: Value| json!({ "status": "firing", "startsAt": "2026-01-01T00:00:00Z", "labels": labels, "annotations": { "summary": text } });
    let payload = json!({ "version": "4", "groupKey": text, "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 3, "alerts": [
            labels(json!({ "alertname": text, "severity": "page", "model": "fraud", "team": text })),
            labels(json!({ "alertname": text, "severity": text, "odd": text })),
    ] });
    let answer = host.send(&payload).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    host.until("fraud-api", |state| state["incident"].is_object() || state["last_settled"].is_object()).await;
    both_forms(folder, &["pull", "fraud-api", "--no-wait", "--reason", &text]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hostile_reaches_a_terminal_or_a_log() {
    for form in ["text", "json"] {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        configure(folder);
        crate::support::compiled::lend(folder);
        let host = Host::start_with(ripcord(folder, &["serve", "--log", form]), folder).await;
        bring_it_in(folder, &host).await;
        if form == "json" {
            commands(folder);
            answers(&host).await;
        }
        let log = host.log();
        assert!(
            form == "text" || log.iter().any(|line| line.contains("FORGED")),
            "the log has what was said: {log:#?}"
        );
        for line in log {
            assert_harmless(&line, &format!("a log line as {form}"));
            assert!(
                form == "text"
                    || serde_json::from_str::<Value>(&line).is_ok()
                    || line.starts_with("ripcord listens"),
                "{line}"
            );
        }
        crate::support::compiled::keep(folder);
    }
}

fn commands(folder: &Path) {
    let list = both_forms(folder, &["incidents", "list"]);
    let shown = both_forms(folder, &["incidents", "show", "fraud-api:1"]);
    assert!(
        shown.stdout.contains("FORGED") && list.stdout.contains("fraud-api:1"),
        "{}{}",
        list.stdout,
        shown.stdout
    );
    let unrouted = both_forms(folder, &["signals", "unrouted"]);
    assert!(unrouted.stdout.contains("FORGED"), "{}", unrouted.stdout);
    let checked = both_forms(folder, &["check"]);
    assert!(checked.stdout.contains("FORGED"), "{}", checked.stdout);
    let hostile = hostile();
    std::fs::write(folder.join(&hostile), "no component").expect("a file of that name");
    let commands: [&[&str]; 12] = [
        &["status"],
        &["plan", "show", "fraud-api:1"],
        &["hold", "list"],
        &["replay", "--all"],
        &["replay", "fraud-api:1"],
        &["policy", "inspect", &hostile],
        &["policy", "test", &hostile],
        &["policy", "build", &hostile],
        &["check", "--alert", &hostile],
        &["abort", "fraud-api:1", "--reason", &hostile],
        &["approve", "fraud-api:1", "--yes", "--reason", &hostile],
        &["approve", "fraud-api:1", "--yes", "--key", &hostile],
    ];
    for arguments in commands {
        both_forms(folder, arguments);
    }
    // What is wrong with the arguments themselves.
    for arguments in [&["pull", &hostile][..], &[&hostile], &["policy", "inspect", "a", &hostile]] {
        let ran = finish(&mut ripcord(folder, arguments));
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("x\\u{1b}[2J"), "{}", ran.stderr);
        assert_harmless(&ran.stderr, "arguments");
    }
    let config = ripcord(folder, &["--config", &hostile, "status"]).output().expect("runs");
    assert_harmless(&String::from_utf8(config.stderr).expect("text"), "the configuration");
}

/// What the host itself answers, which people print with programs of their own.
async fn answers(host: &Host) {
    let escaped: String = hostile().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let problems = [
        host.request(Method::GET, &format!("api/v1/services/{escaped}")).bearer_auth(TOKEN),
        host.request(Method::GET, &format!("api/v1/incidents/{escaped}")).bearer_auth(TOKEN),
        host.request(Method::GET, &format!("api/v1/incidents?{escaped}=1")).bearer_auth(TOKEN),
        host.request(Method::POST, "api/v1/services/fraud-api/pull")
            .bearer_auth(TOKEN)
            .json(&json!({ "to": hostile(), "reason": "r" })),
        host.request(Method::POST, &format!("hooks/{escaped}")).bearer_auth(ALERTS_TOKEN),
        host.request(Method::POST, "hooks/alerts")
            .bearer_auth(ALERTS_TOKEN)
            .body(format!("{{\"{}\":", hostile())),
    ];
    for (number, request) in problems.into_iter().enumerate() {
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_client_error(), "{number}: {}", answer.status());
        assert_harmless(&answer.text().await.expect("a body"), &format!("answer {number}"));
    }
}
