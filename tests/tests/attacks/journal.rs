//! Nothing leaves without its record, and a record holds no credential.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chartward_tests::{Request, Response, Script, need, plain, skip};
use serde_json::Value;

use super::stage::{Stage, bundle, labelled, observation};

const MARK: &[u8] = b"Shown-4711";

fn stage() -> Stage {
    Stage::open(|seen| {
        let path = seen.target.split('?').next().unwrap_or_default();
        match path {
            "/fhir/Observation" => Script::json(
                200,
                &bundle(
                    &[&observation(
                        "o1",
                        "p1",
                        r#","note":[{"text":"Shown-4711"}]"#,
                    )],
                    None,
                ),
            ),
            "/fhir/Observation/hidden" => Script::json(200, &labelled("hidden", "PSY")),
            _ => Script::json(
                200,
                &observation("o1", "p1", r#","note":[{"text":"Shown-4711"}]"#),
            ),
        }
    })
}

/// A file system of its own of this size over the gateway's journal, gone with the value.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn over(path: &'a Path, size: &str) -> Option<Self> {
        mount(
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            path,
        )
        .then_some(Self(path))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    Command::new("mount")
        .args(arguments)
        .arg(path)
        .output()
        .is_ok_and(|out| out.status.success())
}

fn ready(stage: &Stage) -> u16 {
    plain::get(stage.gateway.metrics(), "/readyz").status
}

/// Waits until `/readyz` says so; how long it took.
fn becomes(stage: &Stage, status: u16, within: Duration) -> Duration {
    let began = Instant::now();
    while ready(stage) != status {
        assert!(
            began.elapsed() < within,
            "`/readyz` isn't {status} within {within:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

fn is_unrecorded(answer: &Response, what: &str) {
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (503, "journal-unavailable"),
        "{what}: {}",
        answer.text()
    );
    assert!(!answer.holds(MARK), "{what}: a row left without its record");
}

#[test]
fn a_full_journal_lets_nothing_leave_until_there_is_room() {
    if !need("binary") {
        return;
    }
    let mut stage = stage();
    let journal = stage.gateway.folder().join("journal");
    stage.gateway.kill();
    fs::remove_dir_all(&journal).expect("the journal's folder");
    fs::create_dir(&journal).expect("a folder");
    let path = journal.clone();
    let Some(_mount) = Mount::over(&path, "1m") else {
        skip::skip("the right to mount a file system");
        return;
    };
    stage.gateway.again();
    let client = stage.gateway.client();
    let nurse = stage.token("nurse");
    let read = Request::get("/fhir/Observation/o1").bearer(&nurse);
    assert_eq!(client.send(read.clone()).status, 200);

    let filler = journal.join("filler");
    let _ = fs::write(&filler, vec![0; 4 << 20]);
    // what was left of the last page is used up by records
    let began = Instant::now();
    let mut whole = 0;
    loop {
        let answer = client.send(read.clone());
        if answer.status == 503 {
            is_unrecorded(&answer, "the first without room");
            break;
        }
        whole += 1;
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{whole} answers left a full journal"
        );
    }
    becomes(&stage, 503, Duration::from_secs(1));
    for (what, request) in [
        ("a read", read.clone()),
        ("a search", Request::get("/fhir/Observation").bearer(&nurse)),
        (
            "a hidden row",
            Request::get("/fhir/Observation/hidden").bearer(&nurse),
        ),
        ("a refusal", Request::get("/fhir/Coverage/x").bearer(&nurse)),
        (
            "a bad token",
            Request::get("/fhir/Observation/o1").bearer("x.y.z"),
        ),
        ("metadata", Request::get("/fhir/metadata").bearer(&nurse)),
    ] {
        let began = Instant::now();
        let answer = client.send(request);
        is_unrecorded(&answer, what);
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{what}: {:?}",
            began.elapsed()
        );
    }
    fs::remove_file(&filler).expect("the filler");
    becomes(&stage, 200, Duration::from_secs(5));
    assert_eq!(client.send(read).status, 200);
    let (holds, said) = stage.gateway.verify();
    assert!(holds, "{said}");
    assert_eq!(
        disclosed(&stage),
        whole + 2,
        "an answer without its record, or a record too many"
    );
}

