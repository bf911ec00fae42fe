//! The listener over real sockets: what it serves, what it refuses, when it lets go.

mod caps;

use std::sync::atomic::AtomicUsize;

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::data::{
    testing::{Place, SERVICE, TLS},
    tls,
};

const LONG: Duration = Duration::from_secs(10);
const H1: &[&str] = &["http/1.1"];
const H2: &[&str] = &["h2"];

/// Refusals without a body, by status alone.
macro_rules! refusals {
    ($core:ty, $caller:ty) => {
        async fn refuse_head(
            _: $core,
            _: Arc<$caller>,
            _: Parts,
            excess: Excess,
        ) -> Response<Pieces> {
            answer(match excess {
                Excess::Target => 414,
                Excess::Headers => 431,
            })
        }

        fn shed(_: &$core, _: &$caller, _: &Parts) -> Response<Pieces> {
            answer(503)
        }
    };
}

fn answer(status: u16) -> Response<Pieces> {
    let mut response = Response::new(Pieces::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Answers by path.
struct Paths;

#[derive(Default)]
struct Pieces {
    pieces: VecDeque<io::Result<Bytes>>,
    endless: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.endless {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8192])))));
        }
        match self.pieces.pop_front() {
            // time for what came before to leave
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.endless
    }
}

impl Handler for Paths {
    type Body = Pieces;
    type Core = usize;
    type Caller = Peer;

    fn core(self: &Arc<Self>, index: usize) -> usize {
        // inside the runtime
        tokio::spawn(async {});
        index
    }

    fn caller(_: &usize, peer: Peer) -> Peer {
        peer
    }

    async fn handle(core: usize, peer: Arc<Peer>, request: Request<Upload>) -> Response<Pieces> {
        let text = |text: String| VecDeque::from([Ok(Bytes::from(text))]);
        let mut endless = false;
        let pieces = match request.uri().path() {
            "/core" => text(format!("core {core}")),
            "/peer" => {
                let shown = peer.certificate.as_ref().map_or(0, |der| der.len());
                text(format!("h2 {} certificate {shown}", peer.h2))
            }
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                text("slow".to_owned())
            }
            "/never" => std::future::pending().await,
            "/endless" => {
                endless = true;
                VecDeque::new()
            }
            "/break" => {
                let broken = io::Error::other("broken");
                VecDeque::from([
                    Ok(Bytes::from_static(b"first piece")),
                    Err(io::ErrorKind::WouldBlock.into()),
                    Err(broken),
                ])
            }
            _ => text("ok".to_owned()),
        };
        Response::new(Pieces { pieces, endless })
    }

    refusals!(usize, Peer);
}

struct Started {
    place: Place,
    listening: Listening,
    metrics: Arc<Metrics>,
}

impl Started {
    fn new(tls_keys: &str, limits: Limits) -> Self {
        Self::with_workers(tls_keys, limits, 1)
    }

    fn with_workers(tls_keys: &str, limits: Limits, workers: usize) -> Self {
        Self::with(tls_keys, limits, workers, &Arc::new(Paths))
    }

    fn serving(handler: &Arc<impl Handler>) -> Self {
        Self::with("", Limits::default(), 1, handler)
    }

    fn with(tls_keys: &str, limits: Limits, workers: usize, handler: &Arc<impl Handler>) -> Self {
        let place = Place::new();
        let tls = tls::server(&place.config(&format!("{TLS}\n{tls_keys}"), SERVICE)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let metrics = Metrics::new(["ehr"]).unwrap();
        let settings = Settings {
            address,
            workers,
            limits,
            tls,
        };
        let listening = listen(settings, handler, &metrics).unwrap();
        Self {
            place,
            listening,
            metrics,
        }
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.listening.address()).await.unwrap()
    }

    async fn tls(&self, client: &ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(client.clone()));
        connector.connect(name, self.tcp().await).await
    }

    /// An HTTP/1.1 connection, handshake done.
    async fn h1(&self) -> TlsStream<TcpStream> {
        self.tls(&self.place.trusting(None, H1)).await.unwrap()
    }

    async fn h2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let stream = self.tls(&self.place.trusting(None, H2)).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn until_none_open(&self) {
        let none = async {
            while self.listening.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, none).await.expect("connections stay open");
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("https://localhost{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

/// Sends bytes, and reads until the other side closes.
async fn exchange(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut read = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut read)).await;
    // a close without close_notify is an error, and fine here
    let _ = ended.expect("the connection stays open");
    String::from_utf8(read).unwrap()
}

