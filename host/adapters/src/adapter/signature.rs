//! How systems sign their webhooks, each in a way of its own. Any of them goes with any alert source.

use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::alert_source::Delivery;

use crate::secret::Secret;

/// One system's way to sign a webhook with a secret that both sides know.
#[derive(Debug)]
pub struct Signature {
    /// As key of `auth` in the configuration.
    pub kind: &'static str,
    /// Whether the webhook carries its time, which is held against now.
    pub has_time: bool,
    /// Whether an access token may come with the signature, as `Authorization: Bearer …`.
    pub may_have_token: bool,
    /// What can be judged before the body is read: whether the headers are there, and how far their time is from now. The body is empty.
    pub check_headers: fn(&Delivery<'_>, UnixMillis, Millis) -> Result<(), Unsigned>,
    /// Whether who sent this knows the secret.
    pub authenticate: fn(&Delivery<'_>, &Secret) -> Result<(), Unsigned>,
}

/// Why a webhook is refused: one sentence, which says what to do.
pub type Unsigned = String;
