//! A file in a git repository.

use std::path::Path;

use ripcord_adapters::conformance::restorer::{Expected, conforms};
use ripcord_adapters::conformance::restorer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{Fault, FaultProxy, Which};
use ripcord_adapters::restorer_git::{GitRestorer, GitRestorerConfig};
use ripcord_adapters::{RestorerSecrets, Secret};
use ripcord_core::name::VersionName;
use ripcord_ports::deployer::Probe;
use ripcord_ports::{Applied, ErrorKind, Restorer};

use super::git_server::{Repository, git, smart_http};
use super::{FileService, content_of, names, order, told};
use crate::adapters::support::{shared, version};

const PATH: &str = "fraud/thresholds.toml";

fn config(repository: &str, data: &Path, more: &str) -> GitRestorerConfig {
    let text = format!("repository = {repository:?}\npath = {PATH:?}\n{more}");
    let read: GitRestorerConfig = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    GitRestorerConfig { data: data.to_owned(), ..read }
}

fn restorer(repository: &str, data: &Path, more: &str) -> GitRestorer {
    GitRestorer::new(config(repository, data, more), RestorerSecrets::default(), &shared()).unwrap()
}

/// Two changes of the file, with others between; the newest first.
fn two_changes(repository: &Repository) -> [String; 2] {
    let one = repository.commit(PATH, &content_of("7"), "Limits after the review");
    repository.commit("README", "of others", "Say what this is");
    let two = repository.commit(PATH, &content_of("8"), "Limits for the new scorer");
    repository.commit("README", "of others, too", "Say more");
    [two, one]
}

/// A service that takes the file from the branch when it is told.
async fn service(repository: &Repository) -> FileService {
    let bare = repository.bare.clone();
    FileService::new(move || {
        let shown = std::process::Command::new("git")
            .current_dir(&bare)
            .args(["show", &format!("main:{PATH}")])
            .output()
            .unwrap();
        shown.stdout
    })
    .await
}

fn asking(service: &FileService) -> String {
    format!(
        "[reload]\npost = [\"{}\"]\n[read-back]\nurls = [\"{}\"]\npointer = \"/thresholds/digest\"\ntells = \"digest\"",
        service.server.url("/reload"),
        service.server.url("/status")
    )
}

fn of(commits: &[String]) -> Vec<VersionName> {
    commits.iter().map(|commit| version(commit)).collect()
}

#[tokio::test]
async fn it_conforms_with_a_local_repository_and_over_smart_http() {
    for over_http in [false, true] {
        let repository = Repository::new();
        let changes = two_changes(&repository);
        let server = smart_http(repository.root.path(), None).await;
        let address = match over_http {
            true => server.url("/settings.git"),
            false => repository.bare.display().to_string(),
        };
        let service = service(&repository).await;
        let restorer = restorer(&address, &repository.root.path().join("data"), &asking(&service));
        conforms(&restorer, &service, &Expected { newest_first: of(&changes) }).await;
        assert!(told(&restorer).await.ends_with("(digest)"));
    }
}

#[tokio::test]
async fn it_conforms_in_faults_of_the_server() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let server = smart_http(repository.root.path(), None).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    let service = service(&repository).await;
    let address = format!("{}/settings.git", proxy.url());
    let restorer = restorer(&address, &repository.root.path().join("data"), &asking(&service));
    let (one, two) = (version(&one), version(&two));
    conforms_in_faults(Faulty {
        restorer: &restorer,
        service: &service,
        proxy: &proxy,
        changes: &Which::With("/git-receive-pack"),
        one: &one,
        two: &two,
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "`puts-in-force-and-not-only-in-store` is broken")]
async fn one_that_pushes_and_does_not_reload_fails_the_suite() {
    let repository = Repository::new();
    let changes = two_changes(&repository);
    let service = service(&repository).await;
    let address = repository.bare.display().to_string();
    let restorer = restorer(&address, &repository.root.path().join("data"), "");
    conforms(&restorer, &service, &Expected { newest_first: of(&changes) }).await;
}

