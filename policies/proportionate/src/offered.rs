//! What could be put back, best first, and why the rest cannot.

use ripcord_sdk::contract::facts::{Candidate, Configuration, Standing};
use ripcord_sdk::contract::planner::Refusal;
use ripcord_sdk::contract::types::{
    ConfigurationTarget, Facet as ServiceFacet, FacetRead, FacetState, Target,
};
use ripcord_sdk::last_known_good::{Accepted, Situation};
use ripcord_sdk::suspects::{Facet, Lever, Ranking, Restorable};

use crate::settings::{Settings, UnprovenBefore};

/// One thing that could be put back, as the SDK chooses among it and as the host is told of it.
pub(crate) struct Offered {
    pub(crate) restorable: Restorable,
    pub(crate) target: Target,
}

impl Offered {
    fn new(lever: Lever, target: Target, unusable: Option<String>) -> Self {
        Self { restorable: Restorable { lever, unusable }, target }
    }
}

/// What the target of this lever is; each lever is offered once.
pub(crate) fn target_of(offered: &[Offered], lever: &Lever) -> Option<Target> {
    offered.iter().find(|one| one.restorable.lever == *lever).map(|one| one.target.clone())
}

/// What is in force beside the model.
pub(crate) fn in_force<'f>(facets: &'f [FacetRead], facet: &ServiceFacet) -> Option<&'f str> {
    facets.iter().find(|read| read.facet == *facet).and_then(|read| match &read.state {
        FacetState::InForce(known) => Some(known.revision.as_str()),
        FacetState::Unknown(_) => None,
    })
}

/// Every version, newest first.
pub(crate) fn versions(situation: &Situation<'_>, versions: &[Candidate]) -> Vec<Offered> {
    let mut newest_first: Vec<&Candidate> = versions.iter().collect();
    newest_first.sort_by_key(|candidate| std::cmp::Reverse(candidate.created_at));
    let offered = newest_first.into_iter().map(|candidate| {
        let version = candidate.version.version.clone();
        Offered::new(
            Lever::Model { version, made_from: Vec::new() },
            Target::Version(candidate.version.clone()),
            situation.objection(candidate),
        )
    });
    offered.collect()
}

/// Every revision of every configuration: first what was in force before a suspected change of it, the likeliest suspect first; then what is known good or
/// attested; then the rest; within these as the history has them.
pub(crate) fn configurations(
    settings: &Settings,
    ranking: &Ranking,
    known: &[Configuration],
    facets: &[FacetRead],
    tried: &[Target],
) -> Vec<Offered> {
    let mut offered: Vec<(usize, Offered)> = Vec::new();
    for configuration in known {
        let before = before_suspect(ranking, configuration);
        let why_not = objection(settings, configuration, before.is_some(), facets, tried);
        let rank = match before {
            Some(index) => index,
            None if is_good(settings, &configuration.standing) => usize::MAX - 1,
            None => usize::MAX,
        };
        let Configuration { name, revision, digest, .. } = configuration;
        let target =
            ConfigurationTarget { name: name.clone(), revision: revision.clone(), digest: digest.clone() };
        let lever = Lever::Configuration { name: name.clone(), revision: revision.clone() };
        offered.push((rank, Offered::new(lever, Target::Configuration(target), why_not)));
    }
    // Stable: of equals the order of the history stays.
    offered.sort_by_key(|(rank, _)| *rank);
    offered.into_iter().map(|(_, one)| one).collect()
}

/// The safe mode, where one is configured.
pub(crate) fn safe_mode(settings: &Settings, facets: &[FacetRead], tried: &[Target]) -> Option<Offered> {
    let name = settings.versions.fallback.clone()?;
    let target = Target::Fallback(name.clone());
    let why_not = if tried.contains(&target) {
        Some(TRIED.to_owned())
    } else if in_force(facets, &ServiceFacet::Fallback) == Some(name.as_str()) {
        Some("it is in force".to_owned())
    } else {
        None
    };
    Some(Offered::new(Lever::Fallback { name }, target, why_not))
}

const TRIED: &str = "it was tried already in this incident and did not help";

/// The likeliest suspect, by its place in the ranking, before which this revision was in force.
fn before_suspect(ranking: &Ranking, configuration: &Configuration) -> Option<usize> {
    ranking.suspects.iter().position(|suspect| {
        suspect.score > 0.0
            && suspect.change.facet == Facet::Configuration(configuration.name.clone())
            && suspect.change.from.as_ref() == Some(&configuration.revision)
    })
}

fn is_good(settings: &Settings, standing: &Standing) -> bool {
    match standing {
        Standing::KnownGood => settings.versions.accept.contains(&Accepted::KnownGood),
        Standing::Attested => settings.versions.accept.contains(&Accepted::Attested),
        _ => false,
    }
}

fn objection(
    settings: &Settings,
    configuration: &Configuration,
    was_before_a_suspect: bool,
    facets: &[FacetRead],
    tried: &[Target],
) -> Option<String> {
    let Configuration { name, revision, standing, condemned_by, restorable, .. } = configuration;
    let facet = ServiceFacet::Configuration(name.clone());
    if in_force(facets, &facet) == Some(revision.as_str()) {
        return Some("it is in force".to_owned());
    }
    let is_this = |target: &Target| matches!(target, Target::Configuration(one) if one.name == *name && one.revision == *revision);
    if tried.iter().any(is_this) {
        return Some(TRIED.to_owned());
    }
    let by = if condemned_by.is_empty() { String::new() } else { format!(" by {}", condemned_by.join(", ")) };
    match standing {
        Standing::Held => return Some(format!("a hold stands on it: it was condemned{by}")),
        Standing::Condemned => return Some(format!("it was condemned{by}")),
        Standing::Retired => return Some("it is retired".to_owned()),
        _ if !restorable => return Some("its content is missing or has another digest".to_owned()),
        standing if is_good(settings, standing) => return None,
        _ if !condemned_by.is_empty() => return Some(format!("it was condemned{by}")),
        _ => {}
    }
    match settings.unproven_before {
        UnprovenBefore::Accept if was_before_a_suspect => None,
        UnprovenBefore::Refuse if was_before_a_suspect => Some(
            "it was in force before the suspected change, but nobody verified it or vouched for it, and `unproven-before` is `refuse`"
                .to_owned(),
        ),
        _ => Some(
            "nobody verified it or vouched for it, and it was not in force before a suspected change".to_owned(),
        ),
    }
}

/// A refusal for each of these.
pub(crate) fn refused<'o>(
    offered: impl Iterator<Item = &'o Offered>,
    why: impl Fn(&Offered) -> String,
) -> Vec<Refusal> {
    offered.map(|one| Refusal::new(one.target.clone(), why(one))).collect()
}
