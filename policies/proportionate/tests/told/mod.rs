use std::collections::BTreeMap;

use proportionate::{Proportionate, Settings};
use ripcord_sdk::contract::facts::{
    self, Candidate, Configuration, Fact, Fares, Live, Neighbour, Request, Standing, Unavailable,
    UnavailableReason, Value,
};
use ripcord_sdk::contract::types::{
    Context, Criticality, Facet as ServiceFacet, FacetRead, FacetState, InForce, Label, LiveState, Origin,
    Proof, Service, Share, Signal, VersionTarget,
};
use ripcord_sdk::prelude::*;
use ripcord_sdk::suspects::{Change, Facet, Kind, NoticedBy, Verified};

use super::generator::{Cause, Incident};

/// What is asked for is answered from here.
pub(super) struct Told {
    case: PlannerCase,
    changes: Vec<facts::Change>,
    configurations: Result<Vec<Configuration>, Unavailable>,
    versions: Vec<Candidate>,
    live: Live,
    fleet: Vec<Neighbour>,
    /// The revisions of each facet, oldest first.
    revisions: BTreeMap<Facet, Vec<String>>,
}

/// What the planner answered.
pub(super) struct Answered(PlannerAnswer);

/// Long before the first change.
const DAY: u64 = 24 * 3_600_000;

impl Told {
    pub(super) fn of(incident: &Incident) -> Self {
        let now = incident.harm.began_latest + 15 * 60_000;
        let mut revisions = BTreeMap::<Facet, Vec<String>>::new();
        let base = |facet: &Facet| vec![format!("before-{}", slug(facet))];
        // A team has older versions than the one that served before all that is on record.
        revisions.insert(Facet::Model, vec!["older-model".to_owned(), "before-model".to_owned()]);
        let mut changes = Vec::new();
        for change in incident.changes.iter().filter(|change| is_told(change)) {
            let of_it = revisions.entry(change.facet.clone()).or_insert_with(|| base(&change.facet));
            changes.push(fact(change, of_it.last().cloned()));
            of_it.push(change.to.clone().unwrap_or_default());
        }
        let verified = |facet: &Facet, revision: &String| {
            incident
                .changes
                .iter()
                .find(|one| one.facet == *facet && one.to.as_ref() == Some(revision))
                .map_or(
                    // What was there before all of it served well.
                    Some(now - 5 * DAY),
                    |one| match one.verified {
                        Verified::At(at) => Some(at),
                        Verified::Unknown | Verified::No => None,
                    },
                )
        };
        let standing = |facet: &Facet, revision: &String| match verified(facet, revision) {
            Some(_) => Standing::KnownGood,
            None => Standing::Unproven,
        };
        let made_at = |facet: &Facet, revision: &String| {
            let change =
                incident.changes.iter().find(|one| one.facet == *facet && one.to.as_ref() == Some(revision));
            let long_ago = if revision.starts_with("older") { now - 20 * DAY } else { now - 5 * DAY };
            change.map_or(long_ago, |one| one.at.stated.unwrap_or(one.at.noticed_at))
        };
        let versions = revisions[&Facet::Model].iter().rev().map(|revision| Candidate {
            version: VersionTarget { version: revision.clone(), digest: None },
            created_at: made_at(&Facet::Model, revision).min(now),
            aliases: Vec::new(),
            tags: Vec::new(),
            measures: Vec::new(),
            standing: standing(&Facet::Model, revision),
            verified_at: verified(&Facet::Model, revision),
            expires_at: None,
            verified_in: Vec::new(),
            condemned_by: Vec::new(),
            signature: None,
            runtime: None,
            restorable: true,
        });
        let mut configurations = Vec::new();
        let mut facets = Vec::new();
        for (facet, of_it) in &revisions {
            let Facet::Configuration(name) = facet else { continue };
            configurations.extend(of_it.iter().rev().map(|revision| Configuration {
                name: name.clone(),
                revision: revision.clone(),
                digest: None,
                at: Some(made_at(facet, revision)),
                author: None,
                summary: String::new(),
                standing: standing(facet, revision),
                verified_at: verified(facet, revision),
                condemned_by: Vec::new(),
                restorable: true,
            }));
            let revision = of_it.last().cloned().unwrap_or_default();
            let known = InForce { revision, digest: None, proof: Proof::Digest };
            facets.push(FacetRead {
                facet: ServiceFacet::Configuration(name.clone()),
                state: FacetState::InForce(known),
            });
        }
        let cannot = incident
            .known
            .iter()
            .any(|coverage| coverage.of == Kind::Configuration && coverage.complete_since.is_none());
        let failed =
            Unavailable { reason: UnavailableReason::Failed, message: "it does not answer".to_owned() };
        let served = revisions[&Facet::Model].last().cloned().unwrap_or_default();
        let share = Share {
            version: VersionTarget { version: served, digest: None },
            place: String::new(),
            weight: 1.0,
            proof: Proof::Answer,
        };
        Self {
            case: case(incident, now),
            versions: versions.collect(),
            configurations: if cannot { Err(failed) } else { Ok(configurations) },
            live: Live {
                state: LiveState::Serving(vec![share]),
                facets,
                since: changes.iter().map(|one| one.at).filter(|at| *at <= now).max(),
                observed_at: now,
            },
            fleet: fleet(incident),
            changes,
            revisions,
        }
    }

