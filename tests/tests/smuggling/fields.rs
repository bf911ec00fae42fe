//! HTTP/2: fields that would be more than a field once they are written as HTTP/1.1, pseudo-header
//! fields out of place, hosts that are none.

use chartward_tests::h2::{END_HEADERS, END_STREAM, block, frame, kind};

use super::payload::{FORM, Maker, Payload};

type Fields = Vec<(String, Vec<u8>)>;

/// The outer request, to be changed.
pub struct Outer {
    fields: Fields,
    data: Option<Vec<u8>>,
}

impl Outer {
    pub fn get(maker: &Maker) -> Self {
        let fields = maker.fields("outer-0000");
        Self {
            fields: fields.into_iter().map(|(n, v)| (n, v.into())).collect(),
            data: None,
        }
    }

    pub fn post(maker: &Maker) -> Self {
        let form = "application/x-www-form-urlencoded";
        Self::get(maker)
            .set(":method", "POST")
            .set(":path", "/fhir/Patient/_search")
            .add("content-type", form)
            .data(FORM)
    }

    pub fn set(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for (_, old) in self.fields.iter_mut().filter(|(n, _)| n == name) {
            *old = value.as_ref().to_vec();
        }
        self
    }

    pub fn more(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let at = self.fields.iter().position(|(n, _)| n == name);
        let old = at.map_or(Vec::new(), |at| self.fields[at].1.clone());
        self.set(name, [&old, value.as_ref()].concat())
    }

    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn first(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let field = (name.to_owned(), value.as_ref().to_vec());
        self.fields.insert(0, field);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.data = Some(data.as_ref().to_vec());
        self
    }

    pub fn block(&self) -> Vec<u8> {
        block(&self.fields)
    }

    /// HEADERS, CONTINUATION where one isn't enough, DATA.
    pub fn frames(&self) -> Vec<u8> {
        let end = if self.data.is_some() { 0 } else { END_STREAM };
        let mut out = headers(&self.block(), end);
        if let Some(data) = &self.data {
            out.extend(frame(kind::DATA, END_STREAM, 1, data));
        }
        out
    }

    pub fn payload(&self, name: impl Into<String>) -> Payload {
        Payload::new(name, self.frames())
    }

    pub fn bad(&self, name: impl Into<String>) -> Payload {
        Payload::bad(name, self.frames())
    }
}

pub fn headers(block: &[u8], flags: u8) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.chunks(16_384).collect();
    let mut out = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        let last = if n + 1 == pieces.len() {
            END_HEADERS
        } else {
            0
        };
        out.extend(if n == 0 {
            frame(kind::HEADERS, flags | last, 1, piece)
        } else {
            frame(kind::CONTINUATION, last, 1, piece)
        });
    }
    out
}

pub fn all(maker: &Maker) -> Vec<Payload> {
    [injected(maker), bytes(maker), pseudo(maker), hosts(maker)].concat()
}

/// Line ends in every place, with what would follow them in HTTP/1.1.
fn injected(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    for end in ["\r\n", "\n", "\r", "\0"] {
        let hidden = maker.hidden().replace("\r\n", end);
        for more in [
            "X-Odd: y".to_owned(),
            "Transfer-Encoding: chunked".to_owned(),
            "Content-Length: 0".to_owned(),
            format!("{end}{hidden}"),
        ] {
            let text = format!("{end}{more}");
            let what = format!("{:?} and {:?}", end, &more[..more.len().min(20)]);
            for name in [
                ":path",
                ":authority",
                ":scheme",
                ":method",
                "authorization",
                "x-request-id",
            ] {
                let outer = Outer::get(maker).more(name, &text);
                out.push(outer.bad(format!("{what} in `{name}`")));
            }
            let line = format!(" HTTP/1.1{text}");
            let outer = Outer::get(maker).more(":path", &line);
            out.push(outer.bad(format!("{what} behind a version in `:path`")));
            let line = format!("GET /fhir/Patient/hidden-0000 HTTP/1.1{text}{end}{end}GET");
            let outer = Outer::get(maker).set(":method", &line);
            out.push(outer.bad(format!("{what} before the method")));
            for name in [
                "x-odd",
                "accept",
                "host",
                "traceparent",
                "x-purpose-of-use",
                "user-agent",
            ] {
                let value = match name {
                    "accept" => "application/fhir+json",
                    "host" => &maker.host,
                    "x-purpose-of-use" => "TREAT",
                    _ => "y",
                };
                let outer = Outer::get(maker).add(name, format!("{value}{text}"));
                out.push(outer.bad(format!("{what} in `{name}`")));
            }
            let outer = Outer::get(maker).add(&format!("x-odd: y{text}"), "z");
            out.push(outer.bad(format!("{what} in a name")));
            let outer = Outer::post(maker).more("content-type", &text);
            out.push(outer.bad(format!("{what} in `content-type`")));
        }
    }
    out
}

