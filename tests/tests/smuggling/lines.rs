//! Line ends and request lines.

use super::payload::{FORM, Maker, Payload};

/// Ends of a line that are not CRLF.
const ENDS: [&str; 12] = [
    "\n", "\r", "\n\r", "\r\r\n", "\r\n\r", "\0\r\n", "\r\0\n", "\r \n", "\u{b}", "\u{c}",
    "\u{85}", "\u{2028}",
];

/// Ends of a head that are not an empty line after CRLF.
const EMPTY: [&str; 14] = [
    "\n\n",
    "\r\n\n",
    "\n\r\n",
    "\r\r",
    "\r\n\r",
    "\r\r\n\n",
    "\n\r\r\n",
    "\r\n \r\n",
    "\r\n\t\r\n",
    "\n \n",
    "\r\n\0\r\n",
    "\r\n\r\r\n",
    "\n\n\n",
    "\n\r\n\r",
];

pub fn ends(maker: &Maker) -> Vec<Payload> {
    let hidden = maker.hidden();
    let mut out = Vec::new();
    let mut add = |name: String, text: String| out.push(Payload::bad(name, text));
    let escaped = |text: &str| text.escape_debug().to_string();
    // beyond ASCII they are part of a value, and what follows may be a request
    let (ascii, beyond): (Vec<_>, Vec<_>) = ENDS.iter().partition(|end| end.is_ascii());
    for end in ascii {
        let name = escaped(end);
        let get = maker.get("");
        add(
            format!("`{name}` ends every line"),
            format!("{}{hidden}", get.replace("\r\n", end)),
        );
        add(
            format!("`{name}` ends the request line"),
            format!("{}{hidden}", get.replacen("\r\n", end, 1)),
        );
        let one = maker.get(&format!("X-One: a{end}X-Two: b\r\n"));
        add(
            format!("`{name}` ends one header"),
            format!("{one}{hidden}"),
        );
        let length = maker.post(&format!("X-One: a{end}Content-Length: {}\r\n", FORM.len()));
        add(
            format!("`{name}` before the length"),
            format!("{length}{FORM}{hidden}"),
        );
        let coding = maker.post(&format!("X-One: a{end}Transfer-Encoding: chunked\r\n"));
        add(
            format!("`{name}` before the coding"),
            format!("{coding}0\r\n\r\n{hidden}"),
        );
        let value = format!("X-One: a{end}{end}{hidden}");
        add(
            format!("a request in a value behind `{name}`"),
            maker.get(&value),
        );
        let target = maker.get("").replacen(
            "/fhir/Patient/outer-0000",
            &format!("/fhir/Patient/outer-0000{end}X: y"),
            1,
        );
        add(
            format!("`{name}` in the target"),
            format!("{target}{hidden}"),
        );
        let before = format!("{end}{}", maker.get(""));
        if end.trim_matches(['\r', '\n']).is_empty() && !before.starts_with("\r\n") {
            add(
                format!("`{name}` before the request"),
                format!("{before}{hidden}"),
            );
        }
    }
    for end in beyond {
        let name = escaped(end);
        let get = maker.get("");
        add(
            format!("`{name}` ends every line"),
            format!("{}{hidden}", get.replace("\r\n", end)),
        );
        let value = format!("X-One: a{end}{end}{hidden}");
        add(
            format!("a request in a value behind `{name}`"),
            maker.get(&value),
        );
    }
    for end in EMPTY {
        let name = escaped(end);
        let get = maker.get("");
        let cut = get.strip_suffix("\r\n\r\n").unwrap_or(&get).to_owned();
        add(
            format!("a head that ends with `{name}`"),
            format!("{cut}{end}{hidden}"),
        );
        let post = maker.post(&format!("Content-Length: {}\r\n", FORM.len()));
        let cut = post.strip_suffix("\r\n\r\n").unwrap_or(&post).to_owned();
        add(
            format!("a head with a body that ends with `{name}`"),
            format!("{cut}{end}{FORM}{hidden}"),
        );
        let value = maker.get(&format!("X-One: a{end}{hidden}"));
        add(format!("a value with `{name}` and a request"), value);
    }
    out
}

