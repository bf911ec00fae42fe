//! A connection for each payload: the payload, then two good reads, `first` and `last`. What comes
//! back is told apart by request id and by the row in it.

use std::time::Duration;

use chartward_tests::client::holds;
use chartward_tests::h2::{END_HEADERS, END_STREAM, Frames, block, frame, kind};
use chartward_tests::raw::End;
use chartward_tests::{Gateway, Raw};

use super::payload::{Maker, Payload, numbered};

/// Longer than the gateway's own deadlines for a head and a body together.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a payload.
pub struct Outcome {
    /// What must not be, if anything.
    pub faults: Vec<String>,
    /// The status of the payload's own answer.
    pub status: Option<u16>,
    /// Good reads that were answered afterwards.
    pub followed: usize,
}

/// One HTTP/1.1 answer.
struct Answer {
    status: u16,
    id: Option<String>,
    bytes: Vec<u8>,
}

impl Answer {
    fn read(bytes: Vec<u8>) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-request-id")
                .then(|| value.trim().to_owned())
        };
        Self {
            status: head.get(9..12).and_then(|c| c.parse().ok()).unwrap_or(0),
            id: head.lines().find_map(header),
            bytes,
        }
    }
}

/// The payload, its answer; a good read, its answer; another.
pub fn in_turn(gateway: &Gateway, maker: &Maker, payload: &Payload, number: usize) -> Outcome {
    let mut raw = gateway.raw();
    let mut answers = Vec::new();
    let [first, last] = follow(maker, number);
    let mut end = None;
    for (turn, bytes) in [payload.numbered(number), first, last].iter().enumerate() {
        // a connection that is closed may still have answered
        raw.send(bytes);
        match answer(&mut raw) {
            Ok(answer) => answers.push(answer),
            // nothing to answer in it, or not yet
            Err((_, End::Silent)) if turn == 0 => {}
            Err((rest, how)) => {
                end = Some((rest, how));
                break;
            }
        }
    }
    let (rest, how) = end.unwrap_or_else(|| raw.read_all(PATIENCE));
    judge(answers, &rest, how, number)
}

/// The payload and both good reads in one write.
pub fn at_once(gateway: &Gateway, maker: &Maker, payload: &Payload, number: usize) -> Outcome {
    let mut raw = gateway.raw();
    let mut bytes = payload.numbered(number);
    bytes.extend(follow(maker, number).concat());
    raw.send(&bytes);
    let mut answers = Vec::new();
    let (rest, how) = loop {
        match answer(&mut raw) {
            Ok(answer) => answers.push(answer),
            Err(end) => break end,
        }
    };
    judge(answers, &rest, how, number)
}

fn follow(maker: &Maker, number: usize) -> [Vec<u8>; 2] {
    let first = maker.read("first-0000", "");
    let last = maker.read("last-0000", "Connection: close\r\n");
    [first, last].map(|text| numbered(text.as_bytes(), number))
}

/// The next answer that isn't interim.
fn answer(raw: &mut Raw) -> Result<Answer, (Vec<u8>, End)> {
    loop {
        let answer = Answer::read(raw.read_answer_within(PATIENCE)?);
        if answer.status >= 200 {
            return Ok(answer);
        }
    }
}

fn judge(answers: Vec<Answer>, rest: &[u8], end: End, number: usize) -> Outcome {
    let mut faults = Vec::new();
    if end == End::Silent {
        faults.push("the connection is silent and open".to_owned());
    }
    if !rest.is_empty() && end == End::Closed {
        faults.push("the connection ended in an answer".to_owned());
    }
    let id = |name: &str| format!("{name}-{number:04}");
    let (outer, hidden) = (id("outer"), id("hidden"));
    let mut awaited = vec![id("last"), id("first")];
    let (mut own, mut followed) = (0, 0);
    for (place, answer) in answers.iter().enumerate() {
        let name = answer.id.as_deref().unwrap_or("");
        if holds(&answer.bytes, hidden.as_bytes()) {
            faults.push("the hidden request was answered".to_owned());
        }
        if let Some(expected) = awaited.pop_if(|awaited| awaited == name) {
            followed += 1;
            if answer.status != 200 || !holds(&answer.bytes, row(&expected).as_bytes()) {
                faults.push(format!("`{expected}` got another's answer"));
            }
            continue;
        }
        if answer.id.is_none() {
            // answered before it was a request: the last word on the connection
            if place + 1 != answers.len() || !(400..600).contains(&answer.status) {
                faults.push(format!("a nameless {} and no end", answer.status));
            }
            continue;
        }
        own += 1;
        if own > 1 || followed > 0 || awaited.contains(&name.to_owned()) {
            faults.push(format!("answer {place} is one too many: `{name}`"));
        }
        if answer.status == 200 && !holds(&answer.bytes, row(&outer).as_bytes()) {
            faults.push(format!("answer {place} is of another row"));
        }
    }
    Outcome {
        faults,
        status: answers.first().map(|answer| answer.status),
        followed,
    }
}

fn row(id: &str) -> String {
    format!("\"id\":\"{id}\"")
}

/// The payload's frames, then two good reads on streams of their own.
pub fn over_h2(gateway: &Gateway, maker: &Maker, payload: &Payload, number: usize) -> Outcome {
    let mut frames = Frames::open(gateway.raw_h2());
    frames.send(&payload.numbered(number));
    frames.wait(&[1], PATIENCE / 2);
    let mut faults = Vec::new();
    for (stream, name) in [(11, "first"), (13, "last")] {
        let fields = maker.fields(&format!("{name}-0000"));
        let block = numbered(&block(&fields), number);
        let headers = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block);
        frames.send(&headers);
    }
    frames.wait(&[11, 13], PATIENCE);
    let closed = frames.end.is_some() || frames.goaway.is_some();
    let mut followed = 0;
    let id = |name: &str| format!("{name}-{number:04}");
    for (stream, came) in &frames.streams {
        if holds(&came.body, id("hidden").as_bytes()) {
            faults.push(format!("the hidden request was answered on {stream}"));
        }
        let expected = match stream {
            11 => id("first"),
            13 => id("last"),
            _ => id("outer"),
        };
        let own = holds(&came.body, row(&expected).as_bytes());
        if came.status == Some(200) && came.ended && !own {
            faults.push(format!("stream {stream} is of another row"));
        }
        followed += usize::from(*stream > 10 && own && came.ended);
    }
    if !closed && followed < 2 {
        faults.push("the connection is open and a good read wasn't answered".to_owned());
    }
    Outcome {
        faults,
        status: frames.streams.get(&1).and_then(|came| came.status),
        followed,
    }
}

impl Maker {
    /// The fields of a good read of `Patient/{id}` over HTTP/2.
    pub fn fields(&self, id: &str) -> Vec<(String, String)> {
        [
            (":method", "GET".to_owned()),
            (":scheme", "https".to_owned()),
            (":authority", self.host.clone()),
            (":path", format!("/fhir/Patient/{id}")),
            ("authorization", format!("Bearer {}", self.token)),
            ("x-request-id", id.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
