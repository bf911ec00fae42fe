//! Content-Length and Transfer-Encoding: told twice, differently, or in a way that only some read.

use super::payload::{FORM, Maker, Payload, chunked};

/// Lengths that no reader may take, `{k}` the short one and `{n}` the whole.
const BAD_LENGTHS: [&str; 39] = [
    "+{k}",
    "-{k}",
    "-0",
    "+0",
    "0x{k}",
    "0x0",
    "0o{k}",
    "{k}.0",
    "{k}e0",
    "0e1",
    "1_4",
    "{k}_",
    "{k} {k}",
    "{k} {n}",
    "{k}\t{n}",
    "{k};{n}",
    "{k},",
    ",{k}",
    "{k}, {n}",
    "{n}, {k}",
    "{k},,{k}",
    "{k}, x",
    "0, {n}",
    "{n}, 0",
    "\"{k}\"",
    "'{k}'",
    "({k})",
    "<{k}>",
    "",
    " ",
    "x",
    "null",
    "18446744073709551616",
    "18446744073709551630",
    "-1",
    "\u{663}",
    "\u{ff11}\u{ff14}",
    "99999999999999999999999999999999999999999",
    "{k}\r\n {n}",
];

/// Lengths that are right, if oddly written; all of the body is the form's.
const ODD_LENGTHS: [&str; 8] = [
    "Content-Length: 00{n}\r\n",
    "Content-Length: 0000000000000000000000000{n}\r\n",
    "Content-Length:{n}\r\n",
    "Content-Length:  \t {n} \t \r\n",
    "content-length: {n}\r\n",
    "cONTENT-lENGTH: {n}\r\n",
    "Content-Length: {n}\r\nContent-Length: {n}\r\n",
    "Content-Length: {n}, {n}\r\n",
];

/// Names that are not what they look like, beside a right length that covers all of the body.
const NOT_FRAMING: [&str; 14] = [
    "Content_Length: {k}\r\n",
    "X-Content-Length: {k}\r\n",
    "Content-Length-: {k}\r\n",
    "Content-Length2: {k}\r\n",
    "Contentlength: {k}\r\n",
    "Content--Length: {k}\r\n",
    "TE: chunked\r\n",
    "Trailer: Content-Length\r\n",
    "Transfer_Encoding: chunked\r\n",
    "X-Transfer-Encoding: chunked\r\n",
    "Transfer-Encodin: chunked\r\n",
    "Transfer-Encodings: chunked\r\n",
    "Transfer--Encoding: chunked\r\n",
    "Content-Encoding: chunked\r\n",
];

/// Lines of codings, good and bad.
const CODINGS: [&str; 46] = [
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunkedx\r\n",
    "Transfer-Encoding: chunked x\r\n",
    "Transfer-Encoding: x chunked\r\n",
    "Transfer-Encoding: chunk\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: cow\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: none\r\n",
    "Transfer-Encoding: \r\n",
    "Transfer-Encoding: 0\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity, chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked,\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding: chunked,,\r\n",
    "Transfer-Encoding: chunked, cow\r\n",
    "Transfer-Encoding: cow, chunked\r\n",
    "Transfer-Encoding: chunked;\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: chunked;q=0\r\n",
    "Transfer-Encoding: chunked; a=b\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: 'chunked'\r\n",
    "Transfer-Encoding: {chunked}\r\n",
    "Transfer-Encoding: chunked\r\n , identity\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding:\r\n\tchunked\r\n",
    "Transfer-Encoding: x\r\n chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
    "Transfer-Encoding: cow\r\ntransfer-encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chun\u{212a}ed\r\n",
    "Transfer-Encoding: \u{feff}chunked\r\n",
    "Transfer-Encoding: ch\u{17f}unked\r\n",
    "Transfer-Encoding: c h u n k e d\r\n",
    "Transfer-Encoding: =chunked\r\n",
    "Transfer-Encoding; chunked\r\n",
];

/// Codings that are `chunked` for every reader: a second framing beside them is what is tried.
const PLAIN_CODINGS: [&str; 6] = [
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:chunked\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: Chunked\r\n",
    "Transfer-Encoding: CHUNKED\r\n",
    "Transfer-Encoding: \t chunked \t \r\n",
];

fn filled(text: &str, short: usize, whole: usize) -> String {
    text.replace("{k}", &short.to_string())
        .replace("{n}", &whole.to_string())
}

