//! The edge: what is ambiguous reaches no upstream, what isn't allowed passes in neither direction.

use std::time::{Duration, Instant};

use chartward_tests::client::holds;
use chartward_tests::raw::End;
use chartward_tests::{Gateway, Raw, Request, Script, Seen, Setup, Tokens, Upstream, need, plain};

const PACK: &str = include_str!("packs/ward.toml");
const QUIET: Duration = Duration::from_millis(300);

struct Edge {
    gateway: Gateway,
    upstream: Upstream,
    token: String,
    tokens: Tokens,
}

impl Edge {
    fn open(answer: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start(answer);
        let tokens = Tokens::start();
        let token = tokens.token("dr", &["physician"], "user/*.rs");
        let setup = Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&["physician"]));
        Self {
            gateway: Gateway::start(setup),
            upstream,
            token,
            tokens,
        }
    }

    fn patient() -> Self {
        Self::open(|_| Script::json(200, PATIENT))
    }

    /// A request's head with the token, `more` header lines and the empty line.
    fn head(&self, line: &str, more: &str) -> String {
        let host = self.gateway.address();
        format!(
            "{line}\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.token
        )
    }

    fn raw(&self) -> Raw {
        self.gateway.raw()
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"name":[{"family":"Shown"}],"telecom":[{"value":"Hidden"}]}"#;

fn status(answer: &[u8]) -> u16 {
    answer
        .get(9..12)
        .and_then(|code| std::str::from_utf8(code).ok())
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

#[test]
fn a_target_with_two_readings_reaches_no_upstream() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    for target in [
        "/fhir/Patient/%2e%2e/Patient/p1",
        "/fhir/Patient/../Patient/p1",
        "/fhir/./Patient/p1",
        "/fhir//Patient/p1",
        "/fhir/Patient//p1",
        "/fhir/Patient/p1/",
        "/fhir/Patient/p1;a=b",
        "/fhir/Patient%2Fp1",
        "/fhir/Patient/p1%2f$everything",
        "/fhir/Patient/p1%5c..",
        "/fhir/Patient\\p1",
        "/fhir/Patient/%252e%252e",
        "/fhir/%50atient/p1",
        "/fhir/Patient/p1%00",
        "/fhir/Patient/p1?_id=p1&%5fid=p2",
        "/fhir/Patient/p1?_method=DELETE",
        "/fhir/patient/p1",
        "/fhir/Patient/p 1",
    ] {
        let mut raw = edge.raw();
        raw.send(
            edge.head(&format!("GET {target} HTTP/1.1"), "Connection: close\r\n")
                .as_bytes(),
        );
        let (answer, _) = raw.read_all(QUIET);
        assert!(
            (400..500).contains(&status(&answer)),
            "{target}: {}",
            String::from_utf8_lossy(&answer)
        );
        assert!(!holds(&answer, b"Shown"), "{target}");
        assert_eq!(
            edge.upstream.seen().len(),
            0,
            "{target} reached the upstream"
        );
    }
}

#[test]
fn a_message_with_two_lengths_is_one_request_at_most_and_ends_the_connection() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let inner = edge.head("GET /fhir/Patient/smuggled HTTP/1.1", "");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (name, headers, body) in [
        (
            "length and chunks",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "chunks and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "0\r\n\r\n",
        ),
        (
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 4\r\n",
            "a=b\r",
        ),
        ("a list of lengths", "Content-Length: 0, 4\r\n", "a=b\r"),
        ("a signed length", "Content-Length: +3\r\n", "a=b"),
        (
            "an unknown coding",
            "Transfer-Encoding: xchunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "a coding after chunked",
            "Transfer-Encoding: chunked, identity\r\n",
            "0\r\n\r\n",
        ),
        (
            "a space before the colon",
            "Transfer-Encoding : chunked\r\n",
            "0\r\n\r\n",
        ),
    ] {
        edge.upstream.forget();
        let mut raw = edge.raw();
        let head = edge.head(
            "POST /fhir/Patient/_search HTTP/1.1",
            &format!("{form}{headers}"),
        );
        raw.send(format!("{head}{body}{inner}").as_bytes());
        let (answer, end) = raw.read_all(QUIET * 3);
        assert_ne!(end, End::Silent, "{name}: the connection stays open");
        // chunks beside a length are read as chunks, and the connection ends (RFC 9112 §6.1)
        let both = name.contains("chunks") && name.contains("length");
        let text = String::from_utf8_lossy(&answer);
        let heads = text.matches("HTTP/1.1 ").count();
        assert_eq!(heads, 1, "{name}: {text}");
        assert!(both || status(&answer) == 400, "{name}: {text}");
        let seen = edge.upstream.seen();
        assert!(
            seen.len() <= usize::from(both),
            "{name}: something reached the upstream"
        );
        assert!(
            !seen.iter().any(|s| s.target.contains("smuggled")),
            "{name}"
        );
    }
}

