//! An answer must be about what was asked. Whoever stands between a person and the host could otherwise answer with another incident's plan and get
//! a signature for it, or say of another service that all is well.

use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::name::{IncidentId, ServiceName, SetId, SetName};
use ripcord_core::plan::{PLAN_FORMAT, Plan};
use ripcord_engine::view::IncidentView;
use ripcord_engine::{DecisionPage, FacetTargets};

use crate::http::wire::{
    ChangesView, Done, DoneOne, IncidentListLine, IncidentState, OfEach, PlanView, ReadinessView,
    ServiceView, SetRunView, SetView, TargetsView, VersionsView,
};

/// An answer about something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWhatWasAsked {
    /// Another incident.
    #[error("`{asked}` was asked for, and the answer is about the incident `{got}`")]
    Incident {
        /// Which was asked for.
        asked: String,
        /// What came.
        got: IncidentId,
    },
    /// Another service.
    #[error("`{asked}` was asked for, and the answer is about the service `{got}`")]
    Service {
        /// Which was asked for.
        asked: String,
        /// What came.
        got: ServiceName,
    },
    /// Another facet.
    #[error("`{asked}` was asked for, and the answer is about the facet `{got}`")]
    Facet {
        /// Which was asked for.
        asked: String,
        /// What came.
        got: Facet,
    },
    /// A service of the configuration is missing.
    #[error("nothing was said of `{0}`: nobody knows whether it was done there")]
    Silent(ServiceName),
    /// A plan that does not name its own service.
    #[error("the plan of `{incident}` does not say what happens to `{service}`")]
    Plan {
        /// Of which incident.
        incident: IncidentId,
        /// Which service is missing.
        service: ServiceName,
    },
    /// Another set.
    #[error("the set `{asked}` was asked for, and the answer is about `{got}`")]
    Set {
        /// Which was asked for.
        asked: SetName,
        /// What came.
        got: String,
    },
    /// A plan of a run that is none of a set.
    #[error("the plan of `{0}` does not say which services move together")]
    NoSet(IncidentId),
    /// A plan with another digest.
    #[error("the plan that is shown has the digest `{own}`, not `{claimed}`: it was changed on its way")]
    Digest {
        /// As computed here.
        own: Digest,
        /// As it was told.
        claimed: Digest,
    },
    /// A plan of another installation.
    #[error(
        "the plan is of the installation `{got}`, and the store on this machine, or your login, is of `{own}`"
    )]
    Installation {
        /// Of the store on this machine.
        own: Digest,
        /// Of the plan.
        got: Digest,
    },
    /// A plan that this release does not understand.
    #[error("the plan has the format {0}, which this release does not know: use the release of the host")]
    Format(u32),
    /// A plan that has no canonical form.
    #[error("the plan has no digest: {0}")]
    NoDigest(String),
}

type Checked<T> = Result<T, NotWhatWasAsked>;

fn incident(got: &IncidentId, asked: &IncidentId) -> Checked<()> {
    if got == asked {
        return Ok(());
    }
    Err(NotWhatWasAsked::Incident { asked: asked.to_string(), got: got.clone() })
}

fn service(got: &ServiceName, asked: &ServiceName) -> Checked<()> {
    if got == asked {
        return Ok(());
    }
    Err(NotWhatWasAsked::Service { asked: asked.to_string(), got: got.clone() })
}

/// Whether an incident is one of the service's.
fn of_service(got: &IncidentId, asked: &ServiceName) -> Checked<()> {
    if got.service().as_ref() == Some(asked) {
        return Ok(());
    }
    Err(NotWhatWasAsked::Incident { asked: asked.to_string(), got: got.clone() })
}

/// Whether the plan is the incident's, and its digest really its own: what is shown is what is signed.
pub(crate) fn plan(view: PlanView, asked: &IncidentId) -> Checked<PlanView> {
    check_plan(&view.plan, &view.digest, asked)?;
    Ok(view)
}

fn check_plan(plan: &Plan, claimed: &Digest, asked: &IncidentId) -> Checked<()> {
    if plan.format != PLAN_FORMAT {
        return Err(NotWhatWasAsked::Format(plan.format));
    }
    names_its_own(plan, asked)?;
    let own = plan.digest().map_err(|error| NotWhatWasAsked::NoDigest(error.to_string()))?;
    if own != *claimed {
        return Err(NotWhatWasAsked::Digest { own, claimed: *claimed });
    }
    Ok(())
}

/// Whether the plan is that of what was asked for, and says what happens to it. A member of a set carries out its part of the plan of the set's run.
fn names_its_own(plan: &Plan, asked: &IncidentId) -> Checked<()> {
    let Some(service) = asked.service() else { return incident(&plan.incident, asked) };
    let has_part = plan.parts.iter().any(|part| part.service == service);
    match (&plan.set, service.as_set()) {
        (None, Some(_)) => {
            incident(&plan.incident, asked)?;
            Err(NotWhatWasAsked::NoSet(asked.clone()))
        }
        (Some(_), Some(_)) => incident(&plan.incident, asked),
        (Some(_), None) if plan.incident.service().is_some_and(|run| run.is_reserved()) && has_part => Ok(()),
        (_, None) => {
            incident(&plan.incident, asked)?;
            if has_part { Ok(()) } else { Err(NotWhatWasAsked::Plan { incident: asked.clone(), service }) }
        }
    }
}

