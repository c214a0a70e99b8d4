//! Random outcomes of effects, and results that nobody waits for.

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::*;
use ripcord_core::facet::Revision;
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::{IncidentId, PolicyName, VersionName};
use ripcord_core::plan::{ApprovedStep, Leaving, StepKind};
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::ratio::Ratio;
use ripcord_core::readiness::ReadyPart;
use ripcord_core::request::Sent;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Phase, Service, StepState};
use ripcord_core::signal::Origin;
use ripcord_core::target::{Strategy, Target, VersionTarget};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_core::wave::{Moves, Wave};

use crate::dice::Dice;
use crate::facets;
use crate::identity::{fingerprinted, pinned, read_back};
use crate::preflights::{cleared, preflight, preflighted};
use crate::producing;
use crate::said::{meant, set_aside, signals};
use crate::terms::{configured, quorums};

pub(crate) fn blob() -> BlobRef {
    BlobRef { commitment: Digest::of("blob"), kind: BlobKind::Text, bytes: 1 }
}

pub(crate) fn version(dice: &mut Dice) -> VersionName {
    VersionName::new(dice.pick(&["1", "2", "3", "4"])).unwrap()
}

fn serving(version: VersionName, proof: Proof) -> Observed {
    let version = VersionTarget { version, digest: None };
    Observed::Serving(vec![Share { version, place: String::new(), weight: Ratio::ONE, proof }])
}

pub(crate) fn live(dice: &mut Dice, service: &Service) -> Observed {
    let incident = service.incident.as_ref();
    match dice.below(16) {
        0 => Observed::Unknown(blob()),
        1 => serving(version(dice), Proof::ControlPlane),
        2 => serving(version(dice), Proof::Answer),
        3..=8 => match incident.and_then(|incident| incident.plan()) {
            Some(plan) => plan.live.clone(),
            None => serving(VersionName::new("4").unwrap(), Proof::Answer),
        },
        _ => {
            let rung = incident.and_then(|incident| match &incident.phase {
                Phase::Acting(acting) => incident.target(acting.rung),
                _ => None,
            });
            match (rung, incident.and_then(|incident| incident.plan())) {
                (Some(Target::Version(target)), Some(plan)) if !plan.waves.is_empty() && !dice.one_in(3) => {
                    half_moved(target, &plan.live)
                }
                (Some(Target::Version(target)), _) => serving(target.version.clone(), Proof::Digest),
                (Some(_), Some(plan)) => plan.live.clone(),
                _ => serving(VersionName::new("4").unwrap(), Proof::Answer),
            }
        }
    }
}

fn in_production(dice: &mut Dice) -> InProduction {
    match dice.below(8) {
        0 => InProduction::Unsupported,
        1 => InProduction::Nothing,
        2 => InProduction::Unknown(blob()),
        _ => InProduction::Version(version(dice)),
    }
}

/// A request as it was approved, which is sent.
pub(crate) fn sent(approved: Digest) -> Sent {
    Sent { approved, executed: Digest::of("executed") }
}

/// The steps of each target; one in ten plans lacks some of them.
pub(crate) fn steps(dice: &mut Dice, targets: usize, waves: usize) -> Vec<Vec<ApprovedStep>> {
    let lacking = dice.one_in(10);
    let mut rung = || {
        let approved = |(kind, wave): (StepKind, Option<u32>)| ApprovedStep {
            kind,
            request: kind.sends().then(|| Digest::of("request")),
            wave,
        };
        let all = StepKind::ALL.into_iter().flat_map(|kind| {
            let waves = if kind.is_of_wave() { waves as u32 } else { 0 };
            let whole = (waves == 0).then_some((kind, None));
            whole.into_iter().chain((0..waves).map(move |wave| (kind, Some(wave))))
        });
        let all: Vec<_> = all.filter(|_| !(lacking && dice.one_in(10))).collect();
        all.into_iter().map(approved).collect()
    };
    (0..targets).map(|_| rung()).collect()
}

