//! Reads: a few connections, each used by one caller at a time, on threads that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ripcord_ports::store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::Fault;
use crate::file;

/// Connections are opened when first needed and kept.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// At most `count` at a time.
    pub(crate) fn new(path: PathBuf, count: usize) -> Self {
        Self { path, permits: Arc::new(Semaphore::new(count.max(1))), idle: Arc::default() }
    }

    /// Runs `work` on a connection that cannot write.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::Unusable("it is closed, because the host is shutting down".into());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let (idle, permits, path) = (Arc::clone(&self.idle), Arc::clone(&self.permits), self.path.clone());
        let reading = tokio::task::spawn_blocking(move || -> Result<T, Fault> {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => file::reading(&path)?,
            };
            let outcome = work(&connection);
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            // Once closed, nobody would take it out again.
            if !permits.is_closed() {
                idle.push(connection);
            }
            drop(permit);
            outcome
        });
        let outcome =
            reading.await.map_err(|error| StoreError::Failed(format!("a read broke off: {error}")))?;
        Ok(outcome?)
    }

    /// Refuses further reads; those under way end by themselves.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
