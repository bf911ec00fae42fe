//! A Bundle, cut into its entries as it arrives. An entry that the bytes at hand don't complete is
//! tried again when more came: so rows are copied only where they cross a chunk.
//!
//! Of the Bundle itself only `type`, `total` and the `next` link are read.

use std::sync::Arc;

use bytes::Bytes;

use super::Sink;
use super::row::fault as stop;
use crate::mask::row::{is_key, quoted};
use crate::mask::scan::{self, byte, expect, fault, skip_space, skip_value};
use crate::mask::{Fault, Stop};

/// Judges the entries of a Bundle, one after the other.
pub(in crate::decide) trait Entries {
    /// The entry at `at`; the position after it. Nothing of one that isn't whole stays written.
    fn entry(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop>;
}

/// A Bundle on its way in.
#[derive(Debug)]
pub(in crate::decide) struct Frame<E> {
    pub(super) entries: E,
    /// The `type` that it must have.
    kind: &'static str,
    upstream_path: Arc<str>,
    /// Largest entry, bytes.
    row_max: usize,
    state: State,
    /// Bytes of an entry or member that isn't whole yet.
    carry: Vec<u8>,
    /// How much must be there before it is tried again.
    wanted: usize,
    seen: Vec<&'static str>,
    is_bundle: bool,
    is_kind: bool,
    pub(super) total: Option<u64>,
    /// The upstream's position of the next page.
    pub(super) next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// A member, or the end where the Bundle is empty.
    Member {
        first: bool,
    },
    AfterMember,
    /// An entry, or the end of the array.
    Entry {
        first: bool,
    },
    AfterEntry,
    End,
}

impl<E: Entries> Frame<E> {
    pub(super) fn new(
        entries: E,
        kind: &'static str,
        upstream_path: Arc<str>,
        row_max: usize,
    ) -> Self {
        Self {
            entries,
            kind,
            upstream_path,
            row_max,
            state: State::Start,
            carry: Vec::new(),
            wanted: 0,
            seen: Vec::new(),
            is_bundle: false,
            is_kind: false,
            total: None,
            next: None,
        }
    }

    /// The largest entry from here on, bytes.
    pub(super) fn bound(&mut self, row_max: usize) {
        self.row_max = row_max;
    }

    /// The largest entry, bytes.
    pub(super) fn row_max(&self) -> usize {
        self.row_max
    }

    /// The next bytes; how many wait for the rest of their entry.
    pub(super) fn push(&mut self, chunk: Bytes, sink: &mut Sink) -> Result<usize, Fault> {
        let mut at = 0;
        if !self.carry.is_empty() {
            // only as much is joined as the entry that crosses the chunk's edge needs
            let mut joined = std::mem::take(&mut self.carry);
            let mut old = joined.len();
            let mut step = 4096;
            loop {
                let to = chunk.len().min(at + step);
                joined.extend_from_slice(chunk.get(at..to).unwrap_or_default());
                at = to;
                if joined.len() >= self.wanted {
                    let used = self.run(&joined, sink)?;
                    if used >= old {
                        at -= joined.len() - used;
                        break;
                    }
                    old -= used;
                    joined.drain(..used);
                }
                if at == chunk.len() {
                    return Ok(self.keep(joined));
                }
                step *= 8;
            }
        }
        let rest = chunk.get(at..).unwrap_or_default();
        let used = self.run(rest, sink)?;
        Ok(self.keep(rest.get(used..).unwrap_or_default().to_vec()))
    }

    /// Keeps the beginning of an entry. It is tried again when a quarter more is there, so that
    /// many small chunks cost no more than a few large ones.
    fn keep(&mut self, carry: Vec<u8>) -> usize {
        let length = carry.len();
        let most = self.row_max.max(length + 1);
        self.wanted = (length + length / 4).min(most);
        self.carry = carry;
        length
    }

    /// The upstream's answer ended: it must have been whole, and of the type that is due.
    pub(super) fn end(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        let mut carry = std::mem::take(&mut self.carry);
        let used = self.run(&carry, sink)?;
        carry.drain(..used);
        if self.state != State::End || !carry.iter().all(u8::is_ascii_whitespace) {
            return Err(stop("truncated"));
        }
        if !self.is_bundle || !self.is_kind {
            return Err(stop("not the bundle that is due"));
        }
        Ok(())
    }

