//! The ports as the host calls them: every call of every adapter ends, since one that has not answered by its deadline has failed.
//!
//! This is the only place that calls an adapter, so nothing can be forgotten: the engine wraps all that it is given when it starts. What a
//! call that changes something came to is not known then.

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::fact::{
    Checkpoint, Exchange, Lineage, Live, Sample, Series, Unavailable, UnavailableReason,
};
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget, Window};
use ripcord_core::terms::Deadlines;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::deployer::{
    Beside, CandidateOrder, EffectClass, Moves, Outputs, Probe, ShiftOrder, Shifted, WaveOf,
};
use ripcord_ports::endpoint::{Fingerprint, Reply, SignatureCheck};
use ripcord_ports::notifier::Announcement;
use ripcord_ports::producer::{CheckpointList, ProduceOrder, Progress};
use ripcord_ports::registry::{AtHand, Listing, Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::requests::{GoldenRow, LogPiece, TrialInput};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{
    Checkpoints, Clock, Deployer, Endpoint, ErrorKind, GoldenData, Metrics, Notifier, Objects, PortError,
    Producer, Registry, RequestLog, Restorer,
};

use crate::deadline::within;
use crate::setup::{HostSetup, ServicePorts};

/// Adapters keep the time that an order gives them, and say more of it than can be said here: so long they have for that.
const SLACK: Millis = Millis::seconds(5);
/// Taking a candidate away.
const CLEAR: Millis = Millis::seconds(60);
/// All inputs of one fingerprint.
const FINGERPRINT: Millis = Millis::seconds(30);

/// Whether a call leaves something behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Risk {
    /// It reads, or writes what is harmless to write again.
    None,
    /// Whether it had its effect is not known where it does not answer.
    HasEffect,
}

/// The way to one adapter.
#[derive(Clone)]
struct Line {
    clock: Arc<dyn Clock>,
    deadlines: Deadlines,
}

impl Line {
    async fn call<T>(
        &self,
        (system, doing): (&str, &str),
        limit: Millis,
        risk: Risk,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        within(self.clock.as_ref(), limit, call).await.unwrap_or_else(|| {
            let late = PortError::not_applied(ErrorKind::TimedOut, too_late(system, doing, limit));
            Err(if risk == Risk::HasEffect { late.outcome_unknown() } else { late })
        })
    }

    async fn read<T>(
        &self,
        what: (&str, &str),
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.call(what, self.deadlines.call, Risk::None, call).await
    }

    async fn query<T>(
        &self,
        (system, doing): (&str, &str),
        call: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let limit = self.deadlines.call;
        within(self.clock.as_ref(), limit, call).await.unwrap_or_else(|| {
            Err(Unavailable::new(UnavailableReason::TimedOut, too_late(system, doing, limit)))
        })
    }
}

fn too_late(system: &str, doing: &str, limit: Millis) -> String {
    format!("`{system}` did not come back from {doing} within {limit}, so it was given up")
}

/// A port behind its line.
struct Bounded<P: ?Sized> {
    port: Arc<P>,
    line: Line,
}

/// All that one service is connected to, with deadlines.
pub(crate) fn service_ports(
    ports: ServicePorts,
    clock: &Arc<dyn Clock>,
    deadlines: Deadlines,
) -> ServicePorts {
    let line = Line { clock: clock.clone(), deadlines };
    let ServicePorts {
        registry,
        deployer,
        restorers,
        producer,
        checkpoints,
        endpoint,
        golden,
        requests,
        metrics,
        default_metrics,
    } = ports;
    ServicePorts {
        registry: Arc::new(Bounded { port: registry, line: line.clone() }),
        deployer: Arc::new(Bounded { port: deployer, line: line.clone() }),
        restorers: restorers
            .into_iter()
            .map(|(facet, port)| (facet, Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn Restorer>))
            .collect(),
        producer: producer.map(|port| Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn Producer>),
        checkpoints: checkpoints
            .map(|port| Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn Checkpoints>),
        endpoint: endpoint.map(|port| Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn Endpoint>),
        golden: golden.map(|port| Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn GoldenData>),
        requests: requests.map(|port| Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn RequestLog>),
        metrics: metrics
            .into_iter()
            .map(|(name, port)| (name, Arc::new(Bounded { port, line: line.clone() }) as Arc<dyn Metrics>))
            .collect(),
        default_metrics,
    }
}

/// The same of what all services of a host share.
pub(crate) fn host_ports(setup: &mut HostSetup) {
    let deadlines = Deadlines::default();
    let line = Line { clock: setup.clock.clone(), deadlines };
    setup.evidence = Arc::new(Bounded { port: setup.evidence.clone(), line: line.clone() });
    let patient = Line { deadlines: Deadlines { call: setup.announcing.call_max, ..deadlines }, ..line };
    for notifier in &mut setup.notifiers {
        *notifier = Arc::new(Bounded { port: notifier.clone(), line: patient.clone() });
    }
}

