//! Random resources by the tables, and what no table allows.

use chartward_rules::fhir::labels;
use chartward_rules::fhir::tables::{Element, ElementType, StructId, r4};
use serde_json::{Map, Value, json};

use super::Dice;

/// Types with everything that masking has to know: choices, nesting, references, other resources.
pub const TYPES: [&str; 18] = [
    "Patient",
    "Observation",
    "MedicationRequest",
    "Condition",
    "AllergyIntolerance",
    "Composition",
    "Bundle",
    "Parameters",
    "Questionnaire",
    "Practitioner",
    "Organization",
    "Medication",
    "Encounter",
    "Appointment",
    "Binary",
    "Consent",
    "ValueSet",
    "ServiceRequest",
];

pub const URLS: [&str; 4] = ["http://x/race", "http://x/part", "part", "http://x/other"];
pub const CODES: [&str; 5] = ["final", "active", "true", "x", "PSY"];

/// How much is drawn at most, so that nesting ends.
const MOST_DEPTH: usize = 7;

pub fn resource(dice: &mut Dice, name: &str) -> Value {
    let mut out = top(dice, name, 0);
    out.insert("id".into(), json!("r1"));
    Value::Object(shuffled(dice, out))
}

fn top(dice: &mut Dice, name: &str, depth: usize) -> Map<String, Value> {
    let t = r4().resource(name).expect("a type");
    let mut out = Map::new();
    out.insert("resourceType".into(), json!(name));
    out.extend(members(dice, r4().root(t), depth, true));
    out
}

/// The members of an object, in any order.
fn object(dice: &mut Dice, s: StructId, depth: usize) -> Value {
    let members = members(dice, s, depth, false);
    Value::Object(shuffled(dice, members))
}

fn shuffled(dice: &mut Dice, map: Map<String, Value>) -> Map<String, Value> {
    let mut rest: Vec<(String, Value)> = map.into_iter().collect();
    let mut out = Map::new();
    while !rest.is_empty() {
        let (key, value) = rest.remove(dice.below(rest.len()));
        out.insert(key, value);
    }
    out
}

fn members(dice: &mut Dice, s: StructId, depth: usize, root: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let structure = r4().structure(s);
    if structure.name == "Reference" {
        return reference(dice, depth);
    }
    let share = if root {
        35
    } else {
        60usize.saturating_sub(6 * depth) * 4 / (4 + structure.elements.len() / 4)
    };
    for element in &structure.elements {
        let wanted = match element.name {
            "meta" if root => 60,
            "text" if root => 40,
            "contained" => 25,
            "extension" => 18,
            "modifierExtension" => 3,
            _ if element.min > 0 => share + 25,
            _ => share,
        };
        if dice.chance(wanted) {
            put(dice, element, depth + 1, root, &mut out);
        }
    }
    if dice.chance(6) {
        let marker = dice.marker();
        out.insert("unknown".into(), json!({ "a": [marker, null, { "b": 1 }] }));
    }
    if dice.chance(2) {
        let marker = dice.marker();
        out.insert("_unknown".into(), json!(marker));
    }
    if dice.chance(1) {
        out.insert("_resourceType".into(), json!({ "id": dice.marker() }));
    }
    out
}

fn put(
    dice: &mut Dice,
    element: &'static Element,
    depth: usize,
    root: bool,
    out: &mut Map<String, Value>,
) {
    let keys: Vec<(String, &ElementType)> = r4().json_keys(element).collect();
    let (key, t) = &dice.pick(&keys);
    if root && element.name == "meta" {
        let meta = meta(dice, depth);
        out.insert(key.clone(), meta);
        return;
    }
    if element.name == "contained" {
        let items: Vec<Value> = (0..1 + dice.below(3))
            .map(|_| contained(dice, depth))
            .collect();
        out.insert(key.clone(), json!(items));
        return;
    }
    if depth > MOST_DEPTH && !matches!(t, ElementType::Primitive(_)) {
        return;
    }
    if dice.chance(2) {
        let odd = odd(dice);
        out.insert(key.clone(), odd);
        return;
    }
    if matches!(t, ElementType::Primitive(_)) {
        primitives(dice, key, t, element, depth, out);
        return;
    }
    let value = if element.many {
        let items: Vec<Value> = (0..1 + dice.below(3))
            .map(|_| value(dice, t, depth))
            .collect();
        json!(items)
    } else {
        value(dice, t, depth)
    };
    out.insert(key.clone(), value);
}

