//! Work that is begun before its turn, because it needs nothing of what is still under way: the planner is asked, and its first target is fetched,
//! while evidence is preserved. Nothing of it has an effect outside, and what was asked about something that has changed since is dropped.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::event::{MemoRef, Reason};
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PolicyName, ServiceName};
use ripcord_core::policy::Role;
use ripcord_core::role::{PlannerVerdict, Suspect};
use ripcord_core::service::{CondemnedData, Hold, KnownRevision, Service};
use ripcord_core::target::Target;

use crate::decided::Decided;

/// All that a planner's answer depends on here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    incident: IncidentId,
    number: u32,
    tried: Vec<Target>,
    /// How many words about alerts there were.
    words: u64,
    reason: Reason,
    memos: BTreeMap<(Role, PolicyName), MemoRef>,
    revisions: BTreeMap<Revision, KnownRevision>,
    holds: BTreeMap<Revision, Hold>,
    condemned_data: BTreeMap<DataRevision, CondemnedData>,
    configuration: Option<Digest>,
}

impl Asked {
    /// None where there is no incident.
    pub(crate) fn of(service: &Service, number: u32, tried: &[Target]) -> Option<Self> {
        let incident = service.incident.as_ref()?;
        let mut memos = service.memos.clone();
        memos.retain(|(role, _), _| *role == Role::Planner);
        Some(Self {
            incident: incident.id.clone(),
            number,
            tried: tried.to_vec(),
            words: service.watching.alerts.words(),
            reason: incident.reason.clone(),
            memos,
            revisions: service.revisions.clone(),
            holds: service.holds.clone(),
            condemned_data: service.condemned_data.clone(),
            configuration: service.configuration,
        })
    }
}

/// What a planner decided, with what it suspects.
pub(crate) type Proposed = Decided<(PlannerVerdict, Vec<Suspect>)>;
/// A decision that one effect takes.
type Thought = Shared<BoxFuture<'static, Arc<Mutex<Option<Proposed>>>>>;
type Fetching = Shared<BoxFuture<'static, ()>>;

struct Begun {
    asked: Asked,
    thought: Thought,
    fetching: Option<Fetching>,
}

/// What was begun, by service. It goes on as long as an effect of the incident runs that drives it.
#[derive(Default)]
pub(crate) struct Ahead(Mutex<BTreeMap<ServiceName, Begun>>);

impl Ahead {
    /// Begins a decision, and after it what `fetch` makes of it.
    pub(crate) fn begin(
        &self,
        service: &ServiceName,
        asked: Asked,
        decide: impl Future<Output = Option<Proposed>> + Send + 'static,
        fetch: impl FnOnce(Option<Target>) -> BoxFuture<'static, ()> + Send + 'static,
    ) {
        let thought: Thought = decide.map(|decided| Arc::new(Mutex::new(decided))).boxed().shared();
        let first = thought.clone();
        let fetching = async move {
            let target =
                first.await.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(first_target);
            fetch(target).await;
        };
        let begun = Begun { asked, thought, fetching: Some(fetching.boxed().shared()) };
        self.all().insert(service.clone(), begun);
    }

    /// The decision, if it was begun and still answers the question.
    pub(crate) async fn decision(&self, service: &ServiceName, asked: &Asked) -> Option<Proposed> {
        let thought = self
            .all()
            .get(service)
            .filter(|begun| begun.asked == *asked)
            .map(|begun| begun.thought.clone())?;
        thought.await.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Drives what was begun while `work` runs.
    pub(crate) async fn along<T>(&self, service: &ServiceName, work: impl Future<Output = T>) -> T {
        let Some(fetching) = self.fetching(service) else { return work.await };
        match select(pin!(work), fetching).await {
            Either::Left((done, _)) => done,
            Either::Right(((), work)) => work.await,
        }
    }

    /// Returns when nothing is being fetched any more.
    pub(crate) async fn fetched(&self, service: &ServiceName) {
        if let Some(fetching) = self.fetching(service) {
            fetching.await;
        }
    }

    /// Breaks off what is being fetched: nobody will drive it for long.
    pub(crate) fn rest(&self, service: &ServiceName) {
        if let Some(begun) = self.all().get_mut(service) {
            begun.fetching = None;
        }
    }

    /// Forgets everything of a service.
    pub(crate) fn clear(&self, service: &ServiceName) {
        self.all().remove(service);
    }

    fn fetching(&self, service: &ServiceName) -> Option<Fetching> {
        self.all().get(service)?.fetching.clone()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the planner wants to go back to first.
fn first_target(decided: &Proposed) -> Option<Target> {
    match decided.end.as_ref().ok()? {
        (PlannerVerdict::Choose(choice), _) => choice.ladder.first().cloned(),
        (PlannerVerdict::NothingSuitable(_) | PlannerVerdict::WillNotHelp(_), _) => None,
    }
}
