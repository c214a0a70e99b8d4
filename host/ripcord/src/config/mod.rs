//! The configuration file: `ripcord.toml`.
//!
//! It holds no secrets, only where they are. Relative paths start from the file's folder. Every mistake is found at once and shown at its
//! place, unknown keys with the nearest known one.

pub mod adapters;
pub mod host;
pub mod people;
pub mod place;
pub mod policies;
pub mod producer;
pub mod restorers;
mod say;
pub mod secret;
pub mod service;
pub mod sets;
pub mod sources;
mod table;
mod units;
pub mod waves;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use adapters::{AdapterConfig, NamedAdapter};
pub use host::HostConfig;
pub use people::PersonConfig;
pub use place::{ConfigError, Mistake, Mistakes, Position, SourceFile};
pub use policies::{PlacedConfig, PolicyFile};
pub use secret::{SecretPlace, SecretRef};
pub use service::ServiceConfig;
pub use sets::SetConfig;
pub use sources::{AuthConfig, RouteConfig, SourceConfig};

use ripcord_ports::{Metrics, Notifier};

use crate::client::is_this_machine;
pub(crate) use host::decode_hex;
pub(crate) use say::suggestion;
use table::Node;

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Everything that `ripcord.toml` says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file itself.
    pub file: SourceFile,
    /// The host.
    pub host: HostConfig,
    /// Who may act, by name.
    pub people: Vec<PersonConfig>,
    /// Who may send alerts, by name.
    pub sources: Vec<SourceConfig>,
    /// Who tells people, besides the log.
    pub notifiers: Vec<NamedAdapter<dyn Notifier>>,
    /// Where metrics come from, by name.
    pub metrics: BTreeMap<String, NamedAdapter<dyn Metrics>>,
    /// Teams' own components, by name.
    pub policies: BTreeMap<String, PolicyFile>,
    /// What is protected, by name.
    pub services: Vec<ServiceConfig>,
    /// What of it moves together, by name.
    pub sets: Vec<SetConfig>,
}

/// A configuration that cannot be read or used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no file.
    #[error(
        "there is no configuration at `{0}`; `ripcord init` writes one, `--config FILE` names another, and `ripcord login URL` reaches a host without one"
    )]
    NotFound(String),
    /// It cannot be read.
    #[error("the configuration `{0}` cannot be read: {1}")]
    Unreadable(String, String),
    /// Who writes it decides which programs the host runs.
    #[error("the configuration `{0}` may be written by anyone on this machine: run `chmod o-w {0}`")]
    WritableByAll(String),
    /// It has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Box<ConfigError>),
}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let shown = path.display().to_string();
        let unreadable = |reason: String| LoadError::Unreadable(shown.clone(), reason);
        let about = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => LoadError::NotFound(shown.clone()),
            _ => unreadable(error.to_string()),
        })?;
        if std::os::unix::fs::MetadataExt::mode(&about) & 0o002 != 0 {
            return Err(LoadError::WritableByAll(shown));
        }
        if about.len() > FILE_BYTES_MAX {
            return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to())))?;
        Ok(Self::parse(SourceFile { path: path.to_owned(), text }).map_err(Box::new)?)
    }

    /// Checks a file's text.
    pub fn parse(file: SourceFile) -> Result<Self, ConfigError> {
        match Self::parse_as_far_as_possible(file) {
            (_, Some(error)) => Err(error),
            (read, None) => Ok(read),
        }
    }

    /// What could be read, beside the mistakes: for looking at the rest at once, and for nothing else.
    pub(crate) fn parse_as_far_as_possible(file: SourceFile) -> (Self, Option<ConfigError>) {
        let mut mistakes = Mistakes::default();
        let read = read(&file, &mut mistakes);
        (read, ConfigError::new(file, mistakes))
    }

    /// Every address in the file that is spoken to without TLS and is not on this machine.
    pub(crate) fn unencrypted(&self) -> Mistakes {
        let mut found = Mistakes::default();
        let (value, places) = Node::root(&self.file.text, &mut Mistakes::default()).into_json();
        for (pointer, span) in places {
            let Some(serde_json::Value::String(text)) = value.pointer(&pointer) else { continue };
            let Ok(url) = reqwest::Url::parse(text) else { continue };
            if url.scheme() == "http" && url.has_host() && !is_this_machine(&url) {
                found.add(
                    span,
                    format!("`{text}` is spoken to unencrypted: whoever is on the way reads tokens, and can answer in its place"),
                    "use `https://…`; put TLS before a system that has none",
                );
            }
        }
        found
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&ServiceConfig> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }

    /// The set of that name.
    pub fn set(&self, name: &str) -> Option<&SetConfig> {
        self.sets.iter().find(|set| set.name.as_str() == name)
    }
}

