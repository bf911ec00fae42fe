//! In front of `sekmet-fhir` with the Synthea clinic: applications made by others read, search and
//! page through the gateway with tokens of `oidc-provider`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartward_tests::client::holds;
use chartward_tests::peers::{Account, Application, AuthorizationServer, FhirServer};
use chartward_tests::skip::need_all;
use chartward_tests::{Gateway, Issuer, Request, Setup, plain};
use serde_json::{Value, json};

const PACK: &str = include_str!("packs/ward.toml");
const SCOPES: &str = "user/*.rs";

struct Ward {
    gateway: Gateway,
    tokens: AuthorizationServer,
    server: &'static FhirServer,
}

impl Ward {
    fn open() -> Self {
        let server = FhirServer::shared();
        let tokens = AuthorizationServer::start(
            &[
                Account::new("dr-es", &["physician"]),
                Account::new("dr-rs", &["physician"]).alg("RS256"),
                Account::new("stranger", &["porter"]),
            ],
            SCOPES,
        );
        let setup =
            Setup::new(PACK, &server.base).issuer(Issuer::of(&tokens.issuer, &["physician"]));
        Self {
            gateway: Gateway::start(setup),
            tokens,
            server,
        }
    }

    /// The id of a patient with labelled rows of both kinds.
    fn patient(&self) -> &str {
        self.server
            .reference("Patient/18be282b-67b9-d958-226a-c5510e5ef0c2")
            .trim_start_matches("Patient/")
    }

    /// What the server itself answers to a search, all in one page.
    fn upstream(&self, query: &str) -> Vec<Value> {
        let path = format!("/fhir/{query}&_count=1000");
        let bundle = plain::get(plain::address(&self.server.base), &path).json();
        let rows = bundle["entry"].as_array().cloned().unwrap_or_default();
        assert_eq!(
            Some(rows.len() as u64),
            bundle["total"].as_u64(),
            "more than one page"
        );
        rows.into_iter()
            .map(|entry| entry["resource"].clone())
            .collect()
    }
}

fn ids<'a>(rows: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    rows.into_iter()
        .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn labelled(row: &Value) -> bool {
    row["meta"]["security"]
        .as_array()
        .is_some_and(|labels| !labels.is_empty())
}

fn reads_searches_and_pages(application: Application, account: &str) {
    let ward = Ward::open();
    let token = ward.tokens.token(account, SCOPES);
    let patient = ward.patient();
    let plan = json!([
        { "do": "read", "type": "Patient", "id": patient },
        { "do": "page", "type": "Observation", "params": { "patient": format!("Patient/{patient}"), "_count": "20" } },
        { "do": "search", "type": "Patient", "params": { "_id": patient } },
        { "do": "page", "type": "Patient", "params": { "gender": "female", "_count": "3" } },
    ]);
    let seen = application.run(&ward.gateway, &token, &plan);
    assert_eq!(seen.len(), 4, "{seen:?}");
    for step in &seen {
        assert_eq!(step["ok"], true, "{step}");
    }
    let rows = |step: usize| seen[step]["resources"].as_array().expect("rows").clone();

    let read = &rows(0)[0];
    assert_eq!(read["id"], patient);
    assert!(read["name"][0]["family"].is_string(), "{read}");
    for hidden in ["telecom", "address", "maritalStatus", "text", "extension"] {
        assert!(read.get(hidden).is_none(), "`{hidden}` left");
    }
    assert_eq!(read["meta"]["security"][0]["code"], "REDACTED");

    let all = ward.upstream(&format!("Observation?patient=Patient/{patient}"));
    let visible = ids(all.iter().filter(|row| !labelled(row)));
    assert!(
        visible.len() > 40 && visible.len() < all.len(),
        "the patient has rows to see and rows to withhold"
    );
    assert_eq!(ids(&rows(1)), visible);
    assert_eq!(rows(1).len(), visible.len(), "no row comes twice");

    assert_eq!(ids(&rows(2)), BTreeSet::from([patient.to_owned()]));
    assert_eq!(ids(&rows(3)), ids(&ward.upstream("Patient?gender=female")));
}

#[test]
fn the_parts_are_what_they_say() {
    if !need_all(&["python", "node", "synthea"]) {
        return;
    }
    // 8,598 rows of Synthea, the overlay and two orders for each of 25 patients.
    let server = FhirServer::shared();
    assert!(server.entries > 8_598 + 50, "{} rows", server.entries);
    assert_eq!(server.all("Patient").len(), 25);
    let tokens =
        AuthorizationServer::start(&[Account::new("dr", &["physician"]).alg("RS256")], SCOPES);
    let token = tokens.token("dr", SCOPES);
    let part = |n: usize| -> Value {
        let text = token.split('.').nth(n).expect("three parts");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
    };
    assert_eq!(
        (&part(0)["typ"], &part(0)["alg"]),
        (&json!("at+jwt"), &json!("RS256"))
    );
    assert_eq!(
        (&part(1)["roles"], &part(1)["scope"]),
        (&json!(["physician"]), &json!(SCOPES))
    );
    assert_eq!(part(1)["iss"], tokens.issuer);
}

