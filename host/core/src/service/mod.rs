//! The aggregate: one protected service, with at most one incident that holds the right to shift.
//!
//! [`Service::apply`] is the only transition table and [`Service::owed`] the only list of what is still to be done. Recovery is
//! `apply` over the journal and then `owed`: starting and restarting are one path.

mod acting;
mod alerts;
mod aliases;
mod authority;
mod clock;
mod consent;
mod data;
mod elsewhere;
mod guard;
mod identity;
mod illegal;
mod incident;
mod ladder;
mod latch;
mod limits;
mod membership;
mod outbox;
mod owed;
mod pending;
mod planning;
mod preflight;
mod producing;
mod promotion;
mod readiness;
mod review;
mod runs;
mod spent;
mod steps;
#[cfg(test)]
mod storm_tests;
#[cfg(test)]
mod tests;
mod verifying;
mod versions;
mod watching;
mod waves;

pub use alerts::{Alert, Alerts, GROUP_ALERTS_MAX, Judged};
pub use consent::Tally;
pub(crate) use consent::{Counted, is_for_one};
pub use data::{CONDEMNED_DATA_MAX, CondemnedBy, CondemnedData, TrainedOn, began_with};
pub use elsewhere::Probation;
pub use identity::Wanted;
pub use illegal::Illegal;
pub use incident::*;
pub use ladder::*;
pub use latch::Latch;
pub use membership::{Hindrance, Left, Membership, PartState};
pub use pending::{Pending, PendingPart};
pub use producing::{
    Made, Ordered, PAST_RUNS_MAX, PastRun, Producing, Run, RunEnd, RunState, Shown, StopReason,
};
pub use promotion::Promotion;
pub use readiness::Reachable;
pub use review::{REVIEWS_MAX, Review};
pub use spent::Spent;
pub use verifying::HealthyWord;
pub use versions::{Combination, Hold, HoldState, KnownRevision};
pub use watching::Watching;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use watching::is_same_trigger;

use crate::aliases::Aliases;
use crate::data::DataRevision;
use crate::digest::Digest;
use crate::effect::{Outgoing, Topic};
use crate::event::{AboutIncident, Event, LiveData, MemoRef};
use crate::facet::Revision;
use crate::fact::Outcome;
use crate::name::{IncidentId, PersonName, PolicyName, ServiceName, VersionName};
use crate::policy::Role;
use crate::production::Production;
use crate::readiness::ReadyPart;
use crate::signal::Severity;
use crate::terms::{Mode, Terms};
use crate::time::{Millis, UnixMillis};

/// A service that is paused and let go on by turns is let go on so often. Pausing is never refused.
const RESUMES_AN_HOUR: usize = 20;

/// Incidents of one service whose content people may keep beyond its age.
const KEPT_MAX: usize = 1_000;

/// One protected service: a function of its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Events applied so far.
    pub length: u64,
    /// Time of the last event.
    pub at: UnixMillis,
    /// None before the first [`Event::Configured`].
    pub terms: Option<Terms>,
    /// Of the effective configuration.
    pub configuration: Option<Digest>,
    /// Signals and triggers.
    pub watching: Watching,
    /// What policies remember, by role and name.
    pub memos: BTreeMap<(Role, PolicyName), MemoRef>,
    /// What is known of revisions.
    pub revisions: BTreeMap<Revision, KnownRevision>,
    /// Revisions that were verified together, oldest first.
    pub combinations: Vec<Combination>,
    /// Verification policies that found it well in an earlier round, which still counts.
    pub healthy: BTreeMap<PolicyName, HealthyWord>,
    /// Marks that keep condemned revisions out.
    pub holds: BTreeMap<Revision, Hold>,
    /// Data revisions that no version is to descend from, at most [`CONDEMNED_DATA_MAX`].
    pub condemned_data: BTreeMap<DataRevision, CondemnedData>,
    /// How often a data revision was condemned: a plan knows of those before it.
    pub condemnations: u32,
    /// What people were told of what is live and those data, while it is so.
    pub live_data_told: BTreeSet<LiveData>,
    /// Something may be held beside what is live, and is to be taken away.
    pub candidate: Option<Wanted>,
    /// What was seen of production last.
    pub production: Production,
    /// What the registry's other names point at, as they were read last; none if they never were.
    pub aliases: Option<Aliases>,
    /// What of a rollback was not ready at the last look that told something else than the one before.
    pub unready: BTreeSet<ReadyPart>,
    /// What someone else put live, until it is known whether it is well.
    pub probation: Option<Probation>,
    /// When a signal asked for a look at production, if one did.
    pub look_at: Option<UnixMillis>,
    /// Versions whose digest is still to be pinned.
    pub pins: BTreeMap<VersionName, Wanted>,
    /// Good versions whose fingerprint is still to be taken, where they are live.
    pub fingerprints: BTreeMap<VersionName, Wanted>,
    /// The registry's production name, while it is still to follow a rollback.
    pub promotion: Option<Promotion>,
    /// What is being made for it.
    pub producing: Producing,
    /// Automatic shifts within the last hour, oldest first.
    pub automatic_shifts: Vec<UnixMillis>,
    /// Who stopped all acting, if someone did.
    pub paused_by: Option<PersonName>,
    /// When it was let go on within the last hour, oldest first.
    pub resumes: Vec<UnixMillis>,
    /// When people were told last that the host's clock is behind.
    pub behind_told_at: Option<UnixMillis>,
    /// What was done by breaking the glass and nobody has looked at since, oldest first, at most [`REVIEWS_MAX`].
    pub reviews: Vec<Review>,
    /// The one that holds the right to shift.
    pub incident: Option<Incident>,
    /// What it knows of the run of a set that enlisted it last.
    pub membership: Option<Membership>,
    /// The last one that ended.
    pub last_settled: Option<Incident>,
    /// Incidents so far.
    pub incidents: u32,
    /// Announcements that are still to be delivered.
    pub outbox: Vec<Outgoing>,
    /// Announcements that made room for others since all were delivered.
    pub left_out_of_outbox: u64,
    /// Incidents whose content a person wants kept.
    pub kept: BTreeSet<IncidentId>,
}

