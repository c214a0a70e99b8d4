//! Waves: none begins before what the one before it moved was seen there, and its pause was over.

use ripcord_core::digest::Digest;
use ripcord_core::event::Event;
use ripcord_core::time::UnixMillis;

use super::Step;

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The last wave that a read-back has shown: of which plan, its rung, its number, when.
    shown: Option<(Digest, u32, u32, UnixMillis)>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        let Some(incident) = &step.before.incident else { return };
        let Some(plan) = incident.plan() else { return };
        match step.event {
            Event::ReadBack(read) => {
                let there = incident.target(read.rung).is_some_and(|target| {
                    read.plan == plan.digest && read.live.state().shows(target, plan.moves(read.wave))
                });
                if there {
                    self.shown = Some((read.plan, read.rung, read.wave, step.at));
                }
            }
            Event::ShiftBegan(began) if began.wave > 0 => {
                let before = began.wave - 1;
                let pause = plan.waves.get(before as usize).map(|wave| wave.pause).unwrap_or_default();
                let waited = self.shown.is_some_and(|(of, rung, wave, at)| {
                    (of, rung, wave) == (began.plan, began.rung, before) && at + pause <= step.at
                });
                if !waited {
                    let what =
                        format!("wave {} began after {:?}, and {pause} are to pass", began.wave, self.shown);
                    step.broke("a-wave-follows-a-look", what);
                }
            }
            _ => {}
        }
    }
}
