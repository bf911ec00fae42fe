//! HTTP/1 heads before the parser reads them: what parsers disagree about is refused.
//!
//! In: the bytes of a connection, in any pieces. Out: the place of the first byte that no head may
//! hold. The parser behind takes a lone LF for a line's end, equal lengths for one, chunks rather
//! than a length, and any coding that ends in `chunked`; a proxy in front may not. Nothing is
//! changed and nothing is held back, so that nothing here can be read in another way than there.
//!
//! Where a head ends and how long a body is, both must agree on: a head ends at CRLF CRLF, as no
//! other line end passes; a body has the one length that its head gives, in digits, or none. After
//! a head that announces chunks nothing is looked at any more: its answer ends the connection.

/// A name longer than this is none of those that count.
const LONGEST: usize = "transfer-encoding".len();

/// Follows the requests of one connection.
#[derive(Default)]
pub(super) struct Heads {
    at: At,
    name: [u8; LONGEST],
    /// Of `name`; more than it holds where it is longer.
    named: usize,
    length: Option<u64>,
    chunked: bool,
    /// An empty line came before the request.
    blank: bool,
}

#[derive(Clone, Copy, Default)]
enum At {
    /// Before a request.
    #[default]
    Start,
    /// In an empty line before a request.
    Blank,
    RequestLine,
    /// After the CR of a line that is not empty.
    Ending,
    LineStart,
    Name,
    Value,
    /// In the value of `Content-Length`.
    Length(Part),
    /// In the value of `Transfer-Encoding`, after so many of its letters.
    Coding(usize),
    /// After the CR of the head's last line.
    Last,
    /// So many bytes of a body are to come.
    Body(u64),
    /// Nothing more is looked at.
    Rest,
}

/// Of a value between white space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Before,
    Within,
    After,
}

const CHUNKED: &[u8] = b"chunked";

impl Heads {
    /// Looks at what came. The place of the first byte that is refused, if any; nothing after it
    /// may be read.
    pub fn look(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
            from += match self.at {
                At::Rest => return None,
                At::Body(left) => {
                    let passed = left.min(rest.len() as u64);
                    self.at = match left - passed {
                        0 => At::Start,
                        left => At::Body(left),
                    };
                    passed as usize
                }
                // the long parts of a head, at a stretch
                At::RequestLine | At::Value => match rest.iter().position(|b| self.stops(*b)) {
                    None => return None,
                    Some(0) => {
                        if !self.step(rest.first().copied().unwrap_or(0)) {
                            return Some(from);
                        }
                        1
                    }
                    Some(passed) => passed,
                },
                _ => {
                    if !self.step(rest.first().copied().unwrap_or(0)) {
                        return Some(from);
                    }
                    1
                }
            };
        }
        None
    }

    /// Takes a byte; false where it may not be here.
    fn step(&mut self, byte: u8) -> bool {
        let next = match (self.at, byte) {
            (At::Start, b'\r') if !self.blank => At::Blank,
            (At::Blank, b'\n') => {
                self.blank = true;
                At::Start
            }
            (At::Start, byte) if !is_control(byte) => At::RequestLine,
            (At::RequestLine | At::Value, b'\r') => At::Ending,
            (at @ (At::RequestLine | At::Value), byte) if !self.stops(byte) => at,
            (At::Ending, b'\n') => At::LineStart,
            (At::LineStart, b'\r') => At::Last,
            (At::LineStart, byte) if is_name(byte) => {
                self.named = 0;
                self.letter(byte);
                At::Name
            }
            (At::Name, b':') => match self.value() {
                Some(at) => at,
                None => return false,
            },
            (At::Name, byte) if is_name(byte) => {
                self.letter(byte);
                At::Name
            }
            (At::Length(part), b' ' | b'\t') if part != Part::Within => At::Length(part),
            (At::Length(Part::Within), b' ' | b'\t') => At::Length(Part::After),
            (At::Length(part), b'0'..=b'9') if part != Part::After => {
                let digit = u64::from(byte - b'0');
                let length = self.length.unwrap_or(0).checked_mul(10);
                self.length = length.and_then(|length| length.checked_add(digit));
                if self.length.is_none() {
                    return false;
                }
                At::Length(Part::Within)
            }
            (At::Length(part), b'\r') if part != Part::Before => At::Ending,
            (At::Coding(0), b' ' | b'\t') => At::Coding(0),
            (At::Coding(n), b' ' | b'\t') if n == CHUNKED.len() => At::Coding(n),
            (At::Coding(n), b'\r') if n == CHUNKED.len() => At::Ending,
            (At::Coding(n), byte) if CHUNKED.get(n) == Some(&byte.to_ascii_lowercase()) => {
                At::Coding(n + 1)
            }
            (At::Last, b'\n') => self.body(),
            _ => return false,
        };
        self.at = next;
        true
    }

    /// Whether a byte ends a stretch of a request line or a value. A target has no fragment (RFC
    /// 9112 section 3.2): the parser behind would cut it off.
    fn stops(&self, byte: u8) -> bool {
        is_control(byte) || byte == b'#' && matches!(self.at, At::RequestLine)
    }

    fn letter(&mut self, byte: u8) {
        if let Some(place) = self.name.get_mut(self.named) {
            *place = byte.to_ascii_lowercase();
        }
        self.named = self.named.saturating_add(1);
    }

    /// What the value after this name must be; `None` where the name may not come (again).
    fn value(&mut self) -> Option<At> {
        let framed = self.length.is_some() || self.chunked;
        match self.name.get(..self.named) {
            Some(b"content-length") => (!framed).then_some(At::Length(Part::Before)),
            Some(b"transfer-encoding") => (!framed).then(|| {
                self.chunked = true;
                At::Coding(0)
            }),
            _ => Some(At::Value),
        }
    }

    /// What follows a head.
    fn body(&mut self) -> At {
        let chunked = std::mem::take(&mut self.chunked);
        self.blank = false;
        match self.length.take() {
            _ if chunked => At::Rest,
            None | Some(0) => At::Start,
            Some(length) => At::Body(length),
        }
    }
}

