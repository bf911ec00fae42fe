//! Requests that read more than their type and parameters say: each way that FHIR knows.

use chartward_tests::{Request, need};

use super::stage::{Stage, bundle, observation};

fn stage() -> Stage {
    Stage::fixed(&bundle(&[&observation("o1", "p1", "")], None))
}

/// Refused by feature, before anything is forwarded: by GET and by form.
fn unsupported(queries: &[&str]) {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let physician = stage.token("physician");
    for query in queries {
        for request in [
            Request::get(&format!("/fhir/Observation?{query}")),
            Request::form("/fhir/Observation/_search", query),
            Request::form(&format!("/fhir/Observation/_search?{query}"), "code=x"),
        ] {
            let answer = stage.client.send(request.bearer(&physician));
            assert_eq!(answer.status, 400, "{query}: {}", answer.text());
            assert!(
                ["not-supported", "not-understood"].contains(&answer.reason().as_str()),
                "{query}: {}",
                answer.text()
            );
            assert!(!answer.holds(b"Hidden-4711"), "{query}: a value comes back");
            stage.untouched(query);
        }
    }
}

#[test]
fn includes_of_every_form_reach_no_upstream() {
    unsupported(&[
        "_include=Observation:subject",
        "_include=Observation:subject:Patient",
        "_include=*",
        "_include:iterate=Observation:subject",
        "_include:recurse=Observation:subject",
        "_include%3Aiterate=*",
        "%5Finclude=*",
        "_revinclude=Provenance:target",
        "_revinclude:iterate=*",
        "_Include=*",
        "_INCLUDE=*",
        "_include.x=*",
        "_includeX=*",
        "+_include=*",
        "_include+=*",
    ]);
}

#[test]
fn chains_and_reverse_chains_reach_no_upstream() {
    unsupported(&[
        "_has:Observation:patient:code-value-quantity=Hidden-4711",
        "_has:Group:member:_has:Observation:patient:code=x",
        "_has=x",
        "subject.name=Hidden-4711",
        "subject:Patient.name=Hidden-4711",
        "patient.general-practitioner.name=x",
        "subject%2Ename=x",
        "subject:identifier=Hidden-4711",
        "subject:Nonsense=1",
    ]);
}

#[test]
fn sorting_counting_and_picking_reach_no_upstream() {
    unsupported(&[
        "_sort=date",
        "_sort:desc=date",
        "_sort=-_lastUpdated",
        "_total=accurate",
        "_total=none",
        "_summary=count",
        "_summary=true",
        "_summary=data",
        "_summary=text",
        "_elements=id",
        "_elements:exclude=subject",
        "_count=0",
        "_count=-1",
        "_count=1&_count=1000000",
        "_maxresults=1",
        "_score=true",
        "_offset=1",
        "_getpages=x",
        "_getpagesoffset=1",
        "_page=1",
        "_contained=both",
        "_containedType=container",
        "_type=Patient",
    ]);
}

#[test]
fn other_languages_of_search_reach_no_upstream() {
    unsupported(&[
        "_filter=code+eq+1",
        "_filter=name%20eq%20x",
        "_query=everything",
        "_content=Hidden-4711",
        "_text=Hidden-4711",
        "_list=42",
        "_list=$current-problems",
        "_list%3Anot=42",
        "_graph=x",
        "_since=2020-01-01",
        "_at=2020",
        "_method=DELETE",
        "_cql=x",
        "unknown=Hidden-4711",
        "code:in=x",
        "code:not-in=x",
        "code:text=x",
        "code:above=x",
        "code:below=x",
        "code:of-type=x",
        "code:nonsense=x",
        "code:missing:not=true",
        "code:=x",
        ":missing=true",
        "=x",
        "code",
        "code=",
        "code=%00",
        "code=%0d%0aX:y",
        "code=%ff",
        "code=%zz",
        "code=x%3bz;",
        "code=x;_include=*",
        "code=x&&_id=1",
        "&",
    ]);
}

