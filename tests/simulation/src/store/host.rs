//! A host's way to its disk: calls take their time, fail, and may be the last thing that the host does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::{
    Accepted, Append, ChangeLine, Content, Expired, IncidentLine, NewSignal, SignalFilter, Span, StoreError,
    StoredSignal, Use,
};

use super::Disk;
use crate::check::Checker;
use crate::dice::Dice;
use crate::life::Life;
use crate::weather::Weather;

/// A store in good and bad weather.
#[derive(Debug)]
pub struct HostStore {
    /// What outlives the host.
    pub disk: Arc<Disk>,
    /// Of this host.
    pub life: Arc<Life>,
    /// What may go wrong.
    pub weather: Arc<Weather>,
    /// Chance.
    pub dice: Dice,
    /// Who counts reads.
    pub checker: Arc<Checker>,
}

impl HostStore {
    async fn travel(&self) {
        let most = if self.dice.chance(self.weather.now().late) { 3_000 } else { 4 };
        tokio::time::sleep(Duration::from_millis(self.dice.below(most))).await;
        self.life.alive().await;
    }

    /// A write is made or not, and its caller may learn neither.
    async fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.life.may_end().await;
        self.travel().await;
        let sky = self.weather.now();
        if sky.disk_full {
            return Err(StoreError::Full);
        }
        let unknown = self.dice.chance(sky.write_unknown);
        if unknown && self.dice.one_in(2) {
            return Err(StoreError::Failed("the write was lost".to_owned()));
        }
        let written = write();
        self.life.may_end().await;
        if unknown {
            return Err(StoreError::Failed("the answer to the write was lost".to_owned()));
        }
        written
    }

    async fn read<T>(&self, read: impl FnOnce() -> T) -> Result<T, StoreError> {
        self.travel().await;
        let sky = self.weather.now();
        if sky.disk_unreadable || self.dice.chance(sky.read_fails) {
            return Err(StoreError::Failed("the disk could not be read".to_owned()));
        }
        Ok(read())
    }
}

#[async_trait]
impl Store for HostStore {
    async fn installation(&self) -> Result<Digest, StoreError> {
        self.read(|| self.disk.installation()).await
    }

    async fn accept(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError> {
        self.write(|| self.disk.accept(signals)).await
    }

    async fn signals(&self, filter: SignalFilter<'_>, limit: u32) -> Result<Vec<StoredSignal>, StoreError> {
        self.read(|| self.disk.signals(filter, limit)).await
    }

    async fn services_with_signals(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.read(|| self.disk.services_with_signals()).await
    }

    async fn erase(&self, reference: &BlobRef) -> Result<bool, StoreError> {
        self.write(|| Ok(self.disk.erase(reference))).await
    }

    async fn append(&self, append: Append) -> Result<Tip, StoreError> {
        let service = append.records.first().map(|record| record.service.clone());
        let written = self.write(|| self.disk.append(&append)).await;
        if service.is_some_and(|service| self.checker.is_at_such_a_moment(&service)) {
            self.life.may_end_at_a_moment().await;
        }
        written
    }

    async fn journal(&self, service: &ServiceName, from: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        if from == 0 {
            self.checker.journal_read(service);
        }
        self.read(|| self.disk.journal(service, from, limit)).await
    }

    async fn snapshot(&self, service: &ServiceName, length_max: u64) -> Result<Option<Snapshot>, StoreError> {
        self.read(|| self.disk.snapshot(service, length_max)).await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.write(|| {
            self.checker.snapshot_kept(&snapshot);
            self.disk.keep_snapshot(snapshot);
            Ok(())
        })
        .await
    }

    async fn timeline(&self, incident: &IncidentId) -> Result<Vec<Span>, StoreError> {
        self.read(|| self.disk.timeline(incident)).await
    }

    async fn changes(&self, service: &ServiceName, limit: u32) -> Result<Vec<ChangeLine>, StoreError> {
        self.read(|| self.disk.changes(service, limit)).await
    }

    async fn expired(&self, expired: Expired<'_>, limit: u32) -> Result<Vec<Use>, StoreError> {
        self.read(|| self.disk.expired(&expired, limit)).await
    }

    async fn uses(&self, content: Content) -> Result<u64, StoreError> {
        self.read(|| self.disk.uses(content)).await
    }

    async fn forget_signals(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.write(|| Ok(self.disk.forget_signals(before, limit))).await
    }

    async fn services(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.read(|| self.disk.services()).await
    }

    async fn sets(&self) -> Result<Vec<SetName>, StoreError> {
        self.read(|| self.disk.sets()).await
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|| self.disk.blob(reference)).await?
    }

    async fn incidents(
        &self,
        service: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<IncidentLine>, StoreError> {
        self.read(|| self.disk.incidents(service, limit)).await
    }

    async fn incident(&self, id: &IncidentId) -> Result<Option<IncidentLine>, StoreError> {
        self.read(|| self.disk.incident(id)).await
    }

    async fn forget_components(&self, spared: &[Digest]) -> Result<u64, StoreError> {
        self.write(|| Ok(self.disk.forget_components(spared))).await
    }

    async fn keep_component(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.write(|| Ok(self.disk.keep_component(bytes))).await
    }

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|| self.disk.component(digest)).await
    }

    async fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.write(|| self.disk.set_note(name, value)).await
    }

    async fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|| self.disk.note(name)).await
    }
}
