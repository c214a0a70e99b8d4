//! What is kept at hand for the next rollback.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_adapters::conformance::registering::{self, Naming, Registering};
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_adapters::registry_kept::{ArtefactsAtHand, KeptRegistry, forget_other_lists};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Lineage;
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::{AtHand, Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use tempfile::TempDir;

use crate::adapters::support::{Folders, StandingClock, open, publish, target, version};

/// A registry that can be away, and counts what it was asked.
struct Switched {
    registry: DirectoryRegistry,
    away: std::sync::Mutex<Away>,
    fetches: AtomicU32,
    lists: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Away {
    Here,
    Refuses(ErrorKind),
    Hangs,
}

impl Switched {
    async fn reached(&self) -> Result<(), PortError> {
        let away = *self.away.lock().unwrap();
        match away {
            Away::Here => Ok(()),
            Away::Refuses(kind) => Err(PortError::not_applied(kind, "the registry is away")),
            Away::Hangs => std::future::pending().await,
        }
    }

    fn set(&self, away: Away) {
        *self.away.lock().unwrap() = away;
    }
}

#[async_trait]
impl Registry for Switched {
    fn name(&self) -> &str {
        self.registry.name()
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.reached().await?;
        self.registry.versions(limit).await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        self.reached().await?;
        self.registry.version(version).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        self.reached().await?;
        self.registry.lineage(version).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.reached().await?;
        self.registry.manifest(version).await
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.reached().await?;
        self.registry.fetch(version, into).await
    }

    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        self.reached().await?;
        self.registry.register(new).await
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.registry.mark(version, mark).await
    }

    fn request_to_register(&self) -> Option<ripcord_core::request::Request> {
        self.registry.request_to_register()
    }

    fn production_name(&self) -> Option<&str> {
        None
    }

    fn request_to_promote(&self, _: &VersionName) -> Option<ripcord_core::request::Request> {
        None
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        self.reached().await?;
        Ok(None)
    }
}

struct World {
    root: TempDir,
    kept: TempDir,
    lists: TempDir,
    digests: [Digest; 2],
    inner: Arc<Switched>,
    clock: Arc<StandingClock>,
    folders: Folders,
}

const HOUR: u64 = 3_600_000;

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let digests = [
            publish(root.path(), "1.0", "2026-11-01T00:00:00Z"),
            publish(root.path(), "1.1", "2026-11-02T00:00:00Z"),
        ];
        let config = DirectoryRegistryConfig { root: root.path().to_owned(), model: "fraud".into() };
        let inner = Arc::new(Switched {
            registry: DirectoryRegistry::new(config).unwrap(),
            away: std::sync::Mutex::new(Away::Here),
            fetches: AtomicU32::new(0),
            lists: AtomicU32::new(0),
        });
        Self {
            root,
            kept: tempfile::tempdir().unwrap(),
            lists: tempfile::tempdir().unwrap(),
            digests,
            inner,
            clock: StandingClock::at(100 * HOUR),
            folders: Folders::default(),
        }
    }

    /// As a host that has just started sees it.
    fn started(&self, bytes_max: u64) -> KeptRegistry {
        let dir = Dir::open_ambient_dir(self.kept.path(), cap_std::ambient_authority()).unwrap();
        let at_hand = Arc::new(ArtefactsAtHand::open(dir, bytes_max).unwrap());
        let service = ServiceName::new("fraud-api").unwrap();
        KeptRegistry::new(&service, self.inner.clone(), at_hand, open(self.lists.path()), self.clock.clone())
    }

    async fn fetch(
        &self,
        registry: &KeptRegistry,
        name: &str,
        digest: Option<Digest>,
    ) -> Result<Staged, PortError> {
        registry.fetch(&target(name, digest), self.folders.next()).await
    }

    fn fetches(&self) -> u32 {
        self.inner.fetches.load(Ordering::SeqCst)
    }
}

const ROOM: u64 = 1 << 20;

#[tokio::test]
async fn it_conforms_cold_and_warm() {
    let world = World::new();
    let expected = Expected {
        newest_first: vec![target("1.1", Some(world.digests[1])), target("1.0", Some(world.digests[0]))],
        marks: true,
        promotes: false,
    };
    let inner = world.inner.registry.clone();
    let dir = Dir::open_ambient_dir(world.kept.path(), cap_std::ambient_authority()).unwrap();
    let at_hand = Arc::new(ArtefactsAtHand::open(dir, ROOM).unwrap());
    let service = ServiceName::new("fraud-api").unwrap();
    let adapter =
        KeptRegistry::new(&service, Arc::new(inner), at_hand, open(world.lists.path()), world.clock.clone());
    for _ in ["cold", "warm"] {
        registry::conforms(&adapter, &expected, &|| world.folders.next()).await;
    }
}

