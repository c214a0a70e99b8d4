//! Real repositories, and git's own server over smart HTTP.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};

use crate::adapters::support::Server;

/// Runs `git` as a person would.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let ran = Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

/// A bare repository, and a clone in which people work.
pub(super) struct Repository {
    pub(super) root: tempfile::TempDir,
    pub(super) bare: PathBuf,
    pub(super) work: PathBuf,
}

impl Repository {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (bare, work) = (root.path().join("settings.git"), root.path().join("work"));
        git(root.path(), &["init", "--quiet", "--bare", "settings.git"]);
        git(&bare, &["config", "http.receivepack", "true"]);
        git(root.path(), &["clone", "--quiet", "settings.git", "work"]);
        Self { root, bare, work }
    }

    /// Commits this content of a file and pushes it; gives the commit.
    pub(super) fn commit(&self, path: &str, content: &str, subject: &str) -> String {
        let file = self.work.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        git(&self.work, &["add", "-A"]);
        self.commit_all(subject)
    }

    pub(super) fn commit_all(&self, subject: &str) -> String {
        git(&self.work, &["commit", "--quiet", "--allow-empty", "-m", subject]);
        git(&self.work, &["push", "--quiet", "origin", "HEAD:main"]);
        git(&self.work, &["rev-parse", "HEAD"])
    }

    pub(super) fn holds(&self, path: &str) -> String {
        git(&self.bare, &["show", &format!("main:{path}")])
    }

    pub(super) fn tip(&self) -> String {
        git(&self.bare, &["rev-parse", "main"])
    }
}

/// Git's own server for repositories below a folder.
pub(super) async fn smart_http(root: &Path, authorization: Option<&'static str>) -> Server {
    let root = root.to_owned();
    let router = Router::new().fallback(move |request: Request| {
        let root = root.clone();
        async move {
            let given =
                request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            if authorization.is_some_and(|wanted| given.as_deref() != Some(wanted)) {
                let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
                return refused
                    .header("www-authenticate", "Basic realm=\"git\"")
                    .body(Body::empty())
                    .unwrap();
            }
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 64 << 20).await.unwrap();
            let mut command = Command::new("git");
            command
                .arg("http-backend")
                .env("GIT_PROJECT_ROOT", &root)
                .env("GIT_HTTP_EXPORT_ALL", "1")
                .env("REMOTE_ADDR", "127.0.0.1")
                .env("REQUEST_METHOD", parts.method.as_str())
                .env("PATH_INFO", parts.uri.path())
                .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
                .env("CONTENT_LENGTH", body.len().to_string());
            for (header, variable) in [
                ("content-type", "CONTENT_TYPE"),
                ("content-encoding", "HTTP_CONTENT_ENCODING"),
                ("git-protocol", "GIT_PROTOCOL"),
            ] {
                if let Some(value) = parts.headers.get(header) {
                    command.env(variable, value.to_str().unwrap());
                }
            }
            tokio::task::spawn_blocking(move || answer(command, &body)).await.unwrap()
        }
    });
    Server::start(router).await
}

fn answer(mut command: Command, body: &[u8]) -> Response<Body> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A backend that refuses reads nothing.
    let _ = stdin.write_all(body);
    drop(stdin);
    let printed = child.wait_with_output().unwrap().stdout;
    let end = printed.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(printed.len());
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&printed[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(printed[(end + 4).min(printed.len())..].to_vec())).unwrap()
}
