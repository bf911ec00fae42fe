//! A small HTTP/1.1 listener on loopback, shared by the FHIR server and the issuer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A whole answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A running listener; it and its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    task: AbortHandle,
}

impl Listener {
    /// Stops accepting and breaks open connections.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Binds to a loopback address and serves from the current runtime. Other addresses are refused.
pub(crate) async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    if !addr.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the sandbox binds to loopback only",
        ));
    }
    TcpListener::bind(addr).await
}

/// Answers every request on `listener` by `answer`, on the current runtime.
pub(crate) fn serve<F, R>(listener: TcpListener, answer: F) -> io::Result<Listener>
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    let addr = listener.local_addr()?;
    let task = tokio::spawn(async move {
        // Dropped with this task, and every connection with it.
        let mut connections = JoinSet::new();
        loop {
            // An accept fails for one connection, or for want of descriptors: try the next one.
            let Ok((socket, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            // Slower without it, but no reason to refuse.
            let _ = socket.set_nodelay(true);
            while connections.try_join_next().is_some() {}
            let answer = answer.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                // A peer that breaks its own connection is its own concern.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    Ok(Listener {
        addr,
        task: task.abort_handle(),
    })
}
