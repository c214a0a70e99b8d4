//! Prompts of a real server, registered with MLflow's own client.

use std::process::Command;

use async_trait::async_trait;
use ripcord_adapters::RestorerSecrets;
use ripcord_adapters::conformance::restorer::{Expected, RestoredService, conforms, order_of};
use ripcord_adapters::conformance::restorer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::restorer_mlflow_prompt::{MlflowPromptRestorer, MlflowPromptRestorerConfig};
use ripcord_core::facet::FacetState;
use ripcord_ports::{Applied, Restorer};
use serde_json::{Value, json};

use super::server::Mlflow;
use super::{shared, version};

const PROMPT: &str = "judge";

/// Three versions, the third with the text of the first, and the alias on the second.
const SEED: &str = r#"
import logging, sys, mlflow
logging.getLogger("mlflow").setLevel(logging.ERROR)
mlflow.set_tracking_uri(sys.argv[1])
register = mlflow.genai.register_prompt if hasattr(getattr(mlflow, "genai", None), "register_prompt") else mlflow.register_prompt
for text, said in [("Is {{ it }} fraud? Yes or no.", "first"), ("Is {{ it }} fraud? Yes.", "shorter"), ("Is {{ it }} fraud? Yes or no.", "as before")]:
    register(name=sys.argv[2], template=text, commit_message=said)
"#;

/// A service that loads its prompt by the alias for every request.
struct Service {
    url: String,
    client: reqwest::Client,
}

impl Service {
    async fn alias(&self, method: reqwest::Method, body: Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/registered-models/alias", self.url);
        let request = match method {
            reqwest::Method::GET => self.client.get(format!("{url}?name={PROMPT}&alias=production")),
            _ => self.client.request(method, url).json(&body),
        };
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn point(&self, at: &str) {
        self.alias(reqwest::Method::POST, json!({"name": PROMPT, "alias": "production", "version": at}))
            .await;
    }

    async fn delete_alias(&self) {
        self.alias(reqwest::Method::DELETE, json!({"name": PROMPT, "alias": "production"})).await;
    }
}

#[async_trait]
impl RestoredService for Service {
    async fn works_with(&self) -> Vec<u8> {
        let read = self.alias(reqwest::Method::GET, Value::Null).await;
        let tags = read["model_version"]["tags"].as_array().cloned().unwrap_or_default();
        let text = tags.iter().find(|tag| tag["key"] == "mlflow.prompt.text");
        text.map(|tag| tag["value"].as_str().unwrap().as_bytes().to_vec()).unwrap_or_default()
    }

    async fn go_astray(&self) {
        self.delete_alias().await;
    }
}

async fn seeded(variable: &str) -> (Mlflow, Service) {
    let server = Mlflow::start(variable, &[]).await;
    let python = std::path::PathBuf::from(std::env::var(variable).unwrap()).with_file_name("python");
    let ran = Command::new(python).args(["-c", SEED, &server.url(), PROMPT]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let service = Service { url: server.url(), client };
    service.point("2").await;
    (server, service)
}

fn restorer(url: &str, prompt: &str) -> MlflowPromptRestorer {
    let text = format!("url = {url:?}\nprompt = {prompt:?}\nalias = \"production\"");
    let config: MlflowPromptRestorerConfig = toml::from_str(&text).unwrap();
    MlflowPromptRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap()
}

async fn told(restorer: &dyn Restorer) -> String {
    match restorer.in_force().await.unwrap().state {
        FacetState::InForce(found) => format!("{} ({})", found.revision, found.proof),
        FacetState::Unknown(why) => why,
    }
}

async fn a_prompt_is_put_back(variable: &str) {
    let (server, service) = seeded(variable).await;
    let adapter = restorer(&server.url(), PROMPT);
    assert_eq!(told(&adapter).await, "2 (control plane only)");
    let listed = adapter.history(9).await.unwrap();
    let summaries: Vec<_> = listed.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(summaries, ["shorter", "first"]);
    service.point("3").await;
    assert_eq!(told(&adapter).await, "1 (control plane only)", "the third has the text of the first");

    let expected = Expected { newest_first: vec![version("2"), version("1")] };
    conforms(&adapter, &service, &expected).await;

    service.delete_alias().await;
    assert_eq!(
        told(&adapter).await,
        "the prompt `judge` has no alias `production`: it was deleted, or never set; point it at the version that the service is to work with"
    );
    let error = adapter.shift(&order_of("key", &version("1"), None, Some(version("2")))).await.unwrap_err();
    assert!(error.applied == Applied::No && error.to_string().contains("that cannot be told"), "{error}");
    adapter.shift(&order_of("key", &version("1"), None, None)).await.unwrap();
    assert_eq!(
        told(&adapter).await,
        "1 (control plane only)",
        "where nobody expects anything it is set again"
    );
    let error = restorer(&server.url(), "nobody").in_force().await.unwrap_err().to_string();
    assert!(error.contains("mlflow has no prompt `nobody`: check `prompt`"), "{error}");

    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    let (one, two) = (version("1"), version("2"));
    let adapter = restorer(&proxy.url(), PROMPT);
    let changes = Which::Changes;
    let (restorer, service) = (&adapter, &service);
    conforms_in_faults(Faulty { restorer, service, proxy: &proxy, changes: &changes, one: &one, two: &two })
        .await;
}

#[tokio::test]
#[ignore = "needs a real MLflow server"]
async fn a_prompt_of_release_3_is_put_back() {
    a_prompt_is_put_back("RIPCORD_TEST_MLFLOW").await;
}

#[tokio::test]
#[ignore = "needs a real MLflow server"]
async fn a_prompt_of_release_2_is_put_back() {
    a_prompt_is_put_back("RIPCORD_TEST_MLFLOW_2").await;
}
