//! What a run has come to: by what is live, whatever it says of itself.

use std::time::Duration;

use ripcord_core::live::LiveState;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, ShiftOrder, Shifted};
use ripcord_ports::{ErrorKind, PortError};
use tokio::time::Instant;

use super::kept::{Kept, State};
use super::{Ended, Keyed, LAST, Marks, PipelineDeployer, Run, RunState};
use crate::producing::line;

/// The whole log of a run is read within this.
const LOG: Duration = Duration::from_secs(10);
/// Looking after runs that no shift follows holds up a look at live for so long.
const LOOKING_AFTER: Duration = Duration::from_secs(20);
/// A run whose end was not seen so long after its time is looked after no more.
const LOOKED_AFTER: Millis = Millis::hours(24);

/// Whether live is as it was before the order.
fn is_as_before(order: &ShiftOrder, live: &LiveState) -> bool {
    live.same_identity(&order.expecting) && !order.expecting.serves(&order.target)
}

impl PipelineDeployer {
    /// Keeps the end of the run's log, and gives the very end of it for people.
    async fn keep_log(&self, marks: &Marks, run: &Run, until: Instant) -> String {
        let until = until.min(Instant::now() + LOG);
        let log = match tokio::time::timeout_at(until, self.engine.log(&run.id)).await {
            Ok(Ok(log)) => log,
            Ok(Err(error)) => return format!("its log could not be read: {error}"),
            Err(_) => return "its log could not be read in time".to_owned(),
        };
        let said = log.last_words();
        if let Err(error) = self.kept.keep_log(marks, self.engine.system(), run, &log).await {
            tracing::warn!(%error, "the log of a pipeline's run could not be kept");
        }
        said
    }

    /// The same, and notes that the run has ended.
    async fn keep_end(&self, kept: &Kept, run: &Run, until: Instant) -> String {
        let said = self.keep_log(&kept.marks, run, until).await;
        if let Err(error) = self.kept.write(&kept.with(State::Ended)).await {
            // As far as this host knows it goes on, which is the safe side.
            tracing::warn!(%error, "that a pipeline's run has ended could not be kept");
        }
        said
    }

    /// What a run that has ended has come to.
    pub(super) async fn settled(
        &self,
        order: &ShiftOrder,
        kept: &Kept,
        run: &Run,
        until: Instant,
    ) -> Result<Shifted, PortError> {
        // First what matters: of a rollback that is done, a log that does not come must not hide it.
        let live = self.read_live(until + LAST).await;
        let log = self.keep_end(kept, run, until + LAST).await;
        if live.serves(&order.target) {
            return Ok(Shifted::Done);
        }
        let (shown, system) = (line(&run.shown), self.engine.system());
        let ended =
            format!("the run {shown} of {system} ended as `{}`, and live is {live}", line(run.state.word()));
        let is_untouched = is_as_before(order, &live);
        let has_done_nothing = match &run.state {
            RunState::NeverBegan { .. } => is_untouched && self.is_alone(&kept.marks).await,
            RunState::GoesOn(_) | RunState::Succeeded | RunState::Failed(_) => false,
        };
        match &run.state {
            RunState::Succeeded | RunState::GoesOn(_) => Ok(Shifted::Underway(ended)),
            RunState::NeverBegan { retry, .. } if has_done_nothing => {
                let text = format!("{ended}; nothing of it was ever at work");
                Err(PortError::not_applied(ErrorKind::Failed, text).retry(*retry))
            }
            // A rollout that it has begun may go on: a probe says so, and then live is read.
            RunState::Failed(_) | RunState::NeverBegan { .. } => {
                Err(PortError::unknown(ErrorKind::Failed, format!("{ended}; {log}")))
            }
        }
    }

    /// Whether there is no other run of the same mark, such as one that a network has begun.
    async fn is_alone(&self, marks: &Marks) -> bool {
        let found = self.engine.find(marks).await;
        found.is_ok_and(|found| found.iter().filter(|found| found.attempt == marks.attempt()).count() <= 1)
    }

