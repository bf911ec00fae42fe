//! Page handles: of use to the caller they were given to, for the search they belong to.

use chartward_tests::{Request, Response, Script, Seen, need};
use serde_json::json;

use super::stage::{PACK, ROLES, Stage, bundle, face, ids, observation};

const POSITION: &str = "_getpages=cursor-4711&_offset=2";

/// Two pages; the second under a position of the upstream's own.
fn pages(seen: &Seen) -> Script {
    let page = if seen.target.contains("_getpages") {
        bundle(&[&observation("o3", "p1", "")], None)
    } else {
        let rows = [observation("o1", "p1", ""), observation("o2", "p1", "")];
        let next = format!("http://upstream.invalid:1/fhir?{POSITION}");
        bundle(&[&rows[0], &rows[1]], Some(&next))
    };
    Script::json(200, &page)
}

fn first(stage: &Stage, token: &str) -> (Response, String) {
    let answer = stage.client.get("/fhir/Observation?_count=2", token);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let next = answer.link("next").expect("a next link");
    (answer, next)
}

#[test]
fn a_next_link_goes_on_and_tells_nothing_of_the_upstream() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(pages);
    let nurse = stage.token("nurse");
    let (answer, next) = first(&stage, &nurse);
    for word in [
        "upstream.invalid",
        "_getpages",
        "cursor-4711",
        "_offset",
        "score",
    ] {
        assert!(!answer.holds(word.as_bytes()), "{word}: {}", answer.text());
    }
    assert!(next.starts_with("/fhir/Observation?_page="), "{next}");
    let second = stage.client.get(&next, &nurse);
    assert_eq!(ids(&second), ["Observation/o3"]);
    assert!(second.link("next").is_none());
    let seen = stage.upstream.seen();
    assert_eq!(seen[1].target, format!("/fhir?{POSITION}"));
    // and again: a page is decided anew each time, with the same answer
    assert_eq!(face(&stage.client.get(&next, &nurse)), face(&second));
}

#[test]
fn a_handle_is_of_no_use_to_another() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(pages);
    let (_, next) = first(&stage, &stage.token("nurse"));
    stage.upstream.forget();
    let of = |claims| stage.tokens.claims(&claims);
    let scope = "user/*.rs";
    let others = [
        (
            "another subject",
            of(json!({"sub": "else", "roles": ["nurse"], "scope": scope})),
        ),
        (
            "another client",
            of(json!({"sub": "someone", "roles": ["nurse"], "scope": scope, "client_id": "other"})),
        ),
        (
            "an application",
            of(json!({"sub": "app", "roles": ["nurse"], "scope": scope})),
        ),
        (
            "no client",
            of(json!({"sub": "someone", "roles": ["nurse"], "scope": scope, "client_id": null})),
        ),
    ];
    for (who, token) in others {
        let request = Request::get(&next).bearer(&token);
        stage.refused(request, 400, "not-understood", who);
    }
    // the same person with rights that don't cover the search any more
    for (who, roles, scopes, status) in [
        ("another role", "front-desk", scope, 403),
        ("no scope", "nurse", "user/Patient.rs", 403),
        ("read only", "nurse", "user/*.r", 403),
    ] {
        let token = stage.tokens.token("someone", &[roles], scopes);
        let answer = stage.client.get(&next, &token);
        assert!(
            [status, 400].contains(&answer.status),
            "{who}: {}",
            answer.text()
        );
        stage.untouched(who);
    }
    let none = stage.client.send(Request::get(&next));
    assert_eq!(none.status, 401);
    stage.untouched("without a credential");
}

