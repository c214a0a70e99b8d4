//! Services that move together: an aggregate of its own, with a journal of its own, that enlists its members, has one plan in parts and one consent, and
//! moves one part after the other.
//!
//! As with [`Service`], [`Set::apply`] is the only transition table and [`Set::owed`] the only list of what is still to be done. What goes between the
//! set's journal and those of its members is said by [`Set::step`], one append at a time: the intent comes first, the member's journal knows whether it was
//! carried out, and so nothing is done twice wherever a host dies in between.
//!
//! Invariants:
//! - nothing is shifted for a set before every member is enlisted, the plan is made, and people have agreed to all of it;
//! - at most one part is under way;
//! - a run has an end: what is still enlisted then leaves by itself.

mod agreeing;
mod asking;
mod drafting;
mod effect;
mod ending;
mod event;
mod illegal;
mod moving;
mod run;
mod step;
mod terms;

pub use agreeing::leads_back;
pub use drafting::{PartDraft, SetPlan};
pub use effect::SetEffect;
pub use event::{
    AboutRun, MemberEnlisted, MemberHindered, OfMember, OfPart, PartEnded, SetAsked, SetConfigured,
    SetDrafted, SetEvent, SetNotDrafted, SetPart,
};
pub use illegal::SetIllegal;
pub use run::{ConsistentSet, EnlistedAs, MemberState, Progress, RunMember, SetOutcome, SetPhase, SetRun};
pub use step::Step;
pub use terms::{MEMBERS_MAX, SetDeadlines, SetTerms};

pub use crate::plan::IfPartFails;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::effect::{Outgoing, Topic};
use crate::name::{SetId, SetName};
use crate::outbox;
use crate::signal::Severity;
use crate::time::{Millis, UnixMillis};

/// So many consistent sets are remembered, the last ones.
pub const CONSISTENT_MAX: usize = 10;

/// Services that move together: a function of its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Its name.
    pub name: SetName,
    /// Events applied so far.
    pub length: u64,
    /// Time of the last event.
    pub at: UnixMillis,
    /// None before the first [`SetEvent::Configured`].
    pub terms: Option<SetTerms>,
    /// Of the effective configuration.
    pub configuration: Option<Digest>,
    /// The run that goes on.
    pub run: Option<SetRun>,
    /// The last one that ended.
    pub last: Option<SetRun>,
    /// Runs so far.
    pub runs: u32,
    /// What was in place when runs had moved all of it, oldest first; at most [`CONSISTENT_MAX`].
    pub consistent: Vec<ConsistentSet>,
    /// Announcements that are still to be delivered; at most 500.
    pub outbox: Vec<Outgoing>,
    /// How many made room for others, until people have heard of it.
    pub left_out_of_outbox: u64,
}

impl Set {
    /// A set without any events.
    pub const fn new(name: SetName) -> Self {
        Self {
            name,
            length: 0,
            at: UnixMillis(0),
            terms: None,
            configuration: None,
            run: None,
            last: None,
            runs: 0,
            consistent: Vec::new(),
            outbox: Vec::new(),
            left_out_of_outbox: 0,
        }
    }

    /// The set after `event`, or why the event cannot happen now.
    pub fn apply(&self, at: UnixMillis, event: &SetEvent) -> Result<Self, SetIllegal> {
        self.clone().applied(at, event)
    }

    /// The same without a copy, for who folds a journal and has no use for the state before.
    pub fn applied(self, at: UnixMillis, event: &SetEvent) -> Result<Self, SetIllegal> {
        if at < self.at {
            return Err(SetIllegal::Backwards);
        }
        let mut next = self;
        next.at = at;
        next.length += 1;
        match event {
            SetEvent::Configured(configured) => next.configured(configured)?,
            SetEvent::Asked(asked) => next.asked(asked)?,
            SetEvent::EnlistBegan(of) => next.enlist_began(of)?,
            SetEvent::Enlisted(enlisted) => next.enlisted(enlisted)?,
            SetEvent::NotEnlisted(hindered) => next.not_enlisted(hindered)?,
            SetEvent::MemberLost(hindered) => next.member_lost(hindered)?,
            SetEvent::Drafted(drafted) => next.drafted(drafted)?,
            SetEvent::NotDrafted(not) => next.not_drafted(not)?,
            SetEvent::Voted(voted) => next.voted(voted)?,
            SetEvent::PartBegan(of) => next.part_began(of)?,
            SetEvent::PartGiven(of) => next.part_given(of)?,
            SetEvent::PartEnded(ended) => next.part_ended(ended)?,
            SetEvent::MemberReleased(of) => next.member_released(of)?,
            SetEvent::Aborted(about) => next.aborted(about)?,
            SetEvent::Dismissed(about) => next.dismissed(about)?,
            SetEvent::Pruned(_) => {}
            SetEvent::Announced(announced) => next.announced(&announced.id)?,
            SetEvent::Woke => next.woke(),
            SetEvent::ClockJumped { by } => next.clock_jumped(*by),
        }
        Ok(next)
    }

