//! The registry's production name follows what was brought back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{HoldState, Illegal, Incident, Service, Waiting, clear};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::{FaultNature, InProduction, Observed, Promoted, PromotionWord};
use crate::name::{IncidentId, VersionName};
use crate::plan::StepKind;
use crate::signal::Severity;
use crate::target::Target;

/// Failures, about half a minute of them, before people are told of a registry that is away.
const TELL_AFTER: u32 = 5;

/// The registry's production name is still to be moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The incident that brought the version back.
    pub incident: IncidentId,
    /// What the name is to point at: what live was read back to serve.
    pub version: VersionName,
    /// What it may point at to be moved, sorted; none is nothing. Anything else is somebody else's promotion.
    pub expecting: Vec<Option<VersionName>>,
    /// Of the request that was approved.
    pub request: Digest,
    /// When it is due.
    pub waiting: Waiting,
    /// Whether people were told that it has not been moved.
    pub told: bool,
}

impl Service {
    /// The target is served and proved: the registry's production name follows a version. A rollback of another facet leaves the version, and so the
    /// name that may still be on its way to it.
    pub(super) fn follow(&mut self, rung: u32, target: &Target) {
        let Some(incident) = &self.incident else { return };
        let approved = incident.plan().and_then(|plan| plan.request(rung, 0, StepKind::MoveName));
        match (target, approved) {
            (Target::Version(version), Some(request))
                if incident.in_production != InProduction::Unsupported =>
            {
                self.promotion = Some(Promotion {
                    request,
                    incident: incident.id.clone(),
                    version: version.version.clone(),
                    expecting: self.may_be_moved_from(incident),
                    waiting: Waiting::from(self.at),
                    told: false,
                });
            }
            (Target::Version(version), _) => {
                let told = (incident.in_production != InProduction::Unsupported).then(|| {
                    format!(
                        "the plan of `{}` does not list `{}`, so the registry's production name does not follow: move it to `{}` by hand if others load what it points at",
                        incident.id,
                        StepKind::MoveName.as_str(),
                        version.version
                    )
                });
                self.promotion = None;
                if let Some(text) = told {
                    self.tell(Topic::NotListed, Severity::Warning, text);
                }
            }
            _ => {}
        }
    }

    /// What the name pointed at when evidence was preserved, if that was live; what this host moved it to, or may have; and what is held: nobody
    /// is to load that.
    fn may_be_moved_from(&self, incident: &Incident) -> Vec<Option<VersionName>> {
        // A service that did not answer when evidence was preserved has answered when the plan was made.
        let seen = [incident.live.as_ref(), incident.plan().map(|plan| &plan.live)];
        let shares = seen.into_iter().flatten().find_map(|live| match live {
            Observed::Serving(shares) => Some(shares),
            Observed::Unknown(_) => None,
        });
        let live: Vec<&VersionName> =
            shares.into_iter().flatten().map(|share| &share.version.version).collect();
        let mut from: BTreeSet<Option<VersionName>> = match &incident.in_production {
            InProduction::Nothing => BTreeSet::from([None]),
            InProduction::Version(version) if live.contains(&version) => {
                BTreeSet::from([Some(version.clone())])
            }
            InProduction::Unknown(_) => live.into_iter().cloned().map(Some).collect(),
            InProduction::Version(_) | InProduction::Unsupported => BTreeSet::new(),
        };
        let tried = incident.ladder.tried.iter().filter_map(Target::version).map(|target| &target.version);
        let held = self.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        let held = held.filter_map(|(revision, _)| revision.version());
        let ours = incident.promoted.iter().chain(tried).chain(held);
        from.extend(ours.cloned().map(Some));
        if let Some(pending) = &self.promotion {
            from.extend(pending.expecting.iter().cloned());
            from.insert(Some(pending.version.clone()));
        }
        from.into_iter().collect()
    }

    pub(super) fn promoted(&mut self, promoted: &Promoted) -> Result<(), Illegal> {
        let wanted = |pending: &Promotion| {
            let as_approved = match &promoted.word {
                PromotionWord::Moved { request, .. } => request.approved == pending.request,
                _ => true,
            };
            pending.incident == promoted.incident && pending.version == promoted.version && as_approved
        };
        let Some(mut pending) = self.promotion.take().filter(wanted) else { return Err(Illegal::Stale) };
        let (id, version) = (pending.incident.clone(), &promoted.version);
        match &promoted.word {
            PromotionWord::Moved { .. } | PromotionWord::Already => {
                if let Some(incident) = &mut self.incident
                    && incident.promoted.last() != Some(version)
                {
                    incident.promoted.push(version.clone());
                }
                // One that pointed there already was moved by this host before it was interrupted, or by somebody else.
                let moved = matches!(promoted.word, PromotionWord::Moved { .. });
                self.see_name(InProduction::Version(version.clone()), moved.then(|| id.clone()));
                if pending.told {
                    let text =
                        format!("the registry's production name follows `{id}` now: it is `{version}`");
                    self.tell_about(Some(id), Topic::Promoted, Severity::Info, text);
                }
            }
            PromotionWord::Elsewhere(now) => {
                self.see_name(now.clone().map_or(InProduction::Nothing, InProduction::Version), None);
                let now = now.as_ref().map_or_else(|| "nothing".to_owned(), |now| format!("`{now}`"));
                let text = format!(
                    "`{id}` brought `{version}` back, but the registry's production name points at {now}: someone else moved it there, so it was left; if `{version}` is meant, move it by hand"
                );
                self.tell_about(Some(id), Topic::NotPromoted, Severity::Warning, text);
            }
            PromotionWord::Unsupported => {
                if let Some(incident) = self.incident.as_mut().filter(|incident| incident.id == id) {
                    incident.in_production = InProduction::Unsupported;
                }
            }
            PromotionWord::Failed { nature, .. } => {
                pending.waiting = pending.waiting.later(self.at);
                let tell = *nature == FaultNature::Deterministic || pending.waiting.failures >= TELL_AFTER;
                if tell && !pending.told {
                    pending.told = true;
                    let text = format!(
                        "`{id}` brought `{version}` back, but the registry's production name could not be moved to it, so others who follow that name may still load what was left; it is tried again, and `ripcord incidents show {id}` says why it failed"
                    );
                    self.tell_about(Some(id), Topic::NotPromoted, Severity::Warning, text);
                }
                self.promotion = Some(pending);
            }
        }
        Ok(())
    }

    pub(super) fn promotion_woke(&mut self) {
        if let Some(promotion) = &mut self.promotion {
            clear(&mut promotion.waiting.due_at, self.at);
        }
    }
}
