//! D17: what of a body its author may not write.
//!
//! Writable is what is shown unmasked. So a body is seen as a row of its own, and everything in it
//! must still be there: what a view adds (marks, reasons for absence) doesn't count, what it takes
//! does.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The first element of `body` that isn't in `shown`, by its path from the type; `None` where all
/// of it is.
pub(super) fn lost(resource: &str, body: &Value, shown: &Value) -> Option<String> {
    let mut path = vec![resource];
    (!is_in(body, shown, &mut path)).then(|| path.join("."))
}

fn is_in<'b>(body: &'b Value, shown: &Value, path: &mut Vec<&'b str>) -> bool {
    match (body, shown) {
        (Value::Object(body), Value::Object(shown)) => body.iter().all(|(key, value)| {
            let named = is_name(key);
            if named {
                path.push(key);
            }
            let is = shown
                .get(key)
                .is_some_and(|shown| is_in(value, shown, path));
            // where something is missing, the path stays at it
            if is && named {
                path.pop();
            }
            is
        }),
        (Value::Array(body), Value::Array(shown)) => {
            // the view's mark joins the labels
            let marked = matches!(path.as_slice(), [_, "meta", "security"]);
            let most = body.len() + usize::from(marked);
            (body.len()..=most).contains(&shown.len())
                && body.iter().zip(shown).all(|(b, s)| is_in(b, s, path))
        }
        (body, shown) => body == shown,
    }
}

/// Whether a key can be told to the caller: a name, no value.
fn is_name(key: &str) -> bool {
    let key = key.strip_prefix('_').unwrap_or(key);
    (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether a reference of the body asks the upstream to search for what it points to: that would
/// be a search which nobody decided.
pub(super) fn has_conditional_reference(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| match value {
            Value::String(text) => key == "reference" && text.contains('?'),
            value => has_conditional_reference(value),
        }),
        Value::Array(items) => items.iter().any(has_conditional_reference),
        _ => false,
    }
}

/// Lists of `meta` that a write leaves as they are (D18), those of resources inside the row too:
/// the first that differs.
pub(super) fn changed_meta(stored: &Value, new: &Value) -> Option<&'static str> {
    changed_lists(stored, new).or_else(|| {
        let mut before = Inner::new();
        within(stored, &mut before);
        let mut after = Inner::new();
        within(new, &mut after);
        after.iter().find_map(|(name, resources)| {
            let stored = before.get(name)?;
            let mut pairs = resources
                .iter()
                .flat_map(|new| stored.iter().map(move |s| (s, new)));
            pairs.find_map(|(stored, new)| changed_lists(stored, new))
        })
    })
}

/// Resources inside a row by type and id, each more than once perhaps.
type Inner<'v> = HashMap<(&'v str, &'v str), Vec<&'v Value>>;

fn within<'v>(value: &'v Value, found: &mut Inner<'v>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| add(value, found)),
        Value::Array(items) => items.iter().for_each(|value| add(value, found)),
        _ => {}
    }
}

fn add<'v>(value: &'v Value, found: &mut Inner<'v>) {
    let word = |key| value.get(key).and_then(Value::as_str);
    if let Some(resource) = word("resourceType") {
        let id = word("id").unwrap_or_default();
        let known = found.entry((resource, id)).or_default();
        // two that differ are enough: nothing is the same as both
        let is_other = |known: &&Value| changed_lists(known, value).is_some();
        if known.len() < 2 && known.iter().all(is_other) {
            known.push(value);
        }
    }
    within(value, found);
}

/// A list of `meta`; `None` where something else stands there.
fn list<'v>(row: &'v Value, key: &str) -> Option<&'v [Value]> {
    let list = match row.get("meta") {
        None => return Some(&[]),
        Some(meta) => meta.as_object()?.get(key),
    };
    match list {
        None => Some(&[]),
        Some(list) => list.as_array().map(Vec::as_slice),
    }
}

fn changed_lists(stored: &Value, new: &Value) -> Option<&'static str> {
    let lists = [
        ("security", "meta.security"),
        ("tag", "meta.tag"),
        ("profile", "meta.profile"),
    ];
    lists.into_iter().find_map(|(key, name)| {
        let same = match (list(stored, key), list(new, key)) {
            // caller and server choose how long they are
            (Some(stored), Some(new)) => {
                stored == new || stored.iter().collect::<HashSet<_>>() == new.iter().collect()
            }
            // what has another shape can't be kept
            _ => false,
        };
        (!same).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_named_and_what_was_added_is_not() {
        let body = json!({"resourceType": "Patient", "name": [{"family": "A", "given": ["B"]}]});
        let lost = |shown: Value| super::lost("Patient", &body, &shown);
        let mut marked = body.clone();
        marked["meta"] = json!({"security": [{"code": "REDACTED"}]});
        assert_eq!(lost(body.clone()), None);
        assert_eq!(lost(marked), None);
        let name = |name: Value| json!({"resourceType": "Patient", "name": name});
        for (shown, at) in [
            (json!({"resourceType": "Patient"}), "Patient.name"),
            (name(json!([])), "Patient.name"),
            (name(json!([{"family": "A"}])), "Patient.name.given"),
            (
                name(json!([{"family": "A", "given": []}])),
                "Patient.name.given",
            ),
            (
                name(json!([{"family": "A", "given": ["C"]}])),
                "Patient.name.given",
            ),
            (
                name(json!([{"family": "A", "given": ["B"]}, {}])),
                "Patient.name",
            ),
        ] {
            assert_eq!(lost(shown).as_deref(), Some(at));
        }
    }

    #[test]
    fn keys_that_are_no_names_are_not_told() {
        let body = json!({"name": [{"a value, not a name": 1}]});
        let shown = json!({"name": [{}]});
        assert_eq!(
            lost("Patient", &body, &shown).as_deref(),
            Some("Patient.name")
        );
    }

    #[test]
    fn lists_of_meta_are_sets() {
        let row = |labels: &[&str]| {
            let labels: Vec<Value> = labels.iter().map(|code| json!({"code": code})).collect();
            json!({"meta": {"security": labels}})
        };
        assert_eq!(changed_meta(&row(&["R", "MH"]), &row(&["MH", "R"])), None);
        assert_eq!(changed_meta(&row(&[]), &json!({})), None);
        for (stored, new) in [(row(&["R"]), row(&[])), (json!({}), row(&["R"]))] {
            assert_eq!(changed_meta(&stored, &new), Some("meta.security"));
        }
    }
}
