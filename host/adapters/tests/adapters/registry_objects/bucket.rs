//! A bucket in memory that speaks as S3 does, and as Cloud Storage does in the same form: lists in pages, entity tags, generations, conditional writes. It is
//! ours: what real systems do is in `tests/moto` and `tests/azurite`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ripcord_core::digest::Digest;

use crate::adapters::support::Server;

const WRITTEN: &str = "Sat, 28 Nov 2026 09:00:00 GMT";

/// Status, a header, the body.
pub(crate) type Said = (u16, &'static str, &'static str);

#[derive(Default)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<String, (Vec<u8>, u64)>,
    pub(crate) page: usize,
    /// A list gives the same place to go on from for ever.
    pub(crate) turns_in_a_circle: bool,
    /// Put in place of every answer.
    pub(crate) instead: Option<Said>,
    /// The same of every write alone, and of reading one object.
    pub(crate) instead_of_writes: Option<Said>,
    pub(crate) instead_of: BTreeMap<String, Said>,
    /// What so long an answer is awaited for: a method, and the bytes that are sent at least.
    pub(crate) slow: Option<(Method, usize, Duration)>,
    generations: u64,
}

impl World {
    pub(crate) fn put(&mut self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.generations += 1;
        self.objects.insert(key.to_owned(), (bytes.into(), self.generations));
    }
}

pub(crate) struct Bucket {
    pub(crate) server: Server,
    world: Arc<Mutex<World>>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let world: Arc<Mutex<World>> = Arc::new(Mutex::new(World { page: 1_000, ..World::default() }));
        let (here, there) = (Arc::clone(&world), Arc::clone(&world));
        let list = move |Path(bucket): Path<String>, Query(query): Query<BTreeMap<String, String>>| {
            let answer = list(&mut here.lock().unwrap(), &bucket, &query);
            async move { answer }
        };
        let one =
            move |method: Method, Path((_, key)): Path<(String, String)>, headers: HeaderMap, body: Bytes| {
                let mut world = there.lock().unwrap();
                let slow = world.slow.as_ref().filter(|(of, from, _)| *of == method && body.len() >= *from);
                let pause = slow.map_or(Duration::ZERO, |(.., pause)| *pause);
                let answer = one(&mut world, &method, &key, &headers, &body);
                async move {
                    tokio::time::sleep(pause).await;
                    answer
                }
            };
        let token = axum::Json(serde_json::json!({
            "access_token": "t0ken", "token_type": "Bearer", "expires_in": 3_600,
        }));
        let router = Router::new()
            .route("/token", axum::routing::post(move || async move { token }))
            .route("/{bucket}", axum::routing::get(list))
            .route("/{bucket}/{*key}", axum::routing::any(one));
        Self { server: Server::start(router).await, world }
    }

    pub(crate) fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\u{1b}', "&#x1B;")
}

fn list(world: &mut World, bucket: &str, query: &BTreeMap<String, String>) -> Response {
    if let Some(instead) = world.instead {
        return answer(instead);
    }
    if bucket != "models" {
        return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchBucket</Code></Error>").into_response();
    }
    let prefix = query.get("prefix").map_or("", String::as_str);
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let mut below = world.objects.iter().filter(|(key, _)| key.starts_with(prefix) && **key > after);
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    let mut last = String::new();
    for (key, (bytes, generation)) in below.by_ref().take(world.page) {
        text.push_str(&format!(
            "<Contents><Key>{}</Key><LastModified>2026-11-28T09:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            escaped(key),
            tag(bytes, *generation),
            bytes.len()
        ));
        last.clone_from(key);
    }
    let more = below.next().is_some();
    if world.turns_in_a_circle {
        text.push_str("<IsTruncated>true</IsTruncated><NextContinuationToken>!</NextContinuationToken>");
    } else if more {
        text.push_str(&format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
            escaped(&last)
        ));
    }
    text.push_str("</ListBucketResult>");
    text.into_response()
}

fn answer((status, header, body): Said) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if let Some((name, value)) = header.split_once(": ") {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn tag(bytes: &[u8], _: u64) -> String {
    format!("\"{}\"", Digest::of(bytes).short())
}

fn one(world: &mut World, method: &Method, key: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    if let Some(instead) = world.instead {
        return answer(instead);
    }
    match (world.instead_of_writes, world.instead_of.get(key)) {
        (Some(instead), _) if *method == Method::PUT => return answer(instead),
        (_, Some(instead)) if *method == Method::GET => return answer(*instead),
        _ => {}
    }
    let told = |bytes: &[u8], generation: u64| {
        [
            ("etag", tag(bytes, generation)),
            ("x-goog-generation", generation.to_string()),
            ("last-modified", WRITTEN.to_owned()),
        ]
    };
    let there = world.objects.get(key).cloned();
    match *method {
        Method::GET | Method::HEAD => match there {
            Some((bytes, generation)) => (told(&bytes, generation), bytes).into_response(),
            None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
        },
        Method::PUT => {
            let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            let fits = match (of("if-none-match"), of("if-match"), of("x-goog-if-generation-match")) {
                (Some("*"), ..) | (.., Some("0")) => there.is_none(),
                (_, Some(wanted), _) => there.as_ref().is_some_and(|(bytes, at)| tag(bytes, *at) == wanted),
                (.., Some(wanted)) => there.as_ref().is_some_and(|(_, at)| at.to_string() == wanted),
                _ => true,
            };
            if !fits {
                return (StatusCode::PRECONDITION_FAILED, "<Error><Code>PreconditionFailed</Code></Error>")
                    .into_response();
            }
            world.put(key, body.to_vec());
            let (bytes, generation) = &world.objects[key];
            told(bytes, *generation).into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
