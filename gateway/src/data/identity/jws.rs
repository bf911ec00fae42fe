//! A token's outer form: JWS compact serialisation (RFC 7515 §7.1) and its header, nothing signed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::json;

/// Header members that would let a token bring its own key, or change how it is read.
const REFUSED: [(&str, &str); 6] = [
    ("crit", "header has `crit`"),
    ("b64", "header has `b64`"),
    ("jwk", "header has `jwk`"),
    ("jku", "header has `jku`"),
    ("x5u", "header has `x5u`"),
    ("x5c", "header has `x5c`"),
];

/// A token taken apart. Nothing in it is to be believed before its signature is verified.
pub(super) struct Jws<'a> {
    pub alg: Algorithm,
    pub typ: Option<String>,
    pub kid: Option<String>,
    /// What the signature covers: `header.payload` as sent.
    pub signed: &'a str,
    pub payload: Vec<u8>,
    /// base64url, well-formed.
    pub signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart; the error says which check failed.
    pub fn parse(token: &'a str) -> Result<Self, &'static str> {
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            return Err("not three segments");
        };
        let signed = token
            .get(..header.len() + 1 + payload.len())
            .ok_or("not three segments")?;
        let decode = |segment: &str| URL_SAFE_NO_PAD.decode(segment).ok();
        let header = decode(header).ok_or("header is not base64url")?;
        let payload = decode(payload).ok_or("payload is not base64url")?;
        if decode(signature)
            .ok_or("signature is not base64url")?
            .is_empty()
        {
            return Err("signature is empty");
        }
        let header = json::object(&header).ok_or("header is not a strict JSON object")?;
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| header.contains_key(*name)) {
            return Err(why);
        }
        Ok(Self {
            alg: algorithm(&header)?,
            typ: text(&header, "typ", "`typ` is not a string")?,
            kid: text(&header, "kid", "`kid` is not a string")?,
            signed,
            payload,
            signature,
        })
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, &'static str> {
    match header.get("alg").and_then(Value::as_str) {
        Some("ES256") => Ok(Algorithm::ES256),
        Some("RS256") => Ok(Algorithm::RS256),
        Some("PS256") => Ok(Algorithm::PS256),
        Some("EdDSA") => Ok(Algorithm::EdDSA),
        _ => Err("`alg` is not accepted"),
    }
}

fn text(
    header: &Map<String, Value>,
    name: &str,
    why: &'static str,
) -> Result<Option<String>, &'static str> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(why),
    }
}
