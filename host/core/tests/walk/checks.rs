//! What must hold of preflights, of what versions are known by, and of what others promote.

use ripcord_core::effect::{Slot, Topic};
use ripcord_core::event::{Event, PlanDrafted, PreflightWord, Said, VerificationWord};
use ripcord_core::facet::Facet;
use ripcord_core::plan::{StepKind, Vote, VoteKind};
use ripcord_core::policy::Role;
use ripcord_core::service::{Authority, Phase, Service, StepState};
use ripcord_core::standing::Standing;
use ripcord_core::terms::{Deadlines, KnownPerson, PreflightRule, RequesterVote};

use crate::{Seen, Walk};

/// Whether the vote is with a key that the person has, or without one where they have none.
fn vouches(person: &KnownPerson, vote: &Vote) -> bool {
    match &vote.key {
        None => person.keys.is_empty(),
        Some(key) => person.keys.iter().any(|known| known.key == *key),
    }
}

impl Walk {
    /// Whoever must agree under the floor in force does, at the moment of the shift: people who may act, with the roles and keys that they have then,
    /// and nobody who asked for it where it takes more than one.
    pub(crate) fn check_consent(&self, before: &Service) {
        let (terms, incident) = (before.terms.as_ref().unwrap(), before.incident.as_ref().unwrap());
        let in_force = |vote: &&Vote| {
            vote.granted && terms.person(&vote.person).is_some_and(|person| vouches(person, vote))
        };
        let votes: Vec<_> = incident.votes.iter().filter(in_force).collect();
        if before.votes_in_force().iter().any(|vote| !vote.granted) {
            self.fail("a shift over a refusal that ends plans");
        }
        let broken = matches!(&incident.phase, Phase::Acting(acting) if acting.grant.authority == Authority::BreakGlass);
        if broken {
            let may = |vote: &&Vote| vote.kind == VoteKind::BreakGlass && terms.may_break_glass(&vote.person);
            if !votes.iter().any(may) {
                self.fail("a shift for a broken glass, and nobody who may has broken it");
            }
            if before.reviews.iter().all(|review| review.incident != incident.id) {
                self.fail("a broken glass that nobody looks at");
            }
            return;
        }
        let wishes = |vote: &&&Vote| Some(&vote.person) != incident.requester.as_ref();
        let agree = votes.iter().filter(wishes).count() + usize::from(incident.requester.is_some());
        if !before.reviews.is_empty() && agree < 2 {
            self.fail("a shift on one word while a review is open");
        }
        let configured = terms.requester_vote == RequesterVote::Counts;
        for quorum in &terms.floor {
            let (alone, mut agreed) = (quorum.people == 1, 0);
            for person in &terms.people {
                let wishes = incident.requester.as_ref() == Some(&person.name);
                let asked = incident.requesters.contains(&person.name);
                let has = |role: &str| person.roles.iter().any(|own| own.as_str() == role);
                let voted = incident
                    .votes
                    .iter()
                    .any(|vote| vote.person == person.name && vote.granted && vouches(person, vote));
                let by_vote = voted && has("approver") && (!asked || alone || configured);
                let by_wish =
                    wishes && (alone || configured) && (has("approver") || alone && has("operator"));
                let is_author = terms.authors.contains(&person.name);
                agreed += u32::from((by_vote || by_wish) && !is_author);
            }
            if agreed < quorum.people {
                self.fail(&format!("a shift by {agreed} where {} must agree", quorum.people));
            }
        }
    }