pub fn lengths(maker: &Maker) -> Vec<Payload> {
    let hidden = maker.hidden();
    let body = format!("{FORM}{hidden}");
    let (short, whole) = (FORM.len(), body.len());
    let mut out = Vec::new();
    let mut add = |name: String, head: String, body: &str| {
        out.push(Payload::bad(name, format!("{head}{body}")));
    };
    for bad in BAD_LENGTHS {
        let length = format!("Content-Length: {}\r\n", filled(bad, short, whole));
        let good = format!("Content-Length: {whole}\r\n");
        let head = maker.post(&length);
        add(format!("the length `{bad}`"), head, &body);
        let head = maker.post(&format!("{good}{length}"));
        add(format!("a length and `{bad}`"), head, &body);
        let head = maker.post(&format!("{length}{good}"));
        add(format!("`{bad}` and a length"), head, &body);
        let length = format!("Content-Length: {}\r\n", filled(bad, 0, hidden.len()));
        let head = maker.get(&length);
        add(format!("a read with the length `{bad}`"), head, &hidden);
    }
    for (one, other) in [(short, whole), (whole, short), (0, whole), (whole, 0)] {
        for lines in [
            format!("Content-Length: {one}\r\nContent-Length: {other}\r\n"),
            format!("Content-Length: {one}\r\ncontent-length: {other}\r\n"),
            format!("Content-Length: {one}\r\nX: y\r\nContent-Length: {other}\r\n"),
            format!(
                "Content-Length: {one}\r\nContent-Length: {one}\r\nContent-Length: {other}\r\n"
            ),
        ] {
            add(
                format!("the lengths {one} and {other}"),
                maker.post(&lines),
                &body,
            );
        }
    }
    let mut add = |name: String, head: String, body: &str| {
        out.push(Payload::new(name, format!("{head}{body}")));
    };
    for odd in ODD_LENGTHS {
        let head = maker.post(&filled(odd, short, whole));
        add(format!("`{odd}` that covers all"), head, &body);
        let head = maker.get(&filled(odd, 0, hidden.len()));
        add(format!("a read with a body by `{odd}`"), head, &hidden);
    }
    let huge = maker.get("Content-Length: 9223372036854775808\r\n");
    add("a read with a huge length".to_owned(), huge, &hidden);
    for fake in NOT_FRAMING {
        let whole = whole + 5;
        for lines in [
            format!("Content-Length: {whole}\r\n{}", filled(fake, short, whole)),
            format!("{}Content-Length: {whole}\r\n", filled(fake, short, whole)),
        ] {
            let body = format!("0\r\n\r\n{body}");
            add(format!("a length and `{fake}`"), maker.post(&lines), &body);
        }
    }
    out
}

pub fn codings(maker: &Maker) -> Vec<Payload> {
    let hidden = maker.hidden();
    let behind = format!("{}{hidden}", chunked(FORM));
    let inside = chunked(&hidden);
    let size = inside.find('\n').map_or(0, |at| at + 1);
    let mut out = Vec::new();
    let mut add = |name: String, head: String, body: &str| {
        out.push(Payload::bad(name, format!("{head}{body}")));
    };
    for coding in CODINGS {
        add(format!("`{coding}` alone"), maker.post(coding), &behind);
        let body = format!("0\r\n\r\n{hidden}");
        add(format!("a read with `{coding}`"), maker.get(coding), &body);
    }
    for coding in CODINGS.iter().chain(&PLAIN_CODINGS) {
        for (what, length, body) in [
            ("a length over all", behind.len(), &behind),
            ("a length of the first line", size, &inside),
        ] {
            let length = format!("Content-Length: {length}\r\n");
            let head = maker.post(&format!("{length}{coding}"));
            add(format!("{what}, then `{coding}`"), head, body);
            let head = maker.post(&format!("{coding}{length}"));
            add(format!("`{coding}`, then {what}"), head, body);
        }
    }
    for coding in PLAIN_CODINGS {
        let old = maker.post(coding).replacen("HTTP/1.1", "HTTP/1.0", 1);
        add(format!("HTTP/1.0 and `{coding}`"), old, &behind);
        let body = format!("0\r\n\r\n{hidden}");
        let length = format!("Content-Length: {}\r\n{coding}", body.len());
        add(
            format!("a read with a length and `{coding}`"),
            maker.get(&length),
            &body,
        );
    }
    out
}

/// One odd byte at each place around the framing headers.
pub fn bytes_around(maker: &Maker) -> Vec<Payload> {
    let hidden = maker.hidden();
    let odd = (0u8..=0x20).chain([0x7f, 0x80, 0x85, 0xa0, 0xff]);
    let mut out = Vec::new();
    for byte in odd {
        let blank = matches!(byte, b' ' | b'\t');
        for (before, after, lenient) in [
            ("Content-Length", ": {k}\r\n", false),
            ("", "Content-Length: {k}\r\n", false),
            ("Content-Length:", "{k}\r\n", true),
            ("Content-Length: {k}", "\r\n", true),
            ("Transfer-Encoding", ": chunked\r\n", false),
            ("", "Transfer-Encoding: chunked\r\n", false),
            ("Transfer-Encoding:", "chunked\r\n", true),
            ("Transfer-Encoding: chunked", "\r\n", true),
            ("Transfer-Encoding: chun", "ked\r\n", false),
        ] {
            if blank && lenient {
                continue;
            }
            let by_length = before.contains("Length") || after.contains("Length");
            let body = if by_length {
                format!("{FORM}{hidden}")
            } else {
                format!("{}{hidden}", chunked(FORM))
            };
            let mark = "\u{1}\u{1}";
            let line = filled(&format!("{before}{mark}{after}"), FORM.len(), 0);
            let text = format!("{}{body}", maker.post(&line));
            let at = text.find(mark).unwrap_or_default();
            let (head, rest) = text.split_at(at);
            let bytes = [head.as_bytes(), &[byte], &rest.as_bytes()[mark.len()..]].concat();
            let name = format!("byte {byte:#04x} between `{before}` and `{after}`");
            out.push(Payload::bad(name, bytes));
        }
    }
    out
}
