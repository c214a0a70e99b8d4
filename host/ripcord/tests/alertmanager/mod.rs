//! A real Alertmanager sends, the real program receives. Not run unless asked for; then a missing `prometheus-alertmanager` fails the suite:
//!
//!     PATH=$(.ci/monitoring):$PATH cargo test --workspace --test suite -- --ignored alertmanager::
//!
//! Alerts are posted to Alertmanager as Prometheus posts them; what goes on from there is its own doing. After each test the host is killed, not
//! stopped: what counts as kept is on disk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod sender;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::bad_input::world::World;
use crate::support::disk::{fill, free, on_a_small_disk};
use crate::support::host::Host;
use crate::support::kept::{Kept, kept};
use sender::{Alertmanager, Route, firing, resolved};

const BASIC: &str = r#"
[sources.basic]
kind = "alertmanager"
auth = { basic = { user = "am", password-file = "am.password" } }

[[sources.basic.routes]]
match = { model = "fraud" }
service = "fraud-api"

[services.fraud-api]
"#;

/// A model server that serves the bad version, a good one to go back to, two sources. The host does not run yet.
fn world() -> World {
    let world = World::new().with("\n[services.fraud-api]\n", BASIC);
    world.write("am.password", "s3cret");
    world.with_model().with_good_version()
}

/// The counter of the host that is named so.
async fn counted(host: &Host, name: &str) -> u64 {
    let text = host.request(Method::GET, "metrics").send().await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no `{name}` in\n{text}"))
}

fn accepted(host: &Host) -> impl Future<Output = u64> {
    counted(host, "ripcord_signals_accepted_total")
}

async fn rolled_back(world: &World) {
    world.host().until("fraud-api", |state| state["last_settled"]["outcome"] == "rolled-back").await;
    assert_eq!(world.live().await, "1.3.2");
}

/// Kills the host and counts what is on disk.
async fn on_disk(mut world: World) -> Kept {
    world.host.take().unwrap().kill();
    crate::support::compiled::keep(world.path());
    kept(world.path()).await.unwrap()
}

#[tokio::test]
#[ignore = "wants prometheus-alertmanager"]
async fn each_receiver_proves_itself_and_the_wrong_ones_are_told_so() {
    let mut world = world();
    world.serve().await;
    let routes = [
        Route::bearer("wrong-token", "alerts", "no-such-token"),
        Route::basic("wrong-password", "basic", "am", "s3cre"),
        Route::basic("basic-at-a-bearer-source", "alerts", "am", "s3cret"),
        Route::right("right-token"),
        Route::basic("right-password", "basic", "am", "s3cret"),
    ];
    let sender = Alertmanager::start(&world.host().url, &routes).await;
    sender.post(&[firing("eu")]).await;
    sender.until(|counts| counts.failed >= 3 && counts.sent >= 5).await;
    rolled_back(&world).await;

    let log = sender.log();
    for (receiver, why) in [
        ("wrong-token", "the bearer token is wrong"),
        ("wrong-password", "user or password is wrong"),
        ("basic-at-a-bearer-source", "no bearer token was given"),
    ] {
        let said = log.lines().find(|line| line.contains(&format!("err=\"{receiver}/webhook[0]")));
        let said = said.unwrap_or_else(|| panic!("nothing of {receiver}: {log}"));
        assert!(said.contains("after 1 attempts: unexpected status code 401"), "{said}");
        assert!(said.contains(why), "our sentence is in the sender's log: {said}");
    }
    let ours: Vec<_> =
        world.host().log().into_iter().filter(|line| line.contains("a webhook was refused")).collect();
    // What was refused stays unsent for its group, which the sender flushes again every second, and at first sometimes twice: that is no retry.
    let refused: BTreeSet<String> = ours
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            format!("{}: {}", line["source"].as_str().unwrap(), line["why"].as_str().unwrap())
        })
        .collect();
    let refused: Vec<_> = refused.iter().map(|one| one.split_once(": send").unwrap().0).collect();
    assert_eq!(
        refused,
        [
            "alerts: no bearer token was given",
            "alerts: the bearer token is wrong",
            "basic: user or password is wrong"
        ],
        "each is in our log: {ours:?}"
    );
    assert!(!ours.iter().any(|line| line.contains("s3cre") || line.contains("no-such-token")), "{ours:?}");
    // `continue: true`: the alert came by two sources, neither of which may swallow the other's; it is one incident.
    assert_eq!(on_disk(world).await, Kept { signals: 2, incidents: 1, shifts: 1 });
}

