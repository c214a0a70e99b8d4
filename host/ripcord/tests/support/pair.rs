//! Two services that move together, each behind a program of its team's own: what is live of one is a file beside the configuration.

use std::path::Path;

use super::host::{free_address, script};

/// The versions that both have.
const LIST: &str = r#"#!/bin/sh
echo '[{"version": "1.2.0", "created-at": "2026-01-01T00:00:00Z"}, {"version": "1.3.2", "created-at": "2026-02-01T00:00:00Z"}, {"version": "1.4.0", "created-at": "2026-03-01T00:00:00Z"}]'
"#;

/// A folder with both, which serve `1.4.0`; `shift` is called with the service, the version, and whatever `configuration` adds.
pub(crate) fn pair(configuration: &str, shift: &str) -> tempfile::TempDir {
    let made = tempfile::tempdir().expect("a folder");
    let folder = made.path();
    std::fs::write(folder.join("ripcord.toml"), configuration.replace("{HOST}", &free_address()))
        .expect("writes");
    script(folder, "list.sh", LIST);
    script(folder, "fetch.sh", "#!/bin/sh\nprintf model >\"$1/model.bin\"\n");
    script(folder, "shift.sh", shift);
    script(
        folder,
        "live.sh",
        "#!/bin/sh\nprintf '{\"shares\": [{\"version\": \"%s\"}]}' \"$(cat \"live-$1\")\"\n",
    );
    for member in ["features", "fraud-api"] {
        std::fs::write(folder.join(format!("live-{member}")), "1.4.0").expect("writes");
    }
    made
}

/// What both serve.
pub(crate) fn live(folder: &Path) -> [String; 2] {
    ["features", "fraud-api"]
        .map(|member| std::fs::read_to_string(folder.join(format!("live-{member}"))).expect("it is live"))
}
