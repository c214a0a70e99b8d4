//! Accounts: what the page says of least rights is what a real server wants.

use ripcord_adapters::Secret;
use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry};
use serde_json::json;

use crate::mlflow::server::{ADMIN_PASSWORD, Mlflow};
use crate::mlflow::{Folders, MODEL, config, shared, version};

const USER: &str = "ripcord";
const PASSWORD: &str = "long-enough-2";

fn account(server: &Mlflow, user: Option<&str>, secret: &str) -> MlflowRegistry {
    let config = MlflowRegistryConfig { user: user.map(str::to_owned), ..config(server.url()) };
    MlflowRegistry::new(config, Some(Secret::new(secret)), &shared()).unwrap()
}

async fn permit(server: &Mlflow, verb: &str, kind: &str, id: &str, permission: &str) {
    let body = json!({"username": USER, "resource_type": kind, "resource_id": id, "permission": permission});
    server.post(&format!("api/3.0/mlflow/users/permissions/{verb}"), &body, Some(ADMIN_PASSWORD)).await;
}

fn denied(error: &PortError, advice: &str) {
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(error.to_string().contains(advice), "{error}");
    assert!(!error.to_string().contains(PASSWORD), "{error}");
}

pub(crate) async fn least(admin: Secret) {
    let server = Mlflow::start("RIPCORD_TEST_MLFLOW", &["--app-name", "basic-auth"]).await;
    server.seed(MODEL, Some(admin.expose())).await;
    let new_account = json!({"username": USER, "password": PASSWORD});
    server.post("api/2.0/mlflow/users/create", &new_account, Some(admin.expose())).await;
    let folders = Folders::new();
    let old = VersionTarget { version: version("1"), digest: None };

    for wrong in [account(&server, Some(USER), "wrong"), account(&server, None, "a-token-it-does-not-know")] {
        denied(&wrong.versions(5).await.unwrap_err(), "check `user` and password, or the token");
    }
    let nobody = MlflowRegistry::new(config(server.url()), None, &shared()).unwrap();
    denied(&nobody.promoted().await.unwrap_err(), "check `user` and password, or the token");

    let registry = account(&server, Some(USER), PASSWORD);
    denied(&registry.versions(5).await.unwrap_err(), "READ on the registered model `fraud`");

    permit(&server, "grant", "registered_model", MODEL, "READ").await;
    let listed = registry.version(&version("1")).await.unwrap();
    assert!(
        listed.broken.unwrap().contains("READ on the experiments"),
        "what cannot be fetched is not offered"
    );
    denied(&registry.fetch(&old, folders.next()).await.unwrap_err(), "READ on the experiments");

    permit(&server, "grant", "experiment", "1", "READ").await;
    assert_eq!(registry.version(&version("1")).await.unwrap().broken, None);
    registry.fetch(&old, folders.next()).await.unwrap();
    registry.lineage(&version("1")).await.unwrap();
    assert_eq!(registry.promoted().await.unwrap(), Some(version("2")));
    let held = Mark::Held { incident: "fraud-api:1" };
    denied(&registry.mark(&version("2"), held).await.unwrap_err(), "EDIT on the registered model `fraud`");
    let moved = registry.promote(&version("1"), Some(&version("2"))).await;
    denied(&moved.unwrap_err(), "EDIT on the registered model `fraud`");

    permit(&server, "revoke", "registered_model", MODEL, "READ").await;
    permit(&server, "grant", "registered_model", MODEL, "EDIT").await;
    registry.mark(&version("2"), held).await.unwrap();
    registry.mark(&version("2"), Mark::Lifted).await.unwrap();
    registry.promote(&version("1"), Some(&version("2"))).await.unwrap();
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")));
}
