//! Runs of earlier orders: while one goes on, no other is begun.

use std::time::Duration;

use ripcord_ports::{ErrorKind, PortError, Retry, waiting};
use tokio::time::Instant;

use super::kept::Kept;
use super::{Ended, Marks, PipelineDeployer, Run, START_LEAST};
use crate::http::patiently;
use crate::producing::line;

/// A run that was told to end is waited for so long.
const ENDING: Duration = Duration::from_secs(10);

impl PipelineDeployer {
    /// Refuses while a run of an earlier order goes on: it could put its version over this one's. Also one that this host has seen the end of, as people begin runs
    /// again, and a network may have begun two.
    pub(super) async fn nothing_else_goes_on(&self, marks: &Marks, until: Instant) -> Result<(), PortError> {
        for mut earlier in self.kept.orders().await?.unwrap_or_default() {
            if earlier.marks.base() != marks.base() {
                for run in self.still_going_on(&earlier, until).await? {
                    self.make_end(&mut earlier, &run, until).await?;
                }
            }
            if earlier.told_to_end {
                self.has_stopped(&earlier, until).await?;
            }
        }
        Ok(())
    }

    /// The runs of an order that go on. One that is gone changes nothing any more; one that cannot be seen may be at work.
    async fn still_going_on(&self, earlier: &Kept, until: Instant) -> Result<Vec<Run>, PortError> {
        let found = self.find(&earlier.marks, until).await.map_err(not_seen)?;
        let mut runs: Vec<Run> = found.into_iter().map(|found| found.run).collect();
        if let Some(run) = earlier.run.as_deref()
            && !runs.iter().any(|listed| listed.id == run)
        {
            match patiently(self.patience(until), || self.engine.look(run)).await {
                Ok(run) => runs.push(run),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(not_seen(error)),
            }
        }
        runs.retain(|run| !run.state.has_ended());
        Ok(runs)
    }

    /// Has a run of an earlier order end, where that is configured.
    async fn make_end(&self, earlier: &mut Kept, run: &Run, until: Instant) -> Result<(), PortError> {
        let (system, shown) = (self.engine.system(), line(&run.shown));
        if self.follow.cancel_at_deadline {
            *earlier = earlier.begun(&run.id).told_to_end();
            self.kept.write(earlier).await?;
            self.engine.cancel(&run.id).await.map_err(|error| {
                let text = format!(
                    "the run {shown} of {system}, of an earlier order, goes on and could not be ended: {error}"
                );
                PortError::not_applied(error.kind, text).retry(later(error.retry))
            })?;
            if matches!(self.followed(&run.id, until.min(Instant::now() + ENDING)).await, Ended::Run(_)) {
                return Ok(());
            }
        }
        let text = format!(
            "{system} still works on the run {shown} of an earlier order, which could put its version over this one: end it there, or set `follow.cancel-at-deadline`"
        );
        Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later))
    }

    /// Waits until what was told to end works no more.
    async fn has_stopped(&self, earlier: &Kept, until: Instant) -> Result<(), PortError> {
        let stops_within = self.engine.stops_within();
        if Instant::now() + stops_within + START_LEAST > until {
            let text = format!(
                "a run of {} was told to end, and may work on for {} s: nothing was begun; give `shift-seconds` more than that where this happens again",
                self.engine.system(),
                stops_within.as_secs()
            );
            return Err(PortError::not_applied(ErrorKind::TimedOut, text).retry(Retry::Later));
        }
        waiting::pausing(tokio::time::sleep(stops_within)).await;
        self.kept.write(&Kept { told_to_end: false, ..earlier.clone() }).await
    }
}

/// Nothing was begun for the order that is asked for now: so this is no question of it.
fn not_seen(error: PortError) -> PortError {
    let text = format!(
        "whether a run of an earlier order goes on, which could put its version over this one, cannot be seen: {error}"
    );
    PortError::not_applied(error.kind, text).retry(later(error.retry))
}

/// It says nothing of the target: the same order may go through when the run has ended, or can be seen.
fn later(retry: Retry) -> Retry {
    match retry {
        Retry::No | Retry::Later => Retry::Later,
        Retry::After(asked) => Retry::After(asked),
    }
}
