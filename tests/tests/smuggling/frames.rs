//! HTTP/2: lengths that aren't the body's, trailers that aren't trailers, frames out of order,
//! header blocks coded wrongly.

use chartward_tests::h2::{END_HEADERS, END_STREAM, PADDED, block, frame, kind};

use super::fields::{Outer, headers};
use super::payload::{FORM, Maker, Payload, chunked};

pub fn all(maker: &Maker) -> Vec<Payload> {
    [lengths(maker), trailers(maker), order(maker), coding(maker)].concat()
}

/// Content-Length that isn't what comes.
fn lengths(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    let hidden = maker.hidden();
    let whole = format!("{FORM}{hidden}");
    let (k, n) = (FORM.len(), whole.len());
    for length in [
        "0",
        "1",
        "{k}",
        "+{k}",
        "-1",
        "{n}0",
        "0x{n}",
        "{k}, {n}",
        "{n}, {k}",
        "",
        " {n}",
        "x",
        "18446744073709551616",
        "00{k}",
        "{n}.0",
        "\"{n}\"",
        "99999999999999999999999999999999",
    ] {
        let length = length
            .replace("{k}", &k.to_string())
            .replace("{n}", &n.to_string());
        let post = Outer::post(maker)
            .add("content-length", &length)
            .data(&whole);
        out.push(post.payload(format!("the length `{length}` of {n}")));
        let get = Outer::get(maker)
            .add("content-length", &length)
            .data(&hidden);
        out.push(get.payload(format!("a read with the length `{length}` and data")));
        if length != "0" {
            let get = Outer::get(maker).add("content-length", &length);
            out.push(get.payload(format!("a read with the length `{length}` and nothing")));
        }
        let twice = Outer::post(maker)
            .add("content-length", n.to_string())
            .add("content-length", &length);
        out.push(
            twice
                .data(&whole)
                .payload(format!("the lengths {n} and `{length}`")),
        );
    }
    out.push(
        Outer::post(maker)
            .data(&whole)
            .payload("no length, a hidden request"),
    );
    out.push(
        Outer::post(maker)
            .data(chunked(FORM))
            .payload("chunks as data"),
    );
    out.push(
        Outer::get(maker)
            .data(&hidden)
            .payload("a read with a hidden request"),
    );
    let right = Outer::post(maker)
        .add("content-length", n.to_string())
        .data(&whole);
    out.push(right.payload("a right length over a hidden request"));
    out
}

