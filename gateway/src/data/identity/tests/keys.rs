//! Keys as they come and go: floods, rotation, an issuer that is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chartward_rules::refusal::Reason;
use serde_json::json;
use tokio::runtime::Handle;

use super::super::fetch::{Endpoint, Source};
use super::super::keyring::Keyring;
use super::super::{Identity, Timing};
use super::support::*;

fn source(server: &Server) -> Source {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Source {
        issuer: server.url.clone(),
        jwks: Endpoint::read(&format!("{}/jwks", server.url)),
        tls: Arc::new(tls),
    }
}

/// Fetches only when told.
fn ring(server: &Server) -> Arc<Keyring> {
    Keyring::idle(source(server), Timing::default(), &Handle::current())
}

/// A hundred askers; whether each of them found keys once it was answered.
async fn all_at_once(ring: &Arc<Keyring>, at: Instant) -> bool {
    let askers: Vec<_> = (0..100)
        .map(|_| {
            let ring = Arc::clone(ring);
            tokio::spawn(async move {
                ring.refetch(at).await;
                ring.ready(at)
            })
        })
        .collect();
    let mut all = true;
    for asker in askers {
        all &= asker.await.unwrap();
    }
    all
}

#[tokio::test]
async fn a_flood_causes_one_fetch_per_cool_down() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let ring = ring(&server);
    let start = Instant::now();
    for (after_ms, fetches) in [
        (0, 1),
        (1, 1),
        (9_999, 1),
        (10_000, 2),
        (19_999, 2),
        (20_000, 3),
    ] {
        let at = start + Duration::from_millis(after_ms);
        assert!(all_at_once(&ring, at).await, "after {after_ms} ms");
        assert_eq!(server.requests(), fetches, "after {after_ms} ms");
    }
}

#[tokio::test]
async fn a_failed_fetch_cools_down_too() {
    let server = Server::start().await;
    server.answer("/jwks", 500, "");
    let ring = ring(&server);
    let start = Instant::now();
    assert!(!all_at_once(&ring, start).await);
    assert!(!all_at_once(&ring, start + Duration::from_millis(9_999)).await);
    assert_eq!(server.requests(), 1);
    assert!(ring.current(Instant::now()).is_none());
}

#[tokio::test]
async fn last_good_keys_hold_for_a_bounded_time() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let ring = ring(&server);
    let start = Instant::now();
    ring.refetch(start).await;
    assert!(ring.ready(Instant::now()));
    server.answer("/jwks", 500, "");
    ring.refetch(start + Duration::from_secs(60)).await;
    assert_eq!(server.requests(), 2);
    assert!(ring.current(start + Duration::from_secs(3599)).is_some());
    let much_later = Instant::now() + Duration::from_secs(3600);
    assert!(ring.current(much_later).is_none());
    assert!(!ring.ready(much_later));
}

