//! The development issuer's tokens, as `demo` hands them out, found by discovery.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use chartward_rules::record::Time;
use chartward_sandbox::issuer;
use serde_json::json;

use super::super::{Issuer, Service, Settings};
use super::support::*;

#[tokio::test]
async fn the_development_issuers_tokens_are_taken_and_its_wrong_ones_refused() {
    let development = issuer::Issuer::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let algorithms = [
        issuer::Alg::Es256,
        issuer::Alg::Rs256,
        issuer::Alg::Ps256,
        issuer::Alg::EdDsa,
    ];
    for algorithm in algorithms {
        development.enable(algorithm).unwrap();
    }
    let mut settings = Settings::new(is_resource);
    let url = development.url().to_owned();
    settings.services.push(Service {
        name: "ehr".to_owned(),
        base: AUDIENCE.to_owned(),
        issuers: vec![url.clone()],
    });
    settings
        .issuers
        .push(Issuer::new(url, vec![AUDIENCE.to_owned()]));
    let identity = build(&settings);
    let service = identity.service("ehr").unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Time(i64::try_from(since.as_millis()).unwrap());

    let claims = json!({"sub": "u1", "aud": AUDIENCE, "client_id": "app"});
    for algorithm in algorithms {
        let header = json!({"alg": algorithm.name()});
        let token = development.token_with(&header, &claims).unwrap();
        let found = identity.resolve(service, &bearer(&token), None, now).await;
        assert_eq!(found.unwrap().sub.as_ref(), "u1", "{}", algorithm.name());
    }
    assert_eq!(development.fetches(), 1);

    let kid = development.kid(issuer::Alg::Rs256).unwrap();
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}).to_string();
    let public = development.public_pem(issuer::Alg::Rs256).unwrap();
    let claims = claims.to_string();
    let confused = issuer::forge(
        Some(public.as_bytes()),
        header.as_bytes(),
        claims.as_bytes(),
    );
    let found = identity
        .resolve(service, &bearer(&confused), None, now)
        .await;
    assert_eq!(found.unwrap_err().detail, Some("`alg` is not accepted"));
}
