//! A run that makes a version, from outside: it goes on whatever becomes of the host.

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    GoesOn,
    /// It has registered this version.
    Made(String),
    /// It has ended without one.
    Failed,
    /// The system knows nothing of it any more.
    Lost,
}
