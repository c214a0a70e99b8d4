//! What every deployer must do while the network or its system fails: tell no untruth about live, and never shift twice by itself.

use std::time::Duration;

use ripcord_core::live::LiveState;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Probe, ShiftOrder};
use ripcord_ports::{Applied, Deployer, PortError};

use super::deployer::{BETWEEN_POLLS, POLLS_MAX, Settable, live, order, reach, shift};
use super::rule::holds;
use crate::fault_proxy::{Canned, Fault, FaultProxy, Which};

/// Faults of one request, with their names.
pub(super) fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("a delay", Fault::Delay(Duration::from_millis(50))),
        ("a connection that broke before the question", Fault::Unsent),
        ("a lost answer", Fault::AnswerLost),
        ("an answer that was cut", Fault::AnswerCut(0)),
        ("a 429", Fault::Instead(Canned::later(429, 0))),
        ("a 503", Fault::Instead(Canned::later(503, 0))),
        ("a 500", Fault::Instead(Canned::failure(500))),
        ("a 404 from something before the system", Fault::Instead(Canned::failure(404))),
        ("a 502 in place of the answer", Fault::InPlaceOf(Canned::failure(502))),
        ("a repeated question", Fault::Twice),
        ("a page instead of an effect", Fault::Instead(Canned::page())),
        ("a success that changed nothing", Fault::Instead(Canned::empty_success())),
    ]
}

/// Whether the system does what it is asked.
pub(super) fn happens(fault: &Fault) -> bool {
    !matches!(fault, Fault::Unsent | Fault::Instead(_))
}

/// Checks the deployer, which must reach its system through `proxy`; `shifts` are the requests that make a shift. Whatever was live before is replaced.
pub async fn conforms_in_faults(
    deployer: &dyn Deployer,
    proxy: &FaultProxy,
    shifts: &Which,
    one: &Settable,
    two: &Settable,
) {
    assert_ne!(
        deployer.class(),
        EffectClass::Blind,
        "what is blind sees no fault: test its conformance alone"
    );
    settle_at(deployer, proxy, one).await;
    holds("live-is-told-truly-in-faults", reads(deployer, proxy, one)).await;
    holds("a-shift-is-asked-for-once", each_fault(deployer, proxy, shifts, one, two)).await;
    let unknown = everything_fails_after_the_shift(deployer, proxy, shifts, one, two);
    holds("unknown-when-nothing-answers", unknown).await;
    holds("not-reached-is-not-done", nothing_can_be_reached(deployer, proxy, one, two)).await;
    proxy.calm();
}

/// Every shift goes wrong once.
async fn each_fault(
    deployer: &dyn Deployer,
    proxy: &FaultProxy,
    shifts: &Which,
    one: &Settable,
    two: &Settable,
) {
    for (name, fault) in faults() {
        settle_at(deployer, proxy, one).await;
        proxy.order(shifts.clone(), fault.clone(), 1);
        let to_two = order(&format!("conformance: {name}"), two, live(deployer).await);
        let result = deployer.shift(&to_two).await;
        if happens(&fault) {
            assert_eq!(proxy.count(shifts), 1, "{name}: a shift that may have happened was asked for again");
        }
        proxy.calm();
        let wanted = Wanted { happened: happens(&fault), one, two };
        told_the_truth(deployer, &to_two, result.err(), &wanted, name).await;
        shift(deployer, &ShiftOrder { expecting: live(deployer).await, ..to_two }).await;
        reach(deployer, two).await;
    }
}

struct Wanted<'a> {
    happened: bool,
    one: &'a Settable,
    two: &'a Settable,
}

async fn told_the_truth(
    deployer: &dyn Deployer,
    order: &ShiftOrder,
    error: Option<PortError>,
    wanted: &Wanted<'_>,
    name: &str,
) {
    let there = if wanted.happened { wanted.two } else { wanted.one };
    match error {
        None => {}
        Some(error) if error.applied == Applied::No => {
            let state = live(deployer).await;
            assert!(
                state.serves(&wanted.one.target),
                "{name}: it is said to be as before and live is {state}: {error}"
            );
        }
        Some(error) => match settled(deployer, order).await {
            Probe::Applied => assert!(wanted.happened, "{name}: it did not happen: {error}"),
            Probe::NotApplied => assert!(!wanted.happened, "{name}: it happened: {error}"),
            // An idempotent system is asked again and need not tell.
            told => assert_eq!(
                deployer.class(),
                EffectClass::Idempotent,
                "{name}: live can be read and a probe says {told:?}"
            ),
        },
    }
    if deployer.class() != EffectClass::Idempotent || !wanted.happened {
        reach(deployer, there).await;
    }
}