#[tokio::test]
async fn a_revision_is_put_back_by_a_new_commit_that_says_why_and_touches_nothing_else() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let before = repository.tip();
    let address = repository.bare.display().to_string();
    let restorer =
        restorer(&address, &repository.root.path().join("data"), "author-name = \"Ripcord of payments\"");
    restorer.shift(&order(&one, Some(&two))).await.unwrap();
    let log = git(&repository.bare, &["log", "-1", "--format=%an%n%P%n%B", "main"]);
    let plan = ripcord_core::digest::Digest::of("the suite's plan");
    for line in [
        "Ripcord of payments".to_owned(),
        before.clone(),
        format!("Restore {PATH} as of {}", &one[..12]),
        "Ripcord-Incident: conformance:1".to_owned(),
        format!("Ripcord-Plan: {plan}"),
        format!("Ripcord-Restores: {one}"),
        "Ripcord-Key: key-1".to_owned(),
    ] {
        assert!(log.lines().any(|found| found == line), "{line}: {log}");
    }
    assert_eq!(git(&repository.bare, &["diff", "--name-only", &before, "main"]), PATH);
    assert_eq!(repository.holds(PATH), content_of("7").trim());
    assert_eq!(
        told(&restorer).await,
        format!("{one} (control plane only)"),
        "it is the revision, not the new commit"
    );
    let listed = restorer.history(10).await.unwrap();
    assert_eq!(names(&listed), [&two, &one]);
    assert_eq!(
        (listed[0].made_by.as_deref(), listed[0].summary.as_str()),
        (Some("Ada"), "Limits for the new scorer")
    );
    let tip = repository.tip();
    restorer.shift(&order(&one, Some(&one))).await.unwrap();
    assert_eq!(repository.tip(), tip, "what is there is not committed again");
}

#[tokio::test]
async fn a_push_by_somebody_else_between_look_and_push_is_a_conflict_and_stays() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let server = smart_http(repository.root.path(), None).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    let address = format!("{}/settings.git", proxy.url());
    let restorer = restorer(&address, &repository.root.path().join("data"), "");
    // The one asks before it pushes, so the first that meets this is held: it looks, and somebody else pushes.
    for held in [Which::With("service=git-receive-pack"), Which::With("/git-receive-pack")] {
        proxy.calm();
        proxy.order(held.clone(), Fault::Delay(std::time::Duration::from_millis(1_500)), 1);
        let order = order(&one, Some(&two));
        let (shifted, theirs) = tokio::join!(restorer.shift(&order), async {
            while proxy.count(&held) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            repository.commit("README", &format!("{held:?}"), "Something of theirs")
        });
        let error = shifted.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
        assert!(error.to_string().contains("somebody else has pushed to the branch `main`"), "{error}");
        assert_eq!(repository.tip(), theirs, "nothing is forced");
        assert_eq!(restorer.probe(&order).await.unwrap(), Probe::NotApplied);
    }
    proxy.calm();
    restorer.shift(&order(&one, Some(&two))).await.unwrap();
    assert_eq!(repository.holds(PATH), content_of("7").trim(), "planned again it goes through");
}

#[tokio::test]
async fn what_was_pushed_and_not_reloaded_is_not_in_force() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let flag = repository.root.path().join("may-reload");
    let more = format!("[reload]\ncommand = [\"sh\", \"-c\", \"test -e {}\"]", flag.display());
    let address = repository.bare.display().to_string();
    let restorer = restorer(&address, &repository.root.path().join("data"), &more);
    let order = order(&one, Some(&two));
    let error = restorer.shift(&order).await.unwrap_err();
    assert!(
        error.applied == Applied::Unknown && error.to_string().contains("may not have taken it over"),
        "{error}"
    );
    assert!(told(&restorer).await.contains("it is not known whether the service was told"));
    assert_eq!(restorer.probe(&order).await.unwrap(), Probe::NotApplied);
    let tip = repository.tip();
    std::fs::write(&flag, "").unwrap();
    restorer.shift(&order).await.unwrap();
    assert_eq!(repository.tip(), tip, "one commit is enough");
    assert_eq!(restorer.probe(&order).await.unwrap(), Probe::Applied);
}