/// Bytes that end or break a line; tabs are neither.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || byte == 0x7f
}

/// Bytes of a name, as far as they matter here: no white space, no line end, no colon.
fn is_name(byte: u8) -> bool {
    byte > b' ' && byte != b':' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refused place however the bytes are cut, which must not matter.
    fn refused(bytes: &[u8]) -> Option<usize> {
        let whole = Heads::default().look(bytes);
        for size in [1, 2, 3, 7] {
            let mut heads = Heads::default();
            let mut cut = None;
            for (n, piece) in bytes.chunks(size).enumerate() {
                if let Some(at) = heads.look(piece) {
                    cut = Some(n * size + at);
                    break;
                }
            }
            assert_eq!(cut, whole, "{size}: {}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    /// A request with these header lines, and after it another that is refused: so the place tells
    /// where the first one ended.
    fn then_refused(lines: &str, body: &str) -> bool {
        let first = format!("POST / HTTP/1.1\r\nHost: l\r\n{lines}\r\n{body}");
        let second = "GET / HTTP/1.1\r\nx: \0";
        refused(format!("{first}{second}").as_bytes()) == Some(first.len() + second.len() - 1)
    }

    #[test]
    fn requests_end_where_their_heads_say() {
        for (lines, body) in [
            ("", ""),
            ("Content-Length: 0\r\n", ""),
            ("Content-Length: 3\r\n", "a\n\0"),
            ("content-length:\t 12 \r\nx: y\r\n", "GET / HTTP\n\n"),
            ("x-content-length: 5\r\ncontent-lengths: 7\r\n", ""),
            ("Transfer-Encodings: x\r\n", ""),
            ("x:\r\ny: \tz \r\n", "\r\n"),
            ("x: \u{e9}\r\n", ""),
        ] {
            assert!(then_refused(lines, body), "{lines:?} {body:?}");
        }
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\ncontent-length: 4\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: -3\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: 3 3\r\n",
            "Content-Length: \r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 3\r\n",
            "Content-Length\t: 3\r\n",
            "Content-Length: 3\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunke\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding\x0b: chunked\r\n",
            "X: a\n",
            "X: a\r\r\n",
            "X: a\rb\r\n",
            "X: a\0b\r\n",
            "X: a\x7fb\r\n",
            "X: a\r\n b\r\n",
            "X: a\r\n\tb\r\n",
            " X: a\r\n",
            "X\r\n",
            ": a\r\n",
            "X Y: a\r\n",
            "X: a\n\r\n",
        ] {
            let head = format!("POST / HTTP/1.1\r\n{lines}\r\n");
            let at = refused(head.as_bytes());
            assert!(at.is_some_and(|at| at < head.len()), "{lines:?}");
        }
        for head in [
            "GET / HTTP/1.1\n",
            "\nGET / HTTP/1.1\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            "\rGET / HTTP/1.1\r\n",
            "GET /\0 HTTP/1.1\r\n",
            "GET /#f HTTP/1.1\r\n",
            "GET / HTTP/1.1\r \n",
            "\0",
        ] {
            assert!(refused(head.as_bytes()).is_some(), "{head:?}");
        }
        assert_eq!(refused(b"\r\nGET / HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn after_a_head_that_announces_chunks_nothing_is_looked_at() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: \tChunked \r\n\r\n3\nabc\n\0\r \n";
        assert_eq!(refused(head.as_bytes()), None);
    }
}