/// Probes until the system has ended what it is at.
async fn settled(deployer: &dyn Deployer, order: &ShiftOrder) -> Probe {
    for _ in 0..POLLS_MAX {
        match deployer.probe(order).await {
            Ok(Probe::Underway(_)) => tokio::time::sleep(BETWEEN_POLLS).await,
            Ok(told) => return told,
            Err(error) => panic!("probe of {}: {error}", order.target),
        }
    }
    panic!("the shift to {} never ends", order.target);
}

/// Every read goes wrong once, and then all reads go wrong.
async fn reads(deployer: &dyn Deployer, proxy: &FaultProxy, one: &Settable) {
    for (name, fault) in faults() {
        for times in [1, usize::MAX] {
            proxy.calm();
            proxy.order(Which::Any, fault.clone(), times);
            match deployer.live().await.map(|live| live.state) {
                Ok(LiveState::Unknown(why)) => {
                    assert!(!why.is_empty(), "{name}: why live is unknown is not said")
                }
                Ok(state) => {
                    assert!(state.serves(&one.target), "{name}: live is {} and {state} is told", one.target)
                }
                Err(error) => {
                    assert_eq!(error.applied, Applied::No, "{name}: reading changes nothing: {error}")
                }
            }
        }
    }
    proxy.calm();
    assert!(live(deployer).await.serves(&one.target), "reading changes nothing");
}

/// The shift is made, and from then on nothing answers: that its outcome is unknown is the truth.
async fn everything_fails_after_the_shift(
    deployer: &dyn Deployer,
    proxy: &FaultProxy,
    shifts: &Which,
    one: &Settable,
    two: &Settable,
) {
    settle_at(deployer, proxy, one).await;
    proxy.order(shifts.clone(), Fault::AnswerLost, 1);
    let to_two = order("conformance: everything fails after the shift", two, live(deployer).await);
    let (result, ()) = tokio::join!(deployer.shift(&to_two), async {
        for _ in 0..10_000 {
            if proxy.count(shifts) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.order(Which::Any, Fault::Instead(Canned::failure(500)), usize::MAX);
    });
    if let Err(error) = result {
        assert_eq!(error.applied, Applied::Unknown, "it happened: {error}");
    }
    match deployer.probe(&to_two).await {
        Ok(Probe::NotApplied) => panic!("a probe that reads nothing says that nothing happened"),
        Ok(Probe::Applied) => panic!("a probe that reads nothing says that it happened"),
        Ok(Probe::Underway(_) | Probe::CannotTell(_)) | Err(_) => {}
    }
    proxy.calm();
    let wanted = Wanted { happened: true, one, two };
    told_the_truth(deployer, &to_two, None, &wanted, "nothing answered after the shift").await;
}

async fn nothing_can_be_reached(deployer: &dyn Deployer, proxy: &FaultProxy, one: &Settable, two: &Settable) {
    settle_at(deployer, proxy, one).await;
    let to_two = order("conformance: nothing can be reached", two, live(deployer).await);
    proxy.order(Which::Any, Fault::Unsent, usize::MAX);
    let Err(error) = deployer.shift(&to_two).await else {
        panic!("a shift is said to be made, and the system was not reached")
    };
    proxy.calm();
    let wanted = Wanted { happened: false, one, two };
    told_the_truth(deployer, &to_two, Some(error), &wanted, "nothing could be reached").await;
}

async fn settle_at(deployer: &dyn Deployer, proxy: &FaultProxy, wanted: &Settable) {
    proxy.calm();
    let mut order = order("conformance: settle", wanted, live(deployer).await);
    order.deadline = Millis::seconds(30);
    shift(deployer, &order).await;
    reach(deployer, wanted).await;
    proxy.calm();
}
