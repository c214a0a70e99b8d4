//! Whether what failed would fail again.

use ripcord_core::event::{FaultNature, FaultPlace};
use ripcord_ports::{ErrorKind, PortError, Retry};
use ripcord_sandbox::{Fault, Nature};

/// Whether the same call would fault again.
pub(crate) fn of_fault(fault: &Fault) -> FaultNature {
    match fault.nature {
        Nature::Deterministic => FaultNature::Deterministic,
        Nature::Environmental => FaultNature::Environmental,
    }
}

/// Whether the same call may succeed later.
pub(crate) fn of_port_error(error: &PortError) -> FaultNature {
    match error.retry {
        Retry::No => FaultNature::Deterministic,
        Retry::Later | Retry::After(_) => FaultNature::Environmental,
    }
}

/// Whether a deployer would meet the same with any other target: it cannot be reached, wants other rights, or the place takes nothing.
pub(crate) fn place_of_port_error(error: &PortError) -> FaultPlace {
    match error.kind {
        ErrorKind::Place | ErrorKind::Denied | ErrorKind::Unreachable => FaultPlace::Place,
        _ => FaultPlace::Target,
    }
}
