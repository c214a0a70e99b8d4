//! The host's services as one of them sees the others: what they share, and how they fare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::fact::{Candidate, Change, Changed, Fares, Neighbour, VerifiedIn};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::policy::Role;
use ripcord_core::service::{Incident, Opener, Service};
use ripcord_core::signal::{SignalKind, SignalStatus};
use ripcord_core::standing::Standing;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{Clock, Registry};
use tokio::sync::watch;

use crate::deadline::within;
use crate::setup::{ServicePorts, ServiceSetup};

/// Services whose lineages are read to see whether they use the same data, the first by name: each costs a question to its registry.
const LINEAGES_MAX: usize = 16;

/// So long each of these registries has: whoever asks what moved of a service does not wait for the systems of another.
const LINEAGE: Millis = Millis::seconds(2);

/// Services that one change names.
const TOUCHED_MAX: usize = 64;

/// Services that one version names as those where it is known good.
const VERIFIED_IN_MAX: usize = 16;

/// Services that one fact tells of: that many share nothing with the one that is asked about.
const NEIGHBOURS_MAX: usize = 256;

/// A service of the host.
struct Member {
    setup: Arc<ServiceSetup>,
    /// None where its journal is set aside.
    state: Option<watch::Receiver<Arc<Service>>>,
    /// Where its registry keeps the model.
    model_at: Option<String>,
    /// Where its configurations are kept.
    facets_at: BTreeSet<String>,
}

/// Those that are there, by name.
struct Members {
    all: Vec<Member>,
    clock: Arc<dyn Clock>,
}

/// All services of a running host, once their journals are recovered.
#[derive(Default)]
pub struct Fleet(OnceLock<Members>);

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members().map(|member| &member.setup.name)).finish()
    }
}

