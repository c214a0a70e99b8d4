//! What a planner suspects of the harm, most likely first.

use ripcord_core::event::{PlanWord, Planned};
use ripcord_core::ratio::Ratio;
use ripcord_core::role::Suspect;
use ripcord_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Reader;
use crate::fold::ReadError;

/// The changes that may have done a harm, as a planner ranked them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// `name@version` of the planner.
    pub by: String,
    /// When it was asked.
    pub at: UnixMillis,
    /// Whether it is on record, as a decision of the incident. Else the planner was only asked.
    pub recorded: bool,
    /// Most likely first; empty where the planner ranks nothing.
    pub suspects: Vec<Suspect>,
    /// Whether the suspects were erased, because they were older than they are kept.
    pub erased: bool,
    /// How sure the planner is that the first target takes the cause away, where it says so.
    pub confidence: Option<Ratio>,
    /// Who can help where going back does not, where the planner says so.
    pub hand_over_to: Option<String>,
}

impl Reader<'_> {
    /// What the planner said last; where a person named the target none was asked, and what was said before still stands.
    pub(super) async fn note_ranking(&mut self, at: UnixMillis, planned: &Planned) -> Result<(), ReadError> {
        let Some(decision) = &planned.decision else { return Ok(()) };
        let stored = match &planned.suspects {
            Some(reference) => self.store.blob(reference).await?,
            None => Some(b"[]".to_vec()),
        };
        let suspects = stored.and_then(|bytes| serde_json::from_slice::<Vec<Suspect>>(&bytes).ok());
        let hand_over_to = match &planned.word {
            PlanWord::WillNotHelp { hand_over_to: Some(who), .. } => Some(self.text(who).await?),
            _ => None,
        };
        self.ranking = Some(Ranking {
            by: decision.policy.to_string(),
            at,
            recorded: true,
            erased: suspects.is_none(),
            suspects: suspects.unwrap_or_default(),
            confidence: planned.confidence,
            hand_over_to,
        });
        Ok(())
    }
}
