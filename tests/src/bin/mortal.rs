//! One host on a world in files, for a suite that kills it. Goes on where the process before it was killed, plays the people,
//! and ends with code 0 once the incident is settled and everything is as it must be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ripcord_core::fact::Outcome;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::UnixMillis;
use ripcord_tests::{Fuse, Lab, Spec, TestClock, World, check};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let class = match arguments.next().as_deref() {
        Some("idempotent") => EffectClass::Idempotent,
        Some("observable") => EffectClass::Observable,
        Some("blind") => EffectClass::Blind,
        other => unreachable!("no such class: {other:?}"),
    };
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.deployer = class);
    let service = spec.name.clone();
    let world = World::in_file(folder.join("world.json"));
    #[expect(clippy::disallowed_methods, reason = "this process has no other clock that outlives it")]
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = UnixMillis(u64::try_from(since.as_millis()).expect("fits"));
    let lab = Lab {
        clock: Arc::new(TestClock::starting_at(now, 1)),
        temporary: None,
        folder,
        ..Lab::over(world.clone(), vec![spec])
    };
    let host = lab.start_with(Fuse::slow(Duration::from_millis(2))).await.expect("it does not die by itself");
    println!("up");
    if host.state(&service).revisions.len() < 2 {
        host.adopt(&service, &["1.0", "1.1"]).await;
    }
    host.alert(&lab, &service, "a").await.expect("taken");
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = world.of(&service);
    assert_eq!((outside.live.as_str(), check::applied(&outside.steps)), ("1.1", 1), "{:#?}", outside.steps);
    assert_eq!(outside.candidate, None, "{:?}", outside.candidate_calls);
    assert_eq!(host.state(&service).incidents, 1);
    host.stop().await;
    println!("done");
}
