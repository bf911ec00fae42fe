//! The mask over a DOM.

use chartward_rules::fhir::tables::{Element, ElementType, StructId, TypeId, r4};
use serde_json::{Map, Value, json};

use super::{Oracle, Sees, Step, View, always, step, token, type_of};

/// What is done with what is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Marked, and what is empty vanishes.
    Mask,
    /// Taken out, nothing more.
    Strip,
}

/// What the object is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// `_x` of a primitive.
    Sibling,
    Inside,
}

/// Contained resources: id, type, whether it stays.
type Inside = Vec<(String, TypeId, bool)>;

/// The masked resource. `container` is what a contained resource may refer to.
pub fn resource(
    oracle: &Oracle<'_>,
    row: &Value,
    t: TypeId,
    view: &View<'_>,
    mode: Mode,
    nest: u32,
    container: Option<&Inside>,
) -> Option<Value> {
    if view.grants.is_empty() {
        return None;
    }
    let root = r4().root(t);
    let whole = view.whole(t);
    let shows_contained = r4()
        .structure(root)
        .element("contained")
        .is_some_and(|e| view.sees(&[step(e)]) == Sees::Shown);
    let own: Inside = match row.get("contained").and_then(Value::as_array) {
        Some(items) if shows_contained && container.is_none() => items
            .iter()
            .filter_map(|item| {
                let t = type_of(item)?;
                let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
                let stays = contained(oracle, item, mode, nest, &Vec::new()).is_some();
                Some((id.to_owned(), t, stays))
            })
            .collect(),
        _ => Vec::new(),
    };
    let mut walk = Walk {
        oracle,
        view,
        whole,
        mode,
        nest,
        inside: container.unwrap_or(&own),
        is_contained: container.is_some(),
        withheld: !whole && view.withholds(root, &mut Vec::new()),
    };
    let out = walk.object(row.as_object()?, root, &mut Vec::new(), false, Place::Root);
    (!walk.withheld).then(|| out.map(Value::Object)).flatten()
}

fn contained(
    oracle: &Oracle<'_>,
    item: &Value,
    mode: Mode,
    nest: u32,
    inside: &Inside,
) -> Option<Value> {
    let t = type_of(item)?;
    resource(
        oracle,
        item,
        t,
        &oracle.view(item, t),
        mode,
        nest,
        Some(inside),
    )
}

struct Walk<'a, 'm> {
    oracle: &'a Oracle<'m>,
    view: &'a View<'m>,
    whole: bool,
    mode: Mode,
    nest: u32,
    inside: &'a Inside,
    is_contained: bool,
    withheld: bool,
}

impl Walk<'_, '_> {
    /// `deep`: all that lies inside is shown.
    fn object(
        &mut self,
        map: &Map<String, Value>,
        s: StructId,
        path: &mut Vec<Step>,
        deep: bool,
        place: Place,
    ) -> Option<Map<String, Value>> {
        let withheld = self.withheld;
        let structure = r4().structure(s);
        let mut out = Map::new();
        let mut lost = false;
        let copies = if structure.name == "Reference" && !self.whole {
            self.copies(map, s, path, deep)
        } else {
            (true, true)
        };
        for (key, value) in map {
            if place == Place::Root && key == "resourceType" {
                out.insert(key.clone(), value.clone());
                continue;
            }
            let sibling = key.strip_prefix('_');
            let found = r4().element_for_key(s, sibling.unwrap_or(key));
            let found = found
                .filter(|(e, _)| place != Place::Sibling || matches!(e.name, "id" | "extension"));
            let known = found.filter(|(_, t)| {
                let primitive = matches!(t, ElementType::Primitive(_) | ElementType::Xhtml);
                sibling.is_none() || primitive
            });
            if known.is_none() && self.whole {
                out.insert(key.clone(), value.clone());
                continue;
            }
            let Some((element, t)) = found else {
                continue;
            };
            if (element.name == "display" && !copies.0 || element.name == "identifier" && !copies.1)
                && structure.name == "Reference"
            {
                continue;
            }
            let shown = self.sight(element, path, deep, place);
            // labels decide, hidden or not
            let label = matches!(path.as_slice(), [only] if only.stem == "meta")
                && element.name == "security";
            if self.mode == Mode::Strip && label {
                out.insert(key.clone(), value.clone());
                continue;
            }
            if shown == Sees::Hidden && element.modifier {
                self.withheld = true;
            }
            if shown == Sees::Hidden || known.is_none() {
                continue;
            }
            path.push(step(element));
            let deep = deep || shown == Sees::Shown;
            let kept = match t {
                ElementType::Primitive(_) | ElementType::Xhtml => {
                    if deep || self.view.sees_primitives(path) {
                        self.primitive(map, key, value, element, path)
                    } else {
                        None
                    }
                }
                ElementType::Resource if element.name == "contained" => self.contained(value),
                ElementType::Resource => match self.inner(value) {
                    Some(inner) => Some(inner),
                    None => {
                        path.pop();
                        self.withheld = withheld;
                        return None;
                    }
                },
                ElementType::Complex(inner) => self.complex(value, *inner, element, path, deep),
            };
            path.pop();
            match kept {
                Some(kept) => {
                    out.insert(key.clone(), kept);
                }
                None => lost = true,
            }
        }
        self.end(out, s, path, deep, place, lost)
    }

