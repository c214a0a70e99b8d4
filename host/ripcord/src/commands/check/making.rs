//! What makes versions, and the checkpoints that they may be made of.

use ripcord_engine::ServiceSetup;

use super::probe::patient;
use super::{Level, Report};

/// So many checkpoints are looked for.
const CHECKPOINTS_MAX: u32 = 20;

pub(super) async fn making(setup: &ServiceSetup, report: &mut Report) {
    let subject = |of: &str| format!("service {}: {of}", setup.name);
    if let Some(producer) = &setup.ports.producer {
        match patient(producer.obstacle()).await {
            Ok(None) => report.ok(subject("producer"), format!("{} is configured", producer.name())),
            Ok(Some(why)) => {
                report.add(Level::Error, subject("producer"), why, "no version can be made while this lasts");
            }
            Err(late) => report.add(Level::Error, subject("producer"), late, ""),
        }
    }
    let Some(checkpoints) = &setup.ports.checkpoints else { return };
    match patient(checkpoints.checkpoints(None, CHECKPOINTS_MAX)).await {
        Ok(Ok(listed)) => {
            for unusable in &listed.unreadable {
                let text = format!("`{}` cannot be used: {}", unusable.name, unusable.value);
                report.add(Level::Warn, subject("checkpoints"), text, "repair it, or take it away");
            }
            let newest =
                listed.checkpoints.first().map(|one| format!("; the newest is {}@{}", one.run, one.step));
            let number = listed.checkpoints.len();
            report.ok(subject("checkpoints"), format!("{number} found{}", newest.unwrap_or_default()));
        }
        Ok(Err(error)) => report.add(Level::Error, subject("checkpoints"), error.to_string(), ""),
        Err(late) => report.add(Level::Error, subject("checkpoints"), late, ""),
    }
}
