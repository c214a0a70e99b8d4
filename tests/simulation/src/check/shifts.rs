//! Shifts: agreed to, once, and never while nobody knows what became of the one before.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, ProbeWord, ShiftBegan, ShiftOutcome};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::name::IncidentId;
use ripcord_core::plan::Plan;
use ripcord_core::service::{Phase, Service};
use ripcord_core::target::Target;
use ripcord_core::terms::{EffectClass, Mode, Terms};
use ripcord_core::wave::WaveOf;
use ripcord_ports::deployer::ShiftOrder;
use ripcord_ports::restorer::RestoreOrder;

use super::{Broken, Step, authority};
use crate::world::artefact;

/// An order as it reaches a system.
pub(crate) enum Order<'a> {
    /// The deployer.
    Deploy(&'a ShiftOrder),
    /// What puts this facet back.
    Restore(&'a Facet, &'a RestoreOrder),
}

impl Order<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Deploy(order) => &order.key,
            Self::Restore(_, order) => &order.key,
        }
    }

    fn facet(&self) -> &Facet {
        match self {
            Self::Deploy(_) => &Facet::Model,
            Self::Restore(facet, _) => facet,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Deploy(order) => order.target.to_string(),
            Self::Restore(facet, order) => format!("{facet} {}", order.revision),
        }
    }

    /// Whether it is what was approved, artefact included.
    fn is(&self, target: &Target, unknown: &Unknown) -> bool {
        match self {
            Self::Deploy(order) => {
                let (Target::Version(planned), Target::Version(wanted)) = (target, &order.target) else {
                    return false;
                };
                let staged = order.staged.as_ref().map(|staged| staged.digest);
                order.wave == unknown.wave
                    && planned.version == wanted.version
                    && planned.digest.is_none_or(|digest| wanted.digest == Some(digest))
                    && staged == Some(artefact(wanted.version.as_str()).1)
            }
            Self::Restore(facet, order) => {
                let revision = Revision { facet: (*facet).clone(), name: order.revision.clone() };
                target.revision() == Some(revision)
                    && target.digest() == order.digest
                    && order.plan == unknown.plan
                    && order.incident == unknown.incident
            }
        }
    }
}

/// The kind of facet that a rung moves, and the promise of what moves it.
pub(super) fn kind(service: &Service, rung: u32) -> String {
    let target = service.incident.as_ref().and_then(|incident| incident.target(rung));
    let (Some(target), Some(terms)) = (target, &service.terms) else { return "none".to_owned() };
    let class = target.facet().map(|facet| terms.class(&facet));
    format!(
        "{} {}",
        target.strategy(),
        class.map_or_else(String::new, |class| format!("{class:?}").to_lowercase())
    )
}