/// What a plan for versions is shifted in.
pub(crate) fn waves(dice: &mut Dice, targets: &[Target]) -> Vec<Wave> {
    if targets[0].version().is_none() || dice.one_in(2) {
        return Vec::new();
    }
    let shares = dice.pick(&[&[0.5][..], &[0.25, 0.5], &[0.5, 1.0]]);
    let wave =
        |share: &f64| Wave { moves: Moves::Share(Ratio::new(*share).unwrap()), pause: Millis::minutes(5) };
    shares.iter().map(wave).chain([Wave::REST]).collect()
}

/// What a wave may have left: half of the traffic at the target, the rest at what the plan observed.
fn half_moved(target: &VersionTarget, planned: &Observed) -> Observed {
    let Observed::Serving(shares) = planned else { return planned.clone() };
    let weight = Ratio::new(0.5).unwrap();
    let mut moved =
        vec![Share { version: target.clone(), place: String::new(), weight, proof: Proof::Answer }];
    moved.extend(
        shares.iter().filter(|share| share.version != *target).map(|share| Share { weight, ..share.clone() }),
    );
    Observed::Serving(moved)
}

fn request_changed(dice: &mut Dice, service: &Service) -> Event {
    let incident = service.incident.as_ref();
    let plan = incident.and_then(|incident| incident.plan()).map(|plan| plan.digest);
    let run = service.producing.run.as_ref().map(|run| run.ordered.plan).filter(|_| dice.one_in(2));
    let rung = dice.below(2) as u32;
    let step = dice.pick(&[StepKind::Shift, StepKind::Produce]);
    let plan = run.or(plan).unwrap_or_else(|| Digest::of("another plan"));
    let (approved, now) = (Digest::of("request"), dice.one_in(2).then(|| Digest::of("another request")));
    Event::RequestChanged(RequestChanged { plan, rung, step, approved, now })
}

fn promoted(
    dice: &mut Dice,
    incident: IncidentId,
    version: VersionName,
    from: Option<VersionName>,
    request: Digest,
) -> Event {
    let word = match dice.below(10) {
        0 => PromotionWord::Already,
        1 => PromotionWord::Elsewhere(None),
        2 => PromotionWord::Unsupported,
        3..=5 => PromotionWord::Failed { reason: blob(), nature: nature(dice) },
        _ => PromotionWord::Moved { from, request: sent(request) },
    };
    Event::Promoted(Promoted { incident, version, word })
}

fn watched(dice: &mut Dice, service: &Service) -> Event {
    Event::ProductionWatched(ProductionWatched {
        not_before: None,
        unread: Vec::new(),
        after: service.ended_last().filter(|_| !dice.one_in(8)),
        live: live(dice, service),
        facets: facets::seen(dice, service),
        in_production: in_production(dice),
    })
}

pub(crate) fn policy(name: &str) -> PolicyRef {
    PolicyRef { name: PolicyName::new(name).unwrap(), version: "1.0.0".into(), digest: Digest::of(name) }
}

fn decision(dice: &mut Dice, role: Role, policy: PolicyRef) -> Decision {
    let data = if dice.one_in(5) { DataState::Missing } else { DataState::Complete };
    Decision { policy, role, recording: blob(), fuel: 1, rounds: 1, data }
}

pub(crate) fn place(dice: &mut Dice) -> FaultPlace {
    if dice.one_in(4) { FaultPlace::Place } else { FaultPlace::Target }
}

pub(crate) fn nature(dice: &mut Dice) -> FaultNature {
    dice.pick(&[FaultNature::Deterministic, FaultNature::Environmental])
}

fn memo(dice: &mut Dice) -> Option<MemoRef> {
    dice.one_in(2).then(|| MemoRef { written_by: "1.0.0".into(), content: blob() })
}

fn plan_lost(dice: &mut Dice, service: &Service) -> Event {
    let plan = service.incident.as_ref().and_then(|incident| incident.plan());
    let plan = plan.map_or(Digest::of("another plan"), |plan| plan.digest);
    Event::PlanLost(PlanLost { plan, loss: dice.pick(&[PlanLoss::Erased, PlanLoss::Changed]) })
}

fn later(dice: &mut Dice, service: &Service) -> UnixMillis {
    service.at + Millis(dice.below(600_000))
}

