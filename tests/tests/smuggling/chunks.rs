//! Chunked bodies: sizes, extensions, ends and trailers that are read in more than one way.

use super::payload::{FORM, Maker, Payload, chunked};

/// Size lines that stand for the form's length, `{k}` in hex; what follows them is the form.
const SIZES: [&str; 38] = [
    "+{k}\r\n",
    "-{k}\r\n",
    "0x{k}\r\n",
    "0X{k}\r\n",
    "{k}h\r\n",
    "{k}_\r\n",
    "_{k}\r\n",
    "{k}.0\r\n",
    "{k},\r\n",
    "\r\n",
    "g\r\n",
    "{k}g\r\n",
    " {k}\r\n",
    "\t{k}\r\n",
    "{k}\0\r\n",
    "\0{k}\r\n",
    "{k}\n",
    "{k}\r",
    "{k}\r\r\n",
    "{k}\n\r\n",
    "{k}\n\r",
    "\r\n{k}\r\n",
    "\n{k}\r\n",
    "{k}\u{b}\r\n",
    "{k}\u{c}\r\n",
    "{k};\n",
    "{k};a\nb\r\n",
    "{k};a=\"\n\"\r\n",
    "{k};a=\"\r\n\"\r\n",
    "{k};a\rb\r\n",
    "{k};\0\r\n",
    "1000000000000000{k}\r\n",
    "10000000000000000{k}\r\n",
    "fffffffffffffff{k}\r\n",
    "ffffffffffffffff{k}\r\n",
    "{k} {k}\r\n",
    "\"{k}\"\r\n",
    "\u{ff11}\r\n",
];

/// Size lines that are right, if oddly written.
const ODD_SIZES: [&str; 9] = [
    "0{k}\r\n",
    "00000000{k}\r\n",
    "000000000000000{k}\r\n",
    "{k};\r\n",
    "{k};a=b\r\n",
    "{k};a=\"b\"\r\n",
    "{k} ;a=b\r\n",
    "{k};a=b;c;d=\"0\\r\\n\"\r\n",
    "{k};GET /fhir/Patient/hidden-0000 HTTP/1.1\r\n",
];

/// How a body may end, wrongly.
const ENDS: [&str; 17] = [
    "0\n\n",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\r",
    "0\r\n\r",
    "0\r\n",
    "0",
    "\r\n",
    "-0\r\n\r\n",
    "0x0\r\n\r\n",
    "00x\r\n\r\n",
    "0\0\r\n\r\n",
    "0 0\r\n\r\n",
    "0\r\n\0\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
    "0\r\n : x\r\n\r\n",
    "0\r\nA\nB: x\r\n\r\n",
];

/// Trailers that look like headers of the request, or of the next one.
const TRAILERS: [&str; 12] = [
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Host: other.invalid\r\n",
    "Authorization: Bearer x\r\n",
    "X-Request-Id: hidden-0000\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade\r\n",
    "Content-Type: application/fhir+json\r\n",
];

pub fn all(maker: &Maker) -> Vec<Payload> {
    const TE: &str = "Transfer-Encoding: chunked\r\n";
    let hidden = maker.hidden();
    let size = format!("{:x}", FORM.len());
    let mut out = Vec::new();
    let mut add = |name: String, body: String| {
        out.push(Payload::new(name, format!("{}{body}", maker.post(TE))));
    };
    for line in SIZES {
        let line_ = line.replace("{k}", &size);
        add(
            format!("a chunk of size `{line}`"),
            format!("{line_}{FORM}\r\n0\r\n\r\n{hidden}"),
        );
        let line_ = line.replace("{k}", &format!("{:x}", FORM.len() + hidden.len()));
        add(
            format!("a chunk over the hidden of size `{line}`"),
            format!("{line_}{FORM}{hidden}\r\n0\r\n\r\n"),
        );
    }
    for line in ODD_SIZES {
        let line_ = line.replace("{k}", &format!("{:x}", FORM.len() + hidden.len()));
        add(
            format!("a right chunk of size `{line}`"),
            format!("{line_}{FORM}{hidden}\r\n0\r\n\r\n"),
        );
        add(
            format!("a last chunk written like `{line}`"),
            format!("{size}\r\n{FORM}\r\n{}\r\n", line.replace("{k}", "0")),
        );
    }
    for end in ENDS {
        add(
            format!("a body that ends with `{end}`"),
            format!("{size}\r\n{FORM}\r\n{end}{hidden}"),
        );
        add(
            format!("an empty body that ends with `{end}`"),
            format!("{end}{hidden}"),
        );
    }
    for trailer in TRAILERS {
        add(
            format!("`{trailer}` between two empty lines"),
            format!("{size}\r\n{FORM}\r\n0\r\n\r\n{trailer}\r\n{hidden}"),
        );
    }
    for (name, body) in [
        (
            "a trailer that is a request",
            format!("{size}\r\n{FORM}\r\n0\r\n{hidden}"),
        ),
        (
            "a chunk longer than its size",
            format!("{size}\r\n{FORM}{hidden}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk shorter than its size",
            format!("{:x}\r\n{FORM}\r\n0\r\n\r\n{hidden}", FORM.len() + 2),
        ),
        (
            "a chunk without its end",
            format!("{size}\r\n{FORM}0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk that ends with LF",
            format!("{size}\r\n{FORM}\n0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk that ends with CR",
            format!("{size}\r\n{FORM}\r0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk that ends with two others",
            format!("{size}\r\n{FORM}xx0\r\n\r\n{hidden}"),
        ),
        (
            "an empty line before the chunks",
            format!("\r\n{}{hidden}", chunked(FORM)),
        ),
        ("chunks within a chunk", chunked(&chunked(&hidden))),
        (
            "an empty chunk between two",
            format!("{size}\r\n{FORM}\r\n0\r\n\r\n{}{hidden}", chunked(FORM)),
        ),
        (
            "a size of its own bytes",
            format!("{}{hidden}", "1\r\na\r\n".repeat(50)),
        ),
        (
            "an extension of 20 KB",
            format!(
                "{size};{}\r\n{FORM}\r\n0\r\n\r\n{hidden}",
                "x".repeat(20_000)
            ),
        ),
        (
            "a trailer of 80 KB",
            format!(
                "{size}\r\n{FORM}\r\n0\r\nX: {}\r\n\r\n{hidden}",
                "x".repeat(80_000)
            ),
        ),
        (
            "2,000 trailers",
            format!(
                "{size}\r\n{FORM}\r\n0\r\n{}\r\n{hidden}",
                "X: y\r\n".repeat(2000)
            ),
        ),
        (
            "a size of 70 digits",
            format!("{:0>70}\r\n{FORM}\r\n0\r\n\r\n{hidden}", size),
        ),
    ] {
        add(name.to_owned(), body);
    }
    let mut bad = |name: String, body: String| {
        out.push(Payload::bad(name, format!("{}{body}", maker.post(TE))));
    };
    for trailer in TRAILERS {
        bad(
            format!("the trailer `{trailer}`"),
            format!("{size}\r\n{FORM}\r\n0\r\n{trailer}\r\n"),
        );
    }
    out
}
