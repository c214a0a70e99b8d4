//! A change by server-side apply: tried without effect first, made under the guard of what was read, and never over the head of another owner.

use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde_json::{Map, Value, json};

use super::owners::{holders, is_ours, is_own_name};
use super::refusal::{Owner, Refused};
use super::{Ask, Cluster, Kind, OWNERS_MAX, Resource, UNREADABLE, shown};

/// Lists that are one value to their kind, though their entries have names: what is added to them changes what the others are sent.
const ONE_VALUE: [&str; 2] = [".predictors", ".candidates"];

/// The object changes while its controller writes `status`: so often the change is put on what it has become.
const ATTEMPTS: usize = 3;

/// What is to be changed of one object.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    pub(crate) resource: Resource,
    pub(crate) name: &'a str,
    /// The object as read; nothing happens unless it is still so, but for what its controllers write.
    pub(crate) observed: &'a Value,
    /// What is to be in force of `metadata.annotations` and `spec`, and nothing else.
    pub(crate) annotations: Value,
    pub(crate) spec: Value,
    /// Whose further annotations go with it, made of the object that the change is put on, whatever that has become.
    pub(crate) marks: Option<&'a dyn Kind>,
    /// A part of `spec` that is sent whole where the cluster's description of the kind keeps it as one: `["predictor"]`.
    pub(crate) whole: &'static [&'static str],
    /// As whom it is applied. All that one manager has applied before and does not send now is taken away.
    pub(crate) manager: String,
    /// Managers from which a field may be taken.
    pub(crate) take_over: &'a [String],
    pub(crate) deadline: Millis,
}

impl Cluster {
    /// Makes the change, and gives the object as it is then.
    ///
    /// An error with [`ripcord_ports::Applied::No`] is one before anything was changed.
    pub(crate) async fn apply(&self, change: &Change<'_>) -> Result<Value, PortError> {
        let mut observed = change.observed.clone();
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let refused = match self.apply_to(change, &observed).await {
                Ok(object) => return Ok(object),
                Err(refused) if refused.is_stale => refused,
                Err(refused) => return Err(refused.error),
            };
            let now = self.get(change.resource, change.name).await.map_err(|error| {
                let told = PortError::unknown(error.kind, format!("{}; and then {error}", refused.error));
                // A network that has sent the change twice has it refused as well: only what is gone has not become what was wanted.
                let is_gone = error.kind == ErrorKind::NotFound;
                if is_gone { PortError::not_applied(told.kind, told.to_string()) } else { told }
            })?;
            if holds(&now["spec"], &change.spec) {
                // Somebody was faster, or the network has sent the change twice.
                return Ok(now);
            }
            if now["metadata"]["uid"] != observed["metadata"]["uid"] || now["spec"] != observed["spec"] {
                return Err(refused.error);
            }
            observed = now;
            last = refused.error.to_string();
        }
        let text = format!(
            "{} `{}` is written by others all the time, {ATTEMPTS} times while this change was put on it: {last}",
            change.resource.full_name(),
            change.name
        );
        Err(PortError::not_applied(ErrorKind::Conflict, text).retry(Retry::Later))
    }

    /// Tries the change and makes it not. Gives what would be sent, and whether with force.
    async fn tried(&self, change: &Change<'_>, observed: &Value) -> Result<(Value, bool), Refused> {
        let mut body = change.body(observed, false);
        let mut force = false;
        let mut is_whole = false;
        loop {
            let would_be = match self.patch(change, &body, force, true).await {
                Ok(would_be) => would_be,
                Err(refused) if !refused.owners.is_empty() && !force => {
                    may_take_over(change, &refused.owners, refused.error)?;
                    force = true;
                    continue;
                }
                Err(refused) => return Err(refused),
            };
            let wanted = overlaid(&observed["spec"], &change.spec);
            let Some(lost) = lost(&wanted, &would_be["spec"], "") else { return Ok((body, force)) };
            if is_whole || change.whole.is_empty() {
                let text = format!(
                    "a dry run shows that the change would not leave `{}` of {} `{}` as it is to be: an admission controller may set it; nothing was changed",
                    shown(&format!("spec{lost}")),
                    change.resource.full_name(),
                    change.name
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).into());
            }
            // Such a description takes a part for the whole, and would drop what is not sent.
            is_whole = true;
            body = change.body(observed, true);
        }
    }

    /// What keeps every such change from being taken, whatever it sets; none where only this moment does.
    pub(crate) async fn would_take(&self, change: &Change<'_>) -> Result<Option<String>, PortError> {
        match self.tried(change, change.observed).await {
            Ok(_) => Ok(None),
            // A controller wrote in between.
            Err(refused) if refused.is_stale => Ok(None),
            Err(refused) => {
                let stays = refused.error.kind == ErrorKind::Failed && refused.error.retry == Retry::No;
                if stays { Ok(Some(refused.error.to_string())) } else { Err(refused.error) }
            }
        }
    }

    async fn apply_to(&self, change: &Change<'_>, observed: &Value) -> Result<Value, Refused> {
        let (body, force) = self.tried(change, observed).await?;
        let object = self.patch(change, &body, force, false).await?;
        let is_it = object["kind"] == change.resource.kind
            && object["metadata"]["uid"] == observed["metadata"]["uid"]
            && holds(&object["spec"], &change.spec);
        if is_it {
            return Ok(object);
        }
        let text = format!(
            "the change of {} `{}` was answered with success and something else than the changed object",
            change.resource.full_name(),
            change.name
        );
        Err(PortError::unknown(ErrorKind::BadAnswer, text).into())
    }

    async fn patch(
        &self,
        change: &Change<'_>,
        body: &Value,
        force: bool,
        dry: bool,
    ) -> Result<Value, Refused> {
        let mut query = vec![("fieldManager", change.manager.clone())];
        query.extend(force.then(|| ("force", "true".to_owned())));
        query.extend(dry.then(|| ("dryRun", "All".to_owned())));
        let ask = Ask {
            verb: "patch",
            resource: change.resource,
            name: Some(change.name),
            query,
            body: Some(body),
            deadline: change.deadline.min(self.deadline()),
        };
        self.ask(&ask).await
    }
}

