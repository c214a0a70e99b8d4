//! What the API tells of a state, made from that state.

use ripcord_core::event::DataState;
use ripcord_core::facet::{Facet, InForce, Revision};
use ripcord_core::fact::Outcome;
use ripcord_core::name::PolicyName;
use ripcord_core::service::{HoldState, Latch, Service};
use ripcord_core::time::UnixMillis;
use ripcord_engine::Readiness;
use ripcord_ports::store::{IncidentLine, StoredSignal};

use super::{
    AlertsLine, FacetLine, HoldLine, IncidentListLine, IncidentState, LatchLine, NoDataLine, ProbationLine,
    ReadinessView, SeenLine, UnroutedSignal, VersionLine,
};
use crate::http::unroutable;
use crate::output::natural;

impl IncidentState {
    /// The open incident, or the last settled one, of a service.
    pub(crate) fn of(service: &Service, incident: &ripcord_core::service::Incident) -> Self {
        use ripcord_core::service::Phase;
        let (outcome, wanted, needs) = match &incident.phase {
            Phase::Settled(outcome) => (outcome.clone(), Vec::new(), None),
            Phase::Authorising(authorising) => (Outcome::Open, service.wanted(authorising), None),
            Phase::NeedsPerson(need) => (Outcome::Open, Vec::new(), Some(need.text.clone())),
            _ => (Outcome::Open, Vec::new(), None),
        };
        let is_open = service.incident.as_ref().is_some_and(|open| open.id == incident.id);
        let because = match &incident.phase {
            Phase::Authorising(authorising) => authorising.people_because.clone(),
            _ => None,
        };
        Self {
            id: incident.id.clone(),
            phase: incident.phase_name().to_owned(),
            outcome,
            opened_at: incident.marks.opened_at,
            past_pivot: incident.is_past_pivot(),
            plan: incident.plan().map(|plan| plan.digest),
            wanted,
            tally: if is_open { service.tally() } else { Vec::new() },
            waits_since: incident.waits_since(),
            expires_at: incident.plan_expires_at().filter(|_| is_open),
            because,
            needs,
            length: service.length,
        }
    }
}

impl ProbationLine {
    /// Of a service, if it has one.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let probation = service.probation.as_ref()?;
        Some(Self {
            unproven: probation.unproven.clone(),
            since: probation.since,
            asked: probation.round - 1,
            ends_at: service.probation_ends_at()?,
        })
    }
}

impl LatchLine {
    /// All of a service.
    pub(crate) fn all(service: &Service) -> Vec<Self> {
        let line = |(trigger, latch): (&PolicyName, &Latch)| Self {
            trigger: trigger.clone(),
            incident: latch.incident.clone(),
            outcome: latch.outcome.clone(),
            since: latch.since,
            until: service.unlatched_at(latch),
            held_back: latch.held_back,
        };
        service.watching.latches.iter().map(line).collect()
    }
}

impl ReadinessView {
    /// Of a look.
    pub(crate) fn of(looked: Readiness) -> Self {
        let (ready, wanted) = looked.score();
        Self {
            is_ready: ready == wanted,
            ready,
            wanted,
            service: looked.service,
            at: looked.at,
            parts: looked.parts,
        }
    }
}

impl NoDataLine {
    /// Of a service.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let watching = &service.watching;
        let with = |wanted: DataState| {
            let all = watching.no_data_of.iter();
            all.filter(|(_, data)| **data == wanted).map(|(name, _)| name.clone()).collect()
        };
        Some(Self {
            since: watching.no_data_since?,
            cannot_judge: with(DataState::Missing),
            take_it_for_a_value: with(DataState::NothingSelected),
        })
    }
}

impl AlertsLine {
    /// Of a service.
    pub(crate) fn of(service: &Service) -> Self {
        let alerts = &service.watching.alerts;
        Self {
            kept: alerts.len(),
            waiting: alerts.waiting(),
            left_out: alerts.left_out(),
            set_aside: alerts.set_aside_of().len(),
            without_data: alerts.blind(),
        }
    }
}

impl HoldLine {
    /// All holds of a service, lifted ones left out.
    pub(crate) fn all(service: &Service) -> Vec<Self> {
        let standing = service.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        standing
            .map(|(revision, hold)| Self {
                revision: revision.clone(),
                incident: hold.incident.clone(),
                since: hold.since,
                state: match hold.state {
                    HoldState::Stands => "stands",
                    HoldState::Broken => "broken",
                    HoldState::Lifted => "lifted",
                }
                .to_owned(),
            })
            .collect()
    }
}

impl FacetLine {
    /// Whether a safe mode answers in place of the model.
    pub fn falls_back(&self) -> bool {
        self.revision.is_safe_mode()
    }

    /// What is in force of every facet beside the model, as it was seen last.
    pub(crate) fn all(service: &Service, now: UnixMillis) -> Vec<Self> {
        let line = |(facet, known): (&Facet, &InForce)| {
            let revision = Revision { facet: facet.clone(), name: known.revision.clone() };
            Self {
                standing: service.standing_of(&revision, now),
                can_be_read: !service.production.is_unread(facet),
                revision,
                digest: known.digest,
                proof: known.proof,
            }
        };
        service.production.facets.iter().map(line).collect()
    }
}

impl VersionLine {
    /// All that is known of a service's versions.
    pub(crate) fn all(service: &Service, now: UnixMillis) -> Vec<Self> {
        let mut all: Vec<_> = service
            .versions()
            .map(|(version, known)| Self {
                version: version.clone(),
                digest: known.digest,
                standing: service.standing_of(version, now),
                since: known.since,
                expires_at: service.expires_at(version),
                condemned_by: known.condemned_by.clone(),
            })
            .collect();
        all.sort_by(|one, other| natural::compare(one.version.as_str(), other.version.as_str()));
        all
    }
}

impl From<IncidentLine> for IncidentListLine {
    fn from(line: IncidentLine) -> Self {
        let incident = line.incident;
        Self {
            id: incident.id,
            service: line.service,
            opened_at: incident.opened_at,
            settled_at: incident.settled_at,
            strategy: incident.strategy,
            outcome: incident.outcome,
            target: incident.target,
            summary: line.summary,
        }
    }
}

impl From<StoredSignal> for UnroutedSignal {
    fn from(stored: StoredSignal) -> Self {
        Self {
            source: stored.source.map(|name| name.to_string()),
            times: stored.times,
            why: unroutable::why(&stored.signal).unwrap_or("no route takes it").to_owned(),
            signal: stored.signal,
        }
    }
}

impl SeenLine {
    /// None before anything was seen.
    pub fn of(service: &Service) -> Option<Self> {
        let production = &service.production;
        let can_be_read = !production.is_unread(&Facet::Model);
        let live = production.live.as_ref();
        let names = live.map(|live| live.iter().map(ToString::to_string).collect::<Vec<_>>());
        match names {
            Some(names) if names.is_empty() => Some(Self { state: "nothing".to_owned(), can_be_read }),
            Some(names) => Some(Self { state: names.join(", "), can_be_read }),
            None if can_be_read => None,
            None => Some(Self { state: "unknown".to_owned(), can_be_read }),
        }
    }
}
