//! Tokens and certificates that must not count, or not for more than they say.

use std::time::Duration;

use chartward_sandbox::issuer::{Alg, forge};
use chartward_tests::{Request, Script, Setup, Tokens, need};
use serde_json::json;

use super::stage::{PACK, ROLES, Stage, bundle, observation};

const ROW: &str = "/fhir/Observation/o1";

fn stage() -> Stage {
    Stage::with(
        PACK,
        &ROLES,
        |setup| setup.workload("analyser", "spiffe://hospital.example/lab", &["lab-device"]),
        |seen| {
            Script::json(
                200,
                &if seen.target.contains("ServiceRequest") {
                    bundle(
                        &[
                            r#"{"resourceType":"ServiceRequest","id":"s1","status":"active","intent":"order","subject":{"reference":"Patient/p1"}}"#,
                        ],
                        None,
                    )
                } else if seen.target.contains("/Observation/") {
                    observation("o1", "p1", "")
                } else {
                    bundle(&[], None)
                },
            )
        },
    )
}

#[test]
fn a_token_counts_in_one_authorization_header_only() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let token = stage.token("nurse");
    let host = stage.gateway.address();
    for (what, lines) in [
        (
            "two of the same",
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        ),
        (
            "basic and bearer",
            format!("Authorization: Basic eDp5\r\nAuthorization: Bearer {token}\r\n"),
        ),
        (
            "a list",
            format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
        ),
        ("two spaces", format!("Authorization: Bearer  {token}\r\n")),
        ("a tab", format!("Authorization: Bearer\t{token}\r\n")),
        (
            "an unknown scheme",
            format!("Authorization: Token {token}\r\n"),
        ),
        ("no scheme", format!("Authorization: {token}\r\n")),
        (
            "a proxy's header",
            format!("Proxy-Authorization: Bearer {token}\r\n"),
        ),
        ("a cookie", format!("Cookie: access_token={token}\r\n")),
        (
            "a DPoP header",
            format!("Authorization: Bearer {token}\r\nDPoP: {token}\r\n"),
        ),
        (
            "the DPoP scheme",
            format!("Authorization: DPoP {token}\r\n"),
        ),
    ] {
        let mut raw = stage.gateway.raw();
        raw.send(
            format!("GET {ROW} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n")
                .as_bytes(),
        );
        let (answer, _) = raw.read_all(Duration::from_millis(500));
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 401 "), "{what}: {text}");
        assert!(!text.contains(&token), "{what}: the token comes back");
        stage.untouched(what);
    }
    let request = Request::get(ROW).header("authorization", &format!("bearer {token}"));
    assert_eq!(
        stage.client.send(request).status,
        200,
        "schemes have no case (RFC 9110 §11.1)"
    );
}

#[test]
fn a_token_in_the_query_or_the_form_is_no_credential() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let token = stage.token("nurse");
    for target in [
        format!("{ROW}?access_token={token}"),
        format!("/fhir/Observation?access_token={token}"),
        format!("/fhir/metadata?access_token={token}"),
    ] {
        let alone = stage.client.send(Request::get(&target));
        assert!([400, 401].contains(&alone.status), "{}", alone.text());
        assert!(!alone.holds(token.as_bytes()));
        let both = stage.client.get(&target, &token);
        assert_eq!(both.status, 400, "{}", both.text());
        assert!(!both.holds(token.as_bytes()));
    }
    let form = format!("access_token={token}");
    let alone = stage
        .client
        .send(Request::form("/fhir/Observation/_search", &form));
    assert_eq!(alone.status, 401);
    let both = stage
        .client
        .send(Request::form("/fhir/Observation/_search", &form).bearer(&token));
    assert_eq!(both.status, 400);
    stage.untouched("a token in a query or a form");
    let records: String = stage
        .gateway
        .records()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(!records.contains(&token), "a record holds the token");
}

