//! How people and running effects reach the driver of a service, which alone writes its journal.

use std::sync::Arc;

use ripcord_core::service::{Illegal, Service};
use ripcord_ports::store::StoreError;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::batch::Batch;

pub(crate) type AppendReply = Result<Arc<Service>, AppendError>;

/// Why an append was not made. Nothing has changed, and nothing of it is done later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the host is stopping")]
    Stopping,
}

/// What a driver is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// What someone wants to happen: done while they wait for the answer, or not at all.
    Append(Batch, oneshot::Sender<AppendReply>),
    /// What a running effect has found out: kept until it can be written.
    Record(Batch, oneshot::Sender<AppendReply>),
    /// Finish shifts in flight, then end.
    Stop,
}

/// What reaches a driver.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// In order; whoever sends one waits for a place.
    pub(crate) messages: mpsc::Receiver<Message>,
    /// The intake has something for this service.
    pub(crate) bell: Arc<Notify>,
}

/// Where messages to a driver go.
pub(crate) type Mailbox = mpsc::Sender<Message>;

/// Appends what a person or a running effect wants, through the driver. A store that takes no writes is an error at once.
pub(crate) async fn append(mailbox: &Mailbox, batch: Batch) -> AppendReply {
    send(mailbox, |reply| Message::Append(batch, reply)).await
}

/// Appends what a running effect has found out, through the driver, as soon as the store takes writes.
pub(crate) async fn record(mailbox: &Mailbox, batch: Batch) -> AppendReply {
    send(mailbox, |reply| Message::Record(batch, reply)).await
}

async fn send(
    mailbox: &Mailbox,
    message: impl FnOnce(oneshot::Sender<AppendReply>) -> Message,
) -> AppendReply {
    let (reply, answer) = oneshot::channel();
    mailbox.send(message(reply)).await.map_err(|_| AppendError::Stopping)?;
    answer.await.map_err(|_| AppendError::Stopping)?
}
