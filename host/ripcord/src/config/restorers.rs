//! `[services.NAME.configurations]` and `[services.NAME.fallback]`: what of a service besides its model can be put back, and by what.

use std::ops::Range;
use std::path::Path;

use ripcord_core::facet::{FALLBACK, FALLBACK_OFF, Facet, MODEL};
use ripcord_core::live::Proof;
use ripcord_core::name::ConfigurationName;
use ripcord_ports::Restorer;
use toml::Spanned;

use super::adapters::AdapterConfig;
use super::place::Mistakes;
use super::secret::SecretRef;
use super::table::Node;

/// What puts one facet back.
#[derive(Debug, Clone)]
pub struct RestorerConfig {
    /// Which facet.
    pub facet: Facet,
    /// Of its table.
    pub span: Range<usize>,
    /// The weakest proof that settles a rollback of it; none is the strongest that this way of reading it back gives.
    pub proof_min: Option<Spanned<Proof>>,
    /// For the service itself: a bearer token.
    pub service_token: Option<SecretRef>,
    /// By what.
    pub adapter: AdapterConfig<dyn Restorer>,
}

/// All of a service.
pub(crate) fn take_restorers(
    service: &mut Node<'_>,
    base: &Path,
    mistakes: &mut Mistakes,
) -> Vec<RestorerConfig> {
    let mut all = Vec::new();
    for (name, node) in service.take_named("configurations", mistakes) {
        let checked = mistakes.ok(&name.span(), ConfigurationName::new(name.get_ref().as_str()), "");
        if name.get_ref() == FALLBACK {
            let message = format!("`{FALLBACK}` is no name of a configuration");
            mistakes.add(name.span(), message, "the safe mode has a table of its own, `fallback`");
            continue;
        }
        if name.get_ref() == MODEL {
            let message = format!("`{MODEL}` is no name of a configuration");
            mistakes.add(name.span(), message, "the word means the versions: give it another name");
            continue;
        }
        let restorer =
            checked.and_then(|name| RestorerConfig::read(Facet::Configuration(name), node, base, mistakes));
        all.extend(restorer);
    }
    if let Some(node) = service.take_table(FALLBACK, mistakes) {
        let restorer = RestorerConfig::read(Facet::Fallback, node, base, mistakes);
        if let Some(RestorerConfig { adapter, span, .. }) = &restorer
            && let Some(named) = adapter.settings.says().revisions
            && !named.iter().any(|name| name.as_str() == FALLBACK_OFF)
        {
            let message = format!("`revisions` of the fallback has no `{FALLBACK_OFF}`");
            mistakes.add(
                span.clone(),
                message,
                "say by which value the model itself answers, as in `off = false`",
            );
        }
        all.extend(restorer);
    }
    all
}

impl RestorerConfig {
    fn read(facet: Facet, mut node: Node<'_>, base: &Path, mistakes: &mut Mistakes) -> Option<Self> {
        let span = node.span.clone();
        let proof_min = node.take_value::<Proof>("proof-min", mistakes);
        let service_token = SecretRef::take(&mut node, "service-token", base, mistakes);
        let adapter = AdapterConfig::read(node, &[], base, mistakes)?;
        Some(Self { facet, span, proof_min, service_token, adapter })
    }

    /// The weakest proof that settles a rollback of it.
    pub fn proof_min(&self) -> Proof {
        self.proof_min.as_ref().map_or_else(|| self.adapter.settings.says().proof, |proof| *proof.get_ref())
    }
}
