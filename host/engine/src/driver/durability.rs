//! Which appends a power cut may take. The end of the process takes none.

use ripcord_core::event::{ApprovalWord, Event, PlanWord, Said, ShiftOutcome};
use ripcord_core::service::Service;
use ripcord_core::terms::EffectClass;
use ripcord_ports::store::Durability;

/// An append is flushed unless all of it is known to be harmless to lose: then the next append that is flushed takes it along, which the intent
/// of a shift is at the latest.
pub(super) fn durability(events: &[Event], before: &Service, after: &Service) -> Durability {
    let id = |service: &Service| service.last_settled.as_ref().map(|incident| incident.id.clone());
    // What follows an end reaches other systems: holds, the production name.
    let ends = id(before) != id(after);
    if !ends && events.iter().all(|event| is_done_again(event, before)) {
        Durability::WithTheNext
    } else {
        Durability::Flushed
    }
}

/// Whether losing the event, and all that came after it without a flush, leads to the same work once more, and to nothing else: what it tells of
/// has changed nothing outside, or can be asked there again.
fn is_done_again(event: &Event, before: &Service) -> bool {
    match event {
        // The signals wait in the intake again.
        Event::SignalsTaken(_)
        | Event::TriggersAsked(_)
        | Event::EvidencePreserved(_)
        | Event::Staged(_)
        | Event::GuardRead(_)
        | Event::ReadBack(_)
        | Event::OutputsListed(_)
        // The same announcement has the same id.
        | Event::Announced(_) => true,
        Event::Planned(planned) => matches!(planned.word, PlanWord::Drafted(_)),
        Event::ApprovalsAsked(approvals) => {
            approvals.asked.iter().all(|asked| asked.said == Said::Verdict(ApprovalWord::Granted))
        }
        // The intent is on disk: the deployer is asked what became of it, where it can tell.
        Event::ShiftReturned(returned) => {
            matches!(returned.outcome, ShiftOutcome::Done | ShiftOutcome::Underway)
                && before.terms.as_ref().is_some_and(|terms| terms.deployer != EffectClass::Blind)
        }
        _ => false,
    }
}
