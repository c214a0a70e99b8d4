//! Salts of contents.

use ripcord_core::blob::Salt;

/// Drawn at random, for one content alone.
pub(crate) fn fresh_salt() -> Salt {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Salt(bytes)
}
