//! A team's own rule that goes wrong.

use std::path::Path;

use ripcord_pack::{PackOptions, Resolution, build_all};

use crate::bad_input::table;
use crate::bad_input::world::{Shown, World};
use crate::support::alerts::firing;
use crate::support::kept::Kept;

const TRIGGER: &str =
    "policy = \"security-alert-trigger\"\nsettings = { alerts = [{ labels = { severity = \"page\" } }] }";

table! {
    /// A trap is no verdict: people are alarmed, the service's other trigger still decides, and nothing else happens.
    policy_that_faults {
        world: with_own_rule().with_model().with_good_version(),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let taken = host.send(&firing(&[&[("model", "fraud"), ("alertname", "panic")]])).await;
            assert_eq!((taken.status, &taken.body["accepted"]), (200, &1.into()));
            let told = logged(world, &["a policy faulted", "`scripted` of `fraud-api` faults on an alert"]).await;
            let state = host.until("fraud-api", |state| state["announcements_waiting"] == 0).await;
            assert!(state["incident"].is_null() && state["stuck"].is_null(), "{state}");
            assert_eq!(world.live().await, "1.4.0");
            let replayed = world.olga(&["--json", "replay", "--all"]);
            let json: serde_json::Value = serde_json::from_str(&replayed.stdout).unwrap();
            let decision = json["decisions"].as_array().unwrap().iter().find(|one| !one["fault"].is_null()).unwrap();
            assert!(decision["fault"]["kind"]["panic"].is_object(), "{decision}");
            assert_eq!(decision["log"][0]["text"], "looking for a signal of the rule `panic`");
            let shown = without_offsets(Shown(told)).and(world.cli(&["incidents", "list"]));
            let replayed = world.scrubbed(&world.cli(&["replay", "--all"]).0);
            shown.and(without_offsets(Shown(replayed)))
        },
        kept: Some(Kept { signals: 1, incidents: 0, shifts: 0 }),
    }

    /// A component that is cut short is refused before anything starts.
    policy_that_is_cut_short {
        world: {
            let world = with_own_rule().with("{MODEL}", "127.0.0.1:9");
            let file = world.path().join("rule.wasm");
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            world
        },
        does: async |world| without_offsets(world.cli(&["serve"])),
        kept: None,
    }
}

/// The suites' own policy.
pub(crate) fn own_rule() -> Vec<u8> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripted");
    let options = PackOptions {
        manifest_dirs: vec![manifest],
        // Where the suites that cross crates build it too.
        target_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("suites/guests"),
        resolution: Resolution::Free,
    };
    build_all(&options).expect("it builds").remove(0).component
}

/// The same as the team's: an alert `panic` makes it panic.
fn with_own_rule() -> World {
    let world = World::new()
        .with("[services.fraud-api]\n", "[policies.rule]\nfile = \"rule.wasm\"\n\n[services.fraud-api]\n")
        .with(TRIGGER, "policy = \"rule\"\nsettings = {}");
    std::fs::write(world.path().join("rule.wasm"), own_rule()).unwrap();
    world
}

/// Where in a component or a file something is changes with every build of it.
fn without_offsets(shown: Shown) -> Shown {
    let number = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_digit());
    let word = |word: &str| {
        let parts =
            word.split_inclusive([':', '.', ')']).map(|part| match part.trim_end_matches([':', '.', ')']) {
                bare if number(bare) => part.replacen(bare, "N", 1),
                _ => part.to_owned(),
            });
        parts.collect::<String>()
    };
    Shown(
        shown
            .0
            .split_inclusive([' ', '\n'])
            .map(|text| {
                let bare = text.trim_end_matches([' ', '\n']);
                text.replacen(bare, &word(bare), 1)
            })
            .collect(),
    )
}

/// The lines of the host's log that say so, in that order.
async fn logged(world: &World, said: &[&str]) -> String {
    for _ in 0..500 {
        let log = world.host().log();
        let parsed: Vec<serde_json::Value> =
            log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let find = |said: &&str| {
            parsed.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(said)))
        };
        let found: Vec<_> = said.iter().filter_map(find).collect();
        if found.len() == said.len() {
            let line = |line: &&serde_json::Value| {
                let fault = line["fault"].as_str().map(|fault| format!(": {fault}")).unwrap_or_default();
                format!("{} {}{fault}\n", line["level"].as_str().unwrap(), line["message"].as_str().unwrap())
            };
            return found.iter().map(line).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nobody was told: {}", world.host().log().join("\n"));
}
