//! What becomes of a run: started, followed, ended. A run that ends without a version gives its reason back to the triggers.

use super::producing::{Made, PAST_RUNS_MAX, PastRun, Run, RunEnd, RunState, Shown, StopReason};
use super::{Illegal, Service, Waiting};
use crate::effect::Topic;
use crate::event::{
    AboutIncident, FaultNature, LookWord, RunBegan, RunFailed, RunLookedAt, RunLost, RunMade, RunReturned,
    RunStopped, StartWord,
};
use crate::signal::Severity;
use crate::terms::EffectClass;

/// Failures in a row before people are told.
const TELL_AFTER: u32 = 5;

impl Service {
    /// The run that goes on. Whoever asks has checked that it does.
    fn run_at_hand(&mut self) -> Result<&mut Run, Illegal> {
        self.producing.run.as_mut().ok_or(Illegal::Stale)
    }

    pub(super) fn run_began(&mut self, began: &RunBegan) -> Result<(), Illegal> {
        let at = self.at;
        let run = self.run(began.run)?;
        let RunState::Due(waiting) = run.state else { return Err(Illegal::Stale) };
        if began.request.approved != run.ordered.request {
            return Err(Illegal::Stale);
        }
        let producer = self.producer_of(run).ok_or(Illegal::Stale)?;
        let late = at >= self.begin_ends_at(run, waiting);
        if late || self.paused_by.is_some() || self.observes() || began.attempt != run.attempts + 1 {
            return Err(Illegal::Stale);
        }
        let class = producer.class;
        let run = self.run_at_hand()?;
        run.attempts = began.attempt;
        run.state = RunState::Began { class, waiting: Waiting { due_at: None, ..waiting } };
        Ok(())
    }

    pub(super) fn run_returned(&mut self, returned: &RunReturned) -> Result<(), Illegal> {
        let at = self.at;
        let run = self.run(returned.run)?;
        if returned.attempt != run.attempts || run.attempts == 0 {
            return Err(Illegal::Stale);
        }
        match (&run.state, &returned.word) {
            (RunState::Began { .. }, StartWord::Started) => {
                let run = self.run_at_hand()?;
                run.state = RunState::GoesOn;
                run.told = false;
            }
            (
                RunState::Began { .. },
                StartWord::NotStarted { reason, nature: FaultNature::Deterministic },
            ) => self.end_run(RunEnd::Failed(*reason)),
            (RunState::Began { waiting, .. }, StartWord::NotStarted { .. }) => {
                let waiting = waiting.later(at);
                self.run_at_hand()?.state = RunState::Due(waiting);
                self.tell_run_failures(waiting);
            }
            (RunState::Began { class, waiting }, StartWord::Unknown(_)) => {
                let (class, waiting) = (*class, waiting.later(at));
                self.run_at_hand()?.state = RunState::Began { class, waiting };
                self.tell_run_failures(waiting);
            }
            // It is stopped all the same, unless there is nothing to stop.
            (RunState::Stopping { why, .. }, StartWord::NotStarted { .. }) => {
                self.end_run(RunEnd::Stopped(why.clone()));
            }
            (RunState::Stopping { .. }, _) => {}
            (RunState::Due(_) | RunState::GoesOn, _) => return Err(Illegal::Stale),
        }
        Ok(())
    }

