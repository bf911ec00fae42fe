//! Reading a request's body, whole and within the limits.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::base::config::Limits;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// More than `limits.body_bytes`.
    #[error("the body is too large")]
    TooLarge,
    /// Not whole within `limits.body`.
    #[error("the body takes too long")]
    TooSlow,
    /// It broke off, or isn't framed as it should be.
    #[error("the body is broken")]
    Broken,
}

/// The whole body. One that announces too much is refused before it is read.
pub async fn whole_body(body: Incoming, limits: &Limits) -> Result<Bytes, Unread> {
    let most = limits.body_bytes;
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    match timeout(limits.body, read(body, most)).await {
        Ok(read) => read,
        Err(_) => Err(Unread::TooSlow),
    }
}

async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Unread> {
    // most bodies are a form that comes in one piece
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > most {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
