//! A body's JSON, walked once by the tables of R4: well-formed in exactly one way, and every
//! element known.
//!
//! In: the bytes, where a value begins, what it is to be. Out: where it ends, or a "no" that
//! names an element by its path, never by its value. Strict as rows of an upstream are: UTF-8, no
//! key twice (compared unescaped, at any depth), no lone surrogate, at most 64 levels.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::fhir::tables::{Element, ElementType, StructId, TypeId, r4};
use crate::mask::Stop;
use crate::mask::scan::{self, byte, expect, fault, skip_space};
use crate::refusal::{No, Reason};

/// What a value is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A whole resource: of this type, or of any that it names.
    Resource(Option<TypeId>),
    /// A resource within another; has none within itself.
    Contained,
    /// A datatype or backbone element.
    Complex(StructId),
    /// A string, number or boolean, by its FHIR name.
    Primitive(&'static str),
    /// What a Reference names: a string, and not a search.
    Target,
    /// The object beside a primitive: `id` and `extension`.
    Sibling,
    /// Any JSON.
    Any,
}

/// What an element's value is to be, and whether it is a list of such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) shape: Shape,
    pub(super) many: bool,
}

/// A walk over one body.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    /// Where the walk is: `Patient.name`.
    path: String,
    /// Whether the resource at hand is contained.
    contained: bool,
}

/// A malformed body, for the record.
pub(super) fn malformed(stop: Stop) -> No {
    let no = No::new(Reason::NotUnderstood);
    match stop {
        Stop::Fault(fault) => no.because(fault.what),
        Stop::Incomplete => no.because("truncated json"),
    }
}

/// The whole of a body: UTF-8, one value, nothing after it.
pub(super) fn whole(bytes: &[u8], path: &str, shape: Shape) -> Result<(), No> {
    let odd = |what| No::new(Reason::NotUnderstood).because(what);
    if std::str::from_utf8(bytes).is_err() {
        return Err(odd("not utf-8"));
    }
    let mut walk = Walk::at(bytes, path);
    let end = walk.value(skip_space(bytes, 0), 0, shape)?;
    if skip_space(bytes, end) != bytes.len() {
        return Err(odd("bytes after the body"));
    }
    Ok(())
}

/// Name and place of each member of the object at `at`; keys unescaped. Well-formed JSON only.
pub(super) fn members(bytes: &[u8], at: usize) -> Result<Vec<(Cow<'_, str>, usize, usize)>, No> {
    let mut found = Vec::new();
    scan::members(bytes, at, 0, |member| {
        let key = text(member.key, member.escaped);
        found.push((key.unwrap_or_default(), member.value, member.end));
        true
    })
    .map_err(malformed)?;
    Ok(found)
}

/// Where each item of the array at `at` begins. Well-formed JSON only; more than `most` are
/// `too-large`, by this name.
pub(super) fn items(bytes: &[u8], at: usize, most: usize, name: &str) -> Result<Vec<usize>, No> {
    let mut found = Vec::new();
    each(bytes, at, 0, |at| {
        if found.len() == most {
            return Err(No::named(Reason::TooLarge, name));
        }
        found.push(at);
        scan::skip_value(bytes, at, 1).map_err(malformed)
    })?;
    Ok(found)
}

/// The string at `at`, unescaped; `None` where there is none.
pub(super) fn string_at(bytes: &[u8], at: usize) -> Option<Cow<'_, str>> {
    let start = expect(bytes, at, b'"').ok()?;
    let found = scan::string(bytes, start).ok()?;
    text(bytes.get(start..found.end - 1)?, found.escaped)
}

fn text(raw: &[u8], escaped: bool) -> Option<Cow<'_, str>> {
    if escaped {
        scan::unescape(raw).map(Cow::Owned)
    } else {
        std::str::from_utf8(raw).ok().map(Cow::Borrowed)
    }
}

/// Calls `item` with where each item of the array at `at` begins; it says where that ends.
fn each(
    bytes: &[u8],
    at: usize,
    depth: u32,
    mut item: impl FnMut(usize) -> Result<usize, No>,
) -> Result<usize, No> {
    scan::deeper(depth, at).map_err(malformed)?;
    let mut at = skip_space(bytes, expect(bytes, at, b'[').map_err(malformed)?);
    if byte(bytes, at).map_err(malformed)? == b']' {
        return Ok(at + 1);
    }
    loop {
        at = skip_space(bytes, item(at)?);
        match byte(bytes, at).map_err(malformed)? {
            b',' => at = skip_space(bytes, at + 1),
            b']' => return Ok(at + 1),
            _ => return Err(malformed(fault("unexpected character", at))),
        }
    }
}

