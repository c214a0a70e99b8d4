//! What restorers share: how a service is told to take a revision over, what it says that it works with, and what follows from both.

mod owed;
mod read_back;
mod reload;

use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::facet::FacetState;
use ripcord_core::foreign::Foreign;
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::Probe;
use ripcord_ports::restorer::{HistoryEntry, RestoreOrder};
use ripcord_ports::{ErrorKind, PortError, Restorer};

use crate::adapter::Making;
use crate::http::on_one_line;
use crate::secret::Secret;

pub(crate) use owed::ReloadOwed;
pub(crate) use read_back::{ReadBack, Told, check_pointer};
pub use read_back::{ReadBackConfig, Tells};
pub(crate) use reload::{Reload, ReloadFor};
pub use reload::{ReloadConfig, ReloadSignal};

/// The largest content of a revision: it is a configuration and no model.
pub(crate) const CONTENT_BYTES_MAX: u64 = 1 << 20;
/// Of what others say of a revision.
const SUMMARY_CHARS_MAX: usize = 200;

/// What a restorer's calls carry.
#[derive(Debug, Clone, Default)]
pub struct RestorerSecrets {
    /// For the place where revisions are kept: a bearer token, or the password of `user` where there is one.
    pub store: Option<Secret>,
    /// For the service itself, by `reload.post` and `read-back`: a bearer token.
    pub service: Option<Secret>,
}

impl RestorerSecrets {
    pub(crate) fn of(making: &Making<'_, dyn Restorer>) -> Self {
        Self { store: making.secret.clone(), service: making.with.clone() }
    }
}

/// The strongest proof that a read-back always gives; without one what is stored is believed.
pub(crate) fn proof_of(read_back: Option<&ReadBackConfig>) -> Proof {
    match read_back.map(|said| said.tells) {
        Some(Tells::Digest) => Proof::Digest,
        Some(Tells::Revision | Tells::Value) => Proof::Answer,
        None => Proof::ControlPlane,
    }
}

/// The request of a restorer for a revision and the digest of its content.
pub(crate) fn request(
    adapter: &str,
    words: &str,
    (revision, digest): (&VersionName, Option<Digest>),
    reload: &Reload,
) -> Request {
    let request = Request::new(adapter, words)
        .with("revision", revision.to_string())
        .with("digest", digest.map(|digest| digest.to_string()).unwrap_or_default());
    reload.in_request(request)
}

/// What was seen of a facet.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What the service works with, as far as can be told.
    pub(crate) in_force: FacetState<String>,
    /// Which revision is stored.
    pub(crate) stored: Option<VersionName>,
    /// Which revision the service was to be told of and may not have been.
    pub(crate) owed: Option<VersionName>,
}

impl Seen {
    fn has_in_force(&self, order: &RestoreOrder) -> bool {
        self.in_force.known().is_some_and(|known| known.is(&order.revision, order.digest))
    }

    /// Refuses an order that expects something else to be in force than what is. One that was interrupted may go on.
    pub(crate) fn expected_by(&self, order: &RestoreOrder) -> Result<(), PortError> {
        let Some(expecting) = &order.expecting else { return Ok(()) };
        let interrupted = self.owed.as_ref() == Some(&order.revision);
        let found = match &self.in_force {
            FacetState::InForce(found) if found.revision == *expecting => return Ok(()),
            _ if interrupted || self.has_in_force(order) => return Ok(()),
            FacetState::InForce(found) => format!("`{}` is", found.revision),
            FacetState::Unknown(why) => format!("that cannot be told: {why}"),
        };
        Err(PortError::not_applied(
            ErrorKind::Conflict,
            format!("`{expecting}` was expected to be in force, and {found}; nothing was changed"),
        ))
    }

    /// What became of an interrupted order.
    pub(crate) fn of_interrupted(&self, order: &RestoreOrder, reload: &Reload) -> Probe {
        if self.has_in_force(order) {
            return Probe::Applied;
        }
        if self.stored.as_ref() != Some(&order.revision) || self.owed.is_some() {
            return Probe::NotApplied;
        }
        if reload.is_watched() {
            return Probe::Underway(reload.under_way(&order.revision));
        }
        match &self.in_force {
            // Storing it again changes nothing, and telling the service again is harmless.
            FacetState::InForce(_) => Probe::NotApplied,
            FacetState::Unknown(why) => Probe::CannotTell(format!(
                "`{}` is stored, and what is in force is unknown: {why}",
                order.revision
            )),
        }
    }
}

/// Refuses to restore what is broken, and content with another digest than ordered.
pub(crate) fn restorable(
    entry: &HistoryEntry,
    content: &[u8],
    expecting: Option<Digest>,
) -> Result<(), PortError> {
    if let Some(why) = &entry.broken {
        let text = format!("`{}` cannot be restored: {why}", entry.revision);
        return Err(PortError::not_applied(ErrorKind::Failed, text).retry(ripcord_ports::Retry::No));
    }
    of_digest(&entry.revision, content, expecting)
}

/// Refuses content with another digest than expected.
pub(crate) fn of_digest(
    revision: &VersionName,
    content: &[u8],
    expecting: Option<Digest>,
) -> Result<(), PortError> {
    let found = Digest::of(content);
    match expecting {
        Some(wanted) if wanted != found => Err(PortError::not_applied(
            ErrorKind::WrongDigest,
            format!(
                "the content of `{revision}` has the digest {found} and not {wanted}: it was changed since it was chosen"
            ),
        )),
        _ => Ok(()),
    }
}

/// A system that has no such revision.
pub(crate) fn no_revision(revision: &VersionName, place: &str) -> PortError {
    PortError::not_applied(ErrorKind::NotFound, format!("there is no revision `{revision}` in {place}"))
}

/// What others say of a revision, on one line.
pub(crate) fn summary(text: &str) -> String {
    Foreign::new(&on_one_line(text)).at_most(SUMMARY_CHARS_MAX).to_string()
}

/// Ends what does not end by itself. Whether it had its effect is then unknown.
pub(crate) async fn within<T>(
    deadline: Millis,
    what: &str,
    work: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    match tokio::time::timeout(Duration::from_millis(deadline.0), work).await {
        Ok(ended) => ended,
        Err(_) => {
            Err(PortError::unknown(ErrorKind::TimedOut, format!("{what} did not end within {deadline}")))
        }
    }
}

/// An error of what follows once a revision is stored.
pub(crate) fn not_taken_over(revision: &VersionName, error: &PortError) -> PortError {
    PortError::unknown(
        error.kind,
        format!("`{revision}` is stored, and the service may not have taken it over: {error}"),
    )
    .retry(error.retry)
}

pub(crate) fn wrong(why: impl Into<String>) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, why)
}
