//! What versions were trained on, and those whose weights they began with, held against the data that are condemned. Where nothing is, no registry is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use ripcord_core::data::DataRevision;
use ripcord_core::facet::Revision;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::service::{Service, TrainedOn, began_with};
use ripcord_core::target::{RetrainTarget, Target};
use ripcord_ports::{ErrorKind, PortError, Registry};
use tokio::sync::{Mutex, OnceCell};

use crate::restorable::told;

/// Lineages that are read for one answer: those of versions that rules could go back to first, each with what lies behind it.
const LOOKED_AT_MAX: usize = 64;
/// Versions whose lineages are followed at a time.
const AT_ONCE: usize = 8;
/// Versions that may lie behind one: what began with the weights of a longer row of others is not known.
const BEHIND_MAX: usize = 16;

/// What is known of the data of some versions.
#[derive(Debug, Clone, Default)]
pub struct Descent {
    words: BTreeMap<VersionName, Descends>,
}

/// What the lineages of a version and of those behind it say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Descends {
    /// From nothing that anything is known against.
    Clean,
    /// From condemned data.
    FromCondemned {
        /// Which.
        data: DataRevision,
        /// Whose weights it began with, each the next one's, down to the one that was trained on the data; empty where that is the version itself.
        through: Vec<VersionName>,
    },
    /// Nobody can tell.
    NotKnown(NotKnown),
}

/// Why nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotKnown {
    why: String,
    /// A registry may tell it later: it did not say that there is none.
    is_unread: bool,
    /// Of the version itself its registry tells no lineage at all, now or ever.
    is_untold: bool,
}

impl NotKnown {
    /// Whether to ask again before anybody is told.
    pub(crate) const fn may_be_told_later(&self) -> bool {
        self.is_unread || self.is_untold
    }
}

/// Why a registry told no lineage.
#[derive(Debug, Clone)]
struct Untold {
    why: String,
    is_unread: bool,
}

impl From<PortError> for Untold {
    fn from(error: PortError) -> Self {
        let is_unread = !matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound);
        Self { why: told(&error), is_unread }
    }
}

/// What one registry says of versions, each asked for once, and of no more than [`LOOKED_AT_MAX`].
pub(crate) struct Lineages<'a> {
    registry: &'a dyn Registry,
    service: &'a Service,
    read: Mutex<BTreeMap<VersionName, Arc<ReadOnce>>>,
}

/// One version's lineage, which whoever needs it first asks for.
type ReadOnce = OnceCell<Result<Lineage, Untold>>;

impl<'a> Lineages<'a> {
    pub(crate) fn new(registry: &'a dyn Registry, service: &'a Service) -> Self {
        Self { registry, service, read: Mutex::default() }
    }

    /// None where too many were asked for already.
    async fn of(&self, version: &VersionName) -> Option<Result<Lineage, Untold>> {
        let cell = {
            let mut read = self.read.lock().await;
            if read.len() >= LOOKED_AT_MAX && !read.contains_key(version) {
                return None;
            }
            read.entry(version.clone()).or_default().clone()
        };
        let asked = async { self.registry.lineage(version).await.map_err(Untold::from) };
        Some(cell.get_or_init(|| asked).await.clone())
    }

    /// Follows a version to those whose weights it began with, until one was trained on condemned data or nothing lies behind it.
    pub(crate) async fn descent(&self, version: &VersionName) -> Descends {
        let mut chain = vec![version.clone()];
        // That one does not say what it was trained on clears none behind it.
        let mut unknown = None;
        // What is known to have been made without all that is condemned is clean whatever lies behind it, and a circle ends where it began.
        while let Some(last) = chain.last().filter(|last| !self.service.is_known_clean(last)) {
            let lineage = match self.of(last).await {
                Some(Ok(lineage)) => lineage,
                Some(Err(untold)) => {
                    unknown.get_or_insert(NotKnown {
                        why: untold_of(&chain, &untold.why),
                        is_unread: untold.is_unread,
                        is_untold: chain.len() == 1 && !untold.is_unread,
                    });
                    break;
                }
                None => {
                    unknown.get_or_insert(NotKnown::of(untold_of(&chain, NOT_LOOKED_AT)));
                    break;
                }
            };
            match self.service.trained_on(&chain, &lineage) {
                TrainedOn::Condemned(data) => {
                    return Descends::FromCondemned { data, through: chain.split_off(1) };
                }
                TrainedOn::NotKnown => {
                    unknown.get_or_insert(NotKnown::of(unnamed(&chain)));
                }
                TrainedOn::Uncondemned => {}
            }
            let Some(parent) = lineage.parent.map(|parent| parent.version) else { break };
            if chain.contains(&parent) {
                break;
            }
            if chain.len() > BEHIND_MAX {
                unknown.get_or_insert(NotKnown::of(format!(
                    "it {}, and more than {BEHIND_MAX} versions lie behind it",
                    began_with(&chain[1..2])
                )));
                break;
            }
            chain.push(parent);
        }
        unknown.map_or(Descends::Clean, Descends::NotKnown)
    }
}

