//! What every deployer must do.

use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::live::LiveState;
use ripcord_core::name::IncidentId;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::registry::Staged;
use ripcord_ports::{Applied, Deployer, ErrorKind};

use super::request;
use super::rule::holds;

pub(super) const POLLS_MAX: u32 = 200;
pub(super) const BETWEEN_POLLS: Duration = Duration::from_millis(50);

/// Something that the deployer under test can set.
#[derive(Debug, Clone)]
pub struct Settable {
    /// What it is.
    pub target: Target,
    /// Its artefact, for targets that have one.
    pub staged: Option<Staged>,
}

/// Checks the deployer with two things that it can set. Whatever was live before is replaced; `two` is live afterwards.
pub async fn conforms(deployer: &dyn Deployer, one: &Settable, two: &Settable) {
    if deployer.class() == EffectClass::Blind {
        return holds("a-blind-deployer-says-so", blind_conforms(deployer, one)).await;
    }
    holds("says-what-a-shift-sends", async {
        let of = |target: &Target| deployer.request(target, None);
        let odd = of(&Target::Other("no-such-kind".to_owned()));
        request::says(&|| of(&one.target), of(&two.target), odd.as_ref());
    })
    .await;
    holds("says-what-it-cannot-move-at-once", async { says_what_it_can_move(deployer, one) }).await;
    holds("reads-back-what-was-shifted", async {
        let before = live(deployer).await;
        shift(deployer, &order("conformance-1", one, before)).await;
        reach(deployer, one).await;
    })
    .await;
    let to_two = order("conformance-2", two, live(deployer).await);
    holds("a-probe-tells-what-happened", async {
        assert_eq!(
            probe(deployer, &to_two).await,
            Probe::NotApplied,
            "a shift that was not begun is not applied"
        );
        assert!(live(deployer).await.serves(&one.target), "a probe changes nothing");
        shift(deployer, &to_two).await;
        reach(deployer, two).await;
        assert_eq!(probe(deployer, &to_two).await, Probe::Applied, "a shift that is done is applied");
    })
    .await;
    holds("a-shift-repeats", async {
        let again = ShiftOrder { expecting: live(deployer).await, ..to_two.clone() };
        shift(deployer, &again).await;
        reach(deployer, two).await;
    })
    .await;
    holds("refuses-what-it-cannot-set", refuses_what_it_cannot_set(deployer, two)).await;
    if deployer.class() == EffectClass::Conditional {
        holds("expects-what-is-live", refuses_when_live_is_another(deployer, one, two)).await;
    }
}

/// What it cannot move at once it has no request for.
fn says_what_it_can_move(deployer: &dyn Deployer, one: &Settable) {
    for moves in [Moves::Place("eu".to_owned()), Moves::Share(Ratio::ONE), Moves::Rest] {
        let wave = WaveOf { number: 0, of: 2, moves };
        let can = deployer.waves(&wave.moves);
        let request = deployer.request(&one.target, Some(&wave));
        assert_eq!(request.is_some(), can, "whether it can move {} and what it says of it", wave.moves);
    }
}

async fn blind_conforms(deployer: &dyn Deployer, one: &Settable) {
    let unknown = live(deployer).await;
    let order = order("conformance-1", one, unknown);
    shift(deployer, &order).await;
    let probed = probe(deployer, &order).await;
    assert!(matches!(probed, Probe::CannotTell(_)), "a blind deployer leaves it to a person: {probed:?}");
}

async fn refuses_what_it_cannot_set(deployer: &dyn Deployer, two: &Settable) {
    let odd = Settable { target: Target::Other("no-such-kind".to_owned()), staged: None };
    let order = order("conformance-3", &odd, live(deployer).await);
    match deployer.shift(&order).await {
        Ok(shifted) => panic!("a target of an unknown kind was accepted: {shifted:?}"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
            assert_eq!(error.applied, Applied::No, "what is not supported has no effect: {error}");
        }
    }
    assert!(live(deployer).await.serves(&two.target), "a refusal changes nothing");
}

async fn refuses_when_live_is_another(deployer: &dyn Deployer, one: &Settable, two: &Settable) {
    let elsewhere = LiveState::Serving(Vec::new());
    match deployer.shift(&order("conformance-4", one, elsewhere)).await {
        Ok(shifted) => panic!("a conditional deployer went on although live was another: {shifted:?}"),
        Err(error) => {
            assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
        }
    }
    assert!(live(deployer).await.serves(&two.target), "a conflict changes nothing");
}

/// An order for `settable`.
pub fn order(key: &str, settable: &Settable, expecting: LiveState) -> ShiftOrder {
    let Ok(incident) = IncidentId::new("conformance:1") else { panic!("the suite's own name is valid") };
    ShiftOrder {
        key: key.to_owned(),
        target: settable.target.clone(),
        expecting,
        staged: settable.staged.clone(),
        wave: None,
        incident,
        plan: Digest::of("the plan of the suite"),
        deadline: Millis::seconds(10),
    }
}

pub(super) async fn live(deployer: &dyn Deployer) -> LiveState {
    match deployer.live().await {
        Ok(live) => live.state,
        Err(error) => panic!("live: {error}"),
    }
}

pub(super) async fn shift(deployer: &dyn Deployer, order: &ShiftOrder) -> Shifted {
    deployer.shift(order).await.unwrap_or_else(|error| panic!("shift to {}: {error}", order.target))
}

pub(super) async fn probe(deployer: &dyn Deployer, order: &ShiftOrder) -> Probe {
    deployer.probe(order).await.unwrap_or_else(|error| panic!("probe of {}: {error}", order.target))
}

/// Reads live until it is what was ordered.
pub(super) async fn reach(deployer: &dyn Deployer, wanted: &Settable) {
    let mut seen = live(deployer).await;
    for _ in 0..POLLS_MAX {
        if seen.serves(&wanted.target) {
            return;
        }
        tokio::time::sleep(BETWEEN_POLLS).await;
        seen = live(deployer).await;
    }
    panic!("{} was ordered and live is {seen}", wanted.target);
}
