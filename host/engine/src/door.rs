//! How services and sets are reached while their drivers run.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::service::Service;
use tokio::sync::{Notify, watch};

use crate::mailbox::Mailbox;
use crate::sets::SetDoor;
use crate::setup::ServiceSetup;

/// To one driver.
pub(crate) struct Door {
    pub(crate) setup: Arc<ServiceSetup>,
    pub(crate) mailbox: Mailbox,
    /// Rung when the intake has something. However often it is rung before the driver looks, it looks once, and never too little.
    pub(crate) bell: Arc<Notify>,
    pub(crate) state: watch::Receiver<Arc<Service>>,
}

/// To all of them.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) services: Arc<BTreeMap<ServiceName, Door>>,
    pub(crate) sets: Arc<BTreeMap<SetName, SetDoor>>,
}