/// A whole answer on a connection that stays.
async fn ask_h1(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"0\r\n\r\n") {
        let some = timeout(LONG, stream.read_buf(&mut read))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(some, 0, "closed after {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

fn short(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[tokio::test]
async fn both_versions_are_served_as_alpn_says() {
    let started = Started::new("", Limits::default());
    let mut h1 = started.h1().await;
    for _ in 0..2 {
        assert!(
            ask_h1(&mut h1, "/peer")
                .await
                .contains("h2 false certificate 0")
        );
    }
    let mut h2 = started.h2().await;
    for _ in 0..2 {
        let answer = h2.send_request(get("/peer")).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "h2 true certificate 0");
    }
    assert_eq!(started.metrics.connections_open.get(), 2);
    drop((h1, h2));
    started.until_none_open().await;
    assert_eq!(started.metrics.connections_open.get(), 0);
}

#[tokio::test]
async fn a_certificate_is_refused_verified_or_dispensed_with_as_configured() {
    for (auth, none, own, other) in [
        ("required", false, true, false),
        ("optional", true, true, false),
    ] {
        let keys = format!("client_auth = \"{auth}\"\nclient_ca = \"ca.pem\"");
        let started = Started::new(&keys, Limits::default());
        let own_one = Place::client(&started.place.ca);
        let other_one = Place::client(&started.place.other);
        for (shown, passes) in [
            (None, none),
            (Some(&own_one), own),
            (Some(&other_one), other),
        ] {
            let client = started.place.trusting(shown, H1);
            // in TLS 1.3 the client's handshake ends before the server has judged
            let answer = match started.tls(&client).await {
                Ok(mut stream) => {
                    let request = "GET /peer HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(request.as_bytes()).await;
                    rest(&mut stream).await
                }
                Err(_) => String::new(),
            };
            let length = shown.map_or(0, |issued| issued.cert_der.len());
            let wanted = format!("certificate {length}");
            assert_eq!(answer.contains(&wanted), passes, "{auth}: {answer}");
            assert_eq!(answer.is_empty(), !passes, "{auth}: {answer}");
        }
    }
}

#[tokio::test]
async fn no_session_is_resumed_where_certificates_count() {
    let optional = "client_auth = \"optional\"\nclient_ca = \"ca.pem\"";
    for (keys, second) in [
        (optional, HandshakeKind::Full),
        ("", HandshakeKind::Resumed),
    ] {
        let started = Started::new(keys, Limits::default());
        let client = started.place.trusting(None, H1);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = started.tls(&client).await.unwrap();
            ask_h1(&mut stream, "/").await;
            kinds.push(stream.get_ref().1.handshake_kind());
        }
        let full = |kind| !matches!(kind, HandshakeKind::Resumed);
        assert!(full(kinds[0].unwrap()), "{kinds:?}");
        assert_eq!(full(kinds[1].unwrap()), full(second), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let started = Started::new("", short(|limits| limits.handshake = millis(200)));
    let mut socket = started.tcp().await;
    socket.write_all(b"\x16\x03\x01").await.unwrap();
    let mut read = Vec::new();
    timeout(LONG, socket.read_to_end(&mut read))
        .await
        .unwrap()
        .unwrap();
    started.until_none_open().await;
    assert_eq!(started.metrics.handshake_failures.get(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_however_it_trickles() {
    let started = Started::new("", short(|limits| limits.headers = millis(300)));
    // the first of a connection, and a later one
    for first in [true, false] {
        let mut stream = started.h1().await;
        if !first {
            ask_h1(&mut stream, "/").await;
            tokio::time::sleep(millis(400)).await;
        }
        let begun = Instant::now();
        let mut sent = 0;
        while stream.write_all(b"G").await.is_ok() && stream.flush().await.is_ok() && sent < 200 {
            sent += 1;
            let mut byte = [0];
            match timeout(millis(20), stream.read(&mut byte)).await {
                Err(_) => {}
                Ok(closed) => {
                    assert!(matches!(closed, Ok(0) | Err(_)));
                    break;
                }
            }
        }
        let took = begun.elapsed();
        assert!(sent < 200, "the connection stays open");
        assert!(took >= millis(250) && took < LONG, "{took:?}");
        started.until_none_open().await;
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let limits = short(|limits| {
        limits.headers = millis(200);
        limits.idle = millis(1500);
    });
    let started = Started::new("", limits);
    for first in [true, false] {
        let mut stream = started.h1().await;
        if !first {
            ask_h1(&mut stream, "/").await;
        }
        let begun = Instant::now();
        assert_eq!(rest(&mut stream).await, "");
        let (least, most) = if first { (150, 1400) } else { (1400, 9000) };
        let took = begun.elapsed();
        assert!(took >= millis(least) && took < millis(most), "{took:?}");
    }
    for first in [true, false] {
        let mut sender = started.h2().await;
        if !first {
            sender.send_request(get("/")).await.unwrap();
        }
        let begun = Instant::now();
        started.until_none_open().await;
        let took = begun.elapsed();
        assert!(took >= millis(if first { 150 } else { 1400 }), "{took:?}");
    }
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let started = Started::new("", short(|limits| limits.idle = millis(150)));
    let mut stream = started.h1().await;
    assert!(ask_h1(&mut stream, "/slow").await.contains("slow"));
}

#[tokio::test]
async fn an_answer_that_nobody_takes_does_not_hold_a_connection() {
    let started = Started::new("", short(|limits| limits.write_stall = millis(300)));
    let mut stream = started.h1().await;
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: l\r\n\r\n")
        .await
        .unwrap();
    started.until_none_open().await;
}

#[tokio::test]
async fn http2_answers_that_nobody_takes_do_not_hold_a_connection() {
    let limits = short(|limits| (limits.idle, limits.write_stall) = (millis(300), millis(300)));
    let started = Started::new("", limits);
    // in the last case the server has nothing left to wait for, and the caller pings
    for (path, window) in [("/endless", 65_535), ("/", 0), ("/", 1)] {
        let stream = started
            .tls(&started.place.trusting(None, H2))
            .await
            .unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(window)
            .initial_connection_window_size(65_535)
            .timer(TokioTimer::new())
            .keep_alive_interval(millis(50))
            .keep_alive_while_idle(true);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(get(path)).await.unwrap();
        assert_eq!(answer.status(), 200);
        started.until_none_open().await;
        drop(answer);
    }
}

#[tokio::test]
async fn an_error_of_the_body_breaks_the_connection() {
    let started = Started::new("", Limits::default());
    let answer = exchange(
        &mut started.h1().await,
        "GET /break HTTP/1.1\r\nhost: l\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.ends_with("first piece\r\n"), "{answer:?}");

    let mut sender = started.h2().await;
    let answer = sender.send_request(get("/break")).await.unwrap();
    let broken = answer.into_body().collect().await.unwrap_err();
    assert!(!broken.is_canceled(), "{broken:?}");
    // the other streams don't mind
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_are_dealt_to_the_cores_in_turn() {
    let started = Started::with_workers("", Limits::default(), 2);
    let (mut one, mut two) = (started.h1().await, started.h1().await);
    let mut seen = [
        ask_h1(&mut one, "/core").await,
        ask_h1(&mut two, "/core").await,
    ]
    .map(|answer| answer.contains("core 1"));
    seen.sort_unstable();
    assert_eq!(seen, [false, true]);
    let again = ask_h1(&mut one, "/core").await.contains("core 1");
    assert_eq!(again, ask_h1(&mut one, "/core").await.contains("core 1"));
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_takes_no_more() {
    let started = Started::new("", Limits::default());
    let address = started.listening.address();
    let mut idle = started.h1().await;
    ask_h1(&mut idle, "/").await;
    let mut fresh = started.h1().await;
    let (mut busy, mut h2) = (started.h1().await, started.h2().await);
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: l\r\n\r\n")
        .await
        .unwrap();
    let slow = tokio::spawn(h2.send_request(get("/slow")));
    tokio::time::sleep(millis(200)).await;

    let begun = Instant::now();
    let stopped = tokio::task::spawn_blocking(|| started.listening.stop(LONG));
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(address).await.is_err());
    // what was connected before may still ask, once
    let last = exchange(&mut fresh, "GET / HTTP/1.1\r\nhost: l\r\n\r\n").await;
    assert!(last.contains("connection: close"), "{last}");
    let answer = rest(&mut busy).await;
    assert!(
        answer.contains("slow") && answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
    let answer = slow.await.unwrap().unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "slow"
    );
    drop(h2);
    assert_eq!(stopped.await.unwrap(), 0);
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end() {
    let started = Started::new("", Limits::default());
    let mut busy = started.h1().await;
    busy.write_all(b"GET /never HTTP/1.1\r\nhost: l\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(millis(100)).await;
    let stopped = tokio::task::spawn_blocking(|| started.listening.stop(millis(200)));
    assert_eq!(rest(&mut busy).await, "");
    assert_eq!(stopped.await.unwrap(), 1);
}

#[tokio::test]
async fn a_core_is_finished_after_what_was_cut() {
    #[derive(Default)]
    struct Never(Arc<AtomicUsize>);
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Handler for Never {
        type Body = Pieces;
        type Core = Arc<AtomicUsize>;
        type Caller = ();
        fn core(self: &Arc<Self>, _: usize) -> Self::Core {
            self.0.clone()
        }
        fn caller(_: &Self::Core, _: Peer) {}
        async fn handle(core: Self::Core, _: Arc<()>, _: Request<Upload>) -> Response<Pieces> {
            let _dropped = Dropped(core);
            std::future::pending().await
        }
        refusals!(Arc<AtomicUsize>, ());
        async fn finish(core: Self::Core, _until: Instant) {
            // 2 requests were dropped before
            core.fetch_add(100 * core.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    let never = Arc::new(Never::default());
    let started = Started::serving(&never);
    let (mut h1, mut h2) = (started.h1().await, started.h2().await);
    h1.write_all(b"GET / HTTP/1.1\r\nhost: l\r\n\r\n")
        .await
        .unwrap();
    let asked = tokio::spawn(h2.send_request(get("/")));
    tokio::time::sleep(millis(200)).await;
    let stopped = tokio::task::spawn_blocking(|| started.listening.stop(millis(100)));
    assert_eq!(stopped.await.unwrap(), 2);
    assert!(asked.await.unwrap().is_err());
    assert_eq!(never.0.load(Ordering::Relaxed), 202);
}

#[tokio::test]
async fn a_panic_in_the_handler_ends_one_connection_only() {
    struct Panics;
    impl Handler for Panics {
        type Body = Pieces;
        type Core = ();
        type Caller = ();
        fn core(self: &Arc<Self>, _: usize) {}
        fn caller((): &(), _: Peer) {}
        async fn handle((): (), _: Arc<()>, request: Request<Upload>) -> Response<Pieces> {
            assert_ne!(request.uri().path(), "/panic");
            Response::new(Pieces::default())
        }
        refusals!((), ());
    }
    let started = Started::serving(&Arc::new(Panics));
    let close = "HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n";
    let answer = exchange(&mut started.h1().await, &format!("GET /panic {close}")).await;
    assert_eq!(answer, "");
    let answer = exchange(&mut started.h1().await, &format!("GET / {close}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "));
    started.until_none_open().await;
}

#[tokio::test]
async fn an_idle_connection_costs_little() {
    let started = Started::new("", Limits::default());
    let local = std::net::Ipv4Addr::LOCALHOST.into();
    let shared = started.listening.shared.load_full();
    let slot = slots::Slot::take(&shared, local).unwrap();
    let shaking = slots::Shaking::begin(&shared).unwrap();
    let socket = started.tcp().await.into_std().unwrap();
    let address = started.listening.address();
    let arrival = accept::Arrival {
        socket,
        address,
        at: Instant::now(),
        slot,
        shaking,
    };
    let (_quit, quitting) = watch::channel(false);
    let shared = started.listening.shared.load_full();
    let served = connection::serve::<Paths>(shared, 0, arrival, quitting);
    let bytes = size_of_val(&served);
    assert!(bytes <= 5 << 10, "{bytes}");
}
