//! A small FHIR server in memory, and a gateway in front of it: what a caller gets for a request,
//! and what the server was asked for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chartward_rules::decide::{Facts, Outbound, Turn, UpstreamHead, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::pack::Program;
use chartward_rules::proof::Raw;
use chartward_rules::record::{Call, Time};
use chartward_rules::refusal::{AnswerHead, No, Refusal};
use chartward_rules::subject::Subject;
use serde_json::{Value, json};

use super::{call, mint, service};

/// Rows by type and id, each with all its versions; `None`: deleted.
#[derive(Debug, Clone, Default)]
pub struct Store {
    pub rows: BTreeMap<(String, String), Vec<Option<Value>>>,
    /// What it was asked.
    pub trace: Vec<String>,
    made: usize,
    /// Answers with this instead.
    pub instead: Option<(u16, Value)>,
    /// Knows no compartment of a patient that isn't there.
    pub strict_compartments: bool,
    /// What was recorded of the requests that were permitted.
    pub records: Vec<Value>,
}

/// What the caller got.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The reason of a refusal and what it names.
    pub fn reason(&self) -> String {
        let details = &self.json()["issue"][0]["details"];
        let code = details["coding"][0]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        let named = details["text"].as_str().and_then(|text| {
            let (_, name) = text.split_once(": `")?;
            Some(format!("{code} {}", name.trim_end_matches('`')))
        });
        named.unwrap_or(code)
    }
}

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Asks<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub body: Option<Value>,
    pub if_match: Option<&'a str>,
    pub if_none_exist: Option<&'a str>,
}

impl<'a> Asks<'a> {
    pub fn new(method: &'a str, target: &'a str) -> Self {
        Self {
            method,
            target,
            ..Self::default()
        }
    }

    pub fn with(method: &'a str, target: &'a str, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::new(method, target)
        }
    }
}

impl Store {
    pub fn of(rows: &[Value]) -> Self {
        let mut store = Self::default();
        for row in rows {
            store.put(row.clone());
        }
        store
    }

    /// The current version of a row.
    pub fn now(&self, place: &str) -> Option<&Value> {
        let (resource, id) = place.split_once('/')?;
        let versions = self.rows.get(&(resource.into(), id.into()))?;
        versions.last()?.as_ref()
    }

    fn note(&mut self, json: &[u8]) {
        let record = serde_json::from_slice(json).expect("records are JSON");
        self.records.push(record);
    }

    fn put(&mut self, mut row: Value) -> (bool, Value) {
        let key = (text(&row["resourceType"]), text(&row["id"]));
        let versions = self.rows.entry(key).or_default();
        let fresh = versions.last().is_none_or(Option::is_none);
        // as a server does: its own words last
        if row.get("meta").is_none() {
            row["meta"] = json!({});
        }
        row["meta"]["versionId"] = json!((versions.len() + 1).to_string());
        versions.push(Some(row.clone()));
        (fresh, row)
    }

    fn found(&self, resource: &str, query: &str) -> Vec<Value> {
        let wanted = |name: &str| -> Option<Vec<String>> {
            let value = query.split('&').find_map(|p| p.strip_prefix(name))?;
            Some(value.split("%2C").map(str::to_owned).collect())
        };
        let (ids, identifier) = (wanted("_id="), wanted("identifier="));
        let rows = self.rows.iter().filter(|((t, _), _)| t == resource);
        let rows = rows.filter_map(|(_, versions)| versions.last()?.clone());
        rows.filter(|row| {
            let has = |ids: &Vec<String>| ids.contains(&text(&row["id"]));
            let named =
                |values: &Vec<String>| values.contains(&text(&row["identifier"][0]["value"]));
            ids.as_ref().is_none_or(has) && identifier.as_ref().is_none_or(named)
        })
        .collect()
    }

