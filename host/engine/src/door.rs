//! How a service is reached while its driver runs.

use std::sync::Arc;

use ripcord_core::service::Service;
use tokio::sync::{Notify, watch};

use crate::mailbox::Mailbox;
use crate::setup::ServiceSetup;

/// To one driver.
pub(crate) struct Door {
    pub(crate) setup: Arc<ServiceSetup>,
    pub(crate) mailbox: Mailbox,
    /// Rung when the intake has something. However often it is rung before the driver looks, it looks once, and never too little.
    pub(crate) bell: Arc<Notify>,
    pub(crate) state: watch::Receiver<Arc<Service>>,
}