    pub(super) fn run_looked_at(&mut self, looked: &RunLookedAt) -> Result<(), Illegal> {
        let at = self.at;
        let run = self.run(looked.run)?;
        let (RunState::Began { .. } | RunState::GoesOn) = run.state else { return Err(Illegal::Stale) };
        match (&run.state, &looked.word) {
            (_, LookWord::Running { text, since }) => {
                let (text, since) = (*text, *since);
                let run = self.run_at_hand()?;
                run.state = RunState::GoesOn;
                run.shown = Some(Shown { at, text, since });
                run.told = false;
            }
            (RunState::Began { class: EffectClass::Blind, .. } | RunState::GoesOn, LookWord::NotStarted) => {
                self.end_run(RunEnd::Lost(None));
            }
            (RunState::Began { waiting, .. }, LookWord::NotStarted) => {
                let waiting = waiting.later(at);
                self.run_at_hand()?.state = RunState::Due(waiting);
                self.tell_run_failures(waiting);
            }
            (_, LookWord::Unread(_)) if run.told => return Err(Illegal::Stale),
            (_, LookWord::Unread(_)) => self.tell_unread("its producer has not answered for long"),
            (RunState::Due(_) | RunState::Stopping { .. }, LookWord::NotStarted) => {
                return Err(Illegal::Stale);
            }
        }
        Ok(())
    }

    pub(super) fn run_made(&mut self, made: &RunMade) -> Result<(), Illegal> {
        let run = self.followed(made.run)?;
        let (ordered, id) = (run.ordered.clone(), run.ordered.incident.clone());
        let version = made.version.clone();
        let waits = match &self.incident {
            Some(open) => format!("it waits until `{}` has ended", open.id),
            None => "nothing is shifted before that".to_owned(),
        };
        let text = format!(
            "the run that `{id}` ordered ({}) made version `{}`; putting it in place gets an incident, a plan and votes of its own, and {waits}",
            ordered.target, version.version
        );
        let run = run.clone();
        self.note_cleaned(&run, &made.version);
        self.end_run(RunEnd::Made { version: version.clone(), made_of: made.made_of });
        self.tell_about(Some(id), Topic::RunMade, Severity::Info, text);
        if let Some(before) = self.producing.made.replace(Made { ordered, version }) {
            let text = format!(
                "version `{}`, which the run of `{}` made, still waited when the next one was made: it is not put in place; it stays in the registry, and `ripcord pull {} --to {0}` puts it there",
                before.version.version, before.ordered.incident, self.name
            );
            self.tell_about(Some(before.ordered.incident), Topic::MadeIsLeft, Severity::Warning, text);
        }
        Ok(())
    }

    pub(super) fn run_failed(&mut self, failed: &RunFailed) -> Result<(), Illegal> {
        self.followed(failed.run)?;
        self.end_run(RunEnd::Failed(failed.reason));
        Ok(())
    }

    pub(super) fn run_lost(&mut self, lost: &RunLost) -> Result<(), Illegal> {
        self.followed(lost.run)?;
        self.end_run(RunEnd::Lost(Some(lost.reason)));
        Ok(())
    }

    /// The run, while what its producer says of it counts.
    fn followed(&self, key: crate::digest::Digest) -> Result<&Run, Illegal> {
        let run = self.run(key)?;
        match run.state {
            RunState::Began { .. } | RunState::GoesOn => Ok(run),
            RunState::Due(_) | RunState::Stopping { .. } => Err(Illegal::Stale),
        }
    }

    pub(super) fn run_stop_asked(&mut self, said: &AboutIncident) -> Result<(), Illegal> {
        let at = self.at;
        let run = self.producing.run.as_ref().filter(|run| run.ordered.incident == said.incident);
        let run = run.ok_or_else(|| Illegal::NoRun(said.incident.clone()))?;
        let why = StopReason::Person(said.person.clone());
        match run.state {
            RunState::Stopping { .. } => {
                return Err(Illegal::Unchanged(format!("the run of `{}` is being stopped", said.incident)));
            }
            RunState::Due(_) => self.end_run(RunEnd::Stopped(why)),
            RunState::Began { .. } | RunState::GoesOn if self.producer_of(run).is_none() => {
                self.end_run(RunEnd::Lost(None));
            }
            RunState::Began { .. } | RunState::GoesOn => {
                self.run_at_hand()?.state = RunState::Stopping { why, waiting: Waiting::from(at) };
            }
        }
        Ok(())
    }

