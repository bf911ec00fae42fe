//! The life signs of one connection, from which its deadlines follow.
//!
//! They are noted where they happen (bytes at the socket, requests at the service) and read by the
//! connection's task, so that a request sets no timer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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

use super::frames::Deeds;
use crate::base::config::{Limit, Limits};

/// HTTP/2: for how many times `limits.idle` bytes may still leave after the last answer.
const PATIENCE: u32 = 4;

pub(super) struct Pulse {
    began: Instant,
    headers: Duration,
    idle: Duration,
    write_stall: Duration,
    /// Bytes a second.
    rate: f64,
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
    /// Since when the socket takes nothing, or less than it must: each byte moves it on.
    stuck: Moment,
    /// HTTP/2: since when pieces of answers wait until the caller lets them come. A long piece
    /// counts from later.
    owed: Mutex<Vec<Instant>>,
    /// What explains the caller's frames.
    begun: AtomicU64,
    answered: AtomicU64,
    written: AtomicU64,
    /// HTTP/2: it sends frames for nothing.
    flood: AtomicBool,
}

/// What the life signs say.
pub(super) enum State {
    /// Nothing is wrong; look again then.
    Until(Instant),
    /// No request for long enough.
    Idle,
    /// A head that doesn't end, or an answer that isn't taken.
    Stuck(Limit),
}

impl Pulse {
    pub fn new(began: Instant, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            began,
            headers: limits.headers,
            idle: limits.idle,
            write_stall: limits.write_stall,
            rate: limits.body_rate as f64,
            h2: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            ready: Moment::default(),
            head: Moment::default(),
            ended: Moment::default(),
            moved: Moment::default(),
            stuck: Moment::default(),
            owed: Mutex::default(),
            begun: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            written: AtomicU64::new(0),
            flood: AtomicBool::new(false),
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
                self.refused_since().unwrap_or(now) + self.write_stall,
                State::Stuck(Limit::WriteStall),
            )
        } else if let Some(deadline) = self.head_deadline() {
            (deadline, State::Stuck(Limit::Headers))
        } else if self.is_fresh() {
            let since = self.ready.get(self.began).unwrap_or(self.began);
            (since + self.headers, State::Stuck(Limit::Headers))
        } else {
            (self.idle_since().unwrap_or(now) + self.idle, State::Idle)
        };
        if deadline > now {
            // what runs out later may run out sooner once a request has come
            State::Until(deadline.min(now + self.idle.min(self.write_stall)))
        } else {
            over
        }
    }

    /// What the connection has done that explains its caller's frames.
    pub fn deeds(&self) -> Deeds {
        Deeds {
            begun: self.begun.load(Relaxed),
            answered: self.answered.load(Relaxed),
            written: self.written.load(Relaxed),
            seconds: self.began.elapsed().as_secs(),
        }
    }

    /// The caller sends frames for nothing.
    pub fn flooded(&self) {
        self.flood.store(true, Relaxed);
    }

    /// Whether it did.
    pub fn is_flooded(&self) -> bool {
        self.flood.load(Relaxed)
    }

    /// Since when the caller doesn't take what it asked for.
    fn refused_since(&self) -> Option<Instant> {
        let stuck = self.stuck.get(self.began);
        let owed = self.owed().iter().min().copied();
        [stuck, owed].into_iter().flatten().min()
    }

    fn owed(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long so many bytes may take.
    fn time_for(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.rate)
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

    fn wrote(&self, bytes: usize) {
        self.moved.set(self.began);
        self.written.fetch_add(bytes as u64, Relaxed);
        if let Some(since) = self.stuck.get(self.began) {
            let since = since + self.time_for(bytes);
            if since < Instant::now() {
                self.stuck.put(self.began, since);
            } else {
                self.stuck.clear();
            }
        }
    }

    fn not_taken(&self) {
        if !self.stuck.is_set() {
            self.stuck.set(self.began);
        }
    }
}

/// A request that is being answered, until its answer has ended.
pub(super) struct Open {
    pulse: Arc<Pulse>,
    answered: bool,
}

impl Open {
    pub fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.asked.store(true, Relaxed);
        pulse.open.fetch_add(1, Relaxed);
        pulse.begun.fetch_add(1, Relaxed);
        pulse.head.clear();
        Self {
            pulse: pulse.clone(),
            answered: false,
        }
    }

    /// How many requests its connection has open, this one included.
    pub fn among(&self) -> usize {
        self.pulse.open.load(Relaxed)
    }

    /// The last of its answer was taken.
    pub fn answered(&mut self) {
        if !self.answered {
            self.answered = true;
            self.pulse.answered.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.pulse.ended.set(self.pulse.began);
        self.pulse.open.fetch_sub(1, Relaxed);
    }
}

/// A piece of an answer that HTTP/2 holds back until the caller lets it come.
pub(super) struct Owed {
    pulse: Arc<Pulse>,
    since: Instant,
}

impl Owed {
    /// Nothing is noted for HTTP/1, where the socket itself tells.
    pub fn new(open: &Open, bytes: usize) -> Option<Self> {
        let pulse = &open.pulse;
        pulse.is_h2().then(|| {
            let since = Instant::now() + pulse.time_for(bytes);
            pulse.owed().push(since);
            Self {
                pulse: pulse.clone(),
                since,
            }
        })
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let mut owed = self.pulse.owed();
        if let Some(place) = owed.iter().position(|since| *since == self.since) {
            owed.swap_remove(place);
        }
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
            Poll::Ready(Ok(bytes)) => self.pulse.wrote(*bytes),
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
        self.put(began, Instant::now());
    }

    fn put(&self, began: Instant, at: Instant) {
        let passed = at.saturating_duration_since(began).as_micros();
        let micros = u64::try_from(passed).unwrap_or(u64::MAX - 1);
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
