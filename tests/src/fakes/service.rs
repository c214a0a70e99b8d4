//! The service itself: answers, golden data, request log, metrics.

use async_trait::async_trait;
use ripcord_core::fact::{Exchange, Payload, Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::name::VersionName;
use ripcord_core::target::{VersionTarget, Window};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::endpoint::{Endpoint, Reply};
use ripcord_ports::requests::{GoldenData, GoldenRow, LogPiece, RequestLog, TrialInput};
use ripcord_ports::{Metrics, PortError};

use super::Wire;

/// Rows of the golden data set.
const ROWS: usize = 3;

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

    async fn infer(
        &self,
        _: &TrialInput,
        candidate: Option<&VersionTarget>,
        tag: &str,
    ) -> Result<Reply, PortError> {
        let kind = if tag.ends_with("/before") { "evidence trial" } else { "trial" };
        self.wire.fuse.point(&format!("before {kind}")).await;
        let (version, bad) = self.wire.world.at(&self.wire.service, |outside| {
            outside.answered += 1;
            let version = candidate.map_or(outside.live.clone(), |version| version.version.to_string());
            let bad = outside.bad.contains(&version);
            (version, bad)
        });
        self.wire.fuse.point(&format!("after {kind}")).await;
        let version = VersionName::new(version).expect("a version");
        Ok(Reply {
            output: Payload::Classes(vec![if bad { "no" } else { "yes" }.into()]),
            answered_by: Some(VersionTarget { version, digest: None }),
            latency_us: 1_000,
        })
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
        let piece = LogPiece { bytes: b"{\"id\":\"1\"}\n".to_vec(), lines: 1, truncated: false };
        self.wire.fuse.point("after request log").await;
        Ok(piece)
    }

    fn exchanges(&self, _: &[u8], _: u32) -> Vec<Exchange> {
        Vec::new()
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
        Ok(outside.harm.unwrap_or(if outside.bad.contains(&outside.live) { 1.0 } else { 0.0 }))
    }
}

#[async_trait]
impl Metrics for FakeMetrics {
    fn name(&self) -> &str {
        "metrics_fake"
    }

    async fn instant(&self, _: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        self.wire.fuse.point("before metric").await;
        let value = self.harm()?;
        self.wire.fuse.point("after metric").await;
        Ok(vec![Sample { labels: Vec::new(), value, at }])
    }

    async fn range(&self, _: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        self.wire.fuse.point("before range").await;
        let value = self.harm()?;
        self.wire.fuse.point("after range").await;
        let steps = window.end.since(window.start).0 / step.0.max(1);
        let at = |index: u64| window.start + Millis(index * step.0);
        let points = (0..=steps).map(|index| ripcord_core::fact::Point { at: at(index), value }).collect();
        Ok(vec![Series { labels: Vec::new(), points }])
    }
}
