//! One incident for people: derived from the journal and its blobs, so it works without a running host.

use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::event::{
    ApprovalWord, Decision, Event, EvidenceItem, Observed, PlanWord, ProbeWord, Said, ShiftOutcome,
    SignalTaken, TriggerWord, VerificationWord,
};
use ripcord_core::fact::Outcome;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::plan::{Plan, Vote};
use ripcord_core::role::Finding;
use ripcord_core::service::{Incident, Marks, Phase, Service};
use ripcord_core::signal::SignalStatus;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use serde::{Deserialize, Serialize};

use crate::fold::{FoldError, fold};
use crate::replay::decisions_of;

/// Where the time went. Each part is the time between two marks of the incident; a part that has not ended is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Split {
    /// From the harm (or, where that is not known, the first signal) to the incident.
    pub detect: Option<Millis>,
    /// From the incident to the plan: evidence, planner, pins.
    pub decide: Option<Millis>,
    /// From the plan to its grant.
    pub wait_for_people: Option<Millis>,
    /// From the grant to the read-back that shows the target.
    pub act: Option<Millis>,
    /// From the read-back to the end.
    pub verify: Option<Millis>,
    /// From the first mark to the last.
    pub total: Option<Millis>,
}

/// One line of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// When.
    pub at: UnixMillis,
    /// Since the first line.
    pub since_start: Millis,
    /// What.
    pub text: String,
}

/// One policy call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// When.
    pub at: UnixMillis,
    /// `trigger`, `planner`, `approval` or `verification`.
    pub role: String,
    /// `name@version`.
    pub policy: String,
    /// Of the component.
    pub digest: Digest,
    /// What it said, in a few words.
    pub said: String,
    /// Over all rounds.
    pub fuel: u64,
    /// Calls.
    pub rounds: u32,
}

/// A piece of evidence that could not be preserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLine {
    /// Such as `request-log`.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One incident, for people and scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Its id.
    pub id: IncidentId,
    /// Of which service.
    pub service: ServiceName,
    /// How it ended; `open` while it has not.
    pub outcome: Outcome,
    /// Where it is.
    pub phase: String,
    /// When it opened.
    pub opened_at: UnixMillis,
    /// When it ended.
    pub settled_at: Option<UnixMillis>,
    /// Why it was opened.
    pub cause: String,
    /// Who asked.
    pub requested_by: Vec<String>,
    /// What was served when it opened.
    pub before: Option<String>,
    /// What the last read-back showed.
    pub after: Option<String>,
    /// How that was proved.
    pub proof: Option<Proof>,
    /// Where the time went.
    pub split: Split,
    /// The plan at hand.
    pub plan: Option<Plan>,
    /// What approvals are given to.
    pub plan_digest: Option<Digest>,
    /// Votes for it.
    pub votes: Vec<Vote>,
    /// What is wanted of a person.
    pub needs: Option<String>,
    /// What was preserved.
    pub evidence: Vec<EvidenceItem>,
    /// What could not be.
    pub missing: Vec<MissingLine>,
    /// What the verification policies found last.
    pub findings: Vec<Finding>,
    /// Every policy call.
    pub decisions: Vec<DecisionLine>,
    /// What happened, in order.
    pub timeline: Vec<TimelineLine>,
}

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A journal cannot be read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such incident.
    #[error("there is no incident `{0}`; `ripcord incidents list` shows all")]
    Unknown(IncidentId),
}

