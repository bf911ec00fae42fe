//! Keys over https: only from a server that the issuer's `ca`, or the platform, vouches for.

use std::sync::Arc;

use chartward_rules::refusal::Reason;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::{Place, Settings};
use super::support::*;

/// An authority, in PEM, and the port of a server of its own for `name` that hands out the JWKS.
async fn serve(name: &str) -> (String, u16) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(socket).await.ok()?;
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.ok()?);
                }
                let body = jwks();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).await.ok()?;
                stream.shutdown().await.ok()
            });
        }
    });
    (pem, port)
}

#[tokio::test]
async fn keys_come_only_from_a_server_that_is_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    for (name, own_ca, fetched) in [
        ("localhost", true, true),
        ("localhost", false, false),
        ("elsewhere.example", true, false),
    ] {
        let (pem, port) = serve(name).await;
        let ca = folder.path().join(format!("{port}.pem"));
        std::fs::write(&ca, pem).unwrap();
        let plain = Server::start().await;
        let mut settings = settings(&plain);
        settings.issuers[0].jwks = Some(format!("https://localhost:{port}/jwks"));
        settings.issuers[0].ca = own_ca.then_some(ca);
        let identity = build(&settings);
        let token = KEYS.es.token("ES256", "es", &claims(&plain.url));
        let found = resolve(&identity, &token, None).await;
        let reason = found.err().map(|no| no.reason);
        let expected = (!fetched).then_some(Reason::FactsUnavailable);
        assert_eq!(reason, expected, "{name} {own_ca}");
    }
}

#[tokio::test]
async fn a_ca_that_is_none_is_a_configuration_error() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    for ca in [empty, folder.path().join("missing.pem")] {
        let mut settings = Settings::new(is_resource);
        let audience = vec![AUDIENCE.to_owned()];
        let mut issuer = super::super::Issuer::new("https://idp.example", audience);
        issuer.ca = Some(ca);
        settings.issuers.push(issuer);
        let handle = tokio::runtime::Handle::current();
        let errors = super::super::Identity::new(&settings, &handle, None)
            .err()
            .unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].place, errors[0].key), (Place::Issuer(0), "ca"));
    }
}
