//! Policies: bytes from a file or from this program, loaded, placed, their settings checked.

use std::collections::BTreeMap;
use std::ops::Range;

use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::terms::PolicyUse;
use ripcord_engine::PlacedPolicy;
use ripcord_sandbox::{Policy, Sandbox};

use crate::component;
use crate::config::{Config, Mistakes, PersonConfig, PlacedConfig, PolicyFile, ServiceConfig, suggestion};
use crate::policy::signature;
use crate::starters::{self, Starter};

/// A loaded policy and its bytes, which the store keeps for replay.
#[derive(Debug, Clone)]
pub struct LoadedPolicy {
    /// Ready to run.
    pub policy: Policy,
    /// The component.
    pub bytes: Vec<u8>,
}

/// All policies that a configuration names, by the name it uses.
pub type LoadedPolicies = BTreeMap<String, LoadedPolicy>;

/// Loads every policy file, used or not, and every starter policy that is used.
pub fn load(config: &Config, sandbox: &Sandbox, mistakes: &mut Mistakes) -> LoadedPolicies {
    let mut jobs: BTreeMap<&str, Job<'_>> = BTreeMap::new();
    for (name, file) in &config.policies {
        jobs.insert(name, Job::File(file));
    }
    for placed in config.services.iter().flat_map(|service| &service.policies) {
        let name = placed.policy.get_ref().as_str();
        if let (false, Some(starter)) = (jobs.contains_key(name), starters::named(name)) {
            jobs.insert(name, Job::Starter(starter, placed.policy.span()));
        }
    }
    let jobs: Vec<_> = jobs.into_iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = jobs.len().div_ceil(threads).max(1);
    // Each is checked, taken from the cache and asked to describe itself; a hundred of them one by one would delay the start.
    let done: Vec<_> = std::thread::scope(|scope| {
        let load_all = |jobs: &[(&str, Job<'_>)]| {
            let mut mistakes = Mistakes::default();
            let load = |(name, job): &(&str, Job<'_>)| {
                let policy = job.load(&config.people, sandbox, &mut mistakes)?;
                Some(((*name).to_owned(), policy))
            };
            (jobs.iter().filter_map(load).collect::<Vec<_>>(), mistakes)
        };
        let running: Vec<_> = jobs.chunks(share).map(|jobs| scope.spawn(move || load_all(jobs))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut loaded = LoadedPolicies::new();
    for (policies, found) in done {
        loaded.extend(policies);
        mistakes.extend(found);
    }
    loaded
}

/// One policy to load.
enum Job<'a> {
    File(&'a PolicyFile),
    /// With the first place that uses it.
    Starter(Starter, Range<usize>),
}

impl Job<'_> {
    fn load(
        &self,
        people: &[PersonConfig],
        sandbox: &Sandbox,
        mistakes: &mut Mistakes,
    ) -> Option<LoadedPolicy> {
        match self {
            Self::File(file) => load_file(file, people, sandbox, mistakes),
            Self::Starter(starter, span) => {
                let policy = mistakes.ok(span, sandbox.load_embedded(starter.bytes), "")?;
                Some(LoadedPolicy { policy, bytes: starter.bytes.to_vec() })
            }
        }
    }
}

fn load_file(
    file: &PolicyFile,
    people: &[PersonConfig],
    sandbox: &Sandbox,
    mistakes: &mut Mistakes,
) -> Option<LoadedPolicy> {
    let bytes = match component::read(&file.file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("the policy `{}` cannot be read: {error}", file.file.display());
            mistakes.add(
                file.file_span.clone(),
                message,
                "build it with `ripcord policy build`, or correct the path",
            );
            return None;
        }
    };
    if let Some(wanted) = &file.sha256 {
        let found = Digest::of(&bytes);
        if found != *wanted.get_ref() {
            let message =
                format!("`{}` is another component than the pinned one: its sha-256 is `{found}`", file.name);
            mistakes.add(wanted.span(), message, "if you mean to activate it, write that digest here");
            return None;
        }
    }
    if !file.signed_by.is_empty() && !is_signed(file, &Digest::of(&bytes), people, mistakes) {
        return None;
    }
    let policy = sandbox.load(&bytes).map_err(|error| {
        mistakes.add(file.file_span.clone(), format!("`{}` cannot be a policy: {error}", file.name), "");
    });
    Some(LoadedPolicy { policy: policy.ok()?, bytes })
}

/// Whether everyone who must have signed the component has.
fn is_signed(file: &PolicyFile, digest: &Digest, people: &[PersonConfig], mistakes: &mut Mistakes) -> bool {
    let mut all = true;
    for name in &file.signed_by {
        let person = people.iter().find(|person| person.name == *name.get_ref());
        let (message, help) = match person.map(|person| &person.public_key) {
            None => {
                (format!("there is no person `{}`", name.get_ref()), "add it below `[people]`".to_owned())
            }
            Some(None) => (
                format!(
                    "`{}` has no `public-key`, so nothing can be known to be signed by them",
                    name.get_ref()
                ),
                "`ripcord key new FILE` makes a key and prints that line".to_owned(),
            ),
            Some(Some(public)) => match signature::is_signed_by(&file.file, digest, public) {
                Ok(true) => continue,
                Ok(false) => (
                    format!("`{}` has not signed this component of `{}`", name.get_ref(), file.name),
                    format!(
                        "`ripcord policy sign {} --key FILE` adds the signature to `{}`",
                        file.file.display(),
                        signature::path(&file.file).display()
                    ),
                ),
                Err(error) => (
                    format!("`{}` cannot be read: {error}", signature::path(&file.file).display()),
                    "check its permissions".to_owned(),
                ),
            },
        };
        mistakes.add(name.span(), message, help);
        all = false;
    }
    all
}

/// Puts a service's policies in their places. What will not stop the host, but may surprise, goes to `warnings`.
pub fn place(
    service: &ServiceConfig,
    loaded: &LoadedPolicies,
    mistakes: &mut Mistakes,
    warnings: &mut Mistakes,
) -> Vec<(PolicyUse, PlacedPolicy)> {
    let mut all: Vec<(PolicyUse, PlacedPolicy)> = Vec::new();
    for placed in &service.policies {
        // One that is not there was reported when it was loaded.
        let Some(found) = loaded.get(placed.policy.get_ref()) else { continue };
        let Some(one) = place_one(placed, &found.policy, mistakes, warnings) else { continue };
        let twice = |(used, _): &&(PolicyUse, PlacedPolicy)| {
            used.role == one.0.role && used.policy.name == one.0.policy.name
        };
        if all.iter().any(|other| twice(&other)) {
            mistakes.add(
                placed.policy.span(),
                format!(
                    "`{}` fills the role {} of `{}` twice: both would share one memory",
                    one.0.policy.name, placed.role, service.name
                ),
                "keep one of them, or build the policy under a second name",
            );
            continue;
        }
        all.push(one);
    }
    all
}

fn place_one(
    placed: &PlacedConfig,
    policy: &Policy,
    mistakes: &mut Mistakes,
    warnings: &mut Mistakes,
) -> Option<(PolicyUse, PlacedPolicy)> {
    let span = placed.policy.span();
    let name = placed.policy.get_ref();
    if !policy.roles().contains(&placed.role) {
        let roles = policy.roles().iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", ");
        mistakes.add(
            span,
            format!("`{name}` does not fill the role {}", placed.role),
            format!("it fills {roles}; put it there, or choose another policy"),
        );
        return None;
    }
    let settings = match policy.check_settings(&placed.settings) {
        Ok(settings) => settings,
        Err(error) => {
            for mistake in &error.mistakes {
                let unexpected = unexpected(&mistake.message);
                let pointer = unexpected.map_or_else(
                    || mistake.path.clone(),
                    |key| format!("{}/{}", mistake.path, key.replace('~', "~0").replace('/', "~1")),
                );
                let at = mistake.path.trim_start_matches('/').replace('/', ".");
                let at = if at.is_empty() { String::new() } else { format!(" (`{at}`)") };
                let near = unexpected
                    .filter(|_| mistake.path.is_empty())
                    .map(|key| suggestion(key, "it takes", setting_names(policy).iter().map(String::as_str)))
                    .filter(|near| !near.is_empty());
                mistakes.add(
                    placed.place_of(&pointer),
                    format!("the settings of `{name}` do not fit{at}: {}", mistake.message),
                    near.unwrap_or_else(|| format!("`ripcord policy inspect {name}` shows what it takes")),
                );
            }
            return None;
        }
    };
    let digest = mistakes.ok(&span, canonical::json_digest("ripcord settings 1", &placed.settings), "")?;
    let declared = policy.manifest().may_request(placed.role);
    let grant = match &placed.facts {
        None => declared.to_vec(),
        Some(facts) => {
            for fact in facts.iter().filter(|fact| !declared.contains(fact.get_ref())) {
                let message = format!("`{name}` never asks for `{}`", fact.get_ref());
                warnings.add(fact.span(), message, "leave it out: a grant should say what is needed");
            }
            let granted: Vec<_> = facts.iter().map(|fact| *fact.get_ref()).collect();
            for kind in declared.iter().filter(|kind| !granted.contains(kind)) {
                let message =
                    format!("`{name}` may ask for `{kind}`, which is not granted: it faults if it does");
                warnings.add(
                    span.clone(),
                    message,
                    format!("add `\"{kind}\"` to `facts`, or choose settings that do without"),
                );
            }
            granted
        }
    };
    let used = PolicyUse { role: placed.role, policy: policy.reference().clone(), settings: digest };
    Some((used, PlacedPolicy { role: placed.role, policy: policy.clone(), settings, grant }))
}

/// The key that a schema's mistake is about, where it is one that should not be there.
fn unexpected(message: &str) -> Option<&str> {
    message.split('\'').nth(1).filter(|_| message.contains("unexpected"))
}

/// The names of a policy's settings, as its schema lists them.
fn setting_names(policy: &Policy) -> Vec<String> {
    let schema: serde_json::Value =
        serde_json::from_str(&policy.manifest().settings_schema).unwrap_or_default();
    let names = schema["properties"].as_object();
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::unexpected;

    #[test]
    fn an_unexpected_key_is_told_from_a_wrong_value() {
        let message = "Additional properties are not allowed ('treshold' was unexpected)";
        assert_eq!(unexpected(message), Some("treshold"));
        assert_eq!(unexpected("'x' is not of type \"number\""), None);
    }
}
