//! The model registry of Vertex AI, in a build without the feature `google`: where it is configured, that is said.

use ripcord_ports::Registry;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Registry as Port>::NAME, kind: "vertex", feature: "google" };