/// Whether the plan is of the installation whose store lies on this machine.
pub(crate) fn installation(plan: &Plan, own: &Digest) -> Checked<()> {
    if plan.installation == *own {
        return Ok(());
    }
    Err(NotWhatWasAsked::Installation { own: *own, got: plan.installation })
}

pub(crate) fn page(view: IncidentView, asked: &IncidentId) -> Checked<IncidentView> {
    incident(&view.id, asked)?;
    if let Some(asked) = asked.service() {
        service(&view.service, &asked)?;
    }
    if let (Some(plan), Some(digest)) = (&view.plan, &view.plan_digest) {
        check_plan(plan, digest, asked)?;
    }
    Ok(view)
}

pub(super) fn state(state: IncidentState, asked: &IncidentId) -> Checked<IncidentState> {
    incident(&state.id, asked)?;
    Ok(state)
}

pub(super) fn view(view: ServiceView, asked: &ServiceName) -> Checked<ServiceView> {
    service(&view.name, asked)?;
    for state in [&view.incident, &view.last_settled].into_iter().flatten() {
        of_service(&state.id, asked)?;
    }
    Ok(view)
}

pub(super) fn lines(
    lines: Vec<IncidentListLine>,
    asked: Option<&ServiceName>,
) -> Checked<Vec<IncidentListLine>> {
    for line in &lines {
        service(&line.service, asked.unwrap_or(&line.service))?;
        of_service(&line.id, &line.service)?;
    }
    Ok(lines)
}

pub(super) fn of_each<T>(
    of: OfEach<T>,
    asked: Option<&ServiceName>,
    service_of: impl Fn(&T) -> &ServiceName,
) -> Checked<OfEach<T>> {
    let all = of.lines.iter().map(service_of).chain(of.damaged.keys());
    for got in all {
        service(got, asked.unwrap_or(got))?;
    }
    Ok(of)
}

pub(super) fn versions(view: VersionsView, asked: &ServiceName) -> Checked<VersionsView> {
    service(&view.service, asked)?;
    Ok(view)
}

pub(super) fn targets(view: TargetsView, asked: &ServiceName, facet: Option<&str>) -> Checked<TargetsView> {
    service(&view.service, asked)?;
    let other = |got: &&FacetTargets| facet.is_some_and(|facet| got.facet.word() != facet);
    if let (Some(facet), Some(got)) = (facet, view.facets.iter().find(other)) {
        return Err(NotWhatWasAsked::Facet { asked: facet.to_owned(), got: got.facet.clone() });
    }
    Ok(view)
}

pub(super) fn readiness(view: ReadinessView, asked: &ServiceName) -> Checked<ReadinessView> {
    service(&view.service, asked)?;
    Ok(view)
}

pub(super) fn changes(view: ChangesView, asked: &ServiceName) -> Checked<ChangesView> {
    service(&view.service, asked)?;
    view.incident.iter().try_for_each(|got| of_service(got, asked))?;
    Ok(view)
}

pub(super) fn decisions(page: DecisionPage, asked: &ServiceName) -> Checked<DecisionPage> {
    for one in &page.decisions {
        service(&one.service, asked)?;
    }
    Ok(page)
}

/// Whether the runs that a set tells of are its own.
pub(super) fn runs_of_set(view: &SetView) -> Checked<()> {
    let journal = view.name.journal();
    let mut runs = [&view.run, &view.last].into_iter().flatten();
    match runs.find(|run| run.state.id.service().as_ref() != Some(&journal)) {
        Some(other) => {
            Err(NotWhatWasAsked::Set { asked: view.name.clone(), got: other.state.id.to_string() })
        }
        None => Ok(()),
    }
}

pub(super) fn set(view: SetView, asked: &SetName) -> Checked<SetView> {
    if view.name != *asked {
        return Err(NotWhatWasAsked::Set { asked: asked.clone(), got: view.name.to_string() });
    }
    runs_of_set(&view)?;
    Ok(view)
}

pub(super) fn set_run(view: SetRunView, asked: &SetName, number: u32) -> Checked<SetRunView> {
    let got = &view.run.state.id;
    if view.set != *asked || *got != SetId::numbered(asked, number).as_incident() {
        return Err(NotWhatWasAsked::Set { asked: asked.clone(), got: got.to_string() });
    }
    Ok(view)
}

pub(super) fn done_to_set(done: Done, asked: &SetName) -> Checked<Done> {
    match done.incident.iter().find(|got| got.service().as_ref() != Some(&asked.journal())) {
        Some(got) => Err(NotWhatWasAsked::Set { asked: asked.clone(), got: got.to_string() }),
        None => Ok(done),
    }
}

pub(super) fn done_to_incident(done: Done, asked: &IncidentId) -> Checked<Done> {
    done.incident.iter().try_for_each(|got| incident(got, asked))?;
    Ok(done)
}

pub(super) fn done_to_service(done: Done, asked: &ServiceName) -> Checked<Done> {
    done.incident.iter().try_for_each(|got| of_service(got, asked))?;
    Ok(done)
}

/// Every service that the reader's configuration has must be among them.
pub(super) fn done_to_all(each: Vec<DoneOne>, known: &[ServiceName]) -> Checked<Vec<DoneOne>> {
    match known.iter().find(|known| !each.iter().any(|one| one.service == **known)) {
        Some(silent) => Err(NotWhatWasAsked::Silent(silent.clone())),
        None => Ok(each),
    }
}
