//! The Open Inference Protocol against a server that behaves as MLServer was seen to.

mod beside;
mod rig;
mod spoken;
mod written;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use ripcord_adapters::conformance::deployer::{self, order};
use ripcord_adapters::conformance::deployer_faults;
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::{Applied, Deployer, ErrorKind};

use self::rig::{Mood, Rig};

#[tokio::test]
async fn it_conforms() {
    let rig = Rig::new().await;
    deployer::conforms(&rig.deployer, &rig.one, &rig.two).await;
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"], "nothing of the swap is left");
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let rig = Rig::new().await;
    let proxy = FaultProxy::start(&rig.config.url).await.unwrap();
    let behind = rig.deployer(|config| config.url = proxy.url());
    deployer_faults::conforms_in_faults(&behind, &proxy, &Which::With("/load"), &rig.one, &rig.two).await;
}

#[tokio::test]
async fn it_conforms_beside_a_folder_that_someone_else_put_there() {
    let rig = Rig::new().await;
    std::fs::create_dir(rig.models().join("fraud")).unwrap();
    std::fs::write(rig.models().join("fraud/model.txt"), "0.5").unwrap();
    rig.model.load("fraud");
    let live = rig.live().await;
    assert_eq!(live.to_string(), "0.5");
    assert_eq!(live.sole_version().unwrap().digest, None, "nobody knows what that folder was");
    deployer::conforms(&rig.deployer, &rig.one, &rig.two).await;
}

#[tokio::test]
async fn live_is_proved_by_answers_and_carries_the_digest_of_what_we_placed() {
    let rig = Rig::new().await.serving_one().await;
    let state = rig.live().await;
    assert_eq!(state.weakest_proof(), Some(Proof::Answer));
    let digest = rig.one.staged.as_ref().unwrap().digest;
    assert_eq!(state.sole_version().unwrap().digest, Some(digest));
    std::fs::create_dir(rig.models().join("fraud/__pycache__")).unwrap();
    std::fs::write(rig.models().join("fraud/__pycache__/x.pyc"), "x").unwrap();
    assert!(rig.live().await.serves(&rig.one.target), "files that the server adds do not count");
    std::fs::write(rig.models().join("fraud/weights/0.bin"), [9; 1_000]).unwrap();
    assert!(!rig.live().await.serves(&rig.one.target), "a changed artefact is noticed");
}

#[tokio::test]
async fn every_answer_comes_over_a_connection_of_its_own() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.peers.lock().unwrap().clear();
    rig.live().await;
    let peers = rig.model.peers.lock().unwrap().clone();
    let distinct: BTreeSet<_> = peers.iter().collect();
    assert_eq!((peers.len(), distinct.len()), (3, 3), "{peers:?}");
    // Nor is a load asked for over one that was kept, which the server may have closed.
    for wanted in [&rig.two, &rig.one] {
        rig.deployer.shift(&order("k", wanted, rig.live().await)).await.unwrap();
    }
    let peers = rig.model.peers.lock().unwrap().clone();
    assert_eq!(peers.iter().collect::<BTreeSet<_>>().len(), peers.len(), "{peers:?}");
}

#[tokio::test]
async fn two_replicas_behind_one_address_are_two_shares() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::TwoReplicas);
    let state = rig.live().await;
    let LiveState::Serving(shares) = &state else { panic!("{state}") };
    assert_eq!(shares.len(), 2, "{state}");
    assert!((shares.iter().map(|share| share.weight.get()).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(!state.serves(&rig.one.target));
    assert!(shares.iter().all(|share| share.version.digest.is_none()), "{shares:?}");
    let probe = rig.deployer.probe(&order("k", &rig.one, state.clone())).await.unwrap();
    assert!(matches!(probe, Probe::Underway(_)), "{probe:?}");
}

#[tokio::test]
async fn without_an_input_the_control_plane_is_the_proof() {
    let rig = Rig::with(|config| config.probe_input = None).await;
    let state = rig.live().await;
    assert!(
        matches!(&state, LiveState::Unknown(why) if why.contains("names 0 versions of `fraud`")),
        "{state}"
    );
    std::fs::create_dir(rig.models().join("fraud")).unwrap();
    std::fs::write(rig.models().join("fraud/model.txt"), "0.5").unwrap();
    assert_eq!(rig.live().await, LiveState::Serving(Vec::new()), "it is there, and not loaded");
    let rig = rig.serving_one().await;
    assert_eq!(rig.live().await.weakest_proof(), Some(Proof::ControlPlane));
}

#[tokio::test]
async fn an_index_that_reads_the_folder_does_not_prove_a_load_that_never_was() {
    let rig = Rig::with(|config| config.probe_input = None).await.serving_one().await;
    let to_two = order("k2", &rig.two, rig.live().await);
    rig.model.set(Mood::LoadLost);
    let error = rig.deployer.shift(&to_two).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    assert_eq!((rig.on_disk().as_str(), rig.model.loaded("fraud").as_deref()), ("1.1", Some("1.0")));
    rig.model.set(Mood::Well);
    let state = rig.live().await;
    assert!(matches!(&state, LiveState::Unknown(why) if why.contains("set `probe-input`")), "{state}");
    let probe = rig.deployer.probe(&to_two).await.unwrap();
    assert!(matches!(probe, Probe::CannotTell(_)), "{probe:?}");
    assert_eq!(rig.deployer.shift(&to_two).await.unwrap(), Shifted::Done);
    assert!(rig.live().await.serves(&rig.two.target));
}

#[tokio::test]
async fn a_load_that_goes_on_is_under_way() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::NotReady);
    let to_two = order("k2", &rig.two, rig.live().await);
    let probe = rig.deployer.probe(&to_two).await.unwrap();
    assert!(matches!(&probe, Probe::Underway(how) if how.contains("not ready yet")), "{probe:?}");
}

