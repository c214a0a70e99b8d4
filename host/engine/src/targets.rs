//! What could be restored now, best first, and of every other revision the reason why not.
//!
//! It says what a plan or a pull would say, by the same code, and changes nothing. What could be made, of checkpoints or of data, `makeable` lists.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use ripcord_core::facet::{Facet, FacetState, Revision};
use ripcord_core::live::{LiveState, served};
use ripcord_core::name::VersionName;
use ripcord_core::service::Service;
use ripcord_core::standing::Standing;
use ripcord_core::target::Target;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::registry::RegistryVersion;
use serde::{Deserialize, Serialize};

use crate::descent::Descent;
use crate::facets;
use crate::restorable::{
    Listed, by_standing, held, not_shown, obstacle, pinned, target, told, unfetchable, unpinnable,
    without_content,
};
use crate::setup::ServiceSetup;

/// Revisions of one facet that are listed, the newest.
pub const LISTED_MAX: u32 = 200;
/// Revisions of one facet whose content is looked at: of those that nothing else speaks against, the first.
const CONTENTS_MAX: usize = 32;
/// Of these so many at a time.
const CONTENTS_AT_ONCE: usize = 4;

/// Who may have a revision restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoredBy {
    /// A planner may choose it, as far as its own settings let it; and people may pull to it.
    Rules,
    /// People may pull to it.
    People,
    /// Nobody.
    Nobody,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetLine {
    /// As commands take it: a version, `NAME=REVISION`, `fallback=MODE`.
    pub revision: Revision,
    /// As a plan would name it.
    pub target: Target,
    /// Now.
    pub standing: Standing,
    /// When it was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// When it was made, where known.
    pub made_at: Option<UnixMillis>,
    /// By whom, where known.
    pub made_by: Option<String>,
    /// What its author says of it.
    pub summary: String,
    /// Who may have it restored.
    pub by: RestoredBy,
    /// Why rules do not choose it, or nobody may; none where they may.
    pub why_not: Option<String>,
    /// Whether its content was looked at. Where it was not, a plan looks at it.
    pub content_seen: bool,
}

/// The revisions of one facet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetTargets {
    /// Which.
    pub facet: Facet,
    /// What is in force: versions that share the traffic, or one revision. As it was seen last where it cannot be read.
    pub in_force: Vec<VersionName>,
    /// Why it cannot be read.
    pub not_read: Option<String>,
    /// What could be restored, best first; then the rest.
    pub targets: Vec<TargetLine>,
    /// Why the list is not whole, where it is not.
    pub not_listed: Option<String>,
    /// What makes every shift of this facet impossible.
    pub obstacle: Option<String>,
}

impl FacetTargets {
    /// Whether something could be restored.
    pub fn is_restorable(&self) -> bool {
        self.obstacle.is_none() && self.targets.iter().any(|line| line.by != RestoredBy::Nobody)
    }
}

/// The facets of a service: the model, and those that something is configured for.
pub fn facets_of(service: &Service) -> Vec<Facet> {
    let terms = service.terms.iter().flat_map(|terms| &terms.facets);
    let mut facets = vec![Facet::Model];
    facets.extend(terms.map(|terms| terms.facet.clone()));
    facets
}

/// What a history says of one revision.
pub(crate) struct Entry {
    name: VersionName,
    made_at: Option<UnixMillis>,
    made_by: Option<String>,
    summary: String,
    listed: Listed,
}

/// The revisions of a facet, as its systems and the journal have them.
pub async fn targets_of(
    setup: &ServiceSetup,
    service: &Service,
    facet: &Facet,
    now: UnixMillis,
) -> FacetTargets {
    let (listed, live, obstacle) = tokio::join!(
        history(setup, facet),
        in_force(setup, facet),
        obstacle(&setup.ports, &setup.terms, facet)
    );
    of_answers(setup, service, facet, now, Answers { listed, live, obstacle }, CONTENTS_MAX).await
}

/// What the systems of a facet have answered.
pub(crate) struct Answers {
    /// Newest first.
    pub(crate) listed: Result<Vec<Entry>, PortError>,
    /// What is in force, or why that is not known.
    pub(crate) live: Result<Vec<VersionName>, String>,
    /// See [`FacetTargets::obstacle`].
    pub(crate) obstacle: Option<String>,
}

