//! Which trigger is tried, with which settings.

use std::path::Path;

use ripcord_core::policy::Role;
use ripcord_engine::PlacedPolicy;
use serde_json::Value;

use crate::cli::BacktestArgs;
use crate::commands::asking::Bench;
use crate::output::{Exit, Failure, Progress};
use crate::policy;

/// The trigger: one that the service has by that name, or else a crate, a component or a starter policy.
pub(super) fn find(bench: &Bench, args: &BacktestArgs, progress: &Progress) -> Result<PlacedPolicy, Failure> {
    let placed = |name: &str| {
        bench.setup.policies(Role::Trigger).find(|placed| placed.policy.reference().name.as_str() == name)
    };
    let given = args.settings.as_deref().map(read).transpose()?;
    if let (Some(placed), false) = (placed(&args.policy), Path::new(&args.policy).exists()) {
        return match given {
            None => Ok(placed.clone()),
            Some(settings) => with_settings(placed.policy.clone(), &settings),
        };
    }
    if Path::new(&args.policy).is_dir() {
        progress.say(format!("building `{}`", args.policy));
    }
    let policy = policy::load(&bench.sandbox, &args.policy)?;
    if !policy.roles().contains(&Role::Trigger) {
        return Err(Failure::usage(format!("`{}` is no trigger", policy.reference().name)).help(
            "only triggers can be tried over the past; `ripcord policy try SERVICE` asks the others about now",
        ));
    }
    match (given, placed(policy.reference().name.as_str())) {
        (Some(settings), _) => with_settings(policy, &settings),
        (None, Some(placed)) => {
            let settings: Value = serde_json::from_str(&placed.settings).unwrap_or_default();
            with_settings(policy, &settings)
        }
        (None, None) => with_settings(policy, &Value::Object(serde_json::Map::new())),
    }
}

fn with_settings(policy: ripcord_sandbox::Policy, settings: &Value) -> Result<PlacedPolicy, Failure> {
    let name = policy.reference().name.clone();
    let settings = policy.check_settings(settings).map_err(|error| {
        let each = error.mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>();
        Failure::usage(format!("the settings of `{name}` do not fit: {}", each.join("; "))).help(format!(
            "give a file with them by `--settings` (TOML or JSON); `ripcord policy inspect {name}` shows what it takes"
        ))
    })?;
    let grant = policy.manifest().may_request(Role::Trigger).to_vec();
    Ok(PlacedPolicy { role: Role::Trigger, policy, settings, grant })
}

/// A file of settings: TOML, or JSON where it is called so.
fn read(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Failure::usage(format!("the settings `{}` cannot be read", path.display())).because(cause)
    })?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    if is_json {
        return serde_json::from_str(&text).map_err(|error| Failure::of(Exit::Usage, error));
    }
    toml::from_str(&text).map_err(|error| Failure::of(Exit::Usage, error))
}
