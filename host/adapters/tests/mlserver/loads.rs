//! What becomes of requests and of the old model while a load goes on, fails, or is lost.

use std::time::Duration;

use ripcord_adapters::conformance::deployer::{Settable, order};
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_core::live::LiveState;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::json;

use crate::mlserver::live;
use crate::mlserver::server::{MlServer, rows};

const SWAPS: usize = 10;

async fn shift(deployer: &dyn Deployer, wanted: &Settable) {
    let order = order("load", wanted, live(deployer).await);
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    assert!(live(deployer).await.serves(&wanted.target));
}

/// The index says READY of what it has not loaded, and the old model answers on.
#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn a_broken_artefact_leaves_the_old_version_in_place() {
    let mut server = MlServer::start(0).await;
    let deployer = server.deployer(|_| {});
    let old = server.version("4", "good");
    shift(&deployer, &old).await;
    for number in ["3", "5"] {
        let broken = server.version(number, "broken");
        let order = order("broken", &broken, live(&deployer).await);
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::No), "{number}: {error}");
        assert!(
            error.to_string().contains("answered 500") && error.to_string().contains("4 still answers"),
            "{error}"
        );
        assert_eq!(deployer.probe(&order).await.unwrap(), Probe::NotApplied);
        assert!(live(&deployer).await.serves(&old.target));
        assert_eq!(server.names(), ["iris", "settings.json"], "the folder is as it was");
    }
    // The same by hand, without anybody who puts the old folder back: this is what the server does.
    let folder = server.models().join("iris");
    let settings = std::fs::read_to_string(folder.join("model-settings.json")).unwrap();
    let kept = std::fs::read(folder.join("model.pkl")).unwrap();
    std::fs::write(folder.join("model-settings.json"), settings.replace("\"4\"", "\"6\"")).unwrap();
    std::fs::write(folder.join("model.pkl"), "not a pickle").unwrap();
    let (status, text) = server.ask("v2/repository/models/iris/load", &json!({})).await;
    assert_eq!(status, 500, "{text}");
    let (_, index) = server.ask("v2/repository/index", &json!({})).await;
    assert!(index.contains(r#""version":"6","state":"READY""#), "the index reads the folder: {index}");
    assert_eq!(live(&deployer).await.to_string(), "4", "and an answer names what is served");
    std::fs::write(folder.join("model-settings.json"), settings).unwrap();
    std::fs::write(folder.join("model.pkl"), kept).unwrap();
    server.end();
    server.begin().await;
    assert!(
        live(&deployer).await.serves(&old.target),
        "what lies in the folder is what is loaded at the next start"
    );
}

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn a_swap_under_load_loses_no_request() {
    let server = MlServer::start(0).await;
    let deployer = server.deployer(|config| config.answers = 1);
    let versions = [server.version("1", "good"), server.version("2", "poisoned")];
    shift(&deployer, &versions[0]).await;
    let traffic = server.traffic(3);
    for number in 1..=SWAPS {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shift(&deployer, &versions[number % 2]).await;
    }
    let (answered, lost) = traffic.stop().await;
    println!("{SWAPS} swaps under {answered} requests, {lost} lost");
    assert!(answered > 100, "there was hardly any traffic: {answered}");
    assert_eq!(lost, 0, "of {answered}");
}

/// With workers of its own the server answers while it loads: a version that it takes for newer is the default from the beginning of its load on, and not
/// ready, and the old one is dropped in the worker before requests stop going there. This is the server's; that it ends with the swap is held here.
#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn with_workers_requests_are_lost_only_while_a_swap_goes_on() {
    let server = MlServer::start(1).await;
    let deployer = server.deployer(|config| config.answers = 1);
    let versions = [server.version("1", "good"), server.version("2", "poisoned")];
    shift(&deployer, &versions[1]).await;
    let traffic = server.traffic(3);
    let mut lost = [0; 2];
    for number in 0..SWAPS {
        let before = traffic.so_far();
        shift(&deployer, &versions[number % 2]).await;
        // What was under way at the end of the shift comes back.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let settled = traffic.so_far();
        lost[number % 2] += settled.1 - before.1;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after = traffic.so_far();
        assert!(after.0 > settled.0, "nothing is answered after the swap");
        assert_eq!(after.1, settled.1, "requests are lost after the swap");
    }
    let (answered, _) = traffic.stop().await;
    println!(
        "{SWAPS} swaps with a worker under {answered} requests: {} lost towards the older version, {} towards the newer",
        lost[0], lost[1]
    );
}

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn a_load_that_outlives_its_caller_is_under_way_and_then_applied() {
    let server = MlServer::start(0).await;
    let deployer = server.slow_deployer();
    let (one, two) = (server.version("1", "slow"), server.version("2", "slow"));
    shift(&deployer, &one).await;
    let mut to_two = order("slow", &two, live(&deployer).await);
    to_two.deadline = Millis(500);
    let error = deployer.shift(&to_two).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::Unknown), "{error}");
    let state = live(&deployer).await;
    assert!(matches!(&state, LiveState::Unknown(why) if why.contains("not ready")), "{state}");
    let probe = deployer.probe(&to_two).await.unwrap();
    assert!(matches!(probe, Probe::Underway(_)), "{probe:?}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(deployer.probe(&to_two).await.unwrap(), Probe::Applied);
    assert!(live(&deployer).await.serves(&two.target));

    // Towards the older number the server says nothing of the load, and answers on as the newer one.
    let mut to_one = order("slow back", &one, live(&deployer).await);
    to_one.deadline = Millis(500);
    let error = deployer.shift(&to_one).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    assert_eq!(deployer.probe(&to_one).await.unwrap(), Probe::NotApplied, "nothing tells of the load");
    to_one.deadline = Millis::seconds(10);
    assert_eq!(deployer.shift(&to_one).await.unwrap(), Shifted::Done, "so asking again must be harmless");
    assert!(live(&deployer).await.serves(&one.target));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(live(&deployer).await.serves(&one.target), "the first load has ended too");
}

/// What the control plane says is not believed where an artefact was placed and its load is not settled.
#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn without_an_input_an_unsettled_load_proves_nothing() {
    let server = MlServer::start(0).await;
    let deployer = server.deployer(|config| config.probe_input = None);
    let (one, two) = (server.version("1", "good"), server.version("2", "good"));
    deployer.shift(&order("first", &one, LiveState::Serving(Vec::new()))).await.unwrap();
    assert!(live(&deployer).await.serves(&one.target));
    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    let behind = server.deployer(|config| {
        config.probe_input = None;
        config.url = proxy.url();
    });
    proxy.order(Which::With("/load"), Fault::Instead(Canned::failure(504)), 1);
    let error = behind.shift(&order("lost", &two, live(&behind).await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    let (_, answer) = server.ask("v2/models/iris/infer", &json!({"inputs": rows()})).await;
    assert!(answer.contains(r#""model_version":"1""#), "{answer}");
    assert!(!live(&behind).await.serves(&two.target), "it was never loaded");
}
