//! How a set is reached while its driver runs.

use std::sync::Arc;

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::set::{Set, SetEvent, SetIllegal};
use ripcord_ports::store::{NewBlob, StoreError, Use};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::salt::fresh_salt;
use crate::setup::SetSetup;

/// One event and what it refers to.
#[derive(Debug)]
pub(crate) struct SetBatch {
    pub(crate) event: SetEvent,
    pub(crate) blobs: Vec<NewBlob>,
    /// Content that is of no more use to the records that were before.
    pub(crate) over: Vec<Use>,
}

impl SetBatch {
    pub(crate) fn of(event: SetEvent) -> Self {
        Self { event, blobs: Vec::new(), over: Vec::new() }
    }

    /// An event with one content.
    pub(crate) fn about(kind: BlobKind, content: Vec<u8>, event: impl FnOnce(BlobRef) -> SetEvent) -> Self {
        let blob = NewBlob::new(kind, fresh_salt(), content);
        Self { blobs: vec![blob.clone()], ..Self::of(event(blob.reference)) }
    }
}

/// Why an append was not made. Nothing has changed, and nothing of it is done later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetAppendError {
    #[error(transparent)]
    Illegal(#[from] SetIllegal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the host is stopping")]
    Stopping,
}

pub(crate) type SetReply = Result<Arc<Set>, SetAppendError>;

/// What the driver of a set is told.
#[derive(Debug)]
pub(crate) enum SetMessage {
    /// Done while someone waits for the answer, or not at all.
    Append(SetBatch, oneshot::Sender<SetReply>),
    /// End.
    Stop,
}

/// What reaches the driver of a set.
#[derive(Debug)]
pub(crate) struct SetInbox {
    pub(crate) messages: mpsc::Receiver<SetMessage>,
    /// A member's journal has moved on.
    pub(crate) bell: Arc<Notify>,
}

/// To the driver of one set.
pub(crate) struct SetDoor {
    pub(crate) setup: Arc<SetSetup>,
    pub(crate) mailbox: mpsc::Sender<SetMessage>,
    pub(crate) state: watch::Receiver<Arc<Set>>,
}

impl SetDoor {
    /// Appends what a person wants, through the driver.
    pub(crate) async fn append(&self, batch: SetBatch) -> SetReply {
        let (reply, answer) = oneshot::channel();
        let message = SetMessage::Append(batch, reply);
        self.mailbox.send(message).await.map_err(|_| SetAppendError::Stopping)?;
        answer.await.map_err(|_| SetAppendError::Stopping)?
    }
}
