//! A search set: each entry's resource is judged alone by the grants of its type.
//!
//! The upstream's ids, meta, scores and modes never leave.

use std::borrow::Cow;

use bytes::Bytes;

use super::frame::{Entries, Frame};
use super::page::{Page, Written, full_url};
use super::row::odd;
use super::{Sink, UpstreamHead};
use crate::decide::row::{Judged, RowJudge, type_at};
use crate::mask::row::{is_key, quoted};
use crate::mask::scan::{self, byte, expect, fault, skip_space, skip_value};
use crate::mask::{Fault, Stop};
use crate::refusal::{No, Reason};

/// Judges the rows that a search finds.
#[derive(Debug)]
pub(in crate::decide) struct SearchSet {
    rows: RowJudge,
    /// Of a search over several types: the judges of the others, by type.
    others: Vec<RowJudge>,
    written: Written,
    /// The upstream knows no such compartment: nothing is in it.
    nowhere: bool,
}

/// A search set on its way.
pub(in crate::decide) type SetAnswer = Frame<SearchSet>;

impl SetAnswer {
    /// `rows` has a judge for each type that is searched.
    pub(super) fn of(rows: RowJudge, others: Vec<RowJudge>, page: Page) -> Self {
        let (path, most) = (page.upstream_path.clone(), page.row_max);
        let set = SearchSet {
            rows,
            others,
            written: Written::new(page, "searchset"),
            nowhere: false,
        };
        Self::new(set, "searchset", path, most)
    }

    pub(super) fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        match head.status {
            200 if head.json => Ok(()),
            // whose compartment it is is no matter of the caller's rights to what is in it: that
            // he is missing must look like that he is hidden (D15)
            404 | 410 if self.entries.written.page.within => {
                self.entries.nowhere = true;
                Ok(())
            }
            400 | 404 | 422 => Err(No::new(Reason::UpstreamRejected)),
            status => Err(odd(status)),
        }
    }

    /// Judges further rows as `new` would.
    pub(super) fn renew(&mut self, new: Self, out: &mut Vec<u8>) {
        self.bound(new.entries.written.page.row_max);
        let (set, new) = (&mut self.entries, new.entries);
        (set.rows, set.others) = (new.rows, new.others);
        set.written.renew(new.written.page, out);
    }

    /// The next bytes; how many wait for the rest of their entry.
    pub(super) fn feed(&mut self, chunk: Bytes, sink: &mut Sink) -> Result<usize, Fault> {
        match self.entries.nowhere {
            // the upstream's own words
            true => Ok(0),
            false => self.push(chunk, sink),
        }
    }

    pub(super) fn finish(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        if self.entries.nowhere {
            return self.entries.written.close(Some(0), None, &mut sink.out);
        }
        self.end(sink)?;
        let (total, next) = (self.total, self.next.take());
        let written = &mut self.entries.written;
        written.close(total, next.as_deref(), &mut sink.out)
    }
}

/// Keys of an entry that are read.
const KEYS: [&str; 4] = ["resource", "search", "fullUrl", "link"];

impl Entries for SearchSet {
    fn entry(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop> {
        let from = self.written.mark(&sink.out);
        let end = self.whole_entry(bytes, at, sink);
        if end == Err(Stop::Incomplete) {
            self.written.back(from, &mut sink.out);
        }
        end
    }
}

impl SearchSet {
    /// Judges the resource at `at` by its type's grants.
    fn judge(
        &mut self,
        bytes: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Judged), Stop> {
        if self.others.is_empty() {
            return self.rows.judge(bytes, at, out);
        }
        let resource = type_at(bytes, at)?;
        let judge = self
            .others
            .iter_mut()
            .find(|r| Some(r.resource()) == resource);
        judge.unwrap_or(&mut self.rows).judge(bytes, at, out)
    }

    fn whole_entry(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop> {
        let from = self.written.mark(&sink.out);
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
            let plain = bytes.get(key_at..text.end - 1).unwrap_or_default();
            let key = match KEYS.iter().find(|k| k.as_bytes() == plain) {
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
                self.written.entry(&mut sink.out);
                sink.out.extend_from_slice(b"\"resource\":");
                let (end, judged) = self.judge(bytes, value, &mut sink.out)?;
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
                let out = &mut sink.out;
                out.extend_from_slice(br#","fullUrl":""#);
                full_url(out, &self.written.page.base, row.resource, &row.id);
                out.extend_from_slice(br#"","search":{"mode":"match"}}"#);
                sink.rows.push(row);
            }
            // outcomes and what was not asked for are the upstream's own; they aren't rows
            Some(Judged::Other) | None => self.written.back(from, &mut sink.out),
            Some(Judged::Leaves(_) | Judged::Hidden) => {
                self.written.back(from, &mut sink.out);
                sink.withheld += 1;
            }
        }
        Ok(at + 1)
    }
}
