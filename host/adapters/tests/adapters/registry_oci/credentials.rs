//! Who is told the password, and who is not.

use ripcord_adapters::Secret;
use ripcord_adapters::registry_oci::{OciRegistry, OciRegistryConfig};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, PortError, Registry};

use super::{config, seeded};
use crate::adapters::support::{empty_dir, shared, target, version};
use crate::oci::fake::{Oci, PASSWORD, USER, Wants};

fn account(fake: &Oci, password: &str, change: impl FnOnce(&mut OciRegistryConfig)) -> OciRegistry {
    let mut config = OciRegistryConfig { user: Some(USER.into()), patience_ms: 50, ..config(fake.url()) };
    change(&mut config);
    OciRegistry::new(config, Some(Secret::new(password)), &shared()).unwrap()
}

fn host(server: &Oci) -> String {
    server.url().trim_start_matches("http://").to_owned()
}

fn is(error: &PortError, kind: ErrorKind, part: &str) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(!error.to_string().contains(PASSWORD), "{error}");
}

async fn reads_and_writes(registry: &OciRegistry) {
    assert_eq!(registry.versions(10).await.unwrap().len(), 3);
    registry.fetch(&target("1.1.0", None), empty_dir().1).await.unwrap();
    registry.promote(&version("1.1.0"), Some(&version("1.2.0"))).await.unwrap();
    registry.mark(&version("1.2.0"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
}

#[tokio::test]
async fn a_password_is_sent_to_the_registry_that_asks_for_it() {
    let (fake, _) = seeded().await;
    fake.world().wants = Wants::Password;
    reads_and_writes(&account(&fake, PASSWORD, |_| {})).await;
    let unasked = fake.seen().into_iter().take_while(|seen| seen.authorization.is_none()).count();
    assert!(unasked >= 1, "it is not sent before it is asked for");
    let error = account(&fake, "wrong", |_| {}).versions(1).await.unwrap_err();
    is(&error, ErrorKind::Denied, "does not know this account");
    let nobody = OciRegistryConfig { patience_ms: 50, ..config(fake.url()) };
    let error = super::of(nobody).versions(1).await.unwrap_err();
    is(&error, ErrorKind::Denied, "configure `user` and `password-file`");
}

#[tokio::test]
async fn tokens_are_asked_for_where_the_registry_says_and_nobody_else_is_told_the_password() {
    let (fake, _) = seeded().await;
    fake.world().wants = Wants::Token(format!("{}/token", fake.url()));
    reads_and_writes(&account(&fake, PASSWORD, |_| {})).await;
    let seen = fake.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.path == "/token").collect();
    let service = "service=a+%22registry%22&scope=repository%3Amodels%2Ffraud%3Apull";
    assert_eq!(asked[0].query, service);
    assert!(asked[1..].iter().all(|seen| seen.query.ends_with("%3Apull%2Cpush")), "{asked:?}");
    assert_eq!(asked.len(), 2, "one for reading, one for writing, and each is kept");
    let basic = |seen: &&crate::oci::fake::Seen| {
        seen.authorization.as_deref().is_some_and(|given| given.starts_with("Basic"))
    };
    assert!(seen.iter().filter(basic).all(|seen| seen.path == "/token"));
    let error = account(&fake, "wrong", |_| {}).versions(1).await.unwrap_err();
    is(&error, ErrorKind::Denied, "does not know the account");
}

#[tokio::test]
async fn a_token_endpoint_elsewhere_is_told_the_password_only_where_somebody_said_so() {
    let (fake, _) = seeded().await;
    let elsewhere = Oci::start().await;
    fake.world().wants = Wants::Token(format!("{}/token", elsewhere.url()));
    let error = account(&fake, PASSWORD, |_| {}).versions(1).await.unwrap_err();
    is(&error, ErrorKind::Configuration, &format!("add `{}` to `tokens-from`", host(&elsewhere)));
    assert_eq!(elsewhere.seen().len(), 0, "it was not asked");
    let known = [host(&elsewhere)].to_vec();
    reads_and_writes(&account(&fake, PASSWORD, |config| config.tokens_from = known)).await;
    for realm in ["", "/token", "ftp://x/token", "http://a:b@x/token"] {
        fake.world().wants = Wants::Token(realm.to_owned());
        let error = account(&fake, PASSWORD, |_| {}).versions(1).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::BadAnswer | ErrorKind::Configuration), "{realm}: {error}");
    }
}

#[tokio::test]
async fn a_token_of_ones_own_is_sent_as_it_is() {
    let (fake, _) = seeded().await;
    let registry = |token: &str| {
        let config = OciRegistryConfig { patience_ms: 50, ..config(fake.url()) };
        OciRegistry::new(config, Some(Secret::new(token)), &shared()).unwrap()
    };
    registry("own").versions(1).await.unwrap();
    assert!(fake.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer own")));
    fake.world().wants = Wants::Token(format!("{}/token", fake.url()));
    let error = registry("own").versions(1).await.unwrap_err();
    is(&error, ErrorKind::Denied, "does not know this account");
    assert!(fake.seen().iter().all(|seen| seen.path != "/token"));
}

#[tokio::test]
async fn files_come_from_where_somebody_said_that_they_may_and_without_credentials() {
    let (fake, _) = seeded().await;
    let storage = Oci::start().await;
    storage.world().blobs = fake.world().blobs.clone();
    {
        let mut world = fake.world();
        world.wants = Wants::Password;
        world.storage = Some(storage.url());
    }
    let registry = account(&fake, PASSWORD, |_| {});
    let error = registry.fetch(&target("1.1.0", None), empty_dir().1).await.unwrap_err();
    is(&error, ErrorKind::Configuration, &format!("add `{}` to `files-from`", host(&storage)));
    assert!(!error.to_string().contains("secret"), "the signature is one: {error}");
    assert_eq!(storage.seen().len(), 0);
    let registry = account(&fake, PASSWORD, |config| config.files_from = vec![host(&storage)]);
    registry.fetch(&target("1.1.0", None), empty_dir().1).await.unwrap();
    let seen = storage.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.authorization.is_none()), "{seen:?}");
    // A blob that lies there is there: a mark needs no way to it.
    for incident in ["a:1", "a:2"] {
        registry.mark(&version("1.1.0"), Mark::Held { incident }).await.unwrap();
    }
}