    fn end(
        &mut self,
        mut out: Map<String, Value>,
        s: StructId,
        path: &[Step],
        deep: bool,
        place: Place,
        lost: bool,
    ) -> Option<Map<String, Value>> {
        if self.whole {
            return (!out.is_empty() || !lost).then_some(out);
        }
        if self.mode == Mode::Strip {
            return Some(out);
        }
        let mandatory = r4().structure(s).elements.iter().filter(|e| e.min > 0);
        for element in mandatory.filter(|_| place != Place::Sibling) {
            let reference = super::complex(element).any(|s| r4().structure(s).name == "Reference");
            let shown = self.sight(element, path, deep, place);
            let can_go = match shown {
                Sees::Shown => reference,
                Sees::Part => true,
                Sees::Hidden => !element.modifier,
            };
            let there = r4()
                .json_keys(element)
                .any(|(key, _)| out.contains_key(&key) || out.contains_key(&format!("_{key}")));
            if can_go && !there {
                out.extend(absent(element, 0).into_iter().flatten());
            }
        }
        if place == Place::Root {
            let redacted = json!({
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                "code": "REDACTED",
            });
            match out.get_mut("meta").and_then(Value::as_object_mut) {
                Some(meta) => match meta.get_mut("security").and_then(Value::as_array_mut) {
                    Some(security) => security.push(redacted),
                    None => {
                        meta.insert("security".into(), json!([redacted]));
                    }
                },
                None => {
                    out.insert("meta".into(), json!({ "security": [redacted] }));
                }
            }
        }
        (!out.is_empty()).then_some(out)
    }

    fn sight(&self, element: &'static Element, path: &[Step], deep: bool, place: Place) -> Sees {
        if self.whole
            || deep
            || always(path, element)
            || (place == Place::Root && element.name == "id")
        {
            return Sees::Shown;
        }
        let mut path = path.to_vec();
        path.push(step(element));
        self.view.sees(&path)
    }

    fn complex(
        &mut self,
        value: &Value,
        s: StructId,
        element: &'static Element,
        path: &mut Vec<Step>,
        deep: bool,
    ) -> Option<Value> {
        if !self.whole {
            let is_meta = path.len() == 1 && element.name == "meta";
            match r4().structure(s).name {
                "Narrative" => return None,
                // labels decide, so what holds them must be what it should be
                "Meta" if is_meta && !value.is_object() => return None,
                "Extension" => return self.extensions(value, s, element.modifier, path, deep),
                _ => {}
            }
            if path.len() == 2 && path[0].stem == "meta" && element.name == "security" {
                return self.value(value.as_array().map(|_| value)?, s, path, deep);
            }
        }
        self.value(value, s, path, deep)
    }

    /// An object, or arrays of them.
    fn value(
        &mut self,
        value: &Value,
        s: StructId,
        path: &mut Vec<Step>,
        deep: bool,
    ) -> Option<Value> {
        match value {
            Value::Object(map) => {
                if r4().structure(s).name == "Reference" && self.dangles(map, s, path, deep) {
                    return None;
                }
                self.object(map, s, path, deep, Place::Inside)
                    .map(Value::Object)
            }
            Value::Array(items) => {
                let kept = items
                    .iter()
                    .filter_map(|v| self.value(v, s, path, deep))
                    .collect();
                self.array(kept, items.is_empty())
            }
            scalar => self.whole.then(|| scalar.clone()),
        }
    }

