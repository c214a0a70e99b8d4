//! More at once than there should be.

use std::time::Duration;

use serde_json::Value;

use crate::bad_input::table;
use crate::bad_input::world::{Shown, World};
use crate::support::alerts::firing;
use crate::support::host::script;
use crate::support::kept::Kept;

const SERVICES: usize = 40;
const SHIFTS_PER_HOUR: usize = 5;

table! {
    /// Whatever comes first opens the incident; the other is attached to it.
    two_signals_at_once {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let sent = ["eu", "us"].map(|slice| host.sending(&firing(&[&[("model", "fraud"), ("slice", slice)]])));
            let [first, second] = sent;
            let (first, second) = tokio::join!(first, second);
            assert_eq!((&first.body["accepted"], &second.body["accepted"]), (&1.into(), &1.into()));
            host.until("fraud-api", |state| state["last_settled"]["outcome"] == "rolled-back").await;
            // Both were taken into the journal, not only into the intake.
            let state = host.get("services/fraud-api").await;
            assert!(state["incident"].is_null(), "{state}");
            assert_eq!(world.live().await, "1.3.2");
            let listed = host.get("incidents").await;
            let lines = listed.as_array().unwrap().iter().map(|line| format!("{} {}\n", line["id"], line["outcome"]));
            Shown::of("POST /hooks/alerts", &first).and(Shown(lines.collect()))
        },
        kept: Some(Kept { signals: 2, incidents: 1, shifts: 1 }),
    }

    /// Forty services alarm in one webhook: so many shift by themselves, for the others people are asked.
    alert_storm_over_forty_services {
        world: forty_services(),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let names: Vec<String> = (1..=SERVICES).map(|number| format!("s-{number:02}")).collect();
            for name in &names {
                let body = serde_json::json!({"revision": "1.3.2", "reason": "it was live for weeks"});
                let adopted = host.post(&format!("services/{name}/adopt"), &body).await;
                assert_eq!(adopted.status, 200, "{}", adopted.body);
            }
            let alerts: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("service", name.as_str())]).collect();
            let alerts: Vec<&[(&str, &str)]> = alerts.iter().map(|labels| &labels[..]).collect();
            let taken = host.send(&firing(&alerts)).await;
            let (rolled_back, asked) = calm(world).await;
            assert_eq!((rolled_back, asked.len()), (SHIFTS_PER_HOUR, SERVICES - SHIFTS_PER_HOUR));
            let asked = &asked[0];
            let incident = host.get(&format!("incidents/{}", asked["id"].as_str().unwrap())).await;
            let service = incident["service"].as_str().unwrap();
            let waits = world.olga(&["status", service]);
            assert_eq!(waits.code, 3, "{}", waits.stderr);
            let waits = waits.stdout.lines().find(|line| line.contains("incident")).unwrap().replace(service, "SERVICE");
            let shown = Shown::of("POST /hooks/alerts", &taken)
                .line(&format!("{rolled_back} rolled back by themselves; `ripcord status` of each of the others:"))
                .line(&as_if_all_were_begun(&waits));
            // People can still bring each of them back.
            let approved = world.olga(&["approve", asked["id"].as_str().unwrap(), "--yes"]);
            assert_eq!(approved.code, 0, "{}", approved.stderr);
            host.until(service, |state| state["last_settled"]["outcome"] == "rolled-back").await;
            shown
        },
        kept: Some(Kept { signals: SERVICES, incidents: SERVICES as u64, shifts: SHIFTS_PER_HOUR + 1 }),
    }
}

/// How many of the shifts were begun when the breaker was asked and how many were about to begin is a matter of chance, their sum is not.
fn as_if_all_were_begun(line: &str) -> String {
    let (before, rest) = line.split_once("the breaker: ").unwrap();
    let (why, after) = rest.split_once(')').unwrap();
    let numbers: Vec<usize> = why.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.iter().sum::<usize>(), SHIFTS_PER_HOUR, "{line}");
    let why = match numbers[..] {
        [_] => why.to_owned(),
        [_, reserved] => {
            let begun = why.strip_suffix(&format!(", and {reserved} more about to begin")).unwrap();
            let (_, what) = begun.split_once(" of this host").unwrap();
            format!("{SHIFTS_PER_HOUR} automatic shifts of this host{what}")
        }
        _ => panic!("{line}"),
    };
    format!("{before}the breaker: {why}){after}")
}

/// Waits until every service is settled or asks people: how many rolled back, and the incidents that wait.
async fn calm(world: &World) -> (usize, Vec<Value>) {
    let mut last = Vec::new();
    for _ in 0..600 {
        let services = world.host().get("services").await;
        last.clone_from(services.as_array().unwrap());
        let rolled_back =
            last.iter().filter(|state| state["last_settled"]["outcome"] == "rolled-back").count();
        let asked: Vec<Value> = last
            .iter()
            .map(|state| state["incident"].clone())
            .filter(|open| open["wanted"].as_array().is_some_and(|wanted| !wanted.is_empty()))
            .collect();
        if rolled_back + asked.len() == SERVICES {
            return (rolled_back, asked);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the storm does not end: {last:#?}");
}

/// Forty services behind the same small programs, each with a state of its own.
fn forty_services() -> World {
    let mut text = format!(
        r#"
[host]
listen = "{{HOST}}"
shifts-per-hour = {SHIFTS_PER_HOUR}

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[sources.alerts]
kind = "alertmanager"
auth = {{ bearer-env = "ALERTS_TOKEN" }}
"#
    );
    for number in 1..=SERVICES {
        let name = format!("s-{number:02}");
        text.push_str(&format!(
            r#"
[[sources.alerts.routes]]
match = {{ service = "{name}" }}
service = "{name}"

[services.{name}]
mode = "act"
criticality = "low"
proof-min = "control-plane"
registry = {{ kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{{into}}"] }}
deployer = {{ kind = "command", shift = ["./shift.sh", "{name}", "{{version}}"], live = ["./live.sh", "{name}"], effect = "observable" }}

[[services.{name}.triggers]]
policy = "security-alert-trigger"
settings = {{ alerts = [{{ labels = {{ severity = "page" }} }}] }}

[services.{name}.planner]
policy = "last-known-good"

[[services.{name}.approvals]]
policy = "auto-low-risk"
settings = {{ urgency-at-most = "emergency" }}
"#
        ));
    }
    let world = World::of(&text);
    let script = |name: &str, text: &str| script(world.path(), name, &format!("#!/bin/sh\n{text}\n"));
    // Made today: what is older than a quarter is no target.
    script(
        "list.sh",
        r#"made=$(date -u +%Y-%m-%dT%H:%M:%SZ)
printf '[{"version": "1.3.2", "created-at": "%s"}, {"version": "1.4.0", "created-at": "%s"}]' "$made" "$made""#,
    );
    script("fetch.sh", r#"printf model > "$1/model.bin""#);
    script("shift.sh", r#"printf '%s' "$2" > "live-$1""#);
    script("live.sh", r#"printf '{"shares": [{"version": "%s"}]}' "$(cat "live-$1")""#);
    for number in 1..=SERVICES {
        world.write(&format!("live-s-{number:02}"), "1.4.0");
    }
    world
}
