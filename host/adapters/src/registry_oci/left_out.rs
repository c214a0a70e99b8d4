//! OCI registries, in a build without the feature `oci`: where one is configured, that is said.

use ripcord_ports::Registry;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Registry as Port>::NAME, kind: "oci", feature: "oci" };
