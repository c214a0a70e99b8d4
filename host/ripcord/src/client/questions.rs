//! What can be asked of a host. Every answer is held against its question.

use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::time::UnixMillis;
use ripcord_engine::view::IncidentView;
use ripcord_engine::{DecisionPage, PruneReport};
use serde::Serialize;
use serde_json::Value;

use super::asked::{self, NotWhatWasAsked};
use super::{Client, ClientError};
use crate::http::wire::{
    ChangesView, CondemnedDataOf, Done, DoneOne, HoldOf, IncidentListLine, IncidentState, OfEach, PlanView,
    ReadinessView, ServiceView, SetAsideAlert, SetPullBody, SetRunView, SetView, TargetsView, UnroutedSignal,
    VersionsView, WhoAmI,
};

type Answer<T> = Result<T, ClientError>;

/// Whether the host asks the model server for what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// It does, which may take some seconds.
    Read,
    /// It does not.
    Skipped,
}

impl Client {
    fn held_against<T>(&self, checked: Result<T, NotWhatWasAsked>) -> Answer<T> {
        checked.map_err(|what| ClientError::NotWhatWasAsked { url: self.place(), what })
    }

    /// Whether a host answers.
    ///
    /// # Errors
    /// Of this and all below: see [`ClientError`].
    pub async fn greet(&self) -> Answer<()> {
        self.get::<Value>("services").await.map(drop)
    }

    /// Who the token is, and which installation answers.
    pub async fn whoami(&self) -> Answer<WhoAmI> {
        self.get("whoami").await
    }

    /// A service.
    pub async fn service(&self, name: &ServiceName, live: Live) -> Answer<ServiceView> {
        let query = if live == Live::Read { "?live=true" } else { "" };
        let view = self.get(&format!("services/{name}{query}")).await?;
        self.held_against(asked::view(view, name))
    }

    /// All services of the host; those that are `known` here are among them.
    pub async fn services(&self, known: &[ServiceName], live: Live) -> Answer<Vec<ServiceView>> {
        let query = if live == Live::Read { "?live=true" } else { "" };
        let mut views = self.get::<Vec<ServiceView>>(&format!("services{query}")).await?;
        for name in known {
            // One that was left out is asked for by its name: the host says why.
            if !views.iter().any(|view| view.name == *name) {
                views.push(self.service(name, live).await?);
            }
        }
        Ok(views)
    }

    /// Erases what is older than it is kept for.
    pub async fn prune(&self) -> Answer<PruneReport> {
        self.post("store/prune", &serde_json::json!({})).await
    }

    /// Incidents, newest first.
    pub async fn incidents(
        &self,
        service: Option<&ServiceName>,
        limit: u32,
    ) -> Answer<Vec<IncidentListLine>> {
        let query = service.map(|service| format!("&service={service}")).unwrap_or_default();
        let lines = self.get(&format!("incidents?limit={limit}{query}")).await?;
        self.held_against(asked::lines(lines, service))
    }

    /// One incident.
    pub async fn incident(&self, id: &IncidentId) -> Answer<IncidentView> {
        let view = self.get(&format!("incidents/{id}")).await?;
        self.held_against(asked::page(view, id))
    }

    /// The plan at hand.
    pub async fn plan(&self, id: &IncidentId) -> Answer<PlanView> {
        let view = self.get(&format!("incidents/{id}/plan")).await?;
        self.held_against(asked::plan(view, id))
    }

    /// How far an incident is, once its phase is another than the given one or so many seconds are over.
    pub async fn wait(&self, id: &IncidentId, seconds: u64, phase: Option<&str>) -> Answer<IncidentState> {
        let phase = phase.map(|phase| format!("&phase={}", in_address(phase))).unwrap_or_default();
        let state = self.get(&format!("incidents/{id}/wait?seconds={seconds}{phase}")).await?;
        self.held_against(asked::state(state, id))
    }

    /// The versions of a service.
    pub async fn versions(&self, service: &ServiceName) -> Answer<VersionsView> {
        let view = self.get(&format!("services/{service}/versions")).await?;
        self.held_against(asked::versions(view, service))
    }

    /// What of a service could be restored now; of one facet, or of all.
    pub async fn targets(&self, service: &ServiceName, facet: Option<&str>) -> Answer<TargetsView> {
        let query = facet.map(|facet| format!("?facet={}", in_address(facet))).unwrap_or_default();
        let view = self.get(&format!("services/{service}/targets{query}")).await?;
        self.held_against(asked::targets(view, service, facet))
    }

    /// Whether a service could be rolled back right now: the host looks at once.
    pub async fn readiness(&self, service: &ServiceName) -> Answer<ReadinessView> {
        let view = self.get(&format!("services/{service}/readiness")).await?;
        self.held_against(asked::readiness(view, service))
    }

