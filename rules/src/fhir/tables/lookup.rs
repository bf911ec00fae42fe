//! Questions that the tables answer.

use super::{
    Element, ElementType, Param, ParamPath, StructId, Structure, SubjectRule, Tables, Type, TypeId,
};
use crate::source::nearest;

impl Tables {
    /// The concrete resource type of this name; names are case-sensitive.
    pub fn resource(&self, name: &str) -> Option<TypeId> {
        self.type_ids.get(name).copied()
    }

    /// All concrete resource types, in alphabetical order.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = TypeId> + use<> {
        // `parse` refuses more types than an id can count
        (0..u16::try_from(self.types.len()).unwrap_or(u16::MAX)).map(TypeId)
    }

    /// How many resource types there are.
    pub fn resource_count(&self) -> usize {
        self.types.len()
    }

    /// The type's name, as in `resourceType`.
    pub fn name(&self, t: TypeId) -> &'static str {
        self.type_of(t).map_or("", |t| t.name)
    }

    /// The resource type that a mistyped name is closest to.
    pub fn nearest_resource(&self, word: &str) -> Option<&'static str> {
        nearest(word, self.types.iter().map(|t| t.name))
    }

    /// The structure of the type's root object.
    pub fn root(&self, t: TypeId) -> StructId {
        self.type_of(t).map_or(StructId(u16::MAX), |t| t.root)
    }

    /// The structure of a complex datatype (`HumanName`); neither resources nor backbone elements.
    pub fn datatype(&self, name: &str) -> Option<StructId> {
        let is_datatype = !name.contains('.') && self.resource(name).is_none();
        self.struct_ids.get(name).copied().filter(|_| is_datatype)
    }

    /// All structures, sorted by name.
    pub fn structures(&self) -> impl ExactSizeIterator<Item = StructId> + use<> {
        // `parse` refuses more structures than an id can count
        (0..u16::try_from(self.structures.len()).unwrap_or(u16::MAX)).map(StructId)
    }

    /// How many structures there are.
    pub fn structure_count(&self) -> usize {
        self.structures.len()
    }

    /// The elements behind a structure's id.
    pub fn structure(&self, s: StructId) -> &Structure {
        let found = self.structures.get(s.index());
        found.unwrap_or(&self.fallback.structure)
    }

    /// The FHIR name of an element's type: `dateTime`, `HumanName`, `Patient.contact`, `Resource`, `xhtml`.
    pub fn type_name(&self, t: ElementType) -> &'static str {
        match t {
            ElementType::Primitive(name) => name,
            ElementType::Complex(s) => self.structure(s).name,
            ElementType::Resource => "Resource",
            ElementType::Xhtml => "xhtml",
        }
    }

    /// The JSON keys under which the element occurs, each with its type: `name`, or for a choice
    /// one key for each type (`valueQuantity`, `valueDateTime`). Siblings (`_name`) not included.
    pub fn json_keys<'a>(
        &'a self,
        element: &'a Element,
    ) -> impl Iterator<Item = (String, &'a ElementType)> {
        element.types.iter().map(|t| {
            let mut key = element.name.to_owned();
            if element.choice {
                let mut rest = self.type_name(*t).chars();
                key.extend(rest.next().map(|c| c.to_ascii_uppercase()));
                key.push_str(rest.as_str());
            }
            (key, t)
        })
    }

    /// The element that a JSON key of this structure stands for, and as which type.
    pub fn element_for_key<'a>(
        &'a self,
        s: StructId,
        key: &str,
    ) -> Option<(&'a Element, &'a ElementType)> {
        let structure = self.structure(s);
        if let Some(element) = structure.element(key).filter(|e| !e.choice) {
            return element.types.first().map(|t| (element, t));
        }
        let choices = structure.elements.iter().filter(|e| e.choice);
        choices
            .filter_map(|e| Some((e, key.strip_prefix(e.name)?)))
            .find_map(|(e, suffix)| {
                let is = |t: &&ElementType| is_capitalised(self.type_name(**t), suffix);
                Some((e, e.types.iter().find(is)?))
            })
    }

    /// Every element at which a path of stems can end; several where it passes a choice, none where
    /// it leads nowhere. Doesn't look into contained resources.
    pub fn walk(&self, from: StructId, path: &[&str]) -> Vec<&Element> {
        let mut at = vec![from];
        let mut found = Vec::new();
        for stem in path {
            found = at
                .iter()
                .filter_map(|s| self.structure(*s).element(stem))
                .collect();
            at = found
                .iter()
                .flat_map(|e: &&Element| &e.types)
                .filter_map(|t| match t {
                    ElementType::Complex(s) => Some(*s),
                    _ => None,
                })
                .collect();
        }
        found
    }

    /// The type's search parameters, sorted by code; those of every resource (`_id`…) included.
    pub fn params(&self, t: TypeId) -> &[Param] {
        self.type_of(t).map_or(&[], |t| &t.params)
    }

    /// The parameter of this code; without modifier or chain.
    pub fn param(&self, t: TypeId, code: &str) -> Option<&Param> {
        let params = self.params(t);
        let at = params.binary_search_by(|p| p.code.cmp(code)).ok()?;
        params.get(at)
    }

    /// The reference parameters by which resources of the type are members of a compartment
    /// (`patient`, `encounter`, `device`, `practitioner`, `relatedPerson`; letter case is ignored).
    /// `None`: never a member. `_id` stands for the compartment's own resource.
    pub fn compartment(&self, compartment: &str, t: TypeId) -> Option<&[&'static str]> {
        self.compartments
            .iter()
            .find(|c| c.name.eq_ignore_ascii_case(compartment))
            .and_then(|c| c.members.get(t.index())?.as_deref())
    }

    /// Whose record a resource of this type is.
    pub fn subject(&self, t: TypeId) -> &SubjectRule {
        self.type_of(t)
            .map_or(&self.fallback.subject, |t| &t.subject)
    }

    fn type_of(&self, t: TypeId) -> Option<&Type> {
        self.types.get(t.index())
    }
}

/// Whether `suffix` is the type's name with a capital first letter, as choices are written.
fn is_capitalised(name: &str, suffix: &str) -> bool {
    let (mut name, mut suffix) = (name.chars(), suffix.chars());
    name.next().map(|c| c.to_ascii_uppercase()) == suffix.next() && name.as_str() == suffix.as_str()
}

impl Structure {
    /// The element of this stem.
    pub fn element(&self, stem: &str) -> Option<&Element> {
        let at = self.elements.binary_search_by(|e| e.name.cmp(stem)).ok()?;
        self.elements.get(at)
    }
}

impl Param {
    /// Every element path that evaluating the parameter reads, those of its filters included.
    /// `None`: not known, so it may read anything.
    pub fn reads(&self) -> Option<Vec<Vec<&'static str>>> {
        if self.paths.is_empty() {
            return None;
        }
        Some(self.paths.iter().flat_map(ParamPath::reads).collect())
    }
}

impl ParamPath {
    /// The path itself and what its filter compares.
    pub fn reads(&self) -> impl Iterator<Item = Vec<&'static str>> {
        let filter = self.filter.map(|f| {
            let mut path: Vec<_> = self.elements.iter().take(f.depth).copied().collect();
            path.push(f.name);
            path
        });
        std::iter::once(self.elements.clone()).chain(filter)
    }
}
