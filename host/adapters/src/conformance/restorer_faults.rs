//! What every restorer must do while the network or its system fails: tell no untruth about what is in force, and never ask twice for what may have
//! happened.

use std::time::Duration;

use ripcord_core::facet::FacetState;
use ripcord_core::name::VersionName;
use ripcord_ports::deployer::{EffectClass, Probe};
use ripcord_ports::restorer::RestoreOrder;
use ripcord_ports::{Applied, PortError, Restorer};

use super::deployer_faults::{faults, happens};
use super::restorer::{
    BETWEEN_POLLS, POLLS_MAX, RestoredService, content, in_force, order, reach, settle_at, shift, state,
};
use super::rule::holds;
use crate::fault_proxy::{Canned, Fault, FaultProxy, Which};

/// The restorer under test, the service that it is for, and how it reaches it.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "references to traits without it")]
pub struct Faulty<'a> {
    /// It reaches its system through `proxy`.
    pub restorer: &'a dyn Restorer,
    /// Asked by the test itself, not through `proxy`.
    pub service: &'a dyn RestoredService,
    /// Between them.
    pub proxy: &'a FaultProxy,
    /// The requests that put a revision in force.
    pub changes: &'a Which,
    /// Two revisions.
    pub one: &'a VersionName,
    /// The other one.
    pub two: &'a VersionName,
}

/// Checks the restorer. Whatever was in force before is replaced.
pub async fn conforms_in_faults(faulty: Faulty<'_>) {
    assert_ne!(
        faulty.restorer.class(),
        EffectClass::Blind,
        "what is blind sees no fault: test its conformance alone"
    );
    faulty.settle_at_one().await;
    holds("in-force-is-told-truly-in-faults", faulty.reads()).await;
    holds("a-restore-is-asked-for-once", faulty.each_fault()).await;
    holds("a-restore-is-unknown-when-nothing-answers", faulty.everything_fails_after()).await;
    holds("a-restore-that-was-not-begun-changes-nothing", faulty.nothing_can_be_reached()).await;
    faulty.proxy.calm();
}

impl Faulty<'_> {
    async fn settle_at_one(&self) {
        self.proxy.calm();
        settle_at(self.restorer, self.service, self.one).await;
        self.proxy.calm();
    }

    async fn order_to_two(&self, what: &str) -> RestoreOrder {
        let expecting = in_force(self.restorer).await;
        order(self.restorer, &format!("conformance: {what}"), self.two, expecting).await
    }

    async fn works_with(&self, revision: &VersionName) -> bool {
        let wanted = content(self.restorer, revision).await;
        self.service.works_with().await == wanted
    }

    /// Every read goes wrong once, and then all reads go wrong.
    async fn reads(&self) {
        for (name, fault) in faults() {
            for times in [1, usize::MAX] {
                self.proxy.calm();
                self.proxy.order(Which::Any, fault.clone(), times);
                match self.restorer.in_force().await.map(|read| read.state) {
                    Ok(FacetState::Unknown(why)) => {
                        assert!(!why.is_empty(), "{name}: why it is unknown is not said")
                    }
                    Ok(FacetState::InForce(found)) => {
                        assert_eq!(found.revision, *self.one, "{name}: another one is in force")
                    }
                    Err(error) => {
                        assert_eq!(error.applied, Applied::No, "{name}: reading changes nothing: {error}")
                    }
                }
            }
        }
        self.proxy.calm();
        assert_eq!(in_force(self.restorer).await.as_ref(), Some(self.one), "reading changes nothing");
    }

    /// Every change goes wrong once.
    async fn each_fault(&self) {
        for (name, fault) in faults() {
            self.settle_at_one().await;
            let to_two = self.order_to_two(name).await;
            self.proxy.calm();
            self.proxy.order(self.changes.clone(), fault.clone(), 1);
            let result = self.restorer.shift(&to_two).await;
            let asked = self.proxy.count(self.changes);
            if happens(&fault) {
                assert_eq!(asked, 1, "{name}: a restore that may have happened was asked for again");
            }
            assert!(asked > 0, "{name}: the suite was told of other requests than those that restore");
            self.proxy.calm();
            self.told_the_truth(&to_two, result.err(), happens(&fault), name).await;
            let again = RestoreOrder { expecting: in_force(self.restorer).await, ..to_two };
            shift(self.restorer, &again).await;
            reach(self.restorer, self.service, self.two).await;
        }
    }

    async fn told_the_truth(
        &self,
        order: &RestoreOrder,
        error: Option<PortError>,
        happened: bool,
        name: &str,
    ) {
        match error {
            None => {}
            Some(error) if error.applied == Applied::No => {
                let told = state(self.restorer).await;
                assert!(
                    told.known().is_some_and(|known| known.revision == *self.one),
                    "{name}: it is said to be as before and in force is {told:?}: {error}"
                );
                assert!(self.works_with(self.one).await, "{name}: it is said to be as before: {error}");
            }
            Some(error) => match self.settled(order).await {
                Probe::Applied => assert!(happened, "{name}: it did not happen: {error}"),
                Probe::NotApplied => {
                    assert!(self.works_with(self.one).await, "{name}: it happened: {error}");
                }
                told => assert_eq!(
                    self.restorer.class(),
                    EffectClass::Idempotent,
                    "{name}: what is in force can be read and a probe says {told:?}: {error}"
                ),
            },
        }
    }

    /// Probes until the system has ended what it is at.
    async fn settled(&self, order: &RestoreOrder) -> Probe {
        for _ in 0..POLLS_MAX {
            match self.restorer.probe(order).await {
                Ok(Probe::Underway(_)) => tokio::time::sleep(BETWEEN_POLLS).await,
                Ok(told) => return told,
                Err(error) => panic!("probe of `{}`: {error}", order.revision),
            }
        }
        panic!("the restore of `{}` never ends", order.revision);
    }

    /// The change is made, and from then on nothing answers: that its outcome is unknown is the truth.
    async fn everything_fails_after(&self) {
        self.settle_at_one().await;
        let to_two = self.order_to_two("everything fails after the restore").await;
        self.proxy.calm();
        self.proxy.order(self.changes.clone(), Fault::AnswerLost, 1);
        let (result, ()) = tokio::join!(self.restorer.shift(&to_two), async {
            for _ in 0..10_000 {
                if self.proxy.count(self.changes) > 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.proxy.order(Which::Any, Fault::Instead(Canned::failure(500)), usize::MAX);
        });
        if let Err(error) = result {
            assert_eq!(error.applied, Applied::Unknown, "it happened: {error}");
        }
        match self.restorer.probe(&to_two).await {
            Ok(Probe::NotApplied) => panic!("a probe that reads nothing says that nothing happened"),
            Ok(Probe::Applied) => panic!("a probe that reads nothing says that it happened"),
            Ok(Probe::Underway(_) | Probe::CannotTell(_)) | Err(_) => {}
        }
        self.proxy.calm();
    }

    async fn nothing_can_be_reached(&self) {
        self.settle_at_one().await;
        let to_two = self.order_to_two("nothing can be reached").await;
        self.proxy.order(Which::Any, Fault::Unsent, usize::MAX);
        let Err(error) = self.restorer.shift(&to_two).await else {
            panic!("a revision is said to be restored, and the system was not reached")
        };
        self.proxy.calm();
        assert!(self.works_with(self.one).await, "nothing could be reached: {error}");
        self.told_the_truth(&to_two, Some(error), false, "nothing could be reached").await;
    }
}