fn triggers(dice: &mut Dice, service: &Service, up_to: u64) -> Event {
    let used: Vec<_> = service.terms.as_ref().unwrap().policies(Role::Trigger).cloned().collect();
    let asked = used.into_iter().map(|used| TriggerAsked {
        said: match dice.below(6) {
            0 => Said::Fault(nature(dice)),
            1 => Said::Verdict(TriggerWord::Watch(later(dice, service))),
            2 => Said::Verdict(TriggerWord::StandDown(blob())),
            3 => Said::Verdict(TriggerWord::Ignore),
            _ => Said::Verdict(TriggerWord::RollBack(Reason {
                cause: blob(),
                strategy: Strategy::Version,
                urgency: dice.pick(&[Urgency::Routine, Urgency::Emergency]),
                harm_began_at: None,
                facts: None,
            })),
        },
        set_aside: set_aside(dice, service),
        left: u32::from(dice.one_in(20)),
        searched: Vec::new(),
        decision: decision(dice, Role::Trigger, used.policy),
        memo: memo(dice),
    });
    let asked = asked.collect();
    Event::TriggersAsked(TriggersAsked {
        up_to,
        seen: service.watching.alerts.words(),
        incident: service.incident.as_ref().map(|open| open.id.clone()),
        asked,
    })
}

fn planned(
    dice: &mut Dice,
    service: &Service,
    incident: IncidentId,
    number: u32,
    wanted: Option<Target>,
    requested_by: Vec<Origin>,
) -> Event {
    let word = match dice.below(12) {
        0 => PlanWord::NothingSuitable(blob()),
        1 => PlanWord::WillNotHelp { reason: blob(), hand_over_to: None },
        2 => PlanWord::Failed { reason: blob(), nature: nature(dice) },
        _ => {
            let targets =
                if dice.one_in(5) { vec![producing::target(dice)] } else { facets::targets(dice, service) };
            let strategy = targets[0].strategy();
            let waves = waves(dice, &targets);
            let condemns_data = service.data_left_by(&targets);
            let live = match service.incident.as_ref().and_then(|incident| incident.live.clone()) {
                Some(live) => live,
                None => live(dice, service),
            };
            PlanWord::Drafted(PlanDrafted {
                content: blob(),
                digest: Digest::of(format!("plan {number} {:?}", service.incidents)),
                number,
                strategy,
                steps: steps(dice, targets.len(), waves.len()),
                waves,
                targets,
                live,
                facets: facets::planned(dice, service),
                leaving: service.incident.as_ref().map_or(Leaving::Condemn, |open| open.leaving),
                condemns_data,
                condemnations_known: service.condemnations,
                equipment: service.terms.as_ref().map_or(Digest::of(""), |terms| terms.equipment),
                preflighted: dice.one_in(3),
                expires_at: service.at + Millis(1 + dice.below(3_600_000)),
            })
        }
    };
    Event::Planned(Planned {
        incident,
        number,
        wanted,
        requested_by,
        decision: None,
        left_out: None,
        suspects: None,
        confidence: None,
        word,
    })
}

fn approvals(dice: &mut Dice, service: &Service, plan: Digest, ballot: Digest) -> Event {
    let used: Vec<_> = service.terms.as_ref().unwrap().policies(Role::Approval).cloned().collect();
    let asked = used.into_iter().map(|used| ApprovalAsked {
        said: match dice.below(10) {
            0 => Said::Fault(nature(dice)),
            1 => Said::Verdict(ApprovalWord::Refused(blob())),
            2..=4 => Said::Verdict(ApprovalWord::Waiting {
                quorums: quorums(dice),
                expires_at: later(dice, service),
                escalate_at: dice.one_in(2).then(|| later(dice, service)),
                escalate_to: None,
            }),
            _ => Said::Verdict(ApprovalWord::Granted),
        },
        decision: decision(dice, Role::Approval, used.policy),
    });
    let asked = asked.collect();
    Event::ApprovalsAsked(ApprovalsAsked { plan, ballot, asked })
}

