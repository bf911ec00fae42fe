//! Several servers of one service, checks of their health, and more requests than there are
//! places.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use super::*;

fn together(upstreams: &[&Upstream], service: &str) -> (Gateway, String, Tokens) {
    let tokens = Tokens::start();
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let mut urls = upstreams.iter().map(|upstream| upstream.url());
    let first = urls.next().expect("an upstream");
    let setup = urls.fold(Setup::new(PACK, first), Setup::another_upstream);
    let setup = setup
        .issuer(tokens.trusted(&["physician"]))
        .service(service)
        .section(LIMITS);
    (Gateway::start(setup), token, tokens)
}

fn ready(gateway: &Gateway) -> String {
    let ready = plain::get(gateway.metrics(), "/readyz");
    assert_eq!(ready.status, 200, "{}", ready.text());
    ready.text()
}

#[test]
fn pages_go_on_whichever_server_answers() {
    if !need("binary") {
        return;
    }
    let serve = |seen: &Seen| {
        let at = seen.target.split_once("page=").map_or("0", |(_, at)| at);
        let at: usize = at.split('&').next().unwrap_or("0").parse().unwrap_or(0);
        let next = format!(
            r#""link":[{{"relation":"next","url":"http://a-name-of-its-own:{}/fhir/Patient?page={}"}}],"#,
            9 + at,
            at + 1
        );
        let next = if at < 11 { next } else { String::new() };
        Script::json(
            200,
            &format!(
                r#"{{"resourceType":"Bundle","type":"searchset",{next}"entry":[{}]}}"#,
                entry(&format!("p{at}"))
            ),
        )
    };
    let (one, two) = (Upstream::start(serve), Upstream::start(serve));
    let (gateway, token, _tokens) = together(&[&one, &two], "");
    let client = gateway.client();
    let mut target = Some("/fhir/Patient?_count=1".to_owned());
    let mut ids = Vec::new();
    while let Some(next) = target {
        let answer = client.get(&next, &token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        clean(&answer, "a page");
        let page = answer.json();
        let rows = page["entry"].as_array().expect("entries").iter();
        let rows = rows.filter(|entry| entry["resource"]["resourceType"] == "Patient");
        ids.extend(rows.map(|entry| entry["resource"]["id"].to_string()));
        target = answer.link("next");
    }
    let wanted: Vec<String> = (0..12).map(|n| format!("\"p{n}\"")).collect();
    assert_eq!(ids, wanted);
    let (first, second) = (one.seen().len(), two.seen().len());
    assert_eq!(first + second, 12);
    assert!(first > 0 && second > 0, "{first} {second}");
}

#[test]
fn a_server_that_fails_costs_no_caller_his_answer() {
    if !need("binary") {
        return;
    }
    let serve = |seen: &Seen| Script::json(200, &right(seen).1);
    for (what, bad) in [
        ("close", Script::new().close()),
        ("reset", Script::new().reset()),
        (
            "busy",
            Script::json(
                503,
                &format!(r#"{{"resourceType":"OperationOutcome","text":"{SECRET}"}}"#),
            ),
        ),
    ] {
        let fails = Arc::new(AtomicBool::new(true));
        let failing = Arc::clone(&fails);
        let bad = Upstream::start(move |seen| {
            if failing.load(Ordering::SeqCst) {
                bad.clone()
            } else {
                serve(seen)
            }
        });
        let good = Upstream::start(serve);
        let keys = "ejection = { after = 3, first = \"500ms\" }";
        let (gateway, token, _tokens) = together(&[&bad, &good], keys);
        let client = gateway.client();
        for _ in 0..60 {
            let answer = client.get("/fhir/Patient/healthy", &token);
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            clean(&answer, what);
        }
        // it was left alone after the third failure in a row, but for the end of its time
        let asked = bad.seen().len();
        assert!((3..=8).contains(&asked), "{what}: asked {asked} times");
        let text = plain::get(gateway.metrics(), "/metrics").text();
        assert!(
            !text.contains("chartward_upstream_ejections_total{service=\"ehr\"} 0\n"),
            "{what}: {text}"
        );
        fails.store(false, Ordering::SeqCst);
        until("it is asked again", || {
            assert_eq!(client.get("/fhir/Patient/healthy", &token).status, 200);
            bad.seen().len() > asked + 3
        });
    }
}

#[test]
fn checks_take_servers_out_and_back_and_readiness_tells_when_none_is_left() {
    if !need("binary") {
        return;
    }
    let upstream = |well: &Arc<AtomicBool>| {
        let well = Arc::clone(well);
        Upstream::start(move |seen| {
            if seen.target == "/fhir/health" {
                assert_eq!(seen.header("authorization"), None);
                Script::json(
                    if well.load(Ordering::SeqCst) {
                        200
                    } else {
                        500
                    },
                    "{}",
                )
            } else {
                Script::json(200, &right(seen).1)
            }
        })
    };
    let well: [Arc<AtomicBool>; 2] = [true, true].map(|well| Arc::new(AtomicBool::new(well)));
    let (one, two) = (upstream(&well[0]), upstream(&well[1]));
    let keys = "health = { path = \"/health\", every = \"100ms\", timeout = \"1s\", unhealthy_after = 2, healthy_after = 2 }";
    let (gateway, token, _tokens) = together(&[&one, &two], keys);
    let client = gateway.client();
    let healthy = |at: usize| {
        let name = format!("chartward_upstream_healthy{{service=\"ehr\",upstream=\"{at}\"}} ");
        let text = plain::get(gateway.metrics(), "/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("the figure").to_owned()
    };
    let asked = |upstream: &Upstream| {
        let seen = upstream.seen();
        seen.iter()
            .filter(|seen| seen.target != "/fhir/health")
            .count()
    };
    let ask = |times: usize| {
        for _ in 0..times {
            assert_eq!(client.get("/fhir/Patient/healthy", &token).status, 200);
        }
    };
    until("it is ready", || {
        plain::get(gateway.metrics(), "/readyz").status == 200
    });
    assert_eq!(ready(&gateway), "ok\n");
    well[0].store(false, Ordering::SeqCst);
    until("one is down", || healthy(0) == "0");
    assert_eq!(
        (healthy(1), ready(&gateway)),
        ("1".to_owned(), "ok\n".to_owned())
    );
    let before = asked(&one);
    ask(20);
    assert_eq!(asked(&one), before);

    // none is well: all are tried, and readiness says so without failing
    well[1].store(false, Ordering::SeqCst);
    until("both are down", || healthy(1) == "0");
    assert_eq!(ready(&gateway), "ok\nupstream: none of 2 of `ehr` is up\n");
    ask(40);
    assert!(asked(&one) > before);

    well[0].store(true, Ordering::SeqCst);
    until("one is up", || healthy(0) == "1");
    assert_eq!(ready(&gateway), "ok\n");
    let before = asked(&two);
    ask(20);
    assert_eq!(asked(&two), before);
}

#[test]
fn what_finds_no_place_is_refused_at_once_and_administration_answers_throughout() {
    if !need("binary") {
        return;
    }
    let under_way = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let upstream = Upstream::start(move |seen| {
        let (_, body) = right(seen);
        if seen.target.ends_with("healthy") {
            return Script::json(200, &body);
        }
        let now = counted.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(now, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(250));
        counted.fetch_sub(1, Ordering::SeqCst);
        Script::json(200, &body)
    });
    let keys = "load = { requests = 4, waiting = 4, wait = \"2s\" }";
    let stage = stage(upstream, keys);
    until("it is ready", || {
        plain::get(stage.gateway.metrics(), "/readyz").status == 200
    });
    let (sender, answers) = mpsc::channel();
    thread::scope(|scope| {
        for n in 0..40 {
            let (stage, sender) = (&stage, sender.clone());
            scope.spawn(move || {
                let client = stage.gateway.client();
                // the handshake first, so that all ask at once
                let began = Instant::now();
                let request = stage.request(&format!("/fhir/Patient/p{n}"), &format!("load-{n}"));
                let answer = client.send(request);
                let _ = sender.send((answer, began.elapsed()));
            });
        }
        // meanwhile
        for path in ["/livez", "/readyz", "/metrics"] {
            let began = Instant::now();
            assert_eq!(plain::get(stage.gateway.metrics(), path).status, 200);
            assert!(began.elapsed() < Duration::from_secs(2), "{path}");
        }
    });
    drop(sender);
    let (mut served, mut refused) = (0, 0);
    for (answer, took) in answers {
        clean(&answer, "under load");
        match answer.status {
            200 => served += 1,
            503 => {
                refused += 1;
                assert_eq!(answer.reason(), "overloaded");
                assert_eq!(answer.header("retry-after"), "1");
            }
            other => panic!("{other}: {}", answer.text()),
        }
        assert!(took < PATIENCE);
    }
    assert_eq!(served + refused, 40);
    assert!(served >= 8, "{served}");
    assert!(refused > 0);
    assert!(most.load(Ordering::SeqCst) <= 4);
    assert_eq!(
        figure(
            &stage,
            "chartward_upstream_overloaded_total{service=\"ehr\"}"
        ),
        refused
    );
    for gauge in ["in_flight", "waiting"] {
        let name = format!("chartward_upstream_requests_{gauge}{{service=\"ehr\"}}");
        until(&name, || figure(&stage, &name) == 0);
    }
    let said = stage.said();
    let overloaded = said
        .values()
        .filter(|said| **said == ["overloaded"])
        .count();
    assert_eq!(overloaded as u64, refused);
    stage.is_well(&stage.gateway.client(), "overload");
}