#[tokio::test]
#[ignore = "wants prometheus-alertmanager"]
async fn what_continues_to_a_second_receiver_of_the_same_source_is_one_signal() {
    let mut world = world();
    world.serve().await;
    let sender = Alertmanager::start(&world.host().url, &[Route::right("one"), Route::right("two")]).await;
    sender.post(&[firing("eu")]).await;
    let counts = sender.until(|counts| counts.sent >= 2).await;
    assert_eq!(counts.failed, 0);
    rolled_back(&world).await;
    assert_eq!(on_disk(world).await, Kept { signals: 1, incidents: 1, shifts: 1 });
}

#[tokio::test]
#[ignore = "wants prometheus-alertmanager"]
async fn a_group_that_is_repeated_and_changes_gives_only_what_is_new() {
    let mut world = world();
    world.serve().await;
    let route = Route { repeats: "1s", ..Route::right("ripcord") };
    let sender = Alertmanager::start(&world.host().url, &[route]).await;
    sender.post(&[firing("eu"), firing("us")]).await;
    rolled_back(&world).await;
    sender.until(|counts| counts.sent >= 3).await;
    assert_eq!(accepted(world.host()).await, 2, "repeats are no signals");
    assert!(counted(world.host(), "ripcord_signals_repeated_total").await >= 2);
    assert_eq!(world.host().get("services/fraud-api").await["last_settled"]["id"], "fraud-api:1");

    // Its group goes on firing: the payload holds both.
    sender.post(&[resolved("eu")]).await;
    let before = sender.counts().await.sent;
    sender.until(|counts| counts.sent >= before + 2).await;
    assert_eq!(accepted(world.host()).await, 3, "the end of one alert is news, its companion is not");
    assert_eq!(on_disk(world).await, Kept { signals: 3, incidents: 1, shifts: 1 });
}

#[tokio::test]
#[ignore = "wants prometheus-alertmanager"]
async fn what_our_503_refused_comes_again_and_counts_once() {
    let mut world = world();
    world.host = Some(on_a_small_disk(world.path()).await);
    let sender = Alertmanager::start(&world.host().url, &[Route::right("ripcord")]).await;
    fill(world.host());
    sender.post(&[firing("eu")]).await;
    sender.until(|counts| counts.requests_failed >= 2).await;
    let state = world.host().get("services/fraud-api").await;
    assert_eq!((&state["incident"], &state["last_settled"]), (&Value::Null, &Value::Null));
    free(world.host());
    rolled_back(&world).await;
    assert!(sender.log().contains("unexpected status code 503"), "{}", sender.log());
    assert_eq!(on_disk(world).await, Kept { signals: 1, incidents: 1, shifts: 1 });
}

#[tokio::test]
#[ignore = "wants prometheus-alertmanager"]
async fn alerts_that_were_left_out_are_told() {
    let mut world = world();
    world.serve().await;
    let route = Route { alerts_max: 1, ..Route::right("ripcord") };
    let sender = Alertmanager::start(&world.host().url, &[route]).await;
    sender.post(&[firing("eu"), firing("us"), firing("asia")]).await;
    sender.until(|counts| counts.sent >= 1).await;
    rolled_back(&world).await;
    let listed = world.host().get("signals/unrouted").await;
    let [told] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    let why = told["why"].as_str().unwrap();
    assert!(why.contains('2') && why.contains("max_alerts"), "{why}");
    assert_eq!(told["source"], json!("alerts"));
    assert_eq!(on_disk(world).await, Kept { signals: 2, incidents: 1, shifts: 1 });
}
