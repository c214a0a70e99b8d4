//! Runs that make versions: what may come of them, and what must hold.

use ripcord_core::digest::Digest;
use ripcord_core::effect::{Effect, Slot};
use ripcord_core::event::*;
use ripcord_core::fact::Outcome;
use ripcord_core::service::{Opener, PAST_RUNS_MAX, Phase, Run, RunEnd, RunState, Service};
use ripcord_core::target::{CheckpointTarget, Exclusion, RetrainTarget, Strategy, Target, VersionTarget};
use ripcord_core::terms::{EffectClass, Mode, ProducerTerms};
use ripcord_core::time::Millis;

use crate::dice::Dice;
use crate::outcomes::{blob, nature, sent, version};
use crate::{Seen, Walk};

/// None, or one of two that know nothing of each other's runs.
pub(crate) fn terms(dice: &mut Dice) -> Option<ProducerTerms> {
    if dice.one_in(3) {
        return None;
    }
    let classes =
        [EffectClass::Idempotent, EffectClass::Conditional, EffectClass::Observable, EffectClass::Blind];
    Some(ProducerTerms {
        makes: dice.pick(&[vec![Strategy::Retrain], vec![Strategy::Retrain, Strategy::Checkpoint]]),
        class: dice.pick(&classes),
        equipment: Digest::of(dice.pick(&["pipeline", "pipeline", "pipeline", "another pipeline"])),
        deadline: dice.pick(&[Millis::minutes(5), Millis::hours(8)]),
        every: Millis::seconds(30),
    })
}

pub(crate) fn target(dice: &mut Dice) -> Target {
    match dice.below(4) {
        0 => Target::Checkpoint(CheckpointTarget { run: "r".into(), step: dice.below(3), digest: None }),
        _ => {
            let (dataset, revision) = ("clicks".to_owned(), dice.pick(&["r1", "r2"]).to_owned());
            let source = dice.one_in(2).then(|| Exclusion::Source("bots".into()));
            Target::Retrain(RetrainTarget { dataset, revision, exclude: source.into_iter().collect() })
        }
    }
}

fn returned(dice: &mut Dice, run: Digest, attempt: u32) -> Event {
    let word = match dice.below(6) {
        0 => StartWord::Unknown(blob()),
        1 => StartWord::NotStarted { reason: blob(), nature: nature(dice) },
        _ => StartWord::Started,
    };
    Event::RunReturned(RunReturned { run, attempt, word })
}

/// What may come of an effect of the run.
pub(crate) fn answer(dice: &mut Dice, service: &Service, effect: &Effect) -> Vec<Event> {
    match effect {
        Effect::StartRun { run, attempt, request } => {
            let (run, attempt) = (*run, *attempt);
            let state = service.producing.run.as_ref().map(|run| &run.state);
            let mut events = Vec::new();
            if matches!(state, Some(RunState::Due(_))) {
                events.push(Event::RunBegan(RunBegan { run, attempt, request: sent(*request) }));
            }
            // One in three dies in between.
            if !dice.one_in(3) {
                events.push(returned(dice, run, attempt));
            }
            if events.is_empty() { vec![Event::Woke] } else { events }
        }
        Effect::StopRun { run } => {
            vec![Event::RunStopped(RunStopped { run: *run, failed: dice.one_in(4).then(blob) })]
        }
        Effect::LookAtRun { run, .. } => vec![looked(dice, *run)],
        _ => Vec::new(),
    }
}

fn looked(dice: &mut Dice, run: Digest) -> Event {
    let word = |word: LookWord| Event::RunLookedAt(RunLookedAt { run, word });
    match dice.below(12) {
        0 => word(LookWord::NotStarted),
        1 => word(LookWord::Unread(blob())),
        2..=4 => {
            let version = VersionTarget { version: version(dice), digest: None };
            Event::RunMade(RunMade { run, version, made_of: blob() })
        }
        5 => Event::RunFailed(RunFailed { run, reason: blob() }),
        6 => Event::RunLost(RunLost { run, reason: blob() }),
        _ => word(LookWord::Running { text: blob(), since: None }),
    }
}

/// Results that nobody waits for, of the run that goes on or of another.
pub(crate) fn nonsense(dice: &mut Dice, service: &Service) -> Event {
    let at_hand = service.producing.run.as_ref().map(|run| (run.key, run.attempts));
    let (run, attempt) = match at_hand {
        Some(at_hand) if !dice.one_in(3) => at_hand,
        _ => (Digest::of("another run"), 1),
    };
    match dice.below(4) {
        0 => {
            let (attempt, request) = (attempt + dice.below(2) as u32, sent(Digest::of("request")));
            Event::RunBegan(RunBegan { run, attempt, request })
        }
        1 => returned(dice, run, attempt),
        2 => looked(dice, run),
        _ => Event::RunStopped(RunStopped { run, failed: None }),
    }
}

