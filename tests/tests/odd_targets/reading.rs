//! What a request says, read plainly and apart from the gateway: a path split at slashes, a query
//! split at `&` and the first `=`, each decoded once.

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Below the service's base: `Patient`, `Patient/1`, `Patient/1/Observation`.
    pub path: String,
    /// Without those that ask for JSON.
    pub pairs: Vec<(String, String)>,
}

impl Asked {
    /// The caller's page size.
    pub fn count(&self) -> Option<u32> {
        let pair = self.pairs.iter().find(|(name, _)| name == "_count")?;
        pair.1.parse().ok()
    }

    /// Whether it is a search, whose page size the gateway settles.
    pub fn is_search(&self) -> bool {
        self.path.split('/').count() != 2
    }

    /// The same with this page size, last.
    pub fn with_count(&self, count: Option<u32>) -> Self {
        let mut out = self.clone();
        out.pairs.retain(|(name, _)| name != "_count");
        let count = count.map(|count| ("_count".to_owned(), count.to_string()));
        out.pairs.extend(count);
        out
    }
}

/// A target's bytes.
pub fn target(bytes: &[u8]) -> Option<Asked> {
    let text = std::str::from_utf8(bytes).ok()?;
    // a fragment is no part of a request (RFC 9112 section 3.2)
    if text.contains('#') {
        return None;
    }
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = path.strip_prefix("/fhir")?;
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut pairs = lenient(query)?;
    pairs.retain(|(name, _)| name != "_format" && name != "_pretty");
    let asked = Asked {
        path: path.to_owned(),
        pairs,
    };
    Some(asked.with_count(asked.count()))
}

/// The form of a search for patients.
pub fn form(bytes: &[u8]) -> Option<Asked> {
    target(&[b"/fhir/Patient?", bytes].concat())
}

/// Whether a request names `_format`, which is refused in its own way where it isn't JSON.
pub fn names_format(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let names = text
        .split(['?', '&'])
        .filter_map(|pair| pair.split('=').next());
    names.filter_map(decode).any(|name| name == "_format")
}

/// As a browser would write it: `+` is a space, case of escapes is the same.
fn lenient(query: &str) -> Option<Vec<(String, String)>> {
    split(query, |text| decode(&text.replace('+', " ")))
}

/// As the gateway may write it: nothing but unreserved characters and escapes in upper case.
pub fn strict(query: &str) -> Option<Vec<(String, String)>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%&=".contains(&b);
    if !query.bytes().all(plain) {
        return None;
    }
    split(query, |text| {
        let decoded = decode(text)?;
        let upper = text.split('%').skip(1).all(|rest| {
            let digits = rest.get(..2).unwrap_or("x");
            digits
                .bytes()
                .all(|b| b.is_ascii_digit() || b"ABCDEF".contains(&b))
        });
        upper.then_some(decoded)
    })
}

fn split(query: &str, decode: impl Fn(&str) -> Option<String>) -> Option<Vec<(String, String)>> {
    if query.is_empty() {
        return Some(Vec::new());
    }
    query
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Percent-decodes once.
fn decode(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut out = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok()
}
