//! Arguments with placeholders, and the folders that they name.

use cap_std::fs::Dir;
use ripcord_core::request::Hole;
use ripcord_ports::{ErrorKind, PortError};

/// One argument: literal text and placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Placeholder(String),
}

impl Piece {
    /// As it is written in a configuration.
    pub(super) fn as_configured(&self) -> String {
        match self {
            Self::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Self::Placeholder(name) => format!("{{{name}}}"),
        }
    }

    /// Whether it stands for this value.
    pub(super) fn is_placeholder(&self, wanted: &str) -> bool {
        matches!(self, Self::Placeholder(name) if name == wanted)
    }

    /// What of a plan's request is known when the program is run, and not before.
    pub(super) fn hole(&self) -> Option<Hole> {
        match self {
            Self::Text(_) => None,
            Self::Placeholder(name) => match name.as_str() {
                "key" => Some(Hole::Key),
                "incident" => Some(Hole::Incident),
                "plan" => Some(Hole::Plan),
                "expecting" => Some(Hole::Expected),
                "staged" => Some(Hole::Staged),
                _ => None,
            },
        }
    }
}

/// The parts of an argument; the error is the end of a sentence that begins with the vector's key.
pub(super) fn pieces(argument: &str, known: &[&str]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut left = argument;
    while let Some(at) = left.find(['{', '}']) {
        text.push_str(&left[..at]);
        left = &left[at..];
        if let Some(rest) = left.strip_prefix("{{").or_else(|| left.strip_prefix("}}")) {
            text.push_str(&left[..1]);
            left = rest;
            continue;
        }
        let name = left.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((name, rest)) = name.filter(|(name, _)| known.contains(name)) else {
            let known: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
            return Err(format!(
                "has the argument `{argument}` with an unknown placeholder: it may use {}; write `{{{{` for a brace",
                known.join(", ")
            ));
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Placeholder(name.to_owned()));
        left = rest;
    }
    text.push_str(left);
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Where an opened folder is, so that a program can be told.
#[cfg(target_os = "linux")]
pub(crate) fn path_of(dir: &Dir) -> Result<String, PortError> {
    use std::os::fd::{AsFd, AsRawFd};
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let path = rustix::fs::readlinkat(rustix::fs::CWD, &link, Vec::new())
        .ok()
        .and_then(|path| path.into_string().ok())
        .filter(|path| path.starts_with('/') && !path.ends_with(" (deleted)"));
    path.ok_or_else(|| {
        PortError::not_applied(
            ErrorKind::Local,
            "the path of the folder for the artefact cannot be told: is it still there?",
        )
    })
}

/// Where an opened folder is, so that a program can be told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn path_of(dir: &Dir) -> Result<String, PortError> {
    let path = rustix::fs::getpath(dir).ok().and_then(|path| path.into_string().ok());
    path.ok_or_else(|| {
        PortError::not_applied(ErrorKind::Local, "the path of the folder for the artefact cannot be told")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_placeholders_are_refused() {
        for argument in ["{nope}", "{", "}", "a{version", "{ version }"] {
            let error = pieces(argument, &["version"]).unwrap_err();
            assert!(error.contains("`{version}`"), "{error}");
        }
    }

    #[test]
    fn the_path_of_an_opened_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let dir = crate::folder::open(folder.path()).unwrap();
        assert_eq!(path_of(&dir).unwrap(), folder.path().canonicalize().unwrap().to_str().unwrap());
        drop(folder);
        assert!(path_of(&dir).is_err());
    }
}
