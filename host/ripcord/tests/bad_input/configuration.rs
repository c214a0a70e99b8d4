//! Malformed and unknown. Every other mistake of a configuration has its snapshot in the suite `config`.

use crate::bad_input::world::World;
use crate::bad_input::{NO_STORE, table};

table! {
    /// The host does not start on half a configuration.
    malformed_configuration {
        world: World::new().with("mode = \"act\"", "mode = act"),
        does: async |world| world.cli(&["serve"]).and(world.cli(&["check"])),
        kept: NO_STORE,
    }

    /// All of them at once, each with the nearest known one.
    unknown_keys {
        world: World::new()
            .with("criticality =", "criticalty =")
            .with("model-directory =", "model-dir =")
            .with("[sources.alerts]\n", "[sources.alerts]\nworkers = 4\n")
            .with("[[services.fraud-api.approvals]]", "[[services.fraud-api.approval]]"),
        does: async |world| world.cli(&["serve"]),
        kept: NO_STORE,
    }

    /// A member that is no service, one that is there twice, a rule that there is not, and a set for a member.
    sets_that_make_no_sense {
        world: World::new().with("[sources.alerts]\n", "[sets.twice]\nmembers = [\"fraud-api\", \"fraud-ap\", \"fraud-api\"]\n\n[sets.other]\nmembers = [\"fraud-api\", \"twice\"]\nif-part-fails = \"undo\"\napprovals = []\n\n[sets.one]\nmembers = [\"fraud-api\"]\n\n[sources.alerts]\n"),
        does: async |world| world.cli(&["check", "--offline"]),
        kept: NO_STORE,
    }

    /// A script reads the same in one JSON document.
    malformed_configuration_in_json {
        world: World::new().with("mode = \"act\"", "mode = \"actt\""),
        does: async |world| world.cli(&["--json", "status"]),
        kept: NO_STORE,
    }
}
