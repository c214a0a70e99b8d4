//! What people do: they look at what they were shown last, which may be old, and several act at once.

use std::sync::Arc;

use ripcord_core::event::{Happened, PendingPlan};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::name::ServiceName;
use ripcord_core::plan::{Leaving, VoteKind};
use ripcord_core::role::Urgency;
use ripcord_core::service::{NeedKind, Phase, Service};
use ripcord_core::target::{CheckpointTarget, Exclusion, RetrainTarget, Target};
use ripcord_core::wave::Moves;
use ripcord_engine::{Ask, Ballot, Command, Person, PullTo};

use super::Play;
use crate::check::ABOUT;
use crate::world::{Outside, version};

impl Play {
    /// Someone of this service's people, as configured for the running host.
    pub(super) fn anyone(&self, service: &ServiceName, role: &str) -> Option<Person> {
        let plan = self.scenario.services.iter().find(|plan| plan.name == *service)?;
        let able: Vec<_> = plan
            .people
            .iter()
            .filter(|(_, roles)| roles.iter().any(|own| own.as_str() == role))
            .map(|(name, roles)| Person { name: name.clone(), roles: roles.clone() })
            .collect();
        (!able.is_empty()).then(|| self.stage.dice.pick(&able))
    }

    /// Someone vouches for the first two versions.
    pub(super) async fn vouch(&mut self) {
        let names: Vec<_> = self.scenario.services.iter().map(|plan| plan.name.clone()).collect();
        for service in names {
            for name in ["1", "2"] {
                self.asks(&service, "operator", Ask::Adopt(Some(Revision::of_model(&version(name)))), None);
            }
            let facets =
                self.stage.world.at(&service, |outside| outside.facets.keys().cloned().collect::<Vec<_>>());
            for facet in facets.into_iter().filter(|facet| *facet != Facet::Fallback) {
                for name in ["a1", "a2"] {
                    let revision = Revision { facet: facet.clone(), name: version(name) };
                    self.asks(&service, "operator", Ask::Adopt(Some(revision)), None);
                }
            }
        }
        self.lives_for(std::time::Duration::from_secs(3)).await;
    }

    /// Someone asks for something, and does not wait.
    pub(super) fn asks(&mut self, service: &ServiceName, role: &str, ask: Ask, about: Option<&Service>) {
        let Some(person) = self.anyone(service, role) else { return };
        let incident = about.and_then(|state| state.incident.as_ref()).map(|open| open.id.clone());
        let reason = incident.as_ref().map_or_else(|| "because".to_owned(), |id| format!("{ABOUT}{id}"));
        self.says(|| format!("{service}: {} asks {ask:?} {reason}", person.name));
        self.commands(service, Command { person, ask, reason, incident });
    }

    fn commands(&mut self, service: &ServiceName, command: Command) {
        let Some(host) = &mut self.host else { return };
        let (engine, service, checker) =
            (host.engine.clone(), service.clone(), Arc::clone(&self.stage.checker));
        host.callers.spawn(async move {
            let answer = engine.command(&service, command).await;
            checker.note_heard(|| match answer {
                Ok(obeyed) => format!("{service}: they hear: {}", obeyed.text),
                Err(error) => format!("{service}: they hear no: {error}"),
            });
        });
    }

    /// Someone does something, sensible or not.
    pub(super) fn someone_acts(&mut self, service: &ServiceName) {
        let dice = self.stage.dice.clone();
        if self.scenario.set.is_some() && dice.one_in(6) {
            return self.someone_moves_the_set();
        }
        let Some(view) = self.views.get(service).cloned() else { return };
        match dice.below(25) {
            0 => self.pulls(service, &view),
            1 => self.asks(service, "operator", Ask::Pause, None),
            2..=4 => self.asks(service, "operator", Ask::Resume, None),
            5 if view.incident.is_some() => self.asks(service, "operator", Ask::Abort, Some(&view)),
            6 if view.incident.is_some() => self.asks(service, "operator", Ask::Dismiss, Some(&view)),
            7 => self.lifts(service, &view),
            8 => self.vouches(service, &view),
            9 if !view.watching.latches.is_empty() => {
                let latched: Vec<_> = view.watching.latches.keys().cloned().collect();
                self.asks(service, "operator", Ask::LiftLatch(dice.pick(&latched)), None);
            }
            10 if view.producing.run.is_some() && dice.one_in(3) => self.stops_a_run(service, &view),
            11 => self.wants_it_made(service),
            _ => self.helps(service, &view),
        }
    }

