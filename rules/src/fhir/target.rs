//! One parse of a request target, for deciding and for sending: path segments and query pairs.
//!
//! What could be read in two ways is refused: percent signs, dots and empty segments in a path,
//! `;` in a query, malformed escapes, control characters.

use crate::refusal::{No, Reason};

/// The path below a service, split: only letters, digits and `-._$` in a segment.
pub fn segments(path: &str) -> Result<Vec<&str>, No> {
    let odd = || No::new(Reason::NotUnderstood).because("odd path");
    let rest = match path.strip_prefix('/') {
        Some(rest) => rest,
        None if path.is_empty() => return Ok(Vec::new()),
        None => return Err(odd()),
    };
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/')
        .map(|segment| {
            let plain = segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'$'));
            if plain && !segment.is_empty() && segment.bytes().any(|b| b != b'.') {
                Ok(segment)
            } else {
                Err(odd())
            }
        })
        .collect()
}

/// Name and value of each pair of a query or a form, decoded once, in order.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, No> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    query
        .split('&')
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| No::new(Reason::NotUnderstood).because("a parameter without `=`"))?;
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, No> {
    let odd = || No::new(Reason::NotUnderstood).because("odd query");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|b| (b as char).to_digit(16));
                    digit.and_then(|d| u8::try_from(d).ok()).ok_or_else(odd)
                };
                digit()? << 4 | digit()?
            }
            b'+' => b' ',
            b';' | b'#' | 0..=0x20 | 0x7f.. => return Err(odd()),
            byte => byte,
        });
    }
    let text = String::from_utf8(out).map_err(|_| odd())?;
    if text.chars().any(char::is_control) {
        return Err(odd());
    }
    Ok(text)
}

/// Appends `text` percent-encoded: all but RFC 3986's unreserved characters.
pub fn encode(out: &mut String, text: &str) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            out.push('%');
            out.extend(HEX.get(usize::from(byte >> 4)));
            out.extend(HEX.get(usize::from(byte & 15)));
        }
    }
}

/// Appends pairs as a query or a form.
pub fn write_pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (i, (name, value)) in pairs.enumerate() {
        if i > 0 {
            out.push('&');
        }
        encode(out, name);
        out.push('=');
        encode(out, value);
    }
}

/// Whether `text` is a FHIR id: `[A-Za-z0-9\-\.]{1,64}`.
pub fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() | (b == b'-') | (b == b'.');
    // all bytes are looked at, many at once: rows ask it twice each
    (1..=64).contains(&text.len()) && text.bytes().fold(true, |all, b| all & allowed(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_split_and_odd_ones_refused() {
        assert_eq!(segments("").unwrap(), Vec::<&str>::new());
        assert_eq!(segments("/").unwrap(), Vec::<&str>::new());
        assert_eq!(segments("/Patient/a.b-1").unwrap(), ["Patient", "a.b-1"]);
        for odd in [
            "Patient",
            "//",
            "/Patient/",
            "/Patient//1",
            "/Patient/..",
            "/Patient/.",
            "/./Patient/1",
            "/Patient/%31",
            "/Patient%2f1",
            "/Patient/1;a=b",
            "/Patient/1%00",
            "/Patient\\1",
            "/Patient/1 ",
            "/Patient/...",
            "/Pâtient/1",
            "/Patient/1,2",
            "/Patient/a%252fb",
            "/Patient/1?x",
            "/Patient/1#f",
        ] {
            assert_eq!(
                segments(odd).unwrap_err().reason,
                Reason::NotUnderstood,
                "{odd}"
            );
        }
    }

    #[test]
    fn queries_are_decoded_once_and_encode_back() {
        assert_eq!(pairs("").unwrap(), []);
        let got = pairs("code=http%3A%2F%2Floinc.org%7C8480-6&name=O%27Neil+J&x=%252e").unwrap();
        let got: Vec<(&str, &str)> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            got,
            [
                ("code", "http://loinc.org|8480-6"),
                ("name", "O'Neil J"),
                ("x", "%2e")
            ]
        );
        let mut out = String::new();
        write_pairs(&mut out, got.iter().copied());
        assert_eq!(
            out,
            "code=http%3A%2F%2Floinc.org%7C8480-6&name=O%27Neil%20J&x=%252e"
        );
        for odd in [
            "a", "a=1&", "&a=1", "a=1;b=2", "a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "a=b c",
            "a=\u{e9}", "a=1#b",
        ] {
            assert_eq!(
                pairs(odd).unwrap_err().reason,
                Reason::NotUnderstood,
                "{odd}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_itself(name in "[a-z]{1,5}", value in "[^\\p{Cc}]{0,20}") {
            let mut out = String::new();
            write_pairs(&mut out, [(name.as_str(), value.as_str())].into_iter());
            proptest::prop_assert_eq!(pairs(&out).unwrap(), vec![(name, value)]);
        }
    }
}
