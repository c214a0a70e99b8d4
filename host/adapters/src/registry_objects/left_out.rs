//! Registries in object stores, in a build without the feature `s3`: where one is configured, that is said.

use ripcord_ports::Registry;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Registry as Port>::NAME, kind: "objects", feature: "s3" };