#[test]
fn ways_beside_read_and_search_reach_no_upstream() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let physician = stage.token("physician");
    for target in [
        "/fhir/Patient/p1/*",
        "/fhir/Patient/p1/$everything",
        "/fhir/Patient/$everything",
        "/fhir/Patient/$match",
        "/fhir/Observation/$lastn",
        "/fhir/Observation/$stats",
        "/fhir/$graphql?query=x",
        "/fhir/Patient/p1/$graphql",
        "/fhir/$export",
        "/fhir/Patient/$export",
        "/fhir/Group/g/$export",
        "/fhir/$export-poll-status?_jobId=1",
        "/fhir/Composition/c/$document",
        "/fhir/ValueSet/$expand",
        "/fhir/Observation/o1/_history/1/x",
        "/fhir/Observation/_search?code=x",
        "/fhir/_search",
        "/fhir/Observation/o1?code=x",
        "/fhir/Observation/o1?_elements=id",
        "/fhir/Observation/o1?_summary=true",
        "/fhir/Observation/o1/_tags",
        "/fhir/Resource/o1",
        "/fhir/DomainResource",
        "/fhir/metadata?mode=full",
        "/fhir/.well-known/smart-configuration",
        "/.well-known/smart-configuration",
        "/fhir/observation/o1",
        "/fhir/OBSERVATION",
        "/fhir/Observation.",
        "/fhir/Observation/o1.json/x",
        "/fhir/Observation/_id",
        "/FHIR/Observation/o1",
        "/fhir/swagger-ui/",
        "/fhir/h2-console",
        "/fhir/actuator/env",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = stage
                .client
                .send(Request::new(method, target).bearer(&physician));
            assert_eq!(answer.status, 400, "{method} {target}: {}", answer.text());
            stage.untouched(target);
        }
    }
    // understood, and not granted to this role
    for target in [
        "/fhir/_history",
        "/fhir/Observation/_history",
        "/fhir/Observation/o1/_history",
        "/fhir/?_type=Observation,Task",
        "/fhir/Patient/p1/Claim",
    ] {
        let answer = stage.get("physician", target);
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
        stage.untouched(target);
    }
    let form = "application/x-www-form-urlencoded";
    let json = "application/fhir+json";
    let batch = br#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Task/p1"}}]}"#;
    for (method, target, kind, body) in [
        ("POST", "/fhir", json, &batch[..]),
        ("POST", "/fhir/Bundle", json, batch),
        ("POST", "/fhir/Patient/p1/$everything", json, b"{}"),
        ("POST", "/fhir/$graphql", json, b"{}"),
        ("POST", "/fhir/_search", form, b"_type=Task"),
        ("POST", "/fhir/Patient/p1/Claim/_search", form, b"code=x"),
        ("POST", "/fhir/Patient/p1/_search", form, b"code=x"),
        ("POST", "/fhir/Observation/_search", json, b"{}"),
        (
            "POST",
            "/fhir/Observation/_search",
            "multipart/form-data; boundary=x",
            b"--x",
        ),
        ("POST", "/fhir/Observation/_search", "text/plain", b"code=x"),
        (
            "POST",
            "/fhir/Observation",
            json,
            b"{\"resourceType\":\"Observation\"}",
        ),
        (
            "PUT",
            "/fhir/Observation/o1",
            json,
            b"{\"resourceType\":\"Observation\"}",
        ),
        ("PUT", "/fhir/Observation?code=x", json, b"{}"),
        (
            "PATCH",
            "/fhir/Observation/o1",
            "application/json-patch+json",
            b"[]",
        ),
        ("DELETE", "/fhir/Observation/o1", form, b""),
        ("DELETE", "/fhir/Observation?code=x", form, b""),
        ("SEARCH", "/fhir/Observation", form, b"code=x"),
        ("QUERY", "/fhir/Observation", form, b"code=x"),
        ("GET", "/fhir/Subscription/1/$events", form, b""),
    ] {
        for more in [None, Some(("if-none-exist", "code=x"))] {
            let mut request = Request::new(method, target)
                .bearer(&physician)
                .body(kind, body);
            if let Some((name, value)) = more {
                request = request.header(name, value);
            }
            let answer = stage.client.send(request);
            // a batch is answered, and each of its entries refused
            let entries = || {
                answer.json()["entry"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            };
            let refused = [400, 403, 415].contains(&answer.status)
                || answer.status == 200
                    && target.trim_end_matches('/') == "/fhir"
                    && entries().iter().all(|e| e["response"]["status"] == "403");
            assert!(refused, "{method} {target}: {}", answer.text());
            stage.untouched(target);
        }
    }
}

