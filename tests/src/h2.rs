//! HTTP/2 as exact frames over TLS: what no HTTP library would send.
//!
//! Header fields are written as HPACK literals without indexing and without Huffman coding, so
//! that every byte of a name and a value is the test's own. Of answers it reads frames, the
//! status and the body; other header fields stay coded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Raw;
use crate::raw::End;

/// What a connection begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 section 6).
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM on DATA and HEADERS; ACK on SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// ACK on SETTINGS and PING.
pub const ACK: u8 = 1;
/// END_HEADERS on HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;
/// PADDED on DATA and HEADERS.
pub const PADDED: u8 = 8;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's payload");
    let mut out = Vec::with_capacity(9 + payload.len());
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block of these fields, each a literal with its name, whatever the bytes.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name.as_ref());
        string(&mut out, value.as_ref());
    }
    out
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128) as u8 | 128);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(text);
}

/// A frame as it came.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What came on a stream so far.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// The status of the last header block that had one.
    pub status: Option<u16>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The answer is whole.
    pub ended: bool,
    /// The stream was reset, with this error code.
    pub reset: Option<u32>,
}

impl Stream {
    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }
}

/// A connection whose frames are the test's own.
pub struct Frames {
    raw: Raw,
    pending: Vec<u8>,
    /// What came, by stream.
    pub streams: BTreeMap<u32, Stream>,
    /// The error code of a GOAWAY.
    pub goaway: Option<u32>,
    /// How the connection ended, if it did.
    pub end: Option<End>,
}

impl Frames {
    /// Over a connection that agreed on `h2`: sends the preface and settings that keep the peer's
    /// header table empty.
    pub fn open(raw: Raw) -> Self {
        let mut frames = Self::silent(raw);
        frames.send(PREFACE);
        frames.send(&frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]));
        frames
    }

    /// The same without a word.
    pub fn silent(raw: Raw) -> Self {
        Self {
            raw,
            pending: Vec::new(),
            streams: BTreeMap::new(),
            goaway: None,
            end: None,
        }
    }

    /// Sends bytes; whether the connection took them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.raw.send(bytes)
    }

    /// The next frame; settings and pings are acknowledged on the way.
    pub fn next(&mut self, within: Duration) -> Result<Frame, End> {
        loop {
            if let Some(frame) = self.cut() {
                self.note(&frame);
                return Ok(frame);
            }
            match self.raw.read_some(within) {
                Ok(bytes) => self.pending.extend(bytes),
                Err(end) => {
                    if end != End::Silent {
                        self.end = Some(end);
                    }
                    return Err(end);
                }
            }
        }
    }

    /// Reads until these streams are over, or the connection is, or `within` has passed. Whether
    /// they are over.
    pub fn wait(&mut self, streams: &[u32], within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let over = |id| self.streams.get(id).is_some_and(Stream::is_over);
            if streams.iter().all(over) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.next(left).is_err() {
                return false;
            }
        }
    }

    fn cut(&mut self) -> Option<Frame> {
        let head = self.pending.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let (kind, flags) = (head[3], head[4]);
        let payload = self.pending.get(9..9 + length)?.to_vec();
        self.pending.drain(..9 + length);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    fn note(&mut self, frame: &Frame) {
        let code = |at: usize| {
            let bytes = frame.payload.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        match frame.kind {
            kind::SETTINGS if frame.flags & ACK == 0 => {
                let ack = self::frame(kind::SETTINGS, ACK, 0, b"");
                self.raw.send(&ack);
            }
            kind::PING if frame.flags & ACK == 0 => {
                let ack = self::frame(kind::PING, ACK, 0, &frame.payload);
                self.raw.send(&ack);
            }
            kind::GOAWAY => self.goaway = code(4),
            kind::HEADERS => {
                let stream = self.streams.entry(frame.stream).or_default();
                stream.status = status(&frame.payload).or(stream.status);
                stream.ended |= frame.flags & END_STREAM != 0;
            }
            kind::DATA => {
                let stream = self.streams.entry(frame.stream).or_default();
                stream.body.extend_from_slice(&frame.payload);
                stream.ended |= frame.flags & END_STREAM != 0;
            }
            kind::RST_STREAM => {
                self.streams.entry(frame.stream).or_default().reset = code(0);
            }
            _ => {}
        }
    }
}

/// The `:status` at the start of a header block, in the forms that an encoder gives it: from the
/// static table, or a literal of three digits (RFC 7541 sections 6.1, 6.2 and appendices A, B).
pub fn status(block: &[u8]) -> Option<u16> {
    let at = block.iter().position(|byte| byte >> 5 != 1)?;
    let block = block.get(at..)?;
    let indexed = [200, 204, 206, 304, 400, 404, 500];
    match *block.first()? {
        byte @ 0x88..=0x8e => indexed.get(usize::from(byte - 0x88)).copied(),
        // a literal whose name is one of the seven
        byte @ (0x48..=0x4e | 0x08..=0x0e) if byte & 0x30 == 0 => {
            let length = *block.get(1)?;
            let text = block.get(2..2 + usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                std::str::from_utf8(text).ok()?.parse().ok()
            } else {
                digits(text)
            }
        }
        _ => None,
    }
}

/// Three digits in Huffman coding: 0 to 2 have five bits, 3 to 9 six.
fn digits(text: &[u8]) -> Option<u16> {
    let mut bits = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |n| u16::from(byte >> n & 1)));
    let mut value = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        let digit = match code {
            0..=2 => code,
            _ => (code << 1 | bits.next()?).checked_sub(0b01_1001)? + 3,
        };
        value = value * 10 + digit;
    }
    (100..600).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_written_as_the_specification_has_it() {
        // RFC 7541 appendix C.2.2, with its name spelled out
        assert_eq!(
            block(&[("custom-key", "custom-header")]),
            b"\x00\x0acustom-key\x0dcustom-header"
        );
        let long = "x".repeat(1337);
        assert_eq!(block(&[("a", &long)])[3..6], [127, 0b1011_1010, 9]);
    }

    #[test]
    fn a_frame_has_length_type_flags_and_stream() {
        assert_eq!(
            frame(kind::DATA, END_STREAM, 5, b"abc"),
            b"\0\0\x03\0\x01\0\0\0\x05abc"
        );
    }

    #[test]
    fn a_status_is_read_in_each_coding() {
        for (block, code) in [
            (&[0x88][..], Some(200)),
            (&[0x20, 0x8d], Some(404)),
            (&[0x48, 3, b'4', b'0', b'3'], Some(403)),
            // RFC 7541 appendix C.6.1: 302 in Huffman coding
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            // appendix C.6.2: 307
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x20, 0x08, 0x82, 0x64, 0x02], Some(302)),
            (&[0x58, 0x85], None),
        ] {
            assert_eq!(status(block), code, "{block:x?}");
        }
    }
}
