//! SageMaker's endpoints in a build without the feature `aws`: where one is configured, that is said.

use ripcord_ports::Deployer;

use crate::adapter::{LeftOut, Port};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Deployer as Port>::NAME, kind: "sagemaker", feature: "aws" };
