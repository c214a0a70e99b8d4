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
    fn an_incident_names_its_service() {
        let service = ServiceName::new("eu:fraud").expect("valid");
        assert_eq!(IncidentId::numbered(&service, 7).service(), Some(service));
    }
}
