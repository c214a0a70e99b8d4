//! What others do to production: looked at every so often; and what they put live is examined.

use ripcord_core::aliases::bounded;
use ripcord_core::event::{
    AliasesSeen, Event, InProduction, LiveData, LiveDataSeen, Observed, ObservedFacet, ProductionPart,
    ProductionWatched, TrialPhase,
};
use ripcord_core::facet::{FacetRead, Revision, read_of};
use ripcord_core::live::{LiveState, served};
use ripcord_core::name::VersionName;
use ripcord_core::production::Production;
use ripcord_core::role::{PromotionSubject, Subject};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::ErrorKind;

use super::promotion;
use super::verify::{Asking, ask};
use crate::batch::Batch;
use crate::context::Context;
use crate::descent::{Descends, Lineages};
use crate::looks::Pace;

/// Looks until something else is there than was seen last, or what is live could not be read for long: only that enters the journal.
pub(super) async fn watch(ctx: &Context, seen: &Production, pace: Pace) -> Batch {
    let (looks, clock, service) = (&ctx.host.looks, &ctx.host.setup.clock, &ctx.setup.name);
    loop {
        pause(ctx, looks.pause(service, pace, clock.steady())).await;
        let (batch, watched) = look(ctx, seen).await;
        looks.looked(service, pace, clock.steady());
        let unread = watched.unread.iter().any(|part| !seen.unread.contains(part));
        if seen.after(&watched.live, &watched.facets, &watched.in_production, ctx.now()) != *seen || unread {
            return batch.with(Event::ProductionWatched(watched));
        }
        if let Some(seen) = live_data(ctx, &watched.live).await {
            return Batch::default().with(Event::LiveDataSeen(seen));
        }
        if let Some(seen) = aliases(ctx).await {
            return Batch::default().with(Event::AliasesSeen(seen));
        }
    }
}

/// What is live, was trained on condemned data, or may be, and was not told yet. A registry that does not answer is asked at the next look.
async fn live_data(ctx: &Context, live: &Observed) -> Option<LiveDataSeen> {
    // Data are condemned while this effect goes on.
    let service = ctx.latest.borrow().clone();
    let Observed::Serving(shares) = live else { return None };
    if service.condemned_data.is_empty() {
        return None;
    }
    // One whose data nobody knew is asked for again: its registry may name them by now.
    let is_said = |told: &LiveData| told.trained_on.is_some();
    let was_told = |version: &VersionName| {
        service.live_data_told.iter().any(|told| told.version == *version && is_said(told))
    };
    let mut live = served(shares);
    let is_news = |version: &VersionName| !was_told(version) && !service.is_known_clean(version);
    live.retain(|version| service.production.serves(&version.into()) && is_news(version));
    let lineages = Lineages::new(ctx.setup.ports.registry.as_ref(), &service);
    let mut seen = Vec::new();
    for version in ctx.host.looks.not_clean(&service, live) {
        match lineages.descent(&version).await {
            Descends::Clean => ctx.host.looks.found_clean(&service, version),
            Descends::FromCondemned { data, through } => {
                seen.push(LiveData { version, trained_on: Some(data), through });
            }
            Descends::NotKnown(why) if why.may_be_told_later() => {}
            Descends::NotKnown(_) => seen.push(LiveData { version, trained_on: None, through: Vec::new() }),
        }
    }
    seen.retain(|found| !service.has_told_of(found));
    (!seen.is_empty()).then(|| LiveDataSeen { after: service.ended_last(), seen })
}

/// The registry's other names, where they point elsewhere than at the last look. They move nothing in production: one that cannot be read is asked for at the
/// next look, and whether the registry can be read at all shows in its production name.
async fn aliases(ctx: &Context) -> Option<AliasesSeen> {
    let service = &ctx.setup.name;
    let told = match ctx.setup.ports.registry.aliases().await {
        Ok(told) => told,
        Err(error) if error.kind == ErrorKind::Unsupported => return None,
        Err(error) => {
            tracing::warn!(%service, %error, "the registry's names for versions cannot be read: a held version that moves up goes unnoticed meanwhile");
            return None;
        }
    };
    let (aliases, left_out) = bounded(told);
    let now = ctx.now();
    let is_news = ctx.latest.borrow().aliases.as_ref().is_none_or(|known| known.is_news(&aliases, now));
    if is_news && left_out > 0 {
        tracing::warn!(%service, left_out, watched = aliases.len(), "the registry has more names for versions than are watched");
    }
    is_news.then_some(AliasesSeen { aliases })
}

async fn pause(ctx: &Context, every: Millis) {
    let again = ctx.host.setup.clock.now() + every;
    ctx.host.setup.clock.sleep_until(again).await;
}

