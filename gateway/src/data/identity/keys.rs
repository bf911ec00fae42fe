//! An issuer's keys as its JWKS (RFC 7517) tells them, each pinned to what it may verify.
//!
//! **Never here:** a symmetric key, a key for encryption, RSA below 2048 bits, a point off its curve.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::json;
use super::jws::Jws;

/// More keys than any issuer publishes; a longer set is refused.
const MOST_KEYS: usize = 100;

/// The usable keys of one fetched set.
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// One public key and the algorithms that it may verify.
pub(super) struct Key {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    decoding: DecodingKey,
    id: KeyId,
}

/// SHA-256 over a key's id, type and material: two sets hold the same key where this is equal.
pub(super) type KeyId = [u8; 32];

/// Why no key of the set fits a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The set doesn't know it; a newer one might.
    Unknown,
    /// It is known and may not verify this, or more than one might.
    Unfit(&'static str),
}

impl KeySet {
    /// Reads a JWKS document. Keys that can't be used here are left out, and all that share a
    /// `kid`; `None` where the document is no JWKS.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let document = json::object(document)?;
        let listed = document.get("keys")?.as_array()?;
        if listed.len() > MOST_KEYS {
            return None;
        }
        let mut keys: Vec<Key> = listed
            .iter()
            .filter_map(|jwk| Key::read(jwk.as_object()?))
            .collect();
        let mut seen: HashMap<Option<String>, u32> = HashMap::new();
        for key in &keys {
            *seen.entry(key.kid.clone()).or_default() += 1;
        }
        keys.retain(|key| key.kid.is_none() || seen.get(&key.kid) == Some(&1));
        Some(Self { keys })
    }

    /// The one key that may verify `token`.
    pub fn select(&self, token: &Jws<'_>) -> Result<&Key, NoKey> {
        if let Some(kid) = &token.kid {
            let key = self
                .keys
                .iter()
                .find(|key| key.kid.as_ref() == Some(kid))
                .ok_or(NoKey::Unknown)?;
            return if key.algorithms.contains(&token.alg) {
                Ok(key)
            } else {
                Err(NoKey::Unfit("`alg` does not fit the key"))
            };
        }
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.algorithms.contains(&token.alg));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(NoKey::Unknown),
            (Some(_), Some(_)) => Err(NoKey::Unfit("no `kid`, and several keys fit")),
        }
    }

    /// Whether the key is still in the set.
    pub fn holds(&self, id: &KeyId) -> bool {
        self.keys.iter().any(|key| key.id == *id)
    }

    /// How many keys are usable.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether the token's signature is by this key.
    pub fn verifies(&self, token: &Jws<'_>) -> bool {
        self.algorithms.contains(&token.alg)
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signed.as_bytes(),
                &self.decoding,
                token.alg,
            )
            .unwrap_or(false)
    }

    /// A JWK, if it is a public key for signatures of an algorithm that is accepted here.
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if !for_verifying(jwk) || ["d", "p", "q", "k"].iter().any(|m| jwk.contains_key(*m)) {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return None,
        };
        let alg = match jwk.get("alg") {
            None => None,
            Some(Value::String(alg)) => Some(alg.as_str()),
            Some(_) => return None,
        };
        let kty = jwk.get("kty")?.as_str()?;
        let curve = jwk.get("crv").and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
        let (algorithms, decoding, material): (&'static [Algorithm], _, _) = match (kty, curve, alg)
        {
            ("EC", Some("P-256"), None | Some("ES256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).ok()?;
                (&[Algorithm::ES256], DecodingKey::from_ec_der(&point), point)
            }
            ("OKP", Some("Ed25519"), None | Some("EdDSA")) => {
                let x = bytes("x")?;
                ParsedPublicKey::new(&ED25519, &x).ok()?;
                (&[Algorithm::EdDSA], DecodingKey::from_ed_der(&x), x)
            }
            ("RSA", None, None | Some("RS256" | "PS256")) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let (n, e) = (unpadded(&n), unpadded(&e));
                if !strong(n, e) {
                    return None;
                }
                let algorithms: &'static [Algorithm] = match alg {
                    Some("RS256") => &[Algorithm::RS256],
                    Some(_) => &[Algorithm::PS256],
                    None => &[Algorithm::RS256, Algorithm::PS256],
                };
                (
                    algorithms,
                    DecodingKey::from_rsa_raw_components(n, e),
                    [n, &[0], e].concat(),
                )
            }
            _ => return None,
        };
        let known_by = [
            kty.as_bytes(),
            &[0],
            alg.unwrap_or_default().as_bytes(),
            &[0],
            kid.as_deref().unwrap_or_default().as_bytes(),
            &[0],
            &material,
        ]
        .concat();
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, &known_by).as_ref());
        Some(Self {
            kid,
            algorithms,
            decoding,
            id,
        })
    }
}