#[test]
fn a_token_that_is_not_this_services_is_refused() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let issuer = stage.tokens.issuer();
    let base = json!({ "sub": "someone", "roles": ["nurse"], "scope": "user/*.rs" });
    let with = |more: serde_json::Value| {
        let mut all = base.clone();
        for (name, value) in more.as_object().expect("an object") {
            all[name] = value.clone();
        }
        stage.tokens.claims(&all)
    };
    let stranger = Tokens::start();
    let good = with(json!({}));
    let payload = json!({"iss": issuer.url(), "sub": "someone", "aud": chartward_tests::gateway::AUDIENCE, "client_id": "app",
        "roles": ["nurse"], "scope": "user/*.rs", "iat": 1_700_000_000u64, "exp": 4_000_000_000u64, "jti": "1"}).to_string();
    let header = |alg: &str| {
        json!({"alg": alg, "typ": "at+jwt", "kid": issuer.kid(Alg::Es256).expect("a key")})
            .to_string()
    };
    let pem = issuer.public_pem(Alg::Es256).expect("a key");
    let parts: Vec<&str> = good.split('.').collect();
    let other = with(json!({"roles": ["physician"]}));
    let others: Vec<&str> = other.split('.').collect();
    let tokens = [
        ("expired", with(json!({"exp": 1_700_000_000}))),
        ("no expiry", with(json!({"exp": null}))),
        ("not yet", with(json!({"nbf": 4_000_000_000u64}))),
        ("another audience", with(json!({"aud": "https://other.example"}))),
        ("no audience", with(json!({"aud": null}))),
        ("a longer audience", with(json!({"aud": format!("{}/x", chartward_tests::gateway::AUDIENCE)}))),
        ("another issuer", with(json!({"iss": "https://other.example"}))),
        ("the issuer with a slash", with(json!({"iss": format!("{}/", issuer.url())}))),
        ("a stranger's key", stranger.claims(&base)),
        ("a stranger's key, our issuer", {
            let mut all = base.clone();
            all["iss"] = json!(issuer.url());
            stranger.claims(&all)
        }),
        ("none", forge(None, header("none").as_bytes(), payload.as_bytes())),
        ("None", forge(None, header("nOnE").as_bytes(), payload.as_bytes())),
        ("HS256 with the public key", forge(Some(pem.as_bytes()), header("HS256").as_bytes(), payload.as_bytes())),
        ("ES256 over an HMAC", forge(Some(pem.as_bytes()), header("ES256").as_bytes(), payload.as_bytes())),
        ("another's payload", format!("{}.{}.{}", parts[0], others[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("an id token's type", issuer.token_with(&json!({"typ": "JWT"}), &json!({"sub": "someone", "aud": chartward_tests::gateway::AUDIENCE, "client_id": "app", "roles": ["nurse"], "scope": "user/*.rs"})).expect("a token")),
    ];
    for (what, token) in tokens {
        let answer = stage.refused(Request::get(ROW).bearer(&token), 401, "invalid-token", what);
        assert!(
            answer.header("www-authenticate").contains("invalid_token"),
            "{what}"
        );
        // nor does it open what needs no credential
        let metadata = stage.client.get("/fhir/metadata", &token);
        assert_eq!(metadata.status, 401, "{what}: metadata");
    }
    assert_eq!(stage.client.get(ROW, &good).status, 200);
}

#[test]
fn a_claim_that_no_map_names_gives_no_role() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    for roles in [
        json!(["admin"]),
        json!(["Nurse"]),
        json!(["nurse "]),
        json!(["nurse,physician"]),
        json!("nurse physician"),
        json!("*"),
        json!(["*"]),
        json!(["chartward-admin", "root", "superuser", "system", "approver"]),
        json!([["nurse"]]),
        json!({"nurse": true}),
        json!([{"role": "nurse"}]),
        json!(true),
        json!([]),
        json!(null),
    ] {
        let token = stage.tokens.claims(&json!({"sub": "someone", "roles": roles, "role": "nurse", "groups": ["nurse"],
            "realm_access": {"roles": ["nurse"]}, "scope": "user/*.rs system/*.cruds", "purpose_of_use": "TREAT"}));
        let request = Request::get(ROW).bearer(&token);
        stage.refused(request, 403, "not-granted", &roles.to_string());
    }
}

#[test]
fn a_bound_token_needs_its_certificate() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let own = stage.gateway.certificate("spiffe://hospital.example/app");
    let other = stage.gateway.certificate("spiffe://hospital.example/other");
    let bound = |thumbprint: &str| {
        stage.tokens.claims(
            &json!({"sub": "someone", "roles": ["nurse"], "scope": "user/*.rs",
            "cnf": {"x5t#S256": thumbprint}}),
        )
    };
    let token = bound(&thumbprint(&own.cert_pem));
    let without = stage.client.get(ROW, &token);
    assert_eq!(
        (without.status, without.reason().as_str()),
        (401, "token-binding")
    );
    let wrong = stage.gateway.client_with(&other).get(ROW, &token);
    assert_eq!(
        (wrong.status, wrong.reason().as_str()),
        (401, "token-binding")
    );
    assert_eq!(stage.gateway.client_with(&own).get(ROW, &token).status, 200);
    // once it was good with its certificate, it still isn't without
    assert_eq!(stage.client.get(ROW, &token).status, 401);
    assert_eq!(
        stage.gateway.client_with(&other).get(ROW, &token).status,
        401
    );
    for cnf in [
        json!({}),
        json!({"jkt": "x"}),
        json!("x"),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": 1}),
        json!({"jwk": {}}),
        json!({"x5t#S256": thumbprint(&own.cert_pem), "jkt": "x"}),
    ] {
        let token = stage.tokens.claims(
            &json!({"sub": "someone", "roles": ["nurse"], "scope": "user/*.rs", "cnf": cnf}),
        );
        assert_eq!(
            stage.gateway.client_with(&own).get(ROW, &token).status,
            401,
            "{cnf}"
        );
        assert_eq!(stage.client.get(ROW, &token).status, 401, "{cnf}");
    }
    // what a proxy would have said of a certificate is not believed
    for header in [
        "x-forwarded-client-cert",
        "x-client-cert",
        "ssl-client-cert",
        "x-ssl-client-cert",
        "client-cert",
    ] {
        let request = Request::get(ROW)
            .bearer(&token)
            .header(header, &own.cert_pem.replace('\n', " "));
        assert_eq!(stage.client.send(request).status, 401, "{header}");
    }
}