    /// Goes as far as `bytes` reach; how many were used.
    fn run(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<usize, Fault> {
        let mut used = 0;
        while self.state != State::End {
            let at = skip_space(bytes, used);
            match self.step(bytes, at, sink) {
                Ok(end) => used = end,
                Err(Stop::Incomplete) => return Ok(used),
                Err(Stop::Fault(fault)) => return Err(*fault),
            }
        }
        match skip_space(bytes, used) {
            end if end == bytes.len() => Ok(end),
            end => Err(Fault {
                what: "bytes after the bundle",
                at: end,
            }),
        }
    }

    fn step(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop> {
        match (self.state, byte(bytes, at)?) {
            (State::Start, b'{') => self.go(State::Member { first: true }, at + 1),
            (State::Member { first: true } | State::AfterMember, b'}') => {
                self.go(State::End, at + 1)
            }
            (State::AfterMember, b',') => self.go(State::Member { first: false }, at + 1),
            (State::Member { .. }, b'"') => self.member(bytes, at),
            (State::Entry { first: true } | State::AfterEntry, b']') => {
                self.go(State::AfterMember, at + 1)
            }
            (State::AfterEntry, b',') => self.go(State::Entry { first: false }, at + 1),
            (State::Entry { .. }, b'{') => {
                let end = self.entries.entry(bytes, at, sink)?;
                if end - at > self.row_max {
                    return Err(fault(Fault::ROW_TOO_LARGE, at));
                }
                self.go(State::AfterEntry, end)
            }
            _ => Err(fault("unexpected character", at)),
        }
    }

    fn go(&mut self, state: State, at: usize) -> Result<usize, Stop> {
        self.state = state;
        Ok(at)
    }

    /// A member of the Bundle itself.
    fn member(&mut self, bytes: &[u8], at: usize) -> Result<usize, Stop> {
        let text = scan::string(bytes, at + 1)?;
        let key = quoted(bytes, at, text.end).ok_or_else(|| fault("malformed key", at))?;
        let colon = skip_space(bytes, text.end);
        let value = skip_space(bytes, expect(bytes, colon, b':')?);
        let known = ["resourceType", "type", "total", "link", "entry"]
            .into_iter()
            .find(|k| **k == *key);
        if known.is_some_and(|k| self.seen.contains(&k)) {
            return Err(fault("duplicate key", at));
        }
        if known == Some("entry") {
            if byte(bytes, value)? != b'[' {
                return Err(fault("entry is not an array", value));
            }
            self.seen.push("entry");
            return self.go(State::Entry { first: true }, value + 1);
        }
        let end = skip_value(bytes, value, 1)?;
        // a number's end is seen only by what follows
        byte(bytes, end)?;
        let text = || quoted(bytes, value, end);
        match known {
            Some("resourceType") => self.is_bundle = text().is_some_and(|t| t == "Bundle"),
            Some("type") => self.is_kind = text().is_some_and(|t| t == self.kind),
            Some("total") => {
                let digits = bytes
                    .get(value..end)
                    .and_then(|d| std::str::from_utf8(d).ok());
                self.total = digits.and_then(|d| d.parse().ok());
            }
            Some("link") => self.next = self.next_of(bytes, value)?,
            _ => {}
        }
        self.seen.extend(known);
        self.go(State::AfterMember, end)
    }

    /// The upstream's position of the next page, from its `link` array.
    fn next_of(&self, bytes: &[u8], at: usize) -> Result<Option<String>, Stop> {
        if byte(bytes, at)? != b'[' {
            return Err(fault("link is not an array", at));
        }
        let mut next = None;
        let mut at = skip_space(bytes, at + 1);
        while byte(bytes, at)? == b'{' {
            let (mut relation, mut url) = (None, None);
            at = scan::members(bytes, at, 2, |member| {
                if is_key(&member, b"relation") {
                    relation = quoted(bytes, member.value, member.end);
                }
                if is_key(&member, b"url") {
                    url = quoted(bytes, member.value, member.end);
                }
                true
            })?;
            if relation.as_deref() == Some("next") {
                let position = url.as_deref().and_then(|url| self.position(url));
                next = Some(
                    position
                        .ok_or_else(|| fault("a next link that is not the upstream's own", at))?,
                );
            }
            at = skip_space(bytes, at);
            match byte(bytes, at)? {
                b',' => at = skip_space(bytes, at + 1),
                _ => break,
            }
        }
        Ok(next)
    }

    /// Path and query below the upstream's base. Its host doesn't count: it is asked where it is.
    fn position(&self, url: &str) -> Option<String> {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest
                .find(['/', '?'])
                .map_or("", |i| rest.get(i..).unwrap_or("")),
            None => url,
        };
        let below = path.strip_prefix(&*self.upstream_path)?;
        let clean = below
            .bytes()
            .all(|b| (0x21..0x7f).contains(&b) && b != b'#' && b != b'\\');
        let dots = below.split(['/', '?']).any(|s| s == ".." || s == ".");
        // a path that a server could read as another one
        let path = below.split('?').next().unwrap_or("");
        let plain = !path.contains(['%', ';']) && !path.contains("//");
        (clean && !dots && plain && below.starts_with(['/', '?'])).then(|| below.to_owned())
    }
}