impl Walk {
    pub(crate) fn check_producing(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        self.check_run_begins(before, event, seen);
        self.check_run_ends(before, seen);
        self.check_made(before, seen);
        let producing = &self.service.producing;
        if producing.past.len() > PAST_RUNS_MAX || producing.automatic.len() > 2 {
            self.fail("more runs are kept than there is room for");
        }
        // Whatever a run waits for has an end, and somebody is woken then.
        if let Some(run) = &producing.run {
            let limit = run.ends_at.max(run.begin_by + Millis::hours(2));
            if self.service.wakes_at().is_none_or(|at| at > limit.max(self.service.at + Millis::hours(2))) {
                self.fail("nobody is woken at the end of a run");
            }
        }
    }

    /// A run comes of a plan that was granted, is begun once its intent is on record, and never while it is not known what became of it.
    fn check_run_begins(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        if let (None, Some(run)) = (&before.producing.run, &self.service.producing.run) {
            let last = self.service.last_settled.as_ref().unwrap();
            let handed_over = last.phase == Phase::Settled(Outcome::Producing)
                && last.plan().is_some_and(|plan| Run::key_of(plan.digest) == run.key)
                && last.id == run.ordered.incident;
            if !handed_over {
                self.fail("a run that no granted plan ordered");
            }
            if self.service.terms.as_ref().unwrap().mode == Mode::Observe {
                self.fail("a run in mode observe");
            }
            self.run_unknown = false;
            seen.runs += 1;
        }
        match event {
            Event::RunBegan(_) => {
                let terms = before.terms.as_ref().unwrap();
                if before.paused_by.is_some() || terms.mode == Mode::Observe {
                    self.fail("a run was begun although nothing may be");
                }
                if std::mem::replace(&mut self.run_unknown, true) {
                    self.fail("a run was begun while the outcome of the start before is unknown");
                }
            }
            Event::RunReturned(returned) if !matches!(returned.word, StartWord::Unknown(_)) => {
                self.run_unknown = false;
            }
            Event::RunLookedAt(looked) if !matches!(looked.word, LookWord::Unread(_)) => {
                self.run_unknown = false;
            }
            _ => {}
        }
        let repeats = self.service.owed().iter().any(|effect| matches!(effect, Effect::StartRun { .. }));
        let began = self.service.producing.run.as_ref().map(|run| &run.state);
        if let (true, Some(RunState::Began { class, .. })) = (repeats, began)
            && *class != EffectClass::Idempotent
        {
            self.fail("a run is started again on no promise");
        }
    }

    /// It ends on record, and people are told unless it made something.
    fn check_run_ends(&self, before: &Service, seen: &mut Seen) {
        let (Some(run), now) = (&before.producing.run, &self.service.producing.run) else { return };
        if now.as_ref().is_some_and(|now| now.key == run.key) {
            return;
        }
        let Some(past) = self.service.producing.past.last().filter(|past| past.ordered == run.ordered) else {
            self.fail("a run ended and is not on record");
        };
        match &past.end {
            RunEnd::Made { .. } => seen.made += 1,
            RunEnd::NotBegun => seen.not_begun += 1,
            RunEnd::Failed(_) | RunEnd::Lost(_) => seen.runs_failed += 1,
            RunEnd::Stopped(_) => seen.runs_stopped += 1,
        }
        let told = |service: &Service| service.outbox.iter().any(|out| out.at == self.service.at);
        if !told(&self.service) {
            self.fail("a run ended and nobody was told");
        }
    }

    /// What was made waits for the place, and comes with nobody's vote.
    fn check_made(&self, before: &Service, seen: &mut Seen) {
        if self.service.producing.made.is_some() && self.service.incident.is_none() {
            self.fail("a version waits although nothing is open");
        }
        let opened = |service: &Service| service.incident.as_ref().map(|open| open.id.clone());
        let Some(open) = self.service.incident.as_ref().filter(|_| opened(before) != opened(&self.service))
        else {
            return;
        };
        if !matches!(open.opened_by, Opener::Produced(_)) {
            return;
        }
        seen.produced += 1;
        if !open.votes.is_empty() || !open.plans.is_empty() || open.requester.is_some() {
            self.fail("what was made was agreed to before anybody has seen it");
        }
        if !matches!(open.wanted, Some(Target::Version(_))) {
            self.fail("what was made is not what is wanted");
        }
        if self.service.owed().iter().any(|effect| effect.slot() == Slot::Run)
            && self.service.producing.run.is_none()
        {
            self.fail("something is owed to a run that has ended");
        }
    }
}
