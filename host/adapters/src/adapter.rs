//! What an adapter exports: one constant, [`Adapter`], that says all that the rest of the program needs to know of it.
//!
//! Whoever reads a configuration, makes ports, writes a new configuration or lists what there is goes through the catalogue and names no adapter. The
//! settings stay a type of the adapter's own: they are read by `serde` into its struct, and their keys are told by that struct ([`Key`]).

mod keys;
mod left_out;
mod port;
mod signature;
mod start;

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};

use ripcord_ports::PortError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::de::ValueDeserializer;

use crate::Shared;
use crate::secret::Secret;

pub use keys::{Key, Takes, keys_of};
pub use left_out::LeftOut;
pub use port::{DeployerSays, MadeMetrics, Port, RestorerSays, ServedBy, StartScraping};
pub use signature::{Signature, Unsigned};
pub use start::Start;

/// One adapter of the port `P`, with settings `C`.
pub struct Adapter<C, P: Port + ?Sized> {
    /// As `kind` in the configuration.
    pub kind: &'static str,
    /// The system that it speaks to, as its users call it.
    pub system: &'static str,
    /// What it is, for people: one line, lower case, no full stop.
    pub summary: &'static str,
    /// Its page, below `host/adapters/src/`: what to configure, least rights, what was tried, what it cannot do.
    pub page: &'static str,
    /// Which secret its calls carry.
    pub secret: SecretKey,
    /// The keys that must be there, and no others, as an inline table of TOML without its braces.
    pub example: &'static str,
    /// Makes every path of its settings start from the configuration's folder.
    pub start: fn(&mut C, &Start<'_>),
    /// What it says of itself by its settings alone.
    pub says: fn(&C) -> P::Says,
    /// Makes it: settings are checked, files that they name may be read, no other system is asked.
    pub make: fn(C, Making<'_, P>) -> Result<P::Made, PortError>,
}

/// Settings of an adapter that has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Which secret an adapter's calls carry. It is never in the configuration itself: `NAME-file` or `NAME-env` says where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKey {
    /// None.
    None,
    /// `token`, a bearer token.
    Token,
    /// `password` where the settings have a `user`, else `token`.
    TokenOrPassword,
    /// `secret-access-key`, the secret half of a key that signs calls.
    SecretAccessKey,
    /// `api-key`, which stands for an account.
    ApiKey,
    /// `client-secret`, with which an application proves who it is.
    ClientSecret,
}

impl SecretKey {
    /// The name of the secret, where there is one.
    pub fn name(self, has_user: bool) -> Option<&'static str> {
        match (self, has_user) {
            (Self::None, _) => None,
            (Self::TokenOrPassword, true) => Some("password"),
            (Self::SecretAccessKey, _) => Some("secret-access-key"),
            (Self::ApiKey, _) => Some("api-key"),
            (Self::ClientSecret, _) => Some("client-secret"),
            (Self::Token | Self::TokenOrPassword, _) => Some("token"),
        }
    }

    /// All names that the secret may have.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Token => &["token"],
            Self::TokenOrPassword => &["token", "password"],
            Self::SecretAccessKey => &["secret-access-key"],
            Self::ApiKey => &["api-key"],
            Self::ClientSecret => &["client-secret"],
        }
    }
}

/// With what an adapter is made, besides its settings.
pub struct Making<'a, P: Port + ?Sized> {
    /// What adapters have in common.
    pub shared: &'a Shared,
    /// The secret that its calls carry, already read; see [`Adapter::secret`].
    pub secret: Option<Secret>,
    /// The host's own folder. An adapter that keeps something there makes a folder below it when it needs one.
    pub data: &'a Path,
    /// Which part of the configuration it is made for, as a path that no other part has: `fraud-api/configurations/thresholds`.
    pub place: PathBuf,
    /// What else adapters of this port are given.
    pub with: P::With,
}

impl<P: Port + ?Sized> fmt::Debug for Making<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Making").field("place", &self.place).finish_non_exhaustive()
    }
}

/// An adapter of the port `P`, whatever its settings are.
pub trait AnyAdapter<P: Port + ?Sized>: Sync {
    /// As `kind` in the configuration.
    fn kind(&self) -> &'static str;

    /// Which secret its calls carry.
    fn secret(&self) -> SecretKey;

    /// Whether its settings have this key.
    fn has_key(&self, name: &str) -> bool;

    /// All that can be told of it without settings.
    fn about(&self) -> About;

