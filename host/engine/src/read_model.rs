//! What is derived from each record when it is appended, and can be derived again: the incident list, timelines, changes, what content is for.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::blob::{BlobRef, blobs_of};
use ripcord_core::digest::Digest;
use ripcord_core::event::{Alias, Event, InProduction, Observed, PromotionWord};
use ripcord_core::fact::{Outcome, PastIncident};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::retention::Class;
use ripcord_core::service::{Incident, Phase, Service};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, ChangeLine, Content, IncidentLine, TimelineEntry, Use};

use crate::replay::decisions_of;

/// What the records of one append come to.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    incidents: BTreeMap<IncidentId, IncidentLine>,
    timeline: Vec<TimelineEntry>,
    changes: Vec<ChangeLine>,
    uses: Vec<Use>,
}

/// A record, between the state before and the state after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) before: &'a Service,
    pub(crate) number: u64,
    pub(crate) at: UnixMillis,
    pub(crate) event: &'a Event,
    pub(crate) after: &'a Service,
    /// What recordings and kept facts of the same append refer to: groups of signals, values of facts.
    pub(crate) referred: &'a [BlobRef],
}

impl Derived {
    pub(crate) fn add(&mut self, moment: Moment<'_>) {
        self.lines(moment);
        let incident = incident_of(moment);
        if let Some(incident) = incident.filter(|incident| is_told(moment, incident)) {
            self.timeline.push(TimelineEntry { incident: incident.clone(), number: moment.number });
        }
        self.changes.extend(change(moment));
        self.uses(moment, incident);
    }

    /// A record that a page tells of.
    pub(crate) fn tell(&mut self, entry: TimelineEntry) {
        self.timeline.push(entry);
    }

    /// What a record needs.
    pub(crate) fn need(&mut self, one: Use) {
        self.uses.push(one);
    }

    pub(crate) fn put_into(self, append: &mut Append) {
        append.incidents = self.incidents.into_values().collect();
        append.timeline = self.timeline;
        append.changes = self.changes;
        append.uses = self.uses;
    }

    fn lines(&mut self, Moment { before, after, .. }: Moment<'_>) {
        let both = |service: &Service| {
            let incidents = service.last_settled.iter().chain(&service.incident);
            incidents.map(|incident| line(service, incident)).collect::<Vec<_>>()
        };
        let known = both(before);
        for line in both(after).into_iter().filter(|line| !known.contains(line)) {
            self.incidents.insert(line.incident.id.clone(), line);
        }
    }

    fn uses(&mut self, moment: Moment<'_>, incident: Option<&IncidentId>) {
        let Moment { before, number, at, event, after, referred } = moment;
        let mut add = |class: Class, content: Content| {
            let incident = incident.cloned();
            self.uses.push(Use { class, incident, number, at, content });
        };
        // What does not encode was not written.
        for blob in blobs_of(event).unwrap_or_default() {
            if let Some(class) = class(event, incident) {
                add(class, Content::Blob(blob.commitment));
            }
        }
        if let Event::EvidencePreserved(preserved) = event {
            preserved.items.iter().for_each(|item| add(Class::Evidence, Content::Object(item.digest)));
        }
        // A recording can be replayed, and facts can be read, for as long as what they refer to is there.
        let refers = !decisions_of(event).is_empty() || matches!(event, Event::EvidencePreserved(_));
        if let Some(class) = class(event, incident).filter(|_| refers) {
            referred.iter().for_each(|content| add(class, Content::Blob(content.commitment)));
        }
        for decision in decisions_of(event) {
            add(class_of_recording(incident), Content::Component(decision.policy.digest));
        }
        // What an incident was opened with was taken before there was one.
        if before.incident.is_none() && after.incident.is_some() {
            let groups: BTreeSet<_> =
                before.watching.alerts.all().into_iter().map(|alert| alert.content.commitment).collect();
            groups.into_iter().for_each(|group| add(Class::Incidents, Content::Blob(group)));
        }
    }
}

