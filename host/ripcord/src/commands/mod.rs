//! What the host's own commands do.

pub mod check;
pub mod init;
pub mod serve;