impl Change<'_> {
    /// The identity and the state of the object are the guard: without them, one that was removed would be made anew.
    fn body(&self, observed: &Value, is_whole: bool) -> Value {
        let metadata = &observed["metadata"];
        let mut annotations = self.annotations.clone();
        if let (Some(kind), Some(all)) = (self.marks, annotations.as_object_mut()) {
            all.extend(marks(kind, observed, &self.spec));
        }
        let mut spec = self.spec.clone();
        if is_whole
            && let (Some(from), Some(to)) = (at(&observed["spec"], self.whole), at_mut(&mut spec, self.whole))
        {
            *to = overlaid(from, to);
        }
        json!({
            "apiVersion": self.resource.api_version(),
            "kind": self.resource.kind,
            "metadata": {
                "name": self.name,
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": annotations,
            },
            "spec": spec,
        })
    }
}

/// Where `spec` stays as it is, its controller has nothing to do: then what was annotated when it changed stays as well, if it was us who changed it. What we
/// annotated before somebody else has set the field says nothing of what they have set.
pub(crate) fn marks(kind: &dyn Kind, observed: &Value, spec: &Value) -> Map<String, Value> {
    let stays = holds(&observed["spec"], spec);
    let Value::Object(fresh) = kind.annotated(observed, !stays) else { return Map::new() };
    let is_set_by_us = kind.fields(observed).iter().any(|field| {
        let path: Vec<_> = field.iter().map(String::as_str).collect();
        holders(observed, &path).into_iter().any(is_ours)
    });
    if !stays || !is_set_by_us {
        return fresh;
    }
    let is = |key: &String| observed["metadata"]["annotations"][key].clone();
    fresh.keys().map(|key| (key.clone(), is(key))).filter(|(_, is)| is.is_string()).collect()
}