/// Request lines, `{t}` the outer target. Each is one request, or none.
const LINES: [&str; 72] = [
    "GET  {t} HTTP/1.1",
    "GET {t}  HTTP/1.1",
    "GET\t{t} HTTP/1.1",
    "GET {t}\tHTTP/1.1",
    " GET {t} HTTP/1.1",
    "\tGET {t} HTTP/1.1",
    "GET {t} HTTP/1.1 ",
    "GET {t} HTTP/1.1\t",
    "GET {t} HTTP/1.1 HTTP/1.1",
    "GET {t} {t} HTTP/1.1",
    "GET {t} /fhir/Patient/hidden-0000 HTTP/1.1",
    "GET {t} HTTP/1.1 GET /fhir/Patient/hidden-0000 HTTP/1.1",
    "GET\u{b}{t} HTTP/1.1",
    "GET\u{c}{t} HTTP/1.1",
    "GET\0{t} HTTP/1.1",
    "GET {t}\0 HTTP/1.1",
    "GET {t}\u{a0}HTTP/1.1",
    "GET\r{t} HTTP/1.1",
    "GET {t}",
    "GET {t} ",
    "GET {t} HTTP",
    "GET {t} HTTP/",
    "GET {t} HTTP/1",
    "GET {t} HTTP/1.",
    "GET {t} HTTP/.1",
    "GET {t} HTTP/0.9",
    "GET {t} HTTP/1.0",
    "GET {t} HTTP/1.2",
    "GET {t} HTTP/1.10",
    "GET {t} HTTP/1.01",
    "GET {t} HTTP/01.1",
    "GET {t} HTTP/1.1x",
    "GET {t} HTTP/1,1",
    "GET {t} HTTP/-1.1",
    "GET {t} HTTP/+1.1",
    "GET {t} HTTP/2.0",
    "GET {t} HTTP/2",
    "GET {t} HTTP/3",
    "GET {t} http/1.1",
    "GET {t} Http/1.1",
    "GET {t} HTTPS/1.1",
    "GET {t} HTTP /1.1",
    "GET {t} HTTP/1 .1",
    "GET {t} ICAP/1.0",
    "get {t} HTTP/1.1",
    "Get {t} HTTP/1.1",
    "GET{t} HTTP/1.1",
    "G E T {t} HTTP/1.1",
    "GET\u{7f} {t} HTTP/1.1",
    "G\u{c9}T {t} HTTP/1.1",
    "\"GET\" {t} HTTP/1.1",
    "GET: {t} HTTP/1.1",
    "{t} HTTP/1.1",
    "{t}",
    "TRACE {t} HTTP/1.1",
    "TRACK {t} HTTP/1.1",
    "CONNECT {t} HTTP/1.1",
    "CONNECT other.invalid:443 HTTP/1.1",
    "CONNECT {h} HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET * HTTP/1.1",
    "GET ? HTTP/1.1",
    "GET # HTTP/1.1",
    "GET {h} HTTP/1.1",
    "GET {h}{t} HTTP/1.1",
    "GET http://other.invalid{t} HTTP/1.1",
    "GET https://{h}{t} HTTP/1.1",
    "GET https://user@{h}{t} HTTP/1.1",
    "GET https:{t} HTTP/1.1",
    "GET //{h}{t} HTTP/1.1",
    "GET file://{t} HTTP/1.1",
    "GET {t}#f HTTP/1.1",
];

