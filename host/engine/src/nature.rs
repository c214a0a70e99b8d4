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

/// Whether an artefact that could not be fetched is itself not there or not right. A registry that refuses a token for a while says nothing of it.
pub(crate) fn of_artefact_error(error: &PortError) -> FaultNature {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::WrongDigest | ErrorKind::TooLarge | ErrorKind::BadAnswer => {
            of_port_error(error)
        }
        _ => FaultNature::Environmental,
    }
}

/// Whether a deployer would meet the same with any other target: it cannot be reached, wants other rights, or the place takes nothing.
pub(crate) fn place_of_port_error(error: &PortError) -> FaultPlace {
    match error.kind {
        ErrorKind::Place | ErrorKind::Denied | ErrorKind::Unreachable => FaultPlace::Place,
        _ => FaultPlace::Target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A good version must not leave every plan because a token was being changed.
    #[test]
    fn only_what_is_wrong_with_the_artefact_itself_counts_against_it() {
        let nature = |kind| of_artefact_error(&PortError::not_applied(kind, "no"));
        for kind in [ErrorKind::NotFound, ErrorKind::WrongDigest, ErrorKind::TooLarge] {
            assert_eq!(nature(kind), FaultNature::Deterministic, "{kind:?}");
        }
        for kind in [
            ErrorKind::Denied,
            ErrorKind::Failed,
            ErrorKind::Unreachable,
            ErrorKind::Configuration,
            ErrorKind::Local,
        ] {
            assert_eq!(nature(kind), FaultNature::Environmental, "{kind:?}");
        }
    }
}
