//! The response side on the wire: judged windows, each released by the receipt of its record.
//!
//! In: a judge and an upstream's body. Out: [`Body`], which carries [`Released`] bytes and
//! nothing else. A fault after the first window breaks the connection: no body ever looks
//! complete when it isn't.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chartward_rules::proof::Released;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// A response's body.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// One window, of known length.
    Once(Option<Released>),
    /// Windows, one after the other.
    Stream(Stream),
}

/// The answer broke off after some of it had left.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokenOff;

/// What yields the windows of a long answer, until `None`.
pub trait Windows: Send + Sized + 'static {
    /// The next window.
    fn next(&mut self) -> impl Future<Output = Result<Option<Released>, BrokenOff>> + Send;
}

/// Windows of one answer. Dropped, the rest is not asked for.
pub struct Stream(Pin<Box<dyn Pull>>);

trait Pull: Send {
    fn poll_pull(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Released, BrokenOff>>>;
}

impl Stream {
    /// The first window, and where the others come from.
    pub fn new<W: Windows>(first: Released, windows: W) -> Self {
        let step = Box::pin(async move { (windows, Ok(Some(first))) });
        Self(Box::pin(Puller { step: Some(step) }))
    }
}

type Step<W> = Pin<Box<dyn Future<Output = (W, Result<Option<Released>, BrokenOff>)> + Send>>;

struct Puller<W> {
    step: Option<Step<W>>,
}

impl<W> Unpin for Puller<W> {}

impl<W: Windows> Pull for Puller<W> {
    fn poll_pull(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Released, BrokenOff>>> {
        let Some(step) = &mut self.step else {
            return Poll::Ready(None);
        };
        let (mut windows, pulled) = ready!(step.as_mut().poll(cx));
        self.step = None;
        match pulled {
            Ok(Some(released)) => {
                self.step = Some(Box::pin(async move {
                    let pulled = windows.next().await;
                    (windows, pulled)
                }));
                Poll::Ready(Some(Ok(released)))
            }
            Ok(None) => Poll::Ready(None),
            Err(broken) => Poll::Ready(Some(Err(broken))),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Once(released) => {
                Poll::Ready(released.take().map(|r| Ok(Frame::data(r.into_bytes()))))
            }
            Self::Stream(stream) => {
                let pulled = ready!(stream.0.as_mut().poll_pull(cx));
                Poll::Ready(pulled.map(|pulled| pulled.map(|r| Frame::data(r.into_bytes()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty | Self::Once(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Once(None) => SizeHint::with_exact(0),
            Self::Once(Some(released)) => SizeHint::with_exact(released.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Once(_) => "Once",
            Self::Stream(_) => "Stream",
        })
    }
}
