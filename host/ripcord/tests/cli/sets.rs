//! Services that move together, with real programs: a model and the pipeline of its features, each behind a command.

use std::path::Path;

use super::run::{Ran, TOKEN, as_olga, finish, ripcord};
use crate::support::host::Host;
use crate::support::pair::{live, pair};

const CONFIGURATION: &str = r#"
[host]
listen = "{HOST}"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[people.ada]
roles = ["approver"]
token-file = "ada.token"

[people.bob]
roles = ["approver"]
token-file = "bob.token"

[sets.fraud]
members = ["features", "fraud-api"]
if-part-fails = "back"
floor = [{ role = "approver", people = 2 }]

[services.features]
mode = "ask"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "features", "{version}"], live = ["./live.sh", "features"], effect = "observable" }
deadlines = { shift-seconds = 3, read-back-seconds = 3 }

[services.fraud-api]
mode = "ask"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "fraud-api", "{version}"], live = ["./live.sh", "fraud-api"], effect = "observable" }
deadlines = { shift-seconds = 3, read-back-seconds = 3 }
"#;

const SHIFT: &str = r#"#!/bin/sh
if [ "$(cat "refused-$1" 2>/dev/null)" = "$2" ]; then
    echo "there is no room for $2" >&2
    exit 1
fi
printf '%s' "$2" >"live-$1"
printf '%s %s\n' "$1" "$2" >>orders
"#;

fn world() -> tempfile::TempDir {
    let made = pair(CONFIGURATION, SHIFT);
    let folder = made.path();
    for person in ["ada", "bob"] {
        let path = folder.join(format!("{person}.token"));
        std::fs::write(&path, format!("{person}-0123456789abcdef")).expect("writes");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    }
    made
}

fn as_person(folder: &Path, person: &str, arguments: &[&str]) -> Ran {
    let token = format!("{person}.token");
    let mut command = ripcord(folder, &[arguments, &["--token-file", &token]].concat());
    finish(command.env("OLGAS_TOKEN", TOKEN))
}

fn pull(folder: &Path, version: &str) -> Ran {
    let (features, model) = (format!("features={version}"), format!("fraud-api={version}"));
    as_olga(
        folder,
        &["pull", "--set", "fraud", "--to", &features, "--to", &model, "--reason", "they do not fit"],
    )
}

fn agree(folder: &Path, run: &str) {
    for person in ["ada", "bob"] {
        let voted = as_person(folder, person, &["approve", run, "--yes"]);
        assert_eq!(voted.code, 0, "{person}: {}{}", voted.stdout, voted.stderr);
    }
}

fn has(ran: &Ran, code: i32, said: &[&str]) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ran.code, code, "{all}");
    for said in said {
        assert!(words.contains(said), "`{said}`: {all}");
    }
}