#[test]
fn a_handle_goes_with_its_type_its_purpose_and_nothing_else() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(pages);
    let nurse = stage.token("nurse");
    let (_, next) = first(&stage, &nurse);
    stage.upstream.forget();
    let handle = next.split_once("_page=").expect("a handle").1.to_owned();
    for target in [
        format!("/fhir/Condition?_page={handle}"),
        format!("/fhir/Patient?_page={handle}"),
        format!("{next}&code=1"),
        format!("{next}&_id=o1"),
        format!("{next}&_page={handle}"),
        format!("{next}&_getpages=x"),
        format!("/fhir/Observation/o1?_page={handle}"),
        format!("/fhir/metadata?_page={handle}"),
        format!("/fhir?_page={handle}"),
        "/fhir/Observation?_page=".to_owned(),
        "/fhir/Observation?_page=AAAA".to_owned(),
        format!("/fhir/Observation?_page={handle}="),
        format!("/fhir/Observation?_page={handle}%20"),
    ] {
        let answer = stage.client.get(&target, &nurse);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        stage.untouched(&target);
    }
    // physicians hold TREAT too, and no other purpose is held by nurses
    let token = stage.tokens.claims(&json!({
        "sub": "someone", "roles": ["nurse", "coder"], "scope": "user/*.rs", "purpose_of_use": "HPAYMT"
    }));
    let answer = stage.client.get(&next, &token);
    assert_eq!(answer.status, 400, "another purpose: {}", answer.text());
    stage.untouched("another purpose");
}

#[test]
fn a_handle_with_one_byte_changed_is_refused() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(pages);
    let nurse = stage.token("nurse");
    let (_, next) = first(&stage, &nurse);
    stage.upstream.forget();
    let handle = next.split_once("_page=").expect("a handle").1;
    for at in (0..handle.len()).step_by(37).chain([handle.len() - 1]) {
        let mut bytes = handle.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        let answer = stage
            .client
            .get(&format!("/fhir/Observation?_page={changed}"), &nurse);
        assert_eq!(answer.status, 400, "byte {at}: {}", answer.text());
    }
    stage.untouched("a changed handle");
}

#[test]
fn the_length_of_a_handle_tells_no_position() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(|seen| {
        // the position is as long as the page's size asks for
        let size: usize = seen
            .target
            .split_once("_count=")
            .and_then(|(_, n)| n.parse().ok())
            .unwrap_or(1);
        let next = format!("http://x/fhir?_cursor={}", "z".repeat(size));
        Script::json(200, &bundle(&[], Some(&next)))
    });
    let nurse = stage.token("nurse");
    let lengths: Vec<usize> = [10, 50, 99]
        .map(|count| {
            let target = format!("/fhir/Observation?_count={count}");
            let answer = stage.client.get(&target, &nurse);
            answer.link("next").expect("a next link").len()
        })
        .to_vec();
    assert!(lengths.iter().all(|n| *n == lengths[0]), "{lengths:?}");
}

#[test]
fn a_next_link_of_odd_characters_harms_nothing() {
    if !need("binary") {
        return;
    }
    for odd in [
        "?a={b}|c",
        "?a=<b>^`c",
        "?%zz",
        "?a=\\u0000",
        "?a=b%0d%0aX:y",
        "?\\u00e4",
        "?a=[1]&b=(2)",
    ] {
        let next = format!("http://x/fhir{odd}");
        let mut stage = Stage::fixed(&bundle(&[&observation("o1", "p1", "")], Some(&next)));
        let nurse = stage.token("nurse");
        let answer = stage.client.get("/fhir/Observation", &nurse);
        if let Some(link) = (answer.status == 200)
            .then(|| answer.link("next"))
            .flatten()
        {
            let second = stage.client.get(&link, &nurse);
            assert!(
                [200, 502].contains(&second.status),
                "{odd}: {}",
                second.text()
            );
            for seen in stage.upstream.seen() {
                assert_eq!(seen.header("x"), None, "{odd}");
            }
        } else {
            assert_eq!(answer.reason(), "upstream-invalid", "{odd}");
        }
        assert!(stage.gateway.process().runs(), "{odd}");
        assert_eq!(
            stage.client.get("/fhir/metadata", &nurse).status,
            200,
            "{odd}"
        );
    }
}

