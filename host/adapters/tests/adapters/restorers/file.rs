//! A file that a process reads.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use async_trait::async_trait;
use ripcord_adapters::conformance::restorer::{Expected, RestoredService, conforms};
use ripcord_adapters::conformance::restorer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::restorer_file::{FileRestorer, FileRestorerConfig};
use ripcord_adapters::{ReadBackConfig, RestorerSecrets};
use ripcord_core::facet::FacetState;
use ripcord_core::live::Proof;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::{Applied, ErrorKind, Restorer};

use super::{FileService, content_of, in_force, names, order, revisions, told, with_revisions};
use crate::adapters::support::{shared, version};

/// As it stands in a configuration.
pub(super) fn config(root: &Path, more: &str) -> FileRestorerConfig {
    let (file, history) = (root.join("live/thresholds.toml"), root.join("history"));
    let text = format!("file = {file:?}\nhistory = {history:?}\n{more}");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

pub(super) fn restorer(root: &Path, more: &str) -> FileRestorer {
    FileRestorer::new(config(root, more), RestorerSecrets::default(), &shared()).unwrap()
}

fn asking(url: &str, place: &str) -> String {
    format!("[reload]\npost = [\"{url}/reload\"]\n[read-back]\nurls = [\"{url}{place}")
}

const PLACES: [(&str, Proof); 4] = [
    ("/status\"]\npointer = \"/thresholds/revision\"", Proof::Answer),
    ("/status\"]\npointer = \"/thresholds/digest\"\ntells = \"digest\"", Proof::Digest),
    ("/status\"]\nheader = \"x-thresholds\"\ntells = \"digest\"\nanswers = 3", Proof::Digest),
    ("/metrics\"]\nmetric = \"thresholds_info\"\nlabel = \"revision\"", Proof::Answer),
];

#[tokio::test]
async fn it_conforms_wherever_the_service_says_what_it_works_with() {
    for (place, proof) in PLACES {
        let root = tempfile::tempdir().unwrap();
        let (file, _) = with_revisions(root.path());
        let service = FileService::of(file).await;
        let restorer = restorer(root.path(), &asking(&service.server.url(""), place));
        conforms(&restorer, &service, &Expected { newest_first: revisions(&["8", "7"]) }).await;
        let state = in_force(&restorer).await;
        assert_eq!(state.known().map(|known| known.proof), Some(proof), "{place}");
    }
}

#[tokio::test]
async fn it_conforms_in_faults() {
    for (place, _) in PLACES {
        let root = tempfile::tempdir().unwrap();
        let (file, _) = with_revisions(root.path());
        let service = FileService::of(file).await;
        let proxy = FaultProxy::start(&service.server.url("")).await.unwrap();
        let restorer = restorer(root.path(), &asking(&proxy.url(), place));
        let (one, two) = (version("7"), version("8"));
        conforms_in_faults(Faulty {
            restorer: &restorer,
            service: &service,
            proxy: &proxy,
            changes: &Which::Changes,
            one: &one,
            two: &two,
        })
        .await;
    }
}

/// A process that reads its file for every request.
struct Watching(std::path::PathBuf);

#[async_trait]
impl RestoredService for Watching {
    async fn works_with(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }

    async fn go_astray(&self) {
        std::fs::write(&self.0, "by hand").unwrap();
    }
}

#[tokio::test]
async fn it_conforms_where_the_process_looks_by_itself_and_then_the_file_alone_is_believed() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let restorer = restorer(root.path(), "");
    conforms(&restorer, &Watching(file), &Expected { newest_first: revisions(&["8", "7"]) }).await;
    assert_eq!(in_force(&restorer).await.known().unwrap().proof, Proof::ControlPlane);
}

#[tokio::test]
#[should_panic(expected = "`puts-in-force-and-not-only-in-store` is broken")]
async fn one_that_stores_and_does_not_reload_fails_the_suite() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let service = FileService::of(file).await;
    let restorer = restorer(root.path(), "");
    conforms(&restorer, &service, &Expected { newest_first: revisions(&["8", "7"]) }).await;
}

