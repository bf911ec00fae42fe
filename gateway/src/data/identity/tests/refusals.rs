//! Well-signed tokens that are another kind, for another, for another time, or not alone.

use chartward_rules::refusal::Reason::{TokenBinding, Unauthenticated};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::bench::*;
use super::support::*;

#[tokio::test]
async fn other_kinds_of_tokens_are_no_access_tokens() {
    let bench = Bench::new().await;
    let typed = |typ: Value| bench.headed(json!({"alg": "ES256", "kid": "es", "typ": typ}));
    for (typ, expected) in [
        (json!("at+jwt"), GOOD),
        (json!("AT+JWT"), GOOD),
        (json!("application/at+jwt"), GOOD),
        (json!("Application/AT+jwt"), GOOD),
        (json!("JWT"), bad("`typ` is not accepted")),
        (json!("id_token+jwt"), bad("`typ` is not accepted")),
        (json!("logout+jwt"), bad("`typ` is not accepted")),
        (json!("secevent+jwt"), bad("`typ` is not accepted")),
        (json!("dpop+jwt"), bad("`typ` is not accepted")),
        (
            json!("application/application/at+jwt"),
            bad("`typ` is not accepted"),
        ),
        (json!("at+jwt "), bad("`typ` is not accepted")),
        (json!(""), bad("`typ` is not accepted")),
        (json!(null), bad("`typ` is not a string")),
        (json!(["at+jwt"]), bad("`typ` is not a string")),
    ] {
        bench.check(&typ.to_string(), &typed(typ), expected).await;
    }
    let untyped = bench.headed(json!({"alg": "ES256", "kid": "es"}));
    bench.check("no typ", &untyped, bad("no `typ`")).await;
    let logout = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    bench
        .check(
            "logout token",
            &bench.with(&logout),
            bad("a security event or logout token"),
        )
        .await;
    let event = json!({"events": {}});
    bench
        .check(
            "SET",
            &bench.with(&event),
            bad("a security event or logout token"),
        )
        .await;
}

#[tokio::test]
async fn where_typ_is_relaxed_id_tokens_are_still_refused() {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let mut relaxed = settings(&server);
    relaxed.issuers[0].token_type = vec!["JWT".to_owned()];
    let identity = build(&relaxed);
    let typed = |typ: &str, name: &str| {
        let mut claims = claims(&server.url);
        claims[name] = json!("x");
        let header = json!({"alg": "ES256", "kid": "es", "typ": typ});
        KEYS.es.raw(header.to_string(), claims.to_string())
    };
    for (typ, name, expected) in [
        ("JWT", "x", None),
        ("jwt", "x", None),
        ("JWT", "nonce", Some("an id token")),
        ("JWT", "at_hash", Some("an id token")),
        ("JWT", "c_hash", Some("an id token")),
        ("JWT", "events", Some("a security event or logout token")),
        ("at+jwt", "x", Some("`typ` is not accepted")),
    ] {
        let found = resolve(&identity, &typed(typ, name), None).await;
        assert_eq!(
            found.err().and_then(|no| no.detail),
            expected,
            "{typ} {name}"
        );
    }
}

#[tokio::test]
async fn claims_that_are_not_for_us_or_not_now_are_refused() {
    let bench = Bench::new().await;
    let issuer = bench.issuer.clone();
    let moment = |name| match name {
        "exp" => bad("`exp` is not a whole moment"),
        "nbf" => bad("`nbf` is not a whole moment"),
        _ => bad("`iat` is not a whole moment"),
    };
    let mut table = vec![
        (json!({"aud": "<absent>"}), bad("no `aud`")),
        (
            json!({"aud": null}),
            bad("`aud` is neither a string nor strings"),
        ),
        (json!({"aud": ""}), bad("`aud` is another's")),
        (json!({"aud": []}), bad("`aud` is another's")),
        (
            json!({"aud": "https://gateway.example/fhir/"}),
            bad("`aud` is another's"),
        ),
        (
            json!({"aud": "HTTPS://gateway.example/fhir"}),
            bad("`aud` is another's"),
        ),
        (
            json!({"aud": "https://gateway.example"}),
            bad("`aud` is another's"),
        ),
        (
            json!({"aud": ["https://other.example"]}),
            bad("`aud` is another's"),
        ),
        (json!({"aud": ["https://other.example", AUDIENCE]}), GOOD),
        (
            json!({"aud": [AUDIENCE, null]}),
            bad("`aud` is neither a string nor strings"),
        ),
        (
            json!({"aud": [[AUDIENCE]]}),
            bad("`aud` is neither a string nor strings"),
        ),
        (
            json!({"aud": {AUDIENCE: 1}}),
            bad("`aud` is neither a string nor strings"),
        ),
        (json!({"iss": "<absent>"}), bad("`iss` is not trusted")),
        (json!({"iss": null}), bad("`iss` is not trusted")),
        (json!({"iss": [issuer]}), bad("`iss` is not trusted")),
        (
            json!({"iss": format!("{issuer}/")}),
            bad("`iss` is not trusted"),
        ),
        (
            json!({"iss": issuer.to_uppercase()}),
            bad("`iss` is not trusted"),
        ),
        (
            json!({"iss": format!("{issuer} ")}),
            bad("`iss` is not trusted"),
        ),
        (
            json!({"iss": "https://idp.example"}),
            bad("`iss` is not trusted"),
        ),
        (json!({"sub": "<absent>"}), bad("no usable `sub`")),
        (json!({"sub": ""}), bad("no usable `sub`")),
        (json!({"sub": 17}), bad("no usable `sub`")),
        (json!({"exp": "<absent>"}), bad("no `exp`")),
        (json!({"exp": NOW}), bad("expired")),
        (json!({"exp": NOW - 1}), bad("expired")),
        (json!({"exp": 0}), bad("expired")),
        (json!({"exp": NOW + 1}), GOOD),
        (json!({"nbf": NOW + 30}), GOOD),
        (json!({"nbf": NOW + 31}), bad("not valid yet")),
        (json!({"iat": NOW + 30}), GOOD),
        (json!({"iat": NOW + 31}), bad("issued in the future")),
        (json!({"iat": "<absent>", "jti": "<absent>"}), GOOD),
        (
            json!({"act": {"sub": "agent"}}),
            bad("`act` is not supported"),
        ),
    ];
    for name in ["exp", "nbf", "iat"] {
        let wrong = [
            json!(null),
            json!("1800000300"),
            json!(1_800_000_000.5),
            json!(-1),
            json!(253_402_300_800_i64),
            json!(u64::MAX),
            json!(true),
            json!([NOW + 300]),
        ];
        table.extend(wrong.map(|value| (json!({ name: value }), moment(name))));
    }
    for (changes, expected) in table {
        bench
            .check(&changes.to_string(), &bench.with(&changes), expected)
            .await;
    }
    let text = bench.claims().to_string();
    for huge in ["1.8e9", "1e400", "99999999999999999999", "1800000300.0"] {
        let said = text.replace(&(NOW + 300).to_string(), huge);
        bench.check(huge, &bench.said(said), moment("exp")).await;
    }
}