#[test]
fn a_certificate_and_a_token_do_not_add_up() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let device = stage
        .gateway
        .client_with(&stage.gateway.certificate("spiffe://hospital.example/lab"));
    let orders = "/fhir/ServiceRequest";
    assert_eq!(device.send(Request::get(orders)).status, 200);
    stage.upstream.forget();
    // beside a token the workload has no rights of its own
    let desk = stage.token("front-desk");
    let answer = device.get(orders, &desk);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (403, "not-granted")
    );
    let nobody = stage.tokens.token("someone", &["nothing"], "user/*.rs");
    assert_eq!(device.get(orders, &nobody).status, 403);
    let bad = device.get(orders, "x.y.z");
    assert_eq!(bad.status, 401);
    // and the workload has nothing but its own
    assert_eq!(device.send(Request::get("/fhir/Observation")).status, 403);
    assert_eq!(device.send(Request::get("/fhir/Patient/p1")).status, 403);
    stage.untouched("a workload beyond its roles");
    let stranger = stage.gateway.client_with(
        &stage
            .gateway
            .certificate("spiffe://hospital.example/unknown"),
    );
    assert_eq!(stranger.send(Request::get(orders)).status, 401);
    for near in [
        "spiffe://hospital.example/lab/",
        "spiffe://hospital.example/lab2",
        "spiffe://Hospital.example/LAB",
        "spiffe://other.example/lab",
    ] {
        let near = stage.gateway.client_with(&stage.gateway.certificate(near));
        assert_eq!(near.send(Request::get(orders)).status, 401);
    }
    stage.untouched("a certificate of no workload");
}

#[test]
fn an_application_is_a_ceiling() {
    if !need("binary") {
        return;
    }
    let stage = Stage::with(
        PACK,
        &ROLES,
        |setup: Setup| {
            setup
                .service("default_client = [\"front-desk\"]")
                .section("[[client]]\nid = \"ward-app\"\nroles = [\"nurse\"]\n")
        },
        |_| Script::json(200, &observation("o1", "p1", "")),
    );
    let through = |client: serde_json::Value, roles: &[&str]| {
        stage.tokens.claims(&json!({"sub": "someone", "roles": roles, "scope": "user/*.rs", "client_id": client, "purpose_of_use": "TREAT"}))
    };
    for (client, roles, status) in [
        (json!("ward-app"), &["nurse"][..], 200),
        (json!("ward-app"), &["physician"], 403),
        (json!("ward-app"), &["physician", "front-desk"], 403),
        (json!("other-app"), &["nurse"], 403),
        (json!("Ward-App"), &["nurse"], 403),
        (json!(""), &["nurse"], 403),
    ] {
        let answer = stage.client.get(ROW, &through(client.clone(), roles));
        assert_eq!(
            answer.status,
            status,
            "{client} {roles:?}: {}",
            answer.text()
        );
    }
    // no client at all is no way around the ceiling: refused as a token, or under the default one
    let none = stage.client.get(ROW, &through(json!(null), &["nurse"]));
    assert!([401, 403].contains(&none.status), "{}", none.text());
}

/// Base64url of the SHA-256 of a PEM certificate.
fn thumbprint(pem: &str) -> String {
    use base64::Engine as _;
    use rustls_pki_types::pem::PemObject as _;
    let der =
        rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .expect("TLS 1.3")
        .common
        .hash_provider
        .hash(&der);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref())
}
