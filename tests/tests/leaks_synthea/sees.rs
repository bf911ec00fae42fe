//! What each role of the outpatient pack sees of each type.

use serde_json::Value;

/// Which elements of a type leave.
#[derive(Debug, Clone, Copy)]
pub enum Sees {
    /// All of them, narrative and extensions too.
    All,
    /// All but these paths, the narrative and the extensions.
    AllBut(&'static [&'static str]),
    /// These elements alone, with what D8 always shows.
    Only(&'static [&'static str]),
}

/// One role's view of one type.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Role.
    pub role: &'static str,
    /// Type.
    pub kind: &'static str,
    /// Elements.
    pub sees: Sees,
    /// Rows, beside their labels.
    pub rows: fn(&Value) -> bool,
}

/// No condition on rows.
pub fn any(_: &Value) -> bool {
    true
}

fn active(row: &Value) -> bool {
    row["status"] == "active"
}

const fn view(role: &'static str, kind: &'static str, sees: Sees) -> View {
    View {
        role,
        kind,
        sees,
        rows: any,
    }
}

/// Types that a role isn't listed with are refused to it.
pub const TABLE: &[View] = &[
    // `active` is shown by the pack; `deceased[x]` and `link` are modifiers (D8).
    view(
        "front-desk",
        "Patient",
        Sees::Only(&[
            "identifier",
            "name",
            "telecom",
            "address",
            "birthDate",
            "gender",
            "active",
            "deceasedBoolean",
            "deceasedDateTime",
            "link",
        ]),
    ),
    view(
        "front-desk",
        "Appointment",
        Sees::AllBut(&["reasonCode", "reasonReference"]),
    ),
    View {
        role: "lab-device",
        kind: "ServiceRequest",
        sees: Sees::All,
        rows: active,
    },
];

impl View {
    /// Whether the role may see the row: no role of the pack holds a sensitivity class.
    pub fn row(&self, row: &Value) -> bool {
        let labelled = row["meta"]["security"]
            .as_array()
            .is_some_and(|labels| !labels.is_empty());
        !labelled && (self.rows)(row)
    }

    /// The row's shown part (marks aside), and the values that are cut.
    pub fn cut(&self, row: &Value) -> (Value, Vec<Value>) {
        let mut kept = row.clone();
        let mut gone = Vec::new();
        match self.sees {
            Sees::All => return (kept, gone),
            Sees::AllBut(paths) => {
                for path in paths {
                    take(&mut kept, &path.split('.').collect::<Vec<_>>(), &mut gone);
                }
                take(&mut kept, &["text"], &mut gone);
            }
            Sees::Only(elements) => {
                let always = ["resourceType", "id", "meta"];
                let others: Vec<String> = kept
                    .as_object()
                    .into_iter()
                    .flat_map(|map| map.keys())
                    .filter(|key| {
                        !always.contains(&key.as_str()) && !elements.contains(&key.as_str())
                    })
                    .cloned()
                    .collect();
                for key in others {
                    take(&mut kept, &[&key], &mut gone);
                }
            }
        }
        extensions(&mut kept, &mut gone);
        vanish(&mut kept);
        (kept, gone)
    }
}

/// Takes what stands at `path` out of `value`, through arrays.
fn take(value: &mut Value, path: &[&str], gone: &mut Vec<Value>) {
    match (value, path) {
        (Value::Array(list), _) => list.iter_mut().for_each(|value| take(value, path, gone)),
        (Value::Object(map), [last]) => {
            gone.extend(map.shift_remove(*last));
            gone.extend(map.shift_remove(&format!("_{last}")));
        }
        (Value::Object(map), [first, rest @ ..]) => {
            if let Some(value) = map.get_mut(*first) {
                take(value, rest, gone);
            }
        }
        _ => {}
    }
}

/// Takes every extension out, of primitives too.
fn extensions(value: &mut Value, gone: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| extensions(value, gone)),
        Value::Object(map) => {
            gone.extend(map.shift_remove("extension"));
            map.values_mut().for_each(|value| extensions(value, gone));
        }
        _ => {}
    }
}

/// Objects and arrays that became empty go (D7).
fn vanish(value: &mut Value) -> bool {
    match value {
        Value::Array(list) => {
            list.retain_mut(|value| !vanish(value));
            list.is_empty()
        }
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                if map.get_mut(&key).is_some_and(vanish) {
                    map.shift_remove(&key);
                }
            }
            map.is_empty()
        }
        _ => false,
    }
}
