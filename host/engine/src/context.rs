//! What effects and decisions are made with: one service's state, its ports, and what all services share.

use std::sync::Arc;

use ripcord_core::alert::{AlertKey, Given, StandingAlert, StoredWord};
use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, PlanDrafted, PlanLoss, PlanLost, Reason};
use ripcord_core::facet::{FacetRead, FacetState};
use ripcord_core::live::LiveState;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::{Plan, StepKind};
use ripcord_core::policy::Role;
use ripcord_core::role::Proposal;
use ripcord_core::service::{Alert, Incident, Ordered, Service};
use ripcord_core::signal::Signal;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Clock;
use ripcord_ports::store::StoreError;
use ripcord_ports::waiting::Watch;

use crate::alert_contents::{Words, place};
use crate::batch::Batch;
use crate::facets;
use crate::host::Host;
use crate::mailbox::Mailbox;
use crate::pace::Onward;
use crate::setup::ServiceSetup;

/// Alerts as policies are given them.
#[derive(Debug, Default)]
pub(crate) struct AlertsRead {
    /// Oldest first.
    pub(crate) readable: Vec<StandingAlert>,
    /// Those whose content was erased or damaged.
    pub(crate) gone: Vec<AlertKey>,
}

/// What an effect is performed with: the state is the one that owed it.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) host: Arc<Host>,
    pub(crate) setup: Arc<ServiceSetup>,
    pub(crate) service: Arc<Service>,
    pub(crate) mailbox: Mailbox,
    /// The service's time.
    pub(crate) clock: Arc<Onward>,
    /// The state as it goes on.
    pub(crate) latest: tokio::sync::watch::Receiver<Arc<Service>>,
    /// Of the way from an alert to the restored answer.
    pub(crate) watch: Arc<Watch>,
    /// Whether a power cut may take what led to the effect.
    pub(crate) has_tail: bool,
}