#[tokio::test]
async fn a_commit_that_a_service_names_is_known_by_the_content_that_it_has() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let named = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let says = std::sync::Arc::clone(&named);
    let router = axum::Router::new().fallback(move || {
        let commit = says.lock().unwrap().clone();
        async move { axum::Json(serde_json::json!({ "commit": commit })) }
    });
    let server = crate::adapters::support::Server::start(router).await;
    let more = format!("[read-back]\nurls = [\"{}\"]\npointer = \"/commit\"", server.url("/"));
    let address = repository.bare.display().to_string();
    let restorer = restorer(&address, &repository.root.path().join("data"), &more);
    restorer.shift(&order(&one, None)).await.unwrap();
    let restored = repository.tip();
    let of_others = git(&repository.bare, &["rev-parse", "main~1"]);
    for (commit, expected) in [
        (two.as_str(), two.as_str()),
        (&two[..9], &two),
        (&of_others, &two),
        (&restored, &one),
        ("main", "`main`, which is no commit of the branch `main`"),
        ("0123456789012345678901234567890123456789", "which is no commit of"),
        (&one[..3], "which is no commit of"),
    ] {
        *named.lock().unwrap() = commit.to_owned();
        let told = told(&restorer).await;
        assert!(told.contains(expected), "{commit}: {told}");
    }
}

#[tokio::test]
async fn a_working_tree_follows_where_git_is_told_to_and_else_people_are_told_why_not() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let (work, data) = (repository.work.clone(), repository.root.path().join("data"));
    let restorer = restorer(&work.display().to_string(), &data, "");
    let shift = || async { restorer.shift(&order(&one, None)).await.unwrap_err().to_string() };

    let expected = "config receive.denyCurrentBranch updateInstead`";
    assert!(restorer.obstacle().await.unwrap().contains(expected));
    let error = shift().await;
    assert!(error.contains("is checked out there") && error.contains(expected), "{error}");
    git(&work, &["config", "receive.denyCurrentBranch", "updateInstead"]);
    assert_eq!(restorer.obstacle().await, None);

    std::fs::write(work.join(PATH), "by hand").unwrap();
    let expected = format!("has changes of `{PATH}` that no commit holds");
    assert!(told(&restorer).await.contains(&expected), "what the branch holds is not what lies there");
    assert!(shift().await.contains(&expected));
    git(&work, &["checkout", "--quiet", "--", PATH]);
    std::fs::write(work.join("README"), "by hand").unwrap();
    let error = shift().await;
    assert!(error.contains("has changes that no commit holds"), "{error}");
    git(&work, &["checkout", "--quiet", "--", "README"]);

    git(&work, &["checkout", "--quiet", "--detach"]);
    assert!(shift().await.contains("is detached from every branch: check `main` out there"));
    git(&work, &["checkout", "--quiet", "-b", "trial"]);
    assert!(told(&restorer).await.contains("is on the branch `trial`"));
    git(&work, &["checkout", "--quiet", "main"]);

    restorer.shift(&order(&one, Some(&two))).await.unwrap();
    assert_eq!(std::fs::read_to_string(work.join(PATH)).unwrap(), content_of("7"));
}

