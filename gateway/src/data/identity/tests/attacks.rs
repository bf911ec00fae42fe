//! Forged and malformed tokens (RFC 8725), each with the check that stops it.

use serde_json::json;

use super::bench::*;
use super::support::*;

#[tokio::test]
async fn good_tokens_of_each_algorithm_are_taken() {
    let bench = Bench::new().await;
    let claims = bench.claims();
    for (alg, kid, key) in [
        ("ES256", "es", &KEYS.es),
        ("EdDSA", "ed", &KEYS.ed),
        ("RS256", "rs", &KEYS.rsa),
        ("PS256", "ps", &KEYS.rsa),
    ] {
        bench.check(alg, &key.token(alg, kid, &claims), GOOD).await;
    }
}

#[tokio::test]
async fn forged_signatures_and_keys_are_refused() {
    let bench = Bench::new().await;
    let claims = bench.claims();
    let text = claims.to_string();
    let good = bench.with(&json!({}));
    let signed = good.rsplit_once('.').unwrap().0.to_owned();
    let hmac = |secret: &[u8]| {
        let signed = format!(
            "{}.{}",
            b64(r#"{"typ":"at+jwt","alg":"HS256","kid":"rs"}"#),
            b64(&text)
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        format!(
            "{signed}.{}",
            b64(aws_lc_rs::hmac::sign(&key, signed.as_bytes()))
        )
    };
    let rsa_jwk = KEYS.rsa.jwk("rs", Some("RS256"));
    let headed = |extra: &str| {
        let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"es",{extra}}}"#);
        KEYS.attacker.raw(header, &text)
    };
    let own_jwk = KEYS.attacker.jwk("es", None);

    for alg in ["none", "None", "nOnE", "NONE", ""] {
        let header = b64(json!({"typ": "at+jwt", "alg": alg}).to_string());
        let stem = format!("{header}.{}", b64(&text));
        bench
            .check(alg, &format!("{stem}."), bad("signature is empty"))
            .await;
        bench
            .check(alg, &format!("{stem}.AAAA"), bad("`alg` is not accepted"))
            .await;
    }
    let table = [
        (
            "HS256 with the modulus",
            hmac(rsa_jwk["n"].as_str().unwrap().as_bytes()),
            "`alg` is not accepted",
        ),
        (
            "HS256 with the JWK",
            hmac(rsa_jwk.to_string().as_bytes()),
            "`alg` is not accepted",
        ),
        ("HS256 with nothing", hmac(b""), "`alg` is not accepted"),
        (
            "ES384",
            bench.headed(json!({"typ": "at+jwt", "alg": "ES384", "kid": "es"})),
            "`alg` is not accepted",
        ),
        (
            "alg in another case",
            bench.headed(json!({"typ": "at+jwt", "alg": "es256", "kid": "es"})),
            "`alg` is not accepted",
        ),
        (
            "no alg",
            bench.headed(json!({"typ": "at+jwt", "kid": "es"})),
            "`alg` is not accepted",
        ),
        (
            "alg a list",
            bench.headed(json!({"typ": "at+jwt", "alg": ["ES256"], "kid": "es"})),
            "`alg` is not accepted",
        ),
        (
            "RS256 on an EC key",
            KEYS.rsa.token("RS256", "es", &claims),
            "`alg` does not fit the key",
        ),
        (
            "ES256 on an RSA key",
            KEYS.es.token("ES256", "rs", &claims),
            "`alg` does not fit the key",
        ),
        (
            "PS256 on a key for RS256",
            KEYS.rsa.token("PS256", "rs", &claims),
            "`alg` does not fit the key",
        ),
        (
            "RS256 on a key for PS256",
            KEYS.rsa.token("RS256", "ps", &claims),
            "`alg` does not fit the key",
        ),
        (
            "a key for encryption",
            KEYS.es.token("ES256", "enc", &claims),
            "key is not known",
        ),
        (
            "a weak RSA key",
            KEYS.rsa.token("RS256", "weak", &claims),
            "key is not known",
        ),
        (
            "an attacker's key",
            KEYS.attacker.token("ES256", "es", &claims),
            "signature is not the key's",
        ),
        (
            "r = s = 0",
            format!("{signed}.{}", b64([0; 64])),
            "signature is not the key's",
        ),
        (
            "a DER signature",
            format!("{signed}.{}", b64([0x30, 6, 2, 1, 1, 2, 1, 1])),
            "signature is not the key's",
        ),
        (
            "a signature cut short",
            good[..good.len() - 2].to_owned(),
            "signature is not the key's",
        ),
        ("no signature", format!("{signed}."), "signature is empty"),
        (
            "key of another issuer, same kid",
            KEYS.other.token("ES256", "es", &claims),
            "signature is not the key's",
        ),
        (
            "key of another issuer, its kid",
            KEYS.other.token("ES256", "own", &claims),
            "key is not known",
        ),
        (
            "embedded jwk",
            headed(&format!(r#""jwk":{own_jwk}"#)),
            "header has `jwk`",
        ),
        (
            "jku",
            headed(r#""jku":"https://evil.example/jwks""#),
            "header has `jku`",
        ),
        (
            "x5u",
            headed(r#""x5u":"https://evil.example/cert""#),
            "header has `x5u`",
        ),
        ("x5c", headed(r#""x5c":["MIIB"]"#), "header has `x5c`"),
        (
            "crit unknown",
            bench.headed(
                json!({"typ": "at+jwt", "alg": "ES256", "kid": "es", "crit": ["x"], "x": 1}),
            ),
            "header has `crit`",
        ),
        (
            "crit empty",
            bench.headed(json!({"typ": "at+jwt", "alg": "ES256", "kid": "es", "crit": []})),
            "header has `crit`",
        ),
        (
            "b64 false",
            bench.headed(json!({"typ": "at+jwt", "alg": "ES256", "kid": "es", "b64": false})),
            "header has `b64`",
        ),
        (
            "kid traversal",
            KEYS.attacker
                .token("ES256", "../../../../dev/null", &claims),
            "key is not known",
        ),
        (
            "kid injection",
            KEYS.attacker.token("ES256", "' UNION SELECT 'key", &claims),
            "key is not known",
        ),
        (
            "kid with NUL",
            KEYS.attacker.token("ES256", "es\0", &claims),
            "key is not known",
        ),
        (
            "kid in another case",
            KEYS.es.token("ES256", "ES", &claims),
            "key is not known",
        ),
        (
            "kid a number",
            bench.headed(json!({"typ": "at+jwt", "alg": "ES256", "kid": 1})),
            "`kid` is not a string",
        ),
    ];
    for (name, token, detail) in table {
        bench.check(name, &token, bad(detail)).await;
    }
    // exactly one key fits ES256
    bench
        .check(
            "no kid, one key",
            &bench.headed(json!({"typ": "at+jwt", "alg": "ES256"})),
            GOOD,
        )
        .await;
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let bench = Bench::new().await;
    let good = bench.with(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!()
    };
    let text = bench.claims().to_string();
    let body = &text[1..text.len() - 1];
    let mut non_utf8 = text.clone().into_bytes();
    non_utf8.splice(1..1, b"\"x\":\"\xff\",".iter().copied());
    let flattened = json!({"payload": payload, "protected": header, "signature": signature});
    let spare_bits = {
        // the last character of a 64-byte signature holds four bits that must be zero
        let last = signature.chars().last().unwrap();
        let other = if last == 'A' {
            'B'
        } else {
            (last as u8 + 1) as char
        };
        format!(
            "{header}.{payload}.{}{other}",
            &signature[..signature.len() - 1]
        )
    };
    let chars = "token has characters that tokens don't have";
    let table = [
        (
            "JWE",
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
            "not three segments",
        ),
        ("four segments", format!("{good}."), "not three segments"),
        (
            "two segments",
            format!("{header}.{payload}"),
            "not three segments",
        ),
        ("one segment", header.to_owned(), "not three segments"),
        ("JSON serialisation", flattened.to_string(), chars),
        (
            "detached payload",
            format!("{header}..{signature}"),
            "claims are not a strict JSON object",
        ),
        (
            "no header",
            format!(".{payload}.{signature}"),
            "header is not a strict JSON object",
        ),
        ("padding", format!("{good}=="), "signature is not base64url"),
        (
            "padding inside",
            format!("{header}=.{payload}.{signature}"),
            chars,
        ),
        ("spare bits", spare_bits, "signature is not base64url"),
        (
            "plain base64",
            format!("+/{header}.{payload}.{signature}"),
            "header is not base64url",
        ),
        ("white space", format!("{good} {good}"), chars),
        ("two in one header", format!("{good},{good}"), chars),
        (
            "duplicate header key",
            KEYS.es.raw(
                r#"{"typ":"at+jwt","alg":"ES256","kid":"es","alg":"ES256"}"#,
                &text,
            ),
            "header is not a strict JSON object",
        ),
        (
            "duplicate header key, escaped",
            KEYS.es.raw(
                r#"{"typ":"at+jwt","alg":"ES256","kid":"es","al\u0067":"none"}"#,
                &text,
            ),
            "header is not a strict JSON object",
        ),
        (
            "duplicate claim",
            bench.said(format!(r#"{{{body},"sub":"admin"}}"#)),
            "claims are not a strict JSON object",
        ),
        (
            "duplicate claim inside",
            bench.said(format!(r#"{{{body},"x":{{"a":1,"a":2}}}}"#)),
            "claims are not a strict JSON object",
        ),
        (
            "non-UTF-8 claims",
            bench.said(non_utf8),
            "claims are not a strict JSON object",
        ),
        (
            "non-UTF-8 header",
            KEYS.es.raw(
                b"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}",
                &text,
            ),
            "header is not a strict JSON object",
        ),
        (
            "claims a list",
            bench.said(format!("[{text}]")),
            "claims are not a strict JSON object",
        ),
        (
            "claims twice",
            bench.said(format!("{text}{text}")),
            "claims are not a strict JSON object",
        ),
        (
            "header a list",
            KEYS.es.raw("[]", &text),
            "header is not a strict JSON object",
        ),
        (
            "byte order mark",
            bench.said(format!("\u{feff}{text}")),
            "claims are not a strict JSON object",
        ),
        (
            "too long",
            bench.with(&json!({"x": "y".repeat(16 * 1024)})),
            "token is too long",
        ),
        (
            "very deep",
            bench.said(format!(
                r#"{{{body},"x":{}{}}}"#,
                "[".repeat(500),
                "]".repeat(500)
            )),
            "claims are not a strict JSON object",
        ),
        ("empty", String::new(), chars),
        ("only padding", "==".to_owned(), chars),
    ];
    for (name, token, detail) in table {
        bench.check(name, &token, bad(detail)).await;
    }
    bench
        .check(
            "long, yet allowed",
            &bench.with(&json!({"x": "y".repeat(8 * 1024)})),
            GOOD,
        )
        .await;
}

#[tokio::test]
async fn without_a_kid_one_key_must_fit_alone() {
    let bench = Bench::new().await;
    let lab = bench.identity.service("lab").unwrap();
    let claims = claims(&bench.other).to_string();
    let ambiguous = KEYS.other.raw(r#"{"typ":"at+jwt","alg":"ES256"}"#, &claims);
    let headers = bearer(&ambiguous);
    let found = bench.identity.resolve(lab, &headers, None, now());
    let detail = found.await.unwrap_err().detail;
    assert_eq!(detail, Some("no `kid`, and several keys fit"));
    let named = KEYS
        .other
        .raw(r#"{"typ":"at+jwt","alg":"ES256","kid":"own"}"#, &claims);
    let headers = bearer(&named);
    let found = bench.identity.resolve(lab, &headers, None, now());
    assert_eq!(found.await.unwrap().issuer.as_ref(), bench.other);
}
