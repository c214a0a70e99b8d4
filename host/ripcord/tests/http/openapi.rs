//! The OpenAPI document and the host say the same: routes, methods, answers.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::document::{DOCUMENT, holds, operation, schema};
use crate::http::support::{Host, body, host, host_with, recorded, script, write};

/// Methods of each path in the document.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let methods =
        |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    paths.map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[tokio::test]
async fn every_route_of_the_host_is_in_the_document_and_nothing_else_is() {
    let host = host().await;
    let documented = documented();
    let routes: BTreeSet<_> = ripcord::http::paths().into_iter().collect();
    let named: BTreeSet<_> = documented.keys().cloned().collect();
    let missing: Vec<_> = routes.difference(&named).collect();
    assert!(missing.is_empty(), "write these into `src/http/openapi.json`: {missing:?}");
    let gone: Vec<_> = named.difference(&routes).collect();
    assert!(gone.is_empty(), "the host has no such pages: {gone:?}");
    for (path, mut methods) in documented {
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        // No page takes this method, so the answer says which it takes.
        let address = format!("{}{}", host.url, path.replace(['{', '}'], ""));
        let answer = host.http.request(Method::TRACE, address).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        let allowed: BTreeSet<String> =
            answer.headers()["allow"].to_str().unwrap().split(',').map(str::to_owned).collect();
        assert_eq!(methods, allowed, "methods of {path}");
    }
}

#[tokio::test]
async fn it_is_served_to_everyone_as_it_is() {
    let host = host().await;
    let answer = host.http.get(format!("{}/openapi.json", host.url)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let (status, served) = body(answer).await;
    assert_eq!((status.as_u16(), &served), (200, &*DOCUMENT));
    assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"), "the document is of this release");
    holds(&Method::GET, "/openapi.json", 200, &served);
}

/// Its schemas are JSON Schema, each is used, and each name that is used is there.
#[test]
fn its_schemas_are_schemas() {
    let whole = DOCUMENT.to_string();
    for (name, of) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let schema = schema(of);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(whole.contains(&format!("\"#/components/schemas/{name}\"")), "nobody uses `{name}`");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].to_string()), "twice: {}", operation["operationId"]);
            let written = path.matches('{').count();
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let of_the_path = parameters.iter().filter(|given| given.get("$ref").is_some()).count();
            assert_eq!(written, of_the_path, "parameters of {method} {path}");
        }
    }
}

/// A walk through the host, which notes what of the document it has seen an answer of.
struct Walk {
    host: Host,
    seen: BTreeSet<(String, &'static str)>,
}

impl Walk {
    async fn go(&mut self, who: &str, method: Method, path: &str, sent: Option<Value>) -> Value {
        let (status, body) = self.host.ask(who, method.clone(), path, sent.clone()).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        let (of_document, operation) = operation(&method, &format!("/api/v1/{path}")).unwrap();
        if let Some(sent) = sent {
            let wanted = &operation["requestBody"]["content"]["application/json"]["schema"];
            let validator = jsonschema::validator_for(&schema(wanted)).unwrap();
            assert!(
                validator.is_valid(&sent),
                "the document does not take what the host takes: {path} {sent}"
            );
        }
        self.seen.insert((method.to_string(), of_document));
        body
    }

    async fn get(&mut self, path: &str) -> Value {
        self.go("vera", Method::GET, path, None).await
    }

    async fn post(&mut self, who: &str, path: &str, sent: Value) -> Value {
        self.go(who, Method::POST, path, Some(sent)).await
    }

    /// A page for machines, or a webhook.
    async fn machine(&mut self, path: &'static str) {
        let answer = self.host.http.get(format!("{}{path}", self.host.url)).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let (status, body) = body(answer).await;
        let (of_document, operation) = operation(&Method::GET, path).unwrap();
        assert!(operation["responses"]["200"]["content"].get(&kind).is_some(), "{path} is {kind}");
        holds(&Method::GET, path, status.as_u16(), &body);
        self.seen.insert(("GET".to_owned(), of_document));
    }

    /// An incident that waits for approval, and its plan's digest.
    async fn waiting(&mut self) -> (String, String) {
        let pull = json!({"to": "1.3.2", "reason": "it declines everyone", "urgency": "urgent"});
        let done = self.post("olga", "services/fraud-api/pull", pull).await;
        let incident = done["incident"].as_str().unwrap().to_owned();
        let state = self.host.until(&incident, "waiting for approval").await;
        (incident, state["plan"].as_str().unwrap().to_owned())
    }

    async fn approve(&mut self, incident: &str, plan: &str) {
        for who in ["sam", "sue"] {
            self.post(who, &format!("incidents/{incident}/approve"), json!({"plan": plan})).await;
        }
    }
}

/// Everything but what needs a trigger that was dismissed.
#[tokio::test]
async fn every_operation_answers_what_the_document_says() {
    let host = host_with("ask", "[{ role = \"security\", people = 2 }]").await;
    let mut walk = Walk { host, seen: BTreeSet::new() };
    let why = json!({"reason": "the document says so"});
    for page in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        walk.machine(page).await;
    }
    let (status, taken) = walk.host.hook(&recorded("05-hooks_alertmanager-firing-1.json")).await;
    assert_eq!((status, &taken["unrouted"]), (200, &json!(1)));
    walk.seen.insert(("POST".to_owned(), "/hooks/{source}"));
    assert_eq!(walk.get("signals/unrouted?limit=5").await[0]["times"], 1);
    walk.get("services?live=true").await;
    assert_eq!(walk.get("whoami").await["person"], "vera");
    walk.get("signals/set-aside").await;
    walk.post("adam", "services/fraud-api/adopt", json!({"revision": "1.3.2", "reason": "ran for a year"}))
        .await;
    for path in ["services/fraud-api/pause", "services/fraud-api/resume", "pause", "resume"] {
        walk.post("olga", path, why.clone()).await;
    }

