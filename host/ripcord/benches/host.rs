//! The whole program: how long it takes from an alert to the first effect, how long to start with policies whose compiled code is in the
//! cache, and how much memory it holds when nothing happens. Each beside what a bare program needs for the same.

#![allow(clippy::panic, reason = "a benchmark has no other way to fail")]

mod common;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router};
use criterion::{Criterion, SamplingMode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const POLICIES: [usize; 2] = [1, 100];
/// Appends between the alert and the first effect: intake, journal, verdict of the trigger.
const FLUSHES: usize = 3;
const TOKEN: &str = "a-token-of-the-benchmark";
/// After a start, before memory is read.
const IDLE: Duration = Duration::from_secs(5);
/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A model server that answers everything and says when it was asked.
struct ModelServer {
    address: String,
    asked: mpsc::UnboundedReceiver<Instant>,
    // Serves until it is dropped.
    _serving: JoinSet<std::io::Result<()>>,
}

impl ModelServer {
    async fn start() -> Self {
        async fn answer(State(tell): State<mpsc::UnboundedSender<Instant>>) -> Json<Value> {
            let _ = tell.send(Instant::now());
            let output = json!({"name": "decision", "datatype": "INT64", "shape": [1], "data": [0]});
            Json(json!({"model_name": "fraud", "model_version": "1.4.0", "outputs": [output]}))
        }
        let (tell, asked) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let router = Router::new().fallback(answer).with_state(tell);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self { address, asked, _serving: serving }
    }

    async fn first_asked(&mut self) -> Option<Instant> {
        tokio::time::timeout(PATIENCE, self.asked.recv()).await.ok().flatten()
    }

    fn forget(&mut self) {
        while self.asked.try_recv().is_ok() {}
    }
}

/// A folder with a configuration of so many services, each with a trigger of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(server: &str, policies: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &[u8]| common::write(folder.path(), name, content);
        let probe = json!([{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [0.0]}]);
        write("probe.json", probe.to_string().as_bytes());
        write("token", TOKEN.as_bytes());
        fs::create_dir(folder.path().join("registry")).expect("a folder");
        let starter = ripcord::starters::named("security-alert-trigger").expect("a starter");
        let mut text = String::from(
            "[host]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n\
             [people.olga]\nroles = [\"operator\"]\ntoken-file = \"token\"\n\
             [sources.bench]\nkind = \"alertmanager\"\nauth = { bearer-file = \"token\" }\n",
        );
        for number in 0..policies {
            write(&format!("policies/{number}.wasm"), &marked(starter.bytes, number));
            fs::create_dir(folder.path().join(format!("models-{number}"))).expect("a folder");
            text += &format!(
                "[[sources.bench.routes]]\nmatch = {{ service = \"s{number}\" }}\nservice = \"s{number}\"\n\
                 [policies.t{number}]\nfile = \"policies/{number}.wasm\"\n\
                 [services.s{number}]\nmodel = \"fraud\"\n\
                 registry = {{ kind = \"directory\", root = \"registry\" }}\n\
                 deployer = {{ kind = \"open-inference\", url = \"http://{server}\", model-directory = \"models-{number}\", probe-input-file = \"probe.json\" }}\n\
                 planner = {{ policy = \"last-known-good\" }}\n\
                 deadlines = {{ reopen-after-seconds = 0.001 }}\n\
                 [[services.s{number}.triggers]]\npolicy = \"t{number}\"\nsettings = {{ alerts = [{{ rule = \"Leak\" }}] }}\n"
            );
        }
        write("ripcord.toml", text.as_bytes());
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The same component with a section that means nothing, so that its digest and its compiled code are its own.
fn marked(component: &[u8], number: usize) -> Vec<u8> {
    let mut section = vec![5];
    section.extend(b"bench");
    section.extend(number.to_le_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    bytes.push(u8::try_from(section.len()).expect("a short section"));
    bytes.extend(section);
    bytes
}

/// `ripcord serve`, ended when dropped.
struct Host {
    child: Child,
    url: String,
    // Its log goes on into this pipe.
    _log: std::thread::JoinHandle<()>,
}

impl Host {
    /// Returns when it listens.
    fn start(place: &Place) -> Self {
        let mut child = program()
            .args(["--config", "ripcord.toml", "serve"])
            .current_dir(place.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let url = listening(&mut log);
        let log = std::thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
        Self { child, url, _log: log }
    }

    /// In bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(log: &mut BufReader<ChildStderr>) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("its log") > 0, "the host ended: {all}");
        if let Some((_, url)) = line.split_once("listens on ") {
            return url.trim().to_owned();
        }
        all += &line;
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripcord"));
    command.env("RUST_LOG", "error").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Sends alerts to a host and lets its incidents end.
struct Sender {
    http: reqwest::Client,
    url: String,
    sent: u64,
}

impl Sender {
    /// The time from the alert to the first effect.
    async fn alert(&mut self, server: &mut ModelServer) -> Duration {
        self.sent += 1;
        let payload = json!({
            "version": "4", "groupKey": format!("{{}}:{}", self.sent), "status": "firing", "receiver": "ripcord", "truncatedAlerts": 0,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://bench",
            "alerts": [{
                "status": "firing", "labels": {"alertname": "Leak", "severity": "critical", "service": "s0", "number": self.sent.to_string()}, "annotations": {},
                "startsAt": jiff::Timestamp::now().to_string(), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
                "fingerprint": format!("{:016x}", self.sent),
            }],
        });
        server.forget();
        let start = Instant::now();
        let answer = self.http.post(format!("{}/hooks/bench", self.url)).bearer_auth(TOKEN).json(&payload);
        let answer = answer.send().await.expect("the host answers");
        assert!(answer.status().is_success(), "{answer:?}");
        let Some(asked) = server.first_asked().await else {
            panic!("alert {} had no effect: {}", self.sent, self.service().await)
        };
        self.settled().await;
        asked.duration_since(start)
    }

    async fn service(&self) -> String {
        let request = self.http.get(format!("{}/api/v1/services/s0", self.url)).bearer_auth(TOKEN);
        request.send().await.expect("the host answers").text().await.expect("text")
    }

    /// A person ends the incident; without anything to go back to it waits for one.
    async fn settled(&self) {
        let id = format!("s0:{}", self.sent);
        let since = Instant::now();
        loop {
            let request = self.http.post(format!("{}/api/v1/incidents/{id}/dismiss", self.url));
            let answer = request.bearer_auth(TOKEN).json(&json!({"reason": "a benchmark"})).send().await;
            let answer = answer.expect("the host answers");
            if answer.status().is_success() {
                break;
            }
            let said = answer.text().await.unwrap_or_default();
            assert!(since.elapsed() < PATIENCE, "{id} is not dismissed: {said}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The next alert is to be news, not what the trigger is still latched for.
        while !self.service().await.contains("\"latches\":[]") {
            assert!(since.elapsed() < PATIENCE, "{}", self.service().await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// What no host could do without: as many flushes of a page, and a request to the model server.
async fn bare(file: &mut File, http: &reqwest::Client, server: &mut ModelServer) -> Duration {
    server.forget();
    let start = Instant::now();
    for _ in 0..FLUSHES {
        file.write_all(&[0; 4096]).expect("writes");
        file.sync_data().expect("flushes");
    }
    http.post(format!("http://{}/", server.address)).send().await.expect("the server answers");
    server.first_asked().await.expect("the server runs").duration_since(start)
}

fn first_effect(criterion: &mut Criterion, runtime: &Runtime) {
    let mut server = runtime.block_on(ModelServer::start());
    let place = Place::new(&server.address, 1);
    let host = Host::start(&place);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut sender = Sender { http: http.clone(), url: host.url.clone(), sent: 0 };
    let mut file = File::create(place.path().join("bare")).expect("a file");
    let mut group = criterion.benchmark_group("alert to first effect");
    group.sampling_mode(SamplingMode::Flat).sample_size(30).measurement_time(Duration::from_secs(10));
    group.bench_function("ripcord", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    total += sender.alert(&mut server).await;
                }
                total
            })
        });
    });
    group.bench_function("bare flushes and a request", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    total += bare(&mut file, &http, &mut server).await;
                }
                total
            })
        });
    });
    group.finish();
}

