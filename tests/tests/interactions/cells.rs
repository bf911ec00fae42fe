//! The table: what is asked, and what is due to each caller. Written from the rules, not from the
//! gateway's answers.

use chartward_rules::fhir::tables::r4;
use chartward_tests::{Request, Seen};

/// What is due to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// An answer with one of these statuses.
    Answer(&'static [u16]),
    /// A refusal with this status and reason.
    Refuse(u16, &'static str),
}
use Due::{Answer, Refuse};

/// Which right of a type a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// What a reader has.
    Read,
    /// What only those have who have all.
    More,
    /// A patient's compartment that the type is in, and what only those have who have all.
    Within,
    /// The right to some type's history as a whole: each caller sees those types alone.
    Some,
    /// Nothing but a credential: an answer of the gateway's own.
    Nothing,
    /// Not even that.
    Public,
    /// It is refused to everybody with a credential.
    Never(&'static str),
    /// Its body is refused, which is read only for those who have all.
    Fitting,
}

/// One interaction at one level.
pub struct Cell {
    pub name: &'static str,
    pub method: &'static str,
    target: &'static str,
    needs: Needs,
    answers: &'static [u16],
    body: Body,
    header: Option<(&'static str, &'static str)>,
    /// What may be sent upstream where it is permitted: method and path; the last of them must be.
    sent: &'static [&'static str],
    /// The journal's word for it.
    word: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Form,
    /// The type, without an id.
    New,
    /// The type with this id.
    Row(&'static str),
    Patch,
    Bundle(&'static str),
}

/// No token at all; a token without a scope.
const NOBODY: Due = Refuse(401, "unauthenticated");
const UNSCOPED: Due = Refuse(403, "insufficient-scope");
const STRANGER: Due = Refuse(403, "not-granted");
const OK: &[u16] = &[200];
const GONE: &[u16] = &[200, 204];
const MADE: &[u16] = &[201];

impl Cell {
    const fn new(
        name: &'static str,
        method: &'static str,
        target: &'static str,
        needs: Needs,
    ) -> Self {
        Self {
            name,
            method,
            target,
            needs,
            answers: OK,
            body: Body::None,
            header: None,
            sent: &[],
            word: "",
        }
    }

    const fn sends(mut self, word: &'static str, sent: &'static [&'static str]) -> Self {
        self.word = word;
        self.sent = sent;
        self
    }

    const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    const fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    const fn answers(mut self, answers: &'static [u16]) -> Self {
        self.answers = answers;
        self
    }

    /// What is due to each caller, in order.
    pub fn dues(&self, kind: &str) -> [Due; 5] {
        let answer = Answer(self.answers);
        let outside = r4()
            .resource(kind)
            .is_some_and(|kind| r4().compartment("Patient", kind).is_none());
        match self.needs {
            Needs::Read => [NOBODY, UNSCOPED, STRANGER, answer, answer],
            Needs::Within if outside => {
                let no = Refuse(400, "not-understood");
                [NOBODY, no, no, no, no]
            }
            Needs::More | Needs::Within => [NOBODY, UNSCOPED, STRANGER, STRANGER, answer],
            Needs::Fitting => {
                let no = Refuse(400, "not-understood");
                [NOBODY, UNSCOPED, STRANGER, STRANGER, no]
            }
            Needs::Some => [NOBODY, UNSCOPED, answer, STRANGER, answer],
            Needs::Public => [answer; 5],
            Needs::Nothing => [NOBODY, answer, answer, answer, answer],
            Needs::Never(reason) => {
                let no = Refuse(400, reason);
                [NOBODY, no, no, no, no]
            }
        }
    }

    pub fn request(&self, kind: &str) -> Request {
        let target = format!("/fhir{}", self.target.replace("{T}", kind));
        let mut request = Request::new(self.method, &target);
        if let Some((name, value)) = self.header {
            request = request.header(name, value);
        }
        let json = "application/fhir+json";
        let row = |id: &str| format!(r#"{{"resourceType":"{kind}"{id}}}"#);
        match self.body {
            Body::None => request,
            Body::Form => request.body("application/x-www-form-urlencoded", b"_id=x"),
            Body::New => request.body(json, row("").as_bytes()),
            Body::Row(id) => request.body(json, row(&format!(r#","id":"{id}""#)).as_bytes()),
            Body::Patch => {
                let patch = br#"[{"op":"add","path":"/language","value":"en"}]"#;
                request.body("application/json-patch+json", patch)
            }
            Body::Bundle(text) => request.body(json, text.as_bytes()),
        }
    }

    /// What is wrong with what reached the upstream for one request.
    pub fn undecided(
        &self,
        kind: &str,
        due: Due,
        came: &[Seen],
        decided: Option<&(String, String)>,
        id: &str,
    ) -> Vec<String> {
        let lines: Vec<String> = came
            .iter()
            .map(|seen| {
                let path = seen.target.split('?').next().unwrap_or_default();
                format!("{} {path}", seen.method)
            })
            .collect();
        let wrong = |why: &str| vec![format!("{id}: {why}: {lines:?}, decided {decided:?}")];
        if matches!(due, Refuse(..)) || self.sent.is_empty() {
            return match (lines.is_empty(), decided.is_none()) {
                (true, true) => Vec::new(),
                _ => wrong("nothing was due upstream"),
            };
        }
        let due: Vec<String> = self
            .sent
            .iter()
            .map(|sent| sent.replace("{T}", kind))
            .collect();
        if decided.is_none_or(|(word, of)| word != self.word || of != kind) {
            return wrong("it was not decided as this");
        }
        if !lines.iter().all(|line| due.contains(line)) {
            return wrong("something else was sent");
        }
        if lines.last() != due.last() {
            return wrong("what was decided was not sent");
        }
        Vec::new()
    }
}

const UNKNOWN: Needs = Needs::Never("not-understood");
const LATER: Needs = Needs::Never("not-supported");

/// All that is asked of each type.
pub fn table() -> Vec<Cell> {
    use Needs::{Fitting, More, Nothing, Read, Within};
    let read = &["GET /fhir/{T}/x"];
    let found = &["GET /fhir/{T}"];
    let put = &["GET /fhir/{T}", "GET /fhir/{T}/x", "PUT /fhir/{T}/x"];
    let delete = &["GET /fhir/{T}", "GET /fhir/{T}/x", "DELETE /fhir/{T}/x"];
    let mut out = vec![
        Cell::new("read", "GET", "/{T}/x", Read).sends("read", read),
        Cell::new("head", "HEAD", "/{T}/x", Read).sends("read", read),
        Cell::new("vread", "GET", "/{T}/x/_history/1", Read)
            .sends("vread", &["GET /fhir/{T}/x", "GET /fhir/{T}/x/_history/1"]),
        Cell::new("history", "GET", "/{T}/x/_history", More).sends(
            "history-instance",
            &["GET /fhir/{T}/x", "GET /fhir/{T}/x/_history"],
        ),
        Cell::new("history-type", "GET", "/{T}/_history", More)
            .sends("history-type", &["GET /fhir/{T}/_history"]),
        Cell::new("search", "GET", "/{T}?_id=x", More).sends("search-type", found),
        Cell::new("search-all", "GET", "/{T}", More).sends("search-type", found),
        Cell::new("search-head", "HEAD", "/{T}?_id=x", More).sends("search-type", found),
        Cell::new("search-form", "POST", "/{T}/_search", More)
            .body(Body::Form)
            .sends("search-type", &["POST /fhir/{T}/_search"]),
        Cell::new("compartment", "GET", "/Patient/p/{T}", Within)
            .sends("search-compartment", &["GET /fhir/Patient/p/{T}"]),
        Cell::new("compartment-form", "POST", "/Patient/p/{T}/_search", Within)
            .body(Body::Form)
            .sends("search-compartment", &["POST /fhir/Patient/p/{T}/_search"]),
        Cell::new("create", "POST", "/{T}", More)
            .body(Body::New)
            .answers(MADE)
            .sends("create", &["POST /fhir/{T}"]),
        Cell::new("create-if-none", "POST", "/{T}", More)
            .body(Body::New)
            .header("if-none-exist", "_id=none")
            .answers(MADE)
            .sends("create", &["GET /fhir/{T}", "POST /fhir/{T}"]),
        Cell::new("create-if-none-but-one", "POST", "/{T}", More)
            .body(Body::New)
            .header("if-none-exist", "_id=x")
            .sends("create", &["POST /fhir/{T}"]),
        Cell::new("update", "PUT", "/{T}/x", More)
            .body(Body::Row("x"))
            .sends("update", put),
        Cell::new("update-if-match", "PUT", "/{T}/x", More)
            .body(Body::Row("x"))
            .header("if-match", "W/\"1\"")
            .sends("update", put),
        Cell::new("update-found", "PUT", "/{T}?_id=x", More)
            .body(Body::New)
            .sends("update", put),
        Cell::new("patch", "PATCH", "/{T}/x", More)
            .body(Body::Patch)
            .sends("patch", put),
        Cell::new("patch-found", "PATCH", "/{T}?_id=x", More)
            .body(Body::Patch)
            .sends("patch", put),
        Cell::new("delete", "DELETE", "/{T}/x", More)
            .answers(GONE)
            .sends("delete", delete),
        Cell::new("delete-found", "DELETE", "/{T}?_id=x", More)
            .answers(GONE)
            .sends("delete", delete),
        Cell::new("options", "OPTIONS", "/{T}", Nothing).answers(GONE),
        Cell::new("options-row", "OPTIONS", "/{T}/x", Nothing).answers(GONE),
        Cell::new("operation", "POST", "/{T}/$x", LATER).body(Body::New),
        Cell::new("operation-get", "GET", "/{T}/$x", LATER),
        Cell::new("operation-row", "POST", "/{T}/x/$x", LATER).body(Body::New),
        Cell::new("operation-row-get", "GET", "/{T}/x/$x", LATER),
        // what a type doesn't have
        Cell::new("search-get", "GET", "/{T}/_search?_id=x", UNKNOWN),
        Cell::new("create-at", "POST", "/{T}/x", UNKNOWN).body(Body::New),
        Cell::new("update-all", "PUT", "/{T}", Fitting).body(Body::New),
        Cell::new("patch-all", "PATCH", "/{T}", Fitting).body(Body::Patch),
        Cell::new("delete-all", "DELETE", "/{T}", UNKNOWN),
        Cell::new("delete-history", "DELETE", "/{T}/x/_history", UNKNOWN),
        Cell::new("delete-version", "DELETE", "/{T}/x/_history/1", UNKNOWN),
        Cell::new("update-version", "PUT", "/{T}/x/_history/1", UNKNOWN).body(Body::Row("x")),
        Cell::new("update-another", "PUT", "/{T}/x", Fitting).body(Body::Row("y")),
        Cell::new("update-unnamed", "PUT", "/{T}/x", Fitting).body(Body::New),
        Cell::new("create-nothing", "POST", "/{T}", Fitting),
        Cell::new("post-version", "POST", "/{T}/x/_history", UNKNOWN).body(Body::New),
        Cell::new("deeper", "GET", "/{T}/x/y/z", UNKNOWN),
    ];
    for method in ["TRACE", "BREW", "SEARCH", "QUERY", "LINK", "PROPFIND"] {
        out.push(Cell::new(method, method, "/{T}", UNKNOWN));
    }
    out
}

/// All that is asked of the whole service.
pub fn of_the_base() -> Vec<Cell> {
    use Needs::{More, Nothing, Public};
    vec![
        Cell::new("metadata", "GET", "/metadata", Public),
        Cell::new("metadata-head", "HEAD", "/metadata", Public),
        Cell::new("search", "GET", "/?_type=Patient&_id=x", More)
            .sends("search-system", &["GET /fhir/"]),
        Cell::new(
            "search-form",
            "POST",
            "/_search?_type=Patient,Observation",
            More,
        )
        .body(Body::Form)
        .sends("search-system", &["POST /fhir/_search"]),
        Cell::new("history", "GET", "/_history", Needs::Some)
            .sends("history-system", &["GET /fhir/_history"]),
        Cell::new(
            "history-of",
            "GET",
            "/_history?_count=5&_since=2020-01-01T00:00:00Z",
            Needs::Some,
        )
        .sends("history-system", &["GET /fhir/_history"]),
        Cell::new("options", "OPTIONS", "/", Nothing).answers(GONE),
        Cell::new("operation", "POST", "/$x", LATER).body(Body::Form),
        Cell::new("operation-get", "GET", "/$x", LATER),
        Cell::new("no-type", "GET", "/Nonsense/x", UNKNOWN),
        Cell::new("abstract", "GET", "/DomainResource/x", UNKNOWN),
        Cell::new("search-get", "GET", "/_search", UNKNOWN),
        Cell::new("put", "PUT", "/", UNKNOWN).body(Body::Bundle("{}")),
        Cell::new("delete", "DELETE", "/", UNKNOWN),
        Cell::new("delete-history", "DELETE", "/_history", UNKNOWN),
        Cell::new("trace", "TRACE", "/", UNKNOWN),
        Cell::new("no-bundle", "POST", "/", UNKNOWN)
            .body(Body::Bundle(r#"{"resourceType":"Patient"}"#)),
        Cell::new("document", "POST", "/", UNKNOWN).body(Body::Bundle(
            r#"{"resourceType":"Bundle","type":"document"}"#,
        )),
    ]
}
