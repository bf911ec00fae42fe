//! A client certificate as the handshake left it: its chain is verified, its meaning isn't yet told.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use chartward_rules::record::Time;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// A client certificate that TLS has verified. Read once a connection.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    pub(super) sha256: [u8; 32],
    pub(super) sha256_hex: Arc<str>,
    pub(super) uris: Vec<String>,
    /// In lower case.
    pub(super) dns: Vec<String>,
    /// As RFC 4514 writes it.
    pub(super) subject: String,
    /// Where the subject has exactly one.
    pub(super) common_name: Option<String>,
    /// cA, or a key for signing certificates or CRLs.
    pub(super) authority: bool,
    pub(super) digital_signature: bool,
    not_before: i64,
    not_after: i64,
}

/// The certificate can't be read, or says an extension twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client certificate could not be read")]
pub struct UnreadableCertificate;

impl PeerCertificate {
    /// Reads the leaf that the peer presented, in DER.
    pub fn read(der: &[u8]) -> Result<Self, UnreadableCertificate> {
        Self::parse(der).ok_or(UnreadableCertificate)
    }

    /// Whether it is valid at `now`. A connection may outlive its certificate.
    pub fn valid_at(&self, now: Time) -> bool {
        let now = now.seconds();
        self.not_before <= now && now <= self.not_after
    }

    /// SHA-256 of its DER, hex.
    pub fn sha256(&self) -> &Arc<str> {
        &self.sha256_hex
    }

    /// The last second of its validity.
    pub fn not_after(&self) -> Time {
        Time(self.not_after.saturating_mul(1000))
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let constraints = certificate.basic_constraints().ok()?;
        let usage = certificate.key_usage().ok()?;
        let (mut uris, mut dns) = (Vec::new(), Vec::new());
        if let Some(names) = certificate.subject_alternative_name().ok()? {
            for name in &names.value.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    GeneralName::DNSName(name) => dns.push(name.to_ascii_lowercase()),
                    GeneralName::Invalid(..) => return None,
                    _ => {}
                }
            }
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, der).as_ref());
        Some(Self {
            sha256,
            sha256_hex: hex(&sha256).into(),
            uris,
            dns,
            subject: rfc4514(certificate.subject()),
            common_name: common_name(certificate.subject()),
            authority: constraints.is_some_and(|c| c.value.ca)
                || usage
                    .as_ref()
                    .is_some_and(|u| u.value.key_cert_sign() || u.value.crl_sign()),
            digital_signature: usage.is_some_and(|u| u.value.digital_signature()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut names = subject.iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// RFC 4514 §2: the last relative name first, without spaces between.
fn rfc4514(name: &X509Name<'_>) -> String {
    let mut relative: Vec<String> = name
        .iter_rdn()
        .map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    relative.reverse();
    relative.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let short = oid2abbrev(oid, oid_registry())
        .ok()
        .filter(|short| ["CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID"].contains(short));
    match (short, attribute.as_str()) {
        (Some(short), Ok(text)) => format!("{short}={}", escaped(text)),
        // an empty value is one that could not be written again: it matches nothing
        _ => format!(
            "{}=#{}",
            oid.to_id_string(),
            hex(&attribute.attr_value().to_der_vec().unwrap_or_default())
        ),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.push('\\'),
            '#' | ' ' if at == 0 => out.push('\\'),
            ' ' if at == last => out.push('\\'),
            '\0' => {
                out.push_str("\\00");
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_escaped_so_that_one_cannot_read_as_another() {
        let table = [
            ("lab", "lab"),
            ("lab,O=Hospital", "lab\\,O=Hospital"),
            (" lab ", "\\ lab\\ "),
            ("#lab", "\\#lab"),
            ("a+b\\c", "a\\+b\\\\c"),
        ];
        for (text, expected) in table {
            assert_eq!(escaped(text), expected);
        }
    }
}
