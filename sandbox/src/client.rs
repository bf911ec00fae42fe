//! The least HTTP client that tests need.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Status and body of a GET.
pub(crate) async fn get(addr: SocketAddr, target: &str) -> (u16, Bytes) {
    let answer = send(addr, Request::get(target).body(Full::default()).unwrap()).await;
    (answer.status().as_u16(), answer.into_body())
}

/// A whole answer to a request.
pub(crate) async fn send(addr: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Bytes> {
    request
        .headers_mut()
        .insert("host", addr.to_string().parse().unwrap());
    let socket = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    Response::from_parts(head, body)
}
