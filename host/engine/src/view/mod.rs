//! One incident for people: derived from the journal and its blobs, so it works without a running host.

mod lines;
mod ranking;
mod runs;
mod said;
mod timeline;

use std::collections::BTreeMap;

use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Decision, Event, FingerprintWord, Measured, Observed, ObservedFacet};
use ripcord_core::facet::{Facet, FacetState, read_of};
use ripcord_core::fact::Outcome;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::{IncidentId, PersonName, ServiceName, VersionName};
use ripcord_core::plan::Plan;
use ripcord_core::role::Finding;
use ripcord_core::service::{Incident, Opener, Phase, Run, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Store;
use ripcord_ports::store::Span;

use crate::fold::ReadError;
use crate::fold_error::FoldError;
use crate::history::History;
use crate::read_model::run_of;

pub use lines::{
    DecisionLine, IncidentView, MissingLine, NoHelpLine, RequestLine, ScoreAgain, Split, TimelineLine,
    VoteLine,
};
pub use ranking::Ranking;

/// Records after the end of an incident that are in memory at a time.
const PAGE: u32 = 256;

/// Reads one incident from its service's journal: its own records, from the state that was kept when it opened.
pub async fn incident(store: &dyn Store, id: &IncidentId) -> Result<IncidentView, ReadError> {
    let unknown = || ReadError::Unknown(id.clone());
    let service = id.service().ok_or_else(unknown)?;
    let spans = store.timeline(id).await?;
    let history = match spans.first() {
        Some(first) => History::from_snapshot(store, &service, first.first).await?,
        // The timeline is derived: without one the journal tells, only slower.
        None => History::whole(store, &service),
    };
    let mut reader = Reader {
        store,
        history,
        lines: Vec::new(),
        after: None,
        fingerprint: FingerprintWord::default(),
        preflight: None,
        decisions: Vec::new(),
        ranking: None,
        requests: Vec::new(),
        measured: None,
        score_again: None,
        failed: None,
        not_promoted: None,
        said_of_votes: BTreeMap::new(),
    };
    let Some(incident) = reader.read_open(id, spans.is_empty()).await? else {
        // A timeline that leads nowhere is not believed either.
        return Err(unknown());
    };
    for span in &spans {
        reader.read_after(id, ordered_run(&incident), *span).await?;
    }
    reader.finish(incident, service).await
}

struct Reader<'a> {
    store: &'a dyn Store,
    history: History<'a>,
    lines: Vec<(UnixMillis, String)>,
    after: Option<Seen>,
    fingerprint: FingerprintWord,
    preflight: Option<String>,
    decisions: Vec<DecisionLine>,
    ranking: Option<Ranking>,
    requests: Vec<RequestLine>,
    measured: Option<Measured>,
    score_again: Option<ScoreAgain>,
    failed: Option<String>,
    /// The version that the registry's production name was last not moved to.
    not_promoted: Option<VersionName>,
    /// Of the last vote of each person.
    said_of_votes: BTreeMap<PersonName, SaidOfVote>,
}

/// What came with a vote.
#[derive(Default)]
struct SaidOfVote {
    reason: Option<String>,
    signed: Option<String>,
}

/// What a read-back has shown.
struct Seen {
    /// Of every facet, in words.
    state: String,
    /// How what the plan moves was proved.
    proof: Option<Proof>,
}

