//! One request that asks for as much as a thousand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chartward_tests::{Request, Script, need};
use serde_json::{Value, json};

use super::stage::*;

const MANY: usize = 1_000;

fn deletes(many: usize) -> Vec<Value> {
    (0..many)
        .map(|n| ask("DELETE", &format!("Patient/n{n}")))
        .collect()
}

#[test]
fn a_thousand_questions_are_asked_a_few_at_once_and_hold_up_nobody() {
    if !need("binary") {
        return;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let mut wide = Wide::open(
        |setup| setup,
        move |seen| {
            if seen.target.ends_with("/other") {
                return Script::json(200, &patient("other").to_string());
            }
            let before = counted.fetch_add(1, Ordering::SeqCst);
            highest.fetch_max(before + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            counted.fetch_sub(1, Ordering::SeqCst);
            Script::json(404, "{}")
        },
    );
    let began = Instant::now();
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| wide.post("clerk", &bundle("batch", &deletes(MANY))));
        // meanwhile others are answered
        let mut slowest = Duration::ZERO;
        let mut asked = 0;
        let client = wide.gateway.client();
        while !batch.is_finished() {
            let at = Instant::now();
            let answer = client.get("/fhir/Patient/other", &wide.token("clerk"));
            assert_eq!(answer.status, 200);
            slowest = slowest.max(at.elapsed());
            asked += 1;
        }
        let answer = batch.join().expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(statuses(&answer), vec!["404"; MANY]);
        println!(
            "{:?}, {asked} others meanwhile, the slowest {slowest:?}",
            began.elapsed()
        );
        assert!(asked > 20, "{asked}");
    });
    assert_eq!(
        wide.upstream
            .seen()
            .iter()
            .filter(|s| s.method == "GET" && !s.target.ends_with("other"))
            .count(),
        MANY
    );
    let most = most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
    let peak = wide.gateway.process().peak();
    println!("{most} at once, peak {peak}");
}

#[test]
fn questions_end_with_the_time_of_one_request() {
    if !need("binary") {
        return;
    }
    let wide = Wide::open(
        |setup| setup.section("[limits]\nupstream_total = \"1s\""),
        |_| {
            Script::new()
                .wait(Duration::from_millis(300))
                .then(Script::json(404, "{}"))
        },
    );
    let began = Instant::now();
    let answer = wide.post("clerk", &bundle("batch", &deletes(160)));
    let took = began.elapsed();
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (504, "upstream-unavailable"),
        "{}",
        answer.text()
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
    // and nothing goes on after it
    let asked = wide.upstream.seen().len();
    std::thread::sleep(Duration::from_millis(900));
    assert!(wide.upstream.seen().len() <= asked + 8);
    assert!(wide.upstream.seen().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn a_batch_of_long_searches_streams_within_bounds() {
    if !need("binary") {
        return;
    }
    let rows: Vec<Value> = (0..500)
        .map(|n| {
            let mut row = patient(&format!("p{n}"));
            row["name"] = json!([{ "text": "x".repeat(500) }]);
            row
        })
        .collect();
    let one = json!({ "resource": set(&rows, None), "response": { "status": "200" } }).to_string();
    let size = one.len();
    let mut wide = Wide::open(
        |setup| setup,
        move |seen| {
            let count = sent(seen).len();
            let all = vec![one.as_str(); count].join(",");
            let body =
                format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{all}]}}"#);
            Script::json(200, &body)
        },
    );
    let mut peaks = Vec::new();
    let mut last = None;
    for many in [20, 100, 300] {
        let searches = vec![ask("GET", "Patient?gender=female"); many];
        let answer = wide.post("clerk", &bundle("batch", &searches));
        assert_eq!(answer.status, 200);
        assert_eq!(statuses(&answer).len(), many);
        peaks.push(wide.gateway.process().peak());
        println!(
            "{} bytes of {size} each: peak {peaks:?} KiB",
            answer.body.len()
        );
        if many == 100 {
            last = Some(answer);
        }
    }
    assert!(peaks[2] < peaks[1] + (24 << 10), "{peaks:?}");
    let answer = last.expect("the second");
    // every row is recorded, what was asked once
    let records = wide.records(&answer);
    let named = records.iter().filter(|r| r["phase"] == "disclosure");
    let rows: usize = named
        .clone()
        .map(|r| r["disclosed"]["resources"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(rows, 50_000);
    let with = named.filter(|r| r["action"]["entries"].is_array()).count();
    assert_eq!(with, 1);
}

#[test]
fn what_a_batch_asks_fits_its_record() {
    if !need("binary") {
        return;
    }
    let wide = Wide::open(|setup| setup, |_| Script::json(500, "{}"));
    // as one target it is refused; as an entry, too
    let long = format!("Patient?name={}", "%21".repeat(5_000));
    let alone = wide.get("clerk", &format!("/fhir/{long}"));
    assert_eq!(alone.status, 414);
    // that connection is over
    let wide = Wide {
        client: wide.gateway.client(),
        ..wide
    };
    let answer = wide.post("clerk", &bundle("batch", &[ask("GET", &long)]));
    assert_eq!(statuses(&answer), ["414"], "{}", answer.text());
    assert!(wide.upstream.seen().is_empty());
    let some = format!("Patient?name={}", "!".repeat(5_000));
    let answer = wide.post("clerk", &bundle("batch", &vec![ask("GET", &some); MANY]));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (413, "too-large")
    );
    assert_eq!(
        wide.records(&answer).last().expect("a record")["phase"],
        "refusal"
    );
    // the longest that is understood
    let answer = wide.post("clerk", &bundle("batch", &vec![ask("GET", &some); 100]));
    assert_eq!(answer.status, 502, "{}", answer.text());
    let answer = wide.send("clerk", Request::get("/fhir/Patient/p1"));
    assert_eq!(answer.status, 502);
}
