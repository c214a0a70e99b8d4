//! Stage, guard, shift, probe, read back.

use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::digest::Digest;
use ripcord_core::event::{
    Event, FingerprintWord, GuardRead, Observed, OutputsListed, OutputsWord, ProbeWord, ReadBack,
    RequestChanged, ShiftBegan, ShiftOutcome, ShiftProbed, ShiftReturned, Staged,
};
use ripcord_core::facet::{Facet, FacetState, read_of};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::plan::StepKind;
use ripcord_core::request::{Filled, Sent};
use ripcord_core::service::Phase;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, ShiftOrder, Shifted};
use ripcord_ports::restorer::RestoreOrder;
use ripcord_ports::waiting::pausing;
use ripcord_ports::{Applied, ErrorKind, PortError, Restorer};

use super::fetch::{fetch, stage_failed};
use super::fingerprint;
use crate::batch::Batch;
use crate::context::Context;
use crate::facets;
use crate::mailbox::append;
use crate::nature;
use crate::requests;

/// Between two looks at live after a shift: doubled each time, up to the second number.
const POLL: (Millis, Millis) = (Millis(50), Millis(2_000));

pub(super) async fn stage(ctx: &Context, plan: Digest, rung: u32) -> Batch {
    let Some(target) = target(ctx, rung) else { return Batch::default() };
    ctx.host.ahead.fetched(&ctx.setup.name).await;
    let digest = match target.revision() {
        Some(revision) if revision.facet != Facet::Model => {
            facets::digest(&ctx.setup.ports, &revision, target.digest()).await.map(Some)
        }
        _ => fetch(ctx, &target).await.map(|artefact| artefact.map(|artefact| artefact.digest)),
    };
    match digest {
        Ok(digest) => Batch::of(Event::Staged(Staged { plan, rung, digest })),
        Err(error) => stage_failed(plan, rung, &error),
    }
}

pub(super) async fn guard(ctx: &Context, plan: Digest, (rung, wave): (u32, u32), attempt: u32) -> Batch {
    let max = ctx.service.terms.as_ref().map_or(0, |terms| terms.breaker.host_shifts_per_hour);
    let spent = ctx.host.budget.reserve(&ctx.setup.name, ctx.host.wall.steady(), max);
    let (live, facets) = tokio::join!(ctx.live(), ctx.facets());
    let mut batch = Batch::default();
    let (live, facets) = (batch.observed(&live), batch.observed_facets(&facets));
    let (host_shifts, host_reserved) = (spent.made, spent.reserved);
    batch.with(Event::GuardRead(GuardRead {
        plan,
        rung,
        wave,
        attempt,
        live,
        facets,
        host_shifts,
        host_reserved,
    }))
}

/// A shift that people have agreed to, or a wave of it.
#[derive(Clone, Copy)]
pub(super) struct Approved {
    pub(super) plan: Digest,
    pub(super) rung: u32,
    pub(super) wave: u32,
    pub(super) attempt: u32,
    /// Of its request.
    pub(super) request: Digest,
}

/// The intent first; without it on disk nothing is shifted, and without an order there is no intent.
pub(super) async fn shift(ctx: &Context, approved: Approved) -> Batch {
    let Approved { plan, rung, wave, attempt, .. } = approved;
    let (order, request) = match order(ctx, approved).await {
        Ok(order) => order,
        Err(NoOrder::Plan(instead)) => return instead,
        Err(NoOrder::Artefact(error)) => return stage_failed(plan, rung, &error),
    };
    let began = Batch::of(Event::ShiftBegan(ShiftBegan { plan, rung, wave, attempt, request }));
    if let Err(error) = append(&ctx.mailbox, began).await {
        tracing::warn!(service = %ctx.service.name, %error, "the shift was not begun");
        return Batch::default();
    }
    carry_out(ctx, approved, &order).await
}