/// The incident that a record belongs to. The registry's production name may follow after the end, and while another incident is open.
pub(crate) fn incident_of<'a>(moment: Moment<'a>) -> Option<&'a IncidentId> {
    let open = moment.before.incident.as_ref().or(moment.after.incident.as_ref());
    match moment.event {
        Event::Promoted(promoted) => Some(&promoted.incident),
        Event::Measured(measured) => Some(&measured.incident),
        // A run goes on beside whatever incident is open, and belongs to the one that ordered it.
        Event::RunStopAsked(about) => Some(&about.incident),
        event if run_of(event).is_some() => {
            moment.before.producing.run.as_ref().map(|run| &run.ordered.incident)
        }
        // What becomes of old content is nothing of the incident that happens to be open.
        Event::Pruned(_) => None,
        Event::IncidentKept(about) | Event::IncidentReleased(about) | Event::ReviewClosed(about) => {
            Some(&about.incident)
        }
        _ => open.map(|incident| &incident.id),
    }
}

/// The key of the run that an event is about.
pub(crate) const fn run_of(event: &Event) -> Option<Digest> {
    match event {
        Event::RunBegan(began) => Some(began.run),
        Event::RunReturned(returned) => Some(returned.run),
        Event::RunLookedAt(looked) => Some(looked.run),
        Event::RunMade(made) => Some(made.run),
        Event::RunFailed(failed) => Some(failed.run),
        Event::RunLost(lost) => Some(lost.run),
        Event::RunStopped(stopped) => Some(stopped.run),
        _ => None,
    }
}

/// Whether the page has a line for it, or begins with it. Of failures in a row after the end only the first is told: a registry may be away for months.
fn is_told(moment: Moment<'_>, incident: &IncidentId) -> bool {
    let open = |service: &Service| service.incident.as_ref().is_some_and(|open| open.id == *incident);
    let (was_open, is_open) = (open(moment.before), open(moment.after));
    match moment.event {
        _ if is_open && !was_open => true,
        Event::Woke
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
        | Event::Adopted(_)
        | Event::Pruned(_) => false,
        Event::Promoted(promoted) if !was_open && !is_open => {
            let pending = moment.before.promotion.as_ref();
            let failed_before = pending.is_some_and(|pending| pending.waiting.failures > 0);
            !(failed_before && matches!(promoted.word, PromotionWord::Failed { .. }))
        }
        _ => true,
    }
}

/// What the content of an event is kept for; none is for good.
fn class(event: &Event, incident: Option<&IncidentId>) -> Option<Class> {
    match event {
        // Written when people change it, and small: who may act stays readable.
        Event::Configured(_) => None,
        Event::TrialRan(_) => Some(Class::Evidence),
        Event::SignalsTaken(_) if incident.is_none() => Some(Class::Signals),
        // People's words.
        Event::Paused(_)
        | Event::Resumed(_)
        | Event::HoldLifted(_)
        | Event::ReviewClosed(_)
        | Event::DataCondemned(_)
        | Event::DataLifted(_)
        | Event::LatchLifted(_)
        | Event::Adopted(_)
        | Event::IncidentKept(_)
        | Event::IncidentReleased(_) => Some(Class::Incidents),
        _ => Some(class_of_recording(incident)),
    }
}

/// What the recording of a decision is kept for.
pub(crate) const fn class_of_recording(incident: Option<&IncidentId>) -> Class {
    if incident.is_some() { Class::Incidents } else { Class::Decisions }
}

/// The line of the incident list.
pub(crate) fn line(service: &Service, incident: &Incident) -> IncidentLine {
    let outcome = match &incident.phase {
        Phase::Settled(outcome) => outcome.clone(),
        _ => Outcome::Open,
    };
    let target = incident.plan().and_then(|plan| match &incident.phase {
        Phase::Settled(Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere) => {
            incident.ladder.tried.last().or(plan.targets.first()).cloned()
        }
        _ => None,
    });
    IncidentLine {
        service: service.name.clone(),
        summary: incident.phase_name().to_owned(),
        incident: PastIncident {
            id: incident.id.clone(),
            opened_at: incident.marks.opened_at,
            settled_at: incident.marks.settled_at,
            strategy: incident.plan().map(|plan| plan.strategy.clone()),
            outcome,
            target,
        },
    }
}