fn orders(folder: &Path) -> Vec<String> {
    let all = std::fs::read_to_string(folder.join("orders")).unwrap_or_default();
    all.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_move_by_one_plan_and_go_back_together() {
    let made = world();
    let folder = made.path();
    let checked = as_olga(folder, &["check", "--offline"]);
    has(&checked, 0, &["set fraud: `features`, then `fraud-api`; if a part fails, what has moved goes back"]);
    let _host = Host::start(folder).await;
    has(&as_olga(folder, &["sets"]), 0, &["fraud features, then fraud-api"]);

    // Both move, in their order, by the word of two people who did not ask for it.
    let asked = pull(folder, "1.3.2");
    has(
        &asked,
        3,
        &[
            "set:fraud:1 waiting for approval",
            "2 more of 2 with role `approver`",
            "`ripcord approve set:fraud:1`",
        ],
    );
    assert!(orders(folder).is_empty());
    let plan = as_olga(folder, &["plan", "show", "set:fraud:1"]);
    let in_plan = [
        "plan 1 of set:fraud:1",
        "set features, then fraud-api; where one of them fails, what has moved goes back",
    ];
    has(&plan, 0, &in_plan);
    has(
        &as_olga(folder, &["status"]),
        3,
        &["set fraud set:fraud:1 waiting for approval", "moves with its set"],
    );
    let refused = as_olga(folder, &["pull", "features", "--to", "1.2.0"]);
    has(&refused, 1, &["the set alone moves the service meanwhile", "`ripcord incidents show set:fraud:1`"]);
    let member = as_olga(folder, &["plan", "show", "fraud-api:1"]);
    has(&member, 1, &["has no plan"]);
    let voted = as_person(folder, "ada", &["approve", "set:fraud:1", "--yes"]);
    has(&voted, 0, &["ada approved"]);
    has(
        &as_olga(folder, &["sets", "show", "fraud"]),
        3,
        &["1 more of 2 with role `approver` (ada agreed; bob may)"],
    );
    has(&as_person(folder, "bob", &["approve", "set:fraud:1", "--yes"]), 0, &["bob approved"]);
    let watched = as_olga(folder, &["incidents", "watch", "set:fraud:1"]);
    has(&watched, 0, &["last run set:fraud:1 moved", "approved by ada, bob", "in place together"]);
    assert_eq!(orders(folder), ["features 1.3.2", "fraud-api 1.3.2"]);
    assert_eq!(live(folder), ["1.3.2", "1.3.2"]);
    let shown = as_olga(folder, &["incidents", "show", "fraud-api:1"]);
    has(&shown, 0, &["fraud-api:1 rolled back", "moves with set:fraud:1", "served after 1.3.2"]);
    let nothing = as_olga(folder, &["pull", "--set", "fraud"]);
    has(&nothing, 1, &["no consistent set to go back to", "`ripcord pull --set fraud --to MEMBER=VERSION`"]);

    // The second part fails: the first goes back, and nothing is condemned.
    std::fs::write(folder.join("refused-fraud-api"), "1.2.0").expect("writes");
    has(&pull(folder, "1.2.0"), 3, &["set:fraud:2 waiting for approval"]);
    agree(folder, "set:fraud:2");
    let watched = as_olga(folder, &["incidents", "watch", "set:fraud:2"]);
    has(&watched, 1, &["last run set:fraud:2 went back", "fraud-api version 1.2.0 failed"]);
    assert_eq!(orders(folder)[2..], ["features 1.2.0", "features 1.3.2"]);
    assert_eq!(live(folder), ["1.3.2", "1.3.2"]);
    let json = as_olga(folder, &["--json", "sets", "show", "fraud"]).json();
    assert_eq!(
        (&json["run"], &json["last"]["end"]),
        (&serde_json::Value::Null, &"went-back".into()),
        "{json}"
    );
    assert_eq!(json["last"]["parts"][0]["state"], "went back", "{json}");

    // Before its first part a run is aborted as a whole.
    has(&pull(folder, "1.2.0"), 3, &["set:fraud:3 waiting for approval"]);
    has(&as_olga(folder, &["abort", "set:fraud:3", "--reason", "not now"]), 0, &["set:fraud:3", "aborted"]);
    has(&as_olga(folder, &["incidents", "watch", "set:fraud:3"]), 1, &["last run set:fraud:3 aborted"]);

    // A run that was long ago has its page.
    let long_ago = as_olga(folder, &["incidents", "show", "set:fraud:1"]);
    let happened = [
        "olga asked for `features` to version 1.3.2, `fraud-api` to version 1.3.2: they do not fit",
        "`features` enlisted as features:1, serving 1.4.0",
        "bob approved plan",
        "the part of `fraud-api` is over: it is in place",
    ];
    has(&long_ago, 0, &happened);

    // A member that is paused is told at once.
    assert_eq!(as_olga(folder, &["pause", "fraud-api", "--reason", "a migration"]).code, 0);
    let told = as_olga(folder, &["sets", "show", "fraud"]);
    has(&told, 0, &["`olga` paused it: `ripcord resume fraud-api` lets it go on"]);
    let paused = pull(folder, "1.2.0");
    has(
        &paused,
        1,
        &["not all members could be enlisted", "`olga` paused it: `ripcord resume fraud-api` lets it go on"],
    );
    assert_eq!(orders(folder).len(), 4, "nothing was shifted");
}

/// The same without a host that runs: each command takes the run as far as it can.
#[test]
fn a_set_moves_without_a_running_host() {
    let made = world();
    let folder = made.path();
    has(&pull(folder, "1.3.2"), 3, &["set:fraud:1 waiting for approval"]);
    agree(folder, "set:fraud:1");
    assert_eq!(orders(folder), ["features 1.3.2", "fraud-api 1.3.2"]);
    has(&as_olga(folder, &["sets", "show", "fraud"]), 0, &["last run set:fraud:1 moved"]);
    has(
        &as_olga(folder, &["incidents", "show", "set:fraud:1"]),
        0,
        &["features version 1.3.2 has moved features:1"],
    );
    let verified = as_olga(folder, &["store", "verify"]);
    has(&verified, 0, &["features: whole", "fraud-api: whole", "set:fraud: whole"]);
}

/// What cannot be meant is told with what can.
#[test]
fn what_cannot_be_meant_of_a_set_is_told() {
    let made = world();
    let folder = made.path();
    let tells = |arguments: &[&str], code, said: &str| has(&as_olga(folder, arguments), code, &[said]);
    tells(&["pull", "--set", "fraud", "--to", "1.3.2"], 2, "write `--to MEMBER=1.3.2`");
    tells(
        &["pull", "--set", "fraud", "--to", "features=1.3.2", "--to", "features=1.4.0"],
        2,
        "is named twice",
    );
    tells(&["pull", "features", "--to", "features=1.3.2"], 2, "add `--set NAME`");
    tells(&["pull", "features", "--to", "1.3.2", "--to", "1.4.0"], 2, "keep one `--to`");
    tells(&["pull", "features", "--set", "fraud"], 2, "cannot be used with");
    tells(&["pull", "--set", "other", "--to", "features=1.3.2"], 2, "there is no set `other`");
    tells(&["pull", "--set", "fraud", "--to", "strange=1.3.2"], 1, "`ripcord sets show fraud` lists them");
    tells(&["pull", "--set", "fraud", "--to", "features=9.9.9"], 2, "9.9.9");
    tells(&["pull", "--set", "fraud"], 1, "no consistent set to go back to");
    tells(&["sets", "show", "other"], 2, "it has `fraud`");
    tells(&["incidents", "show", "set:fraud:1"], 2, "`ripcord sets show fraud` shows the last one");
    tells(&["plan", "show", "set:fraud:1"], 2, "there is no run `set:fraud:1`");
    tells(&["approve", "set:fraud:1", "--yes"], 2, "there is no run `set:fraud:1`");
    tells(&["dismiss", "set:fraud:1"], 1, "no run of `fraud` goes on");
    tells(&["answer", "set:fraud:1", "applied"], 2, "is a run of the set `fraud`");
    assert!(orders(folder).is_empty());
}
