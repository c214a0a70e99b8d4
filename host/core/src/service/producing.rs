//! Making versions: a granted producing plan becomes a run, which goes on beside whatever incident is open, since it shifts nothing. What it has made
//! waits until no incident is open, and then opens one of its own: another plan, with its own consent, preflight and verification.
//!
//! One run goes on at a time, one version waits, and the last few that ended are kept for people.

use serde::{Deserialize, Serialize};

use super::{Authority, Illegal, Incident, NeedKind, Opener, Phase, Service, Waiting};
use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::{Observed, PlanDrafted, Reason};
use crate::facet::Revision;
use crate::fact::Outcome;
use crate::live::served;
use crate::name::{IncidentId, PersonName};
use crate::plan::{Leaving, StepKind};
use crate::signal::{Origin, Severity};
use crate::target::{Strategy, Target, VersionTarget};
use crate::terms::{EffectClass, ProducerTerms, Terms};
use crate::time::{Millis, UnixMillis};

/// Ended runs that are kept for people.
pub const PAST_RUNS_MAX: usize = 8;
/// Of one run, so many looks are recorded that show nothing but that it goes on.
const LOOKS_RECORDED: u64 = 64;
/// Runs that no person agreed to, of one service within a day. Beyond them, people are asked. No policy can loosen this.
const AUTOMATIC_RUNS_A_DAY: usize = 2;
/// So long a run that is to end is told so.
pub(super) const STOP_FOR: Millis = Millis::hours(1);

/// What is being made for the service, and what was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producing {
    /// The one that goes on.
    pub run: Option<Run>,
    /// What was made and waits for an incident of its own.
    pub made: Option<Made>,
    /// The last runs that ended, oldest first.
    pub past: Vec<PastRun>,
    /// When runs were granted by policies alone within the last day, oldest first.
    pub automatic: Vec<UnixMillis>,
}

/// What a run was agreed for, and by whose wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// The incident whose plan it is. People name the run by it.
    pub incident: IncidentId,
    /// The plan that was granted.
    pub plan: Digest,
    /// All of it.
    pub content: BlobRef,
    /// Of the request that was approved.
    pub request: Digest,
    /// What a version is made of.
    pub target: Target,
    /// What was live when the plan was made.
    pub live: Observed,
    /// Why.
    pub reason: Reason,
    /// What opened the incident.
    pub opened_by: Opener,
    /// Who asked.
    pub requested_by: Vec<Origin>,
    /// The people among them.
    pub requesters: Vec<PersonName>,
    /// What becomes of the version that is left in the end.
    pub leaving: Leaving,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What the producer knows it by: unique for the plan.
    pub key: Digest,
    /// What it was agreed for.
    pub ordered: Ordered,
    /// Of the producer, see [`ProducerTerms::equipment`].
    pub equipment: Digest,
    /// When it was granted.
    pub since: UnixMillis,
    /// It is not begun later for the first time.
    pub begin_by: UnixMillis,
    /// Then it is stopped.
    pub ends_at: UnixMillis,
    /// How often it was tried to start it.
    pub attempts: u32,
    /// How far it is.
    pub state: RunState,
    /// The last recorded look that showed it going on.
    pub shown: Option<Shown>,
    /// Whether people were told that it cannot be followed.
    pub told: bool,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunState {
    /// It was not begun, or is known not to have been.
    Due(Waiting),
    /// The intent was written, and what came of it is not known.
    Began {
        /// The promise of the producer that has the order.
        class: EffectClass,
        /// When it is tried, or looked at, again.
        waiting: Waiting,
    },
    /// It goes on.
    GoesOn,
    /// It is to end.
    Stopping {
        /// Why.
        why: StopReason,
        /// When the producer is told, again.
        waiting: Waiting,
    },
}

/// Why a run is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// This person wants it.
    Person(PersonName),
    /// It took too long.
    Late,
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// When.
    pub at: UnixMillis,
    /// How far it was, for people.
    pub text: BlobRef,
    /// When it began, where the system says so.
    pub since: Option<UnixMillis>,
}

/// A version that was made and waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// What the run was agreed for.
    pub ordered: Ordered,
    /// As the registry names it.
    pub version: VersionTarget,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// What it was agreed for.
    pub ordered: Ordered,
    /// When it was granted.
    pub since: UnixMillis,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// How.
    pub end: RunEnd,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// With this version.
    Made {
        /// As the registry names it.
        version: VersionTarget,
        /// What it was made of (JSON of [`crate::event::MadeOf`]).
        made_of: BlobRef,
    },
    /// Without one; why.
    Failed(BlobRef),
    /// Nobody can tell; why, where the producer said so.
    Lost(Option<BlobRef>),
    /// It was stopped.
    Stopped(StopReason),
    /// It was never begun.
    NotBegun,
}

