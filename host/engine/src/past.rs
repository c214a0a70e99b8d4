//! What was known at an instant of the past: metrics as of then, and what the journal tells of then. For trying a rule over the past.
//!
//! Nothing of later than that instant is told: a window that ends after it is cut there, and an incident that was not settled by then is open.

use async_trait::async_trait;
use ripcord_core::fact::{
    Candidate, Fact, Live, Outcome, PastIncident, RangeQuery, Request, Unavailable, UnavailableReason, Value,
};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::service::Service;
use ripcord_core::target::{VersionTarget, Window};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;

use crate::asking::{FactSource, not_answered_outside};
use crate::descent::Descent;
use crate::facts::{Sources, candidate, descent_of};
use crate::setup::ServiceSetup;

/// Changes of what was live that are read.
const CHANGES_MAX: u32 = 10_000;
/// Incidents that are read.
const INCIDENTS_MAX: u32 = 10_000;
/// Versions that are listed.
const VERSIONS_MAX: u32 = 1_000;

/// What was live since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WasLive {
    since: UnixMillis,
    /// Version names, one or several.
    versions: Vec<String>,
}

/// What was known at instants of the past. What does not change with time is fetched once.
pub struct FactsThen<'a> {
    setup: &'a ServiceSetup,
    service: &'a Service,
    /// Oldest first.
    live: Vec<WasLive>,
    /// Newest first.
    incidents: Vec<PastIncident>,
    /// As the registry has them now.
    versions: Result<Vec<Candidate>, Unavailable>,
}

impl std::fmt::Debug for FactsThen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactsThen").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl<'a> FactsThen<'a> {
    /// Reads what the journal tells. Without a store nothing is known of what was live, nor of incidents.
    pub async fn read(
        setup: &'a ServiceSetup,
        service: &'a Service,
        store: Option<&dyn Store>,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        let (mut live, mut incidents) = (Vec::new(), Vec::new());
        if let Some(store) = store {
            let mut changes = store.changes(&service.name, CHANGES_MAX).await?;
            changes.retain(|change| change.facet == "live");
            changes.reverse();
            live = changes
                .into_iter()
                .map(|change| WasLive {
                    since: change.at,
                    versions: change.to.split(", ").map(str::to_owned).collect(),
                })
                .collect();
            let lines = crate::list::incidents(store, Some(&service.name), INCIDENTS_MAX).await?;
            incidents = lines.into_iter().map(|line| line.incident).collect();
        }
        let listed = setup.ports.registry.listing(VERSIONS_MAX).await;
        let descent = match &listed {
            Ok(listing) => descent_of(setup, service, &listing.versions).await,
            Err(_) => Descent::default(),
        };
        let with_standing = |one| candidate(service, &descent, one, now);
        let versions = listed
            .map(|listing| listing.versions.into_iter().map(with_standing).collect())
            .map_err(crate::captured::unavailable);
        Ok(Self { setup, service, live, incidents, versions })
    }

    /// The same where this version, and no other, was live all the time.
    pub fn with_live(mut self, version: &VersionName) -> Self {
        self.live = vec![WasLive { since: UnixMillis(0), versions: vec![version.to_string()] }];
        self
    }

    /// Since when what was live at that instant was live, as far as is on record.
    pub fn live_since(&self, at: UnixMillis) -> Option<UnixMillis> {
        live_then(&self.live, at).ok()?.since
    }

    /// Incidents that were open at some time within the window, oldest first.
    pub fn incidents_within(&self, window: Window) -> Vec<&PastIncident> {
        let overlaps = |past: &&PastIncident| {
            past.opened_at <= window.end && past.settled_at.is_none_or(|settled| window.start <= settled)
        };
        self.incidents.iter().rev().filter(overlaps).collect()
    }

    /// Versions that were registered by then. Their standing is that of now, but none was verified later than then.
    fn versions(&self, at: UnixMillis, limit: u32) -> Result<Vec<Candidate>, Unavailable> {
        let mut versions = self.versions.clone()?;
        versions.retain(|version| version.created_at <= at);
        versions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for version in &mut versions {
            version.verified_at = version.verified_at.filter(|verified| *verified <= at);
        }
        Ok(versions)
    }
}

/// What was live at that instant.
fn live_then(live: &[WasLive], at: UnixMillis) -> Result<Live, Unavailable> {
    let not_recorded = |message: String| Unavailable::new(UnavailableReason::NotRecorded, message);
    let was = live.iter().rev().find(|was| was.since <= at).ok_or_else(|| {
        not_recorded("what was live then is not on record: name it with `--live VERSION`".to_owned())
    })?;
    let since = (was.since > UnixMillis(0)).then_some(was.since);
    let [version] = was.versions.as_slice() else {
        let message = format!("several versions were live then ({})", was.versions.join(", "));
        return Err(not_recorded(message));
    };
    let version = VersionName::new(version.as_str()).map_err(|error| not_recorded(error.to_string()))?;
    let share = Share {
        version: VersionTarget { version, digest: None },
        place: String::new(),
        weight: Ratio::ONE,
        proof: Proof::ControlPlane,
    };
    Ok(Live { state: LiveState::Serving(vec![share]), facets: Vec::new(), since, observed_at: at })
}

