//! Seldon Core in a build without the feature `kubernetes`: where it is configured, that is said.

use ripcord_ports::Deployer;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Deployer as Port>::NAME, kind: "seldon", feature: "kubernetes" };
