//! The hosts that a person has logged in at: one file in the folder of their own configuration, which nobody else may read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use reqwest::Url;
use ripcord_adapters::Secret;
use ripcord_core::digest::Digest;
use ripcord_core::name::PersonName;
use serde::{Deserialize, Serialize};

use crate::output::{Exit, Failure};

const FOLDER: &str = "ripcord";
const FILE: &str = "contexts.toml";
const NAME_CHARS_MAX: usize = 64;

/// What `ripcord login` writes, and commands read that name no configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Contexts {
    /// Which one is meant where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A host, and who the person is there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Context {
    /// Its address.
    pub(crate) host: String,
    /// Who the token is.
    pub(crate) person: PersonName,
    /// Which installation answered when the person logged in: no plan of another one is shown or signed.
    pub(crate) installation: Digest,
    token: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} at {})", self.person, self.host)
    }
}

impl Context {
    pub(crate) fn new(host: String, person: PersonName, installation: Digest, token: &Secret) -> Self {
        Self { host, person, installation, token: token.expose().to_owned() }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Contexts {
    /// Reads the person's file; there are none where there is no file.
    pub(crate) fn load() -> Result<Self, Failure> {
        let Some(path) = file().filter(|path| path.symlink_metadata().is_ok()) else {
            return Ok(Self::default());
        };
        let text = Secret::from_file(&path).map_err(|error| Failure::of(Exit::Usage, error))?;
        toml::from_str(text.expose()).map_err(|error| {
            // The parser's own text repeats the line, which may hold a token.
            Failure::usage(format!("`{}` cannot be read: {}", path.display(), error.message()))
                .help("correct it, or remove it and run `ripcord login URL` again")
        })
    }

    /// Puts the file in the place of the one before, as a whole.
    pub(crate) fn save(&self) -> Result<PathBuf, Failure> {
        let path = file().ok_or_else(|| {
            Failure::usage(
                "neither `XDG_CONFIG_HOME` nor `HOME` is an absolute path, so contexts have no place",
            )
            .help("set one of them, or give `--host` and `--token-file` each time")
        })?;
        let unable = |cause: std::io::Error| {
            Failure::failed(format!("cannot write `{}`", path.display()))
                .because(cause)
                .help("check the folder's permissions and the free space")
        };
        let text = toml::to_string(self)
            .map_err(|error| Failure::failed("the contexts have no form as TOML").because(error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unable)?;
        let beside = path.with_extension(format!("toml.{}", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&beside, &path));
        if let Err(cause) = written {
            let _ = std::fs::remove_file(&beside);
            return Err(unable(cause));
        }
        Ok(path)
    }

    /// The one of that name.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<_> = self.contexts.keys().map(|name| format!("`{name}`")).collect();
            let failure = Failure::usage(format!("there is no context `{name}`"));
            match known.is_empty() {
                true => failure.help("`ripcord login URL` makes one"),
                false => failure.help(format!("there is {}", known.join(", "))),
            }
        })
    }

    /// The one that is meant where none is named.
    pub(crate) fn current(&self) -> Result<Option<&Context>, Failure> {
        self.current.as_deref().map(|name| self.named(name)).transpose()
    }

    /// The one at that address: a token is sent to no other host than the one that it is for.
    pub(crate) fn at(&self, host: &str) -> Option<&Context> {
        let wanted = place(host)?;
        self.contexts.values().find(|context| place(&context.host).as_ref() == Some(&wanted))
    }
}

/// An address as it is compared: one slash at its end, whatever was typed.
fn place(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

/// What a context is called that was given no name: the host's.
pub(crate) fn name_of(host: &str) -> String {
    place(host).and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "host".to_owned())
}

/// Refuses what cannot be the name of a context.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    if !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && name.chars().all(fits) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` is no name of a context"))
        .help(format!("use at most {NAME_CHARS_MAX} letters, digits, `.`, `_`, `-`")))
}

/// `ripcord/contexts.toml` below the folder of the person's configuration (XDG base directories), if there is such a folder.
fn file() -> Option<PathBuf> {
    let variable =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let folder = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    Some(folder?.join(FOLDER).join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(host: &str) -> Context {
        let person = PersonName::new("ada").expect("a name");
        Context::new(host.to_owned(), person, Digest::of("here"), &Secret::new("secret-token"))
    }

    #[test]
    fn a_token_is_for_one_address() {
        let contexts = Contexts {
            current: None,
            contexts: [("home".to_owned(), context("https://ripcord.example:8787/base"))].into(),
        };
        let found = |host| contexts.at(host).is_some();
        assert!(found("https://ripcord.example:8787/base") && found("https://RIPCORD.example:8787/base/"));
        for other in [
            "http://ripcord.example:8787/base",
            "https://ripcord.example/base",
            "https://ripcord.example:8787/",
            "https://ripcord.example.evil:8787/base",
            "https://ripcord.example:8787@evil.example/base",
            "nonsense",
        ] {
            assert!(!found(other), "{other}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", context("https://h")), "Context(ada at https://h)");
    }

    #[test]
    fn names_fit_into_a_table() {
        for name in ["prod", "eu-1.ripcord_2", "[::1]"] {
            let fits = check_name(name).is_ok();
            assert_eq!(fits, !name.contains('['), "{name}");
        }
        for name in ["", "a b", "a\"b", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
