//! A person who watches: what they see goes on while the host does not, and costs no other system anything.

use crate::cli::run::{Going, TOKEN, as_olga, finish, ripcord};
use crate::support::host::Host;
use crate::support::programs::{configure_with_programs, looks, token};

fn watch(folder: &std::path::Path, arguments: &[&str]) -> Going {
    let mut command = ripcord(folder, arguments);
    command.env("OLGAS_TOKEN", TOKEN).env("RIPCORD_TOKEN", TOKEN).env("ALERTS_TOKEN", "unused-0123456789");
    Going::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_watched_while_the_host_is_away_and_asks_no_deployer_what_is_live() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    configure_with_programs(folder, "[]");
    let host = Host::start(folder).await;
    // What a rollback reads back is seen; by itself the host does not look again within this test.
    let pulled = as_olga(folder, &["pull", "fraud-api", "--to", "1.3.2"]);
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    host.until("fraud-api", |state| state["seen"]["state"] == "1.3.2").await;
    let address = host.url.clone();
    let mut here = watch(folder, &["status", "--watch"]);
    let mut far = watch(folder, &["--host", &address, "status", "fraud-api", "--watch"]);
    for watched in [&mut here, &mut far] {
        watched.until("1.3.2, as the host saw it last").await;
    }
    let before = looks(folder);
    assert_eq!(as_olga(folder, &["pause", "fraud-api", "--reason", "dinner"]).code, 0);
    for watched in [&mut here, &mut far] {
        watched.until("by olga: nothing is shifted").await;
    }
    assert_eq!(looks(folder), before, "whoever watches asks only the host");
    // Who asks once is told what is live at this moment.
    let once = as_olga(folder, &["status"]);
    assert!(once.stdout.contains("1.3.2, proved by"), "{}", once.stdout);
    assert!(looks(folder) > before);

    host.kill();
    for watched in [&mut here, &mut far] {
        watched.until("no host answers").await;
    }
    let host = Host::start(folder).await;
    assert_eq!(as_olga(folder, &["resume", "fraud-api"]).code, 0);
    assert_eq!(as_olga(folder, &["pause", "fraud-api", "--reason", "lunch"]).code, 0);
    for watched in [&mut here, &mut far] {
        watched.until("by olga: nothing is shifted").await;
        assert!(watched.goes_on(), "{}", watched.said());
    }
    host.kill();
}

#[test]
fn what_is_wrong_with_the_question_itself_is_not_asked_again() {
    let folder = tempfile::tempdir().expect("folder");
    let none = finish(&mut ripcord(folder.path(), &["status", "--watch"]));
    assert_eq!(none.code, 2, "{}", none.stderr);
    configure_with_programs(folder.path(), "[]");
    let unknown = as_olga(folder.path(), &["status", "other", "--watch"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no service `other`"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_watched_to_its_end_while_the_host_begins_anew() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    configure_with_programs(folder, "[{ role = \"approver\", people = 2 }]");
    let host = Host::start(folder).await;
    let pulled = as_olga(folder, &["pull", "fraud-api", "--to", "1.3.2", "--no-wait"]);
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let mut watched = watch(folder, &["incidents", "watch", "fraud-api:1"]);
    watched.until("waiting for approval").await;
    host.signal("TERM");
    assert!(host.ended().await.success());
    watched.until("it is asked again").await;
    let host = Host::start(folder).await;
    watched.until("the host answers again").await;
    for person in ["ada", "bob"] {
        let mut command = ripcord(folder, &["approve", "fraud-api:1", "--yes"]);
        command.env("OLGAS_TOKEN", TOKEN).env("ALERTS_TOKEN", "unused-0123456789");
        let approved = finish(command.env("RIPCORD_TOKEN", token(person)));
        assert_eq!(approved.code, 0, "{person}: {}{}", approved.stdout, approved.stderr);
    }
    assert_eq!(watched.ended().await, 0, "{}", watched.said());
    let said = watched.said();
    assert!(said.contains("rolled-back") || said.contains("rolled back"), "{said}");
    assert_eq!(said.matches("it is asked again").count(), 1, "that the host is away is told once: {said}");
    // One that has ended is shown at once.
    let over = as_olga(folder, &["incidents", "watch", "fraud-api:1"]);
    assert_eq!(over.code, 0, "{}", over.stderr);
    let unknown = as_olga(folder, &["incidents", "watch", "fraud-api:9"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    host.kill();
}
