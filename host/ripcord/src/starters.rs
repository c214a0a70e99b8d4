//! The starter policies, built by `build.rs` and embedded: most teams only configure.

/// A policy that is part of this program.
#[derive(Clone, Copy)]
pub struct Starter {
    /// Name of the policy, as its manifest says.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

impl std::fmt::Debug for Starter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Starter({}@{}, {} bytes)", self.name, self.version, self.bytes.len())
    }
}

mod embedded {
    use super::Starter;

    include!(concat!(env!("OUT_DIR"), "/starters.rs"));
}

/// All of them, by name.
pub fn all() -> &'static [Starter] {
    embedded::EMBEDDED
}

/// The names of all of them.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|starter| starter.name).collect()
}

/// The one of that name.
pub fn named(name: &str) -> Option<Starter> {
    all().iter().copied().find(|starter| starter.name == name)
}
