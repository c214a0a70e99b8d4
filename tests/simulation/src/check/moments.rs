//! Moments at which a host that dies and comes back configured otherwise is most likely to do what it must not.

use ripcord_core::facet::Facet;
use ripcord_core::name::{PersonName, ServiceName};
use ripcord_core::service::{Phase, Service, StepState};
use ripcord_core::target::Target;

use super::Checker;

/// What is under way that another configuration would have otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// A shift of this facet was begun, and nobody knows what became of it.
    Shifting(Facet),
    /// The registry's production name is to be moved.
    Promoting,
    /// These people agreed to a shift that is still to come.
    Agreed(Vec<PersonName>),
}

impl Checker {
    /// Every service that is at such a moment.
    pub fn moments(&self) -> Vec<(ServiceName, Moment)> {
        let books = self.books();
        let all = books.services.values().map(|watched| &watched.service);
        all.filter_map(|service| Some((service.name.clone(), moment(service)?))).collect()
    }

    /// Whether this one is.
    pub fn is_at_such_a_moment(&self, service: &ServiceName) -> bool {
        self.books().services.get(service).is_some_and(|watched| moment(&watched.service).is_some())
    }
}

fn moment(service: &Service) -> Option<Moment> {
    let Some(incident) = &service.incident else {
        return service.promotion.is_some().then_some(Moment::Promoting);
    };
    if let Phase::Acting(acting) = &incident.phase
        && let StepState::Shifting(shifting) = &acting.step
        && shifting.intent.is_begun()
    {
        let facet = incident.target(acting.rung).and_then(Target::facet);
        return Some(Moment::Shifting(facet.unwrap_or(Facet::Model)));
    }
    let is_to_come =
        matches!(incident.phase, Phase::Authorising(_) | Phase::Acting(_)) && !incident.is_past_pivot();
    let votes = incident.votes.iter().filter(|vote| vote.granted);
    let agreed: Vec<PersonName> = votes.map(|vote| vote.person.clone()).collect();
    (is_to_come && !agreed.is_empty()).then_some(Moment::Agreed(agreed))
}