#[test]
fn searching_what_is_hidden_reaches_no_upstream() {
    if !need("binary") {
        return;
    }
    let stage = Stage::fixed(&bundle(&[], None));
    for (role, target) in [
        ("nurse", "/fhir/Patient?identifier=1"),
        ("nurse", "/fhir/Patient?identifier:missing=false"),
        ("nurse", "/fhir/Patient?identifier:not=1"),
        ("nurse", "/fhir/Patient?name=x&identifier=1"),
        ("front-desk", "/fhir/Patient?language=de"),
        ("front-desk", "/fhir/Patient?_tag=vip"),
        ("front-desk", "/fhir/Patient?_security=R"),
        ("front-desk", "/fhir/Patient?_profile=x"),
        ("front-desk", "/fhir/Patient?_source=x"),
        (
            "front-desk",
            "/fhir/Patient?general-practitioner=Practitioner/1",
        ),
        ("front-desk", "/fhir/Appointment?reason-code=F32"),
        (
            "front-desk",
            "/fhir/Appointment?reason-reference=Condition/1",
        ),
        ("front-desk", "/fhir/Appointment?supporting-info=x"),
        ("front-desk", "/fhir/Practitioner?address=x"),
        ("front-desk", "/fhir/Practitioner?identifier=x"),
        ("coder", "/fhir/Condition?asserter=Practitioner/1"),
        ("coder", "/fhir/Condition?evidence=x"),
        ("coder", "/fhir/Encounter?reason-code=x"),
        ("coder", "/fhir/Encounter?participant=Practitioner/1"),
        ("coder", "/fhir/Encounter?location=Location/1"),
        (
            "lab-device",
            "/fhir/ServiceRequest?requester=Practitioner/1",
        ),
    ] {
        let (path, query) = target.split_once('?').expect("a query");
        let token = stage.token(role);
        for request in [
            Request::get(target),
            Request::form(&format!("{path}/_search"), query),
            Request::form(&format!("{path}/_search?{query}"), "_id=1"),
        ] {
            let answer = stage.refused(request.bearer(&token), 403, "search-reads-hidden", target);
            let name = query
                .rsplit('&')
                .next()
                .and_then(|pair| pair.split(['=', ':']).next());
            assert!(
                answer.text().contains(name.expect("a name")),
                "{}",
                answer.text()
            );
        }
    }
}

#[test]
fn what_is_sent_is_what_was_decided_on() {
    if !need("binary") {
        return;
    }
    let stage = Stage::fixed(&bundle(&[], None));
    for (role, asked, sent) in [
        (
            "nurse",
            "/fhir/Observation?code=a%26_include%3D*",
            "/fhir/Observation?code=a%26_include%3D%2A&_count=50",
        ),
        (
            "nurse",
            "/fhir/Observation?%63ode=x",
            "/fhir/Observation?code=x&_count=50",
        ),
        (
            "nurse",
            "/fhir/Observation?code=a%2Bb+c",
            "/fhir/Observation?code=a%2Bb%20c&_count=50",
        ),
        (
            "nurse",
            "/fhir/Observation?code=x%23y",
            "/fhir/Observation?code=x%23y&_count=50",
        ),
        (
            "nurse",
            "/fhir/Observation?_count=100000",
            "/fhir/Observation?_count=500",
        ),
        (
            "nurse",
            "/fhir/Observation?_format=json&_pretty=true",
            "/fhir/Observation?_count=50",
        ),
        (
            "coder",
            "/fhir/Condition?code=x",
            "/fhir/Condition?code=x&category=encounter-diagnosis&_count=50",
        ),
        (
            "coder",
            "/fhir/Condition?category=problem-list-item",
            "/fhir/Condition?category=problem-list-item&category=encounter-diagnosis&_count=50",
        ),
        (
            "lab-device",
            "/fhir/ServiceRequest",
            "/fhir/ServiceRequest?status=active&_count=50",
        ),
    ] {
        stage.upstream.forget();
        let answer = stage.client.send(
            Request::get(asked)
                .bearer(&stage.token(role))
                .header("prefer", "handling=lenient"),
        );
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        let seen = stage.upstream.seen();
        assert_eq!(seen[0].target, sent);
        assert_eq!(seen[0].header("prefer"), Some("handling=strict"));
    }
}