/// The same order with the same key: the deployer promised that this is harmless.
pub(super) async fn repeat(ctx: &Context, approved: Approved) -> Batch {
    match order(ctx, approved).await {
        Ok((order, _)) => carry_out(ctx, approved, &order).await,
        Err(NoOrder::Plan(instead)) => instead,
        Err(NoOrder::Artefact(error)) => returned(approved, Err(error.outcome_unknown())),
    }
}

async fn carry_out(ctx: &Context, approved: Approved, order: &Order) -> Batch {
    let result = match order {
        Order::Deploy(order) => ctx.setup.ports.deployer.shift(order).await,
        Order::Restore(restorer, order) => restorer.shift(order).await,
    };
    if let Err(error) = &result {
        tracing::warn!(service = %ctx.service.name, %error, "a shift failed");
    }
    returned(approved, result)
}

fn returned(approved: Approved, result: Result<Shifted, PortError>) -> Batch {
    let Approved { plan, rung, wave, attempt, .. } = approved;
    let mut batch = Batch::default();
    let outcome = match result {
        Ok(Shifted::Done) => ShiftOutcome::Done,
        Ok(Shifted::Underway(_)) => ShiftOutcome::Underway,
        Err(error) if error.applied == Applied::Unknown => {
            ShiftOutcome::Unknown(batch.text(error.to_string()))
        }
        Err(error) => {
            let nature = nature::of_port_error(&error);
            let lies_in = nature::place_of_port_error(&error);
            ShiftOutcome::NotApplied { reason: batch.text(error.to_string()), nature, lies_in }
        }
    };
    batch.with(Event::ShiftReturned(ShiftReturned { plan, rung, wave, attempt, outcome }))
}

pub(super) async fn probe(ctx: &Context, plan: Digest, (rung, wave): (u32, u32), attempt: u32) -> Batch {
    let mut batch = Batch::default();
    let word = match probe_order(ctx, rung, wave) {
        None => return batch,
        Some(order) => match ask_what_became_of(ctx, &order).await {
            Ok(Probe::Applied) => ProbeWord::Applied,
            Ok(Probe::NotApplied) => ProbeWord::NotApplied,
            Ok(Probe::Underway(_)) => ProbeWord::Underway,
            Ok(Probe::CannotTell(why)) => ProbeWord::CannotTell(batch.text(why)),
            Err(error) if error.kind == ErrorKind::Unsupported => {
                ProbeWord::CannotTell(batch.text(error.to_string()))
            }
            Err(error) => ProbeWord::NoAnswer(batch.text(error.to_string())),
        },
    };
    batch.with(Event::ShiftProbed(ShiftProbed { plan, rung, wave, attempt, word }))
}

async fn ask_what_became_of(ctx: &Context, order: &Order) -> Result<Probe, PortError> {
    match order {
        Order::Deploy(order) => ctx.setup.ports.deployer.probe(order).await,
        Order::Restore(restorer, order) => restorer.probe(order).await,
    }
}

/// Looks at live until it is the target, or as much of it as the wave has moved, appending each change on the way. The deadline is the core's.
pub(super) async fn read_back(ctx: &Context, plan: Digest, (rung, wave): (u32, u32)) -> Batch {
    let Some(target) = target(ctx, rung) else { return Batch::default() };
    let Some(facet) = target.facet() else { return Batch::default() };
    let Some(drafted) = ctx.incident().and_then(|incident| incident.plan()) else { return Batch::default() };
    let (moves, last_wave) = (drafted.moves(wave).clone(), wave >= drafted.last_wave());
    let proof_min = ctx.setup.terms.proof_min(&facet);
    let (mut pause, pause_max) = POLL;
    let mut last = None;
    loop {
        let (live, facets) = tokio::join!(ctx.live(), ctx.facets());
        let mut batch = Batch::default();
        // Between two waves it is not one version that answers.
        let (live, fingerprint) = if last_wave {
            identified(ctx, live, &target, &mut batch).await
        } else {
            (live, FingerprintWord::NotCompared)
        };
        let (observed, observed_facets) = (batch.observed(&live), batch.observed_facets(&facets));
        // A failure in other words is no news.
        let news = (live, facets, std::mem::discriminant(&fingerprint));
        let read = ReadBack { plan, rung, wave, live: observed, facets: observed_facets, fingerprint };
        if !last_wave && read.shows_wave(&target, &moves) {
            return batch.with(Event::ReadBack(read));
        }
        if last_wave && read.shows(&target) && read.proof(&target) >= Some(proof_min) {
            if let Some(word) = outputs_of_what_was_left(ctx, &target, &mut batch).await {
                batch = batch.with(Event::OutputsListed(OutputsListed { plan, rung, word }));
            }
            return batch.with(Event::ReadBack(read));
        }
        if last.as_ref() != Some(&news) {
            let appended = append(&ctx.mailbox, batch.with(Event::ReadBack(read))).await;
            if appended.is_err() {
                return Batch::default();
            }
        }
        last = Some(news);
        let again = ctx.host.setup.clock.now() + pause;
        pausing(ctx.host.setup.clock.sleep_until(again)).await;
        pause = Millis(pause.0 * 2).min(pause_max);
    }
}

