use std::marker::PhantomData;

use crate::Duration;
use crate::contract::facts::{
    CheckpointsQuery, Detail, Fact as Dated, GoldenQuery, MetricQuery, RangeQuery, RecheckQuery, Request,
    Unavailable,
};
use crate::contract::types::{Instant, VersionTarget, Window};
use crate::kind::{self, Kind};

/// A fact, or why there is none. Both are values: a policy decides what missing data means.
pub type Fact<'f, T> = Result<&'f T, &'f Unavailable>;

/// What a policy's function returns: its answer, or why it stops here.
pub type Step<T> = Result<T, Stop>;

/// Why a policy stops before it has an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// These facts are missing; the host fetches them and calls again.
    Need(Vec<Request>),
    /// The policy cannot go on, for this reason. The host records a fault.
    Fail(String),
}

impl Stop {
    /// The policy cannot go on: a sentence that says why.
    pub fn fail(why: impl Into<String>) -> Self {
        Self::Fail(why.into())
    }
}

/// The facts of one decision so far, and the way to ask for more.
#[derive(Clone, Debug)]
pub struct Facts {
    now: Instant,
    known: Vec<Dated>,
}

impl Facts {
    /// Facts of a decision at `now`, Unix milliseconds.
    pub fn new(now: Instant, known: Vec<Dated>) -> Self {
        Self { now, known }
    }

    /// The time of the decision, Unix milliseconds.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The last value of every series that the query selects, at the time of the decision.
    pub fn metric(&self, query: impl Into<String>) -> Handle<'_, kind::Metric> {
        self.ask(Request::Metric(MetricQuery { source: None, query: query.into(), at: None }))
    }

    /// The series that the query selects over the window that ends now, in 60 steps of at least a second.
    pub fn metric_range(&self, query: impl Into<String>, window: Duration) -> Handle<'_, kind::MetricRange> {
        let window_ms = window.as_millis();
        let request = RangeQuery {
            source: None,
            query: query.into(),
            window: Window { start: self.now.saturating_sub(window_ms), end: self.now },
            step: (window_ms / 60).max(1_000),
        };
        self.ask(Request::MetricRange(request))
    }

    /// Versions that the registry holds, newest first, at most `limit`.
    pub fn versions(&self, limit: u32) -> Handle<'_, kind::Versions> {
        self.ask(Request::Versions(limit))
    }

    /// What is served now.
    pub fn live(&self) -> Handle<'_, kind::Live> {
        self.ask(Request::Live)
    }

    /// Checkpoints of one training run or of all, newest first, at most `limit`.
    pub fn checkpoints(&self, run: Option<String>, limit: u32) -> Handle<'_, kind::Checkpoints> {
        self.ask(Request::Checkpoints(CheckpointsQuery { run, limit }))
    }

    /// What moved within the window that ends now, of every facet, newest first.
    pub fn changes(&self, window: Duration) -> Handle<'_, kind::Changes> {
        self.ask(Request::Changes(Window { start: self.now - window, end: self.now }))
    }

    /// How the host's other services fare now.
    pub fn fleet(&self) -> Handle<'_, kind::Fleet> {
        self.ask(Request::Fleet)
    }

    /// Revisions of each of the service's configurations, newest first, at most `limit` of each.
    pub fn configurations(&self, limit: u32) -> Handle<'_, kind::Configurations> {
        self.ask(Request::Configurations(limit))
    }

    /// Code, parameters and data that a version was made from.
    pub fn lineage(&self, version: VersionTarget) -> Handle<'_, kind::Lineage> {
        self.ask(Request::Lineage(version))
    }

    /// A golden data set through the service, or through a candidate beside it. A verification asks by
    /// [`VerificationCase::golden`](crate::VerificationCase::golden), which knows where to.
    pub fn golden(
        &self,
        dataset: impl Into<String>,
        candidate: Option<VersionTarget>,
        detail: Detail,
    ) -> Handle<'_, kind::Golden> {
        self.ask(Request::Golden(GoldenQuery { dataset: dataset.into(), candidate, detail }))
    }

    /// Inputs and outputs preserved for this incident, at most `limit` rows.
    pub fn captured(&self, limit: u32) -> Handle<'_, kind::Captured> {
        self.ask(Request::Captured(limit))
    }

    /// The captured inputs sent again, at most `limit` rows. A verification asks by
    /// [`VerificationCase::recheck`](crate::VerificationCase::recheck), which knows where to.
    pub fn recheck(
        &self,
        candidate: Option<VersionTarget>,
        limit: u32,
        detail: Detail,
    ) -> Handle<'_, kind::Recheck> {
        self.ask(Request::Recheck(RecheckQuery { candidate, limit, detail }))
    }

    /// Incidents of this service that were opened within the window that ends now.
    pub fn history(&self, window: Duration) -> Handle<'_, kind::History> {
        self.ask(Request::History(Window { start: self.now - window, end: self.now }))
    }

    /// Votes for the plan at hand.
    pub fn votes(&self) -> Handle<'_, kind::Votes> {
        self.ask(Request::Votes)
    }

    /// Several facts in one round trip: all that is missing is asked for at once.
    ///
    /// # Errors
    /// [`Stop::Need`] with every request that has no fact yet.
    pub fn all<'f, W: Wanted<'f>>(&'f self, wanted: W) -> Step<W::Facts> {
        let mut missing = Vec::new();
        wanted.missing(&mut missing);
        if missing.is_empty() { wanted.facts() } else { Err(Stop::Need(missing)) }
    }

    /// The fact with all that is known about it: id, source, as-of.
    pub fn dated(&self, request: &Request) -> Option<&Dated> {
        self.known.iter().find(|fact| fact.request == *request)
    }

    fn ask<K: Kind>(&self, request: Request) -> Handle<'_, K> {
        Handle { facts: self, request, kind: PhantomData }
    }
}