#[test]
fn lax_framing_never_makes_two_requests_of_one() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let host = edge.gateway.address();
    let token = &edge.token;
    for (name, bytes) in [
        (
            "bare LF",
            format!(
                "GET /fhir/Patient/p1 HTTP/1.1\nHost: {host}\nAuthorization: Bearer {token}\n\n"
            ),
        ),
        (
            "a folded header",
            edge.head(
                "GET /fhir/Patient/p1 HTTP/1.1",
                "X-Fold: a\r\n GET /fhir/Patient/p2 HTTP/1.1\r\n",
            ),
        ),
        (
            "equal lengths twice",
            format!(
                "{}a=b",
                edge.head(
                    "GET /fhir/Patient/p1 HTTP/1.1",
                    "Content-Length: 3\r\nContent-Length: 3\r\n"
                )
            ),
        ),
        (
            "a CR in a value",
            edge.head(
                "GET /fhir/Patient/p1 HTTP/1.1",
                "X-Cr: a\rGET /fhir/Patient/p2 HTTP/1.1\r\n",
            ),
        ),
        ("HTTP/0.9", "GET /fhir/Patient/p1\r\n\r\n".to_owned()),
    ] {
        edge.upstream.forget();
        let mut raw = edge.raw();
        raw.send(bytes.as_bytes());
        let (answer, _) = raw.read_all(QUIET);
        let answers = answer
            .windows(9)
            .filter(|window| window == b"HTTP/1.1 ")
            .count();
        assert!(answers <= 1, "{name}: {}", String::from_utf8_lossy(&answer));
        let seen = edge.upstream.seen();
        assert!(
            seen.len() <= 1,
            "{name}: {} requests reached the upstream",
            seen.len()
        );
        assert!(
            seen.iter()
                .all(|seen| seen.target.starts_with("/fhir/Patient/p1")),
            "{name}"
        );
    }
}

#[test]
fn what_this_version_does_not_do_is_refused_and_reaches_no_upstream() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let client = edge.gateway.client();
    let body = br#"{"resourceType":"Patient"}"#;
    for (method, target) in [
        ("POST", "/fhir/Patient"),
        ("PUT", "/fhir/Patient/p1"),
        ("PATCH", "/fhir/Patient/p1"),
        ("DELETE", "/fhir/Patient/p1"),
        ("POST", "/fhir"),
        ("TRACE", "/fhir/Patient/p1"),
        ("BREW", "/fhir/Patient/p1"),
    ] {
        let mut request = Request::new(method, target).bearer(&edge.token);
        if !["TRACE", "DELETE"].contains(&method) {
            request = request.body("application/fhir+json", body);
        }
        let answer = client.send(request);
        assert!(
            (400..500).contains(&answer.status),
            "{method} {target}: {}",
            answer.status
        );
    }
    for (header, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "PUT"),
        ("x-http-method", "PATCH"),
    ] {
        let request = Request::get("/fhir/Patient/p1")
            .bearer(&edge.token)
            .header(header, value);
        assert_eq!(client.send(request).status, 400, "{header}");
    }
    for accept in [
        "application/fhir+xml",
        "text/plain",
        "application/fhir+turtle",
    ] {
        let request = Request::get("/fhir/Patient/p1")
            .bearer(&edge.token)
            .header("accept", accept);
        assert_eq!(client.send(request).status, 406, "{accept}");
    }
    for target in ["/", "/other/Patient/p1", "/fhirx/Patient/p1"] {
        assert_eq!(client.get(target, &edge.token).status, 400, "{target}");
    }
    assert_eq!(
        edge.upstream.seen().len(),
        0,
        "something reached the upstream"
    );
}

