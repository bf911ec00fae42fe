//! What leads out of an object: references, extensions, contained resources, rows inside rows.

use std::borrow::Cow;

use super::super::scan::{self, byte, skip_value};
use super::super::sink::Sink;
use super::super::view::{Act, NodeId, type_named};
use super::{ANY, Ended, Kept, Kind, ProbeId, Stop, Walk, is_key, quoted};
use crate::fhir::tables::TypeId;

impl<S: Sink> Walk<'_, '_, S> {
    pub(super) fn references(
        &mut self,
        at: usize,
        variants: [NodeId; 4],
        fallback: u8,
        probe: Option<ProbeId>,
        depth: u32,
    ) -> Ended {
        match byte(self.bytes, at)? {
            b'{' => match self.points_to(at, variants, fallback, depth)? {
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
    fn points_to(
        &mut self,
        at: usize,
        variants: [NodeId; 4],
        fallback: u8,
        depth: u32,
    ) -> Result<Option<u8>, Stop> {
        let bytes = self.bytes;
        let (mut reference, mut declared, mut place) = (None, None, at);
        // most references begin so
        let plain = bytes
            .get(at..)
            .and_then(|rest| rest.strip_prefix(br#"{"reference":""#));
        if let Some(plain) = plain {
            let from = bytes.len() - plain.len();
            let text = scan::string(bytes, from)?;
            reference = match text.escaped {
                false => bytes.get(from..text.end - 1).map(Cow::Borrowed),
                true => quoted(bytes, from - 1, text.end).map(into_bytes),
            };
            place = from - 1;
        } else {
            scan::members(bytes, at, depth, |member| {
                if is_key(&member, b"reference") {
                    reference = quoted(bytes, member.value, member.end).map(into_bytes);
                    place = member.value;
                    return reference.is_none();
                }
                if is_key(&member, b"type") {
                    declared = quoted(bytes, member.value, member.end);
                    self.out.read(member.value);
                }
                true
            })?;
        }
        let copies = &self.view.copies;
        let Some(reference) = reference else {
            let node = self.view.node(variants[0]);
            let shown = node.is_some_and(|node| node.act(b"type") == Some(Act::Copy));
            let known = declared
                .filter(|_| shown)
                .and_then(|name| type_named(name.as_bytes()));
            return Ok(Some(known.map_or(fallback, |t| copies.of(t))));
        };
        self.out.followed(place);
        if let Some(id) = reference.strip_prefix(b"#") {
            if id.is_empty() {
                return Ok(Some(0));
            }
            if !self.shows_contained {
                return Ok(None);
            }
            let Some(contained) = self.contained else {
                self.needs_contained = true;
                return Ok(None);
            };
            // several with one id: it goes with the first that goes
            let mut kept = None;
            for one in contained.iter().filter(|c| c.id.as_bytes() == id) {
                if one.view.is_none() {
                    return Ok(None);
                }
                let of = one.resource.map_or(0, |t| copies.of(t));
                kept = Some(kept.unwrap_or(3) & of);
            }
            return Ok(kept);
        }
        Ok(Some(target(&reference).map_or(fallback, |t| copies.of(t))))
    }

    pub(super) fn extensions(
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
                        self.out.read(member.value);
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

    #[inline(never)]
    pub(super) fn contained(&mut self, at: usize, depth: u32) -> Ended {
        if self.inside {
            return Ok((skip_value(self.bytes, at, depth)?, Kept::No));
        }
        let Some(contained) = self.contained else {
            self.needs_contained = true;
            return Ok((skip_value(self.bytes, at, depth)?, Kept::No));
        };
        if byte(self.bytes, at)? != b'[' {
            return Ok((skip_value(self.bytes, at, depth)?, Kept::No));
        }
        let mut next = contained.iter();
        self.array(at, depth, |walk, at, depth| {
            match next.next().and_then(|c| c.view.as_deref()) {
                Some(view) => {
                    let outer = std::mem::replace(&mut walk.view, view);
                    let meta = std::mem::take(&mut walk.meta_kept);
                    let withheld = std::mem::take(&mut walk.withheld);
                    walk.inside = true;
                    let result = walk.object(at, view.root, None, depth, Kind::Root);
                    let goes = std::mem::replace(&mut walk.withheld, withheld);
                    walk.inside = false;
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
    #[inline(never)]
    pub(super) fn inner_row(&mut self, at: usize, depth: u32) -> Ended {
        self.out.parted();
        let end = skip_value(self.bytes, at, depth)?;
        let row = self.bytes.get(at..end).unwrap_or_default();
        match self.inner.row(row, depth)? {
            Some(masked) => {
                self.cut(at, end);
                self.out.put(&masked);
                Ok((end, Kept::Yes))
            }
            None => Ok((end, Kept::NorParent)),
        }
    }
}

/// The type that a literal reference names: `Patient/1`, `https://x/fhir/Patient/1/_history/2`.
///
/// A search in place of a reference names nothing: its value may look like any address.
fn target(reference: &[u8]) -> Option<TypeId> {
    // most are a type and an id
    let mut marks = memchr::memchr2_iter(b'/', b'?', reference);
    let (first, second) = (marks.next()?, marks.next());
    if second.is_none() && first + 1 < reference.len() {
        let (name, rest) = reference.split_at_checked(first)?;
        return rest.starts_with(b"/").then(|| type_named(name)).flatten();
    }
    if reference.contains(&b'?') {
        return None;
    }
    let (before, last) = cut_at_slash(reference)?;
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

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// What is before the last `/`, and what after it.
fn cut_at_slash(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().rposition(|b| *b == b'/')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
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
            ("Patient?name=Patient/1", None),
            ("Patient/?name=1", None),
            ("?Patient/1", None),
            ("Patient/", None),
            ("urn:uuid:5f66ecbb", None),
            ("_history/2", None),
            ("", None),
            ("/", None),
        ] {
            let found = target(reference.as_bytes()).map(|t| r4().name(t));
            assert_eq!(found, name, "{reference}");
        }
    }
}