/// A shift that was begun and of which nobody knows the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown {
    incident: IncidentId,
    rung: u32,
    /// None where the plan moves at once.
    wave: Option<WaveOf>,
    attempt: u32,
    plan: Digest,
    /// How often the deployer was called for it.
    calls: u32,
    /// The host that began it: the first, the second and so on.
    host: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    unknown: Option<Unknown>,
    /// The host that runs: the first, the second and so on.
    host: u64,
    /// Rungs of the plan at hand whose artefact was fetched since anything went wrong with it.
    staged: Vec<u32>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>, authority: &authority::Book) {
        match step.event {
            Event::ShiftBegan(began) => self.began(step, authority, began),
            Event::ShiftReturned(returned) if !matches!(returned.outcome, ShiftOutcome::Unknown(_)) => {
                self.unknown = None;
            }
            Event::ShiftProbed(probed)
                if !matches!(probed.word, ProbeWord::CannotTell(_) | ProbeWord::NoAnswer(_)) =>
            {
                self.unknown = None;
            }
            Event::ShiftAnswered(_) | Event::Dismissed(_) => self.unknown = None,
            Event::Planned(_) | Event::PartGiven(_) => self.staged.clear(),
            Event::StageFailed(_) => self.staged.clear(),
            Event::Staged(staged) => {
                if self.staged.contains(&staged.rung) {
                    let what = format!("rung {} was staged twice, and nothing had gone wrong", staged.rung);
                    step.broke("staged-once", what);
                }
                self.staged.push(staged.rung);
            }
            _ => {}
        }
    }

    /// Invariants 3, 4 and 13.
    fn began(&mut self, step: &mut Step<'_>, authority: &authority::Book, began: &ShiftBegan) {
        let (rung, attempt) = (began.rung, began.attempt);
        let (Some(incident), Some(terms)) = (&step.before.incident, &step.before.terms) else {
            return step.broke("granted-by-people", "a shift began without an incident");
        };
        if self.unknown.is_some() {
            step.broke("no-blind-repeat", "a shift began while the outcome of the one before is unknown");
        }
        let Some(plan) = incident.plan() else {
            return step.broke("plan-is-what-was-approved", "a shift began without a plan");
        };
        self.unknown = Some(Unknown {
            incident: incident.id.clone(),
            rung,
            wave: plan.wave(began.wave),
            attempt,
            plan: plan.digest,
            calls: 0,
            host: self.host,
        });
        if step.before.paused_by.is_some() {
            step.broke("paused-means-paused", "a shift began while the service was paused");
        }
        if terms.mode == Mode::Observe {
            step.broke("observe-shifts-nothing", "a shift began in mode observe");
        }
        let because = matches!(&incident.phase, Phase::Acting(acting)
            if acting.grant.authority == ripcord_core::service::Authority::People && authority.is_automatic(step.before));
        let broken = matches!(&incident.phase, Phase::Acting(acting)
            if acting.grant.authority == ripcord_core::service::Authority::BreakGlass);
        match broken {
            true if authority.breaks_glass(terms) => {}
            true => step.broke("agreed-when-it-is-shifted", "nobody who may has broken the glass"),
            false => {
                if let Some(why) = authority.missing(step.before, terms, because) {
                    step.broke("agreed-when-it-is-shifted", why);
                }
            }
        }
        let content = step.blob(&plan.content).unwrap_or_default();
        let whole: Option<Plan> = serde_json::from_slice(&content).ok();
        let digest = whole.as_ref().and_then(|whole| whole.digest().ok());
        let target = incident.target(rung).cloned();
        let planned = whole.and_then(|whole| {
            let part = whole.part_of(&step.before.name)?;
            Some(part.rungs.get(rung as usize)?.target.clone())
        });
        if digest != Some(plan.digest) || planned != target {
            step.broke("plan-is-what-was-approved", "what is carried out is not what was approved");
        }
        let held = target.as_ref().and_then(Target::revision).map(|revision| step.before.is_held(&revision));
        if held == Some(true) {
            step.broke("nothing-held-is-restored", format!("{target:?} is held"));
        }
    }

    /// The call itself: of the intent that is on disk, and once, unless the deployer has promised that twice is as once.
    pub(crate) fn called(
        &mut self,
        service: &Service,
        order: &Order<'_>,
        terms: &Terms,
        broken: &mut Vec<Broken>,
    ) {
        let mut broke = |rule: &'static str, what: String| {
            broken.push(Broken { rule, service: service.name.clone(), what });
        };
        if terms.mode == Mode::Observe && self.unknown.as_ref().is_none_or(|unknown| unknown.calls == 0) {
            broke("observe-shifts-nothing", "the deployer was called in mode observe".to_owned());
        }
        let Some(unknown) = &mut self.unknown else {
            return broke(
                "intent-before-the-shift",
                "the deployer was called without an intent on disk".to_owned(),
            );
        };
        unknown.calls += 1;
        let (rung, wave) =
            (unknown.rung.to_be_bytes(), unknown.wave.as_ref().map(|wave| wave.number.to_be_bytes()));
        let name = service.name.as_str().as_bytes();
        let mut parts: Vec<&[u8]> = vec![unknown.plan.as_bytes(), name, &rung, b"shift"];
        parts.extend(wave.iter().map(|wave| wave.as_slice()));
        let key = Digest::tagged("ripcord shift 1", &parts);
        if order.key() != key.to_string() {
            broke("executed-is-approved", format!("the key is not that of rung {}", unknown.rung));
        }
        // No host knows how far an earlier one has come.
        let again = unknown.calls > 1 || unknown.host != self.host;
        let class = terms.class(order.facet());
        if again && class != EffectClass::Idempotent {
            let what =
                format!("called again for {unknown:?} although what moves {} is {class:?}", order.facet());
            broke("no-blind-repeat", what);
        }
        let target = service.incident.as_ref().and_then(|incident| incident.target(unknown.rung));
        if !target.is_some_and(|target| order.is(target, unknown)) {
            let what = format!("{} is ordered and {target:?} was approved", order.text());
            broke("executed-is-approved", what);
        }
    }

    /// Another host runs.
    pub(crate) fn host_started(&mut self, host: u64) {
        self.host = host;
    }

    /// Whether a shift is in flight.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown.is_some()
    }
}
