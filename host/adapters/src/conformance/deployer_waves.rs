//! What a deployer must do that moves a part at once and leaves the rest as it is.

use ripcord_ports::Deployer;
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, WaveOf};

use super::deployer::{BETWEEN_POLLS, POLLS_MAX, Settable, live, order, probe, reach, shift};
use super::request;
use super::rule::holds;

/// Checks the deployer with two things that it can set, and with parts that it can move one after the other, which leave something. Whatever was live
/// before is replaced; `two` is live everywhere afterwards.
pub async fn conforms_in_waves(deployer: &dyn Deployer, parts: &[Moves], one: &Settable, two: &Settable) {
    assert_ne!(
        deployer.class(),
        EffectClass::Blind,
        "what is blind shows no part: test its conformance alone"
    );
    holds("says-what-a-wave-sends", async { says_what_is_sent(deployer, parts, one) }).await;
    holds("a-wave-moves-its-part", moves_its_part(deployer, parts, one, two)).await;
}

fn says_what_is_sent(deployer: &dyn Deployer, parts: &[Moves], one: &Settable) {
    let waves = waves(parts);
    for (wave, next) in waves.iter().zip(&waves[1..]) {
        assert!(deployer.waves(&wave.moves), "it moves {}", wave.moves);
        let of = |wave: &WaveOf| deployer.request(&one.target, Some(wave));
        request::says(&|| of(wave), of(next), None);
    }
    assert!(deployer.waves(&Moves::Rest), "whatever moves a part moves the rest");
}

async fn moves_its_part(deployer: &dyn Deployer, parts: &[Moves], one: &Settable, two: &Settable) {
    shift(deployer, &order("waves-before", one, live(deployer).await)).await;
    reach(deployer, one).await;
    let waves = waves(parts);
    let last = waves.len() - 1;
    for (index, wave) in waves.into_iter().enumerate() {
        let before = live(deployer).await;
        let order = order(&format!("waves-{index}"), two, before.clone());
        let order = ShiftOrder { wave: Some(wave.clone()), ..order };
        let is_there = before.shows(&two.target, &wave.moves);
        if !is_there {
            assert_eq!(probe(deployer, &order).await, Probe::NotApplied, "{wave} was not begun");
        }
        shift(deployer, &order).await;
        shows(deployer, two, &wave).await;
        assert_eq!(probe(deployer, &order).await, Probe::Applied, "{wave} is there");
        let now = live(deployer).await;
        assert!(
            now.is_overlaid(&before, &[&two.target]),
            "{wave} changed what it does not move: live was {before} and is {now}"
        );
        if index < last {
            assert!(!now.serves(&two.target), "{wave} moved everything");
        }
        shift(deployer, &ShiftOrder { expecting: now, ..order }).await;
        shows(deployer, two, &wave).await;
    }
    reach(deployer, two).await;
}

/// The parts, and everything that is left.
fn waves(parts: &[Moves]) -> Vec<WaveOf> {
    assert!(!parts.is_empty() && !parts.contains(&Moves::Rest), "give parts that leave something");
    let all: Vec<_> = parts.iter().cloned().chain([Moves::Rest]).collect();
    let of = u32::try_from(all.len()).unwrap_or(u32::MAX);
    (0..of).zip(all).map(|(number, moves)| WaveOf { number, of, moves }).collect()
}

async fn shows(deployer: &dyn Deployer, wanted: &Settable, wave: &WaveOf) {
    let mut last = None;
    for _ in 0..POLLS_MAX {
        let state = live(deployer).await;
        if state.shows(&wanted.target, &wave.moves) {
            return;
        }
        last = Some(state);
        tokio::time::sleep(BETWEEN_POLLS).await;
    }
    panic!("{wave} of {} is never there: live is {last:?}", wanted.target);
}
