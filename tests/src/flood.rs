//! HTTP/2 frames by hand, and connections that are flooded with them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::timeout;

use crate::client::{connect, tls_config};
use crate::{PATIENCE, block_on};

/// Types of frames (RFC 9113 §6).
#[allow(missing_docs)] // each is the frame of its name
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Flag of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a small frame");
    let mut out = size.to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The client's preface, with settings that change nothing.
pub fn preface() -> Vec<u8> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(kind::SETTINGS, 0, 0, &[]));
    out
}

/// A header block in which no field is indexed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

/// The block of a GET.
pub fn get(address: SocketAddr, path: &str, token: &str) -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &address.to_string()),
        (":path", path),
        ("authorization", &format!("Bearer {token}")),
    ])
}

/// A string of HPACK, not compressed (RFC 7541 §5.2).
pub fn text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128) as u8 | 128);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend(text.as_bytes());
}

/// What became of a flooded connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded {
    /// Bytes that it took.
    pub sent: usize,
    /// Whether the other side closed it.
    pub closed: bool,
}

/// Opens a connection that speaks `alpn` and sends `bytes`, reading and dropping what comes, until
/// it is closed or all is sent; then waits for it to be closed, for at most `after`.
pub fn flood(
    address: SocketAddr,
    ca: &str,
    alpn: &'static [u8],
    bytes: &[u8],
    after: Duration,
) -> Flooded {
    let tls = Arc::new(tls_config(ca, None, &[alpn]));
    block_on(async {
        let stream = connect(address, &tls).await.expect("a connection");
        let (mut reads, mut writes) = split(stream);
        let mut reader = tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(1..) = reads.read(&mut buffer).await {}
        });
        let mut sent = 0;
        for piece in bytes.chunks(8 << 10) {
            let written = async { writes.write_all(piece).await.and(writes.flush().await) };
            match timeout(PATIENCE, written).await {
                Ok(Ok(())) if !reader.is_finished() => sent += piece.len(),
                _ => break,
            }
        }
        let closed = timeout(after, &mut reader).await.is_ok();
        reader.abort();
        Flooded { sent, closed }
    })
}