    fn array(&self, kept: Vec<Value>, was_empty: bool) -> Option<Value> {
        let stays = !kept.is_empty()
            || if self.whole {
                was_empty
            } else {
                self.mode == Mode::Strip
            };
        stays.then_some(Value::Array(kept))
    }

    fn extensions(
        &mut self,
        value: &Value,
        s: StructId,
        modifier: bool,
        path: &mut Vec<Step>,
        deep: bool,
    ) -> Option<Value> {
        match value {
            Value::Array(items) => {
                let kept = items
                    .iter()
                    .filter_map(|v| self.extensions(v, s, modifier, path, deep))
                    .collect();
                self.array(kept, items.is_empty())
            }
            Value::Object(map) => {
                let url = map.get("url").and_then(Value::as_str);
                let listed = |url: &str| self.oracle.model.extensions.iter().any(|e| e == url);
                if url.is_some_and(listed) {
                    return self
                        .object(map, s, path, deep, Place::Inside)
                        .map(Value::Object);
                }
                self.withheld |= modifier;
                None
            }
            _ => {
                self.withheld |= modifier;
                None
            }
        }
    }

    fn primitive(
        &mut self,
        map: &Map<String, Value>,
        key: &str,
        value: &Value,
        element: &'static Element,
        path: &mut Vec<Step>,
    ) -> Option<Value> {
        let stem = key.trim_start_matches('_');
        let sibling = key.starts_with('_');
        if self.whole && !sibling {
            return Some(value.clone());
        }
        if self.mode == Mode::Strip && !sibling {
            return Some(value.clone());
        }
        let (values, siblings) = if element.many {
            self.pair(map.get(stem), map.get(&format!("_{stem}")), path)
        } else if sibling {
            (None, self.sibling(value, path))
        } else {
            (scalars(value), None)
        };
        if sibling { siblings } else { values }
    }

    fn sibling(&mut self, value: &Value, path: &mut Vec<Step>) -> Option<Value> {
        // its id and its extensions, as an extension has them
        let s = r4().datatype("Extension").expect("the tables have it");
        match value {
            Value::Object(map) => self
                .object(map, s, path, true, Place::Sibling)
                .map(Value::Object),
            Value::Array(items) => {
                let kept = items.iter().filter_map(|v| self.sibling(v, path)).collect();
                self.array(kept, items.is_empty())
            }
            scalar => self.whole.then(|| scalar.clone()),
        }
    }

    /// The values and the siblings of a repeating primitive: an index at which nothing is left goes
    /// from both, and the siblings are as many as the values.
    fn pair(
        &mut self,
        values: Option<&Value>,
        siblings: Option<&Value>,
        path: &mut Vec<Step>,
    ) -> (Option<Value>, Option<Value>) {
        let masked: Vec<Option<Value>> = match siblings {
            Some(Value::Array(items)) => {
                items.iter().map(|item| self.sibling(item, path)).collect()
            }
            _ => Vec::new(),
        };
        if self.whole || self.mode == Mode::Strip {
            let siblings = match siblings {
                Some(Value::Array(items)) => (masked.iter().any(Option::is_some)
                    || items.is_empty()
                    || self.mode == Mode::Strip)
                    .then(|| masked.into_iter().map(Option::unwrap_or_default).collect()),
                Some(other) => self.sibling(other, path),
                None => None,
            };
            return (None, siblings);
        }
        let items: &[Value] = match values {
            Some(Value::Array(items)) => items,
            _ => &[],
        };
        let present =
            |v: Option<&Value>| v.is_some_and(|v| v.is_string() || v.is_number() || v.is_boolean());
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for i in 0..items.len().max(masked.len()) {
            let value = items.get(i).filter(|v| present(Some(v)));
            let sibling = masked.get(i).cloned().flatten();
            if value.is_none() && sibling.is_none() {
                continue;
            }
            if i < items.len() {
                left.push(value.cloned().unwrap_or_default());
            }
            right.push(sibling.unwrap_or_default());
        }
        let left = match values {
            Some(Value::Array(_)) => (!left.is_empty()).then_some(Value::Array(left)),
            Some(other) => scalars(other),
            None => None,
        };
        let right = match siblings {
            Some(Value::Array(_)) => right
                .iter()
                .any(|v| !v.is_null())
                .then_some(Value::Array(right)),
            Some(other) => self.sibling(other, path),
            None => None,
        };
        (left, right)
    }

