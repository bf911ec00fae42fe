//! One pass over one resource: what the view shows is copied span by span, the rest is cut with
//! the right commas, and what a decision needs is collected on the way.
//!
//! Under a view that hides something, white space between tokens goes, so that it can't tell
//! what was there (D7). Under a view that hides nothing, the row leaves byte for byte.

use std::borrow::Cow;

use super::compile::REDACTED;
use super::probe::{Finding, Probe, ProbeId, Slot};
use super::scan::{self, byte, deeper, expect, fault, skip_value};
use super::view::{Act, Node, NodeId, View, type_named};
use super::{Fault, Stop};
use crate::fhir::tables::TypeId;

/// A contained resource, judged before its container is walked.
#[derive(Debug)]
pub(crate) struct Contained {
    pub(crate) id: Box<str>,
    pub(crate) resource: TypeId,
    /// `None`: it goes, with the references to it.
    pub(crate) view: Option<std::sync::Arc<View>>,
}

/// Judges resources inside a row.
pub(crate) trait Inner {
    /// A row of its own inside another (`Bundle.entry.resource`): its masked bytes, or `None`.
    fn row(&self, bytes: &[u8], depth: u32) -> Result<Option<Vec<u8>>, Fault>;
}

/// What a walk found out.
#[derive(Debug)]
pub(crate) struct Walked<'a> {
    /// Position after the row.
    pub(crate) end: usize,
    pub(crate) findings: Vec<Finding<'a>>,
    /// The view withholds the row.
    pub(crate) withheld: bool,
    /// The row has contained resources or references to them: judge those, then walk again.
    pub(crate) needs_contained: bool,
}

/// Walks the resource at `at` and appends what leaves to `out`.
///
/// `contained` is `None` on the first walk; a row that needs it says so.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    at: usize,
    view: &'a View,
    probe: &'a Probe,
    contained: Option<&'a [Contained]>,
    inner: &'a dyn Inner,
    out: &mut Vec<u8>,
) -> Result<Walked<'a>, Stop> {
    let mut walk = Walk {
        bytes,
        view,
        probe,
        contained,
        inner,
        out,
        run: at,
        findings: Vec::new(),
        withheld: view.withholds,
        needs_contained: false,
        inside: false,
        marked: false,
        meta_kept: false,
    };
    let (end, _) = walk.object(at, view.root, Some(Probe::ROOT), 0, Kind::Root)?;
    walk.flush(end);
    let row = bytes.get(at..end).unwrap_or_default();
    if std::str::from_utf8(row).is_err() {
        return Err(fault("not utf-8", at));
    }
    Ok(Walked {
        end,
        findings: walk.findings,
        withheld: walk.withheld,
        needs_contained: walk.needs_contained,
    })
}

/// What the object is, for what is put at its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Root,
    Meta,
}

/// Whether a member stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
    /// Nor does the object around it.
    NorParent,
}

struct Walk<'a, 'o> {
    bytes: &'a [u8],
    view: &'a View,
    probe: &'a Probe,
    contained: Option<&'a [Contained]>,
    inner: &'a dyn Inner,
    out: &'o mut Vec<u8>,
    /// Where the span begins that is copied next.
    run: usize,
    findings: Vec<Finding<'a>>,
    withheld: bool,
    needs_contained: bool,
    /// Within a contained resource.
    inside: bool,
    /// `meta.security` took the mark.
    marked: bool,
    meta_kept: bool,
}

/// A point to which the output can return.
#[derive(Clone, Copy)]
struct Mark {
    length: usize,
    run: usize,
    at: usize,
}

type Ended = Result<(usize, Kept), Stop>;