/// Reads one incident from its service's journal.
pub async fn incident(store: &dyn Store, id: &IncidentId) -> Result<IncidentView, ViewError> {
    let unknown = || ViewError::Unknown(id.clone());
    let service = id.service().ok_or_else(unknown)?;
    let folded = fold(store, &service).await?;
    let mut reader = Reader {
        store,
        state: Service::new(service.clone()),
        lines: Vec::new(),
        after: None,
        decisions: Vec::new(),
    };
    let mut found: Option<Incident> = None;
    for (at, event) in &folded.events {
        let before = reader.incident(id).is_some();
        if let Ok(next) = reader.state.apply(*at, event) {
            reader.state = next;
        }
        let now = reader.incident(id).cloned();
        if let (false, Some(opened)) = (before, &now) {
            reader.tell_first_signals(opened);
        }
        if before || now.is_some() {
            reader.tell(*at, event).await?;
            found = now.or_else(|| reader.state.last_settled.clone().filter(|last| last.id == *id)).or(found);
        }
    }
    let incident = found.ok_or_else(unknown)?;
    reader.finish(incident, service).await
}

struct Reader<'a> {
    store: &'a dyn Store,
    state: Service,
    lines: Vec<(UnixMillis, String)>,
    after: Option<LiveState>,
    decisions: Vec<DecisionLine>,
}

