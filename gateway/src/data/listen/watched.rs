//! The bytes of a connection, under the parser and over TLS, looked at on their way in.
//!
//! In: what a caller sent. Out: the same, until it isn't fit to be read: then HTTP/1 gets a byte
//! that no head may hold, which it answers with 400, and HTTP/2 an error, which ends it. A refused
//! caller may still be sending: what comes is dropped for a while, or the kernel would take back
//! the answer with the connection (RFC 9112 §9.6).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{frames::Frames, heads::Heads, pulse::Pulse};

/// What is dropped at most of what a caller of HTTP/1 sends after the last answer: so long, ...
const LINGER: Duration = Duration::from_secs(1);
/// ... and so much.
const LINGER_BYTES: usize = 256 << 10;

/// A stream whose incoming bytes are looked at.
pub(super) struct Watched<S> {
    stream: S,
    watch: Watch,
    linger: Option<Linger>,
}

/// The end of a connection: this side closes, and still reads for a while.
struct Linger {
    timer: Pin<Box<Sleep>>,
    closed: bool,
    /// Bytes that are still read.
    left: usize,
}

impl Linger {
    fn begin() -> Self {
        Self {
            timer: Box::pin(sleep(LINGER)),
            closed: false,
            left: LINGER_BYTES,
        }
    }
}

impl<S> Watched<S> {
    pub fn new(stream: S, watch: Watch) -> Self {
        Self {
            stream,
            watch,
            linger: None,
        }
    }
}

/// By the version that is spoken.
pub(super) enum Watch {
    Http1(Heads),
    Http2(Frames, Arc<Pulse>),
    /// Nothing more is read but this.
    Refused(&'static [u8]),
}

/// What no head may hold, and its end: the parser may wait for that before it looks again.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Watch::Refused(rest) = &mut self.watch {
            feed(rest, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(new) = buf.filled_mut().get_mut(before..) else {
            return read;
        };
        match &mut self.watch {
            Watch::Http1(heads) => {
                if let Some(at) = heads.look(new) {
                    buf.set_filled(before + at);
                    let mut rest = NO_HEAD;
                    feed(&mut rest, buf);
                    self.watch = Watch::Refused(rest);
                }
            }
            Watch::Http2(frames, pulse) => {
                if !frames.look(new, || pulse.deeds()) {
                    pulse.flooded();
                    self.watch = Watch::Refused(&[]);
                    let text = "more frames than requests explain";
                    return Poll::Ready(Err(io::Error::other(text)));
                }
            }
            Watch::Refused(_) => {}
        }
        read
    }
}

/// Gives what fits; nothing left is the end.
fn feed(rest: &mut &'static [u8], buf: &mut ReadBuf<'_>) {
    let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
    buf.put_slice(now);
    *rest = later;
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.watch, Watch::Http2(..)) {
            return Pin::new(&mut this.stream).poll_shutdown(cx);
        }
        let linger = this.linger.get_or_insert_with(Linger::begin);
        if linger.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !linger.closed {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            linger.closed = true;
        }
        let mut dropped = [0; 4096];
        while linger.left > 0 {
            let mut buffer = ReadBuf::new(&mut dropped);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    linger.left = linger.left.saturating_sub(buffer.filled().len());
                }
                // the other side has closed, too
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