#[tokio::test]
async fn an_issuer_is_trusted_only_where_the_service_says_so() {
    let bench = Bench::new().await;
    let lab = bench.identity.service("lab").unwrap();
    let headers = bearer(&bench.with(&json!({})));
    let refused = bench.identity.resolve(lab, &headers, None, now()).await;
    assert_eq!(refused.unwrap_err().detail, Some("`iss` is not trusted"));
}

#[tokio::test]
async fn bound_tokens_need_a_proof_that_can_be_checked() {
    let bench = Bench::new().await;
    let unknown = "`cnf` holds what can't be checked";
    let thumbprint = b64([7; 32]);
    for (cnf, detail) in [
        (
            json!({"x5t#S256": thumbprint}),
            "the token is bound and no certificate was presented",
        ),
        (json!({"jkt": thumbprint}), unknown),
        (json!({"jwk": {}}), unknown),
        (json!({"kid": "es"}), unknown),
        (json!({"x5t#S256": thumbprint, "jkt": thumbprint}), unknown),
        (json!({"x5t#S256": b64([7; 31])}), unknown),
        (json!({"x5t#S256": format!("{thumbprint}=")}), unknown),
        (json!({"x5t#S256": null}), unknown),
        (json!({"x5t#s256": thumbprint}), unknown),
        (json!({}), unknown),
        (json!(null), unknown),
        (json!("x5t#S256"), unknown),
    ] {
        let token = bench.with(&json!({ "cnf": cnf }));
        bench
            .check(&cnf.to_string(), &token, Some((TokenBinding, detail)))
            .await;
    }
}

#[tokio::test]
async fn a_request_has_one_credential_in_one_place() {
    let bench = Bench::new().await;
    let good = bench.with(&json!({}));
    let another_scheme = Some((Unauthenticated, "`Authorization` has another scheme"));
    let table: [(&[String], Expected); 11] = [
        (&[format!("Bearer {good}")], GOOD),
        (&[format!("bearer {good}")], GOOD),
        (&[format!("BEARER {good}")], GOOD),
        (
            &[format!("Bearer {good}"), format!("Bearer {good}")],
            bad("more than one `Authorization` header"),
        ),
        (
            &[format!("Bearer {good}"), "Basic dTpw".to_owned()],
            bad("more than one `Authorization` header"),
        ),
        (
            &[format!("DPoP {good}")],
            Some((TokenBinding, "a token under the `DPoP` scheme")),
        ),
        (&["Basic dTpw".to_owned()], another_scheme),
        (std::slice::from_ref(&good), another_scheme),
        (&[String::new()], another_scheme),
        (
            &["Bearer".to_owned()],
            bad("token has characters that tokens don't have"),
        ),
        (
            &[format!("Bearer  {good}")],
            bad("token has characters that tokens don't have"),
        ),
    ];
    let service = bench.identity.service("ehr").unwrap();
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let found = bench.identity.resolve(service, &headers, None, now()).await;
        let found = found.err().map(|no| (no.reason, no.detail.unwrap()));
        assert_eq!(found, expected, "{values:?}");
    }
    let mut headers = bearer(&good);
    headers.insert("dpop", HeaderValue::from_static("x"));
    let found = bench.identity.resolve(service, &headers, None, now()).await;
    assert_eq!(found.unwrap_err().reason, TokenBinding);
    let mut headers = bearer(&good);
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    );
    let found = bench.identity.resolve(service, &headers, None, now()).await;
    assert_eq!(
        found.unwrap_err().detail,
        Some("`Authorization` is not visible ASCII")
    );
    let nobody = bench
        .identity
        .resolve(service, &HeaderMap::new(), None, now())
        .await;
    assert_eq!(nobody.unwrap_err().reason, Unauthenticated);
}
