//! Golden runs and rechecks: they send requests, so they are budgeted, tagged, run once a round, and recorded.

mod summary;

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, PlannedRung, PlannedWave, TrialPhase, TrialRan};
use ripcord_core::fact::{
    Detail, Fact, GoldenQuery, Payload, RecheckQuery, Request, Trial, Unavailable, UnavailableReason, Value,
};
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::Beside;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, ErrorKind};
use tokio::sync::{Mutex, OnceCell, Semaphore};

use crate::batch::Batch;
use crate::captured::{captured, unavailable};
use crate::context::Context;
use crate::mailbox::record;
use summary::{Known, Sent, summarise};

/// Rows of one trial under way at once.
const AT_ONCE: usize = 8;

/// Captured inputs of one recheck.
const RECHECKED_MAX: u32 = 1_000;

/// The trials of one round of verification.
pub(crate) struct Trials {
    ctx: Context,
    phase: TrialPhase,
    round: u32,
    /// What answers beside what is live: the only candidate that a trial may name.
    beside: Option<Beside>,
    cells: Mutex<BTreeMap<Digest, Arc<OnceCell<Fact>>>>,
}

impl Trials {
    pub(crate) fn new(ctx: Context, phase: TrialPhase, round: u32, beside: Option<Beside>) -> Self {
        Self { ctx, phase, round, beside, cells: Mutex::default() }
    }

    /// The result of `request`: of this round if it was run already, else it is run now and recorded.
    pub(crate) async fn fact(&self, request: &Request) -> Fact {
        let Ok(bytes) = canonical::cbor(request) else {
            return self.missing(request, UnavailableReason::BadQuery, "the request has no encoding");
        };
        if let TrialPhase::Wave(_) = self.phase {
            let why = "only a part of the traffic is moved, so nobody knows which version would answer";
            return self.missing(request, UnavailableReason::Denied, why);
        }
        if let Some(why) = misplaced(request, self.beside.as_ref().map(|held| &held.version)) {
            return self.missing(request, UnavailableReason::Denied, &why);
        }
        let key = Digest::of(bytes);
        let cell = self.cells.lock().await.entry(key).or_default().clone();
        cell.get_or_init(|| self.recorded_or_run(request, key)).await.clone()
    }

    async fn recorded_or_run(&self, request: &Request, key: Digest) -> Fact {
        let service = &self.ctx.service;
        let done = service.trials(self.phase).find(|trial| trial.round == self.round && trial.request == key);
        if let Some(done) = done {
            match self.ctx.blob(&done.result).await {
                Ok(bytes) => {
                    if let Some(fact) = bytes.and_then(|bytes| canonical::from_cbor(&bytes).ok()) {
                        return fact;
                    }
                }
                // It is not run once more for that.
                Err(error) => {
                    let why = format!("its result cannot be read now: {error}");
                    return self.missing(request, UnavailableReason::Failed, &why);
                }
            }
        }
        let spent = service.trials_spent(self.phase) + self.cells.lock().await.len() - 1;
        if spent >= self.ctx.setup.terms.trials_max as usize {
            return self.missing(
                request,
                UnavailableReason::Denied,
                "the budget of trials is spent (`trials-max`)",
            );
        }
        let tag = self.tag();
        let started_at = self.ctx.host.setup.clock.now();
        let value = run(&self.ctx, request, self.beside.as_ref(), &tag, started_at).await;
        let source =
            self.ctx.setup.ports.endpoint.as_ref().map_or("host", |endpoint| endpoint.name()).to_owned();
        let fact = Fact { id: String::new(), request: request.clone(), value, source, as_of: started_at };
        let mut batch = Batch::default();
        if let Some(result) = batch.cbor(BlobKind::Trial, &fact) {
            let event = TrialRan { phase: self.phase, round: self.round, request: key, result };
            if let Err(error) = record(&self.ctx.mailbox, batch.with(Event::TrialRan(event))).await {
                tracing::debug!(%error, "a trial came too late to be recorded");
            }
        }
        fact
    }

    /// Marks the requests of these trials, so that they are kept out of metrics and capture.
    fn tag(&self) -> String {
        let service = &self.ctx.service;
        let of = service.incident.as_ref().map_or_else(|| service.name.to_string(), |it| it.id.to_string());
        match self.phase {
            TrialPhase::Rung(PlannedRung { rung, .. }) => format!("{of}/{rung}/{}", self.round),
            TrialPhase::Preflight(PlannedRung { rung, .. }) => {
                format!("{of}/preflight-{rung}/{}", self.round)
            }
            TrialPhase::Wave(PlannedWave { rung, wave, .. }) => {
                format!("{of}/{rung}-wave-{wave}/{}", self.round)
            }
            TrialPhase::Probation(since) => format!("{of}/probation-{}/{}", since.0, self.round),
        }
    }

    fn missing(&self, request: &Request, reason: UnavailableReason, message: &str) -> Fact {
        Fact {
            id: String::new(),
            request: request.clone(),
            value: Err(Unavailable::new(reason, message)),
            source: "host".into(),
            as_of: self.ctx.service.at,
        }
    }
}

/// What the trial is to go to instead of what is live.
fn candidate(request: &Request) -> Option<&VersionTarget> {
    match request {
        Request::Golden(query) => query.candidate.as_ref(),
        Request::Recheck(query) => query.candidate.as_ref(),
        _ => None,
    }
}

