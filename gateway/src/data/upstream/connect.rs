//! A new connection: TCP, TLS where it is asked for, HTTP/1.1 driven by a task of its own.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    client::conn::http1::{Builder, SendRequest},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Fault, server::Server};

/// The largest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 << 10;

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connects within `limits.upstream_connect`, and before the deadline.
pub(super) async fn connect(
    server: &Server,
    within: Duration,
    deadline: Instant,
) -> Result<Sender, Fault> {
    let until = deadline.min(Instant::now() + within);
    match timeout_at(until, begin(server)).await {
        Ok(connected) => connected,
        Err(_) => Err(Fault::ConnectTimeout),
    }
}

async fn begin(server: &Server) -> Result<Sender, Fault> {
    let socket = TcpStream::connect((server.host.as_str(), server.port));
    let socket = socket.await.map_err(Fault::Connect)?;
    socket.set_nodelay(true).map_err(Fault::Connect)?;
    match &server.tls {
        Some((connector, name)) => {
            let stream = connector.connect(name.clone(), socket);
            speak(TokioIo::new(stream.await.map_err(Fault::Tls)?)).await
        }
        None => speak(TokioIo::new(socket)).await,
    }
    .map_err(Fault::Connect)
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
