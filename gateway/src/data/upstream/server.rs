//! One server: where it is, how it is known, and what every request to it carries.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT,
        HOST, IF_MATCH, TE, TRANSFER_ENCODING, UPGRADE,
    },
};
use http_body_util::Full;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Ask, Fault, standing::Standing};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// A server as configured, and its standing. Shared by the cores.
pub(super) struct Server {
    pub host: String,
    pub port: u16,
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
    pub authority: HeaderValue,
    pub base: String,
    pub authorization: Option<HeaderValue>,
    pub standing: Standing,
}

impl Server {
    /// The request as it goes out.
    pub fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Fault> {
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
