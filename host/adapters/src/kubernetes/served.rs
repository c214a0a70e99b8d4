//! A deployer of one object, whatever its kind is: the object says which version is to be served, its controller makes it so, and what is live is read from
//! elsewhere than from what was said. A kind ([`Kind`]) knows where its objects say it and how it is read back; the guards are here, once.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::LiveState;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde_json::{Value, json};

use super::{Change, Cluster, FIELD_MANAGER, Resource, applied, held, named, put_back_by, strangers};
use crate::Shared;

/// One kind of object that says which version is served.
///
/// What cannot be told of an object is `Err` with the words that follow *the `Kind` `name`*, such as `has no modelUri`.
#[async_trait]
pub(crate) trait Kind: fmt::Debug + Send + Sync {
    /// What it is to the interface.
    fn resource(&self) -> Resource;

    /// Where a version is written, as people call it: `storageUri`.
    fn field(&self) -> &'static str;

    /// What is written there for a version.
    fn value(&self, version: &VersionName) -> String;

    /// What else of the settings says where it is written.
    fn place(&self) -> String {
        String::new()
    }

    /// What `spec` has to say for this version, and no more; for none, what it says already. It is compared with an object, and sent.
    async fn wanted(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Result<Value, String>, PortError>;

    /// The fields that a shift sets.
    fn fields(&self, object: &Value) -> Vec<Vec<String>>;

    /// As whom it is applied: another one for each place of one object that is set apart from the others.
    fn manager(&self) -> String {
        FIELD_MANAGER.to_owned()
    }

    /// What else is annotated, of the object as it is before; `changes` where `spec` is to be another one, and not merely ours as well.
    fn annotated(&self, _object: &Value, _changes: bool) -> Value {
        json!({})
    }

    /// What is live.
    async fn live(&self, at: At<'_>) -> Result<LiveState, PortError>;

    /// How far the controller is, where it says that it is not done.
    fn progress(&self, object: &Value) -> Option<String>;

    /// What would keep the object from coming to serve this version, or any.
    async fn hinders(&self, _at: At<'_>, _to: Option<&VersionName>) -> Result<Option<String>, PortError> {
        Ok(None)
    }

    /// What it says now, where that names no version.
    fn odd(&self, object: &Value) -> Option<String>;
}

/// An object, and where it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: &'a str,
    pub(crate) object: &'a Value,
}

/// The deployer of one object.
#[derive(Debug)]
pub(crate) struct Served {
    /// Its name as an adapter, such as `deployer_seldon`.
    pub(crate) adapter: &'static str,
    pub(crate) cluster: Cluster,
    /// The object's.
    pub(crate) name: String,
    /// Managers from which fields may be taken.
    pub(crate) take_over: Vec<String>,
    pub(crate) kind: Box<dyn Kind>,
    pub(crate) shared: Shared,
}

impl Served {
    async fn object(&self) -> Result<Value, PortError> {
        self.cluster.get(self.kind.resource(), &self.name).await
    }

    fn at<'a>(&'a self, object: &'a Value) -> At<'a> {
        At { cluster: &self.cluster, name: &self.name, object }
    }

    /// The object, within a sentence.
    fn told(&self) -> String {
        format!(
            "the `{}` `{}` in the namespace `{}`",
            self.kind.resource().kind,
            self.name,
            self.cluster.namespace()
        )
    }

    async fn wanted(&self, object: &Value, to: Option<&VersionName>) -> Result<Value, PortError> {
        let wanted = self.kind.wanted(self.at(object), to).await?;
        wanted.map_err(|why| self.cannot_be_set(&why))
    }

    fn cannot_be_set(&self, why: &str) -> PortError {
        PortError::not_applied(ErrorKind::Configuration, format!("{} {why}", self.told()))
    }

