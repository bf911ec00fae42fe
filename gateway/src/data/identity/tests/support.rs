//! A test issuer: keys made once, tokens signed with aws-lc-rs itself, JWKS served on loopback.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chartward_rules::record::Time;
use chartward_rules::refusal::No;
use chartward_rules::subject::Subject;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::super::*;

pub const AUDIENCE: &str = "https://gateway.example/fhir";
/// The tests' present, in seconds.
pub const NOW: i64 = 1_800_000_000;

pub fn now() -> Time {
    Time(NOW * 1000)
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub enum Signer {
    Es(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub fn es() -> Self {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Es(made.unwrap())
    }

    pub fn jwk(&self, kid: &str, alg: Option<&str>) -> Value {
        let mut jwk = match self {
            Self::Es(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
            Self::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": b64(public.modulus().big_endian_without_leading_zero()),
                    "e": b64(public.exponent().big_endian_without_leading_zero()),
                })
            }
        };
        jwk["kid"] = json!(kid);
        if let Some(alg) = alg {
            jwk["alg"] = json!(alg);
        }
        jwk
    }

    /// A compact JWS over exactly these bytes, whatever the header says.
    pub fn raw(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", b64(&header), b64(payload));
        let pss = String::from_utf8_lossy(header.as_ref()).contains("PS256");
        let rng = SystemRandom::new();
        let message = signed.as_bytes();
        let signature = match self {
            Self::Es(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = if pss {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                pair.sign(padding, &rng, message, &mut out).unwrap();
                out
            }
        };
        format!("{signed}.{}", b64(signature))
    }

    pub fn token(&self, alg: &str, kid: &str, claims: &Value) -> String {
        let header = json!({"typ": "at+jwt", "alg": alg, "kid": kid});
        self.raw(header.to_string(), claims.to_string())
    }
}

/// Keys of the trusted issuer (`es`, `ed`, `rs`, `ps`), and others'.
pub struct Keys {
    pub es: Signer,
    pub ed: Signer,
    pub rsa: Signer,
    /// Of the other trusted issuer, under the same key ids.
    pub other: Signer,
    /// Of nobody.
    pub attacker: Signer,
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    Keys {
        es: Signer::es(),
        ed: Signer::Ed(Ed25519KeyPair::generate().unwrap()),
        rsa: Signer::Rsa(RsaKeyPair::from_pkcs8(der.as_ref()).unwrap()),
        other: Signer::es(),
        attacker: Signer::es(),
    }
});

/// JWKS of the trusted issuer, with keys that must not be used among them.
pub fn jwks() -> String {
    let weak = json!({"kty": "RSA", "kid": "weak", "e": "AQAB", "n": b64([0xff; 128])});
    let mut encryption = KEYS.es.jwk("enc", None);
    encryption["use"] = json!("enc");
    json!({"keys": [
        KEYS.es.jwk("es", Some("ES256")),
        KEYS.ed.jwk("ed", None),
        KEYS.rsa.jwk("rs", Some("RS256")),
        KEYS.rsa.jwk("ps", Some("PS256")),
        weak,
        encryption,
    ]})
    .to_string()
}

/// An HTTP server that answers every path in one way, until it is told another.
pub struct Server {
    pub url: String,
    pub requests: Arc<AtomicUsize>,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let (count, known) = (Arc::clone(&requests), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (count, known) = (Arc::clone(&count), Arc::clone(&known));
                let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = known
                        .lock()
                        .unwrap()
                        .get(request.uri().path())
                        .cloned()
                        .unwrap_or((404, String::new()));
                    let answer = Response::builder()
                        .status(status)
                        .header(header::LOCATION, "/jwks")
                        .body(Full::new(Bytes::from(body)));
                    std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), answer),
                );
            }
        });
        Self {
            url,
            requests,
            answers,
        }
    }

    pub fn answer(&self, path: &str, status: u16, body: impl Into<String>) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.to_owned(), (status, body.into()));
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

pub fn is_resource(name: &str) -> bool {
    ["Patient", "Observation"].contains(&name)
}

/// One service, one issuer that maps `RN` and `frontdesk`; its keys at `/jwks` of `server`.
pub fn settings(server: &Server) -> Settings {
    let mut settings = Settings::new(is_resource);
    let mut issuer = Issuer::new(server.url.clone(), vec![AUDIENCE.to_owned()]);
    issuer.jwks = Some(format!("{}/jwks", server.url));
    issuer.roles = Some("realm_access.roles".to_owned());
    issuer.map = [("RN", "nurse"), ("frontdesk", "front-desk")]
        .map(|(value, role)| (value.to_owned(), role.to_owned()))
        .into();
    settings.services.push(Service {
        name: "ehr".to_owned(),
        base: AUDIENCE.to_owned(),
        issuers: vec![server.url.clone()],
    });
    settings.issuers.push(issuer);
    settings
}

pub fn build(settings: &Settings) -> Identity {
    Identity::new(settings, &Handle::current(), None).unwrap()
}

/// Claims of a good token of the issuer at `issuer`.
pub fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer,
        "sub": "u17",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW - 5,
        "client_id": "ward-app",
        "jti": "1",
        "scope": "openid user/Patient.rs",
        "realm_access": {"roles": ["RN"]},
    })
}

pub fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    headers
}

pub async fn resolve(
    identity: &Identity,
    token: &str,
    peer: Option<&PeerCertificate>,
) -> Result<Arc<Subject>, No> {
    let service = identity.service("ehr").unwrap();
    identity.resolve(service, &bearer(token), peer, now()).await
}
