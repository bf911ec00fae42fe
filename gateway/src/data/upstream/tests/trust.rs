//! Which servers are trusted over TLS, and what they are shown.

use rustls::version;

use super::*;
use crate::data::{testing::SERVICE, tls};

#[tokio::test]
async fn the_name_and_the_root_of_an_https_upstream_are_verified() {
    let place = Place::new();
    let server = tls::server(&place.config(TLS, SERVICE)).unwrap();
    for (host, ca, passes) in [
        ("localhost", "ca.pem", true),
        ("127.0.0.2", "ca.pem", false),
        ("localhost", "other.pem", false),
    ] {
        let acceptor = TlsAcceptor::from(server.clone());
        let script = Script::over(&[Act::Say(OK)], Some(acceptor)).await;
        let url = format!("https://{host}:{}", script.address.port());
        // the name in the certificate is what counts, not where it leads
        let pool = pool_at(
            &place,
            &url,
            &format!("upstream_tls = {{ ca = \"{ca}\" }}"),
            |target| {
                let server = Arc::get_mut(&mut target.servers[0]).unwrap();
                server.host = "127.0.0.1".to_owned();
            },
        );
        let answered = get(&pool).await;
        assert_eq!(answered.is_ok(), passes, "{host} {ca}: {answered:?}");
        if !passes {
            assert!(matches!(answered, Err(Fault::Tls(_))));
            assert!(script.requests().is_empty());
        }
    }
}

#[test]
fn wrong_roots_are_said_at_their_key() {
    let place = Place::new();
    std::fs::write(place.path().join("none.pem"), "nothing").unwrap();
    let keys = "upstream = \"https://a.example\"\n[service.upstream_tls]\nca = \"none.pem\"";
    let config = place.config(TLS, keys);
    let wrong = Target::new(&config.source, &config.services[0], &config.limits)
        .err()
        .unwrap();
    let said: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["c.toml:13:6: error: `ca` holds no certificate in PEM"]
    );
}

#[test]
fn what_is_wrong_with_tls_is_said_at_its_key() {
    let place = Place::new();
    let client = Place::client(&place.ca);
    client.write(place.path(), "client").unwrap();
    for (keys, wanted) in [
        (
            "name = \"not a name\"",
            "13:8: error: `name` is nothing that a certificate can name",
        ),
        (
            "certificate = \"client.pem\"\nkey = \"server.key\"",
            "14:7: error: `key` is not the key of `certificate`",
        ),
        (
            "certificate = \"client.key\"\nkey = \"client.key\"",
            "13:15: error: `certificate` holds no certificate in PEM",
        ),
    ] {
        let keys = format!(
            "upstream = \"https://a.example\"\n[service.upstream_tls]\n{keys}\nca = \"ca.pem\""
        );
        let config = place.config(TLS, &keys);
        let wrong = Target::new(&config.source, &config.services[0], &config.limits);
        let said: Vec<_> = wrong
            .err()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(said, [format!("c.toml:{wanted}")]);
    }
}

/// Whether a server with the configuration `server` is trusted under the keys of `upstream_tls`.
async fn is_trusted(place: &Place, server: Arc<rustls::ServerConfig>, keys: &str) -> bool {
    let script = Script::over(&[Act::Say(OK)], Some(TlsAcceptor::from(server))).await;
    let url = format!("https://127.0.0.1:{}", script.address.port());
    let keys = format!("upstream_tls = {{ ca = \"ca.pem\", {keys} }}");
    let pool = pool_at(place, &url, &keys, |_| {});
    match get(&pool).await {
        Ok(_) => true,
        // a server that refuses the client's certificate says so after its own handshake
        Err(Fault::Tls(_) | Fault::Closed(_)) => false,
        Err(fault) => panic!("{fault}"),
    }
}

#[tokio::test]
async fn another_name_and_a_pin_count_where_they_are_configured() {
    let place = Place::new();
    let server = tls::server(&place.config(TLS, SERVICE)).unwrap();
    let pem = std::fs::read(place.path().join("server.pem")).unwrap();
    let der =
        <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
            &pem,
        )
        .unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let pin: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let other = "0".repeat(64);
    for (keys, trusted) in [
        (String::new(), true),
        ("name = \"localhost\"".to_owned(), true),
        ("name = \"ehr.example\"".to_owned(), false),
        (format!("sha256 = \"{pin}\""), true),
        (format!("sha256 = [\"{other}\", \"{pin}\"]"), true),
        (format!("sha256 = \"{other}\""), false),
        // a pin takes nothing away
        (format!("sha256 = \"{pin}\", name = \"ehr.example\""), false),
    ] {
        assert_eq!(
            is_trusted(&place, server.clone(), &keys).await,
            trusted,
            "{keys}"
        );
    }
    let pinned = format!("upstream_tls = {{ ca = \"other.pem\", sha256 = \"{pin}\" }}");
    let script = Script::over(&[Act::Say(OK)], Some(TlsAcceptor::from(server))).await;
    let url = format!("https://127.0.0.1:{}", script.address.port());
    let fault = get(&pool_at(&place, &url, &pinned, |_| {}))
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Tls(_)), "{fault}");
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_where_it_is_asked_for_one() {
    let place = Place::new();
    Place::client(&place.ca)
        .write(place.path(), "client")
        .unwrap();
    Place::client(&place.other)
        .write(place.path(), "stranger")
        .unwrap();
    let asking = format!("{TLS}\nclient_auth = \"required\"\nclient_ca = \"ca.pem\"");
    let server = tls::server(&place.config(&asking, SERVICE)).unwrap();
    for (keys, trusted) in [
        ("certificate = \"client.pem\", key = \"client.key\"", true),
        (
            "certificate = \"stranger.pem\", key = \"stranger.key\"",
            false,
        ),
        ("name = \"localhost\"", false),
    ] {
        assert_eq!(
            is_trusted(&place, server.clone(), keys).await,
            trusted,
            "{keys}"
        );
    }
}

#[tokio::test]
async fn tls_is_1_2_or_1_3() {
    let place = Place::new();
    for version in [&version::TLS12, &version::TLS13] {
        let key = rustls_pki_types::pem::PemObject::from_pem_file(place.path().join("server.key"));
        let chain =
            rustls_pki_types::pem::PemObject::from_pem_file(place.path().join("server.pem"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain.unwrap()], key.unwrap())
            .unwrap();
        assert!(is_trusted(&place, Arc::new(server), "name = \"localhost\"").await);
    }
}
