//! Where an upstream is, and what every request to it carries.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chartward_rules::source::{Diagnostics, Source, Span};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT,
        HOST, IF_MATCH, TE, TRANSFER_ENCODING, UPGRADE,
    },
};
use http_body_util::Full;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Ask, Fault};
use crate::{
    base::config::{Limits, Secret, Service},
    data::pem,
};

/// Below the 5 s after which uvicorn, and with it HAPI's usual proxies, close.
const IDLE: Duration = Duration::from_secs(4);
/// Connections that a core keeps while it doesn't need them.
const MOST_IDLE: usize = 64;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// An upstream as configured. One for a service, shared by the cores.
#[derive(Clone)]
pub struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    authority: HeaderValue,
    base: String,
    authorization: Option<HeaderValue>,
    pub(super) connect: Duration,
    pub(super) response: Duration,
    pub(super) idle: Duration,
    pub(super) most_idle: usize,
}

impl Target {
    /// Reads a service's upstream, with the roots it names.
    ///
    /// Fails with what is wrong, at its key.
    pub fn new(
        source: &Source,
        service: &Service,
        limits: &Limits,
    ) -> Result<Arc<Self>, Diagnostics> {
        let mut found = Diagnostics::new();
        let mut say = |span: Span, message: String| found.error(source, span, message);
        match read(service, limits, &mut say) {
            Some(target) => Ok(Arc::new(target)),
            None => Err(found),
        }
    }

    /// The request as it goes out.
    pub(super) fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Fault> {
        let mut path = String::with_capacity(self.base.len() + ask.path_and_query.len());
        path.push_str(&self.base);
        path.push_str(&ask.path_and_query);
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let uri = Uri::try_from(path).map_err(|error| Fault::Request(error.into()))?;
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri;
        self.headers(ask, request.headers_mut());
        Ok(request)
    }

    fn headers(&self, ask: &Ask, headers: &mut HeaderMap) {
        headers.reserve(ask.headers.len() + 6);
        for (name, value) in &ask.headers {
            if !is_ours(name) {
                headers.append(name, value.clone());
            }
        }
        headers.insert(HOST, self.authority.clone());
        headers.insert(ACCEPT, FHIR_JSON);
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        let prefer = match (ask.search, ask.representation) {
            (false, false) => None,
            (true, false) => Some("handling=strict"),
            (false, true) => Some("return=representation"),
            (true, true) => Some("handling=strict, return=representation"),
        };
        if let Some(prefer) = prefer {
            headers.insert(PREFER, HeaderValue::from_static(prefer));
        }
        for (name, value) in [
            (IF_MATCH, &ask.if_match),
            (IF_NONE_EXIST, &ask.if_none_exist),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        if let Some(content_type) = ask.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
    }
}

/// Headers that frame a message, or that the gateway speaks for itself: no ask brings its own.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 11] = [
        AUTHORIZATION,
        CONNECTION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        EXPECT,
        IF_MATCH,
        IF_NONE_EXIST,
        PREFER,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    OURS.contains(name)
}

fn read(service: &Service, limits: &Limits, say: &mut impl FnMut(Span, String)) -> Option<Target> {
    let url = &service.upstream;
    // the configuration keeps no span for the URL; the service's name stands for it
    let span = service.name.span;
    let tls = if url.is_https() {
        let Ok(name) = ServerName::try_from(url.host().to_owned()) else {
            say(
                span,
                "`upstream` has a host that no certificate can name".to_owned(),
            );
            return None;
        };
        Some((TlsConnector::from(client(service, say)?), name))
    } else {
        None
    };
    let Ok(authority) = HeaderValue::try_from(url.authority()) else {
        say(
            span,
            "`upstream` has a host that no header can hold".to_owned(),
        );
        return None;
    };
    Some(Target {
        host: url.host().to_owned(),
        port: url.port(),
        tls,
        authority,
        base: url.path().to_owned(),
        authorization: service.bearer.as_ref().and_then(bearer),
        connect: limits.upstream_connect,
        response: limits.upstream_response,
        idle: IDLE,
        most_idle: MOST_IDLE,
    })
}

fn client(service: &Service, say: &mut impl FnMut(Span, String)) -> Option<Arc<ClientConfig>> {
    let roots = match &service.upstream_ca {
        Some(path) => pem::roots(path, "ca", say)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let message = "the platform has no trusted roots; name some in `upstream_tls`";
                say(service.name.span, message.to_owned());
                return None;
            }
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions();
    match builder {
        Ok(builder) => {
            let mut client = builder.with_root_certificates(roots).with_no_client_auth();
            client.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some(Arc::new(client))
        }
        Err(error) => {
            say(service.name.span, format!("TLS can't be set up: {error}"));
            None
        }
    }
}

/// The configuration has seen to it that a header can hold it.
fn bearer(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", secret.expose()].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
