//! A service whose registry and deployer are small programs, which write down who asked them what.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::host::script;
use crate::support::run::configure;

const LIST: &str = r#"#!/bin/sh
echo '[{"version": "1.3.2", "created-at": "2026-01-01T00:00:00Z"}, {"version": "1.4.0", "created-at": "2026-02-01T00:00:00Z"}]'
"#;
const FETCH: &str = "#!/bin/sh\nprintf model > \"$1/model.bin\"\n";
const SHIFT: &str = "#!/bin/sh\nprintf '%s' \"$1\" > live\n";
const LIVE: &str = r#"#!/bin/sh
echo asked >> looks
printf '{"shares": [{"version": "%s"}]}' "$(cat live)"
"#;

const CONNECTED: &str = r#"proof-min = "control-plane"
criticality = "low"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "{version}"], live = ["./live.sh"], effect = "observable" }
"#;

const PEOPLE_AND_SOURCE: &str = r#"
[services.fraud-api.planner]
policy = "last-known-good"

[[services.fraud-api.approvals]]
policy = "auto-low-risk"
settings = { urgency-at-most = "emergency" }

[services.fraud-api.deadlines]
hold-watch-seconds = 3600
readiness-seconds = 864000

[people.ada]
roles = ["approver"]
token-file = "ada.token"

[people.bob]
roles = ["approver"]
token-file = "bob.token"

[sources.alerts]
kind = "alertmanager"
auth = { bearer-env = "ALERTS_TOKEN" }

[[sources.alerts.routes]]
match = { service = "*" }
service = "fraud-api"
"#;

/// The token of Ada or of Bob.
pub(crate) fn token(of: &str) -> String {
    format!("{of}-token-0123456789abcdef")
}

/// The bad version 1.4.0 is live, and 1.3.2 is there. `floor` is who must agree at least.
pub(crate) fn configure_with_programs(folder: &Path, floor: &str) {
    configure(folder, "127.0.0.1:9");
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let kept =
        text.lines().filter(|line| !line.starts_with("registry = ") && !line.starts_with("deployer = "));
    let kept: Vec<_> = kept.collect();
    let text = format!("{}\nfloor = {floor}\n{CONNECTED}{PEOPLE_AND_SOURCE}", kept.join("\n"));
    std::fs::write(&file, text).expect("writes");
    for (name, text) in [("list.sh", LIST), ("fetch.sh", FETCH), ("shift.sh", SHIFT), ("live.sh", LIVE)] {
        script(folder, name, text);
    }
    std::fs::write(folder.join("live"), "1.4.0").expect("writes");
    for (name, secret) in [("ada.token", token("ada")), ("bob.token", token("bob"))] {
        let path = folder.join(name);
        std::fs::write(&path, secret).expect("writes");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    }
}

/// How often somebody asked the deployer what is live.
pub(crate) fn looks(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("looks")).unwrap_or_default().lines().count()
}
