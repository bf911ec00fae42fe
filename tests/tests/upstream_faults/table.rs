//! What an upstream can do wrong with one answer, and what the caller must get for it.

use std::time::Duration;

use chartward_tests::Script;

use super::SECRET;

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The answer, judged and masked: nothing was wrong with it.
    Answer,
    /// This status and reason.
    Refusal(u16, &'static str),
}

use Wanted::{Answer, Refusal};

const GONE: Wanted = Refusal(502, "upstream-unavailable");
const INVALID: Wanted = Refusal(502, "upstream-invalid");
const LATE: Wanted = Refusal(504, "upstream-unavailable");

/// A fault: what it does with a body that would be right.
pub struct Fault {
    pub name: &'static str,
    pub read: Wanted,
    pub search: Wanted,
    pub script: Spoil,
}

type Spoil = Box<dyn Fn(&[u8]) -> Script + Send + Sync>;

const JSON: &str = "Content-Type: application/fhir+json\r\n";
const MOMENT: Duration = Duration::from_millis(100);

fn fault(
    name: &'static str,
    wanted: Wanted,
    script: impl Fn(&[u8]) -> Script + Send + Sync + 'static,
) -> Fault {
    Fault {
        name,
        read: wanted,
        search: wanted,
        script: Box::new(script),
    }
}

/// Where a search is answered otherwise than a read.
fn apart(mut fault: Fault, search: Wanted) -> Fault {
    fault.search = search;
    fault
}

fn raw(text: impl AsRef<[u8]>) -> Script {
    Script::new().send(text.as_ref())
}

/// A head of these lines and the body after it.
fn with(lines: &str, body: &[u8]) -> Script {
    raw(format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).send(body)
}

/// A right head for this body.
fn head(body: &[u8]) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{JSON}Content-Length: {}\r\n\r\n",
        body.len()
    )
}

/// A right answer, but for the body.
fn instead(change: impl Fn(&[u8]) -> Vec<u8>) -> impl Fn(&[u8]) -> Script {
    move |body| {
        let body = change(body);
        raw(head(&body)).send(&body)
    }
}

fn of_type(lines: &'static str) -> impl Fn(&[u8]) -> Script {
    move |body| Script::whole(200, lines, body)
}

fn status(status: u16, lines: &'static str) -> impl Fn(&[u8]) -> Script {
    move |body| Script::whole(status, lines, body)
}

fn outcome(status: u16, lines: &'static str) -> impl Fn(&[u8]) -> Script {
    move |_| {
        let text = format!(
            r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"exception","diagnostics":"{SECRET}"}}]}}"#
        );
        Script::whole(status, &format!("{JSON}{lines}"), text.as_bytes())
    }
}

