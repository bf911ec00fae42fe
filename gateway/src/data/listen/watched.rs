//! The bytes of a connection, under the parser and over TLS, looked at on their way in.
//!
//! In: what a caller sent. Out: the same, until it isn't fit to be read: then HTTP/1 gets a byte
//! that no head may hold, which it answers with 400, and HTTP/2 an error, which ends it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{frames::Frames, heads::Heads, pulse::Pulse};

/// A stream whose incoming bytes are looked at.
pub(super) struct Watched<S> {
    pub stream: S,
    pub watch: Watch,
}

/// By the version that is spoken.
pub(super) enum Watch {
    Http1(Heads),
    Http2(Frames, Arc<Pulse>),
    /// Nothing more is read.
    Closed,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if matches!(self.watch, Watch::Closed) {
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
                    if let Some(byte) = new.get_mut(at) {
                        *byte = 0;
                    }
                    buf.set_filled(before + at + 1);
                    self.watch = Watch::Closed;
                }
            }
            Watch::Http2(frames, pulse) => {
                if !frames.look(new, || pulse.deeds()) {
                    pulse.flooded();
                    self.watch = Watch::Closed;
                    let text = "more frames than requests explain";
                    return Poll::Ready(Err(io::Error::other(text)));
                }
            }
            Watch::Closed => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
