//! More peers than there is room for, and peers that are slow on purpose: people get in all the same.

use std::time::Duration;

use ripcord::commands::serve::Bearing;
use ripcord::http::{Bounds, Deadlines};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::support::{FLOOR, Host, body, host, host_bearing, recorded, token};

const PLACES: usize = 32;
/// Longer than any test may take: what is waited for comes through places, not through time.
const NEVER: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_millis(300);

/// Few places, and no deadline that could free one.
async fn crowded() -> Host {
    let deadlines = Deadlines { head: NEVER, body: NEVER, answer: NEVER };
    host_bearing("ask", FLOOR, Bearing { bounds: Some(Bounds::of(PLACES)), deadlines }).await
}

/// Many places, and peers that are given up soon.
async fn impatient() -> Host {
    let deadlines = Deadlines { head: SOON, body: SOON, answer: SOON };
    host_bearing("ask", FLOOR, Bearing { bounds: None, deadlines }).await
}

async fn connect(host: &Host) -> TcpStream {
    TcpStream::connect(host.running.address().unwrap()).await.unwrap()
}

/// So many sockets that send this and then nothing.
async fn sockets(host: &Host, count: usize, sent: &[u8]) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let mut socket = connect(host).await;
        // One that is closed at once cannot be written to.
        let _ = socket.write_all(sent).await;
        sockets.push(socket);
    }
    sockets
}

/// A new client, as a person who comes now has it.
async fn pause_and_resume(host: &Host) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    for word in ["pause", "resume"] {
        let request = client.post(format!("{}/api/v1/services/fraud-api/{word}", host.url));
        let request = request.bearer_auth(token("olga")).json(&json!({"reason": "a storm"}));
        let (status, body) = body(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "{word}: {body}");
    }
    let ready = client.get(format!("{}/readyz", host.url)).send().await.unwrap();
    assert_eq!(ready.status(), 200, "the host is ready, and says so");
}

/// What a socket still gives before it ends. Panics if it does not end.
async fn ends(mut socket: TcpStream) -> String {
    let mut got = Vec::new();
    let reading = socket.read_to_end(&mut got);
    // A connection that is reset has ended, too.
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the host closes it");
    String::from_utf8_lossy(&got).into_owned()
}

#[tokio::test]
async fn people_get_in_beside_any_number_of_silent_peers() {
    let host = crowded().await;
    let silent = sockets(&host, 5 * PLACES, b"").await;
    pause_and_resume(&host).await;
    assert!(host.metric("ripcord_connections").await <= PLACES as u64);
    assert!(host.metric("ripcord_connections_replaced_total").await >= 4 * PLACES as u64);
    drop(silent);
}

#[tokio::test]
async fn people_get_in_beside_peers_that_never_finish_their_heads() {
    let host = crowded().await;
    let _halves = sockets(&host, 3 * PLACES, b"POST /hooks/bearer HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    pause_and_resume(&host).await;
}

#[tokio::test]
async fn people_get_in_beside_bodies_that_never_end() {
    let host = crowded().await;
    // The gate of this source can judge only whole bodies, and votes may come without a token: strangers get so far.
    #[expect(clippy::disallowed_methods, reason = "the host under test uses the system's clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let hook =
        format!("POST /hooks/hmac HTTP/1.1\r\nhost: x\r\nx-at: {now}\r\nx-code: {}\r\n", "0".repeat(64));
    let vote = "POST /api/v1/incidents/fraud-api:1/approve HTTP/1.1\r\nhost: x\r\n";
    let mut open = Vec::new();
    for head in [hook.as_str(), vote] {
        let sent = format!("{head}content-length: 1000\r\n\r\n{{");
        open.extend(sockets(&host, 2 * PLACES, sent.as_bytes()).await);
    }
    pause_and_resume(&host).await;
}

#[tokio::test]
async fn people_get_in_beside_peers_that_ask_and_never_read() {
    let host = crowded().await;
    let asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2_000);
    let mut deaf = Vec::new();
    for _ in 0..4 * PLACES {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut socket = socket.connect(host.running.address().unwrap()).await.unwrap();
        // One that is closed in the meantime cannot be written to, and one that takes no more need not be.
        let _ = socket.try_write(&asked);
        let _ = tokio::time::timeout(Duration::from_millis(10), socket.write_all(b"\r\n")).await;
        deaf.push(socket);
    }
    pause_and_resume(&host).await;
}

