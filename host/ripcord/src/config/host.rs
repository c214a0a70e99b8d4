//! `[host]`: where the host listens, and where and how long it keeps what it knows.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_core::retention::Class;
use ripcord_core::time::Millis;
use ripcord_engine::Retention;
use serde::Deserialize;
use toml::Spanned;

use super::place::Mistakes;
use super::table::Node;
use super::units::Days;
use crate::signers::ssh::Touch;

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
    /// The file of SSH keys that votes may be signed with, and where it is named.
    pub allowed_signers: Option<Spanned<PathBuf>>,
    /// Whether a security key must have been touched for a vote.
    pub touch: Touch,
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
    allowed_signers: Option<Spanned<PathBuf>>,
    touch_required: Option<bool>,
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
            allowed_signers: keys
                .allowed_signers
                .map(|path| Spanned::new(path.span(), base.join(path.into_inner()))),
            touch: match keys.touch_required {
                None | Some(true) => Touch::Required,
                Some(false) => Touch::NotRequired,
            },
        }
    }
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