#[tokio::test]
async fn revisions_that_cannot_be_restored_say_why() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let lfs = repository.commit(
        PATH,
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "Large",
    );
    let large = repository.commit(PATH, &"#".repeat(1 << 20), "Larger");
    std::fs::remove_file(repository.work.join(PATH)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repository.work.join(PATH)).unwrap();
    git(&repository.work, &["add", "-A"]);
    let link = repository.commit_all("A link");
    git(&repository.work, &["rm", "--quiet", PATH]);
    let gone = repository.commit_all("Gone");
    let again = repository.commit(PATH, &content_of("7"), "Again");
    let other = repository.commit("README", "new", "Something else");
    let address = repository.bare.display().to_string();
    let restorer = restorer(&address, &repository.root.path().join("data"), "");
    assert_eq!(told(&restorer).await, format!("{one} (control plane only)"));
    for (commit, expected) in [
        (lfs.as_str(), "is a pointer of Git LFS"),
        (&large, "has more than 1048576 bytes"),
        (&link, "is a symbolic link"),
        (&gone, "the file was deleted"),
        (&again, "is that of the older revision `"),
        (&other, "it changed something else"),
        ("0123456789012345678901234567890123456789", "there is no revision `0123"),
        ("main", "there is no revision `main`"),
    ] {
        let error = restorer.shift(&order(commit, None)).await.unwrap_err();
        assert!(error.applied == Applied::No && error.to_string().contains(expected), "{commit}: {error}");
    }
    let listed = restorer.history(10).await.unwrap();
    assert_eq!(names(&listed), [&gone, &link, &large, &lfs, &two, &one]);

    // Somebody rewrites the history: what is gone from it is not restored, and what is left is.
    let kept = git(&repository.work, &["rev-parse", &format!("{two}~2")]);
    git(&repository.work, &["reset", "--quiet", "--hard", &kept]);
    std::fs::write(repository.work.join(PATH), content_of("9")).unwrap();
    git(&repository.work, &["commit", "--quiet", "-a", "-m", "Another history"]);
    git(&repository.work, &["push", "--quiet", "--force", "origin", "HEAD:main"]);
    let error = restorer.shift(&order(&two, None)).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::NotFound
            && error
                .to_string()
                .contains("the history was rewritten since: take a revision that is listed now"),
        "{error}"
    );
    restorer.shift(&order(&one, None)).await.unwrap();
    assert_eq!(repository.holds(PATH), content_of("7").trim());
}

#[tokio::test]
async fn repositories_that_cannot_be_used_say_why() {
    let repository = Repository::new();
    two_changes(&repository);
    let root = repository.root.path();
    let bare = repository.bare.display().to_string();
    git(root, &["clone", "--quiet", "--bare", "--depth=1", &format!("file://{bare}"), "shallow.git"]);
    git(root, &["init", "--quiet", "--bare", "empty.git"]);
    let at = |name: &str| root.join(name).display().to_string();
    let server = smart_http(root, Some("Basic YWRhOmh1bnRlcjI=")).await;
    for (repository, more, kind, expected) in [
        (bare.clone(), "branch = \"release\"", ErrorKind::NotFound, "has no branch `release`: push it again"),
        (at("empty.git"), "", ErrorKind::NotFound, "has no branch `main`: push it again"),
        (at("shallow.git"), "", ErrorKind::Unsupported, "is a shallow clone, whose history is cut off: run"),
        (at("work/fraud"), "", ErrorKind::NotFound, "is no git repository"),
        (at("nowhere"), "", ErrorKind::NotFound, "is no git repository"),
        (server.url("/settings.git"), "", ErrorKind::Denied, "wants other credentials"),
        (
            "http://127.0.0.1:1/settings.git".to_owned(),
            "",
            ErrorKind::Unreachable,
            "cannot be reached: check that it runs",
        ),
    ] {
        let data = tempfile::tempdir().unwrap();
        let error = restorer(&repository, data.path(), more).history(9).await.unwrap_err();
        assert!(
            error.kind == kind && error.to_string().contains(expected),
            "{repository}: {:?} {error}",
            error.kind
        );
        assert_eq!(error.applied, Applied::No);
    }
    let secrets = RestorerSecrets { store: Some(Secret::new("hunter2")), service: None };
    let (address, data) = (server.url("/settings.git"), root.join("data"));
    let known = GitRestorer::new(config(&address, &data, "user = \"ada\""), secrets, &shared()).unwrap();
    assert_eq!(known.history(9).await.unwrap().len(), 2);
    assert!(!format!("{known:?}").contains("YWRh"));
}

