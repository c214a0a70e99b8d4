//! What is put back beside the model, and what makes versions, where their systems are not as they should be. Each says why not, in the list and to who pulls.

use std::path::Path;
use std::process::Command;

use crate::bad_input::world::{Shown, World, told};
use crate::bad_input::{NOTHING, table};
use crate::support::fraud::configuration;
use crate::support::kept::Kept;

const CONNECTED: &str = r#"golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
deployer = { kind = "open-inference", url = "http://{MODEL}", model-directory = "models/fraud" }
endpoint = { output = "decision" }
"#;

const IN_GIT: &str = r#"
[services.fraud-api.configurations.limits]
kind = "git"
repository = "settings"
path = "limits.toml"
"#;

const SAFE_MODE: &str = r#"
[services.fraud-api.fallback]
kind = "http"
url = "http://{MODEL}/mode"
pointer = "/mode"
revisions = { off = "model", rules = "rules" }
holder = "service"
"#;

const TRAINS: &str = r#"
[services.fraud-api.producer]
kind = "command"
folder = "."
train = ["./train.sh"]
look-seconds = 0.2
"#;

const ASKED_IN_VAIN: Option<Kept> = Some(Kept { signals: 0, incidents: 1, shifts: 0 });
const SAFE: [&str; 6] = ["pull", "fraud-api", "--fallback", "rules", "--reason", "it declines everyone"];
const AGAIN: [&str; 8] =
    ["pull", "fraud-api", "--retrain", "clicks@r7", "--exclude", "source=bots", "--reason", "bots"];
const LISTED: [&str; 4] = ["targets", "fraud-api", "--facet", "limits"];

/// A service with this as well; rules agree to whatever a person asks for.
fn with(more: &str) -> World {
    let strategies = "urgency-at-most = \"emergency\", strategies = [\"version\", \"configuration\", \"fallback\", \"retrain\"]";
    let text = configuration(&format!("{CONNECTED}{more}"));
    World::of(&text.replace("urgency-at-most = \"emergency\"", strategies))
}

/// Runs `git` as a person would, at the same moment each time.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let ran = Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, "2026-11-20T08:00:00Z")))
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .output()
        .expect("git runs");
    assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8").trim().to_owned()
}

fn commit(folder: &Path, content: &str) -> String {
    std::fs::write(folder.join("limits.toml"), content).expect("writes");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "--quiet", "-m", "Limits"]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A configuration in a repository with two revisions; gives the older one.
fn in_git(world: &World) -> String {
    let folder = world.path().join("settings");
    std::fs::create_dir(&folder).expect("a folder");
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["config", "receive.denyCurrentBranch", "updateInstead"]);
    let one = commit(&folder, "limit = 1\n");
    commit(&folder, "limit = 2\n");
    one
}

/// What the list says of the limits, and what a pull to this revision comes to.
async fn listed_and_pulled(world: &mut World, revision: &str) -> Shown {
    world.serve().await;
    let to = format!("limits={revision}");
    let listed = world.cli(&LISTED);
    let pulled = world.cli(&[
        "pull",
        "fraud-api",
        "--configuration",
        &to,
        "--no-wait",
        "--reason",
        "new limits do harm",
    ]);
    listed.and(pulled)
}

/// What was live still is.
async fn still_bad(world: &World, shown: Shown) -> Shown {
    assert_eq!(world.live().await, "1.4.0");
    shown
}

table! {
    /// Somebody deleted the branch that the configuration is kept on.
    branch_that_is_gone {
        world: with(IN_GIT).with_model(),
        does: async |world| {
            let one = in_git(world);
            git(&world.path().join("settings"), &["branch", "--move", "main", "elsewhere"]);
            listed_and_pulled(world, &one).await
        },
        kept: NOTHING,
    }

    /// Somebody forced another history onto the branch.
    history_that_was_rewritten {
        world: with(IN_GIT).with_model(),
        does: async |world| {
            let one = in_git(world);
            world.serve().await;
            world.cli(&LISTED);
            let folder = world.path().join("settings");
            git(&folder, &["checkout", "--quiet", "--orphan", "new"]);
            commit(&folder, "limit = 3\n");
            git(&folder, &["branch", "--force", "main", "new"]);
            git(&folder, &["checkout", "--quiet", "main"]);
            let to = format!("limits={one}");
            let pull = ["pull", "fraud-api", "--configuration", &to, "--no-wait", "--reason", "new limits do harm"];
            world.cli(&LISTED).and(world.cli(&pull))
        },
        kept: NOTHING,
    }

    /// Somebody changed the file where it lies, and no commit holds that.
    working_tree_with_changes {
        world: with(IN_GIT).with_model(),
        does: async |world| {
            in_git(world);
            std::fs::write(world.path().join("settings/limits.toml"), "limit = 7\n").expect("writes");
            world.serve().await;
            world.cli(&LISTED)
        },
        kept: NOTHING,
    }

    /// Its working tree is on no branch.
    working_tree_that_is_detached {
        world: with(IN_GIT).with_model(),
        does: async |world| {
            in_git(world);
            git(&world.path().join("settings"), &["checkout", "--quiet", "--detach"]);
            world.serve().await;
            world.cli(&LISTED)
        },
        kept: NOTHING,
    }

    /// Nothing stands where the mode would be written: it is not entered, and a person is asked what to do.
    safe_mode_that_cannot_be_entered {
        world: with(&SAFE_MODE.replace("/mode\"\npointer = \"/mode\"", "/mode\"\npointer = \"/mode\"\nwrite = \"put-value\"\nwrite-url = \"http://{MODEL}/nowhere\""))
            .with_model_and(&["--mode-file", "mode.json"]),
        does: async |world| {
            world.serve().await;
            let pulled = world.olga(&SAFE);
            let incident = world.host().get("incidents/fraud-api:1").await;
            Shown(format!("$ ripcord pull --fallback\nexit code {}\n", pulled.code)).and(told(&incident))
        },
        kept: Some(Kept { signals: 0, incidents: 1, shifts: 1 }),
    }

    /// The program that trains is gone.
    pipeline_that_vanished {
        world: with(TRAINS).with_model(),
        does: async |world| {
            crate::support::host::script(world.path(), "train.sh", "#!/bin/sh\nexit 0\n");
            world.serve().await;
            std::fs::remove_file(world.path().join("train.sh")).expect("removes");
            let pulled = world.olga(&AGAIN);
            let incident = world.host().get("incidents/fraud-api:1").await;
            Shown(format!("$ ripcord pull --retrain\nexit code {}\n", pulled.code)).and(told(&incident))
        },
        kept: ASKED_IN_VAIN,
    }

    /// The training says that nothing is left to learn from: there is no version, and all stays as it was.
    training_that_has_nothing_left {
        world: with(TRAINS).with_model(),
        does: async |world| {
            let says = "#!/bin/sh\necho 'nothing is left of the 6000 rows: exclude less, or train on other data' >&2\nexit 1\n";
            crate::support::host::script(world.path(), "train.sh", says);
            world.serve().await;
            let pulled = world.olga(&AGAIN);
            world.host().until("fraud-api", |state| state["runs"][0]["state"] == "failed").await;
            let incident = world.host().get("incidents/fraud-api:1").await;
            let shown = Shown(format!("$ ripcord pull --retrain\nexit code {}\n", pulled.code));
            still_bad(world, shown.and(told(&incident))).await
        },
        kept: ASKED_IN_VAIN,
    }
}