fn start(criterion: &mut Criterion, places: &[(usize, Place)]) {
    let mut group = criterion.benchmark_group("start");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("the program alone", |bencher| {
        bencher.iter(|| assert!(program().arg("--version").status().expect("runs").success()));
    });
    for (policies, place) in places {
        // The first start fills the cache.
        drop(Host::start(place));
        group.bench_function(format!("{policies} policies from the cache"), |bencher| {
            bencher.iter_custom(|count| {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    let start = Instant::now();
                    let host = Host::start(place);
                    total += start.elapsed();
                    drop(host);
                }
                total
            });
        });
    }
    group.finish();
}

fn memory(places: &[(usize, Place)]) {
    for (policies, place) in places {
        let host = Host::start(place);
        std::thread::sleep(IDLE);
        println!("resident when idle, {policies} policies: {:.1} MB", host.resident() as f64 / 1e6);
    }
    let size = fs::metadata(PathBuf::from(env!("CARGO_BIN_EXE_ripcord"))).map_or(0, |file| file.len());
    println!("the program's file: {:.1} MB", size as f64 / 1e6);
}

fn main() {
    // The first of the process stays; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args();
    first_effect(&mut criterion, &runtime);
    let server = runtime.block_on(ModelServer::start());
    let most = if common::is_trial() { 2 } else { usize::MAX };
    let places =
        POLICIES.map(|policies| (policies.min(most), Place::new(&server.address, policies.min(most))));
    start(&mut criterion, &places);
    criterion.final_summary();
    if !common::is_trial() {
        memory(&places);
    }
}
