//! Token conditions over a DOM.

use chartward_rules::fhir::tables::{ElementType, ParamPath, StructId, TypeId, r4};
use serde_json::Value;

/// Whether the row meets `param=value`.
pub fn holds(t: TypeId, row: &Value, condition: &str) -> bool {
    let (name, wanted) = condition.split_once('=').expect("a condition");
    let param = r4().param(t, name).expect("a parameter");
    let mut found = Vec::new();
    for path in &param.paths {
        collect(path, 0, r4().root(t), row, &mut found);
    }
    wanted.split(',').any(|want| {
        let (system, code) = match want.split_once('|') {
            Some((system, code)) => (Some(system), code),
            None => (None, want),
        };
        found.iter().any(|(s, c)| {
            let system_fits = match system {
                None => true,
                Some("") => s.as_deref().is_none_or(str::is_empty),
                Some(system) => s.as_deref() == Some(system),
            };
            let code_fits = code.is_empty() || c.as_deref() == Some(code);
            // a token without a code is one where only the system is asked for
            system_fits && code_fits && (c.is_some() || (code.is_empty() && s.is_some()))
        })
    })
}

type Token = (Option<String>, Option<String>);

fn collect(path: &ParamPath, depth: usize, s: StructId, value: &Value, out: &mut Vec<Token>) {
    let Some(element) = r4().structure(s).element(path.elements[depth]) else {
        return;
    };
    for (key, t) in r4().json_keys(element) {
        if element.choice && path.cast.is_some_and(|cast| cast != r4().type_name(*t)) {
            continue;
        }
        for inner in flat(value.get(&key)) {
            if depth + 1 < path.elements.len() {
                if let ElementType::Complex(s) = t {
                    collect(path, depth + 1, *s, inner, out);
                }
                continue;
            }
            match r4().type_name(*t) {
                "Coding" => out.push((text(inner.get("system")), text(inner.get("code")))),
                "CodeableConcept" => {
                    for coding in flat(inner.get("coding")) {
                        out.push((text(coding.get("system")), text(coding.get("code"))));
                    }
                }
                "Identifier" => out.push((text(inner.get("system")), text(inner.get("value")))),
                _ => out.push((None, text(Some(inner)))),
            }
        }
    }
}

/// A scalar's text.
pub fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) | Value::Array(_) | Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// The value, or the items of the arrays it is.
pub fn flat(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().flat_map(|v| flat(Some(v))).collect(),
        Some(value) => vec![value],
    }
}

/// The items of an array, as they are.
pub fn flat_once(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
