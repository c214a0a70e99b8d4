//! The model registry of Azure Machine Learning, in a build without the feature `azure`: where it is configured, that is said.

use ripcord_ports::Registry;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Registry as Port>::NAME, kind: "azureml", feature: "azure" };