impl Run {
    /// The key of the run that a plan orders.
    pub fn key_of(plan: Digest) -> Digest {
        Digest::tagged("ripcord run 1", &[plan.as_bytes(), &0_u32.to_be_bytes()])
    }

    /// Between two recorded looks that show nothing but that it goes on.
    fn quiet(&self, every: Millis) -> Millis {
        Millis(self.ends_at.since(self.since).0 / LOOKS_RECORDED).max(every)
    }

    fn due_at(&mut self) -> Option<&mut Option<UnixMillis>> {
        match &mut self.state {
            RunState::Due(waiting) | RunState::Began { waiting, .. } | RunState::Stopping { waiting, .. } => {
                Some(&mut waiting.due_at)
            }
            RunState::GoesOn => None,
        }
    }
}

impl Producing {
    /// The ended run that this incident ordered, while it is kept.
    pub fn past_of(&self, incident: &IncidentId) -> Option<&PastRun> {
        self.past.iter().find(|past| past.ordered.incident == *incident)
    }

    pub(super) fn clock_jumped(&mut self, by: Millis) {
        self.automatic.iter_mut().for_each(|at| *at = *at + by);
        let Some(run) = &mut self.run else { return };
        run.begin_by = run.begin_by + by;
        run.ends_at = run.ends_at + by;
        match &mut run.state {
            RunState::Due(waiting) | RunState::Began { waiting, .. } | RunState::Stopping { waiting, .. } => {
                waiting.since = waiting.since + by;
            }
            RunState::GoesOn => {}
        }
    }
}

impl Service {
    /// The producer that has the order for the run, where it is still configured.
    pub(super) fn producer_of(&self, run: &Run) -> Option<&ProducerTerms> {
        let producer = self.terms.as_ref()?.producer.as_ref()?;
        (producer.equipment == run.equipment).then_some(producer)
    }

    /// The last moment of a run that was not begun: that of its plan; one whose start has failed has as long as any other step before a shift.
    pub(super) fn begin_ends_at(&self, run: &Run, waiting: Waiting) -> UnixMillis {
        if run.attempts == 0 {
            run.begin_by
        } else {
            run.begin_by.max(waiting.since + self.deadlines().stage)
        }
    }

    /// The granted plan becomes a run, and the incident gives its place free: nothing is shifted for it.
    pub(super) fn hand_over(&mut self, plan: &PlanDrafted, authority: Authority) {
        let at = self.at;
        let producer = plan.targets.first().zip(self.terms.as_ref()).and_then(|(target, terms)| {
            let same = terms.equipment == plan.equipment;
            terms.producer_of(target).filter(|_| same).cloned()
        });
        let (Some(producer), Some(target)) = (producer, plan.targets.first().cloned()) else {
            // What was approved names another producer.
            self.plan_again();
            return;
        };
        if self.observes() {
            self.stop_observing();
            return;
        }
        let Some(request) = plan.request(0, 0, StepKind::Produce) else {
            self.not_listed(StepKind::Produce);
            return;
        };
        if let Some(run) = &self.producing.run {
            let text = format!(
                "the run that `{0}` ordered goes on, and one goes on at a time: `ripcord runs stop {0} --reason TEXT` ends it",
                run.ordered.incident
            );
            self.need_person(NeedKind::WhatNow, text);
            return;
        }
        let day = Millis::hours(24);
        self.producing.automatic.retain(|granted| *granted + day > at);
        if authority == Authority::Policies {
            let granted = self.producing.automatic.len();
            if granted >= AUTOMATIC_RUNS_A_DAY {
                let why = format!(
                    "the breaker: {granted} runs of this service within a day without a person's word"
                );
                self.authorise(Some(why), None, None);
                return;
            }
            self.producing.automatic.push(at);
        }
        let Some(incident) = &mut self.incident else { return };
        incident.marks.granted_at = Some(at);
        let begin_by = incident.plan_expires_at().unwrap_or(at);
        let ordered = Ordered {
            incident: incident.id.clone(),
            plan: plan.digest,
            content: plan.content,
            request,
            target: target.clone(),
            live: plan.live.clone(),
            reason: incident.reason.clone(),
            opened_by: incident.opened_by.clone(),
            requested_by: incident.requested_by.clone(),
            requesters: incident.requesters.clone(),
            leaving: incident.leaving,
        };
        self.producing.run = Some(Run {
            key: Run::key_of(plan.digest),
            ordered,
            equipment: producer.equipment,
            since: at,
            begin_by,
            ends_at: at + producer.deadline,
            attempts: 0,
            state: RunState::Due(Waiting::from(at)),
            shown: None,
            told: false,
        });
        let text = format!(
            "{target} is begun, for {} at most; {}, and other incidents may open meanwhile; the version that comes of it gets an incident, a plan and votes of its own; `ripcord runs list {}` shows how far it is",
            producer.deadline,
            self.nothing_shifted(),
            self.name
        );
        self.settle(Outcome::Producing, &text);
    }

