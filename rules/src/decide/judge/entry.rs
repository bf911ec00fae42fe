//! One entry of a Bundle, whole: where its parts are.

use std::borrow::Cow;

use crate::mask::Stop;
use crate::mask::row::{is_key, quoted};
use crate::mask::scan::{self, fault};

/// Where an entry's parts begin and end.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// After the entry.
    pub(super) end: usize,
    pub(super) resource: Option<(usize, usize)>,
    pub(super) request: Option<(usize, usize)>,
    pub(super) response: Option<(usize, usize)>,
}

impl Parts {
    /// The parts of the entry at `at`.
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Self, Stop> {
        let mut parts = Self::default();
        let mut twice = false;
        let end = scan::members(bytes, at, 2, |member| {
            let part = if is_key(&member, b"resource") {
                &mut parts.resource
            } else if is_key(&member, b"request") {
                &mut parts.request
            } else if is_key(&member, b"response") {
                &mut parts.response
            } else {
                return true;
            };
            twice |= part.replace((member.value, member.end)).is_some();
            true
        })?;
        if twice {
            return Err(fault("duplicate key", at));
        }
        parts.end = end;
        Ok(parts)
    }
}

/// The string under `key` of the object that a part is.
pub(super) fn text<'b>(
    bytes: &'b [u8],
    part: Option<(usize, usize)>,
    key: &[u8],
) -> Result<Option<Cow<'b, str>>, Stop> {
    let Some((at, _)) = part.filter(|(at, _)| bytes.get(*at) == Some(&b'{')) else {
        return Ok(None);
    };
    let mut found = None;
    let mut twice = false;
    scan::members(bytes, at, 3, |member| {
        if is_key(&member, key) {
            twice |= found.is_some();
            found = Some(quoted(bytes, member.value, member.end));
        }
        true
    })?;
    if twice {
        return Err(fault("duplicate key", at));
    }
    Ok(found.flatten())
}

/// The status that `200 OK` begins with.
pub(super) fn status(text: &str) -> Option<u16> {
    let digits = text.get(..3)?;
    let ends = text.as_bytes().get(3).is_none_or(|b| *b == b' ');
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    (plain && ends).then(|| digits.parse().ok()).flatten()
}
