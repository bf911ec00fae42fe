//! The three definition files, and what can be asked of them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::Fault;

/// elements.json, search-params.json and compartments.json.
pub struct Definitions {
    elements: Map<String, Value>,
    kinds: Map<String, Value>,
    /// Parameters by resource type, `Resource` and `DomainResource` among them.
    pub params: Map<String, Value>,
    /// Parameter codes by compartment and type.
    pub compartments: Map<String, Value>,
}

/// An element as defined; `name` is its path below the type, `[x]` included.
pub struct Defined<'a> {
    pub name: &'a str,
    value: &'a Value,
}

impl Definitions {
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        let read = |file: &str| -> Result<Value, Fault> {
            let path = folder.join(file);
            let text =
                std::fs::read_to_string(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
            serde_json::from_str(&text).map_err(|e| format!("`{file}`: {e}"))
        };
        let mut elements = read("elements.json")?;
        let mut params = read("search-params.json")?;
        let mut compartments = read("compartments.json")?;
        Ok(Self {
            elements: object(&mut elements, "elements")?,
            kinds: object(&mut elements, "kinds")?,
            params: object(&mut params, "params")?,
            compartments: object(&mut compartments, "compartments")?,
        })
    }

    /// Concrete resource types, sorted.
    pub fn resources(&self) -> Vec<&str> {
        self.concrete("resource")
    }

    /// Concrete complex datatypes, sorted.
    pub fn datatypes(&self) -> Vec<&str> {
        self.concrete("complex-type")
    }

    /// All elements of a type, backbones' ones included, sorted by path.
    pub fn elements(&self, of: &str) -> Vec<Defined<'_>> {
        let all = self.elements.get(of).and_then(Value::as_object);
        let all = all.into_iter().flatten();
        let mut all: Vec<_> = all.map(|(name, value)| Defined { name, value }).collect();
        all.sort_by_key(|e| e.name);
        all
    }

    /// The element at a path of stems below a type, through backbones and content references;
    /// `None` where the path enters a datatype or leads nowhere.
    pub fn element(&self, of: &str, path: &str) -> Option<Defined<'_>> {
        let (name, value) = self.entry(of, path)?;
        Some(Defined { name, value })
    }

    /// Every element at which a path of stems below a type can end.
    pub fn walk(&self, of: &str, path: &[&str]) -> Vec<Defined<'_>> {
        let mut at = vec![(of.to_owned(), String::new())];
        let mut found = Vec::new();
        for stem in path {
            found.clear();
            let mut next = Vec::new();
            for (of, prefix) in at {
                let path = join(&prefix, stem);
                let Some(element) = self.element(&of, &path) else {
                    continue;
                };
                if let Some(target) = element.content_reference() {
                    let (of, prefix) = target.split_once('.').unwrap_or((target, ""));
                    next.push((of.to_owned(), prefix.to_owned()));
                } else if element.is_backbone() {
                    next.push((of, path));
                } else {
                    next.extend(
                        element
                            .types()
                            .iter()
                            .map(|t| ((*t).to_owned(), String::new())),
                    );
                }
                found.push(element);
            }
            at = next;
        }
        found
    }

    fn entry(&self, of: &str, path: &str) -> Option<(&String, &Value)> {
        let elements = self.elements.get(of)?.as_object()?;
        let choice = format!("{path}[x]");
        elements
            .get_key_value(path)
            .or_else(|| elements.get_key_value(&choice))
    }

    fn concrete(&self, kind: &str) -> Vec<&str> {
        let is = |v: &Value| v["kind"] == kind && v["abstract"] == false;
        let all = self.kinds.iter().filter(|(_, v)| is(v));
        let mut all: Vec<_> = all.map(|(name, _)| name.as_str()).collect();
        all.sort_unstable();
        all
    }
}

impl<'a> Defined<'a> {
    pub fn types(&self) -> Vec<&'a str> {
        strings(&self.value["t"])
    }

    pub fn targets(&self) -> Vec<&'a str> {
        strings(&self.value["targets"])
    }

    pub fn is_choice(&self) -> bool {
        self.name.ends_with("[x]")
    }

    /// Whether its own elements are listed beside it, not under a datatype.
    pub fn is_backbone(&self) -> bool {
        matches!(self.types()[..], ["BackboneElement" | "Element"])
    }

    pub fn content_reference(&self) -> Option<&'a str> {
        self.value["ref"].as_str()
    }

    pub fn min(&self) -> u64 {
        self.value["min"].as_u64().unwrap_or_default()
    }

    pub fn max(&self) -> &'a str {
        self.value["max"].as_str().unwrap_or_default()
    }

    pub fn modifier(&self) -> bool {
        self.value["m"] == 1
    }

    pub fn summary(&self) -> bool {
        self.value["s"] == 1
    }
}

/// The strings of an array; none where it isn't one.
pub fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// Joins two dotted paths, either of which may be empty.
pub fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("", path) => path.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

fn object(value: &mut Value, key: &str) -> Result<Map<String, Value>, Fault> {
    match value.get_mut(key).map(Value::take) {
        Some(Value::Object(map)) => Ok(map),
        _ => Err(format!("no `{key}` object in the definitions")),
    }
}