    pub(super) fn owed_to_run(&self, owed: &mut Vec<Effect>) {
        let Some(run) = &self.producing.run else { return };
        let (producer, key, request) = (self.producer_of(run), run.key, run.ordered.request);
        let may_start = self.paused_by.is_none() && !self.observes();
        let due = |waiting: &Waiting, effect: Effect| waiting.due_at.map_or(effect, Effect::WakeAt);
        let look = |from: UnixMillis, news_from: UnixMillis, producer: &ProducerTerms| Effect::LookAtRun {
            run: key,
            from,
            every: producer.every,
            news_from,
        };
        match &run.state {
            RunState::Due(waiting) => {
                owed.push(Effect::WakeAt(self.begin_ends_at(run, *waiting)));
                if producer.is_some() && may_start {
                    let attempt = run.attempts + 1;
                    owed.push(due(waiting, Effect::StartRun { run: key, attempt, request }));
                }
            }
            RunState::Began { class, waiting } => {
                owed.push(Effect::WakeAt(run.ends_at));
                let Some(producer) = producer else { return };
                // A repeat needs the promise of the producer that has the order and of the one that would get it, and is an order all the same.
                let again = (*class, producer.class) == (EffectClass::Idempotent, EffectClass::Idempotent);
                owed.push(if again && may_start {
                    due(waiting, Effect::StartRun { run: key, attempt: run.attempts, request })
                } else {
                    due(waiting, look(waiting.since, waiting.since, producer))
                });
            }
            RunState::GoesOn => {
                owed.push(Effect::WakeAt(run.ends_at));
                let Some(producer) = producer else { return };
                let shown = run.shown.as_ref().map_or(run.since, |shown| shown.at);
                owed.push(look(shown + producer.every, shown + run.quiet(producer.every), producer));
            }
            RunState::Stopping { waiting, .. } => {
                owed.push(Effect::WakeAt(waiting.since + STOP_FOR));
                if producer.is_some() {
                    owed.push(due(waiting, Effect::StopRun { run: key }));
                }
            }
        }
    }

    /// What was made opens an incident of its own, once the place is free.
    pub(super) fn judge_made(&mut self) {
        if self.incident.is_some() {
            return;
        }
        let Some(made) = self.producing.made.take() else { return };
        let Made { ordered, version } = made;
        let (id, name, service) = (ordered.incident.clone(), &version.version, &self.name);
        let revision = Revision::of_model(name);
        let stays = if self.observes() {
            Some("the mode is observe, so it is not put in place".to_owned())
        } else if self.production.sole() == Some(name) {
            Some("it is live already".to_owned())
        } else if self.is_held(&revision) {
            Some(format!("it is held: `ripcord hold list {service}` says by what"))
        } else if let Some((pinned, now)) = self.pinned_otherwise(&revision, &version) {
            Some(format!(
                "it has digest {} in the registry, and {} was pinned here",
                now.short(),
                pinned.short()
            ))
        } else {
            None
        };
        if let Some(why) = stays {
            let text = format!("the run that `{id}` ordered made version `{name}` of `{service}`; {why}");
            self.tell_about(Some(id), Topic::MadeIsLeft, Severity::Warning, text);
            return;
        }
        let reason = Reason { strategy: Strategy::Version, ..ordered.reason };
        self.open(reason, Opener::Produced(id), Some(Target::Version(version)));
        if let Some(incident) = &mut self.incident {
            // Who asked for it has seen nothing of it yet: their wish is no vote for putting it in place, and never one of two.
            incident.requested_by = ordered.requested_by;
            incident.requesters = ordered.requesters;
            incident.leaving = ordered.leaving;
        }
    }

    /// The digest that was pinned of a version that was known before, and the one that it was made with, where they differ.
    fn pinned_otherwise(&self, revision: &Revision, version: &VersionTarget) -> Option<(Digest, Digest)> {
        let pinned = self.known_of(revision)?.digest?;
        version.digest.filter(|now| *now != pinned).map(|now| (pinned, now))
    }