impl Reader<'_> {
    fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.state.incident.as_ref().filter(|incident| incident.id == *id)
    }

    async fn text(&self, reference: &BlobRef) -> Result<String, ViewError> {
        let bytes = self.store.blob(reference).await?;
        Ok(bytes.map_or_else(|| "(erased)".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn line(&mut self, at: UnixMillis, text: impl Into<String>) {
        self.lines.push((at, text.into()));
    }

    async fn live(&self, observed: &Observed) -> Result<LiveState, ViewError> {
        Ok(match observed {
            Observed::Serving(shares) => LiveState::Serving(shares.clone()),
            Observed::Unknown(reason) => LiveState::Unknown(self.text(reason).await?),
        })
    }

    fn decision(&mut self, at: UnixMillis, decision: &Decision, said: String) {
        self.decisions.push(DecisionLine {
            at,
            role: decision.role.to_string(),
            policy: decision.policy.to_string(),
            digest: decision.policy.digest,
            said,
            fuel: decision.fuel,
            rounds: decision.rounds,
        });
    }

    /// The signals that the incident was opened with were taken before there was one: the first, and how many came with it.
    fn tell_first_signals(&mut self, opened: &Incident) {
        let signals: Vec<SignalTaken> = self
            .state
            .watching
            .signals
            .iter()
            .filter(|signal| opened.signals.contains(&signal.taken.signal))
            .map(|signal| signal.taken.clone())
            .collect();
        let Some(first) = signals.iter().min_by_key(|signal| signal.received_at) else { return };
        let others = match signals.len() - 1 {
            0 => String::new(),
            1 => "; one more until the incident opened".to_owned(),
            more => format!("; {more} more until the incident opened"),
        };
        self.line(first.received_at, format!("{}{others}", signal_line(first)));
    }

    /// One or more lines for an event, and its decisions.
    async fn tell(&mut self, at: UnixMillis, event: &Event) -> Result<(), ViewError> {
        let said = self.said(event).await?;
        for (decision, said) in decisions_of(event).into_iter().zip(&said) {
            self.decision(at, decision, said.clone());
        }
        let text = match event {
            Event::SignalTaken(taken) => Some(signal_line(taken)),
            Event::TriggersAsked(asked) => {
                let each = asked
                    .asked
                    .iter()
                    .zip(&said)
                    .map(|(one, said)| format!("{}: {said}", one.decision.policy.name));
                Some(format!("triggers asked: {}", each.collect::<Vec<_>>().join("; ")))
            }
            Event::PullRequested(pull) => {
                let to =
                    pull.target.as_ref().map_or_else(|| "where the planner says".into(), ToString::to_string);
                Some(format!("{} pulled the cord, to {to}: {}", pull.person, self.text(&pull.reason).await?))
            }
            Event::EvidencePreserved(preserved) => {
                let live = self.live(&preserved.live).await?;
                let missing = if preserved.missing.is_empty() {
                    String::new()
                } else {
                    format!(", {} missing", preserved.missing.len())
                };
                Some(format!("evidence preserved: {} pieces{missing}; live is {live}", preserved.items.len()))
            }
            Event::Planned(planned) => Some(match &planned.word {
                PlanWord::Drafted(plan) => {
                    let ladder: Vec<_> = plan.targets.iter().map(ToString::to_string).collect();
                    format!(
                        "plan {} made: {} (digest {})",
                        plan.number,
                        ladder.join(", then "),
                        plan.digest.short()
                    )
                }
                PlanWord::NothingSuitable(why) => format!("nothing to go back to: {}", self.text(why).await?),
                PlanWord::WillNotHelp(why) => format!("a rollback would not help: {}", self.text(why).await?),
                PlanWord::Failed { reason, .. } => {
                    format!("no plan could be made: {}", self.text(reason).await?)
                }
            }),
            Event::PlanLost(lost) => Some(format!("the plan's content {}", lost.loss.as_str())),
            Event::ApprovalsAsked(asked) => {
                let each = asked
                    .asked
                    .iter()
                    .zip(&said)
                    .map(|(one, said)| format!("{}: {said}", one.decision.policy.name));
                Some(format!("approval asked: {}", each.collect::<Vec<_>>().join("; ")))
            }
            Event::Voted(voted) => {
                let word = if voted.vote.granted { "approved" } else { "refused" };
                let how = if voted.signature.is_some() { "by signature" } else { "by session" };
                Some(format!("{} {word} plan {} {how}", voted.vote.person, voted.plan.short()))
            }
            Event::Staged(staged) => {
                let digest =
                    staged.digest.map(|digest| format!(", digest {}", digest.short())).unwrap_or_default();
                Some(format!("artefact fetched and checked{digest}"))
            }
            Event::StageFailed(failed) => {
                Some(format!("artefact not fetched: {}", self.text(&failed.reason).await?))
            }
            Event::GuardRead(read) => Some(format!("guard: live is {}", self.live(&read.live).await?)),
            Event::ShiftBegan(began) => {
                Some(format!("shift begun (rung {}, attempt {})", began.rung + 1, began.attempt))
            }
            Event::ShiftReturned(returned) => Some(match &returned.outcome {
                ShiftOutcome::Done => "shift done".into(),
                ShiftOutcome::Underway => "shift under way".into(),
                ShiftOutcome::NotApplied { reason, .. } => {
                    format!("shift not applied: {}", self.text(reason).await?)
                }
                ShiftOutcome::Unknown(why) => format!("shift's outcome not known: {}", self.text(why).await?),
            }),
            Event::ShiftProbed(probed) => Some(match &probed.word {
                ProbeWord::Applied => "probe: the shift happened".into(),
                ProbeWord::NotApplied => "probe: the shift did not happen".into(),
                ProbeWord::Underway => "probe: the shift is under way".into(),
                ProbeWord::CannotTell(why) => format!("probe: nothing can tell: {}", self.text(why).await?),
                ProbeWord::NoAnswer(why) => format!("probe: no answer: {}", self.text(why).await?),
            }),
            Event::ShiftAnswered(answered) => {
                Some(format!("{} says that the shift was {:?}", answered.person, answered.applied))
            }
            Event::ReadBack(read) => {
                let live = self.live(&read.live).await?;
                let proof =
                    live.weakest_proof().map(|proof| format!(", proved by {proof}")).unwrap_or_default();
                let text = format!("read back: live is {live}{proof}");
                self.after = Some(live);
                Some(text)
            }
            Event::TrialRan(_) => Some("golden data sent through the service".into()),
            Event::VerificationsAsked(asked) => {
                let each = asked
                    .asked
                    .iter()
                    .zip(&said)
                    .map(|(one, said)| format!("{}: {said}", one.decision.policy.name));
                Some(format!("verification asked: {}", each.collect::<Vec<_>>().join("; ")))
            }
            Event::LiveWatched(_) => Some("the hold was broken: the condemned version is live again".into()),
            Event::Aborted(said) => {
                Some(format!("{} aborted it: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Dismissed(said) => {
                Some(format!("{} dismissed it: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Paused(said) => Some(format!("{} paused the service", said.person)),
            Event::Resumed(said) => Some(format!("{} let the service go on", said.person)),
            Event::ClockJumped { by } => Some(format!("the host's clock jumped forward by {by}")),
            Event::Woke
            | Event::Announced(_)
            | Event::Configured(_)
            | Event::HoldMarked(_)
            | Event::HoldLifted(_)
            | Event::Adopted(_) => None,
        };
        if let Some(text) = text {
            self.line(at, text);
        }
        Ok(())
    }

    /// What each decision of an event said.
    async fn said(&self, event: &Event) -> Result<Vec<String>, ViewError> {
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
                PlanWord::WillNotHelp(_) => "a rollback would not help".into(),
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

    async fn finish(mut self, incident: Incident, service: ServiceName) -> Result<IncidentView, ViewError> {
        let (outcome, needs) = match &incident.phase {
            Phase::Settled(outcome) => (outcome.clone(), None),
            Phase::NeedsPerson(need) => (Outcome::Open, Some(need.text.clone())),
            _ => (Outcome::Open, None),
        };
        if let Phase::Settled(outcome) = &incident.phase
            && let Some(at) = incident.marks.settled_at
        {
            self.line(at, format!("settled: {outcome}"));
        }
        let mut missing = Vec::new();
        for gap in &incident.missing {
            missing.push(MissingLine { name: gap.name.clone(), reason: self.text(&gap.reason).await? });
        }
        let mut findings = Vec::new();
        for blob in incident.findings.values() {
            let bytes = self.store.blob(blob).await?.unwrap_or_default();
            findings.extend(serde_json::from_slice::<Vec<Finding>>(&bytes).unwrap_or_default());
        }
        let plan = match incident.plan() {
            Some(drafted) => {
                self.store.blob(&drafted.content).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok())
            }
            None => None,
        };
        let before = match &incident.live {
            Some(live) => Some(self.live(live).await?.to_string()),
            None => None,
        };
        let start = self.lines.first().map_or(incident.marks.opened_at, |(at, _)| *at);
        Ok(IncidentView {
            outcome,
            needs,
            missing,
            findings,
            before,
            plan,
            phase: incident.phase_name().to_owned(),
            cause: self.text(&incident.reason.cause).await?,
            requested_by: incident.requested_by.iter().map(ToString::to_string).collect(),
            opened_at: incident.marks.opened_at,
            settled_at: incident.marks.settled_at,
            after: self.after.as_ref().map(ToString::to_string),
            proof: self.after.as_ref().and_then(LiveState::weakest_proof),
            split: split(&incident.marks),
            plan_digest: incident.plan().map(|plan| plan.digest),
            votes: incident.votes,
            evidence: incident.evidence,
            decisions: self.decisions,
            timeline: self
                .lines
                .into_iter()
                .map(|(at, text)| TimelineLine { at, since_start: at.since(start), text })
                .collect(),
            id: incident.id,
            service,
        })
    }
}

fn signal_line(taken: &SignalTaken) -> String {
    let status = if taken.status == SignalStatus::Firing { "firing" } else { "resolved" };
    format!("signal from {}: {status}, {}", taken.origin, taken.severity)
}

fn split(marks: &Marks) -> Split {
    let between = |from: Option<UnixMillis>, to: Option<UnixMillis>| Some(to?.since(from?));
    let (opened, start) =
        (Some(marks.opened_at), marks.harm_began_at.or(marks.signalled_at).or(Some(marks.opened_at)));
    Split {
        detect: between(start, opened),
        decide: between(opened, marks.planned_at),
        wait_for_people: between(marks.planned_at, marks.granted_at),
        act: between(marks.granted_at, marks.read_back_at),
        verify: between(marks.read_back_at, marks.settled_at),
        total: between(start, marks.settled_at),
    }
}