/// A key as a path shows it: the caller's word, cut and of few characters.
pub(super) fn shown(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    key.chars()
        .take(64)
        .map(|c| if plain(c) { c } else { '?' })
        .collect()
}

/// What the value under a key of this structure is; for `_key` its sibling.
pub(super) fn slot(structure: StructId, key: &str) -> Option<(&'static Element, Slot)> {
    let of = |element: &'static Element, shape| {
        let many = element.many;
        Some((element, Slot { shape, many }))
    };
    if let Some(stem) = key.strip_prefix('_') {
        return match r4().element_for_key(structure, stem)? {
            (element, ElementType::Primitive(_)) => of(element, Shape::Sibling),
            _ => None,
        };
    }
    let (element, kind) = r4().element_for_key(structure, key)?;
    let shape = match kind {
        ElementType::Primitive(_)
            if element.name == "reference" && r4().structure(structure).name == "Reference" =>
        {
            Shape::Target
        }
        ElementType::Primitive(name) => Shape::Primitive(name),
        ElementType::Xhtml => Shape::Primitive("xhtml"),
        ElementType::Complex(structure) => Shape::Complex(*structure),
        ElementType::Resource if element.name == "contained" => Shape::Contained,
        ElementType::Resource => Shape::Resource(None),
    };
    of(element, shape)
}

/// What the value under a key beside a primitive is.
pub(super) fn sibling(key: &str) -> Option<Slot> {
    match key {
        "id" => Some(Slot {
            shape: Shape::Primitive("string"),
            many: false,
        }),
        "extension" => Some(Slot {
            shape: Shape::Complex(r4().datatype("Extension")?),
            many: true,
        }),
        _ => None,
    }
}

impl<'a> Walk<'a> {
    /// A walk that names what it finds from `path` on.
    pub(super) fn at(bytes: &'a [u8], path: &str) -> Self {
        Self {
            bytes,
            path: path.to_owned(),
            contained: false,
        }
    }

    fn no(&self, detail: &'static str) -> No {
        let path: String = self.path.chars().take(200).collect();
        No::named(Reason::NotUnderstood, path).because(detail)
    }

    /// A value of an element; the position after it.
    pub(super) fn slot(&mut self, at: usize, depth: u32, slot: Slot) -> Result<usize, No> {
        if !slot.many {
            return self.value(at, depth, slot.shape);
        }
        if byte(self.bytes, at).map_err(malformed)? != b'[' {
            return Err(self.no("a single value where a list is due"));
        }
        let bytes = self.bytes;
        each(bytes, at, depth, |at| {
            let gaps = matches!(slot.shape, Shape::Primitive(_) | Shape::Sibling);
            // lists of primitives and of their siblings are as long as one another
            if gaps && byte(bytes, at).map_err(malformed)? == b'n' {
                return scan::scalar(bytes, at).map_err(malformed);
            }
            self.value(at, depth + 1, slot.shape)
        })
    }

    /// One value; the position after it.
    pub(super) fn value(&mut self, at: usize, depth: u32, shape: Shape) -> Result<usize, No> {
        let first = byte(self.bytes, at).map_err(malformed)?;
        match shape {
            Shape::Any => match first {
                b'{' => self.object(at, depth, |_, _| Ok(ANY)),
                b'[' => {
                    let bytes = self.bytes;
                    each(bytes, at, depth, |at| self.value(at, depth + 1, shape))
                }
                b'"' => self.string(at),
                _ => scan::scalar(self.bytes, at).map_err(malformed),
            },
            Shape::Primitive(name) => self.primitive(at, first, name),
            Shape::Target => {
                let end = self.primitive(at, first, "string")?;
                if string_at(self.bytes, at).is_none_or(|target| target.contains('?')) {
                    return Err(No::named(Reason::NotSupported, "conditional reference"));
                }
                Ok(end)
            }
            _ if first != b'{' => Err(self.no("not an object")),
            Shape::Complex(structure) => self.structure(at, depth, structure),
            Shape::Sibling => self.object(at, depth, |walk, key| {
                sibling(key).ok_or_else(|| walk.no("not an element of FHIR R4"))
            }),
            Shape::Resource(due) => {
                let outer = std::mem::replace(&mut self.contained, false);
                let end = self.resource(at, depth, due);
                self.contained = outer;
                end
            }
            Shape::Contained => {
                if std::mem::replace(&mut self.contained, true) {
                    return Err(self.no("contained in a contained resource"));
                }
                let end = self.resource(at, depth, None);
                self.contained = false;
                end
            }
        }
    }

