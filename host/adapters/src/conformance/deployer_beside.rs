//! What every deployer must do that can hold a candidate beside what is live, and what it must say that cannot.

use ripcord_core::live::LiveState;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Beside, CandidateOrder};
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Applied, Deployer, Endpoint, ErrorKind, Retry};

use super::deployer::{Settable, live, order, reach, shift};
use super::deployer_faults::faults;
use super::rule::holds;
use crate::fault_proxy::{Fault, FaultProxy, Which};

const TRIAL: &str = "conformance";

/// Where candidates are tried, and with what.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a reference to a trait without it")]
pub struct Tried<'a> {
    /// Reaches the same system as the deployer.
    pub endpoint: &'a dyn Endpoint,
    /// Something that every version answers.
    pub input: &'a TrialInput,
}

/// Checks the deployer with two versions that it can set. Whatever was live before is replaced; `two` is live afterwards, and nothing stands beside it.
pub async fn conforms_beside(deployer: &dyn Deployer, tried: Tried<'_>, one: &Settable, two: &Settable) {
    holds("a-candidate-moves-nothing", stands_beside(deployer, tried, one, two)).await;
}

async fn stands_beside(deployer: &dyn Deployer, tried: Tried<'_>, one: &Settable, two: &Settable) {
    if deployer.beside_class().is_none() {
        let Err(error) = deployer.beside(&candidate(two)).await else {
            panic!("a deployer that holds no candidates holds one")
        };
        assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
        return clear(deployer).await;
    }
    clear(deployer).await;
    let first = order("beside-1", one, live(deployer).await);
    shift(deployer, &first).await;
    reach(deployer, one).await;
    let before = live(deployer).await;

    let held = hold(deployer, two).await;
    answers(tried, &held, two).await;
    unmoved(deployer, tried, &before, one).await;
    assert_eq!(hold(deployer, two).await, held, "the same order twice has the effect of once");

    let mut wrong = candidate(one);
    wrong.version.digest = two.staged.as_ref().map(|staged| staged.digest);
    match deployer.beside(&wrong).await {
        Ok(held) => panic!("a candidate with another digest than ordered is held: {held:?}"),
        Err(error) => {
            assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}")
        }
    }

    let other = hold(deployer, one).await;
    answers(tried, &other, one).await;
    let again = hold(deployer, two).await;
    answers(tried, &again, two).await;
    unmoved(deployer, tried, &before, one).await;

    // The use of it: the candidate is found good, and then shifted to.
    shift(deployer, &order("beside-2", two, live(deployer).await)).await;
    reach(deployer, two).await;
    clear(deployer).await;
    gone(tried, &again).await;
    clear(deployer).await;
    assert!(live(deployer).await.serves(&two.target), "clearing changes nothing of what is live");
}

/// Checks the deployer, which must reach its system through `proxy`. Whatever was live before is replaced; `one` is live afterwards.
pub async fn conforms_beside_in_faults(
    deployer: &dyn Deployer,
    proxy: &FaultProxy,
    tried: Tried<'_>,
    one: &Settable,
    two: &Settable,
) {
    holds("a-candidate-moves-nothing-in-faults", beside_in_faults(deployer, proxy, tried, one, two)).await;
}

async fn beside_in_faults(
    deployer: &dyn Deployer,
    proxy: &FaultProxy,
    tried: Tried<'_>,
    one: &Settable,
    two: &Settable,
) {
    proxy.calm();
    shift(deployer, &order("beside-3", one, live(deployer).await)).await;
    reach(deployer, one).await;
    let before = live(deployer).await;
    let address = hold(deployer, two).await;
    let once = faults().into_iter().map(|(name, fault)| (name, fault, 1));
    let always = [("nothing can be reached", Fault::Unsent, usize::MAX)];
    for (name, fault, times) in once.chain(always) {
        clear(deployer).await;
        proxy.order(Which::Any, fault.clone(), times);
        let result = deployer.beside(&candidate(two)).await;
        proxy.calm();
        match result {
            Ok(held) => answers(tried, &held, two).await,
            Err(error) if error.applied == Applied::No => gone(tried, &address).await,
            Err(_) => {}
        }
        unmoved(deployer, tried, &before, one).await;
        hold(deployer, two).await;
        proxy.order(Which::Any, fault, times);
        let cleared = deployer.clear().await;
        proxy.calm();
        if let Err(error) = cleared {
            assert_ne!(
                error.retry,
                Retry::No,
                "{name}: clearing can be asked again, and the error says it cannot: {error}"
            );
            clear(deployer).await;
        }
        gone(tried, &address).await;
        unmoved(deployer, tried, &before, one).await;
    }
}

/// An order for `settable`, which must be a version.
pub fn candidate(settable: &Settable) -> CandidateOrder {
    let (Some(version), Some(staged)) = (settable.target.version(), &settable.staged) else {
        panic!("{} cannot be a candidate: give a version and its artefact", settable.target)
    };
    CandidateOrder { version: version.clone(), staged: staged.clone(), deadline: Millis::seconds(30) }
}

async fn hold(deployer: &dyn Deployer, wanted: &Settable) -> Beside {
    let order = candidate(wanted);
    let held = deployer.beside(&order).await.unwrap_or_else(|error| panic!("beside: {error}"));
    let version = VersionTarget { digest: Some(order.staged.digest), ..order.version };
    assert_eq!(held.version, version, "another candidate is held than ordered");
    held
}

async fn clear(deployer: &dyn Deployer) {
    deployer.clear().await.unwrap_or_else(|error| panic!("clear: {error}"));
}

async fn answers(tried: Tried<'_>, held: &Beside, wanted: &Settable) {
    let reply = tried.endpoint.infer(tried.input, Some(held), TRIAL).await;
    let reply = reply.unwrap_or_else(|error| panic!("the candidate does not answer: {error}"));
    if let Some(named) = reply.answered_by {
        assert_eq!(
            Some(&named.version),
            wanted.target.version().map(|target| &target.version),
            "the candidate's answer"
        );
    }
}

/// Live is what it was, and answers.
async fn unmoved(deployer: &dyn Deployer, tried: Tried<'_>, before: &LiveState, one: &Settable) {
    let now = live(deployer).await;
    assert!(now.same_identity(before), "a candidate beside {before} changed live to {now}");
    let reply = tried.endpoint.infer(tried.input, None, TRIAL).await;
    let reply = reply.unwrap_or_else(|error| panic!("live does not answer: {error}"));
    if let Some(named) = reply.answered_by {
        assert_eq!(
            Some(&named.version),
            one.target.version().map(|target| &target.version),
            "the live version's answer"
        );
    }
}

async fn gone(tried: Tried<'_>, held: &Beside) {
    if let Ok(reply) = tried.endpoint.infer(tried.input, Some(held), TRIAL).await {
        panic!("the candidate was taken away and answers: {reply:?}");
    }
}
