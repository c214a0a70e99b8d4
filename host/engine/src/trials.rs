//! Golden runs and rechecks: they send requests, so they are budgeted, tagged, run once a round, and recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, TrialPhase, TrialRan};
use ripcord_core::fact::{
    Detail, Fact, GoldenQuery, Measure, Payload, Quantiles, Request, Row, Slice, Trial, Unavailable,
    UnavailableReason, Value,
};
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::endpoint::Reply;
use ripcord_ports::requests::GoldenRow;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use crate::batch::Batch;
use crate::facts::unavailable;
use crate::mailbox::record;
use crate::perform::Context;

/// Rows of one trial under way at once.
const AT_ONCE: usize = 8;

/// The trials of one round of verification.
pub(crate) struct Trials {
    ctx: Context,
    phase: TrialPhase,
    round: u32,
    /// What answers beside what is live: the only candidate that a trial may name.
    candidate: Option<VersionTarget>,
    cells: Mutex<BTreeMap<Digest, Arc<OnceCell<Fact>>>>,
}

impl Trials {
    pub(crate) fn new(ctx: Context, phase: TrialPhase, round: u32, candidate: Option<VersionTarget>) -> Self {
        Self { ctx, phase, round, candidate, cells: Mutex::default() }
    }

    /// The result of `request`: of this round if it was run already, else it is run now and recorded.
    pub(crate) async fn fact(&self, request: &Request) -> Fact {
        let Ok(bytes) = canonical::cbor(request) else {
            return self.missing(request, UnavailableReason::BadQuery, "the request has no encoding");
        };
        if let Some(why) = misplaced(request, self.candidate.as_ref()) {
            return self.missing(request, UnavailableReason::Denied, &why);
        }
        let key = Digest::of(bytes);
        let cell = self.cells.lock().await.entry(key).or_default().clone();
        cell.get_or_init(|| self.recorded_or_run(request, key)).await.clone()
    }