    /// All that is owed now. What is due later is a [`SetEffect::WakeAt`].
    pub fn owed(&self) -> Vec<SetEffect> {
        let mut owed: Vec<SetEffect> = self.outbox.iter().cloned().map(SetEffect::Announce).collect();
        let Some(run) = &self.run else { return owed };
        owed.push(SetEffect::WakeAt(run.until));
        let watched = |run: &SetRun| -> Vec<SetEffect> {
            let idle =
                run.members.iter().filter(|member| member.enlisted().is_some() && !member.is_under_way());
            let turn = run.turn().map(|(member, _)| &member.service);
            let others = idle.filter(|member| turn != Some(&member.service));
            others.map(|member| SetEffect::Watch { member: member.service.clone() }).collect()
        };
        owed.extend(self.ends_at().map(SetEffect::WakeAt));
        match &run.phase {
            SetPhase::Enlisting { .. } => {
                let is_next =
                    |member: &&RunMember| matches!(member.state, MemberState::Waiting | MemberState::Began);
                let next = run.members.iter().find(is_next);
                owed.extend(next.map(|member| SetEffect::Enlist { member: member.service.clone() }));
                owed.extend(watched(run));
            }
            SetPhase::Drafting(waiting) => {
                let number = run.plan.as_ref().map_or(0, |plan| plan.number) + 1;
                owed.push(waiting.due_at.map_or(SetEffect::Draft { number }, SetEffect::WakeAt));
                owed.extend(watched(run));
            }
            SetPhase::Acting(_) => {
                let part =
                    run.turn().map(|(member, way)| SetEffect::Part { member: member.service.clone(), way });
                owed.extend(part);
                owed.extend(watched(run));
            }
            SetPhase::Authorising { .. } | SetPhase::NeedsPerson { .. } => owed.extend(watched(run)),
            SetPhase::Releasing(outcome) => {
                let why = outcome.release();
                let left = run.members.iter().filter(|member| member.needs_release());
                owed.extend(left.map(|member| SetEffect::Release { member: member.service.clone(), why }));
            }
            SetPhase::Ended(_) => {}
        }
        owed
    }

    /// The next instant that is waited for.
    pub fn wakes_at(&self) -> Option<UnixMillis> {
        let instants = self.owed().into_iter().filter_map(|effect| match effect {
            SetEffect::WakeAt(at) => Some(at),
            _ => None,
        });
        instants.min()
    }

    /// The consistent sets of the members as they are configured now, newest first.
    pub fn consistent_sets(&self) -> impl Iterator<Item = &ConsistentSet> {
        let members = self.terms.as_ref().map(|terms| terms.members.as_slice()).unwrap_or_default();
        let same = move |set: &&ConsistentSet| {
            set.members.len() == members.len()
                && members.iter().all(|member| set.members.contains_key(member))
        };
        self.consistent.iter().rev().filter(same)
    }

    fn deadlines(&self) -> SetDeadlines {
        self.terms.as_ref().map(|terms| terms.deadlines).unwrap_or_default()
    }

    fn open_run(&mut self, meant: &SetId) -> Result<&mut SetRun, SetIllegal> {
        let none = SetIllegal::NoRun(self.name.clone());
        let run = self.run.as_mut().ok_or(none)?;
        if run.id == *meant {
            Ok(run)
        } else {
            Err(SetIllegal::OtherRun { meant: meant.clone(), open: run.id.clone() })
        }
    }

    /// The run that a result of the shell is about; stale if it is another one.
    fn run_of_result(&mut self, meant: &SetId) -> Result<&mut SetRun, SetIllegal> {
        self.open_run(meant).map_err(|_| SetIllegal::Stale)
    }

    fn wrong_phase(run: &SetRun, wanted: &'static str) -> SetIllegal {
        SetIllegal::WrongPhase { run: run.id.clone(), phase: run.phase.name(), wanted }
    }

    /// Puts a message into the outbox.
    fn tell(&mut self, topic: Topic, severity: Severity, text: impl Into<String>) {
        let incident = self.run.as_ref().map(|run| run.id.as_incident());
        let id = format!("{}/{}/{}", self.name.journal(), self.length - 1, topic.as_str());
        let (at, text) = (self.at, text.into());
        let outgoing = Outgoing { id, incident, topic, severity, text, at, waits_since: at };
        self.left_out_of_outbox += outbox::put(&mut self.outbox, outgoing);
    }

    /// One was delivered or given up. Once all are, people hear of those that made room.
    fn announced(&mut self, id: &str) -> Result<(), SetIllegal> {
        if !outbox::take(&mut self.outbox, id) {
            return Err(SetIllegal::Stale);
        }
        let (key, look) = (self.name.journal(), format!("ripcord sets show {}", self.name));
        let left_out = &mut self.left_out_of_outbox;
        if let Some(text) = outbox::left_out(&self.outbox, left_out, key.as_str(), &look) {
            self.tell(Topic::AnnouncementsLeftOut, Severity::Warning, text);
        }
        Ok(())
    }

    /// No time has passed, so nothing has run out.
    fn clock_jumped(&mut self, by: Millis) {
        let move_it = |instant: &mut UnixMillis| *instant = *instant + by;
        self.outbox.iter_mut().for_each(|outgoing| move_it(&mut outgoing.waits_since));
        let Some(run) = &mut self.run else { return };
        move_it(&mut run.until);
        match &mut run.phase {
            SetPhase::Enlisting { since } => move_it(since),
            SetPhase::Drafting(waiting) => move_it(&mut waiting.since),
            SetPhase::Authorising { expires_at } => move_it(expires_at),
            SetPhase::Acting(_)
            | SetPhase::NeedsPerson { .. }
            | SetPhase::Releasing(_)
            | SetPhase::Ended(_) => {}
        }
        run.plan.iter_mut().for_each(|plan| move_it(&mut plan.expires_at));
        for member in &mut run.members {
            for part in [&mut member.there, &mut member.back] {
                if let Progress::Began { since, .. } | Progress::Given { since, .. } = part {
                    move_it(since);
                }
            }
        }
    }
}
