//! `[people]`: who may act, and how they prove who they are.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_adapters::private::Private;
use ripcord_core::name::{PersonName, RoleName};
use serde::Deserialize;
use toml::Spanned;

use super::decode_hex;
use super::place::Mistakes;
use super::secret::SecretRef;
use super::table::Node;
use crate::signers::allowed::{self, FILE_BYTES_MAX, Line};
use crate::signers::{PublicKey, Signer};

/// Roles that the host itself knows; a team may add its own for quorums.
pub const ROLES: [&str; 6] = ["viewer", "operator", "approver", "evidence", "auditor", "admin"];

/// A person who may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonConfig {
    /// Their name.
    pub name: PersonName,
    /// Of the name.
    pub span: Range<usize>,
    /// What they may do.
    pub roles: Vec<RoleName>,
    /// With which they prove who they are; none can only sign.
    pub token: Option<SecretRef>,
    /// Ed25519, for approvals by signature.
    pub public_key: Option<[u8; 32]>,
    /// Their keys of the file of allowed signers, which knows them by their name, unless `principal` gives another.
    pub ssh_keys: Vec<Signer>,
}

impl PersonConfig {
    /// Every key that their votes may be signed with; none votes by session.
    pub fn signers(&self) -> Vec<Signer> {
        let own = self.public_key.map(|key| Signer::always(PublicKey::Ed25519(key)));
        own.into_iter().chain(self.ssh_keys.iter().cloned()).collect()
    }
}

/// The file of SSH keys that votes may be signed with.
struct AllowedSigners {
    span: Range<usize>,
    path: PathBuf,
    lines: Vec<Line>,
}

/// Everyone who may act.
pub(crate) fn all(
    nodes: Vec<(Spanned<String>, Node<'_>)>,
    allowed_signers: Option<&Spanned<PathBuf>>,
    base: &Path,
    mistakes: &mut Mistakes,
) -> Vec<PersonConfig> {
    let allowed = allowed_signers.map(|path| AllowedSigners::read(path, mistakes));
    let person = |(name, node)| PersonConfig::read(&name, node, allowed.as_ref(), base, mistakes);
    nodes.into_iter().filter_map(person).collect()
}

impl AllowedSigners {
    fn read(path: &Spanned<PathBuf>, mistakes: &mut Mistakes) -> Self {
        let (span, path) = (path.span(), path.get_ref().clone());
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| {
            // Whoever can write it says who may vote.
            let open = Private::Directions.check(&file.metadata()?, &path).err();
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(open)
        });
        let text = match read {
            Ok(Some(open)) => Err(format!("decides who may vote: {open}")),
            Err(error) => Err(format!("cannot be read: {error}")),
            Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
                Err(format!("is longer than {} MiB", FILE_BYTES_MAX >> 20))
            }
            Ok(_) => String::from_utf8(bytes).map_err(|_| "is no text".to_owned()),
        };
        let help = "it has lines as `ssh-keygen` describes them below ALLOWED SIGNERS: a principal, options, a public key";
        let lines = text.and_then(|text| allowed::lines(&text).map_err(|bad| format!(", {bad}")));
        let lines = lines.unwrap_or_else(|why| {
            mistakes.add(span.clone(), format!("`{}` {why}", path.display()), help);
            Vec::new()
        });
        Self { span, path, lines }
    }
}

/// The keys of one person in the file of allowed signers.
fn ssh_keys(
    principal: Option<&Spanned<String>>,
    name: &Spanned<String>,
    allowed: Option<&AllowedSigners>,
    mistakes: &mut Mistakes,
) -> Vec<Signer> {
    let Some(allowed) = allowed else {
        if let Some(principal) = principal {
            let message = format!("nothing knows the principal `{}`", principal.get_ref());
            let help = "name the file of allowed signers with `allowed-signers` below `[host]`";
            mistakes.add(principal.span(), message, help);
        }
        return Vec::new();
    };
    let wanted = principal.unwrap_or(name);
    let about: Vec<_> = allowed.lines.iter().filter(|line| line.is_about(wanted.get_ref())).collect();
    if let (Some(principal), true) = (principal, about.is_empty()) {
        let message = format!(
            "no line of `{}` is about the principal `{}`",
            allowed.path.display(),
            principal.get_ref()
        );
        mistakes.add(
            principal.span(),
            message,
            "votes are signed in the namespace `ripcord-vote`: a line with `namespaces` must name it",
        );
    }
    let mut keys: Vec<Signer> = Vec::new();
    for line in about {
        match line.signer() {
            Ok(signer) => keys.push(signer.clone()),
            Err(bad) => {
                let message = format!("`{}`, {bad}", allowed.path.display());
                mistakes.add(
                    allowed.span.clone(),
                    message,
                    format!("the line is about `{}`", name.get_ref()),
                );
            }
        }
    }
    keys
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PersonKeys {
    roles: Spanned<Vec<Spanned<RoleName>>>,
    public_key: Option<Spanned<String>>,
    principal: Option<Spanned<String>>,
}

impl PersonConfig {
    fn read(
        name: &Spanned<String>,
        mut node: Node<'_>,
        allowed: Option<&AllowedSigners>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let span = name.span();
        let before = mistakes.0.len();
        let token = SecretRef::take(&mut node, "token", base, mistakes);
        let token_is_wrong = mistakes.0.len() > before;
        let keys: PersonKeys = node.read(mistakes)?;
        let person = mistakes.ok(&span, PersonName::new(name.get_ref().as_str()), "");
        if keys.roles.get_ref().is_empty() {
            let help = format!("give one or more of {}", ROLES.map(|role| format!("`{role}`")).join(", "));
            mistakes.add(keys.roles.span(), format!("`{}` has no role", name.get_ref()), help);
        }
        for role in keys.roles.get_ref() {
            let text = role.get_ref().as_str();
            let near = super::say::nearest(text, ROLES);
            if let Some(near) = near.filter(|near| *near != text) {
                let message = format!("the role `{text}` is not one of the host's");
                mistakes.add(role.span(), message, format!("did you mean `{near}`?"));
            }
        }
        let has_key = keys.public_key.is_some();
        let public_key = keys.public_key.and_then(|text| {
            mistakes.ok(
                &text.span(),
                public_key(text.get_ref()),
                "`ripcord key new FILE` makes a pair and prints it",
            )
        });
        let before = mistakes.0.len();
        let ssh_keys = ssh_keys(keys.principal.as_ref(), name, allowed, mistakes);
        let is_wrong = token_is_wrong || mistakes.0.len() > before;
        if token.is_none() && !has_key && ssh_keys.is_empty() && !is_wrong {
            let help = "add `token-file = \"…\"`, `token-env = \"…\"`, `public-key = \"…\"`, or a line to the file that `allowed-signers` of `[host]` names";
            mistakes.add(span.clone(), format!("`{}` cannot prove who they are", name.get_ref()), help);
        }
        let roles = keys.roles.into_inner().into_iter().map(Spanned::into_inner).collect();
        Some(Self { name: person?, span, roles, token, public_key, ssh_keys })
    }
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = decode_hex::<32>(text)
        .ok_or_else(|| format!("`{text}` is not a public key: write 64 hexadecimal digits"))?;
    ed25519_dalek::VerifyingKey::from_bytes(&bytes)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or_else(|| format!("`{text}` is not an Ed25519 public key"))?;
    Ok(bytes)
}