fn half(body: &[u8]) -> &[u8] {
    &body[..body.len() / 2]
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(&[u8]) -> Vec<u8> {
    move |body| {
        let text = String::from_utf8_lossy(body).replacen(from, to, 1);
        text.into_bytes()
    }
}

/// A head that announces chunks, and this after it.
fn chunks(text: impl AsRef<[u8]>) -> Script {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    raw(head).send(text.as_ref())
}

/// Then this in chunks of 16 KiB, without the last one.
pub fn in_chunks(script: Script, text: &[u8]) -> Script {
    text.chunks(16 << 10).fold(script, |script, piece| {
        let size = format!("{:x}\r\n", piece.len());
        script.send(&[size.as_bytes(), piece, b"\r\n"].concat())
    })
}

/// Faults of the connection and of the head.
pub fn heads() -> Vec<Fault> {
    let length = |value: &'static str| {
        move |body: &[u8]| with(&format!("{JSON}Content-Length: {value}\r\n"), body).close()
    };
    vec![
        fault("close-unanswered", GONE, |_| Script::new().close()),
        fault("reset-unanswered", GONE, |_| Script::new().reset()),
        fault("head-cut", GONE, |_| {
            raw("HTTP/1.1 200 OK\r\nContent-Ty").close()
        }),
        fault("head-reset", GONE, |_| {
            raw("HTTP/1.1 200 OK\r\nContent-Ty").reset()
        }),
        fault("head-garbage", INVALID, |_| {
            raw("\x00\x01\x02garbage\r\n\r\n").close()
        }),
        fault("head-tls-alert", INVALID, |_| {
            raw(b"\x15\x03\x01\x00\x02\x02\x46").close()
        }),
        fault("silence", LATE, |_| Script::new().wait(MOMENT * 12)),
        fault("head-slow", LATE, |_| {
            (0..12).fold(raw("HTTP/1.1 200 OK\r\n"), |script, n| {
                script.wait(MOMENT).send(format!("X-{n}: 1\r\n").as_bytes())
            })
        }),
        fault("continue-first", Answer, |body| {
            raw("HTTP/1.1 100 Continue\r\n\r\n")
                .send(head(body).as_bytes())
                .send(body)
        }),
        fault("early-hints-first", Answer, |body| {
            raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                .send(head(body).as_bytes())
                .send(body)
        }),
        fault("continue-only", LATE, |_| {
            raw("HTTP/1.1 100 Continue\r\n\r\n").wait(MOMENT * 12)
        }),
        fault("switching-protocols", INVALID, |body| {
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
                .send(body)
                .close()
        }),
        fault("http-0.9", INVALID, |body| raw(body).close()),
        fault("http-2-preface", INVALID, |_| {
            raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").close()
        }),
        fault("http-2-settings", INVALID, |_| {
            raw(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").close()
        }),
        fault("http-3.0", INVALID, |body| {
            raw(head(body).replace("1.1", "3.0")).send(body).close()
        }),
        fault("status-of-two-digits", INVALID, |body| {
            raw(head(body).replace("200", "20")).send(body).close()
        }),
        fault("head-giant", INVALID, |body| {
            with(&format!("X: {}\r\n{JSON}", "y".repeat(200 << 10)), body).close()
        }),
        fault("head-of-many", INVALID, |body| {
            with(&format!("{}{JSON}", "X: y\r\n".repeat(500)), body).close()
        }),
        fault("head-bare-lf", Answer, |body| {
            raw(head(body).replace("\r\n", "\n")).send(body)
        }),
        fault("head-folded", INVALID, |body| {
            with("X: a\r\n b\r\nContent-Length: 2\r\n", body).close()
        }),
        fault("head-space-before-colon", INVALID, |body| {
            with(&format!("{JSON}Content-Length : 2\r\n"), body).close()
        }),
        fault("head-nul", INVALID, |body| {
            with("X: a\0b\r\n", body).close()
        }),
        // lengths
        fault("length-twice-the-same", Answer, |body| {
            let line = format!("Content-Length: {}\r\n", body.len());
            with(&format!("{JSON}{line}{line}"), body)
        }),
        fault("length-twice-differing", INVALID, |body| {
            let lines = format!("Content-Length: {}\r\nContent-Length: 2\r\n", body.len());
            with(&format!("{JSON}{lines}"), body).close()
        }),
        fault("length-listed-differing", INVALID, length("3, 9")),
        fault("length-negative", INVALID, length("-5")),
        fault("length-signed", INVALID, length("+5")),
        fault("length-hex", INVALID, length("0x10")),
        fault("length-overflow", INVALID, length("99999999999999999999")),
        fault("length-and-chunks", Answer, |body| {
            let chunk = format!("{:x}\r\n", body.len());
            with(
                &format!("{JSON}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
                chunk.as_bytes(),
            )
            .send(body)
            .send(b"\r\n0\r\n\r\n")
        }),
        fault("length-too-large", GONE, |body| {
            let lines = format!("{JSON}Content-Length: {}\r\n", body.len() + 9);
            with(&lines, body).close()
        }),
        fault("length-huge", GONE, |body| {
            with(&format!("{JSON}Content-Length: 1000000000000\r\n"), body).close()
        }),
        fault("length-too-small", INVALID, |body| {
            with(
                &format!("{JSON}Content-Length: {}\r\n", body.len() - 9),
                body,
            )
        }),
        fault("length-none-until-close", Answer, |body| {
            with(JSON, body).close()
        }),
        fault("length-none-cut", INVALID, |body| {
            with(JSON, half(body)).close()
        }),
        fault("length-none-http-1.0", Answer, |body| {
            raw(format!("HTTP/1.0 200 OK\r\n{JSON}\r\n"))
                .send(body)
                .close()
        }),
    ]
}

/// Faults of the body, its framing and its meaning.
pub fn bodies() -> Vec<Fault> {
    let chunked = |body: &[u8]| chunks(format!("{:x}\r\n", body.len())).send(body);
    vec![
        fault("chunk-size-garbage", GONE, move |body| {
            chunks(b"zz\r\n").send(body).close()
        }),
        fault("chunk-size-negative", GONE, move |body| {
            chunks(b"-4\r\n").send(body).close()
        }),
        fault("chunk-size-overflow", GONE, move |body| {
            chunks(b"fffffffffffffffff\r\n").send(body).close()
        }),
        fault("chunk-cut", GONE, move |body| {
            let size = format!("{:x}\r\n", body.len());
            chunks(size).send(half(body)).close()
        }),
        fault("chunk-last-missing", GONE, move |body| {
            chunked(body).send(b"\r\n").close()
        }),
        fault("chunk-longer-than-said", GONE, move |body| {
            chunked(body)
                .send(b"more than was said\r\n0\r\n\r\n")
                .close()
        }),
        fault("chunk-trailers", Answer, move |body| {
            chunked(body).send(format!("\r\n0\r\nX-Note: {SECRET}\r\n\r\n").as_bytes())
        }),
        fault("chunk-extension", Answer, move |body| {
            let size = format!("{:x};note=\"{SECRET}\"\r\n", body.len());
            chunks(size).send(body).send(b"\r\n0\r\n\r\n")
        }),
        fault("chunk-bytewise", Answer, move |body| {
            let mut out = Vec::new();
            for byte in body {
                out.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
            }
            chunks(out).send(b"0\r\n\r\n")
        }),
        fault("coded-and-chunked", INVALID, |_| {
            with(
                &format!("{JSON}Transfer-Encoding: gzip, chunked\r\n"),
                b"4\r\n\x1f\x8b\x08\x00\r\n0\r\n\r\n",
            )
        }),
        fault("body-reset", GONE, |body| {
            raw(head(body)).send(half(body)).wait(MOMENT).reset()
        }),
        fault("body-stalls", LATE, |body| {
            raw(head(body)).send(half(body)).wait(MOMENT * 12)
        }),
        fault("body-slow", LATE, |body| {
            let pieces = body.chunks(body.len() / 40 + 1);
            pieces.fold(raw(head(body)), |script, piece| {
                script.send(piece).wait(MOMENT)
            })
        }),
        fault("json-cut", INVALID, instead(|body| half(body).to_vec())),
        fault("json-empty", INVALID, instead(|_| Vec::new())),
        fault(
            "json-not",
            INVALID,
            instead(|_| format!("<html>{SECRET}").into_bytes()),
        ),
        fault(
            "json-bad",
            INVALID,
            instead(replaced("\"meta\":", "\"meta\" ")),
        ),
        fault(
            "json-single-quotes",
            INVALID,
            instead(replaced("\"meta\"", "'meta'")),
        ),
        fault(
            "json-nan",
            INVALID,
            instead(replaced("\"meta\":{", "\"active\":NaN,\"meta\":{")),
        ),
        fault(
            "json-two-documents",
            INVALID,
            instead(|body| [body, body].concat()),
        ),
        fault("json-tail", INVALID, instead(|body| [body, b"}"].concat())),
        fault(
            "json-bom",
            INVALID,
            instead(|body| [b"\xef\xbb\xbf", body].concat()),
        ),
        fault(
            "json-utf-16",
            INVALID,
            instead(|body| body.iter().flat_map(|byte| [*byte, 0]).collect()),
        ),
        fault(
            "json-not-utf-8",
            INVALID,
            instead(|body| {
                let at = body
                    .windows(5)
                    .position(|w| w == b"Shown")
                    .expect("it is there");
                let mut body = body.to_vec();
                body[at] = 0xff;
                body
            }),
        ),
        fault(
            "json-deep",
            INVALID,
            instead(|_| {
                format!(r#"{{"resourceType":"Patient","x":{}"#, "[".repeat(50_000)).into_bytes()
            }),
        ),
        fault(
            "json-array",
            INVALID,
            instead(|body| [b"[", body, b"]"].concat()),
        ),
        fault(
            "key-twice",
            INVALID,
            instead(replaced(
                "\"meta\":{",
                "\"resourceType\":\"Basic\",\"meta\":{",
            )),
        ),
        apart(
            fault(
                "type-another",
                INVALID,
                instead(replaced("Patient\"", "Procedure\"")),
            ),
            // rows of other types don't leave
            Answer,
        ),
        apart(
            fault(
                "id-another",
                INVALID,
                instead(replaced("\"id\":\"", "\"id\":\"x")),
            ),
            Answer,
        ),
        fault("row-too-large", INVALID, |body| {
            let text = String::from_utf8_lossy(body);
            let name = format!("\"Shown{}", "n".repeat(200 << 10));
            let text = text.replacen("\"Shown", &name, 1);
            in_chunks(chunks(""), text.as_bytes()).send(b"0\r\n\r\n")
        }),
        fault("bundle-for-row-and-back", INVALID, |body| {
            let turned = if body.starts_with(b"{\"resourceType\":\"Bundle") {
                super::patient("x")
            } else {
                super::bundle("x", 1)
            };
            Script::json(200, &turned)
        }),
        // types and codings
        fault("type-html", INVALID, of_type("Content-Type: text/html\r\n")),
        fault(
            "type-xml",
            INVALID,
            of_type("Content-Type: application/fhir+xml\r\n"),
        ),
        fault("type-none", INVALID, of_type("")),
        fault(
            "type-twice",
            INVALID,
            of_type("Content-Type: application/fhir+json\r\nContent-Type: text/html\r\n"),
        ),
        fault(
            "type-multipart",
            INVALID,
            of_type("Content-Type: multipart/mixed; boundary=x\r\n"),
        ),
        fault(
            "type-charset",
            INVALID,
            of_type("Content-Type: application/fhir+json; charset=utf-16\r\n"),
        ),
        fault("coding-gzip", INVALID, |_| {
            Script::whole(
                200,
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
            )
        }),
        fault("coding-gzip-cut", INVALID, |_| {
            let lines = format!("{JSON}Content-Encoding: gzip\r\n");
            Script::whole(200, &lines, b"\x1f\x8b\x08\x00\x00")
        }),
        fault(
            "coding-gzip-unsaid",
            INVALID,
            instead(|_| b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00".to_vec()),
        ),
        fault(
            "coding-br",
            INVALID,
            of_type("Content-Type: application/fhir+json\r\nContent-Encoding: br\r\n"),
        ),
        fault(
            "coding-identity",
            Answer,
            of_type("Content-Type: application/fhir+json\r\nContent-Encoding: identity\r\n"),
        ),
        // statuses
        fault("status-201", INVALID, status(201, JSON)),
        fault("status-204", INVALID, |_| {
            raw("HTTP/1.1 204 No Content\r\n\r\n")
        }),
        fault("status-204-with-body", INVALID, status(204, JSON)),
        fault(
            "status-206",
            INVALID,
            status(
                206,
                "Content-Type: application/fhir+json\r\nContent-Range: bytes 0-9/10\r\n",
            ),
        ),
        fault("status-299", INVALID, status(299, JSON)),
        fault(
            "status-301",
            INVALID,
            status(301, "Location: http://127.0.0.1:9/Hidden-4711\r\n"),
        ),
        fault(
            "status-302",
            INVALID,
            status(302, "Location: http://127.0.0.1:9/Hidden-4711\r\n"),
        ),
        fault(
            "status-307",
            INVALID,
            status(307, "Location: http://127.0.0.1:9/Hidden-4711\r\n"),
        ),
        fault(
            "status-308",
            INVALID,
            status(308, "Location: /fhir/Patient/other\r\n"),
        ),
        fault("status-304", INVALID, |_| {
            raw("HTTP/1.1 304 Not Modified\r\nETag: W/\"1\"\r\n\r\n")
        }),
        fault(
            "status-401",
            INVALID,
            outcome(401, "WWW-Authenticate: Bearer realm=\"Hidden-4711\"\r\n"),
        ),
        fault("status-403", INVALID, outcome(403, "")),
        apart(
            fault("status-404", Refusal(404, "not-found"), outcome(404, "")),
            Refusal(400, "upstream-rejected"),
        ),
        apart(
            fault("status-410", Refusal(404, "not-found"), outcome(410, "")),
            INVALID,
        ),
        fault("status-418", INVALID, outcome(418, "")),
        fault("status-429", GONE, outcome(429, "Retry-After: 9\r\n")),
        fault("status-500", GONE, outcome(500, "")),
        fault("status-502-html", GONE, |_| {
            Script::whole(502, "Content-Type: text/html\r\n", SECRET.as_bytes())
        }),
        fault(
            "status-503",
            GONE,
            outcome(503, "Retry-After: Hidden-4711\r\n"),
        ),
        fault("status-999", INVALID, outcome(999, "")),
        // connections that go on
        fault("kept-then-closed", Answer, |body| {
            raw(head(body)).send(body).close()
        }),
        fault("close-said-and-kept", Answer, |body| {
            let lines = format!(
                "{JSON}Connection: close\r\nContent-Length: {}\r\n",
                body.len()
            );
            with(&lines, body)
        }),
        fault("another-answer-at-once", Answer, |body| {
            let extra = super::patient("smuggled");
            let extra = [head(extra.as_bytes()), extra].concat();
            raw([head(body).as_bytes(), body, extra.as_bytes()].concat())
        }),
        fault("another-answer-after-a-moment", Answer, |body| {
            let extra = super::patient("smuggled");
            let extra = [head(extra.as_bytes()), extra].concat();
            raw(head(body))
                .send(body)
                .wait(Duration::from_millis(20))
                .send(extra.as_bytes())
        }),
        fault("garbage-after-the-answer", Answer, |body| {
            raw(head(body)).send(body).send(b"\r\n\r\n\0garbage")
        }),
    ]
}

/// What breaks a long answer after part of it has left: what is sent after the first half of the
/// body's chunks.
pub fn breaks() -> Vec<(&'static str, Script)> {
    let chunk = |text: &[u8]| {
        let size = format!("{:x}\r\n", text.len());
        [size.as_bytes(), text, b"\r\n"].concat()
    };
    let bytewise = (0..40).fold(Script::new(), |script, _| {
        script.send(&chunk(b" ")).wait(MOMENT)
    });
    vec![
        ("close", Script::new().close()),
        ("reset", Script::new().wait(MOMENT).reset()),
        ("stall", Script::new().wait(MOMENT * 12)),
        ("trickle", bytewise),
        ("chunk-size-garbage", raw("zz\r\nxx\r\n").wait(MOMENT)),
        ("chunk-cut", raw("ffff\r\n{\"resou").close()),
        ("ends-early", raw("0\r\n\r\n")),
        ("bad-json", raw(chunk(b"nonsense")).send(b"0\r\n\r\n")),
        ("row-that-cant-be-judged", {
            let row = r#",{"resource":{"resourceType":"Patient","id":"a","id":"b"}}]}"#;
            raw(chunk(row.as_bytes())).send(b"0\r\n\r\n")
        }),
        ("two-documents", raw(chunk(b"]}{}")).send(b"0\r\n\r\n")),
        ("last-chunk-missing", raw(chunk(b"]}")).close()),
        ("row-too-large", {
            let text = "n".repeat(200 << 10);
            let row = format!(
                r#",{{"resource":{{"resourceType":"Patient","id":"big","name":[{{"family":"{text}"}}]}}}}]}}"#
            );
            in_chunks(Script::new(), row.as_bytes()).send(b"0\r\n\r\n")
        }),
    ]
}
