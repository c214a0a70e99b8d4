//! What policies said, in a few words.

use ripcord_core::event::{ApprovalWord, Event, PlanWord, Said, TriggerWord, VerificationWord};

use super::Reader;
use crate::fold::ReadError;

impl Reader<'_> {
    /// What each decision of an event said.
    pub(super) async fn said(&self, event: &Event) -> Result<Vec<String>, ReadError> {
        let mut said = Vec::new();
        match event {
            Event::TriggersAsked(asked) => {
                for one in &asked.asked {
                    said.push(match &one.said {
                        Said::Fault(nature) => format!("fault ({nature:?})"),
                        Said::Verdict(TriggerWord::Ignore) => "ignore".into(),
                        Said::Verdict(TriggerWord::Watch(_)) => "watch".into(),
                        Said::Verdict(TriggerWord::StandDown(why)) => {
                            format!("stand down: {}", self.text(why).await?)
                        }
                        Said::Verdict(TriggerWord::RollBack(reason)) => {
                            format!("roll back: {}", self.text(&reason.cause).await?)
                        }
                    });
                }
            }
            Event::Planned(planned) => said.push(match &planned.word {
                PlanWord::Drafted(plan) => format!("a ladder of {}", plan.targets.len()),
                PlanWord::NothingSuitable(_) => "nothing suitable".into(),
                PlanWord::WillNotHelp { .. } => "a rollback would not help".into(),
                PlanWord::Failed { .. } => "no plan".into(),
            }),
            Event::ApprovalsAsked(asked) => {
                for one in &asked.asked {
                    said.push(match &one.said {
                        Said::Fault(nature) => format!("fault ({nature:?})"),
                        Said::Verdict(ApprovalWord::Granted) => "granted".into(),
                        Said::Verdict(ApprovalWord::Refused(why)) => {
                            format!("refused: {}", self.text(why).await?)
                        }
                        Said::Verdict(ApprovalWord::Waiting { quorums, .. }) => {
                            let wanted: Vec<_> =
                                quorums.iter().map(|q| format!("{} {}", q.people, q.role)).collect();
                            format!("waits for {}", wanted.join(" and "))
                        }
                    });
                }
            }
            Event::VerificationsAsked(asked) => {
                said.extend(asked.asked.iter().map(|one| match &one.said {
                    Said::Fault(nature) => format!("fault ({nature:?})"),
                    Said::Verdict(VerificationWord::Healthy) => "healthy".into(),
                    Said::Verdict(VerificationWord::Unhealthy) => "unhealthy".into(),
                    Said::Verdict(VerificationWord::Inconclusive(_)) => "inconclusive".into(),
                }));
            }
            _ => {}
        }
        Ok(said)
    }
}
