//! History of a resource, a type, the server.

use super::*;

/// Method, place and version of each entry, the entry checked.
fn entries(server: &Server, got: &Got) -> Vec<String> {
    let entries = got.body["entry"].as_array().map_or(&[][..], Vec::as_slice);
    let mut seen: Vec<String> = Vec::new();
    for entry in entries {
        let (request, response) = (&entry["request"], &entry["response"]);
        let method = request["method"].as_str().unwrap();
        let url = entry["fullUrl"].as_str().unwrap();
        let place = url.strip_prefix(server.base_url()).unwrap();
        let etag = response["etag"].as_str().unwrap();
        assert_eq!(entry.get("resource").is_none(), method == "DELETE");
        if method != "DELETE" {
            let meta = &entry["resource"]["meta"];
            assert_eq!(
                etag,
                format!("W/\"{}\"", meta["versionId"].as_str().unwrap())
            );
            assert_eq!(meta["lastUpdated"], response["lastModified"]);
        }
        match method {
            "POST" => assert!(place[1..].starts_with(request["url"].as_str().unwrap())),
            _ => assert_eq!(place[1..], *request["url"].as_str().unwrap()),
        }
        let version = etag.trim_start_matches("W/");
        seen.push(format!(
            "{method} {} {}",
            &place[1..],
            version.trim_matches('"')
        ));
    }
    seen
}

#[tokio::test]
async fn the_latest_version_comes_first_and_deletions_are_entries() {
    let server = server().await;
    let patch = json!([{"op": "remove", "path": "/gender"}]);
    ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    let made = ask(&server, "POST", "/fhir/Patient", &[], &newcomer("n")).await;
    raw(&server, "DELETE", "/fhir/Patient/a", &[], "").await;
    ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    ask(&server, "PATCH", "/fhir/Patient/a", &[PATCH], &patch).await;
    ask(
        &server,
        "PUT",
        "/fhir/Observation/o",
        &[],
        &observation("o", "Patient/b"),
    )
    .await;
    let new = format!("POST Patient/{} 1", made.body["id"].as_str().unwrap());

    let own = [
        "PATCH Patient/a 5",
        "PUT Patient/a 4",
        "DELETE Patient/a 3",
        "PUT Patient/a 2",
        "PUT Patient/a 1",
    ];
    let got = get(&server, "/fhir/Patient/a/_history").await;
    assert_eq!(
        (got.body["type"].as_str(), entries(&server, &got)),
        (Some("history"), own.map(String::from).to_vec())
    );
    let statuses: Vec<_> = got.body["entry"].as_array().unwrap().iter().collect();
    let statuses: Vec<_> = statuses
        .iter()
        .map(|entry| &entry["response"]["status"])
        .collect();
    assert_eq!(
        statuses,
        [
            "200 OK",
            "201 Created",
            "204 No Content",
            "200 OK",
            "201 Created"
        ]
    );

    let typed = [
        own[0],
        own[1],
        own[2],
        &new,
        own[3],
        "PUT Patient/c 1",
        "PUT Patient/b 1",
        own[4],
    ];
    let got = get(&server, "/fhir/Patient/_history").await;
    assert_eq!(entries(&server, &got), typed);
    let all = get(&server, "/fhir/_history").await;
    let mut whole = vec!["PUT Observation/o 2"];
    whole.extend(&typed[..5]);
    whole.push("PUT Observation/o 1");
    whole.extend(&typed[5..]);
    assert_eq!(entries(&server, &all), whole);
    assert_eq!(all.body["total"], whole.len());

    let answer = get(&server, "/fhir/Patient/never/_history").await;
    assert_eq!(answer.status, 404);
    assert_eq!(get(&server, "/fhir/Slot/_history").await.body["total"], 0);
}

#[tokio::test]
async fn pages_follow_one_another_though_versions_come_in_between() {
    let server = server().await;
    for _ in 0..4 {
        ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    }
    for (target, total) in [
        ("/fhir/Patient/a/_history?_count=2", 5),
        ("/fhir/Patient/_history?_count=2", 7),
        ("/fhir/_history?_count=2", 9),
    ] {
        let whole = target.replace("?_count=2", "");
        let expected = entries(&server, &get(&server, &whole).await);
        let mut next = Some(target.to_owned());
        let mut seen = Vec::new();
        while let Some(target) = next {
            let got = get(&server, &target).await;
            assert_eq!(got.body["total"], expected.len());
            seen.extend(entries(&server, &got));
            next = got.next(&server);
            ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
        }
        assert_eq!(seen, expected);
        assert!(seen.len() >= total, "{target}");
    }
}

#[tokio::test]
async fn since_keeps_what_is_as_late() {
    let server = server().await;
    let got = ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    let at = got.body["meta"]["lastUpdated"].as_str().unwrap();
    for (since, expected) in [
        ("2026-03-01T08:00:00Z", 5),
        ("2026-03-01T08:00:00.001Z", 1),
        ("2026-03-01T09:00:00%2B01:00", 5),
        (at, 1),
        ("2126-03-01T08:00:00Z", 0),
    ] {
        let got = get(&server, &format!("/fhir/_history?_since={since}")).await;
        assert_eq!(got.body["total"], expected, "{since}");
    }
    for query in [
        "_since=soon",
        "_since=2026-03-01",
        "_count=x",
        "_at=2026",
        "_page=x",
        "_page=MQ",
    ] {
        let got = get(&server, &format!("/fhir/_history?{query}")).await;
        assert_eq!(got.status, 400, "{query}");
    }
    let lenient = [("prefer", "handling=lenient")];
    let target = "/fhir/_history?nonsense=1&_count=1";
    let got = raw(&server, "GET", target, &lenient, "").await;
    let own = got.body["link"][0]["url"].as_str().unwrap();
    assert!(own.ends_with("/_history?_count=1"), "{own}");
    let got = get(&server, "/fhir/_history?_count=0").await;
    assert_eq!(
        (got.body["total"].as_u64(), got.next(&server)),
        (Some(5), None)
    );
}