const NOT_LOOKED_AT: &str = "its lineage was not read";

impl NotKnown {
    const fn of(why: String) -> Self {
        Self { why, is_unread: false, is_untold: false }
    }
}

/// That the last of the chain has a lineage that does not say what it was trained on.
fn unnamed(chain: &[VersionName]) -> String {
    match chain {
        [_] => "its registry names no data of it, or no revision of them".to_owned(),
        _ => format!(
            "it {}, and the registry names no data of that one, or no revision of them",
            began_with(&chain[1..])
        ),
    }
}

/// That the last of the chain has no lineage.
fn untold_of(chain: &[VersionName], why: &str) -> String {
    match chain {
        [_] => why.to_owned(),
        _ => format!("it {}, and of that one: {why}", began_with(&chain[1..])),
    }
}

impl Descent {
    /// Follows the lineages of these versions, where anything is condemned.
    pub async fn of(registry: &dyn Registry, service: &Service, versions: Vec<VersionName>) -> Self {
        if service.condemned_data.is_empty() {
            return Self::default();
        }
        let lineages = Lineages::new(registry, service);
        let is_good = |version: &VersionName| service.standing_of(version, service.at).is_good();
        let (mut first, then): (Vec<_>, Vec<_>) = versions.into_iter().partition(is_good);
        first.truncate(LOOKED_AT_MAX);
        let more = LOOKED_AT_MAX - first.len();
        let mut words = BTreeMap::new();
        // What rules could go back to is followed to its end before anything else is asked for.
        for some in [first, then.into_iter().take(more).collect()] {
            let lineages = &lineages;
            let follow = |version: VersionName| async move {
                let descends = lineages.descent(&version).await;
                (version, descends)
            };
            let follows: Vec<_> = some.into_iter().map(follow).collect();
            let mut follows = futures_util::stream::iter(follows).buffer_unordered(AT_ONCE);
            while let Some((version, descends)) = follows.next().await {
                words.insert(version, descends);
            }
        }
        Self { words }
    }

    /// The same of the versions among these targets.
    pub(crate) async fn of_targets(registry: &dyn Registry, service: &Service, targets: &[Target]) -> Self {
        let versions = targets.iter().filter_map(Target::version).map(|version| version.version.clone());
        Self::of(registry, service, versions.collect()).await
    }

    /// The condemned data that it descends from: nobody goes back to it.
    pub fn condemned(&self, service: &Service, revision: &Revision) -> Option<String> {
        let version = revision.version()?;
        let Descends::FromCondemned { data, through } = self.words.get(version)? else { return None };
        let was = match through.is_empty() {
            true => format!("trained on `{data}`"),
            false => {
                format!(
                    "`{version}` {}, which was trained on `{data}`, which is condemned",
                    began_with(through)
                )
            }
        };
        Some(format!("condemned: {was}; {} gives back what was trained on it", lift(service, data)))
    }

    /// That nobody knows whether it does: rules do not go back to it.
    pub fn not_known(&self, service: &Service, revision: &Revision) -> Option<String> {
        let (Some(version), false) = (revision.version(), service.condemned_data.is_empty()) else {
            return None;
        };
        let why = match self.words.get(version) {
            Some(Descends::Clean | Descends::FromCondemned { .. }) => return None,
            Some(Descends::NotKnown(unknown)) => unknown.why.as_str(),
            None => NOT_LOOKED_AT,
        };
        Some(format!(
            "what it was trained on is not known ({why}), and data are condemned: `ripcord hold list {}` shows which",
            service.name
        ))
    }

    /// Whatever keeps rules from going back to it.
    pub fn objection(&self, service: &Service, revision: &Revision) -> Option<String> {
        self.condemned(service, revision).or_else(|| self.not_known(service, revision))
    }

    /// The first version, by name, of which a lineage could not be read now, its own or one behind it, and why. What a registry does not have is no such.
    pub(crate) fn unread(&self) -> Option<String> {
        self.words.keys().find_map(|version| self.unread_of(version))
    }

    /// The same of this version.
    pub(crate) fn unread_of(&self, version: &VersionName) -> Option<String> {
        match self.words.get(version)? {
            Descends::NotKnown(unknown) if unknown.is_unread => {
                Some(format!("what `{version}` was trained on cannot be read: {}", unknown.why))
            }
            _ => None,
        }
    }

    /// Whether it descends from condemned data.
    pub fn is_condemned(&self, revision: &Revision) -> bool {
        let word = revision.version().and_then(|version| self.words.get(version));
        matches!(word, Some(Descends::FromCondemned { .. }))
    }
}