    fn contained(&mut self, value: &Value) -> Option<Value> {
        if self.is_contained {
            return None;
        }
        let items = value.as_array()?;
        let kept = items
            .iter()
            .filter_map(|item| contained(self.oracle, item, self.mode, self.nest, self.inside))
            .collect();
        self.array(kept, items.is_empty())
    }

    fn inner(&mut self, value: &Value) -> Option<Value> {
        self.oracle.judge(value, self.mode, self.nest + 1)
    }

    /// Whether the reference goes with a contained resource.
    fn dangles(&self, map: &Map<String, Value>, s: StructId, path: &[Step], deep: bool) -> bool {
        if !self.tells("reference", s, path, deep) {
            return false;
        }
        match map.get("reference").and_then(Value::as_str) {
            Some(text) => match text.strip_prefix('#') {
                Some("") | None => false,
                Some(id) => {
                    let mut same = self.inside.iter().filter(|(i, _, _)| i == id).peekable();
                    same.peek().is_none() || same.any(|(_, _, stays)| !stays)
                }
            },
            None => false,
        }
    }

    /// Whether an element of a reference is shown, so that what else stays may depend on it.
    fn tells(&self, stem: &str, s: StructId, path: &[Step], deep: bool) -> bool {
        let element = r4().structure(s).element(stem).expect("it has it");
        self.sight(element, path, deep, Place::Inside) == Sees::Shown
    }

    /// Whether `display` and `identifier` stay.
    fn copies(
        &self,
        map: &Map<String, Value>,
        s: StructId,
        path: &[Step],
        deep: bool,
    ) -> (bool, bool) {
        if !self.tells("reference", s, path, deep) {
            return (false, false);
        }
        let all = |types: &mut dyn Iterator<Item = TypeId>| {
            types
                .map(|t| self.oracle.copies(t))
                .fold((true, true), |a, b| (a.0 && b.0, a.1 && b.1))
        };
        let text = |key| map.get(key).and_then(Value::as_str);
        let declared = match text("reference") {
            Some(own) if own.starts_with('#') => {
                let same = self.inside.iter().filter(|(id, _, _)| *id == own[1..]);
                let mut types: Vec<TypeId> = same.map(|(_, t, _)| *t).collect();
                if types.is_empty() {
                    return (false, false);
                }
                return all(&mut types.drain(..));
            }
            Some(other) if other.contains('?') => None,
            Some(other) => {
                let other = other.split("/_history/").next().expect("a first part");
                let mut parts: Vec<&str> = other.split('/').collect();
                parts.pop();
                parts.pop().and_then(|name| r4().resource(name))
            }
            None => text("type")
                .filter(|_| self.tells("type", s, path, deep))
                .and_then(|name| r4().resource(name)),
        };
        if let Some(t) = declared {
            return self.oracle.copies(t);
        }
        // by what the element may point to
        let targets = self.targets(path);
        if targets.is_empty() || targets.contains(&"Resource") {
            all(&mut r4().resources())
        } else {
            all(&mut targets.iter().filter_map(|name| r4().resource(name)))
        }
    }

    /// What the element at the path may point to.
    fn targets(&self, path: &[Step]) -> Vec<&'static str> {
        path.last().map(|s| s.targets.to_vec()).unwrap_or_default()
    }
}

/// A primitive as it leaves: no `null`, no object.
fn scalars(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Array(_) => {
            let items: Vec<Value> = token::flat_once(value)
                .filter(|v| v.is_string() || v.is_number() || v.is_boolean())
                .cloned()
                .collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        scalar => Some(scalar.clone()),
    }
}

/// What stands for a mandatory element that is hidden; `None` where nothing valid can.
pub fn absent(element: &Element, depth: u8) -> Option<Map<String, Value>> {
    let reason = json!([{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode": "masked",
    }]);
    let (key, t) = r4().json_keys(element).next()?;
    let mut object = Map::new();
    object.insert("extension".into(), reason);
    let key = match t {
        ElementType::Primitive(_) if matches!(element.name, "url" | "id") => return None,
        ElementType::Primitive(_) => format!("_{key}"),
        ElementType::Complex(s) if depth < 4 => {
            for inner in r4().structure(*s).elements.iter().filter(|e| e.min > 0) {
                object.extend(absent(inner, depth + 1)?);
            }
            key
        }
        _ => return None,
    };
    let value = Value::Object(object);
    let value = if element.many { json!([value]) } else { value };
    Some([(key, value)].into_iter().collect())
}
