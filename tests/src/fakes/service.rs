//! The service itself: answers, golden data, request log, metrics.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Exchange, Payload, Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::{VersionTarget, Window};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::deployer::Beside;
use ripcord_ports::endpoint::{Endpoint, Fingerprint, Reply, SignatureCheck};
use ripcord_ports::requests::{GoldenData, GoldenRow, LogPiece, RequestLog, TrialInput};
use ripcord_ports::{ErrorKind, Metrics, PortError};

use super::Wire;
use crate::world::{CandidateFault, Outside};

/// Rows of the golden data set.
const ROWS: usize = 3;

/// Requests in the log: the first was answered `yes`, the others `no`.
const CAPTURED: u32 = 4;

/// Good versions answer `yes`, bad ones `no`.
#[derive(Debug)]
pub struct FakeEndpoint {
    /// Where it is.
    pub wire: Wire,
}

#[async_trait]
impl Endpoint for FakeEndpoint {
    fn name(&self) -> &str {
        "endpoint_fake"
    }

    async fn infer(&self, _: &TrialInput, candidate: Option<&Beside>, tag: &str) -> Result<Reply, PortError> {
        let kind = match candidate {
            Some(_) => "candidate trial",
            None if tag.ends_with("/before") => "evidence trial",
            None => "trial",
        };
        self.wire.answers(kind).await;
        self.wire.fuse.call(kind).await?;
        while candidate.is_some() && self.wire.world.of(&self.wire.service).slow_trials {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let reply = self.wire.world.at(&self.wire.service, |outside| match candidate {
            None => {
                outside.answered += 1;
                Ok(reply(outside, &outside.live))
            }
            Some(held) => ask_candidate(outside, held),
        });
        self.wire.fuse.point(&format!("after {kind}")).await;
        reply
    }

    async fn compare_signature(
        &self,
        _: &str,
        candidate: Option<&Beside>,
    ) -> Result<SignatureCheck, PortError> {
        self.wire.fuse.alive().await;
        let outside = self.wire.world.of(&self.wire.service);
        let version = candidate.map_or(outside.live, |held| held.version.version.to_string());
        Ok(if outside.other_inputs.contains(&version) {
            SignatureCheck::Differs(vec!["it takes five numbers and not four".into()])
        } else {
            SignatureCheck::Same
        })
    }

    async fn fingerprint(
        &self,
        inputs: &[TrialInput],
        _: Option<&Beside>,
        _: &str,
    ) -> Result<Fingerprint, PortError> {
        self.wire.fuse.call("fingerprint").await?;
        let outside = self.wire.world.of(&self.wire.service);
        self.wire.fuse.point("after fingerprint").await;
        let digest = Digest::of(format!("{inputs:?} {}", weights(&outside, &outside.live)));
        Ok(Fingerprint { digest, answered_by: reply(&outside, &outside.live).answered_by })
    }
}

/// Whose weights `version` really has.
fn weights<'a>(outside: &'a Outside, version: &'a str) -> &'a str {
    outside.impostors.get(version).map_or(version, String::as_str)
}

fn reply(outside: &Outside, version: &str) -> Reply {
    let bad = !outside.falls_back() && outside.would_do_harm(weights(outside, version));
    let name = VersionName::new(version).expect("a version");
    Reply {
        output: Payload::Classes(vec![if bad { "no" } else { "yes" }.into()]),
        answered_by: (!outside.nameless).then_some(VersionTarget { version: name, digest: None }),
        latency_us: 1_000,
    }
}

fn ask_candidate(outside: &mut Outside, held: &Beside) -> Result<Reply, PortError> {
    let there = outside.candidate.clone().filter(|version| *version == held.version.version.as_str());
    match (there, outside.candidate_fault) {
        (None, _) => Err(PortError::not_applied(ErrorKind::NotFound, "no such candidate is held")),
        (Some(_), Some(CandidateFault::Unreachable)) => {
            Err(PortError::not_applied(ErrorKind::NotFound, "the gateway does not know the candidate"))
        }
        (Some(_), Some(CandidateFault::Mistaken)) => Ok(reply(outside, &outside.live)),
        (Some(version), _) => {
            outside.candidate_answered += 1;
            Ok(reply(outside, &version))
        }
    }
}

/// One data set, `golden`, whose answers are all `yes`.
#[derive(Debug)]
pub struct FakeGolden;

#[async_trait]
impl GoldenData for FakeGolden {
    fn names(&self) -> Vec<String> {
        vec!["golden".into()]
    }

