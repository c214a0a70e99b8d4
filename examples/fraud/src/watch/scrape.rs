use std::io;

use prometheus_parse::{Scrape, Value};
use reqwest::{Client, Url};

use super::rule::Counts;
use crate::client::reason;

/// What the rule needs of a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) counts: Counts,
    /// The version that answers by default, where the server tells.
    pub(super) version: Option<String>,
}

/// Scrapes the server.
pub(super) async fn scrape(client: &Client, metrics: &Url) -> Result<Seen, String> {
    let answer = client.get(metrics.clone()).send().await.map_err(reason)?;
    let status = answer.status();
    let text = answer.text().await.map_err(reason)?;
    if status.is_success() { read(&text) } else { Err(format!("{status}")) }
}

/// Reads metrics in the Prometheus text format. The server has feedback counters from its first version on, so their absence is
/// an error and not zero.
fn read(text: &str) -> Result<Seen, String> {
    let scrape = Scrape::parse(text.lines().map(|line| Ok::<_, io::Error>(line.to_owned())))
        .map_err(|error| error.to_string())?;
    let mut counts = None;
    let mut version = None;
    for sample in scrape.samples {
        let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) = sample.value else {
            continue;
        };
        match sample.metric.as_str() {
            "fraud_feedback_total" => {
                let sum = counts.get_or_insert(Counts { reviewed: 0, false_positives: 0 });
                sum.reviewed += value as u64;
                if sample.labels.get("result") == Some("false_positive") {
                    sum.false_positives += value as u64;
                }
            }
            "fraud_model_info" if value > 0.0 => version = sample.labels.get("version").map(str::to_owned),
            _ => {}
        }
    }
    let counts = counts
        .ok_or("there is no `fraud_feedback_total`: is this the fraud server, and does it serve a model?")?;
    Ok(Seen { counts, version })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sums_over_versions() {
        let seen = read(
            "# TYPE fraud_feedback_total counter\n\
             fraud_feedback_total{result=\"false_positive\",version=\"1.3.2\"} 3\n\
             fraud_feedback_total{result=\"true_negative\",version=\"1.3.2\"} 90\n\
             fraud_feedback_total{result=\"false_positive\",version=\"1.4.0\"} 30\n\
             # TYPE fraud_model_info gauge\n\
             fraud_model_info{version=\"1.4.0\"} 1\n\
             # TYPE other histogram\nother_bucket{le=\"+Inf\"} 4\nother_sum 1\nother_count 4\n",
        );
        let counts = Counts { reviewed: 123, false_positives: 33 };
        assert_eq!(seen.unwrap(), Seen { counts, version: Some("1.4.0".to_owned()) });
    }

    #[test]
    fn metrics_of_something_else_are_an_error() {
        for text in ["", "<html></html>", "up 1\n"] {
            assert!(read(text).unwrap_err().contains("fraud_feedback_total"), "{text}");
        }
    }
}