    /// The time is over and the run is not.
    pub(super) async fn out_of_time(
        &self,
        order: &ShiftOrder,
        kept: &Kept,
        run: &Run,
    ) -> Result<Shifted, PortError> {
        let (shown, system) = (line(&run.shown), self.engine.system());
        if !self.follow.cancel_at_deadline {
            return Ok(Shifted::Underway(format!("the run {shown} of {system} goes on")));
        }
        let told = kept.told_to_end();
        self.kept.write(&told).await.map_err(PortError::outcome_unknown)?;
        self.engine.cancel(&run.id).await.map_err(|error| {
            let text = format!(
                "the run {shown} of {system} goes on after its time, and could not be ended: {error}"
            );
            PortError::unknown(error.kind, text)
        })?;
        let until = Instant::now() + LAST;
        match self.followed(&run.id, until).await {
            Ended::Run(run) => self.settled(order, &told, &run, until).await,
            Ended::GoesOn(_) | Ended::Unseen(_) => {
                let text =
                    format!("the run {shown} of {system} was told to end after its time, and has not yet");
                Err(PortError::unknown(ErrorKind::TimedOut, text))
            }
        }
    }

    /// Looks after runs whose end no shift has seen: keeps their logs, and ends those whose time is over, where that is configured. Once between two looks at
    /// a run, and never beside a shift.
    pub(super) async fn look_after_runs(&self) {
        let Ok(mut last) = self.shifting.try_lock() else { return };
        if last.is_some_and(|last| last.elapsed() < Duration::from_millis(self.follow.poll_ms)) {
            return;
        }
        *last = Some(Instant::now());
        let looking = async {
            for kept in self.kept.orders().await?.unwrap_or_default() {
                if let (State::Begun, Some(run)) = (kept.state, kept.run.as_deref())
                    && let Err(error) = self.look_after(&kept, run).await
                {
                    tracing::debug!(%error, "a pipeline's run could not be looked after");
                }
            }
            Ok::<(), PortError>(())
        };
        match tokio::time::timeout(LOOKING_AFTER, looking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "what is kept of a pipeline's runs could not be read"),
            Err(_) => tracing::debug!("a pipeline's run could not be looked after in time"),
        }
    }

    async fn look_after(&self, kept: &Kept, run: &str) -> Result<(), PortError> {
        let now = self.shared.clock.now();
        if now >= kept.ends_at + LOOKED_AFTER {
            return Ok(());
        }
        let looked = self.engine.look(run).await?;
        if looked.state.has_ended() {
            self.keep_end(kept, &looked, Instant::now() + LOG).await;
        } else if self.follow.cancel_at_deadline && now >= kept.ends_at {
            // Told once more is harmless, and a host may have ended between the two.
            self.kept.write(&kept.told_to_end()).await?;
            self.engine.cancel(run).await?;
        }
        Ok(())
    }

    /// What became of an order.
    pub(super) async fn probed(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let marks = Marks::of(&order.key);
        let until = Instant::now() + Duration::from_millis(self.follow.patience_ms);
        let kept = self.kept.read(&marks).await?;
        let known = kept.as_ref().map_or(&marks, |kept| &kept.marks);
        let mut found = self.find(known, until).await?;
        let is_asked = kept.as_ref().is_some_and(|kept| kept.state == State::Asked);
        let is_listed = found.iter().any(|found| found.attempt >= known.attempt());
        if is_asked
            && !is_listed
            && self.engine.keyed() == Keyed::No
            && self.looked_for(known).await.is_some()
        {
            found = self.find(known, until).await?;
        }
        if let Some(goes_on) = found.iter().rev().find(|found| !found.run.state.has_ended()) {
            // From now on it is looked after.
            if goes_on.attempt >= known.attempt()
                && let Err(error) = self.kept.write(&self.going_on(order, kept.as_ref(), goes_on)).await
            {
                tracing::warn!(%error, "that a pipeline's run goes on could not be kept");
            }
            let run = line(&goes_on.run.shown);
            return Ok(Probe::Underway(format!("the run {run} of {} goes on", self.engine.system())));
        }
        let newest = found.iter().max_by_key(|found| found.attempt);
        let live = self.live.read().await?;
        if let Some(newest) = newest
            && newest.attempt >= known.attempt()
            && kept.as_ref().is_none_or(|kept| kept.state != State::Ended)
        {
            let begun = self.going_on(order, kept.as_ref(), newest);
            self.keep_end(&begun, &newest.run, Instant::now() + LOG).await;
        }
        if live.serves(&order.target) {
            return Ok(Probe::Applied);
        }
        // Of a folder that was lost, or is another host's, nothing follows.
        let is_unused = kept.is_none() && self.kept.orders().await?.is_none();
        match (&kept, newest) {
            (Some(kept), newest) if newest.is_none_or(|newest| newest.attempt < kept.marks.attempt()) => {
                match (kept.state, &kept.run) {
                    (State::Begun | State::Ended, Some(run)) => {
                        return self.probed_alone(order, kept, run, &live).await;
                    }
                    // Once more begins no second run where the mark is the pipeline's own key.
                    (State::Asked, _) if self.engine.keyed() == Keyed::No => {
                        return Ok(Probe::CannotTell(self.never_found(kept).to_string()));
                    }
                    (State::Asked | State::Refused | State::Begun | State::Ended, _) => {}
                }
            }
            (None, None) if is_unused && self.engine.keyed() == Keyed::No => {
                let text = format!(
                    "whether a run of {} was asked for is not known: nothing is kept of runs on this host, and {} tells of none that is marked `{}`: look for it there",
                    self.engine.shown(),
                    self.engine.system(),
                    marks.base()
                );
                return Ok(Probe::CannotTell(text));
            }
            _ => {}
        }
        let Some(newest) = newest else { return Ok(self.judged(order, &live, None)) };
        // A network may have begun two: that one of them was never at work says nothing of the other.
        let other = found.iter().find(|found| {
            let is_idle = matches!(found.run.state, RunState::NeverBegan { .. });
            found.attempt == newest.attempt && found.run.id != newest.run.id && !is_idle
        });
        if let Some(other) = other {
            return Ok(self.judged(order, &live, Some(&other.run)));
        }
        // The list does not tell whether anything of it was ever at work.
        let looked = self.engine.look(&newest.run.id).await.unwrap_or_else(|_| newest.run.clone());
        Ok(self.judged(order, &live, Some(&looked)))
    }

    /// A run that was begun, and that the list does not have.
    async fn probed_alone(
        &self,
        order: &ShiftOrder,
        kept: &Kept,
        run: &str,
        live: &LiveState,
    ) -> Result<Probe, PortError> {
        match self.engine.look(run).await {
            Ok(run) if run.state.has_ended() => Ok(self.judged(order, live, Some(&run))),
            Ok(run) => Ok(Probe::Underway(format!("the run {} goes on", line(&run.shown)))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Probe::CannotTell(format!(
                "the run `{}` was begun, and {} knows nothing of it any more: {error}",
                kept.marks.whole(),
                self.engine.system()
            ))),
            Err(error) => Err(error),
        }
    }

    /// What a probe makes of runs that have all ended, and of what is live.
    fn judged(&self, order: &ShiftOrder, live: &LiveState, last: Option<&Run>) -> Probe {
        let ended = |run: &Run| {
            let (shown, word) = (line(&run.shown), line(run.state.word()));
            format!("the run {shown} of {} ended as `{word}`", self.engine.system())
        };
        // Both versions answer while one takes the other's place.
        let is_between = live.is_overlaid(&order.expecting, &[&order.target]);
        match (live, last) {
            (LiveState::Unknown(why), Some(last)) => {
                Probe::CannotTell(format!("{}, and live is unknown: {why}", ended(last)))
            }
            (LiveState::Unknown(why), None) => Probe::CannotTell(format!("live is unknown: {why}")),
            (_, None | Some(Run { state: RunState::NeverBegan { .. }, .. })) if is_as_before(order, live) => {
                Probe::NotApplied
            }
            // Whatever the run says of itself, it may have left a rollout behind that goes on.
            (live, Some(last)) if is_between || is_as_before(order, live) => {
                Probe::Underway(format!("{}, and live is {live}", ended(last)))
            }
            (live, _) => Probe::CannotTell(format!(
                "live is {live}, which is neither {} nor what was live before ({})",
                order.target, order.expecting
            )),
        }
    }
}
