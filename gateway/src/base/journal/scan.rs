//! Reads a segment frame by frame and checks each against the chain.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{
    FRAME_HEADER, FRAME_MAGIC, FrameHeader, Hash, SEGMENT_HEADER, SegmentHeader, What, link, sha256,
};

/// A segment's file, from its header to the first frame that doesn't hold.
pub(super) struct Scan {
    from: BufReader<File>,
    /// Salt and text of the record last read.
    body: Vec<u8>,
    /// Where the next frame begins.
    pub(super) at: u64,
    /// Seq that the next frame must have.
    pub(super) seq: u64,
    /// Chain hash that the next frame must continue.
    pub(super) chain: Hash,
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole record that holds; its text is in [`Scan::json`].
    Record(u64),
    /// The file ends where a record ends.
    End,
    /// The file ends within a frame, of which it has so many bytes.
    Torn(u64),
}

/// Why a scan stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Wrong(What),
    Unreadable(io::Error),
}

impl From<What> for Stop {
    fn from(what: What) -> Self {
        Self::Wrong(what)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// How a segment begins.
pub(super) enum Start {
    Header(SegmentHeader, Scan),
    /// The file ends within the header.
    Torn(u64),
}

impl Scan {
    /// Opens a segment and checks its header.
    pub(super) fn open(path: &Path) -> Result<Start, Stop> {
        let mut from = BufReader::with_capacity(1 << 18, File::open(path)?);
        let mut header = [0; SEGMENT_HEADER];
        let read = fill(&mut from, &mut header)?;
        if read < SEGMENT_HEADER {
            return Ok(Start::Torn(read as u64));
        }
        let header = SegmentHeader::decode(&header)?;
        let scan = Self {
            from,
            body: Vec::new(),
            at: SEGMENT_HEADER as u64,
            seq: header.first_seq,
            chain: header.chain,
        };
        Ok(Start::Header(header, scan))
    }

    /// Reads and checks one frame. After anything but a record the scan is over.
    pub(super) fn step(&mut self) -> Result<Step, Stop> {
        let mut header = [0; FRAME_HEADER];
        match fill(&mut self.from, &mut header)? {
            0 => return Ok(Step::End),
            FRAME_HEADER => (),
            part => return Ok(Step::Torn(part as u64)),
        }
        let frame = FrameHeader::decode(&header)?;
        if frame.seq != self.seq {
            return Err(Stop::Wrong(What::Sequence {
                expected: self.seq,
                found: frame.seq,
            }));
        }
        if frame.prev != self.chain {
            return Err(What::Chain.into());
        }
        self.body.resize(frame.length as usize, 0);
        let read = fill(&mut self.from, &mut self.body)?;
        if read < self.body.len() {
            return Ok(Step::Torn((FRAME_HEADER + read) as u64));
        }
        if sha256(&[&self.body]) != frame.commitment {
            return Err(What::Content.into());
        }
        self.chain = link(&self.chain, &frame.commitment);
        self.at += (FRAME_HEADER + self.body.len()) as u64;
        self.seq += 1;
        Ok(Step::Record(frame.seq))
    }

    /// The text of the record last read.
    pub(super) fn json(&self) -> &[u8] {
        self.body.get(super::format::SALT..).unwrap_or_default()
    }
}

/// Where a journal stands after one whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where that frame ends in the file.
    pub(super) end: u64,
    /// Seq of the next record.
    pub(super) seq: u64,
    /// Chain hash after that frame.
    pub(super) chain: Hash,
}

/// The last frame in `path` beyond `from` that is whole in itself and not older than `seq`: what
/// tells a damaged record, which others follow, from a torn tail, which nothing follows.
pub(super) fn last_whole(path: &Path, from: u64, seq: u64) -> io::Result<Option<Standing>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut at = 0;
    let mut last = None;
    while let Some(rest) = bytes.get(at..) {
        let Some(found) = rest.windows(4).position(|w| w == FRAME_MAGIC) else {
            break;
        };
        at += found;
        match whole(&bytes, at).filter(|(frame, _)| frame.seq >= seq) {
            Some((frame, end)) => {
                last = Some(Standing {
                    end: from + end as u64,
                    seq: frame.seq + 1,
                    chain: link(&frame.prev, &frame.commitment),
                });
                at = end;
            }
            None => at += 1,
        }
    }
    Ok(last)
}

fn whole(bytes: &[u8], at: usize) -> Option<(FrameHeader, usize)> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<FRAME_HEADER>()?;
    let frame = FrameHeader::decode(header).ok()?;
    let body = rest.get(..frame.length as usize)?;
    (sha256(&[body]) == frame.commitment).then(|| (frame, at + FRAME_HEADER + body.len()))
}

/// Name of the segment that begins with `seq`.
pub(super) fn segment_name(seq: u64) -> String {
    format!("{seq:020}.cwj")
}

/// The directory's segments in order, each with the seq that its name says.
///
/// A file `*.cwj` whose name says no seq is given with `None`.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<(Option<u64>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "cwj") {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
            let digits = stem.len() == 20 && stem.bytes().all(|b| b.is_ascii_digit());
            let seq = if digits { stem.parse().ok() } else { None };
            found.push((seq, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads until `into` is full or the file ends; how much was read.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