pub(crate) fn verifications(dice: &mut Dice, service: &Service, phase: TrialPhase, round: u32) -> Event {
    let used: Vec<_> = service.terms.as_ref().unwrap().policies(Role::Verification).cloned().collect();
    let due = used.into_iter().filter(|used| !service.is_still_healthy(phase, &used.policy.name));
    let asked = due.map(|used| VerificationAsked {
        said: match dice.below(10) {
            0 => Said::Fault(nature(dice)),
            1..=2 => Said::Verdict(VerificationWord::Unhealthy),
            3..=4 => Said::Verdict(VerificationWord::Inconclusive(later(dice, service))),
            _ => Said::Verdict(VerificationWord::Healthy),
        },
        decision: decision(dice, Role::Verification, used.policy),
        findings: None,
        memo: memo(dice),
    });
    let asked = asked.collect();
    let cause = matches!(phase, TrialPhase::Probation(_)).then(blob);
    let read = service.production.beside().into_iter().filter(|_| !dice.one_in(4));
    let beside = read.map(|(facet, name)| Revision { facet, name }).collect();
    Event::VerificationsAsked(VerificationsAsked { phase, round, asked, cause, own_from: None, beside })
}

fn returned(dice: &mut Dice, plan: Digest, (rung, wave): (u32, u32), attempt: u32) -> Event {
    let outcome = match dice.below(6) {
        0 => ShiftOutcome::Unknown(blob()),
        1 => ShiftOutcome::NotApplied { reason: blob(), nature: nature(dice), lies_in: place(dice) },
        2 => ShiftOutcome::Underway,
        _ => ShiftOutcome::Done,
    };
    Event::ShiftReturned(ShiftReturned { plan, rung, wave, attempt, outcome })
}

fn probed(dice: &mut Dice, plan: Digest, (rung, wave): (u32, u32), attempt: u32) -> Event {
    let word = match dice.below(6) {
        0 => ProbeWord::CannotTell(blob()),
        1 => ProbeWord::NoAnswer(blob()),
        2 => ProbeWord::NotApplied,
        3 => ProbeWord::Underway,
        _ => ProbeWord::Applied,
    };
    Event::ShiftProbed(ShiftProbed { plan, rung, wave, attempt, word })
}

fn stage_failed(dice: &mut Dice, plan: Digest, rung: u32) -> Event {
    Event::StageFailed(StageFailed { plan, rung, reason: blob(), nature: nature(dice), lies_in: place(dice) })
}

