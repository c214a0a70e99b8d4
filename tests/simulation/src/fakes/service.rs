//! The service itself: answers, golden data, request log, metrics.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{
    Exchange, Payload, Point, STORED_ALONE_BYTES_MIN, Sample, Series, Unavailable, UnavailableReason,
};
use ripcord_core::signal::Label;
use ripcord_core::target::{VersionTarget, Window};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::deployer::Beside;
use ripcord_ports::endpoint::{Endpoint, Fingerprint, Reply};
use ripcord_ports::requests::{GoldenData, GoldenRow, LogPiece, RequestLog, TrialInput};
use ripcord_ports::{ErrorKind, Metrics, PortError};

use super::{ENDPOINT, METRICS, Wire};
use crate::world::version;

/// Rows of the golden data set.
const ROWS: usize = 2;

/// In milliseconds.
const MINUTE: u64 = 60_000;

/// Good versions answer `yes`, bad ones `no`.
#[derive(Debug)]
pub struct PretendEndpoint {
    /// Where it is.
    pub wire: Wire,
}

impl PretendEndpoint {
    fn reply(&self, candidate: Option<&Beside>) -> Result<Reply, PortError> {
        let wire = &self.wire;
        wire.world.at(&wire.service, |outside| {
            let by = match candidate {
                None => wire.dice.pick(&outside.replicas),
                Some(held) if outside.candidate.as_deref() == Some(held.version.version.as_str()) => {
                    held.version.version.to_string()
                }
                Some(_) => {
                    return Err(PortError::not_applied(ErrorKind::NotFound, "no such candidate is held"));
                }
            };
            let well = match candidate {
                None => outside.answers_well(&by),
                Some(_) => outside.would_answer_well(&by),
            };
            Ok(Reply {
                output: Payload::Classes(vec![if well { "yes" } else { "no" }.to_owned()]),
                answered_by: (!outside.nameless)
                    .then(|| VersionTarget { version: version(&by), digest: None }),
                latency_us: 1_000,
            })
        })
    }
}

#[async_trait]
impl Endpoint for PretendEndpoint {
    fn name(&self) -> &str {
        "endpoint_pretend"
    }

    async fn infer(&self, _: &TrialInput, candidate: Option<&Beside>, _: &str) -> Result<Reply, PortError> {
        self.wire.reach(ENDPOINT).await?;
        let reply = self.reply(candidate);
        self.wire.comes_back(ENDPOINT).await;
        reply
    }

    async fn fingerprint(
        &self,
        inputs: &[TrialInput],
        _: Option<&Beside>,
        _: &str,
    ) -> Result<Fingerprint, PortError> {
        self.wire.reach(ENDPOINT).await?;
        let wire = &self.wire;
        let print = wire.world.at(&wire.service, |outside| {
            let Some(sole) = outside.sole() else {
                return Err(PortError::not_applied(ErrorKind::Conflict, "several versions answered"));
            };
            let digest = Digest::of(format!("{} {}", outside.behaviour(sole), inputs.len()));
            let by = VersionTarget { version: version(sole), digest: None };
            Ok(Fingerprint { digest, answered_by: (!outside.nameless).then_some(by) })
        });
        wire.comes_back(ENDPOINT).await;
        print
    }
}

/// One data set, `golden`, whose answers are all `yes`.
#[derive(Debug)]
pub struct PretendGolden;

#[async_trait]
impl GoldenData for PretendGolden {
    fn names(&self) -> Vec<String> {
        vec!["golden".to_owned()]
    }

    async fn rows(&self, _: &str) -> Result<Vec<GoldenRow>, PortError> {
        let row = |index: usize| GoldenRow {
            input: TrialInput { id: format!("row-{index}"), body: "[]".to_owned() },
            slices: Vec::new(),
            expected: Payload::Classes(vec!["yes".to_owned()]),
        };
        Ok((0..ROWS).map(row).collect())
    }
}

/// A request log of one line.
#[derive(Debug)]
pub struct PretendLog {
    /// Where it is.
    pub wire: Wire,
}

#[async_trait]
impl RequestLog for PretendLog {
    fn name(&self) -> &str {
        "log_pretend"
    }

    async fn preserve(&self, _: Window, _: u64) -> Result<LogPiece, PortError> {
        self.wire.reach(ENDPOINT).await?;
        Ok(LogPiece { bytes: b"{}\n".to_vec(), lines: 1, truncated: false })
    }

    fn exchanges(&self, _: &[u8], limit: u32) -> Vec<Exchange> {
        let exchange = Exchange {
            id: "request-1".to_owned(),
            at: UnixMillis(0),
            input: Payload::Json("[]".to_owned()),
            output: Payload::Classes(vec!["yes".to_owned()]),
            labels: Vec::new(),
        };
        vec![exchange; limit.min(1) as usize]
    }
}

/// Whatever the query: the share of the answers that do harm.
#[derive(Debug)]
pub struct PretendMetrics {
    /// Where it is.
    pub wire: Wire,
}

impl PretendMetrics {
    async fn harm(&self) -> Result<f64, Unavailable> {
        let failed = |error: PortError| Unavailable::new(UnavailableReason::Failed, error.to_string());
        self.wire.reach(METRICS).await.map_err(failed)?;
        if self.wire.weather.now().no_metrics {
            return Err(Unavailable::new(UnavailableReason::NoData, "the metrics have nothing"));
        }
        let harm = self.wire.world.at(&self.wire.service, |outside| outside.harm());
        self.wire.comes_back(METRICS).await;
        Ok(harm)
    }
}

#[async_trait]
impl Metrics for PretendMetrics {
    fn name(&self) -> &str {
        "metrics_pretend"
    }

    async fn instant(&self, _: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let value = self.harm().await?;
        // In one minute of eight it is a large value that is the same all the while.
        let minute = at.0 / MINUTE;
        if minute.is_multiple_of(8) {
            let labels = vec![Label::new("description", "x".repeat(STORED_ALONE_BYTES_MIN))];
            return Ok(vec![Sample { labels, value, at: UnixMillis(minute * MINUTE) }]);
        }
        Ok(vec![Sample { labels: Vec::new(), value, at }])
    }

    async fn range(&self, _: &str, window: Window, _: Millis) -> Result<Vec<Series>, Unavailable> {
        let value = self.harm().await?;
        Ok(vec![Series { labels: Vec::new(), points: vec![Point { at: window.end, value }] }])
    }
}
