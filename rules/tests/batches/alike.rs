//! D1 for writes: two servers that differ only in what a caller can't see answer all that he does
//! alike, are asked alike, and keep what he can't see.

use super::*;

/// Rows that `some` can't see, in some form.
fn hidden(form: usize) -> Vec<Value> {
    let row = |id: &str, status: &str, label: Option<&str>, note: &str| {
        let mut row = json!({
            "resourceType": "Observation", "id": id, "status": status,
            "identifier": [{"value": id}], "code": {"text": note},
        });
        if let Some(label) = label {
            row["meta"] = json!({"security": [{"code": label}]});
        }
        row
    };
    match form {
        0 => Vec::new(),
        1 => vec![row("hidden", "preliminary", None, "a")],
        2 => vec![
            row("hidden", "final", Some("R"), "b"),
            row("missing", "final", Some("HIV"), "c"),
        ],
        _ => vec![
            row("missing", "registered", None, "d"),
            row("more", "preliminary", None, "e"),
        ],
    }
}

fn with(form: usize) -> Store {
    let mut rows = hidden(form);
    rows.extend([
        json!({"resourceType": "Observation", "id": "open", "status": "final", "identifier": [{"value": "open"}], "code": {"text": "c"}}),
        json!({"resourceType": "Observation", "id": "second", "status": "final", "identifier": [{"value": "second"}], "code": {"text": "c"}}),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "A"}], "birthDate": format!("197{form}-01-01")}),
    ]);
    Store::of(&rows)
}

/// What the server has that `some` can't see.
fn unseen(store: &Store) -> Vec<(String, Vec<Option<Value>>)> {
    let rows = store.rows.iter().filter(|((_, id), versions)| {
        let now = versions.last().and_then(Option::as_ref);
        *id == "p1"
            || now.is_some_and(|row| {
                row["status"] != "final" || row["meta"].get("security").is_some()
            })
    });
    rows.map(|((t, id), versions)| (format!("{t}/{id}"), versions.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_a_caller_cannot_see_neither_tells_nor_changes(
        forms in (0usize..4, 0usize..4),
        session in prop::collection::vec((any::<u8>(), prop::collection::vec(0usize..500, 1..4)), 1..6),
    ) {
        let kinds = kinds();
        let (mut one, mut other) = (with(forms.0), with(forms.1));
        let before = (unseen(&one), unseen(&other));
        for (how, picks) in session {
            let entries: Vec<Entry> = picks.iter().map(|i| kinds[i % kinds.len()].clone()).collect();
            let ask = |store: &mut Store| match how % 3 {
                0 => send("some", store, "batch", &entries),
                1 => send("some", store, "transaction", &entries),
                _ => {
                    let mut asks = entries[0].alone();
                    let target = format!("/{}", entries[0].url);
                    asks.target = &target;
                    request(&program(), &subject(&["some"]), store, &asks)
                }
            };
            prop_assert_eq!(ask(&mut one), ask(&mut other), "{:?}", entries);
        }
        prop_assert_eq!(&one.trace, &other.trace);
        prop_assert_eq!(before, (unseen(&one), unseen(&other)));
    }
}
