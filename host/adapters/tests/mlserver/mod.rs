//! The deployer and the endpoint against a real MLServer, which `.ci/mlserver` installs. Not run unless asked for, since that takes half a gigabyte;
//! then a server that is missing fails the suite:
//!
//!     RIPCORD_TEST_MLSERVER=$(.ci/mlserver) cargo test --workspace --test suite -- --ignored mlserver::
#![allow(clippy::unwrap_used, clippy::panic)]

mod candidates;
mod loads;
mod server;

use std::time::Instant;

use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::conformance::deployer_faults;
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Deployer, Endpoint, ErrorKind};

use server::{MlServer, input};

pub(crate) async fn live(deployer: &dyn Deployer) -> LiveState {
    deployer.live().await.unwrap().state
}

#[tokio::test]
#[ignore = "needs MLServer: see the head of this suite"]
async fn it_conforms() {
    let server = MlServer::start(0).await;
    let (one, two) = (server.version("1", "good"), server.version("2", "poisoned"));
    let direct = server.deployer(|_| {});
    assert_eq!(live(&direct).await, LiveState::Serving(Vec::new()), "the repository is empty");
    direct.shift(&order("first", &one, live(&direct).await)).await.unwrap();
    deployer::conforms(&direct, &one, &two).await;
    let state = live(&direct).await;
    assert_eq!(state.weakest_proof(), Some(Proof::Answer));
    assert_eq!(state.sole_version().unwrap().digest, two.target.version().unwrap().digest);

    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    let behind = server.deployer(|config| config.url = proxy.url());
    deployer_faults::conforms_in_faults(&behind, &proxy, &Which::With("/load"), &one, &two).await;

    // One artefact under two numbers, and back to the lower one.
    let again = server.version("3", "good");
    deployer::conforms(&direct, &one, &again).await;
    deployer::conforms(&direct, &again, &one).await;

    wrong_shape(&server).await;
    speed(&direct, &one, &two).await;
}

/// Rows of another width: the server answers 500 in plain text.
async fn wrong_shape(server: &MlServer) {
    let body = r#"[{"name": "predict", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}]"#;
    let wrong = TrialInput { id: "narrow".into(), body: body.into() };
    let error = server.endpoint().infer(&wrong, None, "trial").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains("500"), "{error}");
    // The server closes the connection after such an answer; the rows that follow are answered all the same.
    for _ in 0..20 {
        server.endpoint().infer(&wrong, None, "trial").await.unwrap_err();
        server.endpoint().infer(&input(), None, "trial").await.unwrap();
    }
    let narrow = server.deployer(|config| config.probe_input = serde_json::from_str(body).unwrap());
    let state = live(&narrow).await;
    assert!(matches!(&state, LiveState::Unknown(why) if why.contains("answered 500")), "{state}");
    let reply = server.endpoint().infer(&input(), None, "trial").await.unwrap();
    assert!(reply.answered_by.is_some(), "a wrong request harms nothing");
}

/// Numbers for the log. They are no promise: the server shares the machine with the test.
async fn speed(deployer: &dyn Deployer, one: &Settable, two: &Settable) {
    for wanted in [two, one, two, one] {
        let before = live(deployer).await;
        let begun = Instant::now();
        deployer.shift(&order("speed", wanted, before)).await.unwrap();
        let shifted = begun.elapsed();
        assert!(live(deployer).await.serves(&wanted.target));
        println!("shift {shifted:.1?}, read back {:.1?}", begun.elapsed() - shifted);
    }
}
