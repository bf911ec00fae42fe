//! Runs payloads side by side and adds up: what was sent, what reached the upstream, what the
//! journal says was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chartward_tests::{Gateway, Script, Seen, Upstream};
use serde_json::Value;

use super::payload::{Maker, Payload};
use super::talk::Outcome;

/// Connections at once.
const LANES: usize = 48;

/// Runs a payload under a number, and says what came of it.
pub type Way = fn(&Gateway, &Maker, &Payload, usize) -> Outcome;

/// An upstream that has every patient it is asked for.
pub fn echo(seen: &Seen) -> Script {
    let patient = |id: &str| format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
    match asked(seen) {
        Some((id, true)) => {
            let entry = format!(r#"{{"resource":{}}}"#, patient(&id));
            let bundle = r#"{"resourceType":"Bundle","type":"searchset","entry":["#;
            Script::json(200, &format!("{bundle}{entry}]}}"))
        }
        Some((id, false)) => Script::json(200, &patient(&id)),
        None => Script::json(404, "{}"),
    }
}

/// The row that a request at the upstream is for, and whether it is a search; `None` where it is
/// neither of the two requests that payloads are made of.
fn asked(seen: &Seen) -> Option<(String, bool)> {
    match seen.method.as_str() {
        "GET" if seen.body.is_empty() => {
            let id = seen.target.strip_prefix("/fhir/Patient/")?;
            plain(id).then(|| (id.to_owned(), false))
        }
        "POST" if seen.target == "/fhir/Patient/_search" => {
            let form = std::str::from_utf8(&seen.body).ok()?;
            let id = match form {
                // a body of nothing, told apart by its request id
                "_count=50" => seen.header("x-request-id")?,
                form => form.strip_prefix("_id=")?.strip_suffix("&_count=50")?,
            };
            plain(id).then(|| (id.to_owned(), true))
        }
        _ => None,
    }
}

fn plain(id: &str) -> bool {
    id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// What a head may hold upstream, by lines: canonical in every byte.
fn canonical(seen: &Seen) -> Result<(), String> {
    let head = std::str::from_utf8(&seen.head).map_err(|_| "not ASCII".to_owned())?;
    let lines: Vec<&str> = head
        .strip_suffix("\r\n\r\n")
        .ok_or("no end")?
        .split("\r\n")
        .collect();
    if head
        .bytes()
        .any(|b| !(b' '..=b'~').contains(&b) && b != b'\r' && b != b'\n')
        || lines
            .iter()
            .any(|line| line.contains(['\r', '\n']) || line.is_empty())
    {
        return Err("a control character or a bare line end".to_owned());
    }
    let first = format!("{} {} HTTP/1.1", seen.method, seen.target);
    if lines[0] != first {
        return Err(format!("the request line `{}`", lines[0]));
    }
    let mut names = BTreeSet::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(": ").ok_or("a line without a colon")?;
        let known = [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "prefer",
            "user-agent",
            "x-request-id",
        ];
        let name = name.to_ascii_lowercase();
        if !known.contains(&name.as_str()) || !names.insert(name.clone()) {
            return Err(format!("the header `{name}`, or twice"));
        }
        if name == "content-length" && value != seen.body.len().to_string() {
            return Err(format!("the length `{value}`"));
        }
    }
    if !names.contains("host") || names.contains("content-length") != (seen.method == "POST") {
        return Err("a header lacks, or one too many".to_owned());
    }
    Ok(())
}

/// What came of all payloads.
pub struct Ledger<'s> {
    gateway: &'s Gateway,
    upstream: &'s Upstream,
    payloads: &'s [Payload],
    outcomes: Vec<Outcome>,
}