    /// Reads its settings out of a table, from which `kind` and the secret were taken.
    ///
    /// # Errors
    /// As the settings' own reader has them: a key that is unknown or missing, a value of the wrong type.
    fn read(&'static self, table: ValueDeserializer<'_>) -> Result<Box<dyn Settings<P>>, toml::de::Error>;
}

/// Settings of one adapter of the port `P`, read and not made yet.
pub trait Settings<P: Port + ?Sized>: fmt::Debug + Send + Sync {
    /// Whose they are.
    fn adapter(&self) -> &'static dyn AnyAdapter<P>;

    /// Makes every path start from the configuration's folder.
    fn start(&mut self, start: &Start<'_>);

    /// What the adapter says of itself by them.
    fn says(&self) -> P::Says;

    /// Makes the adapter.
    ///
    /// # Errors
    /// They do not fit together, or a file that they name cannot be read.
    fn make(&self, with: Making<'_, P>) -> Result<P::Made, PortError>;

    /// The adapter's own struct.
    fn as_any(&self) -> &dyn Any;
}

impl<P: Port + ?Sized> dyn Settings<P> {
    /// The adapter's own struct, where it is of this type.
    pub fn of<C: 'static>(&self) -> Option<&C> {
        self.as_any().downcast_ref()
    }
}

/// What can be told of an adapter without settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// The port.
    pub port: &'static str,
    /// Where it stands in the configuration.
    pub place: &'static str,
    /// As `kind` in the configuration.
    pub kind: &'static str,
    /// The system that it speaks to.
    pub system: &'static str,
    /// What it is.
    pub summary: &'static str,
    /// Its page, below `host/adapters/src/`.
    pub page: &'static str,
    /// The least that must be configured, as TOML.
    pub example: String,
    /// Every key that its table takes, in the order of the adapter's own settings, then the secrets, then what the host itself reads there.
    pub keys: Vec<Key>,
}

/// Settings with the adapter that they are of.
struct Configured<C: 'static, P: Port + ?Sized> {
    adapter: &'static Adapter<C, P>,
    config: C,
}

impl<C, P: Port + ?Sized> fmt::Debug for Adapter<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("port", &P::NAME).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<C, P> Adapter<C, P>
where
    C: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static,
    P: Port + ?Sized,
{
    /// Settings that stand in no configuration.
    pub fn with(&'static self, config: C) -> Box<dyn Settings<P>> {
        Box::new(Configured { adapter: self, config })
    }
}

impl<C: fmt::Debug, P: Port + ?Sized> fmt::Debug for Configured<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl<C, P> AnyAdapter<P> for Adapter<C, P>
where
    C: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static,
    P: Port + ?Sized,
{
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn secret(&self) -> SecretKey {
        self.secret
    }

    fn has_key(&self, name: &str) -> bool {
        keys_of::<C>().iter().any(|key| key.name == name)
    }

    fn about(&self) -> About {
        let given = |key: &Key| P::GIVEN.iter().find(|(name, _)| *name == key.name).map(|(_, by)| *by);
        let own = keys_of::<C>().into_iter().map(|key| Key { given_by: given(&key), ..key });
        let secrets = self.secret.names().iter().flat_map(|name| Key::secret(name));
        let kind = if P::HAS_KIND { format!("kind = \"{}\", ", self.kind) } else { String::new() };
        About {
            port: P::NAME,
            place: P::PLACE,
            kind: self.kind,
            system: self.system,
            summary: self.summary,
            page: self.page,
            example: format!("{kind}{}", self.example),
            keys: own.chain(secrets).chain(P::host_keys()).collect(),
        }
    }

    fn read(&'static self, table: ValueDeserializer<'_>) -> Result<Box<dyn Settings<P>>, toml::de::Error> {
        C::deserialize(table).map(|config| self.with(config))
    }
}

impl<C, P> Settings<P> for Configured<C, P>
where
    C: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static,
    P: Port + ?Sized,
{
    fn adapter(&self) -> &'static dyn AnyAdapter<P> {
        self.adapter
    }

    fn start(&mut self, start: &Start<'_>) {
        (self.adapter.start)(&mut self.config, start);
    }

    fn says(&self) -> P::Says {
        (self.adapter.says)(&self.config)
    }

    fn make(&self, with: Making<'_, P>) -> Result<P::Made, PortError> {
        (self.adapter.make)(self.config.clone(), with)
    }

    fn as_any(&self) -> &dyn Any {
        &self.config
    }
}
