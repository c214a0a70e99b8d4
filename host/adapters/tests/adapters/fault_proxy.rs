//! The proxy goes wrong as ordered, and only then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};

use crate::adapters::support::Server;

async fn system() -> (Arc<AtomicUsize>, Server, FaultProxy, reqwest::Client) {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = |State(asked): State<Arc<AtomicUsize>>, uri: Uri, headers: HeaderMap, body: String| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        (StatusCode::CREATED, [("x-own", "kept")], format!("{uri} {token} {body}"))
    };
    let server = Server::start(Router::new().fallback(answer).with_state(Arc::clone(&asked))).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    (asked, server, proxy, reqwest::Client::builder().no_proxy().build().unwrap())
}

#[tokio::test]
async fn what_is_not_ordered_passes_whole() {
    let (asked, _server, proxy, client) = system().await;
    let url = format!("{}/a%20b?c=%2F", proxy.url());
    let answer = client.post(url).bearer_auth("t").body("body").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-own"].as_bytes()), (201, b"kept".as_slice()));
    assert_eq!(answer.text().await.unwrap(), "/a%20b?c=%2F Bearer t body");
    assert_eq!(
        (asked.load(Ordering::SeqCst), proxy.count(&Which::Changes), proxy.count(&Which::Reads)),
        (1, 1, 0)
    );
    assert_eq!(proxy.seen()[0].target, "/a%20b?c=%2F");
}

#[tokio::test]
async fn each_fault_is_what_its_name_says() {
    let (asked, _server, proxy, client) = system().await;
    let ask = async |fault: Fault| {
        proxy.calm();
        asked.store(0, Ordering::SeqCst);
        proxy.order(Which::Any, fault, 1);
        let answer = client.get(proxy.url()).send().await;
        let whole = match answer {
            Ok(answer) => {
                let head = (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
                Some((head, answer.text().await.ok()))
            }
            Err(_) => None,
        };
        (asked.load(Ordering::SeqCst), whole)
    };
    let good = Some("/ nobody ".to_owned());
    assert_eq!(ask(Fault::Unsent).await, (0, None));
    assert_eq!(ask(Fault::AnswerLost).await, (1, None));
    assert_eq!(ask(Fault::AnswerCut(3)).await, (1, Some(((201, None), None))));
    assert_eq!(ask(Fault::AnswerCut(1_000)).await, (1, Some(((201, None), None))));
    assert_eq!(ask(Fault::Twice).await, (2, Some(((201, None), good.clone()))));
    let later = Some(((429, Some(7.into())), Some("upstream trouble\n".to_owned())));
    assert_eq!(ask(Fault::Instead(Canned::later(429, 7))).await, (0, later));
    let failed = Some(((500, None), Some("upstream trouble\n".to_owned())));
    assert_eq!(ask(Fault::InPlaceOf(Canned::failure(500))).await, (1, failed));
    let nothing = Some(((200, None), Some("{}".to_owned())));
    assert_eq!(ask(Fault::Instead(Canned::empty_success())).await, (0, nothing));
    let begun = Instant::now();
    assert_eq!(ask(Fault::Delay(Duration::from_millis(80))).await, (1, Some(((201, None), good))));
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn orders_are_for_the_requests_that_are_meant_and_as_often_as_they_say() {
    let (_asked, server, proxy, client) = system().await;
    let status = async |path: &str, post: bool| {
        let url = format!("{}{path}", proxy.url());
        let request = if post { client.post(url) } else { client.get(url) };
        request.send().await.unwrap().status().as_u16()
    };
    proxy.order(Which::With("/b"), Fault::Instead(Canned::failure(500)), 2);
    proxy.order(Which::Changes, Fault::Instead(Canned::failure(502)), 1);
    assert_eq!(status("/a", false).await, 201);
    assert_eq!((status("/b", false).await, status("/b", true).await), (500, 500));
    assert_eq!((status("/b", true).await, status("/b", true).await), (502, 201));
    proxy.order(Which::Any, Fault::Instead(Canned::failure(500)), usize::MAX);
    assert_eq!(status("/a", false).await, 500);
    proxy.calm();
    assert_eq!((status("/a", false).await, proxy.seen().len()), (201, 1));
    drop(server);
    // Connections that are open already may still be served; a new proxy finds none.
    let nowhere = FaultProxy::start("http://127.0.0.1:9").await.unwrap();
    assert_eq!(client.get(nowhere.url()).send().await.unwrap().status().as_u16(), 502);
    assert!(FaultProxy::start("nowhere").await.is_err());
}

/// GraphQL posts what only reads.
#[tokio::test]
async fn a_query_of_graphql_reads_and_a_mutation_changes() {
    let (_asked, _server, proxy, client) = system().await;
    for (body, which) in [
        (r#"{"operationName":"Q","query":"\n query Q { a }"}"#, Which::Reads),
        (r#"{"query":"mutation M { a }"}"#, Which::Changes),
        (r#"{"query":7}"#, Which::Changes),
        ("query=up", Which::Changes),
    ] {
        proxy.calm();
        client.post(proxy.url()).body(body).send().await.unwrap();
        assert_eq!(proxy.count(&which), 1, "{body}");
    }
}

/// So does AWS's JSON protocol.
#[tokio::test]
async fn an_operation_of_aws_reads_or_changes_by_its_name() {
    let (_asked, _server, proxy, client) = system().await;
    for (target, which) in [
        ("SageMaker.DescribeModelPackage", Which::Reads),
        ("SageMaker.ListTags", Which::Reads),
        ("SageMaker.UpdateModelPackage", Which::Changes),
        ("List", Which::Changes),
    ] {
        proxy.calm();
        client.post(proxy.url()).header("x-amz-target", target).body("{}").send().await.unwrap();
        assert_eq!(proxy.count(&which), 1, "{target}");
    }
}