#[tokio::test]
async fn what_was_fetched_once_comes_from_this_machine_also_after_a_restart() {
    let world = World::new();
    let registry = world.started(ROOM);
    let pinned = world.fetch(&registry, "1.0", None).await.unwrap();
    assert_eq!((pinned.digest, world.fetches()), (world.digests[0], 1));
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    assert_eq!(registry.listing(10).await.unwrap().versions.len(), 2, "the list came with it");
    for registry in [registry, world.started(ROOM)] {
        let staged = world.fetch(&registry, "1.0", Some(world.digests[0])).await.unwrap();
        assert_eq!((&staged.files, staged.digest), (&pinned.files, pinned.digest));
    }
    assert_eq!(world.fetches(), 1, "the registry was not asked again");
    // Nothing is made up where nothing is pinned or kept.
    let registry = world.started(ROOM);
    for (name, digest) in [("1.0", None), ("1.1", Some(world.digests[1]))] {
        let error = world.fetch(&registry, name, digest).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{name}");
    }
}

#[tokio::test]
async fn what_is_registered_is_kept_and_stands_in_the_kept_list() {
    let world = World::new();
    let registry = world.started(ROOM);
    let empty_dir = || world.folders.next();
    let registering = Registering { registry: &registry, naming: Naming::Chosen, empty_dir: &empty_dir };
    registering::conforms(registering).await;
    let made = registry.versions(10).await.unwrap();
    let newest = made[0].version.clone();
    assert_eq!(world.fetches(), 0, "what was registered was at hand");
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    let listed = world.started(ROOM).listing(10).await.unwrap();
    assert_eq!((listed.versions, listed.listed_at.is_some()), (made, true));
    world.fetch(&world.started(ROOM), newest.version.as_str(), newest.digest).await.unwrap();
}

/// A file of the kept artefact, below the folder of its digest.
fn damage(world: &World, how: impl Fn(&Path)) {
    how(&world.kept.path().join(world.digests[0].to_string()));
}

#[tokio::test]
async fn a_kept_artefact_that_was_changed_is_never_staged() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("a byte", |folder| {
            let file = folder.join("model.txt");
            std::fs::remove_file(&file).unwrap();
            std::fs::write(file, "9.9\n").unwrap();
        }),
        ("a file that is gone", |folder| std::fs::remove_file(folder.join("weights/0.bin")).unwrap()),
        ("a file too many", |folder| std::fs::write(folder.join("more"), "x").unwrap()),
        ("a link", |folder| std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap()),
    ];
    for (what, how) in damages {
        let world = World::new();
        let registry = world.started(ROOM);
        let first = world.fetch(&registry, "1.0", None).await.unwrap();
        damage(&world, how);
        let staged = world.fetch(&registry, "1.0", Some(world.digests[0])).await.unwrap();
        assert_eq!((staged.files, world.fetches()), (first.files, 2), "{what}: the registry was asked");
        // It is kept anew, whole.
        world.inner.set(Away::Refuses(ErrorKind::Unreachable));
        assert!(world.fetch(&registry, "1.0", Some(world.digests[0])).await.is_ok(), "{what}");
    }
}