fn read(file: &SourceFile, mistakes: &mut Mistakes) -> Config {
    let base = file.folder();
    let mut root = Node::root(&file.text, mistakes);
    no_passwords_in_addresses(&root, mistakes);
    let host = root.take_table("host", mistakes);
    let host = HostConfig::read(host, &base, mistakes);
    let people = root.take_named("people", mistakes);
    let people = people::all(people, host.allowed_signers.as_ref(), &base, mistakes);
    let mut known_services = Vec::new();
    let sources = root.take_named("sources", mistakes);
    let sources: Vec<_> = sources
        .into_iter()
        .filter_map(|(name, node)| SourceConfig::read(&name, node, &base, mistakes))
        .collect();
    let notifiers = root.take_named("notifiers", mistakes);
    let notifiers = notifiers
        .into_iter()
        .filter_map(|(name, node)| NamedAdapter::read(name, node, &base, mistakes))
        .collect();
    let metrics_nodes = root.take_named("metrics", mistakes);
    let known_metrics: Vec<_> = metrics_nodes.iter().map(|(name, _)| name.get_ref().clone()).collect();
    let metrics = metrics_nodes
        .into_iter()
        .filter_map(|(name, node)| NamedAdapter::read(name, node, &base, mistakes))
        .map(|metrics: NamedAdapter<dyn Metrics>| (metrics.name.clone(), metrics))
        .collect();
    let policies = root.take_named("policies", mistakes);
    let known_policies: Vec<_> = policies.iter().map(|(name, _)| name.get_ref().clone()).collect();
    let policies = policies
        .into_iter()
        .filter_map(|(name, node)| PolicyFile::read(name, node, &base, mistakes))
        .map(|policy| (policy.name.clone(), policy))
        .collect();
    let services: Vec<_> = root
        .take_named("services", mistakes)
        .into_iter()
        .inspect(|(name, _)| known_services.push(name.get_ref().clone()))
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|(name, node)| ServiceConfig::read(&name, node, &base, host.shifts_per_hour, mistakes))
        .collect();
    let set_nodes = root.take_named("sets", mistakes);
    let known_sets: Vec<_> = set_nodes.iter().map(|(name, _)| name.get_ref().clone()).collect();
    let sets =
        set_nodes.into_iter().filter_map(|(name, node)| SetConfig::read(&name, node, mistakes)).collect();
    root.finish(mistakes);
    let file = file.clone();
    let config = Config { file, host, people, sources, notifiers, metrics, policies, services, sets };
    let known = Known {
        services: known_services,
        sets: known_sets,
        metrics: known_metrics,
        policies: known_policies,
    };
    names_are_known(&config, &known, mistakes);
    config
}

/// `http://user:password@host`: a secret in the file, and one that ends in logs.
fn no_passwords_in_addresses(root: &Node<'_>, mistakes: &mut Mistakes) {
    let (value, places) = root.clone().into_json();
    for (pointer, span) in places {
        let Some(serde_json::Value::String(text)) = value.pointer(&pointer) else { continue };
        let Some((_, rest)) = text.split_once("://") else { continue };
        if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            mistakes.add(
                span,
                "this address holds a user or a password",
                "secrets do not belong into this file: take it out, and name a file that holds the token with `token-file`",
            );
        }
    }
}

/// All names that the file gives, those whose tables have mistakes included.
struct Known {
    services: Vec<String>,
    sets: Vec<String>,
    metrics: Vec<String>,
    policies: Vec<String>,
}

