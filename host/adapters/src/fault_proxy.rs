//! A proxy between an adapter and its system that goes wrong on order: for tests of adapters, here and elsewhere.
//!
//! It knows nothing of the system but HTTP. Requests and answers pass through whole, so it is for tests and not for gigabytes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BEFORE_CUT: Duration = Duration::from_millis(20);

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The system is asked after so long.
    Delay(Duration),
    /// The connection ends, and the system was not asked.
    Unsent,
    /// The system did what it was asked, and the connection ends without an answer.
    AnswerLost,
    /// The system did what it was asked, and the connection ends after so many bytes of the answer.
    AnswerCut(usize),
    /// This answer comes, and the system was not asked.
    Instead(Canned),
    /// This answer comes in place of the system's, which did what it was asked.
    InPlaceOf(Canned),
    /// The system is asked twice, as by a network that repeats; its second answer comes.
    Twice,
}

/// An answer that is not the system's.
#[derive(Debug, Clone)]
pub struct Canned {
    /// Such as 503.
    pub status: u16,
    /// Such as `application/json`.
    pub content_type: &'static str,
    /// In seconds.
    pub retry_after: Option<u64>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Canned {
    /// An error of something before the system, in plain text.
    pub fn failure(status: u16) -> Self {
        Self { status, content_type: "text/plain", retry_after: None, body: b"upstream trouble\n".to_vec() }
    }

    /// The same, with the time after which to come back.
    pub fn later(status: u16, retry_after_seconds: u64) -> Self {
        Self { retry_after: Some(retry_after_seconds), ..Self::failure(status) }
    }

    /// A page where data is expected, with a status that means success.
    pub fn page() -> Self {
        let body = b"<!doctype html><title>Sign in</title><p>Please sign in.".to_vec();
        Self { status: 200, content_type: "text/html", retry_after: None, body }
    }

    /// Success, and nothing else.
    pub fn empty_success() -> Self {
        Self { status: 200, content_type: "application/json", retry_after: None, body: b"{}".to_vec() }
    }

    fn into_response(self) -> Response<Answer> {
        let mut response = Response::new(whole(self.body.into()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(self.content_type));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Which requests.
#[derive(Debug, Clone)]
pub enum Which {
    /// Every one.
    Any,
    /// Those that only read: `GET`, `HEAD`, and what is posted of it: queries of GraphQL, and questions in AWS's JSON protocol.
    Reads,
    /// All others.
    Changes,
    /// Changes whose path and query do not hold this, such as the mark of those that are only tried.
    ChangesWithout(&'static str),
    /// Those whose path and query hold this.
    With(&'static str),
}

impl Which {
    fn takes(&self, seen: &Seen) -> bool {
        match self {
            Self::Any => true,
            Self::Reads => seen.only_reads,
            Self::Changes => !seen.only_reads,
            Self::ChangesWithout(part) => !seen.only_reads && !seen.target.contains(part),
            Self::With(part) => seen.target.contains(part),
        }
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Such as `GET`.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Whether it changes nothing, as far as that shows.
    pub only_reads: bool,
}

impl Seen {
    fn of(method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let only_reads =
            matches!(*method, Method::GET | Method::HEAD) || is_query(body) || is_question(headers);
        Self { method: method.clone(), target: target.to_owned(), only_reads }
    }
}

/// Whether a body is an operation of GraphQL that only reads.
fn is_query(body: &[u8]) -> bool {
    let whole: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let operation = whole.as_ref().and_then(|whole| whole.get("query")?.as_str());
    operation.is_some_and(|text| text.trim_start().starts_with("query"))
}

/// Whether an operation of AWS's JSON protocol only reads, by its name.
fn is_question(headers: &HeaderMap) -> bool {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.split_once('.')).map(|(_, operation)| operation);
    operation.is_some_and(|name| name.starts_with("Describe") || name.starts_with("List"))
}

#[derive(Debug)]
struct Order {
    which: Which,
    fault: Fault,
    left: usize,
}

#[derive(Debug)]
struct State {
    system: Url,
    client: reqwest::Client,
    orders: Mutex<VecDeque<Order>>,
    seen: Mutex<Vec<Seen>>,
}

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

type Answer = BoxBody<Bytes, io::Error>;

impl FaultProxy {
    /// Listens on a free port of this machine, and passes everything on to `system`, such as `http://127.0.0.1:5000`.
    pub async fn start(system: &str) -> io::Result<Self> {
        let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let system = Url::parse(system).map_err(|error| wrong(format!("`{system}` is no URL: {error}")))?;
        // Installed already is as good; the client wants one even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { system, client, orders: Mutex::default(), seen: Mutex::default() });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, _serving: serving })
    }

    /// The address to give to the adapter.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Orders a fault for the next `times` requests that are meant. Earlier orders come first.
    pub fn order(&self, which: Which, fault: Fault, times: usize) {
        let order = Order { which, fault, left: times };
        self.state.orders.lock().unwrap_or_else(PoisonError::into_inner).push_back(order);
    }

    /// How many of the faults that were ordered have not come yet.
    pub fn left(&self) -> usize {
        let orders = self.state.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.iter().fold(0_usize, |left, order| left.saturating_add(order.left))
    }

    /// Takes all orders back, and forgets what was seen.
    pub fn calm(&self) {
        self.state.orders.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests of a kind came.
    pub fn count(&self, which: &Which) -> usize {
        self.seen().iter().filter(|seen| which.takes(seen)).count()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| pass(Arc::clone(&state), request));
            let serving = hyper::server::conn::http1::Builder::new();
            // That a connection ended in an error is what was ordered, or shows at the client.
            let _ = serving.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error ends the connection without an answer.
async fn pass(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Answer>, io::Error> {
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or_else(String::new, |target| target.to_string());
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = Seen::of(&method, &target, &parts.headers, &body);
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
    let fault = state.next_fault(&seen);
    let ask = || state.ask(&method, &target, &parts.headers, &body);
    let ended = || io::Error::new(io::ErrorKind::ConnectionAborted, "ordered");
    match fault {
        None => Ok(ask().await),
        Some(Fault::Delay(wait)) => {
            tokio::time::sleep(wait).await;
            Ok(ask().await)
        }
        Some(Fault::Unsent) => Err(ended()),
        Some(Fault::AnswerLost) => {
            ask().await;
            Err(ended())
        }
        Some(Fault::AnswerCut(after)) => cut(ask().await, after).await,
        Some(Fault::Instead(canned)) => Ok(canned.into_response()),
        Some(Fault::InPlaceOf(canned)) => {
            ask().await;
            Ok(canned.into_response())
        }
        Some(Fault::Twice) => {
            ask().await;
            Ok(ask().await)
        }
    }
}

impl State {
    fn next_fault(&self, seen: &Seen) -> Option<Fault> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let order = orders.iter_mut().find(|order| order.left > 0 && order.which.takes(seen))?;
        order.left -= 1;
        Some(order.fault.clone())
    }

    async fn ask(
        &self,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response<Answer> {
        let url = format!("{}{target}", self.system.as_str().trim_end_matches('/'));
        let mut headers = headers.clone();
        for own in [HOST, CONNECTION, TRANSFER_ENCODING] {
            headers.remove(own);
        }
        // Of an empty body the client beneath says no length, which some systems want to hear.
        if !body.is_empty() {
            headers.remove(CONTENT_LENGTH);
        }
        let sent = self.client.request(method.clone(), url).headers(headers).body(body.clone()).send().await;
        let failed = |error: reqwest::Error| {
            let body = format!("the proxy cannot reach the system: {error}").into_bytes();
            Canned { body, ..Canned::failure(502) }.into_response()
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        let body = match answer.bytes().await {
            Ok(body) => body,
            Err(error) => return failed(error),
        };
        for own in [CONNECTION, TRANSFER_ENCODING] {
            headers.remove(own);
        }
        // Of an answer without its body it is the only word on the body.
        if *method != Method::HEAD {
            headers.remove(CONTENT_LENGTH);
        }
        let mut response = Response::new(whole(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

fn whole(body: Bytes) -> Answer {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

/// The same answer, which announces its length and ends before it.
async fn cut(answer: Response<Answer>, after: usize) -> Result<Response<Answer>, io::Error> {
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    // A cut at the very end would be none.
    let after = after.min(body.len().saturating_sub(1));
    parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| body.len().into());
    let begun = stream::iter([Ok(Frame::data(body.slice(..after)))]);
    let ended = stream::once(async {
        // What was sent so far has to leave before the connection ends.
        tokio::time::sleep(BEFORE_CUT).await;
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "ordered"))
    });
    Ok(Response::from_parts(parts, BodyExt::boxed(StreamBody::new(begun.chain(ended)))))
}