#[async_trait]
impl Registry for Bounded<dyn Registry> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn kept_at(&self) -> Option<String> {
        self.port.kept_at()
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.line.read((self.name(), "listing versions"), self.port.versions(limit)).await
    }

    async fn listing(&self, limit: u32) -> Result<Listing, PortError> {
        self.line.read((self.name(), "listing versions"), self.port.listing(limit)).await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        self.line.read((self.name(), "describing a version"), self.port.version(version)).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        self.line.read((self.name(), "reading a lineage"), self.port.lineage(version)).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.line.read((self.name(), "reading a manifest"), self.port.manifest(version)).await
    }

    async fn at_hand(&self, version: &VersionTarget) -> Result<AtHand, PortError> {
        let what = (self.name(), "checking an artefact that is kept at hand");
        self.line.call(what, self.line.deadlines.stage, Risk::None, self.port.at_hand(version)).await
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = (self.name(), "fetching an artefact");
        self.line.call(what, self.line.deadlines.stage, Risk::None, self.port.fetch(version, into)).await
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        // Writing the same mark again is harmless.
        self.line.read((self.name(), "writing a mark"), self.port.mark(version, mark)).await
    }

    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        let what = (self.name(), "taking a version in");
        self.line.call(what, self.line.deadlines.stage, Risk::HasEffect, self.port.register(new)).await
    }

    fn request_to_register(&self) -> Option<Request> {
        self.port.request_to_register()
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        self.port.request_to_promote(version)
    }

    fn production_name(&self) -> Option<&str> {
        self.port.production_name()
    }

    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        self.line.read((self.name(), "reading its names for versions"), self.port.aliases()).await
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        self.line.read((self.name(), "reading its production name"), self.port.promoted()).await
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let what = (self.name(), "moving its production name");
        let call = self.port.promote(version, expecting);
        self.line.call(what, self.line.deadlines.shift, Risk::HasEffect, call).await
    }
}

#[async_trait]
impl Restorer for Bounded<dyn Restorer> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn class(&self) -> EffectClass {
        self.port.class()
    }

    fn arguments(&self) -> Vec<Label> {
        self.port.arguments()
    }

    fn kept_at(&self) -> Option<String> {
        self.port.kept_at()
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        self.line.read((self.name(), "listing revisions"), self.port.history(limit)).await
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        self.line.read((self.name(), "looking up a revision"), self.port.revision(revision)).await
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let content = self.port.content(revision, expecting);
        self.line.read((self.name(), "reading the content of a revision"), content).await
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        self.line.read((self.name(), "reading what is in force"), self.port.in_force()).await
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        self.port.request(revision, digest)
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let limit = order.deadline + SLACK;
        self.line.call((self.name(), "a shift"), limit, Risk::HasEffect, self.port.shift(order)).await
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        self.line.read((self.name(), "a probe"), self.port.probe(order)).await
    }

    async fn obstacle(&self) -> Option<String> {
        let looked = async { Ok(self.port.obstacle().await) };
        // Nobody is kept from planning by a look that does not end.
        self.line.read((self.name(), "looking for obstacles"), looked).await.unwrap_or_default()
    }
}

#[async_trait]
impl Producer for Bounded<dyn Producer> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn class(&self) -> EffectClass {
        self.port.class()
    }

    fn arguments(&self) -> Vec<Label> {
        self.port.arguments()
    }

    fn makes(&self, target: &Target) -> bool {
        self.port.makes(target)
    }

    fn objection(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.port.objection(checkpoint)
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        // It reads all that a version is to be made of.
        let limit = self.line.deadlines.planning;
        self.line
            .call((self.name(), "pinning what is used"), limit, Risk::None, self.port.pinned(target))
            .await
    }

    fn request(&self, target: &Target) -> Option<Request> {
        self.port.request(target)
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        let limit = order.deadline + SLACK;
        self.line.call((self.name(), "starting a run"), limit, Risk::HasEffect, self.port.start(order)).await
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        // What a run has left is registered within the look that finds it.
        let (what, limit) = ((self.name(), "telling how far a run is"), self.line.deadlines.stage);
        self.line.call(what, limit, Risk::None, self.port.progress(order)).await
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        let limit = order.deadline + SLACK;
        self.line.call((self.name(), "stopping a run"), limit, Risk::HasEffect, self.port.stop(order)).await
    }

    async fn obstacle(&self) -> Option<String> {
        let looked = async { Ok(self.port.obstacle().await) };
        // Nobody is kept from planning by a look that does not end.
        self.line.read((self.name(), "looking for obstacles"), looked).await.unwrap_or_default()
    }
}

#[async_trait]
impl Checkpoints for Bounded<dyn Checkpoints> {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn checkpoints(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError> {
        self.line.read((self.name(), "listing checkpoints"), self.port.checkpoints(run, limit)).await
    }
}

#[async_trait]
impl Deployer for Bounded<dyn Deployer> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn class(&self) -> EffectClass {
        self.port.class()
    }