fn trailers(maker: &Maker) -> Vec<Payload> {
    let mut out = Vec::new();
    let hidden = maker.hidden();
    for (name, value) in [
        (":path", "/fhir/Patient/hidden-0000"),
        (":method", "DELETE"),
        (":status", "200"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("content-length", "9"),
        ("host", "other.invalid"),
        ("authorization", "Bearer x"),
        ("x-request-id", "hidden-0000"),
        ("connection", "close"),
        ("X-Odd", "y"),
        ("x-odd", "a\r\nb"),
        ("x odd", "y"),
        ("x-odd", "y"),
        ("expect", "100-continue"),
        ("x-http-method-override", "DELETE"),
        ("x-odd", hidden.as_str()),
    ] {
        let outer = Outer::post(maker);
        let trailer = block(&[(name, value)]);
        for (what, flags) in [("", END_STREAM), (" without the stream's end", 0)] {
            let mut bytes = headers(&outer.block(), 0);
            bytes.extend(frame(kind::DATA, 0, 1, FORM.as_bytes()));
            bytes.extend(headers(&trailer, flags));
            let name = format!(
                "the trailer `{name}: {:.12}`{what}",
                value.escape_debug().to_string()
            );
            out.push(Payload::bad(name, bytes));
        }
    }
    out
}

/// Frames that stand where they may not.
fn order(maker: &Maker) -> Vec<Payload> {
    let get = Outer::get(maker).block();
    let post = Outer::post(maker).block();
    let hidden = maker.hidden();
    let form = |flags, stream| frame(kind::DATA, flags, stream, FORM.as_bytes());
    let open = || headers(&post, 0);
    let whole = || headers(&get, END_STREAM);
    let with = |parts: &[Vec<u8>]| parts.concat();
    let padded = |pad: u8, bytes: &[u8], padding: &[u8]| [&[pad], bytes, padding].concat();
    let end = END_HEADERS | END_STREAM;
    let (left, right) = get.split_at(get.len() / 2);
    let hidden_block = block(&maker.fields("hidden-0000"));
    let pad = &hidden.as_bytes()[..200];
    [
        (
            "two header blocks on a stream",
            with(&[whole(), headers(&hidden_block, END_STREAM)]),
        ),
        (
            "two header blocks on an open stream",
            with(&[open(), headers(&hidden_block, END_STREAM)]),
        ),
        (
            "two header blocks around data",
            with(&[open(), form(0, 1), headers(&hidden_block, END_STREAM)]),
        ),
        (
            "data after the end",
            with(&[whole(), frame(kind::DATA, END_STREAM, 1, hidden.as_bytes())]),
        ),
        (
            "data on an idle stream",
            with(&[whole(), form(END_STREAM, 3)]),
        ),
        ("data on stream 0", with(&[whole(), form(END_STREAM, 0)])),
        (
            "headers on stream 0",
            with(&[whole(), frame(kind::HEADERS, end, 0, &hidden_block)]),
        ),
        (
            "headers on an even stream",
            with(&[whole(), frame(kind::HEADERS, end, 2, &hidden_block)]),
        ),
        (
            "a promise by the caller",
            with(&[
                whole(),
                frame(
                    kind::PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[&[0, 0, 0, 2], &hidden_block[..]].concat(),
                ),
            ]),
        ),
        (
            "a block in two frames",
            with(&[
                frame(kind::HEADERS, END_STREAM, 1, left),
                frame(kind::CONTINUATION, END_HEADERS, 1, right),
            ]),
        ),
        (
            "a block in two frames of two streams",
            with(&[
                frame(kind::HEADERS, END_STREAM, 1, left),
                frame(kind::CONTINUATION, END_HEADERS, 3, right),
            ]),
        ),
        (
            "data within a block",
            with(&[
                frame(kind::HEADERS, 0, 1, left),
                form(0, 1),
                frame(kind::CONTINUATION, END_HEADERS, 1, right),
            ]),
        ),
        (
            "another request within a block",
            with(&[
                frame(kind::HEADERS, END_STREAM, 1, left),
                frame(kind::HEADERS, end, 3, &hidden_block),
                frame(kind::CONTINUATION, END_HEADERS, 1, right),
            ]),
        ),
        (
            "a ping within a block",
            with(&[
                frame(kind::HEADERS, END_STREAM, 1, left),
                frame(kind::PING, 0, 0, &[0; 8]),
                frame(kind::CONTINUATION, END_HEADERS, 1, right),
            ]),
        ),
        (
            "a continuation of nothing",
            with(&[
                frame(kind::CONTINUATION, END_HEADERS, 1, &hidden_block),
                whole(),
            ]),
        ),
        (
            "a continuation after the end",
            with(&[
                whole(),
                frame(kind::CONTINUATION, END_HEADERS, 1, &hidden_block),
            ]),
        ),
        (
            "a request in the padding of data",
            with(&[
                open(),
                frame(
                    kind::DATA,
                    PADDED | END_STREAM,
                    1,
                    &padded(200, FORM.as_bytes(), pad),
                ),
            ]),
        ),
        (
            "a request in the padding of headers",
            frame(kind::HEADERS, PADDED | end, 1, &padded(200, &get, pad)),
        ),
        (
            "padding longer than the frame",
            with(&[
                open(),
                frame(
                    kind::DATA,
                    PADDED | END_STREAM,
                    1,
                    &padded(255, FORM.as_bytes(), b""),
                ),
            ]),
        ),
        (
            "padded headers without padding",
            frame(kind::HEADERS, PADDED | end, 1, b""),
        ),
        (
            "a frame of an unknown type",
            with(&[frame(0x77, 0xff, 1, hidden.as_bytes()), whole()]),
        ),
        (
            "an unknown frame in an open stream",
            with(&[
                open(),
                frame(0x77, 0xff, 1, hidden.as_bytes()),
                form(END_STREAM, 1),
            ]),
        ),
        (
            "a reset and data",
            with(&[
                open(),
                frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
                form(END_STREAM, 1),
            ]),
        ),
        (
            "a reset at once",
            with(&[whole(), frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])]),
        ),
        (
            "a stream that depends on itself",
            frame(
                kind::HEADERS,
                end | 0x20,
                1,
                &[&[0, 0, 0, 1, 0], &get[..]].concat(),
            ),
        ),
        (
            "empty data between",
            with(&[
                open(),
                form(0, 1),
                frame(kind::DATA, 0, 1, b"").repeat(20),
                frame(kind::DATA, END_STREAM, 1, b""),
            ]),
        ),
        (
            "a form byte by byte",
            with(&[
                open(),
                // the number at its end stays whole
                FORM[..9]
                    .bytes()
                    .flat_map(|b| frame(kind::DATA, 0, 1, &[b]))
                    .collect(),
                frame(kind::DATA, 0, 1, &FORM.as_bytes()[9..]),
                frame(kind::DATA, END_STREAM, 1, b""),
            ]),
        ),
        (
            "a frame longer than agreed",
            with(&[open(), frame(kind::DATA, END_STREAM, 1, &[b'a'; 16_385])]),
        ),
        (
            "settings of another stream",
            with(&[frame(kind::SETTINGS, 0, 1, b""), whole()]),
        ),
        (
            "settings cut short",
            with(&[frame(kind::SETTINGS, 0, 0, &[0, 3, 0]), whole()]),
        ),
        (
            "settings with a window too large",
            with(&[
                frame(kind::SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
                whole(),
            ]),
        ),
        (
            "settings that enable push",
            with(&[frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 1]), whole()]),
        ),
        (
            "a window of nothing more",
            with(&[
                open(),
                frame(kind::WINDOW_UPDATE, 0, 1, &[0; 4]),
                form(END_STREAM, 1),
            ]),
        ),
        (
            "a window that overflows",
            with(&[
                open(),
                frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
                form(END_STREAM, 1),
            ]),
        ),
        (
            "a ping of seven bytes",
            with(&[frame(kind::PING, 0, 0, &[0; 7]), whole()]),
        ),
        ("a request as text", hidden.clone().into_bytes()),
        (
            "the preface again",
            with(&[chartward_tests::h2::PREFACE.to_vec(), whole()]),
        ),
        (
            "a request as text behind another",
            with(&[whole(), hidden.clone().into_bytes()]),
        ),
    ]
    .map(|(name, bytes)| Payload::new(name, bytes))
    .to_vec()
}