/// `use` and `key_ops`, where they are there, must both allow verifying (RFC 7517 §4.2, §4.3).
fn for_verifying(jwk: &Map<String, Value>) -> bool {
    let by_use = jwk.get("use").is_none_or(|used| used == "sig");
    let by_ops = jwk.get("key_ops").is_none_or(|ops| {
        ops.as_array()
            .is_some_and(|ops| ops.iter().any(|op| op == "verify"))
    });
    by_use && by_ops
}

fn unpadded(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// 2048 to 8192 bits, and an odd exponent of at least 3 and at most 33 bits.
fn strong(n: &[u8], e: &[u8]) -> bool {
    let Some(first) = n.first() else { return false };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    (2048..=8192).contains(&bits) && odd(n) && odd(e) && e.len() <= 4 && e != [1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn usable(jwks: &str) -> Option<usize> {
        KeySet::parse(jwks.as_bytes()).map(|set| set.len())
    }

    #[test]
    fn only_keys_that_may_verify_are_kept() {
        let n = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let off_curve = POINT.replace("f83O", "f83P");
        let table = [
            (POINT.to_owned(), 1),
            (format!(r#"{POINT},"alg":"ES256","use":"sig","kid":"a""#), 1),
            (format!(r#"{POINT},"key_ops":["verify"]"#), 1),
            (format!(r#"{POINT},"alg":"ES384""#), 0),
            (format!(r#"{POINT},"alg":"RS256""#), 0),
            (format!(r#"{POINT},"alg":"HS256""#), 0),
            (format!(r#"{POINT},"use":"enc""#), 0),
            (format!(r#"{POINT},"key_ops":["encrypt"]"#), 0),
            (format!(r#"{POINT},"key_ops":"verify""#), 0),
            (format!(r#"{POINT},"use":"sig","key_ops":["sign"]"#), 0),
            (format!(r#"{POINT},"kid":7"#), 0),
            (format!(r#"{POINT},"d":"AQ""#), 0),
            (off_curve, 0),
            (POINT.replace("P-256", "P-384"), 0),
            (POINT.replace("P-256", "secp256k1"), 0),
            (r#""kty":"oct","k":"AAAA","alg":"HS256""#.to_owned(), 0),
            (
                r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#
                    .to_owned(),
                1,
            ),
            (
                r#""kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#
                    .to_owned(),
                0,
            ),
            (
                r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7T""#.to_owned(),
                0,
            ),
            (format!(r#""kty":"RSA","e":"AQAB","n":"{}""#, n(256)), 1),
            (
                format!(r#""kty":"RSA","e":"AQAB","n":"{}","alg":"PS256""#, n(256)),
                1,
            ),
            (
                format!(r#""kty":"RSA","e":"AQAB","n":"{}","alg":"PS512""#, n(256)),
                0,
            ),
            (format!(r#""kty":"RSA","e":"AQAB","n":"{}""#, n(255)), 0),
            (format!(r#""kty":"RSA","e":"AQAB","n":"{}""#, n(128)), 0),
            (format!(r#""kty":"RSA","e":"AQ","n":"{}""#, n(256)), 0),
            (format!(r#""kty":"RSA","e":"Ag","n":"{}""#, n(256)), 0),
            (format!(r#""kty":"RSA","e":"","n":"{}""#, n(256)), 0),
        ];
        for (jwk, expected) in table {
            let jwks = format!("{{\"keys\":[{{{jwk}}}]}}");
            assert_eq!(usable(&jwks), Some(expected), "{jwk}");
        }
    }

    #[test]
    fn keys_that_share_a_kid_are_all_left_out() {
        let key = |kid: &str| format!(r#"{{{POINT},"kid":"{kid}"}}"#);
        let jwks = format!(r#"{{"keys":[{},{},{}]}}"#, key("a"), key("b"), key("a"));
        assert_eq!(usable(&jwks), Some(1));
    }

    #[test]
    fn what_is_no_key_set_is_no_empty_key_set() {
        for document in ["{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, ""] {
            assert_eq!(usable(document), None, "{document}");
        }
        assert_eq!(usable(r#"{"keys":[]}"#), Some(0));
        assert_eq!(usable(r#"{"keys":[7,{"kty":"NEW"}]}"#), Some(0));
    }
}
