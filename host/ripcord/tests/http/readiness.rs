//! Whether a service could be rolled back right now, as people ask for it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::support::{host, script};

fn word<'a>(view: &'a Value, part: &str) -> &'a Value {
    let all = view["parts"].as_array().unwrap();
    all.iter().find(|one| one["part"] == part).unwrap_or_else(|| panic!("no {part} in {view:#}"))
}

#[tokio::test]
async fn a_look_says_of_each_part_whether_it_is_ready() {
    let host = host().await;
    let body = json!({"revision": "1.3.2", "reason": "ran for a year"});
    assert_eq!(host.post("adam", "services/fraud-api/adopt", body).await.0, 200);
    // The artefact is fetched for its digest.
    let mut view = Value::Null;
    for _ in 0..100 {
        view = host.get("services/fraud-api/readiness").await;
        if word(&view, "artefact")["word"] == "ready" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for part in ["acting", "evidence", "target", "registry", "artefact", "live", "deployer", "clock"] {
        assert_eq!(word(&view, part)["word"], "ready", "{part}: {view:#}");
    }
    assert!(word(&view, "target")["text"].as_str().unwrap().starts_with("1.3.2 is attested"), "{view:#}");
    let policies = word(&view, "policies");
    assert_eq!(policies["word"], "not-ready", "{view:#}");
    assert!(policies["text"].as_str().unwrap().starts_with("no trigger is configured"), "{view:#}");
    assert_eq!(word(&view, "golden")["word"], "not-wanted", "{view:#}");
    let count =
        |wanted: &str| view["parts"].as_array().unwrap().iter().filter(|one| one["word"] == wanted).count();
    assert_eq!(view["ready"], count("ready"), "{view:#}");
    assert_eq!(view["wanted"], count("ready") + count("not-ready"), "{view:#}");
    assert_eq!(view["is_ready"], count("not-ready") == 0, "{view:#}");

    script(host.folder.path(), "live.sh", "echo broken >&2; exit 1");
    let view = host.get("services/fraud-api/readiness").await;
    assert_eq!((&word(&view, "live")["word"], &view["is_ready"]), (&json!("not-ready"), &json!(false)));
    assert!(host.metric("ripcord_unready_parts{service=\"fraud-api\"}").await >= 1);
}

#[tokio::test]
async fn nobody_is_told_who_does_not_prove_themselves() {
    let host = host().await;
    assert_eq!(host.ask("", Method::GET, "services/fraud-api/readiness", None).await.0, 401);
    let (status, problem) = host.ask("vera", Method::GET, "services/nobody/readiness", None).await;
    assert_eq!(status, 404, "{problem}");
}
