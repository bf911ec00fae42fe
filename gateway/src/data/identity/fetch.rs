//! Asking an issuer for its keys: one GET of its JWKS, after discovery where it isn't configured.
//!
//! **Never here:** a redirect followed, a certificate unchecked, plain HTTP to another machine.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::json;
use super::keys::KeySet;

/// What an URL of an issuer must be.
pub(super) const WANTED: &str = "an `https` URL is needed; plain `http` only to this machine";

/// Longest document that is read.
const MOST_BYTES: usize = 1024 * 1024;

/// Where an issuer's keys are.
pub(super) struct Source {
    pub issuer: String,
    pub jwks: Option<Endpoint>,
    pub tls: Arc<ClientConfig>,
}

/// Why no keys came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the connection failed")]
    Connect(#[from] io::Error),
    #[error("the request failed")]
    Http(#[from] hyper::Error),
    #[error("the request could not be made")]
    Request(#[from] http::Error),
    #[error("plain `http` leads to another machine")]
    NotLoopback,
    #[error("the answer's status is {0}")]
    Status(StatusCode),
    #[error("the answer is too long or broke off")]
    Body,
    #[error("the metadata is no JSON object")]
    Metadata,
    #[error("the metadata is another issuer's")]
    OtherIssuer,
    #[error("the metadata has no usable `jwks_uri`")]
    NoJwksUri,
    #[error("the answer is no JWKS")]
    NotJwks,
}

impl Source {
    /// Fetches and reads the keys. The caller sets the deadline.
    pub async fn fetch(&self) -> Result<KeySet, Failure> {
        let document = match &self.jwks {
            Some(jwks) => self.get(jwks).await?,
            None => self.get(&self.discover().await?).await?,
        };
        KeySet::parse(&document).ok_or(Failure::NotJwks)
    }

    /// OpenID Connect Discovery §4, then RFC 8414 §3.
    async fn discover(&self) -> Result<Endpoint, Failure> {
        let (openid, oauth) = metadata_urls(&self.issuer).ok_or(Failure::NoJwksUri)?;
        match self.metadata(&openid).await {
            Ok(found) => Ok(found),
            Err(Failure::OtherIssuer) => Err(Failure::OtherIssuer),
            Err(_) => self.metadata(&oauth).await,
        }
    }

    async fn metadata(&self, at: &Endpoint) -> Result<Endpoint, Failure> {
        let document = self.get(at).await?;
        let metadata = json::object(&document).ok_or(Failure::Metadata)?;
        if metadata.get("issuer").and_then(|v| v.as_str()) != Some(&self.issuer) {
            return Err(Failure::OtherIssuer);
        }
        metadata
            .get("jwks_uri")
            .and_then(|v| v.as_str())
            .and_then(Endpoint::read)
            .filter(|keys| keys.tls_name.is_some() || at.tls_name.is_none())
            .ok_or(Failure::NoJwksUri)
    }

    async fn get(&self, at: &Endpoint) -> Result<Bytes, Failure> {
        let socket = at.connect().await?;
        match &at.tls_name {
            None => exchange(socket, at).await,
            Some(name) => {
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                exchange(connector.connect(name.clone(), socket).await?, at).await
            }
        }
    }
}

async fn exchange<S>(stream: S, at: &Endpoint) -> Result<Bytes, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(at.target.as_str())
        .header(header::HOST, at.authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("chartward/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MOST_BYTES);
        Ok(body.collect().await.map_err(|_| Failure::Body)?.to_bytes())
    };
    // both on this task: nothing outlives the caller's deadline
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        done = &mut answer => done,
        ended = &mut connection => match ended {
            // the body may be read from what already arrived
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}

/// An URL taken apart for one GET.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    authority: String,
    target: String,
    /// `None`: plain http, to loopback only.
    tls_name: Option<ServerName<'static>>,
}

impl Endpoint {
    /// `None` unless [`WANTED`].
    pub fn read(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?.as_str();
        if authority.contains('@') || url.contains('#') {
            return None;
        }
        let host = uri.host()?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let (tls_name, port) = match uri.scheme_str()? {
            "https" => (Some(ServerName::try_from(host.to_owned()).ok()?), 443),
            "http" if names_loopback(host) => (None, 80),
            _ => return None,
        };
        Some(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(port),
            authority: authority.to_owned(),
            target: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            tls_name,
        })
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        if self.tls_name.is_none() && !addresses.iter().all(|a| a.ip().is_loopback()) {
            return Err(Failure::NotLoopback);
        }
        Ok(TcpStream::connect(addresses.as_slice()).await?)
    }
}

fn names_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn metadata_urls(issuer: &str) -> Option<(Endpoint, Endpoint)> {
    let uri: Uri = issuer.parse().ok()?;
    let path = uri.path().trim_end_matches('/');
    let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    Some((
        Endpoint::read(&format!("{origin}{path}/.well-known/openid-configuration"))?,
        Endpoint::read(&format!(
            "{origin}/.well-known/oauth-authorization-server{path}"
        ))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let table = [
            ("https://idp.example/jwks", true),
            ("https://idp.example:8443/jwks?x=1", true),
            ("https://[2001:db8::1]/jwks", true),
            ("http://localhost:1234/jwks", true),
            ("http://127.0.0.1/jwks", true),
            ("http://[::1]:8080/", true),
            ("http://idp.example/jwks", false),
            ("http://10.0.0.1/jwks", false),
            ("http://localhost.example/jwks", false),
            ("http://127.0.0.1.example/", false),
            ("https://user@idp.example/", false),
            ("ftp://idp.example/", false),
            ("/jwks", false),
            ("idp.example", false),
            ("", false),
        ];
        for (url, good) in table {
            assert_eq!(Endpoint::read(url).is_some(), good, "{url}");
        }
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_put_it() {
        let targets = |issuer| {
            let (openid, oauth) = metadata_urls(issuer).unwrap();
            (openid.target, oauth.target)
        };
        assert_eq!(
            targets("https://idp.example/realms/a/"),
            (
                "/realms/a/.well-known/openid-configuration".to_owned(),
                "/.well-known/oauth-authorization-server/realms/a".to_owned()
            )
        );
        assert_eq!(
            targets("https://idp.example").1,
            "/.well-known/oauth-authorization-server"
        );
    }
}
