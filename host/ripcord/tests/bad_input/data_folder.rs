//! A data folder that is not as the last host left it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::bad_input::table;
use crate::bad_input::world::World;
use crate::support::kept::Kept;

const STORE: &str = "ripcord-data/store.sqlite";
/// What nothing happened in but for the word of a person.
const VOUCHED: Option<Kept> = Some(Kept { signals: 0, incidents: 0, shifts: 0 });

table! {
    /// Whoever reads the folder reads captured requests; whoever writes it changes what is on record.
    data_that_others_may_use {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            let mode = |name: &str, mode| {
                let path = world.path().join(name);
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            mode("ripcord-data", 0o750);
            let mut shown = world.cli(&["serve"]).and(world.cli(&["status"])).and(world.cli(&["pause", "fraud-api", "--reason", "wait"]));
            mode("ripcord-data", 0o700);
            mode(STORE, 0o644);
            shown = shown.and(world.cli(&["serve"])).and(world.cli(&["status"]));
            mode(STORE, 0o600);
            // Without a host nothing protects, which is all that is left to say.
            assert_eq!(world.olga(&["status"]).code, 1);
            shown
        },
        kept: VOUCHED,
    }

    /// The disk was replaced, or the folder was emptied: a host without its holds must not act, until someone says that they are lost.
    store_that_is_gone {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            for file in store_files(world) {
                std::fs::remove_file(file).unwrap();
            }
            let refused = world.cli(&["serve"]).and(world.cli(&["status"])).and(world.cli(&["pause", "fraud-api", "--reason", "wait"]));
            let begun = world.cli(&["store", "new", "--reason", "the disk is lost"]);
            let shown = world.olga(&["store", "show"]);
            assert!(shown.stdout.contains("the disk is lost"), "{}", shown.stdout);
            refused.and(begun).and(world.cli(&["status"]))
        },
        kept: VOUCHED,
    }

    /// Someone put a backup in the place of the store: what was shifted since is unknown to it.
    store_that_is_older {
        world: World::new().with_model().with_good_version(),
        does: async |world| {
            let backup = world.path().join("backup");
            assert_eq!(world.olga(&["store", "backup", &backup.display().to_string()]).code, 0);
            let paused = world.olga(&["pause", "fraud-api", "--reason", "wait"]);
            assert_eq!(paused.code, 0, "{}", paused.stderr);
            for file in store_files(world) {
                std::fs::remove_file(file).unwrap();
            }
            std::fs::copy(backup.join("store.sqlite"), world.path().join(STORE)).unwrap();
            let refused = world.cli(&["serve"]).and(world.cli(&["status"]));
            let accepted = world.cli(&["store", "accept", "--reason", "nothing was shifted since"]);
            let shown = world.olga(&["store", "show"]);
            assert!(shown.stdout.contains("nothing was shifted since"), "{}", shown.stdout);
            refused.and(accepted).and(world.cli(&["status"]))
        },
        kept: VOUCHED,
    }
}

fn store_files(world: &World) -> Vec<PathBuf> {
    let all = ["", "-wal", "-shm"].map(|suffix| world.path().join(format!("{STORE}{suffix}")));
    all.into_iter().filter(|file| file.exists()).collect()
}
