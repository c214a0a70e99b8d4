//! `ripcord backtest`: a trigger, asked at every step of a time that has passed.
//!
//! Each step is told what was known then and nothing of later, and what the step before remembered: as a host would have asked it, had it been placed.

mod page;
mod plot;
mod recorded;
mod rule;
mod walk;

use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::FactsThen;

use super::asking::Bench;
use super::{Outcome, Reach};
use crate::cli::{BacktestArgs, Global};
use crate::output::time::instant;
use crate::output::{Exit, Failure};

/// One run asks no more often.
const STEPS_MAX: u64 = 20_000;
/// Without `--step` it asks about so often at most.
const STEPS_USUAL: u64 = 2_500;
/// The steps that are chosen by themselves, in minutes.
const STEPS_MINUTES: [u64; 9] = [1, 2, 5, 10, 15, 30, 60, 120, 360];

pub(super) async fn run(global: &Global, args: &BacktestArgs) -> Outcome {
    let reach = Reach::new(global)?;
    let progress = &reach.progress;
    let bench = Bench::open(&reach, &args.service).await?;
    let rule = rule::find(&bench, args, progress)?;
    let now = bench.clock.now();
    let window = window(args, now)?;
    let tried = if args.recorded {
        recorded::walk(&bench, &rule, window, progress).await?
    } else {
        let step = step(args, window)?;
        let failed = |error| Failure::of(Exit::Failed, error);
        let mut facts =
            FactsThen::read(&bench.setup, &bench.service, bench.store(), now).await.map_err(failed)?;
        if let Some(version) = &args.live {
            facts = facts.with_live(version);
        }
        walk::walk(&bench, &rule, &facts, window, step, progress).await?
    };
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&tried)).map_err(|cause| {
            Failure::failed(format!("cannot write `{}`", path.display()))
                .because(cause)
                .help("check the folder's permissions and the free space")
        })?;
    }
    Ok(page::page(&tried, args.plot.as_deref()))
}

fn window(args: &BacktestArgs, now: UnixMillis) -> Result<Window, Failure> {
    let (start, end) = (args.since.before(now), args.until.map_or(now, |until| until.before(now)).min(now));
    if start >= end {
        return Err(Failure::usage(format!(
            "there is no time between {} and {}",
            instant(start),
            instant(end)
        ))
        .help("give `--since` as how long ago it begins, such as `30d`, or as an instant before `--until`"));
    }
    Ok(Window { start, end })
}

fn step(args: &BacktestArgs, window: Window) -> Result<Millis, Failure> {
    let length = window.end.0 - window.start.0;
    let usual = || {
        let fits = |minutes: &&u64| length / (**minutes * 60_000) <= STEPS_USUAL;
        let minutes = STEPS_MINUTES.iter().find(fits).copied();
        Millis(minutes.map_or(length / STEPS_USUAL, |minutes| minutes * 60_000))
    };
    let step = args.step.unwrap_or_else(usual).max(Millis(1));
    let steps = length / step.0;
    if steps > STEPS_MAX {
        return Err(Failure::usage(format!("it would be asked {steps} times, and {STEPS_MAX} is the most"))
            .help("give a longer `--step`, or a later `--since`"));
    }
    Ok(step)
}