/// What a record says has moved.
fn change(Moment { before, number, at, event, after, .. }: Moment<'_>) -> Option<ChangeLine> {
    let versions =
        |versions: &[VersionName]| versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (facet, from, to, by) = match event {
        Event::Configured(configured) => (
            "configuration",
            before.configuration.map(|digest| digest.to_string()),
            configured.digest.to_string(),
            format!("host {}", configured.host_version),
        ),
        Event::Adopted(adopted) => {
            ("standing", None, format!("{} attested", adopted.revision), adopted.person.to_string())
        }
        Event::HoldLifted(lifted) => (
            "standing",
            Some(format!("{} held", lifted.revision)),
            format!("{} lifted", lifted.revision),
            lifted.person.to_string(),
        ),
        Event::ReviewClosed(about) => (
            "review",
            Some(format!("{} open", about.incident)),
            format!("{} closed", about.incident),
            about.person.to_string(),
        ),
        Event::DataCondemned(said) => {
            ("standing", None, format!("data {} condemned", said.data), said.person.to_string())
        }
        Event::DataLifted(lifted) => (
            "standing",
            Some(format!("data {} condemned", lifted.data)),
            format!("data {} lifted", lifted.data),
            lifted.person.to_string(),
        ),
        Event::Promoted(promoted) => match &promoted.word {
            PromotionWord::Moved { from, .. } => (
                "production-name",
                from.as_ref().map(ToString::to_string),
                promoted.version.to_string(),
                promoted.incident.to_string(),
            ),
            PromotionWord::Elsewhere(now) => (
                "production-name",
                None,
                now.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string),
                "someone else".to_owned(),
            ),
            _ => return None,
        },
        Event::ProductionWatched(watched) => {
            let live = |service: &Service| service.production.live.as_deref().map(versions);
            match (live(before), live(after)) {
                (from, Some(to)) if from.as_ref() != Some(&to) => {
                    ("live", from, to, "someone else".to_owned())
                }
                _ => match &watched.in_production {
                    InProduction::Version(version) => {
                        ("production-name", None, version.to_string(), "someone else".to_owned())
                    }
                    _ => return None,
                },
            }
        }
        Event::AliasesSeen(_) => {
            let (from, to) = (&before.aliases.as_ref()?.seen, &after.aliases.as_ref()?.seen);
            let moved = |these: &[Alias], those: &[Alias]| {
                let moved = these.iter().filter(|alias| !those.contains(alias));
                let each: Vec<_> =
                    moved.map(|alias| format!("{}: {}", alias.name, versions(&alias.versions))).collect();
                each.join("; ")
            };
            let (was, is) = (moved(from, to), moved(to, from));
            let none = || "nothing".to_owned();
            (
                "registry-names",
                Some(was).filter(|was| !was.is_empty()).or_else(|| Some(none())),
                if is.is_empty() { none() } else { is },
                "someone else".to_owned(),
            )
        }
        Event::ReadBack(read) => {
            let done = |service: &Service| {
                let incidents = service.incident.iter().chain(&service.last_settled);
                incidents.map(|incident| (incident.id.clone(), incident.marks.read_back_at)).next()
            };
            let (then, now) = (done(before)?, done(after)?);
            if then == now || now.1.is_none() {
                return None;
            }
            let Observed::Serving(shares) = &read.live else { return None };
            let served: Vec<_> = shares.iter().map(|share| share.version.version.clone()).collect();
            ("live", before.production.live.as_deref().map(versions), versions(&served), now.0.to_string())
        }
        _ => return None,
    };
    Some(ChangeLine { service: after.name.clone(), number, at, facet: facet.to_owned(), from, to, by })
}
