//! An address with places for the run's names.

use reqwest::Url;
use ripcord_core::digest::Digest;
use ripcord_ports::{ErrorKind, PortError};

use crate::http;
use crate::restoring::wrong;

const KEY: &str = "{key}";
const RUN: &str = "{run}";
const RUN_CHARS_MAX: usize = 200;

#[derive(Debug, Clone)]
pub(super) struct Address {
    template: String,
    /// With something in its places.
    example: Url,
}

impl Address {
    /// `name` is the setting.
    pub(super) fn new(name: &str, template: &str) -> Result<Self, PortError> {
        let example = http::page(&template.replace(KEY, "key").replace(RUN, "run"))?;
        if !example.username().is_empty() || example.password().is_some() {
            return Err(wrong(format!(
                "`{name}` holds a user or a password: write `user`, and the password into a file"
            )));
        }
        Ok(Self { template: template.to_owned(), example })
    }

    pub(super) fn wants_key(&self) -> bool {
        self.template.contains(KEY)
    }

    pub(super) fn wants_run(&self) -> bool {
        self.template.contains(RUN)
    }

    pub(super) fn origin(&self) -> reqwest::Url {
        let mut origin = self.example.clone();
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        origin
    }

    /// Refuses one of which people see a part only.
    pub(super) fn is_shown_whole(&self, name: &str) -> Result<(), PortError> {
        http::is_shown_whole(name, &self.example)
    }

    /// For people; a query may hold secrets.
    pub(super) fn shown(&self) -> String {
        self.template.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    /// Only compared: two are the same text where they are one address, their queries among it. None of a query is in it.
    pub(super) fn compared(&self) -> String {
        format!("{} (sha256 {})", self.shown(), Digest::of(&self.template))
    }

    /// The address of a run; none where it wants a name that nobody knows. A name cannot leave its place.
    pub(super) fn of(&self, key: &str, run: Option<&str>) -> Result<Option<Url>, PortError> {
        let run = match run {
            None if self.wants_run() => return Ok(None),
            None => String::new(),
            Some(run)
                if run.is_empty()
                    || run.chars().count() > RUN_CHARS_MAX
                    || run.bytes().all(|byte| byte == b'.') =>
            {
                let text = format!("the pipeline calls the run `{}`, which is no name", run.escape_debug());
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
            Some(run) => escaped(run),
        };
        http::page(&self.template.replace(KEY, &escaped(key)).replace(RUN, &run)).map(Some)
    }
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_place() {
        let address = Address::new("status", "http://127.0.0.1:1/runs/{run}/state?of={key}").unwrap();
        let at = |run: &str| address.of("k-1", Some(run)).unwrap().unwrap().to_string();
        assert_eq!(at("a-1"), "http://127.0.0.1:1/runs/a-1/state?of=k-1");
        assert_eq!(at("../a?b#c é"), "http://127.0.0.1:1/runs/..%2Fa%3Fb%23c%20%C3%A9/state?of=k-1");
        assert!(address.of("k-1", None).unwrap().is_none());
        for run in ["", ".", "..", &"x".repeat(201)] {
            assert!(address.of("k-1", Some(run)).is_err(), "{run}");
        }
        assert_eq!(address.shown(), "http://127.0.0.1:1/runs/{run}/state");
        assert!(Address::new("status", "http://user:pw@127.0.0.1/").is_err());
    }
}