    async fn recorded_or_run(&self, request: &Request, key: Digest) -> Fact {
        let service = &self.ctx.service;
        let done = service.trials(self.phase).find(|trial| trial.round == self.round && trial.request == key);
        if let Some(done) = done
            && let Some(fact) =
                self.ctx.blob(&done.result).await.and_then(|bytes| canonical::from_cbor(&bytes).ok())
        {
            return fact;
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
        let value = run(&self.ctx, request, &tag, started_at).await;
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
            TrialPhase::Rung(rung) => format!("{of}/{rung}/{}", self.round),
            TrialPhase::Preflight(rung) => format!("{of}/preflight-{rung}/{}", self.round),
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

/// Why this trial must not be run: it names a candidate that does not answer beside what is live.
fn misplaced(request: &Request, candidate: Option<&VersionTarget>) -> Option<String> {
    let named = match request {
        Request::Golden(query) => query.candidate.as_ref(),
        Request::Recheck(query) => query.candidate.as_ref(),
        _ => None,
    }?;
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

/// Runs a trial against the service's endpoint.
pub(crate) async fn run(
    ctx: &Context,
    request: &Request,
    tag: &str,
    started_at: UnixMillis,
) -> Result<Value, Unavailable> {
    match request {
        Request::Golden(query) => golden(ctx, query, tag, started_at).await.map(Value::Golden),
        _ => Err(Unavailable::new(
            UnavailableReason::Unsupported,
            "rechecks of captured inputs are not available yet",
        )),
    }
}

async fn golden(
    ctx: &Context,
    query: &GoldenQuery,
    tag: &str,
    started_at: UnixMillis,
) -> Result<Trial, Unavailable> {
    let unsupported =
        |what: &str| Unavailable::new(UnavailableReason::Unsupported, format!("no {what} is configured"));
    let endpoint = ctx.setup.ports.endpoint.as_ref().ok_or_else(|| unsupported("endpoint"))?;
    let golden = ctx.setup.ports.golden.as_ref().ok_or_else(|| unsupported("golden data set"))?;
    let rows = golden.rows(&query.dataset).await.map_err(unavailable)?;
    let gate = Semaphore::new(AT_ONCE);
    let sent = rows.iter().map(|row| async {
        let _place = gate.acquire().await;
        endpoint.infer(&row.input, query.candidate.as_ref(), tag).await
    });
    let replies = futures_util::future::join_all(sent).await;
    Ok(summarise(&rows, &replies, query.detail, started_at))
}

fn summarise(
    rows: &[GoldenRow],
    replies: &[Result<Reply, PortError>],
    detail: Detail,
    started_at: UnixMillis,
) -> Trial {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.slices.iter().map(String::as_str)).collect();
    let pairs: Vec<_> = rows.iter().zip(replies).collect();
    let slices = std::iter::once("")
        .chain(names)
        .map(|name| {
            let within = pairs
                .iter()
                .filter(|(row, _)| name.is_empty() || row.slices.iter().any(|slice| slice == name));
            slice(name, &within.copied().collect::<Vec<_>>())
        })
        .collect();
    let row = |(row, reply): &(&GoldenRow, &Result<Reply, PortError>)| Row {
        id: row.input.id.clone(),
        slices: row.slices.clone(),
        expected: Some(row.expected.clone()),
        output: reply.as_ref().map(|reply| reply.output.clone()).map_err(ToString::to_string),
        latency_ms: reply.as_ref().map_or(0.0, |reply| reply.latency_us as f64 / 1_000.0),
    };
    Trial {
        slices,
        rows: if detail == Detail::Rows { pairs.iter().map(row).collect() } else { Vec::new() },
        answered_by: answered_by(replies),
        started_at,
    }
}

/// The share of each version among the answers that name one.
fn answered_by(replies: &[Result<Reply, PortError>]) -> Vec<Share> {
    let mut counts: BTreeMap<&VersionName, (u32, &VersionTarget)> = BTreeMap::new();
    for version in replies.iter().flatten().filter_map(|reply| reply.answered_by.as_ref()) {
        counts.entry(&version.version).or_insert((0, version)).0 += 1;
    }
    let total: u32 = counts.values().map(|(count, _)| count).sum();
    counts
        .into_values()
        .map(|(count, version)| Share {
            version: version.clone(),
            configuration: None,
            place: String::new(),
            weight: Ratio::new(f64::from(count) / f64::from(total)).unwrap_or(Ratio::ONE),
            proof: Proof::Answer,
        })
        .collect()
}

/// Accuracy over the answered rows; recall and precision for each class; latency over the answered rows.
fn slice(name: &str, pairs: &[(&GoldenRow, &Result<Reply, PortError>)]) -> Slice {
    let answered: Vec<_> =
        pairs.iter().filter_map(|(row, reply)| Some((*row, reply.as_ref().ok()?))).collect();
    let mut measures = Vec::new();
    if !answered.is_empty() {
        let right = answered.iter().filter(|(row, reply)| same_answer(&row.expected, &reply.output)).count();
        measures.push(measure("accuracy", right, answered.len()));
    }
    let class = |payload: &Payload| match payload {
        Payload::Classes(classes) if classes.len() == 1 => Some(classes[0].clone()),
        _ => None,
    };
    let classes: BTreeSet<String> = answered.iter().filter_map(|(row, _)| class(&row.expected)).collect();
    for name in &classes {
        let is = |payload: &Payload| class(payload).as_ref() == Some(name);
        let both = answered.iter().filter(|(row, reply)| is(&row.expected) && is(&reply.output)).count();
        let expected = answered.iter().filter(|(row, _)| is(&row.expected)).count();
        let predicted = answered.iter().filter(|(_, reply)| is(&reply.output)).count();
        measures.push(measure(&format!("recall:{name}"), both, expected));
        if predicted > 0 {
            measures.push(measure(&format!("precision:{name}"), both, predicted));
        }
    }
    let mut latencies: Vec<f64> =
        answered.iter().map(|(_, reply)| reply.latency_us as f64 / 1_000.0).collect();
    latencies.sort_by(f64::total_cmp);
    Slice {
        name: name.to_owned(),
        rows: pairs.len() as u64,
        errors: (pairs.len() - answered.len()) as u64,
        measures,
        latency_ms: quantiles(&latencies),
    }
}

fn measure(name: &str, part: usize, whole: usize) -> Measure {
    Measure { name: name.to_owned(), value: part as f64 / whole.max(1) as f64 }
}

/// Nearest-rank quantiles of sorted values.
fn quantiles(sorted: &[f64]) -> Quantiles {
    let rank = |q: f64| {
        let index = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
    };
    Quantiles { p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), max: rank(1.0) }
}

/// Whether an answer is the expected one. Numbers are compared with a relative tolerance of one in a million.
fn same_answer(expected: &Payload, got: &Payload) -> bool {
    match (expected, got) {
        (Payload::Tensors(one), Payload::Tensors(two)) => {
            one.len() == two.len()
                && one.iter().zip(two).all(|(a, b)| {
                    a.data.len() == b.data.len()
                        && a.data
                            .iter()
                            .zip(&b.data)
                            .all(|(x, y)| (x - y).abs() <= 1e-6 * x.abs().max(y.abs()).max(1.0))
                })
        }
        (Payload::Json(one), Payload::Json(two)) => {
            let value = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
            value(one).is_some() && value(one) == value(two)
        }
        _ => expected == got,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ripcord_ports::ErrorKind;
    use ripcord_ports::requests::TrialInput;

    fn row(id: &str, slice: &str, expected: &str) -> GoldenRow {
        GoldenRow {
            input: TrialInput { id: id.into(), body: "[]".into() },
            slices: vec![slice.into()],
            expected: Payload::Classes(vec![expected.into()]),
        }
    }

    fn reply(class: &str, latency_us: u64) -> Result<Reply, PortError> {
        Ok(Reply { output: Payload::Classes(vec![class.into()]), answered_by: None, latency_us })
    }

    fn value(slice: &Slice, name: &str) -> Option<f64> {
        slice.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }

    #[test]
    fn slices_are_measured_apart_and_errors_are_not_wrong_answers() {
        let rows = [row("1", "a", "yes"), row("2", "a", "no"), row("3", "b", "yes"), row("4", "b", "yes")];
        let replies = [
            reply("yes", 1_000),
            reply("yes", 2_000),
            reply("yes", 3_000),
            Err(PortError::new(ErrorKind::TimedOut, "no answer")),
        ];
        let pairs: Vec<_> = rows.iter().zip(&replies).collect();
        let whole = slice("", &pairs);
        assert_eq!((whole.rows, whole.errors), (4, 1));
        assert_eq!(value(&whole, "accuracy"), Some(2.0 / 3.0));
        assert_eq!(value(&whole, "recall:yes"), Some(1.0));
        assert_eq!(value(&whole, "recall:no"), Some(0.0));
        assert_eq!(value(&whole, "precision:yes"), Some(2.0 / 3.0));
        assert_eq!(whole.latency_ms, Quantiles { p50: 2.0, p90: 3.0, p99: 3.0, max: 3.0 });
    }

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

    #[test]
    fn a_slice_without_answers_claims_nothing() {
        let rows = [row("1", "a", "yes")];
        let replies = [Err(PortError::new(ErrorKind::TimedOut, "no answer"))];
        let pairs: Vec<_> = rows.iter().zip(&replies).collect();
        assert!(slice("", &pairs).measures.is_empty());
    }

    #[test]
    fn answers_are_compared_by_what_they_are() {
        let json = |text: &str| Payload::Json(text.into());
        assert!(same_answer(&json("{\"a\":1,\"b\":2}"), &json("{\"b\":2,\"a\":1}")));
        assert!(!same_answer(&json("1"), &json("2")));
        assert!(!same_answer(&Payload::Text("1".into()), &json("1")));
    }
}