/// A fact that was named but not yet resolved.
#[derive(Clone, Debug)]
#[must_use = "a handle asks for nothing until `get` or `Facts::all`"]
pub struct Handle<'f, K: Kind> {
    facts: &'f Facts,
    request: Request,
    kind: PhantomData<fn() -> K>,
}

impl<'f, K: Kind> Handle<'f, K> {
    /// The fact, if the host has answered.
    ///
    /// # Errors
    /// [`Stop::Need`] if it has not.
    pub fn get(&self) -> Step<Fact<'f, K::Value>> {
        let Some(fact) = self.facts.dated(&self.request) else {
            return Err(Stop::Need(vec![self.request.clone()]));
        };
        match &fact.value {
            Err(unavailable) => Ok(Err(unavailable)),
            Ok(value) => K::read(value).map(Ok).ok_or_else(|| {
                Stop::Fail(format!("fact `{}` is not of the kind that {:?} asked for", fact.id, self.request))
            }),
        }
    }

    /// What is asked for.
    pub fn request(&self) -> &Request {
        &self.request
    }
}

impl<K: Kind> Handle<'_, K> {
    /// From this metrics source instead of the service's default. Only for metrics.
    pub fn from_source(mut self, name: Option<&str>) -> Self {
        if let Request::Metric(MetricQuery { source, .. }) | Request::MetricRange(RangeQuery { source, .. }) =
            &mut self.request
        {
            *source = name.map(str::to_owned);
        }
        self
    }
}

impl Handle<'_, kind::Metric> {
    /// At this instant (Unix milliseconds) instead of now.
    pub fn at(mut self, instant: Instant) -> Self {
        if let Request::Metric(query) = &mut self.request {
            query.at = Some(instant);
        }
        self
    }
}

impl Handle<'_, kind::MetricRange> {
    /// One point every so often, at least a millisecond.
    pub fn step(mut self, step: Duration) -> Self {
        if let Request::MetricRange(query) = &mut self.request {
            query.step = step.as_millis().max(1);
        }
        self
    }

    /// The same window, but ending at this instant, Unix milliseconds.
    pub fn ending(mut self, end: Instant) -> Self {
        if let Request::MetricRange(RangeQuery { window, .. }) = &mut self.request {
            let length = window.end.saturating_sub(window.start);
            *window = Window { start: end.saturating_sub(length), end };
        }
        self
    }
}

/// Handles that [`Facts::all`] resolves together: a handle, a tuple of up to eight, an option or a list of them.
pub trait Wanted<'f> {
    /// What they resolve to.
    type Facts;

    /// Adds the requests that have no fact yet.
    fn missing(&self, missing: &mut Vec<Request>);

    /// The facts.
    ///
    /// # Errors
    /// [`Stop::Need`] if one is missing.
    fn facts(self) -> Step<Self::Facts>;
}

impl<'f, K: Kind> Wanted<'f> for Handle<'f, K>
where
    K::Value: 'f,
{
    type Facts = Fact<'f, K::Value>;

    fn missing(&self, missing: &mut Vec<Request>) {
        if self.facts.dated(&self.request).is_none() && !missing.contains(&self.request) {
            missing.push(self.request.clone());
        }
    }

    fn facts(self) -> Step<Self::Facts> {
        self.get()
    }
}

impl<'f, W: Wanted<'f>> Wanted<'f> for Option<W> {
    type Facts = Option<W::Facts>;

    fn missing(&self, missing: &mut Vec<Request>) {
        self.iter().for_each(|wanted| wanted.missing(missing));
    }

    fn facts(self) -> Step<Self::Facts> {
        self.map(W::facts).transpose()
    }
}