/// How many disclosures of rows the journal has.
fn disclosed(stage: &Stage) -> usize {
    stage
        .gateway
        .records()
        .iter()
        .filter(|record| {
            record["disclosed"]["resources"]
                .as_array()
                .is_some_and(|rows| !rows.is_empty())
        })
        .count()
}

/// A stream whose record can't be made breaks; what had left before has its record.
#[test]
fn a_stream_breaks_where_its_next_record_can_not_be_made() {
    if !need("binary") {
        return;
    }
    const ROWS: usize = 3_000;
    let mut stage = Stage::open(|seen| {
        if !seen.target.starts_with("/fhir/Observation?") {
            return Script::json(200, &observation("o1", "p1", ""));
        }
        let more = format!(r#","note":[{{"text":"{}"}}]"#, "x".repeat(400));
        let rows: Vec<String> = (0..ROWS)
            .map(|n| observation(&format!("row-{n}"), "p1", &more))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let page = bundle(&rows, None);
        let (first, second) = page.as_bytes().split_at(page.len() / 2);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n",
            page.len()
        );
        Script::new()
            .send(head.as_bytes())
            .send(first)
            .wait(Duration::from_secs(3))
            .send(second)
    });
    let journal = stage.gateway.folder().join("journal");
    stage.gateway.kill();
    fs::remove_dir_all(&journal).expect("the journal's folder");
    fs::create_dir(&journal).expect("a folder");
    let path = journal.clone();
    let Some(_mount) = Mount::over(&path, "8m") else {
        skip::skip("the right to mount a file system");
        return;
    };
    stage.gateway.again();
    let nurse = stage.token("nurse");
    let mut raw = stage.gateway.raw();
    let host = stage.gateway.address();
    raw.send(format!("GET /fhir/Observation?_count=500 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {nurse}\r\n\r\n").as_bytes());
    let (mut received, _) = raw.read_all(Duration::from_secs(1));
    assert!(
        received.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&received)
    );
    let filler = journal.join("filler");
    let _ = fs::write(&filler, vec![0; 16 << 20]);
    let client = stage.gateway.client();
    let read = Request::get("/fhir/Observation/o1").bearer(&nurse);
    let began = Instant::now();
    while client.send(read.clone()).status == 200 {
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "the journal is never full"
        );
    }
    let rest = raw.read_all(Duration::from_secs(5)).0;
    received.extend(rest);
    assert!(!received.ends_with(b"0\r\n\r\n"), "the stream looks whole");
    let text = String::from_utf8_lossy(&received);
    let left = (0..ROWS)
        .filter(|n| text.contains(&format!("\"id\":\"row-{n}\"")))
        .count();
    assert!(left > 0 && left < ROWS, "{left}");
    fs::remove_file(&filler).expect("the filler");
    becomes(&stage, 200, Duration::from_secs(5));
    let recorded: Vec<String> = stage
        .gateway
        .records()
        .iter()
        .flat_map(|record| {
            record["disclosed"]["resources"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect();
    for n in 0..ROWS {
        let id = format!("row-{n}");
        assert!(
            !text.contains(&format!("\"id\":\"{id}\"")) || recorded.contains(&id),
            "{id} left without its record"
        );
    }
}

/// Either the journal is still there for `audit show`, or nothing leaves.
#[test]
fn a_journal_that_is_taken_away_loses_no_record_of_what_left() {
    if !need("binary") {
        return;
    }
    for rename in [false, true] {
        let stage = stage();
        let journal = stage.gateway.folder().join("journal");
        let nurse = stage.token("nurse");
        let read = Request::get("/fhir/Observation/o1").bearer(&nurse);
        assert_eq!(stage.client.send(read.clone()).status, 200);
        if rename {
            fs::rename(&journal, stage.gateway.folder().join("elsewhere")).expect("a rename");
        } else {
            fs::remove_dir_all(&journal).expect("the journal's folder");
        }
        // noticed within a second, whatever a request does meanwhile
        let began = Instant::now();
        let mut last = stage.client.send(read.clone());
        while last.status == 200 && began.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
            last = stage.client.send(read.clone());
        }
        is_unrecorded(&last, if rename { "renamed" } else { "removed" });
        becomes(&stage, 503, Duration::from_secs(1));
    }
}

#[test]
fn each_refusal_has_its_record_and_no_record_or_log_holds_a_credential() {
    if !need("binary") {
        return;
    }
    let mut stage = stage();
    let nurse = stage.token("nurse");
    let bad = format!("{nurse}x");
    let asked = [
        (
            "r-401",
            Request::get("/fhir/Observation/o1"),
            401,
            "unauthenticated",
        ),
        (
            "r-bad",
            Request::get("/fhir/Observation/o1").bearer(&bad),
            401,
            "invalid-token",
        ),
        (
            "r-basic",
            Request::get("/fhir/Observation/o1")
                .header("authorization", "Basic c2VjcmV0LTQ3MTE6c2VjcmV0"),
            401,
            "unauthenticated",
        ),
        (
            "r-type",
            Request::get("/fhir/Coverage/x").bearer(&nurse),
            403,
            "not-granted",
        ),
        (
            "r-param",
            Request::get("/fhir/Patient?identifier=4711").bearer(&nurse),
            403,
            "search-reads-hidden",
        ),
        (
            "r-odd",
            Request::get("/fhir/Observation?_include=*").bearer(&nurse),
            400,
            "not-supported",
        ),
        (
            "r-query",
            Request::get(&format!("/fhir/Observation?access_token={nurse}")).bearer(&nurse),
            400,
            "not-understood",
        ),
        (
            "r-name",
            Request::get(&format!("/fhir/Observation?{nurse}=x")).bearer(&nurse),
            400,
            "not-supported",
        ),
        (
            "r-path",
            Request::get(&format!("/fhir/{nurse}")).bearer(&nurse),
            400,
            "not-understood",
        ),
        (
            "r-hidden",
            Request::get("/fhir/Observation/hidden").bearer(&nurse),
            404,
            "not-found",
        ),
        (
            "r-format",
            Request::get("/fhir/Observation?_format=xml").bearer(&nurse),
            406,
            "not-acceptable",
        ),
        (
            "r-form",
            Request::new("POST", "/fhir/Observation/_search")
                .bearer(&nurse)
                .body("text/plain", b"code=x"),
            415,
            "unsupported-media-type",
        ),
        (
            "r-place",
            Request::get("/elsewhere").bearer(&nurse),
            400,
            "not-understood",
        ),
        (
            "r-purpose",
            Request::get("/fhir/Observation")
                .bearer(&nurse)
                .header("x-purpose-of-use", "nonsense"),
            400,
            "not-understood",
        ),
    ];
    for (id, request, status, reason) in asked.clone() {
        let answer = stage.client.send(request.header("x-request-id", id));
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (status, reason),
            "{id}: {}",
            answer.text()
        );
        assert!(
            !answer.holds(nurse.as_bytes()),
            "{id}: the token comes back"
        );
    }
    let answer = stage.client.send(
        Request::get("/fhir/Observation")
            .bearer(&nurse)
            .header("x-request-id", "r-ok"),
    );
    assert_eq!(answer.status, 200);
    let records = stage.gateway.records();
    for (id, _, status, reason) in asked {
        let found: Vec<&Value> = records
            .iter()
            .filter(|record| record["request_id"] == id && record["decision"]["reason"] == reason)
            .collect();
        assert_eq!(found.len(), 1, "{id}: {records:#?}");
        assert_eq!(found[0]["status"], status, "{id}");
    }
    let all: String = records.iter().map(ToString::to_string).collect();
    let parts: Vec<&str> = nurse.split('.').collect();
    let log = stage.gateway.process().stderr();
    for secret in [
        parts[1],
        parts[2],
        "c2VjcmV0LTQ3MTE6c2VjcmV0",
        "Shown-4711",
        "Hidden-4711",
    ] {
        assert!(!all.contains(secret), "`{secret}` is in a record");
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
    for patient in ["Patient/p1", "Observation/o1", "someone", "identifier=4711"] {
        assert!(!log.contains(patient), "`{patient}` is in the log: {log}");
    }
    let metrics = plain::get(stage.gateway.metrics(), "/metrics").text();
    for word in ["someone", "o1", "p1\"", "r-ok", parts[2]] {
        assert!(!metrics.contains(word), "`{word}` is in the metrics");
    }
    for file in fs::read_dir(stage.gateway.folder().join("journal"))
        .expect("the journal")
        .flatten()
    {
        let bytes = fs::read(file.path()).unwrap_or_default();
        assert!(
            !chartward_tests::client::holds(&bytes, parts[2].as_bytes()),
            "{:?}",
            file.path()
        );
    }
}
