//! Systems around the host that are not as they should be. The version that is served stays.

use std::fs;
use std::io::Write as _;

use crate::bad_input::world::{Shown, World, told};
use crate::bad_input::{NOTHING, table};
use crate::support::alerts::firing;
use crate::support::host::script;
use crate::support::kept::Kept;

const PULL: [&str; 6] = ["pull", "fraud-api", "--to", "1.3.2", "--reason", "it declines everyone"];
const DIRECTORY: &str = "{ kind = \"directory\", root = \"registry\" }";
const ASKED_IN_VAIN: Option<Kept> = Some(Kept { signals: 0, incidents: 1, shifts: 0 });
const ALERTED_IN_VAIN: Option<Kept> = Some(Kept { signals: 1, incidents: 1, shifts: 0 });

table! {
    /// A share that is not mounted.
    unreachable_registry {
        world: World::new().with_model(),
        does: async |world| {
            fs::rename(world.path().join("registry"), world.path().join("elsewhere")).unwrap();
            let check = world.cli(&["check"]).0;
            let wrong = check.lines().filter(|line| line.starts_with("error") || line.starts_with("exit"));
            let shown = world.cli(&PULL).line("$ ripcord check").line(&wrong.collect::<Vec<_>>().join("\n"));
            still_bad(world, shown).await
        },
        kept: NOTHING,
    }

    /// A registry that refuses connections while the host runs: a person's pull is answered at once.
    registry_that_goes_away {
        world: {
            let registry = "{ kind = \"command\", list = [\"./list.sh\"], fetch = [\"./fetch.sh\", \"{into}\"] }";
            let world = World::new().with(DIRECTORY, registry).with_model();
            for name in ["list.sh", "fetch.sh"] {
                script(world.path(), name, "#!/bin/sh\necho 'connect to registry.invalid:443: connection refused' >&2\nexit 1\n");
            }
            world
        },
        does: async |world| {
            world.serve().await;
            let shown = world.cli(&PULL);
            still_bad(world, shown).await
        },
        kept: NOTHING,
    }

    /// The manifest names a file that is not there: no person and no rule can choose the version.
    missing_artefact {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            fs::remove_file(world.path().join("registry/fraud/1.3.2/files/model.json")).unwrap();
            refused_to_all(world).await
        },
        kept: ALERTED_IN_VAIN,
    }

    /// One byte more than the manifest says.
    wrong_size {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            let file = world.path().join("registry/fraud/1.3.2/files/model.json");
            fs::OpenOptions::new().append(true).open(file).unwrap().write_all(b"\n").unwrap();
            refused_to_all(world).await
        },
        kept: ALERTED_IN_VAIN,
    }

    /// As many bytes as the manifest says, and one of them another.
    wrong_digest {
        world: World::new().with_model(),
        does: async |world| {
            let file = world.path().join("registry/fraud/1.3.2/files/model.json");
            let text = fs::read_to_string(&file).unwrap();
            let changed = text.replacen('1', "2", 1);
            assert!(text != changed && text.len() == changed.len());
            fs::write(&file, changed).unwrap();
            world.serve().await;
            let pulled = world.olga(&PULL);
            let incident = world.host().get("incidents/fraud-api:1").await;
            let shown = Shown(format!("$ ripcord pull\nexit code {}\n", pulled.code)).and(told(&incident));
            still_bad(world, shown).await
        },
        kept: ASKED_IN_VAIN,
    }

    /// Its process is gone: what is live is unknown, and nothing is shifted.
    service_that_does_not_answer {
        // The service has as long to come back before people are asked.
        world: World::new()
            .with("watch-floor-seconds = 0.5", "planning-seconds = 1\nwatch-floor-seconds = 0.5")
            .with_model()
            .with_good_version(),
        does: async |world| {
            world.serve().await;
            world.model = None;
            let status = world.cli(&["status"]);
            world.host().send(&firing(&[&[("model", "fraud")]])).await;
            world.host().until("fraud-api", |state| asks(&state["incident"])).await;
            let incident = world.host().get("incidents/fraud-api:1").await;
            status.and(told(&incident))
        },
        kept: ALERTED_IN_VAIN,
    }

    /// Nobody vouched for any version, and none was ever verified.
    nothing_to_go_back_to {
        world: World::new().with_model(),
        does: async |world| {
            world.serve().await;
            world.host().send(&firing(&[&[("model", "fraud")]])).await;
            world.host().until("fraud-api", |state| asks(&state["incident"])).await;
            let incident = world.host().get("incidents/fraud-api:1").await;
            assert_eq!(world.olga(&["pull", "fraud-api"]).code, 3, "a person who names no version gets no other answer");
            still_bad(world, told(&incident)).await
        },
        kept: ALERTED_IN_VAIN,
    }
}

/// Whether people are asked, for approval or for what to do.
fn asks(incident: &serde_json::Value) -> bool {
    incident["needs"].is_string() || incident["wanted"].as_array().is_some_and(|wanted| !wanted.is_empty())
}

/// A person pulls to 1.3.2, then an alert comes.
async fn refused_to_all(world: &mut World) -> Shown {
    world.serve().await;
    let pulled = world.cli(&PULL);
    world.host().send(&firing(&[&[("model", "fraud")]])).await;
    world.host().until("fraud-api", |state| asks(&state["incident"])).await;
    let incident = world.host().get("incidents/fraud-api:1").await;
    still_bad(world, pulled.and(told(&incident))).await
}

/// What was live still is.
async fn still_bad(world: &World, shown: Shown) -> Shown {
    assert_eq!(world.live().await, "1.4.0");
    shown
}
