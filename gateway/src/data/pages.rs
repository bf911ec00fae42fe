//! Page handles: where an upstream's next page is, sealed so that only the caller who was given
//! it can use it, and only for a while (D14).
//!
//! AES-256-GCM over the query, the position, the purpose and the expiry; service, subject and
//! client are bound to it. Padded to few lengths, so that a handle's size tells nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chartward_rules::record::Time;
use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::Subject;
use serde::{Deserialize, Serialize};

/// How long a handle can be used.
const LASTS_SECONDS: i64 = 3600;
/// Plaintexts are padded to one of these.
const LENGTHS: [usize; 5] = [512, 1024, 2048, 4096, 16384];
const NONCE: usize = 12;

/// Seals and opens handles with one key.
pub struct Pages {
    key: LessSafeKey,
}

/// What a handle holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The search as asked, as a query.
    #[serde(rename = "q")]
    pub query: String,
    /// Path and query below the upstream's base.
    #[serde(rename = "p")]
    pub upstream: String,
    /// Purpose of use of the first page.
    #[serde(rename = "u")]
    pub purpose: String,
    /// What is paged through, as a path: `Patient`, `Patient/1/_history`.
    #[serde(rename = "t")]
    pub place: String,
    #[serde(rename = "e")]
    expires: i64,
}

impl Position {
    /// A position of now.
    pub fn new(place: &str, query: &str, upstream: &str, purpose: &str, now: Time) -> Self {
        Self {
            query: query.to_owned(),
            upstream: upstream.to_owned(),
            purpose: purpose.to_owned(),
            place: place.to_owned(),
            expires: now.seconds() + LASTS_SECONDS,
        }
    }
}

impl Pages {
    /// With a key of 32 bytes; `None` for another length.
    pub fn new(key: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
        })
    }

    /// Seals a position for a caller of a service. `None` where it is too long, or where there
    /// are no random bytes.
    pub fn seal(&self, service: &str, subject: &Subject, position: &Position) -> Option<String> {
        let mut text = serde_json::to_vec(position).ok()?;
        let length = LENGTHS.into_iter().find(|length| text.len() <= *length)?;
        text.resize(length, b' ');
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).ok()?;
        let aad = bound(service, subject);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut text,
            )
            .ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a handle for the caller who uses it.
    pub fn open(
        &self,
        service: &str,
        subject: &Subject,
        handle: &str,
        now: Time,
    ) -> Result<Position, No> {
        let no = |detail| No::named(Reason::NotUnderstood, "_page").because(detail);
        let mut sealed = URL_SAFE_NO_PAD
            .decode(handle)
            .map_err(|_| no("not a handle"))?;
        let (nonce, text) = sealed
            .split_at_mut_checked(NONCE)
            .ok_or_else(|| no("not a handle"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| no("not a handle"))?;
        let text = self
            .key
            .open_in_place(nonce, Aad::from(bound(service, subject)), text)
            .map_err(|_| no("another caller's handle, or none"))?;
        let position: Position = serde_json::from_slice(text).map_err(|_| no("not a handle"))?;
        if now.seconds() >= position.expires {
            return Err(no("the handle is too old"));
        }
        Ok(position)
    }
}

/// Lengths first, so that no two callers are bound to the same bytes.
fn bound(service: &str, subject: &Subject) -> Vec<u8> {
    let client = subject.client.as_deref().unwrap_or("");
    let mut out = Vec::new();
    for part in [
        service,
        &subject.issuer,
        &subject.sub,
        client,
        subject.kind.as_str(),
    ] {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(sub: &str, client: Option<&str>) -> Subject {
        Subject {
            sub: sub.into(),
            client: client.map(Into::into),
            ..Subject::anonymous()
        }
    }

    #[test]
    fn a_handle_opens_for_its_caller_only_and_not_for_long() {
        let pages = Pages::new(&[7; 32]).unwrap();
        let ann = subject("ann", Some("app"));
        let position = Position::new("Patient", "name=x", "/Patient?_offset=2", "TREAT", Time(0));
        let handle = pages.seal("ehr", &ann, &position).unwrap();
        assert_eq!(pages.open("ehr", &ann, &handle, Time(1)).unwrap(), position);
        for (service, caller) in [
            ("ehr", subject("bob", Some("app"))),
            ("ehr", subject("ann", Some("other"))),
            ("ehr", subject("ann", None)),
            ("ehr", subject("annapp", Some(""))),
            ("lab", subject("ann", Some("app"))),
        ] {
            assert!(pages.open(service, &caller, &handle, Time(1)).is_err());
        }
        assert!(pages.open("ehr", &ann, &handle, Time(3_600_000)).is_err());
        assert!(
            Pages::new(&[8; 32])
                .unwrap()
                .open("ehr", &ann, &handle, Time(1))
                .is_err()
        );
        for end in 0..handle.len() {
            assert!(pages.open("ehr", &ann, &handle[..end], Time(1)).is_err());
        }
    }

    #[test]
    fn the_size_of_a_handle_tells_nothing() {
        let pages = Pages::new(&[7; 32]).unwrap();
        let size = |offset: &str| {
            let position = Position::new(
                "Patient",
                "name=x",
                &format!("/Patient?_offset={offset}"),
                "TREAT",
                Time(0),
            );
            pages
                .seal("ehr", &subject("a", None), &position)
                .unwrap()
                .len()
        };
        assert_eq!(size("2"), size("1000000"));
    }
}