/// Header blocks that are coded wrongly, or in a way of their own.
fn coding(maker: &Maker) -> Vec<Payload> {
    let get = Outer::get(maker).block();
    let literal = |name: &[u8], value: &[u8]| [&[0], name, value].concat();
    [
        ("an index of nothing", vec![0x80]),
        ("an index beyond the tables", vec![0xff, 0x80, 0x01]),
        ("an index without end", [&[0xff][..], &[0xff; 12]].concat()),
        (
            "a table larger than agreed",
            vec![0x3f, 0xff, 0xff, 0xff, 0x07],
        ),
        ("a table size after a field", [&get[..], &[0x20]].concat()),
        ("a name longer than the block", literal(&[0x7e, b'x'], b"")),
        (
            "a value longer than the block",
            literal(b"\x01x", &[0x7e, b'y']),
        ),
        (
            "a Huffman code of ends",
            literal(b"\x01x", &[0x84, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "a Huffman code with wrong padding",
            literal(b"\x01x", &[0x81, 0x00]),
        ),
        (
            "a Huffman code of CR and LF",
            literal(
                b"\x01x",
                &[0x88, 0xff, 0xff, 0xff, 0xbf, 0xff, 0xff, 0xff, 0x3f],
            ),
        ),
        ("static fields before", [&[0x82, 0x84][..], &get].concat()),
        ("static fields behind", [&get[..], &[0x82, 0x85]].concat()),
        (
            "a status from the static table",
            [&[0x88][..], &get].concat(),
        ),
        (
            "a field that is kept and told again",
            [&get[..], &[0x40, 5], b"x-odd", &[1, b'y'], &[0xbe]].concat(),
        ),
    ]
    .into_iter()
    .flat_map(|(name, block)| {
        let alone = Payload::new(format!("{name}, alone"), headers(&block, END_STREAM));
        let behind = [&get[..], &block].concat();
        let behind = Payload::new(
            format!("{name}, behind a request"),
            headers(&behind, END_STREAM),
        );
        [alone, behind]
    })
    .collect()
}
