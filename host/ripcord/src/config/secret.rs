//! Where a secret is: never in the configuration file itself.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_adapters::Secret;
use ripcord_ports::PortError;

use super::place::Mistakes;
use super::table::Node;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// For messages.
    pub span: Range<usize>,
    /// File or variable.
    pub place: SecretPlace,
}

/// A file or an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// The file that holds nothing but the secret.
    File(PathBuf),
    /// The variable's name.
    Env(String),
}

impl SecretRef {
    /// Reads it.
    pub fn read(&self) -> Result<Secret, PortError> {
        match &self.place {
            SecretPlace::File(path) => Secret::from_file(path),
            SecretPlace::Env(name) => Secret::from_env(name),
        }
    }

    /// Takes `NAME-file` or `NAME-env` out of the table.
    pub(crate) fn take(
        node: &mut Node<'_>,
        name: &str,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let (file_key, env_key) = (format!("{name}-file"), format!("{name}-env"));
        let file = node.take_value::<PathBuf>(&file_key, mistakes);
        let env = node.take_value::<String>(&env_key, mistakes);
        match (file, env) {
            (Some(_), Some(env)) => {
                let message = format!("both `{file_key}` and `{env_key}` are set in {}", node.name);
                mistakes.add(env.span(), message, "keep one of them");
                None
            }
            (Some(file), None) => {
                let span = file.span();
                Some(Self { span, place: SecretPlace::File(base.join(file.into_inner())) })
            }
            (None, Some(env)) => {
                let span = env.span();
                Some(Self { span, place: SecretPlace::Env(env.into_inner()) })
            }
            (None, None) => None,
        }
    }

    /// The same, and a mistake if there is none.
    pub(crate) fn take_required(
        node: &mut Node<'_>,
        name: &str,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let before = mistakes.0.len();
        let secret = Self::take(node, name, base, mistakes);
        if secret.is_none() && mistakes.0.len() == before {
            mistakes.add(
                node.span.clone(),
                format!("{} names no secret", node.name),
                format!(
                    "add `{name}-file = \"…\"`, a file that holds it, or `{name}-env = \"…\"`, a variable"
                ),
            );
        }
        secret
    }
}
