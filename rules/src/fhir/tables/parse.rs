//! Reads `r4.txt`. Its format is written down at its head, by `tools/tables`.

use std::collections::HashMap;

use super::{
    Compartment, Component, Element, ElementType, Filter, Function, Param, ParamKind, ParamPath,
    StructId, Structure, SubjectRule, Tables, Type, TypeId,
};

/// Where the text breaks its own format.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Malformed {
    line: usize,
    what: &'static str,
}

/// Reads the whole text; anything that isn't understood is an error.
pub(super) fn parse(text: &'static str) -> Result<Tables, Malformed> {
    let mut reader = Reader::with_names(text)?;
    let mut section = Section::None;
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = if line.starts_with(' ') {
            reader.entry(&section, line)
        } else {
            reader.heading(line).map(|s| section = s)
        };
        step.map_err(|what| Malformed {
            line: index + 1,
            what,
        })?;
    }
    reader.finish().map_err(|what| Malformed { line: 0, what })
}

type Step<T> = Result<T, &'static str>;

enum Section {
    None,
    Structure(usize),
    Params(&'static str),
    Compartment,
    Subjects,
}

#[derive(Default)]
struct Reader {
    tables: Tables,
    params: HashMap<&'static str, Vec<Param>>,
    subjects: HashMap<&'static str, SubjectRule>,
}

impl Reader {
    /// First pass: ids for all names, so that elements can refer to structures further down.
    fn with_names(text: &'static str) -> Result<Self, Malformed> {
        let mut reader = Self::default();
        let tables = &mut reader.tables;
        for (index, line) in text.lines().enumerate() {
            let resource = line.strip_prefix("resource ");
            let Some(name) = resource.or_else(|| line.strip_prefix("structure ")) else {
                continue;
            };
            let malformed = |what| Malformed {
                line: index + 1,
                what,
            };
            let count = u16::try_from(tables.structures.len());
            let root = StructId(count.map_err(|_| malformed("too many structures"))?);
            if tables.struct_ids.insert(name, root).is_some() {
                return Err(malformed("structure occurs twice"));
            }
            tables.structures.push(Structure {
                name,
                elements: Vec::new(),
            });
            if resource.is_some() {
                let count = u16::try_from(tables.types.len());
                let id = TypeId(count.map_err(|_| malformed("too many types"))?);
                tables.type_ids.insert(name, id);
                tables.types.push(Type {
                    name,
                    root,
                    params: Vec::new(),
                    subject: SubjectRule::Undetermined,
                });
            }
        }
        Ok(reader)
    }

    fn heading(&mut self, line: &'static str) -> Step<Section> {
        let (kind, name) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "resource" | "structure" => {
                let id = self.tables.struct_ids.get(name);
                Ok(Section::Structure(id.ok_or("unknown structure")?.index()))
            }
            "params" => {
                self.params.insert(name, Vec::new());
                Ok(Section::Params(name))
            }
            "compartment" => {
                let mut members = Vec::new();
                members.resize_with(self.tables.types.len(), || None);
                self.tables.compartments.push(Compartment { name, members });
                Ok(Section::Compartment)
            }
            "subjects" => Ok(Section::Subjects),
            _ => Err("unknown heading"),
        }
    }

    fn entry(&mut self, section: &Section, line: &'static str) -> Step<()> {
        match section {
            Section::None => return Err("entry before the first heading"),
            Section::Structure(index) => {
                let element = element(line, &self.tables.struct_ids)?;
                let structure = self.tables.structures.get_mut(*index);
                structure.ok_or("unknown structure")?.elements.push(element);
            }
            Section::Params(owner) => {
                let params = self.params.get_mut(owner).ok_or("no parameters open")?;
                if line.starts_with("    ") {
                    let composite = params.last_mut().ok_or("component before a parameter")?;
                    composite.components.push(component(line)?);
                } else {
                    params.push(param(line)?);
                }
            }
            Section::Compartment => {
                let (id, codes) = self.of_type(line)?;
                let compartment = self.tables.compartments.last_mut();
                let members = &mut compartment.ok_or("no compartment open")?.members;
                *members.get_mut(id.index()).ok_or("unknown type")? = Some(codes);
            }
            Section::Subjects => {
                let (id, words) = self.of_type(line)?;
                let rule = subject(&words)?;
                if self.subjects.insert(self.tables.name(id), rule).is_some() {
                    return Err("subject given twice");
                }
            }
        }
        Ok(())
    }

