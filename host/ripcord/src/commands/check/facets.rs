//! What puts the other facets back: whether it can, and whether what is in force can be told.

use ripcord_core::facet::{Facet, FacetState};
use ripcord_core::live::Proof;
use ripcord_core::terms::EffectClass;
use ripcord_engine::ServiceSetup;
use ripcord_ports::Restorer;

use super::probe::patient;
use super::{Level, Report};

/// So many revisions are looked for.
const REVISIONS_MAX: u32 = 20;

pub(super) async fn facets(setup: &ServiceSetup, report: &mut Report) {
    for (facet, restorer) in &setup.ports.restorers {
        let subject = || format!("service {}: {facet}", setup.name);
        if let Ok(Some(why)) = patient(restorer.obstacle()).await {
            report.add(Level::Error, subject(), why, "it cannot be put back while this lasts");
        }
        history(facet, restorer.as_ref(), &subject(), report).await;
        in_force(restorer.as_ref(), setup.terms.proof_min(facet), &subject(), report).await;
        if restorer.class() == EffectClass::Blind {
            let text =
                "what puts it back is blind: after an interruption a person is asked whether it happened";
            report.add(Level::Warn, subject(), text, "give it a way to read back what is in force");
        }
    }
}

async fn history(facet: &Facet, restorer: &dyn Restorer, subject: &str, report: &mut Report) {
    let revisions = match patient(restorer.history(REVISIONS_MAX)).await {
        Ok(Ok(revisions)) => revisions,
        Ok(Err(error)) => return report.add(Level::Error, subject, error.to_string(), ""),
        Err(late) => return report.add(Level::Error, subject, late, ""),
    };
    for revision in &revisions {
        if let Some(why) = &revision.broken {
            let text = format!("`{}` cannot be restored: {why}", revision.revision);
            report.add(Level::Warn, subject, text, "repair it where it is kept");
        }
    }
    match revisions.len() {
        0 | 1 if *facet != Facet::Fallback => {
            let text = "it has fewer than two revisions: there is nothing to go back to yet";
            report.add(Level::Warn, subject, text, "its history grows with every change");
        }
        number => {
            let names: Vec<_> = revisions.iter().take(5).map(|one| one.revision.to_string()).collect();
            let more = if number > 5 { ", …" } else { "" };
            report.ok(subject, format!("{number} revisions: {}{more}", names.join(", ")));
        }
    }
}

async fn in_force(restorer: &dyn Restorer, proof_min: Proof, subject: &str, report: &mut Report) {
    match patient(restorer.in_force()).await {
        Ok(Ok(live)) => match live.state {
            FacetState::InForce(known) if known.proof < proof_min => report.add(
                Level::Error,
                subject,
                format!(
                    "{} is in force, proved by {}, which is weaker than `proof-min` asks for",
                    known.revision, known.proof
                ),
                "lower `proof-min`, or say where the service tells what it works with (`read-back`)",
            ),
            FacetState::InForce(known) => {
                report.ok(subject, format!("{} is in force, proved by {}", known.revision, known.proof));
            }
            FacetState::Unknown(why) => report.add(
                Level::Warn,
                subject,
                format!("what is in force is not known: {why}"),
                "nothing that others change of it is noticed while this lasts",
            ),
        },
        Ok(Err(error)) => report.add(Level::Error, subject, error.to_string(), ""),
        Err(late) => report.add(Level::Error, subject, late, ""),
    }
}
