//! Changes that count when they were read back.

use ripcord_ports::{Applied, ErrorKind, PortError};

/// What came of a change, by reading it back: an answer alone proves nothing, and neither does a missing one. `system` is who answered, `what` the end of a
/// sentence that names what was changed.
pub(crate) async fn settled(
    system: &str,
    changed: Result<(), PortError>,
    what: &str,
    is_so: impl Future<Output = Result<bool, PortError>>,
) -> Result<(), PortError> {
    let error = match changed {
        Err(error) if error.applied == Applied::No => return Err(error),
        Err(error) => Some(error),
        Ok(()) => None,
    };
    match (is_so.await, error) {
        (Ok(true), _) => Ok(()),
        (Ok(false), None) => Err(PortError::unknown(
            ErrorKind::Failed,
            format!(
                "{system} answered that {what} was changed, and it reads as before: check for a cache or a read-only proxy before the server"
            ),
        )),
        (Ok(false), Some(error)) => Err(error),
        (Err(unread), None) => Err(PortError::unknown(
            unread.kind,
            format!("{system} answered that {what} was changed, and it could not be read back: {unread}"),
        )
        .retry(unread.retry)),
        (Err(_), Some(error)) => Err(error),
    }
}
