//! The suite itself: it passes a sound restorer, and names the rule that a flawed one breaks.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt;
use ripcord_adapters::conformance::restorer::{Expected, RestoredService, conforms};
use ripcord_core::digest::Digest;
use ripcord_core::facet::{FacetState, InForce};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{ErrorKind, PortError, Restorer};

use super::revisions;
use crate::adapters::support::version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    StoresOnly,
    OldestFirst,
    IgnoresDigest,
    IgnoresExpected,
    UnknownIsFine,
    ProbesApplied,
    CallsForeignByName,
    FloodsSummary,
    RefusesRepeat,
    SaysNothing,
    SendsAnything,
}

struct InMemory {
    flaw: Flaw,
    stored: Mutex<String>,
    loaded: Mutex<String>,
}

impl InMemory {
    fn with(flaw: Flaw) -> Self {
        Self { flaw, stored: Mutex::new("b".into()), loaded: Mutex::new("b".into()) }
    }

    fn entry(&self, name: &str) -> HistoryEntry {
        HistoryEntry {
            revision: version(name),
            digest: Some(Digest::of(name)),
            made_at: None,
            made_by: None,
            summary: if self.flaw == Flaw::FloodsSummary { "x\n".repeat(9) } else { String::new() },
            broken: None,
        }
    }

    fn told(&self) -> String {
        if self.flaw == Flaw::StoresOnly { &self.stored } else { &self.loaded }.lock().unwrap().clone()
    }
}

#[async_trait]
impl RestoredService for InMemory {
    async fn works_with(&self) -> Vec<u8> {
        self.loaded.lock().unwrap().clone().into_bytes()
    }

    async fn go_astray(&self) {
        for place in [&self.loaded, &self.stored] {
            *place.lock().unwrap() = "by-hand".into();
        }
    }
}

fn refused(kind: ErrorKind, why: String) -> PortError {
    PortError::not_applied(kind, why)
}

#[async_trait]
impl Restorer for InMemory {
    fn name(&self) -> &str {
        "in_memory"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Conditional
    }

    fn arguments(&self) -> Vec<Label> {
        let said = Label { name: "place".into(), value: "memory".into() };
        if self.flaw == Flaw::SaysNothing { Vec::new() } else { vec![said] }
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let request = Request::new(self.name(), "put it into memory");
        let known = format!("{revision} {digest:?}");
        Some(if self.flaw == Flaw::SendsAnything { request } else { request.with("revision", known) })
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        let names = if self.flaw == Flaw::OldestFirst { ["a", "b"] } else { ["b", "a"] };
        Ok(names.into_iter().take(limit as usize).map(|name| self.entry(name)).collect())
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        if self.flaw != Flaw::UnknownIsFine && !["a", "b"].contains(&revision.as_str()) {
            return Err(refused(ErrorKind::NotFound, format!("no `{revision}`")));
        }
        Ok(self.entry(revision.as_str()))
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let entry = self.revision(revision).await?;
        if self.flaw != Flaw::IgnoresDigest && expecting.is_some_and(|wanted| entry.digest != Some(wanted)) {
            return Err(refused(ErrorKind::WrongDigest, "another".into()));
        }
        Ok(revision.as_str().as_bytes().to_vec())
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        let told = self.told();
        let known = ["a", "b"].contains(&told.as_str());
        let state = if known || self.flaw == Flaw::CallsForeignByName {
            let name = if known { told.as_str() } else { "b" };
            FacetState::InForce(InForce { revision: version(name), digest: None, proof: Proof::Answer })
        } else {
            FacetState::Unknown("it is no revision".into())
        };
        Ok(FacetLive { state, observed_at: UnixMillis(0) })
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        self.content(&order.revision, order.digest).await?;
        let told = self.told();
        let expected = order.expecting.as_ref().is_none_or(|expecting| expecting.as_str() == told);
        let repeated = order.revision.as_str() == told;
        if self.flaw == Flaw::RefusesRepeat && repeated {
            return Err(refused(ErrorKind::Failed, "it is there".into()));
        }
        if self.flaw != Flaw::IgnoresExpected && !expected && !repeated {
            return Err(refused(ErrorKind::Conflict, format!("`{told}` is in force")));
        }
        *self.stored.lock().unwrap() = order.revision.to_string();
        if self.flaw != Flaw::StoresOnly {
            *self.loaded.lock().unwrap() = order.revision.to_string();
        }
        Ok(Shifted::Done)
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        let is = self.flaw == Flaw::ProbesApplied || order.revision.as_str() == self.told();
        Ok(if is { Probe::Applied } else { Probe::NotApplied })
    }
}

#[tokio::test]
async fn a_sound_restorer_conforms_and_a_flawed_one_breaks_the_rule_of_its_flaw() {
    for (flaw, rule) in [
        (Flaw::None, None),
        (Flaw::StoresOnly, Some("puts-in-force-and-not-only-in-store")),
        (Flaw::OldestFirst, Some("lists-history-newest-first")),
        (Flaw::IgnoresDigest, Some("describes-revisions-as-listed")),
        (Flaw::IgnoresExpected, Some("expects-what-is-in-force")),
        (Flaw::UnknownIsFine, Some("an-unknown-revision-is-not-found")),
        (Flaw::ProbesApplied, Some("a-probe-tells-what-happened-to-a-restore")),
        (Flaw::CallsForeignByName, Some("what-is-foreign-is-no-revision")),
        (Flaw::FloodsSummary, Some("lists-history-newest-first")),
        (Flaw::RefusesRepeat, Some("a-restore-repeats")),
        (Flaw::SaysNothing, Some("says-what-it-will-do")),
        (Flaw::SendsAnything, Some("says-what-a-restore-sends")),
    ] {
        let restorer = InMemory::with(flaw);
        let expected = Expected { newest_first: revisions(&["b", "a"]) };
        let judged = AssertUnwindSafe(conforms(&restorer, &restorer, &expected)).catch_unwind().await;
        let said = judged.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
        match rule {
            None => assert_eq!(said, None, "a sound one conforms"),
            Some(rule) => {
                let said = said.unwrap_or_else(|| panic!("{flaw:?} passes"));
                assert!(said.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {said}");
            }
        }
    }
}