#[tokio::test]
async fn what_is_no_key_set_leaves_the_last_good_one() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let ring = ring(&server);
    let mut at = Instant::now();
    ring.refetch(at).await;
    let one = json!({"keys": [KEYS.es.jwk("es", None)]}).to_string();
    let too_long = format!("{one}{}", " ".repeat(1024 * 1024));
    for (status, body) in [
        (302, one.clone()),
        (201, one),
        (200, "<html>".to_owned()),
        (200, r#"{"keys":[],"keys":[]}"#.to_owned()),
        (200, too_long),
    ] {
        server.answer("/jwks", status, body);
        at += Duration::from_secs(11);
        let before = ring.fetches();
        ring.refetch(at).await;
        assert_eq!(ring.fetches(), before + 1, "{status}");
        let keys = ring.current(Instant::now()).unwrap();
        assert_eq!(keys.len(), 4, "{status}");
    }
    server.answer("/jwks", 200, r#"{"keys":[]}"#);
    ring.refetch(at + Duration::from_secs(11)).await;
    // an issuer that says it has no keys is believed
    assert_eq!(ring.current(Instant::now()).unwrap().len(), 0);
}

#[tokio::test]
async fn discovery_takes_only_metadata_of_the_issuer_itself() {
    let openid = "/.well-known/openid-configuration";
    let oauth = "/.well-known/oauth-authorization-server";
    for (path, issuer_suffix, jwks_uri, found) in [
        (openid, "", "/jwks", true),
        (oauth, "", "/jwks", true),
        (openid, "/", "/jwks", false),
        (oauth, "x", "/jwks", false),
        (openid, "", "http://idp.example/jwks", false),
        (openid, "", "/elsewhere", false),
    ] {
        let server = Server::start().await;
        server.answer("/jwks", 200, jwks());
        let at = if jwks_uri.starts_with('/') {
            format!("{}{jwks_uri}", server.url)
        } else {
            jwks_uri.to_owned()
        };
        let issuer = format!("{}{issuer_suffix}", server.url);
        let metadata = json!({"issuer": issuer, "jwks_uri": at});
        server.answer(path, 200, metadata.to_string());
        let mut source = source(&server);
        source.jwks = None;
        assert_eq!(
            source.fetch().await.is_ok(),
            found,
            "{path} {issuer_suffix} {jwks_uri}"
        );
    }
}

/// Cools down fast; keys are refreshed by need only.
fn brisk(server: &Server) -> Identity {
    let mut settings = settings(server);
    settings.timing.cool_down = Duration::from_millis(20);
    build(&settings)
}

const COOLED: Duration = Duration::from_millis(25);

#[tokio::test]
async fn unknown_key_ids_reach_the_issuer_once() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let identity = build(&settings(&server));
    let claims = claims(&server.url);
    resolve(&identity, &KEYS.es.token("ES256", "es", &claims), None)
        .await
        .unwrap();
    for n in 0..50 {
        let token = KEYS.attacker.token("ES256", &format!("k{n}"), &claims);
        let refused = resolve(&identity, &token, None).await.unwrap_err();
        assert_eq!(refused.detail, Some("key is not known"));
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_new_key_is_fetched_and_tokens_of_a_withdrawn_one_end() {
    let server = Server::start().await;
    server.answer(
        "/jwks",
        200,
        json!({"keys": [KEYS.es.jwk("a", None)]}).to_string(),
    );
    let identity = brisk(&server);
    let claims = claims(&server.url);
    let old = KEYS.es.token("ES256", "a", &claims);
    resolve(&identity, &old, None).await.unwrap();
    resolve(&identity, &old, None).await.unwrap();

    server.answer(
        "/jwks",
        200,
        json!({"keys": [KEYS.other.jwk("b", None)]}).to_string(),
    );
    tokio::time::sleep(COOLED).await;
    resolve(&identity, &KEYS.other.token("ES256", "b", &claims), None)
        .await
        .unwrap();
    assert_eq!(server.requests(), 2);
    let refused = resolve(&identity, &old, None).await.unwrap_err();
    assert_eq!(refused.detail, Some("key is not known"));

    // another key under the old name doesn't revive it
    server.answer(
        "/jwks",
        200,
        json!({"keys": [KEYS.attacker.jwk("a", None)]}).to_string(),
    );
    tokio::time::sleep(COOLED).await;
    let refused = resolve(&identity, &old, None).await.unwrap_err();
    assert_eq!(refused.detail, Some("signature is not the key's"));
}

#[tokio::test]
async fn an_issuer_that_is_down_at_start_is_not_ready_and_comes_back() {
    let server = Server::start().await;
    server.answer("/jwks", 503, "");
    let identity = brisk(&server);
    let token = KEYS.es.token("ES256", "es", &claims(&server.url));
    let refused = resolve(&identity, &token, None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::FactsUnavailable);
    assert!(!identity.ready()[0].ready);

    server.answer("/jwks", 200, jwks());
    tokio::time::sleep(COOLED).await;
    resolve(&identity, &token, None).await.unwrap();
    assert!(identity.ready()[0].ready);
}

#[tokio::test]
async fn an_issuer_that_nobody_listens_for_is_no_reason_not_to_start() {
    let server = Server::start().await;
    let mut settings = settings(&server);
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    settings.issuers[0].jwks = Some(format!("http://{gone}/jwks"));
    let identity = build(&settings);
    let token = KEYS.es.token("ES256", "es", &claims(&server.url));
    let refused = resolve(&identity, &token, None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::FactsUnavailable);
}

#[tokio::test]
async fn a_cached_token_ends_with_its_time() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let identity = build(&settings(&server));
    let headers = bearer(&KEYS.es.token("ES256", "es", &claims(&server.url)));
    let service = identity.service("ehr").unwrap();
    for (second, good) in [
        (0, true),
        (299, true),
        (300, false),
        (301, false),
        (299, true),
    ] {
        let mut at = now();
        at.0 += second * 1000;
        let found = identity.resolve(service, &headers, None, at).await;
        assert_eq!(found.is_ok(), good, "second {second}");
    }
}

#[tokio::test]
async fn a_cached_token_is_one_subject_and_costs_no_signature() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let identity = build(&settings(&server));
    let token = KEYS.es.token("ES256", "es", &claims(&server.url));
    let first = resolve(&identity, &token, None).await.unwrap();
    let again = resolve(&identity, &token, None).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));

    // what every request carries, whether or not it waits for keys
    let (service, headers) = (identity.service("ehr").unwrap(), bearer(&token));
    let future = identity.resolve(service, &headers, None, now());
    assert!(
        size_of_val(&future) <= 256,
        "{} bytes",
        size_of_val(&future)
    );
}

#[tokio::test]
async fn a_reload_keeps_keys_and_forgets_tokens() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let mut settings = settings(&server);
    let before = build(&settings);
    let token = KEYS.es.token("ES256", "es", &claims(&server.url));
    let nurse = resolve(&before, &token, None).await.unwrap();
    assert_eq!(nurse.roles.len(), 1);
    settings.issuers[0].map.clear();
    let after = Identity::new(&settings, &Handle::current(), Some(&before)).unwrap();
    drop(before);
    let nobody = resolve(&after, &token, None).await.unwrap();
    assert!(nobody.roles.is_empty());
    assert_eq!(server.requests(), 1);
}