    /// Someone wants the model trained again without some of the data, or a version made of a checkpoint.
    fn wants_it_made(&mut self, service: &ServiceName) {
        let dice = &self.stage.dice;
        let wanted = if dice.one_in(2) {
            let (run, step) = ("online".to_owned(), 100 * dice.between(1, 3));
            Target::Checkpoint(CheckpointTarget { run, step, digest: None })
        } else {
            let exclude = vec![Exclusion::Source(format!("feed-{}", dice.below(3)))];
            let (dataset, revision) = ("rows".to_owned(), String::new());
            Target::Retrain(RetrainTarget { dataset, revision, exclude })
        };
        let ask = Ask::Pull {
            to: Some(PullTo::Made(wanted)),
            urgency: Urgency::Urgent,
            leaving: Leaving::Condemn,
            pending: PendingPlan::Replace,
            break_glass: false,
        };
        self.asks(service, "operator", ask, None);
    }

    fn stops_a_run(&mut self, service: &ServiceName, view: &Service) {
        let Some(run) = &view.producing.run else { return };
        let incident = run.ordered.incident.clone();
        self.says(|| format!("{service}: somebody stops the run of {incident}"));
        let Some(person) = self.anyone(service, "operator") else { return };
        let command = Command {
            person,
            ask: Ask::StopRun,
            reason: format!("{ABOUT}{incident}"),
            incident: Some(incident),
        };
        self.commands(service, command);
    }

    fn pulls(&mut self, service: &ServiceName, view: &Service) {
        let dice = self.stage.dice.clone();
        let to = if dice.one_in(2) { self.a_revision(service, view) } else { None };
        for _ in 0..dice.between(1, 2) {
            let leaving = if dice.one_in(6) { Leaving::Keep } else { Leaving::Condemn };
            let pending = if dice.one_in(2) { PendingPlan::Keep } else { PendingPlan::Replace };
            let ask = Ask::Pull {
                to: to.clone().map(Into::into),
                urgency: Urgency::Urgent,
                leaving,
                pending,
                break_glass: dice.one_in(8),
            };
            // A pull may join whatever is open.
            self.asks(service, "operator", ask, None);
        }
    }

    fn lifts(&mut self, service: &ServiceName, view: &Service) {
        if let Some(review) = view.reviews.first().filter(|_| self.stage.dice.one_in(2)) {
            self.asks(service, "approver", Ask::CloseReview(review.incident.clone()), None);
        }
        let held: Vec<_> = view.holds.keys().cloned().collect();
        if !held.is_empty() {
            let revision = self.stage.dice.pick(&held);
            self.asks(service, "operator", Ask::LiftHold(revision), None);
        }
    }

    fn vouches(&mut self, service: &ServiceName, view: &Service) {
        let what = if self.stage.dice.one_in(3) { None } else { self.a_revision(service, view) };
        self.asks(service, "operator", Ask::Adopt(what), None);
    }

    /// Someone does what is wanted of people, if anything is.
    pub(super) fn helps(&mut self, service: &ServiceName, view: &Service) {
        let dice = self.stage.dice.clone();
        let Some(open) = &view.incident else { return };
        match &open.phase {
            Phase::Authorising(_) => {
                let Some(plan) = open.plan() else { return };
                for _ in 0..dice.between(1, 2) {
                    let granted = !dice.one_in(9);
                    let ballot = Ballot {
                        plan: plan.digest,
                        granted,
                        kind: if granted && dice.one_in(8) {
                            VoteKind::BreakGlass
                        } else {
                            VoteKind::Session
                        },
                        signed: None,
                    };
                    self.asks(service, "approver", Ask::Vote(ballot), Some(view));
                }
            }
            Phase::NeedsPerson(need) if need.question == NeedKind::DidTheShiftHappen => {
                let rung = need.resume.as_ref().map_or(0, |acting| acting.rung);
                let Some(target) = open.target(rung) else { return };
                let wave = need.resume.as_ref().map_or(0, |acting| acting.wave);
                let moves = open.plan().map_or(Moves::Rest, |plan| plan.moves(wave).clone());
                let shown = |outside: &Outside| match &moves {
                    Moves::Rest => outside.shows(target),
                    part => outside.live().shows(target, part),
                };
                // Whoever answers has looked until nothing moved any more.
                let happened = self
                    .stage
                    .world
                    .at(service, |outside| outside.is_at_rest(target).then(|| shown(outside)));
                if let Some(happened) = happened {
                    let applied = if happened { Happened::Applied } else { Happened::NotApplied };
                    let ask = Ask::Answer { applied, question: open.questions };
                    self.asks(service, "operator", ask, Some(view));
                }
            }
            Phase::NeedsPerson(_) if dice.one_in(2) => self.pulls(service, view),
            Phase::NeedsPerson(_) => self.asks(service, "operator", Ask::Dismiss, Some(view)),
            _ => {}
        }
    }
}