impl<'a> Walk<'a, '_> {
    fn object(
        &mut self,
        at: usize,
        id: NodeId,
        probe: Option<ProbeId>,
        depth: u32,
        kind: Kind,
    ) -> Ended {
        deeper(depth, at)?;
        let view = self.view;
        let node = view.node(id).ok_or_else(|| fault("no such node", at))?;
        let object = at;
        let mut at = expect(self.bytes, at, b'{')?;
        let mut seen = [0u64; 8];
        let mut stays = [0u64; 8];
        let mut strangers: Vec<Cow<'a, [u8]>> = Vec::new();
        let mut any = false;
        let mut parent_goes = false;
        let mut mark = self.mark(at);
        at = self.space(at);
        let empty = byte(self.bytes, at)? == b'}';
        if !empty {
            loop {
                let (key, value) = self.key(at)?;
                let child = node.keys.find(&node.children, &key);
                let act = match child {
                    Some(index) => {
                        if set(&mut seen, index) {
                            return Err(fault("duplicate key", at));
                        }
                        node.children.get(index).map_or(Act::Cut, |c| c.act)
                    }
                    None if node.keeps_unknown => {
                        if strangers.contains(&key) {
                            return Err(fault("duplicate key", at));
                        }
                        strangers.push(key.clone());
                        Act::Enter(ANY)
                    }
                    None => Act::Cut,
                };
                let (end, kept) = self.member(value, act, probe, &key, object, depth + 1)?;
                match kept {
                    Kept::Yes => {
                        any = true;
                        if let Some(index) = child {
                            set(&mut stays, index);
                        }
                    }
                    Kept::No | Kept::NorParent => {
                        self.back(mark, end);
                        parent_goes |= kept == Kept::NorParent;
                    }
                }
                at = self.space(end);
                match byte(self.bytes, at)? {
                    b',' => {
                        mark = self.mark(at);
                        if !any {
                            self.cut(at, at + 1);
                        }
                        at = self.space(at + 1);
                    }
                    b'}' => break,
                    _ => return Err(fault("unexpected character", at)),
                }
            }
        }
        if parent_goes {
            return Ok((at + 1, Kept::No));
        }
        let any = self.finish(at, node, &stays, any, empty, kind);
        Ok((at + 1, if any { Kept::Yes } else { Kept::No }))
    }

    /// Puts what belongs at an object's end before the brace at `at`; whether the object stays.
    fn finish(
        &mut self,
        at: usize,
        node: &Node,
        stays: &[u64; 8],
        mut any: bool,
        empty: bool,
        kind: Kind,
    ) -> bool {
        for required in &node.required {
            if !required.children.iter().any(|i| has(stays, *i)) {
                self.put(at, any, &[&required.bytes]);
                any = true;
            }
        }
        if self.view.whole {
            // an object that was empty from the start is no less than it was
            return any || empty;
        }
        match kind {
            Kind::Plain => {}
            Kind::Meta => {
                if any && !self.marked {
                    self.put(at, true, &[b"\"security\":[", REDACTED, b"]"]);
                }
                self.meta_kept = any;
            }
            Kind::Root => {
                if !self.meta_kept {
                    self.put(at, any, &[b"\"meta\":{\"security\":[", REDACTED, b"]}"]);
                    any = true;
                }
            }
        }
        any
    }

    fn member(
        &mut self,
        at: usize,
        act: Act,
        probe: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        let step = probe.and_then(|p| self.probe.step(p, key));
        if let (Some(probe), Some(_)) = (probe, step)
            && !matches!(byte(self.bytes, at)?, b'{' | b'[')
        {
            self.find(at, probe, key, object)?;
        }
        match act {
            Act::Copy => self.copy(at, probe, step, key, object, depth),
            Act::Cut if step.is_none() => Ok((skip_value(self.bytes, at, depth)?, Kept::No)),
            Act::Cut => {
                let (end, _) = self.any(at, probe, step, key, object, depth)?;
                Ok((end, Kept::No))
            }
            Act::Withhold => {
                self.withheld = true;
                Ok((skip_value(self.bytes, at, depth)?, Kept::No))
            }
            Act::Enter(ANY) => self.any(at, probe, step, key, object, depth),
            Act::Enter(node) => self.enter(at, node, step, depth, Kind::Plain),
            Act::Meta(node) => self.meta(at, node, step, depth),
            Act::Marked(node) => {
                let (end, kept) = self.enter(at, node, step, depth, Kind::Plain)?;
                if kept == Kept::Yes && byte(self.bytes, at)? == b'[' {
                    self.put(end - 1, true, &[REDACTED]);
                    self.marked = true;
                    return Ok((end, Kept::Yes));
                }
                Ok((end, Kept::No))
            }
            Act::Siblings(node) => self.siblings(at, node, depth),
            Act::Reference { variants, fallback } => {
                self.references(at, variants, fallback, step, depth)
            }
            Act::Extensions(node) => self.extensions(at, node, false, step, depth),
            Act::Modifiers(node) => self.extensions(at, node, true, step, depth),
            // what is contained contains nothing (dom-2): nobody judged it
            Act::Contained if self.inside => Ok((skip_value(self.bytes, at, depth)?, Kept::No)),
            Act::Contained => self.contained(at, depth),
            Act::Inner => self.inner_row(at, depth),
        }
    }

    /// A primitive, or an array of them. Where the tables say primitive and an object stands, a
    /// view that hides something doesn't know it.
    fn copy(
        &mut self,
        at: usize,
        probe: Option<ProbeId>,
        step: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'"' => Ok((scan::string(self.bytes, at + 1)?.end, Kept::Yes)),
            b'{' if self.view.whole => self.any(at, probe, step, key, object, depth),
            b'{' => Ok((skip_value(self.bytes, at, depth)?, Kept::No)),
            b'[' => self.array(at, depth, |walk, at, depth| {
                if let (Some(probe), Some(_)) = (probe, step)
                    && !matches!(byte(walk.bytes, at)?, b'{' | b'[')
                {
                    walk.find(at, probe, key, object)?;
                }
                match byte(walk.bytes, at)? {
                    b'{' | b'[' if walk.view.whole => walk.any(at, probe, step, key, object, depth),
                    b'{' | b'[' => Ok((skip_value(walk.bytes, at, depth)?, Kept::No)),
                    _ => Ok((skip_value(walk.bytes, at, depth)?, Kept::Yes)),
                }
            }),
            _ => Ok((scan::scalar(self.bytes, at)?, Kept::Yes)),
        }
    }

    /// Anything as it is, keys compared.
    fn any(
        &mut self,
        at: usize,
        probe: Option<ProbeId>,
        step: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'{' => {
                let (end, _) = self.object(at, ANY, step, depth, Kind::Plain)?;
                Ok((end, Kept::Yes))
            }
            b'[' => {
                let (end, _) = self.array(at, depth, |walk, at, depth| {
                    if let (Some(probe), Some(_)) = (probe, step)
                        && !matches!(byte(walk.bytes, at)?, b'{' | b'[')
                    {
                        walk.find(at, probe, key, object)?;
                    }
                    walk.any(at, probe, step, key, object, depth)
                })?;
                Ok((end, Kept::Yes))
            }
            _ => Ok((skip_value(self.bytes, at, depth)?, Kept::Yes)),
        }
    }

    /// An object by its node, or an array of such objects.
    fn enter(
        &mut self,
        at: usize,
        node: NodeId,
        probe: Option<ProbeId>,
        depth: u32,
        kind: Kind,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'{' => self.object(at, node, probe, depth, kind),
            b'[' => self.array(at, depth, |walk, at, depth| {
                walk.enter(at, node, probe, depth, Kind::Plain)
            }),
            _ => {
                let kept = if self.view.whole { Kept::Yes } else { Kept::No };
                Ok((skip_value(self.bytes, at, depth)?, kept))
            }
        }
    }

    fn meta(&mut self, at: usize, node: NodeId, probe: Option<ProbeId>, depth: u32) -> Ended {
        if byte(self.bytes, at)? != b'{' {
            // of the wrong shape it doesn't leave, but its labels count
            let (end, _) = self.any(at, None, probe, b"meta", at, depth)?;
            return Ok((end, Kept::No));
        }
        self.marked = false;
        self.object(at, node, probe, depth, Kind::Meta)
    }

    /// `_x` of a repeating primitive: an item that loses everything leaves `null` in its place.
    fn siblings(&mut self, at: usize, node: NodeId, depth: u32) -> Ended {
        if byte(self.bytes, at)? != b'[' {
            return Ok((skip_value(self.bytes, at, depth)?, Kept::No));
        }
        let mut left = false;
        let (end, _) = self.array(at, depth, |walk, at, depth| {
            let mark = walk.mark(at);
            let (end, kept) = walk.enter(at, node, None, depth, Kind::Plain)?;
            if kept == Kept::Yes {
                left = true;
            } else {
                walk.back(mark, end);
                walk.out.extend_from_slice(b"null");
            }
            Ok((end, Kept::Yes))
        })?;
        Ok((end, if left { Kept::Yes } else { Kept::No }))
    }

    fn references(
        &mut self,
        at: usize,
        variants: [NodeId; 4],
        fallback: u8,
        probe: Option<ProbeId>,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'{' => match self.points_to(at, fallback, depth)? {
                Some(bits) => {
                    let [none, display, identifier, both] = variants;
                    let node = match bits {
                        0 => none,
                        1 => display,
                        2 => identifier,
                        _ => both,
                    };
                    self.object(at, node, probe, depth, Kind::Plain)
                }
                None => {
                    let (end, _) = self.object(at, ANY, probe, depth, Kind::Plain)?;
                    Ok((end, Kept::No))
                }
            },
            b'[' => self.array(at, depth, |walk, at, depth| {
                walk.references(at, variants, fallback, probe, depth)
            }),
            _ => self.enter(at, variants[0], probe, depth, Kind::Plain),
        }
    }

    /// What of a reference's copies may stay; `None` where it goes with what it points to.
    fn points_to(&mut self, at: usize, fallback: u8, depth: u32) -> Result<Option<u8>, Stop> {
        let bytes = self.bytes;
        let (mut reference, mut declared) = (None, None);
        scan::members(bytes, at, depth, |member| {
            if is_key(&member, b"reference") {
                reference = quoted(bytes, member.value, member.end);
                return false;
            }
            if is_key(&member, b"type") {
                declared = quoted(bytes, member.value, member.end);
            }
            true
        })?;
        let copies = &self.view.copies;
        let Some(reference) = reference else {
            let known = declared.and_then(|name| type_named(name.as_bytes()));
            return Ok(Some(known.map_or(fallback, |t| copies.of(t))));
        };
        if let Some(id) = reference.strip_prefix('#') {
            if id.is_empty() {
                return Ok(Some(0));
            }
            let Some(contained) = self.contained else {
                self.needs_contained = true;
                return Ok(None);
            };
            let kept = contained.iter().find(|c| *c.id == *id && c.view.is_some());
            return Ok(kept.map(|c| copies.of(c.resource)));
        }
        Ok(Some(target(&reference).map_or(fallback, |t| copies.of(t))))
    }

    fn extensions(
        &mut self,
        at: usize,
        node: NodeId,
        modifier: bool,
        probe: Option<ProbeId>,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'[' => self.array(at, depth, |walk, at, depth| {
                walk.extensions(at, node, modifier, probe, depth)
            }),
            b'{' => {
                let bytes = self.bytes;
                let mut url = None;
                scan::members(bytes, at, depth, |member| {
                    if is_key(&member, b"url") {
                        url = quoted(bytes, member.value, member.end);
                    }
                    url.is_none()
                })?;
                let listed =
                    url.is_some_and(|url| self.view.extensions.iter().any(|e| **e == *url));
                if listed {
                    return self.object(at, node, probe, depth, Kind::Plain);
                }
                self.withheld |= modifier;
                Ok((skip_value(self.bytes, at, depth)?, Kept::No))
            }
            _ => {
                self.withheld |= modifier;
                Ok((skip_value(self.bytes, at, depth)?, Kept::No))
            }
        }
    }

    fn contained(&mut self, at: usize, depth: u32) -> Ended {
        let Some(contained) = self.contained else {
            self.needs_contained = true;
            return Ok((skip_value(self.bytes, at, depth)?, Kept::No));
        };
        if byte(self.bytes, at)? != b'[' {
            return Err(fault("contained is not an array", at));
        }
        let mut next = contained.iter();
        self.array(at, depth, |walk, at, depth| {
            match next.next().and_then(|c| c.view.as_deref()) {
                Some(view) => {
                    let outer = std::mem::replace(&mut walk.view, view);
                    let meta = std::mem::take(&mut walk.meta_kept);
                    let withheld = std::mem::take(&mut walk.withheld);
                    // a container whose white space stays keeps that of what it contains only
                    // where nothing is cut from either
                    walk.inside = true;
                    let result = walk.object(at, view.root, None, depth, Kind::Root);
                    walk.inside = false;
                    let goes = std::mem::replace(&mut walk.withheld, withheld);
                    walk.meta_kept = meta;
                    walk.view = outer;
                    let (end, kept) = result?;
                    Ok((
                        end,
                        if goes || view.withholds {
                            Kept::No
                        } else {
                            kept
                        },
                    ))
                }
                None => Ok((skip_value(walk.bytes, at, depth)?, Kept::No)),
            }
        })
    }

    /// A resource inside another that is a row of its own; refused, the object around it goes.
    fn inner_row(&mut self, at: usize, depth: u32) -> Ended {
        let end = skip_value(self.bytes, at, depth)?;
        let row = self.bytes.get(at..end).unwrap_or_default();
        match self.inner.row(row, depth)? {
            Some(masked) => {
                self.cut(at, end);
                self.out.extend_from_slice(&masked);
                Ok((end, Kept::Yes))
            }
            None => Ok((end, Kept::NorParent)),
        }
    }

    fn array(
        &mut self,
        at: usize,
        depth: u32,
        mut item: impl FnMut(&mut Self, usize, u32) -> Ended,
    ) -> Ended {
        deeper(depth, at)?;
        let mut at = expect(self.bytes, at, b'[')?;
        let mut any = false;
        let mut mark = self.mark(at);
        at = self.space(at);
        if byte(self.bytes, at)? == b']' {
            return Ok((at + 1, if self.view.whole { Kept::Yes } else { Kept::No }));
        }
        loop {
            let (end, kept) = item(self, at, depth + 1)?;
            if kept == Kept::Yes {
                any = true;
            } else {
                self.back(mark, end);
            }
            at = self.space(end);
            match byte(self.bytes, at)? {
                b',' => {
                    mark = self.mark(at);
                    if !any {
                        self.cut(at, at + 1);
                    }
                    at = self.space(at + 1);
                }
                b']' => return Ok((at + 1, if any { Kept::Yes } else { Kept::No })),
                _ => return Err(fault("unexpected character", at)),
            }
        }
    }

    /// The key at `at` with escapes undone, and where its value begins.
    #[inline]
    fn key(&mut self, at: usize) -> Result<(Cow<'a, [u8]>, usize), Stop> {
        let from = expect(self.bytes, at, b'"')?;
        let text = scan::string(self.bytes, from)?;
        let raw = self.bytes.get(from..text.end - 1).unwrap_or_default();
        let key = if text.escaped {
            let plain = scan::unescape(raw).ok_or_else(|| fault("malformed key", at))?;
            Cow::Owned(plain.into_bytes())
        } else {
            Cow::Borrowed(raw)
        };
        let colon = self.space(text.end);
        let value = expect(self.bytes, colon, b':')?;
        Ok((key, self.space(value)))
    }

    /// Collects the scalar at `at` for every question that asks for it.
    fn find(&mut self, at: usize, probe: ProbeId, key: &[u8], object: usize) -> Result<(), Stop> {
        let bytes = self.bytes;
        let end = skip_value(bytes, at, 0)?;
        let text = match byte(bytes, at)? {
            b'"' => quoted(bytes, at, end),
            // no value, as if the member weren't there
            b'n' => return Ok(()),
            _ => bytes
                .get(at..end)
                .and_then(|raw| std::str::from_utf8(raw).ok())
                .map(Cow::Borrowed),
        };
        let text = text.ok_or_else(|| fault("not utf-8", at))?;
        for slot in self.probe.slots(probe, key) {
            self.findings.push(Finding {
                slot,
                object,
                text: text.clone(),
            });
        }
        Ok(())
    }

    /// First position at or after `at` that is not white space; under a view that hides
    /// something, what was skipped doesn't leave.
    #[inline]
    fn space(&mut self, at: usize) -> usize {
        match self.bytes.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => {}
            _ => return at,
        }
        let end = scan::skip_space(self.bytes, at);
        if !self.view.whole {
            self.cut(at, end);
        }
        end
    }

    #[inline]
    fn mark(&self, at: usize) -> Mark {
        Mark {
            length: self.out.len(),
            run: self.run,
            at,
        }
    }

    /// Takes back all that was written since `mark`, and cuts from there to `end`.
    fn back(&mut self, mark: Mark, end: usize) {
        self.out.truncate(mark.length);
        self.run = mark.run;
        self.cut(mark.at, end);
    }

    /// Leaves out `from..to`.
    #[inline]
    fn cut(&mut self, from: usize, to: usize) {
        self.flush(from);
        self.run = to;
    }

    /// Copies up to `to`.
    #[inline]
    fn flush(&mut self, to: usize) {
        if let Some(span) = self.bytes.get(self.run..to) {
            self.out.extend_from_slice(span);
        }
        self.run = to;
    }

    /// Puts a member before position `at`.
    fn put(&mut self, at: usize, comma: bool, parts: &[&[u8]]) {
        self.flush(at);
        if comma {
            self.out.push(b',');
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

const ANY: NodeId = NodeId(0);

/// Sets the bit; whether it was set.
#[inline]
fn set(bits: &mut [u64; 8], index: usize) -> bool {
    let Some(word) = bits.get_mut(index / 64) else {
        return true;
    };
    let bit = 1u64 << (index % 64);
    let was = *word & bit != 0;
    *word |= bit;
    was
}

fn has(bits: &[u64; 8], index: usize) -> bool {
    bits.get(index / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}

pub(crate) fn is_key(member: &scan::Member<'_>, name: &[u8]) -> bool {
    if member.escaped {
        scan::unescape(member.key).is_some_and(|key| key.as_bytes() == name)
    } else {
        member.key == name
    }
}

/// The text of the string that stands at `at..end`; `None` for anything else.
pub(crate) fn quoted(bytes: &[u8], at: usize, end: usize) -> Option<Cow<'_, str>> {
    let raw = bytes
        .get(at..end)?
        .strip_prefix(b"\"")?
        .strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', raw).is_some() {
        scan::unescape(raw).map(Cow::Owned)
    } else {
        std::str::from_utf8(raw).ok().map(Cow::Borrowed)
    }
}

/// The type that a literal reference names: `Patient/1`, `https://x/fhir/Patient/1/_history/2`.
pub(crate) fn target(reference: &str) -> Option<TypeId> {
    let bytes = reference.as_bytes();
    let (before, last) = cut_at_slash(bytes)?;
    match cut_at_slash(before) {
        Some((before, b"_history")) => {
            let (before, _) = cut_at_slash(before)?;
            type_named(cut_at_slash(before).map_or(before, |(_, name)| name))
        }
        Some((_, name)) => type_named(name),
        None if last.is_empty() => None,
        None => type_named(before),
    }
}

/// What is before the last `/`, and what after it.
fn cut_at_slash(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().rposition(|b| *b == b'/')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// A slot for the probe's maker.
pub(crate) fn slot(question: u16, part: u8) -> Slot {
    Slot { question, part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::tables::r4;

    #[test]
    fn references_name_their_type() {
        for (reference, name) in [
            ("Patient/1", Some("Patient")),
            ("Patient/1/_history/2", Some("Patient")),
            ("https://x/fhir/Patient/1", Some("Patient")),
            ("https://x/fhir/Patient/1/_history/2", Some("Patient")),
            ("Patients/1", None),
            ("patient/1", None),
            ("Patient", None),
            ("urn:uuid:5f66ecbb", None),
            ("_history/2", None),
            ("", None),
            ("/", None),
        ] {
            let found = target(reference).map(|t| r4().name(t));
            assert_eq!(found, name, "{reference}");
        }
    }
}