    /// What was live when the plan was made that ordered the run did the harm. What somebody has put there since did not: it keeps its standing. So does what
    /// is known to be good where a person ordered the run without any harm: what was bad was gone by then.
    pub(super) fn spare_what_came_since(&mut self) {
        let Some(incident) = &self.incident else { return };
        let Opener::Produced(by) = &incident.opened_by else { return };
        let ordered = self.producing.past_of(by).map(|past| &past.ordered);
        let then = ordered.map(|ordered| &ordered.live);
        let without_harm = ordered.is_some_and(|ordered| matches!(ordered.opened_by, Opener::Person(_)));
        let (Some(Observed::Serving(then)), Some(Observed::Serving(now))) = (then, &incident.live) else {
            return;
        };
        let is_same =
            now.iter().any(|share| then.iter().any(|old| old.version.version == share.version.version));
        let are_good = served(now).iter().all(|version| self.standing_of(version, self.at).is_good());
        if (!is_same || without_harm && are_good)
            && let Some(incident) = &mut self.incident
        {
            incident.leaving = Leaving::Keep;
        }
    }

    /// Why people must say whether what was made is put in place, whatever policies say: nobody has found it well, or nothing asks for it any more.
    pub(super) fn made_for_people(&self) -> Option<String> {
        let incident = self.incident.as_ref()?;
        let Opener::Produced(by) = &incident.opened_by else { return None };
        let made = incident.wanted.as_ref().and_then(Target::revision)?;
        let unproven = || {
            let good = self.standing_of(&made, self.at).is_good();
            (!good).then(|| format!("nobody has found `{made}` well yet, which the run of `{by}` made"))
        };
        self.made_for_nothing().or_else(unproven)
    }

    fn made_for_nothing(&self) -> Option<String> {
        let incident = self.incident.as_ref()?;
        let Opener::Produced(by) = &incident.opened_by else { return None };
        let over = format!("the harm that the run of `{by}` was ordered for seems to be over");
        if incident.reason_gone {
            return Some(over);
        }
        match self.producing.past_of(by).map(|past| &past.ordered.opened_by) {
            None => Some(over),
            Some(Opener::Trigger(name)) => {
                let latched = self.watching.latches.get(name).is_some_and(|latch| latch.incident == *by);
                (!latched && !self.watching.raised.contains_key(name)).then_some(over)
            }
            Some(_) => None,
        }
    }

    /// The triggers find no reason any more. What was made stays, and its plan waits for people.
    pub(super) fn made_stands_down(&mut self) {
        let Some(incident) = &mut self.incident else { return };
        let told = std::mem::replace(&mut incident.reason_gone, true);
        if told || incident.is_past_pivot() {
            return;
        }
        let id = incident.id.clone();
        let why = self.made_for_nothing();
        if let Some(Incident { phase: Phase::Authorising(authorising), .. }) = &mut self.incident
            && authorising.people_because.is_none()
        {
            authorising.people_because = why;
        }
        let text = format!(
            "the triggers find no reason any more, so whether `{id}` puts in place what was made is for people to say: `ripcord plan show {id}`, then `ripcord approve {id}` or `ripcord dismiss {id}`"
        );
        self.tell(Topic::StandDown, Severity::Warning, text);
    }

    /// Other terms: a run that was not begun is not begun under them, and one that goes on may have lost its producer.
    pub(super) fn producing_reconfigured(&mut self, before: Option<&Terms>) {
        let Some(run) = &self.producing.run else { return };
        if matches!(run.state, RunState::Due(_)) && before != self.terms.as_ref() {
            self.end_run(RunEnd::NotBegun);
        } else if self.producer_of(run).is_none() {
            let text = format!(
                "a run that `{}` ordered goes on, and nothing is configured any more that could follow or stop it: configure its producer again as it was, or stop it where it runs",
                run.ordered.incident
            );
            self.tell_about(Some(run.ordered.incident.clone()), Topic::RunUnread, Severity::Critical, text);
        }
    }

    /// The run with this key.
    pub(super) fn run(&self, key: Digest) -> Result<&Run, Illegal> {
        self.producing.run.as_ref().filter(|run| run.key == key).ok_or(Illegal::Stale)
    }

    /// Judges the run's deadlines by the time of the event.
    pub(super) fn run_woke(&mut self) {
        let at = self.at;
        let Some(run) = &mut self.producing.run else { return };
        if let Some(due_at) = run.due_at() {
            super::clear(due_at, at);
        }
        let Some(run) = &self.producing.run else { return };
        match &run.state {
            RunState::Due(waiting) if at >= self.begin_ends_at(run, *waiting) => {
                self.end_run(RunEnd::NotBegun)
            }
            RunState::Began { .. } | RunState::GoesOn if at >= run.ends_at => self.run_is_late(),
            RunState::Stopping { waiting, .. } if at >= waiting.since + STOP_FOR => {
                self.end_run(RunEnd::Lost(None));
            }
            _ => {}
        }
    }
}
