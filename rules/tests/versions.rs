//! Versions, histories, searches of several types and of compartments.

mod support;

use chartward_rules::smart::Scopes;
use chartward_rules::subject::{Authority, Subject};
use serde_json::{Value, json};
use support::store::{Asks, Reply, Store, request};
use support::{pack, subject};

const PACK: &str = r#"
pack = "versions"
fhir = "R4"

[[role]]
name = "all"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Patient", "Observation"]
  can = ["read", "search", "history"]
  sensitive = ["*"]

[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "history"]
  where = "status=final,amended"
  [[role.grant]]
  on = ["Patient"]
  can = ["read", "search", "history"]
  show = ["name"]
  [[role.grant]]
  on = ["Organization"]
  can = ["search"]
  [[role.grant]]
  on = ["Encounter"]
  can = ["search"]
  show = ["class", "period"]

[[role]]
name = "guarded"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "history"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "history"]
  show = ["issued"]
  sensitive = ["restricted"]
"#;

fn store() -> Store {
    let row = |id: &str, status: &str, label: Option<&str>| {
        let mut row = json!({
            "resourceType": "Observation", "id": id, "status": status, "identifier": [{"value": id}],
            "code": {"text": "c"}, "subject": {"reference": "Patient/p1"},
        });
        if let Some(label) = label {
            row["meta"] = json!({"security": [{"code": label}]});
        }
        row
    };
    let mut store = Store::of(&[
        // was preliminary, then final
        row("grown", "preliminary", None),
        row("grown", "final", None),
        // was final, is hidden
        row("shrunk", "final", None),
        row("shrunk", "preliminary", None),
        // was open, is labelled; and the other way round
        row("closed", "final", None),
        row("closed", "final", Some("R")),
        row("opened", "final", Some("HIV")),
        row("opened", "final", None),
        row("gone", "final", None),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "A"}], "birthDate": "1970-01-01"}),
        json!({"resourceType": "Organization", "id": "o1", "name": "o"}),
    ]);
    let key = ("Observation".to_owned(), "gone".to_owned());
    store.rows.get_mut(&key).expect("a row").push(None);
    store
}

fn get(role: &str, target: &str) -> (Reply, Vec<String>) {
    get_as(&subject(&[role]), target)
}

fn get_as(subject: &Subject, target: &str) -> (Reply, Vec<String>) {
    let mut store = store();
    let reply = request(&pack(PACK), subject, &mut store, &Asks::new("GET", target));
    (reply, store.trace)
}

fn scoped(role: &str, scopes: &str) -> Subject {
    Subject {
        scopes: Authority::Scoped(Scopes::parse(scopes, |_| true)),
        patient: Some("p1".into()),
        ..subject(&[role])
    }
}

/// `id/version` of each entry, or `-id` where it was deleted.
fn entries(reply: &Reply) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = reply.json()["entry"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let each = list.iter().map(|entry| match entry.get("resource") {
        Some(row) => format!("{}/{}", text(&row["id"]), text(&row["meta"]["versionId"])),
        None => format!("-{}", text(&entry["request"]["url"])),
    });
    each.collect()
}

#[test]
fn a_version_shows_if_it_and_the_current_one_do() {
    for (id, version, some, all) in [
        ("grown", "2", 200, 200),
        ("grown", "1", 404, 200),
        ("grown", "3", 404, 404),
        ("shrunk", "1", 404, 200),
        ("shrunk", "2", 404, 200),
        ("closed", "1", 404, 200),
        ("closed", "2", 404, 200),
        ("opened", "1", 404, 200),
        ("opened", "2", 200, 200),
        ("gone", "1", 404, 200),
        ("missing", "1", 404, 404),
    ] {
        for (role, status) in [("some", some), ("all", all)] {
            let (reply, trace) = get(role, &format!("/Observation/{id}/_history/{version}"));
            assert_eq!(reply.status, status, "{role} {id}/{version} {reply:?}");
            // where nothing can be hidden, nothing is asked before
            assert_eq!(trace[0].starts_with('?'), role == "some", "{trace:?}");
        }
    }
    // hidden or missing: asked alike
    let of = |id: &str| {
        let (reply, trace) = get("some", &format!("/Observation/{id}/_history/1"));
        let trace: Vec<String> = trace.iter().map(|t| t.replace(id, "ID")).collect();
        (reply, trace)
    };
    assert_eq!(of("shrunk"), of("missing"));
    assert_eq!(of("closed"), of("gone"));
}

#[test]
fn what_is_labelled_now_was_so_before() {
    for target in [
        "/Observation/closed/_history/1",
        "/Observation/closed/_history",
    ] {
        let (reply, _) = get("guarded", target);
        // the code is shown of rows without labels, and the version has none
        assert!(
            reply.status == 200 && !reply.body.contains("code\":{\"text"),
            "{reply:?}"
        );
    }
    let (reply, _) = get("guarded", "/Observation/grown/_history/1");
    assert!(reply.body.contains("code\":{\"text"), "{reply:?}");
}

