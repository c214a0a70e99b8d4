//! Evidence before the shift: within a budget, side by side, and what could not be had is recorded as missing.

use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, EvidenceGap, EvidenceItem, EvidencePreserved, InProduction};
use ripcord_core::facet::{Facet, FacetRead, FacetState};
use ripcord_core::fact::{Detail, Fact, GoldenQuery, Live, Request};
use ripcord_core::live::LiveState;
use ripcord_core::name::IncidentId;
use ripcord_core::target::Window;
use ripcord_core::terms::EvidenceRule;
use ripcord_core::time::Millis;
use ripcord_ports::waiting::own;

use super::{plan, promotion};
use crate::batch::Batch;
use crate::context::Context;
use crate::deadline::within;
use crate::facts::live_fact;
use crate::kept_facts;
use crate::setup::GoldenBefore;
use crate::trials;
use futures_util::future::join_all;

/// A piece of evidence: its name, and its content or why there is none.
type Piece = (String, Result<Vec<u8>, String>);

/// The way back needs nothing of the registry, so it waits no longer for what the registry has to say about what is live.
const REGISTRY: Millis = Millis(250);

/// Where somebody broke the glass, nothing is waited for longer.
const HURRIED: Millis = Millis(1_000);

/// Meanwhile the planner is asked: it needs nothing of this.
pub(super) async fn preserve(ctx: &Context, incident: IncidentId, hurried: bool) -> Batch {
    plan::think_ahead(ctx);
    ctx.host.ahead.along(&ctx.setup.name, gather(ctx, incident, hurried)).await
}

async fn gather(ctx: &Context, incident: IncidentId, hurried: bool) -> Batch {
    let budget = ctx.setup.terms.deadlines.evidence;
    let budget = if hurried { budget.min(HURRIED) } else { budget };
    let clock = ctx.host.setup.clock.as_ref();
    let began = clock.steady();
    let late = move || took_longer(budget);
    let registry = match ctx.setup.terms.evidence {
        EvidenceRule::Required if !hurried => budget,
        _ => budget.min(REGISTRY),
    };
    let boxed = |piece| async move {
        within(clock, budget, piece).await.unwrap_or_else(|| vec![("late".to_owned(), Err(late()))])
    };
    let log = async {
        let piece: std::pin::Pin<Box<dyn Future<Output = Vec<Piece>> + Send>> = Box::pin(request_log(ctx));
        named("request-log", boxed(piece).await)
    };
    let reason = async {
        let piece: std::pin::Pin<Box<dyn Future<Output = Vec<Piece>> + Send>> = Box::pin(reason_facts(ctx));
        named("facts", boxed(piece).await)
    };
    let before = async {
        let live = within(clock, budget, ctx.setup.ports.deployer.live()).await;
        let (state, live) = match live {
            Some(Ok(live)) => (live.state.clone(), Some(live)),
            Some(Err(error)) => (LiveState::Unknown(error.to_string()), None),
            None => (LiveState::Unknown(late()), None),
        };
        let mut pieces =
            vec![("live".to_owned(), canonical::json(&state).map_err(|error| error.to_string()))];
        // What is left of the budget.
        let left = Millis((began + budget).0.saturating_sub(clock.steady().0));
        pieces.extend(manifests(ctx, &state, left.min(registry)).await);
        (state, live, pieces)
    };
    let golden = async { within(clock, budget, golden_facts(ctx)).await };
    let facets = async {
        match within(clock, budget, ctx.facets()).await {
            Some(reads) => {
                let left = Millis((began + budget).0.saturating_sub(clock.steady().0));
                let pieces = contents(ctx, &reads, left).await;
                (reads, pieces)
            }
            None => (ctx.facets_unknown(&late()), Vec::new()),
        }
    };
    let named_there = async {
        within(clock, registry, promotion::read(ctx)).await.unwrap_or_else(|| Err(took_longer(registry)))
    };
    let (log, reason, (state, live, mut pieces), golden, (facets, contents), in_production) =
        tokio::join!(log, reason, before, golden, facets, named_there);
    pieces.extend(log);
    pieces.extend(contents);
    pieces.extend(reason);
    if golden.is_none() {
        pieces.push(("golden-data".to_owned(), Err(late())));
    }
    let live = live.map(|live| {
        let live = Live { facets: facets.clone(), ..live };
        live_fact(live, ctx.setup.ports.deployer.name())
    });
    let facts: Vec<Fact> = live.into_iter().chain(golden.into_iter().flatten()).collect();
    let (mut items, mut missing, mut batch) = (Vec::new(), Vec::new(), Batch::default());
    for (name, kept) in keep(ctx, pieces, hurried).await {
        match kept {
            Ok((digest, bytes)) => items.push(EvidenceItem { name, digest, bytes }),
            Err(reason) => missing.push(EvidenceGap { name, reason: batch.text(reason) }),
        }
    }
    let live = batch.observed(&state);
    if let LiveState::Unknown(reason) = &state {
        missing.push(EvidenceGap { name: "live".into(), reason: batch.text(reason) });
    }
    for read in &facets {
        if let FacetState::Unknown(reason) = &read.state {
            missing.push(EvidenceGap { name: piece_name(&read.facet), reason: batch.text(reason) });
        }
    }
    let facets = batch.observed_facets(&facets);
    let in_production = in_production.unwrap_or_else(|why| InProduction::Unknown(batch.text(why)));
    let facts = kept_facts::keep(ctx, &mut batch, facts);
    let preserved = EvidencePreserved { incident, items, missing, live, facets, in_production, facts };
    batch.with(Event::EvidencePreserved(preserved))
}

