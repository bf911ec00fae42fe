//! What the tests of the stages share: a folder with certificates, and configurations over it.

use std::{path::Path, sync::Arc};

use chartward_certs::{Authority, ClientSpec, Issued};
use chartward_rules::source::Source;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tempfile::TempDir;

use crate::base::config::Config;

/// A folder with `ca.pem`, `other.pem` (another authority), `server.pem`, `server.key`, `pack.toml`.
pub struct Place {
    pub folder: TempDir,
    pub ca: Authority,
    pub other: Authority,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ca, other) = (
            Authority::new("ca").unwrap(),
            Authority::new("other").unwrap(),
        );
        ca.write(folder.path(), "ca").unwrap();
        other.write(folder.path(), "other").unwrap();
        let server = ca.server(&["localhost", "127.0.0.1"]).unwrap();
        server.write(folder.path(), "server").unwrap();
        std::fs::write(folder.path().join("pack.toml"), "").unwrap();
        Self { folder, ca, other }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A client certificate of an authority of this place.
    pub fn client(authority: &Authority) -> Issued {
        authority.client(&ClientSpec::named("lab")).unwrap()
    }

    /// `tls` goes into `[tls]`, `service` into `[[service]]`, which has no `upstream` yet.
    pub fn config(&self, tls: &str, service: &str) -> Config {
        let text = text(tls, service);
        let outcome = Config::read(&Source::new("c.toml", text), self.path());
        outcome
            .into_result()
            .unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// A client that trusts `ca`, and shows `certificate` where there is one.
    pub fn trusting(&self, certificate: Option<&Issued>, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut client = match certificate {
            Some(issued) => {
                let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![issued.cert_der.clone()], key)
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        client.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        client
    }
}

pub fn text(tls: &str, service: &str) -> String {
    format!(
        r#"[listen]
https = "127.0.0.1:0"
public_url = "https://fhir.example"
[tls]
{tls}
[[service]]
name = "ehr"
path = "/fhir"
packs = ["pack.toml"]
{service}
[[issuer]]
url = "https://idp.example"
audience = ["https://fhir.example/fhir"]
"#
    )
}

pub const TLS: &str = "certificate = \"server.pem\"\nkey = \"server.key\"";
pub const SERVICE: &str = "upstream = \"http://127.0.0.1:1/fhir\"";