/// What a job without an endpoint has made by the versions that the plan has left, those of earlier rungs among them: that is to be scored again.
async fn outputs_of_what_was_left(ctx: &Context, target: &Target, batch: &mut Batch) -> Option<OutputsWord> {
    let reached = target.version()?;
    let incident = ctx.incident()?;
    let served = incident.plan()?.serves_of(target).into_iter().map(|revision| revision.name);
    let tried = incident.ladder.tried.iter().filter_map(Target::version).map(|tried| tried.version.clone());
    let mut left: Vec<_> = served.chain(tried).filter(|version| *version != reached.version).collect();
    left.sort();
    left.dedup();
    if left.is_empty() {
        return None;
    }
    match ctx.setup.ports.deployer.outputs(&left).await {
        Ok(None) => None,
        Ok(Some(outputs)) => Some(OutputsWord::Listed(batch.json(BlobKind::Outputs, &outputs))),
        Err(error) => Some(OutputsWord::Failed(batch.text(error.to_string()))),
    }
}

/// Where the target seems to be served, and nothing else is: what its answers say, and live with that as its proof.
async fn identified(
    ctx: &Context,
    live: LiveState,
    target: &Target,
    batch: &mut Batch,
) -> (LiveState, FingerprintWord) {
    let Some(version) = target.version().filter(|_| live.serves(target) && live.sole_version().is_some())
    else {
        return (live, FingerprintWord::NotCompared);
    };
    let word = fingerprint::compare(ctx, version, batch).await;
    let live = match live {
        LiveState::Serving(mut shares) if word == FingerprintWord::Same => {
            let weaker = |share: &&mut Share| share.proof < Proof::Fingerprint;
            shares.iter_mut().filter(weaker).for_each(|share| share.proof = Proof::Fingerprint);
            LiveState::Serving(shares)
        }
        live => live,
    };
    (live, word)
}

pub(super) fn target(ctx: &Context, rung: u32) -> Option<Target> {
    let target = ctx.incident()?.target(rung)?.clone();
    // A digest that was pinned when the artefact was staged holds from then on.
    let pinned = |version: VersionTarget| VersionTarget {
        digest: version.digest.or_else(|| ctx.service.known_of(&version.version)?.digest),
        version: version.version,
    };
    Some(match target {
        Target::Version(version) => Target::Version(pinned(version)),
        other => other,
    })
}

/// What is asked of whatever moves the target's facet.
enum Order {
    /// Of the deployer.
    Deploy(ShiftOrder),
    /// Of this restorer.
    Restore(Arc<dyn Restorer>, RestoreOrder),
}

impl Order {
    /// What is found in the place, as far as it was read.
    fn expected(&self) -> String {
        match self {
            Self::Deploy(order) => {
                serde_json::to_string(&order.expecting).unwrap_or_else(|_| order.expecting.to_string())
            }
            Self::Restore(_, order) => order.expecting.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Deploy(order) => &order.key,
            Self::Restore(_, order) => &order.key,
        }
    }