/// One odd byte in a name, in a value, in a target.
fn bytes(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    for byte in (0u8..0x80).chain([0x80, 0xa0, 0xc3, 0xff]) {
        let lower = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let odd = (byte as char).to_string();
        if !lower && !b"!#$%&'*+-.^_`|~".contains(&byte) && byte < 0x80 {
            let outer = Outer::get(maker).add(&format!("x{odd}odd"), "y");
            out.push(outer.payload(format!("byte {byte:#04x} in a name")));
        }
        if !(0x20..0x7f).contains(&byte) {
            let value = [b"a", &[byte][..], b"b"].concat();
            let outer = Outer::get(maker).add("x-odd", &value);
            let name = format!("byte {byte:#04x} in a value");
            out.push(if byte < 0x80 && byte != b'\t' {
                outer.bad(name)
            } else {
                outer.payload(name)
            });
        }
        if !byte.is_ascii_alphanumeric() {
            // those two are of an id's own
            if !b"-.".contains(&byte) {
                let outer = Outer::get(maker).more(":path", [byte]);
                out.push(outer.payload(format!("byte {byte:#04x} behind a path")));
            }
            let outer = Outer::get(maker).more(":method", [byte]);
            out.push(outer.payload(format!("byte {byte:#04x} behind the method")));
        }
    }
    for value in [" y", "y ", "\ty", "y\t", " ", ""] {
        let outer = Outer::get(maker).add("x-odd", value);
        out.push(outer.payload(format!("the value {value:?}")));
    }
    for (name, value) in [
        ("Content-Length", "0"),
        ("X-Request-Id", "hidden-0000"),
        ("Host", "x"),
        ("", "y"),
    ] {
        let outer = Outer::get(maker).add(name, value);
        out.push(outer.payload(format!("the name `{name}`")));
    }
    out
}

