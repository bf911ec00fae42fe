//! What the gateway shows its callers, and what it asks of theirs: the configuration of rustls.
//!
//! In: `[tls]`. Out: a [`ServerConfig`], or what is wrong with the files, at the key that names
//! them. TLS 1.3 and 1.2 with the suites of rustls, which are all modern; aws-lc is the provider.
//! **Never here:** a resumed session where client certificates count, for resumption skips their
//! check.

use std::sync::Arc;

use chartward_rules::source::{Diagnostics, Span};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::pem::{certificates, identity, roots};
use crate::base::config::{ClientAuth, Config, Secret, Tls};

/// What the listener offers, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How certificates of callers are judged.
pub struct Trust {
    verifier: Verifier,
    client_auth: ClientAuth,
    roots: Vec<CertificateDer<'static>>,
}

/// The listener's side of TLS.
pub struct Offer {
    /// For handshakes.
    pub server: Arc<ServerConfig>,
    /// For connections whose handshake was under another configuration.
    pub trust: Arc<Trust>,
    chain: Vec<CertificateDer<'static>>,
    key: Secret,
}

impl Offer {
    /// Reads the files of `[tls]`.
    ///
    /// Fails with all that is wrong with them, each at the key that names it.
    pub fn read(config: &Config) -> Result<Self, Diagnostics> {
        let tls = &config.tls;
        let server = server(config)?;
        let mut found = Diagnostics::new();
        let mut say = |span: Span, message: String| found.error(&config.source, span, message);
        let chain = certificates(&tls.certificate, "certificate", &mut say);
        let roots = match &tls.client_ca {
            Some(path) => certificates(path, "client_ca", &mut say),
            None => Some(Vec::new()),
        };
        let verifier = verifier(tls, &Arc::new(aws_lc_rs::default_provider()), &mut say);
        let (Some(chain), Some(roots), Some(verifier)) = (chain, roots, verifier) else {
            return Err(found);
        };
        let trust = Trust {
            verifier,
            client_auth: tls.client_auth,
            roots,
        };
        Ok(Self {
            server,
            trust: Arc::new(trust),
            chain,
            key: tls.key.value.clone(),
        })
    }

    /// Goes on with what of `before` is the same: sessions can be resumed then, and certificates
    /// of callers that were judged need not be again.
    pub fn keep_of(&mut self, before: &Self) {
        let (new, old) = (&self.trust, &before.trust);
        if new.client_auth == old.client_auth && new.roots == old.roots {
            self.trust = old.clone();
            if self.chain == before.chain && self.key == before.key {
                self.server = before.server.clone();
            }
        }
    }
}

impl Trust {
    /// Whether a handshake with these certificates, the caller's own first, would succeed now.
    pub fn admits(&self, chain: &[CertificateDer<'static>]) -> bool {
        match (chain.split_first(), &self.verifier) {
            (None, _) => self.client_auth != ClientAuth::Required,
            (Some(_), None) => false,
            (Some((leaf, between)), Some(verifier)) => verifier
                .verify_client_cert(leaf, between, UnixTime::now())
                .is_ok(),
        }
    }
}

/// Reads the files of `[tls]`.
///
/// Fails with all that is wrong with them, each at the key that names it.
pub fn server(config: &Config) -> Result<Arc<ServerConfig>, Diagnostics> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut found = Diagnostics::new();
    let mut say = |span: Span, message: String| found.error(&config.source, span, message);
    let identity = identity(
        &config.tls.certificate,
        &config.tls.key,
        &provider,
        &mut say,
    );
    let verifier = verifier(&config.tls, &provider, &mut say);
    let (Some(identity), Some(verifier)) = (identity, verifier) else {
        return Err(found);
    };
    let builder =
        match ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
            Ok(builder) => builder,
            Err(error) => {
                say(
                    config.tls.certificate.span,
                    format!("TLS can't be set up: {error}"),
                );
                return Err(found);
            }
        };
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(identity));
    let mut server = match verifier {
        Some(verifier) => {
            let mut server = builder
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(resolver);
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
            server
        }
        None => builder.with_no_client_auth().with_cert_resolver(resolver),
    };
    server.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(Arc::new(server))
}

type Verifier = Option<Arc<dyn ClientCertVerifier>>;

/// `Some(None)` where no certificate is asked for.
fn verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
    say: &mut impl FnMut(Span, String),
) -> Option<Verifier> {
    if tls.client_auth == ClientAuth::Off {
        return Some(None);
    }
    // the configuration has seen to it that it is there
    let path = tls.client_ca.as_ref()?;
    let roots = Arc::new(roots(path, "client_ca", say)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    if tls.client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    match builder.build() {
        Ok(verifier) => Some(Some(verifier)),
        Err(error) => {
            say(path.span, format!("`client_ca` can't be used: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::testing::{Place, SERVICE, TLS};

    #[test]
    fn what_is_wrong_with_a_file_is_said_at_its_key() {
        let place = Place::new();
        let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
        write("none.pem", "no certificate here\n");
        write("torn.pem", &place.ca.pem()[..200]);
        write(
            "junk.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let missing = "`certificate` holds no certificate in PEM";
        let no_key = "`key` holds no private key that can be used, in PEM";
        let junk = "`certificate` begins with a certificate that can't be read";
        let other = "`key` is not the key of `certificate`";
        let no_ca = "`client_ca` holds no certificate in PEM";
        let no_root = "`client_ca` holds a certificate that can't be a root";
        let with_ca =
            |name: &str| format!("{TLS}\nclient_auth = \"required\"\nclient_ca = \"{name}\"");
        for (tls, wanted) in [
            (pair("none.pem", "server.key"), vec![(5, missing)]),
            (pair("torn.pem", "server.key"), vec![(5, missing)]),
            (pair("junk.pem", "server.key"), vec![(5, junk)]),
            (pair("server.pem", "server.pem"), vec![(6, no_key)]),
            (pair("server.pem", "ca.key"), vec![(6, other)]),
            (
                pair("none.pem", "none.pem"),
                vec![(5, missing), (6, no_key)],
            ),
            (with_ca("none.pem"), vec![(8, no_ca)]),
            (with_ca("junk.pem"), vec![(8, no_root)]),
        ] {
            let config = place.config(&tls, SERVICE);
            let found = server(&config).unwrap_err();
            let found: Vec<_> = found
                .iter()
                .map(|d| (d.position().0, d.message.as_str()))
                .collect();
            assert_eq!(found, wanted, "{tls}");
        }
    }

    #[test]
    fn the_strength_is_that_of_rustls_and_nothing_is_resumed_where_certificates_count() {
        let place = Place::new();
        let plain = server(&place.config(TLS, SERVICE)).unwrap();
        assert_eq!(plain.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(plain.session_storage.can_cache());
        for auth in ["optional", "required"] {
            let tls = format!("{TLS}\nclient_auth = \"{auth}\"\nclient_ca = \"ca.pem\"");
            let server = server(&place.config(&tls, SERVICE)).unwrap();
            assert!(!server.session_storage.can_cache());
            assert!(!server.ticketer.enabled());
            assert_eq!(server.send_tls13_tickets, 0);
        }
    }

    fn pair(certificate: &str, key: &str) -> String {
        format!("certificate = \"{certificate}\"\nkey = \"{key}\"")
    }
}
