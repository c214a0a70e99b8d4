//! What all drivers of a host share.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use ripcord_core::digest::Digest;
use ripcord_core::event::Event;
use ripcord_core::journal::Tip;
use ripcord_core::name::ServiceName;
use ripcord_core::service::{Phase, Service};
use ripcord_core::time::Millis;
use ripcord_ports::Clock;

use crate::ahead::Ahead;
use crate::alert_contents::AlertContents;
use crate::arrivals::Arrivals;
use crate::brought_back::BroughtBack;
use crate::budget::Budget;
use crate::clock_trust::ClockTrust;
use crate::counters::Cells;
use crate::deadline::within;
use crate::fact_values::FactValues;
use crate::fleet::Fleet;
use crate::health::{Health, Trouble};
use crate::held_up::Watches;
use crate::looks::Looks;
use crate::readiness::LastReadiness;
use crate::setup::HostSetup;
use crate::staged::StagedArtefacts;
use crate::staging::Staging;
use crate::unread::UnreadSince;

/// A store that has not answered for so long is told as one that hangs.
const STORE_HANGS_AFTER: Millis = Millis::seconds(30);

/// What all drivers of a host share.
pub(crate) struct Host {
    /// Without its services: each driver has its own.
    pub(crate) setup: HostSetup,
    /// Components that the configuration names, those of services whose journal is set aside included.
    pub(crate) components: BTreeSet<Digest>,
    /// The wall's clock itself: each driver lets time go on from its own journal.
    pub(crate) wall: Arc<dyn Clock>,
    pub(crate) installation: Digest,
    pub(crate) budget: Budget,
    pub(crate) counters: Cells,
    pub(crate) staged: StagedArtefacts,
    pub(crate) staging: Staging,
    pub(crate) arrivals: Arrivals,
    pub(crate) ahead: Ahead,
    pub(crate) alert_contents: AlertContents,
    pub(crate) fact_values: FactValues,
    pub(crate) watches: Watches,
    pub(crate) health: Health,
    pub(crate) unread: UnreadSince,
    pub(crate) looks: Looks,
    pub(crate) readiness: LastReadiness,
    pub(crate) readiness_looks: Looks,
    pub(crate) brought_back: BroughtBack,
    pub(crate) fleet: Fleet,
    /// None until the journals are recovered.
    pub(crate) clock_trust: Mutex<Option<ClockTrust>>,
}

impl Host {
    /// Takes over what a service has spent of the host's budget.
    pub(crate) fn settle(&self, service: &Service) {
        self.budget.settle(service, self.wall.now(), self.wall.steady());
    }

    /// Waits for the store for as long as it takes, since what became of a write is not known before. After a while it is said: nothing that this
    /// journal's driver does goes on meanwhile.
    pub(crate) async fn patiently<T>(
        &self,
        journal: &ServiceName,
        what: &str,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        if let Some(done) = within(self.setup.clock.as_ref(), STORE_HANGS_AFTER, work.as_mut()).await {
            return done;
        }
        tracing::error!(service = %journal, "the store has not come back from {what} for {STORE_HANGS_AFTER}; nothing goes on until it does");
        let why = format!(
            "the store has not come back from {what} for {STORE_HANGS_AFTER}, and nothing goes on until it does: look at its disk"
        );
        self.health.is_stuck(journal, Trouble::Store, why);
        let done = work.await;
        self.health.is_well(journal, Trouble::Store);
        done
    }

    /// After an append whose outcome is not known: whether it is in the journal.
    pub(crate) async fn was_written(&self, journal: &ServiceName, tip: Tip) -> bool {
        let last = self.setup.store.journal(journal, tip.length - 1, 1).await;
        last.is_ok_and(|records| records.first().is_some_and(|record| record.tip() == tip))
    }

    /// Counts what was appended, and how an incident ended if one did.
    pub(crate) fn count(&self, events: &[Event], before: &Service, after: &Service) {
        let id = |service: &Service| service.last_settled.as_ref().map(|incident| incident.id.clone());
        if let (true, Some(Phase::Settled(outcome))) =
            (id(before) != id(after), after.last_settled.as_ref().map(|incident| &incident.phase))
        {
            let outcome = outcome.to_string().replace(' ', "-");
            self.counters.add("ripcord_incidents_settled_total", Some(("outcome", &outcome)), 1);
        }
        for event in events {
            match event {
                Event::SignalsTaken(taken) => {
                    self.counters.add("ripcord_signals_total", None, u64::from(taken.signals));
                }
                Event::ShiftBegan(_) => self.counters.add("ripcord_shifts_total", None, 1),
                Event::Announced(announced) => {
                    let given_up = u64::from(announced.failed.is_some());
                    self.counters.add("ripcord_announcements_total", None, 1);
                    self.counters.add("ripcord_announcements_given_up_total", None, given_up);
                }
                _ => {}
            }
        }
    }
}
