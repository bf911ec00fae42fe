//! A sample FHIR R4 server over HTTP/1.1: the RESTful API (FHIR R4 http.html) on what a `Store` holds, in
//! memory, on loopback.
//!
//! In: requests, from anyone. Out: resources, Bundles with pages, OperationOutcomes that echo what was
//! asked, as real servers do. It checks nobody's rights. Operations, includes, chains and sorting are
//! refused; references may lead nowhere.
//!
//! A request becomes an `Act`, by itself or as an entry of a Bundle: `route` reads its address, `head` its
//! header fields, `bundle` its entries. `read` and `write` do it and give a `Reply` or a `Fault`, which
//! `answer` turns into HTTP. Readers have a store that nobody changes any more; writers take turns.

mod act;
mod answer;
mod body;
mod bundle;
mod capability;
mod compartment;
mod condition;
mod dates;
mod fit;
mod head;
mod history;
mod links;
mod page;
mod params;
mod patch;
mod query;
mod read;
mod route;
mod row;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod values;
mod write;

pub use params::{Kind, PARAMS, Param};
pub use row::Row;
pub use store::{Store, Unfit};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper::{HeaderMap, Method};

use crate::http1::{self, Listener};
use service::{Service, locked};

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    shared: Arc<Service>,
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
    /// Its body.
    pub body: Bytes,
}

impl Server {
    /// Serves `store` at a loopback address, port 0 for any, from the current runtime.
    pub async fn start(store: impl Into<Arc<Store>>, addr: SocketAddr) -> io::Result<Self> {
        let socket = http1::bind(addr).await?;
        let base = format!("http://{}/fhir", socket.local_addr()?);
        let shared = Arc::new(Service::new(store.into(), base));
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

    /// What it serves at this moment; later writes don't show in it.
    pub fn store(&self) -> Arc<Store> {
        self.shared.snapshot()
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
