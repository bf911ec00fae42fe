//! Batches and transactions.

use base64::Engine as _;

use super::*;

fn post(kind: &str, entries: &[String]) -> Ask<'static> {
    ask("POST", "").json(&format!(
        r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#,
        entries.join(",")
    ))
}

/// An entry with these members of its request, and those of its own.
fn entry(request: &str, own: &str) -> String {
    let comma = if own.is_empty() { "" } else { "," };
    format!(r#"{{"request":{{{request}}}{comma}{own}}}"#)
}

fn simple(method: &str, url: &str) -> String {
    entry(&format!(r#""method":"{method}","url":"{url}""#), "")
}

fn entries(asked: &Ask<'_>) -> Vec<Entry> {
    match asked.understood() {
        Ok(Interaction::Bundle(bundle)) => bundle.entries,
        other => panic!("{other:?}"),
    }
}

fn binary(media: &str, patch: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(patch);
    format!(r#"{{"resourceType":"Binary","contentType":"{media}","data":"{data}"}}"#)
}

const PATIENT: &str = r#""resource":{"resourceType":"Patient","id":"1"}"#;

#[test]
fn each_entry_is_understood_as_its_own_request() {
    let patch = r#"[{"op":"remove","path":"/name"}]"#;
    let resource = format!(
        r#""resource":{}"#,
        binary("application/json-patch+json", patch)
    );
    let all = [
        (simple("GET", "Patient/1"), "read", "Patient/1", ""),
        (
            simple("GET", "Patient/1/_history/2"),
            "vread",
            "Patient/1/_history/2",
            "",
        ),
        (
            simple("GET", "Patient?name=a"),
            "search-type",
            "Patient",
            "name=a",
        ),
        (
            simple("GET", "Patient/1/Observation"),
            "search-compartment",
            "Patient/1/Observation",
            "",
        ),
        (
            simple("GET", "?_type=Patient"),
            "search-system",
            "",
            "_type=Patient",
        ),
        (simple("GET", "_history"), "history-system", "_history", ""),
        (simple("DELETE", "Patient/2"), "delete", "Patient/2", ""),
        (
            simple("DELETE", "Patient?identifier=x"),
            "delete",
            "Patient",
            "identifier=x",
        ),
        (
            entry(
                r#""method":"POST","url":"Patient","ifNoneExist":"identifier=x""#,
                PATIENT,
            ),
            "create",
            "Patient",
            "identifier=x",
        ),
        (
            entry(
                r#""method":"PUT","url":"Patient/1","ifMatch":"W/\"3\"""#,
                PATIENT,
            ),
            "update",
            "Patient/1",
            "",
        ),
        (
            entry(r#""method":"PUT","url":"Patient?identifier=y""#, PATIENT),
            "update",
            "Patient",
            "identifier=y",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/3""#, &resource),
            "patch",
            "Patient/3",
            "",
        ),
    ];
    let sent: Vec<String> = all.iter().map(|(entry, ..)| entry.clone()).collect();
    for kind in ["batch", "transaction"] {
        let found = entries(&post(kind, &sent));
        assert_eq!(found.len(), all.len());
        for (found, (_, word, place, query)) in found.iter().zip(&all) {
            let asks = found.asks.as_ref().unwrap();
            let got = (asks.word(), asks.place(), asks.query());
            assert_eq!(got, (*word, (*place).to_owned(), (*query).to_owned()));
        }
        let Ok(Interaction::Update(update)) = &found[9].asks else {
            panic!()
        };
        assert_eq!(update.if_match.as_deref(), Some("3"));
        assert_eq!(
            &update.body.bytes()[..],
            br#"{"resourceType":"Patient","id":"1"}"#
        );
        let Ok(Interaction::Patch(found)) = &found[11].asks else {
            panic!()
        };
        assert_eq!(&found.body.bytes()[..], patch.as_bytes());
    }
}

#[test]
fn an_entry_that_is_not_understood_is_refused_in_a_batch_and_refuses_a_transaction() {
    use Reason::*;
    let fhirpath = r#""resource":{"resourceType":"Parameters"}"#;
    let merge = format!(
        r#""resource":{}"#,
        binary("application/merge-patch+json", "{}")
    );
    let named = merge.replacen("Binary\"", "Binary\",\"id\":\"1\"", 1);
    let bad = format!(
        r#""resource":{}"#,
        binary("application/json-patch+json", "{}")
    );
    for (odd, reason, name) in [
        (
            "{}".to_owned(),
            NotUnderstood,
            "Bundle.entry.request.method",
        ),
        (
            entry(r#""method":"GET""#, ""),
            NotUnderstood,
            "Bundle.entry.request.url",
        ),
        (
            entry(r#""method":1,"url":"Patient""#, ""),
            NotUnderstood,
            "Bundle.entry.request.method",
        ),
        (
            simple("HEAD", "Patient/1"),
            NotSupported,
            "HEAD in a Bundle",
        ),
        (
            simple("OPTIONS", "Patient/1"),
            NotUnderstood,
            "Bundle.entry.request.method",
        ),
        (
            simple("get", "Patient/1"),
            NotUnderstood,
            "Bundle.entry.request.method",
        ),
        (
            simple("GET", "/Patient/1"),
            NotUnderstood,
            "Bundle.entry.request.url",
        ),
        (
            simple("GET", "//evil/Patient/1"),
            NotUnderstood,
            "Bundle.entry.request.url",
        ),
        (
            simple("GET", "http://evil/Patient/1"),
            NotUnderstood,
            "Bundle.entry.request.url",
        ),
        (simple("GET", ""), NotUnderstood, "Bundle.entry.request.url"),
        (simple("GET", "Patient/../Group/1"), NotUnderstood, ""),
        (simple("GET", "Patient/%31"), NotUnderstood, ""),
        (simple("GET", "Patient/1#x"), NotUnderstood, ""),
        (simple("GET", "Patient?name=a#x"), NotUnderstood, ""),
        (simple("GET", "Patient?bogus=a"), NotUnderstood, "bogus"),
        (simple("GET", "Patient?_page=h"), NotSupported, "_page"),
        (simple("GET", "_history?_page=h"), NotSupported, "_page"),
        (
            simple("GET", "metadata"),
            NotSupported,
            "metadata in a Bundle",
        ),
        (
            simple("GET", "Patient/1/$everything"),
            NotSupported,
            "operation",
        ),
        (
            simple("POST", "Patient/_search"),
            NotSupported,
            "_search in a Bundle",
        ),
        (simple("POST", "?x=y"), NotSupported, "batch in a batch"),
        (
            entry(r#""method":"GET","url":"Patient/1""#, PATIENT),
            NotUnderstood,
            "",
        ),
        (
            entry(r#""method":"DELETE","url":"Patient/1""#, PATIENT),
            NotUnderstood,
            "",
        ),
        (simple("POST", "Patient"), NotUnderstood, ""),
        (
            entry(r#""method":"POST","url":"Group""#, PATIENT),
            NotUnderstood,
            "Group.resourceType",
        ),
        (
            entry(r#""method":"PUT","url":"Patient/2""#, PATIENT),
            NotUnderstood,
            "id",
        ),
        (
            entry(r#""method":"PUT","url":"Patient/1","ifMatch":"3""#, PATIENT),
            NotUnderstood,
            "If-Match",
        ),
        (
            entry(
                r#""method":"GET","url":"Patient/1","ifNoneMatch":"W/\"1\"""#,
                "",
            ),
            NotSupported,
            "Bundle.entry.request.ifNoneMatch",
        ),
        (
            entry(
                r#""method":"GET","url":"Patient/1","ifModifiedSince":"2020""#,
                "",
            ),
            NotSupported,
            "Bundle.entry.request.ifModifiedSince",
        ),
        (
            entry(r#""method":"GET","url":"Patient/1","foo":"a""#, ""),
            NotUnderstood,
            "Bundle.entry.request.foo",
        ),
        (
            entry(r#""method":"GET","url":"Patient/1""#, r#""search":{}"#),
            NotUnderstood,
            "Bundle.entry.search",
        ),
        (
            entry(r#""method":"POST","url":"Patient""#, r#""resource":[]"#),
            NotUnderstood,
            "Bundle.entry.resource",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/1""#, fhirpath),
            NotSupported,
            "FHIRPath Patch",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/1""#, PATIENT),
            NotUnderstood,
            "Bundle.entry.resource",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/1""#, &named),
            NotUnderstood,
            "Binary.id",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/1""#, &merge),
            NotSupported,
            "Binary.contentType",
        ),
        (
            entry(r#""method":"PATCH","url":"Patient/1""#, &bad),
            NotUnderstood,
            "patch",
        ),
        (
            entry(
                r#""method":"PUT","url":"Patient/1""#,
                &format!(r#""fullUrl":"http://x/Patient/2",{PATIENT}"#),
            ),
            NotUnderstood,
            "Bundle.entry.fullUrl",
        ),
        (
            entry(
                r#""method":"POST","url":"Patient""#,
                &format!(r#""fullUrl":"http://x/Patient/2",{PATIENT}"#),
            ),
            NotSupported,
            "Bundle.entry.fullUrl",
        ),
    ] {
        let good = simple("GET", "Patient/7");
        let all = [good.clone(), odd.clone(), good];
        let found = entries(&post("batch", &all));
        assert!(found[0].asks.is_ok() && found[2].asks.is_ok());
        let Err(no) = &found[1].asks else {
            panic!("{odd} is understood");
        };
        let got = (no.reason, no.name.as_deref().unwrap_or(""));
        assert_eq!(got, (reason, name), "{odd}");
        let whole = post("transaction", &all).refused();
        assert_eq!(whole, (reason, name.to_owned()), "{odd}");
    }
}

#[test]
fn a_malformed_bundle_is_refused_whole() {
    use Reason::*;
    let ok = simple("GET", "Patient/1");
    for (body, reason, name) in [
        ("[]".to_owned(), NotUnderstood, "Bundle"),
        (r#"{"resourceType":"Bundle"}"#.to_owned(), NotUnderstood, "Bundle.type"),
        (r#"{"resourceType":"Patient","type":"batch"}"#.to_owned(), NotUnderstood, "resourceType"),
        (r#"{"type":"batch"}"#.to_owned(), NotUnderstood, "resourceType"),
        (r#"{"resourceType":"Bundle","type":"collection"}"#.to_owned(), NotUnderstood, "Bundle.type"),
        (r#"{"resourceType":"Bundle","type":"Batch"}"#.to_owned(), NotUnderstood, "Bundle.type"),
        (r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#.to_owned(), NotUnderstood, "Bundle.entry"),
        (r#"{"resourceType":"Bundle","type":"batch","entry":[1]}"#.to_owned(), NotUnderstood, "Bundle.entry"),
        (r#"{"resourceType":"Bundle","type":"batch","total":1}"#.to_owned(), NotUnderstood, "Bundle.total"),
        (r#"{"resourceType":"Bundle","type":"batch","foo":1}"#.to_owned(), NotUnderstood, "Bundle.foo"),
        (
            r#"{"resourceType":"Bundle","type":"batch","meta":{"foo":1}}"#.to_owned(),
            NotUnderstood,
            "Bundle.meta.foo",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","type":"transaction"}"#.to_owned(),
            NotUnderstood,
            "Bundle.type",
        ),
        (
            format!(
                r#"{{"resourceType":"Bundle","type":"batch","entry":[{ok}],"entr\u0079":[{ok}]}}"#
            ),
            NotUnderstood,
            "Bundle.entry",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","method":"PUT","url":"Patient/1"}}]}"#
                .to_owned(),
            NotUnderstood,
            "Bundle.entry.request.method",
        ),
        (
            format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{ok}]}} x"#),
            NotUnderstood,
            "",
        ),
    ] {
        let got = ask("POST", "").json(&body).refused();
        assert_eq!(got, (reason, name.to_owned()), "{body}");
    }
    let many = |n| post("batch", &vec![ok.clone(); n]);
    assert_eq!(entries(&many(1_000)).len(), 1_000);
    assert_eq!(many(1_001).refused(), (TooLarge, "Bundle.entry".to_owned()));
}

#[test]
fn what_entries_ask_is_no_longer_than_a_request_may_be() {
    use Reason::*;
    let long = |bytes: usize| simple("GET", &format!("Patient?name={}", "x".repeat(bytes)));
    let found = entries(&post("batch", &[long(8_179), long(8_180)]));
    assert!(found[0].asks.is_ok());
    let refused = found[1].asks.as_ref().unwrap_err();
    assert_eq!(refused.reason, TargetTooLong);
    let whole = post("transaction", &[long(8_180)]).refused();
    assert_eq!(whole, (TargetTooLong, String::new()));
    let condition = format!(
        r#""method":"POST","url":"Patient","ifNoneExist":"name={}""#,
        "x".repeat(8_192)
    );
    let found = entries(&post("batch", &[entry(&condition, PATIENT)]));
    let refused = found[0].asks.as_ref().unwrap_err();
    assert_eq!(refused.reason, HeadTooLarge);
    // all of them together
    let many = |n| post("batch", &vec![long(8_179); n]);
    assert_eq!(entries(&many(64)).len(), 64);
    let no = (TooLarge, "Bundle.entry.request.url".to_owned());
    assert_eq!(many(65).refused(), no);
    // searches of all types are as many searches as there are types
    let all = |n| post("batch", &vec![simple("GET", "?_id=1"); n]);
    assert_eq!(entries(&all(100)).len(), 100);
    assert_eq!(all(1_000).refused(), (TooLarge, "_type".to_owned()));
    let of_two = vec![simple("GET", "?_type=Patient,Observation&_id=1"); 1_000];
    assert_eq!(entries(&post("batch", &of_two)).len(), 1_000);
}

#[test]
fn a_transaction_writes_nothing_twice() {
    let put = |id: &str| {
        entry(
            &format!(r#""method":"PUT","url":"Patient/{id}""#),
            &format!(r#""resource":{{"resourceType":"Patient","id":"{id}"}}"#),
        )
    };
    let delete = simple("DELETE", "Patient/1");
    let found = simple("DELETE", "Patient?identifier=x");
    let no = (Reason::NotUnderstood, "Bundle.entry.request.url".to_owned());
    for all in [
        vec![put("1"), put("1")],
        vec![put("1"), put("2"), delete.clone()],
        vec![found.clone(), put("1"), found.clone()],
    ] {
        assert_eq!(post("transaction", &all).refused(), no);
        assert_eq!(entries(&post("batch", &all)).len(), all.len());
    }
    let group = simple("DELETE", "Group/1");
    let all = [put("1"), put("2"), group, simple("GET", "Patient/1"), found];
    assert_eq!(entries(&post("transaction", &all)).len(), 5);
}

#[test]
fn full_urls_are_kept_and_unique() {
    let urls = [
        "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
        "urn:oid:1.2.3",
    ];
    let refers = entry(
        r#""method":"POST","url":"Observation""#,
        r#""resource":{"resourceType":"Observation","subject":{"reference":"urn:oid:1.2.3"}}"#,
    );
    for kind in ["batch", "transaction"] {
        let found = entries(&post(
            kind,
            &[create(urls[0]), create(urls[1]), refers.clone()],
        ));
        assert_eq!(found[0].full_url.as_deref(), Some(urls[0]));
        assert_eq!(found[1].full_url.as_deref(), Some(urls[1]));
        let Ok(Interaction::Create(made)) = &found[2].asks else {
            panic!()
        };
        let text = std::str::from_utf8(made.body.bytes()).unwrap();
        assert!(text.contains("urn:oid:1.2.3"));
        let no = (Reason::NotUnderstood, "Bundle.entry.fullUrl".to_owned());
        let twice = [create(urls[0]), create(urls[0])];
        assert_eq!(post(kind, &twice).refused(), no);
        assert_eq!(post(kind, &[create("a b")]).refused(), no);
    }
}

fn create(url: &str) -> String {
    entry(
        r#""method":"POST","url":"Patient""#,
        &format!(r#""fullUrl":"{url}",{PATIENT}"#),
    )
}

#[test]
fn a_record_names_what_each_entry_asks() {
    let all = [
        simple("GET", "Patient/1/_history/2"),
        simple("GET", "Patient?bogus=1"),
        simple("DELETE", "Patient?identifier=x"),
    ];
    let action = post("batch", &all).understood().unwrap().action();
    assert_eq!(action.interaction, "batch");
    assert_eq!(action.entries.len(), 3);
    let first = action.entries[0].as_ref().unwrap();
    assert_eq!(first.version.as_deref(), Some("2"));
    assert_eq!(
        (first.resource, first.id.as_deref()),
        (Some("Patient"), Some("1"))
    );
    assert_eq!(action.entries[1], Err(Reason::NotUnderstood));
    let last = action.entries[2].as_ref().unwrap();
    assert_eq!(last.query.as_deref(), Some("identifier=x"));
}
