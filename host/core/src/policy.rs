//! What a policy is to the host: its manifest, its reference in records, the roles it fills.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fact::FactKind;
use crate::name::PolicyName;

/// The questions that policies answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Is this a reason to roll back?
    Trigger,
    /// With what strategy, to which targets?
    Planner,
    /// Who must agree, and is it enough now?
    Approval,
    /// Is the service well again?
    Verification,
}

impl Role {
    /// All, in the order of an incident.
    pub const ALL: [Self; 4] = [Self::Trigger, Self::Planner, Self::Approval, Self::Verification];

    /// The name that contract and configuration use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Planner => "planner",
            Self::Approval => "approval",
            Self::Verification => "verification",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which policy, exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyRef {
    /// As its manifest says.
    pub name: PolicyName,
    /// Semantic version, as its manifest says.
    pub version: String,
    /// Of the component's bytes.
    pub digest: Digest,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// What a signature of a component is given over: a domain tag, a zero byte, the 32 bytes of the digest.
pub fn component_signed_bytes(component: &Digest) -> Vec<u8> {
    [b"ripcord policy 1\0".as_slice(), component.as_bytes()].concat()
}

/// What one role of a policy may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The kinds of facts.
    pub may_request: Vec<FactKind>,
}

/// What a policy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Unique among a host's policies.
    pub name: PolicyName,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema (2020-12) of its settings.
    pub settings_schema: String,
    /// Per role; a role that is not listed may ask for nothing.
    pub grants: Vec<Grant>,
}

impl Manifest {
    /// The kinds of facts that `role` declares.
    pub fn may_request(&self, role: Role) -> &[FactKind] {
        self.grants.iter().find(|grant| grant.role == role).map_or(&[], |grant| &grant.may_request)
    }
}
