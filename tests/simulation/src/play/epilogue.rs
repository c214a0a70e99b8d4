//! The end of every seed: nothing goes wrong any more, and everything that waits must end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ripcord_core::event::Happened;
use ripcord_core::facet::Revision;
use ripcord_core::name::ServiceName;
use ripcord_core::plan::VoteKind;
use ripcord_core::service::{NeedKind, Phase};
use ripcord_core::set::{Set, SetPhase};
use ripcord_core::signal::{Severity, SignalStatus};
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, Ballot, SetAsk};

use super::Play;
use crate::world::version;

/// So often it is looked whether harm has opened an incident: half an hour, since a trigger that faults is asked again after minutes.
const LOOKS_AT_HARM_MAX: u32 = 600;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);
/// So often it is looked until what waits must have ended: an hour and a half, since time may pass at half its speed.
const LOOKS_MAX: u32 = 1_800;

impl Play {
    pub(super) async fn epilogue(&mut self) {
        self.says(|| "from now on nothing goes wrong any more".to_owned());
        self.stage.weather.clears();
        let names: Vec<_> = self.scenario.services.iter().map(|plan| plan.name.clone()).collect();
        self.until_quiet(&names).await;
        self.people_end_everything(&names).await;
        self.the_set_moves(&names).await;
        self.harm_is_acted_on(&names).await;
        if let Some(host) = self.host.take() {
            host.engine.stop(Millis::seconds(5)).await;
            host.life.end();
        }
    }

    async fn until_quiet(&mut self, names: &[ServiceName]) {
        let mut calm = 0;
        for _ in 0..LOOKS_MAX {
            self.lives_for(LOOK).await;
            if self.stage.checker.has_failed() {
                return;
            }
            let all = names.iter().all(|name| self.stage.checker.is_quiet(name).is_ok())
                && self.stage.checker.set_is_quiet().is_ok();
            calm = if all { calm + 1 } else { 0 };
            // Twice in a row: what has just come in must be looked at too.
            if calm > 1 {
                return;
            }
        }
        for name in names {
            if let Err((rule, why)) = self.stage.checker.is_quiet(name) {
                let stuck = self.host.as_ref().map(|host| host.engine.health());
                self.stage.checker.broke(rule, name, format!("{why}; {stuck:?}"));
            }
        }
        if let Err(why) = self.stage.checker.set_is_quiet() {
            let stuck = self.host.as_ref().map(|host| host.engine.health_of_sets());
            self.stage.checker.broke("what-waits-ends", &names[0], format!("{why}; {stuck:?}"));
        }
    }

    /// People who have time and see clearly bring every incident to its end.
    async fn people_end_everything(&mut self, names: &[ServiceName]) {
        for _ in 0..LOOKS_MAX {
            if self.stage.checker.has_failed() {
                return;
            }
            let mut open = false;
            if let Some(set) = self.stage.checker.set().filter(|set| set.run.is_some()) {
                open = true;
                self.agrees_or_ends(&Arc::new(set));
            }
            for name in names {
                let Some(state) = self.stage.checker.state(name) else { continue };
                if state.paused_by.is_some() {
                    self.asks(name, "operator", Ask::Resume, None);
                }
                let Some(incident) = &state.incident else { continue };
                open = true;
                match &incident.phase {
                    Phase::NeedsPerson(need) if need.question == NeedKind::DidTheShiftHappen => {
                        let rung = need.resume.as_ref().map_or(0, |acting| acting.rung);
                        let target = incident.target(rung).cloned();
                        let happened = self
                            .stage
                            .world
                            .at(name, |outside| target.as_ref().is_some_and(|target| outside.shows(target)));
                        let applied = if happened { Happened::Applied } else { Happened::NotApplied };
                        let ask = Ask::Answer { applied, question: incident.questions };
                        self.asks(name, "operator", ask, Some(&state));
                    }
                    Phase::NeedsPerson(_) => self.asks(name, "operator", Ask::Dismiss, Some(&state)),
                    Phase::Authorising(_) => {
                        let Some(plan) = incident.plan().map(|plan| plan.digest) else { continue };
                        let ballot = Ballot { plan, granted: true, kind: VoteKind::Session, signed: None };
                        self.asks(name, "approver", Ask::Vote(ballot), Some(&state));
                    }
                    _ => {}
                }
            }
            if !open {
                return;
            }
            self.lives_for(LOOK).await;
        }
        for name in names {
            let Some(open) = self.stage.checker.state(name).and_then(|state| state.incident) else {
                continue;
            };
            let why =
                format!("`{}` is {} although people do what is wanted of them", open.id, open.phase_name());
            self.stage.checker.broke("people-can-end-it", name, why);
        }
        if let Some(run) = self.stage.checker.set().and_then(|set| set.run) {
            let why =
                format!("`{}` is {} although people do what is wanted of them", run.id, run.phase.name());
            self.stage.checker.broke("people-can-end-it", &names[0], why);
        }
    }

