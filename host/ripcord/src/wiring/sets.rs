//! Sets of services, as the engine takes them.

use ripcord_core::terms::Mode;
use ripcord_engine::SetSetup;

use super::{known, people_of_record};
use crate::config::{Config, Mistakes, SetConfig};

/// All sets of the configuration; what cannot move is warned of.
pub(super) fn all(config: &Config, warnings: &mut Mistakes) -> Vec<SetSetup> {
    let mut sets = Vec::new();
    for set in &config.sets {
        warn_of_members_that_observe(config, set, warnings);
        let terms = set.terms(config.people.iter().map(known).collect());
        // As of a service: who may act, what is configured, who is told. The file holds no secrets, so neither does this.
        let configuration = serde_json::json!({
            "set": set.name,
            "file": set.table,
            "terms": terms,
            "may_pull": set.may_pull,
            "people": people_of_record(config),
            "notifiers": config.notifiers.iter().map(|notifier| &notifier.name).collect::<Vec<_>>(),
        });
        sets.push(SetSetup { name: set.name.clone(), terms, configuration: configuration.to_string() });
    }
    sets
}

fn warn_of_members_that_observe(config: &Config, set: &SetConfig, warnings: &mut Mistakes) {
    for member in &set.members {
        let service = config.service(member.get_ref().as_str());
        if service.is_some_and(|service| service.mode == Mode::Observe) {
            let name = member.get_ref();
            warnings.add(
                member.span(),
                format!("`{name}` has the mode `observe`, so no run of `{}` can begin", set.name),
                format!("set `mode = \"ask\"` or `mode = \"act\"` below `[services.{name}]`"),
            );
        }
    }
}