#[tokio::test]
async fn the_history_says_who_made_what_when_and_is_named_by_the_oldest_with_the_content() {
    let root = tempfile::tempdir().unwrap();
    let (_, history) = with_revisions(root.path());
    std::fs::write(history.join("9"), content_of("7")).unwrap();
    std::fs::write(history.join("9.about.toml"), "made-at = \"2026-11-22T08:00:00Z\"").unwrap();
    let restorer = restorer(root.path(), "");
    let listed = restorer.history(10).await.unwrap();
    assert_eq!(names(&listed), ["8", "7"], "what has the content of another is that one");
    assert_eq!((listed[1].made_by.as_deref(), listed[1].summary.as_str()), (Some("ada"), "limits of 7"));
    assert_eq!(listed[1].made_at, Some(ripcord_core::time::UnixMillis(1_795_161_600_000)));
    let again = restorer.revision(&version("9")).await.unwrap();
    assert!(again.broken.unwrap().contains("older revision `7`"));
    let error = restorer.shift(&order("9", None)).await.unwrap_err();
    assert!(error.to_string().contains("`9` cannot be restored"), "{error}");
}

#[tokio::test]
async fn what_is_found_in_the_file_becomes_a_revision_before_it_is_overwritten_and_the_oldest_are_forgotten()
{
    let root = tempfile::tempdir().unwrap();
    let (file, history) = with_revisions(root.path());
    let restorer = restorer(root.path(), "keep = 2");
    let mut kept = Vec::new();
    for number in 0..4 {
        std::fs::write(&file, format!("by hand, {number}")).unwrap();
        let FacetState::InForce(found) = in_force(&restorer).await else { panic!("it is a revision now") };
        assert!(found.revision.as_str().starts_with("sha256-"), "{found:?}");
        let about = history.join(format!("{}.about.toml", found.revision));
        // Files that are changed within a millisecond have no order of their own.
        let dated = std::fs::read_to_string(&about).unwrap();
        let made_at = format!("made-at = \"2026-11-22T08:00:0{number}Z\"");
        let others = dated.lines().filter(|line| !line.starts_with("made-at"));
        std::fs::write(
            &about,
            std::iter::once(made_at.as_str()).chain(others).collect::<Vec<_>>().join("\n"),
        )
        .unwrap();
        kept.push(found.revision.to_string());
    }
    let listed = restorer.history(10).await.unwrap();
    assert_eq!(names(&listed), [&kept[3], &kept[2], "8", "7"], "what people have put there stays");
    assert_eq!(listed[0].summary, "found in the file and kept before it was overwritten");
    restorer.shift(&order("7", Some(&kept[3]))).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content_of("7"));
    restorer.shift(&order(&kept[3], Some("7"))).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "by hand, 3", "it can be put back");
}