/// What was read once is not believed for ever: the copy that the host keeps is no branch.
#[tokio::test]
async fn a_branch_or_a_repository_that_goes_away_is_told_with_what_to_do() {
    type Spoil = fn(&Repository);
    let spoilt: [(Spoil, &str); 3] = [
        (
            |repository| drop(git(&repository.bare, &["update-ref", "-d", "refs/heads/main"])),
            "has no branch `main`: push it again where somebody has deleted it, make its first commit, or correct `branch`",
        ),
        (
            |repository| drop(git(&repository.bare, &["branch", "--move", "main", "renamed"])),
            "has no branch `main`: push it again where somebody has deleted it",
        ),
        (
            |repository| std::fs::rename(&repository.bare, repository.root.path().join("elsewhere")).unwrap(),
            "is no git repository, or there is none: put it back where it was moved or deleted, or correct `repository`",
        ),
    ];
    for (spoil, expected) in spoilt {
        let repository = Repository::new();
        let [two, one] = two_changes(&repository);
        let (address, data) = (repository.bare.display().to_string(), repository.root.path().join("data"));
        let restorer = restorer(&address, &data, "");
        assert_eq!(told(&restorer).await, format!("{two} (control plane only)"));
        spoil(&repository);
        for error in [
            restorer.in_force().await.map(drop).unwrap_err(),
            restorer.history(9).await.map(drop).unwrap_err(),
            restorer.content(&version(&one), None).await.map(drop).unwrap_err(),
            restorer.shift(&order(&one, Some(&two))).await.map(drop).unwrap_err(),
        ] {
            assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
            assert!(error.to_string().contains(expected), "`{error}` instead of `{expected}`");
        }
    }
}

#[tokio::test]
async fn a_copy_that_a_killed_host_has_left_locked_or_broken_is_made_anew() {
    let repository = Repository::new();
    let [two, one] = two_changes(&repository);
    let (address, data) = (repository.bare.display().to_string(), repository.root.path().join("data"));
    let restorer = restorer(&address, &data, "");
    assert_eq!(restorer.history(9).await.unwrap().len(), 2);
    std::fs::write(data.join("copy.git/refs/ripcord/tip.lock"), "").unwrap();
    repository.commit("README", "newer", "Newer");
    assert_eq!(restorer.history(9).await.unwrap().len(), 2);
    std::fs::write(data.join("copy.git/index.lock"), "").unwrap();
    restorer.shift(&order(&one, Some(&two))).await.unwrap();
    std::fs::write(data.join("copy.git/HEAD"), "nonsense").unwrap();
    assert_eq!(told(&restorer).await, format!("{one} (control plane only)"));
}

#[tokio::test]
async fn configurations_that_cannot_be_meant_are_refused() {
    let data = tempfile::tempdir().unwrap();
    for (repository, more, expected) in [
        ("git@host:team/settings.git", "", "git over ssh is not spoken"),
        ("ssh://host/settings.git", "", "git over ssh is not spoken"),
        ("--upload-pack=true", "", "write a folder of this machine"),
        ("http://ada:hunter2@host/settings.git", "", "holds a user or a password"),
        ("/srv/settings.git", "user = \"ada\"", "wants no user and no token"),
        ("http://host/settings.git", "user = \"ada\"", "its password is missing"),
        ("/srv/settings.git", "branch = \"-f\"", "`-f`, which cannot be the name of a branch"),
        ("/srv/settings.git", "branch = \"a..b\"", "cannot be the name of a branch"),
        ("/srv/settings.git", "author-name = \"a <b>\"", "cannot stand in a commit"),
        ("/srv/settings.git", "deadline-ms = 0", "`deadline-ms` must be 1 or more"),
        (
            "/srv/settings.git",
            "[read-back]\nurls = [\"http://a/\"]\npointer = \"/a\"\ntells = \"value\"",
            "a file is no value",
        ),
    ] {
        let made =
            GitRestorer::new(config(repository, data.path(), more), RestorerSecrets::default(), &shared());
        let message = made.unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{repository} {more}: {message}");
    }
    for path in ["", "/etc/passwd", "../x", "a//b", ".git/config", "a/"] {
        let mut config = config("/srv/settings.git", data.path(), "");
        config.path = path.to_owned();
        let message =
            GitRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap_err().to_string();
        assert!(message.contains("write the path of the file from the root"), "{path}: {message}");
    }
}