    /// What the planner answers once these were tried.
    #[allow(clippy::panic)]
    pub(super) fn ask(&self, tried: &[Target]) -> Answered {
        let case = PlannerCase { tried: tried.to_vec(), ..self.case.clone() };
        let settings = Settings::default();
        let mut known = Vec::new();
        loop {
            match Proportionate::propose(&case, &Facts::new(case.now(), known.clone()), &settings) {
                Ok(answer) => return Answered(answer),
                Err(Stop::Need(requests)) => {
                    known.extend(requests.into_iter().map(|request| self.fact(request)))
                }
                Err(Stop::Fail(why)) => panic!("{why}"),
            }
        }
    }

    #[allow(clippy::panic)]
    fn fact(&self, request: Request) -> Fact {
        let value = match &request {
            Request::Changes(_) => Ok(Value::Changes(self.changes.clone())),
            Request::Configurations(_) => self.configurations.clone().map(Value::Configurations),
            Request::Versions(_) => Ok(Value::Versions(self.versions.clone())),
            Request::Live => Ok(Value::Live(self.live.clone())),
            Request::Fleet => Ok(Value::Fleet(self.fleet.clone())),
            // A service that keeps no checkpoints, and whose registry keeps no lineage.
            Request::Checkpoints(_) | Request::Lineage(_) => Err(Unavailable {
                reason: UnavailableReason::Unsupported,
                message: "no adapter for it is configured".to_owned(),
            }),
            other => panic!("it asks for {other:?}"),
        };
        Fact { id: format!("{request:?}"), request, value, source: "test".to_owned(), as_of: self.case.now() }
    }

    fn made_before_the_guilty(&self, version: &str, incident: &Incident) -> bool {
        let made_at =
            self.versions.iter().find(|one| one.version.version == version).map(|one| one.created_at);
        let guilty = incident.changes.iter().filter(|change| {
            matches!(change.facet, Facet::Data(_))
                && change.to.as_ref().is_some_and(|to| incident.guilty.contains(to))
        });
        let came_at = guilty.map(|change| change.at.stated.unwrap_or(change.at.noticed_at)).min();
        // Where no history shows the bad data, what was there before everything on record is older.
        let oldest = self.revisions[&Facet::Model].iter().take(2).any(|one| one == version);
        came_at.map_or(oldest, |came_at| made_at.is_some_and(|made_at| made_at < came_at))
    }

    /// Whether the target is older than what did it. A version that is older was made from data before them.
    pub(super) fn takes_back(&self, target: &Target, incident: &Incident) -> bool {
        let older = |facet: &Facet, revision: &String| {
            let all = &self.revisions[facet];
            let place = |of: &String| all.iter().position(|one| one == of);
            let guilty = all.iter().filter(|one| incident.guilty.contains(one)).filter_map(place).min();
            // Where no history shows the cause, it came after what was there before everything that is on record.
            guilty.map_or_else(
                || place(revision) == Some(0),
                |guilty| place(revision).is_some_and(|one| one < guilty),
            )
        };
        match target {
            Target::Version(version) => match incident.cause {
                Cause::Version => older(&Facet::Model, &version.version),
                // What was made before the bad data came was not made from them.
                Cause::Data => self.made_before_the_guilty(&version.version, incident),
                _ => false,
            },
            Target::Configuration(one) => {
                let facet = Facet::Configuration(one.name.clone());
                incident.cause_facets.contains(&facet) && older(&facet, &one.revision)
            }
            _ => false,
        }
    }
}

impl Answered {
    /// Whether it names the cause, or none where none is on record. It names the first suspect unless what nobody has seen is likelier.
    pub(super) fn names(&self, incident: &Incident) -> bool {
        let unexplained = 1.0 - self.0.suspects.iter().map(|one| one.score).sum::<f64>();
        match self.0.suspects.first().filter(|first| first.score > unexplained) {
            Some(first) => first.change.became.iter().any(|revision| incident.guilty.contains(revision)),
            None => guilty(incident).is_empty(),
        }
    }

