//! Patches: applied here to the row that is stored, where its author sees all of it, and written
//! as the row that results (D19).
//!
//! What a patch makes is bounded: a few operations that copy what they copied could make anything
//! of any size.

use json_patch::{PatchOperation, patch_unsafe};
use serde_json::Value;

use super::desk::{Decided, Decision, Desk};
use super::stored::Current;
use super::writes::{author, fits, parse, replace, version};
use crate::fhir::interaction::{Body, Patch};
use crate::fhir::tables::r4;
use crate::mask::scan::MAX_DEPTH;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// `PATCH [base]/[type]/[id]` and `PATCH [base]/[type]?…`
pub(super) fn patch(desk: &Desk<'_>, patch: &Patch) -> Decision {
    let resource = patch.resource;
    let author = author(desk, resource, Can::Patch)?;
    if !author.sees_whole(desk) {
        return Err(No::named(Reason::WriteNeedsMerge, r4().name(resource)));
    }
    let stored = match author.aimed(desk, resource, &patch.aim)? {
        Current::Unknown(question) => return Ok(Decided::Ask(vec![question])),
        Current::Row(stored) => stored,
        Current::Nothing => {
            return Err(No::new(Reason::NotFound).because("nothing visible to patch"));
        }
    };
    let if_match = patch.if_match.as_deref();
    version(desk, resource, &stored, if_match)?;
    if !stored.whole {
        return Err(No::named(Reason::WriteNeedsMerge, r4().name(resource)));
    }
    let row = parse(&stored.bytes)?;
    let mut size = size(&row);
    let made = applied(row, patch.body.bytes(), desk.left_to_patch(), &mut size);
    // what fails at its end has cost as much
    desk.patched(size);
    let made = made?;
    let body = Body::of_patch(made.into(), resource)?;
    fits(desk, &author, resource, body.bytes())?;
    replace(desk, resource, &stored, body.bytes(), if_match)
}

/// The row after the patch. Its type and id stay. `size` is that of the row, and then of the
/// largest that it could have become.
fn applied(mut row: Value, patch: &[u8], most: usize, size: &mut usize) -> Result<Vec<u8>, No> {
    let failed = |what| No::new(Reason::PatchFailed).because(what);
    let operations: Vec<PatchOperation> =
        serde_json::from_slice(patch).map_err(|_| No::named(Reason::NotUnderstood, "patch"))?;
    let named = |row: &Value| ["resourceType", "id"].map(|key| row.get(key).cloned());
    let before = named(&row);
    for operation in operations {
        let (grows, deep) = grown(&row, &operation);
        let larger = size.saturating_add(grows);
        let depth = operation.path().tokens().count().saturating_add(deep);
        if larger > most || depth > MAX_DEPTH as usize {
            return Err(No::named(Reason::TooLarge, "patch"));
        }
        *size = larger;
        patch_unsafe(&mut row, std::slice::from_ref(&operation))
            .map_err(|_| failed("an operation can't be applied"))?;
    }
    if named(&row) != before {
        return Err(No::named(Reason::NotUnderstood, "id").because("a patch of type or id"));
    }
    serde_json::to_vec(&row).map_err(|_| failed("the result can't be written"))
}

/// How many bytes an operation may add at most, and how many levels what it adds has.
fn grown(row: &Value, operation: &PatchOperation) -> (usize, usize) {
    let of = |value: &Value| (size(value), depth(value));
    match operation {
        PatchOperation::Add(add) => of(&add.value),
        PatchOperation::Replace(replace) => of(&replace.value),
        PatchOperation::Copy(copy) => row.pointer(copy.from.as_str()).map_or((0, 0), of),
        PatchOperation::Move(from) => {
            let moved = row.pointer(from.from.as_str());
            (0, moved.map_or(0, depth))
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => (0, 0),
    }
}

/// About as many bytes as the value has in JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => {
            let each = members
                .iter()
                .map(|(key, value)| key.len() + size(value) + 4);
            each.sum::<usize>() + 2
        }
        Value::Number(number) => number.as_str().len(),
        Value::Null | Value::Bool(_) => 5,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(row: &Value, patch: &Value) -> Result<Value, Reason> {
        let patch = patch.to_string();
        let mut size = size(row);
        let bytes =
            applied(row.clone(), patch.as_bytes(), 10_000, &mut size).map_err(|no| no.reason)?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn patches_are_applied_in_order_and_whole() {
        let row: Value = serde_json::from_str(
            r#"{"resourceType":"Observation","id":"1","valueQuantity":{"value":1.50},"note":[{"text":"a"}]}"#,
        )
        .unwrap();
        let table = [
            (json!([]), Ok(row.clone())),
            (
                json!([
                    {"op": "test", "path": "/note/0/text", "value": "a"},
                    {"op": "add", "path": "/note/-", "value": {"text": "b"}},
                    {"op": "remove", "path": "/note/0"},
                ]),
                Ok(json!([{"text": "b"}])),
            ),
            (
                json!([{"op": "copy", "from": "/note/0", "path": "/note/0"}]),
                Ok(json!([{"text": "a"}, {"text": "a"}])),
            ),
            (
                json!([{"op": "test", "path": "/note/0/text", "value": "b"}]),
                Err(Reason::PatchFailed),
            ),
            (
                json!([{"op": "replace", "path": "/status", "value": "final"}]),
                Err(Reason::PatchFailed),
            ),
            (
                json!([{"op": "replace", "path": "/id", "value": "2"}]),
                Err(Reason::NotUnderstood),
            ),
            (
                json!([{"op": "remove", "path": "/resourceType"}]),
                Err(Reason::NotUnderstood),
            ),
            (
                json!([{"op": "merge", "path": "/id"}]),
                Err(Reason::NotUnderstood),
            ),
        ];
        for (patch, expected) in table {
            let got = apply(&row, &patch);
            let expected = expected.map(|note| match note {
                Value::Array(_) => {
                    let mut row = row.clone();
                    row["note"] = note;
                    row
                }
                row => row,
            });
            assert_eq!(got, expected, "{patch}");
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        let row = br#"{"resourceType":"Observation","valueQuantity":{"value":1.50}}"#;
        let patch = br#"[{"op":"add","path":"/referenceRange","value":[{"low":{"value":0.10}}]}]"#;
        let row = serde_json::from_slice(row).unwrap();
        let bytes = applied(row, patch, 10_000, &mut 0).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("1.50") && text.contains("0.10"), "{text}");
    }

    #[test]
    fn copies_of_copies_are_bounded() {
        let row = json!({"resourceType": "Observation", "note": [{"text": "a"}]});
        let wide: Vec<Value> = (0..40)
            .map(|_| json!({"op": "copy", "from": "/note", "path": "/note/-"}))
            .collect();
        assert_eq!(apply(&row, &json!(wide)), Err(Reason::TooLarge));
        let deep: Vec<Value> = (0..40)
            .map(|_| json!({"op": "copy", "from": "/note", "path": "/note/0/note"}))
            .collect();
        assert_eq!(apply(&row, &json!(deep)), Err(Reason::TooLarge));
    }
}