/// What may come of `effect`. Empty: the driver wakes the service instead.
pub(crate) fn answer(dice: &mut Dice, service: &Service, effect: &Effect) -> Vec<Event> {
    let reads_plan = matches!(
        effect,
        Effect::AskApprovals { .. } | Effect::Shift { .. } | Effect::Repeat { .. } | Effect::Verify { .. }
    );
    let event = match effect {
        _ if reads_plan && dice.one_in(40) => plan_lost(dice, service),
        Effect::AskTriggers { up_to } => triggers(dice, service, *up_to),
        Effect::Preserve { incident, .. } => Event::EvidencePreserved(EvidencePreserved {
            incident: incident.clone(),
            items: Vec::new(),
            missing: if dice.one_in(6) {
                vec![EvidenceGap { name: "request-log".into(), reason: blob() }]
            } else {
                Vec::new()
            },
            live: live(dice, service),
            facets: facets::seen(dice, service),
            in_production: in_production(dice),
            facts: None,
        }),
        Effect::Plan { incident, number, wanted, requested_by, .. } => {
            planned(dice, service, incident.clone(), *number, wanted.clone(), requested_by.clone())
        }
        Effect::AskApprovals { plan, ballot } => approvals(dice, service, *plan, *ballot),
        Effect::Stage { plan, rung } if dice.one_in(6) => stage_failed(dice, *plan, *rung),
        Effect::Stage { plan, rung } => Event::Staged(Staged { plan: *plan, rung: *rung, digest: None }),
        Effect::Preflight { plan, rung, round } => return preflight(dice, service, *plan, *rung, *round),
        Effect::ClearCandidate => cleared(dice),
        Effect::Guard { plan, rung, wave, attempt } => {
            let (host_shifts, host_reserved) =
                if dice.one_in(8) { [(10, 0), (4, 6)][usize::from(dice.one_in(2))] } else { (0, 0) };
            let as_planned =
                service.incident.as_ref().and_then(|incident| incident.plan()).map(|plan| plan.live.clone());
            let later = *wave > 0;
            let live = match as_planned {
                Some(planned) if !later && !dice.one_in(4) => planned,
                Some(planned) if later && !dice.one_in(4) => {
                    let target = service.incident.as_ref().and_then(|incident| incident.target(*rung));
                    let target = target.and_then(Target::version);
                    target.map_or(planned.clone(), |target| half_moved(target, &planned))
                }
                _ => live(dice, service),
            };
            let (plan, rung, wave, attempt) = (*plan, *rung, *wave, *attempt);
            Event::GuardRead(GuardRead {
                plan,
                rung,
                wave,
                attempt,
                live,
                facets: facets::guarded(dice, service),
                host_shifts,
                host_reserved,
            })
        }
        Effect::Shift { plan, rung, .. } if dice.one_in(20) => stage_failed(dice, *plan, *rung),
        Effect::Shift { .. } | Effect::StartRun { .. } if dice.one_in(20) => request_changed(dice, service),
        Effect::Shift { plan, rung, wave, attempt, request } => {
            let (plan, rung, wave, attempt) = (*plan, *rung, *wave, *attempt);
            let began = Event::ShiftBegan(ShiftBegan { plan, rung, wave, attempt, request: sent(*request) });
            // One in three dies in between.
            return if dice.one_in(3) {
                vec![began]
            } else {
                vec![began, returned(dice, plan, (rung, wave), attempt)]
            };
        }
        Effect::Probe { plan, rung, wave, attempt } => probed(dice, *plan, (*rung, *wave), *attempt),
        Effect::Repeat { .. } if dice.one_in(10) => request_changed(dice, service),
        Effect::Repeat { plan, rung, wave, attempt, .. } => returned(dice, *plan, (*rung, *wave), *attempt),
        Effect::ReadBack { plan, rung, wave } => read_back(dice, service, *plan, (*rung, *wave)),
        Effect::Look { plan, rung, wave, .. } if dice.one_in(10) => {
            let (plan, rung, wave) = (*plan, *rung, *wave);
            Event::WaveLost(WaveLost { plan, rung, wave, live: live(dice, service) })
        }
        Effect::Look { plan, rung, wave, round } => {
            let of = PlannedWave { plan: *plan, rung: *rung, wave: *wave };
            verifications(dice, service, TrialPhase::Wave(of), *round)
        }
        Effect::Verify { plan, rung, round } => {
            let of = PlannedRung { plan: *plan, rung: *rung };
            verifications(dice, service, TrialPhase::Rung(of), *round)
        }
        Effect::WatchProduction { .. } => watched(dice, service),
        Effect::WatchReadiness { .. } => readiness(dice),
        Effect::Examine { since, round } => {
            verifications(dice, service, TrialPhase::Probation(*since), *round)
        }
        Effect::MarkHold { version, incident } => Event::HoldMarked(HoldMarked {
            version: version.clone(),
            incident: incident.clone(),
            failed: dice.one_in(4).then(blob),
        }),
        Effect::Promote { incident, version, expecting, request } => {
            let from = expecting.first().cloned().flatten();
            promoted(dice, incident.clone(), version.clone(), from, *request)
        }
        Effect::Fingerprint { version } => fingerprinted(dice, version.clone()),
        Effect::Pin { version } => pinned(dice, version.clone()),
        Effect::Announce(outgoing) => {
            Event::Announced(Announced { id: outgoing.id.clone(), failed: dice.one_in(4).then(blob) })
        }
        Effect::StartRun { .. } | Effect::LookAtRun { .. } | Effect::StopRun { .. } => {
            return producing::answer(dice, service, effect);
        }
        Effect::WakeAt(_) => return Vec::new(),
    };
    vec![event]
}

