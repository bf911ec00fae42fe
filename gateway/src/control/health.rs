//! The metrics listener: `/metrics`, `/livez`, `/readyz` over plain HTTP, on a thread of its own.
//!
//! In: figures, and checks that parts of the gateway gave. Out: text. It answers while the data
//! cores are busy. **Never here:** patient data, or a word about a caller.

use std::{
    convert::Infallible,
    fmt::Write as _,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TEXT_FORMAT;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

use crate::base::metrics::Metrics;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// A request's head must be here within this; a connection without one is closed after it.
const HEADERS: Duration = Duration::from_secs(10);
/// A connection lasts no longer; a scraper opens another.
const CONNECTION: Duration = Duration::from_secs(300);
/// A request's head.
const HEAD_BYTES: usize = 8 << 10;
/// How long to leave the kernel alone when it has no file for a connection.
const BREATHER: Duration = Duration::from_millis(50);

/// Says what is wrong with a part, in words without patient data. Called for each `/readyz`, so it
/// doesn't block.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What `/readyz` asks. Cloning gives the same list.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<Part>>>);

#[derive(Clone)]
struct Part {
    name: String,
    check: Check,
    /// Whether it fails the whole; else it is only said.
    counts: bool,
}

impl Readiness {
    /// Adds a part.
    pub fn add(
        &self,
        part: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.push(part.into(), Arc::new(check), true);
    }

    /// Adds a part that is told where it fails, and leaves the whole ready.
    pub fn mention(
        &self,
        part: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.push(part.into(), Arc::new(check), false);
    }

    fn push(&self, name: String, check: Check, counts: bool) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(Part {
            name,
            check,
            counts,
        });
    }

    /// The parts that fail, with what they say, and whether one of them counts.
    pub fn failing(&self) -> (Vec<(String, String)>, bool) {
        let parts = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut counts = false;
        let wrong = |part: Part| {
            let why = (part.check)().err()?;
            counts |= part.counts;
            Some((part.name, why))
        };
        let failing = parts.into_iter().filter_map(wrong).collect();
        (failing, counts)
    }
}

/// The listener at work. Dropped, it ends.
pub struct Health {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Health {
    /// Binds and starts the thread. Port 0: any free one.
    pub fn start(
        address: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Self::start_on(listener, metrics, readiness)
    }

    /// The same on a socket that listens already and doesn't block.
    pub fn start_on(
        listener: StdListener,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    // an error: whoever could stop it is gone
                    _ = stopped => {}
                    served = serve(listener, metrics, readiness) => {
                        if let Err(error) = served {
                            tracing::error!(%error, "the metrics listener failed");
                        }
                    }
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new()
            .name("health".to_owned())
            .spawn(run)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the metrics listener panicked");
        }
    }
}

async fn serve(
    listener: StdListener,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics can't be accepted");
                sleep(BREATHER).await;
                continue;
            }
        };
        // one too many is closed at once
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            continue;
        };
        let (metrics, readiness) = (metrics.clone(), readiness.clone());
        tokio::spawn(async move {
            let served = timeout(CONNECTION, connection(socket, &metrics, &readiness));
            if let Ok(Err(error)) = served.await {
                tracing::debug!(%error, "a connection for metrics broke");
            }
            drop(slot);
        });
    }
}

async fn connection(
    socket: TcpStream,
    metrics: &Metrics,
    readiness: &Readiness,
) -> hyper::Result<()> {
    let service =
        service_fn(
            |request| async move { Ok::<_, Infallible>(answer(&request, metrics, readiness)) },
        );
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_header_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .await
}

fn answer<B>(
    request: &Request<B>,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::NOT_FOUND, "not found\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => ready(readiness),
        "/metrics" => match metrics.text() {
            Ok(figures) => {
                let mut response = text(StatusCode::OK, figures);
                let format = HeaderValue::from_static(TEXT_FORMAT);
                response.headers_mut().insert(header::CONTENT_TYPE, format);
                response
            }
            Err(error) => {
                tracing::error!(%error, "the figures can't be written");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "figures can't be written\n".to_owned(),
                )
            }
        },
        _ => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn ready(readiness: &Readiness) -> Response<Full<Bytes>> {
    let (failing, counts) = readiness.failing();
    let (status, mut said) = match counts {
        true => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        false => (StatusCode::OK, "ok\n".to_owned()),
    };
    for (part, why) in failing {
        // writing to a string can't fail
        let _ = writeln!(said, "{part}: {why}");
    }
    text(status, said)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream as Socket,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    fn exchange(address: SocketAddr, request: &str) -> String {
        let mut socket = Socket::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(address: SocketAddr, path: &str) -> String {
        exchange(
            address,
            &format!("GET {path} HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n"),
        )
    }

    #[test]
    fn it_tells_figures_life_and_readiness_and_nothing_else() {
        let metrics = Metrics::new(["ehr"]).unwrap();
        let readiness = Readiness::default();
        let broken = Arc::new(AtomicBool::new(false));
        let seen = broken.clone();
        readiness.add("config", || Ok(()));
        readiness.add("journal", move || {
            if seen.load(Ordering::Relaxed) {
                Err("can't be written".to_owned())
            } else {
                Ok(())
            }
        });
        let note = Arc::new(Mutex::new(None));
        let noted = note.clone();
        readiness.mention("reload", move || {
            noted.lock().unwrap().clone().map_or(Ok(()), Err)
        });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let health = Health::start(any, metrics.clone(), readiness).unwrap();
        let address = health.address();

        assert!(get(address, "/livez").starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200 "));
        metrics.rows_released.inc();
        let figures = get(address, "/metrics");
        assert!(figures.starts_with("HTTP/1.1 200 "));
        assert!(figures.contains("content-type: text/plain; version=0.0.4\r\n"));
        assert!(figures.contains("\nchartward_rows_released_total 1\n"));

        *note.lock().unwrap() = Some("old".to_owned());
        let answer = get(address, "/readyz");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok\nreload: old\n"), "{answer}");
        note.lock().unwrap().take();

        broken.store(true, Ordering::Relaxed);
        let answer = get(address, "/readyz");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\njournal: can't be written\n"),
            "{answer}"
        );
        assert!(get(address, "/livez").starts_with("HTTP/1.1 200 "));

        for path in ["/", "/metrics/", "/fhir/Patient"] {
            assert!(get(address, path).starts_with("HTTP/1.1 404 "), "{path}");
        }
        let post =
            "POST /livez HTTP/1.1\r\nhost: l\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert!(exchange(address, post).starts_with("HTTP/1.1 404 "));
        let large = format!(
            "GET /livez HTTP/1.1\r\nx: {}\r\n\r\n",
            "y".repeat(HEAD_BYTES)
        );
        assert!(exchange(address, &large).starts_with("HTTP/1.1 431 "));

        drop(health);
        assert!(Socket::connect(address).is_err());
    }
}