    /// What the server answers: status, body, `Location`.
    pub fn answer(&mut self, asked: &Upstream<'_>) -> (u16, Option<Value>, Option<String>) {
        self.trace.push(asked.to_string());
        if let Some((status, body)) = &self.instead
            && !asked.question
        {
            return (*status, Some(body.clone()), None);
        }
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        match (asked.method, segments.as_slice()) {
            ("GET", []) => {
                let types = query.split('&').find_map(|p| p.strip_prefix("_type="));
                let types: Vec<String> = match types {
                    Some(types) => types.split("%2C").map(str::to_owned).collect(),
                    None => self.rows.keys().map(|(t, _)| t.clone()).collect(),
                };
                let mut rows: Vec<Value> = Vec::new();
                for name in types {
                    rows.extend(self.found(&name, query));
                }
                (200, Some(set("searchset", rows)), None)
            }
            ("GET", ["_history"]) => (200, Some(self.history(|_| true)), None),
            ("GET", [resource, "_history"]) => {
                let resource = (*resource).to_owned();
                (200, Some(self.history(|(t, _)| *t == resource)), None)
            }
            ("GET", [resource]) => (
                200,
                Some(set("searchset", self.found(resource, query))),
                None,
            ),
            ("GET", [outer, id, resource])
                if *resource != "_history"
                    && self.strict_compartments
                    && self.now(&format!("{outer}/{id}")).is_none() =>
            {
                (404, Some(outcome()), None)
            }
            ("GET", [_, id, resource]) if *resource != "_history" => {
                let mut rows = self.found(resource, query);
                rows.retain(|row| row.to_string().contains(&format!("/{id}\"")));
                (200, Some(set("searchset", rows)), None)
            }
            ("GET", [resource, id]) => match self.now(&format!("{resource}/{id}")) {
                Some(row) => (200, Some(row.clone()), None),
                None => (404, Some(outcome()), None),
            },
            ("GET", [resource, id, "_history"]) => {
                let key = ((*resource).to_owned(), (*id).to_owned());
                if !self.rows.contains_key(&key) {
                    return (404, Some(outcome()), None);
                }
                (200, Some(self.history(|k| *k == key)), None)
            }
            ("GET", [resource, id, "_history", version]) => {
                let versions = self.rows.get(&((*resource).to_owned(), (*id).to_owned()));
                let at = version.parse::<usize>().unwrap_or(0).wrapping_sub(1);
                match versions.and_then(|v| v.get(at)) {
                    Some(Some(row)) => (200, Some(row.clone()), None),
                    Some(None) => (410, None, None),
                    None => (404, Some(outcome()), None),
                }
            }
            ("POST", []) => self.bundle(asked),
            ("POST", [resource]) => {
                if let Some(condition) = asked.if_none_exist {
                    match self.found(resource, condition).as_slice() {
                        [] => {}
                        [one] => return (200, Some(one.clone()), None),
                        _ => return (412, Some(outcome()), None),
                    }
                }
                self.made += 1;
                let mut row = asked.json();
                row["id"] = json!(format!("new-{}", self.made));
                let (_, row) = self.put(row);
                let location = located(&row);
                (201, Some(row), Some(location))
            }
            ("PUT", [resource, id]) => {
                let there = self.now(&format!("{resource}/{id}"));
                if self.conflicts(asked, there) {
                    return (412, Some(outcome()), None);
                }
                let row = asked.json();
                assert_eq!(text(&row["id"]), **id, "a server wants the id in the body");
                let (fresh, row) = self.put(row);
                let location = located(&row);
                (if fresh { 201 } else { 200 }, Some(row), Some(location))
            }
            ("DELETE", [resource, id]) => {
                let there = self.now(&format!("{resource}/{id}"));
                if there.is_none() {
                    return (404, Some(outcome()), None);
                }
                if self.conflicts(asked, there) {
                    return (412, Some(outcome()), None);
                }
                let key = ((*resource).to_owned(), (*id).to_owned());
                self.rows.entry(key).or_default().push(None);
                (204, None, None)
            }
            other => panic!("the server doesn't know {other:?}"),
        }
    }

    fn conflicts(&self, asked: &Upstream<'_>, there: Option<&Value>) -> bool {
        let version = there.map(|row| format!("W/\"{}\"", text(&row["meta"]["versionId"])));
        asked
            .if_match
            .is_some_and(|wanted| Some(wanted) != version.as_deref())
            || asked.if_none_match && there.is_some()
    }

    fn history(&self, of: impl Fn(&(String, String)) -> bool) -> Value {
        let mut entries = Vec::new();
        for ((resource, id), versions) in self.rows.iter().filter(|(key, _)| of(key)) {
            for (at, version) in versions.iter().enumerate().rev() {
                let (method, status) = match (version, at) {
                    (None, _) => ("DELETE", "204"),
                    (Some(_), 0) => ("POST", "201"),
                    (Some(_), _) => ("PUT", "200"),
                };
                let mut entry = json!({
                    "fullUrl": format!("http://up/fhir/{resource}/{id}"),
                    "request": {"method": method, "url": format!("{resource}/{id}")},
                    "response": {"status": status, "lastModified": "2026-01-01T00:00:00Z"},
                });
                if let Some(row) = version {
                    entry["resource"] = row.clone();
                }
                entries.push(entry);
            }
        }
        json!({"resourceType": "Bundle", "type": "history", "total": entries.len(), "entry": entries})
    }

