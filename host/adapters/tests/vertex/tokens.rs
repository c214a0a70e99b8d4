//! Google's own library gets tokens with the same files: it and the adapter ask the token services for the same.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ripcord_adapters::registry_vertex::VertexRegistryConfig;
use ripcord_ports::Registry;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fake::{TOKEN, TokenCall, Vertex};
use super::{config, of, run, seeded};

#[derive(Deserialize)]
struct Got {
    token: String,
}

/// What a call asks for; of a signed assertion what it claims, without the moment.
fn asked(call: &TokenCall) -> (String, Option<String>, BTreeMap<String, String>) {
    let mut fields = call.fields.clone();
    if let Some(assertion) = fields.remove("assertion") {
        let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
        let claims: BTreeMap<String, Value> = serde_json::from_slice(&claims).unwrap();
        let lasting = claims.into_iter().filter(|(name, _)| !matches!(name.as_str(), "iat" | "exp"));
        fields.extend(lasting.map(|(name, value)| (format!("assertion.{name}"), value.to_string())));
    }
    (call.path.clone(), call.bearer.clone(), fields)
}

/// What the adapter asks for with a file of credentials, and what Google's library does.
async fn both(fake: &Vertex, file: &Value) -> [Vec<TokenCall>; 2] {
    let path = fake.file("credentials.json", file);
    let adapter = of(VertexRegistryConfig { credentials_file: Some(path.clone()), ..config(fake) });
    adapter.promoted().await.unwrap();
    let ours = std::mem::take(&mut fake.world().token_calls);
    let got: Got = run("tokens.py", &[path.to_str().unwrap()]).await;
    assert_eq!(got.token, TOKEN);
    [ours, std::mem::take(&mut fake.world().token_calls)]
}

#[tokio::test]
#[ignore = "needs Google's own library: see the head of this suite"]
async fn a_service_accounts_key_is_used_as_googles_own_library_does() {
    let (fake, _) = seeded().await;
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap();
    let account = json!({
        "type": "service_account", "client_email": "ripcord@acme-ml.iam.gserviceaccount.com", "private_key_id": "1",
        "private_key": key.to_pkcs8_pem(LineEnding::LF).unwrap().as_str(), "token_uri": format!("{}/token", fake.url()),
    });
    let [ours, theirs] = both(&fake, &account).await;
    assert_eq!(ours.iter().map(asked).collect::<Vec<_>>(), theirs.iter().map(asked).collect::<Vec<_>>());
    assert_eq!(asked(&ours[0]).2.len(), 4, "grant, issuer, scope, audience");
}

#[tokio::test]
#[ignore = "needs Google's own library: see the head of this suite"]
async fn a_workload_identity_is_used_as_googles_own_library_does() {
    let (fake, _) = seeded().await;
    let token = fake.file("token", &json!("of-the-pod"));
    let account = format!("{}/v1/projects/-/serviceAccounts/a@b:generateAccessToken", fake.url());
    // Plain text is the form of a token whose file does not say another.
    let identity = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/sts", fake.url()),
        "credential_source": { "file": token },
        "service_account_impersonation_url": account,
    });
    let [ours, theirs] = both(&fake, &identity).await;
    assert_eq!(ours.iter().map(asked).collect::<Vec<_>>(), theirs.iter().map(asked).collect::<Vec<_>>());
    let bearers: Vec<_> = ours.iter().map(|call| call.bearer.as_deref()).collect();
    assert_eq!(bearers, [None, Some("federated")], "one token for another, and that one for the account's");
}

/// The library sends a form, and the scope that the login has anyway; Google takes JSON as well, which its library does not show.
#[tokio::test]
#[ignore = "needs Google's own library: see the head of this suite"]
async fn a_login_is_renewed_with_what_googles_own_library_sends() {
    let (fake, _) = seeded().await;
    let login = std::fs::read_to_string(fake.credentials()).unwrap();
    let [ours, theirs] = both(&fake, &serde_json::from_str(&login).unwrap()).await;
    let [(path, _, ours), (same, _, mut theirs)] = [asked(&ours[0]), asked(&theirs[0])];
    assert_eq!((path, theirs.remove("scope").is_some()), (same, true));
    assert_eq!(ours, theirs);
    let names: BTreeSet<&str> = ours.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["client_id", "client_secret", "grant_type", "refresh_token"]));
}
