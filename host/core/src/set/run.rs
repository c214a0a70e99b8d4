//! One run of a set: who takes part, how far each part is, and how it ends.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::event::{PartEnd, Way};
use crate::facet::Revision;
use crate::name::{IncidentId, PersonName, ServiceName, SetId};
use crate::plan::{IfPartFails, Quorum};
use crate::service::{Hindrance, Waiting};
use crate::target::Target;
use crate::time::UnixMillis;
use crate::votes::Votes;

use super::event::SetDrafted;

/// One move of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRun {
    /// Its id.
    pub id: SetId,
    /// Who asked for it, the first one first.
    pub requesters: Vec<PersonName>,
    /// Why, as whoever asked last says.
    pub reason: BlobRef,
    /// In dependency order.
    pub members: Vec<RunMember>,
    /// As it was configured when the run began.
    pub if_part_fails: IfPartFails,
    /// When it began.
    pub asked_at: UnixMillis,
    /// Nothing of it is begun later.
    pub until: UnixMillis,
    /// The plan at hand.
    pub plan: Option<SetDrafted>,
    /// Why none could be made, at the last try.
    pub unplanned: Option<BlobRef>,
    /// On it, as they were given.
    pub votes: Votes,
    /// How far it is.
    pub phase: SetPhase,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
}

/// One member in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunMember {
    /// Which.
    pub service: ServiceName,
    /// Where to; none stays as it is.
    pub target: Option<Target>,
    /// Whether it is enlisted.
    pub state: MemberState,
    /// Its part to the target.
    pub there: Progress,
    /// Its part back.
    pub back: Progress,
}

/// Whether a member is enlisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MemberState {
    /// Its turn has not come.
    Waiting,
    /// It is being enlisted.
    Began,
    /// It is.
    Enlisted(EnlistedAs),
    /// It is not, or something came between it and its part.
    Lost(Hindrance),
    /// It need not be told anything more.
    Released,
}

/// A member as it was found when it was enlisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnlistedAs {
    /// Its incident that stands for the run.
    pub incident: IncidentId,
    /// What was live and in force.
    pub serving: Vec<Revision>,
    /// Who must agree when it moves.
    pub floor: Vec<Quorum>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// It was not begun.
    Waiting,
    /// It is about to be given to its member, or was: the member's journal knows.
    Began {
        /// Since when.
        since: UnixMillis,
        /// People were told that it is waited for.
        told: bool,
    },
    /// Its member has it.
    Given {
        /// Since when.
        since: UnixMillis,
        /// People were told that it is waited for.
        told: bool,
    },
    /// So.
    Ended(PartEnd),
}

impl Progress {
    /// Whether something of it may go on.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Began { .. } | Self::Given { .. })
    }

    /// How it ended, if it has.
    pub const fn end(self) -> Option<PartEnd> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether it failed.
    pub fn has_failed(self) -> bool {
        self.end().is_some_and(PartEnd::is_failure)
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SetPhase {
    /// One member after the other is enlisted.
    Enlisting {
        /// Since when.
        since: UnixMillis,
    },
    /// The plan is made.
    Drafting(Waiting),
    /// People are asked.
    Authorising {
        /// Until when.
        expires_at: UnixMillis,
    },
    /// One part after the other is carried out.
    Acting(Way),
    /// A person must decide.
    NeedsPerson {
        /// Since when.
        since: UnixMillis,
        /// For people: what happened and what they can do.
        text: String,
    },
    /// It is over, and its members are told.
    Releasing(SetOutcome),
    /// The end.
    Ended(SetOutcome),
}

impl SetPhase {
    /// A few words for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Enlisting { .. } => "enlisting its members",
            Self::Drafting(_) => "planning",
            Self::Authorising { .. } => "waiting for approval",
            Self::Acting(Way::There) => "moving",
            Self::Acting(Way::Back) => "going back",
            Self::NeedsPerson { .. } => "needs a person",
            Self::Releasing(_) => "releasing its members",
            Self::Ended(_) => "over",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetOutcome {
    /// Every part is in place.
    Moved,
    /// A part failed, and what had moved went back.
    WentBack,
    /// A part failed before anything had moved.
    NothingMoved,
    /// A member could not be enlisted, or was lost before the first part.
    NotEnlisted,
    /// No plan could be made.
    NotPlanned,
    /// A person refused the plan.
    Refused,
    /// A person stopped it before the first part.
    Aborted,
    /// A person ended it as it was.
    EndedByPerson,
    /// Its time was up.
    Expired,
}

impl fmt::Display for SetOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moved => "moved",
            Self::WentBack => "went back",
            Self::NothingMoved => "nothing moved",
            Self::NotEnlisted => "not all members could be enlisted",
            Self::NotPlanned => "no plan could be made",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::EndedByPerson => "ended by a person",
            Self::Expired => "expired",
        })
    }
}

