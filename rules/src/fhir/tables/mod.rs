//! What FHIR R4 defines, as lookups.
//!
//! `r4.txt` is derived by `tools/tables` from the specification's definitions; it is read once, on
//! first use. Names go in, ids and borrowed entries come out; every string is a slice of the
//! embedded text. Nothing here looks at a resource or a request, and nothing here decides.

mod lookup;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

/// The tables of FHIR R4 (4.0.1).
///
/// Were the embedded text malformed (a test holds that it isn't), the tables would be empty, so
/// that every type is unknown and everything is refused.
pub fn r4() -> &'static Tables {
    static R4: LazyLock<Tables> = LazyLock::new(|| parse::parse(TEXT).unwrap_or_default());
    &R4
}

const TEXT: &str = include_str!("r4.txt");

/// A concrete resource type; dense from 0 in alphabetical order.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct TypeId(u16);

impl TypeId {
    /// The position of the type, for dense arrays of `Tables::resource_count` entries.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// An object structure: a resource's root, a backbone element or a complex datatype.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct StructId(u16);

impl StructId {
    /// The position of the structure, for dense arrays of `Tables::structure_count` entries.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// Everything that `r4.txt` says; immutable.
#[derive(Debug, Default)]
pub struct Tables {
    types: Vec<Type>,
    structures: Vec<Structure>,
    type_ids: HashMap<&'static str, TypeId>,
    struct_ids: HashMap<&'static str, StructId>,
    compartments: Vec<Compartment>,
    fallback: Fallback,
}

#[derive(Debug)]
struct Type {
    name: &'static str,
    root: StructId,
    params: Vec<Param>,
    subject: SubjectRule,
}

#[derive(Debug)]
struct Compartment {
    name: &'static str,
    /// By type index; `None` where the type is never a member.
    members: Vec<Option<Vec<&'static str>>>,
}

/// What an id that these tables didn't give out leads to: nothing, and no patient's data.
#[derive(Debug)]
struct Fallback {
    structure: Structure,
    subject: SubjectRule,
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            structure: Structure {
                name: "",
                elements: Vec::new(),
            },
            subject: SubjectRule::Undetermined,
        }
    }
}

/// The elements of one kind of JSON object.
#[derive(Debug)]
pub struct Structure {
    /// `Patient`, `Patient.contact` or `HumanName`.
    pub name: &'static str,
    /// Sorted by name; inherited ones (`id`, `meta`, `extension`…) included. `resourceType` isn't an element.
    pub elements: Vec<Element>,
}

/// One element of a structure.
#[derive(Debug)]
pub struct Element {
    /// The stem: `value`, never `value[x]` or `valueQuantity`.
    pub name: &'static str,
    /// Whether the JSON key has the type's name after the stem, see `Tables::json_keys`.
    pub choice: bool,
    /// One type, or several where `choice`.
    pub types: Vec<ElementType>,
    /// 0 or 1.
    pub min: u8,
    /// Whether it repeats, so that its JSON value is an array.
    pub many: bool,
    /// Whether it can change what the rest means.
    pub modifier: bool,
    /// Whether `_summary=true` includes it.
    pub summary: bool,
    /// What a Reference or canonical may point at; empty or `Resource`: any type.
    pub targets: Vec<&'static str>,
}

/// What the value of an element is in JSON.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum ElementType {
    /// A string, number or boolean, with its `_name` sibling. Holds the FHIR name, as in `dateTime`.
    Primitive(&'static str),
    /// A datatype, a backbone element, or what a content reference leads to.
    Complex(StructId),
    /// A whole resource of any type (`contained`, `Bundle.entry.resource`).
    Resource,
    /// Narrative markup, a string in JSON.
    Xhtml,
}

/// The type of a search parameter.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[allow(missing_docs, reason = "the specification's own words")]
pub enum ParamKind {
    Token,
    String,
    Reference,
    Date,
    Number,
    Quantity,
    Uri,
    Composite,
    /// `near` (with a path), and `_text`, `_content`, `_query`, `_filter` (without).
    Special,
}

/// A search parameter of one resource type.
#[derive(Debug, Clone)]
pub struct Param {
    /// The name in a query.
    pub code: &'static str,
    /// How its values are written and compared.
    pub kind: ParamKind,
    /// What it reads, never less. No path at all: what it reads is not known, which is anything.
    pub paths: Vec<ParamPath>,
    /// Types that a reference parameter may point at; `Resource`: any type.
    pub targets: Vec<&'static str>,
    /// The parts of a composite, in the order of its `$`-separated values.
    pub components: Vec<Component>,
}

/// A part of a composite parameter.
#[derive(Debug, Clone)]
pub struct Component {
    /// The parameter of the same type that this part is.
    pub code: &'static str,
    /// From the resource's root, already joined to the composite's base.
    pub paths: Vec<ParamPath>,
}

/// Where a parameter reads.
#[derive(Debug, Clone, Eq, PartialEq)]
pub struct ParamPath {
    /// Stems from the resource's root, as in `["component", "value"]`; empty: the whole resource.
    pub elements: Vec<&'static str>,
    /// The type as which the path's one choice element is read (not always the last: `value.text`).
    pub cast: Option<&'static str>,
    /// Which items of a repeating element count.
    pub filter: Option<Filter>,
    /// Only references to this type count.
    pub resolves_to: Option<&'static str>,
    /// What is compared in place of the value.
    pub function: Option<Function>,
}

/// `where(name = 'value')` at an element on the way.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
pub struct Filter {
    /// How many of the path's elements lead to the object that has `name`.
    pub depth: usize,
    /// An element of that object.
    pub name: &'static str,
    /// What it must be.
    pub value: &'static str,
}

/// A computed value that a parameter compares.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
pub enum Function {
    /// Whether the element is there and isn't `false` (`Patient.deceased`).
    Exists,
}

/// Whose record a resource is. Performers, authors, recipients, payees and `Patient.link` never count.
#[derive(Debug, Clone, Eq, PartialEq)]
pub enum SubjectRule {
    /// The resource is the patient.
    Itself,
    /// Every reference to a Patient at any of these element paths names a subject; there may be
    /// none (a device's Observation) and more than one (a family's Account), and then all count.
    Paths(Vec<Vec<&'static str>>),
    /// Definitional or administrative: never about a patient.
    NoPatient,
    /// May be about a patient, but no path says reliably about whom: nobody's under `patient/`.
    Undetermined,
}
