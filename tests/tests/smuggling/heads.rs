//! Other headers: whose request it is, what becomes of the connection, names that aren't names.

use super::payload::{FORM, Maker, Payload};

/// `Host` lines that stand instead of the good one.
const HOSTS: [&str; 24] = [
    "",
    "Host: \r\n",
    "Host: {h}\r\nHost: {h}\r\n",
    "Host: {h}\r\nHost: other.invalid\r\n",
    "Host: other.invalid\r\nHost: {h}\r\n",
    "Host: {h}\r\nhost: other.invalid\r\n",
    "Host : {h}\r\n",
    " Host: {h}\r\n",
    "Host:\r\n {h}\r\n",
    "Host: {h}\r\n other.invalid\r\n",
    "Host: {h}, other.invalid\r\n",
    "Host: user@{h}\r\n",
    "Host: user:pass@{h}\r\n",
    "Host: {h}/fhir/Patient/hidden-0000\r\n",
    "Host: {h}?x\r\n",
    "Host: {h}#x\r\n",
    "Host: {h} x\r\n",
    "Host: {h}\\x\r\n",
    "Host: {h}\0\r\n",
    "Host: {h}:99999\r\n",
    "Host: {h}:x\r\n",
    "Host: [::1\r\n",
    "Host: http://{h}\r\n",
    "Host: \u{e9}\r\n",
];

/// Lines beside a good head without a body.
const BESIDE: [&str; 48] = [
    "Connection: Authorization\r\n",
    "Connection: close, Authorization\r\n",
    "Connection: Authorization, X-Request-Id, Host\r\n",
    "Connection: Content-Length\r\n",
    "Connection: Transfer-Encoding\r\n",
    "Connection: X-Request-Id\r\n",
    "Connection: Host\r\n",
    "Connection: Accept\r\n",
    "Connection: TE\r\nTE: trailers\r\n",
    "Connection: upgrade\r\n",
    "Connection: \r\n",
    "Connection: ,,,\r\n",
    "Connection: keep-alive, close\r\n",
    "Connection: close\r\nConnection: keep-alive\r\n",
    "Connection: close x\r\n",
    "Connection: \"close\"\r\n",
    "Proxy-Connection: keep-alive\r\n",
    "Proxy-Authorization: Bearer x\r\n",
    "Keep-Alive: timeout=1000\r\n",
    "Upgrade: h2c\r\n",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n",
    "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    "Upgrade: other.invalid\r\n",
    "Expect: 100-continue\r\n",
    "Expect: 100-Continue\r\n",
    "Expect: 200-ok\r\n",
    "Expect: \r\n",
    "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "X-Method-Override: DELETE\r\n",
    "X-HTTP-Method: DELETE\r\n",
    "X-Original-URL: /fhir/Patient/hidden-0000\r\n",
    "X-Rewrite-URL: /fhir/Patient/hidden-0000\r\n",
    "X-Forwarded-Host: other.invalid\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n",
    "Forwarded: for=127.0.0.1;host=other.invalid;proto=http\r\n",
    "X-Forwarded-Prefix: /fhir/Patient/hidden-0000\r\n",
    "Content-Location: /fhir/Patient/hidden-0000\r\n",
    "Referer: /fhir/Patient/hidden-0000\r\n",
    "Destination: /fhir/Patient/hidden-0000\r\n",
    "If-None-Exist: _id=hidden-0000\r\n",
    "X_Request_Id: hidden-0000\r\n",
    "X-Request-Id: hidden-0000\r\n",
    "Authorization: Bearer x\r\n",
    "authorization: Basic eDp5\r\n",
    "Authorization : Bearer x\r\n",
    "X_Authorization: x\r\nAUTHORIZATION_: y\r\n",
    "HTTP2-Settings: AAMAAABk\r\n",
];

pub fn all(maker: &Maker) -> Vec<Payload> {
    let hidden = maker.hidden();
    let mut out = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| out.push(Payload::bad(name, bytes));
    let usual = format!("Host: {}\r\n", maker.host);
    for host in HOSTS {
        let head = maker
            .get("")
            .replacen(&usual, &host.replace("{h}", &maker.host), 1);
        add(format!("the host `{host}`"), head.into());
    }
    // a name is of token characters (RFC 9110 section 5.6.2): every other byte in one, and
    // behind it what would be a request
    for byte in 0..=255u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if token || matches!(byte, b'\n' | b':') {
            continue;
        }
        let text = maker.get("X-Odd\u{1}Name: y\r\n");
        let at = text.find('\u{1}').unwrap_or_default();
        let mut bytes = text.into_bytes();
        bytes[at] = byte;
        bytes.extend_from_slice(hidden.as_bytes());
        add(format!("byte {byte:#04x} in a name"), bytes);
    }
    // a value has no control characters but tab (RFC 9110 section 5.5)
    for byte in (0..0x20u8).chain([0x7f]) {
        if matches!(byte, b'\t' | b'\n') {
            continue;
        }
        let text = maker.get("X-Odd: a\u{1}b\r\n");
        let at = text.find("a\u{1}b").unwrap_or_default() + 1;
        let mut bytes = text.into_bytes();
        bytes[at] = byte;
        bytes.extend_from_slice(hidden.as_bytes());
        add(format!("byte {byte:#04x} in a value"), bytes);
    }
    for (name, lines) in [
        ("an empty name", ": y\r\n".to_owned()),
        ("a line without a colon", "X-Odd\r\n".to_owned()),
        ("a folded line first", " X-Odd: y\r\n".to_owned()),
        (
            "a folded line",
            "X-Odd: y\r\n GET /fhir/Patient/hidden-0000 HTTP/1.1\r\n".to_owned(),
        ),
        ("a line folded by tab", "X-Odd: y\r\n\tz\r\n".to_owned()),
        (
            "a value of 40 KB",
            format!("X-Odd: {}\r\n", "y".repeat(40_000)),
        ),
        ("a name of 40 KB", format!("{}: y\r\n", "X".repeat(40_000))),
        (
            "a value of 500 KB",
            format!("X-Odd: {}\r\n", "y".repeat(500_000)),
        ),
        ("200 headers", "X-Odd: y\r\n".repeat(200)),
        ("20,000 headers", "X: y\r\n".repeat(20_000)),
    ] {
        add(
            name.to_owned(),
            format!("{}{hidden}", maker.get(&lines)).into(),
        );
    }
    let mut add = |name: String, bytes: Vec<u8>| out.push(Payload::new(name, bytes));
    for more in BESIDE {
        add(format!("a read with `{more}`"), maker.get(more).into());
        let whole = format!("{FORM}{hidden}");
        let head = maker.post(&format!("{more}Content-Length: {}\r\n", whole.len()));
        add(
            format!("a form with `{more}` over a request"),
            format!("{head}{whole}").into(),
        );
    }
    out
}
