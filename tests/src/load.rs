//! Steady load over kept connections, by a client that is as patient as HTTP lets it be, and no
//! more: it asks again only what certainly never left, or what the server said it didn't take.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::time::{interval, timeout};

use crate::client::{Protocol, connect, tls_config};
use crate::{Gateway, PATIENCE};

/// HTTP/2: requests at once on a connection.
const AT_ONCE: usize = 3;
/// How often a request may find its connection gone before it was sent.
const TRIES: usize = 20;

type Message = http::Request<Empty<Bytes>>;

/// What becomes of one request: whole and right, or why not.
pub type Judge = dyn Fn(u16, &[u8]) -> Result<(), String> + Send + Sync;

/// Load that goes on until it is stopped.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the load saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Answers that were whole and right.
    pub good: usize,
    /// What wasn't.
    pub failures: Vec<String>,
    /// Requests that were sent again, on another connection.
    pub resent: usize,
    /// Connections that were opened.
    pub connections: usize,
    /// From a request to the end of its answer, at most.
    pub slowest: Duration,
}

struct Shared {
    address: SocketAddr,
    tls: [Arc<ClientConfig>; 2],
    target: String,
    token: RwLock<String>,
    judge: Box<Judge>,
    pace: Option<Duration>,
    over: AtomicBool,
    good: AtomicUsize,
    seen: Mutex<Seen>,
}

