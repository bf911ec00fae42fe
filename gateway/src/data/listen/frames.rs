//! HTTP/2 frames before they are understood: how many of them ask for nothing.
//!
//! In: the bytes of a connection, in any pieces. Out: whether it sends more such frames than its
//! requests explain. Frames tell their own length, so that nothing of their meaning is needed to
//! count them. What is malformed is left to the protocol's own implementation, which also bounds
//! CONTINUATION, empty and tiny DATA, and streams that it has to reset itself.

/// The client's preface (RFC 9113 §3.4).
const PREFACE: u32 = 24;

/// Points: a frame costs what it makes the gateway do for nothing, ...
const CONTROL: u64 = 1;
/// ... a head as much as [`BEGUN`] gives back once it has become a request, ...
const HEAD: u64 = 5;
/// ... and a reset throws a request's work away.
const RESET: u64 = 10;

/// Points that a request gives back when it begins, ...
const BEGUN: u64 = 5;
/// ... when its answer has left, ...
const ANSWERED: u64 = 10;
/// ... that each KiB gives which left, ...
const KIB_LEFT: u64 = 1;
/// ... and each second.
const SECOND: u64 = 10;

/// What a connection has done so far that explains frames.
#[derive(Clone, Copy, Default)]
pub(super) struct Deeds {
    /// Requests that began.
    pub begun: u64,
    /// Answers that left whole.
    pub answered: u64,
    /// Bytes that left.
    pub written: u64,
    /// Since it began.
    pub seconds: u64,
}

impl Deeds {
    fn points(self) -> u64 {
        let requests = BEGUN * self.begun + ANSWERED * self.answered;
        requests + KIB_LEFT * (self.written >> 10) + SECOND * self.seconds
    }
}

/// Counts the frames of one connection.
pub(super) struct Frames {
    /// Points that may be open.
    most: u64,
    open: u64,
    /// Points given back so far.
    given: u64,
    header: [u8; 9],
    had: usize,
    /// Bytes to come before the next frame.
    skip: u32,
}

impl Frames {
    /// `most`: `limits.h2_frames`.
    pub fn new(most: usize) -> Self {
        Self {
            most: most as u64,
            open: 0,
            given: 0,
            header: [0; 9],
            had: 0,
            skip: PREFACE,
        }
    }

    /// Looks at what came; false where it is too much.
    pub fn look(&mut self, mut bytes: &[u8], deeds: impl Fn() -> Deeds) -> bool {
        loop {
            let skipped = bytes.len().min(self.skip as usize);
            self.skip -= skipped as u32;
            bytes = bytes.get(skipped..).unwrap_or(&[]);
            let wanted = self.header.len() - self.had;
            let taken = bytes.len().min(wanted);
            if taken == 0 {
                return true;
            }
            let (new, rest) = bytes.split_at(taken);
            if let Some(place) = self.header.get_mut(self.had..self.had + taken) {
                place.copy_from_slice(new);
            }
            (self.had, bytes) = (self.had + taken, rest);
            if taken == wanted {
                self.had = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]);
                self.open += cost(kind, flags, self.skip);
                if self.open > self.most && !self.settle(deeds().points()) {
                    return false;
                }
            }
        }
    }

    /// Gives back what was earned since the last time; whether that is enough.
    fn settle(&mut self, earned: u64) -> bool {
        let more = earned.saturating_sub(self.given);
        self.given = self.given.max(earned);
        self.open = self.open.saturating_sub(more);
        self.open <= self.most
    }
}

/// By type (RFC 9113 §6). What has no type there is ignored, and costs the same.
fn cost(kind: u8, flags: u8, length: u32) -> u64 {
    const END_STREAM: u8 = 1;
    match kind {
        // DATA
        0 if length == 0 && flags & END_STREAM == 0 => CONTROL,
        0 => 0,
        // HEADERS
        1 => HEAD,
        // RST_STREAM
        3 => RESET,
        _ => CONTROL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = (length as u32).to_be_bytes();
        let mut out = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 1];
        out.resize(9 + length, 0);
        out
    }

    fn preface() -> Vec<u8> {
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        out.extend(frame(4, 0, 18));
        out
    }

    /// How many copies of `bytes` pass, of 100,000.
    fn pass(bytes: &[u8], cut: usize, deeds: impl Fn(u64) -> Deeds) -> u64 {
        let mut frames = Frames::new(1000);
        assert!(frames.look(&preface(), Deeds::default));
        for n in 0..100_000 {
            for piece in bytes.chunks(cut) {
                if !frames.look(piece, || deeds(n)) {
                    return n;
                }
            }
        }
        100_000
    }

    #[test]
    fn frames_that_ask_for_nothing_run_out() {
        let nothing = |_| Deeds::default();
        for cut in [1, 4, 9, 100] {
            for (kind, length, wanted) in [
                (2, 5, 999),   // PRIORITY
                (4, 0, 999),   // SETTINGS
                (6, 8, 999),   // PING
                (7, 8, 999),   // GOAWAY
                (8, 4, 999),   // WINDOW_UPDATE
                (9, 0, 999),   // CONTINUATION
                (0, 0, 999),   // DATA, empty
                (200, 3, 999), // of no known type
                (3, 4, 99),    // RST_STREAM
                (1, 20, 199),  // HEADERS that become no request
            ] {
                assert_eq!(
                    pass(&frame(kind, 0, length), cut, nothing),
                    wanted,
                    "{kind}"
                );
            }
        }
        assert_eq!(pass(&frame(0, 0, 1), 100, nothing), 100_000);
        assert_eq!(pass(&frame(0, 1, 0), 100, nothing), 100_000);
    }

    #[test]
    fn requests_and_answers_explain_frames() {
        let asked = |n| Deeds {
            begun: n,
            answered: n,
            written: n * 900,
            seconds: 0,
        };
        // a request, and what careful clients send around it
        let mut usual = frame(1, 5, 60);
        for kind in [8, 8, 6, 4] {
            usual.extend(frame(kind, 0, 8));
        }
        assert_eq!(pass(&usual, 50, asked), 100_000);
        // requests that are taken back
        let mut rapid = frame(1, 5, 60);
        rapid.extend(frame(3, 0, 4));
        let begun = |n| Deeds {
            begun: n,
            ..Deeds::default()
        };
        assert!(pass(&rapid, 50, begun) < 110);
        // half of them
        let half = |n| Deeds {
            begun: n,
            answered: n / 2,
            ..Deeds::default()
        };
        let mut some = frame(1, 5, 60);
        some.extend(rapid);
        assert_eq!(pass(&some, 50, |n| half(2 * n)), 100_000);
        // a large answer, taken in windows of 16 KiB
        let taken = |n| Deeds {
            written: n << 14,
            ..Deeds::default()
        };
        assert_eq!(pass(&frame(8, 0, 4), 50, taken), 100_000);
        // the same, by the byte
        let dripped = |n| Deeds {
            written: n * 32,
            ..Deeds::default()
        };
        assert!(pass(&frame(8, 0, 4), 50, dripped) < 1100);
        // a ping each second, for a day
        let slow = |n| Deeds {
            seconds: n,
            ..Deeds::default()
        };
        assert_eq!(pass(&frame(6, 0, 8), 50, slow), 100_000);
    }

    #[test]
    fn an_hour_of_quiet_pays_for_no_flood() {
        let quiet = |_| Deeds {
            seconds: 3600,
            ..Deeds::default()
        };
        assert!(pass(&frame(6, 0, 8), 50, quiet) <= 2001);
    }
}
