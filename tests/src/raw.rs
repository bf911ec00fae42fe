//! Exact bytes over TLS: what no HTTP library would send, and what it would tidy away on receipt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::client::{connect, tls_config};
use crate::{PATIENCE, block_on};

/// A TLS connection that offers `http/1.1` and whose bytes are the test's own.
pub struct Raw {
    stream: TlsStream<TcpStream>,
    pending: Vec<u8>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed, with a TLS close_notify.
    Closed,
    /// The peer broke the connection.
    Broken,
    /// The peer is silent and the connection open.
    Silent,
}

impl Raw {
    /// Connects to `address`, trusting the authority `ca` (PEM).
    pub fn open(address: SocketAddr, ca: &str) -> Self {
        Self::offering(address, ca, b"http/1.1")
    }

    /// The same, offering another protocol by ALPN.
    pub fn offering(address: SocketAddr, ca: &str, alpn: &[u8]) -> Self {
        let tls = Arc::new(tls_config(ca, None, &[alpn]));
        let stream = block_on(connect(address, &tls))
            .unwrap_or_else(|error| panic!("no connection: {error}"));
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Sends these bytes; whether the connection took them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        block_on(async {
            self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
        })
    }

    /// Reads until the peer closes, breaks or stays silent for `quiet`.
    pub fn read_all(&mut self, quiet: Duration) -> (Vec<u8>, End) {
        let mut out = std::mem::take(&mut self.pending);
        loop {
            match self.read_some(quiet) {
                Ok(bytes) => out.extend(bytes),
                Err(end) => return (out, end),
            }
        }
    }

    /// Reads one HTTP/1.1 answer (by Content-Length, chunked, or without a body for 1xx, 204, 304), head included.
    /// What comes after it stays for the next call. A connection that ends earlier gives what came.
    pub fn read_answer(&mut self) -> Result<Vec<u8>, (Vec<u8>, End)> {
        self.read_answer_within(PATIENCE)
    }

    /// The same, giving up where the peer is silent for `quiet`.
    pub fn read_answer_within(&mut self, quiet: Duration) -> Result<Vec<u8>, (Vec<u8>, End)> {
        let mut bytes = std::mem::take(&mut self.pending);
        loop {
            if let Some(length) = whole(&bytes) {
                self.pending = bytes.split_off(length);
                return Ok(bytes);
            }
            match self.read_some(quiet) {
                Ok(more) => bytes.extend(more),
                Err(end) => return Err((bytes, end)),
            }
        }
    }

    /// What comes next; or how the connection is, if nothing does within `quiet`.
    pub fn read_some(&mut self, quiet: Duration) -> Result<Vec<u8>, End> {
        let mut buffer = vec![0; 64 * 1024];
        match block_on(async { timeout(quiet, self.stream.read(&mut buffer)).await }) {
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(n)) => {
                buffer.truncate(n);
                Ok(buffer)
            }
            Ok(Err(_)) => Err(End::Broken),
            Err(_) => Err(End::Silent),
        }
    }
}

/// The length of the first answer in `bytes`, if it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status: u16 = text.get(9..12)?.parse().ok()?;
    if status < 200 || status == 204 || status == 304 {
        return Some(head);
    }
    let header = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
            .map(str::to_owned)
    };
    if header("transfer-encoding").as_deref() == Some("chunked") {
        return chunked(&bytes[head..]).map(|length| head + length);
    }
    let length: usize = header("content-length")?.parse().ok()?;
    (bytes.len() >= head + length).then_some(head + length)
}

/// The length of a chunked body without trailers, if it is whole.
pub(crate) fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes[at..]
            .windows(2)
            .position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2 + size + 2;
        if bytes.len() < at {
            return None;
        }
        if size == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_where_it_ends() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1";
        assert_eq!(whole(plain), Some(plain.len() - 8));
        assert_eq!(whole(&plain[..plain.len() - 9]), None);
        let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nx";
        assert_eq!(whole(chunks), Some(chunks.len() - 1));
        assert_eq!(whole(&chunks[..chunks.len() - 3]), None);
        assert_eq!(whole(b"HTTP/1.1 304 Not Modified\r\n\r\n"), Some(29));
    }
}
