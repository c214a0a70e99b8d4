//! What one service of a host is told of the others: who uses what moved, and how they fare.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::facet::{Facet, Revision};
use ripcord_core::fact::{Fares, Neighbour, Request, UnavailableReason, Value};
use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;
use ripcord_core::standing::Standing;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{FactSource as _, FactsNow, changes_of};
use ripcord_ports::Clock as _;
use ripcord_tests::states::two_keys;
use ripcord_tests::{Lab, Running, Spec};

fn name(service: &str) -> ServiceName {
    service.parse().unwrap()
}

fn limits() -> Facet {
    "limits".parse().unwrap()
}

/// `fraud-api` and `spam` serve one model, read the same limits and are made from the same rows; `quiet` has all of these for itself.
async fn fleet() -> (Lab, Running) {
    let spec = |name: &str| {
        two_keys(Spec::new(name).scripted())
            .facet("limits", &["l1", "l2", "l3"])
            .terms(|terms| terms.deadlines.elsewhere_watch = Millis::minutes(1))
    };
    let lab = Lab::new(vec![spec("fraud-api"), spec("spam"), spec("quiet")]);
    for (service, kept_at, rows) in [
        ("fraud-api", "flags/limits", "november"),
        ("spam", "flags/limits", "november"),
        ("quiet", "quiet/limits", "october"),
    ] {
        lab.world.at(&name(service), |outside| {
            outside.facet(&limits()).kept_at = kept_at.into();
            outside.model_at = format!("models/{}", kept_at.split_once('/').unwrap().0);
            outside.made_from = [("1.1", "october"), ("1.2", rows)].map(|(v, d)| (v.into(), d.into())).into();
        });
    }
    let host = lab.start().await;
    for service in ["fraud-api", "spam", "quiet"] {
        until(&lab, &host, service, |state| state.production.live.is_some()).await;
    }
    (lab, host)
}