/// What follows from the answers, with the contents of so many revisions looked at.
pub(crate) async fn of_answers(
    setup: &ServiceSetup,
    service: &Service,
    facet: &Facet,
    now: UnixMillis,
    answers: Answers,
    contents_max: usize,
) -> FacetTargets {
    let Answers { listed, live, obstacle } = answers;
    let (in_force, not_read) = match live {
        Ok(names) => (names, None),
        Err(why) => (last_seen(service, facet), Some(why)),
    };
    let (entries, not_listed) = match listed {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(told(&error))),
    };
    let names = entries.iter().map(|entry| entry.name.clone()).collect();
    let descent = match facet {
        Facet::Model => Descent::of(setup.ports.registry.as_ref(), service, names).await,
        Facet::Configuration(_) | Facet::Fallback => Descent::default(),
    };
    let judge = Judge { service, descent: &descent, in_force: &in_force, now };
    let mut lines: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let revision = Revision::of(facet, &entry.name);
            let by_plan = not_shown(&setup.ports, &target(service, &revision, &entry.listed));
            judge.line(revision, entry, by_plan)
        })
        .collect();
    let missing =
        not_listed.is_none().then(|| format!("it is not among the newest {LISTED_MAX} where they are kept"));
    judge.add_known(facet, &mut lines, missing);
    let newest_first = lines.iter().enumerate().map(|(place, line)| (line.revision.clone(), place));
    let newest_first: BTreeMap<_, _> = newest_first.collect();
    lines.sort_by_key(|line| line.by);
    look_at_contents(setup, service, &mut lines, contents_max).await;
    lines.sort_by_key(|line| (line.by, newest_first.get(&line.revision).copied()));
    FacetTargets { facet: facet.clone(), in_force, not_read, targets: lines, not_listed, obstacle }
}

/// What the journal alone tells of a facet, where `why` its systems were not asked.
pub fn targets_known(service: &Service, facet: &Facet, why: String, now: UnixMillis) -> FacetTargets {
    let in_force = last_seen(service, facet);
    let mut lines = Vec::new();
    Judge { service, descent: &Descent::default(), in_force: &in_force, now }
        .add_known(facet, &mut lines, None);
    lines.sort_by_key(|line| line.by);
    FacetTargets {
        facet: facet.clone(),
        in_force,
        not_read: Some(why.clone()),
        targets: lines,
        not_listed: Some(why),
        obstacle: None,
    }
}

/// Newest first.
pub(crate) async fn history(setup: &ServiceSetup, facet: &Facet) -> Result<Vec<Entry>, PortError> {
    if *facet == Facet::Model {
        return of_model(setup).await;
    }
    let entries = facets::restorer(&setup.ports, facet)?.history(LISTED_MAX).await?;
    let entry = |entry: ripcord_ports::restorer::HistoryEntry| Entry {
        listed: Listed::from(&entry),
        name: entry.revision,
        made_at: entry.made_at,
        made_by: entry.made_by,
        summary: entry.summary,
    };
    Ok(entries.into_iter().map(entry).collect())
}

async fn of_model(setup: &ServiceSetup) -> Result<Vec<Entry>, PortError> {
    Ok(entries(setup.ports.registry.versions(LISTED_MAX).await?))
}

/// Versions as a registry lists them.
pub(crate) fn entries(versions: Vec<RegistryVersion>) -> Vec<Entry> {
    let entry = |version: RegistryVersion| Entry {
        listed: Listed::from(&version),
        name: version.version.version,
        made_at: Some(version.created_at),
        made_by: None,
        summary: String::new(),
    };
    versions.into_iter().map(entry).collect()
}

/// What is in force now, or why that is not known.
pub(crate) async fn in_force(setup: &ServiceSetup, facet: &Facet) -> Result<Vec<VersionName>, String> {
    if *facet == Facet::Model {
        return match setup.ports.deployer.live().await.map(|live| live.state) {
            Ok(LiveState::Serving(shares)) => Ok(served(&shares)),
            Ok(LiveState::Unknown(why)) => Err(why),
            Err(error) => Err(told(&error)),
        };
    }
    let live = async { facets::restorer(&setup.ports, facet)?.in_force().await };
    match live.await.map(|live| live.state) {
        Ok(FacetState::InForce(known)) => Ok(vec![known.revision]),
        Ok(FacetState::Unknown(why)) => Err(why),
        Err(error) => Err(told(&error)),
    }
}

