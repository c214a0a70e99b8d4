//! What puts one facet beside the model back: it stores a revision, and has the service take it over.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{Clock, ErrorKind, PortError, Restorer, Retry};

use super::{RESTORER, Wire};
use crate::facet::{Content, OutsideFacet};

/// See [`crate::facet::OutsideFacet`].
#[derive(Debug)]
pub struct PretendRestorer {
    /// Where it is.
    pub wire: Wire,
    /// Which facet.
    pub facet: Facet,
}

/// What becomes of an order.
enum Fate {
    Answers(Result<Shifted, PortError>),
    NeverAnswers,
}

fn refused(kind: ErrorKind, text: &str) -> Fate {
    Fate::Answers(Err(PortError::not_applied(kind, text)))
}

fn broken() -> Fate {
    Fate::Answers(Err(PortError::unknown(ErrorKind::Unreachable, "the connection to the restorer broke")))
}

fn underway() -> Fate {
    Fate::Answers(Ok(Shifted::Underway("the service is to take it over".to_owned())))
}

/// When the service takes over what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    Later(Duration),
    Never,
}

impl PretendRestorer {
    fn at<T>(&self, change: impl FnOnce(&mut OutsideFacet) -> T) -> T {
        self.wire.world.facet(&self.wire.service, &self.facet, change)
    }

    /// What is answered before anything is done.
    fn answered_at_once(&self, facet: &OutsideFacet, order: &RestoreOrder) -> Result<Content, Fate> {
        let wanted = order.revision.as_str();
        if self.class() == EffectClass::Idempotent && facet.keys.contains(&order.key) {
            return Err(if facet.is_at_rest() { Fate::Answers(Ok(Shifted::Done)) } else { underway() });
        }
        let Some(content) = facet.find(wanted) else {
            return Err(refused(ErrorKind::NotFound, "there is no such revision"));
        };
        if facet.broken.contains(wanted) {
            let error = PortError::not_applied(ErrorKind::Failed, "the revision is broken").retry(Retry::No);
            return Err(Fate::Answers(Err(error)));
        }
        if !content.is(wanted, order.digest) {
            return Err(refused(ErrorKind::WrongDigest, "the revision has other content by now"));
        }
        let goes_on = facet.shows(wanted, None) || facet.is_untold(wanted);
        let expected = |expecting: &VersionName| facet.shows(expecting.as_str(), None) || goes_on;
        if self.class() != EffectClass::Blind && !order.expecting.as_ref().is_none_or(expected) {
            return Err(refused(ErrorKind::Conflict, "what is in force is not what the order expects"));
        }
        Ok(content.clone())
    }

    async fn carry_out(&self, order: &RestoreOrder) -> Fate {
        let content = match self.at(|facet| self.answered_at_once(facet, order)) {
            Ok(content) => content,
            Err(fate) => return fate,
        };
        let dice = &self.wire.dice;
        if !dice.chance(self.wire.weather.now().shift_fails) {
            self.restore(order, content, When::Now).await;
            return Fate::Answers(Ok(Shifted::Done));
        }
        let later = When::Later(Duration::from_millis(dice.between(10, 20_000)));
        match dice.below(11) {
            0 => refused(ErrorKind::Failed, "the restorer is busy"),
            1 => refused(ErrorKind::Denied, "the restorer says no"),
            2 => {
                self.restore(order, content, When::Now).await;
                broken()
            }
            3 => broken(),
            4 => {
                self.restore(order, content, later).await;
                underway()
            }
            // It is stored, and the service cannot be told.
            5 => {
                self.at(|facet| facet.store(content));
                let text = "it is stored, and the service could not be told";
                Fate::Answers(Err(PortError::unknown(ErrorKind::Unreachable, text)))
            }
            6 => {
                if dice.one_in(2) {
                    self.restore(order, content, later).await;
                }
                Fate::NeverAnswers
            }
            // It says that it is done, and it is not.
            7 => Fate::Answers(Ok(Shifted::Done)),
            8 => {
                self.restore(order, content, later).await;
                broken()
            }
            // It is stored, and the service goes on with what it has.
            9 => {
                self.restore(order, content, When::Never).await;
                Fate::Answers(Ok(Shifted::Done))
            }
            _ => {
                self.restore(order, content, When::Never).await;
                underway()
            }
        }
    }