impl Load {
    /// `connections` of each protocol ask for `target`; each once in `pace`, or as fast as it can.
    pub fn start(
        gateway: &Gateway,
        target: &str,
        token: &str,
        connections: usize,
        pace: Option<Duration>,
        judge: impl Fn(u16, &[u8]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let tls = |alpn: &[u8]| Arc::new(tls_config(gateway.authority().pem(), None, &[alpn]));
        let shared = Arc::new(Shared {
            address: gateway.address(),
            tls: [tls(b"http/1.1"), tls(b"h2")],
            target: target.to_owned(),
            token: RwLock::new(token.to_owned()),
            judge: Box::new(judge),
            pace,
            over: AtomicBool::new(false),
            good: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let all = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let mut users = tokio::task::JoinSet::new();
                for protocol in [Protocol::Http1, Protocol::Http2] {
                    for _ in 0..connections {
                        users.spawn(go_on(all.clone(), protocol));
                    }
                }
                while let Some(user) = users.join_next().await {
                    user.expect("a user that didn't panic");
                }
            });
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Uses another token from now on.
    pub fn token(&self, token: &str) {
        *self.shared.token.write().expect("no panic while held") = token.to_owned();
    }

    /// Good answers so far.
    pub fn good(&self) -> usize {
        self.shared.good.load(Ordering::Relaxed)
    }

    /// Waits until so many more answers were good; fails where none come.
    pub fn more(&self, count: usize) {
        let (from, deadline) = (self.good(), Instant::now() + PATIENCE);
        while self.good() < from + count {
            if Instant::now() > deadline {
                let first = self
                    .shared
                    .seen
                    .lock()
                    .expect("no panic while held")
                    .failures
                    .first()
                    .cloned();
                panic!("the load doesn't come along: {first:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it.
    pub fn stop(mut self) -> Seen {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a load that didn't panic");
        }
        let mut seen = self
            .shared
            .seen
            .lock()
            .expect("no panic while held")
            .clone();
        seen.good = self.good();
        seen
    }
}

#[derive(Clone)]
enum Sender {
    Http1(Arc<tokio::sync::Mutex<http1::SendRequest<Empty<Bytes>>>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

async fn go_on(shared: Arc<Shared>, protocol: Protocol) {
    let mut ticks = interval(shared.pace.unwrap_or(Duration::from_nanos(1)));
    // what a pause held up is caught up on: the rate is that of the whole
    let mut sender = None;
    while !shared.over.load(Ordering::Relaxed) {
        if shared.pace.is_some() {
            ticks.tick().await;
        }
        if sender.is_none() {
            sender = shared.open(protocol).await;
        }
        let Some(open) = sender.clone() else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let kept = match protocol {
            Protocol::Http1 => shared.ask(open, protocol).await,
            Protocol::Http2 => {
                let mut asked = tokio::task::JoinSet::new();
                for _ in 0..AT_ONCE {
                    let (shared, open) = (shared.clone(), open.clone());
                    asked.spawn(async move { shared.ask(open, protocol).await });
                }
                let all = asked.join_all().await;
                all.into_iter().reduce(|a, b| a.and(b)).flatten()
            }
        };
        sender = kept;
    }
}

impl Shared {
    /// One request to its end. Answers the connection, if it may be used again.
    async fn ask(&self, mut sender: Sender, protocol: Protocol) -> Option<Sender> {
        let begun = Instant::now();
        let mut usable = true;
        for _ in 0..TRIES {
            let sent = timeout(PATIENCE, self.once(&sender)).await;
            let failure = match sent {
                Ok(Ok(last)) => {
                    let mut seen = self.seen.lock().expect("no panic while held");
                    seen.slowest = seen.slowest.max(begun.elapsed());
                    return (usable && !last).then_some(sender);
                }
                Ok(Err(Sent::Never)) => {
                    usable = protocol == Protocol::Http1;
                    self.seen.lock().expect("no panic while held").resent += 1;
                    sender = self.open(protocol).await?;
                    continue;
                }
                Ok(Err(Sent::Lost(why))) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            self.fail(format!("{protocol:?}: {failure}"));
            return None;
        }
        self.fail(format!("{protocol:?}: no connection takes it"));
        None
    }

    async fn once(&self, sender: &Sender) -> Result<bool, Sent> {
        let message = self.message(sender);
        let answer = match sender {
            Sender::Http1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await.map_err(|_| Sent::Never)?;
                sender.try_send_request(message).await.map_err(Sent::of)?
            }
            Sender::Http2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await.map_err(|_| Sent::Never)?;
                sender.try_send_request(message).await.map_err(Sent::of)?
            }
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| Sent::Lost(format!("the answer broke: {error:?}")))?;
        let judged = (self.judge)(head.status.as_u16(), &body.to_bytes());
        judged.map_err(Sent::Lost)?;
        self.good.fetch_add(1, Ordering::Relaxed);
        let closes = head.headers.get(CONNECTION);
        Ok(closes.is_some_and(|value| value.as_bytes() == b"close"))
    }

    fn message(&self, sender: &Sender) -> Message {
        let token = self.token.read().expect("no panic while held").clone();
        let (uri, host) = match sender {
            Sender::Http1(_) => (self.target.clone(), Some(self.address.to_string())),
            Sender::Http2(_) => (format!("https://{}{}", self.address, self.target), None),
        };
        let mut message = http::Request::get(uri)
            .header(ACCEPT, "application/fhir+json")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        if let Some(host) = host {
            message = message.header(HOST, host);
        }
        message.body(Empty::new()).expect("a request")
    }

    async fn open(&self, protocol: Protocol) -> Option<Sender> {
        match timeout(PATIENCE, self.connect(protocol)).await {
            Ok(Ok(sender)) => {
                self.seen.lock().expect("no panic while held").connections += 1;
                Some(sender)
            }
            Ok(Err(why)) => {
                self.fail(format!("{protocol:?}: no connection: {why}"));
                None
            }
            Err(_) => {
                self.fail(format!("{protocol:?}: no connection in time"));
                None
            }
        }
    }

    async fn connect(&self, protocol: Protocol) -> Result<Sender, Box<dyn std::error::Error>> {
        let [tls_http1, tls_http2] = &self.tls;
        match protocol {
            Protocol::Http1 => {
                let io = TokioIo::new(connect(self.address, tls_http1).await?);
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Ok(Sender::Http1(Arc::new(tokio::sync::Mutex::new(sender))))
            }
            Protocol::Http2 => {
                let io = TokioIo::new(connect(self.address, tls_http2).await?);
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Ok(Sender::Http2(sender))
            }
        }
    }

    fn fail(&self, why: String) {
        let mut seen = self.seen.lock().expect("no panic while held");
        seen.failures.push(why);
    }
}

/// Why there is no answer.
enum Sent {
    /// Nothing of the request left, or the server said that it did nothing with it.
    Never,
    Lost(String),
}

impl Sent {
    fn of(mut error: TrySendError<Message>) -> Self {
        if error.take_message().is_some() {
            return Self::Never;
        }
        let error = error.into_error();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        // a stream beyond the last one that a GOAWAY without an error names (RFC 9113 section
        // 6.8); one that was taken ends in another way
        if cause == "connection error received: not a result of an error" {
            return Self::Never;
        }
        Self::Lost(format!("{error}: {cause}"))
    }
}
