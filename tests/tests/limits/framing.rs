//! Heads that parsers read in more than one way, on connections that hold more than one request.

use chartward_tests::need;
use chartward_tests::raw::End;

use super::*;

const SEARCH: &str = "POST /fhir/Patient/_search HTTP/1.1";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn a_head_with_two_readings_is_refused_wherever_it_comes() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    // what a reader of the other kind would take for a request of its own
    let hidden = stage.head("GET /fhir/Patient/smuggled HTTP/1.1", "");
    let mut times = 0;
    for lines in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 5\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length:\r\n",
        "Content-Length : 3\r\n",
        "Content-Length: 3\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding\x0b: chunked\r\n",
        "X: a\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\r\n b\r\n",
    ] {
        // alone, after another request, and cut at every seventh byte
        for (first, cut) in [
            ("", usize::MAX),
            (stage.get().as_str(), usize::MAX),
            ("", 7),
        ] {
            stage.upstream.forget();
            let bad = stage.head(SEARCH, &format!("{FORM}{lines}"));
            let bytes = format!("{first}{bad}0\r\n\r\n{hidden}");
            let mut raw = stage.raw();
            for piece in bytes.as_bytes().chunks(cut) {
                // it may be refused before all is sent
                raw.send(piece);
            }
            let (answer, end) = raw.read_all(Duration::from_secs(5));
            let answer = text(&answer);
            let statuses: Vec<&str> = answer
                .split("HTTP/1.1 ")
                .skip(1)
                .filter_map(|answer| answer.get(..3))
                .collect();
            let wanted: &[&str] = if first.is_empty() {
                &["400"]
            } else {
                &["200", "400"]
            };
            assert_eq!(statuses, wanted, "{lines:?} {cut} {end:?}: {answer}");
            assert_ne!(end, End::Silent, "{lines:?}");
            assert_eq!(stage.upstream.seen().len(), wanted.len() - 1, "{lines:?}");
            times += 1;
        }
    }
    assert_eq!(stage.figure("chartward_malformed_heads_total"), times);
    stage.serves();
}

#[test]
fn requests_with_bodies_follow_each_other_on_a_connection() {
    if !need("binary") {
        return;
    }
    let stage = Stage::before("", |seen| {
        if seen.target.contains("/p1") {
            Script::json(200, PATIENT)
        } else {
            Script::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#)
        }
    });
    let body = "name=GET+/+Content-Length:+3";
    let length = body.len();
    let form = stage.head(SEARCH, &format!("{FORM}Content-Length: {length}\r\n"));
    let one = format!("{form}{body}\r\n{}", stage.get());
    for cut in [1 << 20, 100, 3] {
        let mut raw = stage.raw();
        for piece in one.repeat(3).as_bytes().chunks(cut) {
            assert!(raw.send(piece));
        }
        for _ in 0..6 {
            let answer = raw.read_answer().expect("a whole answer");
            assert_eq!(status(&answer), 200, "{}", text(&answer));
        }
    }
    // chunks end the connection
    let head = stage.head(SEARCH, &format!("{FORM}Transfer-Encoding: chunked\r\n"));
    let mut raw = stage.raw();
    raw.send(format!("{head}6\r\nname=a\r\n0\r\n\r\n{}", stage.get()).as_bytes());
    let (answer, end) = raw.read_all(Duration::from_secs(5));
    let answer = text(&answer);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"));
    assert_ne!(end, End::Silent);
}