#[test]
fn the_history_of_a_row_shows_what_its_reader_may_see() {
    for (id, some) in [
        ("grown", Some(vec!["grown/2"])),
        ("opened", Some(vec!["opened/2"])),
        ("shrunk", None),
        ("closed", None),
        ("gone", None),
        ("missing", None),
    ] {
        let (reply, _) = get("some", &format!("/Observation/{id}/_history"));
        match some {
            None => assert_eq!(
                (reply.status, reply.reason().as_str()),
                (404, "not-found"),
                "{id}"
            ),
            Some(versions) => {
                assert_eq!(entries(&reply), versions);
                let bundle = reply.json();
                assert_eq!(bundle["type"], "history");
                assert!(bundle.get("total").is_none());
                let entry = &bundle["entry"][0];
                let (method, place) = ("PUT", format!("Observation/{id}"));
                assert_eq!(entry["request"], json!({"method": method, "url": place}));
                assert_eq!(entry["response"], json!({"status": "200"}));
                assert_eq!(entry["fullUrl"], format!("https://gw/fhir/{place}"));
                assert_eq!(
                    bundle["link"][0]["url"],
                    format!("https://gw/fhir/{place}/_history")
                );
            }
        }
    }
    let (reply, trace) = get(
        "all",
        "/Observation/gone/_history?_since=2026-01-01T00:00:00Z&_count=5",
    );
    assert_eq!(entries(&reply), ["-Observation/gone", "gone/1"]);
    assert_eq!(reply.json()["total"], 2);
    assert_eq!(
        trace,
        ["GET /Observation/gone/_history?_since=2026-01-01T00%3A00%3A00Z&_count=5"]
    );
    assert_eq!(reply.json()["entry"][0]["request"]["method"], "DELETE");
    // masked as any row is
    let (reply, _) = get("some", "/Patient/p1/_history");
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("1970") && reply.body.contains("REDACTED"));
}

#[test]
fn histories_of_types_are_of_those_that_nothing_is_hidden_of() {
    for (role, target, status, reason) in [
        ("some", "/Observation/_history", 403, "not-granted _history"),
        ("some", "/Patient/_history", 403, "not-granted _history"),
        (
            "some",
            "/Organization/_history",
            403,
            "not-granted Organization",
        ),
        ("some", "/_history", 403, "not-granted _history"),
        ("all", "/Observation/_history", 200, ""),
        ("all", "/_history", 200, ""),
    ] {
        let (reply, trace) = get(role, target);
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, reason),
            "{role} {target}"
        );
        assert_eq!(trace.is_empty(), status == 403);
    }
    let (reply, _) = get("all", "/Observation/_history");
    let total = entries(&reply).len();
    assert_eq!((total, reply.json()["total"].as_u64()), (10, Some(10)));
    // types that aren't granted are left out, and the total with them
    let (reply, _) = get("all", "/_history");
    assert_eq!(entries(&reply).len(), 11);
    assert!(!reply.body.contains("Organization") && reply.json().get("total").is_none());
}

#[test]
fn scopes_of_versions_are_those_of_smart() {
    for (scopes, vread, instance, wide) in [
        ("user/Observation.r", true, true, false),
        ("user/Observation.s", false, false, true),
        ("user/Observation.rs", true, true, true),
        ("patient/Observation.rs", true, true, false),
        ("user/Observation.cud", false, false, false),
    ] {
        let may = |target: &str| get_as(&scoped("all", scopes), target).0.status == 200;
        assert_eq!(may("/Observation/grown/_history/1"), vread, "{scopes}");
        assert_eq!(may("/Observation/grown/_history"), instance, "{scopes}");
        assert_eq!(may("/Observation/_history"), wide, "{scopes}");
    }
}

#[test]
fn compartments_are_searched_where_what_makes_a_member_is_shown() {
    let (reply, trace) = get("some", "/Patient/p1/Observation?status=final");
    assert_eq!(
        trace,
        ["GET /Patient/p1/Observation?status=final&status=final%2Camended&_count=50"]
    );
    let seen = entries(&reply);
    assert_eq!(seen, ["/", "grown/2", "opened/2"], "the notice, then rows");
    let link = &reply.json()["link"][0]["url"];
    assert_eq!(link, "https://gw/fhir/Patient/p1/Observation?status=final");
    // whose visit it is makes it a member, and isn't shown
    let (reply, trace) = get("some", "/Patient/p1/Encounter");
    let reason = reply.reason();
    assert_eq!(
        (reply.status, reason.as_str()),
        (403, "search-reads-hidden Patient")
    );
    assert!(trace.is_empty());
}

#[test]
fn a_search_over_types_is_decided_type_by_type() {
    let (reply, trace) = get("some", "/?_type=Observation,Patient&_id=grown,closed,p1");
    assert_eq!(
        trace,
        ["GET /?_type=Observation%2CPatient&_id=grown%2Cclosed%2Cp1&_count=50"]
    );
    assert_eq!(entries(&reply), ["/", "grown/2", "p1/1"]);
    assert!(!reply.body.contains("1970") && reply.json().get("total").is_none());
    // each type that is named must be granted
    let (reply, trace) = get("all", "/?_type=Patient,Organization");
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "not-granted Organization")
    );
    assert!(trace.is_empty());
    // unnamed: those that are
    let (reply, trace) = get("all", "/?_id=p1,o1,grown");
    assert_eq!(
        trace,
        ["GET /?_type=Observation%2CPatient&_id=p1%2Co1%2Cgrown&_count=50"]
    );
    assert_eq!(entries(&reply), ["grown/2", "p1/1"]);
    assert_eq!(
        reply.json()["link"][0]["url"],
        "https://gw/fhir?_id=p1%2Co1%2Cgrown"
    );
    let nobody = scoped("all", "user/Observation.r");
    let (reply, trace) = get_as(&nobody, "/?_id=p1");
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "not-granted _type")
    );
    assert!(trace.is_empty());
    // what the parameter reads must be shown of each
    let (reply, _) = get("some", "/?_type=Observation,Patient&_tag=x");
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "search-reads-hidden _tag")
    );
}