fn readiness(dice: &mut Dice) -> Event {
    let unready = ReadyPart::ALL.into_iter().filter(|_| dice.one_in(6)).collect();
    Event::ReadinessSeen(ReadinessSeen { unready })
}

/// News that nobody asked for, and results that come too late.
pub(crate) fn nonsense(dice: &mut Dice, service: &Service) -> Event {
    let at_hand = match service.incident.as_ref().map(|incident| &incident.phase) {
        Some(Phase::Acting(acting)) => match acting.step {
            StepState::Shifting(shifting) => Some((acting.rung, shifting.attempt)),
            StepState::Verifying { round, .. }
            | StepState::Looking { round, .. }
            | StepState::Preflighting { round, .. } => Some((acting.rung, round)),
            _ => None,
        },
        _ => None,
    };
    // Half of them fit, but come twice or too early.
    let (rung, attempt) = match at_hand {
        Some(at_hand) if dice.one_in(2) => at_hand,
        _ => (dice.below(3) as u32, dice.below(3) as u32),
    };
    let wave = match service.incident.as_ref().map(|incident| &incident.phase) {
        Some(Phase::Acting(acting)) if !dice.one_in(4) => acting.wave,
        _ => dice.below(3) as u32,
    };
    let incident = meant(dice, service);
    let plan = service.incident.as_ref().and_then(|incident| incident.plan());
    let plan = plan.filter(|_| !dice.one_in(3)).map_or(Digest::of("another plan"), |plan| plan.digest);
    let phase = match &service.probation {
        Some(probation) if dice.one_in(2) => TrialPhase::Probation(probation.since),
        _ if dice.one_in(4) => TrialPhase::Wave(PlannedWave { plan, rung, wave }),
        _ => TrialPhase::Rung(PlannedRung { plan, rung }),
    };
    match dice.below(24) {
        23 => producing::nonsense(dice, service),
        0 => configured(dice),
        1 if dice.one_in(4) => Event::ClockBehind { by: Millis::minutes(dice.below(100)) },
        1 => Event::ClockJumped { by: Millis::minutes(dice.below(100)) },
        2 => {
            let approved = Digest::of(dice.pick(&["request", "another request"]));
            Event::ShiftBegan(ShiftBegan { plan, rung, wave, attempt, request: sent(approved) })
        }
        3 => returned(dice, plan, (rung, wave), attempt),
        4 => probed(dice, plan, (rung, wave), attempt),
        5 => read_back(dice, service, plan, (rung, wave)),
        6 => {
            let live = live(dice, service);
            Event::GuardRead(GuardRead {
                plan,
                rung,
                wave: 0,
                attempt,
                live,
                facets: facets::guarded(dice, service),
                host_shifts: 0,
                host_reserved: 0,
            })
        }
        7 => match verifications(dice, service, phase, attempt) {
            // As from a host whose policies are not those of the terms.
            Event::VerificationsAsked(asked) => {
                let asked = VerificationsAsked { asked: asked.asked.into_iter().skip(1).collect(), ..asked };
                Event::VerificationsAsked(asked)
            }
            other => other,
        },
        8 => planned(dice, service, incident, attempt, None, Vec::new()),
        9 => Event::ApprovalsAsked(ApprovalsAsked { plan, ballot: service.ballot(), asked: Vec::new() }),
        10 if dice.one_in(2) => readiness(dice),
        10 => Event::Woke,
        11 => triggers(dice, service, service.watching.alerts.words()),
        13 => plan_lost(dice, service),
        15 => {
            let version = version(dice);
            pinned(dice, version)
        }
        17 => cleared(dice),
        18 => preflighted(dice, plan, rung, attempt),
        16 => {
            let version = version(dice);
            fingerprinted(dice, version)
        }
        19 => watched(dice, service),
        14 => {
            let of = service.incident.as_ref().or(service.last_settled.as_ref());
            let id = of.map_or(IncidentId::numbered(&service.name, 1), |incident| incident.id.clone());
            let version = version(dice);
            promoted(dice, id, version, None, Digest::of("request"))
        }
        12 => Event::TrialRan(TrialRan { phase, round: attempt, request: Digest::of("t"), result: blob() }),
        _ => signals(dice, service),
    }
}