impl Reader<'_> {
    /// The state after what was told last.
    fn state(&self) -> &Service {
        self.history.state()
    }

    fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.state().incident.as_ref().filter(|incident| incident.id == *id)
    }

    /// Tells all until the incident has ended, or to the end of the journal; the incident as it was last.
    async fn read_open(&mut self, id: &IncidentId, to_the_end: bool) -> Result<Option<Incident>, ReadError> {
        let mut found: Option<Incident> = None;
        loop {
            let before = self.incident(id).is_some();
            // A copy of the alerts costs the same however many there are.
            let alerts = self.state().watching.alerts.clone();
            let Some(step) = self.history.next().await? else { break };
            let now = self.incident(id).cloned();
            let settled = self.state().last_settled.clone().filter(|last| last.id == *id);
            if !before && found.is_none() {
                // One that opened and ended at once is in no state as an open one.
                if let Some(opened) = now.clone().or(settled) {
                    self.tell_first_signals(&opened, &alerts);
                    self.tell(step.at, &step.event).await?;
                    found = Some(opened);
                }
                continue;
            }
            let own = match &step.event {
                Event::RunStopAsked(about) => about.incident == *id,
                event if run_of(event).is_some() => run_of(event) == found.as_ref().and_then(ordered_run),
                Event::Promoted(promoted) => promoted.incident == *id,
                Event::Measured(measured) => measured.incident == *id,
                Event::Pruned(_) => false,
                Event::IncidentKept(about) | Event::IncidentReleased(about) => about.incident == *id,
                _ => before,
            };
            if own {
                self.tell(step.at, &step.event).await?;
                found = now.clone().or(settled).or(found);
            }
            if now.is_none() && !to_the_end {
                break;
            }
        }
        Ok(found)
    }

    /// Tells what concerns the incident after its end: single records, however far they are from it.
    async fn read_after(
        &mut self,
        id: &IncidentId,
        run: Option<Digest>,
        span: Span,
    ) -> Result<(), ReadError> {
        let told = self.history.tip().length;
        let mut number = span.first.max(told);
        while number <= span.last {
            let limit = u32::try_from(span.last - number + 1).unwrap_or(u32::MAX).min(PAGE);
            let records =
                self.store.journal(&self.state().name, number, limit).await.map_err(FoldError::from)?;
            let Some(last) = records.last() else { break };
            number = last.number + 1;
            for record in &records {
                let envelope = record.read_alone::<Event>().map_err(FoldError::from)?;
                let own = match &envelope.event {
                    Event::RunStopAsked(about) => about.incident == *id,
                    event if run_of(event).is_some() => run_of(event) == run,
                    Event::Promoted(promoted) => promoted.incident == *id,
                    Event::Measured(measured) => measured.incident == *id,
                    Event::IncidentKept(about) | Event::IncidentReleased(about) => about.incident == *id,
                    _ => false,
                };
                if own {
                    self.tell(envelope.at, &envelope.event).await?;
                }
            }
        }
        Ok(())
    }

    async fn text(&self, reference: &BlobRef) -> Result<String, ReadError> {
        let bytes = self.store.blob(reference).await?;
        Ok(bytes.map_or_else(|| "(erased)".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn line(&mut self, at: UnixMillis, text: impl Into<String>) {
        self.lines.push((at, text.into()));
    }

    async fn live(&self, observed: &Observed) -> Result<LiveState, ReadError> {
        Ok(match observed {
            Observed::Serving(shares) => LiveState::Serving(shares.clone()),
            Observed::Unknown(reason) => LiveState::Unknown(self.text(reason).await?),
        })
    }

    /// What is served, and what is in force beside the model: `1.3.2 with configuration limits 7`.
    async fn in_force(&self, live: &Observed, facets: &[ObservedFacet]) -> Result<String, ReadError> {
        let mut beside = Vec::new();
        for read in facets {
            beside.push(match &read.state {
                FacetState::InForce(known) => format!("{} {}", read.facet, known.revision),
                FacetState::Unknown(why) => format!("{} unknown: {}", read.facet, self.text(why).await?),
            });
        }
        let live = self.live(live).await?;
        Ok(if beside.is_empty() { live.to_string() } else { format!("{live} with {}", beside.join(" and ")) })
    }

    /// How it was proved what is in force of the facet that the plan moves.
    async fn proof(
        &self,
        moved: &Facet,
        live: &Observed,
        facets: &[ObservedFacet],
    ) -> Result<Option<Proof>, ReadError> {
        Ok(match moved {
            Facet::Model => self.live(live).await?.weakest_proof(),
            facet => read_of(facets, facet).and_then(FacetState::known).map(|known| known.proof),
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

    async fn finish(mut self, incident: Incident, service: ServiceName) -> Result<IncidentView, ReadError> {
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
        for found in incident.ladder.findings.values() {
            let bytes = self.store.blob(&found.findings).await?.unwrap_or_default();
            findings.extend(serde_json::from_slice::<Vec<Finding>>(&bytes).unwrap_or_default());
        }
        let plan = match incident.plan() {
            Some(drafted) => {
                self.store.blob(&drafted.content).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok())
            }
            None => None,
        };
        let is_open = self.incident(&incident.id).is_some();
        let mut votes = Vec::new();
        for vote in &incident.votes {
            let SaidOfVote { reason, signed } = self.said_of_votes.remove(&vote.person).unwrap_or_default();
            votes.push(VoteLine { vote: vote.clone(), reason, signed });
        }
        let preflight = plan.as_ref().and_then(|plan: &Plan| match why_not_preflighted(plan) {
            Some(why) => Some(format!("not preflighted: {why}")),
            None => self.preflight.take(),
        });
        let before = match &incident.live {
            Some(live) => Some(self.in_force(live, &incident.facets).await?),
            None => None,
        };
        let no_help = match &incident.no_help {
            Some(said) => Some(NoHelpLine {
                reason: self.text(&said.reason).await?,
                hand_over_to: match &said.hand_over_to {
                    Some(who) => Some(self.text(who).await?),
                    None => None,
                },
                meanwhile: self.state().safe_mode_offered(),
            }),
            None => None,
        };
        self.lines.sort_by_key(|(at, _)| *at);
        let start = self.lines.first().map_or(incident.marks.opened_at, |(at, _)| *at);
        Ok(IncidentView {
            outcome,
            needs,
            failed: self.failed.take(),
            held_up: Vec::new(),
            missing,
            no_help,
            score_again: self.score_again.take().map(|again| {
                let harm_began_at = incident.reason.harm_began_at;
                ScoreAgain { harm_began_at, ..again }
            }),
            findings,
            before,
            waves: waves(&incident),
            set_run: match &incident.opened_by {
                Opener::Set(run) => Some(run.clone()),
                _ => None,
            },
            plan,
            phase: incident.phase_name().to_owned(),
            cause: self.text(&incident.reason.cause).await?,
            requested_by: incident.requested_by.iter().map(ToString::to_string).collect(),
            opened_at: incident.marks.opened_at,
            settled_at: incident.marks.settled_at,
            proof: self.after.as_ref().and_then(|seen| seen.proof),
            after: self.after.take().map(|seen| seen.state),
            preflight,
            same_fingerprint: self.fingerprint == FingerprintWord::Same,
            split: Split::of(&incident),
            tally: if is_open { self.state().tally() } else { Vec::new() },
            waits_since: incident.waits_since(),
            measured: self.measured,
            plan_expires_at: incident.plan_expires_at(),
            plan_digest: incident.plan().map(|plan| plan.digest),
            votes,
            evidence: incident.evidence,
            requests: self.requests,
            decisions: self.decisions,
            ranking: self.ranking,
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

/// The run that the incident's plan orders, if it does.
fn ordered_run(incident: &Incident) -> Option<Digest> {
    incident.plan().filter(|plan| plan.produces()).map(|plan| Run::key_of(plan.digest))
}

/// How far a plan that shifts in waves is, in a sentence's words.
fn waves(incident: &Incident) -> Option<String> {
    let plan = incident.plan()?;
    let acting = match &incident.phase {
        Phase::Acting(acting) => Some(acting),
        Phase::NeedsPerson(need) => need.resume.as_ref(),
        Phase::Authorising(authorising) => authorising.resume.as_ref(),
        _ => None,
    };
    let of = plan.last_wave().saturating_add(1);
    plan.wave(0)?;
    let Some(acting) = acting else {
        let reached = incident.marks.read_back_at.is_some_and(|at| Some(at) >= incident.marks.shifted_at);
        return Some(if reached {
            format!("all {of}")
        } else if incident.ladder.tried.is_empty() {
            format!("{of}, none begun")
        } else {
            format!("{of}, not all of them made")
        });
    };
    let wave = plan.wave(acting.wave)?;
    let pause = plan.waves.get(acting.wave as usize).map_or(Millis(0), |wave| wave.pause);
    Some(match acting.step {
        StepState::Looking { round: 1, due_at: Some(_), .. } => {
            format!("{wave} is there; it is looked at after a pause of {pause}")
        }
        StepState::Looking { .. } => format!("{wave} is there, and is looked at"),
        _ => wave.to_string(),
    })
}

/// What the plan says of a version that is not tried before it is shifted to.
fn why_not_preflighted(plan: &Plan) -> Option<&str> {
    let steps = plan.parts.iter().flat_map(|part| &part.rungs).flat_map(|rung| &rung.steps);
    let mut labels = steps.flat_map(|step| &step.arguments);
    labels.find(|label| label.name == "not-preflighted").map(|label| label.value.as_str())
}