fn last_seen(service: &Service, facet: &Facet) -> Vec<VersionName> {
    match facet {
        Facet::Model => service.production.live.clone().unwrap_or_default(),
        facet => {
            service.production.facets.get(facet).map(|known| known.revision.clone()).into_iter().collect()
        }
    }
}

/// What a revision is judged by.
struct Judge<'a> {
    service: &'a Service,
    descent: &'a Descent,
    in_force: &'a [VersionName],
    now: UnixMillis,
}

impl Judge<'_> {
    /// `by_plan` is what a plan objects to whatever the service thinks of the revision.
    fn line(&self, revision: Revision, entry: Entry, by_plan: Option<String>) -> TargetLine {
        let (by, why_not) = self.judged(&revision, &entry.listed, by_plan);
        let known = self.service.known_of(&revision).filter(|known| known.standing.is_good());
        TargetLine {
            target: target(self.service, &revision, &entry.listed),
            standing: match self.service.standing_of(&revision, self.now) {
                _ if self.descent.is_condemned(&revision) => Standing::Condemned,
                standing => standing,
            },
            verified_at: known.map(|known| known.since),
            made_at: entry.made_at,
            made_by: entry.made_by,
            summary: entry.summary,
            by,
            why_not,
            content_seen: false,
            revision,
        }
    }

    fn judged(
        &self,
        revision: &Revision,
        listed: &Listed,
        by_plan: Option<String>,
    ) -> (RestoredBy, Option<String>) {
        let Self { service, descent, in_force, now } = *self;
        let nobody = by_plan
            .or_else(|| held(service, revision))
            .or_else(|| descent.condemned(service, revision))
            .or_else(|| without_content(service, revision, listed))
            .or_else(|| (*in_force == [revision.name.clone()]).then(|| "it is in force already".to_owned()));
        if nobody.is_some() {
            return (RestoredBy::Nobody, nobody);
        }
        let rules = unfetchable(service, revision)
            .or_else(|| {
                let shares = in_force.contains(&revision.name);
                shares.then(|| {
                    "it has a part of the traffic already, which planners may take for live".to_owned()
                })
            })
            .or_else(|| descent.not_known(service, revision))
            .or_else(|| by_standing(service, revision, now))
            .or_else(|| {
                let ago = service.left_lately(revision, now)?;
                Some(format!(
                    "a rollback left it only {ago} ago, so rules alone do not go back to it: people are asked"
                ))
            })
            .or_else(|| {
                let off = revision.is_fallback_off();
                off.then(|| "no rule leaves a safe mode: people do when the model is well".to_owned())
            });
        match rules {
            Some(why) => (RestoredBy::People, Some(why)),
            None => (RestoredBy::Rules, None),
        }
    }

    /// What only the journal knows of; `missing` says why that is not restored, where its systems were asked.
    fn add_known(&self, facet: &Facet, lines: &mut Vec<TargetLine>, missing: Option<String>) {
        let listed: BTreeSet<VersionName> = lines.iter().map(|line| line.revision.name.clone()).collect();
        let known = self.service.revisions.keys();
        let of_facet = known.filter(|known| known.facet == *facet && !listed.contains(&known.name));
        for revision in of_facet {
            let entry = Entry {
                name: revision.name.clone(),
                made_at: None,
                made_by: None,
                summary: String::new(),
                listed: Listed { digest: None, broken: None },
            };
            lines.push(self.line(revision.clone(), entry, missing.clone()));
        }
    }
}

/// Fetches the contents that a plan would pin, and takes out what cannot be pinned. A version's artefact is not fetched: a plan does not either.
async fn look_at_contents(
    setup: &ServiceSetup,
    service: &Service,
    lines: &mut [TargetLine],
    contents_max: usize,
) {
    let wanted = lines.iter_mut().filter(|line| line.by != RestoredBy::Nobody).take(contents_max);
    let looks = wanted.map(|line| async move {
        let pinned = pinned(&setup.ports, service, line.target.clone()).await;
        (line, pinned)
    });
    let looks: Vec<_> = looks.collect();
    let mut looks = futures_util::stream::iter(looks).buffer_unordered(CONTENTS_AT_ONCE);
    while let Some((line, pinned)) = looks.next().await {
        line.content_seen = true;
        match pinned {
            Ok(target) => line.target = target,
            Err(error) => {
                line.by = RestoredBy::Nobody;
                line.why_not = Some(unpinnable(told(&error)));
            }
        }
    }
}