    fn of_type(&self, line: &'static str) -> Step<(TypeId, Vec<&'static str>)> {
        let mut words = line.split_ascii_whitespace();
        let id = words.next().and_then(|name| self.tables.resource(name));
        Ok((id.ok_or("unknown type")?, words.collect()))
    }

    /// Gives every type its parameters, with those that all resources share, and its subject.
    fn finish(mut self) -> Step<Tables> {
        let every = self.params.remove("Resource").unwrap_or_default();
        let domain = self.params.remove("DomainResource").unwrap_or_default();
        for t in &mut self.tables.types {
            t.params = self.params.remove(t.name).unwrap_or_default();
            t.params.extend(every.iter().cloned());
            let root = self.tables.structures.get(t.root.index());
            if root.is_some_and(|r| r.element("text").is_some()) {
                t.params.extend(domain.iter().cloned());
            }
            t.params.sort_by_key(|p| p.code);
            t.subject = self.subjects.remove(t.name).ok_or("type without subject")?;
        }
        if !self.params.is_empty() {
            return Err("parameters of an unknown type");
        }
        let sorted = |s: &Structure| s.elements.is_sorted_by(|a, b| a.name < b.name);
        if !self.tables.structures.iter().all(sorted) {
            return Err("elements not in order");
        }
        Ok(self.tables)
    }
}

/// `name 0..* ms Type Type -> Target Target`
fn element(line: &'static str, ids: &HashMap<&'static str, StructId>) -> Step<Element> {
    let (head, targets) = targets(line);
    let mut words = head.split_ascii_whitespace();
    let mut word = || words.next().ok_or("element too short");
    let (name, range, flags) = (word()?, word()?, word()?);
    let stem = name.strip_suffix("[x]");
    let (min, max) = range.split_once("..").ok_or("no cardinality")?;
    let types: Vec<_> = words
        .map(|t| element_type(t, ids))
        .collect::<Step<Vec<_>>>()?;
    if types.is_empty() || (types.len() > 1 && stem.is_none()) {
        return Err("wrong number of types");
    }
    Ok(Element {
        name: stem.unwrap_or(name),
        choice: stem.is_some(),
        types,
        min: min.parse().map_err(|_| "minimum isn't a number")?,
        many: max == "*",
        modifier: flags.contains('m'),
        summary: flags.contains('s'),
        targets,
    })
}

fn element_type(name: &'static str, ids: &HashMap<&'static str, StructId>) -> Step<ElementType> {
    match name {
        "Resource" => Ok(ElementType::Resource),
        "xhtml" => Ok(ElementType::Xhtml),
        _ if name.starts_with(|c: char| c.is_ascii_lowercase()) => Ok(ElementType::Primitive(name)),
        _ => {
            let id = ids.get(name).copied().ok_or("unknown element type")?;
            Ok(ElementType::Complex(id))
        }
    }
}

/// `code kind path path -> Target Target`
fn param(line: &'static str) -> Step<Param> {
    let (head, targets) = targets(line);
    let mut words = head.split_ascii_whitespace();
    let code = words.next().ok_or("parameter without code")?;
    let kind = words.next().and_then(kind).ok_or("unknown kind")?;
    Ok(Param {
        code,
        kind,
        paths: words.map(path).collect::<Step<Vec<_>>>()?,
        targets,
        components: Vec::new(),
    })
}