/// Every name that is used must be given somewhere.
fn names_are_known(config: &Config, known: &Known, mistakes: &mut Mistakes) {
    let mut check = |what: &str, name: &str, span: std::ops::Range<usize>, known: &[String], help: &str| {
        if !known.iter().any(|known| known == name) {
            let near = suggestion(name, "there are", known.iter().map(String::as_str));
            let help = if near.is_empty() { help.to_owned() } else { near };
            mistakes.add(span, format!("there is no {what} `{name}`"), help);
        }
    };
    for source in &config.sources {
        for route in &source.routes {
            let help = "add it below `[services]`";
            check("service", route.service.as_str(), route.span.clone(), &known.services, help);
        }
    }
    let starters = crate::starters::names();
    let policies: Vec<String> =
        known.policies.iter().cloned().chain(starters.iter().map(|name| (*name).to_owned())).collect();
    for service in &config.services {
        for metrics in &service.metrics {
            let help = "add it below `[metrics]`";
            check("metrics source", metrics.get_ref(), metrics.span(), &known.metrics, help);
        }
        for placed in &service.policies {
            let help = "add it below `[policies]`";
            check("policy", placed.policy.get_ref(), placed.policy.span(), &policies, help);
        }
    }
    for (name, policy) in &config.policies {
        if starters.contains(&name.as_str()) {
            mistakes.add(
                policy.span.clone(),
                format!("`{name}` is the name of a starter policy"),
                "give your own policy another name, so that nobody takes one for the other",
            );
        }
    }
    for set in &config.sets {
        set.members_are_services(&known.services, &known.sets, mistakes);
    }
    for (service, role) in config.services.iter().flat_map(|one| one.veto.iter().map(move |role| (one, role)))
    {
        if !config.people.iter().any(|person| person.roles.contains(role)) {
            let message =
                format!("nobody has the role `{role}`, so nobody could refuse a plan of `{}`", service.name);
            let help = "give it to somebody below `[people]`, or leave it out of `veto`";
            mistakes.add(service.span.clone(), message, help);
        }
    }
    for service in config.services.iter().filter(|service| !service.authors_agree) {
        let mut files =
            service.policies.iter().filter_map(|placed| config.policies.get(placed.policy.get_ref()));
        if files.all(|file| file.signed_by.is_empty()) {
            let message = format!(
                "nobody is known to have written a policy of `{}`, so nobody is left out",
                service.name
            );
            let help = "say with `signed-by` below `[policies.NAME]` who must have signed it, or leave out `authors-agree`";
            mistakes.add(service.span.clone(), message, help);
        }
    }
    people_are_told_apart(&config.people, mistakes);
    places_are_told_apart(&config.services, mistakes);
}

/// One file or folder of revisions is one configuration's: of two, each would take the other's revisions for its own.
fn places_are_told_apart(services: &[ServiceConfig], mistakes: &mut Mistakes) {
    let mut known = BTreeSet::new();
    for restorer in services.iter().flat_map(|service| &service.restorers) {
        for place in restorer.adapter.settings.says().own_places {
            let message = format!("`{}` belongs to another configuration already", place.display());
            if !known.insert(place) {
                let help = "give each its own `file` and its own `history`";
                mistakes.add(restorer.span.clone(), message, help);
            }
        }
    }
}

/// One key is one person: otherwise a single person could be two.
fn people_are_told_apart(people: &[PersonConfig], mistakes: &mut Mistakes) {
    for (index, person) in people.iter().enumerate() {
        let same = |other: &&PersonConfig| {
            let keys = other.signers();
            person.signers().iter().any(|own| keys.iter().any(|key| key.key.is_same(&own.key)))
                || person.token.is_some()
                    && other.token.as_ref().map(|token| &token.place)
                        == person.token.as_ref().map(|token| &token.place)
        };
        if let Some(other) = people[..index].iter().find(same) {
            mistakes.add(
                person.span.clone(),
                format!(
                    "`{}` and `{}` prove who they are with the same secret or key",
                    other.name, person.name
                ),
                "give each their own: otherwise one person counts as two",
            );
        }
    }
}
