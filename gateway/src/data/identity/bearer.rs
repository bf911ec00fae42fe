//! The one credential of a request's headers (RFC 6750 §2.1).

use chartward_rules::refusal::{No, Reason};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The bearer token, if the request has a credential at all.
pub(super) fn token(headers: &HeaderMap, longest: usize) -> Result<Option<&str>, No> {
    if headers.contains_key("dpop") {
        return Err(No::new(Reason::TokenBinding).because("a `DPoP` header"));
    }
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(invalid("more than one `Authorization` header"));
    }
    let value = value
        .to_str()
        .map_err(|_| invalid("`Authorization` is not visible ASCII"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("dpop") {
        return Err(No::new(Reason::TokenBinding).because("a token under the `DPoP` scheme"));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(No::new(Reason::Unauthenticated).because("`Authorization` has another scheme"));
    }
    if token.len() > longest {
        return Err(invalid("token is too long"));
    }
    if !is_b64token(token) {
        return Err(invalid("token has characters that tokens don't have"));
    }
    Ok(Some(token))
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let plain = |b: u8| TOKEN_BYTES.get(usize::from(b)).copied().unwrap_or(false);
    !body.is_empty() && body.bytes().all(plain)
}

/// Which bytes a token has; each request's is looked through.
static TOKEN_BYTES: [bool; 256] = token_bytes();

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, below 128"
)]
const fn token_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let listed = matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        table[byte as usize] = byte.is_ascii_alphanumeric() || listed;
        byte += 1;
    }
    table
}

fn invalid(detail: &'static str) -> No {
    No::new(Reason::InvalidToken).because(detail)
}