fn kind(word: &str) -> Option<ParamKind> {
    Some(match word {
        "token" => ParamKind::Token,
        "string" => ParamKind::String,
        "reference" => ParamKind::Reference,
        "date" => ParamKind::Date,
        "number" => ParamKind::Number,
        "quantity" => ParamKind::Quantity,
        "uri" => ParamKind::Uri,
        "composite" => ParamKind::Composite,
        "special" => ParamKind::Special,
        _ => return None,
    })
}

/// `    code path path`
fn component(line: &'static str) -> Step<Component> {
    let mut words = line.split_ascii_whitespace();
    Ok(Component {
        code: words.next().ok_or("component without code")?,
        paths: words.map(path).collect::<Step<Vec<_>>>()?,
    })
}

/// `a.b(as=Type)(2:name=value)(is=Type)(fn=exists)`, or `.` for the whole resource.
fn path(word: &'static str) -> Step<ParamPath> {
    let (elements, notes) = match word.split_once('(') {
        Some((elements, notes)) => (elements, notes.strip_suffix(')').ok_or("open bracket")?),
        None => (word, ""),
    };
    let mut path = ParamPath {
        elements: stems(elements),
        cast: None,
        filter: None,
        resolves_to: None,
        function: None,
    };
    for note in notes.split(")(").filter(|n| !n.is_empty()) {
        let (key, value) = note.split_once('=').ok_or("note without value")?;
        match (key, value) {
            ("as", _) => path.cast = Some(value),
            ("is", _) => path.resolves_to = Some(value),
            ("fn", "exists") => path.function = Some(Function::Exists),
            _ => {
                let (depth, name) = key.split_once(':').ok_or("unknown note")?;
                path.filter = Some(Filter {
                    depth: depth.parse().map_err(|_| "depth isn't a number")?,
                    name,
                    value,
                });
            }
        }
    }
    Ok(path)
}

fn stems(path: &'static str) -> Vec<&'static str> {
    path.split('.').filter(|s| !s.is_empty()).collect()
}

fn subject(words: &[&'static str]) -> Step<SubjectRule> {
    match words {
        [] => Err("subject without rule"),
        ["!itself"] => Ok(SubjectRule::Itself),
        ["!none"] => Ok(SubjectRule::NoPatient),
        ["!undetermined"] => Ok(SubjectRule::Undetermined),
        paths if paths.iter().any(|p| p.starts_with('!')) => Err("unknown subject rule"),
        paths => Ok(SubjectRule::Paths(
            paths.iter().copied().map(stems).collect(),
        )),
    }
}

fn targets(line: &'static str) -> (&'static str, Vec<&'static str>) {
    match line.split_once(" -> ") {
        Some((head, targets)) => (head, targets.split_ascii_whitespace().collect()),
        None => (line, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_notes() {
        let read = path("a.b(as=Quantity)(1:type=x-y)(is=Patient)(fn=exists)").unwrap();
        assert_eq!(read.elements, ["a", "b"]);
        assert_eq!(read.cast, Some("Quantity"));
        assert_eq!(read.resolves_to, Some("Patient"));
        assert_eq!(read.function, Some(Function::Exists));
        let filter = read.filter.unwrap();
        assert_eq!(
            (filter.depth, filter.name, filter.value),
            (1, "type", "x-y")
        );
        assert!(path(".").unwrap().elements.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        let cases = [
            "frobnicate X",
            "  stray entry",
            "structure A\n  b 0..1 - Unknown",
            "structure A\n  b 0..1 - string code",
            "structure A\n  b - string string",
            "structure A\nstructure A",
            "resource A\n  id 0..1 s id",
            "resource A\nsubjects\n  A !maybe",
            "resource A\nsubjects\n  B !none",
            "params Resource\n  x strange x",
            "params Resource\n  x token x(as=",
            "params Resource\n  x token x(fn=first)",
            "params Nowhere\n  x token x",
            "structure A\n  b 0..1 - string\n  a 0..1 - string",
        ];
        for text in cases {
            assert!(parse(text).is_err(), "{text}");
        }
        let error = parse("# note\n\nfrobnicate X").unwrap_err();
        assert_eq!(error.to_string(), "line 3: unknown heading");
    }
}
