//! Page handles of histories, compartments, searches of several types and nested search sets.

use std::fs;

use chartward_tests::{Script, Seen, need};
use serde_json::{Value, json};

use super::stage::*;

const NEXT: &str = "http://x/fhir?_cursor=2";

/// Every page has another: whatever is asked.
fn pages(seen: &Seen) -> Script {
    let entries = sent(seen);
    if !entries.is_empty() {
        let answers: Vec<Value> = entries
            .iter()
            .map(|_| json!({ "resource": set(&[patient("p1")], Some(NEXT)), "response": { "status": "200" } }))
            .collect();
        return Script::json(200, &bundle("batch-response", &answers).to_string());
    }
    let mut page = set(&[patient("p1")], Some(NEXT));
    if seen.target.contains("_history") {
        page["link"][0]["url"] = json!(format!("{NEXT}_history"));
        page["type"] = json!("history");
        page["entry"] = json!([{ "resource": patient("p1"),
            "request": { "method": "PUT", "url": "Patient/p1" }, "response": { "status": "200" } }]);
    }
    Script::json(200, &page.to_string())
}

/// Places that have pages.
const PLACES: [&str; 6] = [
    "Patient",
    "Patient/p1/Observation",
    "Patient/p2/Observation",
    "Patient/_history",
    "Patient/p1/_history",
    "_history",
];

fn handles(wide: &Wide) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = PLACES
        .iter()
        .map(|place| {
            let answer = wide.get("editor", &format!("/fhir/{place}"));
            assert_eq!(answer.status, 200, "{place} {}", answer.text());
            let next = answer.link("next").expect("a next link");
            (
                (*place).to_owned(),
                next.split_once("_page=").expect("a handle").1.to_owned(),
            )
        })
        .collect();
    let answer = wide.get("editor", "/fhir?_type=Patient");
    let next = answer.link("next").expect("a next link");
    all.push((
        String::new(),
        next.split_once("_page=").expect("a handle").1.to_owned(),
    ));
    // a nested set's is that of the search alone
    let answer = wide.post(
        "editor",
        &bundle("batch", &[ask("GET", "Observation?code=x")]),
    );
    let nested = &answer.json()["entry"][0]["resource"];
    let next = nested["link"]
        .as_array()
        .expect("links")
        .iter()
        .find(|l| l["relation"] == "next");
    let next = next.expect("a next link")["url"]
        .as_str()
        .expect("a url")
        .to_owned();
    all.push((
        "Observation".to_owned(),
        next.split_once("_page=").expect("a handle").1.to_owned(),
    ));
    all
}

#[test]
fn a_handle_is_of_use_at_its_own_place_only() {
    if !need("binary") {
        return;
    }
    let wide = Wide::open(|setup| setup, pages);
    let all = handles(&wide);
    let mut tried = 0;
    for (own, handle) in &all {
        for (place, _) in &all {
            wide.upstream.forget();
            let slash = if place.is_empty() { "" } else { "/" };
            let answer = wide.get("editor", &format!("/fhir{slash}{place}?_page={handle}"));
            tried += 1;
            if place == own {
                // an Observation's page that holds patients is empty
                assert_eq!(answer.status, 200, "{own}: {}", answer.text());
                assert!(
                    wide.upstream.seen()[0]
                        .target
                        .starts_with("/fhir?_cursor=2")
                );
            } else {
                assert_eq!(answer.status, 400, "{own} at {place}: {}", answer.text());
                assert!(wide.upstream.seen().is_empty(), "{own} at {place}");
            }
        }
        // in a Bundle, as a read, with more parameters
        for entry in [
            ask("GET", &format!("{own}?_page={handle}")),
            ask("DELETE", &format!("Patient?_page={handle}")),
            ask("GET", &format!("Patient/p1?_page={handle}")),
        ] {
            let answer = wide.post(
                "editor",
                &bundle("transaction", std::slice::from_ref(&entry)),
            );
            assert_eq!(answer.status, 400, "{entry}: {}", answer.text());
        }
        for more in [
            "_since=2020-01-01T00:00:00Z",
            "_type=Patient",
            "code=x",
            "_id=p2",
        ] {
            let slash = if own.is_empty() { "" } else { "/" };
            let target = format!("/fhir{slash}{own}?_page={handle}&{more}");
            let answer = wide.get("editor", &target);
            assert_eq!(answer.status, 400, "{own} {more}: {}", answer.text());
        }
    }
    assert_eq!(tried, 64);
}

