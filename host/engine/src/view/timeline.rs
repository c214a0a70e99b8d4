//! What happened, line by line.

use ripcord_core::alert::AlertWord;
use ripcord_core::canonical;
use ripcord_core::event::{
    Event, FingerprintWord, Happened, InProduction, Observed, OutputsListed, OutputsWord, PartOrder,
    PlanWord, PreflightWord, Preflighted, ProbeWord, Promoted, PromotionWord, Release, ShiftOutcome,
    SignalsTaken, TrialPhase, TrialRan,
};
use ripcord_core::facet::Facet;
use ripcord_core::fact::{Fact, Request};
use ripcord_core::name::VersionName;
use ripcord_core::outputs::Outputs;
use ripcord_core::plan::{StepKind, VoteKind};
use ripcord_core::request::Sent;
use ripcord_core::role::Finding;
use ripcord_core::service::{Alerts, Incident};
use ripcord_core::signal::SignalStatus;
use ripcord_core::target::Target;
use ripcord_core::time::UnixMillis;
use ripcord_core::wave::WaveOf;

use super::{Reader, RequestLine, SaidOfVote, ScoreAgain, Seen};
use crate::fold::ReadError;
use crate::replay::verdicts_of;

impl Reader<'_> {
    /// The signals that the incident was opened with were taken before there was one: the first, and how many came with it.
    pub(super) fn tell_first_signals(&mut self, opened: &Incident, alerts: &Alerts) {
        let all = alerts.all();
        let Some(first) = all.iter().min_by_key(|alert| alert.word.first_seen_at) else { return };
        let others = match opened.signals.saturating_sub(1) {
            0 => String::new(),
            1 => "; one more until the incident opened".to_owned(),
            more => format!("; {more} more until the incident opened"),
        };
        self.line(first.word.first_seen_at, format!("{}{others}", signal_line(&first.word)));
    }

    /// The end of a sentence.
    async fn name_in_production(&self, name: &InProduction) -> Result<String, ReadError> {
        Ok(match name {
            InProduction::Unsupported => String::new(),
            InProduction::Nothing => "; the registry's production name points at nothing".into(),
            InProduction::Version(version) => format!("; the registry's production name is {version}"),
            InProduction::Unknown(why) => {
                format!("; the registry's production name could not be read: {}", self.text(why).await?)
            }
        })
    }

    /// One or more lines for an event, and its decisions.
    pub(super) async fn tell(&mut self, at: UnixMillis, event: &Event) -> Result<(), ReadError> {
        let said = self.said(event).await?;
        if let Event::Planned(planned) = event {
            self.note_ranking(at, planned).await?;
        }
        for (decision, said) in verdicts_of(event).into_iter().zip(&said) {
            self.decision(at, decision, said.clone());
        }
        let text = match event {
            Event::SignalsTaken(taken) => Some(signals_line(taken)),
            Event::TriggersAsked(asked) => {
                let each = asked.asked.iter().zip(&said).map(|(one, said)| match one.set_aside.len() {
                    0 => format!("{}: {said}", one.decision.policy.name),
                    more => format!("{}: {said} ({more} set aside)", one.decision.policy.name),
                });
                Some(format!("triggers asked: {}", each.collect::<Vec<_>>().join("; ")))
            }
            Event::PullRequested(pull) => {
                let to =
                    pull.target.as_ref().map_or_else(|| "where the planner says".into(), ToString::to_string);
                let glass =
                    if pull.break_glass { ", and broke the glass: evidence is not waited for" } else { "" };
                let why = self.text(&pull.reason).await?;
                Some(format!("{} pulled the cord, to {to}{glass}: {why}", pull.person))
            }
            Event::EvidencePreserved(preserved) => {
                let live = self.live(&preserved.live).await?;
                let missing = if preserved.missing.is_empty() {
                    String::new()
                } else {
                    format!(", {} missing", preserved.missing.len())
                };
                let name = self.name_in_production(&preserved.in_production).await?;
                let pieces = match preserved.items.len() {
                    1 => "1 piece".to_owned(),
                    number => format!("{number} pieces"),
                };
                Some(format!("evidence preserved: {pieces}{missing}; live is {live}{name}"))
            }
            Event::Planned(planned) => Some(match &planned.word {
                PlanWord::Drafted(plan) => {
                    let left_out = match &planned.left_out {
                        Some(why) => format!("; left out: {}", self.text(why).await?),
                        None => String::new(),
                    };
                    let ladder: Vec<_> = plan.targets.iter().map(ToString::to_string).collect();
                    format!(
                        "plan {} made: {} (digest {}){left_out}",
                        plan.number,
                        ladder.join(", then "),
                        plan.digest.short()
                    )
                }
                PlanWord::NothingSuitable(why) => format!("nothing to go back to: {}", self.text(why).await?),
                PlanWord::WillNotHelp { reason, hand_over_to } => {
                    let who = match hand_over_to {
                        Some(who) => format!("; hand over to {}", self.text(who).await?),
                        None => String::new(),
                    };
                    format!("a rollback would not help: {}{who}", self.text(reason).await?)
                }
                PlanWord::Failed { reason, .. } => {
                    format!("no plan could be made: {}", self.text(reason).await?)
                }
            }),
            Event::RequestChanged(changed) => Some(format!(
                "what would be sent for the step `{}` is not what was approved (approved {}, now {}): nothing was sent",
                changed.step.as_str(),
                changed.approved.short(),
                changed.now.map_or_else(|| "nothing".to_owned(), |now| now.short())
            )),
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
                let broke = voted.vote.granted && voted.vote.kind == VoteKind::BreakGlass;
                let how = match (broke, voted.signed.is_some()) {
                    (true, true) => "by breaking the glass, with a signature",
                    (true, false) => "by breaking the glass",
                    (false, true) => "by signature",
                    (false, false) => "by session",
                };
                let reason = match &voted.reason {
                    Some(reason) => Some(self.text(reason).await?),
                    None => None,
                };
                let signed = match &voted.signed {
                    Some(signed) => Some(self.text(&signed.signature).await?),
                    None => None,
                };
                let person = &voted.vote.person;
                let line = format!("{person} {word} plan {} {how}", voted.plan.short());
                let line = reason.as_ref().map_or_else(|| line.clone(), |why| format!("{line}: {why}"));
                self.said_of_votes.insert(person.clone(), SaidOfVote { reason, signed });
                Some(line)
            }
            // A safe mode has no artefact.
            Event::Staged(staged) if self.moved(staged.rung) == Some(Facet::Fallback) => None,
            Event::Staged(staged) => {
                let digest =
                    staged.digest.map(|digest| format!(", digest {}", digest.short())).unwrap_or_default();
                Some(format!("artefact fetched and checked{digest}"))
            }
            Event::StageFailed(failed) => {
                Some(format!("artefact not fetched: {}", self.text(&failed.reason).await?))
            }
            Event::PreflightBegan(began) => {
                Some(format!("preflight begun: {} is held beside what is live", self.target(began.rung)))
            }
            Event::Preflighted(preflighted) => Some(self.preflighted(preflighted).await?),
            Event::CandidateCleared(cleared) => match &cleared.failed {
                None => None,
                Some(why) => {
                    Some(format!("the candidate could not be taken away: {}", self.text(why).await?))
                }
            },
            Event::GuardRead(read) => {
                let wave = self.wave(read.wave).map(|wave| format!(", {wave}")).unwrap_or_default();
                Some(format!("guard{wave}: live is {}", self.in_force(&read.live, &read.facets).await?))
            }
            Event::ShiftBegan(began) => {
                self.sent(at, StepKind::Shift, Some(began.rung), began.attempt, began.request);
                let wave = self.wave(began.wave);
                if let (Some(line), Some(wave)) = (self.requests.last_mut(), &wave) {
                    line.wave = Some(wave.number);
                }
                let wave = wave.map(|wave| format!(", {wave}")).unwrap_or_default();
                Some(format!("shift begun (rung {}, attempt {}{wave})", began.rung + 1, began.attempt))
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
                let happened = match answered.applied {
                    Happened::Applied => "happened",
                    Happened::NotApplied => "did not happen",
                };
                let why = self.text(&answered.reason).await?;
                Some(format!("{} says that the shift {happened}: {why}", answered.person))
            }
            Event::ReadBack(read) => {
                let state = self.in_force(&read.live, &read.facets).await?;
                let moved = self.moved(read.rung).unwrap_or(Facet::Model);
                let proof = self.proof(&moved, &read.live, &read.facets).await?;
                let proved =
                    proof.map(|proof| format!(", proved by {}", moved.proved_by(proof))).unwrap_or_default();
                let said = match &read.fingerprint {
                    FingerprintWord::NotCompared => String::new(),
                    FingerprintWord::Same => {
                        "; it answers the golden data as the target did when it was good".into()
                    }
                    FingerprintWord::Differs => {
                        "; it answers the golden data otherwise than the target did when it was good".into()
                    }
                    FingerprintWord::Failed(why) => {
                        format!("; its fingerprint was not compared: {}", self.text(why).await?)
                    }
                };
                let wave = self.wave(read.wave).map(|wave| format!(", {wave}")).unwrap_or_default();
                let text = format!("read back{wave}: live is {state}{proved}{said}");
                self.after = Some(Seen { state, proof });
                self.fingerprint = read.fingerprint.clone();
                Some(text)
            }
            Event::OutputsListed(listed) => Some(self.outputs(listed).await?),
            Event::WaveLost(lost) => {
                let wave = self.wave(lost.wave).map(|wave| wave.to_string()).unwrap_or_default();
                let live = self.live(&lost.live).await?;
                Some(format!("what {wave} moved is no longer there: live is {live}"))
            }
            Event::TrialRan(ran) => Some(self.trial(ran).await?),
            Event::VerificationsAsked(asked) => {
                let each = asked
                    .asked
                    .iter()
                    .zip(&said)
                    .map(|(one, said)| format!("{}: {said}", one.decision.policy.name));
                let each = each.collect::<Vec<_>>().join("; ");
                Some(match asked.phase {
                    TrialPhase::Preflight(_) => format!("verification of the candidate asked: {each}"),
                    TrialPhase::Wave(of) => {
                        let wave = self.wave(of.wave).map(|wave| wave.to_string()).unwrap_or_default();
                        format!("look after {wave}: {each}")
                    }
                    _ => format!("verification asked: {each}"),
                })
            }
            Event::ProductionWatched(watched) => {
                let live = self.live(&watched.live).await?;
                let name = self.name_in_production(&watched.in_production).await?;
                Some(format!("production was changed by someone else: live is {live}{name}"))
            }
            Event::Promoted(promoted) => {
                if let PromotionWord::Moved { request, .. } = &promoted.word {
                    self.sent(at, StepKind::MoveName, None, 1, *request);
                }
                self.promoted(promoted).await?
            }
            Event::RunBegan(began) => {
                self.sent(at, StepKind::Produce, Some(0), began.attempt, began.request);
                self.run(event).await?
            }
            Event::RunReturned(_)
            | Event::RunLookedAt(_)
            | Event::RunMade(_)
            | Event::RunFailed(_)
            | Event::RunLost(_)
            | Event::RunStopAsked(_)
            | Event::RunStopped(_) => self.run(event).await?,
            Event::Aborted(said) => {
                Some(format!("{} aborted it: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Dismissed(said) => {
                Some(format!("{} dismissed it: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Paused(said) => {
                Some(format!("{} paused the service: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Resumed(said) => {
                Some(format!("{} let the service go on: {}", said.person, self.text(&said.reason).await?))
            }
            Event::Enlisted(enlisted) => {
                let to = match &enlisted.target {
                    Some(target) => format!("to move it to {target}"),
                    None => "to stay as it is".to_owned(),
                };
                let why = self.text(&enlisted.reason).await?;
                Some(format!("{} of {} enlisted it, {to}: {why}", enlisted.run, enlisted.person))
            }
            Event::PartGiven(given) => {
                let way = match &given.order {
                    PartOrder::There { part, .. } => {
                        let to = part.targets.first().map(ToString::to_string).unwrap_or_default();
                        format!("its part, to {to}")
                    }
                    PartOrder::Back => "the way back, since another part failed".to_owned(),
                };
                let (run, plan) = (&given.run, given.plan.short());
                Some(format!("{run} gave it {way} (plan {plan}, consent {})", given.consent.short()))
            }
            Event::Released(released) => Some(format!(
                "{} released it: {}",
                released.run,
                match released.why {
                    Release::AllWell => "every part is in place",
                    Release::AsBefore => "what had moved went back, or nothing had moved",
                    Release::Unfinished => "a person ended the run, or its time was up",
                }
            )),
            Event::Measured(measured) => {
                self.measured = Some(measured.clone());
                None
            }
            Event::IncidentKept(about) => {
                Some(format!("{} has its content kept: {}", about.person, self.text(&about.reason).await?))
            }
            Event::IncidentReleased(about) => Some(format!(
                "{} has its content kept no longer: {}",
                about.person,
                self.text(&about.reason).await?
            )),
            Event::ReviewClosed(about) => Some(format!(
                "{} looked at what was done by breaking the glass, and closed its review: {}",
                about.person,
                self.text(&about.reason).await?
            )),
            Event::ClockBehind { by } => Some(format!(
                "the host's clock is {by} behind what is on record: time passes at half its speed until it has caught up"
            )),
            Event::ClockJumped { by } => Some(format!("the host's clock jumped forward by {by}")),
            Event::Woke
            | Event::Pruned(_)
            | Event::SignalsSetAside(_)
            | Event::Announced(_)
            | Event::Configured(_)
            | Event::HoldMarked(_)
            | Event::Pinned(_)
            | Event::Fingerprinted(_)
            | Event::HoldLifted(_)
            | Event::DataCondemned(_)
            | Event::DataLifted(_)
            | Event::LiveDataSeen(_)
            | Event::AliasesSeen(_)
            | Event::ReadinessSeen(_)
            | Event::LatchLifted(_)
            | Event::Adopted(_) => None,
        };
        if let Some(text) = text {
            self.note_failure(event, &text);
            self.line(at, text);
        }
        Ok(())
    }

    /// What is to be scored again; what was erased is not made up.
    async fn outputs(&mut self, listed: &OutputsListed) -> Result<String, ReadError> {
        let (outputs, failed) = match &listed.word {
            OutputsWord::Listed(outputs) => {
                let bytes = self.store.blob(outputs).await?;
                match bytes.and_then(|bytes| serde_json::from_slice::<Outputs>(&bytes).ok()) {
                    Some(outputs) => (outputs, None),
                    None => (Outputs::default(), Some("the list was erased".to_owned())),
                }
            }
            OutputsWord::Failed(why) => (Outputs::default(), Some(self.text(why).await?)),
        };
        let line = match &failed {
            Some(why) => format!("what is to be scored again could not be listed: {why}"),
            None if outputs.number == 0 => "no output was made by what was left".to_owned(),
            None if outputs.number == 1 => "1 output was made by what was left: score it again".to_owned(),
            None => format!("{} outputs were made by what was left: score them again", outputs.number),
        };
        self.score_again = Some(ScoreAgain { outputs, failed, harm_began_at: None });
        Ok(line)
    }

    /// What was sent for a step, beside what was approved.
    fn sent(&mut self, at: UnixMillis, step: StepKind, rung: Option<u32>, attempt: u32, sent: Sent) {
        let Sent { approved, executed } = sent;
        self.requests.push(RequestLine { at, step, rung, wave: None, attempt, approved, executed });
    }

    async fn trial(&self, ran: &TrialRan) -> Result<String, ReadError> {
        let fact =
            self.store.blob(&ran.result).await?.and_then(|bytes| canonical::from_cbor::<Fact>(&bytes).ok());
        let what = match fact.map(|fact| fact.request) {
            Some(Request::Golden(_)) => "golden data",
            Some(Request::Recheck(_)) => "captured inputs",
            _ => "a trial",
        };
        let through = if matches!(ran.phase, TrialPhase::Preflight(_)) { "candidate" } else { "service" };
        Ok(format!("{what} sent through the {through}"))
    }

    /// The wave, where the plan at hand shifts in waves.
    fn wave(&self, wave: u32) -> Option<WaveOf> {
        let incident = self.state().incident.as_ref().or(self.state().last_settled.as_ref());
        incident?.plan()?.wave(wave)
    }

    fn target(&self, rung: u32) -> String {
        self.targeted(rung).map_or_else(|| "the target".to_owned(), ToString::to_string)
    }

    fn targeted(&self, rung: u32) -> Option<&Target> {
        let incident = self.state().incident.as_ref().or(self.state().last_settled.as_ref());
        incident.and_then(|incident| incident.target(rung))
    }

    /// Which facet a rung of the plan moves.
    fn moved(&self, rung: u32) -> Option<Facet> {
        self.targeted(rung).and_then(Target::facet)
    }

    async fn preflighted(&mut self, preflighted: &Preflighted) -> Result<String, ReadError> {
        let findings = match &preflighted.findings {
            Some(blob) => self.store.blob(blob).await?.unwrap_or_default(),
            None => Vec::new(),
        };
        let findings = serde_json::from_slice::<Vec<Finding>>(&findings).unwrap_or_default();
        let seen: Vec<_> =
            findings.iter().map(|finding| format!("{}: {}", finding.check, finding.observed)).collect();
        let seen = if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) };
        let word = match &preflighted.word {
            PreflightWord::Fits => "it fits".to_owned(),
            PreflightWord::Unfit(why) => format!("it is unfit: {}", self.text(why).await?),
            PreflightWord::NotDone { reason, .. } => {
                format!("it could not be tried: {}", self.text(reason).await?)
            }
        };
        let said = format!("preflight of {}: {word}{seen}", self.target(preflighted.rung));
        self.preflight = Some(said.clone());
        Ok(said)
    }

    /// The line of a step that failed, until a step succeeds.
    fn note_failure(&mut self, event: &Event, text: &str) {
        let failed = match event {
            Event::Planned(planned) => !matches!(planned.word, PlanWord::Drafted(_)),
            Event::StageFailed(_) => true,
            Event::ShiftReturned(returned) => {
                !matches!(returned.outcome, ShiftOutcome::Done | ShiftOutcome::Underway)
            }
            Event::ShiftProbed(probed) => {
                matches!(probed.word, ProbeWord::CannotTell(_) | ProbeWord::NoAnswer(_))
            }
            Event::GuardRead(read) => matches!(read.live, Observed::Unknown(_)),
            Event::ReadBack(read) => matches!(read.live, Observed::Unknown(_)),
            Event::Staged(_) | Event::WaveLost(_) => false,
            _ => return,
        };
        self.failed = failed.then(|| text.to_owned());
    }

    /// Of failures in a row, the first.
    async fn promoted(&mut self, promoted: &Promoted) -> Result<Option<String>, ReadError> {
        let version = &promoted.version;
        let failed = matches!(promoted.word, PromotionWord::Failed { .. });
        let before = std::mem::replace(&mut self.not_promoted, failed.then(|| version.clone()));
        Ok(match &promoted.word {
            PromotionWord::Moved { from, .. } => Some(format!(
                "the registry's production name moved from {} to {version}",
                pointed(from.as_ref())
            )),
            PromotionWord::Already => Some(format!("the registry's production name is {version} already")),
            PromotionWord::Elsewhere(now) => Some(format!(
                "the registry's production name was not moved to {version}: someone else moved it to {}, where it was left",
                pointed(now.as_ref())
            )),
            PromotionWord::Unsupported => None,
            PromotionWord::Failed { .. } if before.as_ref() == Some(version) => None,
            PromotionWord::Failed { reason, .. } => Some(format!(
                "the registry's production name was not moved to {version} yet: {}",
                self.text(reason).await?
            )),
        })
    }
}

fn pointed(at: Option<&VersionName>) -> String {
    at.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// A group in one line.
fn signals_line(taken: &SignalsTaken) -> String {
    if let ([word], 1) = (taken.alerts.as_slice(), taken.signals) {
        return signal_line(word);
    }
    let firing = taken.alerts.iter().filter(|word| word.status == SignalStatus::Firing).count();
    let alerts = match taken.alerts.len() {
        1 => "one alert".to_owned(),
        number => format!("{number} alerts"),
    };
    let resolved = taken.alerts.len() - firing;
    format!("{} signals about {alerts}: {firing} firing, {resolved} resolved", taken.signals)
}

fn signal_line(word: &AlertWord) -> String {
    let status = if word.status == SignalStatus::Firing { "firing" } else { "resolved" };
    format!("signal from {}: {status}, {}", word.origin, word.severity)
}
