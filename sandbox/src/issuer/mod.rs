//! A development authorization issuer: discovery documents and a key set over plain HTTP on loopback,
//! and access tokens (RFC 9068) for whoever holds the `Issuer`.
//!
//! In: claims. Out: signed tokens, good or wrong as a test wants them. It authenticates nobody and has
//! no token endpoint.

mod keys;

pub use keys::Alg;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::http1::{self, Answer, Listener};
use keys::{Keys, encode};

/// Seconds a token lives unless its claims say otherwise.
const LIFE: u64 = 3600;

/// A running issuer; it stops when dropped.
#[derive(Debug)]
pub struct Issuer {
    listener: Listener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    keys: Mutex<Keys>,
    fetches: AtomicU64,
    down: AtomicBool,
}

impl Issuer {
    /// Starts at a loopback address, port 0 for any, on the current runtime, with an ES256 key.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        let socket = http1::bind(addr).await?;
        let mut keys = Keys::default();
        keys.jwk(Alg::Es256)?;
        let shared = Arc::new(Shared {
            url: format!("http://{}", socket.local_addr()?),
            keys: Mutex::new(keys),
            fetches: AtomicU64::new(0),
            down: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let listener = http1::serve(socket, move |request| {
            let answer = state.answer(request.method(), request.uri().path());
            async move { answer }
        })?;
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// Its name, as `iss` has it.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Where its key set is.
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.shared.url)
    }

    /// How often the key set was fetched.
    pub fn fetches(&self) -> u64 {
        self.shared.fetches.load(Ordering::Relaxed)
    }

    /// Whether every request gets a 503, as when an issuer is down.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::Relaxed);
    }

    /// Publishes a key for this algorithm, made now if there is none. RSA takes a moment.
    ///
    /// A key is published with its first token anyway; before the first fetch of the key set, this spares another.
    pub fn enable(&self, alg: Alg) -> io::Result<()> {
        self.shared.keys().jwk(alg).map(drop)
    }

    /// The public key of this algorithm in PEM (SubjectPublicKeyInfo), as `RS256` → `HS256` confusions misuse it.
    pub fn public_pem(&self, alg: Alg) -> io::Result<String> {
        self.shared.keys().public_pem(alg)
    }

    /// The key id of this algorithm's key.
    pub fn kid(&self, alg: Alg) -> io::Result<String> {
        Ok(text(&self.shared.keys().jwk(alg)?, "kid"))
    }

    /// Removes all keys and makes a new ES256 key; others follow when they are asked for.
    pub fn rotate(&self) -> io::Result<()> {
        let mut fresh = Keys::default();
        fresh.jwk(Alg::Es256)?;
        *self.shared.keys() = fresh;
        Ok(())
    }

    /// An access token of these claims, signed with ES256. Adds `iss`, `iat`, `exp` and `jti` unless
    /// given; a claim given as null is left out.
    pub fn token(&self, claims: &Value) -> io::Result<String> {
        self.token_with(&json!({}), claims)
    }

    /// The same with other header members: they replace or add to `alg`, `typ` and `kid`, null leaves out.
    /// The key is that of `alg`; for an `alg` that no key fits, that of ES256.
    pub fn token_with(&self, header: &Value, claims: &Value) -> io::Result<String> {
        let name = header.get("alg").and_then(Value::as_str).unwrap_or("ES256");
        let alg = Alg::named(name).unwrap_or(Alg::Es256);
        let whole = merged(
            json!({"alg": name, "typ": "at+jwt", "kid": self.kid(alg)?}),
            header,
        );
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?
            .as_secs();
        let defaults = json!({
            "iss": self.url(),
            "iat": now,
            "exp": now + LIFE,
            "jti": encode(&keys::random::<16>()?),
        });
        let claims = merged(defaults, claims);
        self.sign_raw(
            alg,
            whole.to_string().as_bytes(),
            claims.to_string().as_bytes(),
        )
    }

    /// Signs any header and payload with this algorithm's key, whatever the header says.
    pub fn sign_raw(&self, alg: Alg, header: &[u8], payload: &[u8]) -> io::Result<String> {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.shared.keys().sign(alg, message.as_bytes())?;
        Ok(format!("{message}.{}", encode(&signature)))
    }

    /// Stops accepting and breaks open connections.
    pub fn shutdown(&self) {
        self.listener.stop();
    }
}

/// A token whose signature is an HMAC-SHA256 by `secret`, or empty without one: what must never be accepted.
pub fn forge(secret: Option<&[u8]>, header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = secret.map_or_else(String::new, |secret| {
        encode(&keys::hmac(secret, message.as_bytes()))
    });
    format!("{message}.{signature}")
}

