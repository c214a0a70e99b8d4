//! A configuration is read again: one with mistakes, and one that only a start finds wrong, cost no host that runs.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::run::{TOKEN, as_olga};
use crate::support::host::Host;
use crate::support::programs::configure_with_programs;

fn rewrite(folder: &Path, from: &str, to: &str) {
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    assert_eq!(text.matches(from).count(), 1, "`{from}` must be there once");
    std::fs::write(&file, text.replace(from, to)).expect("writes");
}

fn warnings(state: &Value) -> String {
    state["warnings"].to_string()
}

/// The service, once the host that may begin anew meanwhile shows what is wanted.
async fn service(host: &Host, wanted: impl Fn(&Value) -> bool) -> Value {
    let since = std::time::Instant::now();
    loop {
        let asked =
            host.request(reqwest::Method::GET, "api/v1/services/fraud-api").bearer_auth(TOKEN).send().await;
        if let Ok(answer) = asked
            && let Ok(state) = answer.json::<Value>().await
            && wanted(&state)
        {
            return state;
        }
        assert!(since.elapsed().as_secs() < 60, "waited in vain: {}", host.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_does_not_start_is_given_up_for_the_one_before_and_people_are_told() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    configure_with_programs(folder, "[]");
    // Another host holds the store that the new configuration names: no look at files shows that.
    let other = tempfile::tempdir().expect("folder");
    configure_with_programs(other.path(), "[]");
    let holds = Host::start(other.path()).await;
    let host = Host::start(folder).await;
    service(&host, |state| state["mode"] == "act").await;

    let taken = format!("[host]\ndata = \"{}\"", other.path().join("ripcord-data").display());
    rewrite(folder, "[host]", &taken);
    rewrite(folder, "mode = \"act\"", "mode = \"ask\"");
    let said = host.post("reload", &json!({})).await;
    assert_eq!(said.status, 200, "the files are right: {:?}", said.body);
    let trouble = |state: &Value| warnings(state).contains("the last reload was not taken up");
    let state = service(&host, trouble).await;
    assert_eq!(state["mode"], "act", "the configuration before is in force: {state:#}");
    let shown = as_olga(folder, &["--host", &host.url, "status"]);
    assert!(shown.stdout.contains("the last reload was not taken up"), "{}", shown.stdout);
    assert!(host.log().join("\n").contains("it goes on with the one before"));

    // What was in its way is gone.
    holds.kill();
    let said = host.post("reload", &json!({})).await;
    assert_eq!(said.status, 200, "{:?}", said.body);
    let state = service(&host, |state| state["mode"] == "ask").await;
    assert!(!trouble(&state), "{state:#}");
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_policy_file_is_found_before_the_host_is_touched() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    configure_with_programs(folder, "[]");
    let rule = crate::bad_input::policies::own_rule();
    std::fs::write(folder.join("rule.wasm"), &rule).expect("writes");
    let placed =
        "[[services.fraud-api.triggers]]\npolicy = \"rule\"\n\n[policies.rule]\nfile = \"rule.wasm\"\n";
    rewrite(folder, "[services.fraud-api.planner]", &format!("{placed}\n[services.fraud-api.planner]"));
    let host = Host::start(folder).await;
    let pid = host.pid();
    service(&host, |state| state["mode"] == "act").await;

    for (what, bytes) in
        [("cut short", &rule[..rule.len() / 2]), ("no component", b"\0asm\x01\0\0\0"), ("empty", b"")]
    {
        std::fs::write(folder.join("rule.wasm"), bytes).expect("writes");
        let asked = as_olga(folder, &["reload"]);
        assert_ne!(asked.code, 0, "{what}: {}", asked.stdout);
        assert!(asked.stderr.contains("rule"), "{what}: {}", asked.stderr);
        let refused = |host: &Host| {
            let told = "the configuration was not taken up";
            host.log().iter().filter(|line| line.contains(told)).count()
        };
        let before = refused(&host);
        host.signal("HUP");
        let since = std::time::Instant::now();
        while refused(&host) == before {
            assert!(since.elapsed().as_secs() < 60, "{what}: {}", host.log().join("\n"));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let log = host.log();
        let told = log.iter().rev().find(|line| line.contains("was not taken up")).expect("told");
        assert!(told.contains("rule"), "{what}: it is said what is wrong: {told}");
        assert_eq!(service(&host, |state| !state["mode"].is_null()).await["mode"], "act", "{what}");
    }
    assert_eq!(host.pid(), pid);
    let begun = host.log().iter().filter(|line| line.contains("\"protecting\"")).count();
    assert_eq!(begun, 1, "it never began anew: {}", host.log().join("\n"));

    std::fs::write(folder.join("rule.wasm"), &rule).expect("writes");
    rewrite(folder, "mode = \"act\"", "mode = \"observe\"");
    host.signal("HUP");
    service(&host, |state| state["mode"] == "observe").await;
    host.kill();
}
