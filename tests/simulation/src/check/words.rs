//! A person's word is about the incident that they meant, or about nothing.

use ripcord_core::blob::BlobRef;
use ripcord_core::event::Event;

use super::Step;

/// The reason that a person of the simulation gives names the incident that they have before their eyes.
pub(crate) const ABOUT: &str = "about ";

pub(crate) fn step(step: &mut Step<'_>) {
    let reason: &BlobRef = match step.event {
        Event::Aborted(said) | Event::Dismissed(said) => &said.reason,
        Event::ShiftAnswered(answered) => &answered.reason,
        _ => return,
    };
    let text = step.text(reason);
    let Some(meant) = text.strip_prefix(ABOUT) else { return };
    let open = step.before.incident.as_ref().map(|incident| incident.id.to_string()).unwrap_or_default();
    if meant != open {
        step.broke("words-reach-what-they-mean", format!("a word about `{meant}` reached `{open}`"));
    }
}