fn lift(service: &Service, data: &DataRevision) -> String {
    format!("`ripcord hold lift {} --data {} --reason TEXT`", service.name, data.typed())
}

/// That a training would take all of what is condemned.
pub(crate) fn trains_on_condemned(service: &Service, target: &Target) -> Option<String> {
    let Target::Retrain(RetrainTarget { dataset, revision, exclude }) = target else { return None };
    let data = service.condemned(dataset, revision).filter(|_| exclude.is_empty())?;
    Some(format!(
        "`{data}` is condemned, and nothing is left out of it: name what is (`--exclude source=NAME`), or another revision; {} where it is fine",
        lift(service, data)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::unimplemented)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use cap_std::fs::Dir;
    use ripcord_core::blob::{BlobKind, Salt, commit};
    use ripcord_core::event::{DataCondemned, Event};
    use ripcord_core::fact::Dataset;
    use ripcord_core::name::{PersonName, ServiceName};
    use ripcord_core::request::Request;
    use ripcord_core::target::VersionTarget;
    use ripcord_core::time::UnixMillis;
    use ripcord_ports::registry::{Mark, RegistryVersion, Staged};

    use super::*;

    /// What a registry says of versions: the revision of `clicks` that each was trained on and whose weights it began with.
    #[derive(Default)]
    struct Told {
        lineages: BTreeMap<VersionName, Lineage>,
        away: Vec<VersionName>,
        asked: AtomicUsize,
    }

    fn named(version: &str) -> VersionName {
        VersionName::new(version).unwrap()
    }

    impl Told {
        fn with(mut self, version: &str, revision: Option<&str>, parent: Option<&str>) -> Self {
            let parent = parent.map(|parent| VersionTarget { version: named(parent), digest: None });
            let set = revision.map(|revision| Dataset {
                name: "clicks".to_owned(),
                revision: Some(revision.to_owned()),
                context: None,
            });
            let lineage = Lineage { parent, ..Lineage::default() };
            self.lineages.insert(named(version), lineage.with_datasets(set.into_iter().collect()));
            self
        }

        fn without(mut self, version: &str) -> Self {
            self.away.push(named(version));
            self
        }
    }

    #[async_trait]
    impl Registry for Told {
        fn name(&self) -> &str {
            "registry_told"
        }

        async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.away.contains(version) {
                return Err(PortError::not_applied(ErrorKind::Unreachable, "it does not answer"));
            }
            let none = || PortError::not_applied(ErrorKind::NotFound, format!("there is no `{version}`"));
            self.lineages.get(version).cloned().ok_or_else(none)
        }

        async fn versions(&self, _: u32) -> Result<Vec<RegistryVersion>, PortError> {
            unimplemented!("nobody lists")
        }

        async fn version(&self, _: &VersionName) -> Result<RegistryVersion, PortError> {
            unimplemented!("nobody looks")
        }

        async fn manifest(&self, _: &VersionName) -> Result<Vec<u8>, PortError> {
            unimplemented!("nobody reads")
        }

        async fn fetch(&self, _: &VersionTarget, _: Arc<Dir>) -> Result<Staged, PortError> {
            unimplemented!("nobody fetches")
        }

        async fn mark(&self, _: &VersionName, _: Mark<'_>) -> Result<(), PortError> {
            unimplemented!("nobody marks")
        }

        fn request_to_register(&self) -> Option<Request> {
            None
        }

        fn production_name(&self) -> Option<&str> {
            None
        }

        fn request_to_promote(&self, _: &VersionName) -> Option<Request> {
            None
        }
    }

    /// A service for which `clicks@7` is condemned.
    fn service() -> Service {
        let service = Service::new(ServiceName::new("fraud-api").unwrap());
        let condemned = Event::DataCondemned(DataCondemned {
            data: "clicks@7".parse().unwrap(),
            person: PersonName::new("ada").unwrap(),
            reason: commit(BlobKind::Text, &Salt([0; 32]), b"bad labels"),
        });
        service.apply(UnixMillis(1), &condemned).unwrap()
    }

    async fn of(registry: &Told, version: &str) -> (Descent, Service) {
        let service = service();
        (Descent::of(registry, &service, vec![named(version)]).await, service)
    }

    /// What keeps people, else rules, from going back to the version; empty where nothing does.
    async fn said(registry: &Told, version: &str) -> String {
        let (descent, service) = of(registry, version).await;
        descent.objection(&service, &Revision::of_model(&named(version))).unwrap_or_default()
    }

    #[tokio::test]
    async fn what_began_with_the_weights_of_what_was_trained_on_condemned_data_descends_from_them() {
        let registry = Told::default()
            .with("1.3", Some("7"), None)
            .with("1.4", Some("8"), Some("1.3"))
            .with("1.5", None, Some("1.4"))
            .with("1.6", Some("8"), None);
        for (version, expected) in [
            ("1.3", "condemned: trained on `clicks@7`; "),
            (
                "1.4",
                "condemned: `1.4` began with the weights of `1.3`, which was trained on `clicks@7`, which is condemned; ",
            ),
            // Its own lineage names no data: that clears nothing behind it.
            (
                "1.5",
                "condemned: `1.5` began with the weights of `1.4`, that one with those of `1.3`, which was trained on `clicks@7`, which is condemned; ",
            ),
        ] {
            let said = said(&registry, version).await;
            let lifted = "`ripcord hold lift fraud-api --data clicks@7 --reason TEXT` gives back what was trained on it";
            assert_eq!(said, format!("{expected}{lifted}"), "{version}");
        }
        assert_eq!(said(&registry, "1.6").await, "");
    }

    #[tokio::test]
    async fn where_what_lies_behind_cannot_be_told_it_is_not_known_and_says_which() {
        let registry = Told::default()
            .with("1.1", None, None)
            .with("1.2", Some("8"), Some("1.1"))
            .with("1.3", Some("8"), Some("gone"))
            .with("1.4", Some("8"), Some("away"))
            .with("1.5", Some("8"), Some("1.3"))
            .without("away");
        for (version, expected, is_unread) in [
            ("1.1", "its registry names no data of it, or no revision of them", false),
            (
                "1.2",
                "it began with the weights of `1.1`, and the registry names no data of that one, or no revision of them",
                false,
            ),
            ("1.3", "it began with the weights of `gone`, and of that one: there is no `gone`", false),
            ("1.4", "it began with the weights of `away`, and of that one: it does not answer", true),
            (
                "1.5",
                "it began with the weights of `1.3`, that one with those of `gone`, and of that one: there is no `gone`",
                false,
            ),
        ] {
            let (descent, service) = of(&registry, version).await;
            let revision = Revision::of_model(&named(version));
            assert_eq!(descent.condemned(&service, &revision), None, "{version}");
            let said = descent.not_known(&service, &revision).unwrap();
            assert!(said.contains(&format!("is not known ({expected}), and data are")), "{version}: {said}");
            assert_eq!(descent.unread().is_some(), is_unread, "{version}");
        }
    }

    #[tokio::test]
    async fn a_circle_ends_and_so_does_a_row_without_an_end() {
        let circle = Told::default().with("a", Some("8"), Some("b")).with("b", Some("8"), Some("a")).with(
            "c",
            Some("8"),
            Some("c"),
        );
        assert_eq!((said(&circle, "a").await, said(&circle, "c").await), (String::new(), String::new()));
        let mut row = Told::default();
        for number in 0..40 {
            row = row.with(&format!("v{number}"), Some("8"), Some(&format!("v{}", number + 1)));
        }
        let long = said(&row, "v0").await;
        assert!(
            long.contains("began with the weights of `v1`, and more than 16 versions lie behind it"),
            "{long}"
        );
        assert_eq!(row.asked.load(Ordering::SeqCst), 17, "itself and sixteen behind it");
        // One that is just as long as may be, and what was condemned at its very end.
        let row = row.with("v36", Some("8"), None);
        assert_eq!(said(&row, "v20").await, "");
        let row = row.with("v36", Some("7"), None);
        assert!(said(&row, "v20").await.contains("those of `v36`, which was trained on `clicks@7`"));
    }

    #[tokio::test]
    async fn no_more_is_asked_than_for_as_many_versions_without_any_behind_them() {
        let mut registry = Told::default();
        let mut versions = Vec::new();
        for number in 0..40 {
            registry = registry.with(&format!("old-{number}"), Some("8"), None).with(
                &format!("new-{number}"),
                Some("8"),
                Some(&format!("old-{number}")),
            );
            versions.push(named(&format!("new-{number}")));
        }
        let service = service();
        let descent = Descent::of(&registry, &service, versions.clone()).await;
        assert_eq!(registry.asked.load(Ordering::SeqCst), LOOKED_AT_MAX);
        let known = versions
            .iter()
            .filter(|version| descent.objection(&service, &Revision::of_model(version)).is_none());
        let known = known.count();
        assert!((24..40).contains(&known), "the rest is not known: {known}");
        // What several began with is asked for once.
        let mut registry = Told::default().with("old", Some("7"), None);
        for number in 0..40 {
            registry = registry.with(&format!("new-{number}"), Some("8"), Some("old"));
        }
        let descent = Descent::of(&registry, &service, versions.clone()).await;
        assert_eq!(registry.asked.load(Ordering::SeqCst), 41);
        assert!(versions.iter().all(|version| descent.is_condemned(&Revision::of_model(version))));
    }
}