#[tokio::test]
async fn an_alert_source_gets_in_beside_silent_peers() {
    let host = crowded().await;
    let _silent = sockets(&host, 3 * PLACES, b"").await;
    let (status, intake) = host.hook(&recorded("01-hooks_alertmanager-firing-2.json")).await;
    assert_eq!((status, &intake["accepted"]), (200, &json!(2)), "{intake}");
}

#[tokio::test]
async fn a_person_who_waits_for_an_answer_keeps_the_connection() {
    let host = crowded().await;
    let (incident, plan) = host.waiting().await;
    let path = format!("incidents/{incident}/wait?seconds=50&phase=waiting%20for%20approval");
    let wait = host.get(&path);
    let storm = async {
        tokio::time::sleep(SOON).await;
        let _silent = sockets(&host, 5 * PLACES, b"").await;
        host.post("abel", &format!("incidents/{incident}/refuse"), json!({"plan": plan, "reason": "no"}))
            .await
    };
    let (changed, (status, _)) = tokio::join!(wait, storm);
    assert_eq!((status, &changed["outcome"]), (200, &json!("refused")));
}

#[tokio::test]
async fn silent_peers_and_drops_of_a_head_are_given_up() {
    let host = impatient().await;
    assert_eq!(ends(connect(&host).await).await, "");
    let (mut reader, mut writer) = connect(&host).await.into_split();
    let drip = async {
        for byte in b"GET /healthz HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut got = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(30), reader.read_to_end(&mut got));
    tokio::select! {
        ended = reading => drop(ended.expect("the host closes it")),
        () = drip => {}
    }
    assert!(!String::from_utf8_lossy(&got).starts_with("HTTP/1.1 200"), "half a head is no request");
}

#[tokio::test]
async fn a_connection_that_idles_after_its_answer_is_closed() {
    let host = impatient().await;
    let mut socket = connect(&host).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let got = ends(socket).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
}

#[tokio::test]
async fn drops_of_a_body_are_answered_with_408() {
    let host = impatient().await;
    let (mut reader, mut writer) = connect(&host).await.into_split();
    let head = "POST /hooks/bearer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok-123\r\ncontent-length: 100000\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let drip = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut got = [0; 12];
    tokio::select! {
        read = reader.read_exact(&mut got) => drop(read.unwrap()),
        () = drip => {}
    }
    assert_eq!(&got, b"HTTP/1.1 408");
    // Its sender is known and may not send it again.
    let listed = host.get("signals/unrouted").await;
    assert!(listed[0]["why"].as_str().unwrap().contains("its body took too long"), "{listed}");
}

#[tokio::test]
async fn peers_that_never_read_are_given_up() {
    let host = impatient().await;
    let asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(4_000);
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut socket = connect(&host).await;
        // Ends when the host takes no more, or closes it.
        let _ = tokio::time::timeout(Duration::from_secs(30), socket.write_all(&asked)).await;
        deaf.push(socket);
    }
    for _ in 0..300 {
        // The one that reads the metrics is one.
        if host.metric("ripcord_connections").await <= 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} connections are still open", host.metric("ripcord_connections").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_alerts_does_not_hold_up_what_a_person_asks() {
    let host = host().await;
    let mut one = recorded("05-hooks_alertmanager-firing-1.json");
    let alert = one["alerts"][0].clone();
    let payloads: Vec<Value> = (0..4)
        .map(|sender| {
            let alerts = (0..5_000).map(|number| {
                let mut alert = alert.clone();
                alert["labels"]["number"] = json!(format!("{sender}-{number}"));
                alert
            });
            one["alerts"] = alerts.collect();
            one.clone()
        })
        .collect();
    let mut storm = tokio::task::JoinSet::new();
    for payload in payloads {
        let request =
            host.http.post(format!("{}/hooks/bearer", host.url)).bearer_auth("tok-123").json(&payload);
        storm.spawn(async move { body(request.send().await.unwrap()).await });
    }
    while host.metric("ripcord_signals_accepted_total").await == 0 {}
    let (status, done) = host.post("olga", "services/fraud-api/pause", json!({"reason": "a storm"})).await;
    assert_eq!(status, 200, "{done}");
    let accepted = host.metric("ripcord_signals_accepted_total").await;
    assert!(accepted < 20_000, "it came before the storm was over: {accepted}");
    for (status, intake) in storm.join_all().await {
        assert_eq!((status.as_u16(), &intake["accepted"]), (200, &json!(5_000)), "{intake}");
    }
}
