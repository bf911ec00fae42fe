//! A sample FHIR R4 server over HTTP/1.1: read and search of what a `Store` holds, on loopback.
//!
//! In: requests, from anyone. Out: resources, searchset Bundles with pages, OperationOutcomes that
//! echo what was asked, as real servers do. It checks nobody's rights and changes nothing:
//! writes, batch, history and operations are refused.

mod answer;
mod dates;
mod page;
mod params;
mod query;
mod store;
mod values;

pub use params::{Kind, PARAMS, Param};
pub use store::{Row, Store, Unfit};

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};

use crate::http1::{self, Answer, Listener};

/// Requests that the log keeps, the latest.
const LOG: usize = 10_000;
/// Searches whose answers are kept ready.
const READY: usize = 1024;
/// Bytes of a `_search` body at most.
const BODY: usize = 64 * 1024;

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Path and query, as on the wire.
    pub target: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// The body of a POST search.
    pub body: Bytes,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    base: String,
    metadata: Bytes,
    /// Search answers by type and query: the store doesn't change.
    ready: Mutex<HashMap<String, Bytes>>,
    recording: AtomicBool,
    requests: AtomicU64,
    log: Mutex<VecDeque<Seen>>,
}

impl Server {
    /// Serves `store` at a loopback address, port 0 for any, from the current runtime.
    pub async fn start(store: impl Into<Arc<Store>>, addr: SocketAddr) -> io::Result<Self> {
        let socket = http1::bind(addr).await?;
        let base = format!("http://{}/fhir", socket.local_addr()?);
        let shared = Arc::new(Shared {
            store: store.into(),
            metadata: answer::capabilities(&base),
            base,
            ready: Mutex::default(),
            recording: AtomicBool::new(true),
            requests: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let listener = http1::serve(socket, move |request| {
            let state = Arc::clone(&state);
            async move { state.serve(request).await }
        })?;
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// The base of its FHIR URLs, `http://…/fhir`.
    pub fn base_url(&self) -> &str {
        &self.shared.base
    }

    /// What it serves.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// The latest requests, the oldest of at most 10,000 first.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.shared.log).iter().cloned().collect()
    }

    /// Method and target of the latest requests.
    pub fn targets(&self) -> Vec<(Method, String)> {
        locked(&self.shared.log)
            .iter()
            .map(|seen| (seen.method.clone(), seen.target.clone()))
            .collect()
    }

    /// How many requests came since the start, in the log or not.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Empties the log.
    pub fn forget(&self) {
        locked(&self.shared.log).clear();
    }

    /// Whether requests are logged; benchmarks turn it off.
    pub fn record(&self, on: bool) {
        self.shared.recording.store(on, Ordering::Relaxed);
    }

    /// Stops accepting and breaks open connections.
    pub fn shutdown(&self) {
        self.listener.stop();
    }
}

impl Shared {
    async fn serve(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return answer::outcome(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-long",
                    "request body too long or broken",
                );
            }
        };
        self.note(&head, &body);
        self.answer(&head, &body)
    }

