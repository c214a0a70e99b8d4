//! What comes through the webhook's door.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bad_input::world::{Shown, World};
use crate::bad_input::{NOTHING, table};
use crate::support::alerts::{ALERTS_TOKEN, firing};
use crate::support::host::{Answer, answer};
use crate::support::kept::Kept;

const HOOK: &str = "POST /hooks/alerts";

table! {
    /// Somebody else's, a person's, none.
    webhook_with_wrong_secret {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let request = || host.request(reqwest::Method::POST, "hooks/alerts").json(&firing(&[&[("model", "fraud")]]));
            let wrong = answer(request().bearer_auth("fedcba9876543210fedcba9876543211")).await;
            let persons = answer(request().bearer_auth(crate::support::run::TOKEN)).await;
            let none = answer(request()).await;
            assert_eq!((wrong.status, persons.status, none.status), (401, 401, 401));
            assert!(host.log().iter().all(|line| !line.contains("fedcba98")), "a secret is in the log");
            Shown::of(HOOK, &wrong).and(Shown::of(HOOK, &persons)).and(Shown::of(HOOK, &none))
        },
        kept: NOTHING,
    }

    /// Cut off, no JSON at all, JSON that is no payload.
    bad_json {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let whole = firing(&[&[("model", "fraud")]]).to_string();
            let cut = &whole[..whole.len() / 2];
            let mut shown = Shown(String::new());
            let nameless = r#"{"version": "4", "alerts": [{"status": "firing", "labels": {}, "startsAt": "2026-01-01T00:00:00Z"}]}"#;
            for sent in [cut, "", "\u{0}\u{1}", "{}", r#"{"version": "3", "alerts": []}"#, nameless] {
                let refused = answer(world.host().hook().body(sent.to_owned())).await;
                assert_eq!(refused.status, 400, "{sent}");
                shown = shown.and(Shown::of(HOOK, &refused));
            }
            shown
        },
        kept: NOTHING,
    }

    /// Refused when the limit is passed, not when the body has come. A sender that waits for leave is told at once.
    hundred_megabytes {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let before = peak_kib(world.host().pid());
            let mut taken = Vec::new();
            for framing in ["content-length: 104857600", "transfer-encoding: chunked"] {
                for _ in 0..8 {
                    taken.push(flood(world, framing).await);
                }
            }
            assert!(taken.iter().all(|bytes| *bytes < 20 << 20), "it took {taken:?} bytes");
            let grown = peak_kib(world.host().pid()) - before;
            assert!(grown < 24 << 10, "it grew by {grown} KiB");
            let waits = "content-length: 104857600\r\nexpect: 100-continue";
            Shown::of(HOOK, &refused(world, waits).await).line("(before a byte of the body was sent)")
        },
        kept: NOTHING,
    }

    /// The team forgot a route: the alert is on disk, and listed until it has one.
    alert_without_a_route {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let taken = world.host().send(&firing(&[&[("model", "churn")]])).await;
            let again = world.host().send(&firing(&[&[("model", "churn")]])).await;
            assert_eq!((again.status, &again.body["repeated"]), (200, &1.into()));
            let listed = world.olga(&["--json", "signals", "unrouted"]).json();
            let one = &listed[0];
            assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
            let labels = &one["signal"]["labels"];
            Shown::of(HOOK, &taken)
                .line(&format!("$ ripcord signals unrouted\n{} times from {}: {labels}", one["times"], one["source"]))
        },
        kept: Some(Kept { signals: 1, incidents: 0, shifts: 0 }),
    }
}

fn head(framing: &str) -> String {
    format!(
        "POST /hooks/alerts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALERTS_TOKEN}\r\n{framing}\r\n\r\n"
    )
}

async fn connect(world: &World) -> TcpStream {
    let address = world.host().url.strip_prefix("http://").unwrap().to_owned();
    TcpStream::connect(address).await.unwrap()
}

/// Sends up to 100 MiB; how many bytes went out before the host closed the connection.
async fn flood(world: &World, framing: &str) -> usize {
    let mut socket = connect(world).await;
    socket.write_all(head(framing).as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 100 << 20 && socket.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    let mut answer = Vec::new();
    // What was said before the connection broke is read where it still can be.
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    sent
}

/// Sends only the head and reads the answer.
async fn refused(world: &World, framing: &str) -> Answer {
    let mut socket = connect(world).await;
    socket.write_all(head(framing).as_bytes()).await.unwrap();
    let mut text = Vec::new();
    socket.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        kind: kind.unwrap_or_default().to_owned(),
        retry_after: None,
        body: serde_json::from_str(body).unwrap(),
    }
}

/// The most memory that a process has ever held; zero where the system does not tell.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
