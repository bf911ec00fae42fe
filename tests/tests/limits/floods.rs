//! HTTP/2 frames by the hundred thousand: memory, and other callers, don't notice.

use std::sync::Mutex;
use std::thread;

use chartward_tests::flood::{
    END_HEADERS, END_STREAM, Flooded, block, flood, frame, get, kind, preface, text as string,
};
use chartward_tests::need;

use super::*;

const FRAMES: usize = 100_000;
/// Connections that are flooded at least.
const LEAST: usize = 5;
/// What others may wait longer beside twice as long: flooder and gateway share the machine.
const SLACK: Duration = Duration::from_millis(25);
const OPEN: &str = "/fhir/Patient/p1";

/// Stream `n` of a caller.
fn stream(n: usize) -> u32 {
    2 * n as u32 + 1
}

/// What is sent before, and then over and over: the `n`-th time, and how many frames that is.
struct Kind {
    name: &'static str,
    before: Vec<u8>,
    frames: usize,
    next: Box<dyn Fn(usize) -> Vec<u8>>,
}

fn kinds(stage: &Stage) -> Vec<Kind> {
    let open = get(stage.gateway.address(), OPEN, &stage.token);
    let kind = |name, frames, next: Box<dyn Fn(usize) -> Vec<u8>>| Kind {
        name,
        before: preface(),
        frames,
        next,
    };
    let after = |name, before: &[u8], next: Box<dyn Fn(usize) -> Vec<u8>>| Kind {
        name,
        before: [&preface(), before].concat(),
        frames: 1,
        next,
    };
    // a form that never comes, so that its stream stays
    let address = stage.gateway.address().to_string();
    let form = block(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", &address),
        (":path", "/fhir/Patient/_search"),
        ("authorization", &format!("Bearer {}", stage.token)),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    let waiting = frame(kind::HEADERS, END_HEADERS, 1, &form);
    let begun = frame(kind::HEADERS, 0, 1, &open);
    // an entry of the dynamic table, and how it is named from then on
    let mut entry = vec![0x40];
    string(&mut entry, "x-bomb");
    string(&mut entry, &"b".repeat(3900));
    let mut planted = open.clone();
    planted.extend(&entry);
    let planted = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &planted);
    let mut bomb = open.clone();
    bomb.extend([0xbe; 8000]);
    let reset = open.clone();
    let refused = form.clone();
    let nobody = block(&[(":method", "GET"), ("Upper", "a")]);
    vec![
        kind(
            "ping",
            1,
            Box::new(|n| frame(kind::PING, 0, 0, &(n as u64).to_be_bytes())),
        ),
        kind(
            "rapid reset",
            2,
            Box::new(move |n| {
                let flags = END_HEADERS | END_STREAM;
                let mut out = frame(kind::HEADERS, flags, stream(n), &reset);
                out.extend(frame(kind::RST_STREAM, 0, stream(n), &8u32.to_be_bytes()));
                out
            }),
        ),
        kind(
            "streams that stay open",
            1,
            Box::new(move |n| frame(kind::HEADERS, END_HEADERS, stream(n), &refused)),
        ),
        kind(
            "malformed heads",
            1,
            Box::new(move |n| frame(kind::HEADERS, END_HEADERS | END_STREAM, stream(n), &nobody)),
        ),
        after(
            "continuation",
            &begun,
            Box::new(|n| {
                let field = block(&[("x", &n.to_string())]);
                frame(kind::CONTINUATION, 0, 1, &field)
            }),
        ),
        after(
            "empty continuation",
            &begun,
            Box::new(|_| frame(kind::CONTINUATION, 0, 1, &[])),
        ),
        kind(
            "settings",
            1,
            Box::new(|n| {
                let window = (65_535 + n as u32 % 2).to_be_bytes();
                frame(kind::SETTINGS, 0, 0, &[&[0, 4][..], &window].concat())
            }),
        ),
        after(
            "empty data",
            &waiting,
            Box::new(|_| frame(kind::DATA, 0, 1, &[])),
        ),
        after(
            "tiny data",
            &waiting,
            Box::new(|_| frame(kind::DATA, 0, 1, b"a")),
        ),
        after(
            "padding",
            &waiting,
            Box::new(|_| {
                const PADDED: u8 = 8;
                frame(kind::DATA, PADDED, 1, &[1, 0])
            }),
        ),
        kind(
            "window by the byte",
            1,
            Box::new(|_| frame(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ),
        kind(
            "window by nothing",
            1,
            Box::new(|_| frame(kind::WINDOW_UPDATE, 0, 0, &0u32.to_be_bytes())),
        ),
        kind(
            "window without end",
            1,
            Box::new(|_| frame(kind::WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        ),
        kind(
            "priority loops",
            1,
            Box::new(|n| {
                let other = stream((n + 1) % 50).to_be_bytes();
                frame(
                    kind::PRIORITY,
                    0,
                    stream(n % 50),
                    &[&other[..], &[1]].concat(),
                )
            }),
        ),
        kind(
            "unknown frames",
            1,
            Box::new(|_| frame(0xbe, 0xff, 0, b"grease")),
        ),
        after(
            "header bombs",
            &planted,
            Box::new(move |n| {
                frame(
                    kind::HEADERS,
                    END_HEADERS | END_STREAM,
                    stream(n + 1),
                    &bomb,
                )
            }),
        ),
    ]
}

impl Kind {
    /// Sends [`FRAMES`] of them, over as many connections as that takes; the most that one took,
    /// and how many connections there were.
    fn run(&self, stage: &Stage) -> (usize, usize) {
        let mut bytes = self.before.clone();
        // what one connection could take at most
        let ends: Vec<usize> = (0..FRAMES / self.frames)
            .map(|n| {
                bytes.extend((self.next)(n));
                bytes.len()
            })
            // large frames are enough of a flood with fewer
            .take_while(|end| *end < 64 << 20)
            .collect();
        let all = ends.len();
        let ca = stage.gateway.authority().pem();
        let (mut sent, mut most, mut connections) = (0, 0, 0);
        while (sent < all || connections < LEAST) && connections < 200 {
            // never less than half: a few frames are no flood
            let to = ends[all - 1 - sent % (all / 2).max(1)];
            let address = stage.gateway.address();
            let Flooded { sent: took, closed } =
                flood(address, ca, b"h2", &bytes[..to], Duration::from_secs(5));
            assert!(
                closed,
                "{}: the connection stays after {took} bytes",
                self.name
            );
            let frames = ends.partition_point(|end| *end <= took).max(1);
            (sent, most) = (sent + frames, most.max(frames));
            connections += 1;
        }
        (most * self.frames, connections)
    }
}

/// The time that 99 of 100 requests stay under.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
fn floods_of_frames_are_cut_and_cost_others_nothing() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::new("");
    stage.serves();
    let client = stage.gateway.client();
    let before = stage.gateway.process().peak();
    for kind in kinds(&stage) {
        // a machine that is busy with other things is given another try
        let fair = (0..12).any(|_| {
            let (calm, flooded, most, connections) = interleaved(&stage, &client, &kind);
            eprintln!(
                "{}: {connections} connections, {most} frames at most sent on one, p99 {calm:?} then {flooded:?}",
                kind.name
            );
            flooded <= 2 * calm + SLACK
        });
        assert!(fair, "{}: others are slow", kind.name);
        let grown = stage.gateway.process().peak().saturating_sub(before);
        assert!(grown < 32 << 10, "{}: {grown} KiB more", kind.name);
    }
    let grown = stage.gateway.process().peak().saturating_sub(before);
    eprintln!("{grown} KiB more at the peak");
    assert!(stage.exceeded("h2_frames") > 0);
    assert!(stage.exceeded("h2_resets") > 0);
    stage.serves();
}

/// How long others wait at 99 of 100, before a flood and in it; and what the flood was.
fn interleaved(stage: &Stage, client: &Client, kind: &Kind) -> (Duration, Duration, usize, usize) {
    let times = Mutex::new((Vec::new(), Vec::new()));
    let (flooding, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (most, connections) = thread::scope(|scope| {
        let ending = Over(&over);
        let asking = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let flooded = flooding.load(Ordering::Relaxed);
                let asked = Instant::now();
                stage.served(client);
                let mut times = times.lock().expect("no panic while held");
                let of = if flooded { &mut times.1 } else { &mut times.0 };
                of.push(asked.elapsed());
            }
        });
        thread::sleep(Duration::from_millis(300));
        flooding.store(true, Ordering::Relaxed);
        let found = kind.run(stage);
        drop(ending);
        asking.join().expect("others are served");
        found
    });
    let (mut calm, mut flooded) = times.into_inner().expect("no panic while held");
    (p99(&mut calm), p99(&mut flooded), most, connections)
}