/// A registry without such a name is not asked for it.
async fn look(ctx: &Context, seen: &Production) -> (Batch, ProductionWatched) {
    // What comes into force while the answers are under way may not be in them.
    let began_at = ctx.now();
    let name = async {
        if seen.name == Some(InProduction::Unsupported) {
            Ok(InProduction::Unsupported)
        } else {
            promotion::read(ctx).await
        }
    };
    let (live, facets, in_production) = tokio::join!(ctx.live(), ctx.facets(), name);
    let mut batch = Batch::default();
    let (live, facets) = (batch.observed(&live), batch.observed_facets(&facets));
    let in_production = in_production.unwrap_or_else(|why| InProduction::Unknown(batch.text(why)));
    let unread = lastingly_unread(ctx, &live, &facets, &in_production);
    let is_whole =
        matches!(live, Observed::Serving(_)) && facets.iter().all(|read| read.state.known().is_some());
    let not_before = ctx.host.looks.seen(&ctx.setup.name, is_whole.then_some(began_at));
    (
        batch,
        ProductionWatched {
            after: ctx.service.ended_last(),
            live,
            facets,
            in_production,
            unread,
            not_before,
        },
    )
}

/// What has not been readable for so long that people are to be told.
fn lastingly_unread(
    ctx: &Context,
    live: &Observed,
    facets: &[ObservedFacet],
    name: &InProduction,
) -> Vec<ProductionPart> {
    let (service, now) = (&ctx.setup.name, ctx.host.setup.clock.steady());
    let lasts = |part: ProductionPart, is_read: bool| {
        if is_read {
            ctx.host.unread.read(service, &part);
            return None;
        }
        let for_so_long = ctx.host.unread.unread(service, &part, now);
        (for_so_long >= ctx.setup.terms.deadlines.no_data).then_some(part)
    };
    let live = lasts(ProductionPart::Live, !matches!(live, Observed::Unknown(_)));
    let name = lasts(ProductionPart::Name, !matches!(name, InProduction::Unknown(_)));
    let facets = facets
        .iter()
        .filter_map(|read| lasts(ProductionPart::Facet(read.facet.clone()), read.state.known().is_some()));
    live.into_iter().chain(name).chain(facets).collect()
}

/// Asks the verification policies about what someone else put live. If something else is live by now, before the question or after it, what was
/// said is about nothing: that is told instead.
pub(super) async fn examine(ctx: &Context, since: UnixMillis, round: u32) -> Batch {
    let Some(probation) = ctx.service.probation.as_ref().filter(|probation| probation.since == since) else {
        return Batch::default();
    };
    let is_live =
        |live: &LiveState| live.sole_version().is_some_and(|sole| sole.version == probation.version.version);
    let before: Vec<Revision> = loop {
        let (live, facets) = tokio::join!(ctx.live(), ctx.facets());
        match (live, in_force(&probation.unproven, &facets)) {
            (_, Some(false)) => return moved_on(ctx).await,
            (live, Some(true)) if is_live(&live) => {
                break facets.iter().filter_map(FacetRead::revision).collect();
            }
            (LiveState::Serving(shares), _) if !is_live(&LiveState::Serving(shares.clone())) => {
                return moved_on(ctx).await;
            }
            _ => pause(ctx, ctx.setup.terms.deadlines.hold_watch).await,
        }
    };
    let subject = Subject::Promotion(PromotionSubject {
        version: probation.version.clone(),
        before: probation.before.clone(),
        noticed_at: since,
    });
    let phase = TrialPhase::Probation(since);
    let asking = Asking { phase, round, subject, signals: Vec::new(), before: Vec::new() };
    let mut words = ask(ctx, asking).await.unwrap_or_else(|error| ctx.read_later(&error));
    let (live, facets) = tokio::join!(ctx.live(), ctx.facets());
    let beside: Vec<Revision> = facets.iter().filter_map(FacetRead::revision).collect();
    for event in &mut words.events {
        if let Event::VerificationsAsked(asked) = event {
            asked.beside = before.iter().filter(|revision| beside.contains(revision)).cloned().collect();
        }
    }
    match (live, in_force(&probation.unproven, &facets)) {
        (_, Some(false)) => moved_on(ctx).await,
        (LiveState::Serving(shares), _) if !is_live(&LiveState::Serving(shares.clone())) => {
            moved_on(ctx).await
        }
        _ => words,
    }
}

/// Whether the revisions of facets beside the model are in force still; none where one cannot be read.
fn in_force(unproven: &[Revision], facets: &[FacetRead<String>]) -> Option<bool> {
    let beside = unproven.iter().filter(|revision| revision.version().is_none());
    beside
        .map(|revision| Some(read_of(facets, &revision.facet)?.known()?.revision == revision.name))
        .try_fold(true, |all, one| Some(all && one?))
}

async fn moved_on(ctx: &Context) -> Batch {
    let (batch, watched) = look(ctx, &ctx.service.production).await;
    batch.with(Event::ProductionWatched(watched))
}
