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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_is_a_policy_of_its_own_name() {
        assert!(!all().is_empty());
        let examiner = ripcord_sandbox::Examiner::ThisProcess;
        let config = ripcord_sandbox::SandboxConfig::new(examiner);
        let sandbox = ripcord_sandbox::Sandbox::new(config).expect("sandbox");
        for starter in all() {
            let policy = sandbox.load_embedded(starter.bytes).expect("loads");
            let reference = policy.reference();
            assert_eq!(
                (reference.name.as_str(), reference.version.as_str()),
                (starter.name, starter.version)
            );
            assert_eq!(named(starter.name).map(|found| found.bytes.len()), Some(starter.bytes.len()));
        }
        assert!(named("no-such-policy").is_none());
    }
}
