//! The life signs of one connection, from which its deadlines follow.
//!
//! They are noted where they happen (bytes at the socket, requests at the service) and read by the
//! connection's task, so that a request sets no timer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::base::config::Limits;

/// HTTP/2: for how many times `limits.idle` bytes may still leave after the last answer.
const PATIENCE: u32 = 4;

pub(super) struct Pulse {
    began: Instant,
    headers: Duration,
    idle: Duration,
    h2: AtomicBool,
    /// Requests that are being answered.
    open: AtomicUsize,
    /// Whether there was one.
    asked: AtomicBool,
    /// When the handshake ended.
    ready: Moment,
    /// HTTP/1: since when the head of a request is coming in.
    head: Moment,
    /// When an answer last ended.
    ended: Moment,
    /// When a byte last left.
    moved: Moment,
    /// Since when the socket takes nothing.
    stuck: Moment,
    /// HTTP/2: answers of which a piece waits until the caller lets it come.
    owed: AtomicUsize,
    /// HTTP/2: when a piece of an answer was last wanted.
    wanted: Moment,
}

/// What the life signs say.
pub(super) enum State {
    /// Nothing is wrong; look again then.
    Until(Instant),
    /// No request for long enough.
    Idle,
    /// A head that doesn't end, or an answer that isn't taken.
    Stuck,
}

impl Pulse {
    pub fn new(began: Instant, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            began,
            headers: limits.headers,
            idle: limits.idle,
            h2: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            ready: Moment::default(),
            head: Moment::default(),
            ended: Moment::default(),
            moved: Moment::default(),
            stuck: Moment::default(),
            owed: AtomicUsize::new(0),
            wanted: Moment::default(),
        })
    }

    /// The handshake is over.
    pub fn ready(&self, h2: bool) {
        self.h2.store(h2, Relaxed);
        self.ready.set(self.began);
        self.head.clear();
    }

    /// Whether HTTP/2 is spoken.
    pub fn is_h2(&self) -> bool {
        self.h2.load(Relaxed)
    }

    /// Whether no request has come yet.
    pub fn is_fresh(&self) -> bool {
        !self.asked.load(Relaxed)
    }

    /// When the head that is coming in must be whole.
    pub fn head_deadline(&self) -> Option<Instant> {
        let since = self.head.get(self.began)?;
        (!self.is_h2()).then_some(since + self.headers)
    }

    /// Judges the connection.
    pub fn state(&self, now: Instant) -> State {
        let (deadline, over) = if self.open.load(Relaxed) > 0 {
            (
                self.refused_since().unwrap_or(now) + self.idle,
                State::Stuck,
            )
        } else if let Some(deadline) = self.head_deadline() {
            (deadline, State::Stuck)
        } else if self.is_fresh() {
            let since = self.ready.get(self.began).unwrap_or(self.began);
            (since + self.headers, State::Stuck)
        } else {
            (self.idle_since().unwrap_or(now) + self.idle, State::Idle)
        };
        if deadline > now {
            // what runs out later may run out sooner once a request has come
            State::Until(deadline.min(now + self.idle))
        } else {
            over
        }
    }

    /// Since when the caller doesn't take what it asked for.
    fn refused_since(&self) -> Option<Instant> {
        let stuck = self.stuck.get(self.began);
        let owed = self.owed.load(Relaxed) > 0;
        let unwanted = owed.then(|| self.wanted.get(self.began)).flatten();
        [stuck, unwanted].into_iter().flatten().min()
    }

    /// Since when the last answer has left. With HTTP/2 other bytes leave too, at the caller's
    /// wish, and so they count for a while only.
    fn idle_since(&self) -> Option<Instant> {
        let ended = self.ended.get(self.began)?;
        let moved = self
            .moved
            .get(self.began)
            .map_or(ended, |moved| moved.max(ended));
        Some(if self.is_h2() {
            moved.min(ended + PATIENCE * self.idle)
        } else {
            moved
        })
    }

    fn read(&self) {
        if self.open.load(Relaxed) == 0 && !self.head.is_set() {
            self.head.set(self.began);
        }
    }

    fn wrote(&self) {
        self.moved.set(self.began);
        self.stuck.clear();
    }

    fn not_taken(&self) {
        if !self.stuck.is_set() {
            self.stuck.set(self.began);
        }
    }
}

/// A request that is being answered, until its answer has ended.
pub(super) struct Open(Arc<Pulse>);

impl Open {
    pub fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.asked.store(true, Relaxed);
        pulse.open.fetch_add(1, Relaxed);
        pulse.head.clear();
        Self(pulse.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.set(self.0.began);
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A piece of an answer that HTTP/2 holds back until the caller lets it come.
pub(super) struct Owed(Arc<Pulse>);

impl Owed {
    /// Nothing is noted for HTTP/1, where the socket itself tells.
    pub fn new(open: &Open) -> Option<Self> {
        let pulse = &open.0;
        pulse.is_h2().then(|| {
            pulse.wanted.set(pulse.began);
            pulse.owed.fetch_add(1, Relaxed);
            Self(pulse.clone())
        })
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.wanted.set(self.0.began);
        self.0.owed.fetch_sub(1, Relaxed);
    }
}

/// The socket, under TLS, noting what passes.
pub(super) struct Felt {
    pub socket: TcpStream,
    pub pulse: Arc<Pulse>,
}

impl Felt {
    fn note(&self, wrote: &Poll<io::Result<usize>>) {
        match wrote {
            Poll::Ready(Ok(_)) => self.pulse.wrote(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.pulse.not_taken(),
        }
    }
}

impl AsyncRead for Felt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.read();
        }
        read
    }
}

impl AsyncWrite for Felt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Microseconds after a beginning, plus 1; 0 where it is not set.
#[derive(Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, began: Instant) {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.0.store(micros.saturating_add(1), Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    fn get(&self, began: Instant) -> Option<Instant> {
        let micros = self.0.load(Relaxed).checked_sub(1)?;
        Some(began + Duration::from_micros(micros))
    }
}
