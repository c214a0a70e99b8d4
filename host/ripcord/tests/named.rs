//! What a user reads when what the configuration names is not there or does not fit.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ripcord::commands::check::{CheckOptions, Report, Scope, check};

const CONFIG: &str = r#"
[host]
data = "data"

[people.ada]
roles = ["operator", "approver", "admin"]
token-file = "ada.token"

[sources.alertmanager]
kind = "alertmanager"
auth = { bearer-file = "am.token" }
[[sources.alertmanager.routes]]
match = { model = "fraud", slice = "eu" }
service = "fraud-api"
[[sources.alertmanager.routes]]
match = { model = "churn" }
service = "fraud-api"

[services.fraud-api]
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh"] }
deployer = { kind = "command", shift = ["./shift.sh"], live = ["./live.sh"], effect = "observable" }

[[services.fraud-api.triggers]]
policy = "security-alert-trigger"
settings = { alerts = [{ labels = { severity = "page" } }] }

[services.fraud-api.planner]
policy = "last-known-good"
"#;

async fn run(text: &str, scope: Scope, alert: Option<&str>) -> (Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ada.token", b"0123456789abcdef0123");
    write("am.token", b"fedcba9876543210fedc");
    write("empty.token", b"");
    write("junk.wasm", b"\0asm junk");
    write("ripcord.toml", text.as_bytes());
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/fixtures/alertmanager");
    let alert = alert.map(|name| recorded.join(name));
    let options = CheckOptions { config: folder.path().join("ripcord.toml"), alert, scope };
    let report = check(&options).await;
    assert!(!folder.path().join("data").exists(), "looking leaves nothing behind");
    let shown = report.text().plain().replace(&folder.path().display().to_string(), "DIR");
    (report, shown)
}

async fn with(piece: &str, by: &str) -> String {
    assert_eq!(CONFIG.matches(piece).count(), 1, "`{piece}` must be there once");
    let (report, shown) = run(&CONFIG.replace(piece, by), Scope::Files, None).await;
    assert_eq!(report.exit_code(), 2, "{shown}");
    // Only what is wrong: which policies there are is another test's matter.
    shown.split("\nok ").next().unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_good_one_has_nothing_wrong() {
    let (report, shown) = run(CONFIG, Scope::Files, None).await;
    assert_eq!(report.exit_code(), 0, "{shown}");
}

#[tokio::test]
async fn a_secret_that_is_not_there() {
    insta::assert_snapshot!(with("\"ada.token\"", "\"nobody.token\"").await);
}

#[tokio::test]
async fn an_empty_secret() {
    insta::assert_snapshot!(with("\"am.token\"", "\"empty.token\"").await);
}

#[tokio::test]
async fn a_variable_that_is_not_set() {
    insta::assert_snapshot!(with("token-file = \"ada.token\"", "token-env = \"RIPCORD_TEST_NOT_SET\"").await);
}

#[tokio::test]
async fn a_policy_that_is_not_there() {
    insta::assert_snapshot!(
        with("[services.fraud-api]", "[policies.mine]\nfile = \"mine.wasm\"\n\n[services.fraud-api]").await
    );
}

#[tokio::test]
async fn a_policy_that_is_none() {
    insta::assert_snapshot!(
        with("[services.fraud-api]", "[policies.mine]\nfile = \"junk.wasm\"\n\n[services.fraud-api]").await
    );
}

#[tokio::test]
async fn a_policy_with_another_digest() {
    let pin = "0".repeat(64);
    let by = format!("[policies.mine]\nfile = \"junk.wasm\"\nsha256 = \"{pin}\"\n\n[services.fraud-api]");
    insta::assert_snapshot!(with("[services.fraud-api]", &by).await);
}

#[tokio::test]
async fn a_policy_that_was_not_signed_by_who_must() {
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let by = format!(
        "[people.bob]\nroles = [\"approver\"]\npublic-key = \"{public}\"\n\n[policies.mine]\nfile = \"junk.wasm\"\n\
         signed-by = [\"ada\", \"bob\", \"eve\"]\n\n[services.fraud-api]"
    );
    insta::assert_snapshot!(with("[services.fraud-api]", &by).await);
}

#[tokio::test]
async fn a_policy_in_a_role_that_it_does_not_fill() {
    insta::assert_snapshot!(
        with("policy = \"last-known-good\"", "policy = \"security-alert-trigger\"").await
    );
}

#[tokio::test]
async fn settings_off_the_schema() {
    let by = "policy = \"last-known-good\"\nsettings = { rungz = 3 }";
    insta::assert_snapshot!(with("policy = \"last-known-good\"", by).await);
}

#[tokio::test]
async fn settings_that_fit_the_schema_and_make_no_sense() {
    let piece = "alerts = [{ labels = { severity = \"page\" } }]";
    insta::assert_snapshot!(with(piece, "alerts = []").await);
}

#[tokio::test]
async fn a_placeholder_that_programs_do_not_have() {
    insta::assert_snapshot!(with("[\"./shift.sh\"]", "[\"./shift.sh\", \"{versoin}\"]").await);
}

#[tokio::test]
async fn a_policy_twice_in_one_role() {
    let by = "settings = { alerts = [{ rule = \"Drift\" }] }\n\n[[services.fraud-api.triggers]]\npolicy = \"security-alert-trigger\"\n\
              settings = { alerts = [{ labels = { severity = \"page\" } }] }";
    insta::assert_snapshot!(with("settings = { alerts = [{ labels = { severity = \"page\" } }] }", by).await);
}

#[tokio::test]
async fn what_is_named_does_not_answer() {
    let (report, shown) = run(CONFIG, Scope::Everything, None).await;
    assert_eq!(report.exit_code(), 1, "{shown}");
    for expected in ["error  service fraud-api: registry", "error  service fraud-api: deployer"] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
}

#[tokio::test]
async fn which_route_an_alert_takes_and_why() {
    let (report, _) = run(CONFIG, Scope::Files, Some("01-hooks_alertmanager-firing-2.json")).await;
    let routes = report.alerts.iter().map(|routes| routes.text().plain()).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(routes);
}

#[tokio::test]
async fn a_file_that_is_no_alert() {
    let (report, shown) = run(CONFIG, Scope::Files, Some("no-such-file.json")).await;
    assert_eq!(report.exit_code(), 1, "{shown}");
}