    fn note(&self, head: &Parts, body: &Bytes) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.recording.load(Ordering::Relaxed) {
            return;
        }
        let mut log = locked(&self.log);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(Seen {
            method: head.method.clone(),
            target: head
                .uri
                .path_and_query()
                .map_or("*", |target| target.as_str())
                .to_owned(),
            headers: head.headers.clone(),
            body: body.clone(),
        });
    }

    fn answer(&self, head: &Parts, body: &Bytes) -> Answer {
        let Some(path) = head.uri.path().strip_prefix("/fhir/") else {
            return self.missing(head);
        };
        let reading = head.method == Method::GET || head.method == Method::HEAD;
        if reading && let Some(row) = self.store.get(path) {
            return answer::read(row);
        }
        let query = head.uri.query().unwrap_or("");
        let mut steps = path.split('/');
        match (steps.next().unwrap_or(""), steps.next(), steps.next()) {
            ("metadata", None, None) if reading => {
                answer::json(StatusCode::OK, self.metadata.clone())
            }
            (name, _, _) if !PARAMS.contains_key(name) => answer::outcome(
                StatusCode::NOT_FOUND,
                "not-supported",
                &format!("unknown resource type `{name}`"),
            ),
            (name, None, None) if reading => self.search(name, query),
            (name, Some("_search"), None) if head.method == Method::POST => {
                if !is_form(&head.headers) {
                    let text = "a `_search` body must be application/x-www-form-urlencoded";
                    return answer::outcome(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", text);
                }
                match std::str::from_utf8(body) {
                    Ok(form) if query.is_empty() => self.search(name, form),
                    Ok(form) => self.search(name, &format!("{query}&{form}")),
                    Err(_) => {
                        answer::outcome(StatusCode::BAD_REQUEST, "invalid", "the body isn't UTF-8")
                    }
                }
            }
            (_, Some(_), None) if reading => self.missing(head),
            _ if reading => {
                let text = format!("interaction not supported: {}", head.uri);
                answer::outcome(StatusCode::BAD_REQUEST, "not-supported", &text)
            }
            _ => {
                let text = format!("{} is not supported at {}", head.method, head.uri.path());
                answer::outcome(StatusCode::METHOD_NOT_ALLOWED, "not-supported", &text)
            }
        }
    }

    fn missing(&self, head: &Parts) -> Answer {
        // Real servers echo the address; whoever stands in front has to take it out.
        let origin = self.base.trim_end_matches("/fhir");
        let text = format!("resource not found: {origin}{}", head.uri.path());
        answer::outcome(StatusCode::NOT_FOUND, "not-found", &text)
    }

    fn search(&self, name: &str, query: &str) -> Answer {
        let key = format!("{name}?{query}");
        if let Some(bundle) = locked(&self.ready).get(&key) {
            return answer::json(StatusCode::OK, bundle.clone());
        }
        match page::search(&self.store, &self.base, name, query) {
            Ok(bundle) => {
                let mut ready = locked(&self.ready);
                if ready.len() >= READY {
                    ready.clear();
                }
                ready.insert(key, bundle.clone());
                answer::json(StatusCode::OK, bundle)
            }
            Err(text) => answer::outcome(StatusCode::BAD_REQUEST, "invalid", &text),
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let media = value.split(';').next().unwrap_or("").trim();
            media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// Nothing done under these locks can leave them half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::Response;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::{get, send};

    async fn server() -> Server {
        let mut store = Store::new();
        for id in ["a", "b", "c"] {
            store
                .insert(json!({"resourceType": "Patient", "id": id, "gender": "female", "active": id == "a"}))
                .unwrap();
        }
        Server::start(store, "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap()
    }

    async fn ask(
        server: &Server,
        method: &str,
        target: &str,
        body: &'static str,
    ) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(body))
            .unwrap();
        send(server.addr(), request).await
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[tokio::test]
    async fn a_read_gives_the_stored_bytes_with_their_headers() {
        let server = server().await;
        let answer = ask(&server, "GET", "/fhir/Patient/a", "").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.body(),
            &server.store().get("Patient/a").unwrap().body
        );
        assert_eq!(answer.headers()["etag"], "W/\"1\"");
        assert_eq!(answer.headers()["content-type"], "application/fhir+json");
        assert!(answer.headers().contains_key("last-modified"));
        let head = ask(&server, "HEAD", "/fhir/Patient/a", "").await;
        assert_eq!(
            head.headers()["content-length"],
            answer.headers()["content-length"]
        );
        assert!(head.body().is_empty());
    }

    #[tokio::test]
    async fn a_missing_read_echoes_the_address() {
        let server = server().await;
        let (status, body) = get(server.addr(), "/fhir/Patient/nobody").await;
        assert_eq!(status, 404);
        let body = parsed(&body);
        assert_eq!(body["resourceType"], "OperationOutcome");
        let echoed = format!("{}/Patient/nobody", server.base_url());
        assert!(
            body["issue"][0]["diagnostics"]
                .as_str()
                .unwrap()
                .ends_with(&echoed)
        );
    }

    #[tokio::test]
    async fn get_and_post_searches_agree_and_page() {
        let server = server().await;
        let (status, by_get) = get(server.addr(), "/fhir/Patient?gender=female&_count=2").await;
        assert_eq!(status, 200);
        let by_post = ask(
            &server,
            "POST",
            "/fhir/Patient/_search",
            "gender=female&_count=2",
        )
        .await;
        assert_eq!(by_post.body(), &by_get);
        let split = ask(
            &server,
            "POST",
            "/fhir/Patient/_search?gender=female",
            "_count=2",
        )
        .await;
        assert_eq!(split.body(), &by_get);
        let again = get(server.addr(), "/fhir/Patient?gender=female&_count=2")
            .await
            .1;
        assert_eq!(again, by_get);
        let next = parsed(&by_get)["link"][1]["url"]
            .as_str()
            .unwrap()
            .to_owned();
        let target = next
            .strip_prefix(&format!("http://{}", server.addr()))
            .unwrap();
        let last = parsed(&get(server.addr(), target).await.1);
        assert_eq!(last["entry"].as_array().unwrap().len(), 1);
        assert_eq!(
            last["entry"][0]["fullUrl"],
            format!("{}/Patient/c", server.base_url())
        );
        assert_eq!(last["link"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_not_served_gets_an_outcome() {
        let server = server().await;
        for (method, target, status) in [
            ("GET", "/fhir/Patient?nonsense=1", 400),
            ("GET", "/fhir/Patient?_include=Patient:link", 400),
            ("GET", "/fhir/Patient/a/_history", 400),
            ("GET", "/fhir/Patient/a/_history/1", 400),
            ("GET", "/fhir/Nothing/a", 404),
            ("GET", "/elsewhere", 404),
            ("GET", "/fhir/Patient/A", 404),
            ("GET", "/fhir/Patient/$everything", 404),
            ("POST", "/fhir/Patient", 405),
            ("PUT", "/fhir/Patient/a", 405),
            ("PATCH", "/fhir/Patient/a", 405),
            ("DELETE", "/fhir/Patient/a", 405),
        ] {
            let answer = ask(&server, method, target, "").await;
            assert_eq!(answer.status(), status, "{method} {target}");
            assert_eq!(
                parsed(answer.body())["resourceType"],
                "OperationOutcome",
                "{method} {target}"
            );
        }
    }

    #[tokio::test]
    async fn the_capability_statement_lists_what_is_served() {
        let server = server().await;
        let statement = parsed(&get(server.addr(), "/fhir/metadata").await.1);
        assert_eq!(statement["fhirVersion"], "4.0.1");
        assert_eq!(
            statement["rest"][0]["resource"].as_array().unwrap().len(),
            PARAMS.len()
        );
    }

    #[tokio::test]
    async fn requests_are_logged_until_told_not_to() {
        let server = server().await;
        get(server.addr(), "/fhir/Patient?_count=1").await;
        assert_eq!(
            server.targets(),
            [(Method::GET, "/fhir/Patient?_count=1".to_owned())]
        );
        assert!(server.seen()[0].headers.contains_key("host"));
        server.forget();
        server.record(false);
        get(server.addr(), "/fhir/Patient/a").await;
        assert!(server.targets().is_empty());
        assert_eq!(server.requests(), 2);
    }

    #[tokio::test]
    async fn the_clinic_answers_what_a_gateway_asks() {
        use crate::clinic::{self, NURSE, OTHER_NURSE, PATIENT};
        let server = Server::start(clinic::seed(1), "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let total = async |query: &str| {
            let (status, body) = get(server.addr(), &format!("/fhir/{query}")).await;
            assert_eq!(status, 200, "{query}");
            parsed(&body)["total"].as_u64().unwrap()
        };
        let team = |nurse| format!("CareTeam?patient={PATIENT}&participant={nurse}&status=active");
        assert_eq!(total(&team(NURSE)).await, 1);
        assert_eq!(total(&team(OTHER_NURSE)).await, 0);
        let here = "status=arrived,triaged,in-progress,onleave";
        assert_eq!(
            total(&format!(
                "Encounter?patient=pat-007&participant={NURSE}&{here}"
            ))
            .await,
            1
        );
        let all = total("Condition").await;
        let coded = total("Condition?category=encounter-diagnosis").await;
        let listed = total("Condition?category=problem-list-item").await;
        assert!(coded > 0 && listed > 0 && coded + listed == all);
        assert!(total("ServiceRequest?status=active").await > 100);
        assert!(total("Observation?_security=PSY,MH,SUD").await > 10);
        assert!(total("Appointment?patient=pat-001&date=gt2026-03-02&status=booked").await >= 1);
        assert_eq!(total("Patient?_id=pat-001,pat-002").await, 2);
        assert_eq!(
            total("Patient?identifier=http://hl7.org/fhir/sid/us-ssn|").await,
            200
        );
    }

    #[tokio::test]
    async fn it_stops_when_dropped() {
        let server = server().await;
        let addr = server.addr();
        drop(server);
        // The port comes free once the runtime has dropped the listener.
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(
            Server::start(Store::new(), "0.0.0.0:0".parse().unwrap())
                .await
                .is_err()
        );
    }
}
