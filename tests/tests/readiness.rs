//! Whether a rollback could be made right now: watched, told once, and brought about where the host can.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use ripcord_core::readiness::ReadyPart;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, Readiness, ReadyWord};
use ripcord_tests::lab::eventually;
use ripcord_tests::people::ada;
use ripcord_tests::{Lab, Running, Spec};

const EVERY: Millis = Millis::minutes(10);

/// With two good versions, of which the newer one is live.
async fn ready() -> (Lab, Running) {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.readiness = EVERY);
    let lab = Lab::new(vec![spec]);
    let host = lab.start().await;
    host.adopt(&lab.service(), &["1.0", "1.1"]).await;
    host.until("pinned", &lab.service(), |state| state.pins.is_empty()).await;
    (lab, host)
}

/// Lets time go on until people were told so often of `topic`.
async fn told(lab: &Lab, topic: &str, times: usize) {
    let is_told = || lab.world.told_of(&lab.service(), topic) >= times;
    for _ in 0..60 {
        lab.clock.advance(Millis::minutes(1));
        for _ in 0..20 {
            if is_told() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    eventually(topic, is_told).await;
}

/// Time goes on, and whoever wants to look can.
async fn passes(lab: &Lab, minutes: u32) {
    for _ in 0..minutes {
        lab.clock.advance(Millis::minutes(1));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

const HANGS: [(&str, ReadyPart); 1] = [("live", ReadyPart::Live)];

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_hangs_is_the_one_that_is_named() {
    let (lab, host) = ready().await;
    let service = lab.service();
    for (call, part) in HANGS {
        lab.world.at(&service, |outside| _ = outside.hangs.insert(call.into()));
        let look = host.engine.readiness(&service);
        let time = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                lab.clock.advance(Millis::seconds(1));
            }
        };
        let looked = tokio::select! { looked = look => looked.unwrap(), () = time => unreachable!() };
        assert_eq!(looked.unready(), BTreeSet::from([part]), "{looked:#?}");
        lab.world.at(&service, |outside| _ = outside.hangs.remove(call));
    }
    host.stop().await;
}

fn word(looked: &Readiness, part: ReadyPart) -> (ReadyWord, &str) {
    let found = looked.parts.iter().find(|one| one.part == part).unwrap();
    (found.word, &found.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_turns_bad_is_told_once_and_that_it_is_well_again() {
    let (lab, host) = ready().await;
    let service = lab.service();
    passes(&lab, 25).await;
    assert_eq!(lab.world.told_of(&service, "not-ready"), 0, "all is well: {:?}", lab.world.told());
    assert_eq!(host.engine.last_readiness(&service).unwrap().unready(), BTreeSet::new());

    // A restart of the server is no news.
    lab.world.at(&service, |outside| outside.deployer_down = true);
    passes(&lab, 12).await;
    lab.world.at(&service, |outside| outside.deployer_down = false);
    passes(&lab, 25).await;
    assert_eq!(lab.world.told_of(&service, "not-ready"), 0, "it came and went");

    lab.world.at(&service, |outside| outside.deployer_down = true);
    told(&lab, "not-ready", 1).await;
    passes(&lab, 45).await;
    assert_eq!(lab.world.told_of(&service, "not-ready"), 1, "it is told once");
    assert_eq!(host.state(&service).unready, BTreeSet::from([ReadyPart::Live]));
    assert!(lab.world.texts_of("not-ready")[0].contains("if it had to be now: live (1 of 13"));

    lab.world.at(&service, |outside| outside.deployer_down = false);
    told(&lab, "ready-again", 1).await;
    assert_eq!(host.state(&service).unready, BTreeSet::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_says_of_each_part_is_what_is_so() {
    let (lab, host) = ready().await;
    let service = lab.service();
    let looked = host.engine.readiness(&service).await.unwrap();
    assert_eq!(looked.unready(), BTreeSet::new(), "{looked:#?}");
    assert_eq!(
        word(&looked, ReadyPart::Target),
        (ReadyWord::Ready, "1.1 is attested, and rules may go back to it")
    );
    assert_eq!(
        word(&looked, ReadyPart::Artefact).0,
        ReadyWord::NotWanted,
        "this registry keeps nothing at hand"
    );

    // Each breaks one part, and no other.
    type Breaks = fn(&mut ripcord_tests::world::Outside);
    let breaks: [(ReadyPart, Breaks, &str); 2] = [
        (ReadyPart::Live, |outside| outside.deployer_down = true, "model: "),
        (ReadyPart::Registry, |outside| outside.registry_down = true, "model: "),
    ];
    assert_eq!(word(&looked, ReadyPart::Announcements).0, ReadyWord::Ready);
    for (part, how, said) in breaks {
        let before = lab.world.of(&service);
        lab.world.at(&service, how);
        let looked = host.engine.readiness(&service).await.unwrap();
        assert_eq!(looked.unready(), BTreeSet::from([part]), "{looked:#?}");
        assert!(word(&looked, part).1.starts_with(said), "{looked:#?}");
        lab.world.at(&service, |outside| *outside = before);
    }

    host.ask(ada(), &service, Ask::Pause).await.unwrap();
    let looked = host.engine.readiness(&service).await.unwrap();
    assert_eq!(looked.unready(), BTreeSet::from([ReadyPart::Acting]), "{looked:#?}");
    assert!(word(&looked, ReadyPart::Acting).1.contains("has paused it"), "{looked:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_nothing_to_go_back_to_is_not_ready() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deadlines.readiness = EVERY);
    let lab = Lab::new(vec![spec]);
    let (host, service) = (lab.start().await, lab.service());
    told(&lab, "not-ready", 1).await;
    let looked = host.engine.last_readiness(&service).unwrap();
    assert_eq!(looked.unready(), BTreeSet::from([ReadyPart::Target]), "{looked:#?}");
    assert!(word(&looked, ReadyPart::Target).1.contains("ripcord adopt fraud-api"), "{looked:#?}");
    host.adopt(&service, &["1.0", "1.1"]).await;
    told(&lab, "ready-again", 1).await;
    host.stop().await;
}