    pub(super) fn run_stopped(&mut self, stopped: &RunStopped) -> Result<(), Illegal> {
        let at = self.at;
        let RunState::Stopping { why, waiting } = self.run(stopped.run)?.state.clone() else {
            return Err(Illegal::Stale);
        };
        if stopped.failed.is_none() {
            self.end_run(RunEnd::Stopped(why));
        } else {
            let waiting = waiting.later(at);
            self.run_at_hand()?.state = RunState::Stopping { why, waiting };
            self.tell_run_failures(waiting);
        }
        Ok(())
    }

    /// Its time is up.
    pub(super) fn run_is_late(&mut self) {
        let at = self.at;
        let Some(run) = &self.producing.run else { return };
        if self.producer_of(run).is_none() {
            self.end_run(RunEnd::Lost(None));
        } else if let Some(run) = &mut self.producing.run {
            run.state = RunState::Stopping { why: StopReason::Late, waiting: Waiting::from(at) };
        }
    }

    fn tell_run_failures(&mut self, waiting: Waiting) {
        if waiting.failures >= TELL_AFTER {
            self.tell_unread("its producer has failed several times in a row");
        }
    }

    /// Tells people once, until it is followed again.
    fn tell_unread(&mut self, why: &str) {
        let Some(run) = &mut self.producing.run else { return };
        if std::mem::replace(&mut run.told, true) {
            return;
        }
        let id = run.ordered.incident.clone();
        let text = format!(
            "nobody knows how far the run is that `{id}` ordered: {why}; it is tried again, and `ripcord incidents show {id}` says what it answered"
        );
        self.tell_about(Some(id), Topic::RunUnread, Severity::Warning, text);
    }

    /// Puts the run away, and tells people how it ended. Where it made nothing, its reason is not answered, and its triggers are asked again; a person
    /// who stopped it has answered.
    pub(super) fn end_run(&mut self, end: RunEnd) {
        let Some(run) = self.producing.run.take() else { return };
        let (id, name, target) = (run.ordered.incident.clone(), &self.name, &run.ordered.target);
        let again =
            format!("`ripcord incidents show {id}` says more; `ripcord pull {name}` makes another plan");
        let what = format!("the run that `{id}` ordered ({target})");
        let told = match &end {
            RunEnd::Made { .. } => None,
            RunEnd::Failed(_) => {
                let text = format!("{what} made no version: it failed; {again}");
                Some((Topic::RunFailed, Severity::Critical, text))
            }
            RunEnd::Lost(_) => {
                let text = format!(
                    "{what} is lost: nobody can tell what became of it, and it may still go on; look where it runs; {again}"
                );
                Some((Topic::RunLost, Severity::Critical, text))
            }
            RunEnd::Stopped(StopReason::Person(person)) => {
                let text = format!("{what} was stopped by {person}; what it had registered by then stays");
                Some((Topic::RunStopped, Severity::Info, text))
            }
            RunEnd::Stopped(StopReason::Late) => {
                let text = format!("{what} took longer than it may, and was stopped; {again}");
                Some((Topic::RunFailed, Severity::Critical, text))
            }
            RunEnd::NotBegun => {
                let text = format!(
                    "{what} was not begun: its plan expired or was lost, other terms came into force, or what would be sent is no longer what was approved; {again}"
                );
                Some((Topic::RunFailed, Severity::Critical, text))
            }
        };
        let answered = matches!(end, RunEnd::Made { .. } | RunEnd::Stopped(StopReason::Person(_)));
        if !answered {
            let before = self.watching.latches.len();
            self.watching.latches.retain(|_, latch| latch.incident != id);
            self.watching.due |= self.watching.latches.len() < before;
        }
        let past = PastRun { ordered: run.ordered, since: run.since, ended_at: self.at, end };
        self.producing.past.push(past);
        let too_many = self.producing.past.len().saturating_sub(PAST_RUNS_MAX);
        self.producing.past.drain(..too_many);
        if let Some((topic, severity, text)) = told {
            self.tell_about(Some(id), topic, severity, text);
        }
    }
}
