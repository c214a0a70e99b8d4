//! Wrong secrets, and requests that are larger than any of this host's pages takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::http::support::{body, host, token};

/// Enough for the last ones to wait for as long as any.
const WRONG: usize = 20;

#[tokio::test]
async fn who_does_not_know_a_secret_waits_and_who_does_is_let_in_at_once() {
    let host = host().await;
    let (mut wrong, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for number in 0..WRONG {
        let (method, at) =
            if number % 2 == 0 { (Method::GET, "api/v1/services") } else { (Method::POST, "hooks/bearer") };
        let request = host.http.request(method, format!("{}/{at}", host.url));
        let (request, answered) = (request.bearer_auth(format!("guess-{number}")), answered.clone());
        wrong.spawn(async move {
            let (status, _) = body(request.send().await.unwrap()).await;
            answered.fetch_add(1, Ordering::Relaxed);
            status
        });
    }
    // All are judged now; only their answers wait.
    while host.metric("ripcord_http_requests_total{status=\"4xx\"}").await < WRONG as u64 {}
    let (status, _) = host.ask("vera", Method::GET, "services", None).await;
    assert_eq!(status, 200);
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered < WRONG / 2, "{answered} of {WRONG} had their answer before the right one had");
    for status in wrong.join_all().await {
        assert_eq!(status, 401, "each is answered in the end");
    }
}

#[tokio::test]
async fn a_known_person_without_the_right_role_does_not_wait() {
    let host = host().await;
    let mut last = JoinSet::new();
    for _ in 0..WRONG {
        let (status, _) = host.post("vera", "services/fraud-api/pause", json!({"reason": "x"})).await;
        assert_eq!(status, 403);
    }
    // One wrong token of the same peer is free: nothing was counted.
    let request = host.http.get(format!("{}/api/v1/services", host.url)).bearer_auth("guess");
    last.spawn(async move { body(request.send().await.unwrap()).await.0 });
    assert_eq!(last.join_all().await, [401]);
}

#[tokio::test]
async fn an_address_or_a_head_without_measure_is_refused() {
    let host = host().await;
    for path in ["x".repeat(60_000), format!("services?live={}", "x".repeat(60_000))] {
        let (status, problem) = host.ask("vera", Method::GET, &path, None).await;
        assert_eq!(
            (status, &problem["type"]),
            (414, &json!("urn:ripcord:problem:uri-too-long")),
            "{problem}"
        );
    }
    let mut socket = tokio::net::TcpStream::connect(host.running.address().unwrap()).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(200_000));
    let _ = socket.write_all(head.as_bytes()).await;
    let mut got = [0; 12];
    socket.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"HTTP/1.1 431");
}

#[tokio::test]
async fn bodies_of_people_are_bounded_in_size_and_depth() {
    let host = host().await;
    let send = |sent: String| {
        let request = host.http.post(format!("{}/api/v1/services/fraud-api/pause", host.url));
        async { body(request.bearer_auth(token("olga")).body(sent).send().await.unwrap()).await }
    };
    let (status, problem) = send(format!("{{\"reason\": {}", "[".repeat(60_000))).await;
    assert_eq!(status, 400, "{problem}");
    let (status, problem) = send(format!("{{\"{}\": 1}}", "x".repeat(60_000))).await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().len() < 3_000, "what was sent is quoted in part");
    let (status, _) = send("x".repeat(65 << 10)).await;
    assert_eq!(status, 413);
}
