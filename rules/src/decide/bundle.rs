//! A search set, cut into rows as it arrives: each entry's resource is judged alone, and the
//! Bundle around the rows that leave is the gateway's own.
//!
//! Of the upstream's Bundle, only `type`, `total`, the `next` link and the resources are read;
//! its id, meta, scores and modes never leave. An entry that the bytes at hand don't complete is
//! tried again when more came: so rows are copied only where they cross a chunk.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Sealer;
use super::row::{Judged, RowJudge};
use crate::fhir::tables::{TypeId, r4};
use crate::mask::row::{is_key, quoted};
use crate::mask::scan::{self, byte, expect, fault, skip_space, skip_value};
use crate::mask::{Fault, Stop};
use crate::record::{self, Row};

/// What of the request the Bundle needs.
pub(super) struct Page {
    pub(super) base: Arc<str>,
    pub(super) upstream_path: Arc<str>,
    pub(super) resource: TypeId,
    /// The `self` link, as asked.
    pub(super) link: String,
    /// Whether "rows may be withheld" is said.
    pub(super) notice: bool,
    /// Whether `total` may be told (D11).
    pub(super) complete: bool,
    /// Largest row, bytes.
    pub(super) row_max: usize,
    pub(super) seal: Sealer,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Bundle {
    rows: RowJudge,
    page: Page,
    state: State,
    /// Bytes of an entry or member that isn't whole yet.
    carry: Vec<u8>,
    /// How much must be there before it is tried again.
    wanted: usize,
    seen: Vec<&'static str>,
    is_bundle: bool,
    is_searchset: bool,
    total: Option<u64>,
    next: Option<String>,
    /// The Bundle's beginning was written.
    opened: bool,
    /// So was an entry.
    entries: bool,
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

/// A constant entry: it never depends on data (D14).
const NOTICE: &[u8] = br#"{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational","details":{"coding":[{"system":"https://chartward.dev/reason","code":"rows-may-be-withheld"}],"text":"rows may be withheld"}}]},"search":{"mode":"outcome"}}"#;

/// Keys of an entry that are read.
const KEYS: [&str; 4] = ["resource", "search", "fullUrl", "link"];

impl Bundle {
    pub(super) fn new(rows: RowJudge, page: Page) -> Self {
        Self {
            rows,
            page,
            state: State::Start,
            carry: Vec::new(),
            wanted: 0,
            seen: Vec::new(),
            is_bundle: false,
            is_searchset: false,
            total: None,
            next: None,
            opened: false,
            entries: false,
        }
    }

    /// Bytes that wait for the rest of their entry.
    pub(super) fn pending(&self) -> usize {
        self.carry.len()
    }

    pub(super) fn push(
        &mut self,
        chunk: Bytes,
        out: &mut Vec<u8>,
        rows: &mut Vec<Row>,
        withheld: &mut u64,
    ) -> Result<(), Fault> {
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
                    let used = self.run(&joined, out, rows, withheld)?;
                    if used >= old {
                        at -= joined.len() - used;
                        break;
                    }
                    old -= used;
                    joined.drain(..used);
                }
                if at == chunk.len() {
                    self.keep(joined);
                    return Ok(());
                }
                step *= 8;
            }
        }
        let rest = chunk.get(at..).unwrap_or_default();
        let used = self.run(rest, out, rows, withheld)?;
        self.keep(rest.get(used..).unwrap_or_default().to_vec());
        Ok(())
    }

    /// Keeps the beginning of an entry. It is tried again when a quarter more is there, so that
    /// many small chunks cost no more than a few large ones.
    fn keep(&mut self, carry: Vec<u8>) {
        let length = carry.len();
        let most = self.page.row_max.max(length + 1);
        self.wanted = (length + length / 4).min(most);
        self.carry = carry;
    }

    /// The upstream's answer ended: the rest of the carry, the links, the closing brace.
    pub(super) fn end(
        &mut self,
        out: &mut Vec<u8>,
        rows: &mut Vec<Row>,
        withheld: &mut u64,
    ) -> Result<(), Fault> {
        let mut carry = std::mem::take(&mut self.carry);
        let used = self.run(&carry, out, rows, withheld)?;
        carry.drain(..used);
        self.carry = carry;
        if self.state != State::End || !self.carry.iter().all(u8::is_ascii_whitespace) {
            return Err(Fault {
                what: "truncated",
                at: 0,
            });
        }
        if !self.is_bundle || !self.is_searchset {
            return Err(Fault {
                what: "not a search set",
                at: 0,
            });
        }
        self.open(out);
        if self.entries {
            out.push(b']');
        }
        if let (true, Some(total)) = (self.page.complete, self.total) {
            out.extend_from_slice(b",\"total\":");
            record::number(out, total);
        }
        out.extend_from_slice(br#","link":[{"relation":"self","url":"#);
        record::string(out, &self.page.link);
        out.push(b'}');
        if let Some(position) = &self.next {
            let handle = (self.page.seal)(position);
            if handle.is_empty() {
                return Err(Fault {
                    what: "a next link that is too long",
                    at: 0,
                });
            }
            let url = format!(
                "{}/{}?_page={handle}",
                self.page.base,
                r4().name(self.page.resource)
            );
            out.extend_from_slice(br#",{"relation":"next","url":"#);
            record::string(out, &url);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }

    /// Goes as far as `bytes` reach; how many were used.
    fn run(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        rows: &mut Vec<Row>,
        withheld: &mut u64,
    ) -> Result<usize, Fault> {
        let mut used = 0;
        while self.state != State::End {
            let at = skip_space(bytes, used);
            let before = (out.len(), self.opened, self.entries);
            match self.step(bytes, at, out, rows, withheld) {
                Ok(end) => used = end,
                Err(Stop::Incomplete) => {
                    self.back(before, out);
                    return Ok(used);
                }
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

    fn step(
        &mut self,
        bytes: &[u8],
        at: usize,
        out: &mut Vec<u8>,
        rows: &mut Vec<Row>,
        withheld: &mut u64,
    ) -> Result<usize, Stop> {
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
                let end = self.entry(bytes, at, out, rows, withheld)?;
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
            Some("type") => self.is_searchset = text().is_some_and(|t| t == "searchset"),
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
        let below = path.strip_prefix(&*self.page.upstream_path)?;
        let clean = below
            .bytes()
            .all(|b| (0x21..0x7f).contains(&b) && b != b'#' && b != b'\\');
        let dots = below.split(['/', '?']).any(|s| s == ".." || s == ".");
        // a path that a server could read as another one
        let path = below.split('?').next().unwrap_or("");
        let plain = !path.contains(['%', ';']) && !path.contains("//");
        (clean && !dots && plain && below.starts_with(['/', '?'])).then(|| below.to_owned())
    }

    fn entry(
        &mut self,
        bytes: &[u8],
        at: usize,
        out: &mut Vec<u8>,
        rows: &mut Vec<Row>,
        withheld: &mut u64,
    ) -> Result<usize, Stop> {
        let from = (out.len(), self.opened, self.entries);
        let mut seen = [false; 4];
        let mut others: Vec<Box<str>> = Vec::new();
        let mut row: Option<Judged> = None;
        let mut matches = true;
        let mut at = skip_space(bytes, expect(bytes, at, b'{')?);
        if byte(bytes, at)? == b'}' {
            return Ok(at + 1);
        }
        loop {
            let key_at = expect(bytes, at, b'"')?;
            let text = scan::string(bytes, key_at)?;
            let known = KEYS
                .iter()
                .find(|k| bytes.get(key_at..text.end - 1) == Some(k.as_bytes()));
            let key = match known {
                Some(key) => Cow::Borrowed(*key),
                None => quoted(bytes, at, text.end).ok_or_else(|| fault("malformed key", at))?,
            };
            let known = KEYS.iter().position(|k| **k == *key);
            let twice = match known.and_then(|i| seen.get_mut(i)) {
                Some(seen) => std::mem::replace(seen, true),
                None => {
                    let twice = others.iter().any(|k| **k == *key);
                    others.push(key.as_ref().into());
                    twice
                }
            };
            if twice {
                return Err(fault("duplicate key", at));
            }
            let colon = skip_space(bytes, text.end);
            let value = skip_space(bytes, expect(bytes, colon, b':')?);
            let end = if known == Some(0) {
                self.open(out);
                out.extend_from_slice(if self.entries {
                    b",{\"resource\":"
                } else {
                    b",\"entry\":[{\"resource\":"
                });
                self.entries = true;
                let (end, judged) = self.rows.judge(bytes, value, out)?;
                row = Some(judged);
                end
            } else {
                if known == Some(1) && byte(bytes, value)? == b'{' {
                    scan::members(bytes, value, 3, |member| {
                        if is_key(&member, b"mode") {
                            matches &= quoted(bytes, member.value, member.end)
                                .is_some_and(|m| m == "match");
                        }
                        true
                    })?;
                }
                skip_value(bytes, value, 3)?
            };
            at = skip_space(bytes, end);
            match byte(bytes, at)? {
                b',' => at = skip_space(bytes, at + 1),
                b'}' => break,
                _ => return Err(fault("unexpected character", at)),
            }
        }
        match row {
            Some(Judged::Leaves(row)) if matches => {
                out.extend_from_slice(br#","fullUrl":""#);
                for part in [&*self.page.base, "/", row.resource, "/", &row.id] {
                    out.extend_from_slice(part.as_bytes());
                }
                out.extend_from_slice(br#"","search":{"mode":"match"}}"#);
                rows.push(row);
            }
            // outcomes and what was not asked for are the upstream's own; they aren't rows
            Some(Judged::Other) | None => self.back(from, out),
            Some(Judged::Leaves(_) | Judged::Hidden) => {
                self.back(from, out);
                *withheld += 1;
            }
        }
        Ok(at + 1)
    }

    /// Takes back what an entry wrote.
    fn back(&mut self, (length, opened, entries): (usize, bool, bool), out: &mut Vec<u8>) {
        out.truncate(length);
        (self.opened, self.entries) = (opened, entries);
    }

    /// The Bundle's beginning, once, before the first row or at the end.
    fn open(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        out.extend_from_slice(br#"{"resourceType":"Bundle","type":"searchset""#);
        if self.page.notice {
            out.extend_from_slice(b",\"entry\":[");
            out.extend_from_slice(NOTICE);
            self.entries = true;
        }
    }
}