#[test]
fn fhirpy_reads_searches_and_pages() {
    if need_all(&["binary", "python", "node", "synthea"]) {
        reads_searches_and_pages(Application::Fhirpy, "dr-es");
    }
}

#[test]
fn fhir_kit_client_reads_searches_and_pages() {
    if need_all(&["binary", "python", "node", "synthea"]) {
        reads_searches_and_pages(Application::Kit, "dr-rs");
    }
}

#[test]
fn applications_see_refusals_as_refusals() {
    if !need_all(&["binary", "python", "node", "synthea"]) {
        return;
    }
    let ward = Ward::open();
    let plan = json!([
        { "do": "read", "type": "Patient", "id": "no-such-patient" },
        { "do": "search", "type": "Patient", "params": { "address-city": "Boston" } },
        { "do": "search", "type": "Procedure", "params": {} },
    ]);
    let token = ward.tokens.token("dr-es", SCOPES);
    let errors = |application: Application, token: &str| -> Vec<String> {
        let seen = application.run(&ward.gateway, token, &plan);
        seen.iter()
            .map(|step| step["error"].as_str().unwrap_or("none").to_owned())
            .collect()
    };
    assert_eq!(errors(Application::Kit, &token), ["404", "403", "403"]);
    assert_eq!(
        errors(Application::Fhirpy, &token),
        ["ResourceNotFound", "ForbiddenError", "ForbiddenError"]
    );
    let stranger = ward.tokens.token("stranger", SCOPES);
    assert_eq!(errors(Application::Kit, &stranger), ["403", "403", "403"]);
}

#[test]
fn nothing_of_the_servers_own_address_or_words_leaves() {
    if !need_all(&["binary", "python", "node", "synthea"]) {
        return;
    }
    let ward = Ward::open();
    let token = ward.tokens.token("dr-es", SCOPES);
    let client = ward.gateway.client();
    let upstream = plain::address(&ward.server.base);
    let mut pages = 0;
    let mut next = Some(format!(
        "/fhir/Observation?patient=Patient/{}&_count=10",
        ward.patient()
    ));
    while let Some(target) = next {
        let page = client.get(&target, &token);
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(
            !page.holds(upstream.to_string().as_bytes()),
            "the server's address left"
        );
        assert!(!page.holds(b"_offset"), "the server's paging left");
        for link in page.json()["link"].as_array().expect("links") {
            assert!(
                ["self", "next"].contains(&link["relation"].as_str().unwrap_or_default()),
                "{link}"
            );
            let url = link["url"].as_str().unwrap_or_default();
            assert!(url.starts_with(&ward.gateway.base()), "{url}");
        }
        pages += 1;
        next = page.link("next");
    }
    assert!(pages > 4, "{pages} pages");

    let missing = client.get("/fhir/Patient/no-such-patient", &token);
    assert_eq!(
        (missing.status, missing.reason().as_str()),
        (404, "not-found")
    );
    let answer = client.get(&format!("/fhir/Patient/{}", ward.patient()), &token);
    for (name, value) in [("missing", &missing), ("read", &answer)] {
        for header in ["server", "vary", "date"] {
            let value = value.header(header);
            assert!(
                !value.contains("uvicorn") && !value.contains("Origin"),
                "{name}: `{header}` is the server's"
            );
        }
        assert_eq!(value.header("cache-control"), "no-store", "{name}");
        assert!(!value.header("x-request-id").is_empty(), "{name}");
    }
    assert!(!holds(&missing.body, b"no-such-patient"));
}

#[test]
fn what_the_server_would_ignore_the_gateway_refuses() {
    if !need_all(&["binary", "python", "node", "synthea"]) {
        return;
    }
    let ward = Ward::open();
    let token = ward.tokens.token("dr-es", SCOPES);
    let client = ward.gateway.client();
    // The server takes both: it ignores the first and answers the second with all rows that join.
    for (target, reason) in [
        ("/fhir/Patient?bogus=1", "not-understood"),
        (
            "/fhir/Patient?_has:Observation:patient:code=8302-2",
            "not-supported",
        ),
        (
            "/fhir/Patient?_include=Patient:organization",
            "not-supported",
        ),
        ("/fhir/Patient/$everything", "not-supported"),
    ] {
        let answer = client.get(target, &token);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{target}: {}",
            answer.text()
        );
    }
    let by_form = client
        .send(Request::form("/fhir/Patient/_search", "gender=female&_count=500").bearer(&token));
    assert_eq!(by_form.status, 200, "{}", by_form.text());
    let bundle = by_form.json();
    let rows = bundle["entry"].as_array().expect("entries");
    let matches: Vec<&Value> = rows
        .iter()
        .filter(|entry| entry["search"]["mode"] == "match")
        .map(|entry| &entry["resource"])
        .collect();
    assert_eq!(ids(matches), ids(&ward.upstream("Patient?gender=female")));
}
