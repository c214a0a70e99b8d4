//! Fetching what policies ask for.

use ripcord_core::facet::Revision;
use ripcord_core::fact::{
    Candidate, CheckpointsQuery, Fact, Live, MetricQuery, RangeQuery, Request, Unavailable,
    UnavailableReason, Value,
};
use ripcord_core::service::Service;
use ripcord_core::signal::Label;
use ripcord_core::standing::Standing;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{Metrics, Store};
use std::sync::Arc;

use crate::captured::{captured, unavailable};
use crate::changes::changes;
use crate::context::Context;
use crate::descent::Descent;
use crate::facets;
use crate::fleet::Fleet;
use crate::restorable::{self, Listed};
use crate::setup::ServiceSetup;
use crate::trials::Trials;

/// Past incidents that one fact may hold.
const HISTORY_MAX: u32 = 1_000;

/// Before what a list of checkpoints leaves out, in the source of its fact.
const LEFT_OUT: &str = "; left out: ";

/// Before a lineage that could not be read, in the source of a list of versions whose data had to be known.
const UNREAD: &str = "; not all was read: ";

/// Of what cannot be used, so much is named.
const NAMED_MAX: usize = 5;

type Answered = Result<Value, Unavailable>;

/// Answers `request`: a value, or why there is none. Never an empty list in place of a failure.
pub(crate) async fn fetch(
    ctx: &Context,
    id: String,
    request: Request,
    now: UnixMillis,
    trials: Option<&Trials>,
) -> Fact {
    if request.is_trial() {
        return match trials {
            Some(trials) => Fact { id, ..trials.fact(&request).await },
            None => {
                let message = "trials have effects: only verification policies may ask for them";
                let value = Err(Unavailable::new(UnavailableReason::Denied, message));
                Fact { id, request, value, source: "host".into(), as_of: now }
            }
        };
    }
    if let Request::Captured(limit) = request {
        let value = captured(ctx, limit).await.map(Value::Captured);
        return Fact { id, request, value, source: "evidence".into(), as_of: now };
    }
    let store = Some(ctx.host.setup.store.as_ref());
    let fleet = Some(&ctx.host.fleet);
    Sources { setup: &ctx.setup, service: &ctx.service, store, fleet }.fact(id, request, now).await
}

/// What answers all that is no trial and belongs to no incident.
pub(crate) struct Sources<'a> {
    pub(crate) setup: &'a ServiceSetup,
    pub(crate) service: &'a Service,
    /// None where there is none yet: then there is no history.
    pub(crate) store: Option<&'a dyn Store>,
    /// None where no host runs: then nobody knows of other services.
    pub(crate) fleet: Option<&'a Fleet>,
}

