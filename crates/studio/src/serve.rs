//! The server around the studio: sockets, threads, a clock. It carries requests in and responses out, and drives the
//! trainings, each in a thread of its own.
//!
//! It listens on this machine alone unless it is asked to do otherwise, and answers nobody but its own page and programs
//! that are no browsers: see [`guard`].

use crate::form::Start;
use crate::message::{MOST_BODY, Request};
use crate::page;
use crate::session::{Session, lock};
use crate::shelf::Shelf;
use crate::studio::Studio;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use guard::Guard;
use std::future::IntoFuture;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

mod events;
pub mod guard;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on: a loopback address unless others are to come in.
    pub host: IpAddr,
    /// The port; 0: any that is free.
    pub port: u16,
    /// Names besides the address that the studio may be called by.
    pub names: Vec<String>,
}

/// What every request needs.
struct Shared {
    studio: Arc<Studio>,
    guard: Guard,
    stop: Arc<AtomicBool>,
}

/// A studio that is driven by threads.
pub fn studio(shelf: Shelf, start: Start) -> Arc<Studio> {
    // Two lives of a server differ in this; it is no secret.
    let life = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis());
    Arc::new(Studio::new(shelf, start, format!("{life:x}"), Box::new(drive)))
}

/// Makes the steps of a run in a thread of its own, unless one does already.
fn drive(session: Arc<Session>) {
    if std::mem::replace(&mut lock(&session.state).driven, true) {
        return;
    }
    let thread = std::thread::Builder::new().name(format!("training {}", session.id));
    let run = session.clone();
    let spawned = thread.spawn(move || {
        // One clock for all threads: a run may be driven by several, one after the other.
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let clock = || BEGAN.get_or_init(Instant::now).elapsed().as_secs_f64();
        loop {
            let step = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.advance(&clock)));
            while step().unwrap_or_else(|_| run.fail("the training made a mistake of its own")) {
                // Whoever wants the desk gets it now: a lock alone would let this thread have it again and again.
                while run.waiting.load(SeqCst) > 0 {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
            let mut state = lock(&run.state);
            if state.status != crate::session::Status::Training {
                state.driven = false;
                return;
            }
        }
    });
    if spawned.is_err() {
        lock(&session.state).driven = false;
    }
}

/// Serves until `stop` is set. `ready` hears the address once the first request could come.
///
/// # Errors
/// An address that cannot be listened on.
pub fn serve(
    studio: Arc<Studio>,
    options: &Options,
    stop: Arc<AtomicBool>,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((options.host, options.port)).await?;
        let address = listener.local_addr()?;
        let guard = Guard::new(address, &options.names);
        let shared = Arc::new(Shared { studio: studio.clone(), guard, stop: stop.clone() });
        let app = axum::Router::new().fallback(answer).with_state(shared);
        ready(address);
        let stopped = async move {
            while !stop.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Those who still listen have a moment.
            tokio::time::sleep(Duration::from_millis(150)).await;
        };
        let serving = std::pin::pin!(axum::serve(listener, app).into_future());
        match futures_util::future::select(serving, std::pin::pin!(stopped)).await {
            futures_util::future::Either::Left((served, _)) => served,
            futures_util::future::Either::Right(_) => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    // What was trained is kept, and rests: only a server that dies goes on by itself.
    for session in studio.sessions() {
        studio.pause(&session);
        let _ = studio.save_now(&session);
    }
    served
}

/// A request of HTTP, from its headers to its answer.
async fn answer(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(why) = shared.guard.check(&parts.method, &parts.headers) {
        return refused(StatusCode::FORBIDDEN, why);
    }
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    if !path.starts_with("/api/") {
        return match (parts.method.as_str(), page::file(path)) {
            ("GET" | "HEAD", Some(file)) => cached(file, &parts.headers),
            ("GET" | "HEAD", None) => refused(StatusCode::NOT_FOUND, "no such file"),
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "expected GET"),
        };
    }
    let listens = path.strip_prefix("/api/v1/runs/").and_then(|rest| rest.strip_suffix("/events"));
    if let Some(id) = listens.filter(|_| parts.method == "GET") {
        return events(&shared, id, query, &parts.headers);
    }
    // Whoever sends slowly holds a connection, and nothing else.
    let body = match tokio::time::timeout(Duration::from_secs(20), to_bytes(body, MOST_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "expected a body of at most 8 MiB, found more");
        }
        Err(_) => {
            return refused(StatusCode::REQUEST_TIMEOUT, "expected a body within 20 seconds, found none");
        }
    };
    let method = parts.method.as_str().to_string();
    let request = Request { method, path: path.to_string(), query: query.to_string(), body: body.to_vec() };
    let studio = shared.studio.clone();
    match tokio::task::spawn_blocking(move || studio.handle(&request)).await {
        Ok(response) => plain(response),
        Err(_) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the studio made a mistake; this request has no answer",
        ),
    }
}

fn events(shared: &Shared, id: &str, query: &str, headers: &HeaderMap) -> Response {
    let Ok(session) = shared.studio.session(id) else {
        return refused(StatusCode::NOT_FOUND, "run: expected one that is open, found another id");
    };
    // A browser that connects again says what it has heard last.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(String::from);
    let asked = Request { query: query.to_string(), ..Request::default() }.query("since");
    let body = events::body(shared.studio.clone(), session, shared.stop.clone(), last.or(asked));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    secure(headers);
    response
}

/// A file of the page: sent once, then asked for by its mark.
fn cached(file: crate::Response, asked: &HeaderMap) -> Response {
    // FNV-1a: not a secret, only a mark that changes with the content.
    let mark = file.body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mark, &byte| {
        (mark ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mark = format!("\"{mark:016x}\"");
    let same = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == mark.as_bytes());
    let mut response = plain(if same { crate::Response { body: Vec::new(), ..file } } else { file });
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(mark) = HeaderValue::from_str(&mark) {
        headers.insert(header::ETAG, mark);
    }
    response
}

fn plain(answer: crate::Response) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if answer.content_type.starts_with("text/html") && answer.status == 200 {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    secure(headers);
    response
}

fn refused(status: StatusCode, why: &str) -> Response {
    let fault = crate::message::Fault { status: status.as_u16(), text: why.to_string() };
    plain(fault.response())
}

/// What the page may load: its own files, and nothing that is written into it.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    }
}
