//! One pass over one resource: what the view shows is copied span by span, the rest is cut with
//! the right commas, and what a decision needs is collected on the way.
//!
//! Under a view that hides something, white space between tokens goes, so that it can't tell
//! what was there (D7). Under a view that hides nothing, the row leaves byte for byte.

mod links;
mod seen;
mod siblings;
mod write;

use std::borrow::Cow;

use seen::{has, set};

use super::compile::REDACTED;
use super::probe::{Finding, Probe, ProbeId, Slot};
use super::scan::{self, byte, deeper, expect, fault, skip_value};
use super::sink::Sink;
use super::view::{Act, Node, NodeId, View, Words};
use super::{Fault, Stop};
use crate::fhir::tables::TypeId;

/// A contained resource, judged before its container is walked.
#[derive(Debug, Default)]
pub(crate) struct Contained {
    pub(crate) id: Box<str>,
    /// `None`: of a type that the tables don't know, or no resource.
    pub(crate) resource: Option<TypeId>,
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
pub(crate) fn walk<'a, S: Sink>(
    bytes: &'a [u8],
    at: usize,
    view: &'a View,
    probe: &'a Probe,
    contained: Option<&'a [Contained]>,
    inner: &'a dyn Inner,
    out: &mut S,
) -> Result<Walked<'a>, Stop> {
    let mut walk = Walk {
        bytes,
        view,
        probe,
        contained,
        inner,
        out,
        run: at,
        findings: Vec::with_capacity(8),
        withheld: view.withholds,
        needs_contained: false,
        marked: false,
        meta_kept: false,
        shows_contained: view.shows_contained,
        inside: false,
    };
    let (end, _) = walk.object(at, view.root, Some(Probe::ROOT), 0, Kind::Root)?;
    walk.flush(end);
    let row = bytes.get(at..end).unwrap_or_default();
    if !row.is_ascii() && std::str::from_utf8(row).is_err() {
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

struct Walk<'a, 'o, S> {
    bytes: &'a [u8],
    view: &'a View,
    probe: &'a Probe,
    contained: Option<&'a [Contained]>,
    inner: &'a dyn Inner,
    out: &'o mut S,
    /// Where the span begins that is copied next.
    run: usize,
    findings: Vec<Finding<'a>>,
    withheld: bool,
    needs_contained: bool,
    /// `meta.security` took the mark.
    marked: bool,
    meta_kept: bool,
    /// The container's view shows `contained`.
    shows_contained: bool,
    /// What is walked is a contained resource: it contains none itself.
    inside: bool,
}

type Ended = Result<(usize, Kept), Stop>;

impl<'a, S: Sink> Walk<'a, '_, S> {
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
        let withheld = self.withheld;
        let (mut any, mut lost) = (false, false);
        let mut parent_goes = false;
        let mut mark = self.mark(at);
        at = self.space(at);
        if byte(self.bytes, at)? != b'}' {
            loop {
                let (key, words, value) = self.key(at)?;
                let child = node.keys.find_by(&node.children, &key, words);
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
                        if strangers.len() >= MOST_STRANGERS {
                            return Err(fault("too many unknown keys", at));
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
                        lost = true;
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
            self.withheld = withheld;
            return Ok((at + 1, Kept::No));
        }
        // a view that hides nothing keeps an object that was empty from the start
        let any = self.finish(at, node, &stays, any, kind) || (self.view.whole && !lost);
        Ok((at + 1, if any { Kept::Yes } else { Kept::No }))
    }

    /// Puts what belongs at an object's end before the brace at `at`; whether the object stays.
    fn finish(
        &mut self,
        at: usize,
        node: &Node,
        stays: &[u64; 8],
        mut any: bool,
        kind: Kind,
    ) -> bool {
        for required in &node.required {
            if !required.children.iter().any(|i| has(stays, *i)) {
                self.put(at, any, &[&required.bytes]);
                any = true;
            }
        }
        if self.view.whole {
            return any;
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
            Act::Cut => self.unseen(at, probe, step, key, object, depth),
            Act::Withhold => {
                self.withheld = true;
                self.unseen(at, probe, step, key, object, depth)
            }
            Act::Enter(ANY) => self.any(at, probe, step, key, object, depth),
            Act::Enter(node) => self.enter(at, node, step, depth, Kind::Plain),
            Act::Meta(node) if byte(self.bytes, at)? == b'{' => {
                self.marked = false;
                self.object(at, node, step, depth, Kind::Meta)
            }
            Act::Meta(_) => self.unseen(at, probe, step, key, object, depth),
            Act::Marked(node) => {
                let (end, kept) = self.enter(at, node, step, depth, Kind::Plain)?;
                if kept == Kept::Yes && byte(self.bytes, at)? == b'[' {
                    self.put(end - 1, true, &[REDACTED]);
                    self.marked = true;
                    return Ok((end, Kept::Yes));
                }
                Ok((end, Kept::No))
            }
            Act::Items(node) => self.items(at, node, probe, step, key, object, depth),
            Act::Siblings(node) => self.siblings(at, node, key, object, depth),
            Act::Reference { variants, fallback } => {
                self.references(at, variants, fallback, step, depth)
            }
            Act::Extensions(node) => self.extensions(at, node, false, step, depth),
            Act::Modifiers(node) => self.extensions(at, node, true, step, depth),
            Act::Contained => self.contained(at, depth),
            Act::Inner => self.inner_row(at, depth),
        }
    }

    /// What doesn't leave: looked into only where a decision asks for something inside.
    fn unseen(
        &mut self,
        at: usize,
        probe: Option<ProbeId>,
        step: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        let end = if step.is_none() {
            skip_value(self.bytes, at, depth)?
        } else {
            self.any(at, probe, step, key, object, depth)?.0
        };
        Ok((end, Kept::No))
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
            b'{' => self.unseen(at, probe, step, key, object, depth),
            b'[' => self.array(at, depth, |walk, at, depth| {
                walk.item(at, probe, step, key, object, depth)
            }),
            // absent, as FHIR has it: `null` stands only where items must stay in line
            b'n' if !self.view.whole => Ok((scan::scalar(self.bytes, at)?, Kept::No)),
            _ => Ok((scan::scalar(self.bytes, at)?, Kept::Yes)),
        }
    }

    /// An item of an array of primitives; under a view that hides something, what isn't one goes.
    fn item(
        &mut self,
        at: usize,
        probe: Option<ProbeId>,
        step: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'{' | b'[' if self.view.whole => self.any(at, probe, step, key, object, depth),
            b'{' | b'[' => self.unseen(at, probe, step, key, object, depth),
            first => {
                if let (Some(probe), Some(_)) = (probe, step) {
                    self.find(at, probe, key, object)?;
                }
                let kept = if first == b'n' && !self.view.whole {
                    Kept::No
                } else {
                    Kept::Yes
                };
                Ok((skip_value(self.bytes, at, depth)?, kept))
            }
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
    fn key(&mut self, at: usize) -> Result<(Cow<'a, [u8]>, Words, usize), Stop> {
        let from = expect(self.bytes, at, b'"')?;
        if let Some(key) = scan::plain_key(self.bytes, from) {
            let raw = self.bytes.get(from..key.end).unwrap_or_default();
            let colon = self.space(key.end + 1);
            let value = expect(self.bytes, colon, b':')?;
            return Ok((Cow::Borrowed(raw), key.words, self.space(value)));
        }
        let text = scan::string(self.bytes, from)?;
        let raw = self.bytes.get(from..text.end - 1).unwrap_or_default();
        let key = if text.escaped {
            let plain = scan::unescape(raw).ok_or_else(|| fault("malformed key", at))?;
            Cow::Owned(plain.into_bytes())
        } else {
            Cow::Borrowed(raw)
        };
        let words = Words::of(&key);
        let colon = self.space(text.end);
        let value = expect(self.bytes, colon, b':')?;
        Ok((key, words, self.space(value)))
    }

    /// Collects the scalar at `at` for every question that asks for it.
    fn find(&mut self, at: usize, probe: ProbeId, key: &[u8], object: usize) -> Result<(), Stop> {
        let bytes = self.bytes;
        let end = skip_value(bytes, at, 0)?;
        let text = match byte(bytes, at)? {
            // no value
            b'n' => return Ok(()),
            b'"' => quoted(bytes, at, end),
            _ => bytes
                .get(at..end)
                .and_then(|raw| std::str::from_utf8(raw).ok())
                .map(Cow::Borrowed),
        };
        let text = text.ok_or_else(|| fault("not utf-8", at))?;
        for slot in self.probe.slots(probe, key) {
            self.out.found(at, slot, object);
            self.findings.push(Finding {
                slot,
                object,
                text: text.clone(),
            });
        }
        Ok(())
    }
}

const ANY: NodeId = NodeId(0);

/// More keys of one object that the tables don't know are refused: each is compared with all.
const MOST_STRANGERS: usize = 256;

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

/// A slot for the probe's maker.
pub(crate) fn slot(question: u16, part: u8) -> Slot {
    Slot { question, part }
}
