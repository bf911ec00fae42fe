//! Two trusted issuers, and tokens that are good but for one thing.

use chartward_rules::refusal::Reason::{self, InvalidToken};
use serde_json::{Value, json};

use super::super::{Identity, Service};
use super::support::*;

/// What the record says, `None` where the token is good.
pub type Expected = Option<(Reason, &'static str)>;

pub const GOOD: Expected = None;

pub fn bad(detail: &'static str) -> Expected {
    Some((InvalidToken, detail))
}

pub struct Bench {
    pub identity: Identity,
    pub issuer: String,
    pub other: String,
}

impl Bench {
    pub async fn new() -> Self {
        let server = Server::start().await;
        server.answer("/jwks", 200, jwks());
        let other = Server::start().await;
        let of_other = json!({"keys": [KEYS.other.jwk("es", None), KEYS.other.jwk("own", None)]});
        other.answer("/jwks", 200, of_other.to_string());
        let mut both = settings(&server);
        let mut second = settings(&other);
        both.issuers.append(&mut second.issuers);
        both.services.push(Service {
            name: "lab".to_owned(),
            base: "https://gateway.example/lab".to_owned(),
            issuers: vec![other.url.clone()],
        });
        Self {
            identity: build(&both),
            issuer: server.url,
            other: other.url,
        }
    }

    pub fn claims(&self) -> Value {
        claims(&self.issuer)
    }

    /// A well-signed token whose claims are the good ones with these on top; null takes one away.
    pub fn with(&self, changes: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            if value == "<absent>" {
                claims.as_object_mut().unwrap().shift_remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        KEYS.es.token("ES256", "es", &claims)
    }

    /// A well-signed token with this header.
    pub fn headed(&self, header: Value) -> String {
        KEYS.es.raw(header.to_string(), self.claims().to_string())
    }

    /// A well-signed token with these very claims.
    pub fn said(&self, claims: impl AsRef<[u8]>) -> String {
        KEYS.es
            .raw(r#"{"typ":"at+jwt","alg":"ES256","kid":"es"}"#, claims)
    }

    pub async fn check(&self, name: &str, token: &str, expected: Expected) {
        // twice: a cached answer must be the same answer
        for turn in ["first", "again"] {
            let found = resolve(&self.identity, token, None).await;
            let found = found.err().map(|no| (no.reason, no.detail.unwrap_or("")));
            assert_eq!(found, expected, "{name}, {turn}");
        }
    }
}
