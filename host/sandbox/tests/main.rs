//! The sandbox, on components that the tests make.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod good;
mod hostile;
mod kit;
mod load;
mod replay;
mod untrusted;
mod words;
