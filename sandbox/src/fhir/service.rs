//! From a request to its answer: who waits for whom, how long a body may be, what the log keeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;

use super::act::{Act, Fault, Payload, Place, Reply, Terms};
use super::head::{self, Media};
use super::store::Store;
use super::write::Desk;
use super::{Seen, answer, body, bundle, capability, dates, patch, read, route, transaction};
use crate::http1::Answer;

/// Requests that the log keeps, the latest.
const LOG: usize = 10_000;
/// Bytes of a `_search` body at most.
const FORM: usize = 64 * 1024;
/// Bytes of a resource or patch at most.
const RESOURCE: usize = 4 * 1024 * 1024;
/// Bytes of a Bundle at most.
const BUNDLE: usize = 16 * 1024 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    /// Replaced, or changed where nobody else holds it.
    store: RwLock<Arc<Store>>,
    pub(crate) base: String,
    metadata: Bytes,
    pub(crate) recording: AtomicBool,
    pub(crate) requests: AtomicU64,
    pub(crate) log: Mutex<VecDeque<Seen>>,
}

impl Service {
    pub(crate) fn new(store: Arc<Store>, base: String) -> Self {
        Self {
            store: RwLock::new(store),
            metadata: capability::statement(&base),
            base,
            recording: AtomicBool::new(true),
            requests: AtomicU64::new(0),
            log: Mutex::default(),
        }
    }

    /// Answers a request.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let path = address(&head);
        let place = match path {
            Some(path) => route::place(path),
            None => Err(self.elsewhere(&head)),
        };
        let most = match &place {
            Ok(Place::Base) => BUNDLE,
            Ok(Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..)) => FORM,
            _ => RESOURCE,
        };
        let body = match Limited::new(body, most).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                let text = "request body too long or broken";
                let fault = Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", text);
                return answer::fault(&fault, None);
            }
        };
        self.note(&head, &body);
        let answered = match place {
            Ok(place) if head.method == Method::OPTIONS => {
                return answer::options(route::allowed(&place));
            }
            Ok(place) => self.answer(&head, place, &body),
            Err(fault) => Err((fault, None)),
        };
        match answered {
            Ok(reply) => answer::reply(reply, &self.base),
            Err((fault, at)) => answer::fault(&fault, at.as_deref()),
        }
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

    /// The error may say where in the body it is.
    fn answer(
        &self,
        head: &Parts,
        place: Place,
        body: &Bytes,
    ) -> Result<Reply, (Fault, Option<String>)> {
        let whole = |fault| (fault, None);
        route::allow(&head.method, &place).map_err(whole)?;
        let mut query = head.uri.query().unwrap_or("").to_owned();
        head::acceptable(&head.headers, &query).map_err(whole)?;
        let terms = head::terms(&head.headers).map_err(whole)?;
        if head.method == Method::POST && place == Place::Base {
            let bundle = resource(&head.headers, body).map_err(whole)?;
            return self.bundle(bundle, query, terms);
        }
        let payload = match (&place, &head.method) {
            (Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..), _) => {
                let form = form(&head.headers, body).map_err(whole)?;
                if !query.is_empty() && !form.is_empty() {
                    query.push('&');
                }
                query.push_str(form);
                Payload::None
            }
            (_, &Method::POST | &Method::PUT) => {
                Payload::Resource(resource(&head.headers, body).map_err(whole)?)
            }
            (_, &Method::PATCH) if head::media(&head.headers) == Media::Patch => {
                Payload::Patch(patch::read(body).map_err(whole)?)
            }
            (_, &Method::PATCH) => return Err(whole(patch::unsupported())),
            _ => Payload::None,
        };
        let act = Act {
            method: head.method.clone(),
            place,
            query,
            terms,
            payload,
        };
        self.run(act).map_err(whole)
    }

    /// Does one interaction: on what is there now, or alone.
    fn run(&self, act: Act) -> Result<Reply, Fault> {
        if act.reads() {
            return read::run(&self.snapshot(), &self.base, &self.metadata, &act);
        }
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let mut desk = Desk {
            store: Arc::make_mut(&mut store),
            base: &self.base,
            now: dates::now(),
        };
        desk.run(act)
    }

    fn bundle(
        &self,
        bundle: Value,
        query: String,
        terms: Terms,
    ) -> Result<Reply, (Fault, Option<String>)> {
        let bundle = bundle::read(bundle, &self.base, &terms).map_err(|fault| (fault, None))?;
        read::plain(&query, terms.handling).map_err(|fault| (fault, None))?;
        let replies: Vec<_> = match bundle.kind {
            bundle::Kind::Batch => {
                let run = |act: Act| {
                    let method = act.method.clone();
                    Ok(self.run(act)?.to(&method))
                };
                let acts = bundle.entries.into_iter().map(|entry| entry.act);
                acts.map(|act| run(act?)).collect()
            }
            bundle::Kind::Transaction => {
                let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
                let (base, now) = (&self.base, dates::now());
                let done = transaction::run(&store, base, &self.metadata, now, bundle.entries);
                let (after, replies) =
                    done.map_err(|(fault, at)| (fault, Some(format!("Bundle.entry[{at}]"))))?;
                *store = Arc::new(after);
                replies.into_iter().map(Ok).collect()
            }
        };
        Ok(Reply::made(bundle::answer(bundle.kind, &replies)))
    }

    /// The store as it is now, for good.
    pub(crate) fn snapshot(&self) -> Arc<Store> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&store)
    }

    fn elsewhere(&self, head: &Parts) -> Fault {
        let origin = self.base.trim_end_matches("/fhir");
        let text = format!("nothing is served at {origin}{}", head.uri.path());
        Fault::new(StatusCode::NOT_FOUND, "not-found", text)
    }
}

/// The path under the base.
fn address(head: &Parts) -> Option<&str> {
    match head.uri.path().strip_prefix("/fhir")? {
        "" => Some(""),
        path => path.strip_prefix('/'),
    }
}

/// A body of FHIR JSON.
fn resource(headers: &HeaderMap, body: &Bytes) -> Result<Value, Fault> {
    if head::media(headers) != Media::Json {
        let text = "the body must be application/fhir+json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Fault::new(status, "not-supported", text));
    }
    body::read(body)
}

/// The parameters of a POST search.
fn form<'b>(headers: &HeaderMap, body: &'b Bytes) -> Result<&'b str, Fault> {
    if head::media(headers) != Media::Form {
        let text = "a `_search` body must be application/x-www-form-urlencoded";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Fault::new(status, "not-supported", text));
    }
    std::str::from_utf8(body).map_err(|_| Fault::bad("invalid", "the body isn't UTF-8"))
}

/// Nothing done under these locks can leave them half done.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
