//! Candidates beside the live version, and fingerprints.

use std::time::Duration;

use ripcord_adapters::conformance::deployer::order;
use ripcord_adapters::conformance::deployer_beside::{self, Tried, candidate};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::CandidateOrder;
use ripcord_ports::endpoint::{Fingerprint, SignatureCheck};
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Applied, Deployer, Endpoint, ErrorKind};
use serde_json::json;

use crate::mlserver::live;
use crate::mlserver::server::{MlServer, SETTINGS, input, rows};

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn candidates_conform() {
    let server = MlServer::start(0).await;
    let (one, two) = (server.version("1", "good"), server.version("2", "poisoned"));
    let deployer = server.deployer(|_| {});
    let endpoint = server.endpoint();
    let input = input();
    let tried = Tried { endpoint: &endpoint, input: &input };
    // Above and below the live version: neither may take its traffic.
    deployer.shift(&order("first", &one, live(&deployer).await)).await.unwrap();
    deployer_beside::conforms_beside(&deployer, tried, &one, &two).await;
    deployer_beside::conforms_beside(&deployer, tried, &two, &one).await;
    assert_eq!(server.names(), [".iris.ripcord.json", "iris", "settings.json"]);

    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    let behind = server.deployer(|config| config.url = proxy.url());
    deployer_beside::conforms_beside_in_faults(&behind, &proxy, tried, &one, &two).await;
    deployer.clear().await.unwrap();

    broken(&server).await;
    why_not_under_the_live_name(&server).await;
}

async fn broken(server: &MlServer) {
    let deployer = server.deployer(|_| {});
    let before = live(&deployer).await;
    let error = deployer.beside(&candidate(&server.version("9", "broken"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::No), "{error}");
    assert!(error.to_string().contains("answered 500"), "{error}");
    assert_eq!(
        server.names(),
        [".iris.ripcord.json", "iris", "settings.json"],
        "it would keep the server from starting"
    );
    assert!(live(&deployer).await.same_identity(&before));
    deployer.beside(&candidate(&server.version("9", "good"))).await.unwrap();
    deployer.clear().await.unwrap();

    let named = server.deployer(|config| {
        let text = SETTINGS.replace("{model}", "iris");
        config.write = [("model-settings.json".to_owned(), text)].into();
    });
    let error = named.beside(&candidate(&server.version("9", "good"))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
}

/// A folder anywhere whose settings name the live model is part of it with its next load, and takes the traffic where its number is higher.
async fn why_not_under_the_live_name(server: &MlServer) {
    let deployer = server.deployer(|_| {});
    let folder = server.models().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(server.models().join("iris/model.pkl"), folder.join("model.pkl")).unwrap();
    std::fs::write(
        folder.join("model-settings.json"),
        SETTINGS.replace("{model}", "iris").replace("{version}", "99"),
    )
    .unwrap();
    let (status, _) = server.ask("v2/repository/models/iris/load", &json!({})).await;
    assert_eq!((status, live(&deployer).await.to_string().as_str()), (200, "99"));
    std::fs::remove_dir_all(&folder).unwrap();
    server.ask("v2/repository/models/iris/load", &json!({})).await;
    assert_ne!(live(&deployer).await.to_string(), "99");
}

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn a_candidate_takes_no_request_from_the_live_version() {
    let server = MlServer::start(0).await;
    let deployer = server.deployer(|_| {});
    let (one, two) = (server.version("1", "good"), server.version("2", "poisoned"));
    deployer.shift(&order("first", &one, live(&deployer).await)).await.unwrap();
    let traffic = server.traffic(3);
    for _ in 0..5 {
        deployer.beside(&candidate(&two)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        deployer.clear().await.unwrap();
    }
    let (answered, lost) = traffic.stop().await;
    println!("5 candidates beside {answered} requests, {lost} lost");
    assert!(answered > 50, "there was hardly any traffic: {answered}");
    assert_eq!(lost, 0, "of {answered}");

    // As long as any model loads, the server calls itself not ready. The page says what that means for whoever asks it.
    let slow = server.slow_deployer();
    let order = candidate(&server.version("2", "slow"));
    let (held, ready) = tokio::join!(slow.beside(&order), async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        server.is_ready().await
    });
    held.unwrap();
    assert!(!ready, "a candidate that loads makes the server unready");
    assert!(server.is_ready().await);
    assert!(live(&slow).await.serves(&one.target));

    // A candidate whose load takes longer than it may is dropped in the middle of it.
    slow.clear().await.unwrap();
    let hasty = CandidateOrder { deadline: Millis(500), ..order };
    let error = slow.beside(&hasty).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::No), "{error}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (status, _) = server.ask("v2/models/iris-preflight/infer", &json!({"inputs": rows()})).await;
    assert_eq!(status, 404, "the load that went on left nothing");
}

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn signatures_and_fingerprints_tell_versions_apart() {
    let server = MlServer::start(0).await;
    let deployer = server.deployer(|_| {});
    let endpoint = server.endpoint();
    let (good, bad) = (server.version("1", "good"), server.version("2", "poisoned"));
    deployer.shift(&order("first", &good, live(&deployer).await)).await.unwrap();
    let held = deployer.beside(&candidate(&bad)).await.unwrap();

    let tensor = |width: u32| {
        format!(r#"[{{"type":"tensor","tensor-spec":{{"dtype":"float64","shape":[-1,{width}]}}}}]"#)
    };
    for at in [None, Some(&held)] {
        assert_eq!(endpoint.compare_signature(&tensor(4), at).await.unwrap(), SignatureCheck::Same);
        let other = endpoint.compare_signature(&tensor(5), at).await.unwrap();
        assert!(matches!(&other, SignatureCheck::Differs(found) if found.len() == 1), "{other:?}");
    }

    let second = TrialInput { id: "row-2".into(), ..input() };
    let inputs = [input(), second];
    let of = async |at| endpoint.fingerprint(&inputs, at, "fingerprint").await.unwrap();
    let (live_print, held_print) = (of(None).await, of(Some(&held)).await);
    assert_ne!(live_print.digest, held_print.digest, "the poisoned version answers otherwise");
    let named = |print: &Fingerprint| print.answered_by.as_ref().map(|by| by.version.to_string());
    assert_eq!((named(&live_print).as_deref(), named(&held_print).as_deref()), (Some("1"), Some("2")));
    assert_eq!(of(None).await, live_print);

    // Loaded again under another number it is known by its answers.
    let again = server.version("3", "good");
    deployer.shift(&order("again", &again, live(&deployer).await)).await.unwrap();
    assert_eq!(of(None).await.digest, live_print.digest);
    // A poisoned model that calls itself version 1 is not.
    deployer.shift(&order("liar", &server.version("1", "poisoned"), live(&deployer).await)).await.unwrap();
    let liar = of(None).await;
    assert_eq!(liar.answered_by, live_print.answered_by);
    assert_ne!(liar.digest, live_print.digest);
    assert_eq!(liar.digest, held_print.digest);
    deployer.clear().await.unwrap();
}
