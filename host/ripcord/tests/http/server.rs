use std::time::Duration;

use ripcord::commands::serve::Running;
use ripcord_core::name::ServiceName;
use ripcord_ports::Store;
use ripcord_ports::store::SignalFilter;
use ripcord_store::SqliteStore;

use crate::http::support::{FLOOR, config, host, recorded, start};

#[tokio::test]
async fn the_pages_for_machines() {
    let host = host().await;
    let page = |path: &str| {
        let request = host.http.get(format!("{}/{path}", host.url));
        async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(page("healthz").await, (200, "ok\n".into()));
    assert_eq!(page("readyz").await, (200, "ready\n".into()));
    let (_, text) = page("metrics").await;
    for line in
        ["ripcord_signals_accepted_total 0", "ripcord_shifts_total 0", "ripcord_store_failures_total 0"]
    {
        assert!(text.contains(line), "{line} is missing before the first, in\n{text}");
    }
    host.hook(&recorded("01-hooks_alertmanager-firing-2.json")).await;
    let (status, text) = page("metrics").await;
    assert_eq!(status, 200);
    for line in [
        "# TYPE ripcord_signals_accepted_total counter",
        "ripcord_signals_accepted_total 2",
        "ripcord_signals_repeated_total 0",
        "ripcord_incident_open{service=\"fraud-api\"} 0",
        "ripcord_http_requests_total{status=\"2xx\"} ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let types = text.lines().filter(|line| line.starts_with("# TYPE ")).collect::<Vec<_>>();
    let mut distinct = types.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(types.len(), distinct.len(), "one family a name");
}

#[tokio::test]
async fn what_was_acknowledged_is_on_disk_after_the_stop() {
    let host = host().await;
    let (status, _) = host.hook(&recorded("05-hooks_alertmanager-firing-1.json")).await;
    assert_eq!(status, 200);
    let folder = host.folder;
    host.running.stop().await.unwrap();
    let store = SqliteStore::open_read_only(folder.path().join("ripcord-data/store.sqlite")).unwrap();
    assert_eq!(store.signals(SignalFilter::Unrouted, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_in_flight_at_the_stop_is_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = host().await;
    let payload = recorded("01-hooks_alertmanager-firing-2.json").to_string();
    let mut socket = tokio::net::TcpStream::connect(host.running.address().unwrap()).await.unwrap();
    let head = format!(
        "POST /hooks/bearer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok-123\r\ncontent-length: {}\r\n\r\n",
        payload.len()
    );
    let (first, rest) = payload.split_at(100);
    socket.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let address = host.running.address().unwrap();
    let stop = host.running.stop();
    let finish = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "no new connection is taken");
        socket.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let (stopped, answer) = tokio::join!(stop, finish);
    stopped.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":2"), "{answer}");
}

#[tokio::test]
async fn a_long_wait_does_not_hold_up_the_stop() {
    let host = host().await;
    let (incident, _) = host.waiting().await;
    let wait = host
        .http
        .get(format!("{}/api/v1/incidents/{incident}/wait?seconds=50", host.url))
        .bearer_auth("vera-token-0123456789")
        .send();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = std::time::Instant::now();
        host.running.stop().await.unwrap();
        began.elapsed()
    };
    let (answer, took) = tokio::join!(wait, stop);
    assert!(answer.unwrap().status().is_success());
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn an_incident_goes_on_after_a_restart() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let folder = host.folder;
    host.running.stop().await.unwrap();
    let running = start(folder.path(), "ask", FLOOR).await;
    let service = ServiceName::new("fraud-api").unwrap();
    let state = running.engine().watch(&service).unwrap().borrow().clone();
    let open = state.incident.clone().unwrap();
    assert_eq!((open.id.to_string(), open.plan().unwrap().digest.to_string()), (incident, plan));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_address_and_a_taken_store_are_named() {
    let host = host().await;
    let mut second = config(host.folder.path(), "ask", "[]");
    let error = Running::start(&second).await.unwrap_err().to_string();
    assert!(error.contains("store"), "the store is in use: {error}");
    second.host.listen = host.running.address().unwrap();
    let error = Running::start(&second).await.unwrap_err().to_string();
    assert!(error.contains("cannot listen on"), "{error}");
}

#[tokio::test]
async fn a_host_that_others_can_reach_needs_people() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = config(folder.path(), "ask", "[]");
    open.host.listen = "0.0.0.0:0".parse().unwrap();
    open.people.clear();
    let error = Running::start(&open).await.unwrap_err().to_string();
    assert!(error.contains("no person has a token"), "{error}");
}

#[tokio::test]
async fn a_host_that_runs_passes_its_check() {
    use ripcord::commands::check::{CheckOptions, Scope, check};
    let host = host().await;
    let config = host.folder.path().join("ripcord.toml");
    let report = check(&CheckOptions { config, alert: None, scope: Scope::Everything }).await;
    let shown = report.text().plain();
    assert_eq!(report.exit_code(), 0, "{shown}");
    assert!(shown.contains("2 versions: 1.4.0, 1.3.2"), "{shown}");
    assert!(shown.contains("1.4.0 is live, proved by control plane only"), "{shown}");
    assert!(shown.contains("warn   service fraud-api: policies: no trigger"), "{shown}");
}
