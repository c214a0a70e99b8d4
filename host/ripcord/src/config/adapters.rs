//! Tables that configure adapters: `kind` says which one of its port, the other keys are the adapter's own. No adapter is named here.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ripcord_adapters::adapter::{AnyAdapter, LeftOut, Port, Settings, Start};
use ripcord_adapters::catalogue;
use ripcord_ports::{Deployer, Endpoint, GoldenData};
use toml::Spanned;

use super::place::Mistakes;
use super::say;
use super::secret::SecretRef;
use super::table::Node;

/// One adapter of the port `P`: its settings, their place and their secret.
pub struct AdapterConfig<P: Port + ?Sized> {
    /// Of its table.
    pub span: Range<usize>,
    /// Its own keys.
    pub settings: Arc<dyn Settings<P>>,
    /// Where the secret is that its calls carry.
    pub secret: Option<SecretRef>,
}

impl<P: Port + ?Sized> Clone for AdapterConfig<P> {
    fn clone(&self) -> Self {
        Self { span: self.span.clone(), settings: self.settings.clone(), secret: self.secret.clone() }
    }
}

impl<P: Port + ?Sized> fmt::Debug for AdapterConfig<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.settings.adapter().kind())
            .field("span", &self.span)
            .field("settings", &self.settings)
            .field("secret", &self.secret)
            .finish()
    }
}

impl<P: Port + ?Sized> AdapterConfig<P> {
    /// Reads a table. A key of `defaults` that the adapter has and the table has not gets its value.
    pub(super) fn read(
        mut node: Node<'_>,
        defaults: &[(&str, &str)],
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let adapter = match take_kind::<P>(&mut node, mistakes) {
            Ok(adapter) => adapter,
            // Its keys are known to a program that has it.
            Err(NoAdapter::LeftOut) => return None,
            Err(NoAdapter::Unknown) => {
                // What no kind knows is wrong whichever it is.
                let known = P::adapters().iter().flat_map(|adapter| adapter.about().keys);
                known.for_each(|key| drop(node.take(&key.name)));
                node.finish(mistakes);
                return None;
            }
        };
        for (key, value) in defaults.iter().filter(|(key, _)| adapter.has_key(key)) {
            node.set_default(key, value);
        }
        Self::read_as(adapter, node, base, mistakes)
    }

    /// The same for a table that must be there.
    fn take_required(
        service: &mut Node<'_>,
        key: &str,
        defaults: &[(&str, &str)],
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if !service.has(key) {
            service.know(&[key]);
            let message = format!("`{key}` is missing in {}", service.name);
            mistakes.add(service.span.clone(), message, format!("add `{key} = {{ {} }}`", least::<P>()));
            return None;
        }
        Self::read(service.take_table(key, mistakes)?, defaults, base, mistakes)
    }

    fn read_as(
        adapter: &'static dyn AnyAdapter<P>,
        mut node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let secret = adapter.secret().name(node.has("user"));
        let secret = secret.and_then(|name| SecretRef::take(&mut node, name, base, mistakes));
        let span = node.span.clone();
        let mut settings = node.read_by(mistakes, |table| adapter.read(table))?;
        settings.start(&Start::from(base));
        Some(Self { span, settings: settings.into(), secret })
    }
}

/// Why there is no adapter; a mistake says it.
enum NoAdapter {
    /// A feature brings it that this program was built without.
    LeftOut,
    /// There is none of that kind, or no kind.
    Unknown,
}

/// Takes `kind` out: one of the port's adapters.
fn take_kind<P: Port + ?Sized>(
    node: &mut Node<'_>,
    mistakes: &mut Mistakes,
) -> Result<&'static dyn AnyAdapter<P>, NoAdapter> {
    let (span, name) = (node.span.clone(), node.name.clone());
    let adapters = P::adapters();
    let kinds = || adapters.iter().map(|adapter| adapter.kind());
    if !node.has("kind") {
        node.know(&["kind"]);
        let listed = kinds().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" or ");
        mistakes.add(span, format!("`kind` is missing in {name}"), format!("add `kind = …`: {listed}"));
        return Err(NoAdapter::Unknown);
    }
    let kind = node.take_value::<String>("kind", mistakes).ok_or(NoAdapter::Unknown)?;
    if let Some(found) = adapters.iter().copied().find(|adapter| adapter.kind() == kind.get_ref()) {
        return Ok(found);
    }
    let left_out = |of: &&LeftOut| of.port == P::NAME && of.kind == kind.get_ref();
    if let Some(left_out) = catalogue::LEFT_OUT.iter().find(left_out) {
        mistakes.add(kind.span(), left_out.to_string(), left_out.help());
        return Err(NoAdapter::LeftOut);
    }
    let help = say::suggestion(kind.get_ref(), "there are", kinds());
    mistakes.add(kind.span(), format!("there is no kind `{}` in {name}", kind.get_ref()), help);
    Err(NoAdapter::Unknown)
}

