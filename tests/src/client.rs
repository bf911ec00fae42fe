//! A small HTTPS client over rustls and hyper: status, headers and the raw body.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chartward_certs::Issued;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{PATIENCE, block_on};

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: TCP or TLS.
    #[error("no connection: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection broke before the answer was whole.
    #[error("the answer broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The server chose another protocol than the client asked for.
    #[error("the server doesn't speak the protocol that was asked for")]
    Protocol,
    /// Nothing within the given time.
    #[error("no whole answer in time")]
    Late,
}

/// The HTTP version that a client offers by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// A request to be.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Any method; `target` is path and query.
    pub fn new(method: &str, target: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            "application/fhir+json".parse().expect("a header value"),
        );
        Self {
            method: method.parse().expect("a method"),
            target: target.to_owned(),
            headers,
            body: Bytes::new(),
        }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A search by POST with a form.
    pub fn form(target: &str, form: &str) -> Self {
        Self::new("POST", target).body("application/x-www-form-urlencoded", form.as_bytes())
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// With a header more (or instead of the one of that name).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: http::HeaderName = name.parse().expect("a header name");
        self.headers
            .insert(name, value.parse().expect("a header value"));
        self
    }

    /// With a body.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.headers
            .insert(CONTENT_TYPE, content_type.parse().expect("a header value"));
        self.body = Bytes::copy_from_slice(body);
        self
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// Body as it came, without the framing.
    pub body: Bytes,
}

impl Response {
    /// A header's first value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "the body isn't JSON ({error}): {:?}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// The gateway's reason in an OperationOutcome.
    pub fn reason(&self) -> String {
        let coding = &self.json()["issue"][0]["details"]["coding"][0];
        coding["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The target of the link with this relation, without scheme and authority.
    pub fn link(&self, relation: &str) -> Option<String> {
        let bundle = self.json();
        let link = bundle["link"]
            .as_array()?
            .iter()
            .find(|link| link["relation"] == relation)?;
        let url = link["url"].as_str()?;
        let after = url.find("://").map_or(0, |at| at + 3);
        let path = url.get(after..)?;
        path.find('/').map(|at| path[at..].to_owned())
    }

    /// Whether the raw body holds these bytes.
    pub fn holds(&self, needle: &[u8]) -> bool {
        holds(&self.body, needle)
    }
}

/// Whether `haystack` holds `needle`; nothing holds the empty needle.
pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty()
        && haystack
            .windows(needle.len())
            .any(|window| window == needle)
}

type Body = Full<Bytes>;

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    fn closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

/// A client with one connection, kept alive between requests and opened anew when it was closed.
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    protocol: Protocol,
    sender: Mutex<Option<Sender>>,
}

impl Client {
    /// A client for `address` that trusts the authority `ca` (PEM).
    pub fn new(
        address: SocketAddr,
        ca: &str,
        certificate: Option<&Issued>,
        protocol: Protocol,
    ) -> Self {
        let alpn: &[u8] = match protocol {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        };
        let tls = Arc::new(tls_config(ca, certificate, &[alpn]));
        Self {
            address,
            tls,
            protocol,
            sender: Mutex::new(None),
        }
    }

    /// The whole answer to a GET with a bearer token.
    pub fn get(&self, target: &str, token: &str) -> Response {
        self.send(Request::get(target).bearer(token))
    }

    /// The whole answer; a broken one fails the test.
    pub fn send(&self, request: Request) -> Response {
        self.try_send(request, PATIENCE)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The whole answer, or why there is none.
    pub fn try_send(&self, request: Request, within: Duration) -> Result<Response, Error> {
        let kept = self.sender.lock().expect("no panic while held").take();
        let (answer, sender) = block_on(async {
            match tokio::time::timeout(within, self.exchange(kept, request)).await {
                Ok(Ok((answer, sender))) => Ok((answer, sender)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Late),
            }
        })?;
        *self.sender.lock().expect("no panic while held") = Some(sender);
        Ok(answer)
    }

    async fn exchange(
        &self,
        kept: Option<Sender>,
        request: Request,
    ) -> Result<(Response, Sender), Error> {
        let mut sender = match kept {
            Some(sender) if !sender.closed() => sender,
            _ => self.connect().await?,
        };
        let uri = match self.protocol {
            Protocol::Http1 => request.target.clone(),
            Protocol::Http2 => format!("https://{}{}", self.address, request.target),
        };
        let mut message = http::Request::new(Full::new(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = uri.parse().expect("a target that an HTTP library can send");
        *message.headers_mut() = request.headers;
        let answer = match &mut sender {
            Sender::Http1(sender) => {
                let host = self.address.to_string().parse().expect("a header value");
                message.headers_mut().entry(HOST).or_insert(host);
                sender.ready().await?;
                sender.send_request(message).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(message).await?
            }
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((
            Response {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            },
            sender,
        ))
    }

    async fn connect(&self) -> Result<Sender, Error> {
        let stream = connect(self.address, &self.tls)
            .await
            .map_err(Error::Connect)?;
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let io = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Ok(Sender::Http1(sender))
            }
            Protocol::Http2 if alpn.as_deref() == Some(b"h2") => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Ok(Sender::Http2(sender))
            }
            Protocol::Http2 => Err(Error::Protocol),
        }
    }
}

/// A TLS client configuration: one trusted authority, an optional certificate, the protocols offered.
pub(crate) fn tls_config(ca: &str, certificate: Option<&Issued>, alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for trusted in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots
            .add(trusted.expect("a certificate"))
            .expect("a trusted certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .expect("certificates");
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(chain, key)
                .expect("a client certificate")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

pub(crate) async fn connect(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await
}