    /// While nothing goes wrong all members are free, unless they only observe: runs of their set come to their ends.
    async fn the_set_moves(&mut self, names: &[ServiceName]) {
        for _ in 0..3 {
            let Some(set) = self.stage.checker.set().filter(|_| !self.stage.checker.has_failed()) else {
                return;
            };
            let mut to = BTreeMap::new();
            for name in names {
                let Some(state) = self.stage.checker.state(name) else { continue };
                let versions = self.stage.world.at(name, |outside| outside.versions.clone());
                let revisions = versions.iter().map(|name| Revision::of_model(&version(name)));
                let free: Vec<_> = revisions.filter(|revision| !state.is_held(revision)).collect();
                if !free.is_empty() {
                    to.insert(name.clone(), self.stage.dice.pick(&free));
                }
            }
            self.asks_of_set("operator", SetAsk::Move { to }, &Arc::new(set));
            self.lives_for(LOOK).await;
            self.people_end_everything(names).await;
        }
    }

    /// What is wanted of people for a set.
    fn agrees_or_ends(&mut self, set: &Arc<Set>) {
        let Some(run) = &set.run else { return };
        match (&run.phase, &run.plan) {
            (SetPhase::Authorising { .. }, Some(plan)) => {
                let plan = plan.digest;
                let ballot = Ballot { plan, granted: true, kind: VoteKind::Session, signed: None };
                self.asks_of_set("approver", SetAsk::Vote(ballot), set);
            }
            (SetPhase::NeedsPerson { .. }, _) => self.asks_of_set("operator", SetAsk::Dismiss, set),
            _ => {}
        }
    }

    /// After all that, a service is still protected: harm that begins now opens an incident.
    async fn harm_is_acted_on(&mut self, names: &[ServiceName]) {
        if self.stage.checker.has_failed() {
            return;
        }
        for name in names {
            // A latch that fell while nobody knew what is live takes the first look for that.
            for _ in 0..LOOKS_AT_HARM_MAX {
                let seen = self.stage.checker.state(name).is_none_or(|state| state.production.live.is_some());
                if seen || self.stage.checker.has_failed() {
                    break;
                }
                self.lives_for(LOOK).await;
            }
            self.stage.world.at(name, |outside| {
                outside.versions.push("the-last".to_owned());
                outside.bad.insert("the-last".to_owned());
                outside.in_production = Some("the-last".to_owned());
                outside.leave_safe_mode();
                outside.put_everywhere("the-last");
            });
            let before = self.stage.checker.state(name).map_or(0, |state| state.incidents);
            let mut opened = false;
            // Once: who has sent an alert that was acknowledged may rely on it.
            let mut new = self.signal(name, "harm", SignalStatus::Firing, Severity::Critical);
            new.service = Some(name.clone());
            new.dedupe_window = Millis(0);
            new.signal.started_at = self.stage.clock.elsewhere();
            self.send(vec![new]);
            for _ in 0..LOOKS_AT_HARM_MAX {
                self.lives_for(LOOK).await;
                // One that was open by then is about the same service.
                opened = self
                    .stage
                    .checker
                    .state(name)
                    .is_some_and(|state| state.incidents > before || state.incident.is_some());
                if opened || self.stage.checker.has_failed() {
                    break;
                }
            }
            if !opened {
                let state = self.stage.checker.state(name);
                let what = format!("nothing was opened; triggers: {:?}", state.map(|state| state.watching));
                self.stage.checker.broke("harm-is-acted-on", name, what);
            }
        }
        self.people_end_everything(names).await;
    }
}