    pub(super) fn hands_over(&self) -> bool {
        matches!(self.0.verdict, PlannerVerdict::WillNotHelp(_))
    }

    pub(super) fn ladder(self) -> Vec<Target> {
        match self.0.verdict {
            PlannerVerdict::Choose(choice) => choice.ladder,
            _ => Vec::new(),
        }
    }
}

/// Of the others a host tells how they fare, or that it cannot tell.
fn fleet(incident: &Incident) -> Vec<Neighbour> {
    let neighbour = |service: &String, fares| Neighbour {
        service: service.clone(),
        environment: "production".to_owned(),
        fares,
        harmed_since: None,
    };
    let harmed = incident.harm.also_harmed.iter().map(|service| neighbour(service, Fares::Harmed));
    let well = incident.harm.well.iter().map(|service| neighbour(service, Fares::Well));
    let mut all: Vec<_> = harmed.chain(well).collect();
    // Of one in five nobody can tell.
    for (index, one) in all.iter_mut().enumerate() {
        if (incident.harm.began_latest + index as u64).is_multiple_of(5) {
            one.fares = Fares::Unknown;
        }
    }
    all
}

fn slug(facet: &Facet) -> String {
    match facet {
        Facet::Configuration(name) | Facet::Data(name) => name.clone(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The revisions that did it, of what a host tells of.
pub(super) fn guilty(incident: &Incident) -> Vec<&String> {
    let told = incident.changes.iter().filter(|change| is_told(change));
    told.filter_map(|change| change.to.as_ref()).filter(|to| incident.guilty.contains(to)).collect()
}

/// A host knows facets and data: what the world did nobody tells it.
pub(super) fn is_told(change: &Change) -> bool {
    change.facet != Facet::World
}

/// The change as the contract has it, with whom else it touches, and where the model moved.
fn fact(change: &Change, before: Option<String>) -> facts::Change {
    let seen = change.at.not_before.is_some();
    facts::Change {
        facet: match &change.facet {
            Facet::Model => ServiceFacet::Model,
            Facet::Configuration(name) => ServiceFacet::Configuration(name.clone()),
            Facet::Fallback => ServiceFacet::Fallback,
            Facet::Data(name) => ServiceFacet::Other(format!("data {name}")),
            Facet::World => ServiceFacet::Other("world".to_owned()),
        },
        was: before.into_iter().collect(),
        became: change.to.clone().into_iter().collect(),
        at: if seen { change.at.noticed_at } else { change.at.stated.unwrap_or(change.at.noticed_at) },
        not_before: change.at.not_before,
        by: None,
        noticed: match &change.noticed_by {
            _ if seen => "production",
            NoticedBy::Registry => "registry",
            NoticedBy::ConfigurationHistory => "history",
            NoticedBy::DataLineage => "lineage",
            _ => "calendar",
        }
        .to_owned(),
        verified_at: match change.verified {
            Verified::At(at) => Some(at),
            Verified::Unknown | Verified::No => None,
        },
        // Where a configuration moved nobody tells a host; where the model did, production shows.
        place: (change.facet == Facet::Model && !change.place.is_empty()).then(|| change.place.clone()),
        touches: change.services.iter().skip(1).cloned().collect(),
    }
}

fn case(incident: &Incident, now: u64) -> PlannerCase {
    let of_rule = |name: &str| incident.harm.labels.iter().find(|label| label.name == name);
    let mut labels = incident.harm.labels.clone();
    labels.retain(|label| label.name != "alertname");
    if !incident.harm.place.is_empty() {
        labels.push(Label { name: "region".to_owned(), value: incident.harm.place.clone() });
    }
    let signal = Signal {
        id: "alert-1".to_owned(),
        origin: Origin::Webhook("alertmanager".to_owned()),
        rule: of_rule("alertname").map(|label| label.value.clone()).unwrap_or_default(),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Critical,
        labels,
        annotations: Vec::new(),
        started_at: incident.harm.began_latest,
        ended_at: None,
        received_at: now,
        first_seen_at: now,
        count: 1,
        annotations_left_out: false,
    };
    let service = Service {
        name: incident.harm.service.clone(),
        environment: "production".to_owned(),
        criticality: Criticality::High,
        model: "m".to_owned(),
        labels: Vec::new(),
    };
    let context = Context {
        service,
        incident: None,
        now,
        settings: "{}".to_owned(),
        drill: false,
        live_since: None,
        memo: None,
    };
    let proposal = Proposal::new("it does harm").since(incident.harm.began_latest);
    PlannerCase { context, signals: vec![signal], proposal, tried: Vec::new() }
}
