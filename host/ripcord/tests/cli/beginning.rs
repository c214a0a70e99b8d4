//! The first minutes: `ripcord init` on what is there, and what `ripcord check` says of it and of mistakes.

use super::run::{ModelServer, as_olga, configured, ripcord, run};
use crate::support::host::{Host, free_address};

const NOWHERE: &str = "127.0.0.1:9";

/// A server, a registry and golden data are there: the configuration that is written needs no hand.
#[test]
fn what_is_written_for_a_served_model_is_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start(folder.path(), "1.3.2");
    let url = format!("http://{}", server.address);
    let ran = run(folder.path(), &["init", "--server", &url, "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let json = ran.json();
    assert_eq!(json["missing"], serde_json::json!([]));
    let concerns: Vec<_> = json["check"]["findings"].as_array().expect("findings").iter().collect();
    // A server that nobody has asked anything yet has written no log.
    let is_new = |text: &str| text.starts_with("it has no lines yet");
    let concerns: Vec<_> = concerns
        .into_iter()
        .filter(|finding| finding["level"] != "ok" && !finding["text"].as_str().is_some_and(is_new))
        .collect();
    assert!(concerns.is_empty(), "{concerns:#?}");
    let text = std::fs::read_to_string(folder.path().join("ripcord.toml")).expect("the file");
    for line in ["endpoint = { output = \"decision\" }", "probe-input-file = \"probe.json\""] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(folder.path().join("secrets/.gitignore").is_file());

    let again = run(folder.path(), &["init", "--server", &url]);
    assert_eq!(again.code, 2, "{}", again.stdout);
    assert!(again.stderr.contains("is left as it is"), "{}", again.stderr);
}

/// The README's way, step by step, with nothing but the program: from a served model to its first rollback.
#[tokio::test(flavor = "multi_thread")]
async fn from_init_to_the_first_rollback_of_ones_own_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    let me = |arguments: &[&str]| {
        let ran = run(folder, &[arguments, &["--token-file", "secrets/me.token"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    me(&["init", "--server", &format!("http://{}", server.address)]);
    // What a person edits: the mode, and here an address that no other test has.
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("the file");
    let text =
        text.replace("127.0.0.1:8787", &free_address()).replace("mode = \"observe\"", "mode = \"ask\"");
    std::fs::write(&file, text).expect("writes");
    me(&["check"]);
    me(&["adopt", "fraud-api", "1.3.2", "--reason", "served well since May"]);
    let host = Host::start_with(ripcord(folder, &["serve", "--log", "json"]), folder).await;
    assert!(me(&["status"]).contains("1.4.0"), "what is live");
    let pulled = run(
        folder,
        &["pull", "fraud-api", "--reason", "declines new customers", "--token-file", "secrets/me.token"],
    );
    assert_eq!(pulled.code, 3, "it waits for a person: {}{}", pulled.stdout, pulled.stderr);
    me(&["approve", "fraud-api:1", "--yes"]);
    let began = std::time::Instant::now();
    while !run(folder, &["incidents", "show", "fraud-api:1"]).stdout.contains("settled: rolled back") {
        assert!(
            began.elapsed().as_secs() < 120,
            "{}",
            run(folder, &["incidents", "show", "fraud-api:1"]).stdout
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(server.live().await, "1.3.2");
    drop(host);
}

/// Where something is missing the file says so, and is a configuration all the same.
#[test]
fn what_is_not_found_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, registry) = (["--server", "http://127.0.0.1:9"], ["--registry", "versions"]);
    for (arguments, said) in [
        (server, "no server of the Open Inference Protocol answers"),
        (registry, "there is nothing at that place"),
    ] {
        let ran = run(folder.path(), &[&["init"], &arguments[..]].concat());
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert!(!folder.path().join("ripcord.toml").exists() && !folder.path().join("secrets").exists());
    }
}

/// What the text of the file shows and what only the things that it names show are told in one go.
#[test]
fn mistakes_of_every_kind_are_told_at_once() {
    let folder = configured(NOWHERE);
    let file = folder.path().join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("the file");
    let more = r#"
[people.ada]
roles = ["aprover"]
token-file = "secrets/ada"

[people.bob]
roles = ["approver"]
token-file = "secrets/not-there"

[services.other]
mode = "actt"

[[services.fraud-api.approvals]]
policy = "two-key"
settings = { people = 0, role = "approver" }
"#;
    std::fs::write(&file, text + more).expect("writes");
    let ran = as_olga(folder.path(), &["check"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for said in ["aprover", "actt", "secrets/not-there", "two-key"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
}

/// Whoever is on the way reads tokens and can answer in a system's place. This machine is no way.
#[test]
fn every_plain_address_is_warned_of() {
    let folder = configured(NOWHERE);
    let file = folder.path().join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("the file");
    let more = r#"
[metrics.prometheus]
kind = "prometheus"
url = "http://prometheus.example:9090"

[metrics.here]
kind = "prometheus"
url = "http://[::1]:9090"

[metrics.well]
kind = "prometheus"
url = "https://prometheus.example"

[notifiers.ops]
kind = "webhook"
url = "http://198.51.100.7/hook"
"#;
    let text = text.replacen("[host]", "[host]\npublic-url = \"http://ripcord.example\"", 1);
    std::fs::write(&file, text + more).expect("writes");
    let ran = as_olga(folder.path(), &["check", "--offline", "--json"]);
    let json = ran.json();
    let findings = json["findings"].as_array().expect("findings");
    let warned: Vec<_> = findings
        .iter()
        .filter_map(|finding| finding["text"].as_str().filter(|text| text.contains("unencrypted")))
        .map(|text| text.split('`').nth(1).expect("an address"))
        .collect();
    assert_eq!(
        warned,
        ["http://ripcord.example", "http://prometheus.example:9090", "http://198.51.100.7/hook"],
        "{json:#}"
    );
}