/// What the members served together when a run had moved all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistentSet {
    /// Of which run.
    pub run: SetId,
    /// Since when.
    pub since: UnixMillis,
    /// Of each member, what was in force: of one that had moved, of the facet that moved.
    pub members: BTreeMap<ServiceName, Vec<Revision>>,
}

impl RunMember {
    /// The part that goes this way.
    pub const fn part(&self, way: Way) -> Progress {
        match way {
            Way::There => self.there,
            Way::Back => self.back,
        }
    }

    pub(super) fn part_mut(&mut self, way: Way) -> &mut Progress {
        match way {
            Way::There => &mut self.there,
            Way::Back => &mut self.back,
        }
    }

    /// Whether something of a part of it may go on.
    pub fn is_under_way(&self) -> bool {
        self.there.is_under_way() || self.back.is_under_way()
    }

    /// As it was enlisted, while it is.
    pub fn enlisted(&self) -> Option<&EnlistedAs> {
        match &self.state {
            MemberState::Enlisted(enlisted) => Some(enlisted),
            _ => None,
        }
    }

    /// Whether its journal may still hold it enlisted.
    pub fn needs_release(&self) -> bool {
        match &self.state {
            MemberState::Began | MemberState::Enlisted(_) => true,
            MemberState::Lost(why) => !matches!(why, Hindrance::Left(_)),
            MemberState::Waiting | MemberState::Released => false,
        }
    }

    /// Whether it is to go back: its part has moved it, or may have, and nothing has taken that back.
    pub fn is_to_go_back(&self) -> bool {
        self.there.end().is_some_and(PartEnd::has_moved) && self.back.end().is_none()
    }
}

impl SetRun {
    /// The member of that name.
    pub fn member(&self, service: &ServiceName) -> Option<&RunMember> {
        self.members.iter().find(|member| member.service == *service)
    }

    /// Whether a part was begun.
    pub fn has_begun(&self) -> bool {
        self.members.iter().any(|member| member.there != Progress::Waiting)
    }

    /// The part of the plan at hand whose turn it is, or that goes on: there in the order of the members, back in the reverse order.
    pub fn turn(&self) -> Option<(&RunMember, Way)> {
        let SetPhase::Acting(_) = self.phase else { return None };
        self.under_way().or_else(|| self.next_part())
    }

    fn under_way(&self) -> Option<(&RunMember, Way)> {
        let way = |member: &RunMember| {
            [Way::There, Way::Back].into_iter().find(|way| member.part(*way).is_under_way())
        };
        self.members.iter().find_map(|member| Some((member, way(member)?)))
    }

    /// The next part that is to be begun, in the direction that the run has.
    pub(super) fn next_part(&self) -> Option<(&RunMember, Way)> {
        match self.phase {
            SetPhase::Acting(Way::There) => {
                let next = self
                    .members
                    .iter()
                    .find(|member| member.target.is_some() && member.there == Progress::Waiting);
                Some((next?, Way::There))
            }
            SetPhase::Acting(Way::Back) => {
                let next = self.members.iter().rev().find(|member| member.is_to_go_back());
                Some((next?, Way::Back))
            }
            _ => None,
        }
    }
}