impl Context {
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now().max(self.service.at)
    }

    pub(crate) fn incident(&self) -> Option<&Incident> {
        self.service.incident.as_ref()
    }

    /// A blob's content; none if it was erased, or cannot be read for good, which is logged. An error says that the store may answer later.
    pub(crate) async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        match self.host.setup.store.blob(reference).await {
            Err(error @ StoreError::Damaged(_)) => {
                tracing::error!(service = %self.service.name, %error, "a stored content cannot be read any more");
                Ok(None)
            }
            answer => answer,
        }
    }

    /// The same as text. What is gone for good is said to be.
    pub(crate) async fn text(&self, reference: &BlobRef) -> Result<String, StoreError> {
        let bytes = self.blob(reference).await?;
        Ok(bytes.map_or_else(|| "(erased)".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What is to be appended where something cannot be read now: nothing, so that it is tried again.
    pub(crate) fn read_later(&self, error: &StoreError) -> Batch {
        tracing::error!(service = %self.service.name, %error, "what a policy is to be told cannot be read: it is asked as soon as it can");
        Batch::default()
    }

    /// The alerts as they stand, oldest first, as far as triggers are given them. Those that all of them set aside are not read again.
    pub(crate) async fn alerts_for_triggers(&self) -> Result<AlertsRead, StoreError> {
        let triggers = self.setup.policies(Role::Trigger).map(|placed| &placed.policy.reference().name);
        let triggers: Vec<_> = triggers.collect();
        let mut asked = self.service.watching.alerts.question();
        asked.retain(|alert| triggers.iter().any(|name| !alert.set_aside_by.contains(*name)));
        self.read(asked).await
    }

    /// The same for all other policies: without those that a trigger set aside, since what one policy faults on the next most likely does, and nobody
    /// looks for it there.
    pub(crate) async fn alerts(&self) -> Result<Vec<StandingAlert>, StoreError> {
        let mut asked = self.service.watching.alerts.question();
        asked.retain(|alert| alert.set_aside_by.is_empty());
        Ok(self.read(asked).await?.readable)
    }

    async fn read(&self, asked: Vec<&Alert>) -> Result<AlertsRead, StoreError> {
        let last = self.host.alert_contents.last(&self.setup.name);
        let (mut words, mut read) = (Words::new(), AlertsRead::default());
        let mut group: Option<(BlobRef, Vec<Signal>)> = None;
        for alert in asked.into_iter().filter(|alert| alert.word.given != Given::Nothing) {
            let stored = StoredWord { content: alert.content, index: alert.word.index };
            let key = place(&stored);
            let known = words.get(&key).or_else(|| last.get(&key)).cloned();
            let signal = match known {
                Some(signal) => signal,
                None => {
                    if group.as_ref().is_none_or(|(read, _)| *read != alert.content) {
                        let content = self.blob(&alert.content).await?.unwrap_or_default();
                        group = Some((alert.content, serde_json::from_slice(&content).unwrap_or_default()));
                    }
                    let signals = group.as_ref().map(|(_, signals)| signals.as_slice()).unwrap_or_default();
                    let Some(signal) = signals.get(alert.word.index as usize) else {
                        tracing::error!(service = %self.service.name, content = %alert.content.commitment, index = alert.word.index, "the content of an alert is gone: no policy is given it");
                        read.gone.push(alert.word.alert);
                        continue;
                    };
                    Arc::new(signal.clone())
                }
            };
            let seen = (alert.word.first_seen_at, alert.word.last_seen_at);
            let signal = Signal::clone(&signal);
            let given = StandingAlert::stored(signal, stored, alert.word.given, seen, alert.word.count);
            words.insert(key, Arc::new(given.signal.clone()));
            read.readable.push(given);
        }
        self.host.alert_contents.keep(&self.setup.name, words);
        Ok(read)
    }

    /// Why the incident is, in full.
    pub(crate) async fn proposal(&self, reason: &Reason) -> Result<Proposal, StoreError> {
        Ok(Proposal {
            cause: self.text(&reason.cause).await?,
            strategy: reason.strategy.clone(),
            urgency: reason.urgency.clone(),
            harm_began_at: reason.harm_began_at,
        })
    }

    /// The plan at hand, in full, if its content still has the digest that approvals were given to and the targets of the journal.
    /// Else what is to be appended instead of whatever the plan was wanted for: nothing where the store may answer later.
    pub(crate) async fn plan(&self) -> Result<Plan, Batch> {
        let drafted = self.incident().and_then(Incident::plan).ok_or_else(Batch::default)?;
        let name = &self.service.name;
        self.granted_plan(&drafted.content, drafted.digest, |plan| is_as_drafted(plan, name, drafted)).await
    }

    /// The same of the plan that ordered a run: its incident has ended.
    pub(crate) async fn ordered_plan(&self, ordered: &Ordered) -> Result<Plan, Batch> {
        self.granted_plan(&ordered.content, ordered.plan, |plan| {
            let targets = plan.parts.first().map(|part| part.rungs.iter().map(|rung| &rung.target));
            let mut steps = plan.approved_steps().into_iter().flatten();
            plan.digest().is_ok_and(|digest| digest == ordered.plan)
                && steps.any(|step| step.kind == StepKind::Produce && step.request == Some(ordered.request))
                && targets.is_some_and(|targets| targets.eq([&ordered.target]))
        })
        .await
    }

    async fn granted_plan(
        &self,
        content: &BlobRef,
        digest: Digest,
        is_as_granted: impl FnOnce(&Plan) -> bool,
    ) -> Result<Plan, Batch> {
        debug_assert_eq!(content.kind, BlobKind::Plan);
        let lost = |loss: PlanLoss| {
            tracing::error!(service = %self.service.name, plan = %digest, "the plan's content {}: it is not carried out", loss.as_str());
            Batch::of(Event::PlanLost(PlanLost { plan: digest, loss }))
        };
        let content = match self.host.setup.store.blob(content).await {
            Ok(Some(content)) => content,
            Ok(None) => return Err(lost(PlanLoss::Erased)),
            Err(StoreError::Damaged(_)) => return Err(lost(PlanLoss::Changed)),
            Err(error) => {
                tracing::error!(service = %self.service.name, %error, "the plan's content cannot be read; tried again");
                return Err(Batch::default());
            }
        };
        let plan = serde_json::from_slice::<Plan>(&content).ok();
        plan.filter(is_as_granted).ok_or_else(|| lost(PlanLoss::Changed))
    }

    /// What is live; a system that does not answer is unknown, with the reason.
    pub(crate) async fn live(&self) -> LiveState {
        match self.setup.ports.deployer.live().await {
            Ok(live) => live.state,
            Err(error) => LiveState::Unknown(error.to_string()),
        }
    }
}

impl Context {
    /// What is in force of the other facets.
    pub(crate) async fn facets(&self) -> Vec<FacetRead<String>> {
        facets::read(&self.setup.ports).await
    }

    /// The same where nobody could look.
    pub(crate) fn facets_unknown(&self, why: &str) -> Vec<FacetRead<String>> {
        let facets = self.setup.ports.restorers.keys();
        facets
            .map(|facet| FacetRead { facet: facet.clone(), state: FacetState::Unknown(why.to_owned()) })
            .collect()
    }
}

/// Whether the content is what the journal says of it. A service has its own part of it, and no other.
fn is_as_drafted(plan: &Plan, service: &ServiceName, drafted: &PlanDrafted) -> bool {
    let as_drafted = plan.part_of(service).is_some_and(|part| {
        part.approved_steps() == drafted.steps
            && part.rungs.iter().map(|rung| &rung.target).eq(&drafted.targets)
    });
    as_drafted
        && plan.digest().is_ok_and(|digest| digest == drafted.digest)
        && plan.preflighted == drafted.preflighted
}
