//! Search of a type, of the server, of a compartment.

use super::*;

#[tokio::test]
async fn get_and_post_searches_agree_and_page() {
    let server = server().await;
    let by_get = get(&server, "/fhir/Patient?gender=female&_count=2").await;
    assert_eq!((by_get.status, by_get.ids()), (200, vec!["a", "b"]));
    for (target, form) in [
        ("/fhir/Patient/_search", "gender=female&_count=2"),
        ("/fhir/Patient/_search?gender=female", "_count=2"),
        ("/fhir/Patient/_search?gender=female&_count=2", ""),
    ] {
        let by_post = raw(&server, "POST", target, &[FORM], form).await;
        assert_eq!(by_post.bytes, by_get.bytes, "{target} {form}");
    }
    let last = get(&server, &by_get.next(&server).unwrap()).await;
    assert_eq!(last.ids(), ["c"]);
    assert_eq!(
        last.body["entry"][0]["fullUrl"],
        format!("{}/Patient/c", server.base_url())
    );
    assert_eq!(last.next(&server), None);
    let other = raw(&server, "POST", "/fhir/Patient/_search", &[], "gender=x").await;
    assert_eq!(other.status, 415);
}

#[tokio::test]
async fn a_lenient_search_leaves_out_what_is_not_known_and_says_so() {
    let server = server().await;
    let lenient = [("prefer", "handling=lenient")];
    let target = "/fhir/Patient?nonsense=1&_id=a&x:y=2";
    let answer = raw(&server, "GET", target, &lenient, "").await;
    assert_eq!(answer.ids(), ["a"]);
    let own = answer.body["link"][0]["url"].as_str().unwrap();
    assert_eq!(own, format!("{}/Patient?_id=a", server.base_url()));
    // What is known and malformed stays an error.
    let answer = raw(&server, "GET", "/fhir/Patient?birthdate=x", &lenient, "").await;
    assert_eq!(answer.status, 400);
    // Known to one of the types only: left out for both.
    let target = "/fhir?_type=Patient,Observation&gender=male";
    let answer = raw(&server, "GET", target, &lenient, "").await;
    assert_eq!(answer.ids(), ["a", "b", "c", "o"]);
}

#[tokio::test]
async fn the_whole_server_is_searched_by_types() {
    let server = server().await;
    for (query, expected) in [
        ("_type=Patient,Observation", "abco"),
        ("_type=Observation", "o"),
        ("_type=Observation&status=final", "o"),
        ("_id=a,o", "ao"),
        ("", "abco"),
        ("_type=Slot", ""),
    ] {
        let by_get = get(&server, &format!("/fhir?{query}")).await;
        assert_eq!(by_get.ids().concat(), expected, "{query}");
        let by_post = raw(&server, "POST", "/fhir/_search", &[FORM], query.to_owned()).await;
        assert_eq!(by_post.ids(), by_get.ids(), "{query}");
        assert_eq!(by_get.body["total"], expected.len(), "{query}");
    }
    let first = get(&server, "/fhir?_type=Patient,Observation&_count=3").await;
    let second = get(&server, &first.next(&server).unwrap()).await;
    assert_eq!(
        (first.ids().concat().as_str(), second.ids()),
        ("abc", vec!["o"])
    );
    assert_eq!(
        second.body["entry"][0]["fullUrl"],
        format!("{}/Observation/o", server.base_url())
    );
    for query in [
        "_type=Nothing",
        "_type=",
        "_type=Patient&_type=Slot",
        "gender=female",
        "_type=Patient,Observation&gender=female",
    ] {
        let answer = get(&server, &format!("/fhir?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_compartment_holds_what_names_its_patient() {
    let mut store = Store::new();
    for id in ["a", "b"] {
        store.insert(patient(id)).unwrap();
    }
    let rows = [
        observation("by-subject", "Patient/a"),
        json!({"resourceType": "Observation", "id": "by-performer", "performer": [{"reference": "Patient/a"}]}),
        json!({"resourceType": "Observation", "id": "by-focus", "focus": [{"reference": "Patient/a"}]}),
        observation("other", "Patient/b"),
        observation("group", "Group/a"),
        json!({"resourceType": "Patient", "id": "linked", "link": [{"other": {"reference": "Patient/a"}}]}),
        json!({"resourceType": "Appointment", "id": "actor", "participant": [{"actor": {"reference": "Patient/a"}}]}),
        json!({"resourceType": "Slot", "id": "slot"}),
    ];
    for row in rows {
        store.insert(row).unwrap();
    }
    let server = start(store).await;
    for (target, expected) in [
        ("Observation", vec!["by-subject", "by-performer"]),
        ("Observation?_id=by-subject,other", vec!["by-subject"]),
        ("Patient", vec!["a", "linked"]),
        (
            "*",
            vec!["a", "by-subject", "by-performer", "linked", "actor"],
        ),
        ("*?_type=Appointment,Patient", vec!["a", "linked", "actor"]),
        ("Condition", vec![]),
    ] {
        let answer = get(&server, &format!("/fhir/Patient/a/{target}")).await;
        assert_eq!(answer.ids(), expected, "{target}");
    }
    let target = "/fhir/Patient/a/Observation/_search";
    let answer = raw(&server, "POST", target, &[FORM], "_count=1").await;
    assert_eq!(answer.ids(), ["by-subject"]);
    let next = answer.next(&server).unwrap();
    assert!(next.starts_with("/fhir/Patient/a/Observation?"), "{next}");
    assert_eq!(get(&server, &next).await.ids(), ["by-performer"]);
    let answer = get(&server, "/fhir/Patient/a,b/Observation").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn what_is_written_is_found_at_once_and_what_is_deleted_is_not() {
    let server = server().await;
    let target = "/fhir/Patient?identifier=urn:mrn|new";
    assert_eq!(get(&server, target).await.body["total"], 0);
    let made = ask(&server, "POST", "/fhir/Patient", &[], &newcomer("new")).await;
    assert_eq!(
        get(&server, target).await.ids(),
        [made.body["id"].as_str().unwrap()]
    );
    let place = format!("/fhir/Patient/{}", made.body["id"].as_str().unwrap());
    let renamed = json!([{"op": "replace", "path": "/identifier/0/value", "value": "old"}]);
    ask(&server, "PATCH", &place, &[PATCH], &renamed).await;
    assert_eq!(get(&server, target).await.body["total"], 0);
    let target = "/fhir/Patient?identifier=urn:mrn|old";
    assert_eq!(get(&server, target).await.body["total"], 1);
    raw(&server, "DELETE", &place, &[], "").await;
    assert_eq!(get(&server, target).await.body["total"], 0);
}