    /// Entry by entry; that is all that these tests need of a transaction.
    fn bundle(&mut self, asked: &Upstream<'_>) -> (u16, Option<Value>, Option<String>) {
        let sent = asked.json();
        let trace = self.trace.len();
        let mut answers = Vec::new();
        for entry in sent["entry"].as_array().cloned().unwrap_or_default() {
            let request = &entry["request"];
            let of = |key: &str| request[key].as_str();
            let target = format!("/{}", of("url").unwrap_or(""));
            let body = entry.get("resource").map(Value::to_string);
            let (status, body, location) = self.answer(&Upstream {
                method: of("method").unwrap_or(""),
                target: &target,
                body: body.as_deref().unwrap_or("").as_bytes(),
                if_match: of("ifMatch"),
                if_none_exist: of("ifNoneExist"),
                if_none_match: of("ifNoneMatch").is_some(),
                question: true,
            });
            let mut response = json!({"status": format!("{status} Whatever"), "etag": "W/\"x\""});
            if let Some(location) = location {
                response["location"] = json!(location);
            }
            let mut answer = json!({"response": response});
            match body {
                Some(body) if status < 400 => answer["resource"] = body,
                Some(body) => answer["response"]["outcome"] = body,
                None => {}
            }
            answers.push(answer);
        }
        self.trace.truncate(trace);
        let kind = format!("{}-response", text(&sent["type"]));
        let body = json!({"resourceType": "Bundle", "type": kind, "entry": answers});
        (200, Some(body), None)
    }
}

/// A request as the server sees it.
#[derive(Debug)]
pub struct Upstream<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub body: &'a [u8],
    pub if_match: Option<&'a str>,
    pub if_none_exist: Option<&'a str>,
    pub if_none_match: bool,
    /// Not what the caller asked.
    pub question: bool,
}

impl<'a> Upstream<'a> {
    pub fn of(outbound: &'a Outbound) -> Self {
        Self {
            method: outbound.method(),
            target: outbound.target(),
            body: outbound.body(),
            if_match: outbound.if_match(),
            if_none_exist: outbound.if_none_exist(),
            if_none_match: outbound.if_none_match(),
            question: false,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body).expect("JSON was sent")
    }
}

impl std::fmt::Display for Upstream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.question { "? " } else { "" };
        write!(f, "{mark}{} {}", self.method, self.target)?;
        for (name, value) in [
            ("If-Match", self.if_match),
            ("If-None-Exist", self.if_none_exist),
        ] {
            if let Some(value) = value {
                write!(f, " {name}: {value}")?;
            }
        }
        if self.if_none_match {
            f.write_str(" If-None-Match: *")?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn located(row: &Value) -> String {
    let (t, id, v) = (&row["resourceType"], &row["id"], &row["meta"]["versionId"]);
    format!(
        "http://up/fhir/{}/{}/_history/{}",
        text(t),
        text(id),
        text(v)
    )
}

fn set(kind: &str, rows: Vec<Value>) -> Value {
    let total = rows.len();
    let entries: Vec<Value> = rows
        .into_iter()
        .map(|row| json!({"resource": row, "search": {"mode": "match"}}))
        .collect();
    json!({"resourceType": "Bundle", "type": kind, "total": total, "entry": entries})
}

fn outcome() -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "the server's own words"}]})
}

/// What the caller gets, as the gateway's pipeline does it.
pub fn request(
    program: &Arc<Program>,
    subject: &Subject,
    store: &mut Store,
    asks: &Asks<'_>,
) -> Reply {
    let (path, query) = asks.target.split_once('?').unwrap_or((asks.target, ""));
    let body = asks.body.as_ref().map(|body| Bytes::from(body.to_string()));
    let is_patch = asks.method == "PATCH";
    let media = if is_patch {
        "application/json-patch+json"
    } else {
        "application/fhir+json"
    };
    let understood = understand(Request {
        body: body.as_ref(),
        content_type: body.as_ref().map(|_| media),
        if_match: asks.if_match,
        if_none_exist: asks.if_none_exist,
        ..Request::new(asks.method, path, query)
    });
    let interaction = match understood {
        Ok(interaction) => interaction,
        Err(no) => return refused(no, call(subject.clone())),
    };
    decided(program, subject, store, &interaction)
}

