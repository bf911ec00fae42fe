//! JSON tokens over a byte slice: where they end, and whether they are well-formed (RFC 8259).
//!
//! A slice may end early: that is [`Stop::Incomplete`], never a fault. UTF-8 is checked by the
//! caller over the whole row.

use super::view::Words;
use super::{Fault, Stop};

/// Nesting deeper than this is refused.
pub(crate) const MAX_DEPTH: u32 = 64;

/// First position at or after `at` that is not white space.
#[inline]
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The byte at `at`, or [`Stop::Incomplete`].
#[inline]
pub(crate) fn byte(bytes: &[u8], at: usize) -> Result<u8, Stop> {
    bytes.get(at).copied().ok_or(Stop::Incomplete)
}

/// Demands `wanted` at `at` and steps over it.
#[inline]
pub(crate) fn expect(bytes: &[u8], at: usize, wanted: u8) -> Result<usize, Stop> {
    if byte(bytes, at)? == wanted {
        Ok(at + 1)
    } else {
        Err(fault("unexpected character", at))
    }
}

#[cold]
pub(crate) fn fault(what: &'static str, at: usize) -> Stop {
    Stop::Fault(Box::new(Fault { what, at }))
}

/// A scanned string: the position after its closing quote, and whether it has escapes.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) end: usize,
    pub(crate) escaped: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Non-zero where a byte of the word is `"`, `\` or a control character; the lowest set bit
/// marks the first such byte exactly.
#[inline]
pub(crate) fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(quote) | zero(slash) | control) & HIGHS
}

/// Scans a string whose opening quote is just before `at`.
#[inline]
pub(crate) fn string(bytes: &[u8], mut at: usize) -> Result<Text, Stop> {
    let mut escaped = false;
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let found = special(u64::from_le_bytes(*chunk));
            if found == 0 {
                at += 8;
            } else {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
        }
        match byte(bytes, at)? {
            b'"' => {
                return Ok(Text {
                    end: at + 1,
                    escaped,
                });
            }
            b'\\' => {
                escaped = true;
                at = escape(bytes, at)?;
            }
            0..=0x1f => return Err(fault("control character in a string", at)),
            _ => at += 1,
        }
    }
}

/// A scanned key: where it ends (before its closing quote), and its ends as numbers.
pub(crate) struct Key {
    pub(crate) end: usize,
    pub(crate) words: Words,
}

/// Scans a key whose opening quote is just before `at`. `None`: it has escapes, or is malformed,
/// or the bytes end soon; [`string`] tells which.
#[inline]
pub(crate) fn plain_key(bytes: &[u8], at: usize) -> Option<Key> {
    let rest = bytes.get(at..)?;
    let first = u64::from_le_bytes(*rest.first_chunk::<8>()?);
    let found = special(first);
    if found != 0 {
        let length = (found.trailing_zeros() / 8) as usize;
        if *rest.get(length)? != b'"' {
            return None;
        }
        let mask = (1u64 << (8 * length)) - 1;
        let words = Words {
            head: first & mask,
            tail: 0,
            length: length as u64,
        };
        return Some(Key {
            end: at + length,
            words,
        });
    }
    let mut length = 8;
    loop {
        let found = special(u64::from_le_bytes(*rest.get(length..)?.first_chunk::<8>()?));
        if found == 0 {
            length += 8;
            continue;
        }
        length += (found.trailing_zeros() / 8) as usize;
        if *rest.get(length)? != b'"' {
            return None;
        }
        let tail = u64::from_le_bytes(*rest.get(length - 8..)?.first_chunk::<8>()?);
        let words = Words {
            head: first,
            tail,
            length: length as u64,
        };
        return Some(Key {
            end: at + length,
            words,
        });
    }
}

/// Steps over one escape, surrogate pairs together.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match byte(bytes, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => {
            let unit = hex4(bytes, at + 2)?;
            match unit {
                0xd800..=0xdbff => {
                    if byte(bytes, at + 6)? != b'\\' || byte(bytes, at + 7)? != b'u' {
                        return Err(fault("lone surrogate", at));
                    }
                    match hex4(bytes, at + 8)? {
                        0xdc00..=0xdfff => Ok(at + 12),
                        _ => Err(fault("lone surrogate", at)),
                    }
                }
                0xdc00..=0xdfff => Err(fault("lone surrogate", at)),
                _ => Ok(at + 6),
            }
        }
        _ => Err(fault("unknown escape", at)),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, Stop> {
    let mut value = 0;
    for i in at..at + 4 {
        let digit = (byte(bytes, i)? as char).to_digit(16);
        value = value * 16 + digit.ok_or_else(|| fault("unknown escape", i))?;
    }
    Ok(value)
}

/// Scans a number or a literal that begins at `at`; the position after it.
#[inline]
pub(crate) fn scalar(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match byte(bytes, at)? {
        b't' => literal(bytes, at, b"true"),
        b'f' => literal(bytes, at, b"false"),
        b'n' => literal(bytes, at, b"null"),
        b'-' | b'0'..=b'9' => number(bytes, at),
        _ => Err(fault("unexpected character", at)),
    }
}

fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Stop> {
    for (i, wanted) in word.iter().enumerate() {
        if byte(bytes, at + i)? != *wanted {
            return Err(fault("unexpected character", at + i));
        }
    }
    Ok(at + word.len())
}

fn number(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    let digits = |mut at: usize| -> Result<usize, Stop> {
        if !byte(bytes, at)?.is_ascii_digit() {
            return Err(fault("malformed number", at));
        }
        while byte(bytes, at)?.is_ascii_digit() {
            at += 1;
        }
        Ok(at)
    };
    if byte(bytes, at)? == b'-' {
        at += 1;
    }
    if byte(bytes, at)? == b'0' {
        at += 1;
        if byte(bytes, at)?.is_ascii_digit() {
            return Err(fault("malformed number", at));
        }
    } else {
        at = digits(at)?;
    }
    if byte(bytes, at)? == b'.' {
        at = digits(at + 1)?;
    }
    if let b'e' | b'E' = byte(bytes, at)? {
        at += 1;
        if let b'+' | b'-' = byte(bytes, at)? {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

/// Steps over a whole value that begins at `at`, well-formed or refused. Keys are not compared.
pub(crate) fn skip_value(bytes: &[u8], at: usize, depth: u32) -> Result<usize, Stop> {
    match byte(bytes, at)? {
        b'"' => Ok(string(bytes, at + 1)?.end),
        b'{' => {
            deeper(depth, at)?;
            let mut at = skip_space(bytes, at + 1);
            if byte(bytes, at)? == b'}' {
                return Ok(at + 1);
            }
            loop {
                at = expect(bytes, at, b'"')?;
                at = skip_space(bytes, string(bytes, at)?.end);
                at = skip_space(bytes, expect(bytes, at, b':')?);
                at = skip_space(bytes, skip_value(bytes, at, depth + 1)?);
                match byte(bytes, at)? {
                    b',' => at = skip_space(bytes, at + 1),
                    b'}' => return Ok(at + 1),
                    _ => return Err(fault("unexpected character", at)),
                }
            }
        }
        b'[' => {
            deeper(depth, at)?;
            let mut at = skip_space(bytes, at + 1);
            if byte(bytes, at)? == b']' {
                return Ok(at + 1);
            }
            loop {
                at = skip_space(bytes, skip_value(bytes, at, depth + 1)?);
                match byte(bytes, at)? {
                    b',' => at = skip_space(bytes, at + 1),
                    b']' => return Ok(at + 1),
                    _ => return Err(fault("unexpected character", at)),
                }
            }
        }
        _ => scalar(bytes, at),
    }
}

pub(crate) fn deeper(depth: u32, at: usize) -> Result<(), Stop> {
    if depth >= MAX_DEPTH {
        return Err(fault("nested too deep", at));
    }
    Ok(())
}

/// The text between the quotes of a scanned string, escapes undone.
pub(crate) fn unescape(raw: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// A member of an object: its key, where its value begins and ends.
pub(crate) struct Member<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) escaped: bool,
    pub(crate) value: usize,
    pub(crate) end: usize,
}

/// The members of the object that begins at `at`, one after the other; stops at the first fault.
pub(crate) fn members<'a>(
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    mut each: impl FnMut(Member<'a>) -> bool,
) -> Result<usize, Stop> {
    deeper(depth, at)?;
    let mut at = skip_space(bytes, expect(bytes, at, b'{')?);
    if byte(bytes, at)? == b'}' {
        return Ok(at + 1);
    }
    loop {
        let key = expect(bytes, at, b'"')?;
        let text = string(bytes, key)?;
        at = skip_space(bytes, text.end);
        let value = skip_space(bytes, expect(bytes, at, b':')?);
        let end = skip_value(bytes, value, depth + 1)?;
        let member = Member {
            key: bytes.get(key..text.end - 1).unwrap_or_default(),
            escaped: text.escaped,
            value,
            end,
        };
        if !each(member) {
            return Ok(end);
        }
        at = skip_space(bytes, end);
        match byte(bytes, at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return Ok(at + 1),
            _ => return Err(fault("unexpected character", at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<usize, Stop> {
        // a space after, so that a number's end is seen
        let text = format!("{text} ");
        skip_value(text.as_bytes(), 0, 0)
    }

    #[test]
    fn well_formed_values_end_where_they_end() {
        for text in [
            "0",
            "-0",
            "10.5e-3",
            "1E400",
            "true",
            "false",
            "null",
            "\"\"",
            "\"a\\u0041\\\\\\\"\"",
            "\"\\ud83e\\ude7a\"",
            "[]",
            "[1,[2],{}]",
            "{}",
            "{ \"a\" : [ 1 , 2 ] , \"b\" : {} }",
            "\"01234567890123456789\\n\"",
        ] {
            assert_eq!(value(text).ok(), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn malformed_values_are_faults() {
        for text in [
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "nul ",
            "tru3",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"a\nb\"",
            "\"a\u{0}b\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "}",
            "'a'",
            "NaN",
        ] {
            assert!(matches!(value(text), Err(Stop::Fault(_))), "{text}");
        }
    }

    #[test]
    fn a_value_cut_short_is_incomplete() {
        let whole = br#"{"a":[1,-2.5e3,"x\u0041\ud83e\ude7a"],"b":true}"#;
        for end in 0..whole.len() {
            assert!(
                matches!(skip_value(&whole[..end], 0, 0), Err(Stop::Incomplete)),
                "{end}"
            );
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(value(&deep(64)).is_ok());
        assert!(value(&deep(65)).is_err());
    }

    #[test]
    fn special_bytes_are_found_at_every_place_and_no_others() {
        for place in 0..8 {
            for byte in 0..=255u8 {
                let mut word = [b'a'; 8];
                word[place] = byte;
                let found = special(u64::from_le_bytes(word));
                let is = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                assert_eq!(found != 0, is, "{byte} at {place}");
                if is {
                    assert_eq!((found.trailing_zeros() / 8) as usize, place);
                }
            }
        }
    }
}