    fn resource(&mut self, at: usize, depth: u32, due: Option<TypeId>) -> Result<usize, No> {
        let mut named = None;
        scan::members(self.bytes, at, depth, |member| {
            let is_type = text(member.key, member.escaped).as_deref() == Some("resourceType");
            if is_type {
                named = string_at(self.bytes, member.value).and_then(|name| r4().resource(&name));
            }
            !is_type
        })
        .map_err(malformed)?;
        let Some(resource) = named.filter(|named| due.is_none_or(|due| due == *named)) else {
            self.path.push_str(".resourceType");
            return Err(self.no("not the type that is due"));
        };
        self.structure(at, depth, r4().root(resource))
    }

    /// An object of a structure. A choice has one value.
    fn structure(&mut self, at: usize, depth: u32, structure: StructId) -> Result<usize, No> {
        let is_resource = r4().resource(r4().structure(structure).name).is_some();
        let mut choices: Vec<(&'static str, String)> = Vec::new();
        self.object(at, depth, |walk, key| {
            if is_resource && key == "resourceType" {
                return Ok(Slot {
                    shape: Shape::Primitive("code"),
                    many: false,
                });
            }
            let Some((element, slot)) = slot(structure, key) else {
                return Err(walk.no("not an element of FHIR R4"));
            };
            if element.choice {
                let stem = key.strip_prefix('_').unwrap_or(key);
                let other = |(name, taken): &(&str, String)| *name == element.name && taken != stem;
                if choices.iter().any(other) {
                    return Err(walk.no("two values of one choice"));
                }
                choices.push((element.name, stem.to_owned()));
            }
            Ok(slot)
        })
    }

    /// An object whose keys lead to slots.
    fn object(
        &mut self,
        at: usize,
        depth: u32,
        mut of: impl FnMut(&mut Self, &str) -> Result<Slot, No>,
    ) -> Result<usize, No> {
        let bytes = self.bytes;
        scan::deeper(depth, at).map_err(malformed)?;
        let mut at = skip_space(bytes, expect(bytes, at, b'{').map_err(malformed)?);
        if byte(bytes, at).map_err(malformed)? == b'}' {
            return Ok(at + 1);
        }
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        loop {
            let start = expect(bytes, at, b'"').map_err(malformed)?;
            let found = scan::string(bytes, start).map_err(malformed)?;
            let raw = bytes.get(start..found.end - 1).unwrap_or_default();
            let Some(key) = text(raw, found.escaped) else {
                return Err(self.no("a malformed key"));
            };
            let before = self.path.len();
            self.path.push('.');
            self.path.push_str(&shown(&key));
            let slot = of(self, &key)?;
            if !seen.insert(key) {
                return Err(self.no("a key twice"));
            }
            at = skip_space(bytes, found.end);
            at = skip_space(bytes, expect(bytes, at, b':').map_err(malformed)?);
            at = skip_space(bytes, self.slot(at, depth + 1, slot)?);
            self.path.truncate(before);
            match byte(bytes, at).map_err(malformed)? {
                b',' => at = skip_space(bytes, at + 1),
                b'}' => return Ok(at + 1),
                _ => return Err(malformed(fault("unexpected character", at))),
            }
        }
    }

    fn primitive(&mut self, at: usize, first: u8, name: &str) -> Result<usize, No> {
        let fits = match name {
            "boolean" => matches!(first, b't' | b'f'),
            "integer" | "positiveInt" | "unsignedInt" | "decimal" => {
                matches!(first, b'-' | b'0'..=b'9')
            }
            _ => first == b'"',
        };
        match (fits, first) {
            (false, _) => Err(self.no("not a value of the element's type")),
            (true, b'"') => self.string(at),
            (true, _) => scan::scalar(self.bytes, at).map_err(malformed),
        }
    }

    fn string(&mut self, at: usize) -> Result<usize, No> {
        let found = scan::string(self.bytes, at + 1).map_err(malformed)?;
        Ok(found.end)
    }
}

/// A slot of any JSON.
const ANY: Slot = Slot {
    shape: Shape::Any,
    many: false,
};
