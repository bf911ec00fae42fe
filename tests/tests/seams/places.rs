//! What is bounded stays bounded when callers leave, and is given back.

use chartward_tests::need;

use super::*;

fn is_shed(stage: &Stage) -> bool {
    let request = Request::get("/fhir/Patient/a").bearer(&stage.token("editor"));
    let answer = stage.gateway.client().send(request);
    match answer.status {
        200 => false,
        503 => {
            assert_eq!(answer.reason(), "overloaded");
            assert!(!answer.header("retry-after").is_empty());
            assert!(!answer.header("x-request-id").is_empty());
            true
        }
        status => panic!("{status}: {}", answer.text()),
    }
}

#[test]
fn a_write_whose_caller_left_keeps_its_place_and_a_read_gives_it_back() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("[limits]\nrequests = 2");
    let mut callers = Vec::new();
    for id in ["written1", "written2"] {
        let mut raw = stage.gateway.raw();
        assert!(raw.send(&stage.put(id)));
        until("the write is sent", || stage.reached("PUT", id) == 1);
        callers.push(raw);
    }
    drop(callers);
    // longer than it takes to notice that they left, shorter than the writes last
    thread::sleep(SLOW / 4);
    assert!(is_shed(&stage));
    stage.at_rest("the writes");
    assert!(!is_shed(&stage));
    for id in ["written1", "written2"] {
        assert_eq!(stage.reached("PUT", id), 1);
        assert_eq!(
            stage.closing(&format!("put-{id}"))["upstream"]["status"],
            200
        );
    }

    let mut callers = Vec::new();
    for id in ["slow1", "slow2"] {
        let mut raw = stage.gateway.raw();
        let line = format!("GET /fhir/Patient/{id}");
        assert!(raw.send(&stage.bytes("editor", &line, "", "", 0)));
        until("the read is sent", || stage.reached("GET", id) == 1);
        callers.push(raw);
    }
    assert!(is_shed(&stage));
    drop(callers);
    let begun = Instant::now();
    until("the reads' places are free", || !is_shed(&stage));
    assert!(begun.elapsed() < SLOW, "{:?}", begun.elapsed());
    stage.at_rest("the reads");
}

#[test]
fn what_finds_no_place_upstream_is_refused_with_a_record_and_writes_nothing() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(chart);
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&ROLES))
        .service("load = { requests = 1, waiting = 1, wait = \"200ms\" }");
    let stage = Stage {
        gateway: Gateway::start(setup),
        upstream,
        tokens,
    };
    let mut held = stage.gateway.raw();
    assert!(held.send(&stage.put("written1")));
    until("the write is sent", || {
        stage.reached("PUT", "written1") == 1
    });
    let answers: Vec<Vec<u8>> = thread::scope(|scope| {
        let ids = ["x1", "x2", "x3"];
        let each = ids.map(|id| {
            let stage = &stage;
            scope.spawn(move || {
                let mut raw = stage.gateway.raw();
                assert!(raw.send(&stage.put(id)));
                raw.read_answer().unwrap_or_else(|(bytes, _)| bytes)
            })
        });
        each.map(|one| one.join().expect("an answer")).into()
    });
    for answer in &answers {
        let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 503 "), "{text}");
        assert!(
            text.contains("retry-after:") && text.contains("overloaded"),
            "{text}"
        );
    }
    assert!(
        held.read_answer()
            .is_ok_and(|answer| holds(&answer, b" 200 "))
    );
    stage.at_rest("the refusals");
    let records = stage.gateway.records();
    for id in ["x1", "x2", "x3"] {
        assert_eq!(stage.reached("PUT", id), 0);
        let of = |r: &&Value| r["request_id"] == format!("put-{id}") && r["phase"] == "refusal";
        let reasons: Vec<_> = records
            .iter()
            .filter(of)
            .map(|r| &r["decision"]["reason"])
            .collect();
        assert_eq!(reasons, ["overloaded"], "{records:#?}");
    }
}

#[test]
fn who_leaves_the_line_is_out_of_it() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(chart);
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&ROLES))
        .service("load = { requests = 1, waiting = 2, wait = \"20s\" }");
    let stage = Stage {
        gateway: Gateway::start(setup),
        upstream,
        tokens,
    };
    let waiting = || stage.sum("chartward_upstream_requests_waiting", "");
    let get = |id: &str| stage.bytes("editor", &format!("GET /fhir/Patient/{id}"), "", "", 0);
    for round in 0..5 {
        let held = format!("slow{round}");
        let mut first = stage.gateway.raw();
        assert!(first.send(&get(&held)));
        until("the first is sent", || stage.reached("GET", &held) == 1);
        let (mut leaves, mut stays) = (stage.gateway.raw(), stage.gateway.raw());
        assert!(leaves.send(&get("leaves")));
        until("one waits", || waiting() == 1);
        assert!(stays.send(&get(&format!("stays{round}"))));
        until("two wait", || waiting() == 2);
        drop(leaves);
        until("one waits again", || waiting() == 1);
        assert!(
            first
                .read_answer()
                .is_ok_and(|answer| holds(&answer, b" 200 "))
        );
        assert!(
            stays
                .read_answer()
                .is_ok_and(|answer| holds(&answer, b" 200 "))
        );
        stage.at_rest("the line");
    }
    assert_eq!(stage.reached("GET", "leaves"), 0);
}

#[test]
fn a_slow_caller_holds_the_upstream_no_longer_than_a_request_may_take() {
    if !need("binary") {
        return;
    }
    let row = json!({ "resource": {
        "resourceType": "Patient", "id": "many", "name": [{ "family": "x".repeat(80_000) }],
    }, "search": { "mode": "match" } });
    let rows = vec![row.to_string(); 500].join(",");
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{rows}]}}"#);
    let length = bundle.len();
    let stage = Stage::before(
        "[limits]\nupstream_total = \"1s\"\nupstream_response = \"1s\"",
        move |_| Script::json(200, &bundle),
    );
    let mut raw = stage.gateway.raw();
    let line = "GET /fhir/Patient?_count=500";
    let named = "X-Request-Id: slow-caller\r\n";
    assert!(raw.send(&stage.bytes("editor", line, named, "", 0)));
    let mut came = 0;
    let (begun, end) = (Instant::now(), |bytes: &[u8]| {
        bytes.ends_with(b"\r\n0\r\n\r\n")
    });
    let whole = loop {
        match raw.read_some(PATIENCE) {
            Ok(bytes) if end(&bytes) => break true,
            Ok(bytes) => came += bytes.len(),
            Err(_) => break false,
        }
        // what is there is taken at an even pace, so that something is there throughout
        thread::sleep(Duration::from_millis(1));
        if begun.elapsed() < 3 * SLOW {
            thread::sleep(Duration::from_millis(10));
        }
    };
    assert!(
        !whole,
        "{came} of {length} bytes, all there were, in {:?}",
        begun.elapsed()
    );
    stage.at_rest("the answer");
    assert_eq!(stage.closing("slow-caller")["outcome"], "broken");
}