#[tokio::test]
async fn a_refused_load_with_the_old_version_answering_had_no_effect() {
    let rig = Rig::new().await.serving_one().await;
    let before = rig.live().await;
    rig.model.set(Mood::LoadFails);
    let to_two = order("k2", &rig.two, before.clone());
    let error = rig.deployer.shift(&to_two).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::No), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("/v2/repository/models/fraud/load answered 500") && message.contains("1.0"),
        "{message}"
    );
    assert_eq!(rig.on_disk(), "1.0", "the old folder is back");
    assert_eq!(rig.beside(), ["fraud"]);
    assert!(rig.live().await.same_identity(&before));
    assert_eq!(rig.deployer.probe(&to_two).await.unwrap(), Probe::NotApplied);
}

#[tokio::test]
async fn a_refused_load_is_not_believed_to_be_without_effect_on_the_word_of_the_control_plane() {
    let rig = Rig::with(|config| config.probe_input = None).await.serving_one().await;
    rig.model.set(Mood::LoadFails);
    let error = rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
}

#[tokio::test]
async fn a_refused_load_that_left_nothing_is_unknown() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::LoadKills);
    let error = rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    assert!(error.to_string().contains("live is nothing"), "{error}");
    assert_eq!(rig.on_disk(), "1.0");
}

#[tokio::test]
async fn a_load_that_is_not_answered_is_unknown_and_a_probe_settles_it() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::LoadHangs);
    let mut to_two = order("k2", &rig.two, rig.live().await);
    to_two.deadline.0 = 100;
    let error = rig.deployer.shift(&to_two).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::Unknown), "{error}");
    assert_eq!(rig.deployer.probe(&to_two).await.unwrap(), Probe::Applied);
    rig.model.set(Mood::Well);
    assert_eq!(rig.deployer.shift(&to_two).await.unwrap(), Shifted::Done, "the same order again is harmless");
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
}

#[tokio::test]
async fn an_artefact_that_was_never_loaded_is_not_put_back_later() {
    let rig = Rig::new().await.serving_one().await;
    let before = rig.live().await;
    // A server that is gone: the load never arrives, and the folder stays swapped.
    let cut_off = rig.deployer(|config| config.url = "http://127.0.0.1:9".into());
    let error = cut_off.shift(&order("k2", &rig.two, before.clone())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "{error}");
    // Nothing was loaded, so what the server serves is still the old version.
    assert!(rig.live().await.same_identity(&before));
    assert_eq!(rig.on_disk(), "1.0", "what could not be asked for is not left in place");
}

#[tokio::test]
async fn leftovers_of_an_interrupted_swap_are_cleaned_up() {
    let rig = Rig::new().await.serving_one().await;
    let models = rig.models();
    std::fs::create_dir(models.join(".fraud.ripcord-next")).unwrap();
    std::fs::write(models.join(".fraud.ripcord-next/half"), "x").unwrap();
    std::fs::write(models.join(".fraud.ripcord.json"), "{ half").unwrap();
    rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap();
    assert!(rig.live().await.serves(&rig.two.target));
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
}

#[tokio::test]
async fn answers_that_prove_nothing_leave_live_unknown_or_an_error() {
    let rig = Rig::new().await.serving_one().await;
    for (mood, expected) in [
        (Mood::Nameless, "name no `model_version`"),
        (Mood::Html, "`text/html; charset=utf-8` that is not the JSON"),
        (Mood::Redirect, "redirects are not followed"),
        (Mood::Error, "answered 500: `Internal Server Error`"),
    ] {
        rig.model.set(mood);
        let LiveState::Unknown(why) = rig.live().await else { panic!("{mood:?}") };
        assert!(why.contains(expected), "{mood:?}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
        let probe = rig.deployer.probe(&order("k", &rig.two, rig.live().await)).await.unwrap();
        assert!(matches!(probe, Probe::CannotTell(_)), "{probe:?}");
    }
    for (mood, kind, expected) in [
        (Mood::Cut, ErrorKind::Unreachable, "broke off"),
        (Mood::Slow, ErrorKind::TimedOut, "deadline"),
        (Mood::Huge, ErrorKind::TooLarge, "more than 8388608 bytes"),
        (Mood::Unauthorized, ErrorKind::Denied, "401: `who are you`"),
    ] {
        rig.model.set(mood);
        let error = rig.deployer.live().await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{mood:?}: {error}");
        assert!(error.to_string().contains(expected), "{mood:?}: {error}");
        assert!(error.to_string().contains("/v2/models/fraud/infer"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_not_taken_for_an_unloaded_model() {
    let rig = Rig::with(|_| {}).await;
    assert_eq!(rig.live().await, LiveState::Serving(Vec::new()), "unloaded");
    let wrong = rig.deployer(|config| config.url.push_str("/wrong"));
    let state = wrong.live().await.unwrap().state;
    assert!(matches!(&state, LiveState::Unknown(why) if why.contains("check the address")), "{state}");
}

#[tokio::test]
async fn what_is_staged_must_be_what_the_plan_says() {
    let rig = Rig::new().await.serving_one().await;
    let mut mixed = order("k2", &rig.two, rig.live().await);
    mixed.staged = rig.one.staged.clone();
    let error = rig.deployer.shift(&mixed).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
    assert_eq!(rig.model.loads.load(Ordering::SeqCst), 1, "nothing was loaded");
}
