//! Who may come in: people and alert sources, their secrets read.

use std::collections::BTreeMap;

use ripcord_adapters::{Secret, Shared};
use ripcord_core::digest::Digest;
use ripcord_core::name::RoleName;
use ripcord_engine::Person;

use super::ports::Maker;
use crate::config::{AuthConfig, Config, Mistakes, PersonConfig, SecretRef};
use crate::http::{Gate, KnownPerson, People, Source};

/// Shorter tokens can be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Reads a secret; a mistake at its place if it cannot be read.
pub(crate) fn secret(at: &SecretRef, mistakes: &mut Mistakes) -> Option<Secret> {
    mistakes.ok(&at.span, at.read(), "")
}

/// The same for one that may be missing.
pub(crate) fn optional(at: Option<&SecretRef>, mistakes: &mut Mistakes) -> Option<Secret> {
    at.and_then(|at| secret(at, mistakes))
}

/// Everyone who may ask.
pub fn people(config: &Config, mistakes: &mut Mistakes, warnings: &mut Mistakes) -> People {
    let mut known: Vec<KnownPerson> = Vec::new();
    for person in &config.people {
        let token = optional(person.token.as_ref(), mistakes);
        if let (Some(token), Some(at)) = (&token, &person.token)
            && token.expose().chars().count() < TOKEN_CHARS_MIN
        {
            let message = format!("the token of `{}` is short enough to be guessed", person.name);
            warnings.add(
                at.span.clone(),
                message,
                format!("draw at least {TOKEN_CHARS_MIN} random characters: `openssl rand -hex 32`"),
            );
        }
        if let (Some(_), true, true, Some(at)) =
            (&token, config.host.allowed_signers.is_some(), person.signers().is_empty(), &person.token)
            && votes(config, person)
        {
            warnings.add(
                at.span.clone(),
                format!("`{}` has no key among the allowed signers, so their token votes", person.name),
                "add a line about them; one whose key is taken back keeps its line, with `valid-before` in the past, or loses the token as well",
            );
        }
        let token = token.map(|token| Digest::of(token.expose()));
        if let Some(other) = known.iter().find(|other| token.is_some() && other.token == token) {
            mistakes.add(
                person.span.clone(),
                format!("`{}` and `{}` have the same token", other.person.name, person.name),
                "give each their own: otherwise one person counts as two",
            );
        }
        let (name, roles) = (person.name.clone(), person.roles.clone());
        known.push(KnownPerson { person: Person { name, roles }, token, signers: person.signers() });
    }
    People { known, touch: config.host.touch }
}

/// Whether one of the person's roles has a say in a plan.
fn votes(config: &Config, person: &PersonConfig) -> bool {
    let asked = config.services.iter().flat_map(|service| {
        let floor = service.floor.iter().map(|quorum| &quorum.role);
        floor.chain(&service.veto).chain(&service.break_glass)
    });
    let approver = RoleName::approver();
    let mut asked = asked.chain([&approver]);
    asked.any(|role| person.roles.contains(role))
}

/// Everything that may send alerts.
pub fn sources(config: &Config, shared: &Shared, mistakes: &mut Mistakes) -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    for source in &config.sources {
        let reads = Maker { shared, data: &config.host.data, mistakes: &mut *mistakes }.alert_source(source);
        let gate =
            match &source.auth {
                AuthConfig::Bearer(at) => {
                    secret(at, mistakes).map(|token| Gate::Bearer(Digest::of(token.expose())))
                }
                AuthConfig::Basic { user, password } => {
                    secret(password, mistakes).map(|password| Gate::basic(user, &password))
                }
                AuthConfig::Hmac { secret: at, header, timed } => secret(at, mistakes)
                    .map(|key| Gate::Hmac { key, header: header.clone(), timed: timed.clone() }),
                AuthConfig::Signed { by, secret: at, token, window } => {
                    let wanted = token.as_ref().map(|at| secret(at, mistakes));
                    let key = secret(at, mistakes);
                    match (key, wanted) {
                        (None, _) | (_, Some(None)) => None,
                        (Some(key), wanted) => {
                            let token = wanted.flatten().map(|token| Digest::of(token.expose()));
                            Some(Gate::Signed { by, key, token, window: *window })
                        }
                    }
                }
            };
        let (Some(gate), Some(reads)) = (gate, reads) else { continue };
        let ready = Source {
            name: source.name.clone(),
            reads,
            gate,
            routes: source.routes.clone(),
            body_bytes_max: source.body_bytes_max,
            dedupe_window: source.dedupe_window,
        };
        sources.insert(source.name.to_string(), ready);
    }
    sources
}