/// Targets of the outer request that a lax reader would cut short.
const TARGETS: [&str; 25] = [
    "/fhir/Patient/outer-0000#/../hidden-0000",
    "/fhir/Patient/outer-0000?x#y",
    "/fhir/Patient/outer-0000/../hidden-0000",
    "/fhir/Patient/outer-0000/%2e%2e/hidden-0000",
    "/fhir/Patient/outer-0000/..%2fhidden-0000",
    "/fhir/Patient/outer-0000%2f..%2fhidden-0000",
    "/fhir/Patient/outer-0000%0d%0aX:%20y",
    "/fhir/Patient/outer-0000%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/fhir/Patient/hidden-0000",
    "/fhir/Patient/outer-0000%0aGET%20/fhir/Patient/hidden-0000",
    "/fhir/Patient/outer-0000%00",
    "/fhir/Patient/outer-0000?_format=json%0d%0aX:%20y",
    "/fhir/Patient?_id=outer-0000%0d%0a%0d%0aGET%20/fhir/Patient/hidden-0000%20HTTP/1.1",
    "/fhir/Patient?_id=outer-0000%00",
    "/fhir/Patient/outer-0000;/hidden-0000",
    "/fhir/Patient/outer-0000\\..\\hidden-0000",
    "/fhir\\Patient\\outer-0000",
    "//fhir/Patient/outer-0000",
    "/\\other.invalid/fhir/Patient/outer-0000",
    "/./fhir/Patient/outer-0000",
    "/x/../fhir/Patient/outer-0000",
    "/%66hir/Patient/outer-0000",
    "/fhir/%50atient/outer-0000",
    "/fhir/Patient/outer-0000/",
    "/fhir/Patient/\"outer-0000\"",
    "/fhir/Patient/<outer-0000>",
];

pub fn requests(maker: &Maker) -> Vec<Payload> {
    let target = "/fhir/Patient/outer-0000";
    let mut out = Vec::new();
    let good = |text: &str| text == "GET {t} HTTP/1.0";
    let mut add = |name: String, text: String, is_good: bool| {
        out.push(Payload {
            is_bad: !is_good,
            ..Payload::new(name, text)
        });
    };
    for line in LINES {
        let filled = line.replace("{t}", target).replace("{h}", &maker.host);
        add(
            format!("the request line `{line}`"),
            maker.head(&filled, "outer-0000", ""),
            good(line),
        );
    }
    for target in TARGETS {
        let line = format!("GET {target} HTTP/1.1");
        add(
            format!("the target `{target}`"),
            maker.head(&line, "outer-0000", ""),
            good(target),
        );
    }
    let whole = maker.get("");
    let hidden = maker.hidden();
    for (name, text) in [
        ("an empty line first", format!("\r\n{whole}")),
        (
            "ten empty lines first",
            format!("{}{whole}", "\r\n".repeat(10)),
        ),
        (
            "a thousand empty lines first",
            format!("{}{whole}", "\r\n".repeat(1000)),
        ),
        ("NUL first", format!("\0{whole}")),
        ("a line of spaces first", format!("   \r\n{whole}")),
        ("a byte-order mark first", format!("\u{feff}{whole}")),
        (
            "HTTP/0.9 and a request",
            format!("GET {target}\r\n{hidden}"),
        ),
        (
            "a whole answer as a request",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{hidden}"),
        ),
        (
            "the preface of HTTP/2",
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"),
        ),
        (
            "the preface without its end",
            format!("PRI * HTTP/2.0\r\n\r\n{hidden}"),
        ),
        (
            "a PROXY line",
            format!("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{whole}"),
        ),
        (
            "a TLS record",
            format!("\u{16}\u{3}\u{1}\0\u{5}hello{hidden}"),
        ),
        (
            "a target of 9 KB",
            whole.replacen(target, &format!("{target}?x={}", "a".repeat(9000)), 1),
        ),
        (
            "a method of 9 KB",
            whole.replacen("GET", &"G".repeat(9000), 1),
        ),
        ("a line of colons", format!(":::::\r\n{hidden}")),
        ("a header first", format!("Host: x\r\n{hidden}")),
    ] {
        add(name.to_owned(), text, name == "an empty line first");
    }
    out
}