impl<'s> Ledger<'s> {
    /// Runs each payload in each way; a run's number is its place among all of them.
    pub fn of(
        gateway: &'s Gateway,
        upstream: &'s Upstream,
        maker: &Maker,
        payloads: &'s [Payload],
        ways: &[Way],
    ) -> Self {
        let runs = payloads.len() * ways.len();
        assert!(runs < 10_000, "numbers have four digits");
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..LANES {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= runs {
                            return;
                        }
                        let (payload, way) = (number % payloads.len(), number / payloads.len());
                        let outcome = ways[way](gateway, maker, &payloads[payload], number);
                        let mut outcomes = outcomes.lock().expect("no panic while held");
                        outcomes.insert(number, outcome);
                    }
                });
            }
        });
        let outcomes = outcomes.into_inner().expect("no panic while held");
        assert_eq!(outcomes.len(), runs);
        Self {
            gateway,
            upstream,
            payloads,
            outcomes: outcomes.into_values().collect(),
        }
    }

    /// Fails where anything hidden arrived, anything undecided, anything twice, or an answer went
    /// astray; or where so little came through that nothing was shown.
    pub fn check(&self, at_least: usize) {
        let mut faults: Vec<String> = Vec::new();
        let name = |number: usize| self.payloads[number % self.payloads.len()].name.as_str();
        for (number, outcome) in self.outcomes.iter().enumerate() {
            for fault in &outcome.faults {
                faults.push(format!("{number} {}: {fault}", name(number)));
            }
        }
        let seen = self.upstream.seen();
        let decided = self.attempts();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for request in &seen {
            let what = String::from_utf8_lossy(&request.head).replace("\r\n", "⏎");
            let Some((id, is_search)) = asked(request) else {
                let id = request.header("x-request-id").unwrap_or_default();
                let number = id.rsplit('-').next().and_then(|n| n.parse().ok());
                let name = number.map_or("?", name);
                faults.push(format!("{name}: not what any payload asks for: {what}"));
                continue;
            };
            let number: usize = id
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            let fault = |fault: &str| format!("{number} {}: {fault}: {what}", name(number));
            if id.starts_with("hidden") {
                faults.push(fault("the hidden request arrived"));
            }
            if id.starts_with("outer") && self.payloads[number % self.payloads.len()].is_bad {
                faults.push(fault("a malformed request arrived"));
            }
            if let Err(odd) = canonical(request) {
                faults.push(fault(&odd));
            }
            let action = if is_search {
                match request.body.starts_with(b"_id=") {
                    true => format!("search-type Patient _id={id}"),
                    false => "search-type Patient ".to_owned(),
                }
            } else {
                format!("read Patient {id}")
            };
            let request_id = request.header("x-request-id").unwrap_or_default();
            if decided.get(request_id).map(Vec::as_slice) != Some(&[action]) {
                faults.push(fault("it was not decided"));
            }
            *counts.entry(id).or_default() += 1;
        }
        let twice = counts.iter().filter(|(_, count)| **count > 1);
        faults.extend(twice.map(|(id, count)| format!("`{id}` arrived {count} times")));
        for (connection, rest) in self.upstream.rests() {
            let rest = String::from_utf8_lossy(&rest).into_owned();
            faults.push(format!(
                "left over on upstream connection {connection}: {rest:?}"
            ));
        }
        let of = |kind: &str| counts.keys().filter(|id| id.starts_with(kind)).count();
        let status = |wanted: Option<u16>| {
            let has = |outcome: &&Outcome| outcome.status.map(|s| s / 100) == wanted;
            self.outcomes.iter().filter(has).count()
        };
        let followed = self.outcomes.iter().filter(|o| o.followed > 0).count();
        println!(
            "{} payloads in {} runs: {} answered 2xx, {} 4xx, {} not; {followed} connections went on; \
             upstream: {} outer, {} first, {} last, {} hidden; {} decided",
            self.payloads.len(),
            self.outcomes.len(),
            status(Some(2)),
            status(Some(4)),
            status(None),
            of("outer"),
            of("first"),
            of("last"),
            of("hidden"),
            decided.len(),
        );
        let shown: Vec<&String> = faults.iter().take(40).collect();
        assert!(faults.is_empty(), "{} faults: {shown:#?}", faults.len());
        assert!(self.payloads.len() >= at_least, "too few payloads");
        // a gateway that refuses all, or closes on all, shows nothing
        let few = "too few of the outer requests arrived, or connections went on";
        assert!(
            of("outer") >= 30 && followed * 10 >= self.outcomes.len(),
            "{few}"
        );
    }

    /// What the journal says was permitted, by request id.
    fn attempts(&self) -> BTreeMap<String, Vec<String>> {
        let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in self.gateway.records() {
            if record["phase"] != "attempt" {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let action = &record["action"];
            let last = match &action["id"] {
                Value::Null => text(&action["query"]),
                id => text(id),
            };
            let action = [text(&action["interaction"]), text(&action["type"]), last];
            out.entry(text(&record["request_id"]))
                .or_default()
                .push(action.join(" "));
        }
        out
    }
}
