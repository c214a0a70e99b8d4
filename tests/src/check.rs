//! What must hold after every incident, however often the host died.

use std::collections::BTreeSet;
use std::time::Duration;

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::facet::Revision;
use ripcord_core::fact::Outcome;
use ripcord_core::journal::Tip;
use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::terms::{EffectClass, Terms};
use ripcord_engine::{Folded, fold, replay};

use crate::lab::{Lab, Running};
use crate::policies::sandbox;
use crate::world::Step;

/// Looks at a journal and a state, a hundredth of a second apart, until both are of one length.
const LOOKS: usize = 500;

/// The journal folds to the state that the host has, and the incident list says the same.
pub async fn journal(running: &Running, service: &ServiceName) -> Folded {
    let folded = folded(running, service).await;
    derived(running, service).await;
    if let Some(last) = &folded.service.last_settled {
        let line = ripcord_ports::Store::incident(running.store.as_ref(), &last.id).await.expect("reads");
        let line = line.expect("the incident is listed");
        let ripcord_core::service::Phase::Settled(outcome) = &last.phase else { panic!("not settled") };
        assert_eq!(line.incident.outcome, *outcome);
        assert_eq!(line.incident.settled_at, last.marks.settled_at);
    }
    let view = match folded.service.last_settled.as_ref().or(folded.service.incident.as_ref()) {
        Some(incident) => ripcord_engine::view::incident(running.store.as_ref(), &incident.id).await,
        None => return folded,
    };
    let view = view.expect("the incident can be shown");
    assert!(!view.timeline.is_empty());
    serde_json::to_string(&view).expect("encodes");
    folded
}

/// All that stands beside the journal says what the journal says: snapshots, incident list, timelines, changes. A host that still tells people may append
/// meanwhile.
pub async fn derived(running: &Running, service: &ServiceName) {
    let mut last = None;
    for _ in 0..LOOKS {
        let verified = ripcord_engine::verify(running.store.as_ref(), service).await.expect("verifies");
        // Content is for those tests that say what of it is gone.
        let wrong = verified.snapshots.count + verified.read_model.count;
        if verified.broken.is_none() && wrong == 0 {
            return;
        }
        last = Some(verified);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what is derived from the journal of `{service}` says something else: {last:#?}");
}

/// Whichever prefix of the journal a snapshot is made of, it comes to the same state, and so does all that follows.
pub fn snapshots(folded: &Folded) {
    let mut state = Service::new(folded.service.name.clone());
    for (at, event) in &folded.events {
        state = state.apply(*at, event).expect("the journal folds");
        let tip = Tip { length: state.length, hash: folded.tip.hash };
        let read = Snapshot::of(&state, tip).expect("encodes").read();
        assert_eq!(read.as_ref(), Ok(&state), "a snapshot at {} is another state", state.length);
    }
}

/// The journal as far as the host has applied it. A host that still tells people may append between a look at the one and at the other.
async fn folded(running: &Running, service: &ServiceName) -> Folded {
    for _ in 0..LOOKS {
        let state = running.state(service);
        let folded = fold(running.store.as_ref(), service).await.expect("the journal folds");
        if folded.service.length == state.length {
            assert_eq!(*folded.service, *state, "the state is not that of the journal");
            return folded;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the journal of `{service}` never was as long as the host's state");
}

/// How the last incident ended.
pub fn outcome(service: &Service) -> Option<Outcome> {
    match &service.last_settled.as_ref()?.phase {
        ripcord_core::service::Phase::Settled(outcome) => Some(outcome.clone()),
        _ => None,
    }
}

/// No shift was made while the outcome of the one before was unknown, except by the promise of what moves an idempotent facet.
pub fn no_blind_repeat(steps: &[Step], terms: &Terms) {
    let (mut unknown, mut last): (bool, Option<&String>) = (false, None);
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Called { key, version } => {
                let revision: Revision = version.parse().expect("a revision");
                let class = terms.class(&revision.facet);
                let promised = class == EffectClass::Idempotent && last == Some(key);
                assert!(
                    !unknown || promised,
                    "step {index} repeats a shift whose outcome is unknown: {steps:#?}"
                );
                (unknown, last) = (true, Some(key));
            }
            Step::Returned { known: true } | Step::Probed { known: true } | Step::Answered => unknown = false,
            Step::Returned { known: false } | Step::Probed { known: false } | Step::Applied { .. } => {}
        }
    }
}

/// How often something was made live.
pub fn applied(steps: &[Step]) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Applied { .. })).count()
}

/// Every announcement that the journal ever owed was delivered, and none that it did not owe.
pub fn announcements(lab: &Lab, folded: &Folded) {
    let service = &folded.service.name;
    let mut state = Service::new(service.clone());
    let mut owed = BTreeSet::new();
    for (at, event) in &folded.events {
        state = state.apply(*at, event).expect("the journal folds");
        owed.extend(state.outbox.iter().map(|outgoing| outgoing.id.clone()));
    }
    assert!(state.outbox.is_empty(), "{:?}", state.outbox);
    let told = lab.world.told().into_iter().filter(|told| told.service == service.as_str());
    let told: BTreeSet<_> = told.map(|told| told.id).collect();
    assert_eq!(told, owed, "what people were told is not what was to be told");
}

/// No shift began without a plan that was granted, and none while it was paused.
pub fn granted(folded: &Folded) {
    let mut state = Service::new(folded.service.name.clone());
    for (at, event) in &folded.events {
        if let Event::ShiftBegan(_) = event {
            let open = state.incident.as_ref().expect("an incident");
            assert!(open.marks.granted_at.is_some(), "a shift began without a grant");
            assert!(state.paused_by.is_none(), "a shift began while paused");
        }
        state = state.apply(*at, event).expect("the journal folds");
    }
}

/// Every decision of the store gives the same again. How many there were.
pub async fn replays(running: &Running) -> usize {
    let report = replay::replay(running.store.as_ref(), sandbox(), None).await.expect("replays");
    for decision in &report.decisions {
        let same =
            matches!(decision.result, replay::Result::Replayed(ripcord_sandbox::Replayed::Same { .. }));
        assert!(same, "{decision:#?}");
    }
    report.decisions.len()
}

/// All of the above for a service that settled as `expected`.
pub async fn all(lab: &Lab, running: &Running, service: &ServiceName, expected: Outcome) {
    let folded = journal(running, service).await;
    assert_eq!(outcome(&folded.service), Some(expected));
    let spec = lab.specs.iter().find(|spec| spec.name == *service).expect("a known service");
    no_blind_repeat(&lab.world.of(service).steps, &spec.terms);
    announcements(lab, &folded);
    granted(&folded);
    snapshots(&folded);
    replays(running).await;
}

/// The topics of all that people were told about `service`, in order, repeats left out.
pub fn topics(lab: &Lab, service: &ServiceName) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let told = lab.world.told().into_iter().filter(|told| told.service == service.as_str());
    told.filter(|told| seen.insert(told.id.clone())).map(|told| told.topic).collect()
}

/// How often a kind of news was owed.
pub fn count(folded: &Folded, topic: Topic) -> usize {
    let mut state = Service::new(folded.service.name.clone());
    let mut ids = BTreeSet::new();
    for (at, event) in &folded.events {
        state = state.apply(*at, event).expect("the journal folds");
        let of_topic = state.outbox.iter().filter(|outgoing| outgoing.topic == topic);
        ids.extend(of_topic.map(|outgoing| outgoing.id.clone()));
    }
    ids.len()
}
