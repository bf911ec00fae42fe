//! 10,000 odd targets and 2,000 odd forms: what the journal says was decided is what the upstream
//! received, and both are what a plain reading of the request says. Whatever else was asked is
//! refused, and nothing of it is forwarded.

mod generate;
mod reading;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use chartward_tests::{Gateway, Raw, Script, Seen, Setup, Tokens, Upstream, need};
use serde_json::Value;

use generate::Generate;
use reading::{Asked, form, names_format, strict, target};

const SEED: u64 = 0x0dd_7a26e75;
const TARGETS: usize = 10_000;
const FORMS: usize = 2000;
const LANES: usize = 8;

const PACK: &str = r#"
pack = "open"
fhir = "R4"

[[role]]
name     = "physician"
purposes = ["TREAT"]
  [[role.grant]]
  on  = ["Patient", "Observation"]
  can = ["read", "search"]
"#;

/// One odd request: its target's bytes, or its form's.
struct Odd {
    id: String,
    bytes: Vec<u8>,
    is_form: bool,
}

/// An answer's status; 0 where the connection closed without one.
type Answers = BTreeMap<String, u16>;

fn echo(seen: &Seen) -> Script {
    let path = seen.target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", "fhir", kind, id] if *id != "_search" => {
            let more = r#""status":"final","code":{"text":"x"}"#;
            let row = format!(r#"{{"resourceType":"{kind}","id":"{id}",{more}}}"#);
            Script::json(200, &row)
        }
        _ => Script::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#),
    }
}

/// Sends each on a connection that is kept for as long as it lasts.
fn send(gateway: &Gateway, token: &str, odd: &[Odd]) -> Answers {
    let mut answers = Answers::new();
    let mut raw: Option<Raw> = None;
    for one in odd {
        let id = &one.id;
        let (line, more, body): (Vec<u8>, String, &[u8]) = if one.is_form {
            let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
            let length = format!("{kind}Content-Length: {}\r\n", one.bytes.len());
            let line = b"POST /fhir/Patient/_search HTTP/1.1".to_vec();
            (line, length, &one.bytes)
        } else {
            let line = [b"GET ", one.bytes.as_slice(), b" HTTP/1.1"].concat();
            (line, String::new(), b"")
        };
        let host = gateway.address();
        let head = format!(
            "\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nX-Request-Id: {id}\r\n{more}\r\n"
        );
        let whole = [line.as_slice(), head.as_bytes(), body].concat();
        let mut connection = raw.take().unwrap_or_else(|| gateway.raw());
        connection.send(&whole);
        let (answer, lives) = match connection.read_answer() {
            Ok(answer) => (answer, true),
            Err((answer, _)) => (answer, false),
        };
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|code| code.parse().ok());
        answers.insert(id.clone(), status.unwrap_or(0));
        // one that was never a request has no id in its answer, and ends the connection
        let its_own = text.contains(&format!("\r\nx-request-id: {id}\r\n"));
        raw = Some(connection).filter(|_| lives && its_own && !text.contains("connection: close"));
    }
    answers
}

/// What the journal says was permitted, by request id.
fn decided(gateway: &Gateway) -> BTreeMap<String, Vec<Asked>> {
    let mut out: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for record in gateway.records() {
        if record["phase"] != "attempt" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let action = &record["action"];
        let kind = text(&action["type"]);
        let path = match text(&action["interaction"]).as_str() {
            "read" => format!("{kind}/{}", text(&action["id"])),
            "search-type" => kind,
            "search-compartment" => format!("{}/{kind}", text(&action["within"])),
            "search-system" => String::new(),
            other => panic!("nothing asks for `{other}`"),
        };
        let pairs = strict(&text(&action["query"])).expect("a record's query is canonical");
        let asked = Asked { path, pairs };
        let request_id = text(&record["request_id"]);
        out.entry(request_id).or_default().push(asked);
    }
    out
}

/// What the upstream was asked for, in the one way in which the gateway may write it.
fn received(seen: &Seen) -> Option<Asked> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let below = path.strip_prefix("/fhir")?;
    let path = below.strip_prefix('/').unwrap_or(below);
    let path = match path.strip_suffix("/_search") {
        Some(path) if seen.method == "POST" => path,
        _ => path,
    };
    let plain = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !part.is_empty() && part.chars().all(fits)
    };
    if !(path.is_empty() || path.split('/').all(plain))
        || (seen.method == "POST") == seen.body.is_empty()
        || (seen.method == "POST" && !query.is_empty())
    {
        return None;
    }
    let written = if seen.method == "POST" {
        std::str::from_utf8(&seen.body).ok()?
    } else {
        query
    };
    Some(Asked {
        path: path.to_owned(),
        pairs: strict(written)?,
    })
}