/// The same, once understood.
pub fn decided(
    program: &Arc<Program>,
    subject: &Subject,
    store: &mut Store,
    interaction: &Interaction,
) -> Reply {
    let service = service();
    let seal = |_: &Call, _: &Interaction| -> chartward_rules::decide::Sealer {
        Arc::new(|position: &str| format!("[{position}]"))
    };
    let mut facts = Facts::none();
    for _ in 0..4 {
        let call = Box::new(call(subject.clone()));
        match decide(program, &service, interaction, call, None, &facts, seal) {
            Verdict::Refuse(no, call) => return refused(no, *call),
            Verdict::Answer(answer) => {
                let (json, claim) = answer.entry(Time(1)).split();
                store.note(&json);
                let (head, body) = answer.answer(mint().receipt(claim)).expect("its receipt");
                return reply(head, &body.into_bytes());
            }
            Verdict::Ask(asked) => {
                let (json, _) = asked.opening(Time(1)).split();
                serde_json::from_slice::<Value>(&json).expect("records are JSON");
                assert!(!asked.questions().is_empty(), "nothing is asked");
                for question in asked.questions() {
                    let inquiry = question.inquiry();
                    let (status, body, _) = store.answer(&Upstream {
                        method: "GET",
                        target: inquiry.target(),
                        body: b"",
                        if_match: None,
                        if_none_exist: None,
                        if_none_match: false,
                        question: true,
                    });
                    match status {
                        200 => {
                            let body = body.expect("a body").to_string();
                            facts.learn(question.clone(), Raw::new(body.into()));
                        }
                        _ => facts.learn_missing(question.clone()),
                    }
                }
            }
            Verdict::Permit(permit) => {
                let call = (**permit.call()).clone();
                let (json, claim) = permit.attempt(Time(1)).split();
                store.note(&json);
                assert_eq!(permit.waits(), interaction.is_unsafe());
                let receipt = permit.waits().then(|| mint().receipt(claim));
                let (outbound, mut judge) = permit.open(receipt).expect("its receipt");
                let (status, body, location) = store.answer(&Upstream::of(&outbound));
                let head = UpstreamHead {
                    status,
                    json: body.is_some(),
                    location: location.as_deref(),
                    etag: None,
                    last_modified: None,
                };
                if let Err(no) = judge.head(head) {
                    return refused(no, call);
                }
                let body = body.map(|body| body.to_string()).unwrap_or_default();
                return judged(store, &mut judge, &body, call);
            }
        }
    }
    panic!("more than three rounds of questions")
}

fn judged(
    store: &mut Store,
    judge: &mut chartward_rules::decide::Judge,
    body: &str,
    call: Call,
) -> Reply {
    let fault = |call| {
        refused(
            No::new(chartward_rules::refusal::Reason::UpstreamInvalid),
            call,
        )
    };
    for piece in body.as_bytes().chunks(97) {
        if judge.push(Raw::new(Bytes::copy_from_slice(piece))).is_err() {
            return fault(call);
        }
    }
    if judge.end().is_err() {
        return fault(call);
    }
    let mut head = None;
    let mut out = Vec::new();
    loop {
        match judge.turn(Time(1)) {
            Turn::Held(mut held) => {
                let (json, claim) = held.entry().split();
                store.note(&json);
                let (first, released) = held.release(mint().receipt(claim)).expect("its receipt");
                head = head.or(first);
                out.extend_from_slice(&released.into_bytes());
            }
            Turn::Missing => {
                let no = No::new(chartward_rules::refusal::Reason::NotFound);
                return refused(no, call);
            }
            Turn::Done(_) => return reply(head.expect("a head"), &out),
            Turn::Feed => panic!("ended, yet wants more"),
        }
    }
}

fn refused(no: No, call: Call) -> Reply {
    let refusal = Refusal::new(no, Arc::new(call));
    let (_, claim) = refusal.entry().split();
    let (head, body) = refusal.answer(mint().receipt(claim)).expect("its receipt");
    reply(head, &body.into_bytes())
}

fn reply(head: AnswerHead, body: &[u8]) -> Reply {
    Reply {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("utf-8"),
    }
}