/// Lets minutes pass until the service is `wanted`.
async fn until(lab: &Lab, host: &Running, service: &str, wanted: impl Fn(&Service) -> bool) {
    for _ in 0..60 {
        for _ in 0..50 {
            if wanted(&host.state(&name(service))) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        lab.clock.advance(Millis::seconds(61));
    }
    panic!("waited in vain; `{service}` is {:#?}", host.state(&name(service)).production);
}

/// What has moved of `fraud-api`, each with the services that use it.
async fn touched(lab: &Lab, host: &Running) -> Vec<String> {
    let fraud = name("fraud-api");
    let window = Window { start: UnixMillis(0), end: lab.clock.now() };
    let (setup, state) = (host.engine.setup(&fraud).unwrap(), host.state(&fraud));
    let seen = changes_of(setup, &state, host.engine.fleet(), window).await;
    let words = |change: &ripcord_core::fact::Change| {
        let touches: Vec<_> = change.touches.iter().map(ToString::to_string).collect();
        format!("{} touches {}", change.what, touches.join(" "))
    };
    let mut all: Vec<_> = seen.changes.iter().map(words).collect();
    all.sort();
    all.dedup();
    all
}

async fn neighbours(lab: &Lab, host: &Running) -> Vec<Neighbour> {
    let fraud = name("fraud-api");
    let (setup, state) = (host.engine.setup(&fraud).unwrap(), host.state(&fraud));
    let facts = FactsNow::new(setup, &state, None).among(host.engine.fleet());
    match facts.fact("f".into(), Request::Fleet, lab.clock.now()).await.value {
        Ok(Value::Fleet(neighbours)) => neighbours,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_touches_who_uses_what_moved_the_configuration_the_version_or_the_data() {
    let (lab, host) = fleet().await;
    lab.world.at(&name("fraud-api"), |outside| {
        outside.facet(&limits()).in_force = "l1".into();
        outside.live = "1.1".into();
    });
    until(&lab, &host, "fraud-api", |state| state.production.moves.len() == 2).await;
    lab.world.at(&name("fraud-api"), |outside| outside.live = "1.2".into());
    until(&lab, &host, "fraud-api", |state| state.production.moves.len() == 3).await;
    let told = touched(&lab, &host).await;
    // The model that `spam` has, too, touches it with the version that it serves, and with no other.
    let of_model = ["model touches ", "model touches spam"];
    for expected in ["configuration limits touches spam", "data rows touches spam"].iter().chain(&of_model) {
        assert!(told.iter().any(|one| one == *expected), "`{expected}` of {told:#?}");
    }
    // `1.2` gave way to `1.1` for a while: then the rows of October came, which `quiet` is made from.
    assert!(told.iter().any(|one| one == "data rows touches quiet"), "{told:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_another_service_that_hangs_is_not_waited_for_and_leaves_out_that_service_alone() {
    let (lab, host) = fleet().await;
    for live in ["1.1", "1.2"] {
        lab.world.at(&name("fraud-api"), |outside| outside.live = live.into());
        let sole = |state: &Service| state.production.sole().is_some_and(|sole| sole.as_str() == live);
        until(&lab, &host, "fraud-api", sole).await;
    }
    lab.world.at(&name("quiet"), |outside| outside.hangs.insert("lineage".into()));
    let seen = async {
        let (told, ()) = tokio::join!(touched(&lab, &host), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            lab.clock.advance(Millis(2_500));
        });
        told
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), seen).await.expect("it has 2 s");
    assert!(told.contains(&"data rows touches spam".to_owned()), "{told:#?}");
    assert!(!told.iter().any(|one| one.contains("data rows touches quiet")), "{told:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_as_many_services_as_one_reads_the_first_by_name() {
    let shops = (0..70).rev().map(|number| format!("shop-{number:02}"));
    let specs =
        shops.chain(["fraud-api".to_owned()]).map(|name| Spec::new(&name).facet("limits", &["l1", "l2"]));
    let lab = Lab::new(specs.collect());
    for service in lab.specs.iter().map(|spec| &spec.name) {
        lab.world.at(service, |outside| outside.facet(&limits()).kept_at = "flags/limits".into());
    }
    let host = lab.start().await;
    let told = touched(&lab, &host).await;
    let of_limits = told.iter().find(|one| one.starts_with("configuration limits touches ")).unwrap();
    let named: Vec<_> = of_limits.split(' ').skip(3).collect();
    assert_eq!((named.len(), named[0], named[63]), (64, "shop-00", "shop-63"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_an_alert_is_harmed_one_that_is_read_is_well_and_of_one_that_is_not_nobody_can_tell() {
    let (lab, host) = fleet().await;
    let fares = |all: &[Neighbour]| {
        let all = all.iter().map(|one| (one.service.to_string(), one.fares, one.harmed_since.is_some()));
        all.collect::<Vec<_>>()
    };
    let well = |service: &str| (service.to_owned(), Fares::Well, false);
    assert_eq!(fares(&neighbours(&lab, &host).await), [well("quiet"), well("spam")]);

    host.alert(&lab, &name("spam"), "a").await.unwrap();
    host.until("taken in", &name("spam"), |state| !state.watching.alerts.is_empty()).await;
    let spam = ("spam".to_owned(), Fares::Harmed, true);
    assert_eq!(fares(&neighbours(&lab, &host).await), [spam, well("quiet")], "the harmed first");

    lab.world.at(&name("quiet"), |outside| outside.deployer_down = true);
    until(&lab, &host, "quiet", |state| state.production.is_unread(&Facet::Model)).await;
    let quiet = ("quiet".to_owned(), Fares::Unknown, false);
    assert!(fares(&neighbours(&lab, &host).await).contains(&quiet));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_host_runs_nobody_knows_of_others() {
    let (lab, host) = fleet().await;
    let fraud = name("fraud-api");
    let (setup, state) = (host.engine.setup(&fraud).unwrap(), host.state(&fraud));
    let fact = FactsNow::new(setup, &state, None).fact("f".into(), Request::Fleet, lab.clock.now()).await;
    assert_eq!(fact.value.unwrap_err().reason, UnavailableReason::Unsupported);
    host.stop().await;
}

/// Where else each version is known good, as `of` is told.
async fn verified_elsewhere(lab: &Lab, host: &Running, of: &str) -> Vec<(String, String, String)> {
    let of = name(of);
    let (setup, state) = (host.engine.setup(&of).unwrap(), host.state(&of));
    let facts = FactsNow::new(setup, &state, None).among(host.engine.fleet());
    let Ok(Value::Versions(versions)) =
        facts.fact("v".into(), Request::Versions(10), lab.clock.now()).await.value
    else {
        panic!("no versions")
    };
    let each = versions.iter().flat_map(|candidate| {
        let version = candidate.version.version.to_string();
        let of = candidate.verified_in.iter();
        of.map(move |seen| (version.clone(), seen.service.to_string(), seen.environment.clone()))
    });
    each.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_verified_for_another_service_is_told_of_the_version_and_of_the_same_bytes() {
    let (lab, host) = fleet().await;
    let spam = name("spam");
    host.adopt(&spam, &["1.1"]).await;
    assert_eq!(verified_elsewhere(&lab, &host, "fraud-api").await, [], "a person's word is no verification");
    lab.world.at(&spam, |outside| outside.bad.insert("1.2".into()));
    host.alert(&lab, &spam, "a").await.unwrap();
    host.attend(&lab, &spam).await;
    let good = Revision::of_model(&"1.1".parse().unwrap());
    assert_eq!(host.state(&spam).standing_of(&good, lab.clock.now()), Standing::KnownGood);

    let seen = [("1.1".to_owned(), "spam".to_owned(), "test".to_owned())];
    assert_eq!(verified_elsewhere(&lab, &host, "fraud-api").await, seen);
    assert_eq!(verified_elsewhere(&lab, &host, "spam").await, [], "it is no other than itself");
    // Another registry has the same bytes under that name, and then nobody knows what it has.
    assert_eq!(verified_elsewhere(&lab, &host, "quiet").await, seen);
    lab.world.at(&name("quiet"), |outside| outside.no_digests = true);
    assert_eq!(verified_elsewhere(&lab, &host, "quiet").await, []);
    // What is no longer good there is told no more.
    lab.clock.advance(Millis::hours(24 * 120));
    assert_eq!(verified_elsewhere(&lab, &host, "fraud-api").await, []);
    host.stop().await;
}