/// A field is taken only from those who are named; the others are told with the field.
fn may_take_over(change: &Change<'_>, owners: &[Owner], error: PortError) -> Result<(), PortError> {
    let is_free = |owner: &&Owner| change.take_over.contains(&owner.manager) || is_own_name(&owner.manager);
    let held: Vec<_> = owners.iter().filter(|owner| !is_free(owner)).collect();
    if held.is_empty() {
        return Ok(());
    }
    let text = format!("{}: {}", held_by(change.resource, change.name, &held), error);
    Err(PortError::not_applied(ErrorKind::Conflict, text))
}

/// Which of these owners may not be taken over from, and what can be done about it.
pub(crate) fn held(resource: Resource, name: &str, owners: &[Owner], take_over: &[String]) -> Option<String> {
    let held: Vec<_> = owners.iter().filter(|owner| !take_over.contains(&owner.manager)).collect();
    (!held.is_empty()).then(|| held_by(resource, name, &held))
}

/// Which fields others hold, and what can be done about it.
fn held_by(resource: Resource, name: &str, owners: &[&Owner]) -> String {
    let fields: Vec<_> = owners.iter().take(OWNERS_MAX).map(ToString::to_string).collect();
    let more = match owners.len().saturating_sub(OWNERS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let readable = owners.iter().filter(|owner| owner.manager != UNREADABLE);
    let mut managers: Vec<_> = readable.map(|owner| format!("\"{}\"", shown(&owner.manager))).collect();
    managers.sort();
    managers.dedup();
    managers.truncate(OWNERS_MAX);
    let take = match managers.as_slice() {
        [] => String::new(),
        managers => format!(", or let Ripcord take it over by `take-over = [{}]`", managers.join(", ")),
    };
    format!(
        "{} `{name}`: {}{more}; roll back through who holds it{take}",
        resource.full_name(),
        fields.join(", ")
    )
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |at, name| at.get(name))
}

fn at_mut<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |at, name| at.get_mut(name))
}

/// `under` with everything that `over` says. Lists whose entries have names are taken entry by entry, all others whole.
fn overlaid(under: &Value, over: &Value) -> Value {
    if let (Some(below), Some(above)) = (by_name(under), by_name(over)) {
        let new = above.iter().filter(|(name, _)| !below.iter().any(|(known, _)| known == name));
        let new = new.map(|(_, entry)| (*entry).clone());
        let kept = below.iter().map(|(name, entry)| {
            let over = above.iter().find(|(known, _)| known == name);
            over.map_or_else(|| (*entry).clone(), |(_, over)| overlaid(entry, over))
        });
        return Value::Array(kept.chain(new).collect());
    }
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            let mut all = under.clone();
            for (key, value) in over {
                let below = all.get(key).cloned().unwrap_or(Value::Null);
                all.insert(key.clone(), overlaid(&below, value));
            }
            Value::Object(all)
        }
        _ => over.clone(),
    }
}

/// The first place at which `got` does not say what `wanted` does. It may say more.
fn lost(wanted: &Value, got: &Value, path: &str) -> Option<String> {
    if let (Some(wanted), Some(got)) = (by_name(wanted), by_name(got)) {
        if ONE_VALUE.contains(&path) && wanted.len() != got.len() {
            return Some(path.to_owned());
        }
        return wanted.iter().find_map(|(name, entry)| {
            let path = format!("{path}[{name}]");
            match got.iter().find(|(known, _)| known == name) {
                Some((_, got)) => lost(entry, got, &path),
                None => Some(path),
            }
        });
    }
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => wanted.iter().find_map(|(key, value)| {
            lost(value, got.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"))
        }),
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => wanted
            .iter()
            .zip(got)
            .enumerate()
            .find_map(|(index, (wanted, got))| lost(wanted, got, &format!("{path}[{index}]"))),
        _ => (wanted != got).then(|| path.to_owned()),
    }
}