#[test]
fn only_listed_headers_go_upstream() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::get("/fhir/Patient/p1")
        .bearer(&edge.token)
        .header("traceparent", trace)
        .header("cookie", "session=1")
        .header("forwarded", "for=10.0.0.1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-real-ip", "10.0.0.1")
        .header("x-consent-override", "all")
        .header("range", "bytes=0-1")
        .header("accept-encoding", "gzip")
        .header("prefer", "handling=lenient")
        .header("x-request-id", "caller-0001");
    let answer = edge.gateway.client().send(request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.header("x-request-id").is_empty());
    let seen = edge.upstream.seen();
    assert_eq!(seen.len(), 1);
    let seen = &seen[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/fhir/Patient/p1")
    );
    assert_eq!(seen.header("traceparent"), Some(trace));
    assert_eq!(seen.header("accept"), Some("application/fhir+json"));
    for name in [
        "authorization",
        "cookie",
        "forwarded",
        "x-forwarded-for",
        "x-real-ip",
        "x-consent-override",
        "range",
    ] {
        assert_eq!(seen.header(name), None, "`{name}` went upstream");
    }
    // the gateway's own, not the caller's
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_ne!(seen.header("prefer"), Some("handling=lenient"));
}

#[test]
fn nothing_of_the_upstreams_headers_leaves() {
    if !need("binary") {
        return;
    }
    let edge = Edge::open(|_| {
        let headers = "Content-Type: application/fhir+json\r\nSet-Cookie: chart=Hidden\r\nServer: Hidden\r\n\
                       X-Patient-Name: Hidden\r\nLink: <http://hidden>\r\nContent-Location: /Hidden\r\nVia: Hidden\r\n";
        Script::whole(200, headers, PATIENT.as_bytes())
    });
    let mut raw = edge.raw();
    raw.send(edge.head("GET /fhir/Patient/p1 HTTP/1.1", "").as_bytes());
    let answer = raw.read_answer().expect("a whole answer");
    assert_eq!(status(&answer), 200);
    assert!(
        !holds(&answer, b"Hidden") && !holds(&answer, b"hidden"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(text.contains("cache-control: no-store"), "{text}");
    assert!(
        text.contains("content-type: application/fhir+json"),
        "{text}"
    );
}

#[test]
fn both_protocols_give_the_same_answer() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let one = edge.gateway.client().get("/fhir/Patient/p1", &edge.token);
    let two = edge
        .gateway
        .client_h2()
        .get("/fhir/Patient/p1", &edge.token);
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(one.body, two.body);
    assert!(one.holds(b"Shown") && !one.holds(b"Hidden"));
    let head = edge
        .gateway
        .client()
        .send(Request::new("HEAD", "/fhir/Patient/p1").bearer(&edge.token));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), one.body.len().to_string());
}

#[test]
fn a_caller_without_a_good_credential_is_challenged() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let client = edge.gateway.client();
    let none = client.send(Request::get("/fhir/Patient/p1"));
    assert_eq!(
        (none.status, none.reason().as_str()),
        (401, "unauthenticated")
    );
    assert!(
        none.header("www-authenticate").starts_with("Bearer"),
        "{}",
        none.header("www-authenticate")
    );
    assert!(
        !none.header("www-authenticate").contains("error"),
        "RFC 6750 section 3: no error code"
    );
    let other = edge.tokens.token("dr", &["physician"], "user/*.rs");
    let signed = edge.token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let signature = other.rsplit('.').next().unwrap_or_default();
    for token in [
        "x",
        "a.b.c",
        &format!("{}x", edge.token),
        &edge.token[..edge.token.len() - 4],
        // well-formed and by the right key, over another token
        &format!("{signed}.{signature}"),
    ] {
        let bad = client.get("/fhir/Patient/p1", token);
        assert_eq!(bad.status, 401, "{}", bad.text());
        assert!(
            bad.header("www-authenticate").contains("invalid_token"),
            "{}",
            bad.header("www-authenticate")
        );
        assert!(
            !bad.holds(token.as_bytes()) || token.len() < 8,
            "the token comes back"
        );
    }
    let basic = Request::get("/fhir/Patient/p1").header("authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(client.send(basic).status, 401);
    let mut raw = edge.raw();
    raw.send(
        edge.head(
            "GET /fhir/Patient/p1 HTTP/1.1",
            "Authorization: Bearer x\r\nConnection: close\r\n",
        )
        .as_bytes(),
    );
    let (twice, _) = raw.read_all(QUIET);
    assert!(
        [400, 401].contains(&status(&twice)),
        "two credentials: {}",
        String::from_utf8_lossy(&twice)
    );
    assert_eq!(
        edge.upstream.seen().len(),
        0,
        "something reached the upstream"
    );
}

