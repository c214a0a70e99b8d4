//! What is refused before anybody is asked.

use ripcord_adapters::deployer_buildbot::{BuildbotDeployerConfig, deployer};
use ripcord_adapters::{PipelineSurroundings, Secret};
use serde_json::{Value, json};

use crate::adapters::support::shared;

fn refused(change: impl FnOnce(&mut Value), secret: Option<&str>) -> String {
    let data = tempfile::tempdir().unwrap();
    let mut config = json!({"url": "http://127.0.0.1:1", "builder": "deploy", "scheduler": "rollback", "user": "ripcord",
        "live": {"urls": ["http://127.0.0.1:2/live"], "pointer": "/version"}});
    change(&mut config);
    let config: BuildbotDeployerConfig = serde_json::from_value(config).unwrap();
    let surroundings = PipelineSurroundings { data: data.path().to_owned(), shared: shared() };
    deployer(config, secret.map(Secret::new), surroundings).unwrap_err().to_string()
}

#[test]
fn each_setting_that_makes_no_sense_is_told() {
    let check = |change: &dyn Fn(&mut Value), secret: Option<&str>, expected: &str| {
        let told = refused(change, secret);
        assert!(told.contains(expected), "{told}");
    };
    let secret = Some("s3cret");
    check(&|it| it["url"] = "http://ci.internal:8010".into(), secret, "`url` is without TLS");
    check(&|it| it["url"] = "http://a:b@127.0.0.1:1".into(), secret, "holds a user or a password");
    check(&|it| it["url"] = "http://127.0.0.1:1?a=b".into(), secret, "has a query");
    check(&|it| it["user"] = Value::Null, secret, "takes no bearer token");
    check(&|_| {}, None, "password is missing");
    check(&|it| it["builder"] = "a/b".into(), secret, "cannot be a `builder`");
    check(&|it| it["deadline-ms"] = 0.into(), secret, "`deadline-ms`");
    check(&|it| it["follow"] = json!({"poll-ms": 0}), secret, "`follow.poll-ms`");
    check(&|it| it["inputs"] = json!({"RIPCORD_VERSION": "1"}), secret, "Ripcord's own");
    check(&|it| it["inputs"] = json!({"a b": "1"}), secret, "use letters, digits");
    check(&|it| it["inputs"] = json!({"a": "1\n2"}), secret, "no line of");
    check(&|it| it["live"] = json!({}), secret, "one way to read what is live");
    check(&|it| it["live"]["command"] = json!(["./live"]), secret, "one way to read what is live");
    check(&|it| it["live"]["pointer"] = "version".into(), secret, "pointer");
    check(&|it| it["live"]["proof"] = "digest".into(), secret, "`live.proof`");
    check(&|it| it["live"]["answers"] = 0.into(), secret, "`answers`");
    check(&|it| it["live"]["urls"] = json!(["http://127.0.0.1:1/live?token=x"]), secret, "has a query");
    check(
        &|it| it["live"] = json!({"urls": ["http://127.0.0.1:1"], "model": "fraud", "probe-input": {"a": 1}}),
        secret,
        "is no list",
    );
    let page = |it: &mut Value| it["live"]["urls"] = json!(["http://a:b@127.0.0.1:1/live"]);
    check(&page, secret, "`live.urls` holds a user or a password");
    let model = |url: &str| json!({"urls": [url], "model": "fraud", "probe-input": []});
    check(
        &|it| it["live"] = model("http://a:b@127.0.0.1:1"),
        secret,
        "`live.urls` holds a user or a password",
    );
    check(&|it| it["live"] = model("http://127.0.0.1:1?token=x"), secret, "has a query");
}
