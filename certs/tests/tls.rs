//! The TLS library that the gateway uses takes what is issued, and refuses what is expired, revoked or strange.

use std::sync::Arc;

use chartward_certs::{Authority, ClientSpec, Issued, Validity};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    Arc::new(roots)
}

fn chain(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    (
        chain,
        PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
    )
}

/// Handshakes in memory; the first error of either side.
fn handshake(
    authority: &Authority,
    server: &Issued,
    client: &Issued,
    crls: &[String],
    name: &'static str,
) -> Result<(), rustls::Error> {
    let crls = crls
        .iter()
        .map(|crl| CertificateRevocationListDer::from_pem_slice(crl.as_bytes()).unwrap());
    let mut clients = WebPkiClientVerifier::builder(roots(authority)).with_crls(crls);
    clients = clients
        .enforce_revocation_expiration()
        .allow_unknown_revocation_status();
    let (certs, key) = chain(server);
    let server = ServerConfig::builder()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(certs, key)?;
    let (certs, key) = chain(client);
    let client = ClientConfig::builder()
        .with_webpki_verifier(
            WebPkiServerVerifier::builder(roots(authority))
                .build()
                .unwrap(),
        )
        .with_client_auth_cert(certs, key)?;
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets()?;
        }
        wire.clear();
    }
    Ok(())
}

#[test]
fn peers_take_what_is_issued() {
    let ca = Authority::new("test ca").unwrap();
    let server = ca.server(&["localhost", "127.0.0.1"]).unwrap();
    let lab = ca
        .client(&ClientSpec::spiffe("lab", "spiffe://hospital.example/lab"))
        .unwrap();
    for name in ["localhost", "127.0.0.1"] {
        handshake(&ca, &server, &lab, &[], name).unwrap();
    }
    let other = ca.client(&ClientSpec::named("other")).unwrap();
    handshake(
        &ca,
        &server,
        &lab,
        &[ca.crl(&[&other]).unwrap()],
        "localhost",
    )
    .unwrap();
    assert!(handshake(&ca, &server, &lab, &[], "other.example").is_err());
}

#[test]
fn peers_refuse_what_is_expired_revoked_or_strange() {
    let ca = Authority::new("test ca").unwrap();
    let server = ca.server(&["localhost"]).unwrap();
    let lab = ca.client(&ClientSpec::named("lab")).unwrap();
    let refused = |server: &Issued, client: &Issued, crls: &[String]| {
        let error = handshake(&ca, server, client, crls, "localhost").unwrap_err();
        format!("{error:?}")
    };
    let late = ca
        .server_valid(&["localhost"], Validity::expired())
        .unwrap();
    assert!(refused(&late, &lab, &[]).contains("Expired"));
    let spec = ClientSpec {
        validity: Some(Validity::expired()),
        ..ClientSpec::named("late")
    };
    assert!(refused(&server, &ca.client(&spec).unwrap(), &[]).contains("Expired"));
    let spec = ClientSpec {
        validity: Some(Validity::future()),
        ..ClientSpec::named("early")
    };
    assert!(refused(&server, &ca.client(&spec).unwrap(), &[]).contains("NotValidYet"));
    assert!(refused(&server, &lab, &[ca.crl(&[&lab]).unwrap()]).contains("Revoked"));
    let stale = ca.crl_of(&[], Validity::expired()).unwrap();
    assert!(refused(&server, &lab, &[stale]).contains("ExpiredRevocationList"));
    // A server's certificate is no client's, and another authority's is nobody's.
    assert!(refused(&server, &server, &[]).contains("InvalidPurpose"));
    let stranger = Authority::new("test ca")
        .unwrap()
        .client(&ClientSpec::named("lab"))
        .unwrap();
    handshake(&ca, &server, &stranger, &[], "localhost").unwrap_err();
}