#[tokio::test]
async fn the_file_keeps_its_rights_and_nothing_is_left_beside() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = std::fs::metadata(&file).unwrap();
    // Left by a host that was killed.
    std::fs::write(root.path().join("live/.thresholds.toml.ripcord-new"), "half").unwrap();
    restorer(root.path(), "").shift(&order("7", Some("8"))).await.unwrap();
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o640);
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(
        after.ino(),
        before.ino(),
        "it was replaced and not written over: whoever reads sees one of the two"
    );
    assert_eq!(std::fs::read_dir(root.path().join("live")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_reload_that_was_owed_when_the_host_died_is_not_taken_for_done() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let flag = root.path().join("may-reload");
    let script = format!("test -e {}", flag.display());
    let restorer = restorer(root.path(), &format!("[reload]\ncommand = [\"sh\", \"-c\", {script:?}]"));
    let order = order("7", Some("8"));
    let error = restorer.shift(&order).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    assert!(
        error.to_string().contains("`7` is stored, and the service may not have taken it over"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content_of("7"));
    assert!(told(&restorer).await.contains("it is not known whether the service was told"));
    assert_eq!(restorer.probe(&order).await.unwrap(), Probe::NotApplied);
    std::fs::write(&flag, "").unwrap();
    assert_eq!(restorer.shift(&order).await.unwrap(), Shifted::Done, "the same order goes on");
    assert_eq!(told(&restorer).await, "7 (control plane only)");
    assert_eq!(restorer.probe(&order).await.unwrap(), Probe::Applied);
}

#[tokio::test]
async fn the_process_is_sent_a_signal_and_no_other_process_is() {
    let root = tempfile::tempdir().unwrap();
    with_revisions(root.path());
    let (pid_file, got) = (root.path().join("scorer.pid"), root.path().join("got"));
    let script =
        format!("trap 'echo told > {}; exit' USR1; echo ready; while :; do sleep 0.02; done", got.display());
    let mut process = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut ready).unwrap();
    std::fs::write(&pid_file, format!("{}\n", process.id())).unwrap();
    let named = |name: &str| {
        restorer(
            root.path(),
            &format!("[reload]\nsignal = \"usr1\"\npid-file = {pid_file:?}\nprocess = \"{name}\""),
        )
    };
    let error = named("scorer").shift(&order("7", Some("8"))).await.unwrap_err().to_string();
    assert!(error.contains("is out of date: the process with its number is `"), "{error}");
    let name = std::fs::read_to_string(format!("/proc/{}/comm", process.id())).unwrap();
    let shifted = named(name.trim()).shift(&order("7", None)).await.unwrap();
    assert_eq!(shifted, Shifted::Done);
    process.wait().unwrap();
    assert_eq!(std::fs::read_to_string(&got).unwrap(), "told\n");
    let error = named(name.trim()).shift(&order("8", None)).await.unwrap_err().to_string();
    assert!(error.contains("does not run"), "{error}");
    for text in ["", "1", "-5", "scorer", "99999999999"] {
        std::fs::write(&pid_file, text).unwrap();
        let error = named(name.trim()).shift(&order("8", None)).await.unwrap_err().to_string();
        assert!(error.contains("holds no number of a process"), "{text}: {error}");
    }
}

#[tokio::test]
async fn replicas_that_differ_are_unknown_and_what_is_in_force_is_not_what_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let (file, _) = with_revisions(root.path());
    let (one, two) = (FileService::of(file.clone()).await, FileService::of(file).await);
    let of = |reloads: &[&FileService]| {
        let posts: Vec<_> = reloads.iter().map(|service| service.server.url("/reload")).collect();
        let asked = [one.server.url("/status"), two.server.url("/status")];
        let text = format!(
            "[reload]\npost = {posts:?}\n[read-back]\nurls = {asked:?}\npointer = \"/thresholds/revision\""
        );
        restorer(root.path(), &text)
    };
    let half = of(&[&one]);
    let order = order("7", Some("8"));
    half.shift(&order).await.unwrap();
    let why = told(&half).await;
    assert!(
        why.starts_with("not every answer is the same: ")
            && why.contains("says `7`")
            && why.contains("says `8`"),
        "{why}"
    );
    assert!(matches!(half.probe(&order).await.unwrap(), Probe::CannotTell(_)));
    assert_eq!(half.shift(&super::order("8", Some("7"))).await.unwrap_err().kind, ErrorKind::Conflict);
    let whole = of(&[&one, &two]);
    whole.shift(&super::order("7", None)).await.unwrap();
    assert_eq!(told(&whole).await, "7 (version in an answer)");
}

#[test]
fn a_configuration_reads_as_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let all = config(
        root.path(),
        "format = \"env\"\nkeep = 5\n[reload]\ncommand = [\"systemctl\", \"restart\", \"scorer\"]\nsurroundings = { deadline-ms = 5000 }\n[read-back]\nurls = [\"http://127.0.0.1:1/\"]\nheader = \"x-revision\"",
    );
    assert_eq!(all.keep, 5);
    let ReadBackConfig { answers, deadline_ms, .. } = all.read_back.unwrap();
    assert_eq!((answers, deadline_ms), (1, 10_000));
    assert!(toml::from_str::<FileRestorerConfig>("file = \"a\"\nhistory = \"b\"\nreloads = 1").is_err());
}
