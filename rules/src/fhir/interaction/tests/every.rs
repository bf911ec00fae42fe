//! Every type, every method, every level: each is understood or refused as FHIR R4 has it.

use super::*;

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY",
];

/// What a level of FHIR's table has (http.html#summary), by method.
fn word(level: &str, method: &str) -> Option<&'static str> {
    Some(match (level, method) {
        (_, "OPTIONS") => "options",
        ("type", "GET" | "HEAD") | ("type search", "POST") => "search-type",
        ("type", "POST") => "create",
        ("type by condition" | "instance", "PUT") => "update",
        ("type by condition" | "instance", "PATCH") => "patch",
        ("type by condition" | "instance", "DELETE") => "delete",
        ("type by condition", "GET" | "HEAD") => "search-type",
        ("instance", "GET" | "HEAD") => "read",
        ("version", "GET" | "HEAD") => "vread",
        ("type history", "GET" | "HEAD") => "history-type",
        ("instance history", "GET" | "HEAD") => "history-instance",
        ("compartment", "GET" | "HEAD") | ("compartment search", "POST") => "search-compartment",
        _ => return None,
    })
}

fn sent<'a>(method: &'a str, target: &'a str, resource: TypeId) -> Ask<'a> {
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    let asked = ask(method, target);
    match Interaction::takes(method, path) {
        Takes::Nothing => asked,
        Takes::Form => asked.form(""),
        Takes::Resource(of, Can::Patch) => {
            assert_eq!(of, resource);
            asked.patch(r#"[{"op":"remove","path":"/language"}]"#)
        }
        Takes::Resource(of, _) => {
            assert_eq!(of, resource);
            asked.json(&format!(
                r#"{{"resourceType":"{}","id":"x.1"}}"#,
                r4().name(resource)
            ))
        }
        Takes::Bundle => panic!("{method} {target}"),
    }
}

#[test]
fn every_type_has_every_interaction_at_its_level_and_no_other() {
    let mut understood = 0;
    for resource in r4().resources() {
        let name = r4().name(resource);
        for (level, target) in [
            ("type", format!("/{name}")),
            ("type by condition", format!("/{name}?_id=x.1")),
            ("type search", format!("/{name}/_search")),
            ("type history", format!("/{name}/_history")),
            ("instance", format!("/{name}/x.1")),
            ("instance history", format!("/{name}/x.1/_history")),
            ("version", format!("/{name}/x.1/_history/2")),
            ("unknown", format!("/{name}/x.1/_history/2/3")),
            ("unknown", format!("/{name}/x.1/_tags")),
            ("unknown", format!("/{}", name.to_lowercase())),
        ] {
            for method in METHODS {
                let due = match (level, method) {
                    ("unknown", _) => None,
                    // a query where none is due
                    ("type by condition", "POST" | "OPTIONS") => None,
                    _ => word(level, method),
                };
                let found = sent(method, &target, resource).understood();
                let got = found.as_ref().ok().map(Interaction::word);
                assert_eq!(got, due, "{method} {target}: {found:?}");
                if let Ok(found) = found {
                    understood += 1;
                    if method != "OPTIONS" {
                        assert_eq!(found.aim().0, Some(resource));
                    }
                }
            }
        }
    }
    assert_eq!(understood, 146 * (4 + 5 + 2 + 3 + 6 + 3 + 3));
}

#[test]
fn compartments_have_their_members_and_no_others() {
    let mut members = 0;
    for outer in r4().resources() {
        for inner in r4().resources() {
            let (of, name) = (r4().name(outer), r4().name(inner));
            let known = [
                "Patient",
                "Encounter",
                "Practitioner",
                "RelatedPerson",
                "Device",
            ];
            let member = known.contains(&of) && r4().compartment(of, inner).is_some();
            members += usize::from(member);
            for (level, target) in [
                ("compartment", format!("/{of}/x.1/{name}")),
                ("compartment search", format!("/{of}/x.1/{name}/_search")),
            ] {
                for method in METHODS {
                    let due = word(level, method).filter(|_| member);
                    let found = sent(method, &target, inner).understood();
                    let got = found.as_ref().ok().map(Interaction::word);
                    assert_eq!(got, due, "{method} {target}");
                    if let Ok(Interaction::Search(search)) = found {
                        assert_eq!(search.resource, inner);
                        assert_eq!(search.within, Some((outer, "x.1".into())));
                        assert_eq!(search.form, method == "POST");
                    }
                }
            }
        }
    }
    assert!(members > 200, "{members}");
}

#[test]
fn what_a_body_is_is_known_by_the_head() {
    let patient = r4().resource("Patient").unwrap();
    for (method, path, takes) in [
        ("POST", "", Takes::Bundle),
        ("POST", "/", Takes::Bundle),
        ("POST", "/_search", Takes::Form),
        ("POST", "/Patient/_search", Takes::Form),
        ("POST", "/Patient/1/Observation/_search", Takes::Form),
        ("POST", "/Patient", Takes::Resource(patient, Can::Create)),
        ("PUT", "/Patient", Takes::Resource(patient, Can::Update)),
        ("PUT", "/Patient/1", Takes::Resource(patient, Can::Update)),
        ("PATCH", "/Patient", Takes::Resource(patient, Can::Patch)),
        ("PATCH", "/Patient/1", Takes::Resource(patient, Can::Patch)),
        ("POST", "/Patient/1", Takes::Nothing),
        ("DELETE", "/Patient/1", Takes::Nothing),
        ("GET", "/Patient/_search", Takes::Nothing),
        ("PUT", "/Patient/1/_history/1", Takes::Nothing),
        ("PUT", "", Takes::Nothing),
        ("POST", "/Nonsense", Takes::Nothing),
        ("POST", "/Nonsense/_search", Takes::Nothing),
        ("POST", "/Patient/$match", Takes::Nothing),
        ("POST", "//_search", Takes::Nothing),
        ("POST", "/%2e/_search", Takes::Nothing),
    ] {
        assert_eq!(Interaction::takes(method, path), takes, "{method} {path}");
    }
}

#[test]
fn options_name_the_methods_that_are_understood() {
    for target in [
        "",
        "/metadata",
        "/_search",
        "/_history",
        "/Patient",
        "/Patient/_search",
        "/Patient/_history",
        "/Patient/x.1",
        "/Patient/x.1/_history",
        "/Patient/x.1/_history/2",
        "/Patient/x.1/Observation",
        "/Patient/x.1/Observation/_search",
    ] {
        let Ok(Interaction::Options { allow }) = ask("OPTIONS", target).understood() else {
            panic!("{target}");
        };
        let allowed: Vec<&str> = allow.split(", ").collect();
        for method in METHODS {
            let asked = match Interaction::takes(method, target) {
                Takes::Bundle => {
                    ask(method, target).json(r#"{"resourceType":"Bundle","type":"batch"}"#)
                }
                Takes::Resource(..) if target == "/Patient" && method != "POST" => {
                    // by condition: the path shape has it
                    continue;
                }
                Takes::Resource(resource, _) => sent(method, target, resource),
                Takes::Form => ask(method, target).form(""),
                Takes::Nothing if target == "/Patient" && method == "DELETE" => continue,
                Takes::Nothing => ask(method, target),
            };
            let is = asked.understood().is_ok();
            assert_eq!(is, allowed.contains(&method), "{method} {target}");
        }
    }
}