impl Fleet {
    /// Who is there, once.
    pub(crate) fn assemble(
        &self,
        members: impl Iterator<Item = (Arc<ServiceSetup>, Option<watch::Receiver<Arc<Service>>>)>,
        clock: Arc<dyn Clock>,
    ) {
        let mut all: Vec<_> = members.map(|(setup, state)| Member::new(setup, state)).collect();
        all.sort_by(|one, other| one.setup.name.cmp(&other.setup.name));
        if self.0.set(Members { all, clock }).is_err() {
            tracing::error!("the host's services were told twice; the first word stands");
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.0.get().into_iter().flat_map(|members| &members.all)
    }

    /// By name.
    fn others<'f>(&'f self, than: &'f ServiceName) -> impl Iterator<Item = &'f Member> {
        self.members().filter(move |member| member.setup.name != *than)
    }

    fn names_of_others(&self, than: &ServiceName, wanted: impl Fn(&Member) -> bool) -> Vec<ServiceName> {
        let others = self.others(than).filter(|member| wanted(member));
        others.take(TOUCHED_MAX).map(|member| member.setup.name.clone()).collect()
    }

    /// How the others fare: those that are harmed first, then by name; at most [`NEIGHBOURS_MAX`].
    pub(crate) fn neighbours(&self, of: &ServiceName) -> Vec<Neighbour> {
        let mut all: Vec<_> = self.others(of).map(Member::neighbour).collect();
        all.sort_by(|one, other| {
            let rank = |neighbour: &Neighbour| (neighbour.fares != Fares::Harmed, neighbour.service.clone());
            rank(one).cmp(&rank(other))
        });
        all.truncate(NEIGHBOURS_MAX);
        all
    }

    /// Says of each change which other services use what moved: at most [`TOUCHED_MAX`], the first by name.
    pub(crate) async fn tell_touched(&self, of: &ServiceName, ports: &ServicePorts, changes: &mut [Change]) {
        let mut with_same = BTreeMap::<Facet, Vec<ServiceName>>::new();
        let of_model = ports.registry.kept_at();
        let of_model: Vec<&Member> = match &of_model {
            Some(_) => self.others(of).filter(|member| member.model_at == of_model).collect(),
            None => Vec::new(),
        };
        let has_data = changes.iter().any(|change| matches!(change.what, Changed::Data(_)));
        let data = if has_data { self.data(of).await } else { Vec::new() };
        for change in changes {
            change.touches = match &change.what {
                // One model in one registry serves many: a version touches those alone that serve it.
                Changed::Facet(Facet::Model) => {
                    let serving = of_model.iter().filter(|member| member.serves_any(&change.became));
                    serving.take(TOUCHED_MAX).map(|member| member.setup.name.clone()).collect()
                }
                Changed::Facet(facet) => match with_same.get(facet) {
                    Some(same) => same.clone(),
                    None => {
                        let same = self.with_same(of, ports, facet);
                        with_same.entry(facet.clone()).or_insert(same).clone()
                    }
                },
                Changed::Data(name) => {
                    let uses = |(_, set, revision): &&(ServiceName, String, Option<String>)| {
                        set == name && is_among(revision.as_deref(), change)
                    };
                    let using: BTreeSet<_> = data.iter().filter(uses).map(|(service, ..)| service).collect();
                    using.into_iter().take(TOUCHED_MAX).cloned().collect()
                }
            };
        }
    }

    /// Says of each version for which others it is known good: the same version of the same registry, or the same bytes. The last verified is first, at most
    /// [`VERIFIED_IN_MAX`].
    pub(crate) fn tell_verified(
        &self,
        of: &ServiceName,
        registry: &dyn Registry,
        candidates: &mut [Candidate],
        now: UnixMillis,
    ) {
        let model_at = registry.kept_at();
        let (mut by_digest, mut by_name) = (BTreeMap::<Digest, Vec<usize>>::new(), BTreeMap::new());
        for (index, candidate) in candidates.iter().enumerate() {
            by_name.insert(candidate.version.version.clone(), index);
            if let Some(digest) = candidate.version.digest {
                by_digest.entry(digest).or_default().push(index);
            }
        }
        // Of thousands of services few know one of these: only what is one of them is judged.
        for member in self.others(of) {
            let Some(state) = member.state.as_ref().map(|state| state.borrow().clone()) else { continue };
            let shares = model_at.is_some() && member.model_at == model_at;
            let mut verified = BTreeMap::<usize, UnixMillis>::new();
            for (revision, known) in &state.revisions {
                let Some(version) = revision.version() else { continue };
                let same = known.digest.and_then(|digest| by_digest.get(&digest));
                let named = by_name.get(version).filter(|_| shares);
                let of = same.into_iter().flatten().chain(named);
                for index in of.filter(|_| state.standing_of(version, now) == Standing::KnownGood) {
                    let at = verified.entry(*index).or_insert(known.since);
                    *at = known.since.max(*at);
                }
            }
            for (index, at) in verified {
                candidates[index].verified_in.push(VerifiedIn {
                    service: member.setup.name.clone(),
                    environment: member.setup.facts.environment.clone(),
                    at,
                });
            }
        }
        for candidate in candidates {
            candidate.verified_in.sort_by_key(|verified| std::cmp::Reverse(verified.at));
            candidate.verified_in.truncate(VERIFIED_IN_MAX);
        }
    }

    fn with_same(&self, of: &ServiceName, ports: &ServicePorts, facet: &Facet) -> Vec<ServiceName> {
        let Some(kept_at) = ports.restorers.get(facet).and_then(|port| port.kept_at()) else {
            return Vec::new();
        };
        self.names_of_others(of, |member| member.facets_at.contains(&kept_at))
    }

    /// The data that what the others serve was trained on: service, set, revision. The first [`LINEAGES_MAX`] by name of those that serve one version are
    /// asked; a registry that does not tell within [`LINEAGE`] leaves its service out.
    async fn data(&self, of: &ServiceName) -> Vec<(ServiceName, String, Option<String>)> {
        let Some(Members { clock, .. }) = self.0.get() else { return Vec::new() };
        let live = self.others(of).filter_map(|member| {
            let state = member.state.as_ref()?.borrow().clone();
            Some((member, state.production.sole()?.clone()))
        });
        let each = live.take(LINEAGES_MAX).map(|(member, version)| async move {
            let asked = member.setup.ports.registry.lineage(&version);
            let Some(Ok(lineage)) = within(clock.as_ref(), LINEAGE, asked).await else { return Vec::new() };
            let owned = |(set, revision): (&str, Option<&str>)| {
                (member.setup.name.clone(), set.to_owned(), revision.map(str::to_owned))
            };
            lineage.trained_on().map(owned).collect::<Vec<_>>()
        });
        join_all(each).await.into_iter().flatten().collect()
    }
}

/// Whether the revision is what came; whoever does not tell its revision may have it.
fn is_among(revision: Option<&str>, change: &Change) -> bool {
    let named = |revision: &str| crate::changes::as_name(revision);
    revision.is_none_or(|revision| named(revision).is_some_and(|name| change.became.contains(&name)))
}

impl Member {
    fn new(setup: Arc<ServiceSetup>, state: Option<watch::Receiver<Arc<Service>>>) -> Self {
        let model_at = setup.ports.registry.kept_at();
        let facets_at = setup.ports.restorers.values().filter_map(|port| port.kept_at()).collect();
        Self { setup, state, model_at, facets_at }
    }

    fn serves_any(&self, versions: &[VersionName]) -> bool {
        let state = self.state.as_ref().map(|state| state.borrow().clone());
        let live = state.as_ref().and_then(|state| state.production.live.as_ref());
        live.is_some_and(|live| live.iter().any(|version| versions.contains(version)))
    }

    fn neighbour(&self) -> Neighbour {
        let state = self.state.as_ref().map(|state| state.borrow().clone());
        let harmed_since = state.as_deref().and_then(harmed_since);
        let is_watched = self.setup.policies(Role::Trigger).next().is_some();
        let fares = match state {
            _ if harmed_since.is_some() => Fares::Harmed,
            Some(state)
                if is_watched
                    && state.production.live.is_some()
                    && !state.production.is_unread(&Facet::Model) =>
            {
                Fares::Well
            }
            _ => Fares::Unknown,
        };
        Neighbour {
            service: self.setup.name.clone(),
            environment: self.setup.facts.environment.clone(),
            fares,
            harmed_since,
        }
    }
}

/// Since when an alert of it fires, or its incident tells of harm. One that was opened to put what was made in place tells of none.
fn harmed_since(service: &Service) -> Option<UnixMillis> {
    let firing = service.watching.alerts.all().into_iter().map(|alert| &alert.word);
    let firing =
        firing.filter(|word| word.status == SignalStatus::Firing && word.kind == SignalKind::Condition);
    let of_harm = |incident: &&Incident| !matches!(incident.opened_by, Opener::Produced(_));
    let incident = service.incident.as_ref().filter(of_harm);
    let opened = incident.map(|incident| incident.reason.harm_began_at.unwrap_or(incident.marks.opened_at));
    firing.map(|word| word.started_at).chain(opened).min()
}