    async fn restore(&self, order: &RestoreOrder, content: Content, when: When) {
        let change = self.at(|facet| facet.store(content));
        // What the host does in two steps can end between them; what another system does for it cannot.
        if matches!(self.class(), EffectClass::Observable | EffectClass::Blind) {
            self.wire.life.may_end_at_a_moment().await;
        }
        self.at(|facet| {
            facet.keys.insert(order.key.clone());
            facet.tell(change);
            match when {
                When::Now => facet.take_over(change),
                When::Never => facet.gives_up(change),
                When::Later(_) => {}
            }
        });
        if let When::Later(delay) = when {
            self.wire.world.takes_over_later(&self.wire.service, &self.facet, change, delay);
        }
    }

    fn entry(&self, index: usize, content: &Content) -> HistoryEntry {
        let is_broken = self.at(|facet| facet.broken.contains(&content.revision));
        HistoryEntry {
            revision: crate::world::version(&content.revision),
            digest: Some(content.digest()),
            made_at: Some(UnixMillis(1_699_000_000_000 + index as u64 * 60_000)),
            made_by: None,
            summary: String::new(),
            broken: is_broken.then(|| "nobody can read it".to_owned()),
        }
    }

    fn listed(&self) -> Vec<HistoryEntry> {
        let revisions = self.at(|facet| facet.revisions.clone());
        revisions.iter().enumerate().rev().map(|(index, content)| self.entry(index, content)).collect()
    }

    fn no_such(revision: &VersionName) -> PortError {
        PortError::not_applied(ErrorKind::NotFound, format!("there is no revision `{revision}`"))
    }
}

#[async_trait]
impl Restorer for PretendRestorer {
    fn name(&self) -> &str {
        "restorer_pretend"
    }

    fn class(&self) -> EffectClass {
        self.wire.terms.class(&self.facet)
    }

    fn arguments(&self) -> Vec<Label> {
        vec![Label::new("place", self.facet.to_string())]
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        self.wire.reach(RESTORER).await?;
        let mut listed = self.listed();
        listed.truncate(limit as usize);
        self.wire.comes_back(RESTORER).await;
        Ok(listed)
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        self.wire.reach(RESTORER).await?;
        let found = self.listed().into_iter().find(|entry| entry.revision == *revision);
        self.wire.comes_back(RESTORER).await;
        found.ok_or_else(|| Self::no_such(revision))
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        self.wire.reach(RESTORER).await?;
        let found = self.at(|facet| facet.find(revision.as_str()).cloned());
        self.wire.comes_back(RESTORER).await;
        let content = found.ok_or_else(|| Self::no_such(revision))?;
        if !content.is(revision.as_str(), expecting) {
            let text = format!("`{revision}` has other content by now");
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        Ok(content.bytes())
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        self.wire.reach(RESTORER).await?;
        let state = self.at(|facet| facet.look());
        let observed_at = self.wire.clock.now();
        self.wire.comes_back(RESTORER).await;
        Ok(FacetLive { state, observed_at })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let words = format!("put `{revision}` of `{}` in force", self.facet);
        Some(Request::new(self.name(), &words).with("revision", format!("{revision} {digest:?}")))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let wire = &self.wire;
        wire.life.may_end().await;
        wire.checker.restore_called(&wire.service, &self.facet, order, &wire.terms);
        wire.reach(RESTORER).await?;
        let fate = self.carry_out(order).await;
        wire.checker.note(|| format!("{} {} to {} arrived", wire.service, self.facet, order.revision));
        wire.life.may_end_at_a_moment().await;
        wire.comes_back(RESTORER).await;
        match fate {
            Fate::Answers(answer) => answer,
            Fate::NeverAnswers => for_system(RESTORER, pending()).await,
        }
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        self.wire.reach(RESTORER).await?;
        let wanted = order.revision.as_str();
        let probe = self.at(|facet| match self.class() {
            EffectClass::Blind => Probe::CannotTell("it keeps no record".to_owned()),
            _ if facet.shows(wanted, order.digest) => Probe::Applied,
            _ if facet.is_told(wanted, order.digest) => {
                Probe::Underway("the service is to take it over".to_owned())
            }
            _ => Probe::NotApplied,
        });
        self.wire.comes_back(RESTORER).await;
        Ok(probe)
    }
}
