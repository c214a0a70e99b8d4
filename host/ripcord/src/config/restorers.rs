//! `[services.NAME.configurations]` and `[services.NAME.fallback]`: what of a service besides its model can be put back, and by what.

use std::ops::Range;
use std::path::Path;

use ripcord_adapters::restorer_file::FileRestorerConfig;
use ripcord_adapters::restorer_git::GitRestorerConfig;
use ripcord_adapters::restorer_http::{Holder, HttpRestorerConfig};
use ripcord_adapters::restorer_mlflow_prompt::MlflowPromptRestorerConfig;
use ripcord_adapters::restoring::{ReadBackConfig, ReloadConfig, Tells};
use ripcord_core::facet::{FALLBACK, FALLBACK_OFF, Facet};
use ripcord_core::live::Proof;
use ripcord_core::name::ConfigurationName;
use toml::Spanned;

use super::adapters::{Adapter, rebase, run_beside, take_kind};
use super::place::Mistakes;
use super::secret::SecretRef;
use super::table::Node;

/// What puts one facet back.
#[derive(Debug, Clone, PartialEq)]
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
    pub kind: RestorerKind,
}

/// Which restorer.
#[derive(Debug, Clone, PartialEq)]
pub enum RestorerKind {
    /// A file that a process reads.
    File(Adapter<FileRestorerConfig>),
    /// A value behind HTTP.
    Http(Adapter<HttpRestorerConfig>),
    /// A file in a git repository.
    Git(Adapter<GitRestorerConfig>),
    /// A prompt in MLflow's prompt registry.
    MlflowPrompt(Adapter<MlflowPromptRestorerConfig>),
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
        let restorer =
            checked.and_then(|name| RestorerConfig::read(Facet::Configuration(name), node, base, mistakes));
        all.extend(restorer);
    }
    if let Some(node) = service.take_table(FALLBACK, mistakes) {
        let restorer = RestorerConfig::read(Facet::Fallback, node, base, mistakes);
        if let Some(RestorerConfig { kind: RestorerKind::Http(http), span, .. }) = &restorer
            && !http.config.revisions.keys().any(|name| name.as_str() == FALLBACK_OFF)
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
        let secret = if node.has("user") { "password" } else { "token" };
        let kind = match take_kind(&mut node, &["file", "http", "git", "mlflow-prompt"], mistakes)? {
            "file" => {
                let adapter = Adapter::<FileRestorerConfig>::read(node, None, base, mistakes)?;
                RestorerKind::File(adapter.then(|config| {
                    rebase(&mut config.file, base);
                    rebase(&mut config.history, base);
                    reload_beside(&mut config.reload, base);
                }))
            }
            "http" => {
                let adapter = Adapter::<HttpRestorerConfig>::read(node, Some(secret), base, mistakes)?;
                RestorerKind::Http(adapter.then(|config| reload_beside(&mut config.reload, base)))
            }
            "git" => {
                let adapter = Adapter::<GitRestorerConfig>::read(node, Some(secret), base, mistakes)?;
                RestorerKind::Git(adapter.then(|config| {
                    if !config.repository.contains("://") {
                        config.repository = base.join(&config.repository).display().to_string();
                    }
                    reload_beside(&mut config.reload, base);
                }))
            }
            _ => {
                let adapter =
                    Adapter::<MlflowPromptRestorerConfig>::read(node, Some(secret), base, mistakes)?;
                RestorerKind::MlflowPrompt(adapter.then(|config| reload_beside(&mut config.reload, base)))
            }
        };
        Some(Self { facet, span, proof_min, service_token, kind })
    }

    /// The weakest proof that settles a rollback of it.
    pub fn proof_min(&self) -> Proof {
        let told = |read_back: &Option<ReadBackConfig>| match read_back.as_ref().map(|said| said.tells) {
            Some(Tells::Digest) => Proof::Digest,
            Some(Tells::Revision | Tells::Value) => Proof::Answer,
            None => Proof::ControlPlane,
        };
        match (&self.proof_min, &self.kind) {
            (Some(proof), _) => *proof.get_ref(),
            (None, RestorerKind::File(adapter)) => told(&adapter.config.read_back),
            (None, RestorerKind::Git(adapter)) => told(&adapter.config.read_back),
            (None, RestorerKind::MlflowPrompt(adapter)) => told(&adapter.config.read_back),
            (None, RestorerKind::Http(adapter)) => match (&adapter.config.read_back, adapter.config.holder) {
                (None, Holder::Service) => Proof::Answer,
                (read_back, _) => told(read_back),
            },
        }
    }
}

/// Programs and files that are named by a path are found beside the configuration.
fn reload_beside(reload: &mut ReloadConfig, base: &Path) {
    if let Some(file) = &mut reload.pid_file {
        rebase(file, base);
    }
    if reload.command.is_some() {
        run_beside(base, [reload.command.as_mut()], &mut reload.surroundings);
    }
}
