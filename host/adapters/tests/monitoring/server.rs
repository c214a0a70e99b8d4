//! A real server on this machine, ended with its test.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(60);

/// What is special about a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup<'a> {
    /// What it reads every tenth of a second.
    pub(crate) scraped: Option<SocketAddr>,
    /// Values with their own times, in the OpenMetrics format: they are there from the beginning.
    pub(crate) past: Option<String>,
    /// Who alone may ask.
    pub(crate) account: Option<Account>,
    /// Further lines of its configuration.
    pub(crate) more: &'a str,
    /// Further arguments.
    pub(crate) arguments: &'a [&'a str],
}

/// An account with its password, and what the server is given to know it by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    pub(crate) bcrypt: &'static str,
}

#[derive(Debug)]
pub(crate) struct Prometheus {
    folder: TempDir,
    account: Option<Account>,
    arguments: Vec<String>,
    port: u16,
    child: Child,
}

impl Prometheus {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let target = setup.scraped.map(|address| {
            format!("- {{ job_name: page, static_configs: [{{ targets: ['{address}'] }}] }}\n")
        });
        let targets = target.map(|target| format!("scrape_configs:\n{target}")).unwrap_or_default();
        write(
            "prometheus.yml",
            &format!("global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\n{targets}{}", setup.more),
        );
        let users = setup
            .account
            .map(|account| format!("basic_auth_users: {{ {}: {} }}\n", account.user, account.bcrypt));
        write("web.yml", &users.unwrap_or_default());
        if let Some(past) = &setup.past {
            write("past.txt", past);
            run(&folder, "promtool", &["tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut arguments: Vec<String> =
            ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.config.file=web.yml"]
                .map(str::to_owned)
                .into();
        arguments.push(format!("--web.listen-address=127.0.0.1:{port}"));
        arguments.extend(setup.arguments.iter().map(ToString::to_string));
        let child = spawn(&folder, &arguments);
        let mut server = Self { folder, account: setup.account, arguments, port, child };
        server.wait().await;
        server
    }

    async fn wait(&mut self) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = Instant::now();
        loop {
            let mut asked = client.get(format!("{}/-/ready", self.url()));
            // A stranger is told 401 before the server is ready as well as after.
            if let Some(account) = self.account {
                asked = asked.basic_auth(account.user, Some(account.password));
            }
            if asked.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < START_MAX,
                "it did not start ({ended:?}): {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// It keeps its connections and answers nothing.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
        // The signal is taken a little later than it is sent.
        let begun = Instant::now();
        while !self.is_stopped() {
            assert!(begun.elapsed() < START_MAX, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.flatten().all(|thread| {
            let state = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        })
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it anew, without waiting.
    pub(crate) fn launch(&mut self) {
        self.child = spawn(&self.folder, &self.arguments);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &TempDir, arguments: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    Command::new("prometheus")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| missing("prometheus", &error))
}

fn run(folder: &TempDir, program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).current_dir(folder.path()).output();
    let ran = ran.unwrap_or_else(|error| missing(program, &error));
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("`{program}` does not start: {error}; `.ci/monitoring` says where it is to be had")
}
