//! A JSON Patch (RFC 6902), read by the tables of R4: each pointer leads to an element that the
//! type has, each value is what that element takes.
//!
//! In: the patch's bytes and the type. Out: yes, or a "no" that names the element.
//! **Never here:** the resource that is patched.

use super::shape::{self, Shape, Slot, Walk};
use crate::fhir::tables::{TypeId, r4};
use crate::mask::scan::skip_space;
use crate::refusal::{No, Reason};

/// Most operations of one patch.
const MOST: usize = 1_000;

fn odd(name: impl Into<Box<str>>, detail: &'static str) -> No {
    No::named(Reason::NotUnderstood, name).because(detail)
}

/// Whether the whole patch is understood.
pub(super) fn check(bytes: &[u8], resource: TypeId) -> Result<(), No> {
    let start = skip_space(bytes, 0);
    if bytes.get(start) != Some(&b'[') {
        return Err(odd("patch", "not an array"));
    }
    shape::whole(bytes, "patch", Shape::Any)?;
    for at in shape::items(bytes, start, MOST, "patch")? {
        operation(bytes, at, resource)?;
    }
    Ok(())
}

fn operation(bytes: &[u8], at: usize, resource: TypeId) -> Result<(), No> {
    if bytes.get(at) != Some(&b'{') {
        return Err(odd("patch", "an operation that is no object"));
    }
    let (mut op, mut path, mut from, mut value) = (None, None, None, None);
    for (key, start, _) in shape::members(bytes, at)? {
        let place = match &*key {
            "op" => &mut op,
            "path" => &mut path,
            "from" => &mut from,
            "value" => {
                value = Some(start);
                continue;
            }
            _ => {
                let name = format!("patch.{}", shape::shown(&key));
                return Err(odd(name, "not a member of an operation"));
            }
        };
        *place = shape::string_at(bytes, start);
        if place.is_none() {
            return Err(odd(format!("patch.{key}"), "not a string"));
        }
    }
    let Some(path) = path else {
        return Err(odd("patch.path", "none"));
    };
    let target = Pointer::read(&path, resource)?;
    let op = op.unwrap_or_default();
    let writes = op != "test";
    match (&*op, from, value) {
        ("add" | "replace" | "test", None, Some(at)) => {
            Walk::at(bytes, &target.name).slot(at, 2, target.slot)?;
        }
        ("remove", None, None) => {}
        ("move" | "copy", Some(from), None) => {
            let source = Pointer::read(&from, resource)?;
            if source.slot != target.slot {
                return Err(odd(target.name, "moved from an element of another kind"));
            }
            if source.is_id && op == "move" {
                return Err(odd(source.name, "the id stays"));
            }
        }
        _ => return Err(odd("patch.op", "not an operation of RFC 6902")),
    }
    if target.is_id && writes {
        return Err(odd(target.name, "the id stays"));
    }
    Ok(())
}

/// Where a JSON Pointer (RFC 6901) leads in a type.
struct Pointer {
    slot: Slot,
    /// `Patient.name.given`
    name: String,
    /// Whether it is the resource's own `id`.
    is_id: bool,
}

impl Pointer {
    fn read(text: &str, resource: TypeId) -> Result<Self, No> {
        let mut name = r4().name(resource).to_owned();
        let mut slot = Slot {
            shape: Shape::Resource(Some(resource)),
            many: false,
        };
        let Some(rest) = text.strip_prefix('/') else {
            return Err(if text.is_empty() {
                No::named(Reason::NotSupported, "patch of the whole resource")
            } else {
                odd("patch.path", "not a json pointer")
            });
        };
        for token in rest.split('/') {
            let token = unescape(token).ok_or_else(|| odd("patch.path", "not a json pointer"))?;
            if slot.many {
                if !is_index(&token) {
                    return Err(odd(name, "not an index"));
                }
                slot.many = false;
                continue;
            }
            name.push('.');
            name.push_str(&shape::shown(&token));
            let structure = match slot.shape {
                Shape::Resource(Some(resource)) => Some(r4().root(resource)),
                Shape::Complex(structure) => Some(structure),
                Shape::Resource(None) | Shape::Contained => {
                    return Err(No::named(Reason::NotSupported, "patch within a resource"));
                }
                Shape::Primitive(_) | Shape::Target | Shape::Sibling | Shape::Any => None,
            };
            let found = match structure {
                Some(structure) => shape::slot(structure, &token).map(|(_, slot)| slot),
                None if slot.shape == Shape::Sibling => shape::sibling(&token),
                None => None,
            };
            let Some(next) = found else {
                let name: String = name.chars().take(200).collect();
                return Err(odd(name, "not an element of FHIR R4"));
            };
            slot = next;
        }
        Ok(Self {
            slot,
            name,
            is_id: rest == "id",
        })
    }
}

fn is_index(token: &str) -> bool {
    let digits = !token.is_empty() && token.len() <= 9 && token.bytes().all(|b| b.is_ascii_digit());
    token == "-" || token == "0" || digits && !token.starts_with('0')
}

/// `~1` is `/`, `~0` is `~`.
fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}