    fn shows(&self, target: &Target) -> bool {
        self.port.shows(target)
    }

    async fn live(&self) -> Result<Live, PortError> {
        self.line.read((self.name(), "reading what is live"), self.port.live()).await
    }

    fn waves(&self, moves: &Moves) -> bool {
        self.port.waves(moves)
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        self.port.request(target, wave)
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let limit = order.deadline + SLACK;
        self.line.call((self.name(), "a shift"), limit, Risk::HasEffect, self.port.shift(order)).await
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        self.line.read((self.name(), "a probe"), self.port.probe(order)).await
    }

    async fn outputs(&self, by: &[VersionName]) -> Result<Option<Outputs>, PortError> {
        self.line.read((self.name(), "listing the outputs of versions"), self.port.outputs(by)).await
    }

    async fn obstacle(&self) -> Option<String> {
        let looked = async { Ok(self.port.obstacle().await) };
        // Nobody is kept from planning by a look that does not end.
        self.line.read((self.name(), "looking for obstacles"), looked).await.unwrap_or_default()
    }

    async fn warning(&self) -> Option<String> {
        let looked = async { Ok(self.port.warning().await) };
        self.line.read((self.name(), "looking for what gets worse"), looked).await.unwrap_or_default()
    }

    fn beside_obstacle(&self) -> Option<String> {
        self.port.beside_obstacle()
    }

    fn beside_class(&self) -> Option<EffectClass> {
        self.port.beside_class()
    }

    async fn beside(&self, order: &CandidateOrder) -> Result<Beside, PortError> {
        let limit = order.deadline + SLACK;
        self.line
            .call((self.name(), "holding a candidate"), limit, Risk::HasEffect, self.port.beside(order))
            .await
    }

    async fn clear(&self) -> Result<(), PortError> {
        self.line
            .call((self.name(), "taking a candidate away"), CLEAR, Risk::HasEffect, self.port.clear())
            .await
    }
}

#[async_trait]
impl Endpoint for Bounded<dyn Endpoint> {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn infer(
        &self,
        input: &TrialInput,
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Reply, PortError> {
        self.line.read((self.name(), "answering"), self.port.infer(input, candidate, trial)).await
    }

    fn of_version(&self, version: &VersionName) -> Option<Arc<dyn Endpoint>> {
        let port = self.port.of_version(version)?;
        Some(Arc::new(Self { port, line: self.line.clone() }))
    }

    async fn compare_signature(
        &self,
        signature: &str,
        candidate: Option<&Beside>,
    ) -> Result<SignatureCheck, PortError> {
        let call = self.port.compare_signature(signature, candidate);
        self.line.read((self.name(), "comparing a signature"), call).await
    }

    async fn fingerprint(
        &self,
        inputs: &[TrialInput],
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Fingerprint, PortError> {
        let call = self.port.fingerprint(inputs, candidate, trial);
        self.line.call((self.name(), "taking a fingerprint"), FINGERPRINT, Risk::None, call).await
    }
}

#[async_trait]
impl GoldenData for Bounded<dyn GoldenData> {
    fn names(&self) -> Vec<String> {
        self.port.names()
    }

    async fn rows(&self, dataset: &str) -> Result<Vec<GoldenRow>, PortError> {
        self.line.read((dataset, "reading golden data"), self.port.rows(dataset)).await
    }
}

#[async_trait]
impl RequestLog for Bounded<dyn RequestLog> {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn preserve(&self, window: Window, bytes_max: u64) -> Result<LogPiece, PortError> {
        self.line.read((self.name(), "reading the request log"), self.port.preserve(window, bytes_max)).await
    }

    fn exchanges(&self, piece: &[u8], limit: u32) -> Vec<Exchange> {
        self.port.exchanges(piece, limit)
    }
}

#[async_trait]
impl Metrics for Bounded<dyn Metrics> {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        self.line.query((self.name(), "a query"), self.port.instant(query, at)).await
    }

    async fn range(&self, query: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        self.line.query((self.name(), "a query"), self.port.range(query, window, step)).await
    }
}

#[async_trait]
impl Notifier for Bounded<dyn Notifier> {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
        self.line.read((self.name(), "telling people"), self.port.announce(announcement)).await
    }
}

#[async_trait]
impl Objects for Bounded<dyn Objects> {
    async fn put(&self, all: Vec<Vec<u8>>) -> Result<Vec<Result<Digest, PortError>>, PortError> {
        self.line.read(("the evidence store", "keeping evidence"), self.port.put(all)).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        self.line.read(("the evidence store", "reading evidence"), self.port.get(digest)).await
    }

    async fn remove(&self, digest: &Digest) -> Result<(), PortError> {
        self.line.read(("the evidence store", "removing evidence"), self.port.remove(digest)).await
    }
}
