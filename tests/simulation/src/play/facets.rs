//! What others do to configurations and to the safe mode.

use std::time::Duration;

use ripcord_core::facet::{FALLBACK_OFF, Facet, Revision};
use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;

use super::Play;
use crate::facet::Content;
use crate::world::version;

impl Play {
    pub(super) fn moves_a_facet(&mut self, service: &ServiceName) {
        let facets =
            self.stage.world.at(service, |outside| outside.facets.keys().cloned().collect::<Vec<_>>());
        if facets.is_empty() {
            return;
        }
        match self.stage.dice.pick(&facets) {
            Facet::Fallback => self.moves_the_safe_mode(service),
            facet => self.moves_a_configuration(service, &facet),
        }
    }

    fn moves_a_configuration(&mut self, service: &ServiceName, facet: &Facet) {
        match self.stage.dice.below(10) {
            0..=4 => self.writes_a_revision(service, facet),
            5 | 6 => self.goes_back(service, facet),
            7 | 8 => self.writes_by_hand(service, facet),
            _ => self.rewrites(service, facet),
        }
    }

    /// A new revision comes, and it is not always a good one.
    fn writes_a_revision(&mut self, service: &ServiceName, facet: &Facet) {
        self.versions += 1;
        let (name, dice) = (format!("a{}", self.versions), self.stage.dice.clone());
        let (bad, broken) = (!dice.one_in(3), dice.one_in(12));
        let word = if bad { "a bad one" } else { "a good one" };
        self.says(|| format!("{service}: revision {name} of {facet} is written, {word}, broken {broken}"));
        let content = Content::first(&name);
        self.stage.world.facet(service, facet, |facet| {
            facet.revisions.push(content.clone());
            if bad {
                facet.bad.insert(name.clone());
            }
            if broken {
                facet.broken.insert(name.clone());
            }
        });
        if !broken {
            self.puts(service, facet, content);
        }
        if bad && !dice.one_in(4) {
            self.alerts(service);
        }
    }

    /// At once, after a while, or it is only stored.
    fn puts(&self, service: &ServiceName, facet: &Facet, content: Content) {
        let dice = &self.stage.dice;
        match dice.below(6) {
            0 => drop(self.stage.world.facet(service, facet, |facet| facet.store(content))),
            1 => {
                let delay = Duration::from_millis(dice.between(100, 20_000));
                let change = self.stage.world.facet(service, facet, |facet| {
                    let change = facet.store(content);
                    facet.tell(change);
                    change
                });
                self.stage.world.takes_over_later(service, facet, change, delay);
            }
            _ => self.stage.world.facet(service, facet, |facet| facet.put(content)),
        }
    }

    /// Somebody puts an old revision back: perhaps what was condemned.
    fn goes_back(&self, service: &ServiceName, facet: &Facet) {
        let dice = self.stage.dice.clone();
        let revisions = self.stage.world.facet(service, facet, |facet| {
            let usable = facet.revisions.iter().filter(|content| !facet.broken.contains(&content.revision));
            usable.cloned().collect::<Vec<_>>()
        });
        let content = dice.pick(&revisions);
        self.says(|| format!("{service}: somebody goes to revision {} of {facet}", content.revision));
        self.puts(service, facet, content);
    }

    /// What is in force then is no revision of the history.
    fn writes_by_hand(&self, service: &ServiceName, facet: &Facet) {
        self.says(|| format!("{service}: somebody writes {facet} by hand"));
        self.puts(service, facet, Content::first("by-hand"));
    }

    fn rewrites(&self, service: &ServiceName, facet: &Facet) {
        let dice = self.stage.dice.clone();
        let revisions = self.stage.world.facet(service, facet, |facet| facet.revisions.clone());
        let revision = dice.pick(&revisions).revision;
        self.says(|| format!("{service}: somebody writes other content as revision {revision} of {facet}"));
        self.stage.world.facet(service, facet, |facet| facet.rewrite(&revision));
    }

    fn moves_the_safe_mode(&self, service: &ServiceName) {
        let dice = self.stage.dice.clone();
        let facet = Facet::Fallback;
        let answers = self.stage.world.facet(service, &facet, |facet| facet.is_safe_mode());
        let mode = match dice.below(8) {
            0 => "constant",
            1 if !answers => "rules",
            _ if answers => FALLBACK_OFF,
            _ => return,
        };
        self.says(|| format!("{service}: somebody switches the safe mode to {mode}"));
        self.puts(service, &facet, Content::first(mode));
    }

    /// What a person may ask for by name: what the host knows of, and what lies in the histories of the facets.
    pub(super) fn a_revision(&self, service: &ServiceName, view: &Service) -> Option<Revision> {
        let mut all: Vec<Revision> = view.revisions.keys().cloned().collect();
        self.stage.world.at(service, |outside| {
            for (facet, of) in &outside.facets {
                let named =
                    |content: &Content| Revision { facet: facet.clone(), name: version(&content.revision) };
                all.extend(of.revisions.iter().map(named));
            }
        });
        (!all.is_empty()).then(|| self.stage.dice.pick(&all))
    }
}
