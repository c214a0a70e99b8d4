//! Shifts in waves: what is moved at once, and how long it is waited before it is looked at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::live::LiveState;
use crate::ratio::Ratio;
use crate::time::Millis;

/// Waves of one service, the last one, which has no entry, not counted: nobody reads more before they agree to them.
pub const WAVES_MAX: usize = 16;

/// The longest pause after a wave: what is waited for longer is a plan of its own.
pub const PAUSE_MAX: Millis = Millis::hours(24);

/// What is moved at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moves {
    /// All that serves at this place.
    Place(String),
    /// So much of the traffic over all places, what earlier waves moved counted in.
    Share(Ratio),
    /// Everything that is left, and away with what served it before.
    Rest,
}

/// A part of a shift that is made at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// What it moves.
    pub moves: Moves,
    /// How long it is waited, once it is there, before it is looked at. Nothing after the last one: it is verified at once.
    pub pause: Millis,
}

/// One wave of a plan, by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveOf {
    /// Counted from zero.
    pub number: u32,
    /// Of how many, the last one counted in.
    pub of: u32,
    /// What it moves.
    pub moves: Moves,
}

impl Wave {
    /// The last one.
    pub const REST: Self = Self { moves: Moves::Rest, pause: Millis(0) };
}

/// What a service is shifted in: these waves and the last one, without those at places that serve nothing in `live`; none where it moves at once.
pub fn waves_under(configured: &[Wave], live: &LiveState) -> Vec<Wave> {
    let moves_something = |wave: &&Wave| match &wave.moves {
        Moves::Place(place) => live.serves_at(place) != Some(false),
        Moves::Share(_) | Moves::Rest => true,
    };
    let mut waves: Vec<_> = configured.iter().filter(moves_something).cloned().collect();
    if !waves.is_empty() {
        waves.push(Wave::REST);
    }
    waves
}

/// Why nobody can shift in these waves, with what can be done; none where they make sense. The last one has no entry.
pub fn problem(configured: &[Wave]) -> Option<String> {
    if configured.len() > WAVES_MAX {
        return Some(format!("a shift has {WAVES_MAX} waves at most beside the last one: leave some out"));
    }
    if let Some(wave) = configured.iter().find(|wave| wave.pause > PAUSE_MAX) {
        return Some(format!("the pause after {} is longer than {PAUSE_MAX}: shorten it", wave.moves));
    }
    let mut before: Option<&Moves> = None;
    for (index, wave) in configured.iter().enumerate() {
        match (&wave.moves, before) {
            (Moves::Rest, _) => {
                return Some("the last wave, everything that is left, has no entry: leave it out".to_owned());
            }
            (Moves::Place(place), _) if place.trim().is_empty() => {
                return Some("a wave names no place: name one as the deployer does".to_owned());
            }
            (Moves::Place(place), _)
                if configured[..index].iter().any(|wave| wave.moves == Moves::Place(place.clone())) =>
            {
                return Some(format!("two waves move the place `{place}`: leave one out"));
            }
            (Moves::Share(share), _) if share.get() <= 0.0 => {
                return Some("a wave moves no share of the traffic: give it more than 0".to_owned());
            }
            (Moves::Share(share), Some(Moves::Share(earlier))) if share <= earlier => {
                return Some(format!(
                    "a wave of {} follows one of {}, and shares count what is moved altogether: let them rise",
                    wave.moves,
                    Moves::Share(*earlier)
                ));
            }
            (Moves::Place(_), Some(Moves::Share(_))) | (Moves::Share(_), Some(Moves::Place(_))) => {
                return Some(
                    "some waves go by place and some by share: have all of a service go by one of them"
                        .to_owned(),
                );
            }
            _ => {}
        }
        before = Some(&wave.moves);
    }
    None
}

impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => write!(f, "place {place}"),
            Self::Share(share) => {
                let percent = (share.get() * 1_000.0).round() / 10.0;
                write!(f, "{percent} % of the traffic")
            }
            Self::Rest => f.write_str("everything that is left"),
        }
    }
}

impl fmt::Display for WaveOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wave {} of {}: {}", self.number.saturating_add(1), self.of, self.moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Wave {
        Wave { moves: Moves::Place(name.into()), pause: Millis::minutes(5) }
    }

    fn share(of: f64) -> Wave {
        Wave { moves: Moves::Share(Ratio::new(of).unwrap()), pause: Millis::minutes(5) }
    }

    #[test]
    fn waves_that_make_no_sense_say_why() {
        let long = Wave { pause: Millis::hours(25), ..place("eu") };
        let many = |count: usize| (0..count).map(|index| place(&format!("p{index}"))).collect::<Vec<_>>();
        for (waves, word) in [
            (many(WAVES_MAX + 1), "16 waves at most"),
            (vec![long], "longer than"),
            (vec![place("eu"), Wave::REST], "has no entry"),
            (vec![place(" ")], "names no place"),
            (vec![place("eu"), place("us"), place("eu")], "two waves move the place `eu`"),
            (vec![share(0.0)], "more than 0"),
            (vec![share(0.5), share(0.5)], "let them rise"),
            (vec![share(0.5), share(0.25)], "25 % of the traffic follows one of 50 %"),
            (vec![place("eu"), share(0.5)], "by one of them"),
            (vec![share(0.5), place("eu")], "by one of them"),
        ] {
            let problem = problem(&waves);
            assert!(problem.as_deref().unwrap_or_default().contains(word), "{word}: {problem:?}");
        }
        for fine in [Vec::new(), many(WAVES_MAX), vec![place("eu")], vec![share(0.1), share(0.5), share(1.0)]]
        {
            assert_eq!(problem(&fine), None);
        }
    }

    #[test]
    fn the_last_wave_is_implied_and_a_place_that_serves_nothing_has_none() {
        let unknown = LiveState::Unknown("it does not answer".into());
        assert_eq!(waves_under(&[], &unknown), []);
        assert_eq!(waves_under(&[place("eu")], &unknown), [place("eu"), Wave::REST]);
        assert_eq!(waves_under(&[share(0.5)], &LiveState::Serving(Vec::new())), [share(0.5), Wave::REST]);
        assert_eq!(waves_under(&[place("eu")], &LiveState::Serving(Vec::new())), []);
    }

    #[test]
    fn a_wave_is_told_in_words() {
        let of = |number, moves| WaveOf { number, of: 3, moves }.to_string();
        assert_eq!(of(0, Moves::Place("eu".into())), "wave 1 of 3: place eu");
        assert_eq!(of(1, share(0.125).moves), "wave 2 of 3: 12.5 % of the traffic");
        assert_eq!(of(2, Moves::Rest), "wave 3 of 3: everything that is left");
    }
}
