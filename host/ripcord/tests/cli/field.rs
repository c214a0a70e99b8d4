//! What people meet in their first week: metrics that select nothing, alerts about missing data.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::run::{ModelServer, as_olga, configure};
use crate::support::alerts::{ALERTS_TOKEN, firing};
use crate::support::host::Host;

/// Answers every request with this page of metrics, from a thread of its own; gives its address.
fn metrics_page(page: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            let _ = peer.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                page.len()
            );
            let _ = peer.write_all(head.as_bytes()).and_then(|()| peer.write_all(page.as_bytes()));
        }
    });
    address
}

fn extend(folder: &Path, more: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = folder.join("alerts.token");
    std::fs::write(&secret, ALERTS_TOKEN).expect("writes");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let source = r#"
[sources.alerts]
kind = "alertmanager"
auth = { bearer-file = "alerts.token" }
[[sources.alerts.routes]]
match = { service = "*" }
service = "fraud-api"
"#;
    std::fs::write(&file, format!("{text}{more}{source}")).expect("writes");
}

const PLANNER: &str = "\n[services.fraud-api.planner]\npolicy = \"last-known-good\"\n";

fn threshold(page: &str, metric: &str) -> String {
    format!(
        "metrics = [\"page\"]\n{PLANNER}\n[[services.fraud-api.triggers]]\npolicy = \"threshold-trigger\"\nsettings = {{ metric = {metric}, per = {{ query = \"requests_total\" }}, when = \"over\", limit = {{ absolute = 0.05 }} }}\n\n[metrics.page]\nkind = \"scrape\"\nurl = \"http://{page}/metrics\"\nevery-ms = 100\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_that_is_misspelt_is_noticed_by_check_by_status_and_in_the_log() {
    let page = metrics_page("requests_total 1000\nerrors_total 5\n");
    for (metric, judges) in
        [("{ query = \"error_total\" }", false), ("{ query = \"error_total\", absent = \"zero\" }", true)]
    {
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path();
        configure(folder, "127.0.0.1:9");
        extend(folder, &threshold(&page, metric));
        let check = as_olga(folder, &["check"]);
        assert!(
            check.stdout.contains("`error_total` selects nothing now"),
            "{}{}",
            check.stdout,
            check.stderr
        );
        assert!(check.stdout.contains("1 query has data now"), "{}", check.stdout);
        assert!(!as_olga(folder, &["check", "--offline"]).stdout.contains("selects nothing"));

        let host = Host::start(folder).await;
        host.send(&firing(&[&[("service", "fraud-api")]])).await;
        let lacks = |state: &Value| !state["no_data"].is_null();
        let state = host.until("fraud-api", lacks).await;
        let (list, other) = if judges {
            ("take_it_for_a_value", "cannot_judge")
        } else {
            ("cannot_judge", "take_it_for_a_value")
        };
        assert_eq!(
            (&state["no_data"][list], &state["no_data"][other]),
            (&json!(["threshold-trigger"]), &json!([]))
        );
        let status = as_olga(folder, &["status"]).stdout;
        assert!(status.contains("no data since"), "{status}");
        assert_eq!(status.contains("not protected  no data since"), !judges, "{status}");
        let log = host.log().join("\n");
        assert!(log.contains("error_total") && log.contains("threshold-trigger"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_about_missing_data_rolls_nothing_back_and_people_are_told() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);
    let trigger = "\n[[services.fraud-api.triggers]]\npolicy = \"security-alert-trigger\"\nsettings = { alerts = [{ labels = { service = \"fraud-api\" } }] }\n";
    let approval = "\n[[services.fraud-api.approvals]]\npolicy = \"auto-low-risk\"\n";
    extend(folder, &format!("{PLANNER}{trigger}{approval}"));
    assert_eq!(as_olga(folder, &["adopt", "fraud-api", "1.3.2", "--reason", "it served well"]).code, 0);
    let host = Host::start(folder).await;
    for rule in ["DatasourceNoData", "DatasourceError", "PrometheusRuleFailures", "FraudMetricsAbsent"] {
        host.send(&firing(&[&[("service", "fraud-api"), ("alertname", rule)]])).await;
    }
    let mut own_name = firing(&[&[("service", "fraud-api")]]);
    own_name["alerts"][0]["annotations"] = json!({ "grafana_state_reason": "NoData" });
    host.send(&own_name).await;
    let judged = |state: &Value| state["alerts"]["without_data"] == 5 && state["alerts"]["waiting"] == 0;
    let state = host.until("fraud-api", judged).await;
    assert!(state["incident"].is_null() && state["last_settled"].is_null(), "{state:#}");
    let told = || host.log().join("\n").contains("alert-without-data");
    let waits = std::time::Instant::now();
    while !told() {
        assert!(waits.elapsed().as_secs() < 30, "{}", host.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(as_olga(folder, &["status"]).stdout.contains("5 without data"));
    assert_eq!(server.live().await, "1.4.0");
    // Its condition holds: that is harm, although the same alert fired before for want of data.
    host.send(&firing(&[&[("service", "fraud-api")]])).await;
    let opened = |state: &Value| !state["incident"].is_null() || !state["last_settled"].is_null();
    host.until("fraud-api", opened).await;
}