    /// What moved of a service; since when is left to the host where it is not said.
    /// Where it is said when harm began, the planner is asked as if it had.
    pub async fn changes(
        &self,
        service: &ServiceName,
        since: Option<UnixMillis>,
        harm_began: Option<UnixMillis>,
    ) -> Answer<ChangesView> {
        let asked = [("since", since), ("harm_began", harm_began)].into_iter();
        let asked: Vec<_> = asked.filter_map(|(key, at)| Some(format!("{key}={}", at?.0))).collect();
        let view = self.get(&format!("services/{service}/changes?{}", asked.join("&"))).await?;
        self.held_against(asked::changes(view, service))
    }

    /// The newest decisions of a service.
    pub async fn decisions(
        &self,
        service: &ServiceName,
        since: UnixMillis,
        limit: u32,
    ) -> Answer<DecisionPage> {
        let page = self.get(&format!("services/{service}/decisions?since={}&limit={limit}", since.0)).await?;
        self.held_against(asked::decisions(page, service))
    }

    /// The newest decisions of an incident.
    pub async fn decisions_of_incident(&self, id: &IncidentId, limit: u32) -> Answer<DecisionPage> {
        let page: DecisionPage = self.get(&format!("incidents/{id}/decisions?limit={limit}")).await?;
        match id.service() {
            Some(service) => self.held_against(asked::decisions(page, &service)),
            None => Ok(page),
        }
    }

    /// Asks the host to read its configuration again.
    pub async fn reload(&self) -> Answer<Done> {
        self.post("reload", &serde_json::json!({})).await
    }

    /// Signals that no route took.
    pub async fn unrouted(&self, limit: u32) -> Answer<Vec<UnroutedSignal>> {
        self.get(&format!("signals/unrouted?limit={limit}")).await
    }

    /// Alerts that are set aside.
    pub async fn set_aside(&self, service: Option<&ServiceName>) -> Answer<OfEach<SetAsideAlert>> {
        let of = self.get(&format!("signals/set-aside{}", only(service))).await?;
        self.held_against(asked::of_each(of, service, |alert: &SetAsideAlert| &alert.service))
    }

    /// Holds.
    pub async fn holds(&self, service: Option<&ServiceName>) -> Answer<OfEach<HoldOf>> {
        let of = self.get(&format!("holds{}", only(service))).await?;
        self.held_against(asked::of_each(of, service, |hold: &HoldOf| &hold.service))
    }

    /// Condemned data.
    pub async fn condemned_data(&self, service: Option<&ServiceName>) -> Answer<OfEach<CondemnedDataOf>> {
        let of = self.get(&format!("data{}", only(service))).await?;
        self.held_against(asked::of_each(of, service, |data: &CondemnedDataOf| &data.service))
    }

    /// All sets of the host.
    pub async fn sets(&self) -> Answer<Vec<SetView>> {
        let views: Vec<SetView> = self.get("sets").await?;
        for view in &views {
            self.held_against(asked::runs_of_set(view))?;
        }
        Ok(views)
    }

    /// A set.
    pub async fn set(&self, name: &SetName) -> Answer<SetView> {
        let view = self.get(&format!("sets/{name}")).await?;
        self.held_against(asked::set(view, name))
    }

    /// A run of a set.
    pub async fn set_run(&self, name: &SetName, number: u32) -> Answer<SetRunView> {
        let view = self.get(&format!("sets/{name}/runs/{number}")).await?;
        self.held_against(asked::set_run(view, name, number))
    }

    /// Asks for a run of a set.
    pub async fn pull_set(&self, name: &SetName, body: &SetPullBody) -> Answer<Done> {
        let done = self.post(&format!("sets/{name}/pull"), body).await?;
        self.held_against(asked::done_to_set(done, name))
    }

    /// Orders something of a service; `what` is the rest of the address.
    pub async fn order_of_service(
        &self,
        service: &ServiceName,
        what: &str,
        body: &impl Serialize,
    ) -> Answer<Done> {
        let done = self.post(&format!("services/{service}/{}", in_address(what)), body).await?;
        self.held_against(asked::done_to_service(done, service))
    }

    /// Orders something of an incident.
    pub async fn order_of_incident(
        &self,
        id: &IncidentId,
        what: &str,
        body: &impl Serialize,
    ) -> Answer<Done> {
        let done = self.post(&format!("incidents/{id}/{what}"), body).await?;
        self.held_against(asked::done_to_incident(done, id))
    }

    /// Orders something of every service; those that are known here must all be answered for.
    pub async fn order_of_all(
        &self,
        known: &[ServiceName],
        what: &str,
        body: &impl Serialize,
    ) -> Answer<Vec<DoneOne>> {
        let each = self.post(what, body).await?;
        self.held_against(asked::done_to_all(each, known))
    }
}

fn only(service: Option<&ServiceName>) -> String {
    service.map(|service| format!("?service={service}")).unwrap_or_default()
}

/// What was answered before, or a version, may hold what has a meaning in an address.
fn in_address(text: &str) -> String {
    let mut address = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' | b':' | b'@' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}