    fn staged(&self) -> Option<Digest> {
        match self {
            Self::Deploy(order) => order.staged.as_ref().map(|staged| staged.digest),
            Self::Restore(_, order) => order.digest,
        }
    }
}

/// The order without its artefact: enough to ask what became of it.
fn probe_order(ctx: &Context, rung: u32, wave: u32) -> Option<Order> {
    let incident = ctx.incident()?;
    let Phase::Acting(acting) = &incident.phase else { return None };
    let (plan, target) = (incident.plan()?, target(ctx, rung)?);
    let revision = target.revision()?;
    let (rung, number, wave) = (rung.to_be_bytes(), wave.to_be_bytes(), plan.wave(wave));
    let service = ctx.service.name.as_str().as_bytes();
    let mut parts: Vec<&[u8]> = vec![plan.digest.as_bytes(), service, &rung, b"shift"];
    if wave.is_some() {
        parts.push(&number);
    }
    let key = Digest::tagged("ripcord shift 1", &parts);
    let (key, deadline) = (key.to_string(), ctx.setup.terms.deadlines.shift);
    if revision.facet == Facet::Model {
        let expecting = acting.guarded.as_ref().map_or_else(|| plan.live.state(), Observed::state);
        let (incident, plan) = (incident.id.clone(), plan.digest);
        let staged = None;
        return Some(Order::Deploy(ShiftOrder {
            key,
            target,
            expecting,
            staged,
            wave,
            incident,
            plan,
            deadline,
        }));
    }
    let seen = if acting.guarded.is_some() { &acting.guarded_facets } else { &plan.facets };
    let expecting = read_of(seen, &revision.facet).and_then(FacetState::known);
    let order = RestoreOrder {
        key,
        digest: target.digest(),
        expecting: expecting.map(|known| known.revision.clone()),
        incident: incident.id.clone(),
        plan: plan.digest,
        revision: revision.name,
        deadline,
    };
    Some(Order::Restore(ctx.setup.ports.restorers.get(&revision.facet)?.clone(), order))
}

/// Why there is no order. Nothing was shifted.
enum NoOrder {
    /// The plan is not to be carried out, or the state has moved on: what is to be appended instead.
    Plan(Batch),
    /// The artefact is not at hand any more.
    Artefact(PortError),
}

/// The whole order, and its request as it was approved and is sent. Only a plan whose content has the granted digest is carried out, and only by a request
/// that the plan names.
async fn order(ctx: &Context, approved: Approved) -> Result<(Order, Sent), NoOrder> {
    let Approved { plan, rung, wave, attempt, request } = approved;
    let nothing = || NoOrder::Plan(Batch::default());
    let mut order = probe_order(ctx, rung, wave).ok_or_else(nothing)?;
    ctx.plan().await.map_err(NoOrder::Plan)?;
    let incident = ctx.incident().ok_or_else(nothing)?;
    // The target as it was approved: a digest that was pinned since is checked when the artefact is fetched.
    let part = incident.plan().and_then(|plan| plan.wave(wave));
    let target = incident.target(rung);
    let now = target.and_then(|target| requests::of_target(&ctx.setup.ports, target, part.as_ref()));
    if let Order::Deploy(order) = &mut order {
        order.staged = fetch(ctx, &order.target).await.map_err(NoOrder::Artefact)?;
    }
    let filled = Filled {
        plan: Some(plan),
        incident: incident.id.clone(),
        expected: order.expected(),
        key: order.key().to_owned(),
        staged: order.staged(),
        attempt,
    };
    match requests::as_approved(now, request, &filled) {
        Ok(sent) => Ok((order, sent)),
        Err(now) => {
            tracing::error!(service = %ctx.service.name, %plan, rung, "what would be sent is no longer what was approved: it is not sent");
            let (step, approved) = (StepKind::Shift, request);
            let changed = RequestChanged { plan, rung, step, approved, now };
            Err(NoOrder::Plan(Batch::of(Event::RequestChanged(changed))))
        }
    }
}
