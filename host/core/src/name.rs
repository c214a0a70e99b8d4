//! Names with a checked form, so that they can stand in paths, URLs and labels as they are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a {what}: use 1 to {max} of the characters a-z A-Z 0-9 . _ - + : @, starting with a letter or digit"
)]
pub struct InvalidName {
    what: &'static str,
    max: usize,
    text: String,
}

fn check(what: &'static str, max: usize, text: &str) -> Result<(), InvalidName> {
    let ok = (1..=max).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+:@".contains(&b))
        && !text.contains("..");
    if ok { Ok(()) } else { Err(InvalidName { what, max, text: text.chars().take(200).collect() }) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                check($what, $max, &text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of a protected service, unique within an installation.
    ServiceName, "service name", 100;
    /// The name of a policy, as its manifest says.
    PolicyName, "policy name", 100;
    /// The name of a version, as its registry says, or of another facet's revision, as its history says.
    VersionName, "version", 200;
    /// The name of one of a service's configurations.
    ConfigurationName, "configuration name", 100;
    /// The name under which a person is configured.
    PersonName, "person", 100;
    /// A role that people have: viewer, operator, approver, evidence, auditor, admin, or a team's own.
    RoleName, "role", 60;
    /// The configured name of an alert source.
    SourceName, "source name", 100;
    /// Identifies one stored signal.
    SignalId, "signal id", 100;
    /// Identifies one incident: the service's name, `:`, and its number.
    IncidentId, "incident id", 130;
    /// The name of a set of services that move together, unique within an installation.
    SetName, "set name", 90;
    /// Identifies one run of a set: `set:`, the set's name, `:`, and its number.
    SetId, "set run", 130;
}

/// How the key of a set's journal begins. No service has a name that begins so.
const SET: &str = "set:";

impl ServiceName {
    /// The set whose journal has this key; none where it is the name of a service.
    pub fn as_set(&self) -> Option<SetName> {
        SetName::new(self.0.strip_prefix(SET)?).ok()
    }

    /// Whether no service may have this name, since it is taken for the key of a set's journal.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(SET)
    }
}

impl SetName {
    /// The key of its journal, beside those of services.
    pub fn journal(&self) -> ServiceName {
        ServiceName(format!("{SET}{}", self.0))
    }
}

impl SetId {
    /// The id of the `number`th run of `set`.
    pub fn numbered(set: &SetName, number: u32) -> Self {
        Self(format!("{SET}{set}:{number}"))
    }

    /// The set that the id names.
    pub fn set(&self) -> Option<SetName> {
        self.number()?;
        SetName::new(self.0.strip_prefix(SET)?.rsplit_once(':')?.0).ok()
    }

    /// Which of the set's runs it is, from one.
    pub fn number(&self) -> Option<u32> {
        self.0.strip_prefix(SET)?.rsplit_once(':')?.1.parse().ok()
    }

    /// As plans, votes and messages name it.
    pub fn as_incident(&self) -> IncidentId {
        IncidentId(self.0.clone())
    }
}

impl RoleName {
    /// The role whose people approve where nothing else is configured.
    pub fn approver() -> Self {
        Self("approver".to_owned())
    }

    /// The role whose people look into incidents.
    pub fn evidence() -> Self {
        Self("evidence".to_owned())
    }

    /// The role whose people review what was decided.
    pub fn auditor() -> Self {
        Self("auditor".to_owned())
    }

    /// The role whose people pull and pause.
    pub fn operator() -> Self {
        Self("operator".to_owned())
    }

    /// The role whose people vouch for versions and lift holds.
    pub fn admin() -> Self {
        Self("admin".to_owned())
    }
}

impl IncidentId {
    /// The id of the `number`th incident of `service`.
    pub fn numbered(service: &ServiceName, number: u32) -> Self {
        Self(format!("{service}:{number}"))
    }

    /// The service that the id names.
    pub fn service(&self) -> Option<ServiceName> {
        self.number()?;
        ServiceName::new(self.0.rsplit_once(':')?.0).ok()
    }

    /// Which of the service's incidents it is, from one.
    pub fn number(&self) -> Option<u32> {
        self.0.rsplit_once(':')?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in ["", ".hidden", "../up", "a/b", "a..b", "a b", "ä", &"x".repeat(101)] {
            assert!(ServiceName::new(text).is_err(), "{text}");
        }
        assert!(ServiceName::new("fraud-api").is_ok());
        assert!(VersionName::new("1.3.2+build.7").is_ok());
    }

    #[test]
    fn a_run_names_its_set_and_no_service_has_the_key_of_a_set() {
        let set = SetName::new("eu:fraud").expect("valid");
        let run = SetId::numbered(&set, 7);
        assert_eq!(run.as_str(), "set:eu:fraud:7");
        assert_eq!((run.set(), run.number()), (Some(set.clone()), Some(7)));
        assert_eq!(set.journal().as_set(), Some(set.clone()));
        assert_eq!(run.as_incident().service(), Some(set.journal()));
        assert!(set.journal().is_reserved());
        let service = ServiceName::new("settlement").expect("valid");
        assert!(!service.is_reserved() && service.as_set().is_none());
        assert!(SetId::new("fraud:7").expect("a name").set().is_none(), "an incident is no run");
        // The longest name still has a key.
        let longest = SetName::new("x".repeat(90)).expect("valid");
        assert!(ServiceName::new(longest.journal().as_str()).is_ok());
        assert!(SetId::new(SetId::numbered(&longest, u32::MAX).as_str()).is_ok());
    }

    #[test]
    fn an_incident_names_its_service() {
        let service = ServiceName::new("eu:fraud").expect("valid");
        assert_eq!(IncidentId::numbered(&service, 7).service(), Some(service));
    }
}
