//! What payloads are made of. Every id in them ends in `-0000`, which stands for the payload's own
//! number: the length stays.

/// The host and the token that good requests name.
pub struct Maker {
    pub host: String,
    pub token: String,
}

/// Bytes for a connection of their own.
#[derive(Clone)]
pub struct Payload {
    /// What is tried.
    pub name: String,
    /// All of it: one request by a strict reading, or none.
    pub bytes: Vec<u8>,
    /// Not even the outer request may reach the upstream.
    pub is_bad: bool,
}

impl Payload {
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
            is_bad: false,
        }
    }

    /// One that is no request by a strict reading.
    pub fn bad(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            is_bad: true,
            ..Self::new(name, bytes)
        }
    }

    /// The bytes with this number in them.
    pub fn numbered(&self, number: usize) -> Vec<u8> {
        numbered(&self.bytes, number)
    }
}

/// `bytes` with this number where `0000` ends an id.
pub fn numbered(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let digits = format!("-{number:04}");
    for at in 0..out.len().saturating_sub(4) {
        if &out[at..at + 5] == b"-0000" {
            out[at..at + 5].copy_from_slice(digits.as_bytes());
        }
    }
    out
}

/// The form of a search for the outer request's row.
pub const FORM: &str = "_id=outer-0000";

impl Maker {
    /// A head: the request line, what every good request has, `more` lines, the empty line.
    pub fn head(&self, line: &str, id: &str, more: &str) -> String {
        format!(
            "{line}\r\nHost: {}\r\nAuthorization: Bearer {}\r\nX-Request-Id: {id}\r\n{more}\r\n",
            self.host, self.token
        )
    }

    /// A whole read of `Patient/{id}` by a good caller.
    pub fn read(&self, id: &str, more: &str) -> String {
        self.head(&format!("GET /fhir/Patient/{id} HTTP/1.1"), id, more)
    }

    /// The outer request as a read, with `more` lines.
    pub fn get(&self, more: &str) -> String {
        self.read("outer-0000", more)
    }

    /// The head of the outer request as a search by form, with `more` lines.
    pub fn post(&self, more: &str) -> String {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let line = "POST /fhir/Patient/_search HTTP/1.1";
        self.head(line, "outer-0000", &format!("{form}{more}"))
    }

    /// The request that is hidden: it would be answered if it stood alone.
    pub fn hidden(&self) -> String {
        self.read("hidden-0000", "")
    }
}

/// A body as one chunk and the last one.
pub fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}
