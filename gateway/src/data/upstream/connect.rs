//! A new connection: TCP, TLS where it is asked for, HTTP/1.1 driven by a task of its own.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    client::conn::http1::{Builder, SendRequest},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{Fault, Target};

/// The largest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 << 10;

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connects within `limits.upstream_connect`.
pub(super) async fn connect(target: &Target) -> Result<Sender, Fault> {
    match timeout(target.connect, begin(target)).await {
        Ok(Ok(sender)) => Ok(sender),
        Ok(Err(error)) => Err(Fault::Connect(error)),
        Err(_) => Err(Fault::ConnectTimeout),
    }
}

async fn begin(target: &Target) -> io::Result<Sender> {
    let socket = TcpStream::connect((target.host.as_str(), target.port)).await?;
    socket.set_nodelay(true)?;
    match &target.tls {
        Some((connector, name)) => {
            speak(TokioIo::new(connector.connect(name.clone(), socket).await?)).await
        }
        None => speak(TokioIo::new(socket)).await,
    }
}

async fn speak(stream: impl Read + Write + Send + Unpin + 'static) -> io::Result<Sender> {
    let handshake = Builder::new()
        .max_header_size(HEAD_BYTES)
        .handshake(stream)
        .await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // what goes wrong is told to whoever waits for an answer
        let _ = connection.await;
    });
    Ok(sender)
}
