//! A restorer of any effect class: it stores a revision, then has the service take it over, and writes down every call.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetState, InForce, Revision};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{Clock, ErrorKind, PortError, Restorer};

use super::Wire;
use crate::world::{OutsideFacet, Step};

/// As people call what it stands for.
const SYSTEM: &str = "the fake restorer";

/// See [`OutsideFacet`].
#[derive(Debug)]
pub struct FakeRestorer {
    /// Where it is.
    pub wire: Wire,
    /// What it puts back.
    pub facet: Facet,
    /// What it promises.
    pub class: EffectClass,
}

fn name(text: &str) -> VersionName {
    VersionName::new(text).expect("a revision")
}

fn text_of(of: &OutsideFacet, revision: &str) -> String {
    let rewritten = if of.rewritten.contains(revision) { ", rewritten" } else { "" };
    format!("{revision}{rewritten}")
}

impl FakeRestorer {
    fn look(&self) -> OutsideFacet {
        self.wire.world.at(&self.wire.service, |outside| outside.facet(&self.facet).clone())
    }

    /// The same, if it answers.
    fn answers(&self) -> Result<OutsideFacet, PortError> {
        let of = self.look();
        if of.down {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the fake restorer does not answer"));
        }
        Ok(of)
    }

    fn as_text(&self, order: &RestoreOrder) -> String {
        Revision { facet: self.facet.clone(), name: order.revision.clone() }.as_text()
    }

    fn step(&self, step: Step) {
        self.wire.world.at(&self.wire.service, |outside| outside.steps.push(step));
    }

    /// The content of a revision: its name, unless somebody wrote another one.
    fn content_of(&self, revision: &VersionName) -> Result<Vec<u8>, PortError> {
        let of = self.answers()?;
        if of.revisions.iter().any(|known| known == revision.as_str()) {
            return Ok(text_of(&of, revision.as_str()).into_bytes());
        }
        Err(PortError::not_applied(ErrorKind::NotFound, format!("the fake has no revision `{revision}`")))
    }

    fn entry(&self, index: usize, revision: &str) -> HistoryEntry {
        let of = self.look();
        HistoryEntry {
            revision: name(revision),
            digest: Some(Digest::of(text_of(&of, revision))),
            made_at: Some(UnixMillis(1_699_900_000_000 + index as u64 * 60_000)),
            made_by: None,
            summary: String::new(),
            broken: of.broken.contains(revision).then(|| "it is no JSON".to_owned()),
        }
    }

    async fn carry_out(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let content = self.content_of(&order.revision)?;
        if order.digest.is_some_and(|wanted| wanted != Digest::of(&content)) {
            return Err(PortError::not_applied(ErrorKind::WrongDigest, "the revision has other content"));
        }
        let (now, seen) = self.wire.world.at(&self.wire.service, |outside| {
            (outside.facet(&self.facet).clone(), outside.keys.contains(&order.key))
        });
        if self.class == EffectClass::Idempotent && seen {
            return Ok(Shifted::Done);
        }
        let expected = order.expecting.as_ref().is_none_or(|expecting| expecting.as_str() == now.in_force);
        if self.class != EffectClass::Blind && !expected && now.in_force != order.revision.as_str() {
            let text = "what is in force is not what the order expects";
            return Err(PortError::not_applied(ErrorKind::Conflict, text));
        }
        self.wire.world.at(&self.wire.service, |outside| {
            outside.facet(&self.facet).stored = order.revision.to_string();
        });
        self.wire.fuse.point("within shift").await;
        self.wire.world.at(&self.wire.service, |outside| {
            let facet = outside.facet(&self.facet);
            facet.in_force.clone_from(&facet.stored);
            outside.keys.insert(order.key.clone());
            outside.steps.push(Step::Applied { key: order.key.clone(), version: self.as_text(order) });
        });
        Ok(Shifted::Done)
    }
}

#[async_trait]
impl Restorer for FakeRestorer {
    fn name(&self) -> &str {
        "restorer_fake"
    }

    fn class(&self) -> EffectClass {
        self.class
    }

    fn arguments(&self) -> Vec<Label> {
        vec![Label::new("place", self.facet.to_string())]
    }

    fn kept_at(&self) -> Option<String> {
        Some(self.look().kept_at).filter(|place| !place.is_empty())
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        self.wire.fuse.call("history").await?;
        let of = self.answers()?;
        let newest_first = of.revisions.iter().enumerate().rev().take(limit as usize);
        Ok(newest_first.map(|(index, revision)| self.entry(index, revision)).collect())
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        self.wire.fuse.alive().await;
        self.content_of(revision)?;
        Ok(self.entry(0, revision.as_str()))
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        self.wire.fuse.call("content").await?;
        let content = self.content_of(revision)?;
        if self.look().lost.contains(revision.as_str()) {
            let text = format!("the content of `{revision}` is gone");
            return Err(PortError::not_applied(ErrorKind::NotFound, text));
        }
        self.wire.fuse.point("after content").await;
        if expecting.is_some_and(|pinned| pinned != Digest::of(&content)) {
            return Err(PortError::not_applied(ErrorKind::WrongDigest, "the revision has other content"));
        }
        Ok(content)
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        for_system(SYSTEM, self.wire.fuse.call("in-force")).await?;
        let of = self.answers()?;
        for_system(SYSTEM, self.wire.fuse.point("after in-force")).await;
        let known = of.revisions.contains(&of.in_force).then(|| InForce {
            revision: name(&of.in_force),
            digest: Some(Digest::of(text_of(&of, &of.in_force))),
            proof: Proof::Answer,
        });
        let unknown = || FacetState::Unknown(format!("`{}` is no revision", of.in_force));
        let state = known.map_or_else(unknown, FacetState::InForce);
        Ok(FacetLive { state, observed_at: self.wire.clock.now() })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let words = format!("put `{revision}` of `{}` in force", self.facet);
        let request = Request::new(self.name(), &words).with("revision", format!("{revision} {digest:?}"));
        Some(request.with("settings", self.wire.world.of(&self.wire.service).settings))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        for_system(SYSTEM, self.wire.fuse.call("shift")).await?;
        self.step(Step::Called { key: order.key.clone(), version: self.as_text(order) });
        self.wire.fuse.point("at shift").await;
        let result = self.carry_out(order).await;
        let broke = for_system(SYSTEM, self.wire.fuse.answer("shift")).await;
        let result = broke.and(result);
        let known = result.as_ref().err().is_none_or(|error| error.applied == ripcord_ports::Applied::No);
        self.step(Step::Returned { known });
        result
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        self.wire.fuse.call("probe").await?;
        let in_force = self.look().in_force;
        let probe = match self.class {
            EffectClass::Blind => Probe::CannotTell("it keeps no record".into()),
            _ if in_force == order.revision.as_str() => Probe::Applied,
            // What is stored and was not taken over is stored again.
            _ => Probe::NotApplied,
        };
        self.wire.fuse.point("after probe").await;
        self.step(Step::Probed { known: !matches!(probe, Probe::CannotTell(_)) });
        Ok(probe)
    }
}