impl Sources<'_> {
    /// A value, or why there is none.
    pub(crate) async fn fact(&self, id: String, request: Request, now: UnixMillis) -> Fact {
        if let Request::Versions(limit) = request {
            return self.versions(id, limit, now).await;
        }
        let (source, value) = self.answer(&request, now).await;
        let as_of = as_of(&request, &value, now);
        Fact { id, request, value, source, as_of }
    }

    /// The registry's versions; a list that was kept speaks of the time at which it was made.
    async fn versions(&self, id: String, limit: u32, now: UnixMillis) -> Fact {
        let registry = &self.setup.ports.registry;
        let listing = registry.listing(limit).await;
        let as_of = listing.as_ref().ok().and_then(|listing| listing.listed_at).unwrap_or(now).min(now);
        let descent = match &listing {
            Ok(listing) => descent_of(self.setup, self.service, &listing.versions).await,
            Err(_) => Descent::default(),
        };
        let with_standing = |version| candidate(self.service, &descent, version, now);
        let mut candidates =
            listing.map(|listing| listing.versions.into_iter().map(with_standing).collect::<Vec<_>>());
        if let (Some(fleet), Ok(candidates)) = (self.fleet, &mut candidates) {
            fleet.tell_verified(&self.service.name, registry.as_ref(), candidates, now);
        }
        let value = candidates.map(Value::Versions).map_err(unavailable);
        let source = match descent.unread() {
            Some(unread) => format!("{}{UNREAD}{unread}", registry.name()),
            None => registry.name().to_owned(),
        };
        Fact { id, request: Request::Versions(limit), value, source, as_of }
    }

    async fn answer(&self, request: &Request, now: UnixMillis) -> (String, Answered) {
        let ports = &self.setup.ports;
        match request {
            Request::Metric(query) => match self.metrics(query.source.as_deref()) {
                Ok(source) => {
                    let value =
                        source.instant(&query.query, query.at.unwrap_or(now)).await.map(Value::Metric);
                    (source.name().to_owned(), value)
                }
                Err(missing) => ("host".into(), Err(missing)),
            },
            Request::MetricRange(RangeQuery { source, query, window, step }) => {
                match self.metrics(source.as_deref()) {
                    Ok(source) => {
                        let value = source.range(query, *window, *step).await.map(Value::MetricRange);
                        (source.name().to_owned(), value)
                    }
                    Err(missing) => ("host".into(), Err(missing)),
                }
            }
            Request::Live => {
                let (live, facets) = tokio::join!(ports.deployer.live(), facets::read(ports));
                let live = live.map(|live| {
                    let live = Live { facets, ..live };
                    let since = live.since.or_else(|| self.service.production.since(&live));
                    Live { since, ..live }
                });
                (ports.deployer.name().to_owned(), live.map(Value::Live).map_err(unavailable))
            }
            Request::Lineage(version) => {
                let lineage = ports.registry.lineage(&version.version).await;
                (ports.registry.name().to_owned(), lineage.map(Value::Lineage).map_err(unavailable))
            }
            Request::History(window) => ("journal".into(), self.history(*window).await),
            Request::Votes => ("journal".into(), Ok(Value::Votes(self.service.votes_in_force()))),
            Request::Configurations(limit) if !ports.restorers.is_empty() => {
                let known = facets::configurations(ports, self.service, *limit, now).await;
                ("host".into(), known.map(Value::Configurations).map_err(unavailable))
            }
            Request::Changes(window) => {
                let changes = changes(ports, self.service, self.fleet, *window).await.for_policies();
                ("host".into(), changes.map(Value::Changes).map_err(unavailable))
            }
            Request::Fleet => ("host".into(), self.neighbours()),
            Request::Checkpoints(query) if ports.checkpoints.is_some() => self.checkpoints(query).await,
            Request::Checkpoints(_) | Request::Configurations(_) => {
                let message = format!("no adapter for {} is configured", request.kind());
                ("host".into(), Err(Unavailable::new(UnavailableReason::Unsupported, message)))
            }
            Request::Golden(_) | Request::Recheck(_) | Request::Versions(_) | Request::Captured(_) => {
                let message = "it is answered elsewhere";
                ("host".into(), Err(Unavailable::new(UnavailableReason::Unsupported, message)))
            }
        }
    }

    /// Those that can be used. What looks like one and cannot is named beside them, in the fact's source: a list that is shorter than it seems would
    /// be taken for all there is.
    async fn checkpoints(&self, query: &CheckpointsQuery) -> (String, Answered) {
        let Some(port) = &self.setup.ports.checkpoints else {
            return ("host".into(), Ok(Value::Checkpoints(Vec::new())));
        };
        match port.checkpoints(query.run.as_deref(), query.limit).await {
            Err(error) => (port.name().to_owned(), Err(unavailable(error))),
            Ok(list) => {
                let source = match list.unreadable.as_slice() {
                    [] => port.name().to_owned(),
                    unreadable => format!("{}{LEFT_OUT}{}", port.name(), named(unreadable)),
                };
                if list.checkpoints.is_empty() && !list.unreadable.is_empty() {
                    let message = format!("no checkpoint can be used: {}", named(&list.unreadable));
                    return (source, Err(Unavailable::new(UnavailableReason::NoData, message)));
                }
                (source, Ok(Value::Checkpoints(list.checkpoints)))
            }
        }
    }

    fn metrics(&self, source: Option<&str>) -> Result<Arc<dyn Metrics>, Unavailable> {
        let ports = &self.setup.ports;
        let name = source.or(ports.default_metrics.as_deref());
        let missing = |message: String| Unavailable::new(UnavailableReason::Unsupported, message);
        let name = name.ok_or_else(|| missing("no metrics source is configured for this service".into()))?;
        ports
            .metrics
            .get(name)
            .cloned()
            .ok_or_else(|| missing(format!("no metrics source `{name}` is configured for this service")))
    }

    fn neighbours(&self) -> Answered {
        let unasked = || {
            Unavailable::new(
                UnavailableReason::Unsupported,
                "only a running host knows how its other services fare",
            )
        };
        self.fleet.map(|fleet| Value::Fleet(fleet.neighbours(&self.service.name))).ok_or_else(unasked)
    }

    async fn history(&self, window: Window) -> Answered {
        let Some(store) = self.store else { return Ok(Value::History(Vec::new())) };
        let lines = crate::list::incidents(store, Some(&self.service.name), HISTORY_MAX).await;
        let lines = lines.map_err(|error| Unavailable::new(UnavailableReason::Failed, error.to_string()))?;
        let within = |at: UnixMillis| window.start <= at && at <= window.end;
        Ok(Value::History(
            lines.into_iter().map(|line| line.incident).filter(|past| within(past.opened_at)).collect(),
        ))
    }
}