#[test]
fn a_handle_that_would_not_fit_makes_no_broken_link() {
    if !need("binary") {
        return;
    }
    let next = format!("http://x/fhir?_cursor={}", "z".repeat(20_000));
    let stage = Stage::fixed(&bundle(&[&observation("o1", "p1", "")], Some(&next)));
    let nurse = stage.token("nurse");
    let answer = stage.client.get("/fhir/Observation", &nurse);
    // never a page that looks as if it could be followed, or as if it were the last
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream-invalid"),
        "{}",
        answer.link("next").unwrap_or_default()
    );
}

#[test]
fn a_next_link_leads_nowhere_but_below_the_upstreams_base() {
    if !need("binary") {
        return;
    }
    for (next, goes) in [
        (
            "http://evil.invalid/fhir/Observation?page=2",
            Some("/fhir/Observation?page=2"),
        ),
        (
            "https://user:pw@evil.invalid/fhir?page=2",
            Some("/fhir?page=2"),
        ),
        ("/fhir/Observation?page=2", Some("/fhir/Observation?page=2")),
        ("http://evil.invalid/admin", None),
        ("http://evil.invalid/fhirx/Observation?page=2", None),
        ("http://evil.invalid/fhir/../admin?page=2", None),
        ("http://evil.invalid/fhir/%2e%2e/admin?page=2", None),
        ("http://evil.invalid/fhir/%2E./admin?page=2", None),
        ("http://evil.invalid/fhir/x%2f..%2f..%2fadmin", None),
        ("http://evil.invalid/fhir/..;/admin", None),
        ("http://evil.invalid/fhir/a b", None),
        ("http://evil.invalid/fhir?a=b#c", None),
        ("//evil.invalid/fhir?page=2", None),
        ("?page=2", None),
        ("", None),
        ("http://evil.invalid/fhir?a\\r\\nX-Evil: 1", None),
    ] {
        let page = bundle(&[&observation("o1", "p1", "")], Some(next));
        let stage = Stage::fixed(&page);
        let nurse = stage.token("nurse");
        let answer = stage.client.get("/fhir/Observation", &nurse);
        assert!(!answer.holds(b"evil"), "{next}: {}", answer.text());
        match goes {
            None => assert_eq!(
                (answer.status, answer.reason().as_str()),
                (502, "upstream-invalid"),
                "{next}"
            ),
            Some(target) => {
                let link = answer.link("next").expect("a next link");
                assert_eq!(stage.client.get(&link, &nurse).status, 200, "{next}");
                assert_eq!(stage.upstream.seen()[1].target, target, "{next}");
            }
        }
    }
}

#[test]
fn a_handle_of_one_service_is_of_no_use_at_another() {
    if !need("binary") {
        return;
    }
    let behind = chartward_tests::Upstream::start(pages);
    let tokens = chartward_tests::Tokens::start();
    let url = behind.url();
    let more = format!(
        "[[service]]\nname = \"second\"\npath = \"/second\"\nupstream = [{url:?}]\npacks = [\"pack-0.toml\"]\nissuers = [{:?}]\n",
        tokens.issuer().url()
    );
    let setup = chartward_tests::Setup::new(PACK, behind.url())
        .issuer(tokens.trusted(&ROLES))
        .section(&more);
    let gateway = chartward_tests::Gateway::start(setup);
    let token = tokens.token("someone", &["nurse"], "user/*.rs");
    let client = gateway.client();
    let answer = client.get("/fhir/Observation", &token);
    let next = answer.link("next").expect("a next link");
    let other = next.replace("/fhir/", "/second/");
    assert_eq!(client.get("/second/Observation", &token).status, 200);
    behind.forget();
    let answer = client.get(&other, &token);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "not-understood")
    );
    assert!(behind.seen().is_empty());
}
