//! `[[services.NAME.waves]]`: what a version is shifted in.

use std::ops::Range;

use ripcord_core::ratio::Ratio;
use ripcord_core::time::Millis;
use ripcord_core::wave::{Moves, Wave, problem};
use ripcord_ports::Deployer;
use serde::Deserialize;
use toml::Spanned;

use super::place::Mistakes;
use super::table::Node;
use super::units::Seconds;

/// What a version is shifted in; nothing where it moves at once.
#[derive(Debug, Clone, Default)]
pub struct WavesConfig {
    /// Without the last wave, everything that is left.
    pub waves: Vec<Wave>,
    /// Of each wave.
    spans: Vec<Range<usize>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WaveKeys {
    place: Option<String>,
    share: Option<Spanned<f64>>,
    pause_seconds: Seconds,
}

impl WavesConfig {
    pub(super) fn take(service: &mut Node<'_>, mistakes: &mut Mistakes) -> Self {
        let mut all = Self::default();
        let before = mistakes.0.len();
        for node in service.take_tables("waves", mistakes) {
            let span = node.span.clone();
            let Some(keys) = node.read::<WaveKeys>(mistakes) else { continue };
            let moves = match (keys.place, keys.share) {
                (Some(place), None) => Moves::Place(place),
                (None, Some(share)) => match Ratio::new(*share.get_ref()) {
                    Ok(ratio) => Moves::Share(ratio),
                    Err(error) => {
                        mistakes.add(share.span(), error.to_string(), "write `share = 0.25` for a quarter");
                        continue;
                    }
                },
                _ => {
                    mistakes.add(
                        span,
                        "a wave moves either a place or a share of the traffic",
                        "write `place = \"NAME\"` or `share = 0.25`, and not both",
                    );
                    continue;
                }
            };
            let pause: Millis = keys.pause_seconds.0;
            all.waves.push(Wave { moves, pause });
            all.spans.push(span);
        }
        if mistakes.0.len() == before
            && let Some(why) = problem(&all.waves)
            && let Some(last) = all.spans.last()
        {
            mistakes.add(
                last.clone(),
                why,
                "see `[[services.NAME.waves]]` in the pages of the configuration",
            );
        }
        all
    }

    /// Says of each wave that the deployer cannot make that it cannot.
    pub(crate) fn check(&self, deployer: &dyn Deployer, mistakes: &mut Mistakes) {
        let name = deployer.name();
        for (wave, span) in self.waves.iter().zip(&self.spans) {
            if !deployer.waves(&wave.moves) {
                let message = format!("`{name}` cannot move {} and leave the rest as it is", wave.moves);
                mistakes.add(
                    span.clone(),
                    message,
                    "leave the waves out, or use a deployer that can: `command` can where its `shift` names `{place}`, `{share}` or `{wave}`",
                );
            }
        }
        if let (Some(span), false) = (self.spans.last(), deployer.waves(&Moves::Rest)) {
            let message = format!("`{name}` cannot move what is left after the waves");
            mistakes.add(span.clone(), message, "leave the waves out, or use a deployer that can");
        }
    }
}