#[test]
fn health_and_metrics_are_on_a_listener_of_their_own() {
    if !need("binary") {
        return;
    }
    let mut edge = Edge::patient();
    assert_eq!(
        edge.gateway
            .client()
            .get("/fhir/Patient/p1", &edge.token)
            .status,
        200
    );
    let at = edge.gateway.metrics();
    for path in ["/livez", "/readyz"] {
        assert_eq!(plain::get(at, path).status, 200, "{path}");
    }
    let metrics = plain::get(at, "/metrics").text();
    assert!(metrics.contains("\nchartward_"), "{metrics}");
    for word in ["p1", "Shown", "Hidden", "Patient/"] {
        assert!(!metrics.contains(word), "`{word}` is in the metrics");
    }
    for path in ["/metrics", "/livez", "/readyz"] {
        let answer = edge.gateway.client().get(path, &edge.token);
        assert_eq!(answer.status, 400, "{path} on the data listener");
    }
    let log = edge.gateway.process().stderr();
    for word in ["Shown", "Hidden", edge.token.as_str()] {
        assert!(!log.contains(word), "patient data or a token is in the log");
    }
}

#[test]
fn a_head_of_a_long_answer_is_recorded_as_complete() {
    if !need("binary") {
        return;
    }
    let row = |i: usize| {
        let name = "x".repeat(2000);
        format!(
            r#"{{"resource":{{"resourceType":"Patient","id":"p{i}","name":[{{"text":"{name}"}}]}}}}"#
        )
    };
    let rows: Vec<String> = (0..300).map(row).collect();
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
        rows.join(",")
    );
    let edge = Edge::open(move |_| Script::json(200, &bundle));
    let head = Request::new("HEAD", "/fhir/Patient").bearer(&edge.token);
    let answer = edge.gateway.client().send(head);
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
    let id = answer.header("x-request-id").to_owned();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let records = edge.gateway.records();
        let closing = records
            .iter()
            .find(|r| r["request_id"] == id.as_str() && r["phase"] == "closing");
        if let Some(closing) = closing {
            assert_eq!(closing["outcome"], "complete", "{closing}");
            return;
        }
        assert!(Instant::now() < deadline, "no closing record of {id}");
    }
}

#[test]
fn figures_of_tokens_and_keys_are_those_of_what_happened() {
    if !need("binary") {
        return;
    }
    let edge = Edge::patient();
    let client = edge.gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/fhir/Patient/p1", &edge.token).status, 200);
    }
    let holds = |gateway: &Gateway, line: &str| {
        let metrics = plain::get(gateway.metrics(), "/metrics").text().to_owned();
        assert!(
            metrics.lines().any(|l| l == line),
            "no `{line}` in\n{metrics}"
        );
    };
    holds(&edge.gateway, "chartward_token_cache_misses_total 1");
    holds(&edge.gateway, "chartward_token_cache_hits_total 2");
    holds(
        &edge.gateway,
        "chartward_jwks_fetches_total{outcome=\"fetched\"} 1",
    );
    holds(
        &edge.gateway,
        "chartward_jwks_fetches_total{outcome=\"failed\"} 0",
    );

    // an issuer that can't be reached
    let issuer = edge
        .tokens
        .trusted(&["physician"])
        .keys_at("http://127.0.0.1:9/jwks");
    let setup = Setup::new(PACK, edge.upstream.url()).issuer(issuer);
    let without = Gateway::start(setup);
    assert_eq!(
        without.client().get("/fhir/Patient/p1", &edge.token).status,
        503
    );
    holds(
        &without,
        "chartward_jwks_fetches_total{outcome=\"fetched\"} 0",
    );
    holds(
        &without,
        "chartward_jwks_fetches_total{outcome=\"failed\"} 1",
    );
}
