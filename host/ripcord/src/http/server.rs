//! Accepts connections until it is told to stop, then lets what is in flight finish.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// More wait in the system's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// A connection that sends no whole header for so long is closed.
const HEADER_WAIT: Duration = Duration::from_secs(30);
/// Such as when all file handles are taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` until `stop` is ready; then no connection is accepted, and those in flight have `patience` to finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (tell, told) = tokio::sync::watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, told) = (router.clone(), told.clone());
        connections.spawn(async move {
            connection(stream, router, told).await;
            drop(place);
        });
    }
    drop(listener);
    tell.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut because they did not finish in time"
        );
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router, mut told: tokio::sync::watch::Receiver<bool>) {
    // Answers are small: waiting for more to send only delays them.
    drop(stream.set_nodelay(true));
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_WAIT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let stopping = async { drop(told.wait_for(|told| *told).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopping => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