    let pull = json!({"to": {"pipeline": "1.3.2"}, "reason": "they do not fit"});
    let run = walk.post("olga", "sets/fraud/pull", pull).await["incident"].as_str().unwrap().to_owned();
    walk.host.until(&run, "over").await;
    walk.get("sets").await;
    assert_eq!(walk.get("sets/fraud").await["last"]["end"], "moved");
    assert_eq!(walk.get("sets/fraud/runs/1").await["run"]["parts"][0]["state"], "has moved");
    assert!(walk.get(&format!("incidents/{run}/plan")).await["plan"]["set"].is_object());
    walk.get(&format!("incidents/{run}/wait?seconds=0")).await;
    assert_eq!(walk.get("incidents/pipeline:1").await["set_run"], run.as_str());
    let (status, _) = walk.host.ask("vera", Method::GET, &format!("incidents/{run}"), None).await;
    assert_eq!(status, 404, "a run is no incident");

    let (refused, plan) = walk.waiting().await;
    walk.get(&format!("incidents/{refused}/plan")).await;
    walk.get(&format!("incidents/{refused}/wait?seconds=0")).await;
    walk.post("sam", &format!("incidents/{refused}/refuse"), json!({"plan": plan, "reason": "no"})).await;
    let (aborted, _) = walk.waiting().await;
    walk.post("olga", &format!("incidents/{aborted}/abort"), why.clone()).await;

    let (settled, plan) = walk.waiting().await;
    walk.approve(&settled, &plan).await;
    walk.host.until(&settled, "settled").await;
    assert_eq!(walk.get(&format!("incidents/{settled}")).await["outcome"], "rolled-back");
    walk.get("incidents?service=fraud-api&limit=9").await;
    walk.get("services/fraud-api/versions").await;
    walk.get("services/fraud-api/targets?facet=model").await;
    walk.get("services/fraud-api/readiness").await;
    walk.get("services/fraud-api/changes?since=0&harm_began=5").await;
    walk.get("services/fraud-api/decisions?limit=9").await;
    walk.get(&format!("incidents/{settled}/decisions")).await;
    for word in ["keep", "release"] {
        walk.post("adam", &format!("incidents/{settled}/{word}"), why.clone()).await;
    }
    assert_eq!(walk.get("services/fraud-api/holds").await[0]["revision"], "1.4.0");
    assert_eq!(walk.get("holds").await["lines"][0]["service"], "fraud-api");
    walk.post("adam", "services/fraud-api/holds/1.4.0/lift", why.clone()).await;
    let data = json!({"data": "transactions@r7", "reason": "labels are wrong"});
    walk.post("olga", "services/fraud-api/data/condemn", data.clone()).await;
    assert_eq!(walk.get("data").await["lines"][0]["data"], "transactions@r7");
    walk.post("adam", "services/fraud-api/data/lift", data).await;

    // A shift of which nothing can tell what became of it.
    let folder = walk.host.folder.path();
    write(folder, "live", "1.4.0");
    let dark = r#"if [ -e dark ]; then echo '{"unknown": "dark"}'; else printf '{"shares": [{"version": "%s"}]}' "$(cat live)"; fi"#;
    script(folder, "live.sh", dark);
    script(folder, "shift.sh", "touch dark; exit 1");
    let (asked, plan) = walk.waiting().await;
    let glass = json!({"plan": plan, "reason": "nobody else is awake", "break_glass": true});
    walk.post("adam", &format!("incidents/{asked}/approve"), glass).await;
    walk.host.until(&asked, "needs a person").await;
    let answer = json!({"happened": "not-applied", "question": 1, "reason": "I looked"});
    walk.post("olga", &format!("incidents/{asked}/answer"), answer).await;
    walk.post("olga", &format!("incidents/{asked}/dismiss"), why.clone()).await;
    assert_eq!(walk.get("services/fraud-api").await["reviews"][0]["person"], "adam");
    walk.post("abel", &format!("incidents/{asked}/close-review"), why.clone()).await;
    walk.go("adam", Method::POST, "store/prune", None).await;

    let all = documented()
        .into_iter()
        .flat_map(|(path, methods)| methods.into_iter().map(move |method| format!("{method} {path}")));
    let seen: BTreeSet<_> = walk.seen.iter().map(|(method, path)| format!("{method} {path}")).collect();
    let unseen: Vec<_> = all.filter(|operation| !seen.contains(operation)).collect();
    // A host within a test cannot begin anew, and nothing makes versions here.
    let elsewhere = [
        "POST /api/v1/incidents/{id}/stop-run",
        "POST /api/v1/reload",
        "POST /api/v1/services/{service}/latches/{trigger}/lift",
    ];
    assert_eq!(unseen, elsewhere, "let the walk see these");
}