/// The entries of a list by their names, where each has one and no two have the same: so Kubernetes keeps containers, variables and volumes, and Seldon its
/// predictors and candidates.
fn by_name(list: &Value) -> Option<Vec<(&str, &Value)>> {
    let entries = list.as_array().filter(|entries| !entries.is_empty())?;
    let named: Vec<_> =
        entries.iter().map(|entry| Some((entry["name"].as_str()?, entry))).collect::<Option<_>>()?;
    let mut names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == named.len()).then_some(named)
}

/// Whether a part is in force.
pub(super) fn holds(got: &Value, wanted: &Value) -> bool {
    lost(wanted, got, "").is_none()
}

/// The annotations that name what was set.
pub(crate) fn named(version: &str, digest: Option<String>) -> Value {
    let mut annotations = json!({ (super::VERSION_ANNOTATION): version });
    if let Some(digest) = digest {
        annotations[super::DIGEST_ANNOTATION] = Value::String(digest);
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_rest() {
        let spec =
            json!({ "predictor": { "minReplicas": 2, "model": { "storageUri": "a", "runtime": "r" } } });
        let change = json!({ "predictor": { "model": { "storageUri": "b" } } });
        let wanted = overlaid(&spec, &change);
        assert_eq!(
            wanted,
            json!({ "predictor": { "minReplicas": 2, "model": { "storageUri": "b", "runtime": "r" } } })
        );
        assert_eq!(lost(&wanted, &wanted, ""), None);
        let dropped = json!({ "predictor": { "minReplicas": 2, "model": { "storageUri": "b" } } });
        assert_eq!(lost(&wanted, &dropped, "").as_deref(), Some(".predictor.model.runtime"));
        let defaulted = json!({ "more": 1, "predictor": { "minReplicas": 2, "model": { "storageUri": "b", "runtime": "r", "name": "" } } });
        assert_eq!(lost(&wanted, &defaulted, ""), None);
        assert!(holds(&wanted, &change) && !holds(&spec, &change));
    }

    #[test]
    fn what_is_added_to_a_list_that_is_one_value_is_not_what_was_wanted() {
        let of = |key: &str, names: &[&str]| {
            let entries: Vec<_> = names.iter().map(|name| json!({ "name": name, "weight": 50 })).collect();
            json!({ (key): entries })
        };
        for key in ["candidates", "predictors"] {
            assert!(!holds(&of(key, &["a", "b", "c"]), &of(key, &["a", "b"])), "{key}");
            assert!(holds(&of(key, &["a", "b"]), &of(key, &["b", "a"])), "{key}");
        }
        let template = |names: &[&str]| json!({ "template": { "spec": of("containers", names) } });
        assert!(holds(&template(&["main", "injected"]), &template(&["main"])));
    }

    #[test]
    fn entries_of_a_list_are_changed_by_their_names() {
        let spec = json!({ "containers": [{ "name": "proxy", "image": "p" }, { "name": "main", "image": "a", "args": ["x"] }] });
        let change = json!({ "containers": [{ "name": "main", "image": "b" }] });
        let wanted = overlaid(&spec, &change);
        let expected = json!({ "containers": [{ "name": "proxy", "image": "p" }, { "name": "main", "image": "b", "args": ["x"] }] });
        assert_eq!(wanted, expected);
        assert!(holds(&wanted, &change) && !holds(&spec, &change));
        let dropped = json!({ "containers": [{ "name": "main", "image": "b", "args": ["x"] }] });
        assert_eq!(lost(&wanted, &dropped, "").as_deref(), Some(".containers[proxy]"));
        // Where a name is not one entry's, and where there are none, a list is one value.
        let twice = json!([{ "name": "a", "v": 1 }, { "name": "a", "v": 2 }]);
        assert_eq!(overlaid(&twice, &json!([{ "name": "a", "v": 3 }])), json!([{ "name": "a", "v": 3 }]));
        assert_eq!(overlaid(&json!(["x", "y"]), &json!(["z"])), json!(["z"]));
    }
}
