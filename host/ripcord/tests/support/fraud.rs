//! The configuration of the fraud example: a labelled alert is its trigger, policies grant, the golden set verifies.

/// What stands before what a suite says of the service itself; `{HOST}` is where the host is to listen.
const HEAD: &str = r#"
[host]
listen = "{HOST}"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[sources.alerts]
kind = "alertmanager"
auth = { bearer-env = "ALERTS_TOKEN" }

[[sources.alerts.routes]]
match = { model = "fraud" }
service = "fraud-api"

[services.fraud-api]
mode = "act"
criticality = "low"
model = "fraud"
"#;

/// The rules.
const RULES: &str = r#"
[[services.fraud-api.triggers]]
policy = "security-alert-trigger"
settings = { alerts = [{ labels = { severity = "page" } }] }

[services.fraud-api.planner]
policy = "last-known-good"

[[services.fraud-api.approvals]]
policy = "auto-low-risk"
settings = { urgency-at-most = "emergency" }

[[services.fraud-api.verifications]]
policy = "golden-set"
settings = { dataset = "fraud", accuracy = 0.95, recheck = "1s" }

[services.fraud-api.deadlines]
watch-floor-seconds = 0.5
"#;

/// The same without a verification: the golden set is not satisfied by the rules of a safe mode.
pub(crate) fn connected_by(connected: &str) -> String {
    let (rules, rest) = RULES.split_once("[[services.fraud-api.verifications]]").expect("it is there");
    let (_, deadlines) = rest.split_once("[services.fraud-api.deadlines]").expect("they are there");
    format!("{HEAD}{connected}{rules}[services.fraud-api.deadlines]{deadlines}")
}

/// The whole, with `connected` as the lines that connect the service.
pub(crate) fn configuration(connected: &str) -> String {
    format!("{HEAD}{connected}{RULES}")
}
