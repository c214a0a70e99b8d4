//! `[host]` and `[people]`: where the host listens and keeps what it knows, and who may act.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_core::name::{PersonName, RoleName};
use ripcord_core::retention::Class;
use ripcord_core::time::Millis;
use ripcord_engine::Retention;
use serde::Deserialize;
use toml::Spanned;

use super::place::Mistakes;
use super::secret::SecretRef;
use super::table::Node;
use super::units::Days;

/// Roles that the host itself knows; a team may add its own for quorums.
pub const ROLES: [&str; 6] = ["viewer", "operator", "approver", "evidence", "auditor", "admin"];

/// The host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Of the address.
    pub listen_span: Range<usize>,
    /// The folder of the store, evidence, staging and compiled policies.
    pub data: PathBuf,
    /// Under which address people reach it.
    pub public_url: String,
    /// Of the request log, as evidence of one incident, in bytes.
    pub evidence_request_log_bytes_max: u64,
    /// How far before the harm the request log is kept, in seconds.
    pub evidence_before: ripcord_core::time::Millis,
    /// Automatic shifts of all services within an hour.
    pub shifts_per_hour: u32,
    /// Policy instances at once.
    pub policy_slots: u32,
    /// Of artefacts that are kept at hand for the next rollback, all services together, in bytes; 0 keeps none.
    pub kept_artefacts_bytes_max: u64,
    /// How long content is kept.
    pub retention: Retention,
}

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
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct HostKeys {
    listen: Option<Spanned<String>>,
    data: Option<PathBuf>,
    public_url: Option<Spanned<String>>,
    evidence_request_log_mib: Option<u32>,
    evidence_before_seconds: Option<super::units::Seconds>,
    shifts_per_hour: Option<u32>,
    policy_slots: Option<Spanned<u32>>,
    kept_artefacts_mib: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RetentionKeys {
    decisions_days: Option<Spanned<Days>>,
    signals_days: Option<Spanned<Days>>,
    evidence_days: Option<Spanned<Days>>,
    incidents_days: Option<Spanned<Days>>,
}

impl RetentionKeys {
    fn read(node: Option<Node<'_>>, mistakes: &mut Mistakes) -> Retention {
        let keys: Self = node.and_then(|node| node.read(mistakes)).unwrap_or_default();
        let mut retention = Retention::default();
        let ages = [keys.decisions_days, keys.signals_days, keys.evidence_days, keys.incidents_days];
        let classes = [Class::Decisions, Class::Signals, Class::Evidence, Class::Incidents];
        for (class, age) in classes.into_iter().zip(ages) {
            let Some(age) = age else { continue };
            if age.get_ref().0 < class.age_min() {
                mistakes.add(
                    age.span(),
                    format!("`{class}-days` is less than {class} are kept at least"),
                    format!("write {} or more", class.age_min().0 / Millis::hours(24).0),
                );
            }
            retention.ages.insert(class, age.get_ref().0);
        }
        retention
    }
}

impl HostConfig {
    pub(crate) fn read(node: Option<Node<'_>>, base: &Path, mistakes: &mut Mistakes) -> Self {
        let mut node = node;
        let retention = node.as_mut().and_then(|node| node.take_table("retention", mistakes));
        let retention = RetentionKeys::read(retention, mistakes);
        let keys: HostKeys = node.and_then(|node| node.read(mistakes)).unwrap_or_default();
        let default = SocketAddr::from(([127, 0, 0, 1], 8787));
        let (listen, listen_span) = match keys.listen {
            Some(listen) => {
                let address = listen.get_ref().parse().unwrap_or_else(|_| {
                    let message = format!("`{}` is not an address to listen on", listen.get_ref());
                    mistakes.add(
                        listen.span(),
                        message,
                        "write an IP address and a port, such as `127.0.0.1:8787`",
                    );
                    default
                });
                (address, listen.span())
            }
            None => (default, 0..0),
        };
        let slots = keys.policy_slots.map_or(32, |slots| {
            if !(1..=1_000).contains(slots.get_ref()) {
                mistakes.add(slots.span(), "`policy-slots` is out of range", "write 1 to 1000");
            }
            slots.into_inner()
        });
        let public_url = keys.public_url.map(|url| {
            if !url.get_ref().starts_with("http://") && !url.get_ref().starts_with("https://") {
                let message = format!("`{}` is not an address", url.get_ref());
                mistakes.add(url.span(), message, "write it as `http://127.0.0.1:8787`");
            }
            url.into_inner().trim_end_matches('/').to_owned()
        });
        Self {
            listen,
            listen_span,
            data: base.join(keys.data.unwrap_or_else(|| PathBuf::from("ripcord-data"))),
            public_url: public_url.unwrap_or_else(|| format!("http://{listen}")),
            evidence_request_log_bytes_max: u64::from(keys.evidence_request_log_mib.unwrap_or(64)) << 20,
            evidence_before: keys
                .evidence_before_seconds
                .map_or(ripcord_core::time::Millis::minutes(5), |seconds| seconds.0),
            shifts_per_hour: keys
                .shifts_per_hour
                .unwrap_or(ripcord_core::terms::Breaker::default().host_shifts_per_hour),
            policy_slots: slots,
            kept_artefacts_bytes_max: u64::from(keys.kept_artefacts_mib.unwrap_or(10 << 10)) << 20,
            retention,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PersonKeys {
    roles: Spanned<Vec<Spanned<RoleName>>>,
    public_key: Option<Spanned<String>>,
}

impl PersonConfig {
    pub(crate) fn read(
        name: &Spanned<String>,
        mut node: Node<'_>,
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
        if token.is_none() && !has_key && !token_is_wrong {
            let help = "add `token-file = \"…\"`, `token-env = \"…\"` or `public-key = \"…\"`";
            mistakes.add(span.clone(), format!("`{}` cannot prove who they are", name.get_ref()), help);
        }
        let roles = keys.roles.into_inner().into_iter().map(Spanned::into_inner).collect();
        Some(Self { name: person?, span, roles, token, public_key })
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

/// So many bytes in hexadecimal, in either case.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(bytes)
}