impl<'f, W: Wanted<'f>> Wanted<'f> for Vec<W> {
    type Facts = Vec<W::Facts>;

    fn missing(&self, missing: &mut Vec<Request>) {
        self.iter().for_each(|wanted| wanted.missing(missing));
    }

    fn facts(self) -> Step<Self::Facts> {
        self.into_iter().map(W::facts).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident . $index:tt),+))+) => {$(
        impl<'f, $($name: Wanted<'f>),+> Wanted<'f> for ($($name,)+) {
            type Facts = ($($name::Facts,)+);

            fn missing(&self, missing: &mut Vec<Request>) {
                $(self.$index.missing(missing);)+
            }

            fn facts(self) -> Step<Self::Facts> {
                Ok(($(self.$index.facts()?,)+))
            }
        }
    )+};
}

tuples! {
    (A.0)
    (A.0, B.1)
    (A.0, B.1, C.2)
    (A.0, B.1, C.2, D.3)
    (A.0, B.1, C.2, D.3, E.4)
    (A.0, B.1, C.2, D.3, E.4, F.5)
    (A.0, B.1, C.2, D.3, E.4, F.5, G.6)
    (A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use crate::contract::facts::{Sample, UnavailableReason, Value};
    use crate::minutes;

    const NOW: Instant = 1_700_000_000_000;

    fn answered(request: &Request, value: Result<Value, Unavailable>) -> Dated {
        Dated { id: "fact-1".into(), request: request.clone(), value, source: "test".into(), as_of: NOW }
    }

    fn metric(value: f64) -> Result<Value, Unavailable> {
        Ok(Value::Metric(vec![Sample { labels: Vec::new(), value, at: NOW }]))
    }

    #[test]
    fn all_that_is_missing_is_asked_for_at_once_and_once() {
        let nothing = Facts::new(NOW, Vec::new());
        let stop = nothing.all((
            nothing.metric("a"),
            nothing.live(),
            None::<Handle<'_, kind::Votes>>,
            Some(nothing.metric("b")),
            vec![nothing.metric("a"), nothing.metric("c")],
        ));
        let expected = ["a", "b", "c"].map(|query| nothing.metric(query).request().clone());
        let [a, b, c] = expected;
        assert_eq!(stop.err(), Some(Stop::Need(vec![a, Request::Live, b, c])));
    }

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let request = Facts::new(NOW, Vec::new()).metric("a").request().clone();
        let facts = Facts::new(NOW, vec![answered(&request, metric(1.0))]);
        let stop = facts.all((facts.metric("a"), facts.metric("b"))).err();
        assert_eq!(stop, Some(Stop::Need(vec![facts.metric("b").request().clone()])));
        let samples = facts.metric("a").get().expect("a fact").expect("a value");
        assert_eq!(samples[0].value, 1.0);
    }

    #[test]
    fn why_there_is_no_value_is_a_value() {
        let unavailable = Unavailable { reason: UnavailableReason::TooLarge, message: "9 MB".into() };
        let facts = Facts::new(NOW, vec![answered(&Request::Live, Err(unavailable.clone()))]);
        assert_eq!(facts.all(facts.live()).expect("a fact").err(), Some(&unavailable));
        assert_eq!(unavailable.to_string(), "too large: 9 MB");
    }

    #[test]
    fn an_answer_of_another_kind_is_a_fault_and_no_panic() {
        let facts = Facts::new(NOW, vec![answered(&Request::Live, metric(1.0))]);
        let Err(Stop::Fail(why)) = facts.live().get() else { panic!("not a fault") };
        assert!(why.contains("`fact-1`"), "{why}");
    }

    #[test]
    fn a_range_ends_now_in_sixty_steps_unless_it_is_told_otherwise() {
        let facts = Facts::new(NOW, Vec::new());
        let query = |handle: Handle<'_, kind::MetricRange>| match handle.request() {
            Request::MetricRange(query) => query.clone(),
            other => panic!("{other:?}"),
        };
        let usual = query(facts.metric_range("q", minutes(10)));
        assert_eq!((usual.window.start, usual.window.end, usual.step), (NOW - 600_000, NOW, 10_000));
        assert_eq!(query(facts.metric_range("q", crate::seconds(5))).step, 1_000);
        let moved =
            facts.metric_range("q", minutes(10)).ending(NOW - 1_000).step(minutes(1)).from_source(Some("p"));
        let moved = query(moved);
        assert_eq!((moved.window.start, moved.window.end, moved.step), (NOW - 601_000, NOW - 1_000, 60_000));
        assert_eq!(moved.source.as_deref(), Some("p"));
    }
}