/// The least that the first adapter of a port wants, as an example.
fn least<P: Port + ?Sized>() -> String {
    let Some(first) = P::adapters().first() else { return String::new() };
    let about = first.about();
    let needed = about.keys.iter().filter(|key| key.needed && key.given_by.is_none());
    let needed = needed.map(|key| format!(", {} = \"…\"", key.name));
    std::iter::once(format!("kind = \"{}\"", about.kind)).chain(needed).collect()
}

/// The registry or the deployer of a service, whose model has the service's name for it unless its own table says otherwise.
pub(super) fn take_of_model<P: Port + ?Sized>(
    service: &mut Node<'_>,
    key: &str,
    base: &Path,
    model: &str,
    mistakes: &mut Mistakes,
) -> Option<AdapterConfig<P>> {
    AdapterConfig::take_required(service, key, &[("model", model)], base, mistakes)
}

/// An endpoint of its own, or the deployer's server where that takes trials too.
pub(super) fn take_endpoint(
    service: &mut Node<'_>,
    base: &Path,
    deployer: Option<&AdapterConfig<dyn Deployer>>,
    mistakes: &mut Mistakes,
) -> Option<AdapterConfig<dyn Endpoint>> {
    let served = deployer.and_then(|deployer| Some((deployer, deployer.settings.says().endpoint?)));
    if !service.has("endpoint") {
        service.know(&["endpoint"]);
        return served.map(|(deployer, served)| AdapterConfig {
            span: deployer.span.clone(),
            settings: served.settings.into(),
            secret: deployer.secret.clone(),
        });
    }
    let mut node = service.take_table("endpoint", mistakes)?;
    let own_server = node.has("url");
    let mut defaults: Vec<(&str, &str)> = Vec::new();
    if let Some((_, served)) = &served {
        node.set_default("kind", served.settings.adapter().kind());
        defaults.extend(served.keys.iter().map(|(key, value)| (*key, value.as_str())));
    }
    let mut endpoint = AdapterConfig::read(node, &defaults, base, mistakes)?;
    // A secret is for the server that it was configured for.
    if let Some((deployer, _)) = served.as_ref().filter(|_| !own_server) {
        endpoint.secret = endpoint.secret.or_else(|| deployer.secret.clone());
    }
    Some(endpoint)
}

/// A table that may be left out.
pub(super) fn take_optional<P: Port + ?Sized>(
    service: &mut Node<'_>,
    key: &str,
    base: &Path,
    mistakes: &mut Mistakes,
) -> Option<AdapterConfig<P>> {
    AdapterConfig::read(service.take_table(key, mistakes)?, &[], base, mistakes)
}

/// Golden data sets by name. There is one adapter, so no `kind` is written.
pub(super) fn take_golden(
    service: &mut Node<'_>,
    base: &Path,
    mistakes: &mut Mistakes,
) -> Option<AdapterConfig<dyn GoldenData>> {
    let node = service.take_table("golden", mistakes)?;
    let golden = AdapterConfig::read_as(*<dyn GoldenData>::adapters().first()?, node, base, mistakes)?;
    // An empty table is as good as none.
    (!golden.settings.says().is_empty()).then_some(golden)
}

/// An adapter that has a name of its own: a metrics source, a notifier.
pub struct NamedAdapter<P: Port + ?Sized> {
    /// The name that others use.
    pub name: String,
    /// Of the name.
    pub span: Range<usize>,
    /// The adapter.
    pub adapter: AdapterConfig<P>,
}

impl<P: Port + ?Sized> Clone for NamedAdapter<P> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), span: self.span.clone(), adapter: self.adapter.clone() }
    }
}

impl<P: Port + ?Sized> fmt::Debug for NamedAdapter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(&self.name).field("span", &self.span).field("adapter", &self.adapter).finish()
    }
}

impl<P: Port + ?Sized> NamedAdapter<P> {
    pub(super) fn read(
        name: Spanned<String>,
        node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let adapter = AdapterConfig::read(node, &[], base, mistakes)?;
        Some(Self { span: name.span(), name: name.into_inner(), adapter })
    }
}
