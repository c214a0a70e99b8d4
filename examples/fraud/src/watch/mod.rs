//! The team's alert rule for a set-up without Prometheus and Alertmanager: it scrapes the server, compares counters, and posts the
//! same webhook that Alertmanager would.

mod alert;
mod outbox;
mod rule;
mod scrape;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use alert::ALERT;
pub use rule::{Alarm, Change, Counts, Phase, Reading, Rule};

use crate::command::say;
use crate::{Error, client};
use alert::Alert;
use outbox::Outbox;

/// A scrape or a post that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(5);

/// `fraud watch`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to scrape, for instance `http://127.0.0.1:8080/metrics`
    #[arg(long, value_name = "URL")]
    pub metrics: String,
    /// Where to post alerts
    #[arg(long, value_name = "URL")]
    pub webhook: String,
    /// A file with the bearer token of the webhook
    #[arg(long, value_name = "FILE")]
    pub bearer_file: PathBuf,
    /// Scrape so often, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub every_ms: u64,
    /// For so many seconds; ctrl-c ends it earlier
    #[arg(long, value_name = "S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=864_000))]
    pub seconds: u64,
    /// Raise above this share of reviewed decisions that declined a good customer, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub max_false_positive_share: f64,
    /// Judge only with so many reviewed decisions in the window
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub min_volume: u64,
    /// Look back so far, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub window_ms: u64,
    /// Tell only what lasted so long, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub for_ms: u64,
    /// The alert's label `service`
    #[arg(long, value_name = "NAME", default_value = "fraud-api")]
    pub service: String,
}

impl Args {
    fn rule(&self) -> Result<Rule, Error> {
        if !(0.0..=1.0).contains(&self.max_false_positive_share) {
            let given = self.max_false_positive_share;
            return Err(Error::Setting(format!(
                "`{given}` is not a share for `--max-false-positive-share`: give a number from 0 to 1"
            )));
        }
        Ok(Rule {
            false_positive_share_max: self.max_false_positive_share,
            volume_min: self.min_volume,
            window: Duration::from_millis(self.window_ms),
            hold: Duration::from_millis(self.for_ms),
        })
    }
}

/// Watches until the time is over or ctrl-c, and prints what changes. An alert that the webhook did not take is posted again.
///
/// # Errors
/// A setting that makes no sense, or a token that cannot be read.
pub async fn run(args: Args) -> Result<(), Error> {
    let metrics = client::url("--metrics", &args.metrics)?;
    let client = client::client(DEADLINE)?;
    let mut outbox =
        Outbox::new(client.clone(), client::url("--webhook", &args.webhook)?, &args.bearer_file)?;
    let mut alarm = Alarm::new(args.rule()?);
    let mut raised: Option<Alert> = None;
    let mut last_line = String::new();

    let start = Instant::now();
    let end = start + Duration::from_secs(args.seconds);
    let mut tick = interval(Duration::from_millis(args.every_ms));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = tokio::time::sleep_until(end) => break,
            _ = tick.tick() => {}
        }
        let line = match scrape::scrape(&client, &metrics).await {
            Ok(seen) => {
                let reading = alarm.see(start.elapsed(), seen.counts);
                match reading.change {
                    Some(Change::Raised) => {
                        let share = reading.share.unwrap_or_default();
                        let alert = Alert::new(
                            &args.service,
                            seen.version.as_deref(),
                            share,
                            Timestamp::now(),
                            metrics.as_str(),
                        );
                        outbox.put("firing", &alert.firing())?;
                        raised = Some(alert);
                    }
                    Some(Change::Resolved) => {
                        if let Some(alert) = raised.take() {
                            outbox.put("resolved", &alert.resolved(Timestamp::now()))?;
                        }
                    }
                    None => {}
                }
                describe(alarm.phase(), reading, seen.version.as_deref())
            }
            Err(error) => (format!("cannot scrape `{metrics}`: {error}"), String::new()),
        };
        // The numbers move all the time: a line is printed when what it says changes.
        if line.0 != last_line {
            tell(&format!("{}{}", line.0, line.1));
            last_line = line.0;
        }
        if let Some(line) = outbox.post_due().await {
            tell(&line);
        }
    }
    match outbox.waiting() {
        0 => tell("watch ended"),
        waiting => tell(&format!("watch ended with {waiting} alerts that the webhook did not take")),
    }
    Ok(())
}

/// What is the case, and the numbers to it.
fn describe(phase: Phase, reading: Reading, version: Option<&str>) -> (String, String) {
    let state = match (phase, reading.share) {
        (Phase::Quiet, None) => "waiting for traffic",
        (Phase::Quiet, Some(_)) => "well",
        (Phase::Pending { .. }, _) => "too many false positives, pending",
        (Phase::Firing { well_since: None }, None) => "firing, too little traffic to judge",
        (Phase::Firing { well_since: None }, Some(_)) => "too many false positives, firing",
        (Phase::Firing { well_since: Some(_) }, _) => "well again, still firing",
    };
    let version = version.map(|version| format!(" of {version}")).unwrap_or_default();
    let share = reading.share.map_or_else(|| "unknown".to_owned(), |share| format!("{:.1} %", share * 100.0));
    (state.to_owned(), format!(": false positives {share} in {} reviewed decisions{version}", reading.volume))
}

fn tell(line: &str) {
    say(&format!("{:.3} {line}", Timestamp::now()));
}
