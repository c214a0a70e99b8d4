//! What registries that are asked over HTTP share: the defaults of their settings, and how the production name is moved.

use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError, Registry};

use crate::settled::settled;

/// Of their settings.
pub(crate) mod defaults {
    /// Milliseconds for one call.
    pub(crate) fn deadline_ms() -> u64 {
        crate::http::DEADLINE_DEFAULT.0
    }

    /// Milliseconds for which a call that failed is tried again.
    pub(crate) fn patience_ms() -> u64 {
        20_000
    }

    /// Versions that are described at most.
    pub(crate) fn versions_max() -> u32 {
        100
    }

    /// Bytes of the largest artefact: 64 GiB.
    pub(crate) fn artefact_bytes_max() -> u64 {
        64 << 30
    }
}

/// Moves the production name to `version` by `change`, if it is at what is expected, and reads it back. `system` is who answers, `what` the name as people
/// know it: the middle of a sentence.
pub(crate) async fn move_name(
    registry: &dyn Registry,
    (system, what): (&str, &str),
    (version, expecting): (&VersionName, Option<&VersionName>),
    change: impl Future<Output = Result<(), PortError>> + Send,
) -> Result<(), PortError> {
    let now = registry.promoted().await?;
    if now.as_ref() == Some(version) {
        return Ok(());
    }
    if now.as_ref() != expecting {
        let shown =
            |at: Option<&VersionName>| at.map_or("nothing".to_owned(), |at| format!("version `{at}`"));
        let text = format!(
            "{what} points at {} where {} was expected: someone else moved it, and it was left there",
            shown(now.as_ref()),
            shown(expecting)
        );
        return Err(PortError::not_applied(ErrorKind::Conflict, text));
    }
    let changed = change.await;
    settled(system, changed, what, async { Ok(registry.promoted().await?.as_ref() == Some(version)) }).await
}
