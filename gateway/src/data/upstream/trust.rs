//! How an `https` server is known: by its root and its name, always, and by a pin where one is
//! configured; and the certificate that the gateway shows. TLS 1.3 and 1.2.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use chartward_rules::source::Span;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{base::config::UpstreamTls, data::pem};

/// The configuration of TLS for a service's servers; else what is wrong is said, at its key or at
/// `service`.
pub(super) fn client(
    tls: &UpstreamTls,
    service: Span,
    say: &mut impl FnMut(Span, String),
) -> Option<Arc<ClientConfig>> {
    let roots = match &tls.ca {
        Some(path) => pem::roots(path, "ca", say)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let message = "the platform has no trusted roots; name some in `upstream_tls`";
                say(service, message.to_owned());
                return None;
            }
            roots
        }
    };
    let provider = Arc::new(default_provider());
    let shown = match &tls.identity {
        Some((certificate, key)) => Some(pem::identity(certificate, key, &provider, say)?),
        None => None,
    };
    let built = build(provider, roots, &tls.pins, shown);
    let built = built.map_err(|error| say(service, format!("TLS can't be set up: {error}")));
    built.ok().map(Arc::new)
}

fn build(
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    pins: &[[u8; 32]],
    shown: Option<rustls::sign::CertifiedKey>,
) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if pins.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let known = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let pinned = Pinned {
            known: known.build()?,
            pins: pins.to_vec(),
        };
        // nothing is taken away from what is verified without it
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
    };
    let mut client = match shown {
        Some(shown) => {
            let shown: Arc<dyn ResolvesClientCert> =
                Arc::new(rustls::sign::SingleCertAndKey::from(shown));
            builder.with_client_cert_resolver(shown)
        }
        None => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Verifies as usual, and wants one of these certificates beyond that.
#[derive(Debug)]
struct Pinned {
    known: Arc<WebPkiServerVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .known
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
        let found = digest(&SHA256, end_entity);
        if self.pins.iter().any(|pin| pin == found.as_ref()) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_verify_schemes()
    }
}
