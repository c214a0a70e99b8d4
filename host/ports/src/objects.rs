//! Where evidence is kept.

use async_trait::async_trait;
use ripcord_core::digest::Digest;

use crate::error::PortError;

/// Content by its digest. What is there is never changed.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Keeps each of `all`; what is kept is on disk when this returns. The outer error says that nothing is known of any. Doing it twice is harmless.
    async fn put(&self, all: Vec<Vec<u8>>) -> Result<Vec<Result<Digest, PortError>>, PortError>;

    /// What was kept, checked against its digest; none if there is no such object.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError>;

    /// Removes an object for good. Doing it twice, or where there is none, is harmless.
    async fn remove(&self, digest: &Digest) -> Result<(), PortError>;
}
