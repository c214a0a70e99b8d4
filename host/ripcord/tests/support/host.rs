//! A host in a process of its own, and what goes through its doors.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::alerts::ALERTS_TOKEN;
use super::run::{TOKEN, ripcord};

/// Nothing that a suite waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// `ripcord serve`, killed when dropped.
pub(crate) struct Host {
    child: Child,
    pub(crate) url: String,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

/// A status with the body, as JSON where it is JSON, and the kind that it claims to be.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Host {
    /// Starts the host that `folder/ripcord.toml` describes and waits until it answers.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_with(ripcord(folder, &["serve", "--log", "json"]), folder).await
    }

    /// The same by another command, which becomes the host.
    pub(crate) async fn start_with(mut command: Command, folder: &Path) -> Self {
        command.env("OLGAS_TOKEN", TOKEN).env("ALERTS_TOKEN", ALERTS_TOKEN).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the host starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let told = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.lock().expect("no panic").push(line);
            }
        });
        // Fails when a provider is already there, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let mut host = Self { child, url: format!("http://{}", address(folder)), http, log };
        let up = Instant::now();
        loop {
            if let Some(status) = host.child.try_wait().expect("its child") {
                panic!("the host ended with {status}: {}", host.log().join("\n"));
            }
            let answer = host.http.get(format!("{}/healthz", host.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return host;
            }
            assert!(up.elapsed() < PATIENCE, "the host does not answer: {}", host.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn all_of_the_log(&self) -> Vec<String> {
        self.log.lock().expect("no panic").clone()
    }

    /// The same, requests left out.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|line| !line.contains("\"message\":\"request\"")).cloned().collect()
    }

    /// Sends it a signal of this name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let told = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(told.expect("kill").success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> std::process::ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its child") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end: {}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it: it gets no chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A request without any proof of who asks.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/{path}", self.url))
    }

    /// A webhook of the source `alerts`.
    pub(crate) fn hook(&self) -> RequestBuilder {
        self.request(Method::POST, "hooks/alerts").bearer_auth(ALERTS_TOKEN)
    }

    pub(crate) async fn send(&self, payload: &Value) -> Answer {
        answer(self.hook().json(payload)).await
    }

    /// The same from many tasks at once.
    pub(crate) fn sending(&self, payload: &Value) -> impl Future<Output = Answer> + use<> {
        answer(self.hook().json(payload))
    }

    /// As Olga.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = answer(self.request(Method::GET, &format!("api/v1/{path}")).bearer_auth(TOKEN)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// As Olga.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, &format!("api/v1/{path}")).bearer_auth(TOKEN).json(body)).await
    }

    /// The service as Olga sees it, once `wanted` holds for it.
    pub(crate) async fn until(&self, service: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let state = self.get(&format!("services/{service}")).await;
            if wanted(&state) {
                return state;
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain: {state:#}\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a request and takes the answer apart.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let answer = request.send().await.expect("the host answers");
    let header =
        |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let (status, kind) = (answer.status().as_u16(), header("content-type").unwrap_or_default());
    let retry_after = header("retry-after");
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, kind, retry_after, body }
}

/// Where the configuration says that the host listens.
fn address(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("ripcord.toml")).expect("a configuration");
    let line = text.lines().find_map(|line| line.strip_prefix("listen = ")).expect("an address");
    line.trim_matches('"').to_owned()
}

/// An address on this machine that nobody listens on.
pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Writes a program that the configuration names.
pub(crate) fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its rights");
    path
}
