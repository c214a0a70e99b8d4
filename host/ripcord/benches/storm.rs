//! A storm on the whole program: how long until the first decision, until all alerts are judged, what a look at the service costs meanwhile, and
//! how soon a host that was killed is ready again. `STORM_ALERTS` says how many (100,000), `STORM_SERVICES` for how many services (1),
//! `STORM_PROGRAM` which program, where it is not the one that this was built with.

#![allow(clippy::panic, reason = "a benchmark has no other way to fail")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

const TOKEN: &str = "a-token-of-the-benchmark";
const IN_A_REQUEST: usize = 50;
const CONNECTIONS: usize = 8;
/// For everything together.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn place(services: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| common::write(folder.path(), name, content);
    let probe = json!([{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [0.0]}]);
    write("probe.json", &probe.to_string());
    write("token", TOKEN);
    fs::create_dir(folder.path().join("registry")).expect("a folder");
    let mut text = String::from(
        "[host]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n\
         [people.olga]\nroles = [\"operator\"]\ntoken-file = \"token\"\n\
         [sources.storm]\nkind = \"alertmanager\"\nauth = { bearer-file = \"token\" }\n",
    );
    for number in 0..services {
        fs::create_dir(folder.path().join(format!("models-{number}"))).expect("a folder");
        text += &format!(
            "[[sources.storm.routes]]\nmatch = {{ service = \"s{number}\" }}\nservice = \"s{number}\"\n\
             [services.s{number}]\nmodel = \"fraud\"\n\
             registry = {{ kind = \"directory\", root = \"registry\" }}\n\
             deployer = {{ kind = \"open-inference\", url = \"http://127.0.0.1:9\", model-directory = \"models-{number}\", probe-input-file = \"probe.json\" }}\n\
             planner = {{ policy = \"last-known-good\" }}\n\
             [[services.s{number}.triggers]]\npolicy = \"security-alert-trigger\"\nsettings = {{ alerts = [{{ rule = \"Leak\" }}] }}\n"
        );
    }
    write("ripcord.toml", &text);
    folder
}

/// `ripcord serve`, killed when dropped.
struct Host {
    child: Child,
    url: String,
    _log: std::thread::JoinHandle<()>,
}

impl Host {
    /// Returns when it listens.
    fn start(folder: &Path) -> Self {
        let program =
            std::env::var("STORM_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ripcord").to_owned());
        let mut child = Command::new(program)
            .args(["--config", "ripcord.toml", "serve"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut all = String::new();
        let url = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("its log") > 0, "the host ended: {all}");
            if let Some((_, url)) = line.split_once("listens on ") {
                break url.trim().to_owned();
            }
            all += &line;
        };
        let log = std::thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
        Self { child, url, _log: log }
    }

    fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kib| kib / 1024.0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Not asked to end: what it leaves is what a crash leaves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn payload(first: usize, count: usize, services: usize) -> Value {
    let alert = |number: usize| {
        json!({
            "status": "firing", "annotations": {"summary": "one of many"},
            "labels": {"alertname": "Storm", "severity": "critical", "service": format!("s{}", number % services), "instance": number.to_string()},
            "startsAt": jiff::Timestamp::now().to_string(), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
            "fingerprint": format!("{number:016x}"),
        })
    };
    let alerts: Vec<_> = (first..first + count).map(alert).collect();
    json!({
        "version": "4", "groupKey": format!("{{}}:{first}"), "status": "firing", "receiver": "ripcord", "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://storm", "alerts": alerts,
    })
}

async fn pour(http: reqwest::Client, url: String, lane: usize, alerts: usize, services: usize) {
    let mut first = lane * IN_A_REQUEST;
    while first < alerts {
        let payload = payload(first, IN_A_REQUEST.min(alerts - first), services);
        let request = http.post(format!("{url}/hooks/storm")).bearer_auth(TOKEN).json(&payload);
        let answer = request.send().await.expect("the host answers");
        assert!(answer.status().is_success(), "{answer:?}");
        first += CONNECTIONS * IN_A_REQUEST;
    }
}

/// The sum of a counter over its labels.
async fn counter(http: &reqwest::Client, url: &str, name: &str) -> u64 {
    let text = match http.get(format!("{url}/metrics")).bearer_auth(TOKEN).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|value| value as u64).sum()
}

/// How long a look at the first service takes, and how many of its alerts wait to be judged.
async fn look(http: &reqwest::Client, url: &str) -> (Duration, u64) {
    let start = Instant::now();
    let request = http.get(format!("{url}/api/v1/services/s0")).bearer_auth(TOKEN);
    let view: Value = request.send().await.expect("the host answers").json().await.expect("a service");
    (start.elapsed(), view["alerts"]["waiting"].as_u64().unwrap_or_default())
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn storm(alerts: usize, services: usize) {
    let folder = place(services);
    let host = Host::start(folder.path());
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    println!("{alerts} alerts for {services} services, {IN_A_REQUEST} a request, {CONNECTIONS} connections");
    let start = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..CONNECTIONS {
        lanes.spawn(pour(http.clone(), host.url.clone(), lane, alerts, services));
    }
    let (mut first, mut poured, mut slowest) = (None, None, Duration::ZERO);
    loop {
        assert!(start.elapsed() < PATIENCE, "it does not end");
        while lanes.try_join_next().is_some() {}
        if lanes.is_empty() && poured.is_none() {
            poured = Some(start.elapsed());
        }
        if first.is_none() && counter(&http, &host.url, "ripcord_decisions_total").await > 0 {
            first = Some(start.elapsed());
        }
        let (took, waiting) = look(&http, &host.url).await;
        slowest = slowest.max(took);
        let taken = counter(&http, &host.url, "ripcord_signals_total").await;
        if poured.is_some() && taken >= alerts as u64 && waiting == 0 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    println!("first decision          {:?}   (aim: below 1 s)", first.unwrap_or_default());
    println!("accepted                {:?}", poured.unwrap_or_default());
    println!("all consumed and judged {:?}   (aim: below 30 s)", start.elapsed());
    println!("slowest look            {slowest:?}   (aim: below 0.2 s)");
    println!("decisions               {}", counter(&http, &host.url, "ripcord_decisions_total").await);
    println!("resident                {:.0} MB", host.resident_mb());
    drop(host);
    let start = Instant::now();
    let host = Host::start(folder.path());
    println!("ready after kill -9     {:?}   (aim: below 2 s)", start.elapsed());
    drop(host);
}

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (alerts, services) = (number("STORM_ALERTS", 100_000), number("STORM_SERVICES", 1));
    let alerts = if common::is_trial() { 500 } else { alerts };
    runtime.expect("a runtime").block_on(storm(alerts, services.max(1)));
}