    /// A version that the plan preflights is shifted to after its preflight, or after people were told that there was none and that was not required.
    /// What may be held beside what is live is being tried, or taken away.
    pub(crate) fn check_preflight(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        let step = |service: &Service| match service.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Acting(acting)) => Some((acting.rung, acting.wave, acting.step.clone())),
            _ => None,
        };
        match event {
            Event::PreflightBegan(_) => self.held = true,
            Event::CandidateCleared(cleared) if cleared.failed.is_none() => self.held = false,
            _ => {}
        }
        if self.service.candidate.is_some() != self.held {
            self.fail("it is not known whether a candidate may be held");
        }
        let owed = self.service.owed();
        let busy = owed.iter().any(|effect| effect.slot() == Slot::Candidate);
        let due = self.service.candidate.is_some_and(|wanted| wanted.waiting.due_at.is_none());
        if due && !busy {
            self.fail("a candidate stays beside what is live");
        }
        // What was moved by a wave was tried before it.
        if let (Some((rung, 0, StepState::Staging(_))), Some((.., StepState::Guarding(_)))) =
            (step(before), step(&self.service))
        {
            let incident = before.incident.as_ref().unwrap();
            let version = incident.target(rung).is_some_and(|target| target.version().is_some());
            // Of a set's parts each says for itself.
            let listed = |plan: &PlanDrafted| {
                before.enlisted_by().is_none() || plan.lists(rung, 0, StepKind::Preflight)
            };
            if version && incident.plan().is_some_and(|plan| plan.preflighted && listed(plan)) {
                self.fail("a preflight that was planned was left out");
            }
        }
        let Some((rung, _, StepState::Preflighting { .. })) = step(before) else { return };
        match (step(&self.service), event) {
            (Some((.., StepState::Guarding(_))), Event::VerificationsAsked(asked)) => {
                let healthy =
                    |said: &Said<VerificationWord>| matches!(said, Said::Verdict(VerificationWord::Healthy));
                if asked.asked.iter().all(|one| healthy(&one.said)) {
                    seen.preflights += 1;
                } else {
                    self.check_without(seen);
                }
            }
            (Some((.., StepState::Guarding(_))), Event::Preflighted(tried)) => {
                let judges = before.terms.as_ref().unwrap().policies(Role::Verification).count();
                match tried.word {
                    PreflightWord::Fits if judges == 0 => seen.preflights += 1,
                    PreflightWord::NotDone { .. } => self.check_without(seen),
                    _ => self.fail("an unfit target was let pass"),
                }
            }
            (Some((.., StepState::Guarding(_))), Event::Woke) => self.check_without(seen),
            (Some((.., StepState::Guarding(_))), _) => {
                self.fail("a preflight ended without having been made")
            }
            (Some((now, _, StepState::Staging(_))), _) if now > rung => seen.unfit += 1,
            _ => {}
        }
    }

    /// It goes on without a preflight.
    fn check_without(&self, seen: &mut Seen) {
        seen.without += 1;
        if self.service.terms.as_ref().unwrap().preflight == PreflightRule::Required {
            self.fail("a preflight that is required was left out");
        }
        let id = format!("{}/not-preflighted", self.service.length - 1);
        if !self.service.outbox.iter().any(|outgoing| outgoing.id.ends_with(&id)) {
            self.fail("people were not told that a target was not preflighted");
        }
    }

    /// A fingerprint is kept of good versions, where one is configured, and only while no incident is open.
    pub(crate) fn check_fingerprints(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let configured = self.service.terms.as_ref().is_some_and(|terms| terms.fingerprint.is_some());
        if !configured && !self.service.fingerprints.is_empty() {
            self.fail("a fingerprint is wanted and none is configured");
        }
        let good = |version| self.service.known_of(version).is_some_and(|known| known.standing.is_good());
        if !self.service.fingerprints.keys().all(good) {
            self.fail("a fingerprint is wanted of a version that nobody goes back to");
        }
        let owed = self.service.owed().iter().any(|effect| effect.slot() == Slot::Fingerprint);
        if owed && self.service.incident.is_some() {
            self.fail("a fingerprint is taken during an incident");
        }
        seen.fingerprints += usize::from(
            matches!(event, Event::Fingerprinted(_))
                && self.service.fingerprints.len() < before.fingerprints.len(),
        );
    }

    /// What can be gone back to is pinned, or is going to be; nothing else is.
    pub(crate) fn check_pins(&self, before: &Service, event: &Event, seen: &mut Seen) {
        seen.pins +=
            usize::from(matches!(event, Event::Pinned(_)) && self.service.pins.len() < before.pins.len());
        for (version, known) in self.service.versions() {
            let wanted = self.service.pins.contains_key(version);
            if wanted && known.digest.is_some() {
                self.fail("a digest is wanted that is known");
            }
            if known.standing.is_good() != wanted && known.digest.is_none() {
                self.fail("a version can be gone back to and nothing pins it, or the other way round");
            }
        }
    }

    /// What someone else put live earns known good by *healthy* of all after the soak, opens an incident by *unhealthy*, and is given up otherwise.
    pub(crate) fn check_probation(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let (was, is) = (before.probation.as_ref(), self.service.probation.as_ref());
        if let Some(probation) = is {
            let verifiers = self.service.terms.as_ref().unwrap().policies(Role::Verification).count();
            let unproven = &probation.unproven;
            let held = unproven.iter().any(|revision| self.service.is_held(revision));
            if self.service.incident.is_some() || verifiers == 0 || held || unproven.is_empty() {
                self.fail("a probation that must not be");
            }
            if self.service.production.falls_back() || unproven.iter().any(|one| one.facet == Facet::Fallback)
            {
                self.fail("a probation while a safe mode answers, or of it");
            }
            if was.is_none_or(|was| was.version != probation.version || was.unproven != probation.unproven) {
                seen.facet_probations += usize::from(unproven[0].facet != Facet::Model);
                seen.probations += 1;
                let looked = matches!(event, Event::ProductionWatched(_));
                let ended = before.incident.is_some() && self.service.incident.is_none();
                let judged = &before.production.judged;
                if !(looked || ended) || judged.is_none() || *judged == self.service.production.vector() {
                    self.fail("a probation began without news");
                }
            }
        }
        let Some(was) = was else { return };
        let words = |asked: &ripcord_core::event::VerificationsAsked, word: &VerificationWord| {
            asked.asked.iter().filter(|one| one.said == Said::Verdict(word.clone())).count()
        };
        let told = |topic: Topic| {
            self.service.outbox.iter().any(|out| out.topic == topic && out.at == self.service.at)
        };
        let known = self.service.known_of(&was.version.version);
        let earned = known
            .is_some_and(|known| known.standing == Standing::KnownGood && known.since == self.service.at);
        match event {
            Event::VerificationsAsked(asked) => {
                let healthy = words(asked, &VerificationWord::Healthy) == asked.asked.len();
                let soaked = self.service.at >= was.since + Deadlines::default().soak;
                if earned && !(healthy && soaked) {
                    self.fail("known good without verification or soak");
                }
                let opened = self.service.incident.is_some();
                if opened != (words(asked, &VerificationWord::Unhealthy) > 0) {
                    self.fail("an incident without *unhealthy*, or none with it");
                }
                seen.passed += usize::from(earned);
                seen.failed += usize::from(opened);
                if is.is_none() && !opened && told(Topic::KnownGood) == told(Topic::NotProven) {
                    self.fail("a probation ended and nobody was told");
                }
            }
            Event::Woke if is.is_none() => {
                seen.ran_out += 1;
                if !told(Topic::NotProven) || earned {
                    self.fail("a probation ran out and nobody was told");
                }
            }
            _ if earned => self.fail("known good by something else than a verification"),
            _ => {}
        }
    }
}
