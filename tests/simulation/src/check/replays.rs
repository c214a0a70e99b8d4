//! Every decision can be made again, and says the same.

use std::collections::BTreeMap;

use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Decision, Event};
use ripcord_core::name::ServiceName;
use ripcord_sandbox::{Recording, Replayed, replay};

use super::{Broken, Step};
use crate::policies::policy;
use crate::store::Disk;

#[derive(Debug, Default)]
pub(crate) struct Book {
    recordings: Vec<BlobRef>,
}

fn decisions(event: &Event) -> Vec<&Decision> {
    match event {
        Event::TriggersAsked(asked) => {
            asked.asked.iter().flat_map(|one| one.searched.iter().chain([&one.decision])).collect()
        }
        Event::Planned(planned) => planned.decision.iter().collect(),
        Event::ApprovalsAsked(asked) => asked.asked.iter().map(|one| &one.decision).collect(),
        Event::VerificationsAsked(asked) => asked.asked.iter().map(|one| &one.decision).collect(),
        _ => Vec::new(),
    }
}

/// What a recording refers to.
fn contents(recording: &[u8], disk: &Disk) -> BTreeMap<Digest, Vec<u8>> {
    let Ok(recording) = Recording::read(recording) else { return BTreeMap::new() };
    let read = |content: &BlobRef| Some((content.commitment, disk.blob(content).ok()??));
    recording.contents().filter_map(read).collect()
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        self.recordings.extend(decisions(step.event).into_iter().map(|decision| decision.recording));
    }

    /// Invariant 8, for one decision in so many.
    pub(crate) fn again(
        &self,
        service: &ServiceName,
        disk: &Disk,
        one_in: u64,
        broken: &mut Vec<Broken>,
    ) -> u64 {
        let policy = policy();
        let mut made = 0;
        for recording in self.recordings.iter().step_by(one_in.max(1) as usize) {
            let Ok(Some(content)) = disk.blob(recording) else { continue };
            made += 1;
            let what = match replay(&policy, &content, &contents(&content, disk)) {
                Ok(Replayed::Same { .. } | Replayed::NotReproducible { .. }) => continue,
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            };
            broken.push(Broken { rule: "decisions-replay", service: service.clone(), what });
        }
        made
    }
}
