//! What a person on call meets at the command line.

use serde_json::json;

use crate::cli::run::{TOKEN, as_olga, configured, finish, ripcord, run};
use crate::support::host::Host;

const NOWHERE: &str = "127.0.0.1:9";

#[tokio::test]
async fn status_never_looks_fine_where_nobody_knows_whether_anything_is_protected() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let without = as_olga(folder, &["status"]);
    assert_eq!(without.code, 1, "{}", without.stdout);
    assert!(without.stdout.starts_with("no host answers at http://127.0.0.1:"), "{}", without.stdout);
    let json = as_olga(folder, &["--json", "status"]).json();
    assert!(json[0]["unprotected"][0].as_str().expect("why").contains("nothing is protected"), "{json}");

    let host = Host::start(folder).await;
    let mut anonymous = ripcord(folder, &["status"]);
    let anonymous = finish(anonymous.env("OLGAS_TOKEN", TOKEN));
    assert_eq!(anonymous.code, 1, "{}", anonymous.stdout);
    assert!(anonymous.stdout.contains("told only to people with a token"), "{}", anonymous.stdout);
    let mut stranger = ripcord(folder, &["status"]);
    let stranger =
        finish(stranger.env("OLGAS_TOKEN", TOKEN).env("RIPCORD_TOKEN", "another-token-0123456789"));
    assert_eq!(stranger.code, 1, "{}", stranger.stdout);
    assert!(stranger.stdout.contains("does not know your token"), "{}", stranger.stdout);
    // With a host and a token it says what is amiss with the service itself.
    let known = as_olga(folder, &["status"]);
    assert_eq!(known.code, 1, "{}", known.stdout);
    assert!(known.stdout.contains("nothing to go back to"), "{}", known.stdout);
    assert!(!known.stdout.contains("no host answers"), "{}", known.stdout);
    host.kill();
}

#[tokio::test]
async fn a_configuration_is_read_again_and_one_with_mistakes_is_not_taken_up() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let host = Host::start(folder).await;
    let mode = async |wanted: &str| {
        let wanted = json!(wanted);
        let since = std::time::Instant::now();
        loop {
            // Who asks while the host begins anew may lose the connection.
            let asked = host
                .request(reqwest::Method::GET, "api/v1/services/fraud-api")
                .bearer_auth(TOKEN)
                .send()
                .await;
            if let Ok(answer) = asked
                && let Ok(state) = answer.json::<serde_json::Value>().await
                && state["mode"] == wanted
            {
                return;
            }
            assert!(since.elapsed().as_secs() < 60, "waited in vain: {}", host.log().join("\n"));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    mode("act").await;

    std::fs::write(&file, text.replace("mode = \"act\"", "mode = \"ask\"")).expect("writes");
    let reloaded = as_olga(folder, &["reload"]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.stdout, reloaded.stderr);
    assert!(reloaded.stdout.contains("finds nothing wrong"), "{}", reloaded.stdout);
    mode("ask").await;

    std::fs::write(&file, text.replace("mode = \"act\"", "mode = \"everything\"")).expect("writes");
    let refused = as_olga(folder, &["--json", "reload"]);
    assert_ne!(refused.code, 0);
    let said = host.post("reload", &json!({})).await;
    assert_eq!(said.status, 409, "{:?}", said.body);
    assert!(said.body["detail"].as_str().expect("why").contains("mode"), "{:?}", said.body);
    mode("ask").await;

    // What only a start would find must not cost the host that runs.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let elsewhere = format!("listen = \"{}\"", taken.local_addr().expect("its address"));
    let listen = text.lines().find(|line| line.starts_with("listen = ")).expect("an address");
    std::fs::write(&file, text.replace(listen, &elsewhere)).expect("writes");
    let said = host.post("reload", &json!({})).await;
    assert_eq!(said.status, 409, "{:?}", said.body);
    assert!(said.body["detail"].as_str().expect("why").contains("listen"), "{:?}", said.body);
    mode("ask").await;

    std::fs::write(&file, text.replace("mode = \"act\"", "mode = \"observe\"")).expect("writes");
    let told = std::process::Command::new("sh").args(["-c", &format!("kill -HUP {}", host.pid())]).status();
    assert!(told.expect("kill").success());
    mode("observe").await;
    host.kill();
}

#[test]
fn wrong_arguments_are_told_as_json_too() {
    let folder = tempfile::tempdir().expect("folder");
    for arguments in
        [&["--json", "pull"][..], &["flap", "--json"], &["--json", "incidents", "list", "--limit", "x"]]
    {
        let ran = run(folder.path(), arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.json()["error"]["message"].is_string(), "{arguments:?}: {}", ran.stdout);
    }
    let after = run(folder.path(), &["pull", "--", "--json"]);
    assert!(after.stdout.is_empty(), "{}", after.stdout);
}

#[test]
fn a_name_that_is_unknown_is_an_error() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    assert_eq!(as_olga(folder, &["pause", "fraud-api"]).code, 0, "there is a store now");
    for arguments in [
        &["incidents", "list", "--service", "nope"][..],
        &["decisions", "nope"],
        &["versions", "nope"],
        &["hold", "list", "nope"],
        &["signals", "set-aside", "nope"],
        &["status", "nope"],
        &["decisions", "fraud-api:9"],
    ] {
        let ran = as_olga(folder, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("there is no"), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(as_olga(folder, &["incidents", "list", "--service", "fraud-api"]).code, 0);
}
