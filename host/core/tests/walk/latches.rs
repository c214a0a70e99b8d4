//! A reason that people or rules have answered is not acted on again without news, and what is known of alerts stays bounded.

use ripcord_core::event::{Event, Said, TriggerWord};
use ripcord_core::fact::Outcome;
use ripcord_core::name::PolicyName;
use ripcord_core::service::{Phase, Service};
use ripcord_core::signal::Origin;

use crate::{Seen, Walk};

impl Walk {
    pub(crate) fn check_latches(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let alerts = &self.service.watching.alerts;
        if alerts.len() > 512 {
            self.fail("more alerts are kept than there is room for");
        }
        let last = |service: &Service| service.last_settled.as_ref().map(|last| last.id.clone());
        if last(before) != last(&self.service)
            && let Some(Phase::Settled(outcome)) = self.service.last_settled.as_ref().map(|last| &last.phase)
        {
            let shifted = matches!(
                outcome,
                Outcome::RolledBack
                    | Outcome::FellBack
                    | Outcome::RestoredElsewhere
                    | Outcome::StoodDown
                    // Released by its set: nobody has answered the reason, so it is asked about again.
                    | Outcome::Other(_)
            );
            seen.latched += usize::from(!self.service.watching.latches.is_empty());
            if !shifted && !self.service.watching.raised.is_empty() {
                self.fail("an incident ended without a rollback, and its trigger is not latched");
            }
        }
        let (None, Some(opened), Event::TriggersAsked(asked)) =
            (&before.incident, &self.service.incident, event)
        else {
            return;
        };
        let [Origin::Policy(by)] = opened.requested_by.as_slice() else { self.fail("opened by whom?") };
        let Ok(name) = PolicyName::new(by) else { self.fail("opened by no trigger") };
        let Some(latch) = before.watching.latches.get(&name) else { return };
        let said = asked.asked.iter().find(|one| one.decision.policy.name == name);
        let Some(Said::Verdict(TriggerWord::RollBack(reason))) = said.map(|one| &one.said) else {
            self.fail("opened by a trigger that found no reason");
        };
        let other_live = match (&latch.live, before.production.vector()) {
            (Some(then), Some(now)) => now.is_other_than(then),
            _ => false,
        };
        let news =
            other_live || reason.urgency > latch.urgency || self.service.at >= before.unlatched_at(latch);
        if !news {
            self.fail("a latched trigger opened an incident without news");
        }
        seen.unlatched += 1;
    }
}