impl Service {
    /// A service without any events.
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            length: 0,
            at: UnixMillis(0),
            terms: None,
            configuration: None,
            watching: Watching::default(),
            memos: BTreeMap::new(),
            revisions: BTreeMap::new(),
            combinations: Vec::new(),
            healthy: BTreeMap::new(),
            holds: BTreeMap::new(),
            condemned_data: BTreeMap::new(),
            condemnations: 0,
            live_data_told: BTreeSet::new(),
            candidate: None,
            production: Production::default(),
            aliases: None,
            unready: BTreeSet::new(),
            probation: None,
            look_at: None,
            pins: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            promotion: None,
            producing: Producing::default(),
            automatic_shifts: Vec::new(),
            paused_by: None,
            resumes: Vec::new(),
            behind_told_at: None,
            reviews: Vec::new(),
            incident: None,
            membership: None,
            last_settled: None,
            incidents: 0,
            outbox: Vec::new(),
            left_out_of_outbox: 0,
            kept: BTreeSet::new(),
        }
    }

    /// The service after `event`, or why the event cannot happen now.
    pub fn apply(&self, at: UnixMillis, event: &Event) -> Result<Self, Illegal> {
        self.clone().applied(at, event)
    }

    /// The same without a copy, for who folds a journal and has no use for the state before.
    pub fn applied(self, at: UnixMillis, event: &Event) -> Result<Self, Illegal> {
        if at < self.at {
            return Err(Illegal::Backwards);
        }
        let mut next = self;
        next.at = at;
        next.length += 1;
        match event {
            Event::Configured(configured) => next.configured(configured),
            Event::SignalsTaken(taken) => next.signals_taken(taken),
            Event::SignalsSetAside(aside) => next.signals_set_aside(aside),
            Event::TriggersAsked(asked) => next.triggers_asked(asked)?,
            Event::PullRequested(pull) => next.pull_requested(pull)?,
            Event::EvidencePreserved(preserved) => next.evidence_preserved(preserved)?,
            Event::Planned(planned) => next.planned(planned)?,
            Event::PlanLost(lost) => next.plan_lost(lost)?,
            Event::RequestChanged(changed) => next.request_changed(changed)?,
            Event::ApprovalsAsked(asked) => next.approvals_asked(asked)?,
            Event::Voted(voted) => next.voted(voted)?,
            Event::Staged(staged) => next.staged(staged)?,
            Event::StageFailed(failed) => next.stage_failed(failed)?,
            Event::PreflightBegan(began) => next.preflight_began(began)?,
            Event::Preflighted(preflighted) => next.preflighted(preflighted)?,
            Event::CandidateCleared(cleared) => next.candidate_cleared(cleared)?,
            Event::GuardRead(read) => next.guard_read(read)?,
            Event::ShiftBegan(began) => next.shift_began(began)?,
            Event::ShiftReturned(returned) => next.shift_returned(returned)?,
            Event::ShiftProbed(probed) => next.shift_probed(probed)?,
            Event::ShiftAnswered(answered) => next.shift_answered(answered)?,
            Event::ReadBack(read) => next.read_back(read)?,
            Event::OutputsListed(listed) => next.outputs_listed(listed)?,
            Event::WaveLost(lost) => next.wave_lost(lost)?,
            Event::TrialRan(ran) => next.trial_ran(ran)?,
            Event::VerificationsAsked(asked) => next.verifications_asked(asked)?,
            Event::ProductionWatched(watched) => next.production_watched(watched)?,
            Event::AliasesSeen(seen) => next.aliases_seen(seen)?,
            Event::ReadinessSeen(seen) => next.readiness_seen(seen)?,
            Event::HoldMarked(marked) => next.hold_marked(marked)?,
            Event::Promoted(promoted) => next.promoted(promoted)?,
            Event::Pinned(pinned) => next.pinned(pinned)?,
            Event::Fingerprinted(fingerprinted) => next.fingerprinted(fingerprinted)?,
            Event::RunBegan(began) => next.run_began(began)?,
            Event::RunReturned(returned) => next.run_returned(returned)?,
            Event::RunLookedAt(looked) => next.run_looked_at(looked)?,
            Event::RunMade(made) => next.run_made(made)?,
            Event::RunFailed(failed) => next.run_failed(failed)?,
            Event::RunLost(lost) => next.run_lost(lost)?,
            Event::RunStopAsked(said) => next.run_stop_asked(said)?,
            Event::RunStopped(stopped) => next.run_stopped(stopped)?,
            Event::Enlisted(enlisted) => next.enlisted(enlisted)?,
            Event::PartGiven(given) => next.part_given(given)?,
            Event::Released(released) => next.released(released)?,
            Event::Measured(measured) => next.measured(&measured.incident)?,
            Event::Announced(announced) => next.announced(&announced.id)?,
            Event::Aborted(said) => next.aborted(said)?,
            Event::Dismissed(said) => next.dismissed(said)?,
            Event::Paused(said) => next.paused(&said.person)?,
            Event::Resumed(_) => next.resumed()?,
            Event::HoldLifted(lifted) => next.hold_lifted(lifted)?,
            Event::ReviewClosed(about) => next.review_closed(about)?,
            Event::DataCondemned(said) => next.data_condemned(said)?,
            Event::DataLifted(lifted) => next.data_lifted(lifted)?,
            Event::LiveDataSeen(seen) => next.live_data_seen(seen)?,
            Event::LatchLifted(lifted) => next.latch_lifted(lifted)?,
            Event::Adopted(adopted) => next.adopted(adopted)?,
            Event::IncidentKept(about) => next.incident_kept(&about.incident)?,
            Event::IncidentReleased(about) => next.incident_released(&about.incident)?,
            Event::Pruned(_) => {}
            Event::Woke => next.woke(),
            Event::ClockJumped { by } => next.clock_jumped(*by),
            Event::ClockBehind { by } => next.clock_behind(*by)?,
        }
        next.refuse_unlisted();
        next.judge_production();
        next.judge_made();
        next.forget_old_revisions();
        next.forget_live_data();
        next.note_time();
        Ok(next)
    }

    /// A measurement changes nothing: it is for people.
    fn measured(&self, of: &IncidentId) -> Result<(), Illegal> {
        let known =
            |incident: &Option<Incident>| incident.as_ref().is_some_and(|incident| incident.id == *of);
        if known(&self.incident) || known(&self.last_settled) { Ok(()) } else { Err(Illegal::Stale) }
    }

    fn configured(&mut self, configured: &crate::event::Configured) {
        let settings = |terms: &Terms, role: Role, name: &PolicyName| {
            terms
                .policies(role)
                .find(|used| used.policy.name == *name)
                .map(|used| (used.settings, terms.mode))
        };
        if let Some(before) = &self.terms {
            self.watching.policies_changed(|name| !is_same_trigger(before, &configured.terms, name));
            self.memos.retain(|(role, name), _| {
                settings(before, *role, name).is_some()
                    && settings(before, *role, name) == settings(&configured.terms, *role, name)
            });
        }
        self.healthy.clear();
        self.watching.reschedule(self.at, configured.terms.schedule);
        let terms_before = self.terms.clone();
        let equipment_before = terms_before.as_ref().map(|terms| terms.equipment);
        let fingerprint_before = self.terms.as_ref().and_then(|terms| terms.fingerprint.clone());
        self.terms = Some(configured.terms.clone());
        if configured.terms.fingerprint != fingerprint_before {
            self.fingerprints.clear();
            let good = self.revisions.iter().filter(|(_, known)| known.standing.is_good());
            let good: Vec<Revision> = good.map(|(revision, _)| revision.clone()).collect();
            good.iter().for_each(|revision| self.want_identity(revision));
        }
        self.configuration = Some(configured.digest);
        self.production_configured();
        if equipment_before != Some(configured.terms.equipment) {
            self.lose_sight_of_shift();
        }
        self.producing_reconfigured(terms_before.as_ref());
        self.reconsider();
    }

    /// Other equipment knows nothing of a shift that was begun with what was there before, and must not be given the order again.
    fn lose_sight_of_shift(&mut self) {
        if let Some(Phase::Acting(acting)) = self.incident.as_ref().map(|incident| &incident.phase)
            && matches!(acting.step, StepState::Shifting(shifting) if shifting.intent.is_begun())
        {
            self.ask_what_happened();
        }
    }

    /// What was granted under other terms and not begun goes through the guard again, and `observe` stops at once.
    fn reconsider(&mut self) {
        self.guard_again();
        self.authorise_under_other_terms();
        let begun = |incident: &Incident| match &incident.phase {
            Phase::Acting(_) => incident.is_past_pivot(),
            Phase::Authorising(_) => false,
            _ => true,
        };
        if self.observes() && self.incident.as_ref().is_some_and(|incident| !begun(incident)) {
            self.stop_observing();
        }
    }

    /// Whether nothing may be shifted, whoever agrees.
    pub(crate) fn observes(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.mode == Mode::Observe)
    }

    /// Ends what must not go on in mode `observe`.
    pub(crate) fn stop_observing(&mut self) {
        if self.incident.as_ref().is_some_and(Incident::is_past_pivot) {
            let id = self.incident.as_ref().map(|open| open.id.to_string()).unwrap_or_default();
            let text = format!(
                "the mode is observe now, so the plan does not go on: `ripcord dismiss {id}` ends it, another mode and `ripcord pull {}` go on",
                self.name
            );
            self.need_person(NeedKind::WhatNow, text);
        } else {
            let text = format!("the mode is observe now; {}", self.nothing_shifted());
            self.settle(Outcome::Observed, &text);
        }
    }

    fn paused(&mut self, person: &PersonName) -> Result<(), Illegal> {
        if self.paused_by.is_some() {
            return Err(Illegal::Already(self.name.clone(), "paused"));
        }
        self.paused_by = Some(person.clone());
        Ok(())
    }

    fn resumed(&mut self) -> Result<(), Illegal> {
        if self.paused_by.is_none() {
            return Err(Illegal::Already(self.name.clone(), "running"));
        }
        let at = self.at;
        self.resumes.retain(|resumed| *resumed + Millis::hours(1) > at);
        if self.resumes.len() >= RESUMES_AN_HOUR {
            return Err(Illegal::TooOften(
                format!("`{}` was let go on {RESUMES_AN_HOUR} times within an hour", self.name),
                "it stays paused: try again later",
            ));
        }
        self.resumes.push(at);
        self.paused_by = None;
        self.guard_again();
        if let Some(Incident { phase: Phase::Acting(acting), .. }) = &mut self.incident {
            acting.goes_on_at(at);
        }
        Ok(())
    }

    fn aborted(&mut self, said: &AboutIncident) -> Result<(), Illegal> {
        self.is_open(&said.incident)?;
        let incident = self.open_incident()?;
        if incident.is_past_pivot() {
            return Err(self.wrong_phase("the shift was begun and cannot be undone without bringing the bad model back; pull with another target instead"));
        }
        let text = format!("a person stopped it; {}", self.nothing_shifted());
        self.settle(Outcome::Aborted, &text);
        Ok(())
    }

    fn dismissed(&mut self, said: &AboutIncident) -> Result<(), Illegal> {
        self.is_open(&said.incident)?;
        let incident = self.open_incident()?;
        let asked =
            matches!(incident.phase, Phase::NeedsPerson(_) | Phase::Enlisted) || incident.waits_for_people();
        if incident.is_past_pivot() && !asked {
            return Err(
                self.wrong_phase("the shift was begun; wait until it is verified or a person is asked")
            );
        }
        if incident.is_past_pivot() {
            self.settle(Outcome::SettledByPerson, "a person settled it by hand");
        } else {
            let text = format!("a person dismissed it; {}", self.nothing_shifted());
            self.settle(Outcome::Dismissed, &text);
        }
        Ok(())
    }

    /// For people: whether this incident has changed what is served.
    pub(crate) fn nothing_shifted(&self) -> &'static str {
        match &self.incident {
            Some(incident) if !incident.ladder.tried.is_empty() => {
                "what an earlier plan shifted stays as it is"
            }
            _ => "nothing was shifted",
        }
    }

    /// Judges every deadline by the time of the event.
    fn woke(&mut self) {
        self.watching_woke();
        self.versions_woke();
        self.promotion_woke();
        self.probation_woke();
        self.identity_woke();
        self.authority_woke();
        self.acting_woke();
        self.step_woke();
        self.run_woke();
    }

    fn incident_kept(&mut self, incident: &IncidentId) -> Result<(), Illegal> {
        let of_this = incident.service().as_ref() == Some(&self.name);
        if !of_this || !incident.number().is_some_and(|number| (1..=self.incidents).contains(&number)) {
            return Err(Illegal::UnknownIncident(incident.clone()));
        }
        if self.kept.len() >= KEPT_MAX {
            return Err(Illegal::TooManyKept(KEPT_MAX));
        }
        if self.kept.insert(incident.clone()) {
            Ok(())
        } else {
            Err(Illegal::Already(self.name.clone(), "keeping it"))
        }
    }

    fn incident_released(&mut self, incident: &IncidentId) -> Result<(), Illegal> {
        if self.kept.remove(incident) { Ok(()) } else { Err(Illegal::NotKept(incident.clone())) }
    }

    /// Whether `meant` is the open incident: what people say of one says nothing of the next.
    pub(super) fn is_open(&self, meant: &IncidentId) -> Result<(), Illegal> {
        match &self.incident {
            Some(incident) if incident.id == *meant => Ok(()),
            _ => Err(self.not_open(Some(meant))),
        }
    }

    /// Why a word on `meant` is none on what is open now.
    pub(super) fn not_open(&self, meant: Option<&IncidentId>) -> Illegal {
        match (meant, &self.incident) {
            (meant, Some(open)) => Illegal::OtherIncident { meant: meant.cloned(), open: open.id.clone() },
            (Some(meant), None) => Illegal::NotOpen(meant.clone()),
            (None, None) => Illegal::NoIncident(self.name.clone()),
        }
    }

    pub(crate) fn open_incident(&self) -> Result<&Incident, Illegal> {
        self.incident.as_ref().ok_or_else(|| Illegal::NoIncident(self.name.clone()))
    }

    pub(crate) fn wrong_phase(&self, wanted: &'static str) -> Illegal {
        match &self.incident {
            Some(incident) => {
                Illegal::WrongPhase { incident: incident.id.clone(), phase: incident.phase_name(), wanted }
            }
            None => Illegal::NoIncident(self.name.clone()),
        }
    }

    /// Ends the incident.
    pub(crate) fn settle(&mut self, outcome: Outcome, text: &str) {
        if self.ends_part(&outcome, text) {
            return;
        }
        self.leaves_set(Left::ByPerson);
        let good = matches!(
            outcome,
            Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere | Outcome::Producing
        );
        let severity = if good { Severity::Info } else { Severity::Warning };
        if let Some(incident) = &mut self.incident {
            incident.marks.settled_at = Some(self.at);
            incident.phase = Phase::Settled(outcome.clone());
            let text = format!("`{}` {outcome}: {text}", incident.id);
            self.tell(Topic::Settled, severity, text);
        }
        if let Some(ended) = self.incident.take() {
            self.latch(&ended, &outcome);
            self.last_settled = Some(ended);
        }
        // What its own looks have shown of facets that it did not move.
        self.judge_holds(&self.production.clone());
        match outcome {
            // Its set has released it as it was: what fires was attached to an incident that was not about it.
            Outcome::Other(_) => self.watching.ask_again(),
            _ => self.watching.forget_judged(),
        }
    }

    /// Hands the incident to a person.
    pub(crate) fn need_person(&mut self, question: NeedKind, text: impl Into<String>) {
        let text = text.into();
        // What people would decide by themselves, the set decides; whether a shift happened, only someone who looks at the service can say.
        if question == NeedKind::WhatNow && self.hands_to_set(&text) {
            return;
        }
        let Some(incident) = &mut self.incident else { return };
        let resume = match &incident.phase {
            Phase::Acting(acting) => Some(acting.clone()),
            Phase::Authorising(authorising) => authorising.resume.clone(),
            _ => None,
        };
        incident.phase = Phase::NeedsPerson(Need { question, text: text.clone(), since: self.at, resume });
        let said = format!("`{}` needs a person: {text}", incident.id);
        self.tell(Topic::NeedsPerson, Severity::Critical, said);
    }
}

/// What was waited for has come.
fn clear(due: &mut Option<UnixMillis>, at: UnixMillis) {
    if due.is_some_and(|instant| instant <= at) {
        *due = None;
    }
}
