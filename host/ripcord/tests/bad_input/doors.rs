//! What comes through the webhook's door.

use ripcord_core::name::ServiceName;
use ripcord_ports::Store as _;
use ripcord_store::SqliteStore;
use ripcord_store::conformance::signal;
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
                assert_eq!(refused.status, if sent == nameless { 200 } else { 400 }, "{sent}");
                shown = shown.and(Shown::of(HOOK, &refused));
            }
            shown
        },
        // One for each sentence, and the one that has no name.
        kept: Some(Kept { signals: 6, incidents: 0, shifts: 0 }),
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
            assert!(taken.iter().all(|bytes| *bytes < 32 << 20), "it took {taken:?} bytes");
            let grown = peak_kib(world.host().pid()) - before;
            assert!(grown < 48 << 10, "it grew by {grown} KiB");
            let waits = "content-length: 104857600\r\nexpect: 100-continue";
            Shown::of(HOOK, &refused(world, waits).await).line("(before a byte of the body was sent)")
        },
        // That there was one of a declared size, and one without, is listed.
        kept: Some(Kept { signals: 2, incidents: 0, shifts: 0 }),
    }

    /// Long paths and wrong tokens by the hundred: the log stays small, says how much was left out, and shows another source's lines.
    strangers_who_want_to_fill_the_log {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let mut asked = tokio::task::JoinSet::new();
            for number in 0..400 {
                let path = format!("{}/{}", if number % 2 == 0 { "api/v1/services" } else { "hooks" }, "x".repeat(3_000));
                let request = host.request(reqwest::Method::POST, &path).bearer_auth("a guess");
                asked.spawn(async move { answer(request).await.status });
            }
            asked.join_all().await;
            let refused = answer(host.request(reqwest::Method::POST, "hooks/alerts").bearer_auth("a guess")).await;
            assert_eq!(refused.status, 401);
            stop(host).await;
            let (lines, log) = (host.all_of_the_log(), host.log());
            let bytes: usize = lines.iter().map(String::len).sum();
            assert!(bytes < 100_000, "{bytes} bytes for 400 requests of 3,000");
            let requests = lines.iter().filter(|line| line.contains("\"message\":\"request\"")).count();
            assert!(requests <= 50, "{requests}");
            assert!(log.iter().any(|line| line.contains("a webhook was refused") && line.contains("\"source\":\"alerts\"")));
            let left_out: u64 = log.iter().filter_map(|line| left_out(line)).sum();
            assert!(left_out >= 350, "{left_out} lines were left out by the log's own account");
            Shown("the log stays small\n".to_owned())
        },
        kept: NOTHING,
    }

    /// The system gives no more files, then some again. What is there goes on, readiness says it, and nothing has to be started again.
    no_files_left {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            let host = world.host();
            let ready = || answer(host.request(reqwest::Method::GET, "readyz"));
            assert_eq!(ready().await.status, 200);
            let before = limit_files(host.pid(), 3);
            // The last look may have been a moment ago.
            tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
            let not_ready = ready().await;
            assert_eq!(not_ready.status, 503, "{:?}", not_ready.body);
            let mut newcomer = connect(world).await;
            newcomer.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut got = [0; 15];
            let waited = tokio::time::timeout(std::time::Duration::from_secs(1), newcomer.read_exact(&mut got)).await;
            assert!(waited.is_err(), "nobody can be let in");
            limit_files(host.pid(), before);
            newcomer.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"HTTP/1.1 200 OK");
            assert_eq!(ready().await.status, 503, "it was so a moment ago");
            let paused = world.olga(&["pause", "fraud-api", "--reason", "it was deaf"]);
            assert_eq!(paused.code, 0, "{}", paused.stderr);
            let told = host.log().iter().filter(|line| line.contains("no connection can be accepted")).count();
            assert_eq!(told, 1, "once, although it failed again and again");
            for _ in 0..300 {
                if ready().await.status == 200 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            assert_eq!(ready().await.status, 200);
            let shown = Shown::of("GET /readyz", &not_ready);
            Shown(shown.0.replace(&format!("allows it {before}"), "allows it SO MANY"))
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

    /// Its service was taken out of the configuration before it was judged: whoever looks sees it, with and without a host.
    alert_whose_service_has_left {
        world: World::new().with("{MODEL}", "127.0.0.1:9"),
        does: async |world| {
            world.serve().await;
            stop(world.host()).await;
            {
                let store = SqliteStore::open(world.path().join("ripcord-data/store.sqlite")).unwrap();
                let waits = signal("left-behind", Some(&ServiceName::new("churn-api").unwrap()), "key", 1);
                store.accept(vec![waits]).await.unwrap();
            }
            let shown = world.cli(&["status"]).and(world.cli(&["signals", "unrouted"]));
            world.serve().await;
            let listed = world.host().get("signals/unrouted").await;
            shown.and(world.cli(&["status"])).line(&format!("GET signals/unrouted: {}", listed[0]["why"]))
        },
        kept: NOTHING,
    }
}

/// Stops it as a service manager does, and waits until it has ended.
async fn stop(host: &crate::support::host::Host) {
    rustix::process::kill_process(pid(host.pid()), rustix::process::Signal::TERM).unwrap();
    for _ in 0..600 {
        if host.log().iter().any(|line| line.contains("\"message\":\"stopped\"")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it does not stop: {:?}", host.log());
}

fn pid(number: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// How many lines a line of the log says that were left out.
fn left_out(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?["left_out"].as_u64()
}

/// Lets a process open files up to this number; the limit before.
fn limit_files(process: u32, current: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, prlimit};
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(current), maximum };
    prlimit(Some(pid(process)), Resource::Nofile, limit).unwrap().current.unwrap()
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
