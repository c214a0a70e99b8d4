//! `ripcord decisions`: what each policy was given, what it said, and why.

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{DecisionPage, ReadError};
use ripcord_ports::Clock as _;

use super::states::names;
use super::{Outcome, Reach};
use crate::cli::{About, DecisionsArgs, Global};
use crate::client::Live;
use crate::output::{Exit, Failure, decisions as page};

pub(super) async fn decisions(global: &Global, args: &DecisionsArgs) -> Outcome {
    let reach = Reach::new(global)?;
    let since =
        args.since.map_or(UnixMillis(0), |since| UnixMillis(SystemClock.now().0.saturating_sub(since.0.0)));
    let read = match &args.about {
        Some(About::Incident(id)) => of_incident(&reach, id, args.limit).await?,
        Some(About::Service(service)) => {
            if reach.far()?.is_none() {
                names(&reach, Some(service))?;
            }
            of_service(&reach, service, since, args.limit).await?
        }
        None => {
            let mut all = DecisionPage { decisions: Vec::new(), more: false };
            for service in all_services(&reach).await? {
                let one = of_service(&reach, &service, since, args.limit).await?;
                all.decisions.extend(one.decisions);
                all.more |= one.more;
            }
            all.decisions.sort_by_key(|one| std::cmp::Reverse(one.at));
            let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
            all.more |= all.decisions.len() > limit;
            all.decisions.truncate(limit);
            all
        }
    };
    Ok(page::page(&read, args.limit))
}

async fn all_services(reach: &Reach) -> Result<Vec<ServiceName>, Failure> {
    match reach.far()? {
        Some(host) => {
            let views = host.services(&[], Live::Skipped).await?;
            Ok(views.into_iter().map(|view| view.name).collect())
        }
        None => names(reach, None),
    }
}

async fn of_service(
    reach: &Reach,
    service: &ServiceName,
    since: UnixMillis,
    limit: u32,
) -> Result<DecisionPage, Failure> {
    if let Some(host) = reach.elsewhere().await? {
        return Ok(host.decisions(service, since, limit).await?);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    ripcord_engine::decisions(&reach.store()?, service, since, limit).await.map_err(failed)
}

async fn of_incident(reach: &Reach, id: &IncidentId, limit: u32) -> Result<DecisionPage, Failure> {
    if let Some(host) = reach.elsewhere().await? {
        return Ok(host.decisions_of_incident(id, limit).await?);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    ripcord_engine::decisions_of_incident(&reach.store()?, id, limit).await.map_err(failed)
}

fn failed(error: ReadError) -> Failure {
    match error {
        ReadError::Unknown(_) => Failure::of(Exit::Usage, error),
        _ => Failure::of(Exit::Failed, error),
    }
}

/// So long ago, as `--since` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ago(pub Millis);

impl std::str::FromStr for Ago {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time such as `30m`, `12h` or `7d`");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(wrong()),
        };
        Ok(Self(Millis::seconds(number.saturating_mul(seconds))))
    }
}
