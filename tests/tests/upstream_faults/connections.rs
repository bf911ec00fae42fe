//! Connections that don't come about, or not as they should: nobody there, nobody who speaks, and
//! TLS with whoever it isn't.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use chartward_certs::{Authority, Issued, Validity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::*;

/// A read and a search are refused as the upstream being away, and recorded so.
fn is_away(upstream: Upstream, service: &str, status: u16, what: &str) {
    let stage = stage(upstream, service);
    for client in [stage.gateway.client(), stage.gateway.client_h2()] {
        for target in ["/fhir/Patient/p1", "/fhir/Patient?family=p1"] {
            let answer = client.send(stage.request(target, "asked"));
            let found = (answer.status, answer.reason());
            assert_eq!(found, (status, "upstream-unavailable".to_owned()), "{what}");
            clean(&answer, what);
        }
    }
    assert_eq!(stage.said()["asked"], ["upstream-unavailable"; 4], "{what}");
    until("ready all the same", || {
        plain::get(stage.gateway.metrics(), "/readyz").status == 200
    });
}

fn served(upstream: Upstream, service: &str, what: &str) {
    let stage = stage(upstream, service);
    stage.is_well(&stage.gateway.client(), what);
}

#[test]
fn nobody_there_or_nobody_who_speaks_is_told_as_that() {
    if !need("binary") {
        return;
    }
    is_away(
        Upstream::unasked(Script::new().close()),
        "",
        502,
        "accepts and closes",
    );
    is_away(
        Upstream::unasked(Script::new().reset()),
        "",
        502,
        "accepts and resets",
    );
    is_away(
        Upstream::unasked(Script::new().wait(Duration::from_secs(2))),
        "",
        504,
        "accepts and is silent",
    );
    let tokens = Tokens::start();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let url = format!("http://127.0.0.1:{port}/fhir");
    let setup = Setup::new(PACK, url).issuer(tokens.trusted(&["physician"]));
    let gateway = Gateway::start(setup);
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let answer = gateway.client().get("/fhir/Patient/p1", &token);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream-unavailable")
    );
}

#[test]
fn what_an_upstream_says_unasked_is_no_answer() {
    if !need("binary") {
        return;
    }
    let body = patient("p1");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (what, said) in [
        ("an answer", answer.as_str()),
        ("a banner", "220 ehr.hospital.example ready\r\n"),
        ("an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let script = Script::new()
            .send(said.as_bytes())
            .wait(Duration::from_millis(300))
            .close();
        let stage = stage(Upstream::unasked(script), "");
        let answer = stage
            .gateway
            .client()
            .send(stage.request("/fhir/Patient?family=x", "asked"));
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        assert!(answer.reason().starts_with("upstream-"), "{what}");
        clean(&answer, what);
    }
}

struct Place {
    folder: tempfile::TempDir,
    ca: Authority,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Authority::new("upstream").expect("an authority");
        ca.write(folder.path(), "ca").expect("its files");
        Self { folder, ca }
    }

    fn file(&self, name: &str) -> String {
        let path: &Path = self.folder.path();
        format!("{:?}", path.join(name))
    }

    fn keys(&self, more: &str) -> String {
        format!("upstream_tls = {{ ca = {}{more} }}", self.file("ca.pem"))
    }
}

fn config(shown: &Issued, asks: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match asks {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes());
            roots.add(root.expect("a root")).expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let chain = CertificateDer::pem_slice_iter(shown.cert_pem.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(shown.key_pem.as_bytes()).expect("a key");
    Arc::new(
        builder
            .with_single_cert(chain, key)
            .expect("a configuration"),
    )
}

fn answering(config: Arc<ServerConfig>) -> Upstream {
    Upstream::tls(config, |seen| Script::json(200, &right(seen).1))
}

#[test]
fn tls_with_anybody_else_is_no_connection() {
    if !need("binary") {
        return;
    }
    let place = Place::new();
    let here = &["127.0.0.1"];
    let good = place.ca.server(here).expect("a certificate");
    let named = place.ca.server(&["ehr.example"]).expect("a certificate");
    let expired = place.ca.server_valid(here, Validity::expired());
    let expired = expired.expect("a certificate");
    let other = Authority::new("other").expect("an authority");
    let untrusted = other.server(here).expect("a certificate");
    let keys = place.keys("");

    served(answering(config(&good, None)), &keys, "a right certificate");
    is_away(answering(config(&named, None)), &keys, 502, "another name");
    is_away(answering(config(&expired, None)), &keys, 502, "expired");
    is_away(answering(config(&untrusted, None)), &keys, 502, "untrusted");
    served(
        answering(config(&named, None)),
        &place.keys(", name = \"ehr.example\""),
        "the configured name",
    );
    let pin = format!(", sha256 = \"{}\"", "0".repeat(64));
    is_away(
        answering(config(&good, None)),
        &place.keys(&pin),
        502,
        "another certificate than the pinned one",
    );

    // it speaks no TLS
    let bad_request = Script::whole(400, "Connection: close\r\n", SECRET.as_bytes());
    let plain = Upstream::unasked(bad_request.wait(Duration::from_millis(100)));
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, plain.url().replace("http://", "https://"))
        .issuer(tokens.trusted(&["physician"]))
        .service(&keys);
    let gateway = Gateway::start(setup);
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let answer = gateway.client().get("/fhir/Patient/p1", &token);
    clean(&answer, "plain");
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream-unavailable")
    );
}

#[test]
fn an_upstream_that_asks_for_a_certificate_is_shown_the_configured_one() {
    if !need("binary") {
        return;
    }
    let place = Place::new();
    let server = place.ca.server(&["127.0.0.1"]).expect("a certificate");
    let client = place
        .ca
        .client(&chartward_certs::ClientSpec::named("gateway"));
    let client = client.expect("a certificate");
    client
        .write(place.folder.path(), "gateway")
        .expect("its files");
    let asking = config(&server, Some(&place.ca));
    let shown = format!(
        ", certificate = {}, key = {}",
        place.file("gateway.pem"),
        place.file("gateway.key")
    );
    served(answering(Arc::clone(&asking)), &place.keys(&shown), "shown");
    is_away(answering(asking), &place.keys(""), 502, "not shown");
}
