//! One service's journal is damaged: every command that tells of all services tells of the others, and says which one is set aside.

use std::path::Path;

use ripcord_core::blob::{BlobKind, Salt};
use ripcord_core::event::{Announced, Event, PersonSaid};
use ripcord_core::journal::Record;
use ripcord_core::name::{PersonName, ServiceName, SetName};
use ripcord_core::set::SetEvent;
use ripcord_engine::{fold, recover_set};
use ripcord_ports::Store as _;
use ripcord_ports::store::Append;
use ripcord_store::SqliteStore;

use super::run::{ModelServer, Ran, as_olga, configure};
use crate::support::host::Host;

const WHOLE: &str = "fraud-api";
const DAMAGED: &str = "damaged-api";

/// Adds a service beside the good one.
fn add_service(folder: &Path) {
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, of_service) = text.split_once("[services.fraud-api]").unwrap();
    std::fs::write(&file, format!("{text}\n[services.{DAMAGED}]{of_service}")).unwrap();
}

/// What cannot have happened: the service was never paused.
async fn damage(folder: &Path) {
    let service = ServiceName::new(DAMAGED).unwrap();
    let store = SqliteStore::open(folder.join("ripcord-data/store.sqlite")).unwrap();
    let folded = fold(&store, &service).await.unwrap();
    let person = PersonName::new("olga").unwrap();
    let reason = ripcord_core::blob::commit(BlobKind::Text, &Salt([0; 32]), b"never");
    let event = Event::Resumed(PersonSaid { person, reason });
    let record = Record::write(&service, folded.tip, folded.service.at, &event).unwrap();
    store.append(Append { records: vec![record], ..Append::default() }).await.unwrap();
    store.close().await.unwrap();
}

/// It ends as something that is not well, tells of the whole service, and says of the damaged one what to do.
fn tells_of_both(ran: &Ran, of_the_whole: &str) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 1, "{all}");
    for said in [of_the_whole, DAMAGED, "does not follow from the ones before it"] {
        assert!(all.contains(said), "it should say `{said}`: {all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_hides_no_other_service() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);
    add_service(folder);
    let pulled = as_olga(folder, &["pull", WHOLE, "--to", "1.3.2"]);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    damage(folder).await;

    let olga = |arguments: &[&str]| as_olga(folder, arguments);
    tells_of_both(&olga(&["status"]), "rolled back");
    tells_of_both(&olga(&["hold", "list"]), "1.4.0");
    tells_of_both(&olga(&["signals", "set-aside"]), "no alert is set aside");
    tells_of_both(&olga(&["replay", "--all"]), "");
    tells_of_both(&olga(&["store", "verify"]), "fraud-api: whole");
    tells_of_both(&olga(&["check"]), "journal of");
    tells_of_both(&olga(&["store", "prune"]), "intake: 0 signals forgotten");
    tells_of_both(&olga(&["pause", "--all"]), "`fraud-api` is paused");
    tells_of_both(&olga(&["resume", "--all"]), "`fraud-api` goes on");
    let holds = olga(&["hold", "list", "--json"]).json();
    assert_eq!(holds["holds"][0]["revision"], "1.4.0", "{holds}");
    assert!(holds["damaged"][DAMAGED].is_string(), "{holds}");
    let alerts = olga(&["signals", "set-aside", "--json"]).json();
    assert!(alerts["alerts"].is_array() && alerts["damaged"][DAMAGED].is_string(), "{alerts}");

    // What is about the whole service alone is as ever.
    for arguments in
        [&["hold", "list", WHOLE][..], &["incidents", "list"], &["incidents", "show", "fraud-api:1"]]
    {
        let ran = olga(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    }
    // And so it is for the doors of a host that runs.
    let host = Host::start(folder).await;
    assert_eq!(host.get("incidents/fraud-api:1").await["outcome"], "rolled-back");
    let paused = host.post("pause", &serde_json::json!({ "reason": "stop all" })).await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    let done: Vec<_> =
        paused.body.as_array().unwrap().iter().map(|one| (&one["service"], &one["done"])).collect();
    assert_eq!(done, [(&DAMAGED.into(), &false.into()), (&WHOLE.into(), &true.into())]);
    let wait = format!("incidents/{DAMAGED}:1/wait");
    let waiting =
        host.request(reqwest::Method::GET, &format!("api/v1/{wait}")).bearer_auth(super::run::TOKEN);
    let waiting = crate::support::host::answer(waiting).await;
    assert_eq!(
        (waiting.status, &waiting.body["type"]),
        (503, &"urn:ripcord:problem:set-aside".into()),
        "{}",
        waiting.body
    );
    for list in ["services", "incidents"] {
        host.get(list).await;
    }
}

/// A set whose journal says what cannot have happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_of_a_set_is_listed_with_the_reason_and_its_members_are_protected() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);
    add_service(folder);
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let set = format!("\n[sets.pair]\nmembers = [\"{WHOLE}\", \"{DAMAGED}\"]\n");
    std::fs::write(&file, format!("{text}{set}")).unwrap();
    let pulled = as_olga(folder, &["pull", WHOLE, "--to", "1.3.2"]);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    let name = SetName::new("pair").unwrap();
    let store = SqliteStore::open(folder.join("ripcord-data/store.sqlite")).unwrap();
    let recovered = recover_set(&store, &name).await.unwrap();
    let announced = SetEvent::Announced(Announced { id: "never".into(), failed: None });
    let record = Record::write(&name.journal(), recovered.tip, recovered.state.at, &announced).unwrap();
    store.append(Append { records: vec![record], ..Append::default() }).await.unwrap();
    store.close().await.unwrap();

    for arguments in [&["sets"][..], &["sets", "show", "pair"], &["store", "verify"]] {
        let ran = as_olga(folder, arguments);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.code != 0 && all.contains("does not follow from the ones before it"),
            "{arguments:?}: {all}"
        );
    }
    let host = Host::start(folder).await;
    let sets = host.get("sets").await;
    assert_eq!((&sets[0]["name"], sets.as_array().unwrap().len()), (&"pair".into(), 1), "{sets}");
    let why = sets[0]["stuck"].as_str().unwrap();
    assert!(why.contains("its journal is set aside, so nothing moves it"), "{why}");
    for service in [WHOLE, DAMAGED] {
        assert!(host.get(&format!("services/{service}")).await["stuck"].is_null(), "{service}");
    }
    let body = serde_json::json!({ "to": { WHOLE: "1.4.0" }, "reason": "try it" });
    let refused = host.post("sets/pair/pull", &body).await;
    assert_eq!((refused.status, &refused.body["type"]), (503, &"urn:ripcord:problem:set-aside".into()));
}