#[test]
fn a_handle_is_of_use_to_its_own_caller_only() {
    if !need("binary") {
        return;
    }
    let wide = Wide::open(|setup| setup, pages);
    let all = handles(&wide);
    wide.upstream.forget();
    for (place, handle) in &all {
        let slash = if place.is_empty() { "" } else { "/" };
        let target = format!("/fhir{slash}{place}?_page={handle}");
        let base = json!({ "sub": "someone", "roles": ["editor"], "scope": "user/*.cruds" });
        for (what, key, value) in [
            ("another subject", "sub", "another"),
            ("another client", "client_id", "another"),
            ("no client", "client_id", ""),
        ] {
            let mut claims = base.clone();
            claims[key] = json!(value);
            let answer = wide.client.get(&target, &wide.tokens.claims(&claims));
            assert_ne!(answer.status, 200, "{what} {place}: {}", answer.text());
        }
        // a narrower role of the same person: decided anew
        let answer = wide.get("reader", &target);
        if place.contains("_history") {
            assert_eq!(answer.status, 403, "{place}");
        }
        for at in (0..handle.len()).step_by(101) {
            let mut changed = handle.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            let answer = wide.get("editor", &format!("/fhir{slash}{place}?_page={changed}"));
            assert_eq!(answer.status, 400, "{place} {at}");
        }
    }
}

#[test]
fn a_page_is_decided_by_the_pack_of_now() {
    if !need("binary") {
        return;
    }
    let mut wide = Wide::open(|setup| setup.section("[reload]\npoll = \"0s\""), pages);
    let all = handles(&wide);
    let narrower = PACK.replacen(
        "[\"Patient\", \"Observation\", \"Condition\", \"Encounter\", \"Organization\"]",
        "[\"Encounter\"]",
        1,
    );
    assert_ne!(narrower, PACK);
    fs::write(wide.gateway.folder().join("pack-0.toml"), narrower).expect("the pack");
    let before = crate::reload::generation(&wide.gateway);
    wide.gateway.process().signal("HUP");
    crate::reload::until("the reload", || {
        crate::reload::generation(&wide.gateway) > before
    });
    wide.upstream.forget();
    for (place, handle) in &all {
        let slash = if place.is_empty() { "" } else { "/" };
        let answer = wide.get("editor", &format!("/fhir{slash}{place}?_page={handle}"));
        match place.as_str() {
            // of types that are left there are no rows here
            "_history" => assert_eq!(answer.status, 200, "{}", answer.text()),
            _ => assert_eq!(answer.status, 403, "{place}: {}", answer.text()),
        }
        assert!(!answer.holds(b"\"p1\""), "{place}: {}", answer.text());
    }
    assert!(wide.upstream.seen().len() <= 1);
}

#[test]
fn odd_next_links_lead_nowhere_from_any_place() {
    if !need("binary") {
        return;
    }
    for (next, goes) in [
        ("http://evil.invalid/fhir?_cursor=3", true),
        ("http://evil.invalid/admin?_cursor=3", false),
        ("http://evil.invalid/fhir/../admin", false),
        ("http://evil.invalid/fhir/%2e%2e/admin", false),
        ("//evil.invalid/fhir?_cursor=3", false),
        ("http://evil.invalid/fhir?a#b", false),
        ("http://evil.invalid/fhir?a b", false),
        ("ftp://evil.invalid/fhir?_cursor=3", true),
    ] {
        let wide = Wide::open(
            |setup| setup,
            move |seen| {
                let entries = sent(seen);
                let mut page = set(&[patient("p1")], Some(next));
                if !entries.is_empty() {
                    let answer = json!({ "resource": page, "response": { "status": "200" } });
                    let answer = bundle("batch-response", &[answer]);
                    return Script::json(200, &answer.to_string());
                }
                if seen.target.contains("_history") {
                    page["type"] = json!("history");
                }
                Script::json(200, &page.to_string())
            },
        );
        let status = if goes { 200 } else { 502 };
        for place in PLACES {
            let answer = wide.get("editor", &format!("/fhir/{place}"));
            assert_eq!(answer.status, status, "{place} {next}: {}", answer.text());
            assert!(!answer.holds(b"evil"), "{place} {next}");
        }
        let answer = wide.post("editor", &bundle("batch", &[ask("GET", "Patient")]));
        assert_eq!(answer.status, status, "{next}: {}", answer.text());
        assert!(!answer.holds(b"evil"), "{next}");
    }
}