/// Why this trial must not be run: it names a candidate that does not answer beside what is live.
fn misplaced(request: &Request, candidate: Option<&VersionTarget>) -> Option<String> {
    let named = self::candidate(request)?;
    let Some(candidate) = candidate else {
        return Some(format!(
            "it names the candidate `{}`, but what is judged is live itself: leave the candidate out",
            named.version
        ));
    };
    let other_bytes = named.digest.zip(candidate.digest).is_some_and(|(named, beside)| named != beside);
    (named.version != candidate.version || other_bytes).then(|| {
        format!(
            "it names the candidate `{}`, but what answers beside what is live is `{}`",
            named.version, candidate.version
        )
    })
}

/// Runs a trial against the service's endpoint: what is live, or a candidate that is held beside it.
pub(crate) async fn run(
    ctx: &Context,
    request: &Request,
    beside: Option<&Beside>,
    tag: &str,
    started_at: UnixMillis,
) -> Result<Value, Unavailable> {
    let beside = beside.filter(|_| candidate(request).is_some());
    let way = Way { ctx, beside, tag, started_at };
    match request {
        Request::Golden(query) => way.golden(query).await.map(Value::Golden),
        Request::Recheck(query) => way.recheck(query).await.map(Value::Recheck),
        _ => Err(Unavailable::new(UnavailableReason::BadQuery, "this is no trial")),
    }
}

/// Where the inputs of a trial go, and as what.
struct Way<'a> {
    ctx: &'a Context,
    beside: Option<&'a Beside>,
    tag: &'a str,
    started_at: UnixMillis,
}

fn unsupported(what: &str) -> Unavailable {
    Unavailable::new(UnavailableReason::Unsupported, format!("no {what} is configured"))
}

impl Way<'_> {
    async fn golden(&self, query: &GoldenQuery) -> Result<Trial, Unavailable> {
        let endpoint = self.endpoint()?;
        let golden = self.ctx.setup.ports.golden.as_ref().ok_or_else(|| unsupported("golden data set"))?;
        let rows = golden.rows(&query.dataset).await.map_err(unavailable)?;
        let rows = rows.into_iter().map(|row| Sent {
            input: row.input,
            slices: row.slices,
            known: Known::Right(row.expected),
        });
        self.send(endpoint, rows.collect(), query.detail).await
    }

    /// What was captured for this incident is sent again, newest first. What was answered then was perhaps wrong: it is compared with, and never
    /// called right.
    async fn recheck(&self, query: &RecheckQuery) -> Result<Trial, Unavailable> {
        let endpoint = self.endpoint()?;
        let exchanges = captured(self.ctx, query.limit.min(RECHECKED_MAX)).await?;
        let rows: Vec<_> = exchanges
            .into_iter()
            .filter_map(|exchange| {
                let Payload::Json(body) = exchange.input else { return None };
                let mut slices: Vec<_> =
                    exchange.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
                slices.sort();
                let input = TrialInput { id: exchange.id, body };
                Some(Sent { input, slices, known: Known::Answered(exchange.output) })
            })
            .collect();
        if rows.is_empty() {
            let message = "nothing was captured that can be sent again";
            return Err(Unavailable::new(UnavailableReason::NoData, message));
        }
        self.send(endpoint, rows, query.detail).await
    }

    fn endpoint(&self) -> Result<&dyn Endpoint, Unavailable> {
        self.ctx.setup.ports.endpoint.as_deref().ok_or_else(|| unsupported("endpoint"))
    }

    /// A candidate that no row reaches was not tried, which is another thing than one that answers nothing.
    async fn send(
        &self,
        endpoint: &dyn Endpoint,
        rows: Vec<Sent>,
        detail: Detail,
    ) -> Result<Trial, Unavailable> {
        let gate = Semaphore::new(AT_ONCE);
        let sent = rows.iter().map(|row| async {
            let _place = gate.acquire().await;
            endpoint.infer(&row.input, self.beside, self.tag).await
        });
        let mut replies = futures_util::future::join_all(sent).await;
        let missed = |kind: ErrorKind| {
            matches!(
                kind,
                ErrorKind::Unreachable
                    | ErrorKind::TimedOut
                    | ErrorKind::NotFound
                    | ErrorKind::Denied
                    | ErrorKind::Unsupported
            )
        };
        let all_missed = replies.iter().all(|reply| reply.as_ref().is_err_and(|error| missed(error.kind)));
        if self.beside.is_some()
            && all_missed
            && let Some(Err(error)) = replies.pop()
        {
            return Err(unavailable(error));
        }
        Ok(summarise(&rows, &replies, detail, self.started_at))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ripcord_core::name::VersionName;

    use super::*;

    #[test]
    fn a_trial_names_what_answers_beside_what_is_live_or_nothing() {
        let version = |name: &str, digest: Option<&str>| VersionTarget {
            version: VersionName::new(name).unwrap(),
            digest: digest.map(Digest::of),
        };
        let golden = |candidate| {
            Request::Golden(GoldenQuery { dataset: "d".into(), candidate, detail: Detail::Summary })
        };
        let beside = version("2", Some("two"));
        for allowed in [None, Some(version("2", None)), Some(beside.clone())] {
            assert_eq!(misplaced(&golden(allowed), Some(&beside)), None);
        }
        for (named, beside) in [
            (version("1", None), Some(&beside)),
            (version("2", Some("other")), Some(&beside)),
            (version("2", None), None),
        ] {
            assert!(misplaced(&golden(Some(named.clone())), beside).is_some(), "{named:?}");
        }
        assert_eq!(misplaced(&golden(None), None), None);
    }
}