/// A primitive with its sibling; repeating ones in line, or not quite.
fn primitives(
    dice: &mut Dice,
    key: &str,
    t: &ElementType,
    element: &Element,
    depth: usize,
    out: &mut Map<String, Value>,
) {
    let sibling_first = dice.chance(30);
    let (mut values, mut siblings) = (Vec::new(), Vec::new());
    for _ in 0..if element.many { 1 + dice.below(4) } else { 1 } {
        values.push(if element.many && dice.chance(20) {
            Value::Null
        } else {
            value(dice, t, depth)
        });
        siblings.push(if dice.chance(60) {
            sibling(dice, depth)
        } else {
            Value::Null
        });
    }
    let (has_values, has_siblings) = match dice.below(10) {
        0..=5 => (true, false),
        6..=8 => (true, true),
        _ => (false, true),
    };
    if dice.chance(10) {
        values.pop();
    }
    if dice.chance(10) {
        siblings.pop();
    }
    let (value, sibling) = if element.many {
        (json!(values), json!(siblings))
    } else {
        (
            values.pop().unwrap_or_default(),
            siblings.pop().unwrap_or_default(),
        )
    };
    let mut both = vec![];
    if has_values {
        both.push((key.to_owned(), value));
    }
    if has_siblings {
        both.push((format!("_{key}"), sibling));
    }
    if sibling_first {
        both.reverse();
    }
    out.extend(both);
}

/// `_x`: an id, extensions, and what it can't have.
fn sibling(dice: &mut Dice, depth: usize) -> Value {
    let s = r4().datatype("Extension").expect("the tables have it");
    let mut out = Map::new();
    if dice.chance(20) {
        out.insert("id".into(), json!(dice.marker()));
    }
    if dice.chance(70) && depth < MOST_DEPTH {
        let items: Vec<Value> = (0..1 + dice.below(2))
            .map(|_| extension(dice, s, depth + 2))
            .collect();
        out.insert("extension".into(), json!(items));
    }
    if dice.chance(5) {
        out.insert("valueString".into(), json!(dice.marker()));
    }
    Value::Object(out)
}

fn value(dice: &mut Dice, t: &ElementType, depth: usize) -> Value {
    match t {
        ElementType::Primitive(name) => match *name {
            "boolean" => json!(dice.below(2) == 0),
            "integer" | "positiveInt" | "unsignedInt" => {
                number(dice, &["7", "0", "-0", "12345678901234567890"])
            }
            "decimal" => number(dice, &["1.0500", "1E400", "-0", "0.10", "1e-7", "-2.5E+3"]),
            "code" if dice.chance(70) => json!(dice.pick(&CODES)),
            _ => text(dice),
        },
        ElementType::Xhtml => json!(format!("<div>{}</div>", dice.marker())),
        ElementType::Resource => {
            let name = dice.pick(&TYPES);
            let mut inner = top(dice, name, depth.max(4));
            let id = dice.marker();
            if dice.chance(90) {
                inner.insert("id".into(), json!(id));
            }
            Value::Object(shuffled(dice, inner))
        }
        ElementType::Complex(s) => match r4().structure(*s).name {
            "Extension" => extension(dice, *s, depth),
            "Coding" if dice.chance(30) => {
                json!({ "system": "http://sys", "code": dice.pick(&CODES), "display": dice.marker() })
            }
            _ => object(dice, *s, depth),
        },
    }
}

fn text(dice: &mut Dice) -> Value {
    let marker = dice.marker();
    match dice.below(6) {
        0 => json!(format!("é\"\\/{marker}\n\u{1f9fa}")),
        _ => json!(marker),
    }
}

