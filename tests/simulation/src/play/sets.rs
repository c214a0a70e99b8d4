//! What people ask of services that move together: by what they were shown last, which may be old.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::facet::Revision;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::VoteKind;
use ripcord_core::set::{Set, SetPhase};
use ripcord_engine::{Ballot, Person, SetAsk, SetCommand};

use super::Play;

impl Play {
    /// Someone does something about the set, sensible or not.
    pub(super) fn someone_moves_the_set(&mut self) {
        let dice = self.stage.dice.clone();
        let Some(view) = self.set_view.clone() else { return };
        match view.run.as_ref().map(|run| &run.phase) {
            None => self.wants_it_moved(&view),
            Some(_) if dice.one_in(20) => self.wants_it_moved(&view),
            Some(_) if dice.one_in(20) => self.asks_of_set("operator", SetAsk::Abort, &view),
            Some(SetPhase::NeedsPerson { .. }) if dice.one_in(2) => self.wants_it_moved(&view),
            Some(_) => self.helps_with_set(&view),
        }
    }

    /// Some of the members are to move.
    fn wants_it_moved(&mut self, view: &Arc<Set>) {
        let dice = self.stage.dice.clone();
        let members: Vec<ServiceName> = match view.terms.as_ref() {
            Some(terms) => terms.members.clone(),
            None => return,
        };
        let mut to = BTreeMap::<ServiceName, Revision>::new();
        for member in members {
            let Some(state) = self.views.get(&member).cloned() else { continue };
            if !dice.one_in(3)
                && let Some(revision) = self.a_revision(&member, &state)
            {
                to.insert(member, revision);
            }
        }
        self.asks_of_set("operator", SetAsk::Move { to }, view);
    }

    /// Someone does what is wanted of people, if anything is.
    pub(super) fn helps_with_set(&mut self, view: &Arc<Set>) {
        let dice = self.stage.dice.clone();
        let Some(run) = &view.run else { return };
        match (&run.phase, &run.plan) {
            (SetPhase::Authorising { .. }, Some(plan)) => {
                for _ in 0..dice.between(1, 2) {
                    let granted = !dice.one_in(12);
                    let plan = plan.digest;
                    let ballot = Ballot { plan, granted, kind: VoteKind::Session, signed: None };
                    self.asks_of_set("approver", SetAsk::Vote(ballot), view);
                }
            }
            (SetPhase::NeedsPerson { .. }, _) => self.asks_of_set("operator", SetAsk::Dismiss, view),
            _ => {}
        }
    }

    /// Someone asks for something, and does not wait.
    pub(super) fn asks_of_set(&mut self, role: &str, ask: SetAsk, view: &Arc<Set>) {
        let Some(plan) = &self.scenario.set else { return };
        let able: Vec<_> = plan
            .terms
            .people
            .iter()
            .filter(|known| known.roles.iter().any(|own| own.as_str() == role))
            .collect();
        let known = self.stage.dice.pick(&able);
        let person = Person { name: known.name.clone(), roles: known.roles.clone() };
        let (name, run) = (view.name.clone(), view.run.as_ref().map(|run| run.id.clone()));
        self.says(|| format!("{name}: {} asks {ask:?} of {run:?}", person.name));
        let Some(host) = &mut self.host else { return };
        let (engine, checker) = (host.engine.clone(), Arc::clone(&self.stage.checker));
        host.callers.spawn(async move {
            let command = SetCommand { person, ask, reason: "because".to_owned(), run };
            let answer = engine.command_set(&name, command).await;
            checker.note_heard(|| match answer {
                Ok(obeyed) => format!("{name}: they hear: {}", obeyed.text),
                Err(error) => format!("{name}: they hear no: {error}"),
            });
        });
    }
}