#[tokio::test]
async fn the_budget_holds_and_the_least_recent_goes_first() {
    let world = World::new();
    let one_only = 1_500;
    let registry = world.started(one_only);
    for (name, digest) in [("1.0", world.digests[0]), ("1.1", world.digests[1])] {
        world.fetch(&registry, name, Some(digest)).await.unwrap();
    }
    let held: Vec<_> =
        std::fs::read_dir(world.kept.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(held, [world.digests[1].to_string().as_str()]);
    // A smaller budget after a restart holds as well, and none keeps nothing.
    let registry = world.started(0);
    assert_eq!(std::fs::read_dir(world.kept.path()).unwrap().count(), 0);
    world.fetch(&registry, "1.0", None).await.unwrap();
    assert_eq!(std::fs::read_dir(world.kept.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_half_written_is_removed_at_the_next_start() {
    let world = World::new();
    std::fs::create_dir(world.kept.path().join(format!("{}.new", world.digests[0]))).unwrap();
    std::fs::write(world.kept.path().join("stray"), "x").unwrap();
    drop(world.started(ROOM));
    assert_eq!(std::fs::read_dir(world.kept.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_list_is_used_while_the_registry_gives_none_and_tells_its_age() {
    for away in [
        Away::Refuses(ErrorKind::Unreachable),
        Away::Refuses(ErrorKind::Failed),
        Away::Refuses(ErrorKind::BadAnswer),
        Away::Refuses(ErrorKind::Denied),
        Away::Hangs,
    ] {
        let world = World::new();
        let registry = world.started(ROOM);
        world.inner.set(away);
        if away != Away::Hangs {
            assert!(registry.listing(10).await.is_err(), "{away:?}: nothing is kept yet");
        }
        world.inner.set(Away::Here);
        let fresh = registry.listing(10).await.unwrap();
        assert_eq!((fresh.versions.len(), fresh.listed_at), (2, None));
        world.clock.set(130 * HOUR);
        world.inner.set(away);
        for registry in [registry, world.started(ROOM)] {
            let kept = registry.listing(1).await.unwrap();
            assert_eq!(kept.versions, fresh.versions[..1], "{away:?}");
            assert_eq!(kept.listed_at, Some(UnixMillis(100 * HOUR)), "{away:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_registry_is_never_replaced_by_an_older_one() {
    let world = World::new();
    let registry = world.started(ROOM);
    registry.listing(10).await.unwrap();
    world.inner.set(Away::Refuses(ErrorKind::NotFound));
    let error = registry.listing(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(registry.version(&version("1.0")).await.unwrap_err().kind, ErrorKind::NotFound);
    // One that is away is.
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    assert_eq!(registry.version(&version("1.0")).await.unwrap().version.version, version("1.0"));
    assert!(registry.version(&version("7.7")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_last_lineage_of_a_version_is_used_while_the_registry_tells_none() {
    let (first, second) = (version("1.0"), version("1.1"));
    for away in [Away::Refuses(ErrorKind::Unreachable), Away::Refuses(ErrorKind::TimedOut), Away::Hangs] {
        let world = World::new();
        let registry = world.started(ROOM);
        let fresh = registry.lineage(&first).await.unwrap();
        assert!(fresh.trained_on().next().is_some_and(|(_, revision)| revision.is_some()), "{fresh:?}");
        world.inner.set(away);
        for registry in [registry, world.started(ROOM)] {
            let asked = tokio::time::Instant::now();
            assert_eq!(registry.lineage(&first).await.unwrap(), fresh, "{away:?}");
            assert!(asked.elapsed() < std::time::Duration::from_secs(1), "{away:?}: {:?}", asked.elapsed());
            // Nothing is made up of one that was never read.
            if away != Away::Hangs {
                assert!(registry.lineage(&second).await.is_err(), "{away:?}");
            }
        }
    }
    // What the registry says itself stands, and a file that does not decode is none.
    let world = World::new();
    world.started(ROOM).lineage(&first).await.unwrap();
    world.inner.set(Away::Refuses(ErrorKind::NotFound));
    assert_eq!(world.started(ROOM).lineage(&first).await.unwrap_err().kind, ErrorKind::NotFound);
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    assert!(world.started(ROOM).lineage(&first).await.is_ok());
    std::fs::write(world.lists.path().join("fraud-api.lineages"), "{").unwrap();
    assert!(world.started(ROOM).lineage(&first).await.is_err());
}

#[tokio::test]
async fn an_old_list_is_made_anew_when_production_is_looked_at() {
    let world = World::new();
    let registry = world.started(ROOM);
    let lists = || world.inner.lists.load(Ordering::SeqCst);
    registry.promoted().await.unwrap();
    registry.promoted().await.unwrap();
    assert_eq!(lists(), 1, "a young one is left");
    publish(world.root.path(), "1.2", "2026-11-03T00:00:00Z");
    world.clock.set(101 * HOUR);
    registry.promoted().await.unwrap();
    assert_eq!(lists(), 2);
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    assert_eq!(registry.listing(10).await.unwrap().versions.len(), 3);
    // A file that does not decode is no list.
    let file = std::fs::read_dir(world.lists.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, "{").unwrap();
    assert!(world.started(ROOM).listing(10).await.is_err());
}

#[test]
fn lists_of_services_that_are_gone_are_forgotten() {
    let folder = TempDir::new().unwrap();
    let dir = open(folder.path());
    for name in ["here.json", "here.lineages", "gone.json", "gone.lineages", ".here.json.17-0.ripcord-new"] {
        dir.write(name, b"{}").unwrap();
    }
    forget_other_lists(&dir, &[ServiceName::new("here").unwrap()]).unwrap();
    let mut left: Vec<_> = dir.entries().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["here.json", "here.lineages"]);
}

#[tokio::test]
async fn whether_an_artefact_is_at_hand_is_told_without_the_registry() {
    let world = World::new();
    let first = target("1.0", Some(world.digests[0]));
    let registry = world.started(ROOM);
    let missing = |why: &str| AtHand::Missing(why.to_owned());
    assert_eq!(registry.at_hand(&first).await.unwrap(), missing("it is not among those that are kept"));
    let open = registry.at_hand(&target("1.0", None)).await.unwrap();
    assert!(matches!(&open, AtHand::Missing(why) if why.contains("not pinned")), "{open:?}");
    assert_eq!(world.started(0).at_hand(&first).await.unwrap(), AtHand::NotKept);

    world.fetch(&registry, "1.0", None).await.unwrap();
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole);
    // What cannot be told now is not thrown away.
    damage(&world, |folder| std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap());
    let error = registry.at_hand(&first).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Local, "{error}");
    damage(&world, |folder| std::fs::remove_file(folder.join("link")).unwrap());
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole);
    // Bytes that rot are found beside the looks.
    damage(&world, |folder| {
        let file = folder.join("model.txt");
        let bytes = std::fs::metadata(&file).unwrap().len();
        std::fs::remove_file(&file).unwrap();
        std::fs::write(file, vec![b'9'; usize::try_from(bytes).unwrap()]).unwrap();
    });
    let mut looks = 0;
    while registry.at_hand(&first).await.unwrap() == AtHand::Whole {
        looks += 1;
        assert!(looks < 500, "it is never found to be damaged");
        world.clock.forward(7 * HOUR);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(registry.at_hand(&first).await.unwrap(), missing("it is not among those that are kept"));
    world.inner.set(Away::Here);
    world.fetch(&registry, "1.0", Some(world.digests[0])).await.unwrap();
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole, "it was fetched again");
    world.inner.set(Away::Refuses(ErrorKind::Unreachable));
}

#[tokio::test]
async fn a_file_that_is_gone_or_has_another_name_is_seen_at_the_next_look() {
    let first = |world: &World| target("1.0", Some(world.digests[0]));
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |folder| std::fs::remove_file(folder.join("weights/0.bin")).unwrap(),
        |folder| std::fs::rename(folder.join("model.txt"), folder.join("nodel.txt")).unwrap(),
        |folder| std::fs::write(folder.join("empty"), "").unwrap(),
    ];
    for how in damages {
        let world = World::new();
        let registry = world.started(ROOM);
        world.fetch(&registry, "1.0", None).await.unwrap();
        assert_eq!(registry.at_hand(&first(&world)).await.unwrap(), AtHand::Whole);
        damage(&world, how);
        // The first look may be reading its files just now, and find it, too.
        let looked = registry.at_hand(&first(&world)).await.unwrap();
        assert!(matches!(looked, AtHand::Missing(_)), "{looked:?}");
    }
}

#[tokio::test]
async fn what_had_to_make_room_is_told_apart_from_what_was_lost() {
    let world = World::new();
    let first = target("1.0", Some(world.digests[0]));
    let probe = world.fetch(&world.started(0), "1.0", None).await.unwrap();
    let bytes: u64 = probe.files.iter().map(|file| file.bytes).sum();
    let registry = world.started(bytes);
    world.fetch(&registry, "1.0", None).await.unwrap();
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole);
    world.fetch(&registry, "1.1", None).await.unwrap();
    let none = registry.at_hand(&first).await.unwrap();
    assert!(matches!(&none, AtHand::NoRoom(why) if why.contains("kept-artefacts-mib")), "{none:?}");
    world.fetch(&registry, "1.0", Some(world.digests[0])).await.unwrap();
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole);
    let small = world.started(bytes - 1);
    world.fetch(&small, "1.0", Some(world.digests[0])).await.unwrap();
    assert!(matches!(small.at_hand(&first).await.unwrap(), AtHand::NoRoom(_)), "it is larger than all of it");
}

#[tokio::test]
async fn what_is_looked_at_does_not_make_room_for_what_nobody_needs() {
    let world = World::new();
    let first = target("1.0", Some(world.digests[0]));
    let probe = world.fetch(&world.started(0), "1.0", None).await.unwrap();
    let bytes: u64 = probe.files.iter().map(|file| file.bytes).sum();
    publish(world.root.path(), "1.2", "2026-11-03T00:00:00Z");
    let registry = world.started(2 * bytes);
    for name in ["1.0", "1.1"] {
        world.fetch(&registry, name, None).await.unwrap();
    }
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole);
    world.fetch(&registry, "1.2", None).await.unwrap();
    assert_eq!(registry.at_hand(&first).await.unwrap(), AtHand::Whole, "1.1 made room");
}