fn number(dice: &mut Dice, from: &[&str]) -> Value {
    serde_json::from_str::<Value>(dice.pick(from)).expect("a number")
}

fn extension(dice: &mut Dice, s: StructId, depth: usize) -> Value {
    let mut members = members(dice, s, depth.max(3), false);
    members
        .retain(|key, _| key != "url" && !key.starts_with("value") && !key.starts_with("_value"));
    if dice.chance(97) {
        members.insert("url".into(), json!(dice.pick(&URLS)));
    }
    if depth < MOST_DEPTH && dice.chance(20) {
        let reference = reference(dice, depth);
        members.insert("valueReference".into(), Value::Object(reference));
    } else {
        members.insert("valueString".into(), json!(dice.marker()));
    }
    Value::Object(shuffled(dice, members))
}

fn reference(dice: &mut Dice, depth: usize) -> Map<String, Value> {
    let mut out = Map::new();
    let name = dice.pick(&TYPES);
    match dice.below(9) {
        0..=2 => {
            _ = out.insert(
                "reference".into(),
                json!(format!("{name}/{}", dice.marker())),
            )
        }
        3 => {
            _ = out.insert(
                "reference".into(),
                json!(format!("https://h/fhir/{name}/1/_history/2")),
            )
        }
        4 => _ = out.insert("reference".into(), json!("urn:uuid:1")),
        5..=6 => {
            _ = out.insert(
                "reference".into(),
                json!(dice.pick(&["#c0", "#c1", "#c2", "#"])),
            )
        }
        7 => {
            _ = out.insert(
                "reference".into(),
                json!("Patient?identifier=http://x/Medication/1"),
            )
        }
        _ => {}
    }
    if dice.chance(30) {
        out.insert("type".into(), json!(name));
    }
    if dice.chance(60) {
        out.insert("display".into(), json!(dice.marker()));
    }
    if dice.chance(40) && depth < MOST_DEPTH {
        out.insert(
            "identifier".into(),
            json!({ "system": "http://sys", "value": dice.marker() }),
        );
    }
    if dice.chance(8) && depth < MOST_DEPTH {
        let s = r4().datatype("Extension").expect("the tables have it");
        out.insert("extension".into(), json!([extension(dice, s, depth + 2)]));
    }
    out
}

fn contained(dice: &mut Dice, depth: usize) -> Value {
    let name = dice.pick(&TYPES);
    let mut out = top(dice, name, depth.max(3));
    out.insert("id".into(), json!(dice.pick(&["c0", "c1", "c2"])));
    Value::Object(shuffled(dice, out))
}

fn meta(dice: &mut Dice, depth: usize) -> Value {
    let s = r4().datatype("Meta").expect("the tables have it");
    let mut out = members(dice, s, depth, false);
    let mut labels = Vec::new();
    for _ in 0..dice.below(3) {
        let (system, code) = dice.pick(&[
            (labels::CONFIDENTIALITY, "N"),
            (labels::CONFIDENTIALITY, "R"),
            (labels::ACT_CODE, "PSY"),
            (labels::ACT_CODE, "HIV"),
            ("http://own", "x"),
            ("http://foreign", "PSY"),
            ("", "VIO"),
        ]);
        let mut label = Map::new();
        label.insert("code".into(), json!(code));
        if !system.is_empty() {
            label.insert("system".into(), json!(system));
        }
        if dice.chance(30) {
            label.insert("display".into(), json!(dice.marker()));
        }
        labels.push(Value::Object(shuffled(dice, label)));
    }
    out.remove("security");
    if !labels.is_empty() {
        out.insert("security".into(), json!(labels));
    }
    Value::Object(shuffled(dice, out))
}

/// What FHIR doesn't have at the place.
fn odd(dice: &mut Dice) -> Value {
    let marker = dice.marker();
    match dice.below(8) {
        0 => json!({}),
        1 => json!([]),
        2 => Value::Null,
        3 => json!({ "x": marker }),
        4 => json!([[marker]]),
        5 => json!([marker, { "x": marker }, null]),
        6 => json!(5),
        _ => json!(marker),
    }
}
