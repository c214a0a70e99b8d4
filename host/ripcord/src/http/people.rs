//! Who asks: people by their token, and what each role may do.

use axum::http::{HeaderMap, header};
use ripcord_core::digest::Digest;
use ripcord_core::name::{PersonName, RoleName};
use ripcord_engine::Person;
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::config::ServiceConfig;
use crate::signers::Signer;
use crate::signers::ssh::Touch;

const CHALLENGE: &str = "Bearer realm=\"ripcord\"";

/// A configured person with their secrets read.
#[derive(Clone)]
pub struct KnownPerson {
    /// Name and roles.
    pub person: Person,
    /// Of the token: comparing digests tells nothing about the token's length.
    pub token: Option<Digest>,
    /// For approvals by signature.
    pub signers: Vec<Signer>,
}

impl std::fmt::Debug for KnownPerson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownPerson").field("person", &self.person).finish_non_exhaustive()
    }
}

/// Everyone who may ask.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// All of them.
    pub known: Vec<KnownPerson>,
    /// Whether a security key must have been touched for a vote.
    pub touch: Touch,
}

/// Roles whose people may do what with one service.
#[derive(Debug, Clone, Default)]
pub struct ServiceRights {
    /// Pull it, order what is made for it, and end that.
    pub pull: Vec<RoleName>,
    /// Vouch for what is live.
    pub adopt: Vec<RoleName>,
    /// Let come back what was condemned.
    pub lift: Vec<RoleName>,
}

impl ServiceRights {
    /// As configured.
    pub fn of(service: &ServiceConfig) -> Self {
        Self {
            pull: service.may_pull.clone(),
            adopt: service.may_adopt.clone(),
            lift: service.may_lift.clone(),
        }
    }
}

/// Whose word it takes, for people.
pub(super) fn takes(roles: &[RoleName]) -> String {
    match roles {
        [] => "no role may".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|role| format!("`{role}`")).collect();
            format!("it takes the role {}", names.join(" or "))
        }
    }
}

/// What is asked of a person's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read states, incidents and plans: everyone who is configured.
    Read,
    /// Pause, resume, abort, dismiss, answer: `operator`.
    Operate,
    /// Approve or refuse: `approver`, or a role that the plan at hand waits for.
    Vote,
    /// Lift holds, vouch for versions: `admin`.
    Administer,
}

impl Right {
    /// The role that has the right.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Read => "viewer",
            Self::Operate => "operator",
            Self::Vote => "approver",
            Self::Administer => "admin",
        }
    }
}

impl People {
    /// The person whose token the request carries.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<&KnownPerson, Problem> {
        let refused = |why: &str| {
            tracing::warn!(why, "a request to the API was refused");
            Problem::unauthorized(CHALLENGE, why)
        };
        if bearer(headers).is_none() {
            return Err(refused(
                "no token was given; send `Authorization: Bearer …` with the token of a configured person",
            ));
        }
        self.recognise(headers).ok_or_else(|| refused("the token is not that of a configured person"))
    }

    /// The same, where it is no fault to be nobody.
    pub(crate) fn recognise(&self, headers: &HeaderMap) -> Option<&KnownPerson> {
        let given = Digest::of(bearer(headers)?);
        let mut found = None;
        // All are compared, so that the time tells nothing about who it is.
        for known in &self.known {
            let same = known.token.is_some_and(|token| token.as_bytes().ct_eq(given.as_bytes()).into());
            if same {
                found = Some(known);
            }
        }
        found
    }

    /// The person of that name.
    pub fn named(&self, name: &PersonName) -> Option<&KnownPerson> {
        self.known.iter().find(|known| known.person.name == *name)
    }
}

/// The token of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then_some(token.trim())
}

/// Refuses a person who has neither the right's own role nor one of `also`.
pub fn require(person: &Person, right: Right, also: &[RoleName]) -> Result<(), Problem> {
    let own = right == Right::Read || person.roles.iter().any(|role| role.as_str() == right.role());
    if own || person.roles.iter().any(|role| also.contains(role)) {
        return Ok(());
    }
    let mut wanted = vec![format!("`{}`", right.role())];
    wanted.extend(also.iter().filter(|role| role.as_str() != right.role()).map(|role| format!("`{role}`")));
    Err(Problem::forbidden(format!(
        "`{}` does not have the role {}; someone who has must do this",
        person.name,
        wanted.join(" or ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        let known = |name: &str, token: &str, role: &str| KnownPerson {
            person: Person {
                name: PersonName::new(name).expect("name"),
                roles: vec![RoleName::new(role).expect("role")],
            },
            token: Some(Digest::of(token)),
            signers: Vec::new(),
        };
        let known = vec![known("ada", "one", "operator"), known("bob", "two", "approver")];
        People { known, touch: Touch::Required }
    }

    fn who(header: &str) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().expect("header"));
        people()
            .authenticate(&headers)
            .map(|known| known.person.name.to_string())
            .map_err(|problem| problem.status)
    }

    #[test]
    fn a_token_is_one_person_and_nothing_else_is() {
        assert_eq!(who("Bearer one"), Ok("ada".into()));
        assert_eq!(who("bearer two"), Ok("bob".into()));
        for wrong in ["Bearer on", "Bearer onee", "Bearer ", "Basic one", "one", "Bearer One"] {
            assert_eq!(who(wrong), Err(401), "{wrong}");
        }
        assert!(people().authenticate(&HeaderMap::new()).is_err());
    }

    #[test]
    fn roles_are_what_they_say() {
        let people = people();
        let (ada, bob) = (&people.known[0].person, &people.known[1].person);
        assert!(require(ada, Right::Read, &[]).is_ok() && require(ada, Right::Operate, &[]).is_ok());
        assert!(require(ada, Right::Vote, &[]).is_err() && require(bob, Right::Operate, &[]).is_err());
        assert!(require(ada, Right::Vote, &[RoleName::operator()]).is_ok());
        let problem = require(bob, Right::Administer, &[RoleName::operator()]).expect_err("refused");
        assert_eq!(
            problem.detail,
            "`bob` does not have the role `admin` or `operator`; someone who has must do this"
        );
    }
}
