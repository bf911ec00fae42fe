//! The issuer's keys: one for each algorithm, made when it is first asked for.

use std::io;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A signature algorithm that the issuer has a key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alg {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
    /// RSASSA-PSS with SHA-256, 2048 bits.
    Ps256,
    /// Ed25519.
    EdDsa,
}

impl Alg {
    /// The algorithm of a JWS `alg`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa]
            .into_iter()
            .find(|alg| alg.name() == name)
    }

    /// Its JWS `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// The keys made so far.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    made: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    alg: Alg,
    pair: Pair,
    jwk: Value,
}

#[derive(Debug)]
enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Keys {
    /// The public JWK of an algorithm's key.
    pub(crate) fn jwk(&mut self, alg: Alg) -> io::Result<Value> {
        Ok(self.key(alg)?.jwk.clone())
    }

    /// All public JWKs.
    pub(crate) fn published(&self) -> Vec<Value> {
        self.made.iter().map(|key| key.jwk.clone()).collect()
    }

    /// The public key as SubjectPublicKeyInfo in PEM.
    pub(crate) fn public_pem(&mut self, alg: Alg) -> io::Result<String> {
        let der = match &self.key(alg)?.pair {
            Pair::Ec(pair) => pair
                .public_key()
                .as_der()
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Pair::Rsa(pair) => pair
                .public_key()
                .as_der()
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Pair::Ed(pair) => pair
                .public_key()
                .as_der()
                .map_err(failed)?
                .as_ref()
                .to_vec(),
        };
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .filter_map(|at| text.get(at..text.len().min(at + 64)))
            .collect();
        Ok(format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        ))
    }

    /// The signature of a message (RFC 7518 §3).
    pub(crate) fn sign(&mut self, alg: Alg, message: &[u8]) -> io::Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key(alg)?.pair {
            Pair::Ec(pair) => Ok(pair
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let padding = if alg == Alg::Rs256 {
                    &RSA_PKCS1_SHA256
                } else {
                    &RSA_PSS_SHA256
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }

    fn key(&mut self, alg: Alg) -> io::Result<&Key> {
        let at = match self.made.iter().position(|key| key.alg == alg) {
            Some(at) => at,
            None => {
                self.made.push(Key::make(alg)?);
                self.made.len() - 1
            }
        };
        Ok(&self.made[at])
    }
}

impl Key {
    fn make(alg: Alg) -> io::Result<Self> {
        let (pair, mut jwk) = match alg {
            Alg::Es256 => {
                let pair =
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
                // Uncompressed: 04, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let jwk = json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)});
                (Pair::Ec(pair), jwk)
            }
            Alg::Rs256 | Alg::Ps256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let (n, e) = rsa_parts(pair.public_key().as_ref())
                    .ok_or_else(|| io::Error::other("odd RSA key"))?;
                let jwk = json!({"e": encode(e), "kty": "RSA", "n": encode(n)});
                (Pair::Rsa(pair), jwk)
            }
            Alg::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let jwk = json!({"crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref())});
                (Pair::Ed(pair), jwk)
            }
        };
        // RFC 7638: the required members in lexical order, which is how they stand.
        let kid = encode(digest::digest(&digest::SHA256, jwk.to_string().as_bytes()).as_ref());
        jwk["kid"] = kid.into();
        jwk["alg"] = alg.name().into();
        jwk["use"] = "sig".into();
        Ok(Self { alg, pair, jwk })
    }
}

/// HMAC-SHA256.
pub(crate) fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The reverse.
#[cfg(test)]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 §A.1.1).
fn rsa_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(0x30, der)?;
    let (n, rest) = element(0x02, body)?;
    let (e, _) = element(0x02, rest)?;
    Some((unsigned(n), unsigned(e)))
}

/// The content of a DER element of this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        _ => {
            let (long, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                long.iter().try_fold(0usize, |sum, byte| {
                    sum.checked_mul(256)?.checked_add(usize::from(*byte))
                })?,
                rest,
            )
        }
    };
    if *found == tag {
        rest.split_at_checked(length)
    } else {
        None
    }
}

fn unsigned(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}

fn failed<E>(_: E) -> io::Error {
    io::Error::other("the crypto library refused")
}
