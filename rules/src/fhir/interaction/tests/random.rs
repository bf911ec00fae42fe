//! What holds for whatever is sent.

use proptest::prelude::*;

use super::*;
use crate::fhir::target;

/// The target that an interaction would be asked at again.
fn rewritten(found: &Interaction) -> String {
    let (place, query) = (found.place(), found.query());
    let place = if place.is_empty() {
        place
    } else {
        format!("/{place}")
    };
    // of a create, the query is a header's
    if query.is_empty() || matches!(found, Interaction::Create(_)) {
        place
    } else {
        format!("{place}?{query}")
    }
}

/// Path segments, known and odd.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            "Patient", "Observation", "Encounter", "Group", "_history", "_search", "metadata",
            "1", "a.b", "$x", "..", "", "%2e", "Patient;x", "*",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
        1 => "\\PC{0,4}",
    ]
}

fn pair() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "_id",
        "_count",
        "_since",
        "_type",
        "_format",
        "_tag",
        "name",
        "code",
        "subject:Patient",
        "_lastUpdated",
        "identifier",
        "_page",
        "_include",
        "_sort",
        "a",
        "",
    ]);
    let value = prop_oneof![
        2 => proptest::sample::select(vec![
            "1", "json", "Patient", "Patient,Group", "2020-01-01T00:00:00Z", "x|y", "a%20b", "%",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~]{0,8}",
    ];
    (name, value).prop_map(|(name, value)| format!("{name}={value}"))
}

fn method() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ])
}

/// Bodies, good and broken.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::sample::select(vec![
        r#"{"resourceType":"Patient","id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1","name":[{"given":["a",null]}],"_birthDate":{"id":"x"}}"#,
        r#"{"resourceType":"Observation","id":"1","valueQuantity":{"value":1.50}}"#,
        r#"[{"op":"add","path":"/name/-","value":{"family":"\u00e9"}}]"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"urn:oid:1.2","request":{"method":"GET","url":"Patient/1"}},{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}"#,
    ]);
    let noise = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    prop_oneof![
        6 => (text, noise, any::<prop::sample::Index>(), any::<bool>()).prop_map(
            |(text, noise, cut, whole)| {
                let mut bytes = text.as_bytes().to_vec();
                for (at, byte) in noise {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                if !whole {
                    bytes.truncate(cut.index(bytes.len()));
                }
                bytes
            }
        ),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => "[\\[\\]{}\",:a-z\\\\ 0-9]{0,40}".prop_map(String::into_bytes),
    ]
}

/// Whether serde_json, which is lenient with doubled keys, takes it at all.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}

fn written(found: &Interaction) -> Option<&Body> {
    match found {
        Interaction::Create(create) => Some(&create.body),
        Interaction::Update(update) => Some(&update.body),
        Interaction::Patch(patch) => Some(&patch.body),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_written_anew_is_what_was_understood(
        method in method(),
        segments in proptest::collection::vec(segment(), 0..5),
        pairs in proptest::collection::vec(pair(), 0..3),
        body in proptest::option::of(body()),
        media in proptest::sample::select(vec![
            "application/fhir+json", "application/json-patch+json", "text/plain",
        ]),
        if_match in proptest::option::weighted(0.1, "[W/\"0-9*]{0,6}"),
    ) {
        let path: String = segments.iter().flat_map(|s| ["/", s]).collect();
        let query = pairs.join("&");
        let body = body.map(Bytes::from);
        let asked = |method, path, query| {
            let takes_form = Interaction::takes(method, path) == Takes::Form;
            understand(Request {
                form: takes_form.then_some(""),
                body: body.as_ref().filter(|_| !takes_form),
                content_type: Some(media),
                if_match: if_match.as_deref(),
                ..Request::new(method, path, query)
            })
        };
        let Ok(mut found) = asked(method, &path, &query) else {
            return Ok(());
        };
        if found.handle().is_some() || matches!(found, Interaction::Options { .. }) {
            return Ok(());
        }
        if let Some(body) = written(&found) {
            prop_assert!(is_json(body.bytes()));
        }
        let again = rewritten(&found);
        // every segment of the path was understood, none was read as another
        let path_again = again.split('?').next().unwrap_or("");
        let due = path.strip_suffix("/_search").unwrap_or(&path);
        prop_assert_eq!(path_again, due.strip_suffix('/').unwrap_or(due));
        // all pairs but those that ask for JSON are kept
        let kept = |query: &str| {
            let mut pairs = target::pairs(query).unwrap();
            pairs.retain(|(name, _)| name != "_format" && name != "_pretty");
            for (name, value) in &mut pairs {
                if name == "_since" {
                    *value = value.replace(' ', "+");
                }
            }
            pairs.sort();
            pairs
        };
        let query_again = again.split_once('?').map_or("", |(_, query)| query);
        prop_assert_eq!(kept(query_again), kept(&query));
        // and it is understood as the same
        let path = path.ends_with("/_search").then(|| format!("{path_again}/_search"));
        let found_again = asked(method, path.as_deref().unwrap_or(path_again), query_again);
        let found_again = found_again.unwrap();
        prop_assert_eq!(rewritten(&found_again), again);
        prop_assert_eq!(found_again.action(), found.action());
    }

    #[test]
    fn bundles_of_random_entries_keep_their_order(
        entries in proptest::collection::vec((method(), segment(), segment(), any::<bool>()), 0..8),
        transaction in any::<bool>(),
    ) {
        let written: Vec<serde_json::Value> = entries
            .iter()
            .map(|(method, a, b, resource)| {
                let mut entry = serde_json::json!({
                    "request": { "method": method, "url": format!("{a}/{b}") },
                });
                if *resource {
                    entry["resource"] = serde_json::json!({ "resourceType": a, "id": b });
                }
                entry
            })
            .collect();
        let kind = if transaction { "transaction" } else { "batch" };
        let bundle = serde_json::json!({ "resourceType": "Bundle", "type": kind, "entry": written });
        match ask("POST", "").json(&bundle.to_string()).understood() {
            Ok(Interaction::Bundle(found)) => {
                prop_assert_eq!(found.entries.len(), entries.len());
                for (found, (method, a, b, _)) in found.entries.iter().zip(&entries) {
                    let Ok(asks) = &found.asks else {
                        prop_assert!(!transaction);
                        continue;
                    };
                    let url = format!("{a}/{b}");
                    let path = url.split('?').next();
                    prop_assert_eq!(Some(&*asks.place()), path, "{}", method);
                }
            }
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(_) => prop_assert!(transaction),
        }
    }
}