impl Shared {
    fn answer(&self, method: &Method, path: &str) -> Answer {
        let known = matches!(
            path,
            "/jwks"
                | "/.well-known/openid-configuration"
                | "/.well-known/oauth-authorization-server"
        );
        if path == "/jwks" {
            self.fetches.fetch_add(1, Ordering::Relaxed);
        }
        let (status, body) = if self.down.load(Ordering::Relaxed) {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"error": "temporarily_unavailable"}),
            )
        } else if !known {
            (StatusCode::NOT_FOUND, json!({"error": "not_found"}))
        } else if method != Method::GET && method != Method::HEAD {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                json!({"error": "method_not_allowed"}),
            )
        } else if path == "/jwks" {
            (StatusCode::OK, json!({"keys": self.keys().published()}))
        } else {
            (StatusCode::OK, self.discovery())
        };
        let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    /// What is true of this issuer of OpenID Connect Discovery 1.0 and RFC 8414.
    fn discovery(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/jwks", self.url),
            "response_types_supported": [],
            "grant_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// Nothing done under the lock can leave the keys half made.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `over` on top of `base`; null takes a member away.
fn merged(base: Value, over: &Value) -> Value {
    let mut whole = match base {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in over.as_object().into_iter().flatten() {
        if value.is_null() {
            whole.shift_remove(name);
        } else {
            whole.insert(name.clone(), value.clone());
        }
    }
    Value::Object(whole)
}

fn text(object: &Value, name: &str) -> String {
    object
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};

    use super::*;
    use crate::client::get;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn issuer() -> Issuer {
        Issuer::start(ANY).await.unwrap()
    }

    async fn verify(issuer: &Issuer, token: &str) -> Option<TokenData<Value>> {
        let set: JwkSet = serde_json::from_slice(&get(issuer.addr(), "/jwks").await.1).unwrap();
        let header = decode_header(token).unwrap();
        let key = set.find(&header.kid?)?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["here"]);
        validation.set_issuer(&[issuer.url()]);
        decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).ok()
    }

    #[tokio::test]
    async fn a_token_verifies_against_the_published_keys() {
        let issuer = issuer().await;
        let token = issuer
            .token(&json!({"aud": "here", "sub": "nurse-1"}))
            .unwrap();
        let data = verify(&issuer, &token).await.unwrap();
        assert_eq!(data.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(data.claims["sub"], "nurse-1");
        assert_eq!(data.claims["iss"], issuer.url());
        for name in ["iat", "exp"] {
            assert!(data.claims[name].is_u64());
        }
        assert_ne!(
            data.claims["jti"],
            verify(&issuer, &issuer.token(&json!({"aud": "here"})).unwrap())
                .await
                .unwrap()
                .claims["jti"]
        );
        assert_eq!(issuer.fetches(), 2);
    }

    #[tokio::test]
    async fn every_algorithm_signs_with_a_key_of_its_own() {
        let issuer = issuer().await;
        for (name, alg) in [
            ("ES256", Algorithm::ES256),
            ("RS256", Algorithm::RS256),
            ("PS256", Algorithm::PS256),
            ("EdDSA", Algorithm::EdDSA),
        ] {
            let token = issuer
                .token_with(&json!({"alg": name}), &json!({"aud": "here"}))
                .unwrap();
            assert_eq!(verify(&issuer, &token).await.unwrap().header.alg, alg);
            assert!(
                issuer
                    .public_pem(Alg::named(name).unwrap())
                    .unwrap()
                    .starts_with("-----BEGIN PUBLIC KEY-----\n")
            );
        }
        let set: Value = serde_json::from_slice(&get(issuer.addr(), "/jwks").await.1).unwrap();
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 4);
        assert!(
            keys.iter()
                .all(|key| key.get("d").is_none() && key["use"] == "sig")
        );
    }

    #[tokio::test]
    async fn rotation_removes_the_old_key() {
        let issuer = issuer().await;
        let old = issuer.token(&json!({"aud": "here"})).unwrap();
        assert!(verify(&issuer, &old).await.is_some());
        issuer.rotate().unwrap();
        assert!(verify(&issuer, &old).await.is_none());
        let new = issuer.token(&json!({"aud": "here"})).unwrap();
        assert!(verify(&issuer, &new).await.is_some());
    }

    #[tokio::test]
    async fn overrides_replace_add_and_leave_out() {
        let issuer = issuer().await;
        let token = issuer
            .token_with(
                &json!({"typ": null, "crit": ["x"]}),
                &json!({"exp": null, "iat": 1}),
            )
            .unwrap();
        let part = |at: usize| -> Value {
            serde_json::from_slice(&keys::decode(token.split('.').nth(at).unwrap()).unwrap())
                .unwrap()
        };
        assert_eq!(
            (part(0).get("typ"), &part(0)["crit"]),
            (None, &json!(["x"]))
        );
        assert_eq!((part(1).get("exp"), &part(1)["iat"]), (None, &json!(1)));
        assert!(forge(None, b"{}", b"{}").ends_with('.'));
        assert_eq!(
            forge(Some(b"k"), b"{}", b"{}")
                .split('.')
                .nth(2)
                .unwrap()
                .len(),
            43
        );
    }

    #[tokio::test]
    async fn discovery_names_the_issuer_and_its_keys() {
        let issuer = issuer().await;
        for path in [
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
        ] {
            let (status, body) = get(issuer.addr(), path).await;
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(status, 200);
            assert_eq!(body["issuer"], issuer.url());
            assert_eq!(body["jwks_uri"], issuer.jwks_url());
        }
        assert_eq!(get(issuer.addr(), "/other").await.0, 404);
        issuer.set_down(true);
        assert_eq!(get(issuer.addr(), "/jwks").await.0, 503);
        issuer.set_down(false);
        assert_eq!(get(issuer.addr(), "/jwks").await.0, 200);
    }

    #[tokio::test]
    async fn it_binds_to_loopback_only() {
        let error = Issuer::start("0.0.0.0:0".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