    fn change<'a>(
        &'a self,
        observed: &'a Value,
        spec: Value,
        annotations: Value,
        deadline: Millis,
    ) -> Change<'a> {
        Change {
            resource: self.kind.resource(),
            name: &self.name,
            observed,
            annotations,
            spec,
            marks: None,
            whole: &[],
            manager: self.kind.manager(),
            take_over: &self.take_over,
            deadline,
        }
    }

    async fn looked_at(&self) -> Result<Option<String>, PortError> {
        let observed = self.object().await?;
        let stated = self.wanted(&observed, None).await?;
        let owners: Vec<_> = self
            .kind
            .fields(&observed)
            .iter()
            .flat_map(|field| strangers(&observed, &field.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        if let Some(held) = held(self.kind.resource(), &self.name, &owners, &self.take_over) {
            return Ok(Some(held));
        }
        if let Some(why) = self.kind.hinders(self.at(&observed), None).await? {
            return Ok(Some(format!("{} {why}", self.told())));
        }
        // Whether the account may read all of it, and, with what is there already and without effect, whether it may change it.
        self.kind.live(self.at(&observed)).await?;
        let change = self.change(&observed, stated, json!({}), self.cluster.deadline());
        self.cluster.would_take(&change).await
    }
}

#[async_trait]
impl Deployer for Served {
    fn name(&self) -> &str {
        self.adapter
    }

    fn class(&self) -> EffectClass {
        EffectClass::Conditional
    }

    async fn live(&self) -> Result<Live, PortError> {
        let object = self.object().await?;
        let state = self.kind.live(self.at(&object)).await?;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        let version = target.version().filter(|_| wave.is_none())?;
        let value = self.kind.value(&version.version);
        let words = format!("have {} serve {target} from `{value}`", self.told());
        let request = Request::new(self.name(), &words)
            .with("cluster", self.cluster.address())
            .with("namespace", self.cluster.namespace())
            .with("kind", self.kind.resource().full_name())
            .with("name", self.name.clone())
            .with("within", self.kind.place())
            .with("field manager", self.kind.manager())
            .with("taken over from", self.take_over.join(", "))
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with(self.kind.field(), value);
        Some(request.hole(Hole::Expected).hole(Hole::Credentials))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let Some(version) = order.target.version().filter(|_| order.wave.is_none()) else {
            let wave = order.wave.as_ref().map(|wave| format!(", {wave}")).unwrap_or_default();
            let text = format!(
                "{}{wave} cannot be set here: this deployer sets versions, all at once",
                order.target
            );
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        let observed = self.object().await?;
        // What this compares and what the change is put on is one object: another one is refused by the cluster itself.
        let live = self.kind.live(self.at(&observed)).await?;
        is_as_expected(&live, &order.expecting)?;
        let spec = self.wanted(&observed, Some(&version.version)).await?;
        if let Some(why) = self.kind.hinders(self.at(&observed), Some(&version.version)).await? {
            return Err(self.cannot_be_set(&why));
        }
        let digest = version.digest.or_else(|| Some(order.staged.as_ref()?.digest));
        let annotations = named(version.version.as_str(), digest.map(|digest| digest.to_string()));
        let change = self.change(&observed, spec, annotations, order.deadline);
        self.cluster.apply(&Change { marks: Some(self.kind.as_ref()), ..change }).await?;
        // What comes back has the status of before.
        Ok(Shifted::Underway(format!("`{}` is set: what serves it shows", self.kind.value(&version.version))))
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let Some(version) = order.target.version().filter(|_| order.wave.is_none()) else {
            return Ok(Probe::CannotTell(format!(
                "{} cannot be set here as it is configured now: look at `{}` itself",
                order.target, self.name
            )));
        };
        let object = self.object().await?;
        let live = self.kind.live(self.at(&object)).await?;
        let wanted = match self.kind.wanted(self.at(&object), Some(&version.version)).await? {
            Ok(wanted) => wanted,
            Err(why) => return Ok(Probe::CannotTell(self.cannot_be_set(&why).to_string())),
        };
        if applied::holds(&object["spec"], &wanted) {
            return Ok(match live.serves(&order.target) {
                true => Probe::Applied,
                false => Probe::Underway(match self.kind.progress(&object) {
                    Some(how_far) => format!("{how_far}; live is {live}"),
                    None => format!("live is {live}"),
                }),
            });
        }
        Ok(match live.same_identity(&order.expecting) {
            true => Probe::NotApplied,
            false => Probe::CannotTell(format!(
                "{} does not say what was ordered, and live is {live}, which is not what was live before ({})",
                self.told(),
                order.expecting
            )),
        })
    }

    async fn obstacle(&self) -> Option<String> {
        match self.looked_at().await {
            Ok(found) => found,
            // What passes is no obstacle to every shift.
            Err(error) => stays(&error).then(|| error.to_string()),
        }
    }

    async fn warning(&self) -> Option<String> {
        let object = self.object().await.ok()?;
        let odd = self.kind.odd(&object);
        let odd = odd.map(|why| format!("{} {why}: live is unknown for as long as it does", self.told()));
        let told: Vec<_> = [put_back_by(&object), odd].into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// Refuses a shift where live is another than it was planned for.
pub(crate) fn is_as_expected(live: &LiveState, expecting: &LiveState) -> Result<(), PortError> {
    if matches!(expecting, LiveState::Serving(_)) && !live.same_identity(expecting) {
        let text = format!("live is {live}, and {expecting} was expected: nothing was changed");
        return Err(PortError::not_applied(ErrorKind::Conflict, text));
    }
    Ok(())
}

/// Whether an error keeps every shift from being made until somebody does something.
pub(crate) fn stays(error: &PortError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Configuration | ErrorKind::Conflict
    )
}

/// Which cluster is meant, as far as the settings say.
pub(crate) fn cluster(kubeconfig: Option<&Path>, context: Option<&str>) -> String {
    match (kubeconfig, context) {
        (None, _) => "of this pod".to_owned(),
        (Some(path), None) => path.display().to_string(),
        (Some(path), Some(context)) => format!("`{context}` of {}", path.display()),
    }
}
