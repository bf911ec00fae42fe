//! One connection, from the handshake to its end.

use std::{
    error::Error as _,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_rustls::server::TlsStream;

use super::{
    Handler, Peer, Shared,
    accept::Arrival,
    calls::Calls,
    frames::Frames,
    heads::Heads,
    pulse::{Felt, Pulse, State},
    watched::{Watch, Watched},
};
use crate::base::{
    config::{Limit, Limits},
    metrics::Metrics,
};

/// What a connection that is asked to end has to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// HTTP/1: what an idle connection that is asked to end waits for a request that may be on its way:
/// its answer says that it is the last, where a closed connection would have lost it.
const LINGER: Duration = Duration::from_secs(1);

/// HTTP/2: what a caller may send of a body before it is read.
const STREAM_WINDOW: u32 = 256 << 10;
/// HTTP/2: the same over all streams of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// HTTP/2: streams that were reset before they were looked at.
const RESET_UNSEEN: usize = 20;
/// HTTP/2: bytes of an answer that wait for a caller.
const SEND_BUFFER: usize = 256 << 10;
/// HTTP/1: hyper's usual buffer, unless a head needs more.
const HTTP1_BUFFER: usize = 400 << 10;
/// HTTP/1: a number of headers that costs no allocation.
const HTTP1_FREE_HEADERS: usize = 100;

/// Serves a connection to its end. `quitting` asks it to end soon.
pub(super) async fn serve<H: Handler>(
    shared: Arc<Shared>,
    core: H::Core,
    arrival: Arrival,
    quitting: watch::Receiver<bool>,
) {
    let Arrival {
        socket,
        address,
        at,
        slot: _slot,
        shaking,
    } = arrival;
    let pulse = Pulse::new(at, &shared.limits);
    let Ok(socket) = TcpStream::from_std(socket) else {
        return;
    };
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let felt = Felt {
        socket,
        pulse: pulse.clone(),
    };
    let shaken = timeout_at(at + shared.limits.handshake, shared.tls.accept(felt)).await;
    drop(shaking);
    let Ok(Ok(stream)) = shaken else {
        shared.metrics.handshake_failures.inc();
        if shaken.is_err() {
            shared.metrics.exceeded(Limit::Handshake);
        }
        return;
    };
    let peer = peer(&stream, address);
    let h2 = peer.h2;
    pulse.ready(h2);
    let caller = Arc::new(H::caller(&core, peer));
    let calls = Calls::<H> {
        core,
        caller,
        pulse: pulse.clone(),
        shared: shared.clone(),
        quitting: quitting.clone(),
    };
    let metrics = &shared.metrics;
    if h2 {
        let watch = Watch::Http2(Frames::new(shared.limits.h2_frames), pulse.clone());
        let stream = TokioIo::new(Watched::new(stream, watch));
        let connection = Box::pin(h2_builder(&shared.limits).serve_connection(stream, calls));
        watch_over(connection, &pulse, metrics, quitting).await;
    } else {
        let watch = Watch::Http1(Heads::default());
        let stream = TokioIo::new(Watched::new(stream, watch));
        let connection = Box::pin(h1_builder(&shared.limits).serve_connection(stream, calls));
        watch_over(connection, &pulse, metrics, quitting).await;
    }
}

fn peer(stream: &TlsStream<Felt>, address: std::net::SocketAddr) -> Peer {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    Peer {
        address,
        certificate: chain
            .first()
            .map(|leaf| Arc::new(leaf.clone().into_owned())),
        chain: chain.iter().map(|c| c.clone().into_owned()).collect(),
        h2: session.alpn_protocol() == Some(b"h2"),
    }
}

/// Strict as hyper is by default; its header timer gives way to [`Pulse`], which sets no timer for
/// a request.
fn h1_builder(limits: &Limits) -> http1::Builder {
    let head = head_bytes(limits);
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(head)
        .max_buf_size(HTTP1_BUFFER.max(head));
    if limits.header_count > HTTP1_FREE_HEADERS {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn h2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .max_concurrent_streams(u32::try_from(limits.h2_streams).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        .max_local_error_reset_streams(limits.h2_resets)
        .max_header_list_size(u32::try_from(head_bytes(limits)).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// The largest head that is read: what is in it is counted then, and refused with a record if it is
/// over a limit by less than as much again.
fn head_bytes(limits: &Limits) -> usize {
    // RFC 9113 section 6.5.2 counts 32 for each field; HTTP/1 needs 4, and a request line
    limits.url_bytes + 2 * limits.header_bytes + 32 * (limits.header_count + 4)
}

type Stream = TokioIo<Watched<TlsStream<Felt>>>;

/// What both versions of a connection can do.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Ends when what was begun has ended.
    fn leave(self: Pin<&mut Self>);
}

impl<H: Handler> Connection for http1::Connection<Stream, Calls<H>> {
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<H: Handler> Connection for http2::Connection<Stream, Calls<H>, TokioExecutor> {
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection to its end, or gives it up when its pulse says so. Boxed, it is no part of its
/// task's state, which would hold it several times over.
async fn watch_over(
    mut connection: Pin<Box<impl Connection>>,
    pulse: &Pulse,
    metrics: &Metrics,
    mut quitting: watch::Receiver<bool>,
) {
    let mut quit = pin!(async move {
        // an error: the core itself is gone
        let _ = quitting.wait_for(|quit| *quit).await;
    });
    let mut alarm = pin!(sleep_until(Instant::now()));
    let (mut asked_to_quit, mut leaving) = (false, false);
    let mut lingers: Option<Instant> = None;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = &ended {
                count(error, pulse, metrics);
            }
            return Poll::Ready(());
        }
        if !asked_to_quit && quit.as_mut().poll(cx).is_ready() {
            asked_to_quit = true;
            if pulse.is_h2() {
                connection.as_mut().leave();
                cx.waker().wake_by_ref();
            } else if !pulse.is_fresh() {
                // a first request has the usual deadline
                let until = Instant::now() + LINGER;
                lingers = Some(until);
                let next = until.min(alarm.deadline().max(Instant::now()));
                alarm.as_mut().reset(next);
            }
        }
        if !leaving
            && let Some(deadline) = pulse.head_deadline()
            && deadline < alarm.deadline()
        {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if lingers.is_some_and(|until| until <= now) {
                lingers = None;
                // a head that has begun to come is answered
                if pulse.head_deadline().is_none() {
                    connection.as_mut().leave();
                    cx.waker().wake_by_ref();
                }
            }
            match pulse.state(now) {
                State::Until(next) if !leaving => {
                    let next = lingers.map_or(next, |until| until.min(next));
                    alarm.as_mut().reset(next);
                }
                State::Idle if !leaving => {
                    leaving = true;
                    metrics.exceeded(Limit::Idle);
                    connection.as_mut().leave();
                    cx.waker().wake_by_ref();
                    alarm.as_mut().reset(now + GOODBYE);
                }
                State::Stuck(limit) if !leaving => {
                    metrics.exceeded(limit);
                    return Poll::Ready(());
                }
                _ => return Poll::Ready(()),
            }
        }
        Poll::Pending
    })
    .await;
}

/// Counts what ended a connection, where that was the caller's excess.
fn count(error: &hyper::Error, pulse: &Pulse, metrics: &Metrics) {
    if pulse.is_flooded() {
        metrics.exceeded(Limit::H2Frames);
    } else if error.is_parse_too_large() {
        metrics.exceeded(Limit::HeaderBytes);
    } else if error.is_parse() {
        metrics.malformed_heads.inc();
    } else if pulse.is_h2() && too_much(error) {
        metrics.exceeded(Limit::H2Resets);
    }
}

/// Whether HTTP/2 had enough of the caller: resets, CONTINUATION or small DATA frames.
fn too_much(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &h2::Error| {
        cause.is_library() && cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}
