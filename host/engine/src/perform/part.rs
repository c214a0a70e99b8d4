//! One service's part of a set's plan.

use ripcord_core::event::FaultNature;
use ripcord_core::facet::{Facet, FacetState, Revision};
use ripcord_core::live::LiveState;
use ripcord_core::plan::{Part, Rung, StepKind};
use ripcord_core::set::{PartDraft, leads_back};
use ripcord_core::target::Target;
use ripcord_core::wave::{Wave, waves_under};
use ripcord_ports::PortError;
use ripcord_ports::store::NewBlob;

use super::plan::{descent_of, why_not};
use super::rung::{rung, why_not_preflighted};
use crate::batch::Batch;
use crate::context::Context;
use crate::descent::Descent;
use crate::facets;
use crate::nature;
use crate::restorable::{self, Listed, obstacle, pinned, unpinnable};

/// Where a part leads.
pub(crate) enum Way {
    /// To its target.
    There,
    /// And after that, where another part fails, back to what is live.
    ThereAndBack {
        /// What was live and in force when the service was enlisted: the way back leads nowhere else.
        was: Vec<Revision>,
    },
}

/// Why a member has no part.
#[derive(Debug)]
pub(crate) struct NotDrafted {
    /// For people.
    pub(crate) why: String,
    /// Whether trying again makes sense.
    pub(crate) nature: FaultNature,
}

impl NotDrafted {
    fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), nature: FaultNature::Deterministic }
    }

    fn by(error: &PortError, what: impl FnOnce(&PortError) -> String) -> Self {
        Self { why: what(error), nature: nature::of_port_error(error) }
    }
}

/// The part that leads the service to `target`, with the contents that it refers to.
pub(crate) async fn part(
    ctx: &Context,
    target: Target,
    way: &Way,
) -> Result<(PartDraft, Vec<NewBlob>), NotDrafted> {
    let (ports, terms) = (&ctx.setup.ports, &ctx.setup.terms);
    let facet = target.facet().unwrap_or(Facet::Model);
    let descent = descent_of(ctx, std::slice::from_ref(&target)).await;
    let condemned = || descent.condemned(&ctx.service, &target.revision()?);
    if let Some(why) = why_not(ctx, &target, &[]).or_else(condemned) {
        return Err(NotDrafted::for_good(format!("{target}: {why}")));
    }
    if let Some(why) = obstacle(ports, terms, &facet).await {
        return Err(NotDrafted::for_good(format!("nothing can be shifted: {why}")));
    }
    let (live, reads) = tokio::join!(ports.deployer.live(), ctx.facets());
    let live = live
        .map_err(|error| NotDrafted::by(&error, |error| format!("what is live cannot be read: {error}")))?;
    let live = live.state;
    let there = pinned(ports, &ctx.service, target).await;
    let there = there.map_err(|error| NotDrafted::by(&error, |error| unpinnable(error)))?;
    let waves = if facet == Facet::Model { waves_under(&terms.waves, &live) } else { Vec::new() };
    let why_not = why_not_preflighted(ctx);
    let mut rungs = vec![of(ctx, &there, &descent, (why_not, &waves))?];
    if let Way::ThereAndBack { was } = way {
        let back = live_target(ctx, &facet, &live, &reads, was).await?;
        let mut rung = of(ctx, &back, &descent, (why_not, &waves))?;
        // What was live before may be what was wrong: it is neither tried nor verified, and nothing that it leaves is condemned.
        let left_out = [StepKind::Preflight, StepKind::ClearCandidate, StepKind::Verify, StepKind::MarkHolds];
        rung.steps.retain(|step| !left_out.contains(&step.kind));
        rungs.push(rung);
    }
    let preflighted = why_not.is_none() && there.version().is_some();
    let mut batch = Batch::default();
    let draft = PartDraft {
        live: batch.observed(&live),
        facets: batch.observed_facets(&reads),
        part: Part {
            service: ctx.setup.name.clone(),
            environment: terms.environment.clone(),
            live,
            facets: reads,
            waves,
            rungs,
        },
        policies: terms.policies.iter().map(|used| used.policy.clone()).collect(),
        condemnations_known: ctx.service.condemnations,
        equipment: terms.equipment,
        preflighted,
    };
    Ok((draft, batch.blobs))
}

fn of(
    ctx: &Context,
    target: &Target,
    descent: &Descent,
    how: (Option<&'static str>, &[Wave]),
) -> Result<Rung, NotDrafted> {
    let gone =
        || NotDrafted { why: "it is not enlisted any more".to_owned(), nature: FaultNature::Environmental };
    let incident = ctx.incident().ok_or_else(gone)?;
    rung(ctx, incident, target, descent, how).map_err(|why| NotDrafted::for_good(format!("{target}: {why}")))
}

/// What is live of the facet, as a target.
async fn live_target(
    ctx: &Context,
    facet: &Facet,
    live: &LiveState,
    reads: &[ripcord_core::facet::FacetRead<String>],
    was: &[Revision],
) -> Result<Target, NotDrafted> {
    let ports = &ctx.setup.ports;
    let no_way = |what: String| {
        NotDrafted::for_good(format!(
            "{what}, so there would be no way back where another part fails: bring it to one revision first, or set `if-part-fails = \"forward\"`"
        ))
    };
    let revision = match facet {
        Facet::Model => live.sole_version().map(|version| Revision::of_model(&version.version)),
        _ => reads.iter().find(|read| read.facet == *facet).and_then(|read| match &read.state {
            FacetState::InForce(known) => {
                Some(Revision { facet: facet.clone(), name: known.revision.clone() })
            }
            FacetState::Unknown(_) => None,
        }),
    };
    let revision = revision
        .ok_or_else(|| no_way(format!("what is live of it is not one known revision of its {facet}")))?;
    if !leads_back(&revision, was) {
        return Err(NotDrafted::for_good(format!(
            "`{revision}` is live now, and was not when it was enlisted: somebody else has moved it; end the run, and ask for a new one"
        )));
    }
    let listed = match revision.version() {
        Some(version) => ports.registry.version(version).await.map(|version| Listed::from(&version)),
        None => match facets::restorer(ports, facet) {
            Ok(restorer) => restorer.revision(&revision.name).await.map(|entry| Listed::from(&entry)),
            Err(error) => Err(error),
        },
    };
    let listed = listed.map_err(|error| {
        NotDrafted::by(&error, |error| format!("`{revision}` is live, and cannot be gone back to: {error}"))
    })?;
    if let Some(why) = restorable::without_content(&ctx.service, &revision, &listed) {
        return Err(no_way(format!("`{revision}` is live, and {why}")));
    }
    let target = restorable::target(&ctx.service, &revision, &listed);
    pinned(ports, &ctx.service, target)
        .await
        .map_err(|error| NotDrafted::by(&error, |error| unpinnable(error)))
}