/// For people: what cannot be used and why, as much as one reads.
fn named(unreadable: &[Label]) -> String {
    let shown = unreadable.iter().take(NAMED_MAX).map(|label| format!("{} ({})", label.name, label.value));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match unreadable.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What the lists of checkpoints among these facts leave out.
pub(crate) fn checkpoints_left_out(facts: &[Fact]) -> Option<String> {
    let of = facts.iter().filter(|fact| matches!(fact.request, Request::Checkpoints(_)));
    let words: Vec<_> = of.filter_map(|fact| Some(fact.source.split_once(LEFT_OUT)?.1)).collect();
    (!words.is_empty()).then(|| format!("checkpoints that cannot be used: {}", words.join("; ")))
}

/// The lineage that could not be read for these facts: versions that seem not restorable may be.
pub(crate) fn lineage_unread(facts: &[Fact]) -> Option<String> {
    let mut of = facts.iter().filter(|fact| matches!(fact.request, Request::Versions(_)));
    of.find_map(|fact| Some(fact.source.split_once(UNREAD)?.1.to_owned()))
}

/// The instant that an answer speaks of: of a metric, the one that was asked for, and so also of its absence. What ends in the future speaks of now.
fn as_of(request: &Request, value: &Answered, now: UnixMillis) -> UnixMillis {
    match (request, value) {
        (_, Ok(Value::Live(live))) => live.observed_at,
        (Request::Metric(MetricQuery { at: Some(at), .. }), _) => (*at).min(now),
        (Request::MetricRange(RangeQuery { window, .. }), _) => window.end.min(now),
        _ => now,
    }
}

/// What these versions were trained on, as far as it counts.
pub(crate) async fn descent_of(
    setup: &ServiceSetup,
    service: &Service,
    listed: &[RegistryVersion],
) -> Descent {
    let names = listed.iter().map(|one| one.version.version.clone()).collect();
    Descent::of(setup.ports.registry.as_ref(), service, names).await
}

/// A version of the registry, with what the service knows of it.
pub(crate) fn candidate(
    service: &Service,
    descent: &Descent,
    listed: RegistryVersion,
    now: UnixMillis,
) -> Candidate {
    let name = &listed.version.version;
    let known = service.known_of(name);
    let revision = Revision::of_model(name);
    let pinned = restorable::pin(service, &revision);
    let has_content = restorable::has_content(service, &revision, &Listed::from(&listed));
    let standing = match service.standing_of(name, now) {
        _ if descent.is_condemned(&revision) => Standing::Condemned,
        standing => standing,
    };
    let may_descend = descent.objection(service, &revision).is_some();
    Candidate {
        standing,
        verified_at: known.filter(|known| known.standing.is_good()).map(|known| known.since),
        expires_at: service.expires_at(name),
        verified_in: Vec::new(),
        condemned_by: known.map(|known| known.condemned_by.clone()).unwrap_or_default(),
        restorable: has_content && !service.is_unfetchable(name) && !may_descend,
        version: ripcord_core::target::VersionTarget {
            version: name.clone(),
            digest: pinned.or(listed.version.digest),
        },
        created_at: listed.created_at,
        aliases: listed.aliases,
        tags: listed.tags,
        measures: listed.measures,
        signature: listed.signature,
        runtime: listed.runtime,
    }
}

/// A live fact, for evidence.
pub(crate) fn live_fact(live: Live, source: &str) -> Fact {
    let as_of = live.observed_at;
    Fact {
        id: "live".into(),
        request: Request::Live,
        value: Ok(Value::Live(live)),
        source: source.into(),
        as_of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::time::Millis;

    #[test]
    fn a_metric_speaks_of_the_instant_that_was_asked_for() {
        let now = UnixMillis(1_000);
        let metric = |at: Option<u64>| {
            Request::Metric(MetricQuery { source: None, query: "q".into(), at: at.map(UnixMillis) })
        };
        let range = |end| {
            let window = Window { start: UnixMillis(0), end: UnixMillis(end) };
            Request::MetricRange(RangeQuery { source: None, query: "q".into(), window, step: Millis(1) })
        };
        let missing: Answered = Err(Unavailable::new(UnavailableReason::NoData, "nothing"));
        for (request, expected) in [
            (metric(None), 1_000),
            (metric(Some(400)), 400),
            (metric(Some(2_000)), 1_000),
            (range(400), 400),
            (range(2_000), 1_000),
            (Request::Votes, 1_000),
        ] {
            assert_eq!(as_of(&request, &missing, now), UnixMillis(expected), "{request:?}");
            let value: Answered = Ok(Value::Metric(Vec::new()));
            assert_eq!(as_of(&request, &value, now), UnixMillis(expected), "{request:?}");
        }
    }
}
