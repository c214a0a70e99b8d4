//! What commands share that only ask policies: a service of the configuration with its systems, and what its journal says. No host is started, nothing is
//! recorded.

use std::sync::Arc;

use ripcord_core::alert::StandingAlert;
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::role::{Question, TriggerInput};
use ripcord_core::service::Service;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{
    Asked, FactsNow, PlacedPolicy, ServiceSetup, ask, memo, recover, scheduled, standing_alerts,
    with_deadlines,
};
use ripcord_ports::{Clock, Store};
use ripcord_sandbox::Sandbox;
use ripcord_store::SqliteStore;

use super::Reach;
use super::check::made_up;
use super::states::names;
use crate::config::{ConfigError, Mistakes};
use crate::output::{Exit, Failure};
use crate::wiring::{self, WireError};

/// A service whose policies can be asked.
pub(super) struct Bench {
    pub(super) setup: ServiceSetup,
    /// As its journal has it; new where there is none.
    pub(super) service: Arc<Service>,
    pub(super) store: Option<SqliteStore>,
    pub(super) sandbox: Sandbox,
    pub(super) clock: Arc<dyn Clock>,
}

impl Bench {
    /// The service of the configuration, with everything that it names.
    pub(super) async fn open(reach: &Reach, name: &ServiceName) -> Result<Self, Failure> {
        names(reach, Some(name))?;
        let config = reach.here()?;
        let wire = |error: WireError| Failure::of(Exit::Failed, error);
        let shared = wiring::shared().map_err(|error| wire(error.into()))?;
        let sandbox = wiring::sandbox_for_check(config).map_err(wire)?;
        let (mut mistakes, mut warnings) = (Mistakes::default(), Mistakes::default());
        let parts = wiring::parts(config, &sandbox, &shared, &wiring::not_kept, &mut mistakes, &mut warnings);
        if let Some(error) = ConfigError::new(config.file.clone(), mistakes) {
            let text = error.text();
            return Err(Failure::of(Exit::Usage, error).laid_out(text));
        }
        let setup = parts.services.into_iter().find(|setup| setup.name == *name);
        let setup = setup.ok_or_else(|| Failure::failed(format!("`{name}` cannot be asked")))?;
        let setup = with_deadlines(setup, &shared.clock);
        let store = reach.store_if_any()?;
        let service = match &store {
            Some(store) => {
                recover(store, name).await.map_err(|error| Failure::of(Exit::Failed, error))?.state
            }
            None => Arc::new(Service::new(name.clone())),
        };
        Ok(Self { setup, service, store, sandbox, clock: shared.clock })
    }

    pub(super) fn store(&self) -> Option<&dyn Store> {
        self.store.as_ref().map(|store| store as &dyn Store)
    }
}

/// Asks a trigger as the host would at this moment: about the alerts as they stand, with what it remembers.
pub(super) async fn ask_trigger(
    setup: &ServiceSetup,
    service: &Service,
    store: Option<&dyn Store>,
    placed: &PlacedPolicy,
    now: UnixMillis,
) -> Result<Asked, Failure> {
    let question = trigger_question(setup, service, store, placed, now).await?;
    Ok(ask(placed, &question, &FactsNow::new(setup, service, store)).await)
}

async fn trigger_question(
    setup: &ServiceSetup,
    service: &Service,
    store: Option<&dyn Store>,
    placed: &PlacedPolicy,
    now: UnixMillis,
) -> Result<Question, Failure> {
    let mut context = made_up::context(setup, placed, now);
    context.incident = service.incident.as_ref().map(|open| open.id.clone());
    context.live_since = service.production.since;
    context.memo = remembered(service, store, placed).await?;
    let signals = signals(service, store, placed, now).await?;
    Ok(Question::Trigger(TriggerInput { context, signals, facts: Vec::new() }))
}

/// The alerts as they stand; where there are none, what a schedule would give.
pub(super) async fn signals(
    service: &Service,
    store: Option<&dyn Store>,
    placed: &PlacedPolicy,
    now: UnixMillis,
) -> Result<Vec<StandingAlert>, Failure> {
    let standing = match store {
        Some(store) => {
            standing_alerts(store, service, placed).await.map_err(|error| Failure::of(Exit::Failed, error))?
        }
        None => Vec::new(),
    };
    if standing.is_empty() {
        return Ok(scheduled(now).map(StandingAlert::from).into_iter().collect());
    }
    Ok(standing)
}

/// What the policy remembers.
pub(super) async fn remembered(
    service: &Service,
    store: Option<&dyn Store>,
    placed: &PlacedPolicy,
) -> Result<Option<ripcord_core::role::Memo>, Failure> {
    match store {
        Some(store) if matches!(placed.role, Role::Trigger | Role::Verification) => {
            memo(store, service, placed).await.map_err(|error| Failure::of(Exit::Failed, error))
        }
        _ => Ok(None),
    }
}
