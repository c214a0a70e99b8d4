//! Accepts connections until it is told to stop, then lets what is in flight finish.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::connections::{Connection, Place};
use super::doors::{Deadlines, Doors};
use super::problem::Problem;
use super::socket::Socket;

/// Longer heads are refused with 431; hyper itself takes 100 headers.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections that were told to go and have not gone yet. With more, nobody new is accepted until some have.
pub(crate) const LEAVING_MAX: usize = 64;
/// For who gets no place: no request was read, so none was made.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves `router` until `stop` is ready; then no connection is accepted, and those in flight have `patience` to finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    doors: Arc<Doors>,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let (tell, told) = watch::channel(false);
    let mut running = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let places = doors.connections.bounds().connections;
    loop {
        while let Some(ended) = running.try_join_next() {
            ended_well(ended);
        }
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(ended) = running.join_next(), if running.len() >= places + LEAVING_MAX => {
                ended_well(ended);
                continue;
            }
            accepted = listener.accept(), if running.len() < places + LEAVING_MAX => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                doors.accepting.succeeded();
                if let Some((stream, place)) = admit(&doors, stream, address) {
                    let serving = serve_one(stream, place, router.clone(), doors.deadlines, told.clone());
                    running.spawn(serving);
                }
            }
            // The peer has gone in the meantime; the next one may be well.
            Err(error) if is_about_one_peer(&error) => {}
            Err(error) => {
                if doors.accepting.failed(&error) {
                    tracing::error!(%error, "no connection can be accepted; the host tries again five times a second, and is not ready until it succeeds");
                }
                doors.connections.let_one_go();
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    tell.send_replace(true);
    let all = async {
        while let Some(ended) = running.join_next().await {
            ended_well(ended);
        }
    };
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!(
            connections = running.len(),
            "connections were cut because they did not finish in time"
        );
    }
    running.shutdown().await;
}

fn ended_well(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the host failed at a connection");
    }
}

fn is_about_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn admit(doors: &Doors, stream: TcpStream, address: SocketAddr) -> Option<(TcpStream, Place)> {
    let Some(place) = doors.connections.admit(address.ip()) else {
        // Whether it can still be told does not matter.
        let _ = stream.try_write(NO_PLACE);
        return None;
    };
    Some((stream, place))
}

async fn serve_one(
    stream: TcpStream,
    place: Place,
    router: Router,
    deadlines: Deadlines,
    mut told: watch::Receiver<bool>,
) {
    // Answers are small: waiting for more to send only delays them.
    drop(stream.set_nodelay(true));
    let connection = place.connection.clone();
    let service = service_fn(|request| answer(router.clone(), connection.clone(), request));
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // Of the first head, and between an answer and the next head.
            .header_read_timeout(deadlines.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Socket::new(stream, deadlines.answer)), service)
    );
    let stopping = async { drop(told.wait_for(|told| *told).await) };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = place.connection.cut() => return,
        () = stopping => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// The router's answer, also where a handler breaks off.
async fn answer(
    router: Router,
    connection: Arc<Connection>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, std::convert::Infallible> {
    connection.begin();
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(connection.clone());
    let mut answering = std::pin::pin!(router.oneshot(request));
    let answered = std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context)));
        polled.map_or_else(|_| Poll::Ready(None), |polled| polled.map(Some))
    });
    let response = match answered.await {
        Some(Ok(response)) => response,
        Some(Err(never)) => match never {},
        None => Problem::broke_off().into_response(),
    };
    connection.end();
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::descriptors::Descriptors;
    use crate::http::Bounds;

    /// Serves `router`; ends with the test.
    async fn serving(router: Router, bounds: Bounds) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let descriptors = Descriptors { limit: 1_024 };
        let doors = Arc::new(Doors::new(bounds, Deadlines::default(), descriptors, []));
        let mut running = JoinSet::new();
        running.spawn(serve(listener, router, doors, std::future::pending(), Duration::ZERO));
        (address, running)
    }

    async fn asked(socket: &mut TcpStream, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = socket.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_handler_that_breaks_off_is_answered_and_the_connection_goes_on() {
        async fn broken() -> &'static str {
            panic!("a secret of this machine")
        }
        let router = Router::new().route("/broken", get(broken)).route("/well", get(async || "well"));
        let (address, _running) = serving(router, Bounds::of(8)).await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        let answer = asked(&mut socket, "/broken").await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("broke-off"), "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
        assert!(asked(&mut socket, "/well").await.ends_with("well"));
    }

    #[tokio::test]
    async fn who_gets_no_place_is_told_to_come_back() {
        // One place, taken by a person who is being answered.
        let router = Router::new().route(
            "/wait",
            get(async |request: axum::extract::Request| {
                let connection = request.extensions().get::<Arc<Connection>>().unwrap();
                connection.proved(crate::http::connections::Standing::Person);
                std::future::pending::<&'static str>().await
            }),
        );
        let (address, _running) = serving(router, Bounds::of(1)).await;
        let mut person = TcpStream::connect(address).await.unwrap();
        person.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        loop {
            let mut answer = String::new();
            // Until the person has proved to be one, a newcomer takes the place.
            let mut newcomer = TcpStream::connect(address).await.unwrap();
            let told =
                tokio::time::timeout(Duration::from_secs(1), newcomer.read_to_string(&mut answer)).await;
            if told.is_ok() && answer.starts_with("HTTP/1.1 503") {
                assert!(answer.contains("retry-after: 10"), "{answer}");
                return;
            }
            person = TcpStream::connect(address).await.unwrap();
            person.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
