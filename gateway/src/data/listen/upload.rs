//! The body of a request: under a least rate and a deadline, and held in a memory that all share.
//!
//! In: what comes after a head. Out: pieces, or all of it within a cap. Time runs from when it is
//! first asked for, so that the gateway's own work is not the caller's delay.

use std::{
    fmt,
    ops::Deref,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Shared,
    slots::{self, Busy},
};
use crate::base::config::Limit;

/// Why a body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The caller broke it off, or framed it badly.
    #[error("the body broke off")]
    Broken,
    /// It came slower than `body_rate`, or not within `body`.
    #[error("the body took too long")]
    Slow,
    /// Longer than asked for.
    #[error("the body is too long")]
    Long,
    /// Trailers came after it: fields that no interaction has, and that may look like a head's.
    #[error("trailers after the body")]
    Trailers,
    /// `buffered_bytes` are taken.
    #[error("no room for the body")]
    NoRoom,
}

/// A body that is still coming.
pub struct Upload {
    body: Incoming,
    shared: Arc<Shared>,
    busy: Arc<Busy>,
    began: Option<Instant>,
    received: usize,
    /// Once it was waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(body: Incoming, shared: Arc<Shared>, busy: Arc<Busy>) -> Self {
        Self {
            body,
            shared,
            busy,
            began: None,
            received: 0,
            timer: None,
        }
    }

    /// The place of its request among `limits.requests`, for what goes on though the caller leaves.
    pub fn busy(&self) -> Arc<Busy> {
        self.busy.clone()
    }

    /// All of it, if it isn't longer than `most`, which is `limit`. It takes its room as it comes, not
    /// as it is announced, and fails rather than wait for room.
    pub async fn gather(mut self, most: usize, limit: Limit) -> Result<Gathered, UploadError> {
        let mut room = Room {
            shared: self.shared.clone(),
            taken: 0,
        };
        let shared = self.shared.clone();
        let long = || {
            shared.metrics.exceeded(limit);
            Err(UploadError::Long)
        };
        if self.body.size_hint().lower() > most as u64 {
            return long();
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else {
                return Err(UploadError::Trailers);
            };
            if data.len() > most - whole.len() {
                return long();
            }
            if !room.take(data.len()) {
                return Err(UploadError::NoRoom);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Gathered {
            bytes: whole.freeze(),
            _room: room,
        })
    }

    /// Until when what is missing may come: each piece that came pays for time.
    fn deadline(&self, began: Instant) -> Instant {
        let limits = &self.shared.limits;
        let paid = Duration::from_secs_f64(self.received as f64 / limits.body_rate as f64);
        began + (limits.headers + paid).min(limits.body)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        let began = *this.began.get_or_insert_with(Instant::now);
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(UploadError::Broken))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let deadline = this.deadline(began);
                let timer = this
                    .timer
                    .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let whole = deadline >= began + this.shared.limits.body;
                let limit = if whole { Limit::Body } else { Limit::BodyRate };
                this.shared.metrics.exceeded(limit);
                Poll::Ready(Some(Err(UploadError::Slow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload")
    }
}

/// A whole body, and its part of `limits.buffered_bytes` until it is dropped.
pub struct Gathered {
    bytes: Bytes,
    _room: Room,
}

impl Deref for Gathered {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// Part of `limits.buffered_bytes`.
struct Room {
    shared: Arc<Shared>,
    taken: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let most = self.shared.limits.buffered_bytes;
        if !slots::add(&self.shared.taken.buffered, bytes, most) {
            self.shared.metrics.exceeded(Limit::BufferedBytes);
            return false;
        }
        self.taken += bytes;
        self.shared.metrics.buffered_bytes.add(bytes as i64);
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.taken.buffered.fetch_sub(self.taken, Relaxed);
        self.shared.metrics.buffered_bytes.sub(self.taken as i64);
    }
}
