//! What `ripcord backtest` and `ripcord policy record` take: both go back to what was.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use ripcord_core::name::{IncidentId, PolicyName, ServiceName, VersionName};
use ripcord_core::time::{Millis, UnixMillis};

use super::RoleArg;

const EXAMPLES: &str = "\
Examples:
  ripcord backtest threshold-trigger --service fraud-api --since 30d --plot month.svg
  ripcord backtest ./my-rule --service fraud-api --since 7d --step 5m --settings rule.toml
  ripcord backtest ./my-rule --service fraud-api --since 90d --recorded

Exit codes:
  0  it would not have asked for a rollback
  1  it faulted, or never had the data to judge
  3  it would have asked for a rollback";

/// `ripcord backtest`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// A trigger of the service by its name, or a crate's folder, a component or a starter policy
    pub policy: String,
    /// For which service: its metrics source, its journal, and its settings of that trigger
    #[arg(long, value_name = "SERVICE")]
    pub service: ServiceName,
    /// How long ago it begins, such as `30d`, or an instant, such as `2026-11-01T00:00:00Z`
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    pub since: When,
    /// How long ago it ends, or an instant; now if left out
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// Between two questions, such as `5m`; if left out, as short as a few thousand questions allow
    #[arg(long, value_name = "SPAN", value_parser = span, conflicts_with = "recorded")]
    pub step: Option<Millis>,
    /// Its settings, TOML or JSON; those of the service if left out
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Take this version for what was live all the time, instead of what the journal tells
    #[arg(long, value_name = "VERSION", conflicts_with = "recorded")]
    pub live: Option<VersionName>,
    /// Ask it what triggers of the service were asked, with the facts that they were given, instead of asking the metrics source
    #[arg(long)]
    pub recorded: bool,
    /// Write a picture: what it said, above the values that it saw
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// `ripcord policy record`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RECORD_EXAMPLES)]
pub struct RecordArgs {
    /// The decisions of this incident, such as `fraud-api:3`
    #[arg(required_unless_present = "service")]
    pub incident: Option<IncidentId>,
    /// The newest decisions of this service
    #[arg(long, value_name = "SERVICE", conflicts_with = "incident")]
    pub service: Option<ServiceName>,
    /// Only in this role
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleArg>,
    /// Only of this policy
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PolicyName>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub last: u32,
    /// The folder that the fixtures go to
    #[arg(long, value_name = "DIR", default_value = "fixtures")]
    pub out: PathBuf,
}

const RECORD_EXAMPLES: &str = "\
Examples:
  ripcord policy record fraud-api:3 --role trigger --out my-rule/fixtures
  ripcord policy record --service fraud-api --policy my-rule --last 5";

/// An instant, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long before now.
    Ago(Millis),
    /// Then.
    At(UnixMillis),
}

impl When {
    /// The instant.
    pub fn before(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Ago(span) => UnixMillis(now.0.saturating_sub(span.0)),
            Self::At(at) => at,
        }
    }
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = span(text) {
            return Ok(Self::Ago(span));
        }
        let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        at.map(|at| Self::At(UnixMillis(at))).ok_or_else(|| {
            "write how long ago, such as `12h` or `30d`, or an instant, such as `2026-11-01T00:00:00Z`"
                .to_owned()
        })
    }
}

/// `90s`, `5m`, `12h`, `30d`, `2w`.
pub(super) fn span(text: &str) -> Result<Millis, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        "w" => Some(7 * 86_400_000),
        _ => None,
    };
    let span = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    span.filter(|span| *span > 0)
        .map(Millis)
        .ok_or_else(|| "write a number and a unit, such as `90s`, `5m`, `12h` or `30d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_or_an_instant() {
        assert_eq!("30d".parse(), Ok(When::Ago(Millis(30 * 86_400_000))));
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(When::At(UnixMillis(1_700_000_000_000))));
        for wrong in ["", "30", "0d", "d", "-1d", "1.5h", "99999999999999999999d", "yesterday"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }
}