fn took_longer(limit: Millis) -> String {
    format!("it took longer than {limit}")
}

/// Gives a piece that came too late the name it would have had.
fn named(name: &str, pieces: Vec<Piece>) -> Vec<Piece> {
    pieces
        .into_iter()
        .map(|(own, piece)| (if own == "late" { name.to_owned() } else { own }, piece))
        .collect()
}

/// Keeps all at once: together they wait for the disk about as long as one.
async fn keep(
    ctx: &Context,
    pieces: Vec<Piece>,
    hurried: bool,
) -> Vec<(String, Result<(Digest, u64), String>)> {
    let (mut names, mut all, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (name, piece) in pieces {
        match piece {
            Ok(bytes) => {
                names.push((name, bytes.len() as u64));
                all.push(bytes);
            }
            Err(reason) => kept.push((name, Err(reason))),
        }
    }
    // The step ends when this time has passed too: a folder that hangs must be a gap before that.
    let limit = ctx.setup.terms.deadlines.call;
    let limit = if hurried { limit.min(HURRIED) } else { limit };
    let put = own("evidence", ctx.host.setup.evidence.put(all));
    match within(ctx.host.setup.clock.as_ref(), limit, put).await {
        Some(Ok(digests)) => kept.extend(names.into_iter().zip(digests).map(|((name, bytes), digest)| {
            (name, digest.map(|digest| (digest, bytes)).map_err(|error| error.to_string()))
        })),
        Some(Err(error)) => kept.extend(names.into_iter().map(|(name, _)| (name, Err(error.to_string())))),
        None => {
            let why = format!("the evidence store did not keep it within {limit}");
            kept.extend(names.into_iter().map(|(name, _)| (name, Err(why.clone()))));
        }
    }
    kept
}

/// The harmful window of the service's request log.
async fn request_log(ctx: &Context) -> Vec<Piece> {
    let Some(log) = &ctx.setup.ports.requests else { return Vec::new() };
    let Some(incident) = ctx.incident() else { return Vec::new() };
    let began =
        incident.marks.harm_began_at.or(incident.marks.signalled_at).unwrap_or(incident.marks.opened_at);
    let window = Window { start: began - ctx.setup.evidence.before, end: ctx.now() };
    let piece = own("evidence", log.preserve(window, ctx.setup.evidence.request_log_bytes_max)).await;
    vec![("request-log".to_owned(), piece.map(|piece| piece.bytes).map_err(|error| error.to_string()))]
}

/// What the trigger knew.
async fn reason_facts(ctx: &Context) -> Vec<Piece> {
    let Some(facts) = ctx.incident().and_then(|incident| incident.reason.facts) else { return Vec::new() };
    let content = match kept_facts::read(ctx, &facts).await {
        Ok(Some(facts)) => canonical::cbor(&facts).map_err(|error| error.to_string()),
        Ok(None) => Err("the facts of the decision were erased".to_owned()),
        Err(error) => Err(format!("the facts of the decision cannot be read: {error}")),
    };
    vec![("facts".to_owned(), content)]
}

/// The registry's word on every version that is served.
async fn manifests(ctx: &Context, state: &LiveState, limit: Millis) -> Vec<Piece> {
    let LiveState::Serving(shares) = state else { return Vec::new() };
    let (registry, clock) = (&ctx.setup.ports.registry, ctx.host.setup.clock.as_ref());
    join_all(shares.iter().map(|share| async move {
        let version = &share.version.version;
        let manifest = within(clock, limit, registry.manifest(version)).await;
        let manifest = manifest
            .map_or_else(|| Err(took_longer(limit)), |manifest| manifest.map_err(|error| error.to_string()));
        (format!("manifest-{version}"), manifest)
    }))
    .await
}

/// The content of what is in force of the other facets: it is about to be overwritten.
async fn contents(ctx: &Context, reads: &[FacetRead<String>], limit: Millis) -> Vec<Piece> {
    let clock = ctx.host.setup.clock.as_ref();
    let contents = reads.iter().filter_map(|read| {
        let (known, restorer) = (read.state.known()?, ctx.setup.ports.restorers.get(&read.facet)?);
        Some(async move {
            let content = within(clock, limit, restorer.content(&known.revision, known.digest)).await;
            let content = content.map_or_else(
                || Err(took_longer(limit)),
                |content| content.map_err(|error| error.to_string()),
            );
            (piece_name(&read.facet), content)
        })
    });
    join_all(contents).await
}

fn piece_name(facet: &Facet) -> String {
    facet.to_string().replace(' ', "-")
}

/// The golden data through what is live: what verification compares with.
async fn golden_facts(ctx: &Context) -> Vec<Fact> {
    if ctx.setup.evidence.golden == GoldenBefore::Skipped {
        return Vec::new();
    }
    let (Some(golden), Some(incident)) = (&ctx.setup.ports.golden, ctx.incident()) else { return Vec::new() };
    let tag = format!("{}/before", incident.id);
    join_all(golden.names().into_iter().map(|dataset| {
        let request = Request::Golden(GoldenQuery { dataset, candidate: None, detail: Detail::Summary });
        let tag = tag.clone();
        async move {
            let as_of = ctx.now();
            let value = trials::run(ctx, &request, None, &tag, as_of).await;
            let source =
                ctx.setup.ports.endpoint.as_ref().map_or("host", |endpoint| endpoint.name()).to_owned();
            Fact { id: "before".into(), request, value, source, as_of }
        }
    }))
    .await
}