    async fn rows(&self, _: &str) -> Result<Vec<GoldenRow>, PortError> {
        let row = |index: usize| GoldenRow {
            input: TrialInput { id: format!("row-{index}"), body: "[]".into() },
            slices: Vec::new(),
            expected: Payload::Classes(vec!["yes".into()]),
        };
        Ok((0..ROWS).map(row).collect())
    }
}

/// A request log of one line.
#[derive(Debug)]
pub struct FakeLog {
    /// Where it is.
    pub wire: Wire,
}

#[async_trait]
impl RequestLog for FakeLog {
    fn name(&self) -> &str {
        "log_fake"
    }

    async fn preserve(&self, _: Window, _: u64) -> Result<LogPiece, PortError> {
        self.wire.fuse.point("before request log").await;
        self.wire.answers("request log").await;
        let piece = LogPiece { bytes: b"{\"id\":\"1\"}\n".to_vec(), lines: 1, truncated: false };
        self.wire.fuse.point("after request log").await;
        Ok(piece)
    }

    fn exchanges(&self, _: &[u8], limit: u32) -> Vec<Exchange> {
        let exchange = |index: u32| Exchange {
            id: format!("request-{index}"),
            at: UnixMillis(0),
            input: Payload::Json("[]".into()),
            output: Payload::Classes(vec![if index == 0 { "yes" } else { "no" }.into()]),
            labels: vec![Label::new("version", "1.2")],
        };
        (0..limit.min(CAPTURED)).map(exchange).collect()
    }
}

/// Whatever the query, harm: 1 while a bad version is served, 0 otherwise, or what the world says.
#[derive(Debug)]
pub struct FakeMetrics {
    /// Where it is.
    pub wire: Wire,
}

impl FakeMetrics {
    fn harm(&self) -> Result<f64, Unavailable> {
        let outside = self.wire.world.of(&self.wire.service);
        if outside.no_metrics {
            return Err(Unavailable::new(UnavailableReason::NoData, "the fake metrics have nothing"));
        }
        Ok(outside.harm.unwrap_or(if outside.does_harm() { 1.0 } else { 0.0 }))
    }
}

#[async_trait]
impl Metrics for FakeMetrics {
    fn name(&self) -> &str {
        "metrics_fake"
    }

    async fn instant(&self, _: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let failed = |error: PortError| Unavailable::new(UnavailableReason::Failed, error.to_string());
        self.wire.fuse.call("metric").await.map_err(failed)?;
        self.wire.answers("metric").await;
        let value = self.harm()?;
        self.wire.fuse.point("after metric").await;
        let (series, at) = match self.wire.world.of(&self.wire.service).wide_metric {
            Some((series, sampled_at)) => (series, UnixMillis(sampled_at)),
            None => (1, at),
        };
        // The first is what counts.
        let labels =
            |index: u32| if index == 0 { Vec::new() } else { vec![Label::new("pod", index.to_string())] };
        Ok((0..series).map(|index| Sample { labels: labels(index), value, at }).collect())
    }

    async fn range(&self, _: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        self.wire.fuse.point("before range").await;
        self.wire.answers("metric").await;
        let value = self.harm()?;
        self.wire.fuse.point("after range").await;
        let steps = window.end.since(window.start).0 / step.0.max(1);
        let at = |index: u64| window.start + Millis(index * step.0);
        let points = (0..=steps).map(|index| ripcord_core::fact::Point { at: at(index), value }).collect();
        Ok(vec![Series { labels: Vec::new(), points }])
    }
}
