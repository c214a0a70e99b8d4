//! A disk without space, as a limit on the size of files: every write of the host fails while it lasts.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bad_input::table;
use crate::bad_input::world::{Shown, World};
use crate::support::alerts::firing;
use crate::support::disk::{fill, free, on_a_small_disk};
use crate::support::host::answer;
use crate::support::kept::Kept;

/// Far less than anyone is willing to wait.
const AT_ONCE: Duration = Duration::from_secs(10);

fn asks(state: &Value) -> bool {
    state["incident"]["wanted"].as_array().is_some_and(|wanted| !wanted.is_empty())
}

table! {
    /// Never a 2xx for what is not on disk; the sender comes again, and the host goes on without a restart.
    disk_full {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            serve_on_a_small_disk(world).await;
            let alert = firing(&[&[("model", "fraud")]]);
            fill(world.host());
            let refused = world.host().send(&alert).await;
            assert_eq!(refused.status, 503);
            let ready = answer(world.host().request(reqwest::Method::GET, "readyz")).await;
            let shown = Shown::of("POST /hooks/alerts", &refused)
                .and(Shown::of("GET /readyz", &ready))
                .and(world.cli(&["status", "fraud-api"]))
                .and(world.cli(&["pull", "fraud-api", "--to", "1.3.2"]));
            free(world.host());
            let ready = answer(world.host().request(reqwest::Method::GET, "readyz")).await;
            assert_eq!((ready.status, ready.body), (200, "ready\n".into()));
            let taken = world.host().send(&alert).await;
            assert_eq!((taken.status, &taken.body["accepted"]), (200, &1.into()), "{:?}", taken.body);
            world.host().until("fraud-api", |state| state["last_settled"]["outcome"] == "rolled-back").await;
            assert_eq!(world.live().await, "1.3.2");
            shown
        },
        kept: Some(Kept { signals: 1, incidents: 1, shifts: 1 }),
    }

    /// It runs full while people are asked: a vote is refused and does not count later; what was begun goes on.
    disk_that_fills_up_within_an_incident {
        world: World::new().with("mode = \"act\"", "mode = \"ask\"").with_model().with_good_version(),
        does: async |world| {
            serve_on_a_small_disk(world).await;
            world.host().send(&firing(&[&[("model", "fraud")]])).await;
            // It may still have to write that people were told, or not: the answer is the same.
            world.host().until("fraud-api", asks).await;
            fill(world.host());
            let since = Instant::now();
            let approved = world.cli(&["approve", "fraud-api:1", "--yes"]);
            assert!(since.elapsed() < AT_ONCE, "answered after {:?}", since.elapsed());
            let shown = approved.and(without_chance(world.cli(&["status", "fraud-api"])));
            free(world.host());
            // Longer than the host waits before it writes again.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let state = world.host().until("fraud-api", |state| state["stuck"].is_null()).await;
            assert!(asks(&state), "{state}");
            let incident = world.host().get("incidents/fraud-api:1").await;
            assert_eq!(incident["votes"], Value::Array(Vec::new()), "{incident}");
            assert_eq!(world.live().await, "1.4.0");
            let approved = world.olga(&["approve", "fraud-api:1", "--yes"]);
            assert_eq!(approved.code, 0, "{}", approved.stderr);
            world.host().until("fraud-api", |state| state["last_settled"]["outcome"] == "rolled-back").await;
            assert_eq!(world.live().await, "1.3.2");
            shown
        },
        kept: Some(Kept { signals: 1, incidents: 1, shifts: 1 }),
    }

    /// It runs full under an incident that waits for nobody.
    disk_that_fills_up_under_an_automatic_incident {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            serve_on_a_small_disk(world).await;
            let sending = world.host().sending(&firing(&[&[("model", "fraud")]]));
            assert_eq!(sending.await.status, 200);
            fill(world.host());
            let stuck = world.host().until("fraud-api", |state| state["stuck"].is_string()).await;
            let ready = answer(world.host().request(reqwest::Method::GET, "readyz")).await;
            let since = Instant::now();
            let paused = world.cli(&["pause", "fraud-api", "--reason", "wait"]);
            assert!(since.elapsed() < AT_ONCE, "answered after {:?}", since.elapsed());
            let shown = Shown::of("GET /readyz", &ready).line(stuck["stuck"].as_str().unwrap()).and(paused);
            free(world.host());
            // A pause that counted later would keep it from this.
            world.host().until("fraud-api", |state| state["last_settled"]["outcome"] == "rolled-back").await;
            assert_eq!(world.live().await, "1.3.2");
            shown
        },
        kept: Some(Kept { signals: 1, incidents: 1, shifts: 1 }),
    }
}

/// Whether people were told before the disk was full is a matter of chance, and so whether the host has something to write and is stuck with it.
fn without_chance(shown: Shown) -> Shown {
    let chance = ["  people ", "  stuck ", "exit code "];
    Shown(
        shown
            .0
            .lines()
            .filter(|line| !chance.iter().any(|start| line.starts_with(start)))
            .map(|line| format!("{line}\n"))
            .collect(),
    )
}

async fn serve_on_a_small_disk(world: &mut World) {
    world.host = Some(on_a_small_disk(world.path()).await);
}