fn pseudo(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    let host = &maker.host;
    let get = || Outer::get(maker);
    let target = "/fhir/Patient/outer-0000";
    let mut add = |name: String, outer: Outer| out.push(outer.payload(name));
    for path in [
        "",
        " ",
        "*",
        "?",
        "#",
        "x",
        "//",
        "/",
        "fhir/Patient/outer-0000",
        " /fhir/Patient/outer-0000",
        "/fhir/Patient/outer-0000 ",
        "/fhir/Patient/outer-0000 HTTP/1.1",
        "/fhir/Patient/outer-0000#f",
        "/fhir/Patient/outer-0000#/../hidden-0000",
        "/fhir/Patient/outer-0000?#",
        "/fhir/Patient/../Patient/outer-0000",
        "/fhir/Patient/%2e%2e/Patient/outer-0000",
        "/fhir/Patient\\outer-0000",
        "//fhir/Patient/outer-0000",
        "/fhir/Patient/outer-0000%20HTTP/1.1%0d%0aX:%20y",
        "/fhir/Patient/outer-0000%00",
        "/fhir/Patient/outer-0000/",
        "https://other.invalid/fhir/Patient/outer-0000",
        "http://other.invalid/fhir/Patient/outer-0000",
        "https:/fhir/Patient/outer-0000",
        "other.invalid:443",
        "/fhir/Patient/outer-0000;x",
        "/fhir/Patient/\u{e9}",
        "/fhir/Patient/hidden-0000 HTTP/1.1 GET /fhir/Patient/outer-0000",
    ] {
        add(format!("the path `{path}`"), get().set(":path", path));
        add(
            format!("the path `{path}` of a search"),
            Outer::post(maker).set(":path", path),
        );
    }
    add(
        format!("an absolute path of {host}"),
        get().set(":path", format!("https://{host}{target}")),
    );
    for method in [
        "",
        " ",
        "get",
        "Get",
        "GET ",
        " GET",
        "GET\t",
        "GET /x",
        "GET,GET",
        "CONNECT",
        "TRACE",
        "TRACK",
        "PRI",
        "OPTIONS",
        "DEBUG",
        "PURGE",
        "GET /fhir/Patient/hidden-0000 HTTP/1.1",
        "\"GET\"",
        "G@T",
        "G\u{c9}T",
        "BCOPY",
    ] {
        add(
            format!("the method `{method}`"),
            get().set(":method", method),
        );
        let post = Outer::post(maker).set(":method", method);
        add(format!("the method `{method}` with a body"), post);
    }
    for scheme in [
        "",
        " ",
        "http",
        "HTTPS",
        "ftp",
        "javascript",
        "https ",
        "https://other.invalid/?",
        "h ttps",
        "https\u{e9}",
    ] {
        add(
            format!("the scheme `{scheme}`"),
            get().set(":scheme", scheme),
        );
    }
    for name in [":method", ":path", ":scheme"] {
        add(format!("no `{name}`"), get().without(name));
    }
    for (name, value) in [
        (":method", "GET"),
        (":method", "DELETE"),
        (":path", target),
        (":path", "/fhir/Patient/hidden-0000"),
        (":scheme", "https"),
        (":authority", "other.invalid"),
    ] {
        add(format!("`{name}: {value}` twice"), get().first(name, value));
        add(
            format!("`{name}: {value}` again, last"),
            get().add(name, value),
        );
        add(
            format!("`{name}` after the others"),
            get().without(name).add(name, value),
        );
    }
    for (name, value) in [
        (":status", "200"),
        (":foo", "y"),
        (":", "y"),
        ("::path", "/"),
        (":Path", "/"),
        (":path ", "/"),
        (":protocol", "websocket"),
        (":protocol", ""),
        (":host", "other.invalid"),
    ] {
        add(format!("`{name}` first"), get().first(name, value));
    }
    let connect = get().set(":method", "CONNECT");
    add(
        "CONNECT without a path".to_owned(),
        get()
            .set(":method", "CONNECT")
            .without(":path")
            .without(":scheme"),
    );
    add(
        "extended CONNECT".to_owned(),
        connect.first(":protocol", "websocket"),
    );
    let connect = get()
        .set(":method", "CONNECT")
        .set(":authority", "other.invalid:443");
    add(
        "CONNECT elsewhere".to_owned(),
        connect.without(":path").without(":scheme"),
    );
    for (name, value) in [
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("connection", "authorization"),
        ("connection", "upgrade"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=9"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
        ("http2-settings", "AAMAAABk"),
        ("te", "trailers"),
        ("te", "chunked"),
        ("te", "trailers, chunked"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", ""),
        ("transfer-encoding", "cow"),
        ("expect", "100-continue"),
        ("expect", "x"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/fhir/Patient/hidden-0000"),
        ("authorization", "Bearer x"),
        ("x-request-id", "hidden-0000"),
        ("content_length", "0"),
        ("transfer_encoding", "chunked"),
        ("cookie", "a=b"),
        ("accept", "application/fhir+xml"),
        ("trailer", "content-length"),
    ] {
        add(format!("`{name}: {value}`"), get().add(name, value));
        let hidden = format!("{FORM}{}", maker.hidden());
        let post = Outer::post(maker).add(name, value).data(&hidden);
        add(format!("`{name}: {value}` over a hidden request"), post);
        let chunks = format!("0\r\n\r\n{}", maker.hidden());
        let post = Outer::post(maker).add(name, value).data(&chunks);
        add(format!("`{name}: {value}` over an empty chunk"), post);
    }
    out
}

/// Which host it is for: one, and well-formed.
fn hosts(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    let host = &maker.host;
    let get = || Outer::get(maker);
    let mut add = |name: String, outer: Outer| out.push(outer.bad(name));
    for authority in [
        "",
        " ",
        "user@{h}",
        "user:pass@{h}",
        "{h}@other.invalid",
        "{h} x",
        "{h}/fhir/Patient/hidden-0000?",
        "{h}#",
        "{h}?",
        "{h}\\",
        "{h}:99999",
        "{h}:x",
        "[::1",
        "{h},other.invalid",
        "\u{e9}",
        "https://{h}",
    ] {
        let authority = authority.replace("{h}", host);
        add(
            format!("the authority `{authority}`"),
            get().set(":authority", &authority),
        );
        let with = get().set(":authority", &authority).add("host", host);
        add(format!("the authority `{authority}` and a host"), with);
        let other = get().add("host", &authority);
        add(format!("an authority and the host `{authority}`"), other);
        let alone = get().without(":authority").add("host", &authority);
        add(format!("the host `{authority}` alone"), alone);
    }
    add(
        "neither authority nor host".to_owned(),
        get().without(":authority"),
    );
    add(
        "two hosts".to_owned(),
        get().add("host", host).add("host", host),
    );
    for (name, outer) in [
        ("another host", get().set(":authority", "other.invalid")),
        (
            "another host without an authority",
            get().without(":authority").add("host", "other.invalid"),
        ),
        ("the same host twice", get().add("host", host)),
    ] {
        out.push(outer.payload(name));
    }
    out
}