#[test]
fn what_was_decided_on_is_what_is_sent_for_10_000_odd_targets() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(echo);
    let tokens = Tokens::start();
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let setup = Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&["physician"]));
    let gateway = Gateway::start(setup.workers(2));

    let mut generate = Generate::new(SEED);
    let odd: Vec<Odd> = (0..TARGETS + FORMS)
        .map(|n| Odd {
            id: format!("odd-{n}"),
            is_form: n >= TARGETS,
            bytes: if n < TARGETS {
                generate.target()
            } else {
                generate.query()
            },
        })
        .collect();
    let answers = Mutex::new(Answers::new());
    thread::scope(|scope| {
        for lane in odd.chunks(odd.len().div_ceil(LANES)) {
            scope.spawn(|| {
                let some = send(&gateway, &token, lane);
                answers.lock().expect("no panic while held").extend(some);
            });
        }
    });
    let answers = answers.into_inner().expect("no panic while held");

    let mut sent: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for seen in upstream.seen() {
        let id = seen.header("x-request-id").unwrap_or_default().to_owned();
        sent.entry(id).or_default().push(seen);
    }
    let decided = decided(&gateway);
    let mut faults = Vec::new();
    let mut refused: BTreeMap<u16, usize> = BTreeMap::new();
    let (mut reads, mut searches, mut forms) = (0, 0, 0);
    for one in &odd {
        let what = one.bytes.escape_ascii().to_string();
        let what = &what[..what.len().min(300)];
        let status = answers[&one.id];
        let (sent, decided) = (sent.remove(&one.id), decided.get(&one.id));
        let (Some(sent), Some(decided)) = (&sent, decided) else {
            if sent.is_some() || decided.is_some() {
                faults.push(format!("{what}: decided {decided:?}, sent {sent:?}"));
            }
            let of_format = status == 406 && names_format(&one.bytes);
            let of_history = status == 403 && what.ends_with("/_history");
            if ![400, 404, 414].contains(&status) && !of_format && !of_history {
                faults.push(format!("{what}: refused with {status}"));
            }
            *refused.entry(status).or_default() += 1;
            continue;
        };
        if status != 200 || sent.len() != 1 || decided.len() != 1 {
            faults.push(format!("{what}: {status}, {} sent", sent.len()));
        }
        let asked = if one.is_form {
            form(&one.bytes)
        } else {
            target(&one.bytes)
        };
        let (Some(asked), Some(received)) = (asked, received(&sent[0])) else {
            faults.push(format!("{what}: forwarded as {}", sent[0].target));
            continue;
        };
        // the caller's own page size may be cut, and is added where it lacks
        let count = asked.count().map_or(50, |count| count.min(500));
        let mut with_count = asked.with_count(Some(count));
        // over everything is over what the caller may search
        if asked.path.is_empty() && asked.pairs.iter().all(|(name, _)| name != "_type") {
            let types = ("_type".to_owned(), "Observation,Patient".to_owned());
            with_count.pairs.insert(0, types);
        }
        let expected = if asked.is_search() {
            &with_count
        } else {
            &asked
        };
        if received != *expected {
            faults.push(format!("{what}: {received:?} is not what was asked"));
        }
        if decided[0] != asked {
            faults.push(format!("{what}: {:?} was decided on", decided[0]));
        }
        match (one.is_form, asked.is_search()) {
            (true, _) => forms += 1,
            (false, false) => reads += 1,
            (false, true) => searches += 1,
        }
    }
    println!(
        "{TARGETS} targets, {FORMS} forms: {reads} reads, {searches} searches and {forms} forms \
         forwarded; refused by status {refused:?}"
    );
    assert!(sent.is_empty(), "sent, and nobody asked: {sent:?}");
    let shown: Vec<&String> = faults.iter().take(20).collect();
    assert!(faults.is_empty(), "{} differ: {shown:#?}", faults.len());
    assert!(reads > 500 && searches > 1500 && forms > 200, "too few");
    assert!(refused.values().sum::<usize>() > 3000, "too few refusals");
}