/// Incidents that were opened within the window, as they stood at that instant.
fn incidents_then(incidents: &[PastIncident], window: Window, at: UnixMillis) -> Vec<PastIncident> {
    let within = |past: &&PastIncident| {
        window.start <= past.opened_at && past.opened_at <= window.end && past.opened_at <= at
    };
    let as_of_then = |past: &PastIncident| {
        let mut past = past.clone();
        if past.settled_at.is_some_and(|settled| settled > at) {
            (past.settled_at, past.outcome, past.target) = (None, Outcome::Open, None);
        }
        past
    };
    incidents.iter().filter(within).map(as_of_then).collect()
}

/// The part of a range that was over by then.
fn range_then(query: &RangeQuery, at: UnixMillis) -> RangeQuery {
    let mut then = query.clone();
    then.window.end = query.window.end.min(at);
    then.window.start = query.window.start.min(then.window.end);
    then.step = query.step.max(Millis(1));
    then
}

#[async_trait]
impl FactSource for FactsThen<'_> {
    async fn fact(&self, id: String, request: Request, now: UnixMillis) -> Fact {
        let journal = |request: Request, value: Result<Value, Unavailable>| Fact {
            id: id.clone(),
            request,
            value,
            source: "journal".into(),
            as_of: now,
        };
        match request {
            Request::Live => journal(Request::Live, live_then(&self.live, now).map(Value::Live)),
            Request::Versions(limit) => {
                let source = self.setup.ports.registry.name().to_owned();
                let value = self.versions(now, limit).map(Value::Versions);
                Fact { source, ..journal(Request::Versions(limit), value) }
            }
            Request::History(window) => {
                journal(request, Ok(Value::History(incidents_then(&self.incidents, window, now))))
            }
            Request::Votes => journal(request, Ok(Value::Votes(Vec::new()))),
            Request::Metric(query) => {
                let mut then = query.clone();
                then.at = Some(query.at.unwrap_or(now).min(now));
                let fact = self.of_metrics(id, Request::Metric(then), now).await;
                Fact { request: Request::Metric(query), ..fact }
            }
            Request::MetricRange(query) => {
                let then = range_then(&query, now);
                let fact = self.of_metrics(id, Request::MetricRange(then), now).await;
                Fact { request: Request::MetricRange(query), ..fact }
            }
            request => match not_answered_outside(&request) {
                Some(why) => Fact { id, request, value: Err(why), source: "host".into(), as_of: now },
                None => self.of_metrics(id, request, now).await,
            },
        }
    }
}

impl FactsThen<'_> {
    async fn of_metrics(&self, id: String, request: Request, now: UnixMillis) -> Fact {
        Sources { setup: self.setup, service: self.service, store: None, fleet: None }
            .fact(id, request, now)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::name::{IncidentId, ServiceName};

    const THEN: UnixMillis = UnixMillis(1_000);

    fn past(opened: u64, settled: Option<u64>) -> PastIncident {
        PastIncident {
            id: IncidentId::numbered(&ServiceName::new("s").expect("name"), 1),
            opened_at: UnixMillis(opened),
            settled_at: settled.map(UnixMillis),
            strategy: None,
            outcome: if settled.is_some() { Outcome::RolledBack } else { Outcome::Open },
            target: None,
        }
    }

    #[test]
    fn nothing_of_later_is_told_of_incidents() {
        let all = [past(1_500, None), past(900, Some(1_200)), past(100, Some(200))];
        let window = Window { start: UnixMillis(0), end: UnixMillis(9_999) };
        let told = incidents_then(&all, window, THEN);
        let told: Vec<_> = told.iter().map(|past| (past.opened_at.0, past.outcome.clone())).collect();
        assert_eq!(told, [(900, Outcome::Open), (100, Outcome::RolledBack)]);
    }

    #[test]
    fn a_range_ends_then_whatever_was_asked_for() {
        let query = |start, end| RangeQuery {
            source: None,
            query: "q".into(),
            window: Window { start: UnixMillis(start), end: UnixMillis(end) },
            step: Millis(10),
        };
        let window = |query: &RangeQuery| (query.window.start.0, query.window.end.0);
        assert_eq!(window(&range_then(&query(500, 2_000), THEN)), (500, 1_000));
        assert_eq!(window(&range_then(&query(500, 800), THEN)), (500, 800));
        assert_eq!(window(&range_then(&query(1_500, 2_000), THEN)), (1_000, 1_000));
    }

    #[test]
    fn what_was_live_is_that_of_the_last_change_before_then() {
        let was = |since, versions: &[&str]| WasLive {
            since: UnixMillis(since),
            versions: versions.iter().map(ToString::to_string).collect(),
        };
        let live = [was(100, &["1.0"]), was(900, &["2.0"]), was(1_100, &["3.0"])];
        let found = live_then(&live, THEN).expect("one version");
        assert_eq!(
            (found.state.sole_version().map(|one| one.version.to_string()), found.since),
            (Some("2.0".into()), Some(UnixMillis(900)))
        );
        let reason = |live: &[WasLive]| live_then(live, THEN).expect_err("not known").reason;
        assert_eq!(reason(&live[2..]), UnavailableReason::NotRecorded, "what is live now was not live then");
        assert_eq!(reason(&[was(1, &["1.0", "2.0"])]), UnavailableReason::NotRecorded);
    }
}
